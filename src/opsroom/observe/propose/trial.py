"""Read a whole file by a proposed specification, as `ingest` would, and count what it would refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from opsroom.base.specs import DatasetSpec
from opsroom.observe.arranging import arrange
from opsroom.observe.checks import Checker
from opsroom.observe.quality import RULES
from opsroom.observe.readers import open_source

SHOWN = 5
"""Rows that are named of each problem."""

REMEMBERED = 5_000_000
"""Rows whose keys are remembered to find repetitions."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows that a rule refuses.

    Attributes
    ----------
    field, code, rule
        Field at fault (empty: the row as a whole) and rule.
    count
        Rows.
    rows
        Numbers of the first of them, as a person sees them in the file.
    """

    file: str
    field: str
    code: str
    rule: str
    count: int
    rows: tuple[int, ...]

    def __str__(self) -> str:
        place = ", ".join(map(str, self.rows)) + (", …" if self.count > len(self.rows) else "")
        field = f", field {self.field!r}" if self.field else ""
        return f"{self.file}, row {place}{field}: {self.rule} ({self.code}, {self.count:,} row(s))"


@dataclass(frozen=True, slots=True)
class Trial:
    """What `ingest` would do: records accepted, refused, repeated; problems by rule."""

    accepted: int
    refused: int
    repeated: int
    problems: tuple[Problem, ...]
    all_keys: bool


def trial(
    path: Path, spec: DatasetSpec, lists: Mapping[str, Sequence[str]], *, known_at: datetime, tz: ZoneInfo, where: str
) -> Trial:
    """Read the whole file by the specification.

    Raises
    ------
    DataError
        The file as a whole does not fit the specification.
    """
    reading = arrange(open_source(path, where=where, layout=spec.layout), spec, where=where)
    own = {name: tuple(codes) for name, codes in lists.items()}
    checker = Checker(
        spec,
        reading.columns,
        codes={f.name: spec.codes(f.name, own) for f in spec.fields if f.type == "code"},
        known_at=known_at,
        deletions=False,
        tz=tz,
        where=where,
    )
    count: Counter[tuple[str, str, str]] = Counter()
    rows: dict[tuple[str, str, str], list[int]] = {}
    accepted = refused = remembered = 0
    keys: list[np.ndarray] = []
    vintages = bool(spec.known_at_field)
    for raw in reading.batches:
        good, bad = checker.check(raw)
        accepted += good.num_rows
        if bad is not None:
            refused += bad.num_rows
            triples = zip(bad.column("file").to_pylist(), bad.column("field").to_pylist(),
                          bad.column("code").to_pylist(), bad.column("row").to_pylist(), strict=True)  # fmt: skip
            for file, field, code, row in triples:
                _note(count, rows, (file, field, code), row)
        if remembered < REMEMBERED and good.num_rows:
            remembered += good.num_rows
            whole = [n for n in good.schema.names if n not in ("source_row", "known_at")]
            numbers = good.column("source_row").to_numpy() // raw.fold
            known = good.column("known_at").cast("int64").to_numpy() if vintages else np.zeros(len(numbers), np.int64)
            keys.append(np.stack([_hash(good, spec.key), _hash(good, whole), numbers.astype(np.uint64),
                                  known.view(np.uint64)]))  # fmt: skip
    repeated = 0
    if keys:
        repeated, contrary = _repeats(np.concatenate(keys, axis=1))
        for row in contrary:
            _note(count, rows, (path.name, spec.key[0], "OPS-D031"), int(row))
        accepted -= repeated + len(contrary)
        refused += len(contrary)
    problems = tuple(
        Problem(place[0], place[1], place[2], RULES[place[2]].title, number, tuple(rows[place]))
        for place, number in count.most_common()
    )
    return Trial(accepted, refused, repeated, problems, remembered < REMEMBERED)


def _note(
    count: Counter[tuple[str, str, str]],
    rows: dict[tuple[str, str, str], list[int]],
    place: tuple[str, str, str],
    row: int,
) -> None:
    count[place] += 1
    known = rows.setdefault(place, [])
    if len(known) < SHOWN and row not in known:
        known.append(row)


def _hash(batch: pa.RecordBatch, names: Sequence[str]) -> np.ndarray:
    """Return a 64-bit hash of some columns of each row."""
    import pandas as pd

    frame = pa.Table.from_batches([batch.select(list(names))]).to_pandas(
        types_mapper={pa.string(): pd.ArrowDtype(pa.string()), pa.int64(): pd.Int64Dtype()}.get
    )
    found: np.ndarray = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return found


def _repeats(keys: np.ndarray) -> tuple[int, list[int]]:
    """Return how many rows repeat an earlier one whole, and the rows that give a key other content.

    Of a key with several knowledge times, a row repeats the vintage before it where their content is the same.
    """
    order = np.lexsort((keys[3].view(np.int64), keys[0]))
    key, content, rows, known = keys[:, order]
    if not len(key):
        return 0, []
    opens = np.r_[True, key[1:] != key[:-1]]
    starts = opens | np.r_[True, known[1:] != known[:-1]]  # the first row of each vintage of a key
    place = np.arange(len(key))
    first = content[np.maximum.accumulate(np.where(starts, place, 0))]
    contrary = ~starts & (content != first)
    heads = np.flatnonzero(starts)
    unchanged = ~opens[heads[1:]] & (content[heads[1:]] == content[heads[:-1]])
    repeated = (~starts).sum() - contrary.sum() + unchanged.sum()
    return int(repeated), sorted(rows[contrary].tolist())
