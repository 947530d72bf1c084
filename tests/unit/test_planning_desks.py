"""The desks that plan on what the room has published: allocation and propagation."""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.optimize import linprog

from opsroom.base.codes import NATURAL_FORMS, SECTION_OF_DIVISION
from opsroom.base.errors import SettingsError, UsageError
from opsroom.base.settings import DeskSettings
from opsroom.decide.propagation import Scenario, cascade
from opsroom.decide.propagation.scenario import Assumed
from opsroom.room import Room
from opsroom.room.desk import DeskOutcome
from opsroom.room.desks.allocation import elasticity_of, law_of
from opsroom.room.desks.sectortable import last_of
from opsroom.room.desks.shockpath import ahead, shocked

DAY = dt.date(2020, 3, 4)
TABLE = {"table": "io_table", "household": ["P3"], "other": ["P51", "P6"]}
MEASURED = {"series": "resumption.section", "measure": "capacity", "by": "section", "where": {"size": "_T"}}
ALLOCATION = {
    **TABLE, "objectives": "objectives",
    "capacity": {**MEASURED, "lower": "capacity_lower", "upper": "capacity_upper"},
}  # fmt: skip
PROPAGATION = {
    **TABLE, "restrictions": "restrictions", "measured": MEASURED, "labour_share": 0.6, "stock_days": 20,
    "critical": ["D"], "demand": {"I": 0.5}, "start": dt.date(2020, 1, 20), "horizon_weeks": 6,
    "scenarios": [{"name": "stay", "lift_weeks": 0}, {"name": "lifted", "lift_weeks": 4}],
}  # fmt: skip


