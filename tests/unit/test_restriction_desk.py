"""The desk `restriction`: a register, a daily table, a list of events and a ready index, as of the day; its figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.measure.restriction import RestrictionResult, daily_values, restriction_index
from opsroom.measure.restriction.closures import EventRule, register_from_events
from opsroom.measure.restriction.publish import restriction_cells
from opsroom.room import Room

ROOM = """
schema_version = 1
[room]
title = "Restrictions"
timezone = "UTC"
[publish]
cadence = "on_demand"
"""
KINDS = {
    **dict.fromkeys(("measure", "value", "flag", "c1", "c2", "c1_flag", "stay"), "integer"),
    **dict.fromkeys(("day", "start", "end"), "date"), "stringency": "number",
}  # fmt: skip
KEYS = {"register": ["measure", "start"], "daily": ["region", "day"], "index": ["region", "day"],
        "events": ["region", "day", "what"]}  # fmt: skip
TABLES = {
    "register": ["measure", "indicator", "value", "flag", "start", "end", "region"],
    "daily": ["region", "day", "c1", "c1_flag", "c2"],
    "index": ["region", "day", "stringency"],
    "events": ["region", "day", "what", "stay"],
}
CLOSING = {"closing": ["C1", "C2"]}


def spec(name: str) -> str:
    fields = "".join(
        f'[[fields]]\nname = "{c}"\ntype = "{KINDS.get(c, "string")}"\n'
        + ("required = true\n" if c in KEYS[name] else "")
        for c in TABLES[name]
    )
    period = "start" if name == "register" else "day"
    return (
        f'schema_version = 1\nname = "{name}"\ntitle = "{name}"\nprovider = "Test"\nfrequency = "event"\n'
        f'period = "{period}"\nkey = {KEYS[name]}\nconfidential = false\nunit = "public"\nallow_future = true\n{fields}'
    )


def rows(name: str, *values: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=TABLES[name])
    for column in frame.columns.intersection([c for c, kind in KINDS.items() if kind == "date"]):
        frame[column] = pd.to_datetime(frame[column]).dt.date
    return frame.astype({c: "Int64" for c in frame.columns if KINDS.get(c) == "integer"})


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("restriction") / "room"
    (folder / "datasets").mkdir(parents=True)
    (folder / "room.toml").write_text(ROOM)
    for name in TABLES:
        (folder / "datasets" / f"{name}.toml").write_text(spec(name))
    with Room.open(folder, actor="test") as opened:
        first = rows(
            "register", (1, "C1", 3, 1, "2020-03-02", None, "North"), (2, "C2", 2, 0, "2020-03-11", None, None)
        )
        assert opened.ingest("register", first, dt.date(2020, 3, 1)).accepted == 2
        # Known three weeks later: schools reopened on the 16th.
        opened.ingest("register", rows("register", (1, "C1", 3, 1, "2020-03-02", "2020-03-15", "North")),
                      dt.date(2020, 3, 22))  # fmt: skip
        days = [d.date() for d in pd.date_range("2020-03-02", "2020-03-22")]
        table = [("North", d, 3, 1, 2) for d in days] + [("South", d, 0, None, 1 if d.day < 20 else None) for d in days]
        opened.ingest("daily", rows("daily", *table), dt.date(2020, 3, 23))
        opened.ingest("index", rows("index", *((r, d, 10.0 * k) for d in days for k, r in enumerate("AB", 1))),
                      dt.date(2020, 3, 23))  # fmt: skip
        events = [
            ("North", "2020-03-04", "Stay-at-home order", 1), ("North", "2020-03-09", "Stay-at-home ORDER ended", 0),
            ("South", "2020-03-10", "Masks recommended", 0), ("North", "2020-05-04", "Stay-at-home order", 1),
        ]  # fmt: skip
        opened.ingest("events", rows("events", *events), dt.date(2020, 3, 1))
        yield opened


def run(room: Room, day: dt.date, **options: Any) -> Any:
    setting = DeskSettings("restriction", "restriction", options)
    return room.run_desk(setting, room.moment(day), day, {})


def weeks(outcome: Any, measure: str) -> Mapping[tuple[str, str], float]:
    frame = outcome.cells[0].frame
    return {(w, r): v for w, r, v in zip(frame["week"], frame["region"], frame[measure], strict=True)}


def test_a_register_as_it_was_known_on_the_day(room: Room) -> None:
    """C1 = 3 general is 100 in the North until the 15th, C2 = 2 targeted is (2 - 1/2)/3 from the 11th everywhere."""
    before = weeks(run(room, dt.date(2020, 3, 21), dataset="register", indices=CLOSING), "closing")
    assert set(before) == {(w, r) for w in ("2020-W10", "2020-W11") for r in ("North", "_T")}
    assert before["2020-W10", "North"] == 50.0
    assert before["2020-W11", "North"] == pytest.approx((100 + 50 * 5 / 7) / 2, abs=0.05)
    after = weeks(run(room, dt.date(2020, 3, 22), dataset="register", indices=CLOSING), "closing")
    assert after["2020-W12", "North"] == 25.0  # reopened, but not known the day before
    outcome = run(room, dt.date(2020, 3, 22), dataset="register", indices=CLOSING)
    assert outcome.public
    assert all(c.public for c in outcome.cells)
    behind = outcome.cells[1].frame.set_index(["week", "indicator"])["score"]
    assert behind["2020-W12", "C1"] == 0.0
    assert behind["2020-W12", "C2"] == 50.0


def test_nothing_is_said_before_a_measure_begins(room: Room) -> None:
    outcome = run(room, dt.date(2020, 3, 1), dataset="register", indices=CLOSING)
    assert not outcome.cells
    assert "no complete week" in outcome.note
    assert "nothing known" in run(room, dt.date(2020, 2, 1), dataset="register").note


def test_a_daily_table_in_the_trackers_form(room: Room) -> None:
    """In the South C2 is not known from the 20th on: with one of two missing there is no index, so no week."""
    outcome = run(room, dt.date(2020, 3, 23), dataset="daily", indices=CLOSING)
    found = weeks(outcome, "closing")
    assert found["2020-W10", "North"] == pytest.approx((100 + 50) / 2, abs=0.05)
    assert found["2020-W10", "South"] == pytest.approx(100 * 0.5 / 3 / 2, abs=0.05)
    assert ("2020-W12", "South") not in found
    assert ("2020-W12", "North") in found
    frame = outcome.cells[0].frame.set_index(["week", "region"]).loc[("2020-W10", "_T")]
    assert (frame["closing_lowest"], frame["closing_highest"]) == (found["2020-W10", "South"], 75.0)
    assert frame["closing"] == pytest.approx((75 + 25 / 3) / 2, abs=0.05)


def test_an_index_that_is_made_elsewhere_is_shown_as_it_is(room: Room) -> None:
    outcome = run(room, dt.date(2020, 3, 23), dataset="index", weeks=1)
    assert [c.name for c in outcome.cells] == ["restriction.index"]
    assert weeks(outcome, "stringency") == {("2020-W12", "A"): 10.0, ("2020-W12", "B"): 20.0, ("2020-W12", "_T"): 15.0}


STAY = {"indicator": "C6", "value": 2, "flag": 1, "starts": "stay", "ends": "order ended"}


def test_events_are_read_as_spells(room: Room) -> None:
    """In force from Wednesday the 4th to Sunday the 8th, five days of week 10; what begins in May is later."""
    options = {"dataset": "events", "text": "what", "measures": [STAY], "indices": {"stay": ["C6"]}}
    found = weeks(run(room, dt.date(2020, 4, 6), since=dt.date(2020, 3, 2), **options), "stay")
    assert found["2020-W10", "North"] == pytest.approx(5 / 7 * 200 / 3, abs=0.05)
    assert found["2020-W11", "North"] == found["2020-W10", "South"] == 0.0
    assert found["2020-W10", "_T"] == pytest.approx(5 / 7 * 100 / 3, abs=0.05)


def test_an_end_on_the_day_of_a_new_beginning_and_one_taken_back() -> None:
    rows = [
        ("N", "2020-03-04", 1, "closed"), ("N", "2020-03-10", 1, "ended; closed anew"),
        ("N", "2020-03-20", 0, "ended in part"), ("S", "2020-03-05", 0, "ended"),
    ]  # fmt: skip
    events = pd.DataFrame(rows, columns=["region", "date", "mark", "words"])
    rule = EventRule("C2", 3, None, "mark", ("ENDED",), ("in part",))
    made = register_from_events(events, [rule], text="words")
    assert made["start"].dt.day.tolist() == [4, 10]
    assert made["end"].dt.day.iloc[0] == 9
    assert pd.isna(made["end"].iloc[1])
    assert made["flag"].isna().all()
    values, _ = daily_values(made, start="2020-03-03", end="2020-03-12")
    assert values.loc["N", "C2"].tolist() == [0, *[3] * 9]


def test_of_many_places_all_count_alike_and_days_ahead_do_not() -> None:
    register = pd.DataFrame({"indicator": "C6", "value": [3, 1], "flag": 1, "start": "2020-03-02",
                             "end": ["2020-03-08", None], "region": ["N", "S"]})  # fmt: skip
    values, flags = daily_values(register, start="2020-03-02", end="2020-03-22")
    found = restriction_index(values, flags, indices={"stay": ("C6",)})
    index, _ = restriction_cells(found, last=dt.date(2020, 3, 15))
    frame = index.frame.set_index(["week", "region"])["stay"]
    assert frame.index.get_level_values("week").unique().tolist() == ["2020-W10", "2020-W11"]
    assert frame["2020-W10", "_T"] == pytest.approx((100 + 100 / 3) / 2, abs=0.05)
    assert frame["2020-W11", "_T"] == pytest.approx(100 / 6, abs=0.05)
    assert restriction_cells(found, last=dt.date(2020, 3, 7)) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "lacks 'dataset'"),
        ({"dataset": "register", "edition": "1999"}, "no edition"),
        ({"dataset": "daily", "place": ""}, "rows by region, too"),
        ({"dataset": "index", "place": ""}, "rows by region, too"),
        ({"dataset": "register", "indices": {"x": ["C99"]}}, "indices is no table"),
        ({"dataset": "register", "indices": ["C1"]}, "indices is no table"),
        ({"dataset": "events", "measures": [{"indicator": "C1"}]}, "lacks 'value'"),
        ({"dataset": "events", "measures": [STAY]}, "the events say of no measure"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told(room: Room, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        run(room, dt.date(2020, 4, 6), **options)


def test_meridias_room_shows_its_regions(built_room: Path) -> None:
    day = dt.date(2020, 3, 4)
    with Room.open(built_room, actor="test") as room:
        found = room.releases().get("restriction.index", day).to_frame().set_index(["week", "region"])
        truth = room.table("restrictions", day).to_pandas()
    truth["date"] = pd.to_datetime(truth["date"])
    week = truth[truth["date"].between("2020-02-10", "2020-02-16")]
    assert found.loc[("2020-W07", "_T"), "stringency"] == pytest.approx(week["stringency"].mean(), abs=0.06)
    for region, own in week.groupby("region"):
        assert found.loc[("2020-W07", region), "stringency"] == pytest.approx(own["stringency"].mean(), abs=0.06)
    assert found.index.get_level_values("week").max() == "2020-W09"  # a month's first publication


def test_weeks_are_those_of_a_plain_mean() -> None:
    """Against pandas: means by place and week of those with seven days, and their mean, least and most."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2019-12-11", "2020-02-06")
    index = pd.MultiIndex.from_product([["S", "N", "W"], days], names=["region", "date"])
    frame = pd.DataFrame({"stringency": rng.uniform(0, 100, len(index))}, index=index)
    frame[rng.random(len(frame)) < 0.02] = np.nan
    shuffled = frame.sample(frac=1, random_state=1)
    result = RestrictionResult(shuffled, pd.DataFrame(index=shuffled.index), pd.DataFrame(), edition="test")
    made = restriction_cells(result, last=dt.date(2020, 2, 3))[0].frame.set_index(["week", "region"])
    label = days.strftime("%G-W%V")
    wide = frame["stringency"].unstack(0)
    by = wide.groupby(label)
    wanted = by.mean().where(by.count() == 7).loc["2019-W51":"2020-W05"]
    for region in wanted:
        own = wanted[region].dropna()
        found = made["stringency"].xs(region, level="region")
        assert found.index.tolist() == own.index.tolist()
        assert found.to_numpy() == pytest.approx(own.to_numpy(), abs=0.051)
    whole = made.xs("_T", level="region")
    assert whole["stringency"].to_numpy() == pytest.approx(wanted.mean(axis=1).to_numpy(), abs=0.051)
    assert whole["stringency_lowest"].to_numpy() == pytest.approx(wanted.min(axis=1).to_numpy(), abs=0.051)
    assert whole["stringency_highest"].to_numpy() == pytest.approx(wanted.max(axis=1).to_numpy(), abs=0.051)
