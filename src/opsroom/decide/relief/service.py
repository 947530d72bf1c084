"""Loan service under a payment holiday, company after company: the compiled part of `options`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from opsroom.decide.relief.options import Holiday

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Terms = tuple[float, float, float, float, float, int, int]
"""When the holiday starts and ends, whether interest and principal rest (1 or 0), whether interest on what rests is
free (1 or 0), months of catching up (-1: appended to the term), and the first month after the end."""


def terms(holiday: Holiday, start: float) -> Terms:
    """Return a holiday's terms as numbers."""
    end = start + holiday.length
    return (
        start,
        end,
        float(holiday.covers in ("interest", "both")),
        float(holiday.covers in ("principal", "both")),
        0.0 if holiday.accrues else 1.0,
        -1 if holiday.catch_up is None else holiday.catch_up,
        int(np.ceil(end - 1e-9)),
    )


@nb.njit(cache=True)
def _catch_up(
    given: Terms, t: int, share: float, room: float, postponed: float, pool: float
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Return what is repaid this month of postponed principal and of deferred interest."""
    if given[5] < 0:
        # appended to the term: the instalment goes on once the regular balance no longer takes it up
        pace = np.floor(room * (1.0 - share))
        back = min(pace, postponed)
        return back, min(pace - back, pool)
    left = given[5] - (t - given[6])
    if t < given[6] or left < 1:
        return 0.0, 0.0
    return np.rint(postponed / left), np.rint(pool / left)


@nb.njit(cache=True)
def _month(
    given: Terms, t: int, mask: float, rate: float, instalment: float, owed: tuple[float, float, float]
) -> tuple[float, float, float, float, float, float, float]:  # pragma: no cover - compiled
    """Return what is paid, what of interest and of principal rests, what is waived, and what is owed then.

    Owed are the regular balance, postponed principal and deferred interest.
    """
    start, end, on_interest, on_principal, free, _, _ = given
    balance, postponed, pool = owed
    share = mask * max(0.0, min(t + 1.0, end) - max(float(t), start))
    regular, extra = np.rint(balance * rate), np.rint((postponed + pool) * rate)
    due = min(instalment, balance)
    waived = np.rint(free * share * (on_interest * regular + extra))
    held = np.rint(share * on_interest * (regular + extra)) * (1.0 - free)
    held_principal = np.rint(share * on_principal * due)
    back_postponed, back_pool = _catch_up(given, t, share, instalment - due, postponed, pool)
    repaid = due - held_principal + back_postponed + back_pool
    paid = regular + extra - waived - held + repaid
    after = (balance - due, postponed + (held_principal - back_postponed), pool + (held - back_pool))
    return paid, held, held_principal, waived, after[0], after[1], after[2]


@nb.njit(cache=True)
def service(
    given: Terms, mask: Floats, rate: Floats, instalment: Floats, outstanding: Floats, horizon: int
) -> tuple[Ints, Ints, Ints, Ints, Ints]:  # pragma: no cover - compiled
    """Return what is paid, what of interest and principal rests, what is waived and owed, (companies, months)."""
    n = len(outstanding)
    paid, waived, owed = (
        np.zeros((n, horizon), np.int64),
        np.zeros((n, horizon), np.int64),
        np.zeros((n, horizon), np.int64),
    )
    held, principal = np.zeros((n, horizon), np.int64), np.zeros((n, horizon), np.int64)
    for i in range(n):
        if outstanding[i] == 0.0:
            continue  # nothing owed: nothing due, whatever the terms
        balance, postponed, pool = outstanding[i], 0.0, 0.0
        for t in range(horizon):
            owed[i, t] = np.int64(balance + postponed + pool)
            found = _month(given, t, mask[i], rate[i], instalment[i], (balance, postponed, pool))
            paid[i, t], held[i, t] = np.int64(found[0]), np.int64(found[1])
            principal[i, t], waived[i, t] = np.int64(found[2]), np.int64(found[3])
            balance, postponed, pool = found[4], found[5], found[6]
    return paid, held, principal, waived, owed


@nb.njit(cache=True)
def cumulated(
    given: Terms, mask: Floats, rate: Floats, instalment: Floats, outstanding: Floats, into: Ints
) -> None:  # pragma: no cover - compiled
    """Fill into[company, month] with what is paid up to the month."""
    for i in range(len(outstanding)):
        balance, postponed, pool, total = outstanding[i], 0.0, 0.0, 0
        for t in range(into.shape[1]):
            found = _month(given, t, mask[i], rate[i], instalment[i], (balance, postponed, pool))
            total += int(found[0])
            into[i, t] = total
            balance, postponed, pool = found[4], found[5], found[6]


@nb.njit(cache=True)
def deferred(
    given: Terms, rate: Floats, instalment: Floats, outstanding: Floats, horizon: int
) -> int:  # pragma: no cover - compiled
    """Return what rests of interest and principal, of all companies and months."""
    total = 0
    for i in range(len(outstanding)):
        balance, postponed, pool = outstanding[i], 0.0, 0.0
        for t in range(horizon):
            found = _month(given, t, 1.0, rate[i], instalment[i], (balance, postponed, pool))
            total += int(found[1]) + int(found[2])
            balance, postponed, pool = found[4], found[5], found[6]
    return total
