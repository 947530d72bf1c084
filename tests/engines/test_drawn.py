"""Drawn tables on DuckDB and on the reference interpreter; on Spark among the long tests."""

from __future__ import annotations

import pytest

from opsroom.base import verbs
from opsroom.base.verbs import top_direct

from .drawings import DRAWN, Drawn
from .questions import arrow, lines, same


def test_there_are_sixty_and_every_verb_has_one():
    assert len(DRAWN) >= 60
    used = set().union(*(one.question.verbs_used() for one in DRAWN.values()))
    expressions = {"Expression", "Kernel", "col", "lit", "if_else", "safe_divide"}
    assert used == set(verbs.__all__) - expressions - {"collect", "map_units"}


@pytest.mark.parametrize("one", DRAWN.values(), ids=DRAWN.keys())
def test_duckdb_gives_what_is_drawn(duckdb, one: Drawn):
    tables = {n: duckdb.put(n, arrow(t)) for n, t in one.tables.items()}
    same(verbs.collect(one.question.by_verbs(tables)), one.expected, ordered=one.ordered)


def test_what_is_computed_beside_duckdb_is_what_is_drawn(duckdb, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(top_direct, "ROWS", 0)
    beside = 0
    for one in DRAWN.values():
        tables = {n: duckdb.put(n, arrow(t)) for n, t in one.tables.items()}
        found = top_direct.compute(one.question.by_verbs(tables))
        if found is not None:
            beside += 1
            same(found, one.expected, ordered=one.ordered)
    assert beside >= 1


@pytest.mark.parametrize("one", DRAWN.values(), ids=DRAWN.keys())
def test_the_reference_gives_what_is_drawn(one: Drawn):
    found = one.question.by_reference(one.tables)
    assert found.kinds == one.expected.kinds
    got, wanted = lines(found.rows), lines(one.expected.rows)
    if not one.ordered:
        got, wanted = sorted(got), sorted(wanted)
    assert got == wanted


@pytest.mark.long
@pytest.mark.parametrize("one", DRAWN.values(), ids=DRAWN.keys())
def test_spark_gives_what_is_drawn(spark, one: Drawn):
    tables = {n: spark.put(n, arrow(t)) for n, t in one.tables.items()}
    same(verbs.collect(one.question.by_verbs(tables)), one.expected, ordered=one.ordered)
