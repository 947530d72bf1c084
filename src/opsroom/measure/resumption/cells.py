"""The release series of work resumption, with what the gate must know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_panel
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.measure.resumption.aggregate import WEIGHTS, Panel, aggregate
from opsroom.measure.resumption.change import change

if TYPE_CHECKING:
    from opsroom.measure.resumption.result import ResumptionResult

MILLE = 1000
"""Capacity enters the parts in thousandths, as whole numbers."""

REVISED_DAYS = 28
BOUNDS = ("resumed_lower", "resumed_upper")
CAPACITY_BOUNDS = ("capacity_lower", "capacity_upper")
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
        made.append(change_cells(previous, result))
    return made


def national_cells(result: ResumptionResult, *, since: dt.date | None = None) -> Cells:
    """Return the daily national series by weight and size."""
    panel = result.panel
    first = since or result.reference_date - dt.timedelta(days=REVISED_DAYS)
    low = max(panel.column(max(pd.Timestamp(first), panel.dates[0])), 0)
    columns = np.arange(low, panel.working.shape[1])
    codes = [f"{day:%Y-%m-%d}" for day in panel.dates[columns]]
    pieces = []
    for weight in WEIGHTS:
        parts = _parts(panel, {"size": "sme"}, [np.array([c]) for c in columns], codes, "date", weight)
        estimates = []
        for size in (TOTAL, "sme", "large"):
            rows = _cohort(panel) & (_true(panel) if size == TOTAL else _column(panel, "sme") == size)
            if rows.any():
                one = aggregate(panel, rows=rows, weight=weight, days=slice(low, None))
                estimates.append(_adjusted(one.reset_index(drop=True)).assign(date=codes, size=size))
        merged = parts.merge(pd.concat(estimates), on=["date", "size"], how="left", validate="1:1")
        pieces.append(merged.assign(weight=weight))
    frame = pd.concat(pieces, ignore_index=True)
    frame["complete"] = np.where(frame["date"] <= str(result.reference_date), "yes", "no")
    resumed = Measure(
        "resumed", "share", "%", ("at_work", "cohort"), scale=100.0, attached=(*BOUNDS, "complete")
    )
    measures = (resumed, CAPACITY, UNCORRECTED, COVERAGE, COMPANIES)
    return _cells(
        "resumption.national", ("date", "weight", "size"), measures, frame, ("size",), _facts(result)
    )


def section_cells(result: ResumptionResult, *, since: dt.date | None = None) -> Cells:
    """Return weekly means by section and size, complete weeks only."""
    panel = result.panel
    first = since or result.reference_date - dt.timedelta(days=REVISED_DAYS)
    days = panel.dates
    calendar = days.isocalendar()
    label = (calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)).to_numpy()
    inside = (days >= pd.Timestamp(first)) & (days <= pd.Timestamp(result.reference_date))
    weeks = [w for w in pd.unique(label[inside]) if (label[inside] == w).sum() == 7]
    if not weeks:
        monday = pd.Timestamp(result.reference_date) - pd.Timedelta(days=6)
        weeks = list(pd.unique(label[(days >= monday) & inside]))[:1]
    groups = [np.flatnonzero((label == w) & (days <= pd.Timestamp(result.reference_date))) for w in weeks]
    parts = _parts(panel, {"section": "section", "size": "sme"}, groups, weeks, "week", "count")
    return _cells(
        "resumption.section", ("week", "section", "size"), (RESUMED, CAPACITY),
        _estimated(panel, parts, {"section": "section", "size": "sme"}, groups, weeks, "week", "count"),
        ("section", "size"), _facts(result),
    )  # fmt: skip


def region_cells(result: ResumptionResult) -> Cells:
    """Return region × size class at the reference date; its total is the national figure."""
    panel = result.panel
    dims = {"region": "region", "size_class": "size_class"}
    groups = [np.array([panel.column(result.reference_date)])]
    code = [str(result.reference_date)]
    pieces = []
    for weight in WEIGHTS:
        parts = _parts(panel, dims, groups, code, "date", weight)
        pieces.append(_estimated(panel, parts, dims, groups, code, "date", weight).assign(weight=weight))
    return _cells(
        "resumption.region", ("date", "region", "size_class", "weight"), (RESUMED, CAPACITY, COVERAGE),
        pd.concat(pieces, ignore_index=True), ("region", "size_class"), _facts(result),
    )  # fmt: skip


def change_cells(previous: ResumptionResult, current: ResumptionResult) -> Cells:
    """Return what moved since the last result, a function of the two."""
    frame = change(previous, current)
    frame["points"] = frame["points"].round(2)
    facts = {
        "from": str(previous.reference_date), "to": str(current.reference_date),
        "previous_as_of": str(previous.as_of), "as_of": str(current.as_of),
    }  # fmt: skip
    measure = Measure("points", "public", "percentage points", decimals=1)
    return _cells("resumption.change", ("component", "weight"), (measure,), frame, (), facts, parts=())


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


def _cohort(panel: Panel) -> npt.NDArray[np.bool_]:
    return ~panel.companies["entrant"].to_numpy(dtype=bool)


def _true(panel: Panel) -> npt.NDArray[np.bool_]:
    return np.ones(len(panel.companies), dtype=bool)


def _column(panel: Panel, name: str) -> npt.NDArray[np.str_]:
    return panel.companies[name].to_numpy(dtype=str)


def _parts(
    panel: Panel,
    dims: Mapping[str, str],
    groups: Sequence[npt.NDArray[np.int64]],
    codes: Sequence[str],
    period: str,
    weight: str,
) -> pd.DataFrame:
    """Return the parts of every cell: `groups` are the columns behind each period."""
    rows = np.flatnonzero(_cohort(panel))
    w = panel.weight(weight)[rows][:, None]

    def mean(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.column_stack([array[rows][:, g].mean(axis=1) for g in groups])

    working, capacity = mean(panel.working), mean(panel.capacity)
    seen = mean(panel.seen) > 0.5
    known = mean(panel.naive_known) > 0.5
    on = known & (mean(panel.naive_on) > 0.5)
    ones = np.ones(working.shape, dtype=np.int64)
    data: dict[str, npt.NDArray[np.int64]] = {
        "at_work": w * (working >= 0.5), "cohort": w * ones, "reporting": w * seen,
        "used": w * np.rint(MILLE * np.maximum(capacity, 0)).astype(np.int64), "normal": w * ones * MILLE,
        "naive_on": w * on, "naive_known": w * known, "n": ones,
    }  # fmt: skip
    units = pd.DataFrame({name: panel.companies[source].to_numpy()[rows] for name, source in dims.items()})
    units["group"] = panel.companies["group"].to_numpy()[rows]
    return parts_from_panel(
        units, data, periods=list(codes), period=period, dimensions=list(dims), group="group", shares=SHARES
    )


def _estimated(
    panel: Panel,
    parts: pd.DataFrame,
    dims: Mapping[str, str],
    groups: Sequence[npt.NDArray[np.int64]],
    codes: Sequence[str],
    period: str,
    weight: str,
) -> pd.DataFrame:
    """Add the estimates and bounds of every cell, margins included, to its parts."""
    rows = []
    columns = {name: _column(panel, source) for name, source in dims.items()}
    days = slice(int(groups[0][0]), int(groups[-1][-1]) + 1)
    for key, _ in parts.groupby(list(dims), sort=False):
        labels = dict(zip(dims, key if isinstance(key, tuple) else (key,), strict=True))
        chosen = _cohort(panel)
        for name, label in labels.items():
            if label != TOTAL:
                chosen = chosen & (columns[name] == label)
        one = aggregate(panel, rows=chosen, weight=weight, days=days)
        for code, group in zip(codes, groups, strict=True):
            mean = one.iloc[group - days.start].mean()
            rows.append({period: code, **labels, **mean.to_dict()})
    estimates = _adjusted(pd.DataFrame(rows))
    return parts.merge(estimates, on=[period, *dims], how="left", validate="1:1")


def _adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rename estimates to what `Cells` shows instead of a plain quotient, bounds rounded."""
    out = frame.rename(columns={"resumed": "resumed__adjusted", "capacity": "capacity__adjusted"})
    out = out.drop(columns=["uncorrected", "coverage", "companies"])
    for bound in (*BOUNDS, *CAPACITY_BOUNDS):
        out[bound] = out[bound].round(1)
    return out
