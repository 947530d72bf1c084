"""`FittedFineModel`: a factor model on weeks or days, fitted, to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.measure.nowcast.dfm.density import SHOCK, Curvature, mean_variance
from opsroom.measure.nowcast.dfm.estimate import FitReport
from opsroom.measure.nowcast.dfm.news import NewsResult
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats
from opsroom.measure.nowcast.dfm.results import CITATION, NowcastResult, quantiles
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.dfm.smooth import standardise
from opsroom.measure.nowcast.fine.calendar import NAMES
from opsroom.measure.nowcast.fine.estimate import SETTLE, SETTLED
from opsroom.measure.nowcast.fine.grid import ORDER, FineGrid, gather
from opsroom.measure.nowcast.fine.look import FineLook, cell, look
from opsroom.measure.nowcast.fine.news import explain
from opsroom.measure.nowcast.fine.pattern import FineWeights, lay_out
from opsroom.measure.nowcast.fine.robust import crisis_rows, settle, shock_squares
from opsroom.measure.nowcast.fine.smooth import FineSmoothed, smooth
from opsroom.measure.nowcast.fine.step import FinePanel

_HALF_YEAR = {"D": 183, "W": 26, "M": 6}
_LAGS = {"D": 122, "W": 17, "M": 4, "Q": 4}
"""Lags in the variance of a series' mean: four months, or four quarters."""


