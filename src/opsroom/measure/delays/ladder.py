"""Chain ladder: the baseline of every reporting triangle, plain (Mack) and over-dispersed Poisson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.delays.draws import draw_amount

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LadderFit:
    """Chain-ladder estimates of one triangle.

    Attributes
    ----------
    factors
        Shape (D,): by how much a cumulative count grows from delay d to d + 1.
    latest, ultimate
        Shape (T,): cumulative count known, and at the last delay.
    last
        Shape (T,): the last delay known of each row, at most D.
    share
        Shape (D + 1,): expected share known at each delay.
    """

    factors: Floats
    latest: Floats
    ultimate: Floats
    last: npt.NDArray[np.int64]
    share: Floats

    @property
    def reserve(self) -> Floats:
        """What is still to come, by row."""
        return self.ultimate - self.latest


def chain_ladder(increments: npt.ArrayLike) -> LadderFit:
    r"""Complete a triangle by development factors.

    Answers: how many will there be, if the rest comes in as it always has?

    Parameters
    ----------
    increments
        Shape (T, D + 1): net count by reference period and delay; NaN where not known yet. Each row is known
        up to some delay, from the first on.

    Returns
    -------
    LadderFit

    Notes
    -----
    :math:`f_d = \sum_t C_{t,d+1} / \sum_t C_{t,d}` over the rows known at :math:`d+1`;
    :math:`\hat C_{t,D} = C_{t,a_t}\prod_{d \ge a_t} f_d`. Where the denominator is zero nothing can be learnt
    and the factor is 1. What fails most often: a period of which nothing is known yet is estimated as
    zero, whatever its neighbours say.

    References
    ----------
    Mack (1993), Distribution-free calculation of the standard error of chain ladder reserve estimates,
    ASTIN Bulletin 23(2).

    Examples
    --------
    >>> fit = chain_ladder([[6.0, 3.0, 1.0], [8.0, 4.0, np.nan], [10.0, np.nan, np.nan]])
    >>> fit.factors.round(4).tolist()
    [1.5, 1.1111]
    >>> fit.ultimate.round(3).tolist()
    [10.0, 13.333, 16.667]
    """
    return _complete(*_triangle(increments))


def _complete(cells: Floats, last: npt.NDArray[np.int64]) -> LadderFit:
    running = np.cumsum(cells, axis=1)
    delays = cells.shape[1] - 1
    factors = np.ones(delays)
    for d in range(delays):
        rows = last > d
        below = float(running[rows, d].sum())
        if below > 0:
            factors[d] = float(running[rows, d + 1].sum()) / below
    growth = np.append(np.cumprod(factors[::-1])[::-1], 1.0)
    latest = running[np.arange(len(last)), last]
    share = np.divide(1.0, growth, out=np.full(delays + 1, np.nan), where=growth > 0)
    return LadderFit(factors=factors, latest=latest, ultimate=latest * growth[last], last=last, share=share)


def mack_variances(increments: npt.ArrayLike) -> Floats:
    r"""Return Mack's :math:`\sigma^2_d`, the variance of development per unit of the cumulative count.

    Notes
    -----
    From the rows with a positive count at d, one degree of freedom spent; the last ones, with one row
    alone, are extrapolated as Mack does: the least of :math:`\sigma^4_{d-1}/\sigma^2_{d-2}`,
    :math:`\sigma^2_{d-2}` and :math:`\sigma^2_{d-1}`.
    """
    cells, last = _triangle(increments)
    running = np.cumsum(cells, axis=1)
    fit = _complete(cells, last)
    sigma2 = np.zeros(len(fit.factors))
    for d, factor in enumerate(fit.factors):
        rows = (last > d) & (running[:, d] > 0)
        if rows.sum() > 1:
            base = running[rows, d]
            sigma2[d] = float((base * (running[rows, d + 1] / base - factor) ** 2).sum()) / (rows.sum() - 1)
        elif d >= 2 and sigma2[d - 2] > 0:
            sigma2[d] = min(sigma2[d - 1] ** 2 / sigma2[d - 2], sigma2[d - 2], sigma2[d - 1])
    return sigma2


def mack_error(increments: npt.ArrayLike) -> tuple[Floats, float]:
    """Return Mack's standard error of each row's ultimate, and of their sum.

    Parameters
    ----------
    increments
        See `chain_ladder`.

    Returns
    -------
    tuple of numpy.ndarray and float
        Root mean squared errors of prediction: process and estimation.

    References
    ----------
    Mack (1993), theorem 3 and its corollary.
    """
    cells, last = _triangle(increments)
    running = np.cumsum(cells, axis=1)
    fit, sigma2 = _complete(cells, last), mack_variances(increments)
    rows, delays = len(last), len(fit.factors)
    ratio = np.divide(sigma2, fit.factors**2, out=np.zeros(delays), where=fit.factors > 0)
    below = np.array([float(running[last > d, d].sum()) for d in range(delays)])
    learnt = np.divide(ratio, below, out=np.zeros(delays), where=below > 0)
    ahead = np.zeros((rows, delays))
    for t in range(rows):
        count = fit.latest[t]
        for d in range(last[t], delays):
            ahead[t, d] = ratio[d] / count if count > 0 else 0.0
            count *= fit.factors[d]
    doubt = np.array([learnt[a:].sum() for a in last])
    own = fit.ultimate**2 * (ahead.sum(axis=1) + doubt)
    # Two rows share the factors from the more developed one's last delay on.
    shared = 0.0
    for t in range(rows):
        for u in range(t + 1, rows):
            shared += 2.0 * fit.ultimate[t] * fit.ultimate[u] * float(learnt[max(last[t], last[u]) :].sum())
    return np.sqrt(own), float(np.sqrt(own.sum() + shared))


@dataclass(frozen=True, slots=True)
class OdpFit:
    """An over-dispersed Poisson model of a triangle: rows times delays.

    Attributes
    ----------
    mean
        Shape (T, D + 1): fitted and expected increments; 0 in rows of which nothing is known.
    dispersion
        Variance over mean, Pearson's estimate.
    kept, delays
        Rows and delays in the model: those with a positive count.
    covariance
        Of the logarithms of the rows' totals and of the delays' shares over the first one's: dispersion times
        the inverse information.
    """

    mean: Floats
    dispersion: float
    kept: npt.NDArray[np.int64]
    delays: npt.NDArray[np.int64]
    covariance: Floats


def odp_fit(increments: npt.ArrayLike) -> OdpFit:
    r"""Fit the over-dispersed Poisson model whose estimates are the chain ladder's.

    Parameters
    ----------
    increments
        See `chain_ladder`. Single increments may be negative, sums over a row or a delay may not.

    Raises
    ------
    FitError
        The increments of a delay add up to nothing or less: the model has no place for it.

    Notes
    -----
    :math:`E\,n_{td} = x_t y_d`, :math:`\mathrm{var}\,n_{td} = \varphi x_t y_d`, :math:`\sum_d y_d = 1`. The
    quasi-likelihood estimates are the chain ladder's (:math:`x_t = \hat C_{t,D}`), so nothing is iterated.

    References
    ----------
    Renshaw and Verrall (1998), A stochastic model underlying the chain-ladder technique; England and
    Verrall (2002), Stochastic claims reserving in general insurance, section 7.
    """
    cells, last = _triangle(increments)
    fit = _complete(cells, last)
    share = np.diff(np.concatenate([[0.0], fit.share]))
    kept, delays = np.flatnonzero(fit.ultimate > 0), np.flatnonzero(share > 1e-14)
    if len(kept) == 0 or (share < -1e-14).any() or (fit.latest < 0).any():
        raise FitError(
            "a row or a delay adds up to less than nothing: the over-dispersed chain ladder has no fit.",
            remedy="Use method='hierarchical', which has removals of their own, or a smaller max_delay.",
            code="OPS-M142",
        )
    mean = np.zeros(cells.shape)
    mean[np.ix_(kept, delays)] = np.outer(fit.ultimate[kept], share[delays])
    cut, fitted = cells[np.ix_(kept, delays)], mean[np.ix_(kept, delays)]
    used = delays[None, :] <= last[kept, None]
    rows = len(kept)
    free = int(used.sum()) - rows - len(delays) + 1
    residual = np.where(used, (cut - fitted) ** 2 / fitted, 0.0)
    dispersion = float(residual.sum()) / free if free > 0 else 1.0
    weight = np.where(used, fitted, 0.0)
    # The first delay is the reference: rows' constants and the other delays' are then identified.
    information = np.zeros((rows + len(delays) - 1, rows + len(delays) - 1))
    information[:rows, :rows] = np.diag(weight.sum(axis=1))
    information[:rows, rows:] = weight[:, 1:]
    information[rows:, :rows] = weight[:, 1:].T
    information[rows:, rows:] = np.diag(weight.sum(axis=0)[1:])
    covariance: Floats = np.asarray(dispersion * np.linalg.inv(information), dtype=np.float64)
    return OdpFit(mean=mean, dispersion=dispersion, kept=kept, delays=delays, covariance=covariance)


def _design(
    fit: OdpFit, last: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the design of the cells to come, their means, rows and delays."""
    rows = len(fit.kept)
    t, d = np.nonzero(fit.delays[None, :] > last[fit.kept, None])
    design = np.zeros((len(t), rows + len(fit.delays) - 1))
    design[np.arange(len(t)), t] = 1.0
    later = d > 0
    design[np.flatnonzero(later), rows + d[later] - 1] = 1.0
    return design, fit.mean[fit.kept[t], fit.delays[d]], fit.kept[t], fit.delays[d]


