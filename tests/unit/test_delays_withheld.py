"""What is published of a sector's late reports tells nothing of a sector that is withheld, not by a bit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, InternalError, UsageError
from opsroom.base.results import Cells
from opsroom.base.state import State
from opsroom.measure.delays import DelayResult, ReportingTriangle, nowcast_delays, reporting_triangle
from opsroom.measure.delays.publish import confidential_delay_cells
from opsroom.measure.delays.split import summed_split
from opsroom.measure.delays.standing import moving_records, shared_begin, shared_delay, standing_records
from opsroom.protect.gate import release
from opsroom.protect.ledger import Ledger
from opsroom.protect.release import Release
from opsroom.protect.rules import Rules

DAY = dt.date(2020, 8, 18)
FIRST = "2019-12-01"
LARGE, SMALL = "ABC", "KLMN"
RULES = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0, profile="business")


def filings(*, late: float = 0.1, more: int = 1, seed: int = 3) -> pd.DataFrame:
    """Filings of three large sectors and of four with two companies each, of which `late` are late and there are
    `more`."""  # fmt: skip
    parts = []
    for code in LARGE + SMALL:
        rng = np.random.default_rng([seed, ord(code)])
        for month in pd.date_range(FIRST, periods=8, freq="MS"):
            n, share = (90, 0.1) if code in LARGE else (12 * more, late)
            companies = np.arange(n) % (60 if code in LARGE else 2)
            known = [month + pd.DateOffset(months=1 + int(x), days=11, hours=9) for x in rng.random(n) < share]
            parts.append(
                pd.DataFrame(
                    {"period": month, "known_at": known, "sector": code, "group": [f"{code}{k}" for k in companies],
                     "record": [f"{code}{month:%m}{k}" for k in range(n)], "value": 1.0, "taken_back": False}
                )
            )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table["record"] = pd.factorize(table["record"])[0]
    return table[table["known_at"] < pd.Timestamp(DAY) + pd.Timedelta(days=1)]


def triangle_of(table: pd.DataFrame) -> ReportingTriangle:
    return reporting_triangle(
        table, period="period", key="record", by="sector", value="value", deleted="taken_back", frequency="M",
        since=FIRST, first_delay=1, max_delay=1, as_of=DAY,
    )  # fmt: skip


def cells_of(table: pd.DataFrame, triangle: ReportingTriangle, *, draws: int = 100, last: int = 24) -> Cells:
    units, moves = standing_records(table, triangle), moving_records(table, triangle)
    return confidential_delay_cells(triangle, "loans", units, moves, sensitive=RULES.sensitive, draws=draws, last=last)


def published(table: pd.DataFrame, folder: Path) -> Release:
    triangle = triangle_of(table)
    cells = cells_of(table, triangle)
    state = State.open(folder)
    made = release(cells, rules=RULES, as_of=dt.datetime(2020, 8, 18, 23, tzinfo=dt.UTC), day=DAY, ledger=Ledger(state))
    state.close()
    return made


def test_filings_of_a_withheld_sector_change_nothing_that_is_published_of_others(tmp_path: Path) -> None:
    worlds = [filings(), filings(late=0.9), filings(late=0.0, more=5)]
    made = [published(world, tmp_path / f"{k}.db").to_frame() for k, world in enumerate(worlds)]
    others = [m[m["sector"].isin(list(LARGE))].reset_index(drop=True) for m in made]
    assert all((m.loc[m["sector"].isin(list(SMALL)), "status"] == "suppressed").all() for m in made)
    assert all((other["status"] == "published").all() for other in others)
    for other in others[1:]:
        pd.testing.assert_frame_equal(other, others[0], check_exact=True)
    # ... while they are told what the rest of their reports is, as well as ever
    newest = others[0][others[0]["complete"] == "no"]
    assert set(newest["sector"]) == set(LARGE)
    assert (newest["reported"] < newest["expected"]).all()
    assert (newest["lower"] <= 90).all()
    assert (newest["upper"] >= 90).all()
    # It is this that makes it so: learnt from all sectors, the others' numbers do move.
    every = [nowcast_delays(triangle_of(world), draws=100).frame.loc[list(LARGE)] for world in worlds[:2]]
    assert not every[0].equals(every[1])


def test_how_late_a_withheld_sectors_filings_were_is_not_in_the_total(tmp_path: Path) -> None:
    """Its split less those of the sectors that are shown would be that of the withheld ones."""
    on_time = filings(late=0.0)
    late = on_time.copy()
    moved = late["sector"].isin(list(SMALL)) & (late["period"] <= "2020-05-01") & (late["record"] % 2 == 0)
    late.loc[moved, "known_at"] += pd.DateOffset(months=1)  # long in by now: no count that is published moves
    late = late.sort_values("known_at", kind="stable", ignore_index=True)
    one, two = (published(world, tmp_path / f"{k}.db").to_frame() for k, world in enumerate((on_time, late)))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    newest = one[(one["sector"] == "_T") & (one["complete"] == "no")]
    assert (newest["expected"] > newest["reported"]).all()
    # Learnt from all filings, the total's numbers do move.
    every = [nowcast_delays(triangle_of(world).total(), draws=100).frame for world in (on_time, late)]
    assert not every[0].equals(every[1])


def test_the_total_is_as_late_as_the_sectors_that_are_learnt_from() -> None:
    """Net counts stay, the split is that of two sectors; of months in which none is learnt from it is its own."""
    table = filings()
    sectors = triangle_of(table)
    total, learnt = sectors.total(), np.zeros(sectors.reported.shape, dtype=bool)
    both = [list(sectors.sectors).index(code) for code in "AB"]
    learnt[both, 2:-1] = True
    asked = np.ones_like(learnt[:1])
    asked[0, -1] = False
    moves = moving_records(table, sectors).assign(sector=0)
    made, learn = summed_split(total, moves, asked, RULES.sensitive, sectors, learnt)
    np.testing.assert_array_equal(learn, asked)
    scale = total.reported[0] / sectors.reported[both].sum(axis=0)
    expected = scale[2:-1, None] * sectors.added[both].sum(axis=0)[2:-1]
    np.testing.assert_allclose(made.added[0, 2:-1], expected)
    np.testing.assert_array_equal(made.added[0, :2], total.added[0, :2])  # as they are: each several companies'
    np.testing.assert_allclose(made.reported[0, :-1], total.reported[0, :-1])
    assert np.nansum(made.added[0, -1]) == 0


def test_a_table_of_which_nothing_settled_is_shown_says_nothing_of_what_is_to_come() -> None:
    table = filings()
    triangle = triangle_of(table)
    cells = cells_of(table, triangle)
    assert cells.completed is not None
    told = cells.completed((cells.frame["complete"] == "no").to_numpy())
    assert np.isnan(told["expected"]).all()
    one = cells.completed((cells.frame["sector"] == "_T").to_numpy())
    assert np.isfinite(one["expected"]).tolist() == (cells.frame["sector"] == "_T").tolist()


def test_where_nothing_can_be_learnt_a_settled_count_still_is_what_is_expected() -> None:
    table = filings()
    triangle = triangle_of(table)
    cells = cells_of(table, triangle)
    assert cells.completed is not None
    shown = (cells.frame["period"] == "2020-02").to_numpy()  # one settled period: too few to learn from
    told = cells.completed(shown)
    assert told["expected"][shown].tolist() == cells.frame.loc[shown, "n_reported"].tolist()
    assert np.isnan(told["expected"][~shown]).all()


def test_slow_reports_are_published_for_as_long_as_it_takes_to_learn_from_them() -> None:
    """Reports that take longer than the periods that are asked for: none of these is settled."""
    table = daily(1).assign(value=1.0, taken_back=False, record=np.arange(400), period=lambda t: t["day"])
    table = table.rename(columns={"by": "sector"}).assign(group=np.arange(400)).sort_values("known_at")
    table = table[table["known_at"] < "2020-02-15"]
    triangle = reporting_triangle(
        table, period="period", key="record", by="sector", value="value", deleted="taken_back", since="2020-01-06",
        as_of="2020-02-14", max_delay=5,
    )  # fmt: skip
    cells = cells_of(table, triangle, draws=40, last=4)
    assert cells.completed is not None
    told = cells.completed(np.ones(len(cells.frame), dtype=bool))
    assert cells.frame["period"].nunique() == 12
    assert np.isfinite(told["expected"]).all()


@pytest.mark.parametrize(("sector", "companies", "shared"), [("K", 2, 1), ("A", 3, 3), ("A", 9, 3)])
def test_a_horizon_that_is_found_rests_on_several_contributors(sector: str, companies: int, shared: int) -> None:
    """Of some thousand filings 14 that are months late, by two companies, would move what is published of all."""
    table = filings()
    mine = table["period"].le("2020-02-01") & table["group"].isin([f"{sector}{k}" for k in range(companies)])
    late = table[mine].groupby("group").head(14 // companies + 1).index
    table.loc[late, "known_at"] = table.loc[late, "period"] + pd.DateOffset(months=4, days=11, hours=9)
    table = table.sort_values("known_at", ignore_index=True)
    found = reporting_triangle(
        table, period="period", key="record", by="sector", value="value", deleted="taken_back", frequency="M",
        since=FIRST, first_delay=1, as_of=DAY,
    )  # fmt: skip
    assert found.max_delay == 3
    assert shared_delay(table, found, 3) == shared
    assert shared_delay(table, found, 1) == 3


@pytest.mark.parametrize(("sector", "companies", "shared"), [("K", 2, 1), ("A", 3, 0)])
def test_a_first_delay_that_is_found_rests_on_several_contributors(sector: str, companies: int, shared: int) -> None:
    """Two companies that file within the month would move the age at which everybody's months are told of."""
    table = filings()
    early = table["group"].isin([f"{sector}{k}" for k in range(companies)])
    table.loc[early, "known_at"] = table.loc[early, "period"] + pd.DateOffset(days=10, hours=9)
    table = table.sort_values("known_at", ignore_index=True)
    found = reporting_triangle(
        table, period="period", key="record", by="sector", value="value", deleted="taken_back", frequency="M",
        since=FIRST, first_delay=None, as_of=DAY,
    )  # fmt: skip
    assert early.mean() > 0.01
    assert found.first_delay == 0
    assert shared_begin(table, found, 3) == shared
    assert shared_begin(table, found, 2) == 0


