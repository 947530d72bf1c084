"""Which tables may be asked for of a dataset: the table ``[tables]`` of its specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsroom.base.derived_statistic import QUOTIENTS, DerivedStatistic
from opsroom.base.errors import UsageError
from opsroom.base.periods import Frequency
from opsroom.base.spec_toml import failure

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec, FieldSpec

_RESERVED = ("sum_", "mean_", "share_", "yes_")
_MOST = 100_000
_DERIVED = ("quantile:{}=0.5", "top_share:{}=4", "hhi:{}")
"""What may be derived of a measure where nothing is declared."""


@dataclass(frozen=True, slots=True)
class TablesSpec:
    """What a table query may ask for. Without dimensions the dataset has no table queries.

    All dimensions together make one *master table* a period, of which every answer is a part: a dimension more
    makes all answers finer, and hides more of them.

    Attributes
    ----------
    dimensions
        Fields of type code or boolean by which tables are broken down and filtered.
    register, register_dimensions
        A company register that has the same unit, and fields of it that are dimensions, too: as they hold on the
        last day of each period.
    measures
        Whole-number fields (integer, money, quantity) that are added up; means are of the required ones alone.
    conditions
        Required boolean fields of which shares are given.
    derived
        What may be derived of the contributions to a cell: texts such as ``quantile:sales=0.25,0.5,0.75``, each kind
        once of a measure. Where it is left out the median, the share of the four largest and the Herfindahl index of
        each measure. Who could choose probabilities or regressors could ask until the answers tell companies apart.
    max_periods
        How many periods one question may ask for.
    max_cells
        How many cells the master table of a period may have, by the declared codes, totals included.
    """

    dimensions: tuple[str, ...] = ()
    register: str = ""
    register_dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    max_periods: int = 36
    max_cells: int = 10_000

    def __post_init__(self) -> None:
        if not 1 <= self.max_periods <= 1000:
            raise failure("[tables]", "max_periods is 1 to 1000.", "Correct it.")
        if not 1 <= self.max_cells <= _MOST:
            raise failure("[tables]", f"max_cells is 1 to {_MOST}.", "Correct it.")
        if bool(self.register) != bool(self.register_dimensions):
            raise failure("[tables]", "register and register_dimensions go together.", "Give both or neither.")
        named = [*self.dimensions, *self.register_dimensions, *self.measures, *self.conditions]
        if len(set(named)) != len(named):
            raise failure("[tables]", "a field is named once.", "Remove the second mention.")
        for name in (*self.dimensions, *self.register_dimensions):
            if name in ("count", "status") or name.startswith(_RESERVED):
                raise failure("[tables]", f"{name!r} is kept for a column of the answer.", "Rename the field.")
        self._check_derived()
        if named and not self.all_dimensions:
            raise failure("[tables]", "a table needs a dimension.", "Name one, or leave the table out.")

    def _check_derived(self) -> None:
        try:
            declared = [DerivedStatistic.parse(text) for text in self.derived]
        except UsageError as error:
            raise failure("[tables]", f"derived: {error.message}", error.remedy) from None
        if any(one.kind in QUOTIENTS or not {one.field, *one.others} <= {*self.measures} for one in declared):
            raise failure(
                "[tables]", "derived names quantile, top_share, hhi or regression of measures.", "Name these alone."
            )
        if len({(one.kind, one.field) for one in declared}) < len(declared):
            raise failure(
                "[tables]", "derived names a kind once of a measure.", "Give all probabilities or regressors in one."
            )

    @property
    def all_dimensions(self) -> tuple[str, ...]:
        """The dimensions of the master table, in their order there."""
        return (*self.dimensions, *self.register_dimensions)

    @property
    def may_derive(self) -> tuple[DerivedStatistic, ...]:
        """What may be derived of the contributions to a cell, declared or by default."""
        texts = self.derived or [text.format(m) for m in self.measures for text in _DERIVED]
        return tuple(DerivedStatistic.parse(text) for text in texts)

    def check(self, spec: DatasetSpec) -> None:
        """Refuse a declaration that does not fit the dataset.

        Raises
        ------
        SpecError
            A field is unknown or none of the kind wanted, or contributors could not be told.
        """
        if not self.all_dimensions:
            return
        where = f"dataset {spec.name!r}, [tables]"
        fields = {f.name: f for f in spec.fields}
        if spec.public:
            raise failure(where, "public data need no table queries.", "Leave the table out.")
        if spec.frequency in (Frequency.EVENT, Frequency.HOURLY):
            raise failure(where, "tables are of days, weeks, months, quarters or years.", "Leave the table out.")
        if not spec.group_field and not (spec.unit == "enterprise_group" and spec.unit_field):
            raise failure(
                where,
                "contributors are counted by enterprise group, and no field holds it.",
                "Add group_field, or leave the table out.",
                code="OPS-S016",
            )
        if self.register and not spec.unit_field:
            raise failure(where, "a register is joined by the unit.", "Add unit_field.")
        if taken := sorted(set(self.register_dimensions) & set(fields)):
            raise failure(where, f"the dataset has {', '.join(taken)} itself.", "Move it to dimensions.")
        for names, kinds, rule in (
            (self.dimensions, ("code", "boolean"), "a dimension is a field of type code or boolean"),
            (self.measures, ("integer", "money", "quantity"), "a measure is an integer, money or a quantity"),
            (self.conditions, ("boolean",), "a condition is a boolean field"),
        ):
            for name in names:
                check_field(where, fields, name, kinds, rule, spec)
        for name in self.conditions:
            if not fields[name].required:
                raise failure(where, f"condition {name!r} may be empty.", "Set required = true.")


def check_field(
    where: str, fields: Mapping[str, FieldSpec], name: str, kinds: tuple[str, ...], rule: str, spec: DatasetSpec
) -> None:
    """Refuse a field that cannot be what the declaration says, or that identifies a unit.

    Raises
    ------
    SpecError
        The field is unknown, of another type, confidential, or the unit, the group or the period.
    """
    field = fields.get(name)
    if field is None or field.type not in kinds:
        raise failure(where, f"{rule}; {name!r} is none.", "Name other fields.")
    if field.confidential or name in (spec.unit_field, spec.group_field, spec.period):
        raise failure(where, f"{name!r} tells whose row it is, or when.", "Name other fields.", code="OPS-S017")


NO_TABLES = TablesSpec()
"""What holds where the specification says nothing: no tables."""
