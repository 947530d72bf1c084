"""Many series: panels, monitoring, scans, false discovery over series and nights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from opsroom.base.errors import FitError, UsageError
from opsroom.warn import gsadf, monitor, panel_gsadf, scan
from opsroom.warn.exuberance.discovery import OnlineDiscovery, adjusted, spent


def walks(length: int, count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = 50.0 + np.cumsum(rng.normal(size=(length, count)), axis=0)
    return pd.DataFrame(values, columns=[f"s{k}" for k in range(count)])


def test_a_panel_of_one_unit_twice_is_that_unit() -> None:
    one = walks(70, 1)["s0"]
    panel = panel_gsadf(pd.DataFrame({"A": one, "B": 3.0 * one}), lags=1, draws=199)
    alone = gsadf(one, lags=1, draws=199, critical_values="sieve")
    assert panel.gsadf == pytest.approx(alone.gsadf)
    assert np.allclose(panel.bsadf, alone.bsadf, equal_nan=True)
    # rows are drawn together, so units that are one have the critical value of one
    assert panel.critical["gsadf"].to_numpy() == pytest.approx(alone.critical.table["gsadf"].to_numpy())
    assert panel.p_value == pytest.approx(alone.p_value)
    apart = panel_gsadf(walks(70, 2, 5), lags=1, draws=199)
    assert apart.critical.at[0.95, "gsadf"] < panel.critical.at[0.95, "gsadf"]


def test_a_panel_says_when_and_which_way() -> None:
    frame = walks(80, 3, 1)
    frame.iloc[45:65] -= 1.25 ** np.arange(20)[:, None]
    found = panel_gsadf(frame, draws=199)
    assert found.p_value < 0.05
    assert list(found.episodes["sign"]) == ["crash"]
    assert 45 <= found.episodes["start"].iloc[0] <= 65
    assert "Crash from" in found.summary()
    assert list(found.to_frame().columns) == ["bsadf", "critical", "s0", "s1", "s2"]
    assert found.to_frame()["bsadf"].iloc[-1] == pytest.approx(found.units.iloc[-1].mean())
    assert "vconcat" not in found.chart().to_dict()
    assert "Pavlidis" in found.cite()
    with pytest.raises(FitError, match="unit 's1'"):
        panel_gsadf(frame.assign(s1=np.where(frame.index == 3, np.nan, frame["s1"])))
    with pytest.raises(UsageError, match="two units"):
        panel_gsadf(frame[["s0"]])


@pytest.mark.parametrize("method", ["bsadf", "cusum"])
def test_a_boundary_holds_over_the_horizon(method: str) -> None:
    """Of 400 series without a bubble, 10 % alarm anywhere in the horizon: within four standard errors."""
    frame = walks(60, 400, 9)
    found = [monitor(frame[n], training=40, method=method, level=0.9, draws=999, workers=1) for n in frame.columns[:1]]  # type: ignore[arg-type]  # by name
    boundary = found[0].boundary.to_numpy()
    from opsroom.warn.exuberance.sequences import plan_for, sequences
    from opsroom.warn.exuberance.surveillance import _cusum

    paths = frame.to_numpy().T
    plan = plan_for(40, 0, None)
    drawn = sequences(paths, plan).bsadf[:, 40 - plan.lead :] if method == "bsadf" else _cusum(paths, 40)
    share = float(np.mean((drawn > boundary).any(axis=1)))
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / 400) + 4 * np.sqrt(0.09 / 999)


def test_a_boundary_does_not_move_as_data_come_in() -> None:
    y = walks(90, 1, 2)["s0"].to_numpy().copy()
    y[70:] += 1.25 ** np.arange(20)
    for method in ("bsadf", "cusum"):
        early = monitor(y[:72], training=50, horizon=40, draws=199, method=method)  # type: ignore[arg-type]  # by name
        late = monitor(y, training=50, horizon=40, draws=199, method=method)  # type: ignore[arg-type]  # by name
        assert early.boundary.tolist() == late.boundary.tolist()[:22]
        assert np.allclose(early.statistic, late.statistic[:22])
        assert late.alarm is not None
        assert late.alarm == late.alarms[0]
        assert late.direction == "boom"
        assert "Alarm at" in late.summary()
        assert bool(late.to_frame().loc[late.alarm, "above"])
        assert late.chart().to_dict()
        assert late.cite()
    down = monitor(200.0 - y, training=50, horizon=40, draws=199, critical_values="wild_bootstrap")
    assert down.direction == "crash"


def test_monitoring_refuses_what_it_cannot_watch() -> None:
    y = walks(60, 1)["s0"]
    for wrong in ({"training": 60}, {"training": 40, "horizon": 10}, {"training": 40, "method": "ewma"}):
        with pytest.raises(UsageError):
            monitor(y, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    still = np.concatenate([np.ones(40), y])
    for method, kind in (("bsadf", "wild_bootstrap"), ("cusum", "monte_carlo")):
        with pytest.raises(FitError, match="training part"):
            monitor(still, training=40, method=method, critical_values=kind, draws=99)  # type: ignore[arg-type]  # by name


def test_a_scan_finds_the_one_and_says_why_others_were_left_out() -> None:
    frame = walks(80, 12, 4)
    frame.loc[50:, "s3"] += 1.2 ** np.arange(30)
    frame.loc[50:, "s5"] -= 1.2 ** np.arange(30)
    frame.loc[:20, "s7"] = np.nan
    frame.loc[40, "s8"] = np.nan
    frame["s9"] = 1.0
    frame["s10"] = np.nan
    found = scan(frame, draws=1999, workers=1)
    assert sorted(found.alarms) == ["s3", "s5"]
    table = found.table
    assert table.loc["s3", "direction"] == "boom"
    assert table.loc["s5", "direction"] == "crash"
    assert table.loc["s7", "length"] == 59
    assert table.loc["s8", "refused"].startswith("OPS-M341")
    assert table.loc["s10", "refused"].startswith("OPS-M341")
    assert np.isnan(table.loc["s9", "p_value"])
    assert (table.loc["s3", "last"], table.loc["s3", "p_value"]) == (
        gsadf(frame["s3"], lags=1).bsadf.iloc[-1], gsadf(frame["s3"], lags=1, draws=1999).p_values["last"],
    )  # fmt: skip
    assert "2 of 10 series" in found.summary()
    assert "2 series were not tested" in found.summary()
    again = scan(frame, draws=1999, workers=3)
    pd.testing.assert_frame_equal(found.to_frame(), again.to_frame())
    shown = found.sensitivity(draws=99, lags=(0, 1), kinds=("monte_carlo",))
    assert list(shown["series"]) == ["s3", "s3", "s5", "s5"] or list(shown["series"]) == ["s5", "s5", "s3", "s3"]
    assert found.result("s3").episodes[-1].ongoing
    with pytest.raises(UsageError, match="not tested"):
        found.result("s8")


def test_a_scan_by_bootstrap_is_each_series_own_and_says_what_draws_can_tell() -> None:
    frame = walks(50, 4, 6)
    found = scan(frame, about="sample", critical_values="wild_bootstrap", draws=99, lags=0)
    one = gsadf(frame["s2"], critical_values="wild_bootstrap", draws=99)
    assert found.table.loc["s2", "p_value"] == one.p_value
    assert "cannot tell p below 0.01" in found.summary()
    night = scan(frame, draws=999, night=3, horizon=10)
    assert night.level == pytest.approx(0.005)
    assert scan(frame, draws=999).level == 0.05
    for wrong in ({"about": "ever"}, {"procedure": "bonferroni"}, {"lags": 20}, {"false_discovery": 2.0}):
        with pytest.raises(UsageError):
            scan(frame, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match="table"):
        scan(frame["s0"])  # type: ignore[arg-type]  # wrong on purpose


@settings(max_examples=20)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30), st.sampled_from(["bh", "by"]))
def test_adjusted_p_values_are_statsmodels(p: list[float], method: str) -> None:
    expected = multipletests(p, method={"bh": "fdr_bh", "by": "fdr_by"}[method])[1]
    ours = adjusted([*p, np.nan], method=method)  # type: ignore[arg-type]  # by name
    assert np.allclose(ours[:-1], expected)
    assert np.isnan(ours[-1])


def test_what_nights_spend_adds_up_to_alpha() -> None:
    assert sum(spent(0.05, k, horizon=40) for k in range(1, 100)) == pytest.approx(0.05)
    assert 0.04 < sum(spent(0.05, k) for k in range(1, 20_000)) < 0.05


@settings(max_examples=20)
@given(
    st.lists(st.one_of(st.floats(0.0, 0.01), st.floats(0.0, 1.0)), min_size=1, max_size=60),
    st.sampled_from(["lord", "saffron"]),
)  # fmt: skip
def test_streams_never_estimate_more_false_alarms_than_alpha(p: list[float], method: str) -> None:
    """The estimate of the false discovery proportion on which both procedures rest stays at or below alpha."""
    state, total, alarms = OnlineDiscovery(0.1, method), 0.0, 0  # type: ignore[arg-type]  # by name
    for value in p:
        state, alarm, level = state.test(value)
        assert alarm == (value <= level)
        alarms += alarm
        total += level if method == "lord" else level * (value > 0.5) / 0.5
        assert total <= 0.1 * max(1, alarms) + 1e-12
    again, found = OnlineDiscovery(0.1, method).test_all(p)  # type: ignore[arg-type]  # by name
    assert again == state
    assert sum(found) == alarms


def test_alarms_win_levels_back() -> None:
    calm, _ = OnlineDiscovery(0.05).test_all([0.9] * 30)
    lucky, _ = OnlineDiscovery(0.05).test_all([0.9] * 29 + [0.0])
    assert lucky.level > 3 * calm.level
    many = [0.0001] * 25 + [0.9] * 5
    eager, _ = OnlineDiscovery(0.05, "saffron").test_all(many)
    plain, _ = OnlineDiscovery(0.05, "lord").test_all(many)
    assert eager.level > plain.level
    with pytest.raises(UsageError):
        OnlineDiscovery(1.5)
    with pytest.raises(UsageError):
        OnlineDiscovery(0.05).test(2.0)


def test_a_panel_of_unlike_spans_is_the_panel_of_what_all_have() -> None:
    frame = walks(90, 3, 6)
    uneven = frame.copy()
    uneven.iloc[:12, 0] = np.nan
    uneven.iloc[:5, 1] = np.nan
    uneven.iloc[-8:, 2] = np.nan
    with pytest.raises(FitError, match="unit"):
        panel_gsadf(uneven, draws=99)
    found, wanted = panel_gsadf(uneven, draws=99, span="common"), panel_gsadf(frame.iloc[12:-8], draws=99)
    assert (found.gsadf, found.p_value, found.cut, wanted.cut) == (wanted.gsadf, wanted.p_value, 20, 0)
    pd.testing.assert_series_equal(found.bsadf, wanted.bsadf)
    assert "20 periods" in found.summary()
    hole = uneven.copy()
    hole.iloc[40, 1] = np.nan
    with pytest.raises(FitError, match="unit"):
        panel_gsadf(hole, draws=99, span="common")
    apart = uneven.copy()
    apart.iloc[:85, 0] = np.nan
    with pytest.raises(FitError, match="no period"):
        panel_gsadf(apart, draws=99, span="common")
    with pytest.raises(UsageError, match="refused or cut"):
        panel_gsadf(frame, draws=99, span="all")  # type: ignore[arg-type]  # another word
