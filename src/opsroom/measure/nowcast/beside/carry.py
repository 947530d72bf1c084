"""Quarters beyond the first unknown one: coefficients and covariance are drawn, so that their doubt is carried on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from opsroom.measure.nowcast.beside.conjugate import Posterior, stacked_path
from opsroom.measure.nowcast.beside.edge import Floats, Ints

_BURN = 50


def carried(
    posterior: Posterior, past: Floats, values: Floats, cell: int, *, draws: int, seed: int = 0
) -> tuple[float, float]:
    r"""Return mean and standard deviation of one cell of vectors to come, given those of them that are known.

    Parameters
    ----------
    posterior
        Given all complete rows.
    past
        p x n, the vectors before, the latest first.
    values
        Vectors to come x n, NaN where unknown.
    cell
        Which one, counted along the rows.
    draws, seed
        Draws kept, and where they begin.

    Notes
    -----
    Gibbs' sampler, exact but for chance: unknown cells of the rows of which something is known, given coefficients and
    covariance (normal); these given the rows (normal-inverse-Wishart, the posterior and so many rows more). Mean and
    variance are those of each draw's normal density (Rao and Blackwell): its mean, and the mean of its variances plus
    the variance of its means.
    """
    rng = np.random.default_rng(seed)
    steps, n = values.shape
    flat = values.ravel()
    seen = np.flatnonzero(~np.isnan(flat))
    rows = int(seen[-1]) // n + 1 if len(seen) else 0
    unseen = np.flatnonzero(np.isnan(flat[: rows * n]))
    wanted = unseen if cell < rows * n else np.r_[unseen, cell]
    place = int(np.flatnonzero(wanted == cell)[0])
    # Draws begin at what the posterior's mean says.
    filled: Floats = values[:rows].copy()
    if len(unseen):
        means, scale = stacked_path(posterior.mean, past, steps, posterior.spread)
        filled.ravel()[unseen] = _given(means, scale, flat, seen, unseen)[0]
    kept_mean, kept_variance = [], []
    for k in range(_BURN + draws):
        mean, covariance, scale, df = _with(posterior, past, filled)
        sigma_root = _wishart_root(scale, df, rng)
        root = np.linalg.cholesky(covariance)
        coefficients = mean + root @ rng.normal(size=mean.shape) @ sigma_root.T
        sigma = sigma_root @ sigma_root.T
        means, spread = stacked_path(coefficients, past, steps, _always(sigma))
        middle, around = _given(means, spread, flat, seen, wanted)
        if k >= _BURN:
            kept_mean.append(float(middle[place]))
            kept_variance.append(float(around[place, place]))
        if len(unseen):
            m = len(unseen)
            noise = np.linalg.cholesky(around[:m, :m]) @ rng.normal(size=m)
            filled.ravel()[unseen] = middle[:m] + noise
    return float(np.mean(kept_mean)), float(np.sqrt(np.mean(kept_variance) + np.var(kept_mean)))


def _always(sigma: Floats) -> Callable[[Floats], Floats]:
    """Return the covariance of every vector's innovation, whatever came before it."""
    return lambda _: sigma


def _given(means: Floats, scale: Floats, flat: Floats, seen: Ints, wanted: Ints) -> tuple[Floats, Floats]:
    """Return mean and covariance of some cells given those that are seen."""
    if not len(seen):
        return means[wanted], scale[np.ix_(wanted, wanted)]
    factor = cho_factor(scale[np.ix_(seen, seen)], lower=True)
    across = scale[np.ix_(seen, wanted)]
    middle = means[wanted] + across.T @ cho_solve(factor, flat[seen] - means[seen])
    around = scale[np.ix_(wanted, wanted)] - across.T @ cho_solve(factor, across)
    return middle, 0.5 * (around + around.T)


def _with(posterior: Posterior, past: Floats, rows: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Return the posterior's mean, covariance, scale and degrees of freedom after some rows more."""
    if not len(rows):
        return posterior.mean, posterior.covariance, posterior.scale, posterior.df
    lags = len(past)
    every = np.vstack([past[::-1], rows])
    x = np.stack([np.r_[1.0, every[t : t + lags][::-1].ravel()] for t in range(len(rows))])
    rest = rows - x @ posterior.mean
    inner = np.eye(len(rows)) + x @ posterior.covariance @ x.T
    gain = np.linalg.solve(inner, x @ posterior.covariance).T
    covariance = posterior.covariance - gain @ x @ posterior.covariance
    scale = posterior.scale + rest.T @ np.linalg.solve(inner, rest)
    return posterior.mean + gain @ rest, 0.5 * (covariance + covariance.T), scale, posterior.df + len(rows)


def _wishart_root(scale: Floats, df: float, rng: np.random.Generator) -> Floats:
    """Draw a root of a covariance from an inverse Wishart density (Bartlett's decomposition)."""
    n = len(scale)
    lower = np.tril(rng.normal(size=(n, n)), -1)
    lower[np.diag_indices(n)] = np.sqrt(rng.chisquare(df - np.arange(n)))
    root = np.linalg.cholesky(0.5 * (scale + scale.T))
    return np.asarray(solve_triangular(lower, root.T, lower=True).T, dtype=np.float64)
