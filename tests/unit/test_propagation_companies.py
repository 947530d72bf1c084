"""The cascade between companies: a plain reading of the equations, closed forms, and the toy economy of the paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from opsroom.base.errors import DataError, FitError, UsageError
from opsroom.decide.propagation import cascade, companies, esri

Floats = npt.NDArray[np.float64]


def plainly(
    w: Floats, sector: list[int], kinds: Floats, psi: Floats, *, replaceable: bool, out: Floats | None = None
) -> tuple[Floats, Floats, bool]:
    """The equations of the paper, company by company, all at once in each round; and whether they came to rest."""
    n, groups = len(w), sorted(set(sector))
    out, bought = w.sum(axis=1) if out is None else out, w.sum(axis=0)
    kin = {(k, j): sum(w[m, j] for m in range(n) if sector[m] == k) for k in groups for j in range(n)}
    links = {j: [i for i in range(n) if w[i, j] > 0.0 and kinds[sector[i], sector[j]] > 0.0] for j in range(n)}
    down, up = psi.copy(), psi.copy()
    for _ in range(600):
        new_down, new_up = psi.copy(), psi.copy()
        standing = {k: sum(out[m] * down[m] for m in range(n) if sector[m] == k) for k in groups}
        for j in range(n):
            plain = 0.0
            essential: dict[int, float] = {}
            for i in links[j]:
                market = standing[sector[i]]
                s = min(out[i] / market, 1.0) if replaceable and market > 0.0 else 1.0
                if kinds[sector[i], sector[j]] == 1.0:
                    lacking = s * w[i, j] / kin[sector[i], j] * (1.0 - down[i])
                    essential[sector[i]] = essential.get(sector[i], 0.0) + lacking
                else:
                    plain += s * w[i, j] / bought[j] * (1.0 - down[i])
            new_down[j] = max(0.0, min(psi[j], 1.0 - plain, *(1.0 - x for x in essential.values())))
            if out[j] > 0.0:
                new_up[j] = min(psi[j], 1.0 - sum(w[j, m] / out[j] * (1.0 - up[m]) for m in range(n)))
        step = max(np.abs(new_down - down).max(), np.abs(new_up - up).max())
        down, up = new_down, new_up
        if step < 1e-14:
            return down, up, True
    return down, up, False


def drawn(seed: int, n: int, density: float) -> tuple[Floats, list[int], Floats, np.random.Generator]:
    rng = np.random.default_rng(seed)
    w = rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < density)
    np.fill_diagonal(w, 0.0)
    sector = rng.integers(0, 3, n).tolist()
    kinds = rng.choice([0.0, 0.5, 1.0], (3, 3), p=[0.2, 0.4, 0.4])
    return w, sector, kinds, rng


@settings(max_examples=20)
@given(st.integers(0, 100_000), st.integers(3, 9), st.sampled_from([0.15, 0.3, 0.6]), st.booleans(), st.booleans())
def test_any_shock_equals_the_equations_read_plainly(
    seed: int, n: int, density: float, replaceable: bool, open_: bool
) -> None:
    w, sector, kinds, rng = drawn(seed, n, density)
    w[0, 1] += 1.0
    out = w.sum(axis=1) * (1.3 if open_ else 1.0)
    shocks = np.vstack([rng.random((2, n)) * (rng.random((2, n)) < 0.4), np.eye(n)[:1]])
    weight = rng.random(n) + 0.1
    share = weight / weight.sum()
    found = cascade(
        w, sector, shocks, essential=pd.DataFrame(kinds), replaceability=replaceable, weight=weight, output=out,
        tol=1e-11,
    )  # fmt: skip
    for k, lost in enumerate(shocks):
        down, up, rest = plainly(w, sector, kinds, 1.0 - lost, replaceable=replaceable, out=out)
        kept = np.minimum(down, up)
        mine, row = found.remaining.iloc[k].to_numpy(), found.scenarios.iloc[k]
        assert row["loss"] == pytest.approx(1.0 - mine @ share, abs=1e-12)
        if not rest:  # a ring that empties slowly: rounds only ever lower what can be made
            assert (mine <= kept + 1e-9).all()
            continue
        assert mine == pytest.approx(kept, abs=1e-8)
        assert row["downstream"] == pytest.approx(1.0 - down @ share, abs=1e-10)
        assert row["upstream"] == pytest.approx(1.0 - up @ share, abs=1e-10)
        for code in set(sector):
            of = np.array(sector) == code
            assert found.sectors.iloc[k][code] == pytest.approx(
                (1.0 - kept[of]) @ share[of] / share[of].sum(), abs=1e-8
            )


def test_one_by_one_equals_the_cascades_of_single_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks leave nothing behind for the next shock."""
    monkeypatch.setattr(companies, "BLOCK", 7)
    w, sector, kinds, _ = drawn(5, 40, 0.08)
    frame = pd.DataFrame(kinds)
    every = esri(w, sector, essential=frame, threads=2)
    alone = cascade(w, sector, np.eye(40), essential=frame)
    assert every.companies["esri"].to_numpy() == pytest.approx(alone.scenarios["loss"].to_numpy(), abs=1e-15)
    names = [f"c{k}" for k in range(40)]
    table = pd.DataFrame(w, index=names, columns=names)
    mixed = np.random.default_rng(2).permutation(40)
    by_name = esri(table.iloc[mixed, mixed], pd.Series(sector, index=names), essential=frame)
    assert by_name.companies["esri"].tolist() == every.companies["esri"].tolist()
    loose, exact = (esri(w, sector, essential=frame, tol=tol).companies for tol in (1e-2, 1e-14))
    short = (exact["esri"] - loose["esri"]).to_numpy()
    assert short.min() > -1e-12
    assert short.max() > 1e-6
    assert (short <= loose["bound"].to_numpy() + 1e-12).all()
    some = esri(w, sector, essential=frame, firms=[33, 4])
    assert some.companies["esri"].tolist() == every.companies["esri"].loc[[33, 4]].tolist()
    assert every.companies["esri"].std() > 0.01


