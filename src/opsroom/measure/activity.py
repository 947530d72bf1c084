"""Activity from load: what was used against what a normal day would have used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.activity_fit import Normal, fit_normal

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

METHOD = "activity-1"
FREQUENCIES = ("D", "W")
COLUMNS = ["observed", "expected", "gap", "lower", "upper"]


@dataclass(frozen=True, slots=True)
class ActivityResult:
    """Observed and expected load with the gap between them.

    Attributes
    ----------
    frame
        Columns ``observed``, ``expected`` (unit of the load) and ``gap``, ``lower``, ``upper`` (per cent,
        nominal 90 % prediction interval), indexed by date; with several classes by ``series`` and date.
    fits
        One row a series: ``trend``, ``penalty`` chosen, ``days`` of training, ``residual_sd`` and
        ``coverage`` out of sample (log points, share), ``weather`` used or not.
    errors
        Out-of-sample errors of rehearsed forecasts inside the normal spans: ``series``, ``origin``,
        ``date``, ``horizon`` (days), ``error`` (log points), ``score`` (in predicted standard deviations).
    retrospective
        True where a span regarded as normal ends after `as_of`: the figure could not have been made then.
    """

    frame: pd.DataFrame
    fits: pd.DataFrame
    errors: pd.DataFrame
    train: tuple[tuple[pd.Timestamp, pd.Timestamp], ...]
    freq: str
    country: str | None
    region: str | None
    as_of: pd.Timestamp | None
    retrospective: bool

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
            ``gap``, ``lower``, ``upper`` in per cent, ``days``.
        """
        frame = self._one(series)
        part = frame.loc[pd.Timestamp(str(start)) : pd.Timestamp(str(end))].dropna()
        if part.empty:
            raise UsageError("the span holds no day with an expected value.", remedy="Choose a later start.")
        log_gap = float(np.log(part["observed"].sum() / part["expected"].sum()))
        half = np.log1p(part["upper"] / 100) - np.log1p(part["gap"] / 100)
        name = series if series is not None else str(self.fits.index[0])
        own = self.errors[self.errors["series"] == name]
        shrink = _span_ratio(own, len(part))
        width = float(half.mean()) * shrink
        bounds = [100 * float(np.expm1(log_gap + move)) for move in (0.0, -width, width)]
        return pd.Series([*bounds, len(part)], index=["gap", "lower", "upper", "days"])

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
        frame = frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d"))
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
    temperature: pd.Series | pd.DataFrame | None = None,
    country: str | None = None,
    region: str | None = None,
    train: Sequence[tuple[object, object]] | None = None,
    freq: str = "D",
    as_of: object | None = None,
) -> ActivityResult:
    """Compare load with what it would have been on a normal day with the same weather and calendar.

    It answers: how far below (or above) normal is activity, as far as electricity can tell, once a
    warm week, a holiday and a Sunday have been allowed for?

    Parameters
    ----------
    load
        Load or energy, any positive unit, daily or finer, index of dates or times; a frame has one
        column a class. Finer data are averaged over the days of the index: convert times to local time first.
    temperature
        Degrees Celsius, daily or finer: a series, or a frame with a minimum and a maximum column.
    country, region
        Codes of the ``holidays`` library; None leaves public holidays out.
    train
        Spans ``(start, end)`` regarded as normal. None: all but the last year where two years remain,
        else everything.
    freq
        ``"D"`` or ``"W"`` (complete weeks, Monday to Sunday, dated by their Monday).
    as_of
        Day on which the figure is made; spans that end later make it retrospective, and it says so.

    Returns
    -------
    ActivityResult

    Raises
    ------
    FitError
        With fewer than 120 normal days, or load that is not positive.

    Notes
    -----
    :math:`\\log y_t = f(\\text{trend}) + \\text{weekday} \\times \\text{season} + \\text{annual cycle} +
    \\text{holidays, bridge days} + h(\\text{temperature}, \\text{lags}) + e_t` by penalised least squares
    with Huber's loss. Trend and penalty are those that forecast best from rehearsed origins inside the
    normal spans, and the interval is the 90 % quantile of those rehearsals' errors, scaled for
    horizon and kind of day. The gap is one of electricity, not of output. What fails most often: a
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
        raise UsageError(f"frequency {freq!r} is not offered.", remedy="Use 'D' or 'W'.")
    daily = daily_means(load)
    spans = _spans(train, pd.DatetimeIndex(daily.index))
    normal = fit_normal(daily, temperature=temperature, country=country, region=region, spans=spans)
    frame = _weekly(normal) if freq == "W" else _daily(normal)
    moment = None if as_of is None else pd.Timestamp(str(as_of)).normalize()
    if isinstance(load, pd.Series):
        frame = frame.droplevel("series")
    return ActivityResult(
        frame=frame, fits=normal.fits, errors=normal.errors, train=spans, freq=freq, country=country,
        region=region, as_of=moment,
        retrospective=moment is not None and any(end > moment for _, end in spans),
    )  # fmt: skip


def daily_means(load: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Return daily means without gaps; days with under nine tenths of their readings are missing."""
    frame = load.to_frame(str(load.name or "load")) if isinstance(load, pd.Series) else load
    index = pd.DatetimeIndex(frame.index)
    day = (index.tz_localize(None) if index.tz is not None else index).normalize()
    grouped = frame.astype(float).groupby(day)
    mean, count = grouped.mean(), grouped.count()
    usual = count.median()
    out = mean.where(count >= 0.9 * usual)
    out = out.asfreq("D")
    out.index.name = "date"
    out.columns = [str(c) for c in out.columns]
    if (out <= 0).any().any():
        raise FitError("load is not positive on some days.", remedy="Leave out such days or series.")
    return out


