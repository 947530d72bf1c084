"""Work resumption from monthly records: planted paths have closed forms, gaps widen and do not move."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base import verbs
from opsroom.base.errors import FitError, UsageError
from opsroom.measure.resumption import MonthlyResult, Source, monthly_resumption, sensitivity
from opsroom.measure.resumption.filing import FILED, GONE, LATE, NOT_DUE, OUTSIDE, SILENT, DelayLaw, learned, states
from opsroom.measure.resumption.months import at_least
from opsroom.measure.resumption.records_kernel import HABITS, Habits, Laid, row_median, yearly
from opsroom.observe.engines import DuckEngine

FIRST, SHOCK, COHORT = pd.Timestamp("2017-07-01"), dt.date(2020, 1, 1), dt.date(2019, 12, 15)
MONTHS = pd.date_range(FIRST, "2020-05-01", freq="MS")
SINCE = MONTHS[pd.Timestamp(SHOCK) <= MONTHS]
VAT = Source("vat", ("sales",))
SEASON = 0.2
END = dt.date(2020, 6, 30)

Paths = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckEngine]:
    engine = DuckEngine(threads=1)
    yield engine
    engine.close()


@dataclass
class Town:
    """Companies whose turnover is exactly what was planted: level, trend, season, and activity since the shock."""

    activity: Paths
    trend: Paths
    growth: float = 0.0
    section: list[str] = field(default_factory=list)
    workdays: Paths = field(default_factory=lambda: np.ones(len(MONTHS)))
    noise: float = 0.0
    died: dict[int, str] = field(default_factory=dict)
    born: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, activity: Any, **kwargs: Any) -> Town:
        path = np.asarray(activity, dtype=np.float64)
        trend = np.random.default_rng(5).normal(0.002, 0.004, len(path))
        section = kwargs.pop("section", ["CG"[k % 2] for k in range(len(path))])
        return cls(path, trend, section=section, **kwargs)

    def register(self) -> pd.DataFrame:
        n = len(self.activity)
        return pd.DataFrame(
            {
                "enterprise_id": 100 + np.arange(n), "valid_from": pd.Timestamp("2010-01-01"), "valid_to": pd.NaT,
                "group_id": 1 + np.arange(n) // 2, "legal_form": "LTD", "section": self.section,
                "region": ["R01" if k % 3 else "R02" for k in range(n)], "size_class": "micro",
                "employees": 1 + np.arange(n), "annual_sales": 1_000 * (1 + np.arange(n)),
                "born": [pd.Timestamp(self.born.get(k, "2010-01-01")) for k in range(n)],
                "died": [pd.Timestamp(self.died[k]) if k in self.died else pd.NaT for k in range(n)],
            }
        )  # fmt: skip

    def records(self) -> pd.DataFrame:
        """Return one row a company and month, known on the 20th of the next month, history all at once."""
        t = np.arange(len(MONTHS))
        season = SEASON * np.cos(2 * np.pi * MONTHS.month.to_numpy() / 12)
        activity = np.ones((len(self.activity), len(MONTHS)))
        activity[:, -len(SINCE) :] = self.activity
        luck = np.random.default_rng(7).normal(0, self.noise, activity.shape) if self.noise else 0.0
        level = 1e7 * np.exp(np.arange(len(activity)) % 5)
        sales = level[:, None] * np.exp(self.trend[:, None] * t + season + luck) * self.workdays * activity
        known = [max(m + pd.DateOffset(months=1, days=19), pd.Timestamp("2019-12-05")) for m in MONTHS]
        frame = pd.DataFrame(
            {
                "enterprise_id": np.repeat(100 + np.arange(len(activity)), len(MONTHS)),
                "month": np.tile(MONTHS, len(activity)), "known_at": np.tile(pd.DatetimeIndex(known), len(activity)),
                "sales": np.rint(sales).astype(np.int64).ravel(),
            }
        )  # fmt: skip
        first = {100 + k: pd.Timestamp(day) for k, day in self.born.items()}
        born = pd.to_datetime([first.get(unit, FIRST) for unit in frame["enterprise_id"]])
        return frame[frame["month"].to_numpy() >= born.to_numpy()]


def put(engine: DuckEngine, records: pd.DataFrame) -> ibis.Table:
    table = pa.table(
        {
            "enterprise_id": records["enterprise_id"].to_numpy(),
            "month": pa.array(records["month"].dt.date.to_list(), pa.date32()),
            "known_at": pa.array(records["known_at"].dt.tz_localize("UTC").to_list(), pa.timestamp("us", "UTC")),
            "sales": records["sales"].to_numpy(),
        }
    )
    return engine.put("records", table)


def estimate(engine: DuckEngine, town: Town, records: pd.DataFrame | None = None, **kwargs: Any) -> MonthlyResult:
    rows = town.records() if records is None else records
    ways = {"register": town.register(), "as_of": END, "cohort_day": COHORT, "shock": SHOCK, "floor": 0.0, **kwargs}
    return monthly_resumption(put(engine, rows), VAT, **ways)


def waves(n: int, seed: int = 1) -> Paths:
    return np.random.default_rng(seed).uniform(0.0, 1.2, (n, len(SINCE)))


def lacking(records: pd.DataFrame, ids: Any, month: str) -> pd.DataFrame:
    """Return the records without those of some companies from a month on."""
    return records[~(records["enterprise_id"].isin(ids) & (records["month"] >= pd.Timestamp(month)))]


def test_level_trend_and_season_are_taken_out_exactly(engine: DuckEngine) -> None:
    town = Town.of(waves(40))
    result = estimate(engine, town)
    level = result.panel.level[:, -len(SINCE) :]
    np.testing.assert_allclose(level, town.activity, atol=2e-6)  # cents are whole
    for threshold in (0.3, 0.5, 0.7):
        wanted = at_least(np.column_stack([np.ones(40), town.activity]), threshold, 0.05)[0][:, 1:].mean(axis=0)
        found = result.by(threshold=threshold).loc[SINCE, "resumed"]
        np.testing.assert_allclose(found, 100 * wanted, atol=1e-9)
    np.testing.assert_allclose(result.by().loc[SINCE, "capacity"], 100 * town.activity.mean(axis=0), atol=1e-3)


def test_what_closed_companies_still_show_is_no_activity(engine: DuckEngine) -> None:
    path = waves(30)
    shown = estimate(engine, Town.of(0.2 + 0.8 * path), floor=0.2)
    np.testing.assert_allclose(shown.panel.level[:, -len(SINCE) :], path, atol=1e-5)


def test_the_floor_is_learnt_from_companies_that_another_source_shows_closed(engine: DuckEngine) -> None:
    path = np.where(waves(60) < 0.6, 0.0, 1.0)
    reference = estimate(engine, Town.of(path))
    learnt = estimate(engine, Town.of(0.25 + 0.75 * path), floor=None, reference=reference)
    assert learnt.facts["floor"] == pytest.approx(0.25, abs=1e-6)
    np.testing.assert_allclose(learnt.panel.level[:, -len(SINCE) :], path, atol=1e-5)
    blind = estimate(engine, Town.of(0.25 + 0.75 * path), floor=None)
    assert blind.facts["floor"] == 0
    assert (blind.by()["capacity_sd"].loc[SINCE] > 2 * learnt.by()["capacity_sd"].loc[SINCE]).all()


def test_a_short_month_is_no_fall(engine: DuckEngine) -> None:
    """Workdays, and how strongly turnover answers to them, are told from season by two years of one month."""
    days = pd.date_range(FIRST, "2020-05-31")
    luck = np.random.default_rng(3)
    holiday = luck.random(len(days)) < luck.uniform(0, 0.35, 500)[(days.year * 12 + days.month) % 500]
    kinds = np.where(days.day_of_week >= 5, "weekend", np.where(holiday, "public_holiday", "workday"))
    calendar = pd.DataFrame({"date": days, "kind": kinds})
    count = pd.Series(kinds == "workday", index=days).resample("MS").sum().to_numpy(dtype=np.float64)
    town = Town.of(waves(40), workdays=count**0.6)
    result = estimate(engine, town, calendar=calendar)
    np.testing.assert_allclose(result.panel.level[:, -len(SINCE) :], town.activity, atol=1e-4)
    blind = estimate(engine, town)
    assert np.abs(blind.panel.level[:, -len(SINCE) :] - town.activity).max() > 0.02


def test_hysteresis() -> None:
    path = np.array([[0.9, 0.31, 0.27, 0.24, 0.28, 0.30, np.nan, 0.26, 0.0]])
    now, before = at_least(path, 0.3, 0.05)
    assert now[0].tolist() == [True, True, True, False, False, True, True, True, False]
    assert before[0].tolist() == [True, *now[0, :-1].tolist()]
    flickering = at_least(np.tile([0.29, 0.31], (1, 10)), 0.3, 0.05)[0]
    assert flickering.all()
    assert not at_least(np.tile([0.29, 0.31], (1, 10)), 0.3, 0.0)[0].all()


def brute(result: MonthlyResult, full: MonthlyResult, known: np.ndarray[Any, Any]) -> float:
    """Return the last month's share as the mean of classes of section and last state over who is known."""
    now, before = at_least(full.panel.level, 0.3, 0.05)
    frame = pd.DataFrame({"s": full.panel.companies["section"], "b": before[:, -1], "now": now[:, -1], "k": known})
    mean = frame[frame["k"]].groupby(["s", "b"])["now"].mean().rename("mean")
    filled = frame.join(mean, on=["s", "b"])
    return float(100 * filled["now"].astype(float).where(filled["k"], filled["mean"]).mean())


