"""What the desk `nowcast` takes a series for, where its settings do not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.measure.nowcast import SeriesSpec

SHORTEST = 24
"""Periods below which a series is left aside."""


def guess_series(vintages: pd.DataFrame) -> list[SeriesSpec]:
    """Return frequency and transform of each series, seen from its values.

    A series that is above zero throughout grows in per cent (a quarterly one at a yearly rate); one that is not,
    such as a survey balance, changes in its own units. Say otherwise in the desk's ``series``.
    """
    from opsroom.measure.nowcast import SeriesSpec

    latest = vintages.drop_duplicates(["series", "period"], keep="last").dropna(subset=["value"])
    found = []
    for name, part in latest.groupby("series", sort=True):
        gap = part["period"].sort_values().diff().dt.days.median()
        if len(part) < SHORTEST and not gap > 80:
            continue
        positive = bool((part["value"] > 0).all())
        if gap > 80:
            found.append(SeriesSpec(str(name), frequency="Q", transform="pca" if positive else "chg"))
        elif gap > 20:
            found.append(SeriesSpec(str(name), frequency="M", transform="pch" if positive else "chg"))
        else:
            found.append(
                SeriesSpec(str(name), frequency="W" if gap > 4 else "D", transform="pch" if positive else "chg")
            )
    return found


def guess_target(specs: list[SeriesSpec]) -> tuple[str, str]:
    """Return the only quarterly series, or an empty text and the reason why there is no telling."""
    quarterly = [s.name for s in specs if s.frequency == "Q"]
    if len(quarterly) == 1:
        return quarterly[0], ""
    if not quarterly:
        return "", "no series is quarterly: there is nothing to nowcast"
    return "", f"several series are quarterly ({', '.join(quarterly)}): name the target in room.toml"
