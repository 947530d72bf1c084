"""Regressors of the calendar for months and quarters: trading days, leap years, Easter, holidays of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]

LONG_RUN = range(1990, 2030)
"""Years whose means by calendar month are taken away from regressors with public holidays."""
EASTER_YEARS = range(1600, 2100)
"""Years behind the long-run means of Easter, as in X-13."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True, slots=True)
class Event:
    """A moving holiday, or another event of the calendar that is known in advance.

    Attributes
    ----------
    dates
        Its day in each year, also after the end of the series: X-13 forecasts a year.
    before, after
        Days of effect before and after it; the day itself is one, too.
    """

    dates: tuple[date, ...]
    before: int = 0
    after: int = 0


def trading_days(
    index: pd.PeriodIndex, *, country: str | None = None, region: str | None = None, contrasts: int = 6
) -> pd.DataFrame:
    """Return trading-day regressors: how many Mondays, Tuesdays … there are more than Sundays.

    Parameters
    ----------
    index
        Months or quarters.
    country, region
        Codes of the ``holidays`` library. Public holidays on weekdays then count as Sundays, and long-run means
        by calendar month are taken away, so that Christmas stays seasonal. None: no holidays.
    contrasts
        6: one a weekday, Monday to Saturday. 1: working days less 5/2 weekend days.

    Returns
    -------
    pandas.DataFrame
        Columns ``Mon`` … ``Sat``, or ``working``.

    Notes
    -----
    The length of the month is not in them: it is seasonal but for 29 February (`leap_year`).
    """
    if contrasts not in (1, 6):
        raise UsageError("trading days have 6 contrasts or 1.", remedy="Give contrasts=6 or 1.", code="OPS-U190")
    counts = _weekday_counts(index, country, region)
    table = _contrast(counts, contrasts)
    if country is not None:
        long = _years(LONG_RUN[0], LONG_RUN[-1], index.freqstr)
        table -= _season_means(_contrast(_weekday_counts(long, country, region), contrasts), long, index)
    return pd.DataFrame(table, index=index, columns=list(WEEKDAYS) if contrasts == 6 else ["working"])


def leap_year(index: pd.PeriodIndex) -> pd.Series:
    """Return the leap-year regressor: 0.75 where the period holds a 29 February, -0.25 in its place in other years."""
    holds = (index.month == 2) if index.freqstr.startswith("M") else (index.quarter == 1)
    year = np.asarray(index.year, dtype=np.int64)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return pd.Series(np.where(holds, np.where(leap, 0.75, -0.25), 0.0), index=index, name="leap year")


def easter_share(index: pd.PeriodIndex, *, window: int = 8) -> pd.Series:
    """Return the share of the days before Easter that fall in each period, less its long-run mean.

    Parameters
    ----------
    index
        Months or quarters.
    window
        Days before Easter Sunday, 1 to 25, that have an effect.

    Notes
    -----
    X-13's ``easter[w]``: the mean over 500 years of each calendar month is taken away.
    """
    if not 1 <= window <= 25:
        raise UsageError("Easter's window is not 1 to 25 days.", remedy="Give 8.", code="OPS-U191")
    years = sorted(set(index.year))
    share = event_share(index, Event(tuple(_easter(y) for y in years), before=window), with_day=False, centre=False)
    usual = np.asarray(_easter_means(window, index.freqstr), dtype=np.float64)[season(index)]
    return (share - usual).rename(f"easter[{window}]")


def event_share(
    index: pd.PeriodIndex, event: Event, *, with_day: bool = True, centre: bool = True, name: str = "event"
) -> pd.Series:
    """Return the share of an event's days that fall in each period.

    Parameters
    ----------
    index
        Months or quarters.
    event
        The event.
    with_day
        Whether its day itself counts.
    centre
        Take away the mean by calendar month over the years for which the event has dates: what always falls in the
        same month is season.
    """
    days = [
        pd.Timestamp(day) + pd.Timedelta(days=k)
        for day in event.dates
        for k in range(-event.before, event.after + 1)
        if with_day or k != 0
    ]
    width = event.before + event.after + with_day
    where = pd.DatetimeIndex(days).to_period(index.freqstr)
    total = where.value_counts() / width
    share = np.asarray(total.reindex(index).fillna(0.0), dtype=np.float64)
    if centre:
        years = sorted({d.year for d in event.dates})
        long = _years(years[0], years[-1], index.freqstr)
        covered = np.asarray(total.reindex(long).fillna(0.0), dtype=np.float64)
        share = share - _season_means(covered[:, None], long, index)[:, 0]
    return pd.Series(share, index=index, name=name)


def season(index: pd.PeriodIndex) -> npt.NDArray[np.int64]:
    """Return the number of the month, or quarter, in its year, from 0."""
    number = index.month if index.freqstr.startswith("M") else index.quarter
    return np.asarray(number, dtype=np.int64) - 1


