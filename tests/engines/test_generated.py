"""Generated questions: DuckDB and the reference interpreter agree bit by bit; Spark, too, among the long tests."""

from __future__ import annotations

import datetime as dt

import ibis
import pytest
from hypothesis import HealthCheck, given, settings

from opsroom.base import verbs
from opsroom.base.verbs import top_direct

from .generated import questions, tables
from .questions import arrow, same

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def agree(engine, question, frames):
    """Compare an engine's answer with the reference interpreter's."""
    asked = question.by_verbs({n: engine.put(n, arrow(t)) for n, t in frames.items()})
    wanted = question.by_reference(frames)
    same(verbs.collect(asked), wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_direct, "ROWS", 0)
        beside = top_direct.compute(asked)
    if beside is not None:  # as very many rows would be computed
        same(beside, wanted)


@settings(max_examples=40, suppress_health_check=SLOW)
@given(questions(), tables())
def test_duckdb_agrees_with_the_reference(duckdb, question, frames):
    agree(duckdb, question, frames)


def test_what_an_as_of_join_found_may_be_the_time_of_another():
    days = [dt.date(2020, 1, n) for n in range(1, 7)]
    left = ibis.memtable({"k": ["a", "b"], "d": [days[4], days[5]]})

    def register(number: int) -> ibis.Table:
        return ibis.memtable({"k": ["a", "b", "a"], f"d{number}": [days[0], days[1], days[3]]})

    found = left
    for number, on in ((1, "d"), (2, "d"), (3, "d1")):
        age = dt.timedelta(days=30) if number == 1 else None
        found = verbs.as_of_join(found, register(number), on=on, right_on=f"d{number}", by=["k"], max_age=age)
    rows = found.to_pyarrow().to_pylist()
    assert sorted((r["k"], r["d1"], r["d2"], r["d3"]) for r in rows) == [
        ("a", days[3], days[3], days[3]),
        ("b", days[1], days[1], days[1]),
    ]


@pytest.mark.parametrize("unit", ["D", "W", "M", "Q", "A"])
def test_a_day_that_was_shifted_is_a_day_as_text_too(unit):
    table = ibis.memtable({"d": [dt.date(2020, 1, 31), None]})
    found = verbs.derive(table, text=verbs.col("d").shift(1, unit).to_text())
    wanted = {"D": "2020-02-01", "W": "2020-02-07", "M": "2020-02-29", "Q": "2020-04-30", "A": "2021-01-31"}
    assert [row["text"] for row in found.to_pyarrow().to_pylist()] == [wanted[unit], None]


@pytest.mark.long
@settings(max_examples=2000, suppress_health_check=SLOW)
@given(questions(), tables())
def test_duckdb_agrees_with_the_reference_at_length(duckdb, question, frames):
    agree(duckdb, question, frames)


@pytest.mark.long
@pytest.mark.timeout(3000)
@settings(max_examples=500, suppress_health_check=SLOW)
@given(questions(), tables())
def test_spark_and_duckdb_agree_with_the_reference(duckdb, quick_spark, question, frames):
    agree(duckdb, question, frames)
    agree(quick_spark, question, frames)
