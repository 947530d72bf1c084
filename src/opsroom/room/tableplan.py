"""A table query checked against what the dataset declares: which part of which master tables is wanted."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from opsroom.base.codes import SECTION_OF_DIVISION, code_list
from opsroom.base.errors import AccessError, DisclosureError
from opsroom.base.periods import add_periods, format_period, parse_period
from opsroom.base.results import TOTAL
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.protect.access import Scope
from opsroom.protect.reader import ANSWERS
from opsroom.room.tablequery import Statistic, TableQuery, bad

UNKNOWN = "_U"
"""Code of the units whose code is not known."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of a master table.

    Attributes
    ----------
    name
        Column.
    codes
        Declared codes of the lowest level, in order.
    parents
        Code → the code above it, where the list is hierarchical (divisions of NACE in sections).
    is_boolean
        Whether the column holds yes and no: codes ``true`` and ``false``.
    """

    name: str
    codes: tuple[str, ...]
    parents: Mapping[str, str]
    is_boolean: bool = False

    @classmethod
    def of(cls, field: FieldSpec, lists: Mapping[str, tuple[str, ...]]) -> Dimension:
        """Make the dimension of a field."""
        if field.type == "boolean":
            return cls(field.name, ("false", "true"), {}, is_boolean=True)
        codes = field.codes or code_list(field.codes_from, lists)
        nested = field.codes_from == "nace_divisions" and field.codes_from not in lists
        return cls(field.name, codes, SECTION_OF_DIVISION if nested else {})

    @property
    def size(self) -> int:
        """How many codes it can have in a table: those declared, those above, unknown, total."""
        return len(self.codes) + len(set(self.parents.values())) + 2

    @property
    def order(self) -> tuple[str, ...]:
        """All codes but the total, in the order of rows: those above, those declared, unknown."""
        return tuple(dict.fromkeys((*self.parents.values(), *self.codes, UNKNOWN)))

    def leaves(self, code: str) -> frozenset[str]:
        """Return the codes of the lowest level that a code stands for; none where it is not declared."""
        if code in self.codes or code == UNKNOWN:
            return frozenset((code,))
        return frozenset(child for child, parent in self.parents.items() if parent == code)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted of the master tables of a dataset.

    Attributes
    ----------
    dimensions
        All dimensions of the master table.
    by
        Those that break down the answer, in the master's order.
    chosen
        Dimension → codes that a filter or the caller's scope cuts it to, in order.
    periods
        First days of the periods, in order.
    statistics
        What is asked for, in order.
    name
        Name of the answer's release series: the same for the same question, whatever the order of its words and
        whatever the day of knowledge.
    """

    dimensions: tuple[Dimension, ...]
    by: tuple[str, ...]
    chosen: Mapping[str, tuple[str, ...]]
    periods: tuple[dt.date, ...]
    statistics: tuple[Statistic, ...]
    name: str


def master_dimensions(
    spec: DatasetSpec, register: DatasetSpec | None, lists: Mapping[str, tuple[str, ...]]
) -> tuple[Dimension, ...]:
    """Return the dimensions of a dataset's master table.

    Parameters
    ----------
    spec, register
        The dataset, and the company register that it names, where it names one.
    lists
        The room's own code lists.

    Raises
    ------
    DisclosureError
        The dataset declares no tables, or one larger than it declares.
    """
    if not spec.tables.all_dimensions:
        raise DisclosureError(
            f"dataset {spec.name!r} declares no tables.",
            remedy="Ask a steward to declare [tables] in its specification.",
            code="OPS-P010",
        )
    fields = [spec.field(name) for name in spec.tables.dimensions]
    if register is not None:
        fields += [_register_field(register, name) for name in spec.tables.register_dimensions]
    found = tuple(Dimension.of(field, lists) for field in fields)
    if any(TOTAL in d.codes for d in found):
        raise DisclosureError(
            f"a dimension of dataset {spec.name!r} declares the code of the total, {TOTAL}.",
            remedy="Ask a steward to rename that code.",
            code="OPS-P012",
        )
    if prod(d.size for d in found) > spec.tables.max_cells:
        raise DisclosureError(
            f"the tables that dataset {spec.name!r} declares have more cells than its max_cells.",
            remedy="Ask a steward for fewer dimensions, shorter code lists or a larger max_cells.",
            code="OPS-P011",
        )
    return found


