"""A release: its stamp, its bytes, its reader; what refuses says; chains that show tampering."""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError, NotFoundError, SettingsError, StoreError, UsageError
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import AuditLog, Ledger, Release, Releases, Rules
from opsroom.protect.gate import release
from opsroom.protect.release import GENESIS, canonical, content_of, digest, read_release, seal
from opsroom.protect.rules import PUBLIC

DAY = dt.date(2020, 3, 4)
AT = dt.datetime(2020, 3, 4, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))
RULES = Rules(min_contributors=7, dominance=((1, 61.5),), profile="business", version=4)


def table(name: str = "table.sales", groups: int = 9, *, secret: int = 1000) -> Cells:
    """Two rows: one with `groups` contributors, one with nine."""
    units = pd.DataFrame(
        [("a", f"a{k}", secret + k) for k in range(groups)] + [("b", f"b{k}", 500 + k) for k in range(9)],
        columns=["row", "group", "value"],
    )
    frame = parts_from_units(units, dimensions=["row"], group="group", values={"value": "value"}, totals=False)
    frame["value_lower"] = frame["value"] - 0.123456
    return Cells(
        name=name, dimensions=("row",), frame=frame, parts=(Part("value", "MER"),),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=2, scale=0.01, attached=("value_lower",)),),
        provenance={"sales": 3}, method="sums", source="A Ministry", notes=("note.one",),
        facts={"reference_date": DAY, "share": 0.5, "nothing": float("nan")},
    )  # fmt: skip


@pytest.fixture
def state(tmp_path: Path):
    state = State.open(tmp_path / "room.db")
    yield state
    state.close()


def issue(state: State, cells: Cells, *, days: int = 0, rules: Rules = RULES) -> Release:
    return release(cells, rules=rules, as_of=AT, day=DAY + dt.timedelta(days=days), ledger=Ledger(state))


# -- the document -----------------------------------------------------------------------------


def test_a_release_carries_its_stamp_and_rounds_as_declared(state):
    out = issue(state, table(groups=3))
    assert (out.id, out.day, out.as_of) == ("table.sales@2020-03-04", DAY, AT)
    assert out.as_of.utcoffset() == dt.timedelta(0), "kept in UTC"
    certificate = out.stamp["certificate"]
    assert certificate["head"] == GENESIS
    assert certificate["attackers"] == "contributor"
    assert certificate["witnesses"].startswith("blake2b:")
    assert out.stamp["memory"].startswith("sha256:")
    assert {k: v for k, v in out.stamp.items() if k not in ("certificate", "memory")} == {
        "profile": "business", "profile_version": 4, "ledger": 1, "previous": GENESIS,
        "cells": 2, "suppressed": 1, "held": 0, "hash": out.hash,
    }  # fmt: skip
    assert out.columns == ("row", "value", "value_lower", "status")
    assert out.rows == (("a", None, None, "suppressed"), ("b", 45.36, 4535.88, "published"))
    assert out.facts == {"reference_date": "2020-03-04", "share": 0.5, "nothing": None}
    assert out.provenance == {"sales": 3}
    second = issue(state, table("table.other"))
    assert (second.stamp["ledger"], second.stamp["previous"]) == (2, out.hash)


def test_no_parameter_and_no_contributor_stands_in_the_document(state):
    text = issue(state, table(groups=3)).json_bytes.decode()
    document = json.loads(text)
    assert not {"groups", "min_contributors", "dominance", "parts"} & set(re.findall(r"\w+", text))
    assert "__" not in text
    assert "61.5" not in text
    assert set(document["measures"][0]) == {"name", "unit", "kind", "decimals", "attached"}


def test_bytes_and_release_are_one_and_the_same(state):
    out = issue(state, table())
    again = read_release(out.json_bytes)
    assert again == out
    assert hash(again) == hash(out)
    document = json.loads(out.json_bytes)
    assert canonical(document) == out.json_bytes
    assert content_of(document) == out.content_hash == document["content_hash"]
    assert seal(document) == out.hash
    assert out.to_frame("value")["status"].tolist() == ["published", "published"]
    assert out.csv().splitlines()[0] == "row,value,value_lower,status"
    with pytest.raises(NotFoundError):
        out.to_frame("absent")


def test_only_the_gate_makes_a_release(state):
    out = issue(state, table())
    fields = {name: getattr(out, name) for name in Release.__slots__}
    with pytest.raises(DisclosureError):
        Release(**fields)


def json_values():
    plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(plain | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c), max_leaves=12)


@given(st.dictionaries(st.text(min_size=1), json_values(), max_size=5))
def test_canonical_json_comes_back_unchanged(document):
    blob = canonical(document)
    assert json.loads(blob) == document
    assert canonical(json.loads(blob)) == blob


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_a_digest_tells_where_one_text_ends_and_the_next_begins(left, right):
    assert (digest(*left) == digest(*right)) == (left == right)


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b"\xff\xfe"])
def test_damaged_bytes_are_no_release(blob):
    with pytest.raises(StoreError) as broken:
        read_release(blob)
    assert broken.value.code == "OPS-F031"


