"""From expressions to Ibis, written so that DuckDB and Spark compute the same bits."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal

import ibis

from opsroom.base.errors import UsageError
from opsroom.base.verbs.builtins import duckdb_divide, duckdb_sum, spark_divide, spark_truncate
from opsroom.base.verbs.expressions import Expression, Scalar

Value = Any
"""An Ibis value of any type: Ibis tells type checkers nothing."""

Engine = Literal["duckdb", "pyspark"]

WHOLE = 2.0**52
"""From here on every float64 is a whole number."""


def engine_of(table: ibis.Table) -> Engine:
    """Return the engine a table lives on.

    Raises
    ------
    UsageError
        It lives on one that the verbs are not proven on, or its parts live on different ones.
    """
    try:
        backends = table._find_backends()[0]
    except ibis.common.exceptions.IbisError:
        backends = []
    names = {backend.name for backend in backends}
    if len(backends) > 1:
        raise UsageError("tables of different engines do not meet.", remedy="Take them from one room.")
    if not names:
        return "duckdb"
    (name,) = names
    if name not in ("duckdb", "pyspark"):
        raise UsageError(f"verbs run on DuckDB and Spark, not on {name}.")
    return "duckdb" if name == "duckdb" else "pyspark"


def require(table: ibis.Table, *columns: str) -> None:
    """Refuse columns that a table does not have.

    Raises
    ------
    UsageError
        Names them.
    """
    missing = sorted({c for c in columns if c not in table.columns})
    if missing:
        raise UsageError(
            f"the table has no column {', '.join(map(repr, missing))}.",
            remedy=f"It has {', '.join(table.columns)}.",
        )


def refuse(table: ibis.Table, *columns: str) -> None:
    """Refuse new columns whose names are taken.

    Raises
    ------
    UsageError
        Names them.
    """
    taken = sorted({c for c in columns if c in table.columns})
    if taken:
        raise UsageError(f"the table has a column {', '.join(map(repr, taken))} already.", remedy="Rename it first.")


def require_whole(table: ibis.Table, column: str) -> ibis.expr.types.IntegerValue:
    """Return a column as int64.

    Raises
    ------
    UsageError
        It holds other than whole numbers: floats begin after aggregation.
    """
    require(table, column)
    if not table[column].type().is_integer():
        raise UsageError(
            f"column {column!r} is {table[column].type()}, not a whole number.",
            remedy="Keep microdata in minor units and divide after adding up.",
        )
    return int64(table[column])


def int64(value: Value) -> Any:  # an Ibis integer
    """Return a value as int64; no cast where it is."""
    return value if value.type() == ibis.dtype("int64") else value.cast("int64")


def total(table: ibis.Table, value: Value, *, where: Value | None = None, over: Any = None) -> Value:
    """Return the sum of int64 values as int64; beyond 64 bits the engine refuses.

    Parameters
    ----------
    table
        The table of the values.
    value
        Whole numbers.
    where
        Rows that count.
    over
        A window, for a running or rolling sum.
    """
    counted = value if where is None else ibis.ifelse(where, value, ibis.null("int64"))
    found = duckdb_sum(counted) if engine_of(table) == "duckdb" else counted.sum()
    return int64(found if over is None else found.over(over))


def ordered(table: ibis.Table, order: Sequence[str]) -> list[Value]:
    """Return the terms of an order: a column's name, or ``-name`` for falling; nulls stand last in both."""
    terms = []
    for word in order:
        name, falling = (word[1:], True) if word.startswith("-") else (word, False)
        require(table, name)
        column = table[name]
        terms.append(column.desc(nulls_first=False) if falling else column.asc(nulls_first=False))
    return terms


def lower(expression: Expression | Scalar, table: ibis.Table) -> Value:
    """Return an expression over a table's columns as an Ibis value.

    Raises
    ------
    UsageError
        A column is missing, or an operator meets a type it is not made for.
    """
    if not isinstance(expression, Expression):
        raise UsageError("a verb takes expressions.", remedy="Write col('name') or lit(value).")
    return _lower(expression, table, engine_of(table))


