"""Read what a provider sends, in bounded memory: CSV, Parquet, Arrow, pandas → raw batches with row numbers.

Row numbers are those that a person sees: in CSV the line's number counting the header as 1 (a record with
line breaks inside quotes counts once), elsewhere the row's number from 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from opsroom.base.errors import DataError
from opsroom.observe.content import ContentHash
from opsroom.observe.quality import refuse

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 8 << 20
"""Bytes of CSV read at once, and so the longest line that is accepted."""

BATCH = 1 << 18
"""Rows of a batch, at most."""

Source = "Path | str | Sequence[Path | str] | pa.Table | pa.RecordBatch | pa.RecordBatchReader | pd.DataFrame"


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the source has them.

    Attributes
    ----------
    file
        Name of the file (without folders), empty for tables in memory.
    columns
        One array a column of the source.
    rows
        Row numbers in the file, int64.
    base
        Rows of the files before: `rows` + `base` is unique in the delivery.
    broken
        Lines that could not be split or decoded: (row, code, text).
    """

    file: str
    columns: pa.RecordBatch
    rows: pa.Int64Array
    broken: tuple[tuple[int, str, str], ...] = ()
    base: int = 0


@dataclass(slots=True)
class Reading:
    """A source being read once.

    Attributes
    ----------
    columns
        Names of the source's columns.
    files
        Names of the files, without folders.
    identity
        SHA-256 of the content; for a stream it is complete when the batches have been consumed.
    size
        Bytes, where known: decides whether the rows are staged on disk.
    """

    columns: tuple[str, ...]
    batches: Iterator[RawBatch]
    identity: str | None
    size: int | None
    files: tuple[str, ...] = ()
    _stream: ContentHash | None = field(default=None, repr=False)

    def digest(self) -> str:
        """Return the content hash; call it after the batches have been consumed."""
        if self.identity is not None:
            return self.identity
        if self._stream is None:
            raise ValueError("a reading has an identity or a stream hash")
        return self._stream.hexdigest()


def open_source(source: Any, *, where: str) -> Reading:  # any of the kinds below; checked here
    """Open a source for one reading.

    Parameters
    ----------
    source
        Path (or list of paths) of CSV or Parquet files, a pyarrow Table, RecordBatch or RecordBatchReader
        (anything with ``__arrow_c_stream__``), or a pandas DataFrame.
    where
        Words for messages: the dataset.

    Raises
    ------
    DataError
        A file rule is broken; see `opsroom.observe.quality.RULES`.
    """
    if isinstance(source, str | Path):
        return _open_files([Path(source)], where)
    if isinstance(source, Sequence) and source and all(isinstance(s, str | Path) for s in source):
        return _open_files([Path(s) for s in source], where)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if not isinstance(source, pa.Table | pa.RecordBatchReader):
        if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
            source = _from_pandas(source, where)
        elif hasattr(source, "__arrow_c_stream__"):
            source = pa.RecordBatchReader.from_stream(source)
        else:
            raise refuse("OPS-D015", where)
    _check_names(source.schema.names, where)
    if isinstance(source, pa.Table):
        stream = ContentHash(source.schema)
        for batch in source.to_batches(max_chunksize=BATCH):
            stream.update(batch)
        batches = _number("", iter(source.to_batches(max_chunksize=BATCH)))
        return Reading(tuple(source.schema.names), batches, stream.hexdigest(), source.nbytes)
    stream = ContentHash(source.schema)
    batches = _number("", stream.through(iter(source)))
    return Reading(tuple(source.schema.names), batches, None, None, _stream=stream)


def _from_pandas(frame: pd.DataFrame, where: str) -> pa.Table:
    _check_names([str(c) for c in frame.columns], where)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of mixed objects: read it as text, so that the rows at fault can be told from the others.
        mixed = {c: frame[c].map(_as_text) for c in frame.columns if frame[c].dtype == object}
        return pa.Table.from_pandas(frame.assign(**mixed), preserve_index=False)


def _as_text(value: object) -> str | None:
    return None if value is None or value != value else str(value)


