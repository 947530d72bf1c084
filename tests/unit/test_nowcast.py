"""The nowcast: its algebra against dense Gaussian conditioning, its honesty, its refusals."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, NotFoundError, UsageError
from opsroom.measure.nowcast import SeriesSpec, Settings, nowcast
from opsroom.measure.nowcast.estimate import fit
from opsroom.measure.nowcast.linear import expected, look, project
from opsroom.measure.nowcast.model import START_VARIANCE, Parameters, build_rows, observe, smooth
from opsroom.measure.nowcast.news import EXACT
from opsroom.measure.nowcast.panel import GROWTH, LEVEL, Panel, build_panel

SPECS = (
    SeriesSpec("gdp", "Q", "pch", publication_lag_days=45),
    *(SeriesSpec(f"m{i}", "M", "pch", publication_lag_days=10 + 6 * i) for i in range(6)),
    SeriesSpec("survey", "M", "lin", publication_lag_days=1),
)
LAGS = {s.name: s.publication_lag_days or 0 for s in SPECS}


def economy(*, months: int = 150, seed: int = 0, shock: dict[int, float] | None = None) -> pd.DataFrame:
    """Levels of seven months' series and GDP from 2008 on, driven by one factor."""
    rng = np.random.default_rng(seed)
    f = np.zeros(months)
    for t in range(1, months):
        f[t] = 0.7 * f[t - 1] + rng.normal(0, 0.3) + (shock or {}).get(t, 0.0)
    day = pd.date_range("2008-01-01", periods=months, freq="MS")
    rows = []
    for i in range(6):
        growth = 0.2 + (0.5 + 0.1 * i) * f + rng.normal(0, 0.5, months)
        rows.append(pd.DataFrame({"series": f"m{i}", "period": day, "value": 100 * np.cumprod(1 + growth / 100)}))
    rows.append(pd.DataFrame({"series": "survey", "period": day, "value": 50 + 3 * f + rng.normal(0, 1, months)}))
    output = 100 * np.cumprod(1 + (0.15 + 0.4 * f + rng.normal(0, 0.15, months)) / 100)
    quarter = pd.Series(output, index=day).resample("QS").mean()
    rows.append(pd.DataFrame({"series": "gdp", "period": quarter.index, "value": quarter.to_numpy()}))
    return pd.concat(rows, ignore_index=True)


