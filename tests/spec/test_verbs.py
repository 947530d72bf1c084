"""The verbs on DuckDB: drawn tables with the rows they give, and a reference interpreter in plain Python.

A drawing has its columns in the first line; ``-`` is null, whole numbers are int64, ``2020-01-06`` is a date and
everything else text.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base import verbs
from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import InternalError, UsageError

Row = dict[str, Any]
EXAMPLES = settings(max_examples=20)


@pytest.fixture(scope="module")
def engine() -> Iterator[ibis.BaseBackend]:
    """An engine with one thread, so that batches come as they are asked for."""
    engine = ibis.duckdb.connect(threads=1)
    yield engine
    engine.disconnect()


def value(word: str) -> Any:
    if word == "-":
        return None
    if word.lstrip("-").isdigit():
        return int(word)
    try:
        return dt.date.fromisoformat(word)
    except ValueError:
        return word


def read(drawing: str) -> list[Row]:
    """Read a drawn table."""
    names, *lines = [line.split() for line in drawing.strip().splitlines()]
    return [dict(zip(names, map(value, words), strict=True)) for words in lines]


def put(engine: Any, rows: list[Row], schema: dict[str, str]) -> ibis.Table:
    """Make a table of rows."""
    kinds = {"int": pa.int64(), "text": pa.string(), "date": pa.date32(), "float": pa.float64()}
    fields = pa.schema([(name, kinds[kind]) for name, kind in schema.items()])
    return engine.create_table(f"t{next(_NUMBERS)}", pa.Table.from_pylist(rows, fields), temp=True)


_NUMBERS = itertools.count()


def drawn(engine: Any, drawing: str) -> ibis.Table:
    """Make a table of a drawing; a column's kind is that of its first value."""
    rows = read(drawing)
    schema = {}
    for name in rows[0]:
        first = next(row[name] for row in rows if row[name] is not None)
        schema[name] = "int" if isinstance(first, int) else "date" if isinstance(first, dt.date) else "text"
    return put(engine, rows, schema)


def got(table: ibis.Table) -> list[Row]:
    return table.to_pyarrow().to_pylist()


def bag(rows: Iterable[Row]) -> list[Any]:
    """Return rows in an order of their own, for comparison without order."""
    return sorted((sorted(row.items()) for row in rows), key=repr)


def same(found: ibis.Table, drawing: str) -> bool:
    expected = read(drawing)
    assert found.columns == tuple(expected[0])
    assert bag(got(found)) == bag(expected)
    return True


# -- latest_vintage ---------------------------------------------------------------------------


def test_latest_vintage_keeps_one_row_a_key(engine):
    table = drawn(
        engine,
        """
        key  known_at    delivery  value
        a    2020-01-06  1         10
        a    2020-01-08  2         11
        a    2020-01-08  3         12
        b    2020-01-07  2         20
        b    2020-01-06  9         21
        c    2020-01-01  1         -
        """,
    )
    assert same(
        verbs.latest_vintage(table, key=["key"], ties=["delivery"]),
        """
        key  known_at    delivery  value
        a    2020-01-08  3         12
        b    2020-01-07  2         20
        c    2020-01-01  1         -
        """,
    )


KEYS = st.sampled_from("abc")
DAYS = st.integers(0, 6).map(lambda k: dt.date(2020, 1, 1) + dt.timedelta(days=k))


@EXAMPLES
@given(st.lists(st.tuples(KEYS, DAYS, st.integers(-5, 5)), min_size=1, max_size=20))
def test_latest_vintage_is_the_definition(engine, drawn_rows):
    rows = [{"key": k, "known_at": d, "n": n, "value": v} for n, (k, d, v) in enumerate(drawn_rows)]
    table = put(engine, rows, {"key": "text", "known_at": "date", "n": "int", "value": "int"})
    latest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda r: (r["known_at"], r["n"])):
        latest[row["key"]] = row
    assert bag(got(verbs.latest_vintage(table, key=["key"], ties=["n"]))) == bag(latest.values())


# -- as_of_join -------------------------------------------------------------------------------

REGISTER = """
    key  begin       until       size
    a    2020-01-02  2020-01-04  small
    a    2020-01-06  -           large
    b    2020-01-03  2020-01-03  small
"""


