"""The bitemporal store: a long meter history, weekly deliveries, and reads as of any day."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

DAYS = 546
WEEKS = 8
START = date(2019, 1, 1)
SCHEMA = pa.schema([("meter_id", pa.int64()), ("date", pa.date32()), ("wh", pa.int64())])

SPEC = DatasetSpec(
    name="meters",
    title="Daily electricity by company meter",
    frequency="D",
    period="date",
    key=("meter_id", "date"),
    confidential=True,
    unit="establishment",
    legal_basis="none: made for a benchmark",
    fields=(
        FieldSpec("meter_id", "integer"),
        FieldSpec("date", "date"),
        FieldSpec("wh", "quantity", measure="Wh", min=0, max=5_000_000_000, required=True),
    ),
)


def history(meters: int, days: int, *, block: int = 2_000, seed: int = 0) -> Iterator[pa.RecordBatch]:
    """Yield the history, some meters at a time, each with all its days."""
    first = (START - date(1970, 1, 1)).days
    calendar = np.arange(first, first + days, dtype=np.int32)
    for low in range(0, meters, block):
        ids = np.arange(low, min(low + block, meters), dtype=np.int64)
        draw = np.random.default_rng([seed, low])
        wh = draw.integers(10_000, 900_000, size=(len(ids), days), dtype=np.int64)
        yield pa.record_batch(
            [
                pa.array(np.repeat(ids, days)),
                pa.array(np.tile(calendar, len(ids))).view(pa.date32()),
                pa.array(wh.ravel()),
            ],
            schema=SCHEMA,
        )


def week(meters: int, monday: date, *, seed: int) -> pa.Table:
    """Return seven new days of every meter, with 0.5 % late or corrected readings of the 60 days before."""
    draw = np.random.default_rng([seed, monday.toordinal()])
    first = (monday - date(1970, 1, 1)).days
    ids = np.tile(np.arange(meters, dtype=np.int64), 7)
    days = np.repeat(np.arange(first, first + 7, dtype=np.int32), meters)
    old = max(meters * 7 // 200, 1)
    again = np.unique(np.stack([draw.integers(0, meters, old), draw.integers(first - 60, first, old)]), axis=1)
    ids = np.concatenate([ids, again[0]])
    days = np.concatenate([days, again[1].astype(np.int32)])
    wh = draw.integers(10_000, 900_000, len(ids), dtype=np.int64)
    return pa.table([pa.array(ids), pa.array(days).view(pa.date32()), pa.array(wh)], schema=SCHEMA)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(act: Any) -> tuple[float, Any]:  # any call without arguments
    begin = time.perf_counter()
    result = act()
    return time.perf_counter() - begin, result


def run(size: int | None = None) -> dict[str, Any]:
    """Measure the store with `size` meters.

    Returns
    -------
    dict
        Seconds for making the rows alone, for ingesting them (making included), for a week (median and
        worst), for reads as of the first and the last day, and the peak memory after the history in MB.
    """
    size = size or 10_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        state = State.open(root / "room.db")
        store = Store(root, [SPEC], state, timezone="Europe/Vienna")
        making, rows = _timed(lambda: sum(b.num_rows for b in history(size, DAYS)))
        reader = pa.RecordBatchReader.from_batches(SCHEMA, history(size, DAYS))
        begin = datetime(2020, 7, 1, 6, tzinfo=UTC)
        total, report = _timed(lambda: ingest(store, SPEC, reader, known_at=begin, actor="bench"))
        if report.accepted != rows:
            raise AssertionError("rows were lost")
        peak = _peak_mb()
        weekly = []
        for number in range(WEEKS):
            monday = START + timedelta(days=DAYS + 7 * number)
            delivery = week(size, monday, seed=number)
            moment = datetime.combine(monday + timedelta(days=8), datetime.min.time(), tzinfo=UTC)
            took, _ = _timed(lambda d=delivery, m=moment: ingest(store, SPEC, d, known_at=m, actor="bench"))
            weekly.append(took)
        first, _ = _timed(lambda: store.table("meters", begin).wh.sum().to_pyarrow())
        last, _ = _timed(lambda: store.table("meters").wh.sum().to_pyarrow())
        scan, _ = _timed(
            lambda: store.backend.con.execute(
                f"SELECT sum(wh) FROM read_parquet('{root}/lake/meters/part=first/*.parquet')"
            ).fetchall()
        )
        month, _ = _timed(lambda: store.arrow("meters", None, period_from=date(2020, 6, 1)))
        bytes_ = sum(p.stat().st_size for p in (root / "lake").rglob("*.parquet"))
        store.close()
        state.close()
    return {
        "case": "store",
        "size": size,
        "rows": rows,
        "making_s": round(making, 2),
        "ours_s": round(total, 2),
        "peak_mb": round(peak),
        "week_rows": delivery.num_rows,
        "week_median_s": round(statistics.median(weekly), 3),
        "week_worst_s": round(max(weekly), 3),
        "as_of_first_s": round(first, 3),
        "as_of_last_s": round(last, 3),
        "plain_scan_s": round(scan, 3),
        "two_months_s": round(month, 3),
        "disk_mb": round(bytes_ / 1e6),
        "peer": None,
        "peer_s": None,
        "ratio": None,
        "max_abs_diff": None,
    }
