"""Normals of companies out of a table of readings, on either engine: what `panel` does, where no matrix fits in memory.

Each company's readings go through two kernels of `opsroom.base.verbs.map_units`: one fits its normal, one says what it
would have used. In between the law of the errors is learnt from a sample, as `adjust_panel` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from opsroom.base import verbs
from opsroom.base.errors import FitError, UsageError
from opsroom.base.verbs import col
from opsroom.measure.adjust.breaks import Steps
from opsroom.measure.adjust.panel import FEWEST, SAMPLE, STEP, Ground, PanelNormal, fit_companies, rehearse_companies
from opsroom.measure.adjust.spread import Spread

if TYPE_CHECKING:
    import ibis

F32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

EPOCH = np.datetime64("1970-01-01", "D")
NO_LAW = Spread(1.0, 0.0, (1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the table's columns.

    Attributes
    ----------
    unit, day, use
        Company (a whole number), date, and what was used that day; rows of one company and day are added up, a
        negative or missing reading is none.
    region
        Region code as in the ground; empty: all 0.
    """

    unit: str = "company"
    day: str = "date"
    use: str = "use"
    region: str = ""

    @property
    def all(self) -> list[str]:
        """The columns that there are."""
        return [c for c in (self.unit, self.day, self.use, self.region) if c]


@dataclass(frozen=True, slots=True)
class UnitNormals:
    """What is normal for each company of a table; confidential.

    Attributes
    ----------
    units
        Companies in order.
    normal
        Of them, row by row.
    columns
        Of the table.
    """

    units: Ints
    normal: PanelNormal
    columns: Columns

    def expected(self, table: ibis.Table, *, since: object | None = None, rows: int = 1 << 18) -> pa.Table:
        """Return what companies used and would have used, day by day.

        Parameters
        ----------
        table
            Readings of the same companies, or of some of them.
        since
            First day wanted; None: all days of the ground.
        rows
            Readings that a kernel gets at a time, about.

        Returns
        -------
        pyarrow.Table
            Unit, day, ``observed``, ``expected``: one row a day with a reading and a normal, in order of units.
        """
        first = 0 if since is None else int(self.normal.ground.dates.searchsorted(pd.Timestamp(str(since))))
        return verbs.map_units(
            _chosen(table, self.columns), unit=self.columns.unit, order=[self.columns.day], rows=rows,
            kernel=_Expected(self, first), schema=_expected_schema(self.columns),
        )  # fmt: skip


def adjust_units(
    table: ibis.Table,
    ground: Ground,
    *,
    columns: Columns = Columns(),
    least_step: float = STEP,
    rows: int = 1 << 21,
) -> UnitNormals:
    """Fit the normal of every company in a table of readings, on DuckDB or Spark.

    Parameters
    ----------
    table
        One row a company and day, on either engine.
    ground
        Days, calendar and weather; readings of other days are not looked at.
    columns
        Names of the table's columns.
    least_step
        As in `opsroom.measure.adjust.panel.adjust_panel`.
    rows
        Readings that a kernel gets at a time, about: memory is some 40 bytes each.

    Returns
    -------
    UnitNormals

    Raises
    ------
    UsageError
        A region code that the ground does not have.
    FitError
        No company has enough normal days.

    Notes
    -----
    A company's normal depends on its own readings alone: each series stops when it has settled itself. Which companies
    stand beside it changes no more than the rounding of single precision. What fails most often: see `adjust_panel`.
    """
    chosen = _chosen(table, columns)
    found = verbs.map_units(
        chosen, unit=columns.unit, order=[columns.day], rows=rows, kernel=_Fitted(ground, columns, least_step),
        schema=_fitted_schema(columns),
    )  # fmt: skip
    fitted = _panel(found, ground)
    if not fitted.fitted.any():
        raise FitError(f"no company has {FEWEST} normal days.", remedy="Give longer normal spans.", code="OPS-M018")
    units = found[columns.unit].to_numpy()
    able = np.flatnonzero(fitted.fitted)
    sample = able[np.unique(np.linspace(0, len(able) - 1, min(SAMPLE, len(able))).astype(np.int64))]
    part = verbs.collect(verbs.where(chosen, condition=col(columns.unit).is_in(units[sample].tolist())))
    laid = _Laid.of(_sorted(part, columns), ground, columns)
    spread, quantile = rehearse_companies(laid.use, ground, laid.region, np.ones(len(laid.units), bool), least_step)
    normal = PanelNormal(
        ground=ground, region=fitted.region, coef=fitted.coef, level=fitted.level, scale=fitted.scale,
        rows=fitted.rows, fitted=fitted.fitted, steps=fitted.steps, spread=spread, quantile=quantile,
    )  # fmt: skip
    return UnitNormals(units, normal, columns)


def _chosen(table: ibis.Table, columns: Columns) -> ibis.Table:
    return verbs.select(table, columns=columns.all)


def _sorted(table: pa.Table, columns: Columns) -> pa.Table:
    return table.sort_by([(columns.unit, "ascending"), (columns.day, "ascending")])


