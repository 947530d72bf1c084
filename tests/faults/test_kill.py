"""A process killed during ingest leaves all of the delivery or nothing of it, and the store readable."""

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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

CHILD = """
import sys, time
from opsroom.room import Room
room = Room.open(sys.argv[1], actor="child")
print("ready", flush=True)
room.ingest("readings", sys.argv[2], sys.argv[3])
print("done", flush=True)
time.sleep(60)
"""
ROWS = 300_000


def delivery(folder: Path, number: int) -> Path:
    """A Parquet file of one day's readings."""
    day = dt.date(2020, 1, 1) + dt.timedelta(days=number)
    file = folder / f"delivery-{number}.parquet"
    ids = pa.array(range(ROWS), pa.int64())
    table = pa.table({"meter_id": ids, "date": pa.array([day] * ROWS, pa.date32()), "wh": ids})
    pq.write_table(table, file)
    return file


def killed(room: Path, file: Path, known_at: str, wait: float) -> bool:
    """Ingest in a process of its own and kill it; say whether it had acknowledged the delivery."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(room), str(file), known_at], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(wait)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
    return "done" in rest


def run(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "room"
    Room.create(folder, specs=[SPEC]).close()
    expected = 0
    outcomes = set()
    for number in range(kills):
        file = delivery(tmp_path, number)
        acknowledged = killed(folder, file, f"2020-02-{1 + number:02d}", chance.uniform(0.0, 0.9))
        with Room.open(folder, actor="test") as room:
            found = 0 if room.store.version("readings") < 0 else room.table("readings").count().execute()
            assert found in (expected, expected + ROWS), "part of a delivery is there"
            if acknowledged:
                assert found == expected + ROWS, "an acknowledged delivery is lost"
            outcomes.add(found > expected)
            # the same file again: stored now, or known already; never twice
            report = room.ingest("readings", file, f"2020-02-{1 + number:02d}")
            assert report.accepted == (0 if found > expected else ROWS)
            expected += ROWS
            assert room.table("readings").count().execute() == expected
            assert len(room.store.deliveries("readings")) == number + 1
        file.unlink()
    if kills >= 10:
        assert outcomes == {True, False}, "the kills all fell on one side of the commit: choose other moments"


def test_three_kills(tmp_path):
    run(tmp_path, 3, seed=1)


@pytest.mark.long
def test_twenty_kills(tmp_path):
    run(tmp_path, 20, seed=2)
