"""Tokens over HTTP and on the command line, and the alarm that a failed verification raises everywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsroom.base.errors import AccessError, OpsroomError, SettingsError, StoreError
from opsroom.faces.callers import token_of
from opsroom.faces.cli.main import app
from opsroom.faces.cli.main import run as run_guarded
from opsroom.faces.web import create_app
from opsroom.protect.access import RIGHTS, ROLES
from opsroom.protect.reader import Releases
from opsroom.room.door import Door
from opsroom.room.opening import plain_settings
from opsroom.room.room import Room

API = "/api/v1"
CONFIDENTIAL = 'confidential = true\nunit = "enterprise"\nunit_field = "company"'
PUBLIC = 'confidential = false\nunit = "public"'
SALES = f"""
schema_version = 1
name = "sales"
title = "Sales"
legal_basis = "a test"
frequency = "M"
period = "month"
key = ["company", "month"]
{CONFIDENTIAL}

[[fields]]
name = "company"
type = "string"

[[fields]]
name = "month"
type = "date"
"""


def run(*words: str) -> None:
    app(list(words), result_action="return_value")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSROOM_ACTOR", "operator")
    Room.create(tmp_path / "room").close()
    return tmp_path / "room"


@pytest.fixture
def tokens(folder: Path) -> dict[str, str]:
    with Room.open(folder, actor="operator") as room:
        for role in ROLES:
            room.users.add(role, role, by="operator")
        return {role: room.users.create_token(role, by="operator").text for role in ROLES}


Serve = Callable[[], Any]


@pytest.fixture
def serve(folder: Path, web_client: Callable[[Any], Any]) -> Iterator[Serve]:
    """What serves the room as it is now."""
    with contextlib.ExitStack() as stack:

        def served() -> Any:
            reader, door = Releases(folder), Door(folder)
            stack.callback(reader.close)
            stack.callback(door.close)
            return web_client(create_app(reader, door=door))

        yield served


def want_tokens(folder: Path) -> None:
    text = plain_settings("room") + '\n[access]\nreaders = "token"\n'
    (folder / "room.toml").write_text(text, encoding="utf-8")
    Room.open(folder, actor="operator").close()  # writes public.json anew


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_open_readers_need_no_token_but_other_routes_do(serve: Serve, tokens: dict[str, str]) -> None:
    client = serve()
    assert client.get(f"{API}/days").status_code == 200
    for sent in ({}, bearer("ops_nothing"), {"Authorization": "Bearer"}, {"Authorization": "Digest x"}):
        answer = client.get(f"{API}/me", headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "OPS-A024")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for role in ROLES:
        me = client.get(f"{API}/me", headers=bearer(tokens[role])).json()
        assert (me["name"], me["role"], me["rights"]) == (role, role, sorted(RIGHTS[role]))
        head = client.get(f"{API}/audit/head", headers=bearer(tokens[role]))
        assert head.status_code == (200 if role == "steward" else 403)
        if role != "steward":
            assert head.json()["code"] == "OPS-A020"


def test_a_room_that_wants_tokens_shows_nothing_without(folder: Path, serve: Serve, tokens: dict[str, str]) -> None:
    want_tokens(folder)
    client = serve()
    pages = [
        "/",
        "/data",
        "/warnings",
        "/decisions",
        "/methods",
        "/figure/x",
        "/figure/x.csv",
        "/figure/x.json",
        "/release/x",
    ]
    described = client.get(f"{API}/openapi.json").json()["paths"]
    routes = [f"{API}{path.replace('{id}', 'x').replace('{name}', 'x')}" for path in described if path != "/health"]
    assert len(routes) >= 13
    for path in [*pages, *routes]:
        refused = client.get(path)
        assert refused.status_code == 401, path
        assert "www-authenticate" in refused.headers
        for sent in (bearer(tokens["reader"]), basic("anybody", tokens["reader"])):
            assert client.get(path, headers=sent).status_code != 401, path
    assert client.get("/").headers["www-authenticate"].startswith("Basic")
    assert client.get(f"{API}/health").status_code == 200
    assert client.get("/static/opsroom.css").status_code == 200
    for path in ("/static/../data", "/static/%2e%2e/data", "//data", "/api/../data"):
        assert client.get(path).status_code in (401, 404), path


def test_a_revoked_token_opens_nothing_from_the_next_call_on(
    folder: Path, serve: Serve, tokens: dict[str, str]
) -> None:
    want_tokens(folder)
    client = serve()
    assert client.get(f"{API}/days", headers=bearer(tokens["reader"])).status_code == 200
    run("token", "revoke", tokens["reader"].split("_")[1], "--room", str(folder))
    assert client.get(f"{API}/days", headers=bearer(tokens["reader"])).status_code == 401
    run("user", "remove", "analyst", "--room", str(folder))
    assert client.get(f"{API}/days", headers=bearer(tokens["analyst"])).status_code == 401
    with Room.open(folder, actor="operator") as room:
        failures = [act for act in room.audit.entries() if act.act == "login failure"]
        assert len(failures) == 2
        room.audit.verify()


def test_a_room_that_wants_tokens_is_not_served_without_a_door(folder: Path) -> None:
    want_tokens(folder)
    reader = Releases(folder)
    with pytest.raises(SettingsError) as refused:
        create_app(reader)
    assert refused.value.code == "OPS-C020"
    reader.close()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        (basic("x", "abc")["Authorization"], "abc"),
        (basic("x", "a:b")["Authorization"], "a:b"),
        (basic("x", "")["Authorization"], None),
        ("Basic !!", None),
        ("Basic /w==", None),
        ("abc", None),
        ("", None),
    ],
)
def test_the_header_is_read(header: str, token: str | None) -> None:
    assert token_of(header) == token


@pytest.mark.parametrize("text", ['readers = "all"', 'verify = "never"', "readers = 1", 'other = "x"'])
def test_settings_that_are_not_understood_are_refused(folder: Path, text: str) -> None:
    (folder / "room.toml").write_text(plain_settings("room") + f"\n[access]\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        Room.open(folder, actor="operator")


def test_users_and_tokens_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    at = ("--room", str(folder), "--json")

    def told(*words: str) -> Any:
        capsys.readouterr()
        run(*words, *at)
        return json.loads(capsys.readouterr().out)

    made = told("user", "add", "ada", "--role", "analyst", "--scope", "region=R1,R2", "--scope", "section=C*")
    assert made["scope"] == {"region": ["R1", "R2"], "section": ["C*"]}
    assert told("user", "scope", "ada", "--scope", "region=R3")["scope"] == {"region": ["R3"]}
    with pytest.raises(OpsroomError):
        run("user", "role", "ada", "steward", "--room", str(folder))
    assert told("user", "scope", "ada")["scope"] == {}
    assert told("user", "role", "ada", "steward")["role"] == "steward"
    token = told("token", "create", "ada", "--days", "5", "--label", "x")
    assert set(token) == {"id", "user", "expires_at", "token"}
    (listed,) = told("token", "list")
    assert (listed["id"], listed["state"]) == (token["id"], "holds")
    assert token["token"] not in json.dumps(listed)
    run("token", "revoke", token["id"], "--room", str(folder))
    assert told("token", "list", "ada")[0]["state"] == "revoked"
    assert [u["name"] for u in told("user", "list")] == ["ada"]
    # a user without the right is refused with the exit code of access, and it is on record
    run("user", "add", "rita", "--role", "reader", "--room", str(folder))
    monkeypatch.setenv("OPSROOM_ACTOR", "rita")
    for words in (("user", "list"), ("token", "list"), ("audit", "verify"), ("audit", "list"), ("audit", "head")):
        with pytest.raises(AccessError):
            run(*words, "--room", str(folder))
    with pytest.raises(SystemExit) as ended:
        run_guarded(["user", "add", "me", "--role", "steward", "--room", str(folder)])
    assert ended.value.code == 15
    monkeypatch.setenv("OPSROOM_ACTOR", "operator")
    acts = told("audit", "list", "--last", "100")
    assert sum(act["act"] == "denied" for act in acts) == 5


def test_a_privacy_budget_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    at = ("--room", str(folder), "--json")
    spec = folder / "sales.toml"
    spec.write_text(SALES, encoding="utf-8")
    run("dataset", "add", str(spec), "--room", str(folder))
    spec.write_text(SALES.replace('"sales"', '"prices"').replace(CONFIDENTIAL, PUBLIC), encoding="utf-8")
    run("dataset", "add", str(spec), "--room", str(folder))
    with pytest.raises(OpsroomError) as public:
        run("budget", "open", "prices", "--epsilon", "1", *at)
    assert public.value.code == "OPS-U143"
    run("budget", "open", "sales", "--epsilon", "1.5", *at)
    with Room.open(folder, actor="operator") as room:
        room.budgets.spend("sales", "0.25", purpose="a table", by="operator")
    capsys.readouterr()
    run("budget", "show", "sales", *at)
    told = json.loads(capsys.readouterr().out)
    assert (told["total"], told["spent"], told["left"]) == ("1.5", "0.25", "1.25")
    assert [(one["actor"], one["epsilon"], one["purpose"]) for one in told["entries"]] == [
        ("operator", "0.25", "a table")
    ]


def test_a_room_that_cannot_be_written_is_served_without_tokens_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from opsroom.faces.cli.reading import open_door

    def locked(*_: object) -> None:
        raise StoreError("the room's database cannot be read or written.", code="OPS-F012")

    monkeypatch.setattr("opsroom.room.door.State.open", locked)
    assert open_door(folder) is None
    assert "without routes that need a token" in capsys.readouterr().err
    monkeypatch.undo()
    want_tokens(folder)
    monkeypatch.setattr("opsroom.room.door.State.open", locked)
    with pytest.raises(StoreError):
        open_door(folder)


# -- the alarm --------------------------------------------------------------------------------


def cut(folder: Path, count: int) -> None:
    """Cut entries off the end of the log, as someone with a SQLite shell would."""
    with contextlib.closing(sqlite3.connect(folder / "room.db")) as direct, direct:
        direct.execute("DELETE FROM audit WHERE seq > (SELECT max(seq) FROM audit) - ?", (count,))


def restore(source: Path, target: Path) -> None:
    """Copy a database that may be in use."""
    with contextlib.closing(sqlite3.connect(source)) as one, contextlib.closing(sqlite3.connect(target)) as two:
        one.backup(two)


def checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    with contextlib.suppress(SystemExit):
        run("doctor", "--room", str(folder), "--json")
    return {one["check"]: one for one in json.loads(capsys.readouterr().out)}


def test_a_failed_verification_is_seen_everywhere_until_one_succeeds(
    folder: Path, serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room = ("--room", str(folder))
    run("publish", "--as-of", "2026-01-05", *room)
    run("audit", "verify", *room)
    restore(folder / "room.db", tmp_path / "backup.db")
    assert serve().get(f"{API}/health").json()["status"] == "ok"
    assert checked(folder, capsys)["verification"]["ok"]

    with contextlib.closing(sqlite3.connect(folder / "room.db")) as direct, direct:
        direct.execute("UPDATE audit SET actor = 'somebody' WHERE seq = 1")
    with pytest.raises(SystemExit) as ended:
        run_guarded(["audit", "verify", *room])
    assert ended.value.code == StoreError.exit_code
    health = serve().get(f"{API}/health").json()
    assert health["status"] == "alarm"
    assert health["alarm"].startswith("OPS-F033")
    found = checked(folder, capsys)
    assert found["verification"]["finding"].startswith("ALARM: OPS-F033")
    assert not found["verification"]["ok"]
    assert not found["audit log"]["ok"]
    with Room.open(folder, actor="operator") as opened:
        assert opened.audit.entries()[-1].act == "audit alarm"

    restore(tmp_path / "backup.db", folder / "room.db")
    run("audit", "verify", *room)
    assert serve().get(f"{API}/health").json()["status"] == "ok"


def test_the_page_shows_the_alarm(web_client: Any, public_releases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = web_client(create_app(public_releases))
    assert 'role="alert"' not in client.get("/").text
    monkeypatch.setattr(public_releases, "alarm", lambda: "OPS-F033: the audit log is not <intact>.", raising=True)
    page = client.get("/").text
    assert 'role="alert"' in page
    assert "not &lt;intact&gt;" in page


def test_an_end_cut_off_is_seen_against_heads_kept_elsewhere(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room = ("--room", str(folder))
    run("publish", "--as-of", "2026-01-05", *room)
    run("user", "add", "ada", "--role", "reader", *room)
    capsys.readouterr()
    run("audit", "head", *room)
    head = capsys.readouterr().out.strip()
    shutil.copy(folder / "public.json", tmp_path / "kept.json")

    cut(folder, 1)
    run("audit", "verify", *room)  # nothing that was written down in the room itself is missing
    with pytest.raises(StoreError) as seen:
        run("audit", "verify", "--head", head, *room)
    assert seen.value.code in ("OPS-F035", "OPS-F036")

    cut(folder, 2)  # now the publication itself is gone
    with pytest.raises(StoreError) as seen:
        run("audit", "verify", *room)
    assert seen.value.code == "OPS-F035"
    with pytest.raises(StoreError):
        run("publish", "--as-of", "2026-01-06", *room)
    (folder / "public.json").unlink()  # the forger takes away what the room itself knows
    Room.open(folder, actor="operator").close()
    with pytest.raises(StoreError):
        run("audit", "verify", "--against", str(tmp_path / "kept.json"), *room)
    shutil.copy(tmp_path / "kept.json", folder / "public.json")
    run("audit", "accept", "--reason", "restored from the backup of Monday", *room)
    run("audit", "verify", *room)
    run("publish", "--as-of", "2026-01-06", *room)
    with Room.open(folder, actor="operator") as opened:
        assert any(act.act == "accept heads" and "Monday" in act.object for act in opened.audit.entries())


def test_verification_may_be_part_of_publishing(folder: Path) -> None:
    room = ("--room", str(folder))
    text = plain_settings("room") + '\n[access]\nverify = "publish"\n'
    (folder / "room.toml").write_text(text, encoding="utf-8")
    run("user", "add", "paul", "--role", "publisher", *room)
    run("publish", "--as-of", "2026-01-05", *room)
    with Room.open(folder, actor="paul") as opened:
        assert opened.audit.last_verification() is not None
    with contextlib.closing(sqlite3.connect(folder / "room.db")) as direct, direct:
        direct.execute("UPDATE audit SET object = 'x' WHERE seq = 1")
    with Room.open(folder, actor="paul") as opened:
        with pytest.raises(StoreError):
            opened.publish("2026-01-06")
        assert not opened.audit.has("publish", "2026-01-06")


def test_the_ledger_is_held_against_kept_releases_and_briefings(own_room: Path, tmp_path: Path) -> None:
    room = ("--room", str(own_room))
    reader = Releases(own_room)
    last = max((r for n in reader.names() for r in reader.history(n)), key=lambda r: r.stamp["ledger"])
    (tmp_path / "release.json").write_bytes(last.json_bytes)
    reader.close()
    run("brief", "--out", str(tmp_path / "brief.json"), *room)
    kept = [str(tmp_path / name) for name in ("release.json", "brief.json")]
    for file in kept:
        run("audit", "verify", "--against", file, *room)
    with contextlib.closing(sqlite3.connect(own_room / "room.db")) as direct, direct:
        direct.execute("DELETE FROM judgements WHERE seq = (SELECT max(seq) FROM releases)")
        direct.execute("DELETE FROM releases WHERE seq = (SELECT max(seq) FROM releases)")
    (own_room / "public.json").unlink()
    run("audit", "verify", *room)
    for file in kept:
        with pytest.raises(StoreError) as seen:
            run("audit", "verify", "--against", file, *room)
        assert seen.value.code == "OPS-F035"