@dataclass(frozen=True, slots=True)
class FittedFineModel:
    """A factor model with parameters, on data some of which are weekly or daily.

    Attributes
    ----------
    parameters
        See `FineParameters`.
    grid
        The data.
    weights, robust
        What the errors weigh, and how they were weighed; None in a Gaussian model.
    report
        How the fit went; None where the parameters were given.
    block_of
        Series → block under which its news are counted.
    """

    parameters: FactorParameters
    grid: FineGrid
    weights: FineWeights | None
    robust: Robust | None
    report: FitReport | None
    block_of: Mapping[str, str]

    @property
    def loglike(self) -> float:
        """Log likelihood of the standardised data, given the weights where the model is robust."""
        return look(self.grid, self.parameters, self.weights).found.loglike

    def factors(self) -> pd.DataFrame:
        """Return the factors given all data, one row a week or day."""
        mean = look(self.grid, self.parameters, self.weights).found.factor_means @ self.parameters.innovation.T
        return pd.DataFrame(mean, index=self.grid.periods, columns=list(self.parameters.factor_names))

    def nowcast(
        self, target: str, period: object, *, history: pd.DataFrame | None = None, parameter_uncertainty: bool = True
    ) -> NowcastResult:
        """Nowcast one series in one period; a known value is itself.

        Parameters
        ----------
        target
            Any series of the model.
        period
            Of the series' own frequency, within the panel or after it: ``"2016-Q3"``, ``"2016-07"``, ``"2016-W30"``,
            ``"2016-07-25"`` or a period.
        history
            Past real-time nowcasts whose outcomes are known by now (``error``, ``sd``, ``shock``): the quantiles are
            drawn towards them.
        parameter_uncertainty
            Add the uncertainty of estimated parameters.

        Raises
        ------
        UsageError
            No such series, or no such period.
        """
        column, row = self.grid.column(target), self.grid.row(target, period)
        grid = self.grid.through(row)
        weights = None if self.weights is None else self.weights.on(self.grid, grid)
        view = look(grid, self.parameters, weights, moments=True)
        found = cell(view, row, column)
        spread = found.variance
        if self.robust is not None and weights is not None and spread > 0:
            # What is not known yet has the variance of its heavy tails: tail / (tail - 2).
            calm = weights.calm.copy()
            calm[view.pattern.newest() + 1 :] = (self.robust.shock_tail - 2.0) / self.robust.shock_tail
            thin = look(grid, self.parameters, replace(weights, calm=calm))
            spread = cell(thin, row, column, light=self.robust.tail / (self.robust.tail - 2.0)).variance
        scale = float(self.parameters.scale[column])
        own = _parameter_variance(view, row, column) if parameter_uncertainty and spread > 0 else 0.0
        mean = float(self.parameters.center[column]) + scale * found.mean
        sd = scale * float(np.sqrt(spread + own))
        shock = _in_shock(view.found, row, _HALF_YEAR[self.grid.base])
        levels, basis, past = quantiles(mean, sd, shock=shock, history=history)
        return NowcastResult(
            target, view.grid.label(row, column), mean, sd, levels, scale * float(np.sqrt(spread)),
            scale * float(np.sqrt(own)), basis, past, shock,
        )  # fmt: skip

    def news(
        self,
        updated_monthly: pd.DataFrame | None,
        updated_quarterly: pd.DataFrame | None,
        target: str,
        period: object,
        *,
        weekly: pd.DataFrame | None = None,
        daily: pd.DataFrame | None = None,
        refit: FittedFineModel | None = None,
    ) -> NewsResult:
        """Explain how a later vintage moves a nowcast.

        Parameters
        ----------
        updated_monthly, updated_quarterly, weekly, daily
            The later vintage; a table left out is one of which nothing is known any more.
        target, period
            What is nowcast.
        refit
            The model fitted to the later vintage; its nowcast is then where the news lead to, and what learning the
            parameters again has added is a piece of its own.
        """
        tables = {"M": updated_monthly, "Q": updated_quarterly, "W": weekly, "D": daily}
        new = gather(tables, like=self.grid)
        after = None if refit is None else refit.nowcast(target, period, parameter_uncertainty=False).mean
        return explain(
            self.parameters, self.grid, new, target, period, weights_old=self.weights,
            weights_new=None if self.weights is None else self.updated(new).weights, after=after, blocks=self.block_of,
        )  # fmt: skip

    def updated(self, grid: FineGrid) -> FittedFineModel:
        """Return the same parameters on other data; the weights of a robust model are found for them."""
        weights, p = self.weights, self.parameters
        same = grid.first == self.grid.first and np.array_equal(grid.values, self.grid.values, equal_nan=True)
        if self.robust is not None and weights is not None and not same:
            pattern = lay_out(grid, standardise(grid.values, p), p.factors, p.order, chained=p.ar1)
            weights = settle(
                pattern, weights.on(self.grid, grid), p, self.robust, grid, crisis_rows(self.robust, grid),
                rounds=SETTLE, tol=SETTLED,
            )  # fmt: skip
        return replace(self, grid=grid, weights=weights, report=None)

    def to_frame(self) -> pd.DataFrame:
        """Return the parameters by series."""
        return self.parameters.to_frame()

    def summary(self) -> str:
        """Return what was fitted and how it went."""
        p = self.parameters
        counts = [f"{self.grid.frequencies.count(f)} {NAMES[f]}" for f in ORDER if f in self.grid.frequencies]
        lines = [
            f"Dynamic factor model on {'weeks' if self.grid.base == 'W' else 'days'}: {', '.join(counts)} series, "
            f"{p.factors} factor(s) of order {p.order}, own errors {'AR(1)' if p.ar1 else 'independent'}"
        ]
        if self.report is not None:
            r = self.report
            lines.append(
                f"  converged in {r.steps} steps; objective {r.objective:.2f}, {r.cells} cells, "
                f"spectral radius {r.radius:.3f}"
            )
        return "\n".join(lines)

    def cite(self) -> str:
        """Return sources and version."""
        return CITATION


def _parameter_variance(view: FineLook, row: int, column: int) -> float:
    """Return the variance of a cell's mean that comes from estimated parameters; see `dfm.density`."""
    panel = FinePanel(view.pattern)

    def gradient_at(q: FactorParameters) -> tuple[Floats, Floats]:
        point = panel.point(panel.smooth(q), q)
        return point.theta, point.gradient

    def mean(q: FactorParameters) -> float:
        there = FineLook(view.grid, view.pattern, smooth(view.pattern, q, moments=False))
        return cell(there, row, column, variance=False).mean

    lags = _LAGS[view.grid.frequencies[column]]
    found = Curvature.of(view.parameters, column, gradient_at).variance(mean)
    return found + mean_variance(view.pattern.values[:, column], lags=lags)


def _in_shock(found: FineSmoothed, row: int, window: int) -> bool:
    """Whether the factors were shocked in the target's period or shortly before, up to the newest data."""
    end = min(row, found.pattern.newest())
    squares = shock_squares(found)[max(0, end - window + 1) : end + 1]
    return bool(np.nanmax(squares, initial=0.0) > SHOCK * found.parameters.factors)
