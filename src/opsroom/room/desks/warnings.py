"""Desk `warnings`: what has crossed its threshold in the room's own releases, since when, and what that has meant.

Settings: ``[[desks.rules]]`` tables with ``name``, ``series`` (a release series), ``measure`` (one of its columns),
``raise_at``; and, where wanted, ``clear_at`` (the warning ends there: default `raise_at`), ``direction`` (``above`` or
``below``), ``hold`` (publications in a row), ``where`` (codes that pick rows), ``by`` (the dimensions that a warning is
about: default all but the period), ``title``, ``unit``, ``levers`` (words), ``false_alarm_cost`` (words), and
``followed_by``: ``series``, ``measure``, ``raise_at``, ``direction``, ``where``, ``by`` of the event that the warning
is to come before, and ``within_days``: counted over the room's own life. ``judged_by`` does the same over the history
that a release holds: ``series``, ``measure``, ``raise_at``, ``direction``, ``where``, and ``horizon`` (quarters ahead,
first and last) and ``after`` (quarters after an event that are left out); or by dates of events in a public dataset:
``dataset``, ``area``, ``start``, ``end`` (its fields), ``delay`` (quarters until an event is on record). With
``indicator`` (``series``, ``measure``, ``where``) the same indicator of other areas is judged, at the rule's threshold.
Both may have a ``title``: the event in words. ``keep_days`` (default 365): how long an ended warning is shown.

It reads what is published and public, and nothing else, so that a warning betrays nothing that is not out.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import is_period
from opsroom.base.errors import SettingsError
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.judged import Place, event_of, track
from opsroom.warn.noted import noted
from opsroom.warn.watch import Key, Reading, Record, Rule, Warning, acknowledge, follow, watch

if TYPE_CHECKING:
    from opsroom.protect.release import Release
    from opsroom.warn.early_warning import TrackRecord

Types = dict[str, type | tuple[type, ...]]

NUMBER = (int, float)
EVENT_NEEDS: Types = {"series": str, "measure": str, "raise_at": NUMBER}
EVENT_ALLOWS: Types = {"clear_at": NUMBER, "direction": str, "hold": int, "where": dict, "by": list}
NEEDS: Types = {"name": str, **EVENT_NEEDS}
ALLOWS: Types = {
    **EVENT_ALLOWS, "title": str, "unit": str, "levers": list, "false_alarm_cost": str, "followed_by": dict,
    "judged_by": dict,
}  # fmt: skip
KEEP_DAYS = 365
TEXTS = (
    "rule", "about", "state", "since", "since_period", "period", "ended", "silent", "acknowledged_by",
    "acknowledged_on", "words",
)  # fmt: skip
NUMBERS = ("threshold", "clear_at", "peak", "raised", "followed", "false", "open", "missed", "lead_days")
JUDGED = {"hits": "hits", "false_alarms": "false_alarms", "crises": "n_crises", "warned": "warned",
          "lead_quarters": "median_lead_time", "usefulness": "usefulness"}  # fmt: skip
"""Columns of a warning that tell its indicator's record → attribute of `TrackRecord`."""
ENDS = {"warned": "warned_interval", "usefulness": "interval"}
"""Those of them that have an interval, in columns ``…_lower`` and ``…_upper`` → attribute of `TrackRecord`."""
TRACK = (*JUDGED, *(f"{name}_{end}" for name in ENDS for end in ("lower", "upper")))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule's readings come from: a column of a release series, some of its rows, one line for each `by`."""

    series: str
    measure: str
    where: Mapping[str, str]
    by: tuple[str, ...] | None


