"""Work resumption in a small town whose truth is known, of other functional forms than the estimator's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.base.settings import DeskSettings, PublishSettings
from opsroom.measure.adjust.batch import BatchFit
from opsroom.measure.resumption import (
    Baseline,
    ResumptionResult,
    change,
    fit_baseline,
    regressions,
    resumption,
    turning_day,
)
from opsroom.measure.resumption.cells import detailed_cells, region_cells
from opsroom.measure.resumption.changes import contributions, remembered
from opsroom.measure.resumption.meters import MeterDays
from opsroom.measure.resumption.readings import Chains, company_use, day_numbers, ordinal
from opsroom.room.desks.resumption import ResumptionDesk

HOLIDAY = (dt.date(2020, 1, 24), dt.date(2020, 2, 2))
COHORT = dt.date(2020, 1, 17)
END = dt.date(2020, 4, 12)
DAYS = pd.date_range("2019-01-01", END)
FAR = pd.Timestamp("2015-01-01")


@dataclass(frozen=True)
class Town:
    """Readings and tables as the estimator gets them, and the truth."""

    readings: pa.Table
    tables: dict[str, pd.DataFrame]
    at_work: np.ndarray
    activity: np.ndarray

    def known(self, day: str) -> pa.Table:
        """Return readings up to a day."""
        return self.readings.filter(pc.less_equal(self.readings["date"], dt.date.fromisoformat(day)))

    def share(self) -> pd.Series:
        return pd.Series(100 * self.at_work.mean(axis=0), index=DAYS)

    def estimate(self, readings: Any = None, day: dt.date = END, **kwargs: Any) -> ResumptionResult:
        arguments = {**self.tables, "as_of": day, "holiday": HOLIDAY, "cohort_day": COHORT, **kwargs}
        return resumption(self.readings if readings is None else readings, **arguments)


def _calendar() -> pd.DataFrame:
    kind = np.where(DAYS.day_of_week >= 5, "weekend", "workday").astype(object)
    for first, last in (("2019-02-04", "2019-02-10"), ("2020-01-24", "2020-02-02")):
        kind[np.asarray((first <= DAYS) & (last >= DAYS))] = "new_year_holiday"
    for day in ("2019-01-01", "2019-04-22", "2019-05-01", "2019-10-26", "2019-12-25", "2020-01-01"):
        kind[np.asarray(day == DAYS)] = "public_holiday"
    return pd.DataFrame({"date": DAYS, "kind": kind.astype(str), "name": ""})


def town(n: int = 700, seed: int = 1) -> Town:
    """Draw companies that use a base, heat linearly, and close in gamma-distributed spells."""
    rng = np.random.default_rng(seed)
    size = rng.choice(["micro", "small", "medium", "large"], n, p=[0.5, 0.3, 0.15, 0.05])
    low = pd.Series(size).map({"micro": 1, "small": 10, "medium": 50, "large": 250}).to_numpy()
    employees = (low * rng.uniform(1, 4, n)).astype(int)
    section = rng.choice(list("CFGHIQ"), n)
    region = rng.choice(["R01", "R02", "R03"], n)
    ids = np.arange(n) + 1000
    register = pd.DataFrame(
        {
            "enterprise_id": ids, "valid_from": FAR, "valid_to": pd.NaT, "group_id": ids, "legal_form": "LTD",
            "nace": "10", "section": section, "region": region, "size_class": size, "employees": employees,
            "annual_sales": employees * 10_000_000, "born": FAR, "died": pd.NaT,
        }
    )  # fmt: skip
    links = pd.DataFrame(
        {
            "meter_id": ids + 50_000, "establishment_id": ids + 9_000, "valid_from": FAR, "valid_to": pd.NaT,
            "enterprise_id": ids, "share_ppm": 1_000_000,
        }
    )  # fmt: skip
    days = len(DAYS)
    season = 10 - 9 * np.cos(2 * np.pi * (DAYS.day_of_year.to_numpy() - 15) / 365)
    mild = 4 * np.asarray(DAYS >= "2020-01-15")
    degrees = {r: season + mild + k + rng.normal(0, 2.5, days) for k, r in enumerate(("R01", "R02", "R03"))}
    weather = pd.concat(
        pd.DataFrame({"region": r, "date": DAYS, "temp_dc": np.rint(10 * v).astype(int)}) for r, v in degrees.items()
    )
    calendar = _calendar()
    off = calendar["kind"].isin(["weekend", "public_holiday", "new_year_holiday"]).to_numpy()
    new_year = (calendar["kind"] == "new_year_holiday").to_numpy()
    sundays = np.isin(section, ["G", "I", "Q"]) & (rng.random(n) < 0.6)
    back = np.datetime64("2020-02-03") + rng.gamma(1.6, 16, n).astype(int)
    shut = rng.random(n) < 0.8
    day = DAYS.to_numpy().astype("datetime64[D]")
    closed = shut[:, None] & (day[None] >= np.datetime64("2020-01-24")) & (day[None] < back[:, None])
    ramp = np.clip(0.35 + (day[None] - back[:, None]).astype(int) / 45, 0.35, 1)
    activity = np.where(closed, 0, np.where(shut[:, None] & (day[None] >= back[:, None]), ramp, 1.0))
    schedule = np.where(off[None], np.where(sundays[:, None], rng.uniform(0.6, 1.1, (n, 1)), 0.05), 1.0)
    schedule[:, new_year] = np.where((rng.random(n) < 0.15)[:, None], schedule[:, new_year], 0)
    base = rng.beta(3, 5, n)[:, None]
    heat = np.stack([np.maximum(16 - degrees[r], 0) for r in region]) * rng.uniform(0, 0.015, (n, 1))
    use = rng.lognormal(10, 0.6, n)[:, None] * employees[:, None] * (base + heat + (1 - base) * activity * schedule)
    use *= np.exp(rng.normal(0, 1, (n, days)) * rng.uniform(0.03, 0.08, (n, 1)))
    seen = rng.random((n, days)) < 0.985
    silent = (rng.random(n) < 0.06)[:, None] & closed & (day >= np.datetime64("2020-01-27"))[None]
    wh = np.rint(use).astype(np.int64)
    wh = np.where(rng.random((n, days)) < 0.0005, wh * 1000, wh)
    at, on = np.nonzero(seen & ~silent)
    readings = pa.table({"meter_id": links["meter_id"].to_numpy()[at], "date": pa.array(day[on]), "wh": wh[at, on]})
    tables = {"links": links, "register": register, "weather": weather, "calendar": calendar}
    return Town(readings, tables, ~closed, activity)


@pytest.fixture(scope="module")
def place() -> Town:
    return town()


@pytest.fixture(scope="module")
def baseline(place: Town) -> Baseline:
    return fit_baseline(place.readings, **place.tables, cohort_day=COHORT)


@pytest.fixture(scope="module")
def result(place: Town, baseline: Baseline) -> ResumptionResult:
    return place.estimate(baseline=baseline)


AFTER = slice("2020-02-03", "2020-04-12")


def test_the_share_at_work_is_near_the_truth_and_the_naive_one_is_not(place: Town, result: ResumptionResult) -> None:
    path, truth = result.frame.loc[AFTER], place.share().loc[AFTER]
    assert (path["resumed"] - truth).abs().mean() <= 2
    assert (path["uncorrected"] - truth).abs().mean() > 10
    inside = (path["resumed_lower"] <= truth) & (truth <= path["resumed_upper"])
    assert inside.mean() >= 0.85


def test_capacity_is_the_share_of_normal_use(place: Town, result: ResumptionResult) -> None:
    truth = pd.Series(100 * place.activity.mean(axis=0), index=DAYS).loc[AFTER]
    assert (result.frame["capacity"].loc[AFTER] - truth).abs().mean() <= 4


def test_no_saturday_dips(place: Town, result: ResumptionResult) -> None:
    """The error has no weekday pattern, where the naive index falls by tens of points every weekend."""
    frame, truth = result.frame.loc["2020-02-10":"2020-04-12"], place.share()

    def spread(series: pd.Series) -> float:
        error = series - truth.reindex(series.index)
        error = (error - error.rolling(7, center=True).mean()).dropna()
        means = error.groupby(pd.DatetimeIndex(error.index).day_of_week).mean()
        return float(means.max() - means.min())

    assert spread(frame["resumed"]) < 1
    assert spread(frame["uncorrected"]) > 5


def test_region_by_size_and_the_totals_agree_with_the_headline(place: Town, result: ResumptionResult) -> None:
    day = dt.date(2020, 3, 4)
    cells = result.by(["region", "size_class"], day=day)
    headline = result.frame.loc[pd.Timestamp(day), "resumed"]
    summed = np.average(cells["resumed"], weights=cells["companies"])
    assert summed == pytest.approx(headline, abs=1e-4)
    assert cells["companies"].sum() == len(result.panel.companies)
    jobs = result.national(weight="jobs").loc[pd.Timestamp(day), "resumed"]
    by_region = result.by(["region"], weight="jobs", day=day)
    weights = result.panel.companies.groupby("region")["employees"].sum()
    assert np.average(by_region["resumed"], weights=weights) == pytest.approx(jobs, abs=1e-4)


def test_late_meters_are_not_read_as_recovery(place: Town, baseline: Baseline) -> None:
    """Readings of the last days that come late, and from closed companies above all, do not lift the share."""
    known = place.known("2020-03-01")
    late = place.estimate(known, dt.date(2020, 3, 4), baseline=baseline)
    closed = place.tables["links"]["meter_id"].to_numpy()[~place.at_work[:, DAYS.get_loc("2020-02-27")]]
    missing = pc.and_(
        pc.greater_equal(known["date"], dt.date(2020, 2, 27)),
        pc.is_in(known["meter_id"], value_set=pa.array(closed[::2])),
    )
    holes = place.estimate(known.filter(pc.invert(missing)), dt.date(2020, 3, 4), baseline=baseline)
    day = pd.Timestamp("2020-03-01")
    assert abs(holes.frame.loc[day, "resumed"] - late.frame.loc[day, "resumed"]) < 2
    assert holes.incomplete_days >= 3
    assert holes.reference_date <= dt.date(2020, 2, 27)


def test_a_provider_that_drops_out_closes_nobody(place: Town, baseline: Baseline) -> None:
    region = place.tables["register"].set_index("enterprise_id")["region"]
    meters = place.tables["links"].loc[(region == "R02").to_numpy(), "meter_id"].to_numpy()
    gone = pc.and_(
        pc.and_(
            pc.greater_equal(place.readings["date"], dt.date(2020, 3, 10)),
            pc.less_equal(place.readings["date"], dt.date(2020, 3, 14)),
        ),
        pc.is_in(place.readings["meter_id"], value_set=pa.array(meters)),
    )
    dropped = place.estimate(place.readings.filter(pc.invert(gone)), baseline=baseline)
    whole = place.estimate(baseline=baseline)
    at = pd.Timestamp("2020-03-12")
    assert dropped.frame.loc[at, "coverage"] < 75
    assert abs(dropped.frame.loc[at, "resumed"] - whole.frame.loc[at, "resumed"]) < 1.5


def test_nothing_after_the_as_of_day_moves_one_bit(place: Town, baseline: Baseline) -> None:
    day = dt.date(2020, 3, 4)
    clean = place.estimate(place.known("2020-03-04"), day, baseline=baseline)
    poisoned = place.readings.append_column("later", pc.greater(place.readings["date"], day))
    wild = pc.if_else(poisoned["later"], 7, poisoned["wh"])
    poison = poisoned.set_column(2, "wh", wild).drop(["later"])
    again = place.estimate(poison, day, baseline=baseline)
    assert again.panel.working.tobytes() == clean.panel.working.tobytes()
    pd.testing.assert_frame_equal(again.frame, clean.frame, check_exact=True)


def test_a_kept_baseline_gives_what_a_new_one_gives(place: Town, baseline: Baseline, result: ResumptionResult) -> None:
    fresh = place.estimate()
    assert fresh.baseline.content == baseline.content
    assert (fresh.frame["resumed"] - result.frame["resumed"]).abs().max() < 1e-4
    part = place.readings.slice(1000)
    other = fit_baseline(part, **place.tables, cohort_day=COHORT)
    assert other.content != baseline.content


def _rows(baseline: Baseline) -> list[bytes]:
    """Return all that a baseline says of its companies, bit by bit."""
    parts = (baseline.coef, baseline.sigma, baseline.closed, baseline.closed_sd, baseline.own_closed, baseline.fitted)
    return [np.ascontiguousarray(part).tobytes() for part in parts] + [np.float64(baseline.memory).tobytes()]


def test_a_refit_on_what_was_known_is_a_fresh_fit_bit_by_bit(
    place: Town, baseline: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late readings move some companies, a new meter link others, revised weather a region: all else is taken over."""
    made: list[int] = []
    plain = regressions.fit_batch

    def counting(y: np.ndarray, x: np.ndarray, **given: Any) -> BatchFit:
        made.append(int(given["todo"].sum()))
        return plain(y, x, **given)

    monkeypatch.setattr(regressions, "fit_batch", counting)
    everyone = len(baseline.enterprise)
    meter = place.readings["meter_id"].to_numpy()
    late = place.readings.filter(
        pa.array(np.isin(meter, meter[::4000], invert=True) | (np.arange(len(meter)) % 50 > 0))
    )
    weather = place.tables["weather"].reset_index(drop=True)
    first = weather["region"] == weather["region"].iloc[0]
    weather.loc[first.to_numpy().nonzero()[0][40:43], "temp_dc"] += 30
    links = place.tables["links"].copy()
    links.loc[5, "share_ppm"] = 400_000
    fewer = place.tables["register"].iloc[3:]
    changed = {"weather": {"weather": weather}, "links": {"links": links}, "register": {"register": fewer}}
    for name, other in {"late": {}, **changed}.items():
        readings, tables = late if name == "late" else place.readings, place.tables | other
        made.clear()
        again = fit_baseline(readings, **tables, cohort_day=COHORT, earlier=baseline)
        few = sum(made)
        made.clear()
        fresh = fit_baseline(readings, **tables, cohort_day=COHORT)
        assert _rows(again) == _rows(fresh), name
        assert again.content == fresh.content
        assert sum(made) > 0
        assert few < (everyone if name == "weather" else everyone // 2), name
    made.clear()
    same = fit_baseline(place.readings, **place.tables, cohort_day=COHORT, earlier=baseline)
    assert _rows(same) == _rows(baseline)
    assert sum(made) == 0


def test_slips_of_unit_are_repaired_and_counted(place: Town, result: ResumptionResult) -> None:
    assert result.baseline.repaired > 0
    assert result.rates["repaired"] > 0
    assert result.rates["dropped"] == 0


def test_batches_and_frames_are_read_alike(place: Town, baseline: Baseline, result: ResumptionResult) -> None:
    reader = pa.RecordBatchReader.from_batches(place.readings.schema, place.readings.to_batches(max_chunksize=10_000))
    assert place.estimate(reader, baseline=baseline).frame.equals(result.frame)


def test_a_replaced_meter_goes_on_where_the_old_one_ended(place: Town, baseline: Baseline) -> None:
    """Half the companies get a new meter in March: their normal is that of the old one."""
    links, cut = place.tables["links"].copy(), pd.Timestamp("2020-03-02")
    swapped = links.iloc[::2].assign(meter_id=lambda d: d["meter_id"] + 500_000, valid_from=cut)
    links.loc[links.index[::2], "valid_to"] = cut - pd.Timedelta(days=1)
    new = pd.concat([links, swapped], ignore_index=True)
    meter = place.readings["meter_id"].to_numpy()
    later = place.readings["date"].to_numpy() >= np.datetime64("2020-03-02")
    moved = np.where(later & np.isin(meter, links["meter_id"].to_numpy()[::2]), meter + 500_000, meter)
    readings = place.readings.set_column(0, "meter_id", pa.array(moved))
    made = place.estimate(readings, baseline=baseline, links=new)
    same = place.estimate(baseline=baseline)
    assert (made.frame["resumed"] - same.frame["resumed"]).abs().max() < 0.5


def test_shared_meters_several_sites_and_unit_slips_add_up() -> None:
    links = pd.DataFrame(
        {
            "meter_id": [1, 1, 2, 3], "establishment_id": [10, 20, 11, 21], "enterprise_id": [100, 200, 100, 200],
            "valid_from": FAR, "valid_to": pd.NaT, "share_ppm": [250_000, 750_000, 1_000_000, 1_000_000],
        }
    )  # fmt: skip
    days = pd.date_range("2019-01-01", periods=40)
    table = pa.table(
        {
            "meter_id": np.repeat([1, 2, 3], 40),
            "date": pa.array(np.tile(days.to_numpy().astype("datetime64[D]"), 3)),
            "wh": np.concatenate([np.full(40, 1000), np.full(40, 500), np.full(40, 100)]),
        }
    )
    chains = Chains.of(links, enterprises=np.array([100, 200]))
    assert len(chains.key) == 4
    ids = np.array([100, 200])
    use = company_use(table, chains, start=ordinal("2019-01-01"), days=40, enterprises=ids)
    by_company = {int(e): use.level[chains.enterprise == e].sum() for e in (100, 200)}
    assert by_company == {100: 250 + 500, 200: 750 + 100}
    held = MeterDays(ordinal("2019-01-03"), meters=np.array([2, 3]), days=5, only=True)
    held.write(table)
    assert held.array.shape == (2, 5)
    assert held.array[0, 0] == 500
    assert day_numbers(pd.Series([pd.NaT]), missing=-1)[0] == -1


def test_the_dead_and_the_disconnected_stay_in_the_denominator_and_are_not_at_work(
    place: Town, baseline: Baseline
) -> None:
    register = place.tables["register"].copy()
    register.loc[:69, "died"] = pd.Timestamp("2020-03-01")
    made = place.estimate(baseline=baseline, register=register)
    assert made.frame["companies"].iloc[-1] == len(register)
    last = made.states.set_index("enterprise_id").loc[register["enterprise_id"][:70]]
    assert (last["state"] == "closed").mean() > 0.95


def test_sole_traders_are_left_out_and_entrants_stand_apart(place: Town) -> None:
    register = place.tables["register"].copy()
    register.loc[:9, "legal_form"] = "SOLE"
    register.loc[10:29, ["born", "valid_from"]] = pd.Timestamp("2020-02-20")
    made = place.estimate(register=register)
    assert made.frame["companies"].iloc[-1] == len(register) - 30
    assert made.entrants["companies"].iloc[-1] == 20
    assert made.entrants["reporting"].iloc[-1] > 15


def test_the_move_since_last_week_adds_up(place: Town, baseline: Baseline) -> None:
    before = place.estimate(place.known("2020-03-01"), dt.date(2020, 3, 4), baseline=baseline)
    after = place.estimate(place.known("2020-03-08"), dt.date(2020, 3, 11), baseline=baseline)
    moved = change(before, after).pivot(index="weight", columns="component", values="points")
    total = (
        after.frame.loc[pd.Timestamp(after.reference_date), "resumed"]
        - before.frame.loc[pd.Timestamp(before.reference_date), "resumed"]
    )
    assert moved.loc["count", "_T"] == pytest.approx(total, abs=1e-3)
    parts = moved[["activity", "late_data", "revision"]].sum(axis=1)
    np.testing.assert_allclose(parts, moved["_T"], atol=1e-9)
    assert moved.loc["count", "activity"] > abs(moved.loc["count", "revision"])
    kept = remembered(before)
    assert kept.panel.working.shape[1] == 14
    pd.testing.assert_frame_equal(contributions(kept, after), contributions(before, after))
    names = [c.name for c in after.cells(before)]
    assert names == ["resumption.national", "resumption.section", "resumption.region", "resumption.change"]


def test_the_detailed_cells_add_up_to_those_of_the_region(result: ResumptionResult) -> None:
    detailed, region = detailed_cells(result), region_cells(result).frame
    assert detailed.additive == ("region", "section", "size_class")
    finest = detailed.frame
    whole = finest[finest["section"] == "_T"].set_index(["region", "size_class"]).sort_index()
    region = region[region["weight"] == "count"].set_index(["region", "size_class"]).sort_index()
    assert whole.index.equals(region.index)
    for part in ("at_work", "cohort", "used", "normal", "resumed__adjusted", "capacity__adjusted"):
        np.testing.assert_allclose(whole[part], region[part], rtol=1e-9)
    inner = finest[(finest[["region", "section", "size_class"]] != "_T").all(axis=1)]
    assert inner["cohort"].sum() == region.loc[("_T", "_T"), "cohort"]
    assert inner.groupby(["region", "size_class"])["at_work"].sum().to_dict() == {
        at: n for at, n in whole["at_work"].items() if "_T" not in at
    }


@pytest.mark.parametrize(
    ("options", "day", "there"),
    [
        ({}, dt.date(2020, 3, 4), {"region"}),
        ({"detailed": True}, dt.date(2020, 3, 4), {"region", "detailed"}),
        ({"detailed": True}, dt.date(2020, 3, 11), set()),  # monthly, as the regions are
    ],
)
def test_the_desk_gives_detailed_cells_monthly_where_a_room_asks_for_them(
    result: ResumptionResult, options: dict[str, bool], day: dt.date, there: set[str]
) -> None:
    view = SimpleNamespace(day=day, settings=SimpleNamespace(publish=PublishSettings("weekly")))
    settings = DeskSettings("resumption", "resumption", options)
    found = {c.name for c in ResumptionDesk()._cells(view, settings, result, None)}  # type: ignore[arg-type]  # all that is read of a view
    assert found & {"resumption.region", "resumption.detailed"} == {f"resumption.{name}" for name in there}


def test_cells_hold_the_headline_and_its_margins(result: ResumptionResult) -> None:
    national, section, region = result.cells()
    day = str(result.reference_date)
    frame = national.frame
    top = frame[(frame["date"] == day) & (frame["weight"] == "count") & (frame["size"] == "_T")].iloc[0]
    at = pd.Timestamp(day)
    assert top["resumed__adjusted"] == pytest.approx(result.frame.loc[at, "resumed"], abs=1e-6)
    assert top["cohort"] == len(result.panel.companies)
    assert top["complete"] == "yes"
    assert national.facts["reference_date"] == day
    whole = region.frame[(region.frame["region"] == "_T") & (region.frame["size_class"] == "_T")]
    same = whole[whole["weight"] == "count"].iloc[0]
    assert same["resumed__adjusted"] == pytest.approx(top["resumed__adjusted"], abs=1e-9)
    assert set(section.frame["section"]) == {"C", "F", "G", "H", "I", "Q", "_T"}
    assert (frame["at_work"] <= frame["cohort"]).all()


def test_the_result_speaks(result: ResumptionResult) -> None:
    assert "% of companies at work" in result.summary()
    assert "Baum" in result.cite()
    frame = result.to_frame()
    assert frame.index.names == ["date", "weight", "size"]
    assert len(frame) == len(result.frame) * 6
    assert result.uncorrected.name == "uncorrected"
    assert set(result.states["state"]) <= {"at_work", "closed", "uncertain"}
    assert result.chart().to_dict()


def test_the_turn_is_where_the_fall_becomes_a_rise() -> None:
    days = pd.date_range("2020-01-06", "2020-03-20")
    t = np.arange(len(days)) - 35
    share = pd.Series(np.where(t < 0, 30 - 0.4 * t, 30 + 0.9 * t), index=days)
    found = turning_day(share, holiday_end=HOLIDAY[1])
    assert found is not None
    assert abs((pd.Timestamp(found) - days[35]).days) <= 1
    falling = pd.Series(50 - np.arange(len(days)) * 0.5, index=days)
    assert turning_day(falling, holiday_end=HOLIDAY[1]) is None
    assert turning_day(share[:"2020-02-05"], holiday_end=HOLIDAY[1]) is None


def test_what_cannot_be_done_is_refused_with_a_remedy(
    place: Town, baseline: Baseline, result: ResumptionResult
) -> None:
    with pytest.raises(UsageError, match="cohort day"):
        place.estimate(day=dt.date(2020, 1, 1), baseline=baseline)
    with pytest.raises(FitError):
        place.estimate(place.known("2019-12-01"), baseline=baseline)
    with pytest.raises(UsageError, match="lacks the column"):
        place.estimate(baseline=baseline, register=place.tables["register"].drop(columns="legal_form"))
    with pytest.raises(UsageError, match="weight"):
        result.national(weight="size")
    with pytest.raises(UsageError, match="dimensions"):
        result.by(["nace"])
    with pytest.raises(UsageError, match="outside the window"):
        result.by(["region"], day=dt.date(2021, 1, 1))
    with pytest.raises(UsageError, match="different cohorts"):
        change(replace(result, cohort_day=dt.date(2020, 1, 10)), result)