def as_of(table: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """Cut a table to what the publication lags allow on a day."""
    quarterly = table["series"] == "gdp"
    end = table["period"] + pd.offsets.MonthEnd(0)
    end = end.where(~quarterly, table["period"] + pd.offsets.QuarterEnd(0))
    known = end + pd.to_timedelta(table["series"].map(LAGS), unit="D") <= pd.Timestamp(day)
    return table[known].reset_index(drop=True)


def small_panel(*, holes: bool = True) -> tuple[Panel, Parameters]:
    """A panel of three monthly and two quarterly series with holes, and arbitrary parameters."""
    rng = np.random.default_rng(5)
    months, names = 20, ("gdp", "a", "b", "c", "stock")
    values = rng.normal(size=(months, 5))
    quarterly = np.array([True, False, False, False, True])
    for column in (0, 4):
        values[np.arange(months) % 3 != 2, column] = np.nan
    values[:4, quarterly] = np.nan
    if holes:
        values[[6, 7, 8, 13], 1] = np.nan
        values[:3, 2] = np.nan
        values[17:, 3] = np.nan
        values[18:, 0] = np.nan
    panel = Panel(24000, names, quarterly, np.array([False] * 4 + [True]), np.ones((5, 2), bool), values)
    p = Parameters(
        center=rng.normal(size=5),
        scale=rng.uniform(0.5, 2, 5),
        intercept=rng.normal(size=5),
        loadings=rng.normal(size=(5, 2)),
        memory=np.array([0.0, 0.6, -0.3, 0.9, 0.0]),
        variance=rng.uniform(0.3, 1.5, 5),
        transition=np.array([[0.5, 0.1, 0.2, 0.0], [0.0, 0.4, 0.1, -0.2]]),
        weights=rng.uniform(0.2, 1.2, (months, 5)),
        calm=np.concatenate([[1, 1], rng.uniform(0.1, 1.2, months - 2)]),
    )
    return panel, p


def dense(panel: Panel, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the whole grid (months x series, standardised), written down directly."""
    months, n = panel.values.shape
    r, lags = p.factors, p.lags
    moving = np.zeros((months * r, months * r))  # factors as a linear map of independent shocks
    sd = np.concatenate([np.full(lags * r, START_VARIANCE**0.5), np.repeat(p.calm[lags:] ** -0.5, r)])
    for t in range(months):
        rows = slice(t * r, (t + 1) * r)
        moving[rows, rows] = np.eye(r)
        if t >= lags:
            for lag in range(1, lags + 1):
                block = p.transition[:, (lag - 1) * r : lag * r]
                moving[rows] += block @ moving[(t - lag) * r : (t - lag + 1) * r]
    factor_cov = (moving * sd) @ (moving * sd).T
    load = np.zeros((months * n, months * r))
    noise = np.zeros((months * n, months * n))
    for i in range(n):
        shape = (LEVEL if panel.average[i] else GROWTH) if panel.quarterly[i] else np.array([1.0])
        for t in range(months):
            for lag, w in enumerate(shape):
                if t - lag >= 0:
                    load[t * n + i, (t - lag) * r : (t - lag + 1) * r] += w * p.loadings[i]
        own = np.zeros((months, months))
        if panel.quarterly[i]:
            own = np.diag(p.variance[i] / p.weights[:, i])
        else:
            for t in range(months):
                before = own[t - 1, t - 1] if t else 0.0
                rho = p.memory[i]
                own[t, t] = rho**2 * before + p.variance[i] / p.weights[t, i] if t else p.variance[i] / (1 - rho**2)
                for s in range(t):
                    own[s, t] = own[t, s] = rho * own[t - 1, s]
        noise[np.ix_(np.arange(months) * n + i, np.arange(months) * n + i)] = own
    return np.tile(p.intercept, months), load @ factor_cov @ load.T + noise


def conditioned(panel: Panel, p: Parameters) -> tuple[np.ndarray, float]:
    """Expected grid given the known cells, and the log density of these."""
    mean, cov = dense(panel, p)
    x = ((panel.values - p.center) / p.scale).ravel()
    known = ~np.isnan(x)
    inner, gap = cov[np.ix_(known, known)], x[known] - mean[known]
    solved = np.linalg.solve(inner, gap)
    logdet = np.linalg.slogdet(inner)[1]
    density = -0.5 * (known.sum() * np.log(2 * np.pi) + logdet + gap @ solved)
    return (mean + cov[:, known] @ solved).reshape(panel.values.shape), float(density)


@pytest.mark.parametrize("holes", [True, False])
def test_likelihood_and_expectations_are_those_of_the_joint_distribution(holes: bool) -> None:
    panel, p = small_panel(holes=holes)
    seen = observe(panel, p.center, p.scale)
    posterior = smooth(build_rows(seen, p), p)
    grid, density = conditioned(panel, p)
    assert posterior.loglikelihood == pytest.approx(density, abs=1e-8)
    state = look(panel, p)
    row = 17
    direct = p.center[0] + p.scale[0] * grid[row, 0]
    month, series = np.nonzero(np.isnan(panel.values) & ~panel.quarterly[None, :])
    assert np.max(np.abs(expected(state, panel, series, month) - grid[month, series]), initial=0.0) < 1e-9
    if holes:
        gone = replace(panel, values=panel.values.copy())
        gone.values[row, 0] = np.nan
        grid = conditioned(gone, p)[0]
        direct = p.center[0] + p.scale[0] * grid[row, 0]
        found = project(look(gone, p), row)
        assert found.value == pytest.approx(direct, abs=1e-9)
        assert found.mean + found.contribution.sum() == pytest.approx(found.value, abs=1e-12)


def test_the_fit_rises_at_every_step_and_says_how_it_went() -> None:
    panel = build_panel(
        as_of(economy(), dt.date(2020, 5, 6)),
        target="gdp",
        specs=SPECS,
        as_of=dt.date(2020, 5, 6),
        settings=Settings(),
    )
    report = fit(panel, Settings(tolerance=1e-8)).report
    assert report.converged
    assert np.all(np.diff(report.path) > -1e-9 * report.observations)
    assert report.radius < 1
    with pytest.raises(FitError, match="did not converge") as caught:
        fit(panel, Settings(max_iterations=3))
    assert caught.value.code == "OPS-M107"


def test_a_nowcast_knows_the_quarter() -> None:
    table, day = economy(), dt.date(2020, 5, 20)
    result = nowcast(as_of(table, day), target="gdp", as_of=day, specs=SPECS)
    truth = table[table["series"] == "gdp"].set_index("period")["value"].pct_change() * 100
    q = result.headline
    assert q.quarter == "2020-Q2"
    assert result.quarters[-1].quarter == "2020-Q3"
    assert q.lower90 < q.lower68 < q.growth < q.upper68 < q.upper90
    assert q.lower90 < truth["2020-04-01"] < q.upper90
    assert abs(q.growth - truth["2020-04-01"]) < abs(q.ar1 - truth["2020-04-01"])
    assert sum(q.components.values()) == pytest.approx(q.growth - q.normal, abs=1e-10)
    assert q.horizon_days == (dt.date(2020, 6, 30) - day).days + 45
    assert result.next_release is not None
    assert result.next_release.date > day
    assert (q.basis, q.shock) == ("model", False)
    assert "not annualised" in result.summary()
    assert "2014" in result.cite()
    with pytest.raises(NotFoundError, match="2010-Q1"):
        result.quarter("2010-Q1")


def test_rows_in_any_order_and_mappings_give_the_same_bits() -> None:
    day = dt.date(2020, 3, 4)
    table = as_of(economy(), day)
    first = nowcast(table, target="gdp", as_of=day, specs=SPECS)
    shuffled = table.sample(frac=1.0, random_state=1)
    again = nowcast(shuffled, target="gdp", as_of=day, specs=SPECS)
    mapping = {str(n): g.set_index("period")["value"] for n, g in table.groupby("series")}
    third = nowcast(mapping, target="gdp", as_of=day, specs=SPECS)
    assert first.point == again.point == third.point
    pd.testing.assert_frame_equal(first.to_frame(), again.to_frame())


def test_news_add_up_and_name_what_moved() -> None:
    table = economy(seed=2)
    days = (dt.date(2020, 3, 4), dt.date(2020, 3, 25))
    early, late = as_of(table, days[0]), as_of(table, days[1])
    late.loc[(late["series"] == "m1") & (late["period"] == "2019-12-01"), "value"] *= 1.004
    late = late[~((late["series"] == "survey") & (late["period"] == "2019-11-01"))]
    old = nowcast(early, target="gdp", as_of=days[0], specs=SPECS)
    new = nowcast(late, target="gdp", as_of=days[1], specs=SPECS)
    news = new.news(old)
    assert abs(news.total - (new.point - old.quarter("2020-Q1").growth)) < EXACT
    assert abs(news.by_series().sum() - news.total) < EXACT
    assert abs(news.by_component().sum() - news.total) < EXACT
    detail = news.to_frame()
    assert set(detail["component"]) == {"release", "revision", "withdrawal"}
    assert set(detail.loc[detail["component"] == "withdrawal", "series"]) == {"survey"}
    assert set(detail.loc[detail["component"] == "revision", "series"]) == {"m1"}
    assert (detail["series"] != "gdp").all()
    row = detail[detail["component"] == "release"].iloc[0]
    assert row["contribution"] == pytest.approx(row["weight"] * (row["actual"] - row["expected"]))
    with pytest.raises(UsageError, match="earlier and a later"):
        old.news(new)
    with pytest.raises(UsageError, match="has none of 2020-Q3"):
        nowcast(as_of(table, dt.date(2020, 5, 20)), target="gdp", as_of=dt.date(2020, 5, 20), specs=SPECS).news(
            old, quarter="2020-Q3"
        )


def test_no_news_is_no_change() -> None:
    day = dt.date(2020, 3, 4)
    table = as_of(economy(), day)
    result = nowcast(table, target="gdp", as_of=day, specs=SPECS)
    news = result.news(result)
    assert news.total == pytest.approx(0.0, abs=1e-12)
    assert news.to_frame().empty


def test_one_wild_number_moves_little_and_a_common_shock_much() -> None:
    day = dt.date(2020, 5, 20)
    calm, crash = economy(), economy(shock={146: -6.0, 147: -3.0})
    plain = nowcast(as_of(calm, day), target="gdp", as_of=day, specs=SPECS)
    wild = calm.copy()
    wild.loc[(wild["series"] == "m2") & (wild["period"] >= "2020-04-01"), "value"] *= 0.5
    lone = nowcast(as_of(wild, day), target="gdp", as_of=day, specs=SPECS)
    assert abs(lone.point - plain.point) < 0.3
    found = nowcast(as_of(crash, day), target="gdp", as_of=day, specs=SPECS)
    truth = crash[crash["series"] == "gdp"].set_index("period")["value"].pct_change()["2020-04-01"] * 100
    assert truth < -5
    assert found.point < 0.7 * truth
    assert found.headline.shock
    assert found.headline.basis == "model-only-in-shock"
    assert found.headline.deviation > plain.headline.deviation


def test_a_crisis_does_not_rewrite_the_parameters() -> None:
    settings = Settings()
    day = dt.date(2020, 6, 20)
    table = as_of(economy(shock={140: -8.0, 141: -4.0, 143: 6.0}), day)
    panel = build_panel(table, target="gdp", specs=SPECS, as_of=day, settings=settings)
    p = fit(panel, settings).parameters
    # Loadings are identified up to the factor's scale: compare the series' response per unit of GDP's.
    found = (p.loadings[1:, 0] * p.scale[1:]) / (p.loadings[0, 0] * p.scale[0])
    truth = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 3.0]) / 0.4
    assert np.max(np.abs(found / truth - 1.0)) < 0.15
    assert abs(p.transition.sum() - 0.7) < 0.1
    shocked = panel.first_month + np.flatnonzero(p.calm < 0.1)
    assert shocked.tolist() == [12 * 2008 + t for t in (140, 141, 143)]


def test_blocks_keep_prices_out_of_growth() -> None:
    rng = np.random.default_rng(8)
    table, day = economy(), dt.date(2020, 3, 25)
    months = pd.date_range("2008-01-01", periods=150, freq="MS")
    inflation = 0.2 + np.cumsum(rng.normal(0, 0.15, 150)) * 0.5
    for name in ("cpi", "ppi", "import_prices"):
        level = 100 * np.cumprod(1 + (inflation + rng.normal(0, 0.05, 150)) / 100)
        table = pd.concat([table, pd.DataFrame({"series": name, "period": months, "value": level})])
    vintage = table[table["series"].map(lambda s: s not in LAGS) & (table["period"] < "2020-03-01")]
    vintage = pd.concat([as_of(table[table["series"].isin(list(LAGS))], day), vintage])
    with_block = [
        *SPECS,
        *(SeriesSpec(n, "M", "pch", block="prices") for n in ("cpi", "ppi", "import_prices")),
    ]
    plain = nowcast(vintage, target="gdp", as_of=day, specs=SPECS)
    blocked = nowcast(vintage, target="gdp", as_of=day, specs=with_block)
    loads = blocked.workings.fit.parameters.loadings
    assert loads.shape == (11, 2)
    assert np.all(loads[:8, 1] == 0.0)
    assert abs(blocked.point - plain.point) < 0.2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t[t["series"] != "gdp"], "OPS-M101"),
        (lambda t: t[(t["series"] != "gdp") | (t["period"] >= "2017-01-01")], "OPS-M102"),
        (lambda t: t[t["series"] == "gdp"], "OPS-M103"),
        (lambda t: t[t["period"] < "2019-01-01"], "OPS-M104"),
        (lambda t: t.assign(value=t["value"].where(t["series"] != "survey", 50.0)), "OPS-M109"),
    ],
)
def test_what_deserves_no_number_is_refused(change: object, code: str) -> None:
    day = dt.date(2020, 3, 4)
    table = change(as_of(economy(), day))
    with pytest.raises(FitError) as caught:
        nowcast(table, target="gdp", as_of=day, specs=SPECS)
    assert caught.value.code == code
    assert caught.value.remedy


def test_slips_of_the_caller_are_named() -> None:
    day, table = dt.date(2020, 3, 4), economy()
    with pytest.raises(UsageError, match="two values"):
        nowcast(pd.concat([table, table]), target="gdp", as_of=day, specs=SPECS)
    with pytest.raises(UsageError, match="lacks the column"):
        nowcast(table.drop(columns="value"), target="gdp", as_of=day, specs=SPECS)
    with pytest.raises(UsageError, match="no specification"):
        nowcast(table, target="gnp", as_of=day, specs=SPECS)
    with pytest.raises(UsageError, match="transform"):
        SeriesSpec("x", "M", "log10")
    with pytest.raises(UsageError, match="frequency"):
        SeriesSpec("x", "A")


def test_cells_hold_what_the_faces_read() -> None:
    table = economy()
    days = (dt.date(2020, 3, 4), dt.date(2020, 3, 25))
    old, new = (nowcast(as_of(table, d), target="gdp", as_of=d, specs=SPECS) for d in days)
    gdp, news = new.cells(previous=old)
    assert gdp.name == "nowcast.gdp"
    assert gdp.dimensions == ("quarter", "kind")
    assert set(gdp.frame["kind"]) == {"nowcast", "ar1", "bridge", "official"}
    assert gdp.facts["previous"] == {"day": "2020-03-04", "growth": round(old.point, 2)}
    assert gdp.facts["next_release"]["series"] in LAGS
    assert gdp.facts["titles"]["m0"] == "m0"
    total = news.frame.set_index(["series", "component"])["contribution"]
    assert total["_T", "_T"] == pytest.approx(new.point - old.point, abs=6e-4)
    assert not gdp.public
    assert len(new.cells()) == 1
