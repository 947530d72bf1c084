"""Tables of top contributions over very many rows, computed beside the engine.

DuckDB adds up a measure by cell and group in one table of all pairs, which for a hundred million company-months is
larger than any cache; it takes some tenths of a microsecond a row. Here the engine reads and filters, as ever, and
hands over each row's cell, group and measure; the rest is `opsroom.base.verbs.top_kernel`'s. The answer is the same
to the bit; where that is not certain (a sum may pass 64 bits, two cells share a hash), the engine is asked after all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis

from opsroom.base.verbs.lowering import engine_of, int64

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 20_000_000
"""From so many rows on."""

CELLS = 1 << 22
"""Cells that are kept in memory, at most."""

PART = 1 << 17
"""Rows of a part, about: its table stays in the cache."""

ROW_BYTES = 20
"""Memory that a row takes; all of them may take a quarter of the machine's."""

SAFE = 2.0**62
"""Sums of absolute values below need no look at single ones."""

_KEPT = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table of top contributions is made of.

    Attributes
    ----------
    flat
        Rows: `dims`, `group`, `measure`, nulls of the measure counted as nothing.
    dims, group, measure
        Its columns.
    part, top
        Name of the result's part, and how many of the largest it gives.
    """

    flat: ibis.Table
    dims: tuple[str, ...]
    group: str
    measure: str
    part: str
    top: int


_plans: dict[Any, Plan] = {}  # by Ibis operation: equal ones are equal tables


def remember(table: ibis.Table, plan: Plan) -> ibis.Table:
    """Note how a table can be computed; return it."""
    while len(_plans) >= _KEPT:
        _plans.pop(next(iter(_plans)), None)
    _plans[table.op()] = plan
    return table


def compute(table: ibis.Table) -> pa.Table | None:
    """Return a table of top contributions, or None where it is none, is small, or the engine must decide."""
    plan = _plans.get(table.op())
    if plan is None or engine_of(table) != "duckdb" or not _suits(plan):
        return None
    if int(plan.flat.limit(max(ROWS, 1)).count().execute()) < max(ROWS, 1):
        return None
    return _computed(plan, table.schema().to_pyarrow())


def _suits(plan: Plan) -> bool:
    kinds = [plan.flat[d].type() for d in plan.dims]
    group = plan.flat[plan.group].type()
    counted = group.is_signed_integer() or group.is_string()
    known = all(k.is_string() or k.is_integer() or k.is_date() or k.is_boolean() for k in kinds)
    return bool(kinds) and counted and known


def _hash(flat: ibis.Table, dims: tuple[str, ...]) -> Any:  # an Ibis integer
    """Return the engine's hash of a row's dimensions."""
    kinds = tuple(flat[d].type() for d in dims)

    def cell(*_: object) -> None:
        """Hash values together."""

    cell.__signature__ = _signature(dims)  # type: ignore[attr-defined]  # Ibis reads the names of the arguments
    function = ibis.udf.scalar.builtin(cell, name="hash", signature=(kinds, "uint64"))
    return function(*(flat[d] for d in dims))


def _signature(dims: tuple[str, ...]) -> Any:  # inspect.Signature
    import inspect

    return inspect.Signature(
        [inspect.Parameter(f"value{n}", inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in range(len(dims))]
    )


def _computed(plan: Plan, schema: pa.Schema) -> pa.Table | None:
    import os

    import numpy as np
    import pyarrow as pa

    from opsroom.base.verbs.top_kernel import number_cells

    counted = plan.flat.aggregate(by=list(plan.dims), __rows=plan.flat.count())
    every = counted.mutate(__cell=_hash(counted, plan.dims)).to_pyarrow()
    cells, rows = every.num_rows, int(every.column("__rows").to_numpy().sum())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if cells > CELLS or rows * ROW_BYTES > memory // 4:
        return None
    hashes = every.column("__cell").to_numpy()
    size = 1 << (4 * cells).bit_length()
    table, numbers = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    if number_cells(hashes, table, numbers) != cells or not _groups_differ(plan):
        return None
    dealt = _dealt(plan, rows, table, numbers, cells)
    if dealt is None:
        return None
    total, count, top = _added(dealt, cells, plan.top, _threads(plan.flat))
    largest = -np.sort(-top.transpose(1, 0, 2).reshape(cells, -1), axis=1)[:, : plan.top]
    columns = [every.column(d) for d in plan.dims]
    columns += [pa.array(total.sum(axis=0)), pa.array(count.sum(axis=0))]
    columns += [pa.array(np.ascontiguousarray(largest[:, k])) for k in range(plan.top)]
    return pa.table([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _groups_differ(plan: Plan) -> bool:
    """Whether no two groups share a hash, where they are texts and so are told apart by it."""
    name = plan.flat[plan.group]
    if not name.type().is_string():
        return True
    marked = plan.flat.select(__name=name, __mark=_hash(plan.flat, (plan.group,)))
    each = marked.group_by("__mark").aggregate(first=marked["__name"].min(), last=marked["__name"].max())
    return int(each.filter(each["first"] != each["last"]).count().execute()) == 0


def _added(dealt: _Dealt, cells: int, most: int, threads: int) -> tuple[Any, Any, Any]:  # arrays by thread
    """Add up the parts, each thread its own."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from opsroom.base.verbs.top_kernel import add_up

    total, count = np.zeros((threads, cells), np.int64), np.zeros((threads, cells), np.int64)
    top = np.zeros((threads, cells, most), np.int64)

    def run(place: int) -> None:
        add_up(
            place, threads, dealt.order, dealt.bounds, dealt.fills, *dealt.store, cells, dealt.slots, total[place],
            count[place], top[place],
        )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))
    return total, count, top


