"""What is not known of a nowcast: the factors, the target's own error, and the parameters behind both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.look import Look, cell, look
from opsroom.measure.nowcast.dfm.moments import shock_squares
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.robust import Robust, squares_of
from opsroom.measure.nowcast.dfm.search import gradient_at, pack, unpack
from opsroom.measure.nowcast.dfm.smooth import Weights, smooth
from opsroom.measure.nowcast.dfm.tails import Part, parts_of
from opsroom.measure.nowcast.dfm.volatility import end_variances

_STEP = 1e-4
_MOST = 40
"""Parameters at most whose uncertainty is worked out; longer autoregressions are taken as known."""
SHOCK = 16.0
"""A month's squared common innovation over the number of factors, beyond which it is a shock (four deviations)."""
_WINDOW = 6
_LIFT = 1e-2


@dataclass(frozen=True, slots=True)
class Curvature:
    """How sharply the data tell the parameters of one series and of the factors.

    Attributes
    ----------
    p
        Where the search ended.
    moved
        The parameters moved a little one by one; None beyond the stationary region, which is taken as known.
    values, vectors
        Observed information in these directions, by its eigenvectors.
    """

    p: FactorParameters
    moved: tuple[FactorParameters | None, ...]
    values: Floats
    vectors: Floats

    @classmethod
    def of(
        cls, p: FactorParameters, column: int, gradient_at: Callable[[FactorParameters], tuple[Floats, Floats]]
    ) -> Curvature:
        """Take differences of the score.

        Parameters
        ----------
        p
            Where the search ended.
        column
            The series.
        gradient_at
            Free parameters, and the derivative of the log likelihood in them, at given parameters.
        """
        positions = _positions(p, column)
        theta, gradient = gradient_at(p)
        information: Floats = np.zeros((len(positions), len(positions)))
        moved: list[FactorParameters | None] = []
        for k, position in enumerate(positions):
            there = theta.copy()
            there[position] += _STEP
            q = unpack(there, p)
            try:
                information[k] = -(gradient_at(q)[1] - gradient)[positions] / _STEP
            except FitError:
                moved.append(None)
            else:
                moved.append(q)
        values, vectors = np.linalg.eigh(0.5 * (information + information.T))
        return cls(p, tuple(moved), values, vectors)

    def variance(self, told: Callable[[FactorParameters], float]) -> float:
        """Return the variance that the estimated parameters give to what is told as a function of them."""
        base = told(self.p)
        slope: Floats = np.array([0.0 if q is None else (told(q) - base) / _STEP for q in self.moved])
        along = self.vectors.T @ slope
        safe = self.values > 1e-6 * max(float(self.values.max(initial=0.0)), 1e-300)
        return float((along[safe] ** 2 / self.values[safe]).sum())


def curvature(view: Look, column: int) -> Curvature:
    """Return how sharply a panel tells the parameters of one series and of the factors."""
    return Curvature.of(view.parameters, column, lambda q: gradient_at(view.cells, q))


def parameter_variance(view: Look, row: int, column: int, curved: Curvature) -> float:
    """Return the variance of a cell's mean that comes from estimated parameters, standardised.

    Delta method. The parameters varied are those that the target's mean moves with most: its loadings, its memory,
    the factors' autoregression (their observed information is the change of the exact score), and its mean. Loadings
    of other series rest on as many observations each, share in the factors with all others, and are taken as known.
    """

    def mean(q: FactorParameters) -> float:
        there = Look(view.grid, view.cells, smooth(view.cells, q, moments=False))
        return cell(there, row, column, variance=False).mean

    return curved.variance(mean) + mean_variance(view.cells.layout.values[:, column])


def width_doubt(view: Look, row: int, column: int, curved: Curvature) -> float:
    """Return the variance of the logarithm of a cell's variance that comes from estimated parameters.

    Delta method, with the parameters of `parameter_variance`: a loading or an autoregression that is not known makes
    the width of what it says unknown, too. It matters most far ahead of the data, where the width is the factors' own.
    """

    def log_variance(q: FactorParameters) -> float:
        there = Look(view.grid, view.cells, smooth(view.cells, q, moments=False))
        return float(np.log(max(cell(there, row, column).variance, 1e-12)))

    return curved.variance(log_variance)


@dataclass(frozen=True, slots=True)
class Doubt:
    """How far log variances are unknown: variances of what they will be.

    Attributes
    ----------
    shock, shock_step
        Of the factors' log variance in the newest month with data, and of a month's step after it.
    own
        Of the target's own log variance in its period.
    ahead
        Months from the newest with data to the target's.
    """

    shock: float
    shock_step: float
    own: float
    ahead: int


