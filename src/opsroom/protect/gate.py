"""The gate: the only way from a result to a `Release`.

Confidential cells are judged (`opsroom.protect.judge`) and what must not be seen is hidden; cells made
of public data alone pass as they are, under the profile ``public``. A release is judged against the
ledger's head and appended only if the head is still the same.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from opsroom.base.errors import DisclosureError, InternalError, LedgerConflictError, UsageError
from opsroom.base.results import Cells, Measure
from opsroom.protect.judge import Unit, Verdict, judge, shown_rows
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Head, Ledger, Past, memory_of
from opsroom.protect.release import SCHEMA_VERSION, Release, canonical, content_of, read_release, seal
from opsroom.protect.rules import PUBLIC, Rules

HELD_NOTE = "release.held"
"""Message id: some numbers are those released earlier."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


def release(
    cells: Cells,
    *,
    rules: Rules,
    as_of: dt.datetime,
    day: dt.date,
    ledger: Ledger,
    licence: str = "",
    attempts: int = 5,
) -> Release:
    """Judge cells, make the release and append it to the ledger.

    Parameters
    ----------
    cells
        What is to be published; confidential unless ``cells.public``.
    rules
        The room's profile; not applied to public cells.
    as_of
        Knowledge time, with zone.
    day
        Publication day.
    ledger
        Where earlier releases are, and this one goes.
    licence
        Terms of use; else ``facts["licence"]``.
    attempts
        How often to judge anew when another release was issued meanwhile.

    Returns
    -------
    Release

    Raises
    ------
    DisclosureError
        If the cells may not be published at all. The refusal is recorded by rule and remedy.
    UsageError
        If the cells are not such that they can be judged.
    LedgerConflictError
        If other releases kept coming between.
    """
    _check_call(cells, as_of)
    for _ in range(max(attempts, 1)):
        head = ledger.head()
        past = ledger.past(cells.name, head)
        try:
            candidate, judgement = _make(cells, rules, as_of, day, head, past, licence, ledger)
        except DisclosureError as error:
            ledger.refuse(cells.name, day, error.message, error.remedy)
            raise
        try:
            ledger.append(candidate, head, judgement=judgement)
        except LedgerConflictError:
            continue
        return candidate
    raise LedgerConflictError(
        "other releases were issued each time this one had been judged.", remedy="Try again later."
    )


def _check_call(cells: Cells, as_of: dt.datetime) -> None:
    if not _NAME.fullmatch(cells.name):
        raise UsageError("the name of a release series is lower-case words with dots.")
    if as_of.tzinfo is None:
        raise UsageError("as_of needs a time zone.")
    reserved = {"status"} & {*cells.dimensions, *(m.name for m in cells.measures)}
    if reserved:
        raise UsageError("'status' is no name for a dimension or measure.")


def _make(
    cells: Cells,
    rules: Rules,
    as_of: dt.datetime,
    day: dt.date,
    head: Head,
    past: Sequence[Past],
    licence: str,
    ledger: Ledger,
) -> tuple[Release, Judgement | None]:
    verdict: Verdict | None = None
    if not cells.public:
        _refuse_unjudgeable(cells, rules)
        verdict = judge(cells, rules, past, entry=head.seq + 1)
        if verdict.hidden and not verdict.shown:
            raise DisclosureError(
                f"{cells.name}: every cell, or what changed in it, rests on few contributors or on few that dominate.",
                remedy="Ask for a coarser table: fewer dimensions, larger regions or industries.",
                code="OPS-P004",
            )
    cells = _completed(cells, verdict)
    table = _table(cells, verdict, [earlier for earlier in past if earlier.judgement.is_table])
    document = _document(cells, table, as_of, day, licence or str(cells.facts.get("licence", "")))
    document["id"] = free_id(f"{cells.name}@{day.isoformat()}", ledger)
    profile = PUBLIC if cells.public else rules
    proof = verdict.certificate.stamp() if verdict else None
    judgement = verdict.judgement if verdict else None
    return stamped(document, profile, head, proof, judgement=judgement, suppressed=table.suppressed), judgement


