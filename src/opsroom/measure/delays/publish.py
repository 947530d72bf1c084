"""A delay nowcast as a release series: what is reported by period and sector, and what is expected once all is in.

The counts pass the gate with their contributors, and what is expected stands or falls with the count beside it. Of
confidential records the total is a nowcast of its own, of all sectors as one series: the sum of the sectors' would tell
of one that is withheld, since late reports differ by sector.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import InternalError
from opsroom.base.periods import format_period
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.measure.delays.result import DelayResult

METHOD = "delays-1"
ATTACHED = ("expected", "lower", "upper", "share", "complete")


def delay_cells(
    result: DelayResult,
    name: str,
    units: pd.DataFrame | None = None,
    *,
    total: DelayResult | None = None,
    of: str = "records",
    last: int = 24,
) -> Cells:
    """Return ``delays.<name>``.

    Parameters
    ----------
    result
        Of counts.
    name
        Last part of the series' name.
    units
        Of confidential records those that stand reported, as from `standing_records`. None: the counts are public.
    total
        Of confidential records of several sectors: the nowcast of `ReportingTriangle.total`.
    of
        Unit of the counts, in words.
    last
        Periods published, the last.

    Returns
    -------
    Cells
        By ``period`` and ``sector`` (``_T``: all): ``reported``, and with it ``expected`` (the median), ``lower``,
        ``upper``, ``share`` (of the reports that is in, %) and ``complete`` (``yes`` where none is to come).

    Raises
    ------
    InternalError
        The units are not those that the result counts, or the total of confidential records is missing.
    """
    frame = result.frame.reset_index() if units is None else _apart(result, total).reset_index()
    shown = sorted(frame["period"].unique())[-last:]
    frame = frame[frame["period"].isin(shown)]
    told = pd.DataFrame(
        {
            "period": [format_period(p.start_time.date(), result.frequency) for p in frame["period"]],
            "sector": np.where(frame["sector"] == result.main, TOTAL, frame["sector"]),
            "reported": frame["reported"].to_numpy(),
            "expected": frame["median"].round().to_numpy(), "lower": np.floor(frame["lower"].to_numpy()),
            "upper": np.ceil(frame["upper"].to_numpy()), "share": (100 * frame["share"]).round().to_numpy(),
            "complete": np.where(frame["complete"], "yes", "no"),
        }
    )  # fmt: skip
    facts = {
        "as_of": result.as_of.isoformat(), "method": result.method, "level": result.level, "of": of,
        "settled_after": result.max_delay, "frequency": result.frequency,
        "first_incomplete": told.loc[told["complete"] == "no", "period"].min() if len(result.open_periods) else None,
    }  # fmt: skip
    count = Measure("reported", "public", of, decimals=0, attached=ATTACHED)
    parts: tuple[Part, ...] = ()
    if units is not None:
        count = Measure("reported", "count", of, ("n_reported",), decimals=0, attached=ATTACHED)
        parts, told = (Part("n_reported", of),), _counted(units, told, result)
    return Cells(
        name=f"delays.{name}", dimensions=("period", "sector"), measures=(count,), frame=told, parts=parts,
        additive=("sector",) if TOTAL in result.sectors else (), method=METHOD, facts=facts,
    )  # fmt: skip


def _apart(result: DelayResult, total: DelayResult | None) -> pd.DataFrame:
    """Return the result with what is expected of all sectors by the total's reports alone."""
    if TOTAL not in result.sectors:  # one series
        return result.frame
    if total is None or total.sectors != (TOTAL,):
        raise InternalError("the total of confidential records needs a nowcast of its own.")
    frame = result.frame.copy()
    told = total.frame.loc[[TOTAL]].reindex(frame.loc[[TOTAL]].index)
    if not (told["reported"] == frame.loc[[TOTAL], "reported"]).all():
        raise InternalError("the total of a delay nowcast is not that of its sectors.")
    frame.loc[[TOTAL]] = told[frame.columns]
    return frame


def _counted(units: pd.DataFrame, told: pd.DataFrame, result: DelayResult) -> pd.DataFrame:
    """Return the cells with their contributors; a cell in which nothing is reported yet has none."""
    code, days = pd.factorize(pd.DatetimeIndex(units["period"]))
    names = np.array([format_period(day.date(), result.frequency) for day in days], dtype=object)
    table = units.assign(period=names[code] if len(names) else None, one=1)
    table = table[table["period"].isin(set(told["period"]))]
    if TOTAL not in result.sectors:  # one series: it is the total
        table["sector"] = TOTAL
    totals = ["sector"] if TOTAL in result.sectors else []
    made = parts_from_units(
        table, dimensions=["period", "sector"], group="group", values={"n_reported": "one"}, totals=totals
    )
    by = ["period", "sector"]
    if told[told["reported"] > 0].set_index(by)["reported"].to_dict() != made.set_index(by)["n_reported"].to_dict():
        raise InternalError("the records of a delay nowcast are not those that it counts.")
    return told.drop(columns="reported").merge(made, on=by)
