"""Desk `credit_regions`: credit against output by area, what credit and what output have moved, by data of the day.

Settings: ``dataset`` (public quarterly series; codes such as ``credit.R01``, the nation's without an area); ``credit``
and ``output`` (indicators); ``national_output`` (code of the nation's output, where it has another name); ``over``
(quarters of the change: 8), ``area`` (name of the dimension: ``region``), ``last`` (quarters shown: 40).

Regional output may be an index: changes are in per cent of the ratio before. What warns is credit's own part, so that
a falling output raises no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsroom.base.periods import format_period
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.areas import by_area, content, said_before, vintages

if TYPE_CHECKING:
    from opsroom.warn.credit_gap import CreditRounds


class CreditRegionsDesk:
    """Watch regional credit booms."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``credit.region`` as public cells."""
        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        every = vintages(view, settings)
        credit = by_area(every, str(settings.require("credit")))
        nation = str(settings.get("national_output", ""))
        output = by_area(every, str(settings.require("output")), nation=nation)
        if not set(credit["area"]) & set(output["area"]):
            return DeskOutcome(None, note="no area has both credit and output")
        kept: dict[str, DeskOutcome] = view.memory.setdefault("credit_regions", {})
        key = content(settings, credit, output)
        if key not in kept:
            from opsroom.warn.credit_gap import watch_credit

            kept.clear()
            found = watch_credit(credit, output, over=int(settings.get("over", 8)))
            kept[key] = (
                DeskOutcome(found, (_cells(found, settings, key),))
                if len(found.frame)
                else DeskOutcome(found, note="the ratios are too short for a change yet")
            )
        said = said_before(view, "credit.region", key)
        return DeskOutcome(kept[key].result, note=said) if said else kept[key]


def _cells(found: CreditRounds, settings: DeskSettings, key: str) -> Cells:
    import pandas as pd

    area = str(settings.get("area", "region"))
    frame = found.frame.groupby("area", sort=True).tail(int(settings.get("last", 40)))
    rows = found.latest.index.get_indexer(pd.Index(frame["period"]))
    columns = found.latest.columns.get_indexer(pd.Index(frame["area"]))
    out = frame.assign(
        quarter=[format_period(p.start_time.date(), "Q") for p in frame["period"]],
        index=found.latest.to_numpy()[rows, columns],
        known=frame["known_at"].dt.strftime("%Y-%m-%d"),
    ).rename(columns={"area": area})
    numbers = ["by_credit", "by_output", "change", "gap", "index"]
    out[numbers] = out[numbers].astype(float).round(1)
    attached = ("by_output", "change", "gap", "index", "known")
    return Cells(
        name="credit.region",
        dimensions=("quarter", area),
        measures=(Measure("by_credit", "public", "%", attached=attached),),
        frame=out[["quarter", area, "by_credit", *attached]].reset_index(drop=True),
        method="credit_rounds-1",
        facts={
            "title": "Credit against output by region", "over": found.over, "content": key,
            "as_known": ["by_credit", "by_output", "change", "gap"],
        },
    )  # fmt: skip


DESK = CreditRegionsDesk()
