"""The way back in: refused rows exported for correction, and corrected rows linked to the delivery they came from.

A row in quarantine is known by its delivery, file and row number. It can come back once: what came back is noted
beside the delivery that brought it, so that nothing is counted twice and what is still open can be told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import sqlalchemy as sa

from opsroom.base.errors import DataError, NotFoundError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import METADATA
from opsroom.observe.ingest import ingest

if TYPE_CHECKING:
    from opsroom.observe.report import IngestReport
    from opsroom.observe.store import Store

RETURNS = sa.Table(
    "quarantine_returns",
    METADATA,
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("delivery", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("file", sa.String(400), primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("returned_by", sa.Integer, nullable=False),
)

PLACE = ("_file", "_row")
"""Columns of an export that say which row it was; they must stay as they are."""

TOLD = ("_field", "_code", "_faults", "_line")
"""Columns of an export that say what was wrong; they are dropped when the row comes back."""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Held:
    """What one delivery left in quarantine.

    Attributes
    ----------
    dataset, delivery
        Which delivery.
    rows, returned
        Rows refused, and those of them that came back.
    reasons
        Rows refused by rule.
    """

    dataset: str
    delivery: int
    rows: int
    returned: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Rows that did not come back yet."""
        return self.rows - self.returned


def held(store: Store, dataset: str) -> list[Held]:
    """Return what the deliveries of a dataset left in quarantine, oldest first."""
    back = Counter(delivery for delivery, _, _ in _returned(store, dataset))
    return [
        Held(dataset, d.delivery, d.quarantined, back[d.delivery], d.reasons)
        for d in store.deliveries(dataset)
        if d.quarantined
    ]


def export_rows(store: Store, dataset: str, delivery: int) -> pa.Table:
    """Return the refused rows of a delivery that did not come back yet, in the columns of the source, as text.

    Confidential: an audited act of the steward.

    Raises
    ------
    NotFoundError
        The delivery left nothing in quarantine.
    """
    spec = store.spec(dataset)
    store.files(dataset)  # refused rows are data, too: whoever may not read the dataset may not read them
    rows = store.quarantine(dataset, delivery).to_pylist()
    if not rows:
        raise NotFoundError(
            f"delivery {delivery} of dataset {dataset!r} left nothing in quarantine.",
            remedy="See `opsroom quarantine list`.",
            code="OPS-N031",
        )
    gone = {(file, row) for number, file, row in _returned(store, dataset) if number == delivery}
    left = [r for r in rows if (r["file"], r["row"]) not in gone]
    records = [_record(r, spec) for r in left]
    names = list(dict.fromkeys([f.source for f in spec.fields] + [name for r in records for name in r]))
    columns = {name: pa.array([r.get(name) for r in records], pa.string()) for name in names if name != "_line"}
    told = {
        "_file": pa.array([r["file"] for r in left], pa.string()),
        "_row": pa.array([r["row"] for r in left], pa.int64()),
        "_field": pa.array([r["field"] for r in left], pa.string()),
        "_code": pa.array([r["code"] for r in left], pa.string()),
        "_faults": pa.array([r["faults"] for r in left], pa.string()),
        "_line": pa.array([r.get("_line") for r in records], pa.string()),
    }
    return pa.table(told | columns)


def _record(row: Mapping[str, Any], spec: DatasetSpec) -> dict[str, str | None]:
    """Return a refused row in the source's columns, as text; a line that could not be split as ``_line``."""
    try:
        values = json.loads(row["record"])
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return {"_line": row["record"]}
    if row["code"] not in ("OPS-D031", "OPS-D033"):
        return {name: None if value is None else str(value) for name, value in values.items()}
    # Rows that the comparison refused are in the store's form: back into the source's names and units.
    found: dict[str, str | None] = {}
    for one in spec.fields:
        value = values.get(one.name)
        if value is not None and one.given == "major" and one.scale is not None:
            value = Decimal(value).scaleb(-one.scale)
        found[one.source] = None if value is None else str(value)
    return found


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write exported rows to a new file: ``.csv`` or ``.parquet``, readable by its owner alone.

    Raises
    ------
    UsageError
        The file exists, or its name ends otherwise.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError("rows are exported as .csv or .parquet.", remedy="Name such a file.", code="OPS-U033")
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise UsageError(f"{path.name} is there already.", remedy="Name a new file.", code="OPS-U034") from None
    if path.suffix.lower() == ".csv":
        pacsv.write_csv(rows, path)
    else:
        pq.write_table(rows, path)


