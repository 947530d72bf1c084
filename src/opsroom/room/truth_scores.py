"""Meridia's estimates against its truth: only a synthetic economy can be scored like this.

The truth is kept outside the room. It is compared with what was published, release by release, at each
release's own reference day, so that a figure is scored as it stood when it was said.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.results import TOTAL

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.economy import Truth
    from opsroom.protect.reader import Releases

SERIES = "resumption.national"
WEIGHTS = {
    "count": ("companies", "at_work"),
    "jobs": ("jobs", "jobs_at_work"),
    "sales": ("sales", "sales_at_work"),
}
SME = ("micro", "small", "medium")


def score_against_truth(releases: Releases, truth: Truth, holiday_end: dt.date) -> dict[str, float | None]:
    """Score the published national resumption figures from the first week after the holiday.

    Parameters
    ----------
    releases
        The room's reader.
    truth
        Meridia's truth.
    holiday_end
        Last day of the New Year holiday.

    Returns
    -------
    dict
        ``resumption_mae_pp``: mean absolute error over published days, all companies, by count, in points;
        ``interval_coverage``: share of published 90 % intervals (by count, jobs and sales; all companies and
        SMEs) that hold the truth; ``nowcast_rmse_ratio``: from the last published score table.
    """
    said = published(releases)
    said = said[said["reference"] > holiday_end + dt.timedelta(days=1)]
    outcome: dict[str, float | None] = {"resumption_mae_pp": None, "interval_coverage": None}
    if len(said):
        known = true_shares(truth, min(said["reference"]), max(said["reference"]))
        both = said.merge(known, on=["reference", "weight", "size"], validate="many_to_one")
        national = both[(both["weight"] == "count") & (both["size"] == TOTAL)]
        inside = (both["truth"] >= both["lower"]) & (both["truth"] <= both["upper"])
        outcome["resumption_mae_pp"] = round(float((national["resumed"] - national["truth"]).abs().mean()), 2)
        outcome["interval_coverage"] = round(float(inside.mean()), 3)
    outcome["nowcast_rmse_ratio"] = nowcast_ratio(releases)
    return outcome


def published(releases: Releases) -> pd.DataFrame:
    """Return each release's own figure of its reference day: day, reference, weight, size, resumed, bounds."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for release in releases.history(SERIES):
        reference = str(release.facts["reference_date"])
        frame = release.to_frame()
        frame = frame[(frame["date"] == reference) & frame["resumed"].notna()]
        rows.extend(
            {
                "day": release.day,
                "reference": dt.date.fromisoformat(reference),
                "weight": row.weight,
                "size": row.size_code,
                "resumed": row.resumed,
                "uncorrected": row.uncorrected,
                "lower": row.resumed_lower,
                "upper": row.resumed_upper,
            }
            for row in frame.rename(columns={"size": "size_code"}).itertuples()
        )
    return pd.DataFrame(
        rows, columns=["day", "reference", "weight", "size", "resumed", "uncorrected", "lower", "upper"]
    )


def true_shares(truth: Truth, start: dt.date, end: dt.date) -> pd.DataFrame:
    """Return the true shares at work in per cent: reference, weight, size (all and SMEs), truth."""
    import pandas as pd

    frame = truth.at_work(start, end)
    frame = frame.assign(reference=pd.to_datetime(frame["date"]).dt.date)
    pieces = []
    for size, part in ((TOTAL, frame), ("sme", frame[frame["size_class"].isin(SME)])):
        daily = part.groupby("reference").sum(numeric_only=True)
        for weight, (whole, there) in WEIGHTS.items():
            share = 100.0 * daily[there] / daily[whole].replace(0, np.nan)
            pieces.append(share.rename("truth").reset_index().assign(weight=weight, size=size))
    return pd.concat(pieces, ignore_index=True)


