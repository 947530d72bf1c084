"""Pools: no look ahead, weights by hand, densities of mixtures against integrals, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from opsroom.base.charts_render import spec_of
from opsroom.base.errors import UsageError
from opsroom.base.scores import crps_gaussian
from opsroom.measure.nowcast import BacktestResult, pool
from opsroom.measure.nowcast.beside.mixture import Mixture
from opsroom.measure.nowcast.beside.weights import log_score
from opsroom.measure.nowcast.dfm.backtest import as_known, learn_outcomes
from opsroom.measure.nowcast.dfm.results import LEVELS
from opsroom.measure.nowcast.dfm.scoring import scored
from opsroom.measure.nowcast.vintage import in_order

QUARTERS = pd.period_range("2010Q1", periods=24, freq="Q")


def name(quarter: pd.Period) -> str:
    return f"{quarter.year}-Q{quarter.quarter}"


def planted(
    errors: dict[str, Any], *, sd: float = 1.0, late: int = 1, distances: tuple[int, ...] = (0,)
) -> BacktestResult:
    """Nowcasts at each quarter's end (and so many days before) with planted errors; outcome q is known `late` quarters
    after it, first with 0.5 added to it, then as it is."""
    rng = np.random.default_rng(0)
    outcome = {name(q): float(v) for q, v in zip(QUARTERS, 2 * rng.normal(size=len(QUARTERS)), strict=True)}
    rows, known = [], {}
    for t, quarter in enumerate(QUARTERS):
        for left in distances:
            day = quarter.end_time.normalize() - pd.Timedelta(days=left)
            known[str(day.date())] = {
                name(q): outcome[name(q)] + (0.5 if s == t - late else 0.0)
                for s, q in enumerate(QUARTERS[: max(t - late + 1, 0)])
            }
            for model, given in errors.items():
                error = float(np.broadcast_to(np.asarray(given), len(QUARTERS))[t])
                if np.isnan(error):
                    continue
                mean, y = outcome[name(quarter)] + error * (1 + left / 100), outcome[name(quarter)]
                row = {"day": day, "model": model, "period": name(quarter), "days_left": left, "mean": mean, "sd": sd}
                row |= {"shock": False, "outcome": y, "error": mean - y, "basis": "model", "past": 0}
                row |= {f"q{100 * level:02.0f}": mean + sd * stats.norm.ppf(level) for level in LEVELS}
                rows.append(row)
    return BacktestResult("gdp", "first", scored(pd.DataFrame(rows)), (), known)


def weight(weights: pd.DataFrame, model: str, quarter: int) -> float:
    return float(
        weights[(weights["model"] == model) & (weights["period"] == name(QUARTERS[quarter]))]["weight"].iloc[0]
    )


def test_weights_by_hand() -> None:
    result = planted({"a": 0.5, "b": 1.0, "c": 2.0}, late=2)
    found = pool(result, "bates-granger", shrink=0.0)
    w = found.weights
    # Nothing is known of any outcome for two quarters, and of the first one only then.
    for quarter in (0, 1):
        assert weight(w, "a", quarter) == pytest.approx(1 / 3)
    assert list(w[w["model"] == "a"]["past"]) == [0, 0, *range(1, 23)]
    # Quarter 2: one outcome, as it was first published (0.5 too high): errors 0, 0.5 and 1.5.
    assert weight(w, "a", 2) > 0.999
    # Quarter 4: outcomes 0 and 1 as they are, 2 as first published.
    square = np.array([0.25 + 0.25 + 0.0, 1 + 1 + 0.25, 4 + 4 + 2.25])
    np.testing.assert_allclose([weight(w, m, 4) for m in "abc"], (1 / square) / (1 / square).sum())
    # Two quarters of equal weights against three of the data; older ones count half.
    shrunk = pool(result, "bates-granger", shrink=2.0).weights
    expected = (3 * (1 / square) / (1 / square).sum() + 2 / 3) / 5
    np.testing.assert_allclose([weight(shrunk, m, 4) for m in "abc"], expected)
    half = pool(result, "bates-granger", shrink=0.0, discount=0.5).weights
    square = np.array([0.25 * 0.25 + 0.25 * 0.5 + 0.0, 0.25 + 0.5 + 0.25, 1 + 2 + 2.25])
    np.testing.assert_allclose([weight(half, m, 4) for m in "abc"], (1 / square) / (1 / square).sum())
    # A quarter that tells nothing of ordinary times.
    without = pool(result, "bates-granger", shrink=0.0, without=[name(QUARTERS[0])]).weights
    square = np.array([0.25 + 0.0, 1 + 0.25, 4 + 2.25])
    np.testing.assert_allclose([weight(without, m, 4) for m in "abc"], (1 / square) / (1 / square).sum())


@pytest.mark.parametrize("rule", ["bates-granger", "log-score", "equal"])
def test_nothing_that_was_not_known_moves_weights_or_densities(rule: Any) -> None:
    """Plant one model that is right until the middle and wrong from then on; then hide, and change, what came later."""
    t = np.arange(len(QUARTERS))
    result = planted({"early": np.where(t < 12, 0.1, 6.0), "late": np.where(t < 12, 6.0, 0.1)}, late=2)
    found = pool(result, rule)
    cut = QUARTERS[13].end_time.normalize()
    if rule != "equal":
        # On the last day of quarter 13, quarter 12 (the first in which the tide had turned) was not known.
        assert weight(found.weights, "early", 13) > weight(found.weights, "early", 10) > 0.7
        assert weight(found.weights, "early", 16) < weight(found.weights, "early", 13)
    frame = result.frame.copy()
    after = frame["day"] > cut
    frame.loc[after, ["mean", "q05", "q16", "q25", "q50", "q75", "q84", "q95"]] += 30.0
    known = {day: ({q: v - 99 for q, v in told.items()} if day > str(cut.date()) else told)
             for day, told in result.known.items()}  # fmt: skip
    other = pool(replace(result, frame=frame, known=known), rule)
    kept = found.weights["day"] <= cut
    pd.testing.assert_frame_equal(found.weights[kept], other.weights[kept])
    mine, theirs = (one.to_frame()[one.to_frame()["day"] <= cut] for one in (found, other))
    pd.testing.assert_frame_equal(mine, theirs)
    # Outcomes in the frame serve scores alone: the pool does not look at them.
    blind = pool(replace(result, frame=result.frame.assign(outcome=np.nan, error=np.nan)), rule)
    pd.testing.assert_frame_equal(found.weights, blind.weights)
    np.testing.assert_array_equal(found.to_frame()["q95"], blind.to_frame()["q95"])


def test_weights_are_by_distance_and_refused_models_lose_theirs_for_the_day() -> None:
    t = np.arange(len(QUARTERS))
    result = planted({"a": 0.5, "b": np.where(t == 20, np.nan, 1.5), "c": 1.0}, distances=(70, 0))
    frame = result.frame
    # At 70 days b is the best.
    far = frame["days_left"] == 70
    shift = {"a": 4.0, "b": -2.5, "c": 4.0}
    moved = frame["model"].map(shift).where(far, 0.0)
    cells = ["mean", "q05", "q16", "q25", "q50", "q75", "q84", "q95"]
    frame = frame.assign(**{cell: frame[cell] + moved for cell in cells})
    found = pool(replace(result, frame=frame), "bates-granger").weights
    last = found[found["period"] == name(QUARTERS[-1])]
    top = last.loc[last.groupby("days_left")["weight"].idxmax()].set_index("days_left")["model"]
    assert top.to_dict() == {0: "a", 70: "b"}
    gone = found[found["period"] == name(QUARTERS[20])]
    assert set(gone["model"]) == {"a", "c"}
    np.testing.assert_allclose(found.groupby(["day", "period"])["weight"].sum(), 1.0)
    # From then on b lacks a quarter, which counts for none.
    assert found[found["period"] == name(QUARTERS[22])]["past"].iloc[-1] == 21


@pytest.mark.parametrize("rule", ["bates-granger", "log-score"])
def test_of_a_quarter_the_nowcast_at_the_nearest_distance_counts(rule: Any) -> None:
    """With vintages every ten days the later nowcasts, which knew more, say nothing of the earlier ones' errors."""
    many = planted({"a": 0.5, "b": 1.5}, distances=(20, 10, 0))
    frame = many.frame
    far = frame["days_left"] == 20
    cells = ["mean", *(f"q{100 * level:02.0f}" for level in LEVELS)]
    moved = frame["model"].map({"a": 3.0, "b": -1.5}).where(far, 0.0)  # far from the end b is the better one
    frame = frame.assign(**{cell: frame[cell] + moved for cell in cells})
    found = pool(replace(many, frame=frame), rule)
    alone = pool(replace(many, frame=frame[far]), rule)
    mine = found.weights[found.weights["days_left"] == 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, alone.weights.reset_index(drop=True))
    assert mine.loc[mine["model"] == "b", "weight"].iloc[-1] > 0.6
    for cell in ("q05", "q84"):
        here = found.to_frame()
        np.testing.assert_array_equal(here.loc[here["days_left"] == 20, cell], alone.to_frame()[cell])


