"""The composite weekly index against brute force, planted truths and what must not change it.

The synthetic economy here is no kin of Meridia: parameters are drawn anew for each seed, steps have momentum and drift
back, a stop of random depth comes with a recovery of random speed, errors have memory and wild values, edges are
ragged, and each input's response to the stop strays from its usual one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.composite import CompositeResult, Input, Settings, composite
from opsroom.measure.composite import band_kernel as kernel
from opsroom.measure.composite.doubt import Doubt, doubts
from opsroom.measure.composite.factor import Factor, fit_factor
from opsroom.measure.composite.grid import Rows, rows_of, week_of
from opsroom.measure.composite.known_output import KnownOutput, quarter_growth
from opsroom.measure.composite.scaling import Scaling, fit_scaling
from opsroom.measure.known import known

FIRST = pd.Timestamp("2010-01-04")


def draw(seed: int, *, years: int = 6, strays: float = 0.5) -> tuple[dict[str, pd.Series], list[Input], dt.date, Any]:
    """Return panel, inputs, day, and the planted weekly growth and gap (log points)."""
    rng = np.random.default_rng(seed)
    weeks = 52 * years
    momentum, sd = rng.uniform(0.2, 0.55), rng.uniform(0.08, 0.25)
    step = np.zeros(weeks)
    for t in range(1, weeks):
        step[t] = momentum * step[t - 1] + rng.normal(0, sd)
    calm = np.zeros(weeks)
    for t in range(1, weeks):
        calm[t] = 0.995 * calm[t - 1] + step[t]
    since = np.arange(weeks) - (weeks - int(rng.integers(20, 110)))
    stop = -rng.uniform(5, 15) * np.clip((since + 1) / 3, 0, 1) * np.exp(-np.maximum(since - 2, 0) / rng.uniform(6, 30))
    trend = rng.uniform(1, 3)
    days = pd.date_range(FIRST, periods=7 * weeks)

    def error(n: int, memory: float, spread: float) -> np.ndarray:
        out = np.zeros(n)
        for t in range(n):
            out[t] = memory * (out[t - 1] if t else 0.0) + spread * rng.standard_t(5)
        return out

    panel: dict[str, pd.Series] = {}
    inputs = []
    for j in range(int(rng.integers(2, 5))):
        loading = rng.uniform(0.5, 3) * rng.choice([-1, 1])
        path = calm + stop * (1 + rng.uniform(-strays, strays))
        x = pd.Series(loading * path, index=pd.date_range(FIRST, periods=weeks, freq="7D"))
        x += error(weeks, rng.uniform(0.1, 0.9), rng.uniform(0.4, 1.5) * abs(loading))
        x = x.iloc[int(rng.choice([0, weeks // 2, weeks - 110])) if j else 0 :]
        wild = rng.random(len(x)) < 0.01
        x[wild] += rng.normal(0, 15, int(wild.sum()))
        panel[f"w{j}"] = x
        inputs.append(Input(f"w{j}", "W", "linear", "level", lag_days=int(rng.integers(0, 12))))
    for j in range(int(rng.integers(2, 6))):
        loading = rng.uniform(0.5, 2) * rng.choice([-1, 1], p=[0.2, 0.8])
        path = np.repeat(calm + stop * (1 + rng.uniform(-strays, strays)), 7)
        month = pd.Series(path, index=days).resample("MS").mean()
        x = loading * month + rng.uniform(-1, 3) * np.arange(len(month)) / 12
        x += error(len(month), rng.uniform(0.3, 0.98), rng.uniform(0.1, 0.6) * abs(loading))
        panel[f"m{j}"] = 100 * np.exp(x / 100)
        inputs.append(Input(f"m{j}", "M", lag_days=int(rng.integers(5, 45))))
    gap = pd.Series(calm + stop, index=pd.date_range(FIRST, periods=weeks, freq="7D"))
    level = pd.Series(np.repeat(gap.to_numpy(), 7) + trend * np.arange(7 * weeks) / 364, index=days)
    quarter = level.resample("QS").mean()
    panel["gdp"] = 1000 * np.exp((quarter + rng.normal(0, rng.uniform(0.1, 0.4), len(quarter))) / 100)
    inputs.append(Input("gdp", "Q", lag_days=30))
    return panel, inputs, days[-1].date(), (trend + gap - gap.shift(52), gap)


def make(seed: int, **more: Any) -> CompositeResult:
    panel, inputs, day, _ = draw(seed)
    return composite(panel, target="gdp", inputs=inputs, as_of=day, **more)


@pytest.fixture(scope="module")
def one() -> CompositeResult:
    return make(1)


# -- algebra ------------------------------------------------------------------------------------------------------


def test_banded_algebra_is_dense_algebra() -> None:
    rng = np.random.default_rng(3)
    weeks, width = 40, 7
    dense = np.zeros((weeks, weeks))
    band = np.zeros((weeks, width))
    start, column, value, weight = [0], [], [], []
    for _ in range(120):
        first = int(rng.integers(0, weeks - width + 1))
        cells = np.sort(rng.choice(np.arange(first, first + width), 3, replace=False))
        row = np.zeros(weeks)
        row[cells] = rng.normal(size=3)
        w = float(rng.uniform(0.1, 2))
        dense += w * np.outer(row, row)
        column += cells.tolist()
        value += row[cells].tolist()
        start.append(len(column))
        weight.append(w)
    arrays = [np.array(start), np.array(column), np.array(value), np.array(weight)]
    kernel.add_rows(band, *arrays)
    dense += np.eye(weeks)
    band[:, 0] += 1.0
    assert kernel.factorise(band)
    right = rng.normal(size=(weeks, 2))
    solved = right.copy()
    kernel.solve(band, solved)
    np.testing.assert_allclose(solved, np.linalg.solve(dense, right), atol=1e-10)
    found = np.zeros((weeks, width))
    kernel.covariances(band, found)
    inverse = np.linalg.inv(dense)
    for k in range(width):
        np.testing.assert_allclose(found[k:, k], np.diag(inverse, -k), atol=1e-10)
    out = np.zeros(120)
    kernel.cross(found, arrays[0], arrays[1], arrays[2], arrays[2], out)
    rows = np.zeros((120, weeks))
    for k in range(120):
        rows[k, column[start[k] : start[k + 1]]] = value[start[k] : start[k + 1]]
    np.testing.assert_allclose(out, np.einsum("ki,ij,kj->k", rows, inverse, rows), atol=1e-10)
    band[5, 0] = -1.0
    assert not kernel.factorise(band)


def fitted(seed: int = 4) -> tuple[Factor, list[Rows]]:
    """Return the factor of a small panel: weekly levels with a gap, a monthly input by year."""
    panel, inputs, day, _ = draw(seed, years=3)
    frame, _ = known(panel, of=inputs, as_of=day)
    pieces = {str(name): part for name, part in frame.groupby("series")}
    rows = [rows_of(i, pieces[i.name]) for i in inputs if i.name != "gdp"]
    first = min(int(r.column.min()) for r in rows)
    rows = [r.shifted(first) for r in rows]
    weeks = max(int(r.column.max()) for r in rows) + 1
    drifts = np.zeros(len(rows), dtype=bool)
    factor = fit_factor(
        rows, weeks=weeks, last=weeks - 1, signs=np.full(len(rows), 0.3), drifts=drifts, settings=Settings()
    )
    return factor, rows


def _dense(rows: Rows, weeks: int) -> np.ndarray:
    out = np.zeros((len(rows), weeks))
    for k in range(len(rows)):
        part = slice(rows.start[k], rows.start[k + 1])
        np.add.at(out[k], rows.column[part], rows.now[part])
    return out


def _filter(kept: np.ndarray) -> np.ndarray:
    """Return the matrix that takes what is kept of the error before off each error."""
    out = np.eye(len(kept))
    out[np.arange(1, len(kept)), np.arange(len(kept) - 1)] = -kept[1:]
    return out


def test_the_path_is_generalised_least_squares_and_its_doubt_the_sandwich() -> None:
    """Dense matrices give the same path, parts and variances (given the parameters)."""
    factor, inputs = fitted()
    weeks = len(factor.path)
    difference = np.diff(np.eye(weeks), axis=0)
    prior = difference.T @ (factor.steps[:, None] * difference)
    prior[0, 0] += 1e-4
    precision, right, meat = prior.copy(), [], prior.copy()
    for i, rows in enumerate(inputs):
        a = factor.loading[i] * _dense(rows, weeks)
        kept, new = factor.errors.chain(i, rows)
        filtered = _filter(kept)
        q = filtered.T @ np.diag(factor.weights[i] / new) @ filtered
        precision += a.T @ q @ a
        right.append(a.T @ q @ (factor.values[i] - factor.mean[i]))
        long_kept, long_new = factor.lasting.chain(i, rows)
        unfilter = np.linalg.inv(_filter(long_kept))
        meat += a.T @ q @ (unfilter @ np.diag(long_new) @ unfilter.T) @ q @ a
    inverse = np.linalg.inv(precision)
    np.testing.assert_allclose(factor.path, inverse @ sum(right), atol=1e-6)
    np.testing.assert_allclose(factor.parts, inverse @ np.column_stack(right), atol=1e-6)
    certain = replace(factor, strays=0.0)
    got = doubts(certain, [lambda path: path[52:] - path[:-52]])[0].given
    change = np.eye(weeks)[52:] - np.eye(weeks)[:-52]
    want = np.diag(change @ inverse @ meat @ inverse @ change.T)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_strayed_responses_add_a_share_of_what_each_input_adds() -> None:
    factor, _ = fitted()
    read = [lambda path: path[52:] - path[:-52]]
    without = doubts(replace(factor, strays=0.0), read)[0].estimated
    with_it = doubts(replace(factor, strays=0.5), read)[0].estimated
    moved = factor.parts[52:] - factor.parts[:-52]
    away = [factor.parts[w] - factor.parts[max(w - 52, 0) : w].mean(axis=0) for w in range(1, len(factor.parts))]
    away = np.vstack([np.zeros(len(moved[0])), *away])
    kept = np.exp(-1 / 13)
    passing = (away[52:] ** 2 + away[:-52] ** 2 - 2 * kept**52 * away[52:] * away[:-52]).sum(axis=1)
    np.testing.assert_allclose(with_it - without, 0.25 * (0.5 * (moved**2).sum(axis=1) + 0.5 * passing), rtol=1e-8)
    # Weeks that are near stray nearly together.
    near = [lambda path: path[27:38] - path[26:27]]
    without, with_it = (doubts(replace(factor, strays=size), near)[0].estimated for size in (0.0, 1.0))
    moved, first, later = factor.parts[27:38] - factor.parts[26], away[26], away[27:38]
    passing = (later**2 + first**2 - 2 * kept ** np.arange(1, 12)[:, None] * later * first).sum(axis=1)
    np.testing.assert_allclose(with_it - without, 0.5 * (moved**2).sum(axis=1) + 0.5 * passing, rtol=1e-8)


def test_two_readings_share_what_their_sum_tells() -> None:
    """The variance of a sum is that of both and twice what they share."""
    factor, _ = fitted()

    def one(path: np.ndarray) -> np.ndarray:
        return np.asarray(path[60:64] - path[8:12])

    def two(path: np.ndarray) -> np.ndarray:
        return np.asarray(path[100:104] - path[87:91])

    a, b, both = doubts(factor, [one, two, lambda path: one(path) + two(path)], beside=two)
    total = both.given + both.estimated - a.given - a.estimated - b.given - b.estimated
    np.testing.assert_allclose(2.0 * np.diag(a.shared), total, atol=1e-9)
    np.testing.assert_allclose(np.diag(b.shared), b.given + b.estimated, atol=1e-9)
    assert np.abs(np.diag(a.shared)).max() > 1e-4


def test_known_output_is_plain_conditioning() -> None:
    """One long normal vector (path, scale, walk, noise), conditioned on what is known, gives the same."""
    rng = np.random.default_rng(5)
    weeks, quarters = 13 * 14, 14
    mean = np.kron(np.eye(quarters), np.full(13, 1 / 13))
    steps = (mean[1:] - mean[:-1])[1:12]  # growth of quarters 2 to 12 is known
    root = rng.normal(size=(weeks, 30)) * 0.3
    path, within = np.cumsum(rng.normal(size=weeks)), root @ root.T
    scaling = Scaling(2.0, 0.4, np.array([[0.04, 0.002], [0.002, 0.003]]), 0.5, 11, 9, 0.9)
    growth = 0.5 + 0.4 * steps @ path + rng.normal(0, 0.6, 11)
    number = np.arange(2.0, 13.0)
    known_output = KnownOutput.of(growth, number, lambda x: steps @ x, path, steps @ within @ steps.T, scaling)
    assert known_output.walk > 0 < known_output.unrest
    walk, noise, size = known_output.walk, known_output.noise, 2 * weeks + 2 + quarters
    joint = np.zeros((size, size))
    joint[:weeks, :weeks] = within
    joint[weeks : weeks + 2, weeks : weeks + 2] = scaling.covariance
    joint[weeks + 2 : 2 * weeks + 2, weeks + 2 : 2 * weeks + 2] = walk**2 * np.eye(weeks)
    joint[2 * weeks + 2 :, 2 * weeks + 2 :] = noise**2 * np.eye(quarters)

    def all_of(reading: np.ndarray, years: float, change: np.ndarray) -> np.ndarray:
        scale = np.column_stack([np.full(len(reading), years), reading @ path])
        return np.hstack([0.4 * reading, scale, reading @ np.tril(np.ones((weeks, weeks))), change])

    changes = np.eye(quarters)[1:] - np.eye(quarters)[:-1]
    seen = all_of(steps, 0.25, changes[1:12])
    weekly = np.eye(weeks)[52:] - np.eye(weeks)[:-52]
    yearly = mean[4:] - mean[:-4]
    last = np.arange(4.0, 14.0)
    for reading, change, ends in (
        (weekly, np.zeros((len(weekly), quarters)), None),
        (yearly, np.eye(quarters)[4:] - np.eye(quarters)[:-4], (last, last - 4.0)),
    ):
        asked = all_of(reading, 1.0, change)
        gain = asked @ joint @ seen.T @ np.linalg.inv(seen @ joint @ seen.T)
        left = asked @ joint @ asked.T - gain @ seen @ joint @ asked.T
        doubt = Doubt(np.diag(reading @ within @ reading.T), np.zeros(len(reading)), reading @ within @ steps.T)
        told = known_output.told(lambda x, reading=reading: reading @ x, doubt, path, 1.0, ends=ends)
        np.testing.assert_allclose(told.shift, gain @ (growth - 0.5 - 0.4 * steps @ path), atol=1e-8)
        np.testing.assert_allclose(told.before**2, np.diag(asked @ joint @ asked.T), atol=1e-8)
        np.testing.assert_allclose((told.sd / known_output.unrest) ** 2, np.diag(left), atol=1e-7)
    assert told.sd[2] < 1e-3 < told.sd[-1]


def test_scaling_finds_a_line_and_is_not_led_by_an_outlier() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, 60)
    y = 2.0 + 0.5 * x + rng.normal(0, 0.2, 60)
    clean = fit_scaling(y, x)
    assert clean.normal == pytest.approx(2.0, abs=0.1)
    assert clean.slope == pytest.approx(0.5, abs=0.05)
    assert np.sqrt(clean.covariance[1, 1]) < 0.03
    y[int(np.argmax(x))] -= 20
    assert fit_scaling(y, x).slope == pytest.approx(0.5, abs=0.08)
    assert np.polyfit(x, y, 1)[0] < 0.42
    with pytest.raises(FitError, match="OPS-M134"):
        fit_scaling(y, np.ones(60))


# -- rows ---------------------------------------------------------------------------------------------------------


def test_weeks_and_months_by_hand() -> None:
    """February 2021 is four whole weeks from the 1st; March begins in the week after them."""
    panel = {"m": pd.Series([100.0, 110.0], index=pd.to_datetime(["2020-02-01", "2021-02-01"]))}
    spec = Input("m", "M")
    frame, basis = known(panel, of=[spec], as_of=dt.date(2021, 3, 1))
    assert basis == "lags"
    rows = rows_of(spec, frame)
    assert rows.value.tolist() == pytest.approx([100 * np.log(1.1)])
    weights = dict(zip(rows.column.tolist(), rows.now.tolist(), strict=True))
    week = week_of(dt.date(2021, 2, 1))
    assert {week + k: pytest.approx(0.25) for k in range(4)}.items() <= weights.items()
    # 29 days a year before: 2 in the week of 27 January, then three whole weeks, 6 in the last
    before = week_of(dt.date(2020, 1, 27))
    assert weights[before] == pytest.approx(-2 / 29)
    assert weights[before + 1] == pytest.approx(-7 / 29)
    assert weights[before + 4] == pytest.approx(-6 / 29)
    assert sum(weights.values()) == pytest.approx(0)


def test_days_become_weeks_when_enough_are_known() -> None:
    days = pd.date_range("2020-01-06", "2020-02-02")
    series = pd.Series(np.arange(28.0), index=days)
    series.iloc[[8, 15, 16]] = np.nan
    rows = rows_of(
        Input("d", "D", "linear", "level"), known({"d": series}, of=[Input("d", "D")], as_of=days[-1].date())[0]
    )
    assert rows.week.tolist() == [week_of(days[0]) + k for k in (0, 1, 3)]
    assert rows.value.tolist() == pytest.approx([3.0, (7 + 9 + 10 + 11 + 12 + 13) / 6, 24.0])
    assert rows.gap.tolist() == [0, 1, 2]


def test_a_week_is_held_against_the_month_a_year_before() -> None:
    frame = pd.DataFrame(
        {
            "series": "x", "period": pd.to_datetime(["2019-01-01", "2020-01-13", "2020-01-20"]),
            "value": [100.0, 120.0, 150.0], "frequency": ["M", "W", "W"],
        }
    )  # fmt: skip
    spec = Input("x", "W")
    rows = rows_of(spec, known(frame, of=[spec], as_of=dt.date(2020, 2, 1))[0])
    np.testing.assert_allclose(rows.value, 100 * np.log([1.2, 1.5]))


def test_a_vintage_counts_from_its_day_and_a_withdrawn_value_is_gone() -> None:
    frame = pd.DataFrame(
        {
            "series": "x", "period": pd.to_datetime(["2020-01-06"] * 3), "value": [1.0, 2.0, np.nan],
            "known_at": pd.to_datetime(["2020-01-20T12:00Z", "2020-01-25T23:30Z", "2020-02-01T00:00Z"], utc=True),
        }
    )  # fmt: skip
    spec = [Input("x", "W")]
    told = [
        known(frame, of=spec, as_of=dt.date(2020, m, d))[0]["value"].tolist()
        for m, d in ((1, 19), (1, 20), (1, 25), (2, 1))
    ]
    assert told == [[], [1.0], [2.0], []]
    assert known(frame, of=spec, as_of=dt.date(2020, 2, 1))[1] == "vintages"


# -- the index ----------------------------------------------------------------------------------------------------


def test_contributions_sum_to_the_index(one: CompositeResult) -> None:
    """Each input's part comes from a solve of its own, the index from one of all: they agree to 1e-10."""
    np.testing.assert_allclose(one.contributions().sum(axis=1), one.frame["growth"], atol=1e-10)
    np.testing.assert_allclose(one.contributions("level").sum(axis=1), one.frame["level"], atol=1e-10)
    assert list(one.contributions().columns) == ["normal", *(i.name for i in one.inputs), "gdp"]
    with pytest.raises(UsageError, match="reading"):
        one.contributions("weekly")  # type: ignore[arg-type]  # refused at run time