def nowcast_ratio(releases: Releases) -> float | None:
    """Return the nowcast's root mean square error over an AR(1)'s, as last published; None where it is not."""
    release = releases.latest("scores.nowcast")
    if release is None:
        return None
    frame = release.to_frame()
    every = frame[frame["horizon"] == "all"].set_index("method")["rmse"]
    return round(float(every["room"] / every["ar1"]), 2)


def weekly_scores(releases: Releases, truth: Truth) -> pd.DataFrame:
    """Return each release beside the truth of its reference day: what was said, the uncorrected figure, errors."""
    import pandas as pd

    said = published(releases)
    if said.empty:
        return pd.DataFrame()
    known = true_shares(truth, min(said["reference"]), max(said["reference"]))
    both = said.merge(known, on=["reference", "weight", "size"], validate="many_to_one")
    both["error"] = both["resumed"] - both["truth"]
    both["naive_error"] = both["uncorrected"] - both["truth"]
    both["inside"] = (both["truth"] >= both["lower"]) & (both["truth"] <= both["upper"])
    return both.round(2)


def with_benchmarks(weekly: pd.DataFrame) -> pd.DataFrame:
    """Return the weekly scores with a second benchmark: the figure of the release before, said again.

    Parameters
    ----------
    weekly
        What `weekly_scores` returns.

    Returns
    -------
    pandas.DataFrame
        The same with ``repeated`` (what the release before had said) and ``repeated_error``.
    """
    if weekly.empty:
        return weekly
    ordered = weekly.sort_values("day", kind="stable")
    repeated = ordered.groupby(["weight", "size"])["resumed"].shift(1)
    return ordered.assign(repeated=repeated, repeated_error=(repeated - ordered["truth"]).round(2))


def nowcast_scores(releases: Releases, truth: Truth) -> pd.DataFrame:
    """Return each headline nowcast of its target quarter beside that quarter's true growth and two naive benchmarks.

    Parameters
    ----------
    releases
        The room's reader.
    truth
        Meridia's truth.

    Returns
    -------
    pandas.DataFrame
        ``day, quarter, nowcast, lower, upper`` (% on the quarter before); ``ar1`` (past GDP only) and ``last``
        (the growth last published, said again); ``truth``; an ``error`` in points of each; ``inside``.
    """
    import pandas as pd

    growth = _true_growth(truth)
    rows: list[dict[str, Any]] = []
    for release in releases.history("nowcast.gdp"):
        quarter = str(release.facts.get("target_quarter", ""))
        frame = release.to_frame()
        own = frame[(frame["quarter"] == quarter) & frame["growth"].notna()].set_index("kind")
        said = "pool" if release.facts.get("headline") == "pool" else "nowcast"
        known = frame[(frame["kind"] == "official") & (frame["quarter"] < quarter)].sort_values("quarter")
        if said not in own.index or quarter not in growth.index:
            continue
        rows.append(
            {
                "day": release.day,
                "quarter": quarter,
                "nowcast": own.at[said, "growth"],
                "lower": own.at[said, "growth_lower"],
                "upper": own.at[said, "growth_upper"],
                "ar1": own.at["ar1", "growth"] if "ar1" in own.index else None,
                "last": known["growth"].iloc[-1] if len(known) else None,
                "truth": growth[quarter],
            }
        )
    scored = pd.DataFrame(rows, columns=["day", "quarter", "nowcast", "lower", "upper", "ar1", "last", "truth"])
    for name in ("nowcast", "ar1", "last"):
        scored[name] = scored[name].astype(float)
        scored[f"{name}_error"] = scored[name] - scored["truth"]
    scored["inside"] = (scored["truth"] >= scored["lower"]) & (scored["truth"] <= scored["upper"])
    return scored.round(2)


def _true_growth(truth: Truth) -> pd.Series:
    """Return true growth on the quarter before, in per cent, by quarter code."""
    import pandas as pd

    level = truth.gdp()
    level = level.set_axis([f"{at.year}-Q{at.quarter}" for at in pd.DatetimeIndex(level.index)])
    return 100.0 * (level / level.shift(1) - 1.0)
