"""Keep erased units out: their rows are counted as refused, and nothing of them is kept."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from opsroom.observe.checks import QUARANTINE
from opsroom.observe.erasures import Ban
from opsroom.observe.raw import RawBatch


def without_erased(
    ban: Ban, raw: RawBatch, good: pa.RecordBatch, refused: pa.Table | None
) -> tuple[pa.RecordBatch, pa.Table | None]:
    """Move rows of erased units from the good ones to the refused, without their content.

    Parameters
    ----------
    ban
        The erased keys of the dataset.
    raw, good, refused
        A batch as it came, and what the checks made of it.
    """
    mask = ban.mask(good)
    if refused is not None:
        refused = _emptied(ban, refused)
    if not pc.any(mask).as_py():
        return good, refused
    rows = pc.subtract(good.filter(mask).column("source_row"), raw.base)
    count = len(rows)
    found = pa.table(
        [
            pa.repeat(raw.file, count),
            rows,
            pa.repeat("", count),
            pa.repeat("OPS-D040", count),
            pa.repeat(":OPS-D040", count),
            pa.repeat("", count),
        ],
        schema=QUARANTINE,
    )
    good = good.filter(pc.invert(mask))
    return good, found if refused is None else pa.concat_tables([refused, found])


def _emptied(ban: Ban, refused: pa.Table) -> pa.Table:
    """Empty the records of rows that were refused for another reason and are of an erased unit, too."""
    hits = [ban.holds(text) for text in refused.column("record").to_pylist()]
    if not any(hits):
        return refused
    records = pc.if_else(pa.array(hits), "", refused.column("record"))
    return refused.set_column(refused.schema.get_field_index("record"), QUARANTINE.field("record"), records)
