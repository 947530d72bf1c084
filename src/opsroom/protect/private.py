r"""Differentially private counts and shares, by OpenDP (extra ``[dp]``); off unless a dataset has a budget.

The protected unit is the enterprise group: tables of data with and without one group differ in distribution by a
factor of at most :math:`e^\varepsilon`. A group counts in at most `most_cells` cells :math:`c`, once in each, so that
it changes the table by at most :math:`c` in the sum of absolute differences, and each cell gets discrete Laplace noise
of scale :math:`c / \varepsilon`. The cells are declared, not found: that a cell exists tells nothing.

Turnover has no bound, and clipping it destroys the large companies that policy is about, so that magnitudes are not
offered here; they have cell keys (`opsroom.protect.perturb`).

References
----------
C. Dwork, F. McSherry, K. Nissim and A. Smith (2006), Calibrating noise to sensitivity in private data analysis, Theory
of Cryptography. A. Ghosh, T. Roughgarden and M. Sundararajan (2012), Universally utility-maximizing privacy
mechanisms, SIAM Journal on Computing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from opsroom.protect.budget import Budgets

MOST_TABLE = 1_000_000
"""Cells that a table may declare."""


@dataclass(frozen=True, slots=True)
class PrivateTable:
    """Noisy counts or shares with what they cost.

    Attributes
    ----------
    dimensions
        Columns that make the cells.
    epsilon
        What the table cost.
    most_cells
        In how many cells an enterprise group counts at most.
    scale
        Of the discrete Laplace noise on each count.
    """

    dimensions: tuple[str, ...]
    epsilon: Decimal
    most_cells: int
    scale: float
    _frame: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return the cells: ``count``, or ``yes``, ``no`` and ``share``. Counts may be negative: they are unbiased."""
        return self._frame.copy()

    def error(self, level: float = 0.95) -> float:
        r"""Return the noise that a count does not exceed with a probability.

        With :math:`a = e^{-1/s}` the noise exceeds :math:`t` in size with probability
        :math:`2 a^{t+1} / (1 + a)`.
        """
        a = math.exp(-1 / self.scale)
        return max(0.0, math.ceil(math.log((1 - level) * (1 + a) / 2) / math.log(a) - 1))

    def summary(self) -> str:
        """Return size, cost and accuracy in a sentence."""
        return (
            f"{len(self._frame)} cells at epsilon {self.epsilon}; an enterprise group counts in at most "
            f"{self.most_cells}; 95 % of counts are within {self.error():.0f}."
        )


def private_counts(
    frame: pd.DataFrame,
    *,
    categories: Mapping[str, Sequence[str]],
    unit: str,
    most_cells: int,
    epsilon: Decimal | float | str,
    budgets: Budgets,
    dataset: str,
    purpose: str,
    by: str,
) -> PrivateTable:
    """Count enterprise groups by cell under differential privacy.

    Parameters
    ----------
    frame
        Microdata: one row or more for each group and cell.
    categories
        Column → its public codes; together they make the cells. Rows with other codes, or none, count nowhere.
    unit
        Column with the enterprise group.
    most_cells
        In how many cells a group counts at most; where it is in more, which ones it counts in is drawn by hash.
    epsilon
        What to spend: the smaller the more noise.
    budgets, dataset
        The accounts, and whose is spent from.
    purpose, by
        What for, and who spends; on record.

    Raises
    ------
    DisclosureError
        The budget does not suffice.
    NotFoundError
        The dataset has no budget.
    SettingsError
        OpenDP is not installed.
    UsageError
        A column is missing, or the table declares no or too many cells.
    """
    cells = _declared(frame, categories, unit, most_cells)
    kept = _bounded(frame, tuple(categories), unit, cells, most_cells)
    counts = _count(kept, len(cells))
    noisy, scale, cost = _spend_and_draw(counts, most_cells, epsilon, budgets, dataset, purpose, by)
    table = pd.DataFrame(list(cells), columns=list(categories)).assign(count=noisy)
    return PrivateTable(tuple(categories), cost, most_cells, scale, table)


