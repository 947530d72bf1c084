"""A delay nowcast as a release series: what is reported by period and sector, and what is expected once all is in.

Confidential counts pass the gate with their contributors, and what is expected of them is worked out after it has
judged: from those counts alone that it shows. Sectors share how late reports come, so a sector that is withheld would
otherwise be in the numbers of the others. The total is a nowcast of its own, of all sectors as one series: the sum of
the sectors' would tell of one that is withheld, since late reports differ by sector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import FitError, InternalError
from opsroom.base.periods import format_period
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.measure.delays.nowcast import nowcast_delays
from opsroom.measure.delays.result import DelayResult
from opsroom.measure.delays.split import Sensitive, safe_split, summed_split
from opsroom.measure.delays.triangle import ReportingTriangle

METHOD = "delays-4"
TOLD = ("expected", "lower", "upper", "share")
ATTACHED = (*TOLD, "complete")
FEWEST = 2
"""Settled periods without which nothing is said: how late reports come has to be seen first."""

Bools = npt.NDArray[np.bool_]


def delay_cells(result: DelayResult, name: str, *, of: str = "records", last: int = 24) -> Cells:
    """Return ``delays.<name>`` of public counts.

    Parameters
    ----------
    result
        Of counts.
    name
        Last part of the series' name.
    of
        Unit of the counts, in words.
    last
        Periods published, the last.

    Returns
    -------
    Cells
        By ``period`` and ``sector`` (``_T``: all): ``reported``, and with it ``expected`` (the median), ``lower``,
        ``upper``, ``share`` (of the reports that is in, %) and ``complete`` (``yes`` where none is to come).
    """
    frame = result.frame.reset_index()
    frame = frame[frame["period"].isin(sorted(frame["period"].unique())[-last:])]
    told = pd.DataFrame(
        {
            "period": _named(frame["period"], result.frequency),
            "sector": np.where(frame["sector"] == result.main, TOTAL, frame["sector"]),
            "reported": frame["reported"].to_numpy(), **_told(frame),
            "complete": np.where(frame["complete"], "yes", "no"),
        }
    )  # fmt: skip
    count = Measure("reported", "public", of, decimals=0, attached=ATTACHED)
    return Cells(
        name=f"delays.{name}", dimensions=("period", "sector"), measures=(count,), frame=told,
        additive=("sector",) if TOTAL in result.sectors else (), method=METHOD,
        facts=_facts(result, told, of, result.method, result.level),
    )  # fmt: skip


def confidential_delay_cells(
    triangle: ReportingTriangle,
    name: str,
    units: pd.DataFrame,
    moves: pd.DataFrame,
    *,
    sensitive: Sensitive,
    of: str = "records",
    last: int = 24,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> Cells:
    """Return ``delays.<name>`` of confidential counts, by the hierarchical model.

    Parameters
    ----------
    triangle
        Of the counts.
    name, of
        As in `delay_cells`.
    last
        Periods published, the last; at least twice as many as a report may take, since nothing is learnt from others.
    units
        The records that stand reported, as from `standing_records`.
    moves
        The reports that were counted, as from `moving_records`.
    sensitive
        Which counts may not stand by themselves (`opsroom.protect.rules.Rules.sensitive`): what is expected rests on
        counts by delay, and each of these has to satisfy it.
    level, draws, seed
        As in `nowcast_delays`.

    Returns
    -------
    Cells
        As `delay_cells`, with contributors; what is expected of periods that are not settled is filled in when the
        gate has judged (`opsroom.base.results.Cells.completed`), and stays empty where fewer than two settled periods
        are shown; a settled count is what is expected of it.

    Raises
    ------
    InternalError
        The units are not those that the triangle counts.
    """
    several = len(triangle.sectors) > 1
    last = max(last, 2 * (triangle.max_delay + 1))
    parts = [triangle, triangle.total()] if several else [triangle.total()]
    shown = triangle.periods[-last:]
    pieces = []
    for part in parts:
        reported = part.reported[:, -last:]
        settled = np.broadcast_to((part.age >= part.max_delay)[-last:], reported.shape).ravel()
        number = np.where(settled, reported.ravel(), np.nan)
        pieces.append(
            pd.DataFrame(
                {
                    "period": np.tile(_named(shown, triangle.frequency), len(part.sectors)),
                    "sector": np.repeat(np.array(part.sectors, dtype=object), len(shown)),
                    "reported": reported.ravel(), "expected": number, "lower": number, "upper": number,
                    "share": np.where(settled, 100.0, np.nan), "complete": np.where(settled, "yes", "no"),
                }
            )
        )  # fmt: skip
    told = pd.concat(pieces, ignore_index=True)
    facts = _facts(triangle, told, of, "hierarchical", level)
    told = _counted(units, told, triangle.frequency, several=several)
    count = Measure("reported", "count", of, ("n_reported",), decimals=0, attached=ATTACHED)
    return Cells(
        name=f"delays.{name}", dimensions=("period", "sector"), measures=(count,), frame=told,
        parts=(Part("n_reported", of),), additive=("sector",) if several else (), method=METHOD, facts=facts,
        completed=_Expected(tuple(parts), told[["period", "sector", *TOLD]], moves, sensitive, level, draws, seed),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What is expected of counts that the gate shows, from these alone.

    Attributes
    ----------
    parts
        The triangle of the sectors, where there are several, and that of all as one series.
    rows
        Period and sector of each cell, and what is told of it before anything is learnt: of a settled one its count.
    moves, sensitive
        The reports behind them, and the rule for counts by delay.
    level, draws, seed
        Of the nowcast.
    """

    parts: tuple[ReportingTriangle, ...]
    rows: pd.DataFrame
    moves: pd.DataFrame
    sensitive: Sensitive
    level: float
    draws: int
    seed: int

    def __call__(self, shown: Bools) -> Mapping[str, npt.NDArray[np.float64]]:
        """Return the attached numbers of every cell, NaN where there is nothing to be said."""
        out = {column: np.where(shown, self.rows[column].to_numpy(np.float64), np.nan) for column in TOLD}
        rows = self.rows[["period", "sector"]]
        seen = set(rows[shown].itertuples(index=False, name=None))
        sectors: tuple[ReportingTriangle, Bools] | None = None
        for part in self.parts:
            names = _named(part.periods, part.frequency)
            learn = np.array([[(name, sector) in seen for name in names] for sector in part.sectors])
            # A blank cell of a sector that is shown says that nothing was reported, and may be learnt from.
            added = np.nansum(part.added, axis=2)
            told = np.isin(names, rows["period"].unique())
            learn |= learn.any(axis=1, keepdims=True) & (added == 0) & told
            if sectors is None:
                mine = self.moves if len(part.sectors) > 1 else self.moves.assign(sector=0)
                sectors = safe, learn = safe_split(part, mine, learn, self.sensitive)
            else:
                safe, learn = summed_split(part, self.moves.assign(sector=0), learn, self.sensitive, *sectors)
            if int((learn.any(axis=0) & (part.age >= part.max_delay)).sum()) < FEWEST:
                continue
            try:
                made = nowcast_delays(
                    part, level=self.level, draws=self.draws, seed=self.seed, learn=learn, learn_from=safe
                )
            except FitError:
                continue  # what is shown does not bear a nowcast: the counts stand without one
            frame = made.frame.loc[list(part.sectors)].reset_index()
            frame = frame.assign(period=_named(frame["period"], part.frequency))
            at = rows["sector"].isin(part.sectors).to_numpy()
            found = rows[at].merge(frame, on=["period", "sector"], how="left")
            for column, values in _told(found).items():
                out[column][at] = values
        return out


