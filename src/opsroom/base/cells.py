"""Make the parts behind `Cells` from units: values, contributors, largest contributions.

This is the one place where the contributor statistics that the gate judges are computed. For each
part ``p`` it gives, per cell and margin,

=====================  ==================================================================
``p``                  the sum (int64 stays int64)
``p__groups``          enterprise groups with a non-zero contribution
``p__top1 … __top3``   the largest absolute contributions of a group
``p__abs``             the sum of absolute contributions of groups (only if any is negative)
``p__who1 … __who3``   codes of the groups of these; 0 where there are fewer
``p__sketch``          sums over random sets of groups, by which two vintages are compared
=====================  ==================================================================

and for a share's numerator ``n`` with denominator ``d``, on the groups that contribute to ``d - n``,
``n__rest_groups``, ``n__rest_top1 … 3`` and ``n__rest_who1 … 3``. All of it is confidential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.base.results import TOP, TOTAL
from opsroom.base.weighted import Ints, Values, Weighted

if TYPE_CHECKING:
    import pandas as pd

Hashes = npt.NDArray[np.uint64]

SKETCH_FAMILIES = 2
SKETCH_SETS = 32
_WIDTH = SKETCH_FAMILIES * SKETCH_SETS
_REST = "__rest"


def rest_columns(numerator: str) -> tuple[str, ...]:
    """Return the columns that a share's numerator needs for its complement."""
    return (f"{numerator}__rest_groups", *(f"{numerator}__rest_top{k}" for k in range(1, TOP + 1)))


def parts_from_units(
    frame: pd.DataFrame,
    *,
    dimensions: Sequence[str],
    group: str,
    values: Mapping[str, str],
    shares: Mapping[str, str] | None = None,
    totals: bool | Sequence[str] = True,
    hierarchies: Mapping[str, Mapping[str, str]] | None = None,
    cube: Cube | None = None,
) -> pd.DataFrame:
    """Aggregate units to the parts of every cell and margin.

    Parameters
    ----------
    frame
        One row a unit (or a unit and cell): dimension codes, the enterprise group, values.
    dimensions
        Dimension columns; codes are taken as text.
    group
        Column of the enterprise group, integer or text: contributors are counted by it.
    values
        Part name → column. Boolean and integer columns give int64 parts.
    shares
        Numerator part → denominator part, both in `values`; the numerator is contained in the
        denominator unit by unit.
    totals
        Dimensions that get the margin ``"_T"``; true means all. A time dimension or an alternative
        weighting should have none.
    hierarchies
        Dimension → child code → parent code; parents become rows, too.
    cube
        `Cube` of the same units, dimensions and group, if there is one from an earlier call.

    Returns
    -------
    pandas.DataFrame
        One row a cell that has units, sorted by dimension codes.

    Raises
    ------
    UsageError
        If a column is missing, a code or value is missing, or a numerator exceeds its denominator.
    """
    absent = [c for c in values.values() if c not in frame.columns]
    if absent:
        raise UsageError(f"the frame of units lacks the column(s) {', '.join(absent)}.")
    one = np.ones(len(frame), dtype=np.int64)
    data = {part: Weighted(one, _numbers(frame[column].to_numpy()[:, None], part)) for part, column in values.items()}
    cube = cube if cube is not None else Cube(frame, dimensions, group, totals=totals, hierarchies=hierarchies)
    return _sorted(cube.frames(data, shares or {}), dimensions)


