"""Dataset specifications: what a dataset holds, whom it describes, and by what right."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from opsroom.base.codes import code_list
from opsroom.base.errors import SpecError
from opsroom.base.lawful import check_lawful
from opsroom.base.layout import PLAIN, Layout, check_format
from opsroom.base.periods import Frequency
from opsroom.base.spec_quality import USUAL_QUALITY, QualitySpec
from opsroom.base.spec_rules import RuleSpec, read_rules
from opsroom.base.spec_tables import NO_TABLES, TablesSpec
from opsroom.base.spec_toml import build, failure, lines

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

FieldType = Literal["integer", "string", "code", "money", "quantity", "number", "date", "datetime", "boolean"]
FIELD_TYPES: tuple[str, ...] = get_args(FieldType)

_TABLES: Mapping[str, type] = {"quality": QualitySpec, "layout": Layout, "tables": TablesSpec}
"""Tables of a specification beside its fields."""

SYSTEM_COLUMNS = (
    "known_at",
    "recorded_at",
    "delivery",
    "op",
    "source_row",
    "known_to",
    "prior_file",
    "prior_row",
    "part",
)
"""Columns that the store adds; no field may have these names."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NUMERIC = ("integer", "money", "quantity", "number")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a dataset.

    Attributes
    ----------
    name, type, title
        ``[a-z][a-z0-9_]*``; one of `FIELD_TYPES`; words for people.
    measure
        Unit of a quantity (``"Wh"``); optional words for a number (``"index, 2015 = 100"``).
    currency, scale
        For money: ISO 4217 code and number of decimals of the minor unit (2: cents). Stored as int64 in
        minor units. `scale` may also be given for a quantity.
    given
        How the source writes money and quantities: ``"minor"`` (whole minor units) or ``"major"``
        (decimals, turned into minor units exactly; more decimals than `scale` go to quarantine).
    min, max
        Bounds, inclusive, in stored (minor) units.
    required
        Empty values go to quarantine. Key fields are always required.
    codes, codes_from
        For type ``code``: the codes, or the name of a code list.
    column
        Name of the column in the source where it differs from `name`.
    date_format
        How the source writes a date or datetime, beside the ISO forms, which are always read: see
        `opsroom.base.date_formats.DateFormat`.
    confidential
        The field identifies (a name, an address of a site): it is never shown, not even as a dimension.
    default
        Value, in stored form (a date as ISO text), of rows that were delivered before the field existed; empty where
        absent.
    aliases
        Names that the field had in earlier versions of the specification.
    """

    name: str
    type: FieldType
    title: str = ""
    measure: str = ""
    currency: str = ""
    scale: int | None = None
    given: Literal["minor", "major"] = "minor"
    min: int | float | None = None
    max: int | float | None = None
    required: bool = False
    codes: tuple[str, ...] = ()
    codes_from: str = ""
    column: str = ""
    date_format: str = ""
    confidential: bool = False
    default: str | int | float | bool | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"field {self.name!r}"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise failure(where, "a name is lower-case letters, digits and _.", "Rename it; `column` maps the source.")
        if self.name in SYSTEM_COLUMNS or self.name.startswith("__"):
            raise failure(where, "the name is reserved for the store.", "Rename it; `column` maps the source.")
        if self.type not in FIELD_TYPES:
            raise failure(where, f"unknown type {self.type!r}.", f"Use one of {', '.join(FIELD_TYPES)}.")
        if self.type == "money" and (not re.fullmatch(r"[A-Z]{3}", self.currency) or self.scale is None):
            raise failure(where, "money needs currency and scale.", 'Add currency = "EUR" and scale = 2.')
        if self.type == "quantity" and not self.measure:
            raise failure(where, "a quantity needs its unit.", 'Add measure = "Wh".')
        if self.scale is not None and (
            self.type not in ("money", "quantity") or not isinstance(self.scale, int) or not 0 <= self.scale <= 9
        ):
            raise failure(where, "scale is 0 to 9 decimals of money or a quantity.", "Correct or leave out scale.")
        if self.given not in ("minor", "major") or (self.given == "major" and self.scale is None):
            raise failure(where, 'given is "minor" or "major"; "major" needs scale.', "Add scale.")
        if self.type == "code":
            if bool(self.codes) == bool(self.codes_from):
                raise failure(where, "a code field has either codes or codes_from.", "Give one of them.")
            if len(set(self.codes)) != len(self.codes) or not all(isinstance(c, str) and c for c in self.codes):
                raise failure(where, "codes are distinct, not empty texts.", "Correct the list.")
        elif self.codes or self.codes_from:
            raise failure(where, "only a code field has codes.", 'Set type = "code".')
        if (self.min is not None or self.max is not None) and self.type not in _NUMERIC:
            raise failure(where, "only numeric fields have min and max.", "Leave them out.")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise failure(where, "min is above max.", "Correct the bounds.")
        self._check_history(where)

    def _check_history(self, where: str) -> None:
        wanted: tuple[type, ...] = (str,)
        if self.type in _NUMERIC:
            wanted = (int, float) if self.type == "number" else (int,)
        elif self.type == "boolean":
            wanted = (bool,)
        if self.default is not None and (
            not isinstance(self.default, wanted) or (isinstance(self.default, bool) and bool not in wanted)
        ):
            raise failure(where, f"the default is no {self.type}.", "Give it in stored form.")
        if self.type in ("date", "datetime") and self.default is not None:
            try:
                dt.datetime.fromisoformat(str(self.default))
            except ValueError:
                raise failure(where, "the default is no ISO date.", 'Write "2020-01-01".') from None
        if not all(_NAME.fullmatch(a) for a in self.aliases) or self.name in self.aliases:
            raise failure(where, "aliases are earlier names of the field.", "Correct them.")
        if self.date_format and self.type not in ("date", "datetime"):
            raise failure(where, "only dates have a date_format.", "Leave it out.")
        check_format(where, self.date_format)

    @property
    def source(self) -> str:
        """Name of the column in the source."""
        return self.column or self.name

    @property
    def integral(self) -> bool:
        """Whether the field is stored as int64."""
        return self.type in ("integer", "money", "quantity")

    def arrow_type(self) -> pa.DataType:
        """Return the Arrow type in which the field is stored."""
        import pyarrow as pa

        return {
            "string": pa.string(),
            "code": pa.string(),
            "number": pa.float64(),
            "date": pa.date32(),
            "datetime": pa.timestamp("us", "UTC"),
            "boolean": pa.bool_(),
        }.get(self.type, pa.int64())


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One dataset: fields, key, period, protected unit, provider, legal basis.

    Attributes
    ----------
    name, title, provider, licence, legal_basis, source
        `source` are the words that pages show. A confidential dataset must state its legal basis.
    frequency, period
        See `opsroom.base.periods.Frequency`; the field that holds the reference period.
    key
        Fields that identify a row, among them `period`.
    confidential, unit, unit_field, group_field
        Protected unit out of a closed list, the field that holds its id (absent where it is reached through
        another table) and the one that holds the enterprise group's.
    contents
        Kinds of content, out of a closed list (`opsroom.base.lawful.CONTENTS`).
    allow_future
        Periods may lie after the day of delivery (a calendar, a maturity list).
    known_at_field
        Column of the source that holds the vintage: one file then brings many vintages. It is not stored
        as a field but as ``known_at``: the end of that day in the room's zone.
    snapshot
        Each delivery (each vintage) is complete: a row that it no longer holds is taken back by a tombstone.
    max_drop
        For snapshots: refuse a delivery that would take back more than this share of the rows.
    missing
        Texts that stand for an empty value in text columns, beside the empty text: ``["NA", "."]``.
    ignore_extra
        Drop columns of the source that no field names; otherwise they are refused as a change of schema.
    version
        Number of this version of the specification; `opsroom dataset update` registers the next one.
    quality
        How deliveries are assessed: the table ``[quality]``.
    layout
        How the file is laid out, where it is not a plain table: see `opsroom.base.layout.Layout`.
    tables
        Which tables may be asked for: see `opsroom.base.spec_tables.TablesSpec`.
    rules
        What must hold beyond types and bounds: the tables ``[[rules]]``.
    """

    name: str
    title: str
    frequency: str
    period: str
    key: tuple[str, ...]
    confidential: bool
    unit: str
    fields: tuple[FieldSpec, ...]
    provider: str = ""
    licence: str = ""
    legal_basis: str = ""
    source: str = ""
    unit_field: str = ""
    group_field: str = ""
    contents: tuple[str, ...] = ()
    allow_future: bool = False
    known_at_field: str = ""
    snapshot: bool = False
    max_drop: float = 0.2
    missing: tuple[str, ...] = ()
    ignore_extra: bool = False
    quality: QualitySpec = USUAL_QUALITY
    layout: Layout = PLAIN
    tables: TablesSpec = NO_TABLES
    rules: tuple[RuleSpec, ...] = ()
    schema_version: int = SCHEMA_VERSION
    version: int = 1

    def __post_init__(self) -> None:
        where = f"dataset {self.name!r}"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise failure(where, "a name is lower-case letters, digits and _.", "Rename it.")
        if self.schema_version != SCHEMA_VERSION:
            raise failure(where, f"schema_version is {SCHEMA_VERSION}.", "Use an opsroom that knows this version.")
        if not 1 <= self.version < 10_000:
            raise failure(where, "version is 1 to 9999.", "Correct it.")
        names = [f.name for f in self.fields] + [a for f in self.fields for a in f.aliases]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice or not names:
            raise failure(where, f"field names are given once: {', '.join(twice) or 'none given'}.", "Correct them.")
        names = [f.name for f in self.fields]
        self._check_law(names)
        self._check_time(where, names)
        self._check_layout(where)
        self._check_register(where)
        self.tables.check(self)
        types: dict[str, str] = {f.name: f.type for f in self.fields}
        for rule in self.rules:
            rule.check(types, self.key, self.period)
        for name in self.quality.fields:
            if name not in names or self.field(name).type not in _NUMERIC:
                raise failure(where, f"[quality] fields: {name!r} is no numeric field.", "Name numeric fields.")

    def _check_law(self, names: list[str]) -> None:
        where = f"dataset {self.name!r}"
        columns = {c.lower() for f in self.fields for c in (f.name, f.source)}
        check_lawful(
            name=self.name,
            title=self.title,
            unit=self.unit,
            contents=self.contents,
            fields=sorted(columns),
            public=self.unit == "public",
            titles=[f.title for f in self.fields],
        )
        if self.confidential is (self.unit == "public"):
            raise failure(
                where,
                "confidential data describe a protected unit, public data none.",
                'Use confidential = false with unit = "public", or name the protected unit.',
                code="OPS-S012",
            )
        if self.confidential and not self.legal_basis.strip():
            raise failure(where, "confidential data need a legal basis.", "Add legal_basis.", code="OPS-S013")
        for attribute in ("unit_field", "group_field"):
            value = getattr(self, attribute)
            if value and value not in names:
                raise failure(where, f"{attribute} = {value!r} is not a field.", "Name a field.")
        floats = [f.name for f in self.fields if f.type == "number"]
        if self.confidential and floats:
            raise failure(
                where,
                f"microdata are whole minor units; number is not allowed: {', '.join(floats)}.",
                "Use integer, money or quantity.",
                code="OPS-S014",
            )

    def _check_time(self, where: str, names: list[str]) -> None:
        if self.frequency not in set(Frequency):
            raise failure(where, f"unknown frequency {self.frequency!r}.", f"Use one of {', '.join(Frequency)}.")
        wanted = "datetime" if self.frequency == Frequency.HOURLY else "date"
        if self.period not in names or self.field(self.period).type != wanted:
            raise failure(where, f"period = {self.period!r} is not a field of type {wanted}.", "Name that field.")
        if len(set(self.key)) != len(self.key) or self.period not in self.key:
            raise failure(where, "the key names each field once, the period among them.", "Correct key.")
        unknown = [k for k in self.key if k not in names]
        if unknown:
            raise failure(where, f"key names no field: {', '.join(unknown)}.", "Correct key.")
        if any(self.field(k).type == "number" for k in self.key):
            raise failure(where, "a number cannot be part of a key.", "Use integer, string or code.")
        if self.known_at_field and self.known_at_field in names:
            raise failure(where, "known_at_field is stored as known_at, not as a field.", "Remove that field.")
        if not 0 <= self.max_drop <= 1:
            raise failure(where, "max_drop is a share between 0 and 1.", "Correct it.")

    def _check_layout(self, where: str) -> None:
        sources = {f.source for f in self.fields}
        layout = self.layout
        for column in filter(None, (layout.header_to, layout.cells_to)):
            if column not in sources:
                raise failure(where, f"[layout] {column!r} is the column of no field.", "Name a field's column.")

    def _check_register(self, where: str) -> None:
        if not self.is_company_register:
            return
        names = [f.name for f in self.fields]
        if "legal_form" not in names or not self.field("legal_form").required:
            raise failure(
                where,
                "a company register must hold the legal form, so that sole traders can be kept out.",
                'Add a field legal_form with codes_from = "legal_forms" and required = true.',
                code="OPS-S015",
            )
        if self.field("legal_form").type != "code":
            raise failure(where, "legal_form is a code field.", 'Set codes_from = "legal_forms".', code="OPS-S015")

    @property
    def is_company_register(self) -> bool:
        """Whether rows describe enterprises over time: declared, or seen from key and frequency."""
        shape = (
            self.unit == "enterprise"
            and self.frequency == Frequency.EVENT
            and bool(self.unit_field)
            and set(self.key) == {self.unit_field, self.period}
        )
        return "company_register" in self.contents or shape or "legal_form" in {f.name for f in self.fields}

    @property
    def public(self) -> bool:
        """Whether the dataset is published."""
        return not self.confidential

    def field(self, name: str) -> FieldSpec:
        """Return a field by name.

        Raises
        ------
        SpecError
            The dataset has no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise SpecError(f"dataset {self.name!r} has no field {name!r}.", remedy="See `opsroom dataset show`.")

    def codes(self, name: str, extra: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
        """Return the codes that a code field allows; `extra` are the room's own lists."""
        field = self.field(name)
        return field.codes or code_list(field.codes_from, extra)

    def arrow_schema(self, *, system: bool = False) -> pa.Schema:
        """Return the Arrow schema of the fields; `system` adds the store's columns (without ``part``)."""
        import pyarrow as pa

        required = {*self.key, *(f.name for f in self.fields if f.required)}
        columns = [pa.field(f.name, f.arrow_type(), nullable=f.name not in required) for f in self.fields]
        if system:
            # Tombstones carry a key and nothing else, so only key fields may be declared not null.
            columns = [c.with_nullable(c.name not in self.key) for c in columns]
            moment = pa.timestamp("us", "UTC")
            columns += [
                pa.field("known_at", moment, nullable=False),
                pa.field("recorded_at", moment, nullable=False),
                pa.field("delivery", pa.int64(), nullable=False),
                pa.field("op", pa.int8(), nullable=False),
                pa.field("source_row", pa.int64()),
                pa.field("known_to", moment),
                pa.field("prior_file", pa.string()),
                pa.field("prior_row", pa.int64()),
            ]
        return pa.schema(columns)

    @classmethod
    def from_toml(cls, source: str | Path) -> DatasetSpec:
        """Read a specification from a TOML file (a `Path`) or from TOML text (a `str`).

        Raises
        ------
        SpecError
            Not TOML, unknown or missing keys, or a rule of the specification is broken.
        """
        where = source.name if isinstance(source, Path) else "specification"
        try:
            text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
            raw = tomllib.loads(text)
        except OSError as error:
            raise SpecError(f"{where}: cannot be read ({error.strerror}).", remedy="Check the path.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError(f"{where}: not valid TOML: {error}.", remedy="Correct it there.") from None
        tables = raw.pop("fields", [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise SpecError(f"{where}: fields are written as [[fields]] tables.", remedy="Use [[fields]].")
        fields = tuple(build(FieldSpec, table, f"{where}, field {n + 1}") for n, table in enumerate(tables))
        rules = read_rules(raw.pop("rules", []), where)
        parts: dict[str, Any] = {}
        for name, kind in _TABLES.items():
            table = raw.pop(name, {})
            if not isinstance(table, dict):
                raise SpecError(f"{where}: {name} is a table.", remedy=f"Write [{name}].")
            parts[name] = build(kind, table, f"{where}, [{name}]")
        spec: DatasetSpec = build(cls, {**raw, **parts, "fields": fields, "rules": rules}, where)
        return spec

    def to_toml(self) -> str:
        """Write the specification as TOML; `from_toml` reads back an equal one."""
        text = lines(self, skip=("fields", "rules", *_TABLES))
        for name in _TABLES:
            if table := lines(getattr(self, name)):
                text += ["", f"[{name}]", *table]
        for field in self.fields:
            text += ["", "[[fields]]", *lines(field)]
        for rule in self.rules:
            text += ["", "[[rules]]", *rule.lines()]
        return "\n".join(text) + "\n"
