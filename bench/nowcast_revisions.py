"""How good the model of revisions would have been: GDP of the United States and Switzerland, in true time.

Each quarter's vintage from the real-time database (Indergand and Leist; quarterly vintages of 2002 to 2024): the
triangle as it stood, the model learnt anew, and the newest quarter's value three years after its end forecast from its
first release. Beside it: the first release itself, and the first release plus the mean of the revisions known by then.
Errors in points at an annual rate (400 times the difference of logarithms).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base import scores
from opsroom.base.errors import FitError
from opsroom.measure.nowcast import RevisionModel, release_triangle

KINDS = ("jacobs-van-norden", "kishor-koenig")
SPANS = {"to 2019Q4": "2019Q4", "all": "2024Q4"}


def run(size: int | None = None) -> dict[str, Any]:
    """Score both models; `size` is the number of the last vintages (all 89)."""
    out: dict[str, Any] = {"case": "nowcast-revisions", "peer": "the first release"}
    begun = time.process_time()
    for country in ("US", "CHE"):
        table = vintages(country)
        latest = release_triangle(table, transform="chg")
        gap = (latest["latest"] - latest["first"])[:"2019Q4"].dropna()
        out[f"{country} root mean square revision to 2019Q4"] = round(float(np.sqrt((gap**2).mean())), 3)
        frame = replayed(table, size)
        for name, until in SPANS.items():
            out |= {f"{country} {name}: {key}": value for key, value in told(frame[:until]).items()}
    out["ours_s"] = round(time.process_time() - begun, 1)
    return out


def vintages(country: str) -> pd.DataFrame:
    """Return one country's vintages, 400 times the logarithm of GDP."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    table = pd.read_parquet(folder / "nowcast" / "gdp_realtime_us_che.parquet")
    own = table[table["id"] == country].rename(columns={"time": "period"})
    return own.assign(value=400.0 * np.log(own["value"]))


def replayed(table: pd.DataFrame, size: int | None) -> pd.DataFrame:
    """Return one row a quarter: first release, value after three years, and what was expected of it on the day."""
    final = release_triangle(table, final=36, transform="chg")["final"]
    rows = {}
    for day in sorted(table["pub_date"].unique())[-(size or 0) :]:
        known = release_triangle(table, final=36, transform="chg", as_of=day.date())
        newest = known["first"].dropna().index.max() if known["first"].notna().any() else None
        if newest is None or np.isnan(final.get(newest, np.nan)) or known.loc[newest, "second":].notna().any():
            continue
        first = float(known.loc[newest, "first"])
        row = {"first": first, "final": float(final[newest])}
        row["mean revision"] = first + float((known["final"] - known["first"]).mean())
        try:
            for kind in KINDS:
                said = RevisionModel(kind=kind).fit(known).predict(newest)
                row |= {kind: said.mean, f"{kind} low": said.quantiles[0.05], f"{kind} high": said.quantiles[0.95]}
        except FitError:
            continue
        rows[newest] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def told(frame: pd.DataFrame) -> dict[str, Any]:
    """Return RMSE by forecast, the test against the first release, and how often the 90 % band held."""
    outcome = frame["final"]
    out: dict[str, Any] = {"quarters": len(frame), "first RMSE": round(scores.rmse(frame["first"], outcome), 3)}
    base = (frame["first"] - outcome) ** 2
    for name in ("mean revision", *KINDS):
        out[f"{name} RMSE"] = round(scores.rmse(frame[name], outcome), 3)
        try:
            # The outcome is known twelve quarters on: losses are correlated that far.
            test = scores.diebold_mariano((frame[name] - outcome) ** 2, base, horizon=12, variance="cosine")
            out[f"{name} DM p"] = round(test.p_value, 3)
        except FitError as error:
            out[f"{name} DM p"] = error.code
        if name in KINDS:
            out[f"{name} 90 % band"] = round(scores.coverage(frame[f"{name} low"], frame[f"{name} high"], outcome), 3)
    return out
