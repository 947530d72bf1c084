"""From meters to customers: each customer is followed through its meters, whatever class a meter is filed under."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.adjust.breaks import Steps
from opsroom.measure.adjust.readings_file import CELLS, ReadingsFile, Spool, new_rows

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]

MISSING = -1
OPEN = np.iinfo(np.int32).max
MOST = 400
"""Blocks of customers at most: what comes at once of one is a piece of the spool."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Daily use by customer; confidential.

    Attributes
    ----------
    ids
        Customers, sorted.
    dates
        Days of the columns.
    readings
        Sum over the meters that the customer has on the day, (customers, days); -1 where one of them has no reading,
        or it has none. An array, or a file that gives rows as one does.
    changes
        Days on which a customer got another meter, as `adjust_panel` takes them; sizes are 0.
    """

    ids: Ints
    dates: pd.DatetimeIndex
    readings: Ints | ReadingsFile
    changes: Steps

    def codes(self, classes: pd.DataFrame, column: str, *, on: object) -> npt.NDArray[np.object_]:
        """Return each customer's code as of one day, kept for all days.

        Parameters
        ----------
        classes
            ``customer_id, valid_from`` and the column of codes, dated.
        column
            Such as ``class``, ``sector`` or ``region``.
        on
            Day whose codes hold; of a customer that has none yet, its first.

        Returns
        -------
        numpy.ndarray
            Text, empty for a customer without a code.
        """
        frame = classes.assign(
            _from=pd.to_datetime(classes["valid_from"]),
            _late=pd.to_datetime(classes["valid_from"]) > pd.Timestamp(str(on)),
        ).sort_values("_from", kind="stable")
        last = frame[~frame["_late"]].drop_duplicates("customer_id", keep="last")
        first = frame[frame["_late"]].drop_duplicates("customer_id", keep="first")
        known = pd.concat([last, first]).drop_duplicates("customer_id").set_index("customer_id")[column].astype(str)
        return np.asarray(known.reindex(pd.Index(self.ids)).fillna("").to_numpy(dtype=object))


def follow_customers(
    readings: pa.Table | Iterable[pa.RecordBatch],
    links: pd.DataFrame,
    *,
    start: object,
    end: object,
    folder: Path | None = None,
    cells: int = CELLS,
) -> Customers:
    """Add the readings of meters up by customer and day.

    It answers: how much did this customer use, before and after it got another meter or was filed under another
    class? In a total by class label, profiled customers that get a smart meter are a fall of one class and a rise of
    another, and neither is activity.

    Parameters
    ----------
    readings
        ``meter_id`` (int64), ``date`` (date32), ``wh`` (int64), one row a meter and day, in any order.
    links
        ``meter_id, customer_id, valid_from, valid_to``: first and last day (inclusive; missing: open) on which a
        meter is a customer's.
    start, end
        First and last day.
    folder
        An existing folder for a file of readings, so that memory holds a block of customers at a time and not all of
        them; while it is made it takes 12 to 13 bytes a reading, then 8. Of a process that is killed nothing stays, or
        a file ``*.readings.part``, which the next call deletes. None: in memory.
    cells
        Readings of a block.

    Returns
    -------
    Customers
        The same with a folder and without.

    Raises
    ------
    UsageError
        If a meter is two customers' on one day, or has two readings of one day.
    """
    from opsroom.measure.adjust.customers_kernel import add_readings, find_customers

    dates = pd.date_range(pd.Timestamp(str(start)), pd.Timestamp(str(end)), name="date")
    origin, days = int(_day_numbers(pd.Series([dates[0]]), 0)[0]), len(dates)
    table = links.assign(
        first=_day_numbers(links["valid_from"], 0) - origin, last=_day_numbers(links["valid_to"], OPEN) - origin
    ).sort_values(["meter_id", "first"], kind="stable")
    meter = table["meter_id"].to_numpy(dtype=np.int64)
    first, last = table["first"].to_numpy(dtype=np.int64), table["last"].to_numpy(dtype=np.int64)
    if ((meter[1:] == meter[:-1]) & (first[1:] <= last[:-1])).any():
        raise UsageError(
            "a meter belongs to two customers on one day.",
            remedy="End a link the day before the next one begins.",
            code="OPS-U021",
        )
    ids, row = np.unique(table["customer_id"].to_numpy(dtype=np.int64), return_inverse=True)
    row = row.astype(np.int64)

    def placed() -> Iterator[tuple[Ints, Ints]]:
        """Whose each reading is and of which day, as a place in the flat matrix; and the readings."""
        for batch in readings.to_batches() if hasattr(readings, "to_batches") else readings:
            day = batch.column("date").to_numpy(zero_copy_only=False).astype("datetime64[D]").astype(np.int64) - origin
            of = batch.column("meter_id").to_numpy(zero_copy_only=False).astype(np.int64)
            owner = np.empty(len(day), dtype=np.int64)
            find_customers(of, day, days, meter, row, first, last, owner)
            value = batch.column("wh").to_numpy(zero_copy_only=False).astype(np.int64)
            kept = owner >= 0
            yield (owner * days + day)[kept], value[kept]

    def added(low: int, high: int, pieces: Iterable[tuple[npt.NDArray[np.integer], Ints]]) -> Ints:
        """Return the sums of some customers, from pieces placed in their part of the matrix."""
        total = np.zeros((high - low, days), dtype=np.int64)
        mine = (row >= low) & (row < high)
        waiting = _meters_a_day(row[mine] - low, first[mine], last[mine], high - low, days)
        for place, value in pieces:
            if not add_readings(place, value, total.reshape(-1), waiting.reshape(-1)):
                raise UsageError(
                    "a meter has two readings of one day.", remedy="Give the latest vintage alone.", code="OPS-U022"
                )  # fmt: skip
        total[waiting != 0] = MISSING
        return total

    found: Ints | ReadingsFile
    if folder is None:
        found = added(0, len(ids), placed())
    else:
        size = max(cells // days, -(-len(ids) // MOST), 1)
        found = _in_a_file(folder, placed(), added, (len(ids), days), size)
    return Customers(ids, dates, found, _changes(row, first, len(ids), days))


def _in_a_file(
    folder: Path,
    placed: Iterable[tuple[Ints, Ints]],
    added: Callable[[int, int, Iterable[tuple[npt.NDArray[np.integer], Ints]]], Ints],
    shape: tuple[int, int],
    size: int,
) -> ReadingsFile:
    """Sort readings into blocks of customers on disk, then add block after block up."""
    customers, days = shape
    starts = range(0, customers, size)
    spool = Spool(folder, len(starts))
    try:
        for place, value in placed:
            block = place // (size * days)
            spool.add(block, (place - block * (size * days)).astype(np.int32), value)
        blocks = (added(low, min(low + size, customers), spool.take(k)) for k, low in enumerate(starts))
        return new_rows(folder, blocks, days)
    finally:
        spool.close()


def _day_numbers(dates: pd.Series, missing: int) -> Ints:
    """Return days since 1970."""
    stamps = pd.to_datetime(dates)
    numbers = stamps.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.where(stamps.isna().to_numpy(), missing, numbers)


def _meters_a_day(row: Ints, first: Ints, last: Ints, customers: int, days: int) -> npt.NDArray[np.int32]:
    """Return how many readings each customer and day is still waiting for; -1 where it has no meter."""
    change = np.zeros((customers, days + 1), dtype=np.int32)
    np.add.at(change, (row, np.clip(first, 0, days)), 1)
    np.add.at(change, (row, np.clip(last + 1, 0, days)), -1)
    count = change[:, :-1].cumsum(axis=1, dtype=np.int32)
    return np.where(count == 0, np.int32(MISSING), count)


def _changes(row: Ints, first: Ints, customers: int, days: int) -> Steps:
    """Return the days within the panel on which a customer got another meter after its first."""
    earliest = np.full(customers, OPEN, dtype=np.int64)
    np.minimum.at(earliest, row, first)
    later = (first > earliest[row]) & (first > 0) & (first < days)
    pairs = np.unique(np.column_stack([row[later], first[later]]), axis=0).reshape(-1, 2).astype(np.int64)
    return Steps(pairs[:, 0], pairs[:, 1], np.zeros(len(pairs)))
