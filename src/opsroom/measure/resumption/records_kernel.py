"""Kernels on a company's monthly records: its season, its trend, its normal, and each month relative to it.

Both are pure functions from Arrow to Arrow for `opsroom.base.verbs.map_units`: rows of whole companies go in, sorted
by month and by when they became known, and each company's answer depends on its own rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

YEAR = 12
ROBUST = 1.4826
"""Median absolute deviation of normal draws → standard deviation."""

MEDIAN = 1.2533
"""Standard error of a median in units of that of a mean, for normal draws."""

LEAST_PAIRS = 6
"""A trend of one's own needs so many pairs of one calendar month in two years."""

LEAST_LEVEL = 6
"""A normal of one's own needs so many of the last twelve months before the shock."""

LEAST_NOISE = 0.01

HABITS = pa.schema(
    [("enterprise_id", pa.int64()), ("pairs", pa.int64()), ("slope", pa.float64()), ("slope_sd", pa.float64()),
     ("response", pa.float64()), *((f"s{m:02d}", pa.float64()) for m in range(YEAR))]
)  # fmt: skip
"""What `Habits` returns: see there."""

RELATIVES = pa.schema(
    [("enterprise_id", pa.int64()), ("month", pa.int64()), ("relative", pa.float64()), ("sd", pa.float64()),
     ("filed", pa.date32())]
)  # fmt: skip
"""What `Relatives` returns: see there."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Records of a batch of companies laid out: one row a company, one column a month.

    Attributes
    ----------
    ids
        Companies, in the order in which they came.
    value
        Last vintage of each month, NaN where there is none.
    filed
        Day on which the first vintage became known, days since 1970; -1 where there is none.
    """

    ids: Ints
    value: F64
    filed: Ints

    @classmethod
    def of(cls, table: pa.Table, first: int, months: int) -> Laid:
        """Lay out a table ``enterprise_id, month, known_at, value``, sorted by all but the last."""
        unit = table["enterprise_id"].to_numpy()
        month = table["month"].cast(pa.date32()).to_numpy().astype("datetime64[M]").astype(np.int64) - first
        known = table["known_at"].cast(pa.timestamp("us", "UTC")).to_numpy().astype("datetime64[D]").astype(np.int64)
        value = table["value"].cast(pa.float64()).to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(np.diff(unit, prepend=unit[0] - 1 if len(unit) else 0))
        row = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(unit))))
        inside = (month >= 0) & (month < months) & np.isfinite(value)
        row, month, known, value = row[inside], month[inside], known[inside], value[inside]
        laid = np.full((len(starts), months), np.nan)
        filed = np.full((len(starts), months), -1, dtype=np.int64)
        fresh = (
            np.append(True, (row[1:] != row[:-1]) | (month[1:] != month[:-1])) if len(row) else np.zeros(0, dtype=bool)
        )
        last = np.append(fresh[1:], True) if len(row) else fresh
        laid[row[last], month[last]] = value[last]
        filed[row[fresh], month[fresh]] = known[fresh]
        return cls(unit[starts].astype(np.int64), laid, filed)

    def log(self) -> F64:
        """Return logarithms; what is not above zero has none."""
        return np.log(np.where(self.value > 0, self.value, np.nan))


def row_median(values: F64) -> F64:
    """Return the median of each row without its gaps; NaN where there is nothing."""
    count = np.isfinite(values).sum(axis=1)
    ordered = np.sort(values, axis=1)  # gaps last
    at = np.arange(len(values))
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, values.shape[1] - 1)
    return np.where(count > 0, (ordered[at, low] + ordered[at, high]) / 2, np.nan)


def row_spread(values: F64) -> F64:
    """Return each row's robust standard deviation about its median."""
    return ROBUST * row_median(np.abs(values - row_median(values)[:, None]))


def yearly(y: F64) -> tuple[Ints, F64, F64]:
    """Return the number of pairs twelve months apart, the trend a month, and its standard error.

    Notes
    -----
    The median over all pairs of one calendar month in consecutive years of their difference over twelve: Sen's slope
    in the seasonal form of Hirsch, Slack and Smith (1982), which no season moves.
    """
    steps = (y[:, YEAR:] - y[:, :-YEAR]) / YEAR if y.shape[1] > YEAR else np.full((len(y), 1), np.nan)
    pairs = np.isfinite(steps).sum(axis=1)
    error = MEDIAN * row_spread(steps) / np.sqrt(np.maximum(pairs, 1))
    enough = pairs >= LEAST_PAIRS
    return pairs, np.where(enough, row_median(steps), np.nan), np.where(enough, error, np.nan)