def test_the_pools_density_is_the_mixture_or_the_normal_one_that_is_told() -> None:
    rng = np.random.default_rng(4)
    result = planted({"a": rng.normal(size=24), "b": 1.5 * rng.normal(size=24)})
    found = pool(result, "log-score", name="together")
    row = found.to_frame().iloc[-1]
    parts = result.frame[result.frame["period"] == row["period"]]
    w = np.array([weight(found.weights, m, 23) for m in parts["model"]])
    mix = Mixture(w, parts["mean"].to_numpy(), np.ones(2))
    assert row["mean"] == pytest.approx(float(w @ parts["mean"]))
    assert row["sd"] == pytest.approx(mix.sd, rel=1e-3)
    assert row["q95"] == pytest.approx(mix.quantile(0.95), rel=1e-3)
    assert row["log_density"] == pytest.approx(mix.log_density(row["outcome"]), rel=1e-3)
    assert row["basis"] == "mixture"
    scores = found.scores(benchmark="a").set_index("model")
    assert set(scores.index) == {"a", "b", "together"}
    assert scores.loc["together", "rmse"] < scores.loc["b", "rmse"]
    normal = pool(result, "bates-granger").to_frame()
    assert normal["sd"].iloc[-1] == pytest.approx(1.0, rel=1e-3)
    assert normal["basis"].iloc[0] == "model"
    assert normal["basis"].iloc[-1] == "past-errors"
    assert normal["past"].iloc[-1] == 23
    both = pool(result, "equal").weights["weight"]
    np.testing.assert_allclose(both, 0.5)


