"""Read what a provider sends, in bounded memory: CSV, Parquet, XLSX, Arrow, pandas → raw batches with row numbers.

Row numbers are those that a person sees: in CSV the line's number counting from the top of the file as 1 (a
record with line breaks inside quotes counts once), in a workbook the sheet's, elsewhere the row's from 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base.layout import PLAIN, Layout
from opsroom.observe.content import ContentHash
from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch, check_names, filled_names
from opsroom.observe.sources.delimited import open_csv
from opsroom.observe.sources.einvoice import COLUMNS, is_invoices, read_invoices
from opsroom.observe.sources.kinds import check_kind
from opsroom.observe.sources.workbook import as_batch, sheet_batches, sheet_rows

if TYPE_CHECKING:
    import pandas as pd

BATCH = 1 << 18
"""Rows of a batch, at most."""

Source = "Path | str | Sequence[Path | str] | pa.Table | pa.RecordBatch | pa.RecordBatchReader | pd.DataFrame"


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


def open_source(source: Any, *, where: str, layout: Layout = PLAIN) -> Reading:  # any of the kinds below; checked here
    """Open a source for one reading.

    Parameters
    ----------
    source
        Path (or list of paths) of CSV, Parquet or XLSX files or of electronic invoices (XML, folder, zip), a pyarrow
        Table, RecordBatch or RecordBatchReader (anything with ``__arrow_c_stream__``), or a pandas DataFrame.
    where
        Words for messages: the dataset.
    layout
        How files are laid out, where they are not plain tables.

    Raises
    ------
    DataError
        A file rule is broken; see `opsroom.observe.quality.RULES`.
    """
    if isinstance(source, str | Path):
        return _open_files([Path(source)], where, layout)
    if isinstance(source, Sequence) and source and all(isinstance(s, str | Path) for s in source):
        return _open_files([Path(s) for s in source], where, layout)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if not isinstance(source, pa.Table | pa.RecordBatchReader):
        if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
            source = _from_pandas(source, where)
        elif hasattr(source, "__arrow_c_stream__"):
            source = pa.RecordBatchReader.from_stream(source)
        else:
            raise refuse("OPS-D015", where)
    check_names(source.schema.names, where)
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
    check_names([str(c) for c in frame.columns], where)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of mixed objects: read it as text, so that the rows at fault can be told from the others.
        mixed = {c: frame[c].map(_as_text) for c in frame.columns if frame[c].dtype == object}
        return pa.Table.from_pandas(frame.assign(**mixed), preserve_index=False)


def _as_text(value: object) -> str | None:
    return None if value is None or value != value else str(value)


def _number(file: str, batches: Iterator[pa.RecordBatch], start: int = 1) -> Iterator[RawBatch]:
    for whole in batches:
        for offset in range(0, whole.num_rows, BATCH):
            part = whole.slice(offset, BATCH)
            rows = pa.array(np.arange(start, start + part.num_rows, dtype=np.int64))
            start += part.num_rows
            yield RawBatch(file, part, rows)


def _open_files(paths: list[Path], where: str, layout: Layout) -> Reading:
    digest = hashlib.sha256()
    readers = []
    size = 0
    for path in paths:
        at = f"{where}, file {path.name!r}"
        try:
            if is_invoices(path):
                content, held, batches = read_invoices(path, at)
                digest.update(bytes.fromhex(content))
                size += held
                readers.append((COLUMNS, batches))
                continue
            with path.open("rb") as handle:
                head = handle.read(512)
                handle.seek(0)
                digest.update(hashlib.file_digest(handle, "sha256").digest())
            size += path.stat().st_size
        except OSError as error:
            raise refuse("OPS-D002", at, str(error.strerror)) from None
        if not head:
            raise refuse("OPS-D005", at)
        check_kind(path, head, at, below=layout.skip_rows > 0)
        if head.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq"):
            readers.append(_open_parquet(path, at))
        elif head.startswith(b"PK\x03\x04"):
            readers.append(_open_workbook(path, at, layout))
        else:
            readers.append(open_csv(path, at, layout))
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
    except (pa.ArrowException, OSError, UnicodeError):
        raise refuse("OPS-D006", at) from None
    names = tuple(file.schema_arrow.names)
    check_names(names, at)

    def read() -> Iterator[pa.RecordBatch]:
        try:
            with file:
                yield from file.iter_batches(batch_size=BATCH)
        except (pa.ArrowException, OSError, UnicodeError):
            raise refuse("OPS-D006", at) from None

    return names, _number(path.name, read())


def _open_workbook(path: Path, at: str, layout: Layout) -> tuple[tuple[str, ...], Iterator[RawBatch]]:
    rows = sheet_rows(path, at, layout.sheet, layout.decimal)
    header = next((cells for number, cells in rows if number == layout.skip_rows + 1), None)
    if header is None:
        raise refuse("OPS-D005", at)
    while header and header[-1] is None:
        header.pop()
    names = tuple((cell or "").strip() for cell in header)
    if layout.fill_header:
        names = filled_names(names)
    check_names(names, at)

    def read() -> Iterator[RawBatch]:
        for columns, numbers, broken in sheet_batches(rows, len(names)):
            notes: tuple[int, ...] = ()
            if layout.notes:
                notes = tuple(row for row, _, text in broken if sum(bool(c.strip()) for c in text.split("|")) <= 1)
                broken = [b for b in broken if b[0] not in set(notes)]
            yield RawBatch(path.name, as_batch(names, columns), pa.array(numbers), tuple(broken), notes=notes)

    return names, read()
