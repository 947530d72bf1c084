"""How good the factor model would have been: US GDP in pseudo real time, and on the New York Fed's true vintages.

Pseudo real time: 14 monthly series of the FRED-MD cut of 2023 and GDP of FRED-QD, as revised since; each series known a
month late, two of them two months; a nowcast at the end of each quarter, re-estimated each time; errors against GDP as
it stands in that cut. Coverage also at the ends of the quarter's first and second month and of the month after it. True
vintages: 45 days of summer 2016 in the New York Fed's own blocks, against the first figure in the real-time database of
US GDP (quarterly vintages: its first figure may be a later estimate than the advance one). Errors are in points at an
annual rate; an AR(1) on GDP is the yardstick.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.nowcast import BacktestResult, DynamicFactorModel, Robust, backtest
from opsroom.measure.nowcast.frbny import read_vintages

MONTHLY = (
    "INDPRO", "PAYEMS", "UNRATE", "HOUST", "RPI", "DPCERA3M086SBEA", "CMRMTSPLx", "RETAILx", "AWHMAN", "CLAIMSx",
    "PERMIT", "AMDMNOx", "BUSINVx", "CUMFNS",
)  # fmt: skip
LATE = ("CMRMTSPLx", "BUSINVx", "AMDMNOx")
"""Known two months late."""

LEVELS = ("UNRATE", "AWHMAN", "CUMFNS")
"""Taken in changes; all others grow."""

CRISIS = tuple(f"2020-{month:02d}" for month in range(3, 9))
HORIZONS = {"month 1": -2, "month 2": -1, "month after": 1}
"""Ends of months at which coverage of 2000-2019 is told, too: months from the quarter's last one."""

SPANS = {
    "2000-2019": ("2000-Q1", "2019-Q4"), "2007Q4-2009Q4": ("2007-Q4", "2009-Q4"),
    "2021Q2-2023Q3": ("2021-Q2", "2023-Q3"),
}  # fmt: skip


