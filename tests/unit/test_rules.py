"""Declared rules: the language of conditions, row rules to quarantine, dataset rules to alarms or refusal."""

from __future__ import annotations

import datetime as dt
import operator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, SpecError
from opsroom.base.expressions import Kind, Node, parse
from opsroom.base.specs import DatasetSpec
from opsroom.observe.rowrules import lower
from opsroom.room.room import Room

KINDS: dict[str, Kind] = {"a": "number", "b": "number", "t": "text", "u": "text", "d": "date", "f": "boolean"}

# -- the language ------------------------------------------------------------------------------

SIGNS = {
    "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "==": operator.eq, "!=": operator.ne,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip


def compute(part: Node, row: dict[str, Any]) -> Any:
    """Compute a part by the definition, in plain Python: three-valued, as SQL's conditions are."""
    if part.op in ("number", "text", "date"):
        return part.args[0]
    if part.op == "field":
        return row[str(part.args[0])]
    args = [compute(one, row) for one in part.args if isinstance(one, Node)]
    match part.op:
        case "null":
            return args[0] is None
        case "and":
            return False if False in args else None if None in args else True
        case "or":
            return True if True in args else None if None in args else False
        case "coalesce":
            return next((x for x in args if x is not None), None)
        case "least":
            return min((x for x in args if x is not None), default=None)
        case "greatest":
            return max((x for x in args if x is not None), default=None)
    if None in args:
        return None
    match part.op:
        case "not":
            return not args[0]
        case "neg":
            return -args[0]
        case "in":
            return args[0] in args[1:]
        case "abs":
            return abs(args[0])
        case "length":
            return len(args[0])
        case "year":
            return args[0].year
        case "month":
            return args[0].month
        case "/":
            return None if args[1] == 0 else args[0] / args[1]
        case sign:
            return SIGNS[sign](*args)


numbers = st.recursive(
    st.sampled_from(["a", "b", "0", "1", "7", "2.5", "length(t)", "year(d)", "month(d)"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("-{}".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["coalesce", "least", "greatest"]), inner, inner),
    ),
    max_leaves=4,
)
texts = st.sampled_from(["t", "u", "'x'", "''", "coalesce(t, 'x')"])
dates = st.sampled_from(["d", "'2020-02-29'"])
compared = st.sampled_from(["<=", "<", ">=", ">", "==", "!="])
atoms = st.one_of(
    st.builds("{} {} {}".format, numbers, compared, numbers),
    st.builds("{} {} {}".format, texts, compared, texts),
    st.builds("d {} {}".format, compared, dates),
    st.builds("{} is {}null".format, st.one_of(numbers, texts, st.just("d")), st.sampled_from(["", "not "])),
    st.builds("t {}in ['x', 'yy']".format, st.sampled_from(["", "not "])),
    st.builds("a {}in [1, -2]".format, st.sampled_from(["", "not "])),
    st.just("f"),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)
rows = st.fixed_dictionaries(
    {
        "a": st.none() | st.integers(-3, 3),
        "b": st.none() | st.integers(-3, 3),
        "t": st.none() | st.sampled_from(["", "x", "yy"]),
        "u": st.none() | st.sampled_from(["", "x"]),
        "d": st.none() | st.dates(dt.date(2020, 2, 27), dt.date(2020, 3, 2)),
        "f": st.none() | st.booleans(),
    }
)
POLARS = {"a": pl.Int64, "b": pl.Int64, "t": pl.String, "u": pl.String, "d": pl.Date, "f": pl.Boolean}


@given(conditions, st.lists(rows, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_conditions_mean_what_the_definition_says(text: str, table: list[dict[str, Any]]) -> None:
    part = parse(text, KINDS, "test")
    found = pl.DataFrame(table, schema=POLARS).select(lower(part).alias("x"))["x"].to_list()
    if len(found) == 1 and len(table) > 1:  # a condition on literals alone
        found *= len(table)
    assert found == [compute(part, row) for row in table], text


@given(st.text(alphabet="abtdf()[]<>=!+-*/'., 019_nortisuliefyghmxp", max_size=40))
@settings(max_examples=150)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        kind: str = parse(text, KINDS, "test").kind
    except SpecError as error:
        kind = error.code
    assert kind in ("boolean", "OPS-S020")


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a +", "a < 'x'", "a < t", "t < d", "d < 'x'", "a = 1", "a < 1 b", "(a < 1", "z < 1", "a in []",
        "a in [b]", "a not 1", "a is 1", "sqrt(a) < 1", "abs(t) < 1", "abs(a, b) < 1", "not a", "f and a", "t + t < 1",
        "__import__('os')", "a.real < 1", "a < 1; b", "'" * 3, "(" * 200 + "f" + ")" * 200, "null", "a ** 2 < 1",
    ],
)  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(SpecError, match="OPS-S020"):
        parse(text, KINDS, "test")


def test_precedence() -> None:
    assert compute(parse("a < 1 or a > 2 and b > 2", KINDS, ""), {"a": 0, "b": 0}) is True
    assert compute(parse("a + b * 2 == 7", KINDS, ""), {"a": 1, "b": 3}) is True
    assert compute(parse("not a == 1 and b == 1", KINDS, ""), {"a": 1, "b": 1}) is False
    assert parse("not not f", KINDS, "").op == "field"


# -- rules of a dataset ------------------------------------------------------------------------

SPEC = """
schema_version = 1
name = "flows"
title = "Flows"
frequency = "M"
period = "month"
key = ["sector", "month"]
confidential = false
unit = "public"

[[fields]]
name = "sector"
type = "string"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "paid"
type = "integer"

[[fields]]
name = "due"
type = "integer"

[[fields]]
name = "closed_on"
type = "date"
"""


def spec(*rules: str) -> str:
    return SPEC + "".join(f"\n[[rules]]\n{rule}\n" for rule in rules)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def deliver(folder: Path, room: Room, *lines: str, known_at: str = "2020-06-01") -> Any:
    file = folder / f"f{known_at}.csv"
    file.write_text("sector,month,paid,due,closed_on\n" + "\n".join(lines) + "\n")
    return room.ingest("flows", file, known_at)


def faults(room: Room) -> list[tuple[int, str, str, str]]:
    return [(r["row"], r["field"], r["code"], r["faults"]) for r in room.store.quarantine("flows").to_pylist()]


def test_row_rules_send_rows_to_quarantine_with_their_name(folder: Path) -> None:
    text = spec(
        'name = "paid_not_above_due"\nexpression = "paid <= due"',
        'name = "closed_has_date"\nexpression = "closed_on is not null"\nwhen = "due == 0"',
        'name = "by_sector"\nfield = "paid"\nby = "sector"\nranges = {A = [0, 10], B = [5, 20]}',
    )
    assert DatasetSpec.from_toml(DatasetSpec.from_toml(text).to_toml()) == DatasetSpec.from_toml(text)
    with Room.create(folder / "room", specs=[text]) as room:
        report = deliver(
            folder, room,
            "A,2020-01,5,6,", "A,2020-02,7,6,", "A,2020-03,,6,", "A,2020-04,0,0,", "A,2020-05,0,0,2020-05-01",
            "B,2020-01,4,9,", "C,2020-01,400,900,", "A,2020-06,11,3,",
        )  # fmt: skip
        assert (report.accepted, report.quarantined) == (4, 4)
        assert faults(room) == [
            (3, "paid_not_above_due", "OPS-D053", "paid_not_above_due:OPS-D053"),
            (5, "closed_has_date", "OPS-D053", "closed_has_date:OPS-D053"),
            (7, "by_sector", "OPS-D053", "by_sector:OPS-D053"),
            (9, "paid_not_above_due", "OPS-D053", "paid_not_above_due:OPS-D053;by_sector:OPS-D053"),
        ]
        assert report.quality.measures["rules"] == {"paid_not_above_due": 2, "closed_has_date": 1, "by_sector": 2}
        assert [a.kind for a in report.quality.alarms] == ["rows_refused"]  # half of them


def test_a_rule_holds_since_its_day(folder: Path) -> None:
    text = spec('name = "r"\nexpression = "paid <= due"\nsince = 2020-07-01')
    with Room.create(folder / "room", specs=[text]) as room:
        assert deliver(folder, room, "A,2020-01,9,6,").quarantined == 0
        assert deliver(folder, room, "A,2020-02,9,6,", known_at="2020-07-01").quarantined == 1


DATASET_RULES = {
    "unique": ('unique = ["paid"]', ["A,2020-01,1,1,", "B,2020-01,2,1,"], ["C,2020-01,2,1,"], 1),
    "total": (
        'total = "T"\nby = "sector"\nfield = "paid"\ntolerance = 0.01',
        ["A,2020-01,60,1,", "B,2020-01,40,1,", "T,2020-01,100,1,"],
        ["A,2020-01,70,1,"],
        1,
    ),
    "monotone": (
        'monotone = "up"\nfield = "paid"',
        ["A,2020-01,5,1,", "A,2020-02,,1,", "B,2020-01,5,1,"],
        ["A,2020-03,4,1,", "A,2020-04,3,1,", "B,2020-02,5,1,"],
        2,
    ),
    "references": (
        'references = "others.id"\nfield = "sector"',
        ["A,2020-01,1,1,"],
        ["A,2020-02,1,1,", "Z,2020-02,1,1,"],
        1,
    ),
}
OTHERS = """
schema_version = 1
name = "others"
title = "Others"
frequency = "A"
period = "year"
key = ["id", "year"]
confidential = false
unit = "public"

[[fields]]
name = "id"
type = "string"

[[fields]]
name = "year"
type = "date"
"""


@pytest.mark.parametrize("what", DATASET_RULES)
@pytest.mark.parametrize("refuse", [False, True])
def test_dataset_rules_look_at_what_would_be_known(folder: Path, what: str, refuse: bool) -> None:
    """The first delivery holds; the second breaks the rule together with what was stored before it."""
    rule, good, bad, places = DATASET_RULES[what]
    text = spec(f'name = "r"\n{rule}' + ('\naction = "refuse"' if refuse else ""))
    assert DatasetSpec.from_toml(DatasetSpec.from_toml(text).to_toml()) == DatasetSpec.from_toml(text)
    with Room.create(folder / "room", specs=[text, OTHERS]) as room:
        others = folder / "others.csv"
        others.write_text("id,year\nA,2020\nB,2020\n")
        room.ingest("others", others, "2020-05-01")
        first = deliver(folder, room, *good)
        assert "rule_broken" not in [a.kind for a in first.quality.alarms]
        if refuse:
            with pytest.raises(DataError, match=f"OPS-D054.*r, in {places} place"):
                deliver(folder, room, *bad, known_at="2020-07-01")
            assert len(room.store.deliveries("flows")) == 1
            assert room.table("flows").count().execute() == len(good)
            assert list((folder / "room" / "lake" / "flows").rglob("*revised*.parquet")) == []
            return
        second = deliver(folder, room, *bad, known_at="2020-07-01")
        told = [a.words for a in second.quality.alarms if a.kind == "rule_broken"]
        assert told == [f"rule r does not hold in {places} place(s)."]
        # a correction puts it right again
        fix = {"unique": "C,2020-01,3,1,", "total": "A,2020-01,60,1,"}.get(what)
        if fix:
            third = deliver(folder, room, fix, known_at="2020-08-01")
            assert "rule_broken" not in [a.kind for a in third.quality.alarms]


@pytest.mark.parametrize(
    "rule",
    [
        'name = "r"',
        'name = "r"\nexpression = "paid <= due"\nunique = ["paid"]',
        'name = "R"\nexpression = "paid <= due"',
        'name = "r"\nexpression = "paid <= nothing"',
        'name = "r"\nexpression = "paid + due"',
        'name = "r"\nexpression = 5',
        'name = "r"\nexpression = "paid <= due"\naction = "refuse"',
        'name = "r"\nexpression = "paid <= due"\nsince = "May"',
        'name = "r"\nexpression = "paid <= due"\nwhen = "paid"',
        'name = "r"\nunique = ["nothing"]',
        'name = "r"\nunique = "paid"',
        'name = "r"\nranges = {A = [1]}\nfield = "paid"\nby = "sector"',
        'name = "r"\nranges = {A = [1, 2]}\nfield = "sector"\nby = "sector"',
        'name = "r"\ntotal = "T"\nfield = "paid"\nby = "due"',
        'name = "r"\nmonotone = "sideways"\nfield = "paid"',
        'name = "r"\nreferences = "others"\nfield = "sector"',
        'name = "r"\ncolour = "blue"\nexpression = "paid <= due"',
    ],
)
def test_a_wrong_rule_is_refused_with_the_specification(rule: str) -> None:
    with pytest.raises(SpecError):
        DatasetSpec.from_toml(spec(rule))
    with pytest.raises(SpecError, match="given once"):
        DatasetSpec.from_toml(spec('name = "r"\nunique = ["paid"]', 'name = "r"\nunique = ["due"]'))


def test_polars_is_loaded_only_where_rules_are_run() -> None:
    import subprocess
    import sys

    code = "import sys, opsroom.room.room; sys.exit('polars' in sys.modules or 'dataframely' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