def test_growth_and_level_are_one_path(one: CompositeResult) -> None:
    """Growth is normal growth plus the change of the level on 52 weeks before, in logs; output moves both."""
    level = 100 * np.log1p(one.frame["level"] / 100)
    growth = 100 * np.log1p(one.frame["growth"] / 100)
    normal = (growth - level.diff(52)).dropna()
    assert np.ptp(normal) < 1e-9
    assert normal.iloc[0] == pytest.approx(one.scaling.normal, abs=0.5)
    alone = make(1, settings=Settings(output=False))
    level, growth = (100 * np.log1p(alone.frame[name] / 100) for name in ("level", "growth"))
    np.testing.assert_allclose((alone.scaling.normal + level.diff(52)).dropna(), growth.iloc[52:], atol=1e-9)
    assert "gdp" not in alone.contributions()


def test_what_output_does_and_inputs_do_not_show_is_carried_on() -> None:
    """Output falls by 4 % for good where inputs show nothing: two quarters later the index has seen it."""
    panel, inputs, day, _ = draw(5)
    late = panel["gdp"].index >= panel["gdp"].index[-4]
    panel["gdp"] = panel["gdp"].where(~late, panel["gdp"] * np.exp(-0.04))
    made = composite(panel, target="gdp", inputs=inputs, as_of=day)
    alone = composite(panel, target="gdp", inputs=inputs, as_of=day, settings=Settings(output=False))
    running, truth = made.quarters.iloc[-1], 100 * (panel["gdp"].iloc[-1] / panel["gdp"].iloc[-5] - 1)
    assert np.isnan(running["known"])
    assert running["implied"] - truth > 3
    assert running["told"] == pytest.approx(truth, abs=1)
    assert running["lower"] < truth < running["upper"]
    # Of the weeks part of it may be in the figures alone.
    assert -4.5 < made.frame["growth"].iloc[-1] - alone.frame["growth"].iloc[-1] < -2
    seen = made.quarters.dropna()
    np.testing.assert_allclose(seen["told"].iloc[4:], seen["known"].iloc[4:], atol=1e-5)
    assert (seen["upper"] - seen["lower"]).iloc[4:].max() < 1e-2
    pd.testing.assert_series_equal(made.quarters["implied"], alone.quarters["implied"])
    assert (made.doubt >= 0).all(axis=None)


