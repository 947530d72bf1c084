"""A vector autoregression under a normal-inverse-Wishart prior: posterior and marginal likelihood in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import multigammaln

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.beside.edge import Floats


@dataclass(frozen=True, slots=True)
class Prior:
    r""":math:`\Sigma\sim IW(\Psi, d)`, :math:`\mathrm{vec}\,B\mid\Sigma\sim N(\mathrm{vec}\,B_0,\Sigma\otimes\Omega)`.

    Attributes
    ----------
    mean
        Regressors x equations: B0.
    variance
        Per regressor: the diagonal of Ω.
    scale, df
        Ψ and d; the prior mean of Σ is Ψ / (d - n - 1).
    """

    mean: Floats
    variance: Floats
    scale: Floats
    df: float


@dataclass(frozen=True, slots=True)
class Posterior:
    """The same four after the data, Ω with all its elements, and the log marginal likelihood of the data."""

    mean: Floats
    covariance: Floats
    scale: Floats
    df: float
    evidence: float

    @property
    def student_df(self) -> float:
        """Degrees of freedom of the predictive density."""
        return self.df - len(self.scale) + 1.0

    def spread(self, regressors: Floats) -> Floats:
        """Return the scale matrix of the next vector's multivariate t, given its regressors."""
        return self.scale * (1.0 + float(regressors @ self.covariance @ regressors)) / self.student_df


def update(prior: Prior, y: Floats, x: Floats) -> Posterior:
    r"""Learn from data.

    Parameters
    ----------
    prior
        See `Prior`.
    y, x
        Rows x equations, rows x regressors; nothing unknown.

    Raises
    ------
    FitError
        The moments are not positive definite.

    Notes
    -----
    :math:`\log p(Y) = -\tfrac{nT}{2}\log\pi + \log\Gamma_n(\tfrac{d+T}{2}) - \log\Gamma_n(\tfrac d2)
    - \tfrac n2\log|\Omega| - \tfrac n2\log|\Omega^{-1}+X'X| + \tfrac d2\log|\Psi|
    - \tfrac{d+T}{2}\log|\bar\Psi|`.

    References
    ----------
    Giannone, Lenza and Primiceri (2015), Prior selection for vector autoregressions, Review of Economics and
    Statistics 97, 436-451.
    """
    rows, n = y.shape
    precision = x.T @ x + np.diag(1.0 / prior.variance)
    rest = y - x @ prior.mean
    try:
        factor = cho_factor(precision, lower=True)
        step = cho_solve(factor, x.T @ rest)
        # About the prior mean: nothing large is taken from something large.
        fit = rest - x @ step
        scale = prior.scale + fit.T @ fit + step.T @ (step / prior.variance[:, None])
        scale = 0.5 * (scale + scale.T)
        logdet = 2.0 * float(np.log(np.diag(np.linalg.cholesky(scale))).sum())
        before = 2.0 * float(np.log(np.diag(np.linalg.cholesky(prior.scale))).sum())
    except np.linalg.LinAlgError as error:
        raise FitError("the moments are not positive definite.", remedy="Leave out series that do not move.") from error
    df = prior.df + rows
    evidence = (
        -0.5 * n * rows * float(np.log(np.pi))
        + float(multigammaln(0.5 * df, n) - multigammaln(0.5 * prior.df, n))
        - 0.5 * n * float(np.log(prior.variance).sum() + 2.0 * np.log(np.diag(factor[0])).sum())
        + 0.5 * prior.df * before
        - 0.5 * df * logdet
    )
    covariance = cho_solve(factor, np.eye(len(precision)))
    return Posterior(prior.mean + step, covariance, scale, df, evidence)


@dataclass(frozen=True, slots=True)
class Path:
    """Vectors to come, without anything known of them: stacked means, and the scale matrix of their joint t."""

    mean: Floats
    scale: Floats
    df: float


def path(posterior: Posterior, past: Floats, steps: int) -> Path:
    """Forecast `steps` vectors from the `p` before them.

    Parameters
    ----------
    posterior
        Regressors are the constant and the vectors before, the latest first.
    past
        p x n, the latest first.
    steps
        How many vectors.

    Notes
    -----
    One step is exact: a multivariate t. Further ones take the posterior mean of the coefficients to carry shocks on,
    and widen each vector's innovation by its own regressors' mean, as the first step's is; `carry.carried` draws them.
    """
    return Path(*stacked_path(posterior.mean, past, steps, posterior.spread), posterior.student_df)


def stacked_path(mean: Floats, past: Floats, steps: int, spread: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Return stacked means and covariance of `steps` vectors, under given coefficients.

    Parameters
    ----------
    mean
        Regressors x equations: constant, and coefficients on the vectors before.
    past
        p x n, the latest first.
    steps
        How many vectors.
    spread
        Regressors of a vector → covariance of its innovation.
    """
    lags, n = past.shape
    coefficients = mean[1:].reshape(lags, n, n)
    history = [*past[::-1]]
    means = np.zeros((steps, n))
    # How the innovation of step s moves step h.
    impact = np.zeros((steps, steps, n, n))
    spreads = []
    for h in range(steps):
        regressors = np.concatenate([[1.0], *history[::-1][:lags]])
        means[h] = regressors @ mean
        history.append(means[h])
        spreads.append(spread(regressors))
        impact[h, h] = np.eye(n)
        for s in range(h):
            for lag in range(min(lags, h - s)):
                impact[h, s] += coefficients[lag].T @ impact[h - 1 - lag, s]
    scale = np.zeros((steps * n, steps * n))
    for s, own in enumerate(spreads):
        column = impact[:, s].reshape(steps * n, n)
        scale += column @ own @ column.T
    return means.ravel(), scale


def condition(given: Path, values: Floats, cell: int) -> tuple[float, float, float]:
    r"""Return mean, scale and degrees of freedom of one cell, given those that are known.

    Parameters
    ----------
    given
        The joint t.
    values
        Stacked like its mean; NaN where unknown.
    cell
        Which one.

    Notes
    -----
    :math:`\mu_c + S_{co}S_{oo}^{-1}(o-\mu_o)`, scale squared
    :math:`(\nu+\delta)/(\nu+n_o)\,(S_{cc}-S_{co}S_{oo}^{-1}S_{oc})`
    with :math:`\delta=(o-\mu_o)'S_{oo}^{-1}(o-\mu_o)`, and :math:`\nu+n_o` degrees of freedom: surprises widen.
    """
    seen = np.flatnonzero(~np.isnan(values))
    if not len(seen):
        return float(given.mean[cell]), float(np.sqrt(given.scale[cell, cell])), given.df
    factor = cho_factor(given.scale[np.ix_(seen, seen)], lower=True)
    gap = values[seen] - given.mean[seen]
    across = given.scale[cell, seen]
    weight = cho_solve(factor, across)
    distance = float(gap @ cho_solve(factor, gap))
    df = given.df + len(seen)
    left = max(float(given.scale[cell, cell]) - float(weight @ across), 0.0)
    return float(given.mean[cell] + weight @ gap), float(np.sqrt((given.df + distance) / df * left)), df
