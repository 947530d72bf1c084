"""Differential privacy: what it costs, that a group is bounded, and that a budget cannot be overdrawn."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from opsroom.base.errors import DisclosureError, NotFoundError, SettingsError, UsageError
from opsroom.base.state import State
from opsroom.protect.audit import AuditLog
from opsroom.protect.budget import Budgets
from opsroom.protect.private import _bounded, private_counts, private_shares

CELLS = {"region": ["R1", "R2"], "section": ["A", "B", "C"]}


def budgets_of(state: State) -> Budgets:
    return Budgets(state, AuditLog(state))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(tmp_path / "room.db")
    yield opened
    opened.close()


def ask(state: State, frame: pd.DataFrame, epsilon: Any = "1", **more: Any) -> Any:
    pytest.importorskip("opendp", reason="OpenDP is not installed: opsroom[dp]")
    call = private_shares if "flag" in more else private_counts
    asked = {"categories": CELLS, "unit": "group", "most_cells": 1, "dataset": "sales", "purpose": "a test"} | more
    return call(frame, epsilon=epsilon, budgets=budgets_of(state), by="ada", **asked)


def firms(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "group": [f"g{k}" for k in range(count)],
            "region": rng.choice(CELLS["region"], count),
            "section": rng.choice(CELLS["section"], count),
            "closed": rng.random(count) < 0.3,
        }
    )


# -- budgets ----------------------------------------------------------------------------------


def test_a_budget_is_spent_to_the_last_millionth_and_no_further(state: State) -> None:
    budgets = budgets_of(state)
    with pytest.raises(NotFoundError):
        budgets.spend("sales", "0.1", purpose="x", by="ada")
    budgets.open("sales", "0.3", by="stella")
    for _ in range(3):  # 0.1 three times: floats would not come out even
        account = budgets.spend("sales", 0.1, purpose="a table", by="ada")
    assert account.left == 0
    with pytest.raises(DisclosureError) as refused:
        budgets.spend("sales", "0.000001", purpose="x", by="ada")
    assert refused.value.code == "OPS-P040"
    assert budgets.account("sales").spent == Decimal("0.3")
    assert [s.epsilon for s in budgets.spendings("sales")] == [Decimal("0.1")] * 3
    with pytest.raises(UsageError):
        budgets.open("sales", "9", by="stella")
    acts = [(a.actor, a.act, a.object) for a in AuditLog(state).entries()]
    assert (
        acts == [("stella", "budget open", "sales: epsilon 0.3")] + [("ada", "budget spend", "sales: epsilon 0.1")] * 3
    )


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", "x", "0.0000001", "1001"])
def test_an_epsilon_is_a_number_that_can_be_counted(state: State, epsilon: str) -> None:
    with pytest.raises(UsageError):
        budgets_of(state).open("sales", epsilon, by="stella")


@given(spendings=st.lists(st.integers(1, 400_000), max_size=12))
def test_what_is_spent_never_exceeds_the_budget(tmp_path_factory: pytest.TempPathFactory, spendings: list[int]) -> None:
    state = State.open(tmp_path_factory.mktemp("budget") / "room.db")
    budgets = budgets_of(state)
    budgets.open("d", 1, by="x")
    spent = 0
    for one in spendings:
        epsilon = Decimal(one) / 1_000_000
        if spent + one <= 1_000_000:
            budgets.spend("d", epsilon, purpose="x", by="x")
            spent += one
        else:
            with pytest.raises(DisclosureError):
                budgets.spend("d", epsilon, purpose="x", by="x")
    assert budgets.account("d").spent * 1_000_000 == spent
    state.close()


SPEND = """
import sys, time
from pathlib import Path
from opsroom.base.errors import DisclosureError
from opsroom.base.state import State
from opsroom.protect.audit import AuditLog
from opsroom.protect.budget import Budgets
folder, name = Path(sys.argv[1]), sys.argv[2]
state = State.open(folder / "room.db")
budgets, spent = Budgets(state, AuditLog(state)), 0
(folder / f"{name}.ready").touch()
while not (folder / "go").exists():
    time.sleep(0.005)
for _ in range(20):
    try:
        budgets.spend("sales", "0.07", purpose=name, by=name)
        spent += 1
    except DisclosureError:
        pass
