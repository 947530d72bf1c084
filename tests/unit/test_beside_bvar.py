"""The stacked BVAR: evidence, posterior, forecasts and nowcasts against numeric integrals and dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast import Autoregression, MixedBvar
from opsroom.measure.nowcast.beside.bvar import Habits, complete, habits_of, last_run, prior, stacked
from opsroom.measure.nowcast.beside.carry import carried
from opsroom.measure.nowcast.beside.conjugate import Path, Prior, condition, path, update
from opsroom.measure.nowcast.beside.edge import edge_of

Array = np.ndarray[Any, Any]


def sample(rows: int, n: int, lags: int, seed: int = 0) -> tuple[Array, Array, Prior]:
    rng = np.random.default_rng(seed)
    k = 1 + n * lags
    root = rng.normal(size=(n, n)) + 2 * np.eye(n)
    given = Prior(0.2 * rng.normal(size=(k, n)), rng.uniform(0.05, 2.0, size=k), root @ root.T, n + 3.5)
    return rng.normal(size=(rows, n)), np.column_stack([np.ones(rows), rng.normal(size=(rows, k - 1))]), given


def test_evidence_is_the_integral_over_the_parameters() -> None:
    y, x = np.array([[0.4], [-1.1], [0.9], [2.0]]), np.ones((4, 1))
    given = Prior(np.array([[0.3]]), np.array([0.7]), np.array([[1.4]]), 5.0)

    # A sum over a fine grid of (coefficient, log variance): both tails end in nothing.
    beta, log_variance = np.meshgrid(np.linspace(-8.0, 9.0, 601), np.linspace(-8.0, 9.0, 601), indexing="ij")
    v = np.exp(log_variance)
    density = stats.norm.pdf(beta, 0.3, np.sqrt(0.7 * v)) * stats.invgamma.pdf(v, 2.5, scale=0.7) * v
    for one in y[:, 0]:
        density *= stats.norm.pdf(one, beta, np.sqrt(v))
    whole = float(density.sum()) * (17.0 / 600) ** 2
    assert np.exp(update(given, y, x).evidence) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(("n", "lags"), [(1, 1), (3, 1), (4, 2)])
def test_evidence_is_the_product_of_predictive_densities(n: int, lags: int) -> None:
    y, x, given = sample(9, n, lags)
    total, known = 0.0, update(given, y[:0], x[:0])
    assert known.evidence == pytest.approx(0.0, abs=1e-9)
    for t in range(9):
        before = update(given, y[:t], x[:t])
        total += stats.multivariate_t.logpdf(y[t], x[t] @ before.mean, before.spread(x[t]), before.student_df)
    assert update(given, y, x).evidence == pytest.approx(total, rel=1e-10)


def test_a_prior_without_weight_leaves_least_squares_and_learning_in_two_parts_is_learning_at_once() -> None:
    y, x, given = sample(40, 3, 2)
    loose = Prior(given.mean, np.full(7, 1e10), 1e-10 * np.eye(3), 4.0)
    found = update(loose, y, x)
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(found.mean, beta, rtol=1e-6, atol=1e-8)
    rest = y - x @ beta
    np.testing.assert_allclose(found.scale, rest.T @ rest, rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(x.T @ x), rtol=1e-6)
    # A tight one leaves the prior.
    tight = update(Prior(given.mean, np.full(7, 1e-10), given.scale, given.df), y, x)
    np.testing.assert_allclose(tight.mean, given.mean, atol=1e-6)
    first = update(given, y[:15], x[:15])
    # Dense Bayes: precision and natural mean add up.
    precision = np.diag(1 / given.variance) + x.T @ x
    mean = np.linalg.solve(precision, given.mean / given.variance[:, None] + x.T @ y)
    whole = update(given, y, x)
    np.testing.assert_allclose(whole.mean, mean, rtol=1e-9)
    scale = given.scale + y.T @ y + given.mean.T @ (given.mean / given.variance[:, None]) - mean.T @ precision @ mean
    np.testing.assert_allclose(whole.scale, scale, rtol=1e-8)
    assert whole.df == given.df + 40 == first.df + 25
    with pytest.raises(FitError, match="positive definite"):
        update(Prior(given.mean, given.variance, np.zeros((3, 3)), 5.0), y[:0], x[:0])


@pytest.mark.parametrize("lags", [1, 2, 3])
def test_several_steps_are_those_of_the_equations_solved_at_once(lags: int) -> None:
    y, x, given = sample(30, 3, lags)
    known = update(given, y, x)
    past = np.random.default_rng(1).normal(size=(lags, 3))
    found = path(known, past, 4)
    # (I - A L) z = constant + past + u, all steps in one system.
    system, right = np.eye(12), np.zeros(12)
    noise = np.zeros((12, 12))
    blocks = [known.mean[1 + 3 * k : 4 + 3 * k].T for k in range(lags)]
    history = [*past[::-1]]
    for h in range(4):
        at = slice(3 * h, 3 * h + 3)
        right[at] += known.mean[0]
        for k in range(lags):
            if h - 1 - k >= 0:
                system[at, 3 * (h - 1 - k) : 3 * (h - k)] -= blocks[k]
            else:
                right[at] += blocks[k] @ past[k - h]
        regressors = np.r_[1.0, np.concatenate(history[::-1][:lags])]
        history.append(regressors @ known.mean)
        noise[at, at] = known.spread(regressors)
    inverse = np.linalg.inv(system)
    np.testing.assert_allclose(found.mean, inverse @ right, rtol=1e-10)
    np.testing.assert_allclose(found.scale, inverse @ noise @ inverse.T, rtol=1e-9, atol=1e-12)
    assert found.df == known.student_df


def test_draws_of_one_step_are_its_exact_density_whatever_is_known_of_it() -> None:
    y, x, given = sample(25, 4, 1)
    known = update(given, y, x)
    past = np.random.default_rng(1).normal(size=(1, 4))
    for seen in ([], [0, 2]):
        values = np.full((1, 4), np.nan)
        values[0, seen] = np.array([2.0, 0.0, -1.5, 0.0])[seen]
        mean, scale, df = condition(path(known, past, 1), values.ravel(), 3)
        sd = scale * np.sqrt(df / (df - 2))
        found = carried(known, past, values, 3, draws=900)
        assert found[0] == pytest.approx(mean, abs=0.08 * sd)
        assert found[1] == pytest.approx(sd, rel=0.06)
        assert found == carried(known, past, values, 3, draws=900)


def test_draws_of_a_second_step_are_those_of_plain_simulation_weighed_by_what_is_known() -> None:
    """Brute force: coefficients drawn from the posterior, two steps, each draw weighed by the density of what is known.
    With few rows and strong memory their doubt is a large part, which the posterior mean alone does not tell."""
    rng = np.random.default_rng(3)
    n, count = 2, 60_000
    z = np.zeros((14, n))
    for t in range(1, 14):
        z[t] = 0.9 * z[t - 1] + rng.normal(size=n)
    given = Prior(np.zeros((3, n)), np.array([1.0, 1.0, 1.0]), np.eye(n), n + 3.0)
    known = update(given, z[1:], np.column_stack([np.ones(13), z[:-1]]))
    past, values = z[-1:], np.array([[z[-1, 0] + 1.5, np.nan], [np.nan, np.nan]])
    sigma = stats.invwishart.rvs(known.df, known.scale, size=count, random_state=rng)
    root, width = np.linalg.cholesky(known.covariance), np.linalg.cholesky(sigma)
    beta = known.mean + root @ rng.normal(size=(count, 3, n)) @ width.transpose(0, 2, 1)
    first = np.einsum("k,dkn->dn", np.r_[1.0, past[0]], beta)
    density = stats.norm.pdf(values[0, 0], first[:, 0], np.sqrt(sigma[:, 0, 0]))
    slope = sigma[:, 0, 1] / sigma[:, 0, 0]
    rest = np.sqrt(sigma[:, 1, 1] - slope * sigma[:, 0, 1])
    second = first[:, 1] + slope * (values[0, 0] - first[:, 0]) + rest * rng.normal(size=count)
    ahead = beta[:, 0, 1] + beta[:, 1, 1] * values[0, 0] + beta[:, 2, 1] * second
    outcome = ahead + np.sqrt(sigma[:, 1, 1]) * rng.normal(size=count)
    mean = float(np.average(outcome, weights=density))
    sd = float(np.sqrt(np.average((outcome - mean) ** 2, weights=density)))
    found = carried(known, past, values, 3, draws=2500)
    assert found[0] == pytest.approx(mean, abs=0.05 * sd)
    assert found[1] == pytest.approx(sd, rel=0.04)
    _, scale, df = condition(path(known, past, 2), values.ravel(), 3)
    assert scale * np.sqrt(df / (df - 2)) < 0.95 * sd  # what the posterior mean alone says is too narrow


def test_conditioning_is_the_joint_density_over_that_of_what_is_known() -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(5, 5))
    given = Path(rng.normal(size=5), root @ root.T + np.eye(5), 7.0)
    values = np.array([0.4, np.nan, -2.0, np.nan, 1.5])
    mean, scale, df = condition(given, values, 3)
    seen, order = [0, 2, 4], [0, 2, 4, 3]
    joint = stats.multivariate_t(given.mean[order], given.scale[np.ix_(order, order)], given.df)
    alone = stats.multivariate_t(given.mean[seen], given.scale[np.ix_(seen, seen)], given.df)
    for point in (-3.0, 0.0, 0.7, 4.0):
        ratio = joint.logpdf([*values[seen], point]) - alone.logpdf(values[seen])
        assert stats.t.logpdf(point, df, mean, scale) == pytest.approx(ratio, rel=1e-9)
    nothing = condition(given, np.full(5, np.nan), 2)
    assert nothing == (given.mean[2], pytest.approx(np.sqrt(given.scale[2, 2])), 7.0)


def test_the_prior_is_each_series_own_autoregression_month_by_month() -> None:
    habits = Habits(2, np.array([0.6, -0.3, 0.4]), np.array([2.0, 1.0, 3.0]))
    found = prior(habits, 2, 0.2, 10.0, 1.0)
    covariance = found.scale / (found.df - 7 - 1)
    for series, (rho, sd) in enumerate(((0.6, 2.0), (-0.3, 1.0))):
        for s in range(3):
            for t in range(s, 3):
                expected = sd**2 * rho ** (t - s) * (1 - rho ** (2 * (s + 1))) / (1 - rho**2)
                assert covariance[3 * series + s, 3 * series + t] == pytest.approx(expected)
        np.testing.assert_allclose(found.mean[1 + 3 * series + 2, 3 * series : 3 * series + 3], rho ** np.arange(1, 4))
    assert covariance[6, 6] == 9.0
    assert np.count_nonzero(covariance) == 9 + 9 + 1
    assert found.mean[7, 6] == 0.4
    assert np.count_nonzero(found.mean) == 7
    # The month before has λ; three months before a third of it; a quarter further back less again; by scale.
    np.testing.assert_allclose(np.sqrt(found.variance[[3, 1, 10, 7, 14]]), [0.1, 0.1 / 3, 0.1 / 4, 0.2 / 3, 0.2 / 12])


def economy(quarters: int = 60, *, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    f = np.zeros(3 * quarters + 4)
    for t in range(1, len(f)):
        f[t] = 0.7 * f[t - 1] + rng.normal()
    months = pd.period_range("2001-01", periods=3 * quarters, freq="M")
    x = pd.DataFrame(f[4:, None] + 0.8 * rng.normal(size=(3 * quarters, 3)), index=months, columns=list("abc"))
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : len(f) - lag] for lag in range(5)) / 9
    y = pd.DataFrame({"gdp": 1.0 + growth[2::3] + 0.3 * rng.normal(size=quarters)})
    y["side"] = growth[2::3] + 0.5 * rng.normal(size=quarters)
    y.index = pd.period_range("2001Q1", periods=quarters, freq="Q")
    return x, y


def test_the_nowcast_is_that_of_dense_algebra_at_a_ragged_edge() -> None:
    x, y = economy()
    x = x[:"2015-11"].copy()
    x.loc["2015-10":, "b"] = np.nan
    y = y[:"2015Q3"].copy()
    y.loc["2015Q3", "gdp"] = np.nan  # two quarters are missing, one of the other quarterly series
    model = MixedBvar(tightness=0.3, quarters=20.0, draws=0)
    found = model(x, y, "gdp", "2015-Q4")
    z = np.full((60, 11), np.nan)
    for q in range(60):
        for k, name in enumerate("abc"):
            for m in range(3):
                if 3 * q + m < len(x):
                    z[q, 3 * k + m] = x[name].iloc[3 * q + m]
        if q < 59:
            z[q, 9], z[q, 10] = y["side"].iloc[q], y["gdp"].iloc[q]
    stack, refused = stacked(edge_of(x, y, "gdp", "2015-Q4", others=True))
    np.testing.assert_array_equal(stack.values, z)
    assert refused == []
    known = update(prior(habits_of(stack), 1, 0.3, 20.0, 1.0), z[1:58], np.column_stack([np.ones(57), z[:57]]))
    a, scales, mean = known.mean[1:].T, [], []
    before = z[57]
    for _ in range(2):
        regressors = np.r_[1.0, before]
        before = regressors @ known.mean
        mean.append(before)
        scales.append(known.spread(regressors))
    joint = np.block([[scales[0], scales[0] @ a.T], [a @ scales[0], a @ scales[0] @ a.T + scales[1]]])
    m, values = np.concatenate(mean), z[58:].ravel()
    seen = ~np.isnan(values)
    weight = np.linalg.solve(joint[np.ix_(seen, seen)], joint[seen, 21])
    assert found.mean == pytest.approx(m[21] + weight @ (values[seen] - m[seen]), rel=1e-8)
    gap = values[seen] - m[seen]
    distance = gap @ np.linalg.solve(joint[np.ix_(seen, seen)], gap)
    df = known.student_df + seen.sum()
    variance = (known.student_df + distance) / df * (joint[21, 21] - weight @ joint[seen, 21])
    assert found.sd == pytest.approx(np.sqrt(variance * df / (df - 2)), rel=1e-8)
    # The quarter before, with later months known: what came later counts.
    earlier = model(x, y, "gdp", "2015-Q3")
    cut = model(x[:"2015-09"], y, "gdp", "2015-Q3")
    assert earlier.mean != cut.mean


def test_wound_up_it_is_the_targets_own_autoregression() -> None:
    x, y = economy()
    found = MixedBvar(tightness=1e-6, quarters=1e7)(x[:"2015-11"], y[:"2015Q3"][["gdp"]], "gdp", "2015-Q4")
    own = Autoregression(lags=1)(x, y[:"2015Q3"], "gdp", "2015-Q4")
    assert found.mean == pytest.approx(own.mean, abs=1e-3)


def test_tightness_has_the_best_evidence_and_the_density_is_narrower_than_an_autoregressions() -> None:
    x, y = economy()
    x, y = x[:"2015-11"], y[:"2015Q3"]
    found = MixedBvar()(x, y, "gdp", "2015-Q4")
    assert found.sd < 0.8 * Autoregression()(x, y, "gdp", "2015-Q4").sd
    assert "chosen by marginal likelihood" in found.summary()
    model = MixedBvar()
    stack, _ = stacked(edge_of(x, y, "gdp", "2015-Q4", others=True))
    rows = complete(stack.learnt, 1)
    data = stack.learnt[rows], np.column_stack([np.ones(len(rows)), stack.learnt[rows - 1]])
    best = model._fit(stack, *data)
    for a in (0.7, 1.0, 1.4):
        for b in (0.6, 1.0, 1.6):
            other = update(prior(habits_of(stack), 1, a * best.tightness, b * best.quarters, 1.0), *data)
            assert other.evidence <= best.posterior.evidence + 0.05


def test_gaps_short_series_and_bad_settings() -> None:
    x, y = economy()
    x = x[:"2015-11"].copy()
    y = y[:"2015Q3"].copy()
    x["new"] = np.where(x.index >= pd.Period("2013-01", "M"), 1.0, np.nan)
    y["late"] = np.where(y.index >= pd.Period("2013Q1", "Q"), 1.0, np.nan)
    x.loc["2008-05", "a"] = np.nan
    found = MixedBvar()(x, y, "gdp", "2015-Q4")
    assert {name for name, _ in found.refused} == {"new", "late"}
    # A hole takes out its quarter and the one after it.
    assert "11 variables a quarter, 56 quarters" in found.notes[0]
    holes = np.ones((6, 2))
    holes[2, 0] = np.nan
    np.testing.assert_array_equal(complete(holes, 1), [1, 4, 5])
    assert last_run(holes, 3) == 5
    with pytest.raises(FitError, match="complete"):
        last_run(holes, 4)
    with pytest.raises(FitError, match="too few"):
        MixedBvar()(x[:"2005-11"], y[:"2005Q3"], "gdp", "2005-Q4")
    flat = x.assign(new=1.0)
    with pytest.raises(FitError, match="does not move"):
        MixedBvar()(flat, y, "gdp", "2015-Q4")
    for wrong in ({"lags": 0}, {"tightness": 0.0}, {"quarters": -1.0}):
        with pytest.raises(UsageError):
            MixedBvar(**wrong)  # type: ignore[arg-type]  # a wrong argument, on purpose
