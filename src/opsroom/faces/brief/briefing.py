"""`make_brief` and `Briefing`: what a minister is handed, made of stored releases alone."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from opsroom.base.charts_render import DrawingCache
from opsroom.base.errors import StoreError, UsageError
from opsroom.faces import words as w
from opsroom.faces.document import figure_document
from opsroom.faces.figures import Figure, grouped
from opsroom.faces.figures.figure import stamp_of
from opsroom.faces.kpis import Kpi, kpis
from opsroom.faces.reader import Desk, ReleasesReader, desk_at
from opsroom.faces.tables import shown_rows
from opsroom.faces.words import Sentence
from opsroom.faces.words_story import TOPICS, tell

SUFFIXES = (".html", ".pdf", ".xlsx", ".json")
TABLE_ROWS = 60
"""Rows of a figure's table in HTML; the JSON and XLSX have them all."""


@dataclass(frozen=True, slots=True)
class Briefing:
    """A day's briefing.

    Attributes
    ----------
    title, day, disclaimer, synthetic
        Of the room and the day.
    kpis, sentences, figures
        Content; each carries the ids of the releases behind it.
    document
        The whole as JSON-able data: what ``.json`` holds.
    tables
        Figure name → table for people.

    Notes
    -----
    The same releases give the same bytes: nothing reads the clock.
    """

    title: str
    day: date
    disclaimer: str
    synthetic: bool
    kpis: tuple[Kpi, ...]
    sentences: tuple[Sentence, ...]
    figures: tuple[Figure, ...]
    document: dict[str, Any] = field(repr=False)
    tables: dict[str, dict[str, Any]] = field(repr=False)
    _drawings: DrawingCache = field(repr=False, compare=False)

    def summary(self) -> str:
        """Return the story as text, one headed paragraph a topic."""
        topics = {topic: [s.text for s in self.sentences if s.topic == topic] for topic in TOPICS}
        told = [f"{w.say(f'group.{topic}')}\n{' '.join(said)}" for topic, said in topics.items() if said]
        parts = [f"{self.title}, {w.say('page.as_of', day=w.day(self.day))}", *told]
        return "\n\n".join([*parts, self.disclaimer] if self.disclaimer else parts)

    def text(self) -> str:
        """Return the story as text; the same as `summary`."""
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Return the whole as JSON-able data."""
        return self.document

    def svg(self, figure: Figure, *, printed: bool = False) -> str:
        """Return the drawing of a figure, for a page or for print."""
        return figure.svg(self._drawings, mode="print" if printed else "page")

    def to_bytes(self, suffix: str) -> bytes:
        """Return the briefing in a format.

        Parameters
        ----------
        suffix
            ``".html"``, ``".pdf"``, ``".xlsx"`` or ``".json"``.

        Raises
        ------
        UsageError
            If there is no such format.
        """
        if suffix == ".json":
            return (json.dumps(self.document, ensure_ascii=False, indent=1) + "\n").encode()
        if suffix == ".html":
            from opsroom.faces.brief.html import to_html

            return to_html(self).encode()
        if suffix == ".pdf":
            from opsroom.faces.brief.pdf import to_pdf

            return to_pdf(self)
        if suffix == ".xlsx":
            from opsroom.faces.brief.xlsx import to_xlsx

            return to_xlsx(self)
        raise UsageError(
            f"a briefing cannot be written as {suffix or 'a file without ending'}.",
            remedy=f"Use one of {', '.join(SUFFIXES)}.",
            code="OPS-U030",
        )

    def save(self, path: str | Path) -> Path:
        """Write the briefing; the ending of the name chooses the format.

        Parameters
        ----------
        path
            File to write. It appears whole or not at all.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        UsageError
            If the ending is unknown.
        StoreError
            If the file cannot be written.
        """
        target = Path(path)
        content = self.to_bytes(target.suffix.lower())
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):  # where the folder cannot be made there is nothing to clear
                part.unlink(missing_ok=True)
            raise StoreError(
                f"the briefing cannot be written: {error.strerror}.",
                remedy="Name another folder, or free space.",
            ) from None
        return target


def make_brief(
    releases: ReleasesReader, day: date | str | None = None, *, drawings: DrawingCache | None = None
) -> Briefing:
    """Make the briefing of a day.

    Parameters
    ----------
    releases
        Reader of stored releases.
    day
        Day as of which to brief; the last publication day on or before it. None is the latest.
    drawings
        Cache of drawings, shared with the pages where given.

    Returns
    -------
    Briefing

    Raises
    ------
    AsOfError
        If nothing had been published by that day.
    """
    desk = desk_at(releases, day)
    figures = tuple(figure for group in grouped(desk).values() for figure in group)
    cards, sentences = tuple(kpis(desk)), tuple(tell(desk))
    return Briefing(
        title=str(desk.room.get("title") or "Operations room"),
        day=desk.day,
        disclaimer=str(desk.room.get("disclaimer") or ""),
        synthetic=desk.synthetic,
        kpis=cards,
        sentences=sentences,
        figures=figures,
        document=_document(desk, cards, sentences, figures),
        tables={f.name: shown_rows(desk, f, limit=TABLE_ROWS) for f in figures},
        _drawings=drawings or DrawingCache(),
    )


def _document(
    desk: Desk, cards: tuple[Kpi, ...], sentences: tuple[Sentence, ...], figures: tuple[Figure, ...]
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "room": {k: desk.room.get(k) for k in ("title", "country", "synthetic", "disclaimer")},
        "as_of": desk.day.isoformat(),
        "kpis": [
            {
                "id": k.id,
                "label": k.label,
                "number": k.number,
                "lower": k.lower,
                "upper": k.upper,
                "unit": k.unit,
                "value": k.value,
                "interval": k.interval,
                "about": k.about,
                "change": k.change,
                "note": k.note,
                "figure": k.figure,
                "releases": list(k.releases),
            }
            for k in cards
        ],
        "story": [
            {"id": s.id, "topic": s.topic, "text": s.text, "values": s.values, "releases": list(s.releases)}
            for s in sentences
        ],
        "figures": [figure_document(desk, f) for f in figures],
        "releases": [stamp_of(r) for r in desk],
    }
