"""Work resumption: how far the estimate is from Meridia's truth, over seeds, and how long it takes.

``PYTHONPATH=src python bench/resumption.py 3000 20`` scores twenty worlds of 3,000 companies.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from opsroom.economy import meridia
from opsroom.measure.resumption import Baseline, ResumptionResult, fit_baseline, resumption

HOLIDAY = (dt.date(2020, 1, 24), dt.date(2020, 2, 2))
COHORT = dt.date(2020, 1, 17)
DAY = pd.Timedelta(days=1)
FIRST, LAST = dt.date(2020, 2, 3), dt.date(2020, 6, 24)
PUBLICATIONS = tuple(dt.date(2020, m, d) for m, d in ((2, 19), (3, 4), (3, 25), (4, 22), (5, 20)))
KEYS: Mapping[str, list[str]] = {
    "register": ["enterprise_id", "valid_from"],
    "meter_links": ["meter_id", "establishment_id", "valid_from"],
    "weather": ["region", "date"],
    "calendar": ["date"],
    "restrictions": ["region", "date"],
    "telework": ["section", "month"],
}


class Deliveries:
    """What Meridia delivered, to be seen as of any day, with the truth beside it."""

    def __init__(self, companies: int, seed: int, *, until: dt.date = LAST, more: tuple[str, ...] = ()) -> None:
        world = meridia(companies=companies, seed=seed)
        names = (*KEYS, "meters", *more)
        self.arrived: dict[str, list[tuple[pd.Timestamp, pa.Table]]] = {n: [] for n in names}
        for delivery in world.deliveries(until=until):
            if delivery.dataset in self.arrived:
                source = delivery.source
                table = source if isinstance(source, pa.Table) else source.read_all()
                self.arrived[delivery.dataset].append((pd.Timestamp(delivery.known_at), table))
        self.world = world
        self.truth = world.truth.at_work(dt.date(2020, 1, 6), until)
        self.turning = world.truth.turning_point()

    def _known(self, name: str, day: dt.date) -> list[pa.Table]:
        end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=23)
        return [table for at, table in self.arrived[name] if at <= end]

    def tables(self, day: dt.date) -> dict[str, pd.DataFrame]:
        """Return the small tables as of a day, the latest row of each key."""
        found = {}
        for name, key in KEYS.items():
            frame = pd.concat([t.to_pandas() for t in self._known(name, day)])
            found[name] = frame.drop_duplicates(key, keep="last").reset_index(drop=True)
        return found

    def meters(self, day: dt.date) -> pa.Table:
        """Return all readings delivered up to a day, later deliveries last, so that they win."""
        return pa.concat_tables([t.select(["meter_id", "date", "wh"]) for t in self._known("meters", day)])

    def baseline(self, day: dt.date = dt.date(2020, 1, 22)) -> Baseline:
        """Fit each company's normal as of a day."""
        t = self.tables(day)
        return fit_baseline(
            self.meters(day), links=t["meter_links"], register=t["register"], weather=t["weather"],
            calendar=t["calendar"], cohort_day=COHORT,
        )  # fmt: skip

    def estimate(self, day: dt.date, baseline: Baseline) -> ResumptionResult:
        """Estimate as of a day."""
        t = self.tables(day)
        telework = {str(r.section): r.share_ppm / 1e6 for r in t["telework"].itertuples()}
        return resumption(
            self.meters(day), links=t["meter_links"], register=t["register"], weather=t["weather"],
            calendar=t["calendar"], as_of=day, holiday=HOLIDAY, cohort_day=COHORT, telework=telework,
            restrictions=t["restrictions"], baseline=baseline,
        )  # fmt: skip

    def shares(self, dims: tuple[str, ...] = ()) -> pd.DataFrame:
        """Return the true shares, per cent, by count, jobs and sales."""
        frame = self.truth.assign(date=pd.to_datetime(self.truth["date"]))
        sums = frame.groupby(["date", *dims]).sum(numeric_only=True)
        pairs = {
            "count": ("at_work", "companies"),
            "jobs": ("jobs_at_work", "jobs"),
            "sales": ("sales_at_work", "sales"),
        }
        return pd.DataFrame({name: 100 * sums[a] / sums[b] for name, (a, b) in pairs.items()})


