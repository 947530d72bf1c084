"""How a rule's indicator did before the event it is to warn of: its track record at its own threshold, by the day.

A release that holds an indicator's history quarter by quarter, each figure as first known (column ``known``: on which
day), is a panel in real time. The event is read off a release in the same way, or is dated by a public dataset: one row
an event. What became known after the view's day is in neither. A room's own history has few events; the same indicator
of many economies, and the dates of their crises, have more.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import is_period
from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.room.desks.areas import content

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.protect.release import Release
    from opsroom.room.desk import View
    from opsroom.warn.early_warning import TrackRecord
    from opsroom.warn.watch import Direction, Rule

Types = dict[str, type | tuple[type, ...]]
NUMBER = (int, float)
DRAWS = 199
AFTER = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A column of a release series, some of its rows, and which side of which value counts."""

    series: str
    measure: str
    where: Mapping[str, str]
    threshold: float
    direction: Direction


@dataclass(frozen=True, slots=True)
class Dates:
    """A public dataset of events, one a row: its fields of the area, the first and the last year, quarter or day."""

    dataset: str
    area: str = "country"
    start: str = "start"
    end: str = "end"


@dataclass(frozen=True, slots=True)
class Event:
    """What a rule is to come before, and how many quarters before at the least and at the most.

    Attributes
    ----------
    place
        A release that tells it, or a dataset that dates it.
    horizon, after
        First and last quarter ahead; quarters after an event that are left out.
    delay
        Quarters until an event of a dataset is on record as one.
    """

    place: Place | Dates
    horizon: tuple[int, int]
    after: int = AFTER
    delay: int = 0


def track(view: View, rule: Rule, own: Place, event: Event) -> TrackRecord | None:
    """Return the record of a rule's indicator at its threshold; None where its release, or the event, is not out.

    Parameters
    ----------
    view
        What is out by the day.
    rule
        The rule.
    own, event
        Where the indicator stands, and what it is judged by.

    Raises
    ------
    SettingsError
        A release has no quarters, or a dataset of events is confidential or lacks a field.
    """
    release = view.releases.get(own.series, view.day)
    if isinstance(event.place, Dates):
        happened = dated(view, event.place)
    else:
        told = view.releases.get(event.place.series, view.day)
        happened = None if told is None else panel_of(told, event.place)
    if release is None or happened is None:
        return None
    panel = panel_of(release, own)
    if panel.empty or happened.empty:
        return None
    if isinstance(event.place, Dates) and not panel["country"].any():  # one area alone, picked by its code
        code = next((code for code in own.where.values() if code in set(happened["country"])), "")
        panel = panel.assign(country=code)
    last = view.day.year * 4 + (view.day.month - 1) // 3
    kept: dict[str, TrackRecord] = view.memory.setdefault("warnings.records", {})
    key = content(panel, happened, own, event, last)
    if key not in kept:
        kept[key] = _record(panel, happened, rule, own, event, view.day)
    return replace(kept[key], as_of=view.day)


def _record(
    panel: pd.DataFrame, happened: pd.DataFrame, rule: Rule, own: Place, event: Event, day: dt.date
) -> TrackRecord:
    from opsroom.warn.early_warning import Rule as Labels
    from opsroom.warn.early_warning import spells, track_record

    place = event.place
    found = happened
    if isinstance(place, Place):
        found = spells(happened, value="value", threshold=place.threshold, direction=place.direction)
    sign = 1.0 if own.direction == "above" else -1.0
    # A rule warns at its threshold, the record counts what is above one.
    least = math.nextafter(sign * own.threshold, -math.inf)
    record = track_record(
        panel.assign(signal=sign * panel["value"]), found, indicator="signal", threshold=least, as_of=day,
        rule=Labels(event.horizon, after=event.after, dating_delay=event.delay), draws=DRAWS,
        timing="real-time" if "known_at" in panel else "quasi-real-time",
    )  # fmt: skip
    return replace(record, indicator=rule.title or rule.name, threshold=own.threshold)


