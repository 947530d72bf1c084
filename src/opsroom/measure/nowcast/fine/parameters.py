"""What a factor model on a fine grid knows: a factor model's parameters, and each series' frequency and kind."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from opsroom.measure.nowcast.dfm.parameters import FactorParameters


@dataclass(frozen=True, slots=True)
class FineParameters(FactorParameters):
    """The parameters of a factor model on weeks or days.

    As `FactorParameters`, but that the autoregression is by base period, that a series' loading is its response to
    its own period's share of the factors, and that memory and variance are of its own error at its own frequency.

    Attributes
    ----------
    base
        ``"W"`` or ``"D"``: the periods that the factors have.
    frequencies, levels
        Per series: frequency, and whether it is a level instead of growth.
    """

    base: str = field(default="W", kw_only=True)
    frequencies: tuple[str, ...] = field(default=(), kw_only=True)
    levels: tuple[bool, ...] = field(default=(), kw_only=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a series: loadings, frequency, kind, memory, variance, center, scale."""
        frame = pd.DataFrame(self.loadings, index=list(self.names), columns=list(self.factor_names))
        kinds = ["level" if level else "growth" for level in self.levels]
        return frame.assign(
            frequency=list(self.frequencies), kind=kinds, memory=self.memory, variance=self.variance,
            center=self.center, scale=self.scale,
        )  # fmt: skip
