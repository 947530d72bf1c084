"""The public room of the United States: two true vintages of the New York Fed's panel.

The panel (29 series; vintages of 2016-06-29 and 2016-07-29) ships with statsmodels' own tests; the Federal
Reserve Bank of New York licenses it under BSD-3-Clause. Nothing of it is copied here: it is read from the
installed package.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from opsroom.base.errors import NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

DATASET = "us_panel"
VINTAGES = (dt.date(2016, 6, 29), dt.date(2016, 7, 29))
QUARTERLY = ("GDPC1", "ULCNFB", "A261RX1Q020SBEA")
_FOLDER = "tests/results/frbny_nowcast/Nowcasting/data/US"
_HOUR = 21
"""UTC hour of a vintage: the evening in New York, when all of the day's releases are out."""


@dataclass(frozen=True, slots=True)
class PublicDelivery:
    """One vintage, ready for ``room.ingest(dataset, table, known_at)``."""

    dataset: str
    known_at: dt.datetime
    table: pa.Table
    provider: str = "Federal Reserve Bank of New York"
    note: str = ""


@dataclass(frozen=True, slots=True)
class PublicRoom:
    """All that makes a public room: texts of ``room.toml`` and of the specifications, and the deliveries."""

    settings: str
    specs: tuple[str, ...]
    deliveries: tuple[PublicDelivery, ...]


def us_room() -> PublicRoom:
    """Return the US room: settings, dataset specification and the two vintages in order.

    Raises
    ------
    NotFoundError
        The installed statsmodels was packed without its tests.
    """
    here = resources.files("opsroom.room") / "public_us"
    return PublicRoom(
        settings=(here / "room.toml").read_text(encoding="utf-8"),
        specs=((here / "us_panel.toml").read_text(encoding="utf-8"),),
        deliveries=tuple(_delivery(day) for day in VINTAGES),
    )


def vintage(day: dt.date) -> pa.Table:
    """Read one vintage as a long table: ``series_id, month, value``.

    Parameters
    ----------
    day
        One of `VINTAGES`.

    Returns
    -------
    pyarrow.Table
        Levels as published; quarterly series stand in the last month of their quarter. Sorted by series and
        month.

    Raises
    ------
    NotFoundError
        There is no vintage of that day, or the installed statsmodels was packed without its tests.
    """
    import pandas as pd
    import pyarrow as pa

    if day not in VINTAGES:
        raise NotFoundError(
            f"there is no US vintage of {day.isoformat()}.",
            remedy=f"Use {' or '.join(d.isoformat() for d in VINTAGES)}.",
        )
    file = resources.files("statsmodels.tsa.statespace") / _FOLDER / f"{day.isoformat()}.csv"
    if not file.is_file():
        raise NotFoundError(
            "the installed statsmodels does not hold the New York Fed's vintages (its tests are missing).",
            remedy="Install statsmodels from its wheel, which contains them.",
        )
    with file.open("rb") as handle:
        wide = pd.read_csv(handle)
    # Years are written with two digits; none of the periods lies after the vintage.
    month = pd.to_datetime(wide.pop("Date"), format="%m/%d/%y")
    month = month.where(month <= pd.Timestamp(day), month - pd.DateOffset(years=100))
    long = wide.assign(month=month.dt.date).melt("month", var_name="series_id", value_name="value").dropna()
    long = long.sort_values(["series_id", "month"], kind="stable")
    return pa.table(
        {
            "series_id": pa.array(long["series_id"], pa.string()),
            "month": pa.array(long["month"], pa.date32()),
            "value": pa.array(long["value"], pa.float64()),
        }
    )


def _delivery(day: dt.date) -> PublicDelivery:
    known_at = dt.datetime.combine(day, dt.time(_HOUR), tzinfo=dt.UTC)
    return PublicDelivery(DATASET, known_at, vintage(day), note=f"vintage of {day.isoformat()}")
