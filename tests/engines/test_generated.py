"""Generated questions: DuckDB and the reference interpreter agree bit by bit; Spark, too, among the long tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from opsroom.base import verbs

from .generated import questions, tables
from .questions import arrow, same

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def agree(engine, question, frames):
    """Compare an engine's answer with the reference interpreter's."""
    found = verbs.collect(question.by_verbs({n: engine.put(n, arrow(t)) for n, t in frames.items()}))
    same(found, question.by_reference(frames))


@settings(max_examples=40, suppress_health_check=SLOW)
@given(questions(), tables())
def test_duckdb_agrees_with_the_reference(duckdb, question, frames):
    agree(duckdb, question, frames)


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
