"""A process killed in the middle of ingest, compaction or erasure leaves the store before or after, and readable."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.faults.readings import SPEC, delivery

from opsroom.room import Room
from opsroom.room.upkeep import compact_datasets, erase_rows, list_erasures

CHILD = """
import json, sys, time
from opsroom.room import Room
from opsroom.room.upkeep import compact_datasets, erase_rows
room = Room.open(sys.argv[1], actor="child")
print("ready", flush=True)
act, *more = json.loads(sys.argv[2])
if act == "ingest":
    room.ingest("readings", *more)
elif act == "compact":
    compact_datasets(room, "readings", vacuum=more[0])
else:
    erase_rows(room, "readings", "meter_id", more[0], reason="r", legal_basis="l")
print("done", flush=True)
time.sleep(60)
"""
ROWS = 20_000


def killed(room: Path, act: list[Any], wait: float) -> bool:
    """Act in a process of its own and kill it; say whether it had acknowledged the act."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(room), json.dumps(act)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(wait)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
    return "done" in rest


@dataclass
class Model:
    """What the store must hold."""

    days: int = 0
    erased: set[int] = field(default_factory=set)

    def check(self, room: Room) -> None:
        """Compare the store, as of every moment, with what it must hold."""
        each = ROWS - len(self.erased)
        total = each * self.days
        # what each meter reads is its number
        wanted = self.days * (ROWS * (ROWS - 1) // 2 - sum(self.erased))
        table = room.table("readings")
        assert int(table.count().execute()) == total
        assert (int(table.wh.sum().execute()) if total else 0) == wanted
        assert [d.delivery for d in room.store.deliveries("readings")] == list(range(1, self.days + 1))
        if self.days > 1:
            before = room.table("readings", known_at(self.days - 2))
            assert int(before.count().execute()) == each * (self.days - 1)
        assert not room.store.delta("readings").orphans()


def known_at(number: int) -> str:
    return (dt.date(2020, 8, 1) + dt.timedelta(days=number)).isoformat()


def run(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "room"
    model, outcomes = Model(), Counter[tuple[str, bool]]()
    limits = {"ingest": 0.6, "compact": 0.9, "erase": 1.2}
    with Room.create(folder, specs=[SPEC]) as room:
        room.ingest("readings", delivery(tmp_path, 0, ROWS), known_at(0))
        model.days = 1
    for number in range(kills):
        acts = ("ingest", "ingest", "compact", "erase")
        act = acts[number] if number < len(acts) else chance.choice(acts)
        file, gone = tmp_path / "none", list[int]()
        order: list[Any] = [act]
        if act == "ingest":
            file = delivery(tmp_path, model.days, ROWS)
            order += [str(file), known_at(model.days)]
        elif act == "compact":
            order += [chance.random() < 0.5]
        else:
            gone = chance.sample(sorted(set(range(ROWS)) - model.erased), 3)
            order += [[str(one) for one in gone]]
        acknowledged = killed(folder, order, chance.uniform(0.0, limits[act]))
        limits[act] *= 0.9 if acknowledged else 1.1  # half of the kills before the end, half after
        with Room.open(folder, actor="test") as room:
            room.store.sweep("readings")
            happened = acknowledged
            if act == "ingest":
                happened = room.store.delta("readings").last_delivery > model.days
                model.days += happened
            elif act == "erase":
                # an erasure whose intent was written down is finished by whoever opens the room next
                happened = sum(e.keys for e in list_erasures(room)) > len(model.erased)
                model.erased |= set(gone) if happened else set()
            assert happened or not acknowledged, "an acknowledged act is lost"
            model.check(room)
            outcomes[act, happened] += 1
            # the same again, to the end: done now, or known already; never twice
            if act == "ingest":
                assert room.ingest("readings", file, order[2]).already_present is happened
                model.days += not happened
            elif act == "compact":
                compact_datasets(room, "readings", vacuum=order[1])
            elif not happened:
                erase_rows(room, "readings", "meter_id", order[1], reason="r", legal_basis="l")
                model.erased |= set(gone)
            model.check(room)
        file.unlink(missing_ok=True)
    if kills >= 20:
        for act in limits:
            assert outcomes[act, True], f"every kill fell before the end of {act}: choose other moments"
            assert outcomes[act, False], f"every kill fell after the end of {act}: choose other moments"


def test_four_kills(tmp_path: Path) -> None:
    run(tmp_path, 4, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    run(tmp_path, 200, seed=2)
