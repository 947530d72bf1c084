"""Casting a source's columns: what each type takes, and which rows are at fault."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.periods import Frequency
from opsroom.base.specs import FieldSpec
from opsroom.observe.casting import UncastableError, cast
from opsroom.observe.quality import MAX_TEXT

MONEY = {"currency": "EUR", "scale": 2}


def run(
    values: object, kind: str, frequency: str | None = None, **more: object
) -> tuple[list[object], dict[str, list[bool]]]:
    column = values if isinstance(values, pa.Array) else pa.array(values)
    done = cast(column, FieldSpec("x", kind, **more), Frequency(frequency) if frequency else None, ("NA",))
    assert len(done.values) == len(column)
    assert done.values.type == FieldSpec("x", kind, **more).arrow_type()
    faults: dict[str, list[bool]] = {}
    for code, mask in done.faults:
        faults[code] = [a or b for a, b in zip(mask.to_pylist(), faults.get(code, [False] * len(mask)), strict=True)]
    return done.values.to_pylist(), faults


def test_integers_from_text() -> None:
    words = ["1", " -2 ", "+3", "4.0", "007", "", "NA", None, "5.5", "1e3", "x", "1,000", "-", "0x10", "٣"]
    values, faults = run(words, "integer")
    assert values[:8] == [1, -2, 3, 4, 7, None, None, None]
    assert values[8:] == [None] * 7
    assert faults == {"OPS-D024": [False] * 8 + [True] * 7}


def test_integers_at_the_edge_of_64_bits() -> None:
    edge = ["9223372036854775807", "9223372036854775808", "-9223372036854775807", "123456789012345678901234567890"]
    values, faults = run(edge, "integer")
    assert values == [2**63 - 1, None, -(2**63) + 1, None]
    assert faults == {"OPS-D034": [False, True, False, True]}
    values, faults = run(pa.array([1, 2**63], pa.uint64()), "integer")
    assert values == [1, None]
    assert faults == {"OPS-D034": [False, True]}


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_integer_goes_round_as_text(number: int) -> None:
    assert run([str(number)], "integer") == ([number], {})


def test_integers_from_floats() -> None:
    values, faults = run([1.0, 2.5, float("nan"), None, float("inf"), 1e300], "integer")
    assert values == [1, None, None, None, None, None]
    assert faults["OPS-D024"] == [False, True, False, False, False, False]
    assert faults["OPS-D034"] == [False, False, False, False, True, True]


def test_money_given_in_major_units_is_exact() -> None:
    words = ["12.34", "12.3", "12", "-0.05", "0.005", "1234567890.10", "12.340", "abc", "-.5"]
    values, faults = run(words, "money", given="major", **MONEY)
    assert values == [1234, 1230, 1200, -5, None, 123456789010, 1234, None, None]
    assert faults["OPS-D034"] == [w == "0.005" for w in words]
    assert faults["OPS-D024"] == [w in ("abc", "-.5") for w in words]


@given(st.integers(-(10**15), 10**15))
def test_major_units_go_round(cents: int) -> None:
    text = f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
    assert run([text], "money", given="major", **MONEY)[0] == [cents]
    assert run([Decimal(cents) / 100], "money", given="major", **MONEY)[0] == [cents]
    if abs(cents) < 10**13:
        assert run([cents / 100], "money", given="major", **MONEY)[0] == [cents]


def test_major_units_from_other_types() -> None:
    assert run([3, 92233720368547759], "money", given="major", **MONEY) == ([300, None], {"OPS-D034": [False, True]})
    assert run([0.1 + 0.2, 0.305], "money", given="major", **MONEY) == ([30, None], {"OPS-D034": [False, True]})


def test_money_given_in_minor_units_takes_no_decimals() -> None:
    assert run(["1234", "12.34"], "money", **MONEY) == ([1234, None], {"OPS-D024": [False, True]})


def test_numbers() -> None:
    values, faults = run(["1", "-2.5", "+3e2", ".5", "5.", "NA", "inf", "nan", "1,5", "1e999"], "number")
    assert values == [1.0, -2.5, 300.0, 0.5, 5.0, None, None, None, None, None]
    assert faults == {"OPS-D025": [False] * 6 + [True] * 4}
    values, faults = run([1.5, float("nan"), float("-inf"), -0.0], "number")
    assert values[:2] == [1.5, None]
    assert str(values[3]) == "0.0", "minus zero and zero are one value"
    assert faults == {"OPS-D025": [False, False, True, False]}


def test_booleans() -> None:
    values, faults = run(["Y", "no", "TRUE", "0", "", "maybe"], "boolean")
    assert values == [True, False, True, False, None, None]
    assert faults == {"OPS-D027": [False] * 5 + [True]}
    assert run(pa.array([1, 0, 2], pa.int8()), "boolean")[0] == [True, False, None]


def test_days_and_periods() -> None:
    assert run(["2020-03-04", "2020-02-30", ""], "date")[0] == [date(2020, 3, 4), None, None]
    assert run(["2020-03", "2020-Q1"], "date", "M") == ([date(2020, 3, 1), None], {"OPS-D026": [False, True]})
    stamps = pa.array([datetime(2020, 3, 31, 23, 59), datetime(2020, 3, 4)])
    assert run(stamps, "date", "M")[0] == [date(2020, 3, 1)] * 2
    assert run(stamps, "date", "D") == ([None, date(2020, 3, 4)], {"OPS-D026": [True, False]})
    assert run(pa.array([2020], pa.int32()), "date", "A")[0] == [date(2020, 1, 1)]
    assert run([date(2020, 3, 4), None], "date", "W")[0] == [date(2020, 3, 2), None]
    assert run([date(2020, 5, 31)], "date", "Q")[0] == [date(2020, 4, 1)]
    assert run([date(1, 1, 1), date(2020, 1, 1)], "date", "D") == (
        [None, date(2020, 1, 1)],
        {"OPS-D026": [True, False]},
    )


def test_a_day_is_the_day_on_the_providers_wall() -> None:
    midnight = pa.array([datetime(2020, 3, 3, 23, tzinfo=UTC)], pa.timestamp("us", "Europe/Vienna"))
    assert run(midnight, "date", "D")[0] == [date(2020, 3, 4)]


def test_moments() -> None:
    moment = datetime(2020, 3, 4, 16, tzinfo=UTC)
    assert run(["2020-03-04T17:00:00+01:00", "noon"], "datetime") == ([moment, None], {"OPS-D026": [False, True]})
    assert run(pa.array([datetime(2020, 3, 4, 16)], pa.timestamp("ns")), "datetime")[0] == [moment]


def test_texts() -> None:
    values, faults = run([" a ", "", "NA", "b" * (MAX_TEXT + 1)], "string")
    assert values == ["a", None, None, None]
    assert faults == {"OPS-D035": [False, False, False, True]}
    assert run(pa.array([47, None], pa.int16()), "string")[0] == ["47", None]
    assert run(pa.array(["x", None, "x"]).dictionary_encode(), "string")[0] == ["x", None, "x"]
    assert run(pa.array(["x"], pa.large_string()), "string")[0] == ["x"]


def test_a_column_without_any_value_is_empty() -> None:
    for kind in ("integer", "string", "number", "date", "boolean", "datetime"):
        assert run(pa.nulls(2), kind) == ([None, None], {})
        assert run(pa.array([], pa.string()), kind) == ([], {})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([[1]]), "integer"),
        (pa.array([True]), "integer"),
        (pa.array([date(2020, 1, 1)]), "number"),
        (pa.array([1.5]), "date"),
        (pa.array([1.5]), "boolean"),
        (pa.array([1.5]), "string"),
        (pa.array([7]), "datetime"),
        (pa.array([b"x"]), "string"),
    ],
)
def test_types_without_meaning_are_refused(column: pa.Array, kind: str) -> None:
    with pytest.raises(UncastableError):
        cast(column, FieldSpec("x", kind), None)
