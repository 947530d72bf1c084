"""Weekly claims, employment and postings in one fit with monthly and quarterly US data; and a fit on days. Long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.measure.nowcast import DynamicFactorModel, stationary
from opsroom.measure.nowcast.fine.grid import gather

pytestmark = pytest.mark.long

MONTHLY = {
    "INDPRO": 5, "PAYEMS": 5, "UNRATE": 2, "RPI": 5, "DPCERA3M086SBEA": 5, "CMRMTSPLx": 5, "RETAILx": 5, "MANEMP": 5,
    "CUMFNS": 2, "USTPU": 5, "CLAIMSx": 5,
}  # fmt: skip


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return monthly, quarterly and weekly growth in per cent (differences of rates), revised data."""
    nowcast = folder / "nowcast"
    months = pd.read_parquet(nowcast / "fred_md_vintage_bvar_2023.parquet").set_index("date")
    quarters = pd.read_parquet(nowcast / "fred_qd_vintage_bvar_2023.parquet").set_index("date")
    months.index = pd.PeriodIndex(pd.to_datetime(months.index), freq="M")
    quarters.index = pd.PeriodIndex(pd.to_datetime(quarters.index), freq="Q")
    x = stationary(months[list(MONTHLY)], MONTHLY) * [100.0 if code == 5 else 1.0 for code in MONTHLY.values()]
    growth = (400.0 * np.log(quarters[["GDPC1"]]).diff())["1990Q1":]
    claims = weekly(
        nowcast / "oi_ui_claims_national_weekly.csv", ["initclaims_count_regular", "contclaims_count_regular"]
    )
    levels = pd.concat(
        [
            np.log(claims),
            np.log1p(weekly(nowcast / "oi_employment_national_weekly.csv", ["emp"])),
            np.log1p(weekly(nowcast / "oi_job_postings_national_weekly.csv", ["bg_posts"])),
        ],
        axis=1,
    )
    w = 100.0 * levels.diff()
    return x["1990-01":], growth, w[:"2023-09-30"]


def weekly(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a file of weeks by their last day."""
    raw = pd.read_csv(path, na_values=".")
    ends = pd.to_datetime({"year": raw["year"], "month": raw["month"], "day": raw["day_endofweek"]})
    return raw[columns].astype(float).set_axis(pd.PeriodIndex(ends, freq="W-SUN"), axis=0)


def test_weeks_of_april_2020_show_the_fall_of_payrolls_before_the_month_is_out(shared_data: Path) -> None:
    """Parameters with hindsight, data as of three weeks into the month: what the weeks add, not a real-time record."""
    x, growth, w = tables(shared_data)
    known = {"M": x[:"2020-02"], "Q": growth[:"2019Q4"]}
    outcome = float(x.loc["2020-04", "PAYEMS"])
    assert outcome < -14.0
    found = {}
    for robust in (None, "student"):
        fitted = DynamicFactorModel(robust=robust).fit(x, growth, weekly=w)
        for until in ("2020-03-22", "2020-04-19"):
            here = fitted.updated(gather(known | {"W": w[:until]}, like=fitted.grid))
            found[robust, until] = here.nowcast("PAYEMS", "2020-04", parameter_uncertainty=False)
    without, with_weeks = found[None, "2020-03-22"], found[None, "2020-04-19"]
    assert abs(with_weeks.mean - outcome) < 0.5 * abs(without.mean - outcome)
    assert with_weeks.sd < 0.75 * without.sd
    assert abs(found["student", "2020-04-19"].mean - outcome) < 1.5


def test_a_model_of_days_is_learnt_and_follows_its_factor() -> None:
    rng = np.random.default_rng(2)
    days = pd.period_range("2015-01-01", "2019-12-31", freq="D")
    f = np.zeros(len(days))
    for t in range(1, len(f)):
        f[t] = 0.97 * f[t - 1] + rng.normal()
    daily = pd.DataFrame({f"d{k}": 0.3 * f + 2.0 * rng.normal(size=len(f)) for k in range(4)}, index=days)
    daily[rng.random(daily.shape) < 0.3] = np.nan  # weekends and worse
    level = pd.Series(np.cumsum(f), index=days)
    monthly_level = level.groupby(days.asfreq("M")).mean()
    monthly = pd.DataFrame({"m0": monthly_level.diff().iloc[1:]})
    monthly["m0"] += 0.3 * monthly["m0"].std() * rng.normal(size=len(monthly))
    quarterly = pd.DataFrame({"q0": level.groupby(days.asfreq("Q-DEC")).mean().diff().iloc[1:]})
    quarterly["q0"] += 0.1 * quarterly["q0"].std() * rng.normal(size=len(quarterly))
    fitted = DynamicFactorModel().fit(monthly[:-1], quarterly[:-1], daily=daily)
    assert fitted.parameters.transition[0, 0] == pytest.approx(0.97, abs=0.015)
    factor = fitted.factors()["factor1"].reindex(days)
    closeness = abs(factor.corr(pd.Series(f, index=days)))
    assert closeness > daily.mean(axis=1).corr(pd.Series(f, index=days)) + 0.1  # the series' average of the day
    assert closeness > 0.88
    found = fitted.nowcast("q0", "2019-Q4", parameter_uncertainty=False)
    assert abs(found.mean - float(quarterly["q0"].iloc[-1])) < 3.0 * found.sd
    assert found.sd < 0.25 * quarterly["q0"].std()
