"""The backtest over vintages: no look ahead, explicit target, scores with known answers, confidence set."""

from __future__ import annotations

import inspect
import operator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from opsroom.base.errors import UsageError
from opsroom.base.scores import diebold_mariano
from opsroom.measure.nowcast import BacktestResult, DynamicFactorModel, backtest
from opsroom.measure.nowcast.dfm.results import quantiles
from opsroom.measure.nowcast.dfm.scoring import confidence_set


def vintages(*, months: int = 96, revised: float = 0.3) -> dict[pd.Timestamp, tuple[pd.DataFrame, pd.DataFrame]]:
    """Ten vintages, one a month: five monthly series known with a month's delay; growth first out a month after
    the quarter, revised by `revised` a month later."""
    rng = np.random.default_rng(3)
    f = np.zeros(months + 4)
    for t in range(1, len(f)):
        f[t] = 0.8 * f[t - 1] + rng.normal()
    index = pd.period_range("2010-01", periods=months, freq="M")
    x = pd.DataFrame(f[4:, None] + 0.8 * rng.normal(size=(months, 5)), index=index, columns=list("abcde"))
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : months + 4 - lag] for lag in range(5)) / 9
    y = pd.Series(
        growth[2::3] + 0.2 * rng.normal(size=months // 3),
        index=pd.period_range("2010Q1", periods=months // 3, freq="Q"),
    )
    out = {}
    for month in index[-10:]:
        table = y[y.index.asfreq("M", how="end") < month].copy()
        fresh = table.index.asfreq("M", how="end") < month - 1
        table[fresh] += revised
        out[month.end_time.normalize()] = (x[x.index < month], table.to_frame("gdp"))
    return out


VINTAGES = vintages()


@dataclass(frozen=True)
class Said:
    mean: float
    sd: float


def constant(monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: pd.Period) -> Said:
    return Said(0.0, 1.0)


def test_a_factor_model_beats_the_autoregression_and_the_target_is_explicit(tmp_path: Path) -> None:
    models = {"factor": DynamicFactorModel(), "nothing": constant}
    first = backtest(VINTAGES, "gdp", models, cache=tmp_path)
    scores = first.scores().set_index("model")
    assert set(scores.index) == {"AR(1)", "factor", "nothing"}
    assert scores.loc["factor", "ratio"] < 0.7
    assert scores.loc["AR(1)", "ratio"] == 1.0
    assert first.refused == ()
    known = first.frame.dropna(subset=["outcome"])
    nothing = known[known["model"] == "nothing"]
    assert scores.loc["nothing", "rmse"] == pytest.approx(np.sqrt((nothing["outcome"] ** 2).mean()))
    assert len(list(tmp_path.glob("*.pkl"))) == 1
    pd.testing.assert_frame_equal(backtest(VINTAGES, "gdp", models, cache=tmp_path).frame, first.frame)
    second = backtest(VINTAGES, "gdp", {"nothing": constant}, release="second").frame
    both = second.merge(nothing, on=["day", "model", "period"]).dropna(subset=["outcome_x"])
    assert len(both)
    np.testing.assert_allclose(both["outcome_x"] - both["outcome_y"], 0.3)
    latest = backtest(VINTAGES, "gdp", {"nothing": constant}, release="latest").frame
    newest = VINTAGES[max(VINTAGES)][1]["gdp"]
    for row in latest.dropna(subset=["outcome"]).itertuples():
        assert row.outcome == newest[pd.Period(str(row.period).replace("-", ""), freq="Q")]
    assert "first release" in first.summary()
    assert set(first.confidence_set()["model"]) == {"AR(1)", "factor", "nothing"}
    assert "layer" in first.chart().to_dict()
    with pytest.raises(UsageError):
        backtest({}, "gdp", {})
    with pytest.raises(UsageError):
        backtest(VINTAGES, "gdp", {"AR(1)": constant})


def test_nothing_that_came_later_changes_an_earlier_nowcast() -> None:
    """Poisoned later vintages: every earlier row, quantiles included, stays; outcomes of them excepted."""
    days = sorted(VINTAGES)
    cut = days[6]
    poisoned = {day: (m * 9.0, q + 50.0) if day > cut else (m, q) for day, (m, q) in VINTAGES.items()}
    kept = ["day", "model", "period", "mean", "sd", "q05", "q50", "q95", "basis"]
    a, b = (
        backtest({d: v[d] for d in days[3:8]}, "gdp", {"factor": DynamicFactorModel()}).frame
        for v in (VINTAGES, poisoned)
    )
    a, b = (t.loc[t["day"] <= cut, kept].reset_index(drop=True) for t in (a, b))
    pd.testing.assert_frame_equal(a, b)


def test_confidence_set_keeps_equals_and_drops_the_worse() -> None:
    rng = np.random.default_rng(0)
    inside = np.zeros(3)
    for trial in range(40):
        losses = rng.normal(size=(80, 3)) ** 2
        losses[:, 2] += 1.0
        inside += confidence_set(losses, seed=trial, draws=300) >= 0.1
    assert inside[0] > 33
    assert inside[1] > 33
    assert inside[2] < 5
    assert np.all(confidence_set(rng.normal(size=(2, 3)), seed=0) == 1.0)


@pytest.mark.parametrize("ahead", [0, 1])
def test_the_test_against_the_benchmark_has_the_bandwidth_of_the_horizon(ahead: int) -> None:
    """Nowcasts of one, and of two quarters beyond the last figure known."""
    quarters = pd.period_range("2005Q1", periods=40, freq="Q")
    rng = np.random.default_rng(5)
    growth = pd.DataFrame({"gdp": np.convolve(rng.normal(size=43), [1.0, 0.8, 0.6, 0.4], mode="valid")}, index=quarters)
    months = pd.DataFrame({"x": 0.0}, index=pd.period_range("2005-01", periods=120, freq="M"))
    kept = {
        quarter.end_time.normalize(): (months[months.index < quarter.asfreq("M")], growth[growth.index < quarter])
        for quarter in quarters[12:]
    }
    outcomes = {f"{q.year}-Q{q.quarter}": float(v) for q, v in growth["gdp"].items()}
    done = backtest(kept, "gdp", {"nothing": constant}, outcomes=outcomes, ahead=ahead)
    frame = done.frame.assign(loss=done.frame["error"] ** 2).dropna(subset=["outcome"])
    loss = frame.pivot_table(index="period", columns="model", values="loss")
    expected = diebold_mariano(loss["nothing"], loss["AR(1)"], horizon=1 + ahead).p_value
    scores = done.scores().set_index("model")
    assert scores.loc["nothing", "dm_p"] == pytest.approx(expected, abs=1e-12)
    other = diebold_mariano(loss["nothing"], loss["AR(1)"], horizon=2 - ahead).p_value
    assert abs(expected - other) > 1e-3


def test_functions_that_tell_no_parameters_see_months_and_quarters() -> None:
    two = dict(list(VINTAGES.items())[:2])
    models = {
        "partial": partial(constant),
        "named by place": lambda monthly, quarterly, target, period, /: Said(0.0, 1.0),
        "any": lambda *given, **more: Said(float(len(given) + 10 * len(more)), 1.0),
        "compiled": operator.itemgetter(0),  # without a signature; not called with one argument, as its error shows
    }
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(models["compiled"])
    frame = backtest(two, "gdp", {name: models[name] for name in ("partial", "named by place", "any")}).frame
    assert set(frame.loc[frame["model"] == "any", "mean"]) == {4.0}
    with pytest.raises(TypeError, match="itemgetter expected 1 argument, got 4"):
        backtest(two, "gdp", {"compiled": models["compiled"]})


@dataclass(frozen=True)
class Unsure:
    """A model that has nothing to say of 2017."""

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: pd.Period) -> Said:
        return Said(float("nan") if period.year == 2017 and period.quarter < 4 else 1.0, 1.0)


def test_slips_are_named_and_what_is_not_finite_is_refused() -> None:
    two = dict(list(VINTAGES.items())[:2])
    for models, more in (
        ({"m": constant}, {"target": "gnp"}),
        ({"m": 3}, {}),
        ([constant], {}),
        ({"m": constant}, {"release": "third"}),
        ({"m": constant}, {"ahead": -1}),
        ({"m": lambda *given: Said(0.0, 1.0)}, {"workers": 2}),
    ):
        with pytest.raises(UsageError):
            backtest(two, models=models, **{"target": "gdp", **more})  # type: ignore[arg-type]  # slips
    found = backtest(VINTAGES, "gdp", {"unsure": Unsure(), "sure": constant})
    assert {(name, code) for _, name, code in found.refused} == {("unsure", "OPS-M113")}
    said = found.frame[found.frame["model"] == "unsure"]
    assert 0 < len(said) < len(found.frame[found.frame["model"] == "sure"])
    assert np.isfinite(found.frame[["mean", "sd"]].to_numpy()).all()
    with pytest.raises(UsageError, match="no nowcast has an outcome"):
        backtest(two, "gdp", {"m": constant}, outcomes={}).chart()


def test_half_a_file_in_the_cache_is_computed_anew(tmp_path: Path) -> None:
    models = {"unsure": Unsure()}
    frame = backtest(VINTAGES, "gdp", models, cache=tmp_path).frame
    (kept,) = tmp_path.glob("*")
    whole = kept.read_bytes()
    for left in (whole[:40], b""):
        kept.write_bytes(left)
        pd.testing.assert_frame_equal(backtest(VINTAGES, "gdp", models, cache=tmp_path).frame, frame)
        assert kept.read_bytes() == whole
        assert list(tmp_path.glob("*")) == [kept]


def test_calibration_tells_too_wide_from_too_narrow_and_counts_a_quarter_once() -> None:
    rng = np.random.default_rng(8)
    rows = []
    for k in range(400):
        for model, width in (("right", 1.0), ("wide", 3.0), ("narrow", 0.3)):
            quarter, pit = f"{1900 + k // 4}-Q{k % 4 + 1}", float(norm.cdf(rng.normal() / width))
            copies = 7 if k == 0 else 1
            rows += [{"day": d, "period": quarter, "model": model, "outcome": 0.0, "pit": pit} for d in range(copies)]
    result = BacktestResult("gdp", "first", pd.DataFrame(rows), ())
    table = result.calibration().set_index("model")
    assert list(table.columns) == [0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    np.testing.assert_allclose(table.loc["right"], 0.2, atol=0.06)
    assert table.loc["wide", 0.6] > 0.4 > 0.03 > table.loc["wide", 1.0]
    assert table.loc["narrow", 1.0] > 0.35
    once = pd.DataFrame(rows).drop_duplicates(["period", "model"])
    alone = BacktestResult("gdp", "first", once, ()).calibration()
    pd.testing.assert_frame_equal(result.calibration(), alone)
    with pytest.raises(UsageError, match="bins"):
        result.calibration(bins=1)


@dataclass(frozen=True)
class Nearing:
    """The farther the quarter's end, the farther off: by 0.1 a day."""

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: pd.Period) -> Said:
        return Said(0.1 * (period.end_time - monthly.index[-1].end_time).days + 0.01 * len(monthly), 1.0)


def test_bands_rest_on_errors_made_at_the_nearest_distance() -> None:
    """Vintages ten days apart: of each past quarter the error of the same distance counts, not one that knew more."""
    months = pd.period_range("2000-01", periods=120, freq="M")
    quarters = pd.period_range("2000Q1", periods=40, freq="Q")
    x, y = pd.DataFrame({"x": 0.0}, index=months), pd.DataFrame({"gdp": np.arange(40.0) % 3}, index=quarters)
    days = pd.date_range("2006-01-05", "2009-12-20", freq="10D")
    kept = {
        day: (x[x.index < pd.Period(day, freq="M")], y[y.index.end_time + pd.Timedelta(days=30) < day]) for day in days
    }
    frame = backtest(kept, "gdp", {"nearing": Nearing()}).frame
    own = frame[frame["model"] == "nearing"].reset_index(drop=True)
    now = own.iloc[-1]
    told = {str(q).replace("Q", "-Q") for q in kept[days[-1]][1].index}
    errors = []
    for quarter, rows in own[(own["day"] < now["day"]) & own["period"].isin(told)].groupby("period"):
        near = rows[(rows["days_left"] - now["days_left"]).abs() <= 20]
        away = (near["days_left"] - now["days_left"]).abs()
        if len(near) and quarter in set(own.loc[own["outcome"].notna(), "period"]):
            errors.append(abs(float(near.loc[away == away.min(), "error"].iloc[-1])))
    assert now["past"] == len(errors) > 8
    history = pd.DataFrame({"error": errors, "sd": 1.0, "shock": False})
    expected, _, _ = quantiles(now["mean"], 1.0, shock=False, history=history)
    assert now["q95"] == pytest.approx(expected[0.95])
    assert now["q16"] == pytest.approx(expected[0.16])
