"""Delays in a room: who stands reported is who is counted, first reports late by design, the desk, its figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, SettingsError
from opsroom.base.results import Cells
from opsroom.base.settings import DeskSettings
from opsroom.measure.delays import nowcast_delays, reporting_triangle
from opsroom.measure.delays.publish import confidential_delay_cells, delay_cells
from opsroom.measure.delays.standing import moving_records, standing_records
from opsroom.protect.rules import Rules
from opsroom.room import Room

vintages = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(0, 130), st.one_of(st.none(), st.integers(0, 130)), st.sampled_from("AB"),
        st.booleans(), st.booleans(),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


def records_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    first = pd.Timestamp("2020-01-01")
    table = pd.DataFrame(rows, columns=["record", "known", "about", "sector", "counts", "taken_back"])
    table = table.sort_values("known", kind="stable", ignore_index=True)
    table["period"], table["known_at"] = (first + pd.to_timedelta(table[c], unit="D") for c in ("about", "known"))
    return table.assign(value=table["counts"].astype(float), group=table["record"])


@given(rows=vintages, at=st.integers(60, 131), first=st.integers(0, 1), most=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_who_stands_reported_is_who_is_counted(rows: list[tuple[Any, ...]], at: int, first: int, most: int) -> None:
    records = records_of(rows)
    day = (pd.Timestamp("2020-01-01") + pd.Timedelta(days=at)).date()
    records = records[records["known_at"] <= pd.Timestamp(day)]
    try:
        triangle = reporting_triangle(
            records, period="period", key="record", by="sector", value="value", deleted="taken_back", as_of=day,
            frequency="M", since="2020-01-01", first_delay=first, max_delay=most,
        )  # fmt: skip
    except FitError:
        return
    found = standing_records(records, triangle).groupby(["sector", "period"]).size()
    wanted = pd.DataFrame(triangle.reported, triangle.sectors, triangle.periods.start_time).stack()
    assert found.to_dict() == wanted[wanted != 0].astype(int).to_dict()
    moves = moving_records(records, triangle)  # which checks additions and removals itself
    stands = moves[moves["stands"]].groupby(["sector", "period"]).size()
    assert stands.to_dict() == {
        (s, t): triangle.reported[s, t] for s, t in zip(*triangle.reported.nonzero(), strict=True)
    }


def told(cells: Cells) -> pd.DataFrame:
    """Return what is published where the gate shows every cell."""
    assert cells.completed is not None
    return cells.frame.assign(**cells.completed(np.ones(len(cells.frame), dtype=bool)))


def late_loans(*, months: int = 9, seed: int = 4) -> pd.DataFrame:
    """Returns of a month come on the 12th of the next, one in ten a month late, one in fifty is taken back later."""
    rng = np.random.default_rng(seed)
    parts = []
    for k, month in enumerate(pd.date_range("2019-12-01", periods=months, freq="MS")):
        n = 300 + 60 * k
        late = rng.random(n) < 0.1
        known = [month + pd.DateOffset(months=1 + int(x), days=11, hours=9) for x in late]
        parts.append(
            pd.DataFrame({"loan": np.arange(n) + 10_000 * k, "month": month, "known_at": known,
                          "company": np.arange(n) % 211, "sector": rng.choice(["C", "G", "I"], n, p=[0.5, 0.3, 0.2])})
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_delays_are_counted_from_the_first_reports() -> None:
    """By brute force: on 18 May April is reported but for the late, on 5 May nothing is of April, and March is open."""
    loans = late_loans()
    truth = loans.groupby("month").size()
    for day, last in (("2020-05-18", "2020-04"), ("2020-05-05", "2020-03")):
        triangle = reporting_triangle(
            loans, period="month", key="loan", frequency="M", since="2019-12-01", first_delay=None, as_of=day
        )
        assert str(triangle.periods[-1]) == last
        assert triangle.max_delay == 1
        assert triangle.age.tolist() == list(range(len(triangle.periods) - 1, -1, -1))
        known = loans[loans["known_at"] < pd.Timestamp(day) + pd.Timedelta(days=1)].groupby("month").size()
        assert triangle.reported[0].tolist() == known.loc[:last].tolist()
        frame = nowcast_delays(triangle).to_frame().loc["all"]
        newest = frame.iloc[-1]
        assert newest["lower"] <= truth[pd.Timestamp(last)] <= newest["upper"]
        assert newest["reported"] < newest["lower"]
        assert not newest["complete"]
        assert frame["complete"].iloc[:-1].all()
    with pytest.raises(FitError, match="OPS-M140"):
        reporting_triangle(loans, period="month", frequency="M", since="2020-04-01", first_delay=1, as_of="2020-05-05")


def test_cells_of_public_counts_and_of_one_series() -> None:
    triangle = reporting_triangle(
        late_loans(),
        period="month",
        key="loan",
        frequency="M",
        since="2019-12-01",
        first_delay=None,
        as_of="2020-05-18",
    )
    cells = delay_cells(nowcast_delays(triangle), "loans", last=2)
    assert cells.frame["period"].tolist() == ["2020-03", "2020-04"]
    assert cells.frame["sector"].tolist() == ["_T", "_T"]
    assert cells.frame["complete"].tolist() == ["yes", "no"]
    assert cells.measures[0].kind == "public"
    assert cells.frame["reported"].tolist() == triangle.reported[0, -2:].tolist()


def test_what_is_expected_in_all_hardly_depends_on_how_it_is_split() -> None:
    """Sectors have delays of their own, the total is learnt from their splits: the same reports, one pooled or two."""

    def cells_of(sector: pd.Series[str]) -> pd.DataFrame:
        table = loans.assign(sector=sector, record=loans["loan"], value=1.0, taken_back=False, group=loans["company"])
        table = table[table["known_at"] < pd.Timestamp("2020-05-19")]
        triangle = reporting_triangle(
            table, period="month", key="record", by="sector", value="value", deleted="taken_back", frequency="M",
            since="2019-12-01", first_delay=None, as_of="2020-05-18",
        )  # fmt: skip
        table = table.rename(columns={"month": "period"})
        units, moves = standing_records(table, triangle), moving_records(table, triangle)
        cells = confidential_delay_cells(triangle, "loans", units, moves, sensitive=Rules().sensitive, draws=200)
        return told(cells).set_index(["sector", "period"])

    loans = late_loans()
    late = loans["known_at"] > loans["month"] + pd.DateOffset(months=1, days=20)
    slow, even = loans["sector"].mask(late, "C"), loans["sector"]  # who is late is all in one sector, or anywhere
    one, other = cells_of(slow), cells_of(even)
    attached = ["expected", "lower", "upper", "share", "complete"]
    pd.testing.assert_frame_equal(one.loc[["_T"], attached], other.loc[["_T"], attached], rtol=0.015)
    assert one.loc[("C", "2020-04"), "expected"] > other.loc[("C", "2020-04"), "expected"]


ROOM = """
schema_version = 1
[room]
title = "Late"
timezone = "Europe/Vienna"
[publish]
cadence = "on_demand"
[rules]
profile = "business"
[[desks]]
kind = "delays"
name = "arrears"
title = "Loans past due"
dataset = "loans"
by = "sector"
counts = "loans"
at_least = { past_due = 30 }
since = 2019-12-01
"""
SPEC = """
schema_version = 1
name = "loans"
title = "Loans"
provider = "Test"
legal_basis = "a test"
licence = "confidential"
frequency = "M"
period = "month"
key = ["loan", "month"]
confidential = true
unit = "enterprise"
unit_field = "company"
group_field = "company"
""" + "".join(
    f'[[fields]]\nname = "{name}"\ntype = "{kind}"\nrequired = {str(name != "filed").lower()}\n'
    for name, kind in (("loan", "integer"), ("month", "date"), ("company", "integer"), ("sector", "string"),
                       ("past_due", "integer"), ("filed", "date"))
)  # fmt: skip
DAY = dt.date(2020, 5, 18)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("delays") / "room"
    (folder / "datasets").mkdir(parents=True)
    (folder / "room.toml").write_text(ROOM)
    (folder / "datasets" / "loans.toml").write_text(SPEC)
    loans = late_loans(months=5)
    loans["past_due"], loans["filed"] = np.where(loans["loan"] % 7 == 0, 5, 45), loans["known_at"].dt.date
    with Room.open(folder, actor="test") as opened:
        # ten of December were no arrears after all, as is known in April
        wrong = loans[(loans["month"] == "2019-12-01") & (loans["past_due"] == 45)].head(10)
        wrong = wrong.assign(past_due=0, known_at=pd.Timestamp("2020-04-20 09:00"))
        for known, part in pd.concat([loans, wrong]).groupby("known_at"):
            rows = part.drop(columns="known_at").assign(month=part["month"].dt.date)
            opened.ingest("loans", rows, known.to_pydatetime().replace(tzinfo=dt.UTC))
        yield opened


def run(room: Room, day: dt.date = DAY, **more: Any) -> Any:
    own = room.settings.desks[0]
    return room.run_desk(DeskSettings(own.kind, own.name, {**own.options, **more}), room.moment(day), day, {})


def test_the_desk_counts_what_is_known_and_expects_the_rest(room: Room) -> None:
    loans = late_loans(months=5)
    loans = loans[loans["loan"] % 7 != 0]
    outcome = run(room)
    frame = told(outcome.cells[0]).set_index(["period", "sector"])
    known = loans[loans["known_at"] <= pd.Timestamp(DAY)]
    for (sector, month), n in known.groupby(["sector", "month"]).size().items():
        assert frame.loc[(f"{month:%Y-%m}", sector), "n_reported"] == n
    total = known.groupby("month").size()
    newest, truth = frame.loc[("2020-04", "_T")], int((loans["month"] == "2020-04-01").sum())
    assert newest["n_reported"] == total.iloc[-1]
    assert newest["lower"] <= truth <= newest["upper"]
    assert newest["complete"] == "no"
    # what was taken back in April is beyond December's last delay: its count is what it was when it settled
    assert frame.loc[("2019-12", "_T"), "n_reported"] == total.iloc[0]
    early = run(room, dt.date(2020, 2, 20))
    assert "fewer than two periods" in early.note


def test_the_days_of_filing_may_tell_what_was_known(room: Room) -> None:
    """Filed in time and delivered in time are the same here, so the figures are."""
    filed, delivered = (told(run(room, **more).cells[0])["expected"].tolist() for more in ({"known": "filed"}, {}))
    assert filed[-4:] == pytest.approx(delivered[-4:], rel=0.02)


def test_what_comes_later_changes_nothing(room: Room) -> None:
    day = dt.date(2020, 4, 17)
    assert repr(told(run(room, day).cells[0])) == repr(told(run(room, day).cells[0]))
    assert run(room, day).cells[0].frame["period"].max() == "2020-03"


@pytest.mark.parametrize(("companies", "settled_after"), [(1, 1), (20, 2)])
def test_one_company_that_is_very_late_moves_no_horizon(
    room: Room, monkeypatch: pytest.MonkeyPatch, companies: int, settled_after: int
) -> None:
    from opsroom.room.desks import delays

    def late(*given: Any) -> pd.DataFrame:
        found = made(*given)
        mine = found[found["period"] == "2019-12-01"].drop_duplicates("record").index[:20]
        found.loc[mine, "group"] = -1 - np.arange(20) % companies
        found.loc[mine, "known_at"] = pd.Timestamp("2020-03-12 09:00", tz="UTC")
        return found.sort_values("known_at", kind="stable", ignore_index=True)

    made = delays._records
    monkeypatch.setattr(delays, "_records", late)
    (cells,) = run(room).cells
    assert cells.facts["settled_after"] == settled_after


def test_it_goes_through_the_gate(room: Room) -> None:
    with Room.open(room.path, actor="test") as own:
        issued = own.publish(DAY)
        assert [r.name for r in issued] == ["delays.arrears"]
        frame = issued[0].to_frame()
    assert {"reported", "expected", "lower", "upper", "share", "complete", "status"} <= set(frame.columns)
    assert "n_reported" not in frame.columns
    assert issued[0].facts["title"] == "Loans past due"


def test_tombstones_are_among_the_records_when_asked_for(room: Room) -> None:
    found = room.store.vintages(
        "loans", DAY, columns=["loan", "month"], period_from=dt.date(2020, 4, 1), tombstones=True
    )
    assert found.column_names == ["loan", "month", "known_at", "taken_back"]
    assert set(found["month"].to_pylist()) == {dt.date(2020, 4, 1)}
    assert not any(found["taken_back"].to_pylist())
    nothing = room.store.vintages("loans", dt.date(2019, 1, 1), columns=["loan"], tombstones=True)
    assert nothing.column_names == ["loan", "known_at", "taken_back"]
    assert nothing.num_rows == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at_least": {"nothing": 1}}, "no field nothing"),
        ({"frequency": "Y"}, "no frequency 'Y'"),
        ({"by": "section"}, "lacks 'register'"),
    ],
)
def test_a_wrong_setting_is_told(room: Room, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        run(room, **options)


def test_meridias_arrears_are_not_told_before_lateness_is_seen(built_room: Path) -> None:
    day = dt.date(2020, 3, 11)
    with Room.open(built_room, actor="test") as room:
        own = next(s for s in room.settings.desks if s.kind == "delays")
        more = DeskSettings(own.kind, own.name, {**own.options, "at_least": {"days_past_due": 30}})
        outcome = room.run_desk(more, room.moment(day), day, {})
    assert outcome.note == "fewer than two periods are settled"  # what was loaded as history has no delays
