"""The composite weekly index, from a panel as it was known on a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.composite.factor import Factor, fit_factor
from opsroom.measure.composite.grid import YEAR, Floats, Rows, monday, period_rows, rows_of, week_of
from opsroom.measure.composite.inputs import Input, Settings
from opsroom.measure.composite.known_output import ordinals, quarter_growth
from opsroom.measure.composite.reading import Known, Readings
from opsroom.measure.composite.result import CompositeResult, InputReport
from opsroom.measure.composite.scaling import Scaling, fit_scaling
from opsroom.measure.known import known

_START = 0.3


def composite(
    panel: pd.DataFrame | Mapping[str, pd.Series],
    *,
    target: str,
    inputs: Sequence[Input],
    as_of: dt.date,
    base: tuple[dt.date, dt.date] | None = None,
    calibrate: tuple[dt.date, dt.date] | None = None,
    settings: Settings | None = None,
) -> CompositeResult:
    """Make one weekly index of activity of inputs of any frequency, on the scale of GDP growth.

    It answers: how far is output this week from a year ago and from its normal path, as far as everything that is
    published by now can tell, and how sure is that?

    Parameters
    ----------
    panel
        See `known`: long frame with ``series``, ``period``, ``value`` and, where vintages are kept, ``known_at``;
        or a mapping of code → Series.
    target
        Code of quarterly GDP, a level.
    inputs
        One `Input` for the target and each series used; their order and units change nothing.
    as_of
        The day. What became known later is not looked at, neither in the index nor in what it is fitted on.
    base
        Days whose mean gap is zero in the level version. None: the four quarters before the last.
    calibrate
        Quarters that end in this span put the factor on the scale of GDP. None: all that are known.
    settings
        See `Settings`.

    Returns
    -------
    CompositeResult

    Raises
    ------
    FitError
        No usable input, too few growth rates of the target, or no convergence.

    Notes
    -----
    One path :math:`f_w` of weeks stands behind all: :math:`f_w = f_{w-1} + u_w`, :math:`u_w \\sim t_3`. Input
    :math:`i` says :math:`x_{ik} = \\mu_i + \\lambda_i a_k' f + e_{ik}`, where :math:`a_k` averages the weeks of its
    period (and subtracts those a year before), and :math:`e_{ik}` remembers the error before and has tails of
    :math:`t_5`. Growth on 52 weeks before is :math:`\\alpha + \\beta (f_w - f_{w-52})`, with both from a regression
    of GDP; the gap to the normal path, :math:`\\beta (f_w - \\bar f_{base})`, has no base a year ago. Both read the
    same path. What fails most often: in a shock, the relation of inputs to output is not the ordinary one.

    References
    ----------
    Lewis, Mertens, Stock and Trivedi (2020), Measuring real activity using a weekly economic index. Eraslan and
    Götz (2020), An unconventional weekly economic activity index for Germany. Bańbura and Modugno (2014). Fernández
    (1981), A methodological note on the estimation of time series, Review of Economics and Statistics 63.
    """
    settings = settings or Settings()
    specs = _specs(inputs, target)
    frame, basis = known(panel, of=list(specs.values()), as_of=as_of)
    pieces = {str(name): part for name, part in frame.groupby("series", sort=True)}
    level = _level(pieces, target)
    quarters, growth = _growth(level)
    names, rows, left_out = _usable(pieces, specs, target, settings)
    last = _last_week(rows, as_of)
    first = min(int(one.column.min()) for one in rows)
    # The grid reaches to the end of the as-of day's quarter, so that its growth can be told.
    end = max(last, week_of((pd.Timestamp(as_of).to_period("Q")).end_time))
    weeks = end - first + 1
    rows = [one.shifted(first) for one in rows]
    inside = np.array([week_of(q.start_time) - YEAR > first for q in quarters], dtype=bool)
    quarters, growth = [q for q, yes in zip(quarters, inside, strict=True) if yes], growth[inside]
    if len(quarters) < settings.min_quarters:
        raise FitError(
            f"the target {target!r} has {len(quarters)} growth rates beside the inputs; "
            f"{settings.min_quarters} are needed.",
            code="OPS-M133", remedy="Add inputs with a longer history, monthly ones for instance.",
        )  # fmt: skip
    aim = _quarter_rows(quarters).shifted(first)
    drifts = np.array([specs[name].drifts for name in names])
    factor = fit_factor(
        rows, weeks=weeks, last=last - first, signs=_signs(rows, aim, growth), drifts=drifts, settings=settings
    )
    used = np.array([_within(q, calibrate) for q in quarters])
    if used.sum() < settings.min_quarters:
        raise FitError(
            f"{int(used.sum())} quarters lie in the span of calibration; {settings.min_quarters} are needed.",
            code="OPS-M133", remedy="Widen `calibrate`.",
        )  # fmt: skip
    scaling = fit_scaling(growth[used], aim.times(factor.path)[used])
    span = base or _base(as_of)
    told = pd.period_range(quarters[0], pd.Timestamp(as_of).to_period("Q"), freq="Q")
    readings = Readings.of(
        factor, scaling, first=first, last=last, base=span, quarters=_quarter_rows(list(told)).shifted(first),
        asked=ordinals(list(told)), names=names, target=target, coverage=settings.level,
        known=_known_output(level, first) if settings.output else None,
    )  # fmt: skip
    known_growth = pd.Series(growth, index=pd.PeriodIndex(quarters)).reindex(told).to_numpy()
    return CompositeResult(
        frame=readings.frame(_usual(growth)), parts_growth=readings.parts_growth(),
        parts_level=readings.parts_level(), doubt=readings.doubt(),
        quarters=readings.quarterly(told.rename("quarter"), known_growth),
        inputs=_reports(names, specs, rows, factor, scaling, first, last), left_out=tuple(left_out),
        unconfirmed=tuple(names[i] for i in factor.doubted), target=target, target_title=specs[target].title or target,
        as_of=as_of, base=span, basis=basis,
        scaling=scaling, level=settings.level, iterations=factor.iterations,
    )  # fmt: skip


def _specs(inputs: Sequence[Input], target: str) -> dict[str, Input]:
    specs = {one.name: one for one in inputs}
    if len(specs) < len(inputs):
        raise UsageError("two inputs have the same name.", remedy="Give each series one Input.")
    if target not in specs:
        raise UsageError(f"there is no Input for the target {target!r}.", remedy="Add one with frequency 'Q'.")
    specs[target] = replace(specs[target], frequency="Q", scale="log", compare="year")
    return dict(sorted(specs.items()))


def _level(pieces: Mapping[str, pd.DataFrame], target: str) -> pd.Series:
    """Return the target's known level by quarter, NaN where it is missing."""
    if target not in pieces:
        raise FitError(
            f"nothing of the target {target!r} is known on the day.", code="OPS-M133",
            remedy="Ingest the target's series or name another target.",
        )  # fmt: skip
    part = pieces[target]
    level = pd.Series(part["value"].to_numpy(), index=pd.PeriodIndex(part["start"].dt.to_period("Q"))).sort_index()
    return level.where(level > 0).reindex(pd.period_range(level.index.min(), level.index.max(), freq="Q"))


