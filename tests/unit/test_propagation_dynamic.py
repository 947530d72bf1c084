"""The dynamic input-output model: accounts, a plain reading of the equations, closed forms."""

from __future__ import annotations

import datetime as dt
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, UsageError
from opsroom.decide.propagation import Behaviour, DynamicInputOutput, DynamicPath, ensemble, spell
from opsroom.decide.propagation.dynamic import Production

Floats = npt.NDArray[np.float64]
NAMES = ["farms", "mills", "shops", "homes"]
KINDS = get_args(Production)


def drawn(seed: int, production: Production, n: int = 4) -> tuple[DynamicInputOutput, dict[str, Floats]]:
    """An economy and shocks to it."""
    rng = np.random.default_rng(seed)
    z = rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < 0.7)
    rest = rng.lognormal(1.0, 0.5, (2, n)) * n
    x = z.sum(axis=1) + rest.sum(axis=0)
    z *= np.minimum(1.0, 0.8 * x / np.maximum(z.sum(axis=0), 1e-9))
    x = z.sum(axis=1) + rest.sum(axis=0)
    assert (z.sum(axis=0) < x).all()
    names = NAMES[:n]
    model = DynamicInputOutput(
        pd.DataFrame(z, index=names, columns=names), rest[0], rest[1], labour=rng.uniform(0.2, 0.5, n) * x,
        stock_days=rng.uniform(1.0, 20.0, n), production=production, table_days=1.0,
        criticality=pd.DataFrame(rng.choice([0.0, 0.5, 1.0], (n, n)), index=names, columns=names),
        behaviour=Behaviour(benefits=float(rng.random()), saving=float(rng.random()), pessimism=float(rng.random())),
    )  # fmt: skip
    shocks = {
        "supply_shock": spell(90, rng.random(n), 5, 40, ramp_in=3, ramp_out=10),
        "demand_shock": spell(90, rng.uniform(-0.2, 0.9, n), 5, 40),
        "other_shock": spell(90, rng.uniform(-0.2, 0.5, n), 5, 60),
    }
    return model, shocks


@settings(max_examples=25)
@given(st.integers(0, 100_000), st.sampled_from(KINDS))
def test_the_accounts_close_every_day(seed: int, production: Production) -> None:
    model, shocks = drawn(seed, production)
    path = model.run(90, keep_stocks=True, **shocks)  # type: ignore[arg-type]  # a mapping of arguments
    made, stocks = path.output.to_numpy(), path.stocks
    assert stocks is not None
    where = path.intermediate + path.consumption + path.other
    assert np.allclose(where, made, rtol=1e-12, atol=1e-12)
    assert np.allclose(stocks.delivered.sum(axis=2), path.intermediate, rtol=1e-12, atol=1e-12)
    before = np.concatenate([stocks.first[None], stocks.after[:-1]])
    assert np.allclose(stocks.after, before + stocks.delivered - stocks.used, rtol=1e-12, atol=1e-12)
    assert min(x.min() for x in (stocks.after, stocks.delivered, made)) >= 0.0
    assert stocks.used.min() >= -1e-12
    # used is what the recipe takes, or all there is of an input that may run out
    recipe = model.a[None] * made[:, None, :]
    assert (stocks.used <= recipe + 1e-12).all()
    ran_out = stocks.used < recipe - 1e-9
    assert np.abs(stocks.after[ran_out]).max(initial=0.0) == 0.0
    if production == "leontief":
        assert not ran_out.any()
    limits = np.minimum(np.minimum(path.capacity, path.inputs), path.demand)
    assert np.allclose(made, limits, rtol=1e-12, atol=1e-12)
    allowed = (1.0 - shocks["supply_shock"]) * model.labour
    assert (path.labour.to_numpy() <= allowed + 1e-12).all()
    assert np.abs(made / model.x - 1.0).max() > 0.01


@given(st.integers(0, 1000), st.sampled_from(KINDS))
@settings(max_examples=10)
def test_without_a_shock_nothing_moves(seed: int, production: Production) -> None:
    model, _ = drawn(seed, production)
    path = model.run(50)
    assert np.allclose(path.output, model.x, rtol=1e-9, atol=0.0)
    assert (path.binding.to_numpy() == 0).all()


