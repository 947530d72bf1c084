"""Questions as plain data, and drawn tables: what the verbs and the reference interpreter are both asked.

A question is a table's name, or a verb with its questions and arguments. A drawing has its columns in the first line,
``name:kind`` where the kind cannot be seen from the first value; ``-`` is null, whole numbers are int64, ``1.5`` is
float64, ``2020-01-06`` a date, ``2020-01-06T10:00:00Z`` a moment, ``yes`` and ``no`` are truth values, everything
else is text (``'two_words'`` keeps its quotes off and turns ``_`` into a blank).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis
import pyarrow as pa

from opsroom.base import verbs

from . import reference
from .reference import Frame, Row, in_order

ARROW = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "moment": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Ask:
    """A verb, the questions it acts on (table names at the leaves), and its plain arguments."""

    verb: str
    of: tuple[Ask | str, ...]
    args: Mapping[str, Any] = field(default_factory=dict)

    def by_verbs(self, tables: Mapping[str, ibis.Table]) -> ibis.Table:
        """Lower the question to verbs."""
        inner = [tables[q] if isinstance(q, str) else q.by_verbs(tables) for q in self.of]
        return getattr(verbs, self.verb)(*inner, **self.args)

    def by_reference(self, tables: Mapping[str, Frame]) -> Frame:
        """Answer the question by the reference interpreter."""
        inner = [tables[q] if isinstance(q, str) else q.by_reference(tables) for q in self.of]
        return getattr(reference, self.verb)(*inner, **self.args)

    def verbs_used(self) -> set[str]:
        return {self.verb}.union(*(q.verbs_used() for q in self.of if isinstance(q, Ask)))

    def __repr__(self) -> str:
        shown = {k: v.to_json() if isinstance(v, verbs.Expression) else v for k, v in self.args.items()}
        return f"{self.verb}({', '.join(map(repr, self.of))}, {shown})"


def ask(verb: str, *of: Ask | str, **args: Any) -> Ask:
    return Ask(verb, of, args)


def value(word: str) -> Any:
    if word == "-":
        return None
    if word in ("yes", "no"):
        return word == "yes"
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", word):
        return float(word)
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", word):
        return dt.datetime.fromisoformat(word)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", word):
        return dt.date.fromisoformat(word)
    return word[1:-1].replace("_", " ") if word.startswith("'") else word


def drawn(drawing: str) -> Frame:
    """Read a drawn table."""
    heads, *lines = [line.split() for line in drawing.strip().splitlines()]
    names = [head.split(":")[0] for head in heads]
    rows = [dict(zip(names, map(value, words), strict=True)) for words in lines]
    kinds = {}
    for head, name in zip(heads, names, strict=True):
        first = next((r[name] for r in rows if r[name] is not None), None)
        kinds[name] = head.split(":")[1] if ":" in head else reference.kind_of_value(first)
        assert kinds[name] != "null", f"write {name}:kind"
    return Frame(kinds, rows)


def arrow(frame: Frame) -> pa.Table:
    """Return a frame as the Arrow table that engines are given."""
    return pa.Table.from_pylist(frame.rows, pa.schema([(n, ARROW[k]) for n, k in frame.kinds.items()]))


def same(found: pa.Table, expected: Frame, *, ordered: bool = False) -> None:
    """Compare what an engine found with what is expected: types, columns, and every bit of every value."""
    assert list(found.column_names) == list(expected.kinds)
    for name, kind in expected.kinds.items():
        if kind != "null":
            assert found.schema.field(name).type == ARROW[kind], name
    rows, wanted = lines(found.to_pylist()), lines(expected.rows)
    if not ordered:
        rows, wanted = sorted(rows), sorted(wanted)
    assert rows == wanted


def lines(rows: Iterable[Row]) -> list[str]:
    """Write rows so that equal texts mean equal bits (but for the sign of zero)."""
    return [
        " | ".join(f"{k}={(v + 0.0).hex() if isinstance(v, float) else v!r}" for k, v in _utc(row).items())
        for row in rows
    ]


def _utc(row: Row) -> Row:
    return {k: v.astimezone(dt.UTC).isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()}


__all__ = ["Ask", "Frame", "arrow", "ask", "drawn", "in_order", "lines", "same"]
