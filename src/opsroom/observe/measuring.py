"""Measure what a delivery brought against what was stored before it: levels, distribution, series, digits.

Two compact tables carry it: the rows of the delivery, and the rows of earlier deliveries about the last periods
before it (the *baseline*), each as series, period and decimal logarithms of the watched fields. Everything comes
from a few aggregations of them, in the engine that compares deliveries, within its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np

from opsroom.base.periods import Frequency, add_periods, last_day
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.shapes import Shapes, literal, quote
from opsroom.observe.tables import StoredFile

WINDOW = {"H": 48, "D": 7, "W": 4, "M": 3, "Q": 4, "A": 3, "event": 365}
"""Periods of the baseline by frequency; of events, days."""

FIELDS = 6
"""Fields watched where the specification names none."""

SLIPS = (1, 2, 3, 6)
"""Powers of ten that people slip by: tens, cents, thousands, millions."""

NEAR = 0.1
"""How near, in decades, a shift lies to a power of ten to be taken for a slip."""

STEADY, VERY_STEADY = 0.6, 0.3
"""Range in decades, over the baseline, of a series that is steady enough to tell a slip from a move; by one power of
ten, which is no rare move, of a very steady one."""


@dataclass(frozen=True, slots=True)
class FieldMeasure:
    """One field of a delivery against its baseline.

    Attributes
    ----------
    values, empty, zero, negative
        Counts of the delivery.
    psi, ks
        Population stability index and Kolmogorov distance against the baseline, by leading digit and power of
        ten; None where either side has fewer than `FEW` values.
    shift, scale
        Median of the series' log-ratios to the baseline, in decades, and their robust standard deviation.
    compared
        Series in both.
    outliers
        Series whose log-ratio lies beyond ``outlier_scale`` robust standard deviations.
    slips
        Series (steady before) shifted by about a power of ten, by that power, where they cluster there.
    whole
        The power of ten by which the whole delivery is shifted; 0 for none.
    frozen
        Share of the series that repeat one value: over the delivery, or over it and the whole baseline, of
        ``frozen_periods`` periods at least; None where there are fewer.
    benford
        Mean absolute deviation of the leading digits from Benford's law; None where that is not apt.
    """

    values: int = 0
    empty: int = 0
    zero: int = 0
    negative: int = 0
    psi: float | None = None
    ks: float | None = None
    shift: float | None = None
    scale: float | None = None
    compared: int = 0
    outliers: int = 0
    slips: dict[str, int] = field(default_factory=dict)
    whole: int = 0
    frozen: float | None = None
    benford: float | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """What a delivery brought.

    Attributes
    ----------
    sample
        Share of the series that was measured.
    expected, present
        Series expected in each new period (they had reported in at least half of the baseline's periods), and
        those of them that came, summed over the new periods.
    periods
        New periods, from the first after what was known to the last delivered.
    missing_last
        Of the expected series, those without a row in the newest period.
    active
        Number of expected series.
    taken_back
        Series of which a complete delivery left rows out that were known, counted in full.
    fields
        Measures by field.
    """

    sample: float = 1.0
    expected: int = 0
    present: int = 0
    periods: int = 0
    missing_last: int = 0
    active: int = 0
    taken_back: int = 0
    fields: dict[str, FieldMeasure] = field(default_factory=dict)


FEW = 200
"""Fewest values on either side for a comparison of distributions."""

BENFORD_ROWS, BENFORD_DECADES = 1_000, 2.0
"""Benford's law is apt from so many values, whose middle 98 % span so many decades."""


def watched_fields(spec: DatasetSpec) -> list[str]:
    """Return the numeric fields whose values are watched."""
    if spec.quality.fields:
        return list(spec.quality.fields)
    numeric = [f.name for f in spec.fields if _numeric(f) and f.name not in spec.key]
    return [n for n in numeric if n not in (spec.unit_field, spec.group_field)][:FIELDS]


def _numeric(one: FieldSpec) -> bool:
    return one.type in ("integer", "money", "quantity", "number")


def window_start(end: date | datetime, frequency: str, fewest: int) -> date | datetime:
    """Return the first period of the baseline that ends with a period and has so many periods at least."""
    count = max(WINDOW[frequency], fewest)
    if isinstance(end, datetime):
        return end - timedelta(hours=count - 1)
    return add_periods(end, 1 - count, frequency)


class Measuring:
    """Measure one delivery.

    Parameters
    ----------
    con
        A connection of the store's workbench.
    shapes
        The versions of the dataset's specification.
    number
        Of the delivery.
    stored
        Committed files, those of the delivery among them.
    frontier
        Last reference period known before; None at first.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        shapes: Shapes,
        number: int,
        stored: Sequence[StoredFile],
        frontier: date | datetime | None,
    ) -> None:
        spec = shapes.spec
        self._con, self._shapes, self._spec, self._frontier = con, shapes, spec, frontier
        self._names = watched_fields(spec)
        self._series = [k for k in spec.key if k != spec.period]
        self._now = [f for f in stored if f.low["delivery"] == number]
        self._base: list[StoredFile] = []
        self._from: date | datetime | None = None
        if frontier is not None:
            self._from = window_start(frontier, spec.frequency, self._frozen_periods() - 1)
            self._base = [
                f for f in stored if f.low["delivery"] < number and f.meets(spec.period, self._from, frontier)
            ]

    def run(self) -> Measures:
        """Measure."""
        if not self._now:
            return Measures()
        rows = max(sum(f.rows for f in self._now), self._base_rows())
        most = self._spec.quality.sample_rows
        every = max(1, round(rows / most)) if most and self._series else 1
        self._gather("now", self._now, every, "op = 0")
        if self._base:
            period = quote(self._spec.period)
            condition = f"op = 0 AND {period} BETWEEN {literal(self._from)} AND {literal(self._frontier)}"  # type: ignore[arg-type]  # set with the base
            self._gather("base", self._base, every, condition)
        else:
            self._con.execute("CREATE OR REPLACE TEMP TABLE base AS FROM now LIMIT 0")
        series = self._by_series()
        gone = self._taken_back() if self._spec.snapshot else 0
        return Measures(sample=1 / every, taken_back=gone, fields=self._fields(series), **self._coming(series))

    def _taken_back(self) -> int:
        """Count the series of which the delivery took rows back."""
        rows = self._shapes.rows(self._now, [*self._spec.key, "op"])
        series = ", ".join(quote(k) for k in self._series) or "1"
        found = self._con.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {series} FROM ({rows}) WHERE op = 1)"
        ).fetchone()
        return 0 if found is None else int(found[0])

    def _base_rows(self) -> float:
        """Estimate the rows of the baseline: of a file that reaches beyond the window, its part by time."""
        total = 0.0
        for file in self._base:
            low, high = file.low.get(self._spec.period), file.high.get(self._spec.period)
            if low is None or high is None or high <= low:
                total += file.rows
            else:
                inside = min(high, self._frontier) - max(low, self._from)
                total += file.rows * max(inside / (high - low), 0.0)
        return total

    # -- gathering ----------------------------------------------------------------------------

    def _gather(self, name: str, files: Sequence[StoredFile], every: int, condition: str) -> None:
        series = f"hash({', '.join(quote(k) for k in self._series)})" if self._series else "CAST(0 AS UBIGINT)"
        sample = f" AND {series} % {every} = 0" if every > 1 else ""
        columns = [f"{series} AS s", f"{quote(self._spec.period)} AS p"]
        for n, one in enumerate(self._names):
            x = f"CAST({quote(one)} AS DOUBLE)"
            columns += [f"log10(abs(nullif({x}, 0))) AS l{n}", f"CAST(sign({x}) AS TINYINT) AS g{n}"]
        read = list(dict.fromkeys([*self._spec.key, *self._names, "op"]))
        rows = self._shapes.rows(files, read)
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {', '.join(columns)} FROM ({rows}) "
            f"WHERE {condition}{sample}"
        )

    # -- who came -----------------------------------------------------------------------------

    def _coming(self, series: dict[str, np.ndarray[Any, Any]]) -> dict[str, int]:
        """Count expected and present series in the new periods."""
        if self._frontier is None or not self._base or self._spec.frequency == Frequency.EVENT:
            return {}
        usual = self._con.execute("SELECT DISTINCT p FROM base").to_arrow_table().column(0).to_pylist()
        last = self._con.execute("SELECT max(p) AS p FROM now").to_arrow_table().column(0)[0].as_py()
        active = series["b_n"] * 2 >= len(usual)
        count = int(active.sum())
        if not count or last is None or last <= self._frontier:
            return {"active": count}
        periods = self._count_periods(last, {p.isoweekday() for p in usual})
        return {
            "active": count,
            "periods": periods,
            "expected": count * periods,
            "present": int(series["a_n"][active].sum()),
            "missing_last": count - int(series["a_last"][active].sum()),
        }

    def _count_periods(self, last: date | datetime, weekdays: set[int]) -> int:
        """Count the periods after the frontier up to the last one; days only those of the week that are in use."""
        start = self._frontier
        if isinstance(start, datetime) and isinstance(last, datetime):
            return round((last - start) / timedelta(hours=1))
        if start is None or isinstance(start, datetime) or isinstance(last, datetime):
            return 1
        if self._spec.frequency == Frequency.DAILY:
            days = (start + timedelta(days=n) for n in range(1, (last - start).days + 1))
            return max(sum(d.isoweekday() in weekdays for d in days), 1)
        count, day = 0, start
        while day < last:
            day = add_periods(day, 1, self._spec.frequency)
            count += 1
        return count

    # -- values -------------------------------------------------------------------------------

    def _fields(self, series: dict[str, np.ndarray[Any, Any]]) -> dict[str, FieldMeasure]:
        if not self._names:
            return {}
        digits = self._digits()
        return {
            name: FieldMeasure(**digits[n], **_compare(series, n, self._spec, self._frozen_periods()))
            for n, name in enumerate(self._names)
        }

    def _frozen_periods(self) -> int:
        default = 4 if self._spec.frequency in ("Q", "A") else 5
        return self._spec.quality.frozen_periods or default

    def _digits(self) -> list[dict[str, Any]]:
        """Count values by sign, power of ten and leading digit, and compare both sides."""
        # In thousandths of a decade, which grouping does fast; 1e-6 keeps whole powers of ten in their own class.
        queries = [
            f"SELECT {n} AS field, {side} AS side, g{n} AS sign, CAST(floor(1000 * l{n} + 1e-6) AS INTEGER) AS level, "
            f"count(*) AS n FROM {table} GROUP BY ALL"
            for n in range(len(self._names))
            for side, table in ((0, "now"), (1, "base"))
        ]
        found = self._con.execute(" UNION ALL ".join(queries)).to_arrow_table()
        columns = {c: found.column(c).to_numpy(zero_copy_only=False) for c in found.column_names}
        return [
            _digit_measures({c: v[columns["field"] == n] for c, v in columns.items()}) for n in range(len(self._names))
        ]

    def _by_series(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return counts and levels of every series of the baseline on both sides, one array a column."""
        parts = [
            f"avg(l{n}) AS m{n}, min(l{n}) AS lo{n}, max(l{n}) AS hi{n}, count(l{n}) AS c{n}"
            for n in range(len(self._names))
        ]
        # Only vintages bring a period of a series twice.
        count = "count(DISTINCT p)" if self._spec.known_at_field else "count(*)"
        fresh = "true" if self._frontier is None else f"p > {literal(self._frontier)}"
        newest = "max(p) = (SELECT max(p) FROM now) AS newest"
        levels = [f"{part}{n}" for n in range(len(self._names)) for part in ("m", "lo", "hi", "c")]
        chosen = [f"{side}.{x} AS {side}_{x}" for x in levels for side in ("a", "b")]
        chosen += ["coalesce(a.n, 0) AS a_n", "b.n AS b_n", "coalesce(a.newest, false) AS a_last"]
        found = self._con.execute(
            f"SELECT {', '.join(chosen)} FROM "
            f"(SELECT {', '.join(['s', f'{count} AS n', *parts])} FROM base GROUP BY s) b LEFT JOIN "
            f"(SELECT {', '.join(['s', f'{count} FILTER ({fresh}) AS n', newest, *parts])} FROM now GROUP BY s) a "
            f"USING (s)"
        ).to_arrow_table()
        return {
            name: np.asarray(found.column(name).to_numpy(zero_copy_only=False), dtype=float)
            for name in found.column_names
        }


DIGITS = np.array([0, 301, 477, 602, 698, 778, 845, 903, 954])
"""First thousandth of a decade of each leading digit."""


def _digit_measures(rows: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Measure one field's histogram: sign, level in thousandths of a decade, number of values, on either side."""
    empty = np.isnan(np.asarray(rows["sign"], dtype=float))
    sign = np.where(empty, 0, np.nan_to_num(np.asarray(rows["sign"], dtype=float))).astype(np.int64)
    level = np.nan_to_num(np.asarray(rows["level"], dtype=float)).astype(np.int64)
    n, now = rows["n"].astype(float), rows["side"] == 0
    told = now & ~empty
    valued = told & (sign != 0)
    out: dict[str, Any] = {
        "values": int(n[told].sum()),
        "empty": int(n[now & empty].sum()),
        "zero": int(n[told & (sign == 0)].sum()),
        "negative": int(n[told & (sign < 0)].sum()),
        "benford": benford(level[valued], n[valued]),
    }
    sides = [told, ~now & ~empty]
    if all(n[side].sum() >= FEW for side in sides):
        # Negative values stand before zero, the largest first.
        order = sign * (level + 100_000)
        bins, index = np.unique(order, return_inverse=True)
        a, b = (np.bincount(index[side], n[side], len(bins)) for side in sides)
        out["psi"], out["ks"] = psi(a, b), kolmogorov(a, b)
    return out


def psi(now: np.ndarray[Any, Any], base: np.ndarray[Any, Any]) -> float:
    """Return the population stability index of two histograms over the same ordered bins.

    ``sum((p - q) ln(p / q))`` over about ten classes of equal share in the base, half a case added to each class so
    that an empty one does not make it infinite.
    """
    share = np.cumsum(base) / base.sum()
    middle = share - base / base.sum() / 2
    classes = np.minimum((middle * 10).astype(int), 9)
    used, index = np.unique(classes, return_inverse=True)
    a = np.bincount(index, now, len(used)) + 0.5
    b = np.bincount(index, base, len(used)) + 0.5
    p, q = a / a.sum(), b / b.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def kolmogorov(now: np.ndarray[Any, Any], base: np.ndarray[Any, Any]) -> float:
    """Return the largest distance of two distribution functions over the same ordered bins."""
    return float(np.max(np.abs(np.cumsum(now) / now.sum() - np.cumsum(base) / base.sum())))


def benford(level: np.ndarray[Any, Any], n: np.ndarray[Any, Any]) -> float | None:
    """Return the mean absolute deviation of leading digits from Benford's law, or None where that is not apt.

    Parameters
    ----------
    level
        Absolute values as whole thousandths of a decade: ``floor(1000 log10 |x|)``.
    n
        Number of values at each level.

    Notes
    -----
    Apt means: 1,000 values or more, whose middle 98 % span two decades or more. Nigrini's customary bounds of the
    mean absolute deviation of the first digit: up to 0.006 close, 0.012 acceptable, 0.015 marginal conformity.
    """
    total = float(n.sum())
    if total < BENFORD_ROWS:
        return None
    order = np.argsort(level)
    reached = np.cumsum(n[order]) / total
    low, high = (level[order][int(np.searchsorted(reached, q))] for q in (0.01, 0.99))
    if high - low < 1000 * BENFORD_DECADES:
        return None
    digit = np.searchsorted(DIGITS, level % 1000, side="right") - 1
    counts = np.bincount(digit, n, 9)
    law = np.log10(1 + 1 / np.arange(1, 10))
    return float(np.mean(np.abs(counts / total - law)))


def _compare(series: dict[str, np.ndarray[Any, Any]], n: int, spec: DatasetSpec, periods: int) -> dict[str, Any]:
    """Compare the levels of series before and now, of one field."""
    a = {part: series[f"a_{part}{n}"] for part in ("m", "lo", "hi", "c")}
    b = {part: series[f"b_{part}{n}"] for part in ("m", "lo", "hi", "c")}
    both = (np.nan_to_num(a["c"]) > 0) & (b["c"] > 0)
    if not both.any():
        return {}
    ratio = (a["m"] - b["m"])[both]
    shift = float(np.median(ratio))
    scale = max(float(1.4826 * np.median(np.abs(ratio - shift))), 0.01)
    off = np.abs(ratio - shift) > spec.quality.outlier_scale * scale
    known = b["c"][both] >= 2
    width = (b["hi"] - b["lo"])[both]
    # One large value among good ones shows in the largest; a small one is too common (a holiday) to say anything.
    up = (a["hi"] - b["hi"])[both]
    slips: dict[str, int] = {}
    whole = 0
    for power in SLIPS:
        for sign in (1, -1):
            target = sign * power
            moved = up if sign > 0 and power > 1 else ratio
            steady = known & (width <= (STEADY if power > 1 else VERY_STEADY))
            far = np.abs(moved - target)
            hit = steady & (far <= NEAR) & (np.abs(moved - shift) > NEAR)
            # Slips cluster at a power of ten; where real moves are as many beside it, nothing clusters.
            beside = steady & (far > NEAR) & (far <= 3 * NEAR) & (np.abs(moved - shift) > NEAR)
            if hit.sum() > beside.sum():
                slips[f"10^{target}"] = int(hit.sum())
            if abs(shift - target) <= NEAR and scale <= STEADY and (len(ratio) > 1 or bool(steady.all())):
                whole = target
    alone = (a["hi"] == a["lo"]) & (a["c"] >= periods)
    one_value = (np.maximum(a["hi"], b["hi"]) == np.minimum(a["lo"], b["lo"])) & (a["c"] + b["c"] >= periods)
    return {
        "shift": shift,
        "scale": scale,
        "compared": int(both.sum()),
        "outliers": int(off.sum()),
        "slips": slips,
        "whole": whole,
        "frozen": float(np.mean((alone | one_value)[both])) if np.any((a["c"] + b["c"])[both] >= periods) else None,
    }


def last_day_of(period: date | datetime, frequency: str) -> date:
    """Return the last day of a reference period."""
    day = period.date() if isinstance(period, datetime) else period
    return day if frequency in ("H", "event") else last_day(day, frequency)
