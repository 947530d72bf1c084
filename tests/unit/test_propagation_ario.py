"""ARIO: accounts that add up every day, a plain reading of the equations, closed forms, and what the papers say."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, UsageError
from opsroom.decide.propagation import Ario, Reaction, ensemble

Floats = npt.NDArray[np.float64]
NAMES = ["farms", "mills", "builders", "power"]


def drawn(seed: int) -> tuple[Ario, dict[str, Any]]:
    """An economy and a disaster."""
    rng = np.random.default_rng(seed)
    n = len(NAMES)
    z = rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < 0.7)
    f = rng.lognormal(1.0, 0.5, n) * n
    more = z.sum(axis=0) - 0.8 * z.sum(axis=1)
    z *= min(1.0, float(np.min(np.where(more > 0.0, 0.8 * f / np.maximum(more, 1e-12), np.inf))))
    table = pd.DataFrame(z, NAMES, NAMES)
    model = Ario(
        table, f, stock_days=rng.uniform(1.0, 40.0, n), table_days=1.0,
        essential=pd.DataFrame(rng.random((n, n)) < 0.7, NAMES, NAMES),
        reaction=Reaction(
            most=float(rng.uniform(1.0, 1.5)), extend_days=float(rng.uniform(20, 200)),
            restock_days=float(rng.uniform(2, 40)), caution=float(rng.random()),
            rebuild_days=float(rng.uniform(20, 200)), orders="needed" if rng.random() < 0.5 else "used",
            served="alike" if rng.random() < 0.5 else "inputs",
        ),
    )  # fmt: skip
    shares = rng.random(n)
    shock = {
        "damage": rng.uniform(0.0, 0.6, n) * model.capital * (rng.random(n) < 0.6), "rebuilt_by": shares / shares.sum(),
        "homes": float(rng.random() * model.capital.sum() * 0.2), "first": int(rng.integers(0, 10)),
        "lost": np.where(np.arange(60)[:, None] < 30, rng.uniform(0.0, 0.5, n), 0.0),
    }  # fmt: skip
    return model, shock


def slow(model: Ario, shock: dict[str, Any], days: int) -> tuple[list[list[float]], list[list[float]]]:
    """Output and ruins day by day, written out number by number."""
    r, n = model.reaction, len(model.x)
    stock = [[model.days[i, j] * model.z[i, j] for j in range(n)] for i in range(n)]
    orders = [[float(model.z[i, j]) for j in range(n)] for i in range(n)]
    alpha, ruins = [1.0] * n, [0.0] * (n + 1)
    outputs, destroyed = [], []
    for t in range(days):
        if t == shock["first"]:
            ruins = [float(v) for v in shock["damage"]] + [shock["homes"]]
        demand, able = [], []
        for i in range(n):
            rebuild = sum(shock["rebuilt_by"][i] * ruin / r.rebuild_days for ruin in ruins)
            demand.append(sum(orders[i]) + model.f[i] + rebuild)
            able.append(alpha[i] * (1 - ruins[i] / model.capital[i]) * (1 - shock["lost"][t, i]) * model.x[i])
        aimed = [min(demand[i], able[i]) for i in range(n)]
        made = []
        for j in range(n):
            part = 1.0
            for i in range(n):
                need = max(r.caution * model.days[i, j], 1.0) * model.a[i, j] * aimed[j]
                if model._binds[i, j] and stock[i][j] < need:
                    part = min(part, stock[i][j] / need)
            made.append(aimed[j] * part)
        first, rest = [], []
        for i in range(n):
            if r.served == "alike":
                first.append(made[i] / demand[i])
                rest.append(made[i] / demand[i])
            else:
                asked = sum(orders[i])
                first.append(min(1.0, made[i] / asked) if asked > 0 else 1.0)
                rest.append((made[i] - first[i] * asked) / (demand[i] - asked))
        before = list(ruins)
        for i in range(n):
            for k in range(n + 1):
                ruins[k] -= shock["rebuilt_by"][i] * before[k] / r.rebuild_days * rest[i]
        for i in range(n):
            for j in range(n):
                stock[i][j] += orders[i][j] * first[i] - min(model.a[i, j] * made[j], stock[i][j])
        for i in range(n):
            scarcity = (demand[i] - made[i]) / demand[i]
            way = (r.most - alpha[i]) * scarcity if scarcity > 1e-12 else 1.0 - alpha[i]
            alpha[i] += way / r.extend_days
            for j in range(n):
                gap = model.days[i, j] * model.a[i, j] * aimed[j] - stock[i][j]
                if r.orders == "used":
                    orders[i][j] = model.a[i, j] * made[j] + max(gap, 0.0) / r.restock_days
                else:
                    orders[i][j] = max(model.a[i, j] * aimed[j] + gap / r.restock_days, 0.0)
        outputs.append(made)
        destroyed.append(list(ruins))
    return outputs, destroyed


@settings(max_examples=15)
@given(st.integers(0, 100_000))
def test_a_path_is_what_the_equations_say_number_by_number(seed: int) -> None:
    model, shock = drawn(seed)
    path = model.run(60, **shock)
    outputs, destroyed = slow(model, shock, 60)
    assert path.output.to_numpy() == pytest.approx(np.array(outputs), rel=1e-9)
    assert path.destroyed.to_numpy() == pytest.approx(np.array(destroyed), rel=1e-9, abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 100_000))
def test_nothing_is_lost_from_the_accounts_on_any_day(seed: int) -> None:
    model, shock = drawn(seed)
    path = model.run(60, **shock, keep_flows=True)
    out, sold = path.output.to_numpy(), (path.intermediate + path.final + path.rebuilt).to_numpy()
    assert out == pytest.approx(sold, rel=1e-12)
    assert (out <= path.demand.to_numpy() * (1 + 1e-12)).all()
    assert (out <= path.capacity.to_numpy() * (1 + 1e-12)).all()
    flows = path.flows
    assert flows is not None
    earlier = np.concatenate([flows.first[None], flows.after[:-1]])
    assert flows.after == pytest.approx(earlier + flows.delivered - flows.used, rel=1e-12)
    assert (flows.after >= 0.0).all()
    assert flows.delivered.sum(axis=2) == pytest.approx(path.intermediate.to_numpy(), rel=1e-12)
    # what inputs output takes is drawn from stocks or, where not essential, replaced
    wanted = np.einsum("ij,tj->ti", model.a, out)
    assert wanted == pytest.approx(flows.used.sum(axis=2) + path.replaced.to_numpy(), rel=1e-12)
    # what was destroyed is rebuilt or still destroyed
    ruins = path.destroyed.sum(axis=1).to_numpy()
    assert path.damage == pytest.approx(ruins[-1] + path.rebuilt.to_numpy().sum(), rel=1e-10)
    assert (np.diff(ruins[shock["first"] :]) <= 1e-12).all()
    assert ((path.extended.to_numpy() >= 1.0 - 1e-12) & (path.extended.to_numpy() <= model.reaction.most + 1e-12)).all()


@pytest.mark.parametrize("seed", range(3))
def test_without_a_disaster_nothing_changes(seed: int) -> None:
    model, _ = drawn(seed)
    path = model.run(400)
    assert path.output.to_numpy() == pytest.approx(np.tile(model.x, (400, 1)), rel=1e-12)
    assert (path.short.to_numpy() == 0).all()
    assert path.costs()["value_added"] == pytest.approx(0.0, abs=1e-9 * model.x.sum())
    assert np.isnan(path.costs()["amplification"])


def alone(**reaction: Any) -> Ario:
    """One sector without inputs: 100 a day, capital 146,000."""
    return Ario(
        pd.DataFrame([[0.0]], ["all"], ["all"]), [100.0], stock_days=1.0, table_days=1.0, reaction=Reaction(**reaction)
    )


def test_a_sector_alone_follows_its_closed_form() -> None:
    # a tenth is destroyed; demand is 100 and 14,600 / 100 for rebuilding: capacity binds, and serves both alike
    model = alone(most=1.0, rebuild_days=100.0)
    assert model.capital.tolist() == [146_000.0]
    path = model.run(3, damage=[14_600.0], rebuilt_by=[1.0])
    assert path.output.iloc[0].to_list() == pytest.approx([90.0])
    mended = 146.0 * 90.0 / 246.0
    assert path.rebuilt.iloc[0].to_list() == pytest.approx([mended])
    left = 14_600.0 - mended
    assert path.destroyed.iloc[0].to_list() == pytest.approx([left, 0.0])
    assert path.output.iloc[1].to_list() == pytest.approx([100.0 * (1.0 - left / 146_000.0)])
    # homes destroyed leave capacity whole: with spare capacity it would be made, here it is taken from final use
    spare = alone(most=1.0, rebuild_days=100.0).run(1, homes=1000.0, rebuilt_by=[1.0])
    assert spare.final.iloc[0].to_list() == pytest.approx([100.0 * 100.0 / 110.0])


def test_capacity_grows_with_scarcity_as_told_and_returns() -> None:
    model = alone(most=1.5, extend_days=50.0)
    lost = np.where(np.arange(400)[:, None] < 100, 0.5, 0.0)
    path = model.run(400, lost=lost)
    alpha, now = path.extended["all"].to_numpy(), 1.0
    for t in range(400):
        assert alpha[t] == pytest.approx(now, rel=1e-12)
        scarcity = max(0.0, 1.0 - now * 0.5) if t < 100 else 0.0
        now += ((1.5 - now) * scarcity if scarcity > 0.0 else 1.0 - now) / 50.0
    assert alpha.max() > 1.25
    assert alpha[-1] < 1.01
    assert path.output["all"].iloc[99] == pytest.approx(50.0 * alpha[99])


def chain(stock: float, **reaction: Any) -> Ario:
    """Power, which cannot be stored, feeds mills, which feed builders."""
    z = pd.DataFrame([[0.0, 20.0, 5.0], [0.0, 0.0, 40.0], [1.0, 1.0, 0.0]], ["power", "mills", "builders"],
                     ["power", "mills", "builders"])  # fmt: skip
    return Ario(z, [30.0, 60.0, 80.0], stock_days=[1.0, stock, stock], table_days=1.0, reaction=Reaction(**reaction))


def test_stocks_bridge_what_cannot_be_stored_stops_at_once() -> None:
    lost = {"mills": np.array([0.0, 0.9, 0.0]), "power": np.array([0.9, 0.0, 0.0])}
    # without caution, builders work on from stock for some days after the mills stop, and not at all after the power
    path = chain(30.0, caution=0.0).run(10, lost=lost["mills"])
    assert path.output["builders"].iloc[5] == pytest.approx(82.0, rel=0.05)
    dark = chain(30.0, caution=0.0).run(10, lost=lost["power"])
    assert dark.output["builders"].iloc[5] < 0.3 * 82.0
    assert dark.short["builders"].iloc[5] == 2


def test_what_the_papers_found_holds() -> None:
    """More stocks cost less. Small disasters cost less than what they destroy, for rebuilding is work, and large ones
    more and more (Hallegatte 2007, 2008). Bottlenecks come first and go before the rebuilding (Hallegatte 2014)."""
    shock: dict[str, Any] = {"rebuilt_by": [0.0, 0.1, 0.9], "first": 5}
    mills = np.array([0.0, 1.0, 0.0])
    cost = {}
    for stock in (5.0, 60.0):
        model = chain(stock, rebuild_days=180.0)
        cost[stock] = model.run(1500, damage=0.4 * model.capital * mills, **shock).costs()["value_added"]
    assert cost[60.0] < cost[5.0]
    model = chain(10.0, rebuild_days=180.0)
    ratios = [
        model.run(1500, damage=part * model.capital * mills, **shock).costs()["amplification"]
        for part in (0.02, 0.2, 0.6)
    ]
    assert ratios[0] < 1.0 < ratios[2]
    assert ratios[0] < ratios[1] < ratios[2]
    path = model.run(1500, damage=0.6 * model.capital * mills, **shock)
    jammed = np.flatnonzero((path.short == 2).any(axis=1))
    mending = np.flatnonzero(path.destroyed.sum(axis=1) > 0.01 * path.damage)
    assert len(jammed)
    assert jammed[-1] < mending[-1]


def test_served_alike_claims_that_do_not_shrink_starve_the_sectors() -> None:
    """Why inputs come first by default: the same disaster is over or stops everything, by who is served."""
    lows = {}
    for served in ("inputs", "alike"):
        model = chain(10.0, rebuild_days=180.0, served=served)
        path = model.run(600, damage=0.2 * model.capital * [0, 1, 0], rebuilt_by=[0.0, 0.1, 0.9])
        lows[served] = path.to_frame()["value_added"].iloc[-1]
    assert lows["inputs"] > 0.95
    assert lows["alike"] < 0.05


def test_an_ensemble_of_disasters_carries_intervals() -> None:
    model = chain(10.0)

    def draw(rng: np.random.Generator) -> Any:
        model.reaction = Reaction(most=float(rng.uniform(1.1, 1.4)), rebuild_days=float(rng.uniform(60, 300)))
        damage = rng.uniform(0.2, 0.5) * model.capital * np.array([0.0, 1.0, 0.0])
        return model.run(40, damage=damage, rebuilt_by=[0.0, 0.1, 0.9], start=dt.date(2024, 1, 1))

    found = ensemble(draw, draws=20)
    frame = found.to_frame()
    assert (frame["lower"] <= frame["median"]).all()
    assert (frame["lower"] < frame["upper"]).iloc[1:].all()
    assert "Hallegatte" in found.cite()


def test_a_path_says_what_it_found() -> None:
    model = chain(10.0)
    path = model.run(30, damage=[0.0, 5000.0, 0.0], rebuilt_by=[0.0, 0.1, 0.9], start=dt.date(2024, 1, 1))
    text = path.summary()
    assert "Of 5,000 destroyed" in text
    assert "value added" in path.chart().to_json()
    costs = path.costs()
    assert costs["total"] == pytest.approx(costs["direct"] + costs["value_added"])
    assert path.to_frame()["destroyed"].iloc[-1] == pytest.approx(path.destroyed.iloc[-1].sum() / 5000.0)
    assert list(path.by_sector().columns) == ["output", "none", "capacity", "inputs"]
    with pytest.raises(UsageError, match="without dates"):
        model.run(3).chart()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"damage": [1e9, 0.0, 0.0], "rebuilt_by": [1, 0, 0]}, UsageError, "more is destroyed"),
        ({"damage": [1.0, 0.0, 0.0]}, UsageError, "add to 1"),
        ({"homes": -1.0}, UsageError, "homes"),
        ({"lost": [2.0, 0.0, 0.0]}, UsageError, "lost: shares"),
        ({"damage": [1.0]}, UsageError, "one number is wanted"),
        ({"damage": [-1.0, 0.0, 0.0]}, DataError, "below 0"),
        ({"first": -1}, UsageError, "0 or later"),
    ],
)
def test_disasters_that_make_no_sense_are_refused(change: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        chain(5.0).run(5, **change)


def test_economies_that_make_no_sense_are_refused() -> None:
    z = pd.DataFrame([[0.0]], ["all"], ["all"])
    for wrong, error, said in (
        ({"stock_days": 0.5}, DataError, "less than a day"),
        ({"stock_days": 1.0, "capital": [0.0]}, DataError, "no capital"),
        ({"stock_days": 1.0, "essential": pd.Series({"other": True})}, UsageError, "essential"),
    ):
        given: dict[str, Any] = dict(wrong)
        with pytest.raises(error, match=said):
            Ario(z, [1.0], **given)
    with pytest.raises(DataError, match="no output"):
        Ario(z, [0.0], stock_days=1.0)
    with pytest.raises(UsageError, match="same sectors"):
        Ario(z.rename(index={"all": "none"}), [1.0], stock_days=1.0)
    with pytest.raises(UsageError, match="caution"):
        Reaction(caution=2.0)
