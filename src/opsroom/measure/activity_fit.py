"""The normal day: which regression forecasts it best, and how far such forecasts miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from opsroom.base.errors import FitError
from opsroom.measure.adjust.batch import fit_batch
from opsroom.measure.adjust.days import OFF, calendar_days
from opsroom.measure.adjust.terms import DayDesign, weather_days

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TRENDS = ("linear", "flat", "local", "none")
PENALTIES = (0.3, 1.0, 3.0, 10.0)
LEVEL = 0.9
FEWEST = 120
FIRST_ORIGIN = 2 * 365
STEP = 91


@dataclass(frozen=True, slots=True)
class Normal:
    """Observed load, expected log load and half the width of its interval; columns are series."""

    observed: pd.DataFrame
    log_expected: pd.DataFrame
    half_width: pd.DataFrame
    fits: pd.DataFrame
    errors: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Days:
    """What is known of each day."""

    dates: pd.DatetimeIndex
    calendar: pd.DataFrame
    weather: pd.DataFrame | None
    normal: Mask
    known: Mask

    def design(self, train: Mask, trend: str) -> tuple[Floats, Floats]:
        """Return a design learnt on the days of `train`, for all days."""
        learnt = self.weather[train] if self.weather is not None else None
        design = DayDesign.learn(self.calendar[train], learnt, trend=trend)
        x, penalty = design.matrix(self.calendar, self.weather)
        return np.where(np.isfinite(x), x, 0.0), penalty


def fit_normal(
    daily: pd.DataFrame,
    *,
    temperature: pd.Series | pd.DataFrame | None,
    country: str | None,
    region: str | None,
    spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]],
) -> Normal:
    """Fit the normal of every column of `daily` on the days of `spans`.

    Parameters
    ----------
    daily
        Positive load, gapless index of days; NaN where unknown.
    temperature, country, region
        As in `opsroom.measure.activity.activity_index`.
    spans
        First and last days regarded as normal.
    """
    days = _days(daily, temperature, country, region, spans)
    if int(days.normal.sum()) < FEWEST:
        raise FitError(
            f"there are fewer than {FEWEST} normal days with load and weather.",
            remedy="Give longer normal spans.",
            code="OPS-M011",
        )
    y = np.log(daily.to_numpy().T)
    folds = _folds(days)
    candidates = list(product(TRENDS if _rehearses(days) else ("none",), PENALTIES))
    errors = _rehearse(y, days, folds, candidates)
    losses = np.array([np.nanmean(np.minimum(e**2, 0.25), axis=1) for e in errors.values()])
    best = losses.argmin(axis=0)
    horizon = _horizon(days, days.normal)
    expected, half = np.full_like(y, np.nan), np.full_like(y, np.nan)
    rows, pool = [], []
    fitted = {}
    for number, name in enumerate(daily.columns):
        trend, penalty = candidates[best[number]]
        if trend not in fitted:
            fitted[trend] = days.design(days.normal, trend)
        x, weight = fitted[trend]
        fit = fit_batch(y[number : number + 1, days.normal], x[days.normal], penalty=penalty * weight)
        expected[number] = np.where(days.known, fit.predict(x)[0], np.nan)
        own = errors[trend, penalty][number]
        table = _error_table(str(name), own, folds, days)
        spread = _Spread.learn(table)
        table["score"] = table["error"] / spread.sd(table["horizon"].to_numpy(), table["group"].to_numpy())
        quantile = float(table["score"].abs().quantile(LEVEL))
        half[number] = quantile * spread.sd(horizon, _groups(days))
        pool.append(table)
        rows.append(
            {
                "series": name, "trend": trend, "penalty": penalty, "days": int(fit.rows[0]),
                "residual_sd": float(table["error"].std()), "coverage": _honest_coverage(table),
                "weather": days.weather is not None,
            }
        )  # fmt: skip
    return Normal(
        observed=daily,
        log_expected=pd.DataFrame(expected.T, index=days.dates, columns=daily.columns),
        half_width=pd.DataFrame(half.T, index=days.dates, columns=daily.columns),
        fits=pd.DataFrame(rows).set_index("series"),
        errors=pd.concat(pool, ignore_index=True).drop(columns="group"),
    )


def _days(
    daily: pd.DataFrame,
    temperature: pd.Series | pd.DataFrame | None,
    country: str | None,
    region: str | None,
    spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]],
) -> _Days:
    dates = pd.DatetimeIndex(daily.index)
    weather = weather_days(temperature, dates) if temperature is not None else None
    known = np.ones(len(dates), dtype=bool) if weather is None else weather.notna().all(axis=1).to_numpy()
    normal = np.zeros(len(dates), dtype=bool)
    for start, end in spans:
        normal |= (dates >= start) & (dates <= end)
    normal &= known & daily.notna().any(axis=1).to_numpy()
    return _Days(dates, calendar_days(dates, country=country, region=region), weather, normal, known)


def _rehearses(days: _Days) -> bool:
    """Tell whether the normal days are long enough to rehearse forecasts."""
    return len(_origins(days)) > 0


def _origins(days: _Days) -> list[int]:
    at = np.flatnonzero(days.normal)
    return list(range(int(at[0]) + FIRST_ORIGIN, int(at[-1]) - STEP + 1, STEP))


def _folds(days: _Days) -> list[tuple[Mask, Mask]]:
    """Return (train, test) masks: forecasts from past origins, or blocks left out where history is short."""
    position = np.arange(len(days.dates))
    reach = max(365, int(_horizon(days, days.normal).max()))
    folds = []
    for origin in _origins(days):
        test = days.normal & (position >= origin) & (position < origin + reach)
        folds.append((days.normal & (position < origin), test))
    if folds:
        return folds
    blocks = np.array_split(np.flatnonzero(days.normal), 8)
    for block in blocks:
        test = np.zeros(len(position), dtype=bool)
        test[block] = True
        folds.append((days.normal & ~test, test))
    return folds


def _rehearse(
    y: Floats, days: _Days, folds: list[tuple[Mask, Mask]], candidates: list[tuple[str, float]]
) -> dict[tuple[str, float], Floats]:
    """Return each candidate's errors on the test days, shape (series, folds × days), NaN elsewhere."""
    out = {c: np.full((len(y), len(folds), y.shape[1]), np.nan) for c in candidates}
    for number, (train, test) in enumerate(folds):
        designs = {trend: days.design(train, trend) for trend, _ in candidates}
        for trend, penalty in candidates:
            x, weight = designs[trend]
            fit = fit_batch(y[:, train], x[train], penalty=penalty * weight, iterations=3)
            out[trend, penalty][:, number, test] = y[:, test] - fit.predict(x[test])
    return {c: errors.reshape(len(y), -1) for c, errors in out.items()}


