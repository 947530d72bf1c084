"""Seasonal adjustment of a series, or of many: what is asked, what comes back, how much it may still be revised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, OpsroomError, UsageError
from opsroom.measure.seasonal import x13
from opsroom.measure.seasonal.result import SeasonalResult, qs_test
from opsroom.measure.seasonal.stl import StlSettings, decompose
from opsroom.measure.seasonal.terms import Event, calendar_groups, intervention

Floats = npt.NDArray[np.float64]
Method = Literal["stl", "x13"]
Transform = Literal["auto", "log", "none"]
Calendar = Literal["auto", "all", "none"]

SETTLED = 3
"""Years of later data after which an adjusted figure is regarded as final in rehearsals."""
USUAL_REHEARSALS = 24
COVERS = (
    "The bounds cover revisions of the adjusted figure as later data come in, read off rehearsals on this series; "
    "not errors or revisions of the data themselves, and not another choice of method."
)
NOT_ASKED = "No bounds: rehearsals were not asked for, or the series is too short for them."


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that a run needs but the data."""

    method: Method
    transform: Transform
    calendar: Calendar
    country: str | None
    region: str | None
    easter: int | None
    events: dict[str, Event] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    stl: StlSettings = field(default_factory=StlSettings)
    x13: x13.X13Settings = field(default_factory=x13.X13Settings)


def seasonal_adjust(
    series: pd.Series,
    *,
    method: Method = "stl",
    transform: Transform = "auto",
    calendar: Calendar = "auto",
    country: str | None = None,
    region: str | None = None,
    easter: int | None = 8,
    events: Mapping[str, Event] | None = None,
    outliers: Sequence[str] = (),
    stl: StlSettings | None = None,
    x13_settings: x13.X13Settings | None = None,
    rehearsals: int | None = None,
    level: float = 0.9,
    workers: int = 2,
) -> SeasonalResult:
    r"""Take season and calendar out of a monthly or quarterly series.

    Answers: did it rise, or is it always higher in December, and had it one working day more?

    Parameters
    ----------
    series
        Monthly or quarterly, indexed by period or by dates in it; NaN where missing. For real time, the series as it
        was known on a day: nothing else is looked at.
    method
        ``"stl"``, or ``"x13"`` (extra ``opsroom[x13]``).
    transform
        ``"log"``: season is proportional; ``"none"``: it is added; ``"auto"``: by likelihood, ``none`` where a value is
        not positive.
    calendar
        ``"auto"``: groups of calendar regressors are kept where they lower the corrected information criterion;
        ``"all"``; ``"none"``.
    country, region
        Codes of the ``holidays`` library: public holidays count as Sundays among trading days. None: plain weekdays.
    easter
        Days before Easter with an effect; None: none.
    events
        Name → `Event`: moving holidays of one's own (New Year by lunar calendar, Ramadan, a strike week).
    outliers
        Known ones: ``AO2020-04`` (one period), ``LS2020-04`` (level from then on), ``TC2020-04`` (fading). They stay in
        the adjusted series, but do not bend the season. X-13 searches for others, STL leaves them to its
        robust weights.
    stl, x13_settings
        Settings of the methods.
    rehearsals
        Past ends of the series from which the adjustment is rehearsed for the bounds; None: 24 with STL, 0 with X-13
        (each costs a run).
    level
        Probability of the bounds.
    workers
        Processes of X-13 at a time.

    Returns
    -------
    SeasonalResult

    Raises
    ------
    UsageError
        The index is not of months or quarters, or X-13 is asked for and not installed.
    FitError
        The series is too short (three years), not positive under ``log``, or refused by X-13.

    Notes
    -----
    STL: :math:`y_t = T_t + S_t + x_t'b + e_t` on the transformed series; b from the remainders of the smoother,
    then STL on :math:`y - x'b` (see `opsroom.measure.seasonal.stl`). Adjusted is :math:`T + e`. What fails most
    often: a season that changes with the very shock: the last figures then move when the next years come, and the
    bounds, which know calmer revisions only, are too narrow.

    Bounds at age a: the `level` quantile of :math:`|\log A_{t|t+a} - \log A_{t|T}|` over rehearsed ends that have
    three years of later data, not widening with age.

    References
    ----------
    Cleveland, Cleveland, McRae and Terpenning (1990), STL: a seasonal-trend decomposition procedure based on
    loess, Journal of Official Statistics 6. Speckman (1988), Kernel smoothing in partial linear models. Findley,
    Monsell, Bell, Otto and Chen (1998), New capabilities and methods of the X-12-ARIMA program. ESS guidelines
    on seasonal adjustment (2015).

    Examples
    --------
    >>> month = pd.period_range("2010-01", "2019-12", freq="M")
    >>> season = np.tile([1.3, 0.9, 0.9, 1, 1, 1, 1, 0.8, 1, 1, 1, 1.1], 10)
    >>> made = seasonal_adjust(pd.Series(100 * 1.002 ** np.arange(120) * season, index=month), calendar="none")
    >>> made.transform, bool(np.abs(made.adjusted / (100 * 1.002 ** np.arange(120)) / 1.01 - 1).max() < 0.02)
    ('log', True)
    """
    if not 0.0 < level < 1.0:
        raise UsageError("the level is not between 0 and 1.", remedy="Give level=0.9.", code="OPS-U194")
    data = _regular(series)
    smoother = (stl or StlSettings()).resolved(len(data), _period(data))  # past ends are rehearsed with the same
    plan = _Plan(
        method=method, transform=transform, calendar=calendar, country=country, region=region, easter=easter,
        events=dict(events or {}), outliers=tuple(outliers), stl=smoother,
        x13=x13_settings or x13.X13Settings(),
    )  # fmt: skip
    result = _run(data, plan)
    count = (USUAL_REHEARSALS if method == "stl" else 0) if rehearsals is None else rehearsals
    return _bounded(result, data, plan, count, level, workers)


