"""From meter readings to one row of relative use a company: repair, follow replaced meters."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.resumption.chains_kernel import add_up
from opsroom.measure.resumption.meters import MeterDays

F32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EPOCH = dt.date(1970, 1, 1).toordinal()
REPLACED_WITHIN = 10
"""A meter that begins within so many days of another's end at the same establishment replaces it."""

SLIP = 1000.0
SLIP_FROM, SLIP_TO = 150.0, 8000.0
"""A reading of so many times the chain's usual level is one in the wrong unit (kWh for Wh and the like)."""
WILD = 20.0
FEWEST = 28
MILLION = 1_000_000


def ordinal(day: dt.date | pd.Timestamp | str) -> int:
    """Return days since 1970."""
    return pd.Timestamp(day).date().toordinal() - EPOCH


def date_of(day: int) -> dt.date:
    """Return the date of a number of days since 1970."""
    return dt.date.fromordinal(int(day) + EPOCH)


@dataclass(frozen=True, slots=True)
class Chains:
    """Metering points followed through replacements: a chain is the succession of meters at one place.

    Attributes
    ----------
    key
        Stable identity of a chain: establishment and its first meter, shape (chains, 2).
    enterprise
        Enterprise of a chain (the last known), shape (chains,).
    link_meter, link_chain, link_from, link_to, link_share
        One entry a link, sorted by chain: meter id, chain number, first and last day (days since 1970,
        last one inclusive), share of the meter.
    """

    key: Ints
    enterprise: Ints
    link_meter: Ints
    link_chain: Ints
    link_from: Ints
    link_to: Ints
    link_share: F32

    @classmethod
    def of(cls, links: pd.DataFrame, *, enterprises: Ints) -> Chains:
        """Build the chains of the given enterprises from dated links.

        Parameters
        ----------
        links
            Columns ``meter_id, establishment_id, enterprise_id, valid_from, valid_to, share_ppm``.
        enterprises
            Sorted ids of the enterprises wanted.
        """
        wanted = np.isin(links["enterprise_id"].to_numpy(dtype=np.int64), enterprises)
        table = pd.DataFrame(
            {
                "establishment": links["establishment_id"].to_numpy(dtype=np.int64)[wanted],
                "meter": links["meter_id"].to_numpy(dtype=np.int64)[wanted],
                "enterprise": links["enterprise_id"].to_numpy(dtype=np.int64)[wanted],
                "start": day_numbers(links["valid_from"])[wanted],
                "end": day_numbers(links["valid_to"], missing=np.iinfo(np.int32).max)[wanted],
                "share": links["share_ppm"].to_numpy(dtype=np.float32)[wanted] / np.float32(MILLION),
            }
        ).sort_values(["establishment", "start", "meter"], kind="stable", ignore_index=True)
        head = _heads(table)
        first = np.flatnonzero(head == np.arange(len(table)))
        number = np.full(len(table), -1, dtype=np.int64)
        number[first] = np.arange(len(first))
        chain = number[head]
        order = np.lexsort((table["start"].to_numpy(), chain))
        last = np.append(np.flatnonzero(np.diff(chain[order])), len(order) - 1) if len(order) else order
        return cls(
            key=table[["establishment", "meter"]].to_numpy()[first].reshape(-1, 2),
            enterprise=table["enterprise"].to_numpy()[order][last],
            link_meter=table["meter"].to_numpy()[order],
            link_chain=chain[order],
            link_from=table["start"].to_numpy()[order],
            link_to=table["end"].to_numpy()[order],
            link_share=table["share"].to_numpy()[order],
        )


