"""Which of several explanations of a wild month is the likeliest: the weights' own search for the highest top.

Weights are found round by round, and each round climbs; but where a month is wild there is more than one top: all
series fell because the factor did, or each for reasons of its own. Where the climb begins then decides where it ends,
and one more figure can throw the explanation of three months over and back. So both explanations of each month are
tried. The one that goes on from what the model has learnt stands until another is a thousand times as likely: between
tops that are nearly as high it is steadiness that counts. Data alone decide, never what was said on the day before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Ints
from opsroom.measure.nowcast.dfm.robust import Robust, settle, weight_density
from opsroom.measure.nowcast.dfm.smooth import Cells, Weights, smooth

REACH = 6
"""Last months of a panel whose explanations are tried: two quarters, of which no growth may be known."""
_WILD = 0.2
"""Weight below which a month has something to be explained: an error of five standard deviations or more."""
_LOW = 0.05
"""Weight at which what is held to be wild begins."""
_DECISIVE = float(np.log(1000.0))
"""Gain of log likelihood at which the first explanation is given up."""
_ROUGH = 1e-6
_SWEEPS = 5


def settle_highest(
    cells: Cells, p: FactorParameters, robust: Robust, crisis: Ints, *, rounds: int, tol: float, held: bool = False
) -> Cells:
    """Find the weights of a panel at given parameters; where its last months are wild, of a far higher top if any.

    Parameters
    ----------
    cells, p, robust, crisis, rounds, tol, held
        As `settle` takes them.

    Returns
    -------
    Cells
        What `settle` finds, or what is a thousand times as likely.
    """
    first = settle(cells, p, robust, crisis, rounds=rounds, tol=tol, held=held)
    if not _wild(first, crisis).size:
        return first
    best, value = first, objective(first, p, robust, crisis)
    least = value + _DECISIVE
    for _ in range(_SWEEPS):
        before = value
        for begun in _other_beginnings(best, crisis):
            tried = settle(begun, p, robust, crisis, rounds=rounds, tol=max(tol, _ROUGH), held=held)
            found = objective(tried, p, robust, crisis)
            # Twice what stopping early may have left: the same top found from elsewhere is no better one.
            if found > value + 2.0 * _ROUGH * best.layout.cells:
                best, value = tried, found
        if value == before:
            break
    if value < least:
        return first
    return settle(best, p, robust, crisis, rounds=rounds, tol=tol, held=held)


def objective(cells: Cells, p: FactorParameters, robust: Robust, crisis: Ints) -> float:
    """Return what weights and parameters are searched by: log likelihood given the weights, plus their log density."""
    return float(smooth(cells, p).loglike + weight_density(cells, robust, crisis))


def _wild(cells: Cells, crisis: Ints) -> Ints:
    """Return the rows among the last ones, but for named crises, that hold a wild cell or a wild shock."""
    w, lead, months = cells.weights.tails(), cells.layout.lead, len(cells.layout.values)
    rows = np.setdiff1d(np.arange(max(0, months - REACH), months), crisis)
    wild = (w.cell[rows].min(axis=1, initial=1.0) < _WILD) | (w.calm[rows + lead] < _WILD)
    return np.asarray(rows[wild])


def _other_beginnings(cells: Cells, crisis: Ints) -> Iterator[Cells]:
    """Yield other explanations: of every month from the first wild one on, and of all at once.

    A month is a common shock (the factor's innovation is wild, no series is by itself) or the series' own doing.
    """
    w, lead, months = cells.weights.tails(), cells.layout.lead, len(cells.layout.values)
    rows = np.setdiff1d(np.arange(int(_wild(cells, crisis)[0]), months), crisis)
    for which in (*(rows[k : k + 1] for k in range(len(rows))), rows):
        for calm, cell in ((_LOW, 1.0), (1.0, _LOW)):
            other = Weights(w.cell.copy(), w.own, w.calm.copy())
            other.cell[which], other.calm[which + lead] = cell, calm
            volatility = cells.weights.volatility
            yield Cells.of(cells.layout, other if volatility is None else other.under(volatility))
