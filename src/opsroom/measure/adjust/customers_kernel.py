"""Adding meter readings up by customer and day, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def add_readings(
    meter_id: Any, day: Any, value: Any, meter: Any, row: Any, first: Any, last: Any, total: Any, waiting: Any
) -> bool:
    """Add readings to their customers' days; False if one comes when none is waited for.

    Parameters
    ----------
    meter_id, day, value
        Readings; days are columns of `total`, others are passed over.
    meter, row, first, last
        Links sorted by meter and first day: customer's row, first and last day.
    total, waiting
        (customers, days): sums, and readings still to come.
    """
    days = total.shape[1]
    at = 0
    for k in range(len(meter_id)):
        d = day[k]
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
                if waiting[row[link], d] <= 0:
                    return False
                total[row[link], d] += value[k]
                waiting[row[link], d] -= 1
                break
            link += 1
        if at >= len(meter):
            at = 0
    return True
