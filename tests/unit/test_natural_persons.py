"""Sole traders are natural persons: what they report moves no figure of a company desk."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.settings import DeskSettings
from opsroom.room import Room
from opsroom.room.desks.delays import _records

DAY = dt.date(2020, 3, 18)
MOMENT = dt.datetime(2020, 3, 17, 8, tzinfo=dt.UTC)
ARREARS = {
    "dataset": "loans", "register": "register", "by": "section", "counts": "loans past due",
    "at_least": {"days_past_due": 1}, "since": dt.date(2019, 12, 1), "max_delay": 1,
}  # fmt: skip
ORDERS = {"firm_months": "firm_months", "register": "register"}


def spoil(room: Room) -> int:
    """Report of all sole traders that their orders grew tenfold and that they pay no loan."""
    register = room.store.arrow("register", columns=["enterprise_id", "legal_form"])
    sole = register.filter(pc.is_in(register["legal_form"], pa.array(sorted(NATURAL_FORMS))))["enterprise_id"]
    accepted = 0
    for name, field, change in (
        ("firm_months", "orders", lambda c: pc.add(pc.multiply(c, 10), 1_000_000)),
        ("accounts", "cash", lambda c: pc.multiply(c, 0)),
        ("loans", "days_past_due", lambda c: pc.add(pc.multiply(c, 0), 120)),
    ):
        rows = room.store.arrow(name, columns=[f.name for f in room.store.spec(name).fields])
        rows = rows.filter(pc.is_in(rows["enterprise_id"], sole.combine_chunks()))
        column = change(rows[field]).cast(rows[field].type)
        rows = rows.set_column(rows.column_names.index(field), field, column)
        accepted += room.ingest(name, rows, MOMENT).accepted
    return accepted


def test_orders_and_late_loans_of_sole_traders_count_nowhere(own_room: Path) -> None:
    def orders(room: Room) -> list[str]:
        outcome = room.run_desk(DeskSettings("bottlenecks", "bottlenecks", ORDERS), room.moment(DAY), DAY, {})
        assert outcome.cells, outcome.note
        return [cells.frame.astype(object).map(repr).to_csv() for cells in outcome.cells]

    def late(room: Room) -> pd.Series[float]:
        view = room._view(room.moment(DAY), DAY, {})
        found = _records(view, DeskSettings("delays", "delays", ARREARS), "loans")
        assert len(found)
        return found.groupby(["sector", "period"])["value"].sum()

    with Room.open(own_room, actor="test") as room:
        before = orders(room), late(room)
        assert spoil(room) > 1000
        assert before[0] == orders(room)
        assert before[1].equals(late(room))


@pytest.mark.long
def test_what_sole_traders_report_moves_no_figure_of_any_desk(own_room: Path) -> None:
    def figures(room: Room) -> dict[str, str]:
        found = {}
        for name, outcome in room.picture(DAY).desks.items():
            for cells in outcome.cells:
                if cells.name.startswith("data."):
                    continue  # how many rows were delivered is not about companies
                # which of two equal contributors comes first depends on the order of rows, and is no figure
                frame = cells.frame[[c for c in cells.frame.columns if "__who" not in c]]
                found[f"{name}/{cells.name}"] = frame.astype(object).map(repr).to_csv()
        return found

    with Room.open(own_room, actor="test") as room:
        before = figures(room)
        assert spoil(room) > 1000
    with Room.open(own_room, actor="test") as room:
        assert before == figures(room)
        assert len(before) >= 8
