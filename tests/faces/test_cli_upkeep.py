"""The commands that keep the store in order, from the shell."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from opsroom.base.errors import OpsroomError
from opsroom.faces.cli.main import app
from opsroom.room import Room

SPEC = """
schema_version = 1
name = "sales"
title = "Sales"
frequency = "M"
period = "month"
key = ["company", "month"]
confidential = true
unit = "enterprise"
unit_field = "company"
legal_basis = "a test"

[[fields]]
name = "company"
type = "integer"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "sales"
type = "integer"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "room"
    with Room.create(made, specs=[SPEC]) as room:
        for number in (1, 2, 3):
            file = tmp_path / f"{number}.csv"
            file.write_text(f"company,month,sales\n1,2020-01,{number}\n2,2020-01,{number}\n", encoding="utf-8")
            room.ingest("sales", file, f"2020-02-0{number}")
    return made


def run(*words: str) -> None:
    app(list(words), result_action="return_value", exit_on_error=False)


def test_a_specification_moves_on(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = tmp_path / "sales.toml"
    wanted.write_text(SPEC + '\n[[fields]]\nname = "note"\ntype = "string"\n', encoding="utf-8")
    run("dataset", "update", str(wanted), "--room", str(folder), "--json")
    assert json.loads(capsys.readouterr().out) == {"dataset": "sales", "version": 2, "changes": ["field note added"]}
    run("dataset", "update", str(wanted), "--room", str(folder))
    assert "already" in "".join(capsys.readouterr())
    wanted.write_text(SPEC.replace('"integer"\n\n[[fields]]\nname = "month"', '"string"\n\n[[fields]]\nname = "month"'))
    with pytest.raises(OpsroomError) as caught:
        run("dataset", "update", str(wanted), "--room", str(folder))
    assert caught.value.code == "OPS-S030"


def test_files_are_merged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("store", "compact", "--vacuum", "--room", str(folder), "--json")
    (done,) = json.loads(capsys.readouterr().out)
    assert (done["before"], done["after"], done["rows"], done["deleted"]) == (3, 2, 6, 3)
    with Room.open(folder) as room:
        assert [e.act for e in room.audit.entries()] == ["ingest"] * 3 + ["compact"]
        assert room.store.arrow("sales", "2020-02-02").column("sales").to_pylist() == [2, 2]


def test_a_unit_is_erased_and_the_erasure_lifted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--reason", "a request", "--legal-basis", "GDPR 17", "--room", str(folder), "--json")
    run("store", "erase", "sales", "--where", "company=1", *more)
    done = json.loads(capsys.readouterr().out)
    assert (done["number"], done["rows"], done["keys"]) == (1, 3, 1)
    keys = tmp_path / "keys"
    keys.write_text("2\n\n3\n", encoding="utf-8")
    run("store", "erase", "sales", "--keys-file", str(keys), *more)
    assert json.loads(capsys.readouterr().out)["rows"] == 3
    late = tmp_path / "late.csv"
    late.write_text("company,month,sales\n1,2020-03,7\n5,2020-03,7\n", encoding="utf-8")
    run("ingest", "sales", str(late), "--room", str(folder), "--known-at", "2020-04-01")
    said = "".join(capsys.readouterr())
    assert "OPS-D040: 1 row(s): the unit was erased; its row is not kept" in said
    assert "erased_unit: 1 row(s) of units that were erased (erasure 1) were refused" in said
    run("quarantine", "list", "--room", str(folder))
    assert "OPS-D040 1" in "".join(capsys.readouterr())
    run("store", "lift", "1", "--room", str(folder), "--reason", "it was another company")
    capsys.readouterr()
    run("store", "erasures", "--room", str(folder), "--json")
    assert [bool(one["lifted_at"]) for one in json.loads(capsys.readouterr().out)] == [True, False]
    with Room.open(folder) as room:
        assert room.store.arrow("sales", columns=["company"])["company"].to_pylist() == [5]
        assert [e.act for e in room.audit.entries()][3:] == ["erase", "erase", "ingest", "lift erasure"]
        assert "another company" in repr(room.audit.entries()[-1])


@pytest.mark.parametrize("words", [(), ("--where", "company"), ("--where", "company=1", "--where", "sales=1")])
def test_an_erasure_names_values_of_one_field(folder: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(OpsroomError) as caught:
        run("store", "erase", "sales", *words, "--reason", "r", "--legal-basis", "l", "--room", str(folder))
    assert caught.value.code == "OPS-U112"


def test_rows_are_erased_by_age(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--room", str(folder), "--json")
    with Room.open(folder) as room:
        days = [d.recorded_at.date() for d in room.store.deliveries("sales")]
    why = ("--reason", "old", "--legal-basis", "agreement")
    run("store", "erase", "sales", "--recorded-before", days[0].isoformat(), *why, *more)
    assert json.loads(capsys.readouterr().out)["rows"] == 0
    (folder / "providers.toml").write_text('[[providers]]\nname = "Office"\nretention_days = 1\n', encoding="utf-8")
    run("store", "erase", "--past-retention", *more)
    assert json.loads(capsys.readouterr().out) == [], "no dataset of that provider"
    run("store", "erase", "--past-retention", "--room", str(folder))
    assert "Nothing is held longer" in "".join(capsys.readouterr())
    for words in (("--past-retention", "--recorded-before", "2020-01-01"), ("--recorded-before", "2020-01-01")):
        with pytest.raises(OpsroomError) as caught:
            run("store", "erase", *(("sales",) if len(words) > 2 else ()), *words, *why, "--room", str(folder))
        assert caught.value.code == "OPS-U112"
    with pytest.raises(OpsroomError) as caught:
        run("store", "erase", "sales", "--recorded-before", days[0].isoformat(), "--room", str(folder))
    assert caught.value.code == "OPS-U110"


SERIES = """
schema_version = 1
name = "prices"
title = "Prices"
provider = "Office"
frequency = "M"
period = "month"
key = ["kind", "month"]
confidential = false
unit = "public"

[[fields]]
name = "kind"
type = "string"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "value"
type = "number"
measure = "index"
"""

SETTINGS = """
schema_version = 1

[room]
title = "Prices"
timezone = "UTC"

[publish]
cadence = "on_demand"

[rules]
profile = "business"

[[desks]]
kind = "levels"
dataset = "prices"
"""


def test_a_release_that_rests_on_what_was_erased_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "room"
    with Room.create(made, settings=SETTINGS, specs=[SERIES]) as room:
        for month in (1, 2):
            file = tmp_path / f"{month}.csv"
            file.write_text(f"kind,month,value\nbread,2020-0{month}-01,1\nmilk,2020-0{month}-01,2\n", encoding="utf-8")
            room.ingest("prices", file, f"2020-0{month}-20")
            room.publish(f"2020-0{month}-20")

    def remarks(day: str) -> set[str]:
        run("release", "list", "--room", str(made), "--as-of", day, "--json")
        return {one["remark"] for one in json.loads(capsys.readouterr().out)}

    assert remarks("2020-01-20") == remarks("2020-02-20") == {""}
    more = ("--reason", "a request", "--legal-basis", "an act", "--room", str(made), "--json")
    run("store", "erase", "prices", "--where", "kind=milk", *more)
    capsys.readouterr()
    assert remarks("2020-01-20") == remarks("2020-02-20") == {"not recomputable: erasure 1"}
    with Room.open(made) as room:
        (name,) = {r.id for day in ("2020-01-20",) for r in room.releases().of_day(dt.date.fromisoformat(day))}
        room.publish("2020-03-01")
    run("lineage", name, "--room", str(made), "--format", "json")
    assert json.loads(capsys.readouterr().out)["remark"] == "not recomputable: erasure 1"
    assert remarks("2020-03-01") == {""}, "what is published since rests on what is left"
