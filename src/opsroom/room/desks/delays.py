"""Desk `delays`: how many there really were, of those whose reports are still coming in.

Settings: ``dataset``; ``counts``: what is counted, in words (``loans past due``); ``at_least`` (field → least value)
and ``equals`` (field → value) of records that count; ``period`` (field; the dataset's own), ``frequency`` (``M``),
``known`` (a field with the day of the report; when the room learnt it), ``by`` (a field of the dataset or of the
``register``; none), ``register`` (from which the enterprise groups come, too, where the dataset names none), ``since``
(first period that was reported as it happened: what was loaded as history has no delays), ``max_delay`` and
``first_delay`` (in periods; found), ``last`` (periods published, 24), ``title``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import FitError, SettingsError
from opsroom.base.periods import Frequency, period_start
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.protect.rules import Rules
from opsroom.room.desk import DeskOutcome, View, nothing_known_of, settings_of
from opsroom.room.desks.registered import owners, registered

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from opsroom.measure.delays import ReportingTriangle

UNSETTLED = "fewer than two periods are settled"
DRAWS = 400


class DelaysDesk:
    """Follow what is reported late."""

    cadences: Mapping[str, Cadence] = {"delays.*": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return reported and expected counts by period and sector."""
        dataset = str(settings.require("dataset"))
        register = settings.get("register")
        if nothing := nothing_known_of(view, dataset, *([] if register is None else [str(register)])):
            return nothing
        from opsroom.measure.delays import nowcast_delays, reporting_triangle
        from opsroom.measure.delays.publish import FEWEST, confidential_delay_cells, delay_cells
        from opsroom.measure.delays.standing import moving_records, shared_begin, shared_delay, standing_records

        spec, since = view.spec(dataset), settings.get("since")
        if isinstance(since, dt.date) and not settings.get("known"):
            arrived = {d.known_at for d in view.deliveries(dataset) if d.known_at.date() >= since}
            if len(arrived) <= FEWEST:  # who is late is seen by what comes after
                return DeskOutcome(None, note=UNSETTLED)
        records = _records(view, settings, dataset)
        if records.empty:
            return DeskOutcome(None, note="nothing that counts is reported yet")
        limit, begins = settings.get("max_delay"), settings.get("first_delay")

        def counted(most: int | None, first: int | None) -> ReportingTriangle:
            return reporting_triangle(
                records, period="period", key="record", by="sector", value="value", deleted="taken_back",
                as_of=view.day, frequency=str(settings.get("frequency", "M")), max_delay=most, first_delay=first,
                since=since, tz=view.settings.timezone,
            )  # fmt: skip

        try:
            with settings_of(settings):
                triangle = counted(None if limit is None else int(limit), None if begins is None else int(begins))
            # Both delays show in what is published: no contributor's own is to be in it.
            rules = Rules.from_settings(view.settings.rules)
            fewest = rules.min_contributors
            if spec.confidential and begins is None:
                start = shared_begin(records, triangle, fewest, tz=view.settings.timezone)
                if start > triangle.first_delay:
                    triangle = counted(None if limit is None else int(limit), start)
            if spec.confidential and limit is None:
                most = shared_delay(records, triangle, fewest, tz=view.settings.timezone)
                if most < triangle.max_delay:
                    triangle = counted(most, triangle.first_delay)
        except FitError as error:
            return DeskOutcome(None, note=f"no period is reported yet ({error.code})")
        if int((triangle.age >= triangle.max_delay).sum()) < FEWEST:
            return DeskOutcome(None, note=UNSETTLED)
        try:
            found = nowcast_delays(triangle, draws=DRAWS)
        except FitError as error:
            return DeskOutcome(None, note=f"no nowcast of what is late could be made ({error.code})")
        of, last = str(settings.get("counts", "records")), int(settings.get("last", 24))
        if spec.confidential:  # what is published is worked out anew, of what the gate shows
            units = standing_records(records, triangle, tz=view.settings.timezone)
            moves = moving_records(records, triangle, tz=view.settings.timezone)
            cells = confidential_delay_cells(
                triangle, settings.name, units, moves, sensitive=rules.sensitive, of=of, last=last, draws=DRAWS
            )
        else:
            cells = delay_cells(found, settings.name, of=of, last=last)
        title = settings.get("title")
        if title:
            cells = replace(cells, facts={**cells.facts, "title": str(title)})
        return DeskOutcome(found, (cells,))


