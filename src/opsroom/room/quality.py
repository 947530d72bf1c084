"""What the room knows of the quality of its data: reports on deliveries, and deliveries that are overdue."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from opsroom.base.errors import NotFoundError
from opsroom.observe.assessments import Alarm, QualityReport, reports
from opsroom.observe.punctuality import next_due

if TYPE_CHECKING:
    from opsroom.observe.store import Store
    from opsroom.room.room import AsOf, Room

__all__ = ["Alarm", "QualityReport", "overdue", "quality_reports"]


def quality_reports(
    room: Room, dataset: str, *, delivery: int | None = None, as_of: AsOf = None
) -> list[QualityReport]:
    """Return the reports on a dataset's deliveries, oldest first.

    Parameters
    ----------
    room
        The room.
    dataset, delivery
        Of which dataset, and of which delivery; all of them where absent.
    as_of
        Only of deliveries known by then.

    Raises
    ------
    NotFoundError
        There is no such dataset, or no report on the delivery.
    """
    room.guard.require("scan", whole=True)  # a report measures all rows of a delivery
    room.store.spec(dataset)
    until = None if as_of is None else room.moment(as_of)
    found = reports(room.state, dataset, delivery=delivery, until=until)
    if delivery is not None and not found:
        raise NotFoundError(
            f"there is no report on delivery {delivery} of dataset {dataset!r}.",
            remedy="List the deliveries with `opsroom quality report`.",
            code="OPS-N030",
        )
    return found


def overdue(store: Store, dataset: str, moment: dt.datetime) -> Alarm | None:
    """Return the alarm that a dataset's next delivery should have come by a moment.

    Due is the habitual interval after the last delivery known by then, with its grace; three intervals make a habit.
    """
    spec = store.spec(dataset)
    due = next_due(spec, [d for d in store.deliveries(dataset) if d.known_at <= moment])
    if due is None or due >= moment:
        return None
    days = (moment - due) / dt.timedelta(days=1)
    return Alarm("delivery_overdue", "warning", f"the next delivery was due {days:.0f} day(s) ago.")
