"""The normal day: which regression forecasts it best, and how far such forecasts miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.activity_learnt import TRENDS, Choice, Days, Floats, Fold, Ints, Kept, Learnt, Mask
from opsroom.measure.adjust.days import OFF, calendar_days
from opsroom.measure.adjust.feasts import moving_feasts
from opsroom.measure.adjust.spread import Spread
from opsroom.measure.adjust.terms import weather_days

PENALTIES = (0.3, 1.0, 3.0, 10.0)
USUAL = 1.0
"""Penalty at which trends are compared; the penalty is then chosen for the best trend."""

FEW = 0.05
"""Least weight of a regression in an average."""

LEVEL = 0.9
FEWEST = 120
WEEK = 7


@dataclass(frozen=True, slots=True)
class Normal:
    """Observed load, expected log load and half the width of its interval; columns are series."""

    observed: pd.DataFrame
    log_expected: pd.DataFrame
    half_width: pd.DataFrame
    fits: pd.DataFrame
    errors: pd.DataFrame


def fit_normal(
    table: pd.DataFrame,
    *,
    temperature: pd.Series | pd.DataFrame | None,
    country: str | None,
    region: str | None,
    spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]],
    weekly: bool = False,
    holidays: Mapping[date, str] | None = None,
    kept: Kept | None = None,
) -> Normal:
    """Fit the normal of every column of `table` on the days of `spans`.

    Parameters
    ----------
    table
        Positive load, gapless index of days, or of Mondays; NaN where unknown.
    temperature, country, region
        As in `opsroom.measure.activity.activity_index`.
    spans
        First and last days regarded as normal.
    weekly
        Whether rows are weeks: a week's terms are the means of its days'.
    holidays, kept
        As in `opsroom.measure.activity.activity_index`.
    """
    days = _days(table, temperature, country, region, spans, holidays, per=WEEK if weekly else 1)
    if int(days.normal.sum()) * days.per < FEWEST:
        raise FitError(
            f"there are fewer than {FEWEST} normal days with load and weather.",
            remedy="Give longer normal spans.",
            code="OPS-M011",
        )
    y = np.log(table.to_numpy().T)
    learnt = Learnt.of(y, days, kept)
    horizon = _horizon(days, days.normal)
    folds = [fold.within(max(365, int(horizon.max())) // days.per) for fold in learnt.folds]
    errors = _rehearse(learnt, folds)
    losses = {c: _loss(e) for c, e in errors.items()}
    mixes = [_mix({c: float(loss[k]) for c, loss in losses.items()}) for k in range(len(y))]
    groups = _groups(days)
    expected, half = np.full_like(y, np.nan), np.full_like(y, np.nan)
    rows, pool = [], []
    wanted = [(number, choice) for number, mix in enumerate(mixes) for choice in mix]
    designs = days.design(days.normal, sorted({choice[0] for _, choice in wanted}))
    fits = learnt.fits(wanted, designs)
    learnt.put_away()
    column = np.flatnonzero(days.normal)
    for number, name in enumerate(table.columns):
        mix = mixes[number]
        line, miss, found = np.zeros(y.shape[1]), np.zeros(errors[wanted[0][1]].shape[1]), []
        for choice, part in mix.items():
            fit, steps = fits[number, choice]
            line += part * fit.predict(designs[choice[0]][0])[0]
            for day, size in zip(steps.day, steps.size, strict=True):
                line[: column[day]] -= part * size
            miss += part * errors[choice][number]
            found.append(steps)
        expected[number] = np.where(days.known, line, np.nan)
        table_of = _error_table(str(name), miss, folds, days, groups)
        (trend, penalty), steps = next(iter(mix)), found[0]
        kind = table_of["group"].to_numpy()
        spread = Spread.learn(table_of["error"].to_numpy(), table_of["horizon"].to_numpy(), kind)
        table_of["score"] = table_of["error"] / spread.sd(table_of["horizon"].to_numpy(), kind)
        quantile = float(table_of["score"].abs().quantile(LEVEL))
        half[number] = quantile * spread.sd(horizon, groups)
        pool.append(table_of)
        used = int(np.isfinite(y[number, days.normal]).sum()) * days.per
        rows.append(
            {
                "series": name, "trend": trend, "penalty": penalty, "days": used,
                "residual_sd": float(table_of["error"].std()), "coverage": _honest_coverage(table_of),
                "mix": ", ".join(f"{c[0]} {part:.2f}" for c, part in mix.items()),
                "next_day_sd": _next_sd(table_of), "weather": days.weather is not None,
                "steps": ", ".join(f"{days.dates[column[d]]:%Y-%m-%d}" for d in np.sort(steps.day)),
            }
        )  # fmt: skip
    return Normal(
        observed=table,
        log_expected=pd.DataFrame(expected.T, index=days.dates, columns=table.columns),
        half_width=pd.DataFrame(half.T, index=days.dates, columns=table.columns),
        fits=pd.DataFrame(rows).set_index("series"),
        errors=pd.concat(pool, ignore_index=True).drop(columns="group"),
    )


def _days(
    table: pd.DataFrame,
    temperature: pd.Series | pd.DataFrame | None,
    country: str | None,
    region: str | None,
    spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]],
    holidays: Mapping[date, str] | None,
    *,
    per: int,
) -> Days:
    dates = pd.DatetimeIndex(table.index)
    days = dates if per == 1 else pd.date_range(dates[0], periods=per * len(dates))
    weather = weather_days(temperature, days) if temperature is not None else None
    known = np.ones(len(days), dtype=bool) if weather is None else weather.notna().all(axis=1).to_numpy()
    normal = np.zeros(len(days), dtype=bool)
    for start, end in spans:
        normal |= np.asarray((days >= start) & (days <= end))
    known = np.asarray(known.reshape(-1, per).all(axis=1))
    normal = np.asarray(normal.reshape(-1, per).all(axis=1))
    normal &= known & table.notna().any(axis=1).to_numpy()
    calendar = calendar_days(days, country=country, region=region, own=holidays)
    feasts = moving_feasts(days, country=country, region=region, own=holidays)
    return Days(dates, days, calendar, weather, feasts, normal, known, per)


def _mix(losses: dict[Choice, float]) -> dict[Choice, float]:
    """Return the weights of the regressions that are averaged, the best first.

    Which trend goes on is not known: each at its best penalty counts by the inverse square of its loss in rehearsal,
    those under a twentieth not at all.
    """
    best = [min((c for c in losses if c[0] == trend), key=lambda c: (losses[c], c)) for trend in {c[0] for c in losses}]
    best.sort(key=lambda c: (losses[c], c))
    weight = np.array([max(losses[c], 1e-12) ** -2.0 for c in best])
    weight = np.where(weight >= FEW * weight.sum(), weight, 0.0)
    return {c: float(w) for c, w in zip(best, weight / weight.sum(), strict=True) if w > 0}


def _loss(errors: Floats) -> Floats:
    """Return each series' mean squared error, wild ones cut."""
    return np.asarray(np.nanmean(np.minimum(errors**2, 0.25), axis=1))


