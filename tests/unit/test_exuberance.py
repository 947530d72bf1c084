"""`gsadf`: what it refuses, against statsmodels, its critical values, its dates and their signs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import Charted, Result
from opsroom.warn.exuberance import critical, gsadf, monte_carlo_values, nulls, ols
from opsroom.warn.exuberance.drawing import in_chunks, p_value
from opsroom.warn.exuberance.episodes import date_stamps, runs
from opsroom.warn.exuberance.sequences import plan_for, sequences


def walk(length: int, seed: int = 0, start: float = 50.0) -> np.ndarray:
    return start + np.cumsum(np.random.default_rng(seed).normal(size=length))


@pytest.fixture(scope="module")
def boom() -> pd.Series:
    y = walk(100, 3)
    y[60:80] += 1.25 ** np.arange(20)
    return pd.Series(y, index=pd.period_range("2000Q1", periods=100, freq="Q"), name="ratio")


@pytest.mark.parametrize("lags", [0, 1, 5])
def test_a_window_is_an_ordinary_regression(lags: int) -> None:
    y = walk(60, 1)
    d, rows = np.diff(y), np.arange(7, 44)
    columns = [d[rows + lags - j] for j in range(1, lags + 1)]
    fitted = sm.OLS(d[rows + lags], sm.add_constant(np.column_stack([y[rows + lags], *columns]))).fit()
    assert ols.statistic(y, lags, 7, 43) == pytest.approx(fitted.tvalues[1], abs=1e-9)
    assert ols.coefficient(y, lags, 7, 43) == pytest.approx(fitted.params[1], abs=1e-12)


def test_lags_by_bic_are_those_of_the_smallest_criterion() -> None:
    rng = np.random.default_rng(8)
    d = np.zeros(80)
    for t in range(3, 80):
        d[t] = 0.6 * d[t - 3] + rng.normal()
    y, most = np.cumsum(d), 4
    rows = np.arange(5, 60)
    steps = np.diff(y)
    fits = []
    for k in range(most + 1):
        columns = np.column_stack([y[rows + most], *(steps[rows + most - j] for j in range(1, k + 1))])
        fits.append(sm.OLS(steps[rows + most], sm.add_constant(columns)).fit())
    best = fits[int(np.argmin([fit.bic for fit in fits]))]
    assert best is fits[3]
    assert ols.statistic(y, most, 5, 59, bic=True) == pytest.approx(best.tvalues[1], abs=1e-9)


def test_what_cannot_be_tested_is_refused() -> None:
    y = walk(60)
    for wrong, match in ((np.nan, "missing or infinite"), (np.inf, "missing or infinite")):
        broken = y.copy()
        broken[5] = wrong
        with pytest.raises(FitError, match=match) as caught:
            gsadf(broken)
        assert caught.value.code == "OPS-M341"
    with pytest.raises(FitError, match="too short"):
        gsadf(walk(5))
    with pytest.raises(UsageError, match="no number"):
        gsadf(["a"] * 60)
    with pytest.raises(FitError, match="stands still"):
        gsadf(np.ones(60), draws=99)
    with pytest.raises(FitError, match="not one period"):
        gsadf(pd.Series(y, index=pd.period_range("2000Q1", periods=61, freq="Q").delete(30)))
    quarters = pd.date_range("2000-01-01", periods=61, freq="QE").delete(30)
    with pytest.raises(FitError, match="not one period"):
        gsadf(pd.Series(y, index=quarters))
    with pytest.raises(UsageError, match="rising order"):
        gsadf(pd.Series(y, index=range(60))[::-1])
    with pytest.raises(UsageError, match="one series"):
        gsadf(np.ones((30, 2)))
    for given in (
        {"lags": 13}, {"lags": "aic"}, {"lags": True}, {"min_window": 2}, {"min_window": 7.5}, {"draws": 50},
        {"levels": (0.9, 1.0)}, {"critical_values": "web"}, {"dating_level": 0.8}, {"volatility": "garch"},
        {"family_years": 2}, {"family_years": 2, "critical_values": "wild_bootstrap"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            gsadf(y, **given)  # type: ignore[arg-type]  # wrong on purpose


def test_the_largest_are_the_largest(boom: pd.Series) -> None:
    found = gsadf(boom, lags=1, draws=199)
    assert isinstance(found, Result)
    assert isinstance(found, Charted)
    assert found.gsadf == found.bsadf.max()
    assert found.sadf == found.badf.max()
    assert found.adf == found.badf.iloc[-1]
    assert found.bsadf.index.equals(boom.index)
    assert found.bsadf.isna().sum() == 1 + 1 + plan_for(100, 1, None).least - 1
    known = found.bsadf.notna()
    assert (found.bsadf[known] >= found.badf[known]).all()
    first = known.idxmax()
    assert found.bsadf[first] == found.badf[first]
    slow = gsadf(boom.iloc[:50], lags=1, draws=199, compiled=False)
    quick = gsadf(boom.iloc[:50], lags=1, draws=199)
    assert np.allclose(slow.bsadf, quick.bsadf, atol=1e-9, equal_nan=True)


def test_booms_and_crashes_are_told_apart(boom: pd.Series) -> None:
    up, down = gsadf(boom, draws=199), gsadf(200.0 - boom, draws=199)
    assert np.allclose(up.bsadf.dropna(), down.bsadf.dropna(), atol=1e-9)
    assert [e.sign for e in up.episodes] == ["boom"]
    assert [e.sign for e in down.episodes] == ["crash"]
    episode = up.episodes[0]
    assert boom.index[60] <= episode.start <= episode.peak <= episode.end <= boom.index[80]
    assert not episode.ongoing
    assert episode.root > 1.0
    assert episode.growth_rate == pytest.approx(episode.root**4 - 1.0)
    assert episode.strength == pytest.approx((up.bsadf - up.sequence()).max())
    assert "Boom from" in up.summary()
    assert "neither mispricing nor a forecast" in up.summary()
    assert up.chart().to_dict()["title"]["text"][0].startswith("Last explosive stretch")
    frame = up.to_frame()
    assert set(frame["episode"]) == {0, 1}
    assert frame["episode"].sum() == episode.duration
    assert set(down.to_frame()["episode"]) == {0, -1}
    assert gsadf(boom.iloc[:79], draws=199).episodes[-1].ongoing
    assert up.episode_table().shape[0] == 1
    assert "Phillips, Shi and Yu" in up.cite()


def test_dates_below_a_test_that_does_not_reject_are_no_evidence(boom: pd.Series) -> None:
    found = gsadf(boom, draws=199)
    assert "does not tell them from chance" not in found.summary()
    meek = replace(found, gsadf=found.critical.at("gsadf", 0.95) - 0.01)
    assert meek.episodes
    said = meek.summary().splitlines()
    assert said[0].startswith("No explosive stretch")
    assert "does not tell them from chance" in said[1]
    assert meek.chart().to_dict()["title"]["text"][0].startswith("No explosive stretch")


def test_the_sensitivity_of_a_test_of_signs_shows_that_test(boom: pd.Series) -> None:
    signs = gsadf(boom, volatility="signs", draws=199)
    shown = signs.sensitivity(lags=(0,), kinds=("monte_carlo",), draws=199).set_index("critical_values")
    assert list(shown.index) == ["monte_carlo", "signs"]
    assert shown.loc["signs", "gsadf"] == signs.gsadf
    assert shown.loc["monte_carlo", "gsadf"] == gsadf(boom, draws=199).gsadf


def test_a_root_is_found() -> None:
    rng = np.random.default_rng(2)
    y = np.zeros(80)
    y[0] = 10.0
    for t in range(1, 80):
        y[t] = (1.06 if t > 40 else 1.0) * y[t - 1] + 0.05 * rng.normal()
    found = gsadf(y, draws=199)
    assert found.episodes[-1].root == pytest.approx(1.06, abs=0.005)
    assert found.episodes[-1].growth_rate == pytest.approx(found.episodes[-1].root - 1.0)  # no dates: an observation


def test_dates_by_hand() -> None:
    y = np.arange(12.0) + np.random.default_rng(0).normal(size=12)
    plan = plan_for(12, 0, 4)
    nan = np.nan
    statistic = np.array([nan, nan, nan, 0.0, 2.0, 3.0, 0.0, 2.0, 0.0, 1.5, 4.0])
    found = date_stamps(y, pd.RangeIndex(12), statistic, np.full(11, 1.0), plan, min_duration=2, any_start=True)
    assert [(e.start, e.peak, e.end, e.duration, e.ongoing) for e in found] == [
        (5, 6, 6, 2, False),
        (10, 11, 11, 2, True),
    ]
    assert found[1].strength == 3.0
    assert runs(np.zeros(3, dtype=bool), 1) == []


def test_pwy_dates_by_its_own_sequence(boom: pd.Series) -> None:
    found = gsadf(boom, draws=199)
    lead = found.critical.plan.lead
    above = found.badf.to_numpy()[lead:] > found.critical.badf[0.95].to_numpy()
    expected = [boom.index[a + lead] for a, _ in runs(above, 2)]
    assert [e.start for e in found.date(method="pwy", min_duration=2)] == expected
    assert not found.critical.badf[0.95].equals(found.critical.bsadf[0.95])
    with pytest.raises(UsageError, match="no critical value"):
        found.date(level=0.5)


def test_critical_values_do_not_depend_on_threads_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y, plan = walk(60, 4), plan_for(60, 1, None)
    given = {"draws": 199, "levels": (0.9, 0.95), "seed": 3}

    def draw(workers: int, cache: Path | None = None) -> critical.CriticalValues:
        critical._memory.clear()
        return critical.bootstrap_values(
            y, plan, kind="wild_bootstrap", workers=workers, cache=cache, **given  # type: ignore[arg-type]  # by name
        )  # fmt: skip

    one, many = draw(1, tmp_path), draw(3)
    pd.testing.assert_frame_equal(one.table, many.table)
    pd.testing.assert_frame_equal(one.bsadf, many.bsadf)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(critical, "_draw_all", lambda *_: pytest.fail("drawn again"))
        pd.testing.assert_frame_equal(draw(1, tmp_path).table, one.table)
    kept.write_bytes(kept.read_bytes()[:100])
    pd.testing.assert_frame_equal(draw(1, tmp_path).table, one.table)
    assert len(list(tmp_path.iterdir())) == 1
    other = critical.bootstrap_values(y + np.arange(60), plan, kind="wild_bootstrap", cache=tmp_path, **given)  # type: ignore[arg-type]  # by name
    assert len(list(tmp_path.iterdir())) == 2
    assert not other.table.equals(one.table)


def test_p_values_count() -> None:
    drawn = np.array([1.0, 2.0, 3.0, 3.0])
    assert [p_value(drawn, v) for v in (0.0, 3.0, 4.0)] == [1.0, 0.6, 0.2]
    assert np.isnan(p_value(drawn, np.nan))
    found = monte_carlo_values(60, draws=199)
    at = found.at("gsadf", 0.95)
    assert found.p_value("gsadf", at) == pytest.approx(0.05, abs=0.006)
    (numbers,) = in_chunks(lambda rng, n: (rng.normal(size=n),), 150, seed=1, workers=2)
    assert len(np.unique(numbers)) == 150


def test_critical_values_are_the_statistics_own() -> None:
    """Lags, window and kind reach the draws: quantiles recomputed from the paths."""
    y = walk(50, 6)
    for lags in (0, 2):
        plan = plan_for(50, lags, 12)
        found = critical.bootstrap_values(y, plan, kind="wild_bootstrap", draws=64, levels=(0.9,), seed=5)
        paths = nulls.wild(y, lags)(np.random.default_rng([5, 0]), 64)
        drawn = sequences(paths, plan)
        assert found.at("gsadf", 0.9) == np.quantile(drawn.gsadf, 0.9)
        assert found.bsadf[0.9].iloc[-1] == pytest.approx(np.quantile(drawn.sadf, 0.9))
        assert found.pointwise[0.9].iloc[20] == np.quantile(drawn.bsadf[:, 20], 0.9)


def test_paths_without_bubbles_keep_what_they_should() -> None:
    y = walk(40, 7)
    rng = np.random.default_rng(0)
    paths = nulls.wild(y, 0)(rng, 20)
    assert np.allclose(np.abs(np.diff(paths, axis=1)), np.abs(np.diff(y)))
    assert np.abs(np.corrcoef(np.sign(np.diff(paths, axis=1)))[0, 1:]).max() < 0.8
    # recoloured: the recursion by hand, on residuals that fitted the steps
    steps = nulls.fit_steps(y, 2, drift=True)
    d = np.diff(y) - np.diff(y).mean()
    shocks = steps.residuals[None] * -1.0
    built = np.diff(steps.rebuild(shocks)[0])
    by_hand = np.zeros(39)
    for t in range(39):
        by_hand[t] = shocks[0, t] + sum(steps.weights[j] * by_hand[t - 1 - j] for j in range(2) if t - 1 - j >= 0)
    assert np.allclose(built, by_hand)
    left = d[2:] - steps.weights[0] * d[1:-1] - steps.weights[1] * d[:-2]
    assert np.allclose(steps.residuals[2:], left - left.mean())
    # a bubble's persistence is not taken for that of the world without bubbles
    explosive = nulls.fit_steps(1.1 ** np.arange(40) + 0.01 * rng.normal(size=40), 1, drift=True)
    assert abs(explosive.weights[0]) <= nulls.STABLE + 1e-12
    drawn = nulls.sieve(y, 0)(rng, 50)
    assert np.isin(np.round(np.diff(drawn, axis=1), 9), np.round(d, 9)).all()


def test_families_hold_for_longer_the_longer_they_are(boom: pd.Series) -> None:
    def line(years: float) -> pd.Series:
        found = gsadf(boom, lags=1, critical_values="wild_bootstrap", family_years=years, draws=499)
        return found.critical.bsadf[0.95].dropna()

    two, ten = line(2), line(10)
    assert two.nunique() == 1
    assert ten.iloc[0] > two.iloc[0]
    plan = plan_for(100, 1, None)
    paths = nulls.family(critical_scaled(boom), 1, plan.least + plan.lead + 7)
    assert paths(np.random.default_rng(0), 3).shape == (3, plan.least + 9)


def critical_scaled(series: pd.Series) -> np.ndarray:
    from opsroom.warn.exuberance.sequences import scaled

    return scaled(series.to_numpy())


def test_signs_look_at_nothing_but_signs(boom: pd.Series) -> None:
    one = gsadf(boom, volatility="signs", draws=199)
    stretched = boom.iloc[0] + np.concatenate([[0.0], np.cumsum(np.diff(boom) * np.linspace(1, 50, 99))])
    two = gsadf(stretched, volatility="signs", draws=199)
    assert one.gsadf == two.gsadf
    assert one.p_value == two.p_value
    assert one.critical.kind == "signs"


def test_sensitivity_shows_every_pair_and_its_own_critical_value(boom: pd.Series) -> None:
    found = gsadf(boom, draws=199)
    table = found.sensitivity(lags=(0, 1), draws=199)
    assert list(table["critical_values"]) == ["monte_carlo", "wild_bootstrap", "sieve"] * 2
    assert table["gsadf"].nunique() == 2
    assert table["critical"].nunique() == 6
    assert table["gsadf"].iloc[0] == found.gsadf
    assert (table["alarm"] == (table["gsadf"] > table["critical"])).all()
    short = gsadf(boom.iloc[:24], min_window=8, draws=199).sensitivity(lags=(0, 12), kinds=("monte_carlo",))
    assert list(short["lags"]) == ["0"]
