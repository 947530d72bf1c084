"""Read text files of separated values (CSV) in bounded memory, with the numbers of their lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from opsroom.base.errors import DataError
from opsroom.base.layout import Layout
from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch, check_names, filled_names

BLOCK = 8 << 20
"""Bytes of CSV read at once, and so the longest line that is accepted."""


def _text_stream(path: Path, encoding: str) -> Any:  # a path or an Arrow stream, as pyarrow's reader takes them
    if encoding in ("", "utf-8"):
        return path
    return pa.transcoding_input_stream(pa.OSFile(str(path)), encoding, "utf8")


def open_csv(path: Path, at: str, layout: Layout) -> tuple[tuple[str, ...], Iterator[RawBatch]]:
    """Open a text file of separated values: names of its columns, and its batches.

    Raises
    ------
    DataError
        A file rule is broken, now or while the batches are read.
    """
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    if layout.encoding in ("", "utf-8") and (head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head):
        raise refuse("OPS-D008", at)
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[: layout.skip_rows + 1][-1]
    delimiter = layout.delimiter or max(",;\t|", key=lambda mark: line.count(mark.encode()))
    broken: list[tuple[int, str, str]] = []

    def keep(row: Any) -> str:  # pyarrow's InvalidRow
        if row.text.strip() and not (layout.notes and _is_note(row.text, delimiter)):
            broken.append((row.number, "OPS-D020", row.text))
        else:
            broken.append((row.number, "", ""))
        return "skip"

    try:
        # The first reading learns the header alone; a header that fills the first block is refused as a line.
        with pacsv.open_csv(_text_stream(path, layout.encoding), *_options(delimiter, [], keep, layout)) as reader:
            raw = reader.schema.names
    except pa.ArrowInvalid as error:
        raise _csv_error(error, at) from None
    except UnicodeError:
        raise refuse("OPS-D008", at) from None
    names = tuple(n.strip() for n in raw)
    if layout.fill_header:
        names = filled_names(names)
    check_names(names, at)
    broken.clear()
    return names, _read_csv(path, at, delimiter, raw, names, broken, keep, layout)


def _is_note(text: str, delimiter: str) -> bool:
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return False
    return sum(bool(cell.strip()) for cell in cells) <= 1


def _options(
    delimiter: str, names: list[str], keep: Any, layout: Layout
) -> tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions]:
    return (
        # One thread: row numbers of invalid lines are only known then, and the memory is bounded.
        pacsv.ReadOptions(block_size=BLOCK, use_threads=False, skip_rows=layout.skip_rows),
        pacsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep
        ),
        pacsv.ConvertOptions(
            column_types={n: pa.binary() for n in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,
        ),
    )


def _csv_error(error: Exception, at: str) -> DataError:
    word = str(error)
    if "straddling" in word or "too large" in word or "line longer" in word:
        return refuse("OPS-D007", at, f"{BLOCK >> 20} MB")
    if "Empty CSV" in word:
        return refuse("OPS-D005", at)
    return refuse("OPS-D009", at)


def _read_csv(
    path: Path,
    at: str,
    delimiter: str,
    raw: list[str],
    names: tuple[str, ...],
    broken: list[tuple[int, str, str]],
    keep: Any,
    layout: Layout,
) -> Iterator[RawBatch]:
    number = layout.skip_rows + 2  # of the next line; the one before is the header
    try:
        with pacsv.open_csv(_text_stream(path, layout.encoding), *_options(delimiter, raw, keep, layout)) as reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                skipped = {row for row, _, _ in broken}
                rows = _line_numbers(number, batch.num_rows, skipped)
                if batch.num_rows:
                    number = int(rows[-1]) + 1
                ready = tuple(b for b in broken if b[0] < number)
                broken[:] = [b for b in broken if b[0] >= number]
                yield _decoded(path.name, batch.rename_columns(list(names)), rows, ready)
            if broken:
                empty = _no_rows(names)
                yield _decoded(path.name, empty, np.empty(0, np.int64), tuple(broken))
    except pa.ArrowInvalid as error:
        raise _csv_error(error, at) from None
    except UnicodeError:
        raise refuse("OPS-D008", at) from None


def _no_rows(names: Sequence[str]) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], pa.binary()) for _ in names], names=list(names))


def _line_numbers(start: int, count: int, skipped: set[int]) -> np.ndarray:
    """Number `count` lines from `start` on, leaving out those that were skipped."""
    ahead = np.array(sorted(s for s in skipped if s >= start), dtype=np.int64)
    rows = np.arange(start, start + count, dtype=np.int64)
    # A kept line lies behind the j-th skipped one (from 0) when its number without gaps is >= s_j - j.
    return rows + np.searchsorted(ahead - np.arange(len(ahead)), rows, side="right")


def _decoded(file: str, batch: pa.RecordBatch, rows: np.ndarray, broken: tuple[tuple[int, str, str], ...]) -> RawBatch:
    """Decode UTF-8; rows that are not, and rows without any value (blank lines), are set apart."""
    broken = tuple(b for b in broken if b[1])
    columns: list[pa.Array] = []
    bad = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        try:
            columns.append(column.cast(pa.string()))
        except pa.ArrowInvalid:
            wrong = np.array(_not_utf8(column), dtype=np.int64)
            bad[wrong] = True
            columns.append(_replace(column, wrong))
    if bad.any():
        texts = pa.record_batch(columns, names=batch.schema.names).filter(pa.array(bad)).to_pylist()
        broken += tuple((int(row), "OPS-D021", _as_json(text)) for row, text in zip(rows[bad], texts, strict=True))
    blank = np.ones(batch.num_rows, dtype=bool)
    for column in columns:
        if not column.null_count:
            blank[:] = False
            break
        blank &= pc.is_null(column).to_numpy(zero_copy_only=False)
    keep = ~(bad | blank)
    decoded = pa.record_batch(columns, names=batch.schema.names)
    if keep.all():
        return RawBatch(file, decoded, pa.array(rows), broken)
    return RawBatch(file, decoded.filter(pa.array(keep)), pa.array(rows[keep]), broken)


def _as_json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _not_utf8(column: pa.Array) -> list[int]:
    """Find the values that are not UTF-8 by halving, so that a few are found in logarithmic time."""
    stack, found = [(0, len(column))], []
    while stack:
        start, stop = stack.pop()
        try:
            column.slice(start, stop - start).cast(pa.string())
        except pa.ArrowInvalid:
            if stop - start == 1:
                found.append(start)
            else:
                middle = (start + stop) // 2
                stack += [(start, middle), (middle, stop)]
    return found


def _replace(column: pa.Array, wrong: np.ndarray) -> pa.Array:
    """Decode a column, writing the bytes that are not UTF-8 as ``\\xNN`` in the rows named."""
    mask = np.zeros(len(column), dtype=bool)
    mask[wrong] = True
    texts = [value.decode("utf-8", "backslashreplace") for value in column.take(pa.array(wrong)).to_pylist()]
    clean = pc.if_else(pa.array(mask), pa.scalar(b"", pa.binary()), column).cast(pa.string())
    return pc.replace_with_mask(clean, pa.array(mask), pa.array(texts, pa.string()))
