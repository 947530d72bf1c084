"""Deliveries: in order, as specified, repeatable, and honest about what was known when."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsroom.base.settings import RoomSettings
from opsroom.base.specs import DatasetSpec
from opsroom.economy import World, meridia
from opsroom.economy.dispatch import week_arrival
from opsroom.economy.horizon import HISTORY_LAST, METERS_LAST, day_number
from opsroom.economy.population import Population

SIZE = 320


def read(world: World, until: dt.date | None = None) -> Iterator[tuple[str, dt.datetime, pa.Table]]:
    for delivery in world.deliveries(until):
        source = delivery.source
        table = source if isinstance(source, pa.Table) else source.read_all()
        yield delivery.dataset, delivery.known_at, table


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(SIZE, seed=3)


@pytest.fixture(scope="module")
def sent(world: World) -> list[tuple[str, dt.datetime, pa.Table]]:
    return list(read(world))


@pytest.fixture(scope="module")
def meters(sent: list[tuple[str, dt.datetime, pa.Table]]) -> pd.DataFrame:
    frames = [t.to_pandas().assign(known_at=k) for n, k, t in sent if n == "meters"]
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(date=pd.to_datetime(frame["date"]))


def test_deliveries_come_in_order_with_the_fields_of_their_specifications(
    world: World, sent: list[tuple[str, dt.datetime, pa.Table]]
) -> None:
    specs = {name: DatasetSpec.from_toml(text) for name, text in world.specs().items()}
    assert {name for name, _, _ in sent} == set(specs)
    moments = [known_at for _, known_at, _ in sent]
    assert moments == sorted(moments)
    assert all(m.utcoffset() == dt.timedelta(0) and m.hour == 6 for m in moments)
    for name, _, table in sent:
        spec = specs[name]
        vintage = {spec.known_at_field} if spec.known_at_field else set()
        assert set(table.column_names) == {f.name for f in spec.fields} | vintage
        for field in spec.fields:
            assert table.schema.field(field.name).type == field.arrow_type(), (name, field.name)
            if field.required or field.name in spec.key:
                assert table[field.name].null_count == 0
            if spec.confidential:
                assert not pa.types.is_floating(table.schema.field(field.name).type)


def test_rows_keep_the_bounds_and_codes_of_their_specifications(
    world: World, sent: list[tuple[str, dt.datetime, pa.Table]]
) -> None:
    specs = {name: DatasetSpec.from_toml(text) for name, text in world.specs().items()}
    regions = tuple(r.code for r in RoomSettings.parse(world.room_settings()).regions)
    for name, _, table in sent:
        spec = specs[name]
        keys = table.select([*spec.key, *([spec.known_at_field] if spec.known_at_field else [])]).to_pandas()
        assert not keys.duplicated().any(), name
        for field in spec.fields:
            values = table[field.name].drop_null()
            if field.type == "code":
                assert set(values.unique().to_pylist()) <= set(spec.codes(field.name, {"regions": regions}))
            if field.min is not None and len(values):
                assert min(values.to_pylist()) >= field.min
            if field.max is not None and len(values):
                assert max(values.to_pylist()) <= field.max


def test_the_same_seed_gives_the_same_deliveries_and_until_changes_nothing(
    sent: list[tuple[str, dt.datetime, pa.Table]],
) -> None:
    until = dt.date(2020, 3, 10)
    short = list(read(meridia(SIZE, seed=3), until))
    assert short
    assert all(k.date() <= until for _, k, _ in short)
    for (name, known, table), (name2, known2, table2) in zip(short, sent, strict=False):
        assert (name, known) == (name2, known2)
        assert table.equals(table2), name
    other = next(t for n, _, t in read(meridia(SIZE, seed=4)) if n == "register")
    assert not other.equals(next(t for n, _, t in sent if n == "register"))


def test_chunks_do_not_depend_on_the_order_in_which_they_are_made() -> None:
    world = meridia(9_000, seed=1)
    assert len(world.workshop.chunks) == 3
    forwards = [world.workshop[c].registers.links(-(10**6), 400) for c in (0, 1, 2)]
    fresh = meridia(9_000, seed=1).workshop
    backwards = [fresh[c].registers.links(-(10**6), 400) for c in (2, 1, 0)][::-1]
    assert all(a.equals(b) for a, b in zip(forwards, backwards, strict=True))
    chunk = Population(1, 9_000).chunk(1)
    assert np.array_equal(chunk.enterprises.sales, world.workshop[1].chunk.enterprises.sales)


def test_readings_arrive_weekly_late_and_corrected(meters: pd.DataFrame) -> None:
    history = meters[meters["known_at"] == meters["known_at"].min()]
    assert history["date"].max() == pd.Timestamp(HISTORY_LAST)
    assert meters["date"].max() == pd.Timestamp(METERS_LAST)
    weekly = meters[meters["known_at"] > meters["known_at"].min()].copy()
    week = (weekly["date"] - pd.Timestamp("2018-12-31")).dt.days // 7
    due = pd.to_datetime([week_arrival(w) for w in week])
    arrived = weekly["known_at"].dt.tz_localize(None).dt.normalize()
    lag = (arrived.to_numpy() - due.to_numpy()) // np.timedelta64(7, "D")
    assert lag.min() == 0
    assert (weekly["known_at"].dt.day_of_week == 1).all()
    share_late = (lag > 0).mean()
    assert 0.02 < share_late < 0.10
    sundays = weekly["date"].dt.day_of_week == 6
    assert (lag[sundays] > 0).mean() > 3 * (lag[~sundays] > 0).mean()
    repeated = weekly[weekly.duplicated(["meter_id", "date"], keep=False)]
    assert len(repeated) > 0
    first = repeated.drop_duplicates(["meter_id", "date"], keep="first")
    last = repeated.drop_duplicates(["meter_id", "date"], keep="last")
    assert (first["wh"].to_numpy() != last["wh"].to_numpy()).mean() > 0.9


def test_a_batch_comes_in_the_wrong_unit_and_is_corrected(meters: pd.DataFrame) -> None:
    slip = meters[(meters["date"] >= "2020-03-02") & (meters["date"] <= "2020-03-08")]
    first = slip.drop_duplicates(["meter_id", "date"], keep="first").set_index(["meter_id", "date"])["wh"]
    last = slip.drop_duplicates(["meter_id", "date"], keep="last").set_index(["meter_id", "date"])["wh"]
    last = last.loc[first.index]
    wrong = first[(last // 1000 == first) & (last > 5000)]
    assert len(wrong) > 20
    corrected = slip[slip["known_at"].dt.date == dt.date(2020, 3, 24)]
    assert set(map(tuple, wrong.index)) <= set(map(tuple, corrected[["meter_id", "date"]].to_numpy()))


def test_a_dropout_empties_a_region_for_some_days(world: World, meters: pd.DataFrame) -> None:
    links, sites = world.workshop[0].chunk.links, world.workshop[0].chunk.establishments
    there = set(links.meter[sites.region[links.establishment] == 6])
    mine = meters[meters["meter_id"].isin(there)]
    counts = mine.groupby("date")["meter_id"].nunique()
    shared = set(links.meter[sites.region[links.establishment] != 6])
    assert counts.get(pd.Timestamp("2020-02-19"), 0) <= len(there & shared)
    assert counts[pd.Timestamp("2020-02-21")] > 3


def test_registers_learn_births_and_deaths_late(sent: list[tuple[str, dt.datetime, pa.Table]]) -> None:
    rows = pd.concat([t.to_pandas().assign(known_at=k.date()) for n, k, t in sent if n == "register"])
    newest = rows.drop_duplicates(["enterprise_id", "valid_from"], keep="last")
    assert newest["enterprise_id"].nunique() > SIZE
    assert (rows["valid_from"] <= rows["known_at"]).all()
    late = rows[(rows["known_at"] > dt.date(2020, 1, 6))]
    died = late[late["died"].notna()]
    assert len(died) > 0
    assert (pd.to_datetime(died["known_at"]) - pd.to_datetime(died["died"])).dt.days.min() >= 25
    assert set(newest["legal_form"]) >= {"LTD", "PART", "COOP", "SOLE"}
    in_order = newest.sort_values(["enterprise_id", "valid_from"])
    last_rows = in_order.drop_duplicates("enterprise_id", keep="last")
    for _, mine in newest.sort_values("valid_from").groupby("enterprise_id"):
        ends, starts = mine["valid_to"].to_numpy()[:-1], mine["valid_from"].to_numpy()[1:]
        assert all(e is not None and (s - e).days == 1 for e, s in zip(ends, starts, strict=True))
    assert (last_rows["died"].isna() == last_rows["valid_to"].isna()).all()


def test_meter_links_are_consistent(world: World) -> None:
    chunk = world.workshop[0].chunk
    links, meters = chunk.links, chunk.meters
    assert len(np.unique(meters.ids)) == len(meters.ids)
    assert (np.diff(meters.ids) > 0).all()
    total = pd.Series(links.share_ppm).groupby(links.meter).sum()
    assert (total == 1_000_000).all()
    shared = pd.Series(links.establishment).groupby(links.meter).nunique()
    assert (shared == 2).any()
    assert (pd.Series(meters.position).value_counts() == 2).any()
    sites = pd.Series(meters.position).groupby(meters.establishment).nunique()
    assert (sites > 1).any()
    fraction = pd.Series(meters.fraction).groupby([meters.establishment, meters.position]).first()
    assert np.allclose(fraction.groupby(level=0).sum(), 1)
    assert chunk.establishments.jobs.min() >= 1
    jobs = np.bincount(chunk.establishments.enterprise, weights=chunk.establishments.jobs)
    assert (jobs == chunk.enterprises.employees).all()


def test_room_settings_parse_and_name_what_exists(world: World) -> None:
    settings = RoomSettings.parse(world.room_settings())
    assert settings.synthetic
    assert "machinery works" in settings.disclaimer
    assert len(settings.regions) == 12
    assert len({(r.x, r.y) for r in settings.regions}) == 12
    assert settings.publish.first == dt.date(2020, 1, 22)
    assert settings.publish.last == dt.date(2020, 6, 24)


def test_the_calendar_is_known_ahead_and_holidays_move(sent: list[tuple[str, dt.datetime, pa.Table]]) -> None:
    calendar = next(t for n, _, t in sent if n == "calendar").to_pandas()
    assert calendar["date"].max() == dt.date(2020, 12, 31)
    holiday = calendar[calendar["kind"] == "new_year_holiday"]["date"]
    assert {dt.date(2020, 1, 24), dt.date(2020, 2, 2)} <= set(holiday)
    assert {dt.date(2019, 2, 4), dt.date(2019, 2, 10)} <= set(holiday)
    assert len(holiday) == 17
    assert set(calendar["kind"]) == {"workday", "weekend", "public_holiday", "new_year_holiday", "bridge"}


def test_the_weather_is_mild_during_the_shock(world: World) -> None:
    temperature = world.workshop.surroundings.temperature.mean(axis=0)
    late = slice(day_number(dt.date(2020, 2, 1)), day_number(dt.date(2020, 3, 20)))
    before = slice(day_number(dt.date(2019, 2, 1)), day_number(dt.date(2019, 3, 20)))
    assert temperature[late].mean() - temperature[before].mean() > 1.0


def test_importing_the_economy_is_light() -> None:
    heavy = "('pandas', 'numba', 'altair', 'scipy')"
    code = f"import sys, opsroom.economy; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
