"""Row rules of a dataset, run by dataframely: rows that break one, by rule.

The rules are text in the specification; they are parsed into parts (`opsroom.base.expressions`) and lowered to column
expressions here. Nothing of the text is ever executed. dataframely and Polars are loaded when a dataset with row
rules is first checked, not before.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from opsroom.base.expressions import Node
from opsroom.base.spec_rules import RuleSpec
from opsroom.base.specs import DatasetSpec

if TYPE_CHECKING:
    import polars as pl

ROW, RULE = "ROW", "RULE_"  # no field has capital letters

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "and": operator.and_,
    "or": operator.or_,
}


class RowRules:
    """The row rules of a dataset that hold on a day.

    Parameters
    ----------
    spec
        The dataset's specification.
    day
        Knowledge day of the delivery.
    """

    def __init__(self, spec: DatasetSpec, day: date) -> None:
        types: dict[str, str] = {f.name: f.type for f in spec.fields}
        rules = [r for r in spec.rules if r.on_rows and r.holds_on(day)]
        self.names = [r.name for r in rules]
        self._columns: list[str] = []
        self._schema: Any = None  # a dataframely schema made from the rules
        if rules:
            read = {name for r in rules for name in _reads(r, types)}
            self._columns = [f.name for f in spec.fields if f.name in read]
            self._schema = _schema(rules, self._columns, types)

    def broken(self, rows: pa.RecordBatch) -> list[tuple[str, pa.Array]]:
        """Return the rules that some rows break, each with a mask of these rows.

        Parameters
        ----------
        rows
            Checked rows in the dataset's types; an empty value breaks no comparison.
        """
        if self._schema is None or not rows.num_rows:
            return []
        import polars as pl

        frame: Any = pl.from_arrow(rows.select(self._columns))
        frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
        _, failure = self._schema.filter(frame)
        counts = failure.counts()
        if not counts:
            return []
        details = failure.details()
        at = details[ROW].to_numpy()
        found = []
        for number, name in enumerate(self.names):
            if counts.get(f"{RULE}{number}"):
                mask = np.zeros(rows.num_rows, dtype=bool)
                mask[at[(details[f"{RULE}{number}"] == "invalid").to_numpy()]] = True
                found.append((name, pa.array(mask)))
        return found


def _reads(rule: RuleSpec, types: dict[str, str]) -> set[str]:
    names = {rule.field, rule.by} - {""}
    for part in (rule.condition(types), rule.applies(types)):
        names |= set() if part is None else part.fields()
    return names


def _schema(
    rules: list[RuleSpec], columns: list[str], types: dict[str, str]
) -> Any:  # dataframely makes classes at run time
    import dataframely as dy

    body: dict[str, Any] = {ROW: dy.Int64(nullable=False)}
    # The fields themselves were cast and checked before: of any kind, so that nothing is checked twice.
    body |= {name: dy.Any() for name in columns}
    for number, rule in enumerate(rules):
        expression = _lower_rule(rule, types)
        body[f"{RULE}{number}"] = dy.rule()(_giving(expression))
    return type("RowRules", (dy.Schema,), body)


def _giving(expression: pl.Expr) -> Callable[[type], pl.Expr]:
    return lambda _cls: expression


def _lower_rule(rule: RuleSpec, types: dict[str, str]) -> pl.Expr:
    import polars as pl

    condition = rule.condition(types)
    if condition is not None:
        holds = lower(condition)
    else:
        inside = [
            (pl.col(rule.by) != code) | pl.col(rule.field).is_between(low, high)
            for code, (low, high) in rule.ranges.items()
        ]
        holds = reduce(operator.and_, inside)
    holds = holds.fill_null(True)
    applies = rule.applies(types)
    return holds if applies is None else holds | ~lower(applies).fill_null(False)


def lower(part: Node) -> pl.Expr:
    """Return an expression of Polars that computes a part; what is unknown is null."""
    import polars as pl

    if part.op in ("number", "text", "date"):
        return pl.lit(part.args[0])
    if part.op == "field":
        return pl.col(str(part.args[0]))
    args = [lower(one) for one in part.args if isinstance(one, Node)]
    if part.op == "*":  # whole numbers would overflow without a word
        args = [one.cast(pl.Float64) for one in args]
    if part.op in _SIGNS:
        found: pl.Expr = _SIGNS[part.op](*args)
        # A quotient by nothing is unknown, not infinite.
        return pl.when(args[1] != 0).then(found) if part.op == "/" else found
    match part.op:
        case "not":
            return ~args[0]
        case "neg":
            return -args[0]
        case "null":
            return args[0].is_null()
        case "in":
            return reduce(operator.or_, [args[0] == one for one in args[1:]])
        case "abs":
            return args[0].abs()
        case "length":
            return args[0].str.len_chars().cast(pl.Int64)
        case "year":
            return args[0].dt.year().cast(pl.Int64)
        case "month":
            return args[0].dt.month().cast(pl.Int64)
        case "coalesce":
            return pl.coalesce(args)
        case "least":
            return pl.min_horizontal(args)
        case _:
            return pl.max_horizontal(args)
