"""Input-output analysis against dense algebra, a textbook's table, closed forms and properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from opsroom.base.errors import FitError, UsageError
from opsroom.decide import InputOutput
from opsroom.decide.input_output import (
    balance,
    decomposition,
    inoperability,
    recovery,
    requirements,
    sector_table,
    supply_constrained,
    symmetric,
    to_companies,
)
from opsroom.decide.input_output.productive import productivity, solve

Z = np.array([[150.0, 500.0], [200.0, 100.0]])
Y = np.array([350.0, 1700.0])


def drawn(seed: int, n: int, *, share: float = 0.6, density: float = 0.4) -> InputOutput:
    """An economy of n products, in which making a product takes `share` of its worth, named products, two uses."""
    rng = np.random.default_rng(seed)
    a = rng.random((n, n)) * (rng.random((n, n)) < density)
    a = a * (share * rng.uniform(0.3, 1.0, n) / np.maximum(a.sum(axis=0), 1e-9))
    f = rng.random((n, 2))
    x = np.linalg.solve(np.eye(n) - a, f.sum(axis=1))
    names = [f"p{k}" for k in range(n)]
    jobs = {"jobs": rng.random(n) * x, "value_added": x - (a * x).sum(axis=0)}
    return InputOutput(
        pd.DataFrame(a * x, index=names, columns=names), pd.DataFrame(f, index=names, columns=["home", "abroad"]),
        extensions=jobs,
    )  # fmt: skip


def test_the_textbooks_table() -> None:
    """Miller and Blair (2009), chapter 2: two sectors."""
    table = InputOutput(Z, Y)
    assert table.x.tolist() == [1000.0, 2000.0]
    assert table.A.to_numpy() == pytest.approx(np.array([[0.15, 0.25], [0.2, 0.05]]))
    assert table.L.to_numpy() == pytest.approx(np.array([[1.2541, 0.3300], [0.2640, 1.1221]]), abs=5e-5)
    assert table.solve([600.0, 1500.0]).to_numpy() == pytest.approx([1247.52, 1841.58], abs=5e-3)


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_everything_equals_dense_algebra(seed: int, n: int) -> None:
    table = drawn(seed, n)
    a = table.Z.toarray() / table.x
    inverse = np.linalg.inv(np.eye(n) - a)
    ghosh = np.linalg.inv(np.eye(n) - table.Z.toarray() / table.x[:, None])
    f = np.random.default_rng(seed).random(n)
    assert table.L.to_numpy() == pytest.approx(inverse, rel=1e-9)
    assert table.G.to_numpy() == pytest.approx(ghosh, rel=1e-9)
    assert table.solve(f).to_numpy() == pytest.approx(inverse @ f, rel=1e-9)
    assert table.solve(f).attrs["residual"] <= 1e-10
    assert table.supply(f).to_numpy() == pytest.approx(f @ ghosh, rel=1e-9)
    # Value added per unit, priced through, makes every price 1.
    assert table.price(table.intensity("value_added")).to_numpy() == pytest.approx(np.ones(n), rel=1e-9)
    jobs = table.intensity("jobs").to_numpy()
    assert table.multipliers("jobs").to_numpy() == pytest.approx(jobs @ inverse, rel=1e-9)
    assert table.multipliers().to_numpy() == pytest.approx(inverse.sum(axis=0), rel=1e-9)
    print_by_use = table.footprint("jobs")
    assert print_by_use.sum() == pytest.approx(table.extensions.loc["jobs"].sum(), rel=1e-9)  # type: ignore[union-attr]  # it has extensions
    found = table.linkages()
    assert found["backward"].to_numpy() == pytest.approx(inverse.sum(axis=0) / inverse.sum(axis=0).mean(), rel=1e-9)
    assert found["forward"].to_numpy() == pytest.approx(inverse.sum(axis=1) / inverse.sum(axis=1).mean(), rel=1e-9)
    assert found["forward_ghosh"].to_numpy() == pytest.approx(ghosh.sum(axis=1) / ghosh.sum(axis=1).mean(), rel=1e-9)
    stages = table.upstreamness()
    assert stages["upstreamness"].to_numpy() == pytest.approx(ghosh.sum(axis=1), rel=1e-8)
    # Weighted by final use and by value added the chain is equally long from both ends (Antras and Chor 2013).
    length = stages["upstreamness"] @ table.extensions.loc["value_added"]  # type: ignore[union-attr]  # it has extensions
    assert length == pytest.approx(float(stages["downstreamness"] @ table.final), rel=1e-8)
    gone = table.extraction("p1")
    left = np.delete(np.delete(a, 1, 0), 1, 1)
    rest = np.linalg.solve(np.eye(n - 1) - left, np.delete(table.final, 1))
    assert gone.attrs["total"] == pytest.approx(table.x.sum() - rest.sum(), rel=1e-8)


def test_a_change_moves_the_inverse_as_its_field_of_influence_says() -> None:
    table = drawn(4, 8)
    first = table.influence(top=5)
    i, j = (list(table.labels).index(first[side].iloc[0]) for side in ("input", "user"))
    a = table.A.to_numpy()
    moved = a.copy()
    moved[i, j] += 1e-7
    change = (np.linalg.inv(np.eye(8) - moved) - np.linalg.inv(np.eye(8) - a)).sum() / 1e-7
    assert first["influence"].iloc[0] == pytest.approx(change, rel=1e-5)
    assert first["influence"].is_monotonic_decreasing


def test_households_make_type_two() -> None:
    table = drawn(7, 6)
    wages, spent = 0.3 * table.x, 0.5 * table.final
    a = table.A.to_numpy()
    whole = np.block([[a, (spent / wages.sum())[:, None]], [np.full((1, 6), 0.3), np.zeros((1, 1))]])
    inverse = np.linalg.inv(np.eye(7) - whole)
    found = table.multipliers("jobs", kind="II", household=(wages, spent))
    direct = np.append(table.intensity("jobs").to_numpy(), 0.0)
    assert found.to_numpy() == pytest.approx((direct @ inverse)[:6], rel=1e-10)
    assert (found > table.multipliers("jobs")).all()
    with pytest.raises(UsageError, match="households"):
        table.multipliers(kind="II")


@pytest.mark.parametrize("n", [700, 3000])
def test_large_tables_are_solved_without_an_inverse(n: int) -> None:
    rng = np.random.default_rng(n)
    rows, columns = rng.integers(0, n, 12 * n), np.repeat(np.arange(n), 12)
    a = sparse.csr_array((rng.random(12 * n), (rows, columns)), shape=(n, n))
    share = rng.uniform(0.2, 0.95, n) / np.asarray(a.sum(axis=0)).ravel()
    a = sparse.csr_array(a @ sparse.diags_array(share))
    f = rng.random(n)
    found = solve(a, f, tol=1e-10)
    assert np.abs(found.x - a @ found.x - f).max() <= 1e-10 * f.max()
    assert (found.x >= 0).all()
    radius = np.abs(np.linalg.eigvals(a.toarray())).max() if n < 1000 else None
    bounds = productivity(a)
    assert bounds.upper < 1
    if radius is not None:
        assert bounds.lower - 1e-12 <= radius <= bounds.upper + 1e-12


@given(st.integers(0, 10_000))
def test_the_spectral_radius_lies_between_its_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random((9, 9)) * (rng.random((9, 9)) < 0.3) * rng.uniform(0.05, 0.6)
    bounds = productivity(sparse.csr_array(a), tight=1e-3)
    radius = np.abs(np.linalg.eigvals(a)).max()
    assert bounds.lower <= radius + 1e-9
    assert radius <= bounds.upper + 1e-9


def test_an_economy_that_uses_up_more_than_it_makes_is_refused() -> None:
    rng = np.random.default_rng(1)
    n = 600
    a = sparse.csr_array(rng.random((n, n)) * (2.2 / n))
    with pytest.raises(FitError, match="uses up") as caught:
        solve(a, np.ones(n), tol=1e-10)
    assert caught.value.code == "OPS-M170"


def test_make_and_use_become_one_table() -> None:
    """The identities of the industry technology, and both forms' totals."""
    rng = np.random.default_rng(3)
    industries, products = ["i1", "i2", "i3"], ["a", "b", "c", "d"]
    make = pd.DataFrame(rng.random((3, 4)) + np.eye(3, 4) * 5, index=industries, columns=products)
    g, q = make.sum(axis=1), make.sum(axis=0)
    use = pd.DataFrame(rng.random((4, 3)) * g.to_numpy() * 0.2, index=products, columns=industries)
    final = q - use.sum(axis=1)
    found = requirements(make, use)
    # What industries must make for all final use is what they make.
    assert (found["total"] @ final).to_numpy() == pytest.approx(g.to_numpy(), rel=1e-10)
    by_product = symmetric(make, use, final)
    by_industry = symmetric(make, use, final, by="industry")
    assert by_product.x == pytest.approx(q.to_numpy(), rel=1e-10)
    assert by_industry.x == pytest.approx(g.to_numpy(), rel=1e-10)
    assert "statistical difference" not in by_product.Y
    # What does not add up stands in a column of its own.
    off = symmetric(make, use, final * 0.9)
    assert off.Y["statistical difference"].to_numpy() == pytest.approx(0.1 * final.to_numpy(), rel=1e-9)
    assert off.x == pytest.approx(q.to_numpy(), rel=1e-10)
    with pytest.raises(UsageError, match="different industries"):
        requirements(make, use.T)


