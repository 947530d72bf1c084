"""The factor model on weeks and days: its weights, likelihood, score, learning, refusals, news and density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast import DynamicFactorModel, FittedFactorModel, Robust
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, companion
from opsroom.measure.nowcast.dfm.search import pack, unpack
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid, gather
from opsroom.measure.nowcast.fine.look import cell, data_weights, look
from opsroom.measure.nowcast.fine.model import FittedFineModel
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import FineWeights, lay_out
from opsroom.measure.nowcast.fine.smooth import smooth
from opsroom.measure.nowcast.fine.step import FinePanel, equations, gradient, moments
from opsroom.measure.nowcast.fine.twin import dense, dense_weights

DAYS = {"D": "D", "W": "W-SUN", "M": "M", "Q": "Q-DEC"}


def drawn(rng: np.random.Generator, base: str, *, ar1: bool, order: int, days: int) -> tuple[FineParameters, FineGrid]:
    """Draw parameters of two factors in blocks or not, and tables of every frequency with holes and ragged ends."""
    start = pd.Timestamp("2019-01-01") + pd.Timedelta(days=int(rng.integers(0, 700)))
    tables: dict[str, pd.DataFrame | None] = {}
    for frequency in calendar.FREQUENCIES[calendar.FREQUENCIES.index(base) :]:
        index = pd.period_range(start, start + pd.Timedelta(days=days), freq=DAYS[frequency])
        values = rng.normal(size=(len(index), 2))
        values[rng.random(values.shape) < 0.3] = np.nan
        values[len(values) // 3 : len(values) // 2, 0] = np.nan
        tables[frequency] = pd.DataFrame(values, index=index, columns=[f"{frequency}0", f"{frequency}1"])
    grid = gather(tables, levels=["M1", "Q1"], base=base)
    n, r = len(grid.names), 2
    apart = bool(rng.integers(0, 2))
    blocks = (FactorBlock((0,), order), FactorBlock((1,), 1)) if apart else (FactorBlock((0, 1), order),)
    loads = np.ones((n, r), dtype=bool)
    loads[::3, 1] = not apart
    like = FineParameters(
        grid.names, 2, ("a", "b"), blocks, loads, np.where(loads, rng.normal(size=(n, r)), 0.0),
        np.zeros((r, r * order)), np.eye(r), rng.uniform(-0.9, 0.95, n) if ar1 else np.zeros(n),
        rng.uniform(0.2, 2.0, n), np.zeros(n), np.ones(n), ar1, base=base, frequencies=grid.frequencies,
        levels=grid.levels,
    )  # fmt: skip
    transition = np.where(like.lags_used, rng.normal(size=(r, r * order)), 0.0)
    radius = np.abs(np.linalg.eigvals(companion(transition))).max()
    pull = np.repeat((0.95 / max(radius, 0.95)) ** np.arange(1, order + 1), r)
    return replace(like, transition=transition * pull), grid


def test_weights_of_quarters_in_months_are_those_of_mariano_and_murasawa() -> None:
    start, found = calendar.weights(200, "Q", "M", level=False)
    assert start == 3 * 200 - 2
    np.testing.assert_allclose(found * 3.0, [1, 2, 3, 2, 1], rtol=1e-15)
    start, found = calendar.weights(200, "Q", "M", level=True)
    assert start == 600
    np.testing.assert_allclose(found, [1 / 3] * 3, rtol=1e-15)


def test_weights_of_a_month_in_weeks_follow_the_calendar() -> None:
    """May 2020 has four Thursdays (7th to 28th), April five (2nd to 30th)."""
    may = calendar.read("2020-05", "M")
    start, found = calendar.weights(may, "M", "W", level=False)
    assert start == calendar.read("2020-W15", "W")  # the second week of April; the first has no weight
    np.testing.assert_allclose(found, [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 3 / 4, 2 / 4, 1 / 4], rtol=1e-15)
    start, found = calendar.weights(calendar.read("2020-W10", "W"), "W", "D", level=False)
    assert start == calendar.read("2020-02-25", "D")  # the Tuesday of the week before
    np.testing.assert_allclose(found * 7, [1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1], rtol=1e-15)


@pytest.mark.parametrize("base", ["M", "W", "D"])
def test_weights_equal_averages_of_cumulated_growth(base: str) -> None:
    rng = np.random.default_rng(0)
    _, grid = drawn(rng, base, ar1=True, order=1, days=500)
    plain = dense_weights(grid)
    assert len({i for _, i in plain}) == len(grid.names)
    for (row, column), expected in plain.items():
        start, found = grid.weights(grid.number(row, column), column)
        out = np.zeros(len(expected))
        out[start : start + len(found)] = found
        np.testing.assert_allclose(out, expected, atol=1e-14)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    base=st.sampled_from(["M", "W", "D"]),
    ar1=st.booleans(),
    order=st.integers(1, 3),
    weighed=st.booleans(),
)
def test_likelihood_and_cells_equal_dense_conditioning(
    seed: int, base: str, ar1: bool, order: int, weighed: bool
) -> None:
    rng = np.random.default_rng(seed)
    days = {"M": 1100, "W": 420, "D": 140}[base]
    p, grid = drawn(rng, base, ar1=ar1, order=order, days=days)
    weights = FineWeights(np.ones(grid.values.shape), np.ones(len(grid.values)))
    if weighed:  # unknown cells have weights, too: those of a vintage in which they were known
        weights.calm[:] = rng.uniform(0.1, 2.0, len(grid.values))
        for at in dense_weights(grid):
            weights.cell[at] = rng.uniform(0.1, 2.0)
    view = look(grid, p, weights)
    plain = dense(p, grid, weights)
    assert view.found.loglike == pytest.approx(plain.loglike, rel=1e-8)
    for k in rng.choice(len(plain.cells), size=12, replace=False):
        row, column = plain.cells[k]
        found = cell(view, row, column)
        assert found.mean == pytest.approx(plain.mean[k], rel=1e-8, abs=1e-8)
        assert found.variance == pytest.approx(plain.variance[k], rel=1e-8, abs=1e-8)
        weight = data_weights(view, found, column)
        assert float((weight * np.nan_to_num(grid.values)).sum()) == pytest.approx(found.mean, rel=1e-8, abs=1e-8)
        assert not weight[np.isnan(grid.values)].any()


@pytest.mark.parametrize(("base", "ar1"), [("W", True), ("W", False), ("D", True)])
def test_score_is_the_derivative_of_the_likelihood(base: str, ar1: bool) -> None:
    rng = np.random.default_rng(5)
    p, grid = drawn(rng, base, ar1=ar1, order=2, days={"W": 420, "D": 110}[base])
    weights = FineWeights(np.ones(grid.values.shape), rng.uniform(0.3, 1.5, len(grid.values)))
    for at in dense_weights(grid):
        weights.cell[at] = rng.uniform(0.3, 1.5)
    pattern = lay_out(grid, grid.values, 2, 2, chained=ar1).weighed(weights, grid)
    m = moments(smooth(pattern, p))
    theta, step = pack(p), 1e-5
    for k, expected in enumerate(gradient(pattern, m, p, equations(pattern, m, p))):
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[k] += sign * step
            ends.append(smooth(pattern, unpack(moved, p), moments=False).loglike)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=2e-5)


def test_steps_of_expectation_maximisation_raise_the_likelihood() -> None:
    for seed, ar1 in ((1, True), (2, True), (3, False)):
        rng = np.random.default_rng(seed)
        p, grid = drawn(rng, "W", ar1=ar1, order=1, days=900)
        panel = FinePanel(lay_out(grid, grid.values, 2, 1, chained=ar1))
        path = []
        for _ in range(8):
            found = panel.smooth(p)
            path.append(found.loglike)
            p = panel.improve(found, p)
        assert np.all(np.diff(path) > 0)


def economy(seed: int, *, weeks: int = 520) -> tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray]:
    """Draw an economy in weeks, by the plain definition: its tables, its parameters and its factor."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2010-01-04")
    index = {f: pd.period_range(start, periods=weeks * 7, freq="D").asfreq(DAYS[f]).unique() for f in "WMQ"}
    names = {"M": ["m0", "m1", "m2", "survey"], "Q": ["gdp"], "W": ["w0", "w1", "w2"]}
    empty = {f: pd.DataFrame(0.0, index=index[f], columns=names[f]) for f in names}
    grid = gather(empty, levels=["survey"], base="W")
    n, rows = len(grid.names), len(grid.values)
    f = np.zeros(rows + 300)
    for t in range(1, len(f)):
        f[t] = 0.9 * f[t - 1] + rng.normal()
    f = f[300:]
    loadings = np.array([0.6, 0.9, 1.2, 1.0, 0.8, 0.5, 0.8, 1.1])
    memory = np.array([0.4, 0.0, -0.3, 0.6, 0.2, 0.5, -0.4, 0.0])
    values, variance = np.full(grid.values.shape, np.nan), np.empty(n)
    by_cell = dense_weights(grid)
    for i in range(n):
        at = sorted(row for row, c in by_cell if c == i)
        signal = np.array([by_cell[row, i] @ f for row in at]) * loadings[i]
        total = signal.std() * (0.5 if i == grid.column("gdp") else 1.0)
        own = total * rng.normal()
        for k, row in enumerate(at):
            own = memory[i] * own + total * np.sqrt(1.0 - memory[i] ** 2) * rng.normal() if k else own
            values[row, i] = signal[k] + own
        variance[i] = total**2 * (1.0 - memory[i] ** 2)
    true = FineParameters(
        grid.names, 4, ("a",), (FactorBlock((0,), 1),), np.ones((n, 1), dtype=bool), loadings[:, None],
        np.array([[0.9]]), np.eye(1), memory, variance, np.zeros(n), np.ones(n), base="W",
        frequencies=grid.frequencies, levels=grid.levels,
    )  # fmt: skip
    tables = {}
    for frequency, columns in names.items():
        at = [grid.column(name) for name in columns]
        rows_of = grid.last_row(calendar.index_numbers(index[frequency], frequency), frequency)
        inside = rows_of < rows
        tables[frequency] = pd.DataFrame(values[rows_of[inside]][:, at], index[frequency][inside], columns)
    return tables, true, f


