"""What the nowcast returns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import NotFoundError
from opsroom.base.results import Cells, Measure
from opsroom.measure.nowcast.dfm.results import Basis
from opsroom.measure.nowcast.releases import NextRelease

if TYPE_CHECKING:
    from opsroom.measure.nowcast.engine import Workings
    from opsroom.measure.nowcast.news import News

TARGET = "first release, quarter on quarter, not annualised"
"""What is nowcast, in the words that every face shows."""

Headline = Literal["model", "pool"]
"""Which of the two figures comes first."""
HEADLINES: tuple[Headline, ...] = ("model", "pool")

_BOUNDS = ("growth_lower", "growth_upper", "growth_lower68", "growth_upper68")


@dataclass(frozen=True, slots=True)
class QuarterNowcast:
    """The nowcast of one quarter.

    Attributes
    ----------
    quarter
        As ``2020-Q1``.
    horizon_days
        Days from the as-of day to the expected first release; negative when that is overdue.
    growth, deviation
        % on the quarter before, not annualised; standard deviation of its error, points.
    lower68, upper68, lower90, upper90
        Nominal intervals, %.
    basis
        What the intervals rest on; `past` how many past quarters.
    shock
        The common factors were shocked around this quarter.
    ar1, ar1_deviation, bridge, bridge_deviation
        The two benchmarks and the standard deviations of their errors.
    discord
        Standard deviation among the bridge equations, points.
    pool, pool_lower68, pool_upper68, pool_lower90, pool_upper90
        What the model and the two benchmarks say together, %, see `together`.
    pool_past, pool_weights
        Past quarters on which the weights rest, and model → weight (``nowcast``, ``bridge``, ``ar1``).
    normal
        The growth that the model expects without any news, %.
    components
        What each series adds to `normal`, points; they add up to ``growth - normal``.
    """

    quarter: str
    horizon_days: int
    growth: float
    deviation: float
    lower68: float
    upper68: float
    lower90: float
    upper90: float
    basis: Basis
    past: int
    shock: bool
    ar1: float
    ar1_deviation: float
    bridge: float
    bridge_deviation: float
    discord: float
    pool: float
    pool_lower68: float
    pool_upper68: float
    pool_lower90: float
    pool_upper90: float
    pool_past: int
    pool_weights: Mapping[str, float]
    normal: float
    components: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class NowcastResult:
    """GDP growth of the quarters without a first release, as of one day.

    Attributes
    ----------
    as_of, target
        The vintage's day and the target's code.
    target_quarter
        The headline: the quarter in which `as_of` lies.
    quarters
        One nowcast a quarter, from the first unreleased one to the quarter after `as_of`'s.
    official
        Quarter → growth in the vintage itself, the newest eight quarters.
    next_release, calendar
        The release expected next, and each series' next one, with how far it could move the headline.
    workings
        Panel, fit and settings, needed by `news`.
    titles
        Series → name for readers.
    learnt_on
        As of which day the parameters were learnt: `as_of`, or earlier.
    """

    as_of: dt.date
    target: str
    target_quarter: str
    quarters: tuple[QuarterNowcast, ...]
    official: Mapping[str, float]
    next_release: NextRelease | None
    calendar: tuple[NextRelease, ...]
    workings: Workings
    titles: Mapping[str, str]
    learnt_on: dt.date

    @property
    def headline(self) -> QuarterNowcast:
        """The nowcast of the target quarter."""
        return self.quarter(self.target_quarter)

    @property
    def point(self) -> float:
        """Growth of the target quarter, % on the quarter before, not annualised."""
        return self.headline.growth

    @property
    def horizon_days(self) -> int:
        """Days from the as-of day to the target quarter's expected first release."""
        return self.headline.horizon_days

    def quarter(self, name: str) -> QuarterNowcast:
        """Return the nowcast of one quarter.

        Raises
        ------
        NotFoundError
            The quarter is released already or too far ahead.
        """
        for one in self.quarters:
            if one.quarter == name:
                return one
        raise NotFoundError(
            f"there is no nowcast of {name} as of {self.as_of.isoformat()}.",
            remedy=f"Ask for one of {', '.join(q.quarter for q in self.quarters)}.",
        )

    def news(self, previous: NowcastResult, *, quarter: str | None = None) -> News:
        """Explain the change since an earlier nowcast, series by series; see `news.explain`."""
        from opsroom.measure.nowcast.news import explain

        return explain(self, previous, quarter=quarter)

    def summary(self) -> str:
        """Return the nowcast in a few lines."""
        q = self.headline
        lines = [
            f"Nowcast of {self.target}, {q.quarter}, as of {self.as_of.isoformat()} ({TARGET})",
            f"  {q.growth:+.2f} %   90 %: {q.lower90:+.2f} to {q.upper90:+.2f}   68 %: "
            f"{q.lower68:+.2f} to {q.upper68:+.2f}   ({q.basis}, {q.past} past quarters)",
            f"  AR(1) {q.ar1:+.2f} %, pooled bridges {q.bridge:+.2f} %; {q.horizon_days} days to the release",
            f"  all together {q.pool:+.2f} %   90 %: {q.pool_lower90:+.2f} to {q.pool_upper90:+.2f}   ("
            + ", ".join(f"{model} {weight:.0%}" for model, weight in q.pool_weights.items())
            + f"; {q.pool_past} past quarters)",
        ]
        if self.next_release:
            due = self.next_release
            lines.append(f"  next: {due.series} for {due.period}, expected {due.date.isoformat()}")
        report = self.workings.fitted.report
        if report is not None:
            lines.append(f"  fit: {report.cells} observations, converged in {report.steps} steps")
        else:
            lines.append(f"  parameters as learnt on {self.learnt_on.isoformat()}")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a quarter."""
        columns = [f for f in QuarterNowcast.__slots__ if f not in ("components", "pool_weights")]
        return pd.DataFrame([{c: getattr(q, c) for c in columns} for q in self.quarters])

    def cite(self) -> str:
        """Return sources, method version and vintage."""
        return (
            "Mixed-frequency factor model with heavy-tailed errors after Bańbura and Modugno (2014), "
            "Journal of Applied Econometrics 29:133-160, and Mariano and Murasawa (2003), 18:427-443; "
            f"opsroom {__version__}, vintage of {self.as_of.isoformat()}."
        )

    def cells(self, *, previous: NowcastResult | None = None, headline: Headline = "model") -> list[Cells]:
        """Return the release series ``nowcast.gdp`` and, with an earlier nowcast, ``nowcast.news``.

        Parameters
        ----------
        previous
            The nowcast of the publication before, for what has changed.
        headline
            Which figure pages and briefings put first: that of the factor ``"model"``, or of all models together
            (``"pool"``). The release holds both.
        """
        from opsroom.measure.nowcast.news import told

        news = self._news_if_any(previous)
        facts: dict[str, object] = {
            "target_quarter": self.target_quarter,
            "horizon_days": self.horizon_days,
            "target": TARGET,
            "headline": "pool" if headline == "pool" else "nowcast",
            "basis": self.headline.basis,
            "past_quarters": self.headline.past,
            "shock": self.headline.shock,
            "next_release": _due(self.next_release),
            "calendar": [_due(r) for r in self.calendar[:12]],
            "titles": dict(self.titles),
            "learnt_on": self.learnt_on.isoformat(),
            "pool_weights": {model: round(weight, 3) for model, weight in self.headline.pool_weights.items()},
            "pool_past": self.headline.pool_past,
        }
        if previous is not None and news is not None:
            facts["previous"] = {
                "day": previous.as_of.isoformat(),
                "growth": round(news.before, 2),
                "pool": round(news.pool.before, 2),
            }
            facts["news"] = told(news.result)
            facts["pool_news"] = told(news.pool)
        rows = [row for q in self.quarters for row in _rows(q)]
        rows += [
            {"quarter": q, "kind": "official", "growth": round(g, 2), **dict.fromkeys(_BOUNDS)}
            for q, g in self.official.items()
        ]
        frame = pd.DataFrame(rows)
        frame[list(_BOUNDS)] = frame[list(_BOUNDS)].astype(float)
        measure = Measure("growth", "public", "% on the quarter before", decimals=2, attached=_BOUNDS)
        out = [
            Cells(
                "nowcast.gdp",
                ("quarter", "kind"),
                (measure,),
                frame,
                method="nowcast-1",
                facts=facts,
                unit_kind="public",
            )
        ]
        if news is not None:
            out.append(news.cells())
        return out

    def _news_if_any(self, previous: NowcastResult | None) -> News | None:
        """Explain the change where the earlier nowcast covered the same quarter."""
        if previous is None or self.target_quarter not in {q.quarter for q in previous.quarters}:
            return None
        return self.news(previous)


def _due(release: NextRelease | None) -> dict[str, object] | None:
    if release is None:
        return None
    found: dict[str, object] = {"series": release.series, "period": release.period, "date": release.date.isoformat()}
    if release.could_move is not None:
        found["could_move"] = round(release.could_move, 3)
    return found


def _rows(q: QuarterNowcast) -> list[dict[str, object]]:
    def row(kind: str, growth: float, low90: float, high90: float, low68: float, high68: float) -> dict[str, object]:
        values = (growth, low90, high90, low68, high68)
        names = ("growth", *_BOUNDS)
        return {
            "quarter": q.quarter,
            "kind": kind,
            **{name: round(value, 2) for name, value in zip(names, values, strict=True)},
        }

    rows = [
        row("nowcast", q.growth, q.lower90, q.upper90, q.lower68, q.upper68),
        row("pool", q.pool, q.pool_lower90, q.pool_upper90, q.pool_lower68, q.pool_upper68),
    ]
    for kind, value, sd in (("ar1", q.ar1, q.ar1_deviation), ("bridge", q.bridge, q.bridge_deviation)):
        # Gaussian bounds: the benchmarks state what a textbook would.
        rows.append(row(kind, value, value - 1.645 * sd, value + 1.645 * sd, value - 0.994 * sd, value + 0.994 * sd))
    return rows
