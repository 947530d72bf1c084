"""The nowcast's models together: each weighs what its own past real-time densities have earned it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.nowcast.beside.mixture import Mixture
from opsroom.measure.nowcast.beside.weights import log_score, towards_equal

Floats = npt.NDArray[np.float64]

MEMBERS: Final = ("nowcast", "bridge", "ar1")
"""The factor model, the bridge equations, past GDP alone."""

SAID: Final = ("growth", "deviation", "bridge", "bridge_deviation", "ar1", "ar1_deviation", "discord", "shock")
"""What the models say of a quarter, as the columns of a history of nowcasts name it; see `QuarterNowcast`."""

SHRINK: Final = 10.0
"""Past quarters that equal weights count for."""

WINDOW_DAYS: Final = 35
"""Nowcasts at about one distance from the release are at most so many days apart."""


@dataclass(frozen=True, slots=True)
class Together:
    """What the models say together of one quarter.

    Attributes
    ----------
    growth
        Mean of the pool, % on the quarter before.
    lower68, upper68, lower90, upper90
        Quantiles of the pool: of the mixture of the models' densities.
    weights
        Model → weight; they add up to 1.
    past
        Past quarters on which the weights rest; with none they are equal.
    """

    growth: float
    lower68: float
    upper68: float
    lower90: float
    upper90: float
    weights: Mapping[str, float]
    past: int


def together(
    said: Mapping[str, float], history: pd.DataFrame | None, horizon_days: int, *, shrink: float = SHRINK
) -> Together:
    """Pool what the models say of a quarter, by how their densities have done in real time.

    Parameters
    ----------
    said
        Each of `SAID` → its value.
    history
        Past nowcasts as `Backtest.to_frame` gives them, with outcomes known by now; None: equal weights.
    horizon_days
        Days to the first release: of each past quarter the nowcast made nearest to it counts, see `nearest`.
    shrink
        Past quarters that equal weights count for.

    Notes
    -----
    The linear pool of normal densities with the best mean log score at the outcomes, its weights drawn towards equal
    ones. In a shock nobody knows which relation still holds: a model's density is then as much wider as it is away from
    the bridge equations, and these as they are from the factor model and among themselves. What fails most often: in
    the first quarters of a shock the weights still are those of calm times.

    References
    ----------
    Hall and Mitchell (2007), International Journal of Forecasting 23, 1-13. Geweke and Amisano (2011), Journal of
    Econometrics 164, 130-141.
    """
    means, sds = _densities(pd.DataFrame([{name: float(said[name]) for name in SAID}]))
    score = _log_densities(nearest(history, horizon_days))
    best = log_score(score) if len(score) else np.full(len(MEMBERS), 1.0 / len(MEMBERS))
    weights = towards_equal(best, float(len(score)), shrink)
    pool = Mixture(weights, means[0], sds[0])
    low90, low68, high68, high90 = (pool.quantile(level) for level in (0.05, 0.16, 0.84, 0.95))
    named = dict(zip(MEMBERS, weights.tolist(), strict=True))
    return Together(pool.mean, low68, high68, low90, high90, named, len(score))


def nearest(history: pd.DataFrame | None, horizon_days: int, *, by: tuple[str, ...] = ("quarter",)) -> pd.DataFrame:
    """Return past nowcasts at about a horizon whose outcome is known, one a quarter: the nearest, the later of two.

    Parameters
    ----------
    history
        As in `together`.
    horizon_days
        Days to the first release; nowcasts within 35 days of it count.
    by
        Columns of which each combination gives one row.
    """
    if history is None or history.empty:
        return pd.DataFrame()
    distance = history["horizon_days"].to_numpy(np.float64) - horizon_days
    known = ~np.isnan(history["error"].to_numpy(np.float64))
    rows = np.flatnonzero(known & (np.abs(distance) <= WINDOW_DAYS))
    near = history.iloc[rows[np.lexsort((distance[rows], np.abs(distance[rows])))]]
    return near.drop_duplicates(list(by))


def _densities(said: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return means and standard deviations of the models' densities, (quarters, models)."""
    mean, sd, bridge, bridge_sd, ar1, ar1_sd, discord, shock = said[list(SAID)].to_numpy(np.float64).T
    wide = shock * ((mean - bridge) ** 2 + discord**2)
    sds = [sd, np.sqrt(bridge_sd**2 + wide), np.sqrt(ar1_sd**2 + shock * (ar1 - bridge) ** 2)]
    return np.stack([mean, bridge, ar1], axis=1), np.maximum(np.stack(sds, axis=1), 1e-9)


def _log_densities(past: pd.DataFrame) -> Floats:
    """Return the log density of each model at each outcome, (quarters, models)."""
    if past.empty:
        return np.zeros((0, len(MEMBERS)))
    means, sds = _densities(past)
    z = (past["first_release"].to_numpy(np.float64)[:, None] - means) / sds
    return np.asarray(-0.5 * z**2 - np.log(sds), dtype=np.float64)
