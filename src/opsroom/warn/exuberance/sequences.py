"""The statistics of one series or of many paths: checks, scaling, the compiled kernels or their twin."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.exuberance import ols

Floats = npt.NDArray[np.float64]
MOST_LAGS = 12
FEWEST = 10
"""Rows without which nothing is worth testing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is regressed on what.

    Attributes
    ----------
    lags
        Lagged differences; with `bic` the most that are tried in a window.
    least
        Rows of the smallest window.
    bic
        Lags chosen by the Bayesian criterion in each window.
    """

    lags: int
    least: int
    bic: bool = False

    @property
    def lead(self) -> int:
        """Observations before the one that the first row explains."""
        return self.lags + 1

    @property
    def words(self) -> str:
        """The lags, in words."""
        return f"0 to {self.lags} lags by BIC" if self.bic else f"{self.lags} lag{'s' * (self.lags != 1)}"


@dataclass(frozen=True, slots=True)
class Sequences:
    """Statistics by row of one or more series, of shape (series, rows); NaN where there is none."""

    badf: Floats
    bsadf: Floats

    @property
    def adf(self) -> Floats:
        """The whole sample's statistic."""
        return self.badf[:, -1]

    @property
    def sadf(self) -> Floats:
        """Largest BADF."""
        return largest(self.badf)

    @property
    def gsadf(self) -> Floats:
        """Largest BSADF."""
        return largest(self.bsadf)


def largest(table: Floats) -> Floats:
    """Return each row's largest value, NaN in a row without any."""
    known = np.where(np.isnan(table), -np.inf, table).max(axis=1)
    return np.asarray(np.where(np.isinf(known), np.nan, known))


def smallest_window(length: int) -> int:
    """Return the smallest window that Phillips, Shi and Yu recommend: (0.01 + 1.8 / √T) T rows.

    Examples
    --------
    >>> smallest_window(224)
    29
    """
    return int((0.01 + 1.8 / np.sqrt(length)) * length)


def plan_for(length: int, lags: int | Literal["bic"], min_window: int | None, most_lags: int = 4) -> Plan:
    """Check lags and window against a series' length.

    Parameters
    ----------
    length
        Observations.
    lags
        0 to 12, or ``"bic"``.
    min_window
        Rows of the smallest window; by default `smallest_window`.
    most_lags
        The most that ``"bic"`` tries.

    Raises
    ------
    UsageError
        Lags or window out of range.
    FitError
        The series is too short.
    """
    bic = lags == "bic"
    count = most_lags if lags == "bic" else lags
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 0 <= count <= MOST_LAGS:
        raise UsageError(
            f"the number of lags must be a whole number from 0 to {MOST_LAGS}, or 'bic'.",
            code="OPS-U340",
            remedy="Use lags=1, or lags='bic' with most_lags.",
        )
    least = smallest_window(length) if min_window is None else min_window
    if isinstance(least, bool) or not isinstance(least, int | np.integer) or (min_window is not None and least < 1):
        raise UsageError(
            "the smallest window must be a whole number of rows.",
            code="OPS-U341",
            remedy="Leave min_window out to have (0.01 + 1.8 / sqrt(T)) T.",
        )
    if least < count + 3:
        if min_window is not None:
            raise UsageError(
                f"a window of {least} rows cannot hold {count + 2} coefficients and a residual.",
                code="OPS-U341",
                remedy=f"Use min_window of at least {count + 3}.",
            )
        least = count + 3
    if length - 1 - count < max(least, FEWEST):
        raise FitError(
            f"a series of {length} observations is too short for windows of {least} rows with {count} lags.",
            code="OPS-M340",
            remedy=f"Give at least {max(least, FEWEST) + 1 + count} observations, fewer lags or a smaller min_window.",
        )
    return Plan(int(count), int(least), bic)


def values_of(y: pd.Series | npt.ArrayLike) -> tuple[Floats, pd.Index]:
    """Return a series' values and index.

    Raises
    ------
    UsageError
        Not one series, or its index is not in order.
    FitError
        A gap or a value that is not finite.
    """
    if np.ndim(y) != 1:
        raise UsageError(
            "this takes one series.", code="OPS-U342", remedy="Use panel_gsadf or scan for a table of series."
        )
    series = y if isinstance(y, pd.Series) else pd.Series(y)
    if isinstance(y, pd.Series) and not (series.index.is_monotonic_increasing and series.index.is_unique):
        raise UsageError(
            "the index of the series is not in rising order.",
            code="OPS-U343",
            remedy="Sort by date, one value a date.",
        )
    try:
        values = np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError("the series holds what is no number.", code="OPS-U354", remedy="Give numbers.") from error
    refuse_gaps(values, series.index)
    return values, series.index


