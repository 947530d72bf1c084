"""From a grid to fitted parameters, and a report on whether the fit held."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.begin import begin
from opsroom.measure.nowcast.dfm.drift import tame
from opsroom.measure.nowcast.dfm.grid import Grid
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters, Floats, Ints, Mask
from opsroom.measure.nowcast.dfm.robust import Robust, settle, squares_of, weight_density
from opsroom.measure.nowcast.dfm.search import SearchReport, learn
from opsroom.measure.nowcast.dfm.smooth import Cells, Weights, smooth
from opsroom.measure.nowcast.dfm.volatility import absorbed, learnt_steps, still

_LEAST_CELLS = 12
"""Observations that a series needs."""
_ROUNDS = 200
_WILD = 4.0
_ROUGH = 1e-5
_ROUGH_STEPS = 60
_INNER = 25
_SETTLE = 50
_SETTLE_FEW = 6
_SETTLED = 1e-10
_SIZES = 12
"""Rounds in which the size of volatility's steps may still change."""
_SAME_SIZE = 0.02


@dataclass(frozen=True, slots=True)
class FitReport:
    """How a fit went.

    Attributes
    ----------
    converged
        True in every fit that is returned; kept so that a report speaks for itself.
    steps, evaluations
        Steps of the search (both kinds), and evaluations of the likelihood.
    objective
        Log likelihood of the standardised data; with weights, plus the weights' log density.
    promised
        Rise that the next step promised, per observed cell.
    radius
        Spectral radius of the factors' autoregression.
    cells
        Observed cells.
    path
        The objective after each step or round; it never falls.
    """

    converged: bool
    steps: int
    evaluations: int
    objective: float
    promised: float
    radius: float
    cells: int
    path: tuple[float, ...]


