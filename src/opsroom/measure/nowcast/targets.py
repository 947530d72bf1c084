"""Targeted predictors: the few of many series that say something of the target, chosen anew on each vintage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.dfm.grid import gather
from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.dfm.results import NowcastResult
from opsroom.measure.nowcast.lars import lars_order

Method = Literal["hard", "soft"]
_LEAST = 20
"""Quarters that a choice needs."""
_KNOWN = 0.7
"""Share of the target's quarters in which a series must be known to be a candidate."""
_WEIGHTS = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0


def choose_series(
    monthly: pd.DataFrame,
    quarterly: pd.DataFrame,
    target: str,
    *,
    count: int,
    method: Method = "hard",
    lags: int = 4,
    ridge: float = 0.25,
) -> pd.DataFrame:
    """Rank series by what they say of a quarterly target beyond its own past.

    Answers: which of these many series are worth having in the model?

    Parameters
    ----------
    monthly, quarterly
        One vintage, transformed. Monthly series are made quarterly by the weights 1, 2, 3, 2, 1 with which monthly
        growth makes a quarter's.
    target
        A column of `quarterly`; its other columns are candidates, too.
    count
        How many to take.
    method
        ``"hard"``: by the size of each series' t statistic beside the target's own lags. ``"soft"``: in the order in
        which the elastic net takes them up, so that a series that repeats another comes late.
    lags
        The target's own lags, in quarters.
    ridge
        Weight of the squares in the elastic net (0.25 in Bai and Ng); 0 is the lasso.

    Returns
    -------
    pandas.DataFrame
        One row a candidate, best first: ``series, rank, score, chosen``. ``score`` is the absolute t statistic, or
        the penalty at which the series comes in, as a share of the largest.

    Raises
    ------
    UsageError
        No such target, a count below one, or a method that is not known.
    FitError
        Fewer than twenty quarters, or no candidate known in enough of them.

    References
    ----------
    Bai and Ng (2008), Forecasting economic time series using targeted predictors, Journal of Econometrics 146,
    304-317; Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression, Annals of Statistics 32, 407-499.
    """
    if target not in quarterly:
        raise UsageError(f"there is no quarterly series {target!r}.", remedy="Name a column of the quarterly table.")
    if count < 1:
        raise UsageError("a choice of no series is none.", remedy="Use count >= 1.")
    if method not in ("hard", "soft"):
        raise UsageError(f"method={method!r} is not known.", remedy="Use 'hard' or 'soft'.")
    names, x, y = _by_quarter(monthly, quarterly, target)
    own = np.column_stack([np.ones(len(y)), *(np.r_[np.full(k, np.nan), y[: len(y) - k]] for k in range(1, lags + 1))])
    rows = ~np.isnan(y) & ~np.isnan(own).any(axis=1)
    if rows.sum() < _LEAST:
        raise FitError(
            f"{int(rows.sum())} quarters of the target with {lags} lags are known; {_LEAST} are needed.",
            remedy="Give a longer history.",
            code="OPS-M155",
        )
    y, own, x = y[rows], own[rows], x[rows]
    known = ~np.isnan(x)
    moves = np.array([np.ptp(c[k]) > 0 if k.any() else False for c, k in zip(x.T, known.T, strict=True)], dtype=bool)
    able = np.flatnonzero((known.mean(axis=0) >= _KNOWN) & moves)
    if not len(able):
        raise FitError(
            "no series is known in enough of the target's quarters.", remedy="Add longer ones.", code="OPS-M156"
        )
    if method == "hard":
        score = np.array([abs(_t_statistic(y, own, x[:, k])) for k in able])
        order = np.argsort(-score, kind="stable")
    else:
        order, score = _soft(y, own, x[:, able], ridge)
    ranked = [names[k] for k in able[order]]
    table = pd.DataFrame({"series": ranked, "rank": np.arange(1, len(ranked) + 1), "score": score[order]})
    table["chosen"] = (table["rank"] <= count) & (table["score"] > 0.0)
    return table


def _by_quarter(monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str) -> tuple[list[str], Floats, Floats]:
    """Return the candidates' names, and quarters x candidates and the target, on the quarters of one grid."""
    grid = gather(monthly, quarterly)
    values = grid.values
    summed = np.full((len(values), grid.monthly), np.nan)
    if len(values) >= len(_WEIGHTS):
        windows = np.lib.stride_tricks.sliding_window_view(values[:, : grid.monthly], len(_WEIGHTS), axis=0)
        summed[len(_WEIGHTS) - 1 :] = windows @ _WEIGHTS
    last = np.arange(len(values))[(grid.first_month + np.arange(len(values))) % 3 == 2]
    at = grid.column(target)
    others = [k for k in range(grid.monthly, len(grid.names)) if k != at]
    table = np.column_stack([summed, values[:, others]])[last]
    names = [*grid.names[: grid.monthly], *(grid.names[k] for k in others)]
    return names, table, values[last, at]


