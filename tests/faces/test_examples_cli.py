"""The rooms of `examples/` run on the real files they were written for, from the command line."""

import json
import re
from pathlib import Path

import pytest
from tests.command import call

pytestmark = pytest.mark.shared_data

CASES = {
    "victoria_load": (["nowcast/elec_daily_victoria_2015_2020.csv"], 2106, {"activity.victoria"}),
    "italy_load": (["nowcast/elec_hourly_italy_2015_2020.parquet"], 48936, {"activity.italy"}),
    "bis_credit": (["risk/bis_credit_to_gdp_2025Q4.csv"], 9336, {"credit.gap", "bis_credit.levels"}),
    "us_closures": (
        ["policy/oi_policy_milestones_state.csv"],
        672,
        {"restriction.index", "restriction.measures"},
    ),
    "bis_house_prices": (
        ["risk/bis_real_house_prices_16c_1970Q1_2025Q4.csv"],
        224,
        {"prices.growth", "bis_house_prices.levels"},
    ),
}


def stated(checkout: Path, name: str, verb: str, option: str) -> list[str]:
    """Return what the example's own page gives a command for an option: a reader types just that."""
    text = (checkout / "examples" / name / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^opsroom {verb} .*{option} (\S+)", text, flags=re.M)


def opsroom(*words: str) -> str:
    """Run the command line and return what it prints."""
    done = call(*words)
    assert done.code == 0, done.err
    return done.out


LONG = {"bis_house_prices", "italy_load"}  # read like BIS's credit and Victoria's load, which are on every push
NAMES = [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in sorted(CASES)]


@pytest.mark.parametrize("name", NAMES)
def test_a_real_room_runs(name: str, checkout: Path, shared_data: Path, tmp_path: Path):
    files, rows, series = CASES[name]
    (known,), (day,) = stated(checkout, name, "ingest", "--known-at"), stated(checkout, name, "publish", "--as-of")
    assert stated(checkout, name, "brief", "--as-of") == [day]
    room = str(tmp_path / name)
    opsroom("init", room, "--from", str(checkout / "examples" / name))
    paths = [str(shared_data / file) for file in files]
    report = json.loads(opsroom("ingest", name, *paths, "--room", room, "--known-at", known, "--json"))
    assert report["accepted"] == rows
    assert report["quarantined"] == 0
    out = json.loads(opsroom("publish", "--room", room, "--as-of", day, "--json"))
    assert out["refused"] == []
    assert {release.partition("@")[0] for release in out["releases"]} == series
    brief = tmp_path / "brief.html"
    story = opsroom("brief", "--room", room, "--as-of", day, "--out", str(brief))
    assert story == ""
    assert len(opsroom("brief", "--room", room, "--as-of", day)) > 150
    page = brief.read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_example_publishes_no_day_before_its_data_were_known(name: str, checkout: Path):
    assert stated(checkout, name, "publish", "--as-of") >= stated(checkout, name, "ingest", "--known-at")


def test_real_vintages_are_nowcast_as_of_their_days(checkout: Path, shared_data: Path, tmp_path: Path):
    room = str(tmp_path / "us")
    opsroom("init", room, "--from", str(checkout / "examples" / "us_vintages"))
    file = shared_data / "nowcast" / "frbny_us_vintages_2016-06-29_2016-09-30.parquet"
    assert json.loads(opsroom("ingest", "us_panel", str(file), "--room", room, "--json"))["accepted"] > 9_000
    for day in ("2016-06-29", "2016-07-29"):
        out = json.loads(opsroom("publish", "--room", room, "--as-of", day, "--json"))
        assert f"nowcast.gdp@{day}" in out["releases"]
    shown = json.loads(opsroom("release", "show", "nowcast.gdp", "--room", room, "--json"))
    earlier = json.loads(opsroom("release", "show", "nowcast.gdp@2016-06-29", "--room", room, "--json"))
    assert (earlier["id"], shown["id"]) == ("nowcast.gdp@2016-06-29", "nowcast.gdp@2016-07-29")
    facts = shown["facts"]
    assert facts["previous"]["day"] == "2016-06-29"
    total = sum(item["contribution"] for item in facts["news"])
    now = next(r for r in shown["rows"] if r[0] == facts["target_quarter"] and r[1] == "nowcast")
    growth = now[shown["columns"].index("growth")]
    assert total == pytest.approx(growth - facts["previous"]["growth"], abs=0.02)
