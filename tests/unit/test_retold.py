"""Series cut at their start, their end or in the middle of a delivery that tells known periods again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base.periods import Frequency, add_periods
from opsroom.base.spec_quality import QualitySpec
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import IngestReport, ingest
from opsroom.observe.retold import Retelling, Retold
from opsroom.observe.store import Store

SPEC = DatasetSpec(
    name="rates", title="Rates", frequency="M", period="month", key=("country", "month"), confidential=False,
    unit="public", provider="Bank", licence="CC-BY-4.0", source="Bank",
    fields=(FieldSpec("country", "string"), FieldSpec("month", "date"), FieldSpec("rate", "number")),
)  # fmt: skip
AT = datetime(2020, 1, 1, tzinfo=UTC)
Rows = set[tuple[str, int]]


def month(number: int) -> date:
    return add_periods(date(2000, 1, 1), number, Frequency.MONTHLY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    made = Store(tmp_path, [SPEC], state, threads=1, clock=lambda: AT + timedelta(days=900))
    yield made
    made.close()
    state.close()


def deliver(store: Store, number: int, rows: Rows) -> IngestReport:
    """Deliver series by month; the newest month revises the one before."""
    listed = sorted(rows)
    table = pa.table({"country": [c for c, _ in listed], "month": [month(m) for _, m in listed],
                      "rate": [float(m) for _, m in listed]})  # fmt: skip
    return ingest(store, store.spec("rates"), table, known_at=AT + timedelta(days=30 * number), actor="t")


def told(report: IngestReport) -> list[tuple[str, str]]:
    assert report.quality is not None
    return [(a.severity, a.words) for a in report.quality.alarms if a.kind == "series_shortened"]


def full(last: int, first: int = 0, countries: str = "ABCDE") -> Rows:
    return {(c, m) for c in countries for m in range(first, last + 1)}


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({("A", m) for m in range(9)}, "1 of 5 series lack periods that they had: 1 begin later."),
        ({("A", m) for m in range(9, 12)}, "1 of 5 series lack periods that they had: 1 have holes."),
        ({("A", m) for m in range(18, 25)}, "1 of 5 series lack periods that they had: 1 end earlier."),
        ({("A", m) for m in range(25)}, "1 of 5 series lack periods that they had: 1 did not come."),
        ({("A", 0), ("B", 7), ("C", 24), ("C", 23)},
         "3 of 5 series lack periods that they had: 1 begin later, 1 have holes, 1 end earlier."),
    ],
    ids=["start", "middle", "end", "absent", "all three"],
)  # fmt: skip
def test_a_series_that_was_cut_in_a_re_delivery_is_told(store: Store, lost: Rows, words: str) -> None:
    deliver(store, 1, full(23))
    report = deliver(store, 2, full(24) - lost)
    assert ("warning", words) in told(report)
    held = {(r["country"], r["month"]) for r in store.arrow("rates").to_pylist()}
    assert {(c, month(m)) for c, m in full(23)} <= held, "nothing is taken back"


def test_a_whole_re_delivery_windows_and_news_raise_nothing(store: Store) -> None:
    deliver(store, 1, full(23))
    assert told(deliver(store, 2, full(24))) == []
    assert told(deliver(store, 3, full(25, 25))) == [], "news alone"
    assert told(deliver(store, 4, {("A", 3), ("B", 9), *full(26, 26)})) == [], "two revisions and news"


def test_a_window_that_moves_on_is_no_cut(store: Store) -> None:
    deliver(store, 1, full(23))
    for number in range(24, 29):
        assert told(deliver(store, number, full(number, number - 23))) == []


def test_all_series_cut_at_their_start(store: Store) -> None:
    deliver(store, 1, full(23))
    assert told(deliver(store, 2, full(24, 10))) == [
        ("note", "the first period delivered lies 305 days later than in the delivery before.")
    ], "a window may begin here"
    assert told(deliver(store, 3, full(25))) == [], "it comes whole again"
    assert told(deliver(store, 4, full(26, 6)))[0][0] == "warning", "now it is known to come whole"


def test_few_companies_of_many_are_no_news(store: Store) -> None:
    names = [f"{n:03d}" for n in range(100)]
    lenient = replace(SPEC, quality=QualitySpec(missing_share=0.05))
    store.add(lenient)
    deliver(store, 1, {(c, m) for c in names for m in range(12)})
    assert told(deliver(store, 2, {(c, m) for c in names for m in range(13)} - {("007", 0), ("009", 5)})) == []
    assert told(deliver(store, 3, {(c, m) for c in names for m in range(13) if c > "009" or m > 1})) == [
        ("warning", "10 of 100 series lack periods that they had: 10 begin later.")
    ]


cell = st.tuples(st.sampled_from("ABCD"), st.integers(0, 7))


HELD: Rows = {("A", m) for m in range(8)} | {("B", m) for m in (1, 2, 5)} | {("C", 3), ("D", 0), ("D", 7)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(came=st.sets(cell, min_size=1, max_size=24))
def test_the_counts_are_those_of_a_plain_loop(store: Store, came: Rows) -> None:
    if not store.deliveries("rates"):
        deliver(store, 1, HELD)
    rows = sorted(came)
    table = pa.table({"country": [c for c, _ in rows], "month": [month(m) for _, m in rows]})
    low, high = min(m for _, m in came), max(m for _, m in came)
    with store.workbench() as con:
        retelling = Retelling(con, store.shapes("rates"), store.delta("rates").files(), every=1)
        retelling.add(table.slice(0, 3))
        retelling.add(table.slice(3))
        found = retelling.measure(AT + timedelta(days=60), month(low), month(high))
    inside = {(c, m) for c, m in HELD if low <= m <= high}
    counts = dict.fromkeys(("start", "middle", "end", "absent", "cut"), 0)
    for country in {c for c, _ in inside}:
        own = {m for c, m in came if c == country}
        lost = {m for c, m in inside if c == country} - own
        counts["cut"] += bool(lost)
        counts["absent"] += not own
        if own:
            counts["start"] += any(m < min(own) for m in lost)
            counts["end"] += any(m > max(own) for m in lost)
            counts["middle"] += any(min(own) < m < max(own) for m in lost)
    assert found == Retold(held=len(inside), told=len(inside & came), series=len({c for c, _ in inside}), **counts)
