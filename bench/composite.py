"""The composite index of the United States, as it could have been known, beside what others published.

Weekly and daily inputs of 2020 and later (Opportunity Insights, EIA load), monthly ones with a long history (FRED-MD,
as revised since), GDP by vintages. Publication lags are assumed, so this is pseudo real time. What is scored: growth of
GDP on four quarters before against its first release, with an AR(1) of the vintage's own quarterly growth as yardstick
and what the inputs say without GDP's known quarters beside it;
the trough of spring 2020; the band's width on the days on which it was needed; the distance from published indices.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base import scores
from opsroom.measure.composite import CompositeResult, Input, composite

BASE = (dt.date(2020, 1, 6), dt.date(2020, 2, 16))
LAST = dt.date(2021, 6, 30)
MONTHLY = {
    "PAYEMS": ("log", 7), "INDPRO": ("log", 16), "RETAILx": ("log", 15), "W875RX1": ("log", 30),
    "DPCERA3M086SBEA": ("log", 30), "HOUST": ("log", 18), "UMCSENTx": ("linear", 0), "CMRMTSPLx": ("log", 60),
}  # fmt: skip
WEEKS = slice("2020-02-17", "2020-07-13")


def folder() -> Path:
    """Return the folder of real data; the case needs it."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def us_panel(data: Path, *, start: str = "2000") -> tuple[pd.DataFrame, list[Input]]:
    """Return the panel of the United States and its inputs.

    Parameters
    ----------
    data
        The folder of real data.
    start
        First year of the monthly series.
    """
    here = data / "nowcast"
    pieces: list[pd.DataFrame] = []
    inputs: list[Input] = []

    def add(name: str, series: pd.Series, frequency: str | None = None) -> None:
        series = series.dropna()
        pieces.append(
            pd.DataFrame(
                {
                    "series": name, "period": series.index, "value": series.to_numpy(float), "frequency": frequency,
                    "known_at": pd.NaT,
                }
            )
        )  # fmt: skip

    month = pd.read_parquet(here / "fred_md_vintage_bvar_2023.parquet")
    month.index = pd.DatetimeIndex(pd.to_datetime(month["date"].astype(str).str[:7]))
    claims = _read(here / "oi_ui_claims_national_weekly.csv", "day_endofweek")
    # weekly claims begin in 2020; their history is the monthly mean
    add("claims", month.loc[start:"2019-12", "CLAIMSx"], "M")
    add("claims", claims["initclaims_count_regular"], "W")
    inputs.append(Input("claims", "W", "log", "year", lag_days=5, title="Initial claims"))
    add("continued", claims["contclaims_rate_regular"])
    inputs.append(Input("continued", "W", "log", "level", lag_days=12, title="Continued claims"))
    # the daily file holds means of the seven days before: Sunday's is that of the week
    spending = _read(here / "oi_affinity_national_daily.csv", "day")["spend_all"].dropna()
    add("spending", 1 + spending[spending.index.day_of_week == 6])
    inputs.append(Input("spending", "W", "log", "level", lag_days=6, title="Card spending"))
    add("mobility", 100 * _read(here / "oi_google_mobility_national_daily.csv", "day")["gps_away_from_home"])
    inputs.append(Input("mobility", "D", "linear", "level", lag_days=3, title="Time away from home"))
    for name, file, column, lag, title in (
        ("postings", "oi_job_postings_national_weekly.csv", "bg_posts", 6, "Job postings"),
        ("small_business", "oi_womply_national_weekly.csv", "revenue_all", 8, "Small businesses' revenue"),
        ("employment", "oi_employment_national_weekly.csv", "emp", 30, "Payroll employment, weekly"),
    ):
        add(name, 1 + _read(here / file, "day_endofweek")[column])
        inputs.append(Input(name, "W", "log", "level", lag_days=lag, title=title))
    add("load", _load(here / "elec_hourly_us48_2015_2021.parquet"))
    inputs.append(Input("load", "D", "log", "year", lag_days=3, title="Electricity load, lower 48"))
    for name, (scale, lag) in MONTHLY.items():
        add(name, month.loc[start:, name])
        inputs.append(Input(name, "M", scale, "year", lag_days=lag))
    gdp = pd.read_parquet(here / "gdp_realtime_us_che.parquet")
    gdp = gdp[(gdp["id"] == "US") & (gdp["time"] >= f"{int(start) - 2}-01-01")]
    known = gdp["pub_date"] + pd.Timedelta(days=30)  # a vintage is dated by its quarter; the release is a month later
    pieces.append(
        pd.DataFrame(
            {"series": "gdp", "period": gdp["time"], "value": gdp["value"], "frequency": "Q", "known_at": known}
        )
    )
    inputs.append(Input("gdp", "Q", title="GDP"))
    return pd.concat(pieces, ignore_index=True), inputs