def test_a_hard_ring_is_lost_whole_and_a_chain_by_closed_form() -> None:
    """In a ring of only suppliers all stand still; a seller of which half goes to final users loses half a loss."""
    ring = np.roll(np.eye(5), 1, axis=1)
    assert esri(ring, list(range(5)), essential="all").companies["esri"].tolist() == [1.0] * 5
    # the second buys a third from the failing, a third from itself, a third from one untouched: d = 1/3 + d/3
    w = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    w[1, 2] = 0.0
    found = cascade(w, [0, 1, 2], [1.0, 0.0, 0.0], essential="none", replaceability=False, tol=1e-12)
    assert 1.0 - found.remaining.iloc[0].to_numpy() == pytest.approx([1.0, 0.5, 0.0], abs=1e-10)
    # upstream: the first sells all to the second, a half of which goes on to final users
    found = cascade(
        np.array([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]), [0, 1, 2], [0.0, 0.0, 1.0], essential="none",
        output=[3.0, 4.0, 1.0],
    )  # fmt: skip
    assert 1.0 - found.remaining.iloc[0].to_numpy() == pytest.approx([0.5, 0.5, 1.0])
    assert found.scenarios["loss"].iloc[0] == pytest.approx((1.5 + 2.0 + 1.0) / 8.0)


def test_the_bound_holds_where_convergence_is_slow() -> None:
    """Two that mostly buy from each other: the loss is 1/(1 - a²) times what comes in, with a near 1."""
    a = 0.98
    w = np.array([[0.0, 1 - a, 0.0, 0.0], [0.0, 0.0, a, 1.0], [0.0, a, 0.0, 0.0], [0.0, 0.0, 1 - a, 0.0]])
    found = cascade(w, list(range(4)), [0.5, 0, 0, 0], essential="none", tol=1e-4, replaceability=False)
    # the second buys 1-a of the first, a of the third; the third a of the second and 1-a of the fourth,
    # and the fourth everything of the second: d3 = d2, so d2 = (1-a)/2 + a d2 = 1/2
    row = found.scenarios.iloc[0]
    assert row["downstream"] == pytest.approx(0.5, abs=1.5e-4)
    assert row["downstream"] <= 0.5 <= row["downstream"] + row["bound"] + 1e-12
    assert 0.0 < row["bound"] <= 2e-4


def test_a_cascade_that_does_not_settle_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companies, "MOST_SWEEPS", 3)
    w = np.array([[0.0, 0.01, 0.0], [0.0, 0.0, 0.99], [0.0, 0.99, 0.0]])
    with pytest.raises(FitError, match="did not settle"):
        esri(w, [0, 1, 2], essential="none", firms=[0])


