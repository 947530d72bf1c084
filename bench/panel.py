"""A panel of company-months: four questions as of a day, through the verbs, beside pandas, Polars and plain SQL.

`size` company-months (companies over a hundred months) are delivered once; a second delivery revises 2 % of them.
Asked, by region, section and month: count and sum; the three largest contributions by company; the same by
enterprise group; the exact 10 %, 50 % and 90 % quantiles. The room answers from the store as of the last day. Its
peers answer from a plain Parquet file that holds nothing but the rows known then; DuckDB, in SQL by hand, also
from the store's own as-of view, which parts what the verbs cost from what vintages cost. Then the store is compacted,
as a room's upkeep does at night, and the room asked again, as of the last day and as of a day before the revision.
"""

from __future__ import annotations

import gc
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base import verbs
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.compaction import compact
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store
from opsroom.observe.views import as_of_sql

MONTHS = 100
REVISED = 50
"""One company in so many has its figure revised, every month."""

FIRST = datetime(2020, 7, 1, 6, tzinfo=UTC)
SECOND = datetime(2020, 8, 1, 6, tzinfo=UTC)
DIMS = ["region", "section", "month"]
LEVELS = [0.1, 0.5, 0.9]
BY = ", ".join(DIMS)
PANDAS_ROWS = 20_000_000
"""Beyond, a data frame with its groups does not fit beside the rest."""

SCHEMA = pa.schema(
    [
        ("company_id", pa.int64()),
        ("month", pa.date32()),
        ("region", pa.string()),
        ("section", pa.string()),
        ("group_id", pa.int64()),
        ("sales", pa.int64()),
    ]
)

SPEC = DatasetSpec(
    name="panel",
    title="Monthly sales by company",
    frequency="M",
    period="month",
    key=("company_id", "month"),
    confidential=True,
    unit="enterprise",
    unit_field="company_id",
    group_field="group_id",
    legal_basis="none: made for a benchmark",
    fields=(
        FieldSpec("company_id", "integer"),
        FieldSpec("month", "date"),
        FieldSpec("region", "string"),
        FieldSpec("section", "string"),
        FieldSpec("group_id", "integer"),
        FieldSpec("sales", "money", currency="EUR", scale=2, given="minor", required=True),
    ),
)


