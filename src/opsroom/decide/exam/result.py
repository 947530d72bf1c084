"""The result of an exam: a map of where planning comes out ahead and where behind, and where it breaks even."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.decide.exam.market import Market
from opsroom.decide.exam.planner import Planner

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]
Measure = Literal["own", "users", "needs", "unmet"]

PLANNER, MARKET, SHARES, BOUND = "planner", "price adjustment", "pro rata", "foresight"
AHEAD, BEHIND, UNDECIDED = "ahead", "behind", "undecided"
TIE = 1e-5
"""Mean difference, as a share of final use, within the accuracy of the planner's search: no verdict is given."""
MEASURES: dict[str, str] = {
    "own": "the planner's own objective",
    "users": "what final uses are worth to their users",
    "needs": "final uses with priorities counted twice",
    "unmet": "needs met",
}
_CASE: list[Any] = ["size", "surprise"]
_DATA: list[Any] = ["delay", "noise", "coverage"]
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class ExamResult:
    """What every rule was worth, seed by seed, and what follows of it.

    Attributes
    ----------
    scores
        One row a run: ``seed, size, surprise, regime``, for the planner ``delay, noise, coverage``, and the scores of
        `Score` as shares of final use in as many ordinary weeks.
    level
        Nominal level of intervals.
    weeks
        Length of the exam.
    market, planner
        How sectors without a planner, and the planner, behaved.
    """

    scores: pd.DataFrame
    level: float
    weeks: int
    market: Market
    planner: Planner

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.scores["seed"].nunique())

    def differences(self, against: str = MARKET, measure: Measure = "own") -> pd.DataFrame:
        """Return the planner's score less another rule's on the same seed, per cent of final use: cases x seeds.

        Parameters
        ----------
        against
            ``"price adjustment"``, ``"pro rata"`` or ``"foresight"``.
        measure
            ``"own"``, ``"users"``, ``"needs"``, or ``"unmet"`` (then a share of needs, positive where more are met).
        """
        if against not in (MARKET, SHARES, BOUND) or measure not in MEASURES:
            raise UsageError(f"there is {MARKET}, {SHARES} and {BOUND} to compare with, by {', '.join(MEASURES)}.")
        s = self.scores
        planned = s[s["regime"] == PLANNER].set_index([*_CASE, *_DATA, "seed"])[measure].unstack("seed")
        other = s[s["regime"] == against].set_index([*_CASE, "seed"])[measure].unstack("seed")
        beside = other.reindex(planned.index.droplevel(_DATA)).to_numpy(np.float64)
        sign = -100.0 if measure == "unmet" else 100.0
        return sign * (planned - beside)

    def map(self, against: str = MARKET, measure: Measure = "own") -> pd.DataFrame:
        """Return where planning comes out ahead, behind, or neither.

        Returns
        -------
        pandas.DataFrame
            ``size, surprise, delay, noise, coverage``; mean ``difference`` of the paired runs in per cent of final use,
            its ``lower`` and ``upper`` bound (Student's t over seeds), the share of seeds in which the planner was
            behind, and the ``verdict``: ahead or behind where the interval lies on one side of 0.
        """
        paired = self.differences(against, measure)
        numbers = paired.to_numpy(np.float64)
        mean, half = numbers.mean(axis=1), self._half(numbers)
        frame = paired.index.to_frame(index=False)
        frame["difference"], frame["lower"], frame["upper"] = mean, mean - half, mean + half
        frame["behind"] = (numbers < -100.0 * TIE).mean(axis=1)
        clear = np.abs(mean) > 100.0 * TIE
        frame["verdict"] = np.select([clear & (mean > half), clear & (mean < -half)], [AHEAD, BEHIND], UNDECIDED)
        order = [*_CASE, "coverage", "noise", "delay"]
        return frame.sort_values(order, ascending=[True, True, False, True, True], ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return mean and interval of every rule's score and of the planner's lead, by shocks and data.

        Returns
        -------
        pandas.DataFrame
            ``size, surprise, regime, delay, noise, coverage``; ``score`` (own objective, per cent of final use) with
            ``score_lower`` and ``score_upper``; ``difference``, ``lower``, ``upper`` and ``verdict`` of the planner
            against price adjustment, and of prices against pro rata and foresight against prices in their rows.
        """
        keys = [*_CASE, "regime", *_DATA]
        wide = self.scores.set_index([*keys, "seed"])["own"].unstack("seed")
        numbers = 100.0 * wide.to_numpy(np.float64)
        names = wide.index.get_level_values("regime")
        versus = np.array([SHARES if n == MARKET else MARKET for n in names])
        base = self.scores[self.scores["regime"] != PLANNER].set_index([*_CASE, "regime", "seed"])["own"]
        places = [(r[0], r[1], v) for r, v in zip(wide.index, versus, strict=True)]
        other = 100.0 * base.unstack("seed").loc[places].to_numpy(np.float64)
        frame = wide.index.to_frame(index=False)
        lead = numbers - other
        for name, table in (("score", numbers), ("difference", lead)):
            mean, half = table.mean(axis=1), self._half(table)
            low, high = ("score_lower", "score_upper") if name == "score" else ("lower", "upper")
            frame[name], frame[low], frame[high] = mean, mean - half, mean + half
        frame["against"] = versus
        clear = frame["difference"].abs() > 100.0 * TIE
        frame["verdict"] = np.select(
            [clear & (frame["lower"] > 0.0), clear & (frame["upper"] < 0.0)], [AHEAD, BEHIND], UNDECIDED
        )
        return frame

    def break_even(self, against: str = MARKET, measure: Measure = "own") -> pd.DataFrame:
        """Return how bad one property of the data may be, the others perfect, before planning falls behind.

        Returns
        -------
        pandas.DataFrame
            ``size, surprise, property`` (delay in weeks, noise, coverage), ``break_even`` with ``lower`` and ``upper``
            (bootstrap over seeds) and ``worst``, the worst that was tried. Delay and noise are infinite, and coverage
            is minus infinity, where planning is not behind even at the worst; delay and noise of 0, and coverage of 1,
            mean that it is not ahead at all.

        Notes
        -----
        Between neighbouring values that were tried, the mean difference is taken to be linear.
        """
        paired = self.differences(against, measure)
        rng = np.random.default_rng(0)
        picks = rng.integers(0, paired.shape[1], size=(_RESAMPLES, paired.shape[1]))
        tail = (1.0 - self.level) / 2.0
        rows = []
        for case, block in paired.groupby(level=_CASE, sort=True):
            rest = block.droplevel(_CASE)
            for name in _DATA:
                line = _axis(rest, name)
                if len(line) < 2:
                    continue
                at = np.asarray(line.index, dtype=np.float64)
                numbers = line.to_numpy(np.float64)
                found = float(crossing(at, numbers.mean(axis=1)))
                drawn = crossing(at, numbers[:, picks].mean(axis=2))
                low, high = np.quantile(drawn, [tail, 1.0 - tail], method="nearest")
                size, surprise = case
                rows.append((size, surprise, name, found, float(low), float(high), float(at[-1])))
        columns = [*_CASE, "property", "break_even", "lower", "upper", "worst"]
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> str:
        """Return the finding in a few lines, in both directions, each with its condition."""
        from opsroom.decide.exam.words import summary

        return summary(self)

    def chart(self, coverage: float = 1.0) -> alt.Chart:
        """Return the map as a picture: the planner's lead by delay and noise, for each size and surprise."""
        from opsroom.decide.exam.figure import figure

        return figure(self, coverage)

    def to_dict(self) -> dict[str, Any]:
        """Return map, break-even points and settings as plain values; what is infinite is null."""
        return {
            "seeds": self.seeds, "weeks": self.weeks, "level": self.level,
            "market": {k: getattr(self.market, k) for k in ("step", "lean", "pace", "restock", "rounds")},
            "planner": {k: getattr(self.planner, k) for k in ("ahead", "caution")},
            "map": _plain(self.map()), "against_pro_rata": _plain(self.map(SHARES)),
            "break_even": _plain(self.break_even()), "summary": self.summary(),
        }  # fmt: skip

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Kantorovich (1960), Management Science 6:366-422; Lange (1936), Review of Economic Studies 4:53-71; Hayek "
            "(1945), American Economic Review 35:519-530; Arrow, Hurwicz and Uzawa (1958); interior point after "
            f"Mehrotra (1992), SIAM Journal on Optimization 2:575-601; opsroom {__version__}, exam 1."
        )

    def _half(self, numbers: Floats) -> Floats:
        n = numbers.shape[1]
        quantile = float(stdtrit(n - 1, 0.5 + self.level / 2.0))
        return np.asarray(quantile * numbers.std(axis=1, ddof=1) / math.sqrt(n), dtype=np.float64)


