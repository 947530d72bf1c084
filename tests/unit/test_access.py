"""Roles, scopes, users and tokens: who may do what, and that a scope cannot be got around."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import ibis
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import get_logger

from opsroom.base.errors import AccessError, NotFoundError, OpsroomError, UsageError
from opsroom.base.settings import DeskSettings
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import State
from opsroom.protect.access import ALL_RIGHTS, OPEN, ROLES, Scope, User, checked_user, restrict
from opsroom.protect.audit import AuditLog
from opsroom.protect.users import Users
from opsroom.room.auditing import accept_heads, verify_room
from opsroom.room.built_in import add_built_in
from opsroom.room.dropfolder import DropFolder
from opsroom.room.dropout import dropout
from opsroom.room.guard import export_table
from opsroom.room.perturbing import open_budget
from opsroom.room.quality import quality_reports
from opsroom.room.quarantine import export_refused, list_refused
from opsroom.room.room import Room
from opsroom.room.upkeep import compact_datasets, erase_rows

AT = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)

# Written out by hand, so that a slip in the code's table does not pass for what was meant.
MATRIX = """
                 steward  analyst  publisher  reader
manage_rules        x        -         -        -
manage_datasets     x        -         -        -
manage_users        x        -         -        -
audit               x        -         -        -
ingest              x        -         -        -
quarantine          x        -         -        -
scan                x        x         x        -
view                x        -         -        -
export              x        -         -        -
query               x        x         x        -
publish             -        -         x        -
decide              -        -         x        -
read                x        x         x        x
"""


def matrix() -> dict[tuple[str, str], bool]:
    head, *lines = [line.split() for line in MATRIX.strip().splitlines()]
    return {(role, line[0]): mark == "x" for line in lines for role, mark in zip(head, line[1:], strict=True)}


def test_the_matrix_of_rights() -> None:
    wanted = matrix()
    assert set(wanted) == {(role, right) for role in ROLES for right in ALL_RIGHTS}
    for (role, right), may in wanted.items():
        user = User("u", role)
        if may:
            user.require(right)
        else:
            with pytest.raises(AccessError) as refused:
                user.require(right)
            assert refused.value.code == "OPS-A020"


def test_a_removed_user_may_nothing() -> None:
    assert User("u", "steward", removed=True).rights == frozenset()


def test_only_roles_that_do_not_act_for_the_whole_room_are_scoped() -> None:
    scope = Scope.of({"region": ["R1"]})
    for role in ROLES:
        if role in ("analyst", "reader"):
            checked_user(User("u", role, scope))
        else:
            with pytest.raises(UsageError):
                checked_user(User("u", role, scope))
    with pytest.raises(UsageError):
        checked_user(User("u", "reader", grants=frozenset({"view"})))
    with pytest.raises(UsageError):
        checked_user(User("u", "analyst", grants=frozenset({"publish"})))


@pytest.mark.parametrize("role", ["steward", "publisher"])
def test_an_act_for_the_whole_room_is_refused_to_a_scope_however_it_came_about(role: str) -> None:
    """`checked_user` lets no such user into the register; the check of the act does not rest on that."""
    user = User("u", role, Scope.of({"region": ["R1"]}))  # type: ignore[arg-type]  # one of the roles
    right = "ingest" if role == "steward" else "publish"
    with pytest.raises(AccessError) as refused:
        user.require(right)
    assert refused.value.code == "OPS-A021"
    user.require("scan")
    with pytest.raises(AccessError):
        user.require("scan", whole=True)


@pytest.mark.parametrize("columns", [{"region": []}, {"region": [" "]}, {"a b": ["x"]}, {"region": ["*"]}, {"": ["x"]}])
def test_a_scope_has_columns_and_codes(columns: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError) as refused:
        Scope.of(columns)
    assert refused.value.code == "OPS-U120"


# -- restrict ---------------------------------------------------------------------------------

CODES = ["A", "A1", "A2", "B", "B1", "", "a", "%", None]


@given(
    rows=st.lists(st.tuples(st.sampled_from(CODES), st.integers(-2, 3) | st.none()), max_size=12),
    codes=st.lists(st.sampled_from(["A", "A1", "A*", "B*", "%", "a*", "Z"]), min_size=1, max_size=3),
    numbers=st.lists(st.integers(-2, 3).map(str), max_size=2),
)
def test_restrict_keeps_what_python_keeps(
    rows: list[tuple[str | None, int | None]], codes: list[str], numbers: list[str]
) -> None:
    frame = pd.DataFrame({"region": [r for r, _ in rows], "size": [s for _, s in rows]})
    frame = frame.astype({"region": "string", "size": "Int64"})
    table = ibis.memtable(frame, schema=ibis.schema({"region": "string", "size": "int64"}))
    columns = {"region": codes} | ({"size": numbers} if numbers else {})
    found = restrict(table, Scope.of(columns), dataset="d").execute()

    def inside(region: str | None, size: int | None) -> bool:
        fits = region is not None and any(
            region.startswith(code[:-1]) if code.endswith("*") else region == code for code in codes
        )
        return fits and (not numbers or (size is not None and str(size) in numbers))

    kept = sorted((r, s) for r, s in rows if inside(r, s)) if numbers else sorted(
        ((r, s) for r, s in rows if inside(r, s)), key=lambda row: (row[0], row[1] is None, row[1] or 0)
    )  # fmt: skip
    got = [(r, None if pd.isna(s) else int(s)) for r, s in zip(found["region"], found["size"], strict=True)]
    assert sorted(got, key=lambda row: (row[0], row[1] is None, row[1] or 0)) == kept


def test_what_cannot_be_narrowed_is_not_shown() -> None:
    table = ibis.memtable(pd.DataFrame({"section": ["C"], "share": [0.5]}))
    for scope, code in (
        ({"region": ["R1"]}, "OPS-A022"),
        ({"share": ["0.5"]}, "OPS-A023"),
        ({"section": ["C"], "region": ["R1"]}, "OPS-A022"),
    ):
        with pytest.raises(AccessError) as refused:
            restrict(table, Scope.of(scope), dataset="sales")
        assert refused.value.code == code
    assert restrict(table, OPEN, dataset="sales") is table


# -- users and tokens -------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(tmp_path / "room.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(state: State, clock: Clock) -> Users:
    return Users(state, AuditLog(state), clock=clock)


def refused(users: Users, text: str) -> str:
    with pytest.raises(AccessError) as error:
        users.authenticate(text)
    assert text not in str(error.value)
    return f"{error.value.code} {error.value.message}"


def test_the_life_of_a_token(users: Users, state: State, clock: Clock, tmp_path: Path) -> None:
    users.add("ada", "analyst", by="operator", scope=Scope.of({"region": ["R1"]}))
    one = users.create_token("ada", by="operator", days=10, label="laptop")
    two = users.create_token("ada", by="operator", days=300)
    assert users.authenticate(one.text) == users.get("ada") == users.authenticate(two.text)
    assert [t.label for t in users.tokens("ada")] in (["laptop", ""], ["", "laptop"])
    # the secret is in no file of the room, not in its written form and not in the audit log
    secret = one.text.rpartition("_")[2]
    state.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
    assert secret not in repr(one)

    clock.now += dt.timedelta(days=10)
    expired = refused(users, one.text)
    assert users.authenticate(two.text).name == "ada"
    users.revoke_token(two.id, by="operator")
    revoked = refused(users, two.text)
    wrong = refused(users, two.text[:-1] + ("A" if two.text[-1] != "A" else "B"))
    nobody = refused(users, "ops_" + "0" * 12 + "_" + "A" * 43)
    garbage = refused(users, "garbage")
    assert len({expired, revoked, wrong, nobody, garbage}) == 1, "the message tells why to nobody"
    failures = [act.object for act in AuditLog(state).entries() if act.act == "login failure"]
    assert failures == [
        f"token {one.id}: expired",
        f"token {two.id}: revoked",
        f"token {two.id}: wrong secret",
        "no such token",
        "no such token",
    ]
    with pytest.raises(NotFoundError):
        users.revoke_token(two.id, by="operator")


def test_removing_a_user_revokes_the_tokens_also_after_coming_back(users: Users) -> None:
    users.add("ada", "analyst", by="operator")
    token = users.create_token("ada", by="operator")
    users.remove("ada", by="operator")
    refused(users, token.text)
    with pytest.raises(NotFoundError):
        users.create_token("ada", by="operator")
    users.add("ada", "reader", by="operator")
    refused(users, token.text)
    assert users.get("ada") == User("ada", "reader")


def test_a_token_of_a_removed_user_holds_in_no_case(users: Users, state: State) -> None:
    """Not even where somebody lifted its revocation in the database."""
    users.add("ada", "analyst", by="operator")
    token = users.create_token("ada", by="operator")
    users.remove("ada", by="operator")
    with state.begin() as connection:
        connection.exec_driver_sql("UPDATE tokens SET revoked_at = ''")
    refused(users, token.text)


def test_every_change_is_on_record_and_none_that_was_refused(users: Users, state: State) -> None:
    users.add("stella", "steward", by="operator")
    users.add("ada", "analyst", by="stella", grants=["view"])
    users.set_scope("ada", Scope.of({"region": ["R1", "R2"]}), by="stella")
    users.set_role("ada", "reader", by="stella")
    token = users.create_token("ada", by="stella")
    users.revoke_token(token.id, by="stella")
    users.remove("ada", by="stella")
    told = [(act.actor, act.act, act.object) for act in AuditLog(state).entries()]
    assert told == [
        ("operator", "user add", "stella: steward, all rows"),
        ("stella", "user add", "ada: analyst, all rows, may also view"),
        ("stella", "user scope", "ada: analyst, region=R1,R2, may also view"),
        ("stella", "user role", "ada: reader, region=R1,R2"),
        ("stella", "token create", f"{token.id} of ada"),
        ("stella", "token revoke", token.id),
        ("stella", "user remove", "ada"),
    ]
    for change in (
        lambda: users.set_role("stella", "king", by="stella"),
        lambda: users.add("stella", "reader", by="stella"),
        lambda: users.add("two words", "reader", by="stella"),
        lambda: users.set_scope("stella", Scope.of({"region": ["R1"]}), by="stella"),
        lambda: users.create_token("stella", by="stella", days=0),
        lambda: users.set_role("nobody", "reader", by="stella"),
    ):
        with pytest.raises(OpsroomError):
            change()
    assert len(AuditLog(state).entries()) == len(told)


def test_only_a_steward_or_the_owner_of_the_folder_changes_users(users: Users) -> None:
    users.add("stella", "steward", by="operator")
    for role in ("analyst", "publisher", "reader"):
        users.add(role, role, by="stella")
        for change in (
            lambda role=role: users.set_role(role, "steward", by=role),
            lambda role=role: users.add("friend", "steward", by=role),
            lambda role=role: users.create_token("stella", by=role),
            lambda role=role: users.remove("stella", by=role),
        ):
            with pytest.raises(AccessError):
                change()
    users.remove("stella", by="operator")
    with pytest.raises(AccessError):
        users.add("friend", "reader", by="stella")
    assert users.get("friend") is None


@pytest.mark.parametrize("name", ["Ada", "ADA", "ada ", " ada"])
def test_a_slip_in_a_name_makes_nobody_the_local_operator(users: Users, name: str) -> None:
    users.add("ada", "reader", by="owner")
    with pytest.raises(AccessError, match="OPS-A028"):
        users.get(name)
    with pytest.raises(AccessError, match="OPS-A028"):
        users.add("mallory", "steward", by=name)
    with pytest.raises(UsageError, match=r"OPS-U12[56]"):
        users.add(name, "steward", by="owner")
    assert users.get("adam") is None


def test_a_flood_of_failed_logins_does_not_flood_the_log(users: Users, state: State, monkeypatch) -> None:
    import opsroom.protect.users as module

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    users = Users(state, AuditLog(state), clock=Clock())
    for _ in range(100):
        refused(users, "x")
    log = AuditLog(state)
    assert len(log.entries()) == 30
    now[0] = 61.0
    refused(users, "x")
    assert log.entries()[-1].object == "no such token; 70 more not recorded one by one"
    log.verify()


# -- in a room --------------------------------------------------------------------------------

SALES = """
schema_version = 1
name = "sales"
title = "Sales"
legal_basis = "a test"
frequency = "M"
period = "month"
key = ["company", "month"]
confidential = true
unit = "enterprise"
unit_field = "company"