class WarningsDesk:
    """Watch the room's own releases."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``warnings.inbox``: the warnings that stand, and those that have ended of late; none, too, is told."""
        taken = noted(view.state, view.day)
        found: list[tuple[Warning, Record | None, TrackRecord | None]] = []
        facts: list[dict[str, Any]] = []
        for table in settings.tables("rules", needs=NEEDS, allows=ALLOWS):
            rule, source = _rule(table, str(table["name"])), _source(table)
            said = list(readings(view, source))
            warnings = watch(rule, said, view.day)
            record, within = None, None
            if (event := table.get("followed_by")) is not None:
                within = _within(settings, rule, event)
                happened = watch(_rule(event, "event"), readings(view, _source(event)), view.day)
                record = follow(
                    warnings, [(one.about, one.since) for one in happened], within=within, day=view.day,
                    read_from=min((one.day for one in said), default=None),
                )  # fmt: skip
            judged = _judged(view, settings, rule, source, table.get("judged_by"))
            found += [(one, record, judged) for one in warnings]
            by = [d for d, _ in warnings[0].about] if warnings else list(source.by or ())
            carried = {} if judged is None else {"track": judged.facts()}
            words = {"event": told} if (told := _event_in_words(view, table)) else {}
            # where nothing was ever read, silence means nothing: the inbox says so
            read = {"last_read": max((one.day for one in said), default=None)}
            facts.append(_facts(rule, source, record, within) | {"by": by} | _days(read) | words | carried)
        keep = view.day - dt.timedelta(days=int(settings.get("keep_days", KEEP_DAYS)))
        shown = [one for one in found if one[0].ended is None or one[0].ended >= keep]
        known = {name: (who, day) for name, (who, day, _) in taken.items()}
        marked = acknowledge([one for one, *_ in shown], known, view.day)
        words = {name: text for name, (_, _, text) in taken.items()}
        rows = [_row(one, record, judged, words) for one, (_, record, judged) in zip(marked, shown, strict=True)]
        return DeskOutcome(marked, (_cells(rows, facts),))


def readings(view: View, source: Source) -> Iterator[Reading]:
    """Yield what a release series said on each day up to the view's."""
    kept: dict[str, list[Reading]] = view.memory.setdefault("warnings.readings", {})
    for release in view.releases.history(source.series):
        if release.day > view.day:
            continue
        place = f"{release.id} {release.content_hash} {source!r}"
        if place not in kept:
            kept[place] = _newest(_read(release, source))
        yield from kept[place]


def _newest(said: Iterator[Reading]) -> list[Reading]:
    """Return of each thing the number about the latest period: `watch` looks at no other, and histories are long."""
    newest: dict[Key, Reading] = {}
    for one in said:
        before = newest.get(one.about)
        if math.isfinite(one.value) and (before is None or one.period >= before.period):
            newest[one.about] = one
    return list(newest.values())


def _read(release: Release, source: Source) -> Iterator[Reading]:
    columns = list(release.columns)
    if source.measure not in columns:
        return
    dimensions = [str(d) for d in release.dimensions]
    at = columns.index(source.measure)
    rows = [row for row in release.rows if all(str(row[columns.index(d)]) == c for d, c in source.where.items())]
    time = next((d for d in dimensions if rows and is_period(rows[0][columns.index(d)])), None)
    by = source.by if source.by is not None else [d for d in dimensions if d != time and d not in source.where]
    places = [(d, columns.index(d)) for d in by]
    when = None if time is None else columns.index(time)
    for row in rows:
        value = row[at]
        number = float(value) if isinstance(value, NUMBER) and not isinstance(value, bool) else math.nan
        about: Key = tuple((d, str(row[k])) for d, k in places)
        yield Reading(release.day, about, "" if when is None else str(row[when]), number)


def _rule(table: Mapping[str, Any], name: str) -> Rule:
    return Rule(
        name,
        float(table["raise_at"]),
        float(table.get("clear_at", math.nan)),
        title=str(table.get("title", name)),
        direction=table.get("direction", "above"),
        hold=int(table.get("hold", 1)),
        unit=str(table.get("unit", "")),
        levers=tuple(str(one) for one in table.get("levers", ())),
        false_alarm_cost=str(table.get("false_alarm_cost", "")),
    )


def _source(table: Mapping[str, Any]) -> Source:
    by = table.get("by")
    where = {str(d): str(c) for d, c in dict(table.get("where", {})).items()}
    return Source(str(table["series"]), str(table["measure"]), where, None if by is None else tuple(map(str, by)))


