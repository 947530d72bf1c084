"""Ratios of many areas watched round by round, each period by what was known when it became known.

An alarm of 2015 must rest on the figures of 2015, and a desk that looks every quarter looks often. So each period is
tested once, when all areas have it; false discovery is held over the areas of a round (Benjamini and Yekutieli) and
over the rounds of a year (each gets its share of alpha before it is seen). Later revisions of a period are shown, but
are no new test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.warn.as_known import rounds
from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.critical import monte_carlo_values
from opsroom.warn.exuberance.discovery import adjusted
from opsroom.warn.exuberance.drawing import in_chunks, low_where_absent
from opsroom.warn.exuberance.episodes import Episode, best_start, date_stamps, periods_a_year, shortest
from opsroom.warn.exuberance.result import CAVEAT
from opsroom.warn.exuberance.sequences import FEWEST, Floats, Plan, plan_for, scaled, sequences

LEAST = 12
"""Rows of the smallest window: three years of quarters. One window for all lengths, so that one set of draws does."""

STEP = 64
"""Paths are drawn for the next multiple of so many observations: a date's statistic looks back only."""

FALL_OVER = 3
"""Years among which a fall looks for the highest price."""

COLUMNS = (
    "area", "period", "known_at", "ratio", "bsadf", "p_value", "q_value", "direction", "doubt_boom", "doubt_crash",
    "fall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dated:
    """One area's ratio as last known, dated.

    Attributes
    ----------
    series
        The stretch without a gap that was tested.
    index, bsadf, critical
        Dates of the statistic, the statistic, and the sequence that it is held against.
    episodes
        Oldest first.
    """

    series: pd.Series
    index: pd.Index
    bsadf: Floats
    critical: Floats
    episodes: tuple[Episode, ...]


@dataclass(frozen=True, slots=True)
class RatioRounds:
    """What a watch over ratios has said, period by period, by data of the day.

    Attributes
    ----------
    frame
        One row an area and round: ``area``, ``period``, ``known_at``, ``ratio`` and its ``bsadf`` as known then,
        ``p_value``, ``q_value`` (adjusted for the areas of the round), ``direction`` (``boom`` or ``crash``, where
        there is doubt below one), ``doubt_boom`` and ``doubt_crash``: the share of false alarms, over the areas and
        a year of rounds, that one accepts who takes this for a boom or a crash; 1 where there is no sign of it;
        ``fall``: how far the price itself is below its highest of the last `FALL_OVER` years, as a share: what booms
        are held against.
    latest
        Ratios as last known: one column an area, one row a period.
    level
        The doubt up to which there is an alarm.
    a_year
        Rounds among which the level is divided, those of other families of ratios among them.
    """

    frame: pd.DataFrame
    latest: pd.DataFrame
    level: float
    a_year: int
    plan: Plan
    draws: int

    @property
    def lags(self) -> int:
        """Of the statistic and its critical values."""
        return self.plan.lags

    def dated(self, *, level: float = 0.95, draws: int = 1999, seed: int = 0) -> dict[str, Dated]:
        """Return statistic, critical sequence and episodes of each area's ratio as last known.

        Parameters
        ----------
        level, draws, seed
            Of the critical sequence, by Monte Carlo, of the series' own length, lags and window.

        Notes
        -----
        The same as `gsadf` says of each series alone, all series of a length at once.
        """
        tails = {area: _tail(self.latest[area]) for area in self.latest.columns}
        by_length: dict[int, list[str]] = {}
        for area, tail in tails.items():
            if _length(tail.to_numpy(), self.plan):
                by_length.setdefault(len(tail), []).append(str(area))
        out = {}
        for length, areas in by_length.items():
            critical = monte_carlo_values(
                length, lags=self.lags, min_window=self.plan.least, draws=draws, levels=(level,), seed=seed
            ).bsadf[level].to_numpy()  # fmt: skip
            values = [tails[area].to_numpy(dtype=np.float64) for area in areas]
            paths = np.array([scaled(one) for one in values])
            found = sequences(paths, self.plan).bsadf
            for k, area in enumerate(areas):
                index = tails[area].index
                episodes = date_stamps(
                    values[k], index, found[k], critical, self.plan, min_duration=shortest(length), any_start=True,
                    walk=paths[k], years=periods_a_year(index),
                )  # fmt: skip
                out[area] = Dated(tails[area], index[self.plan.lead :], found[k], critical, episodes)
        return {str(area): out[str(area)] for area in self.latest.columns if str(area) in out}

    def alarms(self, direction: str = "boom") -> pd.DataFrame:
        """Return the rows that are alarms."""
        return self.frame[self.frame[f"doubt_{direction}"] <= self.level].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row an area and round."""
        return self.frame

    def summary(self) -> str:
        """Return what the last round says, and what its alarms are worth."""
        if self.frame.empty:
            return "No round yet: the ratios are too short."
        last = self.frame["period"].max()
        told = []
        for direction in ("boom", "crash"):
            now = self.alarms(direction)
            told += [f"{area} ({direction})" for area in now.loc[now["period"] == last, "area"]]
        return (
            f"{last}: explosive {', '.join(told) if told else 'nowhere'}; false discovery rate {self.level:g} over "
            f"areas and a year of {self.a_year} rounds, {self.lags} lags, Monte Carlo.\n{CAVEAT}"
        )

    def cite(self) -> str:
        """Return method and version."""
        return (
            "BSADF after Phillips, Shi and Yu (2015), each period by the data of its day; false discovery rate after "
            f"Benjamini and Yekutieli (2001), shared out over the rounds of a year; opsroom {__version__}."
        )


def watch_ratios(
    price: pd.DataFrame, fundamental: pd.DataFrame, *, freq: str = "Q", lags: int = 1, min_window: int = LEAST,
    level: float = 0.05, families: int = 1, draws: int = 9_999, seed: int = 0,
) -> RatioRounds:  # fmt: skip
    """Test ratios of prices to fundamentals, each period when it became known.

    Answers: where, on which day, would this room have said that prices run away from what should carry them?

    Parameters
    ----------
    price, fundamental
        Long tables of vintages: ``area``, ``period``, ``known_at``, ``value``.
    freq
        ``Q`` or ``M``.
    lags
        0 to 12; of the statistic and of its critical values.
    min_window
        Rows of the smallest window.
    level
        False discovery rate of a year, over areas, rounds and families.
    families
        Ratios watched beside each other (price to rent, price to income): each gets its part of the level.
    draws, seed
        Of the paths without a bubble.

    Returns
    -------
    RatioRounds

    Raises
    ------
    UsageError
        A column is missing, or lags, window or level are out of range.

    Notes
    -----
    The p-value is that of the newest date's BSADF under a random walk, by Monte Carlo, for the same lags, window and
    number of observations. With m areas a lone alarm needs p ≤ level / (rounds a year × m × (1 + 1/2 + … + 1/m)).
    A round beyond those that a year has (a backlog delivered at once) has no share left, and raises no alarm.
    What fails most often: a random walk with equal variance is not what every ratio does without a bubble; see
    `ExuberanceResult.sensitivity` beside an alarm.
    """
    if freq not in ("Q", "M") or not 0.0 < level < 1.0 or families < 1:
        raise UsageError(
            "rounds are by quarter or month, the level is between 0 and 1, families are counted from 1.",
            code="OPS-U356",
            remedy="Use freq='Q', level=0.05, families=1.",
        )
    plan = plan_for(10_000, lags, min_window)
    own = 4 if freq == "Q" else 12
    known = rounds([price, fundamental], freq=freq)
    used: Counter[int] = Counter()
    rows: list[tuple[object, ...]] = []
    for one in known.rounds:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.ascontiguousarray(one.tables[0] / one.tables[1])
        if not any(_length(values, plan) for values in ratio):
            continue
        used[one.known_at.year] += 1
        share = float(own * families) if used[one.known_at.year] <= own else np.inf
        found = _tested(ratio.tobytes(), ratio.shape[1], plan, draws, seed, share)
        window = one.tables[0][:, -(FALL_OVER * own + 1) :]
        fall = 1.0 - window[:, -1] / np.nanmax(np.where(np.isfinite(window), window, -np.inf), axis=1)
        rows += [(known.areas[k], one.period, one.known_at, *rest, float(fall[k])) for k, *rest in found]
    with np.errstate(divide="ignore", invalid="ignore"):
        latest = known.latest[0] / known.latest[1]
    return RatioRounds(
        frame=pd.DataFrame(rows, columns=list(COLUMNS)),
        latest=pd.DataFrame(latest.T, index=known.periods, columns=list(known.areas)),
        level=level, a_year=own * families, plan=plan, draws=draws,
    )  # fmt: skip


def _tail(series: pd.Series) -> pd.Series:
    """Return the last stretch without a gap."""
    known = series.loc[: series.last_valid_index()]
    return known[known.isna()[::-1].cumsum()[::-1] == 0]


def _length(values: Floats, plan: Plan) -> int:
    """Return how many observations an area has without a gap up to the last period; 0 where they do not suffice."""
    gaps = np.flatnonzero(~np.isfinite(values))
    length = len(values) - (int(gaps[-1]) + 1 if len(gaps) else 0)
    return length if length - plan.lead >= max(plan.least, FEWEST) else 0


@lru_cache(maxsize=1024)
def _tested(
    ratio: bytes, width: int, plan: Plan, draws: int, seed: int, share: float
) -> tuple[tuple[int, float, float, float, float, str, float, float], ...]:
    """Return what a round says of each area: place, ratio, BSADF, p, q, direction, doubt of a boom, of a crash.

    A round's data never change, so what was found is kept: a desk that runs every day tests a round once.
    """
    table = np.frombuffer(ratio).reshape(-1, width)
    lengths = [_length(values, plan) for values in table]
    last, p = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for length in sorted(set(lengths) - {0}):
        members = [k for k, own in enumerate(lengths) if own == length]
        paths = np.array([scaled(table[k, -length:]) for k in members])
        last[members] = sequences(paths, plan).bsadf[:, -1]
        drawn = _drawn(plan, -(-length // STEP) * STEP, draws, seed)[length - plan.lead - 1]
        above = len(drawn) - np.searchsorted(drawn, last[members], side="left")
        p[members] = np.where(np.isnan(last[members]), np.nan, (1.0 + above) / (1.0 + len(drawn)))
    q = adjusted(p)
    out = []
    for k, length in enumerate(lengths):
        if not length:
            continue
        doubt = float(np.minimum(1.0, q[k] * share))
        direction = _direction(scaled(table[k, -length:]), plan) if doubt < 1.0 else ""
        boom, crash = (doubt if direction == one else 1.0 for one in ("boom", "crash"))
        out.append((k, float(table[k, -1]), float(last[k]), float(p[k]), float(q[k]), direction, boom, crash))
    return tuple(out)


def _direction(path: Floats, plan: Plan) -> str:
    """Return whether the level has risen or fallen since the window with the largest last statistic began."""
    start = best_start(path, plan, len(path) - 1 - plan.lead)
    return "boom" if path[-1] > path[start + plan.lead - 1] else "crash"


@lru_cache(maxsize=4)
def _drawn(plan: Plan, length: int, draws: int, seed: int) -> Floats:
    """Return BSADF of walks without a bubble: one sorted row a row of the regression."""

    def one(rng: np.random.Generator, count: int) -> tuple[Floats]:
        return (low_where_absent(sequences(nulls.monte_carlo(length)(rng, count), plan).bsadf),)

    (bsadf,) = in_chunks(one, draws, seed=seed)
    return np.sort(bsadf.T, axis=1)
