"""Relief against hand-computed cases, closed forms and a brute-force recursion in plain Python."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import DataError, FitError, NotFoundError, UsageError
from opsroom.base.results import TOTAL, Charted, Result
from opsroom.decide.relief import (
    NONE,
    Habits,
    Holiday,
    Losses,
    Recovery,
    ReliefResult,
    deadline,
    liquidity,
    relief,
)
from opsroom.decide.relief.buffers import runway_days
from opsroom.decide.relief.kernel import (
    ONE,
    compiled_paths,
    first_shortfall,
    first_shortfall_numpy,
    liquidity_paths,
)
from opsroom.decide.relief.options import Loans, Plans, schedule
from opsroom.decide.relief.publish import WHOLE
from opsroom.decide.relief.run import loans_of, make_problem
from opsroom.decide.relief.tally import CLASSES

DAY = dt.date(2020, 3, 4)
FLAT = Recovery(half_life=1.0, spread=0, section_spread=0, scar=0, relapse=0, idiosyncratic=0)
"""No uncertainty at all: with sales at normal, every draw is the same."""


def firm(number: int = 1, **given: object) -> dict[str, object]:
    """Return a company with 100 of receipts a month and nothing to pay, unless said otherwise."""
    row: dict[str, object] = {
        "enterprise_id": number, "group_id": number, "section": "C", "region": "R01", "size_class": "small",
        "employees": 10, "cash": 0, "undrawn_credit": 0, "fixed_costs": 0, "wage_bill": 0, "materials_ppm": 0,
        "sales_normal": 100, "sales_now": 100, "tax_due": 0, "interest_due": 0, "principal_due": 0,
        "outstanding": 0, "days_past_due": 0, "forborne": False, "secured_ppm": 0, "guarantee_ppm": 0,
        "lender_id": 1, "rate_bp": 400,
    }  # fmt: skip
    return row | given


def fake(n: int, seed: int = 0) -> pd.DataFrame:
    """Return companies drawn at random."""
    r = np.random.default_rng(seed)
    sales = r.lognormal(14.5, 1.2, n).astype(np.int64)
    materials = r.uniform(0.3, 0.6, n)
    margin = sales * (1 - materials)
    loan = r.random(n) < 0.6
    owed = np.where(loan, sales * r.uniform(1, 10, n), 0).astype(np.int64)
    return pd.DataFrame(
        {
            "enterprise_id": np.arange(1, n + 1) * 7,
            "group_id": np.arange(1, n + 1) // 2,
            "section": r.choice(list("CFGI"), n),
            "region": "R01",
            "size_class": r.choice(["micro", "small", "medium", "large"], n),
            "employees": 1 + sales // 300_000,
            "cash": (sales * r.exponential(1.0, n)).astype(np.int64) - 1_000,
            "undrawn_credit": (sales * r.exponential(0.3, n) * loan).astype(np.int64),
            "fixed_costs": (margin * 0.25).astype(np.int64),
            "wage_bill": (margin * 0.55).astype(np.int64),
            "materials_ppm": (materials * 1e6).astype(np.int64),
            "sales_normal": sales,
            "sales_now": (sales * r.beta(3, 2, n)).astype(np.int64),
            "tax_due": (margin * 0.05).astype(np.int64),
            "interest_due": (owed * 0.004).astype(np.int64),
            "principal_due": (owed * 0.02).astype(np.int64),
            "outstanding": owed,
            "days_past_due": 0,
            "forborne": False,
            "secured_ppm": r.integers(0, 900_000, n),
            "guarantee_ppm": r.choice([0, 500_000], n),
            "lender_id": r.integers(1, 9, n),
            "rate_bp": 480,
        }
    )


def both(months: float, **given: Any) -> Holiday:
    return Holiday("h", "both", months, **given)


def run(rows: list[dict[str, object]], *options: Holiday, **given: Any) -> ReliefResult:
    settings: dict[str, Any] = {"horizon": 12, "draws": 3, "as_of": DAY, "recovery": FLAT} | given
    return relief(pd.DataFrame(rows), options=options, **settings)


def first_month(result: ReliefResult, option: str, row: int = 0) -> int:
    """Return the month (1-based) in which a company runs out for certain, 0 for never."""
    path = result.by_firm.illiquid[result.option(option)][row]
    assert set(path) <= {0.0, 1.0}
    return int(path.argmax()) + 1 if path.any() else 0


# -- the recursion ------------------------------------------------------------------------------


@pytest.mark.parametrize(("cash", "month"), [(0, 1), (29, 1), (30, 2), (59, 2), (60, 3), (359, 12), (360, 0)])
def test_constant_burn_lasts_cash_over_burn(cash: int, month: int) -> None:
    """Receipts 100, outgoings 130: it can pay 30 a month for exactly cash // 30 months."""
    result = run([firm(cash=cash, fixed_costs=80, wage_bill=40, tax_due=10)])
    assert first_month(result, "none") == month