def _growth(level: pd.Series) -> tuple[list[pd.Period], Floats]:
    """Return the quarters and 100 times the log change of the target on four quarters before."""
    log = pd.Series(100.0 * np.log(level.to_numpy(np.float64)), index=level.index)
    change = (log - log.shift(4)).dropna()
    return list(change.index), change.to_numpy(np.float64)


def _known_output(level: pd.Series, first: int) -> Known:
    """Return the target's growth from quarter to quarter, as far as the grid that begins with week `first` reaches."""
    growth = quarter_growth(level)
    growth = growth[[week_of((quarter - 1).start_time) > first for quarter in growth.index]]
    quarters = list(growth.index)
    steps = _quarter_rows(quarters, back=1).shifted(first)
    return Known(growth.to_numpy(np.float64), ordinals(quarters), steps)


def _usable(
    pieces: Mapping[str, pd.DataFrame], specs: Mapping[str, Input], target: str, settings: Settings
) -> tuple[list[str], list[Rows], list[str]]:
    names, rows, left_out = [], [], []
    for name, one in specs.items():
        if name == target:
            continue
        made = rows_of(one, pieces[name]) if name in pieces else None
        if made is None or len(made) < settings.min_observations or float(np.ptp(made.value)) == 0.0:
            left_out.append(name)
            continue
        names.append(name)
        rows.append(made)
    if not rows:
        raise FitError(
            "no input has enough values that were known on the day.", code="OPS-M135",
            remedy="Add inputs, choose a later day, or state shorter publication lags.",
        )  # fmt: skip
    return names, rows, left_out


