"""Desk `quality`: what came in, how fresh it is, and how published figures were revised.

Settings: ``revisions`` (release series whose revision triangle is shown, default ``resumption.national``);
``measure`` (default ``resumed``); ``where`` (dimension codes that pick one figure, default
``{weight = "count", size = "_T"}``); ``last`` (vintages in the triangle, default 8).

Row counts are of the delivery log, not of cells; the triangle is a function of releases alone. The arrival score and
the number of alarms rest on counts of rows and series and on times alone: what the values of confidential datasets
look like (outliers, slips, drift) stays inside, in the reports.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.periods import last_day
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.observe.assess import score
from opsroom.room.desk import DeskOutcome, View

if TYPE_CHECKING:
    import pandas as pd


class QualityDesk:
    """Watch the data."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return deliveries by dataset, and the revision triangle of one published figure."""
        cells = [delivery_cells(view)]
        triangle = revision_triangle(view, settings)
        if len(triangle):
            cells.append(
                Cells(
                    name="data.revisions",
                    dimensions=("reference", "vintage"),
                    measures=(Measure(str(settings.get("measure", "resumed")), "public", "%"),),
                    frame=triangle,
                    method="revisions-1",
                    unit_kind="public",
                    facts={"series": str(settings.get("revisions", "resumption.national"))},
                )
            )
        return DeskOutcome(None, tuple(cells), note="deliveries and revisions")


def delivery_cells(view: View) -> Cells:
    """Return ``data.quality``: rows accepted, refused and known already, and days since the last period."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for name in view.datasets():
        found = view.deliveries(name)
        periods = [d.period_to for d in found if d.period_to]
        spec = view.spec(name)
        fresh: float = float("nan")
        if periods and spec.frequency not in ("event",) and not spec.allow_future:
            end = last_day(dt.date.fromisoformat(max(periods)[:10]), spec.frequency)
            fresh = float((view.day - end).days)
        rows.append(
            {
                "dataset": name,
                "deliveries": len(found),
                "accepted": sum(d.accepted for d in found),
                "quarantined": sum(d.quarantined for d in found),
                "duplicates": sum(d.duplicates for d in found),
                "freshness_days": fresh,
                **_arrival(view, name),
            }
        )
    closed = {name: code for name in view.datasets() if (code := view.closed(name))}
    return Cells(
        name="data.quality",
        dimensions=("dataset",),
        measures=(
            Measure("deliveries", "public", "deliveries", decimals=0),
            Measure("accepted", "public", "rows", decimals=0),
            Measure("quarantined", "public", "rows", decimals=0),
            Measure("duplicates", "public", "rows", decimals=0),
            Measure("freshness_days", "public", "days", decimals=0),
            Measure("arrival_score", "public", "of 100", decimals=0),
            Measure("alarms", "public", "alarms", decimals=0),
        ),
        frame=pd.DataFrame(rows),
        method="deliveries-1",
        unit_kind="public",
        facts={"closed": closed} if closed else {},
    )


ARRIVAL = ("completeness", "validity", "timeliness", "uniqueness")
"""Components of the score that rest on counts and times alone."""

OF_VALUES = frozenset({"unit_slip", "outliers", "drift", "values_frozen", "rule_broken"})
"""Alarms that say something of values: of confidential datasets they are not counted in public."""


def _arrival(view: View, name: str) -> dict[str, float]:
    """Return the arrival score of the last delivery known by the day, and the number of its alarms."""
    last = view.quality(name)
    if last is None:
        return {"arrival_score": float("nan"), "alarms": 0.0}
    parts = {part: value for part, value in last.components.items() if part in ARRIVAL}
    found = score(parts, critical=False)
    told = [a for a in last.alarms if a.severity != "note"]
    if view.spec(name).confidential:
        told = [a for a in told if a.kind not in OF_VALUES]
    return {"arrival_score": float("nan") if found is None else found, "alarms": float(len(told))}


def revision_triangle(view: View, settings: DeskSettings) -> pd.DataFrame:
    """Return what each release said of each release's reference day: reference, vintage, the measure."""
    import pandas as pd

    series = str(settings.get("revisions", "resumption.national"))
    measure = str(settings.get("measure", "resumed"))
    where = dict(settings.get("where", {"weight": "count", "size": "_T"}))
    history = [r for r in view.releases.history(series) if r.day <= view.day]
    history = history[-int(settings.get("last", 8)) :]
    references = [str(r.facts["reference_date"]) for r in history if "reference_date" in r.facts]
    rows: list[dict[str, Any]] = []
    for release in history:
        frame = release.to_frame(where=where)
        said = frame.set_index("date")[measure]
        rows.extend(
            {"reference": reference, "vintage": release.day.isoformat(), measure: float(said[reference])}
            for reference in dict.fromkeys(references)
            if reference in said.index and pd.notna(said[reference])
        )
    return pd.DataFrame(rows)


DESK = QualityDesk()
