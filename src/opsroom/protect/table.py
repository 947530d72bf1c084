"""`protect_table`: a table of microdata with primary and complementary suppression, and its certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.base.results import TOTAL
from opsroom.protect.certificate import Certificate, certify
from opsroom.protect.exact import SMALL, optimal
from opsroom.protect.insight import insight
from opsroom.protect.measures import MEASURE, Identity, named, stacked, sums_among
from opsroom.protect.microdata import frame_of, numbers
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
        Names of the dimension columns, of the measure (``None``: a count) and its unit. Of several measures
        ``"measure"`` is the first dimension, and measures and units are tuples.
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
    identities
        Measures that are the sum of others, with these.
    """

    dimensions: tuple[str, ...]
    measure: str | tuple[str | None, ...] | None
    unit: str | tuple[str, ...]
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
    identities: tuple[Identity, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a cell: dimensions (``"_T"`` the total), value, contributors and status.

        Of several measures the first column is ``measure``; counts are called ``count`` there.

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
            f"{int(second.sum())} hidden to protect them ({self._worth(value, second)}).\n"
            f"Certificate against each {self.certificate.attackers}: {self.certificate.witnesses} witness tables."
            + ("" if np.isnan(self.gap) else f"\nGap to the cheapest pattern: at most {100 * self.gap:.2f} %.")
        )

    def _worth(self, value: Floats, second: Flags) -> str:
        if not isinstance(self.measure, tuple):
            return f"{value[second].sum():,.0f} {self.unit}"
        which = self.tabulation.place[:, 0]
        names = self.tabulation.axes[0].codes[1:]
        return ", ".join(
            f"{name} {value[second & (which == k)].sum():,.0f} {unit}"
            for k, (name, unit) in enumerate(zip(names, self.unit, strict=True), start=1)
        )