def parts_from_panel(
    units: pd.DataFrame,
    panel: Mapping[str, npt.ArrayLike | Weighted],
    *,
    periods: Sequence[str],
    period: str,
    dimensions: Sequence[str],
    group: str,
    shares: Mapping[str, str] | None = None,
    totals: bool | Sequence[str] = True,
    hierarchies: Mapping[str, Mapping[str, str]] | None = None,
    cube: Cube | None = None,
) -> pd.DataFrame:
    """Aggregate a panel, units by periods, to the parts of every cell, margin and period.

    Gives what `parts_from_units` would give of the long table with `period` as a first dimension
    without a total, but sorts the units only once.

    Parameters
    ----------
    units
        One row a unit: dimension codes and the enterprise group.
    panel
        Part name → array of shape (units, periods), or `Weighted`. A unit that is not there in a period has 0. What
        is the same in all periods is counted once if it is `Weighted` with one column.
    periods, period
        Codes of the periods, and the name of their dimension.
    dimensions, group, shares, totals, hierarchies
        As in `parts_from_units`, `period` left out of `dimensions`.
    cube
        `Cube` of the same units, dimensions and group, if there is one from an earlier call.

    Returns
    -------
    pandas.DataFrame
        One row a period and cell, sorted by period and dimension codes.
    """
    one = np.ones(len(units), dtype=np.int64)
    data = {part: x if isinstance(x, Weighted) else Weighted(one, np.asarray(x)) for part, x in panel.items()}
    for part, x in data.items():
        same = isinstance(panel[part], Weighted) and x.fact.shape == (len(units), 1)
        if len(x.weight) != len(units) or not (same or x.fact.shape == (len(units), len(periods))):
            raise UsageError(f"part {part!r} has not the shape (units, periods).")
        data[part] = Weighted(x.weight, _numbers(x.fact, part))
    cube = cube if cube is not None else Cube(units, dimensions, group, totals=totals, hierarchies=hierarchies)
    frames = cube.frames(data, shares or {}, period=period, codes=[str(code) for code in periods])
    return _sorted(frames, (period, *dimensions))


def unpack_sketch(blob: bytes) -> npt.NDArray[np.float64]:
    """Return the sums of a sketch, shape (families, sets)."""
    dtype = np.int64 if blob[:1] == b"i" else np.float64
    return np.frombuffer(blob[1:], dtype=dtype).astype(np.float64).reshape(SKETCH_FAMILIES, SKETCH_SETS)


