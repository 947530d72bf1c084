"""Shortages and concentration against plain loops, and what of them may leave the room."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DisclosureError, FitError, UsageError
from opsroom.protect.derived import herfindahl
from opsroom.protect.rules import Rules
from opsroom.warn.bottlenecks import excess_demand, import_dependence, provider_dependence, supplier_concentration

RULES = Rules(min_contributors=3, dominance=((1, 75.0), (2, 85.0)), p_percent=10.0)

LINKS = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 7), st.sampled_from(["bolts", "glass", "salt"]), st.integers(0, 50)
    ),
    min_size=1, max_size=60,
)  # fmt: skip


def links_of(rows: list[tuple[int, int, str, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["supplier", "customer", "product", "amount"])
    # companies 2n and 2n + 1 have one owner
    return frame.assign(supplier_group=frame["supplier"] // 2, customer_group=frame["customer"] // 2)


@settings(max_examples=8, deadline=None)
@given(LINKS)
def test_concentration_is_that_of_a_plain_loop(rows: list[tuple[int, int, str, int]]) -> None:
    found = supplier_concentration(links_of(rows), k=2).frame.set_index("product")
    sold: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    sources: dict[tuple[str, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for supplier, customer, product, amount in rows:
        if supplier // 2 != customer // 2 and amount:
            sold[product][supplier // 2] += amount
            sources[product, customer][supplier // 2] += amount
    assert set(found.index) == set(sold)
    for product, own in sold.items():
        total = sum(own.values())
        shares = sorted((v / total for v in own.values()), reverse=True)
        row = found.loc[product]
        assert row["hhi"] == pytest.approx(1e4 * sum(s * s for s in shares))
        assert (row["top1"], row["top_k"]) == pytest.approx((100 * shares[0], 100 * sum(shares[:2])))
        assert row["suppliers"] == len(shares)
        buyers = [v for (p, _), v in sources.items() if p == product]
        alone = [sum(v.values()) for v in buyers if len(v) == 1]
        assert (row["customers"], row["single"]) == (len(buyers), len(alone))
        assert row["single_value"] == pytest.approx(100 * sum(alone) / total)


def test_what_leaves_the_room_counts_customers_and_never_tells_a_suppliers_sales() -> None:
    rng = np.random.default_rng(2)
    rows = [
        (int(s), 10 + 2 * c, "salt", 5) for c in range(30) for s in rng.choice(4, size=1 + c % 2, replace=False) * 2
    ]
    found = supplier_concentration(links_of(rows))
    cells = found.cells(period="2018")
    assert not cells.public
    row = cells.frame.iloc[0]
    assert (row["n_single"], row["n_customers"], row["n_customers__groups"]) == (15, 30, 30)
    assert row["n_customers__top1"] == 1
    assert {p.unit for p in cells.parts} == {"customers"}


def test_an_index_of_few_is_refused_and_one_of_many_is_out_as_ours_rounded() -> None:
    rng = np.random.default_rng(3)
    many = pd.DataFrame({"supplier": np.arange(40) * 2, "customer": 1001, "product": "salt",
                         "amount": rng.integers(50, 100, 40)})  # fmt: skip
    many = many.assign(supplier_group=many["supplier"] // 2, customer_group=-1)
    ours = supplier_concentration(many).frame["hhi"].iloc[0]
    out = herfindahl(many["amount"], list(many["supplier_group"]), rules=RULES, step=100.0)
    assert out.values["hhi"] == round(ours / 100) * 100
    with pytest.raises(DisclosureError):
        herfindahl(many["amount"].iloc[:3], [0, 1, 2], rules=RULES)


def demand(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(p, f"2020-{m:02d}", g) for p in ("bolts", "glass") for m in range(1, 9) for g in range(5)]
    frame = pd.DataFrame(rows, columns=["product", "month", "group_id"])
    frame["sales"] = rng.integers(50, 100, len(frame))
    frame["orders"] = frame["sales"] + np.where((frame["product"] == "glass") & (frame["month"] > "2020-04"), 60, 0)
    frame["backlog"] = frame.groupby(["product", "group_id"])["orders"].cumsum()
    frame["backlog"] -= frame.groupby(["product", "group_id"])["sales"].cumsum() - 100
    return frame


def test_backlogs_stretch_where_orders_exceed_deliveries() -> None:
    units = demand(1)
    found = excess_demand(units)
    for row in found.frame.to_dict("records"):
        own = units[(units["product"] == row["product"]) & (units["month"] == row["month"])]
        assert row["excess"] == pytest.approx(100 * (own["orders"].sum() / own["sales"].sum() - 1))
        assert row["months"] == pytest.approx(own["backlog"].sum() / own["sales"].sum())
        past = found.frame[(found.frame["product"] == row["product"]) & (found.frame["month"] < row["month"])]
        assert row["usual"] == pytest.approx(np.median(past["months"]) if len(past) else np.nan, nan_ok=True)
    assert list(found.latest["product"]) == ["glass", "bolts"]
    assert "glass" in found.summary()
    cells = found.cells()
    total = cells.frame.set_index(["month", "product"]).loc[("2020-08", "_T")]
    assert total["m_backlog"] == units[units["month"] == "2020-08"]["backlog"].sum()
    assert total["m_backlog__groups"] == 5
    with pytest.raises(UsageError, match="backlog"):
        excess_demand(units.drop(columns="backlog"))
    with pytest.raises(UsageError, match="hole"):
        excess_demand(units.astype({"orders": float}).assign(orders=np.nan))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_import_content_is_that_of_the_inverse(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    bought = rng.random(n)
    made = (table.sum(axis=0) + bought) / rng.uniform(0.3, 0.9, n)
    names = [f"b{k}" for k in range(n)]
    uses = pd.DataFrame(table, names, names)
    found = import_dependence(uses, pd.Series(bought, names), pd.Series(made, names))
    content = np.linalg.solve(np.eye(n) - (table / made).T, bought / made)
    assert found.frame["content"].to_numpy() == pytest.approx(100 * content, abs=1e-5)
    assert found.frame["hidden"].to_numpy() == pytest.approx(100 * (content - bought / made), abs=1e-5)
    assert (found.frame["content"] <= 100).all()
    assert found.left <= 1e-10
    assert found.frame["direct"].to_numpy() == pytest.approx(100 * bought / (table.sum(axis=0) + bought))


def test_a_table_that_eats_more_than_it_makes_is_refused() -> None:
    one = pd.Series([1.0], ["b"])
    with pytest.raises(FitError, match="settle"):
        import_dependence(pd.DataFrame([[2.0]], ["b"], ["b"]), one, one)
    with pytest.raises(UsageError, match="differ"):
        import_dependence(pd.DataFrame([[0.2]], ["b"], ["b"]), pd.Series([1.0], ["c"]), one)
    with pytest.raises(UsageError, match="negative"):
        import_dependence(pd.DataFrame([[-0.2]], ["b"], ["b"]), one, one)


def test_providers_are_weighed_by_what_rests_on_them() -> None:
    reads = {"work": ["meters", "weather"], "credit": ["loans"], "gdp": ["macro", "flows"], "note": []}
    providers = {"meters": "Grid", "weather": "Met", "loans": "Bank", "macro": "Statistics", "flows": "Statistics"}
    found = provider_dependence(reads, providers)
    rows = found.frame.set_index("provider")
    assert found.figures == 3
    assert list(found.frame["provider"]) == ["Bank", "Statistics", "Grid", "Met"]
    assert rows["only"].to_dict() == {"Bank": 1, "Statistics": 1, "Grid": 0, "Met": 0}
    assert rows["datasets"].to_dict() == {"Bank": 1, "Statistics": 2, "Grid": 1, "Met": 1}
    assert rows["weight"].sum() == pytest.approx(100)
    assert found.hhi == pytest.approx(1e4 * (2 * (1 / 3) ** 2 + 2 * (1 / 6) ** 2))
    with pytest.raises(UsageError, match="flows"):
        provider_dependence(reads, {k: v for k, v in providers.items() if k != "flows"})