def test_a_newer_release_is_refused_by_its_version(state):
    document = json.loads(issue(state, table()).json_bytes)
    with pytest.raises(StoreError) as newer:
        read_release(canonical(document | {"schema_version": 2}))
    assert newer.value.code == "OPS-F030"


# -- refusals ---------------------------------------------------------------------------------


def hidden_altogether() -> Cells:
    cells = table(groups=2, secret=918273)
    return Cells(
        name=cells.name, dimensions=("row",), measures=cells.measures, parts=cells.parts,
        frame=cells.frame[cells.frame["row"] == "a"],
    )  # fmt: skip


def without_parts() -> Cells:
    frame = pd.DataFrame({"row": ["a"], "value": [918273.0]})
    return Cells(name="table.bare", dimensions=("row",), measures=(Measure("value", "public", "MER"),), frame=frame)


@pytest.mark.parametrize(
    ("make", "rules", "code"),
    [
        (hidden_altogether, RULES, "OPS-P004"),
        (without_parts, RULES, "OPS-P003"),
        (table, PUBLIC, "OPS-P005"),  # the profile of public rooms protects nobody
    ],
)
def test_a_refusal_names_rule_and_remedy_and_no_number(state, tmp_path, make, rules, code):
    cells = make()
    with pytest.raises(DisclosureError) as refused:
        issue(state, cells, rules=rules)
    assert refused.value.code == code
    assert refused.value.remedy
    (kept,) = Releases(tmp_path / "room.db").refusals(DAY)
    assert (kept.name, kept.rule, kept.remedy) == (cells.name, refused.value.message, refused.value.remedy)
    for text in (str(refused.value).replace(code, ""), kept.rule, kept.remedy):
        assert not re.search(r"\d", text)
    assert Ledger(state).head().seq == 0
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("name", ["", "Table", "table sales", "table..x", "table.", "../room", "t@d"])
def test_a_name_that_is_none_is_refused(state, name):
    with pytest.raises(UsageError):
        issue(state, table(name))


def test_what_cannot_be_judged_is_refused(state):
    cells = table()
    with pytest.raises(UsageError, match="time zone"):
        release(cells, rules=RULES, as_of=AT.replace(tzinfo=None), day=DAY, ledger=Ledger(state))
    named = cells.frame.rename(columns={"row": "status"})
    with pytest.raises(UsageError, match="status"):
        issue(state, Cells(
            name="table.x", dimensions=("status",), measures=cells.measures, parts=cells.parts, frame=named
        ))  # fmt: skip
    total = pd.concat([cells.frame, cells.frame.assign(row=["_T", "c"])])
    with pytest.raises(UsageError, match="additive"):
        issue(state, Cells(
            name="table.y", dimensions=("row",), measures=cells.measures, parts=cells.parts, frame=total
        ))  # fmt: skip
    assert Ledger(state).head().seq == 0


def test_a_series_keeps_its_dimensions(state):
    cells = table()
    issue(state, cells)
    other = Cells(
        name=cells.name, dimensions=("place",), measures=cells.measures, parts=cells.parts,
        frame=cells.frame.rename(columns={"row": "place"}),
    )  # fmt: skip
    with pytest.raises(UsageError, match="other dimensions"):
        issue(state, other, days=7)


# -- the reader -------------------------------------------------------------------------------


def test_the_reader_shows_what_was_out_on_a_day(state, tmp_path):
    first, second = issue(state, table()), issue(state, table(secret=2000), days=7)
    again = issue(state, table(secret=3000), days=7)
    other = issue(state, table("table.other"), days=7)
    reader = Releases(tmp_path)
    assert again.id == "table.sales@2020-03-11.2"
    assert reader.days() == [DAY, DAY + dt.timedelta(days=7)]
    assert reader.names() == ["table.other", "table.sales"]
    assert reader.names(DAY) == ["table.sales"]
    assert reader.get("table.sales", DAY - dt.timedelta(days=1)) is None
    assert reader.get("table.sales", "2020-03-10") == first
    assert reader.get("table.sales", dt.datetime(2020, 3, 11, 5, tzinfo=dt.UTC)) == again
    assert reader.latest("table.sales") == again
    assert reader.history("table.sales") == [first, second, again]
    assert reader.of_day(DAY + dt.timedelta(days=7)) == [second, again, other]
    assert reader.raw(first.id) == first.json_bytes
    with pytest.raises(NotFoundError):
        reader.raw("table.sales@2020-03-05")
    reader.close()


def test_the_reader_cannot_write(state, tmp_path):
    issue(state, table())
    reader = Releases(tmp_path)
    with pytest.raises(Exception, match="readonly"), reader._engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM releases")
    assert reader.latest("table.sales") is not None
    reader.close()


def test_a_folder_that_is_no_room_is_told(tmp_path):
    with pytest.raises(SettingsError) as absent:
        Releases(tmp_path)
    assert absent.value.code == "OPS-C001"


# -- tampering --------------------------------------------------------------------------------

