"""Ingest of company-months from Parquet: in the order of months and of companies, again in full, and as a snapshot."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.as_of import BEGIN, MONTHS, SCHEMA, SPEC, rows_of
from opsroom.base.state import State
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

BLOCK = 1 << 20
CORRECTED = 1_000


def write(path: Path, companies: int, order: str, *, corrected: int = 0) -> None:
    """Write the panel as one Parquet file; some rows corrected.

    Parameters
    ----------
    path
        The file.
    companies
        Number of companies, each with `MONTHS` months.
    order
        ``"months"``: month by month; ``"companies"``: company by company.
    corrected
        Number of rows that say something new.
    """
    total = companies * MONTHS
    changed = np.random.default_rng(5).integers(0, total, corrected)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", compression_level=1) as writer:
        for low in range(0, total, BLOCK):
            place = np.arange(low, min(low + BLOCK, total), dtype=np.int64)
            if order == "months":
                months, ids = np.divmod(place, companies)
            else:
                ids, months = np.divmod(place, MONTHS)
            batch = rows_of(ids, months, 1)
            sales = (ids * 7_919 + months * 104_729) % 90_000_000 + np.isin(place, changed)
            batch = batch.set_column(batch.schema.get_field_index("sales"), "sales", pa.array(sales))
            writer.write_batch(batch)


def child(folder: str, file: str, day: int, *, snapshot: bool) -> None:
    """Ingest one file and print seconds, rows and the peak memory of this process."""
    Path(folder).mkdir(exist_ok=True)
    spec = replace(SPEC, snapshot=snapshot)
    state = State.open(Path(folder) / "room.db")
    store = Store(folder, [spec], state)
    begin, used = time.perf_counter(), time.process_time()
    report = ingest(store, spec, Path(file), known_at=BEGIN + timedelta(days=day), actor="bench")
    took, cpu = time.perf_counter() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    store.close()
    state.close()
    print(json.dumps({"s": round(took, 2), "cpu_s": round(cpu, 2), "accepted": report.accepted, "mb": round(peak)}))


def measured(folder: Path, file: Path, day: int, *, snapshot: bool = False) -> dict[str, Any]:
    """Ingest in a process of its own."""
    code = f"from bench.ingest import child; child({str(folder)!r}, {str(file)!r}, {day}, snapshot={snapshot})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(size: int | None = None, orders: tuple[str, ...] = ("months", "companies")) -> dict[str, Any]:
    """Measure ingest of `size` rows (1 million).

    Returns
    -------
    dict
        By case: seconds, CPU seconds, rows stored, and the peak memory of the process in MB.
    """
    size = size or 1_000_000
    companies = size // MONTHS
    found: dict[str, Any] = {}
    for order in orders:
        with tempfile.TemporaryDirectory() as folder:
            root, file = Path(folder), Path(folder) / "panel.parquet"
            write(file, companies, order)
            found[f"by {order}"] = measured(root / "room", file, 0)
            if order == "months":
                write(file, companies, order, corrected=CORRECTED)
                found["again in full"] = measured(root / "room", file, 1)
                found["as a snapshot"] = measured(root / "other", file, 0, snapshot=True)
                write(file, companies, order)
                found["a snapshot again"] = measured(root / "other", file, 1, snapshot=True)
    first = found[f"by {orders[0]}"]
    return {"case": "ingest", "size": size, "ours_s": first["s"], "rows_per_s": round(size / first["s"]), **found}