class Panel:
    """Companies with their regions, sections and groups, and what they sell in each month.

    Parameters
    ----------
    rows
        Company-months wanted, at least a hundred.
    """

    def __init__(self, rows: int) -> None:
        self.companies = max(rows // MONTHS, 1)
        draw = np.random.default_rng(0)
        count = self.companies
        regions = pa.array([f"R{i:02d}" for i in range(12)])
        sections = pa.array([f"{i:02d}" for i in range(63)])
        self.ids = np.arange(count, dtype=np.int64)
        self.region = regions.take(pa.array(draw.integers(0, 12, count)))
        self.section = sections.take(pa.array(draw.integers(0, 63, count)))
        # Three in ten belong to groups of about one and a half companies here, the others are their own.
        joint = draw.random(count) < 0.3
        self.group = np.where(joint, draw.integers(0, max(count // 5, 1), count), count + self.ids)
        self.usual = np.exp(draw.normal(11, 2, count))

    def month(self, number: int, *, revised: bool = False) -> pa.RecordBatch:
        """Return a month's rows: all of them, or those that the second delivery revises."""
        draw = np.random.default_rng([1, number])
        sales = (self.usual * np.exp(draw.normal(0, 0.3, self.companies)) * 100).astype(np.int64)
        day = date(2012 + number // 12, number % 12 + 1, 1)
        days = np.full(self.companies, (day - date(1970, 1, 1)).days, dtype=np.int32)
        batch = pa.record_batch(
            [self.ids, pa.array(days).view(pa.date32()), self.region, self.section, self.group, pa.array(sales)],
            schema=SCHEMA,
        )
        if not revised:
            return batch
        chosen = pa.array(np.flatnonzero((self.ids + number) % REVISED == 0))
        part = batch.take(chosen)
        corrected = pa.array(part.column("sales").to_numpy() + 100)
        return part.set_column(SCHEMA.get_field_index("sales"), "sales", corrected)

    def known(self, number: int) -> pa.Table:
        """Return a month's rows as they stand after the second delivery."""
        sales = self.month(number).column("sales").to_numpy().copy()
        sales[(self.ids + number) % REVISED == 0] += 100
        batch = self.month(number)
        return pa.Table.from_batches([batch.set_column(SCHEMA.get_field_index("sales"), "sales", pa.array(sales))])

    def reader(self, *, revised: bool = False) -> pa.RecordBatchReader:
        """Return all months as a stream."""

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(MONTHS):
                yield self.month(number, revised=revised)

        return pa.RecordBatchReader.from_batches(SCHEMA, batches())


def _ours(store: Store, moment: datetime = SECOND) -> dict[str, Callable[[], pa.Table]]:
    def panel() -> Any:  # an Ibis table
        return store.table("panel", moment)

    return {
        "sums": lambda: verbs.collect(
            verbs.group(panel(), by=DIMS, measures={"n": ("count", None), "sales": ("sum", "sales")})
        ),
        "top_company": lambda: verbs.collect(
            verbs.top_contributions(panel(), dims=DIMS, measure="sales", group="company_id", key=SPEC.key)
        ),
        "top_group": lambda: verbs.collect(
            verbs.top_contributions(panel(), dims=DIMS, measure="sales", group="group_id", key=SPEC.key)
        ),
        "quantiles": lambda: verbs.collect(verbs.quantile(panel(), by=DIMS, measure="sales", levels=LEVELS)),
    }


def _sql(connection: Any, rows: str) -> dict[str, Callable[[], pa.Table]]:
    """Return the questions in SQL, written by hand as well as we can."""
    top = "coalesce(t[1], 0) AS sales__top1, coalesce(t[2], 0) AS sales__top2, coalesce(t[3], 0) AS sales__top3"
    whole = "sum(v)::BIGINT AS sales, count(*) FILTER (v <> 0) AS sales__groups, max(abs(v), 3) AS t"
    queries = {
        "sums": f"SELECT {BY}, count(*) AS n, sum(sales)::BIGINT AS sales FROM {rows} GROUP BY {BY}",
        "top_company": (
            f"SELECT {BY}, sales, sales__groups, {top} FROM "
            f"(SELECT {BY}, {whole} FROM (SELECT {BY}, sales AS v FROM {rows}) GROUP BY {BY})"
        ),
        "top_group": (
            f"SELECT {BY}, sales, sales__groups, {top} FROM (SELECT {BY}, {whole} FROM "
            f"(SELECT {BY}, group_id, sum(sales)::BIGINT AS v FROM {rows} GROUP BY {BY}, group_id) GROUP BY {BY})"
        ),
        "quantiles": (
            f"SELECT {BY}, q[1] AS sales_p10, q[2] AS sales_p50, q[3] AS sales_p90 FROM "
            f"(SELECT {BY}, quantile_cont(sales, {LEVELS}) AS q FROM {rows} GROUP BY {BY})"
        ),
    }
    return {name: lambda sql=sql: connection.execute(sql).to_arrow_table() for name, sql in queries.items()}


def _polars(file: Path) -> dict[str, Callable[[], pa.Table]] | None:
    if find_spec("polars") is None:
        return None
    import polars as pl

    rows = pl.scan_parquet(file)
    value = pl.col("sales")

    def tops(column: str) -> list[Any]:
        largest = pl.col(column).abs().top_k(3)
        whole = [pl.col(column).sum().alias("sales"), (pl.col(column) != 0).sum().alias("sales__groups")]
        return [*whole, *(largest.get(k, null_on_oob=True).fill_null(0).alias(f"sales__top{k + 1}") for k in range(3))]

    def collected(frame: Any) -> pa.Table:
        return frame.collect(engine="streaming").to_arrow()

    by_group = rows.group_by([*DIMS, "group_id"]).agg(value.sum())
    quantiles = [value.quantile(q, "linear").alias(f"sales_p{round(q * 100)}") for q in LEVELS]
    return {
        "sums": lambda: collected(rows.group_by(DIMS).agg(pl.len().alias("n"), value.sum())),
        "top_company": lambda: collected(rows.group_by(DIMS).agg(tops("sales"))),
        "top_group": lambda: collected(by_group.group_by(DIMS).agg(tops("sales"))),
        "quantiles": lambda: collected(rows.group_by(DIMS).agg(quantiles)),
    }


def _pandas(file: Path, rows: int) -> dict[str, Callable[[], pa.Table]] | None:
    if rows > PANDAS_ROWS:
        return None
    import pandas as pd

    def read() -> pd.DataFrame:
        frame = pd.read_parquet(file)
        return frame.astype({"region": "category", "section": "category", "month": "datetime64[s]"})

    def grouped(frame: pd.DataFrame, by: list[str]) -> Any:
        return frame.groupby(by, observed=True, sort=False)["sales"]

    def tops(frame: pd.DataFrame) -> pa.Table:
        groups = grouped(frame.assign(sales=frame["sales"].abs()), DIMS)
        ranked = frame.assign(rank=groups.rank(method="first", ascending=False))
        found = grouped(frame, DIMS).agg(["sum", "count"])
        for k in (1, 2, 3):
            found[f"top{k}"] = ranked[ranked["rank"] == k].set_index(DIMS)["sales"]
        return pa.Table.from_pandas(found.fillna(0).reset_index())

    def quantiles() -> pa.Table:
        found = grouped(read(), DIMS).quantile(LEVELS).unstack()
        return pa.Table.from_pandas(found.rename(columns=str).reset_index())

    def sums() -> pa.Table:
        return pa.Table.from_pandas(grouped(read(), DIMS).agg(["count", "sum"]).reset_index())

    return {
        "sums": sums,
        "top_company": lambda: tops(read()),
        "top_group": lambda: tops(grouped(read(), [*DIMS, "group_id"]).sum().reset_index()),
        "quantiles": quantiles,
    }


def _best(act: Callable[[], pa.Table], times: int) -> tuple[float, float, pa.Table]:
    """Return the least seconds, the least CPU seconds of all threads (other work counts for little), and the answer."""
    best, least, found = float("inf"), float("inf"), None
    for _ in range(times):
        gc.collect()
        begin, spent = time.perf_counter(), time.process_time()
        found = act()
        best = min(best, time.perf_counter() - begin)
        least = min(least, time.process_time() - spent)
    return best, least, found


def _difference(one: pa.Table, other: pa.Table) -> float:
    """Return the largest absolute difference of two answers, by the names of the first one's numbers."""
    left, right = (t.sort_by([(d, "ascending") for d in DIMS]) for t in (one, other))
    if left.num_rows != right.num_rows:
        raise AssertionError("the answers have different cells")
    return max(
        float(np.abs(left[name].to_numpy().astype(float) - right[name].to_numpy().astype(float)).max(initial=0.0))
        for name in left.column_names
        if name not in DIMS
    )


def _times(one: float | None, other: float | None) -> float | None:
    return round(one / other, 2) if one is not None and other else None


def run(size: int | None = None) -> dict[str, Any]:
    """Measure the four questions at `size` company-months, 10 million where absent.

    Returns
    -------
    dict
        Seconds of ingesting, and seconds and CPU seconds of each question by each tool, best of two (of one where
        pandas is left out); how many times the hand's SQL on the as-of view the verbs take, and how many times plain
        SQL that view; seconds of compacting, and of the questions to the compacted store as of the last day and of one
        before the revision; the largest difference of answers; and the peak memory of the process after ingesting, in
        MB. A peer that is not installed, or for which there are too many rows, is None.
    """
    size = size or 10_000_000
    panel = Panel(size)
    rows = panel.companies * MONTHS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        state = State.open(root / "room.db")
        store = Store(root, [SPEC], state, timezone="Europe/Vienna")
        begin = time.perf_counter()
        report = ingest(store, SPEC, panel.reader(), known_at=FIRST, actor="bench")
        history = time.perf_counter() - begin
        if report.accepted != rows:
            raise AssertionError("rows were lost")
        begin = time.perf_counter()
        ingest(store, SPEC, panel.reader(revised=True), known_at=SECOND, actor="bench")
        revision = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        plain = root / "plain.parquet"
        with pq.ParquetWriter(plain, SCHEMA, compression="zstd") as writer:
            for number in range(MONTHS):
                writer.write_table(panel.known(number), row_group_size=1 << 18)
        engine = store.backend.con
        view = f"({as_of_sql(store.shapes('panel'), store.files('panel'), SECOND)})"
        tools = {
            "ours": _ours(store),
            "duckdb": _sql(engine, f"read_parquet('{plain}')"),
            "duckdb_as_of": _sql(engine, view),
            "polars": _polars(plain),
            "pandas": _pandas(plain, rows),
        }
        seconds: dict[str, dict[str, float | None]] = {}
        processor: dict[str, dict[str, float]] = {}
        worst = 0.0
        known_last = {}
        for question in tools["ours"] or {}:
            answers = {}
            seconds[question], processor[question] = {}, {}
            for name, questions in tools.items():
                if questions is None:
                    seconds[question][name] = None
                    continue
                took, spent, answers[name] = _best(questions[question], 2 if rows <= PANDAS_ROWS else 1)
                seconds[question][name], processor[question][name] = round(took, 2), round(spent, 2)
            worst = max(worst, _difference(answers["duckdb"], answers["ours"]))
            known_last[question] = answers["ours"]
        before = {question: ask() for question, ask in _ours(store, FIRST).items()}
        begin = time.perf_counter()
        compact(store, "panel", vacuum=True)
        compaction = time.perf_counter() - begin
        compacted: dict[str, dict[str, float]] = {}
        for question, known in (tools["ours"] or {}).items():
            took, spent, found = _best(known, 2 if rows <= PANDAS_ROWS else 1)
            past, spent_past, then = _best(_ours(store, FIRST)[question], 2 if rows <= PANDAS_ROWS else 1)
            worst = max(worst, _difference(before[question], then), _difference(known_last[question], found))
            compacted[question] = {
                "last_s": round(took, 2),
                "last_cpu_s": round(spent, 2),
                "past_s": round(past, 2),
                "past_cpu_s": round(spent_past, 2),
            }
        store.close()
        state.close()
    ours, peer = (sum(found[name] or 0.0 for found in seconds.values()) for name in ("ours", "duckdb"))
    return {
        "case": "panel",
        "size": size,
        "rows": rows,
        "ingest_s": round(history, 1),
        "revision_s": round(revision, 1),
        "ingest_peak_mb": round(peak),
        **{f"{question}_s": found for question, found in seconds.items()},
        **{f"{question}_cpu_s": found for question, found in processor.items()},
        "compaction_s": round(compaction, 1),
        "compacted": compacted,
        "verbs_cost": {q: _times(s["ours"], s["duckdb_as_of"]) for q, s in seconds.items()},
        "vintages_cost": {q: _times(s["duckdb_as_of"], s["duckdb"]) for q, s in seconds.items()},
        "ours_s": round(ours, 2),
        "peer": "DuckDB, plain SQL on plain Parquet",
        "peer_s": round(peer, 2),
        "ratio": round(peer / ours, 2),
        "max_abs_diff": worst,
    }
