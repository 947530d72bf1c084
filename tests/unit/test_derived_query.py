"""Derived numbers by declaration: what may be asked, what comes of it, what is refused, and who may ask."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.query_room import SECOND, SPEC, TABLES, companies, make_room

from opsroom.base.errors import AccessError, DisclosureError, SpecError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.protect.reader import Releases
from opsroom.room import Room, deriving
from opsroom.room.derivedquery import DerivedQuery, read_question
from opsroom.room.tablequery import TableQuery

MONTH, NEXT = "2020-01", "2020-02"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A room of two months; in the second, one sector of R1 grows and (R1, ships) has five companies of its own."""
    path = make_room(tmp_path_factory.mktemp("derived") / "room")
    later = companies().assign(month=dt.date(2020, 2, 1))
    later["sales"] = later["sales"] + later["company"] % 3 * 1_000
    later.loc[later["region"] == "R1", "sales"] *= 2
    with Room.open(path, actor="operator") as room:
        room.ingest("vat", later, dt.datetime(2020, 3, 4, 13, tzinfo=dt.UTC))
    return path


def ask(folder: Path, statistic: str, *cell: str, actor: str = "ada", **more):
    more.setdefault("period", MONTH)
    with Room.open(folder, actor=actor) as room:
        return room.ask(DerivedQuery.of_texts("vat", statistic, cell=cell, **more))


def groups(frame: pd.DataFrame, column: str) -> pd.Series:
    """Sum up by enterprise group; who has none is one."""
    owner = frame["holding"].fillna("alone " + frame["company"].astype(str))
    return frame[column].groupby(owner).sum().sort_values(ascending=False)


# -- the question -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statistic",
    ["ratio:sales/jobs", "share:sales", "growth:sales", "quantile:sales=0.1,0.5", "top_share:sales=4", "hhi:sales",
     "regression:sales~jobs,pay"],
)  # fmt: skip
def test_a_question_comes_back_from_its_data(statistic):
    base = "2019-12" if statistic.startswith("growth") else None
    query = DerivedQuery.of_texts(
        "vat", statistic, period=MONTH, base=base, cell=["size=large", "region=R1"], as_of=dt.date(2020, 3, 4)
    )
    assert str(query.statistic) == statistic
    assert read_question(query.to_dict()) == query
    assert query.cell == (("region", "R1"), ("size", "large"))


def test_a_question_of_statistics_is_for_a_table():
    query = TableQuery.of("vat", where=["month=2020-01"])
    assert read_question(query.to_dict()) == query


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1}, {"dataset": "no/such"}, {"dataset": 3}, {"period": 3}, {"period": None}, {"base": "2019-12"},
        {"statistic": "median:sales"}, {"statistic": "ratio:sales"}, {"statistic": "ratio:sales/jobs,pay"},
        {"statistic": "regression:sales"}, {"statistic": "regression:sales~jobs,jobs"}, {"statistic": "growth:sales"},
        {"statistic": "quantile:sales=0"}, {"statistic": "quantile:sales=1"}, {"statistic": "quantile:sales=nan"},
        {"statistic": "quantile:sales=0.12345"}, {"statistic": "quantile:sales=0.5,0.5"}, {"statistic": "hhi:sal es"},
        {"statistic": "top_share:sales"}, {"statistic": "top_share:sales=1.5"}, {"statistic": "top_share:sales=inf"},
        {"statistic": ["hhi:sales"]}, {"cell": ["region=R1"]}, {"cell": {"region": 1}}, {"cell": {"re gion": "R1"}},
        {"cell": {"region": "a\nb"}}, {"of": {"region": "R1"}}, {"as_of": "yesterday"}, {"as_of": 20200304},
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_without_repeating_it(change):
    good = {"dataset": "vat", "statistic": "hhi:sales", "period": MONTH, "cell": {"region": "R1"}}
    DerivedQuery.from_dict(good)
    with pytest.raises(UsageError) as refused:
        DerivedQuery.from_dict({**good, **change})
    assert refused.value.remedy
    for sent in ("extra", "median", "yesterday", "no/such", "re gion", "12345"):
        assert sent not in str(refused.value)


