"""Desk `credit_gap`: the credit-to-GDP gap of each country or sector, with the Basel buffer guide.

Settings: ``dataset`` (key: one code field and the quarter); ``value`` (the ratio in per cent of GDP);
``series`` (codes to show); ``last`` (quarters shown, default 80).
"""

from __future__ import annotations

from collections.abc import Mapping

from opsroom.base.periods import format_period
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.publicdata import series_frame


class CreditGapDesk:
    """Watch credit booms."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ratio, one-sided trend, gap and buffer guide as public cells."""
        import pandas as pd

        from opsroom.warn.credit_gap import credit_gap

        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        spec = view.spec(dataset)
        wide = series_frame(view, settings)
        results = {code: credit_gap(wide[code].dropna()) for code in wide.columns}
        last = int(settings.get("last", 80))
        rows = []
        for code, found in results.items():
            ratio = wide[code].dropna()
            frame = pd.DataFrame({"ratio": ratio, "trend": found.trend, "gap": found.gap, "buffer": found.buffer})
            frame = frame.dropna().iloc[-last:].round({"ratio": 1, "trend": 1, "gap": 1, "buffer": 2})
            frame.insert(0, "country", code)
            frame.insert(0, "quarter", [format_period(stamp.date(), "Q") for stamp in frame.index])
            rows.append(frame)
        cells = Cells(
            name="credit.gap",
            dimensions=("quarter", "country"),
            measures=(
                Measure("ratio", "public", "% of GDP"),
                Measure("trend", "public", "% of GDP"),
                Measure("gap", "public", "points"),
                Measure("buffer", "public", "% of risk-weighted assets", decimals=2),
            ),
            frame=pd.concat(rows, ignore_index=True),
            method="credit_gap-1",
            source=spec.source or spec.provider,
            facts={"dataset": dataset, "title": spec.title, "licence": spec.licence},
        )
        return DeskOutcome(results, (cells,))


DESK = CreditGapDesk()
