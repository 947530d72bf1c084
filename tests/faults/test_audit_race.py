"""Processes that append to one audit log at once keep one chain, and lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from opsroom.base.state import State
from opsroom.protect.audit import AuditLog

APPEND = """
import sys, time
from pathlib import Path
from opsroom.base.state import State
from opsroom.protect.audit import AuditLog
folder, name, count, names = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
state = State.open(folder / "room.db")
log = AuditLog(state)

def meet(when):
    (folder / f"{name}.{when}").touch()
    while not all((folder / f"{other}.{when}").exists() for other in names):
        time.sleep(0.002)

for k in range(count):
    if k % 5 == 0:  # all go on from here at once, however the machine shares its processors
        meet(k)
    if k % 5:
        log.append(name, "ingest", f"{name}/{k}")
    else:
        log.append_all(name, [("ingest", f"{name}/{k}"), ("note", f"{name}/{k}")])
state.close()
"""


def test_four_processes_keep_one_chain(tmp_path: Path) -> None:
    count, names = 30, ["a", "b", "c", "d"]
    state = State.open(tmp_path / "room.db")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    running = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path), name, str(count), *names], env=env)
        for name in names
    ]
    assert [one.wait(timeout=120) for one in running] == [0] * len(names)
    log = AuditLog(state)
    extra = len(range(0, count, 5))
    assert log.verify() == len(names) * (count + extra)
    acts = log.entries()
    for name in names:
        own = [act.object for act in acts if act.actor == name and act.act == "ingest"]
        assert own == [f"{name}/{k}" for k in range(count)], "in each process's own order, none twice"
    switches = sum(one.actor != two.actor for one, two in pairwise(acts))
    assert switches >= (len(names) - 1) * count // 5, "all four are at work between two meetings"
    state.close()


def test_opening_a_room_never_writes_old_heads_back(tmp_path: Path) -> None:
    """One thread advances the heads as publications do, others write the description as opening does."""
    import json
    import threading

    from opsroom.room.public import write_public
    from opsroom.room.room import Room

    Room.create(tmp_path / "room", actor="operator").close()
    rooms = [Room.open(tmp_path / "room", actor="operator") for _ in range(4)]
    over, went_back, faults = threading.Event(), [], []

    def opens(room: Room, title: str) -> None:
        from dataclasses import replace

        try:
            for k in range(10_000):
                write_public(room.path, replace(room.settings, title=f"{title}{k}"), room.store)
                if over.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            faults.append(error)

    threads = [threading.Thread(target=opens, args=(room, name)) for room, name in zip(rooms[1:], "abc", strict=True)]
    for one in threads:
        one.start()
    for k in range(1, 60):
        write_public(rooms[0].path, rooms[0].settings, rooms[0].store, heads={"audit": str(k)})
        seen = json.loads((tmp_path / "room" / "public.json").read_text(encoding="utf-8"))["heads"]["audit"]
        if seen != str(k):
            went_back.append((k, seen))
    over.set()
    for one in threads:
        one.join(timeout=60)
    for room in rooms:
        room.close()
    assert not faults
    assert not went_back