def test_the_plan_is_the_optimum_of_the_published_tables(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        moment = room.moment(DAY)
        outcome = room.run_desk(DeskSettings("allocation", "allocation", ALLOCATION), moment, DAY, {})
        table = room.table("io_table", as_of=DAY).to_pandas()
        released = [r for r in room.releases().history("resumption.section") if r.day <= DAY]
    by_section, by_rule = outcome.cells
    assert by_section.public  # it rests on public tables and on what is out
    assert by_rule.public

    # the same by plain pandas and a plain linear programme
    table["from"] = table["supplier"].map(SECTION_OF_DIVISION)
    table["to"] = table["user"].map(lambda code: SECTION_OF_DIVISION.get(code, "final"))
    wide = table.pivot_table(index="from", columns="to", values="amount", aggfunc="sum", fill_value=0) / 100
    sections = [s for s in wide.index if wide.loc[s].sum() > 0]
    final = wide.loc[sections, "final"].clip(lower=0)
    z = wide.reindex(index=sections, columns=sections, fill_value=0)
    x = z.sum(axis=1) + final
    seen: dict[str, float] = {}
    for release in released:
        frame = release.to_frame(where={"size": "_T"}).dropna(subset=["capacity"])
        seen |= dict(zip(frame["section"], frame["capacity"], strict=True))
    share = pd.Series(seen).reindex(sections)
    share = share.fillna(np.average(share.dropna(), weights=x[share.notna()])).clip(1, 100) / 100
    weight = pd.Series(1.0, index=sections)
    weight.update(pd.Series({"A": 1.3, "D": 1.3, "E": 1.2, "Q": 2.0, "R": 0.8}))  # Q as of March
    floor = pd.Series(0.0, index=sections)
    floor.update(pd.Series({"A": 0.3, "D": 0.3, "Q": 0.3}))
    n = len(sections)
    a = (z / x).to_numpy()
    unit = float(x.mean())
    load = float((np.linalg.solve(np.eye(n) - a, floor * final) / (share * x)).max())
    floor = floor / max(load * (1 + 1e-8), 1.0)  # floors that cannot be met together are met in part, all alike
    assert by_section.facts["floors_met"] == pytest.approx(100.0 / max(load, 1.0), abs=0.06)
    best = linprog(
        -np.r_[np.zeros(n), weight],
        A_ub=np.hstack([a - np.eye(n), np.eye(n)]), b_ub=np.zeros(n),
        bounds=np.column_stack([np.r_[np.zeros(n), floor * final / unit], np.r_[share * x / unit, final / unit]]),
    )  # fmt: skip
    frame = by_section.frame.set_index("section")
    assert best.status == 0
    plan = outcome.result["best"]  # type: ignore[index]  # what the desk hands on
    assert plan.objective == pytest.approx(-best.fun * unit, rel=5e-6)  # a gap of 1e-6, floors met to 1e-8
    assert frame["optimum"].to_numpy() == pytest.approx((100 * plan.y / final)[frame.index].to_numpy(), abs=0.051)
    worth = by_rule.frame.set_index("rule")
    assert worth.loc["optimum", "worth"] == 100.0
    assert (worth["worth"] <= 100.0).all()
    assert (frame["price_lower"] <= frame["price"]).all()
    assert (frame["price_less"] >= frame["price_more"]).all()
    assert set(frame.index[frame["price"] > 0]) <= set(frame.index[frame["capacity"] < 100])


def test_the_law_binds_an_optimum_of_its_own(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        moment = room.moment(DAY)

        def run(law: object) -> DeskOutcome:
            settings = DeskSettings("allocation", "allocation", {**ALLOCATION, "law": law})
            return room.run_desk(settings, moment, DAY, {})

        bound, impossible, unknown = (run(law) for law in ({"order": 1e-4}, {"shares": {"1": 1.0}}, {"alike": [7]}))
    by_section, by_rule = (cells.frame for cells in bound.cells)
    worth = by_rule.set_index("rule")["worth"]
    assert set(worth.index) == {"optimum", "by_class", "pro_rata", "market", "by_law"}
    assert worth.max() == worth["optimum"] == 100.0
    assert bound.cells[0].facts["law"] == ""
    first = bound.cells[0].facts["law_classes"][0]
    assert first["class"] == 1
    # the first class gets what it would get if it were alone: no plan gives it more
    assert first["share"] == pytest.approx(first["bound"], abs=0.1)
    by_class = by_section.set_index("section")
    assert by_class["by_law"].notna().all()
    for outcome, said in ((impossible, "OPS-M184"), (unknown, "names a class that no product is in")):
        assert said in outcome.cells[0].facts["law"]
        assert outcome.cells[0].frame["by_law"].isna().all()
        assert "by_law" not in set(outcome.cells[1].frame["rule"])


@pytest.mark.parametrize(
    "law",
    [{}, [{"order": True}, {"order": True}], {"order": 0.5}, {"alike": []}, {"alike": ["1"]}, {"alike": [True]},
     {"shares": {"1": 1.5}}, {"shares": {"first": 0.5}}, {"shares": {"1": True}}, {"first": True}, "order"],
)  # fmt: skip
def test_a_law_that_makes_no_sense_is_refused(law: object) -> None:
    with pytest.raises(SettingsError, match="law") as caught:
        law_of(DeskSettings("allocation", "allocation", {"law": law}))
    assert caught.value.code == "OPS-C004"


def test_a_law_is_read_as_it_is_written() -> None:
    written = tomllib.loads("law = {order = 1e-4, alike = [1, 3], shares = {2 = 0.5}}")
    assert law_of(DeskSettings("allocation", "allocation", written)) == {
        "order": 1e-4, "alike": [1, 3], "shares": {2: 0.5},
    }  # fmt: skip
    assert law_of(DeskSettings("allocation", "allocation", {})) is None
    with pytest.raises(SettingsError, match="elasticity"):
        elasticity_of(DeskSettings("allocation", "allocation", {"elasticity": 0}))


def test_what_nobody_weighs_is_not_planned(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        settings = DeskSettings("allocation", "allocation", ALLOCATION)
        early = dt.date(2019, 1, 1)
        assert room.run_desk(settings, room.moment(early), early, {}).note.startswith("nothing known of")
        nothing = DeskSettings("allocation", "allocation", {**ALLOCATION, "capacity": {**MEASURED, "series": "none"}})
        assert "nothing published" in room.run_desk(nothing, room.moment(DAY), DAY, {}).note
        wrong = DeskSettings("allocation", "allocation", {**ALLOCATION, "table": "restrictions"})
        with pytest.raises(SettingsError, match="no input-output table"):
            room.run_desk(wrong, room.moment(DAY), DAY, {})


def test_a_register_that_says_nothing_usable_stops_its_desk_alone(own_room: Path) -> None:
    entry = {"kind": "class", "product": "C", "valid_from": dt.date(2020, 3, 1), "valid_to": None, "value": 1.5,
             "owner": "nobody", "legal_basis": "none"}  # fmt: skip
    with Room.open(own_room, actor="test") as room:
        fields = [f.name for f in room.store.spec("objectives").fields]
        schema = room.store.arrow("objectives", room.moment(DAY), columns=fields).schema
        late = dt.datetime(2020, 3, 12, 8, tzinfo=dt.UTC)
        room.ingest("objectives", pa.table({n: [entry[n]] for n in fields}, schema=schema), late)
        picture = room.picture(late.date())
    assert picture.desks["allocation"].note.startswith("OPS-D175: the objectives register has a value out of range")
    assert picture.desks["propagation"].cells


def test_a_path_begins_at_what_was_measured_and_rests_on_no_later_figure(own_room: Path) -> None:
    settings = DeskSettings("propagation", "propagation", PROPAGATION)
    with Room.open(own_room, actor="test") as room:
        outcome = room.run_desk(settings, room.moment(DAY), DAY, {})
        last = max(r.day for r in room.releases().history("resumption.section"))
    assert last > DAY  # the room knows more than the desk may
    path, sections, daily = (cells.frame for cells in outcome.cells)
    assert all(cells.public for cells in outcome.cells)
    stay, lifted = (path[path["scenario"] == name].set_index("date") for name in ("stay", "lifted"))
    known = stay[stay["measured"].notna()]
    assert len(known) >= 3
    assert known.index.max() <= DAY.isoformat()
    # a section makes no more than it was measured to be able to: the whole neither
    assert (known["output"] <= known["measured"].clip(upper=100) + 1.5).all()
    assert (stay["lower"] <= stay["upper"]).all()
    assert lifted["output"].iloc[-1] > stay["output"].iloc[-1] + 5
    assert (sections["output"].between(0, 101)).all()
    assert list(path.columns) == ["date", "scenario", "output", "lower", "upper", "measured"]
    whole = daily[(daily["section"] == "_T") & (daily["region"] == "_T")].set_index("date")["output"]
    both = stay.index.intersection(whole.index)  # day by day, and by week, the same path
    assert len(both) > 6
    assert whole[both].to_list() == stay["output"][both].to_list()
    assert set(daily["region"]) == {"_T"}  # a room that names no weights has no regions


REGIONAL = {
    "regions": {"dataset": "macro_q", "series": "income"},
    "measured_regions": {"series": "resumption.region", "measure": "capacity", "by": "region",
                         "where": {"size_class": "_T", "weight": "sales"}},
}  # fmt: skip
WAVE = """schema_version = 1
name = "wave"
source = "a test"
[[shocks]]
first = 2020-03-20
last = 2020-04-30
regions = ["R03"]
supply = 0.5
"""


def test_regions_share_what_sections_make_and_a_wave_in_one_is_borne_there_most(own_room: Path) -> None:
    (own_room / "scenarios" / "wave.toml").write_text(WAVE, encoding="utf-8")
    stay = {"name": "stay", "lift_weeks": 0}
    settings = {**PROPAGATION, **REGIONAL, "scenarios": [stay, {"file": "wave.toml"}]}
    with Room.open(own_room, actor="test") as room:
        moment = room.moment(DAY)
        outcome = room.run_desk(DeskSettings("propagation", "propagation", settings), moment, DAY, {})
        income = room.table("macro_q", as_of=DAY).to_pandas()
        text = (own_room / "scenarios" / "wave.toml").read_bytes()
    assert all(cells.public for cells in outcome.cells)
    by_name = {cells.name: cells for cells in outcome.cells}
    frame, daily = by_name["propagation.region"].frame, by_name["propagation.daily"].frame
    # what is out of the regions is what is out of the whole, by the public weights
    income = income[income["series"].str.startswith("income.")]
    newest = income[income["quarter"] == income["quarter"].max()].set_index("series")["value"]
    weight = newest.rename(lambda name: name.removeprefix("income.")) / newest.sum()
    wide = daily[daily["section"] == "_T"].pivot(index="date", columns="region", values="output")
    assert set(wide.columns) == {"_T", *weight.index}
    mean = (wide[weight.index] * weight).sum(axis=1)
    assert mean.to_numpy() == pytest.approx(wide["_T"].to_numpy(), abs=0.11)  # both are rounded
    end = frame[frame["date"] == frame["date"].max()].pivot(index="region", columns="scenario", values="output")
    assert end.loc["R03", "wave"] < 0.7 * end.loc["R03", "stay"]
    others = end.drop("R03")
    assert (others["wave"] > 0.8 * others["stay"]).all()
    first, second = (frame[frame["scenario"] == name] for name in ("stay", "wave"))
    assert (first["lower"] <= first["upper"]).all()
    assert second[["lower", "upper"]].isna().all().all()
    told = by_name["propagation.path"].facts["scenarios"]
    assert by_name["propagation.path"].facts["scenario_sources"] == "wave (a test)"
    assert told[1] == {"name": "wave", "lift_weeks": 0, "source": "a test", "shocks": 1,
                       "sha256": hashlib.sha256(text).hexdigest()}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said", "code"),
    [
        ({"scenarios": [{"file": "../room.toml"}]}, "not one of the room's folder", "OPS-C042"),
        ({"scenarios": [{"file": "none.toml"}]}, "no such file", "OPS-C040"),
        ({"scenarios": [{"name": "stay"}]}, "neither name and lift_weeks nor a file", "OPS-C004"),
        ({"scenarios": [{"name": "a", "lift_weeks": 0}, {"name": "a", "lift_weeks": 1}]}, "two have one", "OPS-C004"),
        ({"regions": {"dataset": "register", "section": "section", "region": "region"}}, "confidential", "OPS-C042"),
        ({"regions": {"dataset": "macro_q", "series": "nothing"}}, "not those of the restrictions", "OPS-C042"),
        ({"regions": {"dataset": "macro_q"}}, "has no field of that name", "OPS-C042"),
    ],
)
def test_a_room_that_names_no_usable_scenario_or_weights_is_told_which(
    own_room: Path, wrong: dict[str, object], said: str, code: str
) -> None:
    settings = DeskSettings("propagation", "propagation", {**PROPAGATION, **wrong})
    with Room.open(own_room, actor="test") as room, pytest.raises(SettingsError, match=said) as caught:
        room.run_desk(settings, room.moment(DAY), DAY, {})
    assert caught.value.code == code


ONE = pd.DataFrame(1.0, index=["A", "B"], columns=["_T"])


def test_losses_go_straight_between_measurements_and_then_with_restrictions() -> None:
    days = pd.date_range("2020-01-01", periods=9)
    strength = pd.DataFrame({"_T": [0.0, 0.5, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.0]}, index=days)
    measured = pd.DataFrame({"A": [60.0, 20.0], "B": [100.0, 110.0]}, index=days[[2, 4]])
    fear = pd.Series({"A": 0.5, "B": 0.0})
    found = shocked(measured, strength, fear, ONE)
    assert found.lost[:, 0, 0].tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.4, 0.0])
    assert found.lost[:, 1, 0].tolist() == pytest.approx([0.0] * 9)
    assert found.unwanted[:, 0].tolist() == pytest.approx((strength["_T"] / 2).to_list())
    stays = shocked(measured, 0.0 * strength, fear, ONE)
    assert stays.lost[-1, 0, 0] == pytest.approx(0.8)  # without restrictions there is nothing to be lifted


