"""The scenario file: what it must hold, and how it refuses."""

from __future__ import annotations

import copy
import datetime as dt
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opsroom.base.errors import SettingsError, UsageError
from opsroom.economy import Scenario, meridia
from opsroom.economy.horizon import day_number


@pytest.fixture
def raw() -> dict[str, Any]:
    text = (files("opsroom.economy") / "scenarios" / "early_2020.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_the_shipped_scenario_tells_the_agreed_story() -> None:
    scenario = Scenario.load()
    assert scenario.holiday.start == dt.date(2020, 1, 24)
    assert scenario.holiday.end == dt.date(2020, 2, 2)
    (lockdown,) = scenario.lockdowns
    assert (lockdown.region, lockdown.start, lockdown.end) == (
        "R03",
        dt.date(2020, 1, 23),
        dt.date(2020, 4, 8),
    )
    assert {b.kind for b in scenario.booms} == {"bad", "benign"}
    moving = {(h.start.month, h.start.day) for h in scenario.new_year}
    assert len(moving) == len(scenario.new_year)


def test_paths_are_straight_between_points_and_flat_outside() -> None:
    path = Scenario.load().trips
    (first, value), (second, after) = path.points[:2]
    middle = (day_number(first) + day_number(second)) / 2
    assert path.at(np.array([middle]))[0] == pytest.approx((value + after) / 2, rel=0.05)
    assert path.at(np.array([-1000.0]))[0] == value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw.update(surprise=1), "unknown: surprise"),
        (lambda raw: raw.pop("fear"), "missing: fear"),
        (lambda raw: raw["lockdowns"][0].update(region="R99"), "unknown: R99"),
        (lambda raw: raw["lockdowns"][0].update(end=dt.date(2019, 1, 1)), "not before the start"),
        (lambda raw: raw["lockdowns"][0].update(strength="much"), "wrong type"),
        (lambda raw: raw["weather"].pop("mild_from"), "missing: mild_from"),
        (lambda raw: raw["weather"].update(sunny=True), "unknown: sunny"),
        (lambda raw: raw["slump"]["path"].reverse(), "dates and rise"),
        (lambda raw: raw["booms"][0].update(kind="ugly"), "bad"),
        (lambda raw: raw["booms"][0].update(peak=dt.date(2030, 1, 1)), "start < peak < end"),
        (lambda raw: raw["unit_slips"][0].update(week=dt.date(2020, 3, 4)), "Monday"),
        (lambda raw: raw["missing"].update(late_ppm=[1]), "seven"),
        (lambda raw: raw["cohort"].update(day=dt.date(2033, 1, 1)), "cohort"),
    ],
)
def test_a_wrong_scenario_is_refused_in_words(raw: dict[str, Any], change: Any, words: str) -> None:
    change(raw)
    with pytest.raises(SettingsError, match=words):
        Scenario.parse(raw)


def test_a_scenario_can_come_from_a_file(tmp_path: Path) -> None:
    text = (files("opsroom.economy") / "scenarios" / "early_2020.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "early_2020"', 'name = "mine"'), encoding="utf-8")
    assert meridia(200, scenario=path).scenario.name == "mine"
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(SettingsError, match="not valid TOML"):
        Scenario.load(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        Scenario.load(tmp_path / "none.toml")


def test_sizes_and_seeds_have_limits() -> None:
    with pytest.raises(UsageError):
        meridia(10)
    with pytest.raises(UsageError):
        meridia(500, seed=-1)
