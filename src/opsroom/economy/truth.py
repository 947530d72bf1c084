"""What really happened in Meridia: kept apart from the room, so that every estimate can be scored."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.economy.horizon import (
    METERS_LAST,
    MONTHS_SIMULATED,
    OPEN_END,
    STATE_FIRST,
    Bools,
    Ints,
    day_date,
    day_number,
    month_date,
)
from opsroom.economy.scenario import REGIONS
from opsroom.economy.sectors import SECTION_CODES, SIZES

if TYPE_CHECKING:
    from opsroom.economy.population import Chunk
    from opsroom.economy.workshop import Workshop

Frames = Mapping[str, Callable[[], pd.DataFrame]]

KEYS = ["date", "region", "section", "size_class"]
SUMS = ("companies", "at_work", "jobs", "jobs_at_work", "sales", "sales_at_work", "sales_done")


class Truth:
    """The truth of one run. Frames are made when first asked for, or read from a saved folder.

    Parameters
    ----------
    frames
        Name → function that makes the frame.
    facts
        Scalar facts of the run, JSON-able.
    """

    def __init__(self, frames: Frames, facts: Mapping[str, object]) -> None:
        self._makers = dict(frames)
        self._frames: dict[str, pd.DataFrame] = {}
        self.facts = dict(facts)

    def frame(self, name: str) -> pd.DataFrame:
        """Return a frame of the truth by name.

        Raises
        ------
        NotFoundError
            There is none of that name.
        """
        if name not in self._makers:
            raise NotFoundError(f"the truth has no frame {name!r}; it has {', '.join(sorted(self._makers))}.")
        if name not in self._frames:
            self._frames[name] = self._makers[name]()
        return self._frames[name]

    @classmethod
    def of(cls, workshop: Workshop) -> Truth:
        """Return the truth behind a world's generators."""
        from opsroom.economy.truth_frames import frames_of

        scenario = workshop.scenario
        facts = {
            "companies": workshop.population.companies,
            "seed": workshop.population.seed,
            "scenario": scenario.name,
            "policy": workshop.policy,
            "cohort_day": scenario.cohort_day.isoformat(),
            "holiday_start": scenario.holiday.start.isoformat(),
            "holiday_end": scenario.holiday.end.isoformat(),
        }
        return cls(frames_of(workshop), facts)

    def at_work(self, start: dt.date | None = None, end: dt.date | None = None) -> pd.DataFrame:
        """Return who was at work, by day, region, section and size class, for the frozen cohort.

        Parameters
        ----------
        start, end
            First and last day, both included; within 2020-01-01 … 2020-06-30.

        Returns
        -------
        pandas.DataFrame
            ``date, region, section, size_class``; ``companies``, ``at_work`` (companies), ``jobs``,
            ``jobs_at_work``, ``sales`` (normal sales of a year, cents), ``sales_at_work``, ``sales_done``
            (normal sales times capacity) and ``capacity`` = sales_done / sales. All but the last add up.

        Notes
        -----
        The cohort holds all enterprises but sole traders that were active on the cohort day; those that
        end later stay in it and are not at work. At work is the company's own state, by decision and
        permission: holidays and week-ends do not change it.
        """
        frame = self.frame("at_work")
        first, last = frame["date"].min(), frame["date"].max()
        low = first if start is None else pd.Timestamp(start)
        high = last if end is None else pd.Timestamp(end)
        if low < first or high > last:
            raise UsageError("the truth of at-work covers 2020-01-01 to 2020-06-30.", remedy="Ask for days within.")
        return frame[(frame["date"] >= low) & (frame["date"] <= high)].reset_index(drop=True)

    def national(self, *, sme: bool = False) -> pd.DataFrame:
        """Return daily national shares at work (per cent) by count, jobs and sales, and capacity."""
        frame = self.frame("at_work")
        if sme:
            frame = frame[frame["size_class"] != "large"]
        sums = frame.groupby("date")[list(SUMS)].sum()
        return pd.DataFrame(
            {
                "count": 100 * sums["at_work"] / sums["companies"],
                "jobs": 100 * sums["jobs_at_work"] / sums["jobs"],
                "sales": 100 * sums["sales_at_work"] / sums["sales"],
                "capacity": 100 * sums["sales_done"] / sums["sales"],
            }
        )

    def turning_point(self) -> dt.date:
        """Return the day on which recovery begins: the last of the lowest share after the holiday."""
        share = self.national()["count"]
        after = share[share.index > pd.Timestamp(str(self.facts["holiday_end"]))]
        lowest = after[after == after.min()]
        day: dt.date = lowest.index[-1].date()
        return day

    def enterprises(self, day: dt.date) -> pd.DataFrame:
        """Return the cohort's enterprises with their state on a day (for small worlds: one row each)."""
        if "enterprises" not in self._makers:
            raise NotFoundError("a saved truth holds no enterprises.", remedy="Ask the world that made it.")
        frame = self.frame("enterprises")
        return frame[frame["date"] == pd.Timestamp(day)].reset_index(drop=True)

    def gdp(self) -> pd.Series:
        """Return the true quarterly path of real GDP (2015 = 100), by first day of quarter."""
        frame = self.frame("gdp")
        return pd.Series(frame["gdp"].to_numpy(), index=pd.DatetimeIndex(frame["quarter"]), name="gdp")

    def failures(self, *, policy: bool | None = None) -> pd.DataFrame:
        """Return per enterprise when it ran out of cash and when it failed, with relief or without.

        Parameters
        ----------
        policy
            With the scenario's relief on offer or without; as in this run where absent.

        Returns
        -------
        pandas.DataFrame
            ``enterprise_id, region, section, size_class, jobs, cash_out`` (first month in which bills
            stayed unpaid, or missing), ``failed`` (day, or missing), ``relief`` (first month of a payment
            holiday, or missing).
        """
        on = bool(self.facts["policy"]) if policy is None else policy
        return self.frame("failures_policy" if on else "failures_none")

    def save(self, folder: Path) -> None:
        """Write the truth into a folder outside the room (Parquet, and facts as JSON)."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self._makers:
            if name != "enterprises":
                self.frame(name).to_parquet(folder / f"{name}.parquet", index=False)
        (folder / "facts.json").write_text(json.dumps(self.facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Read a saved truth.

        Raises
        ------
        NotFoundError
            The folder holds none.
        """
        path = folder / "facts.json"
        if not path.is_file():
            raise NotFoundError(f"{folder.name} holds no truth.", remedy="Save one with `truth.save(folder)`.")
        makers: dict[str, Callable[[], pd.DataFrame]] = {
            file.stem: partial(pd.read_parquet, file) for file in sorted(folder.glob("*.parquet"))
        }
        return cls(makers, json.loads(path.read_text(encoding="utf-8")))


