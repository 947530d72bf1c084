"""A mixed-frequency Bayesian vector autoregression: each quarter is one vector that holds all its months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.beside.carry import carried
from opsroom.measure.nowcast.beside.conjugate import Posterior, Prior, condition, path, update
from opsroom.measure.nowcast.beside.edge import LEAST, Edge, Floats, Ints, Mask, edge_of
from opsroom.measure.nowcast.beside.result import Forecast, known

_SOURCE = (
    "Stacked mixed-frequency BVAR after McCracken, Owyang and Sekhposyan (2021), International Journal of Central "
    "Banking 17:327-366, and Cimadomo, Giannone, Lenza, Monti and Sokol (2022), Journal of Econometrics 231:500-519"
)
_CONSTANT = 1e6
"""Prior variance of the constant, in units of the residual variance."""
_BOUNDS = ((0.005, 10.0), (2.0, 2000.0))
_TIGHTNESS = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
_QUARTERS = (4.0, 15.0, 60.0, 250.0)
_PARTS = 8
"""A series must be known for all but this part of the target's history."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Quarters x everything known of a quarter: month 1, 2, 3 of each monthly series, then quarterly series.

    Attributes
    ----------
    values
        What is known.
    learnt
        The same, NaN where nothing is to be learnt from.
    monthly
        Number of monthly series; the target is the last column.
    """

    values: Floats
    learnt: Floats
    monthly: int

    @property
    def target(self) -> int:
        """The target's column."""
        return int(self.values.shape[1]) - 1


