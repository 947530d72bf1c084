"""The desk on Meridia: what the method says of the day's tables, kept while no row changed, through the gate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.room import Room
from opsroom.room.desk import DeskOutcome
from opsroom.warn.contagion import standing_of, stress

DAY, NEXT = dt.date(2020, 3, 4), dt.date(2020, 3, 11)
QUIET = dt.date(2020, 3, 6)
"""The register came the day before; nothing comes until the twelfth."""


def setting(room: Room, **more: Any) -> DeskSettings:
    own = next(s for s in room.settings.desks if s.kind == "contagion")
    return DeskSettings(own.kind, own.name, {**own.options, **more})


def run(room: Room, day: dt.date, **more: Any) -> DeskOutcome:
    return room.run_desk(setting(room, **more), room.moment(day), day, {})


def test_the_desk_says_what_the_method_says_of_the_tables_of_the_day(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        outcome = run(room, DAY)
        moment = room.moment(DAY)
        t = {n: room.store.arrow(n, moment).to_pandas(date_as_object=False) for n in
             ("register", "loans", "accounts", "links", "lenders")}  # fmt: skip
        newest = t["accounts"]["month"].max()
        back = newest - pd.DateOffset(months=5)
        standing = standing_of(
            t["register"], t["loans"], t["accounts"], as_of=dt.date(2020, 3, 1),
            earlier=t["accounts"][t["accounts"]["month"] <= back], purchases=t["links"], lenders=t["lenders"],
        )  # fmt: skip
        wanted = stress(standing)
        result: Any = outcome.result
        assert standing.companies["carried"].any()
        assert standing.failing.any()
        pd.testing.assert_frame_equal(result.sections(), wanted.sections())
        assert result.system() == wanted.system()
        assert not outcome.public
        section, lenders = outcome.cells
        above = section.hierarchies["section"]  # Meridia's small rooms have groups of sections
        table = wanted.sections(groups=above).set_index("section")
        found = section.frame.set_index("section")
        np.testing.assert_allclose(
            100 * found["m_lost"] / found["m_lent"].where(found["m_lent"] > 0), table["bank"].reindex(found.index)
        )
        assert set(found.index) == {*standing.companies["section"].unique(), "B-F", "G-U", "_T"}
        flat = run(room, DAY, groups="").cells[0].frame
        assert set(flat["section"]) == {*standing.companies["section"].unique(), "_T"}
        assert lenders.frame.set_index("band").loc["_T", "n_lenders"] == 14
        row, system = found.loc["_T"], wanted.system()
        for measure, part in (("loans", "m_lost"), ("further", "m_added"), ("interbank", "m_interbank")):
            assert 100 * row[part] / row["m_capital"] == pytest.approx(system[measure])
            assert row[f"{measure}_lower"] - 0.05 <= system[measure] <= row[f"{measure}_upper"] + 0.05


def test_it_is_published_and_small_cells_are_withheld(built_room: Path) -> None:
    with Room.open(built_room, actor="test") as room:
        release = room.releases().get("contagion.section", NEXT)
        assert release is not None
        rows = [dict(zip(release.columns, r, strict=True)) for r in release.rows]
        assert any(r["failing"] is None for r in rows)
        assert all(r["bank_lower"] is None for r in rows if r["bank"] is None)
        lenders = room.releases().get("contagion.lenders", NEXT)
        assert lenders is not None
        counts = [r[lenders.columns.index("lenders")] for r in lenders.rows]
        assert all(c is None or c >= 3 for c in counts)
        # numbers of lenders, 101 to 114, stand nowhere
        text = repr([release.facts, lenders.facts, release.columns, lenders.columns])
        assert not any(f"{number}" in text for number in range(101, 115))


def test_it_stands_for_a_month_while_no_row_became_known(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        first = run(room, QUIET)
        assert run(room, QUIET + dt.timedelta(days=1)).result is first.result
        afresh = room.memory.pop("contagion.last.contagion")
        assert afresh[3].result is first.result
        fields = [f.name for f in room.store.spec("accounts").fields]
        rows = room.store.arrow("accounts", room.moment(QUIET), columns=fields)
        rows = rows.filter(pc.equal(rows["month"], pc.max(rows["month"])))
        at = fields.index("cash")
        poor = rows.set_column(at, "cash", pa.array(np.zeros(len(rows), dtype=np.int64)))
        run(room, QUIET)
        room.ingest("accounts", poor, QUIET + dt.timedelta(days=1), reason="a test")
        after: Any = run(room, QUIET + dt.timedelta(days=2)).result
        assert after.standing.failing.sum() > first.result.standing.failing.sum()  # type: ignore[attr-defined]  # a result
        same: Any = run(room, QUIET).result  # as of the day before, nothing has changed
        pd.testing.assert_frame_equal(same.sections(), first.result.sections())  # type: ignore[attr-defined]  # a result


def test_a_room_without_lenders_or_ledgers_says_less(own_room: Path) -> None:
    with Room.open(own_room, actor="test") as room:
        outcome = run(room, DAY, lenders=None, purchases=None)
        assert [c.name for c in outcome.cells] == ["contagion.section"]
        assert {m.name for m in outcome.cells[0].measures} == {"failing", "bank"}
        with pytest.raises(SettingsError, match="three numbers"):
            run(room, DAY, collateral=[0.5])
        with pytest.raises(SettingsError, match="no level of NACE sections"):
            run(room, DAY, groups="A64")
        with pytest.raises(SettingsError, match="mild"):
            run(room, DAY, collateral=[0.1, 0.5, 0.9])
