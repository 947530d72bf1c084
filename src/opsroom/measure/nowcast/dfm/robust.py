"""Outliers, crises, volatility: weights by which an error counts less, learnt with the parameters.

A Student error is a normal one whose precision has a weight of its own. The best weight of an error of d standard
deviations is ``(tail + 1) / (tail + d²)``. Each round raises one objective, the log likelihood given the weights plus
the weights' own log density, so that nothing is ever taken out by hand, and a fit that falls is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.chained import chain_squares
from opsroom.measure.nowcast.dfm.grid import Grid, month_number
from opsroom.measure.nowcast.dfm.moments import Moments, moments, own_rows, shock_squares
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints, stationary
from opsroom.measure.nowcast.dfm.points import Squares
from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed, Weights
from opsroom.measure.nowcast.dfm.volatility import moved, path_density

_LEAST = 1e-8
_NONE: Floats = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Robust:
    """How wild errors are taken.

    Attributes
    ----------
    tail
        Degrees of freedom of the series' own errors: small means that a lone outlier moves little.
    shock_tail
        Degrees of freedom of the factors' innovations: small means that a common shock is followed at once and does
        not rewrite the parameters.
    crisis
        Months (such as ``"2020-03"``) in which all monthly series' own errors have one larger scale in common, and the
        factors' innovations another, learnt month by month and no smaller than in other months (after Lenza and
        Primiceri 2022). They have no tails besides.
    drift
        Years over which each series' mean moves, to both sides (25 in Stock and Watson 2012); None: it stays.
    volatility
        Log variances walk: one of the factors' innovations, one that all series' own innovations have in common, and
        one of each series besides. ``"walk"``: how far each of the three kinds goes is learnt; a number: the standard
        deviation of a log variance over a year (0.3 means that variance halves or doubles within five years or so);
        None: variances stay.
    """

    tail: float = 5.0
    shock_tail: float = 3.0
    crisis: tuple[str, ...] = field(default=())
    drift: float | None = None
    volatility: float | Literal["walk"] | None = None

    def __post_init__(self) -> None:
        if self.tail <= 2 or self.shock_tail <= 2:
            raise UsageError("degrees of freedom of 2 or less have no variance.", remedy="Use a tail above 2.")
        if self.drift is not None and self.drift < 1:
            raise UsageError("a mean that drifts within a year is no mean.", remedy="Use a drift of 10 to 30 years.")
        walks = self.volatility is None or self.volatility == "walk"
        number = isinstance(self.volatility, int | float) and not isinstance(self.volatility, bool)
        if not walks and not (number and 0.0 < float(self.volatility) < 10.0):  # type: ignore[arg-type]  # a number
            raise UsageError(
                f"volatility={self.volatility!r} is not known.",
                remedy="Use None, 'walk', or the standard deviation of log variance over a year, such as 0.3.",
            )
        for month in self.crisis:
            month_number(month, "M")

    def rows(self, grid: Grid, months: int) -> Ints:
        """Return the rows of the crisis months on a grid."""
        rows = np.array([month_number(month, "M") - grid.first_month for month in self.crisis], dtype=np.int64)
        return rows[(rows >= 0) & (rows < months)]


def reweigh(cells: Cells, found: Smoothed, robust: Robust, crisis: Ints, *, held: bool = False) -> Weights:
    """Return the weights that the errors deserve, and the volatility where there is any; see `moved` for `held`."""
    layout, p, n = cells.layout, found.parameters, cells.layout.monthly
    r, order, lead = p.factors, p.order, layout.lead
    squares = squares_of(cells, found)
    volatility = cells.weights.volatility
    own_calm, shock_calm = np.ones((layout.months, layout.values.shape[1])), np.ones(layout.months)
    if volatility is not None:
        volatility = moved(cells, p, squares, robust, crisis, held=held)
        own_calm, shock_calm = np.exp(-volatility.series), np.exp(-volatility.shocks)
    shocks = squares.shocks * shock_calm
    calm = np.ones(layout.months)
    calm[order:] = (robust.shock_tail + r) / (robust.shock_tail + shocks[order:])
    each = squares.cell * own_calm[lead:, :n]
    month, series, _ = layout.special.T
    # Of a jump over a hole, the last month's innovation has its share of the mean, and what is not known of it.
    share = 1.0 / (cells.weights.tails().cell[month, series] * squares.spread)
    jump = squares.jump * squares.spread * own_calm[month + lead, series]
    each[month, series] = share**2 * jump + squares.spread * (1.0 - share) * share
    cell = _student(each, robust.tail)
    own = _student(squares.own * own_calm[:, n:], robust.tail)
    own[:1] = 1.0
    for row in crisis:
        calm[row + lead] = min(1.0, r / max(float(shocks[row + lead]), r))
        known = ~np.isnan(each[row])
        if known.any():
            cell[row, known] = 1.0 / max(1.0, float(np.mean(each[row, known])))
    tails = Weights(np.maximum(cell, _LEAST), np.maximum(own, _LEAST), np.maximum(calm, _LEAST))
    return tails if volatility is None else tails.under(volatility)


def weight_density(cells: Cells, robust: Robust, crisis: Ints) -> float:
    """Return the log density of weights and volatility, less a constant; the scale of a crisis has none."""
    w = cells.weights.tails()
    seen = ~np.isnan(cells.layout.values[:, : cells.layout.monthly])
    seen[crisis] = False
    calm = np.delete(w.calm, crisis + cells.layout.lead)
    total = 0.5 * robust.tail * float((np.log(w.cell[seen]) - w.cell[seen]).sum())
    total += 0.5 * robust.tail * float((np.log(w.own) - w.own).sum())
    return total + 0.5 * robust.shock_tail * float((np.log(calm) - calm).sum()) + path_density(cells)


def _student(square: Floats, tail: float) -> Floats:
    return np.where(np.isnan(square), 1.0, (tail + 1.0) / (tail + square))


def squares_of(cells: Cells, found: Smoothed) -> Squares:
    """Return the expected squares of all innovations."""
    layout, p, m = cells.layout, found.parameters, moments(cells, found)
    if layout.chain is not None:
        cell, own, hole, start = chain_squares(cells, found)
        return Squares(cell, own, _NONE, _NONE, shock_squares(found), _origin_square(p, m), hole, start)
    cell, jump = _cell_squares(cells, found, m)
    month, series, _ = layout.special.T
    spread = found.special.spread
    if cells.weights.volatility is not None:
        spread = spread * np.exp(-cells.weights.volatility.series[month + layout.lead, series])
    own = _own_squares(cells, p, m)
    return Squares(cell, own, jump / spread, spread, shock_squares(found), _origin_square(p, m), _NONE, _NONE)


def _origin_square(p: FactorParameters, m: Moments) -> float:
    return float(np.trace(np.linalg.solve(stationary(p.transition), m.origin)))


def _cell_squares(cells: Cells, found: Smoothed, full: Moments) -> tuple[Floats, Floats]:
    """Return expected squares over variances: of every regular cell's innovation, NaN elsewhere; of special jumps."""
    layout, p, n = cells.layout, found.parameters, cells.layout.monthly
    m = moments_by_month(found)
    load, rho, variance = p.loadings[:n], p.memory[:n], p.variance[:n]
    pairs = (load[:, :, None] * load[:, None, :]).reshape(n, -1)
    here, cross, before = (part.reshape(len(part), -1) @ pairs.T for part in m)
    mean = found.factor_means[layout.lead :]
    fit = mean @ load.T
    fit_before = np.vstack([np.zeros((1, n)), fit[:-1]])
    rest = (layout.now - fit) - rho * (layout.back - fit_before)
    square = (rest**2 + here - 2.0 * rho * cross + rho**2 * before) / variance
    month, own, back = layout.special.T
    special = found.special
    then = np.maximum(back, 0)
    error = special.value - fit[month, own] + special.decay * np.where(back >= 0, fit[then, own], 0.0)
    gram = full.special_gram[0] - special.decay[:, None, None] * (
        full.special_gram[1] + full.special_gram[1].transpose(0, 2, 1)
    )
    gram = gram + (special.decay**2)[:, None, None] * full.special_gram[2]
    shift = full.special_mean[0] - special.decay[:, None] * full.special_mean[1]
    gram = gram - shift[:, :, None] * shift[:, None, :]
    noise = np.einsum("kf,kfg,kg->k", load[own], gram, load[own])
    return np.where(layout.regular > 0, square, np.nan), (error**2 + noise) / variance[own]


