"""Functions that an engine has and Ibis does not name."""

from __future__ import annotations

import datetime as dt

import ibis


@ibis.udf.scalar.builtin(name="divide")  # type: ignore[untyped-decorator]  # Ibis has no types
def duckdb_divide(a: int, b: int) -> int:  # type: ignore[empty-body]  # the engine's
    """Divide whole numbers exactly, towards zero."""


@ibis.udf.scalar.builtin(name="div")  # type: ignore[untyped-decorator]  # Ibis has no types
def spark_divide(a: int, b: int) -> int:  # type: ignore[empty-body]  # the engine's
    """Divide whole numbers exactly, towards zero."""


@ibis.udf.agg.builtin(name="sum", signature=(("int64",), "decimal(38, 0)"))
def duckdb_sum(value, where=None):  # type: ignore[no-untyped-def]  # see signature
    """Add up whole numbers in 128 bits, and say so: Ibis takes the sum for an int64 and casts nothing."""


@ibis.udf.agg.builtin(name="max")  # type: ignore[untyped-decorator]  # Ibis has no types
def duckdb_largest(value: int, count: int) -> list[int]:  # type: ignore[empty-body]  # the engine's
    """Return the largest values, largest first, kept in a small heap."""


@ibis.udf.scalar.builtin(name="get")  # type: ignore[untyped-decorator]  # Ibis has no types
def spark_item(values: list[int], place: int) -> int:  # type: ignore[empty-body]  # the engine's
    """Return an item of an array, null beyond its end."""


@ibis.udf.scalar.builtin(name="get")  # type: ignore[untyped-decorator]  # Ibis has no types
def spark_float_item(values: list[float], place: int) -> float:  # type: ignore[empty-body]  # the engine's
    """Return an item of an array, null beyond its end."""


@ibis.udf.scalar.builtin(name="trunc")  # type: ignore[untyped-decorator]  # Ibis has no types
def spark_truncate(day: dt.date, unit: str) -> dt.date:  # type: ignore[empty-body]  # the engine's
    """Return the first day of a period as a date; Ibis' own gives a moment."""
