"""The map as a picture: the planner's lead over prices by delay and error of the data, a panel a kind of shock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsroom.base.charts import DIVERGING, Caption, colour, finish, plot, signed, step_of
from opsroom.base.errors import UsageError
from opsroom.decide.exam.result import AHEAD, BEHIND, MARKET, UNDECIDED
from opsroom.decide.exam.words import shocks

if TYPE_CHECKING:
    import altair as alt

    from opsroom.decide.exam.result import ExamResult

THRESHOLDS = (-3.0, -1.0, -0.1, 0.1, 1.0, 3.0)
_CELL = (40, 24)


def figure(found: ExamResult, coverage: float) -> alt.Chart:
    """Draw the map for one coverage.

    Cells whose interval holds 0 are grey and in brackets, whatever their mean; numbers stand in all of them.
    """
    import altair as alt

    table = found.map()
    table = table[table["coverage"] == coverage]
    if table.empty:
        raise UsageError("no run had that coverage.", remedy="Ask for one of those that were run.")
    panels = []
    sizes, surprises = sorted(table["size"].unique()), sorted(table["surprise"].unique())
    for size in sizes:
        row = []
        for surprise in surprises:
            part = table[(table["size"] == size) & (table["surprise"] == surprise)]
            row.append(_panel(part.to_dict(orient="records"), shocks(float(size), float(surprise)), part))
        panels.append(alt.hconcat(*row, spacing=14))
    counts = table["verdict"].value_counts()
    ahead, behind, open_ = (int(counts.get(name, 0)) for name in (AHEAD, BEHIND, UNDECIDED))
    caption = Caption(
        f"Planning is ahead of {MARKET} in {ahead} and behind in {behind} of {len(table)} cases, undecided in {open_}",
        unit=(
            f"lead, % of final use; {100 * coverage:.0f} % of sectors seen; {found.seeds} seeds; in brackets: the "
            f"{100 * found.level:.0f} % interval holds 0"
        ),
        source="Meridia (synthetic)",
        alt=f"Of {len(table)} combinations planning is ahead in {ahead}, behind in {behind}, undecided in {open_}.",
    )
    return finish(alt.vconcat(*panels, spacing=10), caption)


def _panel(rows: list[Any], title: str, part: Any) -> Any:
    import altair as alt

    delays = [f"{d:g}" for d in sorted(part["delay"].unique())]
    noises = [f"{100 * n:g} %" for n in sorted(part["noise"].unique())]
    data = []
    for row in rows:
        step = step_of(row["difference"], THRESHOLDS)
        # a verdict always has the colour of its side, and no verdict none
        step = {UNDECIDED: 3, AHEAD: max(step, 4), BEHIND: min(step, 2)}[row["verdict"]]
        text = signed(row["difference"], 1 if abs(row["difference"]) >= 0.095 else 2)
        data.append(
            {
                "x": f"{row['delay']:g}",
                "y": f"{100 * row['noise']:g} %",
                "fill": DIVERGING[step],
                "ink": colour("on-deep") if step in (0, 6) else colour("on-pale"),
                "text": f"({text})" if row["verdict"] == UNDECIDED else text,
            }
        )
    base = plot(data).encode(
        x=alt.X("x:N", sort=delays, title="delay, weeks", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("y:N", sort=noises, title="error", axis=alt.Axis(domain=False, ticks=False, grid=False)),
    )
    boxes = base.mark_rect(stroke=colour("paper"), strokeWidth=2).encode(color=alt.Color("fill:N", scale=None))
    words = base.mark_text(fontSize=11).encode(text="text:N", color=alt.Color("ink:N", scale=None))
    heading = alt.TitleParams(title, fontSize=12, fontWeight=600, offset=4, color=colour("ink"))
    width, height = _CELL
    return alt.layer(boxes, words).properties(width=width * len(delays), height=height * len(noises), title=heading)
