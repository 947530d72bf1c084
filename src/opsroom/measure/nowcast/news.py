"""Why the room's nowcast moved between two days: releases, revisions, withdrawals, weights, parameters."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.measure.nowcast.dfm.news import NewsResult

if TYPE_CHECKING:
    from opsroom.measure.nowcast.results import NowcastResult


@dataclass(frozen=True, slots=True)
class News:
    """The change between two nowcasts of one quarter.

    Attributes
    ----------
    quarter
        Which quarter.
    day_before, day_after
        The two as-of days.
    result
        The pieces; see `NewsResult`. What has no series is ``weights`` (what an error weighs, now that more is
        known) and ``parameters`` (the model learnt anew).
    """

    quarter: str
    day_before: dt.date
    day_after: dt.date
    result: NewsResult

    @property
    def before(self) -> float:
        """The earlier nowcast, %."""
        return self.result.before

    @property
    def after(self) -> float:
        """The later nowcast, %."""
        return self.result.after

    @property
    def total(self) -> float:
        """The whole change in points; equals ``after - before`` to 1e-10."""
        return self.result.total

    def by_series(self) -> pd.Series:
        """Add up by series, largest first; what has no series stands under its kind."""
        return self.result.by_series()

    def by_kind(self) -> pd.Series:
        """Add up by kind."""
        return self.result.by_kind()

    def to_frame(self) -> pd.DataFrame:
        """Return the pieces of the change, the largest first."""
        return self.result.to_frame()

    def summary(self) -> str:
        """Return the change in a few lines."""
        lines = [f"{self.quarter}: {self.before:+.3f} % on {self.day_before} → {self.after:+.3f} % on {self.day_after}"]
        lines += [f"  {name:24s} {value:+.3f}" for name, value in self.by_series().head(8).items()]
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return (
            "News after Bańbura and Modugno (2014), Journal of Applied Econometrics 29:133-160; "
            f"opsroom {__version__}, vintages of {self.day_before} and {self.day_after}."
        )

    def cells(self) -> Cells:
        """Return the release series ``nowcast.news``: quarter x series x component, in points."""
        pieces = self.result.detail
        pieces = pieces.assign(series=pieces["series"].where(pieces["series"] != "", TOTAL))
        table = pieces.groupby(["series", "kind"], sort=True)["impact"].sum().reset_index()
        table.columns = ["series", "component", "contribution"]
        rest = pd.DataFrame({"series": [TOTAL], "component": [TOTAL], "contribution": [self.total]})
        frame = pd.concat([table, rest], ignore_index=True)
        frame.insert(0, "quarter", self.quarter)
        frame["contribution"] = frame["contribution"].round(3)
        return Cells(
            "nowcast.news",
            ("quarter", "series", "component"),
            (Measure("contribution", "public", "points", decimals=3),),
            frame,
            method="nowcast",
            unit_kind="public",
            facts={
                "before": round(self.before, 3),
                "after": round(self.after, 3),
                "day_before": self.day_before.isoformat(),
                "day_after": self.day_after.isoformat(),
            },
        )


def explain(new: NowcastResult, old: NowcastResult, *, quarter: str | None = None) -> News:
    """Split the change between two nowcasts of a quarter.

    Parameters
    ----------
    new, old
        Nowcasts of the same target on two days.
    quarter
        Which quarter; default the newer one's headline.

    Raises
    ------
    UsageError
        Another target, days in the wrong order, or a quarter that one of them lacks.

    Notes
    -----
    Releases, revisions and withdrawals are valued with the parameters and weights of the earlier day: by what one
    knew, so much was news. What the errors weigh in the light of the later data, and what learning the parameters
    anew adds, are pieces of their own; a series that enters the model is in the latter. The assumption that fails
    most often: that a revision of levels far back tells something; it mostly shows up as many tiny pieces.
    """
    if new.target != old.target or old.as_of > new.as_of:
        raise UsageError(
            "news need an earlier and a later nowcast of the same target.",
            remedy="Call later.news(earlier).",
        )
    name = quarter or new.target_quarter
    for result in (new, old):
        if name not in (known := [q.quarter for q in result.quarters]):
            raise UsageError(
                f"the nowcast as of {result.as_of} has none of {name}.", remedy=f"Choose one of {', '.join(known)}."
            )
    monthly, quarterly = new.workings.panel.tables()
    found = old.workings.fitted.news(monthly, quarterly, new.target, name, refit=new.workings.fitted)
    return News(name, old.as_of, new.as_of, found)
