"""Verbs on two tables: joins, the as-of join, the latest vintage, and what a later vintage changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import ibis

from opsroom.base.errors import UsageError
from opsroom.base.verbs.lowering import as_date, engine_of, int64, refuse, require

How = Literal["inner", "left", "semi", "anti"]


def join(left: ibis.Table, right: ibis.Table, *, on: Sequence[str], how: How = "inner") -> ibis.Table:
    """Put together rows that agree in their key. Null is no key: it never matches.

    Parameters
    ----------
    left, right
        Two tables of one engine.
    on
        Key columns, named alike in both.
    how
        ``inner``: pairs. ``left``: pairs, and left rows without one, their right columns null. ``semi``: left
        rows that have a pair. ``anti``: left rows that have none.

    Returns
    -------
    ibis.Table
        The left columns, then (inner, left) the right ones but the key.

    Raises
    ------
    UsageError
        A right column that would be added has a left one's name.
    """
    require(left, *on)
    require(right, *on)
    if not on:
        raise UsageError("a join has a key.")
    keys = {f"__{k}": right[k] for k in on}
    if how in ("semi", "anti"):
        side = right.select(**keys)
        pairs = [left[k] == side[f"__{k}"] for k in on]
        return left.semi_join(side, pairs) if how == "semi" else left.anti_join(side, pairs)
    if how not in ("inner", "left"):
        raise UsageError("a join is inner, left, semi or anti.")
    extra = [c for c in right.columns if c not in on]
    refuse(left, *extra)
    side = right.select(**keys, **{c: right[c] for c in extra})
    pairs = [left[k] == side[f"__{k}"] for k in on]
    found = left.inner_join(side, pairs) if how == "inner" else left.left_join(side, pairs)
    return found.select(*left.columns, *extra)


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
        Column of the knowledge time; rows without one are older than all others.
    ties
        Columns that decide, largest first, among rows of one key and knowledge time.

    Notes
    -----
    `opsroom.observe.store.Store.table` gives a dataset's as-of view already; this verb is for tables that
    were put together after it.
    """
    require(table, *key, known_at, *ties)
    order = [table[c].desc(nulls_first=False) for c in (known_at, *ties)]
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
    max_age: dt.timedelta | None = None,
    ties: Sequence[str] = (),
) -> ibis.Table:
    """Give each left row the latest right row of its key that begins on or before it.

    Parameters
    ----------
    left
        The table whose rows are all kept, once each.
    right
        Rows that hold from a time on, such as a register; one row a key and time.
    on, right_on
        Time columns of the left and the right table: both days, or both moments.
    by
        Key columns, named alike in both. Null is no key.
    right_until
        Column of the right table with the last time at which a row holds (null: open). A row that has
        ended gives nothing, even when it is the latest.
    max_age
        How old the right row may be, inclusive; a latest row that is older gives nothing. Whole days where the
        times are days.
    ties
        Columns of the right table that decide, largest first, among rows of one key and time.

    Returns
    -------
    ibis.Table
        The left columns, then the right columns that are not in `by` and not in the left table; null
        where no right row applies.

    Notes
    -----
    Ibis' own ``asof_join`` with a tolerance is wrong on DuckDB: what is too old is nulled afterwards. Spark has none:
    there, rows are ranked.
    """
    require(left, on, *by)
    require(right, right_on, *by, *ties, *([right_until] if right_until is not None else []))
    extra = [c for c in right.columns if c not in by and c not in left.columns]
    side = right.filter(right[right_on].notnull()).select(
        **{f"__{k}": right[k] for k in by},
        __from=right[right_on],
        **({} if right_until is None else {"__until": right[right_until]}),
        **{f"__tie_{c}": right[c] for c in ties},
        **{f"__right_{c}": right[c] for c in extra},
    )
    if ties:
        order = [side[f"__tie_{c}"].desc(nulls_first=False) for c in ties]
        keys = [*(f"__{k}" for k in by), "__from"]
        ranked = side.mutate(__rank=ibis.row_number().over(group_by=keys, order_by=order))
        side = ranked.filter(ranked["__rank"] == 0).drop("__rank")
    found = (_native if engine_of(left) == "duckdb" else _by_rank)(left, side, on, by)
    holds = ibis.literal(True)  # a constant
    if right_until is not None:
        holds = holds & (found["__until"].isnull() | (found["__until"] >= found[on]))
    if max_age is not None:
        holds = holds & (found[on] <= _later(found["__from"], max_age))
    given = {c: found[f"__right_{c}"] for c in extra}
    if right_until is not None or max_age is not None:
        given = {c: ibis.ifelse(holds, value, ibis.null(value.type())) for c, value in given.items()}
    return found.select(*left.columns, **given)