def test_each_region_is_lifted_by_its_own_restrictions() -> None:
    days = pd.date_range("2020-01-01", periods=4)
    strength = pd.DataFrame({"N": [0.4, 0.4, 0.2, 0.2], "S": [0.8, 0.8, 0.8, 0.0]}, index=days)
    measured = pd.DataFrame({"A": [70.0, 70.0]}, index=days[:2])
    weights = pd.DataFrame({"N": [0.5], "S": [0.5]}, index=["A"])
    assumed = Assumed(dt.date(2020, 1, 1), dt.date(2020, 1, 4), supply=0.5, demand=0.5, regions=("N",))
    found = shocked(measured, strength, pd.Series({"A": 0.5}), weights)
    assert found.lost[:, 0] == pytest.approx(np.array([[0.2, 0.4], [0.2, 0.4], [0.1, 0.4], [0.1, 0.0]]))
    # the wave is in what was measured, and comes on top of what restrictions leave after that
    wave = shocked(measured, strength, pd.Series({"A": 0.5}), weights, scenario=Scenario("wave", shocks=(assumed,)))
    assert wave.lost[:, 0] == pytest.approx(np.array([[0.2, 0.4], [0.2, 0.4], [0.55, 0.4], [0.55, 0.0]]))
    assert wave.unwanted[:, 0] == pytest.approx([0.3, 0.3, 0.5 * 0.55 + 0.5 * 0.4, 0.5 * 0.55])


