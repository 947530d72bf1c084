"""The drop folder: every file once, whoever watches, whatever dies, and no value in what is written about it."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from opsroom.base.errors import StoreError, UsageError
from opsroom.base.log import open_log
from opsroom.faces.cli.main import run
from opsroom.room.dropfolder import DropFolder, Tally
from opsroom.room.room import Room

SPEC = """
schema_version = 1
name = "{name}"
title = "Readings"
provider = "test"
licence = "test"
frequency = "D"
period = "date"
key = ["meter", "date"]
confidential = false
unit = "public"

[[fields]]
name = "meter"
type = "integer"

[[fields]]
name = "date"
type = "date"

[[fields]]
name = "wh"
type = "integer"
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    Room.create(tmp_path / "room", specs=[SPEC.format(name="a"), SPEC.format(name="b")]).close()
    for name in ("a", "b"):
        (tmp_path / "drop" / name).mkdir(parents=True)
    return tmp_path / "room"


def text(day: int, rows: int = 20, start: int = 0) -> str:
    lines = [f"{meter},2020-01-{day:02d},{meter + 100}" for meter in range(start, start + rows)]
    return "meter,date,wh\n" + "\n".join(lines) + "\n"


def drop(room: Path, name: str, file: str, content: str) -> Path:
    path = room.parent / "drop" / name / file
    path.write_text(content)
    return path


def look(room: Path, *, looks: int = 1, **more: object) -> tuple[Tally, str]:
    log = io.StringIO()
    with Room.open(room, actor="test") as opened:
        options: dict[str, object] = {"settle": 0.0, "first_wait": 0.0, **more}
        folder = DropFolder(opened, room.parent / "drop", open_log(log), **options)  # type: ignore[arg-type]  # any option
        total = Tally()
        for _ in range(looks):
            total.add(folder.look())
    return total, log.getvalue()


def stored(room: Path, name: str) -> int:
    with Room.open(room, actor="test") as opened:
        return 0 if opened.store.version(name) < 0 else int(opened.table(name).count().execute())


def deliveries(room: Path, name: str) -> int:
    with Room.open(room, actor="test") as opened:
        return len(opened.store.deliveries(name))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


# -- taking in ---------------------------------------------------------------------------------


def test_files_are_taken_in_and_kept(room: Path) -> None:
    drop(room, "a", "one.csv", text(1))
    drop(room, "b", "two.csv", text(1, rows=5))
    tally, log = look(room)
    assert (tally.ingested, tally.dead, tally.waiting, tally.settling) == (2, 0, 0, 0)
    assert (stored(room, "a"), stored(room, "b")) == (20, 5)
    assert names(room.parent / "drop" / ".done" / "a") == ["one.csv"]
    assert names(room.parent / "drop" / "a") == []
    assert names(room.parent / "drop" / ".work" / "a") == []
    events = [json.loads(line) for line in log.splitlines()]
    assert [e["event"] for e in events] == ["taken", "ingested", "taken", "ingested"]
    assert events[1]["accepted"] == 20


def test_a_file_that_is_being_written_is_left_alone(room: Path) -> None:
    log = io.StringIO()
    with Room.open(room, actor="test") as opened:
        folder = DropFolder(opened, room.parent / "drop", open_log(log), settle=0.3)
        file = drop(room, "a", "one.csv", text(1))
        assert folder.look().settling == 1
        with file.open("a") as handle:
            handle.write("99,2020-01-01,5\n")
        time.sleep(0.35)
        assert folder.look().settling == 1, "it grew since the last look"
        time.sleep(0.35)
        assert folder.look().ingested == 1
    assert stored(room, "a") == 21


def test_unfinished_names_are_no_deliveries_and_a_marker_makes_one(room: Path) -> None:
    drop(room, "a", "one.csv.part", text(1))
    drop(room, "a", ".two.csv", text(2))
    three = drop(room, "a", "three.csv", text(3))
    assert look(room, marker=True)[0].ingested == 0
    three.with_name("three.csv.done").touch()
    assert look(room, marker=True, settle=99.0)[0].ingested == 1
    assert names(room.parent / "drop" / "a") == [".two.csv", "one.csv.part"]
    assert names(room.parent / "drop" / ".done" / "a") == ["three.csv"]
    (room.parent / "drop" / "a" / "one.csv.part").rename(room.parent / "drop" / "a" / "one.csv")
    assert look(room)[0].ingested == 1