def seasonal_adjust_all(
    table: pd.DataFrame, *, method: Method = "stl", workers: int = 2, **arguments: object
) -> tuple[dict[str, SeasonalResult], dict[str, OpsroomError]]:
    """Adjust each column of a table; what one column cannot have does not stop the others.

    Parameters
    ----------
    table
        One column a series.
    method
        See `seasonal_adjust`.
    workers
        Processes of X-13 at a time.
    **arguments
        Of `seasonal_adjust`.

    Returns
    -------
    tuple of dict
        Results by column, and the errors of the columns that have none.
    """

    def one(name: str) -> SeasonalResult | OpsroomError:
        try:
            return seasonal_adjust(table[name], method=method, workers=1, **arguments)  # type: ignore[arg-type]  # passed on
        except FitError as error:
            return error

    names = [str(c) for c in table.columns]
    with ThreadPoolExecutor(workers if method == "x13" else 1) as pool:
        made = dict(zip(names, pool.map(one, names), strict=True))
    results = {k: v for k, v in made.items() if isinstance(v, SeasonalResult)}
    return results, {k: v for k, v in made.items() if not isinstance(v, SeasonalResult)}


def _regular(series: pd.Series) -> pd.Series:
    """Return the series on all of its months or quarters, from the first known value to the last."""
    index = series.index
    if isinstance(index, pd.DatetimeIndex):
        months = sorted(set(index.month))
        quarterly = len(index) > 1 and float(np.median(np.diff(index.to_period("M").asi8))) == 3.0
        index = index.to_period("Q-DEC" if quarterly and len(months) <= 4 else "M")
    if not isinstance(index, pd.PeriodIndex) or not index.freqstr.startswith(("M", "Q-DEC")):
        raise UsageError(
            "the series is not indexed by months or calendar quarters.",
            remedy="Index it by pandas periods of frequency M or Q, or by dates; days and weeks have measure.adjust.",
            code="OPS-U195",
        )
    if index.has_duplicates:
        raise UsageError("the series has two values for one period.", remedy="Leave one.", code="OPS-U196")
    made = pd.Series(series.to_numpy(dtype=float, na_value=np.nan), index=index).sort_index()
    known = made.dropna()
    if np.isinf(known).any() or len(known) < 3 * (12 if index.freqstr.startswith("M") else 4):
        raise FitError(
            "fewer than three years of finite values: there is no season to be found.",
            remedy="Show the series as it is.",
            code="OPS-M153",
        )
    return made.reindex(pd.period_range(known.index[0], known.index[-1]))


def _run(data: pd.Series, plan: _Plan) -> SeasonalResult:
    if plan.transform == "log" and (data.dropna() <= 0).any():
        raise FitError(
            "the series has values that are not positive: no logarithm.",
            remedy="Use transform='none'.",
            code="OPS-M154",
        )
    return _run_x13(data, plan) if plan.method == "x13" else _run_stl(data, plan)


