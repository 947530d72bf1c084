"""Fire sales and credit supply: the papers' formulas by hand, conservation, and what must not happen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, DisclosureError, FitError, UsageError
from opsroom.base.results import Result
from opsroom.warn.contagion import (
    Links,
    Network,
    cascade,
    credit_supply,
    exposure_network,
    leverage_targeting,
    leverage_threshold,
)


def banks(seed: int, n: int = 6, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    held = r.exponential(10.0, (n, k)) * (r.random((n, k)) < 0.7) + 0.1
    return held, held.sum(1) * r.uniform(0.03, 0.2, n)


# -- Greenwood, Landier and Thesmar -------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_targeting_is_the_papers_product_of_matrices(seed: int) -> None:
    """A small shock, so that no cap binds: A M L M' A B M f in matrices, and systemicness by their row sums."""
    held, equity = banks(seed)
    r = np.random.default_rng(seed)
    f, depth = 1e-4 * r.random(4), 1e-4 * r.random(4)
    a, m = np.diag(held.sum(1)), held / held.sum(1)[:, None]
    b, liquid = np.diag((held.sum(1) - equity) / equity), np.diag(depth)
    found = leverage_targeting(held, equity, f, depth)
    np.testing.assert_allclose(found.indirect, a @ m @ liquid @ m.T @ b @ a @ m @ f, rtol=1e-12)
    np.testing.assert_allclose(found.caused, (np.ones(6) @ a @ m @ liquid @ m.T) * (b @ a @ m @ f), rtol=1e-12)
    assert found.aggregate == pytest.approx(found.indirect.sum() / equity.sum())


def test_targeting_never_sells_more_than_is_left_nor_below_a_price_of_zero() -> None:
    held, equity = banks(1)
    found = leverage_targeting(held, equity, [0.5, 0.5, 0.0, 0.0], 1.0)
    assert (found.sold <= held.sum(1) - found.direct + 1e-12).all()
    assert (found.impact <= 1).all()
    assert found.caused.sum() == pytest.approx(found.indirect.sum())
    assert isinstance(found, Result)
    assert "Greenwood" in found.cite()


# -- Cont and Schaanning ------------------------------------------------------------------------


def test_threshold_by_hand() -> None:
    """One bank breaks 20 and sells to 19; another holds the same asset and only loses on it."""
    held = np.array([[100.0], [50.0]])
    found = leverage_threshold(
        held, [100.0, 50.0], [10.0, 30.0], [1.0, 0.0], depth=1000.0, most=20.0, target=19.0, floor=0.0, shortfall=0.5
    )
    share = (199 - 19 * 9) / 100
    fall = 1 - np.exp(-100 * share / 1000)
    first = (1 - 0.5 * share) * 100 * fall
    assert found.indirect[0] >= first
    own, kept = 9 - first, 100 * (1 - share) * (1 - fall)
    second = (kept + 99 - 19 * own) / kept if kept + 99 > 20 * own else 0.0
    assert 0 < second < 1  # the fall of its own sales makes it sell again
    again = 1 - np.exp(-kept * second / 1000)
    third = kept * (1 - second) * (1 - again)
    own2 = own - (1 - 0.5 * second) * kept * again
    assert third + 99 > 20 * own2  # and again: compare two rounds
    two = leverage_threshold(
        held, [100.0, 50.0], [10.0, 30.0], [1.0, 0.0], depth=1000.0, most=20.0, target=19.0, floor=0.0, max_rounds=2
    )
    assert two.indirect[0] == pytest.approx(first + (1 - 0.5 * second) * kept * again)
    assert two.indirect[1] == pytest.approx(50 * fall + 50 * (1 - fall) * again)
    assert two.sold == pytest.approx([100 * share + kept * second, 0.0])
    assert two.caused == pytest.approx([two.indirect.sum(), 0.0])
    assert not two.settled
    assert "NOT SETTLED" in two.summary()
    with pytest.raises(FitError):
        two.cells(sector=pd.Series(["K", "K"]), group=pd.Series([1, 2]), scenario="s", as_of="2020-01-01")


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3, 0.7]))
def test_threshold_conserves_losses_and_keeps_prices_above_the_floor(seed: int, floor: float) -> None:
    held, equity = banks(seed)
    r = np.random.default_rng(seed)
    stuck = r.exponential(20.0, 6)
    found = leverage_threshold(held, stuck, equity, 0.1 * stuck, depth=200.0, most=25.0, floor=floor)
    assert found.settled
    assert found.caused.sum() == pytest.approx(found.indirect.sum())
    assert (found.impact <= 1 - floor + 1e-12).all()
    assert (found.indirect <= held.sum(1) + 1e-9).all()
    sellers = found.sold > 0
    assert (found.caused[~sellers] == 0).all()