def score(companies: int, seed: int) -> dict[str, float]:
    """Compare the estimate with the truth: the final path, and what was said at each publication."""
    world = Deliveries(companies, seed)
    begin = time.perf_counter()
    baseline = world.baseline()
    fitted = time.perf_counter()
    final = world.estimate(LAST, baseline)
    done = time.perf_counter()
    span = slice(pd.Timestamp(FIRST), pd.Timestamp(final.reference_date))
    truth = world.shares().loc[span]
    path = final.frame.loc[span]
    error = path["resumed"] - truth["count"]
    inside = (path["resumed_lower"] <= truth["count"]) & (truth["count"] <= path["resumed_upper"])
    cells = _cells(world, final, span)
    said = [_said(world, world.estimate(day, baseline)) for day in PUBLICATIONS]
    turn = final.turning_point.day
    calm = final.frame["resumed"].loc[pd.Timestamp(COHORT) - pd.Timedelta(days=10) : pd.Timestamp(HOLIDAY[0]) - DAY]
    before = (calm - world.shares()["count"].reindex(calm.index)).abs()
    return {
        "seed": seed, "mae": float(error.abs().mean()), "bias": float(error.mean()),
        "worst": float(error.abs().max()), "coverage": float(inside.mean()),
        "cell_mae": float(cells["error"].abs().mean()), "cell_coverage": float(cells["inside"].mean()),
        **{f"{w}_mae": _weighted(world, final, span, w) for w in ("jobs", "sales")},
        "said_mae": float(np.mean([abs(e) for e, _ in said])),
        "said_coverage": float(np.mean([i for _, i in said])),
        "turning_days": float("nan") if turn is None else float((turn - world.turning).days),
        "weekday_spread": weekday_spread(error), "before_worst": float(before.max()),
        "naive_mae": float((path["uncorrected"] - truth["count"]).abs().mean()),
        "fit_s": fitted - begin, "estimate_s": done - fitted,
    }  # fmt: skip


def weekday_spread(error: pd.Series) -> float:
    """Return the range of the weekday means of an error about its weekly mean, points."""
    residual = (error - error.rolling(7, center=True).mean()).dropna()
    means = residual.groupby(pd.DatetimeIndex(residual.index).day_of_week).mean()
    return float(means.max() - means.min())


def _said(world: Deliveries, result: ResumptionResult) -> tuple[float, bool]:
    """Return the error at the reference date, and whether the interval held the truth."""
    row = result.frame.loc[pd.Timestamp(result.reference_date)]
    true = float(world.shares()["count"].loc[pd.Timestamp(result.reference_date)])
    return float(row["resumed"]) - true, bool(row["resumed_lower"] <= true <= row["resumed_upper"])


def _cells(world: Deliveries, result: ResumptionResult, span: slice) -> pd.DataFrame:
    dims = ("region", "size_class")
    both = result.by(dims).join(world.shares(dims).reorder_levels([*dims, "date"]), how="inner")
    both = both[both.index.get_level_values("date") >= span.start]
    inside = (both["resumed_lower"] <= both["count"]) & (both["count"] <= both["resumed_upper"])
    return pd.DataFrame({"error": both["resumed"] - both["count"], "inside": inside})


def _weighted(world: Deliveries, result: ResumptionResult, span: slice, weight: str) -> float:
    own = result.national(weight=weight).loc[span, "resumed"]
    return float((own - world.shares()[weight].loc[span]).abs().mean())


def run(size: int | None = None) -> dict[str, Any]:
    """Score one world of `size` companies; there is no peer."""
    size = size or 2_000
    result = score(size, 0)
    return {
        "case": "resumption", "size": size, "ours_s": result["fit_s"] + result["estimate_s"], "peer": None,
        "peer_s": None, "ratio": None, "max_abs_diff": None, **result,
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