def test_files_of_a_dataset_keep_their_order(room: Path) -> None:
    """The later file corrects the earlier one: what it says holds, whatever the names."""
    for number, (file, wh) in enumerate((("z.csv", 1), ("a.csv", 2))):
        path = drop(room, "a", file, f"meter,date,wh\n1,2020-01-01,{wh}\n")
        os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))
    assert look(room)[0].ingested == 2
    with Room.open(room, actor="test") as opened:
        assert opened.table("a").wh.execute().tolist() == [2]


def test_a_second_file_of_a_name_is_kept_beside_the_first(room: Path) -> None:
    for day in (1, 2):
        drop(room, "a", "one.csv", text(day))
        look(room)
    assert names(room.parent / "drop" / ".done" / "a") == ["one.csv", "one~2.csv"]
    assert stored(room, "a") == 40


def test_control_totals_beside_a_file(room: Path) -> None:
    drop(room, "a", "one.csv", text(1))
    drop(room, "a", "one.csv.control.json", json.dumps({"rows": 20, "sums": {"wh": sum(range(100, 120))}}))
    drop(room, "b", "two.csv", text(1))
    drop(room, "b", "two.csv.control.json", json.dumps({"rows": 21}))
    tally, _ = look(room)
    assert (tally.ingested, tally.dead) == (1, 1)
    account = json.loads((room.parent / "drop" / ".dead" / "b" / "two.csv.error.json").read_text())
    assert account["code"] == "OPS-D050"
    assert stored(room, "b") == 0


def test_an_unknown_dataset_waits_for_its_registration(room: Path) -> None:
    (room.parent / "drop" / "c").mkdir()
    drop(room, "c", "one.csv", text(1))
    tally, log = look(room, looks=3)
    assert tally == Tally()
    assert log.count("no such dataset") == 1
    with Room.open(room, actor="test") as opened:
        opened.add_dataset(SPEC.format(name="c"))
    assert look(room)[0].ingested == 1


def test_the_folder_must_be_there(room: Path) -> None:
    with Room.open(room, actor="test") as opened, pytest.raises(UsageError, match="OPS-U030"):
        DropFolder(opened, room.parent / "nowhere", open_log(io.StringIO()))


# -- faults ------------------------------------------------------------------------------------


def test_a_bad_file_goes_to_the_dead_with_an_account_and_without_its_values(room: Path) -> None:
    drop(room, "a", "one.csv", "meter,colour\n424242,secret-blue\n")
    drop(room, "a", "two.csv", "meter,date,wh\n515151,2020-01-01,secret-red\n1,2020-01-01,5\n")
    tally, log = look(room)
    assert (tally.ingested, tally.dead) == (1, 1)
    dead = room.parent / "drop" / ".dead" / "a"
    assert names(dead) == ["one.csv", "one.csv.error.json"]
    account = (dead / "one.csv.error.json").read_text()
    assert json.loads(account)["code"] == "OPS-D003"
    for written in (account, log):
        for planted in ("424242", "515151", "secret"):
            assert planted not in written


def test_a_log_entry_cannot_hold_what_has_no_key(room: Path) -> None:
    from opsroom.base.errors import InternalError

    log = io.StringIO()
    with pytest.raises(InternalError, match="row"):
        open_log(log).info("ingested", row="424242")
    assert log.getvalue() == ""


