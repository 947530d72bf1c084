"""Sources combined: weights, shared errors, missing sources, disagreement; and all of it against Meridia's truth."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DisclosureError, UsageError
from opsroom.base.state import State
from opsroom.measure.resumption import MonthlyResult, combine, composite_index, sensitivity
from opsroom.measure.resumption.aggregate import Z
from opsroom.measure.resumption.filing import FILED, DelayLaw
from opsroom.measure.resumption.months import Months
from opsroom.measure.resumption.precision import PRIOR_SD, Errors, best_weights, blend, scale
from opsroom.protect import Ledger, Rules
from opsroom.protect.gate import release

MONTHS = pd.date_range("2020-01-01", "2020-06-01", freq="MS", name="month")
COHORT = dt.date(2019, 12, 15)

Array = np.ndarray[Any, np.dtype[np.float64]]


def source(name: str, level: Array, *, family: str | None = None, sd: float = 0.0) -> MonthlyResult:
    """Return a source of which the levels are as given."""
    n, t = level.shape
    companies = pd.DataFrame(
        {
            "enterprise_id": np.arange(n), "group": np.arange(n), "region": np.array(["R01", "R02"])[np.arange(n) % 2],
            "section": "C", "size_class": "micro", "employees": 1, "annual_sales": 1, "gone": 10**6,
            "entrant": False, "sme": "sme",
        }
    )  # fmt: skip
    record = np.full((n, t), FILED, dtype=np.int8)
    panel = Months(
        companies, MONTHS[:t], level.astype(np.float32), np.full((n, t), sd, dtype=np.float32), (), record,
        record == FILED,
    )  # fmt: skip
    return MonthlyResult(
        source=name, family=family or name, panel=panel, as_of=dt.date(2020, 7, 1), cohort_day=COHORT,
        reference_month=MONTHS[t - 1].date(), thresholds=(0.3, 0.5, 0.7), margin=0.0,
        delays=DelayLaw(np.zeros(1, dtype=np.int64), np.ones(1), 0), entrants=pd.Series(0, index=MONTHS[:t]), facts={},
    )  # fmt: skip


def at(name: str, shares: list[float], *, family: str | None = None, n: int = 200) -> MonthlyResult:
    """Return a source by which given shares of companies are back, per cent; the others are closed."""
    level = np.column_stack([np.where(np.arange(n) < round(n * s / 100), 1.0, 0.0) for s in shares])
    return source(name, level, family=family)


PATH = [100.0, 20.0, 40.0, 50.0, 60.0, 70.0]


def off(by: float) -> list[float]:
    return [100.0, *(p + by for p in PATH[1:])]


def test_independent_errors_weigh_by_their_inverse() -> None:
    variances = np.array([1.0, 4.0, 16.0])
    np.testing.assert_allclose(best_weights(np.diag(variances)), (1 / variances) / (1 / variances).sum(), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_weights_are_the_best_that_are_not_negative(count: int, seed: int) -> None:
    luck = np.random.default_rng(seed)
    root = luck.normal(size=(count, count + 1))
    matrix = root @ root.T + 0.01 * np.eye(count)
    weights = best_weights(matrix)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    others = luck.dirichlet(np.full(count, 0.5), size=300)
    assert weights @ matrix @ weights <= 1.35 * np.einsum("ki,ij,kj->k", others, matrix, others).min()
    inside = weights > 0
    slope = (matrix @ weights)[inside]
    np.testing.assert_allclose(slope, slope[0], rtol=1e-4)  # the best of those that are let in


def test_a_copy_of_a_source_adds_neither_weight_nor_certainty() -> None:
    one, two, three = at("meters", off(2)), at("vat", off(-3), family="money"), at("payroll", off(0))
    copy = at("receipts", off(-3), family="money")
    alone, twice = combine([one, two, three]), combine([one, two, three, copy])
    found = twice.weights()
    np.testing.assert_allclose(found["vat"] + found["receipts"], alone.weights()["vat"], atol=0.02)
    np.testing.assert_allclose(found["vat"], found["receipts"], atol=1e-3)
    np.testing.assert_allclose(twice.frame["resumed"], alone.frame["resumed"], atol=0.1)
    apart = combine([one, two, three, replace(copy, family="receipts")])
    assert (apart.weights()["vat"] + apart.weights()["receipts"]).iloc[1] > 1.2 * alone.weights()["vat"].iloc[1]


def test_errors_are_told_from_how_far_sources_lie_apart() -> None:
    """Planted errors of 2, 4 and 8 points, in many months: each is found, and so are the weights."""
    luck, planted = np.random.default_rng(0), np.array([0.02, 0.04, 0.08])
    truth = luck.uniform(0.35, 0.65, (10, 300))
    values = truth + planted[:, None, None] * np.sqrt(scale(truth)) * luck.normal(size=(3, 10, 300))
    learnt = Errors.learn(values, np.zeros(values.shape), np.ones(10), np.arange(3))
    np.testing.assert_allclose(np.sqrt(np.diag(learnt.covariance)), planted, rtol=0.1)
    kin = values.copy()
    kin[1] = truth + 0.7 * (values[0] - truth) + 0.01 * luck.normal(size=truth.shape)
    shared = Errors.learn(
        np.concatenate([kin, values[1:2]]), np.zeros((4, 10, 300)), np.ones(10), np.array([0, 0, 1, 2])
    )
    assert shared.covariance[0, 1] == pytest.approx(0.7 * 0.02**2, rel=0.25)
    assert shared.covariance[0, 2] == pytest.approx(0, abs=1e-9)


def test_own_variance_is_not_taken_for_error_of_the_source() -> None:
    luck = np.random.default_rng(1)
    truth = np.full((20, 200), 0.5)
    values = truth + 0.05 * luck.normal(size=(3, 20, 200))
    learnt = Errors.learn(values, np.full(values.shape, 0.05**2), np.ones(20), np.arange(3))
    assert np.sqrt(np.diag(learnt.covariance)).max() < 0.015


def test_before_anything_is_learnt_all_weigh_alike() -> None:
    nothing = np.zeros((3, 1, 0))
    first = Errors.learn(nothing, nothing, np.ones(1), np.arange(3))
    np.testing.assert_allclose(first.covariance, PRIOR_SD**2 * np.eye(3))
    found = combine([at("a", off(2)), at("b", off(0)), at("c", off(-2))])
    np.testing.assert_allclose(found.weights().iloc[:2], 1 / 3, atol=1e-6)
    assert found.frame["resumed"].iloc[1] == pytest.approx(20.0)


def test_only_earlier_months_teach() -> None:
    """What a source says in a month does not change what is thought of its error before and in that month."""
    one = [at("a", off(1)), at("b", off(0)), at("c", off(-1))]
    wild = [at("a", [*off(1)[:4], 95.0, 5.0]), *one[1:]]
    first, second = combine(one), combine(wild)
    pd.testing.assert_frame_equal(first.errors.iloc[:5], second.errors.iloc[:5])
    pd.testing.assert_frame_equal(first.frame.iloc[:4], second.frame.iloc[:4])
    assert second.errors.iloc[5].loc[("resumed", "a")] > first.errors.iloc[5].loc[("resumed", "a")]
    assert second.weights().iloc[5]["a"] < first.weights().iloc[5]["a"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_weights_add_up_and_a_missing_source_widens(seed: int, count: int) -> None:
    luck = np.random.default_rng(seed)
    values = 0.5 + 0.001 * luck.normal(size=(count, 3, 4))
    own = luck.uniform(0.0001, 0.001, values.shape)
    families = luck.integers(0, count, count)
    errors = [Errors.learn(values[:, :, :t], own[:, :, :t], np.ones(3), families) for t in range(4)]
    expected = np.ones((count, 4), dtype=bool)
    whole = blend(values, own, errors, families, expected=expected)
    np.testing.assert_allclose(whole.weights.sum(axis=0), 1)
    holes = values.copy()
    holes[0, :, 3] = np.nan
    less = blend(holes, own, errors, families, expected=expected)
    np.testing.assert_allclose(less.weights.sum(axis=0), 1)
    assert (less.weights[0, :, 3] == 0).all()
    # Errors are scaled by the mean of the sources that there are, which a source less moves a little.
    assert (less.sd[:, 3] >= whole.sd[:, 3] * (1 - 2e-3)).all()
    none = blend(np.full_like(values, np.nan), own, errors, families, expected=expected)
    assert np.isnan(none.value).all()
    assert (none.weights == 0).all()


def test_disagreement_widens_the_band_by_birges_ratio_and_is_listed() -> None:
    close, far = combine([at("a", off(0)), at("b", off(1))]), combine([at("a", off(0)), at("b", off(40))])
    row = far.frame.iloc[1]
    variance = PRIOR_SD**2 * scale(np.array(0.4))
    chi = 2 * (0.2**2) / variance
    assert row["resumed"] == pytest.approx(40)
    assert row["resumed_sd"] == pytest.approx(100 * np.sqrt(variance / 2 * chi))
    assert row["resumed_upper"] == pytest.approx(min(40 + Z * row["resumed_sd"], 100))
    assert row["resumed_spread"] == pytest.approx(40)
    assert not row["resumed_agree"]
    assert far.disagreements().index[0] == MONTHS[1]
    early = combine([at("a", off(0)[:2]), at("b", off(40)[:2])])
    assert "disagree" in early.summary()
    assert close.frame["resumed_agree"].all()
    assert close.disagreements().empty


def test_a_source_that_stops_leaves_a_wider_band() -> None:
    full = combine([at("a", PATH), at("b", off(4)), at("c", off(-4))])
    short = combine([at("a", PATH), at("b", off(4)[:5]), at("c", off(-4)[:5])])
    last, left = full.frame.iloc[-1], short.frame.iloc[-1]
    assert left["resumed_sd"] > last["resumed_sd"]
    assert left["resumed"] == pytest.approx(70)
    assert (left["sources"], last["sources"]) == (1, 3)
    assert short.reference_month == MONTHS[4].date()
    assert np.isnan(left["resumed_b"])
    pd.testing.assert_frame_equal(short.frame.iloc[:5], full.frame.iloc[:5], check_freq=False)


def test_cells_have_weights_of_their_own_that_add_up() -> None:
    luck = np.random.default_rng(3)
    level = luck.uniform(0, 1, (60, 6))
    sources = [
        source(n, level + luck.normal(0, s, level.shape), sd=s) for n, s in (("a", 0.02), ("b", 0.2), ("c", 0.4))
    ]
    found = combine(sources, dims=["region"])
    assert found.frame.index.names == ["region", "month"]
    np.testing.assert_allclose(found.weights().sum(axis=1), 1)
    np.testing.assert_allclose(found.weights("capacity").sum(axis=1), 1)
    mean = found.weights("capacity").mean()
    assert mean["a"] > mean["b"] > mean["c"]
    assert "R01" in found.summary()


def test_sources_are_of_one_cohort_and_names_differ() -> None:
    one = at("a", PATH)
    with pytest.raises(UsageError, match="at least one"):
        combine([])
    with pytest.raises(UsageError, match="of its own name"):
        combine([one, one])
    with pytest.raises(UsageError, match="cohorts"):
        combine([one, replace(at("b", PATH), cohort_day=dt.date(2019, 1, 1))])
    with pytest.raises(UsageError, match="measure"):
        combine([one]).weights("use")
    with pytest.raises(UsageError, match="without dims"):
        combine([one], dims=["region"]).cells()


def test_the_composite_lies_between_share_times_capacity_and_share() -> None:
    level = np.column_stack([np.where(np.arange(100) < k, 0.8, 0.0) for k in (90, 50, 25, 30, 40, 60)])
    frame = source("a", level).by()
    share, capacity = frame["resumed"], frame["capacity"]
    even = composite_index(frame)
    np.testing.assert_allclose(even.frame["at_work"], 80, rtol=1e-5)
    np.testing.assert_allclose(even.frame["composite"], share * np.sqrt(0.8), rtol=1e-5)
    np.testing.assert_allclose(composite_index(frame, share_weight=0).frame["composite"], share * 0.8, rtol=1e-5)
    np.testing.assert_allclose(composite_index(frame, share_weight=1).frame["composite"], share, rtol=1e-5)
    np.testing.assert_allclose(capacity, share * 0.8, rtol=1e-5)
    assert (even.frame["lower"] <= even.frame["composite"]).all()
    assert (even.frame["composite"] <= even.frame["upper"]).all()
    assert "weights 0.50" in even.summary()
    assert "State Grid" in even.cite()
    assert even.to_frame() is even.frame
    with pytest.raises(UsageError, match="between 0 and 1"):
        composite_index(frame, share_weight=2)
    with pytest.raises(UsageError, match="lacks"):
        composite_index(frame[["resumed"]])


def test_the_table_of_sensitivity_has_each_source_and_the_combination() -> None:
    luck = np.random.default_rng(5)
    sources = [source(n, luck.uniform(0, 1, (50, 6))) for n in ("a", "b")]
    table = sensitivity([*sources, combine(sources, threshold=0.5)], month=MONTHS[2])
    assert table.index.droplevel("month").tolist() == [
        *((n, t) for n in ("a", "b") for t in (30, 50, 70)), ("combined", 50)
    ]  # fmt: skip
    own = sources[0].by(threshold=0.7).loc[MONTHS[2], "resumed"]
    assert table.loc[(MONTHS[2], "a", 70), "resumed"] == pytest.approx(own)
    assert table.loc[(MONTHS[2], "a", 30), "against_first"] == 0
    with pytest.raises(UsageError, match="nation"):
        sensitivity([combine(sources, dims=["region"])])


def test_the_release_series_shows_sources_and_weights() -> None:
    sources = [at("meters", off(2)), at("vat", off(-2)), at("payroll", off(0))]
    found = combine(sources)
    (cells,) = found.cells()
    assert cells.name == "resumption.sources"
    frame = cells.frame.set_index(["month", "source"])
    for name in found.names:
        row = frame.loc[("2020-03", name)]
        assert row["resumed__adjusted"] == pytest.approx(found.frame.loc[MONTHS[2], f"resumed_{name}"])
        assert row["weight_resumed"] == round(found.weights().loc[MONTHS[2], name], 2)
        assert row["back"] == round(2 * row["resumed__adjusted"])
    whole = frame.loc[("2020-03", "combined")]
    assert whole["resumed__adjusted"] == pytest.approx(found.frame.loc[MONTHS[2], "resumed"])
    assert whole["cohort"] == whole["cohort__groups"] == 200
    assert found.chart().to_dict()
    assert "Birge" in found.cite()


def test_the_gate_lets_out_sources_with_their_weights_and_refuses_few(tmp_path: Path) -> None:
    """Two hundred groups may be shown, two may not; the combination stands on its first source's companies."""
    many, few = combine([at("meters", off(2)), at("vat", off(-2))]), combine([at("meters", [50.0], n=2)])
    rules = Rules(min_contributors=3, dominance=((1, 75.0),), profile="business", version=1)
    ways = {"rules": rules, "as_of": dt.datetime(2020, 7, 1, tzinfo=dt.UTC), "day": dt.date(2020, 7, 1)}
    with closing(State.open(tmp_path / "room.db")) as state:
        shown = release(many.cells()[0], ledger=Ledger(state), **ways).to_frame().set_index(["month", "source"])
    with closing(State.open(tmp_path / "other.db")) as state, pytest.raises(DisclosureError):
        release(few.cells()[0], ledger=Ledger(state), **ways)
    row = shown.loc[("2020-03", "combined")]
    assert row["resumed"] == pytest.approx(many.frame.loc[MONTHS[2], "resumed"], abs=0.05)
    assert row["weight_resumed"] == 1
    assert shown.loc[("2020-03", "vat"), "weight_resumed"] == round(many.weights().loc[MONTHS[2], "vat"], 2)


