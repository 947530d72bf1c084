"""Measure what a delivery brought against what was stored before it: levels, distribution, series, digits.

Two compact tables carry it: the rows of the delivery, and the rows of earlier deliveries about the last periods
before it (the *baseline*), each as series, period and decimal logarithms of the watched fields. Everything comes
from a few aggregations of them, in the engine that compares deliveries, within its memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np

from opsroom.base.periods import Frequency, add_periods, last_day
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.tables import StoredFile
from opsroom.observe.views import literal, quote, scan

WINDOW = {"H": 48, "D": 7, "W": 4, "M": 3, "Q": 4, "A": 3, "event": 365}
"""Periods of the baseline by frequency; of events, days."""

FIELDS = 6
"""Fields watched where the specification names none."""

MANY_ROWS = 5_000_000
"""Rows beyond which a sample of the series is measured, drawn by a hash of the key: the same on every run."""

SLIPS = (1, 2, 3, 6)
"""Powers of ten that people slip by: tens, cents, thousands, millions."""

NEAR = 0.1
"""How near, in decades, a shift lies to a power of ten to be taken for a slip."""

STEADY = 0.2
"""Standard deviation in decades of a series that is steady enough to tell a slip from a move."""


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
        Series (steady before) shifted by about a power of ten, by that power.
    whole
        The power of ten by which the whole delivery is shifted; 0 for none.
    frozen, frozen_before
        Share of the series with one value over the last periods, now and in the baseline.
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
    frozen_before: float | None = None
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
    fields
        Measures by field.
    """

    sample: float = 1.0
    expected: int = 0
    present: int = 0
    periods: int = 0
    missing_last: int = 0
    active: int = 0
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


def window_start(end: date | datetime, frequency: str) -> date | datetime:
    """Return the first period of the baseline that ends with a period."""
    if isinstance(end, datetime):
        return end - timedelta(hours=WINDOW["H"] - 1)
    return add_periods(end, 1 - WINDOW[frequency], frequency)