@pytest.mark.parametrize(
    ("statistic", "more"),
    [
        ("quantile:sales=0.25", {}), ("quantile:sales=0.25,0.5", {}), ("quantile:jobs", {}), ("top_share:sales=29", {}),
        ("regression:sales~sales", {}), ("regression:jobs~sales", {}), ("hhi:secret", {}),
        ("hhi:exports", {}), ("hhi:count", {}), ("ratio:sales/company", {}),
        ("ratio:jobs/count", {}), ("share:sales", {}), ("share:sales", {"cell": ["region=R1"], "of": ["region=R2"]}),
        ("share:sales", {"cell": ["region=R1"], "of": ["region=R1"]}), ("hhi:sales", {"cell": ["region=R9"]}),
        ("hhi:sales", {"cell": ["region=_T"]}), ("hhi:sales", {"cell": ["holding=S1"]}),
        ("growth:sales", {"base": NEXT}), ("hhi:sales", {"period": "soon"}),
    ],
)  # fmt: skip
def test_what_is_not_declared_is_refused_before_the_data_is_read(folder, monkeypatch, statistic, more):
    monkeypatch.setattr(deriving, "master", None)
    with Room.open(folder, actor="ada") as room, pytest.raises(UsageError):
        room.ask(DerivedQuery.of_texts("vat", statistic, **{"period": MONTH, **more}))


@pytest.mark.parametrize(
    "derived",
    ['"share:sales"', '"median:sales"', '"quantile:sales=2"', '"hhi:exports"', '"regression:sales~pay"',
     '"quantile:sales=0.5", "quantile:sales=0.25"'],
)  # fmt: skip
def test_a_dataset_declares_what_may_be_derived_once_of_a_measure(derived):
    good = SPEC.format(tables=TABLES)
    spec = DatasetSpec.from_toml(good)
    assert DatasetSpec.from_toml(spec.to_toml()) == spec
    assert [str(one) for one in spec.tables.may_derive][:2] == ["quantile:sales=0.5", "top_share:sales=30"]
    start = good.index("derived = [")
    with pytest.raises(SpecError):
        DatasetSpec.from_toml(good[:start] + f"derived = [{derived}]" + good[good.index("]", start) + 1 :])
    silent = DatasetSpec.from_toml(good[:start] + good[good.index("]", start) + 1 :])
    assert [str(one) for one in silent.tables.may_derive] == [
        kind for m in ("sales", "jobs") for kind in (f"quantile:{m}=0.5", f"top_share:{m}=4", f"hhi:{m}")
    ]


# -- what comes of it ---------------------------------------------------------------------------


def test_functions_of_cells_are_what_they_are_of_the_microdata(folder):
    data = companies()
    region = data[data["region"] == "R1"]
    out = ask(folder, "share:sales", "region=R1")
    assert out.rows == (("share", round(100 * region["sales"].sum() / data["sales"].sum(), 1), "published"),)
    out = ask(folder, "ratio:sales/jobs", "region=R1")
    assert out.rows[0][1] == round(region["sales"].sum() / 100 / region["jobs"].sum(), 4)
    assert out.measures[0]["unit"] == "EUR per units"
    out = ask(folder, "ratio:sales/count", "region=R1")
    assert out.rows[0][1] == round(region["sales"].sum() / 100 / len(region), 4)
    out = ask(folder, "share:count", "region=R1", "size=small", of=["region=R1"])
    assert out.rows[0][1] == round(100 * (region["size"] == "small").sum() / len(region), 1)
    out = ask(folder, "growth:sales", "region=R1", period=NEXT, base=MONTH)
    assert 100 < out.rows[0][1] < 105
    assert out.stamp["certificate"]["method"] == "opsroom-witness-1"


