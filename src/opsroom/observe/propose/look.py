"""Look at an unknown file: its kind and encoding, where the table begins, how it is separated."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from opsroom.base.layout import ENCODINGS, PLAIN, Layout
from opsroom.observe.propose.header import Row, find_header
from opsroom.observe.propose.shapes import day_shape, is_number, period_shape
from opsroom.observe.quality import refuse
from opsroom.observe.sources.delimited import check_open_quotes
from opsroom.observe.sources.kinds import check_kind
from opsroom.observe.sources.workbook import sheet_names, sheet_rows

HEAD, TAIL = 1 << 20, 1 << 16
"""Bytes at a text file's beginning and end that are looked at."""

ROWS = 2_000
"""Rows that are looked at, at most."""

CELLS = 16_384
"""Columns of the widest table that is looked at."""


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
    """Look at a file; answers that change how it is read are taken as given.

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
    check_kind(path, head, at, below="skip_rows" in answers)
    if head.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq"):
        return Look("parquet", PLAIN)
    if head.startswith(b"PK\x03\x04"):
        return _look_at_workbook(path, answers, at)
    return _look_at_text(path, head, tail, answers, at)


# -- text -----------------------------------------------------------------------------------------


def _look_at_text(path: Path, head: bytes, tail: bytes, answers: dict[str, str], at: str) -> Look:
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
        cut = max(text.rfind("\n"), text.rfind("\r")) + 1
        if not cut:
            raise refuse("OPS-D007", at, f"line 1 is longer than {HEAD >> 20} MB")
        text = text[:cut]
    delimiter = answers.get("delimiter") or _delimiter(text)
    delimiter = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise refuse("OPS-D009", at, "a delimiter is one character")
    check_open_quotes(path, at, delimiter, encoding=encoding, skip_rows=_number(answers.get("skip_rows", "")))
    rows = list(_rows(text, delimiter))
    if any(len(cells) > CELLS for _, cells in rows):
        raise refuse("OPS-D009", at, f"a line has more than {CELLS:,} values")
    if "delimiter" not in answers and not _cut(rows):
        raise refuse(
            "OPS-D009",
            at,
            "no comma, semicolon, tab or bar parts the lines into columns; if another mark does, answer delimiter with "
            "it; if the file is a list of one column, answer delimiter=comma",
        )
    last = list(_rows(tail.decode(words, "replace").partition("\n")[2], delimiter)) if tail else []
    layout = replace(PLAIN, encoding="" if encoding == "utf-8" else encoding, delimiter=delimiter)
    return _with_header(Look("text", layout, encoding_seen=seen), rows, last, answers, at)


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0


def _cut(rows: list[Row]) -> bool:
    """Whether rows have several cells, or are a list of dates or numbers under a name."""
    if any(len(cells) > 1 for _, cells in rows):
        return True
    words = [cells[0] for _, cells in rows[1:] if cells and cells[0].strip()]
    read = sum(is_number(w) or period_shape(w) is not None or bool(day_shape(w)) for w in words)
    return bool(words) and 2 * read > len(words)


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
        raise refuse("OPS-D005", at, "no sheet holds a table (formulas without stored results count as empty)")
    sheet = max(rows, key=lambda name: sum(len([c for c in cells if c]) for _, cells in rows[name][0]))
    layout = replace(PLAIN, sheet=sheet if len(names) > 1 else "")
    return _with_header(Look("workbook", layout, sheets=tuple(rows)), *rows[sheet], answers, at)


def _with_header(look: Look, rows: list[Row], last: list[Row], answers: dict[str, str], at: str) -> Look:
    header = find_header(
        rows, last, text=look.kind == "text", skip_rows=answers.get("skip_rows", ""), at=_in_sheet(look, at)
    )
    if header is None:
        return replace(look, header_found=False)
    odd = any(not name for name in header.names) or len(set(header.names)) < len(header.names)
    notes = header.notes and answers.get("notes") != "no"
    return replace(look, layout=replace(look.layout, skip_rows=header.line - 1, fill_header=odd, notes=notes))


def _in_sheet(look: Look, at: str) -> str:
    return f"{at}, sheet {look.layout.sheet!r}" if look.layout.sheet else at
