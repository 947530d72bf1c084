"""Delinquency: exclusive states, arrears that a holiday cannot hide, and causes that can be told apart."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from opsroom.base.errors import DataError, UsageError
from opsroom.base.results import TOTAL, Charted, Result
from opsroom.warn.delinquency import DelinquencyResult, delinquency, same_until
from opsroom.warn.loan_states import company_months, loan_states
from opsroom.warn.own_history import own_history

DAY = dt.date(2020, 4, 1)
MONTHS = pd.date_range("2017-07-01", "2020-03-01", freq="MS")


def loan(number: int = 1, **given: object) -> dict[str, object]:
    row: dict[str, object] = {
        "loan_id": number, "enterprise_id": number, "month": "2020-03-01", "outstanding": 100,
        "interest_due": 1, "principal_due": 4, "days_past_due": 0, "forborne": False, "section": "C",
    }  # fmt: skip
    return row | given


def economy(
    n: int = 1_500,
    *,
    seed: int = 0,
    unable: float = 0.02,
    unable_now: float = 0.10,
    skip_now: float = 0.0,
    holiday: float = 0.0,
    sections: str = "CFGI",
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return loans, accounts and collections: in the last two months more cannot pay, and some do not bother.

    Able companies hold 20 months of dues; those unable hold none, but one in eight of them looks able.
    """
    r = np.random.default_rng(seed)
    firm = np.arange(n)
    section = r.choice(list(sections), n)
    owed = (r.lognormal(11, 0.7, n)).astype(np.int64)
    frames, books = [], []
    for month in MONTHS:
        late = month >= MONTHS[-2]
        cannot = r.random(n) < (unable_now if late else unable)
        skips = ~cannot & (r.random(n) < (skip_now if late else 0.0))
        on_holiday = (r.random(n) < holiday) if month == MONTHS[-1] else np.zeros(n, bool)
        due = cannot | skips
        frames.append(
            pd.DataFrame(
                {
                    "loan_id": firm, "enterprise_id": firm, "group_id": firm, "section": section, "month":
                    month, "outstanding": owed, "interest_due": owed // 200, "principal_due": owed // 50,
                    "days_past_due": np.where(due & ~on_holiday, 45, 0), "forborne": on_holiday,
                }
            )
        )  # fmt: skip
        looks = ~cannot | (r.random(n) < 0.125)
        service = owed // 200 + owed // 50
        books.append(
            pd.DataFrame(
                {"enterprise_id": firm, "month": month, "cash": np.where(looks, 20 * service, 0),
                 "undrawn_credit": 0, "fixed_costs": service}
            )
        )  # fmt: skip
    capacity = pd.DataFrame({"month": MONTHS, "capacity_ppm": np.where(MONTHS[-2] <= MONTHS, 300_000, 1_000_000)})
    return pd.concat(frames, ignore_index=True), pd.concat(books, ignore_index=True), capacity


# -- states -------------------------------------------------------------------------------------


def test_states_exclude_each_other_by_days_past_due_and_forbearance() -> None:
    rows = pd.DataFrame({"days_past_due": [0, 29, 30, 89, 90, 120, 0], "forborne": [False] * 5 + [True, True]})
    assert list(loan_states(rows)) == ["performing"] * 2 + ["delinquent"] * 3 + ["forborne"] * 2


def test_shares_by_hand() -> None:
    rows = [
        loan(1, outstanding=600),
        loan(2, outstanding=200, days_past_due=30),
        loan(3, outstanding=100, days_past_due=95),
        loan(4, outstanding=100, days_past_due=95, forborne=True),
        loan(5, outstanding=0, days_past_due=95),
        loan(6, month="2020-05-01"),
    ]
    found = delinquency(pd.DataFrame(rows), as_of=DAY).to_frame()
    row = found[found["section"] == TOTAL].iloc[0]
    assert (row["performing"], row["forborne"], row["delinquent"]) == (60, 10, 30)
    assert (row["early"], row["late"]) == (20, 10)
    assert row["arrears_with_forborne"] == 40
    assert (row["delinquent_companies"], row["arrears_companies"]) == (50, 75)
    assert set(found["month"]) == {"2020-03"}


