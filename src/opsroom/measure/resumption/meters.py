"""Readings of all meters as one matrix, meters by days, into which new readings are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from opsroom.base.errors import DataError
from opsroom.measure.resumption.readings_kernel import NOTHING, look_up, place, search

F32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

MORE_METERS, MORE_DAYS = 1024, 42
"""Room for growth is made so many rows or columns at a time."""

MORE_PART = 32
"""Room for growth is at least such a part of the meters that there are: each time all readings are copied."""


class MeterDays:
    """The reading of each meter and day, float32, NaN where there is none.

    Written to in the order of knowledge, it holds the latest vintage: `write` new readings, revisions and
    tombstones as they become known, rather than reading everything again.

    Parameters
    ----------
    start
        First day, days since 1970; readings of earlier days are passed over.
    meters
        Ids of meters that will come, if they are known: rows for others are added as they come.
    days
        Number of days that will come, if known.
    only
        Pass over the readings of other meters and later days.

    Attributes
    ----------
    start
        First day.
    ahead
        True once a reading was dated later than the last day wanted: it may have been passed over.
    """

    def __init__(self, start: int, *, meters: Ints | None = None, days: int = 0, only: bool = False) -> None:
        self.start, self._only = start, only
        self.ahead = False
        self._ids = np.zeros(0, dtype=np.int64)
        self._values = np.full((0, days), np.nan, dtype=np.float32)
        self._find = _Finder(self._ids)
        self._add(np.unique(meters) if meters is not None else self._ids)

    @property
    def array(self) -> F32:
        """The readings, (meters, days), and as yet empty rows and columns."""
        return self._values

    def rows(self, meters: Ints) -> Rows:
        """Return the row of each of `meters`, -1 where it has never reported."""
        return self._find(meters)

    def reserve(self, last: int) -> None:
        """Make room for the days up to one."""
        self._reach(last - self.start + 1)

    def write(self, readings: Any, *, until: int | None = None) -> None:
        """Write readings over what there is.

        Parameters
        ----------
        readings
            Columns ``meter_id`` (int64), ``date`` (date32) and ``wh`` (int64), in the order in which they became
            known: Arrow table, reader of record batches, Ibis table or pandas frame. An empty ``wh`` takes the
            reading back.
        until
            Last day wanted, days since 1970.
        """
        for batch in batches(readings):
            if not len(batch):
                continue
            meter = batch.column("meter_id").to_numpy(zero_copy_only=False)
            day = batch.column("date").cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False)
            value = batch.column("wh")
            if value.null_count:
                value = value.fill_null(NOTHING)
            row = self._find(meter)
            if not self._only:
                if (row < 0).any():
                    self._add(np.unique(meter[row < 0]))
                    row = self._find(meter)
                latest = int(day.max())
                self.ahead = self.ahead or (until is not None and latest > until)
                self._reach((latest if until is None else min(latest, until)) - self.start + 1)
            place(row, day, value.to_numpy(zero_copy_only=False), self.start, self._values)

    def forget(self, before: int) -> None:
        """Give up the days before a day."""
        gone = min(max(before - self.start, 0), self._values.shape[1])
        if gone:
            self._values = self._values[:, gone:].copy()
            self.start += gone

    def _add(self, new: Ints) -> None:
        """Give rows to meters that have none."""
        self._ids = np.concatenate([self._ids, new])
        self._find = _Finder(self._ids)
        if len(self._ids) > len(self._values):
            spare = 0 if self._only or not len(self._values) else max(MORE_METERS, len(self._ids) // MORE_PART)
            self._resize(len(self._ids) + spare, self._values.shape[1])

    def _reach(self, days: int) -> None:
        """Make room for days up to a number of them."""
        if days > self._values.shape[1]:
            self._resize(len(self._values), days + MORE_DAYS)

    def _resize(self, rows: int, columns: int) -> None:
        old = self._values
        self._values = np.full((rows, columns), np.nan, dtype=np.float32)
        self._values[: old.shape[0], : old.shape[1]] = old


class _Finder:
    """Row numbers of ids: a lookup table where ids are dense, a search where not."""

    def __init__(self, ids: Ints) -> None:
        low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, 0)
        self._low = low
        self._table: Rows | None = None
        if high - low < 64 * len(ids) + 1024:
            self._table = np.full(high - low + 1, -1, dtype=np.int32)
            if len(ids):
                self._table[ids - low] = np.arange(len(ids), dtype=np.int32)
        else:
            self._order = np.argsort(ids).astype(np.int32)
            self._sorted = ids[self._order]

    def __call__(self, ids: Ints) -> Rows:
        out = np.empty(len(ids), dtype=np.int32)
        if self._table is not None:
            look_up(ids, self._low, self._table, out)
        else:
            search(ids, self._sorted, self._order, out)
        return out


def batches(readings: Any) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a table, a reader, an Ibis table or a pandas frame."""
    if isinstance(readings, pd.DataFrame):
        readings = pa.Table.from_pandas(readings, preserve_index=False)
    if isinstance(readings, pa.Table):
        yield from readings.to_batches()
    elif hasattr(readings, "to_pyarrow_batches"):
        yield from readings.to_pyarrow_batches()
    elif isinstance(readings, Iterable):
        yield from readings
    else:
        raise DataError(
            "readings are neither an Arrow table, a reader of record batches nor an Ibis table.",
            remedy="Hand over columns meter_id, date, wh.",
        )
