"""Relief: 50,000 companies × 100 draws × 12 months × 4 options, compiled, beside the NumPy twin."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd

from opsroom.decide.relief import deadline, relief
from opsroom.decide.relief.kernel import first_shortfall, first_shortfall_numpy

DAY = dt.date(2020, 3, 4)
OPTIONS = ("none", "holiday_interest", "holiday_principal", "holiday_both")
_TWIN = 2_000


def run(size: int | None = None) -> dict[str, Any]:
    """Run a relief study, and compare its recursion with the twin in plain NumPy on some of the companies.

    Parameters
    ----------
    size
        Companies; 50,000 by default.

    Returns
    -------
    dict
        Case, size, seconds of the whole study (``ours_s``) and of the recursion alone; the twin's seconds
        scaled to the same size (``peer_s``), their ratio, and the largest difference, which must be 0.
    """
    n = size or 50_000
    firms = _firms(n)
    relief(firms.iloc[:200], options=OPTIONS, as_of=DAY)  # compile
    start = time.perf_counter()
    study = relief(firms, options=OPTIONS, as_of=DAY)
    whole = time.perf_counter() - start
    start = time.perf_counter()
    found = first_shortfall(study.problem)
    alone = time.perf_counter() - start
    some = study.problem.rows(np.arange(min(_TWIN, n)))
    start = time.perf_counter()
    twin = first_shortfall_numpy(some)
    peer = (time.perf_counter() - start) * n / len(some.liquid)
    start = time.perf_counter()
    deadline(study)
    last = time.perf_counter() - start
    gap = int(np.abs(found.months[:, : len(some.liquid)].astype(np.int64) - twin.months).max())
    return {
        "case": "relief",
        "size": n,
        "draws": study.basis.draws,
        "months": study.basis.horizon,
        "options": len(OPTIONS),
        "ours_s": round(whole, 3),
        "recursion_s": round(alone, 3),
        "deadline_s": round(last, 3),
        "peer": "NumPy twin of the recursion, scaled",
        "peer_s": round(peer, 3),
        "ratio": round(peer / alone, 1),
        "max_abs_diff": gap,
    }


def _firms(n: int) -> pd.DataFrame:
    """Return companies of plausible proportions, drawn at random."""
    r = np.random.default_rng(0)
    sales = r.lognormal(14.5, 1.2, n).astype(np.int64)
    materials = r.uniform(0.3, 0.6, n)
    margin = sales * (1 - materials)
    loan = r.random(n) < 0.6
    owed = np.where(loan, sales * r.uniform(1, 10, n), 0).astype(np.int64)
    return pd.DataFrame(
        {
            "enterprise_id": np.arange(n),
            "group_id": np.arange(n),
            "section": r.choice(list("ABCDEFGHIJKLMNOPQRSTU"), n),
            "region": "R01",
            "size_class": r.choice(["micro", "small", "medium", "large"], n, p=[0.8, 0.15, 0.04, 0.01]),
            "employees": 1 + sales // 300_000,
            "cash": (sales * r.exponential(1.0, n)).astype(np.int64),
            "undrawn_credit": (sales * r.exponential(0.3, n) * loan).astype(np.int64),
            "fixed_costs": (margin * 0.25).astype(np.int64),
            "wage_bill": (margin * 0.55).astype(np.int64),
            "materials_ppm": (materials * 1e6).astype(np.int64),
            "sales_normal": sales,
            "sales_now": (sales * r.beta(3, 2, n)).astype(np.int64),
            "tax_due": (margin * 0.05).astype(np.int64),
            "interest_due": (owed * 0.004).astype(np.int64),
            "principal_due": (owed * 0.02).astype(np.int64),
            "outstanding": owed,
            "days_past_due": 0,
            "forborne": False,
            "secured_ppm": r.integers(0, 900_000, n),
            "guarantee_ppm": r.choice([0, 500_000], n),
            "lender_id": 1,
            "rate_bp": 480,
        }
    )