def crossing(at: npt.ArrayLike, lead: npt.ArrayLike) -> Floats:
    """Return where a lead that is known at some points, best data first, first falls below 0, linear between them.

    Infinite, in the direction in which data get worse, where it does not; the first point where there is no lead.

    Parameters
    ----------
    at
        The points.
    lead
        The lead at them; one column a draw where there are several.
    """
    places, values = np.asarray(at, dtype=np.float64), np.asarray(lead, dtype=np.float64)
    columns = values.reshape(len(places), -1)
    below = columns < 0.0
    k = below.argmax(axis=0)
    before, draws = np.maximum(k - 1, 0), np.arange(columns.shape[1])
    high, low = columns[before, draws], columns[k, draws]
    share = np.divide(high, high - low, out=np.zeros_like(high), where=(k > 0) & below.any(axis=0))
    found = places[before] + share * (places[k] - places[before])
    found[~below.any(axis=0)] = math.copysign(math.inf, places[-1] - places[0])
    return np.asarray(found.reshape(values.shape[1:]), dtype=np.float64)


def _axis(rest: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return rows in which only one property of the data varies, best data first."""
    table = rest.reset_index()
    perfect = {"delay": table["delay"].min(), "noise": table["noise"].min(), "coverage": table["coverage"].max()}
    keep = np.ones(len(table), dtype=bool)
    for other in _DATA:
        if other != name:
            keep &= (table[other] == perfect[other]).to_numpy()
    chosen = table[keep].drop(columns=[o for o in _DATA if o != name]).set_index(name)
    return chosen.sort_index(ascending=name != "coverage")


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    def value(v: Any) -> Any:
        return None if isinstance(v, float) and not math.isfinite(v) else v

    return [{str(k): value(v) for k, v in row.items()} for row in frame.to_dict(orient="records")]
