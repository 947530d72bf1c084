"""The readings of a path: growth on a year, gap to the normal path, growth of quarters; each with its doubt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from opsroom.base.errors import UsageError
from opsroom.measure.composite.doubt import Reading, doubts
from opsroom.measure.composite.factor import Factor
from opsroom.measure.composite.grid import YEAR, Floats, Rows, mondays, week_of
from opsroom.measure.composite.known_output import KnownOutput, Told
from opsroom.measure.composite.scaling import Scaling

_SHOCK = 2.0
"""A change a year ago further from normal than this many usual ones makes a growth rate a matter of its base."""
KINDS = ("growth", "level")
SOURCES = ("factor", "inputs", "scale", "output")


@dataclass(frozen=True, slots=True)
class Known:
    """The target's known quarters.

    Attributes
    ----------
    growth, quarters
        100 times the log change on the quarter before, and the quarters' ordinals.
    steps
        Rows of the path: the mean over each of these quarters less that over the quarter before.
    """

    growth: Floats
    quarters: Floats
    steps: Rows


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read off a path.

    Attributes
    ----------
    factor, scaling
        The path and its scale.
    weeks
        Mondays of the weeks that have a week a year before, up to the last of which anything may be known.
    base
        Weight of each week in the mean whose gap is zero.
    quarters
        Rows of the quarters whose growth is told.
    names
        Of the inputs; `target`: of what the index is scaled to.
    coverage
        Nominal coverage of the bands.
    output
        What the target's known quarters say; None where the index is of the inputs alone.
    told
        What that adds to growth, level and quarters, and what is left of their doubt.
    spreads
        Standard deviations in log points of growth and level by source: factor, inputs, scale, output.
    """

    factor: Factor
    scaling: Scaling
    weeks: pd.DatetimeIndex
    base: Floats
    quarters: Rows
    names: Sequence[str]
    target: str
    coverage: float
    output: KnownOutput | None = None
    told: tuple[Told, ...] = ()
    spreads: tuple[tuple[Floats, ...], ...] = ()

    @classmethod
    def of(
        cls, factor: Factor, scaling: Scaling, *, first: int, last: int, base: tuple[dt.date, dt.date],
        quarters: Rows, asked: Floats, names: Sequence[str], target: str, coverage: float, known: Known | None,
    ) -> Readings:  # fmt: skip
        """Work out the doubts; `first` and `last` are numbers of weeks, `asked` the ordinals of `quarters`."""
        weights = _base_weights(base, first, len(factor.path))
        made = cls(factor, scaling, mondays(first + YEAR, last), weights, quarters, names, target, coverage)
        readings: list[Reading] = [made.change, made.gap, quarters.times]
        path, output = factor.path, None
        if known is not None:
            *found, own = doubts(factor, [*readings, known.steps.times], beside=known.steps.times)
            output = KnownOutput.of(known.growth, known.quarters, known.steps.times, path, own.shared, scaling)
        else:
            found = doubts(factor, readings)
        told, spreads = [], []
        for normal, read, doubt, ends in zip(
            (1.0, 0.0, 1.0), readings, found, (None, None, (asked, asked - 4.0)), strict=True
        ):
            moved = read(path)
            at = np.column_stack([np.full(len(moved), normal), moved])
            scale = np.einsum("ki,ij,kj->k", at, scaling.covariance, at)
            given, estimated = scaling.slope**2 * doubt.given, scaling.slope**2 * doubt.estimated
            if output is None:
                sd = np.sqrt(given + estimated + scale)
                told.append(Told(np.zeros(len(moved)), sd, sd, np.zeros(len(moved))))
            else:
                told.append(output.told(read, doubt, path, normal, ends=ends))
            kept = told[-1].sd / np.maximum(told[-1].before, 1e-12)
            parts = np.sqrt(given), np.sqrt(estimated), np.sqrt(scale), told[-1].own
            spreads.append(tuple(kept * spread for spread in parts))
        return replace(made, output=output, told=tuple(told), spreads=tuple(spreads[:2]))

    def change(self, path: Floats) -> Floats:
        """Return the change on a year before, by week."""
        return np.asarray((path[YEAR:] - path[:-YEAR])[: len(self.weeks)])

    def gap(self, path: Floats) -> Floats:
        """Return the distance from the base, by week."""
        return np.asarray((path - self.base @ path)[YEAR : YEAR + len(self.weeks)])

    def _growth(self, path: Floats) -> Floats:
        return np.asarray(self.scaling.normal + self.scaling.slope * self.change(path) + self.told[0].shift)

    def _level(self, path: Floats) -> Floats:
        return np.asarray(self.scaling.slope * self.gap(path) + self.told[1].shift)

    def doubt(self) -> pd.DataFrame:
        """Return standard deviations of both weekly readings by source, log points."""
        columns = {
            f"{kind}_{source}": spread
            for kind, each in zip(KINDS, self.spreads, strict=True)
            for source, spread in zip(SOURCES, each, strict=True)
        }
        return pd.DataFrame(columns, index=self.weeks)

    def frame(self, usual: float) -> pd.DataFrame:
        """Return both readings with bands, per cent, and how many inputs tell of each week.

        Parameters
        ----------
        usual
            Usual distance of growth on a year from normal, log points.
        """
        s, path, otherwise = self.scaling, self.factor.path, self.factor.otherwise
        growth = self._growth(path)
        columns: dict[str, Floats] = {}
        both = {
            "growth": (growth, self._growth(otherwise)),
            "level": (self._level(path), self._level(otherwise)),
        }
        for kind, told in zip(KINDS, self.told, strict=False):
            value, other = both[kind]
            half = self._quantile * told.sd
            columns[kind] = per_cent(value)
            # The band holds what would be said if the latest outliers were the first of a shock.
            columns[f"{kind}_lower"] = per_cent(np.minimum(value, other) - half)
            columns[f"{kind}_upper"] = per_cent(np.maximum(value, other) + half)
        seen = np.zeros(len(path), dtype=np.int64)
        for rows in self.factor.inputs:
            seen[np.unique(rows.column[rows.now > 0])] += 1
        # A year ago output was far from normal: growth then says as much of that year as of this one.
        distance = np.concatenate([np.full(YEAR, np.nan), np.abs(growth - s.normal)])[: len(growth)]
        frame = pd.DataFrame(columns, index=self.weeks)
        frame["base_effect"] = distance > _SHOCK * usual
        frame["inputs"] = seen[YEAR : YEAR + len(self.weeks)]
        return frame

    def parts_growth(self) -> pd.DataFrame:
        """Return what each input adds to growth, percentage points; with ``normal`` and what is known of the target
        they sum to it exactly."""
        frame = self._parts(self.change(self.factor.parts), self.told[0].shift)
        frame.insert(0, "normal", self.scaling.normal)
        return frame.mul(_stretch(self._growth(self.factor.path)), axis=0)

    def parts_level(self) -> pd.DataFrame:
        """Return what each input adds to the gap, percentage points; they sum to it exactly."""
        frame = self._parts(self.gap(self.factor.parts), self.told[1].shift)
        return frame.mul(_stretch(self._level(self.factor.path)), axis=0)

    def _parts(self, moved: Floats, shift: Floats) -> pd.DataFrame:
        frame = pd.DataFrame(self.scaling.slope * moved, index=self.weeks, columns=list(self.names))
        return frame if self.output is None else frame.assign(**{self.target: shift})

    def quarterly(self, index: pd.PeriodIndex, known: Floats) -> pd.DataFrame:
        """Return growth on four quarters, with an interval for the target itself, per cent.

        Parameters
        ----------
        index, known
            Quarters, and what was known of their growth, log points (NaN: nothing).
        """
        s, told = self.scaling, self.told[2]
        alone, other = (
            s.normal + s.slope * self.quarters.times(path) for path in (self.factor.path, self.factor.otherwise)
        )
        value, other = alone + told.shift, other + told.shift
        # Without known output the regression's own error stands for what the target does beside the inputs.
        half = self._quantile * (told.sd if self.output is not None else np.hypot(told.sd, s.error))
        published = ~np.isnan(known)
        other = np.where(published, value, other) if self.output is not None else other
        return pd.DataFrame(
            {
                "implied": per_cent(alone), "told": per_cent(value), "lower": per_cent(np.minimum(value, other) - half),
                "upper": per_cent(np.maximum(value, other) + half), "known": per_cent(known),
            },
            index=index,
        )  # fmt: skip

    @property
    def _quantile(self) -> float:
        return float(stdtrit(self.scaling.degrees, 0.5 + self.coverage / 2))


def _base_weights(base: tuple[dt.date, dt.date], first: int, weeks: int) -> Floats:
    low, high = week_of(base[0]) - first, week_of(base[1]) - first
    slots = [w for w in range(low, high + 1) if 0 <= w < weeks]
    if not slots:
        raise UsageError("the base lies outside the weeks of the inputs.", remedy="Choose another base.")
    weights = np.zeros(weeks)
    weights[slots] = 1.0 / len(slots)
    return weights


def per_cent(log_points: Floats) -> Floats:
    """Return per cent from 100 times a log change."""
    return np.asarray(100.0 * np.expm1(np.asarray(log_points, dtype=np.float64) / 100.0))


def _stretch(log_points: Floats) -> Floats:
    """Return per cent over log points: what contributions in log points are multiplied by."""
    safe = np.where(log_points == 0.0, 1.0, log_points)
    return np.asarray(np.where(log_points == 0.0, 1.0, per_cent(safe) / safe))