def test_outputs_of_contributions_are_what_they_are_of_the_microdata(folder):
    data = companies()
    second = data[data["region"] == "R2"]
    sizes = groups(second[second["sector"] == "trade"], "sales") / 100
    out = ask(folder, "hhi:sales", "region=R2", "sector=trade")
    assert abs(float(out.rows[0][2]) - 10_000 * ((sizes / sizes.sum()) ** 2).sum()) <= 50
    sizes = groups(second[second["sector"] == "steel"], "sales") / 100
    out = ask(folder, "quantile:sales=0.5", "region=R2", "sector=steel")
    assert sizes.quantile(0.4) < out.rows[0][2] < sizes.quantile(0.6)
    assert out.stamp["certificate"] | {"witnesses": "", "head": ""} == {
        "method": "opsroom-derived-2", "rule": "quantile", "checked": "witnesses", "attackers": "contributor",
        "witnesses": "", "head": "",
    }  # fmt: skip
    assert out.stamp["certificate"]["head"] == out.stamp["previous"]
    sizes = groups(data[data["region"] == "R4"], "sales")
    out = ask(folder, "top_share:sales=30", "region=R4")
    assert out.rows[0][2] == round(100 * sizes.iloc[:30].sum() / sizes.sum(), 1)


def test_a_regression_is_that_of_the_units_which_state_both(folder):
    out = ask(folder, "regression:sales~jobs", "region=R1", period=NEXT)
    data = companies().dropna(subset="jobs")
    data["sales"] += data["company"] % 3 * 1_000
    part = data[data["region"] == "R1"]
    design = np.column_stack([np.ones(len(part)), part["jobs"].to_numpy(dtype=float)])
    wanted = np.linalg.lstsq(design, 2 * part["sales"].to_numpy() / 100, rcond=None)[0]
    found = {row[1]: row[2] for row in out.rows}
    assert found["one"] == pytest.approx(wanted[0], abs=1e-4)
    assert found["jobs"] == pytest.approx(wanted[1], abs=1e-4)
    assert out.stamp["certificate"]["checked"] == "recomputed"


def test_the_same_question_is_the_same_release_and_both_are_in_the_audit_log(folder):
    first = ask(folder, "share:sales", "region=R4")
    with Room.open(folder, actor="ada") as room:
        before = room.ledger.head()
    assert ask(folder, "share:sales", "region=R4").json_bytes == first.json_bytes
    with Room.open(folder, actor="operator") as room:
        assert room.ledger.head() == before
        assert [e.object for e in room.audit.entries() if e.act == "query"][-2:] == [first.id, first.id]
        assert room.ledger.verify() == before.seq
        assert first.id not in {r.id for r in Releases(room.state).of_day(first.day)}, "no face is shown an answer"


# -- what is refused ----------------------------------------------------------------------------


def test_a_share_that_gives_a_withheld_cell_away_is_refused_and_logged(folder):
    with pytest.raises(DisclosureError) as refused:
        ask(folder, "share:sales", "region=R3", "sector=ships")
    assert refused.value.code == "OPS-P060"
    with Room.open(folder, actor="operator") as room:
        assert [e.object for e in room.audit.entries() if e.act == "query"][-1] == "vat: refused, OPS-P060"


def test_a_rate_between_two_withheld_levels_is_refused(folder):
    with pytest.raises(DisclosureError) as refused:
        ask(folder, "growth:sales", "region=R3", "sector=ships", period=NEXT, base=MONTH)
    assert refused.value.code == "OPS-P062"


def test_contributions_to_a_withheld_cell_are_never_read(folder, monkeypatch):
    monkeypatch.setattr(deriving, "unit_rows", None)
    for statistic in ("hhi:sales", "quantile:sales", "top_share:sales=30", "regression:sales~jobs"):
        with pytest.raises(DisclosureError) as refused:
            ask(folder, statistic, "region=R3", "sector=ships")
        assert refused.value.code == "OPS-P061"