def _within(settings: DeskSettings, rule: Rule, event: Mapping[str, Any]) -> int:
    """Return the days within which a warning's event must come, once the event's table is checked."""
    own = DeskSettings(settings.kind, f"{settings.name}: rule {rule.name!r}", {"followed_by": event})
    own.tables("followed_by", needs={**EVENT_NEEDS, "within_days": int}, allows={**EVENT_ALLOWS, "title": str})
    days = int(event["within_days"])
    if days < 1:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: rule {rule.name!r}: within_days is less than one day.",
            remedy="Give the days within which the event must come.",
            code="OPS-C004",
        )
    return days


def _judged(
    view: View, settings: DeskSettings, rule: Rule, source: Source, event: Mapping[str, Any] | None
) -> TrackRecord | None:
    """Return the record of the rule's indicator by the event that it names."""
    if event is None:
        return None
    own = Place(source.series, source.measure, source.where, rule.raise_at, rule.direction)
    return track(view, rule, *event_of(settings, rule, own, event))


def _event_in_words(view: View, table: Mapping[str, Any]) -> str:
    """Return what a rule's warnings are to come before: the room's own words, or the title of the dataset of events."""
    for event in (table.get("judged_by"), table.get("followed_by")):
        if event is None:
            continue
        if event.get("title"):
            return str(event["title"])
        if event.get("dataset") and view.has(str(event["dataset"])):
            return view.spec(str(event["dataset"])).title
    return ""


def _facts(rule: Rule, source: Source, record: Record | None, within: int | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rule": rule.name, "title": rule.title, "series": source.series, "measure": source.measure, "unit": rule.unit,
        "raise_at": rule.raise_at, "clear_at": rule.clear_at, "direction": rule.direction,
        "levers": list(rule.levers), "false_alarm_cost": rule.false_alarm_cost,
    }  # fmt: skip
    if record is not None:
        facts |= {"within_days": within, "raised": record.raised, "followed": record.followed, "false": record.false}
        facts |= {"open": record.open, "missed": record.missed}
    return facts


def _days(facts: Mapping[str, dt.date | None]) -> dict[str, str]:
    """Return days as a release's facts hold them; empty where there is none."""
    return {name: "" if day is None else day.isoformat() for name, day in facts.items()}


def _row(one: Warning, record: Record | None, judged: TrackRecord | None, words: Mapping[str, str]) -> dict[str, Any]:
    counts = dict.fromkeys(("raised", "followed", "false", "open", "missed", "lead_days"), math.nan)
    if record is not None:
        counts = {name: float(getattr(record, name)) for name in counts}
    counts |= dict.fromkeys(TRACK, math.nan)
    if judged is not None:
        counts |= {name: float(getattr(judged, of)) for name, of in JUDGED.items()}
        for name, of in ENDS.items():
            counts[f"{name}_lower"], counts[f"{name}_upper"] = getattr(judged, of)
    return {
        "warning": one.id, "rule": one.rule.name, "about": one.codes, "state": one.state,
        "since": one.since.isoformat(), "since_period": one.since_period, "period": one.period,
        "ended": None if one.ended is None else one.ended.isoformat(), "silent": "yes" if one.silent else "no",
        "acknowledged_by": one.acknowledged_by or None,
        "acknowledged_on": None if one.acknowledged_on is None else one.acknowledged_on.isoformat(),
        "words": words.get(one.id) if one.acknowledged_by else None,
        "value": one.value, "threshold": one.rule.raise_at, "clear_at": one.rule.clear_at, "peak": one.peak,
    } | counts  # fmt: skip


def _cells(rows: Sequence[Mapping[str, Any]], facts: Sequence[Mapping[str, Any]]) -> Cells:
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=["warning", "value", *TEXTS, *NUMBERS, *TRACK])
    standing = sum(row["state"] != "ended" for row in rows)
    return Cells(
        name="warnings.inbox",
        dimensions=("warning",),
        measures=(Measure("value", "public", "", attached=(*TEXTS, *NUMBERS, *TRACK), decimals=2),),
        frame=frame,
        method="warnings-1",
        unit_kind="public",
        facts={"rules": [dict(one) for one in facts], "standing": standing},
    )


DESK = WarningsDesk()
