"""Desk `restriction`: how strict measures are, place by place, by the indices of the Oxford tracker.

Settings: ``dataset``, in one of four layouts, told by its fields:

- a register of measures: ``indicator`` (``C1`` …), ``value``, ``start`` and, where it has them, ``flag`` and ``end``;
- a daily table as the tracker publishes it: a field an indicator (``c1`` …) and its flag (``c1_flag``);
- an index that is made elsewhere: a field an index (``stringency`` …), place and day;
- a list of events, with ``measures``: tables ``indicator``, ``value``, ``flag``, ``starts`` (a field that is 1 for an
  event that begins the measure), ``ends`` and ``unless`` (phrases in the field that ``text`` names).

``place`` (a field; ``region`` where there is one); ``edition`` (of the tracker's indices), or ``indices`` (name → list
of indicators); ``complete_from`` (indicator → day from which a register is complete); ``since`` (first day); ``weeks``
(shown; 104).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import DataError, SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of, settings_of

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.measure.restriction import RestrictionResult

WEEKS = 104
NEEDS: Mapping[str, type | tuple[type, ...]] = {"indicator": str, "value": int, "starts": str}
ALLOWS: Mapping[str, type | tuple[type, ...]] = {"flag": int, "ends": (str, list), "unless": (str, list)}


class RestrictionDesk:
    """Follow how strict measures are."""

    cadences: Mapping[str, Cadence] = {"restriction.*": "weekly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the indices by place and week, and the scores of the measures behind them, both public."""
        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        from opsroom.measure.restriction.publish import restriction_cells

        try:
            with settings_of(settings):
                found = _indices(view, settings, dataset)
        except DataError as error:
            return DeskOutcome(None, note=f"no index could be made of {dataset} ({error.code})")
        cells = (
            restriction_cells(found, last=view.day, weeks=int(settings.get("weeks", WEEKS)))
            if found is not None
            else []
        )
        return DeskOutcome(found, tuple(cells), note="" if cells else f"no complete week is known of {dataset} yet")


def _indices(view: View, settings: DeskSettings, dataset: str) -> RestrictionResult | None:
    """Return the indices as of the view's day; None where no measure has begun."""
    from opsroom.measure.restriction import EDITIONS, INDICATORS, daily_values, restriction_index

    fields = view.fields(dataset)
    place = str(settings.get("place", "region" if "region" in fields else "")) or None
    edition, own = str(settings.get("edition", "2021-03")), _compositions(settings)
    daily = {field.upper(): field for field in sorted(fields) if field.upper() in INDICATORS}
    if daily:
        values, flags = _table(view, dataset, daily, place)
        return restriction_index(values, flags, edition=edition, indices=own, reject_recent=True)
    if made := [name for name in EDITIONS[max(EDITIONS)] if name in fields]:
        first_week = view.day - dt.timedelta(weeks=int(settings.get("weeks", WEEKS)) + 2)
        return _given(view, dataset, made, place, first_week)
    places: list[str] | None = None
    if settings.get("measures") is not None:
        register, places = _spells(view, settings, dataset, place)
    else:
        columns = ["indicator", "value", "start", *(c for c in ("flag", "end", place) if c and c in fields)]
        register = view.frame(dataset, columns)
        register = register if "end" in register else register.assign(end=None)
    if register.empty or register["start"].min().date() > view.day:
        return None
    first: dt.date = settings.get("since", register["start"].min().date())
    complete: Mapping[str, Any] | None = settings.get("complete_from")
    values, flags = daily_values(register, start=first, end=view.day, place=place, places=places,
                                 complete_from=complete)  # fmt: skip
    return restriction_index(values, flags, edition=edition, indices=own)


def _given(view: View, dataset: str, names: list[str], place: str | None, first: dt.date) -> RestrictionResult:
    """Return indices that stand in the table; what they are made of is not known."""
    import pandas as pd

    from opsroom.measure.restriction import RestrictionResult

    period = view.spec(dataset).period
    where = _where(view, dataset, place)
    frame = view.frame(dataset, [*where, period, *names], period_from=first).set_index([*where, period])
    nothing = pd.DataFrame(index=frame.index)
    return RestrictionResult(frame.astype(float), nothing, nothing, edition="as delivered")


def _where(view: View, dataset: str, place: str | None) -> list[str]:
    """Return the field that names the place of a row, if any; a table with more to its rows than place and day is none.

    Raises
    ------
    SettingsError
        The key of the dataset has other fields: rows of two places would pass for one.
    """
    spec, where = view.spec(dataset), [place] if place else []
    if other := sorted({*spec.key} - {*where, spec.period}):
        raise SettingsError(
            f"{dataset!r} has rows by {', '.join(other)}, too.",
            remedy="Name the field of the place in the desk's setting `place`.",
            code="OPS-C006",
        )
    return where


def _table(
    view: View, dataset: str, daily: Mapping[str, str], place: str | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return values and flags of a daily table."""
    import pandas as pd

    names = {field.lower(): field for field in view.fields(dataset)}
    marks = {name: names[f"{name.lower()}_flag"] for name in daily if f"{name.lower()}_flag" in names}
    period = view.spec(dataset).period
    where = _where(view, dataset, place)
    frame = view.frame(dataset, [period, *where, *daily.values(), *marks.values()])
    frame[period] = pd.to_datetime(frame[period])
    frame = frame[frame[period] <= pd.Timestamp(view.day)].set_index([*where, period]).sort_index()
    values, flags = (
        frame[list(columns.values())].set_axis(list(columns), axis=1).astype(float) for columns in (daily, marks)
    )
    return values, flags


def _spells(
    view: View, settings: DeskSettings, dataset: str, place: str | None
) -> tuple[pd.DataFrame, list[str] | None]:
    """Return the register of measures that a list of events tells, and all places that it tells of."""
    from opsroom.measure.restriction.closures import EventRule, register_from_events

    rules = [
        EventRule(
            str(t["indicator"]), int(t["value"]), None if t.get("flag") is None else int(t["flag"]), str(t["starts"]),
            _phrases(t.get("ends")), _phrases(t.get("unless")),
        )
        for t in settings.tables("measures", needs=NEEDS, allows=ALLOWS)
    ]  # fmt: skip
    period, text = view.spec(dataset).period, settings.get("text")
    wanted = dict.fromkeys([period, *([place] if place else []), *(r.starts for r in rules), *([text] if text else [])])
    events = view.frame(dataset, list(wanted))
    if not place:
        events["place"] = "_T"
    events = events[events[period].dt.date <= view.day]
    made = register_from_events(events, rules, date=period, place=place or "place", text=text)
    return made, sorted(events[place].dropna().astype(str).unique()) if place else None


def _phrases(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given or ()))


def _compositions(settings: DeskSettings) -> dict[str, tuple[str, ...]] | None:
    """Return the compositions that the room gives; None: the tracker's.

    Raises
    ------
    SettingsError
        A composition that is no list of indicators.
    """
    from opsroom.measure.restriction import INDICATORS

    given = settings.get("indices")
    if given is None:
        return None
    if not isinstance(given, dict) or not all(_known(v, INDICATORS) for v in given.values()):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: indices is no table of lists of indicators.",
            remedy='Write indices = {closing = ["C1", "C2", "C6"]}.',
            code="OPS-C006",
        )
    return {str(name): tuple(map(str, parts)) for name, parts in given.items()}


def _known(given: object, names: Mapping[str, object]) -> bool:
    return isinstance(given, list) and len(given) > 0 and all(name in names for name in given)


DESK = RestrictionDesk()
