"""Revisions: triangles that agree with the backtest, likelihoods against a dense twin, closed forms, recovery."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast import FineVintage, RevisionModel, efficiency, release_triangle, revise
from opsroom.measure.nowcast.dfm.backtest import Release, learn_outcomes
from opsroom.measure.nowcast.revisions.efficiency import efficient_release
from opsroom.measure.nowcast.revisions.kishor_koenig import KishorKoenig
from opsroom.measure.nowcast.revisions.news_noise import NewsNoise
from opsroom.measure.nowcast.revisions.results import FittedRevisions

NONE = np.zeros(0)


def holes(rng: np.random.Generator, shape: tuple[int, int], share: float = 0.25) -> np.ndarray:
    table = rng.normal(size=shape) + 2.0
    table[rng.random(shape) < share] = np.nan
    return table


def dense(p: NewsNoise, table: np.ndarray, before: int = 600) -> tuple[float, np.ndarray, np.ndarray]:
    """Log likelihood, means and variances by the plain definition: every cell as a sum of past shocks."""
    quarters, columns = table.shape
    early, length = columns - 1, quarters + before

    def moving(ar: np.ndarray) -> np.ndarray:
        weight = np.zeros(length)
        weight[0] = 1.0
        for k in range(1, length):
            weight[k] = sum(ar[j] * weight[k - 1 - j] for j in range(min(len(ar), k)))
        return np.array([np.r_[weight[t::-1], np.zeros(length - 1 - t)] for t in range(before, length)])

    final, news, noise = moving(p.ar), moving(np.array([p.news_memory])), moving(np.array([p.noise_memory]))
    # Rows: cells, release by release; columns: shocks e, v_1 …, w_1 … over time.
    blocks = []
    for i in range(columns):
        row = [p.sd * final]
        for j in range(early):
            row.append(p.news[j] * (final - (news if j >= i and i < early else 0.0)))
        row += [p.noise[j] * noise * (i == j) for j in range(early)]
        blocks.append(np.hstack(row))
    push = np.vstack(blocks)
    spread = push @ push.T
    mean = np.repeat(p.mean + np.r_[p.bias, 0.0], quarters)
    y = table.T.ravel()
    known = ~np.isnan(y)
    inside = spread[np.ix_(known, known)]
    gap = y[known] - mean[known]
    solved = np.linalg.solve(inside, np.column_stack([gap, spread[known]]))
    loglike = -0.5 * (known.sum() * np.log(2 * np.pi) + np.linalg.slogdet(inside)[1] + gap @ solved[:, 0])
    means = mean + spread[:, known] @ solved[:, 0]
    variances = np.diag(spread) - np.einsum("ij,ji->i", spread[:, known], solved[:, 1:])
    shape = (columns, quarters)
    return float(loglike), means.reshape(shape).T, variances.reshape(shape).T


PARAMETERS = st.builds(
    NewsNoise,
    mean=st.floats(-3, 3),
    bias=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(np.array),
    ar=st.sampled_from([NONE, np.array([0.6]), np.array([0.4, -0.3])]),
    sd=st.floats(0.3, 2),
    news=st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)).map(np.array),
    noise=st.tuples(st.floats(0, 2), st.floats(0, 2)).map(np.array),
    news_memory=st.sampled_from([0.0, 0.5]),
    noise_memory=st.sampled_from([0.0, -0.6]),
)


@given(PARAMETERS, st.integers(0, 99))
@settings(max_examples=15)
def test_likelihood_and_cells_are_those_of_the_dense_twin(p: NewsNoise, seed: int) -> None:
    table = holes(np.random.default_rng(seed), (12, 3))
    loglike, means, variances = dense(p, table)
    system = p.system()
    assert system.loglike(table) == pytest.approx(loglike, rel=1e-8, abs=1e-8)
    found = system.cells(table)
    np.testing.assert_allclose(found[0], means, atol=1e-7)
    np.testing.assert_allclose(found[1], variances, atol=1e-7)


@given(st.floats(0.3, 2), st.floats(0.1, 2), st.floats(-0.8, 0.8), st.integers(0, 99))
@settings(max_examples=15)
def test_kishor_koenig_holds_pure_news_and_pure_noise(sd: float, size: float, rho: float, seed: int) -> None:
    """With news v after the first release, that takes up sd²/(sd² + v²) of the efficient value's surprise, and as much
    of the quarter before as the autoregression hands on; with noise it takes up all."""
    table = holes(np.random.default_rng(seed), (15, 2))
    gain = sd**2 / (sd**2 + size**2)
    ar, bias = np.array([rho]), np.array([0.2])
    whole = float(np.hypot(sd, size))
    pairs = [
        (
            NewsNoise(1.0, bias, ar, sd, np.array([size]), np.zeros(1)),
            KishorKoenig(1.0, bias, ar, whole, np.array([[gain, rho * (1 - gain)]]), np.array([size * gain**0.5])),
        ),
        (
            NewsNoise(1.0, bias, ar, sd, np.zeros(1), np.array([size])),
            KishorKoenig(1.0, bias, ar, sd, np.array([[1.0, 0.0]]), np.array([size])),
        ),
    ]
    for one, other in pairs:
        assert other.system().loglike(table) == pytest.approx(one.system().loglike(table), rel=1e-9)
        for a, b in zip(one.system().cells(table), other.system().cells(table), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_kishor_koenig_holds_news_in_two_steps() -> None:
    """Without an autoregression: release k takes up n_k²/(n_k² + what is still to come) of the remaining distance."""
    sd, news = 0.8, np.array([0.7, 1.3])
    table = holes(np.random.default_rng(5), (20, 3))
    variance = np.r_[sd**2, news**2]
    still = np.cumsum(variance[::-1])[::-1]
    gain = variance[:2] / still[:2]
    noise = np.sqrt(gain * still[1:])
    for lags in (NONE, np.zeros(4)):
        one = NewsNoise(0.5, np.array([0.1, -0.2]), lags, sd, news, np.zeros(2))
        other = KishorKoenig(
            0.5, one.bias, lags, float(np.sqrt(still[0])), np.column_stack([np.diag(gain), [0, 0]]), noise
        )
        assert other.system().loglike(table) == pytest.approx(one.system().loglike(table), rel=1e-9)


def drawn(p: NewsNoise, quarters: int, seed: int = 0) -> pd.DataFrame:
    """Draw a triangle shock by shock."""
    rng = np.random.default_rng(seed)
    early, before = len(p.news), 100
    v = p.news * rng.normal(size=(quarters + before, early))
    u = p.sd * rng.normal(size=quarters + before) + v.sum(axis=1)
    x = np.zeros(quarters + before)
    for t in range(len(p.ar), len(x)):
        x[t] = sum(a * x[t - 1 - k] for k, a in enumerate(p.ar)) + u[t]
    coming = np.cumsum(v[:, ::-1], axis=1)[:, ::-1]
    y = x[:, None] - coming + p.noise * rng.normal(size=(quarters + before, early)) + p.bias
    table = p.mean + np.column_stack([y, x])[before:]
    index = pd.period_range("1980Q1", periods=quarters, freq="Q")
    return pd.DataFrame(table, index=index, columns=["first", "second", "final"])


NEWS = NewsNoise(2.0, np.array([0.3, 0.1]), np.array([0.5]), 1.5, np.array([0.8, 1.0]), np.zeros(2))
NOISE = NewsNoise(2.0, np.array([0.3, 0.1]), np.array([0.5]), 2.0, np.zeros(2), np.array([1.0, 0.6]))
MIXED = NewsNoise(2.0, np.array([0.3, 0.1]), np.array([0.5]), 1.5, np.array([0.8, 1.0]), np.array([1.4, 1.1]))


@pytest.mark.parametrize(
    ("truth", "quarters"),
    [
        pytest.param(NEWS, 600, id="news", marks=pytest.mark.long),
        pytest.param(NOISE, 600, id="noise", marks=pytest.mark.long),
        pytest.param(MIXED, 300, id="mixed"),
    ],
)
def test_known_parameters_are_found_again(truth: NewsNoise, quarters: int) -> None:
    triangle = drawn(truth, quarters)
    fitted = RevisionModel().fit(triangle)
    found = fitted.parameters
    assert isinstance(found, NewsNoise)
    near = 5.0 / np.sqrt(quarters)
    assert found.sd == pytest.approx(truth.sd, abs=near)
    assert found.ar == pytest.approx(truth.ar, abs=near)
    # A deviation of zero is found as one whose square is small.
    assert found.news**2 == pytest.approx(truth.news**2, abs=1.5 * near)
    assert found.noise**2 == pytest.approx(truth.noise**2, abs=1.5 * near)
    assert found.bias == pytest.approx(truth.bias, abs=near)
    assert fitted.report.loglike >= truth.system().loglike(triangle.to_numpy()) - 1e-6
    share = truth.news_share()
    assert list(fitted.news_share.values()) == pytest.approx(share, abs=0.1)
    assert fitted.efficient_release == "final"  # noise, or at least a bias


def test_kishor_koenig_finds_the_gain() -> None:
    triangle = drawn(MIXED, 200)
    fitted = RevisionModel(kind="kishor-koenig").fit(triangle)
    p = fitted.parameters
    assert isinstance(p, KishorKoenig)
    assert fitted.used == ("first", "second", "final")
    # The regression, by hand, of what the first release takes up on what there was to take up.
    first = triangle["first"].to_numpy()[1:] - p.mean - p.bias[0]
    said = triangle["first"].to_numpy()[:-1] - p.mean - p.bias[0]
    gap = triangle["final"].to_numpy()[1:] - p.mean - p.ar[0] * said
    by_hand = gap @ (first - p.ar[0] * said) / (gap @ gap)
    assert p.gain[0, 0] == pytest.approx(by_hand, abs=0.02)
    assert 0.0 < fitted.news_share["first"] < 1.0


def given_parameters(p: NewsNoise, triangle: pd.DataFrame, fitted: FittedRevisions) -> FittedRevisions:
    return replace(fitted, parameters=p, triangle=triangle)


@pytest.fixture(scope="module")
def fitted() -> FittedRevisions:
    return RevisionModel(order=0).fit(drawn(MIXED, 60, seed=2))


def test_news_leave_the_release_alone_and_noise_draws_it_to_the_mean(fitted: FittedRevisions) -> None:
    """Closed forms, no autoregression: news give first - bias and add up; noise shrinks by var / (var + noise)."""
    triangle = drawn(MIXED, 30)
    triangle.loc["1987Q2", ["second", "final"]] = np.nan
    first = triangle.loc["1987Q2", "first"]
    pure = NewsNoise(2.0, np.array([0.3, 0.1]), NONE, 1.5, np.array([0.8, 1.0]), np.zeros(2))
    said = given_parameters(pure, triangle, fitted).predict("1987-Q2")
    assert said.mean == pytest.approx(first - 0.3)
    assert said.sd == pytest.approx(np.hypot(0.8, 1.0))
    assert said.release("second") == pytest.approx((first - 0.3 + 0.1, 0.8))
    assert said.published == {"first": first}
    loud = NewsNoise(2.0, np.array([0.3, 0.1]), NONE, 2.0, np.zeros(2), np.array([1.0, 0.6]))
    said = given_parameters(loud, triangle, fitted).predict("1987-Q2")
    assert said.mean == pytest.approx(2.0 + (first - 2.3) * 4 / 5)
    assert said.sd == pytest.approx(np.sqrt(4 * 1 / 5))
    # What is final is itself.
    assert given_parameters(loud, triangle, fitted).predict("1987-Q1").sd == 0.0


def test_a_nowcast_becomes_one_of_every_release(fitted: FittedRevisions) -> None:
    """Against the integral over the first release, by Gauss-Hermite nodes, each a prediction of its own."""
    quarter = "1995-Q1"
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    each = [fitted.predict(quarter, published={"first": 1.2 + 0.7 * x}) for x in nodes]
    means = np.array([one.means for one in each])
    mean = weights @ means
    variance = weights @ (means - mean) ** 2 + weights @ np.array([one.sds**2 for one in each])
    found = revise(1.2, 0.7, fitted, quarter)
    np.testing.assert_allclose(found.means, mean, atol=1e-10)
    np.testing.assert_allclose(found.sds**2, variance, atol=1e-10)
    assert found.release("first") == pytest.approx((1.2, 0.7))
    assert revise(1.2, 0.7, fitted).quarter == quarter
    assert found.quantiles[0.95] == pytest.approx(found.mean + 1.6449 * found.sd, abs=1e-3)
    with pytest.raises(UsageError, match="has been released"):
        revise(1.2, 0.7, fitted, "1994-Q4")
    with pytest.raises(UsageError, match="below zero"):
        revise(1.2, -1.0, fitted)


def test_results_speak_and_refuse(fitted: FittedRevisions) -> None:
    frame = fitted.to_frame()
    assert len(frame) == 60
    assert (frame["sd"] == 0.0).all()
    assert "efficient release" in fitted.summary()
    assert "Jacobs" in fitted.cite()
    assert fitted.chart().to_dict()
    ahead = fitted.predict("1995-Q2")
    assert ahead.published == {}
    assert ahead.to_frame()["release"].tolist() == ["first", "second", "final"]
    assert "sd" in ahead.summary()
    with pytest.raises(UsageError, match="outside the triangle"):
        fitted.predict("1979-Q4")
    with pytest.raises(UsageError, match="third"):
        fitted.predict("1995-Q1", published={"third": 1.0})
    with pytest.raises(FitError, match="15 quarters"):
        RevisionModel().fit(drawn(MIXED, 15))
    with pytest.raises(FitError, match="do not move"):
        RevisionModel().fit(drawn(MIXED, 20) * 0.0)
    with pytest.raises(UsageError, match="kind"):
        RevisionModel(kind="howrey")  # type: ignore[arg-type]  # what is tested


def test_after_the_efficient_release_the_newest_figure_stands() -> None:
    triangle = drawn(NEWS, 80, seed=7) - np.array([0.3, 0.1, 0.0])
    triangle.iloc[-1, 2] = np.nan
    triangle.iloc[-2, 1:] = np.nan
    fitted = RevisionModel(kind="kishor-koenig", order=0).fit(triangle)
    assert fitted.efficient_release == "first"
    gap = (triangle["final"] - triangle[["first", "second"]].T).T ** 2
    newest, before = fitted.predict(triangle.index[-1]), fitted.predict(triangle.index[-2])
    assert newest.mean == triangle.iloc[-1, 1]
    assert newest.sd**2 == pytest.approx(gap["second"].mean())
    assert before.mean == triangle.iloc[-2, 0]
    assert before.sd**2 == pytest.approx(gap["first"].mean())
    assert fitted.news_share == {"first": 1.0, "second": 1.0}


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_the_triangle_is_the_backtests_notion_of_release(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quarters = pd.period_range("2010Q1", periods=12, freq="Q")
    days = pd.date_range("2012-02-15", periods=8, freq="91D")
    values = rng.normal(size=12)
    rows, panels = [], []
    for k, day in enumerate(days):
        # Some figures change, some do not, some vintages bring no new quarter.
        values = np.where(rng.random(12) < 0.3, rng.normal(size=12), values)
        count = min(12, 5 + k - int(rng.random() < 0.3))
        shown = pd.Series(values[:count], index=quarters[:count])
        panels.append((day, FineVintage(None, shown.to_frame("gdp"))))
        rows += [{"period": q.start_time, "known_at": day, "value": v} for q, v in shown.items()]
    found = release_triangle(pd.DataFrame(rows), transform="lin")
    found.index = [f"{q.year}-Q{q.quarter}" for q in found.index]
    releases: tuple[Release, ...] = ("first", "second", "latest")
    for release in releases:
        assert found[release].dropna().to_dict() == learn_outcomes(panels, "gdp", release)


def levels() -> pd.DataFrame:
    """Vintages every quarter's 15th day; the level of a quarter is first out 45 days after its end."""
    rng = np.random.default_rng(0)
    quarters = pd.period_range("2000Q1", periods=40, freq="Q")
    value = 100.0 * np.exp(np.cumsum(0.01 * rng.normal(size=40)))
    rows = []
    for last in range(9, 40):
        value = value * np.exp(0.002 * rng.normal(size=40))
        day = quarters[last].end_time.normalize() + pd.Timedelta(days=45)
        rows += [{"period": quarters[k].start_time, "pub_date": day, "value": value[k]} for k in range(last + 1)]
    return pd.DataFrame(rows)