@pytest.fixture(scope="module")
def learnt() -> tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray, FittedFineModel]:
    tables, true, f = economy(3)
    return tables, true, f, fitted_to(tables)


def fitted_to(tables: dict[str, pd.DataFrame], **how: object) -> FittedFineModel:
    return DynamicFactorModel().fit(
        tables["M"], tables["Q"], weekly=tables["W"], levels=["survey"], **how
    )  # fmt: skip


def test_parameters_are_found_again(
    learnt: tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray, FittedFineModel],
) -> None:
    _, true, f, fitted = learnt
    assert fitted.report is not None
    assert np.all(np.diff(fitted.report.path) > -1e-9)
    found = fitted.parameters.unit()
    loads = found.loadings[:, 0] * found.scale
    loads *= np.sign(loads.sum())
    assert found.names == true.names
    # The truth, in the units of the fit, is no likelier than what was found, and not unlikely beside it: twice the
    # difference is chi-squared with as many degrees as parameters (25, and the 16 centers and scales taken as given).
    at_truth = look(fitted.grid, replace(true, center=fitted.parameters.center)).found.loglike
    at_found = fitted.loglike - float(np.log(found.scale) @ (~np.isnan(fitted.grid.values)).sum(axis=0))
    assert 0.0 < at_found - at_truth < 35.0
    np.testing.assert_allclose(loads, true.loadings[:, 0], rtol=0.25)
    np.testing.assert_allclose(found.memory, true.memory, atol=0.3)
    np.testing.assert_allclose(found.variance * found.scale**2, true.variance, rtol=0.45)
    weekly = slice(5, 8)  # 520 figures each: closer
    np.testing.assert_allclose(found.memory[weekly], true.memory[weekly], atol=0.1)
    np.testing.assert_allclose(found.transition, true.transition, atol=0.04)
    factor = fitted.factors().to_numpy()[:, 0]
    assert abs(np.corrcoef(factor, f[-len(factor) :])[0, 1]) > 0.93


