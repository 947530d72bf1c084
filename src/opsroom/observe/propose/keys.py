"""Find the fields that tell a file's rows apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.base.specs import FieldSpec
from opsroom.observe.propose.periods import Period
from opsroom.observe.propose.profile import Column, Profile
from opsroom.observe.propose.questions import Interview

LONGEST = 4
"""Fields of a key that is proposed, beside the period."""

NUMBERS = 40
"""Columns of whole numbers of unknown meaning that are tried for a key, at most."""

_IDENTIFIES = re.compile(
    r".*(?:id|ids|code|nr|number|fips|lei|isin|ticker|iso\d?)"
    r"|(?:.*_)?(?:no|num|series|country|state|county|region|sector|rank|class|category|kind|type|key|ref|horizon|name|lag"
    r"|geo|t|obs|index|unit|sheet|item|group)(?:_.*)?"
)


def find_key(
    profile: Profile,
    fields: Sequence[FieldSpec],
    period_field: str,
    period: Period,
    turned: tuple[str, ...],
    known: str,
    interview: Interview,
) -> tuple[str, ...]:
    """Return the key: the period and as few fields as tell all rows apart, or what was answered.

    Rows that repeat another one whole are no matter. Empty where it must still be answered.
    """
    by_source = {f.source: f for f in fields}
    sample = profile.sample
    hidden = list(period.parts) if period.parts else [period.column] if period.column else []
    if known:
        hidden.append(known)
    measures = ("number", "money", "quantity")
    usable = [
        c
        for c in profile.columns.values()
        if c.name in by_source
        and c.name != period.column
        and by_source[c.name].type not in measures
        and c.filled == c.rows
    ]
    texts = [c.name for c in usable if by_source[c.name].type in ("string", "code", "date", "boolean")]
    ids = [
        c.name for c in usable
        if by_source[c.name].type == "integer" and _IDENTIFIES.fullmatch(by_source[c.name].name)
    ]  # fmt: skip
    rows = Rows(sample, [n for n in sample.column_names if n not in turned] if turned else sample.column_names)
    found = rows.key(hidden, texts + ids)
    names = [by_source[n].name for n in by_source]
    guess = "" if found is None else ", ".join([*(by_source[n].name for n in found), period_field])
    close = ""
    if not guess:
        close = f" No few fields do; the nearest, {rows.nearest(by_source, period_field)}, leave some twice."
        if whole := rows.key(hidden, [*texts, *ids, *_whole(usable, by_source, ids)]):
            close = f" With whole numbers, {', '.join([*(by_source[n].name for n in whole), period_field])} do."
    holes = [
        by_source[c.name].name for c in profile.columns.values()
        if c.name in by_source and by_source[c.name].type in ("string", "code") and c.rows > c.filled > 0
    ]  # fmt: skip
    if holes and not guess:
        close += (
            f" Not filled in each row, and so no part of a key: {', '.join(holes)} (a row of totals, merged cells?)."
        )
    said = interview.ask(
        "key",
        f"Which fields tell the rows apart?{close} Name them, separated by commas, out of: {', '.join(names)}.",
        default=guess,
        required=True,
    )
    chosen = [part.strip() for part in said.split(",") if part.strip()]
    if any(part not in names for part in chosen):
        interview.reject("key", "That names what is no field.")
        return ()
    if not chosen:
        return ()
    return tuple(dict.fromkeys([*chosen, period_field]))


def _whole(usable: Sequence[Column], by_source: Mapping[str, FieldSpec], ids: Sequence[str]) -> list[str]:
    """Return columns of whole numbers that may be codes, though their names do not say so."""
    return [c.name for c in usable if by_source[c.name].type == "integer" and c.name not in ids][:NUMBERS]


class Rows:
    """Distinct rows of a sample, each column as small whole numbers, so that keys can be tried quickly."""

    def __init__(self, sample: pa.Table, whole: Sequence[str]) -> None:
        self._codes = {name: _codes(sample.column(name)) for name in sample.column_names}
        every = self._joined(list(whole), sample.num_rows)
        _, first = np.unique(every, return_index=True)
        self._first = np.sort(first)
        self._near: tuple[str, ...] = ()

    def _joined(self, names: Sequence[str], size: int | None = None) -> np.ndarray:
        count = size if size is not None else len(self._first)
        joined = np.zeros(count, np.int64)
        for name in names:
            codes = self._codes[name] if size is not None else self._codes[name][self._first]
            # A pair of codes becomes one code; renumbered each time, it never overflows.
            pair = joined * (int(codes.max(initial=0)) + 1) + codes
            joined = np.unique(pair, return_inverse=True)[1].astype(np.int64)
        return joined

    def _distinct(self, names: Sequence[str]) -> int:
        joined = self._joined(names)
        return int(joined.max(initial=-1)) + 1

    def key(self, hidden: Sequence[str], names: Sequence[str]) -> tuple[str, ...] | None:
        """Return the fewest of `names` that, with `hidden`, tell the rows apart; None where none do."""
        total = len(self._first)
        chosen: list[str] = []
        reached = self._distinct(hidden) if hidden else min(total, 1)
        while reached < total and len(chosen) < LONGEST:
            trials = [(self._distinct([*hidden, *chosen, name]), -place, name)
                      for place, name in enumerate(names) if name not in chosen]  # fmt: skip
            if not trials:
                break
            best, _, name = max(trials)
            if best <= reached:
                break
            chosen.append(name)
            reached = best
        for name in list(chosen[:-1]):  # an early choice may have become superfluous
            rest = [n for n in chosen if n != name]
            if reached == total and self._distinct([*hidden, *rest]) == total:
                chosen = rest
        self._near = tuple(chosen)
        return tuple(chosen) if reached == total else None

    def nearest(self, by_source: dict[str, FieldSpec], period_field: str) -> str:
        """Return the nearest that was found, in words."""
        return ", ".join([*(by_source[n].name for n in self._near), period_field])


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_nested(whole.type):
        return np.zeros(len(whole), np.int64)
    encoded = whole.dictionary_encode(null_encoding="encode")
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), 0))