def test_growth_is_each_vintages_own_and_nothing_later_is_seen() -> None:
    table = levels()
    found = release_triangle(table, releases=3, final=12, transform="pca")
    wide = table.pivot(index="period", columns="pub_date", values="value")
    growth = 100.0 * ((wide / wide.shift(1)) ** 4 - 1.0)
    row = growth.loc["2004-01-01"].dropna().to_numpy()
    assert found.loc["2004Q1", ["first", "second", "third"]].tolist() == pytest.approx(row[:3])
    # A year after the quarter's end: the vintages of 45 days and three later ones are out.
    assert found.loc["2004Q1", "final"] == pytest.approx(row[3])
    assert pd.isna(found.loc["2001Q1", "first"])
    assert found.loc["2001Q1", "final"] == pytest.approx(growth.loc["2001-01-01"].dropna().iloc[0])
    assert pd.isna(found.loc["2009Q2", "final"])
    day = dt.date(2007, 5, 20)
    cut = release_triangle(table[table["pub_date"] <= pd.Timestamp(day)], final=12, transform="pca")
    pd.testing.assert_frame_equal(release_triangle(table, final=12, transform="pca", as_of=day), cut)
    # Only what is new is the same as whole vintages.
    kept = [
        own.loc[np.r_[True, own["value"].to_numpy()[1:] != own["value"].to_numpy()[:-1]]]
        for _, own in table.sort_values("pub_date").groupby("period")
    ]
    pd.testing.assert_frame_equal(release_triangle(pd.concat(kept)), release_triangle(table))


