"""The objectives register: every weight and floor of a plan, with who set it, when, and by which law."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from opsroom.base.errors import DataError, UsageError

KINDS = ("weight", "floor", "class")
"""``weight``: what a unit of a final use is worth; ``floor``: least share of what is wanted; ``class``: order of
service by law, 1 first."""
COLUMNS = ("kind", "product", "value", "owner", "legal_basis", "valid_from", "valid_to")
ALL = "_T"
"""Product code of an entry that holds for every product without one of its own."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """What is in force on one day: weights, floors and classes of products, each owned by somebody.

    Attributes
    ----------
    day
        The day.
    entries
        One row an entry in force, columns `COLUMNS`.
    """

    day: dt.date
    entries: pd.DataFrame

    def weights(self, labels: pd.Index) -> pd.Series:
        """Return what a unit of each product's final use is worth.

        Raises
        ------
        UsageError
            A product has none: there is no default, somebody has to own it.
        """
        found = self._values("weight", labels)
        if (missing := found.isna()).any():
            names = ", ".join(str(n) for n in found.index[missing][:5])
            raise UsageError(
                f"the objectives register has no weight on {self.day.isoformat()} for {int(missing.sum())} product(s): "
                f"{names}.",
                remedy=f"Enter one, with owner and legal basis, or one for all others (product {ALL}).",
                code="OPS-U360",
            )
        return found

    def floors(self, labels: pd.Index) -> pd.Series:
        """Return the least share of what is wanted by product, 0 where none is set."""
        return self._values("floor", labels).fillna(0.0)

    def classes(self, labels: pd.Index) -> pd.Series | None:
        """Return the order of service by product, those without one last; None where there is none at all."""
        found = self._values("class", labels)
        if found.isna().all():
            return None
        return found.fillna(found.max() + 1.0)

    def owners(self) -> pd.DataFrame:
        """Return who answers for what: owner, legal basis, kind, number of entries."""
        by = ["owner", "legal_basis", "kind"]
        return self.entries.groupby(by, as_index=False).size().rename(columns={"size": "entries"})

    def _values(self, kind: str, labels: pd.Index) -> pd.Series:
        mine = self.entries[self.entries["kind"] == kind].set_index("product")["value"]
        found = mine.reindex(labels).astype(float)
        return found.fillna(float(mine[ALL])) if ALL in mine.index else found


def objectives(register: pd.DataFrame, day: dt.date) -> Objectives:
    """Return what an objectives register says is in force on a day.

    Answers: what is the plan to be good at, and who said so?

    Parameters
    ----------
    register
        Rows with ``kind`` (see `KINDS`), ``product`` (or `ALL`), ``value``, ``owner``, ``legal_basis``, ``valid_from``
        and ``valid_to`` (empty: until revoked; the day itself is the last).
    day
        The day.

    Raises
    ------
    DataError
        A row without owner or legal basis, an unknown kind, a value out of range, two entries in force for one thing.
        It names rows by number, from 1.

    Examples
    --------
    >>> import datetime as dt, pandas as pd
    >>> from opsroom.decide import objectives
    >>> register = pd.DataFrame({
    ...     "kind": ["weight", "weight"], "product": ["_T", "Q"], "value": [1.0, 1.5], "owner": "Parliament",
    ...     "legal_basis": "Supply Act, section 2", "valid_from": [dt.date(2020, 1, 1)] * 2, "valid_to": None})
    >>> objectives(register, dt.date(2020, 3, 1)).weights(pd.Index(["A", "Q"])).to_dict()
    {'A': 1.0, 'Q': 1.5}
    """
    missing = [c for c in COLUMNS if c not in register.columns]
    if missing:
        raise DataError(
            f"the objectives register lacks {', '.join(missing)}.", remedy="Give every column.", code="OPS-D175"
        )
    frame = register.loc[:, list(COLUMNS)].reset_index(drop=True)
    _check(frame)
    start = pd.to_datetime(frame["valid_from"])
    end = pd.to_datetime(frame["valid_to"])
    at = pd.Timestamp(day)
    entries = frame[(start <= at) & (end.isna() | (at <= end))]
    twice = entries.duplicated(["kind", "product"], keep="first")
    if twice.any():
        raise DataError(
            f"the objectives register has two entries in force on {day.isoformat()} for one thing: "
            f"{_rows(entries.index[twice])}.",
            remedy="End the earlier one (valid_to) on the day before.",
            code="OPS-D176",
        )
    return Objectives(day, entries.reset_index(drop=True))


def _check(frame: pd.DataFrame) -> None:
    """Refuse rows that nobody owns, or that say nothing that can be used."""
    value = pd.to_numeric(frame["value"], errors="coerce")
    unowned = frame[["owner", "legal_basis"]].fillna("").map(lambda text: not str(text).strip()).any(axis=1)
    kind = frame["kind"]
    out = (
        value.isna()
        | (value < 0.0)
        | ((kind == "floor") & (value > 1.0))
        | ((kind == "class") & ((value < 1.0) | (value % 1.0 != 0.0)))
    )
    for wrong, rule, remedy in (
        (unowned, "no owner or no legal basis", "Say who set the objective, and by which law."),
        (~kind.isin(KINDS), "an unknown kind", f"Use {', '.join(KINDS)}."),
        (pd.isna(frame["valid_from"]), "no first day", "Give valid_from."),
        (out, "a value out of range", "Weights are 0 or more, floors shares from 0 to 1, classes 1, 2, 3 …"),
    ):
        if wrong.any():
            raise DataError(
                f"the objectives register has {rule}: {_rows(frame.index[wrong])}.", remedy=remedy, code="OPS-D175"
            )


def _rows(index: pd.Index) -> str:
    named = ", ".join(str(int(n) + 1) for n in index[:5])
    return f"row {named}" + ("" if len(index) <= 5 else f" and {len(index) - 5} more")
