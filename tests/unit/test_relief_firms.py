"""The frame of firms and the habits, made from a room's tables."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import DataError, UsageError
from opsroom.decide.relief import FIRM_COLUMNS, Habits, firms_from_tables
from opsroom.decide.relief.habits import usual_year
from opsroom.decide.relief.panel import company_panel, month_number
from opsroom.decide.relief.rehearsal import rehearse
from opsroom.decide.relief.response import Response

DAY = dt.date(2020, 3, 16)


def register(**given: object) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "enterprise_id": [1, 1, 2, 3, 4],
            "valid_from": pd.to_datetime(["2015-01-01", "2020-02-01", "2015-01-01", "2015-01-01", "2015-01-01"]),
            "legal_form": ["LTD", "LTD", "SOLE", "LTD", "PLC"],
            "group_id": [10, 10, 20, 30, 40],
            "section": ["C", "G", "C", "C", "C"],
            "region": "R01",
            "size_class": "small",
            "employees": [5, 6, 1, 9, 7],
            "died": pd.to_datetime([None, None, None, "2020-01-31", None]),
        }
    )
    return rows.assign(**given)


def months(start: str, periods: int) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=periods, freq="MS")


def accounts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "enterprise_id": np.repeat([1, 2, 3], 13),
            "month": np.tile(months("2019-01-01", 13), 3),
            "cash": 1_000,
            "undrawn_credit": 50,
            "fixed_costs": 40,
            "materials_ppm": 500_000,
            "tax_due": 10,
        }
    )


def firm_months() -> pd.DataFrame:
    frame = pd.DataFrame({"enterprise_id": 1, "month": months("2019-01-01", 14), "sales": 200, "wage_bill": 60})
    frame.loc[frame["month"] >= "2020-01-01", "sales"] = 120
    frame.loc[frame["month"] == "2020-02-01", "sales"] = 40
    return frame


def loans() -> pd.DataFrame:
    base = {"enterprise_id": 1, "days_past_due": 0, "forborne": False, "rate_bp": 400}
    rows = [
        base | {"loan_id": 1, "month": "2020-01-01", "outstanding": 3_000, "interest_due": 9,
        "principal_due": 20,
                "secured_ppm": 800_000, "guarantee_ppm": 0, "lender_id": 7},
        base | {"loan_id": 2, "month": "2020-01-01", "outstanding": 1_000, "interest_due": 3,
        "principal_due": 10,
                "secured_ppm": 0, "guarantee_ppm": 400_000, "lender_id": 8, "days_past_due": 45, "forborne":
                True},
        base | {"loan_id": 3, "month": "2019-06-01", "outstanding": 500, "interest_due": 3, "principal_due":
        10,
                "secured_ppm": 0, "guarantee_ppm": 0, "lender_id": 9},
        base | {"loan_id": 1, "month": "2020-05-01", "outstanding": 9_999, "interest_due": 9,
        "principal_due": 9,
                "secured_ppm": 0, "guarantee_ppm": 0, "lender_id": 7},
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_firm_by_hand() -> None:
    firms = firms_from_tables(register(), accounts(), loans(), firm_months(), as_of=DAY, roll=False)
    assert list(firms.columns) == [*FIRM_COLUMNS, "sales_before", "rolled", "rolled_gap"]
    assert len(firms) == 1  # 2 is a sole trader, 3 has died, 4 has no accounts
    row = firms.iloc[0]
    assert (row["section"], row["employees"]) == ("G", 6)  # as registered since February
    assert (row["sales_normal"], row["sales_now"], row["sales_before"]) == (200, 40, 40)
    assert (row["outstanding"], row["interest_due"], row["principal_due"]) == (4_000, 12, 30)
    assert (row["secured_ppm"], row["guarantee_ppm"], row["lender_id"]) == (600_000, 100_000, 7)
    assert (row["days_past_due"], bool(row["forborne"])) == (45, True)


def test_cash_is_carried_forward_from_the_accounts_to_the_beginning_of_the_month() -> None:
    """Accounts end in January; February had sales of 40."""
    firms = firms_from_tables(register(), accounts(), loans(), firm_months(), as_of=DAY)
    flow = 40 // 2 - 40 - 60 - 10
    assert firms["cash"].item() == 1_000 + flow - 42
    assert (firms["rolled"].item(), firms["rolled_gap"].item()) == (flow, round(0.8 * 100))
    moving = Habits(wage_flex=0.5, tax_flex=1.0, cushion=0.5)
    eased = firms_from_tables(register(), accounts(), loans(), firm_months(), as_of=DAY, habits=moving)
    flow = 20 - 40 - (60 - 30 * 0.8) - (10 - 10 * 0.8)
    assert eased["cash"].item() == 1_000 + flow // 2 - 42
    assert eased["rolled_gap"].item() == round(0.8 * (100 - 30 - 10))


def test_sales_since_the_accounts_are_those_of_the_activity_measured() -> None:
    reported = firm_months()
    reported = reported[reported["month"].astype(str) < "2020-02"]
    known = pd.DataFrame({"enterprise_id": [1], "month": [pd.Timestamp("2020-02-01")], "capacity": [0.5]})
    firms = firms_from_tables(
        register(), accounts(), loans(), reported, as_of=DAY, activity_months=known, response=Response(0.8, 0.1)
    )
    assert firms["sales_before"].item() == 120
    assert firms["cash"].item() == 1_000 + 60 - 110 - 42


def test_known_activity_comes_before_reported_sales() -> None:
    states = pd.DataFrame({"enterprise_id": [1, 99], "capacity": [0.35, 1.0]})
    firms = firms_from_tables(register(), accounts(), loans(), firm_months(), states, as_of=DAY, roll=False)
    assert firms["sales_now"].item() == 70
    stale = firms_from_tables(
        register(), accounts(), loans(), firm_months(), as_of=dt.date(2020, 9, 1), roll=False,
        normal_until=dt.date(2019, 12, 31),
    )  # fmt: skip
    assert stale["sales_now"].item() == 200


def test_nobody_left_is_an_error() -> None:
    with pytest.raises(DataError, match="OPS-D076"):
        firms_from_tables(register(legal_form="SOLE"), accounts(), loans(), firm_months(), as_of=DAY)


def panel(n: int = 200, *, flex: float, lag: float, cushion: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return accounts and months of companies with known habits, in a slump since January."""
    rng = np.random.default_rng(1)
    index = months("2018-07-01", 20)
    rows, books = [], []
    for firm in range(n):
        base = float(rng.integers(50_000, 500_000))
        act = np.where(index >= "2020-01-01", rng.uniform(0.1, 0.5), 1.0)
        sales = base * act
        then = np.r_[base, sales[:-1]]
        receipts = (1 - lag) * sales + lag * then
        wages, tax, fixed = 0.3 * base * (1 - flex * (1 - act)), 0.05 * sales, 0.14 * base
        flow = 0.5 * receipts - wages - tax - fixed
        flow = np.where(flow < 0, (1 - cushion) * flow, flow)
        cash = 3 * base + np.cumsum(flow)
        rows.append(
            pd.DataFrame(
                {
                    "enterprise_id": firm,
                    "month": index,
                    "sales": sales.round().astype(np.int64),
                    "wage_bill": wages.round().astype(np.int64),
                    "payments_in": receipts.round().astype(np.int64),
                }
            )
        )
        books.append(pd.DataFrame({"enterprise_id": firm, "month": index, "cash":
        cash.round().astype(np.int64),
                                   "undrawn_credit": 0, "fixed_costs": int(fixed), "materials_ppm": 500_000,
                                   "tax_due": tax.round().astype(np.int64)}))  # fmt: skip
    return pd.concat(books, ignore_index=True), pd.concat(rows, ignore_index=True)