def test_arrears_do_not_fall_because_a_holiday_starts() -> None:
    """Every delinquent company is granted a holiday: nothing is delinquent any more, all is still arrears."""
    rows = [loan(k, month=m, days_past_due=60 * (k < 4), outstanding=100) for k in range(10) for m in MONTHS[-2:]]
    frame = pd.DataFrame(rows)
    granted = (frame["month"] == MONTHS[-1]) & (frame["days_past_due"] > 0)
    frame.loc[granted, ["forborne", "days_past_due"]] = [True, 0]
    found = delinquency(frame, as_of=DAY).to_frame()
    national = found[found["section"] == TOTAL].set_index("month")
    assert national["delinquent"].tolist() == [40, 0]
    assert national["arrears_with_forborne"].tolist() == [40, 40]
    assert national["arrears_companies"].tolist() == [40, 40]


def test_states_add_to_the_whole_everywhere() -> None:
    loans, *_ = economy(300, holiday=0.3)
    table = delinquency(loans, as_of=DAY).to_frame()
    np.testing.assert_allclose(table[["performing", "forborne", "delinquent"]].sum(axis=1), 100)
    np.testing.assert_allclose(table["early"] + table["late"], table["delinquent"])


def test_sole_traders_are_left_out_and_sections_come_from_the_register() -> None:
    register = pd.DataFrame(
        {
            "enterprise_id": [1, 1, 2],
            "valid_from": ["2015-01-01", "2020-02-01", "2015-01-01"],
            "legal_form": ["LTD", "LTD", "SOLE"],
            "group_id": [5, 5, 6],
            "section": ["F", "G", "F"],
        }
    )
    loans = [loan(1), loan(1, month="2020-01-01"), loan(1, month="2014-01-01"), loan(2), loan(3)]
    rows = company_months(pd.DataFrame(loans), register, as_of=DAY)
    assert rows["enterprise_id"].tolist() == [1, 1, 1]
    assert rows["section"].tolist() == ["F", "F", "G"]  # as registered in the month; 3 is not registered
    assert set(rows["group_id"]) == {5}


# -- own history ---------------------------------------------------------------------------------