def test_a_week_of_the_running_month_moves_the_nowcast_and_news_add_up(
    learnt: tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray, FittedFineModel],
) -> None:
    tables, _, _, fitted = learnt
    month = tables["M"].index[-8]
    early = {f: table[table.index.end_time < month.start_time] for f, table in tables.items()}
    early["Q"] = early["Q"].iloc[:-1]
    known = fitted.updated(gather(early, like=fitted.grid))
    more = dict(early)
    more["W"] = tables["W"][tables["W"].index.end_time < month.start_time + pd.Timedelta(days=14)].copy()
    assert len(more["W"]) - len(early["W"]) == 2
    more["W"].iloc[-1] += 3.0 * more["W"].std()
    more["W"].iloc[-9, 0] += 0.7  # a revision
    more["M"] = early["M"].copy()
    more["M"].iloc[-3, 1] = np.nan  # a withdrawal
    later = fitted.updated(gather(more, like=fitted.grid))
    for target, period in (("gdp", month.asfreq("Q-DEC")), ("m1", month), ("survey", month), ("w1", "2019-W40")):
        before, after = (
            m.nowcast(target, period, parameter_uncertainty=False) for m in (known, later)
        )  # fmt: skip
        news = known.news(more["M"], more["Q"], target, period, weekly=more["W"])
        assert news.before == pytest.approx(before.mean, abs=1e-10)
        assert news.after == pytest.approx(after.mean, abs=1e-10)
        assert news.total == pytest.approx(after.mean - before.mean, abs=1e-10)
        kinds = news.by_kind()
        assert kinds["revision"] != 0
        assert kinds["withdrawal"] != 0
        releases = news.detail[news.detail["kind"] == "release"]
        assert sorted(set(releases["series"])) == ["w0", "w1", "w2"]
        assert len(releases) == 6
        assert kinds["release"] > 0.1 * before.sd
        assert after.sd < before.sd
    refit = fitted_to(more, start=fitted.parameters)
    again = known.news(more["M"], more["Q"], "gdp", month.asfreq("Q-DEC"), weekly=more["W"], refit=refit)
    assert again.total == pytest.approx(again.after - again.before, abs=1e-10)
    assert again.by_kind()["parameters"] != 0