def _register_field(register: DatasetSpec, name: str) -> FieldSpec:
    field = next((f for f in register.fields if f.name == name), None)
    taken = (register.unit_field, register.group_field, register.period)
    if not register.is_company_register or field is None or field.confidential or name in taken:
        raise DisclosureError(
            "[tables] names a dimension that the register cannot give.",
            remedy="Ask a steward to name code fields of a company register.",
            code="OPS-P012",
        )
    if field.type not in ("code", "boolean"):
        raise DisclosureError(
            "[tables] names a dimension of the register that has no declared codes.",
            remedy="Ask a steward to name code fields of a company register.",
            code="OPS-P012",
        )
    return field


def make_plan(query: TableQuery, spec: DatasetSpec, dimensions: Sequence[Dimension], scope: Scope) -> Plan:
    """Check a question against the declaration, and cut it to the caller's scope.

    Parameters
    ----------
    query
        The question.
    spec, dimensions
        The dataset, and the dimensions of its master table.
    scope
        Rows that the caller's answers may rest on: a filter that the caller cannot take away.

    Raises
    ------
    UsageError
        The question asks for what is not declared.
    AccessError
        It asks for codes outside the scope, or the scope cannot be told from the dimensions.
    """
    known = {d.name: d for d in dimensions}
    names = ", ".join(known)
    if any(d not in known for d in query.dimensions):
        raise bad(
            "a table is broken down by declared dimensions; measures, identifiers and other columns are none.",
            f"Use {names}.",
        )
    chosen: dict[str, tuple[str, ...]] = {}
    periods: tuple[dt.date, ...] = ()
    for one in query.where:
        if one.column == spec.period:
            periods = _periods(one.op, one.codes, spec)
        elif one.column in known:
            chosen[one.column] = _codes(one.op, one.codes, known[one.column])
        else:
            raise bad("filters are on declared dimensions and on the period.", f"Use {names} or {spec.period}.")
    if not periods:
        raise bad(
            "a question says for which periods.",
            f"Filter by {spec.period}: one period, several, or from one to another.",
            code="OPS-U161",
        )
    chosen = within(scope, chosen, known)
    for statistic in query.statistics:
        _check_statistic(statistic, spec, known, {*query.dimensions, *chosen})
    by = tuple(d.name for d in dimensions if d.name in query.dimensions)
    statistics = tuple(sorted(query.statistics))
    said = json.dumps(
        [spec.name, by, sorted(chosen.items()), [d.isoformat() for d in periods], list(map(str, statistics))]
        + ([] if scope.is_open else [str(scope)])
    )
    mark = hashlib.sha256(said.encode()).hexdigest()[:12]
    words = "_".join(by)[:20].strip("_") or "total"
    kind = words if scope.is_open else f"scope_{words}"
    name = f"{ANSWERS}{spec.name}.{kind}.q{mark}"
    return Plan(tuple(dimensions), by, {k: chosen[k] for k in sorted(chosen)}, periods, statistics, name)


def master_name(spec: DatasetSpec, period: dt.date) -> str:
    """Return the name of the release series of a period's master table."""
    text = format_period(period, spec.frequency).lower().replace("-", "_")
    return f"{master_prefix(spec)}{text}"


def master_prefix(spec: DatasetSpec) -> str:
    """Return how the names of the master tables of all periods of a dataset begin."""
    return f"{ANSWERS}{spec.name}.master.p"


