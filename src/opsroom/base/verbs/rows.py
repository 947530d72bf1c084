"""Verbs on rows and columns: choose, derive, order, put together, classify, round for publication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import UsageError
from opsroom.base.verbs.expressions import Expression, Rounding, Scalar, col, if_else, lit
from opsroom.base.verbs.lowering import engine_of, lower, ordered, refuse, require


def select(table: ibis.Table, *, columns: Sequence[str]) -> ibis.Table:
    """Keep some columns, in this order."""
    require(table, *columns)
    return table.select(*columns)


def rename(table: ibis.Table, *, names: Mapping[str, str]) -> ibis.Table:
    """Give columns new names.

    Parameters
    ----------
    table
        Rows.
    names
        New name → present name; other columns keep theirs.
    """
    require(table, *names.values())
    refuse(table, *(new for new, old in names.items() if new != old))
    return table.rename(dict(names))


def where(table: ibis.Table, *, condition: Expression) -> ibis.Table:
    """Keep the rows for which a condition is true: not false, not null."""
    found = lower(condition, table)
    if not found.type().is_boolean():
        raise UsageError("rows are kept by a condition.", remedy="Compare: col('sales') > 0.")
    return table.filter(found)


def derive(table: ibis.Table, **columns: Expression) -> ibis.Table:
    """Add columns computed row by row, or replace columns by what is computed from them.

    Parameters
    ----------
    table
        Rows.
    **columns
        New name = expression over the columns as they are.
    """
    return table.mutate(**{name: lower(expression, table) for name, expression in columns.items()})


def distinct(table: ibis.Table, *, columns: Sequence[str] | None = None) -> ibis.Table:
    """Keep each row once, of all columns or of some; null is a value like any other."""
    return (table if columns is None else select(table, columns=columns)).distinct()


def order(table: ibis.Table, *, by: Sequence[str], limit: int | None = None, skip: int = 0) -> ibis.Table:
    """Put rows in order, and keep the first ones if asked.

    Parameters
    ----------
    table
        Rows.
    by
        Columns; ``-name`` orders from large to small. Nulls stand last in both directions.
    limit
        Rows kept. With a limit `by` has to tell all rows apart, or which ones are kept is left to chance.
    skip
        Rows left out before.
    """
    if not by:
        raise UsageError("an order has a column.")
    if skip and engine_of(table) == "pyspark":
        # Ibis' offset numbers the rows without an order there.
        numbered = table.mutate(__number=ibis.row_number().over(order_by=ordered(table, by)))
        kept = numbered["__number"] >= skip
        kept = kept if limit is None else kept & (numbered["__number"] < skip + limit)
        return numbered.filter(kept).order_by("__number").drop("__number")
    found = table.order_by(ordered(table, by))
    return found if limit is None and not skip else found.limit(limit, offset=skip)


def union(first: ibis.Table, *others: ibis.Table) -> ibis.Table:
    """Put rows of tables with the same columns below each other; nothing is dropped.

    Raises
    ------
    UsageError
        The tables differ in their columns or their types.
    """
    whole = first
    for other in others:
        if set(other.columns) != set(first.columns):
            raise UsageError("tables with different columns are put together.", remedy="Select the same ones.")
        if any(first[c].type() != other[c].type() for c in first.columns):
            raise UsageError("tables with columns of different types are put together.")
        whole = whole.union(other.select(*first.columns))
    engine_of(whole)
    return whole


def bucket(
    table: ibis.Table, *, column: str, edges: Sequence[int | float], name: str, labels: Sequence[str] | None = None
) -> ibis.Table:
    """Put a number into classes such as sizes of enterprises.

    Parameters
    ----------
    table
        Rows.
    column
        The number.
    edges
        Rising lower bounds of the classes but the first: a value at an edge belongs to the class above.
    name
        New column: the class's number from 0, or its label; null for null.
    labels
        One more than edges.
    """
    if not edges or list(edges) != sorted(set(edges)):
        raise UsageError("edges of classes rise and there is at least one.")
    if labels is not None and len(labels) != len(edges) + 1:
        raise UsageError("there is one label more than edges.")
    names: Sequence[Scalar] = list(range(len(edges) + 1)) if labels is None else list(labels)
    value = col(column)
    found: Expression = lit(names[-1])
    for edge, label in zip(reversed(edges), list(reversed(names))[1:], strict=True):
        found = if_else(value < edge, label, found)
    return derive(table, **{name: if_else(value.is_null(), None, found)})


def classify(
    table: ibis.Table, *, column: str, classes: Mapping[str, Sequence[Scalar]], name: str, other: str | None = None
) -> ibis.Table:
    """Give each value the class that lists it.

    Parameters
    ----------
    table
        Rows.
    column
        The value.
    classes
        Class → its values; no value stands twice.
    name
        New column.
    other
        Class of every other value; null stays null.
    """
    listed = [value for values in classes.values() for value in values]
    if len(set(listed)) != len(listed):
        raise UsageError("a value stands in two classes.")
    value = col(column)
    found: Expression = lit(other)
    for label, values in classes.items():
        found = if_else(value.is_in(values), label, found)
    return derive(table, **{name: if_else(value.is_null(), None, found)})


def publish(table: ibis.Table, *, digits: Mapping[str, int], method: Rounding = "half_even") -> ibis.Table:
    """Round figures to the precision they are published at.

    Parameters
    ----------
    table
        Figures.
    digits
        Column → decimals.
    method
        See `Expression.round`.
    """
    return derive(table, **{name: col(name).round(count, method) for name, count in digits.items()})


def companies(register: ibis.Table, *, legal_form: str = "legal_form") -> ibis.Table:
    """Keep enterprises that are not natural persons: no sole traders, none without a legal form.

    Parameters
    ----------
    register
        A table with the legal form of each enterprise.
    legal_form
        Its column.
    """
    return where(register, condition=~col(legal_form).is_in(sorted(NATURAL_FORMS)))