def _heads(table: pd.DataFrame) -> Ints:
    """Return for every link the row of the link that heads its chain.

    Only links of establishments where one has ended can continue one another, so only those are walked.
    """
    head = np.arange(len(table))
    establishment = table["establishment"].to_numpy()
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    ended = np.unique(establishment[end < np.iinfo(np.int32).max])
    rows = np.flatnonzero(np.isin(establishment, ended))
    open_ends: list[tuple[int, int]] = []
    current = None
    for row in rows:
        if establishment[row] != current:
            current, open_ends = establishment[row], []
        fits = [(abs(int(start[row]) - at - 1), other) for at, other in open_ends]
        best = min(fits, default=(REPLACED_WITHIN + 1, -1))
        if best[0] <= REPLACED_WITHIN:
            head[row] = head[best[1]]
            open_ends = [pair for pair in open_ends if pair[1] != best[1]]
        open_ends.append((int(end[row]), int(row)))
    return head


def day_numbers(column: pd.Series, *, missing: int = 0) -> Ints:
    """Return dates as days since 1970; absent ones as `missing`."""
    stamps = pd.to_datetime(column)
    days = stamps.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.where(stamps.isna().to_numpy(), missing, days)


@dataclass(frozen=True, slots=True)
class Use:
    """Use of companies relative to their usual level, dense.

    Attributes
    ----------
    start
        First day, days since 1970.
    enterprise
        Sorted ids, shape (companies,).
    ratio
        Use of the metering points that reported, over their usual level; NaN where less than half of the
        company's level reported. Shape (companies, days).
    active
        Share of the company's usual level whose meters are still linked, shape (companies, days), as int8
        in per cent: 0 means disconnected for good.
    level
        What is usual for each chain, Wh a day, 0 if unknown, shape (chains,).
    repaired, dropped
        Readings brought back to their unit; readings so wild that they were left out.
    """

    start: int
    enterprise: Ints
    ratio: F32
    active: npt.NDArray[np.int8]
    level: F32
    repaired: int
    dropped: int

    @property
    def days(self) -> int:
        """Number of days."""
        return int(self.ratio.shape[1])


def company_use(
    readings: Any, chains: Chains, *, start: int, days: int, enterprises: Ints, level: F32 | None = None
) -> Use:
    """Bring meters together to companies: repair slips of unit, find what is usual, divide by it.

    Parameters
    ----------
    readings
        `MeterDays`, or what it can be written with, latest vintage only.
    chains
        See `Chains`.
    start, days
        Span wanted.
    enterprises
        Sorted ids of the companies wanted.
    level
        Usual level of each chain, Wh a day, 0 if unknown; None: the median of the span, in which most days are
        usual.

    Raises
    ------
    FitError
        If no chain has a usual level.
    """
    if isinstance(readings, MeterDays):
        held = readings
    else:
        held = MeterDays(start, meters=chains.link_meter, days=days, only=True)
        held.write(readings)
    usual = np.full(len(chains.key), -1, dtype=np.float32) if level is None else level.astype(np.float32)
    code = np.searchsorted(enterprises, chains.enterprise)
    order = np.argsort(code, kind="stable")
    ratio = np.empty((len(enterprises), days), dtype=np.float32)
    active = np.empty((len(enterprises), days), dtype=np.int8)
    # One a thousand times too low is left out: a closed company may truly use next to nothing, and
    # multiplying would read it as open.
    repaired, dropped = add_up(
        held.array, start - held.start, held.rows(chains.link_meter),
        np.clip(chains.link_from - start, 0, days), np.clip(chains.link_to - start + 1, 0, days),
        chains.link_share, np.searchsorted(chains.link_chain, np.arange(len(chains.key) + 1)),
        order, np.searchsorted(code[order], np.arange(len(enterprises) + 1)),
        usual, FEWEST, SLIP, SLIP_FROM, SLIP_TO, WILD, ratio, active,
    )  # fmt: skip
    if not (usual > 0).any():
        raise FitError(
            "no meter of these companies has four weeks of readings.",
            remedy="Give more readings, or check the links between meters and companies.",
            code="OPS-M012",
        )
    return Use(start, enterprises, ratio, active, usual, repaired, dropped)