def test_restrictions_stay_or_are_lifted_evenly() -> None:
    known = pd.DataFrame({"N": [0.2, 0.6, 0.9]}, index=pd.date_range("2020-01-01", periods=3))
    stays, lifted = (ahead(known, dt.date(2020, 1, 2), 2, lift)["N"] for lift in (0, 1))
    assert stays.to_list() == [0.2] + [0.6] * 15  # what was known later plays no part
    assert lifted.to_list() == pytest.approx([0.2, 0.6, *(0.6 * (1 - k / 7) for k in range(1, 8)), *[0.0] * 7])


def test_periods_of_releases_have_last_days() -> None:
    assert last_of("2020-W07") == dt.date(2020, 2, 16)
    assert last_of("2020-02-29") == dt.date(2020, 2, 29)
    assert last_of("2020-02") == dt.date(2020, 2, 29)
    assert last_of("2020-Q2") == dt.date(2020, 6, 30)
    assert last_of("2020") == dt.date(2020, 12, 31)


def test_a_register_without_a_weight_for_a_section_is_refused(own_room: Path) -> None:
    from opsroom.decide import objectives

    with Room.open(own_room, actor="test") as room:
        frame = room.table("objectives", as_of=DAY).to_pandas()
    lacking = frame[~((frame["kind"] == "weight") & (frame["product"] == "_T"))]
    with pytest.raises(UsageError, match="no weight on 2020-03-04"):
        objectives(lacking, DAY).weights(pd.Index(["A", "B"]))