def test_unchanged_figures_are_releases_only_where_vintages_are_counted() -> None:
    day = pd.date_range("2020-05-15", periods=4, freq="91D")
    rows = [("2020-01-01", day[0], 100.0)]
    rows += [("2020-04-01", when, value) for when, value in zip(day[1:], [101.0, 101.0, 102.0], strict=True)]
    table = pd.DataFrame(rows, columns=["period", "known_at", "value"])
    by_change = release_triangle(table).loc["2020Q2"]
    by_vintage = release_triangle(table, count="vintage").loc["2020Q2"]
    assert by_change.tolist() == pytest.approx([1.0, 2.0, 2.0])
    assert by_vintage.tolist() == pytest.approx([1.0, 1.0, 2.0])
    with pytest.raises(UsageError, match="value"):
        release_triangle(table.drop(columns="value"))
    with pytest.raises(UsageError, match="releases=0"):
        release_triangle(table, releases=0)


def test_efficiency_is_statsmodels_with_newey_west() -> None:
    triangle = drawn(MIXED, 60)
    found = efficiency(triangle, lags=3).set_index("release")
    x, y = triangle["first"].to_numpy(), triangle["final"].to_numpy()
    peer = sm.OLS(y, sm.add_constant(x)).fit(
        cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True}, use_t=True
    )
    test = peer.f_test((np.eye(2), np.array([0.0, 1.0])))
    assert found.loc["first", "efficient_p"] == pytest.approx(float(test.pvalue), rel=1e-6)
    assert found.loc["first", ["intercept", "slope"]].tolist() == pytest.approx(peer.params.tolist())
    assert found.loc["first", "rmsr"] == pytest.approx(np.sqrt(((y - x) ** 2).mean()))


