"""The nowcast: what it knows, its news, its honesty, its refusals."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, InternalError, NotFoundError, UsageError
from opsroom.measure.nowcast import SeriesSpec, Settings, nowcast
from opsroom.measure.nowcast.dfm.grid import gather
from opsroom.measure.nowcast.dfm.news import added_up
from opsroom.measure.nowcast.engine import fit
from opsroom.measure.nowcast.news import News, pooled
from opsroom.measure.nowcast.panel import build_panel
from opsroom.measure.nowcast.together import MEMBERS

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


def test_the_fit_rises_at_every_step_and_says_how_it_went() -> None:
    day = dt.date(2020, 5, 6)
    panel = build_panel(as_of(economy(), day), target="gdp", specs=SPECS, as_of=day, settings=Settings())
    report = fit(panel, SPECS, Settings(tolerance=1e-8)).report
    assert report is not None
    assert report.converged
    assert np.all(np.diff(report.path) > -1e-9 * report.cells)
    assert report.radius < 1
    with pytest.raises(FitError, match="did not converge") as caught:
        fit(panel, SPECS, Settings(max_iterations=3))
    assert caught.value.code == "OPS-M107"


def test_tables_are_the_grid_by_period() -> None:
    day = dt.date(2020, 5, 6)
    panel = build_panel(as_of(economy(), day), target="gdp", specs=SPECS, as_of=day, settings=Settings())
    monthly, quarterly = panel.tables()
    assert list(monthly.columns) == [n for n in panel.names if n != "gdp"]
    assert list(quarterly.columns) == ["gdp"]
    for quarter, value in quarterly["gdp"].items():
        assert panel.values[panel.index(quarter), 0] == pytest.approx(value, nan_ok=True)
    month = pd.Period("2019-11", "M")
    assert monthly.loc[month, "m3"] == panel.values[12 * 2019 + 10 - panel.first_month, panel.names.index("m3")]


def test_a_search_begun_from_an_earlier_day_finds_the_same_top() -> None:
    table, days = economy(), (dt.date(2020, 1, 8), dt.date(2020, 3, 4))
    early = nowcast(as_of(table, days[0]), target="gdp", as_of=days[0], specs=SPECS)
    learnt = early.workings.fitted.parameters
    settings = Settings(tolerance=1e-8)
    vintage = as_of(table, days[1])
    cold, warm = (
        nowcast(vintage, target="gdp", as_of=days[1], specs=SPECS, settings=settings, start=start)
        for start in (None, learnt)
    )
    reports = [one.workings.fitted.report for one in (cold, warm)]
    assert reports[0] is not None
    assert reports[1] is not None
    assert reports[1].objective == pytest.approx(reports[0].objective, abs=1e-3)
    assert reports[1].steps < reports[0].steps
    assert warm.point == pytest.approx(cold.point, abs=1e-3)
    # Another panel's parameters are left aside.
    fewer = [s for s in SPECS if s.name != "m5"]
    plain, other = (nowcast(vintage, target="gdp", as_of=days[1], specs=fewer, start=s) for s in (None, learnt))
    assert plain.point == other.point


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
    # Its shape is that of the model's Student errors: narrower in the middle than a normal one of that deviation.
    model = result.workings.fitted.nowcast("gdp", "2020-Q2")
    assert (q.deviation, q.lower68, q.upper90) == (model.sd, *(model.quantiles[level] for level in (0.16, 0.95)))
    assert model.wobble > 0.1
    assert q.upper68 - q.growth < 0.98 * 0.9945 * q.deviation
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
    assert abs(news.total - (new.point - old.quarter("2020-Q1").growth)) < 1e-10
    assert abs(news.by_series().sum() - news.total) < 1e-10
    assert abs(news.by_kind().sum() - news.total) < 1e-10
    detail = news.to_frame()
    assert set(detail["kind"]) == {"release", "revision", "withdrawal", "weights", "parameters"}
    assert set(detail.loc[detail["kind"] == "withdrawal", "series"]) == {"survey"}
    assert set(detail.loc[detail["kind"] == "revision", "series"]) == {"m1"}
    assert (detail["series"] != "gdp").all()
    row = detail[detail["kind"] == "release"].iloc[0]
    assert row["impact"] == pytest.approx(row["weight"] * (row["actual"] - row["expected"]))
    assert "2020-Q1" in news.summary()
    # What all models say together: the same pieces at the factor model's weight, one of the others, one of the weights.
    before, after = old.quarter("2020-Q1"), new.quarter("2020-Q1")
    assert abs(news.pool.total - (after.pool - before.pool)) < 1e-10
    kinds = news.pool.by_kind()
    others = (after.bridge - before.bridge + after.ar1 - before.ar1) / 3
    assert kinds["models"] == pytest.approx(others, abs=1e-12)
    assert kinds["shares"] == pytest.approx(0.0, abs=1e-12)  # no past: equal weights on both days
    assert kinds[list(news.by_kind().index)].to_numpy() == pytest.approx(news.by_kind().to_numpy() / 3, abs=1e-12)
    for shares in ((0.2, 0.5, 0.3), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)):
        means = (after.growth, after.bridge, after.ar1)
        moved = replace(after, pool_weights=dict(zip(MEMBERS, shares, strict=True)), pool=float(np.dot(shares, means)))
        found = pooled(news.result, moved, before)
        assert abs(found.total - (moved.pool - before.pool)) < 1e-10
        assert found.by_series()["shares"] == pytest.approx(np.dot(np.subtract(shares, 1 / 3), means))
        assert found.by_series()["m1"] == pytest.approx(news.by_series()["m1"] / 3)
    with pytest.raises(InternalError, match="do not add up"):
        pooled(news.result, replace(after, pool=after.pool + 1e-6), before)
    with pytest.raises(InternalError, match="do not add up"):
        pooled(news.result, replace(after, pool=float("nan")), before)
    # Rounding grows with the numbers: what passes as the factor model's news passes as the pool's.
    large = [replace(q, growth=1e4 * q.growth, bridge=1e4 * q.bridge, ar1=1e4 * q.ar1, pool=1e4 * q.pool)
             for q in (before, after)]  # fmt: skip
    detail = news.result.detail.assign(impact=1e4 * news.result.detail["impact"])
    detail.loc[0, "impact"] += 6e-10
    moved = added_up(replace(news.result, before=large[0].growth, after=large[1].growth, detail=detail), 1e4)
    assert pooled(moved, large[1], large[0]).total == pytest.approx(large[1].pool - large[0].pool)
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
    assert news.to_frame()["series"].eq("").all()


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
    # What the models disagree on is part of the error, and of its shape.
    q = found.headline
    beyond = float(np.hypot(q.growth - q.bridge, q.discord))
    model = found.workings.fitted.nowcast("gdp", q.quarter, beyond=beyond)
    assert (q.deviation, q.upper68) == (model.sd, model.quantiles[0.84])
    assert model.sd > beyond > 0


def test_a_crisis_does_not_rewrite_the_parameters() -> None:
    settings = Settings()
    day = dt.date(2020, 6, 20)
    table = as_of(economy(shock={140: -8.0, 141: -4.0, 143: 6.0}), day)
    panel = build_panel(table, target="gdp", specs=SPECS, as_of=day, settings=settings)
    fitted = fit(panel, SPECS, settings)
    p, weights = fitted.parameters, fitted.weights
    assert weights is not None
    # Loadings are identified up to the factor's scale: compare the series' response per unit of GDP's month.
    response = p.loadings[:, 0] * p.scale
    found = response[:-1] / (3.0 * response[-1])
    truth = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 3.0]) / 0.4
    assert np.max(np.abs(found / truth - 1.0)) < 0.15
    assert abs(p.transition.sum() - 0.7) < 0.1
    lead = len(weights.calm) - fitted.grid.values.shape[0]
    shocked = fitted.grid.first_month + np.flatnonzero(weights.calm < 0.1) - lead
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
    p = blocked.workings.fitted.parameters
    in_block = [name in ("cpi", "ppi", "import_prices") for name in p.names]
    assert p.factor_names == ("common", "prices")
    assert np.array_equal(p.loadings[:, 1] != 0.0, in_block)
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
    assert set(gdp.frame["kind"]) == {"nowcast", "pool", "ar1", "bridge", "official"}
    assert gdp.facts["previous"] == {
        "day": "2020-03-04", "growth": round(old.point, 2), "pool": round(old.headline.pool, 2)
    }  # fmt: skip
    moves = sum(float(one["contribution"]) for one in gdp.facts["pool_news"])
    assert moves == pytest.approx(new.headline.pool - old.headline.pool, abs=0.006)
    assert gdp.facts["next_release"]["series"] in LAGS
    assert gdp.facts["titles"]["m0"] == "m0"
    total = news.frame.set_index(["series", "component"])["contribution"]
    assert total["_T", "_T"] == pytest.approx(new.point - old.point, abs=6e-4)
    assert not gdp.public
    assert len(new.cells()) == 1


def test_what_is_due_says_how_far_it_could_move_the_nowcast() -> None:
    day = dt.date(2020, 5, 20)
    vintage = as_of(economy(), day)
    gaussian = Settings(tail=1e7, shock_tail=1e7)
    result = nowcast(vintage, target="gdp", as_of=day, specs=SPECS, settings=gaussian)
    fitted = result.workings.fitted
    due = {one.series: one for one in result.calendar}
    assert set(due) == set(LAGS)
    assert due["gdp"].could_move is None  # its own figure ends the nowcast
    # Brute force: the variance that the figure takes from the nowcast is the square of what it moves it by.
    quarter = result.target_quarter
    before = fitted.nowcast("gdp", quarter, parameter_uncertainty=False).filter_sd
    for name in ("m0", "m5", "survey"):
        monthly, quarterly = result.workings.panel.tables()
        period = due[name].period
        monthly.loc[pd.Period(period, "M"), name] = 7.0  # how far it comes out does not matter for the variance
        told = fitted.updated(gather(monthly, quarterly, names=fitted.grid.names))
        after = told.nowcast("gdp", quarter, parameter_uncertainty=False).filter_sd
        assert due[name].could_move == pytest.approx(np.sqrt(before**2 - after**2), rel=1e-4)
    assert fitted.at_stake("gdp", quarter, "m0", "2019-12") == 0.0


def test_a_series_called_like_a_kind_is_not_taken_for_it() -> None:
    """The same data under other names: the same pieces, each by itself, in results and in a release's facts."""
    names = {f"m{k}": name for k, name in enumerate(("models", "shares", "weights", "parameters"))}
    days = (dt.date(2020, 3, 4), dt.date(2020, 3, 25))

    def moved(called: dict[str, str]) -> tuple[News, dict[str, list[dict[str, object]]]]:
        specs = [replace(spec, name=called.get(spec.name, spec.name)) for spec in SPECS]
        old, new = (
            nowcast(
                as_of(economy(), day).replace({"series": called}) if called else as_of(economy(), day),
                target="gdp", as_of=day, specs=specs,
            )
            for day in days
        )  # fmt: skip
        return new.news(old), {key: new.cells(previous=old)[0].facts[key] for key in ("news", "pool_news")}

    usual, told = moved({})
    other, named = moved(names)
    for one, two in ((usual.result, other.result), (usual.pool, other.pool)):
        pieces = two.by_series()
        assert len(pieces) == len(one.by_series())
        taken = set(two.detail["series"]) & set(names.values())
        for series, value in one.by_series().items():
            label = f"({series})" if series in taken else names.get(str(series), str(series))
            assert pieces[label] == pytest.approx(value, abs=1e-9)
        by_block = replace(two, blocks=dict.fromkeys(names.values(), "weights")).by_block()
        assert by_block["(weights)"] == pytest.approx(two.by_kind()["weights"])
    for family in told:
        before = {(names.get(str(r["series"]), r["series"]), r["kind"]): r["contribution"] for r in told[family]}
        after = {(r["series"], r["kind"]): r["contribution"] for r in named[family]}
        assert before == after
        assert all(bool(series) != bool(kind) for series, kind in after)
