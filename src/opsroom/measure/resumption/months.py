"""Companies by month: at or above a share of their own normal, with the gaps filled and the doubt counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.aggregate import WEIGHTS
from opsroom.measure.resumption.filing import FILED, GONE, LATE, NOT_DUE, OUTSIDE, SILENT

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

THRESHOLDS = (0.3, 0.5, 0.7)
"""Shares of normal at which a company counts as back, the first of them the headline."""

MARGIN = 0.05
"""A company is left at work until it is so far below the threshold."""

MOST = 1.5
"""A month's level counts for capacity up to here: back payments and sales of land are no output."""

PEERS = 5
"""A class of companies stands for those that are missing if so many of it are known."""

BACK = 0.1
"""Chance that a company taken for silent has worked."""

LATE_GAP, LATE_WEIGHT = 0.15, 20
"""How far late companies may differ from punctual ones of their class, and for how many companies' worth of learning
that is believed."""


@dataclass(frozen=True, slots=True)
class Months:
    """Levels company by company; confidential. Arrays are (companies, months) unless said.

    Attributes
    ----------
    companies
        The cohort, one row a company: ids, codes, ``group``, ``employees``, ``annual_sales``.
    months
        First days of the months.
    level
        Activity above that of a closed company, relative to normal: 1 normal, 0 closed; NaN where not known.
    sd
        Of a level known, by noise that is the company's own.
    pushes
        Standard deviations of levels by errors that companies share, one array a source of error.
    record
        State of the record: `filing.FILED` and so on.
    punctual
        True where a record was in when its month was due.
    shelf
        What was computed before.
    """

    companies: pd.DataFrame
    months: pd.DatetimeIndex
    level: F32
    sd: F32
    pushes: tuple[F32, ...]
    record: npt.NDArray[np.int8]
    punctual: Bools
    shelf: dict[Any, Any] = field(default_factory=dict)

    @property
    def known(self) -> Bools:
        """True where something is known of the company: a level, or that it is gone or silent."""
        return np.isfinite(self.level)

    def weight(self, name: str) -> F64:
        """Return each company's weight."""
        if name not in WEIGHTS:
            raise UsageError(f"there is no weight {name!r}.", remedy=f"Use one of {', '.join(WEIGHTS)}.")
        if name == "count":
            return np.ones(len(self.companies))
        column = "employees" if name == "jobs" else "annual_sales"
        return self.companies[column].to_numpy(dtype=np.float64)

    def estimate(self, threshold: float, margin: float) -> Estimate:
        """Return who is at or above the threshold; kept."""
        key = (threshold, margin)
        if key not in self.shelf:
            self.shelf[key] = Estimate.of(self, threshold, margin)
        found: Estimate = self.shelf[key]
        return found


def at_least(level: npt.NDArray[np.floating], threshold: float, margin: float) -> tuple[Bools, Bools]:
    """Return who is at work, and who was at the month before, with hysteresis.

    Parameters
    ----------
    level
        (companies, months), NaN where not known: the state stays as it was.
    threshold, margin
        At work from `threshold` on, until below ``threshold - margin``. Before the first month all are.
    """
    state = np.ones(len(level), dtype=np.bool_)
    now, before = np.empty(level.shape, dtype=np.bool_), np.empty(level.shape, dtype=np.bool_)
    for t in range(level.shape[1]):
        before[:, t] = state
        x = level[:, t]
        state = np.where(x >= threshold, True, np.where(x < threshold - margin, False, state))
        now[:, t] = state
    return now, before


@dataclass(frozen=True, slots=True)
class Estimate:
    """Who is at or above a threshold, company by company and month; confidential.

    Attributes
    ----------
    working
        Chance of being at or above the threshold: 0 or 1 where known, else that of known companies like it.
    noise
        Variance of that by what is the company's own.
    pushes
        Change of the state by one standard deviation of each shared error.
    capacity, capacity_noise
        Level up to `MOST`, and its variance.
    late_gap
        How far late companies are from punctual ones like them, as a standard deviation.
    """

    working: F32
    noise: F32
    pushes: tuple[F32, ...]
    capacity: F32
    capacity_noise: F32
    late_gap: float

    @classmethod
    def of(cls, months: Months, threshold: float, margin: float) -> Estimate:
        """Judge every company and fill the gaps."""
        level, known = months.level, months.known
        now, before = at_least(level, threshold, margin)
        alive = known & (months.record == FILED)
        peers = _Peers(months.companies, before, alive)
        working, chance = peers.filled(now.astype(np.float32), known)
        clear = ndtr((np.nan_to_num(level) - threshold) / np.maximum(months.sd, 1e-6))
        own = np.where(months.record == SILENT, BACK * (1 - BACK), np.where(months.sd > 0, clear * (1 - clear), 0.0))
        noise = np.where(known, own, chance * (1 - chance))
        flat = np.clip(np.nan_to_num(level), 0, MOST).astype(np.float32)
        capacity, mean = peers.filled(flat, known)
        second = peers.filled(flat**2, known)[1]
        spread = np.where(known, months.sd**2, np.maximum(second - mean**2, 0))
        pushes = tuple(_pushed(level, push, threshold, margin) for push in months.pushes)
        gap = late_gap(now, alive, months.punctual, peers)
        return cls(
            working, noise.astype(np.float32), pushes, capacity, spread.astype(np.float32), gap,
        )  # fmt: skip


