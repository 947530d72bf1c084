"""The normal of each of very many companies at once: fitted, levelled, and expected day by day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.adjust.breaks import Steps, fit_levelled, join_steps, level_at
from opsroom.measure.adjust.days import calendar_days
from opsroom.measure.adjust.feasts import moving_feasts
from opsroom.measure.adjust.readings_file import ReadingsFile
from opsroom.measure.adjust.shared import Shared
from opsroom.measure.adjust.spread import Spread
from opsroom.measure.adjust.terms import LEAN, DayDesign, Detail, weather_days

F32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Readings = npt.NDArray[np.integer] | npt.NDArray[np.floating] | ReadingsFile

FLOOR = 0.01
"""Use below this share of the usual level counts as this share: a logarithm needs a floor."""

FEWEST = 90
"""Normal days that a company must have to get a normal of its own."""

STEP = 0.15
"""Least step in a company's level, log points: smaller ones drown in its noise or do not matter."""

CAP = 4.0
LEVEL = 0.9
SAMPLE = 512
HELD_OUT = 182
"""Normal days at the end that are forecast in rehearsal."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Days, calendar and weather that the series of a panel share.

    Attributes
    ----------
    dates
        Days of the columns.
    train
        Days regarded as normal, (days,).
    designs
        One a region: terms of all days (days, terms), zero where the weather is unknown.
    penalty
        Of each term.
    known
        Where the weather is known, (regions, days).
    trend
        Terms that hold the trend.
    """

    dates: pd.DatetimeIndex
    train: Bools
    designs: tuple[F32, ...]
    penalty: npt.NDArray[np.float64]
    known: Bools
    trend: slice

    @classmethod
    def of(
        cls,
        dates: pd.DatetimeIndex,
        *,
        train: Sequence[tuple[object, object]],
        temperature: Mapping[str, pd.Series | pd.DataFrame] | None = None,
        country: str | None = None,
        regions: Sequence[str] = ("",),
        subdivisions: Mapping[str, str] | None = None,
        trend: str = "flat",
        detail: Detail = LEAN,
    ) -> Ground:
        """Lay calendar and weather out.

        Parameters
        ----------
        dates
            Days of the panel, without gaps.
        train
            Spans ``(start, end)`` regarded as normal.
        temperature
            Region → daily temperature, as `opsroom.measure.adjust.terms.weather_days` takes it; None: none is known.
        country
            Code of the ``holidays`` library.
        regions
            Names of the regions, in the order of their codes.
        subdivisions
            Region → its code in the ``holidays`` library, where it has holidays of its own.
        trend, detail
            As in `DayDesign`.
        """
        days = pd.DatetimeIndex(dates)
        mask = np.zeros(len(days), dtype=bool)
        for start, end in train:
            mask |= np.asarray((days >= pd.Timestamp(str(start))) & (days <= pd.Timestamp(str(end))))
        designs, known, penalty, terms = [], [], np.empty(0), slice(0, 0)
        for name in regions:
            place = (subdivisions or {}).get(name)
            calendar = calendar_days(days, country=country, region=place)
            feasts = moving_feasts(days, country=country, region=place)
            weather = weather_days(temperature[name], days) if temperature is not None else None
            sure = np.ones(len(days), bool) if weather is None else weather.notna().all(axis=1).to_numpy()
            learnt = mask & sure
            if int(learnt.sum()) < FEWEST:
                raise FitError(
                    "there are too few normal days with weather to fit a normal.",
                    remedy="Give longer normal spans, or weather for them.",
                    code="OPS-M017",
                )
            design = DayDesign.learn(
                calendar[learnt], None if weather is None else weather[learnt], trend=trend, feasts=feasts,
                detail=detail,
            )  # fmt: skip
            x, penalty = design.matrix(calendar, weather)
            terms = design.trend_terms
            designs.append(np.where(np.isfinite(x), x, 0).astype(np.float32))
            known.append(sure)
        return cls(days, mask, tuple(designs), penalty, np.stack(known), terms)

    def until(self, day: int) -> Ground:
        """Return the ground with no normal day from column `day` on."""
        mask = self.train.copy()
        mask[day:] = False
        return Ground(self.dates, mask, self.designs, self.penalty, self.known, self.trend)