def test_a_second_output_of_the_same_contributors_is_refused(folder):
    ask(folder, "top_share:sales=30", "region=R4", period=NEXT)
    for cell in (["region=R4"], ["region=R4", "size=small"], ["region=R4", "sector=food"], []):
        with pytest.raises(DisclosureError) as refused:
            ask(folder, "quantile:sales", *cell, period=NEXT)
        assert refused.value.code == "OPS-P061"


def test_another_output_of_the_same_companies_in_another_period_is_refused_and_the_same_is_not(tmp_path):
    """Companies hardly change from month to month: another output a month would add up like several of one."""
    path = make_room(tmp_path / "room")
    with Room.open(path, actor="operator") as room:
        room.ingest("vat", companies().assign(month=dt.date(2020, 2, 1)), dt.datetime(2020, 3, 4, 13, tzinfo=dt.UTC))
    first = ask(path, "quantile:sales", "region=R1")
    for statistic, cell in (
        ("hhi:sales", ["region=R1"]), ("regression:sales~jobs", ["region=R1"]), ("quantile:sales", []),
        ("quantile:sales", ["region=R1", "sector=food"]), ("quantile:sales", ["sector=food"]),
    ):  # fmt: skip
        with pytest.raises(DisclosureError, match="OPS-P061"):
            ask(path, statistic, *cell, period=NEXT)
    assert ask(path, "quantile:sales", "region=R1", period=NEXT).rows == first.rows
    assert ask(path, "hhi:sales", "region=R2", period=NEXT).rows


def test_contributions_below_zero_are_no_mistake_that_tells_of_them(tmp_path):
    data = companies(3)
    data.loc[data["region"] == "R1", "sales"] -= 3_000_000
    path = make_room(tmp_path / "room", data)
    with pytest.raises(DisclosureError) as refused:
        ask(path, "hhi:sales", "region=R1")
    assert refused.value.code == "OPS-P053"


# -- who may ask --------------------------------------------------------------------------------


def test_a_scope_cannot_be_taken_away(folder):
    inside = ask(folder, "share:sales", "region=R1", "sector=food", of=["region=R1"], actor="sam")
    assert inside.json_bytes == ask(folder, "share:sales", "region=R1", "sector=food", of=["region=R1"]).json_bytes
    for cell, of in ((["region=R3"], []), ([], []), (["region=R1", "size=large"], []), (["sector=food"], [])):
        with pytest.raises(AccessError):
            ask(folder, "share:sales", *cell, of=of, actor="sam")
    with pytest.raises(AccessError):
        ask(folder, "hhi:sales", actor="sam")
    with pytest.raises(AccessError):
        ask(folder, "hhi:sales", "region=R1", actor="max")


def test_who_lacks_the_right_is_refused(folder):
    with pytest.raises(AccessError):
        ask(folder, "share:sales", "region=R1", actor="rita")


# -- the history --------------------------------------------------------------------------------


def test_a_rate_from_a_withheld_level_to_one_that_is_shown_gives_it_away_and_is_refused(tmp_path):
    path = make_room(tmp_path / "room")
    with Room.open(path, actor="operator") as room:
        later = companies().assign(month=dt.date(2020, 2, 1))
        more = later.iloc[:5].assign(company=range(9101, 9106), region="R3", sector="ships", size="large",
                                     sales=AMOUNTS, holding=None)  # fmt: skip
        room.ingest("vat", pd.concat([later, more]), dt.datetime(2020, 3, 5, 12, tzinfo=dt.UTC))
        shown = room.ask(TableQuery.of("vat", statistics=["sum:sales"], where=["month=2020-02", "region=R3",
                                                                           "sector=ships"], as_of=SECOND))  # fmt: skip
        assert shown.rows[0][1] is not None
        rate = DerivedQuery.of_texts(
            "vat", "growth:sales", period=NEXT, base=MONTH, as_of=SECOND, cell=["region=R3", "sector=ships"]
        )
        with pytest.raises(DisclosureError, match="OPS-P060"):
            room.ask(rate)


AMOUNTS = [300_000_000, 310_000_000, 320_000_000, 330_000_000, 340_000_000]
