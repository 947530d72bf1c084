"""Verbs that make one row of many: sums, counts, exact quantiles; and tables turned from long to wide and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import ibis

from opsroom.base.errors import UsageError
from opsroom.base.verbs.builtins import spark_float_item
from opsroom.base.verbs.lowering import Value, engine_of, int64, number, refuse, require, require_whole, total

Function = Literal["count", "sum", "min", "max", "mean", "distinct"]
"""What becomes of the values of a group: null counts nowhere; a group without a value has count 0, else null."""


def measured(table: ibis.Table, function: str, column: str | None) -> Value:
    """Return one of `Function` over a column; ``count`` without one counts rows.

    Notes
    -----
    A mean is the exact sum over the count, divided once: engines' own averages add floats in any order.
    """
    if column is None:
        if function != "count":
            raise UsageError(f"{function!r} needs a column.")
        return table.count().cast("int64")
    require(table, column)
    if function == "count":
        return table[column].count().cast("int64")
    if function == "distinct":
        return table[column].nunique().cast("int64")
    if function in ("min", "max"):
        kind = table[column].type()
        value = int64(table[column]) if kind.is_integer() else table[column]
        return value.min() if function == "min" else value.max()
    value = require_whole(table, column)
    if function == "sum":
        return total(table, value)
    if function == "mean":
        count = value.count().cast("float64").nullif(0.0)
        return total(table, value).cast("float64") / count
    raise UsageError("a group has count, sum, min, max, mean and distinct.")


def group(
    table: ibis.Table, *, by: Sequence[str], measures: Mapping[str, tuple[Function, str | None] | Sequence[str]]
) -> ibis.Table:
    """Make one row a group.

    Parameters
    ----------
    table
        Rows.
    by
        Grouping columns; null is a group of its own. Empty for one row over all, of which there is one even where
        the table is empty.
    measures
        New name → (`Function`, column), such as ``{"n": ("count", None), "sales": ("sum", "sales")}``. Sums and
        means are of whole numbers: the result must not depend on the order of the rows.

    Returns
    -------
    ibis.Table
        `by` and the measures: int64, float64 for a mean, the column's type for min and max.

    Raises
    ------
    UsageError
        A sum or mean of floats, or no such column or function.
    """
    require(table, *by)
    found = {name: measured(table, function, column) for name, (function, column) in measures.items()}
    if set(found) & set(by):
        raise UsageError("a measure has the name of a grouping column.")
    return table.aggregate(by=list(by), **found)


def group_sum(table: ibis.Table, *, by: Sequence[str], **measures: str) -> ibis.Table:
    """Add up whole-number columns by groups.

    Parameters
    ----------
    table
        Rows.
    by
        Grouping columns; empty for one total.
    **measures
        New name = column. Columns are int64, so that the sum does not depend on the order of the rows.

    Raises
    ------
    UsageError
        A column is a float: floats begin after aggregation.
    """
    return group(table, by=by, measures={name: ("sum", column) for name, column in measures.items()})


def quantile(
    table: ibis.Table, *, by: Sequence[str], measure: str, levels: Sequence[float], name: str | None = None
) -> ibis.Table:
    """Return exact quantiles by groups, interpolated linearly between order statistics.

    Parameters
    ----------
    table
        Rows; nulls are left out.
    by
        Grouping columns.
    measure
        Column.
    levels
        Between 0 and 1.
    name
        Prefix of the result's columns ``name_p10`` …; the measure's name where absent.

    Notes
    -----
    Hyndman and Fan's type 7: of n sorted values, with :math:`h = q (n - 1)` and :math:`d = h - \\lfloor h \\rfloor`,
    it is :math:`x_{\\lfloor h \\rfloor} (1 - d) + x_{\\lceil h \\rceil} d` in float64.

    Quantiles of microdata are outside what the gate can judge as parts: they stay inside the enclave.
    """
    require(table, *by, measure)
    if not levels or any(not 0 <= q <= 1 for q in levels):
        raise UsageError("quantile levels lie between 0 and 1, and there is at least one.")
    prefix = name or measure
    names = [f"{prefix}_p{round(q * 100, 6):g}".replace(".", "_") for q in levels]
    if not table[measure].type().is_numeric():
        raise UsageError("quantiles are of numbers.")
    value = table[measure]
    if engine_of(table) == "duckdb":
        # One pass gives all levels; asked for one by one the engine would keep the values once for each. It takes
        # whole numbers as they are, and turns only those it weighs into floats.
        whole = table.aggregate(by=list(by), __all=value.quantile(list(levels)))
        columns = {n: whole["__all"][k] for k, n in enumerate(names)}
    else:
        # Spark's `percentile` weighs the two neighbours in another way, one bit off: ours is written out.
        value = value.cast("float64")
        whole = table.aggregate(by=list(by), __all=value.collect().sort(), __count=value.count().cast("int64"))
        columns = {n: _between(whole["__all"], whole["__count"], q) for n, q in zip(names, levels, strict=True)}
    return whole.select(*by, **columns)


def _between(values: Value, count: Value, level: float) -> Value:
    place = number(level) * (count - 1).cast("float64")
    low, high = place.floor().cast("int32"), place.ceil().cast("int32")
    part = place - low.cast("float64")
    first, second = spark_float_item(values, low), spark_float_item(values, high)
    return first * (number(1.0) - part) + second * part


def pivot(
    table: ibis.Table, *, by: Sequence[str], column: str, codes: Mapping[str, str] | Sequence[str], measure: str
) -> ibis.Table:
    """Turn codes into columns, adding up a measure.

    Parameters
    ----------
    table
        Rows.
    by
        Columns that make the rows.
    column
        Text column whose codes become columns.
    codes
        The codes wanted, or new column → code: stated beforehand, so that a table does not change its shape with
        the data.
    measure
        Whole number added up; null where a row has none.
    """
    require(table, *by, column)
    named = dict(codes) if isinstance(codes, Mapping) else {code: code for code in codes}
    value = require_whole(table, measure)
    found = {new: total(table, value, where=table[column] == code) for new, code in named.items()}
    if set(found) & set(by) or not found:
        raise UsageError("a pivot has at least one code, and none named like a row column.")
    return table.aggregate(by=list(by), **found)


def unpivot(
    table: ibis.Table, *, keep: Sequence[str], columns: Sequence[str], name: str = "name", value: str = "value"
) -> ibis.Table:
    """Turn columns into rows: one for each row and column, nulls included.

    Parameters
    ----------
    table
        Rows.
    keep
        Columns repeated in each.
    columns
        Columns of one type that become rows.
    name, value
        New columns: the old column's name, and its value.
    """
    require(table, *keep, *columns)
    if not columns or len({table[c].type() for c in columns}) > 1:
        raise UsageError("columns of one type become rows, and there is at least one.")
    if {name, value} & set(keep) or name == value:
        refuse(table, name, value)
        raise UsageError("the two new columns have names of their own.")
    pieces = [table.select(*keep, **{name: ibis.literal(c), value: table[c]}) for c in columns]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole.union(piece)
    return whole
