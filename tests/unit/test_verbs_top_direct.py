"""Top contributions computed beside the engine are the engine's own, to the bit; where they may not be, it is asked."""

from __future__ import annotations

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base import verbs
from opsroom.base.errors import DataError
from opsroom.base.verbs import top_direct

DIMS = ["region", "month"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from([0, 1, None]),
        st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
        st.one_of(st.none(), st.integers(-5, 5), st.integers(-(10**15), 10**15)),
    ),
    min_size=1,
    max_size=60,
)


@pytest.fixture(scope="module")
def engine() -> ibis.BaseBackend:
    return ibis.duckdb.connect()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_direct, "ROWS", 0)
    monkeypatch.setattr(top_direct, "PART", 4)


def table_of(engine: ibis.BaseBackend, rows: list[tuple[object, ...]]) -> ibis.Table:
    region, month, group, sales = zip(*rows, strict=True)
    columns = {
        "region": pa.array(region, pa.string()),
        "month": pa.array(month, pa.int32()).view(pa.date32()),
        "group_id": pa.array(group, pa.int64()),
        "sales": pa.array(sales, pa.int64()),
    }
    return engine.create_table("rows", pa.table(columns), overwrite=True)


def tops(table: ibis.Table, *, group: str = "group_id", top: int = 3, dims: list[str] | None = None) -> ibis.Table:
    return verbs.top_contributions(table, dims=DIMS if dims is None else dims, measure="sales", group=group, top=top)


def same(one: pa.Table, other: pa.Table) -> bool:
    order = [(name, "ascending") for name in one.column_names]
    return bool(one.schema == other.schema and one.sort_by(order).equals(other.sort_by(order)))


@given(rows=ROWS, top=st.integers(1, 5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("at_once")
def test_the_engine_says_the_same(engine: ibis.BaseBackend, rows: list[tuple[object, ...]], top: int) -> None:
    asked = tops(table_of(engine, rows), top=top)
    direct = top_direct.compute(asked)
    assert direct is not None
    assert same(direct, verbs.collect(asked))
    assert same(direct, asked.to_pyarrow())


@pytest.mark.usefixtures("at_once")
def test_blocks_and_parts_are_filled_and_emptied(engine: ibis.BaseBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_direct, "PART", 30_000)
    draw = np.random.default_rng(1)
    count = 100_000
    columns = {
        "region": pa.array(draw.choice(["a", "b", "c"], count)),
        "month": pa.array(draw.integers(0, 20, count).astype(np.int32)).view(pa.date32()),
        "group_id": pa.array(draw.integers(0, 9_000, count)),
        "sales": pa.array(draw.integers(-1_000, 1_000, count)),
    }
    asked = tops(engine.create_table("many", pa.table(columns), overwrite=True))
    direct = top_direct.compute(asked)
    assert direct is not None
    assert same(direct, asked.to_pyarrow())


@pytest.mark.usefixtures("at_once")
def test_sums_that_may_pass_64_bits_are_left_to_the_engine(engine: ibis.BaseBackend) -> None:
    large = 2**62
    fits = tops(table_of(engine, [("a", 0, 1, large), ("a", 0, 1, large), ("a", 0, 1, -large)]))
    assert top_direct.compute(fits) is None
    assert verbs.collect(fits).column("sales").to_pylist() == [large]
    beyond = tops(table_of(engine, [("a", 0, 1, large), ("a", 0, 1, large)]))
    with pytest.raises(DataError) as caught:
        verbs.collect(beyond)
    assert caught.value.code == "OPS-D095"


@given(rows=ROWS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("at_once")
def test_groups_may_have_names(engine: ibis.BaseBackend, rows: list[tuple[object, ...]]) -> None:
    table = table_of(engine, rows)
    asked = tops(table.mutate(group_id=table.group_id.cast("string")))
    direct = top_direct.compute(asked)
    assert direct is not None
    assert same(direct, asked.to_pyarrow())


@pytest.mark.usefixtures("at_once")
def test_groups_of_one_hash_are_left_to_the_engine(engine: ibis.BaseBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(engine, [("a", 0, 1, 5), ("a", 0, 2, 6), ("b", 0, None, 1)])
    asked = tops(table.mutate(group_id=table.group_id.cast("string")))
    real = top_direct._hash
    monkeypatch.setattr(
        top_direct, "_hash", lambda flat, dims: real(flat, dims) if len(dims) > 1 else ibis.literal(7, "uint64")
    )
    assert top_direct.compute(asked) is None
    assert sorted(verbs.collect(asked).column("sales__groups").to_pylist()) == [1, 2]


@pytest.mark.usefixtures("at_once")
def test_cells_of_one_hash_are_left_to_the_engine(engine: ibis.BaseBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_direct, "_hash", lambda flat, dims: ibis.literal(7, "uint64"))
    rows = [("a", 0, 1, 5), ("b", 0, 1, 6)]
    asked = tops(table_of(engine, rows))
    assert top_direct.compute(asked) is None
    assert sorted(verbs.collect(asked).column("sales").to_pylist()) == [5, 6]


@pytest.mark.usefixtures("at_once")
def test_what_is_no_whole_table_of_top_contributions_is_left_to_the_engine(engine: ibis.BaseBackend) -> None:
    table = table_of(engine, [("a", 0, 1, 5), ("b", 0, 1, 6)])
    assert top_direct.compute(table) is None
    assert top_direct.compute(tops(table).filter(ibis._.sales > 5)) is None
    assert top_direct.compute(tops(table, dims=[])) is None
    assert top_direct.compute(tops(table.mutate(group_id=table.group_id > 0))) is None  # no ids
    assert top_direct.compute(tops(table.mutate(share=0.5), dims=["share"])) is None


def test_few_rows_are_left_to_the_engine(engine: ibis.BaseBackend) -> None:
    assert top_direct.compute(tops(table_of(engine, [("a", 0, 1, 5)]))) is None
