"""Derived numbers asked for by declaration: a ratio, share, rate of growth, quantile, index or regression of a cell.

They are derived from the master tables that table queries are answered from (`opsroom.room.tablemaster`), whether the
cells are shown or not, and remembered with them: what a number tells is in every later judgement of the period. Of a
cell's contributions a number is derived once, only where the cell is shown, and only what the dataset declares.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.derived_statistic import COUNT, QUOTIENTS
from opsroom.base.errors import AccessError, DisclosureError
from opsroom.base.periods import format_period, parse_period
from opsroom.base.results import TOTAL
from opsroom.protect.derived_asked import Asked
from opsroom.protect.derived_entry import Entry, Key
from opsroom.protect.derived_once import SUFFIX as ONCE
from opsroom.protect.derived_once import Kin, release_derived
from opsroom.protect.quotients import SUFFIX as QUOTIENT
from opsroom.protect.quotients import Quotient, Shown, release_quotients
from opsroom.protect.reader import Releases
from opsroom.protect.rules import Rules
from opsroom.room.answering import answering, dimensions_of
from opsroom.room.derivedquery import DerivedQuery
from opsroom.room.tablemaster import UNITS, master, unit_rows
from opsroom.room.tableplan import Dimension, master_prefix, within
from opsroom.room.tablequery import bad

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec
    from opsroom.protect.access import Scope
    from opsroom.protect.release import Release
    from opsroom.room.room import Room

DECIMALS = 1
"""Of shares and rates of growth, in per cent. Who could choose them could ask until a number passes, and learn."""

STEP = 100.0
"""What a Herfindahl index is rounded to; see `DECIMALS`."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is wanted of master tables: periods, the earlier one first, and cells by the codes of all dimensions."""

    query: DerivedQuery
    spec: DatasetSpec
    dimensions: tuple[Dimension, ...]
    periods: tuple[dt.date, ...]
    cell: Key
    of: Key


def derive(room: Room, query: DerivedQuery) -> Release:
    """Answer a question for a derived number; see `opsroom.room.tables.ask`, which checks rights and writes the log.

    Returns
    -------
    Release
        Named after the master table it is derived from: ``….quotients`` or ``….derived``. The same question as of the
        same day is the same release.
    """
    spec = room.store.spec(query.dataset)
    plan = _planned(query, spec, dimensions_of(room, spec), room.guard.scope)
    moment = room.moment(query.as_of)
    with answering(room):
        masters = [master(room, spec, plan.dimensions, p, as_of=moment) for p in plan.periods]
        facts = {
            "dataset": spec.name,
            "statistic": str(query.statistic),
            "periods": [format_period(p, spec.frequency) for p in plan.periods],
            "cell": dict(query.cell),
            "of": dict(query.of),
            "masters": [{"id": m.id, "hash": m.hash} for m in masters],
        }
        if (out := _out_already(room, masters, facts)) is not None:
            return out
        entry = Entry(
            masters[-1].name,
            Rules.from_settings(room.settings.rules),
            moment,
            moment.astimezone(room.zone).date(),
            room.ledger,
            room.settings.licence,
            masters[-1].id,
            facts,
        )
        if query.statistic.kind == "growth":
            return _growth(plan, masters, entry)
        if query.statistic.kind in QUOTIENTS:
            return _quotient(plan, entry)
        asked = partial(_read, room, plan, moment)
        fields = (query.statistic.field, *query.statistic.others)
        return release_derived(
            asked, cell=plan.cell, parts=[_part(f, spec) for f in fields], statistic=str(query.statistic), entry=entry,
            kin=Kin(master_prefix(spec), partial(_read_again, room, plan)),
        )  # fmt: skip


def _out_already(room: Room, masters: Sequence[Release], facts: Mapping[str, Any]) -> Release | None:
    """Return the release that answered the same question as of the same moment."""
    reader = Releases(room.state, answers=True)
    for one in masters:
        for suffix in (QUOTIENT, ONCE):
            for earlier in reader.history(f"{one.name}.{suffix}"):
                if earlier.as_of == one.as_of and earlier.facts == facts:
                    return earlier
    return None


