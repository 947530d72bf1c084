"""Read one sheet of an XLSX workbook as text, row by row, in bounded memory.

A workbook is a zip of XML. What it would unpack to is checked before anything is unpacked; rows are then
streamed by openpyxl's read-only mode. Cells come as text, dates in ISO form, numbers with the layout's decimal
mark, so that a workbook meets the same rules as a CSV file.
"""

from __future__ import annotations

import datetime as dt
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from opsroom.observe.quality import refuse

LIMIT = 256 << 20
"""Bytes that a workbook may unpack to."""

RATIO = 400
"""How many times its own size a workbook may unpack to, beyond its first 10 MB."""

MEMBERS = 10_000
"""Parts that a workbook may have."""

ROWS, COLUMNS = 1_048_576, 16_384
"""Rows and columns of the largest sheet that a spreadsheet program makes."""

BATCH = 20_000
"""Rows of a batch."""

Row = list[str | None]


def check_workbook(path: Path, at: str) -> None:
    """Refuse a workbook that is damaged, or that unpacks to more than is reasonable.

    Raises
    ------
    DataError
        ``OPS-D016`` not a workbook; ``OPS-D017`` too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, NotImplementedError, ValueError, EOFError):
        raise refuse("OPS-D016", at) from None
    size = sum(m.file_size for m in members)
    packed = max(sum(m.compress_size for m in members), 1)
    if len(members) > MEMBERS or size > LIMIT or size > (10 << 20) + RATIO * packed:
        raise refuse("OPS-D017", at, f"it would unpack to more than {LIMIT >> 20} MB, or is packed too tightly")
    if not any(m.filename.lower().endswith("workbook.xml") for m in members) or any(m.flag_bits & 1 for m in members):
        raise refuse("OPS-D016", at, "no workbook inside, or it is locked with a password")


def sheet_names(path: Path, at: str) -> tuple[str, ...]:
    """Return the names of the visible worksheets."""
    check_workbook(path, at)
    with path.open("rb") as handle:
        return tuple(s.title for s in _open(handle, at).worksheets if s.sheet_state == "visible")


def sheet_rows(path: Path, at: str, sheet: str, decimal: str = ".") -> Iterator[tuple[int, Row]]:
    """Yield the rows of a sheet with their numbers, from 1; cells as text.

    Raises
    ------
    DataError
        ``OPS-D016`` damaged; ``OPS-D018`` no such sheet, or none named where there are several.
    """
    check_workbook(path, at)
    with path.open("rb") as handle:  # ours to close: openpyxl leaves it open where it fails
        book = _open(handle, at)
        names = [s.title for s in book.worksheets if s.sheet_state == "visible"]
        if not sheet and len(names) == 1:
            sheet = names[0]
        if sheet not in [s.title for s in book.worksheets]:
            raise refuse("OPS-D018", at, f"sheets: {', '.join(names)}" if sheet else f"{len(names)} sheets")
        page = book[sheet]
        page.reset_dimensions()  # what a sheet says of its own size is not to be trusted
        rows = page.iter_rows(values_only=True)
        number = 0
        while True:
            try:
                cells = next(rows, None)
            except Exception as error:  # noqa: BLE001 - see `_damaged`
                raise _damaged(error, at) from None
            if cells is None:
                return
            number += 1
            if number > ROWS or len(cells) > COLUMNS:
                raise refuse("OPS-D017", at, "more rows or columns than a sheet holds")
            yield number, [_text(cell, decimal) for cell in cells]


def _open(handle: BinaryIO, at: str) -> Any:  # openpyxl's Workbook
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that openpyxl does not keep; we only read
            return openpyxl.load_workbook(handle, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # noqa: BLE001 - see `_damaged`
        raise _damaged(error, at) from None


def _damaged(error: Exception, at: str) -> Exception:
    # openpyxl tells damage by whatever its parsers raise: KeyError, TypeError, ParseError, zlib.error …
    if isinstance(error, MemoryError):
        return error
    return refuse("OPS-D016", at)


def _text(cell: object, decimal: str) -> str | None:
    match cell:
        case None:
            return None
        case bool():
            return "true" if cell else "false"
        case int():
            return str(cell)
        case float():
            text = repr(cell) if not cell.is_integer() or abs(cell) >= 1e15 else str(int(cell))
            return text if decimal == "." else text.replace(".", decimal)
        case dt.datetime():
            midnight = (cell.hour, cell.minute, cell.second, cell.microsecond) == (0, 0, 0, 0)
            return cell.date().isoformat() if midnight else cell.isoformat()
        case dt.date():
            return cell.isoformat()
        case _:
            text = str(cell)
            return text if text.strip() else None


def sheet_batches(
    rows: Iterator[tuple[int, Row]], width: int
) -> Iterator[tuple[list[list[str | None]], np.ndarray, list[tuple[int, str, str]]]]:
    """Yield columns, row numbers and broken rows, a batch at a time; rows without any value are left out."""
    columns: list[list[str | None]] = [[] for _ in range(width)]
    numbers: list[int] = []
    broken: list[tuple[int, str, str]] = []
    for number, cells in rows:
        if any(cell is not None for cell in cells[width:]):
            broken.append((number, "OPS-D020", "|".join(c or "" for c in cells)))
        elif any(cell is not None for cell in cells):
            numbers.append(number)
            for place, column in enumerate(columns):
                column.append(cells[place] if place < len(cells) else None)
        if len(numbers) + len(broken) >= BATCH:
            yield columns, np.array(numbers, np.int64), broken
            columns, numbers, broken = [[] for _ in range(width)], [], []
    if numbers or broken:
        yield columns, np.array(numbers, np.int64), broken


def as_batch(names: tuple[str, ...], columns: list[list[str | None]]) -> pa.RecordBatch:
    """Return text columns as a batch."""
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], names=list(names))
