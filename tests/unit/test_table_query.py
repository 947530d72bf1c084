"""Table queries: what may be asked, under which name it is answered, and what the answer says."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.query_room import FIRST, KNOWN, SPEC, TABLES, companies, make_room, values

from opsroom.base.errors import AccessError, DisclosureError, SpecError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.protect.access import OPEN, Scope
from opsroom.protect.reader import Releases
from opsroom.room import Room
from opsroom.room.answering import on_the_grid
from opsroom.room.tableplan import make_plan, master_dimensions
from opsroom.room.tablequery import Statistic, TableQuery
from opsroom.room.tables import offer

MONTH = "month=2020-01"


def spec(tables: str = TABLES) -> DatasetSpec:
    return DatasetSpec.from_toml(SPEC.format(tables=tables))


def plan(scope: Scope = OPEN, **asked):
    asked.setdefault("where", [MONTH])
    found = spec()
    return make_plan(TableQuery.of("vat", **asked), found, master_dimensions(found, None, {}), scope)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_room(tmp_path_factory.mktemp("tables") / "room")


# -- the question -------------------------------------------------------------------------------


def test_a_question_comes_back_from_json():
    query = TableQuery.of(
        "vat",
        by=["region", "size"],
        statistics=["count", "sum:sales", "share:exports", "share:sector=food"],
        where=["month=2020-01..2020-03", "region=R1,R2", "size=large"],
        as_of=dt.date(2020, 3, 4),
    )
    assert TableQuery.from_json(query.to_json()) == query
    assert [f.op for f in query.where] == ["between", "in", "eq"]
    assert query.as_of == "2020-03-04"
    assert Statistic.parse("share:sector=food") == Statistic("share", "sector", "food")


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"dataset": "no such/name"},
        {"dataset": 3},
        {"dimensions": "region"},
        {"dimensions": ["region", "region"]},
        {"dimensions": [["region"]]},
        {"statistics": []},
        {"statistics": ["median:sales"]},
        {"statistics": ["sum"]},
        {"statistics": ["count:sales"]},
        {"statistics": ["count", "count"]},
        {"statistics": ["share:size="]},
        {"statistics": ["sum:sales=3"]},
        {"statistics": ["sum:sales; drop"]},
        {"where": {"region": "R1"}},
        {"where": [{"column": "region", "op": "ne", "codes": ["R1"]}]},
        {"where": [{"column": "region", "op": "like", "codes": ["R%"]}]},
        {"where": [{"column": "region", "op": "eq", "codes": ["R1", "R2"]}]},
        {"where": [{"column": "region", "op": "between", "codes": ["R1"]}]},
        {"where": [{"column": "region", "op": "in", "codes": []}]},
        {"where": [{"column": "region", "op": "in", "codes": [1]}]},
        {"where": [{"column": "region", "op": "in", "codes": ["a\nb"]}]},
        {"where": [{"column": "region", "op": "in", "codes": ["R1"], "or": 1}]},
        {
            "where": [
                {"column": "region", "op": "eq", "codes": ["R1"]},
                {"column": "region", "op": "eq", "codes": ["R2"]},
            ]
        },
        {"as_of": "yesterday"},
        {"as_of": 20200304},
    ],
)
def test_what_is_no_question_is_refused_without_repeating_it(change):
    good = {"dataset": "vat", "dimensions": ["region"], "statistics": ["count"]}
    TableQuery.from_dict(good)
    with pytest.raises(UsageError) as refused:
        TableQuery.from_dict({**good, **change})
    assert refused.value.remedy
    for sent in ("extra", "median", "drop", "yesterday", "such/name", "R%"):
        assert sent not in str(refused.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_or_refused(raw):
    with pytest.raises(UsageError):
        TableQuery.from_json(json.dumps(raw))


# -- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"by": ["company"]}, "OPS-U160"),
        ({"by": ["holding"]}, "OPS-U160"),
        ({"by": ["sales"]}, "OPS-U160"),
        ({"by": ["secret"]}, "OPS-U160"),
        ({"by": ["month"]}, "OPS-U160"),
        ({"where": [MONTH, "company=9006"]}, "OPS-U160"),
        ({"where": [MONTH, "sales=1..2"]}, "OPS-U160"),
        ({"where": [MONTH, "exports=true"]}, "OPS-U160"),
        ({"where": [MONTH, "known_at=2020-03-04"]}, "OPS-U160"),
        ({"where": []}, "OPS-U161"),
        ({"where": ["month=2020-01..2020-04"]}, "OPS-U162"),
        ({"where": ["month=2020-03..2020-01"]}, "OPS-U160"),
        ({"where": [MONTH, "region=R9"]}, "OPS-U163"),
        ({"where": [MONTH, "region=_T"]}, "OPS-U163"),
        ({"where": [MONTH, "region=_U..R2"]}, "OPS-U163"),
        ({"where": [MONTH, "region=R3..R1"]}, "OPS-U160"),
        ({"statistics": ["sum:secret"]}, "OPS-U160"),
        ({"statistics": ["sum:company"]}, "OPS-U160"),
        ({"statistics": ["mean:jobs"]}, "OPS-U160"),
        ({"statistics": ["share:sales"]}, "OPS-U160"),
        ({"statistics": ["share:size=huge"]}, "OPS-U163"),
        ({"statistics": ["share:size=large"], "by": ["size"]}, "OPS-U160"),
    ],
)
def test_what_is_not_declared_cannot_be_asked(asked, code):
    with pytest.raises(UsageError) as refused:
        plan(**asked)
    assert refused.value.code == code
    assert refused.value.remedy


def test_the_same_question_has_one_name():
    one = plan(by=["region", "sector"], statistics=["sum:sales", "count"], where=[MONTH, "region=R2,R1"])
    for by, statistics, where in itertools.product(
        (["region", "sector"], ["sector", "region"]),
        (["sum:sales", "count"], ["count", "sum:sales"]),
        ([MONTH, "region=R1,R2"], ["region=R1..R2", "month=2020-01-15"], ["region=R2,R1,R1", MONTH]),
    ):
        assert plan(by=by, statistics=statistics, where=where).name == one.name
    assert (
        plan(
            by=["region", "sector"],
            statistics=["sum:sales", "count"],
            where=[MONTH, "region=R1..R2"],
            as_of="2020-03-01",
        ).name
        == one.name
    )
    others = [
        plan(by=["region"], statistics=["sum:sales", "count"], where=[MONTH, "region=R2,R1"]),
        plan(by=["region", "sector"], statistics=["count"], where=[MONTH, "region=R2,R1"]),
        plan(by=["region", "sector"], statistics=["sum:sales", "count"], where=[MONTH, "region=R1"]),
        plan(by=["region", "sector"], statistics=["sum:sales", "count"], where=["month=2020-02", "region=R2,R1"]),
        plan(Scope.of({"region": ["R1", "R2"]}), by=["region", "sector"], statistics=["sum:sales", "count"]),
    ]
    assert len({one.name, *(o.name for o in others)}) == 6
    assert all(o.name.startswith("query.vat.") and len(o.name) <= 100 for o in others)
    assert ".scope_" in others[-1].name


def test_a_scope_is_a_filter_that_cannot_be_taken_away():
    scope = Scope.of({"region": ["R1", "R3"]})
    assert plan(scope).chosen == {"region": ("R1", "R3")}
    assert plan(scope, where=[MONTH, "region=R3"]).chosen == {"region": ("R3",)}
    assert plan(Scope.of({"region": ["R*"]})).chosen == {"region": ("R1", "R2", "R3", "R4")}
    for where, code in ((["region=R1,R2"], "OPS-A027"), (["region=_U"], "OPS-A027")):
        with pytest.raises(AccessError) as refused:
            plan(scope, where=[MONTH, *where])
        assert refused.value.code == code
    with pytest.raises(AccessError) as refused:
        plan(Scope.of({"holding": ["S1"]}))
    assert refused.value.code == "OPS-A026"
    with pytest.raises(AccessError):
        plan(Scope.of({"region": ["R9"]}))


# -- the declaration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"size"]', '"size", "company"]'),
        ('"size"]', '"size", "holding"]'),
        ('"size"]', '"size", "secret"]'),
        ('"size"]', '"size", "month"]'),
        ('"size"]', '"size", "sales"]'),
        ('"size"]', '"size", "size"]'),
        ('"size"]', '"size", "nothing"]'),
        ('"jobs"]', '"jobs", "exports"]'),
        ('"jobs"]', '"jobs", "company"]'),
        ('["exports"]', '["jobs"]'),
        ('dimensions = ["region", "sector", "size"]\n', ""),
        ("max_periods = 3", "max_periods = 0"),
        ("max_periods = 3", "max_cells = 0"),
        ("max_periods = 3", 'register = "register"'),
        ("max_periods = 3", "other = 1"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(old, new):
    assert old in TABLES
    with pytest.raises(SpecError):
        spec(TABLES.replace(old, new))


def test_without_a_group_there_are_no_tables():
    text = SPEC.format(tables=TABLES)
    with pytest.raises(SpecError) as refused:
        DatasetSpec.from_toml(text.replace('group_field = "holding"\n', ""))
    assert refused.value.code == "OPS-S016"
    nullable = text.replace('name = "exports"\ntype = "boolean"\nrequired = true', 'name = "exports"\ntype = "boolean"')
    assert nullable != text
    with pytest.raises(SpecError):
        DatasetSpec.from_toml(nullable)
    assert DatasetSpec.from_toml(spec().to_toml()) == spec()


def test_no_tables_and_too_large_ones():
    for tables, code in (("", "OPS-P010"), (TABLES + "max_cells = 143\n", "OPS-P011")):
        with pytest.raises(DisclosureError) as refused:
            master_dimensions(spec(tables), None, {})
        assert refused.value.code == code
    assert len(master_dimensions(spec(TABLES + "max_cells = 144\n"), None, {})) == 3  # (4+2) (4+2) (2+2)


# -- the answer ---------------------------------------------------------------------------------


def truth(frame, by, measure):
    """What the microdata say, margins included, by brute force."""
    found = {}
    for _, row in frame.iterrows():
        for summed in itertools.product((False, True), repeat=len(by)):
            key = ("2020-01", *("_T" if s else row[d] for d, s in zip(by, summed, strict=True)))
            found[key] = found.get(key, 0) + (1 if measure is None else int(row[measure]))
    return found


def test_what_is_shown_is_what_the_microdata_say(folder):
    frame = companies()
    with Room.open(folder, actor="ada") as room:
        release = room.ask(
            TableQuery.of(
                "vat",
                by=["region", "size"],
                statistics=["count", "sum:sales", "mean:sales", "share:exports", "share:sector=trade"],
                where=[MONTH],
            )
        )
        narrow = room.ask(TableQuery.of("vat", by=["size"], statistics=["sum:sales"], where=[MONTH, "region=R1,R2"]))
    by = ["region", "size"]
    n, sales, exports = (truth(frame, by, m) for m in (None, "sales", "exports"))
    trade = truth(frame[frame["sector"] == "trade"], by, None)
    shown = 0
    for measure, wanted in (
        ("count", n),
        ("sum_sales", {k: v / 100 for k, v in sales.items()}),
        ("mean_sales", {k: round(sales[k] / 100 / n[k], 4) for k in n}),
        ("share_exports", {k: round(100 * exports[k] / n[k], 1) for k in n}),
        ("share_sector_trade", {k: round(100 * trade[k] / n[k], 1) for k in n}),
    ):
        for key, value in values(release, measure).items():
            if value is not None:
                assert value == pytest.approx(wanted[key], abs=1e-9), (measure, key)
                shown += 1
        assert set(values(release, measure)) == set(n)
    assert shown > 20
    part = truth(frame[frame["region"].isin(["R1", "R2"])], ["size"], "sales")
    found = {k: v for k, v in values(narrow, "sum_sales").items() if v is not None}
    assert found
    assert all(v == pytest.approx(part[k] / 100) for k, v in found.items())
    assert release.name.startswith("query.vat.")
    (behind,) = release.facts["masters"]
    assert behind["certificate"]["head"]


def test_the_same_question_is_the_same_release_and_no_publication(folder):
    query = TableQuery.of("vat", by=["sector"], where=[MONTH])
    with Room.open(folder, actor="ada") as room:
        one, head = room.ask(query), room.ledger.head()
        assert room.ask(query) == one
        assert room.ledger.head() == head
        reader = room.releases()
        assert (reader.days(), reader.names(), reader.of_day(one.day)) == ([], [], [])
        assert reader.get(one.name, one.day) is None
        assert one.name in Releases(room.state, answers=True).names()
        room.ledger.verify()
        acts = [a for a in room.audit.entries() if a.act == "query"]
        assert [(a.actor, a.object) for a in acts][-2:] == [("ada", one.id)] * 2
    # an answer of a later day does not stand in the way of publishing an earlier one
    with Room.open(folder, actor="operator") as room:
        room.publish(FIRST - dt.timedelta(days=1))


def test_who_may_not_ask_is_refused(folder):
    query = TableQuery.of("vat", by=["region"], where=[MONTH])
    for actor, code in (("rita", "OPS-A020"), ("max", "OPS-A026")):
        with Room.open(folder, actor=actor) as room, pytest.raises(AccessError) as refused:
            room.ask(query)
        assert refused.value.code == code
    with Room.open(folder, actor="rita") as room, pytest.raises(AccessError):
        offer(room, "vat")
    with Room.open(folder, actor="operator") as room:
        denied = [a.object for a in room.audit.entries() if a.act == "query" and "refused" in a.object]
        assert {"vat: refused, OPS-A020", "vat: refused, OPS-A026"} <= set(denied)


def test_changed_dimensions_are_refused_once_tables_are_out(tmp_path):
    folder = make_room(tmp_path / "room")
    query = TableQuery.of("vat", by=["region"], where=[MONTH])
    with Room.open(folder, actor="operator") as room:
        room.ask(query)
    file = folder / "datasets" / "vat.toml"
    file.write_text(SPEC.format(tables=TABLES.replace('"region", "sector"', '"sector", "region"')), encoding="utf-8")
    with Room.open(folder, actor="operator") as room, pytest.raises(DisclosureError) as refused:
        room.ask(query)
    assert refused.value.code == "OPS-P013"


def test_nothing_known_of_a_period(folder):
    with Room.open(folder, actor="ada") as room:
        for asked in ({"where": ["month=2019-12"]}, {"where": [MONTH], "as_of": "2020-03-03"}):
            with pytest.raises(DisclosureError) as refused:
                room.ask(TableQuery.of("vat", **asked))
            assert refused.value.code == "OPS-P014"


def test_divisions_have_their_sections_and_the_register_gives_them(tmp_path):
    register = """
