"""Series for the nowcast: FRED's codes and files, the choice of targeted predictors, the specification as TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, FitError, SpecError, UsageError
from opsroom.measure.nowcast import (
    DynamicFactorModel,
    Robust,
    SeriesSpec,
    backtest,
    choose_series,
    read_fred,
    read_model,
    stationary,
    targeted,
    without_outliers,
    write_model,
)
from opsroom.measure.nowcast.frbny import read_specification
from opsroom.measure.nowcast.lars import lars_order, lars_path


def test_the_codes_are_those_of_mccracken_and_ng() -> None:
    x = np.array([2.0, 3.0, 5.0, 4.0, 8.0])
    index = pd.period_range("2000-01", periods=5, freq="M")
    names = {f"c{code}": code for code in range(1, 8)}
    found = stationary(pd.DataFrame(dict.fromkeys(names, x), index=index), names)
    wanted = {
        "c1": [2, 3, 5, 4, 8],
        "c2": [np.nan, 1, 2, -1, 4],
        "c3": [np.nan, np.nan, 1, -3, 5],
        "c4": np.log(x),
        "c5": [np.nan, *(np.log(x[t] / x[t - 1]) for t in range(1, 5))],
        "c6": [np.nan, np.nan, *(np.log(x[t] * x[t - 2] / x[t - 1] ** 2) for t in range(2, 5))],
        "c7": [np.nan, np.nan, *((x[t] / x[t - 1]) - (x[t - 1] / x[t - 2]) for t in range(2, 5))],
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=1e-14, err_msg=name)
    # A hole costs what the changes need, a value that has no logarithm the whole series.
    odd = stationary(pd.DataFrame({"a": [1.0, np.nan, 2.0, 3.0], "b": [1.0, 0.0, 2.0, 3.0]}), {"a": 5, "b": 5})
    assert odd["a"].isna().tolist() == [True, True, True, False]
    assert odd["b"].isna().all()
    with pytest.raises(UsageError, match="c9"):
        stationary(pd.DataFrame({"c9": x}), {"c9": 9})
    with pytest.raises(UsageError, match="c8"):
        stationary(pd.DataFrame({"c8": x}), {})


def test_outliers_lie_ten_quartile_ranges_from_the_median() -> None:
    values = np.r_[np.arange(20.0), 9.5 + 100.0, 9.5 + 100.2]
    found = without_outliers(pd.DataFrame({"x": values, "none": np.nan}))
    low, middle, high = np.percentile(values, [25, 50, 75], method="hazen")
    assert (low, middle, high) == (5.0, 10.5, 16.0)
    assert found["x"].notna().all()
    assert without_outliers(pd.DataFrame({"x": values}), times=8.9)["x"].isna().sum() == 2
    assert found["none"].isna().all()


def test_a_fred_file_is_read_with_its_codes(tmp_path: Path) -> None:
    month = tmp_path / "md.csv"
    month.write_text("sasdate,A,B\nTransform:,5,2\n1/1/2000,100,1\n2/1/2000,101,\n3/1/2000,103,4\n,,\n")
    panel = read_fred(month)
    assert panel.codes == {"A": 5, "B": 2}
    assert str(panel.levels.index[-1]) == "2000-03"
    assert panel.stationary()["A"].iloc[1] == pytest.approx(np.log(1.01))
    quarter = tmp_path / "qd.csv"
    quarter.write_text("sasdate,A\nfactors,0\ntransform,5\n3/1/2000,100\n6/1/2000,101\n")
    assert str(read_fred(quarter).levels.index[-1]) == "2000Q2"
    for text, words in [
        ("sasdate,A\n1/1/2000,1\n", "md.csv: there is no row"),
        ("sasdate,A\nTransform:,8\n1/1/2000,1\n", "row 2, column A"),
        ("sasdate,A\nTransform:,1\n1/1/2000,x\n", "row 3, column A: not a number"),
        ("sasdate,A\nTransform:,1\nJanuary,1\n", "row 3: no date"),
        ("sasdate,A\nTransform:,1\n1/1/2000,1\n4/1/2000,1\n5/1/2000,1\n", "in a row"),
    ]:
        month.write_text(text)
        with pytest.raises(DataError, match=words):
            read_fred(month)


@pytest.mark.shared_data
def test_the_fred_md_vintage_of_2019(shared_data: Path) -> None:
    panel = read_fred(shared_data / "nowcast" / "fred_md_vintage_2019-09.csv")
    assert panel.levels.shape == (728, 128)
    found = panel.stationary()
    assert found["INDPRO"].iloc[-1] == pytest.approx(np.log(panel.levels["INDPRO"]).diff().iloc[-1])
    # Oil shocks, bank reserves and the like: some hundred values of ninety thousand.
    gone = panel.stationary(outliers=10.0).isna().sum().sum() - found.isna().sum().sum()
    assert 50 < gone < 500


def lasso(x: np.ndarray, y: np.ndarray, penalty: float, ridge: float) -> np.ndarray:
    """The elastic net by coordinate descent."""
    n = len(y)
    beta = np.zeros(x.shape[1])
    size = (x**2).sum(axis=0) / n
    for _ in range(4000):
        before = beta.copy()
        for k in range(len(beta)):
            slope = x[:, k] @ (y - x @ beta) / n + size[k] * beta[k]
            beta[k] = np.sign(slope) * max(abs(slope) - penalty, 0.0) / (size[k] + ridge)
        if np.abs(beta - before).max() < 1e-13:
            break
    return beta


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.25]))
@settings(max_examples=12)
def test_the_path_is_that_of_coordinate_descent(seed: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(30, 1))
    x = common + rng.normal(size=(30, 6))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = x @ rng.normal(size=6) + rng.normal(size=30)
    y -= y.mean()
    penalties, betas = lars_path(x, y, ridge=ridge)
    assert penalties[-1] == 0.0
    assert (np.diff(penalties) <= 0).all()
    for share in (0.7, 0.3, 0.05):
        at = share * penalties[0]
        found = np.array([np.interp(at, penalties[::-1], b[::-1]) for b in betas.T])
        np.testing.assert_allclose(found, lasso(x, y, at, ridge), atol=1e-7)


def test_a_repeated_series_comes_late_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    x[:, 2] = x[:, 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = x @ np.array([2.0, 0.5, 0.0])
    order, penalty = lars_order(x, y)
    assert order.tolist()[:2] in ([0, 1], [2, 1])
    assert penalty[0] > penalty[1]
    # With squares, the two share.
    betas = lars_path(x, y, ridge=0.25)[1]
    np.testing.assert_allclose(betas[:, 0], betas[:, 2], atol=1e-8)
    assert lars_path(x, 0.0 * y)[1].tolist() == [[0.0, 0.0, 0.0]]


def panel(quarters: int = 60, noise: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three monthly series with the factor behind growth, many without, one known too seldom."""
    rng = np.random.default_rng(1)
    months = 3 * quarters
    f = np.zeros(months + 4)
    for t in range(1, len(f)):
        f[t] = 0.7 * f[t - 1] + rng.normal()
    index = pd.period_range("2000-01", periods=months, freq="M")
    good = pd.DataFrame(f[4:, None] + 0.7 * rng.normal(size=(months, 3)), index=index, columns=["a", "b", "c"])
    bad = pd.DataFrame(rng.normal(size=(months, noise)), index=index, columns=[f"n{k}" for k in range(noise)])
    young = pd.Series(np.r_[np.full(months - 60, np.nan), f[-60:]], index=index, name="young")
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : months + 4 - lag] for lag in range(5)) / 9
    y = pd.Series(growth[2::3] + 0.2 * rng.normal(size=quarters), name="gdp")
    y.index = pd.period_range("2000Q1", periods=quarters, freq="Q")
    other = pd.Series(rng.normal(size=quarters), index=y.index, name="other")
    return pd.concat([bad, good, young], axis=1), pd.concat([other, y], axis=1)


