"""Verbs on who stands behind a figure: the largest contributions, concentration, and the parts that the gate judges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import ibis

from opsroom.base.errors import UsageError
from opsroom.base.results import TOP, TOTAL
from opsroom.base.verbs.builtins import duckdb_largest, spark_item
from opsroom.base.verbs.lowering import Value, engine_of, require, require_whole, total
from opsroom.base.verbs.top_direct import Plan, remember


def contributions(
    table: ibis.Table, *, dims: Sequence[str], measure: str, group: str, key: Sequence[str] = ()
) -> ibis.Table:
    """Add up a measure by cell and contributor.

    Parameters
    ----------
    table, dims, measure, group, key
        See `top_contributions`.

    Returns
    -------
    ibis.Table
        `dims`, `group`, `measure`: int64, nulls counted as nothing.
    """
    flat = _flat(table, dims, measure, group, key)
    if key and set(key) <= {*dims, group}:
        return flat
    return flat.aggregate(by=[*dims, group], **{measure: total(flat, flat[measure])})


def _flat(table: ibis.Table, dims: Sequence[str], measure: str, group: str, key: Sequence[str]) -> ibis.Table:
    """Return the rows with nothing but dimensions, group and measure, nulls of the measure counted as nothing."""
    require(table, *dims, group, *key)
    if group in dims or measure in dims:
        raise UsageError("neither the group nor the measure is a dimension.")
    value = require_whole(table, measure)
    return table.select(*dims, group, **{measure: ibis.coalesce(value, ibis.literal(0, "int64"))})


def top_contributions(
    table: ibis.Table,
    *,
    dims: Sequence[str],
    measure: str,
    group: str,
    top: int = TOP,
    name: str | None = None,
    key: Sequence[str] = (),
) -> ibis.Table:
    """Add up a measure by cell, with the number of groups behind it and the largest contributions.

    Parameters
    ----------
    table
        Rows of units; `measure` is int64 in minor units.
    dims
        Columns that make the cells; empty for one total.
    measure
        Column to add up; nulls count as nothing.
    group
        Column of the enterprise group, by which contributors are counted. Rows without one are counted
        as groups of their own only if the caller has filled in the enterprise.
    top
        How many of the largest contributions to give.
    name
        Name of the part; the measure's where absent.
    key
        Columns that identify a row of the table, where known. If they are all among `dims` and `group`, a row is
        a contribution already and need not be added up: several times faster.

    Returns
    -------
    ibis.Table
        `dims`, ``name``, ``name__groups`` (groups with a non-zero contribution), ``name__top1`` … (largest
        absolute contributions, 0 where there are fewer): the columns of `opsroom.base.results.Part`.
    """
    part = name or measure
    by_group = contributions(table, dims=dims, measure=measure, group=group, key=key)
    value = by_group[measure]
    whole = by_group.aggregate(
        by=list(dims),
        **{
            part: total(by_group, value),
            f"{part}__groups": (value != 0).sum().cast("int64"),
            "__largest": _largest(by_group, value.abs(), top),
        },
    )
    zero = ibis.literal(0, "int64")
    tops = {f"{part}__top{k + 1}": ibis.coalesce(_item(whole, k), zero) for k in range(top)}
    found = whole.select(*dims, part, f"{part}__groups", **tops)
    if dims and not (key and set(key) <= {*dims, group}):
        plan = Plan(_flat(table, dims, measure, group, key), tuple(dims), group, measure, part, top)
        return remember(found, plan)
    if not dims:  # one row is promised, and zeros in it, where nothing is added up
        found = found.mutate(**{c: ibis.coalesce(found[c], zero) for c in found.columns})
    return found


def _largest(table: ibis.Table, size: Value, top: int) -> Value:
    if engine_of(table) == "duckdb":
        return duckdb_largest(size, ibis.literal(top, "int64"))
    return size.collect().sort()


def _item(table: ibis.Table, place: int) -> Value:
    values = table["__largest"]
    if engine_of(table) == "duckdb":
        return values[place]
    return spark_item(values, values.length().cast("int32") - ibis.literal(place + 1, "int32"))


DECIMAL = "decimal(38, 0)"


def concentration(
    table: ibis.Table,
    *,
    dims: Sequence[str],
    measure: str,
    group: str,
    digits: int = 4,
    name: str | None = None,
    key: Sequence[str] = (),
) -> ibis.Table:
    """Return the Herfindahl-Hirschman index of a measure by cell.

    Parameters
    ----------
    table, dims, measure, group, name, key
        See `top_contributions`; contributions count by their absolute size.
    digits
        Decimals, 0 to 4, of the index between 0 and 1.

    Returns
    -------
    ibis.Table
        `dims`, ``name__hhi`` (int64 in units of the last decimal: with four, 10,000 is a monopoly; null where all
        contributions are zero) and ``name__contributors``.

    Notes
    -----
    :math:`H = \\sum_i x_i^2 / (\\sum_i x_i)^2`, computed in whole numbers and rounded once, half to even. The sum of
    a cell's absolute contributions has to stay below :math:`10^{17}` minor units; beyond, the engine refuses.

    References
    ----------
    Hirschman, A. O. (1964). The paternity of an index. American Economic Review 54.
    """
    if not 0 <= digits <= 4:
        raise UsageError("the index has 0 to 4 decimals.")
    part = name or measure
    by_group = contributions(table, dims=dims, measure=measure, group=group, key=key)
    size = by_group[measure].abs()
    exact = size.cast(DECIMAL)
    sums = by_group.aggregate(
        by=list(dims),
        __squares=(exact * exact).sum().cast(DECIMAL),
        __total=total(by_group, size),
        __n=(size != 0).sum().cast("int64"),
    )
    scaled = (sums["__squares"] * ibis.literal(10**digits, "int64").cast(DECIMAL)).cast(DECIMAL)
    whole = sums["__total"].nullif(ibis.literal(0, "int64")).cast(DECIMAL)
    terms = sums.mutate(
        __scaled=scaled,
        __square=(whole * whole).cast(DECIMAL),
        __guess=(scaled.cast("float64") / whole.cast("float64") / whole.cast("float64")).floor().cast("int64"),
    )
    # The guess in floats may be one off; what it leaves in whole numbers tells exactly where the index lies.
    rest = (terms["__scaled"] - (terms["__guess"].cast(DECIMAL) * terms["__square"]).cast(DECIMAL)).cast(DECIMAL)
    left = terms.mutate(__rest=rest)
    one = ibis.literal(1, "int64")
    below, above = left["__rest"] < 0, left["__rest"] >= left["__square"]
    floor = ibis.cases((below, left["__guess"] - one), (above, left["__guess"] + one), else_=left["__guess"])
    over = ibis.cases(
        (below, (left["__rest"] + left["__square"]).cast(DECIMAL)),
        (above, (left["__rest"] - left["__square"]).cast(DECIMAL)),
        else_=left["__rest"],
    )
    split = left.mutate(__floor=floor, __twice=(over + over).cast(DECIMAL))
    odd = split["__floor"] % ibis.literal(2, "int64") == one
    up = (split["__twice"] > split["__square"]) | ((split["__twice"] == split["__square"]) & odd)
    index = ibis.ifelse(up, split["__floor"] + one, split["__floor"])
    return split.select(
        *dims, **{f"{part}__hhi": index, f"{part}__contributors": ibis.coalesce(split["__n"], ibis.literal(0, "int64"))}
    )


def parts(
    table: ibis.Table,
    *,
    dims: Sequence[str],
    measure: str,
    group: str,
    totals: Sequence[str] = (),
    name: str | None = None,
    top: int = TOP,
) -> ibis.Table:
    """Make the part columns of `Cells`, cells and margins together.

    Parameters
    ----------
    table, dims, measure, group, name, top
        See `top_contributions`; dimension columns become text.
    totals
        Dimensions for which the total ``"_T"`` is wanted: every combination of them is made, each counted
        anew from the units (contributors of a total are not the sum of those of its cells).

    Returns
    -------
    ibis.Table
        One row a cell, ordered by the dimensions.
    """
    unknown = [t for t in totals if t not in dims]
    if unknown:
        raise UsageError(f"totals over {', '.join(unknown)}, which are no dimensions.")
    require(table, *dims)
    text = table.mutate(**{d: table[d].cast("string") for d in dims})
    # Added up once by cell and group: the margins are made of these few rows, not of the units again.
    finest = contributions(text, dims=dims, measure=measure, group=group)
    pieces = []
    for count in range(len(totals) + 1):
        for summed in itertools.combinations(totals, count):
            level = finest.mutate(**{d: ibis.literal(TOTAL) for d in summed}) if summed else finest
            pieces.append(
                top_contributions(
                    level,
                    dims=dims,
                    measure=measure,
                    group=group,
                    top=top,
                    name=name,
                    key=() if summed else [*dims, group],
                )
            )
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole.union(piece.select(*whole.columns))
    return whole.order_by([whole[d].asc(nulls_first=False) for d in dims]) if dims else whole
