"""`nowcast`: from one vintage to growth of the quarters not yet released."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.benchmark import ar1, bridge
from opsroom.measure.nowcast.dfm.grid import gather
from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel
from opsroom.measure.nowcast.dfm.parameters import FactorParameters
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.panel import COMMON, Panel, blocks_of, build_panel, label, quarter_of
from opsroom.measure.nowcast.releases import NextRelease, period_end, upcoming
from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast
from opsroom.measure.nowcast.spec import SeriesSpec, Settings
from opsroom.measure.nowcast.together import nearest, together

DEFAULT_LAG = 45
"""Days from a quarter's end to the first release of GDP where neither vintages nor specification tell."""


@dataclass(frozen=True, slots=True)
class Workings:
    """What `news` needs of a nowcast: panel, fitted model, settings."""

    panel: Panel
    fitted: FittedFactorModel
    settings: Settings


@dataclass(frozen=True, slots=True)
class Learnt:
    """A model as it was learnt as of a day, for the nowcasts of later days to keep its parameters."""

    day: dt.date
    model: FittedFactorModel


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
    start: FactorParameters | None = None,
    learnt: Learnt | None = None,
    quarters_ahead: int = 1,
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
    start
        Parameters of an earlier vintage to begin from: quicker, and steadier in a shock. Left aside where the series
        are not the same, or where the search from there does not converge.
    learnt
        The model as `learn` found it on an earlier vintage: its parameters are kept, and only what errors weigh is
        found for this vintage's data. Left aside where the series are not the same. Absent: learnt from this vintage.
    quarters_ahead
        Quarters after that of `as_of` that are nowcast.

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
    The model is `DynamicFactorModel`, with Student errors. The assumption that fails most often: that
    the relation between indicators and GDP in an extraordinary quarter is the ordinary one; the
    interval widens with the distance of the factors from their mean, and says when it is the model's alone.

    References
    ----------
    Bańbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160.
    """
    settings = settings or Settings()
    grid = build_panel(panel, target=target, specs=specs, as_of=as_of, settings=settings)
    fitted = None if learnt is None else reread(learnt.model, grid)
    learnt_on = as_of if fitted is None or learnt is None else learnt.day
    fitted = fitted or fit(grid, specs, settings, start=start)
    known_lags = {s.name: s.publication_lag_days for s in specs if s.publication_lag_days is not None}
    known_lags |= dict(lags or {})
    due = tuple(upcoming(panel, specs=specs, lags=known_lags, as_of=as_of)) if calendar else ()
    today = quarter_of(12 * as_of.year + as_of.month - 1)
    released = np.flatnonzero(~np.isnan(grid.values[:, 0]))
    first = quarter_of(grid.first_month + int(released[-1])) + 1
    wanted = list(pd.period_range(first, max(today, first) + quarters_ahead, freq="Q"))
    wanted = [q for q in wanted if grid.index(q) < grid.months]
    if not wanted:
        raise FitError(
            "the target is already released beyond the as-of day's next quarter.",
            code="OPS-M111",
            remedy="Check the as-of day and the target's periods.",
        )
    lag = known_lags.get(target, DEFAULT_LAG)
    past = _known_by(history, as_of, {label(quarter_of(grid.first_month + int(k))) for k in released})
    quarters = tuple(_one(grid, fitted, target, quarter, _horizon(quarter, lag, as_of), past) for quarter in wanted)
    headline = label(today) if today in wanted else label(wanted[0])
    due = tuple(replace(one, could_move=_stake(fitted, target, headline, one)) for one in due)
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
        learnt_on=learnt_on,
    )


def learn(
    panel: pd.DataFrame | Mapping[str, pd.Series],
    *,
    target: str,
    as_of: dt.date,
    specs: Sequence[SeriesSpec],
    settings: Settings | None = None,
    start: FactorParameters | None = None,
) -> Learnt:
    """Learn the model from one vintage, for the nowcasts of later days; arguments and errors as in `nowcast`.

    Answers: what did the data of that day teach, to be kept until it is time to learn again?
    """
    settings = settings or Settings()
    grid = build_panel(panel, target=target, specs=specs, as_of=as_of, settings=settings)
    return Learnt(as_of, fit(grid, specs, settings, start=start))


def reread(model: FittedFactorModel, panel: Panel) -> FittedFactorModel | None:
    """Return the model on another vintage, parameters as they are; None where the series are not the same."""
    grid = gather(*panel.tables())
    return model.updated(grid) if grid.names == model.grid.names else None


def _known_by(history: pd.DataFrame | None, as_of: dt.date, released: set[str]) -> pd.DataFrame | None:
    """Return the past nowcasts whose outcomes this vintage contains."""
    if history is None or history.empty:
        return None
    days = pd.to_datetime(history["day"])
    return history[(days < pd.Timestamp(as_of)) & history["quarter"].isin(released)]


def fit(
    panel: Panel, specs: Sequence[SeriesSpec], settings: Settings, *, start: FactorParameters | None = None
) -> FittedFactorModel:
    """Fit the factor model to one vintage; arguments and errors as in `nowcast`."""
    monthly, quarterly = panel.tables()
    blocks = blocks_of(specs, panel.names)
    own = {b for names in blocks.values() for b in names if b != COMMON}
    factors = {COMMON: settings.factors, **dict.fromkeys(own, 1)}
    model = DynamicFactorModel(
        factors=factors if own else settings.factors,
        factor_order=settings.lags,
        blocks=blocks if own else None,
        robust=Robust(tail=settings.tail, shock_tail=settings.shock_tail),
    )

    def fitted(begin: FactorParameters | None) -> FittedFactorModel:
        return model.fit(monthly, quarterly, tol=settings.tolerance, max_iter=settings.max_iterations, start=begin)

    if start is None or start.names != (*monthly.columns, *quarterly.columns):
        return fitted(None)
    try:
        return fitted(start)
    except FitError:
        return fitted(None)  # what was learnt then leads nowhere now: begin anew


def _stake(fitted: FittedFactorModel, target: str, quarter: str, due: NextRelease) -> float | None:
    """Return how far a figure could move the nowcast; None for a series that the model does not have."""
    if due.series not in fitted.grid.names or (due.series, due.period) == (target, quarter):
        return None
    period = due.period if "Q" in due.period else due.period[:7]  # a week or a day counts in its month
    return fitted.at_stake(target, quarter, due.series, period)


def _horizon(quarter: pd.Period, lag: int, as_of: dt.date) -> int:
    end = period_end(quarter.start_time, "Q").date()
    return int((end - as_of).days + lag)


def _one(
    grid: Panel, fitted: FittedFactorModel, target: str, quarter: pd.Period, horizon: int, history: pd.DataFrame | None
) -> QuarterNowcast:
    row = grid.index(quarter)
    past = alike(history, horizon)
    found = fitted.nowcast(target, quarter, history=past)
    naive, bridged = ar1(grid, row), bridge(grid, row)
    if found.shock:
        # In a shock one does not know which relation still holds: what the models disagree on, and what the
        # indicators, each by its own bridge, disagree on, is part of the error.
        beyond = float(np.hypot(found.mean - bridged.growth, bridged.discord))
        found = fitted.nowcast(target, quarter, history=past, beyond=beyond)
    levels = found.quantiles
    said = {
        "growth": found.mean, "deviation": found.sd, "bridge": bridged.growth, "bridge_deviation": bridged.deviation,
        "ar1": naive.growth, "ar1_deviation": naive.deviation, "discord": bridged.discord, "shock": float(found.shock),
    }  # fmt: skip
    pool = together(said, history, horizon)
    normal, components = fitted.contributions(target, quarter)
    return QuarterNowcast(
        quarter=label(quarter),
        horizon_days=horizon,
        growth=found.mean,
        deviation=found.sd,
        lower68=levels[0.16],
        upper68=levels[0.84],
        lower90=levels[0.05],
        upper90=levels[0.95],
        basis=found.basis,
        past=found.past,
        shock=found.shock,
        ar1=naive.growth,
        ar1_deviation=naive.deviation,
        bridge=bridged.growth,
        bridge_deviation=bridged.deviation,
        discord=bridged.discord,
        pool=pool.growth,
        pool_lower68=pool.lower68,
        pool_upper68=pool.upper68,
        pool_lower90=pool.lower90,
        pool_upper90=pool.upper90,
        pool_past=pool.past,
        pool_weights=pool.weights,
        normal=normal,
        components=components,
    )


def alike(history: pd.DataFrame | None, horizon_days: int) -> pd.DataFrame | None:
    """Return past nowcasts at about this horizon, one a quarter: the nearest, the later of two that are as near.

    Parameters
    ----------
    history
        As `Backtest.to_frame` gives it: ``quarter``, ``horizon_days``, ``deviation``, ``error``, ``shock``.
    horizon_days
        Days to the first release; nowcasts within 35 days of it count.

    Returns
    -------
    pandas.DataFrame
        ``error``, ``sd`` and ``shock``, for `quantiles`.
    """
    if history is None or history.empty:
        return None
    first = nearest(history, horizon_days, by=("quarter", "shock"))
    return first[["error", "deviation", "shock"]].rename(columns={"deviation": "sd"})
