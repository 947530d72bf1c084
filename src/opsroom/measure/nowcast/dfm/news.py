"""Why a factor model's nowcast moved from one vintage to the next: pieces that add up exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom._version import __version__
from opsroom.base.errors import InternalError, UsageError
from opsroom.measure.nowcast.dfm.drift import placed
from opsroom.measure.nowcast.dfm.grid import Grid
from opsroom.measure.nowcast.dfm.look import Look, cell, data_weights, look
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.robust import carried
from opsroom.measure.nowcast.dfm.smooth import Weights

if TYPE_CHECKING:
    import altair as alt

KINDS = ("release", "revision", "withdrawal", "weights", "parameters")
COLUMNS = ("kind", "series", "period", "expected", "actual", "weight", "impact")
_EXACT = 1e-10


@dataclass(frozen=True, slots=True)
class NewsResult:
    """The change of one nowcast between two vintages.

    Attributes
    ----------
    target, period
        What is nowcast.
    before, after
        The nowcast on the earlier and on the later vintage, in the target's units.
    detail
        One row a piece: ``kind`` (see `KINDS`), ``series``, ``period``, ``expected`` and ``actual`` in the series'
        units, ``weight`` (target's units per unit), ``impact``. Re-weighting and re-estimation have no series.
    blocks
        Series → name of the block that its impact is counted under.
    """

    target: str
    period: str
    before: float
    after: float
    detail: pd.DataFrame
    blocks: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The whole change; equals ``after - before`` to 1e-10 of the target's scale."""
        return float(self.detail["impact"].sum())

    def to_frame(self) -> pd.DataFrame:
        """Return the pieces, the largest impact first."""
        order = self.detail["impact"].abs().sort_values(ascending=False, kind="stable").index
        return self.detail.loc[order].reset_index(drop=True)

    def by_kind(self) -> pd.Series:
        """Add up by kind."""
        total = self.detail.groupby("kind")["impact"].sum()
        more = [kind for kind in total.index if kind not in KINDS]  # a pool's own
        return pd.Series(total.reindex([*KINDS, *more], fill_value=0.0), name="impact")

    def by_series(self) -> pd.Series:
        """Add up by series, largest first; what has no series stands under its kind.

        Where a series is called like such a kind, the kind stands in brackets: ``(weights)``.
        """
        total = self.detail.groupby(_keys(self.detail, {}))["impact"].sum()
        order = total.abs().sort_values(ascending=False, kind="stable").index
        return pd.Series(total.reindex(order), name="impact")

    def by_block(self) -> pd.Series:
        """Add up by block; what has no series stands under its kind, in brackets where a block is called like it."""
        return pd.Series(self.detail.groupby(_keys(self.detail, self.blocks))["impact"].sum(), name="impact")

    def summary(self) -> str:
        """Return the change in a few lines."""
        lines = [f"{self.target} {self.period}: {self.before:+.3f} → {self.after:+.3f}"]
        lines += [f"  {name:24s} {value:+.3f}" for name, value in self.by_series().head(8).items()]
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return (
            f"News after Bańbura and Modugno (2014), Journal of Applied Econometrics 29:133-160; opsroom {__version__}."
        )

    def chart(self) -> alt.Chart:
        """Draw the impacts by series."""
        return stacked([("", self)])


def _keys(detail: pd.DataFrame, blocks: Mapping[str, str]) -> NDArray[np.object_]:
    """Return what each piece is counted under: its series, its series' block, or its kind where it has no series."""
    names = [blocks.get(series, series) for series in detail["series"]]
    taken = {name for name in names if name}
    kinds = [f"({kind})" if kind in taken else kind for kind in detail["kind"]]
    return np.array([name or kind for name, kind in zip(names, kinds, strict=True)], dtype=object)


def stacked(path: Sequence[tuple[object, NewsResult]], *, by: str = "series", top: int = 8) -> alt.Chart:
    """Draw a nowcast's way: one bar a release day, stacked by what moved it, and the nowcast after each day.

    Parameters
    ----------
    path
        Day and news of that day, in order, all of one target and period.
    by
        ``"series"``, ``"block"`` or ``"kind"``.
    top
        Parts with a colour of their own; the rest is drawn as one.

    Raises
    ------
    UsageError
        Nothing moved it.
    """
    import altair as alt

    from opsroom.base.charts import Caption, colour, finish, plot

    rows: list[dict[str, Any]] = []
    for day, news in path:
        parts = {"series": news.by_series, "block": news.by_block, "kind": news.by_kind}[by]()
        rows += [{"day": str(day), "part": str(name), "impact": float(value)} for name, value in parts.items()]
    if not rows:
        raise UsageError("there are no news to draw.", remedy="Give days on which something was published.")
    bars = pd.DataFrame(rows)
    size = bars.assign(size=bars["impact"].abs()).groupby("part")["size"].sum().sort_values(ascending=False)
    bars["part"] = bars["part"].where(bars["part"].isin(size.index[:top]), "others")
    bars = bars.groupby(["day", "part"], sort=False)["impact"].sum().reset_index()
    last = path[-1][1]
    most = bars[bars["part"] != "others"].groupby("part")["impact"].sum().abs().idxmax()
    drawn = (
        plot([{str(k): v for k, v in row.items()} for row in bars.to_dict("records")])
        .mark_bar()
        .encode(
            x=alt.X("day:N", title=None, sort=None),
            y=alt.Y("impact:Q", title="change", stack="zero"),
            color=alt.Color("part:N", title=None),
            tooltip=["day:N", "part:N", alt.Tooltip("impact:Q", format="+.3f")],
        )
    )
    way = (
        plot([{"day": str(day), "nowcast": news.after} for day, news in path])
        .mark_line(point=True, color=colour("ink"))
        .encode(
            x=alt.X("day:N", sort=None), y=alt.Y("nowcast:Q", title="nowcast"), tooltip=["day:N", "nowcast:Q"]
        )
    )  # fmt: skip
    caption = Caption(
        f"{most} moved the nowcast of {last.target} in {last.period} most",
        f"bars: change by {by}, in the target's units; line: the nowcast after each day", as_of=str(path[-1][0]),
    )  # fmt: skip
    return finish(alt.layer(drawn, way).resolve_scale(y="independent"), caption)


def explain(
    p: FactorParameters,
    old: Grid,
    new: Grid,
    target: str,
    period: object,
    *,
    weights_old: Weights | None = None,
    weights_new: Weights | None = None,
    after: float | None = None,
    blocks: Mapping[str, str] | None = None,
    level: Floats | None = None,
) -> NewsResult:
    """Split the change of a nowcast between two vintages.

    Parameters
    ----------
    p
        Parameters of the earlier fit, at which all but re-estimation is valued.
    old, new
        The two vintages: the same series.
    target, period
        What is nowcast.
    weights_old, weights_new
        Weights of the earlier panel, and those that the later panel deserves at the same parameters; both on their
        own grids' layout. None where the model is Gaussian.
    after
        The later nowcast where the parameters were learnt again; None where they were not.
    blocks
        Series → block.
    level
        The slowly moving mean on the earlier grid, where there is one: it is the same on both vintages.

    Raises
    ------
    InternalError
        The pieces do not add up: a defect.
    """
    column = new.column(target)
    row_new = new.row(target, period)
    new = new.through(row_new)
    start = min(old.first_month, new.first_month)
    whole = Grid(
        start, new.names, new.monthly, np.full((new.first_month + len(new.values) - start, len(new.names)), np.nan)
    )
    rows = max(len(whole.values), old.first_month + len(old.values) - start)
    whole = whole.through(rows - 1)
    a, b = old.on(whole), new.on(whole)
    mean = np.zeros(whole.values.shape) if level is None else placed(level, old, whole)
    a, b = replace(a, values=a.values - mean), replace(b, values=b.values - mean)
    row = whole.row(target, period)
    lead = 4 if len(new.names) > new.monthly else 0
    w_old = None if weights_old is None else carried(weights_old, old, whole, lead)
    w_new = None if weights_new is None else carried(weights_new, new, whole, lead)
    has_old, has_new = ~np.isnan(a.values), ~np.isnan(b.values)
    common = replace(a, values=np.where(has_old & has_new, a.values, np.nan))
    revised = replace(a, values=np.where(has_old & has_new, b.values, np.nan))
    views = {name: look(grid, p, w_old) for name, grid in (("old", a), ("common", common), ("revised", revised))}
    full = look(b, p, w_old)
    pieces = [
        _known_cells("withdrawal", views["old"], views["common"], a, has_old & ~has_new, row, column, mean),
        _revisions(views["common"], a, b, has_old & has_new & (a.values != b.values), row, column, mean),
        _known_cells("release", full, views["revised"], b, has_new & ~has_old, row, column, mean),
    ]
    scale, center = float(p.scale[column]), float(p.center[column]) + float(mean[row, column])

    def value(view: Look) -> float:
        return center + scale * cell(view, row, column, variance=False).mean

    before, at_weights = value(views["old"]), value(full)
    later = at_weights if w_new is None else value(look(b, p, w_new))
    rest = [("weights", later - at_weights)] if w_new is not None else []
    rest += [("parameters", after - later)] if after is not None else []
    if rest:
        pieces.append(pd.DataFrame([_row(kind, "", "", np.nan, np.nan, np.nan, impact) for kind, impact in rest]))
    pieces = [piece for piece in pieces if len(piece)]
    detail = (
        pd.concat(pieces, ignore_index=True)
        if pieces
        else pd.DataFrame(columns=list(COLUMNS)).astype({"impact": float})
    )
    end = later if after is None else after
    result = NewsResult(target, whole.label(row, column), before, end, detail, dict(blocks or {}))
    return added_up(result, scale)


def added_up(result: NewsResult, scale: float) -> NewsResult:
    """Return news whose pieces add up to the change, in units of the target's scale.

    Raises
    ------
    InternalError
        They do not: a defect.
    """
    gap = result.total - (result.after - result.before)
    if abs(gap) > _EXACT * max(1.0, scale, abs(result.before), abs(result.after)):
        raise InternalError(
            f"news of the factor model do not add up: {gap:.1e} is left.",
            code="OPS-I111",
            remedy="Report the two vintages.",
        )
    return result


def _row(
    kind: str, series: str, period: str, expected: float, actual: float, weight: float, impact: float
) -> dict[str, Any]:
    return dict(zip(COLUMNS, (kind, series, period, expected, actual, weight, impact), strict=True))


def _known_cells(
    kind: str, full: Look, base: Look, source: Grid, which: Mask, row: int, column: int, mean: Floats
) -> pd.DataFrame:
    """Value cells that one panel has and the other lacks, against what the panel without them expects."""
    p = full.parameters
    weight = data_weights(full, cell(full, row, column, variance=False), column)
    sign = -1.0 if kind == "withdrawal" else 1.0
    out = []
    for r, c in zip(*np.nonzero(which), strict=True):
        guess = cell(base, int(r), int(c), variance=False).mean
        actual = float(full.cells.layout.values[r, c])
        size = float(p.scale[c])
        per_unit = float(weight[r, c]) * float(p.scale[column]) / size
        impact = sign * per_unit * size * (actual - guess)
        at = float(mean[r, c])
        known, unknown = at + float(source.values[r, c]), at + float(p.center[c]) + size * guess
        first, second = (known, unknown) if sign < 0 else (unknown, known)
        out.append(_row(kind, p.names[c], source.label(int(r), int(c)), first, second, per_unit, impact))
    return pd.DataFrame(out, columns=list(COLUMNS))


def _revisions(view: Look, before: Grid, after: Grid, which: Mask, row: int, column: int, mean: Floats) -> pd.DataFrame:
    p = view.parameters
    weight = data_weights(view, cell(view, row, column, variance=False), column)
    out = []
    for r, c in zip(*np.nonzero(which), strict=True):
        at = float(mean[r, c])
        first, second = at + float(before.values[r, c]), at + float(after.values[r, c])
        per_unit = float(weight[r, c]) * float(p.scale[column]) / float(p.scale[c])
        label = before.label(int(r), int(c))
        out.append(_row("revision", p.names[c], label, first, second, per_unit, per_unit * (second - first)))
    return pd.DataFrame(out, columns=list(COLUMNS))