def test_mixtures_against_integrals() -> None:
    mix = Mixture(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.5, 3.0]), np.array([0.5, 1.0, 2.0]))
    grid = np.linspace(-15, 20, 350_001)
    step = grid[1] - grid[0]
    density = sum(w * stats.norm.pdf(grid, m, s) for w, m, s in zip(mix.weights, mix.means, mix.sds, strict=True))
    below = np.cumsum(density) * step
    assert mix.mean == pytest.approx(float(grid @ density) * step, rel=1e-6)
    assert mix.sd == pytest.approx(np.sqrt(float((grid - mix.mean) ** 2 @ density) * step), rel=1e-6)
    for y in (-2.0, 0.4, 5.0):
        assert mix.crps(y) == pytest.approx(float(((below - (grid >= y)) ** 2).sum()) * step, abs=2e-4)
        assert np.exp(mix.log_density(y)) == pytest.approx(np.interp(y, grid, density), rel=1e-6)
    for level in LEVELS:
        assert mix.below(mix.quantile(level)) == pytest.approx(level, abs=1e-9)
    alone = Mixture(np.array([0.0, 1.0]), np.array([9.0, 0.3]), np.array([1.0, 0.7]))
    assert alone.crps(1.1) == pytest.approx(crps_gaussian([0.3], [0.7], [1.1]))
    assert alone.log_density(1.1) == pytest.approx(stats.norm.logpdf(1.1, 0.3, 0.7))