@pytest.mark.parametrize("method", ["hard", "soft"])
def test_what_moves_with_the_target_is_chosen(method: Literal["hard", "soft"]) -> None:
    monthly, quarterly = panel()
    monthly.iloc[-2:, :5] = np.nan
    table = choose_series(monthly, quarterly, "gdp", count=3, method=method)
    assert set(table.loc[table["chosen"], "series"]) == {"a", "b", "c"}
    assert "young" not in set(table["series"])
    assert "other" in set(table["series"])
    assert table["score"].is_monotonic_decreasing
    with pytest.raises(FitError, match="15 quarters"):
        choose_series(monthly[:57], quarterly[:19], "gdp", count=3)
    with pytest.raises(UsageError, match="wages"):
        choose_series(monthly, quarterly, "wages", count=3)


def test_the_hard_score_is_a_t_statistic() -> None:
    monthly, quarterly = panel()
    table = choose_series(monthly, quarterly, "gdp", count=3, lags=2).set_index("series")
    y = quarterly["gdp"].to_numpy()
    weights = np.array([1, 2, 3, 2, 1]) / 9
    x = np.array([np.nan if q == 0 else weights @ monthly["b"].to_numpy()[3 * q - 2 : 3 * q + 3] for q in range(60)])
    design = sm.add_constant(np.column_stack([y[1:-1], y[:-2], x[2:]]))
    assert table.loc["b", "score"] == pytest.approx(abs(sm.OLS(y[2:], design).fit().tvalues[-1]), rel=1e-8)