def _periods(op: str, codes: Sequence[str], spec: DatasetSpec) -> tuple[dt.date, ...]:
    days = [parse_period(code, spec.frequency) for code in codes]
    most = spec.tables.max_periods
    too_many = bad(f"a question is about at most {most} periods.", "Ask for fewer.", code="OPS-U162")
    if op == "between":
        day, last = days
        days = []
        while day <= last:
            days.append(day)
            if len(days) > most:
                raise too_many
            day = add_periods(day, 1, spec.frequency)
        if not days:
            raise bad("the first period lies after the last.", "Turn them round.")
    found = tuple(sorted(set(days)))
    if len(found) > most:
        raise too_many
    return found


def _codes(op: str, codes: Sequence[str], dimension: Dimension) -> tuple[str, ...]:
    """Return the codes that a filter selects, in declared order."""
    if any(not dimension.leaves(code) for code in codes):
        raise bad("a filter selects declared codes.", f"See the codes of {dimension.name}.", code="OPS-U163")
    if op == "between":
        if any(code not in dimension.codes for code in codes):
            raise bad("a range is between codes of the lowest level.", "Name the codes one by one.", code="OPS-U163")
        first, last = (dimension.codes.index(code) for code in codes)
        if first > last:
            raise bad("the first code of a range comes after the last.", "Turn them round.")
        return dimension.codes[first : last + 1]
    seen: set[str] = set()
    for code in dict.fromkeys(codes):
        if seen & dimension.leaves(code):
            raise bad("a filter names a code together with one above it.", "Name one of them.", code="OPS-U163")
        seen |= dimension.leaves(code)
    return tuple(code for code in dimension.order if code in codes)


def within(
    scope: Scope, chosen: Mapping[str, tuple[str, ...]], known: Mapping[str, Dimension]
) -> dict[str, tuple[str, ...]]:
    """Cut a question to a scope.

    Parameters
    ----------
    scope
        Rows that answers may rest on.
    chosen
        Dimension → codes that the question asks for.
    known
        The dimensions, by name.

    Raises
    ------
    AccessError
        The question leaves the scope, or the scope cannot be told from the dimensions.
    """
    found = dict(chosen)
    for column, codes in scope.codes:
        if column not in known:
            raise AccessError(
                "this user's rows are told apart by a column that is no dimension of the tables.",
                remedy="Ask a steward for a scope by a dimension, or to declare the column as one.",
                code="OPS-A026",
            )
        exact = {code for code in codes if not code.endswith("*")}
        stems = tuple(code.rstrip("*") for code in codes if code.endswith("*"))
        inside = tuple(c for c in known[column].codes if c in exact or (stems and c.startswith(stems)))
        asked = found.get(column, inside)
        if not inside or not all(known[column].leaves(code) <= set(inside) for code in asked):
            raise AccessError(
                "the question asks for rows outside this user's scope.",
                remedy="Ask for codes inside it, or leave the filter out.",
                code="OPS-A027",
            )
        found[column] = asked
    return found


def _check_statistic(statistic: Statistic, spec: DatasetSpec, known: Mapping[str, Dimension], used: set[str]) -> None:
    name, tables = statistic.field, spec.tables
    if statistic.kind in ("sum", "mean") and name not in tables.measures:
        raise bad("sums and means are of declared measures.", f"Use {', '.join(tables.measures) or 'count'}.")
    if statistic.kind == "mean" and not spec.field(name).required:
        # How many units state it would be one more number on the units, tied to their count by no more than a bound.
        raise bad("means are of measures that every unit states.", "Ask for the sum.")
    if statistic.kind != "share":
        return
    if not statistic.code:
        if name not in tables.conditions:
            raise bad(
                "a share is of a declared condition, or of a code of a dimension.",
                f"Use {', '.join([*tables.conditions, *(f'{d}=…' for d in known)])}.",
            )
        return
    if name not in known or name in used:
        raise bad(
            "the share of a code is of a dimension that the table is neither broken down by nor filtered on.",
            f"Use one of {', '.join(d for d in known if d not in used) or 'the conditions'}.",
        )
    if statistic.code == TOTAL or not known[name].leaves(statistic.code):
        raise bad("the share of a code names a declared code.", f"See the codes of {name}.", code="OPS-U163")
