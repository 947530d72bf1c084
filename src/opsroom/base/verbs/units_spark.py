"""`map_units` on Spark: rows go to workers unit by unit, results come back in order of the units."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from opsroom.base import errors
from opsroom.base.errors import InternalError, OpsroomError
from opsroom.base.verbs.collect import failed, spark_frame
from opsroom.base.verbs.lowering import require
from opsroom.base.verbs.units import Kernel, run_kernel

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

MARK = "opsroom-kernel:"


class KernelFailure(RuntimeError):  # named for what a worker's log shows
    """What a worker tells the driver of a failed kernel: our own error, or the type of another; never a value."""


def map_on_spark(
    table: ibis.Table, *, units: Sequence[str], kernel: Kernel, schema: pa.Schema, order: Sequence[str], rows: int
) -> pa.Table:
    """Do what `opsroom.base.verbs.map_units` says, on Spark.

    Notes
    -----
    Rows are divided among workers by ranges of the units, so that no unit is divided and the workers' results,
    one after the other, stand in order of the units.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F  # its customary name
    from pyspark.sql.pandas.types import from_arrow_schema

    names = [w.removeprefix("-") for w in order]
    require(table, *names)
    frame = spark_frame(table)
    keys = [F.col(_quoted(u)).asc_nulls_last() for u in units]
    terms = [
        F.col(_quoted(n)).desc_nulls_last() if w.startswith("-") else F.col(_quoted(n)).asc_nulls_last()
        for w, n in zip(order, names, strict=True)
    ]
    spread = frame.repartitionByRange(*keys).sortWithinPartitions(*keys, *terms)
    work = _worker(list(units), kernel, schema, rows)
    try:
        found = spread.mapInArrow(work, from_arrow_schema(schema)).toArrow()
    except PySparkException as error:
        raise _told(str(error)) from None
    return found.cast(schema)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _worker(
    units: list[str], kernel: Kernel, schema: pa.Schema, rows: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for result in run_kernel(batches, units=units, kernel=kernel, schema=schema, rows=rows):
                yield from result.to_batches()
        except GeneratorExit:
            raise
        except OpsroomError as error:
            known = {"kind": type(error).__name__, "of": [error.message, error.remedy, error.code]}
            raise KernelFailure(MARK + json.dumps(known) + MARK) from None
        except Exception as error:  # noqa: BLE001  # whatever it says may hold values: only its type travels
            raise KernelFailure(MARK + json.dumps({"kind": type(error).__name__}) + MARK) from None

    return work


def _told(text: str) -> OpsroomError:
    """Return the error that a worker reported."""
    parts = text.split(MARK)
    if len(parts) < 3:
        return failed("Spark")
    told = json.loads(parts[1])
    kind = getattr(errors, told["kind"], None)
    if "of" in told and isinstance(kind, type) and issubclass(kind, OpsroomError):
        message, remedy, code = told["of"]
        return kind(message, remedy=remedy, code=code)
    return InternalError(f"a kernel failed on a worker with {told['kind']}.", code="OPS-I031")
