"""What the fault tests share: a small dataset, and deliveries of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SPEC = """
schema_version = 1
name = "readings"
title = "Readings"
provider = "test"
licence = "test"
frequency = "D"
period = "date"
key = ["meter_id", "date"]
confidential = false
unit = "public"

[[fields]]
name = "meter_id"
type = "integer"
required = true

[[fields]]
name = "date"
type = "date"
required = true

[[fields]]
name = "wh"
type = "integer"
min = 0
"""

FIRST = dt.date(2020, 1, 1)


def delivery(folder: Path, number: int, rows: int) -> Path:
    """Write a Parquet file of one day's readings; each meter reads its own number."""
    day = FIRST + dt.timedelta(days=number)
    file = folder / f"delivery-{number}.parquet"
    ids = np.arange(rows, dtype=np.int64)
    pq.write_table(pa.table({"meter_id": ids, "date": pa.array([day] * rows, pa.date32()), "wh": ids}), file)
    return file
