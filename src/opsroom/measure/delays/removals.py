"""Removals: how much of what was reported is taken back, by delay and sector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.measure.delays.draws import draw_amount

Floats = npt.NDArray[np.float64]

PRIOR = 5.0
"""Removals that the overall rate is worth at each delay, against those seen there."""


@dataclass(frozen=True, slots=True)
class RemovalFit:
    """Rates at which reported records are taken back.

    Attributes
    ----------
    shape, rate
        Of the gamma distribution of each delay's rate, shape (D + 1,).
    sector_shape, sector_rate
        Of the gamma distribution of each sector's multiple of it.
    dispersion
        Variance over mean of removals, at least 1 for counts.
    """

    shape: Floats
    rate: Floats
    sector_shape: Floats
    sector_rate: Floats
    dispersion: float

    @property
    def none(self) -> bool:
        """Whether nothing was ever removed."""
        return not self.shape.any()


def fit_removals(added: Floats, removed: Floats, *, counts: bool) -> RemovalFit:
    r"""Fit removal rates to a triangle (NaN where not known yet).

    Notes
    -----
    Removals at delay d are :math:`\rho_d u_s` times what stood there (known before and added at d); :math:`\rho_d`
    is shrunk towards the overall rate, :math:`u_s` towards 1 by as much as sectors differ no more than chance says
    (moments).
    """
    known = ~np.isnan(added)
    plus, minus = np.where(known, added, 0.0), np.where(known, removed, 0.0)
    standing = np.where(known, np.cumsum(plus - minus, axis=2) + minus, 0.0).clip(min=0.0)
    by_delay, exposed = minus.sum(axis=(0, 1)), standing.sum(axis=(0, 1))
    sectors = len(added)
    if by_delay.sum() <= 0 or exposed.sum() <= 0:
        zero = np.zeros(added.shape[2])
        return RemovalFit(zero, np.ones_like(zero), np.ones(sectors), np.ones(sectors), 1.0)
    overall = by_delay.sum() / exposed.sum()
    unit = 1.0 if counts else float(minus[minus > 0].mean())
    shape, rate = (by_delay / unit + PRIOR), (exposed / unit + PRIOR / overall)
    expected = (standing * (shape / rate)).sum(axis=(1, 2))
    seen = minus.sum(axis=(1, 2))
    mean = standing * (shape / rate)
    used = known & (mean > 0)
    dispersion = float(((minus - mean)[used] ** 2 / mean[used]).sum() / used.sum())
    dispersion = max(dispersion, 1.0) if counts else max(dispersion, 1e-12)
    excess = float((((seen - expected) ** 2 - dispersion * expected).sum()) / max((expected**2).sum(), 1e-12))
    strength = float(np.clip(1.0 / excess, 1.0, 1e4)) if excess > 0 else 1e4
    return RemovalFit(
        shape=shape, rate=rate, sector_shape=strength + seen / dispersion,
        sector_rate=strength + expected / dispersion, dispersion=dispersion,
    )  # fmt: skip


def draw_net(
    standing: Floats, additions: Floats, first: int, fit: RemovalFit, rates: Floats, *, counts: bool,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Return the final net count of draws whose additions are known, removing as it goes.

    Parameters
    ----------
    standing
        Net count known.
    additions
        Shape (delays ahead, draws): additions to come.
    first
        Delay of the first of them.
    fit, rates
        Removals, and drawn rates (delays + 1, draws).
    """
    total = np.full(additions.shape[1], standing)
    for step, coming in enumerate(additions):
        total = total + coming
        if fit.none:
            continue
        mean = rates[first + step] * np.maximum(total, 0.0)
        total = total - np.minimum(
            draw_amount(mean, fit.dispersion * mean, counts=counts, rng=rng), np.maximum(total, 0.0)
        )
    return total


def draw_rates(fit: RemovalFit, draws: int, rng: np.random.Generator) -> list[Floats]:
    """Draw removal rates, (delays + 1, draws) a sector."""
    if fit.none:
        return [np.zeros((len(fit.shape), draws)) for _ in fit.sector_shape]
    base = rng.gamma(fit.shape[:, None], size=(len(fit.shape), draws)) / fit.rate[:, None]
    multiple = rng.gamma(fit.sector_shape[:, None], size=(len(fit.sector_shape), draws)) / fit.sector_rate[:, None]
    return [np.minimum(base * one, 1.0) for one in multiple]