@given(st.integers(0, 10_000), st.booleans())
def test_balancing_meets_the_margins_and_keeps_signs(seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((5, 6)) + 0.1
    if signed:
        truth = np.where(rng.random((5, 6)) < 0.2, -0.3 * truth, truth)
    truth = np.where(rng.random((5, 6)) < 0.2, 0.0, truth)
    before = pd.DataFrame(truth * rng.uniform(0.7, 1.4, (5, 6)))
    done = balance(before, truth.sum(axis=1), truth.sum(axis=0))
    after = done.table.to_numpy()
    assert after.sum(axis=1) == pytest.approx(truth.sum(axis=1), abs=1e-7)
    assert after.sum(axis=0) == pytest.approx(truth.sum(axis=0), abs=1e-7)
    assert np.array_equal(np.sign(after), np.sign(before.to_numpy()))
    assert done.gap <= 1e-9
    changed = done.report.set_index(["row", "column"])["change"]
    assert changed.abs().is_monotonic_decreasing


def test_balanced_cells_are_rows_times_columns_times_what_was_known() -> None:
    """Of positive cells RAS is the table nearest in information: cells differ by a factor a row and one a column."""
    rng = np.random.default_rng(8)
    before = pd.DataFrame(rng.random((4, 4)) + 0.1)
    target = rng.random((4, 4)) + 0.1
    after = balance(before, target.sum(axis=1), target.sum(axis=0)).table
    ratio = np.log((after / before).to_numpy())
    assert ratio - ratio[:1] - ratio[:, :1] + ratio[0, 0] == pytest.approx(np.zeros((4, 4)), abs=1e-8)


def test_margins_that_zeros_forbid_are_refused() -> None:
    table = pd.DataFrame([[1.0, 0.0], [0.0, 1.0]], index=["farm", "mill"])
    with pytest.raises(FitError, match="farm"):
        balance(table, [3.0, 1.0], [2.0, 2.0])
    with pytest.raises(UsageError, match="totals"):
        balance(table, [3.0, 1.0], [2.0, 1.0])


@given(st.integers(0, 10_000))
def test_fixed_sectors_and_their_final_use_satisfy_the_table(seed: int) -> None:
    table = drawn(seed, 7)
    possible = 0.6 * table.x[2]
    found = supply_constrained(table, {"p2": possible}, table.final)
    made, left = found["output"].to_numpy(), found["final"].to_numpy()
    assert made - table.A.to_numpy() @ made == pytest.approx(left, abs=1e-9)
    assert made[2] == possible
    assert np.delete(left, 2) == pytest.approx(np.delete(table.final, 2))
    same = supply_constrained(table, {"p2": table.x[2]}, table.final)
    assert same["output"].to_numpy() == pytest.approx(table.x, rel=1e-9)


def test_inoperability_spreads_and_fades() -> None:
    table = drawn(11, 6)
    hit = np.zeros(6)
    hit[3] = 0.1
    q = inoperability(table, hit).to_numpy()
    star = np.diag(1 / table.x) @ table.A.to_numpy() @ np.diag(table.x)
    assert q == pytest.approx(np.linalg.solve(np.eye(6) - star, hit), rel=1e-9)
    alone = InputOutput(np.zeros((2, 2)), np.array([1.0, 1.0]))
    path = recovery(alone, [0.5, 0.2], days=[2000.0, 4000.0], remaining=0.01, steps=2000)
    # Without suppliers each sector fades on its own, to the share that counts as recovered in its own days.
    assert path[0].iloc[2000] == pytest.approx(0.5 * 0.01, rel=0.02)
    assert path[1].iloc[2000] == pytest.approx(0.2 * 0.1, rel=0.02)


@given(st.integers(0, 10_000))
def test_changes_of_technology_and_final_use_add_up(seed: int) -> None:
    before, after = drawn(seed, 6), drawn(seed + 1, 6)
    parts = decomposition(before, after)
    assert (parts["technology"] + parts["final_use"]).to_numpy() == pytest.approx(parts["change"].to_numpy(), abs=1e-10)
    assert parts["change"].to_numpy() == pytest.approx(after.x - before.x, rel=1e-9)
    same = decomposition(before, before)
    assert same.abs().to_numpy().max() == pytest.approx(0.0, abs=1e-10)


def test_companies_become_sectors_and_sectors_companies() -> None:
    register = pd.Series({"c1": "A", "c2": "A", "c3": "B", "c4": "B"})
    bills = pd.DataFrame(
        [("c1", "c3", 10.0), ("c2", "c4", 5.0), ("c3", "c1", 2.0), ("c3", "c4", 1.0)],
        columns=["supplier", "buyer", "value"],
    )
    final = pd.Series({"A": 30.0, "B": 40.0})
    plain = sector_table(bills, register, final)
    assert plain.observed.loc["A", "B"] == 15.0
    assert plain.table.x.tolist() == [45.0, 43.0]
    known = {"sales": pd.Series({"A": 20.0, "B": 6.0}), "inputs": pd.Series({"A": 5.0, "B": 21.0})}
    brought = sector_table(bills, register, final, prior=0.05, **known)
    assert brought.table.Z.toarray().sum(axis=1) == pytest.approx([20.0, 6.0])
    assert brought.table.Z.toarray().sum(axis=0) == pytest.approx([5.0, 21.0])
    assert brought.coverage.loc["A", "share"] == pytest.approx(0.75)
    assert brought.balanced is not None
    sizes = pd.Series({"c1": 1.0, "c2": 3.0, "c3": 2.0, "c4": 0.0})
    each = to_companies(pd.Series({"A": 8.0, "B": 6.0}), sizes, register)
    assert each.to_dict() == {"c1": 2.0, "c2": 6.0, "c3": 6.0, "c4": 0.0}
    with pytest.raises(UsageError, match="1 rows of purchases have a buyer"):
        sector_table(pd.concat([bills, pd.DataFrame([("c1", "c9", 1.0)], columns=bills.columns)]), register, final)
    with pytest.raises(UsageError, match="1 sectors have a number"):
        to_companies(pd.Series({"A": 8.0, "C": 6.0}), sizes, register)


@pytest.mark.parametrize(
    ("z", "y", "said"),
    [
        (np.array([[1.0, -1.0], [0.0, 0.0]]), Y, "negative"),
        (np.array([[1.0, np.nan], [0.0, 0.0]]), Y, "not finite"),
        ([[1.0, 2.0], [3.0]], Y, "no table of numbers"),
        ("table", Y, "no table of numbers"),
        (Z, ["a", "b"], "no number"),
        (np.ones((2, 3)), Y, "2 x 3"),
        (Z, np.ones(3), "3 rows"),
        (Z, np.array([-5000.0, 1.0]), "below 0"),
        (pd.DataFrame(Z, index=["a", "b"], columns=["b", "a"]), Y, "different labels"),
        (pd.DataFrame(Z, index=["a", "a"], columns=["a", "a"]), Y, "twice"),
    ],
)
def test_tables_that_are_none_are_refused(z: object, y: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        InputOutput(z, y)