def _records(view: View, settings: DeskSettings, dataset: str) -> pd.DataFrame:
    """Return every version of the records that ever counted.

    Columns ``record``, ``period``, ``known_at``, ``value`` (1 where it counts), ``taken_back``, ``sector``, ``group``.
    """
    import pandas as pd

    spec = view.spec(dataset)
    period, known = str(settings.get("period", spec.period)), settings.get("known")
    least, equals = (dict(settings.get(name) or {}) for name in ("at_least", "equals"))
    by = str(settings.get("by") or "")
    own = by if by in view.fields(dataset) else ""
    unit = spec.unit_field
    columns = [*spec.key, period, *least, *equals, *([own] if own else []), *([str(known)] if known else []),
               *(c for c in (unit, spec.group_field) if c)]  # fmt: skip
    _check(view, settings, dataset, columns)
    if by and not own and not unit:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: {dataset!r} has no field {by}, and no unit to look it up by.",
            code="OPS-C006",
        )
    since = settings.get("since")
    first, frequency = None, str(settings.get("frequency", "M"))
    if isinstance(since, dt.date) and period == spec.period and frequency in list(Frequency):
        first = period_start(since, frequency)  # of the period that holds the day all records count
    table = view.records(dataset, list(dict.fromkeys(columns)), period_from=first)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    counts = ~frame["taken_back"]
    for name, value in least.items():
        counts &= frame[name] >= _scalar(value)
    for name, value in equals.items():
        counts &= frame[name] == _scalar(value)
    counts = counts.fillna(False).astype(bool)
    # most records never count: they need no numbers, and most are told apart by one field of their key
    main = next((field for field in spec.key if field != spec.period), spec.period)
    maybe = frame[main].isin(frame.loc[counts, main].unique())
    frame, counts = frame[maybe].reset_index(drop=True), counts[maybe].reset_index(drop=True)
    record = _numbers([frame[field] for field in spec.key])
    ever = np.zeros(int(record.max(initial=-1)) + 1, dtype=bool)
    ever[record[counts.to_numpy()]] = True
    kept = ever[record]
    frame, counts, record = frame[kept], counts[kept], record[kept]
    made = pd.DataFrame(
        {
            "record": record, "period": pd.to_datetime(frame[period]), "known_at": frame["known_at"],
            "value": counts.astype(float), "taken_back": frame["taken_back"],
        }
    )  # fmt: skip
    if known:
        filed = pd.to_datetime(frame[str(known)])
        # where clocks change at midnight, a day begins when it first can
        early = np.ones(len(filed), dtype=bool)
        local = filed.dt.tz_localize(view.settings.timezone, ambiguous=early, nonexistent="shift_forward")
        made["known_at"] = local.dt.tz_convert("UTC").dt.as_unit("us")
        # without a day of filing nothing is filed; who is said to have filed after the day has not yet
        made.loc[filed.isna() & ~made["taken_back"], "value"] = 0.0
        made["known_at"] = made["known_at"].fillna(frame["known_at"])
    # a tombstone says nothing but its key: where the record was, its last version tells
    places = frame.assign(record=record)
    fill = list(dict.fromkeys(c for c in (own, unit, spec.group_field) if c))
    if fill and bool(frame["taken_back"].any()):
        places[fill] = places.groupby("record")[fill].ffill()
    made["group"] = places[spec.group_field or unit] if spec.group_field or unit else "all"
    made["sector"] = places[own].astype(str) if own else "all"
    if unit and (settings.get("register") is not None or (by and not own)):
        told = registered(view, str(settings.require("register")), places[unit], [] if own or not by else [by])
        if by and not own:
            made["sector"] = told[by].map(str, na_action="ignore")
        if not spec.group_field:  # companies under one control are one contributor; who is not known is one alone
            made["group"] = owners(told, places[unit])
        made = made[~told["legal_form"].isin(NATURAL_FORMS)]  # natural persons are no companies
    made = made[(made["known_at"] <= pd.Timestamp(view.as_of)) & made["sector"].notna()]
    return made.sort_values("known_at", kind="stable", ignore_index=True)


def _scalar(value: Any) -> Any:
    """Return a value of a setting as columns are compared with it: a day as a moment."""
    import pandas as pd

    return pd.Timestamp(value) if isinstance(value, dt.date) else value


def _numbers(columns: list[pd.Series[Any]]) -> npt.NDArray[np.int64]:
    """Return a whole number for each combination of values, the same for the same."""
    import pandas as pd

    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code, values = pd.factorize(column)
        number = pd.factorize(number * (len(values) + 1) + code)[0]
    return number


def _check(view: View, settings: DeskSettings, dataset: str, columns: list[str]) -> None:
    absent = [c for c in columns if c not in view.fields(dataset)]
    if absent:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: {dataset!r} has no field {', '.join(absent)}.", code="OPS-C006"
        )


DESK = DelaysDesk()