def test_who_is_late_counts_like_the_others_of_its_kind(engine: DuckEngine) -> None:
    town = Town.of(waves(80) / 2)
    full = estimate(engine, town)
    late = 100 + np.arange(0, 80, 7)
    result = estimate(engine, town, lacking(town.records(), late, "2020-05-01"))
    known = ~np.isin(full.panel.companies["enterprise_id"], late)
    assert (result.panel.record[~known, -1] == LATE).all()
    row, whole = result.by().iloc[-1], full.by().iloc[-1]
    assert row["resumed"] == pytest.approx(brute(result, full, known), abs=1e-5)
    assert row["resumed_sd"] > whole["resumed_sd"]
    assert row["capacity_sd"] > whole["capacity_sd"]
    assert row["known"] == pytest.approx(100 * known.mean())
    pd.testing.assert_frame_equal(result.by().iloc[:-1], full.by().iloc[:-1])  # earlier months stay


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(late=st.sets(st.integers(0, 29), min_size=1, max_size=20), back=st.booleans())
def test_a_late_filing_neither_lowers_nor_raises_the_index(engine: DuckEngine, late: set[int], back: bool) -> None:
    """In a kind of companies that are alike, nothing moves, whoever is late: only the band widens."""
    town = Town.of(np.full((30, len(SINCE)), 0.6 if back else 0.1), section=["C"] * 30)
    full = estimate(engine, town).by().iloc[-1]
    found = estimate(engine, town, lacking(town.records(), [100 + k for k in late], "2020-05-01")).by().iloc[-1]
    assert found["resumed"] == pytest.approx(full["resumed"], abs=1e-9)
    assert found["capacity"] == pytest.approx(full["capacity"], abs=1e-4)
    assert found["resumed_sd"] > full["resumed_sd"]
    assert found["late"] == len(late)