def test_habits_are_recovered_from_company_months() -> None:
    books, rows = panel(flex=0.4, lag=0.3, cushion=0.25)
    found = Habits().fit(books, rows, as_of=dt.date(2020, 3, 1))
    assert found.wage_flex == pytest.approx(0.4, abs=0.01)
    assert found.tax_flex == pytest.approx(1.0, abs=0.01)
    assert found.receipt_lag == pytest.approx(0.3, abs=0.01)
    assert found.cushion == pytest.approx(0.25, abs=0.02)


def test_habits_stay_where_too_little_is_known() -> None:
    books, rows = panel(5, flex=0.4, lag=0.3, cushion=0.0)
    prior = Habits(0.1, 0.2, 0.15, 0.05)
    found = prior.fit(books, rows.drop(columns="payments_in"), as_of=dt.date(2019, 12, 15))
    assert found == prior
    with pytest.raises(UsageError, match="OPS-U084"):
        Habits(wage_flex=1.5)


def test_sales_answer_activity_as_months_in_the_slump_show() -> None:
    books, rows = panel(flex=0.4, lag=0.3, cushion=0.0)
    known = company_panel(books, rows, as_of=dt.date(2020, 3, 1))
    base = usual_year(known)[0]
    slump = known.column(month_number(dt.date(2020, 1, 1)))
    share = known.sales[:, slump] / base
    activity = pd.DataFrame(
        {"enterprise_id": known.ids, "month": pd.Timestamp("2020-01-01"), "capacity": 1.0 - (1.0 - share) / 0.7}
    )
    found = Response().fit(known, activity)
    assert 0.7 < found.share < 0.8
    assert found.error < Response().error
    slight = activity.assign(capacity=0.9)  # a fall that a season may be as well tells nothing
    assert Response().fit(known, slight) == Response()


