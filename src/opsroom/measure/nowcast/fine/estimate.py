"""From tables on a fine grid to fitted parameters: where the search begins, and whether the fit held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from opsroom.measure.nowcast.dfm.begin import LONGEST, components, fill, first_autoregression
from opsroom.measure.nowcast.dfm.estimate import FitReport, refuse, restarted, scales
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.dfm.search import SearchReport, climb
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import FineWeights, Pattern, lay_out
from opsroom.measure.nowcast.fine.robust import crisis_rows, reweigh, settle, weight_density
from opsroom.measure.nowcast.fine.smooth import smooth
from opsroom.measure.nowcast.fine.step import FinePanel

_ROUGH = 1e-5
_ROUGH_STEPS = 40
_ROUNDS = 200
_INNER = 25
_SETTLE_FEW = 6
SETTLE = 50
SETTLED = 1e-10
"""Rounds and tolerance with which weights are found at parameters that stand."""
_PER_MONTH = {"D": 30.4, "W": 4.35, "M": 1.0}


def estimate(
    grid: FineGrid,
    *,
    factor_names: tuple[str, ...],
    blocks: tuple[FactorBlock, ...],
    loads: Mask,
    ar1: bool,
    robust: Robust | None,
    tol: float,
    max_iter: int,
    start: FactorParameters | None = None,
) -> tuple[FactorParameters, FineWeights | None, FitReport]:
    """Fit a factor model to a fine grid; see `dfm.estimate.estimate`.

    Raises
    ------
    FitError
        The fit did not converge, is not stationary, or is not finite.
    """
    center, scale = scales(grid, robust)
    values = (grid.values - center) / scale
    order = max(block.order for block in blocks)
    pattern = lay_out(grid, values, len(factor_names), order, chained=ar1)
    way: list[SearchReport] = []
    if start is None:
        n, r = loads.shape
        like = FineParameters(
            grid.names, grid.frequencies.count("M"), factor_names, blocks, loads, np.zeros((n, r)),
            np.zeros((r, r * order)), np.eye(r), np.zeros(n), np.ones(n), center, scale, ar1,
            base=grid.base, frequencies=grid.frequencies, levels=grid.levels,
        )  # fmt: skip
        p, first = _better(grid, pattern, like, robust, tol=max(tol, _ROUGH))
        way.append(first)
    else:
        p = restarted(start.unit(), center, scale)
    if robust is not None:
        return _robust(grid, pattern, p, robust, tol=tol, max_iter=max_iter)
    p, report = climb(FinePanel(pattern), p, tol=tol, max_iter=max_iter)
    refuse(report, p, tol)
    way.append(report)
    return (
        p,
        None,
        FitReport(
            converged=report.converged,
            steps=sum(part.em_steps + part.search_steps for part in way),
            evaluations=sum(part.evaluations for part in way),
            objective=report.loglike,
            promised=report.promised,
            radius=p.radius,
            cells=pattern.cells,
            path=tuple(value for part in way for value in part.path),
        ),
    )


def _better(
    grid: FineGrid, pattern: Pattern, like: FineParameters, robust: Robust | None, *, tol: float
) -> tuple[FactorParameters, SearchReport]:
    """Search roughly from several beginnings, and keep the best: the likelihood may have more than one top."""
    found = []
    for persistent, skip in ((False, 0), (True, 0), (False, 1)):
        p, here, density = begin(grid, pattern, like, persistent=persistent, skip=skip), pattern, 0.0
        if robust is not None:
            crisis = crisis_rows(robust, grid)
            p, _ = climb(FinePanel(pattern), p, tol=tol, max_iter=_INNER)
            here = pattern.weighed(reweigh(smooth(pattern, p), robust, grid, crisis), grid)
            density = weight_density(here, robust, grid, crisis)
        p, report = climb(FinePanel(here), p, tol=tol, max_iter=_ROUGH_STEPS)
        found.append((report.loglike + density, p, report))
    _, p, report = max(found, key=lambda each: each[0])
    return p, report


def _robust(
    grid: FineGrid, pattern: Pattern, p: FactorParameters, robust: Robust, *, tol: float, max_iter: int
) -> tuple[FactorParameters, FineWeights, FitReport]:
    """Take turns between weights and parameters until a round of both gains nothing."""
    crisis = crisis_rows(robust, grid)
    weights = FineWeights(np.ones(grid.values.shape), np.ones(pattern.rows))
    path: list[float] = []
    steps, evaluations, warm, gain = 0, 0, _INNER, np.inf
    for _ in range(_ROUNDS):
        weights = settle(pattern, weights, p, robust, grid, crisis, rounds=_SETTLE_FEW, tol=tol)
        here = pattern.weighed(weights, grid)
        p, report = climb(FinePanel(here), p, tol=tol, max_iter=_INNER, warm=warm)
        warm = 1
        steps += report.em_steps + report.search_steps
        evaluations += report.evaluations + 1
        value = report.loglike + weight_density(here, robust, grid, crisis)
        gain = (value - path[-1]) / pattern.cells if path else np.inf
        path.append(value)
        if gain < tol or steps >= max_iter:
            break
    refuse(replace(report, em_steps=0, search_steps=steps, converged=bool(-1e-9 < gain < tol), promised=gain), p, tol)
    weights = settle(pattern, weights, p, robust, grid, crisis, rounds=SETTLE, tol=SETTLED)
    return p, weights, FitReport(
        True, steps, evaluations, path[-1], float(gain), p.radius, pattern.cells, tuple(path)
    )  # fmt: skip


def begin(
    grid: FineGrid, pattern: Pattern, like: FineParameters, *, persistent: bool, skip: int
) -> FactorParameters:  # fmt: skip
    """Return first parameters: components of the series spread over the base periods, then regressions.

    `persistent` and `skip` are those of `dfm.begin.begin`.
    """
    per_month = _PER_MONTH[grid.base]
    spread = _spread(grid, pattern.values)
    factors = components(fill(spread), like.loads, persistent=persistent, skip=skip)
    p: FactorParameters = first_autoregression(factors, like, longest=LONGEST ** (1.0 / per_month))
    shares = np.stack(
        [
            weight @ factors[row : row + len(weight)]
            for row, weight in zip(
                pattern.share_row, np.split(pattern.share_weight, pattern.share_at[1:-1]), strict=True
            )
        ]
    )
    loadings, memory, variance = p.loadings.copy(), np.zeros(len(p.names)), np.ones(len(p.names))
    for i in range(len(p.names)):
        at = pattern.series == i
        own = p.loads[i]
        design = shares[pattern.links[pattern.link[at], 0]][:, own]
        loadings[i, own] = np.linalg.lstsq(design, pattern.now[at], rcond=None)[0]
        rest = pattern.now[at] - design @ loadings[i, own]
        if p.ar1:
            memory[i] = float(np.clip(rest[1:] @ rest[:-1] / (rest @ rest + 1e-12), -0.9, 0.9))
        variance[i] = max(float(rest @ rest) / len(rest), 0.05) * (1.0 - memory[i] ** 2)
    return replace(p, loadings=loadings, memory=memory, variance=variance).unit()


def _spread(grid: FineGrid, values: Floats) -> Floats:
    """Return each figure over the sum of its weights, at the middle of what it rests on, put on one scale."""
    out = np.full(values.shape, np.nan)
    for i in range(values.shape[1]):
        seen = np.flatnonzero(~np.isnan(values[:, i]))
        numbers = calendar.holding(grid.first + seen, grid.base, grid.frequencies[i])
        for row, number in zip(seen, numbers, strict=True):
            start, weight = grid.weights(int(number), i)
            middle = start + round(float(weight @ np.arange(len(weight)) / weight.sum()))
            out[middle, i] = values[row, i] / weight.sum()
        column = out[:, i]
        out[:, i] = (column - np.nanmean(column)) / max(float(np.nanstd(column)), 1e-8)
    return out