class Full:
    """A room whose disk is full so many times."""

    def __init__(self, room: Room, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.real = times, room.ingest
        monkeypatch.setattr(room, "ingest", self.ingest)

    def ingest(self, *args: object, **more: object) -> object:
        if self.left:
            self.left -= 1
            raise StoreError("the disk is full", code="OPS-F002")
        return self.real(*args, **more)  # type: ignore[arg-type]  # passed on


def test_a_full_disk_is_waited_out(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(room, "a", "one.csv", text(1))
    drop(room, "a", "two.csv", text(2))
    log = io.StringIO()
    with Room.open(room, actor="test") as opened:
        now = [dt.datetime(2021, 1, 1, tzinfo=dt.UTC)]
        opened.store.clock = lambda: now[0]
        Full(opened, 3, monkeypatch)
        folder = DropFolder(opened, room.parent / "drop", open_log(log), settle=0.0, first_wait=10.0)
        waits = []
        for _ in range(8):
            tally = folder.look()
            if tally.ingested:
                break
            assert tally.waiting == 1
            assert folder.look().waiting == 1, "not before its time"
            waits.append(json.loads(log.getvalue().splitlines()[-1])["seconds"])
            now[0] += dt.timedelta(seconds=waits[-1])
        assert tally.ingested == 2, "the file behind it waited, and followed"
    assert waits == [10.0, 20.0, 40.0]
    assert stored(room, "a") == 40


def test_after_its_tries_a_file_is_given_up_and_can_be_dropped_again(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(room, "a", "one.csv", text(1))
    with Room.open(room, actor="test") as opened:
        Full(opened, 3, monkeypatch)
        folder = DropFolder(opened, room.parent / "drop", open_log(io.StringIO()), settle=0.0, first_wait=0.0, tries=3)
        assert [(t.waiting, t.dead) for t in (folder.look() for _ in range(3))] == [(1, 0), (1, 0), (0, 1)]
    dead = room.parent / "drop" / ".dead" / "a"
    assert json.loads((dead / "one.csv.error.json").read_text())["attempts"] == 3
    (dead / "one.csv").rename(room.parent / "drop" / "a" / "one.csv")
    assert look(room)[0].ingested == 1


def test_a_clock_that_is_set_back_neither_loses_nor_holds_up_a_file(room: Path) -> None:
    with Room.open(room, actor="test") as opened:
        opened.store.clock = lambda: dt.datetime(2021, 1, 2, tzinfo=dt.UTC)
        folder = DropFolder(opened, room.parent / "drop", open_log(io.StringIO()), settle=0.0)
        drop(room, "a", "one.csv", text(1))
        assert folder.look().ingested == 1
        opened.store.clock = lambda: dt.datetime(2021, 1, 1, 12, tzinfo=dt.UTC)
        drop(room, "a", "two.csv", text(2))
        assert folder.look().ingested == 1
        first, second = opened.store.deliveries("a")
        assert {d.known_at for d in (first, second)} == {
            dt.datetime(2021, 1, 2, tzinfo=dt.UTC),
            dt.datetime(2021, 1, 2, tzinfo=dt.UTC) + dt.timedelta(microseconds=1),
        }


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_watcher_killed_between_commit_and_move_does_not_undo_what_came_since(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed, not yet moved; then a correction came another way: the first file is recognised, not applied."""
    drop(room, "a", "one.csv", "meter,date,wh\n1,2020-01-01,1\n")
    with Room.open(room, actor="test") as opened:
        folder = DropFolder(opened, room.parent / "drop", open_log(io.StringIO()), settle=0.0)
        with monkeypatch.context() as patch:
            patch.setattr(DropFolder, "_finish", killed)
            with pytest.raises(KeyboardInterrupt):
                folder.look()
        correction = room.parent / "correction.csv"
        correction.write_text("meter,date,wh\n1,2020-01-01,2\n")
        opened.ingest("a", correction)
    assert names(room.parent / "drop" / ".work" / "a") == ["one.csv", "one.csv.claim.json"]
    tally, log = look(room)
    assert tally.ingested == 1
    assert "known already" in log
    with Room.open(room, actor="test") as opened:
        assert opened.table("a").wh.execute().tolist() == [2]
        assert len(opened.store.deliveries("a")) == 2


def test_a_file_taken_but_not_committed_before_another_delivery(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(room, "a", "one.csv", text(1))
    with Room.open(room, actor="test") as opened:
        folder = DropFolder(opened, room.parent / "drop", open_log(io.StringIO()), settle=0.0)
        with monkeypatch.context() as patch:
            patch.setattr(DropFolder, "_carry", killed)
            with pytest.raises(KeyboardInterrupt):
                folder.look()
        other = room.parent / "other.csv"
        other.write_text(text(2))
        opened.ingest("a", other)
    assert look(room)[0].ingested == 1
    assert stored(room, "a") == 40


# -- several at once ---------------------------------------------------------------------------

WATCH = [sys.executable, "-m", "opsroom.faces.cli.main", "ingest"]


def watcher(room: Path, *more: str) -> subprocess.Popen[str]:
    order = ["--watch", str(room.parent / "drop"), "--room", str(room), "--settle", "0", "--interval", "0.1", *more]
    return subprocess.Popen([*WATCH, *order], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_looks_at_once_take_no_file_twice(room: Path) -> None:
    for day in range(1, 9):
        drop(room, "a", f"{day}.csv", text(day))
        drop(room, "b", f"{day}.csv", text(day))
    found: list[Tally] = []
    threads = [threading.Thread(target=lambda: found.append(look(room, looks=2)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(t.ingested for t in found) == 16
    assert sum(t.dead for t in found) == 0
    assert [deliveries(room, name) for name in ("a", "b")] == [8, 8]
    assert [stored(room, name) for name in ("a", "b")] == [160, 160]


def test_once_has_exit_codes_for_a_timer(
    room: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, log = str(room.parent / "drop"), room.parent / "log.jsonl"
    call = ["ingest", "--watch", folder, "--room", str(room), "--once", "--settle", "0.05", "--log", str(log), "--json"]

    def code() -> int:
        try:
            run(call)
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    assert code() == 0
    drop(room, "a", "one.csv", text(1))
    assert code() == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"ingested": 1, "dead": 0, "waiting": 0}
    drop(room, "a", "bad.csv", "meter\n1\n")
    assert code() == 12
    monkeypatch.setattr(Room, "ingest", lambda *_, **__: (_ for _ in ()).throw(StoreError("full", code="OPS-F002")))
    drop(room, "a", "two.csv", text(2))
    assert code() == 75
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()][-1] == "will be tried again"


def test_a_watcher_ends_on_sigterm_after_the_file_in_hand(room: Path) -> None:
    drop(room, "a", "one.csv", text(1))
    with watcher(room, "--json") as process:
        assert process.stderr is not None
        while "ingested" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out) == {"ingested": 1, "dead": 0, "waiting": 0}


def kill_watchers(room: Path, kills: int, seed: int) -> None:
    """Drop files while two watchers run and are killed again and again: every file ends up in the store, once."""
    chance = random.Random(seed)
    number = 0
    for _ in range(kills):
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(watcher(room)) for _ in range(2)]
            end = time.monotonic() + chance.uniform(1.5, 4.0)
            while time.monotonic() < end:
                number += 1
                hidden = drop(room, "ab"[number % 2], f".{number}.csv", text(1 + number % 28, 2_000, number * 2_000))
                hidden.rename(hidden.with_name(f"{number}.csv"))
                time.sleep(chance.uniform(0.05, 0.3))
            for process in running:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
    tally, _ = look(room, looks=2)
    assert tally.dead == tally.waiting == 0
    done = sum(len(names(room.parent / "drop" / ".done" / name)) for name in ("a", "b"))
    assert done == number
    assert [names(room.parent / "drop" / ".work" / name) for name in ("a", "b")] == [[], []]
    assert stored(room, "a") + stored(room, "b") == number * 2_000
    assert deliveries(room, "a") + deliveries(room, "b") == number


@pytest.mark.long
def test_killed_watchers(room: Path) -> None:
    kill_watchers(room, 2, seed=1)


@pytest.mark.long
def test_killed_watchers_at_length(room: Path) -> None:
    kill_watchers(room, 25, seed=2)


def test_a_disk_that_takes_no_more(room: Path) -> None:
    """The kernel refuses the data file in the middle: nothing is stored, the file waits, and comes in when it can."""
    import resource

    chance = random.Random(3)
    lines = [f"{meter},2020-01-01,{chance.getrandbits(60)}" for meter in range(120_000)]
    drop(room, "a", "one.csv", "meter,date,wh\n" + "\n".join(lines) + "\n")
    order = ["--watch", str(room.parent / "drop"), "--room", str(room), "--once", "--settle", "0"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    done = subprocess.run([*WATCH, *order], preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 75, done.stderr
    entry = json.loads(done.stderr.splitlines()[-1])
    assert (entry["event"], entry["code"], entry["attempt"]) == ("will be tried again", "OPS-F002", 1)
    assert stored(room, "a") == 0
    assert names(room.parent / "drop" / ".work" / "a")[0] == "one.csv"
    time.sleep(2.1)
    done = subprocess.run([*WATCH, *order], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (stored(room, "a"), deliveries(room, "a")) == (120_000, 1)