@dataclass(frozen=True, slots=True)
class MixedBvar:
    r"""A large vector autoregression with shrinkage, monthly and quarterly series together.

    Answers: what does everything that is known of the quarter, month by month, say of the figure that is missing?

    Parameters
    ----------
    lags
        Quarters.
    tightness
        λ, the prior standard deviation of a coefficient on the month before; None: by marginal likelihood.
    quarters
        How many quarters the prior covariance of the innovations counts for; None: by marginal likelihood.
    decay
        The prior standard deviation of a coefficient falls with the distance in months to this power.
    series
        Monthly series to be used; default all.
    without
        Quarters from which nothing is learnt.
    draws
        Draws of coefficients and covariance for quarters after the first that is not wholly known (see
        `carry.carried`); 0: their posterior means carry shocks on.

    Notes
    -----
    :math:`z_q = c + A_1z_{q-1} + \dots + A_pz_{q-p} + u_q`, :math:`u_q\sim N(0,\Sigma)`, z all months of all series
    and the quarter's figures. Prior: each series by itself, a monthly AR(1) (whose coefficient and innovations are
    those of least squares), so that :math:`B_0` takes month 3 of the quarter before to months 1, 2 and 3 by
    :math:`\rho,\rho^2,\rho^3`, and the prior mean of Σ holds what these autoregressions say of months within a
    quarter. Coefficient of equation i on variable j: variance :math:`\Sigma_{ii}\lambda^2/(\text{months}^{2\,decay}\,
    s_j^2)`. Posterior, marginal likelihood and the density of the running quarter given the months known so far are
    exact, the latter a Student t. Quarters after the first unknown one are drawn: exact but for chance, and the same
    whenever they are asked for. What fails most often: with few quarters the tightness is chosen by little.
    """

    lags: int = 1
    tightness: float | None = None
    quarters: float | None = None
    decay: float = 1.0
    series: Sequence[str] | None = None
    without: Sequence[str] = ()
    draws: int = 400

    def __post_init__(self) -> None:
        if self.lags < 1:
            raise UsageError("a vector autoregression needs a lag.", remedy="Use lags of 1 or more.")
        if self.draws < 0 or self.draws == 1:
            raise UsageError(f"{self.draws} draws have no spread.", remedy="Use some hundreds of draws, or 0.")
        for name, value in (("tightness", self.tightness), ("quarters", self.quarters)):
            if value is not None and value <= 0:
                raise UsageError(f"{name} is not positive.", remedy="Use a positive number, or None.")

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: object) -> Forecast:
        """Forecast the target in a quarter.

        Raises
        ------
        FitError
            Too few complete quarters.
        """
        found = edge_of(monthly, quarterly, target, period, series=self.series, without=self.without, others=True)
        if not np.isnan(found.y[found.at]):
            return known(target, found.period, "Mixed-frequency BVAR", float(found.y[found.at]), _SOURCE)
        stack, refused = stacked(found)
        rows = complete(stack.learnt, self.lags)
        if len(rows) < LEAST:
            raise FitError(f"{len(rows)} quarters are complete: too few.", remedy="Leave out series that begin late.")
        y, x = stack.learnt[rows], regressors(stack.learnt, rows, self.lags)
        fit = self._fit(stack, y, x)
        before = last_run(stack.values[: found.at], self.lags)
        begun = before + 1
        ahead = path(fit.posterior, stack.values[begun - self.lags : begun][::-1], len(stack.values) - begun)
        cell = (found.at - begun) * stack.values.shape[1] + stack.target
        mean, scale, df = condition(ahead, stack.values[begun:].ravel(), cell)
        sd = scale * float(np.sqrt(df / (df - 2.0)))
        if found.at > begun and self.draws:
            past = stack.values[begun - self.lags : begun][::-1]
            mean, sd = carried(fit.posterior, past, stack.values[begun:], cell, draws=self.draws)
        chosen = "chosen by marginal likelihood" if self.tightness is None or self.quarters is None else "given"
        notes = (
            f"{stack.values.shape[1]} variables a quarter, {len(rows)} quarters, {self.lags} lag(s)",
            f"tightness {fit.tightness:.3g}, prior covariance worth {fit.quarters:.0f} quarters, {chosen}",
        )
        return Forecast(
            target, found.period, "Mixed-frequency BVAR", mean, sd, df,
            refused=tuple(refused), source=_SOURCE, notes=notes,
        )  # fmt: skip

    def _fit(self, stack: Stack, y: Floats, x: Floats) -> Fit:
        habits = habits_of(stack)

        def at(point: tuple[float, float]) -> Fit:
            tightness, quarters = (float(np.clip(np.exp(v), *b)) for v, b in zip(point, _BOUNDS, strict=True))
            tightness = self.tightness or tightness
            quarters = self.quarters or quarters
            return Fit(tightness, quarters, update(prior(habits, self.lags, tightness, quarters, self.decay), y, x))

        grid = [
            at((float(np.log(a)), float(np.log(b))))
            for a in ((self.tightness,) if self.tightness else _TIGHTNESS)
            for b in ((self.quarters,) if self.quarters else _QUARTERS)
        ]
        best = max(grid, key=lambda one: one.posterior.evidence)
        if len(grid) == 1:
            return best
        start: Floats = np.log([best.tightness, best.quarters])

        def loss(point: Floats) -> float:
            return -at((float(point[0]), float(point[1]))).posterior.evidence

        options: Any = {"xatol": 0.02, "fatol": 0.01, "maxfev": 60, "initial_simplex": start + _SIMPLEX}
        better = minimize(loss, start, method="Nelder-Mead", options=options)
        return max(best, at((float(better.x[0]), float(better.x[1]))), key=lambda one: one.posterior.evidence)


_SIMPLEX = np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.5]])


@dataclass(frozen=True, slots=True)
class Fit:
    """Tightness, weight of the prior covariance in quarters, and the posterior."""

    tightness: float
    quarters: float
    posterior: Posterior


@dataclass(frozen=True, slots=True)
class Habits:
    """Each series' own AR(1): coefficient and standard deviation of the innovation; monthly series first."""

    monthly: int
    memory: Floats
    sd: Floats


def stacked(found: Edge) -> tuple[Stack, list[tuple[str, str]]]:
    """Put a vintage's quarters into vectors; series that begin late, or hardly move, are left out."""
    learnt = found.learnt()
    refused = []
    span = ~np.isnan(found.y)
    keep = []
    for column, name in enumerate(found.monthly):
        whole = ~np.isnan(found.x[:, column]).reshape(-1, 3).any(axis=1)
        if (whole & span).sum() < (1.0 - 1.0 / _PARTS) * span.sum():
            refused.append((name, "its history is too short"))
        else:
            keep.append(column)
    side = []
    for column, name in enumerate(found.quarterly):
        if (~np.isnan(found.others[:, column]) & span).sum() < (1.0 - 1.0 / _PARTS) * span.sum():
            refused.append((name, "its history is too short"))
        else:
            side.append(column)

    def table(edge: Edge) -> Floats:
        months = edge.x[:, keep].reshape(len(edge.y), 3, len(keep)).transpose(0, 2, 1).reshape(len(edge.y), -1)
        return np.hstack([months, edge.others[:, side], edge.y[:, None]])

    return Stack(table(found), table(learnt), len(keep)), refused