def _completed(cells: Cells, verdict: Verdict | None) -> Cells:
    """Return the cells with the attached columns that rest on what is shown, and on nothing else."""
    if cells.completed is None:
        return cells
    seen = np.ones(len(cells.frame), dtype=bool)
    if verdict is not None:
        seen[:] = False
        seen[[row for row, _ in verdict.shown]] = True
        seen[[row for row, _ in verdict.hidden]] = False
    columns = cells.completed(seen)
    # Parts and dimensions have been judged as they are.
    if not set(columns) <= {name for measure in cells.measures for name in measure.attached}:
        raise InternalError(f"cells {cells.name!r}: what is completed after judgement is more than attached columns.")
    return replace(cells, frame=cells.frame.assign(**columns))


def stamped(
    document: dict[str, Any],
    profile: Rules,
    head: Head,
    proof: Mapping[str, Any] | None,
    *,
    judgement: Judgement | None,
    series: str | None = None,
    suppressed: int = 0,
) -> Release:
    """Return the release of a document that was judged against a head of the ledger, sealed with what it remembers."""
    document["content_hash"] = content_of(document)
    stamp: dict[str, Any] = {
        "profile": profile.profile,
        "profile_version": profile.version,
        "ledger": head.seq + 1,
        "previous": head.hash,
        "cells": len(document["rows"]),
        "suppressed": suppressed,
        "held": len(document["held"]),
    }
    if proof is not None:
        stamp["certificate"] = {**proof, "head": head.hash}
    if judgement is not None:
        stamp["memory"] = memory_of(series or document["name"], judgement.to_bytes())
    document["stamp"] = stamp
    document["stamp"] = {**stamp, "hash": seal(document)}
    return read_release(canonical(document))


def _refuse_unjudgeable(cells: Cells, rules: Rules) -> None:
    """Refuse confidential cells for which there are no rules, or of which nothing behind them is told."""
    if rules.profile == PUBLIC.profile:
        raise DisclosureError(
            f"{cells.name}: the result is confidential, and the room's profile of rules is for public data alone.",
            remedy='Set profile = "business" under [rules] in room.toml.',
            code="OPS-P005",
        )
    gated = [m for m in cells.measures if m.kind != "public"]
    if not cells.parts:
        raise DisclosureError(
            f"{cells.name}: a confidential result does not say how many contributors it has.",
            remedy="Give the parts behind each measure (opsroom.base.cells), or use releases only.",
            code="OPS-P003",
        )
    if not gated and not len(cells.frame):
        raise UsageError(f"cells {cells.name!r} are empty.")


@dataclass(frozen=True, slots=True)
class _Table:
    columns: list[str]
    rows: list[list[Any]]
    suppressed: int
    held: list[tuple[int, str, str]]


def _table(cells: Cells, verdict: Verdict | None, past: Sequence[Past]) -> _Table:
    frame = cells.frame
    keys = list(zip(*(frame[d].astype(str) for d in cells.dimensions), strict=True))
    columns = list(cells.dimensions)
    for measure in cells.measures:
        columns += [measure.name, *measure.attached]
    values = {m.name: _values(m, cells) for m in cells.measures}
    # A function of releases alone has nothing to show where they have not: the producer says where.
    withheld = {m.name: frame[f"{m.name}__withheld"].tolist() for m in cells.measures if _may_lack(m, cells)}
    attached = {c: [_plain(v, m.decimals) for v in frame[c]] for m in cells.measures for c in m.attached}
    visible = shown_rows(cells)
    earlier = _Earlier(past)
    rows: list[list[Any]] = []
    held: list[tuple[int, str, str]] = []
    suppressed = 0
    for row in np.flatnonzero(visible).tolist():
        line: list[Any] = list(keys[row])
        hidden = False
        for measure in cells.measures:
            shown = [values[measure.name][row], *(attached[c][row] for c in measure.attached)]
            unit: Unit = (row, measure.name)
            if measure.name in withheld and withheld[measure.name][row]:
                hidden = True
                shown = [None] * len(shown)
            elif verdict is not None and unit not in verdict.shown:
                if unit in verdict.hidden:
                    found = None if unit in verdict.primary else earlier.find(keys[row], measure)
                    if found is None:
                        hidden = True
                        shown = [None] * len(shown)
                    else:
                        shown, since = found
                        held.append((len(rows), measure.name, since))
                else:  # no parts in this cell: there is nothing to show
                    shown = [None] * len(shown)
            line += shown
        suppressed += hidden
        rows.append([*line, "suppressed" if hidden else "published"])
    return _Table([*columns, "status"], rows, suppressed, held)


