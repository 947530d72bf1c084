"""The records behind a triangle's counts: who stands reported in each period and sector, one row each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from opsroom.measure.delays.triangle import ReportingTriangle, ordinals, report_ordinals


def standing_records(records: pd.DataFrame, triangle: ReportingTriangle, *, tz: str = "UTC") -> pd.DataFrame:
    """Return the records that a triangle's `reported` counts.

    Parameters
    ----------
    records
        Those that the triangle was made of, in order of knowledge: ``record``, ``period``, ``known_at``, ``value`` (1
        where a version counts, else 0), ``taken_back``, ``sector``, ``group``.
    triangle
        Of these, as of the day of the last.
    tz
        As for `opsroom.measure.delays.reporting_triangle`.

    Returns
    -------
    pandas.DataFrame
        ``period`` (first day), ``sector``, ``group``. A record that moved between periods or sectors stands in each as
        the triangle counts it: as of its last report that was not later than the period's last delay.
    """
    known = pd.to_datetime(records["known_at"], utc=True).dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    counts = (records["value"].to_numpy() > 0) & ~records["taken_back"].to_numpy(dtype=bool)
    counts &= records["period"].notna().to_numpy()
    about = np.full(len(records), np.iinfo(np.int64).min)
    about[counts] = ordinals(records["period"][counts], triangle.frequency)
    versions = pd.DataFrame(
        {
            "record": records["record"].to_numpy(), "place": about, "at": records["sector"].astype(str).to_numpy(),
            "report": report_ordinals(known, triangle.as_of, triangle.frequency), "order": np.arange(len(records)),
        }
    )  # fmt: skip
    first, last = (int(p.ordinal) for p in (triangle.periods[0], triangle.periods[-1]))
    inside = counts & (about >= first) & (about <= last)
    places = versions.loc[inside, ["record", "place", "at"]].assign(group=records["group"].to_numpy()[inside])
    places = places.drop_duplicates(["record", "place", "at"], keep="last").rename(
        columns={"place": "period", "at": "sector"}
    )
    both = places.merge(versions, on="record")
    both = both[both["report"] - both["period"] - triangle.first_delay <= triangle.max_delay]
    both = both.sort_values("order", kind="stable").drop_duplicates(["record", "period", "sector"], keep="last")
    found = both[(both["place"] == both["period"]) & (both["at"] == both["sector"])]
    start = {int(p.ordinal): p.start_time for p in triangle.periods}
    return pd.DataFrame(
        {
            "period": found["period"].map(start).to_numpy(), "sector": found["sector"].to_numpy(),
            "group": found["group"].to_numpy(),
        }
    )  # fmt: skip
