"""What is normal for each company, and what it uses when it is closed."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.resumption.readings import (
    F32,
    Bools,
    Chains,
    Ints,
    company_use,
    date_of,
    day_numbers,
    ordinal,
)
from opsroom.measure.resumption.regressions import N_SMOOTH, Regressions

COLD, HOT = 15.5, 22.0
"""Balance temperatures of heating and cooling degree days (Eurostat's heating, common cooling base)."""

NEVER = 0.97
"""Closed-day level of a company whose use is the same on all days: its meter hardly tells."""

AGREE = 0.03
CLOSES = 0.85
"""A company counts as one that closes if its quietest kind of day uses less than this of a workday."""

DAY_TYPES = ("workday", "saturday", "sunday", "public_holiday", "new_year_holiday", "bridge")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Calendar and weather by day, shared by all companies of a region.

    Attributes
    ----------
    start
        First day, days since 1970.
    weekday, kind
        Weekday (0 Monday) and kind of day (index into `DAY_TYPES`), shape (days,).
    year_end
        True from 24 December to 6 January, shape (days,).
    regions
        Region codes, sorted.
    degrees
        Daily mean temperature, shape (regions, days); a missing day takes the last known.
    """

    start: int
    weekday: Ints
    kind: Ints
    year_end: Bools
    regions: tuple[str, ...]
    degrees: F32

    @classmethod
    def of(cls, weather: pd.DataFrame, calendar: pd.DataFrame, *, start: int, days: int) -> Surroundings:
        """Lay calendar (``date, kind``) and weather (``region, date, temp_dc``) out by day."""
        dates = pd.DatetimeIndex([pd.Timestamp(date_of(start + d)) for d in range(days)])
        weekday = dates.day_of_week.to_numpy().astype(np.int64)
        kind = np.select([weekday == 5, weekday == 6], [1, 2], 0).astype(np.int64)
        at = day_numbers(calendar["date"]) - start
        inside = (at >= 0) & (at < days)
        named = calendar["kind"].astype(str).to_numpy()
        for code in (3, 4, 5):
            kind[at[inside & (named == DAY_TYPES[code])]] = code
        month, day = dates.month.to_numpy(), dates.day.to_numpy()
        year_end = ((month == 12) & (day >= 24)) | ((month == 1) & (day <= 6))
        regions = tuple(sorted(weather["region"].astype(str).unique()))
        degrees = np.full((len(regions), days), np.nan, dtype=np.float32)
        row = np.searchsorted(regions, weather["region"].astype(str).to_numpy())
        column = day_numbers(weather["date"]) - start
        good = (column >= 0) & (column < days)
        degrees[row[good], column[good]] = weather["temp_dc"].to_numpy(dtype=np.float32)[good] / 10
        filled = pd.DataFrame(degrees.T).ffill().bfill()
        if filled.isna().any().any():
            raise FitError(
                "a region has no weather in the span.", remedy="Give daily weather for every region.",
                code="OPS-M013",
            )  # fmt: skip
        return cls(start, weekday, kind, year_end, regions, filled.to_numpy(dtype=np.float32).T)

    def between(self, first: int, last: int) -> Surroundings:
        """Return the days from column `first` up to, not including, `last`."""
        days = slice(first, last)
        return Surroundings(
            self.start + first, self.weekday[days], self.kind[days], self.year_end[days], self.regions,
            self.degrees[:, days],
        )  # fmt: skip

    def smooth_terms(self, region: int) -> F32:
        """Return season and weather of a region, shape (days, 8): what moves open and closed days alike."""
        doy = (np.arange(len(self.weekday)) + self.start + 0.0) * 2 * np.pi / 365.2425
        degrees = self.degrees[region]
        slow = np.convolve(np.concatenate([degrees[:1], degrees[:1], degrees]), [1 / 3] * 3, "valid")
        cold, hot = np.maximum(COLD - degrees, 0) / 10, np.maximum(degrees - HOT, 0) / 10
        lagged = np.maximum(COLD - slow, 0) / 10
        very = np.maximum(COLD - 12 - degrees, 0) / 10
        return np.column_stack(
            [np.cos(doy), np.sin(doy), np.cos(2 * doy), np.sin(2 * doy), cold, lagged, very, hot]
        ).astype(np.float32)

    def type_terms(self) -> F32:
        """Return the day-type dummies, shape (days, 11): weekday, holidays, bridge, year's end."""
        plain = np.isin(self.kind, (0, 1, 2, 5))
        weekdays = [plain & (self.weekday == d) for d in range(1, 7)]
        special = [self.kind == 3, self.kind == 4, self.kind == 5, self.year_end & (self.kind == 0)]
        return np.column_stack([*weekdays, *special]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Each company's normal, fitted once and used for many weeks.

    Attributes
    ----------
    enterprise
        Sorted ids of the companies covered, shape (companies,).
    region
        Row of each company's region in the weather table it was fitted on.
    coef
        Log use relative to the usual level: constant, season and weather, day types; (companies, terms).
    sigma
        Standard deviation of a day's relative error, shape (companies,).
    memory
        First-order autocorrelation of the errors, one number.
    closed, closed_sd
        Use on a closed day relative to a workday, and how sure that is, shape (companies,).
    own_closed
        True where it was seen on the company's own closed days, False where it is its section's.
    fitted
        False where there were too few readings for a normal.
    chain_key, chain_level
        Metering points and their usual level, Wh a day.
    span
        First and last day of training.
    content
        Hash of the training data and links: a baseline is refitted when it changes.
    regressions
        What the normals rest on, for the next refit.
    """

    enterprise: Ints
    regions: tuple[str, ...]
    region: Ints
    coef: F32
    sigma: F32
    memory: float
    closed: F32
    closed_sd: F32
    own_closed: Bools
    fitted: Bools
    chain_key: Ints
    chain_level: F32
    span: tuple[dt.date, dt.date]
    content: str
    repaired: int
    dropped: int
    regressions: Regressions | None = field(default=None, repr=False, compare=False)

    def levels(self, chains: Chains) -> F32:
        """Return the usual level of each of `chains`, 0 for those that the training did not see."""
        own = pd.MultiIndex.from_arrays(list(self.chain_key.T))
        rows = own.get_indexer(pd.MultiIndex.from_arrays(list(chains.key.T)))
        return np.where(rows >= 0, self.chain_level[np.maximum(rows, 0)], 0).astype(np.float32)

    def workday(self, around: Surroundings) -> F32:
        """Return what a workday would use in the weather and season, relative to the usual level, (companies, days)."""
        level = np.empty((len(self.enterprise), len(around.weekday)), dtype=np.float32)
        for code, region in enumerate(self.regions):
            at = np.flatnonzero(self.region == code)
            if len(at):
                own = self.coef[at, 1 : 1 + N_SMOOTH] @ around.smooth_terms(around.regions.index(region)).T
                own += self.coef[at, :1]
                level[at] = np.exp(own, out=own)
        return level

    def day_type(self, around: Surroundings) -> F32:
        """Return the normal use of the type of day relative to a workday, 1 on a workday, (companies, days)."""
        # Days come in few types: each is worked out once.
        types, at = np.unique(around.type_terms(), axis=0, return_inverse=True)
        factors = np.exp(self.coef[:, 1 + N_SMOOTH :] @ types.T)
        return np.take(factors, at.ravel(), axis=1)


def content_hash(links: pd.DataFrame, *arrays: npt.NDArray[Any]) -> str:
    """Return a hash of what a baseline was fitted on."""
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(links["meter_id"].to_numpy(dtype=np.int64)).tobytes())
    digest.update(np.ascontiguousarray(links["enterprise_id"].to_numpy(dtype=np.int64)).tobytes())
    digest.update(day_numbers(links["valid_from"]).tobytes())
    digest.update(day_numbers(links["valid_to"]).tobytes())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def fit_baseline(
    readings: Any,
    *,
    links: pd.DataFrame,
    companies: pd.DataFrame,
    weather: pd.DataFrame,
    calendar: pd.DataFrame,
    start: dt.date,
    end: dt.date,
    earlier: Baseline | None = None,
) -> Baseline:
    """Fit each company's normal on days before the shock.

    Parameters
    ----------
    readings
        ``meter_id, date, wh``, latest vintage; days outside the span are passed over.
    links
        ``meter_id, establishment_id, enterprise_id, valid_from, valid_to, share_ppm``.
    companies
        ``enterprise_id, region, section, size_class``, one row a company (cohort and entrants).
    weather
        ``region, date, temp_dc`` (tenths of a degree Celsius).
    calendar
        ``date, kind``; with last year's New Year holiday, on which most companies are known to be closed.
    start, end
        First and last day of training; the last lies before the holiday.
    earlier
        Baseline fitted before: what has not moved since is taken from it, and comes out the same.

    Returns
    -------
    Baseline

    Raises
    ------
    FitError
        If no company has enough readings.

    Notes
    -----
    :math:`\\log(y_{ut} / m_u) = a_u + b_u' s_t + d_u' k_t + e_{ut}`: :math:`m_u` the usual level of the
    company's metering points, :math:`s_t` season, heating and cooling (with a lag) in its region,
    :math:`k_t` weekday, public holiday, New Year holiday, bridge day and turn of the year; Huber's loss, a
    small ridge. The closed-day level is the company's quietest kind of day if that is well below a
    workday, pulled towards its section's; else its section's. What fails most often: a company
    that never closed has no closed-day level of its own, and its interval is wide.
    """
    companies = companies.sort_values("enterprise_id", ignore_index=True)
    enterprises = companies["enterprise_id"].to_numpy(dtype=np.int64)
    first, days = ordinal(start), ordinal(end) - ordinal(start) + 1
    chains = Chains.of(links, enterprises=enterprises)
    use = company_use(readings, chains, start=first, days=days, enterprises=enterprises)
    # In pieces: a sum that leaves gaps out copies what it adds up.
    sums = [np.nansum(part, axis=1) for part in np.array_split(use.ratio, 16)]
    content = content_hash(links, use.level, np.concatenate(sums))
    around = Surroundings.of(weather, calendar, start=first, days=days)
    region = np.searchsorted(around.regions, companies["region"].astype(str).to_numpy()).astype(np.int64)
    fit = Regressions.of(use, around, region, earlier.regressions if earlier is not None else None)
    closed = _closed_level(fit, around, companies)
    return Baseline(
        enterprise=enterprises, regions=around.regions, region=region, coef=fit.coef, sigma=fit.sigma,
        memory=fit.memory, closed=closed[0], closed_sd=closed[1], own_closed=closed[2],
        fitted=fit.rows >= 60, chain_key=chains.key, chain_level=use.level, span=(start, end),
        content=content, repaired=use.repaired, dropped=use.dropped, regressions=fit,
    )  # fmt: skip


def _closed_level(fit: Regressions, around: Surroundings, companies: pd.DataFrame) -> tuple[F32, F32, Bools]:
    """Return closed-day level relative to a workday, its uncertainty, and whether it is the company's own.

    Candidates are Sundays, public holidays and last year's New Year holiday; the ones that are quietest
    within their error are averaged by precision, since the minimum of noisy numbers is too low. Where at
    least two kinds agree the company was closed on them. A company with one quiet kind of day may only have
    had a quiet day: its level is at most that, and its section's if that is lower.
    """
    kinds = around.type_terms()
    first = 1 + N_SMOOTH
    columns = [6 - 1, 6, 7]  # Sunday, public holiday, New Year holiday among the day types
    effect = fit.coef[:, [first + c for c in columns]].astype(np.float64)
    count = kinds[:, columns].sum(axis=0)
    error = fit.sigma[:, None] * np.sqrt((1 + 2 * fit.memory) / np.maximum(count, 1))[None, :] + 0.01
    error = np.where(count[None, :] > 0, error, np.inf)
    lowest = np.where(np.isfinite(error), effect + error, np.inf).min(axis=1)
    near = (effect - error <= lowest[:, None] + AGREE) & np.isfinite(error)
    weight = near / error**2
    centre = (effect * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    sd = 1 / np.sqrt(np.maximum(weight.sum(axis=1), 1e-12))
    quiet = (centre < np.log(CLOSES)) & (fit.rows >= 60)
    own = quiet & (near.sum(axis=1) >= 2)
    section = companies["section"].astype(str).to_numpy()
    table = pd.DataFrame({"section": section, "centre": centre})[own]
    grouped = table.groupby("section")["centre"]
    typical, spread, size = grouped.median(), grouped.std().fillna(0.3), grouped.size()
    overall = float(table["centre"].median()) if len(table) else float(np.log(0.4))
    names = np.unique(section)
    trust = (size / (size + 20)).reindex(names, fill_value=0.0)
    middle = (typical.reindex(names) * trust).fillna(0) + overall * (1 - trust)
    width = spread.reindex(names).fillna(0.4).clip(0.15, 0.6)
    prior, prior_sd = middle.loc[section].to_numpy(), width.loc[section].to_numpy()
    gain = prior_sd**2 / (prior_sd**2 + sd**2)
    assumed = np.where(quiet, np.minimum(prior, centre), np.log(NEVER))
    logged = np.where(own, centre * gain + prior * (1 - gain), assumed)
    logged_sd = np.where(own, sd * np.sqrt(gain), prior_sd)
    closed = np.clip(np.exp(logged), 0.005, NEVER)
    return closed.astype(np.float32), (closed * logged_sd).astype(np.float32), own
