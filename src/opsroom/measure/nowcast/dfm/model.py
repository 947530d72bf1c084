"""`DynamicFactorModel`: specify, fit, ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.density import Curvature, curvature, in_shock, parameter_variance, spread, width_doubt
from opsroom.measure.nowcast.dfm.drift import levels as moving_means
from opsroom.measure.nowcast.dfm.drift import placed
from opsroom.measure.nowcast.dfm.estimate import FitReport, estimate
from opsroom.measure.nowcast.dfm.grid import Grid, gather
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.look import Look, cell, data_weights, look
from opsroom.measure.nowcast.dfm.news import NewsResult, explain
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.peer import parameters_of
from opsroom.measure.nowcast.dfm.results import CITATION, NowcastResult, quantiles
from opsroom.measure.nowcast.dfm.robust import Robust, carried
from opsroom.measure.nowcast.dfm.smooth import Cells, Weights, smooth, standardise
from opsroom.measure.nowcast.dfm.tails import Part, wobble_of
from opsroom.measure.nowcast.dfm.tops import settle_highest
from opsroom.measure.nowcast.dfm.twin import dense_loglike
from opsroom.measure.nowcast.fine.estimate import estimate as estimate_fine
from opsroom.measure.nowcast.fine.grid import gather as gather_fine
from opsroom.measure.nowcast.fine.model import FittedFineModel

_SETTLE = 50
_MOST_LAGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicFactorModel:
    """A mixed-frequency dynamic factor model, to be fitted to transformed data.

    Answers: what few common movements stand behind many monthly and quarterly series, some of them not out yet?

    Attributes
    ----------
    factors
        Number of factors; with `blocks`, of each block (or block → number).
    factor_order
        Lags of the factors' vector autoregression, in months (or block → lags).
    idiosyncratic
        ``"ar1"``: each series' own error remembers the month before; ``"iid"``: it does not; ``"ar2"``, ``"ar3"`` … or
        a number: it remembers so many months.
    blocks
        Series → the blocks that it belongs to; each block has factors, and an autoregression, of its own. Absent:
        one block of all series.
    robust
        None for Gaussian errors; ``"student"`` or a `Robust` for errors with heavy tails and named crises.

    Notes
    -----
    For month t, factors f, monthly series i and quarterly series q, all standardised::

        f_t  = A_1 f_{t-1} + … + A_p f_{t-p} + u_t
        x_it = l_i' f_t + e_it                                      e_it = r_i e_{i,t-1} + … + v_it
        y_qt = g_t + 2 g_{t-1} + 3 g_{t-2} + 2 g_{t-3} + g_{t-4}      g_t = l_q' f_t + e_qt

    with stationary starts. The assumption that fails most often: that the relation between the series in an
    extraordinary quarter is the ordinary one.

    References
    ----------
    Bańbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160; Mariano and Murasawa (2003), 18, 427-443;
    Jungbacker and Koopman (2015), Econometrics Journal 18, C1-C21.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from opsroom.measure.nowcast import DynamicFactorModel
    >>> rng = np.random.default_rng(1)
    >>> f = np.convolve(rng.normal(size=164), 0.7 ** np.arange(20), mode="valid")
    >>> months = pd.period_range("2010-01", periods=len(f), freq="M")
    >>> x = pd.DataFrame({f"x{i}": f + rng.normal(size=len(f)) for i in range(6)}, index=months)
    >>> fitted = DynamicFactorModel().fit(x)
    >>> fitted.report.converged
    True
    """

    factors: int | Mapping[str, int] = 1
    factor_order: int | Mapping[str, int] = 1
    idiosyncratic: str | int = "ar1"
    blocks: Mapping[str, Sequence[str]] | None = None
    robust: Literal["student"] | Robust | None = None

    def __post_init__(self) -> None:
        _ = self.own_order  # refuses what it does not know
        if not (self.robust is None or self.robust == "student" or isinstance(self.robust, Robust)):
            raise UsageError(f"robust={self.robust!r} is not known.", remedy="Use None, 'student' or Robust(…).")
        for name, given in (("factors", self.factors), ("factor_order", self.factor_order)):
            numbers = list(given.values()) if isinstance(given, Mapping) else [given]
            if not all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers):
                raise UsageError(f"{name} is not a whole number.", remedy="Use 1, 2 …")
            if isinstance(given, Mapping) and self.blocks is None:
                raise UsageError(f"{name} by block needs blocks.", remedy="Give blocks, or one number.")
            if min(numbers, default=0) < 1:
                raise UsageError(f"{name} must be 1 or more.", remedy="Use at least one.")
        if any(isinstance(names, str) for names in (self.blocks or {}).values()):
            raise UsageError("a series' blocks are one text, no list.", remedy='Write {"series": ["Global"]}.')

    @property
    def own_order(self) -> int:
        """Months that the series' own errors remember."""
        given = self.idiosyncratic
        known = {"iid": 0} | {f"ar{k}": k for k in range(1, _MOST_LAGS + 1)}
        if isinstance(given, str) and given in known:
            return known[given]
        if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _MOST_LAGS:
            return given
        raise UsageError(
            f"idiosyncratic={given!r} is not known.",
            remedy=f"Use 'iid', 'ar1', 'ar2' … 'ar{_MOST_LAGS}', or the number of months.",
        )

    @overload
    def fit(
        self, monthly: pd.DataFrame, quarterly: pd.DataFrame | None = None, *, weekly: None = None, daily: None = None,
        levels: Sequence[str] = (), tol: float = 1e-6, max_iter: int = 500, start: FactorParameters | None = None,
    ) -> FittedFactorModel: ...  # fmt: skip

    @overload
    def fit(
        self, monthly: pd.DataFrame | None, quarterly: pd.DataFrame | None = None, *, weekly: pd.DataFrame,
        daily: pd.DataFrame | None = None, levels: Sequence[str] = (), tol: float = 1e-6, max_iter: int = 500,
        start: FactorParameters | None = None,
    ) -> FittedFineModel: ...  # fmt: skip

    @overload
    def fit(
        self, monthly: pd.DataFrame | None, quarterly: pd.DataFrame | None = None, *, weekly: None = None,
        daily: pd.DataFrame, levels: Sequence[str] = (), tol: float = 1e-6, max_iter: int = 500,
        start: FactorParameters | None = None,
    ) -> FittedFineModel: ...  # fmt: skip

    def fit(
        self,
        monthly: pd.DataFrame | None,
        quarterly: pd.DataFrame | None = None,
        *,
        weekly: pd.DataFrame | None = None,
        daily: pd.DataFrame | None = None,
        levels: Sequence[str] = (),
        tol: float = 1e-6,
        max_iter: int = 500,
        start: FactorParameters | None = None,
    ) -> FittedFactorModel | FittedFineModel:
        """Fit the model.

        Parameters
        ----------
        monthly, quarterly
            One column a series, one row a month or calendar quarter, transformed to be nearly stationary; NaN where
            unknown, anywhere.
        weekly, daily
            The same by week (Monday to Sunday) or day. If either is given, the factors live on weeks (days, where
            `daily` is), and `factor_order` counts those; a running month or quarter counts through its known weeks.
        levels
            With weekly or daily data: the series that are levels, so that a period is the mean of its weeks or days,
            such as a rate or a balance of opinion. All others are growth of a period's mean over the period before.
        tol
            Converged when the next step promises less than this of log likelihood per observed cell.
        max_iter
            Steps after which a fit is refused.
        start
            Parameters to begin from, such as those of the vintage before.

        Returns
        -------
        FittedFactorModel, or FittedFineModel with weekly or daily data
            Only ever a converged one.

        Raises
        ------
        FitError
            No convergence, an autoregression that is not stationary, numbers that are not finite, series without
            movement: refused, with what to do.
        """
        if any(table is not None and len(table.columns) for table in (weekly, daily)):
            tables = {"M": monthly, "Q": quarterly, "W": weekly, "D": daily}
            return self._fit_fine(tables, levels, tol=tol, max_iter=max_iter, start=start)
        if monthly is None or levels:
            raise UsageError(
                "without weekly or daily data the model needs monthly data, and has no levels.",
                remedy="Give `monthly`, and `levels` only with `weekly` or `daily`.",
            )
        grid = gather(monthly, quarterly)
        factor_names, blocks, loads = self._structure(grid.names)
        robust = Robust() if self.robust == "student" else self.robust
        level = None if robust is None or robust.drift is None else moving_means(grid, robust.drift)
        flat = grid if level is None else replace(grid, values=grid.values - level)
        parameters, weights, report = estimate(
            flat, factor_names=factor_names, blocks=blocks, loads=loads, own_order=self.own_order,
            robust=robust, tol=tol, max_iter=max_iter, start=start,
        )  # fmt: skip
        return FittedFactorModel(
            parameters, grid, None if robust is None else weights, robust, report, self._named(), level
        )

    def _fit_fine(
        self, tables: dict[str, pd.DataFrame | None], levels: Sequence[str], *, tol: float, max_iter: int,
        start: FactorParameters | None,
    ) -> FittedFineModel:  # fmt: skip
        if self.own_order > 1:
            raise UsageError(
                "own errors of order two and more are for monthly and quarterly data alone.",
                remedy="Use idiosyncratic='ar1' or 'iid', or leave out weekly and daily data.",
            )
        robust = Robust() if self.robust == "student" else self.robust
        grid = gather_fine(tables, levels=levels)
        factor_names, blocks, loads = self._structure(grid.names)
        parameters, weights, report = estimate_fine(
            grid, factor_names=factor_names, blocks=blocks, loads=loads, ar1=self.own_order == 1,
            robust=robust, tol=tol, max_iter=max_iter, start=start,
        )  # fmt: skip
        return FittedFineModel(parameters, grid, weights, robust, report, self._named())

    def _structure(self, series: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[FactorBlock, ...], Mask]:
        if self.blocks is None:
            assert isinstance(self.factors, int)
            assert isinstance(self.factor_order, int)
            names = tuple(f"factor{k + 1}" for k in range(self.factors))
            block = FactorBlock(tuple(range(self.factors)), self.factor_order)
            return names, (block,), np.ones((len(series), self.factors), dtype=bool)
        absent = [name for name in series if not self.blocks.get(name)]
        if absent:
            raise UsageError(
                f"the series {', '.join(absent)} belong to no block.", remedy="Name a block for every series."
            )
        order: dict[str, None] = {}
        for name in series:
            order |= dict.fromkeys(self.blocks[name])
        # The block with the most series first: its factor is looked for in all that is there.
        by_size = sorted(order, key=lambda b: -sum(b in self.blocks[n] for n in series))  # type: ignore[index]  # blocks are given here
        names_out: list[str] = []
        blocks, columns = [], []
        for block_name in by_size:
            count = self.factors if isinstance(self.factors, int) else self.factors.get(block_name, 1)
            lags = self.factor_order if isinstance(self.factor_order, int) else self.factor_order.get(block_name, 1)
            blocks.append(FactorBlock(tuple(range(len(names_out), len(names_out) + count)), lags))
            names_out += [block_name] if count == 1 else [f"{block_name}{k + 1}" for k in range(count)]
            member = np.array([block_name in self.blocks[name] for name in series])
            columns += [member] * count
        return tuple(names_out), tuple(blocks), np.column_stack(columns)

    def _named(self) -> dict[str, str]:
        """Return series → the block under which its news are counted: its most particular one."""
        if self.blocks is None:
            return {}
        size: dict[str, int] = {}
        for names in self.blocks.values():
            for name in names:
                size[name] = size.get(name, 0) + 1
        return {series: min(names, key=lambda b: size[b]) for series, names in self.blocks.items() if names}


