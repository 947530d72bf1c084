"""Charts of tiles: a map that gives every region the same space, and a triangle of revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import (
    DIVERGING,
    RAMP,
    WIDTH,
    Caption,
    Row,
    colour,
    finish,
    plot,
    step_of,
    thresholds_for,
)

if TYPE_CHECKING:
    import altair as alt


def tile_map(
    tiles: Sequence[Row],
    *,
    value: str,
    caption: Caption,
    thresholds: Sequence[float] | None = None,
    decimals: int = 0,
    unit: str = "",
    ramp: Sequence[str] = RAMP,
) -> alt.Chart:
    """Draw regions as tiles in a grid, coloured by class, each with its code and its number.

    Parameters
    ----------
    tiles
        Records with ``x`` and ``y`` (column and row of the grid), ``code``, ``name`` and the value;
        a value of None is drawn hollow and marked as withheld.
    value
        Name of the field that is shown.
    caption
        Finding, unit, source and as-of day.
    thresholds
        Limits of the classes, at most one less than the ramp has colours; round steps by default.
    decimals
        Decimals of the number on a tile.
    unit
        Appended to the numbers of the legend, such as ``"%"``.
    ramp
        Colours, pale to deep.

    Returns
    -------
    altair.Chart

    Notes
    -----
    Tiles, not areas: a large empty region must not outweigh a small one full of companies. The
    number stands on the tile, so colour is never the only carrier.
    """
    import altair as alt

    numbers = [float(t[value]) for t in tiles if t.get(value) is not None]
    edges = list(thresholds) if thresholds is not None else thresholds_for(numbers, classes=len(ramp))
    data: list[dict[str, Any]] = []
    for tile in tiles:
        number = tile.get(value)
        step = step_of(float(number), edges) if number is not None else None
        data.append(
            {
                "x": int(tile["x"]),
                "y": int(tile["y"]),
                "code": str(tile["code"]),
                "name": _two_lines(str(tile.get("name", tile["code"]))),
                "text": f"{number:.{decimals}f}" if number is not None else "–",
                "fill": ramp[step] if step is not None else colour("paper"),
                "ink": _ink_on(step, len(ramp)),
            }
        )
    columns, rows = 1 + max(d["x"] for d in data), 1 + max(d["y"] for d in data)
    side = min(WIDTH // max(columns, 1), 74)
    base = plot(data).encode(
        x=alt.X("x:O", axis=None, scale=alt.Scale(padding=0.06)),
        y=alt.Y("y:O", axis=None, scale=alt.Scale(padding=0.06)),
    )
    fill = alt.Color("fill:N", scale=None)
    # Domain in full, so that gaps in the grid stay gaps.
    grid = base.encode(
        x=alt.X("x:O", axis=None, scale=alt.Scale(domain=list(range(columns)), padding=0.06)),
        y=alt.Y("y:O", axis=None, scale=alt.Scale(domain=list(range(rows)), padding=0.06)),
    )
    chart = alt.layer(
        grid.mark_rect(cornerRadius=4, stroke=colour("faint"), strokeWidth=1).encode(color=fill),
        grid.mark_text(dy=-side * 0.22, fontSize=11, limit=side - 6, lineBreak="\n", lineHeight=12).encode(
            text="name:N", color=alt.Color("ink:N", scale=None)
        ),
        grid.mark_text(dy=side * 0.2, fontSize=20, fontWeight=600).encode(
            text="text:N", color=alt.Color("ink:N", scale=None)
        ),
    ).properties(width=side * columns, height=side * rows)
    return finish(alt.vconcat(chart, _key(edges, ramp, unit)).configure_concat(spacing=8), caption)


_DAY_LABEL = "length(datum.label) === 10 ? utcFormat(toDate(datum.label), '%-d %b') : datum.label"
"""A day as a reader says it, ``6 May``; another period as it is written."""


def revision_triangle(
    rows: Sequence[Row],
    *,
    reference: str,
    vintage: str,
    value: str,
    caption: Caption,
    thresholds: Sequence[float] = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5),
) -> alt.Chart:
    """Draw by how much each release moved the figure of each reference period since its first.

    Parameters
    ----------
    rows
        Records with reference period, day of release and value.
    reference, vintage, value
        Names of those fields.
    caption
        Finding, unit, source and as-of day.
    thresholds
        Six limits, in the unit of the value, symmetrical about zero.

    Returns
    -------
    altair.Chart

    Notes
    -----
    The colour is the difference to the first release of the same period, not the value: revisions
    are small beside the value and would be invisible.
    """
    import altair as alt

    first: dict[str, tuple[str, float]] = {}
    for row in rows:
        if row.get(value) is None:
            continue
        ref, day, number = str(row[reference]), str(row[vintage]), float(row[value])
        if ref not in first or day < first[ref][0]:
            first[ref] = (day, number)
    data = []
    for row in rows:
        if row.get(value) is None:
            continue
        change = float(row[value]) - first[str(row[reference])][1]
        data.append(
            {
                "x": str(row[vintage]),
                "y": str(row[reference]),
                "fill": DIVERGING[step_of(change, thresholds)],
                "change": round(change, 2),
            }
        )
    n_x, n_y = len({d["x"] for d in data}), len({d["y"] for d in data})
    # As wide as other drawings, however few days there are: a card scales a small one, letters and all.
    side = min(max(17.0, 0.75 * WIDTH / max(n_x, 1)), 34.0)
    chart = (
        plot(data)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X(
                "x:O", title="released on", scale=alt.Scale(padding=0.1),
                axis=alt.Axis(labelAngle=-90, labelOverlap=True, labelExpr=_DAY_LABEL, titlePadding=14),
            ),
            y=alt.Y(
                "y:O", title="about", scale=alt.Scale(padding=0.1), sort="descending",
                axis=alt.Axis(labelOverlap=True, grid=False, labelExpr=_DAY_LABEL, titlePadding=14),
            ),
            color=alt.Color("fill:N", scale=None),
        )
        .properties(width=min(max(side * n_x, 0.75 * WIDTH), WIDTH), height=min(side * max(n_y, 1), 340.0))
    )  # fmt: skip
    return finish(alt.vconcat(chart, _key(list(thresholds), DIVERGING, "")).configure_concat(spacing=8), caption)


def _two_lines(name: str) -> str:
    """Break a long name of two words, so that it fits its tile."""
    return name.replace(" ", "\n", 1) if len(name) > 10 else name


def _ink_on(step: int | None, classes: int) -> str:
    """Return the text colour that is legible on a step of the ramp."""
    if step is None or step < (classes + 1) // 2:
        return colour("on-pale")
    return colour("on-deep")


def _key(edges: Sequence[float], ramp: Sequence[str], unit: str) -> Any:
    """Draw the key: swatches with the limits between them."""
    import altair as alt

    width = 40 if min(edges) < 0 else 30  # a signed limit is longer
    swatches = [{"x": k * width, "x2": (k + 1) * width, "fill": ramp[k]} for k in range(len(edges) + 1)]
    suffix = f" {unit}" if unit else ""
    marks = [
        {
            "x": (k + 1) * width,
            "text": f"{edge:+g}".replace("-", "\u2212")
            if min(edges) < 0
            else f"{edge:g}{suffix if k + 1 == len(edges) else ''}",
        }
        for k, edge in enumerate(edges)
    ]
    across = alt.Scale(domain=[0, len(swatches) * width], nice=False)
    boxes = (
        plot(swatches)
        .mark_rect(stroke=colour("faint"), strokeWidth=0.5)
        .encode(
            x=alt.X("x:Q", scale=across, axis=None), x2="x2:Q",
            y=alt.value(0), y2=alt.value(10), color=alt.Color("fill:N", scale=None),
        )
    )  # fmt: skip
    labels = (
        plot(marks)
        .mark_text(fontSize=11, baseline="top", color=colour("muted"))
        .encode(x=alt.X("x:Q", scale=across, axis=None), y=alt.value(14), text="text:N")
    )
    return alt.layer(boxes, labels).properties(width=width * len(swatches), height=26)
