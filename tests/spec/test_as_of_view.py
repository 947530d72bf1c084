"""What a dataset looks like as of a day: drawn tables, read by a reference interpreter and by the store.

Each case draws its deliveries as text, one line a row::

    delivery  known       key  period      value
    1         2020-01-06  a    2020-01-01  10
    2         2020-01-07  a    2020-01-01  -        (taken back)

and the view that is expected on days. The interpreter below is the definition; the store must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base.periods import end_of_day
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

ZONE = "Europe/Vienna"

SPEC = DatasetSpec(
    name="readings",
    title="Readings",
    frequency="D",
    period="period",
    key=("key", "period"),
    confidential=True,
    unit="enterprise",
    legal_basis="a test",
    fields=(
        FieldSpec("key", "string"),
        FieldSpec("period", "date"),
        FieldSpec("value", "integer"),
    ),
)

Row = tuple[str, str, int]


@dataclass(frozen=True)
class Drawn:
    """One line of a drawn table; value None takes the key back."""

    delivery: int
    known: date
    key: str
    period: str
    value: int | None


def read(drawing: str) -> list[Drawn]:
    """Read a drawn table."""
    rows = []
    for line in drawing.strip().splitlines()[1:]:
        number, known, key, period, value, *_ = line.split()
        amount = None if value == "-" else int(value)
        rows.append(Drawn(int(number), date.fromisoformat(known), key, period, amount))
    return rows


def interpret(rows: list[Drawn], day: date) -> set[Row]:
    """Return the view as of a day, by the definition: the latest row of each key, ties by delivery."""
    latest: dict[tuple[str, str], Drawn] = {}
    for row in sorted(rows, key=lambda r: (r.known, r.delivery)):
        if row.known <= day:
            latest[row.key, row.period] = row
    return {(r.key, r.period, r.value) for r in latest.values() if r.value is not None}


def load(store: Store, rows: list[Drawn]) -> None:
    """Deliver a drawn table, delivery by delivery."""
    for number in sorted({r.delivery for r in rows}):
        mine = [r for r in rows if r.delivery == number]
        back = mine[0].value is None
        table = pa.table(
            {
                "key": [r.key for r in mine],
                "period": [date.fromisoformat(r.period) for r in mine],
                **({} if back else {"value": [r.value for r in mine]}),
            }
        )
        moment: datetime = end_of_day(mine[0].known, ZONE)
        ingest(store, SPEC, table, known_at=moment, actor="test", reason="drawn", deletions=back)


def view(store: Store, day: date) -> set[Row]:
    """Return the store's view as of a day."""
    rows = store.arrow("readings", day).to_pylist()
    assert len({(r["key"], r["period"]) for r in rows}) == len(rows), "a key occurs once in a view"
    return {(r["key"], r["period"].isoformat(), r["value"]) for r in rows}


