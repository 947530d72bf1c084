"""Where the search for parameters begins: principal components of the filled panel, then regressions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.model import Parameters
from opsroom.measure.nowcast.panel import Floats, Panel
from opsroom.measure.nowcast.spec import Settings

Mask = NDArray[np.bool_]


def start(panel: Panel, settings: Settings) -> Parameters:
    """Return starting values: principal components of the filled monthly panel, then regressions."""
    x = panel.values
    center = np.nanmedian(x, axis=0)
    scale = 1.4826 * np.nanmedian(np.abs(x - center), axis=0)
    spread = np.nanstd(x, axis=0)
    scale = np.where(scale > 1e-3 * spread, scale, spread)
    if np.any(scale <= 0) or not np.all(np.isfinite(scale)):
        flat = [n for n, s in zip(panel.names, scale, strict=True) if not s > 0]
        raise FitError(
            f"the series {', '.join(flat)} never changes after its transform.",
            code="OPS-M109",
            remedy="Remove it from the nowcast or correct its transform.",
        )
    monthly = np.clip((x - center) / scale, -4.0, 4.0)
    monthly[:, panel.quarterly] = _spread_quarters(monthly[:, panel.quarterly])
    factors = _start_factors(monthly, panel.loads)
    r, lags, n = panel.loads.shape[1], settings.lags, x.shape[1]
    lagged = np.hstack([factors[lags - k : len(factors) - k] for k in range(1, lags + 1)])
    transition = np.linalg.lstsq(lagged, factors[lags:], rcond=None)[0].T
    size = (factors[lags:] - lagged @ transition.T).std(axis=0)
    factors = factors / size
    transition = transition / size[:, None] * np.tile(size, lags)[None, :]
    loadings = np.zeros((n, r))
    variance = np.ones(n)
    for i in range(n):
        known, own = ~np.isnan(monthly[:, i]), panel.loads[i]
        used = factors[known][:, own]
        loadings[i, own] = np.linalg.lstsq(used, monthly[known, i], rcond=None)[0]
        variance[i] = max(float((monthly[known, i] - used @ loadings[i, own]).var()), 0.1)
    # A quarter's weights add to 3: its loading is on the sum of three months.
    loadings[panel.quarterly & ~panel.average] /= 3.0
    return Parameters(
        center,
        scale,
        np.zeros(n),
        loadings,
        np.zeros(n),
        variance,
        transition,
        np.ones_like(x),
        np.ones(len(x)),
    )


def _start_factors(monthly: Floats, loads: Mask) -> Floats:
    """Return first guesses: components of the series without a block, then of each block's remainder."""
    left = np.where(np.isnan(monthly), 0.0, monthly)
    common = loads.all(axis=0)
    plain: Mask = np.asarray(~loads[:, ~common].any(axis=1))
    if plain.sum() <= common.sum():
        plain = np.ones(len(loads), dtype=bool)
    groups = [(np.flatnonzero(plain), int(common.sum()))]
    groups += [(np.flatnonzero(loads[:, f]), 1) for f in np.flatnonzero(~common)]
    pieces: list[Floats] = []
    for which, wanted in groups:
        if len(which) < wanted:
            raise FitError("there are more factors than series.", remedy="Use fewer factors.", code="OPS-M110")
        right = np.linalg.svd(left[:, which], full_matrices=False)[2]
        found = left[:, which] @ right[:wanted].T
        found = found / found.std(axis=0)
        found = found * np.where(found.T @ left[:, which].sum(axis=1) < 0, -1.0, 1.0)
        left = left - found @ np.linalg.lstsq(found, left, rcond=None)[0]
        pieces.append(found)
    return np.hstack(pieces)


def _spread_quarters(x: Floats) -> Floats:
    out = x.copy()
    for lag in (1, 2):
        out[:-lag] = np.where(np.isnan(out[:-lag]), x[lag:], out[:-lag])
    return out
