"""A full disk during ingest: all of the delivery or nothing of it, an error with a code, the store readable.

The disk is a real one of a few megabytes: a tmpfs in a mount namespace of its own. Where that cannot be had,
and beside it, the kernel's limit on the size of a file refuses the write in the middle (EFBIG).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.readings import SPEC

COMMON = """
import datetime as dt, json, os, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from opsroom.base.errors import OpsroomError
from opsroom.room import Room

SPEC = sys.argv[2]
ROWS = 60_000

def delivery(number, *, wrong=0, rows=ROWS):
    draw = np.random.default_rng(number)
    values = draw.integers(0, 2**60, rows)
    values[:wrong] = -1  # below the least: into quarantine
    day = dt.date(2019, 1, 1) + dt.timedelta(days=number)
    return pa.table({"meter_id": np.arange(rows), "date": pa.array([day] * rows, pa.date32()), "wh": values})

def known(number):
    return f"2020-02-{1 + number:02d}"

def attempt(room, number, **more):
    try:
        return {"accepted": room.ingest("readings", delivery(number, **more), known(number)).accepted}
    except OpsroomError as error:
        return {"code": error.code, "exit": error.exit_code, "text": str(error)}
"""

FULL = (
    COMMON
    + """
disk = Path(sys.argv[1])
room_folder, filler = disk / "room", disk / "filler"
Room.create(room_folder, specs=[SPEC]).close()
found = []

def fill(leave):
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filler.open("wb") as out:
        out.write(b"x" * max(free - leave, 0))

expected = 0
with Room.open(room_folder, actor="test") as room:
    assert room.ingest("readings", delivery(0), known(0)).accepted == ROWS
    expected = ROWS
    for number, leave in enumerate(json.loads(sys.argv[3]), start=1):
        wrong = 7 if number % 2 else 0
        fill(leave)
        said = attempt(room, number, wrong=wrong)
        # the full store can be read, by whoever held it and by whoever opens it now
        after = room.table("readings").count().execute()
        with Room.open(room_folder, actor="reader") as fresh:
            seen = fresh.table("readings").count().execute()
            log = len(fresh.store.deliveries("readings"))
        filler.unlink()
        again = attempt(room, number, wrong=wrong)
        final = room.table("readings").count().execute()
        quarantined = room.store.quarantine("readings", number + 1).num_rows
        found.append({"leave": leave, "said": said, "before": expected, "after": int(after), "seen": int(seen),
                      "log": log, "again": again, "final": int(final), "new": ROWS - wrong,
                      "quarantined": quarantined, "wrong": wrong, "number": number})
        expected = int(final)
    orphans = len(room.store.delta("readings").orphans())
print(json.dumps({"found": found, "orphans": orphans}))
"""
)

CHECKPOINT = (
    COMMON
    + """
disk = Path(sys.argv[1])
room_folder, filler = disk / "room", disk / "filler"
Room.create(room_folder, specs=[SPEC]).close()
BEFORE, LAST, EACH = 46, 52, 500  # a checkpoint is written with version 49
begin = dt.datetime(2020, 2, 1, tzinfo=dt.UTC)
with Room.open(room_folder, actor="test") as room:
    for number in range(LAST):
        if number >= BEFORE:  # enough for the data and the commit, not for a checkpoint
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler.write_bytes(b"x" * (free - 45_056))
        room.ingest("readings", delivery(number, rows=EACH), begin + dt.timedelta(hours=number))
        filler.unlink(missing_ok=True)
    checkpoints = len(list((room_folder / "lake").rglob("*.checkpoint.parquet")))
    version = room.store.version("readings")
with Room.open(room_folder, actor="reader") as fresh:
    found = int(fresh.table("readings").count().execute())
print(json.dumps({"found": found, "wanted": LAST * EACH, "checkpoints": checkpoints, "version": version}))
"""
)

LIMITED = (
    COMMON
    + """
import resource, signal
folder = Path(sys.argv[1])
Room.create(folder, specs=[SPEC]).close()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Room.open(folder, actor="test") as room:
    assert room.ingest("readings", delivery(0, rows=500), known(0)).accepted == 500
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    said = attempt(room, 1)
    after = room.table("readings").count().execute()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = attempt(room, 1)
    final = room.table("readings").count().execute()
    orphans = len(room.store.delta("readings").orphans())
print(json.dumps({"said": said, "after": int(after), "again": again, "final": int(final), "orphans": orphans}))
"""
)

ROWS = 60_000


def run(command: list[str]) -> dict:
    """Run a child and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def on_small_disk(namespace: list[str], disk: Path, code: str, *more: str) -> dict:
    """Run a child that finds a disk of 24 MB mounted on the folder."""
    mount = 'mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@"'
    return run([*namespace, "sh", "-c", mount, "sh", str(disk), sys.executable, "-c", code, str(disk), SPEC, *more])


