"""The batched regression engine and its day terms, against plain least squares and planted effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.adjust import DayDesign, Shared, calendar_days, find_steps, fit_batch, moving_feasts
from opsroom.measure.adjust.breaks import fit_levelled
from opsroom.measure.adjust.feasts import feast_days, feast_terms
from opsroom.measure.adjust.spread import Spread
from opsroom.measure.adjust.terms import weather_days


def _panel(series: int, days: int = 200, terms: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(days), rng.normal(size=(days, terms - 1))])
    coef = rng.normal(size=(series, terms))
    return coef @ x.T + rng.normal(0, 0.1, (series, days)), x, coef


@pytest.mark.parametrize("series", [3, 40])
def test_without_robust_loss_it_is_least_squares_whatever_is_missing(series: int) -> None:
    """Few series go by plain products, many by outer products of the design; both are OLS row by row."""
    y, x, _ = _panel(series)
    y[np.random.default_rng(0).random(y.shape) < 0.2] = np.nan
    fit = fit_batch(y, x, huber=None, chunk=16)
    for row in range(series):
        seen = np.isfinite(y[row])
        expected = np.linalg.lstsq(x[seen], y[row, seen], rcond=None)[0]
        np.testing.assert_allclose(fit.coef[row], expected, atol=1e-6)
        assert fit.rows[row] == seen.sum()


def test_wild_days_do_not_move_a_robust_fit() -> None:
    y, x, coef = _panel(50)
    y[:, ::20] += 30
    plain, robust = fit_batch(y, x, huber=None), fit_batch(y, x, iterations=8)
    assert np.abs(robust.coef - coef).max() < 0.1
    assert np.abs(plain.coef - coef).max() > 0.5
    assert np.median(robust.scale) == pytest.approx(0.1, rel=0.25)


def test_weights_of_zero_leave_days_out_and_a_penalty_shrinks() -> None:
    y, x, _ = _panel(10)
    wild = y.copy()
    wild[:, :50] = 99
    weights = np.ones(y.shape[1])
    weights[:50] = 0
    left_out = fit_batch(wild, x, weights=weights, huber=None).coef
    np.testing.assert_allclose(left_out, fit_batch(y[:, 50:], x[50:], huber=None).coef, atol=1e-6)
    held = fit_batch(y, x, huber=None, penalty=np.array([0, 1e9, 1e9, 1e9, 1e9])).coef
    assert np.abs(held[:, 1:]).max() < 1e-4


def test_single_precision_agrees_with_double() -> None:
    y, x, _ = _panel(60)
    double, single = fit_batch(y, x), fit_batch(y.astype(np.float32), x)
    assert single.coef.dtype == np.float32
    np.testing.assert_allclose(single.coef, double.coef, atol=2e-3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    y, x, _ = _panel(3)
    with pytest.raises(UsageError):
        fit_batch(y[:, 1:], x)
    with pytest.raises(UsageError):
        fit_batch(y, x, penalty=np.ones(2))


def test_holidays_and_bridge_days_are_named() -> None:
    days = calendar_days(pd.date_range("2019-12-20", "2020-01-10"), country="DE")
    assert days.loc["2019-12-25", "kind"] == "public_holiday"
    assert days.loc["2019-12-25", "name"]
    assert days.loc["2019-12-27", "kind"] == "bridge"  # the Friday after the second holiday
    assert days.loc["2019-12-28", "kind"] == "weekend"
    assert days.loc["2020-01-08", "kind"] == "workday"
    assert (calendar_days(pd.date_range("2020-01-01", periods=3))["kind"] == "workday").all()
    with pytest.raises(UsageError, match="OPS-U020"):
        calendar_days(pd.date_range("2020-01-01", periods=3), country="XX")


def test_the_design_takes_out_planted_weather_and_calendar() -> None:
    """Nine tenths of what was planted is explained out of sample, with other forms than the terms'."""
    rng = np.random.default_rng(1)
    dates = pd.date_range("2016-01-01", "2019-12-31")
    n = len(dates)
    doy = dates.day_of_year.to_numpy()
    temperature = pd.Series(12 - 10 * np.cos(2 * np.pi * doy / 365) + rng.normal(0, 4, n), index=dates)
    calendar = calendar_days(dates, country="FR")
    off = (calendar["kind"] != "workday").to_numpy()
    planted = -0.25 * off + 0.08 * np.log1p(np.exp((10 - temperature.to_numpy()) / 3))
    y = planted + rng.normal(0, 0.01, n)
    weather = weather_days(temperature, dates)
    train = np.asarray(dates < "2019-01-01")
    x, penalty = DayDesign.learn(calendar[train], weather[train], trend="none").matrix(calendar, weather)
    fit = fit_batch(y[None, train], x[train], penalty=penalty)
    left = planted[~train] - fit.predict(x[~train])[0]
    assert left.var() < 0.1 * planted[~train].var()


