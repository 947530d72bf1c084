"""The report on a delivery: what it and row rules add to the ingest of a CSV, in processor time."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv

from bench.store import SPEC, START, week
from opsroom.base.spec_quality import QualitySpec
from opsroom.base.spec_rules import RuleSpec
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import State
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

WEEKS = 4
RULES = (
    RuleSpec("plausible", expression="wh < 4_000_000_000 and meter_id >= 0"),
    RuleSpec("not_empty", expression="wh > 0", when="meter_id > 10"),
)


def run(size: int | None = None) -> dict[str, Any]:
    """Ingest weekly CSV files of `size` rows with the report, without it, and with the report and two row rules.

    Returns
    -------
    dict
        Median processor seconds (all threads) of the weeks after the first: with the report (``ours_s``), without
        (``peer_s``), and with rules, too.
    """
    size = size or 1_000_000
    plain = replace(SPEC, quality=QualitySpec(report=False))
    ours, peer, ruled = (_weeks(size // 7, spec) for spec in (SPEC, plain, replace(SPEC, rules=RULES)))
    return {
        "case": "quality",
        "size": size,
        "ours_s": round(ours, 3),
        "peer": "the same ingest without the report",
        "peer_s": round(peer, 3),
        "ratio": round(peer / ours, 3),
        "report_share": round((ours - peer) / ours, 3),
        "with_two_row_rules_s": round(ruled, 3),
        "max_abs_diff": None,
    }


def _weeks(meters: int, spec: DatasetSpec) -> float:
    with tempfile.TemporaryDirectory() as folder:
        state = State.open(Path(folder) / "room.db")
        store = Store(folder, [spec], state)
        took = []
        for number in range(WEEKS):
            monday = START + timedelta(weeks=number)
            file = Path(folder) / f"week-{number}.csv"
            pacsv.write_csv(week(meters, monday, seed=number), file)
            moment = datetime.combine(monday + timedelta(days=8), datetime.min.time(), UTC)
            begin = time.process_time()
            report = ingest(store, spec, file, known_at=moment, actor="bench")
            took.append(time.process_time() - begin)
            if report.quarantined:
                raise AssertionError("rows were refused")
            file.unlink()
        store.close()
        state.close()
    return statistics.median(took[1:])