def test_a_quarter_without_a_figure_is_left_out() -> None:
    level = pd.Series([100.0, 101.0, np.nan, 103.0, 104.0], index=pd.period_range("2019Q1", periods=5, freq="Q"))
    assert [str(q) for q in quarter_growth(level).index] == ["2019Q2", "2020Q1"]
    panel, inputs, day, _ = draw(1, years=6)
    panel["gdp"].iloc[9] = np.nan
    made = composite(panel, target="gdp", inputs=inputs, as_of=day)
    assert np.isfinite(made.frame["growth"]).all()


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_and_units_change_nothing(one: CompositeResult, data: st.DataObject) -> None:
    panel, inputs, day, _ = draw(1)
    order = data.draw(st.permutations(inputs))
    factors = {i.name: data.draw(st.floats(1e-3, 1e3), label=i.name) for i in inputs}
    scaled = {name: series * factors[name] for name, series in reversed(panel.items())}
    other = composite(scaled, target="gdp", inputs=order, as_of=day)
    np.testing.assert_allclose(other.frame.to_numpy(float), one.frame.to_numpy(float), atol=1e-6)
    pd.testing.assert_frame_equal(other.contributions(), one.contributions(), atol=1e-6)


def test_the_index_widens_and_does_not_fail_when_inputs_vanish() -> None:
    """Take half a year away from one weekly input, then from all: the band only grows."""
    panel, inputs, day, _ = draw(2)
    weekly = [i.name for i in inputs if i.frequency == "W"]
    cut = pd.Timestamp(day) - pd.Timedelta(weeks=26)
    width = []
    for gone in sorted({0, 1, len(weekly)}):
        kept = {
            name: series[series.index <= cut] if name in weekly[:gone] else series for name, series in panel.items()
        }
        made = composite(kept, target="gdp", inputs=inputs, as_of=day)
        last = made.frame.iloc[-1]
        width.append(last["level_upper"] - last["level_lower"])
        assert made.frame.index[-1] == pd.Timestamp("2015-12-21")
        if gone:
            assert "inputs-missing" in made.warnings
    assert width == sorted(width)
    assert width[-1] > 1.3 * width[0]
    # an input that is not there at all is named
    absent = {name: series for name, series in panel.items() if name not in weekly}
    made = composite(absent, target="gdp", inputs=inputs, as_of=day)
    assert set(made.left_out) == set(weekly)
    old = {name: series[series.index <= cut] if name != "gdp" else series for name, series in panel.items()}
    assert np.isfinite(composite(old, target="gdp", inputs=inputs, as_of=day).frame.iloc[-1]["level"])


