"""Spark: on this machine (``local[*]``), a standalone cluster (``spark://…``) or behind Spark Connect (``sc://…``).

The as-of view is taken by its definition, the latest row of each key: `opsroom.observe.views` writes its SQL, and
sqlglot, on which Ibis rests, turns it into Spark's dialect; the committed files of the Delta log are read as plain
Parquet, so that no jar of Delta is needed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from opsroom.base.errors import InternalError, StoreError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines.session import acquire, release, require_spark

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa


class SparkEngine:
    """Spark, started at the first use.

    Parameters
    ----------
    settings
        Where and how it runs.

    Raises
    ------
    SettingsError
        pyspark or Java is not installed.
    """

    name = "spark"

    def __init__(self, settings: SparkSettings) -> None:
        require_spark(settings)
        self.settings = settings
        self._session: Any = None  # pyspark's session, classic or Connect
        self._backend: Any = None

    @property
    def session(self) -> Any:  # pyspark's session, classic or Connect
        """The Spark session; the first use starts it."""
        if self._session is None:
            self._session = acquire(self.settings)
        return self._session

    @property
    def backend(self) -> Any:  # an Ibis backend
        """The Ibis backend; the first use starts it."""
        if self._backend is None:
            import ibis

            self._backend = ibis.pyspark.connect(self.session)
        return self._backend

    def view(self, name: str, sql: str) -> ibis.Table:
        """Make a view of a dataset's committed files and return it; see `Engine.view`.

        Raises
        ------
        StoreError
            A data file cannot be found: every worker has to see the room's folder under the same path.
        """
        from pyspark.errors import PySparkException

        try:
            self.session.sql(self._translated(sql)).createOrReplaceTempView(name)
        except PySparkException as error:
            if "PATH_NOT_FOUND" in str(error):
                raise StoreError(
                    "Spark does not find a data file of the store.",
                    remedy="Give every worker the room's folder under the same path.",
                    code="OPS-F026",
                ) from None
            raise InternalError("Spark cannot read the as-of view.", code="OPS-I032") from None
        return self.backend.table(name)

    def _translated(self, sql: str) -> str:
        """Return a view's SQL in Spark's dialect, with a view for each list of files."""
        import sqlglot
        from sqlglot import exp

        tree = sqlglot.parse_one(sql, read="duckdb")
        for part in list(tree.find_all(exp.CTE)):
            part.set("materialized", None)  # Spark decides by itself
        for reader in list(tree.find_all(exp.ReadParquet)):
            named = reader.find(exp.Array)
            files = [str(literal.this) for literal in named.expressions] if named is not None else []
            reader.replace(exp.to_identifier(self._files(files), quoted=True))
        return tree.sql("spark")

    def _files(self, files: list[str]) -> str:
        from pyspark.sql.pandas.types import from_arrow_schema

        # Files of one scan have the columns asked for in common, whichever version of the dataset wrote them.
        schema = from_arrow_schema(pq.read_schema(files[0]))
        for field in schema.fields:
            field.nullable = True
        name = f"files_{hashlib.sha256(repr(files).encode()).hexdigest()[:24]}"
        frame = self.session.read.schema(schema).parquet(*map(_uri, files))
        frame.createOrReplaceTempView(name)
        return name

    def put(self, name: str, rows: pa.Table) -> ibis.Table:
        """Give the engine a table of one's own, to be joined with those of the store."""
        self.session.createDataFrame(rows).createOrReplaceTempView(name)
        return self.backend.table(name)

    def close(self) -> None:
        """Stop the engine; its tables end with it."""
        self._backend = None
        if self._session is not None:
            release(self.settings)
            self._session = None


def _uri(path: str) -> str:
    """Return a path as Hadoop reads it: a pattern, in which special characters are escaped."""
    if "://" in path:
        return path
    return "file://" + "".join(f"\\{c}" if c in "*?[]{}\\" else c for c in path)