def moments_by_month(found: Smoothed) -> tuple[Floats, Floats, Floats]:
    """Return the factors' covariances by month: of now, of now with before, of before."""
    from opsroom.measure.nowcast.dfm import kernels

    layout, r = found.layout, found.parameters.factors
    cov = np.zeros((2, layout.months, r, r))
    kernels.lagged(found.near, layout.first, layout.start, layout.factor_at, r, 1, cov)
    before = np.concatenate([np.zeros((1, r, r)), cov[0, :-1]])
    return cov[0, layout.lead :], cov[1, layout.lead :], before[layout.lead :]


def _own_squares(cells: Cells, p: FactorParameters, m: Moments) -> Floats:
    """Return the expected squared monthly innovation of the quarterly series' own errors over their variance."""
    layout, n = cells.layout, cells.layout.monthly
    rho, variance = p.memory[n:], p.variance[n:]
    out = np.full(layout.own_at.shape, np.nan)
    if not out.size:
        return out

    def square(parts: Floats, series: Ints) -> Floats:
        q = rho[series]
        return np.asarray((parts[0] - 2.0 * q * parts[1] + q**2 * parts[2]) / variance[series])

    out[tuple(layout.plain.T)] = square(m.plain, layout.plain[:, 1])
    opening, second = own_rows(cells, m, p)
    month, series = layout.quarters[:, 0] + layout.lead, layout.quarters[:, 1]
    out[month - 2, series], out[month - 1, series] = square(opening, series), square(second, series)
    out[0] = (1.0 - rho**2) * m.first_own / variance
    return out