@pytest.mark.shared_data
def test_the_papers_toy_economy(shared_data: Path) -> None:
    """Eleven companies, five sectors (Diem et al. 2024, figure 1); company 3 fails. Worked out by hand."""
    folder = shared_data / "planning" / "esri"
    edges, firms = pd.read_csv(folder / "toy11_edges.csv"), pd.read_csv(folder / "toy11_firms.csv")
    sector = firms.set_index("firm")["sector"].astype(str)
    shock = pd.DataFrame({3: [1.0]})

    def kept(**options: object) -> dict[object, float]:
        row = cascade(edges, sector, shock, **options).remaining.iloc[0]  # type: ignore[arg-type]  # a mapping of arguments
        return {k: v for k, v in row.items() if v < 1.0}

    # 4 and 5 keep 3 of the market's 4: a third of the loss stays. 6 buys half from 3: 1 - 1/3 · 1/2. Then 6 has 2 of
    # the 11/3 of its market, so 6/11 of 1/6 is felt by 1 and 2, who buy half of their inputs there.
    assert kept(essential="none") == pytest.approx({3: 0.0, 6: 5 / 6, 1: 21 / 22, 2: 21 / 22})
    assert kept(essential="all") == pytest.approx({3: 0.0, 6: 5 / 6, 1: 10 / 11, 2: 10 / 11})
    assert kept(essential="none", replaceability=False) == pytest.approx({3: 0.0, 6: 0.5, 1: 0.75, 2: 0.75})
    assert kept(essential="all", replaceability=False) == pytest.approx({3: 0.0, 6: 0.5, 1: 0.5, 2: 0.5})
    found = esri(edges, sector, essential="none")
    assert found.companies.loc[3, "esri"] == pytest.approx((1 + 2 / 6) / 11)
    # 1 buys half of what 6 and 8 sell; 6 half of what 4 sells and all of 3's: 3 → 1/2, 4 → 1/4, 8 → 1/2
    assert found.companies.loc[1, "upstream"] == pytest.approx((2 / 2 + 1 / 2 + 2 / 4 + 2 / 2) / 11)
    strength = pd.Series({1: 2, 2: 2, 3: 1, 4: 2, 5: 1, 6: 2, 7: 2, 8: 2, 9: 1, 10: 1, 11: 2})
    by_both = esri(edges, sector, essential="none", weight=strength, firms=[3])
    assert by_both.companies["esri"].tolist() == pytest.approx([(1 + 2 / 6 + 4 / 22) / 18])
    matrix = np.array([[float(x) for x in r] for r in sparse.coo_array(
        (edges["weight"], (edges["supplier"] - 1, edges["buyer"] - 1)), shape=(11, 11)).toarray()])  # fmt: skip
    for i in range(11):
        psi = np.ones(11)
        psi[i] = 0.0
        down, up, _ = plainly(matrix, [int(s) - 1 for s in sector], np.full((5, 5), 0.5), psi, replaceable=True)
        loss = 1.0 - np.minimum(down, up) @ matrix.sum(axis=1) / 11
        assert found.companies["esri"].iloc[i] == pytest.approx(loss, abs=1e-12)


def test_what_goes_to_the_gate_is_by_sector() -> None:
    w, sector, kinds, _ = drawn(5, 40, 0.08)
    found = esri(w, sector, essential=pd.DataFrame(kinds))
    (cells,) = found.cells(critical=0.05)
    whole = cells.frame.set_index("sector").loc["_T"]
    assert whole["n_companies"] == 40
    assert whole["n_critical"] == int((found.companies["esri"] >= 0.05).sum()) > 0
    assert whole["risk"] == pytest.approx(found.companies["esri"].sum())
    assert whole["n_companies__groups"] == 40
    one_group = found.cells(pd.Series("g", index=found.companies.index))[0].frame.set_index("sector")
    assert one_group.loc["_T", "n_companies__groups"] == 1
    with pytest.raises(UsageError, match="no enterprise group"):
        found.cells(pd.Series("g", index=found.companies.index[:5]))
    assert len(found.to_frame()) == 3
    assert "40 companies" in found.summary()
    assert "Diem" in found.cite()
    assert found.chart().to_dict()


def test_what_cannot_be_taken() -> None:
    w = np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(DataError, match="below 0"):
        esri(-w, [0, 1], essential="all")
    with pytest.raises(UsageError, match="not in the network"):
        esri(w, [0, 1], essential="all", firms=[5])
    with pytest.raises(UsageError, match="lacks a sector"):
        esri(w, [0, 1], essential=pd.DataFrame([[1.0]]))
    with pytest.raises(UsageError, match="essential inputs are told"):
        esri(w, [0, 1], essential=pd.DataFrame(np.full((2, 2), 2.0)))
    with pytest.raises(UsageError, match="sector twice"):
        esri(w, [0, 1], essential=pd.DataFrame(np.ones((3, 3)), index=[0, 1, 1], columns=[0, 1, 1]))
    with pytest.raises(UsageError, match="same companies"):
        esri(pd.DataFrame(w, index=["a", "b"], columns=["b", "a"]), pd.Series({"a": 0, "b": 1}), essential="all")
    with pytest.raises(UsageError, match="between 0 and 1"):
        cascade(w, [0, 1], [0.5, 1.5], essential="all")
    with pytest.raises(DataError, match="no sector"):
        esri(pd.DataFrame({"supplier": [1], "buyer": [9], "weight": [1.0]}), pd.Series({1: "A"}), essential="all")
