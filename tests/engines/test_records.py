"""Companies' monthly records on Spark: the same months relative to normal as on DuckDB."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsroom.measure.resumption import Source, monthly_resumption


def _records() -> pa.Table:
    luck = np.random.default_rng(6)
    months = pd.date_range("2018-01-01", "2020-05-01", freq="MS")
    rows = [
        (unit, month.date(), (month + pd.DateOffset(months=1, days=int(luck.integers(5, 40)))).to_pydatetime(),
         int(1e6 * luck.lognormal(0, 0.2)))
        for unit in range(30) for month in months if luck.random() < 0.97
    ]  # fmt: skip
    luck.shuffle(rows)
    unit, month, known, value = (list(column) for column in zip(*rows, strict=True))
    return pa.table(
        {
            "enterprise_id": pa.array(unit, pa.int64()), "month": pa.array(month, pa.date32()),
            "known_at": pa.array(known, pa.timestamp("us", "UTC")), "sales": pa.array(value, pa.int64()),
        }
    )  # fmt: skip


def _register() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "enterprise_id": np.arange(30), "valid_from": pd.Timestamp("2010-01-01"), "valid_to": pd.NaT,
            "legal_form": "LTD", "section": np.array(["C", "G"])[np.arange(30) % 2], "region": "R01",
            "size_class": "micro", "employees": 2, "annual_sales": 100, "born": pd.Timestamp("2010-01-01"),
            "died": pd.NaT,
        }
    )  # fmt: skip


@pytest.mark.long
def test_spark_gives_the_shares_that_duckdb_gives(duckdb, spark):
    found = [
        monthly_resumption(
            engine.put("records", _records()), Source("vat", ("sales",)), register=_register(),
            as_of=dt.date(2020, 6, 20), cohort_day=dt.date(2019, 12, 15), shock=dt.date(2020, 1, 1),
        )
        for engine in (duckdb, spark)
    ]  # fmt: skip
    assert found[0].panel.level.tobytes() == found[1].panel.level.tobytes()
    pd.testing.assert_frame_equal(found[0].to_frame(), found[1].to_frame(), check_exact=True)
    assert found[0].delays.share.tolist() == found[1].delays.share.tolist()
