r"""Shares, ratios, rates of growth and indices of a series' cells, released on what the gate remembers of it.

A quotient :math:`p = s\,a/b + c` of quantities that are not both out, rounded to within h, tells two linear
inequalities: :math:`(p - c - h)\,b \le s\,a \le (p - c + h)\,b`. They are put to the system of everything that was
released of the series. If witnesses still reach every protection interval, the number is released, and what it tells
is kept with the series: every later table and quotient is certified against it. If not, it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.protect.certificate import Certificate, certify
from opsroom.protect.derived_entry import Entry, Key, Proved, Term, enter, remembered
from opsroom.protect.judge import Pool
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Head, Past
from opsroom.protect.release import Release
from opsroom.protect.rules import Rules
from opsroom.protect.shield import Work
from opsroom.protect.system import components

SUFFIX = "quotients"
_PARTS = (1.0, 0.5, 0.25, 0.125, 0.03125)


@dataclass(frozen=True, slots=True)
class Quotient:
    """A number to be derived from cells of a series.

    Attributes
    ----------
    name
        Its code in the release.
    top, bottom
        Cells, by the codes of all dimensions, that are added up. Several only where none is sensitive by itself.
    part, of
        The parts (of `Cells`) that are added up above and below; `of` is `part` where absent.
    scale, shift, decimals
        The number is ``scale * top / bottom + shift``, rounded. A rate of growth is ``100 * new / old - 100``.
    given
        Where `top` or `bottom` names no cell: the number that stands in its place, which everybody has.
    """

    name: str
    top: tuple[Key, ...]
    bottom: tuple[Key, ...]
    part: str
    of: str | None = None
    scale: float = 100.0
    shift: float = 0.0
    decimals: int = 1
    given: float | None = None


def release_quotients(quotients: Sequence[Quotient], *, unit: str, entry: Entry) -> Release:
    """Release numbers derived from the cells of a series, whether these are out or not.

    Parameters
    ----------
    quotients
        The numbers; released together or not at all.
    unit
        Their unit.
    entry
        Of which series, when, under which rules.

    Returns
    -------
    Release
        Named ``<series>.quotients``.

    Raises
    ------
    DisclosureError
        If somebody could then estimate a withheld number of the series too closely, or the same few stand behind two
        sensitive quantities.
    UsageError
        If the series has no such cell or part, or a denominator that is out is not positive.
    LedgerConflictError
        If other releases kept coming between.
    """
    if not quotients or len({q.name for q in quotients}) < len(quotients):
        raise UsageError("quotients have names of their own.", remedy="Name each once.", code="OPS-U197")

    def prove(past: Sequence[Past], tables: Sequence[Past], head: Head) -> Proved:
        cells = Shown(tables)
        values, claims = [], []
        for quotient in quotients:
            value, told = cells.claims(quotient)
            values.append(value)
            claims += told
        judgement = remembered(tables[-1].judgement.dimensions, claims)
        certificate = _prove(past, judgement, entry.rules, head)
        rows = [[q.name, value, "published"] for q, value in zip(quotients, values, strict=True)]
        return Proved(("quotient",), rows, unit, "quotient of totals", judgement, certificate.stamp())

    return enter(entry, SUFFIX, prove)


class Shown:
    """The cells of a series by their codes, each as it was released last."""

    def __init__(self, tables: Sequence[Past]) -> None:
        self._at: dict[Key, tuple[Judgement, int]] = {}
        for table in tables:
            self._at |= {key: (table.judgement, row) for row, key in enumerate(table.judgement.keys)}

    def value(self, key: Key, part: str) -> float | None:
        """Return what everybody has of a cell: its value where it is out, else None.

        Raises
        ------
        UsageError
            If there is no such cell or part.
        """
        judgement, row, q = self._find(key, part)
        return float(judgement.value[row, q]) if judgement.known[row, q] else None

    def claims(self, quotient: Quotient) -> tuple[float, list[tuple[list[Term], float]]]:
        """Return the number, and what it tells: sums with what they are more than zero.

        A quotient of two sensitive quantities to which the same few contribute, such as sales by job or growth of one
        company, is a number of theirs, though it tell neither quantity: it is refused.
        """
        upper, lower = self._few(quotient.top, quotient.part), self._few(quotient.bottom, quotient.of or quotient.part)
        if upper & lower:
            raise _refusal()
        top, above, _ = self._sum(quotient.top, quotient.part, quotient.given)
        bottom, below, out = self._sum(quotient.bottom, quotient.of or quotient.part, quotient.given)
        if not bottom > 0:
            if not out:
                raise _refusal()  # that a withheld number is not positive is not told
            raise UsageError("the denominator of a quotient is not positive.", remedy="Leave it out.", code="OPS-U197")
        exact = quotient.scale * top / bottom
        value = round(exact + quotient.shift, quotient.decimals) + 0.0
        half = 0.5 * 10.0**-quotient.decimals
        told = []
        for sign, edge in ((1.0, value - quotient.shift - half), (-1.0, value - quotient.shift + half)):
            terms = [(n, sign * quotient.scale) for n in above] + [(n, -sign * edge) for n in below]
            told.append((terms, max(sign * (quotient.scale * top - edge * bottom), 0.0)))
        return value, told

    def _sum(self, keys: Sequence[Key], part: str, given: float | None) -> tuple[float, list[int], bool]:
        """Return a sum of cells, their numbers in the series, and whether all of them are out."""
        if not keys:
            if given is None:
                raise UsageError("a quotient has cells above and below.", remedy="Name them.", code="OPS-U197")
            return given, [], True
        total, numbers, out = 0.0, [], True
        for key in keys:
            judgement, row, q = self._find(key, part)
            if len(keys) > 1 and judgement.sensitive[row, q]:
                raise _refusal()  # who dominates a sum of sensitive cells is not known
            total += float(judgement.value[row, q])
            numbers.append(int(judgement.numbers[row, q]))
            out &= bool(judgement.known[row, q])
        return total, numbers, out

    def _few(self, keys: Sequence[Key], part: str) -> set[Key | int]:
        """Return who is known to contribute to sensitive cells, and these cells themselves."""
        found: set[Key | int] = set()
        for key in keys:
            judgement, row, q = self._find(key, part)
            if judgement.sensitive[row, q]:
                found |= {tuple(key), *judgement.who[row, q].tolist()} - {0}
        return found

    def _find(self, key: Key, part: str) -> tuple[Judgement, int, int]:
        judgement, row = self._at.get(tuple(key), (None, 0))
        q = judgement.names.index(part) if judgement and part in judgement.names else -1
        if judgement is None or q < 0 or not judgement.present[row, q]:
            raise UsageError(
                "a derived number names a cell or part that the series has not.",
                remedy="Name cells of its tables by the codes of all dimensions.",
                code="OPS-U197",
            )
        return judgement, row, q


def _refusal() -> DisclosureError:
    return DisclosureError(
        "quotient: with it some withheld number of its series could be estimated too closely, or it is one of few.",
        remedy="Ask for a coarser cell, for fewer decimals where there is a choice, or compute it of released numbers.",
        code="OPS-P060",
    )


def _prove(past: Sequence[Past], claims: Judgement, rules: Rules, head: Head) -> Certificate:
    """Certify everything that is out of a series together with new claims, or refuse."""
    pool = Pool()
    for earlier in past:
        if earlier.judgement.is_table:
            pool.table(earlier.judgement, np.ones(len(earlier.judgement.keys), dtype=bool))
    for earlier in past:
        if not earlier.judgement.is_table:
            pool.claim(earlier.judgement, earlier.seq)
    slacks = pool.claim(claims, head.seq + 1)
    system = pool.system(rules)
    label = components(system)
    # Only what the new claims are connected with can have come closer.
    touched = np.isin(label, label[slacks]) & (label >= 0)
    system = replace(system, sensitive=system.sensitive & touched)
    work = Work(system, (), np.zeros(0), None)
    gaps = work.prove()
    if gaps:
        # What was out of reach before stays so; but nobody may come closer to it than before.
        old = np.diff(sp.csr_array(system.equations[:, slacks]).indptr) == 0
        without = Work(replace(system, equations=sp.csr_array(system.equations[old])), (), np.zeros(0), None)
        if any(_furthest(without, *gap) > _furthest(work, *gap) for gap in gaps):
            raise _refusal()
    lost = [(goal >> 1, 1 if goal & 1 else -1, insider) for goal, insider in gaps]
    return certify(system, system.fixed, work.pool.table(), attackers=rules.attackers, key=claims.to_bytes(), lost=lost)


def _furthest(work: Work, goal: int, insider: int) -> float:
    """Return which part of the way to a goal some table goes, of those that are tried."""
    width = work.above if goal & 1 else work.below
    asked = float(width[goal >> 1])
    try:
        for part in _PARTS:
            width[goal >> 1] = asked * part
            if work.reach(goal, work.known, work.free, [insider] if insider else [], sure=True):
                return part
        return 0.0
    finally:
        width[goal >> 1] = asked