print(spent)
"""


def test_processes_that_spend_at_once_do_not_overdraw(state: State, tmp_path: Path) -> None:
    budgets_of(state).open("sales", 2, by="stella")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    names = ["a", "b", "c"]
    running = [
        subprocess.Popen([sys.executable, "-c", SPEND, str(tmp_path), name], env=env, stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    while not all((tmp_path / f"{name}.ready").exists() for name in names):
        assert all(one.poll() is None for one in running)
    (tmp_path / "go").touch()
    told = [int(one.communicate(timeout=120)[0]) for one in running]
    assert sum(told) == 28, "2 / 0.07"
    budgets = budgets_of(state)
    assert budgets.account("sales").spent == Decimal("1.96")
    assert len(budgets.spendings("sales")) == 28
    assert AuditLog(state).verify() == 29


# -- noise ------------------------------------------------------------------------------------


def test_counts_have_the_noise_that_they_say(state: State) -> None:
    """Discrete Laplace of scale c/ε: chi-square over 6,000 draws, and the error that is announced."""
    frame, epsilon, most = firms(500), 0.5, 2
    categories = {"region": [*CELLS["region"], *(f"X{k}" for k in range(998))], "section": CELLS["section"]}
    budgets_of(state).open("sales", 10, by="stella")
    true = frame.groupby(["region", "section"]).size()
    noise: list[int] = []
    for _ in range(2):
        table = ask(state, frame, epsilon, most_cells=most, categories=categories)
        found = table.to_frame().set_index(["region", "section"])["count"]
        assert len(found) == 3000, "empty cells are there, with noise"
        noise += (found - true.reindex(found.index, fill_value=0)).tolist()
    assert table.scale == pytest.approx(most / epsilon, rel=1e-9)
    a = math.exp(-epsilon / most)
    values = np.arange(-12, 13)
    chances = (1 - a) / (1 + a) * a ** np.abs(values)
    seen = np.array([noise.count(int(v)) for v in values])
    wanted = np.append(chances, 1 - chances.sum()) * len(noise)
    got = np.append(seen, len(noise) - seen.sum())
    # OpenDP draws from the operating system: no seed, so the bound is one that fails once in a million runs
    assert chi2.sf(float(((got - wanted) ** 2 / wanted).sum()), len(values)) > 1e-6
    inside = np.mean(np.abs(noise) <= table.error(0.95))
    assert 0.93 < inside < 0.985
    assert budgets_of(state).account("sales").spent == 1


def test_a_table_is_refused_once_the_budget_is_gone_and_costs_nothing_where_it_is_wrong(state: State) -> None:
    budgets_of(state).open("sales", 1, by="stella")
    with pytest.raises(UsageError):
        ask(state, firms(10), "0.6", unit="nothing")
    with pytest.raises(UsageError):
        ask(state, firms(10), "0.6", categories={})
    ask(state, firms(10), "0.6")
    with pytest.raises(DisclosureError):
        ask(state, firms(10), "0.6")
    assert budgets_of(state).account("sales").spent == Decimal("0.6")


def test_a_dataset_without_a_budget_has_no_private_tables(state: State) -> None:
    with pytest.raises(NotFoundError):
        ask(state, firms(10))


def test_shares_come_from_both_counts_at_one_price(state: State) -> None:
    budgets_of(state).open("sales", 50, by="stella")
    frame = firms(30_000)
    table = ask(state, frame, 50, flag="closed").to_frame().set_index(["region", "section"])
    true = frame.groupby(["region", "section"])["closed"].mean()
    assert (table["share"] - true).abs().max() < 0.01
    assert budgets_of(state).account("sales").left == 0
    assert ((table["share"] >= 0) & (table["share"] <= 1)).all()


def test_without_opendp_it_says_what_to_install(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp", None)
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    budgets_of(state).open("sales", 1, by="stella")
    with pytest.raises(SettingsError) as refused:
        private_counts(
            firms(5), categories=CELLS, unit="group", most_cells=1, epsilon=1, budgets=budgets_of(state),
            dataset="sales", purpose="x", by="x",
        )  # fmt: skip
    assert refused.value.code == "OPS-C021"
    assert budgets_of(state).account("sales").spent == 0


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["R1", "R2", "R9"]), st.sampled_from("ABC"), st.booleans()),
    max_size=15,
)


@given(rows=ROWS, most=st.integers(1, 3), flagged=st.booleans())
def test_a_group_changes_the_table_by_no_more_than_it_may(
    rows: list[tuple[str, str, str, bool]], most: int, flagged: bool
) -> None:
    """The sensitivity that the noise is made for: data with and without one group, in the sum of differences."""
    frame = pd.DataFrame(rows, columns=["group", "region", "section", "closed"])
    cells = {(r, s): 3 * i + j for i, r in enumerate(CELLS["region"]) for j, s in enumerate(CELLS["section"])}
    flag = "closed" if flagged else ""

    def table(part: pd.DataFrame) -> np.ndarray:
        kept = _bounded(part, ("region", "section"), "group", cells, most, flag)
        where = kept["_cell"] + (6 * kept["closed"] if flagged else 0)
        return np.bincount(where.to_numpy(dtype=np.int64), minlength=12)

    whole = table(frame)
    for group in "abc":
        without = table(frame[frame["group"] != group])
        assert np.abs(whole - without).sum() <= most
        # and where a group is in few enough cells it counts in all of them
        own = {cells[r, s] for g, r, s, _ in rows if g == group and (r, s) in cells}
        assert np.abs(whole - without).sum() == min(most, len(own))