CASES = {
    "a first row is known from its day on": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        1         2020-01-06  b    2020-01-01  20
        """,
        {
            "2020-01-05": "",
            "2020-01-06": "a 2020-01-01 10, b 2020-01-01 20",
            "2021-01-01": "a 2020-01-01 10, b 2020-01-01 20",
        },
    ),
    "a revision replaces from its day on, and only its key": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        1         2020-01-06  a    2020-01-02  11
        2         2020-01-08  a    2020-01-01  12
        """,
        {
            "2020-01-07": "a 2020-01-01 10, a 2020-01-02 11",
            "2020-01-08": "a 2020-01-01 12, a 2020-01-02 11",
        },
    ),
    "a row taken back is gone, and may come again": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        2         2020-01-07  a    2020-01-01  -
        3         2020-01-09  a    2020-01-01  10
        """,
        {"2020-01-06": "a 2020-01-01 10", "2020-01-07": "", "2020-01-08": "", "2020-01-09": "a 2020-01-01 10"},
    ),
    "of two deliveries of one moment the later counts": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        2         2020-01-06  a    2020-01-01  11
        """,
        {"2020-01-06": "a 2020-01-01 11"},
    ),
    "a back-dated row holds until the next change": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        2         2020-01-09  a    2020-01-01  12
        3         2020-01-07  a    2020-01-01  11
        4         2020-01-05  a    2020-01-01  9
        """,
        {
            "2020-01-05": "a 2020-01-01 9",
            "2020-01-06": "a 2020-01-01 10",
            "2020-01-07": "a 2020-01-01 11",
            "2020-01-08": "a 2020-01-01 11",
            "2020-01-09": "a 2020-01-01 12",
        },
    ),
    "a row taken back in retrospect is gone in between": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        2         2020-01-09  a    2020-01-01  12
        3         2020-01-07  a    2020-01-01  -
        """,
        {"2020-01-06": "a 2020-01-01 10", "2020-01-08": "", "2020-01-09": "a 2020-01-01 12"},
    ),
    "late rows of old periods are first rows": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-05  10
        2         2020-01-13  a    2020-01-04  9
        2         2020-01-13  a    2020-01-12  11
        """,
        {
            "2020-01-12": "a 2020-01-05 10",
            "2020-01-13": "a 2020-01-04 9, a 2020-01-05 10, a 2020-01-12 11",
        },
    ),
    "what is said again is no news, also after it was taken back": (
        """
        delivery  known       key  period      value
        1         2020-01-06  a    2020-01-01  10
        2         2020-01-07  a    2020-01-01  10
        3         2020-01-08  a    2020-01-01  -
        4         2020-01-09  a    2020-01-01  -
        5         2020-01-10  a    2020-01-01  11
        6         2020-01-11  a    2020-01-01  10
        """,
        {
            "2020-01-07": "a 2020-01-01 10",
            "2020-01-09": "",
            "2020-01-10": "a 2020-01-01 11",
            "2020-01-11": "a 2020-01-01 10",
        },
    ),
}


@pytest.fixture
def store(tmp_path: Path):
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [SPEC], state, timezone=ZONE, threads=1)
    yield store
    store.close()
    state.close()


@pytest.mark.parametrize("name", CASES)
def test_view(name: str, store: Store) -> None:
    drawing, days = CASES[name]
    rows = read(drawing)
    load(store, rows)
    for day, words in days.items():
        expected = {(key, period, int(value)) for key, period, value in (w.split() for w in words.split(", ") if w)}
        on = date.fromisoformat(day)
        assert interpret(rows, on) == expected, f"the drawing and the definition differ on {day}"
        assert view(store, on) == expected, f"the store differs on {day}"


def test_the_end_of_a_day_is_the_rooms(store: Store) -> None:
    """A delivery at half past eleven in Vienna belongs to that day, although it is the next in Sydney."""
    moment = datetime.fromisoformat("2020-01-06T23:30:00+01:00")
    table = pa.table({"key": ["a"], "period": [date(2020, 1, 1)], "value": [1]})
    ingest(store, SPEC, table, known_at=moment, actor="test")
    assert view(store, date(2020, 1, 5)) == set()
    assert view(store, date(2020, 1, 6)) == {("a", "2020-01-01", 1)}
    assert store.latest_known_at() == moment


def test_a_moment_cuts_between_two_deliveries_of_a_day(store: Store) -> None:
    for hour, value in ((8, 1), (12, 2)):
        table = pa.table({"key": ["a"], "period": [date(2020, 1, 1)], "value": [value]})
        moment = datetime.fromisoformat(f"2020-01-06T{hour:02d}:00:00+00:00")
        ingest(store, SPEC, table, known_at=moment, actor="test")
    between = datetime.fromisoformat("2020-01-06T11:59:59.999999+00:00")
    assert store.arrow("readings", between, columns=["value"]).to_pylist() == [{"value": 1}]
    assert store.arrow("readings", None, columns=["value"]).to_pylist() == [{"value": 2}]


def test_a_view_asks_nothing_of_rows_that_bounds_settle(store: Store) -> None:
    """Only a file with tombstones is asked for them, and only one with rows over by the moment is asked for these."""
    drawing, _ = CASES["a back-dated row holds until the next change"]
    rows = read(drawing)
    load(store, rows)
    files = store.files("readings")
    assert [f.high["op"] for f in files] == [0, 0, 0, 0]
    on = date(2020, 1, 10)
    assert "op = 0" not in store._as_of("readings", on)
    # Two deliveries were back-dated: their rows are over, and theirs alone are asked.
    ended = [f for f in files if "known_to" in f.low]
    assert len(ended) == 2
    for part in store._as_of("readings", on).split(" UNION ALL "):
        assert ("known_to >" in part) is any(f.uri in part.split(" JOIN ")[0] for f in ended)
    back = [*rows, Drawn(5, date(2020, 1, 10), "a", "2020-01-01", None)]
    load(store, back[-1:])
    assert [f.high["op"] for f in store.files("readings")] == [0, 0, 0, 0, 1]
    assert "op = 0" in store._as_of("readings", on)
    for day in range(4, 12):
        assert view(store, date(2020, 1, day)) == interpret(back, date(2020, 1, day))


def test_files_of_unlike_sizes_are_read_together_or_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long file and one short one, both revised: the view is the same however their marks are laid out."""
    drawn = [Drawn(1, date(2020, 1, 6), f"k{n:03d}", "2020-01-01", n) for n in range(100)]
    drawn += [Drawn(2, date(2020, 1, 7), f"k{n:03d}", "2020-01-01", -n) for n in range(90, 100)]
    drawn += [Drawn(3, date(2020, 1, 8), f"k{n:03d}", "2020-01-01", 7) for n in (0, 50, 90, 99)]
    load(store, drawn)
    on = date(2020, 1, 8)
    together = store._as_of("readings", on)
    assert view(store, on) == interpret(drawn, on)
    monkeypatch.setattr("opsroom.observe.views.MARKS", 0)
    apart = store._as_of("readings", on)
    assert apart.count("bitstring_agg") == 1 + together.count("bitstring_agg") == 2
    assert view(store, on) == interpret(drawn, on)
