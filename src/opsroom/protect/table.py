"""`protect_table`: a table of microdata with primary and complementary suppression, and its certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.protect.certificate import Certificate, certify
from opsroom.protect.exact import SMALL, optimal
from opsroom.protect.insight import insight
from opsroom.protect.rules import Rules
from opsroom.protect.shield import shield
from opsroom.protect.system import System
from opsroom.protect.tabulate import Tabulation, tabulate

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

STATUS = ("published", "primary", "secondary")


@dataclass(frozen=True, slots=True)
class ProtectedTable:
    """A table that may be published where it says so. Confidential: it knows what it hides, and why.

    Attributes
    ----------
    dimensions, measure, unit
        Names of the dimension columns, of the measure (``None``: a count) and its unit.
    hierarchies
        Dimension → code → parent, the total implied.
    tables
        Dimensions of each of the linked tables.
    tabulation
        Cells and contributors.
    sensitive, width
        Which cells the rules find sensitive, and how far on either side nobody may come to them, shape (cells,).
    hidden
        Which cells are hidden, shape (cells,).
    rules
        The profile that was applied.
    certificate
        What was proved.
    gap
        How much of the price of what is hidden besides lies above what any sufficient pattern costs, at most, relative
        to that price: 0 where the pattern is optimal, NaN where nobody asked.
    unsettled
        How many cells are hidden besides of which it was not settled, for want of time, whether that is in vain.
    """

    dimensions: tuple[str, ...]
    measure: str | None
    unit: str
    hierarchies: Mapping[str, Mapping[str, str]] = field(repr=False)
    tables: tuple[tuple[str, ...], ...] = field(repr=False)
    tabulation: Tabulation = field(repr=False)
    sensitive: Flags = field(repr=False)
    width: Floats = field(repr=False)
    hidden: Flags = field(repr=False)
    rules: Rules = field(repr=False)
    certificate: Certificate
    gap: float = float("nan")
    unsettled: int = 0

    def to_frame(self) -> pd.DataFrame:
        """Return one row a cell: dimensions (``"_T"`` the total), value, contributors and status.

        Status is ``published``, ``primary`` (sensitive by itself) or ``secondary`` (hidden to protect others).
        """
        import pandas as pd

        made = self.tabulation
        frame = pd.DataFrame(made.keys(), columns=list(self.dimensions))
        frame["value"] = made.value
        frame["contributors"] = made.contributors
        frame["status"] = np.array(STATUS, dtype=object)[np.where(self.sensitive, 1, np.where(self.hidden, 2, 0))]
        return frame.sort_values(list(self.dimensions), kind="stable", ignore_index=True)

    def summary(self) -> str:
        """Return how much is hidden, in a few lines."""
        value = np.abs(self.tabulation.value)
        second = self.hidden & ~self.sensitive
        return (
            f"{len(value)} cells: {int((~self.hidden).sum())} published, {int(self.sensitive.sum())} sensitive, "
            f"{int(second.sum())} hidden to protect them ({value[second].sum():,.0f} {self.unit}).\n"
            f"Certificate against each {self.certificate.attackers}: {self.certificate.witnesses} witness tables."
            + ("" if np.isnan(self.gap) else f"\nGap to the cheapest pattern: at most {100 * self.gap:.2f} %.")
        )


def protect_table(
    micro: Any,
    *,
    dimensions: Sequence[str] | Sequence[Sequence[str]],
    measure: str | None,
    unit: str,
    hierarchies: Mapping[str, Any] | None = None,
    rules: Rules,
    weight: str | None = None,
    price: str | Mapping[tuple[str, ...], float] = "value",
    published: Sequence[tuple[str, ...]] = (),
    minimal: bool = True,
    method: Literal["auto", "fast", "exact"] = "auto",
) -> ProtectedTable:
    """Make a table from microdata and hide what would betray a contributor.

    Parameters
    ----------
    micro
        A pandas frame or an Ibis table, one row a company (or a company and more).
    dimensions
        Dimension columns; or several lists of them, for linked tables that share cells.
    measure
        Numeric column; None makes a table of counts.
    unit
        Unit of the measure, such as ``"EUR cent"``.
    hierarchies
        Dimension → frame with ``code`` and ``parent`` (or a mapping); the total is implied.
    rules
        The profile. ``rules.group`` names the column of the enterprise group; without it each row is a contributor
        of its own. ``rules.waiver`` and ``rules.request`` name columns of yes and no.
    weight
        Column of survey weights.
    price
        What is to be least in sum over the cells hidden besides: their ``"value"``, the number of ``"cells"``
        or of ``"contributors"``, or a price for each cell by its codes (those not named cost their value).
    published
        Cells, by their codes, that are out already and cannot be hidden.
    minimal
        Publish again what turns out to be hidden in vain.
    method
        ``fast`` looks for a cheap pattern, ``exact`` for the cheapest (see `opsroom.protect.exact`) and says in
        ``gap`` what it may lack of that. ``auto`` is exact where at most 40 cells might be hidden besides.

    Returns
    -------
    ProtectedTable

    Raises
    ------
    UsageError
        If columns are missing or microdata are not fit for a table.
    DisclosureError
        If no pattern of suppression has a certificate.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4. Fischetti & Salazar (2001), Solving the cell
    suppression problem on tabular data with linear constraints, Management Science 47.
    """
    tables = _tables(dimensions)
    flags = [c for c in (rules.waiver, rules.request) if c is not None]
    names = list(dict.fromkeys(d for table in tables for d in table))
    wanted = [*names, *(c for c in (rules.group, measure, weight) if c is not None), *flags]
    made = tabulate(
        _pandas(micro, list(dict.fromkeys(wanted))),
        tables=tables,
        group=rules.group,
        measure=measure,
        hierarchies=hierarchies,
        weight=weight,
        flags=flags,
    )
    sensitive, width = judge_cells(made, rules)
    system = system_of(made, sensitive, width, rules, fixed=_positions(made, published))
    units = [(q,) for q in range(len(made.value))]
    costs = _prices(made, price)
    if method not in ("auto", "fast", "exact"):
        raise UsageError("method is 'auto', 'fast' or 'exact'.")
    gap = float("nan")
    choices = int((~sensitive & ~system.fixed[: len(sensitive)]).sum())
    if method == "exact" or (method == "auto" and minimal and sensitive.any() and choices <= SMALL):
        best = optimal(system, units, costs)
        found, gap = best.shielded, best.gap
    else:
        found = shield(system, units, costs, minimal=minimal)
    if found.open:
        raise DisclosureError(
            "the table cannot be published: some number in it would stay open to a close estimate.",
            remedy="Leave out a dimension or a level, or the cells that are out already.",
            code="OPS-P006",
        )
    key = hashlib.sha256(made.value.tobytes() + made.tops.tobytes() + made.who.tobytes()).digest()
    certificate = certify(system, found.known, found.witnesses, attackers=rules.attackers, key=key)
    parents = {
        a.name: {c: a.codes[p] for c, p in zip(a.codes, a.parent.tolist(), strict=True) if p > 0} for a in made.axes
    }
    return ProtectedTable(
        tuple(names), measure, unit, parents, tables, made, sensitive, width, found.hidden, rules, certificate, gap,
        found.unsettled,
    )  # fmt: skip


def _tables(dimensions: Sequence[str] | Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    if not dimensions:
        raise UsageError("a table needs at least one dimension.")
    if all(isinstance(d, str) for d in dimensions):
        return (tuple(str(d) for d in dimensions),)
    if any(isinstance(d, str) for d in dimensions):
        raise UsageError("dimensions are names, or lists of names, one a table.")
    return tuple(tuple(d) for d in dimensions)


def _pandas(micro: Any, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    if isinstance(micro, pd.DataFrame):
        return micro
    if hasattr(micro, "to_pandas") and hasattr(micro, "columns"):
        absent = [c for c in columns if c not in micro.columns]
        if absent:
            raise UsageError(f"the microdata lack the column(s) {', '.join(absent)}.")
        found: pd.DataFrame = micro.select(*columns).to_pandas()
        return found
    raise UsageError("microdata are a pandas frame or an Ibis table.")


def judge_cells(made: Tabulation, rules: Rules) -> tuple[Flags, Floats]:
    """Return which cells are sensitive, and half the width of their protection intervals, shape (cells,)."""
    sensitive = rules.sensitive(made.value, made.contributors, made.tops, made.absolute)
    width = rules.width(made.value, made.contributors, made.tops, made.absolute)
    flags = iter(made.flagged)
    if rules.waiver is not None:
        sensitive &= ~_waived(made, rules, next(flags))
    if rules.request is not None:
        sensitive &= next(flags)[:, :3].any(axis=1)
    # A number that a rule finds sensitive by a hair needs an interval wider than rounding.
    width = np.where(sensitive, np.maximum(width, 1e-4 * np.maximum(np.abs(made.value), 1e-6)), 0.0)
    return sensitive, width


def _waived(made: Tabulation, rules: Rules, waives: npt.NDArray[np.bool_]) -> Flags:
    """Say of which cells every contributor that some rule finds betrayed has agreed to it."""
    present = made.who != 0
    agreed = waives | ~present
    few = (made.contributors > 0) & (made.contributors < rules.min_contributors)
    flags = np.where(few, agreed.all(axis=1) & (made.contributors <= agreed.shape[1]), True)
    total = np.maximum(np.abs(made.value), made.absolute)
    for n, k in rules.dominance:
        dominated = made.tops[:, :n].sum(axis=1) * 100 > k * total * (1 + 1e-12)
        flags &= ~dominated | agreed[:, :n].all(axis=1)
    if rules.p_percent is not None:
        rest = total - made.tops[:, 0] - made.tops[:, 1]
        flags &= (rest * 100 >= rules.p_percent * made.tops[:, 0]) | agreed[:, 0]
    return np.asarray(flags, dtype=bool)


def system_of(made: Tabulation, sensitive: Flags, width: Floats, rules: Rules, *, fixed: Flags | None = None) -> System:
    """Return the cells as a system: relations, what attackers know, what must stay open."""
    value, signed = made.value, made.negative
    base = np.full(len(value), -np.inf) if signed else np.zeros(len(value))
    empty = (made.contributors == 0) & ~sensitive
    known = empty if fixed is None else empty | fixed
    below = np.where(sensitive, width if signed else np.minimum(width, value - base), 0.0)
    above = np.where(sensitive, width, 0.0)
    return insight(
        made.equations, value, base, sensitive, below, above, known, made.contributors, made.who, made.tops, rules
    )


def _positions(made: Tabulation, keys: Sequence[tuple[str, ...]]) -> Flags:
    at = {key: k for k, key in enumerate(made.keys())} if keys else {}
    flags = np.zeros(len(made.value), dtype=bool)
    for key in keys:
        if tuple(key) in at:
            flags[at[tuple(key)]] = True
    return flags


def _prices(made: Tabulation, price: str | Mapping[tuple[str, ...], float]) -> Floats:
    value = np.abs(made.value)
    least = float(value[value > 0].min(initial=1.0))
    found: Floats = np.maximum(value, least)
    if isinstance(price, Mapping):
        for k, key in enumerate(made.keys()):
            found[k] = price.get(key, found[k])
        if (found <= 0).any():
            raise UsageError("the price of hiding a cell is positive.")
        return found
    if price == "value":
        return found
    if price == "cells":
        return np.ones(len(value))
    if price == "contributors":
        return np.maximum(made.contributors, 1).astype(np.float64)
    raise UsageError("price is 'value', 'cells', 'contributors' or a mapping.")