def _groups(index: pd.PeriodIndex, plan: _Plan) -> dict[str, pd.DataFrame]:
    if plan.calendar == "none":
        return {}
    return calendar_groups(
        index, trading=True, easter=plan.easter, events=plan.events, country=plan.country, region=plan.region
    )


def _period(data: pd.Series) -> int:
    return 12 if pd.PeriodIndex(data.index).freqstr.startswith("M") else 4


def _run_stl(data: pd.Series, plan: _Plan) -> SeasonalResult:
    index = pd.PeriodIndex(data.index)
    period = _period(data)
    groups = _groups(index, plan)
    forced = pd.DataFrame({word: intervention(index, word) for word in plan.outliers}, index=index)
    raw = data.to_numpy(dtype=np.float64)

    log = plan.transform == "log" or (plan.transform == "auto" and _proportional(raw, period))
    made = decompose(
        np.log(raw) if log else raw, groups, forced, period=period, settings=plan.stl, auto=plan.calendar == "auto"
    )
    turn = np.exp if log else np.asarray
    season, calendar = turn(made.seasonal), turn(made.calendar)
    adjusted = raw / season / calendar if log else raw - season - calendar
    frame = pd.DataFrame(
        {
            "observed": raw, "adjusted": adjusted, "trend": turn(made.trend), "seasonal": season, "calendar": calendar,
            "irregular": turn(made.irregular), "lower": np.nan, "upper": np.nan,
        },
        index=index,
    )  # fmt: skip
    return SeasonalResult(
        frame=frame, method="stl", transform="log" if log else "none", regressors=made.regressors,
        outliers=plan.outliers, diagnostics=_tests(frame, period, log=log), covers=NOT_ASKED,
    )  # fmt: skip


def _proportional(values: Floats, period: int) -> bool:
    r"""Return whether changes are better described as proportional.

    Gaussian likelihoods of :math:`\nabla\nabla_s` of logarithms (with their Jacobian) and of values, with
    residuals cut at three robust standard deviations; values must win by a likelihood ratio of e, as in X-13.
    """
    known = values[~np.isnan(values)]
    if (known <= 0).any():
        return False

    def spread(x: Floats) -> float:
        twice = np.diff(x[period:] - x[:-period])
        off = np.abs(twice[~np.isnan(twice)] - np.nanmedian(twice))
        most = 3.0 * 1.4826 * float(np.median(off))
        return 0.5 * float(np.log(np.mean(np.minimum(off, most) ** 2) + 1e-300))

    gain = spread(values) - spread(np.log(values)) - float(np.log(known).mean())
    return len(known) * gain > -1.0


def _run_x13(data: pd.Series, plan: _Plan) -> SeasonalResult:
    index = pd.PeriodIndex(data.index)
    period = _period(data)
    if len(index) > x13.LONGEST * period:
        raise FitError("X-13 takes at most 65 years.", remedy="Give a later start.", code="OPS-M155")
    variables, tested, user, kinds = _x13_regressors(index, period, plan)
    words = tuple(_x13_outlier(intervention(index, word).name) for word in plan.outliers)
    transform = plan.transform if (data.dropna() > 0).all() else "none"
    names = tuple(map(str, user.columns)) if user is not None else ()

    def attempt(settings: x13.X13Settings) -> x13.X13Output:
        spec = x13.write_spec(
            data, transform=transform, variables=(*variables, *words), tested=tested, user=user, kinds=kinds,
            settings=settings,
        )  # fmt: skip
        return x13.run(spec, index, names=names)

    try:
        out = attempt(plan.x13)
    except FitError as refusal:
        # X-13 stops where a model that it tries on the way cannot be estimated: the usual one may do.
        if plan.x13.arima is not None or refusal.code != "OPS-M152":
            raise
        try:
            out = attempt(replace(plan.x13, arima=x13.USUAL))
        except FitError:
            raise refusal from None
        out.diagnostics["fallback"] = refusal.message
    frame = out.tables.assign(observed=data, lower=np.nan, upper=np.nan)
    frame.loc[data.isna(), ["adjusted", "irregular"]] = np.nan
    order = ["observed", "adjusted", "trend", "seasonal", "calendar", "irregular", "lower", "upper"]
    frame = frame[order]
    return SeasonalResult(
        frame=frame, method="x13", transform=out.transform, regressors=out.regressors, outliers=out.outliers,
        diagnostics=_tests(frame, period, log=out.transform == "log") | out.diagnostics, covers=NOT_ASKED,
    )  # fmt: skip