def _told(frame: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Return the numbers of a nowcast as they are published."""
    return {
        "expected": frame["median"].round().to_numpy(), "lower": np.floor(frame["lower"].to_numpy()),
        "upper": np.ceil(frame["upper"].to_numpy()), "share": (100 * frame["share"]).round().to_numpy(),
    }  # fmt: skip


def _named(periods: pd.Series | pd.PeriodIndex, frequency: str) -> npt.NDArray[np.object_]:
    return np.array([format_period(p.start_time.date(), frequency) for p in periods], dtype=object)


def _facts(
    made: DelayResult | ReportingTriangle, told: pd.DataFrame, of: str, method: str, level: float
) -> dict[str, object]:
    ahead = told.loc[told["complete"] == "no", "period"]
    return {
        "as_of": made.as_of.isoformat(), "method": method, "level": level, "of": of,
        "settled_after": made.max_delay, "frequency": made.frequency,
        "first_incomplete": ahead.min() if len(ahead) else None,
    }  # fmt: skip


def _counted(units: pd.DataFrame, told: pd.DataFrame, frequency: str, *, several: bool) -> pd.DataFrame:
    """Return the cells with their contributors; a cell in which nothing is reported yet has none."""
    code, days = pd.factorize(pd.DatetimeIndex(units["period"]))
    names = np.array([format_period(day.date(), frequency) for day in days], dtype=object)
    table = units.assign(period=names[code] if len(names) else None, one=1)
    table = table[table["period"].isin(set(told["period"]))]
    dimensions = ["period", "sector"] if several else ["period"]
    made = parts_from_units(
        table, dimensions=dimensions, group="group", values={"n_reported": "one"}, totals=dimensions[1:]
    )
    if not several:  # one series is the total
        made.insert(1, "sector", TOTAL)
    by = ["period", "sector"]
    if told[told["reported"] > 0].set_index(by)["reported"].to_dict() != made.set_index(by)["n_reported"].to_dict():
        raise InternalError("the records of a delay nowcast are not those that it counts.")
    return told.drop(columns="reported").merge(made, on=by)