@pytest.mark.parametrize("missing", [0.0, 0.25, 0.8])
def test_one_factorisation_gives_what_reweighting_settles_on(missing: float) -> None:
    """Huber's loss with a ridge has one minimum: modified residuals and re-weighting must both be there."""
    y, x, _ = _panel(40)
    rng = np.random.default_rng(5)
    y += 3 * (rng.random(y.shape) < 0.03)
    y[rng.random(y.shape) < missing] = np.nan
    ridge = np.array([0, 1, 2, 3, 4.0])
    settled = fit_batch(y, x, penalty=ridge, iterations=80)
    found = Shared.of(x, penalty=ridge).fit(y, steps=400, tolerance=1e-10)
    np.testing.assert_allclose(found.coef, settled.coef, atol=1e-4 if missing > 0.5 else 1e-7)
    np.testing.assert_array_equal(found.rows, settled.rows)


def test_complete_series_without_robust_loss_are_ridge_regression() -> None:
    y, x, _ = _panel(7)
    ridge = np.array([0, 1, 2, 3, 4.0])
    expected = np.linalg.solve(x.T @ x + np.diag(ridge), x.T @ y.T).T
    shared = Shared.of(x, penalty=ridge)
    np.testing.assert_allclose(shared.fit(y, huber=None).coef, expected, atol=1e-6)
    smoother = x @ np.linalg.solve(x.T @ x + np.diag(ridge), x.T)
    assert shared.freedom == pytest.approx(np.trace(smoother), abs=1e-5)


def test_a_design_that_cannot_be_told_apart_is_refused() -> None:
    _, x, _ = _panel(3)
    with pytest.raises(FitError, match="OPS-M016"):
        Shared.of(np.column_stack([x, 1e9 * x, -1e9 * x]))
    with pytest.raises(UsageError, match="no number"):
        Shared.of(np.column_stack([x, np.full(len(x), np.nan)]))
    with pytest.raises(UsageError):
        Shared.of(x).fit(np.zeros((2, 5)))