def _sorted(frames: list[pd.DataFrame], dimensions: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    if not frames:
        raise UsageError("there is no unit to make cells from.", remedy="Hand over at least one unit.")
    # A code that is its own only child occurs on two levels with the same content: keep one.
    result = pd.concat(frames, ignore_index=True)
    keys = result[list(dimensions)]  # of the many columns only these are looked through
    again = keys.duplicated().to_numpy()
    if again.any():
        result, keys = result[~again], keys[~again]
    order = keys.reset_index(drop=True).sort_values(list(dimensions), kind="stable").index
    return result.take(order.to_numpy()).reset_index(drop=True)


def _numbers(column: Values, part: str) -> Values:
    """Return a part's contributions as int64 or float64, all present; yes and no as bytes."""
    kind = column.dtype.kind
    if kind == "b":
        return np.ascontiguousarray(column).view(np.uint8)
    if kind in "iu":
        return np.ascontiguousarray(column, dtype=np.int64)
    if kind == "f":
        if not np.isfinite(column).all():
            raise UsageError(
                f"part {part!r} lacks the value of some unit, or it is not finite.",
                remedy="Leave the unit out of the frame, or give it 0.",
            )
        return np.ascontiguousarray(column, dtype=np.float64)
    raise UsageError(f"part {part!r} is not a number or lacks the value of some unit.")


def _with_rests(data: dict[str, Weighted], shares: Mapping[str, str]) -> dict[str, Weighted]:
    """Add the complement of every share."""
    complete = dict(data)
    for numerator, denominator in shares.items():
        if numerator not in data or denominator not in data:
            raise UsageError(f"share {numerator!r}/{denominator!r} names a part that has no values.")
        part, whole = data[numerator], data[denominator]
        if part.weight is whole.weight and part.fact.dtype == whole.fact.dtype == np.uint8:  # yes and no
            rest = Weighted(part.weight, whole.fact.view(np.int8) - part.fact.view(np.int8))
        else:
            rest = part.lacking(whole)
        if rest.dtype.kind == "f":  # laid out, with weights of 1
            slack = 1e-9 * float(np.abs(whole.laid_out()).max(initial=1.0))
            outside = bool((rest.fact < -slack).any())
            rest = Weighted(rest.weight, np.maximum(rest.fact, 0))
        else:
            outside = rest.negative
            if rest.fact.dtype == np.int8 and not outside:
                rest = Weighted(rest.weight, rest.fact.view(np.uint8))
        if part.negative or outside:
            raise UsageError(f"part {numerator!r} is not contained in {denominator!r} in every unit.")
        complete[numerator + _REST] = rest
    return complete


class Cube:
    """Units sorted once by cell and group for every combination of levels of the dimensions.

    Parameters
    ----------
    frame, dimensions, group, totals, hierarchies
        As in `parts_from_units`.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        dimensions: Sequence[str],
        group: str,
        *,
        totals: bool | Sequence[str] = True,
        hierarchies: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        import pandas as pd

        parents = hierarchies or {}
        absent = [c for c in (*dimensions, group) if c not in frame.columns]
        if absent:
            raise UsageError(f"the frame of units lacks the column(s) {', '.join(absent)}.")
        if not dimensions:
            raise UsageError("parts need at least one dimension.")
        margins = set(dimensions if totals is True else () if totals is False else totals)
        levels = [_levels(frame, d, parents.get(d, {}), total=d in margins) for d in dimensions]
        groups, labels = pd.factorize(frame[group], use_na_sentinel=True)
        if (groups < 0).any():
            raise UsageError(f"column {group!r} lacks the enterprise group of some unit.")
        self.dimensions = tuple(dimensions)
        hashes = _hash_groups(labels)
        sizes = [max(len(d[0][1]), 1) for d in levels]
        unique, self.finest = _dense(np.ravel_multi_index([d[0][0] for d in levels], sizes), int(np.prod(sizes)))
        self.n_finest = len(unique)
        self.by_group = _ranked(groups, np.arange(len(groups)), len(hashes))
        member = [(hashes >> np.uint64(16 * f)) % np.uint64(SKETCH_SETS) for f in range(SKETCH_FAMILIES)]
        self.slots = np.column_stack(
            [family * SKETCH_SETS + m.astype(np.int64)[groups] for family, m in enumerate(member)]
        )
        self.margins = [
            _Margin([c for c, _ in combination], [n for _, n in combination], groups, hashes, self)
            for combination in product(*levels)
        ]

    def frames(
        self,
        data: dict[str, Weighted],
        shares: Mapping[str, str],
        *,
        period: str | None = None,
        codes: Sequence[str] = ("",),
    ) -> list[pd.DataFrame]:
        """Return one frame a combination of levels that has units."""
        complete = _with_rests(data, shares)
        signed = {part for part in data if data[part].negative}
        sketches = {part: self._sketch(x) for part, x in data.items()}
        stacks = _Stack.of(complete)
        made = []
        for margin in self.margins:
            if len(margin.rows):
                table = margin.frame(self.dimensions, list(complete), stacks, signed, sketches, periods=len(codes))
                if period is not None:
                    table.insert(0, period, np.tile(np.asarray(codes, dtype=object), margin.cells))
                made.append(table)
        return made

    def _sketch(self, x: Weighted) -> Values:
        """Return the sums over random sets of groups, (finest cells, periods, sets)."""
        from opsroom.base.cells_kernel import sketch

        table = np.zeros((self.n_finest, x.fact.shape[1], _WIDTH), dtype=x.dtype)
        sketch(x.weight, x.fact, self.finest, self.slots, table)
        return table


class _Margin:
    """One combination of levels: which units, sorted by cell and group, make which cell."""

    def __init__(self, codes: list[Ints], names: list[list[str]], groups: Ints, hashes: Hashes, cube: Cube) -> None:
        there = np.all([c >= 0 for c in codes], axis=0)
        kept = cube.by_group if there.all() else cube.by_group[there[cube.by_group]]
        sizes = [max(len(n), 1) for n in names]
        cell = np.ravel_multi_index([c[kept] for c in codes], sizes).astype(np.int64)
        # Sorted by group already, and then by cell without disturbing that.
        order = _ranked(cell, np.arange(len(cell)), int(np.prod(sizes)))
        self.rows = kept[order]
        cell = cell[order]
        group = groups[self.rows]
        new = np.ones(len(cell), dtype=bool)
        new[1:] = (cell[1:] != cell[:-1]) | (group[1:] != group[:-1])
        starts = np.flatnonzero(new)
        owner = cell[starts]
        bounds = _runs(owner)
        self.holders = _nonzero(hashes[group[starts]].view(np.int64))
        self.starts = np.append(starts, len(cell))
        self.bounds = np.append(bounds, len(starts))
        unique = owner[bounds]
        self.coordinates = [
            np.asarray(name, dtype=object)[index]
            for name, index in zip(names, np.unravel_index(unique, sizes), strict=True)
        ]
        inside = np.full(cube.n_finest, -1, dtype=np.int64)
        runs = np.diff(np.append(np.flatnonzero(np.diff(cell, prepend=-1)), len(cell)))
        inside[cube.finest[self.rows]] = np.repeat(np.arange(len(unique)), runs)
        self.finest = np.flatnonzero(inside >= 0)
        self.inside = inside[self.finest]

    @property
    def cells(self) -> int:
        """Number of cells that have units."""
        return len(self.bounds) - 1

    def frame(
        self,
        dimensions: Sequence[str],
        parts: Sequence[str],
        stacks: Sequence[_Stack],
        signed: set[str],
        sketches: Mapping[str, Values],
        *,
        periods: int,
    ) -> pd.DataFrame:
        """Return the parts of the cells of this combination, one row a cell and period."""
        import pandas as pd

        def spread(found: Values) -> Values:
            return found.ravel() if found.shape[1] == periods else np.repeat(found[:, 0], periods)

        columns: dict[str, Any] = {d: np.repeat(c, periods) for d, c in zip(dimensions, self.coordinates, strict=True)}
        found = self._contributors(stacks)
        for part in parts:
            total, size, number, top, who = found[part]
            rest = part.endswith(_REST)
            joint = part + ("_" if rest else "__")
            if not rest:
                columns[part] = spread(total)
            if part in signed:
                columns[f"{part}__abs"] = spread(size)
            columns[joint + "groups"] = spread(number)
            columns |= {f"{joint}top{k + 1}": spread(top[k]) for k in range(TOP)}
            columns |= {f"{joint}who{k + 1}": spread(who[k]) for k in range(TOP)}
        for part, finest in sketches.items():
            table = np.zeros((self.cells, *finest.shape[1:]), dtype=finest.dtype)
            np.add.at(table, self.inside, finest[self.finest])
            columns[f"{part}__sketch"] = spread(_pack(table.reshape(-1, _WIDTH)).reshape(table.shape[:2]))
        return pd.DataFrame(columns)

    def _contributors(self, stacks: Sequence[_Stack]) -> dict[str, tuple[Values, Values, Values, Values, Ints]]:
        """Return total, size, number, largest and their codes of each part, one stack of parts at a time."""
        from opsroom.base.cells_kernel import contributors

        found = {}
        for stack in stacks:
            x = stack.data
            shape = (self.cells, x.fact.shape[1])
            total, size = np.zeros(shape, x.dtype), np.zeros(shape, x.dtype)
            top, who = np.zeros((TOP, *shape), x.dtype), np.zeros((TOP, *shape), np.int64)
            number = contributors(
                x.weight, x.fact, self.rows, self.starts, self.bounds, self.holders, total, size, top, who
            )
            for part, at in stack.parts.items():
                found[part] = total[:, at], size[:, at], number[:, at], top[:, :, at], who[:, :, at]
        return found


@dataclass(frozen=True, slots=True)
class _Stack:
    """Parts of the same weights, their facts side by side: gone through together, in one loop over the units."""

    data: Weighted
    parts: dict[str, slice]

    @classmethod
    def of(cls, data: Mapping[str, Weighted]) -> list[_Stack]:
        """Stack what can be."""
        alike: dict[tuple[int, str], list[str]] = {}
        for part, x in data.items():
            alike.setdefault((id(x.weight), x.fact.dtype.str), []).append(part)
        made = []
        for parts in alike.values():
            facts = [data[part].fact for part in parts]
            ends = np.cumsum([fact.shape[1] for fact in facts]).tolist()
            spans = {part: slice(end - fact.shape[1], end) for part, fact, end in zip(parts, facts, ends, strict=True)}
            fact = facts[0] if len(facts) == 1 else np.concatenate(facts, axis=1)
            made.append(cls(Weighted(data[parts[0]].weight, fact), spans))
        return made


def _levels(
    frame: pd.DataFrame, dimension: str, parents: Mapping[str, str], *, total: bool
) -> list[tuple[Ints, list[str]]]:
    """Return per level of a dimension the code number of each unit (-1: none) and the codes' names."""
    import pandas as pd

    column = frame[dimension]
    if isinstance(column.dtype, pd.CategoricalDtype):  # numbered already: only those that occur are to be sorted
        codes = column.cat.codes.to_numpy()
        present = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=1))
        rank, uniques = pd.factorize(column.cat.categories[present], sort=True)
        lookup = np.full(len(column.cat.categories) + 1, -1, dtype=np.int64)  # the last stands for -1, none
        lookup[present] = rank
        raw = lookup[codes]
    else:
        raw, uniques = pd.factorize(column, sort=True)
    if (raw < 0).any():
        raise UsageError(f"dimension {dimension!r} lacks the code of some unit.")
    current: list[str | None] = [str(u) for u in uniques]
    if TOTAL in current:
        raise UsageError(f"dimension {dimension!r} holds the total {TOTAL!r} among its units.")
    levels = [(raw.astype(np.int64), [str(u) for u in uniques])]
    while parents:
        current = [parents.get(c) if c is not None else None for c in current]
        above = sorted({c for c in current if c is not None and c != TOTAL})
        if not above:
            break
        if len(levels) > len(parents):
            raise UsageError(f"the hierarchy of {dimension!r} runs in a circle.")
        position = {name: k for k, name in enumerate(above)}
        lookup = np.array([position.get(c, -1) if c is not None else -1 for c in current], dtype=np.int64)
        levels.append((lookup[raw], above))
    if total:
        levels.append((np.zeros(len(raw), dtype=np.int64), [TOTAL]))
    return levels


