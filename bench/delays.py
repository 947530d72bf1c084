"""Delay nowcasts against the truth: synthetic worlds of another make than the model, and Meridia's register of ends.

Coverage of the 90 % interval and mean CRPS, of totals and of sectors, for the hierarchical model, the over-dispersed
and the plain chain ladder, on the same days. The long tests hold the same worlds to bounds.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pandas as pd
from tests.delay_worlds import DELAY, day, late_reports, register_of_deaths

from opsroom.measure.delays import rehearse_delays

METHODS = ("hierarchical", "odp", "chain-ladder")
WAVE = (dt.date(2020, 6, 1), dt.date(2020, 8, 31))
"""Meridia's wave of failures."""


def run(size: int | None = None, *, large: bool = False) -> dict[str, Any]:
    """Score the models on `size` worlds (40); `large` adds Meridia's register at 20,000 companies."""
    worlds = size or 40
    begun = time.process_time()
    frame = pd.concat(
        rehearse_delays(
            late_reports(seed), as_of=[day(62), day(75), day(88)], max_delay=DELAY, period="day", key="id",
            by="sector", deleted="dead",
        )
        for seed in range(100, 100 + worlds)
    )  # fmt: skip
    out: dict[str, Any] = {"case": "delays", "size": worlds, "peer": "chain ladder"}
    out |= {"ours_s": round(time.process_time() - begun, 1), "peer_s": None, "ratio": None, "max_abs_diff": None}
    out |= told(frame, "worlds")
    if large:
        days = [dt.date(2019, 3, 4) + dt.timedelta(weeks=6 * k) for k in range(14)]
        records, _ = register_of_deaths(20_000, seed=1)
        ends = rehearse_delays(
            records, as_of=days, max_delay=20, period="died", key=["enterprise_id", "valid_from"], by="section",
            frequency="W",
        )  # fmt: skip
        out |= told(ends, "meridia")
        inside = pd.to_datetime(ends["as_of"]).dt.date.between(*WAVE)
        out |= told(ends[inside], "meridia in the wave")
    return out


def told(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return coverage (per cent) and mean CRPS by method, of totals and of sectors."""
    found: dict[str, Any] = {}
    for method in METHODS:
        own = frame[frame["method"] == method]
        for group, part in (("total", own[own["sector"] == "_T"]), ("sectors", own[own["sector"] != "_T"])):
            found[f"{name}, {method}, {group}: coverage"] = round(100 * float(part["inside"].mean()), 1)
            found[f"{name}, {method}, {group}: crps"] = round(float(part["crps"].mean()), 2)
    return found