@dataclass(frozen=True, slots=True)
class FittedFactorModel:
    """A factor model with parameters, on its data.

    Attributes
    ----------
    parameters
        See `FactorParameters`.
    grid
        The data.
    weights, robust
        What the errors weigh, and how they were weighed; None in a Gaussian model.
    report
        How the fit went; None where the parameters were given.
    block_of
        Series → block under which its news are counted.
    level
        Months x series of `grid`: the slowly moving mean that is taken out first; None where there is none. The
        parameters' centers are of what is left.
    """

    parameters: FactorParameters
    grid: Grid
    weights: Weights | None
    robust: Robust | None
    report: FitReport | None
    block_of: Mapping[str, str]
    level: Floats | None = None
    _views: dict[int, Look] = field(init=False, repr=False, compare=False, default_factory=dict)
    _curvatures: dict[tuple[int, int], Curvature] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def loglike(self) -> float:
        """Log likelihood of the standardised data, given the weights where the model is robust."""
        return look(self._flat(self.grid), self.parameters, self.weights).found.loglike

    def factors(self) -> pd.DataFrame:
        """Return the factors given all data, one row a month."""
        view = look(self._flat(self.grid), self.parameters, self.weights)
        mean = view.found.factor_means[view.cells.layout.lead :] @ self.parameters.innovation.T
        return pd.DataFrame(mean, index=self.grid.months, columns=list(self.parameters.factor_names))

    def volatility(self) -> pd.DataFrame:
        """Return by how much innovations are wider than in an average month: the factors' and each series' own.

        Standard deviations over their average, one row a month; empty where the model has no volatility that moves.
        """
        moving = None if self.weights is None else self.weights.volatility
        if moving is None:
            return pd.DataFrame(index=self.grid.months)
        lead = len(moving.shocks) - len(self.grid.values)
        both = np.column_stack([moving.shocks, moving.series])[lead:]
        return pd.DataFrame(np.exp(0.5 * both), index=self.grid.months, columns=["factors", *self.grid.names])

    def nowcast(
        self, target: str, period: object, *, history: pd.DataFrame | None = None, parameter_uncertainty: bool = True,
        beyond: float = 0.0,
    ) -> NowcastResult:  # fmt: skip
        """Nowcast one series in one period; a known value is itself.

        Parameters
        ----------
        target
            Any series of the model.
        period
            Month or quarter, within the panel or after it: ``"2016-Q3"``, ``"2016-07"`` or a period.
        history
            Past real-time nowcasts whose outcomes are known by now (``error``, ``sd``, ``shock``): the quantiles are
            drawn towards them.
        parameter_uncertainty
            Add the uncertainty of estimated parameters.
        beyond
            Standard deviation, in the target's units, of a further normal error that the model does not know of, such
            as what other models disagree on with it in a shock.

        Raises
        ------
        UsageError
            No such series, or no such period.
        """
        column, row = self.grid.column(target), self.grid.row(target, period)
        view = self._view(row)
        found = cell(view, row, column)
        variance, doubt = found.variance, 0.0
        parts: list[Part] = []
        if self.robust is not None and variance > 0:
            variance, doubt, parts = spread(view, self.robust, row, column)
        scale = float(self.parameters.scale[column])
        own = 0.0
        if parameter_uncertainty and variance > 0:
            curved = self._curved(view, column)
            own = parameter_variance(view, row, column, curved)
            if self.robust is not None and self.robust.volatility is not None:
                # A variance whose logarithm is normal has a mean above that of its middle, and tails.
                loose = width_doubt(view, row, column, curved)
                own += variance * float(np.expm1(0.5 * loose))
                doubt += variance**2 * float(np.expm1(loose))
        mean = float(self.parameters.center[column]) + scale * found.mean
        if self.level is not None:
            mean += float(placed(self.level, self.grid, view.grid)[row, column])
        total = variance + own + (beyond / scale) ** 2
        sd = scale * float(np.sqrt(total))
        shock = in_shock(view, row)
        moving = np.log1p(doubt / total**2) if doubt > 0 else 0.0
        wobble = float(np.sqrt(moving + wobble_of(parts, total) ** 2))
        levels, basis, past = quantiles(mean, sd, shock=shock, history=history, wobble=wobble)
        return NowcastResult(
            target, self.grid.label(row, column), mean, sd, levels, scale * float(np.sqrt(variance)),
            scale * float(np.sqrt(own)), basis, past, shock, wobble,
        )  # fmt: skip

    def contributions(self, target: str, period: object) -> tuple[float, dict[str, float]]:
        """Return what a nowcast would be without any news, and what each series adds to that.

        Returns
        -------
        tuple
            The mean of the target, and series → contribution in the target's units: together they are the nowcast.
        """
        column, row = self.grid.column(target), self.grid.row(target, period)
        view = self._view(row)
        p, values = self.parameters, view.cells.layout.values
        weight = data_weights(view, cell(view, row, column, variance=False), column)
        each = float(p.scale[column]) * (weight * np.nan_to_num(values)).sum(axis=0)
        normal = float(p.center[column])
        if self.level is not None:
            normal += float(placed(self.level, self.grid, view.grid)[row, column])
        return normal, {name: float(value) for name, value in zip(self.grid.names, each, strict=True)}

    def at_stake(self, target: str, period: object, series: str, due: object) -> float:
        """Return how far a figure that is due could move a nowcast: the standard deviation of the move.

        Parameters
        ----------
        target, period
            What is nowcast.
        series, due
            The figure: series, and its month or quarter.

        Returns
        -------
        float
            In the target's units: the move if the figure comes out one standard deviation above what is expected of
            it. 0 where it is known already.
        """
        column, row = self.grid.column(target), self.grid.row(target, period)
        at = self.grid.row(series, due), self.grid.column(series)
        view = self._view(max(row, at[0]))
        if not np.isnan(view.cells.layout.values[at]):
            return 0.0
        p, expected = self.parameters, cell(view, *at)
        told = view.grid.values.copy()
        told[at] = p.center[at[1]] + p.scale[at[1]] * (expected.mean + float(np.sqrt(expected.variance)))
        then = look(replace(view.grid, values=told), p, view.cells.weights)
        moved = cell(then, row, column, variance=False).mean - cell(view, row, column, variance=False).mean
        return abs(float(p.scale[column]) * moved)

    def news(
        self,
        updated_monthly: pd.DataFrame,
        updated_quarterly: pd.DataFrame | None,
        target: str,
        period: object,
        *,
        refit: FittedFactorModel | None = None,
    ) -> NewsResult:
        """Explain how a later vintage moves a nowcast.

        Parameters
        ----------
        updated_monthly, updated_quarterly
            The later vintage.
        target, period
            What is nowcast.
        refit
            The model fitted to the later vintage; its nowcast is then where the news lead to, and what learning the
            parameters again has added is a piece of its own. Where its parameters are these, there is none.
        """
        new = gather(updated_monthly, updated_quarterly, names=self.grid.names)
        new = replace(new, monthly=self.grid.monthly)
        after, weights = None, None
        kept = refit is not None and refit.parameters.equals(self.parameters)
        if refit is not None and kept:
            new, weights = refit.grid, refit.weights
        elif self.robust is not None:
            weights = self.updated(new).weights
        if refit is not None and not kept:
            after = refit.nowcast(target, period, parameter_uncertainty=False).mean
        return explain(
            self.parameters, self.grid, new, target, period, weights_old=self.weights, weights_new=weights,
            after=after, blocks=self.block_of, level=self.level,
        )  # fmt: skip

    def updated(self, grid: Grid) -> FittedFactorModel:
        """Return the same parameters on other data; the weights of a robust model are found for them."""
        weights = self.weights
        same = grid.first_month == self.grid.first_month and np.array_equal(
            grid.values, self.grid.values, equal_nan=True
        )
        if self.robust is not None and self.weights is not None and not same:
            p = self.parameters
            layout = lay_out(
                standardise(self._flat(grid).values, p), p.monthly, p.factors, p.order, own_order=p.own_order
            )
            begun = Cells.of(layout, carried(self.weights, self.grid, grid, layout.lead))
            crisis = self.robust.rows(grid, len(grid.values))
            weights = settle_highest(begun, p, self.robust, crisis, rounds=_SETTLE, tol=1e-10, held=True).weights
        level = None if self.level is None else placed(self.level, self.grid, grid)
        return replace(self, grid=grid, weights=weights, report=None, level=level)

    def _view(self, row: int) -> Look:
        """Return the panel up to a row at least, smoothed; made once, as several questions are asked of it."""
        grid = self.grid.through(row)
        found = self._views.get(len(grid.values))
        if found is None:
            lead = 4 if len(grid.names) > grid.monthly else 0
            weights = None if self.weights is None else carried(self.weights, self.grid, grid, lead)
            found = look(self._flat(grid), self.parameters, weights, moments=True)
            self._views[len(grid.values)] = found
        return found

    def _curved(self, view: Look, column: int) -> Curvature:
        at = len(view.grid.values), column
        if at not in self._curvatures:
            self._curvatures[at] = curvature(view, column)
        return self._curvatures[at]

    def _flat(self, grid: Grid) -> Grid:
        """Return a grid without its slowly moving mean."""
        if self.level is None:
            return grid
        return replace(grid, values=grid.values - placed(self.level, self.grid, grid))

    def to_frame(self) -> pd.DataFrame:
        """Return the parameters by series."""
        return self.parameters.to_frame()

    def summary(self) -> str:
        """Return what was fitted and how it went."""
        p = self.parameters
        lines = [
            f"Dynamic factor model: {p.monthly} monthly and {len(p.names) - p.monthly} quarterly series, "
            f"{p.factors} factor(s) of order {p.order}, own errors {f'AR({p.own_order})' if p.ar1 else 'independent'}"
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


def loglike(
    parameters: FactorParameters,
    monthly: pd.DataFrame,
    quarterly: pd.DataFrame | None = None,
    *,
    compiled: bool = True,
) -> float:
    """Return the log likelihood of data under given parameters and Gaussian errors.

    Parameters
    ----------
    parameters
        Such as `FittedFactorModel.parameters`.
    monthly, quarterly
        The data, in their own units; the likelihood is that of the standardised ones, as statsmodels gives it.
    compiled
        False: by the plain definition in NumPy, with every cell's covariance with every other written down. Slow, and
        without anything in common with the compiled way but the model.
    """
    grid = gather(monthly, quarterly, names=parameters.names)
    values = standardise(grid.values, parameters)
    if not compiled:
        return dense_loglike(parameters, values)
    layout = lay_out(values, parameters.monthly, parameters.factors, parameters.order, own_order=parameters.own_order)
    return smooth(Cells.of(layout), parameters, moments=False).loglike


def from_statsmodels(results: Any) -> FittedFactorModel:  # statsmodels has no types
    """Build the same model, on the same data, from results of statsmodels' `DynamicFactorMQ`.

    The start is stationary. Results of ``fit`` carry a start of their own, learnt with the parameters
    (``em_initialization=True``): compare with ``results.model.smooth(results.params)``.

    Parameters
    ----------
    results
        Fitted, or from ``model.smooth(params)``.

    Raises
    ------
    UsageError
        A model without dates, or with noise added to every observation.
    """
    model = results.model
    p = parameters_of(model, results.params)
    index = model._index
    if isinstance(index, pd.DatetimeIndex):
        index = index.to_period("M")
    if not isinstance(index, pd.PeriodIndex):
        raise UsageError("the model's data have no dates.", remedy="Give it a monthly PeriodIndex.")
    values = np.asarray(model.endog, dtype=np.float64) * p.scale + p.center
    grid = Grid(12 * index[0].year + index[0].month - 1, p.names, p.monthly, values)
    return FittedFactorModel(p, grid, None, None, None, {})
