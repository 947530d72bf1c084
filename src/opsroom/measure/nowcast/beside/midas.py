"""MIDAS: the target on the last months that are known of an indicator, with free or with shaped weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.beside.almon import shaped_equation
from opsroom.measure.nowcast.beside.bridge import lags_of, together
from opsroom.measure.nowcast.beside.edge import Edge, Floats, edge_of
from opsroom.measure.nowcast.beside.equation import Combination, Equation, learn, usable
from opsroom.measure.nowcast.beside.result import Forecast, known

_SOURCES = {
    "almon": "MIDAS after Ghysels, Sinko and Valkanov (2007), Econometric Reviews 26:53-90",
    "polynomial": "MIDAS with polynomial weights after Almon (1965), Econometrica 33:178-196",
    "unrestricted": "Unrestricted MIDAS after Foroni, Marcellino and Schumacher (2015), JRSS A 178:57-82",
}
_FREE = 9
_SHAPED = 12
_DEGREE = 2


@dataclass(frozen=True, slots=True)
class Midas:
    r"""Direct regressions on an indicator's last known months, one an indicator, combined.

    Answers: what do the months that are known already say of the quarter, without forecasting those that are not?

    Parameters
    ----------
    weights
        ``"almon"``: exponential, two parameters; ``"polynomial"``: of degree 2, falling to 0 behind the last lag;
        ``"unrestricted"``: free.
    lags
        Months; None: 12, and with free weights as many (at most 9) as Schwarz's criterion takes.
    series
        Monthly series to be used; default all.
    target_lags
        Past values of the target in each equation, the latest known first.
    combination
        ``"least-variance"`` or ``"inverse-mse"``; see `combine`.
    ridge
        Free weights only: penalty on squared coefficients, in units of the regressors' standard deviations.
    without
        Quarters from which nothing is learnt.

    Notes
    -----
    :math:`y_q = a + b\sum_{j<K} w_j x_{m(q)-d-j} + c\,y_{q-h} + e_q`, m(q) the quarter's last month, d the months
    between the last known one and the end of the quarter that is forecast: the equation is another one on another day.
    :math:`w_j(\theta)\propto\exp(\theta_1u_j+\theta_2u_j^2)`, :math:`u_j=j/(K-1)`, under the weak prior
    :math:`\theta\sim N(0,10^2)`, which decides where the data say nothing of the shape. A shape that has not converged
    is refused. What fails most often: lags that were useful by chance; the sum over equations evens that out.
    """

    weights: Literal["almon", "polynomial", "unrestricted"] = "almon"
    lags: int | None = None
    series: Sequence[str] | None = None
    target_lags: int = 1
    combination: Combination = "least-variance"
    ridge: float = 0.0
    without: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.weights not in _SOURCES:
            raise UsageError(f"weights={self.weights!r} is not known.", remedy=f"Use one of {', '.join(_SOURCES)}.")
        least = 1 if self.weights == "unrestricted" else 3
        if self.lags is not None and self.lags < least:
            raise UsageError(f"{self.weights} weights need {least} lags or more.", remedy="Use more months.")
        if self.target_lags < 0 or self.ridge < 0:
            raise UsageError("target_lags and ridge are not negative.", remedy="Use 0 or more.")
        if self.ridge and self.weights != "unrestricted":
            raise UsageError("a ridge is for free weights.", remedy="Use weights='unrestricted', or no ridge.")

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: object) -> Forecast:
        """Forecast the target in a quarter.

        Raises
        ------
        FitError
            No indicator can be used.
        """
        found = edge_of(monthly, quarterly, target, period, series=self.series, without=self.without)
        found = found.until()
        method, source = f"MIDAS ({self.weights})", _SOURCES[self.weights]
        if not np.isnan(found.y[found.at]):
            return known(target, found.period, method, float(found.y[found.at]), source)
        learnt = found.learnt()
        lagged = lags_of(learnt.y, found, self.target_lags)
        return together(
            method, source, found, lambda column: self._one(found, learnt, lagged, column), self.combination
        )

    def _one(self, found: Edge, learnt: Edge, lagged: Floats, column: int) -> Equation:
        name = found.monthly[column]
        count = self.lags or (_FREE if self.weights == "unrestricted" else _SHAPED)
        x = skipped(found.x[:, column], learnt.x[:, column], found.at, count)
        if self.weights == "almon":
            return shaped_equation(name, learnt.y, x, lagged, found.at)
        one = np.ones((len(x), 1))
        if self.weights == "polynomial":
            # (1 - j/K)^m: nothing is left at lag K.
            fall = (1.0 - np.arange(count) / count)[:, None] ** np.arange(1, _DEGREE + 1)
            fit = learn(learnt.y, np.hstack([one, x @ fall, lagged]), found.at)
            return fit.equation(name, count, tuple(fall @ fit.beta[1 : 1 + _DEGREE]))
        rows = usable(learnt.y, np.hstack([x, lagged]), found.at)
        fits = []
        for k in [count] if self.lags else range(1, count + 1):
            design = np.hstack([one, x[:, :k], lagged])
            try:
                fits.append((k, learn(learnt.y, design, found.at, ridge=self.ridge, used=rows)))
            except FitError:
                # More lags than quarters can bear: those before are the choice.
                if not fits:
                    raise
                break
        k, best = min(fits, key=lambda pair: pair[1].bic)
        return best.equation(name, k, tuple(best.beta[1 : 1 + k]))


def skipped(x: Floats, learnt: Floats, at: int, count: int) -> Floats:
    """Return quarters x lags: the last known months of the quarter `at`, and those as far from their quarter's end.

    Parameters
    ----------
    x, learnt
        The indicator by month up to the quarter's end; and what may be learnt from.
    at, count
        The quarter that is forecast, and how many months.
    """
    seen = np.flatnonzero(~np.isnan(x))
    if not len(seen):
        raise FitError("nothing of the series is known.", remedy="Leave it out.")
    end = 3 * at + 2
    behind = end - int(seen[-1])
    rows = 3 * np.arange(len(x) // 3)[:, None] + 2 - behind - np.arange(count)
    out = np.where(rows >= 0, learnt[np.maximum(rows, 0)], np.nan)
    out[at] = np.where(rows[at] >= 0, x[np.maximum(rows[at], 0)], np.nan)
    return np.asarray(out, dtype=np.float64)