def protect_table(
    micro: Any,
    *,
    dimensions: Sequence[str] | Sequence[Sequence[str]],
    measure: str | Sequence[str | None] | None,
    unit: str | Sequence[str],
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
        Numeric column; None makes a table of counts. Several of them, in a list, make one table with one certificate:
        a measure that is the sum of others in every row, as sales are of those at home and abroad, is protected as
        such, whether anybody says so or not.
    unit
        Unit of the measure, such as ``"EUR cent"``; of several one for all, or a list.
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
        Cells, by their codes, that are out already and cannot be hidden. The codes of a cell of several measures
        begin with its measure.
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
        If columns are missing or microdata are not fit for a table, or a hierarchy, price or cell is of nothing in it.
    DisclosureError
        If no pattern of suppression has a certificate.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4. Fischetti & Salazar (2001), Solving the cell
    suppression problem on tabular data with linear constraints, Management Science 47.
    """
    if not isinstance(rules, Rules):
        raise UsageError("rules are a profile.", remedy="Give opsroom.protect.Rules(…).", code="OPS-U387")
    tables = _tables(dimensions)
    flags = [c for c in (rules.waiver, rules.request) if c is not None]
    names = list(dict.fromkeys(d for table in tables for d in table))
    if not (measure is None or isinstance(measure, str | Sequence)):
        raise UsageError(
            "a measure is the name of a column, None, or a list of these.", remedy="Correct it.", code="OPS-U387"
        )
    single = measure if isinstance(measure, str) else None
    several = None if measure is None or isinstance(measure, str) else tuple(measure)
    called = () if several is None else named(several)
    units = _units(unit, several)
    _check_names([*names], ("value", "contributors", "status", *(() if several is None else (MEASURE,))))
    columns = [*names, *(c for c in (rules.group, *(several or (single,)), weight) if c is not None), *flags]
    if isinstance(hierarchies, Mapping) and (
        lost := [str(d) for d in hierarchies if d not in (*names, *_named(micro))]
    ):
        raise UsageError(
            f"there is a hierarchy of {', '.join(lost)}, of which the microdata have no column.",
            remedy="Name the column of the dimension, or leave the hierarchy out.",
            code="OPS-U385",
        )
    micro = frame_of(micro, columns)

    def one(column: str | None) -> Tabulation:
        return tabulate(
            micro, tables=tables, group=rules.group, measure=column, hierarchies=hierarchies, weight=weight, flags=flags
        )

    identities: tuple[Identity, ...] = ()
    if several is None:
        made = one(single)
    else:
        amounts = {
            n: np.ones(len(micro)) if c is None else numbers(micro[c], c) for n, c in zip(called, several, strict=True)
        }
        identities = sums_among(amounts)
        made = stacked({n: one(c) for n, c in zip(called, several, strict=True)}, identities)
        names, tables = [MEASURE, *names], tuple((MEASURE, *table) for table in tables)
    sensitive, width = judge_cells(made, rules)
    system = system_of(made, sensitive, width, rules, fixed=_positions(made, published))
    gives = [(q,) for q in range(len(made.value))]
    costs = _prices(made, price)
    if method not in ("auto", "fast", "exact"):
        raise UsageError("method is 'auto', 'fast' or 'exact'.")
    gap = float("nan")
    choices = int((~sensitive & ~system.fixed[: len(sensitive)]).sum())
    if method == "exact" or (method == "auto" and minimal and sensitive.any() and choices <= SMALL):
        best = optimal(system, gives, costs)
        found, gap = best.shielded, best.gap
    else:
        found = shield(system, gives, costs, minimal=minimal)
    if found.open:
        raise DisclosureError(
            "the table cannot be published: some number in it would stay open to a close estimate.",
            remedy="Leave out a dimension or a level, or the cells that are out already.",
            code="OPS-P006",
        )
    key = hashlib.sha256(made.value.tobytes() + made.tops.tobytes() + made.who.tobytes()).digest()
    certificate = certify(system, found.known, found.witnesses, attackers=rules.attackers, key=key)
    parents = {
        a.name: {c: a.codes[p] for c, p in zip(a.codes, a.parent.tolist(), strict=True) if p > 0}
        for a in made.axes
        if several is None or a.name != MEASURE
    }
    return ProtectedTable(
        tuple(names), single if several is None else several, units, parents, tables, made, sensitive, width,
        found.hidden, rules, certificate, gap, found.unsettled, identities,
    )  # fmt: skip


def _tables(dimensions: Sequence[str] | Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    if isinstance(dimensions, str):
        return ((dimensions,),)
    if not dimensions:
        raise UsageError("a table needs at least one dimension.")
    if all(isinstance(d, str) for d in dimensions):
        return (tuple(str(d) for d in dimensions),)
    if any(isinstance(d, str) or not isinstance(d, Sequence) for d in dimensions):
        raise UsageError("dimensions are names, or lists of names, one a table.")
    return tuple(tuple(d) for d in dimensions)


def _units(unit: str | Sequence[str], several: tuple[str | None, ...] | None) -> str | tuple[str, ...]:
    if several is None:
        if not isinstance(unit, str):
            raise UsageError("the unit of a measure is a text.", remedy='Write "EUR".', code="OPS-U387")
        return unit
    units = (unit,) * len(several) if isinstance(unit, str) else tuple(unit)
    if len(units) != len(several) or not all(isinstance(u, str) for u in units):
        raise UsageError(
            "units of several measures are one text for all, or one each.", remedy="Correct unit.", code="OPS-U387"
        )
    return units


def _named(micro: Any) -> Sequence[Any]:
    return list(getattr(micro, "columns", ()))


def _check_names(names: Sequence[str], reserved: Sequence[str]) -> None:
    if taken := [n for n in names if n in reserved]:
        raise UsageError(
            f"a protected table has the column(s) {', '.join(taken)} of its own.",
            remedy="Rename the dimension.",
            code="OPS-U388",
        )


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
    value = made.value
    base = np.where(made.signed, -np.inf, 0.0)
    empty = (made.contributors == 0) & ~sensitive
    known = empty if fixed is None else empty | fixed
    below = np.where(sensitive, np.minimum(width, value - base), 0.0)
    above = np.where(sensitive, width, 0.0)
    return insight(
        made.equations, value, base, sensitive, below, above, known, made.contributors, made.who, made.tops, rules
    )


def _positions(made: Tabulation, keys: Sequence[Any]) -> Flags:
    flags = np.zeros(len(made.value), dtype=bool)
    if not len(keys):
        return flags
    if isinstance(keys, str) or any(isinstance(key, str) or len(key) != len(made.axes) for key in keys):
        raise UsageError(
            "cells that are published are given by the codes of all dimensions.",
            remedy=f'Write [("A01", "{TOTAL}")].',
            code="OPS-U389",
        )
    at = {key: k for k, key in enumerate(made.keys())}
    found = [at.get(tuple(str(code) for code in key)) for key in keys]
    if None in found:
        raise UsageError(
            "a cell that is said to be published is none of the table.",
            remedy="Correct its codes; what the table does not have needs no mention.",
            code="OPS-U389",
        )
    flags[[k for k in found if k is not None]] = True
    return flags


def _prices(made: Tabulation, price: str | Mapping[tuple[str, ...], float]) -> Floats:
    value = np.abs(made.value)
    least = float(value[value > 0].min(initial=1.0))
    found: Floats = np.maximum(value, least)
    if isinstance(price, Mapping):
        try:
            for k, key in enumerate(made.keys()):
                found[k] = price.get(key, found[k])
        except (TypeError, ValueError):
            raise UsageError("the price of hiding a cell is a number.", remedy="Correct it.", code="OPS-U389") from None
        if not (np.isfinite(found) & (found > 0)).all():
            raise UsageError("the price of hiding a cell is positive.")
        return found
    if price == "value":
        return found
    if price == "cells":
        return np.ones(len(value))
    if price == "contributors":
        return np.maximum(made.contributors, 1).astype(np.float64)
    raise UsageError("price is 'value', 'cells', 'contributors' or a mapping.")