def daily(seed: int, *, sectors: str = "ABCD") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2020-01-06") + pd.to_timedelta(rng.integers(0, 40, 400), unit="D")
    return pd.DataFrame(
        {"day": day, "known_at": day + pd.to_timedelta(rng.geometric(0.4, 400) - 1, unit="D"),
         "by": rng.choice(list(sectors), 400)}
    )  # fmt: skip


def nowcast(triangle: ReportingTriangle, learn: Any) -> DelayResult:
    return nowcast_delays(triangle, draws=40, learn=learn)


def test_what_is_not_learnt_from_may_be_anything() -> None:
    """Single counts and a whole sector, overwritten with noise, and the sector taken out altogether."""
    arguments: dict[str, Any] = {"period": "day", "by": "by", "as_of": "2020-02-14", "max_delay": 4}
    made = reporting_triangle(daily(1), since="2020-01-06", **arguments)
    rng = np.random.default_rng(2)
    learn = rng.random(made.reported.shape) < 0.8
    learn[2] = False
    noise = [np.where(learn[:, :, None] | np.isnan(x), x, rng.integers(0, 50, x.shape)) for x in (made.added,) * 2]
    other = replace(made, added=noise[0], removed=np.where(learn[:, :, None], made.removed, noise[1]))
    own, same = nowcast(made, learn), nowcast(other, learn)
    away = [0, 1, 3]
    fewer = replace(
        made, added=made.added[away], removed=made.removed[away], sectors=tuple(made.sectors[s] for s in away)
    )
    without = nowcast(fewer, learn[away])
    rows = np.concatenate([learn.ravel(), np.zeros(len(made.periods), dtype=bool)])
    pd.testing.assert_frame_equal(own.frame[rows], same.frame[rows], check_exact=True)
    pd.testing.assert_frame_equal(
        own.frame[rows], without.frame[np.append(learn[away].ravel(), np.zeros(len(made.periods), dtype=bool))],
        check_exact=True,
    )  # fmt: skip
    open_rows = ~own.frame["complete"].to_numpy()
    assert own.frame["mean"][rows & open_rows].notna().all()
    assert own.frame["mean"][~rows & open_rows].isna().all()


