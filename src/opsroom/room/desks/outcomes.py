"""Desk `outcomes`: what became of companies since each decision, counted in the accounts.

Settings: dataset names ``accounts`` and ``register``. A company counts as out of cash in the first month, from
that of the decision on, in which its account shows neither cash nor undrawn credit: by the end of a month, the same
companies that the forecast counts. The first row of a decision is the last month known on its day, with the
companies out of cash in it: the naive forecast that nothing changes. All is observed under the option chosen; what
would have been without it is not observed, and is not claimed here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsroom.base.cells import parts_from_units
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.evaluate.decisions import load
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.unchanged import Mark

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.evaluate.decision import Decision


class OutcomesDesk:
    """Count what happened after decisions."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``relief.outcome``: companies out of cash since each decision, by month."""
        names = [str(settings.require(name)) for name in ("accounts", "register")]
        decided = [d for d in load(view.state, view.day) if d.forecast is not None]
        if not decided or not all(view.has(name) for name in names):
            return DeskOutcome(None, note="nothing was decided with a forecast yet")
        # Accounts come once a month, a publication every week: what rests on the same accounts is the same.
        place, about = f"outcomes.last.{settings.name}", [(d.id, d.decided_on) for d in decided]
        kept: tuple[DeskSettings, list[tuple[str, dt.date]], Mark, DeskOutcome] | None = view.memory.get(place)
        if kept is not None and kept[:2] == (settings, about) and kept[2].holds(view):
            return kept[3]
        mark = Mark.of(view, names)
        found = _counted(view, names, decided)
        view.memory[place] = settings, about, mark, found
        return found


def _counted(view: View, names: list[str], decided: list[Decision]) -> DeskOutcome:
    import pandas as pd

    first = min(d.decided_on for d in decided).replace(day=1)
    wanted = ["enterprise_id", "group_id", "month", "cash", "undrawn_credit"]
    accounts = view.frame(names[0], wanted, period_from=first)
    register = view.frame(names[1], ["enterprise_id", "legal_form"])
    natural = set(register.loc[register["legal_form"] == "SOLE", "enterprise_id"])
    accounts = accounts[~accounts["enterprise_id"].isin(natural)]
    accounts = accounts.assign(month=pd.to_datetime(accounts["month"]))
    pieces = [_since(accounts, d.id, d.decided_on) for d in decided]
    pieces += [_before(view.at(d.decided_on), names[0], natural, d.id) for d in decided]
    rows = pd.concat([p for p in pieces if len(p)] or pieces[:1], ignore_index=True)
    if rows.empty:
        return DeskOutcome(None, note="no accounts since the decision are in yet")
    frame = parts_from_units(
        rows,
        dimensions=["decision_id", "month"],
        group="group_id",
        values={"illiquid": "out"},
        totals=False,
    )
    cells = Cells(
        name="relief.outcome",
        dimensions=("decision_id", "month"),
        measures=(Measure("illiquid_companies", "count", "companies", ("illiquid",), decimals=0),),
        parts=(Part("illiquid", "companies"),),
        frame=frame,
        method="relief.outcome-1",
        notes=("illiquid-is-not-failed",),
        source=view.spec(names[0]).source or view.spec(names[0]).provider,
    )
    return DeskOutcome(frame, (cells,))


def _since(accounts: pd.DataFrame, decision: str, decided_on: dt.date) -> pd.DataFrame:
    """Return one row a company and month: whether it has been out of cash by then, since the decision."""
    import pandas as pd

    later = accounts[accounts["month"] >= pd.Timestamp(decided_on.replace(day=1))]
    empty = later["cash"] + later["undrawn_credit"] <= 0
    when = later[empty].groupby("enterprise_id")["month"].min()
    known = later.drop_duplicates("enterprise_id", keep="first")[["enterprise_id", "group_id"]]
    out = when.reindex(known["enterprise_id"]).to_numpy()
    pieces = [
        known.assign(decision_id=decision, month=month.strftime("%Y-%m"), out=(out <= month.to_numpy()).astype(int))
        for month in sorted(later["month"].unique())
    ]
    return pd.concat(pieces, ignore_index=True) if pieces else known.assign(decision_id="", month="", out=0).iloc[:0]


def _before(view: View, dataset: str, natural: set[int], decision: str) -> pd.DataFrame:
    """Return one row a company: whether it was out of cash in the last month known on the day of a decision."""
    import pandas as pd

    wanted = ["enterprise_id", "group_id", "month", "cash", "undrawn_credit"]
    accounts = view.frame(dataset, wanted, period_from=(view.day - dt.timedelta(days=200)).replace(day=1))
    accounts = accounts.assign(month=pd.to_datetime(accounts["month"]))
    accounts = accounts[(accounts["month"] < pd.Timestamp(view.day.replace(day=1)))]
    last = accounts[(accounts["month"] == accounts["month"].max()) & ~accounts["enterprise_id"].isin(natural)]
    out = (last["cash"] + last["undrawn_credit"] <= 0).astype(int)
    month = last["month"].iloc[0].strftime("%Y-%m") if len(last) else ""
    rows: pd.DataFrame = last[["enterprise_id", "group_id"]].assign(decision_id=decision, month=month, out=out)
    return rows


DESK = OutcomesDesk()