def _hash_groups(labels: Any) -> Hashes:  # an Index or array of any label type
    """Return a 64-bit hash per group that is the same in every frame and vintage."""
    import pandas as pd

    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        array = np.array([str(label) for label in array], dtype=object)
    else:
        array = array.astype(np.int64)
    mixed = np.asarray(pd.util.hash_array(array, categorize=False), dtype=np.uint64)
    # The finaliser of splitmix64: the low bits of small integers' hashes are not even enough.
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = mixed ^ (mixed >> np.uint64(31))
    return result


def _nonzero(holders: Ints) -> Ints:
    """Keep 0 free: it says that there is no holder."""
    return np.where(holders == 0, 1, holders)


def _dense(keys: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the keys that occur, sorted, and where each is among them; keys are below `size`."""
    if size > 4 * len(keys) + 1024:
        unique, at = np.unique(keys, return_inverse=True)
        return unique, at.astype(np.int64)
    occurs = np.zeros(size, dtype=bool)
    occurs[keys] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[keys]


def _ranked(keys: Ints, rows: Ints, size: int) -> Ints:
    """Return rows in the order of their keys, equal ones in the order given; keys are below `size`."""
    from opsroom.base.cells_kernel import counted

    if size > 4 * len(keys) + 1024:
        return rows[np.argsort(keys, kind="stable")]
    out = np.empty(len(keys), dtype=np.int64)
    counted(np.asarray(keys, dtype=np.int64), np.asarray(rows, dtype=np.int64), np.zeros(size + 1, np.int64), out)
    return out


def _runs(keys: Ints) -> Ints:
    """Return where each run of equal keys begins."""
    if len(keys) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))


def _pack(table: Values) -> Values:
    """Return one bytes object a row: a letter for the type, then the sums."""
    kind = b"i" if table.dtype.kind == "i" else b"f"
    packed = np.empty(len(table), dtype=object)
    packed[:] = [kind + row.tobytes() for row in table]
    return packed