def test_wages_follow_what_activity_moves_and_not_the_noise_of_sales() -> None:
    rng = np.random.default_rng(3)
    books, rows = panel(400, flex=0.4, lag=0.3, cushion=0.0)
    last = rows["month"] == rows["month"].max()
    activity = rows.loc[last, ["enterprise_id"]].copy()
    base = rows[rows["month"] < "2019-12-01"].groupby("enterprise_id")["sales"].mean()
    activity["capacity"] = rows[last]["sales"].to_numpy() / base.reindex(activity["enterprise_id"]).to_numpy()
    noisy = rows.assign(sales=np.rint(rows["sales"] * rng.uniform(0.3, 1.7, len(rows))).astype(np.int64))
    found = Habits().fit(books, noisy, as_of=dt.date(2020, 3, 1), activity=activity)
    assert found.wage_flex == pytest.approx(0.4, abs=0.08)
    assert Habits().fit(books, noisy, as_of=dt.date(2020, 3, 1)).wage_flex < found.wage_flex - 0.03


def test_a_rehearsal_finds_the_cushion_that_agrees_with_who_ran_out() -> None:
    """Companies with 0.2 to 1.8 months of burn left: with half of it cushioned, fewer run out than expected."""
    rng = np.random.default_rng(5)
    index = months("2018-07-01", 20)
    books, rows = [], []
    for company in range(600):
        act = np.where(index >= "2020-01-01", 0.2, 1.0)
        left = rng.uniform(0.2, 1.8) * 30_000
        drained = np.cumsum(np.where(index >= "2020-01-01", 0.5 * 30_000, 0))
        cash = np.maximum(left - drained, 0)
        rows.append(pd.DataFrame({"enterprise_id": company, "month": index, "sales": (100_000 * act).astype(np.int64),
                                  "wage_bill": 40_000, "payments_in": (100_000 * act).astype(np.int64)}))  # fmt: skip
        books.append(pd.DataFrame({"enterprise_id": company, "month": index, "cash": cash.astype(np.int64),
                                   "undrawn_credit": 0, "fixed_costs": 0, "materials_ppm": 500_000,
                                   "tax_due": 0}))  # fmt: skip
    known = company_panel(pd.concat(books), pd.concat(rows), as_of=dt.date(2020, 3, 1))
    none = pd.DataFrame({"enterprise_id": [], "month": pd.to_datetime([]), "interest_due": [], "principal_due": [],
                         "forborne": []})  # fmt: skip
    found = rehearse(known, none, Habits())
    assert found.table["month"].tolist() == ["2019-12", "2020-01", "2020-02"]
    assert (found.table["expected"] >= found.table["observed"]).all()
    assert 0.15 < found.habits.cushion <= 0.5  # two months that disagree on how much do not outweigh all doubt
    assert 0.2 < found.habits.cushion_error < 0.4
    calm = rehearse(company_panel(pd.concat(books), pd.concat(rows), as_of=dt.date(2019, 12, 1)), none, Habits())
    assert calm.habits.cushion == 0  # nobody ran out: nothing is learnt
    assert calm.habits.cushion_error > 0
