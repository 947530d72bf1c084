"""The as-of view against a plain scan: the same sums over 10 million company-months, as of a day and of all files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.compaction import compact
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

MONTHS = 100
BEGIN = datetime(2020, 1, 6, 6, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("company_id", pa.int64()),
        ("month", pa.date32()),
        ("region", pa.string()),
        ("sector", pa.string()),
        ("sales", pa.int64()),
    ]
)
CALENDAR = (np.datetime64("2010-01", "M") + np.arange(MONTHS)).astype("datetime64[D]")
SECTORS = np.array(list("ABCDEFGHIJKLMNOPQRST"))
REGIONS = np.array([f"R{number:02d}" for number in range(48)])

SPEC = DatasetSpec(
    name="panel",
    title="Sales by company and month",
    frequency="M",
    period="month",
    key=("company_id", "month"),
    confidential=True,
    unit="enterprise",
    legal_basis="none: made for a benchmark",
    fields=(
        FieldSpec("company_id", "integer"),
        FieldSpec("month", "date"),
        FieldSpec("region", "code", codes=tuple(REGIONS.tolist())),
        FieldSpec("sector", "code", codes=tuple(SECTORS.tolist())),
        FieldSpec("sales", "money", currency="EUR", scale=2),
    ),
)

SUMS = "SELECT region, sector, month, count(*) AS n, sum(sales) AS sales FROM {} GROUP BY region, sector, month"

CASES = (
    # name, share revised, deliveries that bring the revisions, share of these that are back-dated
    ("2 % in one", 0.02, 1, 0.0),
    ("10 % in one", 0.10, 1, 0.0),
    ("30 % in one", 0.30, 1, 0.0),
    ("2 % in 200", 0.02, 200, 0.0),
    ("2 % in 20, half back-dated", 0.02, 20, 0.5),
    ("30 % in 20, half back-dated", 0.30, 20, 0.5),
)


def months(companies: int) -> Iterator[pa.RecordBatch]:
    """Yield the first rows, month by month."""
    ids = np.arange(companies, dtype=np.int64)
    for number in range(MONTHS):
        yield rows_of(ids, np.repeat(number, companies), number)


def rows_of(ids: np.ndarray, numbers: np.ndarray, seed: int) -> pa.RecordBatch:
    """Return rows with drawn sales."""
    draw = np.random.default_rng(seed)
    columns = [
        pa.array(ids),
        pa.array(CALENDAR[numbers]),
        pa.DictionaryArray.from_arrays(ids * 7 % len(REGIONS), REGIONS).cast(pa.string()),
        pa.DictionaryArray.from_arrays(ids % len(SECTORS), SECTORS).cast(pa.string()),
        pa.array(draw.integers(1_000, 90_000_000, len(ids), dtype=np.int64)),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def deliver(store: Store, companies: int, share: float, deliveries: int, back: float) -> None:
    """Deliver the panel, then its revisions."""
    reader = pa.RecordBatchReader.from_batches(SCHEMA, months(companies))
    ingest(store, SPEC, reader, known_at=BEGIN, actor="bench")
    draw = np.random.default_rng(7)
    picked = draw.permutation(companies * MONTHS)[: int(companies * MONTHS * share)]
    for number, part in enumerate(np.array_split(picked, deliveries), start=1):
        batch = rows_of(part // MONTHS, part % MONTHS, 1_000 + number)
        moment = BEGIN + timedelta(days=number)
        if draw.random() < back:
            moment = BEGIN - timedelta(days=number)
        rows = pa.Table.from_batches([batch])
        ingest(store, SPEC, rows, known_at=moment, actor="bench", reason="bench")


def best(act: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """Return the least CPU seconds of several calls (other work on the machine does not count), and the result."""
    took = []
    result = None
    for _ in range(times):
        begin = time.process_time()
        result = act()
        took.append(time.process_time() - begin)
    return min(took), result


def measure(store: Store, as_of: datetime | None) -> tuple[float, float, pa.Table]:
    """Return seconds of the plain scan of all files, of the view, and the view's sums."""
    con = store.backend.con
    files = ", ".join(f"'{file.uri}'" for file in store.files("panel"))
    plain, _ = best(lambda: con.execute(SUMS.format(f"read_parquet([{files}])")).to_arrow_table())
    view, sums = best(lambda: con.execute(SUMS.format(store.table("panel", as_of).get_name())).to_arrow_table())
    return plain, view, sums


ORDER = [(name, "ascending") for name in ("region", "sector", "month")]


def run(size: int | None = None) -> dict[str, Any]:
    """Measure `size` rows (10 million) under every case.

    Returns
    -------
    dict
        By case: CPU seconds of the plain scan of all files, of the view, and of the view after compaction.
    """
    size = size or 10_000_000
    found: dict[str, Any] = {}
    for name, share, deliveries, back in CASES:
        with tempfile.TemporaryDirectory() as folder:
            state = State.open(Path(folder) / "room.db")
            store = Store(folder, [SPEC], state)
            deliver(store, size // MONTHS, share, deliveries, back)
            plain, view, sums = measure(store, None)
            found[name] = {"plain_s": round(plain, 3), "view_s": round(view, 3), "ratio": round(view / plain, 2)}
            compact(store, "panel")
            _, merged, after = measure(store, None)
            if after.sort_by(ORDER) != sums.sort_by(ORDER):
                raise AssertionError("compaction changed the sums")
            found[name] |= {"compacted_s": round(merged, 3), "compacted_ratio": round(merged / plain, 2)}
            store.close()
            state.close()
    return {"case": "as_of", "size": size, **found, "peer": "plain scan"}