def test_to_learn_from_all_is_to_learn_from_whatever_is_there() -> None:
    made = reporting_triangle(daily(3), period="day", by="by", since="2020-01-06", as_of="2020-02-14", max_delay=4)
    every = nowcast(made, np.ones(made.reported.shape, dtype=bool))
    pd.testing.assert_frame_equal(every.frame, nowcast(made, None).frame, check_exact=True)


def test_what_cannot_be_learnt_from_is_refused() -> None:
    made = triangle_of(filings())
    with pytest.raises(UsageError, match="OPS-U178"):
        nowcast(made, np.ones(3, dtype=bool))
    with pytest.raises(UsageError, match="OPS-U178"):
        nowcast_delays(made, method="odp", learn=np.ones(made.reported.shape, dtype=bool))
    for other in (replace(made, added=made.added[:2]), made):
        with pytest.raises(UsageError, match="OPS-U178"):
            nowcast_delays(made, learn_from=other, method="hierarchical" if other is not made else "odp")
    with pytest.raises(FitError, match="OPS-M145"):
        nowcast(made, np.zeros(made.reported.shape, dtype=bool))


def test_what_is_completed_after_judgement_is_attached_columns_alone(tmp_path: Path) -> None:
    """The gate has judged parts and dimensions: they stay as they were."""
    table = filings()
    triangle = triangle_of(table)
    cells = cells_of(table, triangle)
    state = State.open(tmp_path / "room.db")
    with pytest.raises(InternalError, match="attached"):
        release(
            replace(cells, completed=lambda shown: {"n_reported": shown * 1}), rules=RULES,
            as_of=dt.datetime(2020, 8, 18, 23, tzinfo=dt.UTC), day=DAY, ledger=Ledger(state),
        )  # fmt: skip
    state.close()


def test_of_public_cells_every_row_is_shown(tmp_path: Path) -> None:
    table = filings()
    triangle = triangle_of(table)
    cells = cells_of(table, triangle)
    asked: list[Any] = []

    def completed(shown: Any) -> dict[str, Any]:
        asked.append(shown.tolist())
        return {"share": np.full(len(shown), 7.0)}

    state = State.open(tmp_path / "room.db")
    made = release(
        replace(cells, public=True, completed=completed), rules=Rules(profile="business"),
        as_of=dt.datetime(2020, 8, 18, 23, tzinfo=dt.UTC), day=DAY, ledger=Ledger(state),
    ).to_frame()  # fmt: skip
    state.close()
    assert asked == [[True] * len(cells.frame)]
    assert (made["share"] == 7).all()
