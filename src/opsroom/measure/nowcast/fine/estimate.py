"""From tables on a fine grid to fitted parameters: where the search begins, and whether the fit held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from opsroom.measure.nowcast.dfm.begin import LONGEST, components, fill, first_autoregression
from opsroom.measure.nowcast.dfm.estimate import FitReport, refuse, restarted, scales
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.search import SearchReport, climb
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import Pattern, lay_out
from opsroom.measure.nowcast.fine.step import FinePanel

_ROUGH = 1e-5
_ROUGH_STEPS = 40
_PER_MONTH = {"D": 30.4, "W": 4.35, "M": 1.0}


def estimate(
    grid: FineGrid,
    *,
    factor_names: tuple[str, ...],
    blocks: tuple[FactorBlock, ...],
    loads: Mask,
    ar1: bool,
    tol: float,
    max_iter: int,
    start: FactorParameters | None = None,
) -> tuple[FactorParameters, FitReport]:
    """Fit a factor model to a fine grid; see `dfm.estimate.estimate`.

    Raises
    ------
    FitError
        The fit did not converge, is not stationary, or is not finite.
    """
    center, scale = scales(grid, None)
    values = (grid.values - center) / scale
    order = max(block.order for block in blocks)
    pattern = lay_out(grid, values, len(factor_names), order, chained=ar1)
    panel = FinePanel(pattern)
    first: SearchReport | None = None
    if start is None:
        n, r = loads.shape
        like = FineParameters(
            grid.names, grid.frequencies.count("M"), factor_names, blocks, loads, np.zeros((n, r)),
            np.zeros((r, r * order)), np.eye(r), np.zeros(n), np.ones(n), center, scale, ar1,
            base=grid.base, frequencies=grid.frequencies, levels=grid.levels,
        )  # fmt: skip
        found = []
        for persistent, skip in ((False, 0), (True, 0), (False, 1)):
            begun = begin(grid, pattern, like, persistent=persistent, skip=skip)
            rough, report = climb(panel, begun, tol=max(tol, _ROUGH), max_iter=_ROUGH_STEPS)
            found.append((report, rough))
        first, p = max(found, key=lambda pair: pair[0].loglike)
    else:
        p = restarted(start.unit(), center, scale)
    p, report = climb(panel, p, tol=tol, max_iter=max_iter)
    refuse(report, p, tol)
    way = [report] if first is None else [first, report]
    return p, FitReport(
        converged=report.converged,
        steps=sum(part.em_steps + part.search_steps for part in way),
        evaluations=sum(part.evaluations for part in way),
        objective=report.loglike,
        promised=report.promised,
        radius=p.radius,
        cells=pattern.cells,
        path=tuple(value for part in way for value in part.path),
    )


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