def _pushed(level: F32, push: F32, threshold: float, margin: float) -> F32:
    up, down = (at_least(level + sign * push, threshold, margin)[0] for sign in (1, -1))
    return np.asarray((up.astype(np.float32) - down) / 2, dtype=np.float32)


class _Peers:
    """Companies like one: of its section, size class and last state; else fewer of these.

    Parameters
    ----------
    companies
        Codes.
    before
        State of the month before.
    alive
        True where a company has filed and has a level: who is gone or silent stands for nobody.
    """

    def __init__(self, companies: pd.DataFrame, before: Bools, alive: Bools) -> None:
        section = pd.factorize(companies["section"], sort=True)[0].astype(np.int64)
        size = pd.factorize(companies["size_class"], sort=True)[0].astype(np.int64)
        both = section * (int(size.max(initial=0)) + 1) + size
        self._keys = [both, section, np.zeros_like(section)]
        self._before, self._alive = before, alive

    def filled(self, value: F32, known: Bools) -> tuple[F32, F32]:
        """Return values with gaps filled by the mean of known peers, and that mean for all."""
        mean = np.full(value.shape, np.nan, dtype=np.float32)
        for t in range(value.shape[1]):
            mean[:, t] = self.mean(value[:, t], self._alive[:, t], t)
        return np.where(known, value, mean), mean

    def mean(self, value: npt.NDArray[Any], known: Bools, t: int) -> F64:
        """Return for each company the mean over its known peers in month t; NaN where nobody is known."""
        out = np.full(len(value), np.nan)
        keys = [k * 2 + self._before[:, t] for k in self._keys] + [self._keys[-1]]
        for place, key in enumerate(keys):
            least = PEERS if place < len(keys) - 1 else 1
            count = np.bincount(key[known], minlength=int(key.max(initial=0)) + 1)
            total = np.bincount(key[known], weights=value[known], minlength=len(count))
            enough = np.isnan(out) & (count[key] >= least)
            out[enough] = (total / np.maximum(count, 1))[key[enough]]
        return out


def late_gap(now: Bools, filed: Bools, punctual: Bools, peers: _Peers) -> float:
    """Return how far companies that filed late have turned out to be from what their peers let expect.

    Root of the mean squared gap of months in which late filings have come in, with `LATE_GAP` believed for
    `LATE_WEIGHT` companies.
    """
    total, count = LATE_GAP**2 * LATE_WEIGHT, float(LATE_WEIGHT)
    for t in range(now.shape[1]):
        late, ready = filed[:, t] & ~punctual[:, t], filed[:, t] & punctual[:, t]
        number = int(late.sum())
        if not number or not ready.any():
            continue
        gap = now[late, t] - peers.mean(now[:, t], ready, t)[late]
        # What their own luck adds to the mean gap is not a difference in kind.
        total += number * max(float(gap.mean() ** 2 - gap.var() / number), 0.0)
        count += number
    return float(np.sqrt(total / count))


COUNTS = ("filed", "not_due", "late", "silent", "gone", "outside")
_STATES = (FILED, NOT_DUE, LATE, SILENT, GONE, OUTSIDE)


def tabulate(
    months: Months, code: Ints, groups: int, *, threshold: float, margin: float, weight: str = "count"
) -> dict[str, F64]:
    """Return shares, standard deviations and counts of groups, (groups, months) each.

    Parameters
    ----------
    code
        Group of each company, -1 for none.
    groups
        Number of groups.

    Returns
    -------
    dict
        ``resumed, resumed_sd, capacity, capacity_sd, known`` (shares of 1), ``companies`` and `COUNTS`. A month of
        which nobody is known is NaN.

    Raises
    ------
    UsageError
        If a group has no company or no weight.
    """
    found = months.estimate(threshold, margin)
    at = np.flatnonzero(code >= 0)
    order = at[np.argsort(code[at], kind="stable")]
    size = np.bincount(code[at], minlength=groups)
    w = months.weight(weight)[order, None]
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    if not len(order) or (size == 0).any() or (np.add.reduceat(w[:, 0], starts) <= 0).any():
        raise UsageError("there is no company in a group.", remedy="Choose groups that have companies.")

    def add(values: npt.NDArray[Any]) -> F64:
        return np.asarray(np.add.reduceat(values, starts, axis=0), dtype=np.float64)

    whole = add(w)
    known, record = months.known[order], months.record[order]
    columns: dict[str, F64] = {"known": add(w * known) / whole}
    missing = 1 - columns["known"]
    for name, value, noise, pushes in (
        ("resumed", found.working, found.noise, found.pushes),
        ("capacity", found.capacity, found.capacity_noise, months.pushes),
    ):
        columns[name] = add(w * value[order]) / whole
        own = add(w**2 * noise[order]) / whole**2
        shared = sum((_shift(add, w, push[order], known, whole) ** 2 for push in pushes), np.zeros_like(own))
        columns[f"{name}_sd"] = np.sqrt(own + shared + (missing * found.late_gap) ** 2)
    columns["companies"] = np.repeat(size[:, None].astype(np.float64), len(months.months), axis=1)
    return columns | {n: add((record == s).astype(np.float64)) for n, s in zip(COUNTS, _STATES, strict=True)}


def _shift(add: Any, w: F64, push: F32, known: Bools, whole: F64) -> F64:
    """Return the group's change by one shared error; who is missing moves as the known do."""
    moved, there = add(w * np.where(known, np.nan_to_num(push), 0)), add(w * known)
    return np.asarray(np.divide(moved, there, out=np.zeros_like(moved), where=there > 0) * np.ones_like(whole))