def _read(path: Path, day: str) -> pd.DataFrame:
    frame = pd.read_csv(path, na_values=".")
    frame.index = pd.DatetimeIndex(pd.to_datetime({"year": frame.year, "month": frame.month, "day": frame[day]}))
    return frame


def _load(path: Path) -> pd.Series:
    frame = pd.read_parquet(path)
    hourly = frame[frame["type"] == "demand"].set_index("time_utc")["mwh"].tz_convert("America/Chicago")
    hourly = hourly.where(hourly.between(2e5, 8e5))  # the raw file has zeros and spikes
    daily = hourly.groupby(hourly.index.tz_localize(None).normalize()).agg(["mean", "count"])
    return daily["mean"].where(daily["count"] >= 22)


def published(data: Path) -> dict[str, pd.Series]:
    """Return WEI (weekly as published in 2020, monthly means) and the OECD tracker, by Monday or month start."""
    here = data / "nowcast"
    weekly = pd.read_csv(here / "wei_published_2020-02_2020-07.csv")
    monthly = pd.read_csv(here / "wei_monthly_mean_2019_2022.csv")
    oecd = pd.read_parquet(here / "oecd_weekly_tracker_23_countries.parquet")
    oecd = oecd[oecd["country"] == "United States"]
    tracker = pd.Series(oecd["Tracker (yoy)"].to_numpy(), index=pd.DatetimeIndex(oecd["date"]) - pd.Timedelta(days=6))
    return {
        "WEI, weekly": pd.Series(weekly["WEI"].to_numpy(), index=pd.DatetimeIndex(pd.to_datetime(weekly["Date"]))),
        "WEI, monthly": pd.Series(monthly["WEI"].to_numpy(), index=pd.DatetimeIndex(pd.to_datetime(monthly["DATE"]))),
        "OECD": tracker.sort_index(),
    }


def beside(ours: pd.Series, other: pd.Series) -> dict[str, Any]:
    """Compare two weekly series over the weeks of both: distance, troughs, and whether their steps go together."""
    both = pd.concat([ours, other], axis=1, keys=["ours", "other"]).dropna()
    steps = both.diff().dropna()
    return {
        "periods": len(both),
        "mean_distance": round(float((both["ours"] - both["other"]).abs().mean()), 2),
        "trough": [f"{both['ours'].idxmin():%Y-%m-%d}", round(float(both["ours"].min()), 1)],
        "their_trough": [f"{both['other'].idxmin():%Y-%m-%d}", round(float(both["other"].min()), 1)],
        "correlation_of_steps": round(float(steps["ours"].corr(steps["other"])), 2),
    }


def first_releases(panel: pd.DataFrame) -> pd.Series:
    """Return growth on four quarters before in the first vintage that has a quarter, per cent."""
    gdp = panel[panel["series"] == "gdp"]
    out = {}
    for known, vintage in gdp.groupby("known_at"):
        level = vintage.set_index("period")["value"].sort_index()
        if len(level) > 4:
            out[level.index[-1].to_period("Q")] = (100 * (level.iloc[-1] / level.iloc[-5] - 1), known)
    return pd.Series({q: growth for q, (growth, _) in out.items()}).sort_index()


def yardstick(panel: pd.DataFrame, as_of: dt.date, quarter: pd.Period) -> float:
    """Return growth on four quarters before by an AR(1) of the quarterly growth known on a day, per cent."""
    gdp = panel[(panel["series"] == "gdp") & (panel["known_at"] <= pd.Timestamp(as_of))]
    level = gdp[gdp["known_at"] == gdp["known_at"].max()].set_index("period")["value"].sort_index()
    growth = (100 * np.log(level)).diff().dropna()
    y, x = growth.to_numpy()[1:], np.column_stack([np.ones(len(growth) - 1), growth.to_numpy()[:-1]])
    constant, slope = np.linalg.lstsq(x, y, rcond=None)[0]
    path, last = growth, growth.index[-1].to_period("Q")
    while last < quarter:
        last += 1
        path = pd.concat([path, pd.Series([constant + slope * path.iloc[-1]], index=[last.start_time])])
    return float(100 * np.expm1(path.iloc[-4:].sum() / 100))


