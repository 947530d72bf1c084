"""Normals from a table of readings are those of the matrix, however the table is cut and ordered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.adjust import Columns, Ground, UnitNormals, adjust_panel, adjust_units
from opsroom.measure.adjust.shared import Shared
from opsroom.observe.engines import DuckEngine

DATES = pd.date_range("2018-01-01", "2020-04-30", name="date")
TRAIN = [("2018-01-01", "2020-02-16")]
N = 60


def readings(seed: int = 0) -> np.ndarray:
    """Use by company and day in whole numbers, some missing, one that begins late, one that moves to another level."""
    rng = np.random.default_rng(seed)
    weekend = np.asarray(DATES.day_of_week) >= 5
    use = rng.lognormal(10, 1, (N, 1)) * np.where(weekend, rng.uniform(0.2, 0.9, (N, 1)), 1.0)
    use = use * np.exp(rng.normal(0, 0.1, use.shape))
    use[5, 400:] *= 1.6
    made = np.rint(use).astype(np.int64)
    made[rng.random(made.shape) < 0.03] = -1
    made[7, :700] = -1
    return made


def table(use: np.ndarray, *, shuffled: bool = True) -> pa.Table:
    company, day = np.nonzero(np.ones_like(use))
    order = np.random.default_rng(1).permutation(len(company)) if shuffled else np.arange(len(company))
    company, day = company[order], day[order]
    return pa.table(
        {
            "company": 1000 + 3 * company, "date": pa.array(DATES.to_numpy()[day].astype("datetime64[D]")),
            "use": use[company, day], "place": company % 2,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def duck() -> Iterator[DuckEngine]:
    engine = DuckEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.of(DATES, train=TRAIN, country="DE", regions=("a", "b"))


@pytest.fixture(scope="module")
def made(duck: DuckEngine, ground: Ground) -> UnitNormals:
    return adjust_units(duck.put("readings", table(readings())), ground, columns=Columns(region="place"))


def test_they_are_those_of_the_matrix(made: UnitNormals, ground: Ground) -> None:
    use = readings()
    wanted = adjust_panel(use, ground, region=np.arange(N) % 2)
    assert made.units.tolist() == list(range(1000, 1000 + 3 * N, 3))
    np.testing.assert_array_equal(made.normal.fitted, wanted.fitted)
    assert not made.normal.fitted[7]
    np.testing.assert_allclose(made.normal.expected(np.arange(N)), wanted.expected(np.arange(N)), rtol=1e-4)
    assert made.normal.quantile == pytest.approx(wanted.quantile, rel=1e-3)
    order = np.lexsort((wanted.steps.day, wanted.steps.series))
    assert made.normal.steps.series.tolist() == wanted.steps.series[order].tolist()
    assert made.normal.steps.day.tolist() == wanted.steps.day[order].tolist()
    assert 5 in made.normal.steps.series


def test_how_the_table_is_cut_does_not_matter(made: UnitNormals, duck: DuckEngine, ground: Ground) -> None:
    pieces = duck.put("pieces", table(readings()))
    other = adjust_units(pieces, ground, columns=Columns(region="place"), rows=7 * len(DATES))
    np.testing.assert_allclose(made.normal.coef, other.normal.coef, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.normal.scale, other.normal.scale, rtol=1e-5)
    assert made.normal.steps.day.tolist() == other.normal.steps.day.tolist()


def test_expected_use_day_by_day(made: UnitNormals, duck: DuckEngine) -> None:
    use = readings()
    found = made.expected(duck.put("again", table(use)), since="2020-03-01", rows=5 * len(DATES)).to_pandas()
    first = int(DATES.searchsorted(pd.Timestamp("2020-03-01")))
    whole = made.normal.expected(np.arange(N))
    row, day = np.nonzero((use[:, first:] >= 0) & np.isfinite(whole[:, first:]))
    assert found["company"].tolist() == (1000 + 3 * row).tolist()
    assert pd.to_datetime(found["date"]).tolist() == DATES[first + day].tolist()
    assert found["observed"].tolist() == pytest.approx(use[row, first + day].tolist())
    assert found["expected"].to_numpy() == pytest.approx(whole[row, first + day], rel=1e-6)


def test_two_meters_of_a_company_are_added_up(duck: DuckEngine, ground: Ground, made: UnitNormals) -> None:
    use = np.where(readings() >= 0, readings(), 0)
    half = use // 2
    both = pa.concat_tables([table(half), table(use - half)])
    whole = adjust_units(duck.put("whole", table(use)), ground, columns=Columns(region="place"))
    parted = adjust_units(duck.put("parted", both), ground, columns=Columns(region="place"))
    np.testing.assert_array_equal(whole.normal.coef, parted.normal.coef)


def test_a_series_stops_when_it_has_settled_itself() -> None:
    """Beside a series that takes many steps, another is fitted as it is alone."""
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    shared = Shared.of(x, penalty=np.full(4, 0.1))
    y = rng.normal(size=(40, 4)) @ x.T + rng.standard_t(2, (40, 300))
    y[rng.random(y.shape) < 0.2] = np.nan
    together = shared.fit(y, tolerance=1e-2)
    for k in range(40):
        alone = shared.fit(y[k : k + 1], tolerance=1e-2)
        np.testing.assert_allclose(together.coef[k], alone.coef[0], rtol=1e-9, atol=1e-12)
        assert together.scale[k] == pytest.approx(alone.scale[0], rel=1e-12)


def test_what_cannot_be_done_is_said(duck: DuckEngine, ground: Ground) -> None:
    wrong = table(readings()[:3]).set_column(3, "place", pa.array(np.full(3 * len(DATES), 7)))
    with pytest.raises(UsageError, match="region code"):
        adjust_units(duck.put("wrong", wrong), ground, columns=Columns(region="place"))
    few = replace(ground, train=ground.train & (np.arange(len(DATES)) < 50))
    with pytest.raises(FitError, match="OPS-M018"):
        adjust_units(duck.put("few", table(readings()[:3])), few)
