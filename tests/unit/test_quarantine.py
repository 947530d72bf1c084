"""The way back in: refused rows exported, corrected, returned once, and counted once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from opsroom.base.errors import DataError, NotFoundError, UsageError
from opsroom.faces.cli.main import run
from opsroom.observe.returning import returned_from
from opsroom.room.quarantine import export_refused, list_refused, return_refused
from opsroom.room.room import Room

SPEC = """
schema_version = 1
name = "sales"
title = "Sales"
legal_basis = "a test"
frequency = "M"
period = "month"
key = ["id", "month"]
confidential = true
unit = "enterprise"
unit_field = "id"

[[fields]]
name = "id"
type = "integer"

[[fields]]
name = "month"
type = "date"
column = "Period"

[[fields]]
name = "sales"
type = "money"
currency = "EUR"
scale = 2
given = "major"
"""
FILE = """id,Period,sales
1,2020-01,10.50
2,2020-01,abc
3,2020-13,7.25
4,2020-01
1,2020-01,99.75
5,2020-01,5.00
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    with Room.create(tmp_path / "room", specs=[SPEC]) as room:
        file = tmp_path / "sales.csv"
        file.write_text(FILE)
        report = room.ingest("sales", file, "2020-03-01")
        assert (report.accepted, report.quarantined) == (2, 4)
    return tmp_path / "room"


def opened(room: Path) -> Room:
    return Room.open(room, actor="steward")


def corrected(path: Path, out: Path, change: dict[str, dict[str, str]], drop: tuple[str, ...] = ()) -> Path:
    """Correct an export as a person would: values by row number."""
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    with out.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        for row in rows:
            if row["_row"] not in drop:
                writer.writerow({**row, **change.get(row["_row"], {})})
    return out


def stored(room: Room) -> dict[int, int]:
    found = room.table("sales").execute()
    return dict(zip(found["id"].tolist(), found["sales"].tolist(), strict=True))


def test_the_whole_way(room: Path, tmp_path: Path) -> None:
    with opened(room) as r:
        out = tmp_path / "out.csv"
        assert export_refused(r, "sales", 1, out) == 4
        assert out.stat().st_mode & 0o077 == 0
        with out.open(newline="") as handle:
            rows = {row["_row"]: row for row in csv.DictReader(handle)}
        assert rows["3"]["sales"] == "abc"
        assert rows["3"]["_faults"] == "sales:OPS-D024"
        assert rows["5"]["_line"] == "4,2020-01"
        # a row that the comparison refused is back in the names and the unit of the source
        assert (rows["6"]["id"], rows["6"]["Period"], rows["6"]["sales"]) == ("1", "2020-01-01", "99.75")
        change = {
            "3": {"sales": "20.00"},
            "4": {"Period": "2020-01"},
            "5": {"id": "4", "Period": "2020-01", "sales": "still not"},
        }
        report = return_refused(r, "sales", 1, corrected(out, tmp_path / "in.csv", change, drop=("6",)))
        assert (report.accepted, report.quarantined) == (2, 1)
        assert stored(r) == {1: 1050, 2: 2000, 3: 725, 5: 500}
        first, second = list_refused(r)
        assert (first.rows, first.returned, first.open) == (4, 3, 1)
        assert (second.delivery, second.rows, second.open) == (2, 1, 1)
        assert returned_from(r.store, "sales", 2) == 1
        assert returned_from(r.store, "sales", 1) is None
        # nothing counted twice: what was read is in the store, or open somewhere
        accepted = sum(d.accepted for d in r.store.deliveries("sales"))
        assert accepted + sum(h.open for h in r.quarantined("sales")) == len(FILE.splitlines()) - 1
        # the rest can still be exported; what came back cannot
        assert export_refused(r, "sales", 1, tmp_path / "rest.parquet") == 1
        assert pq.read_table(tmp_path / "rest.parquet").column("_row").to_pylist() == [6]
        acts = [(a.act, a.object) for a in r.audit.entries()]
        assert acts == [
            ("ingest", "sales/1"),
            ("quarantine export", "sales/1"),
            ("quarantine return", "sales/1 by 2"),
            ("quarantine export", "sales/1"),
        ]