def test_nothing_known_later_is_looked_at() -> None:
    """The poison test: all that comes after the day may be anything."""
    panel, inputs, day, _ = draw(3)
    as_of = day - dt.timedelta(weeks=30)
    lag = {i.name: i for i in inputs}
    honest, poisoned = [], []
    for name, series in panel.items():
        frame = pd.DataFrame({"series": name, "period": series.index, "value": series.to_numpy()})
        honest.append(frame)
        length = {"W": 6, "M": 27, "Q": 89}[lag[name].frequency]
        late = frame["period"] + pd.Timedelta(days=length + lag[name].lag_days) > pd.Timestamp(as_of)
        wrong = frame.assign(value=frame["value"].where(~late, 1e6))
        poisoned.append(wrong)
        # and a revision of every value, a day later
        again = frame.assign(
            value=-5.0 if name.startswith("w") else 7.0, known_at=pd.Timestamp(as_of) + pd.Timedelta(hours=36)
        )
        poisoned.append(again)
    first = composite(pd.concat(honest), target="gdp", inputs=inputs, as_of=as_of)
    poison = pd.concat(poisoned, ignore_index=True)
    second = composite(poison, target="gdp", inputs=inputs, as_of=as_of)
    pd.testing.assert_frame_equal(first.frame, second.frame, check_exact=True)
    pd.testing.assert_frame_equal(first.quarters, second.quarters, check_exact=True)
    # the poison is one: known a day earlier, it is in
    seen, _ = known(poison, of=inputs, as_of=as_of + dt.timedelta(days=1))
    assert set(seen.loc[seen["series"].str.startswith("w"), "value"]) == {-5.0}


