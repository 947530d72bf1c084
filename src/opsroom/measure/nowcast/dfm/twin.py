"""The factor model by its plain definition, in NumPy: every cell's covariance with every other.

Nothing here is quick, and nothing is shared with the compiled way but the model. It is what that way is held to.
"""

from __future__ import annotations

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, companion, stationary

_SUM = np.array([1.0, 2.0, 3.0, 2.0, 1.0])


def dense_covariance(p: FactorParameters, months: int) -> Floats:
    """Return the covariance of all cells, series by series within months: (months * series) squared."""
    u = p.unit()
    r, n, lead = u.factors, len(u.names), 4
    total = months + lead
    form = companion(u.transition)
    ahead = [stationary(u.transition)]
    for _ in range(total - 1):
        ahead.append(form @ ahead[-1])
    # Covariance of the factors of month s with those of month t, s >= t: top left of the form's power times start.
    common = np.zeros((total, r, total, r))
    for s in range(total):
        for t in range(s + 1):
            block = ahead[s - t][:r, :r]
            common[s, :, t, :], common[t, :, s, :] = block, block.T
    out = np.zeros((months, n, months, n))
    apart = np.abs(np.subtract.outer(np.arange(total), np.arange(total)))
    views = [_view(months, lead, quarterly=i >= u.monthly) for i in range(n)]
    for i in range(n):
        for j in range(n):
            monthly = np.einsum("f,sftg,g->st", u.loadings[i], common, u.loadings[j])
            if i == j:
                monthly = monthly + u.variance[i] * _autocovariances(u.own_lags[i], total)[apart]
            out[:, i, :, j] = views[i] @ monthly @ views[j].T
    return out.reshape(months * n, months * n)


def _autocovariances(lags: Floats, count: int) -> Floats:
    """Return the autocovariances of an autoregression with unit innovations: Yule's and Walker's equations."""
    order = len(lags)
    left, right = np.eye(order + 1), np.zeros(order + 1)
    right[0] = 1.0
    for k in range(order + 1):
        for j in range(order):
            left[k, abs(k - j - 1)] -= lags[j]
    out = np.zeros(max(count, order + 1))
    out[: order + 1] = np.linalg.solve(left, right)
    for k in range(order + 1, count):
        out[k] = lags @ out[k - order : k][::-1]
    return out


def _view(months: int, lead: int, *, quarterly: bool) -> Floats:
    """Return the map from a series' months, lead included, to its cells."""
    out = np.zeros((months, months + lead))
    for t in range(months):
        if quarterly:
            out[t, t : t + lead + 1] = _SUM
        else:
            out[t, t + lead] = 1.0
    return out


def dense_loglike(p: FactorParameters, values: Floats) -> float:
    """Return the log likelihood of standardised values, NaN where unknown."""
    y = values.ravel()
    seen = np.flatnonzero(~np.isnan(y))
    root = np.linalg.cholesky(dense_covariance(p, len(values))[np.ix_(seen, seen)])
    white = np.linalg.solve(root, y[seen])
    return float(-0.5 * (white @ white) - np.log(np.diag(root)).sum() - 0.5 * len(seen) * np.log(2.0 * np.pi))


def dense_mean(p: FactorParameters, values: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of every cell given the known ones, standardised: (months, series) each."""
    y = values.ravel()
    seen = np.flatnonzero(~np.isnan(y))
    covariance = dense_covariance(p, len(values))
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen]).T
    mean = gain @ y[seen]
    variance = np.diag(covariance) - np.einsum("ab,ab->a", gain, covariance[:, seen])
    return mean.reshape(values.shape), variance.reshape(values.shape)
