"""Read text files of separated values (CSV) in bounded memory, with the numbers of their lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
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
from opsroom.observe.sources.quotes import check_quotes

BLOCK = 8 << 20
"""Bytes of CSV read at once, and so the longest line that is accepted."""


_FIRST = 0xF700
"""Private-use characters from here on stand, while reading, for bytes that are not UTF-8."""

_MARKED = "[\uf780-\uf7ff]"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_FIRST + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("opsroom-mark", _mark)


def _unmarked(text: str) -> str:
    """Write the bytes that were marked as ``\\xNN``."""
    return re.sub(_MARKED, lambda found: f"\\x{ord(found[0]) - _FIRST:02x}", text)


def is_utf8(path: Path) -> bool:
    """Whether a file is UTF-8 from end to end."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    with path.open("rb") as handle:
        try:
            while piece := handle.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False
    return True


class _Marking(io.RawIOBase):
    """A file's bytes as UTF-8 in any case: those that are not are marked.

    pyarrow hands a line that it cannot split over as text, and loses the line where it is not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")("opsroom-mark")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:  # any writable buffer
        while not self._rest:
            piece = self._file.read(len(into))
            self._rest = self._decoder.decode(piece, not piece).encode()
            if not piece and not self._rest:
                return 0
        count = min(len(into), len(self._rest))
        into[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _text_stream(path: Path, encoding: str, *, marked: bool) -> Any:  # what pyarrow's reader takes
    if marked:
        return pa.PythonFile(_Marking(path), mode="r")
    if encoding in ("", "utf-8"):
        return path
    return pa.transcoding_input_stream(pa.OSFile(str(path)), encoding, "utf8")


def check_open_quotes(path: Path, at: str, delimiter: str, *, encoding: str = "", skip_rows: int = 0) -> None:
    """Refuse a text file in which a quote is opened and never closed.

    Raises
    ------
    DataError
        ``OPS-D055``, with the line; ``OPS-D008`` where the encoding does not hold.
    """
    if encoding in ("", "utf-8"):
        with path.open("rb") as handle:
            check_quotes(handle.read, delimiter, at, skip_rows=skip_rows)
        return
    try:
        with _text_stream(path, encoding, marked=False) as stream:
            check_quotes(stream.read, delimiter, at, skip_rows=skip_rows)
    except (pa.ArrowInvalid, UnicodeError):
        raise refuse("OPS-D008", at) from None


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
    check_open_quotes(path, at, delimiter, encoding=layout.encoding, skip_rows=layout.skip_rows)
    broken: list[tuple[int, str, str]] = []
    marked = layout.encoding in ("", "utf-8") and not is_utf8(path)

    def keep(row: Any) -> str:  # pyarrow's InvalidRow
        if row.text.strip() and not (layout.notes and _is_note(row.text, delimiter)):
            broken.append((row.number, "OPS-D020", _unmarked(row.text) if marked else row.text))
        else:
            broken.append((row.number, "", "note" if row.text.strip() else ""))
        return "skip"

    try:
        # The first reading learns the header alone; a header that fills the first block is refused as a line.
        with _opened(path, delimiter, [], keep, layout, marked=marked) as reader:
            raw = reader.schema.names
    except pa.ArrowInvalid as error:
        raise _csv_error(error, at) from None
    except UnicodeError:
        raise refuse("OPS-D008", at) from None
    if marked and any(re.search(_MARKED, name) for name in raw):
        raise refuse("OPS-D008", at)
    names = tuple(n.strip() for n in raw)
    if layout.fill_header:
        names = filled_names(names)
    check_names(names, at)
    broken.clear()
    return names, _read_csv(path, at, delimiter, raw, names, broken, keep, layout, marked=marked)


def _is_note(text: str, delimiter: str) -> bool:
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return False
    return sum(bool(cell.strip()) for cell in cells) <= 1


def _opened(path: Path, delimiter: str, names: list[str], keep: Any, layout: Layout, *, marked: bool) -> Any:
    stream = _text_stream(path, layout.encoding, marked=marked)
    return pacsv.open_csv(stream, *_options(delimiter, names, keep, layout))


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
    *,
    marked: bool,
) -> Iterator[RawBatch]:
    number = layout.skip_rows + 2  # of the next line; the one before is the header
    try:
        with _opened(path, delimiter, raw, keep, layout, marked=marked) as reader:
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
                yield _decoded(path.name, batch.rename_columns(list(names)), rows, ready, marked=marked)
            if broken:
                empty = _no_rows(names)
                yield _decoded(path.name, empty, np.empty(0, np.int64), tuple(broken), marked=marked)
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


def _decoded(
    file: str, batch: pa.RecordBatch, rows: np.ndarray, broken: tuple[tuple[int, str, str], ...], *, marked: bool
) -> RawBatch:
    """Make texts of bytes; rows that are not UTF-8, and rows without any value (blank lines), are set apart."""
    notes = tuple(row for row, code, text in broken if not code and text)
    broken = tuple(b for b in broken if b[1])
    columns = [column.cast(pa.string()) for column in batch.columns]
    bad = np.zeros(batch.num_rows, dtype=bool)
    if marked:
        for column in columns:
            bad |= np.asarray(pc.fill_null(pc.match_substring_regex(column, _MARKED), False))
    if bad.any():
        texts = pa.record_batch(columns, names=batch.schema.names).filter(pa.array(bad)).to_pylist()
        lines = zip(rows[bad].tolist(), texts, strict=True)
        broken += tuple((row, "OPS-D021", _as_json(text)) for row, text in lines)
    blank = np.ones(batch.num_rows, dtype=bool)
    for column in columns:
        if not column.null_count:
            blank[:] = False
            break
        blank &= pc.is_null(column).to_numpy(zero_copy_only=False)
    keep = ~(bad | blank)
    decoded = pa.record_batch(columns, names=batch.schema.names)
    if keep.all():
        return RawBatch(file, decoded, pa.array(rows), broken, notes=notes)
    return RawBatch(file, decoded.filter(pa.array(keep)), pa.array(rows[keep]), broken, notes=notes)


def _as_json(record: dict[str, str | None]) -> str:
    return json.dumps({k: None if v is None else _unmarked(v) for k, v in record.items()}, ensure_ascii=False)
