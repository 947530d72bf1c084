"""How a rule's indicator did before the event it is to warn of: its track record at its own threshold, by the day.

A release that holds an indicator's history quarter by quarter, each figure as first known (column ``known``: on which
day), is a panel in real time. The event is read off a release in the same way. What became known after the view's day
is in neither.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import is_period
from opsroom.base.errors import SettingsError
from opsroom.room.desks.areas import content

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.protect.release import Release
    from opsroom.room.desk import View
    from opsroom.warn.early_warning import TrackRecord
    from opsroom.warn.watch import Direction, Rule

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
class Event:
    """What a rule is to come before, and how many quarters before at the least and at the most."""

    place: Place
    horizon: tuple[int, int]
    after: int = AFTER


def track(view: View, rule: Rule, own: Place, event: Event) -> TrackRecord | None:
    """Return the record of a rule's indicator at its threshold; None where its release is not out.

    Parameters
    ----------
    view
        What is out by the day.
    rule
        The rule.
    own, event
        Where the indicator stands, and what it is judged by.
    """
    releases = [view.releases.get(place.series, view.day) for place in (own, event.place)]
    if releases[0] is None or releases[1] is None:
        return None
    panel, happened = panel_of(releases[0], own), panel_of(releases[1], event.place)
    if panel.empty or happened.empty:
        return None
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

    found = spells(happened, value="value", threshold=event.place.threshold, direction=event.place.direction)
    sign = 1.0 if own.direction == "above" else -1.0
    # A rule warns at its threshold, the record counts what is above one.
    least = math.nextafter(sign * own.threshold, -math.inf)
    record = track_record(
        panel.assign(signal=sign * panel["value"]), found, indicator="signal", threshold=least, as_of=day,
        rule=Labels(event.horizon, after=event.after), draws=DRAWS,
        timing="real-time" if "known_at" in panel else "quasi-real-time",
    )  # fmt: skip
    return replace(record, indicator=rule.title or rule.name, threshold=own.threshold)


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