def test_a_release_is_efficient_only_if_all_after_it_are() -> None:
    tests = pd.DataFrame({"release": ["first", "second", "third"], "efficient_p": [0.4, 0.01, 0.3]})
    assert efficient_release(tests, "final") == "third"
    assert efficient_release(tests, "final", level=0.005) == "first"
    assert efficient_release(tests, "final", level=0.35) == "final"
    assert efficient_release(tests.assign(efficient_p=np.nan), "final") == "final"


@pytest.mark.shared_data
@pytest.mark.parametrize(("country", "points"), [("US", 1.42), ("CHE", 2.22)])
def test_revisions_of_gdp_are_as_large_as_was_found(shared_data: Path, country: str, points: float) -> None:
    """Indergand and Leist's vintages, 2002 Q4 to 2019 Q4: root mean square from the first figure to the newest."""
    table = pd.read_parquet(shared_data / "nowcast" / "gdp_realtime_us_che.parquet")
    own = table[table["id"] == country].rename(columns={"time": "period"})
    triangle = release_triangle(own.assign(value=400 * np.log(own["value"])), transform="chg")
    gap = (triangle["latest"] - triangle["first"])[:"2019Q4"].dropna()
    assert len(gap) == 69
    assert np.sqrt((gap**2).mean()) == pytest.approx(points, abs=0.005)
