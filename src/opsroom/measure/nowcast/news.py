"""Why the nowcast moved: releases, revisions, withdrawals and re-estimation, adding up exactly."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom._version import __version__
from opsroom.base.errors import InternalError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.measure.nowcast.linear import State, expected, look, project
from opsroom.measure.nowcast.panel import Floats, Ints, Panel

if TYPE_CHECKING:
    from opsroom.measure.nowcast.results import NowcastResult

Mask = NDArray[np.bool_]

EXACT = 1e-8
"""How exactly, in points, contributions must add up to the change."""


@dataclass(frozen=True, slots=True)
class News:
    """The change between two nowcasts of one quarter.

    Attributes
    ----------
    quarter, before, after
        The quarter, and its nowcasts in %.
    day_before, day_after
        The two as-of days.
    detail
        One row a cell of the panel that is new, changed or gone: ``series, component`` (``release``,
        ``revision``, ``withdrawal``), ``period`` (month, or quarter), ``expected``, ``actual`` (transformed,
        in the series' units), ``weight`` (points per unit), ``contribution`` (points).
    estimation
        Points that come from learning the parameters again, on the data of the earlier day.
    """

    quarter: str
    before: float
    after: float
    day_before: dt.date
    day_after: dt.date
    detail: pd.DataFrame
    estimation: float

    @property
    def total(self) -> float:
        """The whole change in points; equals ``after - before`` to 1e-8."""
        return float(self.detail["contribution"].sum()) + self.estimation

    def by_series(self) -> pd.Series:
        """Add up by series, largest first; ``estimation`` is one of the entries."""
        table = self.detail.groupby("series", sort=True)["contribution"].sum()
        table = pd.concat([table, pd.Series({"estimation": self.estimation})])
        order = table.abs().sort_values(ascending=False, kind="stable").index
        return pd.Series(table.reindex(order), name="contribution")

    def by_component(self) -> pd.Series:
        """Add up by component."""
        table = self.detail.groupby("component")["contribution"].sum()
        table = table.reindex(["release", "revision", "withdrawal"], fill_value=0.0)
        return pd.Series(pd.concat([table, pd.Series({"estimation": self.estimation})]), name="contribution")

    def to_frame(self) -> pd.DataFrame:
        """Return the cells behind the change."""
        return self.detail.copy()

    def summary(self) -> str:
        """Return the change in a few lines."""
        lines = [f"{self.quarter}: {self.before:+.3f} % on {self.day_before} → {self.after:+.3f} % on {self.day_after}"]
        lines += [f"  {name:24s} {value:+.3f}" for name, value in self.by_series().head(8).items()]
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return (
            "News after Bańbura and Modugno (2014), Journal of Applied Econometrics 29:133-160; "
            f"opsroom {__version__}, vintages of {self.day_before} and {self.day_after}."
        )

    def cells(self) -> Cells:
        """Return the release series ``nowcast.news``: quarter x series x component, in points."""
        table = self.detail.groupby(["series", "component"], sort=True)["contribution"].sum().reset_index()
        rest = pd.DataFrame(
            {
                "series": [TOTAL, TOTAL],
                "component": ["estimation", TOTAL],
                "contribution": [self.estimation, self.total],
            }
        )
        frame = pd.concat([table, rest], ignore_index=True)
        frame.insert(0, "quarter", self.quarter)
        frame["contribution"] = frame["contribution"].round(3)
        return Cells(
            "nowcast.news",
            ("quarter", "series", "component"),
            (Measure("contribution", "public", "points", decimals=3),),
            frame,
            method="nowcast",
            unit_kind="public",
            facts={
                "before": round(self.before, 3),
                "after": round(self.after, 3),
                "day_before": self.day_before.isoformat(),
                "day_after": self.day_after.isoformat(),
            },
        )


def explain(new: NowcastResult, old: NowcastResult, *, quarter: str | None = None) -> News:
    """Split the change between two nowcasts of a quarter.

    Parameters
    ----------
    new, old
        Nowcasts of the same target on two days.
    quarter
        Which quarter; default the newer one's headline.

    Returns
    -------
    News
        Contributions add up to the change within 1e-8 points.

    Raises
    ------
    UsageError
        Another target, days in the wrong order, or a quarter that one of them lacks.

    Notes
    -----
    Everything but re-estimation is valued with the newer parameters and weights, so that a release that
    announces a shock gets the weight that the shock gives it. With data x before and x' after on the common
    cells, and w the weights of the linear map: revisions ``w (x' - x)``; releases ``w_j (x_j - E[x_j |
    x'])``;
    re-estimation is the old data under new parameters minus the old nowcast. The assumption that fails most
    often: that a revision of levels far back tells something; it mostly shows up as many tiny contributions.
    """
    if new.target != old.target or old.as_of > new.as_of:
        raise UsageError(
            "news needs an earlier and a later nowcast of the same target.",
            remedy="Call later.news(earlier).",
        )
    name = quarter or new.target_quarter
    after, before = new.quarter(name), _of(old, name)
    work = new.workings
    state = State(work.fit.parameters, work.fit.observations, work.fit.rows, work.fit.posterior)
    row = work.panel.index(pd.Period(name.replace("-", ""), freq="Q"))
    earlier = old.workings.panel.on_grid_of(work.panel)
    has_old, has_new = ~np.isnan(earlier.values), ~np.isnan(work.panel.values)
    common = replace(earlier, values=np.where(has_old & has_new, earlier.values, np.nan))
    revised = replace(earlier, values=np.where(has_old & has_new, work.panel.values, np.nan))
    p = state.parameters
    at_old, at_common, at_revised = look(earlier, p), look(common, p), look(revised, p)
    value_old = project(at_old, row).value
    pieces = [
        _releases(state, at_revised, work.panel, revised, has_new & ~has_old, row),
        _revisions(at_common, work.panel, earlier, row),
        _withdrawals(at_old, at_common, earlier, common, has_old & ~has_new, row),
    ]
    detail = pd.concat(pieces, ignore_index=True)
    estimation = value_old - before
    gap = float(detail["contribution"].sum()) - (after.growth - value_old)
    if abs(gap) > EXACT:
        raise InternalError(
            f"news of the nowcast do not add up: {gap:.1e} points are left.",
            code="OPS-I110",
            remedy="Report the two vintages.",
        )
    return News(name, before, after.growth, old.as_of, new.as_of, detail, estimation)


def _of(result: NowcastResult, quarter: str) -> float:
    known = {q.quarter: q.growth for q in result.quarters}
    if quarter not in known:
        raise UsageError(
            f"the nowcast as of {result.as_of} has none of {quarter}.",
            remedy=f"Choose one of {', '.join(known)}.",
        )
    return known[quarter]


def _table(
    panel: Panel,
    state: State,
    component: str,
    series: Ints,
    month: Ints,
    weight: Floats,
    guess: Floats,
    actual: Floats,
) -> pd.DataFrame:
    """Return rows of `News.detail`; `guess` and `actual` are standardised, `weight` is per standard unit."""
    p = state.parameters
    scale, center = p.scale[series], p.center[series]
    numbers = panel.first_month + month
    frame = pd.DataFrame(
        {
            "series": np.asarray(panel.names, dtype=object)[series],
            "component": component,
            "period": [
                f"{m // 12}-Q{m % 12 // 3 + 1}" if q else f"{m // 12}-{m % 12 + 1:02d}"
                for m, q in zip(numbers.tolist(), panel.quarterly[series].tolist(), strict=True)
            ],
            "expected": guess * scale + center,
            "actual": actual * scale + center,
            "weight": weight / scale,
            "contribution": weight * (actual - guess),
        }
    )
    return frame.astype({"series": object, "component": object, "period": object})


def _weights(state: State, cells: tuple[Ints, Ints], row: int) -> Floats:
    """Return the weights of given cells (month, series) in the projection."""
    grid = np.zeros(state.parameters.weights.shape)
    seen = state.observations
    grid[seen.month, seen.series] = project(state, row).weight
    return grid[cells]


def _standard(panel: Panel, state: State, cells: tuple[Ints, Ints]) -> Floats:
    p = state.parameters
    return np.asarray(((panel.values - p.center) / p.scale)[cells])


def _releases(state: State, base: State, panel: Panel, known: Panel, fresh: Mask, row: int) -> pd.DataFrame:
    month, series = np.nonzero(fresh)
    guess = expected(base, known, series, month)
    weight = _weights(state, (month, series), row)
    return _table(panel, state, "release", series, month, weight, guess, _standard(panel, state, (month, series)))


def _revisions(state: State, panel: Panel, earlier: Panel, row: int) -> pd.DataFrame:
    both = ~np.isnan(panel.values) & ~np.isnan(earlier.values)
    month, series = np.nonzero(both & (panel.values != earlier.values))
    cells = (month, series)
    return _table(
        panel,
        state,
        "revision",
        series,
        month,
        _weights(state, cells, row),
        _standard(earlier, state, cells),
        _standard(panel, state, cells),
    )


def _withdrawals(full: State, base: State, earlier: Panel, known: Panel, gone: Mask, row: int) -> pd.DataFrame:
    """A cell that is no longer known counts as its own release, taken back."""
    month, series = np.nonzero(gone)
    guess = expected(base, known, series, month)
    weight = _weights(full, (month, series), row)
    actual = _standard(earlier, full, (month, series))
    return _table(earlier, full, "withdrawal", series, month, weight, actual, guess)
