"""Verbs that give each row a figure of its neighbours: ranks, lags, running and rolling sums, shares, gaps filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis

from opsroom.base.errors import UsageError
from opsroom.base.verbs.expressions import Rounding, Unit, col
from opsroom.base.verbs.groups import Function, measured
from opsroom.base.verbs.lowering import int64, lower, ordered, require, require_whole, total

_FRAME = "a rolling window is a number of rows, or a number of periods and their unit."


def window(
    table: ibis.Table, *, by: Sequence[str], order: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> ibis.Table:
    """Add columns that look at the other rows of a row's group, in an order.

    Parameters
    ----------
    table
        Rows.
    by
        Columns that make the groups; empty for one.
    order
        Columns; ``-name`` from large to small, nulls last. For all but ranks it has to tell the rows of a group
        apart, or the result is left to chance.
    columns
        New name → one of ``("number",)`` (1, 2, …), ``("rank",)`` (ties share a rank, the next is skipped),
        ``("dense_rank",)``, ``("lag", column, n)``, ``("lead", column, n)``, ``("cumulative", column)`` (sum up
        to the row, of whole numbers).
    """
    require(table, *by)
    if not order:
        raise UsageError("a window has an order.")
    terms = ordered(table, order)
    whole = ibis.window(group_by=list(by), order_by=terms)
    running = ibis.window(group_by=list(by), order_by=terms, preceding=None, following=0)
    found = {}
    for name, (function, *rest) in columns.items():
        match function, rest:
            case "number", []:
                found[name] = ibis.row_number().over(whole).cast("int64") + 1
            case "rank", []:
                found[name] = ibis.rank().over(whole).cast("int64") + 1
            case "dense_rank", []:
                found[name] = ibis.dense_rank().over(whole).cast("int64") + 1
            case "lag" | "lead", [str(column), int(count)] if count > 0:
                require(table, column)
                value = table[column]
                found[name] = (value.lag(count) if function == "lag" else value.lead(count)).over(whole)
            case "cumulative", [str(column)]:
                found[name] = total(table, require_whole(table, column), over=running)
            case _:
                raise UsageError("a window has number, rank, dense_rank, lag, lead and cumulative.")
    return table.mutate(**found)


def rolling(
    table: ibis.Table,
    *,
    by: Sequence[str],
    order: str,
    columns: Mapping[str, tuple[Function, str | None] | Sequence[str]],
    rows: int | None = None,
    periods: int | None = None,
    unit: Unit | None = None,
) -> ibis.Table:
    """Add sums, counts, smallest, largest and mean over the last rows or the last calendar periods.

    Parameters
    ----------
    table
        Rows.
    by
        Columns that make the groups; empty for one.
    order
        Column of the period. With `rows` it has to tell the rows of a group apart.
    columns
        New name → (`Function`, column) as in `opsroom.base.verbs.group`, without ``distinct``.
    rows
        Rows looked at: the row itself and those before it.
    periods, unit
        Calendar periods looked at: the row's own and those before it, whether or not there are rows for all.
        A row without a date gets null.
    """
    require(table, *by, order)
    if (rows or periods or 0) < 1:
        raise UsageError(_FRAME)
    if any(function == "distinct" for function, _ in columns.values()):
        raise UsageError("a rolling window has count, sum, min, max and mean.")
    if rows is not None and periods is None and unit is None:
        terms = ordered(table, [order])
        frame = ibis.window(group_by=list(by), order_by=terms, preceding=rows - 1, following=0)
        return table.mutate(**{n: _over(table, f, c, frame) for n, (f, c) in columns.items()})
    if rows is not None or periods is None or unit is None:
        raise UsageError(_FRAME)
    dated = table.mutate(__index=lower(col(order).index(unit), table))
    span = ibis.range_window(
        group_by=list(by), order_by=[dated["__index"].asc(nulls_first=False)], preceding=periods - 1, following=0
    )
    known = dated["__index"].notnull()
    found = {}
    for name, (function, column) in columns.items():
        value = _over(dated, function, column, span)
        found[name] = ibis.ifelse(known, value, ibis.null(value.type()))
    return dated.mutate(**found).drop("__index")


def _over(table: ibis.Table, function: str, column: str | None, frame: Any) -> Any:  # Ibis values
    if function not in ("sum", "mean"):
        return measured(table, function, column).over(frame)
    if column is None:
        raise UsageError(f"{function!r} needs a column.")
    value = require_whole(table, column)
    summed = total(table, value, over=frame)
    if function == "sum":
        return summed
    return summed.cast("float64") / value.count().over(frame).cast("float64").nullif(0.0)


def shares(
    table: ibis.Table,
    *,
    by: Sequence[str],
    measure: str,
    name: str,
    digits: int,
    scale: int = 100,
    method: Rounding = "half_even",
) -> ibis.Table:
    """Add each row's share of its group's total.

    Parameters
    ----------
    table
        Rows.
    by
        Columns that make the groups; empty for one.
    measure
        Whole number.
    name
        New column: the share, null where the total is zero or the row has no value.
    digits
        Decimals it is rounded to.
    scale
        100 for per cent, 1 for a part of one.
    method
        See `opsroom.base.verbs.expressions.Expression.round`.
    """
    value = require_whole(table, measure)
    summed = table.mutate(__total=total(table, value, over=ibis.window(group_by=list(by))))
    share = (col(measure).to_float() * float(scale) / col("__total")).round(digits, method)
    return summed.mutate(**{name: lower(share, summed)}).drop("__total")


def fill_forward(table: ibis.Table, *, by: Sequence[str], order: Sequence[str], columns: Sequence[str]) -> ibis.Table:
    """Replace null by the last value before it in the group.

    Parameters
    ----------
    table
        Rows.
    by
        Columns that make the groups; empty for one.
    order
        Order in which "before" is meant; it has to tell the rows of a group apart.
    columns
        Columns filled; what comes before the first value stays null.
    """
    require(table, *by, *columns)
    if not order:
        raise UsageError("filling forward needs an order.")
    running = ibis.window(group_by=list(by), order_by=ordered(table, order), preceding=None, following=0)
    # Between two values the number of values so far stands still: it names the run that a value fills.
    runs = table.mutate(**{f"__run_{c}": int64(table[c].count().over(running)) for c in columns})
    filled = {c: runs[c].max().over(ibis.window(group_by=[*by, f"__run_{c}"])) for c in columns}
    return runs.mutate(**filled).drop(*(f"__run_{c}" for c in columns))
