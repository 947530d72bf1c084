"""Draw a chart as SVG without a browser: small, accessible, and in the colours of its page.

One specification serves three uses. On a page the colours are CSS variables and the title is HTML
beside the picture; as a file the title is inside and the colours are fixed; in print the typeface
is the document's.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from opsroom.base.charts import FONT, PALETTE
from opsroom.base.errors import InternalError

Mode = Literal["page", "file", "print"]

PRINT_FONT = "Libertinus Serif"
"""Ships inside Typst, so a PDF has the same typeface on every machine."""

BARE = 64
"""Bare drawings that a cache holds, about 30 KB each: those of a briefing, which is written for page and print."""

_SVG = "http://www.w3.org/2000/svg"
_LOCK = threading.Lock()  # the drawing engine is one V8 isolate: one figure at a time
_MAKING = threading.Lock()  # what Altair checks is set for the whole process
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}
_IDLE = (
    "class",
    "role",
    "pointer-events",
    "aria-hidden",
    "aria-label",
    "aria-roledescription",
    "style",
    "version",
)
_PAINT = ("fill", "stroke")
_INHERITED = ("fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "text-anchor")
_TRANSLATE = re.compile(r"translate\((-?[\d.]+),(-?[\d.]+)\)")
_DOT = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0(?:Z)?")
_NOISE = {
    "opacity": "1",
    "stroke-width": "1",
    "fill-opacity": "1",
    "stroke-opacity": "1",
    "font-weight": "normal",
}


def spec_of(chart: Any) -> dict[str, Any]:
    """Return the Vega-Lite specification of an Altair chart, or a specification as it is."""
    if isinstance(chart, dict):
        return chart
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


def spec_hash(spec: dict[str, Any]) -> str:
    """Return a short hash of a specification: with the release ids, the key of its drawing."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render_svg(chart: Any, *, mode: Mode = "file", ident: str = "", title: str = "", desc: str = "") -> str:
    """Draw a chart.

    Parameters
    ----------
    chart
        An Altair chart or a Vega-Lite specification (Vega-Lite 6).
    mode
        ``"page"``: no title inside, CSS variables; ``"file"``: title inside, light colours;
        ``"print"``: no title inside, light colours, the typeface of the PDF.
    ident
        Identifier of the picture, unique in its page; names its ``<title>`` and ``<desc>``.
    title, desc
        Text alternative. Taken from the chart's own title where they are empty.

    Returns
    -------
    str
        An ``<svg>`` element with ``role="img"``; it asks no outside host and holds no script or style.
    """
    spec = dict(spec_of(chart))
    heading = spec.get("title") or {}
    words = heading.get("text", "") if isinstance(heading, dict) else heading
    title = title or (" ".join(words) if isinstance(words, list) else str(words))
    desc = desc or str((spec.get("usermeta") or {}).get("alt", ""))
    if mode != "file":
        spec.pop("title", None)
    return dress(_draw(spec), mode=mode, ident=ident or f"c{spec_hash(spec)[:8]}", title=title, desc=desc)


def draw_bare(make: Callable[[], Any]) -> str:
    """Make a chart and draw it without its title, as the engine gives it: what `dress` makes ready.

    Altair holds each piece of a chart against the schema while it is put together. Charts of our own making are
    held against it by the tests; here that would take as long as the drawing.
    """
    from altair.utils.schemapi import debug_mode

    with _MAKING, debug_mode(False):
        spec = dict(spec_of(make()))
    spec.pop("title", None)
    return _draw(spec)


def _draw(spec: dict[str, Any]) -> str:
    import vl_convert

    with _LOCK:
        drawn: str = vl_convert.vegalite_to_svg(spec, vl_version="6.1", allowed_base_urls=[])
    return drawn