def complete(values: Floats, lags: int) -> Ints:
    """Return the quarters in which everything is known, as it is in the `lags` before."""
    full = _whole(values)
    rows = full.copy()
    for lag in range(1, lags + 1):
        rows &= np.r_[np.zeros(lag, dtype=bool), full[:-lag]]
    return np.flatnonzero(rows)


def _whole(values: Floats) -> Mask:
    return np.asarray(~np.isnan(values).any(axis=1), dtype=np.bool_)


def regressors(values: Floats, rows: Ints, lags: int) -> Floats:
    """Return rows x (constant, vectors before)."""
    return np.hstack([np.ones((len(rows), 1)), *(values[rows - lag] for lag in range(1, lags + 1))])


def last_run(values: Floats, lags: int) -> int:
    """Return the last quarter that ends a run of `lags` complete ones.

    Raises
    ------
    FitError
        There is none.
    """
    full = np.r_[0, np.cumsum(_whole(values))]
    ends = np.flatnonzero(full[lags:] - full[:-lags] == lags) if len(full) > lags else np.zeros(0, dtype=int)
    if not len(ends):
        raise FitError("no quarter is complete.", remedy="Leave out series with gaps.")
    return int(ends[-1]) + lags - 1


def habits_of(stack: Stack) -> Habits:
    """Fit each series' AR(1), monthly or quarterly, by least squares; the coefficient is held within ±0.9."""
    n = stack.values.shape[1]
    series = [stack.learnt[:, 3 * k : 3 * k + 3].ravel() for k in range(stack.monthly)]
    series += [stack.learnt[:, k] for k in range(3 * stack.monthly, n)]
    memory, sd = [], []
    for values in series:
        now, before = values[1:], values[:-1]
        both = ~np.isnan(now) & ~np.isnan(before)
        a, b = now[both] - now[both].mean(), before[both] - before[both].mean()
        rho = float(np.clip(a @ b / max(float(b @ b), 1e-300), -0.9, 0.9))
        rest = a - rho * b
        memory.append(rho)
        sd.append(float(np.sqrt(rest @ rest / max(both.sum() - 2, 1))))
    if min(sd) <= 0.0:
        raise FitError("a series of the vector autoregression does not move.", remedy="Leave it out.")
    return Habits(stack.monthly, np.array(memory), np.array(sd))


def prior(habits: Habits, lags: int, tightness: float, quarters: float, decay: float) -> Prior:
    """Build the prior: each series by itself, the further back the less.

    Parameters
    ----------
    habits
        The series' own autoregressions.
    lags, tightness, quarters, decay
        See `MixedBvar`.
    """
    m, count = habits.monthly, len(habits.sd)
    n = 3 * m + count - m
    mean = np.zeros((1 + n * lags, n))
    covariance = np.zeros((n, n))
    distance, size = np.zeros(n), np.zeros(n)
    for k in range(count):
        rho, sd = habits.memory[k], habits.sd[k]
        if k < m:
            at = slice(3 * k, 3 * k + 3)
            step = np.array([[1.0, 0.0, 0.0], [rho, 1.0, 0.0], [rho**2, rho, 1.0]])
            covariance[at, at] = sd**2 * step @ step.T
            mean[1 + 3 * k + 2, at] = rho ** np.arange(1, 4)
            distance[at] = (3.0, 2.0, 1.0)
            size[at] = sd
        else:
            place = 2 * m + k
            covariance[place, place] = sd**2
            mean[1 + place, place] = rho
            distance[place], size[place] = 1.0, sd
    variance = [np.array([_CONSTANT])]
    for lag in range(lags):
        variance.append((tightness / (distance + 3.0 * lag) ** decay / size) ** 2)
    df = n + 1.0 + quarters
    return Prior(mean, np.concatenate(variance), covariance * quarters, df)