def settle(
    cells: Cells, p: FactorParameters, robust: Robust, crisis: Ints, *, rounds: int, tol: float, held: bool = False
) -> Cells:
    """Find the weights of a panel at given parameters: round by round until the objective stands."""
    from opsroom.measure.nowcast.dfm.smooth import smooth

    last = -np.inf
    for _ in range(rounds):
        found = smooth(cells, p)
        value = found.loglike + weight_density(cells, robust, crisis)
        if value - last < tol * cells.layout.cells:
            break
        last = value
        cells = Cells.of(cells.layout, reweigh(cells, found, robust, crisis, held=held))
    return cells


def carried(weights: Weights, old: Grid, new: Grid, lead: int) -> Weights:
    """Return weights on another grid: 1 where the old one has none, volatility as at its nearest end."""
    shift, rows = old.first_month - new.first_month, len(new.values)

    def shifted(values: Floats, rows: int) -> Floats:
        out = np.ones((rows, *values.shape[1:]))
        at = np.arange(len(values)) + shift
        inside = (at >= 0) & (at < rows)
        out[at[inside]] = values[inside]
        return out

    tails = weights.tails()
    out = Weights(shifted(tails.cell, rows), shifted(tails.own, rows + lead), shifted(tails.calm, rows + lead))
    if weights.volatility is None:
        return out
    v = weights.volatility
    at = np.clip(np.arange(rows + lead) - shift, 0, len(v.shocks) - 1)
    return out.under(replace(v, shocks=v.shocks[at], common=v.common[at], series=v.series[at]))
