"""The batched regression engine and its day terms, against plain least squares and planted effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.measure.adjust import DayDesign, calendar_days, fit_batch
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