@pytest.fixture
def namespace() -> list[str]:
    """The words before a command that may mount a disk of its own."""
    words = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare(1): no small disk can be mounted")
    tried = subprocess.run(
        [*words, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no disk can be mounted in a namespace here: {tried.stderr.strip()}")
    return words


@pytest.mark.timeout(600)
def test_a_full_disk_loses_and_tears_nothing(tmp_path: Path, namespace: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # from nothing left, over too little for the data, to enough for the data and not for what follows, to enough
    leave = [0, 4_096, 65_536, 400_000, *range(458_752, 496_000, 4_096), 540_000, 4_000_000]
    outcome = on_small_disk(namespace, disk, FULL, json.dumps(leave))
    kinds = set()
    for one in outcome["found"]:
        stored = one["after"] > one["before"]
        kinds.add(("code" in one["said"], stored))
        assert one["after"] in (one["before"], one["before"] + one["new"]), "part of a delivery is there"
        assert one["seen"] == one["after"], "two readers see two stores"
        assert one["log"] == one["number"] + stored
        if "code" in one["said"]:
            assert one["said"]["code"] in ("OPS-F002", "OPS-F025"), one
            assert one["said"]["exit"] == 19
            assert not (stored and "nothing was stored" in one["said"]["text"]), one
        else:
            assert stored
            assert one["said"]["accepted"] == one["new"]
        # with space again the delivery is taken, or known already; never twice
        assert one["again"] == {"accepted": 0 if stored else one["new"]}
        assert one["final"] == one["before"] + one["new"]
        assert one["quarantined"] == one["wrong"]
    assert (True, False) in kinds, "the disk was never full"
    assert (False, True) in kinds, "the disk was always full"
    assert outcome["orphans"] == 0


@pytest.mark.long
def test_a_checkpoint_that_finds_no_room_undoes_no_commit(tmp_path: Path, namespace: list[str]) -> None:
    """The log names the files by then: deleting them as leftovers of a failure would lose the whole dataset."""
    disk = tmp_path / "disk"
    disk.mkdir()
    outcome = on_small_disk(namespace, disk, CHECKPOINT)
    assert outcome["version"] >= 50
    assert outcome["checkpoints"] == 0, "there was room for the checkpoint: leave less"
    assert outcome["found"] == outcome["wanted"]


def test_a_write_refused_in_the_middle_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    found = run([sys.executable, "-c", LIMITED, str(tmp_path / "room"), SPEC])
    assert found["said"]["code"] == "OPS-F002"
    assert found["said"]["exit"] == 19
    assert "nothing was stored" in found["said"]["text"]
    assert found["after"] == 500
    assert found["again"] == {"accepted": ROWS}
    assert found["final"] == 500 + ROWS
    assert found["orphans"] == 0


UPKEEP = (
    COMMON
    + """
import random
from opsroom.room.upkeep import compact_datasets, erase_rows, finish_erasures, list_erasures
disk = Path(sys.argv[1])
room_folder, filler = disk / "room", disk / "filler"
tries, seed = json.loads(sys.argv[3])
chance = random.Random(seed)
ROWS = 20_000
Room.create(room_folder, specs=[SPEC]).close()
days, gone, found = 0, 0, []

def told(act):
    try:
        act()
        return ""
    except OpsroomError as error:
        return error.code

with Room.open(room_folder, actor="test") as room:
    for number in range(3):
        room.ingest("readings", delivery(number, rows=ROWS), known(number))
    days = 3
    for turn in range(tries):
        act = ("ingest", "compact", "erase")[turn % 3]
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        leave = int(10 ** chance.uniform(3, 6.1))
        filler.write_bytes(b"x" * max(free - leave, 0))
        if act == "ingest":
            said = told(lambda: room.ingest("readings", delivery(days, rows=ROWS), known(days)))
        elif act == "compact":
            said = told(lambda: compact_datasets(room, "readings", vacuum=True))
        else:
            said = told(lambda: erase_rows(room, "readings", "meter_id", [str(gone)], reason="r", legal_basis="l"))
        seen = int(room.table("readings").count().execute())  # the full store can be read
        filler.unlink()
        finish_erasures(room)
        happened = {
            "ingest": room.store.delta("readings").last_delivery > days,
            "compact": not said,
            "erase": len(list_erasures(room)) > gone,
        }[act]
        before = days * (ROWS - gone)
        days += happened and act == "ingest"
        gone += happened and act == "erase"
        after = int(room.table("readings").count().execute())
        found.append({"act": act, "said": said, "happened": bool(happened), "seen": seen, "before": before,
                      "after": after, "wanted": days * (ROWS - gone), "leave": leave})
        if not happened:  # with space again it is done
            if act == "ingest":
                room.ingest("readings", delivery(days, rows=ROWS), known(days))
                days += 1
            elif act == "compact":
                compact_datasets(room, "readings", vacuum=True)
            else:
                erase_rows(room, "readings", "meter_id", [str(gone)], reason="r", legal_basis="l")
                gone += 1
        assert int(room.table("readings").count().execute()) == days * (ROWS - gone)
    room.store.sweep("readings")
    orphans = len(room.store.delta("readings").orphans())
    as_of = int(room.table("readings", known(0)).count().execute())
    each = ROWS - gone
print(json.dumps({"found": found, "orphans": orphans, "as_of": as_of, "each": each}))
"""
)


def check_upkeep(outcome: dict) -> None:
    """Look whether everything was whole at all times."""
    for one in outcome["found"]:
        assert one["seen"] in (one["before"], one["wanted"]), f"part of it is there: {one}"
        assert one["after"] == one["wanted"], one
        assert one["happened"] or one["said"], f"what was acknowledged is lost: {one}"
        assert one["said"] in ("", "OPS-F002", "OPS-F024", "OPS-F025"), one
    assert any(one["said"] for one in outcome["found"]), "the disk was never full"
    assert any(not one["said"] for one in outcome["found"]), "the disk was always full"
    assert outcome["orphans"] == 0
    assert outcome["as_of"] == outcome["each"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_full_disk_in_upkeep_loses_and_tears_nothing(tmp_path: Path, namespace: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    check_upkeep(on_small_disk(namespace, disk, UPKEEP, json.dumps([6, 1])))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_disk_full_twenty_times_in_upkeep_loses_and_tears_nothing(tmp_path: Path, namespace: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    check_upkeep(on_small_disk(namespace, disk, UPKEEP, json.dumps([24, 2])))
