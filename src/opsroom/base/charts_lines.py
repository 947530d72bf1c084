"""Charts over time: a line with its band and a comparison, and a figure's history of vintages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsroom.base.charts import (
    HEIGHT,
    SERIES,
    WIDTH,
    Caption,
    Row,
    Span,
    colour,
    finish,
    legend_columns,
    period_start,
    plot,
    values,
)

if TYPE_CHECKING:
    import altair as alt


_DASHES = ([1, 0], [5, 3], [2, 2], [8, 3], [8, 3, 2, 3])
"""A line is told from another by its dashes, too: colour alone must not carry it."""


def line_band(
    rows: Sequence[Row],
    *,
    x: str,
    lines: Mapping[str, str],
    caption: Caption,
    band: tuple[str, str] | None = None,
    spans: Sequence[Span] = (),
    rule: float | None = None,
    domain: tuple[float, float] | None = None,
    band_label: str = "90 % interval",
    points: bool = False,
) -> alt.Chart:
    """Draw one or more series over time, the first with its interval.

    Parameters
    ----------
    rows
        Records with the field `x` (a period code), a field for each line, and the band's fields.
    x
        Name of the field that holds the period.
    lines
        Field → label, the main series first; the others are comparisons and drawn dashed.
    caption
        Finding, unit, source and as-of day.
    band
        Fields with the lower and upper bound of the first line.
    spans
        Stretches of time to shade: a holiday, incomplete days.
    rule
        A horizontal line of reference, such as 0 or 100.
    domain
        Limits of the vertical axis.
    band_label
        What the band is, for the legend.
    points
        Mark each observation with a dot (few observations, or gaps between them).

    Returns
    -------
    altair.Chart
    """
    import altair as alt

    data = _dated(rows, x, [*lines, *(band or ())])
    labels = list(lines.values())
    axis_x = _time_axis(data)
    vertical = alt.Scale(domain=list(domain), clamp=True) if domain else alt.Scale(zero=False, nice=True)
    axis_y = alt.Y("value:Q", title=None, scale=vertical)
    layers: list[Any] = []
    layers += _shades(spans, data, field=next(iter(lines)), domain=domain)
    legend_domain, legend_range = labels, list(SERIES[: len(labels)])
    if band:
        area = (
            plot(data)
            .mark_area(color=colour("band"), clip=bool(domain), interpolate="linear")
            .encode(x=axis_x, y=alt.Y(f"{band[0]}:Q", title=None, scale=vertical), y2=f"{band[1]}:Q")
            .transform_filter(f"isValid(datum['{band[0]}'])")
        )
        layers.append(area)
        legend_domain, legend_range = [*labels, band_label], [*legend_range, colour("band")]
    if rule is not None:
        layers.append(plot([{"value": rule}]).mark_rule(color=colour("muted"), strokeDash=[2, 3]).encode(y=axis_y))
    long = [
        {"x": row["x"], "value": row[field], "series": label}
        for field, label in reversed(list(lines.items()))
        for row in data
        if row[field] is not None
    ]
    scale = alt.Scale(domain=legend_domain, range=legend_range)
    columns = legend_columns(legend_domain)
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, columns=columns) if len(legend_domain) > 1 else None
    dash = alt.Scale(domain=labels, range=[_DASHES[k % len(_DASHES)] for k in range(len(labels))])
    layers.append(
        plot(long)
        .mark_line(
            strokeWidth=2.2, clip=bool(domain),
            point=alt.OverlayMarkDef(size=26, filled=True) if points else False,
        )
        .encode(
            x=axis_x, y=axis_y,
            color=alt.Color("series:N", scale=scale, legend=legend, sort=legend_domain),
            strokeDash=alt.StrokeDash("series:N", scale=dash, legend=None),
        )
    )  # fmt: skip
    return finish(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT), caption)


def line_panels(rows: Sequence[Row], *, x: str, lines: Mapping[str, str], caption: Caption) -> alt.Chart:
    """Draw each series in a panel of its own, with a scale of its own, over the same time.

    Parameters
    ----------
    rows
        Records with the field `x` (a period code) and a field for each line.
    x
        Name of the field that holds the period.
    lines
        Field → title of its panel.
    caption
        Finding, unit, source and as-of day.

    Returns
    -------
    altair.Chart

    Notes
    -----
    For series without a common unit: on one scale the largest number would flatten the others.
    """
    import altair as alt

    panels = []
    for field, title in lines.items():
        data = [{"x": row["x"], "value": row[field]} for row in _dated(rows, x, [field]) if row[field] is not None]
        heading = alt.TitleParams(title, fontSize=12, fontWeight=600, offset=2, color=colour("ink"))
        panels.append(
            plot(data)
            .mark_line(color=colour("main"), strokeWidth=1.8)
            .encode(x=_time_axis(data), y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True)))
            .properties(width=WIDTH, height=84, title=heading)
        )
    return finish(alt.vconcat(*panels).configure_concat(spacing=12), caption)


def vintages(
    rows: Sequence[Row],
    *,
    x: str,
    value: str,
    vintage: str,
    caption: Caption,
    spans: Sequence[Span] = (),
    domain: tuple[float, float] | None = None,
    latest_label: str = "latest release",
    earlier_label: str = "earlier releases",
) -> alt.Chart:
    """Draw what was said at each earlier day under what is said now.

    Parameters
    ----------
    rows
        Records with the fields `x` (period), `value` and `vintage` (day of release, ISO); the
        largest vintage is the latest.
    x, value, vintage
        Names of those fields.
    caption
        Finding, unit, source and as-of day.
    spans, domain
        As in `line_band`.
    latest_label, earlier_label
        Words of the legend.

    Returns
    -------
    altair.Chart
    """
    import altair as alt

    last = max((str(row[vintage]) for row in rows), default="")
    data = [
        {"x": period_start(str(r[x])), "value": r[value], "v": str(r[vintage])}
        for r in values(rows, [x, value, vintage])
        if r[value] is not None
    ]
    for item in data:
        item["series"] = latest_label if item["v"] == last else earlier_label
    scale = alt.Scale(domain=[latest_label, earlier_label], range=[colour("main"), colour("faint")])
    axis_y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=list(domain)) if domain else alt.Scale(zero=False))
    base = plot(data).encode(
        x=_time_axis(data),
        y=axis_y,
        detail="v:N",
        color=alt.Color("series:N", scale=scale, legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3)),
    )
    old = base.transform_filter(f"datum.v !== '{last}'").mark_line(strokeWidth=1)
    new = base.transform_filter(f"datum.v === '{last}'").mark_line(strokeWidth=2.4)
    shades = _shades(spans, data, field="value", domain=domain)
    return finish(alt.layer(*shades, old, new).properties(width=WIDTH, height=HEIGHT), caption)


def _dated(rows: Sequence[Row], x: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Trim the records and place them in time."""
    out = values(rows, [x, *fields])
    for row in out:
        row["x"] = period_start(str(row.pop(x) if x != "x" else row["x"]))
    return sorted(out, key=lambda row: str(row["x"]))


