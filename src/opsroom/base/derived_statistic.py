"""`DerivedStatistic`: a number derived from cells, named by a short text, as questions and specifications name it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from opsroom.base.errors import UsageError

DerivedKind = Literal["ratio", "share", "growth", "quantile", "top_share", "hhi", "regression"]

DERIVED_KINDS: tuple[str, ...] = get_args(DerivedKind)
QUOTIENTS = frozenset({"ratio", "share", "growth"})
"""Kinds that are functions of cells; all others read contributions, and are those that a dataset declares."""

COUNT = "count"
"""Stands for the number of units where a measure could stand."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FORMS = (
    '"ratio:sales/jobs", "share:sales", "growth:sales", "quantile:sales=0.1,0.5", "top_share:sales=4", "hhi:sales" or '
    '"regression:sales~jobs"'
)


@dataclass(frozen=True, slots=True)
class DerivedStatistic:
    """A derived number.

    Attributes
    ----------
    kind
        ``ratio`` of two totals; ``share`` of a cell in another, in per cent; ``growth`` from one period to another, in
        per cent; ``quantile``, ``top_share`` (share of the largest), ``hhi`` (Herfindahl index), ``regression``.
    field
        The measure, a condition, or ``count``; of a regression the response.
    others
        Below a ratio: one measure, condition or ``count``. Regressors: measures, in the order of their names.
    numbers
        Probabilities of quantiles, ascending; how many the largest are.
    """

    kind: DerivedKind
    field: str
    others: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> DerivedStatistic:
        """Read a statistic from a short text such as ``growth:sales``."""
        kind, _, rest = text.partition(":")
        for known in get_args(DerivedKind):
            if kind == known:
                return cls._of(known, rest)
        raise _bad("there is no such derived number.", f"Write {_FORMS}.")

    @classmethod
    def _of(cls, kind: DerivedKind, rest: str) -> DerivedStatistic:
        mark = {"ratio": "/", "regression": "~", "quantile": "=", "top_share": "="}.get(kind, "")
        name, sign, behind = rest.partition(mark) if mark else (rest, "", "")
        listed = tuple(part.strip() for part in behind.split(",")) if sign else ()
        names = tuple(sorted(listed)) if mark in ("/", "~") else ()
        if not all(NAME.fullmatch(n) for n in (name, *names)) or len(set(names)) != len(names):
            raise _bad("a derived number names its fields.", f"Write {_FORMS}.")
        if (kind == "ratio" and len(names) != 1) or (kind == "regression" and not names):
            raise _bad("a ratio has a field below it, a regression regressors.", f"Write {_FORMS}.")
        if kind == "quantile":
            return cls(kind, name, (), _numbers(listed or ("0.5",), kind))
        if kind == "top_share":
            return cls(kind, name, (), _numbers(listed, kind))
        return cls(kind, name, names)

    def __str__(self) -> str:
        if self.kind == "ratio":
            return f"ratio:{self.field}/{self.others[0]}"
        if self.kind == "regression":
            return f"regression:{self.field}~{','.join(self.others)}"
        return f"{self.kind}:{self.field}" + ("=" + ",".join(f"{n:g}" for n in self.numbers) if self.numbers else "")


def _numbers(texts: Sequence[str], kind: str) -> tuple[float, ...]:
    try:
        found = tuple(float(text) for text in texts)
    except ValueError:
        found = ()
    good = all(0 < n < 1 and n == round(n, 3) for n in found) if kind == "quantile" else (
        len(found) == 1 and 1 <= found[0] <= 1000 and found[0] == int(found[0])
    )  # fmt: skip
    if not found or not good or len(set(found)) != len(found) or len(found) > 9:
        raise _bad(
            "quantiles have probabilities between 0 and 1, of three decimals, the share of the largest a whole number.",
            'Write "quantile:sales=0.1,0.5,0.9" or "top_share:sales=4".',
        )
    return tuple(sorted(found))


def _bad(rule: str, remedy: str) -> UsageError:
    """Return the error of a text that names no statistic; it never repeats what was sent."""
    return UsageError(rule, remedy=remedy, code="OPS-U165")
