"""Activity from real load: out-of-sample error and coverage in 2019, the fall of spring 2020.

Victoria: AEMO demand with Bureau of Meteorology temperatures, 2015 to 2020. Italy: ENTSO-E load, hourly,
no temperature. US48: EIA-930 demand, hourly, no temperature. What was reported of Italy: Fezzi and
Fanghella (2020) and the plain seasonal regression of the method notes put April 2020 near -20 %.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.measure.activity import ActivityResult, activity_index

pytestmark = pytest.mark.shared_data


def _out_of_sample(result: ActivityResult) -> tuple[float, float]:
    """Return residual standard deviation (log points) and coverage in 2019."""
    year = result.to_frame().loc["2019"].dropna()
    error = np.log(year["observed"] / year["expected"])
    return float(error.std()), float(((year["lower"] <= 0) & (year["upper"] >= 0)).mean())


@pytest.fixture(scope="module")
def victoria(shared_data: Path) -> pd.DataFrame:
    path = shared_data / "nowcast" / "elec_daily_victoria_2015_2020.csv"
    return pd.read_csv(path, parse_dates=["date"]).set_index("date")


@pytest.fixture(scope="module")
def italy(shared_data: Path) -> pd.Series:
    frame = pd.read_parquet(shared_data / "nowcast" / "elec_hourly_italy_2015_2020.parquet")
    return frame.set_index("time_utc")["load_mw"].tz_convert("Europe/Rome")


def test_victoria_with_temperature(victoria: pd.DataFrame) -> None:
    """Measured: sd 3.7 %, coverage 93 %; with sunshine and rain 3.5 %; without temperature 7.7 %.

    Three per cent is reached a day ahead (2.9 %), and by weeks (2.3 %), not by days a year ahead.
    """
    weather = victoria[["min_temperature", "max_temperature"]]
    place = {"country": "AU", "region": "VIC"}
    train = [("2015-01-01", "2018-12-31")]
    made = activity_index(victoria["demand"], temperature=weather, train=train, **place)
    sd, coverage = _out_of_sample(made)
    assert sd < 0.039
    assert 0.85 <= coverage <= 0.95
    more = victoria[["min_temperature", "max_temperature", "solar_exposure", "rainfall"]].ffill()
    richer = activity_index(victoria["demand"], temperature=more, train=train, **place)
    assert _out_of_sample(richer)[0] < 0.037
    assert richer.fits["next_day_sd"].iloc[0] < 0.03
    error = np.log(richer.level()["level"].loc["2019"] / 100)
    assert error.rolling(7).mean().iloc[6::7].std() < 0.026
    bare, _ = _out_of_sample(activity_index(victoria["demand"], train=train, **place))
    assert sd < 0.6 * bare


def test_victorias_total_load_hides_the_shock(victoria: pd.DataFrame) -> None:
    """Households at home offset companies: the total's fall in April 2020 is a few per cent."""
    weather = victoria[["min_temperature", "max_temperature"]]
    train = [("2015-01-01", "2019-12-31")]
    made = activity_index(victoria["demand"], temperature=weather, country="AU", region="VIC", train=train)
    april = made.span("2020-04-01", "2020-04-30")
    assert -7 < april["gap"] < 2
    assert april["lower"] < april["gap"] < april["upper"]


def test_italy_in_april_2020(italy: pd.Series) -> None:
    """Measured without temperature: sd 5.0 %, coverage 87 %; April 2020 -19 % (-22 to -15)."""
    sd, coverage = _out_of_sample(activity_index(italy, country="IT", train=[("2015-01-01", "2018-12-31")]))
    assert sd < 0.06
    assert 0.85 <= coverage <= 0.95
    made = activity_index(italy, country="IT", train=[("2015-01-01", "2019-12-31")])
    april = made.span("2020-04-01", "2020-04-30")
    assert april["gap"] == pytest.approx(-20.8, abs=3)
    assert april["lower"] < -20 < april["upper"]


def test_us48_with_its_gaps_and_outliers(shared_data: Path) -> None:
    """Measured without temperature: sd 4.9 %, coverage 90 %; April 2020 -7 %."""
    frame = pd.read_parquet(shared_data / "nowcast" / "elec_hourly_us48_2015_2021.parquet")
    demand = frame[frame["type"] == "demand"].set_index("time_utc")["mwh"].tz_convert("America/Chicago")
    demand = demand.where(demand > 0)
    sd, coverage = _out_of_sample(activity_index(demand, country="US", train=[("2015-07-02", "2018-12-31")]))
    assert sd < 0.06
    assert 0.85 <= coverage <= 0.96