class Table(Protocol):
    """Values by series, NaN where unknown."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> Floats: ...


def scales(grid: Table, robust: Robust | None) -> tuple[Floats, Floats]:
    """Return each series' center and scale: mean and standard deviation, of the tame values where `robust`.

    Raises
    ------
    FitError
        A series has too few values, or never changes.
    """
    values = grid.values
    few = [n for n, k in zip(grid.names, (~np.isnan(values)).sum(axis=0), strict=True) if k < _LEAST_CELLS]
    if few:
        raise FitError(
            f"the series {', '.join(few)} have fewer than {_LEAST_CELLS} values.",
            code="OPS-M112",
            remedy="Leave them out, or give a longer history.",
        )
    if robust is not None:
        values = tame(values)
    center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    flat = [n for n, c, s in zip(grid.names, center, scale, strict=True) if not s > 1e-10 * max(1.0, abs(c))]
    if flat:
        raise FitError(
            f"the series {', '.join(flat)} never change.",
            code="OPS-M109",
            remedy="Leave them out, or correct their transform.",
        )
    return center, scale


def estimate(
    grid: Grid,
    *,
    factor_names: tuple[str, ...],
    blocks: tuple[FactorBlock, ...],
    loads: Mask,
    own_order: int,
    robust: Robust | None,
    tol: float,
    max_iter: int,
    start: FactorParameters | None = None,
) -> tuple[FactorParameters, Weights, FitReport]:
    """Fit a factor model to a grid.

    Parameters
    ----------
    grid
        The panel.
    factor_names, blocks, loads, own_order, robust
        The model; see `FactorParameters` and `Robust`.
    tol, max_iter
        See `learn`.
    start
        Parameters to begin from, such as those of the vintage before; default from principal components.

    Raises
    ------
    FitError
        The fit did not converge, is not stationary, or is not finite.
    """
    center, scale = scales(grid, robust)
    values = (grid.values - center) / scale
    order = max(block.order for block in blocks)
    layout = lay_out(values, grid.monthly, len(factor_names), order, own_order=own_order)
    cells = Cells.of(layout)
    crisis = None if robust is None else robust.rows(grid, len(values))
    if start is None:
        # What is wild must not choose the factor: the search would end where the wildest series is the factor.
        early = values if robust is None else np.clip(values, -_WILD, _WILD)
        begun = [
            begin(
                early, names=grid.names, monthly=grid.monthly, factor_names=factor_names, blocks=blocks, loads=loads,
                center=center, scale=scale, own_order=own_order, persistent=persistent, skip=skip,
            )
            for persistent, skip in ((False, 0), (True, 0), (False, 1))
        ]  # fmt: skip
        p = _better(cells, begun, robust, crisis, tol=max(tol, _ROUGH))
    else:
        p = restarted(start.unit(), center, scale)
    if robust is None or crisis is None:
        p, report = learn(cells, p, tol=tol, max_iter=max_iter)
        refuse(report, p, tol)
        out = FitReport(
            report.converged, report.em_steps + report.search_steps, report.evaluations, report.loglike,
            report.promised, p.radius, layout.cells, report.path,
        )  # fmt: skip
        return p, cells.weights, out
    return _robust(cells, p, robust, crisis, tol=tol, max_iter=max_iter)


def _better(
    cells: Cells, begun: list[FactorParameters], robust: Robust | None, crisis: Ints | None, *, tol: float
) -> FactorParameters:
    """Search roughly from several beginnings, and keep the best: the likelihood may have more than one top."""
    found = []
    if robust is not None:
        robust = replace(robust, volatility=None)  # a first look has no use for what moves slowly
    for p in begun:
        here = cells
        if robust is not None and crisis is not None:
            here = settle(here, p, robust, crisis, rounds=_SETTLE_FEW, tol=tol)
            p, _ = learn(here, p, tol=tol, max_iter=_INNER)
            here = settle(here, p, robust, crisis, rounds=_SETTLE_FEW, tol=tol)
        q, report = learn(here, p, tol=tol, max_iter=_ROUGH_STEPS)
        value = report.loglike + (0.0 if robust is None or crisis is None else weight_density(here, robust, crisis))
        found.append((value, q))
    return max(found, key=lambda pair: pair[0])[1]


def _robust(
    cells: Cells, p: FactorParameters, robust: Robust, crisis: Ints, *, tol: float, max_iter: int
) -> tuple[FactorParameters, Weights, FitReport]:
    """Take turns between weights and parameters until a round of both gains nothing."""
    path: list[float] = []
    steps, evaluations, warm = 0, 0, _INNER
    gain = np.inf
    sizing = 0
    if robust.volatility is not None:
        cells = Cells.of(cells.layout, cells.weights.under(still(cells.layout, robust)))
        sizing = _SIZES if robust.volatility == "walk" else 0
    for _ in range(_ROUNDS):
        cells = settle(cells, p, robust, crisis, rounds=_SETTLE_FEW, tol=tol)
        cells, p = absorbed(cells, p)
        if sizing:
            sizing -= 1
            cells, same = _sized(cells, p, robust, crisis)
            sizing, path = (0 if same else sizing), []  # another size of steps is another objective
        p, report = learn(cells, p, tol=tol, max_iter=_INNER, warm=warm)
        warm = 1
        steps += report.em_steps + report.search_steps
        evaluations += report.evaluations + 1
        value = report.loglike + weight_density(cells, robust, crisis)
        gain = (value - path[-1]) / cells.layout.cells if path else np.inf
        path.append(value)
        if gain < tol or steps >= max_iter:
            break
    held = -1e-9 < gain < tol
    if not held:
        _not_converged(steps, gain, tol)
    if p.radius >= 1.0:
        raise _unstable(p.radius)
    cells = settle(cells, p, robust, crisis, rounds=_SETTLE, tol=_SETTLED, held=True)
    out = FitReport(held, steps, evaluations, path[-1], float(gain), p.radius, cells.layout.cells, tuple(path))
    return p, cells.weights, out


def _sized(cells: Cells, p: FactorParameters, robust: Robust, crisis: Ints) -> tuple[Cells, bool]:
    """Give volatility's steps their most likely size, and say whether that is what they had."""
    was = cells.weights.volatility
    assert was is not None
    found = smooth(cells, p)
    now = learnt_steps(cells, found.parameters, squares_of(cells, found), robust, crisis)
    before, after = (np.log([v.shock_step, v.common_step, v.step]) for v in (was, now))
    return Cells.of(cells.layout, replace(cells.weights, volatility=now)), bool(
        np.abs(after - before).max() < _SAME_SIZE
    )


def restarted(p: FactorParameters, center: Floats, scale: Floats) -> FactorParameters:
    """Return parameters in the units of another center and scale."""
    ratio = p.scale / scale
    return replace(p, loadings=p.loadings * ratio[:, None], variance=p.variance * ratio**2, center=center, scale=scale)


def refuse(report: SearchReport, p: FactorParameters, tol: float) -> None:
    """Raise a `FitError` where a search has not converged, or ended where nothing is stationary."""
    if not report.converged:
        _not_converged(report.em_steps + report.search_steps, report.promised, tol)
    if p.radius >= 1.0:
        raise _unstable(p.radius)


def _not_converged(steps: int, gain: float, tol: float) -> None:
    raise FitError(
        f"the factor model's fit did not converge in {steps} steps "
        f"({gain:.1e} per observation was still to be gained, {tol:.0e} is allowed).",
        code="OPS-M107",
        remedy="Use fewer factors, or allow more steps (max_iter).",
    )


def _unstable(radius: float) -> FitError:
    return FitError(
        f"the factors' autoregression is not stationary (spectral radius {radius:.3f}).",
        code="OPS-M108",
        remedy="Check for a series in levels that should be in changes.",
    )
