"""Desks on public series: what they publish is what the method says of what the room knew on the day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.base.errors import UserError
from opsroom.base.settings import DeskSettings
from opsroom.measure.composite import Input, composite
from opsroom.room import Room

DAY = dt.date(2020, 3, 4)
INPUTS = {"flows_w": ["trips", "trade"], "macro_m": ["industrial_production", "retail_sales", "card_payments"]}


@pytest.fixture
def setting() -> DeskSettings:
    inputs = [{"dataset": name, "series": code} for name, codes in INPUTS.items() for code in codes]
    return DeskSettings("composite", "composite", {"target": {"dataset": "macro_q", "series": "gdp"}, "inputs": inputs})


def test_the_composite_desk_says_what_the_method_says(own_room: Path, setting: DeskSettings) -> None:
    with Room.open(own_room, actor="test") as room:
        outcome = room.run_desk(setting, room.moment(DAY), DAY, {})
        pieces = []
        for name, codes in {"macro_q": ["gdp"], **INPUTS}.items():
            table = room.table(name, DAY).to_pandas()
            period = room.store.spec(name).period
            pieces.append(table[table["series"].isin(codes)].rename(columns={period: "period"}))
    panel = pd.concat(pieces)[["series", "period", "value"]].assign(known_at=pd.Timestamp(DAY))
    rhythm = {"flows_w": "W", "macro_m": "M"}
    inputs = [Input("gdp", "Q"), *(Input(code, rhythm[name]) for name, codes in INPUTS.items() for code in codes)]
    wanted = composite(panel, target="gdp", inputs=inputs, as_of=DAY)
    index, parts = outcome.cells
    assert (index.name, parts.name) == ("composite.index", "composite.contributions")
    found = index.frame.set_index("week")["level"]
    frame = wanted.to_frame()["level"].iloc[-104:]
    assert found.to_numpy() == pytest.approx(frame.to_numpy(), abs=1e-6)
    assert index.public


def test_a_desk_that_knows_no_input_yet_says_so(own_room: Path, setting: DeskSettings) -> None:
    absent = {**setting.options, "target": {"dataset": "nowhere", "series": "gdp"}}
    with Room.open(own_room, actor="test") as room:
        outcome = room.run_desk(DeskSettings("composite", "composite", absent), room.moment(DAY), DAY, {})
    assert outcome.result is None
    assert "nowhere" in outcome.note


def test_the_flows_and_events_of_a_room_are_out(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        releases = room.releases()
        weekly = releases.get("flows.weekly", DAY).to_frame()
        spell = releases.get("events.register", DAY).to_frame()
        truth = room.table("restrictions", DAY).to_pandas()
    last = weekly[weekly["week"] == weekly["week"].max()].set_index("flow")["gap"]
    assert last["trips"] < -20  # nobody travels, and who stays at home is online
    assert last["data_traffic"] > 5
    shut = truth[truth["lockdown"] & (pd.to_datetime(truth["date"]) <= pd.Timestamp(DAY))]
    assert spell["date"].iloc[0] == str(pd.to_datetime(shut["date"]).min().date())
    assert spell["regions"].iloc[0] == shut.groupby("date")["region"].nunique().max()
    assert spell["until"].iloc[0] == ""


GDP = {"dataset": "macro_q", "series": "gdp"}
TRIPS = {"dataset": "flows_w", "series": "trips"}
PEOPLE = {"name": "trips", "kind": "people"}


LOAD = {"dataset": "load_d", "value": "mwh", "train": [["2017-01-01", "2018-12-31"]]}
INDEX = {"desk": "electricity", "series": "business", "name": "use"}


def nowcast_of(*tables: Any) -> dict[str, Any]:
    return {"datasets": ["macro_m"], "series": [{"name": "exports"}], "activity": list(tables)}


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("activity", {**LOAD, "holidays": ["05-01"]}, "holidays, table 1 is no table"),
        ("activity", {**LOAD, "holidays": [{"yearly": "05-01"}]}, "holidays, table 1 lacks 'name'"),
        ("activity", {**LOAD, "holidays": [{"name": "x", "yearly": "05-32"}]}, "table 1 names no day"),
        ("activity", {**LOAD, "holidays": [{"name": "x", "yearly": "1 May"}]}, "table 1 names no day"),
        ("activity", {**LOAD, "holidays": [{"name": "x"}]}, "table 1 names no day"),
        ("activity", {**LOAD, "holidays": [{"name": "x", "start": DAY, "end": dt.date(2020, 1, 1)}]}, "names no day"),
        ("activity", {**LOAD, "holidays": [{"name": "x", "yearly": "05-01", "start": DAY}]}, "names no day"),
        ("activity", {**LOAD, "holidays": [{"name": "x", "start": "1 May"}]}, "'start' is of the wrong type"),
        ("nowcast", nowcast_of({"desk": "electricity", "name": "use"}), "activity, table 1 lacks 'series'"),
        ("nowcast", nowcast_of(INDEX, {**INDEX, "lag": 2}), "activity, table 2 has the unknown field 'lag'"),
        ("nowcast", nowcast_of({**INDEX, "desk": "flows"}), "table 1 names 'flows', which is no activity desk"),
        ("nowcast", nowcast_of(INDEX, INDEX), "table 2: the name 'use' is taken"),
        ("nowcast", nowcast_of({**INDEX, "name": "exports"}), "table 1: the name 'exports' is taken"),
        ("nowcast", nowcast_of({**INDEX, "transform": "sqrt"}), "table 1: the transform 'sqrt' is unknown"),
        ("events", {}, "lacks 'restrictions'"),
        ("events", {"restrictions": "weather"}, "no field stringency"),
        ("flows", {"dataset": "flows_w"}, "lacks 'flows'"),
        ("flows", {"dataset": "flows_w", "flows": ["trips"]}, "flows, table 1 is no table"),
        ("flows", {"dataset": "flows_w", "flows": [PEOPLE, {"kind": "x"}]}, "table 2 lacks 'name'"),
        ("flows", {"dataset": "flows_w", "flows": [{"name": "trips", "kind": "water"}]}, "kind or frequency"),
        ("flows", {"dataset": "flows_w", "flows": [PEOPLE], "calendar": "weather"}, "no field kind"),
        ("composite", {"target": GDP}, "lacks 'inputs'"),
        ("composite", {"target": {"dataset": "macro_q"}, "inputs": [TRIPS]}, "target, table 1 lacks 'series'"),
        ("composite", {"target": GDP, "inputs": [{**TRIPS, "series": "zzz"}]}, "no series zzz"),
        ("composite", {"target": GDP, "inputs": [{**TRIPS, "lag_days": "x"}]}, "'lag_days' is of the wrong type"),
        ("composite", {"target": GDP, "inputs": [{**TRIPS, "weight": 2}]}, "unknown field 'weight'"),
        ("composite", {"target": GDP, "inputs": [TRIPS, TRIPS]}, "same name"),
        ("nowcast", {"datasets": ["macro_m"], "series": [{"name": "exports", "lag": 3}]}, "unknown field 'lag'"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_by_desk_table_and_field(
    built_room: Path, kind: str, options: dict[str, Any], words: str
) -> None:
    with Room.open(built_room, actor="test") as room, pytest.raises(UserError, match=words):
        room.run_desk(DeskSettings(kind, kind, options), room.moment(DAY), DAY, {})