[[fields]]
name = "company"
type = "string"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "region"
type = "string"

[[fields]]
name = "sales"
type = "integer"
"""
DEBTS = SALES.replace('"sales"', '"debts"').replace('[[fields]]\nname = "region"\ntype = "string"\n\n', "")
PRICES = """
schema_version = 1
name = "prices"
title = "Prices"
legal_basis = "a test"
frequency = "M"
period = "month"
key = ["month"]
confidential = false
unit = "public"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "price"
type = "integer"
"""


def sales(*rows: tuple[str, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["company", "region", "sales"])
    return frame.assign(month=pd.Timestamp("2020-01-01").date())[["company", "month", "region", "sales"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Room.create(tmp_path / "room", specs=[SALES, DEBTS, PRICES], actor="operator") as room:
        room.ingest("sales", sales(("a", "R1", 1), ("b", "R2", 20), ("c", "R1", 300)), "2020-02-01")
        # "b" moves into the region, "c" out of it
        room.ingest("sales", sales(("b", "R1", 20), ("c", "R2", 300)), "2020-03-01")
        room.ingest("debts", sales(("a", "R1", 7)).drop(columns="region").rename(columns={"sales": "debts"}))
        room.ingest("prices", pd.DataFrame({"month": [dt.date(2020, 1, 1)], "price": [3]}))
        scope = Scope.of({"region": ["R1"]})
        room.users.add("ada", "analyst", by="operator", scope=scope)
        room.users.add("vera", "analyst", by="operator", scope=scope, grants=["view", "export"])
        room.users.add("stella", "steward", by="operator")
        room.users.add("paul", "publisher", by="operator")
        room.users.add("rita", "reader", by="operator")
    return tmp_path / "room"


def companies(table: ibis.Table) -> set[str]:
    return set(table.execute()["company"])


def test_a_scope_holds_for_every_scan_as_of_every_day(folder: Path) -> None:
    with Room.open(folder, actor="ada") as room:
        assert companies(room.scan("sales")) == {"a", "b"}
        assert companies(room.scan("sales", "2020-02-15")) == {"a", "c"}, "the region is the one known on the day"
        # no question on top of a scan reaches what lies outside
        scan = room.scan("sales")
        assert scan.sales.sum().execute() == 21
        assert scan.filter(scan.region == "R2").count().execute() == 0
        assert scan.union(room.scan("sales", "2020-02-15")).region.nunique().execute() == 1
        with pytest.raises(AccessError) as refused:
            room.scan("debts")
        assert refused.value.code == "OPS-A022"
        assert room.scan("prices").count().execute() == 1, "public data are public"
        for right in (lambda: room.table("sales"), lambda: export_table(room, "sales", folder / "out.csv")):
            with pytest.raises(AccessError) as denied:
                right()
            assert denied.value.code == "OPS-A020"


def test_view_and_export_are_narrowed_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with Room.open(folder, actor="vera") as room:
        assert companies(room.table("sales")) == {"a", "b"}
        assert export_table(room, "sales", out, as_of="2020-02-15") == 2
        with pytest.raises(AccessError):
            export_table(room, "debts", tmp_path / "debts.csv")
        assert not (tmp_path / "debts.csv").exists()
        acts = [(a.actor, a.act) for a in room.audit.entries()][-1]
    assert acts == ("vera", "export")
    assert set(pq.read_table(out)["company"].to_pylist()) == {"a", "c"}
    assert out.stat().st_mode & 0o077 == 0


DESK = DeskSettings("levels", "levels", {"dataset": "sales"})
WHOLE = {
    "picture": lambda room, _: room.picture(),
    "publish": lambda room, _: room.publish("2020-03-02"),
    "release": lambda room, _: room.release(object()),
    "decide": lambda room, _: room.decide("x", decider="x", legal_basis="x", review_date=dt.date(2021, 1, 1)),
    "ingest": lambda room, _: room.ingest("sales", sales(("z", "R1", 1))),
    "add_dataset": lambda room, _: room.add_dataset(PRICES.replace('"prices"', '"more"')),
    "update_dataset": lambda room, _: room.update_dataset(PRICES),
    "quarantined": lambda room, _: room.quarantined("sales"),
    "list_refused": lambda room, _: list_refused(room),
    "export_refused": lambda room, out: export_refused(room, "sales", 1, out),
    "compact": lambda room, _: compact_datasets(room),
    "quality_reports": lambda room, _: quality_reports(room, "sales"),
    "dropout": lambda room, _: dropout(room, "nobody"),
    "drop_folder": lambda room, out: DropFolder(room, out.parent, get_logger()),
    "open_budget": lambda room, _: open_budget(room, "sales", 1),
    "built_in": lambda room, _: add_built_in(room, DatasetSpec.from_toml(PRICES)),
    "run_desk": lambda room, _: room.run_desk(DESK, room.moment(None), dt.date(2020, 3, 2), {}),
    "prepare": lambda room, _: list(room.prepare(dt.date(2020, 3, 2))),
    "verify": lambda room, _: verify_room(room),
    "accept": lambda room, _: accept_heads(room, "x"),
    "erase": lambda room, _: erase_rows(room, "sales", "company", ["a"], reason="x", legal_basis="x"),
}


@pytest.mark.parametrize("act", WHOLE)
@pytest.mark.parametrize("actor", ["ada", "vera", "rita"])
def test_who_sees_a_part_cannot_act_for_the_whole(folder: Path, tmp_path: Path, act: str, actor: str) -> None:
    with Room.open(folder, actor=actor) as room:
        before = len(room.audit.entries())
        with pytest.raises(AccessError):
            WHOLE[act](room, tmp_path / "out.csv")
        assert [(a.actor, a.act) for a in room.audit.entries()[before:]] == [(actor, "denied")]


def test_roles_divide_the_work(folder: Path) -> None:
    with Room.open(folder, actor="stella") as room:
        room.ingest("sales", sales(("z", "R2", 1)))
        assert companies(room.table("sales")) == {"a", "b", "c", "z"}
        with pytest.raises(AccessError):
            room.publish("2020-03-02")
    with Room.open(folder, actor="paul") as room:
        assert room.publish("2020-03-02") == []
        with pytest.raises(AccessError):
            room.table("sales")
    with Room.open(folder, actor="rita") as room:
        for denied in (room.table, room.scan):
            with pytest.raises(AccessError):
                denied("sales")


def test_what_is_taken_away_is_gone_at_once(folder: Path) -> None:
    with Room.open(folder, actor="vera") as room, Room.open(folder, actor="stella") as steward:
        assert companies(room.table("sales")) == {"a", "b"}
        steward.users.set_scope("vera", Scope.of({"region": ["R2"]}), by="stella")
        assert companies(room.table("sales")) == {"c"}
        steward.users.remove("vera", by="stella")
        with pytest.raises(AccessError):
            room.table("sales")
        with pytest.raises(AccessError):
            room.scan("prices")


def test_a_room_without_users_belongs_to_whoever_opens_it(tmp_path: Path) -> None:
    with Room.create(tmp_path / "room", specs=[SALES], actor="whoever") as room:
        room.ingest("sales", sales(("a", "R1", 1)))
        assert companies(room.table("sales")) == {"a"}
        assert room.publish("2020-03-02") == []


def test_a_database_of_an_earlier_opsroom_gets_the_tables(tmp_path: Path) -> None:
    with Room.create(tmp_path / "room", specs=[SALES], actor="whoever"):
        pass
    with sqlite3.connect(tmp_path / "room" / "room.db") as direct:
        for table in ("tokens", "users", "verifications"):
            direct.execute(f"DROP TABLE {table}")
    direct.close()
    from opsroom.protect.reader import Releases

    reader = Releases(tmp_path / "room")
    assert reader.alarm() == ""
    reader.close()
    with Room.open(tmp_path / "room", actor="whoever") as room:
        assert room.users.all() == []
