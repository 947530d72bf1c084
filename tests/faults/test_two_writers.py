"""Two processes deliver into one dataset at once while a third reads: all is there, and no reader sees a part."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from opsroom.room import Room

SPEC = """
schema_version = 1
name = "readings"
title = "Readings"
provider = "test"
licence = "test"
frequency = "D"
period = "date"
key = ["meter_id", "date"]
confidential = false
unit = "public"

[[fields]]
name = "meter_id"
type = "integer"
required = true

[[fields]]
name = "date"
type = "date"
required = true

[[fields]]
name = "wh"
type = "integer"
"""

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
    out, err = child.communicate(timeout=250)
    assert child.returncode == 0, err
    return json.loads(out)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("known_at", ["2020-03-01", ""], ids=["at one moment", "when it arrives"])
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
