"""What the store asks of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa


class Engine(Protocol):
    """An engine on which Ibis tables live.

    Attributes
    ----------
    name
        ``"duckdb"`` or ``"spark"``.
    """

    name: str

    @property
    def backend(self) -> Any:  # an Ibis backend; Ibis has no type for both
        """The Ibis backend; the first use starts it."""
        ...

    def view(self, name: str, sql: str) -> ibis.Table:
        """Make a view of a dataset's committed files and return it.

        Parameters
        ----------
        name
            Name of the view, unique for its text.
        sql
            Its text in DuckDB's dialect (see `opsroom.observe.views`).
        """
        ...

    def put(self, name: str, rows: pa.Table) -> ibis.Table:
        """Give the engine a table of one's own, to be joined with those of the store."""
        ...

    def close(self) -> None:
        """Stop the engine; its tables end with it."""
        ...
