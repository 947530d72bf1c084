"""The release series of work resumption, with what the gate must know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import Cube, parts_from_panel, parts_from_units
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.weighted import Weighted
from opsroom.measure.resumption.aggregate import WEIGHTS, Moments, Panel
from opsroom.measure.resumption.changes import COMPONENTS, contributions
from opsroom.measure.resumption.movement import CAUSES, movements

if TYPE_CHECKING:
    from opsroom.measure.resumption.result import ResumptionResult

MILLE = 1000
"""Capacity enters the parts in thousandths, as whole numbers."""

REVISED_DAYS = 14
BOUNDS = ("resumed_lower", "resumed_upper")
CAPACITY_BOUNDS = ("capacity_lower", "capacity_upper")
WEEK = 7
SECTION_PARTS = ("at_work", "cohort", "used", "normal")
WEIGHTED_PARTS = (*SECTION_PARTS, "reporting")
ESTIMATES = {
    "resumed": "resumed__adjusted", "capacity": "capacity__adjusted", **{b: b for b in (*BOUNDS, *CAPACITY_BOUNDS)}
}  # fmt: skip
"""Estimate → its column in the cells."""

SHARES = {"at_work": "cohort", "reporting": "cohort"}
PARTS = (
    Part("at_work", "weight"), Part("cohort", "weight"), Part("reporting", "weight"),
    Part("used", "weight, thousandths"), Part("normal", "weight, thousandths"),
    Part("naive_on", "weight"), Part("naive_known", "weight"), Part("n", "companies"),
)  # fmt: skip
RESUMED = Measure("resumed", "share", "%", ("at_work", "cohort"), scale=100.0, attached=BOUNDS)
CAPACITY = Measure("capacity", "ratio", "%", ("used", "normal"), scale=100.0, attached=CAPACITY_BOUNDS)
COVERAGE = Measure("coverage", "share", "%", ("reporting", "cohort"), scale=100.0)
UNCORRECTED = Measure("uncorrected", "ratio", "%", ("naive_on", "naive_known"), scale=100.0)
COMPANIES = Measure("companies", "count", "companies", ("n",), decimals=0)


def cells(
    result: ResumptionResult, previous: ResumptionResult | None = None, *, since: dt.date | None = None
) -> list[Cells]:
    """Return ``resumption.national``, ``.section``, ``.region`` and, with `previous`, ``.change``.

    Parts carry whole numbers: a company's weight where it is more likely at work than not. The published
    share is the estimate itself (``resumed__adjusted``), which weighs doubtful companies by probability.
    """
    made = [national_cells(result, since=since), section_cells(result, since=since), region_cells(result)]
    if previous is not None:
        made += change_cells(previous, result)
    return made


def national_cells(result: ResumptionResult, *, since: dt.date | None = None) -> Cells:
    """Return the daily national series by weight and size.

    The uncorrected index and the number of companies come with the weight ``count`` only.
    """
    panel = result.panel
    first = since or result.reference_date - dt.timedelta(days=REVISED_DAYS)
    low = panel.column(max(pd.Timestamp(first), panel.dates[0]))
    # Incomplete days are counted in the facts and not published: their first figure would come out of step with
    # that of the regions, and the difference of the two would be a change table of its own.
    end = panel.column(result.reference_date) + 1
    groups = [np.array([c]) for c in range(low, end)]
    codes = [f"{day:%Y-%m-%d}" for day in panel.dates[low:end]]
    frame = _weighted(panel, {"size": "sme"}, groups, codes)
    frame["complete"] = np.where(frame["date"] <= str(result.reference_date), "yes", "no")
    resumed = Measure("resumed", "share", "%", ("at_work", "cohort"), scale=100.0, attached=(*BOUNDS, "complete"))
    measures = (resumed, CAPACITY, UNCORRECTED, COVERAGE, COMPANIES)
    return _cells("resumption.national", ("date", "weight", "size"), measures, frame, ("size",), _facts(result))


def section_cells(result: ResumptionResult, *, since: dt.date | None = None) -> Cells:
    """Return weekly means by section and size, complete weeks only; before the first, the days there are."""
    panel = result.panel
    first = pd.Timestamp(since or result.reference_date - dt.timedelta(days=REVISED_DAYS))
    days = panel.dates
    calendar = days.isocalendar()
    label = (calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)).to_numpy(dtype=str)
    inside = (days >= first) & (days <= pd.Timestamp(result.reference_date))
    weeks = [str(w) for w in np.unique(label[inside]) if (label[inside] == w).sum() == WEEK]
    if not weeks:
        weeks = [str(label[panel.column(result.reference_date)])]
    groups = [np.flatnonzero((label == w) & (days <= pd.Timestamp(result.reference_date))) for w in weeks]
    dims = {"section": "section", "size": "sme"}
    frame = _Tables(panel, dims, groups, weeks, "week").of("count", SECTION_PARTS)
    return _cells(
        "resumption.section", ("week", "section", "size"), (RESUMED, CAPACITY), frame, ("section", "size"),
        _facts(result),
    )  # fmt: skip


def region_cells(result: ResumptionResult) -> Cells:
    """Return region × size class at the reference date; its total is the national figure."""
    panel = result.panel
    groups = [np.array([panel.column(result.reference_date)])]
    dims = {"region": "region", "size_class": "size_class"}
    frame = _weighted(panel, dims, groups, [str(result.reference_date)])
    return _cells(
        "resumption.region", ("date", "region", "size_class", "weight"), (RESUMED, CAPACITY, COVERAGE), frame,
        ("region", "size_class"), _facts(result),
    )  # fmt: skip


def detailed_cells(result: ResumptionResult) -> Cells:
    """Return region × section × size class at the reference date, by count; its total is the national figure."""
    panel = result.panel
    groups = [np.array([panel.column(result.reference_date)])]
    dims = {name: name for name in ("region", "section", "size_class")}
    frame = _Tables(panel, dims, groups, [str(result.reference_date)], "date").of("count", SECTION_PARTS)
    return _cells("resumption.detailed", ("date", *dims), (RESUMED, CAPACITY), frame, tuple(dims), _facts(result))


def change_cells(previous: ResumptionResult, current: ResumptionResult) -> list[Cells]:
    """Return what moved since the last result; its contributors are the companies that moved it.

    Nothing where nothing moved, as when no reading has arrived since.
    """
    moved = contributions(previous, current)
    if moved.empty:
        return []
    frame = parts_from_units(
        moved,
        dimensions=["component", "weight"],
        group="group",
        values={"moved": "points"},
        totals=["component"],
    )
    every = pd.MultiIndex.from_product([COMPONENTS, WEIGHTS], names=["component", "weight"])
    # a component in which no company moved is not there, rather than zero
    frame = frame.set_index(["component", "weight"]).reindex(every).reset_index()
    facts = {
        "from": str(previous.reference_date), "to": str(current.reference_date),
        "previous_as_of": str(previous.as_of), "as_of": str(current.as_of),
    }  # fmt: skip
    frame.insert(0, "date", str(current.reference_date))
    measure = Measure("value", "sum", "percentage points", ("moved",), decimals=1)
    parts = (Part("moved", "percentage points"),)
    dims = ("date", "component", "weight")
    return [_cells("resumption.change", dims, (measure,), frame, ("component",), facts, parts=parts)]


def movement_cells(result: ResumptionResult) -> list[Cells]:
    """Return why the use of electricity moved from the week before to the last complete one.

    Nothing where nothing moved, or in a window of less than a fortnight.
    """
    if result.fortnight is None:
        return []
    moved = movements(result.fortnight, result.panel.companies["group"].to_numpy(dtype=np.int64))
    if moved.empty:
        return []
    frame = parts_from_units(
        moved, dimensions=["component"], group="group", values={"moved": "points"}, totals=["component"]
    )
    frame = frame.set_index("component").reindex([*CAUSES, TOTAL]).reset_index()
    frame.insert(0, "date", str(result.reference_date))
    first, last = result.fortnight.days
    facts = {"from": str(first), "to": str(last), "as_of": str(result.as_of)}
    measure = Measure("value", "sum", "% of the use of the week before", ("moved",), decimals=1)
    parts = (Part("moved", "% of use"),)
    return [_cells("resumption.use", ("date", "component"), (measure,), frame, ("component",), facts, parts=parts)]


def _cells(
    name: str,
    dimensions: tuple[str, ...],
    measures: tuple[Measure, ...],
    frame: pd.DataFrame,
    additive: tuple[str, ...],
    facts: Mapping[str, Any],
    parts: tuple[Part, ...] | None = None,
) -> Cells:
    from opsroom.measure.resumption.result import METHOD

    used = {p for m in measures for p in m.parts}
    kept = tuple(p for p in PARTS if p.name in used) if parts is None else parts
    return Cells(
        name=name, dimensions=dimensions, measures=measures, frame=frame, parts=kept, additive=additive,
        method=METHOD, facts=dict(facts),
    )  # fmt: skip


def _facts(result: ResumptionResult) -> dict[str, Any]:
    turn = result.turning_point

    def text(day: dt.date | None) -> str | None:
        return None if day is None else str(day)

    return {
        "reference_date": str(result.reference_date), "incomplete_days": result.incomplete_days,
        "cohort_day": str(result.cohort_day), "holiday_start": str(result.holiday[0]),
        "holiday_end": str(result.holiday[1]), "turning_point": text(turn.day),
        "turning_point_lower": text(turn.lower), "turning_point_upper": text(turn.upper),
    }  # fmt: skip


def _weighted(
    panel: Panel, dims: Mapping[str, str], groups: Sequence[npt.NDArray[np.int64]], codes: Sequence[str]
) -> pd.DataFrame:
    """Return the daily table for every weight; what only counting needs is absent from the others."""
    tables = _Tables(panel, dims, groups, codes, "date")
    pieces = []
    for weight in WEIGHTS:
        names = tuple(p.name for p in PARTS) if weight == "count" else WEIGHTED_PARTS
        pieces.append(tables.of(weight, names).assign(weight=weight))
    return pd.concat(pieces, ignore_index=True)


class _Tables:
    """Parts and estimates of every cell and margin, by weight; what weights have in common is made once.

    `groups` are the columns behind each period.
    """

    def __init__(
        self,
        panel: Panel,
        dims: Mapping[str, str],
        groups: Sequence[npt.NDArray[np.int64]],
        codes: Sequence[str],
        period: str,
    ) -> None:
        self._panel, self._dims, self._groups = panel, list(dims), groups
        self._codes, self._period = list(codes), period
        self._rows = np.flatnonzero(~panel.companies["entrant"].to_numpy(dtype=bool))
        key = ("cells", *dims.items())
        if key not in panel.shelf:
            units = panel.companies.loc[self._rows, [*dims.values(), "group"]]
            units.columns = pd.Index([*dims, "group"])
            panel.shelf[key] = units, Cube(units, self._dims, "group"), _cross(units, self._dims)
        self._units, self._cube, self._crossed = panel.shelf[key]
        self._facts = _company_facts(panel, self._rows, groups)

    def of(self, weight: str, names: Sequence[str]) -> pd.DataFrame:
        """Return the table of one weight, with some of the parts."""
        data = _contributions(self._facts, self._panel.weight(weight)[self._rows], names)
        parts = parts_from_panel(
            self._units, data, periods=self._codes, period=self._period, dimensions=self._dims, group="group",
            shares={k: v for k, v in SHARES.items() if k in names}, cube=self._cube,
        )  # fmt: skip
        estimates = _estimates(
            self._panel, self._crossed, self._rows, self._dims, self._groups, self._codes, self._period, weight
        )
        return parts.merge(estimates, on=[self._period, *self._dims], how="left", validate="1:1")


def _company_facts(
    panel: Panel, rows: npt.NDArray[np.int64], groups: Sequence[npt.NDArray[np.int64]]
) -> dict[str, npt.NDArray[Any]]:
    """Return what holds of each company in each period, yes or no, and its capacity in thousandths."""
    low, high = int(groups[0][0]), int(groups[-1][-1]) + 1

    def mean(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if all(len(g) == 1 for g in groups):
            return block
        return np.column_stack([block[:, g - low].mean(axis=1) for g in groups])

    working, capacity, naive, seen = (
        array[rows, low:high] for array in (panel.working, panel.capacity, panel.naive, panel.seen)
    )
    known = mean(naive >= 0) > 0.5
    return {
        "at_work": mean(working) >= 0.5, "reporting": mean(seen) > 0.5,
        "used": np.rint(MILLE * np.maximum(mean(capacity), 0)).astype(np.int64),
        "naive_on": known & (mean(naive == 1) > 0.5), "naive_known": known,
    }  # fmt: skip


def _contributions(
    facts: Mapping[str, npt.NDArray[Any]], w: npt.NDArray[np.int64], names: Sequence[str]
) -> dict[str, Weighted]:
    """Return what each company adds to each part and period, whole numbers; `w` are weights, (companies,)."""
    one = np.ones((len(w), 1), dtype=np.bool_)
    same = {"cohort": Weighted(w, one), "normal": Weighted(w * MILLE, one), "n": Weighted(np.ones_like(w), one)}
    return {name: same[name] if name in same else Weighted(w, facts[name]) for name in names}


def _estimates(
    panel: Panel,
    crossed: tuple[npt.NDArray[np.int64], list[tuple[str, ...]]],
    rows: npt.NDArray[np.int64],
    dims: list[str],
    groups: Sequence[npt.NDArray[np.int64]],
    codes: Sequence[str],
    period: str,
    weight: str,
) -> pd.DataFrame:
    """Return estimates and bounds of every cell, margins over any of the dimensions included."""
    low, high = int(groups[0][0]), int(groups[-1][-1]) + 1
    days = slice(low, high)
    number, labels = crossed
    code = np.full(len(panel.companies), -1, dtype=np.int64)
    code[rows] = number
    finest = Moments.of(panel, code, len(labels), weight=weight, days=days)
    pieces = []
    for chosen in product((True, False), repeat=len(dims)):
        margins = [tuple(x if yes else TOTAL for x, yes in zip(label, chosen, strict=True)) for label in labels]
        position = {label: at for at, label in enumerate(dict.fromkeys(margins))}
        to = np.array([position[label] for label in margins], dtype=np.int64)
        shares = finest.rolled(to, len(position)).shares(panel.doubt, days)
        columns: dict[str, Any] = {
            ESTIMATES[name]: np.column_stack([value[:, g - low].mean(axis=1) for g in groups]).ravel()
            for name, value in shares.items()
            if name in ESTIMATES
        }
        columns[period] = np.tile(np.array(codes, dtype=object), len(position))
        for at, dim in enumerate(dims):
            columns[dim] = np.repeat(np.array([label[at] for label in position], dtype=object), len(codes))
        pieces.append(pd.DataFrame(columns))
    out = pd.concat(pieces, ignore_index=True)
    for bound in (*BOUNDS, *CAPACITY_BOUNDS):
        out[bound] = out[bound].round(1)
    return out


def _cross(units: pd.DataFrame, dims: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[tuple[str, ...]]]:
    """Return each unit's group number over the crossing of `dims`, and the groups' codes."""
    number = np.zeros(len(units), dtype=np.int64)
    names: list[pd.Index] = []
    for dim in dims:
        code, own = pd.factorize(units[dim], sort=True)
        number = number * len(own) + code
        names.append(own)
    found, dense = np.unique(number, return_inverse=True)
    where = np.unravel_index(found, [len(n) for n in names]) if names else ()
    labels = list(zip(*([str(n[i]) for i in at] for n, at in zip(names, where, strict=True)), strict=True))
    return dense.astype(np.int64), labels or [()]