def _check_names(names: Sequence[str], where: str) -> None:
    twice = sorted({n for n in names if list(names).count(n) > 1})
    if twice or not names or any(not n.strip() for n in names):
        detail = f"given twice: {', '.join(twice)}" if twice else "a column has no name"
        raise refuse("OPS-D009", where, detail)


def _number(file: str, batches: Iterator[pa.RecordBatch], start: int = 1) -> Iterator[RawBatch]:
    for whole in batches:
        for offset in range(0, whole.num_rows, BATCH):
            part = whole.slice(offset, BATCH)
            rows = pa.array(np.arange(start, start + part.num_rows, dtype=np.int64))
            start += part.num_rows
            yield RawBatch(file, part, rows)


def _open_files(paths: list[Path], where: str) -> Reading:
    digest = hashlib.sha256()
    readers = []
    size = 0
    for path in paths:
        at = f"{where}, file {path.name!r}"
        try:
            with path.open("rb") as handle:
                head = handle.read(4)
                handle.seek(0)
                digest.update(hashlib.file_digest(handle, "sha256").digest())
            size += path.stat().st_size
        except OSError as error:
            raise refuse("OPS-D002", at, str(error.strerror)) from None
        if not head:
            raise refuse("OPS-D005", at)
        parquet = head == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")
        readers.append((_open_parquet if parquet else _open_csv)(path, at))
    names = readers[0][0]
    for (other, _), path in zip(readers[1:], paths[1:], strict=True):
        if set(other) != set(names):
            raise refuse("OPS-D003", f"{where}, file {path.name!r}", "the files differ in their columns")
    files = tuple(path.name for path in paths)
    return Reading(names, _one_after_another([b for _, b in readers]), digest.hexdigest(), size, files)


def _one_after_another(readers: Sequence[Iterator[RawBatch]]) -> Iterator[RawBatch]:
    base = last = 0
    for batches in readers:
        base += last
        last = 0
        for batch in batches:
            last = max([last, *(row for row, _, _ in batch.broken), *batch.rows[-1:].to_pylist()])
            yield replace(batch, base=base)


def _open_parquet(path: Path, at: str) -> tuple[tuple[str, ...], Iterator[RawBatch]]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise refuse("OPS-D006", at) from None
    names = tuple(file.schema_arrow.names)
    _check_names(names, at)

    def read() -> Iterator[pa.RecordBatch]:
        try:
            with file:
                yield from file.iter_batches(batch_size=BATCH)
        except (pa.ArrowException, OSError):
            raise refuse("OPS-D006", at) from None

    return names, _number(path.name, read())


def _open_csv(path: Path, at: str) -> tuple[tuple[str, ...], Iterator[RawBatch]]:
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head:
        raise refuse("OPS-D008", at)
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    delimiter = max(",;\t|", key=lambda mark: line.count(mark.encode()))
    broken: list[tuple[int, str, str]] = []

    def keep(row: Any) -> str:  # pyarrow's InvalidRow
        if row.text.strip():
            broken.append((row.number, "OPS-D020", row.text))
        else:
            broken.append((row.number, "", ""))
        return "skip"

    try:
        # The first reading learns the header alone; a header that fills the first block is refused as a line.
        with pacsv.open_csv(path, *_options(delimiter, [], keep)) as reader:
            raw = reader.schema.names
    except pa.ArrowInvalid as error:
        raise _csv_error(error, at) from None
    except UnicodeDecodeError:
        raise refuse("OPS-D008", at) from None
    names = tuple(n.strip() for n in raw)
    _check_names(names, at)
    broken.clear()
    return names, _read_csv(path, at, delimiter, raw, names, broken, keep)


def _options(
    delimiter: str, names: list[str], keep: Any
) -> tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions]:
    return (
        # One thread: row numbers of invalid lines are only known then, and the memory is bounded.
        pacsv.ReadOptions(block_size=BLOCK, use_threads=False),
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
) -> Iterator[RawBatch]:
    number = 2  # of the next line; 1 is the header
    try:
        with pacsv.open_csv(path, *_options(delimiter, raw, keep)) as reader:
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
