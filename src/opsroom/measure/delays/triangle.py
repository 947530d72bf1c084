"""The reporting triangle: what each reference period's count looked like, delay by delay, as of a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError, FitError, UsageError
from opsroom.base.periods import AsOf, as_moment, local_day
from opsroom.base.results import TOTAL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OFFERED = ("D", "W", "M", "Q")
SETTLED = 0.995
"""Share of the additions that lie within the default `max_delay`."""
BEGUN = 0.01
"""Share of the additions by which reports are taken to come in."""
ALL = "all"
"""Name of the only sector where the records have none."""

_CODE = {"D": "D", "W": "W-SUN", "M": "M", "Q": "Q-DEC"}


@dataclass(frozen=True, slots=True)
class ReportingTriangle:
    """Additions and removals by sector, reference period and delay, as of a day.

    Attributes
    ----------
    added, removed
        Shape (sectors, periods, delays + 1), not negative; NaN where the report's time has not come.
        A record that is revised to less, moved to another period or deleted is a removal.
    sectors
        Codes of the second dimension of pooling, sorted.
    periods
        Reference periods, all over by `as_of`, without gaps.
    frequency
        ``D``, ``W``, ``M`` or ``Q``: of the periods and of the delays.
    as_of
        Last day whose reports are in.
    counts
        True where every addition and removal is a whole number.
    closed
        Days on which nobody reports, beside weekends.
    early
        Records known before their period: counted at delay 0.
    beyond
        Net changes of settled periods later than the last delay, left out by definition of the target.
    first_delay
        Delay at which reports begin to come: all other delays, ages and `max_delay` are counted from it.
    """

    added: Floats
    removed: Floats
    sectors: tuple[str, ...]
    periods: pd.PeriodIndex
    frequency: str
    as_of: date
    counts: bool
    closed: frozenset[date] = field(default_factory=frozenset)
    early: int = 0
    beyond: float = 0.0
    first_delay: int = 0

    @property
    def max_delay(self) -> int:
        """The delay after which a count is regarded as settled, in periods."""
        return int(self.added.shape[2]) - 1

    @property
    def age(self) -> Ints:
        """Periods of reports that each reference period has had; above `max_delay` where it is settled."""
        at = pd.Period(self.as_of, freq=_CODE[self.frequency]).ordinal
        return np.asarray(at - self.first_delay - self.periods.asi8, dtype=np.int64)

    def total(self) -> ReportingTriangle:
        """Return the triangle of all sectors together, as one series."""
        return replace(
            self,
            added=self.added.sum(axis=0, keepdims=True),
            removed=self.removed.sum(axis=0, keepdims=True),
            sectors=(TOTAL,),
        )

    @property
    def net(self) -> Floats:
        """Additions minus removals."""
        return self.added - self.removed

    @property
    def reported(self) -> Floats:
        """Net count known, (sectors, periods)."""
        return np.asarray(np.nansum(self.net, axis=2), dtype=np.float64)

    def to_frame(self) -> pd.DataFrame:
        """Return the observed cells in long form: sector, period, delay, added, removed."""
        s, t, d = np.nonzero(~np.isnan(self.added))
        return pd.DataFrame(
            {
                "sector": np.array(self.sectors, dtype=object)[s],
                "period": self.periods.astype(str).to_numpy()[t],
                "delay": d,
                "added": self.added[s, t, d],
                "removed": self.removed[s, t, d],
            }
        )


def reporting_triangle(
    records: pd.DataFrame,
    *,
    period: str,
    known_at: str = "known_at",
    key: str | Sequence[str] | None = None,
    by: str | None = None,
    value: str | None = None,
    deleted: str | None = None,
    order: str | None = None,
    as_of: AsOf = None,
    frequency: str = "D",
    max_delay: int | None = None,
    first_delay: int | None = 0,
    since: date | str | None = None,
    closed: Iterable[date] = (),
    tz: str = "UTC",
) -> ReportingTriangle:
    """Build the reporting triangle of a table that holds every vintage of its rows.

    Answers: of what happened in each period, how much was known how long afterwards?

    Parameters
    ----------
    records
        One row a vintage of a record: a first version, a revision or a deletion. Or a table of counts, one
        row a vintage of a sector's period, with `value` the count and `key` the sector and the period.
    period
        Column with the day (or first day of the period) that a record is about. Empty means that the
        record stands for no event (yet): a company in the register that has not failed.
    known_at
        Column with the moment at which the row was learnt; without a zone it is UTC.
    key
        Column or columns that identify a record. A later row of a key replaces the earlier one. None: each
        row is a record of its own.
    by
        Column with the sector; None for one series. Codes, not names.
    value
        Column that is added up, such as an amount; None counts records.
    deleted
        Boolean (or 0/1) column that marks a tombstone.
    order
        Column that decides which of two rows of a key known at one moment is the later (a delivery number);
        without it, the later in the table.
    as_of
        Day or moment of knowledge; rows known later do not exist. None is the last in the table.
    frequency
        ``D``, ``W``, ``M`` or ``Q``.
    max_delay
        Periods after which a count is regarded as settled. None: those within which 99.5 % of the additions
        to the older half of the periods came, at most half of the periods.
    first_delay
        Periods after which reports begin to come, such as monthly returns that are due in the month after; delays are
        counted from it, and periods of which no report can be in yet are left out. None: the first delay at which one
        addition in a hundred came.
    since
        First reference period. None: the first that begins when the first row was known or later. What
        was loaded as history has no delays, only dates of loading.
    closed
        Public holidays and other days on which nobody reports (daily frequency).
    tz
        IANA zone of the calendar of reporting.

    Returns
    -------
    ReportingTriangle

    Raises
    ------
    UsageError
        An unknown column or frequency, or a negative `max_delay`.
    DataError
        A row without a moment of knowledge, or a value that is no number.
    FitError
        Nothing is known as of that day, or no period is over.

    Notes
    -----
    Delays are whole periods between the one that holds the reference day and the one that holds the
    knowledge. Where `as_of` lies inside a week, month or quarter, report periods are cut at that place
    (weeks from Thursday to Wednesday, months from the 16th to the 15th), so that each delay means the same stretch
    of time for all rows and the last one is whole. Periods that are not over by `as_of` are left out:
    what has not happened is no matter of reporting. Several vintages of a record within one report
    period count as the last of them.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"id": [1, 2, 1, 3], "filed": ["2020-03-02", "2020-03-02", "2020-03-03", "2020-03-04"],
    ...      "known_at": pd.to_datetime(["2020-03-02", "2020-03-04", "2020-03-05", "2020-03-05"])})
    >>> made = reporting_triangle(table, period="filed", key="id", as_of="2020-03-05", max_delay=2)
    >>> made.net[0, 0].tolist()  # one at once, one two days later; the first moved away at delay 3
    [1.0, 0.0, 1.0]
    """
    if frequency not in OFFERED:
        raise UsageError(
            f"a triangle has no frequency {frequency!r}.", remedy="Use 'D', 'W', 'M' or 'Q'.", code="OPS-U170"
        )
    if first_delay is not None and first_delay < 0:
        raise UsageError("first_delay is negative.", remedy="Give 0 or more, or None.", code="OPS-U171")
    if max_delay is not None and max_delay < 1:
        raise UsageError("max_delay is below one period.", remedy="Give at least 1.", code="OPS-U171")
    keys = [key] if isinstance(key, str) else list(key or ())
    wanted = [c for c in (period, known_at, *keys, by, value, deleted, order) if c is not None]
    absent = [c for c in wanted if c not in records.columns]
    if absent:
        raise UsageError(
            f"the table lacks the column(s) {', '.join(absent)}.",
            remedy="Name columns of the table.",
            code="OPS-U172",
        )
    frame, at = _known(records, period, known_at, keys, by, value, deleted, order, as_of, frequency, tz)
    moves = _moves(frame, keyed=bool(keys))
    now = int(ordinals(pd.Series([pd.Timestamp(at)]), frequency)[0])
    # The period that holds the as-of day counts as over on its last day alone.
    last = now if _is_last_day(at, frequency) else now - 1
    if since is not None:
        first = int(ordinals(pd.Series([pd.Timestamp(str(since))]), frequency)[0])
    else:
        begin = frame["day"].min()
        first = int(ordinals(pd.Series([begin]), frequency)[0])
        first += int(pd.Period(begin, freq=_CODE[frequency]).start_time < begin)
    moves = moves[moves["period"].between(first, last)]
    if moves.empty or first > last:
        raise FitError(
            "no reference period is over with a report as of that day.",
            remedy="Choose a later as_of, or an earlier since.",
            code="OPS-M140",
        )
    delay = (moves["report"] - moves["period"]).to_numpy()
    if first_delay is None:
        first_delay = _begin(delay, moves["added"].to_numpy())
    delay, now, last = delay - first_delay, now - first_delay, min(last, now - first_delay)
    early = int((delay < 0).sum())
    moves = moves.assign(delay=np.maximum(delay, 0))[moves["period"].to_numpy() <= last]
    if moves.empty:
        raise FitError(
            "no reference period has had its first reports by that day.",
            remedy="Choose a later as_of.",
            code="OPS-M140",
        )
    if max_delay is None:
        max_delay = _usual_delay(moves, first, now)
    return _fill(moves, first, last, now, max_delay, frequency, at, frozenset(closed), early, first_delay)


def _known(
    records: pd.DataFrame, period: str, known_at: str, keys: list[str], by: str | None, value: str | None,
    deleted: str | None, order: str | None, as_of: AsOf, frequency: str, tz: str,
) -> tuple[pd.DataFrame, date]:  # fmt: skip
    """Return the rows known by the as-of moment, in order of key and knowledge, and the as-of day."""
    known = pd.to_datetime(records[known_at], utc=True)
    if known.isna().any():
        raise DataError(
            f"column {known_at!r} has rows without a moment.",
            remedy="Every row needs its moment of knowledge.",
            code="OPS-D120",
        )
    if as_of is None:
        at = local_day(known.max().to_pydatetime(), tz)
    else:
        moment: datetime = as_moment(as_of, tz)
        records, known = records[(known <= moment).to_numpy()], known[known <= moment]
        at = local_day(moment, tz)
    if records.empty:
        raise FitError("nothing was known as of that day.", remedy="Choose a later as_of.", code="OPS-M141")
    day = known.dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    amount = pd.Series(1.0, index=records.index) if value is None else pd.to_numeric(records[value], errors="coerce")
    dead = records[deleted].fillna(False).astype(bool) if deleted else pd.Series(False, index=records.index)
    # A tombstone needs neither period nor value: it takes away what stood before.
    if (amount.isna() & ~dead).any():
        raise DataError(
            f"column {value!r} has rows without a number.", remedy="Give 0 or leave the row out.", code="OPS-D121"
        )
    about = pd.to_datetime(records[period])
    if isinstance(about.dtype, pd.DatetimeTZDtype):
        about = about.dt.tz_convert(tz).dt.tz_localize(None)
    placed = about.notna() & ~dead
    ordinal = np.zeros(len(records), dtype=np.int64)
    ordinal[placed.to_numpy()] = ordinals(about[placed], frequency)
    sector = pd.Series(ALL, index=records.index) if by is None else records[by].astype(str)
    if keys:
        unit = records.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    else:
        unit = np.arange(len(records))
    frame = pd.DataFrame(
        {
            "unit": unit,
            "known": known.to_numpy(),
            "order": records[order].to_numpy() if order else np.arange(len(records)),
            "day": day.to_numpy(),
            "period": ordinal,
            "sector": sector.to_numpy(),
            "value": np.where(placed, amount.fillna(0.0), 0.0),
            "report": report_ordinals(day, at, frequency),
        }
    )
    frame = frame.sort_values(["unit", "known", "order"], kind="stable", ignore_index=True)
    return frame, at


def _moves(frame: pd.DataFrame, *, keyed: bool) -> pd.DataFrame:
    """Return what each row adds to, and takes from, a sector's period."""
    if not keyed:
        plain = frame[["sector", "period", "report"]]
        return plain.assign(added=frame["value"].clip(lower=0), removed=(-frame["value"]).clip(lower=0))
    # Of the vintages of a record within one report period the last counts.
    frame = frame[~frame.duplicated(["unit", "report"], keep="last")]
    before = frame.groupby("unit", sort=False)[["period", "sector", "value"]].shift()
    old = before["value"].fillna(0.0)
    same = (before["period"] == frame["period"]) & (before["sector"] == frame["sector"])
    step = frame["value"] - old
    stay = frame.assign(added=step.clip(lower=0), removed=(-step).clip(lower=0))[same]
    come = frame.assign(added=frame["value"].clip(lower=0), removed=(-frame["value"]).clip(lower=0))[~same]
    leave = frame.assign(
        period=before["period"], sector=before["sector"], added=(-old).clip(lower=0), removed=old.clip(lower=0)
    )[~same & (old != 0)]
    moves = pd.concat([stay, come, leave])[["sector", "period", "report", "added", "removed"]]
    moves = moves[(moves["added"] > 0) | (moves["removed"] > 0)]
    return moves.astype({"period": np.int64})