class Measuring:
    """Measure one delivery.

    Parameters
    ----------
    con
        A connection of the store's workbench.
    spec
        The dataset's specification.
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
        spec: DatasetSpec,
        number: int,
        stored: Sequence[StoredFile],
        frontier: date | datetime | None,
    ) -> None:
        self._con, self._spec, self._frontier = con, spec, frontier
        self._names = watched_fields(spec)
        self._series = [k for k in spec.key if k != spec.period]
        self._now = [f for f in stored if f.low["delivery"] == number]
        self._base: list[StoredFile] = []
        self._from: date | datetime | None = None
        if frontier is not None:
            self._from = window_start(frontier, spec.frequency)
            self._base = [
                f for f in stored if f.low["delivery"] < number and f.meets(spec.period, self._from, frontier)
            ]

    def run(self) -> Measures:
        """Measure."""
        if not self._now:
            return Measures()
        rows = sum(f.rows for f in self._now)
        every = max(1, math.ceil(max(rows, sum(f.rows for f in self._base)) / MANY_ROWS)) if self._series else 1
        # Of large baselines most files lie outside the window in part, so `every` is an upper bound.
        self._gather("now", self._now, every, "op = 0")
        if self._base:
            period = quote(self._spec.period)
            condition = f"op = 0 AND {period} BETWEEN {literal(self._from)} AND {literal(self._frontier)}"  # type: ignore[arg-type]  # set with the base
            self._gather("base", self._base, every, condition)
        else:
            self._con.execute("CREATE OR REPLACE TEMP TABLE base AS FROM now LIMIT 0")
        coming = self._coming()
        return Measures(sample=1 / every, fields=self._fields(), **coming)

    # -- gathering ----------------------------------------------------------------------------

    def _gather(self, name: str, files: Sequence[StoredFile], every: int, condition: str) -> None:
        series = f"hash({', '.join(quote(k) for k in self._series)})" if self._series else "CAST(0 AS UBIGINT)"
        sample = f" AND {series} % {every} = 0" if every > 1 else ""
        columns = [f"{series} AS s", f"{quote(self._spec.period)} AS p"]
        for n, one in enumerate(self._names):
            x = f"CAST({quote(one)} AS DOUBLE)"
            columns += [f"log10(abs(nullif({x}, 0))) AS l{n}", f"CAST(sign({x}) AS TINYINT) AS g{n}"]
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {', '.join(columns)} FROM {scan(files)} "
            f"WHERE {condition}{sample}"
        )

    # -- who came -----------------------------------------------------------------------------

    def _coming(self) -> dict[str, int]:
        """Count expected and present series in the new periods."""
        spec = self._spec
        if self._frontier is None or not self._base or spec.frequency == Frequency.EVENT:
            return {}
        after = literal(self._frontier)
        row = self._con.execute(
            "WITH width AS (SELECT count(DISTINCT p) AS n FROM base), "
            "active AS (SELECT s FROM base GROUP BY s HAVING count(DISTINCT p) * 2 >= (SELECT n FROM width)), "
            f"fresh AS (SELECT DISTINCT s, p FROM now WHERE p > {after}), "
            "came AS (SELECT s, p FROM fresh SEMI JOIN active USING (s)) "
            "SELECT (SELECT count(*) FROM active), (SELECT count(*) FROM came), "
            "  (SELECT CAST(max(p) AS VARCHAR) FROM fresh), "
            "  (SELECT count(*) FROM came WHERE p = (SELECT max(p) FROM fresh)), "
            "  (SELECT string_agg(DISTINCT isodow(p), ',') FROM base)"
        ).fetchone()
        active, came, last, at_last, days = row or (0, 0, None, 0, "")
        if not active or last is None:
            return {"active": int(active)}
        weekdays = {int(d) for d in str(days).split(",") if d}
        periods = self._count_periods(last, weekdays)
        return {
            "active": int(active),
            "periods": periods,
            "expected": int(active) * periods,
            "present": int(came),
            "missing_last": int(active) - int(at_last),
        }

    def _count_periods(self, last: str, weekdays: set[int]) -> int:
        """Count the periods after the frontier up to the last one; days only those of the week that are in use."""
        spec, start = self._spec, self._frontier
        if isinstance(start, datetime):
            end = datetime.fromisoformat(last.replace(" ", "T"))
            end = end if end.tzinfo else end.replace(tzinfo=start.tzinfo)
            return max(round((end - start) / timedelta(hours=1)), 1)
        end_day = date.fromisoformat(last[:10])
        if start is None:
            return 1
        if spec.frequency == Frequency.DAILY:
            days = (start + timedelta(days=n) for n in range(1, (end_day - start).days + 1))
            return max(sum(d.isoweekday() in weekdays for d in days), 1)
        count, day = 0, start
        while day < end_day:
            day = add_periods(day, 1, spec.frequency)
            count += 1
        return max(count, 1)

    # -- values -------------------------------------------------------------------------------

    def _fields(self) -> dict[str, FieldMeasure]:
        if not self._names:
            return {}
        digits = self._digits()
        series = self._by_series()
        return {
            name: FieldMeasure(**digits[n], **_compare(series, n, self._spec, self._frozen_periods()))
            for n, name in enumerate(self._names)
        }

    def _frozen_periods(self) -> int:
        default = 4 if self._spec.frequency in ("Q", "A") else 5
        return self._spec.quality.frozen_periods or default

    def _digits(self) -> list[dict[str, Any]]:
        """Count values by sign, power of ten and leading digit, and compare both sides."""
        queries = [
            f"SELECT {n} AS field, {side} AS side, g{n} AS sign, CAST(floor(l{n}) AS INTEGER) AS power, "
            # 1e-9 keeps whole powers of ten, whose logarithm may fall a hair short, in their own bin
            f"CAST(floor(10 ** (l{n} - floor(l{n}) + 1e-9)) AS TINYINT) AS digit, count(*) AS n FROM {table} "
            f"GROUP BY ALL"
            for n in range(len(self._names))
            for side, table in ((0, "now"), (1, "base"))
        ]
        found = self._con.execute(" UNION ALL ".join(queries)).to_arrow_table().to_pylist()
        return [_digit_measures([r for r in found if r["field"] == n]) for n in range(len(self._names))]

    def _by_series(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return levels of every series on both sides, one array a column."""
        parts = ", ".join(
            f"avg(l{n}) AS m{n}, stddev_pop(l{n}) AS d{n}, min(l{n}) AS lo{n}, max(l{n}) AS hi{n}, count(l{n}) AS c{n}"
            for n in range(len(self._names))
        )
        names = [f"{part}{n}" for n in range(len(self._names)) for part in ("m", "d", "lo", "hi", "c")]
        chosen = ", ".join(f"a.{x} AS a_{x}, b.{x} AS b_{x}" for x in names)
        found = self._con.execute(
            f"SELECT {chosen} FROM (SELECT s, {parts} FROM now GROUP BY s) a "
            f"JOIN (SELECT s, {parts} FROM base GROUP BY s) b USING (s)"
        ).to_arrow_table()
        return {
            name: np.asarray(found.column(name).to_numpy(zero_copy_only=False), dtype=float)
            for name in found.column_names
        }