def test_series_are_chosen_anew_on_each_vintage() -> None:
    """What later vintages hold changes nothing before: the series that lead are others there."""
    monthly, quarterly = panel(40, 4)
    days = [pd.Timestamp("2009-10-15"), pd.Timestamp("2009-11-15")]
    early = (monthly[:117], quarterly[:39])
    swapped = monthly[:118].rename(columns={"a": "n0", "n0": "a", "b": "n1", "n1": "b", "c": "n2", "n2": "c"})
    model = targeted(DynamicFactorModel(idiosyncratic="iid"), count=3)
    assert model.chosen(*early, "gdp") == ("a", "b", "c")
    assert set(model.chosen(swapped, quarterly[:39], "gdp")) == {"n0", "n1", "n2"}
    vintages = dict(zip(days, (early, (swapped, quarterly[:39])), strict=True))
    found = backtest(vintages, "gdp", {"few": model}).frame.query("model == 'few' and day == @days[0]")
    by_hand = DynamicFactorModel(idiosyncratic="iid").fit(early[0][["a", "b", "c"]], early[1][["gdp"]])
    assert found["mean"].tolist() == [by_hand.nowcast("gdp", q).mean for q in found["period"]]
    assert model.chosen(*early, "gdp") == targeted(model.model, count=3, keep=("a",)).chosen(*early, "gdp")


BLOCKS = {"a": ("Global",), "b": ("Global", 'odd "name"')}
SERIES = [
    SeriesSpec("a", title='says "so"', publication_lag_days=-13, category="Labour"),
    SeriesSpec("b", "Q", "pca", block="prices"),
]


@pytest.mark.parametrize(
    "model",
    [
        DynamicFactorModel(),
        DynamicFactorModel(factors=2, factor_order=3, idiosyncratic="iid", robust="student"),
        DynamicFactorModel(robust=Robust(tail=4.0, crisis=("2020-03", "2020-04"), drift=25.0)),
        DynamicFactorModel(blocks=BLOCKS, factors={"Global": 2, 'odd "name"': 1}, factor_order={"Global": 2}),
    ],
)
def test_a_specification_is_read_back_as_it_was_written(model: DynamicFactorModel, tmp_path: Path) -> None:
    text = write_model(model, SERIES)
    assert read_model(text) == (model, SERIES)
    file = tmp_path / "nowcast.toml"
    file.write_text(text)
    assert read_model(file) == (model, SERIES)


def test_a_wrong_specification_says_where(tmp_path: Path) -> None:
    head, one = "[nowcast]\n", '[[series]]\nname = "a"\n'
    for text, words in [
        (head, r"x.toml: there are no \[\[series\]\]"),
        ("[nowcast\n", "x.toml: not valid TOML"),
        (head + "factor = 2\n" + one, r"x.toml, \[nowcast\]: unknown key 'factor'"),
        (head + "factors = 0\n" + one, r"x.toml, \[nowcast\]: factors must be 1"),
        (head + "factors = {Real = 2}\n" + one, r"x.toml, \[nowcast\]: factors names the block 'Real'"),
        (head + "robust = {tail = 1}\n" + one, r"x.toml, \[nowcast.robust\]: degrees"),
        (head + "robust = {tails = 3}\n" + one, r"x.toml, \[nowcast.robust\]: unknown key 'tails'"),
        (head + "blocks = 3\n" + one, r"x.toml, \[nowcast\]: blocks stands with the series"),
        (head + one + 'frequency = "Y"\n', r"x.toml, \[\[series\]\] 1 \(a\): series 'a': frequency"),
        (head + one + one, r"x.toml, \[\[series\]\] 2 \(a\): name"),
        (head + one + "publication_lag_days = 1.5\n", r"\(a\): publication_lag_days has the wrong type"),
        (head + one + 'blocks = "Global"\n', r"\(a\): blocks is not a list"),
        (head + one + 'blocks = ["G"]\n[[series]]\nname = "b"\n', r"blocks is missing in \[\[series\]\] b"),
        ("[model]\n" + one, "unknown table 'model'"),
    ]:
        file = tmp_path / "x.toml"
        file.write_text(text)
        with pytest.raises(SpecError, match=words):
            read_model(file)
    with pytest.raises(UsageError, match="do not name the same: c"):
        write_model(DynamicFactorModel(blocks=BLOCKS | {"c": ("Global",)}), SERIES)


@pytest.mark.shared_data
def test_the_new_york_feds_specification_becomes_toml_and_back(shared_data: Path) -> None:
    given_spec = read_specification(shared_data / "nowcast" / "frbny_spec_us_example.csv")
    model, series = DynamicFactorModel(blocks=given_spec.blocks), given_spec.series()
    assert len(series) == 25
    assert read_model(write_model(model, series)) == (model, series)
    assert series[0] == SeriesSpec("PAYEMS", "M", "chg", category="Labor", title="Payroll Employment")
