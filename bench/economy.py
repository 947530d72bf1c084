"""The synthetic economy: daily meters at scale, generated and written to Parquet in bounded memory."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from opsroom.economy.electricity import Electricity
from opsroom.economy.horizon import HISTORY_LAST, day_number
from opsroom.economy.operation import Operation, Pressure
from opsroom.economy.population import Population
from opsroom.economy.readings import SCHEMA, Readings
from opsroom.economy.scenario import Scenario
from opsroom.economy.surroundings import Surroundings

DAYS = 180
METERS_PER_COMPANY = 1.28


def run(size: int | None = None) -> dict[str, Any]:
    """Generate and write 180 days of readings of about so many meters (default 300,000).

    Parameters
    ----------
    size
        Number of meters, about.

    Returns
    -------
    dict
        Case, meters with a reading, rows, seconds, rows a second, peak memory of the process in MB. There
        is no peer.
    """
    meters = size or 300_000
    surroundings = Surroundings(0, Scenario.load())
    pressure = Pressure(surroundings)
    population = Population(0, max(100, round(meters / METERS_PER_COMPANY)))
    last = day_number(HISTORY_LAST)
    days = np.arange(last - DAYS + 1, last + 1)
    rows = seen = 0
    start, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meters.parquet"
        with pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=["date"]) as writer:
            for number in range(population.chunks):
                chunk = population.chunk(number)
                operation = Operation(chunk, pressure, chunk.enterprises.died)
                batch = Readings(Electricity(operation, surroundings)).known(days)
                writer.write_batch(batch)
                rows += batch.num_rows
                seen += len(np.unique(batch["meter_id"].to_numpy()))
        written = path.stat().st_size
    seconds = time.perf_counter() - start
    return {
        "case": "economy",
        "size": seen,
        "rows": rows,
        "ours_s": round(seconds, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "rows_per_s": round(rows / seconds),
        "file_mb": round(written / 2**20),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peer": None,
        "peer_s": None,
        "ratio": None,
        "max_abs_diff": None,
    }
