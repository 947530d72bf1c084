"""Warnings: what has crossed its threshold, since when, and what such crossings have been followed by.

A warning is raised once and stands until its indicator has gone back past a second threshold: what swings about one
line does not ring every week. All is a function of readings by day of knowledge, so that the warnings of any past
day can be made again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from opsroom.base.errors import UsageError

Direction = Literal["above", "below"]
State = Literal["new", "standing", "ended"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
Key = tuple[tuple[str, str], ...]
"""What a warning is about: dimension and code, in the order of the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When an indicator warns.

    Attributes
    ----------
    name, title
        Short name, and words for readers.
    raise_at, clear_at
        A reading at or beyond `raise_at` raises the warning, one back past `clear_at` ends it; the same where there is
        no second threshold.
    direction
        Whether ``"above"`` or ``"below"`` is bad.
    hold
        Readings in a row that must be beyond before the warning is raised.
    unit
        Of readings and thresholds.
    levers
        What may be done, in the order of the authority's own handbook; words.
    false_alarm_cost
        What acting on a false alarm costs, in words.
    """

    name: str
    raise_at: float
    clear_at: float = math.nan
    title: str = ""
    direction: Direction = "above"
    hold: int = 1
    unit: str = ""
    levers: tuple[str, ...] = ()
    false_alarm_cost: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"rule {self.name!r} has a name that is none: it becomes part of file names and addresses.",
                remedy="Use letters, digits, hyphens and underscores, 60 at most.",
            )
        if self.direction not in ("above", "below"):
            raise UsageError(
                f"rule {self.name!r}: direction {self.direction!r} is not known.", remedy="Use 'above' or 'below'."
            )
        if not math.isfinite(self.raise_at) or math.isinf(self.clear_at):
            raise UsageError(f"rule {self.name!r}: a threshold is not a finite number.", remedy="Give a number.")
        if math.isnan(self.clear_at):
            object.__setattr__(self, "clear_at", self.raise_at)
        if self._beyond(self.clear_at, self.raise_at) and self.clear_at != self.raise_at:
            raise UsageError(
                f"rule {self.name!r}: the warning would end before it is raised.",
                remedy="Put clear_at on the good side of raise_at.",
            )
        if self.hold < 1:
            raise UsageError(f"rule {self.name!r}: hold must be 1 or more.", remedy="Give a number of readings.")

    def raises(self, value: float) -> bool:
        """Whether a reading is at or beyond the threshold."""
        return self._beyond(value, self.raise_at)

    def clears(self, value: float) -> bool:
        """Whether a reading has gone back past the second threshold."""
        return not self._beyond(value, self.clear_at)

    def worse(self, one: float, other: float) -> float:
        """Return the worse of two readings."""
        return max(one, other) if self.direction == "above" else min(one, other)

    def _beyond(self, value: float, threshold: float) -> bool:
        return value >= threshold if self.direction == "above" else value <= threshold


@dataclass(frozen=True, slots=True)
class Reading:
    """What an indicator said on a day: the day on which it was known, the period that it is about, the value."""

    day: dt.date
    about: Key
    period: str
    value: float


@dataclass(frozen=True, slots=True)
class Warning:
    """An indicator beyond its threshold.

    Attributes
    ----------
    rule
        Which rule.
    about
        Sector, region, country, product, in the rule's order.
    since, since_period
        Day on which it was raised, and the period of the reading that raised it.
    last, period, value
        The newest reading: its day, period and value.
    peak
        The worst reading since it was raised.
    state
        ``new`` on the day it was raised, then ``standing``; ``ended`` on and after the day it was cleared.
    ended
        That day.
    silent
        The indicator has not been read on the newest day: nobody can say whether it still holds.
    acknowledged_by, acknowledged_on
        Who has taken note.
    """

    rule: Rule
    about: Key
    since: dt.date
    since_period: str
    last: dt.date
    period: str
    value: float
    peak: float
    state: State = "new"
    ended: dt.date | None = None
    silent: bool = False
    acknowledged_by: str = ""
    acknowledged_on: dt.date | None = None

    @property
    def id(self) -> str:
        """Stable name: rule, what it is about, day on which it was raised."""
        text = "|".join([self.rule.name, *(f"{d}={c}" for d, c in self.about), self.since.isoformat()])
        return f"{self.rule.name}-{self.since.isoformat()}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    @property
    def codes(self) -> str:
        """What it is about, in one word: the codes, joined."""
        return "/".join(code for _, code in self.about) or "_T"


@dataclass(slots=True)
class _Line:
    """One indicator of one thing, read day after day."""

    beyond: int = 0
    standing: Warning | None = None
    past: list[Warning] = field(default_factory=list)


def watch(rule: Rule, readings: Iterable[Reading], day: dt.date) -> list[Warning]:
    """Return all warnings of a rule up to a day, ended ones among them, oldest first.

    Parameters
    ----------
    rule
        The rule.
    readings
        In any order; what was known after `day` is not looked at. Of several readings of one day the one about the
        latest period counts. A reading that is not a number (withheld, absent) neither raises nor ends a warning.
    day
        The day as of which the warnings are asked for.

    Notes
    -----
    A warning ends where a reading says so, never because there is none.
    """
    newest: dict[tuple[dt.date, Key], Reading] = {}
    for one in readings:
        if one.day > day or not math.isfinite(one.value):
            continue
        before = newest.get((one.day, one.about))
        if before is None or one.period >= before.period:
            newest[one.day, one.about] = one
    days = sorted({known for known, _ in newest})
    lines: dict[Key, _Line] = {}
    for known, about in sorted(newest):
        _read(lines.setdefault(about, _Line()), rule, newest[known, about])
    found = []
    for line in lines.values():
        found += line.past
        if line.standing is not None:
            found.append(replace(line.standing, silent=line.standing.last < days[-1]))
    marked = [_as_of(one, day) for one in found]
    return sorted(marked, key=lambda w: (w.since, w.about))


def _read(line: _Line, rule: Rule, reading: Reading) -> None:
    if line.standing is None:
        line.beyond = line.beyond + 1 if rule.raises(reading.value) else 0
        if line.beyond < rule.hold:
            return
        line.standing = Warning(
            rule, reading.about, reading.day, reading.period, reading.day, reading.period, reading.value, reading.value
        )
        return
    now = replace(
        line.standing, last=reading.day, period=reading.period, value=reading.value,
        peak=rule.worse(line.standing.peak, reading.value),
    )  # fmt: skip
    if rule.clears(reading.value):
        line.past.append(replace(now, state="ended", ended=reading.day))
        line.standing, line.beyond = None, 0
    else:
        line.standing = now


def _as_of(warning: Warning, day: dt.date) -> Warning:
    if warning.state == "ended":
        return warning
    return replace(warning, state="new" if warning.since == day else "standing")


@dataclass(frozen=True, slots=True)
class Record:
    """What warnings of one rule have been followed by, as of a day.

    Attributes
    ----------
    raised
        Warnings so far, the standing ones among them.
    followed
        Those after which the event came within the horizon.
    false
        Those after which it did not, though the horizon is over.
    open
        Those of which one cannot say yet.
    missed
        Events before which, within the horizon, no warning stood.
    lead_days
        Median days from a warning to its event; NaN where there is none.
    """

    raised: int
    followed: int
    false: int
    open: int
    missed: int
    lead_days: float


def follow(
    warnings: Sequence[Warning], events: Iterable[tuple[Key, dt.date]], *, within: int, day: dt.date,
    read_from: dt.date | None = None,
) -> Record:  # fmt: skip
    """Count what warnings were followed by.

    Parameters
    ----------
    warnings
        From `watch`.
    events
        What it is about and the day on which it was known to have happened; one after `day` is not looked at. An
        event about nothing in particular, ``()``, is one for all.
    within
        Days after which a warning without an event was false.
    day
        The day as of which is counted.
    read_from
        The first day on which the indicator was read: an event by then could not have been warned of, and is not
        missed. All events count where it is not given.

    Notes
    -----
    A warning that is raised again within the horizon of an event counts again: each is an alarm that somebody had to
    look at. An event counts as foreseen where a warning about the same stood or was raised within the horizon before.
    """
    happened = sorted({(when, about) for about, when in events if when <= day})
    leads, false, undecided = [], 0, 0
    for one in warnings:
        end = one.since + dt.timedelta(days=within)
        after = [when for when, about in happened if about in ((), one.about) and one.since <= when <= end]
        if after:
            leads.append((after[0] - one.since).days)
        elif end < day:
            false += 1
        else:
            undecided += 1
    missed = 0
    for when, about in happened:
        if read_from is not None and when <= read_from:
            continue
        start = when - dt.timedelta(days=within)
        seen = [
            w for w in warnings
            if about in ((), w.about) and w.since <= when and (w.ended is None or w.ended >= start)
        ]  # fmt: skip
        missed += not seen
    lead = float(statistics.median(leads)) if leads else math.nan
    return Record(len(warnings), len(leads), false, undecided, missed, lead)


def acknowledge(warnings: Sequence[Warning], taken: Mapping[str, tuple[str, dt.date]], day: dt.date) -> list[Warning]:
    """Return warnings with who has taken note of them by a day; `taken`: id → name and day."""
    out = []
    for one in warnings:
        who = taken.get(one.id)
        known = who is not None and who[1] <= day
        out.append(replace(one, acknowledged_by=who[0], acknowledged_on=who[1]) if who and known else one)
    return out
