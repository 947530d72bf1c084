"""Daily meters of many companies: corrected for weather and calendar, added up by cell and week, released.

`size` companies over three years (300,000 of them are 330 million rows), read from Parquet as a grid operator delivers
them: a row a meter and day, a file a month. What is timed: reading and following customers, fitting each company's
normal twice (once without the last half year, for the intervals), expected use of every day, sums by cell and week,
parts for the gate, and the gate. Planted: weather, weekdays, holidays, meters changed and readings missing, and a fall
that differs by region. The peer is what one would write with statsmodels: a loop that fits one company after another,
by robust regression on the same design (RLM), by plain least squares (OLS), or by MSTL. It runs on a few companies,
and its time is multiplied. It fits once; we fit twice, and do all the rest. Ratios are of processor seconds, which
neighbours on the machine move less than wall time.
"""

from __future__ import annotations

import datetime as dt
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base.errors import InternalError
from opsroom.base.state import State
from opsroom.measure.adjust.customers import follow_customers
from opsroom.measure.adjust.panel import Ground, Readings
from opsroom.measure.adjust.rollup import Rollup, roll_up
from opsroom.measure.adjust.shared import Shared
from opsroom.protect.gate import release
from opsroom.protect.ledger import Ledger
from opsroom.protect.rules import Rules

LARGE = 300_000
START, END = "2018-01-01", "2020-12-30"
TRAIN = [("2018-01-01", "2020-02-16")]
SHOCK = "2020-03-16"
REGIONS, SECTIONS = 8, 10
SINCE = "2020-W01"
PEERS = 12
WORKERS = 2


