"""Table queries: a table asked for by declaration is answered by a `Release`, or refused.

Who asks needs the right ``query`` and sees no microdata. The engine computes the *master table* of each period over
all rows, the gate protects it and the ledger keeps it (`opsroom.room.tablemaster`); an answer is what a question
selects of such tables, and so a function of releases alone. The caller's row scope is a filter on the answer that the
caller cannot take away. It is not put on the scan: a table of a part, protected by itself, could be subtracted from
the table of the whole.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import DisclosureError, OpsroomError
from opsroom.base.periods import format_period
from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.protect.gate import HELD_NOTE
from opsroom.protect.gate import release as pass_gate
from opsroom.protect.reader import Releases
from opsroom.protect.rules import PUBLIC
from opsroom.room.answering import answering, dimensions_of
from opsroom.room.derivedquery import Question, read_question
from opsroom.room.deriving import derive
from opsroom.room.tablemaster import UNITS, master
from opsroom.room.tableplan import UNKNOWN, Dimension, Plan, make_plan
from opsroom.room.tablequery import Statistic, TableQuery

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec
    from opsroom.protect.release import Release
    from opsroom.room.room import Room

Codes = tuple[str, ...]


def ask(room: Room, query: Question) -> Release:
    """Answer a table query, or one for a derived number, in the name of the room's actor.

    Parameters
    ----------
    room
        The room, opened by who asks.
    query
        The question: see `TableQuery` and `DerivedQuery`.

    Returns
    -------
    Release
        One row a period and cell, the total ``"_T"``; of a derived number one row a number. The same question as of
        the same day is the same release.
        Hidden numbers are None, and their rows ``suppressed``.

    Raises
    ------
    AccessError
        The actor may not ask, or not for these rows.
    UsageError
        The question asks for what the dataset does not declare.
    DisclosureError
        Nothing of the answer may be shown. It names the rule and a public remedy, and leaves at a step of the clock
        that does not depend on the data (``[access] refusal_step``). What is refused without a look at the data is
        refused at once.
    """
    try:
        room.guard.require("query")
        room.guard.require("scan")
        issued = _answer(room, query) if isinstance(query, TableQuery) else derive(room, query)
    except OpsroomError as error:
        room.audit.append(room.actor, "query", f"{query.dataset}: refused, {error.code}", at=room.store.clock())
        raise
    room.audit.append(room.actor, "query", issued.id, at=room.store.clock())
    return issued


def offer(room: Room, dataset: str) -> dict[str, Any]:
    """Return what may be asked of a dataset: period, dimensions with codes, measures, conditions, derived numbers.

    Raises
    ------
    DisclosureError
        The dataset declares no tables.
    """
    room.guard.require("query")
    spec = room.store.spec(dataset)
    return {
        "dataset": spec.name,
        "period": spec.period,
        "frequency": str(spec.frequency),
        "dimensions": {d.name: [code for code in d.order if code != UNKNOWN] for d in dimensions_of(room, spec)},
        "measures": list(spec.tables.measures),
        "conditions": list(spec.tables.conditions),
        "derived": [str(one) for one in spec.tables.may_derive],
    }


class Asker:
    """Answers questions of callers whom a server has told by their tokens: it hands out releases, and nothing else.

    Parameters
    ----------
    path
        The room's folder. It is opened anew for each question, in the name of who asks.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def __call__(self, actor: str, query: Mapping[str, Any]) -> Release:
        """Answer a question; see `ask`.

        Parameters
        ----------
        actor
            Name of the registered user who asks.
        query
            See `TableQuery.from_dict` and `DerivedQuery.from_dict`.
        """
        from opsroom.room.room import Room

        asked = read_question(query)
        with Room.open(self._path, actor=actor) as room:
            return ask(room, asked)


def _answer(room: Room, query: TableQuery) -> Release:
    spec = room.store.spec(query.dataset)
    dimensions = dimensions_of(room, spec)
    plan = make_plan(query, spec, dimensions, room.guard.scope)
    moment = room.moment(query.as_of)
    with answering(room):
        masters = [(p, master(room, spec, dimensions, p, as_of=moment)) for p in plan.periods]
        return _issue(room, spec, plan, masters, moment)