def test_zero_is_closed_and_silence_becomes_so_and_death_stays(engine: DuckEngine) -> None:
    town = Town.of(np.ones((40, len(SINCE))), died={3: "2020-03-10"}, born={39: "2020-02-01"})
    records = town.records()
    zero = records.copy()
    zero.loc[(zero["enterprise_id"] == 100) & (zero["month"] == "2020-05-01"), "sales"] = 0
    result = estimate(engine, town, zero)
    cohort = 39
    assert result.by().iloc[-1]["resumed"] == pytest.approx(100 * (cohort - 1) / cohort)
    late = lacking(records, [101, 102], "2020-05-01")
    assert estimate(engine, town, late).by().iloc[-1]["resumed"] == pytest.approx(100.0)
    stopped = estimate(engine, town, lacking(records, [101, 102], "2020-03-01"))
    moves = stopped.movements.loc[SINCE]
    assert moves["silent"].tolist() == [0, 0, 2, 2, 2]
    assert stopped.by().iloc[-1]["resumed"] == pytest.approx(100 * (cohort - 2) / cohort)
    gone = estimate(engine, town, lacking(records, [103], "2020-03-01"))
    assert gone.movements.loc[SINCE, "gone"].tolist() == [0, 0, 1, 1, 1]
    assert gone.movements["companies"].unique().tolist() == [cohort]  # the dead stay in the denominator
    assert gone.movements.loc[SINCE, "entrants"].tolist() == [0, 1, 1, 1, 1]
    never = estimate(engine, town, records[records["enterprise_id"] != 105])
    assert never.movements["outside"].unique().tolist() == [1]
    assert never.by().iloc[-1]["resumed"] == pytest.approx(100.0)
    parts = ["filed", "not_due", "late", "silent", "gone", "outside"]
    assert (gone.movements[parts].sum(axis=1) == cohort).all()