def cohort(chunk: Chunk, died: Ints, day: dt.date) -> Bools:
    """Return which enterprises belong to the frozen cohort: active on the day, not sole traders."""
    e = chunk.enterprises
    number = day_number(day)
    return (e.born <= number) & (died >= number) & ~e.sole


def at_work_frame(workshop: Workshop) -> pd.DataFrame:
    """Return the daily truth of who is at work, cell by cell."""
    from opsroom.economy.operation_kernel import count_at_work

    days = np.arange(day_number(STATE_FIRST), day_number(METERS_LAST) + 1)
    cells = len(REGIONS) * len(SECTION_CODES) * len(SIZES)
    counts = np.zeros((len(SUMS) - 1, cells, len(days)), dtype=np.int64)
    done = np.zeros((cells, len(days)))
    for number in workshop.chunks:
        works = workshop[number]
        e = works.chunk.enterprises
        inside = np.flatnonzero(cohort(works.chunk, works.died, workshop.scenario.cohort_day))
        cell = (e.region[inside] * len(SECTION_CODES) + e.section[inside]) * len(SIZES) + e.size[inside]
        order = np.argsort(cell, kind="stable")
        inside, cell = inside[order], cell[order]
        working, capacity = works.operation.enterprises(days)
        working, capacity = working[inside], capacity[inside]
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        sales = e.sales[inside]
        count_at_work(cell, e.employees[inside], sales, working, counts)
        if len(starts):
            done[cell[starts]] += np.add.reduceat(sales.astype(np.float64)[:, None] * capacity, starts, axis=0)
    sums = [*counts, np.rint(done).astype(np.int64)]
    used = np.flatnonzero(counts[0, :, 0])
    index = pd.MultiIndex.from_product([[pd.Timestamp(day_date(int(d))) for d in days], used])
    frame = pd.DataFrame({n: sums[k][used].T.ravel() for k, n in enumerate(SUMS)})
    code = index.get_level_values(1).to_numpy()
    size, rest = code % len(SIZES), code // len(SIZES)
    frame.insert(0, "date", index.get_level_values(0))
    frame.insert(1, "region", np.array(REGIONS)[rest // len(SECTION_CODES)])
    frame.insert(2, "section", np.array(SECTION_CODES)[rest % len(SECTION_CODES)])
    frame.insert(3, "size_class", np.array(SIZES)[size])
    frame["capacity"] = frame["sales_done"] / frame["sales"]
    return frame


def month_or_none(months: Ints) -> pd.Series:
    """Return month numbers as timestamps, missing where they lie beyond the simulation."""
    return pd.Series([pd.Timestamp(month_date(int(m))) if m < MONTHS_SIMULATED else pd.NaT for m in months])


def day_or_none(days: Ints) -> pd.Series:
    """Return day numbers as timestamps, missing where open."""
    return pd.Series([pd.Timestamp(day_date(int(d))) if d < OPEN_END else pd.NaT for d in days])
