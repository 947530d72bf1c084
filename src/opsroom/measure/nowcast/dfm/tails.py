"""The shape of a nowcast's error: a sum of normal and of Student innovations is neither of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, kve

from opsroom.measure.nowcast.dfm.look import Look, cell, look
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.dfm.results import half_width
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.dfm.smooth import Weights

Part = tuple[float, float]
"""Variance and degrees of freedom of one Student innovation's share in an error."""

_LIFT = 1e-2
_LEVEL = 0.84
"""The quantile that is made exact: the upper end of the band of 68 %."""
_NORMAL = 100.0
"""Degrees of freedom beyond which a Student error is as good as normal."""
_MOST = 12
"""Months ahead at most whose factor innovations are looked at one by one; of more of them the sum is nearly normal."""
_WIDEST = 2.5
_GRID = np.linspace(0.0, 30.0, 1501)[1:]


def parts_of(view: Look, weights: Weights, robust: Robust, row: int, column: int) -> list[Part]:
    """Return what each innovation that is not known yet adds to a cell's variance, standardised.

    Parameters
    ----------
    view
        The panel, smoothed.
    weights
        Those under which what is not known has the variance of its heavy tails; see `density.with_tails`.
    robust
        For the degrees of freedom.
    row, column
        The cell.
    """
    layout, p = view.cells.layout, view.parameters
    total = cell(look(view.grid, p, weights), row, column).variance
    at = row + layout.lead

    def share(lifted: Weights) -> float:
        return max(float(cell(look(view.grid, p, lifted), row, column).variance - total) / _LIFT, 0.0)

    def lifted(values: Floats, *where: int) -> Floats:
        out = values.copy()
        out[where] /= 1.0 + _LIFT
        return out

    out: list[Part] = []
    if robust.tail < _NORMAL and column >= layout.monthly:
        for month in range(at - 2, at + 1):
            own = lifted(weights.own, month, column - layout.monthly)
            out.append((share(replace(weights, own=own)), robust.tail))
    elif robust.tail < _NORMAL:
        out.append((share(replace(weights, cell=lifted(weights.cell, row, column))), robust.tail))
    if robust.shock_tail < _NORMAL:
        ahead = layout.newest() + layout.lead + 1
        for month in range(max(ahead, at - _MOST + 1), at + 1):
            out.append((share(replace(weights, calm=lifted(weights.calm, month))), robust.shock_tail))
    return [(variance, degrees) for variance, degrees in out if variance > 0.0]


def wobble_of(parts: Sequence[Part], total: float) -> float:
    """Return the `wobble` of a density that has the 68 % band of a sum of normal and Student errors.

    Parameters
    ----------
    parts
        The Student ones.
    total
        Variance of the whole; what no part has is normal.

    Notes
    -----
    A Student error has the variance of a normal one :math:`\\nu/(\\nu-2)` times as wide and a narrower middle: a band
    of 68 % drawn as a normal one of that variance holds 74 % of Student errors with five degrees of freedom, and 82 %
    with three. The distribution of the sum is found from its characteristic function (Gil-Pelaez), and told by the
    lognormal mixture that has the same quantile of 84 %.
    """
    if total <= 0.0 or not parts:
        return 0.0
    share = min(sum(variance for variance, _ in parts) / total, 1.0)
    within = sum(variance for variance, _ in parts)
    function = np.exp(-0.5 * (1.0 - share) * _GRID**2)
    for variance, degrees in parts:
        function = function * _student(np.sqrt(share * variance / within) * _GRID, degrees)
    step = float(_GRID[0])

    def below(x: float) -> float:
        # The integrand is x where the grid begins, at 0.
        return 0.5 + step / np.pi * (0.5 * x + float((np.sin(x * _GRID) * function / _GRID).sum()))

    quantile = float(brentq(lambda x: below(x) - _LEVEL, 1e-3, 3.0, xtol=1e-10))
    if quantile >= half_width(_LEVEL, 0.0):
        return 0.0
    if quantile <= half_width(_LEVEL, _WIDEST):
        return _WIDEST
    return float(brentq(lambda w: half_width(_LEVEL, w) - quantile, 0.0, _WIDEST, xtol=1e-9))


def _student(u: Floats, degrees: float) -> Floats:
    """Return the characteristic function of a Student error with variance 1."""
    z = np.sqrt(degrees - 2.0) * u
    half = 0.5 * degrees
    z = np.maximum(z, 1e-12)
    return np.asarray(kve(half, z) * np.exp(half * np.log(z) - z - gammaln(half) - (half - 1.0) * np.log(2.0)))
