"""Providers, their agreements, what rests on them, and the lineage of what is published."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opsroom.base.errors import AccessError, NotFoundError, SettingsError, UsageError
from opsroom.base.providers import Provider, read_providers
from opsroom.faces.cli.doctor import examine
from opsroom.faces.cli.main import run
from opsroom.faces.figures.registry import build
from opsroom.faces.reader import Desk
from opsroom.room.dropout import dropout
from opsroom.room.lineage import lineage, openlineage
from opsroom.room.providers import history
from opsroom.room.quarantine import export_refused, return_refused
from opsroom.room.room import Room
from opsroom.room.upkeep import erase_past_retention

SPEC = """
schema_version = 1
name = "{name}"
title = "Index {name}"
provider = "{provider}"
licence = "CC-BY-4.0"
source = "{provider}"
frequency = "M"
period = "month"
key = ["month"]
confidential = false
unit = "public"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "value"
type = "number"
"""
SETTINGS = """
schema_version = 1

[room]
title = "Test room"
timezone = "UTC"

[publish]
cadence = "on_demand"

[rules]
profile = "business"

[[desks]]
kind = "levels"
name = "grid_levels"
dataset = "grid"

[[desks]]
kind = "levels"
name = "bank_levels"
dataset = "bank"

[[desks]]
kind = "quality"
"""
PROVIDERS = """
[[providers]]
name = "Grid Co"
agreement = "2019-17"
licence = "CC-BY-4.0"
purpose = "early warning"
legal_basis = "Statistics Act, section 12"
contact = "data@grid.example"
expires_on = 2021-06-30

