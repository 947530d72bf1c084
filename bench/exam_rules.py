"""How both sides of the planner's exam were chosen: a sweep over seeds that no exam uses, on Meridia's table.

Each rule is judged by what it loses against perfect foresight, mean over sizes and surprises, per cent of final use.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from opsroom.decide.exam.examining import SIZES, SURPRISES
from opsroom.decide.exam.ledger import Run, score
from opsroom.decide.exam.market import Market, price_adjustment
from opsroom.decide.exam.planner import PERFECT, Planner, foresight, plan_weeks
from opsroom.decide.exam.shocks import draw
from opsroom.room.exam import meridia_economy

FIRST_SEED = 1000
SHOWN = 5


def run(size: int | None = None) -> dict[str, Any]:
    """Sweep over `size` seeds."""
    e = meridia_economy()
    seeds = range(FIRST_SEED, FIRST_SEED + (size or 12))
    cases = []
    for seed, shock, surprise in product(seeds, SIZES, SURPRISES):
        drawn = draw(e, seed=seed, size=shock, surprise=surprise)
        truth = drawn.truth(e)
        cases.append((seed, drawn, truth, score(e, truth, foresight(e, truth)).own))

    def loss(runs: list[Run]) -> list[float]:
        numbers = [100.0 * (score(e, c[2], r).own - c[3]) for c, r in zip(cases, runs, strict=True)]
        return [float(v) for v in np.array(numbers).reshape(len(seeds), -1).mean(axis=0)]

    rules: list[tuple[float, str, list[float]]] = []
    for restock, lean, pace, step in product((3.0, 4.0, 6.0, 8.0), (1.0, 2.0, 3.0, 5.0), (0.3, 0.5), (0.01, 0.02)):
        rule = Market(step=step, lean=lean, pace=pace, restock=restock)
        found = loss([price_adjustment(e, drawn, truth, rule) for _, drawn, truth, _ in cases])
        rules.append((float(np.mean(found)), str(rule), [round(v, 3) for v in found]))
    desks: list[tuple[float, str, list[float]]] = []
    for ahead, caution in product((6, 8, 10), (0.0, 0.01, 0.02, 0.03)):
        desk = Planner(ahead=ahead, caution=caution)
        found = loss([plan_weeks(e, drawn, truth, PERFECT, seed=seed, rule=desk) for seed, drawn, truth, _ in cases])
        desks.append((float(np.mean(found)), str(desk), [round(v, 3) for v in found]))
    return {
        "case": "exam_rules",
        "size": len(seeds),
        "cells": [f"{100 * s:.0f} %, {u:g}" for s, u in product(SIZES, SURPRISES)],
        "markets": sorted(rules, key=lambda r: -r[0])[:SHOWN],
        "planners": sorted(desks, key=lambda r: -r[0])[:SHOWN],
        "tried": len(rules) + len(desks),
    }
