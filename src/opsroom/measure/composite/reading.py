"""The readings of a path: growth on a year, gap to the normal path, growth of quarters; each with its doubt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from opsroom.base.errors import UsageError
from opsroom.measure.composite.doubt import variances
from opsroom.measure.composite.factor import Factor
from opsroom.measure.composite.grid import YEAR, Floats, Rows, mondays, week_of
from opsroom.measure.composite.scaling import Scaling

_SHOCK = 2.0
"""A change a year ago further from normal than this many usual ones makes a growth rate a matter of its base."""
KINDS = ("growth", "level")


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
        Of the inputs.
    coverage
        Nominal coverage of the bands.
    spreads
        Standard deviations in log points of growth, level and quarters by source: factor, inputs, scale.
    """

    factor: Factor
    scaling: Scaling
    weeks: pd.DatetimeIndex
    base: Floats
    quarters: Rows
    names: Sequence[str]
    coverage: float
    spreads: tuple[tuple[Floats, Floats, Floats], ...]

    @classmethod
    def of(
        cls, factor: Factor, scaling: Scaling, *, first: int, last: int, base: tuple[dt.date, dt.date],
        quarters: Rows, names: Sequence[str], coverage: float,
    ) -> Readings:  # fmt: skip
        """Work out the doubts; `first` and `last` are numbers of weeks."""
        weights = _base_weights(base, first, len(factor.path))
        made = cls(factor, scaling, mondays(first + YEAR, last), weights, quarters, names, coverage, ())
        spreads = []
        readings = (made.change, made.gap, quarters.times)
        found = variances(factor, readings)
        for one, read, (given, estimated) in zip((1.0, 0.0, 1.0), readings, found, strict=True):
            moved = read(factor.path)
            at = np.column_stack([np.full(len(moved), one), moved])
            scale = np.einsum("ki,ij,kj->k", at, scaling.covariance, at)
            scale += scaling.covariance[1, 1] * (given + estimated)
            slope = abs(scaling.slope)
            spreads.append((slope * np.sqrt(given), slope * np.sqrt(estimated), np.sqrt(scale)))
        return cls(factor, scaling, made.weeks, weights, quarters, names, coverage, tuple(spreads))

    def change(self, path: Floats) -> Floats:
        """Return the change on a year before, by week."""
        return np.asarray((path[YEAR:] - path[:-YEAR])[: len(self.weeks)])

    def gap(self, path: Floats) -> Floats:
        """Return the distance from the base, by week."""
        return np.asarray((path - self.base @ path)[YEAR : YEAR + len(self.weeks)])

    @property
    def _growth(self) -> Floats:
        return self.scaling.normal + self.scaling.slope * self.change(self.factor.path)

    def doubt(self) -> pd.DataFrame:
        """Return standard deviations of both weekly readings by source, log points."""
        columns = {
            f"{kind}_{source}": spread
            for kind, three in zip(KINDS, self.spreads, strict=False)
            for source, spread in zip(("factor", "inputs", "scale"), three, strict=True)
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
        growth = self._growth
        columns: dict[str, Floats] = {}
        told = {
            "growth": (growth, s.normal + s.slope * self.change(otherwise)),
            "level": (s.slope * self.gap(path), s.slope * self.gap(otherwise)),
        }
        for kind, three in zip(KINDS, self.spreads, strict=False):
            value, other = told[kind]
            half = self._half(three, 0.0)
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
        """Return what each input adds to growth, percentage points; with ``normal`` they sum to it exactly."""
        moved = self.scaling.slope * self.change(self.factor.parts)
        frame = pd.DataFrame(moved, index=self.weeks, columns=list(self.names))
        frame.insert(0, "normal", self.scaling.normal)
        return frame.mul(_stretch(self._growth), axis=0)

    def parts_level(self) -> pd.DataFrame:
        """Return what each input adds to the gap, percentage points; they sum to it exactly."""
        moved = self.scaling.slope * self.gap(self.factor.parts)
        frame = pd.DataFrame(moved, index=self.weeks, columns=list(self.names))
        return frame.mul(_stretch(self.scaling.slope * self.gap(self.factor.path)), axis=0)

    def quarterly(self, index: pd.PeriodIndex, known: Floats) -> pd.DataFrame:
        """Return growth on four quarters that the index implies, with an interval for GDP itself, per cent.

        Parameters
        ----------
        index, known
            Quarters, and what was known of their growth, log points (NaN: nothing).
        """
        s = self.scaling
        value, other = (
            s.normal + s.slope * self.quarters.times(path) for path in (self.factor.path, self.factor.otherwise)
        )
        half = self._half(self.spreads[2], s.error)
        return pd.DataFrame(
            {
                "implied": per_cent(value), "lower": per_cent(np.minimum(value, other) - half),
                "upper": per_cent(np.maximum(value, other) + half), "known": per_cent(known),
            },
            index=index,
        )  # fmt: skip

    def _half(self, spreads: tuple[Floats, Floats, Floats], error: float) -> Floats:
        quantile = float(stdtrit(self.scaling.degrees, 0.5 + self.coverage / 2))
        return np.asarray(quantile * np.sqrt(sum(x**2 for x in spreads) + error**2))


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