def test_a_lone_wild_number_is_left_aside_and_stays_in_the_band() -> None:
    panel, inputs, day, _ = draw(5)
    clean = composite(panel, target="gdp", inputs=inputs, as_of=day)
    spread = float(panel["w0"].diff().abs().median())
    spec = next(i for i in inputs if i.name == "w0")
    last = panel["w0"].index[panel["w0"].index + pd.Timedelta(days=6 + spec.lag_days) <= pd.Timestamp(day)][-1]
    wild = panel | {"w0": panel["w0"].copy()}
    sign = np.sign(next(i.loading for i in clean.inputs if i.name == "w0"))
    wild["w0"][last] -= sign * 60 * spread
    made = composite(wild, target="gdp", inputs=inputs, as_of=day)
    assert "w0" in made.unconfirmed
    assert "unconfirmed" in made.warnings
    assert "w0" in made.summary()
    before, after = clean.frame.iloc[-1], made.frame.iloc[-1]
    usual = before["level_upper"] - before["level_lower"]
    assert abs(after["level"] - before["level"]) < 0.5 * usual
    assert after["level_lower"] < before["level_lower"] - usual


def test_a_year_after_a_stop_growth_comes_with_a_warning() -> None:
    """A stop of 10 % and no recovery: a year on growth is back to normal, and the level is not."""
    weeks = pd.date_range("2012-01-02", "2019-12-23", freq="7D")
    rng = np.random.default_rng(8)
    gap = np.where(weeks < "2018-07-02", 0.0, -10.0)
    panel = {f"x{k}": pd.Series(gap + rng.normal(0, 0.5, len(weeks)), index=weeks) for k in range(3)}
    quarter = pd.Series(gap + 2 * np.arange(len(weeks)) / 52, index=weeks).resample("QS").mean()
    panel["gdp"] = 100 * np.exp((quarter + rng.normal(0, 0.3, len(quarter))) / 100)
    inputs = [Input("gdp", "Q", lag_days=30), *(Input(f"x{k}", "W", "linear", "level") for k in range(3))]
    base = (dt.date(2017, 7, 1), dt.date(2018, 6, 30))
    made = composite(panel, target="gdp", inputs=inputs, as_of=dt.date(2019, 12, 29), base=base)
    last = made.frame.iloc[-1]
    assert last["growth"] == pytest.approx(2.0, abs=0.7)
    assert last["level"] == pytest.approx(100 * np.expm1(-0.1), abs=1.0)
    assert last["base_effect"]
    assert made.warnings[0] == "base-effect"
    assert "Base effect" in made.summary()
    assert not made.frame.loc["2018-06-25", "base_effect"]
    assert not made.frame.loc["2018-10-01", "base_effect"]