def dress(svg: str, *, mode: Mode, ident: str, title: str, desc: str) -> str:
    """Shrink an engine's drawing, swap its colours for those of the mode and give it a text alternative."""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    _clean(root, mode)
    _rename(root, ident)
    _flatten(root)
    box = root.get("viewBox", "0 0 460 240")
    inner = "".join(ET.tostring(child, encoding="unicode") for child in root)
    inner = inner.replace(f' xmlns="{_SVG}"', "").replace(" />", "/>")
    inner = re.sub(r"<g>(<(?:path|line|rect|text)[^<>]*/>)</g>", r"\1", inner)
    width, height = box.split()[2:]
    font = {"page": "", "file": f' font-family="{escape(FONT)}"', "print": f' font-family="{PRINT_FONT}"'}[mode]
    # Its natural size: a page may shrink it, so that text has the same size in all pictures.
    size = f' width="{width}" height="{height}"'
    return (
        f'<svg xmlns="{_SVG}" role="img" aria-labelledby="{ident}-t {ident}-d" viewBox="{box}"{size}{font}>'
        f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(desc)}</desc>'
        f"{inner}</svg>"
    )


def _clean(element: ET.Element, mode: Mode) -> None:
    for child in list(element):
        if _invisible(child):
            element.remove(child)
        else:
            _clean(child, mode)
    for name in _IDLE:
        element.attrib.pop(name, None)
    for name, idle in _NOISE.items():
        if element.get(name) == idle:
            del element.attrib[name]
    element.attrib.pop("font-family", None)
    if (size := element.get("font-size", "")).endswith("px"):
        element.set("font-size", size.removesuffix("px"))
    for name, value in list(element.attrib.items()):
        if name in _PAINT:
            element.set(name, _VARIABLES.get(value.lower(), value) if mode == "page" else value)
        elif name in ("d", "transform", "x", "y", "x2", "y2", "width", "height"):
            element.set(name, _NUMBER.sub(lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), value))
    if element.get("transform") in ("translate(0,0)", "translate(0, 0)"):
        del element.attrib["transform"]


def _flatten(element: ET.Element) -> None:
    """Unwrap groups that say nothing, write text and dots briefly, and say once what all children say."""
    children: list[ET.Element] = []
    for child in element:
        _flatten(child)
        _brief(child)
        bare = child.tag == f"{{{_SVG}}}g" and not child.attrib
        children.extend(list(child) if bare else [child])
    element[:] = children
    if element.tag != f"{{{_SVG}}}g" or len(children) < 2:
        return
    for name in _INHERITED:
        said = {child.get(name) for child in children}
        if len(said) == 1 and None not in said and name not in element.attrib:
            element.set(name, str(said.pop()))
            for child in children:
                del child.attrib[name]


def _brief(element: ET.Element) -> None:
    place = _TRANSLATE.fullmatch(element.get("transform", ""))
    if element.tag == f"{{{_SVG}}}text":
        if element.get("text-anchor") == "start":
            del element.attrib["text-anchor"]
        # A text of two lines places its lines itself.
        if place and len(element) == 0 and not {"x", "y"} & set(element.attrib):
            del element.attrib["transform"]
            element.set("x", place[1])
            element.set("y", place[2])
    elif element.tag == f"{{{_SVG}}}path" and place and (dot := _DOT.fullmatch(element.get("d", ""))):
        element.tag = f"{{{_SVG}}}circle"
        del element.attrib["transform"], element.attrib["d"]
        element.set("cx", place[1])
        element.set("cy", place[2])
        element.set("r", dot[1])


def _rename(root: ET.Element, ident: str) -> None:
    """Name clip paths after the picture: the engine counts on from drawing to drawing, a page has many."""
    names: dict[str, str] = {}
    for element in root.iter():
        if name := element.get("id"):
            names[name] = f"{ident}-{len(names)}"
            element.set("id", names[name])
    for element in root.iter():
        for key, value in element.attrib.items():
            if value.startswith("url(#"):
                old = value.removeprefix("url(#").removesuffix(")")
                element.set(key, f"url(#{names.get(old, old)})")


