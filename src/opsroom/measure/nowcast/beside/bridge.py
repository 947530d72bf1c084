"""Bridge equations: each indicator carried to the quarter's end, added up to the quarter, and the target on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.beside.autoregression import carry
from opsroom.measure.nowcast.beside.edge import Edge, Floats, edge_of
from opsroom.measure.nowcast.beside.equation import Combination, Equation, combine, learn
from opsroom.measure.nowcast.beside.result import Forecast, Piece, known
from opsroom.measure.nowcast.panel import GROWTH, LEVEL

_SOURCE = "Bridge equations after Baffigi, Golinelli and Parigi (2004), International Journal of Forecasting 20:447-460"
_MOST = 6


@dataclass(frozen=True, slots=True)
class Bridge:
    r"""Bridge equations, one an indicator, combined by how their errors go together.

    Answers: what does each monthly indicator alone say of the quarter, and what do they say together?

    Parameters
    ----------
    series
        Monthly series to be used; default all.
    levels
        Those of them whose quarter is the mean of its months; for all others it is growth by the months' weights
        1/3, 2/3, 1, 2/3, 1/3.
    lags
        Order of the indicators' autoregressions; None: by Schwarz's criterion, at most 6.
    target_lags
        Past values of the target in each equation, the latest known first.
    combination
        ``"least-variance"`` or ``"inverse-mse"``; see `combine`.
    without
        Quarters from which nothing is learnt.

    Notes
    -----
    :math:`y_q = a + b\,x_q + c\,y_{q-h} + e_q`, h quarters back to the last figure known. The error's variance is in
    closed form: :math:`s_e^2(1+h'h)\nu/(\nu-2) + (b^2+\mathrm{var}\,b)\{\sigma_x^2\sum_m c_m^2 + g'Vg\}`, with the
    indicator's innovations to come (:math:`c_m` is how the quarter moves with month m's) and the estimated
    coefficients of its autoregression (gradient g, covariance V). Errors of several equations are as correlated as
    they would have been from the same distance; see `covariance`. What fails most often: an indicator that is
    forecast to return to its mean in a slump.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from opsroom.measure.nowcast import Bridge
    >>> rng = np.random.default_rng(0)
    >>> x = pd.DataFrame({"x": rng.normal(size=120)}, index=pd.period_range("2010-01", periods=120, freq="M"))
    >>> quarter = x["x"].rolling(5).apply(lambda v: v @ [1, 2, 3, 2, 1] / 9).to_numpy()[2::3]
    >>> gdp = pd.DataFrame({"gdp": 2 + quarter}, index=pd.period_range("2010Q1", periods=40, freq="Q"))
    >>> found = Bridge(target_lags=0)(x[:"2019-12"], gdp[:"2019Q3"], "gdp", "2019-Q4")
    >>> bool(abs(found.mean - gdp["gdp"].iloc[-1]) < 1e-8)
    True
    """

    series: Sequence[str] | None = None
    levels: Sequence[str] = ()
    lags: int | None = None
    target_lags: int = 1
    combination: Combination = "least-variance"
    without: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.target_lags < 0 or (self.lags is not None and self.lags < 1):
            raise UsageError("a bridge has a negative number of lags.", remedy="Use lags ≥ 1 and target_lags ≥ 0.")

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: object) -> Forecast:
        """Forecast the target in a quarter.

        Raises
        ------
        FitError
            No indicator can be used.
        """
        found = edge_of(monthly, quarterly, target, period, series=self.series, without=self.without)
        found = found.until()
        if not np.isnan(found.y[found.at]):
            return known(target, found.period, "Bridge equations", float(found.y[found.at]), _SOURCE)
        learnt = found.learnt()
        lagged = lags_of(learnt.y, found, self.target_lags)
        return together(
            "Bridge equations",
            _SOURCE,
            found,
            lambda column: self._one(found, learnt, lagged, column),
            self.combination,
        )

    def _one(self, found: Edge, learnt: Edge, lagged: Floats, column: int) -> Equation:
        name = found.monthly[column]
        shape = LEVEL if name in self.levels else GROWTH / GROWTH.sum()
        own = carry(found.x[:, column], learnt.x[:, column], self.lags, _MOST)
        past = np.where(found.at == np.arange(len(found.y)), by_quarter(own.values, shape), by_quarter(
            learnt.x[:, column], shape))  # fmt: skip
        out = learn(learnt.y, np.column_stack([np.ones(len(past)), past, lagged]), found.at)
        plain = out.equation(name, own.order)
        ahead = len(own.gradient)
        if not ahead:
            return plain
        weight = np.zeros(len(own.values))
        weight[-5:] = shape[::-1]
        weight = weight[-ahead:]
        # How the quarter moves with the innovation of each month to come.
        path = np.array([float(weight[k:] @ own.moving[: ahead - k]) for k in range(ahead)])
        gradient = weight @ own.gradient
        spread = own.sigma**2 * float(path @ path) + float(gradient @ own.covariance @ gradient)
        slope, slope_variance = float(out.beta[1]), plain.sigma**2 * float(out.inverse[1, 1])
        missed = slope * shifted(own.innovation, ahead, len(past)) @ path
        return replace(plain, inherited=(slope**2 + slope_variance) * spread, error=plain.residual + missed)


def shifted(innovation: Floats, ahead: int, quarters: int) -> Floats:
    """Return quarters x months: the innovations that stood where the `ahead` months to come stand in the last one."""
    rows = 3 * np.arange(1, quarters + 1)[:, None] - ahead + np.arange(ahead)
    return np.where(rows >= 0, innovation[np.maximum(rows, 0)], np.nan)


def by_quarter(x: Floats, shape: Floats) -> Floats:
    """Add months up to quarters by weights on a quarter's last month and the four before; NaN where one is unknown."""
    padded = np.r_[np.full(2, np.nan), x]
    kept = np.flatnonzero(shape)
    rows = 3 * np.arange(len(x) // 3)[:, None] + 4 - kept
    return np.asarray(padded[rows] @ shape[kept], dtype=np.float64)


def lags_of(y: Floats, found: Edge, count: int) -> Floats:
    """Return quarters x past values of the target, the first as far back as the last known one is from the nowcast.

    What is known when the quarter is forecast is not left out: only the quarters to learn from are.
    """
    out = np.full((len(y), count), np.nan)
    for k in range(count):
        back = found.ahead + k
        out[back:, k] = y[:-back]
        if found.at >= back:
            out[found.at, k] = found.y[found.at - back]
    return out


def together(method: str, source: str, found: Edge, one: Callable[[int], Equation], rule: Combination) -> Forecast:
    """Learn one equation an indicator, list those that are refused, and combine the others."""
    equations, refused = [], []
    for column, name in enumerate(found.monthly):
        try:
            equations.append(one(column))
        except FitError as error:
            refused.append((name, error.message))
    if not equations:
        raise FitError(
            f"{method.lower()}: no indicator can be used. {refused[0][0] + ': ' + refused[0][1] if refused else ''}",
            remedy="Use a longer history, or other series.",
        )
    whole = combine(equations, rule)
    pieces = tuple(
        Piece(e.series, e.mean, float(np.sqrt(e.variance)), float(w), e.months)
        for e, w in zip(equations, whole.weights, strict=True)
    )
    return Forecast(
        found.target, found.period, method, whole.mean, whole.sd, pieces=pieces, refused=tuple(refused), source=source
    )