def test_undrawn_credit_counts_and_negative_cash_is_at_once() -> None:
    result = run([firm(1, cash=-10, undrawn_credit=70, fixed_costs=130), firm(2, cash=-10), firm(3)])
    assert [first_month(result, "none", k) for k in range(3)] == [3, 1, 0]


def test_materials_move_with_sales_and_wages_only_if_told() -> None:
    row = firm(cash=100, materials_ppm=400_000, wage_bill=60, sales_now=0)
    stuck = Recovery(half_life=24, spread=0, section_spread=0, scar=0.5, relapse=0, idiosyncratic=0)
    rigid = run([row], recovery=stuck)
    flexible = run([row], recovery=stuck, habits=Habits(wage_flex=1.0))
    # nothing sold, nothing bought: wages of 60 are paid out of 100 once
    assert first_month(rigid, "none") == 2
    assert first_month(flexible, "none") == 0


def test_kernel_equals_its_numpy_twin_to_the_last_bit() -> None:
    firms = fake(400).assign(sales_before=lambda f: f["sales_normal"], rolled=lambda f: -(f["cash"] // 2))
    firms = firms.assign(rolled_gap=lambda f: f["sales_normal"] // 3)
    loans = loans_of(firms)
    plans = [schedule(loans, o, horizon=9) for o in (NONE, both(3), both(4.5, catch_up=2))]
    problem = make_problem(
        firms, Plans.of(plans).dues, Recovery(response_error=0.2), sections=list("CFGI"), draws=17, seed=5,
        habits=Habits(0.4, 0.9, 0.3, 0.2, 0.3), since=0.3,
    )  # fmt: skip
    assert len(np.unique(problem.keep)) == len(np.unique(problem.lost)) == 17
    ours, twin = first_shortfall(problem), first_shortfall_numpy(problem)
    for name in ("months", "unpaid", "unpaid_by_draw"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(twin, name))
    assert 0 < (ours.months < 9).mean() < 1
    for compiled, plain in zip(compiled_paths(problem), liquidity_paths(problem), strict=True):
        np.testing.assert_array_equal(compiled, plain)


def test_kernel_equals_brute_force_in_plain_python() -> None:
    firms = fake(60, seed=3).assign(sales_before=lambda f: f["sales_now"])
    loans = loans_of(firms)
    plans = [schedule(loans, o, horizon=6) for o in (NONE, both(2))]
    still = Recovery(idiosyncratic=0.0)
    sections = list("CFGI")
    problem = make_problem(
        firms, Plans.of(plans).dues, still, sections=sections, draws=5, seed=1, habits=Habits(0.5, 1.0, 0.25, 0.5)
    )
    paths = still.paths(sections, horizon=6, draws=5, seed=1)
    got = first_shortfall(problem).months
    for i, row in enumerate(firms.to_dict("records")):
        gap = round((1 - min(max(row["sales_now"] / row["sales_normal"], 0), 2)) * ONE)
        margin = row["sales_normal"] * (1_000_000 - row["materials_ppm"]) // 1_000_000
        for o, plan in enumerate(plans):
            for d in range(5):
                have, month, then = row["cash"] + row["undrawn_credit"], 6, ONE - gap
                moving = round(0.5 * row["wage_bill"] + 1.0 * row["tax_due"])
                bills = row["fixed_costs"] + row["wage_bill"] + row["tax_due"] - moving
                for t in range(6):
                    if have < 0:
                        month = 0
                        break
                    g = round(paths[sections.index(row["section"]), t, d] * ONE)
                    activity = min(max(ONE - (gap * g >> 20), 0), 2 * ONE)
                    paid = activity + ((then - activity) * (ONE // 4) >> 20)
                    flow = (margin * paid >> 20) - (moving * activity >> 20) - bills
                    have += (flow if flow >= 0 else flow * (ONE // 2) >> 20) - int(plan.paid[i, t])
                    then = activity
                    if have < 0:
                        month = t
                        break
                assert got[o, i, d] == month


def test_a_companys_luck_does_not_depend_on_the_others_or_on_order() -> None:
    firms = fake(200)
    whole = relief(firms, options=("holiday_both",), as_of=DAY, draws=20)
    some = firms[firms["section"].isin(["C", "I"])].sample(frac=1.0, random_state=1)
    part = relief(some, options=("holiday_both",), as_of=DAY, draws=20)
    inside = whole.firms["enterprise_id"].isin(some["enterprise_id"]).to_numpy()
    np.testing.assert_array_equal(whole.by_firm.illiquid[:, inside], part.by_firm.illiquid)
    again = relief(firms, options=("holiday_both",), as_of=DAY, draws=20)
    pd.testing.assert_frame_equal(whole.to_frame(), again.to_frame())


# -- classes ------------------------------------------------------------------------------------


def test_one_company_of_each_class_by_hand() -> None:
    """Loan service 50 a month, a holiday of 3 months out of 6; deferred sums are appended to the term."""
    loan = {"interest_due": 0, "principal_due": 50, "outstanding": 5_000}
    rows = [
        firm(1, cash=150, fixed_costs=100, **loan),  # 150 pays 3 of 6 dues; with the holiday 3 remain: decisive
        firm(2, cash=300, fixed_costs=100, **loan),  # pays all six: windfall
        firm(3, cash=40, fixed_costs=145, **loan),  # burns 45 even without dues: futile
        firm(4, cash=60, fixed_costs=100, **loan),  # 60 pays one due: gone in month 2, or in month 5: cliff
        firm(5, cash=60, fixed_costs=100),  # no loan: not covered
    ]
    result = run(rows, both(3), horizon=6)
    assert [first_month(result, "none", k) for k in range(5)] == [4, 0, 1, 2, 0]
    assert [first_month(result, "h", k) for k in range(5)] == [0, 0, 1, 5, 0]
    table = result.firm_classes("h")
    assert list(table["modal"]) == ["decisive", "windfall", "futile", "cliff"]
    assert list(table["enterprise_id"]) == [1, 2, 3, 4]
    national = result.to_frame().set_index("option").loc["h"]
    assert [national[c] for c in CLASSES] == [1, 1, 1, 1]
    assert national["jobs_decisive"] == 10
    assert national["deferred"] == 4 * 3 * 50


def test_company_that_fails_after_expiry_either_way_is_futile_not_cliff() -> None:
    loan = {"principal_due": 50, "outstanding": 5_000}
    # without: 220 pays four dues, gone in month 5, after the holiday's end; with: later, but gone before 12
    result = run([firm(cash=220, fixed_costs=100, **loan)], both(3), horizon=12)
    assert first_month(result, "none") == 5
    assert first_month(result, "h") == 8
    assert result.firm_classes("h")["modal"].item() == "futile"


def test_company_felled_by_what_it_must_catch_up_is_cliff_and_counted_as_harmed() -> None:
    # it breaks even with its dues, and keeps what it does not pay: only interest on the deferred can fell it
    due = {"interest_due": 40, "principal_due": 10, "outstanding": 1_000}
    hard = run([firm(cash=0, fixed_costs=50, **due)], both(6, catch_up=1), horizon=12)
    assert first_month(hard, "none") == 0
    assert first_month(hard, "h") == 7
    assert hard.firm_classes("h")["modal"].item() == "cliff"
    assert hard.harmed["h"] == 1


# -- schedules ----------------------------------------------------------------------------------

LOAN = Loans(np.array([12_000.0]), np.array([120.0]), np.array([1_000.0]))  # one per cent a month, a year to go


def test_amortisation_without_a_holiday() -> None:
    plan = schedule(LOAN, NONE, horizon=14)
    assert plan.paid[0, :3].tolist() == [1_120, 1_110, 1_100]
    assert plan.paid[0, 11:].tolist() == [1_010, 0, 0]
    assert plan.owed[0, [0, 1, 12]].tolist() == [12_000, 11_000, 0]
    assert plan.deferred.sum() == plan.waived.sum() == 0


def test_interest_holiday_accrues_and_compounds() -> None:
    plan = schedule(LOAN, Holiday("h", "interest", 2), horizon=14)
    assert plan.paid[0, :2].tolist() == [1_000, 1_000]
    assert plan.deferred_interest[0, :2].tolist() == [120, 111]  # 1 % of 11,000 and of the 120 deferred
    assert plan.paid[0, 2] == 1_000 + 100 + 2  # 1 % of 10,000, and of the 231 deferred
    assert plan.paid[0, 12] == 231 + 2  # appended to the term
    assert plan.owed[0, 13] == 0


def test_waived_interest_is_never_paid() -> None:
    plan = schedule(LOAN, Holiday("h", "both", 2, accrues=False), horizon=15)
    assert plan.paid[0, :2].tolist() == [0, 0]
    assert plan.waived[0, :3].tolist() == [120, 120, 0]  # on the whole 12,000, postponed or not
    assert plan.deferred[0] == 2_000
    assert plan.owed[0, 2] == 12_000


def test_principal_holiday_keeps_interest_on_what_is_postponed() -> None:
    accruing = schedule(LOAN, Holiday("h", "principal", 2), horizon=4)
    assert accruing.paid[0].tolist() == [120, 120, 1_120, 1_110]
    free = schedule(LOAN, Holiday("h", "principal", 2, accrues=False), horizon=4)
    assert free.paid[0].tolist() == [120, 110, 1_120, 1_110]
    assert free.waived[0].tolist() == [0, 10, 0, 0]


def test_catch_up_over_two_months_and_half_a_month_of_holiday() -> None:
    plan = schedule(LOAN, Holiday("h", "principal", 2, catch_up=2), horizon=5)
    assert plan.paid[0].tolist() == [120, 120, 2_120, 2_100, 1_080]
    half = schedule(LOAN, Holiday("h", "principal", 0.5), horizon=2)
    assert half.deferred_principal[0].tolist() == [500, 0]
    late = schedule(LOAN, Holiday("h", "principal", 1), horizon=3, start=0.75)
    assert late.deferred_principal[0].tolist() == [250, 750, 0]


def test_only_covered_companies_get_a_holiday() -> None:
    two = Loans(*(np.repeat(x, 2) for x in (LOAN.outstanding, LOAN.interest, LOAN.principal)))
    plan = schedule(two, both(3), horizon=6, covered=np.array([True, False]))
    assert plan.deferred[0] > 0
    assert plan.deferred[1] == 0
    np.testing.assert_array_equal(plan.paid[1], schedule(LOAN, NONE, horizon=6).paid[0])


# -- money, options, deadline -------------------------------------------------------------------


def test_doing_nothing_defers_nothing_and_classifies_nobody() -> None:
    result = relief(fake(300), as_of=DAY, draws=10)
    none = result.to_frame().set_index("option").loc["none"]
    zero = [c for c in none.index if c.split("_")[0] in (*CLASSES, "deferred", "outlay", "expected", "contingent")]
    zero += [c for c in none.index if c.startswith("jobs_") and not c.startswith("jobs_at_risk")]
    assert len(zero) > 30
    assert (none[zero] == 0).all()
    assert none["illiquid_companies"] > 0


def test_money_is_never_added_up_and_deferral_is_not_a_cost() -> None:
    result = relief(fake(200), as_of=DAY, draws=5)
    names = [*result.to_frame().columns, *result.cells()[0].frame.columns]
    assert not [n for n in names if "total" in n.lower() or n.lower().startswith("cost")]
    assert not hasattr(result, "total")


def test_expected_loss_by_bearer_by_hand() -> None:
    """One company, certain to run out without relief in month 2 and saved by it: banks and state gain."""
    row = firm(
        cash=50,
        fixed_costs=100,
        principal_due=50,
        outstanding=5_000,
        secured_ppm=500_000,
        guarantee_ppm=250_000,
    )
    rule = Losses(fails_if_illiquid=0.4, collateral_recovery=0.6, unsecured_recovery=0.0)
    result = run([row], both(5), horizon=6, losses=rule)
    loss = 0.4 * (1 - 0.5 * 0.6) * 4_950
    money = result.money.set_index("option").loc["h"]
    assert result.without_action["expected_loss_bank"] == pytest.approx(0.75 * loss, abs=2)
    assert money["expected_loss_bank"] == pytest.approx(-0.75 * loss, abs=2)
    assert money["expected_loss_state"] == pytest.approx(-0.25 * loss, abs=2)
    # of the 50 that are missing, up to the outgoings of 100, all is owed to others than state and bank
    assert money["expected_loss_other"] == pytest.approx(-0.4 * 50)
    assert money["contingent"] == pytest.approx(0.25 * 250)
    assert money["outlay"] == 0


def test_waived_interest_is_outlay_or_banks_loss_never_both() -> None:
    row = firm(cash=10_000, interest_due=20, principal_due=30, outstanding=5_000)
    state, bank = (
        run([row], both(3, accrues=False, waived_by=who)).money.set_index("option").loc["h"]
        for who in ("state", "bank")
    )
    assert (state["outlay"], state["expected_loss_bank"]) == (60, 0)
    assert (bank["outlay"], bank["expected_loss_bank"]) == (0, 60)
    assert state["deferred"] == bank["deferred"] == 90


def test_targeted_option_defers_the_same_sum_to_fewer_sections() -> None:
    result = relief(fake(400), as_of=DAY, draws=10)
    money = result.money.set_index("option")["deferred"]
    assert money["holiday_targeted"] == pytest.approx(money["holiday_both"], rel=1e-4)
    targeted = result.basis.options[result.option("holiday_targeted")]
    assert targeted.sections is not None
    assert 0 < len(targeted.sections) < 4
    assert targeted.length > 6


def test_deadline_of_one_company_by_hand() -> None:
    """Dues of 50 fall evenly, cash is 100: with 2 of 4 months free it survives if they start by month 2."""
    row = firm(cash=100, fixed_costs=100, principal_due=50, outstanding=5_000)
    result = run([row], both(2), horizon=4)
    found = deadline(result, weeks=20)
    share = found.table.set_index("start")["share_reached"]
    # 8 weeks are 1.84 months: liquidity 8 is left; 9 weeks are 2.07 months: it is gone
    assert share["2020-04-29"] == 100
    assert share["2020-05-06"] == 0
    assert found.last_date == dt.date(2020, 4, 29)
    assert found.decisive == 1
    early = deadline(result, weeks=20, lead_days=14)
    assert early.last_date == dt.date(2020, 4, 15)
    assert "2020-04-29" in found.summary()
    (cells,) = found.cells()
    assert cells.facts["last_date_half"] == "2020-04-29"
    rows = cells.frame.set_index("start")
    assert rows.loc["2020-04-29", ["n_reached", "n_decisive"]].tolist() == [1, 1]
    assert rows.loc["2020-05-06", ["n_reached", "n_decisive"]].tolist() == [0, 1]


def test_deadline_without_any_decisive_company_is_refused() -> None:
    result = run([firm(cash=1_000, principal_due=1, outstanding=10)], both(2))
    with pytest.raises(FitError, match="OPS-M070"):
        deadline(result)
    with pytest.raises(UsageError, match="OPS-U083"):
        deadline(result, option="none")
    with pytest.raises(NotFoundError, match="OPS-N070"):
        deadline(result, option="other")


def test_recovery_is_estimated_from_an_index() -> None:
    days = pd.date_range("2020-02-10", periods=40, freq="D")
    capacity = 1 - 0.6 * 0.5 ** ((days - days[0]).days / 30.4375 / 1.5)
    fitted = Recovery().fit(pd.DataFrame({"date": days, "capacity": capacity}))
    # weeks without error count as much as the assumption: both differ from the months to come alike
    assert fitted.half_life == pytest.approx((1.5 * 2.5) ** 0.5, rel=0.02)
    assert fitted.spread == pytest.approx(0.4 * 0.5**0.5, abs=0.01)
    falling = Recovery().fit(pd.DataFrame({"date": days, "capacity": capacity[::-1]}))
    assert falling.half_life == pytest.approx((24 * 2.5) ** 0.5)
    assert falling.spread == Recovery().spread
    assert Recovery().fit(pd.DataFrame({"date": days, "capacity": 1.0})) == Recovery()
    with pytest.raises(DataError, match="OPS-D070"):
        Recovery().fit(pd.DataFrame({"date": days}))


def test_recovery_paths_close_the_gap_and_common_luck_is_common() -> None:
    path = Recovery(relapse=0).paths(["C", "G"], horizon=12, draws=500, seed=1)
    assert (np.diff(path.mean(axis=2)) < 0).all()
    assert ((path >= 0) & (path <= 1)).all()
    assert np.corrcoef(path[0, 3], path[1, 3])[0, 1] > 0.7
    calm, waves = (
        Recovery(relapse=p, spread=0, section_spread=0, scar=0).paths(["C"], horizon=12, draws=50, seed=1)[0]
        for p in (0, 1)
    )
    assert (waves >= calm).all()
    assert (waves > calm + 0.02).any(axis=0).all()


# -- the frame of liquidity ----------------------------------------------------------------------


def test_runway_in_days_by_hand() -> None:
    month = 365.25 / 12
    frame = pd.DataFrame(
        [
            firm(1, cash=30, fixed_costs=130),
            firm(2, cash=30, undrawn_credit=30, fixed_costs=120, principal_due=10),
            firm(3, cash=-5),
            firm(4, cash=0),
        ]
    )
    np.testing.assert_allclose(runway_days(frame), [month, 2 * month, 0, math.inf])
    np.testing.assert_allclose(runway_days(frame, basis="outgoings")[:2], [30 / 130 * month, 30 / 130 * month])


def test_liquidity_counts_jobs_and_companies_and_adds_up() -> None:
    rows = [firm(1, cash=29, fixed_costs=130, employees=7), firm(2, cash=500, fixed_costs=130, employees=9)]
    found = liquidity(pd.DataFrame(rows), as_of=DAY)
    assert (found.companies, found.jobs) == (1, 7)
    assert "7 of 16 jobs" in found.summary()
    big = liquidity(fake(300), as_of=DAY)
    table = big.to_frame().set_index(["section", "size"])
    parts = table.drop(TOTAL, level="section").drop(TOTAL, level="size")
    assert parts["jobs_short"].sum() == table.loc[(TOTAL, TOTAL), "jobs_short"] == big.jobs
    assert big.cells()[0].name == "liquidity.section"


# -- results and refusals -------------------------------------------------------------------------


def test_results_can_do_what_every_result_can() -> None:
    result = relief(fake(200), as_of=DAY, draws=10)
    assert isinstance(result, Result)
    assert isinstance(result, Charted)
    assert "Illiquid is not failed" in result.summary()
    assert "jobs at risk are not jobs lost" in result.summary()
    assert "seed 0" in result.cite()
    spec = result.chart().to_dict()
    assert "vega-lite" in spec["$schema"]


def test_cells_agree_with_the_result_and_their_sections_add_up() -> None:
    result = relief(fake(300), as_of=DAY, draws=10)
    (cells,) = result.cells({"date": "2020-05-01"})
    assert set(cells.frame["reference"]) == {"2020-03-04"}
    frame = cells.frame.set_index(["option", "month", "section"]).sort_index()
    table = result.to_frame().set_index("option")
    for option in ("none", "holiday_both"):
        row = frame.loc[(option, WHOLE, TOTAL)]
        assert row["illiquid"] == pytest.approx(table.loc[option, "illiquid_companies"], rel=1e-5)
        assert row["n_decisive"] == pytest.approx(table.loc[option, "decisive"], rel=1e-5)
        assert row["m_expected_loss_bank"] == pytest.approx(table.loc[option, "expected_loss_bank"], rel=1e-6)
    below = frame.loc[("holiday_both", WHOLE)].drop(TOTAL)
    assert below["n_cliff"].sum() == pytest.approx(frame.loc[("holiday_both", WHOLE, TOTAL), "n_cliff"])
    # by section, who runs out is shown without action only: the difference would give the decisive
    assert below["illiquid"].isna().all()
    assert frame.loc[("none", WHOLE)].drop(TOTAL)["illiquid"].notna().all()
    months = frame.loc["none"].index.get_level_values("month").unique()
    assert list(months)[:2] == ["2020-04", "2020-05"]
    assert cells.facts["deadline"] == {"date": "2020-05-01"}
    assert cells.facts["interest_accrues"] is True


def test_refusals() -> None:
    good = fake(20)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("OPS-U079", {"options": (both(12),), "horizon": 12}),
        ("OPS-U074", {"options": ("grant",)}),
        ("OPS-U078", {"options": (both(3), both(4))}),
        ("OPS-U080", {"options": (both(3, equal_to="absent"),)}),
        ("OPS-U081", {"options": ("holiday_both", both(1, equal_to="holiday_both", sections=("Z",)))}),
        ("OPS-U077", {"horizon": 0}),
        ("OPS-U077", {"draws": 0}),
        ("OPS-U077", {"level": 90}),
    ]
    for code, given in cases:
        with pytest.raises(UsageError, match=code):
            relief(good, as_of=DAY, **given)
    bad = [
        ("OPS-D072", good.drop(columns="cash")),
        ("OPS-D072", good.iloc[:0]),
        ("OPS-D073", good.assign(cash=good["cash"].where(good.index > 0))),
        ("OPS-D074", good.assign(cash=good["cash"] + 0.5)),
        ("OPS-D074", good.assign(wage_bill=-1)),
        ("OPS-D074", good.assign(materials_ppm=2_000_000)),
        ("OPS-D075", pd.concat([good, good])),
        ("OPS-D071", good.assign(sales_normal=1 << 50)),
    ]
    for code, frame in bad:
        with pytest.raises(DataError, match=code):
            relief(frame, as_of=DAY, draws=2)
    for given in ({"covers": "all"}, {"months": 0}, {"catch_up": 0}, {"guarantee_ppm": -1}):
        with pytest.raises(UsageError, match="OPS-U07"):
            Holiday("h", **given)
    with pytest.raises(UsageError, match="OPS-U075"):
        Recovery(half_life=0)
    with pytest.raises(UsageError, match="OPS-U076"):
        Losses(fails_if_illiquid=2)