TAMPERING = {
    "a number in a release": (
        "UPDATE releases SET document = CAST(replace(CAST(document AS TEXT), '45.36', '45.37') AS BLOB) WHERE seq = 2"
    ),
    "a day": "UPDATE releases SET day = '2020-03-09' WHERE seq = 2",
    "a name": "UPDATE releases SET name = 'table.sold' WHERE seq = 2",
    "a knowledge time": "UPDATE releases SET as_of = '2020-03-04T22:30:01+00:00' WHERE seq = 2",
    "a hash": "UPDATE releases SET hash = previous WHERE seq = 2",
    "a release taken out": "DELETE FROM releases WHERE seq = 2",
    "a judgement": "UPDATE judgements SET body = X'00' WHERE seq = 2",
    "a judgement taken out": "DELETE FROM judgements WHERE seq = 2",
    "a judgement with its digest": (
        "UPDATE judgements SET (body, digest) = (SELECT body, digest FROM judgements WHERE seq = 1) WHERE seq = 2"
    ),
    "the series of a judgement": "UPDATE judgements SET name = 'table.other' WHERE seq = 2",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_one_altered_row_of_the_ledger_is_detected(state, tmp_path, what):
    for days in range(3):
        issue(state, table(f"table.t{days}"), days=days)
    assert Ledger(state).verify() == 3
    with sqlite3.connect(tmp_path / "room.db") as direct:
        assert direct.execute(TAMPERING[what]).rowcount == 1
    direct.close()
    with pytest.raises(StoreError) as broken:
        Ledger(state).verify()
    assert broken.value.code == "OPS-F032"


def test_the_gate_does_not_judge_by_a_memory_that_was_put_in_its_place(state, tmp_path):
    """Else who can write the database makes the gate forget what is out, and publishes what betrays a company."""
    for days in range(2):
        issue(state, table(f"table.t{days}"), days=days)
    with sqlite3.connect(tmp_path / "room.db") as direct:
        direct.execute(TAMPERING["a judgement with its digest"])
    direct.close()
    with pytest.raises(StoreError) as broken:
        issue(state, table("table.t1"), days=2)
    assert broken.value.code == "OPS-F032"


def test_releases_from_before_memories_were_sealed_are_read(state, monkeypatch):
    monkeypatch.setattr("opsroom.protect.gate.memory_of", lambda series, body: None)
    first = issue(state, table("table.t0"))
    assert first.stamp["memory"] is None
    monkeypatch.undo()
    assert issue(state, table("table.t0"), days=1).stamp["memory"]
    assert Ledger(state).verify() == 2


ACTS = {
    "actor": "UPDATE audit SET actor = 'mallory' WHERE seq = 2",
    "act": "UPDATE audit SET act = 'publish' WHERE seq = 2",
    "object": "UPDATE audit SET object = 'meters2' WHERE seq = 2",
    "time": "UPDATE audit SET at = '' WHERE seq = 2",
    "hash": "UPDATE audit SET hash = previous WHERE seq = 2",
    "removal": "DELETE FROM audit WHERE seq = 2",
    "removal of the first": "DELETE FROM audit WHERE seq = 1",
}


@pytest.mark.parametrize("what", ACTS)
def test_one_altered_act_is_detected(state, tmp_path, what):
    log = AuditLog(state)
    for k in range(4):
        log.append("steward", "ingest", f"meters{k}", at=AT)
    assert log.verify() == 4
    assert [act.object for act in log.entries()] == [f"meters{k}" for k in range(4)]
    with sqlite3.connect(tmp_path / "room.db") as direct:
        assert direct.execute(ACTS[what]).rowcount == 1
    direct.close()
    with pytest.raises(StoreError) as broken:
        log.verify()
    assert broken.value.code == "OPS-F033"


def test_an_act_put_between_with_a_hash_of_its_own_is_detected(state, tmp_path):
    """Whoever knows how hashes are made must still rewrite everything after."""
    log = AuditLog(state)
    first, _ = log.append("steward", "ingest", "a", at=AT), log.append("steward", "ingest", "b", at=AT)
    parts = (first.hash, "2", "", "mallory", "ingest", "b")
    forged = digest(*(part.encode() for part in parts))
    with sqlite3.connect(tmp_path / "room.db") as direct:
        direct.execute("UPDATE audit SET actor = 'mallory', at = '', hash = ? WHERE seq = 2", (forged,))
    direct.close()
    assert log.verify() == 2, "the end of a chain is protected by nothing but a head written down elsewhere"
    log.append("steward", "ingest", "c", at=AT)
    with sqlite3.connect(tmp_path / "room.db") as direct:
        direct.execute("UPDATE audit SET actor = 'steward' WHERE seq = 2")
    direct.close()
    with pytest.raises(StoreError):
        log.verify()


@pytest.mark.parametrize(("actor", "act", "at"), [("", "ingest", AT), (" ", "ingest", AT), ("a", "", AT),
                                                  ("a", "ingest", AT.replace(tzinfo=None))])  # fmt: skip
def test_an_act_needs_actor_name_and_zone(state, actor, act, at):
    with pytest.raises(UsageError):
        AuditLog(state).append(actor, act, "x", at=at)
    assert AuditLog(state).verify() == 0