def _coverage(seeds: range, strays: float) -> dict[str, float]:
    found: dict[str, list[float]] = {"growth": [], "level": [], "edge": [], "quarter": []}
    for seed in seeds:
        panel, inputs, day, (growth, gap) = draw(seed, strays=strays)
        made = composite(panel, target="gdp", inputs=inputs, as_of=day, settings=Settings(strays=strays))
        frame = made.frame.iloc[52:]
        base = gap[str(made.base[0]) : str(made.base[1])].mean()
        for kind, log in (("growth", growth), ("level", gap - base)):
            truth = 100 * np.expm1(log.reindex(frame.index) / 100)
            inside = (frame[f"{kind}_lower"] <= truth) & (truth <= frame[f"{kind}_upper"])
            found[kind].append(float(inside.mean()))
            if kind == "growth":
                found["edge"].append(float(inside.iloc[-8:].mean()))
    return {kind: float(np.mean(values)) for kind, values in found.items() if values}


def test_a_planted_factor_is_found_and_the_band_holds_it() -> None:
    """Three seeds, growth and level, calm and stop together; the long test has forty."""
    panel, inputs, day, (growth, _) = draw(6)
    made = composite(panel, target="gdp", inputs=inputs, as_of=day)
    truth = 100 * np.expm1(growth.reindex(made.frame.index).dropna() / 100)
    off = made.frame["growth"].reindex(truth.index) - truth
    assert off.std() < 0.35 * truth.std()
    covered = _coverage(range(10, 13), 0.5)
    assert 0.85 <= covered["growth"] <= 0.995
    assert 0.85 <= covered["level"] <= 0.995


