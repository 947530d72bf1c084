"""Verbs: the narrow layer over Ibis that methods on microdata speak.

Each verb takes Ibis tables and returns one, lowered to SQL that gives the same answer on DuckDB and Spark: no
``asof_join`` (wrong or missing on several engines), no filter on a window expression, no approximate
function, every denominator guarded. `map_units` leaves SQL for kernels that need all rows of a unit at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import ibis

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import InternalError, UsageError
from opsroom.base.results import TOP, TOTAL

if TYPE_CHECKING:
    import pyarrow as pa

Kernel = Callable[["pa.Table"], "pa.Table"]
"""A pure function of all rows of one or more whole units, sorted by unit."""


def latest_vintage(
    table: ibis.Table, *, key: Sequence[str], known_at: str = "known_at", ties: Sequence[str] = ()
) -> ibis.Table:
    """Keep the latest row of each key.

    Parameters
    ----------
    table
        Rows of any number of vintages.
    key
        Columns that identify a row.
    known_at
        Column of the knowledge time.
    ties
        Columns that decide, largest first, among rows of one key and knowledge time.

    Notes
    -----
    `opsroom.observe.store.Store.table` gives a dataset's as-of view already; this verb is for tables that
    were put together after it.
    """
    order = [table[c].desc() for c in (known_at, *ties)]
    ranked = table.mutate(__rank=ibis.row_number().over(group_by=list(key), order_by=order))
    return ranked.filter(ranked["__rank"] == 0).drop("__rank")


def as_of_join(
    left: ibis.Table,
    right: ibis.Table,
    *,
    on: str,
    right_on: str,
    by: Sequence[str],
    right_until: str | None = None,
) -> ibis.Table:
    """Give each left row the latest right row of its key that begins on or before it.

    Parameters
    ----------
    left
        The table whose rows are all kept, once each.
    right
        Rows that hold from a time on, such as a register; one row a key and time.
    on, right_on
        Time columns of the left and the right table.
    by
        Key columns, named alike in both.
    right_until
        Column of the right table with the last time at which a row holds (null: open). A row that has
        ended gives nothing, even when it is the latest.

    Returns
    -------
    ibis.Table
        The left columns, then the right columns that are not in `by` and not in the left table; null
        where no right row applies.
    """
    extra = [c for c in right.columns if c not in by and c not in left.columns]
    side = right.select(
        *[right[k].name(f"__{k}") for k in by],
        right[right_on].name("__from"),
        *([right[right_until].name("__until")] if right_until is not None else []),
        *[right[c].name(f"__right_{c}") for c in extra],
    )
    # Each distinct key and time is looked up once, whatever else the left rows hold.
    asked = left.select(**{f"__ask_{k}": left[k] for k in by}, __at=left[on]).distinct()
    pairs = [asked[f"__ask_{k}"] == side[f"__{k}"] for k in by]
    joined = asked.inner_join(side, [*pairs, side["__from"] <= asked["__at"]])
    keys = [*(f"__ask_{k}" for k in by), "__at"]
    ranked = joined.mutate(__rank=ibis.row_number().over(group_by=keys, order_by=joined["__from"].desc()))
    chosen = ranked.filter(ranked["__rank"] == 0)
    if right_until is not None:
        chosen = chosen.filter(chosen["__until"].isnull() | (chosen["__until"] >= chosen["__at"]))
    chosen = chosen.select(*keys, *(f"__right_{c}" for c in extra))
    back = [left[k] == chosen[f"__ask_{k}"] for k in by]
    found = left.left_join(chosen, [*back, left[on] == chosen["__at"]])
    return found.select(*left.columns, **{c: found[f"__right_{c}"] for c in extra})


def companies(register: ibis.Table, *, legal_form: str = "legal_form") -> ibis.Table:
    """Keep enterprises that are not natural persons: no sole traders, none without a legal form.

    Parameters
    ----------
    register
        A table with the legal form of each enterprise.
    legal_form
        Its column.
    """
    form = register[legal_form]
    return register.filter(form.notnull() & form.notin(sorted(NATURAL_FORMS)))


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
    for column in measures.values():
        if not table[column].type().is_integer():
            raise UsageError(
                f"column {column!r} is {table[column].type()}, not a whole number.",
                remedy="Keep microdata in minor units and divide after adding up.",
            )
    sums = {name: table[column].sum().cast("int64") for name, column in measures.items()}
    return table.aggregate(by=list(by), **sums)


def top_contributions(
    table: ibis.Table,
    *,
    dims: Sequence[str],
    measure: str,
    group: str,
    top: int = TOP,
    name: str | None = None,
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

    Returns
    -------
    ibis.Table
        `dims`, ``name``, ``name__groups`` (groups with a non-zero contribution), ``name__top1`` … (largest
        absolute contributions, 0 where there are fewer): the columns of `opsroom.base.results.Part`.
    """
    part = name or measure
    flat = table.select(
        *dims,
        __group=table[group],
        __value=ibis.coalesce(table[measure].cast("int64"), ibis.literal(0, "int64")),
    )
    by_group = flat.aggregate(by=[*dims, "__group"], __value=flat["__value"].sum().cast("int64"))
    size = by_group["__value"].abs()
    by_group = by_group.mutate(__size=size)
    order = [by_group["__size"].desc(), by_group["__group"]]
    ranked = by_group.mutate(__rank=ibis.row_number().over(group_by=list(dims), order_by=order))
    tops = {
        f"{part}__top{k + 1}": ibis.coalesce(
            ranked["__size"].max(where=ranked["__rank"] == k), ibis.literal(0, "int64")
        )
        for k in range(top)
    }
    return ranked.aggregate(
        by=list(dims),
        **{
            part: ranked["__value"].sum().cast("int64"),
            f"{part}__groups": (ranked["__value"] != 0).sum().cast("int64"),
            **tops,
        },
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
    text = table.mutate(**{d: table[d].cast("string") for d in dims})
    pieces = []
    for count in range(len(totals) + 1):
        for summed in itertools.combinations(totals, count):
            level = text.mutate(**{d: ibis.literal(TOTAL) for d in summed}) if summed else text
            pieces.append(top_contributions(level, dims=dims, measure=measure, group=group, top=top, name=name))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole.union(piece.select(*whole.columns))
    return whole.order_by(list(dims)) if dims else whole


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
    Quantiles of microdata are outside what the gate can judge as parts: they stay inside the enclave.
    """
    prefix = name or measure
    wrong = [q for q in levels if not 0 <= q <= 1]
    if wrong:
        raise UsageError("quantile levels lie between 0 and 1.")
    columns = {f"{prefix}_p{round(q * 100, 6):g}".replace(".", "_"): table[measure].quantile(q) for q in levels}
    return table.aggregate(by=list(by), **columns)


def safe_divide(
    numerator: ibis.expr.types.NumericValue, denominator: ibis.expr.types.NumericValue
) -> ibis.expr.types.FloatingValue:
    """Divide, null where the denominator is zero or null (engines differ: NaN, null or an error)."""
    guarded = denominator.cast("float64").nullif(0.0)
    return numerator.cast("float64") / guarded


def map_units(
    table: ibis.Table,
    *,
    unit: str | Sequence[str],
    kernel: Kernel,
    schema: pa.Schema,
    order: Sequence[str] = (),
    rows: int = 1 << 18,
) -> pa.Table:
    """Run a kernel on all rows of each unit: per-company regressions, recursions, classifications.

    Parameters
    ----------
    table
        Rows of units.
    unit
        Column or columns that name the unit.
    kernel
        Takes an Arrow table with all rows of one or more units, sorted by unit and then by `order`, and
        returns a table of `schema`. It must be pure, and must give a unit the same answer whichever other
        units stand beside it.
    schema
        Of the kernel's result.
    order
        Columns by which the rows of a unit are sorted.
    rows
        Rows that a call gets, about; a unit is never cut.

    Returns
    -------
    pyarrow.Table
        The results, in order of the units.

    Raises
    ------
    InternalError
        The kernel's result has another schema.

    Notes
    -----
    Memory is bounded by `rows`, the largest unit and the results; the engine sorts out of core.
    """
    import pyarrow as pa

    units = [unit] if isinstance(unit, str) else list(unit)
    batches = table.order_by([*units, *order]).to_pyarrow_batches(chunk_size=rows)
    found = []
    for whole in _whole_units(batches, units, rows):
        result = kernel(whole)
        if not result.schema.equals(schema):
            raise InternalError("a kernel's result does not have the schema that was declared.")
        found.append(result)
    return pa.concat_tables(found) if found else schema.empty_table()


def _whole_units(batches: pa.RecordBatchReader, units: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Cut sorted batches so that no unit is divided."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        start = _last_start(batch, units)
        if held and (start or not _same_unit(held[-1], batch, units)):
            cut = start if start else 0
            ready = [*held, batch.slice(0, cut)] if cut else held
            if count + cut >= rows // 2 or not cut:
                yield pa.Table.from_batches(ready).combine_chunks()
                held, count, batch = [], 0, batch.slice(cut)
        held.append(batch)
        count += batch.num_rows
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def _last_start(batch: pa.RecordBatch, units: Sequence[str]) -> int:
    """Return where the last unit of a sorted batch begins."""
    import pyarrow.compute as pc

    changes: pa.Array | None = None
    count = batch.num_rows - 1
    for name in units:
        column = batch.column(name)
        before, after = column.slice(0, count), column.slice(1)
        differs = pc.fill_null(pc.not_equal(before, after), False)
        differs = pc.or_(differs, pc.not_equal(pc.is_null(before), pc.is_null(after)))
        changes = differs if changes is None else pc.or_(changes, differs)
    places = pc.indices_nonzero(changes)
    return int(places[-1].as_py()) + 1 if len(places) else 0


def _same_unit(left: pa.RecordBatch, right: pa.RecordBatch, units: Sequence[str]) -> bool:
    return all(left.column(n)[-1].as_py() == right.column(n)[0].as_py() for n in units)
