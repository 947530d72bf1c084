"""A process killed in the middle of an erasure by age leaves every row or none that is too old."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faults.readings import SPEC, delivery

from opsroom.room import Room
from opsroom.room.upkeep import erase_old, list_erasures

CHILD = """
import datetime as dt, sys, time
from opsroom.room import Room
from opsroom.room.upkeep import erase_old
room = Room.open(sys.argv[1], actor="child")
print("ready", flush=True)
erase_old(room, "readings", dt.datetime.fromisoformat(sys.argv[2]), reason="r", legal_basis="l")
print("done", flush=True)
time.sleep(60)
"""
ROWS = 20_000


@pytest.mark.long
def test_a_killed_erasure_by_age_is_whole_or_finished(tmp_path: Path) -> None:
    chance = random.Random(8)
    kills, acknowledged = 10, 0
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    folder = tmp_path / "room"
    with Room.create(folder, specs=[SPEC]) as room:
        for number in range(kills + 2):
            room.store.clock = lambda number=number: start + dt.timedelta(days=number)  # type: ignore[misc]  # at once
            room.ingest("readings", delivery(tmp_path, number, ROWS), start + dt.timedelta(days=number))
    for number in range(1, kills + 1):
        before = start + dt.timedelta(days=number)
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), before.isoformat()], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 1.5))
            os.kill(child.pid, signal.SIGKILL)
            told = "done" in child.stdout.read()
        acknowledged += told
        with Room.open(folder, actor="test") as room:
            left = room.store.arrow("readings").num_rows
            done = left == (kills + 2 - number) * ROWS
            assert done or left == (kills + 3 - number) * ROWS, "all or nothing"
            assert done or not told
            assert (len(list_erasures(room)) == number) == done, "recorded if and only if done"
            if not done:
                erase_old(room, "readings", before, reason="r", legal_basis="l")
            assert not room.store.delta("readings").orphans()
    assert acknowledged < kills, "none was killed in the middle"
