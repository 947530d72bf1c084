"""What a provider sends: a dataset's rows and the moment at which the room learns them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery.

    Attributes
    ----------
    dataset
        Name of the dataset.
    known_at
        When the room learns it, UTC.
    source
        The rows: a table, or a reader that produces them batch by batch and can be read once.
    provider, note
        Who sends it, and a few words on what it is.
    """

    dataset: str
    known_at: dt.datetime
    source: pa.Table | pa.RecordBatchReader
    provider: str
    note: str = ""
