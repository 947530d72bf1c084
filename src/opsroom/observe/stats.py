"""Smallest and largest values of columns and files, and whether rows come in ascending key order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def column_stats(column: pa.ChunkedArray | pa.Array) -> tuple[Any, Any]:
    """Return the smallest and largest value of a column, (None, None) when it is empty.

    Texts are left out beyond 64 characters: a bound must not carry a whole text into the log.
    """
    if pa.types.is_boolean(column.type):
        return None, None
    span = pc.min_max(column).as_py()
    low, high = span["min"], span["max"]
    if isinstance(low, str) and (len(low) > 64 or len(high) > 64):
        return None, None
    return low, high


class OrderWatch:
    """Tell whether rows arrive in strictly ascending order of their key, which proves them distinct.

    Parameters
    ----------
    orders
        Orders of the key's fields to try, such as (meter, date) and (date, meter).
    """

    def __init__(self, orders: Sequence[Sequence[str]]) -> None:
        self._open = [tuple(order) for order in orders]
        self._names = sorted(orders[0])
        self._last: pa.Table | None = None

    @property
    def distinct(self) -> bool:
        """Whether all rows so far are proved to have distinct keys."""
        return bool(self._open)

    def add(self, rows: pa.Table) -> None:
        """Look at the next rows."""
        if not self._open or not rows.num_rows:
            return
        keys = rows.select(self._names)
        if self._last is not None:
            keys = pa.concat_tables([self._last, keys])
        flat = {name: keys.column(name).combine_chunks() for name in self._names}
        self._open = [order for order in self._open if _strict([flat[name] for name in order])]
        self._last = keys.slice(keys.num_rows - 1)


def _strict(columns: Sequence[pa.Array]) -> bool:
    """Return whether rows ascend strictly in lexicographic order of the columns."""
    count = len(columns[0]) - 1
    if count <= 0:
        return True
    ascends: pa.Array | None = None
    for column in reversed(columns):
        before, after = column.slice(0, count), column.slice(1)
        less = pc.less(before, after)
        ascends = less if ascends is None else pc.or_(less, pc.and_(pc.equal(before, after), ascends))
    return bool(pc.all(ascends, skip_nulls=False).as_py())