def test_below_the_threshold_nobody_sells_whatever_is_lost() -> None:
    """The asymmetry of the paper: leverage targeting would sell here."""
    held, _ = banks(3)
    equity = held.sum(1) / 2
    quiet = leverage_threshold(held, np.full(6, 10.0), equity, np.full(6, 1.0), depth=100.0, most=25.0)
    assert quiet.rounds == 0
    assert quiet.indirect.sum() == 0
    (cells,) = quiet.cells(
        sector=pd.Series(list("KKKLLL")), group=pd.Series(range(6)), scenario="s", as_of="2020-01-01"
    )
    assert cells.frame.set_index("sector").loc["_T", "m_lost"] == pytest.approx(6.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: leverage_targeting([[1.0, -1.0]], [1.0], [0.1, 0.1], 0.1),
        lambda: leverage_targeting([[1.0, 1.0]], [0.0], [0.1, 0.1], 0.1),
        lambda: leverage_targeting([[1.0, 1.0]], [1.0, 1.0], [0.1, 0.1], 0.1),
        lambda: leverage_targeting([[1.0, 1.0]], [1.0], [1.1, 0.1], 0.1),
        lambda: leverage_targeting([[1.0, 1.0]], [1.0], [0.1, 0.1], 0.1, leverage=[-1.0]),
        lambda: leverage_threshold([[1.0]], [1.0], [1.0], [2.0], 1.0, most=20),
        lambda: leverage_threshold([[1.0]], [1.0], [1.0], [0.0], 1.0, most=20, target=21),
        lambda: leverage_threshold([[1.0]], [1.0], [1.0], [0.0], 0.0, most=20),
    ],
)
def test_holdings_and_shocks_that_make_no_sense_are_refused(call: object) -> None:
    with pytest.raises((DataError, UsageError)):
        call()  # type: ignore[operator]  # a lambda


# -- credit supply ------------------------------------------------------------------------------


def small() -> Network:
    """A bank of 100 with capital of 10 lends 40, 30 and 20 to three companies."""
    nodes = pd.DataFrame(
        {
            "id": ["bank", "x", "y", "z"],
            "kind": ["bank", "company", "company", "company"],
            "buffer": [10.0, 1.0, 2.0, 3.0],
            "assets": [100.0, 0.0, 0.0, 0.0],
            "sector": ["K", "C", "C", "G"],
        }
    )
    loans = pd.DataFrame({"lender": "bank", "borrower": ["x", "y", "z"], "amount": [40.0, 30.0, 20.0]})
    goods = pd.DataFrame({"lender": ["y"], "borrower": ["x"], "amount": [2.5]})
    both = pd.concat([loans.assign(layer="bank-company"), goods.assign(layer="trade")])
    return exposure_network(nodes, both)


def test_the_chain_by_hand() -> None:
    found = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.1)
    assert found.losses.tolist() == [4, 0, 0, 0]
    assert found.equity[0] == 6
    assert found.wanted[0] == pytest.approx(96 - 60)
    assert found.credit.tolist() == [0, 0, 30, 20]
    assert found.cut == pytest.approx([0, 0, 36 * 0.6, 36 * 0.4])
    assert found.supply == pytest.approx(-36 / 50)
    assert found.by_sector().set_index("sector")["cut"]["G"] == pytest.approx(72)
    half = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.1, pass_through=0.5)
    assert half.cut == pytest.approx(found.cut / 2)
    none = credit_supply(small(), 0.0)
    assert none.cut.sum() == none.losses.sum() == 0


