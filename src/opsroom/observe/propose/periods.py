"""Find what a file's rows are about: the period, its frequency, and when each row became known."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from opsroom.base.errors import SettingsError
from opsroom.base.periods import Frequency, period_start, zone
from opsroom.observe.propose.profile import Column, Profile
from opsroom.observe.propose.questions import Interview
from opsroom.observe.propose.shapes import (
    DAY_FORMATS,
    ISO_MOMENT,
    MOMENT_FORMATS,
    PERIOD_FORMATS,
    TWINS,
    UNDERSTOOD,
    day_shape,
    period_shape,
    reader_of,
)

KNOWN = ("delivered_on", "released_on", "known_at")
"""Columns of these names say when a row became known."""

_MAYBE_KNOWN = re.compile(r"(?:.*_)?(?:vintage|released?|published|publication|pub|realtime)(?:_?(?:date|day|on|at))?")
_TIME = re.compile(
    r".*(?:date|period|time|stamp|month|quarter|year|week|day|datum|monat|quartal|jahr|woche|tag|mois|trimestre|annee"
    r"|année|fecha|mes|anno|data).*"
)
_YEAR = re.compile(r"(?:.*[_ ])?(?:year|yr|jahr|annee|année|anno|ano|period|time|date|time_period|start)(?:[_ ].*)?")
_PARTS = {
    "year": re.compile(r"(?:year|yr|jahr|annee|année|anno)"),
    "month": re.compile(r"(?:month|mon|monat|mois|mes|mese)"),
    "day": re.compile(r"(?:day|tag|jour|dia|giorno|day_?(?:of_?month|end_?of_?week)|day_endofweek)"),
}
FREQUENCIES = {"H": "hours", "D": "days", "W": "weeks", "M": "months", "Q": "quarters", "A": "years",
               "event": "no rhythm"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Period:
    """How a file says what its rows are about.

    Attributes
    ----------
    column
        Column of the period; empty where it is made or turned.
    frequency, written
        See `opsroom.base.specs`.
    parts, value, header
        Columns that make it up; a value for the whole file; whether it stands in the header of a wide table.
    """

    frequency: str
    column: str = ""
    written: str = ""
    parts: tuple[str, ...] = ()
    value: str = ""
    header: bool = False


def is_time(column: Column) -> bool:
    """Whether a column holds dates or periods."""
    if column.kind in ("date", "datetime"):
        return True
    formats = column.date_formats()
    if not formats:
        return False
    if set(formats) <= {"%Y", "%Y.0", "%Y%m", "%Y%m%d", "%m/%Y", "%m.%Y"} and column.is_number():
        return bool(_YEAR.fullmatch(column.name.lower())) or (
            bool(_TIME.fullmatch(column.name.lower())) and not {"%Y", "%Y.0"} & set(formats)
        )
    return True


def written_as(column: Column, interview: Interview) -> tuple[str, str]:
    """Return the format of a column of dates, and ``"day"``, ``"moment"`` or the frequency that it names.

    Where day and month cannot be told apart, it is asked. An empty format: it is read without being declared.
    """
    if column.kind in ("date", "datetime"):
        return "", "moment" if column.clock else "day"
    best = max(column.dates.values())
    formats = [f for f, count in column.dates.items() if count == best]
    order = [*DAY_FORMATS, *MOMENT_FORMATS, *(f for fs in PERIOD_FORMATS.values() for f in fs), ISO_MOMENT]
    chosen = min(formats, key=order.index)
    twins = [(a, b) for a, b in TWINS.items() if a in formats and b in formats]
    if twins and chosen in twins[0]:
        first, second = twins[0]
        if column.days.get(first) != column.days.get(second):  # all on days such as 3/3: no matter
            said = interview.ask(
                f"date:{column.name}",
                f"Column {column.name!r}: are its dates day/month/year (dmy) or month/day/year (mdy)? Both fit.",
                options=("dmy", "mdy"),
                required=True,
            )
            chosen = second if said == "mdy" else first
    for frequency, known in PERIOD_FORMATS.items():
        if chosen in known:
            return ("" if chosen in UNDERSTOOD else chosen), frequency
    if chosen == ISO_MOMENT:
        return "", "moment" if column.clock else "day"
    iso = chosen in UNDERSTOOD or chosen.startswith("%Y-%m-%d")
    return ("" if iso else chosen), "moment" if chosen in MOMENT_FORMATS and column.clock else "day"


def known_column(profile: Profile, interview: Interview) -> str:
    """Return the column that says when a row became known, or an empty text."""
    times = [name for name, column in profile.columns.items() if is_time(column)]
    for name in times:
        if name.strip().lower() in KNOWN:
            return name
    maybe = [n for n in times if _MAYBE_KNOWN.fullmatch(n.strip().lower())]
    if not maybe or len(times) < 2:
        return ""
    said = interview.ask(
        "known_at",
        f"Does column {maybe[0]!r} say on which day each row was published (became known)?",
        options=("yes", "no"),
        default="yes",
    )
    return maybe[0] if said == "yes" else ""


def find_period(profile: Profile, known: str, interview: Interview) -> Period | None:
    """Return how the file says its period; None where it is still open."""
    wide = _in_header(profile) or _days_in_header(profile, interview)
    times = [c for name, c in profile.columns.items() if name != known and is_time(c) and c.filled]
    parts = _parts(profile)
    if wide is not None and len(times) <= 1 and "period" not in interview.answers:
        return wide
    said = interview.answers.get("period", "")
    if not said:
        dated = [c for c in times if c.name not in parts]
        if parts and not dated:
            return _of_parts(profile, parts)
        if len(dated) == 1 and dated[0].filled >= 0.5 * dated[0].rows:
            return _of_column(dated[0], interview)
        hinted = [c for c in dated if _TIME.fullmatch(c.name.lower()) and c.filled >= 0.98 * c.rows]
        if len(hinted) == 1 and len(dated) > 1:
            return _of_column(hinted[0], interview)
    names = [c.name for c in times]
    found = f"Its columns of dates: {', '.join(map(repr, names))}. " if names else "No column holds dates. "
    for column in profile.columns.values():
        reads = max(column.dates.values(), default=0)
        if column.name not in names and 2 * reads >= column.valued > reads and not column.is_number():
            found += (
                f"In {reads:,} of {column.valued:,} rows {column.name!r} reads as a date or period: name it, and the "
                "others are refused. "
            )
    said = interview.ask(
        "period",
        f"What is a row about? {found}Name the column, or give the one period that the whole file describes "
        "(2019, 2020-Q1, 2020-03, 2020-03-04).",
        required=True,
    )
    if said in profile.columns:
        column = profile.columns[said]
        if is_time(column) or column.dates:  # named by a person: what is no date in it is told by row
            return _of_column(column, interview)
    shape = period_shape(said)
    if shape is not None and shape[1] in UNDERSTOOD:
        return Period(shape[0], value=said)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", said):
        return Period("D", value=said)
    if said:
        interview.reject("period", "That is neither a column of dates nor a period.")
    return None


def _in_header(profile: Profile) -> Period | None:
    """Find a wide table: most columns are named after periods of one frequency."""
    shapes: dict[tuple[str, str], int] = {}
    for name in profile.columns:
        shape = period_shape(name)
        if shape is not None:
            shapes[shape] = shapes.get(shape, 0) + 1
    if not shapes:
        return None
    (frequency, written), count = max(shapes.items(), key=lambda item: item[1])
    others = [c for n, c in profile.columns.items() if period_shape(n) is None]
    if count < 2 or count < len([c for c in others if c.is_number()]):
        return None
    return Period(frequency, written="" if written in UNDERSTOOD else written, header=True)


def _days_in_header(profile: Profile, interview: Interview) -> Period | None:
    """Find a wide table whose columns are named after days, and ask how often they come."""
    named: dict[str, set[date]] = {}
    for name in profile.columns:
        for written in day_shape(name):
            moment = reader_of(written)(name.strip())
            if moment is not None:
                named.setdefault(written, set()).add(moment.date())
    if not named:
        return None
    most = max(len(days) for days in named.values())
    formats = [written for written in DAY_FORMATS if len(named.get(written, ())) == most]
    others = [c for n, c in profile.columns.items() if not day_shape(n)]
    if most < 2 or most < len([c for c in others if c.is_number()]):
        return None
    chosen = formats[0]
    twin = TWINS.get(chosen)
    if twin in formats and named[chosen] != named[twin]:
        said = interview.ask(
            "date:header",
            "The columns' names: are they day/month/year (dmy) or month/day/year (mdy)? Both fit.",
            options=("dmy", "mdy"),
            required=True,
        )
        chosen = twin if said == "mdy" else chosen
    frequency = _frequency("the header", named[chosen], interview)
    return Period(frequency, written="" if chosen in UNDERSTOOD else chosen, header=True)


def _parts(profile: Profile) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for part, pattern in _PARTS.items():
        for name, column in profile.columns.items():
            if pattern.fullmatch(name.strip().lower()) and column.is_whole() and part not in found:
                found[part] = name
    if "year" not in found or "month" not in found:
        return ()
    return tuple(found[p] for p in ("year", "month", "day") if p in found)


def _of_parts(profile: Profile, parts: tuple[str, ...]) -> Period:
    if len(parts) == 2:
        return Period("M", parts=parts)
    years, months, days = (profile.sample.column(p).cast("string").to_pylist() for p in parts)
    found = set()
    for year, month, day in zip(years, months, days, strict=True):
        try:
            found.add(date(int(float(year)), int(float(month)), int(float(day))))
        except (TypeError, ValueError):
            continue
    return Period(rhythm(found), parts=parts)


def ask_zone(profile: Profile, period: Period | None, interview: Interview) -> str:
    """Return the zone of a period's moments that name none: empty where they do, or where it is UTC."""
    if period is None or period.frequency != "H" or not period.column:
        return ""
    column = profile.columns[period.column]
    kind = profile.sample.schema.field(period.column).type
    if (column.kind == "datetime" and getattr(kind, "tz", None)) or (column.kind == "text" and not period.written
                                                                     and column.zoned):  # fmt: skip
        return ""
    said = interview.ask(
        "timezone",
        f"The moments of {period.column!r} name no time zone: of which are they? (UTC, Europe/Vienna, ...)",
        default="UTC",
        required=True,
    )
    try:
        zone(said)
    except SettingsError:
        interview.reject("timezone", "That is no time zone.")
        return ""
    return "" if said == "UTC" else said


