"""The exam's rules: the ledger adds up, the programme is solved, prices find the optimum, foresight bounds them all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.stats import norm

from opsroom.base.errors import UsageError
from opsroom.decide import allocate
from opsroom.decide.exam.ledger import SPOILT, Run, carry_out, score
from opsroom.decide.exam.market import Market, price_adjustment, pro_rata
from opsroom.decide.exam.planner import (
    ODDS,
    PERFECT,
    SPREAD,
    Knowledge,
    Planner,
    foresight,
    likely,
    plan_weeks,
)
from opsroom.decide.exam.programme import best_weeks
from opsroom.decide.exam.shocks import Course, Draw, Shock, draw
from opsroom.decide.exam.structure import RISING, STOCK_ELASTICITY, Economy, economy


def small(seed: int = 0, n: int = 4, **more: object) -> Economy:
    rng = np.random.default_rng(seed)
    names = [f"s{k}" for k in range(n)]
    flows = pd.DataFrame(rng.uniform(0.0, 3.0 / n, (n, n)), index=names, columns=names)
    final = pd.Series(rng.uniform(1.5, 3.0, n), index=names)
    return economy(flows, final, elasticity=pd.Series(rng.uniform(0.3, 0.9, n), index=names), weeks=1.0, **more)


def shaken(e: Economy, seed: int, weeks: int) -> Course:
    rng = np.random.default_rng(seed)
    return Course(
        e.capacity * rng.uniform(0.3, 1.0, (weeks, e.size)),
        e.final * rng.uniform(0.6, 1.5, (weeks, e.size)),
        e.a * rng.uniform(0.9, 1.1, (weeks, e.size, e.size)),
    )


def steady(e: Economy, capacity: np.ndarray, wanted: np.ndarray, weeks: int) -> Course:
    return Course(np.tile(capacity, (weeks, 1)), np.tile(wanted, (weeks, 1)), np.tile(e.a, (weeks, 1, 1)))


def added_up(e: Economy, truth: Course, run: Run) -> None:
    """What was in the stores and what was made is what was used, delivered, lost, and is in the stores."""
    total = float(e.output.sum())
    before, after = run.stock[:-1], run.stock[1:]
    assert before + run.output - run.used - run.final - run.lost == pytest.approx(after, abs=1e-6 * total)
    assert run.used == pytest.approx(np.einsum("tij,tj->ti", truth.a, run.output), abs=1e-6 * total)
    assert (run.output <= truth.capacity * (1 + 1e-9)).all()
    assert min(part.min() for part in (run.output, run.final, run.lost)) >= 0.0
    assert run.stock.min() >= -1e-6 * total  # foresight's are those of a search


@pytest.mark.parametrize("seed", range(3))
def test_no_other_weeks_are_worth_more_by_a_linear_programme_on_the_same_limits(seed: int) -> None:
    e = small(seed)
    weeks, n = 3, e.size
    course = shaken(e, seed, weeks)
    stock = e.stock * np.random.default_rng(seed).uniform(0.3, 1.2, n)
    plan = best_weeks(e, stock, course)
    # variables: outputs, final uses, leftovers by week, then what is kept of value and what is not
    size = 3 * weeks * n + 2 * n
    rows, right = np.zeros(((weeks + 1) * n, size)), np.zeros((weeks + 1) * n)
    right[:n] = stock

    def at(kind: int, week: int) -> slice:
        return slice((3 * week + kind) * n, (3 * week + kind + 1) * n)

    for t in range(weeks):
        here = slice(t * n, (t + 1) * n)
        rows[here, at(0, t)], rows[here, at(1, t)], rows[here, at(2, t)] = course.a[t], np.eye(n), np.eye(n)
    for t in range(1, weeks + 1):
        here = slice(t * n, (t + 1) * n)
        rows[here, at(0, t - 1)] -= np.eye(n)
        rows[here, at(2, t - 1)] -= np.eye(n)
    rows[weeks * n :, -2 * n : -n], rows[weeks * n :, -n:] = np.eye(n), np.eye(n)
    # the plan's own place: leftovers follow from balances
    left, held, z = [], stock, np.zeros(size)
    for t in range(weeks):
        left.append(held - course.a[t] @ plan.output[t] - plan.final[t])
        held = left[-1] + plan.output[t]
        z[at(0, t)], z[at(1, t)], z[at(2, t)] = plan.output[t], plan.final[t], left[-1]
    assert min(g.min() for g in left) > -1e-6
    kept = np.minimum(held, e.stock * (1.0 + STOCK_ELASTICITY))
    z[-2 * n : -n], z[-n:] = kept, held - kept
    slope = np.zeros(size)
    for t in range(weeks):
        slope[at(0, t)] = -e.work * (1.0 + RISING * (plan.output[t] / e.output - 1.0))
        slope[at(1, t)] = e.weights * (1.0 + (1.0 - plan.final[t] / course.wanted[t]) / e.elasticity)
    slope[-2 * n : -n] = 1.0 + (1.0 - kept / e.stock) / STOCK_ELASTICITY
    limits = [(0.0, None)] * size
    for t in range(weeks):
        for j in range(n):
            limits[3 * t * n + j] = (0.0, float(course.capacity[t, j]))
    best = linprog(-slope, A_eq=rows, b_eq=right, bounds=limits)
    assert best.status == 0
    # concave: no feasible weeks can be worth more than what the gradient at the plan promises
    assert -best.fun - slope @ z <= 2e-6 * abs(plan.worth)
    worth = e.worth(plan.final, course.wanted).sum() - e.toil(plan.output).sum() + e.keep(held).sum()
    assert plan.worth == pytest.approx(worth, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_a_week_adds_up_whatever_is_ordered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    a = rng.uniform(0.0, 0.4, (n, n)) * (rng.random((n, n)) < 0.7)
    stock = rng.uniform(0.0, 3.0, n) * (rng.random(n) < 0.8)
    make, ask, capacity = rng.uniform(0.0, 3.0, n), rng.uniform(0.0, 3.0, n), rng.uniform(0.0, 3.0, n)
    week = carry_out(stock, make, ask, capacity, a, np.full(n, 2.0))
    assert week.stock == pytest.approx(stock + week.output - week.used - week.final - week.lost, abs=1e-12)
    assert week.used == pytest.approx(a @ week.output, abs=1e-12)
    assert (week.output <= np.minimum(make, capacity) + 1e-12).all()
    assert (week.final <= np.minimum(ask, 2.0) + 1e-12).all()
    assert (week.used + week.final + week.lost <= stock + 1e-12).all()
    assert min(part.min() for part in (week.output, week.final, week.lost, week.stock)) >= 0.0


def test_stores_serve_sectors_first_and_alike_and_what_cannot_be_used_is_partly_lost() -> None:
    # the first store feeds both sectors, the second one only sector 0, and has half of what that wants
    a = np.array([[0.5, 0.5], [0.4, 0.0]])
    week = carry_out(np.array([1.0, 0.2]), np.ones(2), np.ones(2), np.ones(2), a, np.full(2, 9.0))
    assert week.output == pytest.approx([0.5, 1.0])  # sector 0 by its scarce input; sector 1 by none
    assert week.final == pytest.approx([0.25, 0.0])
    assert week.lost == pytest.approx([0.0, 0.0])  # orders of the other input were cut in time
    # two sectors, one of which is short of something else only after goods were promised: nothing is left over twice
    short = carry_out(np.array([0.5, 0.0]), np.ones(2), np.zeros(2), np.ones(2), a, np.full(2, 9.0))
    assert short.output == pytest.approx([0.0, 1.0], abs=1e-6)
    assert SPOILT > 0.0


def test_undisturbed_nothing_moves_under_any_rule() -> None:
    e = small(1)
    drawn = draw(e, seed=3, size=0.0, surprise=0.5, weeks=8)
    truth = drawn.truth(e)
    for run in (
        foresight(e, truth),
        price_adjustment(e, drawn, truth, Market()),
        pro_rata(e, drawn, truth, Market()),
        plan_weeks(e, drawn, truth, PERFECT, seed=3),
        plan_weeks(e, drawn, truth, Knowledge(2, 0.3, 0.0), seed=3),
    ):
        assert run.output == pytest.approx(np.tile(e.output, (8, 1)), rel=1e-4)
        assert run.final == pytest.approx(np.tile(e.final, (8, 1)), rel=1e-4)
        assert run.price == pytest.approx(np.ones((8, e.size)), rel=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_prices_find_the_optimum_and_its_shadow_prices_from_far_away(seed: int) -> None:
    e = small(seed, n=6)
    rng = np.random.default_rng(seed)
    capacity, wanted = e.capacity.copy(), e.final.copy()
    capacity[rng.choice(6, 3, replace=False)] *= [0.5, 0.6, 0.75]
    wanted[rng.integers(6)] *= 1.4
    truth = steady(e, capacity, wanted, 300)
    run = price_adjustment(e, Draw((), 300), truth, Market())
    x, y, price = run.output[-1], run.final[-1], run.price[-1]
    assert x == pytest.approx(e.a @ x + y, rel=1e-3)
    # at the optimum no final uses are worth more at the gradient; `allocate` finds the most that any are
    turned = np.linalg.inv(np.eye(6) - e.a)
    gradient = 1.0 + (1.0 - y / wanted) / e.elasticity - turned.T @ e.unit_toil(x)
    assert gradient.min() > -1e-3
    best = allocate(e.a, e.enough(wanted), value=np.maximum(gradient, 0.0), capacity=capacity, max_demand_ratio=1.0)
    assert best.objective - gradient @ y <= 1e-3 * e.final.sum()
    # and prices are what the last unit of each final use is worth, cost and rent of what is scarce
    assert price == pytest.approx(1.0 + (1.0 - y / wanted) / e.elasticity, rel=1e-3)
    rents = price - e.a.T @ price - e.unit_toil(x)
    scarce = x > capacity * (1.0 - 2e-3)
    assert scarce.any()
    assert (rents[scarce] > 0.01).any()
    assert np.abs(rents[~scarce]).max() < 2e-3


def test_without_rising_prices_there_is_no_such_optimum() -> None:
    """The proof above would not pass on a rule that rations by shares."""
    e = small(0, n=6)
    capacity = e.capacity * np.array([1.0, 1.0, 0.5, 1.0, 0.6, 1.0])
    truth = steady(e, capacity, e.final, 120)
    runs = [rule(e, Draw((), 120), truth, Market()) for rule in (price_adjustment, pro_rata)]
    worth = [e.worth(r.final[-1], e.final).sum() - e.toil(r.output[-1]).sum() for r in runs]
    assert worth[0] > worth[1] + 0.005 * e.final.sum()


@pytest.mark.parametrize("surprise", [0.0, 1.0])
def test_every_rule_adds_up_and_none_exceeds_foresight(surprise: float) -> None:
    e = small(2, n=5)
    for seed in range(4):
        drawn = draw(e, seed=seed, size=0.5, surprise=surprise, weeks=14)
        truth = drawn.truth(e)
        bound = foresight(e, truth)
        added_up(e, truth, bound)
        most = score(e, truth, bound).own
        for run in (
            price_adjustment(e, drawn, truth, Market()),
            pro_rata(e, drawn, truth, Market()),
            plan_weeks(e, drawn, truth, PERFECT, seed=seed),
            plan_weeks(e, drawn, truth, Knowledge(2, 0.2, 0.6), seed=seed),
        ):
            added_up(e, truth, run)
            assert score(e, truth, run).own <= most + 1e-6


def test_a_planner_to_whom_the_whole_course_is_known_reaches_the_bound() -> None:
    e = small(3)
    shocks = (
        Shock("capacity", 0, -0.5, 4, 4, announced=True),
        Shock("capacity", 2, -0.4, 2, 5, announced=True),
        Shock("want", 1, 0.5, 3, 4, announced=True),
    )
    drawn = Draw(shocks, 10)
    truth = drawn.truth(e)
    run = plan_weeks(e, drawn, truth, PERFECT, seed=0, rule=Planner(ahead=10, caution=0.0))
    assert score(e, truth, run).own == pytest.approx(score(e, truth, foresight(e, truth)).own, abs=1e-5)


def test_what_is_expected_of_an_unannounced_shock_is_the_mean_over_all_lengths_still_possible() -> None:
    def shock(length: int, *, announced: bool = False) -> Shock:
        return Shock("capacity", 0, -0.5, 5, length, announced)

    for known in (5, 7, 10):
        alive = [length for length in range(4, 9) if length > known - 5]
        for week in range(known, known + 10):
            mean = np.mean([shock(length).profile(week) for length in alive])
            assert shock(8).expected(week, known) == pytest.approx(mean)
    assert shock(4).expected(9, 4) == 0.0  # nothing is known before
    assert [shock(4).expected(w, 9) for w in range(9, 13)] == [0.75, 0.5, 0.25, 0.0]  # it ends: its end is known
    assert shock(4, announced=True).expected(6, 1) == 1.0
    assert shock(4, announced=True).expected(6, 0) == 0.0


def test_a_seed_has_the_same_shocks_at_every_size_and_the_announced_are_fewer_with_surprise() -> None:
    e = small(0, n=6)
    few, many = (draw(e, seed=9, size=s, surprise=0.4) for s in (0.1, 0.2))
    assert [(s.kind, s.sector, s.start, s.length, s.announced) for s in few.shocks] == [
        (s.kind, s.sector, s.start, s.length, s.announced) for s in many.shocks
    ]
    assert [2 * s.change for s in few.shocks] == pytest.approx([s.change for s in many.shocks])
    for seed in range(5):
        told = [{k for k, s in enumerate(draw(e, seed=seed, size=0.1, surprise=u).shocks) if s.announced}
                for u in (1.0, 0.5, 0.0)]  # fmt: skip
        assert told[0] == set()
        assert told[0] <= told[1] <= told[2]
        assert len(told[2]) == len(few.shocks)


@pytest.mark.parametrize(("noise", "ratio"), [(0.05, 0.93), (0.05, 1.3), (0.2, 0.5), (0.2, 1.0)])
def test_a_noisy_figure_is_taken_for_its_mean_by_quadrature(noise: float, ratio: float) -> None:
    gap = np.log(ratio) + 0.5 * noise**2
    spike = (1 - ODDS) * norm.pdf(gap, 0.0, noise)
    slab = [
        quad(lambda c, k=k: c**k * ODDS * norm.pdf(c, 0, SPREAD) * norm.pdf(gap, c, noise), -3, 3, points=[gap])[0]
        for k in (0, 1)
    ]
    found = likely(np.array([7.0 * ratio]), np.array([7.0]), noise)
    assert np.log(found[0] / 7.0) == pytest.approx(slab[1] / (spike + slab[0]), abs=1e-6)
    assert likely(np.array([3.0]), np.array([7.0]), 0.0)[0] == 3.0


def test_unseen_sectors_are_planned_by_the_table_and_no_data_is_one_plan() -> None:
    e = small(1, n=5)
    drawn = draw(e, seed=2, size=0.4, surprise=1.0, weeks=10)
    truth = drawn.truth(e)
    blind = [plan_weeks(e, drawn, truth, Knowledge(d, s, 0.0), seed=2).output for d, s in ((0, 0.0), (3, 0.4))]
    assert (blind[0] == blind[1]).all()
    seen = plan_weeks(e, drawn, truth, Knowledge(coverage=0.6), seed=2)
    assert (seen.output != blind[0]).any()


def test_the_table_is_kept_when_small_inputs_are_left_out() -> None:
    names = ["a", "b"]
    flows = pd.DataFrame([[10.0, 0.1], [5.0, 30.0]], index=names, columns=names)
    e = economy(flows, [90.0, 65.0], small=0.02, weeks=10.0)
    assert e.output == pytest.approx([10.01, 10.0])
    assert e.final == pytest.approx([9.01, 6.5])  # what b no longer needs of a to produce is a final use of a
    assert e.output == pytest.approx(e.a @ e.output + e.final)
    assert e.a.sum(axis=0) + e.work == pytest.approx([1.0, 1.0])
    assert e.wish(np.ones(2), e.final) == pytest.approx(e.final)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda e, f: economy(f.iloc[:1], [1.0]),
        lambda e, f: economy(-f, [9.0, 9.0]),
        lambda e, f: economy(f, [9.0]),
        lambda e, f: economy(f, [0.0, 0.0]),
        lambda e, f: economy(f, [9.0, 9.0], elasticity=0.0),
        lambda e, f: economy(f * 0.0, [0.0, 9.0]),
        lambda e, f: draw(e, seed=0, size=1.0, surprise=0.0),
        lambda e, f: Market(step=-1.0),
        lambda e, f: Market(rounds=0),
        lambda e, f: Planner(ahead=0),
        lambda e, f: Knowledge(coverage=1.5),
    ],
)
def test_what_does_not_fit_is_refused(wrong: object) -> None:
    names = ["a", "b"]
    flows = pd.DataFrame([[1.0, 2.0], [2.0, 1.0]], index=names, columns=names)
    with pytest.raises(UsageError):
        wrong(small(), flows)  # type: ignore[operator]  # a function