@settings(max_examples=8)
@given(st.integers(0, 100_000))
def test_the_path_is_the_equations_read_plainly(seed: int) -> None:
    """Number by number, without arrays, in the order in which the paper states them."""
    model, shocks = drawn(seed, "half_critical", 3)
    path = model.run(90, **shocks)  # type: ignore[arg-type]  # a mapping of arguments
    n, b, a, x0, l0 = 3, model.behaviour, model.a.tolist(), model.x.tolist(), model.labour.tolist()
    full, half = model._full, model._half
    aim = [[model.z[j][i] * model.days[i] for i in range(n)] for j in range(n)]
    stock = [row[:] for row in aim]
    work, asked, able, capable = l0[:], x0[:], [1e99] * n, x0[:]
    log_c, c0 = 0.0, sum(model.c)
    for t in range(90):
        for i in range(n):
            gap = l0[i] / x0[i] * (min(able[i], asked[i]) - capable[i])
            work[i] += (b.hire if gap > 0 else b.fire) * gap
            work[i] = min(max(work[i], 0.0), (1 - shocks["supply_shock"][t][i]) * l0[i])
        earned = (sum(work) + b.benefits * (sum(l0) - sum(work))) / sum(l0)
        hoped = 1 - b.pessimism * (1 - earned)
        log_c = b.memory * log_c + (1 - b.memory) / 2 * np.log(earned) + (1 - b.memory) / 2 * np.log(hoped)
        keen = [model.c[i] / c0 * (1 - shocks["demand_shock"][t][i]) for i in range(n)]
        budget = c0 * np.exp(log_c) * (1 - b.saving * (1 - sum(keen)))
        order = [[max(a[j][i] * asked[i] + (aim[j][i] - stock[j][i]) / 10, 0) for i in range(n)] for j in range(n)]
        asked = [
            sum(order[j]) + budget * keen[j] / sum(keen) + model.f[j] * (1 - shocks["other_shock"][t][j])
            for j in range(n)
        ]
        capable = [x0[i] * work[i] / l0[i] for i in range(n)]
        able = []
        for i in range(n):
            found = [stock[j][i] / a[j][i] for j in range(n) if full[j, i]]
            found += [(stock[j][i] / a[j][i] + x0[i]) / 2 for j in range(n) if half[j, i]]
            able.append(min(found, default=float("inf")))
        made = [min(capable[i], able[i], asked[i]) for i in range(n)]
        for j in range(n):
            for i in range(n):
                stock[j][i] = max(stock[j][i] + order[j][i] * made[j] / asked[j] - a[j][i] * made[i], 0.0)
        assert path.output.iloc[t].tolist() == pytest.approx(made, rel=1e-9)
        assert path.demand.iloc[t].tolist() == pytest.approx(asked, rel=1e-9)
        assert path.labour.iloc[t].tolist() == pytest.approx(work, rel=1e-9)


def two(production: Production, rating: float = 1.0) -> DynamicInputOutput:
    """Farms that sell to mills (10 days of stocks) and abroad; households whose spending never changes."""
    names = NAMES[:2]
    return DynamicInputOutput(
        pd.DataFrame([[0.0, 1.0], [0.0, 0.0]], index=names, columns=names), [0.0, 2.0], [1.0, 0.0], labour=[1.0, 1.0],
        stock_days=[10, 10], production=production, table_days=1.0, behaviour=Behaviour(memory=1.0),
        criticality=pd.DataFrame(rating, index=names, columns=names),
    )  # fmt: skip


def test_stocks_last_as_long_as_they_last() -> None:
    """Farms shut: mills run their ten days, then stand still; with an important input they go on by half."""
    cases: list[tuple[Production, float, float]] = [
        ("leontief", 0.0, 0.0), ("half_critical", 1.0, 0.0), ("half_critical", 0.5, 1.0), ("weakly_critical", 0.5, 2.0),
        ("strongly_critical", 0.5, 0.0), ("linear", 0.0, 0.0),
    ]  # fmt: skip
    for production, rating, then in cases:
        path = two(production, rating).run(30, supply_shock=[1.0, 0.0], start=dt.date(2020, 3, 25))
        assert path.output["farms"].tolist() == [0.0] * 30
        assert path.output["mills"].tolist() == pytest.approx([2.0] * 10 + [then] * 20), (production, rating)
        if production == "leontief":
            assert path.binding["mills"].tolist() == [0] * 10 + [2] * 20
            assert path.bottlenecks().to_dict() == pytest.approx({"farms": 2.0 * 20 / (4.0 * 30), "mills": 0.0})
            assert path.by_sector().loc["mills", "inputs"] == pytest.approx(20 / 30)
            assert path.by_quarter().loc["2020-Q1", "output"] == pytest.approx(0.5)
            assert path.by_quarter()["days"].tolist() == [7, 23]
            assert path.to_frame()["unmet_inputs"].iloc[-1] == pytest.approx(0.5)
            assert "Inputs most missed: farms" in path.summary()
            assert "leontief" in path.cite()
            assert path.chart().to_dict()