def _error_table(name: str, errors: Floats, folds: list[tuple[Mask, Mask]], days: _Days) -> pd.DataFrame:
    """Return the rehearsal errors of a series in long form."""
    grid = errors.reshape(len(folds), -1)
    groups = _groups(days)
    pieces = []
    for number, (train, _) in enumerate(folds):
        at = np.flatnonzero(np.isfinite(grid[number]))
        pieces.append(
            pd.DataFrame(
                {
                    "series": name, "origin": days.dates[np.flatnonzero(train)[-1]], "date": days.dates[at],
                    "horizon": _horizon(days, train)[at], "error": grid[number, at], "group": groups[at],
                }
            )
        )  # fmt: skip
    return pd.concat(pieces, ignore_index=True)


def _horizon(days: _Days, train: Mask) -> npt.NDArray[np.int64]:
    """Return days since the last day of `train` (0 up to it)."""
    last = int(np.flatnonzero(train)[-1])
    return np.maximum(np.arange(len(days.dates), dtype=np.int64) - last, 0)


def _groups(days: _Days) -> npt.NDArray[np.int64]:
    """Return the kind of day that an interval's width may depend on: 0 usual, 1 off, 2 hot or cold."""
    kind = days.calendar["kind"].to_numpy()
    month, day = days.dates.month, days.dates.day
    ends = ((month == 12) & (day >= 23)) | ((month == 1) & (day <= 6))
    group = np.where(np.isin(kind, OFF[1:]) | (kind == "bridge") | ends, 1, 0)
    if days.weather is not None:
        around = days.weather["around"]
        low, high = around[days.normal].quantile([0.05, 0.9])
        group = np.where((group == 0) & ((around < low) | (around > high)), 2, group)
    return np.asarray(group, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Spread:
    """Standard deviation of a forecast: a constant, a drift with the horizon, a factor a kind of day."""

    constant: float
    drift: float
    factor: tuple[float, float, float]

    @classmethod
    def learn(cls, table: pd.DataFrame) -> _Spread:
        cap = 4 * float(table["error"].abs().quantile(0.683))
        square = np.minimum(table["error"].to_numpy() ** 2, cap**2)
        bins = table["horizon"].to_numpy() // STEP
        values = pd.Series(square).groupby(bins).agg(["mean", "size"])
        middle = (values.index.to_numpy() + 0.5) * STEP / 365
        root = np.sqrt(values["size"].to_numpy(dtype=float))
        design = np.column_stack([np.ones(len(values)), middle]) * root[:, None]
        (constant, drift), _ = nnls(design, values["mean"].to_numpy() * root)
        constant = max(constant, 1e-10)
        plain = square / (constant + drift * table["horizon"].to_numpy() / 365)
        group = table["group"].to_numpy()
        factor = []
        for code in range(3):
            own = plain[group == code]
            factor.append(float(np.sqrt((own.sum() + 60 * plain.mean()) / (len(own) + 60))))
        return cls(float(constant), float(drift), (factor[0], factor[1], factor[2]))

    def sd(self, horizon: npt.NDArray[np.int64], group: npt.NDArray[np.int64]) -> Floats:
        scale = np.sqrt(self.constant + self.drift * horizon / 365)
        return np.asarray(scale * np.asarray(self.factor)[group])


def _honest_coverage(table: pd.DataFrame) -> float:
    """Return the coverage of each origin's errors by the quantile of all other origins."""
    hits = []
    for origin, group in table.groupby("origin"):
        other = table.loc[table["origin"] != origin, "score"].abs()
        if len(other):
            hits.append(float((group["score"].abs() <= other.quantile(LEVEL)).mean()) * len(group))
    return float(sum(hits) / len(table)) if hits else float("nan")
