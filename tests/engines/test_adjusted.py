"""Companies' normals on Spark: those of DuckDB, up to the rounding of single precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsroom.measure.adjust import Ground, adjust_units

DATES = pd.date_range("2018-01-01", "2019-06-30", name="date")
N = 20


def _readings() -> pa.Table:
    rng = np.random.default_rng(8)
    shape = np.where(np.asarray(DATES.day_of_week) >= 5, rng.uniform(0.2, 0.9, (N, 1)), 1.0)
    use = rng.lognormal(10, 1, (N, 1)) * shape * np.exp(rng.normal(0, 0.1, (N, len(DATES))))
    company, day = np.nonzero(rng.random(use.shape) < 0.97)
    order = rng.permutation(len(company))
    company, day = company[order], day[order]
    return pa.table(
        {
            "company": company, "date": pa.array(DATES.to_numpy()[day].astype("datetime64[D]")),
            "use": np.rint(use[company, day]).astype(np.int64),
        }
    )  # fmt: skip


@pytest.mark.long
def test_spark_gives_the_normals_that_duckdb_gives(duckdb, spark):
    ground = Ground.of(DATES, train=[("2018-01-01", "2019-03-31")], country="DE")
    tables = [engine.put("readings", _readings()) for engine in (duckdb, spark)]
    one, other = (adjust_units(table, ground) for table in tables)
    assert one.units.tolist() == other.units.tolist() == list(range(N))
    np.testing.assert_allclose(one.normal.coef, other.normal.coef, rtol=1e-3, atol=1e-5)
    gaps = [
        made.expected(table, since="2019-04-01").to_pandas() for made, table in zip((one, other), tables, strict=True)
    ]
    pd.testing.assert_frame_equal(gaps[0], gaps[1], rtol=1e-4)
