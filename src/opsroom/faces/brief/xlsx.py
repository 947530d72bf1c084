"""The briefing as a workbook: read-me with stamps, story, key figures, and a sheet a figure."""

from __future__ import annotations

import io
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opsroom.faces import words as w
from opsroom.faces.tables import column_title

if TYPE_CHECKING:
    from opsroom.faces.brief.briefing import Briefing
    from opsroom.faces.figures import Figure


def to_xlsx(briefing: Briefing) -> bytes:
    """Return the briefing as an Excel workbook.

    Notes
    -----
    Numbers are numbers, as released; texts are written as texts, so none can become a formula.
    """
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    # The workbook's own date is the day briefed, so that the same releases give the same bytes.
    moment = datetime(briefing.day.year, briefing.day.month, briefing.day.day)
    book.set_properties({"title": f"{briefing.title}, as of {briefing.day}", "created": moment, "author": "opsroom"})
    formats = {
        "head": book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"}),
        "title": book.add_format({"bold": True, "font_size": 14}),
        "soft": book.add_format({"font_color": "#56636f"}),
        "day": book.add_format({"num_format": "yyyy-mm-dd", "align": "left"}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
    }
    names = _sheet_names(briefing)
    _read_me(book, formats, briefing, names)
    _story(book, formats, briefing)
    _kpis(book, formats, briefing)
    for figure in briefing.figures:
        _figure(book, formats, figure, names[figure.name])
    book.close()
    return out.getvalue()


def _sheet_names(briefing: Briefing) -> dict[str, str]:
    """Return a name of at most 31 characters for each figure's sheet, all different."""
    taken: set[str] = {"read me", "story", "key figures"}
    names: dict[str, str] = {}
    for figure in briefing.figures:
        base = re.sub(r"[\[\]:*?/\\']", " ", figure.name.replace("--", " "))[:31]
        name, k = base, 2
        while name.lower() in taken:
            name, k = f"{base[:28]} {k}", k + 1
        taken.add(name.lower())
        names[figure.name] = name
    return names


def _read_me(book: Any, formats: dict[str, Any], briefing: Briefing, names: dict[str, str]) -> None:
    sheet = book.add_worksheet("Read me")
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 70)
    sheet.set_column(2, 6, 16)
    sheet.write_string(0, 0, f"{briefing.title}, {w.say('page.as_of', day=w.day(briefing.day))}", formats["title"])
    row = 1
    for text in (briefing.disclaimer, w.say("page.about"), w.say("page.options_note")):
        if text:
            sheet.merge_range(row, 0, row, 3, text, formats["wrap"])
            sheet.set_row(row, 32)
            row += 1
    row = _table(
        sheet,
        formats,
        row + 1,
        ["sheet", "what it shows", "source", "licence"],
        [[names[f.name], f.caption.finding, f.source, str(f.main.licence)] for f in briefing.figures],
    )
    stamps = briefing.document["releases"]
    keys = ["id", "hash", "profile", "ledger", "cells", "suppressed"]
    titles = ["release", "hash", "rules", "ledger entry", "cells", "withheld"]
    _table(sheet, formats, row + 1, titles, [[s[k] for k in keys] for s in stamps])


def _story(book: Any, formats: dict[str, Any], briefing: Briefing) -> None:
    sheet = book.add_worksheet("Story")
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 110, formats["wrap"])
    sheet.set_column(2, 2, 40)
    rows = [[w.say(f"group.{s.topic}"), s.text, ", ".join(s.releases)] for s in briefing.sentences]
    _table(sheet, formats, 0, ["topic", "sentence", "releases"], rows)


def _kpis(book: Any, formats: dict[str, Any], briefing: Briefing) -> None:
    sheet = book.add_worksheet("Key figures")
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 8, 18)
    titles = [
        "figure",
        "value",
        "lower bound (90 %)",
        "upper bound (90 %)",
        "unit",
        "about",
        "change",
        "note",
        "release",
    ]
    rows = [
        [k.label, k.number, k.lower, k.upper, k.unit, k.about, k.change, k.note, ", ".join(k.releases)]
        for k in briefing.kpis
    ]
    _table(sheet, formats, 0, titles, rows)


def _figure(book: Any, formats: dict[str, Any], figure: Figure, name: str) -> None:
    sheet = book.add_worksheet(name)
    wide = [max([len(column_title(c)), *(len(str(v)) for v in values)]) for c, values in _by_column(figure)]
    for k, width in enumerate(wide):
        sheet.set_column(k, k, min(max(width + 2, 12), 48))
    stamp = figure.stamps()[0]
    sheet.write_string(0, 0, figure.caption.finding, formats["title"])
    sheet.write_string(1, 0, figure.caption.unit, formats["soft"])
    said = f"{figure.caption.footer} Licence: {figure.main.licence}. Release {stamp['id']}, {stamp['hash']}."
    sheet.write_string(2, 0, said, formats["soft"])
    _table(sheet, formats, 4, [column_title(c) for c in figure.columns], figure.rows)
    sheet.freeze_panes(5, 0)


def _by_column(figure: Figure) -> list[tuple[str, list[Any]]]:
    return [(name, [row[k] for row in figure.rows[:200]]) for k, name in enumerate(figure.columns)]


def _moment(text: str) -> datetime | None:
    """Return a day of the calendar that a release writes as text, for a cell that sorts and subtracts as one."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None  # a code that only looks like a day stays text


def _table(sheet: Any, formats: dict[str, Any], top: int, titles: list[str], rows: Any) -> int:
    """Write a table; return the row below it."""
    for column, title in enumerate(titles):
        sheet.write_string(top, column, title, formats["head"])
    row = top
    for row, record in enumerate(rows, top + 1):
        for column, value in enumerate(record):
            if isinstance(value, bool):
                sheet.write_boolean(row, column, value)
            elif isinstance(value, (int, float)):
                sheet.write_number(row, column, value)
            elif isinstance(value, str) and (moment := _moment(value)) is not None:
                sheet.write_datetime(row, column, moment, formats["day"])
            elif value is not None:
                sheet.write_string(row, column, str(value))
    return row + 1
