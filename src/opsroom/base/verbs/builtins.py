"""Functions that an engine has and Ibis does not name."""

from __future__ import annotations

import ibis


@ibis.udf.scalar.builtin(name="divide")  # type: ignore[untyped-decorator]
def duckdb_divide(a: int, b: int) -> int:  # type: ignore[empty-body]
    """Divide whole numbers exactly, towards zero."""


@ibis.udf.scalar.builtin(name="div")  # type: ignore[untyped-decorator]
def spark_divide(a: int, b: int) -> int:  # type: ignore[empty-body]
    """Divide whole numbers exactly, towards zero."""


@ibis.udf.agg.builtin(name="max")  # type: ignore[untyped-decorator]
def duckdb_largest(value: int, count: int) -> list[int]:  # type: ignore[empty-body]
    """Return the largest values, largest first, kept in a small heap."""


@ibis.udf.scalar.builtin(name="get")  # type: ignore[untyped-decorator]
def spark_item(values: list[int], place: int) -> int:  # type: ignore[empty-body]
    """Return an item of an array, null beyond its end."""
