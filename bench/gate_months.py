"""Monthly releases of one table through the gate: what is suppressed, and how much the pattern flickers.

Companies with log-normal turnover in 12 regions, 63 divisions and 4 size classes, which move from month to month and
are revised once, a month later, for a twentieth of them. Each release shows a new month, and the month before anew.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Rules
from opsroom.protect.gate import release
from opsroom.protect.release import Release

SHAPE = (12, 63, 4)
COMPANIES = 20_000
DIMENSIONS = ("month", "region", "division", "size")
RULES = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0)
REVISED = 0.05


def units(
    months: int, *, companies: int = COMPANIES, shape: tuple[int, int, int] = SHAPE, seed: int = 1
) -> tuple[pd.DataFrame, Any, Any]:
    """Return the companies, and what each reports of every month, first and revised, shape (companies, months)."""
    rng = np.random.default_rng(seed)
    regions, divisions, sizes = shape
    logged = rng.normal(4.0, 1.6, companies)
    frame = pd.DataFrame(
        {
            "region": [f"R{k:02d}" for k in rng.choice(regions, companies, p=rng.dirichlet(np.full(regions, 2.0)))],
            "division": [
                f"{k + 1:02d}" for k in rng.choice(divisions, companies, p=rng.dirichlet(np.full(divisions, 1.0)))
            ],
            "size": [f"S{k}" for k in np.searchsorted([3.0, 4.5, 6.0], logged)[:companies] % sizes],
            "company": np.arange(companies),
        }
    )
    path = logged[:, None] + np.cumsum(rng.normal(0.0, 0.05, (companies, months)), axis=1)
    final = np.maximum(1, np.round(np.exp(path))).astype(np.int64)
    wrong = rng.random((companies, months)) < REVISED
    noise = np.exp(rng.normal(0.0, 0.1, (companies, months)))
    first = np.where(wrong, np.maximum(1, np.round(final * noise)), final).astype(np.int64)
    return frame, first, final


def cells_of(frame: pd.DataFrame, first: Any, final: Any, month: int) -> Cells:
    """Return the table of a month, and of the month before as it is known by then."""
    shown = [(month, first[:, month])] + ([(month - 1, final[:, month - 1])] if month else [])
    long = pd.concat([frame.assign(month=f"M{m:02d}", turnover=value) for m, value in shown], ignore_index=True)
    parts = parts_from_units(
        long, dimensions=list(DIMENSIONS), group="company", values={"turnover": "turnover"}, totals=DIMENSIONS[1:]
    )
    return Cells(
        name="bench.monthly", dimensions=DIMENSIONS, frame=parts, parts=(Part("turnover", "EUR"),),
        measures=(Measure("turnover", "sum", "EUR", ("turnover",), decimals=0),), additive=DIMENSIONS[1:],
    )  # fmt: skip


def pattern(out: Release, month: int) -> dict[tuple[str, ...], bool]:
    """Return for each cell of a month whether it is suppressed."""
    at = out.columns.index("turnover")
    return {tuple(row[1:4]): row[at] is None for row in out.rows if row[0] == f"M{month:02d}"}


def run(size: int | None = None) -> dict[str, Any]:
    """Release `size` months (24 where absent).

    Returns
    -------
    dict
        By month: cells, the share that is suppressed (new month), how many of the cells of both months flicker (are
        suppressed in one and published in the other), how many numbers of the month before are held at what was out,
        and the processor seconds of the gate.
    """
    count = size or 24
    frame, first, final = units(count)
    state = State.open("sqlite://")
    ledger = Ledger(state)
    months: list[dict[str, Any]] = []
    before: dict[tuple[str, ...], bool] = {}
    total = 0.0
    for month in range(count):
        cells = cells_of(frame, first, final, month)
        day = dt.date(2020, 1, 15) + dt.timedelta(days=30 * month)
        cpu = time.process_time()
        out = release(cells, rules=RULES, as_of=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), day=day, ledger=ledger)
        took = time.process_time() - cpu
        total += took
        now = pattern(out, month)
        both = now.keys() & before.keys()
        months.append(
            {
                "month": month + 1,
                "cells": len(now),
                "suppressed_share": round(sum(now.values()) / len(now), 4),
                "flicker": round(sum(now[c] != before[c] for c in both) / len(both), 4) if both else None,
                "held": len(out.held),
                "cpu_s": round(took, 2),
            }
        )
        before = now
    state.close()
    flicker = [m["flicker"] for m in months if m["flicker"] is not None]
    return {
        "case": "gate-months",
        "size": count,
        "ours_s": round(total, 2),
        "peer": "none that judges months together",
        "peer_s": None,
        "ratio": None,
        "max_abs_diff": None,
        "suppressed_share": round(float(np.mean([m["suppressed_share"] for m in months])), 4),
        "flicker": round(float(np.mean(flicker)), 4) if flicker else None,
        "months": months,
    }
