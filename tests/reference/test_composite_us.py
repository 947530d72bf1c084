"""The composite index of the United States beside what was published.

Inputs: Opportunity Insights (weekly and daily, from 2020), EIA load, FRED-MD (monthly, as revised), GDP by vintages.
Publication lags are assumed. First-release growth of GDP on four quarters before was -9.1 % in 2020-Q2; WEI as
published in July 2020 had its trough of -11.5 % in the week of 20 April, the OECD tracker of -13.0 % in that of
30 March. The table that `python -m bench composite` prints stands in docs/methods/composite.md.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.measure.composite import CompositeResult, Settings, composite

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def case(checkout: Path) -> Any:
    """The bench case, which knows the files."""
    spec = importlib.util.spec_from_file_location("bench_composite", checkout / "bench" / "composite.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _made(case: Any, data: Path, day: dt.date, start: str, *, output: bool = True) -> CompositeResult:
    panel, inputs = case.us_panel(data, start=start)
    settings = Settings(output=output)
    return composite(panel, target="gdp", inputs=inputs, as_of=day, base=case.BASE, settings=settings)


@pytest.mark.long
@pytest.mark.parametrize(("start", "output"), [("2010", False), ("2000", True)])
def test_the_spring_of_2020_was_seen_before_its_gdp(case: Any, shared_data: Path, start: str, output: bool) -> None:
    """On 27 June 2020, a month before the first release of -9.1 %; of known output with the panel from 2000 alone."""
    made = _made(case, shared_data, dt.date(2020, 6, 27), start, output=output)
    second = made.quarters.loc[pd.Period("2020Q2")]
    assert pd.isna(second["known"])
    assert second["implied"] < -5
    assert second["told"] < -5
    assert second["lower"] < -9.1 < second["upper"]
    spring = made.frame["2020-02-17":"2020-06-15"]
    assert pd.Timestamp("2020-03-16") <= spring["growth"].idxmin() <= pd.Timestamp("2020-04-27")
    assert (spring["level_upper"] - spring["level_lower"]).iloc[-1] > 4 * (
        spring["level_upper"] - spring["level_lower"]
    ).iloc[0]
    theirs = case.beside(made.frame["growth"], case.published(shared_data)["WEI, weekly"])
    assert theirs["mean_distance"] < 4
    assert theirs["their_trough"] == ["2020-04-20", -11.5]
    assert made.basis == "vintages and lags"


@pytest.mark.long
def test_a_year_later_growth_is_a_matter_of_the_base(case: Any, shared_data: Path) -> None:
    made = _made(case, shared_data, dt.date(2021, 6, 30), "2000")
    april = made.frame.loc["2021-04-12"]
    assert april["growth"] > 7
    assert april["base_effect"]
    assert -4 < april["level"] < 2
    for quarter, known in (("2020Q3", -2.8), ("2020Q4", -2.4), ("2021Q1", 0.4)):
        assert made.quarters.loc[pd.Period(quarter), "implied"] == pytest.approx(known, abs=1.5)
        assert made.quarters.loc[pd.Period(quarter), "told"] == pytest.approx(known, abs=0.1)
    # What GDP has told since of the spring of 2020 is in the weeks.
    assert made.quarters.loc[pd.Period("2020Q2"), "implied"] > -7
    assert made.frame.loc["2020-04-06":"2020-06-22", "growth"].mean() == pytest.approx(-9.0, abs=0.7)
    assert made.scaling.explained > 0.8
