"""A small room of a dataset of which tables may be asked, with planted companies; for the tests of table queries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.room import Room

REGIONS = ("R1", "R2", "R3", "R4")
SECTORS = ("food", "steel", "trade", "ships")
SIZES = ("small", "large")
KNOWN = dt.datetime(2020, 3, 4, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2020, 3, 5, 12, tzinfo=dt.UTC)
FIRST, SECOND = dt.date(2020, 3, 4), dt.date(2020, 3, 5)
AMOUNT = 918_273_645
"""Sales, in cents, of the one company that is planted in (R3, ships)."""

SPEC = """
schema_version = 1
name = "vat"
title = "Sales of enterprises"
legal_basis = "a test"
licence = "confidential"
frequency = "M"
period = "month"
key = ["company", "month"]
confidential = true
unit = "enterprise"
unit_field = "company"
group_field = "holding"
{tables}

[[fields]]
name = "company"
type = "integer"

[[fields]]
name = "month"
type = "date"

[[fields]]
name = "holding"
type = "string"

[[fields]]
name = "region"
type = "code"
codes = ["R1", "R2", "R3", "R4"]
required = true

[[fields]]
name = "sector"
type = "code"
codes = ["food", "steel", "trade", "ships"]
required = true

[[fields]]
name = "size"
type = "code"
codes = ["small", "large"]

[[fields]]
name = "sales"
type = "money"
currency = "EUR"
scale = 2
required = true

[[fields]]
name = "jobs"
type = "integer"

[[fields]]
name = "exports"
type = "boolean"
required = true

[[fields]]
name = "secret"
type = "code"
codes = ["x", "y"]
confidential = true
"""

TABLES = """
[tables]
dimensions = ["region", "sector", "size"]
measures = ["sales", "jobs"]
conditions = ["exports"]
derived = ["quantile:sales=0.5", "top_share:sales=30", "hhi:sales", "regression:sales~jobs"]
max_periods = 3
"""

SETTINGS = """
schema_version = 1

[room]
title = "Tables"
timezone = "UTC"

[publish]
cadence = "on_demand"

[rules]
profile = "business"

[access]
refusal_step = {step}
"""


def companies(seed: int = 1, *, number: int = 240) -> pd.DataFrame:
    """Draw companies of a month; (R3, ships) holds one, (R4, ships) two of one holding, (R1, ships) nobody."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "company": np.arange(1, number + 1),
            "month": dt.date(2020, 1, 1),
            "region": draw.choice(REGIONS, number),
            "sector": draw.choice(SECTORS[:3], number),
            "size": draw.choice(SIZES, number, p=[0.7, 0.3]),
            "sales": draw.integers(10_000, 9_000_000, number),
            "exports": draw.random(number) < 0.4,
            "secret": "x",
        }
    )
    frame["holding"] = [f"H{k // 2}" if k % 7 == 0 else (None if k % 5 == 0 else f"G{k}") for k in frame["company"]]
    frame["jobs"] = pd.array(draw.integers(1, 300, number), dtype="Int64")
    frame.loc[frame["company"] % 11 == 0, "jobs"] = pd.NA
    planted = {
        "region": ["R2", "R2", "R2", "R2", "R2", "R3", "R4", "R4"],
        "holding": ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S7"],
        "sales": [5_000_000, 6_000_000, 7_000_000, 8_000_000, 9_000_000, AMOUNT, 4_000_000, 5_000_000],
    }
    extra = pd.DataFrame(planted).assign(
        company=range(9001, 9009), month=dt.date(2020, 1, 1), sector="ships", size="large", exports=True, secret="y"
    )
    extra["jobs"] = pd.array([50] * 8, dtype="Int64")
    return pd.concat([frame, extra], ignore_index=True)


def make_room(
    path: Path, data: pd.DataFrame | None = None, *, tables: str = TABLES, step: float = 0.0, seed: int = 1
) -> Path:
    """Make a room that knows the companies of January 2020 since 4 March."""
    settings = SETTINGS.format(step=step)
    with Room.create(path, settings=settings, specs=[SPEC.format(tables=tables)], actor="operator") as room:
        report = room.ingest("vat", companies(seed) if data is None else data, KNOWN)
        assert report.quarantined == 0
        for name, role, scope in (
            ("ada", "analyst", {}),
            ("sam", "analyst", {"region": ["R1", "R2"]}),
            ("tom", "analyst", {"region": ["R3", "R4"]}),
            ("max", "analyst", {"holding": ["S1"]}),
            ("rita", "reader", {}),
        ):
            from opsroom.protect.access import Scope

            room.users.add(name, role, by="operator", scope=Scope.of(scope))
    return path


def values(release: Any, measure: str) -> Mapping[tuple[str, ...], float | None]:
    """Return what a release shows of a measure, by codes."""
    width, at = len(release.dimensions), release.columns.index(measure)
    return {row[:width]: row[at] for row in release.rows}