def test_a_month_that_is_not_due_is_not_read_as_a_fall(engine: DuckEngine) -> None:
    """Two early birds of a month, which is due on the 20th, tell nothing yet of the other companies."""
    town = Town.of(np.full((40, len(SINCE)), 0.9))
    records = town.records()
    early = records["enterprise_id"].isin([100, 101]) & (records["month"] == "2020-05-01")
    records.loc[early, ["known_at", "sales"]] = pd.Timestamp("2020-06-03"), 0
    result = estimate(engine, town, records, as_of=dt.date(2020, 6, 10))
    assert result.reference_month == dt.date(2020, 4, 1)
    assert (result.panel.record[2:, -1] == NOT_DUE).all()
    assert result.by().loc[pd.Timestamp("2020-04-01"), "resumed"] == 100


def test_nothing_known_after_the_as_of_day_moves_one_bit(engine: DuckEngine) -> None:
    town = Town.of(waves(40), noise=0.05)
    records, day = town.records(), dt.date(2020, 4, 25)
    clean = records[records["known_at"] < pd.Timestamp("2020-04-26")]
    wild = records.assign(sales=7, known_at=pd.Timestamp("2020-04-26 00:00:01"))
    later = records[records["known_at"] >= pd.Timestamp("2020-04-26")]
    poisoned = pd.concat([wild, later, clean]).sample(frac=1, random_state=4)
    one, two = (estimate(engine, town, r, as_of=day) for r in (clean, poisoned))
    assert one.panel.level.tobytes() == two.panel.level.tobytes()
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame(), check_exact=True)
    assert one.delays.share.tobytes() == two.delays.share.tobytes()


def test_a_revision_counts_and_does_not_make_a_filing_late(engine: DuckEngine) -> None:
    town = Town.of(np.ones((20, len(SINCE))))
    records = town.records()
    again = records[(records["enterprise_id"] == 100) & (records["month"] == "2020-03-01")]
    again = again.assign(sales=0, known_at=pd.Timestamp("2020-06-02"))
    result = estimate(engine, town, pd.concat([again, records]))
    march = result.by().loc[pd.Timestamp("2020-03-01")]
    assert march["resumed"] == pytest.approx(95.0)
    assert result.panel.punctual[:, -3].all()
    before = estimate(engine, town, pd.concat([again, records]), as_of=dt.date(2020, 6, 1))
    assert before.by().loc[pd.Timestamp("2020-03-01"), "resumed"] == 100


def test_the_order_of_companies_does_not_matter(engine: DuckEngine) -> None:
    town = Town.of(waves(50), noise=0.1)
    records, register = lacking(town.records(), [104, 111], "2020-05-01"), town.register()
    names = dict(
        zip(register["enterprise_id"], np.random.default_rng(0).permutation(register["enterprise_id"]), strict=True)
    )
    moved = records.assign(enterprise_id=records["enterprise_id"].map(names)).sample(frac=1, random_state=1)
    renamed = register.assign(enterprise_id=register["enterprise_id"].map(names)).sample(frac=1, random_state=2)
    one, two = estimate(engine, town, records), estimate(engine, town, moved, register=renamed)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame(), rtol=1e-6)


def test_noise_of_companies_is_covered(engine: DuckEngine) -> None:
    """With noisy turnover and half of the companies near the threshold, nine of ten intervals hold the truth."""
    inside, width = [], []
    for seed in range(4):
        path = np.random.default_rng(seed).uniform(0.1, 0.5, (150, len(SINCE)))
        town = Town.of(path, noise=0.12)
        found = estimate(engine, town, margin=0.0).by().loc[SINCE]
        truth = 100 * (path >= 0.3).mean(axis=0)
        inside += list((found["resumed_lower"] <= truth) & (truth <= found["resumed_upper"]))
        width += list(found["resumed_upper"] - found["resumed_lower"])
    assert np.mean(inside) >= 0.8
    assert max(width) < 20


def test_jobs_and_sales_weigh(engine: DuckEngine) -> None:
    town = Town.of(np.where(np.arange(20)[:, None] < 10, 0.0, 1.0) * np.ones(len(SINCE)))
    last = estimate(engine, town).to_frame().xs(SINCE[-1], level="month")["resumed"].xs(0.3, level="threshold")
    jobs = 1 + np.arange(20)
    assert last["count"] == pytest.approx(50)
    assert last["jobs"] == pytest.approx(100 * jobs[10:].sum() / jobs.sum())
    assert last["sales"] == pytest.approx(last["jobs"])  # sales are a thousand a head


