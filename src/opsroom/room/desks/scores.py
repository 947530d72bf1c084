"""Desk `scores`: were we right? Published figures against what is known now, beside naive rules.

Settings: ``series`` (default ``resumption.national``), ``measure`` (``resumed``), ``naive`` (a measure of the same
release that stands for the uncorrected figure, ``uncorrected``), ``where`` (dimension codes that pick one figure).

All of it is a function of releases alone. The outcome is the latest published figure of the same day,
so that the score is of revision, not of truth; it says so (``against = latest``).
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


class ScoresDesk:
    """Score what was said."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``scores.resumption``: errors by method, and coverage of the intervals."""
        said = spoken(view, settings)
        if len(said) < MINIMUM:
            return DeskOutcome(None, note="too few releases to score yet")
        frame = score_table(said)
        cells = Cells(
            name="scores.resumption",
            dimensions=("method", "against"),
            measures=(
                Measure("mae", "public", "points", decimals=2),
                Measure("bias", "public", "points", decimals=2),
                Measure("coverage", "public", "%", decimals=0),
                Measure("n", "public", "releases", decimals=0),
            ),
            frame=frame,
            method="scores",
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
        frame = release.to_frame()
        for name, code in where.items():
            frame = frame[frame[name] == code]
        frame = frame.set_index("date")
        known = frame[measure].dropna()
        latest |= dict(zip(known.index.astype(str), known.astype(float), strict=True))
        reference = str(release.facts.get("reference_date", ""))
        if reference in known.index:
            row = frame.loc[reference]
            rows.append(
                {
                    "reference": reference,
                    "room": row[measure],
                    "uncorrected": row[naive],
                    "lower": row[f"{measure}_lower"],
                    "upper": row[f"{measure}_upper"],
                }
            )
    said = pd.DataFrame(rows, columns=["reference", "room", "uncorrected", "lower", "upper"])
    said["persistence"] = said["room"].shift(1)
    said["outcome"] = said["reference"].map(latest)
    # The last release's figure is the latest itself: it cannot be scored yet.
    return said.iloc[:-1]


def score_table(said: pd.DataFrame) -> pd.DataFrame:
    """Return mean absolute error, bias and coverage of the room's figure and of two naive rules."""
    import pandas as pd

    from opsroom.base.scores import bias, coverage, mae

    rows = []
    for method in ("room", "uncorrected", "persistence"):
        pairs = said.dropna(subset=[method, "outcome"])
        estimate, outcome = pairs[method].to_numpy(float), pairs["outcome"].to_numpy(float)
        inside = (
            100 * coverage(pairs["lower"].to_numpy(float), pairs["upper"].to_numpy(float), outcome)
            if method == "room"
            else float("nan")
        )
        rows.append(
            {
                "method": method,
                "against": "latest",
                "mae": mae(estimate, outcome),
                "bias": bias(estimate, outcome),
                "coverage": inside,
                "n": len(pairs),
            }
        )
    return pd.DataFrame(rows)


DESK = ScoresDesk()