# -- Meridia ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scoring(checkout: Path) -> ModuleType:
    """The benchmark's scoring, which lives outside the package."""
    import importlib
    import sys

    sys.path.insert(0, str(checkout))
    try:
        return importlib.import_module("bench.resumption_sources")
    finally:
        sys.path.remove(str(checkout))


NAMES = ("meters", "vat", "payroll", "receipts", "spending")


def _holds(score: dict[str, float]) -> None:
    """Check that the combination is as good as the best source, within its interval, and honest."""
    for place in ("", "cell_"):
        best = min(score[f"{place}{n}_mae"] for n in NAMES)
        assert score[f"{place}combined_mae"] <= best + score[f"{place}combined_width"] / 2
        assert score[f"{place}combined_mae"] < np.mean([score[f"{place}{n}_mae"] for n in NAMES])
        assert score[f"{place}combined_mae"] <= 3.5
    assert score["cell_combined_coverage"] >= 0.85


def test_all_sources_against_the_truth_of_a_world(scoring: ModuleType) -> None:
    _holds(scoring.score(1500, 3, publications=()))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_all_sources_against_the_truth_of_six_worlds(scoring: ModuleType) -> None:
    scores = [scoring.score(2500, seed) for seed in range(6)]
    for score in scores:
        _holds(score)
        assert score["said_mae"] <= 3.5
    table = pd.DataFrame(scores)
    assert 0.85 <= table["cell_combined_coverage"].mean() <= 0.99
    assert table["combined_coverage"].mean() >= 0.85
    assert table["said_coverage"].mean() >= 0.85
