"""The desk of warnings on a room's own releases; taking note; telling others."""

from __future__ import annotations

import datetime as dt
import json
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy.exc import IntegrityError

from opsroom.base.errors import NotFoundError, SettingsError, UsageError, UserError
from opsroom.base.settings import DeskSettings
from opsroom.base.state import State
from opsroom.room import Room
from opsroom.room.notify import tell, ways
from opsroom.room.warning import published, take_note
from opsroom.warn.noted import noted

DAY = dt.date(2020, 3, 4)
TRIPS = {
    "name": "trips", "series": "flows.weekly", "measure": "gap", "by": ["flow"], "where": {"flow": "trips"},
    "direction": "below", "raise_at": -20, "clear_at": -10, "unit": "%",
}  # fmt: skip
EVENT = {
    "series": "resumption.national", "measure": "resumed", "where": {"weight": "count", "size": "_T"}, "by": [],
    "direction": "below", "raise_at": 80, "within_days": 60,
}  # fmt: skip


def desk(*rules: dict[str, Any]) -> DeskSettings:
    return DeskSettings("warnings", "warnings", {"rules": list(rules)})


def test_warnings_are_what_the_releases_of_each_day_said(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        releases = room.releases()
        outcome = room.run_desk(desk({**TRIPS, "followed_by": EVENT}), room.moment(DAY), DAY, {})
        history = [r for r in releases.history("flows.weekly") if r.day <= DAY]
        work = [r for r in releases.history("resumption.national") if r.day <= DAY]
    (cells,) = outcome.cells
    assert cells.public  # it rests on nothing but what is out
    said = {}
    for release in history:
        frame = release.to_frame(where={"flow": "trips"}).dropna(subset=["gap"])
        said[release.day] = (frame["week"].max(), float(frame.set_index("week")["gap"].iloc[-1]))
    below = [day for day, (_, gap) in sorted(said.items()) if gap <= -20]
    row = cells.frame.iloc[0]
    assert len(cells.frame) == 1
    assert row["since"] == below[0].isoformat()
    assert (row["period"], row["value"]) == said[max(said)]
    assert row["peak"] == min(gap for day, (_, gap) in said.items() if day >= below[0])
    assert row["state"] == ("new" if below[0] == DAY else "standing")
    fell = []
    for release in work:
        frame = release.to_frame(where={"weight": "count", "size": "_T"}).dropna(subset=["resumed"])
        if len(frame) and float(frame.sort_values("date")["resumed"].iloc[-1]) <= 80:
            fell.append(release.day)
    came = [day for day in fell if below[0] <= day]
    assert (row["raised"], row["followed"]) == (1, int(bool(came)))
    assert cells.facts["rules"][0]["within_days"] == 60
    assert cells.facts["standing"] == 1


def test_as_of_an_earlier_day_the_desk_says_what_it_said_then(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        days = [r.day for r in room.releases().history("flows.weekly") if r.day <= DAY]
        found = {day: room.run_desk(desk(TRIPS), room.moment(day), day, {}) for day in days}
    for day, outcome in found.items():
        for cells in outcome.cells:
            assert (cells.frame["since"] <= day.isoformat()).all()
        assert outcome.cells  # an empty inbox is told, too


def test_meridias_own_inbox_is_out_and_can_be_taken_note_of(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        found = published(room.releases())
        assert {"work", "flows"} <= {str(one["rule"]) for one in found}
        name = str(found[0]["warning"])
        take_note(room, name, who="Rosa Tanner", words="Customs were asked.")
        with pytest.raises(UsageError, match="already"):
            take_note(room, name, who="Somebody Else")
        with pytest.raises(UsageError, match="nobody is named"):
            take_note(room, str(found[1]["warning"]), who=" ")
        with pytest.raises(NotFoundError, match="no warning"):
            take_note(room, "nothing", who="Rosa Tanner")
        day = room.moment(None).astimezone(room.zone).date()
        rules = next(d for d in room.settings.desks if d.kind == "warnings")
        later = room.run_desk(rules, room.moment(day), day, {}).cells[0].frame.set_index("warning")
        assert (later.loc[name, "acknowledged_by"], later.loc[name, "words"]) == ("Rosa Tanner", "Customs were asked.")
        before = room.run_desk(rules, room.moment(DAY), DAY, {}).cells[0].frame
        if day > DAY:
            assert before["acknowledged_by"].isna().all()  # as of an earlier day nobody had
        assert [a.object for a in room.audit.entries() if a.act == "note"] == [name]
        with pytest.raises(IntegrityError, match="append-only"), room.state.begin() as connection:
            connection.exec_driver_sql("DELETE FROM warnings_noted")
        assert set(noted(room.state, day)) == {name}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"name": "x"}, "lacks 'series'"),
        ({**TRIPS, "raise_at": "low"}, "'raise_at' is of the wrong type"),
        ({**TRIPS, "colour": "red"}, "unknown field 'colour'"),
        ({**TRIPS, "followed_by": {"series": "x", "measure": "y", "raise_at": 1}}, "lacks 'within_days'"),
        ({**TRIPS, "followed_by": {**EVENT, "within_days": 0}}, "within_days"),
        ({**TRIPS, "direction": "sideways"}, "direction"),
        ({**TRIPS, "clear_at": -30}, "end before"),
    ],
)
def test_wrong_rules_are_told(own_room: Path, rule: dict[str, Any], said: str) -> None:
    with Room.open(own_room, actor="test") as room, pytest.raises(UserError, match=said):
        room.run_desk(desk(rule), room.moment(DAY), DAY, {})


