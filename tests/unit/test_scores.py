"""Scores against closed forms, definitions by brute force, SciPy and published tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from opsroom.base import scores
from opsroom.base.errors import FitError, UsageError


def test_point_scores_by_hand() -> None:
    forecast, outcome = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
    assert scores.mae(forecast, outcome) == 1.0
    assert scores.bias(forecast, outcome) == pytest.approx(1 / 3)
    assert scores.rmse(forecast, outcome) == pytest.approx(math.sqrt(5 / 3))


def test_missing_pairs_are_left_out_and_nothing_left_is_nan() -> None:
    assert scores.mae([1.0, math.nan, 3.0], [1.0, 1.0, math.nan]) == 0.0
    assert math.isnan(scores.mae([math.nan], [1.0]))
    assert math.isnan(scores.coverage([], [], []))


def test_coverage_includes_the_bounds() -> None:
    assert scores.coverage([0, 0, 0], [1, 1, 1], [0, 1, 1.1]) == pytest.approx(2 / 3)


def test_interval_score_by_hand_and_as_two_pinballs() -> None:
    assert scores.interval_score([0.0], [2.0], [3.0], level=0.9) == pytest.approx(2 + 20)
    rng = np.random.default_rng(1)
    y, lo = rng.normal(size=500), rng.normal(-1.5, 0.2, 500)
    hi = lo + rng.uniform(0.5, 4, 500)
    # the interval score is the sum of the two bounds' pinball losses over alpha / 2
    both = scores.pinball(lo, y, level=0.05) + scores.pinball(hi, y, level=0.95)
    assert scores.interval_score(lo, hi, y, level=0.9) == pytest.approx(both / 0.05)


def test_pinball_at_the_median_is_half_the_absolute_error() -> None:
    rng = np.random.default_rng(2)
    q, y = rng.normal(size=100), rng.normal(size=100)
    assert scores.pinball(q, y, level=0.5) == pytest.approx(scores.mae(q, y) / 2)


def test_true_quantile_minimises_pinball() -> None:
    y = np.random.default_rng(3).normal(size=40_000)
    losses = [scores.pinball(np.full_like(y, q), y, level=0.9) for q in (1.0, stats.norm.ppf(0.9), 1.6)]
    assert losses[1] == min(losses)


@pytest.mark.parametrize(("mu", "sd", "y"), [(0, 1, 0), (1, 2, -3), (0, 0.5, 4)])
def test_crps_gaussian_is_the_integral(mu: float, sd: float, y: float) -> None:
    grid = np.linspace(min(mu - 12 * sd, y - 1), max(mu + 12 * sd, y + 1), 400_001)
    integrand = (stats.norm.cdf(grid, mu, sd) - (grid >= y)) ** 2
    assert scores.crps_gaussian([mu], [sd], [y]) == pytest.approx(integrate.trapezoid(integrand, grid), abs=1e-4)


def test_crps_of_a_point_is_the_absolute_error() -> None:
    assert scores.crps_gaussian([1.0], [0.0], [3.5]) == 2.5
    assert scores.crps_sample([[1.0, 1.0]], [3.5]) == 2.5


def test_crps_sample_by_brute_force_and_fair() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(7, 9)), rng.normal(size=7)
    brute, fair = [], []
    for row, outcome in zip(x, y, strict=True):
        pairs = np.abs(row[:, None] - row[None, :]).sum()
        brute.append(np.abs(row - outcome).mean() - pairs / (2 * 81))
        fair.append(np.abs(row - outcome).mean() - pairs / (2 * 9 * 8))
    assert scores.crps_sample(x, y) == pytest.approx(np.mean(brute))
    assert scores.crps_sample(x, y, fair=True) == pytest.approx(np.mean(fair))


def test_crps_sample_tends_to_the_gaussian() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4000))
    y = rng.normal(size=300)
    want = scores.crps_gaussian(np.zeros(300), np.ones(300), y)
    assert scores.crps_sample(x, y, fair=True) == pytest.approx(want, abs=2e-3)


def test_pit_is_uniform_where_calibrated_and_not_where_not() -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(size=2000)
    good = scores.pit_gaussian(np.zeros(2000), np.ones(2000), y)
    narrow = scores.pit_gaussian(np.zeros(2000), np.full(2000, 0.5), y)
    drawn = scores.pit_sample(rng.normal(size=(2000, 19)), y, seed=1)
    assert stats.kstest(good, "uniform").pvalue > 0.01
    assert stats.kstest(drawn, "uniform").pvalue > 0.01
    assert stats.kstest(narrow, "uniform").pvalue < 1e-6


def test_pit_of_draws_all_equal_to_the_outcome_spans_the_unit_interval() -> None:
    pit = scores.pit_sample(np.zeros((4000, 3)), np.zeros(4000), seed=3)
    assert stats.kstest(pit, "uniform").pvalue > 0.01


def test_diebold_mariano_at_one_step_is_the_t_test() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=40) ** 2, 1.3 * rng.normal(size=40) ** 2
    ours = scores.diebold_mariano(a, b, horizon=1)
    theirs = stats.ttest_1samp(a - b, 0.0)
    # at h = 1 the correction turns the variance over n into that over n - 1: exactly Student's t
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.df == 39


def test_diebold_mariano_equals_statsmodels_long_run_variance() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(8)
    d = np.convolve(rng.normal(0.3, 1, 63), np.ones(4) / 2, mode="valid")
    ours = scores.diebold_mariano(d, np.zeros(60), horizon=4)
    fit = sm.OLS(d, np.ones(60)).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "kernel": lambda lags: np.ones(lags + 1)})
    n, h = 60, 4
    assert ours.statistic == pytest.approx(fit.tvalues[0] * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n))
    assert ours.variance == "rectangular"


def test_diebold_mariano_falls_back_where_the_variance_is_not_positive() -> None:
    d = np.tile([1.0, -1.0], 10) + 0.01
    got = scores.diebold_mariano(d, np.zeros(20), horizon=2)
    assert got.variance == "bartlett"
    assert math.isfinite(got.statistic)


@pytest.mark.parametrize(("variance", "limit"), [("hln", 0.09), ("cosine", 0.075)])
def test_diebold_mariano_has_about_its_size(variance: str, limit: float) -> None:
    rng = np.random.default_rng(9)
    noise = rng.normal(size=(1500, 62))
    d = noise[:, 2:] + noise[:, 1:-1] + noise[:, :-2]  # three-step errors: correlated up to lag 2
    zeros = np.zeros(60)
    rejected = np.mean([scores.diebold_mariano(x, zeros, horizon=3, variance=variance).p_value < 0.05 for x in d])
    naive = np.mean([scores.diebold_mariano(x, zeros, horizon=1).p_value < 0.05 for x in d])
    assert 0.03 < rejected < limit
    assert naive > 0.15  # the wrong bandwidth rejects far too often


def test_verdict_names_the_better() -> None:
    rng = np.random.default_rng(10)
    small, large = np.abs(rng.normal(0, 0.3, 50)), np.abs(rng.normal(0, 2, 50))
    assert scores.diebold_mariano(small, large, horizon=1).better == "first"
    assert scores.diebold_mariano(large, small, horizon=1).better == "second"
    assert scores.diebold_mariano(small, rng.permutation(small), horizon=1).better == "undecided"


def test_refusals() -> None:
    with pytest.raises(FitError, match="OPS-M060"):
        scores.diebold_mariano([1, 2], [2, 1], horizon=1)
    with pytest.raises(FitError, match="OPS-M061"):
        scores.diebold_mariano([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], horizon=1)
    with pytest.raises(UsageError, match="OPS-U061"):
        scores.mae([1, 2], [1])
    with pytest.raises(UsageError, match="OPS-U064"):
        scores.coverage([2], [1], [1])
    with pytest.raises(UsageError, match="OPS-U065"):
        scores.interval_score([0], [1], [1], level=90)
    with pytest.raises(UsageError, match="OPS-U060"):
        scores.crps_gaussian([0], [-1], [1])
    with pytest.raises(UsageError, match="OPS-U062"):
        scores.crps_sample([[1.0]], [1.0], fair=True)
    with pytest.raises(UsageError, match="OPS-U063"):
        scores.diebold_mariano([1, 2, 3, 4], [2, 1, 3, 5], horizon=0)
