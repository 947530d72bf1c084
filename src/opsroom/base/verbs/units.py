"""`map_units`: kernels that need all rows of a unit at once, on DuckDB and on Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import ibis

from opsroom.base.errors import InternalError
from opsroom.base.verbs.lowering import engine_of, ordered, require

if TYPE_CHECKING:
    import pyarrow as pa

Kernel = Callable[["pa.Table"], "pa.Table"]
"""A pure function of all rows of one or more whole units, sorted by unit."""


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
        Column or columns that name the unit; null is a unit, too.
    kernel
        Takes an Arrow table with all rows of one or more units, sorted by unit and then by `order`, and
        returns a table of `schema`. It must be pure, and must give a unit the same answer whichever other
        units stand beside it. On Spark it is sent to the workers: it has to live in a module they have.
    schema
        Of the kernel's result.
    order
        Columns by which the rows of a unit are sorted; ``-name`` from large to small, nulls last.
    rows
        Rows that a call gets, about; a unit is never cut.

    Returns
    -------
    pyarrow.Table
        The results, in order of the units (null last): the same on both engines.

    Raises
    ------
    InternalError
        The kernel's result has another schema, or the kernel failed on a worker of Spark. What opsroom raises
        on purpose in a kernel is raised here.

    Notes
    -----
    Memory is bounded by `rows`, the largest unit and the results; the engine sorts out of core.
    """
    units = [unit] if isinstance(unit, str) else list(unit)
    require(table, *units)
    if engine_of(table) == "pyspark":
        from opsroom.base.verbs.units_spark import map_on_spark

        return map_on_spark(table, units=units, kernel=kernel, schema=schema, order=order, rows=rows)
    import pyarrow as pa

    batches = table.order_by(ordered(table, [*units, *order])).to_pyarrow_batches(chunk_size=rows)
    found = list(run_kernel(batches, units=units, kernel=kernel, schema=schema, rows=rows))
    return pa.concat_tables(found) if found else schema.empty_table()


def run_kernel(
    batches: Iterable[pa.RecordBatch], *, units: Sequence[str], kernel: Kernel, schema: pa.Schema, rows: int
) -> Iterator[pa.Table]:
    """Call a kernel on whole units out of sorted batches.

    Parameters
    ----------
    batches
        Sorted by unit.
    units, kernel, schema, rows
        See `map_units`.

    Yields
    ------
    pyarrow.Table
        The kernel's results.
    """
    for whole in _whole_units(batches, units, rows):
        result = kernel(whole)
        if not result.schema.equals(schema):
            raise InternalError("a kernel's result does not have the schema that was declared.")
        yield result


def _whole_units(batches: Iterable[pa.RecordBatch], units: Sequence[str], rows: int) -> Iterator[pa.Table]:
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