def _digit_measures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    now = [r for r in rows if r["side"] == 0]
    values = sum(r["n"] for r in now if r["sign"] is not None)
    out: dict[str, Any] = {
        "values": values,
        "empty": sum(r["n"] for r in now if r["sign"] is None),
        "zero": sum(r["n"] for r in now if r["sign"] == 0),
        "negative": sum(r["n"] for r in now if r["sign"] == -1),
        "benford": benford(
            [(r["power"], r["digit"], r["n"]) for r in now if r["sign"] in (1, -1)],
        ),
    }
    sides: list[dict[tuple[int, int, int], int]] = [{}, {}]
    for r in rows:
        if r["sign"] is not None:
            sides[r["side"]][_order(r)] = sides[r["side"]].get(_order(r), 0) + r["n"]
    if min(sum(side.values()) for side in sides) >= FEW:
        bins = sorted(set(sides[0]) | set(sides[1]))
        a = np.array([sides[0].get(b, 0) for b in bins], dtype=float)
        b = np.array([sides[1].get(b, 0) for b in bins], dtype=float)
        out["psi"], out["ks"] = psi(a, b), kolmogorov(a, b)
    return out


def _order(row: dict[str, Any]) -> tuple[int, int, int]:
    """Return a key that sorts bins as their values: negative ones by falling size."""
    sign = row["sign"]
    if sign == 0:
        return 0, 0, 0
    return sign, sign * row["power"], sign * row["digit"]


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


def benford(bins: Sequence[tuple[int, int, int]]) -> float | None:
    """Return the mean absolute deviation of leading digits from Benford's law, or None where that is not apt.

    Parameters
    ----------
    bins
        Power of ten, leading digit, number of values.

    Notes
    -----
    Apt means: 1,000 values or more, whose middle 98 % span two decades or more. Nigrini's customary bounds of the
    mean absolute deviation of the first digit: up to 0.006 close, 0.012 acceptable, 0.015 marginal conformity.
    """
    total = sum(n for _, _, n in bins)
    if total < BENFORD_ROWS:
        return None
    ordered = sorted((power + math.log10(digit), n) for power, digit, n in bins)
    reached = np.cumsum([n for _, n in ordered]) / total
    low, high = (ordered[int(np.searchsorted(reached, q))][0] for q in (0.01, 0.99))
    if high - low < BENFORD_DECADES:
        return None
    counts = np.zeros(9)
    for _, digit, n in bins:
        counts[digit - 1] += n
    law = np.log10(1 + 1 / np.arange(1, 10))
    return float(np.mean(np.abs(counts / total - law)))


def _compare(series: dict[str, np.ndarray[Any, Any]], n: int, spec: DatasetSpec, periods: int) -> dict[str, Any]:
    """Compare the levels of series before and now, of one field."""
    a = {part: series[f"a_{part}{n}"] for part in ("m", "d", "lo", "hi", "c")}
    b = {part: series[f"b_{part}{n}"] for part in ("m", "d", "lo", "hi", "c")}
    both = (a["c"] > 0) & (b["c"] > 0)
    if not both.any():
        return {}
    ratio = (a["m"] - b["m"])[both]
    shift = float(np.median(ratio))
    scale = max(float(1.4826 * np.median(np.abs(ratio - shift))), 0.01)
    off = np.abs(ratio - shift) > spec.quality.outlier_scale * scale
    known = b["c"][both] >= 2
    steady = (b["d"][both] <= STEADY) & known
    # A single value among good ones shows in the extremes, a series that slipped as a whole in its mean, too.
    up, down = (a["hi"] - b["hi"])[both], (a["lo"] - b["lo"])[both]
    slips: dict[str, int] = {}
    whole = 0
    for power in SLIPS:
        for sign in (1, -1):
            target = sign * power
            moved = (up if sign > 0 else down) if power > 1 else ratio
            hit = steady & (np.abs(moved - target) <= NEAR) & (np.abs(moved - shift) > NEAR)
            if hit.any():
                slips[f"10^{target}"] = int(hit.sum())
            if abs(shift - target) <= NEAR and scale <= 2 * STEADY and (len(ratio) > 1 or bool(steady.all())):
                whole = target
    one_value = (np.maximum(a["hi"], b["hi"]) == np.minimum(a["lo"], b["lo"])) & (a["c"] + b["c"] >= periods)
    before = (b["hi"] == b["lo"]) & (b["c"] >= 2)
    # The share before is over the baseline alone, so that a lasting freeze is told once, when it begins.
    return {
        "shift": shift,
        "scale": scale,
        "compared": int(both.sum()),
        "outliers": int(off.sum()),
        "slips": slips,
        "whole": whole,
        "frozen": float(np.mean(one_value[both])) if np.any((a["c"] + b["c"])[both] >= periods) else None,
        "frozen_before": float(np.mean(before[both])),
    }


def last_day_of(period: date | datetime, frequency: str) -> date:
    """Return the last day of a reference period."""
    day = period.date() if isinstance(period, datetime) else period
    return day if frequency in ("H", "event") else last_day(day, frequency)