def _rehearse(learnt: Learnt, folds: list[Fold]) -> dict[Choice, Floats]:
    """Return errors on the test days by choice of trend and penalty, (series, folds × days), NaN elsewhere.

    All trends at the usual penalty, then all penalties for the trends that are best for some series.
    """
    trends = TRENDS if learnt.days.origins() else ("none",)
    first = _errors(learnt, folds, [(trend, USUAL) for trend in trends])
    losses = np.array([_loss(e) for e in first.values()])
    best = sorted({trends[k] for k in losses.argmin(axis=0)})
    others = [c for c in product(best, PENALTIES) if c[1] != USUAL]
    return {**first, **_errors(learnt, folds, others)}


def _errors(learnt: Learnt, folds: list[Fold], choices: list[Choice]) -> dict[Choice, Floats]:
    tests = np.array([fold.test for fold in folds])
    found = learnt.errors(choices)
    return {c: np.where(tests, errors, np.nan).reshape(len(errors), -1) for c, errors in found.items()}


def _error_table(name: str, errors: Floats, folds: list[Fold], days: Days, groups: Ints) -> pd.DataFrame:
    """Return the rehearsal errors of a series in long form."""
    fold, at = np.nonzero(np.isfinite(errors.reshape(len(folds), -1)))
    last = np.array([np.flatnonzero(one.train)[-1] for one in folds])
    return pd.DataFrame(
        {
            "series": name, "origin": days.dates[last[fold]], "date": days.dates[at],
            "horizon": np.maximum(at - last[fold], 0) * days.per, "error": errors[np.isfinite(errors)],
            "group": groups[at],
        }
    )  # fmt: skip


def _horizon(days: Days, train: Mask) -> Ints:
    """Return days since the last day of `train` (0 up to it)."""
    last = int(np.flatnonzero(train)[-1])
    return np.maximum(np.arange(len(days.dates), dtype=np.int64) - last, 0) * days.per


def _groups(days: Days) -> Ints:
    """Return the kind of day that an interval's width may depend on: 0 usual, 1 off, 2 hot or cold."""
    kind = days.calendar["kind"].to_numpy()
    month, day = days.days.month, days.days.day
    ends = ((month == 12) & (day >= 23)) | ((month == 1) & (day <= 6))
    group = np.where(np.isin(kind, OFF[1:]) | (kind == "bridge") | ends, 1, 0)
    if days.weather is not None:
        around = days.weather["around"]
        low, high = around[days.daily(days.normal)].quantile([0.05, 0.9])
        group = np.where((group == 0) & ((around < low) | (around > high)), 2, group)
    if days.per > 1:
        share = [(group.reshape(-1, days.per) == code).mean(axis=1) for code in (1, 2)]
        group = np.select([share[0] >= 0.25, share[1] >= 0.5], [1, 2], 0)
    return np.asarray(group, dtype=np.int64)


def _honest_coverage(table: pd.DataFrame) -> float:
    """Return the coverage of each origin's errors by the quantile of all other origins."""
    score = table["score"].abs().to_numpy()
    code, origins = pd.factorize(table["origin"])
    if len(origins) < 2:
        return float("nan")
    hits = 0
    for number in range(len(origins)):
        own = code == number
        hits += int((score[own] <= np.quantile(score[~own], LEVEL)).sum())
    return hits / len(score)


def _next_sd(table: pd.DataFrame) -> float:
    """Return the standard deviation of what an error cannot tell of the next row's."""
    pairs = [group["error"].to_numpy() for _, group in table.groupby("origin")]
    before = np.concatenate([np.empty(0), *(e[:-1] - e.mean() for e in pairs)])
    after = np.concatenate([np.empty(0), *(e[1:] - e.mean() for e in pairs)])
    memory = float((before * after).sum() / max(float((before**2).sum()), 1e-12))
    return float((after - memory * before).std())