def _of_column(column: Column, interview: Interview) -> Period:
    written, kind = written_as(column, interview)
    if kind == "moment":
        return Period("H", column.name, written)
    if kind != "day":
        return Period(kind, column.name, written)
    days = column.days.get(written or "%Y-%m-%d") or column.days.get("") or _any_days(column)
    return Period(_frequency(repr(column.name), days, interview), column.name, written)


def _frequency(where: str, days: Iterable[date], interview: Interview) -> str:
    return interview.ask(
        "frequency",
        f"How often does a period of {where} come? "
        + ", ".join(f"{code}: {words}" for code, words in FREQUENCIES.items() if code != "H"),
        options=[code for code in FREQUENCIES if code != "H"],
        default=rhythm(days),
    )


def _any_days(column: Column) -> set[date]:
    return max(column.days.values(), key=len, default=set())


def rhythm(days: Iterable[date]) -> str:
    """Guess how often days come: the slowest frequency at which no two of them fall together, if they are regular."""
    known = sorted(set(days))
    if len(known) < 2 or (len(known) == 2 and any(day.day != 1 for day in known)):
        return "D"  # too few to tell, unless they begin months
    gaps = {(b - a).days for a, b in itertools.pairwise(known)}
    span = (known[-1] - known[0]).days + 1
    for frequency, low, high in (("A", 365, 366), ("Q", 89, 93), ("M", 28, 31), ("W", 6, 8)):
        starts = {period_start(day, Frequency(frequency)) for day in known}
        regular = sum(low <= gap <= high for gap in ((b - a).days for a, b in itertools.pairwise(known)))
        if len(starts) == len(known) and regular >= 0.8 * (len(known) - 1) and min(gaps) >= low - 2:
            return frequency
    return "D" if len(known) >= 0.2 * span else "event"
