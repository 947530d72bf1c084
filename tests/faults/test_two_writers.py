"""Two processes deliver into one dataset at once while a third reads: all is there, and no reader sees a part."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.readings import SPEC

from opsroom.room import Room

ROWS, EACH = 5_000, 6

WRITER = """
import datetime as dt, json, sys
import numpy as np
import pyarrow as pa
from opsroom.room import Room

folder, me, rows, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
known_at = sys.argv[5] or None
numbers = []
with Room.open(folder, actor=f"writer{me}") as room:
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(each):
        day = dt.date(2020, 1, 1) + dt.timedelta(days=turn)
        ids = np.arange(rows) + me * rows  # its own meters
        table = pa.table({"meter_id": ids, "date": pa.array([day] * rows, pa.date32()), "wh": ids * (turn + 1)})
        report = room.ingest("readings", table, known_at)
        assert report.accepted == rows, report
        numbers.append(report.delivery)
print(json.dumps(numbers))
"""

READER = """
import json, select, sys
from opsroom.room import Room

with Room.open(sys.argv[1], actor="reader") as room:
    print("ready", flush=True)
    sys.stdin.readline()
    seen = []
    while True:
        over = bool(select.select([sys.stdin], [], [], 0)[0])  # the writers have finished: look once more
        if room.store.version("readings") >= 0:
            rows = room.store.arrow("readings").to_pandas()
            sizes = rows.groupby([rows["meter_id"] // int(sys.argv[2]), "date"]).size()
            # of each delivery all rows or none, each key once, and the version only grows
            assert sizes.isin([int(sys.argv[2])]).all(), sizes
            assert not rows.duplicated(["meter_id", "date"]).any()
            if not seen or len(sizes) != seen[-1]:
                seen.append(len(sizes))
        if over:
            break
print(json.dumps(seen))
"""


def start(code: str, *words: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def end(child: subprocess.Popen[str]) -> list[int]:
    out, err = child.communicate(timeout=500)
    assert child.returncode == 0, err
    return json.loads(out)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "known_at",
    [pytest.param("2020-03-01", id="at one moment"), pytest.param("", id="when it arrives", marks=pytest.mark.long)],
)
def test_two_write_and_one_reads(tmp_path: Path, known_at: str) -> None:
    folder = tmp_path / "room"
    Room.create(folder, specs=[SPEC]).close()
    reader = start(READER, str(folder), str(ROWS))
    writers = [start(WRITER, str(folder), str(me), str(ROWS), str(EACH), known_at) for me in (0, 1)]
    for child in (reader, *writers):
        go(child)
    numbers = [end(writer) for writer in writers]
    go(reader)  # a second line: the end
    seen = end(reader)
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 2 * EACH + 1)), "deliveries are numbered without gap"
    assert seen == sorted(seen)
    assert seen[-1] == 2 * EACH
    with Room.open(folder, actor="test") as room:
        assert room.table("readings").count().execute() == 2 * EACH * ROWS
        kept = room.store.deliveries("readings")
        assert [d.delivery for d in kept] == list(range(1, 2 * EACH + 1))
        assert {d.actor for d in kept} == {"writer0", "writer1"}
        assert room.store.delta("readings").orphans() == []
        last = room.store.arrow("readings", period_from=dt.date(2020, 1, EACH)).to_pandas()
        assert (last["wh"] == last["meter_id"] * EACH).all()
        room.store.rebuild_deliveries()
        assert room.store.deliveries("readings") == kept


SOAK_WRITER = """
import datetime as dt, json, sys, time
import numpy as np
import pyarrow as pa
from opsroom.room import Room
from opsroom.room.upkeep import compact_datasets

folder, me, rows, seconds, compacts = sys.argv[1], *map(int, sys.argv[2:6])
acknowledged, end = 0, time.monotonic() + seconds
with Room.open(folder, actor=f"writer{me}") as room:
    print("ready", flush=True)
    sys.stdin.readline()
    while time.monotonic() < end or acknowledged < 2:
        # the days of the week before again, corrected, and a new one
        days = [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(max(acknowledged - 6, 0), acknowledged + 1)]
        ids = np.arange(rows) + me * rows
        table = pa.table({
            "meter_id": np.tile(ids, len(days)),
            "date": pa.array([day for day in days for _ in ids], pa.date32()),
            "wh": np.full(rows * len(days), acknowledged),
        })
        report = room.ingest("readings", table, None)
        assert report.accepted == rows * len(days), report
        acknowledged += 1
        if compacts and acknowledged % 5 == 0:
            compact_datasets(room, "readings")
print(json.dumps([acknowledged]))
"""

SOAK_READER = """
import json, select, sys
from opsroom.room import Room

rows, looks = int(sys.argv[2]), 0
with Room.open(sys.argv[1], actor="reader") as room:
    print("ready", flush=True)
    sys.stdin.readline()
    while not select.select([sys.stdin], [], [], 0)[0]:
        if room.store.version("readings") < 0:
            continue
        seen = room.store.arrow("readings").to_pandas()
        assert not seen.duplicated(["meter_id", "date"]).any()
        for _, mine in seen.groupby(seen["meter_id"] // rows):
            # a writer's last seven days all carry its last turn: a reader saw a whole delivery or none of it
            last = mine["date"].max()
            week = mine[(last - mine["date"]).map(lambda gap: gap.days) < 7]
            assert week["wh"].nunique() == 1, week
            assert len(mine) == rows * ((last - mine["date"].min()).days + 1)
        looks += 1
print(json.dumps([looks]))
"""


def soak(tmp_path: Path, writers: int, readers: int, seconds: int) -> None:
    rows, folder = 200, tmp_path / "room"
    Room.create(folder, specs=[SPEC]).close()
    watching = [start(SOAK_READER, str(folder), str(rows)) for _ in range(readers)]
    writing = [
        start(SOAK_WRITER, str(folder), str(me), str(rows), str(seconds), str(int(me == 0))) for me in range(writers)
    ]
    for child in (*watching, *writing):
        go(child)
    written = [end(child)[0] for child in writing]
    for child in watching:
        go(child)
    looks = [end(child)[0] for child in watching]
    assert min(looks) > 0
    with Room.open(folder, actor="test") as room:
        log = room.store.deliveries("readings")
        assert [d.delivery for d in log] == list(range(1, sum(written) + 1))
        kept = room.store.arrow("readings").to_pandas()
        for me, turns in enumerate(written):
            mine = kept[kept["meter_id"] // rows == me]
            assert len(mine) == rows * turns
            assert mine["wh"].max() == turns - 1
        moments = [d.known_at for d in log]
        assert moments == sorted(moments)
        assert room.store.delta("readings").orphans() == []


@pytest.mark.timeout(600)
def test_two_writers_and_a_reader_while_files_are_merged(tmp_path: Path) -> None:
    soak(tmp_path, 2, 1, 3)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_four_writers_and_four_readers_for_two_minutes(tmp_path: Path) -> None:
    soak(tmp_path, 4, 4, 120)