def test_a_known_cell_is_itself_and_its_label_is_its_period(
    learnt: tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray, FittedFineModel],
) -> None:
    tables, _, _, fitted = learnt
    for name, frequency, text in (("gdp", "Q", "2015-Q2"), ("m2", "M", "2015-05"), ("w0", "W", "2015-W21")):
        table = tables[frequency]
        found = fitted.nowcast(name, text)
        day = pd.Timestamp("2015-05-20")
        assert found.mean == pytest.approx(float(table[name][table.index.start_time <= day].iloc[-1]), rel=1e-12)
        assert (found.sd, found.period) == (0.0, text)


def test_parameters_that_are_not_known_widen_the_band(
    learnt: tuple[dict[str, pd.DataFrame], FineParameters, np.ndarray, FittedFineModel],
) -> None:
    fitted = learnt[3]
    found = fitted.nowcast("gdp", "2020-Q1")
    assert found.sd**2 == pytest.approx(found.filter_sd**2 + found.parameter_sd**2, rel=1e-12)
    assert 0.0 < found.parameter_sd < found.filter_sd
    low, high = found.band(0.9)
    assert low < found.mean < high
    assert not found.shock
    assert found.basis == "model"


def test_months_and_quarters_alone_are_the_model_of_months() -> None:
    tables, _, _ = economy(4, weeks=400)
    plain = DynamicFactorModel().fit(tables["M"], tables["Q"])
    given: object = DynamicFactorModel().fit(tables["M"], tables["Q"], weekly=pd.DataFrame())
    assert isinstance(given, FittedFactorModel)
    assert given.loglike == plain.loglike
    np.testing.assert_array_equal(given.parameters.loadings, plain.parameters.loadings)


def test_bad_fits_and_bad_tables_are_refused() -> None:
    tables, _, _ = economy(5, weeks=160)
    with pytest.raises(FitError, match="did not converge"):
        fitted_to(tables, max_iter=1, tol=1e-12)
    with pytest.raises(FitError, match="never change"):
        fitted_to(tables | {"W": tables["W"].assign(w1=1.0)})
    with pytest.raises(FitError, match="fewer than"):
        fitted_to(tables | {"Q": tables["Q"].iloc[:5]})
    with pytest.raises(UsageError, match="twice"):
        fitted_to(tables | {"W": tables["W"].rename(columns={"w0": "m0"})})
    with pytest.raises(UsageError, match="occurs twice"):
        fitted_to(tables | {"W": pd.concat([tables["W"], tables["W"].iloc[:1]])})
    with pytest.raises(UsageError, match="no such series"):
        DynamicFactorModel().fit(tables["M"], weekly=tables["W"], levels=["absent"])
    with pytest.raises(UsageError, match="holds no dates"):
        DynamicFactorModel().fit(tables["M"], weekly=tables["W"].reset_index(drop=True))
    with pytest.raises(UsageError, match="infinite"):
        fitted_to(tables | {"W": tables["W"].assign(w0=np.inf)})
    with pytest.raises(UsageError, match="needs monthly data"):
        DynamicFactorModel().fit(None)


