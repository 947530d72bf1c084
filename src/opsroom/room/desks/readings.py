"""What a desk reads as of its day, kept from publication to publication and brought up to date.

A week brings a seventieth of all readings. What is kept is never trusted beyond what the store can vouch for:
where it cannot be brought to the day by what became known since, everything is read afresh.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.measure.resumption.meters import MeterDays
    from opsroom.room.desk import View

COLUMNS = ["meter_id", "date", "wh"]
_KEY = "resumption.meters"


@dataclass(slots=True)
class _Frame:
    """A whole dataset with the knowledge that it holds."""

    as_of: dt.datetime
    delivery: int
    frame: pd.DataFrame


def frame_of(view: View, dataset: str) -> pd.DataFrame:
    """Return a dataset as of the view's moment: the very frame of last time while nothing became known."""
    shelf: dict[str, _Frame] = view.memory.setdefault("resumption.frames", {})
    kept = shelf.get(dataset)
    delivery = view.last_delivery(dataset)
    if kept is not None:
        key = list(view.spec(dataset).key)
        rows = view.changes(dataset, key, after=kept.as_of, delivery=kept.delivery)
        if rows is not None and not rows.num_rows:
            kept.as_of, kept.delivery = view.as_of, delivery
            return kept.frame
    frame = view.frame(dataset)
    if kept is None or kept.as_of <= view.as_of:
        shelf[dataset] = _Frame(view.as_of, delivery, frame)
    return frame


@dataclass(slots=True)
class _Kept:
    """Readings with the knowledge that they hold."""

    dataset: str
    as_of: dt.datetime
    delivery: int
    days: MeterDays


def readings_of(view: View, dataset: str, *, start: dt.date) -> MeterDays:
    """Return all readings from a day on, as of the view's moment."""
    from opsroom.measure.resumption.readings import ordinal

    kept: _Kept | None = view.memory.get(_KEY)
    if kept is not None and kept.dataset == dataset and kept.days.start <= ordinal(start) and not kept.days.ahead:
        # Asked for before it is written to: a reading delivered between the two comes with the next call.
        delivery = view.last_delivery(dataset)
        rows = view.changes(dataset, COLUMNS, after=kept.as_of, delivery=kept.delivery)
        if rows is not None:
            kept.days.write(rows, until=ordinal(view.day))
            kept.as_of, kept.delivery = view.as_of, delivery
            return kept.days
    fresh = _read(view, dataset, start)
    if kept is None or kept.as_of <= view.as_of:
        view.memory[_KEY] = fresh
    return fresh.days


def forget(view: View, *, before: dt.date) -> None:
    """Give up the kept readings of days before a day, which no estimate will need again."""
    from opsroom.measure.resumption.readings import ordinal

    kept: _Kept | None = view.memory.get(_KEY)
    if kept is not None:
        kept.days.forget(ordinal(before))


def _read(view: View, dataset: str, start: dt.date) -> _Kept:
    """Read everything, a month at a time, so that no more than a month stands in memory twice."""
    from opsroom.measure.resumption.meters import MeterDays
    from opsroom.measure.resumption.readings import ordinal

    kept = _Kept(dataset, view.as_of, view.last_delivery(dataset), MeterDays(ordinal(start)))
    last = ordinal(view.day)
    kept.days.reserve(last)
    low = start
    while low <= view.day:
        following = (low.replace(day=1) + dt.timedelta(days=31)).replace(day=1)
        # The last piece has no end: a reading dated ahead must be noticed, since it may become due.
        high = following - dt.timedelta(days=1) if following <= view.day else None
        piece = view.arrow(dataset, COLUMNS, period_from=low, period_to=high)
        kept.days.write(piece.combine_chunks(), until=last)  # in one, so that new meters are looked for once
        low = following
    return kept
