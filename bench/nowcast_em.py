"""The factor model's learning on panels of FRED-MD's size: CPU seconds an iteration and a whole fit, with peers.

``python -m bench nowcast-em --json`` measures opsroom and statsmodels in one run; ``--peer PYTHON`` names an
interpreter that has NowcastBox; ``--large`` adds 500 series. ``weekly_s`` is an iteration on a grid of weeks: drawn
data of 20 years, 10 weekly, 20 monthly and one quarterly series, two factors; ``daily_s`` with 10 daily series
besides and one factor. Data of the others: the FRED-MD vintage of 2019-09 with four series of
FRED-QD where the folder of real data is found (``OPSROOM_SHARED_DATA``), else drawn in the same shape. CPU time, as
machines are shared; the ratios within one run are what counts.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.nowcast import DynamicFactorModel, read_fred
from opsroom.measure.nowcast.dfm.begin import begin
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.moments import moments
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters
from opsroom.measure.nowcast.dfm.smooth import Cells, smooth
from opsroom.measure.nowcast.dfm.step import maximise
from opsroom.measure.nowcast.fine.grid import gather as gather_fine
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import lay_out as lay_out_fine
from opsroom.measure.nowcast.fine.step import FinePanel

FACTORS = 3
QUARTERLY = ("GDPC1", "PCECC96", "GPDIC1", "EXPGSC1")


def run(size: int | None = None, *, large: bool = False, peer: str | None = None) -> dict[str, Any]:
    """Time an EM iteration and a fit; `size` is the number of monthly series of the large case (500)."""
    monthly, quarterly, source = panel()
    out: dict[str, Any] = {"case": "nowcast-em", "data": source, "peer": "statsmodels DynamicFactorMQ"}
    cases = [
        ("ar1_quarterly", monthly, quarterly, "ar1"),
        ("iid_monthly", monthly, None, "iid"),
    ]
    if large or size:
        cases.append(("iid_large", drawn(len(monthly), size or 500), None, "iid"))
    for name, m, q, kind in cases:
        out[f"{name}_shape"] = f"{len(m)} x {m.shape[1]}" + ("" if q is None else f" + {q.shape[1]} quarterly")
        ours = own_iteration(m, q, kind)
        theirs, gap = statsmodels_iteration(m, q, kind)
        out[f"{name}_s"], out[f"{name}_peer_s"], out[f"{name}_ratio"] = ours, theirs, theirs / ours
        out[f"{name}_loglike_gap"] = gap
    out["weekly_s"], out["daily_s"] = fine_iteration({"W": 10}, 2, 8), fine_iteration({"W": 10, "D": 10}, 1, 2)
    begun = time.process_time()
    fitted = DynamicFactorModel(factors=FACTORS).fit(monthly, quarterly)
    out["fit_s"] = time.process_time() - begun
    report = fitted.report
    out["fit_steps"], out["fit_loglike"] = (report.steps, report.objective) if report else (0, np.nan)
    out["nowcastbox_s"] = nowcastbox_iteration(monthly, quarterly, peer) if peer else "absent"
    if peer:
        out["nowcastbox_ratio"] = out["nowcastbox_s"] / out["ar1_quarterly_s"]
    out["ours_s"], out["peer_s"] = out["ar1_quarterly_s"], out["ar1_quarterly_peer_s"]
    out["ratio"], out["max_abs_diff"] = out["ar1_quarterly_ratio"], out["ar1_quarterly_loglike_gap"]
    return {key: round(value, 5) if isinstance(value, float) and value > 1e-4 else value for key, value in out.items()}


def own_iteration(monthly: pd.DataFrame, quarterly: pd.DataFrame | None, kind: str) -> float:
    """Return CPU seconds of one EM iteration, mean of eight after one that compiles."""
    from opsroom.measure.nowcast.dfm.grid import gather

    grid = gather(monthly, quarterly)
    center, scale = np.nanmean(grid.values, axis=0), np.nanstd(grid.values, axis=0, ddof=1)
    values = (grid.values - center) / scale
    block = FactorBlock(tuple(range(FACTORS)), 1)
    names = tuple(f"f{k}" for k in range(FACTORS))
    loads = np.ones((values.shape[1], FACTORS), dtype=bool)
    p = begin(
        values, names=grid.names, monthly=grid.monthly, factor_names=names, blocks=(block,), loads=loads,
        center=center, scale=scale, own_order=int(kind == "ar1"),
    )  # fmt: skip
    cells = Cells.of(lay_out(values, grid.monthly, FACTORS, 1, own_order=int(kind == "ar1")))

    def step() -> None:
        nonlocal p
        p = maximise(cells, moments(cells, smooth(cells, p)), p)

    step()
    return timed(step, 8)


def fine_iteration(short: dict[str, int], factors: int, times: int) -> float:
    """Return CPU seconds of one EM iteration on weeks or days, mean of some after one that compiles.

    `short` says how many series of short frequencies stand beside 20 monthly ones and a quarterly one.
    """
    rng = np.random.default_rng(3)
    tables: dict[str, pd.DataFrame | None] = {}
    for frequency, count in {"Q": 1, "M": 20, **short}.items():
        pandas = {"D": "D", "W": "W-SUN", "M": "M", "Q": "Q-DEC"}[frequency]
        index = pd.period_range("2000-01-03", "2019-12-29", freq=pandas)
        table = pd.DataFrame(rng.normal(size=(len(index), count)), index=index)
        tables[frequency] = table.set_axis([f"{frequency}{k}" for k in range(count)], axis=1)
    grid = gather_fine(tables)
    n = len(grid.names)
    p: FactorParameters = FineParameters(
        grid.names, 20, tuple(f"f{k}" for k in range(factors)), (FactorBlock(tuple(range(factors)), 1),),
        np.ones((n, factors), dtype=bool), rng.normal(size=(n, factors)), 0.8 * np.eye(factors), np.eye(factors),
        np.full(n, 0.2), np.ones(n), np.zeros(n), np.ones(n), base=grid.base, frequencies=grid.frequencies,
        levels=grid.levels,
    )  # fmt: skip
    data = FinePanel(lay_out_fine(grid, grid.values, factors, 1, chained=True))

    def step() -> None:
        nonlocal p
        p = data.improve(data.smooth(p), p)

    step()
    return timed(step, times)


def statsmodels_iteration(monthly: pd.DataFrame, quarterly: pd.DataFrame | None, kind: str) -> tuple[float, float]:
    """Return CPU seconds of one EM iteration of the peer, and how far our likelihood is from its own, relatively."""
    from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

    from opsroom.measure.nowcast import from_statsmodels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DynamicFactorMQ(
            monthly, endog_quarterly=quarterly, factors=FACTORS, factor_multiplicities=None, factor_orders=1,
            idiosyncratic_ar1=kind == "ar1",
        )  # fmt: skip
        params = np.zeros(model.k_params)
        at = model._p
        rng = np.random.default_rng(0)
        params[at["loadings"]] = 0.3 * rng.normal(size=len(params[at["loadings"]]))
        params[at["factor_ar"]] = [0.5 if k % (FACTORS + 1) == 0 else 0.0 for k in range(len(params[at["factor_ar"]]))]
        params[at["factor_cov"]] = np.ones(len(params[at["factor_cov"]]))
        if kind == "ar1":
            params[at["idiosyncratic_ar1"]] = 0.3
        params[at["idiosyncratic_var"]] = 0.7
        model.update(params)
        peer = model.loglike(params)
        results = type("Given", (), {"model": model, "params": params})
        gap = abs(from_statsmodels(results).loglike / peer - 1.0)
        return timed(lambda: model._em_iteration(params), 1), gap


def timed(what: Callable[[], Any], times: int) -> float:
    """Return CPU seconds a call."""
    begun = time.process_time()
    for _ in range(times):
        what()
    return (time.process_time() - begun) / times


_PEER = """
import json, sys, time, warnings
import pandas as pd
warnings.simplefilter("ignore")
from nowcastbox.core.data import MixedFrequencyData
from nowcastbox.models import MixedFreqDFM
monthly, quarterly = pd.read_pickle(sys.argv[1])
data = MixedFrequencyData.from_series({name: table[name].dropna() for table in (monthly, quarterly) for name in table})
def fit(count):
    begun = time.process_time()
    MixedFreqDFM(n_factors=3, idiosyncratic="ar1", max_iter=count, tol=0.0).fit(data, target=quarterly.columns[0])
    return time.process_time() - begun
