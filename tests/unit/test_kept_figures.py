"""Figures that are kept while no row behind them changes are those of a run afresh, whatever is delivered."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from opsroom.room import Room
from opsroom.room.desk import DeskOutcome

DAYS = [dt.date(2020, 2, 12) + dt.timedelta(days=7 * k) for k in range(5)]
KINDS = ("loans", "relief")


def run(room: Room, kind: str, day: dt.date, *, afresh: bool = False) -> DeskOutcome:
    kept = dict(room.memory)
    if afresh:
        room.memory.clear()
    setting = next(s for s in room.settings.desks if s.kind == kind)
    outcome = room.run_desk(setting, room.moment(day), day, {})
    if afresh:
        room.memory.clear()
        room.memory.update(kept)
    return outcome


def same(one: DeskOutcome, other: DeskOutcome) -> None:
    assert one.provenance == other.provenance
    assert list(one.provenance) == list(other.provenance)  # sources are named in this order
    assert len(one.cells) == len(other.cells) > 0
    for a, b in zip(one.cells, other.cells, strict=True):
        pd.testing.assert_frame_equal(a.frame, b.frame, check_exact=True)
        assert (a.facts, a.source, a.provenance) == (b.facts, b.source, b.provenance)


def what_is_kept(room: Room, kind: str) -> Any:
    kept = room.memory[{"loans": "loans.last.loans", "relief": "relief.groundwork.relief"}[kind]]
    return kept if kind == "loans" else kept[2]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_a_run_afresh_finds(own_room: Path, kind: str) -> None:
    with Room.open(own_room, actor="test") as room:
        made = []
        for day in DAYS:
            outcome = run(room, kind, day)
            same(outcome, run(room, kind, day, afresh=True))
            if kind == "loans":
                assert outcome.result.as_of == day  # type: ignore[attr-defined]  # a result
            made.append(what_is_kept(room, kind))
    # new are: on 20 February sales, in March the months that are looked at, on 5 March the register
    fresh = [later is not earlier for earlier, later in itertools.pairwise(made)]
    assert fresh == {"loans": [False, False, False, True], "relief": [False, True, True, False]}[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("known", "day"), [(dt.date(2020, 2, 24), DAYS[2]), (dt.date(2020, 2, 14), DAYS[1])], ids=["revised", "back-dated"]
)
def test_a_changed_row_is_never_passed_over(own_room: Path, kind: str, known: dt.date, day: dt.date) -> None:
    dataset, column, value = {"loans": ("loans", "days_past_due", 90), "relief": ("accounts", "cash", 0)}[kind]
    with Room.open(own_room, actor="test") as room:
        before = run(room, kind, day, afresh=True)
        run(room, kind, DAYS[1])
        fields = [f.name for f in room.store.spec(dataset).fields]
        rows = room.store.arrow(dataset, room.moment(DAYS[0]), columns=fields)
        last = pc.max(rows["month"])
        rows = rows.filter(pc.equal(rows["month"], last))
        poor = rows.set_column(fields.index(column), column, pa.array(np.full(len(rows), value)))
        room.ingest(dataset, poor, known, reason="a test")
        after = run(room, kind, day)
        same(after, run(room, kind, day, afresh=True))
        assert not all(a.frame.equals(b.frame) for a, b in zip(before.cells, after.cells, strict=True))


def test_an_earlier_day_is_not_told_what_a_later_one_knew(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        for kind in KINDS:
            run(room, kind, DAYS[-1])
            same(run(room, kind, DAYS[0]), run(room, kind, DAYS[0], afresh=True))


def test_a_loans_desk_that_runs_ahead_keeps_no_companies(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        setting = next(s for s in room.settings.desks if s.kind == "loans")
        ahead = [room.run_desk(setting, room.moment(d), d, {}, ahead=True) for d in DAYS[:2]]
        assert what_is_kept(room, "loans").result is None
        asked = run(room, "loans", DAYS[1])
    assert ahead[1].result is None
    assert asked.result is not None
    same(asked, ahead[1])
