"""Derived outputs that are no quotients, in the history of a series: one of a published cell, and no second.

A quantile, a share of the largest, an index of concentration or a regression tells of contributions what no linear
relation between cells can say. Its rule (`opsroom.protect.derived`) bounds what it tells beside number and total of
the contributors. That holds in the history if number and total are out anyway, and if no other such output tells of
the same contributors: so it is released only of a cell that is published, and once of a cell, of whatever vintage,
and of all that share contributors with it. Who contributes in one period contributes much the same in the next: of
other periods there is the same output of the same cell, or none. Whether that is so, everybody can tell of what is
out: it is looked at first, and where it is not, the contributions are never read. What two periods' outputs tell by
their difference is a table of changes: the sums behind them differ by contributions of groups that changed, came, went
or passed each other in rank, and must do so by enough of them, like a revision. What three or more tell together is
judged, too (`opsroom.protect.together`).

A refusal stands, too. A contributor who files another number of its own and asks again could find out at which
number the answer changes, and with it what the others contribute; so a question that was refused is not judged anew
when another vintage is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.protect.contributions import publishable, refusal
from opsroom.protect.derived_asked import FAMILY, Asked
from opsroom.protect.derived_entry import Entry, Key, Proved, enter, remembered
from opsroom.protect.derived_witness import prove
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Head, Past
from opsroom.protect.release import Release
from opsroom.protect.rules import Rules
from opsroom.protect.together import betrays

SUFFIX = "derived"


@dataclass(frozen=True, slots=True)
class Kin:
    """The same units in other periods.

    Attributes
    ----------
    prefix
        How the names of the series of all periods begin.
    read
        Reads the contributions behind an output of another period anew.
    """

    prefix: str
    read: Callable[[Release], Asked]


def release_derived(
    asked: Callable[[], Asked],
    *,
    cell: Key,
    parts: Sequence[str],
    statistic: str,
    entry: Entry,
    kin: Kin | None = None,
) -> Release:
    """Release a derived output that its rule lets pass and witnesses prove, once of a cell.

    Parameters
    ----------
    asked
        Reads the contributions to the cell; called once it is known that an output of it may be released at all.
    cell, parts
        The codes of all dimensions of a cell, and the parts of it whose contributions are read.
    statistic
        What is asked for, in the same words for the same thing: kind, measure, probabilities, regressors. Not to be
        chosen freely by who asks: see `opsroom.base.spec_tables.TablesSpec`.
    entry
        Of which series, when, under which rules.
    kin
        Where other periods are series of their own: how they are found.

    Returns
    -------
    Release
        Named ``<series>.derived``.

    Raises
    ------
    DisclosureError
        If the cell is not published, an output of contributors to it is out, or the rule of its kind or the checker
        of witnesses does not let it pass, or did not when the same was asked before, or the difference from an output
        of another period rests on few.
    UsageError
        If the series has no such cell or part.
    LedgerConflictError
        If other releases kept coming between.
    """
    read: list[Asked] = []
    question = json.dumps([statistic, list(cell), list(parts)])
    entry = replace(entry, facts={**entry.facts, "statistic": statistic})

    def proved(past: Sequence[Past], chosen: Sequence[Past], head: Head) -> Proved:
        found = next((p.judgement for p in reversed(chosen) if _has(p.judgement, cell, parts)), None)
        if found is None:
            raise UsageError(
                "a derived output names a cell or part that the series has not.",
                remedy="Release the table first, and name the cell by the codes of all dimensions.",
                code="OPS-U198",
            )
        lines = _Lines([p.judgement for p in past if p.judgement.is_table], parts)
        inside = lines.inside({cell})
        row = found.keys.index(cell)
        known = all(found.known[row, found.names.index(part)] for part in parts)
        taken = {key for p in past if not p.judgement.is_table for key in p.judgement.keys}
        same: list[Past] = []
        for other in [] if kin is None else entry.ledger.derived(kin.prefix, SUFFIX, head):
            if other.release.name == f"{entry.series}.{SUFFIX}" or not _is_same(other, statistic, cell):
                taken |= set(other.judgement.keys)
            else:
                same.append(other)
        if not known or inside & lines.inside(taken):
            raise DisclosureError(
                "derived output: its cell is not published, or another such output of some of its contributors is "
                "out: of the same period, or another output or cell of another period.",
                remedy="Use the one that is out, ask for the same of another period, or ask for another cell.",
                code="OPS-P061",
            )
        publishable((), entry.rules)  # rules for public data alone let nothing pass
        if not read:
            if entry.ledger.was_refused(entry.series, question):
                raise _refusal(statistic)
            read.append(asked())
        try:
            derived = read[0].derive(entry.rules)
            if kin is not None and not _stands_apart(read[0], [kin.read(p.release) for p in same], entry.rules):
                raise refusal(FAMILY[read[0].kind])
            certificate = prove(read[0], derived, entry.rules)
        except (UsageError, DisclosureError):  # that somebody is below zero, or a value is missing, is told of nobody
            entry.ledger.keep_refused(entry.series, entry.day, question)
            raise refusal(FAMILY[read[0].kind]) from None
        rows = [["/".join(cell), name, value, "published"] for name, value in derived.values.items()]
        kept = remembered(found.dimensions, (), keys=sorted(inside))
        return Proved(("cell", "statistic"), rows, derived.unit, derived.method, kept, certificate)

    return enter(entry, SUFFIX, proved)


def _refusal(statistic: str) -> DisclosureError:
    return refusal(FAMILY[statistic.partition(":")[0]])


def _stands_apart(now: Asked, before: Sequence[Asked], rules: Rules) -> bool:
    """Say whether an output and those of other periods tell of enough groups, two by two and all together."""
    if not all(_is_apart(now, one, rules) for one in before):
        return False
    earlier = [one.behind(rules) for one in before]
    return not any(betrays([parts[name] for parts in earlier], of, rules) for name, of in now.behind(rules).items())


def _is_apart(now: Asked, before: Asked, rules: Rules) -> bool:
    """Say whether the sums behind two outputs differ by enough groups, or not at all."""
    earlier = before.behind(rules)
    for name, parts in now.behind(rules).items():
        groups = list(dict.fromkeys([*parts, *earlier[name]]))
        new, old = (np.array([side.get(g, 0.0) for g in groups]) for side in (parts, earlier[name]))
        change = new - old
        change[np.abs(change) <= 1e-9 * np.maximum(np.abs(new), np.abs(old))] = 0.0  # sums of floats differ
        if change.any() and not publishable(change, rules.change_rules()):
            return False
    return True


def _is_same(other: Past, statistic: str, cell: Key) -> bool:
    """Say whether an output of another period is the same of the same cell."""
    same = other.release.facts.get("statistic") == statistic and cell in other.judgement.keys
    return same and all(row[0] == "/".join(cell) for row in other.release.rows)


def _has(judgement: Judgement, cell: Key, parts: Sequence[str]) -> bool:
    if cell not in judgement.keys or not set(parts) <= set(judgement.names):
        return False
    row = judgement.keys.index(cell)
    return all(judgement.present[row, judgement.names.index(part)] for part in parts)


class _Lines:
    """Which cells share contributors, by any vintage of a table: one may show more depth than another."""

    def __init__(self, tables: Sequence[Judgement], parts: Sequence[str]) -> None:
        self._below = [_children(j, part) for j in tables for part in parts if part in j.names]

    def inside(self, cells: set[Key]) -> set[Key]:
        """Return the cells that some cells are the sum of, down to those that are no sums, with themselves."""
        seen: set[Key] = set()
        for below in self._below:
            left = list(cells)
            reached: set[Key] = set()
            while left:
                key = left.pop()
                if key not in reached:
                    reached.add(key)
                    left += below.get(key, ())
            seen |= reached
        return seen | cells


def _children(judgement: Judgement, part: str) -> dict[Key, set[Key]]:
    """Return for each cell of a table that is a sum the cells that it is the sum of."""
    q = judgement.names.index(part)
    own = judgement.numbers[:, q].tolist()
    row_of = {number: row for row, number in enumerate(own) if judgement.present[row, q]}
    found: dict[Key, set[Key]] = {}
    start, number = judgement.relation_start.tolist(), judgement.relation_number.tolist()
    sign = judgement.relation_coefficient.tolist()
    for r, parent in enumerate(judgement.relation_row.tolist()):
        terms = range(start[r], start[r + 1])
        if all(number[k] in row_of for k in terms if sign[k] > 0) and own[parent] in [number[k] for k in terms]:
            below = {judgement.keys[row_of[number[k]]] for k in terms if sign[k] > 0}
            found.setdefault(judgement.keys[parent], set()).update(below)
    return found
