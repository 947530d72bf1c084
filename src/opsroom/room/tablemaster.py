"""The master table of a dataset's period: compiled over the microdata, judged by the gate, kept in the ledger.

Every answer to a table query is a part of such tables, or a sum of what they show. Two questions can therefore not be
subtracted from each other: all that they tell together is in one table that was protected as a whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError
from opsroom.base.periods import format_period, last_day
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.specs import DatasetSpec
from opsroom.base.verbs import as_of_join, col, collect, companies, derive, group, if_else, lit, rename, select, where
from opsroom.room.publishing import release_result
from opsroom.room.tableplan import UNKNOWN, Dimension, master_name

if TYPE_CHECKING:
    import ibis
    import pandas as pd

    from opsroom.protect.release import Release
    from opsroom.room.room import Room

UNITS = "count"
"""Part of the number of units."""

_AT, _GROUP, _ALONE = "__at", "__group", "__alone"


def master(
    room: Room, spec: DatasetSpec, dimensions: Sequence[Dimension], period: dt.date, *, as_of: dt.datetime
) -> Release:
    """Return the protected master table of a period as it was known at a moment.

    The one that is in the ledger, where there is one of the same rows; else it is computed over all rows, judged
    together with all that was ever shown of the period, and appended. The caller holds the publishing lock.

    Parameters
    ----------
    room
        The room.
    spec, dimensions
        The dataset, and its dimensions.
    period
        First day of the period.
    as_of
        Knowledge time.

    Raises
    ------
    DisclosureError
        The gate refuses, or nothing is known of the period.
    """
    name = master_name(spec, period)
    names = tuple(d.name for d in dimensions)
    versions = {spec.name: room.store.version(spec.name, as_of)}
    if spec.tables.register:
        versions[spec.tables.register] = room.store.version(spec.tables.register, as_of)
    past = [earlier for earlier in room.ledger.past(name, room.ledger.head()) if earlier.judgement.is_table]
    if any(earlier.judgement.dimensions != names for earlier in past):
        raise DisclosureError(
            f"tables of dataset {spec.name!r} were answered under other dimensions; both could be held together.",
            remedy="Ask a steward to declare the dimensions as they were.",
            code="OPS-P013",
        )
    wanted = [str(m.name) for m in _measures(spec)]
    for earlier in reversed(past):
        same = earlier.release.as_of == as_of and dict(earlier.release.provenance) == versions
        if same and [m["name"] for m in earlier.release.measures] == wanted:
            return earlier.release
    frame = _by_group(room, spec, dimensions, period, as_of)
    day = as_of.astimezone(room.zone).date()
    cells = _cells(frame, spec, dimensions, period, versions)
    return release_result(cells, room.settings, room.ledger, as_of=as_of, day=day)


def _by_group(
    room: Room, spec: DatasetSpec, dimensions: Sequence[Dimension], period: dt.date, as_of: dt.datetime
) -> pd.DataFrame:
    """Aggregate the rows of a period to one row a cell and enterprise group, in the engine."""
    made = _coded(room, spec, dimensions, period, as_of)
    wanted: dict[str, tuple[Any, str | None]] = {UNITS: ("count", None)}
    for name in spec.tables.measures:
        wanted[f"sum_{name}"] = ("sum", name)
    for name in spec.tables.conditions:
        wanted[f"yes_{name}"] = ("sum", f"__yes_{name}")
    columns = [f"__d_{d.name}" for d in dimensions]
    found: pd.DataFrame = collect(group(made, by=[*columns, _GROUP, _ALONE], measures=wanted)).to_pandas()
    found = found.rename(columns={f"__d_{d.name}": d.name for d in dimensions})
    return found.fillna(dict.fromkeys(wanted, 0)).astype(dict.fromkeys(wanted, "int64"))


def _coded(
    room: Room, spec: DatasetSpec, dimensions: Sequence[Dimension], period: dt.date, as_of: dt.datetime
) -> ibis.Table:
    """Return the rows of a period with the codes of all dimensions and the enterprise group."""
    rows = where(room.store.table(spec.name, as_of), condition=col(spec.period) == lit(period))
    if any(f.name == "legal_form" for f in spec.fields):
        rows = companies(rows)
    if spec.tables.register:
        rows = _with_register(room, rows, spec, period, as_of)
    alone = lit("")
    owner = spec.group_field or spec.unit_field
    if spec.group_field and spec.unit_field:
        # A unit of no group is a group of its own.
        alone = if_else(col(owner).is_null(), col(spec.unit_field).to_text(), lit(""))
    return derive(
        rows,
        **{
            _GROUP: col(owner).to_text(),
            _ALONE: alone,
            **{f"__d_{d.name}": _text(d) for d in dimensions},
            **{f"__yes_{c}": if_else(col(c), lit(1), lit(0)) for c in spec.tables.conditions},
        },
    )


def unit_rows(
    room: Room,
    spec: DatasetSpec,
    dimensions: Sequence[Dimension],
    period: dt.date,
    *,
    cell: Sequence[str],
    fields: Sequence[str],
    as_of: dt.datetime,
) -> pd.DataFrame:
    """Return the units behind a cell of a period's master table: confidential.

    Parameters
    ----------
    room, spec, dimensions, period, as_of
        As in `master`.
    cell
        The codes of all dimensions.
    fields
        Measures, in their minor unit. A unit that lacks one of them is left out.

    Returns
    -------
    pandas.DataFrame
        Columns ``group`` and the fields, in an order that does not depend on the engine.
    """
    rows = _coded(room, spec, dimensions, period, as_of)
    for dimension, code in zip(dimensions, cell, strict=True):
        if code != TOTAL:
            inside = sorted(dimension.leaves(code))
            rows = where(rows, condition=col(f"__d_{dimension.name}").is_in(inside))
    found: pd.DataFrame = collect(select(rows, columns=[_GROUP, _ALONE, *fields])).to_pandas()
    found["group"] = ("group " + found[_GROUP]).fillna("alone " + found[_ALONE].fillna(""))
    kept = found[["group", *fields]].dropna()
    return kept.sort_values(["group", *fields], kind="stable", ignore_index=True)


def _text(dimension: Dimension) -> Any:  # an Expression
    column = col(dimension.name)
    if dimension.is_boolean:
        return if_else(column.is_null(), lit(UNKNOWN), if_else(column, lit("true"), lit("false")))
    return column.coalesce(lit(UNKNOWN))


def _with_register(room: Room, rows: ibis.Table, spec: DatasetSpec, period: dt.date, as_of: dt.datetime) -> ibis.Table:
    """Give each row what the register says of its unit on the last day of the period; natural persons are left out."""
    register = room.store.spec(spec.tables.register)
    kept = select(
        room.store.table(register.name, as_of),
        columns=[register.unit_field, register.period, "legal_form", *spec.tables.register_dimensions],
    )
    kept = rename(kept, names={"__form": "legal_form", "__from": register.period})
    if register.unit_field != spec.unit_field:
        kept = rename(kept, names={spec.unit_field: register.unit_field})
    dated = derive(rows, **{_AT: lit(last_day(period, spec.frequency))})
    joined = as_of_join(dated, kept, on=_AT, right_on="__from", by=[spec.unit_field])
    return companies(joined, legal_form="__form")


def _measures(spec: DatasetSpec) -> list[Measure]:
    """Return what a master table shows."""
    found = [Measure(UNITS, "count", "units", (UNITS,), decimals=0)]
    for name in spec.tables.measures:
        field = spec.field(name)
        scale = field.scale or 0
        unit = field.currency or field.measure or "units"
        found.append(Measure(f"sum_{name}", "sum", unit, (f"sum_{name}",), decimals=scale, scale=10.0**-scale))
    for name in spec.tables.conditions:
        found.append(Measure(f"yes_{name}", "count", "units", (f"yes_{name}",), decimals=0))
        found.append(Measure(f"share_{name}", "share", "%", (f"yes_{name}", UNITS), scale=100.0))
    return found


def _cells(
    frame: pd.DataFrame,
    spec: DatasetSpec,
    dimensions: Sequence[Dimension],
    period: dt.date,
    versions: Mapping[str, int],
) -> Cells:
    if frame.empty:
        raise DisclosureError(
            f"nothing is known of the period in dataset {spec.name!r}.",
            remedy="Ask for another period, or as of a later day.",
            code="OPS-P014",
        )
    measures = _measures(spec)
    parts = list(dict.fromkeys(p for m in measures for p in m.parts))
    alone = "alone " + frame[_ALONE].fillna("")
    frame = frame.assign(**{_GROUP: ("group " + frame[_GROUP]).fillna(alone)})
    nested = {d.name: dict(d.parents) for d in dimensions if d.parents}
    names = tuple(d.name for d in dimensions)
    made = parts_from_units(
        frame,
        dimensions=names,
        group=_GROUP,
        values={part: part for part in parts},
        shares=dict.fromkeys((f"yes_{c}" for c in spec.tables.conditions), UNITS),
        hierarchies=nested,
    )
    return Cells(
        name=master_name(spec, period),
        dimensions=names,
        measures=tuple(measures),
        frame=made,
        parts=tuple(Part(part, next(m.unit for m in measures if m.parts[0] == part)) for part in parts),
        additive=names,
        hierarchies=nested,
        provenance=dict(versions),
        unit_kind=spec.unit,
        method="table_query-1",
        source=spec.source or spec.provider,
        facts={"dataset": spec.name, "period": format_period(period, spec.frequency)},
    )