def _errors(series: int, days: int, memory: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.zeros((series, days))
    for t in range(1, days):
        out[:, t] = memory * out[:, t - 1] + np.sqrt(1 - memory**2) * rng.normal(0, 0.1, series)
    return out


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_steps_are_found_where_they_are_and_only_there(memory: float) -> None:
    quiet = _errors(400, 800, memory, 1)
    scale = np.full(400, 0.1)
    assert len(find_steps(quiet, scale).series) == 0
    day = np.random.default_rng(2).integers(120, 680, 400)
    stepped = quiet + 0.35 * (np.arange(800)[None, :] >= day[:, None])
    stepped -= stepped.mean(axis=1, keepdims=True)
    found = find_steps(stepped, np.full(400, 0.2))
    assert len(found.series) > 0.9 * 400
    assert np.mean(np.abs(found.day - day[found.series]) <= 7) > 0.9
    assert np.median(found.size) == pytest.approx(0.35, abs=0.03)
    passing = quiet - 0.35 * ((np.arange(800) >= 300) & (np.arange(800) < 330))
    assert len(find_steps(passing, scale).series) < 8


def test_a_step_does_not_bend_season_or_trend() -> None:
    """The size is estimated together with the terms that would take it up."""
    rng = np.random.default_rng(4)
    t = np.arange(730)
    x = np.column_stack([np.ones(730), np.minimum(t, 365) / 365, np.cos(t / 58.1), np.sin(t / 58.1)])
    y = 0.1 * x[:, 2] + 0.4 * (t >= 200) + rng.normal(0, 0.05, (5, 730))
    fit, steps = fit_levelled(Shared.of(x), y.copy(), trend=slice(1, 2), tolerance=1e-6)
    np.testing.assert_allclose(steps.size, 0.4, atol=0.03)
    np.testing.assert_allclose(fit.coef[:, 0], 0.4, atol=0.05)
    np.testing.assert_allclose(fit.coef[:, 2], 0.1, atol=0.01)
    blind, none = fit_levelled(Shared.of(x), y.copy(), trend=slice(1, 2), size=np.inf)
    assert len(none.series) == 0
    assert np.abs(blind.coef[:, 2] - 0.1).max() > 0.02


EASTERS = {2000: "2000-04-23", 2008: "2008-03-23", 2019: "2019-04-21", 2038: "2038-04-25"}
ORTHODOX = {2000: "2000-04-30", 2008: "2008-04-27", 2019: "2019-04-28", 2038: "2038-04-25"}


@pytest.mark.parametrize("year", sorted(EASTERS))
def test_easter_is_when_the_almanac_says(year: int) -> None:
    assert str(feast_days("easter", year)[0]) == EASTERS[year]
    assert str(feast_days("orthodox_easter", year)[0]) == ORTHODOX[year]


def test_a_country_keeps_its_own_moving_feasts() -> None:
    dates = pd.date_range("2016-01-01", "2020-12-31")
    kept = {c: set(moving_feasts(dates, country=c)) for c in ("IT", "GR", "CN", "TR", "ID", "US")}
    assert kept["IT"] == {"easter"}
    assert kept["GR"] == {"orthodox_easter"}
    assert kept["CN"] == {"lunar_new_year"}
    assert kept["TR"] == {"eid_al_fitr", "eid_al_adha"}
    assert kept["ID"] >= {"lunar_new_year", "eid_al_fitr", "eid_al_adha"}
    assert kept["US"] == set()
    assert moving_feasts(dates) == {}
    assert str(feast_days("lunar_new_year", 2020)[0]) == "2020-01-25"
    assert len(feast_days("eid_al_fitr", 2000)) == 2  # the lunar year fits in twice


def test_ramadan_and_the_weeks_about_new_year_have_terms_of_their_own() -> None:
    dates = pd.date_range("2019-01-01", "2020-12-31")
    feasts = moving_feasts(dates, country="ID")
    fast = pd.DataFrame(feast_terms("eid_al_fitr", feasts["eid_al_fitr"], dates), index=dates)
    assert (fast.loc["2020-04-26":"2020-05-22"].sum(axis=1) > 0.5).all()
    assert (fast.loc["2020-08-01":].sum(axis=1) == 0).all()
    year = pd.DataFrame(feast_terms("lunar_new_year", feasts["lunar_new_year"], dates), index=dates)
    np.testing.assert_allclose(year.loc["2019-02-05"].to_numpy(), year.loc["2020-01-25"].to_numpy())
    assert year.loc["2020-01-25"].max() == 1


def test_temperature_saturates_at_the_hottest_day_seen() -> None:
    dates = pd.date_range("2016-01-01", "2019-12-31")
    temperature = pd.Series(15 - 12 * np.cos(2 * np.pi * dates.day_of_year.to_numpy() / 365), index=dates)
    calendar = calendar_days(dates)
    train = np.asarray(dates < "2019-01-01")
    weather = weather_days(temperature, dates)
    design = DayDesign.learn(calendar[train], weather[train])
    hot, hotter = (weather + extra for extra in (50.0, 80.0))
    np.testing.assert_array_equal(design.matrix(calendar, hot)[0], design.matrix(calendar, hotter)[0])


def test_other_weather_is_taken_along() -> None:
    dates = pd.date_range("2017-01-01", "2019-12-31")
    rng = np.random.default_rng(0)
    doy = dates.day_of_year.to_numpy()
    frame = pd.DataFrame({"t": 12 - 9 * np.cos(doy / 58.1), "sun": rng.gamma(2, 5, len(dates))}, index=dates)
    weather, calendar = weather_days(frame, dates), calendar_days(dates)
    y = -0.01 * (frame["sun"].to_numpy() - 10) + rng.normal(0, 0.01, len(dates))
    x, penalty = DayDesign.learn(calendar, weather, trend="none").matrix(calendar, weather)
    left = y - Shared.of(x, penalty=penalty).fit(y[None]).predict(x)[0]
    assert left.std() < 0.013


def test_the_law_of_errors_is_found_by_horizon_and_kind() -> None:
    rng = np.random.default_rng(0)
    horizon = rng.integers(0, 700, 40_000)
    kind = rng.choice(3, 40_000, p=[0.8, 0.1, 0.1])
    sd = np.sqrt(0.01 + 0.02 * horizon / 365) * np.array([1, 2, 1.5])[kind]
    law = Spread.learn(rng.normal(0, 1, 40_000) * sd, horizon, kind)
    np.testing.assert_allclose(law.sd(horizon, kind), sd, rtol=0.08)


def test_the_law_does_not_go_wild_where_all_horizons_are_short() -> None:
    """Blocks left out have horizon 0: a line through one point must not vanish there."""
    rng = np.random.default_rng(0)
    error = rng.normal(0, 0.02, 700)
    for horizon in (np.zeros(700, dtype=np.int64), np.r_[np.zeros(640, dtype=np.int64), np.arange(60)]):
        law = Spread.learn(error, horizon, np.zeros(700, dtype=np.int64))
        assert law.sd(np.array([0, 90]), np.array([0, 0])) == pytest.approx(0.02, rel=0.15)