def _spans(
    train: Sequence[tuple[object, object]] | None, days: pd.DatetimeIndex
) -> tuple[tuple[pd.Timestamp, pd.Timestamp], ...]:
    if train is None:
        cut = days.max() - pd.Timedelta(days=365)
        end = cut if (cut - days.min()).days >= 730 else days.max()
        return ((days.min(), end),)
    return tuple((pd.Timestamp(str(start)), pd.Timestamp(str(end))) for start, end in train)


def _daily(normal: Normal) -> pd.DataFrame:
    pieces = {}
    for name in normal.observed.columns:
        observed, centre = normal.observed[name], normal.log_expected[name]
        log_gap = np.log(observed) - centre
        half = normal.half_width[name]
        pieces[name] = pd.DataFrame(
            {
                "observed": observed, "expected": np.exp(centre), "gap": 100 * np.expm1(log_gap),
                "lower": 100 * np.expm1(log_gap - half), "upper": 100 * np.expm1(log_gap + half),
            }
        )  # fmt: skip
    return pd.concat(pieces, names=["series", "date"])[COLUMNS]


def _weekly(normal: Normal) -> pd.DataFrame:
    daily = _daily(normal).dropna()
    pieces = {}
    for name in normal.observed.columns:
        one = daily.loc[name]
        log_half = np.log1p(one["upper"] / 100) - np.log1p(one["gap"] / 100)
        dates = pd.DatetimeIndex(one.index)
        monday = dates - pd.to_timedelta(dates.day_of_week, unit="D")
        grouped = one[["observed", "expected"]].groupby(monday)
        full = grouped.size() == 7
        week = grouped.mean()[full]
        shrink = _span_ratio(normal.errors[normal.errors["series"] == name], 7)
        half = log_half.groupby(monday).mean()[full] * shrink
        log_gap = np.log(week["observed"] / week["expected"])
        pieces[name] = week.assign(
            gap=100 * np.expm1(log_gap),
            lower=100 * np.expm1(log_gap - half),
            upper=100 * np.expm1(log_gap + half),
        )
    return pd.concat(pieces, names=["series", "date"])[COLUMNS]


def _span_ratio(errors: pd.DataFrame, days: int) -> float:
    """Return how much narrower the interval of a mean over `days` is than that of a day."""
    if days <= 1:
        return 1.0
    single = float(errors["score"].abs().quantile(0.9))
    means = [
        np.convolve(group["score"].to_numpy(), np.full(days, 1 / days), mode="valid")
        for _, group in errors.groupby("origin")
        if len(group) >= days
    ]
    if not means or single == 0:
        return 1.0
    return float(min(1.0, np.quantile(np.abs(np.concatenate(means)), 0.9) / single))