def test_a_bank_that_fails_withdraws_all_it_has_lent() -> None:
    found = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.5)
    assert found.banks_failed.tolist() == [True, False, False, False]
    assert found.cut.tolist() == [0, 0, 30, 20]


def test_companies_without_liquidity_and_trade_credit_close_the_circle() -> None:
    squeezed = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.1, liquidity=[0, 0, 25.0, 10.0])
    assert squeezed.failed_in.tolist() == [-1, 0, 2, 1]  # z loses 14.4 of 10 first, and then y bears it all
    linked = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.1, trade="trade")
    assert linked.failed_in.tolist() == [-1, 0, 1, -1]
    assert linked.losses[0] == pytest.approx(7.0)
    saved = credit_supply(small(), [0, 1, 0, 0], loss_given_default=0.1, trade="trade", trade_recovery=0.5)
    assert saved.failed_in.tolist() == [-1, 0, -1, -1]


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_more_failures_never_mean_more_credit(seed: int) -> None:
    r = np.random.default_rng(seed)
    loans = r.exponential(1.0, (3, 10)) * (r.random((3, 10)) < 0.6)
    matrix = np.zeros((13, 13))
    matrix[:3, 3:] = loans
    assets = np.r_[loans.sum(1) * 1.5 + 1, np.zeros(10)]
    nodes = pd.DataFrame(
        {"id": range(13), "kind": ["bank"] * 3 + ["company"] * 10, "buffer": 0.1 * assets, "assets": assets}
    )
    network = exposure_network(nodes).with_layer("bank-company", Links.of(sp.csr_array(matrix)))
    order, last = r.permutation(10) + 3, np.zeros(10)
    for k in range(9):
        failing = np.zeros(13)
        failing[order[:k]] = 1.0
        found = credit_supply(network, failing)
        assert (found.cut <= found.credit + 1e-12).all()
        assert found.cut[order[:k]].sum() == 0
        share = np.divide(found.cut, found.credit, out=np.ones(13), where=found.credit > 0)[3:]
        assert (share >= last - 1e-12).all()  # of those who have not failed, each loses at least as large a share
        last = np.where(found.credit[3:] > 0, share, last)


def test_credit_is_refused_and_published_as_declared() -> None:
    with pytest.raises(UsageError, match="only companies"):
        credit_supply(small(), [1, 0, 0, 0])
    with pytest.raises(UsageError):
        credit_supply(small(), [0, 2, 0, 0])
    with pytest.raises(UsageError):
        credit_supply(small(), 0.0, liquidity=[1.0])
    poor = small()
    poor.nodes["assets"] = 50.0
    with pytest.raises(DataError, match="row 1, field assets"):
        credit_supply(poor, 0.0)
    with pytest.raises(DisclosureError):
        credit_supply(small(), [0, 1, 0, 0]).cells(scenario="s", as_of="2020-01-01")
    r = np.random.default_rng(0)
    matrix = np.zeros((24, 24))
    matrix[:4, 4:] = r.random((4, 20))
    nodes = pd.DataFrame(
        {"id": range(24), "kind": ["bank"] * 4 + ["company"] * 20, "buffer": 1.0, "assets": 20.0,
         "sector": ["K"] * 4 + ["C"] * 10 + ["G"] * 10}
    )  # fmt: skip
    network = exposure_network(nodes).with_layer("bank-company", Links.of(sp.csr_array(matrix)))
    found = credit_supply(network, np.r_[np.zeros(4), np.ones(4), np.zeros(16)])
    assert isinstance(found, Result)
    (cells,) = found.cells(scenario="four", as_of="2020-01-01")
    frame = cells.frame.set_index("sector")
    assert set(frame.index) == {"C", "G", "_T"}
    assert frame.loc["_T", "m_cut"] == pytest.approx(found.cut.sum())
    assert "companies fail" in found.summary()
    assert cascade(network, [4, 5], layers=["bank-company"]).rounds >= 0
