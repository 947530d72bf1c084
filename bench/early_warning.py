"""Early warning on real data: the BIS credit gap against the banking crises of Laeven and Valencia, and 44 gaps timed.

Needs the folder of real data beside the checkout, or ``OPSROOM_SHARED_DATA``. The conventions are those of
`tests/reference/test_early_warning_bis.py`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.warn.credit_gap import credit_gap
from opsroom.warn.early_warning import Rule, auroc, confusion, evaluate, label, recursive

RULE = Rule(horizon=(5, 12), after=0)
NAMES = {"Czech Republic": "Czechia"}
"""Names of economies in the table of crises → in the panel, where they differ."""


def panel_and_crises(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return gaps of 44 economies and the table of crises, economies named alike."""
    table = pd.read_csv(folder / "risk" / "bis_credit_to_gdp_2025Q4.csv")
    crises = pd.read_csv(folder / "risk" / "banking_crises_laeven_valencia_2026.csv")
    gaps = [credit_gap(one["ratio"]).gap for _, one in table.groupby("iso2")]
    panel = table[["iso2", "country", "quarter"]].assign(gap=pd.concat(gaps))
    return panel, crises.assign(country=crises["country"].replace(NAMES))


def run(size: int | None = None, *, large: bool = False) -> dict[str, Any]:
    """Print the evaluation with `size` draws (1,999); `large` adds recursive forecasts."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    draws = size or 1_999
    out: dict[str, Any] = {"case": "early_warning", "size": draws, "peer": "published and noted figures"}
    out |= {"ours_s": None, "peer_s": None, "ratio": None, "max_abs_diff": None}
    if not folder.is_dir():
        return out | {"peer": "absent: the folder of real data is not beside the checkout"}
    table = pd.read_csv(folder / "risk" / "bis_credit_to_gdp_2025Q4.csv")
    series = [one["ratio"] for _, one in table.groupby("iso2")]
    credit_gap(series[0])  # compiles
    begun = time.process_time()
    found = [credit_gap(ratio) for ratio in series]
    out["44 gaps_s"] = round(time.process_time() - begun, 4)
    official = np.concatenate([one["gap"].to_numpy() for _, one in table.groupby("iso2")])
    out["max_abs_diff"] = float(np.nanmax(np.abs(np.concatenate([f.gap.to_numpy() for f in found]) - official)))
    panel, crises = panel_and_crises(folder)
    begun = time.process_time()
    result = evaluate(panel, crises, indicator="gap", rule=RULE, draws=draws)
    out["ours_s"] = round(time.process_time() - begun, 2)
    sample, best = result.sample, result.thresholds.iloc[0]
    out |= {
        "quarters": sample.quarters, "positives": sample.positives, "crises": sample.crises,
        "auroc": round(result.auroc, 4), "auroc 90 %": [round(x, 3) for x in result.auroc_interval],
        "pauroc 0.5": round(result.partial_auroc, 4),
        "pauroc 90 %": [round(x, 3) for x in result.partial_auroc_interval],
        "best threshold": round(float(best["threshold"]), 2),
        "relative usefulness": round(float(best["relative_usefulness"]), 4),
    }  # fmt: skip
    known = label(panel["country"], panel["quarter"], crises, rule=RULE).value
    without = panel["iso2"] != "XM"
    out["auroc without euro area"] = round(auroc(panel["gap"][without], known[without]), 4)
    for threshold in (10.0, 2.0):
        counts = confusion(panel["gap"], known, threshold)
        out[f"gap > {threshold:g}"] = {
            "tpr": round(counts.tpr, 3), "fpr": round(counts.fpr, 3), "nts": round(counts.noise_to_signal, 3),
        }  # fmt: skip
    if large:
        past = recursive(panel, crises, predictors=["gap"], first="1990-Q1", rule=Rule(after=0, dating_delay=4))
        out["recursive from 1990"] = past.summary()
    return out
