"""Public tables on what all companies share: calendar, weather, restrictions, telework, collections."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from opsroom.economy.horizon import MONTHS_DELIVERED, Ints, day_date, day_number, month_date, month_days
from opsroom.economy.registers import dates, strings
from opsroom.economy.scenario import REGIONS, Scenario
from opsroom.economy.sectors import SECTION_CODES, column
from opsroom.economy.surroundings import KINDS, NEW_YEAR, PUBLIC, Surroundings, day_kind, holiday_name

CALENDAR_LAST = dt.date(2020, 12, 31)


def calendar_table(surroundings: Surroundings) -> pa.Table:
    """Return the calendar from 2018-12-31 to the end of 2020: it is known ahead."""
    days = [day_date(n) for n in range(day_number(CALENDAR_LAST) + 1)]
    kinds = [day_kind(day, surroundings.scenario) for day in days]
    names = [
        holiday_name(day, surroundings.scenario) if kind in (PUBLIC, NEW_YEAR) else None
        for day, kind in zip(days, kinds, strict=True)
    ]
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "kind": pa.array([KINDS[k] for k in kinds]),
            "name": pa.array(names, pa.string()),
        }
    )


def surroundings_table(name: str, surroundings: Surroundings, first: dt.date, last: dt.date) -> pa.Table:
    """Return weather or restrictions by region and day, both ends included."""
    days = np.arange(day_number(first), day_number(last) + 1)
    region: Ints = np.repeat(np.arange(len(REGIONS)), len(days))
    head = {"region": strings(REGIONS, region), "date": dates(np.tile(days, len(REGIONS)))}
    if name == "weather":
        return pa.table({**head, "temp_dc": surroundings.tenths[:, days].ravel()})
    return pa.table(
        {
            **head,
            "stringency": surroundings.stringency(days).ravel(),
            "lockdown": surroundings.locked(days).ravel(),
        }
    )


def telework_table() -> pa.Table:
    """Return the share of each section's enterprises that can do business with empty premises."""
    return pa.table(
        {
            "section": pa.array(SECTION_CODES),
            "month": pa.array([dt.date(2019, 11, 1)] * len(SECTION_CODES), pa.date32()),
            "share_ppm": np.rint(column("remote") * 1e6).astype(np.int64),
        }
    )


def collections_table(scenario: Scenario) -> pa.Table:
    """Return the share of collection capacity at work, by month."""
    share = [scenario.collections.path.at(np.arange(*month_days(m))).mean() for m in range(MONTHS_DELIVERED)]
    return pa.table(
        {
            "month": pa.array([month_date(m) for m in range(MONTHS_DELIVERED)], pa.date32()),
            "capacity_ppm": np.rint(np.array(share) * 1e6).astype(np.int64),
        }
    )