def _invisible(element: ET.Element) -> bool:
    tag = element.tag.rpartition("}")[2]
    if element.get("display") == "none" or element.get("opacity") == "0":
        return True
    if element.get("fill") == "transparent" and element.get("stroke") in (None, "transparent", "none"):
        return True
    if tag == "path":
        return element.get("d", "") in ("", "M0,0h0v0h0Z") or (
            element.get("class") == "background" and element.get("fill") is None and element.get("stroke") is None
        )
    if tag in ("defs", "style", "script"):
        return tag != "defs" or len(element) == 0
    return tag == "g" and not element.get("transform") and all(_invisible(child) for child in element)


def sparkline(numbers: list[float | None], *, width: int = 96, height: int = 24, label: str = "") -> str:
    """Draw a line of a few numbers, to stand in a text: no axis, the last point marked.

    Parameters
    ----------
    numbers
        Values at equal steps; None leaves a gap.
    width, height
        Size in pixels.
    label
        Text alternative; without one the picture is decoration and hidden from a screen reader.
    """
    known = [n for n in numbers if n is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    across = (width - 6) / max(len(numbers) - 1, 1)
    path, pen, spot = "", "M", (0.0, 0.0)
    for k, number in enumerate(numbers):
        if number is None:
            pen = "M"
            continue
        spot = (3 + k * across, height - 3 - (number - low) / span * (height - 6))
        path += f"{pen}{spot[0]:.0f},{spot[1]:.1f}"
        pen = "L"
    said = f'role="img" aria-label="{escape(label, {chr(34): "&quot;"})}"' if label else 'aria-hidden="true"'
    return (
        f'<svg class="spark" {said} viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<path d="{path}" fill="none" stroke="var(--main)" stroke-width="1.6"/>'
        f'<circle cx="{spot[0]:.0f}" cy="{spot[1]:.1f}" r="2.4" fill="var(--main)"/></svg>'
    )


class DrawingCache:
    """Drawings kept by key, in memory and (where a folder is given) on disk.

    Parameters
    ----------
    folder
        Where to keep drawings between runs; None keeps them in memory alone.
    limit
        How many drawings to hold in memory (about 15 KB each).

    Notes
    -----
    A key must name everything that the drawing depends on: release hashes, figure, mode and the
    version of the package. A drawing is written under a temporary name and renamed, so that a
    reader never sees half of one.
    """

    def __init__(self, folder: Path | None = None, *, limit: int = 2000) -> None:
        self._folder = folder
        self._limit = limit
        self._memory: dict[str, str] = {}
        self._bare: dict[str, str] = {}
        self._guard = threading.Lock()

    def bare(self, key: str, make: Callable[[], str]) -> str:
        """Return the bare drawing of that key, which the modes of one figure share; the last few are kept."""
        with self._guard:
            if (held := self._bare.get(key)) is not None:
                return held
        drawing = make()
        with self._guard:
            while len(self._bare) >= BARE:
                self._bare.pop(next(iter(self._bare)))
            self._bare[key] = drawing
        return drawing

    def get(self, key: str, make: Callable[[], str]) -> str:
        """Return the drawing of that key, making it the first time."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        with self._guard:
            if (held := self._memory.get(digest)) is not None:
                return held
        drawing = self._read(digest)
        if drawing is None:
            drawing = make()
            if not drawing.startswith("<svg"):
                raise InternalError("a drawing is not an SVG element.")
            self._write(digest, drawing)
        with self._guard:
            while len(self._memory) >= self._limit:
                self._memory.pop(next(iter(self._memory)))
            self._memory[digest] = drawing
        return drawing

    def _read(self, digest: str) -> str | None:
        if self._folder is None:
            return None
        path = self._folder / f"{digest}.svg"
        return path.read_text("utf-8") if path.exists() else None

    def _write(self, digest: str, drawing: str) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{digest}.{threading.get_ident()}.part"
        part.write_text(drawing, "utf-8")
        part.replace(self._folder / f"{digest}.svg")
