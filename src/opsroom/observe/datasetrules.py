"""Rules on a dataset as a whole: judged on what it would hold after a delivery, before its commit.

Only the periods that the delivery reaches are read, and for a monotone field the last value before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from opsroom.base.spec_rules import RuleSpec
from opsroom.observe.shapes import Shapes, literal, quote, scan
from opsroom.observe.tables import StoredFile
from opsroom.observe.views import as_of_sql


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold, and in how many places: keys, values, groups or steps."""

    rule: RuleSpec
    places: int


Reader = Callable[[str, datetime], str]
"""Gives the SQL of another dataset as it was known at a moment."""


class DatasetRules:
    """The dataset rules that hold on a day.

    Parameters
    ----------
    con
        A connection of the store's workbench.
    shapes
        The versions of the dataset's specification.
    stored
        Committed files, before the delivery.
    written
        Paths of the delivery's files.
    moment
        Knowledge time of the delivery.
    day
        Its day in the room's zone.
    other
        Reads another dataset.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        shapes: Shapes,
        stored: Sequence[StoredFile],
        written: Sequence[str],
        moment: datetime,
        day: date,
        other: Reader,
    ) -> None:
        self._con, self._shapes, self._moment, self._other = con, shapes, moment, other
        self._spec = spec = shapes.spec
        self._stored, self._written = stored, written
        self._rules = [r for r in spec.rules if not r.on_rows and r.holds_on(day)]
        self._key = ", ".join(quote(k) for k in spec.key)

    def broken(self) -> Iterator[Broken]:
        """Yield the rules that do not hold."""
        if not self._rules or not self._written:
            return
        self._gather()
        for rule in self._rules:
            row = self._con.execute(getattr(self, f"_{rule.what}")(rule)).fetchone()
            places = int(row[0]) if row and row[0] is not None else 0
            if places:
                yield Broken(rule, places)

    def _gather(self) -> None:
        """Make ``after``: the periods of the delivery as they would be known with it."""
        con, spec = self._con, self._spec
        names = ", ".join(quote(f.name) for f in spec.fields)
        last = f"row_number() OVER (PARTITION BY {self._key} ORDER BY known_at DESC) = 1"
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE brought AS SELECT {names}, op FROM {scan(self._written)} QUALIFY {last}"
        )
        period = quote(spec.period)
        span = (
            con.execute(f"SELECT min({period}) AS a, max({period}) AS b FROM brought").to_arrow_table().to_pylist()[0]
        )
        columns = [f.name for f in spec.fields]
        before = as_of_sql(
            self._shapes, self._stored, self._moment, columns=columns, period_from=span["a"], period_to=span["b"]
        )
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE after AS SELECT {names} FROM ({before}) "
            f"ANTI JOIN brought USING ({self._key}) UNION ALL SELECT {names} FROM brought WHERE op = 0"
        )
        self._first = span["a"]

    def _unique(self, rule: RuleSpec) -> str:
        fields = ", ".join(quote(f) for f in rule.unique)
        whole = " AND ".join(f"{quote(f)} IS NOT NULL" for f in rule.unique)
        return f"SELECT count(*) FROM (SELECT 1 FROM after WHERE {whole} GROUP BY {fields} HAVING count(*) > 1)"

    def _references(self, rule: RuleSpec) -> str:
        dataset, name = rule.references.split(".")
        there = f"SELECT DISTINCT {quote(name)} AS v FROM ({self._other(dataset, self._moment)})"
        return (
            f"SELECT count(DISTINCT {quote(rule.field)}) FROM brought "
            f"WHERE op = 0 AND {quote(rule.field)} NOT IN (SELECT v FROM ({there}) WHERE v IS NOT NULL)"
        )

    def _total(self, rule: RuleSpec) -> str:
        value, by, code = quote(rule.field), quote(rule.by), literal(rule.total)
        others = ", ".join(quote(k) for k in self._spec.key if k != rule.by)
        exact = "HUGEINT" if self._spec.field(rule.field).integral else "DOUBLE"
        parts = f"sum(CAST({value} AS {exact})) FILTER ({by} <> {code})"
        whole = f"sum(CAST({value} AS {exact})) FILTER ({by} = {code})"
        return (
            f"SELECT count(*) FROM (SELECT {parts} AS parts, {whole} AS whole FROM after GROUP BY {others}) "
            f"WHERE abs(CAST(parts - whole AS DOUBLE)) > {rule.tolerance!r} * abs(CAST(whole AS DOUBLE))"
        )

    def _monotone(self, rule: RuleSpec) -> str:
        spec, period, value = self._spec, quote(self._spec.period), quote(rule.field)
        series = ", ".join(quote(k) for k in spec.key if k != spec.period)
        group = f"GROUP BY {series}" if series else ""
        part = f"PARTITION BY {series} " if series else ""
        chosen = f"{series}, " if series else ""
        # The last value before the periods of the delivery stands before the first of them.
        before = as_of_sql(self._shapes, self._stored, self._moment, columns=[*spec.key, rule.field])
        last = (
            f"SELECT {chosen}max({period}) AS {period}, arg_max({value}, {period}) AS {value} FROM ({before}) "
            f"WHERE {period} < {literal(self._first)} AND {value} IS NOT NULL {group}"
        )
        line = f"SELECT {chosen}{period}, {value} FROM after WHERE {value} IS NOT NULL UNION ALL ({last})"
        sign = "<" if rule.monotone == "up" else ">"
        step = f"{value} {sign} lag({value}) OVER ({part}ORDER BY {period})"
        return f"SELECT count(*) FILTER (fell) FROM (SELECT {step} AS fell FROM ({line}))"
