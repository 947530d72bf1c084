"""Tables put aside on disk until they are asked for, once."""

from __future__ import annotations

import tempfile
from typing import IO

import pyarrow as pa
from pyarrow import feather


class Spool:
    """Nameless files in the system's temporary space: they go with the process, however it ends.

    Several deliveries come from one simulation of a chunk's books. What is not delivered yet waits here
    rather than in memory.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, IO[bytes]] = {}

    def put(self, name: str, table: pa.Table) -> None:
        """Put a table aside under a name; one of the same name gives way."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open until it is taken
        feather.write_feather(table, file, compression="uncompressed")
        self._drop(name)
        self._waiting[name] = file

    def take(self, name: str) -> pa.Table | None:
        """Return the table and forget it; None where there is none of that name."""
        file = self._waiting.get(name)
        if file is None:
            return None
        file.seek(0)
        table = feather.read_table(file, memory_map=False)
        self._drop(name)
        return table

    def _drop(self, name: str) -> None:
        file = self._waiting.pop(name, None)
        if file is not None:
            file.close()

    def __del__(self) -> None:
        for name in list(self._waiting):
            self._drop(name)