def _may_lack(measure: Measure, cells: Cells) -> bool:
    return measure.kind == "public" and f"{measure.name}__withheld" in cells.frame.columns


class _Earlier:
    """Finds the number of a cell that was published last."""

    def __init__(self, past: Sequence[Past]) -> None:
        self._past = past
        self._rows: dict[int, Mapping[tuple[str, ...], int]] = {}

    def find(self, key: tuple[str, ...], measure: Measure) -> tuple[list[Any], str] | None:
        """Return the numbers of a measure with its attached columns, and the day they were released."""
        for earlier in reversed(self._past):
            found = earlier.release
            width = len(found.dimensions)
            if earlier.seq not in self._rows:
                self._rows[earlier.seq] = {row[:width]: k for k, row in enumerate(found.rows)}
            k = self._rows[earlier.seq].get(key)
            names = [measure.name, *measure.attached]
            if k is None or any(name not in found.columns for name in names):
                continue
            values = [found.rows[k][found.columns.index(name)] for name in names]
            if values[0] is not None:
                return values, found.held.get((k, measure.name), found.day.isoformat())
        return None


def _values(measure: Measure, cells: Cells) -> list[Any]:
    frame = cells.frame
    if measure.kind == "public":
        return [_plain(v, measure.decimals) for v in frame[measure.name]]
    numbers = [frame[p].to_numpy(dtype=np.float64, na_value=np.nan) for p in measure.parts]
    value = numbers[0]
    if len(numbers) == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = numbers[0] / numbers[1]
    value = value * measure.scale
    adjusted = f"{measure.name}__adjusted"
    if adjusted in frame.columns:
        estimate = frame[adjusted].to_numpy(dtype=np.float64, na_value=np.nan)
        value = np.where(np.isfinite(value), estimate, np.nan)
    return [_plain(v, measure.decimals) for v in value]


def _plain(value: Any, decimals: int) -> Any:
    """Return a JSON value: a number rounded at the declared precision, a text, or None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, dt.date):
        return value.isoformat()[:10] if not isinstance(value, dt.datetime) else value.isoformat()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return round(number) if decimals <= 0 else round(number, decimals) + 0.0


def _document(cells: Cells, table: _Table, as_of: dt.datetime, day: dt.date, licence: str) -> dict[str, Any]:
    notes = [*cells.notes, *([HELD_NOTE] if table.held else [])]
    return {
        "schema_version": SCHEMA_VERSION,
        "id": "",
        "name": cells.name,
        "as_of": as_of.astimezone(dt.UTC).isoformat(),
        "day": day.isoformat(),
        "dimensions": list(cells.dimensions),
        "measures": [_described(measure) for measure in cells.measures],
        "columns": table.columns,
        "rows": table.rows,
        "facts": _jsonable(cells.facts),
        "notes": list(dict.fromkeys(notes)),
        "method": cells.method,
        "source": cells.source,
        "licence": licence,
        "provenance": {str(k): int(v) for k, v in sorted(cells.provenance.items())},
        "held": [list(entry) for entry in table.held],
    }


def _described(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "unit": measure.unit,
        "kind": measure.kind,
        "decimals": measure.decimals,
        "attached": list(measure.attached),
    }


def _jsonable(value: Any) -> Any:
    """Turn facts into JSON values."""
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return [_jsonable(v) for v in value.tolist()]
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.integer) or (isinstance(value, int) and not isinstance(value, bool)):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    raise UsageError("a fact is no JSON value.", remedy="Give texts, numbers, dates, lists or tables.")


def free_id(wanted: str, ledger: Ledger) -> str:
    """Return an id that no entry of the ledger has: the one wanted, or that with a number."""
    taken: Iterable[str] = ledger.ids(wanted)
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}.{number}" in taken:
        number += 1
    return f"{wanted}.{number}"
