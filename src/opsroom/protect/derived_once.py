"""Derived outputs that are no quotients, in the history of a series: one of a published cell, and no second.

A quantile, a share of the largest, an index of concentration or a regression tells of contributions what no linear
relation between cells can say. Its rule (`opsroom.protect.derived`) bounds what it tells beside number and total of
the contributors. That holds in the history if number and total are out anyway, and if no other such output tells of
the same contributors: so it is released only of a cell that is published, and once of a cell, of whatever vintage,
and of all that share contributors with it. Whether that is so, everybody can tell of what is out: it is looked at
first, and where it is not, the contributions are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.protect.contributions import refusal
from opsroom.protect.derived_asked import FAMILY, Asked
from opsroom.protect.derived_entry import Entry, Key, Proved, enter, remembered
from opsroom.protect.derived_witness import prove
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Head, Past
from opsroom.protect.release import Release

SUFFIX = "derived"


def release_derived(asked: Callable[[], Asked], *, cell: Key, parts: Sequence[str], entry: Entry) -> Release:
    """Release a derived output that its rule lets pass and witnesses prove, once of a cell.

    Parameters
    ----------
    asked
        Reads the contributions to the cell; called once it is known that an output of it may be released at all.
    cell, parts
        The codes of all dimensions of a cell, and the parts of it whose contributions are read.
    entry
        Of which series, when, under which rules.

    Returns
    -------
    Release
        Named ``<series>.derived``.

    Raises
    ------
    DisclosureError
        If the cell is not published, an output of contributors to it is out, or the rule of its kind or the checker
        of witnesses does not let it pass.
    UsageError
        If the series has no such cell or part.
    LedgerConflictError
        If other releases kept coming between.
    """
    read: list[Asked] = []

    def proved(past: Sequence[Past], chosen: Sequence[Past], head: Head) -> Proved:
        tables = [p.judgement for p in past if p.judgement.is_table]
        found = next((p.judgement for p in reversed(chosen) if _has(p.judgement, cell, parts)), None)
        if found is None:
            raise UsageError(
                "a derived output names a cell or part that the series has not.",
                remedy="Release the table first, and name the cell by the codes of all dimensions.",
                code="OPS-U198",
            )
        inside = {key for part in parts for key in _shares(tables, cell, part)}
        taken = {key for p in past if not p.judgement.is_table for key in p.judgement.keys}
        row = found.keys.index(cell)
        known = all(found.known[row, found.names.index(part)] for part in parts)
        twice = any(inside & _shares(tables, key, part) for key in sorted(taken) for part in parts)
        if not known or taken & inside or twice:
            raise DisclosureError(
                "derived output: its cell is not published, or another such output of some of its contributors is out.",
                remedy="Use the one that is out, or ask for another cell.",
                code="OPS-P061",
            )
        if not read:
            read.append(asked())
        try:
            derived = read[0].derive(entry.rules)
        except UsageError:  # that somebody is below zero, or a value is missing, is told of nobody
            raise refusal(FAMILY[read[0].kind]) from None
        certificate = prove(read[0], derived, entry.rules)
        rows = [["/".join(cell), name, value, "published"] for name, value in derived.values.items()]
        kept = remembered(found.dimensions, (), keys=sorted(inside))
        return Proved(("cell", "statistic"), rows, derived.unit, derived.method, kept, certificate)

    return enter(entry, SUFFIX, proved)


def _has(judgement: Judgement, cell: Key, parts: Sequence[str]) -> bool:
    if cell not in judgement.keys or not set(parts) <= set(judgement.names):
        return False
    row = judgement.keys.index(cell)
    return all(judgement.present[row, judgement.names.index(part)] for part in parts)


def _shares(tables: Sequence[Judgement], cell: Key, part: str) -> set[Key]:
    """Return the cells whose contributors are among a cell's by any vintage of the table: one may show more depth."""
    return {cell}.union(*(_within(j, cell, part) for j in tables if cell in j.keys and part in j.names))


def _within(judgement: Judgement, cell: Key, part: str) -> set[Key]:
    """Return the cells that a cell is the sum of, down to those that are no sums, with itself."""
    q = judgement.names.index(part)
    own = judgement.numbers[:, q].tolist()
    row_of = {number: row for row, number in enumerate(own) if judgement.present[row, q]}
    children: dict[int, set[int]] = {}
    start, number = judgement.relation_start.tolist(), judgement.relation_number.tolist()
    sign = judgement.relation_coefficient.tolist()
    for r, parent in enumerate(judgement.relation_row.tolist()):
        terms = range(start[r], start[r + 1])
        if all(number[k] in row_of for k in terms if sign[k] > 0) and own[parent] in [number[k] for k in terms]:
            children.setdefault(parent, set()).update(row_of[number[k]] for k in terms if sign[k] > 0)
    left, seen = [judgement.keys.index(cell)], set()
    while left:
        row = left.pop()
        if row in seen:
            continue
        seen.add(row)
        left += sorted(children.get(row, ()))
    return {judgement.keys[row] for row in seen}