def _native(left: ibis.Table, side: ibis.Table, on: str, by: Sequence[str]) -> ibis.Table:
    """Find the latest row of each key in one sweep, as DuckDB can; without a tolerance Ibis lowers that rightly."""
    # A view of its own: Ibis would add a join to the chain of those before, and loses their columns there.
    rows = left.view()
    return rows.asof_join(side, rows[on] >= side["__from"], [rows[k] == side[f"__{k}"] for k in by])


def _by_rank(left: ibis.Table, side: ibis.Table, on: str, by: Sequence[str]) -> ibis.Table:
    """Rank all rows that come before, and keep the first."""
    # Each distinct key and time is looked up once, whatever else the left rows hold.
    asked = left.select(**{f"__ask_{k}": left[k] for k in by}, __at=left[on]).distinct()
    pairs = [asked[f"__ask_{k}"] == side[f"__{k}"] for k in by]
    joined = asked.inner_join(side, [*pairs, side["__from"] <= asked["__at"]])
    keys = [*(f"__ask_{k}" for k in by), "__at"]
    ranked = joined.mutate(__rank=ibis.row_number().over(group_by=keys, order_by=joined["__from"].desc()))
    chosen = ranked.filter(ranked["__rank"] == 0).drop("__rank")
    back = [left[k] == chosen[f"__ask_{k}"] for k in by]
    return left.left_join(chosen, [*back, left[on] == chosen["__at"]])


def _later(time: ibis.expr.types.Value, age: dt.timedelta) -> ibis.expr.types.Value:
    if age < dt.timedelta(0):
        raise UsageError("an age is not negative.")
    if not time.type().is_date():
        microseconds = age // dt.timedelta(microseconds=1)
        seconds, rest = divmod(microseconds, 1_000_000)
        return time + ibis.interval(seconds=seconds) + ibis.interval(microseconds=rest)
    if age % dt.timedelta(days=1):
        raise UsageError("days have an age in whole days.")
    return as_date(time + ibis.interval(days=age.days))


def revisions(earlier: ibis.Table, later: ibis.Table, *, key: Sequence[str], measures: Sequence[str]) -> ibis.Table:
    """Say row by row what a later vintage changed.

    Parameters
    ----------
    earlier, later
        Two vintages of one table; `key` identifies a row in each.
    key
        Key columns, not null.
    measures
        Columns compared.

    Returns
    -------
    ibis.Table
        `key`; for each measure ``name__before``, ``name__after`` and, for whole numbers, ``name__change`` (null
        where either is); ``status``: ``new``, ``gone``, ``revised`` or ``same``.
    """
    require(earlier, *key, *measures)
    require(later, *key, *measures)
    old = earlier.select(
        **{f"__{k}": earlier[k] for k in key},
        **{f"{m}__before": earlier[m] for m in measures},
        __there=ibis.literal(1, "int64"),
    )
    found = later.left_join(old, [later[k] == old[f"__{k}"] for k in key])
    changed = ibis.literal(False)
    for measure in measures:
        changed = changed | ~found[measure].identical_to(found[f"{measure}__before"])
    status = ibis.cases((found["__there"].isnull(), "new"), (changed, "revised"), else_="same")
    kept = found.select(
        *key,
        **{c: v for m in measures for c, v in _compared(m, found[f"{m}__before"], found[m]).items()},
        status=status,
    )
    now = later.select(**{f"__{k}": later[k] for k in key})
    lost = earlier.anti_join(now, [earlier[k] == now[f"__{k}"] for k in key])
    gone = lost.select(
        *key,
        **{c: v for m in measures for c, v in _compared(m, lost[m], ibis.null(later[m].type())).items()},
        status=ibis.literal("gone"),
    )
    return kept.union(gone)


def _compared(
    name: str, before: ibis.expr.types.Value, after: ibis.expr.types.Value
) -> dict[str, ibis.expr.types.Value]:
    found = {f"{name}__before": before, f"{name}__after": after}
    if before.type().is_integer() and after.type().is_integer():
        found[f"{name}__change"] = int64(after) - int64(before)
    return found
