"""The records behind a triangle's counts: who stands reported in each period and sector, who came and went, when."""

from __future__ import annotations

import numpy as np
import pandas as pd

from opsroom.base.errors import InternalError
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
    versions = _versions(records, triangle, tz)
    first, last = (int(p.ordinal) for p in (triangle.periods[0], triangle.periods[-1]))
    inside = versions["place"].between(first, last).to_numpy()
    places = versions.loc[inside, ["record", "place", "at", "group"]]
    places = places.drop_duplicates(["record", "place", "at"], keep="last").rename(
        columns={"place": "period", "at": "sector"}
    )
    both = places.merge(versions.drop(columns="group"), on="record")
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


def shared_delay(records: pd.DataFrame, triangle: ReportingTriangle, fewest: int, *, tz: str = "UTC") -> int:
    """Return a triangle's last delay as far as several contributors report that late.

    A last delay that was found is published, and what is complete goes by it: it is not to tell of one contributor, and
    least of all of one whose late report is withheld.

    Parameters
    ----------
    records, tz
        As for `standing_records`.
    triangle
        Of these, with the last delay that was found.
    fewest
        Contributors that a delay needs: so many have to have reported that late, or later, in the older half of the
        periods, which the last delay is found from.

    Returns
    -------
    int
        At least 1, at most the triangle's own.
    """
    first, span = int(triangle.periods[0].ordinal), int(triangle.age[0])
    half = max(1, span // 2)
    found = _additions(records, triangle, tz)
    found = found[found["place"].between(first, first + span - half) & (found["delay"] <= half)]
    latest = np.sort(found.groupby("group")["delay"].max().to_numpy())[::-1]
    if not len(latest):
        return triangle.max_delay  # nothing was found: it is half of the periods, whoever reports
    shared = int(latest[fewest - 1]) if len(latest) >= fewest else 1
    return min(triangle.max_delay, max(1, shared))


def shared_begin(records: pd.DataFrame, triangle: ReportingTriangle, fewest: int, *, tz: str = "UTC") -> int:
    """Return a triangle's first delay, or the first by which several contributors have reported, if that is later.

    Parameters
    ----------
    records, triangle, fewest, tz
        As for `shared_delay`.

    Returns
    -------
    int
        At least the triangle's own, which may be one early contributor's.
    """
    earliest = np.sort(_additions(records, triangle, tz).groupby("group")["delay"].min().to_numpy())
    if len(earliest) < fewest:
        return triangle.first_delay
    return triangle.first_delay + int(earliest[fewest - 1])


def moving_records(records: pd.DataFrame, triangle: ReportingTriangle, *, tz: str = "UTC") -> pd.DataFrame:
    """Return the reports that a triangle's `added` and `removed` count, one row each; confidential.

    Parameters
    ----------
    records, tz
        As for `standing_records`.
    triangle
        Of these, as of the day of the last.

    Returns
    -------
    pandas.DataFrame
        ``sector``, ``period`` (places in the triangle), ``delay``, ``group``; of ``added`` and ``removed`` one is true;
        ``stands``: the record was added and not taken away again, up to the period's last delay.

    Raises
    ------
    InternalError
        They are not those that the triangle counts.
    """
    first, last = (int(p.ordinal) for p in (triangle.periods[0], triangle.periods[-1]))
    changed = _changed(records, triangle, tz)
    come = changed.assign(added=True)
    gone = changed.assign(place=changed["was_place"], at=changed["was_at"], group=changed["was_group"], added=False)
    gone = gone[gone["place"].notna()].astype({"place": np.int64})
    moves = pd.concat([come, gone]).sort_values(["record", "order", "added"], kind="stable", ignore_index=True)
    moves = moves[moves["place"].between(first, last)]
    moves["delay"] = (moves["report"] - moves["place"] - triangle.first_delay).clip(lower=0)
    moves = moves[moves["delay"] <= triangle.max_delay]
    code = pd.Categorical(moves["at"], categories=list(triangle.sectors)).codes.astype(np.int64)
    ends = ~moves.duplicated(["record", "place", "at"], keep="last")
    made = pd.DataFrame(
        {
            "sector": code, "period": moves["place"].to_numpy() - first, "delay": moves["delay"].to_numpy(),
            "group": moves["group"].to_numpy(), "added": moves["added"].to_numpy(bool),
            "removed": ~moves["added"].to_numpy(bool), "stands": (moves["added"] & ends).to_numpy(bool),
        }
    )  # fmt: skip
    for kind, wanted in (("added", triangle.added), ("removed", triangle.removed)):
        mine, count = made[made[kind]], np.zeros(wanted.shape)
        np.add.at(count, tuple(mine[c].to_numpy() for c in ("sector", "period", "delay")), 1.0)
        if not np.array_equal(count, np.nan_to_num(wanted)):
            raise InternalError("the reports of a delay nowcast are not those that it counts.")
    return made


def _additions(records: pd.DataFrame, triangle: ReportingTriangle, tz: str) -> pd.DataFrame:
    """Return each report that put a record into a period and sector of the triangle, with its ``delay``, from 0 on."""
    first, last = (int(p.ordinal) for p in (triangle.periods[0], triangle.periods[-1]))
    found = _changed(records, triangle, tz)
    delay = (found["report"] - found["place"].clip(lower=first) - triangle.first_delay).clip(lower=0)
    return found.assign(delay=delay)[found["place"].between(first, last)]


def _changed(records: pd.DataFrame, triangle: ReportingTriangle, tz: str) -> pd.DataFrame:
    """Return each version that put a record elsewhere or nowhere, and where and whose it was before."""
    versions = _versions(records, triangle, tz).sort_values(["record", "order"], kind="stable")
    versions = versions[~versions.duplicated(["record", "report"], keep="last")]
    before = versions.groupby("record")[["place", "at", "group"]].shift()
    same = (before["place"] == versions["place"]) & (before["at"] == versions["at"])
    return versions.assign(was_place=before["place"], was_at=before["at"], was_group=before["group"])[~same]


def _versions(records: pd.DataFrame, triangle: ReportingTriangle, tz: str) -> pd.DataFrame:
    """Return each version of a record: the period in which it counts (the least number: in none), sector, report."""
    known = pd.to_datetime(records["known_at"], utc=True).dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    counts = (records["value"].to_numpy() > 0) & ~records["taken_back"].to_numpy(dtype=bool)
    counts &= records["period"].notna().to_numpy()
    about = np.full(len(records), np.iinfo(np.int64).min)
    about[counts] = ordinals(records["period"][counts], triangle.frequency)
    return pd.DataFrame(
        {
            "record": records["record"].to_numpy(), "place": about, "at": records["sector"].astype(str).to_numpy(),
            "group": records["group"].to_numpy(), "order": np.arange(len(records)),
            "report": report_ordinals(known, triangle.as_of, triangle.frequency),
        }
    )  # fmt: skip