@dataclass(frozen=True, slots=True)
class _Laid:
    """Readings of some companies laid out: one row a company, one column a day, NaN where there is none."""

    units: Ints
    region: Ints
    use: F32

    @classmethod
    def of(cls, table: pa.Table, ground: Ground, columns: Columns) -> _Laid:
        """Lay out a table sorted by unit."""
        unit = table[columns.unit].to_numpy().astype(np.int64)
        first = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]]) if len(unit) else np.zeros(0, dtype=np.int64)
        row = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(unit)]))
        day = table[columns.day].cast(pa.date32()).to_numpy().astype("datetime64[D]")
        place = (day - ground.dates[0].to_datetime64().astype("datetime64[D]")).astype(np.int64)
        use = table[columns.use].to_numpy(zero_copy_only=False).astype(np.float64)
        seen = (use >= 0) & (place >= 0) & (place < len(ground.dates))
        total, count = (np.zeros((len(first), len(ground.dates))) for _ in range(2))
        np.add.at(total, (row[seen], place[seen]), use[seen])
        np.add.at(count, (row[seen], place[seen]), 1)
        region = np.zeros(len(first), dtype=np.int64)
        if columns.region:
            region = table[columns.region].to_numpy().astype(np.int64)[first]
            if len(region) and not 0 <= region.min() <= region.max() < len(ground.designs):
                raise UsageError("a region code is out of range.", remedy="Number the regions as in the ground.")
        return cls(unit[first], region, np.where(count > 0, total, np.nan).astype(np.float32))


def _fitted_schema(columns: Columns) -> pa.Schema:
    return pa.schema(
        [(columns.unit, pa.int64()), ("region", pa.int64()), ("coef", pa.list_(pa.float32())), ("level", pa.float32()),
         ("scale", pa.float32()), ("rows", pa.int64()), ("fitted", pa.bool_()), ("step_day", pa.list_(pa.int64())),
         ("step_size", pa.list_(pa.float64()))]
    )  # fmt: skip


def _expected_schema(columns: Columns) -> pa.Schema:
    return pa.schema(
        [(columns.unit, pa.int64()), (columns.day, pa.date32()), ("observed", pa.float64()), ("expected", pa.float64())]
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """Kernel: each company's normal."""

    ground: Ground
    columns: Columns
    least_step: float

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return one row a company."""
        laid = _Laid.of(table, self.ground, self.columns)
        made = fit_companies(laid.use, self.ground, laid.region, None, self.least_step, max(len(laid.use), 1), 1)
        steps: Steps = made["steps"]
        own: list[list[int]] = [[] for _ in laid.units]
        for k, row in enumerate(steps.series):
            own[row].append(k)
        columns: dict[str, Any] = {
            self.columns.unit: laid.units, "region": laid.region, "coef": list(made["coef"]), "level": made["level"],
            "scale": made["scale"], "rows": made["rows"], "fitted": made["fitted"],
            "step_day": [steps.day[at].tolist() for at in own], "step_size": [steps.size[at].tolist() for at in own],
        }  # fmt: skip
        return pa.table(columns, schema=_fitted_schema(self.columns))


@dataclass(frozen=True, slots=True)
class _Expected:
    """Kernel: what each company used and would have used."""

    normals: UnitNormals
    first: int

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return one row a company and day with a reading and a normal."""
        normals, ground = self.normals, self.normals.normal.ground
        laid = _Laid.of(table, ground, normals.columns)
        at = pd.Index(normals.units).get_indexer(pd.Index(laid.units))
        known = at >= 0
        expected = np.full(laid.use.shape, np.nan, dtype=np.float32)
        expected[known] = normals.normal.expected(at[known])
        row, day = np.nonzero(np.isfinite(expected[:, self.first :]) & np.isfinite(laid.use[:, self.first :]))
        day += self.first
        dates = ground.dates.to_numpy().astype("datetime64[D]")
        columns: dict[str, Any] = {
            normals.columns.unit: laid.units[row], normals.columns.day: pa.array(dates[day], pa.date32()),
            "observed": laid.use[row, day].astype(np.float64), "expected": expected[row, day].astype(np.float64),
        }  # fmt: skip
        return pa.table(columns, schema=_expected_schema(normals.columns))


def _panel(found: pa.Table, ground: Ground) -> PanelNormal:
    """Return the kernels' rows as a panel's normal, the law of its errors not known yet."""
    terms = ground.designs[0].shape[1]
    coef = found["coef"].combine_chunks().flatten().to_numpy().reshape(-1, terms)
    days = found["step_day"].combine_chunks()
    count = np.diff(days.offsets.to_numpy())
    steps = Steps(
        np.repeat(np.arange(len(count), dtype=np.int64), count), days.flatten().to_numpy(),
        found["step_size"].combine_chunks().flatten().to_numpy(),
    )  # fmt: skip
    level, scale, rows, fitted, region = (
        found[name].to_numpy(zero_copy_only=False) for name in ("level", "scale", "rows", "fitted", "region")
    )
    return PanelNormal(
        ground=ground, region=region, coef=coef, level=level, scale=scale, rows=rows, fitted=fitted, steps=steps,
        spread=NO_LAW, quantile=1.0,
    )  # fmt: skip
