"""The frames of the truth, each made from the generators when asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.economy.horizon import METERS_LAST, STATE_FIRST, day_date, day_number
from opsroom.economy.population import ENTERPRISE_BASE
from opsroom.economy.scenario import REGIONS
from opsroom.economy.sectors import FORMS, SECTION_CODES, SIZES
from opsroom.economy.truth import Frames, at_work_frame, cohort, day_or_none, month_or_none

if TYPE_CHECKING:
    from opsroom.economy.workshop import ChunkWorks, Workshop


def frames_of(workshop: Workshop) -> Frames:
    """Return the makers of the truth's frames."""
    return {
        "at_work": partial(at_work_frame, workshop),
        "enterprises": partial(_enterprises, workshop),
        "failures_policy": partial(_failures, workshop, relief=True),
        "failures_none": partial(_failures, workshop, relief=False),
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


def _failures(workshop: Workshop, *, relief: bool) -> pd.DataFrame:
    frames = []
    for number in workshop.chunks:
        works = workshop[number]
        books = works.books(relief=relief)
        frame = pd.DataFrame(_head(works))
        frame["cash_out"] = month_or_none(books.cash_out)
        frame["failed"] = day_or_none(books.failed)
        frame["relief"] = month_or_none(books.took_relief)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
