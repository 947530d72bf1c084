"""Desk `activity`: load against what a normal day with the same weather and calendar would have used.

Settings: ``dataset``; ``value``; ``series`` (codes to keep); ``temperature`` (names of temperature fields, a minimum
and a maximum or one); ``country``, ``region`` (codes of the `holidays` library); ``[[desks.holidays]]`` tables for
public holidays that it does not know, in all years of the load, with ``name`` and either ``yearly`` (``"05-01"``) or
``start`` and perhaps ``end`` (dates, both included); ``train`` (list of ``[start, end]`` spans regarded as normal);
``freq`` (``D`` or ``W``); ``clock`` (time zone in which days are counted where readings are hourly); ``shown`` (days
shown, default 420); ``title``.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.publicdata import naive, only_measure, series_frame

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.specs import DatasetSpec
    from opsroom.measure.activity import ActivityResult


MOST_KEPT = 2
"""Moments whose index is kept: one that is published, and one that is looked back to."""


class ActivityDesk:
    """Read activity off electricity."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return observed and expected load and the gap, as public cells ``activity.<name of the desk>``."""
        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        spec, result = view.spec(dataset), index_of(view, settings)
        last = result.frame.index.get_level_values("date").max()
        since = last - dt.timedelta(days=int(settings.get("shown", 420)))
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


def index_of(view: View, settings: DeskSettings) -> ActivityResult:
    """Return the index of an activity desk as of the view's day; its dataset is known then.

    What the normal spans teach is kept in the room's memory: the next day's index, and a past day's, need not learn
    it again while they are known as they were. So is the index made last as of each of a few moments: a desk that
    reads the index of another has it as that one made it.
    """
    dataset = str(settings.require("dataset"))
    made: dict[object, tuple[ActivityResult, int, bool]] = view.memory.setdefault(f"activity.made.{settings.name}", {})
    # A delivery that came since may tell more of the same moment.
    key = (view.as_of, view.day, view.last_delivery(dataset))
    if key in made:
        result, version, public = made[key]
        view.uses(DeskOutcome(result, provenance={dataset: version}, public=public))
        return result
    result = _made(view, settings)
    made[key] = (result, view.provenance[dataset], not view.spec(dataset).confidential)
    while len(made) > MOST_KEPT:
        del made[next(iter(made))]
    return result


def _made(view: View, settings: DeskSettings) -> ActivityResult:
    from opsroom.measure.activity import activity_index

    load = in_local_time(series_frame(view, settings), settings)
    return activity_index(
        load.iloc[:, 0] if load.shape[1] == 1 else load,
        temperature=_temperature(view, settings),
        country=settings.get("country"),
        region=settings.get("region"),
        train=[(str(a), str(b)) for a, b in settings.get("train", [])] or None,
        freq=str(settings.get("freq", "D")),
        as_of=view.day,
        holidays=holidays_of(settings, range(load.index.min().year - 1, load.index.max().year + 2)),
        kept=view.memory.setdefault(f"activity.learnt.{settings.name}", {}),
    )


def holidays_of(settings: DeskSettings, years: range) -> dict[dt.date, str] | None:
    """Return date → name of the public holidays that the desk's settings list; None where they list none."""
    if settings.get("holidays") is None:
        return None
    allows = {"yearly": str, "start": dt.date, "end": dt.date}
    found: dict[dt.date, str] = {}
    for number, table in enumerate(settings.tables("holidays", needs={"name": str}, allows=allows), start=1):
        days = _days_of(table, years)
        if not days:
            raise SettingsError(
                f"room.toml: desk {settings.name!r}: holidays, table {number} names no day.",
                remedy='Give yearly = "05-01", or start = 2020-01-24 with an end that is not before it.',
                code="OPS-C004",
            )
        found |= dict.fromkeys(days, str(table["name"]))
    return found


def _days_of(table: Mapping[str, Any], years: range) -> list[dt.date]:
    """Return the days of a holiday, none where its table does not say just once when it is."""
    if ("yearly" in table) == ("start" in table) or ("yearly" in table and "end" in table):
        return []
    if "start" in table:
        start, end = table["start"], table.get("end", table["start"])
        return [start + dt.timedelta(days=k) for k in range((end - start).days + 1)]
    if not re.fullmatch(r"\d\d-\d\d", table["yearly"]):
        return []
    month, day = (int(part) for part in table["yearly"].split("-"))
    if not 1 <= month <= 12:
        return []
    return [dt.date(y, month, day) for y in years if 1 <= day <= calendar.monthrange(y, month)[1]]


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
    wide /= [10.0 ** (spec.field(name).scale or 0) for name in names]
    return None if wide.isna().all(axis=None) else in_local_time(wide, settings)


DESK = ActivityDesk()
