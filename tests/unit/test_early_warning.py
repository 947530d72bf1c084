"""Early warning: labels quarter by quarter, learning by known outcomes alone, and track records as of a day."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.early_warning import Rule, evaluate, label, recursive, track_record
from opsroom.warn.quarters import as_quarters, last_quarter, quarter_name, quarter_numbers


def drawn(crises: list[tuple[str, str | None]], *, rule: Rule, until: str = "2012-Q4") -> str:
    """Labels of 2000-Q1 to 2009-Q4 as text: 1 before a crisis, 0 calm, . left out."""
    quarters = pd.period_range("2000Q1", "2009Q4", freq="Q")
    table = pd.DataFrame([("A", *span) for span in crises], columns=["country", "start", "end"])
    found = label(["A"] * 40, quarters, table, rule=rule, known_until=int(quarter_numbers([until])[0]))
    return "".join("." if np.isnan(v) else str(int(v)) for v in found.value)


SHORT = Rule(horizon=(2, 4), after=1)


@pytest.mark.parametrize(
    ("crises", "rule", "until", "expected"),
    [
        # year           2000 2001 2002 2003 2004 2005 2006 2007 2008 2009
        ([], SHORT, "2012-Q4", "0000000000000000000000000000000000000000"),
        ([], SHORT, "2009-Q4", "000000000000000000000000000000000000...."),
        # starts 2003-Q1: warned 2002-Q1 to Q3, too late in 2002-Q4, on until 2003-Q4, recovering in 2004-Q1
        ([("2003-Q1", "2003-Q4")], SHORT, "2012-Q4", "00000000111......00000000000000000000000".ljust(40, "0")),
        # no end: on until the last quarter known
        ([("2003-Q1", None)], SHORT, "2012-Q4", "00000000111............................."),
        # what is in one crisis is no warning of the next: 2004-Q1 is 3 quarters before the second, and recovery
        ([("2003-Q1", "2003-Q4"), ("2004-Q4", "2004-Q4")], SHORT, "2012-Q4", "00000000111......1...0".ljust(40, "0")),
        # known until 2003-Q2, dated two quarters late: labels end six quarters before, in 2001-Q4
        ([("2003-Q1", "2003-Q4")], Rule((2, 4), 1, 2), "2003-Q2", "00000000" + "." * 32),
        # one quarter later the first 1 is known, not before
        ([("2003-Q1", "2003-Q4")], Rule((2, 4), 1, 2), "2003-Q3", "000000001" + "." * 31),
    ],
)
def test_labels_quarter_by_quarter(crises: list[tuple[str, str | None]], rule: Rule, until: str, expected: str) -> None:
    assert drawn(crises, rule=rule, until=until) == expected


def test_years_begin_in_the_first_quarter_and_end_in_the_last() -> None:
    by_year = pd.DataFrame({"country": ["A"], "start": [2003], "end": [2003.0]})
    by_quarter = pd.DataFrame({"country": ["A"], "start": ["2003-Q1"], "end": ["2003-Q4"]})
    quarters = pd.period_range("2000Q1", "2009Q4", freq="Q")
    first, second = (label(["A"] * 40, quarters, table, rule=SHORT) for table in (by_year, by_quarter))
    assert np.array_equal(first.value, second.value, equal_nan=True)
    assert first.crises == 1
    assert first.lead[8:11].tolist() == [4, 3, 2]


def test_of_two_crises_the_nearer_is_warned_of() -> None:
    table = pd.DataFrame({"country": "A", "start": ["2005-Q1", "2004-Q1"], "end": ["2005-Q1", "2004-Q1"]})
    quarters = pd.period_range("2000Q1", "2009Q4", freq="Q")
    found = label(["A"] * 40, quarters, table, rule=Rule(horizon=(1, 8), after=0))
    at = {quarter_name(int(t)): k for t, k in zip(quarter_numbers(quarters), found.crisis, strict=True)}
    assert [at[q] for q in ("2003-Q1", "2003-Q4", "2004-Q1", "2004-Q2", "2004-Q4")] == [1, 1, -1, 0, 0]


def test_quarters_are_read_however_they_are_written() -> None:
    expected = [4 * 2020, 4 * 2020 + 3]
    for labels in (
        ["2020-Q1", "2020-Q4"],
        [dt.date(2020, 2, 3), dt.date(2020, 12, 31)],
        pd.PeriodIndex(["2020-01", "2020-12"], freq="M"),
        pd.DatetimeIndex(["2020-01-01", "2020-10-01"]),
        pd.Series(["2020-Q1", "2020-Q4"]),
    ):
        assert quarter_numbers(labels).tolist() == expected
    assert last_quarter(dt.date(2020, 3, 30)) == 4 * 2020 - 1
    assert last_quarter(dt.date(2020, 3, 31)) == 4 * 2020
    for wrong in ([1, 2], ["soon"]):
        with pytest.raises(UsageError, match="not quarters"):
            as_quarters(wrong)


def world(*, seed: int = 0, countries: int = 12, noise: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Economies of 40 years with a crisis every ten years, before which `good` rises and `noise` does not."""
    rng = np.random.default_rng(seed)
    quarters = pd.period_range("1980Q1", "2019Q4", freq="Q")
    rows, crises = [], []
    for k in range(countries):
        starts = [int(s) for s in rng.integers(20, 36) + 40 * np.arange(4) if s < 156]
        t = np.arange(len(quarters))
        near = np.max([((s - t >= 1) & (s - t <= 14)) for s in starts], axis=0)
        rows.append(
            pd.DataFrame(
                {
                    "country": f"C{k:02d}", "quarter": quarters, "good": 2.0 * near + noise * rng.normal(size=len(t)),
                    "idle": rng.normal(size=len(t)),
                }
            )
        )  # fmt: skip
        crises += [{"country": f"C{k:02d}", "start": quarters[s], "end": quarters[s + 3]} for s in starts]
    return pd.concat(rows, ignore_index=True), pd.DataFrame(crises)