# -- the question -------------------------------------------------------------------------------


def _planned(query: DerivedQuery, spec: DatasetSpec, dimensions: tuple[Dimension, ...], scope: Scope) -> _Plan:
    """Check a question against the declaration and the caller's scope; nothing of the data is looked at."""
    statistic, tables = query.statistic, spec.tables
    fields = (statistic.field, *statistic.others)
    allowed = {*tables.measures, COUNT, *tables.conditions} if statistic.kind in QUOTIENTS else {*tables.measures}
    if any(field not in allowed for field in fields):
        raise bad(
            "a derived number is of declared measures; a ratio, share or rate of growth of conditions and count, too.",
            f"Use {', '.join(sorted(allowed))}.",
            code="OPS-U166",
        )
    if statistic.kind not in QUOTIENTS and statistic not in tables.may_derive:
        said = ", ".join(map(str, tables.may_derive))
        raise bad(
            "what is derived of contributions is declared: probabilities, how many the largest are, regressors.",
            f"Use {said}, or ask a steward to declare others." if said else "Ask a steward to declare it.",
            code="OPS-U166",
        )
    is_mean = statistic.kind == "ratio" and statistic.others == (COUNT,) and statistic.field in tables.measures
    if is_mean and not spec.field(statistic.field).required:
        raise bad("means are of measures that every unit states.", "Ask for another ratio.", code="OPS-U166")
    periods = tuple(parse_period(p, spec.frequency) for p in (query.base, query.period) if p is not None)
    if len(periods) == 2 and periods[0] >= periods[1]:
        raise bad("growth is from an earlier period to a later one.", "Turn them round.", code="OPS-U166")
    cell, of = (_cell(dict(codes), dimensions, scope) for codes in (query.cell, query.of))
    if statistic.kind == "share" and not _holds(of, cell, dimensions):
        raise bad("a share is of a cell in another that holds it.", "Name fewer codes in of.", code="OPS-U166")
    return _Plan(query, spec, dimensions, periods, cell, of)


def _cell(codes: Mapping[str, str], dimensions: Sequence[Dimension], scope: Scope) -> Key:
    """Return the codes of all dimensions of a cell, inside the scope."""
    known = {d.name: d for d in dimensions}
    if any(name not in known or not known[name].leaves(code) for name, code in codes.items()):
        raise bad(
            "a cell is given by declared codes of dimensions; the total of a dimension is not named.",
            f"Use codes of {', '.join(known)}.",
            code="OPS-U166",
        )
    chosen = within(scope, {name: (code,) for name, code in codes.items()}, known)
    if any(len(found) > 1 for found in chosen.values()):
        raise AccessError(
            "the question asks for a cell that is larger than this user's scope.",
            remedy="Name one code of each dimension that the scope is about.",
            code="OPS-A027",
        )
    return tuple(chosen[d.name][0] if d.name in chosen else TOTAL for d in dimensions)


def _holds(outer: Key, inner: Key, dimensions: Sequence[Dimension]) -> bool:
    """Say whether a cell holds another, which is smaller."""
    pairs = zip(outer, inner, dimensions, strict=True)
    return outer != inner and all(a in (TOTAL, b) or (b != TOTAL and d.leaves(b) <= d.leaves(a)) for a, b, d in pairs)


def _part(field: str, spec: DatasetSpec) -> str:
    """Return the part of a master table that a field is in."""
    if field == COUNT:
        return UNITS
    return f"sum_{field}" if field in spec.tables.measures else f"yes_{field}"


def _scale(field: str, spec: DatasetSpec) -> int:
    return (spec.field(field).scale or 0) if field in spec.tables.measures else 0


def _unit(field: str, spec: DatasetSpec) -> str:
    if field not in spec.tables.measures:
        return "units"
    stored = spec.field(field)
    return stored.currency or stored.measure or "units"


# -- functions of cells -------------------------------------------------------------------------