def spread(view: Look, robust: Robust, row: int, column: int) -> tuple[float, float, list[Part]]:
    """Return a cell's variance with heavy tails and moving volatility, the variance of that variance, and its parts
    with heavy tails.

    The log variances of what is not known yet are normal: where their walks have come to, with the doubt about that,
    and a step for each month ahead. The variance is the mean over them, exact for innovations after the data; its own
    variance takes it as linear in the factors' variance and in the target's.
    """
    p = view.parameters
    doubt = _doubt(view, robust, row, column) if view.cells.weights.volatility is not None else None
    weights = with_tails(view.cells.weights, robust, view, row, column, doubt)
    variance = cell(look(view.grid, p, weights), row, column).variance
    parts = parts_of(view, weights, robust, row, column)
    if doubt is None:
        return variance, 0.0, parts
    lead, n = view.cells.layout.lead, view.cells.layout.monthly
    calm, own, each = weights.calm.copy(), weights.own.copy(), weights.cell.copy()
    calm[row + lead - 2 * bool(lead) :] /= 1.0 + _LIFT
    if column >= n:
        own[row + lead - 2 : row + lead + 1, column - n] /= 1.0 + _LIFT
    else:
        each[row, column] /= 1.0 + _LIFT
    shock = doubt.shock + doubt.shock_step * 0.5 * (max(doubt.ahead, 0) + 1.0)
    total = 0.0
    for lifted, size in ((replace(weights, calm=calm), shock), (replace(weights, own=own, cell=each), doubt.own)):
        slope = (cell(look(view.grid, p, lifted), row, column).variance - variance) / _LIFT
        total += slope**2 * float(np.expm1(size))
    return variance, total, parts


def with_tails(
    weights: Weights, robust: Robust, view: Look, row: int, column: int, doubt: Doubt | None = None
) -> Weights:
    """Return weights under which what is not known yet has the variance of its heavy tails: tail / (tail - 2).

    That concerns the target's own errors in its period, and the factors' innovations after the newest data. Log
    variances that are in doubt add the mean of a lognormal one.
    """
    layout, volatility = view.cells.layout, weights.volatility
    tails = weights.tails()
    own, calm, cell = tails.own.copy(), tails.calm.copy(), tails.cell.copy()
    thin = (robust.tail - 2.0) / robust.tail
    shy = 1.0 if doubt is None else float(np.exp(-0.5 * doubt.own))
    if column >= layout.monthly:
        own[row + layout.lead - 2 : row + layout.lead + 1, column - layout.monthly] = thin * shy
    else:
        cell[row, column] = thin * shy
    ahead = layout.newest() + layout.lead + 1
    calm[ahead:] = (robust.shock_tail - 2.0) / robust.shock_tail
    if doubt is not None:
        calm[ahead:] *= np.exp(-0.5 * (doubt.shock + doubt.shock_step * np.arange(1.0, len(calm) - ahead + 1.0)))
    out = Weights(cell, own, calm)
    return out if volatility is None else out.under(volatility)


def _doubt(view: Look, robust: Robust, row: int, column: int) -> Doubt:
    cells, p, layout = view.cells, view.parameters, view.cells.layout
    volatility = cells.weights.volatility
    assert volatility is not None
    newest = layout.newest()
    crisis = robust.rows(view.grid, len(layout.values))
    known = np.flatnonzero(~np.isnan(layout.values[: row + 1, column]))
    last = int(known[-1]) if len(known) else -layout.lead
    squares = squares_of(cells, view.found)
    shock, own = end_variances(cells, p, squares, robust, crisis, newest=newest, column=column, last=last)
    gap = max(row - last, 0) if column < layout.monthly else max(row - 1 - last, 0)
    return Doubt(
        shock, volatility.shock_step**2, own + gap * (volatility.step**2 + volatility.common_step**2), row - newest
    )


def _positions(p: FactorParameters, column: int) -> Ints:
    at = np.full(p.loads.shape, -1)
    at[p.loads] = np.arange(int(p.loads.sum()))
    lags = int(p.lags_used.sum())
    chosen = list(at[column][p.loads[column]])
    if lags <= _MOST:
        chosen += list(range(int(p.loads.sum()), int(p.loads.sum()) + lags))
    for lag in range(p.own_order):
        chosen.append(len(pack(p)) - (p.own_order - lag) * len(p.names) + column)
    return np.array(chosen, dtype=np.int64)


def mean_variance(values: Floats, *, lags: int = 4) -> float:
    """Return the variance of a series' mean: the spectrum at zero (Bartlett weights) over the count."""
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return 0.0
    centred = values - values.mean()
    total = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    return max(total, float(centred @ centred) / n) / n


def in_shock(view: Look, row: int) -> bool:
    """Whether the factors were shocked in the target's period or shortly before, up to the newest data."""
    layout = view.cells.layout
    end = min(row, layout.newest()) + layout.lead
    squares = shock_squares(view.found)
    if view.cells.weights.volatility is not None:
        squares = squares * np.exp(-view.cells.weights.volatility.shocks)
    squares = squares[max(0, end - _WINDOW + 1) : end + 1]
    return bool(np.nanmax(squares, initial=0.0) > SHOCK * view.parameters.factors)
