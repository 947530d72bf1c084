"""DuckDB: the default engine, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsroom.base.errors import StoreError

if TYPE_CHECKING:
    import duckdb
    import ibis
    import pyarrow as pa
    from ibis.backends.duckdb import Backend


class DuckEngine:
    """DuckDB in this process.

    Parameters
    ----------
    threads
        Its threads; None for as many as there are cores.
    """

    name = "duckdb"

    def __init__(self, *, threads: int | None = None) -> None:
        self.threads = threads
        self._backend: Backend | None = None

    @property
    def backend(self) -> Backend:
        """The Ibis backend; the first use starts it."""
        if self._backend is None:
            import ibis

            settings: dict[str, Any] = {} if self.threads is None else {"threads": self.threads}
            self._backend = ibis.duckdb.connect(**settings)
            self._backend.raw_sql("SET TimeZone = 'UTC'")
            # The system's cache of local files is enough; the engine's own would hold them a second time.
            self._backend.raw_sql("SET enable_external_file_cache = false")
        return self._backend

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a statement over the store's files.

        Raises
        ------
        StoreError
            A data file cannot be read.
        """
        import duckdb

        try:
            result: duckdb.DuckDBPyConnection = self.backend.con.execute(sql)
            return result
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException):
            # The engine's own words may hold values of the data: they are not passed on.
            raise StoreError(
                "a data file of the store cannot be read.",
                remedy="Check the disk; restore the room from a backup if a file is missing or damaged.",
                code="OPS-F022",
            ) from None

    def view(self, name: str, sql: str) -> ibis.Table:
        """Make a view of a dataset's committed files and return it; see `Engine.view`."""
        self.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {sql}')
        return self.backend.table(name)

    def put(self, name: str, rows: pa.Table) -> ibis.Table:
        """Give the engine a table of one's own, to be joined with those of the store."""
        return self.backend.create_table(name, rows, temp=True, overwrite=True)

    def close(self) -> None:
        """Stop the engine; its tables end with it."""
        if self._backend is not None:
            self._backend.disconnect()
            self._backend = None
