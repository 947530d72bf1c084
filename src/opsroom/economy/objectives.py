"""What Meridia's (fictional) institutions want a plan to be good at: the entries of its objectives register."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pyarrow as pa

PARLIAMENT: Final = ("Parliament of Meridia (fictional)", "Supply Act of Meridia, section 2 (fictional)")
HEALTH: Final = ("Ministry of Health of Meridia (fictional)", "Supply Act of Meridia, section 4 (fictional)")
FOOD: Final = ("Ministry of Agriculture of Meridia (fictional)", "Supply Act of Meridia, section 5 (fictional)")
START: Final = dt.date(2019, 1, 1)
EMERGENCY: Final = dt.date(2020, 3, 2)
"""From this day health weighs more; it became known on the day before."""

Entry = tuple[str, str, float, str, str, dt.date]
FIRST: Final[tuple[Entry, ...]] = (
    ("weight", "_T", 1.0, *PARLIAMENT, START),
    ("weight", "A", 1.3, *FOOD, START),
    ("weight", "D", 1.3, *PARLIAMENT, START),
    ("weight", "E", 1.2, *PARLIAMENT, START),
    ("weight", "Q", 1.5, *HEALTH, START),
    ("weight", "R", 0.8, *PARLIAMENT, START),
    *(("class", section, 1.0, *PARLIAMENT, START) for section in ("A", "D", "E", "Q")),
    *(("class", section, 2.0, *PARLIAMENT, START) for section in ("C", "G", "H", "J", "O", "P")),
    ("floor", "A", 0.3, *FOOD, START),
    ("floor", "D", 0.3, *PARLIAMENT, START),
    ("floor", "Q", 0.3, *HEALTH, START),
)
SECOND: Final[tuple[Entry, ...]] = (("weight", "Q", 2.0, *HEALTH, EMERGENCY),)
SCHEMA: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("product", pa.string()),
        ("value", pa.float64()),
        ("owner", pa.string()),
        ("legal_basis", pa.string()),
        ("valid_from", pa.date32()),
        ("valid_to", pa.date32()),
    ]
)


def first_entries() -> pa.Table:
    """Return the register as it stood before the shock."""
    return _table([(*entry, None) for entry in FIRST])


def emergency_entries() -> pa.Table:
    """Return what the emergency changed: the new entries, and the end of those that they replace."""
    last = EMERGENCY - dt.timedelta(days=1)
    replaced = {entry[:2] for entry in SECOND}
    ended = [(*entry, last) for entry in FIRST if entry[:2] in replaced]
    return _table([*ended, *((*entry, None) for entry in SECOND)])


def _table(rows: list[tuple[str, str, float, str, str, dt.date, dt.date | None]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)
