"""Logit models of a crisis ahead, plain and penalised, by Newton's method: few rows, few columns, no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.float64]

_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class LogitFit:
    """A fitted logit.

    Attributes
    ----------
    intercept, coefficients
        On standardised predictors.
    mean, sd
        By which they were standardised: those of the sample of the fit.
    names
        Of the predictors.
    penalty
        Of the squared coefficients; 0 is maximum likelihood.
    log_likelihood
        At the solution, penalty not counted.
    quarters, positives
        Rows of the fit, and those before a crisis.
    """

    intercept: float
    coefficients: Floats
    mean: Floats
    sd: Floats
    names: tuple[str, ...]
    penalty: float
    log_likelihood: float
    quarters: int
    positives: int

    def predict(self, x: npt.ArrayLike) -> Floats:
        """Return probabilities, NaN where a predictor is missing.

        Parameters
        ----------
        x
            Shape (rows, predictors), in the units of the fit.
        """
        z = (np.asarray(x, dtype=np.float64) - self.mean) / self.sd
        return np.asarray(expit(self.intercept + z @ self.coefficients))

    def to_frame(self) -> pd.DataFrame:
        """Return coefficients by predictor: of a standard deviation, and of a unit."""
        return pd.DataFrame(
            {"per_sd": self.coefficients, "per_unit": self.coefficients / self.sd, "mean": self.mean, "sd": self.sd},
            index=pd.Index(self.names, name="predictor"),
        )


def fit_logit(
    x: npt.ArrayLike, label: npt.ArrayLike, *, penalty: float = 0.0, names: Sequence[str] | None = None
) -> LogitFit:
    """Fit a logit, by maximum likelihood or with a penalty on the size of its coefficients.

    Parameters
    ----------
    x
        Shape (rows, predictors); rows with a missing value or label are left out.
    label
        1 before a crisis, 0 in calm.
    penalty
        Weight of half the sum of squared coefficients of standardised predictors, from 0; the intercept is free.
    names
        Of the predictors.

    Returns
    -------
    LogitFit

    Raises
    ------
    FitError
        There are not both labels; a predictor does not vary; the labels are separated and nothing is penalised.

    Notes
    -----
    Maximises :math:`\\sum_i \\log p_i - \\tfrac{\\lambda}{2} \\lVert\\beta\\rVert^2` by Newton's method, halving steps
    that do not improve it. With few crises an unpenalised logit of several predictors fits the crises, not what they
    have in common.
    """
    table, y = np.asarray(x, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != len(y) or not penalty >= 0.0:
        raise UsageError("predictors and labels do not match, or the penalty is negative.", remedy="Check shapes.")
    kept = ~(np.isnan(table).any(axis=1) | np.isnan(y))
    table, y = table[kept], y[kept]
    if not 0 < y.sum() < len(y):
        raise FitError(
            "a logit needs both quarters before a crisis and calm ones.",
            remedy="Use a longer sample, or more economies.",
        )
    mean, sd = table.mean(axis=0), table.std(axis=0)
    if (sd <= 1e-12 * np.maximum(1.0, np.abs(mean))).any():
        raise FitError("a predictor of the logit does not vary.", remedy="Leave it out.")
    design = np.column_stack([np.ones(len(y)), (table - mean) / sd])
    ridge = np.concatenate([[0.0], np.full(table.shape[1], penalty)])
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(y.mean() / (1.0 - y.mean()))
    value = _objective(design, y, beta, ridge)
    for _ in range(_STEPS):
        p = expit(design @ beta)
        slope = design.T @ (y - p) - ridge * beta
        weight = p * (1.0 - p)
        bend = (design * weight[:, None]).T @ design + np.diag(ridge)
        try:
            step = np.linalg.solve(bend, slope)
        except np.linalg.LinAlgError:
            raise _no_solution() from None
        size = 1.0
        while (new := _objective(design, y, beta + size * step, ridge)) < value and size > 1e-10:
            size /= 2.0
        beta, value = beta + size * step, new
        if np.abs(design @ beta).max() > 500.0:
            raise _no_solution()
        if float(slope @ step) < _TOLERANCE:  # the step was taken: the error that is left is its square
            break
    else:
        raise _no_solution()
    if not penalty and np.abs(beta).max() > 30.0:  # probabilities of 0 and 1: the likelihood has no maximum
        raise _no_solution()
    likelihood = _objective(design, y, beta, np.zeros_like(ridge))
    return LogitFit(
        intercept=float(beta[0]),
        coefficients=beta[1:],
        mean=mean,
        sd=sd,
        names=tuple(names or [f"x{k + 1}" for k in range(table.shape[1])]),
        penalty=float(penalty),
        log_likelihood=likelihood,
        quarters=len(y),
        positives=int(y.sum()),
    )


def _objective(design: Floats, y: Floats, beta: Floats, ridge: Floats) -> float:
    eta = design @ beta
    return float(y @ eta - np.logaddexp(0.0, eta).sum() - 0.5 * ridge @ (beta * beta))


def _no_solution() -> FitError:
    return FitError(
        "the logit has no finite solution: predictors are collinear, or separate the crises.",
        remedy="Give a penalty, or fewer predictors.",
    )
