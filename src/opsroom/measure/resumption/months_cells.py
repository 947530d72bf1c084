"""The release series of monthly sources and of their combination, with what the gate must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.cells import Cube, parts_from_panel
from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.weighted import Weighted
from opsroom.measure.resumption.monthly_result import METHOD, MonthlyResult
from opsroom.measure.resumption.months import MOST

if TYPE_CHECKING:
    from opsroom.measure.resumption.combination import CombinedResult

MILLE = 1000
"""Capacity enters the parts in thousandths, as whole numbers."""

REVISED_MONTHS = 3
"""A source is published for so many months up to the reference month: the earlier ones are hardly revised any more."""

BOUNDS = ("resumed_lower", "resumed_upper")
CAPACITY_BOUNDS = ("capacity_lower", "capacity_upper")
COMBINED = "combined"
SHARES = {"back": "cohort"}
PARTS = (
    Part("back", "weight"), Part("cohort", "weight"), Part("done", "weight, thousandths"),
    Part("normal", "weight, thousandths"),
)  # fmt: skip


def _measures(*attached: str) -> tuple[Measure, ...]:
    return (
        Measure("resumed", "share", "%", ("back", "cohort"), scale=100.0, attached=(*BOUNDS, *attached)),
        Measure("capacity", "ratio", "%", ("done", "normal"), scale=100.0, attached=CAPACITY_BOUNDS),
    )


def source_cells(result: MonthlyResult) -> Cells:
    """Return ``resumption.<source>``: the last months that are due, by section and size, counting companies.

    Parts carry whole numbers: companies that are more likely back than not. The published share is the estimate
    (``resumed__adjusted``), in which companies that have not filed weigh by chance. How many have filed is not among
    the measures: where few have not, they could be told, and the shares would have to go with them.
    """
    dims = {"section": "section", "size": "sme"}
    parts = _parts(result, dims, "count")
    parts = parts[parts["month"].isin(sorted(parts["month"].unique())[-REVISED_MONTHS:])]
    estimates = pd.concat([_estimates(result, dims, kept) for kept in _margins(dims)], ignore_index=True)
    frame = parts.merge(estimates, on=["month", *dims], how="left", validate="1:1")
    return Cells(
        name=f"resumption.{result.source}",
        dimensions=("month", "section", "size"),
        measures=_measures(),
        frame=frame,
        parts=PARTS,
        additive=("section", "size"),
        method=METHOD,
        facts=_facts(result),
    )


def combined_cells(result: CombinedResult) -> Cells:
    """Return ``resumption.sources``: the nation by month and source, with each source's weight, and the combination.

    The combination stands on the companies of the first source: its parts are theirs, its value the combined estimate.
    """
    from opsroom.measure.resumption.combination import METHOD as COMBINING

    if result.dims:
        raise UsageError("the release series of sources is of the nation.", remedy="Combine without dims.")
    pieces = []
    for source in (*result.sources, None):
        own = source or result.sources[0]
        parts = _parts(own, {"all": "all"}, result.weight, threshold=result.threshold)
        parts = parts[parts["all"] == TOTAL].drop(columns="all")
        name = COMBINED if source is None else own.source
        table = result.frame if source is None else own.by(weight=result.weight, threshold=result.threshold)
        columns = ["resumed", *BOUNDS, "capacity", *CAPACITY_BOUNDS]
        estimates = _named(table[columns].reset_index())
        estimates["weight_resumed"] = 1.0 if source is None else _at(result, f"weight_resumed_{name}", table.index)
        estimates["agree"] = np.where(_at(result, "resumed_agree", table.index).astype(bool), "yes", "no")
        pieces.append(parts.merge(estimates, on="month", how="inner", validate="1:1").assign(source=name))
    frame = pd.concat(pieces, ignore_index=True)
    frame["weight_resumed"] = frame["weight_resumed"].round(2)
    return Cells(
        name="resumption.sources", dimensions=("month", "source"), measures=_measures("weight_resumed", "agree"),
        frame=frame, parts=PARTS, method=COMBINING,
        facts={"as_of": str(result.as_of), "threshold": f"{100 * result.threshold:.0f} %", "weight": result.weight,
               "reference_month": f"{result.reference_month:%Y-%m}"},
    )  # fmt: skip


def _at(result: CombinedResult, column: str, index: pd.Index) -> np.ndarray[Any, Any]:
    return np.asarray(result.frame[column].reindex(index).to_numpy())


def _facts(result: MonthlyResult) -> dict[str, Any]:
    return {
        "reference_month": f"{result.reference_month:%Y-%m}", "cohort_day": str(result.cohort_day),
        "threshold": f"{100 * result.thresholds[0]:.0f} %", "as_of": str(result.as_of),
    }  # fmt: skip


def _parts(result: MonthlyResult, dims: dict[str, str], weight: str, *, threshold: float | None = None) -> pd.DataFrame:
    """Return the parts of every cell and margin, for the months that are due."""
    panel = result.panel
    due = np.asarray(panel.months <= pd.Timestamp(result.reference_month))
    key = ("cells", *dims)
    if key not in panel.shelf:
        units = panel.companies.assign(all="all")[[*dims.values(), "group"]]
        units.columns = pd.Index([*dims, "group"])
        panel.shelf[key] = units, Cube(units, list(dims), "group")
    units, cube = panel.shelf[key]
    found = panel.estimate(result.thresholds[0] if threshold is None else threshold, result.margin)
    w = panel.weight(weight).astype(np.int64)
    one = np.ones((len(w), 1), dtype=np.bool_)
    done = np.rint(MILLE * np.clip(found.capacity[:, due], 0, MOST)).astype(np.int64)
    data = {
        "back": Weighted(w, found.working[:, due] >= 0.5), "cohort": Weighted(w, one),
        "done": Weighted(w, done), "normal": Weighted(w * MILLE, one),
    }  # fmt: skip
    return parts_from_panel(
        units, data, periods=[f"{m:%Y-%m}" for m in panel.months[due]], period="month", dimensions=list(dims),
        group="group", shares=SHARES, cube=cube,
    )  # fmt: skip


def _margins(dims: dict[str, str]) -> list[list[str]]:
    names = list(dims)
    return [[n for k, n in enumerate(names) if not mask >> k & 1] for mask in range(1 << len(names))]


def _estimates(result: MonthlyResult, dims: dict[str, str], kept: list[str]) -> pd.DataFrame:
    """Return estimates and bounds of one margin, its other dimensions at their total."""
    table = result.by([dims[d] for d in kept])
    frame = table[["resumed", *BOUNDS, "capacity", *CAPACITY_BOUNDS]].reset_index()
    frame = frame.rename(columns={dims[d]: d for d in kept})
    return _named(frame.assign(**{d: TOTAL for d in dims if d not in kept}))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return estimates as the gate expects them: months as text, the value beside the parts, bounds rounded."""
    frame["month"] = frame["month"].dt.strftime("%Y-%m")
    for bound in (*BOUNDS, *CAPACITY_BOUNDS):
        frame[bound] = frame[bound].round(1)
    return frame.rename(columns={"resumed": "resumed__adjusted", "capacity": "capacity__adjusted"})
