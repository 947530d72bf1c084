"""What is not known of a nowcast: the factors, the target's own error, and the parameters behind both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.look import Look, cell
from opsroom.measure.nowcast.dfm.moments import shock_squares
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.dfm.search import gradient_at, pack, unpack
from opsroom.measure.nowcast.dfm.smooth import Weights, smooth

_STEP = 1e-4
_MOST = 40
"""Parameters at most whose uncertainty is worked out; longer autoregressions are taken as known."""
SHOCK = 16.0
"""A month's squared common innovation over the number of factors, beyond which it is a shock (four deviations)."""
_WINDOW = 6


def parameter_variance(view: Look, row: int, column: int) -> float:
    """Return the variance of a cell's mean that comes from estimated parameters, standardised.

    Delta method. The parameters varied are those that the target's mean moves with most: its loadings, its memory,
    the factors' autoregression (their observed information is the change of the exact score), and its mean. Loadings
    of other series rest on as many observations each, share in the factors with all others, and are taken as known.
    """

    def mean(q: FactorParameters) -> float:
        there = Look(view.grid, view.cells, smooth(view.cells, q, moments=False))
        return cell(there, row, column, variance=False).mean

    found = delta_variance(view.parameters, column, lambda q: gradient_at(view.cells, q), mean)
    return found + mean_variance(view.cells.layout.values[:, column])


def delta_variance(
    p: FactorParameters,
    column: int,
    gradient_at: Callable[[FactorParameters], tuple[Floats, Floats]],
    mean: Callable[[FactorParameters], float],
) -> float:
    """Return the variance that the estimated parameters of one series and of the factors add to a mean.

    Parameters
    ----------
    p
        Where the search ended.
    column
        The series.
    gradient_at
        Free parameters, and the derivative of the log likelihood in them, at given parameters.
    mean
        The mean at given parameters.
    """
    positions = _positions(p, column)
    theta, gradient = gradient_at(p)
    base = mean(p)
    size = len(positions)
    information: Floats = np.zeros((size, size))
    slope: Floats = np.zeros(size)
    for k, position in enumerate(positions):
        moved = theta.copy()
        moved[position] += _STEP
        q = unpack(moved, p)
        try:
            turned, there = gradient_at(q)[1], mean(q)
        except FitError:
            continue  # beyond the stationary region: this direction is taken as known
        information[k] = -(turned - gradient)[positions] / _STEP
        slope[k] = (there - base) / _STEP
    information = 0.5 * (information + information.T)
    values, vectors = np.linalg.eigh(information)
    along = vectors.T @ slope
    safe = values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)
    return float((along[safe] ** 2 / values[safe]).sum())


def with_tails(weights: Weights, robust: Robust, view: Look, row: int, column: int) -> Weights:
    """Return weights under which what is not known yet has the variance of its heavy tails: tail / (tail - 2).

    That concerns the target's own errors in its period, and the factors' innovations after the newest data.
    """
    layout = view.cells.layout
    own, calm, cell = weights.own.copy(), weights.calm.copy(), weights.cell.copy()
    thin = (robust.tail - 2.0) / robust.tail
    if column >= layout.monthly:
        own[row + layout.lead - 2 : row + layout.lead + 1, column - layout.monthly] = thin
    else:
        cell[row, column] = thin
    calm[layout.newest() + layout.lead + 1 :] = (robust.shock_tail - 2.0) / robust.shock_tail
    return Weights(cell, own, calm)


def _positions(p: FactorParameters, column: int) -> Ints:
    at = np.full(p.loads.shape, -1)
    at[p.loads] = np.arange(int(p.loads.sum()))
    lags = int(p.lags_used.sum())
    chosen = list(at[column][p.loads[column]])
    if lags <= _MOST:
        chosen += list(range(int(p.loads.sum()), int(p.loads.sum()) + lags))
    if p.ar1:
        chosen.append(len(pack(p)) - len(p.names) + column)
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
    squares = shock_squares(view.found)[max(0, end - _WINDOW + 1) : end + 1]
    return bool(np.nanmax(squares, initial=0.0) > SHOCK * view.parameters.factors)
