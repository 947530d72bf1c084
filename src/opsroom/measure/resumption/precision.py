"""Sources combined by precision: what their disagreement says of each one's error, and the weights that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.special import gammaincc

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRIOR_SD = 0.05
"""Error of a source, share of 1, before any disagreement has been seen."""

PRIOR_MONTHS = 2.0
"""That error is believed like so many months' worth of disagreement."""

LEAST_SD = 0.005
"""No source is believed to be more exact than this."""

LEAST_SCALE = 0.1
"""Errors are largest where half of the companies are back; near none and all they are this small in variance."""

KIN = 0.8
"""When it is judged whether sources disagree, correlations are taken to be so much weaker: of sources that err as one,
the least difference would be infinitely unlikely."""

RIDGE = 1e-9
"""Added to variances, relative: two copies of one source share their weight evenly."""


def scale(share: F64) -> F64:
    """Return the variance of a source's error at a level, relative to that at one half: errors shrink at the ends."""
    bounded = np.clip(share, 0, 1)
    return np.asarray(LEAST_SCALE + (1 - LEAST_SCALE) * 4 * bounded * (1 - bounded))


@dataclass(frozen=True, slots=True)
class Errors:
    """Covariance of the sources' errors, at a share of one half, and how many months it rests on."""

    covariance: F64
    months: int

    @classmethod
    def learn(cls, values: F64, variances: F64, weights: F64, families: Ints) -> Errors:
        """Learn from how far sources lay apart.

        Parameters
        ----------
        values, variances
            Shares and their own variances, (sources, cells, months), NaN where missing.
        weights
            Of the cells.
        families
            Number of each source's family: errors of different families are taken to be independent.

        Notes
        -----
        For two sources, :math:`D_{ij}` is the mean of :math:`((y_i - y_j)^2 - v_i - v_j) / h` over cells and months,
        with own variances v and the scale h. Between families :math:`D_{ij} = s_i + s_j`: three families or more
        identify each error (the three-cornered hat of Gray and Allan, 1974), here by least squares weighted by
        :math:`1 / D_{ij}`, with D drawn to its prior and what is usual as a further equation for each source. Within a
        family
        :math:`c_{ij} = (s_i + s_j - D_{ij}) / 2`. That all sources err together cannot be seen.
        """
        count = len(values)
        kin, months = _apart(values, variances, weights)
        apart = (PRIOR_MONTHS * 2 * PRIOR_SD**2 + months * kin) / (PRIOR_MONTHS + months)
        across = np.flatnonzero(np.triu(families[:, None] != families[None, :]))
        usual = float(np.median(apart.ravel()[across])) / 2 if len(across) else PRIOR_SD**2
        # What the hat does not tell apart, two families' errors for one, stays near what is usual.
        rows = [np.sqrt(PRIOR_MONTHS) * row for row in np.eye(count)]
        aims = [np.sqrt(PRIOR_MONTHS) * usual] * count
        for i, j in zip(*np.unravel_index(across, apart.shape), strict=True):
            # A mean square is known the less exactly the larger it is.
            belief = np.sqrt(PRIOR_MONTHS + months[i, j]) * 2 * usual / apart[i, j]
            row = np.zeros(count)
            row[[i, j]] = belief
            rows.append(row)
            aims.append(belief * apart[i, j])
        # Least squares without negatives sets errors to nothing; few months do not show that a source has none.
        least = max(usual * PRIOR_MONTHS / (PRIOR_MONTHS + months.max(initial=0)), LEAST_SD**2)
        own = np.maximum(nnls(np.array(rows), np.array(aims))[0], least)
        covariance = np.diag(own)
        for i in range(count):
            for j in range(count):
                if i != j and families[i] == families[j]:
                    most = np.sqrt(own[i] * own[j])
                    seen = months[i, j]
                    shared = np.clip((own[i] + own[j] - kin[i, j]) / 2, 0, most) if seen else most
                    covariance[i, j] = (PRIOR_MONTHS * most + seen * shared) / (PRIOR_MONTHS + seen)
        return cls(_positive(covariance), int(months.max(initial=0)))


