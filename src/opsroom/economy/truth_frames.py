"""The frames of the truth, each made from the generators when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.economy.balances import national_accounts, payment_flows, stocks
from opsroom.economy.horizon import METERS_LAST, STATE_FIRST, Ints, day_date, day_number
from opsroom.economy.population import ENTERPRISE_BASE
from opsroom.economy.scenario import REGIONS
from opsroom.economy.sectors import FORMS, SECTION_CODES, SIZES
from opsroom.economy.truth import Frames, at_work_frame, cohort, day_or_none, month_or_none

if TYPE_CHECKING:
    from opsroom.economy.workshop import ChunkWorks, Workshop


def frames_of(workshop: Workshop) -> Frames:
    """Return the makers of the truth's frames."""
    runs: dict[bool, _Run] = {}

    def run(relief: bool) -> _Run:  # noqa: FBT001  # called by position through partial only here
        if relief not in runs:
            runs[relief] = _simulate(workshop, relief=relief)
        return runs[relief]

    return {
        "at_work": partial(at_work_frame, workshop),
        "enterprises": partial(_enterprises, workshop),
        "failures_policy": lambda: run(True).failures,
        "failures_none": lambda: run(False).failures,
        "payments_policy": lambda: payment_flows(run(True).sums),
        "payments_none": lambda: payment_flows(run(False).sums),
        "stocks_policy": lambda: stocks(run(True).sums),
        "stocks_none": lambda: stocks(run(False).sums),
        "gdp": partial(_gdp, workshop),
        "accounts": lambda: national_accounts(workshop.official.indicators),
        "monthly": partial(_series, workshop, "monthly"),
        "quarterly": partial(_series, workshop, "quarterly"),
        "booms": partial(_booms, workshop),
        "causes": partial(_causes, workshop),
    }


def _head(works: ChunkWorks) -> dict[str, object]:
    e = works.chunk.enterprises
    return {
        "enterprise_id": ENTERPRISE_BASE + e.index,
        "region": np.array(REGIONS)[e.region],
        "section": np.array(SECTION_CODES)[e.section],
        "size_class": np.array(SIZES)[e.size],
        "legal_form": np.array(FORMS)[e.form],
        "jobs": e.employees,
    }


def _enterprises(workshop: Workshop) -> pd.DataFrame:
    days = np.arange(day_number(STATE_FIRST), day_number(METERS_LAST) + 1)
    frames = []
    for number in workshop.chunks:
        works = workshop[number]
        inside = np.flatnonzero(cohort(works.chunk, works.died, workshop.scenario.cohort_day))
        working, capacity = works.operation.enterprises(days)
        head = pd.DataFrame(_head(works)).iloc[inside]
        block = head.loc[head.index.repeat(len(days))].reset_index(drop=True)
        block.insert(0, "date", np.tile(np.array([day_date(int(d)) for d in days], dtype="datetime64[s]"), len(inside)))
        block["at_work"] = working[inside].ravel()
        block["capacity"] = capacity[inside].ravel()
        frames.append(block)
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of all books leaves behind: failures, and monthly sums."""

    failures: pd.DataFrame
    sums: dict[str, Ints]


def _simulate(workshop: Workshop, *, relief: bool) -> _Run:
    frames = []
    sums: dict[str, Ints] = {}
    for number in workshop.chunks:
        works = workshop[number]
        books = works.outcome(relief=relief)
        for name, values in books.sums.items():
            sums[name] = sums[name] + values if name in sums else values
        frame = pd.DataFrame(_head(works))
        frame["cash_out"] = month_or_none(books.cash_out)
        frame["failed"] = day_or_none(books.failed)
        frame["relief"] = month_or_none(books.took_relief)
        frames.append(frame)
    return _Run(pd.concat(frames, ignore_index=True), sums)


def _gdp(workshop: Workshop) -> pd.DataFrame:
    aggregate = workshop.official.indicators.aggregate
    return pd.DataFrame({"quarter": aggregate.quarters, "gdp": aggregate.gdp})


def _series(workshop: Workshop, frequency: str) -> pd.DataFrame:
    source = workshop.official.indicators
    index = source.aggregate.months if frequency == "monthly" else source.aggregate.quarters
    values = source.monthly if frequency == "monthly" else source.quarterly
    frames = [pd.DataFrame({"series": name, "period": index, "value": v}) for name, v in values.items()]
    return pd.concat(frames, ignore_index=True)


def _booms(workshop: Workshop) -> pd.DataFrame:
    rows = [
        {
            "boom": b.name,
            "kind": b.kind,
            "region": r,
            "start": pd.Timestamp(b.start),
            "peak": pd.Timestamp(b.peak),
            "end": pd.Timestamp(b.end),
        }
        for b in workshop.scenario.booms
        for r in b.regions
    ]
    return pd.DataFrame(rows, columns=["boom", "kind", "region", "start", "peak", "end"])


def _causes(workshop: Workshop) -> pd.DataFrame:
    """Return the pressure to close by region, day and cause, before what sections make of it."""
    days = np.arange(day_number(STATE_FIRST), day_number(METERS_LAST) + 1)
    index = pd.DatetimeIndex([pd.Timestamp(day_date(int(d))) for d in days])
    frames = [
        pd.DataFrame({"date": index, "region": region, "cause": cause, "pressure": values[k]})
        for cause, values in workshop.pressure.causes(days).items()
        for k, region in enumerate(REGIONS)
    ]
    return pd.concat(frames, ignore_index=True)