def refuse_gaps(values: Floats, index: pd.Index) -> None:
    """Refuse values that are missing or infinite, and dates left out of an index of dates."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        where = int(np.flatnonzero(wrong)[0])
        raise FitError(
            f"the series has {int(wrong.sum())} values that are missing or infinite, the first in position {where}.",
            code="OPS-M341",
            remedy="Cut the series to a stretch without gaps: lagged levels and differences cannot step over one.",
        )
    periods = index
    if isinstance(index, pd.DatetimeIndex) and len(index) > 2 and (freq := _frequency(index)) is not None:
        periods = index.to_period(freq)
    if isinstance(periods, pd.PeriodIndex) and len(periods) > 1:
        steps = np.diff(np.asarray(periods.asi8 if hasattr(periods, "asi8") else periods.astype("int64")))
        if np.any(steps != 1):
            raise FitError(
                f"{int(np.sum(steps != 1))} steps of the index are not one period.",
                code="OPS-M341",
                remedy="Fill in or cut off the missing periods.",
            )


def _frequency(index: pd.DatetimeIndex) -> str | None:
    """Return quarter, month or year where all steps but gaps look like it; days and weeks may have holidays."""
    days = np.diff(index.to_numpy().astype("datetime64[D]").astype(np.int64))
    middle = float(np.median(days))
    for freq, low, high in (("M", 28, 31), ("Q", 89, 92.5), ("Y", 365, 366)):
        if low <= middle <= high:
            return freq
    return None


def scaled(values: Floats) -> Floats:
    """Return the values over a power of two that brings the largest to one: exact, and no square overflows."""
    top = float(np.max(np.abs(values)))
    if top == 0.0:
        return values.copy()
    exponent = int(np.frexp(top)[1])
    # in two steps: 2 to the whole power may overflow
    half = exponent // 2
    return np.asarray(np.ldexp(np.ldexp(values, -half), half - exponent))


def sequences(paths: Floats, plan: Plan, *, compiled: bool = True, workers: int = 1) -> Sequences:
    """Return BADF and BSADF of paths.

    Parameters
    ----------
    paths
        Shape (paths, observations), finite, not so large that squares overflow.
    plan
        Lags and window.
    compiled
        Use the kernels; otherwise the pure-NumPy twin, which is slow.
    workers
        Threads among which the paths are divided; the result does not depend on it.
    """
    table = np.ascontiguousarray(paths, dtype=np.float64)
    rows = table.shape[1] - plan.lead
    firsts, bests = np.full((len(table), rows), np.nan), np.full((len(table), rows), np.nan)
    if not compiled:
        for m, path in enumerate(table):
            firsts[m], bests[m] = ols.sequences(path, plan.lags, plan.least, bic=plan.bic)
        return Sequences(firsts, bests)

    def part(cut: slice) -> None:
        kernels(table[cut], plan, firsts[cut], bests[cut])

    workers = min(workers, len(table))
    if workers <= 1:
        part(slice(None))
    else:
        edges = np.linspace(0, len(table), workers + 1).astype(int)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(part, [slice(a, b) for a, b in pairwise(edges)]))
    return Sequences(firsts, bests)


def kernels(paths: Floats, plan: Plan, firsts: Floats, bests: Floats) -> None:
    """Fill BADF and BSADF, one row a path, by the compiled kernels."""
    from opsroom.warn.exuberance.kernels import LANES, grow, lagless, one_lag

    rows, width = firsts.shape[1], plan.lags + 1
    every = np.ones(rows, dtype=np.int8)
    lanes = min(LANES, max(16, 512 // (width + 1)))
    room, upper = np.zeros((5, width + 6, lanes)), np.zeros((width + 1, width + 1, lanes))
    n = np.arange(1.0, rows + 2.0)
    charges = np.concatenate([[1.0], n ** (1.0 / n)])

    def slowly(m: int, ends: npt.NDArray[np.int8]) -> None:
        grow(columns(paths[m], plan), plan.least, plan.bic, charges, firsts[m], bests[m], ends, room, upper)

    with np.errstate(invalid="ignore"):
        if plan.lags <= 1 and not plan.bic:
            count = np.arange(rows + 1, dtype=np.float64)
            if plan.lags == 0:
                lagless(count, *_sums(paths), plan.least, firsts, bests)
            else:
                one_lag(count, *_sums_with_lag(paths), plan.least, firsts, bests)
            for m in np.flatnonzero(np.isposinf(bests).any(axis=1)).tolist():
                slowly(m, np.isposinf(bests[m]).astype(np.int8))
        else:
            for m in range(len(paths)):
                slowly(m, every)
        for table in (firsts, bests):
            np.copyto(table, np.sign(table) * np.sqrt(np.abs(table)))


def columns(y: Floats, plan: Plan) -> Floats:
    """Return a path's columns after the constant, one a row, and the response; the level first for BIC."""
    d, k = np.diff(y), plan.lags
    lags = [d[k - j : len(d) - j] for j in range(1, k + 1)]
    level = [y[k:-1]]
    return np.array([*(level + lags if plan.bic else lags + level), d[k:]])


def _running(tables: list[Floats]) -> Floats:
    """Return running sums along each path, from 0."""
    out = np.zeros((len(tables), tables[0].shape[0], tables[0].shape[1] + 1))
    for k, table in enumerate(tables):
        np.cumsum(table, axis=1, out=out[k, :, 1:])
    return out


def _centred(paths: Floats) -> tuple[Floats, Floats]:
    """Return levels less their mean and differences less theirs, each over its largest value."""
    x = paths - paths.mean(axis=1, keepdims=True)
    d = np.diff(paths, axis=1)
    d -= (paths[:, -1:] - paths[:, :1]) / d.shape[1]
    for table in (x, d):
        table /= np.maximum(np.abs(table).max(axis=1, keepdims=True), np.finfo(float).tiny)
    return x, d


def _sums(paths: Floats) -> tuple[Floats]:
    x, d = _centred(paths)
    x = x[:, :-1]
    return (_running([x, x * x, d, d * d, x * d]),)


def _sums_with_lag(paths: Floats) -> tuple[Floats, Floats]:
    x, every = _centred(paths)
    x, d, lag = x[:, 1:-1], every[:, 1:], every[:, :-1]
    return _running([x, x * x, x * d, x * lag, d * lag]), _running([every, every * every])


def processors() -> int:
    """Return how many threads this process may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