@dataclass(frozen=True, slots=True)
class Habits:
    """Kernel: each company's own trend, season and answer to the number of workdays, before the shock.

    Called with a table, it returns one row a company: ``pairs, slope, slope_sd`` (see `yearly`; a month), ``response``
    (log change per log change of workdays, of one calendar month in two years; NaN unless all is there) and
    ``s00 … s11``, January to December: mean of the detrended logs of that month less the mean of all, over the last
    one or two whole years of training, as they would be with the usual number of workdays; NaN unless all are there.

    Attributes
    ----------
    first
        First month of training, months since 1970.
    months
        Number of months of training.
    unusual
        By how much each month's workdays are more than is usual in it, log points; NaN where not known.
    """

    first: int
    months: int
    unusual: tuple[float, ...]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return `HABITS` of whole companies."""
        laid = Laid.of(table, self.first, self.months)
        y = laid.log()
        response = self._response(y)
        y = y - np.nan_to_num(response)[:, None] * np.nan_to_num(np.array(self.unusual))
        pairs, slope, error = yearly(y)
        season = self._season(y, np.nan_to_num(slope))
        columns: dict[str, Any] = {
            "enterprise_id": laid.ids, "pairs": pairs, "slope": slope, "slope_sd": error,
            "response": response,
        }  # fmt: skip
        return pa.table(columns | {f"s{m:02d}": season[:, m] for m in range(YEAR)}, schema=HABITS)

    @property
    def years(self) -> int:
        """Whole years over which seasons are taken: none, one or two."""
        return min(self.months // YEAR, 2)

    def _season(self, y: F64, slope: F64) -> F64:
        span = self.years * YEAR
        if not span:
            return np.full((len(y), YEAR), np.nan)
        last = y[:, -span:] - slope[:, None] * np.arange(span)
        by_month = last.reshape(len(y), self.years, YEAR).mean(axis=1)
        from_january = np.roll(by_month, (self.first + self.months) % YEAR, axis=1)
        return np.asarray(from_january - from_january.mean(axis=1, keepdims=True))

    def _response(self, y: F64) -> F64:
        days = np.array(self.unusual)
        step = days[YEAR:] - days[:-YEAR] if self.months > YEAR else np.zeros(0)
        use = np.isfinite(step)
        if use.sum() < LEAST_PAIRS or not np.ptp(step[use]) > 0:
            return np.full(len(y), np.nan)
        step = step[use] - step[use].mean()
        change = (y[:, YEAR:] - y[:, :-YEAR])[:, use]
        return np.asarray((change - change.mean(axis=1, keepdims=True)) @ step / (step @ step))


@dataclass(frozen=True, slots=True)
class Relatives:
    """Kernel: each month of each company relative to its own normal, and when it was first known.

    Called with a table, it returns one row for each month that a company of the frame has filed, from `keep` on:
    ``relative`` (1 is normal; 0 for a filed zero; null where the company has no normal of its own), ``sd`` (of its
    logarithm: noise of a month, and error of level and trend) and ``filed`` (day of the first vintage).

    Attributes
    ----------
    first, months, training
        First month, months since 1970; number of months in all, and of those before the shock.
    keep
        First month to return, counted from `first`.
    adjustment
        What season and workdays add to the logarithm, one row a section and a column a month.
    trend, trend_sd
        Trend a month of each section, and how far companies differ from it.
    ids, section
        The frame, sorted by id, with the row of each company's section.
    """

    first: int
    months: int
    training: int
    keep: int
    adjustment: F64
    trend: F64
    trend_sd: float
    ids: Ints
    section: Ints

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return `RELATIVES` of whole companies."""
        laid = Laid.of(table, self.first, self.months)
        at = np.minimum(np.searchsorted(self.ids, laid.ids), max(len(self.ids) - 1, 0))
        inside = self.ids[at] == laid.ids if len(self.ids) else np.zeros(len(laid.ids), dtype=bool)
        laid, section = Laid(laid.ids[inside], laid.value[inside], laid.filed[inside]), self.section[at[inside]]
        y = laid.log() - self.adjustment[section]
        log_normal, sd = self._normal(y, section)
        relative = np.where(laid.value > 0, np.exp(y - log_normal), 0.0)
        row, column = np.nonzero(laid.filed[:, self.keep :] >= 0)
        column = column + self.keep
        relative, sd = relative[row, column], sd[row, column]
        unknown = ~np.isfinite(log_normal[row, column])
        return pa.table(
            {
                "enterprise_id": laid.ids[row],
                "month": self.first + column,
                "relative": pa.array(relative, mask=unknown),
                "sd": pa.array(np.nan_to_num(sd), mask=unknown),
                "filed": pa.array(laid.filed[row, column].astype(np.int32)).cast(pa.date32()),
            },
            schema=RELATIVES,
        )

    def _normal(self, y: F64, section: Ints) -> tuple[F64, F64]:
        """Return the logarithm of the normal and the standard deviation of a month about it."""
        before = y[:, : self.training]
        _, own, error = yearly(before)
        between = self.trend_sd**2
        belief = np.where(np.isfinite(own), between / np.maximum(between + np.nan_to_num(error) ** 2, 1e-12), 0.0)
        slope = belief * np.nan_to_num(own) + (1 - belief) * self.trend[section]
        slope_sd = self.trend_sd * np.sqrt(1 - belief)
        time = np.arange(self.months) - (self.training - (YEAR + 1) / 2)
        flat = y - slope[:, None] * time
        last = flat[:, max(self.training - YEAR, 0) : self.training]
        count = np.isfinite(last).sum(axis=1)
        level = np.where(count >= LEAST_LEVEL, row_median(last), np.nan)
        noise = np.maximum(row_spread(last), LEAST_NOISE)
        variance = noise**2 * (1 + MEDIAN**2 / np.maximum(count, 1))
        sd = np.sqrt(variance[:, None] + (slope_sd[:, None] * time) ** 2)
        return level[:, None] + slope[:, None] * time, sd