@dataclass(frozen=True, slots=True)
class PanelNormal:
    """What is normal for each company of a panel; confidential.

    Attributes
    ----------
    ground
        What it rests on.
    region
        Region code of each company.
    coef
        Of the log of use over the usual level, (companies, terms).
    level
        Usual level times the mean of use over the fitted median, unit of the readings, (companies,).
    scale
        Robust standard deviation of a day's relative error, (companies,).
    rows
        Normal days that each company has.
    fitted
        False where there were too few for a normal.
    steps
        Steps in level within the normal days, ``day`` a column of the panel.
    spread, quantile
        Law of the errors of rehearsed forecasts in units of `scale`, and their 90 % quantile.
    """

    ground: Ground
    region: Ints
    coef: F32
    level: F32
    scale: F32
    rows: Ints
    fitted: Bools
    steps: Steps
    spread: Spread
    quantile: float

    def expected(self, rows: Ints) -> F32:
        """Return what these companies would use on every day, NaN where weather or normal is unknown."""
        out = np.empty((len(rows), len(self.ground.dates)), dtype=np.float32)
        for code in np.unique(self.region[rows]).tolist():
            at = np.flatnonzero(self.region[rows] == code)
            logged = self.coef[rows[at]] @ self.ground.designs[code].T
            np.exp(logged, out=logged)
            logged *= self.level[rows[at], None]
            logged[:, ~self.ground.known[code]] = np.nan
            out[at] = logged
        place = np.full(len(self.region), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        for k in np.flatnonzero(place[self.steps.series] >= 0):
            out[place[self.steps.series[k]], : self.steps.day[k]] *= np.float32(np.exp(-self.steps.size[k]))
        out[~self.fitted[rows]] = np.nan
        return out

    def to_frame(self, readings: Readings, row: int) -> pd.DataFrame:
        """Return ``observed, expected, gap, lower, upper`` of one company (gap and bounds in per cent).

        Parameters
        ----------
        readings
            The panel's readings.
        row
            Row of the company.
        """
        expected = self.expected(np.array([row]))[0].astype(np.float64)
        observed = _numbers(readings[row : row + 1])[0].astype(np.float64)
        kind = np.zeros(len(expected), dtype=np.int64)
        half = self.quantile * float(self.scale[row]) * self.spread.sd(self.horizon(), kind)
        floor = np.maximum(observed, FLOOR * float(self.level[row]))
        gap = np.log(floor / expected)
        bounds = {name: 100 * np.expm1(gap + move) for name, move in (("lower", -half), ("upper", half))}
        frame = {"observed": observed, "expected": expected, "gap": 100 * (observed / expected - 1), **bounds}
        return pd.DataFrame(frame, index=pd.DatetimeIndex(self.ground.dates, name="date"))

    def horizon(self) -> Ints:
        """Return days since the last normal day, 0 up to it."""
        last = int(np.flatnonzero(self.ground.train)[-1])
        return np.maximum(np.arange(len(self.ground.dates), dtype=np.int64) - last, 0)


def adjust_panel(
    readings: Readings,
    ground: Ground,
    *,
    region: Ints | None = None,
    known_steps: Steps | None = None,
    least_step: float = STEP,
    chunk: int = 2048,
    workers: int = 1,
) -> PanelNormal:
    """Fit the normal of every company of a panel.

    It answers: what would each of these companies use on a day with this weather and calendar if nothing were the
    matter, whatever meter it has now?

    Parameters
    ----------
    readings
        Use by company and day, (companies, days): whole numbers with a negative one where a reading is missing, or
        floating ones with NaN. Rows are customers, not meters or class labels: see `follow_customers`, which also
        gives them as a file that is read a chunk at a time.
    ground
        Days, calendar and weather.
    region
        Region code of each company, (companies,); None: all 0.
    known_steps
        Days on which a company's meter was changed (``size`` is not looked at): the level may step there, however
        little. They must lie within the normal days.
    least_step
        Least step in level, log points, that is looked for elsewhere; infinite: none is.
    chunk, workers
        Companies worked on at a time, and threads: memory is about ``8 × workers × chunk × days`` numbers, beside one
        row of coefficients a company and the readings, where they are an array.

    Returns
    -------
    PanelNormal

    Raises
    ------
    UsageError
        If shapes do not fit.
    FitError
        If no company has enough normal days.

    Notes
    -----
    :math:`\\log(y_{ut} / m_u) = x_{r(u) t}'\\beta_u + \\text{steps} + e_{ut}`, :math:`m_u` the median of the
    company's normal days, by Huber's loss with a ridge (`opsroom.measure.adjust.shared`). The expected value is a
    mean: the fitted median times the mean of :math:`y / \\hat y` over the normal days, cut above. The law of the errors
    comes from a sample of companies, fitted without the last half year of the normal days and tested on it.
    """
    n = len(readings)
    region = np.zeros(n, dtype=np.int64) if region is None else np.asarray(region, dtype=np.int64)
    if readings.ndim != 2 or readings.shape[1] != len(ground.dates) or region.shape != (n,):
        raise UsageError("readings, days and regions do not fit.", remedy="Give (companies, days) and (companies,).")
    if n and not 0 <= region.min() <= region.max() < len(ground.designs):
        raise UsageError("a region code is out of range.", remedy="Number the regions as in the ground.")
    fitted = fit_companies(readings, ground, region, known_steps, least_step, chunk, workers)
    if not fitted["fitted"].any():
        raise FitError(
            f"no company has {FEWEST} normal days.", remedy="Give longer normal spans.", code="OPS-M018"
        )  # fmt: skip
    spread, quantile = rehearse_companies(readings, ground, region, fitted["fitted"], least_step)
    return PanelNormal(ground=ground, region=region, spread=spread, quantile=quantile, **fitted)


def fit_companies(
    readings: Readings,
    ground: Ground,
    region: Ints,
    known_steps: Steps | None,
    least_step: float,
    chunk: int,
    workers: int,
) -> dict[str, Any]:
    """Fit all companies, region by region and chunk by chunk."""
    n, k = len(readings), ground.designs[0].shape[1]
    coef, level = np.zeros((n, k), dtype=np.float32), np.zeros(n, dtype=np.float32)
    scale, rows = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.int64)
    jobs: list[tuple[Ints, Bools, Shared]] = []
    for code, x in enumerate(ground.designs):
        days = ground.train & ground.known[code]
        at = np.flatnonzero(region == code)
        if not len(at):
            continue
        shared = Shared.of(x[days], penalty=ground.penalty, dtype=np.float32)
        jobs += [(at[low : low + chunk], days, shared) for low in range(0, len(at), chunk)]

    def work(job: tuple[Ints, Bools, Shared]) -> Steps:
        at, days, shared = job
        column = np.flatnonzero(days)
        values = _numbers(readings[at][:, days])
        usual, y = _logged(values)
        own = _within(known_steps, at, column)
        if len(own.series):
            own = level_at(shared, y, own)
        fit, found = fit_levelled(shared, y, trend=ground.trend, size=least_step)
        coef[at], scale[at], rows[at] = fit.coef, np.clip(fit.scale, 0.01, 2), fit.rows
        smear = _smear(y - np.asarray(fit.coef @ shared.x.T, dtype=np.float32), fit.scale)
        level[at] = np.multiply(usual, smear)
        both = join_steps([own, found])
        return Steps(at[both.series], column[both.day], both.size)

    steps = join_steps(_each(work, jobs, workers))
    good = (rows >= FEWEST) & np.isfinite(level) & (level > 0)
    return {"coef": coef, "level": level, "scale": scale, "rows": rows, "fitted": good, "steps": steps}


