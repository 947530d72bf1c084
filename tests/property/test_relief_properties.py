"""What must hold of relief for any companies, any loans and any holiday."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError
from opsroom.decide.relief import NONE, Habits, Holiday, Recovery, deadline, relief
from opsroom.decide.relief.kernel import first_shortfall, first_shortfall_numpy
from opsroom.decide.relief.options import Loans, Plans, schedule
from opsroom.decide.relief.run import loans_of, make_problem
from opsroom.decide.relief.tally import CLASSES

DAY = dt.date(2020, 3, 4)

MONEY = st.integers(0, 10**9)


@st.composite
def firms(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a few companies with odd amounts."""
    n = draw(st.integers(1, 12))
    seed = draw(st.integers(0, 2**31))
    r = np.random.default_rng(seed)
    scale = 10 ** r.integers(1, 9, n)

    def amount(low: float, high: float) -> np.ndarray:
        return (scale * r.uniform(low, high, n)).astype(np.int64)

    owes = r.random(n) < 0.7
    return pd.DataFrame(
        {
            "enterprise_id": r.permutation(1000)[:n],
            "group_id": r.integers(0, 5, n),
            "section": r.choice(["A", "C", "G"], n),
            "region": "R01",
            "size_class": r.choice(["micro", "large"], n),
            "employees": r.integers(0, 50, n),
            "cash": amount(-0.2, 4),
            "undrawn_credit": amount(0, 1),
            "fixed_costs": amount(0, 0.5),
            "wage_bill": amount(0, 0.5),
            "materials_ppm": r.integers(0, 1_000_001, n),
            "sales_normal": amount(0, 2),
            "sales_now": amount(0, 2),
            "sales_before": amount(0, 2),
            "tax_due": amount(0, 0.1),
            "interest_due": amount(0, 0.1) * owes,
            "principal_due": amount(0, 0.4) * owes,
            "outstanding": amount(0.5, 8) * owes,
            "days_past_due": 0,
            "forborne": False,
            "secured_ppm": r.integers(0, 1_000_001, n),
            "guarantee_ppm": r.integers(0, 1_000_001, n),
            "lender_id": 1,
            "rate_bp": 400,
        }
    )


holidays = st.builds(
    Holiday,
    st.just("h"),
    st.sampled_from(["interest", "principal", "both"]),
    st.floats(0.25, 6),
    st.booleans(),
    catch_up=st.sampled_from([None, 1, 3, 12]),
)


@settings(max_examples=20, deadline=None)
@given(firms(), holidays, st.integers(0, 99))
def test_the_kernel_and_its_twin_agree(frame: pd.DataFrame, holiday: Holiday, seed: int) -> None:
    loans = loans_of(frame)
    plans = [schedule(loans, o, horizon=8) for o in (NONE, holiday)]
    problem = make_problem(
        frame,
        Plans.of(plans).dues,
        Recovery(),
        sections=["A", "C", "G"],
        draws=7,
        seed=seed,
        habits=Habits(0.3, 0.8, 0.4, 0.1),
    )
    ours, twin = first_shortfall(problem), first_shortfall_numpy(problem)
    for name in ("months", "unpaid", "unpaid_by_draw"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(twin, name))


@settings(max_examples=20, deadline=None)
@given(firms(), holidays, st.integers(0, 99))
def test_classes_exclude_each_other_and_exhaust_the_covered(frame: pd.DataFrame, holiday: Holiday, seed: int) -> None:
    result = relief(frame, options=(holiday,), horizon=8, draws=6, seed=seed, as_of=DAY)
    borrowers = result.firms["outstanding"].to_numpy() > 0
    np.testing.assert_allclose(result.by_firm.classes[1].sum(axis=1), borrowers, atol=1e-6)
    np.testing.assert_array_equal(result.by_firm.classes[0], 0)
    national = result.to_frame().set_index("option").loc["h"]
    assert np.isclose(sum(national[c] for c in CLASSES), borrowers.sum())
    # decisive less harmed is exactly the fall in the number that runs out
    fall = result.to_frame().set_index("option")["illiquid_companies"]
    assert np.isclose(national["decisive"] - result.harmed["h"], fall["none"] - fall["h"])