def folder() -> Path:
    """Return the folder of real data; the case needs it."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "nowcast"


def run(size: int | None = None) -> dict[str, Any]:
    """Score the models; `size` is the number of the last quarters of 2000-2023 (all 95)."""
    here = folder()
    out: dict[str, Any] = {"case": "nowcast-accuracy", "peer": "AR(1)"}
    begun = time.process_time()
    panels, outcomes = pseudo(here)
    models = {
        "gaussian": DynamicFactorModel(factors=1, factor_order=2),
        "robust": DynamicFactorModel(factors=1, factor_order=2, robust=Robust(crisis=CRISIS)),
        "volatility": DynamicFactorModel(factors=1, factor_order=2, robust=Robust(crisis=CRISIS, volatility="walk")),
        "volatility alone": DynamicFactorModel(factors=1, factor_order=2, robust=Robust(volatility="walk")),
        "volatility and drift": DynamicFactorModel(
            factors=1, factor_order=2, robust=Robust(crisis=CRISIS, volatility="walk", drift=25.0)
        ),
        "ar2": DynamicFactorModel(factors=1, factor_order=2, idiosyncratic="ar2"),
        "ar2 robust": DynamicFactorModel(factors=1, factor_order=2, idiosyncratic="ar2", robust=Robust(crisis=CRISIS)),
    }
    kept = dict(list(panels.items())[-(size or len(panels)) :])
    found = backtest(kept, "GDPC1", models, outcomes=outcomes)
    out["pseudo_cpu_s"] = round(time.process_time() - begun, 1)
    for name, span in SPANS.items():
        out |= {f"{name} {key}": value for key, value in told(found, *span).items()}
    begun = time.process_time()
    told_also = {name: models[name] for name in ("gaussian", "robust", "volatility alone", "ar2")}
    for label, shift in HORIZONS.items():
        there = {day: panel for day, panel in pseudo(here, shift)[0].items() if str(day) < "2020"}
        chosen = dict(list(there.items())[-(size or len(there)) :])
        done = backtest(chosen, "GDPC1", told_also, outcomes=outcomes)
        # A month after a quarter the next one is asked for, too; this is about the one that has ended.
        frame = done.frame.sort_values("period").drop_duplicates(["day", "model"])
        done = BacktestResult(done.target, done.release, frame, done.refused, done.known)
        out |= {f"2000-2019 {label} {key}": value for key, value in told(done, "2000-Q1", "2019-Q4").items()}
    out["horizons_cpu_s"] = round(time.process_time() - begun, 1)
    begun = time.process_time()
    true = read_vintages(here, start="2000-01")
    first = first_growth(here, [pd.Period("2016Q2", "Q"), pd.Period("2016Q3", "Q")])
    real = backtest(true.panels, "GDPC1", {"blocks": DynamicFactorModel(blocks=true.blocks)}, outcomes=first)
    out["vintages_cpu_s"] = round(time.process_time() - begun, 1)
    begun = time.process_time()
    peer = backtest(true.panels, "GDPC1", {"statsmodels": Peer(true.blocks)}, outcomes=first).frame
    out["vintages_peer_cpu_s"] = round(time.process_time() - begun, 1)
    frame = pd.concat([real.frame, peer[peer["model"] == "statsmodels"]], ignore_index=True)
    real = BacktestResult(real.target, real.release, frame, real.refused, real.known)
    out |= {f"vintages outcome {period}": round(value, 2) for period, value in first.items()}
    out |= {f"vintages {key}": value for key, value in told(real, "2016-Q2", "2016-Q3").items()}
    ours, peer = out["2000-2019 robust rmse"], out["2000-2019 AR(1) rmse"]
    return {
        **out,
        "size": len(kept),
        "ours_s": None,
        "peer_s": None,
        "ratio": round(ours / peer, 3),
        "max_abs_diff": None,
    }


class Peer:
    """Statsmodels' `DynamicFactorMQ` in the same blocks, learnt on the first vintage; later ones are read with that.

    Begun from the parameters of the vintage before, its search took as many steps as from nothing: a minute a vintage.
    Its nowcast is the smoothed one; the default of its predictions leaves the quarter's last month out.
    """

    def __init__(self, blocks: Mapping[str, Sequence[str]]) -> None:
        """Give the blocks of each series."""
        self.blocks = blocks
        self.panel: Any = None
        self.fitted: Any = None

    def __call__(
        self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: pd.Period
    ) -> SimpleNamespace:
        """Return mean and standard deviation of the target in a quarter."""
        from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

        if self.panel is not monthly:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of steps that do not rise
                if self.fitted is None:
                    names = (*monthly.columns, *quarterly.columns)
                    model = DynamicFactorMQ(
                        monthly, endog_quarterly=quarterly, factors={name: list(self.blocks[name]) for name in names},
                        idiosyncratic_ar1=True,
                    )  # fmt: skip
                    self.fitted = model.fit(maxiter=500, tolerance=1e-6, disp=False)
                else:
                    self.fitted = self.fitted.apply(monthly, endog_quarterly=quarterly, retain_standardization=True)
            self.panel = monthly
        last = period.asfreq("M", how="E")
        said = self.fitted.get_prediction(end=last, information_set="smoothed")
        variance = said.var_pred_mean
        where = said.predicted_mean.index.get_loc(last)
        at = list(said.predicted_mean.columns).index(target)
        spread = variance[where, at] if np.ndim(variance) == 2 else variance[where][at, at]
        return SimpleNamespace(mean=float(said.predicted_mean.loc[last, target]), sd=float(np.sqrt(spread)))


def pseudo(
    here: Path, shift: int = 0
) -> tuple[dict[pd.Timestamp, tuple[pd.DataFrame, pd.DataFrame]], dict[str, float]]:
    """Return the panels at the end of each quarter from 2000 on (`shift` months later), and GDP growth as in the cut.

    GDP of the quarter before is known at all of these days.
    """
    monthly = _periods(pd.read_parquet(here / "fred_md_vintage_bvar_2023.parquet"), "M")
    quarterly = _periods(pd.read_parquet(here / "fred_qd_vintage_bvar_2023.parquet"), "Q")
    growth = 400 * np.log(quarterly[["GDPC1"]]).diff()
    table = pd.DataFrame({name: _stationary(monthly[name], name) for name in MONTHLY})
    panels = {}
    for quarter in pd.period_range("2000Q1", "2023Q3", freq="Q"):
        last = quarter.asfreq("M", how="E") + shift
        known = table.loc["1985-01" : str(last - 1)].copy()
        known.loc[str(last - 1) :, list(LATE)] = np.nan
        panels[last.end_time.normalize()] = known, growth.loc["1985Q1" : str(quarter - 1)]
    return panels, {f"{q.year}-Q{q.quarter}": float(v) for q, v in growth["GDPC1"].dropna().items()}


def first_growth(here: Path, quarters: list[pd.Period]) -> dict[str, float]:
    """Return US GDP growth at an annual rate, per cent, in the first vintage that has each quarter."""
    table = pd.read_parquet(here / "gdp_realtime_us_che.parquet")
    table = table[table["id"].str.startswith("US")].sort_values(["pub_date", "time"])
    found = {}
    for quarter in quarters:
        for _, own in table.groupby("pub_date"):
            level = own.set_index(pd.PeriodIndex(pd.to_datetime(own["time"]), freq="Q"))["value"]
            if quarter in level.index:
                found[f"{quarter.year}-Q{quarter.quarter}"] = float(
                    100 * ((level[quarter] / level[quarter - 1]) ** 4 - 1)
                )
                break
    return found


def told(result: BacktestResult, first: str, last: str) -> dict[str, Any]:
    """Return RMSE, ratio to the AR(1) and coverage of each model over a span of quarters."""
    frame = result.frame[(result.frame["period"] >= first) & (result.frame["period"] <= last)]
    if frame.empty:
        return {}
    table = BacktestResult(result.target, result.release, frame, result.refused).scores().set_index("model")
    found: dict[str, Any] = {"quarters": int(table["quarters"].iloc[0])}
    for name, row in table.iterrows():
        found |= {f"{name} {key}": round(float(row[key]), 3) for key in ("rmse", "ratio", "cover68", "cover90")}
    return found


def _stationary(levels: pd.Series, name: str) -> pd.Series:
    if name in LEVELS:
        return levels.diff()
    return (100 * np.log(levels)).diff()


def _periods(table: pd.DataFrame, frequency: str) -> pd.DataFrame:
    dates = next(c for c in table.columns if c.lower() in ("date", "sasdate"))
    return table.set_index(pd.PeriodIndex(pd.to_datetime(table[dates]), freq=frequency)).drop(columns=dates)