def private_shares(
    frame: pd.DataFrame,
    *,
    flag: str,
    categories: Mapping[str, Sequence[str]],
    unit: str,
    most_cells: int,
    epsilon: Decimal | float | str,
    budgets: Budgets,
    dataset: str,
    purpose: str,
    by: str,
) -> PrivateTable:
    """Give the share of enterprise groups with a property by cell under differential privacy.

    Groups with and without the property are counted apart and at once: a group is in one of both, so that the
    whole epsilon serves both. The share is computed from the noisy counts.

    Parameters
    ----------
    flag
        Column of truth values; a group has the property in a cell if any of its rows there has it.
    frame, categories, unit, most_cells, epsilon, budgets, dataset, purpose, by
        As for `private_counts`.

    Returns
    -------
    PrivateTable
        ``yes``, ``no`` and ``share``, which is null where the noisy total is not positive.
    """
    cells = _declared(frame, categories, unit, most_cells, flag)
    kept = _bounded(frame, tuple(categories), unit, cells, most_cells, flag)
    both = np.concatenate([_count(kept.loc[kept[flag]], len(cells)), _count(kept.loc[~kept[flag]], len(cells))])
    noisy, scale, cost = _spend_and_draw(both, most_cells, epsilon, budgets, dataset, purpose, by)
    table = pd.DataFrame(list(cells), columns=list(categories))
    table["yes"], table["no"] = noisy[: len(cells)], noisy[len(cells) :]
    total = (table["yes"] + table["no"]).astype(float)
    table["share"] = (table["yes"] / total.where(total > 0)).clip(0, 1)
    return PrivateTable(tuple(categories), cost, most_cells, scale, table)


def _declared(
    frame: pd.DataFrame, categories: Mapping[str, Sequence[str]], unit: str, most_cells: int, *more: str
) -> dict[tuple[str, ...], int]:
    """Return the number of each declared cell."""
    missing = [name for name in (*categories, unit, *more) if name not in frame.columns]
    size = math.prod(len(set(codes)) for codes in categories.values())
    if missing or not categories or not 1 <= size <= MOST_TABLE or most_cells < 1:
        raise UsageError(
            "a private table declares its cells by columns that are there, and in how many a group counts.",
            remedy="Give categories (column → codes), unit, and most_cells of 1 or more.",
            code="OPS-U142",
        )
    codes = [[str(code) for code in dict.fromkeys(codes)] for codes in categories.values()]
    return {cell: number for number, cell in enumerate(product(*codes))}


def _bounded(
    frame: pd.DataFrame, by: tuple[str, ...], unit: str, cells: Mapping[tuple[str, ...], int], most: int, flag: str = ""
) -> pd.DataFrame:
    """Return one row for each group and declared cell, at most `most` for a group."""
    codes = zip(*(frame[name].astype("str") for name in by), strict=True)
    number = pd.Series([cells.get(code, -1) for code in codes], index=frame.index, dtype="int64")
    rows = pd.DataFrame({"_cell": number, "_unit": frame[unit].astype("str")})
    if flag:
        rows[flag] = frame[flag].fillna(value=False).astype(bool)
    rows = rows[(rows["_cell"] >= 0) & frame[unit].notna()]
    one = rows.groupby(["_unit", "_cell"], sort=True).max().reset_index()
    # Which cells a group counts in depends on the group alone, never on who else is there.
    order = [_order(group, cell) for group, cell in zip(one["_unit"], one["_cell"], strict=True)]
    one = one.assign(_order=order).sort_values(["_unit", "_order"], kind="stable")
    return one[one.groupby("_unit").cumcount() < most]


def _count(rows: pd.DataFrame, cells: int) -> NDArray[np.int64]:
    return np.bincount(rows["_cell"].to_numpy(), minlength=cells).astype(np.int64)


def _order(group: str, cell: int) -> bytes:
    return hashlib.blake2b(f"{cell}\0{group}".encode(), digest_size=8).digest()


def _spend_and_draw(
    counts: NDArray[np.int64],
    most_cells: int,
    epsilon: Decimal | float | str,
    budgets: Budgets,
    dataset: str,
    purpose: str,
    by: str,
) -> tuple[NDArray[np.int64], float, Decimal]:
    measure, scale = _mechanism(most_cells, float(epsilon))
    budgets.spend(dataset, epsilon, purpose=purpose, by=by)
    noisy = np.asarray(measure([int(count) for count in counts]), dtype=np.int64)
    return noisy, scale, Decimal(str(epsilon))


def _mechanism(most_cells: int, epsilon: float) -> tuple[Any, float]:  # OpenDP's measurement has no exported type
    """Return OpenDP's measurement and its scale; OpenDP itself confirms that it costs no more than epsilon."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise SettingsError(
            "differential privacy needs OpenDP, which is not installed.",
            remedy="Install opsroom[dp].",
            code="OPS-C021",
        ) from None
    if not epsilon > 0:
        raise UsageError("an epsilon is above 0.", remedy="Write 0.5.", code="OPS-U141")
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    scale = most_cells / epsilon
    while True:
        measure = dp.m.make_laplace(*space, scale=scale)
        if measure.map(most_cells) <= epsilon:
            return measure, scale
        scale = math.nextafter(scale * (1 + 1e-12), math.inf)
