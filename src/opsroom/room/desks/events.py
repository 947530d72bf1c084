"""Desk `events`: what happened, from the registers: lockdowns, and how strict restrictions were.

Settings: ``restrictions`` (a public dataset with ``region, date, stringency`` and, where it has one, ``lockdown``).
Only days that had begun by the as-of day are events; what a register announces for later is none yet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of

if TYPE_CHECKING:
    import pandas as pd

METHOD = "events-1"
LOCKDOWN = "lockdown"


class EventsDesk:
    """Date the events that the registers tell."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``events.register`` (spells of lockdown) and ``events.strictness`` (weekly means), both public."""
        dataset = str(settings.require("restrictions"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        import pandas as pd

        spec = view.spec(dataset)
        there = [LOCKDOWN] if any(field.name == LOCKDOWN for field in spec.fields) else []
        frame = view.frame(dataset, ["region", "date", "stringency", *there])
        frame["date"] = pd.to_datetime(frame["date"])
        frame = frame[frame["date"] <= pd.Timestamp(view.day)]
        if frame.empty:
            return DeskOutcome(None, note=f"nothing known of {dataset} yet")
        regions = int(frame["region"].nunique())
        source = spec.source or spec.provider
        facts = {"dataset": dataset, "licence": spec.licence, "regions": regions}
        made: list[Cells] = []
        found = spells(frame, last=view.day) if LOCKDOWN in frame.columns else None
        if found is not None and len(found):
            measure = Measure("regions", "public", "regions", decimals=0, attached=("until",))
            made.append(_cells("events.register", ("date", "event"), (measure,), found, source, facts))
        week = weekly(frame)
        if len(week):
            measures = [Measure("stringency", "public", "of 100, mean of the regions", decimals=1)]
            if LOCKDOWN in week.columns:
                measures.append(Measure(LOCKDOWN, "public", "% of regions", decimals=1))
            made.append(_cells("events.strictness", ("week",), tuple(measures), week, source, facts))
        return DeskOutcome(None, tuple(made))


def spells(frame: pd.DataFrame, *, last: dt.date) -> pd.DataFrame:
    """Return the stretches of days on which any region was under lockdown.

    Parameters
    ----------
    frame
        ``region, date, lockdown``, one row a region and day.
    last
        As-of day: a spell that reaches the register's last day, or this one, is still on.

    Returns
    -------
    pandas.DataFrame
        ``date`` (first day), ``event``, ``regions`` (the most at once), ``until`` (last day; empty while it is on).
    """
    import pandas as pd

    shut = frame.loc[frame[LOCKDOWN].astype(bool)].groupby("date")["region"].nunique().sort_index()
    if shut.empty:
        return pd.DataFrame(columns=["date", "event", "regions", "until"])
    days = pd.DatetimeIndex(shut.index)
    spell = (days.to_series().diff() != pd.Timedelta(days=1)).cumsum().to_numpy()
    newest = min(pd.Timestamp(last), frame["date"].max())
    rows: list[dict[str, Any]] = []
    for number in range(1, int(spell[-1]) + 1):
        inside = spell == number
        end = days[inside][-1]
        rows.append(
            {
                "date": f"{days[inside][0]:%Y-%m-%d}",
                "event": LOCKDOWN,
                "regions": float(shut.to_numpy()[inside].max()),
                "until": "" if end >= newest else f"{end:%Y-%m-%d}",
            }
        )
    return pd.DataFrame(rows)


def weekly(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean stringency, and the share of regions under lockdown, of each complete week."""
    import pandas as pd

    calendar = frame["date"].dt.isocalendar()
    label = calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)
    complete = frame["date"].groupby(label).nunique() == 7
    rows = frame.assign(week=label.to_numpy())
    rows = rows[rows["week"].isin(complete.index[complete])]
    found = rows.groupby("week", sort=True)["stringency"].mean().round(1).to_frame()
    if LOCKDOWN in frame.columns:
        found[LOCKDOWN] = (100 * rows[LOCKDOWN].astype(float)).groupby(rows["week"]).mean().round(1)
    return pd.DataFrame(found.reset_index())


def _cells(
    name: str,
    dimensions: tuple[str, ...],
    measures: tuple[Measure, ...],
    frame: pd.DataFrame,
    source: str,
    facts: Mapping[str, Any],
) -> Cells:
    return Cells(
        name=name, dimensions=dimensions, measures=measures, frame=frame, method=METHOD, source=source,
        facts=dict(facts),
    )  # fmt: skip


DESK = EventsDesk()
