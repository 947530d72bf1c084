"""Desk `levels`: public series as they stand, or their growth.

Settings: ``dataset``; ``value`` (default: the dataset's only number); ``over`` (a field by which it is divided);
``transform`` (``level`` | ``yoy`` | ``qoq``, default ``level``); ``series`` (codes to show, default all);
``release`` (name of the release series, default ``<dataset>.levels``); ``last`` (periods shown, default 120);
``decimals``; ``title`` (default: the dataset's).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import SettingsError
from opsroom.base.periods import Frequency, format_period
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.publicdata import series_frame

if TYPE_CHECKING:
    import pandas as pd

STEPS = {"H": 8760, "D": 365, "W": 52, "M": 12, "Q": 4, "A": 1}


class LevelsDesk:
    """Show public series."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the series as public cells: dimensions date, series; measure value."""
        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        spec = view.spec(dataset)
        wide = series_frame(view, settings)
        transform = str(settings.get("transform", "level"))
        unit = str(settings.get("unit", ""))
        if transform in ("yoy", "qoq"):
            if spec.frequency not in STEPS:
                raise SettingsError(
                    f"room.toml: desk {settings.name!r}: what comes in no rhythm has no growth.",
                    remedy="Show it as it stands: transform = level.",
                    code="OPS-C004",
                )
            wide = growth(wide, STEPS[spec.frequency] if transform == "yoy" else 1)
            unit = "% on a year earlier" if transform == "yoy" else "% on the period before"
        elif transform != "level":
            raise SettingsError(
                f"room.toml: desk {settings.name!r}: transform {transform!r} is unknown.", code="OPS-C004"
            )
        wide = wide.iloc[-int(settings.get("last", 120)) :]
        decimals = int(settings.get("decimals", 1))
        wide.columns = [f"series:{code}" for code in wide.columns]  # a series may be called value, or date
        long = wide.reset_index().melt(id_vars="date", var_name="series", value_name="value").dropna()
        long["series"] = long["series"].str.removeprefix("series:")
        long["value"] = long["value"].round(decimals)
        long["date"] = labels(long["date"], spec.frequency)
        cells = Cells(
            name=str(settings.get("release", f"{dataset}.levels")),
            dimensions=("date", "series"),
            measures=(Measure("value", "public", unit, decimals=decimals),),
            frame=long,
            method="levels-1",
            source=spec.source or spec.provider,
            facts={
                "dataset": dataset,
                "title": str(settings.get("title", spec.title)),
                "licence": spec.licence,
                "transform": transform,
            },
        )
        return DeskOutcome(wide, (cells,))


def labels(stamps: pd.Series[Any], frequency: str) -> list[str]:
    """Return periods as they are written: of what comes by the hour with hours, and minutes where any are told."""
    if frequency != Frequency.HOURLY:
        return [format_period(stamp.date(), frequency) for stamp in stamps]
    if not (stamps.dt.minute.any() or stamps.dt.second.any()):
        return [format_period(stamp, frequency) for stamp in stamps]
    seconds = ":%S" if stamps.dt.second.any() else ""
    return list(stamps.dt.strftime(f"%Y-%m-%dT%H:%M{seconds}Z"))


def growth(wide: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Return growth in per cent over `steps` periods; the frame has a row a period, without gaps."""
    return (wide / wide.shift(steps) - 1.0) * 100.0


DESK = LevelsDesk()