def seasonal(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares that rise every December, by binomial noise of 2,000 companies."""
    calendar = np.arange(48) % 12 + 1
    level = 0.04 + np.where(calendar == 12, 0.03, 0.0)
    share = np.random.default_rng(seed).binomial(2_000, level, (6, 48)) / 2_000
    return share, np.full((6, 48), 2_000.0), calendar


def test_a_jump_is_flagged_at_once_and_only_where_it_is() -> None:
    share, size, calendar = seasonal(1)
    before = own_history(share, size, calendar)
    share[2, 46:] += 0.08
    found = own_history(share, size, calendar)
    assert found.alarm[2, 46:].all()
    assert not np.delete(found.alarm, 2, axis=0)[:, 46].any()
    np.testing.assert_array_equal(found.z[:, :46], before.z[:, :46])  # nothing depends on later months


def test_a_season_is_known_from_the_third_time_on() -> None:
    rates = []
    for seed in range(10):
        found = own_history(*seasonal(seed))
        assert found.alarm[:, 23].any()  # the second December has only one before it
        rates.append(found.alarm[:, [35, 47]].mean())
    assert np.mean(rates) < 0.08


@pytest.mark.parametrize("drift", [0.0, 0.08])
def test_false_alarms_are_rare_in_quiet_history(drift: float) -> None:
    """Twenty sections without any event, steady or drifting: few months have any warning at all."""
    r = np.random.default_rng(2)
    level = np.cumsum(r.normal(0, drift, (20, 60)), axis=1) - 3.2
    share = r.binomial(800, 1 / (1 + np.exp(-level))) / 800
    found = own_history(share, np.full((20, 60), 800.0), np.arange(60) % 12 + 1, false_discoveries=0.1)
    judged = np.isfinite(found.z)
    assert found.alarm_rate(np.ones(60, bool)) < 0.015
    assert found.alarm.any(axis=0)[judged.any(axis=0)].mean() < 0.2
    assert 0.5 < np.nanstd(found.z) < 1.5


def test_small_sections_are_judged_by_their_noise() -> None:
    calm = np.full((2, 30), 0.02)
    calm[:, -1] = 0.10
    found = own_history(calm, np.array([[20.0] * 30, [5_000.0] * 30]), np.arange(30) % 12 + 1)
    assert found.z[0, -1] < 1.7
    assert found.z[1, -1] > 2.3


def test_flagging_is_benjamini_and_hochbergs() -> None:
    from opsroom.warn.own_history import _discoveries

    p = np.random.default_rng(3).random(30) ** 3
    ours = _discoveries(p, 0.1)
    np.testing.assert_array_equal(ours, stats.false_discovery_control(p) <= 0.1)


def test_too_little_history_gives_no_score() -> None:
    found = own_history(np.full((1, 10), 0.1), np.full((1, 10), 50.0), np.arange(10) + 1)
    assert np.isnan(found.z).all()
    assert not found.alarm.any()


# -- causes ---------------------------------------------------------------------------------------


def last(result: DelinquencyResult, section: str = TOTAL) -> pd.Series:
    table = result.to_frame()
    return table[(table["month"] == "2020-03") & (table["section"] == section)].iloc[0]


@pytest.mark.parametrize("skip", [0.0, 0.05, 0.12])
def test_collection_is_told_from_ability(skip: float) -> None:
    """What nobody collected is known here: the share that skips of those able."""
    true, found, inside = [], [], 0
    for seed in range(6):
        loans, accounts, collections = economy(seed=seed, skip_now=skip)
        row = last(delinquency(loans, collections=collections, accounts=accounts, as_of=DAY))
        true.append(100 * skip * 0.9)
        found.append(row["collection"])
        inside += row["collection_lower"] - 0.3 <= true[-1] <= row["collection_upper"] + 0.3
        assert row["ability"] + row["collection"] == pytest.approx(row["delinquent"])
    assert np.mean(found) == pytest.approx(np.mean(true), abs=0.8)
    assert inside >= 5


def test_nothing_is_ascribed_to_collection_before_it_was_reduced() -> None:
    loans, accounts, collections = economy(300, skip_now=0.1)
    table = delinquency(loans, collections=collections, accounts=accounts, as_of=DAY).to_frame()
    early = table[table["month"] < "2020-02"]["collection"].dropna()
    assert len(early) > 0
    assert (early == 0).all()


def test_without_accounts_causes_are_not_claimed() -> None:
    loans, _, collections = economy(300)
    result = delinquency(loans, collections=collections, as_of=DAY)
    assert not result.identified
    assert np.isnan(last(result)["collection"])
    assert "want of collection" not in result.summary()


def test_unidentified_causes_are_bounded_by_nothing_and_everything() -> None:
    loans, accounts, collections = economy(300, skip_now=0.1)
    result = delinquency(loans, collections=collections, accounts=accounts.assign(cash=10**9), as_of=DAY)
    row = last(result)
    assert not result.identified
    assert np.isnan(row["collection"])
    assert row["collection_lower"] == 0
    assert row["collection_upper"] == pytest.approx(row["delinquent"])


# -- the whole ------------------------------------------------------------------------------------


def test_warnings_name_the_driver() -> None:
    loans, *_ = economy(2_000, unable_now=0.12)
    result = delinquency(loans, as_of=DAY)
    assert set(result.warnings) == set("CFGI")
    assert last(result)["driver"] == "delinquent"
    eased, *_ = economy(2_000, unable_now=0.02, holiday=0.4)
    assert last(delinquency(eased, as_of=DAY))["driver"] == "forborne"
    quiet, *_ = economy(2_000, unable_now=0.02)
    assert delinquency(quiet, as_of=DAY).warnings == []


def test_later_months_change_nothing() -> None:
    loans, accounts, collections = economy(300)
    early = dt.date(2020, 1, 15)
    whole = delinquency(loans, collections=collections, accounts=accounts, as_of=early).to_frame()
    cut = delinquency(
        loans[loans["month"] <= "2020-01-15"],
        collections=collections[collections["month"] <= "2020-01-15"],
        accounts=accounts[accounts["month"] <= "2020-01-15"],
        as_of=early,
    ).to_frame()
    pd.testing.assert_frame_equal(whole, cut)


def test_result_speaks_and_has_cells() -> None:
    loans, accounts, collections = economy(400, skip_now=0.05)
    result = delinquency(loans, collections=collections, accounts=accounts, as_of=DAY)
    assert isinstance(result, Result)
    assert isinstance(result, Charted)
    assert result.summary().startswith("2020-03: arrears including forborne")
    assert "EBA" in result.cite()
    assert "vega-lite" in result.chart().to_dict()["$schema"]
    (cells,) = result.cells(months=3)
    assert cells.name == "loans.section"
    assert set(cells.frame["month"]) == {"2020-01", "2020-02", "2020-03"}
    row = cells.frame[(cells.frame["month"] == "2020-03") & (cells.frame["section"] == TOTAL)].iloc[0]
    table = last(result)
    assert 100 * row["m_delinquent"] / row["m_outstanding"] == pytest.approx(table["delinquent"])
    assert row["performing"] == pytest.approx(table["performing"])
    assert row["forborne"] == 0
    assert np.isnan(row["n_forborne"])  # nobody is forborne anywhere: there is nothing to protect
    eased, *_ = economy(400, holiday=0.3)
    (cells,) = delinquency(eased, as_of=DAY).cells(months=2)
    now = cells.frame.set_index(["month", "section"]).loc[("2020-03", TOTAL)]
    assert now["m_arrears"] == now["m_delinquent"] + now["m_forborne"]
    assert now["n_forborne"] > 0
    assert {m.name for m in cells.measures} >= {
        "performing",
        "forborne",
        "delinquent",
        "ability",
        "collection",
        "z",
    }


def test_refusals() -> None:
    good = pd.DataFrame([loan()])
    with pytest.raises(DataError, match="OPS-D100"):
        delinquency(good.drop(columns="outstanding"), as_of=DAY)
    with pytest.raises(DataError, match="OPS-D101"):
        delinquency(good, as_of=dt.date(2019, 1, 1))
    with pytest.raises(DataError, match="OPS-D102"):
        delinquency(good, as_of=DAY, collections=pd.DataFrame({"month": []}))
    with pytest.raises(UsageError, match="OPS-U101"):
        delinquency(good, as_of=DAY, history_months=3)
    with pytest.raises(UsageError, match="OPS-U100"):
        own_history(np.ones((1, 3)), np.ones((1, 2)), np.arange(3))


def test_the_same_tables_say_the_same_until_something_that_lies_ahead() -> None:
    loans, accounts, collections = economy(60, unable_now=0.3)
    entered = [*[pd.Timestamp("2015-01-01")] * 59, pd.Timestamp("2020-04-20 12:00")]
    register = pd.DataFrame(
        {"enterprise_id": range(60), "valid_from": entered, "legal_form": "LTD", "group_id": range(60), "section": "C"}
    )
    ahead = loans[loans["month"] == MONTHS[-1]].assign(month=pd.Timestamp("2020-05-01"), days_past_due=90)
    loans = pd.concat([loans, ahead], ignore_index=True)

    def found(day: dt.date) -> pd.DataFrame:
        given = {"register": register, "accounts": accounts, "collections": collections}
        return delinquency(loans, as_of=day, **given).companies

    # the entry counts from the day after, the month from its first day
    for day, last in ((DAY, dt.date(2020, 4, 20)), (dt.date(2020, 4, 21), dt.date(2020, 4, 30))):
        assert same_until(loans, register, as_of=day) == last
        pd.testing.assert_frame_equal(found(day), found(last))
        assert not found(last).equals(found(last + dt.timedelta(days=1)))
    assert same_until(loans, register, as_of=dt.date(2020, 5, 1)) == dt.date.max - dt.timedelta(days=1)