def event_of(settings: DeskSettings, rule: Rule, own: Place, given: Mapping[str, Any]) -> tuple[Place, Event]:
    """Return where the indicator stands that is judged, and by which event, as a rule's ``judged_by`` says.

    Parameters
    ----------
    settings
        The desk's.
    rule, own
        The rule, and where its own indicator stands.
    given
        The table.

    Raises
    ------
    SettingsError
        A field lacks, is unknown or of the wrong type; the horizon is none.
    """
    table = DeskSettings(settings.kind, f"{settings.name}: rule {rule.name!r}", {"judged_by": given})
    optional: Types = {"title": str, "after": int, "indicator": dict}
    if "dataset" in given:
        table.tables(
            "judged_by", needs={"dataset": str, "horizon": list},
            allows={"area": str, "start": str, "end": str, "delay": int, **optional},
        )  # fmt: skip
    else:
        table.tables(
            "judged_by", needs={"series": str, "measure": str, "raise_at": NUMBER, "horizon": list},
            allows={"direction": str, "where": dict, **optional},
        )  # fmt: skip
    horizon = given["horizon"]
    if len(horizon) != 2 or not all(isinstance(q, int) for q in horizon) or not 1 <= horizon[0] <= horizon[1]:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: rule {rule.name!r}: the horizon is not a first and a last quarter.",
            remedy="Write horizon = [5, 12].",
            code="OPS-C004",
        )
    direction = given.get("direction", "above")
    if direction not in ("above", "below"):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: rule {rule.name!r}: judged_by has a direction that is none.",
            remedy='Write "above" or "below".',
            code="OPS-C004",
        )
    place: Place | Dates
    if "dataset" in given:
        place = Dates(**{name: str(given[name]) for name in ("dataset", "area", "start", "end") if name in given})
    else:
        place = Place(
            str(given["series"]), str(given["measure"]), _codes(given.get("where")), float(given["raise_at"]), direction
        )
    if (other := given.get("indicator")) is not None:
        named = DeskSettings(settings.kind, f"{settings.name}: rule {rule.name!r}: judged_by", {"indicator": other})
        named.tables("indicator", needs={"series": str, "measure": str}, allows={"where": dict})
        own = replace(own, series=str(other["series"]), measure=str(other["measure"]), where=_codes(other.get("where")))
    after, delay = int(given.get("after", AFTER)), int(given.get("delay", 0))
    return own, Event(place, (horizon[0], horizon[1]), after, delay)


def _codes(where: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(d): str(c) for d, c in (where or {}).items()}


def dated(view: View, dates: Dates) -> pd.DataFrame | None:
    """Return a dataset's events as a table of crises: ``country``, ``start``, ``end``; None where nothing is known.

    Parameters
    ----------
    view
        What the room knew by the day.
    dates
        The dataset and its fields. Whole numbers are years, as are dates of a yearly dataset.

    Raises
    ------
    SettingsError
        The dataset is confidential, or lacks a field.
    """
    import pandas as pd

    if not view.has(dates.dataset):
        return None
    spec, there = view.spec(dates.dataset), view.fields(dates.dataset)
    wanted = [dates.area, dates.start, *([dates.end] if dates.end in there or dates.end != "end" else [])]
    absent = [name for name in wanted if name not in there]
    if spec.confidential or absent:
        said = "is confidential" if spec.confidential else f"has no field {', '.join(absent)}"
        raise SettingsError(
            f"room.toml: a rule is judged by dataset {dates.dataset!r}, which {said}.",
            remedy="Name a public dataset with area, start and end, and its fields where they are called otherwise.",
            code="OPS-C004",
        )
    frame = view.frame(dates.dataset, wanted)
    names = ("country", "start", "end")[: len(wanted)]
    found = pd.DataFrame({to: frame[of] for to, of in zip(names, wanted, strict=True)})
    for name in names[1:]:
        if pd.api.types.is_datetime64_any_dtype(found[name].dtype):
            stamps = found[name]
            codes = [None if pd.isna(t) else f"{t.year}-Q{t.quarter}" for t in stamps]
            found[name] = stamps.dt.year if spec.frequency == "A" else pd.Series(codes, index=found.index, dtype=object)
    return found.assign(country=found["country"].astype(str)).sort_values(
        ["country", "start"], kind="stable", ignore_index=True
    )


def panel_of(release: Release, place: Place) -> pd.DataFrame:
    """Return a release's rows as a panel: ``country``, ``quarter``, ``value``, and ``known_at`` where it says so.

    Parameters
    ----------
    release
        With a dimension that holds quarters.
    place
        Which column, which rows.

    Raises
    ------
    SettingsError
        The release has no such column, or no quarters.
    """
    import pandas as pd

    columns = list(release.columns)
    rows = [row for row in release.rows if all(str(row[columns.index(d)]) == c for d, c in place.where.items())]
    dimensions = [str(d) for d in release.dimensions if str(d) not in place.where]
    time = next((d for d in dimensions if rows and is_period(rows[0][columns.index(d)])), None)
    if place.measure not in columns or (rows and (time is None or "-Q" not in str(rows[0][columns.index(time)]))):
        raise SettingsError(
            f"room.toml: a rule is judged by {place.measure!r} of {place.series!r}, which has no such figures by "
            "quarter.",
            remedy="Name a column of a release with quarters.",
            code="OPS-C004",
        )
    others = [columns.index(d) for d in dimensions if d != time]
    at = columns.index(place.measure)
    frame = pd.DataFrame(
        {
            "country": ["/".join(str(row[k]) for k in others) for row in rows],
            "quarter": [str(row[columns.index(str(time))]) for row in rows],
            "value": [_number(row[at]) for row in rows],
        }
    )
    if "known" in columns and place.measure in _as_known(release):
        frame["known_at"] = pd.to_datetime([row[columns.index("known")] for row in rows])
    return frame


def _as_known(release: Release) -> Sequence[str]:
    return [str(one) for one in release.facts.get("as_known") or ()]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
