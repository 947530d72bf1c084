"""The BIS credit gap as a warning of the banking crises of Laeven and Valencia (2026): noted figures.

Conventions that give them: gaps of all 44 economies (the euro area is one, without a crisis of its own) from the 41st
quarter; economies matched by name, where only the Czech Republic is called otherwise (its crisis lies before its first
gap); a crisis year begins with its first quarter and ends with its last; a quarter is 1 if a crisis starts 5 to 12
quarters later, left out 1 to 4 quarters before a start and until the crisis's end, nothing after it; labels end 12
quarters before the data do, in 2022-Q4. The source of the figures is an evaluation made apart from this code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.warn.credit_gap import credit_gap
from opsroom.warn.early_warning import Rule, auroc, confusion, evaluate, label

RULE = Rule(horizon=(5, 12), after=0)


@pytest.mark.shared_data
def test_noted_figures_are_reproduced(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "risk" / "bis_credit_to_gdp_2025Q4.csv")
    crises = pd.read_csv(shared_data / "risk" / "banking_crises_laeven_valencia_2026.csv")
    crises["country"] = crises["country"].replace({"Czech Republic": "Czechia"})
    panel = table[["country", "quarter"]].assign(
        gap=pd.concat([credit_gap(one["ratio"]).gap for _, one in table.groupby("iso2")])
    )
    found = evaluate(panel, crises, indicator="gap", rule=RULE, draws=200)
    assert (found.sample.quarters, found.sample.positives) == (6_439, 265)
    assert found.sample.crises == 34
    assert found.sample.last == "2022-Q4"
    assert round(found.auroc, 3) == 0.651
    assert round(found.partial_auroc, 3) == 0.617
    # 0.57 to 0.71 from other draws: the ends of an interval of 200 draws move by a few hundredths.
    assert found.auroc_interval == pytest.approx((0.57, 0.71), abs=0.03)
    best = found.thresholds.iloc[0]
    assert round(best["relative_usefulness"], 3) == 0.213
    assert round(best["threshold"], 1) == 4.8
    known = label(panel["country"], panel["quarter"], crises, rule=RULE).value
    rates = {10.0: (0.31, 0.16, 0.52), 2.0: (0.63, 0.44, 0.70)}
    for threshold, expected in rates.items():
        counts = confusion(panel["gap"], known, threshold)
        assert tuple(np.round([counts.tpr, counts.fpr, counts.noise_to_signal], 2)) == expected
    without = (table["iso2"] != "XM").to_numpy()
    assert round(auroc(panel["gap"][without], known[without]), 3) == 0.649