def _quotient(plan: _Plan, entry: Entry) -> Release:
    statistic, spec = plan.query.statistic, plan.spec
    part = _part(statistic.field, spec)
    if statistic.kind == "share":
        one = Quotient("share", (plan.cell,), (plan.of,), part, decimals=DECIMALS)
        return release_quotients([one], unit="%", entry=entry)
    below = statistic.others[0]
    own, other = _scale(statistic.field, spec), _scale(below, spec)
    decimals = own + 2 if below not in spec.tables.measures else 4
    one = Quotient(
        "ratio", (plan.cell,), (plan.cell,), part, _part(below, spec), scale=10.0 ** (other - own), decimals=decimals
    )
    unit = f"{_unit(statistic.field, spec)} per {_unit(below, spec)}"
    return release_quotients([one], unit=unit, entry=entry)


def _growth(plan: _Plan, masters: Sequence[Release], entry: Entry) -> Release:
    """Release a rate of growth: what it tells is kept with the period whose level is not shown, if there is one.

    The tables of two periods are judged apart. A rate between two levels that are both withheld would tie them
    together, and so is refused, whatever the levels are. With the true level of the other period in its place (as where
    that is shown) a rate could be certified in each period by itself, but would publish a hidden cell to within its
    rounding: what may be published so is not hidden.
    """
    part = _part(plan.query.statistic.field, plan.spec)
    old, new = (_level(entry, one, plan.cell, part) for one in masters)
    rate = Quotient("growth", (plan.cell,), (plan.cell,), part, shift=-100.0, decimals=DECIMALS)
    if old is not None:
        return release_quotients([replace(rate, bottom=(), given=old)], unit="%", entry=entry)
    if new is not None:
        entry = replace(entry, series=masters[0].name, vintage=masters[0].id)
        return release_quotients([replace(rate, top=(), given=new)], unit="%", entry=entry)
    error = DisclosureError(
        "growth: neither the earlier level nor the later one is shown.",
        remedy="Ask for a coarser cell, of which a table shows one of them.",
        code="OPS-P062",
    )
    entry.ledger.refuse(f"{entry.series}.{QUOTIENT}", entry.day, error.message, error.remedy)
    raise error


def _level(entry: Entry, one: Release, cell: Key, part: str) -> float | None:
    """Return the level of a cell that a master table shows; None where it does not."""
    past = entry.ledger.past(one.name, entry.ledger.head())
    return Shown([p for p in past if p.release.id == one.id]).value(cell, part)


# -- outputs of contributions -------------------------------------------------------------------


def _read(room: Room, plan: _Plan, moment: dt.datetime) -> Asked:
    """Read the contributions to a cell out of the microdata; confidential."""
    statistic, spec = plan.query.statistic, plan.spec
    fields = (statistic.field, *statistic.others)
    rows = unit_rows(
        room, spec, plan.dimensions, plan.periods[-1], cell=plan.cell, fields=fields, as_of=moment
    )  # fmt: skip
    values = {f: rows[f].to_numpy(dtype=np.float64) / 10.0 ** _scale(f, spec) for f in fields}
    groups = rows["group"].tolist()
    own, unit, scale = values[statistic.field], _unit(statistic.field, spec), _scale(statistic.field, spec)
    if statistic.kind == "quantile":
        return Asked("quantile", own, groups, unit, scale, probabilities=statistic.numbers)
    if statistic.kind == "top_share":
        return Asked("top_share", own, groups, decimals=DECIMALS, largest=int(statistic.numbers[0]))
    if statistic.kind == "hhi":
        return Asked("hhi", own, groups, step=STEP)
    design = np.column_stack([np.ones(len(own)), *(values[f] for f in statistic.others)])
    return Asked("regression", own, groups, design=design, names=("one", *statistic.others))


def _read_again(room: Room, plan: _Plan, earlier: Release) -> Asked:
    """Read the contributions behind the same output of another period, as they were known then; confidential."""
    period = parse_period(earlier.facts["periods"][0], plan.spec.frequency)
    return _read(room, replace(plan, periods=(period,)), earlier.as_of)