def _each(
    work: Callable[[tuple[Ints, Bools, Shared]], Steps], jobs: Sequence[tuple[Ints, Bools, Shared]], workers: int
) -> list[Steps]:
    if workers <= 1:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, jobs))


def _numbers(block: npt.NDArray[np.number]) -> F32:
    """Return readings as single-precision numbers, NaN where missing."""
    out = block.astype(np.float32)
    if block.dtype.kind in "iu":
        out[block < 0] = np.nan
    return out


def _logged(values: F32) -> tuple[F32, F32]:
    """Return each company's usual level, and the log of its use over it; NaN where there is none."""
    seen = np.isfinite(values)
    count = seen.sum(axis=1)
    ranked = np.sort(np.where(seen, values, np.inf), axis=1)
    usual = ranked[np.arange(len(values)), np.maximum(count - 1, 0) // 2]
    usual = np.where((count > 0) & (usual > 0), usual, np.nan).astype(np.float32)
    with np.errstate(invalid="ignore"):
        return usual, np.log(np.maximum(values / usual[:, None], np.float32(FLOOR)))


def _smear(residual: F32, scale: npt.NDArray[np.floating]) -> F32:
    """Return the mean of use over its fitted median, wild days cut."""
    cap = CAP * np.maximum(scale, 0.01)[:, None]
    ratio = np.exp(np.minimum(residual, cap))
    seen = np.isfinite(ratio)
    return np.asarray(np.where(seen, ratio, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1), dtype=np.float32)


def _within(steps: Steps | None, at: Ints, column: Ints) -> Steps:
    """Return the steps of some companies, numbered as the rows and columns that are fitted."""
    if steps is None:
        return join_steps([])
    row = pd.Index(at).get_indexer(pd.Index(steps.series))
    day = np.searchsorted(column, steps.day)
    keep = (row >= 0) & (day > 0) & (day < len(column))
    return Steps(row[keep].astype(np.int64), day[keep].astype(np.int64), steps.size[keep])


def rehearse_companies(
    readings: Readings, ground: Ground, region: Ints, fitted: Bools, least_step: float
) -> tuple[Spread, float]:
    """Return the law of the errors, in units of each company's scale, from a sample of companies."""
    able = np.flatnonzero(fitted)
    sample = able[np.unique(np.linspace(0, len(able) - 1, min(SAMPLE, len(able))).astype(np.int64))]
    normal = np.flatnonzero(ground.train)
    held = min(HELD_OUT, len(normal) // 3)
    origin = int(normal[-held])
    before = ground.until(origin)
    part = fit_companies(readings[sample], before, region[sample], None, least_step, len(sample), 1)
    trial = PanelNormal(
        ground=before, region=region[sample], spread=Spread(1.0, 0.0, (1.0, 1.0, 1.0)), quantile=1.0, **part
    )
    test = np.flatnonzero(ground.train & (np.arange(len(ground.train)) >= origin))
    expected = trial.expected(np.arange(len(sample)))[:, test]
    observed = _numbers(readings[sample][:, test])
    floor = FLOOR * trial.level[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.log(np.maximum(observed, floor) / expected) / trial.scale[:, None]
    horizon = np.broadcast_to(trial.horizon()[test], error.shape)
    good = np.isfinite(error)
    if not good.any():
        return Spread(1.0, 0.0, (1.0, 1.0, 1.0)), 1.6449
    flat, far = error[good].astype(np.float64), horizon[good]
    kind = np.zeros(len(flat), dtype=np.int64)
    spread = Spread.learn(flat, far, kind)
    return spread, float(np.quantile(np.abs(flat) / spread.sd(far, kind), LEVEL))