def test_what_is_forecast_does_not_know_the_future() -> None:
    """All that happens after a quarter is changed: no forecast of it, and no threshold, is another."""
    panel, crises = world()
    cut = pd.Period("2005Q4", "Q")
    rng = np.random.default_rng(9)
    other = panel.copy()
    later = other["quarter"] > cut
    other.loc[later, ["good", "idle"]] = rng.normal(size=(int(later.sum()), 2)) * 50.0
    kept = crises[crises["start"] + 2 <= cut]
    false = pd.DataFrame([{"country": f"C{k:02d}", "start": cut + 1 + k, "end": cut + 2 + k} for k in range(12)])
    rule = Rule(dating_delay=2)
    for model in ("indicator", "logit", "penalised"):
        names = ["good"] if model == "indicator" else ["good", "idle"]
        ask = {"predictors": names, "first": "2001-Q1", "model": model, "rule": rule, "draws": 20}
        first = recursive(panel, crises, **ask).forecasts  # type: ignore[arg-type]  # options by name
        second = recursive(other, pd.concat([kept, false]), **ask).forecasts  # type: ignore[arg-type]  # as above
        a, b = (f[f["quarter"] <= cut].reset_index(drop=True) for f in (first, second))
        assert len(a) > 200
        pd.testing.assert_frame_equal(a, b)


def test_a_fit_learns_from_known_labels_alone() -> None:
    """At each fit the crises learnt from are those that began horizon and dating delay earlier than they could end."""
    panel, crises = world()
    rule = Rule(dating_delay=4)
    found = recursive(panel, crises, predictors=["good"], first="1990-Q1", rule=rule, draws=50)
    start = quarter_numbers(crises["start"])
    for row in found.training.to_dict("records"):
        now = int(quarter_numbers([row["quarter"]])[0])
        # The first quarter before a crisis that carries a label lies 12 before its start.
        assert row["crises"] == int((start - 12 + rule.waiting <= now).sum())
    notes = found.training.loc[found.training["crises"] < 3, "note"]
    assert notes.str.contains("too few").all()
    assert found.training_crises[1] > found.training_crises[0] >= 3
    assert f"trained on {found.training_crises[0]} to {found.training_crises[1]} crises" in found.summary()
    assert found.auroc > 0.8
    assert found.auroc_interval[0] < found.auroc < found.auroc_interval[1]
    assert found.usefulness > 0.4
    assert "Alessi" in found.cite()
    assert len(found.to_frame()) == len(found.forecasts)


def test_models_stand_beside_single_indicators() -> None:
    panel, crises = world()
    areas = {}
    for model, names in (("indicator", ["good"]), ("indicator", ["idle"]), ("penalised", ["good", "idle"])):
        found = recursive(panel, crises, predictors=names, first="2000-Q1", model=model, draws=20)  # type: ignore[arg-type]  # a name
        areas[model, *names] = found.auroc
    assert areas["indicator", "good"] > 0.8 > 0.6 > areas["indicator", "idle"]
    assert areas["penalised", "good", "idle"] == pytest.approx(areas["indicator", "good"], abs=0.02)


def test_nothing_to_learn_from_is_said_not_guessed() -> None:
    panel, crises = world(countries=3)
    found = recursive(panel, crises.iloc[:1], predictors=["good"], first="2000-Q1", draws=20)
    assert found.forecasts.empty
    assert math.isnan(found.auroc)
    assert found.training["note"].str.contains("too few").all()
    assert found.training_crises == (0, 0)
    constant = panel.assign(flat=1.0)
    flat = recursive(constant, crises, predictors=["flat"], first="2010-Q1", model="logit", draws=20)
    assert (flat.training["note"] == "a predictor of the logit does not vary.").all()
    with pytest.raises(UsageError, match="go together"):
        recursive(panel, crises, predictors=["good", "idle"], first="2000-Q1")
    with pytest.raises(UsageError, match="lacks"):
        recursive(panel, crises, predictors=["none"], first="2000-Q1")