@dataclass(frozen=True, slots=True)
class _Dealt:
    """Rows in parts: see `opsroom.base.verbs.top_kernel.add_up`."""

    order: Any  # arrays
    bounds: Any
    fills: Any
    slots: int
    store: tuple[Any, Any, Any]


def _dealt(plan: Plan, rows: int, table: Any, numbers: Any, cells: int) -> _Dealt | None:
    """Deal the rows into parts; None where the engine must decide."""
    import numpy as np

    from opsroom.base.verbs.top_kernel import BLOCK, deal

    parts = 1 << max(rows // PART, 1).bit_length()
    room = rows // BLOCK + parts + 1
    store = np.empty(room * BLOCK, np.int32), np.empty(room * BLOCK, np.int64), np.empty(room * BLOCK, np.int64)
    blocks, state = np.zeros(room, np.int32), np.zeros(2, np.int64)
    ends = np.zeros(parts, np.int64)
    sizes, seen = 0.0, 0
    for mark, group, missing, value in _rows(plan):
        seen += len(mark)
        if seen > rows:
            return None
        sizes += deal(mark, group, missing, value, table, numbers, cells, ends, blocks, state, *store)
    if state[1] or sizes >= SAFE:
        return None
    taken = int(state[0])
    fills = np.full(taken, BLOCK, np.int64)
    open_parts = ends[ends % BLOCK != 0]
    fills[open_parts // BLOCK] = open_parts % BLOCK
    order = np.argsort(blocks[:taken], kind="stable")
    each = np.bincount(blocks[:taken], minlength=parts)
    bounds = np.r_[0, np.cumsum(each)]
    slots = 1 << int(2 * BLOCK * each.max(initial=1)).bit_length()
    return _Dealt(order, bounds, fills, slots, store)


def _rows(plan: Plan) -> Iterator[tuple[Any, Any, Any, Any]]:  # arrays of one batch
    import numpy as np
    import pyarrow.compute as pc

    group = plan.flat[plan.group]
    if group.type().is_string():
        group = ibis.ifelse(group.isnull(), ibis.null("uint64"), _hash(plan.flat, (plan.group,)))
    else:
        group = int64(group)
    wanted = plan.flat.select(__cell=_hash(plan.flat, plan.dims), __group=group, __value=plan.flat[plan.measure])
    for batch in wanted.to_pyarrow_batches(chunk_size=1 << 18):
        mark, group, value = batch.columns
        missing = np.zeros(0, bool)
        if group.null_count:
            missing = pc.is_null(group).to_numpy(zero_copy_only=False)
            group = pc.fill_null(group, 0)
        yield mark.to_numpy(), group.to_numpy().view(np.int64), missing, value.to_numpy()


def _threads(table: ibis.Table) -> int:
    """Return how many threads the engine may use: so many are used here."""
    backend: Any = table.get_backend()
    return int(backend.con.execute("SELECT current_setting('threads')").fetchone()[0])
