"""Official series as delivered: each release with its own day of knowledge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from opsroom.economy.aggregate import Aggregate
from opsroom.economy.horizon import HISTORY_KNOWN, MONTHS_DELIVERED, month_date, month_days
from opsroom.economy.indicators import FLOWS, Indicators
from opsroom.economy.operation import Pressure
from opsroom.economy.randomness import stream
from opsroom.economy.registers import strings
from opsroom.economy.scenario import Scenario
from opsroom.economy.sectors import DIVISION_SECTION, DIVISIONS, column
from opsroom.economy.vintages import MONTHLY, QUARTERLY, WEEKLY, history

PERIODS: Final = {"macro_m": "month", "macro_q": "quarter", "flows_w": "week"}
LAST_RELEASE: Final = dt.date(2020, 7, 31)


@dataclass(frozen=True)
class Official:
    """Releases of one run."""

    seed: int
    scenario: Scenario
    pressure: Pressure

    @cached_property
    def indicators(self) -> Indicators:
        """The true series."""
        return Indicators(Aggregate(self.seed, self.pressure), self.scenario)

    def releases(self, dataset: str) -> pd.DataFrame:
        """Return all figures of ``macro_m``, ``macro_q`` or ``flows_w``: series, period, value, vintage."""
        rows = [
            (name, period, value, vintage)
            for name, figures in self._figures(dataset)
            for vintage, period, value in figures
            if vintage <= LAST_RELEASE
        ]
        frame = pd.DataFrame(rows, columns=["series", PERIODS[dataset], "value", "vintage"])
        return frame.sort_values(["vintage", "series", PERIODS[dataset]], kind="stable", ignore_index=True)

    def _figures(self, dataset: str) -> Iterator[tuple[str, Iterator[tuple[dt.date, dt.date, float]]]]:
        source = self.indicators
        months = source.aggregate.months
        if dataset == "macro_m":
            index, length, series = months, pd.DateOffset(months=1), source.monthly
            calendars = MONTHLY
        elif dataset == "macro_q":
            index, length, series = source.aggregate.quarters, pd.DateOffset(months=3), source.quarterly
            calendars = QUARTERLY
        else:
            index, length, series = source.weeks, pd.DateOffset(days=7), source.weekly
            calendars = dict.fromkeys(FLOWS, WEEKLY)
        starts = [d.date() for d in index]
        ends = [(d + length - pd.DateOffset(days=1)).date() for d in index]
        for name, truth in series.items():
            calendar = calendars[name.split(".")[0]]
            yield name, history(self.seed, name, starts, ends, truth, calendar)

    def batches(self, dataset: str) -> Iterator[tuple[dt.date, pa.Table]]:
        """Yield the history of releases as one table, then one table for each later day of release."""
        frame = self.releases(dataset)
        start = HISTORY_KNOWN.date()
        yield start, self._table(dataset, frame[frame["vintage"] <= start])
        for day in sorted(set(frame.loc[frame["vintage"] > start, "vintage"])):
            yield day, self._table(dataset, frame[frame["vintage"] == day])

    @staticmethod
    def _table(dataset: str, rows: pd.DataFrame) -> pa.Table:
        period = PERIODS[dataset]
        return pa.table(
            {
                "series": pa.array(rows["series"].to_list(), pa.string()),
                period: pa.array(rows[period].to_list(), pa.date32()),
                "value": pa.array(rows["value"].to_numpy()),
                "vintage": pa.array(rows["vintage"].to_list(), pa.date32()),
            }
        )

    def prices(self) -> pa.Table:
        """Return producer prices by division and month, thousandths, 2017-06 = 100000, in order of month.

        Each division has its own drift and its own luck; in the shock what is short becomes dearer
        (food, medicines) and what nobody buys becomes cheaper.
        """
        n = len(DIVISIONS)
        rng = stream(self.seed, "prices")
        drift, spread = rng.normal(0.0013, 0.0006, n), rng.uniform(0.0015, 0.006, n)
        lean = np.array([0.020 if d in ("01", "03", "10", "21", "47", "86") else 0.0 for d in DIVISIONS])
        lean -= 0.008 * column("slump")[DIVISION_SECTION]
        level, rows = np.zeros(n), []
        slump = [self.scenario.slump.at(np.array([_mid(t), _mid(t - 1)])) for t in range(MONTHS_DELIVERED)]
        for t in range(MONTHS_DELIVERED):
            z = stream(self.seed, "prices.month", t).standard_normal(n)
            level = level + drift + spread * z + lean * (slump[t][0] - slump[t][1])
            rows.append(np.rint(100_000 * np.exp(level)).astype(np.int64))
        months = [month_date(t) for t in range(MONTHS_DELIVERED) for _ in range(n)]
        return pa.table(
            {
                "nace": strings(DIVISIONS, np.tile(np.arange(n), MONTHS_DELIVERED)),
                "month": pa.array(months, pa.date32()),
                "index_milli": np.concatenate(rows),
            }
        )


def _mid(month: int) -> float:
    return month_days(month)[0] + 14.0