@settings(max_examples=20, deadline=None)
@given(firms(), holidays, st.floats(0, 2))
def test_a_longer_holiday_never_makes_fewer_survive_within_it(
    frame: pd.DataFrame, holiday: Holiday, more: float
) -> None:
    longer = Holiday("longer", holiday.covers, holiday.months + more, holiday.accrues, catch_up=holiday.catch_up)
    result = relief(frame, options=(holiday, longer), horizon=9, draws=5, as_of=DAY)
    within = int(np.floor(holiday.months))
    short, long = result.by_firm.illiquid[1][:, :within], result.by_firm.illiquid[2][:, :within]
    assert (long <= short + 1e-6).all()
    none = result.by_firm.illiquid[0][:, :within]
    assert (short <= none + 1e-6).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(MONEY, MONEY, MONEY), min_size=1, max_size=5), holidays, st.floats(0, 3))
def test_every_due_is_paid_deferred_or_waived_and_all_is_repaid(
    rows: list[tuple[int, int, int]], holiday: Holiday, start: float
) -> None:
    owed, interest, principal = (np.array(c, dtype=np.float64) for c in zip(*rows, strict=True))
    interest = np.minimum(interest, owed * 0.05)
    principal = np.where(owed > 0, np.minimum(principal, owed), 0.0)
    loans = Loans(owed, np.floor(interest), principal)
    horizon = 12
    plan = schedule(loans, holiday, horizon=horizon, start=start)
    for array in (plan.paid, plan.deferred_interest, plan.deferred_principal, plan.waived, plan.owed):
        assert (array >= 0).all()
    if holiday.accrues:
        assert plan.waived.sum() == 0
    else:
        assert plan.deferred_interest.sum() == 0
    # cash deferred or waived is what the same balance would have had to pay, less what is paid
    rate = np.divide(loans.interest, owed, out=np.zeros_like(owed), where=owed > 0)
    for t in range(horizon - 1):
        repaid = plan.owed[:, t] + plan.deferred_interest[:, t] - plan.owed[:, t + 1]
        charged = plan.paid[:, t] - repaid + plan.waived[:, t] + plan.deferred_interest[:, t]
        np.testing.assert_allclose(charged, rate * plan.owed[:, t], atol=2.0)
    if holiday.accrues:
        # accruing interest raises what is still owed or paid later, never lowers it
        plain = schedule(loans, NONE, horizon=horizon)
        assert (plan.owed[:, -1] >= plain.owed[:, -1]).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 5), holidays)
def test_accruing_interest_raises_later_dues(principal: int, months: int, shape: Holiday) -> None:
    loans = Loans(np.array([principal * 60.0]), np.array([principal * 0.3]), np.array([float(principal)]))
    accruing = Holiday("a", shape.covers, months, accrues=True, catch_up=shape.catch_up)
    free = Holiday("f", shape.covers, months, accrues=False, catch_up=shape.catch_up)
    later = slice(months, 12)
    with_interest = schedule(loans, accruing, horizon=12).paid[0, later].sum()
    without = schedule(loans, free, horizon=12).paid[0, later].sum()
    assert with_interest >= without - 12
    if shape.covers != "principal" and principal > 1000:
        assert with_interest > without


@settings(max_examples=25, deadline=None)
@given(firms(), st.integers(1, 4))
def test_the_share_reached_begins_at_all_and_lies_within_bounds(frame: pd.DataFrame, months: int) -> None:
    result = relief(frame, options=(Holiday("h", "both", months),), horizon=8, draws=6, as_of=DAY)
    if result.by_firm.classes[1][:, 0].sum() == 0:
        return
    try:
        found = deadline(result, weeks=20)
    except FitError:  # those whom it saves run out later than that
        return
    assert found.table["share_reached"].iloc[0] == 100
    assert found.table["share_reached"].between(0, 100).all()
    national = result.to_frame().set_index("option").loc["h", "decisive"]
    assert found.decisive <= national + 1e-9
