"""A recorded erasure leaves no byte of the unit, every other row, and a record that names nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base.errors import DataError, StoreError, UsageError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import erasing
from opsroom.observe.compaction import compact
from opsroom.observe.erasing import erase, erase_before, finish, holds_before
from opsroom.observe.erasures import erasures, lift
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

AT = datetime(2020, 2, 3, 6, tzinfo=UTC)
GONE = "ZZ-erased-unit-4711"
"""Sorts last, so that it is the upper bound of its files, in the log's statistics too."""

SPEC = DatasetSpec(
    name="sales",
    title="Sales",
    frequency="M",
    period="month",
    key=("company", "month"),
    confidential=True,
    unit="enterprise",
    legal_basis="a test",
    fields=(
        FieldSpec("company", "string", column="id"),
        FieldSpec("month", "date"),
        FieldSpec("sales", "integer", min=0),
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    made = Store(tmp_path, [SPEC], state, threads=1, clock=lambda: AT + timedelta(days=99))
    yield made
    made.close()
    state.close()


def deliver(store: Store, number: int, sales: dict[str, int], month: date = date(2020, 1, 1)) -> object:
    rows = pa.table({"id": list(sales), "month": [month] * len(sales), "sales": list(sales.values())})
    return ingest(store, SPEC, rows, known_at=AT + timedelta(days=number), actor="t", reason="r")


def fill(store: Store) -> None:
    deliver(store, 1, {"a": 1, "b": 2, GONE: 3})
    deliver(store, 2, {"a": 4, GONE: 5, "bad": -1})
    deliver(store, 3, {GONE: -7, "c": 6}, date(2020, 2, 1))
    deliver(store, 4, {"a": 8}, date(2020, 2, 1))


def erase_it(store: Store) -> object:
    return erase(store, "sales", "company", [GONE], reason="a request", legal_basis="GDPR, article 17", actor="dpo")


def shown(store: Store, day: int | None = None) -> dict[tuple[str, date], int]:
    rows = store.arrow("sales", None if day is None else AT + timedelta(days=day)).to_pylist()
    return {(r["company"], r["month"]): r["sales"] for r in rows}


def holding(folder: Path) -> list[Path]:
    """Return the files in which the key stands: in clear, or in a Parquet page."""
    import pyarrow.parquet as pq

    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data += repr(pq.ParquetFile(path).read().to_pydict()).encode()
            if GONE.encode() in data:
                found.append(path)
    return found


def test_nothing_of_the_unit_is_left(store: Store) -> None:
    fill(store)
    before = {day: shown(store, day) for day in range(5)}
    versions = [d.version for d in store.deliveries("sales")]
    assert len(holding(store.path)) > 4
    done = erase_it(store)
    assert (done.keys, done.rows, done.quarantined) == (1, 2, 1)
    assert holding(store.path) == []
    for day, rows in before.items():
        assert shown(store, day) == {k: v for k, v in rows.items() if k[0] != GONE}
    assert erasures(store.state) == [done]
    assert [d.delivery for d in store.deliveries("sales")] == [1, 2, 3, 4]
    assert not store.delta("sales").orphans()
    fresh = Store(store.path, [SPEC], store.state, threads=1)
    assert shown(fresh) == shown(store)
    assert fresh.rebuild_deliveries() == 4
    for version in versions:
        with pytest.raises(StoreError, match=r"not recomputable: erasure 1") as caught:
            store.pinned({"sales": version})
        assert caught.value.code == "OPS-F040"
    assert shown(store.pinned({"sales": done.version})) == shown(store)
    fresh.close()


def test_nothing_is_left_of_what_was_compacted_before(store: Store) -> None:
    fill(store)
    compact(store, "sales")
    erase_it(store)
    assert holding(store.path) == []
    assert shown(store, 1) == {("a", date(2020, 1, 1)): 1, ("b", date(2020, 1, 1)): 2}


def test_versions_before_the_unit_came_stay_readable(store: Store) -> None:
    deliver(store, 0, {"a": 1, "b": 1})
    early = store.version("sales")
    fill(store)
    erase_it(store)
    assert shown(store.pinned({"sales": early})) == {("a", date(2020, 1, 1)): 1, ("b", date(2020, 1, 1)): 1}


def test_an_erased_unit_does_not_come_back_until_the_erasure_is_lifted(store: Store) -> None:
    fill(store)
    erase_it(store)
    report = deliver(store, 10, {GONE: 9, "d": 1}, date(2019, 3, 1))
    assert (report.accepted, report.quarantined, dict(report.reasons)) == (1, 1, {"OPS-D040": 1})
    (told,) = (a for a in report.quality.alarms if a.kind == "erased_unit")
    assert told.words.startswith("1 row(s) of units that were erased (erasure 1) were refused")
    assert "opsroom store lift 1" in told.words
    assert GONE not in report.summary() + repr(report.quality)
    kept = store.quarantine("sales", report.delivery).to_pylist()
    assert [(r["code"], r["record"], r["row"]) for r in kept] == [("OPS-D040", "", 1)], "said in quarantine, too"
    report = deliver(store, 11, {GONE: -9, "e": 1}, date(2019, 3, 1))
    assert (report.accepted, report.quarantined, dict(report.reasons)) == (1, 1, {"OPS-D028": 1})
    assert holding(store.path) == []
    assert lift(store.state, 1, AT)
    report = deliver(store, 12, {GONE: 9}, date(2019, 3, 1))
    assert report.accepted == 1
    assert "erased_unit" not in {a.kind for a in report.quality.alarms}


def test_an_erasure_that_was_interrupted_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ("_find", "_rewrite", "clear", "_redact", "_clean_quarantine", "_recorded")
    for number, step in enumerate(steps):
        with monkeypatch.context() as patch:
            fill_again = {f"{GONE}-{number}": 1, "a": number}
            deliver(store, 20 + number, fill_again, date(2019, 1 + number, 1))

            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(erasing, step, stop)
            with pytest.raises(KeyboardInterrupt):
                erase(store, "sales", "company", [f"{GONE}-{number}"], reason="r", legal_basis="l", actor="dpo")
        again = Store(store.path, [SPEC], store.state, threads=1)
        assert finish(again, "sales")
        assert not finish(again, "sales")
        assert holding(store.path) == []
        assert ("a", date(2019, 1 + number, 1)) in shown(again)
        assert len(erasures(store.state)) == number + 1
        assert not again.delta("sales").orphans()
        again.close()


def test_a_unit_that_is_not_there_is_recorded_and_banned(store: Store) -> None:
    deliver(store, 1, {"a": 1})
    done = erase_it(store)
    assert (done.rows, done.covers(store.version("sales"))) == (0, False)
    assert deliver(store, 2, {GONE: 1, "b": 1}).quarantined == 1


@pytest.mark.parametrize(
    ("field", "values", "reason", "error"),
    [
        ("company", [GONE], "", UsageError),
        ("company", [], "r", UsageError),
        ("nothing", ["a"], "r", UsageError),
        ("sales", ["many"], "r", DataError),
    ],
)
def test_what_cannot_be_erased_is_told(
    store: Store, field: str, values: list[str], reason: str, error: type[Exception]
) -> None:
    deliver(store, 1, {"a": 1})
    with pytest.raises(error):
        erase(store, "sales", field, values, reason=reason, legal_basis="l", actor="dpo")
    assert shown(store) == {("a", date(2020, 1, 1)): 1}


# -- by age ---------------------------------------------------------------------------------------

LAW = {"reason": "kept for 30 days", "legal_basis": "agreement 7", "actor": "dpo"}
Rows = list[tuple[str, int, int, int, int]]
"""Company, value (its number), knowledge day, recording day, delivery."""


def history(store: Store, known: list[int]) -> Rows:
    """Deliver on days 1, 2, 3 … what became known on other days; every value is new."""
    made: Rows = []
    for number, day in enumerate(known, 1):
        store.clock = lambda number=number: AT + timedelta(days=40 + number)  # type: ignore[misc]  # bound at once
        own = {company: 10 * number + k for k, company in enumerate("abc") if (number + k) % 3 or number == 1}
        deliver(store, day, {**own, f"bad{number}": -1})
        made += [(company, value, day, 40 + number, number) for company, value in own.items()]
    store.clock = lambda: AT + timedelta(days=99)
    return made


def holders(rows: Rows, day: int) -> dict[str, tuple[str, int, int, int, int]]:
    found: dict[str, tuple[str, int, int, int, int]] = {}
    for row in sorted(rows, key=lambda r: (r[2], r[4])):
        if row[2] <= day:
            found[row[0]] = row
    return found


def stay(rows: Rows, before: int) -> Rows:
    """Return the rows that an erasure of what was recorded before a day leaves: the definition, row by row."""
    return [r for r in rows if not any(o[0] == r[0] and (o[2], o[4]) >= (r[2], r[4]) and o[3] < before for o in rows)]


@pytest.mark.parametrize("known", [[1, 2, 3, 4, 5, 6], [1, 9, 3, 4, 12, 6], [5, 4, 3, 2, 1, 8]])
@pytest.mark.parametrize("compacted", ["never", "before", "after"])
def test_what_is_older_than_a_day_goes_and_nothing_holds_again(store: Store, known: list[int], compacted: str) -> None:
    rows = history(store, known)
    if compacted == "before":
        compact(store, "sales", vacuum=True)
    before = 43
    left = stay(rows, before)
    done = erase_before(store, "sales", AT + timedelta(days=before), **LAW)
    if compacted == "after":
        deliver(store, 50, {"z": 1})
        compact(store, "sales", vacuum=True)
    assert (done.rows, done.keys, done.field) == (len(rows) - len(left), 0, "recorded_at")
    for day in range(14):
        now = {company: value for (company, _), value in shown(store, day).items()}
        assert now == {company: row[1] for company, row in holders(left, day).items()}
        was = holders(rows, day)
        assert all(was[company][1] == value for company, value in now.items()), "what was over holds again"
    assert not any(row[3] < before for row in left)
    assert [store.quarantine("sales", n).num_rows for n in range(1, 7)] == [0, 0, 1, 1, 1, 1], "refused rows age, too"
    assert done.quarantined == 2
    assert not holds_before(store, "sales", AT + timedelta(days=before))
    assert holds_before(store, "sales", AT + timedelta(days=before + 1))
    assert deliver(store, 60, {"a": 11}).accepted == 1, "later deliveries are taken as they come"


def test_an_erasure_by_age_that_was_interrupted_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = history(store, [1, 9, 3, 4, 12, 6])
    for number, step in enumerate(("_find", "_rewrite", "_clean_quarantine", "_recorded")):
        before = 42 + number
        with monkeypatch.context() as patch:

            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(erasing, step, stop)
            with pytest.raises(KeyboardInterrupt):
                erase_before(store, "sales", AT + timedelta(days=before), **LAW)
        again = Store(store.path, [SPEC], store.state, threads=1, clock=store.clock)
        assert finish(again, "sales")
        assert not finish(again, "sales")
        assert not holds_before(again, "sales", AT + timedelta(days=before))
        left = stay(rows, before)
        assert {c: v for (c, _), v in shown(again, 13).items()} == {c: r[1] for c, r in holders(left, 13).items()}
        assert len(erasures(store.state)) == number + 1
        assert not again.delta("sales").orphans()
        again.close()


def test_an_erasure_by_age_is_of_the_past_and_has_reasons(store: Store) -> None:
    fill(store)
    with pytest.raises(UsageError) as caught:
        erase_before(store, "sales", AT + timedelta(days=100), **LAW)
    assert caught.value.code == "OPS-U114"
    with pytest.raises(UsageError) as caught:
        erase_before(store, "sales", AT, **(LAW | {"legal_basis": " "}))
    assert caught.value.code == "OPS-U110"
    done = erase_before(store, "sales", AT, **LAW)
    assert (done.rows, done.covers(store.version("sales"))) == (0, False)
    assert "recorded before 2020-02-03T06:00:00 UTC" in done.reason