def _issue(
    room: Room, spec: DatasetSpec, plan: Plan, masters: Sequence[tuple[dt.date, Release]], moment: dt.datetime
) -> Release:
    """Issue the answer, unless it is out already."""
    facts = {
        "dataset": spec.name,
        "statistics": [str(s) for s in plan.statistics],
        "where": {column: list(codes) for column, codes in plan.chosen.items()},
        "masters": [{"id": m.id, "hash": m.hash, "certificate": m.stamp["certificate"]} for _, m in masters],
    }
    for earlier in reversed(Releases(room.state, answers=True).history(plan.name)):
        if earlier.as_of == moment and earlier.facts == facts:
            return earlier
    columns, rows = _rows(spec, plan, masters)
    measures = [_measure(s, spec) for s in plan.statistics]
    withheld = [[row[f"{m.name}__withheld"] for m in measures] for row in rows]
    if all(itertools.chain.from_iterable(withheld)):
        raise DisclosureError(
            "every number asked for rests on few contributors or on few that dominate, or protects one that does.",
            remedy="Ask for a coarser table: fewer dimensions, more codes together, other periods.",
            code="OPS-P015",
        )
    import pandas as pd

    cells = Cells(
        name=plan.name,
        dimensions=columns,
        measures=tuple(measures),
        frame=pd.DataFrame(rows),
        provenance={name: version for _, m in masters for name, version in m.provenance.items()},
        public=True,  # a function of the masters, which are releases, alone
        unit_kind=spec.unit,
        method="table_query-1",
        source=spec.source or spec.provider,
        notes=(HELD_NOTE,) if any(m.held for _, m in masters) else (),
        facts=facts,
    )
    day = moment.astimezone(room.zone).date()
    return pass_gate(cells, rules=PUBLIC, as_of=moment, day=day, ledger=room.ledger, licence=room.settings.licence)


def _measure(statistic: Statistic, spec: DatasetSpec) -> Measure:
    field = statistic.field
    if statistic.kind == "count":
        return Measure("count", "public", "units", decimals=0)
    if statistic.kind == "share":
        name = f"share_{field}" + (f"_{statistic.code}" if statistic.code else "")
        return Measure(name, "public", "%", decimals=1)
    stored = spec.field(field)
    decimals = (stored.scale or 0) + (2 if statistic.kind == "mean" else 0)
    return Measure(
        f"{statistic.kind}_{field}", "public", stored.currency or stored.measure or "units", decimals=decimals
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a master table shows: looked up by codes."""

    rows: Mapping[Codes, tuple[Any, ...]]
    columns: Mapping[str, int]

    @classmethod
    def of(cls, release: Release) -> _Shown:
        width = len(release.dimensions)
        return cls({row[:width]: row for row in release.rows}, {name: k for k, name in enumerate(release.columns)})

    def total(self, measure: str, keys: Sequence[Codes]) -> float | None:
        """Return the sum of a measure over cells; None where one of them is hidden."""
        found = [self.rows[key][self.columns[measure]] for key in keys if key in self.rows]
        return None if any(value is None for value in found) else math.fsum(found)


def _rows(
    spec: DatasetSpec, plan: Plan, masters: Sequence[tuple[dt.date, Release]]
) -> tuple[Codes, list[dict[str, Any]]]:
    """Select the rows of an answer."""
    found: list[dict[str, Any]] = []
    for period, release in masters:
        shown = _Shown.of(release)
        for codes in itertools.product(*(_lines(d, plan, release) for d in plan.dimensions if d.name in plan.by)):
            keys = _keys(plan, dict(zip(plan.by, codes, strict=True)))
            if not any(key in shown.rows for key in keys):
                continue  # nobody is there
            row: dict[str, Any] = {spec.period: format_period(period, spec.frequency)}
            row |= zip(plan.by, codes, strict=True)
            for statistic in plan.statistics:
                name = _measure(statistic, spec).name
                value, row[f"{name}__withheld"] = _value(statistic, plan, shown, keys)
                row[name] = math.nan if value is None else value
            found.append(row)
    return (spec.period, *plan.by), found


def _lines(dimension: Dimension, plan: Plan, release: Release) -> list[str]:
    """Return the codes of a dimension that make rows: those chosen or else all, and the total of them."""
    if dimension.name in plan.chosen:
        codes = plan.chosen[dimension.name]
        return [*codes, TOTAL] if len(codes) > 1 else list(codes)
    at = release.dimensions.index(dimension.name)
    there = {row[at] for row in release.rows}
    return [*(code for code in dimension.order if code in there), TOTAL]


def _keys(plan: Plan, codes: Mapping[str, str]) -> list[Codes]:
    """Return the master's cells of which the answer's cell is the sum."""
    choices: list[Codes] = []
    for d in plan.dimensions:
        code = codes.get(d.name, TOTAL)
        choices.append(plan.chosen[d.name] if code == TOTAL and d.name in plan.chosen else (code,))
    return list(itertools.product(*choices))


def _value(statistic: Statistic, plan: Plan, shown: _Shown, keys: Sequence[Codes]) -> tuple[float | None, bool]:
    """Return a statistic and whether it is withheld."""
    field = statistic.field
    if statistic.kind == "count":
        value = shown.total(UNITS, keys)
        return value, value is None
    if statistic.kind == "sum":
        value = shown.total(f"sum_{field}", keys)
        return value, value is None
    below, scale = shown.total(UNITS, keys), 100.0
    if statistic.kind == "mean":
        above, scale = shown.total(f"sum_{field}", keys), 1.0
    elif statistic.code:
        at = [d.name for d in plan.dimensions].index(field)
        above = shown.total(UNITS, [(*key[:at], statistic.code, *key[at + 1 :]) for key in keys])
    else:
        above = shown.total(f"yes_{field}", keys)
    if above is None or below is None:
        return None, True
    return (scale * above / below if below else None), False