def _x13_regressors(
    index: pd.PeriodIndex, period: int, plan: _Plan
) -> tuple[tuple[str, ...], tuple[str, ...], pd.DataFrame | None, tuple[str, ...]]:
    """Return built-in variables, tested groups, own regressors over the forecasts, and their kinds."""
    if plan.calendar == "none":
        return (), (), None, ()
    lead = period if plan.x13.lead is None else plan.x13.lead
    longer = pd.period_range(index[0], index[-1] + lead)
    own, kinds = [], []
    if plan.country is not None:
        groups = calendar_groups(longer, trading=True, easter=None, events={}, country=plan.country, region=plan.region)
        own += list(groups.values())
        kinds += ["td"] * sum(g.shape[1] for g in groups.values())
    for name, event in plan.events.items():
        own.append(
            calendar_groups(longer, trading=False, easter=None, events={name: event}, country=None, region=None)[name]
        )
        kinds.append("holiday")
    user = pd.concat(own, axis=1) if own else None
    trading = () if plan.country is not None else ("td",)
    moving = (f"easter[{plan.easter}]",) if plan.easter is not None else ()
    if plan.calendar == "all":
        return (*trading, *moving), (), user, tuple(kinds)
    tested = (*trading, *(("easter",) if moving else ()), *(("user",) if own else ()))
    return (*trading, *moving), tested, user, tuple(kinds)


def _x13_outlier(name: object) -> str:
    """Write ``LS2020-04`` or ``AO2020Q2`` as X-13 does."""
    kind, when = str(name)[:2].lower(), str(name)[2:]
    year, part = when.split("Q") if "Q" in when else when.split("-")
    return f"{kind}{year}.{int(part)}"


def _tests(frame: pd.DataFrame, period: int, *, log: bool) -> dict[str, object]:
    turn = np.log if log else np.asarray
    return {
        "qs_observed": qs_test(turn(frame["observed"].to_numpy()), period),
        "qs_adjusted": qs_test(turn(frame["adjusted"].to_numpy()), period),
    }


def _bounded(
    result: SeasonalResult, data: pd.Series, plan: _Plan, count: int, level: float, workers: int
) -> SeasonalResult:
    """Add bounds from rehearsed ends: the transform as chosen, everything else chosen anew each time."""
    period = _period(data)
    ends = [len(data) - SETTLED * period - k for k in range(count)]
    ends = [end for end in ends if end >= 5 * period]
    if len(ends) < 8:
        return replace(result, level=level)
    fixed = replace(plan, transform="log" if result.transform == "log" else "none")
    ages = min(SETTLED * period, min(ends) - 2 * period)

    def rehearse(end: int) -> Floats | None:
        words = tuple(w for w in plan.outliers if pd.Period(w[2:], freq=data.index[0].freq) <= data.index[end - 1])
        try:
            return _run(data.iloc[:end], replace(fixed, outliers=words)).frame["adjusted"].to_numpy()
        except FitError:
            return None

    with ThreadPoolExecutor(workers if plan.method == "x13" else 1) as pool:
        past = [(end, made) for end, made in zip(ends, pool.map(rehearse, ends), strict=True) if made is not None]
    turn = np.log if result.transform == "log" else np.asarray
    final = turn(result.frame["adjusted"].to_numpy(dtype=float))
    moved = np.full((len(past), ages), np.nan)
    for k, (end, made) in enumerate(past):
        moved[k] = np.abs(turn(made[end - ages : end]) - final[end - ages : end])[::-1]
    width = np.array([_quantile(column, level) for column in moved.T])
    # A figure of some age is never less certain than it was when younger.
    width = np.minimum.accumulate(np.where(np.isnan(width), np.inf, width))
    age = np.minimum(np.arange(len(data))[::-1], ages - 1)
    half = np.where(np.isfinite(width[age]), width[age], np.nan)
    back = np.exp if result.transform == "log" else np.asarray
    frame = result.frame.assign(lower=back(final - half), upper=back(final + half))
    return replace(result, frame=frame, level=level, covers=COVERS)


def _quantile(errors: Floats, level: float) -> float:
    """Return the quantile that covers a further error with that probability, were they exchangeable."""
    known = np.sort(errors[~np.isnan(errors)])
    if len(known) < 8:
        return float("nan")
    return float(known[min(len(known), ceil((len(known) + 1) * level)) - 1])