def test_two_densities_have_the_weights_of_a_search_over_all() -> None:
    rng = np.random.default_rng(8)
    y = rng.normal(size=50)
    densities = np.column_stack([stats.norm.logpdf(y, 0.8, 1.0), stats.norm.logpdf(y, -0.9, 1.2)])
    grid = np.linspace(0.0, 1.0, 100_001)
    score = np.log(np.exp(densities) @ np.vstack([grid, 1 - grid])).mean(axis=0)
    np.testing.assert_allclose(log_score(densities)[0], grid[score.argmax()], atol=2e-5)
    # One that is everywhere better has all the weight; densities that are far below one another do no harm.
    np.testing.assert_allclose(log_score(np.column_stack([densities[:, 0], densities[:, 0] - 2])), [1, 0], atol=1e-8)
    np.testing.assert_allclose(log_score(np.array([[-1e4, -2e4], [-3e3, -9e3]])), [1, 0], atol=1e-8)
    np.testing.assert_allclose(log_score(np.full((5, 3), -1.3)), 1 / 3)


@pytest.mark.parametrize("seed", range(6))
def test_of_weights_that_are_as_good_the_nearest_to_equal_ones_are_taken_in_any_order(seed: int) -> None:
    """Densities of which one is a mixture of two others: a line of optima, searched by brute force for the nearest."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=30)
    a, b, c = (np.exp(stats.norm.logpdf(y, m, s)) for m, s in ((0.9, 1.0), (-0.8, 1.1), (2.5, 0.6)))
    share = float(rng.uniform(0.2, 0.8))
    density = np.log(np.column_stack([a, b, share * a + (1 - share) * b, c]))
    found = log_score(density)
    # Three models are enough for the best score; moving along (share, 1 - share, -1) leaves it as it is.
    three = log_score(density[:, [0, 1, 3]])
    t = np.linspace(0.0, min(three[0] / share, three[1] / (1 - share)), 200_001)
    line = np.stack([three[0] - share * t, three[1] - (1 - share) * t, t, np.full(len(t), three[2])], axis=1)
    nearest = line[((line - 0.25) ** 2).sum(axis=1).argmin()]
    np.testing.assert_allclose(found, nearest, atol=2e-4)
    best = np.log(np.exp(density[:, [0, 1, 3]]) @ three).mean()
    assert np.log(np.exp(density) @ found).mean() == pytest.approx(best, abs=1e-6)
    order = rng.permutation(4)
    np.testing.assert_allclose(log_score(density[:, order]), found[order], atol=1e-8)
    # One that was always like another shares with it; a few outcomes for many models leave many optima.
    np.testing.assert_allclose(
        log_score(density[:, [0, 0, 1]])[:2], np.full(2, log_score(density[:, [0, 1]])[0] / 2), atol=1e-4
    )
    few = rng.normal(size=(2, 7))
    order = rng.permutation(7)
    np.testing.assert_allclose(log_score(few[:, order]), log_score(few)[order], atol=1e-8)


@pytest.mark.parametrize("rule", ["bates-granger", "log-score", "equal"])
def test_order_and_copies_of_models_do_not_change_the_pools_density(rule: Any) -> None:
    rng = np.random.default_rng(6)
    errors = {"a": rng.normal(size=24), "b": 1.3 * rng.normal(size=24), "c": 0.8 * rng.normal(size=24)}
    errors["a again"] = np.where(np.arange(24) < 20, errors["a"], 2.0)  # alike until quarter 20: no copy after that
    plain = pool(planted(errors), rule).to_frame()
    other = pool(planted(dict(list(errors.items())[::-1])), rule).to_frame()
    columns = ["mean", "sd", "q05", "q16", "q50", "q84", "q95", "log_density"]
    np.testing.assert_allclose(plain[columns], other[columns], atol=1e-7)
    found = pool(planted(errors | {"b copied": errors["b"], "b once more": errors["b"]}), rule)
    np.testing.assert_allclose(plain[columns], found.to_frame()[columns], atol=1e-7)
    one = pool(planted(errors), rule).weights
    for quarter in (0, 3, 15, 23):
        split = [weight(found.weights, m, quarter) for m in ("b", "b copied", "b once more")]
        np.testing.assert_allclose(split, weight(one, "b", quarter) / 3, atol=1e-8)
    # Before quarter 20 the first two count as one; after it they are two.
    thirds = pool(planted(errors), "equal").weights
    assert weight(thirds, "a", 10) == pytest.approx(1 / 6)
    assert weight(thirds, "a", 21) == pytest.approx(1 / 4)


def test_what_a_pool_says_and_refuses() -> None:
    rng = np.random.default_rng(4)
    result = planted({"a": rng.normal(size=24), "b": 2 * rng.normal(size=24)})
    found = pool(result, "log-score")
    assert found.name == "pool (log-score)"
    assert "from 23 past quarters" in found.summary()
    assert "Geweke" in found.cite()
    chart = spec_of(found.chart())
    assert "a weighs most in the pool for gdp" in " ".join(chart["title"]["text"])
    many = pool(planted({name: rng.normal(size=24) for name in "abcdefg"}), "equal")
    shown = {row["model"]: row["weight"] for row in spec_of(many.chart())["data"]["values"]}
    assert len(shown) == 5
    assert shown["others"] == pytest.approx(300 / 7, abs=0.01)
    assert set(found.weights.columns) == {"day", "period", "days_left", "model", "weight", "past"}
    with pytest.raises(UsageError, match="no model c"):
        pool(result, members=["a", "c"])
    with pytest.raises(UsageError, match="already"):
        pool(result, name="a")
    with pytest.raises(UsageError, match="not known"):
        pool(result, "best")  # type: ignore[arg-type]  # a wrong argument, on purpose
    with pytest.raises(UsageError, match="known when"):
        pool(replace(result, known={}))
    with pytest.raises(UsageError, match="out of range"):
        pool(result, discount=0.0)


def test_what_was_known_when_is_told_by_the_release_that_counts() -> None:
    monthly = pd.DataFrame({"x": np.arange(6.0)}, index=pd.period_range("2010-01", periods=6, freq="M"))

    def of(*values: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        index = pd.period_range("2010Q1", periods=len(values), freq="Q")
        return monthly, pd.DataFrame({"gdp": values}, index=index)

    days = pd.to_datetime(["2010-05-01", "2010-08-01", "2010-09-01", "2010-11-01"])
    ordered = in_order(dict(zip(days, [of(1.0), of(1.1, 2.0), of(1.1, 2.5), of(1.2, 2.5, 3.0)], strict=True)))
    first = as_known(ordered, "gdp", "first")
    assert list(first.values()) == [{}, {"2010-Q2": 2.0}, {"2010-Q2": 2.0}, {"2010-Q2": 2.0, "2010-Q3": 3.0}]
    assert list(as_known(ordered, "gdp", "second").values()) == [{}, {}, {"2010-Q2": 2.5}, {"2010-Q2": 2.5}]
    assert as_known(ordered, "gdp", "latest")["2010-09-01"] == {"2010-Q1": 1.1, "2010-Q2": 2.5}
    assert learn_outcomes(ordered, "gdp", "latest") == {"2010-Q1": 1.2, "2010-Q2": 2.5, "2010-Q3": 3.0}