def out_of_sample(
    panel: pd.DataFrame, make: Callable[[dt.date], CompositeResult], quarters: Sequence[pd.Period]
) -> pd.DataFrame:
    """Tell each quarter four weeks after its end, before its first release."""
    outcome = first_releases(panel)
    rows = []
    for quarter in quarters:
        as_of = (quarter.end_time + pd.Timedelta(days=28)).date()
        result = make(as_of)
        told = result.quarters.loc[quarter]
        rows.append(
            {
                "quarter": str(quarter), "outcome": outcome[quarter], "index": told["told"],
                "lower": told["lower"], "upper": told["upper"], "inputs": told["implied"],
                "ar1": yardstick(panel, as_of, quarter),
            }
        )  # fmt: skip
    return pd.DataFrame(rows).set_index("quarter")


def score(told: pd.DataFrame) -> dict[str, Any]:
    """Return errors and coverage of a table that `out_of_sample` made."""
    out: dict[str, Any] = {"quarters": len(told)}
    for name in ("index", "inputs", "ar1"):
        out[f"rmse_{name}"] = round(scores.rmse(told[name], told["outcome"]), 2)
    out["coverage_90"] = round(scores.coverage(told["lower"], told["upper"], told["outcome"]), 2)
    return out


def run(size: int | None = None) -> dict[str, Any]:
    """Make the index on every Saturday of spring 2020 and four weeks after each quarter's end.

    Parameters
    ----------
    size
        Every how many quarters of 2010 to 2019 are told; all where absent. A fit takes seconds.
    """
    data = folder()
    if not (data / "nowcast").is_dir():
        return {"case": "composite", "size": size, "peer": "absent: no folder of real data"}
    begin = time.process_time()
    panel, inputs = us_panel(data)

    def make(as_of: dt.date) -> CompositeResult:
        base = BASE if as_of > BASE[1] else None
        return composite(panel, target="gdp", inputs=inputs, as_of=as_of, base=base)

    late = make(LAST)
    ours = late.to_frame()
    theirs = published(data)
    monthly = ours["growth"].groupby(ours.index.to_period("M").to_timestamp()).mean()
    days = [d.date() for d in pd.date_range("2020-03-14", "2020-08-01", freq="7D")]
    real = {day: make(day) for day in days}
    live = pd.DataFrame(
        {
            day: {
                "week": f"{r.frame.index[-1]:%Y-%m-%d}", **r.frame.iloc[-1][["growth", "growth_lower", "growth_upper"]],
                "final": float(ours["growth"].get(r.frame.index[-1], np.nan)),
                "level": r.frame["level"].iloc[-1], "unconfirmed": len(r.unconfirmed),
            }
            for day, r in real.items()
        }
    ).T  # fmt: skip
    number = live[["growth", "growth_lower", "growth_upper", "final"]].astype(float)
    seen = real[dt.date(2020, 7, 11)].frame["growth"][WEEKS]
    calm = out_of_sample(panel, make, list(pd.period_range("2010Q1", "2019Q4", freq="Q"))[:: size or 1])
    shock = out_of_sample(panel, make, list(pd.period_range("2020Q1", "2021Q2", freq="Q")))
    after = out_of_sample(panel, make, list(pd.period_range("2021Q3", "2023Q2", freq="Q")))
    return {
        "case": "composite",
        "size": size,
        "ours_s": round(time.process_time() - begin, 1),
        "peer": "AR(1) of GDP; WEI and OECD tracker as published",
        "gdp_2010_2019": score(calm),
        "gdp_2020Q1_2021Q2": score(shock),
        "gdp_2021Q3_2023Q2": score(after),
        "gdp_shock": shock.round(1).reset_index().to_dict("records"),
        "beside_wei_weekly": beside(ours["growth"], theirs["WEI, weekly"]),
        "beside_wei_monthly": beside(monthly, theirs["WEI, monthly"]),
        "beside_oecd": beside(ours["growth"], theirs["OECD"]["2019-05":"2021-06"]),
        "beside_oecd_2020": beside(ours["growth"], theirs["OECD"][WEEKS]),
        "trough_known_2020-07-11": [f"{seen.idxmin():%Y-%m-%d}", round(float(seen.min()), 1)],
        "real_time_coverage_of_final": round(
            scores.coverage(number["growth_lower"], number["growth_upper"], number["final"]), 2
        ),
        "real_time_width": round(float((number["growth_upper"] - number["growth_lower"]).mean()), 1),
        "real_time": live.map(lambda x: round(x, 1) if isinstance(x, float) else x)
        .rename_axis("as_of")
        .reset_index()
        .astype({"as_of": str})
        .to_dict("records"),
    }
