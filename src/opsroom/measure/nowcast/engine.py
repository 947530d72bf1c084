"""`nowcast`: from one vintage to growth of the quarters not yet released."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.benchmark import ar1, bridge
from opsroom.measure.nowcast.estimate import Fit, fit
from opsroom.measure.nowcast.interval import in_shock, interval, model_deviation
from opsroom.measure.nowcast.linear import State, by_series, project
from opsroom.measure.nowcast.panel import Panel, build_panel, label, quarter_of
from opsroom.measure.nowcast.releases import period_end, upcoming
from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast
from opsroom.measure.nowcast.spec import SeriesSpec, Settings

DEFAULT_LAG = 45
"""Days from a quarter's end to the first release of GDP where neither vintages nor specification tell."""


@dataclass(frozen=True, slots=True)
class Workings:
    """What `news` needs of a nowcast: panel, fit, settings."""

    panel: Panel
    fit: Fit
    settings: Settings


def nowcast(
    panel: pd.DataFrame | Mapping[str, pd.Series],
    *,
    target: str,
    as_of: dt.date,
    specs: Sequence[SeriesSpec],
    history: pd.DataFrame | None = None,
    lags: Mapping[str, int] | None = None,
    settings: Settings | None = None,
    calendar: bool = True,
) -> NowcastResult:
    """Nowcast the target's growth in the quarters that have no first release yet.

    Answers: how fast is the economy growing this quarter, given all that has been published so far?

    Parameters
    ----------
    panel
        One vintage in levels, the latest values as of `as_of`: a long frame (``series``, ``period``,
        ``value``) or a mapping code → Series. Periods by any day in them; D, W, M and Q may be mixed.
    target
        Code of the quarterly level (GDP at constant prices, seasonally adjusted).
    as_of
        The vintage's day. Nothing else tells the method what day it is.
    specs
        One a series to be used: frequency, transform, block, publication lag.
    history
        Earlier real-time nowcasts with their outcomes (`Backtest.to_frame`), for the interval. Rows made on
        `as_of` or later, or about a quarter that this vintage does not contain, are not looked at.
    lags
        Series → days from period end to first release, as `learn_lags` finds them; before the specs' own.
    settings
        See `Settings`.
    calendar
        List the releases that come next; a rehearsal of past days has no need of them.

    Returns
    -------
    NowcastResult
        Growth in % on the quarter before, not annualised, with 68 and 90 % intervals and two benchmarks.

    Raises
    ------
    FitError
        Too little data, or a fit that did not converge, fell, is not stationary or not finite: refused.

    Notes
    -----
    See `opsroom.measure.nowcast.estimate.fit` for the model. The assumption that fails most often: that
    the relation between indicators and GDP in an extraordinary quarter is the ordinary one; the
    interval widens with the distance of the factors from their mean, and says when it is the model's alone.

    References
    ----------
    Bańbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160.
    """
    settings = settings or Settings()
    grid = build_panel(panel, target=target, specs=specs, as_of=as_of, settings=settings)
    fitted = fit(grid, settings)
    known_lags = {s.name: s.publication_lag_days for s in specs if s.publication_lag_days is not None}
    known_lags |= dict(lags or {})
    due = tuple(upcoming(panel, specs=specs, lags=known_lags, as_of=as_of)) if calendar else ()
    today = quarter_of(12 * as_of.year + as_of.month - 1)
    released = np.flatnonzero(~np.isnan(grid.values[:, 0]))
    first = quarter_of(grid.first_month + int(released[-1])) + 1
    wanted = list(pd.period_range(first, max(today, first) + 1, freq="Q"))
    wanted = [q for q in wanted if grid.index(q) < grid.months]
    if not wanted:
        raise FitError(
            "the target is already released beyond the as-of day's next quarter.",
            code="OPS-M111",
            remedy="Check the as-of day and the target's periods.",
        )
    lag = known_lags.get(target, DEFAULT_LAG)
    past = _known_by(history, as_of, {label(quarter_of(grid.first_month + int(k))) for k in released})
    quarters = tuple(_one(grid, fitted, settings, quarter, _horizon(quarter, lag, as_of), past) for quarter in wanted)
    headline = label(today) if today in wanted else label(wanted[0])
    official = {label(quarter_of(grid.first_month + int(k))): float(grid.values[k, 0]) for k in released[-8:]}
    return NowcastResult(
        as_of=as_of,
        target=target,
        target_quarter=headline,
        quarters=quarters,
        official=official,
        next_release=due[0] if due else None,
        calendar=due,
        workings=Workings(grid, fitted, settings),
        titles={s.name: s.title or s.name for s in specs if s.name in grid.names},
    )


def _known_by(history: pd.DataFrame | None, as_of: dt.date, released: set[str]) -> pd.DataFrame | None:
    """Return the past nowcasts whose outcomes this vintage contains."""
    if history is None or history.empty:
        return None
    days = pd.to_datetime(history["day"])
    return history[(days < pd.Timestamp(as_of)) & history["quarter"].isin(released)]


def _horizon(quarter: pd.Period, lag: int, as_of: dt.date) -> int:
    end = period_end(quarter.start_time, "Q").date()
    return int((end - as_of).days + lag)


def _one(
    grid: Panel,
    fitted: Fit,
    settings: Settings,
    quarter: pd.Period,
    horizon: int,
    history: pd.DataFrame | None,
) -> QuarterNowcast:
    row = grid.index(quarter)
    state = State(fitted.parameters, fitted.observations, fitted.rows, fitted.posterior)
    found = project(state, row)
    deviation = model_deviation(fitted, found, settings)
    newest = int(fitted.observations.month[fitted.observations.series > 0].max())
    shock = in_shock(fitted.parameters.calm, newest, row)
    naive, bridged = ar1(grid, row), bridge(grid, row)
    if shock:
        # In a shock one does not know which relation still holds: what the models disagree on, and what the
        # indicators, each by its own bridge, disagree on, is part of the error.
        deviation = float(np.sqrt(deviation**2 + (found.value - bridged.growth) ** 2 + bridged.discord**2))
    width = interval(deviation, horizon_days=horizon, shock=shock, history=history, settings=settings)
    return QuarterNowcast(
        quarter=label(quarter),
        horizon_days=horizon,
        growth=found.value,
        deviation=deviation,
        lower68=found.value - width.half[0],
        upper68=found.value + width.half[0],
        lower90=found.value - width.half[1],
        upper90=found.value + width.half[1],
        basis=width.basis,
        past=width.past,
        shock=shock,
        ar1=naive.growth,
        ar1_deviation=naive.deviation,
        bridge=bridged.growth,
        bridge_deviation=bridged.deviation,
        normal=found.mean,
        components={str(k): float(v) for k, v in by_series(grid, state, found).items()},
    )