def test_as_of_join_finds_what_held_on_the_day(engine):
    left = drawn(
        engine,
        """
        key  on          row
        a    2020-01-01  1
        a    2020-01-02  2
        a    2020-01-05  3
        a    2020-01-06  4
        a    2020-02-06  5
        a    2020-02-06  6
        b    2020-01-03  7
        b    2020-01-04  8
        c    2020-01-04  9
        """,
    )
    right = drawn(engine, REGISTER)
    assert same(
        verbs.as_of_join(left, right, on="on", right_on="begin", by=["key"], right_until="until"),
        """
        key  on          row  begin       until       size
        a    2020-01-01  1    -           -           -
        a    2020-01-02  2    2020-01-02  2020-01-04  small
        a    2020-01-05  3    -           -           -
        a    2020-01-06  4    2020-01-06  -           large
        a    2020-02-06  5    2020-01-06  -           large
        a    2020-02-06  6    2020-01-06  -           large
        b    2020-01-03  7    2020-01-03  2020-01-03  small
        b    2020-01-04  8    -           -           -
        c    2020-01-04  9    -           -           -
        """,
    )
    for_ever = got(verbs.as_of_join(left, right, on="on", right_on="begin", by=["key"]))
    sizes = [row["size"] for row in sorted(for_ever, key=lambda row: row["row"])]
    assert sizes == [None, "small", "small", "large", "large", "large", "small", "small", None]


def test_as_of_join_leaves_a_column_of_the_left_alone(engine):
    left = drawn(engine, "key  on          size\na    2020-01-07  mine")
    found = verbs.as_of_join(left, drawn(engine, REGISTER), on="on", right_on="begin", by=["key"])
    assert same(found, "key  on          size  begin       until\na    2020-01-07  mine  2020-01-06  -")


@EXAMPLES
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), DAYS | st.none()), min_size=1, max_size=12),
    st.dictionaries(st.tuples(KEYS, DAYS), DAYS | st.none(), min_size=1, max_size=10),
    st.booleans(),
)
def test_as_of_join_is_the_definition(engine, left_rows, register, ends):
    left = [{"key": k, "on": d, "row": n} for n, (k, d) in enumerate(left_rows)]
    right = [{"key": k, "begin": b, "until": u, "name": f"{k}{n}"} for n, ((k, b), u) in enumerate(register.items())]
    expected = []
    for row in left:
        mine = [r for r in right if r["key"] == row["key"] and row["on"] is not None and r["begin"] <= row["on"]]
        last = max(mine, key=lambda r: r["begin"], default=None)
        if last is not None and ends and last["until"] is not None and last["until"] < row["on"]:
            last = None
        expected.append({**row, **{c: last and last[c] for c in ("begin", "until", "name")}})
    found = verbs.as_of_join(
        put(engine, left, {"key": "text", "on": "date", "row": "int"}),
        put(engine, right, {"key": "text", "begin": "date", "until": "date", "name": "text"}),
        on="on", right_on="begin", by=["key"], right_until="until" if ends else None,
    )  # fmt: skip
    assert bag(got(found)) == bag(expected)


# -- companies, group_sum, safe_divide --------------------------------------------------------


def test_companies_are_no_natural_persons(engine):
    trader = sorted(NATURAL_FORMS)[0]
    rows = [{"id": 1, "legal_form": "LTD"}, {"id": 2, "legal_form": trader}, {"id": 3, "legal_form": None}]
    table = put(engine, rows, {"id": "int", "legal_form": "text"})
    assert got(verbs.companies(table)) == [{"id": 1, "legal_form": "LTD"}]
    assert got(verbs.companies(table.rename(form="legal_form"), legal_form="form")) == [{"id": 1, "form": "LTD"}]


def test_group_sum_adds_whole_numbers(engine):
    table = drawn(
        engine,
        """
        region  wh                   jobs
        R1      9007199254740993     2
        R1      1                    -
        R2      -                    -
        """,
    )
    assert same(
        verbs.group_sum(table, by=["region"], energy="wh", jobs="jobs"),
        """
        region  energy            jobs
        R1      9007199254740994  2
        R2      -                 -
        """,
    )
    assert got(verbs.group_sum(table, by=[], energy="wh")) == [{"energy": 9007199254740994}]


def test_group_sum_takes_no_floats(engine):
    table = put(engine, [{"region": "R1", "wh": 0.5}], {"region": "text", "wh": "float"})
    with pytest.raises(UsageError, match="whole number"):
        verbs.group_sum(table, by=["region"], energy="wh")


# -- top_contributions and parts --------------------------------------------------------------

SALES = """
    region  sector  group  value
    R1      A       g1     10
    R1      A       g1     20
    R1      A       g2     -25
    R1      A       g3     5
    R1      A       g4     1
    R1      B       g1     7
    R1      B       g5     -
    R2      A       g2     25
    R2      B       g6     4
    R2      B       g6     -4
"""


def test_top_contributions_count_groups(engine):
    found = verbs.top_contributions(drawn(engine, SALES), dims=["region", "sector"], measure="value", group="group")
    assert same(
        found,
        """
        region  sector  value  value__groups  value__top1  value__top2  value__top3
        R1      A       11     4              30           25           5
        R1      B       7      1              7            0            0
        R2      A       25     1              25           0            0
        R2      B       0      0              0            0            0
        """,
    )


