"""Tables as they stood when each period became known: what a room could have looked at, and on which day.

A figure of 2015 that is in the store today has been revised since. What an indicator said in 2015 rests on what was
known then, so indicators of many areas are made anew from vintages, one *round* a period: at the first moment at which
all areas had the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]
COLUMNS = ("area", "period", "known_at", "value")
STILL_ALIVE = 2
"""Periods that an area may be behind the newest one and yet be waited for."""


@dataclass(frozen=True, slots=True)
class Round:
    """What was known at the moment at which a period was complete.

    Attributes
    ----------
    period
        The newest period that all areas have.
    known_at
        The moment.
    tables
        One a table given: areas by periods up to this one, NaN where not known.
    """

    period: pd.Period
    known_at: pd.Timestamp
    tables: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Rounds:
    """All rounds of some tables, and what is known in the end.

    Attributes
    ----------
    areas
        Rows of the tables.
    periods
        Columns, without gaps.
    rounds
        Oldest first, one a period at most.
    latest
        The tables as last known, over all periods.
    """

    areas: tuple[str, ...]
    periods: pd.PeriodIndex
    rounds: tuple[Round, ...]
    latest: tuple[Floats, ...]


def rounds(tables: Sequence[pd.DataFrame], *, freq: str = "Q") -> Rounds:
    """Replay vintages.

    Parameters
    ----------
    tables
        Long tables of vintages: ``area``, ``period``, ``known_at`` (a moment), ``value``; a missing value withdraws
        an earlier one. Areas that not all tables have are left out.
    freq
        ``Q`` or ``M``: of the periods.

    Returns
    -------
    Rounds

    Raises
    ------
    UsageError
        A column is missing, no area is in all tables, or one has two values for a period and moment.

    Notes
    -----
    A period that becomes complete together with a later one has no round: at no moment was it the newest. An area
    that has fallen `STILL_ALIVE` periods behind is no longer waited for. What is revised later opens no round.
    """
    typed = [_typed(table, freq) for table in tables]
    areas = sorted(set.intersection(*(set(t["area"]) for t in typed))) if typed else []
    if not areas:
        raise UsageError("no area has all of the series.", remedy="Give tables that share areas.")
    typed = [t[t["area"].isin(areas)] for t in typed]
    first = min(int(t["period"].min()) for t in typed)
    width = max(int(t["period"].max()) for t in typed) - first + 1
    index = {area: k for k, area in enumerate(areas)}
    held = np.full((len(typed), len(areas), width), np.nan)
    every = pd.concat([t.assign(table=k) for k, t in enumerate(typed)], ignore_index=True)
    every = every.sort_values("known_at", kind="stable")
    moments = every["known_at"].to_numpy()
    which = every["table"].to_numpy(), every["area"].map(index).to_numpy(), every["period"].to_numpy() - first
    values = every["value"].to_numpy(dtype=np.float64)
    cuts = [0, *(np.flatnonzero(moments[1:] != moments[:-1]) + 1).tolist(), len(moments)]
    periods = pd.period_range(pd.Period(ordinal=first, freq=freq), periods=width, freq=freq)
    found: list[Round] = []
    done = -1
    for start, stop in pairwise(cuts):
        at = tuple(part[start:stop] for part in which)
        held[at] = values[start:stop]
        newest = _newest(np.isfinite(held).all(axis=0))
        if newest > done:
            done = newest
            tables_then = tuple(held[k, :, : newest + 1].copy() for k in range(len(typed)))
            found.append(Round(periods[newest], pd.Timestamp(moments[start]), tables_then))
    return Rounds(tuple(areas), periods, tuple(found), tuple(held))


def _newest(known: npt.NDArray[np.bool_]) -> int:
    """Return the newest period that all areas still alive have; -1 where there is none."""
    width = known.shape[1]
    last = np.where(known.any(axis=1), width - 1 - np.argmax(known[:, ::-1], axis=1), -1)
    alive = last >= last.max() - STILL_ALIVE
    return int(last[alive].min())


def _typed(table: pd.DataFrame, freq: str) -> pd.DataFrame:
    absent = [c for c in COLUMNS if c not in table]
    if absent:
        raise UsageError(
            f"the vintages lack the column(s) {', '.join(absent)}.", remedy="Give area, period, known_at and value."
        )
    moment = pd.to_datetime(table["known_at"], utc=True).dt.tz_localize(None).astype("datetime64[us]")
    period = table["period"]
    if not isinstance(period.dtype, pd.PeriodDtype):
        period = pd.to_datetime(period).dt.tz_localize(None).dt.to_period(freq)
    frame = pd.DataFrame(
        {
            "area": table["area"].astype(str).to_numpy(dtype=object),
            "period": pd.PeriodIndex(period, freq=freq).asi8,
            "known_at": moment.to_numpy(),
            "value": table["value"].to_numpy(dtype=np.float64, na_value=np.nan),
        }
    )
    if frame.duplicated(["area", "period", "known_at"]).any():
        raise UsageError("an area has two values for one period and moment.", remedy="Give one value a vintage.")
    return frame
