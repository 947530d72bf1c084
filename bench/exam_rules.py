"""How both sides of the planner's exam were chosen: a sweep over seeds that no exam uses, on Meridia's table.

Each rule is judged by what it loses against perfect foresight, per cent of final use, by size and surprise: by the mean
of these losses, in which large shocks weigh most, and by their geometric mean, in which all weigh alike.
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
        numbers = [100.0 * (c[3] - score(e, c[2], r).own) for c, r in zip(cases, runs, strict=True)]
        return [round(float(v), 3) for v in np.array(numbers).reshape(len(seeds), -1).mean(axis=0)]

    def judged(name: str, runs: list[Run]) -> tuple[float, float, str, list[float]]:
        found = loss(runs)
        return round(float(np.mean(found)), 3), round(float(np.exp(np.log(found).mean())), 3), name, found

    rules = []
    for restock, lean, pace, step in product((3.0, 4.0, 6.0, 8.0), (1.0, 2.0, 3.0, 5.0), (0.3, 0.5), (0.01, 0.02)):
        rule = Market(step=step, lean=lean, pace=pace, restock=restock)
        rules.append(judged(str(rule), [price_adjustment(e, drawn, truth, rule) for _, drawn, truth, _ in cases]))
    desks = []
    for ahead, caution in product((6, 8, 10), (0.0, 0.01, 0.02, 0.03)):
        desk = Planner(ahead=ahead, caution=caution)
        runs = [plan_weeks(e, drawn, truth, PERFECT, seed=seed, rule=desk) for seed, drawn, truth, _ in cases]
        desks.append(judged(str(desk), runs))
    outcome: dict[str, Any] = {"case": "exam_rules", "size": len(seeds), "tried": len(rules) + len(desks)}
    outcome["cells"] = [f"{100 * s:.0f} %, {u:g}" for s, u in product(SIZES, SURPRISES)]
    for name, found in (("markets", rules), ("planners", desks)):
        for place, judge in enumerate(("mean", "geometric")):
            outcome[f"{name}_by_{judge}"] = sorted(found, key=lambda r, k=place: r[k])[:SHOWN]
    return outcome