def test_parts_count_the_contributors_of_margins_anew(engine):
    found = verbs.parts(
        drawn(engine, SALES), dims=["region", "sector"], measure="value", group="group", totals=["region"],
        name="sales", top=1,
    )  # fmt: skip
    rows = got(found)
    assert rows == sorted(rows, key=lambda r: (r["region"], r["sector"])), "in order of the dimensions"
    assert same(
        found,
        """
        region  sector  sales  sales__groups  sales__top1
        R1      A       11     4              30
        R1      B       7      1              7
        R2      A       25     1              25
        R2      B       0      0              0
        _T      A       36     3              30
        _T      B       7      1              7
        """,
    )  # g2 has -25 here and 25 there: it contributes nothing to the total
    with pytest.raises(UsageError, match="no dimensions"):
        verbs.parts(drawn(engine, SALES), dims=["region"], measure="value", group="group", totals=["sector"])


UNITS = st.lists(st.tuples(KEYS, st.sampled_from("xy"), st.integers(1, 5), st.integers(-9, 9) | st.none()), min_size=1,
                 max_size=25)  # fmt: skip


@EXAMPLES
@given(UNITS)
def test_parts_are_the_definition(engine, units):
    rows = [dict(zip(("a", "b", "group", "value"), unit, strict=True)) for unit in units]
    table = put(engine, rows, {"a": "text", "b": "text", "group": "int", "value": "int"})
    expected: dict[tuple[str, str], dict[int, int]] = {}
    for a, b, group, amount in units:
        for cell in itertools.product((a, "_T"), (b, "_T")):
            groups = expected.setdefault(cell, {})
            groups[group] = groups.get(group, 0) + (amount or 0)
    wanted = []
    for (a, b), groups in expected.items():
        sizes = sorted(map(abs, groups.values()), reverse=True)
        tops = {f"value__top{k + 1}": ([*sizes, 0, 0, 0])[k] for k in range(3)}
        count = sum(amount != 0 for amount in groups.values())
        wanted.append({"a": a, "b": b, "value": sum(groups.values()), "value__groups": count, **tops})
    found = verbs.parts(table, dims=["a", "b"], measure="value", group="group", totals=["a", "b"])
    assert bag(got(found)) == bag(wanted)


# -- quantile ---------------------------------------------------------------------------------


def reference_quantile(values: list[int], level: float) -> float:
    """Between order statistics, linearly (Hyndman and Fan's type 7)."""
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-1000, 1000) | st.none()), min_size=1, max_size=20))
def test_quantiles_are_the_definition(engine, drawn_rows):
    rows = [{"key": k, "value": v} for k, v in drawn_rows]
    table = put(engine, rows, {"key": "text", "value": "int"})
    levels = (0.0, 0.1, 0.5, 0.875, 1.0)
    found = {row.pop("key"): row for row in got(verbs.quantile(table, by=["key"], measure="value", levels=levels))}
    for key, row in found.items():
        values = [v for k, v in drawn_rows if k == key and v is not None]
        assert list(row) == ["value_p0", "value_p10", "value_p50", "value_p87_5", "value_p100"]
        wanted = [reference_quantile(values, q) if values else None for q in levels]
        assert list(row.values()) == (pytest.approx(wanted) if values else wanted)
    assert set(found) == {k for k, _ in drawn_rows}


def test_quantile_levels_are_shares(engine):
    with pytest.raises(UsageError):
        verbs.quantile(drawn(engine, SALES), by=[], measure="value", levels=[50])


# -- map_units --------------------------------------------------------------------------------

SCHEMA = pa.schema([("unit", pa.string()), ("second", pa.string()), ("rows", pa.int64()), ("runs", pa.string())])


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


@EXAMPLES
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.sampled_from("xy"), st.integers(0, 99)),
             min_size=1, max_size=60),
    st.integers(1, 20),
)  # fmt: skip
def test_a_kernel_gets_whole_units_however_they_are_cut(engine, drawn_rows, rows):
    data = [{"unit": u, "second": s, "value": v} for u, s, v in drawn_rows]
    table = put(engine, data, {"unit": "text", "second": "text", "value": "int"})
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


def test_map_units_of_nothing_is_an_empty_table(engine):
    table = drawn(engine, "unit second value\na b 1").filter(ibis.literal(False))
    found = verbs.map_units(table, unit="unit", kernel=kernel([]), schema=SCHEMA)
    assert found.num_rows == 0
    assert found.schema == SCHEMA


def test_a_kernel_keeps_its_schema(engine):
    table = drawn(engine, "unit second value\na b 1")
    with pytest.raises(InternalError, match="schema"):
        verbs.map_units(table, unit="unit", kernel=lambda t: t, schema=SCHEMA)
