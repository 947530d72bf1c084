"""Kernels for `map_units`; in a module of their own, as Spark's workers import them."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

from opsroom.base.errors import FitError

TRENDS = pa.schema([("unit", pa.string()), ("rows", pa.int64()), ("path", pa.int64()), ("last", pa.date32())])


def trends(table: pa.Table) -> pa.Table:
    """Give each unit a figure that depends on every row and on their order."""
    found: list[dict[str, Any]] = []
    for row in table.to_pylist():
        if not found or found[-1]["unit"] != row["unit"]:
            assert all(one["unit"] != row["unit"] for one in found), "rows of a unit stand together"
            found.append({"unit": row["unit"], "rows": 0, "path": 1, "last": None})
        one = found[-1]
        one["rows"] += 1
        one["path"] = (one["path"] * 31 + (row["value"] or 0) + 7) % 1_000_003
        one["last"] = row["day"]
    return pa.Table.from_pylist(found, TRENDS)


PROCESSES = pa.schema([("unit", pa.string()), ("pid", pa.int64())])


def processes(table: pa.Table) -> pa.Table:
    """Tell in which process each unit was computed."""
    units = list(dict.fromkeys(table["unit"].to_pylist()))
    return pa.table({"unit": units, "pid": [os.getpid()] * len(units)}, PROCESSES)


def misfit(table: pa.Table) -> pa.Table:
    """Fail as a method does that has too few rows."""
    raise FitError("a unit has too few rows.", remedy="Give more.", code="OPS-M001")


def defect(table: pa.Table) -> pa.Table:
    """Fail with a value in the message."""
    raise ValueError(f"secret {table['value'][0].as_py()}")


def other(table: pa.Table) -> pa.Table:
    """Return another schema than was declared."""
    return table.select(["unit"])