fit(1)
print(json.dumps((fit(4) - fit(1)) / 3.0))
"""


def nowcastbox_iteration(monthly: pd.DataFrame, quarterly: pd.DataFrame | None, python: str) -> float:
    """Return CPU seconds of one EM iteration of NowcastBox, from two fits of different length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.pkl"
        path.write_bytes(pickle.dumps((monthly, quarterly)))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [python, "-c", _PEER, str(path)], check=True, capture_output=True, text=True, env=environment
        )
    return float(json.loads(done.stdout.splitlines()[-1]))


def drawn(months: int, series: int) -> pd.DataFrame:
    """Draw a monthly panel with three factors, a ragged end and late starters."""
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(months, FACTORS))
    for t in range(1, months):
        factors[t] += 0.6 * factors[t - 1]
    values = factors @ rng.normal(size=(FACTORS, series)) + rng.normal(size=(months, series))
    values[:200, : series // 12] = np.nan
    values[-1, series // 5 : series // 2] = np.nan
    index = pd.period_range("1960-01", periods=months, freq="M")
    return pd.DataFrame(values, index=index, columns=[f"m{i}" for i in range(series)])


def panel() -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return monthly and quarterly data and where they are from."""
    folder = Path(os.environ.get("OPSROOM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    monthly_file, quarterly_file = (
        folder / "nowcast" / name for name in ("fred_md_vintage_2019-09.csv", "fred_qd_vintage_bvar_2023.parquet")
    )
    if not (monthly_file.is_file() and quarterly_file.is_file()):
        monthly = drawn(716, 128)
        rng = np.random.default_rng(2)
        index = pd.period_range("1960Q2", periods=237, freq="Q")
        return monthly, pd.DataFrame(rng.normal(size=(237, 4)), index=index, columns=list(QUARTERLY)), "drawn"
    monthly = read_fred(monthly_file).stationary()
    monthly = monthly[monthly.index >= pd.Period("1960-01", freq="M")]
    quarters = pd.read_parquet(quarterly_file).set_index("date")[list(QUARTERLY)]
    quarters.index = pd.PeriodIndex(pd.to_datetime(quarters.index), freq="Q")
    growth = 100.0 * (quarters / quarters.shift(1) - 1.0)
    inside = (growth.index >= pd.Period("1960Q1", freq="Q")) & (growth.index <= pd.Period("2019Q2", freq="Q"))
    return monthly, growth[inside], "FRED-MD 2019-09, FRED-QD"
