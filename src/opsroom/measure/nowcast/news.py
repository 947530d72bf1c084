"""Why the room's nowcast moved between two days: releases, revisions, withdrawals, weights, parameters.

And why what all models say together moved: the factor model's pieces, as far as it counts in the pool, what the other
models changed, and what the pool's own weights did.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import InternalError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.measure.nowcast.dfm.news import NewsResult

if TYPE_CHECKING:
    from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast

OTHERS = "models"
"""Kind of what the other models changed, at the weights of the earlier day."""
SHARES = "shares"
"""Kind of what the change of the pool's weights did, at what the models say on the later day."""
_EXACT = 1e-10


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
    pool
        The pieces of the change of what all models say together; see `pooled`.
    """

    quarter: str
    day_before: dt.date
    day_after: dt.date
    result: NewsResult
    pool: NewsResult

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
            method="nowcast-1",
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
    return News(name, old.as_of, new.as_of, found, pooled(found, new.quarter(name), old.quarter(name)))


def pooled(found: NewsResult, new: QuarterNowcast, old: QuarterNowcast) -> NewsResult:
    r"""Split the change of what all models say together, given that of the factor model's nowcast.

    Parameters
    ----------
    found
        The factor model's pieces.
    new, old
        What was said of the quarter on the two days.

    Returns
    -------
    NewsResult
        The factor model's pieces times its weight of the earlier day; a piece of kind ``models``, what the other
        models changed at their weights of that day; a piece of kind ``shares``, what the weights changed. No piece has
        another's series, and their sum is the change.

    Raises
    ------
    InternalError
        The pieces do not add up to the change within 1e-10 points, or of the largest number where that is more.

    Notes
    -----
    For weights :math:`w` and means :math:`m` of model :math:`j` (0: the factor model), the pool's mean changes by
    :math:`w_0\Delta m_0+\sum_{j>0}w_j\Delta m_j+\sum_j\Delta w_j\,m_j^+`, with weights of the earlier and, in the last
    sum, means of the later day.
    """
    means = [{"nowcast": float(one.growth), "bridge": float(one.bridge), "ar1": float(one.ar1)} for one in (old, new)]
    weights = [dict(one.pool_weights) for one in (old, new)]
    own = weights[0]["nowcast"]
    others = sum(weights[0][name] * (means[1][name] - means[0][name]) for name in means[0] if name != "nowcast")
    shares = sum((weights[1][name] - weights[0][name]) * means[1][name] for name in means[1])
    pieces = found.detail.assign(weight=found.detail["weight"] * own, impact=found.detail["impact"] * own)
    blank = {"series": "", "period": "", "expected": float("nan"), "actual": float("nan"), "weight": float("nan")}
    rest = pd.DataFrame([{"kind": OTHERS, **blank, "impact": others}, {"kind": SHARES, **blank, "impact": shares}])
    detail = pd.concat([pieces, rest[list(pieces.columns)]], ignore_index=True) if len(pieces) else rest
    out = NewsResult(found.target, found.period, old.pool, new.pool, detail, found.blocks)
    # In units of what is added up, as the factor model's own pieces are: rounding grows with them.
    size = max(1.0, *(abs(mean) for one in means for mean in one.values()))
    slack = own * abs(found.total - (found.after - found.before))  # within what `added_up` has let pass
    if not abs(out.total - (new.pool - old.pool)) <= _EXACT * size + slack:
        raise InternalError(
            "the pieces of the pool's change do not add up to it.", code="OPS-I112", remedy="Report the two vintages."
        )
    return out


def told(news: NewsResult) -> list[dict[str, object]]:
    """Return a change by series, largest first, as the facts of a release tell it: points, three decimals.

    What has a series has no ``kind``, and the other way round: a series may be called like a kind.
    """
    pieces = news.detail.assign(kind=news.detail["kind"].where(news.detail["series"] == "", ""))
    total = pieces.groupby(["series", "kind"])["impact"].sum()
    order = total.abs().sort_values(ascending=False, kind="stable").index
    return [
        {"series": series, "kind": kind, "contribution": round(float(total[series, kind]), 3)} for series, kind in order
    ]