def test_the_total_is_the_mean_of_its_cells(engine: DuckEngine) -> None:
    result = estimate(engine, Town.of(waves(60), noise=0.05))
    cells = result.by(["region", "section", "size_class"]).reset_index()
    for name in ("resumed", "capacity"):
        mass = cells[name] * cells["companies"]
        mean = mass.groupby(cells["month"]).sum() / cells.groupby("month")["companies"].sum()
        np.testing.assert_allclose(mean, result.by()[name], rtol=1e-6)


def test_a_higher_threshold_never_counts_more(engine: DuckEngine) -> None:
    result = estimate(engine, Town.of(waves(60), noise=0.05))
    table = sensitivity([result])["resumed"].unstack("threshold")
    assert list(table.columns) == [30, 50, 70]
    assert (table.diff(axis=1).iloc[:, 1:] <= 1e-9).all(axis=None)
    assert len(sensitivity([result], month=SINCE[-1])) == 3


def test_cells_hold_what_the_result_says(engine: DuckEngine) -> None:
    result = estimate(engine, Town.of(waves(60)))
    (cells,) = result.cells()
    assert cells.name == "resumption.vat"
    frame = cells.frame.set_index(["month", "section", "size"])
    top = frame.loc[("2020-05", "_T", "_T")]
    head = result.by().loc[pd.Timestamp("2020-05-01")]
    assert top["resumed__adjusted"] == pytest.approx(head["resumed"])
    assert (top["back"], top["cohort"]) == (round(0.6 * head["resumed"]), 60)
    assert top["cohort__groups"] == 30
    assert top["resumed_lower"] == round(head["resumed_lower"], 1)
    may = frame["back"].loc["2020-05"]
    assert may.loc[("_T", "_T")] == may.loc[("C", "_T")] + may.loc[("G", "_T")]
    assert set(cells.frame["month"]) == {"2020-03", "2020-04", "2020-05"}


def test_the_result_speaks(engine: DuckEngine) -> None:
    result = estimate(engine, Town.of(waves(30)))
    assert "% at 30 % of normal" in result.summary()
    assert "Hirsch" in result.cite()
    assert result.to_frame().index.names == ["month", "weight", "threshold"]
    assert result.chart().to_dict()


def test_what_cannot_be_done_is_refused_with_a_remedy(engine: DuckEngine) -> None:
    town = Town.of(waves(10))
    with pytest.raises(UsageError, match="cohort day"):
        estimate(engine, town, as_of=dt.date(2019, 12, 1))
    with pytest.raises(UsageError, match="margin"):
        estimate(engine, town, margin=0.4)
    with pytest.raises(UsageError, match="floor"):
        estimate(engine, town, floor=1.0)
    with pytest.raises(UsageError, match="zone"):
        estimate(engine, town, as_of=dt.datetime(2020, 6, 30))
    with pytest.raises(FitError, match="before the shock"):
        estimate(engine, town, shock=dt.date(2017, 7, 1))
    with pytest.raises(FitError, match="no records"):
        estimate(engine, town, as_of=dt.date(2019, 12, 1), cohort_day=dt.date(2019, 11, 1))
    with pytest.raises(FitError, match="normal of its own"):
        estimate(engine, town, lacking(town.records(), [], "2020-01-01").query("month >= '2019-10-01'"))
    with pytest.raises(UsageError, match="dimensions"):
        estimate(engine, town).by(["colour"])


# -- filings ---------------------------------------------------------------------------------


def test_the_delay_law_is_put_together_from_months_of_unequal_age() -> None:
    """By hand: months watched for 100 days show delays of 10 and 40, half each; young ones only those of 10."""
    delay = np.array([10] * 50 + [40] * 50 + [10] * 30)
    month = np.array([0] * 100 + [1] * 30)
    watched = np.array([100] * 100 + [20] * 30)
    law = DelayLaw.learn(delay, month, watched)
    assert law.ages.tolist() == [10, 40]
    np.testing.assert_allclose(law.share, [0.5, 1.0])
    np.testing.assert_allclose(law.at([9, 10, 39, 40, 400]), [0, 0.5, 0.5, 1, 1])


