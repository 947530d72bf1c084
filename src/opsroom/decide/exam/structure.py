"""The economy that sits the exam: a table, what final uses are worth, what work costs, what stands in the stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RISING = 0.2
"""By what share of its unit cost work becomes dearer as output doubles."""
STOCK_ELASTICITY = 1.0
"""A store twice as full as usual is worth nothing more: elasticity of what stock left at the end is worth."""


@dataclass(frozen=True, slots=True, eq=False)
class Economy:
    """An economy of sectors in weeks, of which the last statistical table is an equilibrium with all prices 1.

    Attributes
    ----------
    labels
        Sectors.
    a
        Inputs per unit of output, sectors x sectors.
    output, final
        A week's output and final use in the table; output = a output + final.
    capacity
        Most output in a week, undisturbed.
    elasticity
        By what share final use of a sector falls if its price rises by a hundredth of the table's, per hundredth.
    weights
        What the planner says a unit of final use is worth, over what it is worth to its users. All 1: the same.
    priority
        Sectors whose final use counts as a need.
    cover
        What a store holds beyond a week's use, in weeks of it.
    """

    labels: pd.Index
    a: Floats
    output: Floats
    final: Floats
    capacity: Floats
    elasticity: Floats
    weights: Floats
    priority: Bools
    cover: float

    @property
    def size(self) -> int:
        """Number of sectors."""
        return len(self.labels)

    @property
    def work(self) -> Floats:
        """Cost of work (and imports) per unit of output at the table's output: what prices of 1 leave of 1."""
        return np.asarray(1.0 - self.a.sum(axis=0), dtype=np.float64)

    @property
    def stock(self) -> Floats:
        """What stands in the stores at the start of an ordinary week."""
        return self.output * (1.0 + self.cover)

    def worth(self, y: Floats, wanted: Floats, weights: Floats | None = None) -> Floats:
        """Return what final uses are worth, sector by sector.

        A unit is worth ``w (1 + (1 - y / wanted) / elasticity)``: 1 at what is wanted, more below, 0 where nobody
        has a use for more.
        """
        w = self.weights if weights is None else weights
        most = np.minimum(y, self.enough(wanted))
        return np.asarray(w * most * (1.0 + (1.0 - 0.5 * most / wanted) / self.elasticity), dtype=np.float64)

    def enough(self, wanted: Floats) -> Floats:
        """Return the final use beyond which nobody takes more."""
        return np.asarray(wanted * (1.0 + self.elasticity), dtype=np.float64)

    def wish(self, price: Floats, wanted: Floats) -> Floats:
        """Return what users buy at a price: as much as is worth it to themselves."""
        return np.asarray(wanted * np.clip(1.0 + self.elasticity * (1.0 - price), 0.0, None), dtype=np.float64)

    def toil(self, x: Floats) -> Floats:
        """Return what the work for an output costs, by sector."""
        return np.asarray(self.work * (x + 0.5 * RISING * (x - self.output) ** 2 / self.output), dtype=np.float64)

    def unit_toil(self, x: Floats) -> Floats:
        """Return what the work for the last unit costs, by sector."""
        return np.asarray(self.work * (1.0 + RISING * (x / self.output - 1.0)), dtype=np.float64)

    def keep(self, h: Floats) -> Floats:
        """Return what stores are worth at the end, by sector: 1 a unit where they are as usual."""
        usual = self.stock
        most = np.minimum(h, usual * (1.0 + STOCK_ELASTICITY))
        return np.asarray(most * (1.0 + (1.0 - 0.5 * most / usual) / STOCK_ELASTICITY), dtype=np.float64)


def economy(
    flows: pd.DataFrame,
    final: Any,
    *,
    elasticity: Any = 0.5,
    spare: float = 0.1,
    cover: float = 0.5,
    priority: Any = None,
    weights: Any = 1.0,
    small: float = 0.02,
    weeks: float = 52.0,
) -> Economy:
    """Make an economy of a table.

    Parameters
    ----------
    flows
        Sectors x sectors: what the column bought of the row, in a period of `weeks` weeks. A frame.
    final
        Final use by sector in the same period.
    elasticity
        Of final use to price, above 0: a number, or one by sector.
    spare
        Capacity beyond the table's output, as a share of it.
    cover
        What stores hold beyond a week's use, in weeks.
    priority
        True for sectors whose final use counts as a need; none where absent.
    weights
        What the planner says a unit of each final use is worth, over what it is worth to its users.
    small
        Inputs that cost less than this share of a sector's inputs do not stop its production for want of them: they
        are counted as a final use of the sector that sells them, and as cost of work of the one that buys.
    weeks
        Weeks that the table is of.

    Raises
    ------
    UsageError
        Sectors that do not match, negative or missing entries, a sector without output or that earns nothing.
    """
    if list(flows.index) != list(flows.columns) or flows.index.has_duplicates or not len(flows):
        raise UsageError("rows and columns of the flows are not the same sectors, each once.")
    z = flows.to_numpy(np.float64) / weeks
    f = _vector(final, flows.index, "final") / weeks
    if not np.isfinite(z).all() or (z < 0).any():
        raise UsageError("flows are missing or negative.", remedy="Give what each sector bought of each, 0 or more.")
    if not (0.0 <= small < 1.0 and spare >= 0.0 and cover > 0.0 and weeks > 0.0):
        raise UsageError("small is a share below 1; spare is 0 or more; cover and weeks are above 0.")
    output = z.sum(axis=1) + f
    if (output <= 0).any():
        raise UsageError("a sector has no output.", remedy="Leave it out.")
    slight = z < small * z.sum(axis=0, keepdims=True)
    f = f + np.where(slight, z, 0.0).sum(axis=1)
    a = np.where(slight, 0.0, z) / output
    if (a.sum(axis=0) >= 1.0).any():
        raise UsageError("a sector's inputs cost all that it earns, or more.", remedy="Merge it with another one.")
    if (f <= 0).any():
        # A price of 1 is that of final use, so that each sector has to have some.
        raise UsageError("a sector has no final use.", remedy="Merge it with the sector that buys of it.")
    bends = _vector(elasticity, flows.index, "elasticity")
    owned = _vector(weights, flows.index, "weights")
    if (bends <= 0).any() or (owned <= 0).any():
        raise UsageError("elasticities and weights are above 0.")
    needs = np.zeros(len(f)) if priority is None else _vector(priority, flows.index, "priority")
    return Economy(flows.index, a, output, f, output * (1.0 + spare), bends, owned, needs > 0.0, cover)


def _vector(given: Any, labels: pd.Index, name: str) -> Floats:
    values = given.reindex(labels) if isinstance(given, pd.Series) else given
    found = np.asarray(values, dtype=np.float64)
    if found.ndim == 0:
        found = np.full(len(labels), float(found))
    if found.shape != (len(labels),) or not np.isfinite(found).all() or (found < 0).any():
        raise UsageError(f"{name} is no number of 0 or more for each sector.", remedy=f"Give {name} for every sector.")
    return found
