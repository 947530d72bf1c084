"""From meter readings to one row of relative use a company: scatter, repair, follow replaced meters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from opsroom.base.errors import DataError, FitError
from opsroom.measure.resumption.chains_kernel import add_chains
from opsroom.measure.resumption.readings_kernel import look_up, place, repair

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
    repaired, dropped
        Readings brought back to their unit; readings so wild that they were left out.
    """

    start: int
    enterprise: Ints
    ratio: F32
    active: npt.NDArray[np.int8]
    repaired: int
    dropped: int

    @property
    def days(self) -> int:
        """Number of days."""
        return int(self.ratio.shape[1])


def batches(readings: Any) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a table, a reader, an Ibis table or a pandas frame."""
    if isinstance(readings, pd.DataFrame):
        readings = pa.Table.from_pandas(readings, preserve_index=False)
    if isinstance(readings, pa.Table):
        yield from readings.to_batches()
    elif hasattr(readings, "to_pyarrow_batches"):
        yield from readings.to_pyarrow_batches()
    elif isinstance(readings, Iterable):
        yield from readings
    else:
        raise DataError(
            "readings are neither an Arrow table, a reader of record batches nor an Ibis table.",
            remedy="Hand over columns meter_id, date, wh.",
        )


def scatter(readings: Any, meters: Ints, *, start: int, days: int) -> F32:
    """Return readings as a matrix (meters, days), NaN where there is none.

    Parameters
    ----------
    readings
        Columns ``meter_id`` (int64), ``date`` (date32) and ``wh`` (int64), any order, latest vintage only.
    meters
        Sorted ids of the meters wanted; others are passed over.
    start, days
        First day (days since 1970) and number of days wanted.
    """
    out = np.full((len(meters), days), np.nan, dtype=np.float32)
    find = _Finder(meters)
    for batch in batches(readings):
        meter = batch.column("meter_id").to_numpy(zero_copy_only=False)
        day = batch.column("date").cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False)
        place(find(meter), day, batch.column("wh").to_numpy(zero_copy_only=False), start, out)
    return out


class _Finder:
    """Row numbers of meter ids: a lookup table where ids are dense, a binary search where not."""

    def __init__(self, meters: Ints) -> None:
        self._meters = meters
        low, high = (int(meters[0]), int(meters[-1])) if len(meters) else (0, 0)
        self._low = low
        self._table: npt.NDArray[np.int32] | None = None
        if high - low < 64 * max(len(meters), 1) + 1024:
            self._table = np.full(high - low + 1, -1, dtype=np.int32)
            self._table[meters - low] = np.arange(len(meters), dtype=np.int32)

    def __call__(self, ids: Ints) -> npt.NDArray[np.int32]:
        if not len(self._meters):
            return np.full(len(ids), -1, dtype=np.int32)
        if self._table is not None:
            out = np.empty(len(ids), dtype=np.int32)
            look_up(ids, self._low, self._table, out)
            return out
        at = np.minimum(np.searchsorted(self._meters, ids), len(self._meters) - 1)
        return np.where(self._meters[at] == ids, at, -1).astype(np.int32)


@dataclass(frozen=True, slots=True)
class ChainUse:
    """Readings of chains, with the links' dates: `level` is what is usual for a chain (0 if unknown)."""

    value: F32
    linked: Bools
    level: F32
    repaired: int
    dropped: int


def chain_use(readings: Any, chains: Chains, *, start: int, days: int, level: F32 | None = None) -> ChainUse:
    """Bring meters together to chains, repair slips of unit and find each chain's usual level.

    Parameters
    ----------
    readings
        As in `scatter`.
    chains
        See `Chains`.
    start, days
        Span wanted.
    level
        Usual level of each chain, Wh a day; None: the median of the span, in which most days are usual.
    """
    meters = np.unique(chains.link_meter)
    by_meter = scatter(readings, meters, start=start, days=days)
    n = len(chains.key)
    value = np.full((n, days), np.nan, dtype=np.float32)
    linked = np.zeros((n, days), dtype=bool)
    row = np.searchsorted(meters, chains.link_meter)
    low = np.clip(chains.link_from - start, 0, days)
    high = np.clip(chains.link_to - start + 1, 0, days)
    whole = (low == 0) & (high == days)
    single = np.bincount(chains.link_chain, minlength=n)[chains.link_chain] == 1
    bulk = whole & single
    value[chains.link_chain[bulk]] = by_meter[row[bulk]] * chains.link_share[bulk][:, None]
    linked[chains.link_chain[bulk]] = True
    for link in np.flatnonzero(~bulk):
        span = slice(low[link], high[link])
        value[chains.link_chain[link], span] = by_meter[row[link], span] * chains.link_share[link]
        linked[chains.link_chain[link], span] = True
    del by_meter
    if level is None:
        level = _usual(value)
    # One a thousand times too low is left out: a closed company may truly use next to nothing, and
    # multiplying would read it as open.
    repaired, dropped = repair(value, level, SLIP, SLIP_FROM, SLIP_TO, WILD)
    return ChainUse(value, linked, level, repaired, dropped)


def _usual(value: F32, chunk: int = 4096) -> F32:
    """Return the median of the positive readings of each row; 0 with fewer than four weeks of them."""
    out = np.zeros(len(value), dtype=np.float32)
    for start in range(0, len(value), chunk):
        block = value[start : start + chunk]
        seen = block > 0
        count = seen.sum(axis=1)
        ranked = np.sort(np.where(seen, block, np.inf), axis=1)
        middle = ranked[np.arange(len(block)), np.maximum(count - 1, 0) // 2]
        out[start : start + chunk] = np.where(count >= FEWEST, middle, 0)
    return out


def company_use(chains: Chains, use: ChainUse, *, start: int, enterprises: Ints) -> Use:
    """Add chains up to companies, relative to the usual level of the chains that reported."""
    known = use.level > 0
    if not known.any():
        raise FitError(
            "no meter of these companies has four weeks of readings.",
            remedy="Give more readings, or check the links between meters and companies.",
            code="OPS-M012",
        )
    code = np.searchsorted(enterprises, chains.enterprise)
    order = np.argsort(code, kind="stable")
    order = order[known[order]]
    bounds = np.searchsorted(code[order], np.arange(len(enterprises) + 1))
    ratio, active = add_chains(use.value, use.linked, use.level, order, bounds)
    return Use(start, enterprises, ratio, active, use.repaired, use.dropped)