def test_the_delay_law_finds_planted_delays_through_truncation() -> None:
    luck = np.random.default_rng(2)
    ends = np.arange(24) * 30
    today = int(ends[-1]) + 25
    delay = luck.choice([5, 20, 50, 80], p=[0.2, 0.5, 0.2, 0.1], size=(24, 400))
    month = np.repeat(np.arange(24), 400)
    filed = (ends[:, None] + delay).ravel()
    seen = filed <= today
    law = learned(month[seen], filed[seen], ends, today)
    np.testing.assert_allclose(law.at([5, 20, 50, 80]), [0.2, 0.7, 0.9, 1.0], atol=0.02)
    loaded = learned(np.concatenate([month[seen], month[:4000]]), np.concatenate([filed[seen], np.full(4000, 500)]),
                     ends, today)  # fmt: skip
    np.testing.assert_allclose(loaded.at([5, 20, 50]), law.at([5, 20, 50]), atol=0.02)  # a backfill tells no delay


def test_states_of_a_record() -> None:
    ends = np.array([0, 30, 60, 90])
    law = DelayLaw(np.array([20, 50]), np.array([0.95, 1.0]), 100)
    filed = np.array([[20, 50, 80, -1], [20, 50, 110, 115], [20, -1, -1, -1], [20, 50, -1, -1], [-1, -1, -1, -1]])
    gone = np.array([999, 999, 999, 45, 999])
    found = states(filed, law, ends=ends, as_of=115, gone=gone, stopping=0.004)
    assert found[0].tolist() == [FILED, FILED, FILED, LATE]
    assert found[1].tolist() == [FILED] * 4
    assert found[2].tolist() == [FILED, SILENT, SILENT, SILENT]
    assert found[3].tolist() == [FILED, FILED, GONE, GONE]
    assert found[4].tolist() == [OUTSIDE] * 4
    young = states(filed, law, ends=ends, as_of=95, gone=gone, stopping=0.004)
    assert young[0, 3] == NOT_DUE


# -- kernels ---------------------------------------------------------------------------------


def test_rows_have_the_medians_of_numpy() -> None:
    luck = np.random.default_rng(1)
    values = np.where(luck.random((50, 9)) < 0.3, np.nan, luck.normal(size=(50, 9)))
    values[0] = np.nan
    np.testing.assert_array_equal(row_median(values[1:]), np.nanmedian(values[1:], axis=1))
    assert np.isnan(row_median(values)[0])


def test_no_season_moves_the_trend() -> None:
    season = np.tile(np.random.default_rng(0).normal(0, 1, 12), 3)[:30]
    _, slope, error = yearly((season + 0.01 * np.arange(30))[None, :])
    assert slope[0] == pytest.approx(0.01)
    assert error[0] == pytest.approx(0, abs=1e-12)
    assert np.isnan(yearly(season[None, :14])[1][0])


def test_the_last_vintage_is_the_value_and_the_first_the_filing(engine: DuckEngine) -> None:
    rows = pd.DataFrame(
        {
            "enterprise_id": [1, 1, 2], "month": pd.to_datetime(["2020-01-01"] * 3),
            "known_at": pd.to_datetime(["2020-02-20", "2020-03-20", "2020-02-21"]), "sales": [5, 7, 9],
        }
    )  # fmt: skip
    table = verbs.collect(verbs.rename(put(engine, rows), names={"value": "sales"}))
    laid = Laid.of(table, 50 * 12, 1)
    assert laid.value[:, 0].tolist() == [7, 9]
    days = [(pd.Timestamp(d) - pd.Timestamp(0)).days for d in ("2020-02-20", "2020-02-21")]
    assert laid.filed[:, 0].tolist() == days


@pytest.mark.parametrize("rows", [1, 100, 1 << 18])
def test_companies_get_the_same_whoever_stands_beside_them(engine: DuckEngine, rows: int) -> None:
    town = Town.of(waves(25), noise=0.1)
    table = verbs.rename(put(engine, town.records()), names={"value": "sales"})
    kernel = Habits(47 * 12 + 6, 30, (0.0,) * 30)
    ways: dict[str, Any] = {"unit": "enterprise_id", "order": ["month", "known_at"], "schema": HABITS}
    cut = verbs.map_units(table, kernel=kernel, rows=rows, **ways)
    whole = verbs.map_units(table, kernel=kernel, **ways)
    assert cut.to_pandas().equals(whole.to_pandas())