def test_days_of_other_weeks_count_where_most_of_them_lie() -> None:
    """Weeks that end on Saturday, as claims do, are those of the calendar week that holds six of their days."""
    saturdays = pd.period_range("2020-01-04", periods=3, freq="W-SAT")
    assert list(calendar.index_numbers(saturdays, "W")) == [calendar.read(f"2020-W{k:02d}", "W") for k in (1, 2, 3)]
    dates = pd.DatetimeIndex(["2020-01-04", "2020-01-05", "2020-01-06"])
    assert list(calendar.number_of(dates.to_numpy().astype("datetime64[D]").astype(int), "W")) == [
        calendar.read(f"2020-W{k:02d}", "W") for k in (1, 1, 2)
    ]
    assert calendar.read(pd.Period("2020-01-04", freq="W-SAT"), "W") == calendar.read("2020-W01", "W")
    assert calendar.read(pd.Timestamp("2020-05-31"), "M") == calendar.read("2020-05", "M")


def test_a_wild_week_is_followed_less_and_the_robust_news_add_up() -> None:
    tables, _, _ = economy(6, weeks=200)
    early = dict(tables) | {"W": tables["W"][:-2], "Q": tables["Q"][:-1], "M": tables["M"][:-1]}
    early["M"].iloc[-9, 0] += 8.0 * early["M"]["m0"].std()  # a wild month, so that some weight is not 1
    wild = dict(early) | {"W": tables["W"][:-1].copy()}
    wild["W"].iloc[-1, 1] += 12.0 * tables["W"]["w1"].std()
    wild["M"] = early["M"].copy()
    wild["M"].iloc[-9, 0] = np.nan  # the wild one is withdrawn
    month = tables["M"].index[-1]
    moved = {}
    for kind in (None, "student"):
        fitted = DynamicFactorModel(robust=kind).fit(early["M"], early["Q"], weekly=early["W"], levels=["survey"])
        assert fitted.report is not None
        assert np.all(np.diff(fitted.report.path) > -1e-9 * abs(fitted.report.objective))
        before = fitted.nowcast("m1", month, parameter_uncertainty=False)
        later = fitted.updated(gather(wild, like=fitted.grid))
        news = fitted.news(wild["M"], wild["Q"], "m1", month, weekly=wild["W"])
        assert news.before == pytest.approx(before.mean, abs=1e-10)
        assert news.after == pytest.approx(later.nowcast("m1", month).mean, abs=1e-10)
        assert news.total == pytest.approx(news.after - news.before, abs=1e-10)
        kinds = news.by_kind()
        assert kinds["withdrawal"] != 0
        assert (kinds["weights"] != 0) == (kind is not None)
        moved[kind] = abs(news.after - news.before)
        if kind:
            assert later.weights is not None
            wild_row = fitted.grid.last_row(calendar.index_numbers(wild["W"].index[-1:], "W"), "W")[0]
            assert later.weights.cell[wild_row, fitted.grid.column("w1")] < 0.15
    assert moved["student"] < 0.5 * moved[None]


def test_a_named_crisis_has_one_scale_a_month() -> None:
    tables, _, _ = economy(7, weeks=220)
    crisis = ["2013-03", "2013-04"]
    for frequency in "MW":
        table = tables[frequency]
        hit = [str(p.asfreq("M")) in crisis for p in table.index]
        tables[frequency] = table.mul(np.where(hit, 6.0, 1.0), axis=0)
    model = DynamicFactorModel(robust=Robust(crisis=tuple(crisis)))
    fitted = model.fit(tables["M"], tables["Q"], weekly=tables["W"], levels=["survey"])
    assert fitted.weights is not None
    rows = np.flatnonzero([str(p.asfreq("M", how="E")) == "2013-03" for p in fitted.grid.periods])[1:-1]
    own = fitted.weights.cell[rows][:, [fitted.grid.column(f"w{k}") for k in range(3)]]
    assert np.ptp(own) == 0.0
    assert own[0, 0] < 0.2
    with pytest.raises(UsageError, match="cannot drift"):
        DynamicFactorModel(robust=Robust(drift=20)).fit(tables["M"], weekly=tables["W"])
    with pytest.raises(UsageError, match="volatility cannot move"):
        DynamicFactorModel(robust=Robust(volatility="walk")).fit(tables["M"], weekly=tables["W"])
    with pytest.raises(UsageError, match="order two and more"):
        DynamicFactorModel(idiosyncratic="ar2").fit(tables["M"], weekly=tables["W"])