def return_rows(store: Store, dataset: str, delivery: int, path: Path, *, actor: str) -> IngestReport:
    """Take corrected rows in again, as a delivery of their own that is linked to the one they came from.

    Parameters
    ----------
    store, dataset, delivery
        The store, the dataset, and the delivery that left the rows in quarantine.
    path
        An export with its values corrected; rows that cannot be corrected are left out and stay open.
    actor
        Who returns them.

    Raises
    ------
    UsageError
        The dataset takes complete deliveries (snapshots): a few rows would take back all the others.
    DataError
        A row is not one of that delivery's refused rows, came back before, or is given twice.
    """
    spec = store.spec(dataset)
    if spec.snapshot:
        raise UsageError(
            f"dataset {dataset!r} takes complete deliveries; a part of one cannot come back.",
            remedy="Ask the provider for the whole file, corrected.",
            code="OPS-U035",
        )
    rows = _read(path)
    places = _places(rows, path.name)
    refused = {(r["file"], r["row"]) for r in store.quarantine(dataset, delivery).select(["file", "row"]).to_pylist()}
    back = {(file, row): by for (number, file, row), by in _returned(store, dataset).items() if number == delivery}
    where = f"dataset {dataset!r}, file {path.name!r}"
    if strange := [n for n, place in enumerate(places, 1) if place not in refused]:
        raise _refusal(where, strange, f"not among the refused rows of delivery {delivery}")
    if again := [n for n, place in enumerate(places, 1) if place in back]:
        raise _refusal(where, again, "returned already")
    if len(set(places)) < len(places):
        twice = [n for n, place in enumerate(places, 1) if place in places[: n - 1]]
        raise _refusal(where, twice, "given twice")
    content = rows.select([c for c in rows.column_names if not c.startswith("_")])
    report = ingest(store, spec, content, actor=actor, reason=f"returned from quarantine of delivery {delivery}")
    _link(store, dataset, delivery, places, report.delivery)
    return report


def _refusal(where: str, rows: Sequence[int], rule: str) -> DataError:
    told = ", ".join(str(n) for n in rows[:5]) + (" …" if len(rows) > 5 else "")
    return DataError(
        f"{where}: {len(rows)} row(s) {rule}: {told}.",
        remedy="Correct an export of `opsroom quarantine export`; leave _file and _row as they are.",
        code="OPS-D052",
    )


def _read(path: Path) -> pa.Table:
    where = f"file {path.name!r}"
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            rows = pq.read_table(path)
        else:
            # First the names alone, so that every column is read as text: the checks of the dataset do the rest.
            names = pacsv.open_csv(path).schema.names
            kinds = pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            rows = pacsv.read_csv(path, convert_options=kinds)
    except (OSError, pa.ArrowException):
        raise DataError(f"{where}: it cannot be read.", remedy="Save it as CSV (UTF-8) or Parquet.") from None
    missing = [c for c in PLACE if c not in rows.column_names]
    if missing:
        raise DataError(
            f"{where}: columns are missing: {', '.join(missing)}.",
            remedy="Correct an export of `opsroom quarantine export`.",
            code="OPS-D003",
        )
    return rows


def _places(rows: pa.Table, name: str) -> list[Place]:
    try:
        numbers = rows.column("_row").cast(pa.int64()).to_pylist()
    except pa.ArrowInvalid:
        numbers = [None]
    files = [str(f or "") for f in rows.column("_file").to_pylist()]
    if None in numbers or not numbers:
        raise DataError(f"file {name!r}: _row is empty or no number.", remedy="Leave _row as it was exported.")
    return list(zip(files, numbers, strict=True))


def _returned(store: Store, dataset: str) -> dict[tuple[int, str, int], int]:
    query = sa.select(RETURNS).where(RETURNS.c.dataset == dataset)
    with store.state.read() as connection:
        return {(r.delivery, r.file, r.row): r.returned_by for r in connection.execute(query)}


def _link(store: Store, dataset: str, delivery: int, places: Sequence[Place], by: int) -> None:
    with store.state.begin() as connection:
        connection.execute(
            RETURNS.insert(),
            [
                {"dataset": dataset, "delivery": delivery, "file": file, "row": row, "returned_by": by}
                for file, row in places
            ],
        )


def returned_from(store: Store, dataset: str, delivery: int) -> int | None:
    """Return the delivery whose refused rows a delivery brought back, None where it brought none."""
    query = sa.select(RETURNS.c.delivery).where((RETURNS.c.dataset == dataset) & (RETURNS.c.returned_by == delivery))
    with store.state.read() as connection:
        found = connection.scalar(query.limit(1))
    return None if found is None else int(found)