def _begin(delay: Ints, added: Floats) -> int:
    """Return the first delay, not negative, by which one addition in a hundred has come."""
    by_delay = np.bincount(np.maximum(delay, 0), weights=added)
    return int(np.searchsorted(np.cumsum(by_delay), BEGUN * by_delay.sum()))


def _usual_delay(moves: pd.DataFrame, first: int, now: int) -> int:
    """Return the delay within which nearly all additions to the older half of the periods came."""
    half = max(1, (now - first) // 2)
    older = moves[(moves["period"] <= now - half) & (moves["delay"] <= half) & (moves["added"] > 0)]
    if older.empty:
        return half
    by_delay = older.groupby("delay")["added"].sum().sort_index()
    share = by_delay.cumsum() / by_delay.sum()
    at = int(np.searchsorted(share.to_numpy(), SETTLED))
    return min(half, max(1, int(by_delay.index.to_numpy()[at])))


def _fill(
    moves: pd.DataFrame, first: int, last: int, now: int, max_delay: int, frequency: str, at: date,
    closed: frozenset[date], early: int, first_delay: int,
) -> ReportingTriangle:  # fmt: skip
    sectors = tuple(sorted(moves["sector"].unique()))
    shape = (len(sectors), last - first + 1, max_delay + 1)
    s = pd.Categorical(moves["sector"], categories=list(sectors)).codes.astype(np.int64)
    t, d = moves["period"].to_numpy() - first, moves["delay"].to_numpy()
    inside = d <= max_delay
    added, removed = np.zeros(shape), np.zeros(shape)
    np.add.at(added, (s[inside], t[inside], d[inside]), moves["added"].to_numpy()[inside])
    np.add.at(removed, (s[inside], t[inside], d[inside]), moves["removed"].to_numpy()[inside])
    whole = bool((added == np.rint(added)).all() and (removed == np.rint(removed)).all())
    age = now - np.arange(first, last + 1)
    ahead = np.arange(max_delay + 1)[None, :] > age[:, None]
    added[:, ahead], removed[:, ahead] = np.nan, np.nan
    late = moves[~inside]
    return ReportingTriangle(
        added=added, removed=removed, sectors=sectors,
        periods=pd.period_range(
            pd.Period(ordinal=first, freq=_CODE[frequency]), pd.Period(ordinal=last, freq=_CODE[frequency])
        ),
        frequency=frequency, as_of=at, counts=whole, closed=closed, early=early,
        beyond=float((late["added"] - late["removed"]).sum()), first_delay=first_delay,
    )  # fmt: skip


def ordinals(days: pd.Series, frequency: str) -> Ints:
    """Return the number of the period that holds each day."""
    return np.asarray(pd.PeriodIndex(days, freq=_CODE[frequency]).asi8, dtype=np.int64)


def _place(days: pd.Series, frequency: str) -> Ints:
    """Return where in its period each day lies; comparable between periods."""
    at = days.dt
    match frequency:
        case "W":
            place = at.day_of_week
        case "M":
            place = at.day
        case "Q":
            place = 100 * ((at.month - 1) % 3) + at.day
        case _:
            place = 0 * at.day
    return np.asarray(place, dtype=np.int64)


def _is_last_day(day: date, frequency: str) -> bool:
    period = pd.Period(day, freq=_CODE[frequency])
    return bool(period.end_time.date() == day)


def report_ordinals(days: pd.Series, at: date, frequency: str) -> Ints:
    """Return the number of the report period of each day: periods cut at the place of the as-of day."""
    ordinal = ordinals(days, frequency)
    if _is_last_day(at, frequency):
        return ordinal
    later = _place(days, frequency) > int(_place(pd.Series([pd.Timestamp(at)]), frequency)[0])
    return np.asarray(ordinal + later, dtype=np.int64)
