"""Colours, captions and the Altair theme: what every chart of opsroom shares.

A chart carries its finding as title, its unit as subtitle, and source and as-of day below. The
hexadecimal colours are those of the light page; `opsroom.base.charts_render` swaps each for a CSS
variable, so one drawing serves the light page, the dark page and print. All ramps are ordered in
lightness, so that they survive colour blindness and a black-and-white printer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

Row = Mapping[str, Any]
"""One record of a chart's data: plain strings, numbers and ISO dates."""

WIDTH = 350
"""Width of the plotting area: narrow enough that its text is still legible on a telephone."""
HEIGHT = 190
FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
"""Faces of nearly the same widths everywhere, so that labels fit the space measured for them."""

PALETTE: dict[str, tuple[str, str]] = {
    # name: (light page, dark page); the light colours are all different, because they serve as keys
    "ink": ("#1b2733", "#e8edf2"),
    "muted": ("#56636f", "#a6b2be"),
    "grid": ("#dde3e8", "#34414d"),
    "main": ("#0b5a8f", "#69b7ec"),
    "band": ("#c4dcec", "#1f445d"),
    "compare": ("#b14a00", "#f3a35c"),
    "compare-band": ("#f3d9c3", "#55351a"),
    "third": ("#5b4a9e", "#b9aff4"),
    "fourth": ("#0a7360", "#5ccdb0"),
    "faint": ("#a3b2bf", "#5f6f7d"),
    "alarm": ("#b3261e", "#ff8f85"),
    "r0": ("#edf2f6", "#1c2833"),
    "r1": ("#d2e2ee", "#1f3a50"),
    "r2": ("#a9cae1", "#245070"),
    "r3": ("#7aaed1", "#2f6c98"),
    "r4": ("#2f77a8", "#66a0c9"),
    "r5": ("#1c5a8a", "#9cc6e2"),
    "r6": ("#0d3c63", "#d5e9f6"),
    "d0": ("#933900", "#f7ab6d"),
    "d1": ("#d4823f", "#b4662a"),
    "d2": ("#f2d3b4", "#5d3e26"),
    "d3": ("#f0f2f4", "#28323b"),
    "d4": ("#bed7e9", "#27485e"),
    "d5": ("#5c9ac6", "#3d7ea9"),
    "d6": ("#0b568a", "#8cc8f1"),
    "on-pale": ("#1b2734", "#e9eef3"),
    "on-deep": ("#fffffe", "#0d1620"),
    "paper": ("#ffffff", "#141b22"),
}
"""Every colour that a chart may use, by name."""

RAMP = tuple(PALETTE[f"r{k}"][0] for k in range(7))
DIVERGING = tuple(PALETTE[f"d{k}"][0] for k in range(7))
SERIES = tuple(PALETTE[name][0] for name in ("main", "compare", "third", "fourth", "muted"))


def colour(name: str) -> str:
    """Return the light-page colour of that name, the one that goes into a specification."""
    return PALETTE[name][0]


