"""Two processes publish at once: one appends on a head, the other is judged anew; nothing slips past."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from opsroom.base.state import State
from opsroom.protect import Ledger, Releases
from opsroom.room import Room

GATE = """
import datetime as dt, json, sys, time
from pathlib import Path
import pandas as pd
from opsroom.base.cells import parts_from_units
from opsroom.base.errors import OpsroomError
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Rules
from opsroom.protect.gate import release

folder, me, name, extra, attempts = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
units = pd.DataFrame([(row, k, 100 + k) for row in "ab" for k in range(12)], columns=["row", "group", "value"])
units.loc[0, "value"] += extra  # the two vintages differ by one company
frame = parts_from_units(units, dimensions=["row"], group="group", values={"value": "value"}, totals=False)
cells = Cells(name=name, dimensions=("row",), frame=frame, parts=(Part("value", "MER"),),
              measures=(Measure("value", "sum", "MER", ("value",), decimals=0),))

class Meeting(Ledger):
    judged = []
    def append(self, candidate, head, *, judgement=None):
        self.judged.append(head.seq)
        if len(self.judged) == 1:  # both have judged against the same head before either appends
            (folder / f"judged-{me}").touch()
            end = time.monotonic() + 120
            while len(list(folder.glob("judged-*"))) < 2:
                assert time.monotonic() < end
                time.sleep(0.002)
        super().append(candidate, head, judgement=judgement)

state = State.open(folder / "room.db")
try:
    out = release(cells, rules=Rules(), as_of=dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC), day=dt.date(2020, 3, 4),
                  ledger=Meeting(state), attempts=attempts)
    print(json.dumps({"id": out.id, "seq": out.stamp["ledger"], "value": out.rows[0][1], "judged": Meeting.judged}))
except OpsroomError as error:
    print(json.dumps({"code": error.code, "exit": error.exit_code, "judged": Meeting.judged}))
"""

PUBLISH = """
import json, sys, time
from pathlib import Path
from opsroom.base.errors import OpsroomError
from opsroom.room import Room

folder, me, days = sys.argv[1], sys.argv[2], sys.argv[3:]
with Room.open(folder, actor=me) as room:
    (Path(folder) / f"ready-{me}").touch()
    end = time.monotonic() + 120
    while len(list(Path(folder).glob("ready-*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.002)
    found = {}
    for day in days:
        try:
            found[day] = [[r.id, r.hash] for r in room.publish(day)]
        except OpsroomError as error:
            found[day] = error.code
print(json.dumps(found))
"""


def together(code: str, *arguments: Sequence[str]) -> list[dict]:
    """Run the code in processes at once and return what each printed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for words in arguments
    ]
    found = []
    for child in children:
        out, err = child.communicate(timeout=500)
        assert child.returncode == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    State.open(tmp_path / "room.db").close()
    return tmp_path


@pytest.mark.long
def test_on_one_head_one_of_two_vintages_appends_and_the_other_is_judged_beside_it(folder: Path) -> None:
    where = str(folder)
    found = together(GATE, (where, "one", "table.a", "0", "5"), (where, "two", "table.a", "900", "5"))
    first, second = sorted(found, key=lambda f: f["seq"])
    assert (first["seq"], second["seq"]) == (1, 2)
    assert (first["judged"], second["judged"]) == ([0], [0, 1])
    # had the second slipped past, their difference would be one company's
    assert first["value"] == second["value"]
    one, two = Releases(folder).history("table.a")
    assert two.stamp["previous"] == one.hash
    assert two.held
    state = State.open(folder / "room.db")
    assert Ledger(state).verify() == 2
    state.close()


def test_two_series_at_once_both_come_out_one_after_the_other(folder: Path) -> None:
    where = str(folder)
    found = together(GATE, (where, "one", "table.a", "0", "5"), (where, "two", "table.b", "900", "5"))
    assert sorted(f["seq"] for f in found) == [1, 2]
    assert sorted(f["judged"] for f in found) == [[0], [0, 1]]
    assert sorted(f["value"] for f in found) == [1266, 2166], "another series holds nothing back"
    state = State.open(folder / "room.db")
    assert Ledger(state).verify() == 2
    state.close()


@pytest.mark.long
def test_who_will_not_be_judged_again_is_refused(folder: Path) -> None:
    where = str(folder)
    found = together(GATE, (where, "one", "table.a", "0", "1"), (where, "two", "table.a", "900", "1"))
    (refused,) = [f for f in found if "code" in f]
    assert (refused["code"], refused["exit"], refused["judged"]) == ("OPS-L001", 17, [0])
    assert len(Releases(folder).history("table.a")) == 1


@pytest.mark.timeout(600)
def test_a_day_that_two_processes_publish_comes_out_once(own_room: Path) -> None:
    day = "2020-03-18"
    one, two = together(PUBLISH, (str(own_room), "one", day), (str(own_room), "two", day))
    reader = Releases(own_room)
    out = [[r.id, r.hash] for r in reader.of_day(day)]
    assert len(out) > 5
    assert one[day] == two[day] == out
    assert {id for id, _ in out} == {f"{id.partition('@')[0]}@{day}" for id, _ in out}, "nothing came out twice"
    with Room.open(own_room, actor="test") as room:
        acts = [act for act in room.audit.entries() if (act.act, act.object) == ("publish", day)]
        assert len(acts) == 1
        assert room.ledger.verify() == room.ledger.head().seq
        room.audit.verify()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_days_published_at_once_come_out_in_order(own_room: Path) -> None:
    early, late = "2020-03-18", "2020-03-25"
    one, two = together(PUBLISH, (str(own_room), "one", early), (str(own_room), "two", late))
    reader = Releases(own_room)
    with Room.open(own_room, actor="test") as room:
        days = [r.day for r in reader._load(_all())]
        assert days == sorted(days)
        assert room.ledger.verify() == len(days)
    assert two[late] == [[r.id, r.hash] for r in reader.of_day(dt.date.fromisoformat(late))]
    if one[early] == "OPS-U015":  # the later day was first: the earlier one is refused whole
        assert reader.of_day(early) == []
    else:
        assert one[early] == [[r.id, r.hash] for r in reader.of_day(early)]


def _all():
    import sqlalchemy as sa

    from opsroom.protect.reader import LEDGER

    return sa.select(LEDGER.c.seq).order_by(LEDGER.c.seq)
