"""A plan of a real table does not depend on the unit in which a product is counted (pymrio's test tables)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.decide import allocate
from opsroom.decide.allocation import plan

pytestmark = pytest.mark.shared_data


def posed(folder: Path, periods: int) -> dict[str, Any]:
    """Products of six regions, a third of them short, labour short, capital that wears out and can be built."""
    z = pd.read_csv(folder / "Z.csv", index_col=0)
    y = pd.read_csv(folder / "Y.csv", index_col=0).sum(axis=1)
    x = z.sum(axis=1) + y
    uses, y = z / x, y.clip(lower=0.0)
    rng = np.random.default_rng(0)
    able = x * np.where(rng.random(len(x)) < 1 / 3, rng.uniform(0.6, 0.95, len(x)), 1.3)
    hours = pd.DataFrame(rng.uniform(0.2, 1.0, (1, len(x))), ["hours"], x.index)
    given = {
        "uses": uses, "makes": pd.Series(x.index, index=x.index), "demand": y, "capacity": able,
        "value": pd.Series(rng.uniform(0.5, 1.5, len(x)), x.index), "labour": hours,
        "labour_limit": 0.95 * float(hours.to_numpy()[0] @ x.to_numpy()), "periods": periods,
    }  # fmt: skip
    if periods > 1:
        given |= {"building": 0.5 * uses, "decay": 0.1, "keep_capital": 0.8, "discount": 0.95, "stocks": 0.02 * x}
    return given


def counted_in(given: dict[str, Any], product: str, unit: float) -> dict[str, Any]:
    """The same plan with one product counted in other units, ``unit`` of them a unit of before."""
    out = dict(given)
    for name in ("uses", "building"):
        if name in given:
            table = given[name].copy()
            table.loc[product] *= unit
            table[product] /= unit
            out[name] = table
    for name, times in (("demand", unit), ("capacity", unit), ("stocks", unit), ("value", 1.0 / unit)):
        if name in given:
            out[name] = given[name].where(given[name].index != product, given[name] * times)
    out["labour"] = given["labour"].copy()
    out["labour"][product] /= unit
    return out


@pytest.mark.parametrize("periods", [1, 3])
def test_the_unit_of_a_product_changes_no_plan(shared_data: Path, periods: int) -> None:
    given = posed(shared_data / "planning" / "pymrio_test", periods)
    found = plan(**given)
    for product in ("reg1|electricity", "reg3|mining"):
        for unit in (1e3, 1e-3):
            other = plan(**counted_in(given, product, unit))
            assert other.objective == pytest.approx(found.objective, rel=1e-8)
            assert other.bound == pytest.approx(found.bound, rel=1e-8)
            assert other.prices.loc[product].to_numpy() * unit == pytest.approx(
                found.prices.loc[product].to_numpy(), rel=1e-6, abs=1e-9
            )


def test_a_plan_of_one_period_is_the_exact_allocation(shared_data: Path) -> None:
    given = posed(shared_data / "planning" / "pymrio_test", 1)
    found = plan(**counted_in(given, "reg1|electricity", 1e3))
    short = allocate(
        given["uses"], given["demand"], value=given["value"], capacity=given["capacity"], labour=given["labour"],
        labour_limit=given["labour_limit"], max_demand_ratio=1.0, tol=1e-11,
    )  # fmt: skip
    assert found.objective == pytest.approx(short.objective, rel=1e-8)