@dataclass(frozen=True, slots=True)
class Caption:
    """The words around a chart.

    Parameters
    ----------
    finding
        What the chart shows, as a statement: it becomes the title.
    unit
        Unit and population, such as ``"% of companies"``: it becomes the subtitle.
    source
        Who provided the data.
    as_of
        The day as of which it was known, ISO.
    alt
        What a reader who cannot see the picture needs; the finding where it is empty.
    """

    finding: str
    unit: str = ""
    source: str = ""
    as_of: str = ""
    alt: str = ""

    @property
    def footer(self) -> str:
        """Source and as-of day in one line."""
        words = [f"Source: {self.source.rstrip('.')}." if self.source else ""]
        words.append(f"As of {self.as_of}." if self.as_of else "")
        return " ".join(w for w in words if w)

    @property
    def description(self) -> str:
        """The text alternative."""
        return self.alt or ". ".join(w.rstrip(".") for w in (self.finding, self.unit) if w)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the time axis to shade and name: a holiday, incomplete days, a lockdown."""

    start: str
    end: str
    label: str = ""


def theme() -> dict[str, Any]:
    """Return the Vega-Lite configuration of every chart.

    Returns
    -------
    dict
        A ``config`` block; pass it to ``chart.configure(**theme())``.
    """
    ink, muted, grid = colour("ink"), colour("muted"), colour("grid")
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": None},
        "padding": {"left": 2, "right": 12, "top": 4, "bottom": 2},
        "title": {
            "anchor": "start", "frame": "bounds", "color": ink, "fontSize": 15, "fontWeight": 600,
            "subtitleColor": muted, "subtitleFontSize": 12, "offset": 10,
        },
        "axis": {
            "labelColor": muted, "titleColor": muted, "domainColor": colour("faint"), "tickColor": grid,
            "gridColor": grid, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
            "labelPadding": 4,
        },
        "axisX": {"grid": False, "tickSize": 4},
        "axisY": {"domain": False, "ticks": False, "tickCount": 5},
        "legend": {
            "orient": "top", "labelColor": ink, "labelFontSize": 12, "title": None, "symbolSize": 90,
            "labelLimit": 220, "offset": 4, "columnPadding": 12,
        },
        "header": {"labelColor": ink, "titleColor": muted, "labelFontSize": 12, "labelFontWeight": 600},
    }  # fmt: skip


def plot(rows: Sequence[Row]) -> alt.Chart:
    """Begin a chart on records of plain values: no frame, so no guessing of types."""
    import altair as alt

    data: Any = alt.Data  # has no annotations
    # a tuple: Altair copies charts again and again as they are put together, and lists with all that is in them
    return alt.Chart(data(values=tuple(rows)))


def finish(chart: Any, caption: Caption) -> alt.Chart:
    """Give a chart its theme, title, subtitle and footer.

    Parameters
    ----------
    chart
        An Altair chart of any shape (layered, faceted, concatenated).
    caption
        Its words.
    """
    import altair as alt

    subtitle = [line for text in (caption.unit, caption.footer) if text for line in wrap(text, 60)]
    title = alt.TitleParams(text=wrap(caption.finding), subtitle=subtitle)
    done: alt.Chart = chart.properties(title=title, usermeta={"alt": caption.description}).configure(**theme())
    return done


def legend_columns(labels: Sequence[str]) -> int:
    """Return how many entries of a legend fit side by side, at 6 pixels a character and a symbol each."""
    for columns in range(len(labels), 1, -1):
        widths = [max(len(text) for text in labels[k::columns]) * 6.2 + 28 for k in range(columns)]
        if sum(widths) <= WIDTH + 24:
            return columns
    return 1


def label_width(names: Sequence[str], *, most: int = 190) -> int:
    """Return the pixels that the longest label of a category axis takes, at 6.2 a character."""
    return min(most, 12 + max((int(len(name) * 6.2) for name in names), default=0))


def thousands(value: float) -> str:
    """Write a whole number with commas and a true minus sign."""
    return f"{value:,.0f}".replace("-", "\u2212")


def signed(value: float, decimals: int) -> str:
    """Write a change with its sign and a true minus; what rounds to zero has none."""
    text = f"{value:+,.{decimals}f}"
    if not any(digit in "123456789" for digit in text):
        text = text[1:]
    return text.replace("-", "\u2212")


def wrap(text: str, width: int = 46) -> list[str]:
    """Break a title into lines of at most `width` characters, at spaces."""
    import textwrap

    return textwrap.wrap(text, width) or [""]


_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})(:\d{2})?(:\d{2})?Z")
_WEEK = re.compile(r"(\d{4})-W(\d{2})")
_QUARTER = re.compile(r"(\d{4})-?Q([1-4])")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_YEAR = re.compile(r"(\d{4})")


def period_start(code: str) -> str:
    """Return the first day (ISO) of a day, week, month, quarter or year code; of an hour its moment.

    Examples
    --------
    >>> period_start("2020-03-04T17Z")
    '2020-03-04T17:00:00Z'
    >>> period_start("2020-W10"), period_start("2020-Q1"), period_start("2020-03-04")
    ('2020-03-02', '2020-01-01', '2020-03-04')
    """
    if match := _WEEK.fullmatch(code):
        return date.fromisocalendar(int(match[1]), int(match[2]), 1).isoformat()
    if match := _QUARTER.fullmatch(code):
        return date(int(match[1]), 3 * int(match[2]) - 2, 1).isoformat()
    if match := _MONTH.fullmatch(code):
        return date(int(match[1]), int(match[2]), 1).isoformat()
    if match := _YEAR.fullmatch(code):
        return date(int(match[1]), 1, 1).isoformat()
    try:
        day = date.fromisoformat(code[:10]).isoformat()
        if match := _HOUR.fullmatch(code):
            return f"{match[1]}{match[2] or ':00'}{match[3] or ':00'}Z"
        return day
    except ValueError:
        raise UsageError(
            f"{code!r} is not a period.", remedy="Use 2020-03-04, 2020-W10, 2020-03, 2020-Q1 or 2020."
        ) from None


def is_period(code: object) -> bool:
    """Whether a code is a period that `period_start` can place in time."""
    if not isinstance(code, str):
        return False
    try:
        period_start(code)
    except (UsageError, ValueError):
        return False
    return True


def values(rows: Iterable[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records with the named fields alone, floats trimmed and NaN turned into null.

    Four significant decimals are more than any pixel shows; trimming halves a specification.
    """
    trimmed: list[dict[str, Any]] = []
    for row in rows:
        item: dict[str, Any] = {}
        for name in names:
            value = row.get(name)
            if isinstance(value, float):
                value = None if math.isnan(value) else round(value, 4)
            item[name] = value
        trimmed.append(item)
    return trimmed


def step_of(value: float, thresholds: Sequence[float]) -> int:
    """Return the index of the class into which a value falls: 0 below the first threshold."""
    return sum(value >= edge for edge in thresholds)


def thresholds_for(numbers: Sequence[float], *, classes: int = 7) -> list[float]:
    """Return round class limits that spread the numbers over at most `classes` steps.

    Parameters
    ----------
    numbers
        The values to be shown; needs at least one finite value.
    classes
        How many steps the ramp has.

    Notes
    -----
    Equal steps of 1, 2, 2.5 or 5 times a power of ten: a reader can say them aloud.
    """
    finite = [n for n in numbers if not math.isnan(n)]
    if not finite:
        return [float(k) for k in range(1, classes)]
    low, high = min(finite), max(finite)
    # A spread near rounding error would give classes of no width.
    span = max(high - low, abs(high) * 1e-6, abs(low) * 1e-6, 1e-6)
    raw = span / classes
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw)
    start = math.floor(low / step) * step + step
    return [round(start + k * step, 10) for k in range(classes - 1)]
