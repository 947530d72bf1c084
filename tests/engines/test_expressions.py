"""Expressions as plain data, and what verbs refuse."""

from __future__ import annotations

import datetime as dt

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings

from opsroom.base import verbs
from opsroom.base.errors import UsageError
from opsroom.base.verbs import Expression, col, lit

from .drawings import DRAWN
from .generated import questions
from .questions import Ask


def trees(question: Ask) -> list[Expression]:
    own = [v for v in question.args.values() if isinstance(v, Expression)]
    return [*own, *(t for q in question.of if isinstance(q, Ask) for t in trees(q))]


@settings(max_examples=40)
@given(questions())
def test_a_tree_is_read_back_from_its_json(question):
    for tree in trees(question):
        assert Expression.from_json(tree.to_json()).to_json() == tree.to_json()


def test_every_drawn_tree_is_read_back_from_its_json():
    for one in DRAWN.values():
        for tree in trees(one.question):
            back = Expression.from_json(tree.to_json())
            assert back.to_json() == tree.to_json()
            assert back.columns() == tree.columns()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"op":"evil"}', '{"op":"literal","with":[[1]]}',
                                  '{"op":"literal","with":[{"date":"x"}]}', "[" * 2000 + "]" * 2000])  # fmt: skip
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(UsageError):
        Expression.from_json(text)


def test_an_expression_has_no_truth_value():
    with pytest.raises(UsageError, match="neither true nor false"):
        bool(col("a") > 1)
    with pytest.raises(UsageError, match="neither true nor false"):
        _ = 1 < col("a") < 3


@pytest.mark.parametrize("constant", [float("nan"), float("inf"), 2**63, dt.datetime(2020, 1, 1), object(), [1]])
def test_constants_are_plain_and_finite(constant):
    with pytest.raises(UsageError):
        lit(constant)
    with pytest.raises(UsageError):
        _ = col("a") + constant


T = ibis.table({"k": "string", "v": "int64", "x": "float64", "d": "date", "t": "timestamp"}, name="t")

REFUSED = {
    "no such column": lambda: verbs.where(T, condition=col("nothing") > 1),
    "no condition": lambda: verbs.where(T, condition=col("v")),
    "no expression": lambda: verbs.derive(T, a=T.v + 1),
    "text and number": lambda: verbs.derive(T, a=col("k") + 1),
    "text against number": lambda: verbs.where(T, condition=col("k") == 1),
    "a list of the wrong kind": lambda: verbs.where(T, condition=col("k").is_in([1])),
    "null in a list": lambda: col("k").is_in([None]),
    "// of floats": lambda: verbs.derive(T, a=col("x") // 2),
    "a moment has no month here": lambda: verbs.derive(T, a=col("t").truncate("M")),
    "floats as text": lambda: verbs.derive(T, a=col("x").to_text()),
    "two kinds": lambda: verbs.derive(T, a=col("x").coalesce("a")),
    "16 decimals": lambda: col("x").round(16),
    "an unknown rounding": lambda: col("x").round(1, "up"),
    "an unknown unit": lambda: col("d").shift(1, "H"),
    "a sum of floats": lambda: verbs.group(T, by=[], measures={"s": ("sum", "x")}),
    "a mean of floats": lambda: verbs.group(T, by=[], measures={"s": ("mean", "x")}),
    "an unknown function": lambda: verbs.group(T, by=[], measures={"s": ("median", "v")}),
    "a sum of nothing": lambda: verbs.group(T, by=[], measures={"s": ("sum", None)}),
    "a measure named like its group": lambda: verbs.group(T, by=["k"], measures={"k": ("sum", "v")}),
    "a running sum of floats": lambda: verbs.window(T, by=[], order=["d"], columns={"s": ("cumulative", "x")}),
    "a window without order": lambda: verbs.window(T, by=[], order=[], columns={"n": ("number",)}),
    "a lag of nothing": lambda: verbs.window(T, by=[], order=["d"], columns={"n": ("lag", "v", 0)}),
    "rows and periods": lambda: verbs.rolling(T, by=[], order="d", rows=2, periods=2, unit="M", columns={}),
    "neither": lambda: verbs.rolling(T, by=[], order="d", columns={}),
    "a distinct count that rolls": lambda: verbs.rolling(T, by=[], order="d", rows=2, columns={"n": ("distinct", "k")}),
    "no key": lambda: verbs.join(T, T, on=[]),
    "an unknown join": lambda: verbs.join(T, T, on=["k"], how="outer"),
    "names that clash": lambda: verbs.join(T, T, on=["k"]),
    "half a day's age": lambda: verbs.as_of_join(T, T, on="d", right_on="d", by=["k"], max_age=dt.timedelta(hours=12)),
    "a negative age": lambda: verbs.as_of_join(T, T, on="d", right_on="d", by=["k"], max_age=dt.timedelta(days=-1)),
    "a name that is taken": lambda: verbs.rename(T, names={"k": "v"}),
    "unlike tables": lambda: verbs.union(T, verbs.select(T, columns=["k"])),
    "unlike types": lambda: verbs.union(T, verbs.derive(T, v=col("x"))),
    "an order of nothing": lambda: verbs.order(T, by=[], limit=1),
    "edges that fall": lambda: verbs.bucket(T, column="v", edges=[2, 1], name="b"),
    "too few labels": lambda: verbs.bucket(T, column="v", edges=[2], name="b", labels=["a"]),
    "a code in two classes": lambda: verbs.classify(T, column="k", classes={"a": ["x"], "b": ["x"]}, name="c"),
    "levels in per cent": lambda: verbs.quantile(T, by=[], measure="v", levels=[50]),
    "columns of two types": lambda: verbs.unpivot(T, keep=[], columns=["v", "x"]),
    "the group as a dimension": lambda: verbs.top_contributions(T, dims=["k"], measure="v", group="k"),
    "an index with 5 decimals": lambda: verbs.concentration(T, dims=[], measure="v", group="k", digits=5),
    "totals over no dimension": lambda: verbs.parts(T, dims=["k"], measure="v", group="d", totals=["d"]),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_differ_between_engines_or_mean_nothing_is_refused(ask):
    with pytest.raises(UsageError):
        ask()


def test_tables_of_two_engines_do_not_meet(duckdb):
    other = ibis.duckdb.connect()
    mine = duckdb.put("t", pa.table({"k": ["a"]}))
    with pytest.raises(UsageError, match="different engines"):
        verbs.collect(verbs.join(mine, other.create_table("u", pa.table({"k": ["a"]})), on=["k"]))
    other.disconnect()