[[providers]]
name = "Bank"
retention_days = 400
"""
DAY = dt.date(2020, 5, 1)


def clock(room: Room, day: str) -> None:
    moment = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    room.store.clock = lambda: moment


@pytest.fixture
def room(tmp_path: Path) -> Path:
    specs = [SPEC.format(name="grid", provider="Grid Co"), SPEC.format(name="bank", provider="Bank")]
    with Room.create(tmp_path / "room", settings=SETTINGS, specs=specs) as room:
        clock(room, "2020-06-01")
        for name in ("grid", "bank"):
            for month in range(1, 4):
                file = tmp_path / f"{name}-{month}.csv"
                file.write_text(f"month,value\n2020-{month:02d},{month + 0.5}\n")
                room.ingest(name, file, dt.date(2020, month + 1, 10))
        room.publish(DAY)
    return tmp_path / "room"


# -- the registry ------------------------------------------------------------------------------


def test_the_registry_and_its_history(room: Path) -> None:
    (room / "providers.toml").write_text(PROVIDERS)
    for _ in range(2):
        with Room.open(room, actor="a") as opened:
            assert opened.providers["Grid Co"].expires_on == dt.date(2021, 6, 30)
    (room / "providers.toml").write_text(
        PROVIDERS.replace("2021-06-30", "2022-06-30").split('[[providers]]\nname = "Bank"')[0]
    )
    with Room.open(room, actor="b") as opened:
        told = [(e.name, e.actor, (e.record or {}).get("expires_on")) for e in history(opened.state)]
    assert told == [
        ("Grid Co", "a", "2021-06-30"),
        ("Bank", "a", None),
        ("Grid Co", "b", "2022-06-30"),
        ("Bank", "b", None),
    ]
    with Room.open(room, actor="b") as opened:
        assert history(opened.state, "Bank")[-1].record is None


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[[providers]]\nagreement = 'x'",
        "[[providers]]\nname = 'x'\ncolour = 'blue'",
        "[[providers]]\nname = 'x'\n[[providers]]\nname = 'x'",
        "[[providers]]\nname = 'x'\nexpires_on = '2020'",
        "[[providers]]\nname = 'x'\nretention_days = 0",
        "[[providers]\n",
    ],
)
def test_a_wrong_registry_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "providers.toml").write_text(text)
    with pytest.raises(SettingsError, match="OPS-C010"):
        read_providers(tmp_path / "providers.toml")


# -- the right to read -------------------------------------------------------------------------


def test_data_are_not_readable_once_the_agreement_ended(room: Path, tmp_path: Path) -> None:
    (room / "providers.toml").write_text(PROVIDERS)
    with Room.open(room, actor="test") as opened:
        clock(opened, "2021-06-30T23:59:59")
        assert opened.table("grid").count().execute() == 3
        clock(opened, "2021-07-01")
        reads = (
            lambda: opened.table("grid"),
            lambda: opened.table("grid", dt.date(2020, 3, 1)),
            lambda: opened.series("grid", dt.date(2020, 3, 1)),
            lambda: opened.store.arrow("grid"),
            lambda: opened.store.vintages("grid"),
            lambda: opened.store.pinned({"grid": 0}).arrow("grid"),
            lambda: export_refused(opened, "grid", 1, tmp_path / "x.csv"),
            lambda: opened.ingest("grid", tmp_path / "grid-1.csv"),
        )
        for read in reads:
            with pytest.raises(AccessError, match=r"OPS-A010.*'2019-17' with Grid Co ended on 2021-06-30"):
                read()
        # what was released while the right lasted stays, and so does its lineage
        assert opened.releases().get("grid.levels", DAY) is not None
        assert lineage(opened, f"grid.levels@{DAY}").sources[0].provider == "Grid Co"


def test_an_agreement_that_ended_silences_the_desks_that_rest_on_it_alone(room: Path) -> None:
    (room / "providers.toml").write_text(PROVIDERS.replace("retention_days = 400", ""))
    with Room.open(room, actor="test") as opened:
        clock(opened, "2021-07-02")
        issued = {r.name: r for r in opened.publish(dt.date(2021, 7, 1))}
        assert set(issued) == {"bank.levels", "data.quality"}
        assert set(opened.notes) >= {"grid_levels"}
        assert "'2019-17' with Grid Co ended on 2021-06-30" in opened.notes["grid_levels"]
        assert issued["data.quality"].facts["closed"] == {"grid": "OPS-A010"}
        figure = build(Desk(opened.releases(), dt.date(2021, 7, 1), {}), "data.quality")
    assert "Not to be read any more" in figure.caption.finding
    assert "grid" in figure.caption.finding


def test_data_are_not_readable_past_their_retention(room: Path) -> None:
    (room / "providers.toml").write_text(PROVIDERS)
    one = Provider("x", retention_days=10)
    one.require_readable("d", dt.date(2020, 1, 11), dt.date(2020, 1, 1))
    with pytest.raises(AccessError, match=r"OPS-A011.*held for 11"):
        one.require_readable("d", dt.date(2020, 1, 12), dt.date(2020, 1, 1))
    one.require_readable("d", dt.date(2030, 1, 1), None)
    with Room.open(room, actor="test") as opened:
        recorded = opened.store.deliveries("bank")[0].recorded_at
        opened.store.clock = lambda: recorded + dt.timedelta(days=400)
        assert opened.table("bank").count().execute() == 3
        opened.store.clock = lambda: recorded + dt.timedelta(days=402)
        with pytest.raises(AccessError, match="OPS-A011"):
            opened.table("bank", dt.date(2020, 3, 1))


def test_what_is_past_its_retention_is_erased_and_the_rest_is_readable_again(room: Path, tmp_path: Path) -> None:
    (room / "providers.toml").write_text(PROVIDERS)
    later = tmp_path / "bank-4.csv"
    later.write_text("month,value\n2020-03,3.75\n2020-04,4.5\n")
    with Room.open(room, actor="test") as opened:
        recorded = opened.store.deliveries("bank")[0].recorded_at
        opened.store.clock = lambda: recorded + dt.timedelta(days=300)
        assert erase_past_retention(opened) == [], "nothing is held too long"
        opened.ingest("bank", later, dt.date(2020, 5, 10))
        opened.store.clock = lambda: recorded + dt.timedelta(days=402)
        with pytest.raises(AccessError, match="--past-retention"):
            opened.table("bank")
        (done,) = erase_past_retention(opened)
        assert (done.dataset, done.rows, done.legal_basis) == ("bank", 3, "agreement with Bank")
        assert "held for more than 400 days (recorded before 2020-" in done.reason
        assert opened.store.arrow("bank", columns=["value"])["value"].to_pylist() == [3.75, 4.5]
        assert opened.store.arrow("bank", dt.date(2020, 5, 1)).num_rows == 0, "no older vintage holds again"
        assert erase_past_retention(opened) == []
        assert [e.act for e in opened.audit.entries()][-1] == "erase"
        with pytest.raises(UsageError, match="has no retention"):
            erase_past_retention(opened, "grid")


# -- drop-out ----------------------------------------------------------------------------------


def test_what_the_room_loses_without_a_provider(room: Path) -> None:
    with Room.open(room, actor="test") as opened:
        head = opened.ledger.head()
        found = dropout(opened, "Grid Co", DAY)
        assert opened.ledger.head() == head
        assert opened.ledger.verify() == head.seq
    fates = {e.series: e.fate for e in found.effects}
    assert fates == {"grid.levels": "lost", "bank.levels": "unchanged", "data.quality": "degraded"}
    assert found.desks == {"grid_levels": "nothing known of grid yet"}
    (quality,) = found.of("degraded")
    assert (quality.rows, quality.rows_without, quality.changed) == (2, 1, 0)
    assert quality.hidden > 0


def test_a_day_that_is_not_published_is_computed_both_ways(room: Path) -> None:
    with Room.open(room, actor="test") as opened:
        found = dropout(opened, "Bank", dt.date(2020, 5, 2))
        assert [e.series for e in found.of("lost")] == ["bank.levels"]
        assert [e.series for e in found.of("unchanged")] == ["grid.levels"]
        assert opened.releases().days()[-1] == DAY
        with pytest.raises(NotFoundError, match="OPS-N033"):
            dropout(opened, "Nobody", DAY)


# -- lineage -----------------------------------------------------------------------------------


def test_the_deliveries_behind_a_release(room: Path, tmp_path: Path) -> None:
    with Room.open(room, actor="test") as opened:
        clock(opened, "2020-07-01")
        later = tmp_path / "later.csv"
        later.write_text("month,value\n2020-01,9.5\n")
        opened.ingest("grid", later, dt.date(2020, 6, 10))
        found = lineage(opened, f"grid.levels@{DAY}")
        assert (found.desk, found.kind) == ("grid_levels", "levels")
        (source,) = found.sources
        deliveries = opened.store.deliveries("grid")
        assert [d.delivery for d in source.deliveries] == [1, 2, 3], "what came later is not behind it"
        assert [d.content for d in source.deliveries] == [d.content for d in deliveries[:3]]
        assert [d.files for d in source.deliveries] == [("grid-1.csv",), ("grid-2.csv",), ("grid-3.csv",)]
        with pytest.raises(NotFoundError, match="OPS-N032"):
            lineage(opened, "grid.levels@2020-05-02")
        with pytest.raises(NotFoundError, match="OPS-N032"):
            lineage(opened, "nonsense")


def test_a_delivery_out_of_quarantine_is_told(room: Path, tmp_path: Path) -> None:
    with Room.open(room, actor="test") as opened:
        clock(opened, "2020-07-01")
        file = tmp_path / "bad.csv"
        file.write_text("month,value\n2020-04,x\n2020-05,5.5\n")
        opened.ingest("grid", file, dt.date(2020, 6, 10))
        out = tmp_path / "out.csv"
        export_refused(opened, "grid", 4, out)
        mended = tmp_path / "mended.csv"
        mended.write_text(out.read_text().replace('"x"', '"4.5"'))
        return_refused(opened, "grid", 4, mended)
        opened.publish(dt.date(2020, 7, 2))
        (source,) = lineage(opened, "grid.levels@2020-07-02").sources
        assert [(d.delivery, d.returned_from) for d in source.deliveries][-2:] == [(4, None), (5, 4)]


def check_event(event: dict[str, Any]) -> None:
    """Check the form that the OpenLineage specification (2-0-2) lays down."""
    uri = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
    assert set(event) == {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
    assert event["eventType"] in ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
    assert dt.datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert uri.fullmatch(event["producer"])
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    uuid.UUID(event["run"]["runId"])
    sets = [event["run"].get("facets", {}), event["job"].get("facets", {})]
    for one in (event["job"], *event["inputs"], *event["outputs"]):
        assert isinstance(one["namespace"], str)
        assert one["namespace"]
        assert isinstance(one["name"], str)
        assert one["name"]
    for one in (*event["inputs"], *event["outputs"]):
        sets += [one.get("facets", {}), one.get("inputFacets", {}), one.get("outputFacets", {})]
    for facets in sets:
        for name, facet in facets.items():
            assert uri.fullmatch(facet["_producer"])
            assert uri.fullmatch(facet["_schemaURL"])
            if name == "version":
                assert isinstance(facet["datasetVersion"], str)
            elif name == "schema":
                assert all(isinstance(f["name"], str) for f in facet["fields"])
            elif name == "jobType":
                assert {"processingType", "integration"} <= set(facet)
            elif name == "outputStatistics":
                assert isinstance(facet["rowCount"], int)
            else:
                assert name.startswith("opsroom_"), "custom facets carry the producer's prefix"


def test_openlineage(room: Path) -> None:
    with Room.open(room, actor="test") as opened:
        found = lineage(opened, f"grid.levels@{DAY}")
        event = openlineage(opened, found)
        assert event == openlineage(opened, found), "the same release gives the same event"
        other = openlineage(opened, lineage(opened, f"bank.levels@{DAY}"))
    check_event(event)
    check_event(other)
    assert event["run"]["runId"] != other["run"]["runId"]
    assert event["job"] == {"namespace": "opsroom:Test room", "name": "grid_levels"} | {
        "facets": event["job"]["facets"]
    }
    assert [i["name"] for i in event["inputs"]] == ["grid"]
    assert [o["name"] for o in event["outputs"]] == ["grid.levels"]
    for value in ("1.5", "2.5", "3.5"):
        assert value not in json.dumps(event)


def test_commands(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (room / "providers.toml").write_text(PROVIDERS.replace("2021-06-30", "2999-06-30").replace("400", "400000"))

    def call(*words: str) -> Any:
        code: object = 0
        try:
            run([*words, "--room", str(room)])
        except SystemExit as end:
            code = end.code
        assert not code
        return capsys.readouterr().out

    listed = json.loads(call("provider", "list", "--json"))
    assert [(p["provider"], p["registered"], p["datasets"]) for p in listed] == [
        ("Bank", "yes", "bank"),
        ("Grid Co", "yes", "grid"),
    ]
    assert len(json.loads(call("provider", "history", "--json"))) == 2
    with Room.open(room, actor="test") as opened:
        opened.add_dataset(replace(opened.store.specs["grid"], name="nobodys", provider=""))
    listed = json.loads(call("provider", "list", "--json"))
    assert ("", "no", "nobodys") in {(p["provider"], p["registered"], p["datasets"]) for p in listed}
    assert json.loads(call("provider", "dropout", "Bank", "--as-of", str(DAY), "--json"))["datasets"] == ["bank"]
    assert "lost" in call("provider", "dropout", "Bank", "--as-of", str(DAY))
    check_event(json.loads(call("lineage", f"grid.levels@{DAY}", "--format", "openlineage")))
    assert "grid-3.csv" in call("lineage", f"grid.levels@{DAY}")


def test_the_doctor_sees_what_may_not_be_held(room: Path) -> None:
    text = PROVIDERS.replace("400", "400000")
    for ends, fit in (("2999-06-30", True), ("2021-06-30", False)):
        (room / "providers.toml").write_text(text.replace("2021-06-30", ends))
        found = {one.check: one for one in examine(room)}
        assert found["dataset grid"].ok is fit
        assert ("OPS-A010" in found["dataset grid"].finding) is not fit
        assert found["dataset bank"].ok