CLOCKED = 3
"""Days over which an axis of hours names the hours, too."""


def _time_axis(data: Sequence[Row]) -> Any:
    import altair as alt

    days = [str(row["x"]) for row in data]
    years = {d[:4] for d in days}
    # A short window names its days, a long one its years.
    months = len(days) > 1 and all(d.endswith("-01") for d in days)
    form = "%Y" if len(years) > 3 else "%b %Y" if len(years) > 1 or months else "%-d %b"
    if any("T" in d for d in days) and len({d[:10] for d in days}) <= CLOCKED:
        form = "%-d %b %H:%M"
    # Universal time on scale and labels: a day must not move by one in another time zone.
    return alt.X(
        "x:T", title=None, scale=alt.Scale(type="utc"),
        axis=alt.Axis(format=form, tickCount=4, labelFlush=True, labelOverlap=True, labelSeparation=10),
    )  # fmt: skip


def _shades(
    spans: Sequence[Span],
    data: Sequence[Row],
    *,
    field: str | None = None,
    domain: tuple[float, float] | None = None,
) -> list[Any]:
    """Shade the spans that overlap the data's window, with their names beside them, where the line leaves room.

    `field` is the line that names keep away from, `domain` the limits of the vertical axis; without a field names
    stand at the top.
    """
    import altair as alt

    days = [str(row["x"]) for row in data]
    if not days:
        return []
    low, high = min(days), max(days)
    shown = [
        {"x": max(s.start, low), "end": min(s.end, high), "label": s.label}
        for s in spans
        if s.start <= high and s.end >= low
    ]
    if not shown:
        return []
    base = plot(shown).encode(x=alt.X("x:T", scale=alt.Scale(type="utc"), title=None), x2=alt.X2("end:T"))
    layers = [base.mark_rect(color=colour("grid"), opacity=0.5)]  # where two overlap, it is darker
    placed = {True: 0, False: 0}
    for span in shown:
        # A name stands to the right of its span, or inside where the span reaches the edge; each on a line of its own.
        inside = span["end"] == high
        at_foot = field is not None and _is_high(data, field, domain, span["end"], before=inside)
        y = (HEIGHT - 26 if at_foot else 22) + 13 * placed[at_foot]
        placed[at_foot] += 1
        words = plot([span]).encode(
            x=alt.X("end:T", scale=alt.Scale(type="utc"), title=None), y=alt.value(y), text="label:N"
        )
        layers.append(
            words.mark_text(
                align="right" if inside else "left", baseline="top", dx=-4 if inside else 4, fontSize=11,
                color=colour("muted"),
            )
        )  # fmt: skip
    return layers


def _is_high(data: Sequence[Row], field: str, domain: tuple[float, float] | None, day: str, *, before: bool) -> bool:
    """Say whether a line runs in the upper half of the picture where a name beside a day would stand."""
    rows = sorted((str(row["x"]), float(row[field])) for row in data if row.get(field) is not None)
    if not rows:
        return False
    values = [value for _, value in rows]
    low, high = domain or (min(values), max(values))
    beside = [value for x, value in rows if (x <= day if before else x >= day)]
    # A name is about two fifths of the picture wide.
    count = max(1, min(len(beside), 2 * len(rows) // 5))
    near = beside[-count:] if before else beside[:count]
    return bool(near) and sum(near) / len(near) > (low + high) / 2
