"""Dark is not closed: the share of dark companies that work from elsewhere, from public knowledge alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.resumption.readings import F32, day_numbers

F64 = npt.NDArray[np.float64]

LOW = 0.3
"""Sections below this telework prior show how many companies are truly closed."""


def restricted(
    restrictions: pd.DataFrame | None, regions: npt.NDArray[np.str_], *, start: int, days: int, from_day: int
) -> npt.NDArray[np.bool_]:
    """Return where and when people may be working from home, (companies, days).

    Where restrictions are known, on days on which the company's region has any; else from the holiday's
    first day on.
    """
    day = np.arange(days) + start
    if restrictions is None or restrictions.empty:
        return np.broadcast_to(day >= from_day, (len(regions), days))
    codes = np.unique(regions)
    table = np.zeros((len(codes), days), dtype=bool)
    at = day_numbers(restrictions["date"]) - start
    row = np.searchsorted(codes, restrictions["region"].astype(str).to_numpy())
    row = np.minimum(row, len(codes) - 1)
    good = (at >= 0) & (at < days) & (codes[row] == restrictions["region"].astype(str).to_numpy())
    table[row[good], at[good]] = restrictions["stringency"].to_numpy()[good] > 0
    last = int(at[good].max()) if good.any() else -1
    if 0 <= last < days - 1:
        table[:, last + 1 :] = table[:, last : last + 1]
    return table[np.searchsorted(codes, regions)]


def working_dark(
    dark: F32,
    *,
    prior: F64,
    section: npt.NDArray[np.str_],
    stratum: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.bool_],
    strength: float = 1.0,
) -> F32:
    """Return the probability that a dark company is at work all the same, (companies, days).

    Parameters
    ----------
    dark
        Probability of being dark, (companies, days).
    prior
        Share of the company's section's jobs that can be done from home.
    section, stratum
        Section, and the stratum (region under lockdown or not × size) in which closing is compared.
    allowed
        Where and when people may be working from home.
    strength
        Multiplies the prior; other values than 1 give the bounds.

    Notes
    -----
    Let :math:`d_0` be the share dark in sections where hardly anybody can work from home: those are closed. In
    a section with prior :math:`\\tau` as many of the companies that cannot work from home are closed, so
    that of the dark share :math:`D` no more than :math:`(1-\\tau) d_0` need be, and
    :math:`\\rho = \\max(0, 1 - (1-\\tau) d_0 / D)`. What fails most often: sections with a high prior that
    were closed for reasons of their own.
    """
    tau = np.clip(prior * strength, 0, 0.98)
    out = np.zeros(dark.shape, dtype=np.float32)
    low = prior < LOW
    for s in np.unique(stratum):
        inside = stratum == s
        reference = dark[inside & low] if (inside & low).sum() >= 30 else dark[low]
        if not len(reference):
            continue
        closed = reference.mean(axis=0)
        for code in np.unique(section[inside]):
            rows = np.flatnonzero(inside & (section == code))
            share = (dark[rows].sum(axis=0) + 5 * closed) / (len(rows) + 5)
            rho = 1 - (1 - tau[rows[0]]) * closed / np.maximum(share, 1e-6)
            rho = np.clip(rho, 0, 1) if prior[rows[0]] >= LOW else np.full_like(rho, tau[rows[0]])
            out[rows] = rho[None, :]
    return out * allowed
