"""Activity from load: what was used against what a normal day would have used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.activity_fit import Normal, fit_normal
from opsroom.measure.activity_learnt import Kept
from opsroom.measure.activity_output import Elasticity, output_gap
from opsroom.measure.activity_tables import (
    by_hour,
    by_row,
    by_week,
    daily_means,
    frame_of,
    half_of,
    hourly_table,
    known_by,
    span_ratio,
    spans_of,
    step_of,
    weekly_table,
)

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

Weather = pd.Series | pd.DataFrame

METHOD = "activity-2"
PERIOD = {"D": "%Y-%m-%d", "W": "%G-W%V", "h": "%Y-%m-%dT%H:00"}
"""How a period is written in releases: a day, an ISO week or an hour."""

FREQUENCIES = tuple(PERIOD)


@dataclass(frozen=True, slots=True)
class ActivityResult:
    """Observed and expected load with the gap between them.

    Attributes
    ----------
    frame
        Columns ``observed``, ``expected`` (unit of the load) and ``gap``, ``lower``, ``upper`` (per cent,
        nominal 90 % prediction interval), indexed by date; with several classes by ``series`` and date.
    fits
        One row a series: best ``trend`` and its ``penalty``, ``mix`` of all that are averaged, ``days`` of training,
        ``residual_sd`` and ``coverage`` out of sample (log points, share), ``next_day_sd`` (of the error of tomorrow's
        load once today's is known), ``weather`` used or not, ``steps`` in level found in the normal spans.
    errors
        Out-of-sample errors of rehearsed forecasts inside the normal spans: ``series``, ``origin``,
        ``date``, ``horizon`` (days), ``error`` (log points), ``score`` (in predicted standard deviations);
        of hourly load also ``hour``.
    retrospective
        True where a span regarded as normal ends after `as_of`: the figure could not have been made then.
    """

    frame: pd.DataFrame
    fits: pd.DataFrame
    errors: pd.DataFrame
    train: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]
    freq: str
    country: str | None
    region: str | Mapping[str, str] | None
    as_of: pd.Timestamp | None
    retrospective: bool
    rehearsed_daily: bool = True
    """False where the load itself was weekly."""

    def to_frame(self) -> pd.DataFrame:
        """Return ``observed, expected, gap, lower, upper``."""
        return self.frame.copy()

    def span(self, start: object, end: object, *, series: str | None = None) -> pd.Series:
        """Return the gap of a whole span with its own interval.

        Errors of neighbouring days go together, so the interval of a month is not that of a day
        divided by the root of thirty: it is read off the errors of spans of the same length in the
        rehearsed forecasts.

        Parameters
        ----------
        start, end
            First and last day, anything that pandas reads as a date.
        series
            Class wanted, where there are several.

        Returns
        -------
        pandas.Series
            ``gap``, ``lower``, ``upper`` in per cent, ``days`` (hours or weeks where the index has these).
        """
        frame = self._one(series)
        last = pd.Timestamp(str(end))
        last += pd.Timedelta(hours=23) if self.freq == "h" and last == last.normalize() else pd.Timedelta(0)
        part = frame.loc[pd.Timestamp(str(start)) : last].dropna()
        if part.empty:
            raise UsageError("the span holds no day with an expected value.", remedy="Choose a later start.")
        log_gap = float(np.log(part["observed"].sum() / part["expected"].sum()))
        name = series if series is not None else str(self.fits.index[0])
        own = self.errors[self.errors["series"] == name]
        rows = len(part) * (7 if self.freq == "W" and self.rehearsed_daily else 1)
        width = float(half_of(part).mean()) * span_ratio(own, rows)
        if rows > len(part):
            width /= span_ratio(own, 7)
        bounds = [100 * float(np.expm1(log_gap + move)) for move in (0.0, -width, width)]
        return pd.Series([*bounds, len(part)], index=["gap", "lower", "upper", "days"])

    def level(self) -> pd.DataFrame:
        """Return the index of the level, 100 on a normal day: ``level``, ``lower``, ``upper``.

        A year-on-year rate compares with a year that may have been a shock itself; this compares with what is normal.
        """
        levels = 100 + self.frame[["gap", "lower", "upper"]]
        return levels.rename(columns={"gap": "level"})

    def output(self, elasticity: Elasticity | Mapping[str, Elasticity]) -> pd.DataFrame:
        """Return the gap in output, which electricity only stands for: ``gap``, ``lower``, ``upper`` in per cent.

        Parameters
        ----------
        elasticity
            By how many per cent electricity falls when output falls by one, with its own interval: of each series,
            or one for all. None is built in: it differs by sector and country, and services use electricity for
            light and warmth that go on when sales do not, so that a gap in theirs understates the one in output.
            See `opsroom.measure.activity_output.fit_elasticity`.
        """
        if isinstance(elasticity, Elasticity):
            return output_gap(self.frame, elasticity)
        names = self.fits.index.astype(str).tolist()
        missing = [name for name in names if name not in elasticity]
        if missing or self.frame.index.nlevels == 1:
            raise UsageError(
                f"there is no elasticity for {', '.join(missing) or 'the one series'}.",
                remedy="Give one elasticity, or one for each of several series.",
            )
        return pd.concat([output_gap(self.frame.loc[[name]], elasticity[name]) for name in names])

    def summary(self) -> str:
        """Return fit, accuracy and the latest gap of each series in a few lines."""
        lines = []
        for name, fit in self.fits.iterrows():
            one = self._one(str(name)).dropna()
            if one.empty:
                continue
            last = one.iloc[-1]
            lines.append(
                f"{name}: {last['gap']:+.1f} % against normal on {pd.Timestamp(one.index[-1]):%Y-%m-%d} "
                f"(90 % interval {last['lower']:+.1f} to {last['upper']:+.1f}); out of sample sd "
                f"{100 * fit['residual_sd']:.1f} %, coverage {100 * fit['coverage']:.0f} %"
            )
        if self.retrospective:
            lines.append("Retrospective: a span regarded as normal ends after the as-of day.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the sources of the method."""
        return (
            f"opsroom {METHOD}: robust penalised regression of log load on weekday, season, holidays and "
            "temperature, after S. Cicala (2020), C. Fezzi and V. Fanghella (2020); interval from rehearsed "
            "forecasts (L. Tashman, 2000; V. Vovk et al., 2005)."
        )

    def chart(self) -> alt.LayerChart:
        """Draw the gap with its interval; the title states the latest figure."""
        import altair as alt

        frame = self.frame.reset_index()
        if "series" not in frame:
            frame["series"] = str(self.fits.index[0])
        frame = frame.dropna(subset=["gap"])
        base = alt.Chart(frame).encode(x=alt.X("date:T", title=None))
        band = base.mark_area(opacity=0.2).encode(
            y=alt.Y("lower:Q", title="Gap to a normal day, %"), y2="upper:Q", color="series:N"
        )
        line = base.mark_line(strokeWidth=1.2).encode(y="gap:Q", color=alt.Color("series:N", title=None))
        last = frame.iloc[-1]
        title = f"{last['gap']:+.1f} % against a normal day on {last['date']:%d %B %Y}"
        layered: alt.LayerChart = (band + line).properties(title=title, width=640, height=260)
        return layered

    def cells(self, name: str, *, public: bool = False, source: str = "", since: object | None = None) -> Cells:
        """Return the release series ``activity.<name>``.

        Parameters
        ----------
        name
            Name of the dataset.
        public
            True when every input is a registered public dataset.
        source
            Words shown on pages.
        since
            First day to publish; None for all.
        """
        from opsroom.base.results import Cells, Measure

        frame = self.frame.reset_index()
        if "series" not in frame:
            frame["series"] = str(self.fits.index[0])
        frame = frame.dropna(subset=["gap"])
        if since is not None:
            frame = frame[frame["date"] >= pd.Timestamp(str(since))]
        frame = frame.assign(date=frame["date"].dt.strftime(PERIOD[self.freq]))
        frame = frame.rename(columns={"lower": "gap_lower", "upper": "gap_upper"})
        for bound in ("gap_lower", "gap_upper"):
            frame[bound] = frame[bound].round(1)
        measures = (
            Measure("observed", "public", "unit of the series", decimals=1),
            Measure("expected", "public", "unit of the series", decimals=1),
            Measure("gap", "public", "%", decimals=1, attached=("gap_lower", "gap_upper")),
        )
        facts: dict[str, Any] = {
            "train": [[f"{a:%Y-%m-%d}", f"{b:%Y-%m-%d}"] for a, b in self.train],
            "retrospective": self.retrospective,
            "residual_sd": {str(k): round(100 * float(v), 2) for k, v in self.fits["residual_sd"].items()},
            "coverage": {str(k): round(100 * float(v), 1) for k, v in self.fits["coverage"].items()},
            "weather": bool(self.fits["weather"].any()),
        }
        return Cells(
            name=f"activity.{name}", dimensions=("date", "series"), measures=measures,
            frame=frame.reset_index(drop=True), public=public, unit_kind="public", method=METHOD,
            source=source, facts=facts,
        )  # fmt: skip

    def _one(self, series: str | None) -> pd.DataFrame:
        if self.frame.index.nlevels == 1:
            return self.frame
        if series is None:
            raise UsageError("there are several series.", remedy="Name one with series=.")
        one: pd.DataFrame = self.frame.loc[[series]].droplevel("series")
        return one


def activity_index(
    load: pd.Series | pd.DataFrame,
    *,
    temperature: Weather | Mapping[str, Weather] | None = None,
    country: str | None = None,
    region: str | Mapping[str, str] | None = None,
    train: Sequence[tuple[object, object]] | None = None,
    freq: str = "D",
    as_of: object | None = None,
    holidays: Mapping[dt.date, str] | None = None,
    kept: Kept | None = None,
) -> ActivityResult:
    """Compare load with what it would have been on a normal day with the same weather and calendar.

    It answers: how far below (or above) normal is activity, as far as electricity can tell, once a
    warm week, a holiday and a Sunday have been allowed for?

    Parameters
    ----------
    load
        Load or energy, any positive unit, hourly, daily or weekly, index of dates or local times; a frame has one
        column a class, sector or region. Of a zone-aware index the wall clock counts: convert to local time first.
    temperature
        Degrees Celsius, daily or finer: a series, or a frame with a minimum and a maximum column, in which further
        columns are weather of other kinds (sunshine, rain, wind). A mapping gives each column of `load` its own.
    country, region
        Codes of the ``holidays`` library; None leaves public holidays out. A mapping from columns of `load` gives
        each region its own holidays; a column that it does not name has the country's.
    train
        Spans ``(start, end)`` regarded as normal. None: all but the last year where two years remain,
        else everything.
    freq
        ``"D"``, ``"W"`` (complete weeks, Monday to Sunday, dated by their Monday) or ``"h"``; finer load is averaged.
    as_of
        Day on which the figure is made. Nothing that lies after it is looked at, except in spans named in `train`: if
        one of these ends later, the figure is retrospective, and says so.
    holidays
        Date → name of public holidays that the library does not know, in all years of the load: beside the country's,
        or instead of them.
    kept
        A mapping, at first empty, that is handed to every call: what the normal days taught is kept in it, and not
        learnt again where they are known as they were. The result is the same with it and without.

    Returns
    -------
    ActivityResult

    Raises
    ------
    FitError
        With fewer than 120 normal days, or load that is not positive.
    UsageError
        With a frequency that is not offered, or is finer than that of the load.

    Notes
    -----
    :math:`\\log y_t = f(\\text{trend}) + \\text{weekday} \\times \\text{season} + \\text{annual cycle} +
    \\text{holidays, bridge days} + h(\\text{temperature}, \\text{lags}) + e_t` by penalised least squares
    with Huber's loss. Regressions with several trends are averaged by how well they forecast from rehearsed
    origins inside the normal spans, each with the penalty that forecast best, and the interval is the 90 % quantile
    of those rehearsals' errors, scaled for horizon and kind of day. Steps in level within the normal spans are taken
    out before. Each hour of the day has a normal of its own, on the same days. A week's terms are the means of its
    days'. The gap is one of electricity, not of output (`ActivityResult.output`). What fails most often: a
    change of level between the normal spans and the shock that has nothing to do with it.

    References
    ----------
    S. Cicala, "Early economic impacts of COVID-19 in Europe: a view from the grid", 2020.
    C. Fezzi, V. Fanghella, "Real-time estimation of the short-run impact of COVID-19 on economic
    activity using electricity market data", 2020.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> days = pd.date_range("2017-01-01", "2020-01-31")
    >>> load = pd.Series(100.0 + 10 * (days.day_of_week < 5), index=days)
    >>> load["2020-01-20":] *= 0.8
    >>> result = activity_index(load, train=[("2017-01-01", "2019-12-31")])
    >>> round(float(result.to_frame()["gap"].iloc[-1]))
    -20
    """
    if freq not in FREQUENCIES:
        raise UsageError(f"frequency {freq!r} is not offered.", remedy="Use 'D', 'W' or 'h'.")
    frame = frame_of(load)
    step = step_of(frame)
    if ("h", "D", "W").index(freq) < ("h", "D", "W").index(step):
        raise UsageError("the load is not as fine as the frequency wanted.", remedy="Use 'D' or 'W', or finer load.")
    moment = None if as_of is None else pd.Timestamp(str(as_of)).normalize()
    spans = spans_of(train, pd.DatetimeIndex(known_by(frame, moment, ()).index))
    frame = known_by(frame, moment, spans)
    make = weekly_table if step == "W" else hourly_table if freq == "h" else daily_means
    normals = []
    for names, weather, place in _alike(list(frame.columns), temperature, region):
        known = None if weather is None else known_by(_frame(weather), moment, spans)
        normals.append(
            fit_normal(
                make(frame[names]),
                temperature=known,
                country=country,
                region=place,
                spans=spans,
                weekly=step == "W",
                holidays=holidays,
                kept=kept,
            )
        )
    normal = _joined([by_hour(n) for n in normals] if freq == "h" else normals, list(frame.columns))
    made = by_week(normal) if freq == "W" and step != "W" else by_row(normal)
    if moment is not None:
        made = made[pd.DatetimeIndex(made.index.get_level_values("date")).normalize() <= moment]
    if isinstance(load, pd.Series):
        made = made.droplevel("series")
    return ActivityResult(
        frame=made, fits=normal.fits, errors=normal.errors, train=spans, freq=freq, country=country,
        region=region, as_of=moment,
        retrospective=moment is not None and any(end > moment for _, end in spans), rehearsed_daily=step != "W",
    )  # fmt: skip


def _frame(weather: Weather) -> pd.DataFrame:
    return weather.to_frame("mean") if isinstance(weather, pd.Series) else weather


def _alike(
    names: list[str], temperature: Weather | Mapping[str, Weather] | None, region: str | Mapping[str, str] | None
) -> list[tuple[list[str], Weather | None, str | None]]:
    """Return groups of series with the same weather and the same holidays."""
    lacking = [name for name in names if isinstance(temperature, Mapping) and name not in temperature]
    if lacking:
        raise UsageError(f"there is no temperature for {', '.join(lacking)}.", remedy="Give one for each column.")
    groups: dict[tuple[int, str | None], tuple[list[str], Weather | None, str | None]] = {}
    for name in names:
        weather = temperature[name] if isinstance(temperature, Mapping) else temperature
        place = region.get(name) if isinstance(region, Mapping) else region
        own: list[str] = []
        groups.setdefault((id(weather), place), (own, weather, place))[0].append(name)
    return list(groups.values())


def _joined(normals: list[Normal], names: list[str]) -> Normal:
    """Return normals of several groups of series as one, columns in their first order."""
    if len(normals) == 1:
        return normals[0]
    tables = [
        pd.concat([getattr(n, field) for n in normals], axis=1)[names]
        for field in ("observed", "log_expected", "half_width")
    ]
    fits = pd.concat([n.fits for n in normals]).loc[names]
    return Normal(tables[0], tables[1], tables[2], fits, pd.concat([n.errors for n in normals], ignore_index=True))