class Grid:
    """Companies of a grid, and what their meters read.

    Parameters
    ----------
    companies
        How many.
    """

    def __init__(self, companies: int) -> None:
        draw = np.random.default_rng(7)
        self.n = n = companies
        self.dates = pd.date_range(START, END)
        days = len(self.dates)
        self.region, self.section = draw.integers(0, REGIONS, n), draw.integers(0, SECTIONS, n)
        season = -10 * np.cos(2 * np.pi * (self.dates.day_of_year.to_numpy() - 20) / 365.25)
        weather = np.zeros((REGIONS, days))
        for t in range(1, days):
            weather[:, t] = 0.7 * weather[:, t - 1] + draw.normal(0, 2, REGIONS)
        self.degrees = 10 + np.arange(REGIONS)[:, None] * 0.7 + season + weather
        self.cold = np.logaddexp(0, (13 - self.degrees) / 2)  # a smooth bend, unlike the engine's hinges
        self.hot = np.logaddexp(0, (self.degrees - 21) / 2)
        import holidays

        off = set(holidays.country_holidays("DE", years=range(2018, 2021)))
        weekday = self.dates.day_of_week.to_numpy()
        self.closed = np.array([w >= 5 or d.date() in off for w, d in zip(weekday, self.dates, strict=True)])
        self.base = draw.uniform(0.1, 0.8, n).astype(np.float32)
        self.level = np.exp(draw.normal(11.5, 1.4, n)).astype(np.float32)
        self.heat, self.cool = draw.uniform(0, 0.05, (2, n)).astype(np.float32)
        self.noise = draw.uniform(0.05, 0.25, n).astype(np.float32)
        self.fall = draw.uniform(0.05, 0.35, REGIONS)
        self.changed = np.where(draw.random(n) < 0.05, draw.integers(100, days - 500, n), days)
        self.registers_less = draw.uniform(0.9, 1.1, n).astype(np.float32)
        self.shock = np.asarray(self.dates >= SHOCK)

    def month(self, number: int) -> pa.Table:
        """Return the rows of one month: meter, day, Wh."""
        draw = np.random.default_rng([7, number])
        first = pd.Timestamp(START) + pd.DateOffset(months=number)
        at = np.flatnonzero((self.dates >= first) & (self.dates < first + pd.DateOffset(months=1)))
        shape = (self.n, len(at))
        use = np.where(self.closed[at][None, :], self.base[:, None], np.float32(1))
        use *= 1 + self.heat[:, None] * self.cold[self.region][:, at].astype(np.float32)
        use *= 1 + self.cool[:, None] * self.hot[self.region][:, at].astype(np.float32)
        use *= self.level[:, None] * (1 - self.fall[self.region][:, None] * self.shock[at][None, :]).astype(np.float32)
        second = at[None, :] >= self.changed[:, None]
        use *= np.where(second, self.registers_less[:, None], np.float32(1))
        use *= np.exp(self.noise[:, None] * draw.standard_normal(shape, dtype=np.float32))
        kept = (draw.random(shape, dtype=np.float32) >= 0.01).ravel()
        meter = (np.arange(self.n)[:, None] * 2 + second).ravel()[kept]
        day = np.broadcast_to(self.dates[at].to_numpy().astype("datetime64[D]").astype(np.int32), shape).ravel()[kept]
        return pa.table(
            {"meter_id": meter, "date": pa.array(day, pa.date32()), "wh": use.astype(np.int64).ravel()[kept]}
        )

    def write(self, folder: Path) -> None:
        """Write all months."""
        for number in range(36):
            pq.write_table(
                self.month(number), folder / f"{number:02d}.parquet", compression="zstd", use_dictionary=["date"]
            )

    def links(self) -> pd.DataFrame:
        """Return which meter is whose, and when."""
        two = self.changed < len(self.dates)
        switch = self.dates[np.minimum(self.changed, len(self.dates) - 1)]
        start, open_end = pd.Timestamp("2015-01-01"), pd.NaT
        ids = np.arange(self.n)
        first = pd.DataFrame({"meter_id": ids * 2, "customer_id": ids, "valid_from": start, "valid_to": open_end})
        first.loc[two, "valid_to"] = (switch - pd.Timedelta(days=1))[two]
        second = pd.DataFrame(
            {"meter_id": ids[two] * 2 + 1, "customer_id": ids[two], "valid_from": switch[two], "valid_to": open_end}
        )
        return pd.concat([first, second], ignore_index=True)

    def units(self) -> pd.DataFrame:
        """Return region, section and group of each company; three in ten belong to a group with others."""
        draw = np.random.default_rng(8)
        group = np.where(
            draw.random(self.n) < 0.3, draw.integers(0, max(self.n // 5, 1), self.n), self.n + np.arange(self.n)
        )
        codes = {"region": [f"R{k}" for k in self.region], "section": [f"S{k}" for k in self.section]}
        return pd.DataFrame({**codes, "group_id": group})


def _make(companies: int, folder: Path) -> None:
    Grid(companies).write(folder)


def _batches(folder: Path) -> Iterator[pa.RecordBatch]:
    for file in sorted(folder.glob("*.parquet")):
        yield from pq.ParquetFile(file).iter_batches(batch_size=1 << 20)


def _timed(folder: Path, grid: Grid) -> tuple[dict[str, float], Rollup, Any, Readings]:
    """Run the whole way; return seconds by step, the roll-up, the release, and the readings."""
    took: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        took[name], clock = now - clock, now

    customers = follow_customers(_batches(folder), grid.links(), start=START, end=END, folder=folder)
    lap("read_s")
    names = [f"R{k}" for k in range(REGIONS)]
    ground = Ground.of(
        grid.dates, train=TRAIN, country="DE", regions=names,
        temperature={name: pd.Series(row, index=grid.dates) for name, row in zip(names, grid.degrees, strict=True)},
    )  # fmt: skip
    made = roll_up(
        customers.readings, ground, grid.units(), dimensions=("region", "section"), group="group_id",
        region=grid.region, known_steps=customers.changes, workers=WORKERS,
    )  # fmt: skip
    lap("correct_s")
    cells = made.cells("industry", since=SINCE)
    lap("parts_s")
    rules = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0, profile="business")
    state = State.open(folder / "room.db")
    day = dt.date(2021, 1, 4)
    out = release(
        cells, rules=rules, as_of=dt.datetime(2021, 1, 4, 23, tzinfo=dt.UTC), day=day, ledger=Ledger(state)
    )  # fmt: skip
    state.close()
    lap("gate_s")
    return took, made, out, customers.readings


def _accuracy(grid: Grid, made: Rollup) -> dict[str, float]:
    """Compare each region's weekly gap with the planted fall, and count intervals that hold it."""
    frame = made.to_frame(["region"]).reset_index()
    frame = frame[frame["week"] >= "2020-W13"]
    planted = -100 * grid.fall[frame["region"].str[1:].astype(int)]
    inside = (frame["lower"] <= planted) & (planted <= frame["upper"])
    error = frame["gap"] - planted
    return {
        "gap_mae": float(error.abs().mean()), "gap_worst": float(error.abs().max()), "coverage": float(inside.mean())
    }  # fmt: skip


def _peers(readings: Readings, grid: Grid) -> dict[str, float]:
    """Time statsmodels on a few companies, processor seconds, and hold plain least squares against it."""
    import statsmodels.api as sm
    from statsmodels.tsa.seasonal import MSTL

    ground = Ground.of(
        grid.dates, train=TRAIN, country="DE", temperature={"": pd.Series(grid.degrees[0], index=grid.dates)}
    )  # fmt: skip
    at = np.flatnonzero(grid.region == 0)[:PEERS]
    y = np.log(np.maximum(readings[at], 1).astype(float))
    filled = pd.DataFrame(np.where(readings[at] > 0, y, np.nan)).T.interpolate().bfill().to_numpy().T
    x = ground.designs[0][:, np.abs(ground.designs[0][ground.train]).sum(axis=0) > 0].astype(float)
    seconds = {}
    coef = []
    for name, one in (("rlm", sm.RLM), ("ols", sm.OLS)):
        clock = time.process_time()
        for row in filled:
            fit = one(row[ground.train], x[ground.train]).fit()
            if name == "ols":
                coef.append(fit.fittedvalues)
            fit.predict(x)
        seconds[f"{name}_each_s"] = (time.process_time() - clock) / len(at)
    clock = time.process_time()
    for row in filled[:4]:
        MSTL(row[ground.train], periods=(7, 365)).fit()
    seconds["mstl_each_s"] = (time.process_time() - clock) / 4
    train = x[ground.train]
    shared = Shared.of(train, penalty=np.full(train.shape[1], 1e-9))
    ours = shared.fit(filled[:, ground.train], huber=None)
    difference = float(np.abs(ours.coef @ train.T - np.array(coef)).max())
    return {**seconds, "max_abs_diff": difference}


def run(size: int | None = None, *, large: bool = False) -> dict[str, Any]:
    """Correct, add up and release.

    Parameters
    ----------
    size
        Companies; 5,000 where absent.
    large
        300,000 companies: ten minutes and a few gigabytes.
    """
    size = LARGE if large else size or 5_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Made by another process: what that takes is no part of the peak.
        maker = get_context("spawn").Process(target=_make, args=(size, folder))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise InternalError("the grid could not be made.")
        grid = Grid(size)
        rows = sum(pq.ParquetFile(file).metadata.num_rows for file in folder.glob("*.parquet"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        user = time.process_time()
        took, made, out, readings = _timed(folder, grid)
        user = time.process_time() - user
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peers = _peers(readings, grid)
    ours = sum(took.values())
    each = {key: peers[f"{key}_each_s"] * size for key in ("rlm", "ols", "mstl")}
    return {
        "case": "adjust", "size": size, "rows": rows, "ours_s": ours, "ours_cpu_s": user, **took,
        "rows_per_s": rows / ours, "peak_gb": peak / 2**20, "before_gb": before / 2**20,
        "cells": len(out.rows), "suppressed": sum(row[-1] == "suppressed" for row in out.rows),
        **_accuracy(grid, made), "peer": f"statsmodels RLM, a loop over companies, from {PEERS} of them",
        "peer_s": each["rlm"], "ratio": each["rlm"] / user, "ols_s": each["ols"], "ratio_ols": each["ols"] / user,
        "mstl_s": each["mstl"], "ratio_mstl": each["mstl"] / user, "max_abs_diff": peers["max_abs_diff"],
    }  # fmt: skip