def test_a_row_comes_back_once_and_only_where_it_came_from(room: Path, tmp_path: Path) -> None:
    with opened(room) as r:
        out = tmp_path / "out.csv"
        export_refused(r, "sales", 1, out)
        mended = corrected(out, tmp_path / "in.csv", {"3": {"sales": "20.00"}}, drop=("4", "5", "6"))
        return_refused(r, "sales", 1, mended)
        with pytest.raises(DataError, match="returned already"):
            return_refused(r, "sales", 1, mended)
        forged = corrected(out, tmp_path / "forged.csv", {"4": {"_row": "2"}}, drop=("3", "5", "6"))
        with pytest.raises(DataError, match="not among the refused rows"):
            return_refused(r, "sales", 1, forged)
        twice = corrected(out, tmp_path / "twice.csv", {"4": {"_row": "6"}}, drop=("3", "5"))
        with pytest.raises(DataError, match="given twice"):
            return_refused(r, "sales", 1, twice)
        plain = tmp_path / "plain.csv"
        plain.write_text("id,Period,sales\n2,2020-01,20.00\n")
        with pytest.raises(DataError, match="_file, _row"):
            return_refused(r, "sales", 1, plain)
        assert len(r.store.deliveries("sales")) == 2


def test_a_return_cut_off_before_its_link_is_made_good(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opsroom.observe import returning

    with opened(room) as r:
        out = tmp_path / "out.csv"
        export_refused(r, "sales", 1, out)
        mended = corrected(out, tmp_path / "in.csv", {"3": {"sales": "20.00"}}, drop=("4", "5", "6"))

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(returning, "_link", killed)
            with pytest.raises(KeyboardInterrupt):
                return_refused(r, "sales", 1, mended)
        report = return_refused(r, "sales", 1, mended)
        assert report.already_present
        assert stored(r) == {1: 1050, 2: 2000, 5: 500}
        assert [(h.delivery, h.open) for h in r.quarantined("sales")] == [(1, 3)]
        assert returned_from(r.store, "sales", 2) == 1


def test_complete_deliveries_have_no_parts(tmp_path: Path) -> None:
    with Room.create(
        tmp_path / "room", specs=[SPEC.replace("schema_version = 1", "schema_version = 1\nsnapshot = true")]
    ) as r:
        file = tmp_path / "sales.csv"
        file.write_text(FILE)
        r.ingest("sales", file, "2020-03-01")
        with pytest.raises(UsageError, match="OPS-U035"):
            return_refused(r, "sales", 1, file)


def test_what_cannot_be_exported(room: Path, tmp_path: Path) -> None:
    with opened(room) as r:
        with pytest.raises(NotFoundError, match="OPS-N031"):
            export_refused(r, "sales", 7, tmp_path / "x.csv")
        for name, code in (("x.xlsx", "OPS-U033"), ("sales.csv", "OPS-U034")):
            with pytest.raises(UsageError, match=code):
                export_refused(r, "sales", 1, tmp_path / name)


def test_commands(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*words: str) -> str:
        code: object = 0
        try:
            run([*words, "--room", str(room)])
        except SystemExit as end:
            code = end.code
        assert not code
        return capsys.readouterr().out

    (listed,) = json.loads(call("quarantine", "list", "--json"))
    assert (listed["refused"], listed["open"]) == (4, 4)
    out = tmp_path / "out.csv"
    assert call("quarantine", "export", "sales", "--delivery", "1", "--out", str(out)) == ""
    mended = corrected(out, tmp_path / "in.csv", {"3": {"sales": "20.00"}}, drop=("4", "5", "6"))
    told = json.loads(call("quarantine", "return", "sales", str(mended), "--delivery", "1", "--json"))
    assert told == {"dataset": "sales", "delivery": 2, "returned_from": 1, "accepted": 1, "quarantined": 0}
    (report, second) = json.loads(call("quality", "report", "sales", "--json"))["reports"]
    assert report["measures"]["rows"]["quarantined"] == 4
    assert second["alarms"] == []
    assert "score" in call("quality", "report", "sales", "--delivery", "1")
