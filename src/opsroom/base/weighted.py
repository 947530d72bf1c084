"""Contributions of units as a product: who weighs how much, and what holds of whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[Any]
"""Numbers, one a row of units."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """What units contribute: a weight of each times what holds of it in each period, not multiplied out.

    Attributes
    ----------
    weight
        int64, (units,).
    fact
        Whole numbers (yes and no among them) or, where all weights are 1, any; (units, periods), or (units, 1) for
        what is the same in all periods.
    """

    weight: Ints
    fact: Values

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the contributions."""
        return np.dtype(np.float64 if self.fact.dtype.kind == "f" else np.int64)

    @property
    def negative(self) -> bool:
        """True if any contribution is negative."""
        if self.weight.min(initial=0) >= 0 and (self.fact.dtype.kind in "bu" or self.fact.min(initial=0) >= 0):
            return False
        return bool((self.laid_out() < 0).any())

    def laid_out(self) -> Values:
        """Return the contributions multiplied out."""
        return np.asarray(self.weight[:, None] * self.fact)

    def lacking(self, whole: Weighted) -> Weighted:
        """Return what is missing to another; `whole` less these."""
        if self.weight is whole.weight and self.dtype.kind == whole.dtype.kind == "i":
            return Weighted(self.weight, whole.fact.astype(np.int64) - self.fact)
        return Weighted(np.ones_like(self.weight), whole.laid_out() - self.laid_out())
