"""`Figure`: a chart with everything that must stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsroom._version import __version__
from opsroom.base.charts import Caption
from opsroom.base.charts_render import DrawingCache, Mode, draw_bare, dress, render_svg
from opsroom.faces import words as w
from opsroom.faces.reader import day_of, measures_of, records


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, its words, its data and the releases that it shows.

    Attributes
    ----------
    name
        Stable name, the end of its address.
    group
        ``work``, ``output``, ``credit``, ``options``, ``record`` or ``other``.
    caption
        Finding, unit, source, as-of day, text alternative.
    columns, rows
        The data drawn, as they are offered for download.
    releases
        The releases behind it, the main one first.
    draw
        Makes the Altair chart; None where a table says it better.
    titles
        Column → words, for the table.
    how
        Message id of the method's text.
    """

    name: str
    group: str
    caption: Caption
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    releases: tuple[Any, ...]
    draw: Callable[[], Any] | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    how: str = "how.other"

    @property
    def main(self) -> Any:
        """The release that the figure is about."""
        return self.releases[0]

    @property
    def all_withheld(self) -> bool:
        """Whether the main release has rows, and the gate lets no measure of any of them out."""
        names = [m.name for m in measures_of(self.main)]
        rows = records(self.main)
        return bool(rows) and all(row.get(name) is None for row in rows for name in names)

    @property
    def source(self) -> str:
        """Who provided the data: named by the release, or this room's own releases."""
        return source_of(self.main)

    @property
    def day(self) -> str:
        """Day of the main release, ISO."""
        return day_of(self.main.day).isoformat()

    def records(self) -> list[dict[str, Any]]:
        """Return the data as records."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def stamps(self) -> list[dict[str, Any]]:
        """Return id, hash and ledger entry of each release behind the figure."""
        return [stamp_of(release) for release in self.releases]

    def svg(self, cache: DrawingCache, *, mode: Mode = "page") -> str:
        """Return the drawing, from the cache where it has been drawn before; empty without a chart."""
        if self.draw is None:
            return ""
        draw = self.draw
        stamps = "|".join(f"{s['id']}:{s['hash']}" for s in self.stamps())
        key = f"{self.name}/{self.caption}/{stamps}"
        words = {"title": self.caption.finding, "desc": self.caption.description}
        ident = "f-" + self.name.replace(".", "-")

        def make() -> str:
            if mode == "file":
                return render_svg(draw(), mode=mode, ident=ident, **words)
            return dress(cache.bare(key, lambda: draw_bare(draw)), mode=mode, ident=ident, **words)

        return cache.get(f"{__version__}/{mode}/{key}", make)


def caption_of(release: Any, finding: str, unit: str) -> Caption:
    """Return the caption of a figure of one release."""
    return Caption(finding, unit, source_of(release), day_of(release.day).isoformat())


def source_of(release: Any) -> str:
    """Return a release's source; a release about releases, such as a score, is made from this room's own."""
    return str(release.source) or w.say("words.own_source")


def stamp_of(release: Any) -> dict[str, Any]:
    """Return what identifies a release: id, day, hash, ledger entry, profile, cells suppressed, its certificate.

    The certificate is named by its attackers; it is None where there is nothing to certify: public data.
    """
    stamp = release.stamp
    return {
        "id": release.id,
        "day": day_of(release.day).isoformat(),
        "hash": str(stamp.get("hash", "")),
        "ledger": stamp.get("ledger"),
        "profile": str(stamp.get("profile", "")),
        "cells": stamp.get("cells"),
        "suppressed": stamp.get("suppressed"),
        "certificate": stamp.get("certificate", {}).get("attackers"),
    }


def table(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    """Return records as rows of the named columns."""
    return tuple(tuple(record.get(column) for column in columns) for record in records)
