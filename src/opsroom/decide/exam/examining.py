"""`exam`: the planner against prices and against equal shares, through the same shocks, on data of every quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.exam.ledger import Score, score
from opsroom.decide.exam.market import Market, price_adjustment, pro_rata
from opsroom.decide.exam.planner import Knowledge, Planner, foresight, plan_weeks
from opsroom.decide.exam.result import BOUND, MARKET, PLANNER, SHARES, ExamResult
from opsroom.decide.exam.shocks import WEEKS, draw
from opsroom.decide.exam.structure import Economy

SIZES = (0.15, 0.3, 0.6)
SURPRISES = (0.0, 1.0)
DELAYS = (0, 1, 2, 4)
NOISES = (0.0, 0.05, 0.1)
COVERAGES = (1.0, 0.8, 0.5)
SEEDS = 30
LEAST_SEEDS = 5
_NO_DATA = Knowledge(coverage=0.0)


def exam(
    e: Economy,
    *,
    sizes: Sequence[float] = SIZES,
    surprises: Sequence[float] = SURPRISES,
    delays: Sequence[int] = DELAYS,
    noises: Sequence[float] = NOISES,
    coverages: Sequence[float] = COVERAGES,
    seeds: int = SEEDS,
    first_seed: int = 0,
    weeks: int = WEEKS,
    market: Market | None = None,
    planner: Planner | None = None,
    level: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
) -> ExamResult:
    """Let a planner sit the exam.

    Answers: with data of which delay, error and coverage does allocation by an optimum do better than prices that
    nobody plans, and with which worse?

    Parameters
    ----------
    e
        The economy (`economy`).
    sizes
        Mean share that a shock takes of a capacity, 0 or more.
    surprises
        Share of shocks that are not announced.
    delays, noises, coverages
        Knowledge of the planner: weeks, relative standard error, share of sectors seen. All combinations are run, and
        no data at all.
    seeds
        Draws of shocks and errors, 5 or more: the same ones for every rule and all knowledge.
    first_seed
        The first of them.
    weeks
        Length of the exam.
    market, planner
        How sectors without a planner, and the planner, behave; the defaults are what did best on other seeds.
    level
        Nominal level of the intervals.
    progress
        Told how many seeds are done, of how many.

    Returns
    -------
    ExamResult

    Notes
    -----
    Every rule decides for the same economy through the same shocks; what it decides is carried out and scored by one
    ledger (`carry_out`, `score`). Differences are taken seed by seed. The assumption that fails most often: that those
    who are planned for carry out the plan and report truthfully, as sectors without a planner are taken to know their
    own stores, orders and capacities.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.decide.exam import economy, exam
    >>> names = ["farms", "mills", "power"]
    >>> flows = pd.DataFrame([[5.0, 30.0, 0.0], [5.0, 5.0, 2.0], [10.0, 10.0, 5.0]], index=names, columns=names)
    >>> found = exam(
    ...     economy(flows, [40.0, 60.0, 30.0]), sizes=[0.3], surprises=[1.0], delays=[0, 4], noises=[0.0],
    ...     coverages=[1.0], seeds=5,
    ... )
    >>> found.map()["verdict"].tolist()[0]
    'ahead'
    """
    if seeds < LEAST_SEEDS or not 0.0 < level < 1.0:
        raise UsageError(f"an exam takes {LEAST_SEEDS} seeds or more, and a level between 0 and 1.")
    if not (len(sizes) and len(surprises) and len(delays) and len(noises) and len(coverages)):
        raise UsageError("sizes, surprises, delays, noises and coverages have at least one entry each.")
    rule, desk = market or Market(), planner or Planner()
    cells = [Knowledge(d, n, c) for c, d, n in product(coverages, delays, noises) if c > 0.0]
    rows: list[dict[str, object]] = []
    for place, seed in enumerate(range(first_seed, first_seed + seeds)):
        for size, surprise in product(sizes, surprises):
            drawn = draw(e, seed=seed, size=size, surprise=surprise, weeks=weeks)
            truth = drawn.truth(e)
            about: dict[str, object] = {"seed": seed, "size": float(size), "surprise": float(surprise)}
            for name, run in (
                (BOUND, foresight(e, truth)),
                (MARKET, price_adjustment(e, drawn, truth, rule)),
                (SHARES, pro_rata(e, drawn, truth, rule)),
            ):
                rows.append({**about, "regime": name, **_numbers(score(e, truth, run))})
            for known in (*cells, _NO_DATA):
                run = plan_weeks(e, drawn, truth, known, seed=seed, rule=desk)
                knows = {"delay": known.delay, "noise": float(known.noise), "coverage": float(known.coverage)}
                rows.append({**about, "regime": PLANNER, **knows, **_numbers(score(e, truth, run))})
        if progress is not None:
            progress(place + 1, seeds)
    return ExamResult(pd.DataFrame(rows), level, weeks, rule, desk)


def _numbers(found: Score) -> dict[str, float]:
    return {"own": found.own, "users": found.users, "needs": found.needs, "unmet": found.unmet}