@pytest.mark.long
@pytest.mark.parametrize("strays", [0.0, 0.5])
def test_coverage_is_near_nominal(strays: float) -> None:
    """Nominal 90 %. Where responses stray as assumed, and where they do not and it is known."""
    covered = _coverage(range(100, 140), strays)
    assert 0.85 <= covered["growth"] <= 0.96, covered
    assert 0.85 <= covered["level"] <= 0.97, covered
    assert 0.84 <= covered["edge"] <= 0.98, covered


# -- what it says -------------------------------------------------------------------------------------------------


def test_what_leaves_is_a_function_of_what_came_in(one: CompositeResult) -> None:
    index, parts = one.cells(weeks=30, public=True, source="drawn")
    assert (index.name, parts.name) == ("composite.index", "composite.contributions")
    assert index.public
    assert len(index.frame) == 30
    assert index.frame["week"].iloc[-1] == "2015-W52"
    assert [m.name for m in index.measures] == ["level", "growth"]
    total = parts.frame.groupby("week")[["growth", "level"]].sum()
    np.testing.assert_allclose(total["growth"], index.frame.set_index("week")["growth"].loc[total.index], atol=1e-9)
    np.testing.assert_allclose(total["level"], index.frame.set_index("week")["level"].loc[total.index], atol=1e-9)
    assert index.facts["warnings"] == list(one.warnings)


