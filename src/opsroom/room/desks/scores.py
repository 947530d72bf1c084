"""Desk `scores`: were we right? Published figures against what is known now, beside naive rules.

Settings: ``series`` (default ``resumption.national``), ``measure`` (``resumed``), ``naive`` (a measure of the same
release that stands for the uncorrected figure, ``uncorrected``), ``where`` (dimension codes that pick one figure).

All of it is a function of releases alone. The outcome is the latest published figure of the same day,
so that the score is of revision, not of truth; it says so (``against = final``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View

if TYPE_CHECKING:
    import pandas as pd

MINIMUM = 3
"""Releases needed before a score means anything."""

METHODS = ("room", "naive", "persistence")
"""The room's figure, the uncorrected figure, and what was said a release earlier."""


class ScoresDesk:
    """Score what was said."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``scores.resumption``: the error of each past release, by method, against what is known now."""
        said = spoken(view, settings)
        if len(said) < MINIMUM:
            return DeskOutcome(None, note="too few releases to score yet")
        frame = score_table(said)
        cells = Cells(
            name="scores.resumption",
            dimensions=("day", "method", "against"),
            measures=(
                Measure("mae", "public", "points", decimals=2),
                Measure("bias", "public", "points", decimals=2),
                Measure("coverage", "public", "%", decimals=0),
            ),
            frame=frame,
            method="scores-1",
            unit_kind="public",
            facts={"series": str(settings.get("series", "resumption.national"))},
        )
        return DeskOutcome(frame, (cells,))


def spoken(view: View, settings: DeskSettings) -> pd.DataFrame:
    """Return what each release said of its reference day, what the next-to-last said, and the latest figure."""
    import pandas as pd

    series = str(settings.get("series", "resumption.national"))
    measure = str(settings.get("measure", "resumed"))
    naive = str(settings.get("naive", "uncorrected"))
    where = dict(settings.get("where", {"weight": "count", "size": "_T"}))
    rows: list[dict[str, Any]] = []
    latest: dict[str, float] = {}
    for release in view.releases.history(series):
        if release.day > view.day:
            continue
        frame = release.to_frame(where=where)
        frame = frame.set_index("date")
        known = frame[measure].dropna()
        latest |= dict(zip(known.index.astype(str), known.astype(float), strict=True))
        reference = str(release.facts.get("reference_date", ""))
        if reference in known.index:
            row = frame.loc[reference]
            rows.append(
                {
                    "day": release.day.isoformat(),
                    "reference": reference,
                    "room": row[measure],
                    "naive": row[naive],
                    "lower": row[f"{measure}_lower"],
                    "upper": row[f"{measure}_upper"],
                }
            )
    said = pd.DataFrame(rows, columns=["day", "reference", "room", "naive", "lower", "upper"])
    said["persistence"] = said["room"].shift(1)
    said["outcome"] = said["reference"].map(latest)
    # The last release's figure is the latest itself: it cannot be scored yet.
    return said.iloc[:-1]


def score_table(said: pd.DataFrame) -> pd.DataFrame:
    """Return each release's error by method: the room's figure, the uncorrected one, and last week's.

    ``mae`` is the absolute error and ``bias`` the signed one, estimate minus outcome, in points; ``coverage`` is 100
    where the room's 90 % interval held the outcome, else 0.
    """
    import pandas as pd

    pieces = []
    for method in METHODS:
        error = said[method] - said["outcome"]
        inside = (said["outcome"] >= said["lower"]) & (said["outcome"] <= said["upper"])
        pieces.append(
            pd.DataFrame(
                {
                    "day": said["day"],
                    "method": method,
                    "against": "final",
                    "mae": error.abs(),
                    "bias": error,
                    "coverage": 100.0 * inside if method == "room" else float("nan"),
                }
            ).dropna(subset=["mae"])
        )
    return pd.concat(pieces, ignore_index=True)


DESK = ScoresDesk()
