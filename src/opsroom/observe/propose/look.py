"""Look at an unknown file: its kind and encoding, where the table begins, how it is separated."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from opsroom.base.layout import ENCODINGS, PLAIN, Layout
from opsroom.observe.propose.shapes import is_number, period_shape
from opsroom.observe.quality import refuse
from opsroom.observe.sources.workbook import sheet_names, sheet_rows

HEAD, TAIL = 1 << 20, 1 << 16
"""Bytes at a text file's beginning and end that are looked at."""

ROWS = 2_000
"""Rows that are looked at, at most."""

SEARCHED = 60
"""Rows among which the header is looked for."""

Row = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Look:
    """What a file looks like.

    Attributes
    ----------
    kind
        ``"text"``, ``"workbook"`` or ``"parquet"``.
    layout
        As far as it can be seen before the columns are read.
    sheets
        Sheets of a workbook that hold a table.
    header_found
        Whether some row reads as a header.
    encoding_seen
        Whether the encoding is certain, not a guess.
    """

    kind: str
    layout: Layout
    sheets: tuple[str, ...] = ()
    header_found: bool = True
    encoding_seen: bool = True


def look_at(path: Path, answers: dict[str, str], at: str) -> Look:
    """Look at a file; answers to ``encoding``, ``delimiter``, ``sheet`` and ``skip_rows`` are taken as given.

    Raises
    ------
    DataError
        The file cannot be opened, is empty, or is of a kind that no reader takes.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(HEAD)
            size = handle.seek(0, 2)
            handle.seek(max(size - TAIL, 0))
            tail = handle.read() if size > len(head) else b""
    except OSError as error:
        raise refuse("OPS-D002", at, str(error.strerror)) from None
    if not head.strip(b"\x00 \t\r\n"):
        raise refuse("OPS-D005", at)
    if head.startswith(b"PAR1"):
        return Look("parquet", PLAIN)
    if head.startswith(b"PK\x03\x04"):
        return _look_at_workbook(path, answers, at)
    _check_kind(head, at)
    return _look_at_text(head, tail, answers, at)


def _check_kind(head: bytes, at: str) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512]
    known = {
        b"\x1f\x8b": "it is packed with gzip; unpack it first",
        b"\xd0\xcf\x11\xe0": "it is an old XLS workbook; save it as XLSX",
        b"%PDF": "it is a PDF",
        b"<": "it is XML or HTML (electronic invoices are taken by the built-in dataset invoices)",
        b"{": "it is JSON",
        b"[": "it is JSON",
    }
    for mark, words in known.items():
        if start.startswith(mark):
            raise refuse("OPS-D015", at, words)


# -- text -----------------------------------------------------------------------------------------


def _look_at_text(head: bytes, tail: bytes, answers: dict[str, str], at: str) -> Look:
    encoding, seen = _encoding(head)
    if "encoding" in answers:
        encoding, seen = answers["encoding"].lower().replace("latin-1", "iso8859-1"), True
        if encoding not in ENCODINGS:
            raise refuse("OPS-D008", at, "the encoding named is not known")
    words = encoding or "utf-8"
    try:
        text = codecs.getincrementaldecoder(words)("strict").decode(head, False)
    except UnicodeDecodeError:
        if "encoding" in answers or encoding.startswith("utf-16"):
            raise refuse("OPS-D008", at) from None
        text = head.decode("utf-8", "replace")
    if "\x00" in text:
        raise refuse("OPS-D015", at, "it is no text")
    text = text.removeprefix("\ufeff")
    if tail or len(head) == HEAD:
        text = text[: text.rfind("\n") + 1] or text
    delimiter = answers.get("delimiter") or _delimiter(text)
    delimiter = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise refuse("OPS-D009", at, "a delimiter is one character")
    rows = list(_rows(text, delimiter))
    last = list(_rows(tail.decode(words, "replace").partition("\n")[2], delimiter)) if tail else []
    layout = replace(PLAIN, encoding="" if encoding == "utf-8" else encoding, delimiter=delimiter)
    return _with_header(Look("text", layout, encoding_seen=seen), rows, last, answers, at)


def _encoding(head: bytes) -> tuple[str, bool]:
    if head.startswith(b"\xef\xbb\xbf"):
        return "", True
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", True
    sample = head[: 1 << 14]
    if sample.count(0) > len(sample) // 5:
        return ("utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"), True
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head, False)
    except UnicodeDecodeError:
        high = sum(byte > 127 for byte in head)
        readable = len(head.decode("utf-8", "ignore").encode("ascii", "ignore"))
        valid = len(head.decode("utf-8", "ignore").encode()) - readable
        if valid > high // 2:
            return "", True  # UTF-8 with a few broken rows, which are told by row
        try:
            head.decode("cp1252")
        except UnicodeDecodeError:
            return "iso8859-1", False
        return "cp1252", False
    return "", True


def _rows(text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: list[Row] = []
    line = 1
    try:
        for cells in islice(reader, ROWS):
            found.append((line, cells))
            line = reader.line_num + 1
    except csv.Error:
        pass  # a cell of more than 128 KB: what was read until then must do; the reader proper has its own limits
    return found


def _delimiter(text: str) -> str:
    """Return the mark that cuts most rows into the same number of cells."""
    best, chosen = (0.0, 0), ","
    for mark in ",;\t|":
        widths = [len(cells) for _, cells in _rows(text, mark)[:300] if any(c.strip() for c in cells)]
        many = Counter(w for w in widths if w > 1).most_common(1)
        if many:
            width, count = many[0]
            score = (round(count / len(widths), 2), width)
            if score > best:
                best, chosen = score, mark
    return chosen


# -- workbooks ------------------------------------------------------------------------------------


def _look_at_workbook(path: Path, answers: dict[str, str], at: str) -> Look:
    names = sheet_names(path, at)
    rows: dict[str, tuple[list[Row], list[Row]]] = {}
    wanted = [answers["sheet"]] if "sheet" in answers else names
    for name in wanted:
        top: list[Row] = []
        last: deque[Row] = deque(maxlen=50)
        for number, cells in sheet_rows(path, at, name):
            row = (number, [cell or "" for cell in cells])
            (top if len(top) < ROWS else last).append(row)
        if sum(sum(bool(c) for c in cells) > 1 for _, cells in top) > 1:
            rows[name] = (top, list(last))
    if not rows:
        raise refuse("OPS-D005", at, "no sheet holds a table")
    sheet = max(rows, key=lambda name: sum(len([c for c in cells if c]) for _, cells in rows[name][0]))
    layout = replace(PLAIN, sheet=sheet if len(names) > 1 else "")
    return _with_header(Look("workbook", layout, sheets=tuple(rows)), *rows[sheet], answers, at)


# -- header and remarks ---------------------------------------------------------------------------


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _width(cells: Sequence[str]) -> int:
    return max((place for place, cell in enumerate(cells, 1) if cell.strip()), default=0)


def _is_label(cell: str) -> bool:
    return bool(cell.strip()) and (not is_number(cell) or period_shape(cell) is not None)


def _with_header(look: Look, rows: list[Row], last: list[Row], answers: dict[str, str], at: str) -> Look:
    usual = Counter(_width(cells) for _, cells in rows if _filled(cells) > 1).most_common(1)
    width = usual[0][0] if usual else 1
    place = _given(rows, answers, at) if "skip_rows" in answers else _header(rows, width)
    if place is None:
        return replace(look, header_found=False)
    line, cells = rows[place]
    names = [cell.strip() for cell in cells[: max(_width(cells), width if look.kind == "text" else 0)]]
    odd = any(not name for name in names) or len(set(names)) < len(names)
    below = [c for _, c in (*rows[place + 1 :], *last) if _filled(c)]
    notes = width > 1 and any(_filled(c) == 1 for c in below)
    return replace(look, layout=replace(look.layout, skip_rows=line - 1, fill_header=odd, notes=notes))


def _given(rows: list[Row], answers: dict[str, str], at: str) -> int:
    for place, (line, _) in enumerate(rows):
        if str(line - 1) == answers["skip_rows"].strip():
            return place
    raise refuse("OPS-D009", at, "skip_rows leads to no row")


def _header(rows: list[Row], width: int) -> int | None:
    """Return the place of the first row that names most columns and has filled rows below."""
    for place, (_, cells) in enumerate(rows[:SEARCHED]):
        filled = _filled(cells)
        labels = sum(_is_label(cell) for cell in cells)
        following = [c for _, c in rows[place + 1 : place + 30] if _filled(c)]
        if (
            filled >= max(0.6 * width, min(2, width))
            and labels >= 0.6 * filled
            and (not following or max(_width(c) for c in following) >= 0.5 * width)
        ):
            return place
    return None
