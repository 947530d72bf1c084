"""Factor models and panels drawn at random, for tests against dense twins."""

from __future__ import annotations

import numpy as np

from opsroom.measure.nowcast import FactorParameters
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, companion, with_lags
from opsroom.measure.nowcast.dfm.remember import lags_of


def drawn(rng: np.random.Generator, *, order: int = 1, months: int = 45) -> tuple[FactorParameters, np.ndarray]:
    """Draw parameters of two blocks, and values with holes: five monthly and two quarterly series.

    `order`: of the series' own errors.
    """
    n, r = 7, 3
    loads = np.ones((n, r), dtype=bool)
    loads[::2, 2] = False
    transition = np.zeros((r, 2 * r))
    transition[:2, :2] = rng.normal(size=(2, 2))
    transition[:2, 3:5] = rng.normal(size=(2, 2))
    transition[2, 2] = 0.7
    radius = np.abs(np.linalg.eigvals(companion(transition))).max()
    transition *= np.repeat((0.9 / max(radius, 0.9)) ** np.arange(1, 3), r)
    p = FactorParameters(
        names=tuple(f"s{k}" for k in range(n)),
        monthly=5,
        factor_names=("a", "b", "c"),
        blocks=(FactorBlock((0, 1), 2), FactorBlock((2,), 1)),
        loads=loads,
        loadings=np.where(loads, rng.normal(size=(n, r)), 0.0),
        transition=transition,
        innovation=np.eye(r),
        memory=rng.uniform(-0.9, 0.9, n) if order else np.zeros(n),
        variance=rng.uniform(0.2, 2.0, n),
        center=np.zeros(n),
        scale=np.ones(n),
        ar1=order > 0,
    )
    if order > 1:
        p = with_lags(p, lags_of(rng.uniform(-0.8, 0.8, (n, order))))
    values = rng.normal(size=(months, n))
    values[rng.random(values.shape) < 0.25] = np.nan
    values[10:22, 1] = np.nan
    values[:, 5:][np.arange(months) % 3 != 1] = np.nan
    return p, values
