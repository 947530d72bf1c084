"""Work resumption from VAT, payroll and payments beside the meters: how far each and all together are from the truth.

``PYTHONPATH=src:. python bench/resumption_sources.py 2500 6`` scores six worlds of 2,500 companies.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.resumption import COHORT, LAST, Deliveries
from opsroom.economy.surroundings import KINDS, day_kind
from opsroom.measure.resumption import (
    CombinedResult,
    MonthlyResult,
    Source,
    combine,
    meter_months,
    monthly_resumption,
)
from opsroom.observe.engines import DuckEngine

SHOCK = dt.date(2020, 1, 1)
SOURCES = (
    Source("vat", ("sales",), family="turnover"),
    Source("payroll", ("wage_bill",)),
    Source("receipts", ("payments_in",), family="turnover"),
    Source("spending", ("payments_out",), family="turnover"),
)
SAID = (dt.date(2020, 3, 25), dt.date(2020, 4, 22), dt.date(2020, 5, 20), LAST)
FIRST = pd.Timestamp("2020-02-01")
CELLS = ("region", "size_class")


class Records:
    """Meridia's meters and monthly records, to be estimated as of any day, and the truth by month."""

    def __init__(self, companies: int, seed: int) -> None:
        self.deliveries = Deliveries(companies, seed, more=("firm_months",))
        self.engine = DuckEngine(threads=1)
        arrived = self.deliveries.arrived["firm_months"]
        stamp = pa.timestamp("us", "UTC")
        tables = [t.append_column("known_at", pa.array([at.to_pydatetime()] * len(t), stamp)) for at, t in arrived]
        self.table = self.engine.put("firm_months", pa.concat_tables(tables))
        days = pd.date_range("2017-07-01", "2020-12-31")
        scenario = self.deliveries.world.scenario
        self.calendar = pd.DataFrame({"date": days, "kind": [KINDS[day_kind(d.date(), scenario)] for d in days]})
        states = self.deliveries.world.truth.frame("enterprises")
        month = states["date"].dt.to_period("M").dt.to_timestamp()
        self.activity = states.groupby(["enterprise_id", month])["capacity"].mean().unstack()
        self.baseline = self.deliveries.baseline()

    def meters(self, day: dt.date) -> MonthlyResult:
        """Return the meters' estimate by month."""
        return meter_months(self.deliveries.estimate(day, self.baseline))

    def monthly(self, day: dt.date, source: Source, reference: MonthlyResult | None = None) -> MonthlyResult:
        """Return a monthly record's estimate."""
        return monthly_resumption(
            self.table, source, register=self.deliveries.tables(day)["register"], as_of=day, cohort_day=COHORT,
            shock=SHOCK, calendar=self.calendar, reference=reference,
        )  # fmt: skip

    def sources(self, day: dt.date) -> list[MonthlyResult]:
        """Return all sources as of a day."""
        meters = self.meters(day)
        return [meters, *(self.monthly(day, source, meters) for source in SOURCES)]

    def truth(self, result: MonthlyResult, dims: tuple[str, ...] = (), threshold: float = 0.3) -> pd.Series:
        """Return the true share of companies that did at least so much of normal over the month, per cent."""
        companies = result.panel.companies
        back = self.activity.reindex(companies["enterprise_id"]) >= threshold
        if not dims:
            return (100 * back.mean()).rename("truth")
        share = 100 * back.groupby([companies[d].astype(str).to_numpy() for d in dims]).mean().stack()
        share.index.names = [*dims, "month"]
        return share.rename("truth")


def _scores(frame: pd.DataFrame, truth: pd.Series, last: dt.date) -> dict[str, float]:
    """Score the months that most sources have."""
    both = frame.join(truth, how="inner")
    month = both.index.get_level_values("month")
    both = both[(month >= FIRST) & (month <= pd.Timestamp(last))]
    error = both["resumed"] - both["truth"]
    weight = both["companies"].to_numpy(dtype=np.float64)
    inside = (both["resumed_lower"] <= both["truth"]) & (both["truth"] <= both["resumed_upper"])
    width = float((both["resumed_upper"] - both["resumed_lower"]).mean())
    return {"mae": float(np.average(error.abs(), weights=weight)), "coverage": float(inside.mean()), "width": width}


def score(companies: int, seed: int, *, publications: tuple[dt.date, ...] = SAID) -> dict[str, float]:
    """Compare each source and the combination with the truth, in the end and as they were said month by month."""
    world = Records(companies, seed)
    begin = time.process_time()
    sources = world.sources(LAST)
    nation, cells = combine(sources), combine(sources, dims=CELLS)
    out: dict[str, float] = {"seed": seed, "cpu_s": time.process_time() - begin}
    for place, dims, found in (("", (), nation), ("cell_", CELLS, cells)):
        truth = world.truth(sources[0], dims)
        for source in sources:
            own = _scores(source.by(dims), truth, nation.reference_month)
            out |= {f"{place}{source.source}_{k}": v for k, v in own.items()}
        out |= {f"{place}combined_{k}": v for k, v in _scores(found.frame, truth, nation.reference_month).items()}
    said = [_said(world, combine(world.sources(day))) for day in publications]
    if said:
        out["said_mae"] = float(np.mean([abs(error) for error, _ in said]))
        out["said_coverage"] = float(np.mean([inside for _, inside in said]))
    out["agree"] = float(cells.frame["resumed_agree"].mean())
    return out


def _said(world: Records, result: CombinedResult) -> tuple[float, bool]:
    """Return the error of the reference month as it was said, and whether the interval held the truth."""
    month = pd.Timestamp(result.reference_month)
    row, true = result.frame.loc[month], float(world.truth(result.sources[0])[month])
    return float(row["resumed"]) - true, bool(row["resumed_lower"] <= true <= row["resumed_upper"])


def run(size: int | None = None) -> dict[str, Any]:
    """Score one world of `size` companies; there is no peer."""
    size = size or 2_000
    result = score(size, 0)
    return {
        "case": "resumption_sources", "size": size, "ours_s": result["cpu_s"], "peer": None, "peer_s": None,
        "ratio": None, "max_abs_diff": None, **result,
    }  # fmt: skip


def main() -> None:
    """Score several seeds and print each and the mean."""
    size, seeds = int(sys.argv[1]), int(sys.argv[2])
    rows = []
    for seed in range(seeds):
        rows.append(score(size, seed))
        print(json.dumps({k: round(v, 3) for k, v in rows[-1].items()}), flush=True)
    print(pd.DataFrame(rows).mean().round(3).to_json())


if __name__ == "__main__":
    main()
