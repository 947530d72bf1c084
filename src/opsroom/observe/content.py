"""A content hash of Arrow data, by which a delivery is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ContentHash:
    """A content hash of Arrow columns that does not depend on how they are cut into batches.

    Each column has three running hashes, of the positions of its nulls, of the lengths of its texts, and of
    its bytes: each is a plain concatenation over the rows.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._names = [f"{f.name}:{f.type}" for f in schema]
        self._hashes = [tuple(hashlib.sha256() for _ in range(3)) for _ in schema]
        self._rows = 0

    def through(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hash batches on their way."""
        for batch in batches:
            self.update(batch)
            yield batch

    def update(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        for column, (nulls, lengths, content) in zip(batch.columns, self._hashes, strict=True):
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if column.null_count:
                empty = pc.is_null(column).to_numpy(zero_copy_only=False)
                nulls.update((np.flatnonzero(empty) + self._rows).tobytes())
            if pa.types.is_null(column.type):
                continue
            width = _width(column.type)
            if width is not None:
                content.update(_fixed(column, width))
            elif pa.types.is_nested(column.type):
                content.update(repr(column.to_pylist()).encode())
            else:
                text = column.cast(pa.large_binary()).fill_null(b"")
                lengths.update(pc.binary_length(text).to_numpy())
                offsets = np.frombuffer(text.buffers()[1], np.int64, len(text) + 1, text.offset * 8)
                if text.buffers()[2] is not None:
                    content.update(memoryview(text.buffers()[2])[offsets[0] : offsets[-1]])
        self._rows += batch.num_rows

    def hexdigest(self) -> str:
        """Return the hash over schema, number of rows and all columns."""
        whole = hashlib.sha256(f"{self._names}{self._rows}".encode())
        for digests in self._hashes:
            for digest in digests:
                whole.update(digest.digest())
        return whole.hexdigest()


def _width(kind: pa.DataType) -> int | None:
    """Return the bytes of a fixed-width type, None for the others."""
    if pa.types.is_boolean(kind):
        return 1
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        return None


def _fixed(column: pa.Array, width: int) -> Any:  # a buffer or array of bytes
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    values = column.buffers()[1]
    if values is None:
        return b""
    data = memoryview(values)[column.offset * width : (column.offset + len(column)) * width]
    if not column.null_count:
        return data
    # What lies under a null is anything: it must not change the hash.
    matrix = np.frombuffer(data, np.uint8).reshape(len(column), width).copy()
    matrix[pc.is_null(column).to_numpy(zero_copy_only=False)] = 0
    return matrix