def _apart(values: F64, variances: F64, weights: F64) -> tuple[F64, F64]:
    """Return the mean scaled squared difference of each pair beyond their own variances, and its months."""
    count = len(values)
    level = np.where(np.isfinite(values), values, 0.0).sum(axis=0) / np.maximum(np.isfinite(values).sum(axis=0), 1)
    h = scale(level)
    apart, months = np.zeros((count, count)), np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            excess = ((values[i] - values[j]) ** 2 - variances[i] - variances[j]) / h
            there = np.isfinite(excess)
            mass = weights[:, None] * there
            total = mass.sum(axis=0)
            seen = total > 0
            if seen.any():
                by_month = np.where(there, mass * np.nan_to_num(excess), 0.0).sum(axis=0)[seen] / total[seen]
                apart[i, j] = apart[j, i] = max(float(by_month.mean()), 0.0)
            months[i, j] = months[j, i] = float(seen.sum())
    return apart, months


def _positive(matrix: F64) -> F64:
    """Return the nearest matrix without negative eigenvalues."""
    value, vector = np.linalg.eigh(matrix)
    return np.asarray((vector * np.maximum(value, 0)) @ vector.T)


def best_weights(covariance: F64) -> F64:
    """Return the weights, none negative and 1 in sum, that make the variance of the mean least.

    Notes
    -----
    :math:`w = \\Sigma^{-1} 1 / 1' \\Sigma^{-1} 1`; while some weight is negative, the most negative source is left out.
    """
    count = len(covariance)
    inside = np.ones(count, dtype=bool)
    jitter = RIDGE * np.diag(covariance).max() * np.eye(count)
    while True:
        at = np.flatnonzero(inside)
        solved = np.linalg.solve((covariance + jitter)[np.ix_(at, at)], np.ones(len(at)))
        if (solved >= 0).all() or len(at) == 1:
            out = np.zeros(count)
            out[at] = np.maximum(solved, 0) / np.maximum(solved, 0).sum()
            return out
        inside[at[int(np.argmin(solved))]] = False


@dataclass(frozen=True, slots=True)
class Blend:
    """Combined values: (cells, months); weights, (sources, cells, months), 1 in sum where there is any source."""

    value: F64
    sd: F64
    weights: F64
    spread: F64
    distance: F64
    agreement: F64
    sources: Ints


def blend(
    values: F64, variances: F64, errors: Sequence[Errors], families: Ints, *, expected: npt.NDArray[np.bool_]
) -> Blend:
    """Combine sources by cell and month.

    Parameters
    ----------
    values, variances
        (sources, cells, months), NaN where missing.
    errors
        What had been learnt before each month.
    families
        Own variances of sources of one family are taken to go together.
    expected
        Sources that there have been before: where one of them is missing, the band does not shrink for want of its
        objection. (sources, months).

    Notes
    -----
    Where sources lie further apart than their errors account for, chi-square above its degrees of freedom, the
    standard deviation is multiplied by the root of their ratio (Birge, 1932).
    """
    _, cells, months = values.shape
    kin = families[:, None] == families[None, :]
    out = {n: np.full((cells, months), np.nan) for n in ("value", "sd", "spread", "distance", "agreement")}
    weights = np.zeros(values.shape)
    number = np.isfinite(values).sum(axis=0)
    for c in range(cells):
        before = 1.0
        for t in range(months):
            at = np.flatnonzero(np.isfinite(values[:, c, t]))
            if not len(at):
                continue
            y, own = values[at, c, t], np.sqrt(variances[at, c, t])
            matrix = errors[t].covariance[np.ix_(at, at)] * scale(np.array(y.mean()))
            matrix = matrix + np.outer(own, own) * kin[np.ix_(at, at)]
            w = best_weights(matrix)
            centre = float(w @ y)
            distance, agreement, factor = _distance(_told_apart(matrix), y, centre)
            if expected[:, t].sum() > len(at):
                factor = max(factor, before)
            before = factor
            weights[at, c, t] = w
            out["value"][c, t], out["sd"][c, t] = centre, np.sqrt(w @ matrix @ w) * factor
            out["spread"][c, t], out["distance"][c, t], out["agreement"][c, t] = np.ptp(y), distance, agreement
    return Blend(out["value"], out["sd"], weights, out["spread"], out["distance"], out["agreement"], number)


def _told_apart(matrix: F64) -> F64:
    """Return a covariance with correlations `KIN` times as strong."""
    return np.asarray(KIN * matrix + (1 - KIN) * np.diag(np.diag(matrix)))


def _distance(matrix: F64, y: F64, centre: float) -> tuple[float, float, float]:
    """Return chi-square of the sources about their mean, the chance of as much, and Birge's factor."""
    freedom = len(y) - 1
    if not freedom:
        return 0.0, 1.0, 1.0
    gap = y - centre
    chi = float(gap @ np.linalg.solve(matrix, gap))
    return chi, float(gammaincc(freedom / 2, chi / 2)), max(1.0, float(np.sqrt(chi / freedom)))
