"""`Judgement`: what the gate remembers of a release. Confidential, like what it judges.

Every quantity has a number of its own over the whole history of a series: an unchanged quantity keeps
its number from one vintage to the next, a changed one gets a new number. Relations and knowledge of
all vintages can so be put together into one system.
"""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import StoreError
from opsroom.base.results import TOP

SCHEMA_VERSION = 3

_SECOND = (
    "numbers", "present", "known", "sensitive", "groups", "below", "above", "base", "who", "part", "value", "sketch",
    "relation_row", "relation_start", "relation_number", "relation_coefficient", "extra",
)  # fmt: skip
"""What schema version 2 kept: no claims."""

_ARRAYS: tuple[str, ...] = (*_SECOND, "claim_start", "claim_number", "claim_coefficient", "claim_slack")

_FIRST = (
    "numbers", "present", "known", "sensitive", "holder", "value", "sketch",
    "relation_row", "relation_start", "relation_number", "relation_coefficient", "extra",
)  # fmt: skip
"""What schema version 1 kept: only lone contributors, and no protection intervals."""


def _forward(holder: npt.NDArray[np.int64], arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return what schema version 1 did not keep, as far as it can be told."""
    value, sensitive = arrays["value"], arrays["sensitive"]
    who = np.zeros((*holder.shape, TOP), dtype=np.int64)
    who[..., 0] = holder
    width = np.where(sensitive, 0.15 * np.abs(value), 0.0)
    return {
        "groups": np.where(holder != 0, 1, TOP).astype(np.int64),
        "below": width,
        "above": width,
        "base": np.where(value < 0, -np.inf, 0.0),
        "who": who,
        "part": np.zeros(who.shape),
    }


@dataclass(frozen=True, slots=True)
class Judgement:
    """The quantities of a released table, shape (rows, quantities) unless said otherwise.

    Attributes
    ----------
    dimensions, keys, names
        Dimension names, the dimension codes of each row, the names of the quantities.
    numbers
        Number of each quantity in the series.
    present, known, sensitive, groups, below, above, base, who, part, value, sketch
        See `opsroom.protect.quantities.Quantities`; `known` to the public after this release.
    relation_row, relation_start, relation_number, relation_coefficient
        Relations: relation r belongs to row ``relation_row[r]`` and has the terms from
        ``relation_start[r]`` to ``relation_start[r + 1]``.
    extra
        Numbers of sensitive quantities that are not in the table (remainders).
    claim_start, claim_number, claim_coefficient, claim_slack
        What derived numbers tell (`opsroom.protect.quotients`): claim c says that a sum, with the terms from
        ``claim_start[c]`` to ``claim_start[c + 1]``, is at least what it is less ``claim_slack[c]``.
    """

    dimensions: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    numbers: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    sensitive: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    below: npt.NDArray[np.float64]
    above: npt.NDArray[np.float64]
    base: npt.NDArray[np.float64]
    who: npt.NDArray[np.int64]
    part: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    sketch: npt.NDArray[np.float64]
    relation_row: npt.NDArray[np.int64]
    relation_start: npt.NDArray[np.int64]
    relation_number: npt.NDArray[np.int64]
    relation_coefficient: npt.NDArray[np.int64]
    extra: npt.NDArray[np.int64]
    claim_start: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    claim_number: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    claim_coefficient: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    claim_slack: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def is_table(self) -> bool:
        """Whether it is of a table, and not of numbers derived from tables."""
        return bool(self.names)

    def to_bytes(self) -> bytes:
        """Return a compressed form; the same judgement gives the same bytes."""
        head = json.dumps(
            {"schema_version": SCHEMA_VERSION, "dimensions": self.dimensions, "keys": self.keys, "names": self.names},
            ensure_ascii=False,
        ).encode()
        out = io.BytesIO()
        out.write(len(head).to_bytes(8, "big") + head)
        for name in _ARRAYS:
            np.save(out, getattr(self, name), allow_pickle=False)
        return zlib.compress(out.getvalue(), 1)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Judgement:
        """Read what `to_bytes` wrote.

        Raises
        ------
        StoreError
            If the bytes are damaged.
        """
        try:
            source = io.BytesIO(zlib.decompress(blob))
            head = json.loads(source.read(int.from_bytes(source.read(8), "big")))
            kept: dict[int, tuple[str, ...]] = {1: _FIRST, 2: _SECOND}
            names = kept.get(head["schema_version"], _ARRAYS)
            arrays = {name: np.load(source, allow_pickle=False) for name in names}
            if names is _FIRST:
                arrays |= _forward(arrays.pop("holder"), arrays)
            return cls(
                tuple(head["dimensions"]),
                tuple(tuple(k) for k in head["keys"]),
                tuple(head["names"]),
                **arrays,
            )
        except (ValueError, KeyError, zlib.error, EOFError, OSError):
            raise StoreError(
                "a stored judgement cannot be read: the ledger is damaged.",
                remedy="Run `opsroom audit verify` and restore room.db.",
                code="OPS-F034",
            ) from None
