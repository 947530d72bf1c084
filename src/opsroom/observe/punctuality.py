"""Punctuality: how late a delivery is, by the provider's promise or else by its own habit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

from opsroom.base.periods import Frequency, last_day, local_day
from opsroom.base.specs import DatasetSpec
from opsroom.observe.deliveries import Delivery

HABIT = 12
"""Deliveries that make a habit, the last ones; three are needed for one."""

FEWEST = 3

SLACK_DAYS = {"H": 1, "D": 1, "W": 1, "M": 3, "Q": 7, "A": 30, "event": 7}
"""Days of grace beyond the habit, whatever its spread."""

PERIOD_DAYS = {"H": 1, "D": 1, "W": 7, "M": 30, "Q": 91, "A": 365, "event": 30}
"""Days of a period: the unit in which lateness is scored."""


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How punctual a delivery was.

    Attributes
    ----------
    lag
        Days from the end of its last reference period to its knowledge time.
    allowed
        Days allowed: the promised lag, or the habit with its grace; None while there is neither.
    promised
        Whether `allowed` is the provider's promise.
    """

    lag: int
    allowed: float | None
    promised: bool

    @property
    def late(self) -> float:
        """Days beyond what is allowed, 0 where punctual or where nothing is known of it."""
        return 0.0 if self.allowed is None else max(self.lag - self.allowed, 0.0)


def frontier(deliveries: Sequence[Delivery], frequency: str) -> date | datetime | None:
    """Return the last reference period that some deliveries brought."""
    ends = [d.period_to for d in deliveries if d.period_to and not d.deletions]
    if not ends:
        return None
    if frequency == Frequency.HOURLY:
        return max(datetime.fromisoformat(end) for end in ends)
    return max(date.fromisoformat(end[:10]) for end in ends)


def punctuality(spec: DatasetSpec, one: Delivery, before: Sequence[Delivery], tz: ZoneInfo) -> Punctuality | None:
    """Judge a delivery's lag.

    Parameters
    ----------
    spec, one, before
        The dataset, the delivery, and those recorded before it.
    tz
        The room's zone, in which days end.

    Returns
    -------
    Punctuality or None
        None where the lag says nothing: events, periods known ahead, corrections of what was known.
    """
    lag = _lag(spec, one, before, tz)
    if lag is None:
        return None
    if spec.quality.promised_lag_days is not None:
        return Punctuality(lag, float(spec.quality.promised_lag_days), True)
    lags = [_lag(spec, d, before[:n], tz) for n, d in enumerate(before)]
    # The first delivery is a history of any age: it makes no habit.
    known = [x for x in lags[1:] if x is not None][-HABIT:]
    return Punctuality(lag, _bound(known, SLACK_DAYS[spec.frequency]), False)


def next_due(spec: DatasetSpec, deliveries: Sequence[Delivery]) -> datetime | None:
    """Return the moment by which the next delivery is due: the habitual interval after the last, with its grace."""
    times = sorted({d.known_at for d in deliveries if not d.deletions})
    gaps = [(b - a) / timedelta(days=1) for a, b in pairwise(times)][-HABIT:]
    bound = _bound(gaps, SLACK_DAYS[spec.frequency])
    return None if bound is None or spec.known_at_field else times[-1] + timedelta(days=bound)


def _lag(spec: DatasetSpec, one: Delivery, before: Sequence[Delivery], tz: ZoneInfo) -> int | None:
    if spec.frequency == Frequency.EVENT or spec.allow_future or one.deletions or not one.period_to:
        return None
    known, end = frontier(before, spec.frequency), frontier([one], spec.frequency)
    if end is None or (known is not None and end <= known):
        return None
    day = end.date() if isinstance(end, datetime) else last_day(end, spec.frequency)
    return (local_day(one.known_at, tz) - day).days


def _bound(values: Sequence[float], slack: float) -> float | None:
    """Return the median plus three robust standard deviations, or the grace where that is more."""
    if len(values) < FEWEST:
        return None
    middle = median(values)
    spread = 1.4826 * median([abs(v - middle) for v in values])
    return float(middle + max(3 * spread, slack))