def odp_error(increments: npt.ArrayLike) -> tuple[Floats, float]:
    """Return the over-dispersed chain ladder's prediction error of each row's ultimate, and of their sum.

    Parameters
    ----------
    increments
        See `chain_ladder`.

    Returns
    -------
    tuple of numpy.ndarray and float
        Root mean squared errors of prediction: process and, to first order, estimation.

    References
    ----------
    England and Verrall (2002), section 7.5.
    """
    _, last = _triangle(increments)
    fit = odp_fit(increments)
    design, mean, owner, _ = _design(fit, last)
    pooled = np.zeros((len(last) + 1, len(mean)))
    pooled[owner, np.arange(len(mean))] = mean
    pooled[-1] = mean
    lever = pooled @ design
    doubt = np.einsum("ij,jk,ik->i", lever, fit.covariance, lever)
    error = np.sqrt(fit.dispersion * pooled.sum(axis=1) + doubt)
    return error[:-1], float(error[-1])


def ladder_draws(increments: npt.ArrayLike, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw ultimates from Mack's model: factors from their error, development from its variance.

    Returns
    -------
    tuple of numpy.ndarray
        Ultimates (draws, T) and expected shares known at each delay (draws, D + 1).

    Notes
    -----
    Development is drawn from a gamma distribution of Mack's mean and variance, factors from a normal one.
    """
    cells, last = _triangle(increments)
    running = np.cumsum(cells, axis=1)
    fit, sigma2 = _complete(cells, last), mack_variances(increments)
    below = np.array([float(running[last > d, d].sum()) for d in range(len(sigma2))])
    error = np.sqrt(np.divide(sigma2, below, out=np.zeros(len(sigma2)), where=below > 0))
    factors = np.maximum(fit.factors + error * rng.standard_normal((draws, len(sigma2))), 1e-6)
    count = np.maximum(np.broadcast_to(fit.latest, (draws, len(last))), 0.0).copy()
    for d in range(len(sigma2)):
        rows = last <= d
        mean = count[:, rows] * factors[:, [d]]
        variance = sigma2[d] * count[:, rows]
        count[:, rows] = draw_amount(mean, variance, counts=False, rng=rng)
    growth = np.cumprod(factors[:, ::-1], axis=1)[:, ::-1]
    share = np.concatenate([1.0 / growth, np.ones((draws, 1))], axis=1)
    return np.where(last >= len(sigma2), fit.latest, count), share


def odp_draws(
    increments: npt.ArrayLike, draws: int, rng: np.random.Generator, *, counts: bool = False
) -> tuple[Floats, Floats]:
    """Draw the cells to come from the over-dispersed Poisson model.

    Returns
    -------
    tuple of numpy.ndarray
        Increments (T, D + 1, draws), 0 where they are known, and expected shares known at each delay (draws, D + 1).

    Notes
    -----
    Logarithms of the parameters are drawn from their normal approximation and centred so that means stay;
    increments with variance dispersion times mean, from a negative binomial (`counts`) or gamma distribution.
    """
    cells, last = _triangle(increments)
    fit = odp_fit(increments)
    rows = len(fit.kept)
    root = np.linalg.cholesky(fit.covariance + 1e-12 * np.eye(len(fit.covariance)))
    move = rng.standard_normal((draws, len(root))) @ root.T
    profile = np.zeros((draws, cells.shape[1]))
    profile[:, fit.delays] = np.exp(np.concatenate([np.zeros((draws, 1)), move[:, rows:]], axis=1))
    profile *= fit.mean[fit.kept[0]]
    share = np.cumsum(profile / profile.sum(axis=1, keepdims=True), axis=1)
    design, mean, owner, delay = _design(fit, last)
    # Centred: the mean of the exponential of a normal draw is above the exponential of its mean.
    spread = np.einsum("ij,jk,ik->i", design, fit.covariance, design)
    drawn = (mean * np.exp(move @ design.T - 0.5 * spread)).T
    dispersion = max(fit.dispersion, 1.0) if counts else fit.dispersion
    coming = np.zeros((*cells.shape, draws))
    coming[owner, delay] = draw_amount(drawn, dispersion * drawn, counts=counts, rng=rng)
    return coming, share


def _triangle(increments: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the cells with zeros ahead, and the last known delay of each row."""
    cells = np.asarray(increments, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[1] < 2:
        raise UsageError(
            "a triangle has rows (reference periods) and at least two delays.",
            remedy="Give an array of shape (periods, delays).",
            code="OPS-U173",
        )
    known = ~np.isnan(cells)
    last = known.sum(axis=1) - 1
    if (last < 0).any() or (known != (np.arange(cells.shape[1])[None, :] <= last[:, None])).any():
        raise UsageError(
            "a row of the triangle is not known from its first delay on without a hole.",
            remedy="Put 0 where nothing was reported, NaN only where the time has not come.",
            code="OPS-U174",
        )
    return np.where(known, cells, 0.0), last.astype(np.int64)
