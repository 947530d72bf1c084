"""From companies to cells: observed and expected use by period, the gap, its interval, and what the gate must know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import Cube, parts_from_panel
from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.measure.adjust.breaks import Steps
from opsroom.measure.adjust.panel import HELD_OUT, LEVEL, STEP, Ground, PanelNormal, Readings, adjust_panel
from opsroom.measure.adjust.spread import Spread

Ints = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

METHOD = "adjust-1"
OWN = 13
"""Weeks of rehearsal after which a cell's own errors count as much as what its concentration lets expect."""

PARTS = (Part("observed", "unit of the readings"), Part("expected", "unit of the readings"))
GAP = Measure("gap", "ratio", "%", ("observed", "expected"), attached=("gap_lower", "gap_upper"))


@dataclass(frozen=True, slots=True)
class Sums:
    """Use by company and period over the days on which both its reading and its normal are known; confidential.

    Attributes
    ----------
    periods
        Names, and days from the last normal day to the middle of each.
    horizon
        Days since the last normal day, 0 up to it.
    observed, expected
        (companies, periods), whole units.
    """

    periods: tuple[str, ...]
    horizon: Ints
    observed: Ints
    expected: Ints


@dataclass(frozen=True, slots=True)
class Rollup:
    """The gap of every cell of companies, week by week.

    Attributes
    ----------
    units
        One row a company: dimensions and group.
    dimensions, group
        Columns of `units`.
    normal
        Each company's normal.
    sums
        Of all complete weeks.
    rehearsed
        Of the held-out weeks, expected from what was before them.
    """

    units: pd.DataFrame
    dimensions: tuple[str, ...]
    group: str
    normal: PanelNormal
    sums: Sums
    rehearsed: Sums

    def cells(self, name: str, *, since: str = "", public: bool = False, source: str = "") -> Cells:
        """Return the release series ``activity.<name>``: gap by week and cell, with its interval.

        Parameters
        ----------
        name
            Name of the series.
        since
            First week, such as ``2020-W03``; all where empty.
        public
            True when every input is a registered public dataset.
        source
            Words shown on pages.
        """
        cube = Cube(self.units, self.dimensions, self.group)
        chosen = [k for k, week in enumerate(self.sums.periods) if week >= since]
        if not chosen:
            raise UsageError("there is no complete week from then on.", remedy="Choose an earlier week.")
        parts = {"observed": self.sums.observed[:, chosen], "expected": self.sums.expected[:, chosen]}
        frame = parts_from_panel(
            self.units, parts, periods=[self.sums.periods[k] for k in chosen], period="week",
            dimensions=self.dimensions, group=self.group, cube=cube,
        )  # fmt: skip
        horizon = dict(zip(self.sums.periods, self.sums.horizon.tolist(), strict=True))
        half = self._half_width(frame, frame["week"].map(horizon).to_numpy(dtype=np.int64))
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.log(frame["observed"].to_numpy(dtype=float) / frame["expected"].to_numpy(dtype=float))
        gap = np.where(np.isfinite(gap), gap, np.nan)
        frame["gap__adjusted"] = 100 * np.expm1(gap)
        frame["gap_lower"] = np.round(100 * np.expm1(gap - half), 1)
        frame["gap_upper"] = np.round(100 * np.expm1(gap + half), 1)
        return Cells(
            name=f"activity.{name}", dimensions=("week", *self.dimensions), measures=(GAP,), frame=frame,
            parts=PARTS, additive=self.dimensions, public=public, method=METHOD, source=source,
            facts={"level": LEVEL, "companies": len(self.units), "fitted": int(self.normal.fitted.sum())},
        )  # fmt: skip

    def to_frame(self, dimensions: Sequence[str] = ()) -> pd.DataFrame:
        """Return ``observed, expected, gap, lower, upper`` by cell and week; confidential.

        Parameters
        ----------
        dimensions
            Dimensions of the cells; none: all companies together.
        """
        by = list(dimensions)
        long = _totals(self.units, self.sums, by)
        full = long.assign(**{d: TOTAL for d in self.dimensions if d not in by})
        half = self._half_width(full, full["horizon"].to_numpy(dtype=np.int64))
        gap = np.log(long["observed"].to_numpy(dtype=float) / long["expected"].to_numpy(dtype=float))
        out = long.assign(gap=100 * np.expm1(gap), lower=100 * np.expm1(gap - half), upper=100 * np.expm1(gap + half))
        return out.set_index([*by, "week"])[["observed", "expected", "gap", "lower", "upper"]]

    def _half_width(self, frame: pd.DataFrame, horizon: Ints) -> F64:
        """Return half the width of the interval of each row's gap, log points."""
        keys = list(self.dimensions)
        law, spread, quantile = self._law()
        scale = frame[keys].merge(law, on=keys, how="left")["sd"].to_numpy(dtype=float)
        return np.asarray(quantile * scale * spread.sd(horizon, np.zeros(len(horizon), dtype=np.int64)))

    def _law(self) -> tuple[pd.DataFrame, Spread, float]:
        """Return each cell's standard deviation of a week's error, its growth with the horizon, the 90 % quantile.

        Errors of companies have a part in common and a part of their own: the variance of a cell's is
        :math:`a + b \\sum w_i^2`, over cells by non-negative least squares. A cell's own errors count, too.
        """
        from scipy.optimize import nnls

        keys = list(self.dimensions)
        pieces = []
        for chosen in product(*[(d, None) for d in keys]):
            by = [d for d in chosen if d is not None]
            long = _totals(self.units, self.rehearsed, by)
            weight = self.rehearsed.expected.sum(axis=1).astype(float)
            own = self.units[by].assign(w=weight, square=weight**2)
            total = own.groupby(by, observed=True).sum() if by else own[["w", "square"]].sum().to_frame().T
            share = (total["square"] / total["w"] ** 2).rename("concentration")
            long = long.merge(share.reset_index(), on=by) if by else long.assign(concentration=float(share.iloc[0]))
            pieces.append(long.assign(**{d: TOTAL for d in keys if d not in by}))
        table = pd.concat(pieces, ignore_index=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            table["error"] = np.log(table["observed"].astype(float) / table["expected"].astype(float))
        table = table[np.isfinite(table["error"]) & np.isfinite(table["concentration"])]
        table["square"] = table["error"] ** 2
        law = table.groupby(keys, observed=True).agg(
            square=("square", "mean"), weeks=("square", "size"), concentration=("concentration", "first")
        )
        target = law["square"].to_numpy()
        x = np.column_stack([np.ones(len(law)), law["concentration"].to_numpy()])
        # Relative errors of variances are alike: weigh by their inverse, at a first guess and once more.
        guess = np.full(len(law), max(float(np.median(target)), 1e-12))
        for _ in range(3):
            (common, single), _ = nnls(x / guess[:, None], target / guess)
            guess = np.maximum(common + single * x[:, 1], 1e-12)
        law["sd"] = np.sqrt((OWN * guess + law["weeks"] * target) / (OWN + law["weeks"]))
        table = table.merge(law["sd"].reset_index(), on=keys)
        score, far = (table["error"] / table["sd"]).to_numpy(), table["horizon"].to_numpy(dtype=np.int64)
        kind = np.zeros(len(score), dtype=np.int64)
        spread = Spread.learn(score, far, kind)
        quantile = float(np.quantile(np.abs(score) / spread.sd(far, kind), LEVEL))
        return law["sd"].reset_index(), spread, quantile


def roll_up(
    readings: Readings,
    ground: Ground,
    units: pd.DataFrame,
    *,
    dimensions: Sequence[str],
    group: str,
    region: Ints | None = None,
    known_steps: Steps | None = None,
    least_step: float = STEP,
    chunk: int = 2048,
    workers: int = 1,
) -> Rollup:
    """Correct a panel of companies and add it up by cell and week.

    It answers: by how much do companies of this region and industry use less than on normal days with this weather
    and calendar, and how sure is that?

    Parameters
    ----------
    readings, ground, region, known_steps, least_step, chunk, workers
        As in `opsroom.measure.adjust.panel.adjust_panel`.
    units
        One row a company, as in `readings`: codes of the dimensions, enterprise group.
    dimensions, group
        Columns of `units`. A company keeps its codes over the whole panel: one that moves to another class or sector
        is not a fall here and a rise there.

    Returns
    -------
    Rollup

    Notes
    -----
    The interval is read off a rehearsal: all companies are fitted without the last half year of the normal days, and
    the cells' errors of these weeks are what the interval of a week rests on, growing with the horizon as far as they
    do. What fails most often: a common shock between the normal days and now that is no news, such as a mild recession.
    """
    if len(units) != len(readings):
        raise UsageError("units and readings do not have the same companies.", remedy="Give one row a company.")
    normal_days = np.flatnonzero(ground.train)
    held = min(HELD_OUT, len(normal_days) // 3)
    origin = int(normal_days[-held])
    before = ground.until(origin)
    plain: dict[str, Any] = {
        "region": region, "known_steps": known_steps, "least_step": least_step, "chunk": chunk, "workers": workers
    }  # fmt: skip
    trial = adjust_panel(readings, before, **plain)
    test = ground.train & (np.arange(len(ground.train)) >= origin)
    rehearsed = sum_weeks(readings, trial, days=test, chunk=chunk, workers=workers)
    normal = adjust_panel(readings, ground, **plain)
    sums = sum_weeks(readings, normal, chunk=chunk, workers=workers)
    return Rollup(units.reset_index(drop=True), tuple(dimensions), group, normal, sums, rehearsed)


def sum_weeks(
    readings: Readings,
    normal: PanelNormal,
    *,
    days: npt.NDArray[np.bool_] | None = None,
    chunk: int = 2048,
    workers: int = 1,
) -> Sums:
    """Add observed and expected use up by company and complete week, over days on which both are known.

    Parameters
    ----------
    readings, normal
        The panel.
    days
        Days that count; None: all.
    chunk, workers
        As in `opsroom.measure.adjust.panel.adjust_panel`.
    """
    dates = normal.ground.dates
    counts = np.ones(len(dates), dtype=bool) if days is None else days
    calendar = dates.isocalendar()
    label = (calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)).to_numpy(dtype=str)
    weeks = [week for week in np.unique(label[counts]) if int((label[counts] == week).sum()) == 7]
    if not weeks:
        raise UsageError("there is no complete week.", remedy="Give more days.")
    inside = np.isin(label, weeks)
    first, last = int(np.flatnonzero(inside)[0]), int(np.flatnonzero(inside)[-1]) + 1
    edges = np.flatnonzero(np.append(True, label[first + 1 : last] != label[first : last - 1]))
    wanted = np.isin(label[first:last][edges], weeks)
    n = len(readings)
    observed = np.zeros((n, len(weeks)), dtype=np.int64)
    expected = np.zeros((n, len(weeks)), dtype=np.int64)

    def work(low: int) -> None:
        rows = np.arange(low, min(low + chunk, n))
        normal_use = normal.expected(rows)[:, first:last]
        block = readings[rows][:, first:last]
        known = np.isfinite(normal_use) & (block >= 0)  # NaN is not
        whole = np.where(known, block, 0)
        if whole.dtype.kind == "f":
            whole = np.rint(whole)
        observed[rows] = np.add.reduceat(whole.astype(np.int64), edges, axis=1)[:, wanted]
        usual = np.add.reduceat(np.where(known, normal_use, 0).astype(np.float64), edges, axis=1)
        expected[rows] = np.rint(usual[:, wanted]).astype(np.int64)

    _each(work, range(0, n, chunk), workers)
    horizon = normal.horizon()[first:last][edges[wanted]] + 3
    horizon = np.where(normal.horizon()[first:last][edges[wanted]] > 0, horizon, 0)
    return Sums(tuple(map(str, weeks)), horizon.astype(np.int64), observed, expected)


def _each(work: Callable[[int], None], starts: range, workers: int) -> None:
    if workers <= 1:
        for low in starts:
            work(low)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, starts))


def _totals(units: pd.DataFrame, sums: Sums, by: list[str]) -> pd.DataFrame:
    """Return observed and expected use by cell and week, in long form."""
    code, names = (np.zeros(len(units), dtype=np.int64), None) if not by else _code(units, by)
    count = 1 if names is None else len(names)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(count))
    out = []
    for label, table in (("observed", sums.observed), ("expected", sums.expected)):
        total = np.add.reduceat(table[order], starts, axis=0)
        out.append(pd.Series(total.ravel(), name=label))
    frame = pd.concat(out, axis=1)
    frame.insert(0, "week", np.tile(np.asarray(sums.periods), count))
    frame["horizon"] = np.tile(sums.horizon, count)
    if names is not None:
        for column in by:
            frame.insert(0, column, np.repeat(names[column].to_numpy(), len(sums.periods)))
    return frame


def _code(units: pd.DataFrame, by: list[str]) -> tuple[Ints, pd.DataFrame]:
    """Return each company's cell number, and the codes of the cells."""
    grouped = units[by].astype(str).groupby(by, sort=True)
    names = grouped.size().reset_index()[by]
    return np.asarray(grouped.ngroup(), dtype=np.int64), names
