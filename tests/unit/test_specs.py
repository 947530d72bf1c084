"""Specifications: what they accept, what they refuse and in which words, and that TOML goes round."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base import codes, lawful
from opsroom.base.errors import SpecError
from opsroom.base.specs import FIELD_TYPES, SYSTEM_COLUMNS, DatasetSpec, FieldSpec

TEXT = """
schema_version = 1
name = "meters"
title = "Daily electricity by company meter"
provider = "Grid"
licence = "confidential"
legal_basis = "Statistics Act, section 12"
source = "Grid: \\"smart\\" meters of companies"
frequency = "D"
period = "date"
key = ["meter_id", "date"]
confidential = true
unit = "establishment"

[[fields]]
name = "meter_id"
type = "integer"

[[fields]]
name = "date"
type = "date"

[[fields]]
name = "wh"
type = "quantity"
measure = "Wh"
min = 0
max = 5_000_000_000
required = true
"""


def changed(**values: object) -> DatasetSpec:
    return dataclasses.replace(DatasetSpec.from_toml(TEXT), **values)


def test_reads_what_is_written(tmp_path: Path) -> None:
    spec = DatasetSpec.from_toml(TEXT)
    assert spec.key == ("meter_id", "date")
    assert spec.field("wh").max == 5_000_000_000
    assert not spec.public
    assert DatasetSpec.from_toml(spec.to_toml()) == spec
    file = tmp_path / "meters.toml"
    file.write_text(TEXT, encoding="utf-8")
    assert DatasetSpec.from_toml(file) == spec


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["minor", "major"]),
    st.one_of(st.none(), st.integers(-(10**12), 10**12), st.floats(-1e9, 1e9)),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_toml_goes_round(words: str, given_in: str, low: float | None, flag: bool) -> None:
    field = FieldSpec("cash", "money", title=words, currency="EUR", scale=2, given=given_in, min=low, required=flag)
    spec = changed(provider=words, missing=(words,), fields=(*DatasetSpec.from_toml(TEXT).fields, field))
    assert DatasetSpec.from_toml(spec.to_toml()) == spec


def test_arrow_schema_has_no_floats_in_microdata() -> None:
    spec = DatasetSpec.from_toml(TEXT)
    assert [str(t) for t in spec.arrow_schema().types] == ["int64", "date32[day]", "int64"]
    stored = spec.arrow_schema(system=True)
    assert stored.names[3:] == [name for name in SYSTEM_COLUMNS if name != "part"]
    assert not stored.field("meter_id").nullable
    assert stored.field("wh").nullable, "a tombstone has nothing but a key"


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('unit = "establishment"', 'unit = "household"', "OPS-S010", "households"),
        ('unit = "establishment"', 'unit = "natural_person"', "OPS-S010", "natural persons"),
        ('unit = "establishment"', 'unit = "voter"', "OPS-S010", "opinions"),
        ('unit = "establishment"', 'unit = "meter"', "OPS-S011", "closed list"),
        ('name = "meters"', 'name = "household_meters"', "OPS-S010", "households"),
        ("Daily electricity by company meter", "Electricity of households", "OPS-S010", "households"),
        ('name = "wh"', 'name = "person_id"', "OPS-S010", "natural persons"),
        ('name = "wh"', 'name = "owner_passport_no"', "OPS-S010", "natural persons"),
        ('name = "wh"', 'name = "political_view"', "OPS-S010", "opinions"),
        ('name = "wh"', 'name = "employee_id"', "OPS-S010", "natural persons"),
        ('name = "wh"', 'name = "wh"\ntitle = "Political opinion of the owner"', "OPS-S010", "opinions"),
        ('name = "wh"', 'name = "wh"\ntitle = "Use of the household upstairs"', "OPS-S010", "households"),
        ('name = "wh"', 'name = "wh"\ncolumn = "social_credit_score"', "OPS-S010", "opinions"),
        ('frequency = "D"', 'frequency = "D"\ncontents = ["household_meters"]', "OPS-S010", "households"),
        ('frequency = "D"', 'frequency = "D"\ncontents = ["opinions"]', "OPS-S010", "opinions"),
        ('frequency = "D"', 'frequency = "D"\ncontents = ["anything"]', "OPS-S011", "closed list"),
        ('legal_basis = "Statistics Act, section 12"', "", "OPS-S013", "legal basis"),
        ("confidential = true", "confidential = false", "OPS-S012", "protected unit"),
        ('unit = "establishment"', 'unit = "public"', "OPS-S012", "protected unit"),
        ('type = "quantity"\nmeasure = "Wh"', 'type = "number"', "OPS-S014", "whole minor units"),
        ('type = "quantity"\nmeasure = "Wh"', 'type = "quantity"', "OPS-S002", "unit"),
        ('type = "quantity"\nmeasure = "Wh"', 'type = "money"', "OPS-S002", "currency"),
        ('type = "quantity"', 'type = "float"', "OPS-S002", "unknown type"),
        ('frequency = "D"', 'frequency = "daily"', "OPS-S002", "unknown frequency"),
        ('period = "date"', 'period = "day"', "OPS-S002", "period"),
        ('key = ["meter_id", "date"]', 'key = ["meter_id"]', "OPS-S002", "key"),
        ('key = ["meter_id", "date"]', 'key = ["meter_id", "date", "nothing"]', "OPS-S002", "key"),
        ("confidential = true", "confidentail = true", "OPS-S002", "confidentail"),
        ("confidential = true", 'confidential = "yes"', "OPS-S002", "wrong type"),
        ("min = 0", "min = 6_000_000_000", "OPS-S002", "min is above max"),
        ("schema_version = 1", "schema_version = 2", "OPS-S002", "schema_version"),
        ('name = "wh"', 'name = "known_at"', "OPS-S002", "reserved"),
        ('name = "wh"', 'name = "Wh"', "OPS-S002", "lower-case"),
        ('name = "wh"', 'name = "date"', "OPS-S002", "once"),
        ("min = 0", "min = [", "OPS-S001", "TOML"),
        ('title = "Daily electricity by company meter"', "", "OPS-S002", "title"),
    ],
)
def test_refuses_and_says_why(old: str, new: str, code: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError) as caught:
        DatasetSpec.from_toml(TEXT.replace(old, new, 1))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "name",
    ["persons_employed", "personnel_cost", "counterparty_id", "dwell_time", "agency", "embassy", "votes_cast_in"],
)
def test_business_words_are_not_mistaken_for_persons(name: str) -> None:
    expected = "opinions" if name.startswith("votes") else None
    assert lawful.refused_word(name) == expected


def test_published_totals_about_households_are_lawful() -> None:
    """Household credit and unemployment by sex are published aggregates, not data about anyone."""
    fields = (FieldSpec("month", "date"), FieldSpec("sex", "string"), FieldSpec("household_credit", "number"))
    spec = DatasetSpec(
        name="credit",
        title="Credit to households",
        frequency="M",
        period="month",
        key=("month", "sex"),
        confidential=False,
        unit="public",
        fields=fields,
    )
    assert spec.public
    with pytest.raises(SpecError, match="natural persons"):
        dataclasses.replace(spec, fields=(*fields, FieldSpec("national_id", "string")))


def register(**legal_form: object) -> DatasetSpec:
    fields = [FieldSpec("enterprise_id", "integer"), FieldSpec("valid_from", "date")]
    if legal_form:
        fields.append(FieldSpec("legal_form", **legal_form))  # type: ignore[arg-type]  # what is tested
    return DatasetSpec(
        name="companies",
        title="Companies",
        frequency="event",
        period="valid_from",
        key=("enterprise_id", "valid_from"),
        confidential=True,
        unit="enterprise",
        unit_field="enterprise_id",
        legal_basis="a test",
        fields=tuple(fields),
    )


def test_a_company_register_must_hold_the_legal_form() -> None:
    assert register(type="code", codes_from="legal_forms", required=True).is_company_register
    for wrong in ({}, {"type": "code", "codes_from": "legal_forms"}, {"type": "string", "required": True}):
        with pytest.raises(SpecError) as caught:
            register(**wrong)
        assert caught.value.code == "OPS-S015"


def test_code_lists() -> None:
    assert len(codes.NACE_SECTIONS) == 21
    assert len(codes.SECTION_OF_DIVISION) == 88
    assert codes.SECTION_OF_DIVISION["47"] == "G"
    assert codes.SECTION_OF_DIVISION["01"] == "A"
    assert set(codes.SECTION_OF_DIVISION.values()) == set(codes.NACE_SECTIONS)
    assert codes.code_list("regions", {"regions": ("R01",)}) == ("R01",)
    with pytest.raises(SpecError, match="no code list"):
        codes.code_list("regions")
    assert set(codes.LEGAL_FORMS) >= codes.NATURAL_FORMS


def test_every_type_has_an_arrow_type() -> None:
    more = {"code": {"codes": ("A",)}, "money": {"currency": "EUR", "scale": 2}, "quantity": {"measure": "Wh"}}
    for kind in FIELD_TYPES:
        assert FieldSpec("x", kind, **more.get(kind, {})).arrow_type() is not None
    assert "part" in SYSTEM_COLUMNS