class Receiver:
    """A loopback receiver of webhooks that answers as it is told."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.status == 200:
                    outer.got.append(json.loads(body))
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"


def warning(name: str, state: str = "new") -> dict[str, Any]:
    return {
        "warning": name, "rule": "trips", "about": "trips", "state": state, "value": -40.0, "threshold": -20.0,
        "since": "2020-03-04", "period": "2020-W09", "title": "A flow far below its normal", "unit": "%",
        "levers": ["ask the customs"], "false_alarm_cost": "a day of staff time", "series": "flows.weekly",
        "measure": "gap", "within_days": 60, "raised": 3.0, "followed": 2.0, "false": 1.0,
    }  # fmt: skip


def test_each_warning_is_told_once_by_each_way_and_again_where_it_could_not_be(tmp_path: Path) -> None:
    state, receiver = State.open(tmp_path / "room.db"), Receiver()
    now = dt.datetime(2020, 3, 4, tzinfo=dt.UTC)
    named = ways({"notify": {"webhook": receiver.address, "mail": "outbox"}}, tmp_path)

    def send(*ones: dict[str, Any]) -> list[str]:
        return tell(state, named, ones, room="Meridia", now=now)

    receiver.status = 500
    assert send(warning("a")) == ["webhook: HTTPError"]
    receiver.status = 302
    assert send(warning("a")) == ["webhook: HTTPError"]  # it is not sent on to somebody else
    receiver.status = 200
    assert send(warning("a"), warning("b"), warning("c", "ended")) == []
    assert send(warning("a"), warning("b")) == []
    assert [one["warning"] for one in receiver.got] == ["a", "b"]
    assert receiver.got[0]["room"] == "Meridia"
    mails = sorted((tmp_path / "outbox").iterdir())
    assert [m.name for m in mails] == ["a.eml", "b.eml"]
    mail = message_from_bytes(mails[0].read_bytes())
    assert mail["Subject"] == "Meridia: trips, trips"
    said = str(mail.get_payload())
    assert "A flow far below its normal: trips stands at -40.0 % in 2020-W09." in said
    assert "Record: 2 of 3 followed (14 to 98 %), 1 false." in said  # no way tells of a warning without its record
    assert "What a false alarm costs: a day of staff time." in said
    assert "What may be done: ask the customs." in said
    assert "Evidence: gap of flows.weekly." in said
    assert receiver.got[0]["levers"] == ["ask the customs"]
    receiver.close()
    assert send(warning("d")) in (["webhook: URLError"], ["webhook: ConnectionResetError"], ["webhook: TimeoutError"])
    assert (tmp_path / "outbox" / "d.eml").exists()  # one way's fault is not another's
    state.close()


@pytest.mark.parametrize("given", [{"webhook": "ftp://host/x"}, {"webhook": "no address"}, {"pager": "x"}, "everybody"])
def test_a_way_that_there_is_not_is_refused(tmp_path: Path, given: object) -> None:
    with pytest.raises(SettingsError, match="notify"):
        ways({"notify": given}, tmp_path)


QUIET = """schema_version = 1
[room]
title = "Quiet"
timezone = "UTC"
[[desks]]
kind = "levels"
dataset = "prices"
[[desks]]
kind = "warnings"
keep_days = 20
rules = [
  {name = "prices", series = "prices.levels", measure = "value", raise_at = 200},
  {name = "never", series = "nothing.here", measure = "value", raise_at = 200},
]
"""
PRICES = """schema_version = 1
name = "prices"
title = "Prices"
provider = "an office"
licence = "public"
frequency = "M"
period = "month"
key = ["month"]
confidential = false
unit = "public"
[[fields]]
name = "month"
type = "date"
required = true
[[fields]]
name = "value"
type = "number"
"""


def test_a_room_where_nothing_crossed_a_threshold_says_so(tmp_path: Path) -> None:
    def learn(room: Room, month: str, value: float, on: dt.date) -> Any:
        row = pa.table({"month": pa.array([dt.date.fromisoformat(month)]), "value": pa.array([value])})
        room.ingest("prices", row, dt.datetime.combine(on, dt.time(8), dt.UTC))
        (inbox,) = (r for r in room.publish(on) if r.name == "warnings.inbox")
        return inbox

    with Room.create(tmp_path / "room", settings=QUIET, specs=[PRICES], actor="test") as room:
        first = learn(room, "2020-01-01", 100.0, dt.date(2020, 2, 3))
        assert len(first.rows) == 0
        assert first.facts["standing"] == 0
        # a rule that has read its series and one whose series is not out are not told alike
        assert [rule["last_read"] for rule in first.facts["rules"]] == ["2020-02-03", ""]
        assert published(room.releases()) == []
        assert len(learn(room, "2020-02-01", 250.0, dt.date(2020, 3, 3)).rows) == 1
        assert learn(room, "2020-03-01", 150.0, dt.date(2020, 4, 3)).facts["standing"] == 0
        # the last one ended long ago: the inbox is empty again, not as it was
        assert len(learn(room, "2020-04-01", 150.0, dt.date(2020, 5, 3)).rows) == 0
