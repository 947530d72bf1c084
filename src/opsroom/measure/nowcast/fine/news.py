"""Why a nowcast on a fine grid moved from one vintage to the next: pieces that add up exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.nowcast.dfm.news import COLUMNS, NewsResult, added_up
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Mask
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.look import FineLook, cell, data_weights, look
from opsroom.measure.nowcast.fine.pattern import FineWeights


def explain(
    p: FactorParameters,
    old: FineGrid,
    new: FineGrid,
    target: str,
    period: object,
    *,
    weights_old: FineWeights | None = None,
    weights_new: FineWeights | None = None,
    after: float | None = None,
    blocks: Mapping[str, str] | None = None,
) -> NewsResult:
    """Split the change of a nowcast between two vintages; see `dfm.news.explain`.

    Raises
    ------
    InternalError
        The pieces do not add up: a defect.
    """
    a, b = old.spanning(new), new.spanning(old)
    column, row = a.column(target), a.row(target, period)
    a, b = a.through(row), b.through(row)
    w_old = None if weights_old is None else weights_old.on(old, a)
    w_new = None if weights_new is None else weights_new.on(new, a)
    has_old, has_new = ~np.isnan(a.values), ~np.isnan(b.values)
    both = has_old & has_new
    common = look(replace(a, values=np.where(both, a.values, np.nan)), p, w_old)
    revised = look(replace(a, values=np.where(both, b.values, np.nan)), p, w_old)
    first, last = look(a, p, w_old), look(b, p, w_old)
    scale, center = float(p.scale[column]), float(p.center[column])

    def value(view: FineLook) -> float:
        return center + scale * cell(view, row, column, variance=False).mean

    pieces = [
        *_valued("withdrawal", first, common, has_old & ~has_new, row, column),
        *_revisions(common, revised, both & (a.values != b.values), row, column),
        *_valued("release", last, revised, has_new & ~has_old, row, column),
    ]
    before, same_weights = value(first), value(last)
    later = same_weights if w_new is None else value(look(b, p, w_new))
    if w_new is not None:
        pieces.append(_piece("weights", "", "", np.nan, np.nan, np.nan, later - same_weights))
    if after is not None:
        pieces.append(_piece("parameters", "", "", np.nan, np.nan, np.nan, after - later))
    detail = pd.DataFrame(pieces, columns=list(COLUMNS)).astype({"impact": float})
    end = later if after is None else after
    return added_up(NewsResult(target, a.label(row, column), before, end, detail, dict(blocks or {})), scale)


def _piece(*values: object) -> dict[str, Any]:
    return dict(zip(COLUMNS, values, strict=True))


def _valued(
    kind: str, full: FineLook, base: FineLook, which: Mask, row: int, column: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Value cells that one panel has and the other lacks, against what the panel without them expects."""
    p, grid = full.parameters, full.grid
    weight = data_weights(full, cell(full, row, column, variance=False), column)
    out = []
    for r, c in zip(*np.nonzero(which), strict=True):
        actual = float(grid.values[r, c])
        expected = float(p.center[c] + p.scale[c] * cell(base, int(r), int(c), variance=False).mean)
        first, second = (actual, expected) if kind == "withdrawal" else (expected, actual)
        per_unit = float(weight[r, c] * p.scale[column] / p.scale[c])
        impact = per_unit * (second - first)
        out.append(_piece(kind, p.names[c], grid.label(int(r), int(c)), first, second, per_unit, impact))
    return out


def _revisions(before: FineLook, after: FineLook, which: Mask, row: int, column: int) -> list[dict[str, Any]]:
    p, grid = before.parameters, before.grid
    weight = data_weights(before, cell(before, row, column, variance=False), column)
    out = []
    for r, c in zip(*np.nonzero(which), strict=True):
        first, second = float(grid.values[r, c]), float(after.grid.values[r, c])
        per_unit = float(weight[r, c] * p.scale[column] / p.scale[c])
        label = grid.label(int(r), int(c))
        out.append(_piece("revision", p.names[c], label, first, second, per_unit, per_unit * (second - first)))
    return out