def _lower(node: Expression, table: ibis.Table, engine: Engine) -> Value:
    if node.op == "column":
        name = str(node.constants[0])
        require(table, name)
        column = table[name]
        kind = column.type()
        return int64(column) if kind.is_integer() else column.cast("float64") if kind.is_floating() else column
    if node.op == "literal":
        return literal(node.constants[0])
    operands = [_lower(operand, table, engine) for operand in node.operands]
    try:
        return _LOWERED[node.op](engine, *operands, *node.constants)
    except (
        ibis.common.exceptions.IbisError,
        ibis.common.annotations.ValidationError,
        TypeError,
        AttributeError,
    ):
        kinds = ", ".join(str(o.type()) for o in operands)
        raise UsageError(f"operator {node.op!r} does not take {kinds}.", remedy="Check the columns' types.") from None


def literal(value: Scalar) -> Value:
    """Return a constant as an Ibis value of the type that columns of its kind have."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return ibis.literal(value)
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, dt.datetime):
        return ibis.literal(value.astimezone(dt.UTC))
    return ibis.literal(value)


def number(value: int | float) -> Value:
    """Return a number as int64 or float64.

    Written as text and cast: engines take 0.1 for a decimal and 7 for an int32, each with an arithmetic of its own.
    """
    return ibis.literal(repr(value)).cast("int64" if isinstance(value, int) else "float64")


def _numbers(*operands: Value) -> None:
    if not all(o.type().is_numeric() or o.type().is_null() for o in operands):
        raise TypeError


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    def run(_: Engine, a: Value, b: Value) -> Value:
        _numbers(a, b)
        if a.type().is_floating() != b.type().is_floating():
            a, b = a.cast("float64"), b.cast("float64")
        return function(a, b)

    return run


def _comparison(function: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    def run(_: Engine, a: Value, b: Value) -> Value:
        if a.type().is_numeric() and b.type().is_numeric() and a.type().is_floating() != b.type().is_floating():
            a, b = a.cast("float64"), b.cast("float64")
        elif _kind(a) != _kind(b) and not (a.type().is_null() or b.type().is_null()):
            raise TypeError  # engines turn texts into numbers, or not: only like is compared with like
        return function(a, b)

    return run


def _kind(value: Value) -> str:
    kind = value.type()
    return next(
        (n for n in ("string", "boolean", "numeric", "date", "timestamp") if getattr(kind, f"is_{n}")()), str(kind)
    )


def _divide(_: Engine, a: Any, b: Any) -> Value:
    _numbers(a, b)
    return a.cast("float64") / b.cast("float64").nullif(0.0)


def _modulo(_: Engine, a: Any, b: Any) -> Value:
    _whole(a, b)
    rest = a % b.nullif(ibis.literal(0, "int64"))
    return ibis.ifelse((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def _floor_divide(engine: Engine, a: Any, b: Any) -> Value:
    # The engines' integer division rounds towards zero, Ibis' own goes through float64.
    _whole(a, b)
    guarded = b.nullif(ibis.literal(0, "int64"))
    quotient = (spark_divide if engine == "pyspark" else duckdb_divide)(a, guarded)
    rest = a % guarded
    return ibis.ifelse((rest != 0) & ((rest < 0) != (b < 0)), quotient - ibis.literal(1, "int64"), quotient)


def _whole(*operands: Value) -> None:
    if not all(o.type().is_integer() for o in operands):
        raise TypeError


def _round(_: Engine, x: Any, digits: int, method: str) -> Value:
    _numbers(x)
    scale, whole = number(10.0**digits), number(WHOLE)
    nought, half = number(0.0), number(0.5)
    scaled = x.cast("float64") * scale
    # Below 2^52 the floor fits int64 and the distance from it is exact. NaN and infinity are beyond it.
    small = ibis.ifelse(scaled.abs() < whole, scaled, nought)
    low = small.floor().cast("int64")
    distance = small - low.cast("float64")
    one = ibis.literal(1, "int64")
    tie = low % ibis.literal(2, "int64") != 0 if method == "half_even" else small >= nought
    up = (distance > half) | ((distance == half) & tie)
    nearest = ibis.ifelse(up, low + one, low).cast("float64") / scale
    return ibis.ifelse(scaled.abs() < whole, nearest, x.cast("float64"))


def _dates(*operands: Value) -> None:
    if not all(o.type().is_date() for o in operands):
        raise TypeError


def _truncate(engine: Engine, x: Any, unit: str) -> Value:
    _dates(x)
    if unit == "D":
        return x
    if engine == "pyspark":
        return spark_truncate(x, {"W": "WEEK", "M": "MONTH", "Q": "QUARTER", "A": "YEAR"}[unit])
    return x.truncate("Y" if unit == "A" else unit)


def _shift(_: Engine, x: Any, count: int, unit: str) -> Value:
    _dates(x)
    months = {"M": 1, "Q": 3, "A": 12}
    if unit in months:
        return as_date(x + ibis.interval(months=count * months[unit]))
    return as_date(x + ibis.interval(days=count * (7 if unit == "W" else 1)))


def as_date(moved: Any) -> Value:
    """Return a date that an interval was added to as a date: on DuckDB it is a moment, which Ibis does not know."""
    return moved.cast("timestamp").date()


def _index(engine: Engine, x: Any, unit: str) -> Value:
    _dates(x)
    if unit in ("D", "W"):
        days = int64(x.delta(ibis.literal(dt.date(1970, 1, 1)), unit="day"))
        # 1 January 1970 was a Thursday: its week began three days earlier.
        seven = ibis.literal(7, "int64")
        return days if unit == "D" else _floor_divide(engine, days + ibis.literal(3, "int64"), seven)
    years = int64(x.year()) - ibis.literal(1970, "int64")
    if unit == "A":
        return years
    if unit == "M":
        return years * 12 + int64(x.month()) - 1
    return years * 4 + int64(x.quarter()) - 1


def _texts(*operands: Value) -> None:
    if not all(o.type().is_string() for o in operands):
        raise TypeError


def _starts_with(_: Engine, x: Any, prefix: str) -> Value:
    _texts(x)
    return x.startswith(prefix)


def _prefix(_: Engine, x: Any, length: int) -> Value:
    _texts(x)
    return x.left(length)


def _to_text(_: Engine, x: Any) -> Value:
    if not (x.type().is_integer() or x.type().is_date() or x.type().is_string()):
        raise TypeError
    return x.cast("string")


def _is_in(engine: Engine, x: Any, *values: Scalar) -> Value:
    if not values:
        return ibis.ifelse(x.isnull(), ibis.null("boolean"), ibis.literal(False))
    for value in values:
        _comparison(operator.eq)(engine, x, literal(value))
    return x.isin([literal(v) for v in values])


def _alike(operands: Sequence[Any]) -> list[Any]:
    """Return values of one kind, as float64 where some are."""
    kinds = {_kind(o) for o in operands if not o.type().is_null()}
    if len(kinds) > 1:
        raise TypeError
    if kinds == {"numeric"} and any(o.type().is_floating() for o in operands):
        return [o.cast("float64") for o in operands]
    return list(operands)


def _coalesce(_: Engine, *operands: Any) -> Value:
    return ibis.coalesce(*_alike(operands))


def _if_else(_: Engine, condition: Any, then: Any, otherwise: Any) -> Value:
    return ibis.ifelse(condition, *_alike([then, otherwise]))


def _to_float(_: Engine, x: Any) -> Value:
    _numbers(x)
    return x.cast("float64")


_LOWERED: dict[str, Callable[..., Value]] = {
    "add": _arithmetic(operator.add),
    "subtract": _arithmetic(operator.sub),
    "multiply": _arithmetic(operator.mul),
    "divide": _divide,
    "floor_divide": _floor_divide,
    "modulo": _modulo,
    "negate": lambda _, x: -x,
    "absolute": lambda _, x: x.abs(),
    "equal": _comparison(operator.eq),
    "not_equal": _comparison(operator.ne),
    "less": _comparison(operator.lt),
    "less_equal": _comparison(operator.le),
    "greater": _comparison(operator.gt),
    "greater_equal": _comparison(operator.ge),
    "and": lambda _, a, b: a & b,
    "or": lambda _, a, b: a | b,
    "not": lambda _, x: ~x,
    "is_null": lambda _, x: x.isnull(),
    "is_in": _is_in,
    "coalesce": _coalesce,
    "if_else": _if_else,
    "round": _round,
    "truncate": _truncate,
    "shift": _shift,
    "index": _index,
    "starts_with": _starts_with,
    "prefix": _prefix,
    "to_float": _to_float,
    "to_text": _to_text,
}
