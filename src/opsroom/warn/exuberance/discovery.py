"""False discovery: among the series of one night, and over the nights.

Within a night: Benjamini and Hochberg (p-values independent or positively dependent) or Benjamini and Yekutieli (any
dependence). Over nights: a night's share of alpha is spent before it is known what the night brings; as

    E[false / all alarms of all nights] ≤ Σ over nights of E[false / alarms of the night] ≤ Σ shares ≤ alpha,

Benjamini-Yekutieli at each night's share controls false discovery over series *and* nights, however the same series'
nights depend on each other. For one stream of tests, LORD++ and SAFFRON win levels back with every alarm; they want
p-values that are independent of the alarms before them, which a series tested again each night is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import zeta

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]
Procedure = Literal["by", "bh"]
_POWER = 1.6
_TOTAL = float(zeta(_POWER))


def adjusted(p_values: npt.ArrayLike, *, method: Procedure = "by") -> Floats:
    """Return adjusted p-values: reject those at or below alpha to hold the false discovery rate at alpha.

    Parameters
    ----------
    p_values
        NaN where there is none; these count for nothing and stay NaN.
    method
        ``"by"`` under any dependence, ``"bh"`` under none or positive dependence.

    Examples
    --------
    >>> adjusted([0.01, 0.04, 0.03], method="bh").round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    if method not in ("by", "bh"):
        raise UsageError("the method is 'by' or 'bh'.", code="OPS-U351", remedy="Use 'by' where series are related.")
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    if np.any((p[known] < 0.0) | (p[known] > 1.0)):
        raise UsageError("p-values lie between 0 and 1.", code="OPS-U351", remedy="Give probabilities.")
    out = np.full(len(p), np.nan)
    if len(known) == 0:
        return out
    count = len(known)
    order = known[np.argsort(p[known], kind="stable")]
    factor = count * (float(np.sum(1.0 / np.arange(1, count + 1))) if method == "by" else 1.0)
    raw = p[order] * factor / np.arange(1, count + 1)
    out[order] = np.minimum(1.0, np.minimum.accumulate(raw[::-1])[::-1])
    return out


def spent(alpha: float, night: int, *, horizon: int | None = None) -> float:
    """Return the share of `alpha` that a night may spend.

    Parameters
    ----------
    alpha
        For all nights together.
    night
        1 for the first.
    horizon
        Spend evenly over so many nights, and nothing after; otherwise falling with the night to the power 1.6, without
        end. Either way the shares add up to no more than `alpha`.

    Examples
    --------
    >>> spent(0.05, 7, horizon=250)
    0.0002
    """
    if not 0.0 < alpha < 1.0 or night < 1 or (horizon is not None and horizon < 1):
        raise UsageError(
            "alpha must lie between 0 and 1, nights be counted from 1.",
            code="OPS-U351",
            remedy="Use alpha=0.05, night=1.",
        )
    if horizon is not None:
        return alpha / horizon if night <= horizon else 0.0
    return alpha * _share(night)


def _share(j: int) -> float:
    return float(j**-_POWER / _TOTAL)


@dataclass(frozen=True, slots=True)
class OnlineDiscovery:
    """One stream of tests under LORD++ or SAFFRON: levels fall as tests go by, and are won back with each alarm.

    Attributes
    ----------
    alpha
        False discovery rate of the whole stream.
    method
        ``"lord"`` (Ramdas, Yang, Wainwright and Jordan 2017) or ``"saffron"`` (Ramdas, Zrnic, Wainwright and Jordan
        2018), the stronger where many tests find something.
    p_values
        Those seen.
    alarms
        Positions of those rejected, from 0.

    Notes
    -----
    Immutable, so that a night's state can be kept with the night. Both hold the false discovery rate where p-values
    without a bubble are independent of the alarms before them.

    Examples
    --------
    >>> state = OnlineDiscovery(0.05)
    >>> state, first, level = state.test(0.0001)
    >>> first, round(level, 4)
    (True, 0.0109)
    """

    alpha: float
    method: Literal["lord", "saffron"] = "lord"
    p_values: tuple[float, ...] = ()
    alarms: tuple[int, ...] = ()
    candidate: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or self.method not in ("lord", "saffron") or not 0.0 < self.candidate < 1.0:
            raise UsageError(
                "alpha and the candidates' limit lie between 0 and 1; the method is 'lord' or 'saffron'.",
                code="OPS-U351",
                remedy="Use OnlineDiscovery(0.05).",
            )

    @property
    def level(self) -> float:
        """The level of the next test."""
        start = self.alpha / 2.0
        now = len(self.p_values)
        rewards = [self.alpha - start] + [self.alpha] * max(0, len(self.alarms) - 1)
        if self.method == "lord":
            won = sum(r * _share(now - at) for r, at in zip(rewards, self.alarms, strict=False))
            return start * _share(now + 1) + won
        candidates = np.asarray(self.p_values) <= self.candidate
        total = start * _share(now + 1 - int(candidates.sum()))
        for reward, at in zip(rewards, self.alarms, strict=False):
            total += reward * _share(now - at - int(candidates[at + 1 :].sum()))
        return min(self.candidate, (1.0 - self.candidate) * total)

    def test(self, p_value: float) -> tuple[OnlineDiscovery, bool, float]:
        """Return the state after a test, whether it is an alarm, and the level at which it was held."""
        if not 0.0 <= p_value <= 1.0:
            raise UsageError("p-values lie between 0 and 1.", code="OPS-U351", remedy="Give a probability.")
        level = self.level
        alarm = p_value <= level
        alarms = (*self.alarms, len(self.p_values)) if alarm else self.alarms
        return replace(self, p_values=(*self.p_values, float(p_value)), alarms=alarms), alarm, level

    def test_all(self, p_values: Sequence[float]) -> tuple[OnlineDiscovery, list[bool]]:
        """Return the state after several tests, and which of them were alarms."""
        state, found = self, []
        for p in p_values:
            state, alarm, _ = state.test(p)
            found.append(alarm)
        return state, found
