"""Input-output analysis against pymrio's figures and the identities of the American make and use tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.decide import InputOutput
from opsroom.decide.input_output import requirements

pytestmark = pytest.mark.shared_data


def test_inverse_multipliers_and_footprints_are_pymrios(shared_data: Path) -> None:
    """Its test economy of six regions and eight sectors; the figures were printed by pymrio 0.7.0's calc_all."""
    folder = shared_data / "planning" / "pymrio_test"
    z, y, f, direct = (
        pd.read_csv(folder / f"{name}.csv", index_col=0) for name in ("Z", "Y", "emissions_F", "emissions_F_Y")
    )
    table = InputOutput(z, y, extensions=f)
    inverse = table.L.to_numpy()
    assert inverse.sum() == pytest.approx(55.119616504790216, rel=1e-12)
    assert [inverse[0, 0], inverse[3, 17], inverse[40, 5]] == pytest.approx(
        [1.1101020720270822, 4.1827788836698256e-07, 4.139106730242894e-06], rel=1e-9
    )
    air, water = f.index
    assert table.multipliers(air).iloc[:3].tolist() == pytest.approx([10.86485384, 25.99882614, 0.12731207], rel=1e-7)
    assert [table.multipliers(name).sum() for name in (air, water)] == pytest.approx(
        [591.7739395, 39.43563287], rel=1e-8
    )
    region = [name.split("|")[0] for name in y.columns]
    found = table.footprint(air, by=region)
    assert found.tolist() == pytest.approx(
        [1.45416783e08, 7.69013603e07, 2.40925693e08, 1.69246760e08, 1.94604291e08, 2.53129541e08], rel=1e-8
    )
    with_own = table.footprint(air, by=region, direct=direct.loc[air])
    assert with_own.tolist() == pytest.approx(
        [2.07752104e08, 1.15468289e08, 3.45798793e08, 4.46060180e08, 4.16485671e08, 8.24407841e08], rel=1e-8
    )
    assert with_own.sum() == pytest.approx(f.loc[air].sum() + direct.loc[air].sum(), rel=1e-12)


@pytest.mark.parametrize(("level", "year"), [("Summary", 2019), ("Detail", 2017)])
def test_american_industries_make_what_final_uses_take(shared_data: Path, level: str, year: int) -> None:
    """D (I - B D)^-1 times final use is each industry's output, and value added prices every product at 1."""
    folder = shared_data / "planning" / "bea"
    make = pd.read_csv(folder / f"{level}_Make_{year}_AfterRedef_17sch.csv.gz", index_col=0)
    use = pd.read_csv(folder / f"{level}_Use_{year}_PRO_AfterRedef_17sch.csv.gz", index_col=0)
    industries = [i for i in make.index if i in use.columns]
    products = [p for p in make.columns if p in use.index and make[p].sum() > 0]
    made = make.loc[industries, products].fillna(0.0)
    used = use.loc[products, industries].fillna(0.0)
    made = made[made.sum(axis=1) > 0]
    used = used[made.index]
    q = made.sum(axis=0)
    final = q - used.sum(axis=1)  # with imports subtracted, as the use table has them
    total = requirements(made, used)["total"]
    assert (total @ final).to_numpy() == pytest.approx(made.sum(axis=1).to_numpy(), rel=1e-8)
    # The use table's own final columns say the same up to rounding, where it has them by product.
    columns = [c for c in use.columns if str(c).startswith("F") and c not in industries]
    stated = use.loc[products, columns].fillna(0.0).sum(axis=1)
    close = np.abs(stated - final) <= 1e-3 * q.max()
    assert close.mean() > 0.95
