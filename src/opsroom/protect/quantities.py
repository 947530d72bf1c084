"""What the gate judges: the additive quantities behind a table and the relations between them.

A quantity is a part in a cell, or the complement of a share's numerator in a cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.base.cells import SKETCH_FAMILIES, SKETCH_SETS, rest_columns, unpack_sketch
from opsroom.base.errors import UsageError
from opsroom.base.results import TOP, TOTAL, Cells
from opsroom.protect.rules import Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Key = tuple[str, ...]

REST = "__rest"
MAX_IDENTITY = 4
"""The longest sum of parts that is compared with another part."""


@dataclass(frozen=True, slots=True)
class Quantities:
    """The quantities of a table; arrays of shape (rows, quantities) unless said otherwise.

    Attributes
    ----------
    keys
        Dimension codes of each row.
    names
        Part names, then ``<numerator>__rest``.
    value, present
        Sum, and whether there is one.
    sensitive
        Under the primary rules.
    empty
        Nobody contributes: the value is zero, as anyone can guess.
    groups
        Number of contributing groups.
    below, above
        How far the protection interval reaches below and above the value; 0 where not sensitive.
    base
        What everybody knows the quantity to be at least: 0, or ``-inf`` where it may be negative.
    who, part
        Codes of the largest contributors, and what they contribute, shape (rows, quantities, 3); where there is
        one, its code alone.
    sketch
        Shape (rows, quantities, families, sets); NaN where the producer gave none.
    """

    keys: tuple[Key, ...]
    names: tuple[str, ...]
    value: Floats
    present: Flags
    sensitive: Flags
    empty: Flags
    groups: Ints
    below: Floats
    above: Floats
    base: Floats
    who: Ints
    part: Floats
    sketch: Floats

    def index(self, name: str) -> int:
        """Return the position of a quantity."""
        return self.names.index(name)


@dataclass(frozen=True, slots=True)
class Relation:
    """A linear relation: quantities (row, position) with coefficients; together they are zero.

    `remainder` says that something that is not in the table belongs to the sum.
    """

    row: int
    terms: tuple[tuple[int, int, int], ...]
    """(row, position, coefficient)"""
    remainder: bool = False


def share_parts(cells: Cells) -> dict[str, str]:
    """Return numerator → denominator of the shares.

    Raises
    ------
    UsageError
        If a part is the numerator of two shares with different denominators.
    """
    found: dict[str, str] = {}
    for measure in cells.measures:
        if measure.kind != "share":
            continue
        for numerator, denominator in measure.every_side:
            if found.setdefault(numerator, denominator) != denominator:
                raise UsageError(
                    f"cells {cells.name!r}: part {numerator!r} is the numerator of two different shares.",
                    remedy="Give each share a numerator of its own.",
                )
    return found


def read_quantities(cells: Cells, rules: Rules) -> Quantities:
    """Read parts and complements from cells and judge each under the primary rules.

    Raises
    ------
    UsageError
        If a share lacks the columns of its complement, or contributor columns are not numbers.
    """
    frame = cells.frame
    shares = share_parts(cells)
    absent = [c for n in shares for c in rest_columns(n) if c not in frame.columns]
    if absent:
        raise UsageError(
            f"cells {cells.name!r}: a share lacks the column(s) {', '.join(absent)} of its complement.",
            remedy="Make the frame with opsroom.base.cells.parts_from_units(…, shares={…}).",
        )
    keys = tuple(zip(*(frame[d].astype(str) for d in cells.dimensions), strict=True))
    n = len(frame)

    def numbers(column: str) -> Floats:
        if column not in frame.columns:
            return np.full(n, np.nan)
        try:
            found = frame[column]
            if isinstance(found.dtype, np.dtype) and found.dtype.kind in "fiu":
                return found.to_numpy(dtype=np.float64)  # no missing value but NaN: nothing to look for
            return found.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise UsageError(f"cells {cells.name!r}: column {column!r} is not a number.") from None

    columns: list[dict[str, Any]] = []
    for part in cells.parts:
        sketch = _sketches(frame, f"{part.name}__sketch", n)
        columns.append(_column(numbers, part.name, "__", numbers(part.name), sketch))
    position = {part.name: k for k, part in enumerate(cells.parts)}
    for numerator, denominator in shares.items():
        top, bottom = columns[position[numerator]], columns[position[denominator]]
        gap = {key: bottom[key] - top[key] for key in ("value", "sketch")}
        columns.append(_column(numbers, numerator + REST, "_", gap["value"], gap["sketch"]))
    names = (*position, *(numerator + REST for numerator in shares))
    value = np.stack([c["value"] for c in columns], axis=1)
    groups = np.stack([c["groups"] for c in columns], axis=1)
    present = np.isfinite(value)
    sensitive = np.zeros_like(present)
    below = np.zeros(value.shape)
    for k, c in enumerate(columns):
        known = (np.nan_to_num(c["value"]), c["groups"], c["tops"], c["absolute"])
        sensitive[:, k] = rules.sensitive(*known)
        below[:, k] = rules.width(*known)
    above = below.copy()
    size = np.abs(np.nan_to_num(value))
    for numerator in shares:
        inside, outside = position[numerator], names.index(numerator + REST)
        one_sided = rules.one_sided(groups[:, inside], groups[:, outside])
        sensitive[:, inside] |= one_sided
        sensitive[:, outside] |= one_sided
        least = rules.min_share_side or rules.min_contributors
        wide = np.maximum(below[:, inside], below[:, outside])
        for side, other in ((inside, outside), (outside, inside)):
            # Of a side of few the interval is the usual one; of nobody, as of one that might be there.
            one = np.where(groups[:, side] > 0, size[:, side], columns[other]["tops"][:, 0])
            wide = np.where(groups[:, side] < least, np.maximum(wide, rules.interval / 100 * one), wide)
        below[:, inside] = below[:, outside] = above[:, inside] = above[:, outside] = wide
        # Neither side can be more than both: who knows the whole would not believe it.
        above[:, inside] = np.minimum(above[:, inside], size[:, outside])
        above[:, outside] = np.minimum(above[:, outside], size[:, inside])
    sensitive &= present
    floor = 1e-4 * np.maximum(size, 1e-6)
    base = np.where(np.stack([c["signed"] for c in columns])[None, :], -np.inf, np.zeros(value.shape))
    below = np.where(sensitive, np.minimum(np.maximum(below, floor), np.nan_to_num(value) - base), 0.0)
    above = np.where(sensitive, above, 0.0)
    above = np.where(sensitive & (above == 0) & (below == 0), floor, above)
    who = np.stack([c["who"] for c in columns], axis=1)
    single = (groups == 1) & (who[:, :, 0] == 0)
    # Without a code of its own a lone contributor is taken to be alone in this one quantity.
    who[single, 0] = -(1 + np.flatnonzero(single))
    who[groups == 1, 1:] = 0
    return Quantities(
        keys,
        names,
        np.where(present, value, 0.0),
        present,
        sensitive,
        (groups == 0) & present,
        groups.astype(np.int64),
        below,
        above,
        base,
        who,
        np.stack([c["tops"] for c in columns], axis=1),
        np.stack([c["sketch"] for c in columns], axis=1),
    )


def _column(numbers: Any, name: str, joint: str, value: Floats, sketch: Floats) -> dict[str, Any]:
    groups = numbers(f"{name}{joint}groups")
    # A part that is there without its number of contributors counts as one contributor: the gate refuses it.
    groups = np.where(np.isfinite(value) & ~np.isfinite(groups), 1.0, np.nan_to_num(groups))
    tops = np.stack([np.nan_to_num(numbers(f"{name}{joint}top{k}")) for k in range(1, TOP + 1)], axis=1)
    absolute = numbers(f"{name}{joint}abs")
    amount = np.nan_to_num(value)
    signed = bool((amount < 0).any() or (np.nan_to_num(absolute) > np.abs(amount) * (1 + 1e-9)).any())
    return {
        "value": value,
        "groups": groups,
        "tops": tops,
        "absolute": absolute,
        "signed": signed,
        "who": np.stack([_codes(numbers(f"{name}{joint}who{k}")) for k in range(1, TOP + 1)], axis=1),
        "sketch": sketch,
    }


def _codes(found: Floats) -> Ints:
    # A 64-bit code as a float keeps 53 bits: equal codes stay equal, which is all that is needed.
    codes: Floats = np.nan_to_num(found)
    return codes.view(np.int64) if codes.any() else np.zeros(len(codes), dtype=np.int64)


def _sketches(frame: Any, column: str, n: int) -> Floats:
    table = np.full((n, SKETCH_FAMILIES, SKETCH_SETS), np.nan)
    if column in frame.columns:
        for row, blob in enumerate(frame[column]):
            if isinstance(blob, bytes):
                table[row] = unpack_sketch(blob)
    return table


def table_relations(cells: Cells, quantities: Quantities) -> Iterator[Relation]:
    """Yield all linear relations within a table.

    Raises
    ------
    UsageError
        If a dimension has a total in the frame but is not declared additive.
    """
    for position, dimension in enumerate(cells.dimensions):
        if dimension not in cells.additive and any(key[position] == TOTAL for key in quantities.keys):
            raise UsageError(
                f"cells {cells.name!r}: dimension {dimension!r} has a total but is not declared additive.",
                remedy="Add it to Cells.additive, with the complete list of its codes in the frame.",
            )
    cache: dict[bytes, list[tuple[int, list[int]]]] = {}
    for q, name in enumerate(quantities.names):
        if name.endswith(REST):
            continue  # follows from numerator and denominator
        mask = quantities.present[:, q]
        lines = cache.setdefault(mask.tobytes(), [])
        if not lines:
            lines.extend(_lines(cells, quantities.keys, mask))
        for parent, children in lines:
            total = quantities.value[parent, q]
            parts = quantities.value[children, q]
            scale = float(np.abs(parts).sum() + abs(total))
            yield Relation(
                parent,
                ((parent, q, -1), *((child, q, 1) for child in children)),
                remainder=bool(abs(parts.sum() - total) > 1e-9 * scale),
            )
    yield from _row_relations(cells, quantities)


def _lines(cells: Cells, keys: Sequence[Key], mask: Flags) -> Iterator[tuple[int, list[int]]]:
    """Yield (row of a total, rows that add up to it)."""
    for position, dimension in enumerate(cells.dimensions):
        if dimension not in cells.additive:
            continue
        parents = cells.hierarchies.get(dimension, {})
        slices: dict[Key, dict[str, int]] = {}
        for row in np.flatnonzero(mask).tolist():
            key = keys[row]
            slices.setdefault(key[:position] + key[position + 1 :], {})[key[position]] = int(row)
        for codes in slices.values():
            children: dict[str, list[int]] = {}
            for code, row in codes.items():
                if code == TOTAL:
                    continue
                above = parents.get(code, TOTAL)
                steps = 0
                while above not in codes and above != TOTAL:
                    above = parents.get(above, TOTAL)
                    steps += 1
                    if steps > len(parents):
                        raise UsageError(f"the hierarchy of {dimension!r} runs in a circle.")
                if above in codes:
                    children.setdefault(above, []).append(row)
            for above, rows in children.items():
                yield codes[above], rows


def _row_relations(cells: Cells, quantities: Quantities) -> Iterator[Relation]:
    """Yield relations within a cell: complements of shares, and identities between parts."""
    both = quantities.present
    for numerator, denominator in share_parts(cells).items():
        a, b = quantities.index(numerator), quantities.index(denominator)
        c = quantities.index(numerator + REST)
        for row in np.flatnonzero(both[:, a] & both[:, b]):
            r = int(row)
            yield Relation(r, ((r, a, 1), (r, c, 1), (r, b, -1)))
    n_parts = len(cells.parts)
    for target, members in _identities(quantities, n_parts):
        for row in np.flatnonzero(both[:, [target, *members]].all(axis=1)):
            r = int(row)
            yield Relation(r, ((r, target, -1), *((r, m, 1) for m in members)))


def _identities(quantities: Quantities, n_parts: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Find parts that equal a sum of others in every row: performing + forborne + delinquent = all.

    A producer need not declare such identities; an attacker who knows the definitions uses them.
    """
    values = quantities.value[:, :n_parts]
    filled = [k for k in range(n_parts) if np.any(values[:, k] != 0)]
    if len(filled) < 2:
        return
    probe = int(np.argmax(np.abs(values).sum(axis=1)))
    at = values[probe].tolist()
    for target in filled:
        others = [k for k in filled if k != target]
        for size in range(1, min(MAX_IDENTITY, len(others)) + 1):
            for members in combinations(others, size):
                gap = sum([at[k] for k in members]) - at[target]
                if abs(gap) > 1e-9 * (abs(at[target]) + 1e-300):
                    continue
                rows = quantities.present[:, [target, *members]].all(axis=1)
                sums = values[rows][:, list(members)].sum(axis=1)
                if rows.any() and np.allclose(sums, values[rows, target], rtol=1e-9, atol=0):
                    yield target, members