CRITICAL = {"links": "links", "register": "register", "essential": ["D", "E", "H"]}


def test_critical_companies_go_to_the_gate_by_section_alone(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        moment = room.moment(DAY)
        outcome = room.run_desk(DeskSettings("critical", "critical", {**CRITICAL, "largest": 40}), moment, DAY, {})
        links = room.table("links", as_of=DAY).to_pandas()
        register = room.table("register", as_of=DAY).to_pandas()
    (cells,) = outcome.cells
    assert not cells.public
    assert cells.dimensions == ("sector",)
    assert "enterprise_id" not in cells.frame.columns
    last = register[pd.to_datetime(register["valid_from"]) <= pd.Timestamp(DAY)].sort_values("valid_from")
    last = last.drop_duplicates("enterprise_id", keep="last").set_index("enterprise_id")
    newest = links[pd.to_datetime(links["year"]) == pd.to_datetime(links["year"]).max()]
    newest = newest[newest["supplier_id"].isin(last.index) & newest["customer_id"].isin(last.index)]
    newest = newest[(newest["supplier_id"] != newest["customer_id"]) & (newest["amount"] > 0)]
    names = {"supplier_id": "supplier", "customer_id": "buyer", "amount": "weight"}
    sales = newest.rename(columns=names)[["supplier", "buyer", "weight"]]
    there = pd.Index(sorted({*sales["supplier"], *sales["buyer"]}))
    sections = sorted(set(last.loc[there, "section"]))
    needs = pd.DataFrame(0.5, sections, sections)
    needs.loc[needs.index.isin(["D", "E", "H"])] = 1.0
    found = outcome.result.companies  # type: ignore[union-attr]  # what the desk hands on
    assert len(found) == 40
    assert not last.loc[found.index, "legal_form"].isin(NATURAL_FORMS).any()
    one = found["esri"].idxmax()
    lost = pd.DataFrame({one: [1.0]})
    plain = cascade(sales.astype({"weight": float}), last.loc[there, "section"], lost, essential=needs)
    assert found.loc[one, "esri"] == pytest.approx(float(plain.scenarios["loss"].iloc[0]), abs=1e-6)


@pytest.mark.parametrize("wrong", [{"essential": "D"}, {"threshold": 2.0}, {"largest": 0}])
def test_settings_of_the_critical_desk_that_make_no_sense_are_refused(own_room: Path, wrong: dict[str, object]) -> None:
    with Room.open(own_room, actor="test") as room, pytest.raises(SettingsError, match=next(iter(wrong))):
        room.run_desk(DeskSettings("critical", "critical", {**CRITICAL, **wrong}), room.moment(DAY), DAY, {})
