"""How numbers derived from a series enter the ledger: judged against its head, stamped, remembered with the series.

Quotients (`opsroom.protect.quotients`) and other derived outputs (`opsroom.protect.derived_once`) differ in what must
be proved of them. What goes before and after the proof is the same and is here: the history up to a head, the refusal
that is recorded, another try where another release came between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opsroom.base.errors import DisclosureError, LedgerConflictError, UsageError
from opsroom.protect.gate import free_id, stamped
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Head, Ledger, Past
from opsroom.protect.release import SCHEMA_VERSION, Release
from opsroom.protect.rules import Rules

Key = tuple[str, ...]
Term = tuple[int, float]

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """Under what derived numbers are released.

    Attributes
    ----------
    series
        Name of a series of tables in the ledger.
    rules
        The profile of the series.
    as_of, day, ledger, licence
        As in `opsroom.protect.gate.release`.
    vintage
        Id of the release of the series whose cells count; None: of each cell the one that was released last.
    facts
        What else the release says of itself.
    """

    series: str
    rules: Rules
    as_of: dt.datetime
    day: dt.date
    ledger: Ledger
    licence: str = ""
    vintage: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proved:
    """Derived numbers that may leave: rows to show, what is remembered of them, and what the certificate says."""

    dimensions: tuple[str, ...]
    rows: list[list[Any]]
    unit: str
    method: str
    judgement: Judgement
    certificate: Mapping[str, Any]


def enter(entry: Entry, suffix: str, prove: Callable[[Sequence[Past], Sequence[Past], Head], Proved]) -> Release:
    """Release derived numbers, if they can be proved.

    Parameters
    ----------
    entry
        Of which series, when, under which rules.
    suffix
        What follows the name of the series in the name of the release.
    prove
        Takes all that is remembered of the series, the tables whose cells count, and the head of the ledger.

    Raises
    ------
    DisclosureError
        As `prove` raises it; rule and remedy are recorded.
    UsageError
        If there is no such table, or the time has no zone.
    LedgerConflictError
        If other releases kept coming between.
    """
    name, ledger = f"{entry.series}.{suffix}", entry.ledger
    for _ in range(_ATTEMPTS):
        head = ledger.head()
        past = ledger.past(entry.series, head)
        tables = [p for p in past if p.judgement.is_table and entry.vintage in (None, p.release.id)]
        if not tables or entry.as_of.tzinfo is None:
            raise UsageError(
                "derived numbers are of a series that was released, and have an as_of with zone.",
                remedy="Release the table first.",
                code="OPS-U197",
            )
        try:
            proved = prove(past, tables, head)
        except DisclosureError as error:
            ledger.refuse(name, entry.day, error.message, error.remedy)
            raise
        document = _document(name, proved, entry)
        document["id"] = free_id(f"{name}@{entry.day.isoformat()}", ledger)
        made = stamped(document, entry.rules, head, proved.certificate, judgement=proved.judgement, series=entry.series)
        try:
            ledger.append(made, head, judgement=proved.judgement, series=entry.series)
        except LedgerConflictError:
            continue
        return made
    raise LedgerConflictError(
        "other releases were issued each time this one had been judged.", remedy="Try again later."
    )


def remembered(
    dimensions: tuple[str, ...], claims: Sequence[tuple[list[Term], float]], *, keys: Sequence[Key] = ()
) -> Judgement:
    """Return what the ledger keeps of derived numbers: what they tell, or which cells they tell of."""
    start = np.cumsum([0, *(len(terms) for terms, _ in claims)]).astype(np.int64)
    flat = [term for terms, _ in claims for term in terms]
    whole, real = np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0))
    flag, some = np.zeros((0, 0), dtype=bool), np.zeros(0, dtype=np.int64)
    return Judgement(
        dimensions, tuple(keys), (), whole, flag, flag, flag, whole, real, real, real, whole, real, real, real,
        some, np.zeros(1, dtype=np.int64), some, some, some,
        start, np.array([n for n, _ in flat], dtype=np.int64), np.array([a for _, a in flat], dtype=np.float64),
        np.array([slack for _, slack in claims], dtype=np.float64),
    )  # fmt: skip


def _document(name: str, proved: Proved, entry: Entry) -> dict[str, Any]:
    """Return the document of derived numbers, in the form of every release."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": "",
        "name": name,
        "as_of": entry.as_of.astimezone(dt.UTC).isoformat(),
        "day": entry.day.isoformat(),
        "dimensions": list(proved.dimensions),
        "measures": [{"name": "value", "unit": proved.unit, "kind": "derived", "decimals": 6, "attached": []}],
        "columns": [*proved.dimensions, "value", "status"],
        "rows": proved.rows,
        "facts": dict(entry.facts),
        "notes": [],
        "method": proved.method,
        "source": "",
        "licence": entry.licence,
        "provenance": {},
        "held": [],
    }
