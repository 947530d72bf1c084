"""Charts of amounts by category: options beside each other, dots with intervals, signed contributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import (
    SERIES,
    WIDTH,
    Caption,
    Row,
    colour,
    finish,
    label_width,
    plot,
    signed,
    thousands,
    values,
)

if TYPE_CHECKING:
    import altair as alt


def option_bars(
    rows: Sequence[Row],
    *,
    option: str,
    measures: Mapping[str, str],
    caption: Caption,
    write: Callable[[float], str] = thousands,
    alarm: Sequence[str] = (),
) -> alt.Chart:
    """Draw each measure of the options in a panel of its own, with a scale of its own.

    Parameters
    ----------
    rows
        One record an option: its name and a field for each measure; None is drawn as "not published".
    option
        Name of the field that names the option.
    measures
        Field → title of its panel.
    caption
        Finding, unit, source and as-of day.
    write
        Writes the number beside a bar.
    alarm
        Measures whose positive amounts are drawn in the colour of a loss.

    Returns
    -------
    altair.Chart

    Notes
    -----
    There is no panel of totals and no common scale, on purpose: cash deferred comes back, an outlay
    does not, an expected loss falls on somebody, and a contingent liability is none of these. Their
    sum means nothing.
    """
    import altair as alt

    panels = [_panel(rows, option, field, title, write, loss=field in alarm) for field, title in measures.items()]
    return finish(alt.vconcat(*panels).configure_concat(spacing=10), caption)


def _panel(
    rows: Sequence[Row], option: str, field: str, title: str, write: Callable[[float], str], *, loss: bool
) -> Any:
    """Draw one measure of the options; negative amounts extend to the left of zero."""
    import altair as alt

    names = [str(r[option]) for r in rows]
    numbers = [None if r.get(field) is None else float(r[field]) for r in rows]
    known = [n for n in numbers if n is not None]
    span = max((abs(n) for n in known), default=0.0) or 1.0
    low, high = min([0.0, *known]), max([0.0, *known])
    # Room beyond the longest bar for its number, on each side that has bars.
    domain = [low - 0.45 * span if low < 0 else 0.0, high + 0.45 * span if high > 0 or low == 0 else 0.0]
    data = [
        {
            "o": name,
            "v": number or 0.0,
            "t": "not published" if number is None else write(number),
            "s": "absent" if number is None else "below" if number < 0 else "above",
            "c": colour("alarm") if loss and (number or 0.0) > 0 else colour("main"),
        }
        for name, number in zip(names, numbers, strict=True)
    ]
    left = label_width(names)
    base = plot(data).encode(
        y=alt.Y(
            "o:N",
            sort=names,
            title=None,
            axis=alt.Axis(ticks=False, domain=False, labelLimit=left, grid=False, labelColor=colour("ink")),
        ),
        x=alt.X("v:Q", axis=None, scale=alt.Scale(domain=domain, nice=False)),
    )
    bars = base.mark_bar(height={"band": 0.62}).encode(color=alt.Color("c:N", scale=None))
    layers: list[Any] = [bars]
    sides: tuple[tuple[str, dict[str, Any]], ...] = (
        ("above", {"align": "left", "dx": 4, "color": colour("ink")}),
        ("below", {"align": "right", "dx": -4, "color": colour("ink")}),
        ("absent", {"align": "left", "dx": 4, "color": colour("muted"), "fontStyle": "italic"}),
    )
    for side, marks in sides:
        if any(d["s"] == side for d in data):
            layers.append(
                base.transform_filter(f"datum.s === '{side}'").mark_text(fontSize=12, **marks).encode(text="t:N")
            )
    heading = alt.TitleParams(title, fontSize=12, fontWeight=600, offset=2, color=colour("ink"))
    return alt.layer(*layers).properties(width=WIDTH - left, height=22 * len(names), title=heading)


def interval_dots(
    rows: Sequence[Row],
    *,
    category: str,
    value: str,
    caption: Caption,
    lower: str | None = None,
    upper: str | None = None,
    other: str | None = None,
    format: str = ".0f",
    rule: float | None = None,
    flag: str | None = None,
) -> alt.Chart:
    """Draw one number a category as a dot with its interval, sorted as given.

    Parameters
    ----------
    rows
        One record a category.
    category, value
        Names of the fields.
    caption
        Finding, unit, source and as-of day.
    lower, upper
        Fields with the bounds of the interval.
    other
        Field of a second number to draw as a hollow dot (a year ago, another size class).
    format
        d3 format of the number written beside the dot.
    rule
        A vertical line of reference.
    flag
        Field that is true for categories to draw in the colour of a warning.

    Returns
    -------
    altair.Chart
    """
    import altair as alt

    wanted = [n for n in (category, value, lower, upper, other, flag) if n]
    data = [r for r in values(rows, list(dict.fromkeys(wanted))) if r[value] is not None]
    for row in data:
        row["tint"] = colour("alarm") if flag and row.get(flag) else colour("main")
    names = [str(r[category]) for r in data]
    base = plot(data).encode(
        y=alt.Y(
            f"{category}:N",
            sort=names,
            title=None,
            axis=alt.Axis(
                ticks=False,
                domain=False,
                labelLimit=190,
                grid=True,
                gridDash=[1, 3],
                labelColor=colour("ink"),
            ),
        ),
        x=alt.X(
            f"{value}:Q",
            title=None,
            scale=alt.Scale(zero=False, nice=True),
            axis=alt.Axis(tickCount=5, grid=True, labelFlush=False),  # the last label would run into the one before
        ),
    )
    layers: list[Any] = []
    if rule is not None:
        layers.append(plot([{"v": rule}]).mark_rule(color=colour("muted"), strokeDash=[3, 3]).encode(x="v:Q"))
    tint = alt.Color("tint:N", scale=None)
    if lower and upper:
        layers.append(base.mark_rule(strokeWidth=2).encode(x=f"{lower}:Q", x2=f"{upper}:Q", color=tint))
    if other:
        layers.append(
            base.transform_filter(f"isValid(datum['{other}'])")
            .mark_point(size=46, color=SERIES[1], filled=False, strokeWidth=1.6)
            .encode(x=f"{other}:Q")
        )
    layers.append(base.mark_point(size=70, filled=True, opacity=1).encode(color=tint))
    # With a second dot the numbers stand in a column of their own: beside the first they would lie on the second.
    wide = WIDTH - label_width(names) - (26 if other else 0)
    number = {"text": alt.Text(f"{value}:Q", format=format), "color": alt.value(colour("muted"))}
    if other:
        layers.append(base.mark_text(align="left", fontSize=11).encode(x=alt.value(wide + 8), **number))
    else:
        layers.append(base.mark_text(align="left", dx=8, fontSize=11).encode(**number))
    # Labels of categories take a third of the width; a row is 19 pixels, legible on a telephone.
    return finish(alt.layer(*layers).properties(width=wide, height=19 * max(len(names), 1)), caption)


def news_bars(
    rows: Sequence[Row], *, category: str, value: str, caption: Caption, decimals: int = 2, either: bool = False
) -> alt.Chart:
    """Draw signed contributions about zero, such as the news of each data release in a nowcast.

    Parameters
    ----------
    rows
        One record a contribution.
    category, value
        Names of the fields.
    caption
        Finding, unit, source and as-of day.
    decimals
        Decimals of the numbers.
    either
        The numbers are sizes that may come either way: each bar goes to both sides of zero, in one colour.

    Returns
    -------
    altair.Chart
    """
    import altair as alt

    data = [r for r in values(rows, [category, value]) if r[value] is not None]
    names = [str(r[category]) for r in data]
    top = 1.7 * max((abs(float(r[value])) for r in data), default=1.0) or 1.0
    for row in data:
        row["tint"] = colour("main") if row[value] >= 0 else colour("compare")
        row["text"] = signed(float(row[value]), decimals)
        if either:
            row |= {"tint": colour("muted"), "text": row["text"].replace("+", "±"), "less": -float(row[value])}
    # The same encoding in every layer: layers with different axes of one channel do not merge.
    across = alt.X(f"{value}:Q", axis=None, scale=alt.Scale(domain=[-top, top]))
    base = plot(data).encode(
        y=alt.Y(
            f"{category}:N", sort=names, title=None,
            axis=alt.Axis(ticks=False, domain=False, labelLimit=190, grid=False, labelColor=colour("ink")),
        ),
        x=across,
    )  # fmt: skip
    bars = base.mark_bar(height={"band": 0.6}).encode(color=alt.Color("tint:N", scale=None))
    if either:
        bars = bars.encode(x2="less:Q")
    zero = plot([{value: 0}]).mark_rule(color=colour("muted")).encode(x=across)
    ups = base.transform_filter(f"datum['{value}'] >= 0").mark_text(
        align="left", dx=4, fontSize=12, color=colour("ink")
    )
    downs = base.transform_filter(f"datum['{value}'] < 0").mark_text(
        align="right", dx=-4, fontSize=12, color=colour("ink")
    )
    text = alt.Text("text:N")
    layered = alt.layer(bars, zero, ups.encode(text=text), downs.encode(text=text))
    return finish(layered.properties(width=WIDTH - label_width(names), height=22 * max(len(names), 1)), caption)
