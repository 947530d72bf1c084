"""One question from the store to a figure on a Spark cluster with worker processes, against DuckDB."""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base import verbs
from opsroom.base.periods import end_of_day
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.base.verbs import col
from opsroom.observe.engines import Engine
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

from . import kernels
from .conftest import INTERPRETED, collect_sockets, settings, started

SPEC = DatasetSpec(
    name="readings",
    title="Readings",
    frequency="D",
    period="day",
    key=("unit", "day"),
    confidential=True,
    unit="enterprise",
    legal_basis="a test",
    fields=(
        FieldSpec("unit", "string"),
        FieldSpec("day", "date"),
        FieldSpec("region", "string"),
        FieldSpec("value", "integer"),
    ),
)
DAYS = [dt.date(2020, 3, d) for d in range(1, 11)]


def deliver(store: Store, known: dt.date, rows: list[tuple[str, dt.date, str, int]], *, back: bool = False) -> None:
    columns = dict(zip(("unit", "day", "region", "value"), map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table({k: v for k, v in columns.items() if not back or k in SPEC.key})
    moment = end_of_day(known, "Europe/Vienna")
    ingest(store, SPEC, table, known_at=moment, actor="test", reason="drawn", deletions=back)


def fill(store: Store) -> None:
    """Deliver first rows, revisions, rows taken back, two deliveries of one moment, and a back-dated one."""
    random.seed(7)
    units = [f"c{n:02d}" for n in range(24)]
    first = [(u, d, f"R{n % 3}", random.randint(-50, 5000)) for n, u in enumerate(units) for d in DAYS]
    deliver(store, dt.date(2020, 3, 12), first)
    deliver(store, dt.date(2020, 3, 16), [(u, d, r, v + 10**12) for u, d, r, v in first[::7]])
    deliver(store, dt.date(2020, 3, 16), [(u, d, r, v + 1) for u, d, r, v in first[::21]])
    deliver(store, dt.date(2020, 3, 18), first[3::11], back=True)
    deliver(store, dt.date(2020, 3, 14), [(u, d, "R9", v - 5) for u, d, r, v in first[::5]])
    deliver(store, dt.date(2020, 3, 20), [(u, d, r, v) for u, d, r, v in first[3::22]])


def make_store(path: Path, engine: Engine | None) -> Store:
    path.mkdir(exist_ok=True)
    return Store(path, [SPEC], State.open(path / "room.db"), timezone="Europe/Vienna", engine=engine)


def figures(store: Store, day: dt.date) -> list[object]:
    """Ask for sums, contributions and shares, and a kernel's figure of each unit."""
    table = store.table("readings", day)
    sums = verbs.group(
        table,
        by=["region"],
        measures={"total": ("sum", "value"), "mean": ("mean", "value"), "units": ("distinct", "unit")},
    )
    shared = verbs.shares(sums, by=[], measure="total", name="share", digits=1)
    tops = verbs.top_contributions(table, dims=["region"], measure="value", group="unit")
    both = verbs.order(verbs.join(shared, verbs.rename(tops, names={"again": "value"}), on=["region"]), by=["region"])
    positive = verbs.where(table, condition=col("value") > 0)
    paths = verbs.map_units(positive, unit="unit", kernel=kernels.trends, schema=kernels.TRENDS, order=["day"])
    return [verbs.collect(both).to_pylist(), paths.to_pylist()]


def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Spark a home whose ``work`` folder, in which workers write, is the test's."""
    pyspark = pytest.importorskip("pyspark")
    folder.mkdir()
    for part in ("bin", "jars", "python", "sbin"):
        if (Path(pyspark.__path__[0]) / part).exists():
            (folder / part).symlink_to(Path(pyspark.__path__[0]) / part)
    monkeypatch.setenv("SPARK_HOME", str(folder))
    tests = str(Path(__file__).parents[2])
    # Workers import the kernels as the tests do.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, *(p for p in sys.path if p)]))


def commands(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def jvm_children() -> set[int]:
    """Return the Java processes below this one."""
    found, parents = set(), {os.getpid()}
    while parents:
        children = set()
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, parent = int(entry.parent.name), int(entry.read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent in parents:
                children.add(pid)
        found |= children
        parents = children
    return {p for p in found if "org.apache.spark" in commands(p)}


@pytest.mark.timeout(400)
def test_a_cluster_of_two_workers_gives_the_figures_of_duckdb(tmp_path, monkeypatch):
    engine = started(settings("local-cluster[2,1,1024]", 2, ("spark.executor.memory", "1g"), *INTERPRETED))
    own_home(tmp_path / "spark", monkeypatch)
    here = make_store(tmp_path / "room", None)
    fill(here)
    there = make_store(tmp_path / "room", engine)
    try:
        for day in (dt.date(2020, 3, 15), dt.date(2020, 3, 21)):
            found = figures(there, day)
            assert found == figures(here, day)
            assert found[0]
        ran = verbs.map_units(
            there.table("readings"), unit="unit", kernel=kernels.processes, schema=kernels.PROCESSES, rows=8
        )
        assert ran["unit"].to_pylist() == sorted(ran["unit"].to_pylist())
        kernels_ran_in = set(ran["pid"].to_pylist())
        assert len(kernels_ran_in) == 2
        assert os.getpid() not in kernels_ran_in
        executors = {p for p in jvm_children() if "CoarseGrainedExecutorBackend" in commands(p)}
        assert len(executors) == 2, "two worker processes"
    finally:
        there.close()
        here.close()
        collect_sockets()
    assert not jvm_children(), "Spark ends with the store"