def test_words_and_pictures(one: CompositeResult) -> None:
    assert "against the normal path" in one.summary()
    assert "as revised since" in one.summary()
    assert "Lewis" in one.cite()
    title = one.chart().to_dict()["title"]["text"]
    assert "normal path" in " ".join(title)
    assert one.chart("growth").to_dict()["title"]["text"] != title
    assert one.quarters["known"].isna().iloc[-1]
    assert one.quarters["known"].notna().iloc[0]


def test_what_cannot_be_told_is_refused() -> None:
    panel, inputs, day, _ = draw(1)
    with pytest.raises(UsageError, match="Input for the target"):
        composite(panel, target="gnp", inputs=inputs, as_of=day)
    with pytest.raises(UsageError, match="same name"):
        composite(panel, target="gdp", inputs=[*inputs, inputs[0]], as_of=day)
    with pytest.raises(FitError, match="OPS-M135"):
        composite({"gdp": panel["gdp"]}, target="gdp", inputs=inputs, as_of=day)
    with pytest.raises(FitError, match="OPS-M133"):
        composite(panel, target="gdp", inputs=inputs, as_of=dt.date(2011, 6, 1))
    with pytest.raises(FitError, match="OPS-M133"):
        composite({k: v for k, v in panel.items() if k != "gdp"}, target="gdp", inputs=inputs, as_of=day)
    with pytest.raises(FitError, match="OPS-M131"):
        composite(panel, target="gdp", inputs=inputs, as_of=day, settings=Settings(max_iterations=3))
    with pytest.raises(UsageError, match="base"):
        composite(panel, target="gdp", inputs=inputs, as_of=day, base=(dt.date(1990, 1, 1), dt.date(1990, 2, 1)))
    with pytest.raises(UsageError, match="frequency"):
        Input("x", "A")  # type: ignore[arg-type]  # refused at run time
    twice = pd.DataFrame({"series": "x", "period": pd.to_datetime(["2020-01-06"] * 2), "value": [1.0, 2.0]})
    with pytest.raises(UsageError, match="two values"):
        known(twice, of=[Input("x")], as_of=dt.date(2020, 2, 1))
