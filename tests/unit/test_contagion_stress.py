"""What if those who cannot pay failed: against loops in plain Python, and what of it may leave."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DataError, UsageError
from opsroom.warn.contagion import Assumptions, WhatIfResult, standing_of, stress
from opsroom.warn.contagion.what_if import CASES, _between
from opsroom.warn.contagion.what_if_cells import worse_of

DAY = dt.date(2020, 3, 1)
FEB, JAN = pd.Timestamp(2020, 2, 1), pd.Timestamp(2020, 1, 1)
GIVEN = Assumptions()


def tables(seed: int, n: int = 40, lenders: int = 5) -> dict[str, pd.DataFrame]:
    r = np.random.default_rng(seed)
    ids = 1000 + np.arange(n)
    register = pd.DataFrame(
        {
            "enterprise_id": ids, "valid_from": pd.Timestamp(2015, 1, 1), "valid_to": pd.NaT, "died": pd.NaT,
            "legal_form": np.where(r.random(n) < 0.1, "SOLE", "LTD"), "group_id": 50 + r.integers(0, n // 2, n),
            "section": r.choice(list("CFG"), n),
        }
    )  # fmt: skip
    k = 2 * n
    loans = pd.DataFrame(
        {
            "loan_id": np.arange(k), "month": r.choice([FEB, JAN], k), "enterprise_id": r.choice(ids, k),
            "lender_id": 101 + r.integers(0, lenders, k), "outstanding": r.integers(0, 900, k) * (r.random(k) < 0.9),
            "interest_due": r.integers(0, 10, k), "principal_due": r.integers(0, 40, k),
            "days_past_due": r.choice([0, 30, 89, 90, 150], k, p=[0.75, 0.1, 0.1, 0.03, 0.02]),
            "forborne": r.random(k) < 0.1, "secured_ppm": r.integers(0, 10**6, k),
            "guarantee_ppm": r.choice([0, 500_000], k),
        }
    )  # fmt: skip
    accounts = pd.DataFrame(
        {
            "enterprise_id": ids, "month": r.choice([FEB, JAN], n), "cash": r.integers(0, 600, n),
            "undrawn_credit": r.integers(0, 200, n), "fixed_costs": r.integers(0, 100, n),
        }
    )[r.random(n) < 0.95]  # fmt: skip
    purchases = pd.DataFrame(
        {
            "supplier_id": r.choice(ids, 4 * n), "customer_id": r.choice(ids, 4 * n), "year": pd.Timestamp(2018, 1, 1),
            "amount": r.integers(0, 1500, 4 * n),
        }
    ).drop_duplicates(["supplier_id", "customer_id"])  # fmt: skip
    earlier = accounts.assign(month=pd.Timestamp(2019, 8, 1), cash=r.integers(0, 400, len(accounts)))
    lent = r.integers(50, 400, lenders)
    reports = pd.DataFrame(
        {
            "lender_id": 101 + np.arange(lenders), "quarter": pd.Timestamp(2019, 10, 1),
            "capital": r.integers(500, 4000, lenders), "assets": r.integers(9000, 30000, lenders),
            "interbank_lent": lent, "interbank_borrowed": lent[::-1],
        }
    )  # fmt: skip
    return {
        "register": register, "loans": loans, "accounts": accounts, "purchases": purchases, "lenders": reports,
        "earlier": earlier,
    }  # fmt: skip


def found_of(given: dict[str, Any], **more: Any) -> WhatIfResult:
    known = {k: v for k, v in given.items() if k not in ("register", "loans", "accounts")}
    return stress(
        standing_of(given["register"], given["loans"], given["accounts"], as_of=DAY, **known), GIVEN, **more
    )  # fmt: skip


def by_hand(t: dict[str, pd.DataFrame], k: int) -> dict[str, Any]:
    """The same under the k-th assumptions, in loops over rows."""
    firms = {r.enterprise_id: r for r in t["register"].itertuples() if r.legal_form != "SOLE"}
    loans = [r for r in t["loans"].itertuples() if r.enterprise_id in firms and r.outstanding > 0]
    books = {r.enterprise_id: r for r in t["accounts"].itertuples()}
    liquid = {i: float(books[i].cash + books[i].undrawn_credit) if i in books else 0.0 for i in firms}
    before = {r.enterprise_id: r for r in t["earlier"].itertuples()}
    first = set()
    for i in firms:
        own = [r for r in loans if r.enterprise_id == i]
        late = any(r.days_past_due >= 90 for r in own)
        need = sum(r.interest_due + r.principal_due for r in own)
        if i in books:
            need += books[i].fixed_costs
        short = i in books and liquid[i] < need
        carried = short and before[i].cash + before[i].undrawn_credit < need  # costs are the same in both
        if late or (short and not carried):
            first.add(i)
        if carried:
            liquid[i] = max(liquid[i], need)
    unsecured, collateral, days = GIVEN.unsecured[k], GIVEN.collateral[k], GIVEN.payment_days[k]
    owed = {
        (r.supplier_id, r.customer_id): r.amount * days / 365
        for r in t["purchases"].itertuples()
        if r.supplier_id in firms and r.customer_id in firms and r.supplier_id != r.customer_id and r.amount > 0
    }
    failed = set(first)
    while True:
        hit: dict[int, float] = defaultdict(float)
        for (supplier, customer), amount in owed.items():
            if customer in failed:
                hit[supplier] += amount * (1 - unsecured)
        more = {i for i, x in hit.items() if x >= liquid[i] and x > 0} - failed
        if not more:
            break
        failed |= more
    loss = {
        r.loan_id: r.outstanding * (1 - r.guarantee_ppm / 1e6)
        * (1 - r.secured_ppm / 1e6 * collateral - (1 - r.secured_ppm / 1e6) * unsecured)
        for r in loans if r.enterprise_id in failed
    }  # fmt: skip
    reports = {r.lender_id: r for r in t["lenders"].itertuples()}
    rate, lost = {}, {}
    for b, told in reports.items():
        own = [r for r in loans if r.lender_id == b]
        lost[b] = sum(loss.get(r.loan_id, 0.0) for r in own)
        assets = max(told.assets, told.capital, sum(r.outstanding for r in own))
        wanted = (assets - lost[b]) - max(0.0, told.capital - lost[b]) * assets / told.capital if lost[b] > 0 else 0.0
        left = sum(r.outstanding for r in own if r.enterprise_id not in failed)
        rate[b] = min(1.0, GIVEN.pass_through[k] * max(0.0, wanted) / left) if left > 0 else 0.0
    sections = {}
    for s in ("C", "F", "G", "_T"):
        inside = {i for i, r in firms.items() if s in ("_T", r.section)}
        here = [r for r in loans if r.enterprise_id in inside]
        goods = {p: x for p, x in owed.items() if p[0] in inside}
        sound = [r for r in here if r.enterprise_id not in failed]
        sections[s] = {
            "failing": len(inside & first) / len(inside),
            "added": len(inside & (failed - first)) / len(inside),
            "bank": sum(loss[r.loan_id] for r in here if r.enterprise_id in first) / sum(r.outstanding for r in here),
            "bank_added": sum(loss[r.loan_id] for r in here if r.enterprise_id in failed - first)
            / sum(r.outstanding for r in here),
            "trade": sum(x * (1 - unsecured) for p, x in goods.items() if p[1] in failed) / sum(goods.values()),
            "cut": sum(r.outstanding * rate[r.lender_id] for r in sound) / max(sum(r.outstanding for r in sound), 1),
        }
    return {"sections": sections, "lost": lost, "first": first, "failed": failed, "reports": reports}


WORLDS = (0, 4, 10)
"""Seeds of worlds in which failures run on for several rounds."""


@pytest.mark.parametrize("seed", WORLDS)
def test_it_is_what_loops_over_rows_find(seed: int) -> None:
    t = tables(seed)
    found = found_of(t)
    for k, case in enumerate(CASES):
        hand = by_hand(t, k)
        ids = found.standing.companies["id"].to_numpy()
        assert set(ids[found.cases[case].failed_in >= 0]) == hand["failed"]
        table = found.sections(case).set_index("section")
        for section, values in hand["sections"].items():
            for name, value in values.items():
                assert table.loc[section, name] == pytest.approx(100 * value, abs=1e-9), (case, section, name)
        capital = np.array([r.capital for r in hand["reports"].values()], dtype=float)
        lost = np.array([hand["lost"][b] for b in hand["reports"]])
        start = np.minimum(1.0, lost / capital)
        between = [links.dense() for links in _between(found.standing.lenders, GIVEN, 0)]
        assert len(between) == 22
        after = []
        for claims in between:
            h = start.copy()
            for _ in range(400):
                h = np.minimum(1.0, start + claims @ h / capital)
            after.append(h)
        np.testing.assert_allclose(found.cases[case].distress, np.array(after), atol=1e-8)
        told = found.system(case)
        passed = 100 * ((np.mean(after, axis=0) - start) * capital).sum() / capital.sum()
        assert told["interbank"] == pytest.approx(passed, abs=1e-6)
        assert told["loans"] + told["further"] == pytest.approx(100 * lost.sum() / capital.sum())
        assert told["capital"] == pytest.approx(100 * lost.sum() / capital.sum() + passed, abs=1e-6)
        low, high = found.interval()["capital"]
        assert low - 1e-9 <= told["capital"] <= high + 1e-9
    added = [sum(found.cases[c].failed_in > 0) for c in CASES]
    assert added == sorted(added)


def test_some_of_the_worlds_have_every_round() -> None:
    """The oracle above would show little where nobody is brought down and no credit withdrawn."""
    worlds = [found_of(tables(seed)) for seed in WORLDS]
    assert all((w.cases["severe"].failed_in > 1).any() for w in worlds)
    assert any((w.cases["middle"].failed_in > 1).any() for w in worlds)
    assert all(w.cases["middle"].cut.sum() > 0 for w in worlds)
    assert all(w.system()["interbank"] > 0 for w in worlds)


def test_what_counts_is_the_newest_row_known_and_who_is_still_there() -> None:
    t = tables(3)
    base = standing_of(t["register"], t["loans"], t["accounts"], as_of=DAY)
    one = int(base.companies["id"][base.loans["company"].iloc[0]])
    later = t["loans"].assign(month=pd.Timestamp(2020, 4, 1), outstanding=10**9)
    moved = t["register"].assign(valid_from=pd.Timestamp(2020, 3, 2), section="Z")
    paid = t["accounts"].assign(month=pd.Timestamp(2020, 4, 1), cash=0)
    same = standing_of(
        pd.concat([t["register"], moved]), pd.concat([later, t["loans"]]), pd.concat([paid, t["accounts"]]), as_of=DAY
    )  # fmt: skip
    pd.testing.assert_frame_equal(same.companies, base.companies)
    pd.testing.assert_frame_equal(
        same.loans.sort_values(["company", "lender", "outstanding"], ignore_index=True),
        base.loans.sort_values(["company", "lender", "outstanding"], ignore_index=True),
    )
    old = t["loans"].assign(month=pd.Timestamp(2019, 11, 1), loan_id=t["loans"]["loan_id"] + 10**6)
    assert len(standing_of(t["register"], pd.concat([t["loans"], old]), t["accounts"], as_of=DAY).loans) == len(
        base.loans
    )
    gone = t["register"].assign(
        died=np.where(t["register"]["enterprise_id"] == one, np.datetime64("2020-02-20"), np.datetime64("NaT"))
    )
    left = standing_of(gone, t["loans"], t["accounts"], as_of=DAY)
    assert one not in set(left.companies["id"])
    assert len(left.companies) == len(base.companies) - 1
    sole = set(t["register"].loc[t["register"]["legal_form"] == "SOLE", "enterprise_id"])
    assert not sole & set(base.companies["id"])


def test_a_holiday_takes_no_loan_out_of_default_and_an_unknown_account_is_not_short() -> None:
    t = tables(4)
    quiet = t["loans"].assign(days_past_due=89)
    assert not standing_of(t["register"], quiet, t["accounts"].iloc[:0], as_of=DAY).failing.any()
    for forborne in (False, True):  # the count stops when a holiday begins: 90 days were there before
        loud = quiet.assign(days_past_due=90, forborne=forborne)
        found = standing_of(t["register"], loud, t["accounts"].iloc[:0], as_of=DAY)
        assert set(np.flatnonzero(found.failing)) == set(found.loans["company"])
    with pytest.raises(DataError, match="no company loans"):
        standing_of(t["register"], quiet.assign(outstanding=0), t["accounts"], as_of=DAY)
    with pytest.raises(DataError, match="table accounts"):
        standing_of(t["register"], quiet, t["accounts"].drop(columns="cash"), as_of=DAY)


def test_lenders_without_a_report_are_unknown_not_poor() -> None:
    t = tables(5)
    silent = found_of({**t, "lenders": t["lenders"].iloc[1:]})
    every = found_of(t)
    assert silent.reported.tolist() == [False, True, True, True, True]
    assert silent.system()["lent"] == pytest.approx(every.system()["lent"])
    mine = silent.standing.loans["lender"].to_numpy() == 0
    assert silent.cases["severe"].cut[mine].sum() == 0
    assert every.cases["severe"].cut[mine].sum() > 0
    none = found_of({**t, "lenders": None})
    assert np.isnan(none.system()["capital"])
    assert [c.name for c in none.cells()] == ["contagion.section"]
    assert "cut" not in {m.name for m in none.cells()[0].measures}


def test_margins_that_no_network_has_leave_contagion_between_lenders_out() -> None:
    t = tables(6)
    star = t["lenders"].assign(interbank_lent=[1000, 1, 1, 1, 1], interbank_borrowed=[1000, 1, 1, 1, 1])
    assert found_of({**t, "lenders": star}).system()["interbank"] == 0


def test_a_cell_carries_the_worse_of_its_two_sides() -> None:
    """Section C: eight borrowers at one lender; section F: one borrower at four lenders."""
    units = pd.DataFrame(
        {"section": ["C"] * 8 + ["F"] * 4, "owner": [*range(8), *[9] * 4], "lender": [*[-1] * 8, -1, -2, -3, -4]}
    )
    units["m"], units["n"] = 10, 25
    made = [
        parts_from_units(
            units, dimensions=["section"], group=g, values={"m": "m", "n": "n"}, shares={"m": "n"}, totals=True
        )
        for g in ("owner", "lender")
    ]
    found = worse_of(*made, ["section"], ["m", "n"]).set_index("section")
    assert found["m__groups"].to_dict() == {"C": 1, "F": 1, "_T": 4}
    assert found["m__top1"].to_dict() == {"C": 80, "F": 40, "_T": 90}
    assert found["m__rest_groups"].to_dict() == {"C": 1, "F": 1, "_T": 4}
    assert found["m"].to_dict() == {"C": 80, "F": 40, "_T": 120}
    assert found.columns.tolist() == made[0].set_index("section").columns.tolist()


def test_few_owners_publish_nothing_and_lenders_are_never_named() -> None:
    t = tables(7)
    cells = found_of(t).cells()
    assert [c.name for c in cells] == ["contagion.section", "contagion.lenders"]
    for c in cells:
        assert not {"lender", "lender_id"} & {*c.dimensions, *(m.name for m in c.measures)}
        assert not any(str(b) in repr(dict(c.facts)) for b in t["lenders"]["lender_id"])
    whole = cells[0].frame.set_index("section").loc["_T"]
    assert whole["m_capital__groups"] == 5
    assert whole["m_lost__groups"] <= 5  # by lender, who are fewer than the borrowers
    system = found_of(t).system()
    assert 100 * whole["m_lost"] / whole["m_capital"] == pytest.approx(system["loans"])
    assert 100 * whole["m_interbank"] / whole["m_capital"] == pytest.approx(system["interbank"])
    assert whole["m_capital"] == pytest.approx(t["lenders"]["capital"].sum())
    rich = t["accounts"].assign(cash=10**6)
    clean = t["loans"].assign(days_past_due=0)
    two = clean["enterprise_id"].isin(clean["enterprise_id"].unique()[:2])
    few = found_of({**t, "accounts": rich, "loans": clean.assign(days_past_due=np.where(two, 100, 0), forborne=False)})
    assert few.cells() == []


def test_assumptions_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="mild"):
        Assumptions(collateral=(0.1, 0.5, 0.9))
    with pytest.raises(UsageError, match="shares"):
        Assumptions(density=1.5)


def test_the_chain_in_words_names_the_interval() -> None:
    found = found_of(tables(1))
    text = found.summary()
    low, high = found.interval()["lent"]
    assert f"{low:.1f} to {high:.1f} %" in text
    assert "their capital" in text
    assert "DebtRank" in found.cite()
    pd.testing.assert_frame_equal(found.to_frame(), found.sections())


def test_groups_of_sections_are_a_level_between_section_and_total() -> None:
    t = tables(5, n=160)
    r = np.random.default_rng(2)
    register = t["register"].assign(section=r.choice(list("ACDFGHS"), 160))
    found = found_of({**t, "register": register})
    cells = found.cells(groups="A3")[0]
    assert cells.hierarchies == {"section": {**dict.fromkeys("CDF", "B-F"), **dict.fromkeys("GHS", "G-U")}}
    frame = cells.frame.set_index("section")
    parts = [p.name for p in cells.parts]
    for group, members in (("B-F", "CDF"), ("G-U", "GHS"), ("_T", "ACDFGHS")):
        np.testing.assert_allclose(frame.loc[group, parts].astype(float), frame.loc[[*members], parts].sum())
    ends = found.sections("severe", groups=cells.hierarchies["section"]).set_index("section")
    assert frame.loc["B-F", "bank_upper"] == pytest.approx(ends.loc["B-F", "bank"], abs=0.051)
    flat = found.cells()[0]
    assert not flat.hierarchies.get("section")
    pd.testing.assert_frame_equal(
        flat.frame, cells.frame[cells.frame["section"].isin(flat.frame["section"])].reset_index(drop=True)
    )
    # a group of one section is that section: nothing is said twice
    alone = found_of({**t, "register": t["register"]}).cells(groups="A3")[0]
    assert set(alone.frame["section"]) == {"C", "F", "G", "B-F", "_T"}


def test_no_section_follows_from_its_group_and_from_what_was_out_before() -> None:
    """The same month again, now with groups: the attacker's own programmes come no closer than before."""
    from opsroom.protect.judge import judge
    from opsroom.protect.rules import Rules

    t = tables(5, n=160)
    register = t["register"].assign(section=np.random.default_rng(2).choice(list("ACDFGHS"), 160))
    cells = found_of({**t, "register": register}).cells(groups="A3")[0]
    shown = judge(cells, Rules(min_contributors=3, dominance=((1, 75),), p_percent=10), [], entry=1).shown
    sections = cells.frame["section"].tolist()
    kinds = {tuple(sorted((len(sections[r]) > 1) for r, m in shown if m == name)) for name in ("failing", "loans")}
    assert any(True in k for k in kinds)  # groups are out
    for measure in cells.measures:
        out = {sections[r] for r, m in shown if m == measure.name}
        for group, members in (("B-F", set("CDF")), ("G-U", set("GHS"))):
            if group in out:
                assert len(members - out) != 1, measure.name  # one withheld alone would be a difference