def _years(first: int, last: int, freq: str) -> pd.PeriodIndex:
    """Return all months, or quarters, of some years."""
    return pd.period_range(pd.Period(f"{first}-01-01", freq=freq), pd.Period(f"{last}-12-31", freq=freq))


def _contrast(counts: Floats, contrasts: int) -> Floats:
    if contrasts == 6:
        return np.asarray(counts[:, :6] - counts[:, 6:], dtype=np.float64)
    return np.asarray(counts[:, :5].sum(axis=1) - 2.5 * counts[:, 5:].sum(axis=1), dtype=np.float64)[:, None]


def _season_means(values: Floats, long: pd.PeriodIndex, index: pd.PeriodIndex) -> Floats:
    """Return the means of each calendar month over long years, laid along an index."""
    at = season(long)
    means = np.stack([values[at == k].mean(axis=0) for k in range(int(at.max()) + 1)])
    return np.asarray(means[season(index)], dtype=np.float64)


def _weekday_counts(index: pd.PeriodIndex, country: str | None, region: str | None) -> Floats:
    """Return how many Mondays … Sundays each period has; public holidays count as Sundays."""
    days = pd.date_range(index[0].start_time.normalize(), index[-1].end_time.normalize(), freq="D")
    kind = np.asarray(days.day_of_week, dtype=np.int64).copy()
    if country is not None:
        off = _public_holidays(country, region, int(days[0].year), int(days[-1].year))
        kind[days.isin(pd.DatetimeIndex(sorted(off)))] = 6
    row = days.to_period(index.freqstr).asi8 - index.asi8[0]
    counts = np.zeros((len(index), 7))
    np.add.at(counts, (row, kind), 1.0)
    return counts


@lru_cache(maxsize=64)
def _public_holidays(country: str, region: str | None, first: int, last: int) -> frozenset[date]:
    import holidays as library

    try:
        return frozenset(library.country_holidays(country, subdiv=region, years=range(first, last + 1)))
    except NotImplementedError:
        raise UsageError(
            f"the holidays library does not know country {country!r} with region {region!r}.",
            remedy="Use the ISO 3166 codes that `holidays` lists, or leave the country out.",
            code="OPS-U020",
        ) from None


def _easter(year: int) -> date:
    """Return Easter Sunday (Gregorian), by the algorithm of Meeus, Jones and Butcher."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    leap, left = divmod(century, 4)
    epact = (19 * golden + century - leap - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    day = (32 + 2 * left + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * day) // 451
    month, number = divmod(epact + day - 7 * late + 114, 31)
    return date(year, month, number + 1)


@lru_cache(maxsize=32)
def _easter_means(window: int, freq: str) -> tuple[float, ...]:
    """Return the long-run mean of Easter's share by calendar month or quarter."""
    long = _years(EASTER_YEARS[0], EASTER_YEARS[-1], freq)
    event = Event(tuple(_easter(y) for y in EASTER_YEARS), before=window)
    share = event_share(long, event, with_day=False, centre=False).to_numpy()
    at = season(long)
    return tuple(float(share[at == k].mean()) for k in range(int(at.max()) + 1))


def intervention(index: pd.PeriodIndex, word: str) -> pd.Series:
    """Return the regressor of an outlier: ``AO2020-04``, ``LS2020-Q2``, ``TC2020-04``.

    Notes
    -----
    AO: 1 in its period. LS: -1 before it, 0 from it on. TC: 1 in its period, then fading by 0.7 a month
    (0.7³ a quarter), as in X-13.
    """
    kind, when = word[:2].upper(), word[2:]
    try:
        at = pd.Period(when, freq=index.freqstr)
    except ValueError:
        at = None
    if kind not in ("AO", "LS", "TC") or at is None or at not in index:
        raise UsageError(
            f"{word!r} is no outlier of the series.",
            remedy="Write AO, LS or TC and a period of the series, such as LS2020-04 or AO2020-Q2.",
            code="OPS-U192",
        )
    since = index.asi8 - at.ordinal
    if kind == "AO":
        values = (since == 0).astype(float)
    elif kind == "LS":
        values = np.where(since < 0, -1.0, 0.0)
    else:
        rate = 0.7 if index.freqstr.startswith("M") else 0.7**3
        values = np.where(since >= 0, rate ** np.maximum(since, 0), 0.0)
    return pd.Series(values, index=index, name=f"{kind}{at}")


def calendar_groups(
    index: pd.PeriodIndex, *, trading: bool, easter: int | None, events: dict[str, Event], country: str | None,
    region: str | None,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Return the groups of calendar regressors that are tried, by name."""
    groups: dict[str, pd.DataFrame] = {}
    if trading:
        groups["trading days"] = trading_days(index, country=country, region=region)
        groups["leap year"] = leap_year(index).to_frame()
    if easter is not None:
        groups[f"easter[{easter}]"] = easter_share(index, window=easter).to_frame()
    for name, event in events.items():
        groups[name] = event_share(index, event, name=name).to_frame()
    return groups
