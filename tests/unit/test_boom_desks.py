"""The desks on booms, on Meridia's public series alone: what they say of 2015, and how rules are judged by 2020."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.economy.horizon import at_six
from opsroom.economy.world import meridia
from opsroom.room import Room
from opsroom.room.desks.areas import by_area
from opsroom.warn.credit_gap import watch_credit
from opsroom.warn.exuberance import watch_ratios

DAY = dt.date(2015, 6, 24)
LATE = dt.date(2020, 1, 22)
SETTINGS = 'schema_version = 1\n[room]\ntitle = "t"\n[publish]\ncadence = "weekly"\nweekday = "wednesday"\n'
DESKS = """
[[desks]]
kind = "exuberance"
dataset = "macro_q"
ratios = [{name = "price_to_rent", price = "house_price", fundamental = "rent"}]
[[desks]]
kind = "credit_regions"
dataset = "macro_q"
credit = "credit"
output = "income"
"""


@pytest.fixture(scope="module")
def world() -> Any:
    return meridia(100, seed=0)


@pytest.fixture(scope="module")
def desks(world: Any) -> dict[str, DeskSettings]:
    tables = tomllib.loads(world.room_settings())["desks"]
    return {t["kind"]: DeskSettings(t["kind"], t["kind"], {k: v for k, v in t.items() if k != "kind"}) for t in tables}


@pytest.fixture(scope="module")
def room(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder: Path = tmp_path_factory.mktemp("booms") / "room"
    frame = pd.concat([table.to_pandas() for _, table in world.workshop.official.batches("macro_q")])
    frame["known"] = [at_six(day) for day in frame["vintage"]]
    import pyarrow as pa

    with Room.create(folder, settings=SETTINGS + DESKS, specs=[world.specs()["macro_q"]]) as opened:
        early = frame[frame["vintage"] <= LATE].drop(columns="known")
        opened.ingest("macro_q", pa.Table.from_pandas(early, preserve_index=False), at_six(dt.date(2020, 1, 6)))
        yield opened


def vintages(world: Any, day: dt.date) -> pd.DataFrame:
    frame = world.workshop.official.releases("macro_q")
    return frame[frame["vintage"] <= day].rename(columns={"quarter": "period", "vintage": "known_at"})


def test_the_desk_says_what_the_method_says_of_the_vintages_of_the_day(
    room: Room, world: Any, desks: dict[str, DeskSettings]
) -> None:
    outcome = room.run_desk(desks["exuberance"], room.moment(DAY), DAY, {})
    ratios, episodes = outcome.cells
    assert ratios.public
    assert episodes.public
    known = vintages(world, DAY)
    wanted = watch_ratios(by_area(known, "house_price"), by_area(known, "rent"), families=2)
    rows = ratios.frame[ratios.frame["ratio"] == "price_to_rent"].set_index(["region", "quarter"])
    frame = wanted.frame
    assert len(rows) == len(frame)
    for row in frame[frame["period"] >= "2014Q1"].to_dict("records"):
        mine = rows.loc[(row["area"], f"{row['period'].year}-Q{row['period'].quarter}")]
        assert mine["doubt_boom"] == pytest.approx(100 * row["doubt_boom"], abs=0.006)
        assert mine["fall"] == pytest.approx(100 * row["fall"], abs=0.06)
        assert mine["known"] == str(row["known_at"].date())
    alarms = {(a["ratio"], a["area"], a["direction"]) for a in ratios.facts["alarms"]}
    assert {("price_to_rent", "R01", "boom"), ("price_to_rent", "R06", "boom")} <= alarms
    assert not any(area == "R09" for _, area, _ in alarms)  # the boom that incomes carry
    others = ratios.facts["alarms"][0]["others"]
    assert {(o["lags"], o["critical_values"]) for o in others} == {
        (n, k) for n in ("0", "1", "4") for k in ("monte_carlo", "wild_bootstrap")
    }
    assert set(episodes.frame["sign"]) == {"boom"}
    credit = room.run_desk(desks["credit_regions"], room.moment(DAY), DAY, {}).cells[0].frame
    pushed = watch_credit(by_area(known, "credit"), by_area(known, "income", nation="gdp_nominal")).frame
    assert set(credit["region"]) == set(pushed["area"])
    assert "_T" in set(credit["region"])
    last = credit[credit["quarter"] == credit["quarter"].max()].set_index("region")["by_credit"]
    assert set(last.index[last >= 15]) == {"R01", "R06"}
    mine = pushed[pushed["period"] == pushed["period"].max()].set_index("area")["by_credit"]
    assert last.to_dict() == pytest.approx(mine.round(1).to_dict())


def test_what_rests_on_the_same_vintages_is_the_same(room: Room, desks: dict[str, DeskSettings]) -> None:
    one, two = (room.run_desk(desks["exuberance"], room.moment(d), d, {}) for d in (DAY, DAY + dt.timedelta(days=1)))
    assert one.result is two.result
    assert one.provenance == two.provenance
    before = dt.date(2009, 3, 4)
    assert "too short" in room.run_desk(desks["exuberance"], room.moment(before), before, {}).note


def test_what_rests_on_no_new_vintage_is_not_published_again(room: Room, world: Any) -> None:
    days = [dt.date(2014, 9, 3) + dt.timedelta(days=7 * k) for k in range(6)]
    for day in days:
        room.publish(day)
    figures = world.workshop.official.releases("macro_q")
    areas = figures["series"].str.contains(".", regex=False)
    for name, codes in (("exuberance.ratios", ("house_price", "rent")), ("credit.region", ("credit", "income"))):
        own = figures[(areas & figures["series"].str.startswith(codes)) | figures["series"].isin(codes)]
        came = sorted(set(own["vintage"]))
        new = [d for a, d in pairwise(days) if any(a < v <= d for v in came)]
        assert [r.day for r in room.releases().history(name)] == [days[0], *new]
        assert len(new) < len(days) - 1


def test_rules_are_judged_by_what_was_known_on_each_day(room: Room, desks: dict[str, DeskSettings]) -> None:
    """The bust of 2019 counts once it is known, and by 2020 the record rests on it."""
    from opsroom.base.settings import RoomSettings
    from opsroom.room.desk import View
    from opsroom.room.desks.judged import panel_of
    from opsroom.room.desks.warnings import DESK

    class Issued:
        def __init__(self, day: dt.date, cells: Any) -> None:
            self.id, self.day, self.name, self.facts = f"{cells.name}@{day}", day, cells.name, cells.facts
            self.content_hash, self.dimensions = self.id, cells.dimensions
            self.columns = list(cells.frame.columns)
            self.rows = cells.frame.astype(object).to_numpy().tolist()

    class Told(dict[str, list[Issued]]):
        def history(self, name: str) -> list[Issued]:
            return super().get(name, [])

        def get(self, name: str, day: Any = None) -> Any:
            return next((r for r in reversed(super().get(name, [])) if r.day <= day), None)

        def noting(self, note: object) -> Told:
            return self

    told = Told()
    found = {}
    names = ("exuberance-rents", "exuberance-incomes", "credit-boom")
    rules = [r for r in desks["warnings"].options["rules"] if r["name"] in names]
    settings: RoomSettings = room.settings
    for day in (DAY, LATE):
        for kind in ("exuberance", "credit_regions"):
            for cells in room.run_desk(desks[kind], room.moment(day), day, {}).cells:
                told.setdefault(cells.name, []).append(Issued(day, cells))
        view = View(room.store, settings, told, as_of=room.moment(day), day=day, upstream={}, memory={})
        inbox = DESK.run(view, DeskSettings("warnings", "warnings", {"rules": rules, "keep_days": 9999}))
        found[day] = inbox.cells[0]
    early, late = found[DAY], found[LATE]
    assert {r["track"]["n_crises"] for r in early.facts["rules"]} == {0}  # nothing had burst
    tracks = {r["rule"]: r["track"] for r in late.facts["rules"]}
    assert {name: (t["n_crises"], t["warned"]) for name, t in tracks.items()} == dict.fromkeys(names, (2, 2))
    assert {t["timing"] for t in tracks.values()} == {"real-time"}
    row = early.frame.set_index(["rule", "about"]).loc[("credit-boom", "R01")]
    assert (row["state"], row["crises"], row["warned"]) == ("new", 0, 0)
    ended = late.frame.set_index(["rule", "about"]).loc[("credit-boom", "R01")]
    assert (ended["state"], ended["crises"], ended["lead_quarters"]) == ("ended", 2, 20)
    # the same counts by hand, from the release alone
    panel = panel_of(told["credit.region"][-1], _place("credit.region", "by_credit"))
    fall = panel_of(told["exuberance.ratios"][-1], _place("exuberance.ratios", "fall", ratio="price_to_rent"))
    starts = fall[fall["value"] >= 10].groupby("country")["quarter"].min().map(lambda q: pd.Period(q.replace("-", "")))
    assert set(starts.index) == {"R01", "R06"}
    hits = false = 0
    for r in panel.to_dict("records"):
        quarter = pd.Period(r["quarter"].replace("-", ""))
        if r["value"] >= 15 and quarter + 20 <= pd.Period("2019Q4"):
            before = r["country"] in starts.index and 1 <= (starts[r["country"]] - quarter).n <= 20
            hits, false = hits + before, false + (not before)
    assert (tracks["credit-boom"]["hits"], tracks["credit-boom"]["false_alarms"]) == (hits, false)


def _place(series: str, measure: str, **where: str) -> Any:
    from opsroom.room.desks.judged import Place

    return Place(series, measure, where, 0.0, "above")


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ({"horizon": [5]}, "first and a last quarter"),
        ({"horizon": [8, 2]}, "first and a last quarter"),
        ({}, "lacks 'horizon'"),
        ({"horizon": [1, 4], "colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_wrong_judges_are_told(room: Room, desks: dict[str, DeskSettings], judged: dict[str, Any], said: str) -> None:
    rule = {
        "name": "x", "series": "credit.region", "measure": "by_credit", "raise_at": 15,
        "judged_by": {"series": "exuberance.ratios", "measure": "fall", "raise_at": 10, **judged},
    }  # fmt: skip
    with pytest.raises(SettingsError, match=said):
        room.run_desk(DeskSettings("warnings", "warnings", {"rules": [rule]}), room.moment(DAY), DAY, {})
