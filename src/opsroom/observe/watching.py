"""`Watch`: what is counted while a delivery passes, so that its rows can be reconciled at every hop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from opsroom.base.errors import UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.quality import refuse
from opsroom.observe.retold import Retold

if TYPE_CHECKING:
    from opsroom.observe.raw import RawBatch

ROW_CUTS = (65_535, 65_536, 1_048_575, 1_048_576)
"""Rows at which spreadsheets cut a file, with and without the header."""


BROKEN = ":OPS-D053"
"""How a fault ends that is the breach of a row rule; before it stands the rule's name."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The provider's control totals of one delivery.

    Attributes
    ----------
    rows
        Rows that the delivery holds, without headers; None where unknown.
    sums
        Sums by field over the delivery, in stored (minor) units.
    """

    rows: int | None = None
    sums: Mapping[str, Fraction] = field(default_factory=dict)

    @classmethod
    def parse(cls, spec: DatasetSpec, rows: int | None, sums: Mapping[str, object]) -> Expected:
        """Read control totals as a provider writes them.

        Parameters
        ----------
        spec
            The dataset.
        rows
            Number of rows.
        sums
            Totals by field: numbers or their text, in the unit in which the source gives the field.

        Raises
        ------
        UsageError
            A field is unknown or not numeric, or a total is no number.
        """
        found = {}
        for name, total in sums.items():
            one = spec.field(name)
            try:
                exact = Fraction(str(total))
            except (ValueError, ZeroDivisionError):
                raise UsageError(f"the control total of {name} is no number.", remedy="Correct it.") from None
            if one.type not in ("integer", "money", "quantity", "number"):
                raise UsageError(f"{name} is not numeric: it has no sum.", remedy="Name a numeric field.")
            found[name] = exact * 10 ** (one.scale or 0) if one.given == "major" else exact
        return cls(rows, found)


@dataclass(slots=True)
class Watch:
    """Counts of one delivery, hop by hop.

    Attributes
    ----------
    spec, expected
        The dataset, and the provider's control totals.
    columns
        Name and type of the source's columns, in their order.
    read
        Rows read by file; the rows that could not be split count.
    good, refused
        Rows that passed the checks, and those that did not.
    period_from, period_to
        First and last reference period among the good rows.
    tombstones
        Rows that the store added to a snapshot to take back what it no longer holds.
    revisions
        Sizes of the revisions: see `opsroom.observe.diff.Diff.sizes`.
    rules, broken
        Rows refused by row rule; places in which a dataset rule does not hold.
    kept_out
        Erasure → rows of units that it erased, which were refused for that.
    retold
        What it tells again of what is held; None where nothing of it was known.
    """

    spec: DatasetSpec
    expected: Expected = Expected()
    columns: list[tuple[str, str]] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    good: int = 0
    refused: int = 0
    period_from: date | datetime | None = None
    period_to: date | datetime | None = None
    tombstones: int = 0
    revisions: dict[str, int | float] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    broken: dict[str, int] = field(default_factory=dict)
    kept_out: Counter[int] = field(default_factory=Counter)
    retold: Retold | None = None
    _sums: dict[str, int | Fraction] = field(default_factory=dict)

    def batch(self, raw: RawBatch, good: pa.RecordBatch, refused: pa.Table | None) -> None:
        """Count one batch: as read, and as checked."""
        if not self.columns:
            schema = raw.columns.schema
            self.columns = [(name, str(kind)) for name, kind in zip(schema.names, schema.types, strict=True)]
        self.read[raw.file] = self.read.get(raw.file, 0) + raw.columns.num_rows + len(raw.broken)
        self.good += good.num_rows
        self.refused += 0 if refused is None else refused.num_rows
        if refused is not None and self.spec.rules:
            told = pc.list_flatten(pc.split_pattern(refused.column("faults"), ";"))
            self.rules.update(t.removesuffix(BROKEN) for t in told.to_pylist() if t.endswith(BROKEN))
        if good.num_rows:
            span = pc.min_max(good.column(self.spec.period))
            low, high = span["min"].as_py(), span["max"].as_py()
            self.period_from = low if self.period_from is None else min(self.period_from, low)
            self.period_to = high if self.period_to is None else max(self.period_to, high)
        for name in self.expected.sums:
            part = pc.sum(good.column(name)).as_py() or 0
            self._sums[name] = self._sums.get(name, 0) + (part if isinstance(part, int) else Fraction(part))

    def add_revisions(self, sizes: Mapping[str, int | float]) -> None:
        """Add the sizes of revisions of one chunk."""
        for name, value in sizes.items():
            self.revisions[name] = self.revisions.get(name, 0) + value

    @property
    def rows_read(self) -> int:
        """Rows read from all files."""
        return sum(self.read.values())

    def require_expected(self, where: str) -> None:
        """Compare the delivery with the provider's control totals.

        Sums are over good rows; where rows were refused a sum cannot be compared and is left to the alarm.

        Raises
        ------
        DataError
            The totals differ: the delivery is not the one that the provider sent.
        """
        if self.expected.rows is not None and self.expected.rows != self.rows_read:
            raise refuse("OPS-D050", where, "number of rows")
        if self.refused:
            return
        for name in self.sums_off():
            raise refuse("OPS-D050", where, f"sum of {name}")

    def sums_off(self) -> list[str]:
        """Return the fields whose sum differs from the control total; sums of floats by more than 1e-9 of it."""
        off = []
        for name, wanted in self.expected.sums.items():
            slack = Fraction(0) if self.spec.field(name).integral else abs(Fraction(wanted)) / 10**9
            if abs(self._sums.get(name, 0) - Fraction(wanted)) > slack:
                off.append(name)
        return off

    def facts(self) -> dict[str, Any]:  # JSON values of several types
        """Return the counts for the report."""
        return {
            "read": self.rows_read,
            "files": dict(self.read),
            "good": self.good,
            "refused_by_checks": self.refused,
            "tombstones_added": self.tombstones,
        }
