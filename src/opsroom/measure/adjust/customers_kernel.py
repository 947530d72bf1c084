"""Adding meter readings up by customer and day, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def find_customers(meter_id: Any, day: Any, days: int, meter: Any, row: Any, first: Any, last: Any, out: Any) -> None:
    """Fill in whose each reading is: the customer's row, -1 where it is nobody's or of a day outside the panel.

    Parameters
    ----------
    meter_id, day
        Of the readings; days are numbers of columns.
    days
        How many columns there are.
    meter, row, first, last
        Links sorted by meter and first day: customer's row, first and last day.
    out
        One a reading.
    """
    at = 0
    for k in range(len(meter_id)):
        d = day[k]
        out[k] = -1
        if d < 0 or d >= days:
            continue
        # Deliveries are mostly in order of meters or of days: the link is where the last one was, or the next.
        if not (at < len(meter) and meter[at] == meter_id[k]):
            at = at + 1 if at + 1 < len(meter) and meter[at + 1] == meter_id[k] else np.searchsorted(meter, meter_id[k])
        while at > 0 and meter[at - 1] == meter_id[k]:
            at -= 1
        link = at
        while link < len(meter) and meter[link] == meter_id[k]:
            if first[link] <= d <= last[link]:
                out[k] = row[link]
                break
            link += 1
        if at >= len(meter):
            at = 0


@numba.njit(cache=True, nogil=True)
def add_readings(place: Any, value: Any, total: Any, waiting: Any) -> bool:
    """Add readings to their customers' days; False if one comes when none is waited for.

    Parameters
    ----------
    place, value
        Of the readings: place in the flat matrix, and number.
    total, waiting
        Flat: sums, and readings still to come.
    """
    for k in range(len(place)):
        p = place[k]
        if waiting[p] <= 0:
            return False
        total[p] += value[k]
        waiting[p] -= 1
    return True
