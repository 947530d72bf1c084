"""room.toml is read strictly, and what faces may know of it holds no rule values."""

import datetime as dt

import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import RoomSettings

GOOD = """
schema_version = 1
[room]
title = "Test"
timezone = "Europe/Vienna"
synthetic = true
[rules]
profile = "business"
min_contributors = 7
[publish]
weekday = "wednesday"
first = 2020-01-22
last = "2020-06-24"
[[regions]]
code = "R01"
name = "North"
x = 1
y = 2
[[desks]]
kind = "levels"
name = "prices"
dataset = "house_prices"
[holiday]
start = 2020-01-24
"""


def test_reads_all_tables():
    settings = RoomSettings.parse(GOOD)
    assert settings.title == "Test"
    assert settings.publish.weekday == 2
    assert settings.publish.cadence == "weekly"
    assert settings.publish.last == dt.date(2020, 6, 24)
    assert settings.desks[0].name == "prices"
    assert settings.desks[0].require("dataset") == "house_prices"
    assert settings.facts["holiday"]["start"] == dt.date(2020, 1, 24)


def test_public_part_holds_no_rule_values():
    public = RoomSettings.parse(GOOD).public()
    assert "7" not in str(public)
    assert "rules" not in public


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("Europe/Vienna", "Mars/Olympus", "timezone"),
        ("schema_version = 1", "schema_version = 99", "schema_version"),
        ('weekday = "wednesday"', 'weekday = "someday"', "weekday"),
        ("first = 2020-01-22", 'first = "soon"', "first"),
        ("y = 2", "", "region 1"),
        ('kind = "levels"', 'kind = "Levels!"', "desk 1"),
        ("[[regions]]", "[regions]", "regions"),
        ("[room]", "[room", "TOML"),
    ],
)
def test_says_where_it_is_off(old, new, where):
    with pytest.raises(SettingsError, match=where):
        RoomSettings.parse(GOOD.replace(old, new, 1))


def test_two_desks_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="two desks"):
        RoomSettings.parse(GOOD + '[[desks]]\nkind = "activity"\nname = "prices"\n')


def test_a_missing_desk_option_names_itself():
    desk = RoomSettings.parse(GOOD).desks[0]
    with pytest.raises(SettingsError, match="'temperature'"):
        desk.require("temperature")


def test_a_folder_without_settings_is_no_room(tmp_path):
    with pytest.raises(SettingsError, match="not a room"):
        RoomSettings.load(tmp_path / "room.toml")
