"""Certificates of derived outputs: what a witness proves, what is none, and that without them nothing is released."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from tests.unit.test_protect_derived_once import AT, DAY, RULES, ledger, table  # noqa: F401 - ledger is a fixture

from opsroom.base.errors import DisclosureError, LedgerConflictError
from opsroom.protect import Ledger, Rules, derived_once, derived_witness
from opsroom.protect.contributions import Derived
from opsroom.protect.derived_asked import Asked
from opsroom.protect.derived_check import Goal, Proof, recompute
from opsroom.protect.derived_entry import Entry
from opsroom.protect.derived_once import release_derived
from opsroom.protect.derived_witness import prove
from opsroom.protect.ordered import Run, _somebody_hemmed, order_bounds
from opsroom.protect.quotients import Quotient, release_quotients

SIZES = [3, 5, 8, 9, 12, 15, 18, 22, 27, 33, 41, 50, 62, 78, 95]
ASKED = {
    "quantile": Asked("quantile", SIZES, range(15), unit="jobs"),
    "top_share": Asked("top_share", SIZES, range(15), largest=4),
    "hhi": Asked("hhi", SIZES, range(15)),
}


@pytest.mark.parametrize("attackers", ["outsider", "contributor", "coalition"])
@pytest.mark.parametrize("kind", ASKED)
def test_what_its_rule_lets_pass_is_proved(kind, attackers):
    rules = Rules(attackers=attackers)
    stamp = prove(ASKED[kind], ASKED[kind].derive(rules), rules)
    assert stamp["rule"] == kind
    assert stamp["witnesses"].startswith("blake2b:")


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("hhi", [50.0] + [1.0] * 50),  # the index is the square of the largest share
        ("quantile", [100.0] * 15),  # the largest is the mean: all have the same
        ("top_share", [90.0, 1.0, 1.0, 1.0, *[1.0] * 8]),
    ],
)
def test_what_betrays_somebody_has_no_certificate_whatever_its_rule_says(kind, sizes):
    asked = Asked(kind, sizes, range(len(sizes)), decimals=1)
    values = {"hhi": {"hhi": round(sum((x / sum(sizes)) ** 2 for x in sizes) * 100) * 100.0},
              "quantile": {"p50": 100.0}, "top_share": {"c4": round(100 * 93 / 101, 1)}}[kind]  # fmt: skip
    with pytest.raises(DisclosureError):
        prove(asked, Derived(kind, values, "", ""), Rules())


def test_a_rank_between_two_quartiles_can_be_hemmed_in():
    """It is neither where a sum begins nor where one ends; rule and certificate, made apart, both refuse."""
    sizes = [
        6987, 6662, 6202, 5059, 4619, 4600, 4477, 4305, 4137, 4125, 4098, 4035, 3818, 3761, 3759,
        3756, 3729, 3703, 3702, 3581, 3481, 3478, 3399, 3383, 3373, 3297, 3262, 3232, 3219, 3196,
        3135, 3094, 3007, 2998, 2896, 2873, 2851, 2791, 2790, 2675, 2603, 2592, 2520, 2492, 2472,
        2452, 2445, 2395, 2354, 2304, 2255, 2232, 2225, 2210, 2149, 1897, 1669, 1634, 1381, 1267,
    ]  # fmt: skip
    rules = Rules(attackers="coalition", p_percent=10.0)
    asked = Asked("quantile", sizes, range(60), probabilities=(0.25, 0.5, 0.75))
    runs = [Run(a, b, float(sum(sizes[a : b + 1]))) for a, b in ((13, 16), (28, 31), (43, 46), (0, 59))]
    low, high = order_bounds(60, runs, 21)
    assert 0.9 * sizes[21] < low < high < 1.1 * sizes[21]
    with pytest.raises(DisclosureError):
        asked.derive(rules)
    means = {f"p{q}": round((run.total) / 4) for q, run in zip((75, 50, 25), runs, strict=False)}
    with pytest.raises(DisclosureError):
        prove(asked, Derived("quantile", means, "", ""), rules)


def test_halving_finds_whoever_a_look_at_every_rank_finds():
    draw, answers = np.random.default_rng(3), []
    for _ in range(60):
        n = int(draw.integers(4, 24))
        spread = draw.choice([0.1, 0.4, 1.0])
        values = -np.sort(-np.round(np.exp(draw.normal(5, spread, n))))
        cuts = np.sort(draw.choice(n + 1, size=4, replace=False))
        spans = [(0, n - 1), (cuts[0], cuts[1] - 1), (cuts[2], cuts[3] - 1)]
        runs = [Run(int(a), int(b), float(values[a : b + 1].sum())) for a, b in spans]
        near = float(draw.choice([0.05, 0.1, 0.3]))
        bounds = np.array([order_bounds(n, runs, target) for target in range(1, n)])
        inside = (bounds[:, 0] > values[1:] * (1 - near)) & (bounds[:, 1] < values[1:] * (1 + near))
        answers.append(_somebody_hemmed(values, runs, near, signed=False))
        assert answers[-1] == inside.any()
    assert 10 < sum(answers) < 50


def _proof(kind: str) -> Proof:
    return Proof(ASKED[kind], ASKED[kind].derive(Rules()), Rules())


@pytest.mark.parametrize("kind", ASKED)
def test_a_list_that_would_be_published_otherwise_is_no_witness(kind):
    true = ASKED[kind].ordered()
    proof = _proof(kind)
    before = list(proof.open)
    for changed in (
        true * 1.3,  # another total
        np.append(true, 0.0),  # another number of contributors
        np.where(np.arange(15) == 14, true - 600.0, true + 600.0 / 14),  # somebody below zero
        np.where(np.arange(15) == 0, true.sum(), 0.0),  # another index, median and share
        np.full(15, np.nan),
    ):
        assert not proof.offer(changed)
    assert list(proof.open) == before
    assert proof.offer(true)
    with pytest.raises(DisclosureError):
        proof.stamp()


def test_a_witness_serves_whom_it_takes_in_and_nobody_else():
    true = ASKED["hhi"].ordered()
    proof = _proof("hhi")
    moved = true.copy()
    moved[0] += 15
    moved[1] -= 15
    assert proof.offer(moved)
    assert Goal(0) not in proof.open
    assert Goal(0, (2,)) not in proof.open, "the third finds itself as it is"
    assert Goal(0, (1,)) in proof.open, "the second knows that it is not so"
    assert Goal(1) not in proof.open
    assert Goal(5) in proof.open, "it is not moved"


def test_two_goals_need_the_order_that_all_know():
    """A quantile is of ranks: a list in another order than largest first tells nothing of them."""
    proof = _proof("quantile")
    true = proof.true
    swapped = true.copy()
    swapped[[0, 14]] = true[[14, 0]]
    proof.offer(swapped)
    assert Goal(14) in proof.open


def test_a_regression_is_computed_anew():
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(60), draw.normal(10, 2, 60)])
    y = 40 + 3 * x[:, 1] + draw.normal(0, 3, 60)
    asked = Asked("regression", y, [k // 2 for k in range(60)], design=x, names=("one", "size"))
    fit = asked.derive(RULES)
    assert recompute(asked, fit, RULES)["checked"] == "recomputed"
    wrong = Derived("regression", {**fit.values, "size": fit.values["size"] + 0.001}, fit.unit, fit.method)
    with pytest.raises(DisclosureError):
        recompute(asked, wrong, RULES)
    alone = np.column_stack([x, np.arange(60) < 2])  # a dummy of one group
    told = Derived("regression", dict.fromkeys(("one", "size", "x"), 0.0), "", "")
    with pytest.raises(DisclosureError):
        recompute(Asked("regression", y, asked.groups, design=alone, names=("one", "size", "x")), told, RULES)


def _derived(ledger: Ledger):  # noqa: F811 - the fixture
    median = Asked("quantile", [100 + 7 * k for k in range(15)], range(15), unit="MER")
    entry = Entry("table.sales", RULES, AT, DAY, ledger)
    return release_derived(
        lambda: median, cell=("M1", "b1"), parts=["value"], statistic="quantile:value=0.5", entry=entry
    )


def test_no_certificate_no_release(ledger, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr(derived_witness, "_between_runs", lambda *_: None)
    with pytest.raises(DisclosureError) as refused:
        _derived(ledger)
    assert refused.value.code == "OPS-P052"
    assert ledger.head().seq == 1


@pytest.mark.parametrize("kind", ["derived", "quotient"])
def test_another_release_meanwhile_is_taken_into_account(ledger, monkeypatch, kind):  # noqa: F811 - the fixture
    """Where the head has moved, all is judged again, for the new head; contributions are read once."""
    append, tries, read = Ledger.append, [], []

    def late(self, made, head, **more):
        tries.append(made.stamp["ledger"])
        if len(tries) == 1:
            other = Quotient("z", (("M1", "b1"),), (("M1", "b2"),), "value")
            with monkeypatch.context() as inner:
                inner.setattr(Ledger, "append", append)
                release_quotients([other], unit="%", entry=Entry("table.sales", RULES, AT, DAY, self))
        append(self, made, head, **more)

    monkeypatch.setattr(Ledger, "append", late)
    monkeypatch.setattr(derived_once, "prove", lambda *a: read.append(1) or prove(*a))
    if kind == "derived":
        out = _derived(ledger)
    else:
        one = Quotient("b", (("M1", "b"),), (("M1", "_T"),), "value")
        out = release_quotients([one], unit="%", entry=Entry("table.sales", RULES, AT, DAY, ledger))
    assert tries == [2, 3]
    assert out.stamp["ledger"] == ledger.verify() == 3


def test_who_is_always_late_gives_up(ledger, monkeypatch):  # noqa: F811 - the fixture
    def never(self, *_, **__):
        raise LedgerConflictError("another release was issued.", remedy="Try again.")

    monkeypatch.setattr(Ledger, "append", never)
    with pytest.raises(LedgerConflictError):
        _derived(ledger)


def test_a_time_without_zone_is_a_mistake(ledger):  # noqa: F811 - the fixture
    entry = Entry("table.sales", RULES, dt.datetime(2020, 3, 4), DAY, ledger)
    with pytest.raises(Exception, match="OPS-U197"):
        release_quotients([Quotient("b", (("M1", "b"),), (("M1", "_T"),), "value")], unit="%", entry=entry)