def _last_week(rows: Sequence[Rows], as_of: dt.date) -> int:
    """Return the last week that has ended by the day, or later where something is known of a later one."""
    ended = week_of(as_of) if as_of.weekday() == 6 else week_of(as_of) - 1
    return max(ended, *(int(one.column.max()) for one in rows))


def _quarter_rows(quarters: Sequence[pd.Period], *, back: int = 4) -> Rows:
    def span(q: pd.Period) -> tuple[np.datetime64, np.datetime64]:
        return np.datetime64(q.start_time, "D"), np.datetime64(q.end_time, "D")

    return period_rows([span(q) for q in quarters], [span(q - back) for q in quarters])


def _within(quarter: pd.Period, span: tuple[dt.date, dt.date] | None) -> bool:
    return span is None or span[0] <= quarter.end_time.date() <= span[1]


def _base(as_of: dt.date) -> tuple[dt.date, dt.date]:
    end = pd.Timestamp(as_of).to_period("Q") - 2
    return (end - 3).start_time.date(), end.end_time.date()


def _usual(growth: Floats) -> float:
    """Return the robust standard deviation of growth on a year."""
    return 1.4826 * float(np.median(np.abs(growth - np.median(growth))))


def _signs(rows: Sequence[Rows], aim: Rows, growth: Floats) -> Floats:
    """Return start values of the loadings: the correlation of each input with growth, where there is enough."""
    signs = np.zeros(len(rows))
    for i, one in enumerate(rows):
        quarter = pd.Series(one.value).groupby(np.searchsorted(aim.week, one.week - 6)).mean()
        quarter = quarter[(quarter.index < len(growth)) & (quarter.index >= 0)]
        if len(quarter) >= 8 and quarter.std() > 0:
            signs[i] = np.corrcoef(quarter.to_numpy(), growth[quarter.index.to_numpy()])[0, 1]
    if not np.any(signs):
        signs[:] = _START
    return _START * signs / float(np.abs(signs).max())


def _reports(
    names: Sequence[str], specs: Mapping[str, Input], rows: Sequence[Rows], factor: Factor, scaling: Scaling,
    first: int, last: int,
) -> tuple[InputReport, ...]:  # fmt: skip
    found = []
    for i, (name, one) in enumerate(zip(names, rows, strict=True)):
        sign = np.sign(scaling.slope)
        found.append(
            InputReport(
                name=name, title=specs[name].title or name, observations=len(one),
                first=monday(int(one.week.min()) + first).date(), latest=monday(int(one.column.max()) + first).date(),
                weeks_missing=max(0, last - first - int(one.column.max())),
                loading=float(sign * factor.loading[i]), memory=float(factor.lasting.memory[i]),
                outliers=int((factor.trust[i] < 0.25).sum()),
            )
        )  # fmt: skip
    return tuple(found)