schema_version = 1
name = "register"
title = "Register"
legal_basis = "a test"
frequency = "event"
period = "valid_from"
key = ["firm", "valid_from"]
confidential = true
unit = "enterprise"
unit_field = "firm"
contents = ["company_register"]

[[fields]]
name = "firm"
type = "integer"

[[fields]]
name = "valid_from"
type = "date"

[[fields]]
name = "legal_form"
type = "code"
codes_from = "legal_forms"
required = true

[[fields]]
name = "nace"
type = "code"
codes_from = "nace_divisions"
required = true
"""
    import pandas as pd

    tables = (
        '[tables]\ndimensions = ["size"]\nregister = "register"\nregister_dimensions = ["nace"]\nmeasures = ["sales"]\n'
    )
    folder = make_room(tmp_path / "room", tables=tables)
    frame = companies()
    nace = frame["company"].map(lambda c: ("10", "11", "45")[c % 3])
    form = frame["company"].map(lambda c: "SOLE" if c == 7 else "LTD")
    rows = pd.DataFrame(
        {"firm": frame["company"], "valid_from": dt.date(2020, 1, 20), "legal_form": form, "nace": nace}
    )
    later = rows.assign(valid_from=dt.date(2020, 2, 1), nace="99")  # holds from after the period
    with Room.open(folder, actor="operator") as room:
        room.add_dataset(register)
        room.ingest("register", pd.concat([rows, later]), KNOWN)
        release = room.ask(TableQuery.of("vat", by=["nace"], statistics=["count", "sum:sales"], where=[MONTH]))
        section = room.ask(TableQuery.of("vat", statistics=["count"], where=[MONTH, "nace=C"]))
        with pytest.raises(UsageError):
            room.ask(TableQuery.of("vat", where=[MONTH, "nace=C,10"]))
    kept = frame.assign(nace=nace)[form == "LTD"]
    counts = values(release, "count")
    assert counts["2020-01", "_T"] == len(kept) == len(frame) - 1
    assert {k[1] for k in counts} == {"10", "11", "45", "C", "G", "_T"}
    assert counts["2020-01", "C"] == int(kept["nace"].isin(["10", "11"]).sum()) == values(section, "count")["2020-01",]


# -- the clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("worked", "left_at"), [(0.0, 2.0), (0.01, 2.0), (1.9, 2.0), (2.0, 4.0), (2.5, 4.0)])
def test_a_refusal_leaves_at_a_step_of_the_clock(worked, left_at):
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def refused() -> None:
        with on_the_grid(2.0, clock=lambda: now[0], sleep=sleep):
            now[0] += worked
            raise UsageError("no.")

    with pytest.raises(UsageError):
        refused()
    assert now[0] == pytest.approx(100.0 + left_at)


def test_an_answer_does_not_wait_and_a_step_of_nothing_neither():
    def never(_: float) -> None:
        raise AssertionError

    with on_the_grid(2.0, sleep=never):
        pass
    with pytest.raises(UsageError), on_the_grid(0.0, sleep=never):
        raise UsageError("no.")
