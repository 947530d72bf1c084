"""The way out of an engine: a table's rows in Arrow, with the same types and bits from each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from opsroom.base.errors import DataError, InternalError
from opsroom.base.verbs.lowering import engine_of
from opsroom.base.verbs.top_direct import compute

if TYPE_CHECKING:
    import pyarrow as pa


def collect(table: ibis.Table) -> pa.Table:
    """Compute a table and return it in Arrow.

    Returns
    -------
    pyarrow.Table
        Whole numbers int64, other numbers float64, days date32, moments timestamp[us, UTC], texts string,
        whichever engine computed them.

    Raises
    ------
    DataError
        The computation cannot be done on these data, such as a sum beyond 64 bits.

    Notes
    -----
    Use it in place of Ibis' ``to_pyarrow``, which on Spark goes by way of pandas: int64 columns with nulls lose
    their last digits.
    """
    if engine_of(table) == "duckdb":
        return canonical(_duckdb(table))
    return canonical(_spark(table))


def canonical(found: pa.Table) -> pa.Table:
    """Return an Arrow table with the types that `collect` promises."""
    import pyarrow as pa

    fields = [pa.field(f.name, _canonical(f.type)) for f in found.schema]
    return found.cast(pa.schema(fields))


def _canonical(kind: pa.DataType) -> pa.DataType:
    import pyarrow.types as at
    from pyarrow import float64, int64, string, timestamp

    if at.is_integer(kind):
        return int64()
    if at.is_floating(kind):
        return float64()
    if at.is_timestamp(kind):
        return timestamp("us", "UTC")
    if at.is_large_string(kind) or at.is_string_view(kind):
        return string()
    return kind


def _duckdb(table: ibis.Table) -> pa.Table:
    import duckdb

    try:
        direct = compute(table)
        return table.to_pyarrow() if direct is None else direct
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        raise beyond() from None
    except duckdb.Error:
        raise failed("DuckDB") from None


def _spark(table: ibis.Table) -> pa.Table:
    from pyspark.errors import ArithmeticException, NumberFormatException, PySparkException

    try:
        return spark_frame(table).toArrow()
    except (ArithmeticException, NumberFormatException):
        raise beyond() from None
    except PySparkException as error:
        if "ARITHMETIC_OVERFLOW" in str(error) or "NUMERIC_VALUE_OUT_OF_RANGE" in str(error):
            raise beyond() from None
        raise failed("Spark") from None


def spark_frame(table: ibis.Table) -> Any:  # a pyspark DataFrame, classic or Connect
    """Return a table on Spark as the DataFrame that computes it."""
    backend: Any = table.get_backend()
    backend._run_pre_execute_hooks(table)
    return backend._session.sql(backend.compile(table))


def beyond() -> DataError:
    """Return the error for numbers that do not fit."""
    return DataError(
        "a figure goes beyond 64 bits.",
        remedy="Use a larger minor unit, or filter out the rows with impossible values.",
        code="OPS-D095",
    )


def failed(engine: str) -> InternalError:
    """Return the error for a query that the engine refuses: its own words may hold values."""
    return InternalError(f"{engine} cannot compute a table built by verbs.", code="OPS-I030")