def test_an_evaluation_says_what_it_rests_on() -> None:
    panel, crises = world()
    found = evaluate(panel, crises, indicator="good", thetas=(0.2, 0.5, 0.8), draws=100)
    text = found.summary()
    assert f"{found.sample.crises} crises, 12 economies" in text
    assert "quasi-real-time" in text
    assert found.sample.last == "2016-Q4"
    assert found.thresholds["threshold"].is_monotonic_decreasing
    assert found.auroc_interval[0] < found.auroc < found.auroc_interval[1]
    assert found.partial_auroc_interval[0] < found.partial_auroc < found.partial_auroc_interval[1]
    assert found.chart().to_dict()["layer"]
    assert "draws" in found.cite()
    with pytest.raises(FitError):
        evaluate(panel, crises.iloc[:0], indicator="good")
    with pytest.raises(UsageError, match="two rows"):
        evaluate(pd.concat([panel, panel]), crises, indicator="good")


def test_a_record_counts_what_was_known_on_its_day() -> None:
    """By hand: one economy, horizon 2 to 4, a crisis in 2003-Q1."""
    quarters = pd.period_range("2001Q1", "2005Q4", freq="Q")
    value = np.zeros(20)
    value[[1, 5, 6, 14]] = 5.0  # 2001-Q2 false; 2002-Q2 and Q3 right; 2004-Q3 false
    panel = pd.DataFrame({"country": "A", "quarter": quarters, "gap": value})
    crises = pd.DataFrame({"country": ["A"], "start": ["2003-Q1"], "end": ["2003-Q4"], "known_at": ["2003-09-15"]})
    ask = {"indicator": "gap", "threshold": 2.0, "rule": SHORT, "draws": 20}
    before = track_record(panel, crises, as_of=dt.date(2003, 9, 14), **ask)  # type: ignore[arg-type]  # options by name
    assert (before.hits, before.missed, before.n_crises, before.warned) == (0, 0, 0, 0)
    assert (before.false_alarms, before.correct_silence) == (2, 4)  # 2001-Q1 to 2002-Q2, all calm so far
    assert "no crisis to be judged by" in before.summary()
    assert math.isnan(before.usefulness)
    after = track_record(panel, crises, as_of=dt.date(2003, 9, 15), **ask)  # type: ignore[arg-type]  # as above
    assert (after.hits, after.missed, after.false_alarms, after.correct_silence) == (1, 1, 1, 3)
    assert after.last_label == "2002-Q2"
    final = track_record(panel, crises, as_of=dt.date(2006, 1, 1), **ask)  # type: ignore[arg-type]  # as above
    assert (final.hits, final.missed, final.n_crises, final.warned) == (2, 1, 1, 1)
    assert (final.false_alarms, final.correct_silence) == (2, 5)  # 2001 and 2004-Q2 to 2004-Q4
    assert final.median_lead_time == 3.0
    assert final.noise_to_signal == pytest.approx((2 / 7) / (2 / 3))
    assert final.usefulness == pytest.approx(2 / 3 - 2 / 7)
    assert all(math.isnan(end) for end in final.interval)  # draws of one economy are that economy: no certainty
    assert "no interval: that takes several economies" in final.summary()
    assert final.warned_interval == pytest.approx((0.05, 1.0))
    assert "of such crises 5 to 100 % (90 % interval)" in final.summary()
    assert "warned of 1 of 1 crises 2 to 4 quarters ahead, median lead 3 quarters" in final.summary()


def test_later_outcomes_change_no_earlier_record() -> None:
    panel, crises = world()
    rule = Rule(dating_delay=2)
    day = dt.date(2004, 8, 17)
    ask = {"indicator": "good", "threshold": 1.0, "as_of": day, "rule": rule, "draws": 100}
    first = track_record(panel, crises, **ask)  # type: ignore[arg-type]  # options by name
    changed = panel.assign(good=panel["good"].where(panel["quarter"] <= pd.Period("2004Q2", "Q"), 1e6))
    known = crises[crises["start"] + 2 <= pd.Period("2004Q2", "Q")]
    assert track_record(changed, known, **ask) == first  # type: ignore[arg-type]  # as above
    assert first.proven
    assert first.timing == "quasi-real-time"
    assert json.loads(json.dumps(first.facts(), allow_nan=False))["as_of"] == "2004-08-17"
    assert first.to_frame().shape[0] == 1
    assert "Sarlin" in first.cite()


def test_wrong_rules_are_refused() -> None:
    for wrong in ({"horizon": (0, 4)}, {"horizon": (5, 4)}, {"after": -1}, {"dating_delay": -1}):
        with pytest.raises(UsageError):
            Rule(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    quarters = pd.period_range("2000Q1", periods=2, freq="Q")
    with pytest.raises(UsageError, match="ends before"):
        label(["A"] * 2, quarters, pd.DataFrame({"country": ["A"], "start": [2003], "end": [2001]}))
    with pytest.raises(UsageError, match="no start"):
        label(["A"] * 2, quarters, pd.DataFrame({"country": ["A"], "start": [np.nan], "end": [2001]}))
    with pytest.raises(UsageError, match="lack"):
        label(["A"] * 2, quarters, pd.DataFrame({"start": [2003]}))
