"""Whether what a desk read is still all that is known: then what it made of it still stands.

Most desks run every week on tables that arrive once a month. A result may be kept from run to run as long as the
store vouches that no row of any table behind it became known since; the day alone says nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec
    from opsroom.room.desk import View


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known of some datasets at a moment.

    Attributes
    ----------
    as_of
        Knowledge time.
    read
        Dataset → number of the last delivery and the specification under which it was read; ``None`` where nothing
        of it was known.
    """

    as_of: dt.datetime
    read: Mapping[str, tuple[int, DatasetSpec] | None]

    @classmethod
    def of(cls, view: View, datasets: Iterable[str]) -> Mark:
        """Return the mark of what a view knows; to be taken before the datasets are read.

        A row that is delivered between the two is then read and looked for again, never missed.
        """
        return cls(
            view.as_of,
            {d: (view.last_delivery(d), view.spec(d)) if view.has(d) else None for d in dict.fromkeys(datasets)},
        )

    def holds(self, view: View) -> bool:
        """Say whether the view knows exactly the rows that were known at the mark; they count as read by the view."""
        return all(self._same(view, dataset) for dataset in self.read)

    def _same(self, view: View, dataset: str) -> bool:
        before = self.read[dataset]
        if before is None or not view.has(dataset):
            return before is None and not view.has(dataset)
        delivery, spec = before
        if view.spec(dataset) != spec:
            return False
        rows = view.changes(dataset, list(spec.key), after=self.as_of, delivery=delivery)
        return rows is not None and not rows.num_rows
