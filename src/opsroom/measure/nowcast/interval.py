"""How far the nowcast may be off: the model's own variance, then the errors made so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from opsroom.measure.nowcast.estimate import Fit
from opsroom.measure.nowcast.linear import Projection
from opsroom.measure.nowcast.model import quarter_moments
from opsroom.measure.nowcast.panel import Floats
from opsroom.measure.nowcast.spec import Settings

Basis = Literal["model", "past-errors", "earlier-shocks", "model-only-in-shock"]
"""What the interval rests on; a message id for the faces."""

LEVELS = (0.68, 0.90)
_PRIOR = 10
"""Past quarters that count as much as the model's own quantile."""
_LEAST = 4
_LEAST_SHOCK = 3
_CALM = 0.2
"""A month's calmness below this is a shock: a common innovation of more than four standard deviations."""
_WINDOW_DAYS = 35


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-widths in points at the `LEVELS`, with what they rest on and how many past quarters."""

    half: tuple[float, float]
    basis: Basis
    past: int


def model_deviation(fit: Fit, projection: Projection, settings: Settings) -> float:
    """Return the standard deviation of the nowcast's error under the model, in points.

    Three parts: the factors are not known, the target's equation is estimated (in a shock the factors are
    far from their mean, and this part grows with the square of the distance), the target has an error of
    its own with heavy tails.
    """
    p, seen = fit.parameters, fit.observations
    own = np.flatnonzero(seen.series == 0)
    phi, phi_cov = quarter_moments(seen, fit.posterior, own)
    regressor = np.column_stack([np.ones(len(own)), phi])
    gram = regressor[:, :, None] * regressor[:, None, :]
    gram[:, 1:, 1:] += phi_cov
    information = np.tensordot(1.0 / fit.rows.spread[own], gram, axes=1)
    at = np.concatenate([[1.0], projection.quarter_factors])
    equation = float(at @ np.linalg.pinv(information) @ at)
    heavy = settings.tail / (settings.tail - 2.0)
    own_variance = float(p.scale[0] ** 2 * p.variance[0]) * (heavy + equation)
    return float(np.sqrt(projection.factor_variance + own_variance))


def in_shock(calm: Floats, known: int, row: int) -> bool:
    """Tell whether the factors were shocked in the quarter ending at `row`, the one before, or of late.

    Parameters
    ----------
    calm
        Per month, from the fit: 1 in ordinary times, near 0 after a large common innovation.
    known
        Last month of the grid with an observation of any indicator.
    row
        The quarter's last month.
    """
    window = calm[max(row - 5, 0) : min(row, known) + 1]
    recent = calm[max(known - 2, 0) : known + 1]
    return bool(min(window.min(initial=1.0), recent.min(initial=1.0)) < _CALM)


def interval(
    deviation: float, *, horizon_days: int, shock: bool, history: pd.DataFrame | None, settings: Settings
) -> Interval:
    """Return half-widths from the model and from past real-time errors.

    Parameters
    ----------
    deviation
        From `model_deviation`, points.
    horizon_days
        Days to the first release.
    shock
        From `in_shock`.
    history
        Past nowcasts with their outcomes, as `Backtest.to_frame` gives them: ``quarter``,
        ``horizon_days``, ``deviation``, ``error``, ``shock``. Rows without an outcome are left out.
    settings
        The model's tail gives the quantiles.

    Notes
    -----
    Errors are divided by the deviation stated at the time. For each past quarter the nowcast nearest to
    the horizon counts, within 35 days of it. The multiplier of the deviation is the mean of the model's
    Student quantile (counting as 10 quarters) and the conformal quantile of the past errors. In a shock
    only errors made in earlier shocks count, at the larger of the two; where there are fewer than three,
    the interval is the model's alone, and says so.
    """
    quantiles = [float(stdtrit(settings.tail, 0.5 + level / 2)) for level in LEVELS]
    # A Student variable's standard deviation is not its scale.
    unit = np.sqrt((settings.tail - 2.0) / settings.tail)
    model = [q * unit for q in quantiles]
    errors = _past(history, horizon_days, shock=shock)
    least = _LEAST_SHOCK if shock else _LEAST
    if len(errors) < least:
        basis: Basis = "model-only-in-shock" if shock else "model"
        return Interval((deviation * model[0], deviation * model[1]), basis, len(errors))
    past = [_conformal(errors, level, fallback) for level, fallback in zip(LEVELS, model, strict=True)]
    if shock:
        factors = [max(a, b) for a, b in zip(past, model, strict=True)]
        return Interval((deviation * factors[0], deviation * factors[1]), "earlier-shocks", len(errors))
    n = len(errors)
    factors = [(n * a + _PRIOR * b) / (n + _PRIOR) for a, b in zip(past, model, strict=True)]
    return Interval((deviation * factors[0], deviation * factors[1]), "past-errors", n)


def _past(history: pd.DataFrame | None, horizon_days: int, *, shock: bool) -> list[float]:
    if history is None or history.empty:
        return []
    error, distance = history["error"].to_numpy(float), history["horizon_days"].to_numpy(float) - horizon_days
    alike = history["shock"].to_numpy(bool) == shock
    rows = np.flatnonzero(~np.isnan(error) & alike & (np.abs(distance) <= _WINDOW_DAYS))
    quarter = history["quarter"].to_numpy(object)[rows].astype(str)
    # By quarter, then nearest to the horizon, the later of two that are as near.
    order = rows[np.lexsort((distance[rows], np.abs(distance[rows]), quarter))]
    found: dict[str, float] = {}
    deviation = history["deviation"].to_numpy(float)
    for name, row in zip(np.sort(quarter).tolist(), order.tolist(), strict=True):
        found.setdefault(name, abs(float(error[row])) / float(deviation[row]))
    return list(found.values())


def _conformal(errors: Sequence[float], level: float, fallback: float) -> float:
    ordered = sorted(errors)
    rank = int(np.ceil((len(ordered) + 1) * level))
    if rank <= len(ordered):
        return ordered[rank - 1]
    return max(ordered[-1], fallback)