@pytest.mark.parametrize("production", KINDS)
def test_a_lasting_fall_of_demand_ends_at_leontiefs_output(production: Production) -> None:
    model, _ = drawn(7, production)
    model.behaviour = Behaviour(memory=1.0)
    path = model.run(500, other_shock=np.full(4, 0.3))
    wanted = np.linalg.solve(np.eye(4) - model.a, model.c + 0.7 * model.f)
    assert path.output.iloc[-1].to_numpy() == pytest.approx(wanted, rel=1e-5)
    assert path.labour.iloc[-1].to_numpy() == pytest.approx(model.labour * wanted / model.x, rel=1e-4)


def test_a_spell_ramps_up_and_down() -> None:
    found = spell(10, [1.0, 0.5], 3, 5, ramp_in=1, ramp_out=3)
    assert found[:, 0].tolist() == pytest.approx([0, 0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    assert (found[:, 1] == 0.5 * found[:, 0]).all()
    with pytest.raises(UsageError, match="ends on or after"):
        spell(10, [1.0], 5, 3)


def test_what_cannot_be_taken() -> None:
    names = NAMES[:2]
    z = pd.DataFrame([[0.0, 1.0], [0.0, 0.0]], index=names, columns=names)
    given = {"household": [0.0, 2.0], "other": [1.0, 0.0], "labour": [1.0, 1.0], "stock_days": [10, 10]}
    with pytest.raises(UsageError, match="which inputs are critical"):
        DynamicInputOutput(z, **given)  # type: ignore[arg-type]  # a mapping of arguments
    with pytest.raises(DataError, match="no output"):
        DynamicInputOutput(z, **{**given, "household": [2.0, 0.0]}, production="linear")  # type: ignore[arg-type]  # a mapping of arguments
    with pytest.raises(DataError, match="less than a day"):
        DynamicInputOutput(z, **{**given, "stock_days": [0.5, 1]}, production="linear")  # type: ignore[arg-type]  # a mapping of arguments
    with pytest.raises(UsageError, match="not below 0"):
        two("leontief").run(5, supply_shock=[-0.1, 0.0])
    with pytest.raises(UsageError, match="5 days x 2"):
        two("leontief").run(5, demand_shock=np.zeros((4, 2)))
    with pytest.raises(UsageError, match="no quarters"):
        two("leontief").run(5).by_quarter()
    with pytest.raises(UsageError, match="hire, fire"):
        Behaviour(hire=2.0)


def test_an_ensembles_interval_is_that_of_its_draws() -> None:
    """Farms lose a uniform share of their labour: so does their output, a quarter of all, until mills want stocks."""
    model = two("leontief")

    def draw(rng: np.random.Generator) -> DynamicPath:
        return model.run(3, supply_shock=[rng.uniform(0.0, 1.0), 0.0], start=dt.date(2020, 3, 31))

    found = ensemble(draw, draws=200, level=0.8, seed=3)
    day = found.to_frame().iloc[0]
    # farms make half of all output of 4; mills run on stocks
    assert [day["lower"], day["median"], day["upper"]] == pytest.approx([0.55, 0.75, 0.95], abs=0.05)
    exact = np.quantile(found.draws.iloc[:, 1:].to_numpy().mean(axis=1), [0.5, 0.1, 0.9])
    assert found.by_quarter().to_numpy()[1].tolist() == pytest.approx(exact.tolist())
    more = ensemble(draw, draws=20, seed=3)
    assert more.draws.equals(found.draws.iloc[:20])
    assert "80 % of 200 draws" in found.summary()
    assert found.chart().to_dict()
    with pytest.raises(UsageError, match="20 or more"):
        ensemble(draw, draws=5)
