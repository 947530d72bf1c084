"""Desk `sector_gaps`: credit gaps by sector, of what the desk `credit_register` has published.

Settings: ``series`` (default ``credit.sector``), ``threshold`` (points of value added; default 10).

It reads releases alone: a gap is a function of every quarter before it, so that a withheld quarter could be solved for
from gaps made of unreleased sums. A withheld quarter is a hole. Gaps begin with the 41st quarter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsroom.base.errors import SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, settings_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("credit", "value_added")


class SectorGapsDesk:
    """Make gaps of released sums."""

    cadences: Mapping[str, Cadence] = {"credit.sector_gap": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``credit.sector_gap``: gap, trend and what drives it, by quarter and sector."""
        from opsroom.warn.credit_gap import sector_gaps
        from opsroom.warn.credit_gap.trend import BURN_IN

        series = str(settings.get("series", "credit.sector"))
        table = _released(view, settings, series)
        if table is None:
            return DeskOutcome(None, note=f"nothing published yet of {series}")
        by = [d for d in table.columns if d not in ("quarter", *COLUMNS)]
        with settings_of(settings):
            found = sector_gaps(table, by=by, sum_over=1, threshold=float(settings.get("threshold", 10.0)))
        if found.frame["gap"].notna().sum() == 0:
            return DeskOutcome(found, note=f"no gap yet: more than {BURN_IN} published quarters are needed")
        return DeskOutcome(found, (found.cells(),))


def _released(view: View, settings: DeskSettings, series: str) -> pd.DataFrame | None:
    """Return the sums as published, each quarter as first told; None where there are none."""
    import pandas as pd

    frames = []
    for release in view.releases.history(series):
        if release.day > view.day:
            continue
        frame = pd.DataFrame(list(release.rows), columns=list(release.columns))
        dimensions = list(release.dimensions)
        if "quarter" not in dimensions or not set(COLUMNS) <= set(frame.columns) or len(dimensions) < 2:
            raise SettingsError(
                f"room.toml: desk {settings.name!r}: series {series!r} is no table of credit and value added.",
                remedy="Name a series of the desk credit_register.",
                code="OPS-C006",
            )
        frames.append(frame[[*dimensions, *COLUMNS]])
    if not frames:
        return None
    whole = pd.concat(frames, ignore_index=True)
    dimensions = [c for c in whole.columns if c not in COLUMNS]
    whole = whole.drop_duplicates(dimensions, keep="first").astype(dict.fromkeys(COLUMNS, float))
    whole["value_added"] = whole["value_added"].where(whole["value_added"] > 0)
    return whole


DESK = SectorGapsDesk()
