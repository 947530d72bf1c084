"""`map_units`: whole units however rows are cut, and the same results from DuckDB and Spark."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base import verbs
from opsroom.base.errors import DataError, FitError, InternalError
from opsroom.base.verbs import col

from . import kernels
from .questions import arrow, drawn

SCHEMA = pa.schema([("unit", pa.string()), ("second", pa.string()), ("rows", pa.int64()), ("runs", pa.string())])

INPUT = pa.schema([("unit", pa.string()), ("second", pa.string()), ("value", pa.int64())])


def kernel(calls: list[int]) -> Callable[[pa.Table], pa.Table]:
    """Give the values of each unit in their order, and note how many rows a call got."""

    def run(table: pa.Table) -> pa.Table:
        calls.append(table.num_rows)
        units: dict[tuple[Any, Any], list[int]] = {}
        last = None
        for row in table.to_pylist():
            key = (row["unit"], row["second"])
            assert key == last or key not in units, "rows of a unit stand together"
            units.setdefault(key, []).append(row["value"])
            last = key
        made = [{"unit": u, "second": s, "rows": len(v), "runs": ",".join(map(str, v))} for (u, s), v in units.items()]
        return pa.Table.from_pylist(made, SCHEMA)

    return run


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.sampled_from("xy"), st.integers(0, 99)),
             min_size=1, max_size=60),
    st.integers(1, 20),
)  # fmt: skip
def test_a_kernel_gets_whole_units_however_they_are_cut(duckdb, drawn_rows, rows):
    data = [{"unit": u, "second": s, "value": v} for u, s, v in drawn_rows]
    table = duckdb.put("t", pa.Table.from_pylist(data, INPUT))
    calls: list[int] = []
    found = verbs.map_units(
        table, unit=["unit", "second"], kernel=kernel(calls), schema=SCHEMA, order=["value"], rows=rows
    ).to_pylist()
    wanted: dict[tuple[Any, str], list[int]] = {}
    for u, s, v in drawn_rows:
        wanted.setdefault((u, s), []).append(v)
    assert sum(calls) == len(drawn_rows)
    assert {(r["unit"], r["second"]): r["runs"] for r in found} == {
        key: ",".join(map(str, sorted(values))) for key, values in wanted.items()
    }
    assert len(found) == len(wanted), "each unit once"
    largest = max(map(len, wanted.values()))
    assert max(calls) <= 2 * rows + 2 * largest, "memory is bounded by rows and the largest unit"


def test_map_units_of_nothing_is_an_empty_table(duckdb):
    table = duckdb.put("t", arrow(drawn("unit second value\na b 1"))).filter(ibis.literal(False))
    found = verbs.map_units(table, unit="unit", kernel=kernel([]), schema=SCHEMA)
    assert found.num_rows == 0
    assert found.schema == SCHEMA


def test_a_kernel_keeps_its_schema(duckdb):
    table = duckdb.put("t", arrow(drawn("unit second value\na b 1")))
    with pytest.raises(InternalError, match="schema"):
        verbs.map_units(table, unit="unit", kernel=lambda t: t, schema=SCHEMA)


UNITS = pa.schema([("unit", pa.string()), ("day", pa.date32()), ("value", pa.int64())])


def some_units() -> pa.Table:
    """Return rows of many units, in no order, some without a name and some without a value."""
    luck = random.Random(3)
    names = [None, "", "Ä", *(f"c{n}" for n in range(40))]
    rows = [
        {"unit": u, "day": dt.date(2020, 1, 1) + dt.timedelta(days=d), "value": luck.choice([None, d, -d, 10**15 + d])}
        for u in names
        for d in range(luck.randint(1, 30))
    ]
    luck.shuffle(rows)
    return pa.Table.from_pylist(rows, UNITS)


@pytest.mark.long
@pytest.mark.parametrize("order", [["day"], ["-day"], ["value", "-day"]])
@pytest.mark.parametrize("rows", [7, 1 << 18])
def test_spark_gives_what_duckdb_gives_in_the_same_order(duckdb, spark, order, rows):
    ways = {"unit": "unit", "kernel": kernels.trends, "schema": kernels.TRENDS, "order": order, "rows": rows}
    found, expected = (verbs.map_units(engine.put("t", some_units()), **ways) for engine in (spark, duckdb))
    assert found.equals(expected)
    assert found.num_rows == 43


@pytest.mark.long
def test_what_a_kernel_raises_on_a_worker_is_raised_here_without_a_value(spark):
    table = spark.put("t", some_units())
    with pytest.raises(FitError, match="too few rows"):
        verbs.map_units(table, unit="unit", kernel=kernels.misfit, schema=kernels.TRENDS)
    with pytest.raises(InternalError, match="ValueError") as caught:
        verbs.map_units(table, unit="unit", kernel=kernels.defect, schema=kernels.TRENDS)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(InternalError, match="schema"):
        verbs.map_units(table, unit="unit", kernel=kernels.other, schema=kernels.TRENDS)


def beyond(engine: Any) -> list[ibis.Table]:
    """Ask for figures that do not fit: a sum, a product, an index."""
    rows = pa.table({"g": pa.array([1, 2], pa.int64()), "v": pa.array([2**62, 2**62 + 12345], pa.int64())})
    table = engine.put("t", rows)
    return [
        verbs.group_sum(verbs.derive(table, v=col("v") // 1), by=[], s="v"),
        verbs.derive(table, w=col("v") * 4),
        verbs.concentration(verbs.where(table, condition=col("g") == 1), dims=[], measure="v", group="g"),
    ]


@pytest.mark.long
def test_nothing_is_logged_when_spark_fails(spark, capfd):
    questions = beyond(spark)
    capfd.readouterr()  # where Spark starts with this test, it says so
    for question in questions:
        with pytest.raises(DataError, match="64 bits") as caught:
            verbs.collect(question)
        assert caught.value.__cause__ is None
        assert "46116860" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_figure_beyond_64_bits_is_an_error_without_the_figure(duckdb):
    for question in beyond(duckdb):
        with pytest.raises(DataError, match="64 bits") as caught:
            verbs.collect(question)
        assert caught.value.__cause__ is None
        assert "46116860" not in str(caught.value)
