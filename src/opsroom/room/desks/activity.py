"""Desk `activity`: load against what a normal day with the same weather and calendar would have used.

Settings: ``dataset``; ``value``; ``temperature`` (names of temperature fields, a minimum and a maximum or one);
``country``, ``region`` (codes of the `holidays` library); ``train`` (list of ``[start, end]`` spans regarded as
normal); ``freq`` (``D`` or ``W``); ``clock`` (time zone in which days are counted where readings are hourly);
``shown`` (days shown, default 420); ``title``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.publicdata import naive, only_measure, series_frame

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.specs import DatasetSpec


class ActivityDesk:
    """Read activity off electricity."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return observed and expected load and the gap, as public cells ``activity.<dataset>``."""
        from opsroom.measure.activity import activity_index

        dataset = str(settings.require("dataset"))
        if not view.has(dataset):
            return DeskOutcome(None, note=f"nothing known of {dataset} yet")
        spec = view.spec(dataset)
        load = in_local_time(series_frame(view, settings), settings)
        spans = [(str(a), str(b)) for a, b in settings.get("train", [])] or None
        result = activity_index(
            load.iloc[:, 0] if load.shape[1] == 1 else load,
            temperature=_temperature(view, settings),
            country=settings.get("country"),
            region=settings.get("region"),
            train=spans,
            freq=str(settings.get("freq", "D")),
            as_of=view.day,
        )
        since = load.index.max() - dt.timedelta(days=int(settings.get("shown", 420)))
        cells = result.cells(settings.name, public=view.public, source=spec.source or spec.provider, since=since)
        facts = {
            **cells.facts,
            "dataset": dataset,
            "title": settings.get("title", spec.title),
            "licence": spec.licence,
        }
        unit = _unit(spec, settings)
        measures = tuple(
            replace(m, unit=unit or m.unit) if m.name in ("observed", "expected") else m for m in cells.measures
        )
        return DeskOutcome(result, (replace(cells, facts=facts, measures=measures),))


def _unit(spec: DatasetSpec, settings: DeskSettings) -> str:
    """Return the unit of the measured field, as its specification has it."""
    return str(spec.field(str(settings.get("value") or only_measure(spec, settings))).measure or "")


def in_local_time(load: pd.DataFrame, settings: DeskSettings) -> pd.DataFrame:
    """Return hourly readings by local clock time, so that days are the country's days."""
    import pandas as pd

    clock = settings.get("clock")
    if clock is None:
        return load
    index = pd.DatetimeIndex(load.index).tz_localize("UTC")
    return load.set_axis(index.tz_convert(str(clock)).tz_localize(None), axis=0)


def _temperature(view: View, settings: DeskSettings) -> pd.DataFrame | None:
    names = settings.get("temperature")
    if not names:
        return None
    names = [names] if isinstance(names, str) else list(names)
    spec = view.spec(str(settings.require("dataset")))
    frame = view.frame(spec.name, [spec.period, *names])
    frame[spec.period] = naive(frame[spec.period])
    # Several series of one moment are one country's: its temperature is their mean.
    wide: pd.DataFrame = frame.groupby(spec.period)[names].mean().sort_index().astype(float)
    return None if wide.isna().all(axis=None) else in_local_time(wide, settings)


DESK = ActivityDesk()
