"""What an exam found, in words: every statement counts cells or names its condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.decide.exam.result import AHEAD, BEHIND, MARKET, MEASURES, SHARES, TIE, UNDECIDED

if TYPE_CHECKING:
    from opsroom.decide.exam.result import ExamResult


def shocks(size: float, surprise: float) -> str:
    """Name shocks by size and surprise."""
    told = {0.0: "announced", 1.0: "unannounced"}.get(surprise, f"{100 * surprise:.0f} % unannounced")
    return f"shocks of {100 * size:.0f} %, {told}"


def tally(table: pd.DataFrame) -> str:
    """Count verdicts."""
    counts = table["verdict"].value_counts()
    return ", ".join(f"{name} in {int(counts.get(name, 0))}" for name in (AHEAD, BEHIND, UNDECIDED))


def summary(found: ExamResult) -> str:
    """Return the finding of an exam."""
    table, shares = found.map(), found.map(SHARES)
    percent = f"{100 * found.level:.0f} %"
    lines = [
        f"{found.seeds} draws of shocks over {found.weeks} weeks, planner against {MARKET}, by {MEASURES['own']}: of "
        f"{len(table)} combinations of data and shocks the planner is {tally(table)} ({percent} intervals of paired "
        "differences, one by one)."
    ]
    lines.append(_perfect(found, table))
    none = shares[shares["coverage"] == 0.0]
    lines.append(f"Without data, against {SHARES}: {tally(none)} of {len(none)}.")
    rows = found.to_frame()
    prices = rows[rows["regime"] == MARKET]
    lines.append(f"{MARKET.capitalize()} against {SHARES}, whatever the data: {tally(prices)} of {len(prices)}.")
    keys: list[Any] = ["size", "surprise"]
    for case, block in found.break_even().groupby(keys):
        size, surprise = (float(v) for v in np.asarray(case, dtype=np.float64))
        limits = "; ".join(limit(str(r["property"]), r) for r in block.to_dict(orient="records"))
        lines.append(f"With {shocks(size, surprise)}, else perfect data, the planner breaks even at: {limits}.")
    return "\n".join(lines)


def _perfect(found: ExamResult, table: pd.DataFrame) -> str:
    best = (table["delay"] == 0) & (table["noise"] == 0.0) & (table["coverage"] == 1.0)
    if not best.any():
        return "No run had perfect, immediate data."
    paired = found.differences()
    at = paired.index
    exact = paired[
        (at.get_level_values("delay") == 0) & (at.get_level_values("noise") == 0.0)
        & (at.get_level_values("coverage") == 1.0)
    ].to_numpy()  # fmt: skip
    worse = exact < -100.0 * TIE
    said = f"With perfect, immediate data the planner is {tally(table[best])}; "
    if not worse.any():
        return f"{said}it is behind in none of {exact.size} single runs."
    return f"{said}it is behind in {int(worse.sum())} of {exact.size} single runs, by {-exact.min():.2f} % at most."


def limit(name: str, row: Mapping[Any, Any]) -> str:
    """Say where the planner breaks even in one property of the data."""
    value, low, high, worst = row["break_even"], row["lower"], row["upper"], row["worst"]
    unit = {"delay": "a delay of", "noise": "an error of", "coverage": "a coverage of"}[name]

    def one(v: float) -> str:
        if math.isinf(v):
            return f"{'below' if name == 'coverage' else 'above'} {_said(name, worst)}"
        return _said(name, v)

    if math.isinf(value) and math.isinf(low) and math.isinf(high):
        return f"{unit} {one(value)}"
    return f"{unit} {one(value)} ({one(low)} to {one(high)})"


def _said(name: str, value: float) -> str:
    return f"{value:.1f} weeks" if name == "delay" else f"{100 * value:.0f} %"
