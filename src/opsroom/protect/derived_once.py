"""Derived outputs that are no quotients, in the history of a series: one of a published cell, and no second.

A quantile, a share of the largest, an index of concentration or a regression tells of contributions what no linear
relation between cells can say. Its rule (`opsroom.protect.derived`) bounds what it tells beside number and total of
the contributors. That holds in the history if number and total are out anyway, and if no other such output tells of
the same contributors: so it is released only of a cell that is published, and once of a cell, of whatever vintage,
and of all that share contributors with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.protect.contributions import Derived
from opsroom.protect.gate import free_id, stamped
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Ledger
from opsroom.protect.quotients import document_of, remembered
from opsroom.protect.release import Release
from opsroom.protect.rules import Rules

Key = tuple[str, ...]
SUFFIX = "derived"
METHOD = "opsroom-derived-1"
"""What stands in for witnesses: that the rule of its kind has passed, and that this is the first of its cell."""


def release_derived(
    derived: Derived,
    *,
    series: str,
    cell: Key,
    part: str,
    rules: Rules,
    as_of: dt.datetime,
    day: dt.date,
    ledger: Ledger,
    licence: str = "",
) -> Release:
    """Release what a rule for derived outputs has let pass, once of a cell.

    Parameters
    ----------
    derived
        The output, of the contributions to the cell.
    series, cell, part
        Name of a series of tables in the ledger, the codes of all dimensions of a cell, and the part of it whose
        contributions were read.
    rules, as_of, day, ledger, licence
        As in `opsroom.protect.gate.release`.

    Returns
    -------
    Release
        Named ``<series>.derived``.

    Raises
    ------
    DisclosureError
        If the cell is not published, or an output of contributors to it is out.
    UsageError
        If the series has no such cell or part.
    """
    head = ledger.head()
    past = ledger.past(series, head)
    tables = [p.judgement for p in past if p.judgement.is_table]
    found = next((j for j in reversed(tables) if cell in j.keys and part in j.names), None)
    if found is None or as_of.tzinfo is None:
        raise UsageError(
            "a derived output names a cell or part that the series has not, or an as_of without zone.",
            remedy="Release the table first, and name the cell by the codes of all dimensions.",
            code="OPS-U198",
        )
    inside = _shares(tables, cell, part)
    taken = {key for p in past if not p.judgement.is_table for key in p.judgement.keys}
    known = found.known[found.keys.index(cell), found.names.index(part)]
    if not known or taken & inside or any(inside & _shares(tables, key, part) for key in sorted(taken)):
        error = DisclosureError(
            "derived output: its cell is not published, or another such output of some of its contributors is out.",
            remedy="Use the one that is out, or ask for another cell.",
            code="OPS-P061",
        )
        ledger.refuse(f"{series}.{SUFFIX}", day, error.message, error.remedy)
        raise error
    rows = [["/".join(cell), name, value, "published"] for name, value in derived.values.items()]
    document = document_of(f"{series}.{SUFFIX}", ("cell", "statistic"), rows, derived.unit, derived.method, as_of, day,
                           licence)  # fmt: skip
    document["id"] = free_id(f"{series}.{SUFFIX}@{day.isoformat()}", ledger)
    made = stamped(document, rules, head, {"method": METHOD, "attackers": rules.attackers})
    ledger.append(made, head, judgement=remembered(found.dimensions, (), keys=sorted(inside)), series=series)
    return made


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
