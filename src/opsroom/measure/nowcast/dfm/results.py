"""What a fitted factor model says of one cell: mean, standard deviation, quantiles, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.parameters import Floats

if TYPE_CHECKING:
    import altair as alt

CITATION = (
    "Mixed-frequency factor model after Bańbura and Modugno (2014), Journal of Applied Econometrics 29:133-160, and "
    f"Mariano and Murasawa (2003), 18:427-443; opsroom {__version__}."
)
Basis = Literal["model", "past-errors", "earlier-shocks", "model-only-in-shock"]
"""What quantiles rest on; a message id for the faces."""

LEVELS = (0.05, 0.16, 0.25, 0.5, 0.75, 0.84, 0.95)
"""Levels of the quantiles: bands of 90, 68 and 50 %."""
_PRIOR = 10.0
"""Past errors that count as much as the model's own quantile."""
_POINTS = 41
_LEAST = 4
_LEAST_SHOCK = 3


@dataclass(frozen=True, slots=True)
class NowcastResult:
    """The nowcast of one target in one period.

    Attributes
    ----------
    target, period
        What is nowcast.
    mean, sd
        In the target's units. `sd` holds three parts: unknown factors and own error, estimated parameters.
    quantiles
        Level → value.
    filter_sd, parameter_sd
        The parts of `sd`.
    basis, past
        What the quantiles rest on, and how many past errors.
    shock
        The factors were shocked in or just before the period.
    wobble
        Standard deviation of the logarithm of the variance: how far volatility is unknown, and how much narrower in the
        middle heavy tails make the error than a normal one of its `sd`; 0 for Gaussian errors.
    """

    target: str
    period: str
    mean: float
    sd: float
    quantiles: Mapping[float, float]
    filter_sd: float
    parameter_sd: float
    basis: Basis
    past: int
    shock: bool
    wobble: float = 0.0

    def band(self, level: float) -> tuple[float, float]:
        """Return the central band that holds the outcome with probability `level` (0.5, 0.68 or 0.9)."""
        low = round(0.5 - 0.5 * level, 4)
        if low not in self.quantiles:
            raise UsageError(f"there is no band of {level:.0%}.", remedy="Ask for 0.5, 0.68 or 0.9.")
        return self.quantiles[low], self.quantiles[round(1.0 - low, 4)]

    def summary(self) -> str:
        """Return the nowcast in two lines."""
        low, high = self.band(0.9)
        return (
            f"{self.target} {self.period}: {self.mean:+.2f} (sd {self.sd:.2f})\n"
            f"  90 %: {low:+.2f} to {high:+.2f} ({self.basis}, {self.past} past errors)"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row: mean, sd and a column a quantile."""
        row = {"target": self.target, "period": self.period, "mean": self.mean, "sd": self.sd, "shock": self.shock}
        return pd.DataFrame([row | {f"q{100 * level:02.0f}": value for level, value in self.quantiles.items()}])

    def cite(self) -> str:
        """Return source and version."""
        return CITATION

    def chart(self) -> alt.Chart:
        """Draw the nowcast with its bands."""
        import altair as alt

        from opsroom.base.charts import Caption, colour, finish, plot

        rows = [
            {"period": self.period, "band": f"{level:.0%}", "low": self.band(level)[0], "high": self.band(level)[1]}
            for level in (0.9, 0.68, 0.5)
        ]
        low, high = self.band(0.9)
        fan = plot(rows).mark_bar(opacity=0.35).encode(
            x=alt.X("period:N", title=None), y=alt.Y("low:Q", title=None), y2="high:Q",
            color=alt.Color("band:N", title="band"),
        )  # fmt: skip
        point = plot([{"period": self.period, "mean": self.mean}]).mark_tick(color=colour("ink"))
        caption = Caption(
            f"{self.target} in {self.period}: {self.mean:+.1f}, nine chances in ten from {low:+.1f} to {high:+.1f}",
            f"in the target's units; bands: {self.basis}, {self.past} past errors",
        )
        return finish(fan + point.encode(x="period:N", y="mean:Q"), caption)


@lru_cache(maxsize=4096)
def half_width(level: float, wobble: float) -> float:
    """Return a quantile's distance from the mean in standard deviations, where the variance itself is uncertain.

    The variance is lognormal with mean 1, so that the density is a mixture of normal ones: narrower in the middle and
    wider outside than a normal one. Its distribution function is a sum over Gauss and Hermite's points.
    """
    if wobble <= 0.0 or level == 0.5:
        return abs(float(ndtri(level)))
    points, weights = np.polynomial.hermite_e.hermegauss(_POINTS)
    deviation = np.exp(0.5 * (wobble * points - 0.5 * wobble**2))
    weights = weights / weights.sum()
    target = max(level, 1.0 - level)
    return float(brentq(lambda x: float(weights @ ndtr(x / deviation)) - target, 0.0, 100.0, xtol=1e-12))


def quantiles(
    mean: float, sd: float, *, shock: bool, history: pd.DataFrame | None, wobble: float = 0.0
) -> tuple[dict[float, float], Basis, int]:
    """Return the quantiles of a nowcast, drawn towards past errors where there are any.

    Parameters
    ----------
    mean, sd
        Of the nowcast under the model.
    shock
        Whether the factors are shocked: then only errors made in earlier shocks count, and never narrow the band.
    history
        Past real-time nowcasts with outcomes known by now: ``error``, ``sd``, ``shock``.
    wobble
        Standard deviation of the logarithm of the variance; see `half_width`.
    """
    ratio: Floats = np.zeros(0)
    if history is not None and len(history):
        known = history[np.isfinite(history["error"]) & (history["sd"] > 0)]
        if shock:
            known = known[known["shock"].astype(bool)]
        ratio = np.sort(np.abs(known["error"].to_numpy(np.float64) / known["sd"].to_numpy(np.float64)))
    enough = len(ratio) >= (_LEAST_SHOCK if shock else _LEAST)
    out = {}
    for level in LEVELS:
        half = half_width(level, wobble)
        if enough and half > 0.0:
            # Of n + 1 errors in chance order the new one is below the k-th with probability k / (n + 1); between two of
            # them on a line, so that few errors do not widen by rounding up; at most the largest.
            rank = (len(ratio) + 1) * abs(2.0 * level - 1.0)
            past = float(np.interp(rank, np.arange(len(ratio) + 1), np.concatenate([[0.0], ratio])))
            mixed = (_PRIOR * half + len(ratio) * past) / (_PRIOR + len(ratio))
            half = max(half, mixed) if shock else mixed
        out[level] = mean + (half if level > 0.5 else -half) * sd
    if shock:
        return out, "earlier-shocks" if enough else "model-only-in-shock", len(ratio) if enough else 0
    return out, "past-errors" if enough else "model", len(ratio) if enough else 0