def _t_statistic(y: Floats, own: Floats, x: Floats) -> float:
    """Return the t statistic of x in the regression of y on its own past and x, where x is known."""
    seen = ~np.isnan(x)
    design = np.column_stack([own[seen], x[seen]])
    free = int(seen.sum()) - design.shape[1]
    if free < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return 0.0
    beta, *_ = np.linalg.lstsq(design, y[seen], rcond=None)
    rest = y[seen] - design @ beta
    spread = np.linalg.inv(design.T @ design)[-1, -1] * float(rest @ rest) / free
    return float(beta[-1] / np.sqrt(spread)) if spread > 0 else np.inf


def _soft(y: Floats, own: Floats, x: Floats, ridge: float) -> tuple[Any, Floats]:
    """Return the order in which the elastic net takes the series up, and the penalty at which each comes in."""
    mean = np.nanmean(x, axis=0)
    # A hole says nothing: it is put at the mean. Then all is taken net of the target's own past.
    full = np.where(np.isnan(x), mean, x)
    basis, _ = np.linalg.qr(own)
    rest_y = y - basis @ (basis.T @ y)
    rest_x = full - basis @ (basis.T @ full)
    size = np.sqrt((rest_x**2).mean(axis=0))
    scaled = rest_x / np.where(size > 1e-12, size, np.inf)
    order, penalty = lars_order(scaled, rest_y, ridge=ridge)
    score = np.zeros(x.shape[1])
    if len(penalty):
        score[order] = penalty / penalty[0]
    left = np.setdiff1d(np.arange(x.shape[1]), order)
    return np.r_[order, left], score


@dataclass(frozen=True, slots=True)
class Targeted:
    """A factor model of the series that matter, chosen on each vintage by itself: a model for `backtest`.

    Attributes
    ----------
    model
        Fitted to the chosen series and the target.
    count, method, lags, ridge
        See `choose_series`.
    keep
        Series that are always in.
    """

    model: DynamicFactorModel
    count: int
    method: Method = "hard"
    lags: int = 4
    ridge: float = 0.25
    keep: tuple[str, ...] = ()
    # The fit of the last vintage: a backtest asks for several quarters of each.
    _last: dict[str, FittedFactorModel] = field(default_factory=dict, repr=False, compare=False)

    def chosen(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str) -> tuple[str, ...]:
        """Return the series that would be taken on a vintage, in the tables' order."""
        table = choose_series(
            monthly, quarterly, target, count=self.count, method=self.method, lags=self.lags, ridge=self.ridge
        )
        wanted = {*table.loc[table["chosen"], "series"], *self.keep}
        return tuple(str(name) for name in (*monthly, *quarterly) if name in wanted)

    def fit(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str) -> FittedFactorModel:
        """Choose series on a vintage, and fit the model to them."""
        names = set(self.chosen(monthly, quarterly, target))
        return self.model.fit(
            monthly[[name for name in monthly if name in names]],
            quarterly[[name for name in quarterly if name in names or name == target]],
        )

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: object) -> NowcastResult:
        """Nowcast a quarter from one vintage."""
        key = _fingerprint(monthly, quarterly, target)
        if key not in self._last:
            fitted = self.fit(monthly, quarterly, target)
            self._last.clear()
            self._last[key] = fitted
        return self._last[key].nowcast(target, period)


def targeted(
    model: DynamicFactorModel,
    *,
    count: int,
    method: Method = "hard",
    lags: int = 4,
    ridge: float = 0.25,
    keep: tuple[str, ...] = (),
) -> Targeted:
    """Return a model for `backtest` that chooses its series anew on each vintage, so that none is chosen by hindsight.

    Parameters
    ----------
    model
        What is fitted to the chosen series.
    count, method, lags, ridge
        See `choose_series`.
    keep
        Series that are always in.
    """
    return Targeted(model, count, method, lags, ridge, tuple(keep))


def _fingerprint(monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str) -> str:
    key = hashlib.sha256(target.encode())
    for table in (monthly, quarterly):
        key.update(str(list(table.columns)).encode())
        key.update(pd.util.hash_pandas_object(table, index=True).to_numpy().tobytes())
    return key.hexdigest()
