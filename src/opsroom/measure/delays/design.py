"""The terms of the hierarchical delay model: which parameters each cell of the triangle touches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHAPES = 5
"""Hat functions over log delay in which a sector's delays may differ from the others'."""
CLASSES = 8
"""Classes of days: Monday to Sunday, and closed."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """A group of parameters with one precision: ``precision * b' structure b``."""

    name: str
    where: slice
    structure: Floats
    rank: int


@dataclass(frozen=True, slots=True)
class Design:
    """Parameters of a sector of its own and those shared, and what every cell (t, d) touches.

    Attributes
    ----------
    row, delay
        Of each cell of the full rectangle, in order of row and delay.
    own_at, own_by, shared_at, shared_by
        Shape (cells, terms): positions and factors. Own positions count after level and row effect.
    own, shared
        Number of parameters; `own` includes levels and row effects, two for each row.
    penalties_own, penalties_shared
        The groups.
    positions
        Name → slice of the shared parameters, for reading them.
    """

    row: Ints
    delay: Ints
    own_at: Ints
    own_by: Floats
    shared_at: Ints
    shared_by: Floats
    own: int
    shared: int
    penalties_own: tuple[Penalty, ...]
    penalties_shared: tuple[Penalty, ...]
    positions: dict[str, slice]


def make_design(
    periods: pd.PeriodIndex, max_delay: int, *, frequency: str, closed: frozenset[date], sectors: int
) -> Design:
    """Return the design of a triangle.

    Parameters
    ----------
    periods
        Reference periods in the model.
    max_delay
        Last delay.
    frequency
        Days of the week matter to ``D`` alone.
    closed
        Days on which nobody reports.
    sectors
        With one sector there is nothing to pool, and no terms of its own but level and row effects.
    """
    rows, delays = len(periods), max_delay + 1
    row, delay = np.repeat(np.arange(rows), delays), np.tile(np.arange(delays), rows)
    shared, own = _Block(0), _Block(2 * rows)
    shared.one_hot("delay", delay, delays, _walk(delays), delays - 1)
    if sectors > 1:
        shared.one_hot("level", row, rows, _walk(rows), rows - 1)
        own.hats("delay of the sector", *_hats(np.log1p(delay), min(SHAPES, delays)))
    if frequency == "D":
        days = pd.DatetimeIndex(periods.to_timestamp())
        reference = _classes(days, closed)
        report = _classes(pd.DatetimeIndex(days[row] + pd.to_timedelta(delay, unit="D")), closed)
        same = np.eye(CLASSES)
        for name, at in (("day of report", report), ("day of reference", reference[row])):
            shared.one_hot(name, at, CLASSES, same, CLASSES)
            if sectors > 1:
                own.one_hot(name + " of the sector", at, CLASSES, same, CLASSES)
        # What waited over a weekend comes on Monday: more of it the shorter the delay.
        knot, by, count = _hats(np.log1p(delay), min(SHAPES, delays))
        shared.hats("day of report by delay", knot + count * report[:, None], by, count * CLASSES)
    knots = int(np.clip(rows // max(8, delays // 2), 2, 12))
    at, by, count = _hats(row.astype(np.float64), knots)
    for name, shape in zip(("drift", "drift, second"), _shapes(max_delay), strict=False):
        shared.hats(name, at, by * shape[delay][:, None], count, structure=_walk(count), rank=count - 1)
    if sectors == 1:
        own.nothing(len(row))
    return Design(
        row=row, delay=delay,
        own_at=own.at, own_by=own.by, shared_at=shared.at, shared_by=shared.by,
        own=own.size, shared=shared.size,
        penalties_own=(
            Penalty("level of the sector", slice(0, rows), _walk(rows), rows - 1),
            Penalty("row", slice(rows, 2 * rows), np.eye(rows), rows),
            *own.penalties,
        ),
        penalties_shared=tuple(shared.penalties),
        positions={p.name: p.where for p in shared.penalties},
    )  # fmt: skip


class _Block:
    """Collects terms of one block of parameters."""

    def __init__(self, start: int) -> None:
        self.size = start
        self.penalties: list[Penalty] = []
        self._at: list[Ints] = []
        self._by: list[Floats] = []

    def one_hot(self, name: str, index: Ints, count: int, structure: Floats, rank: int) -> None:
        self.hats(name, index[:, None], np.ones((len(index), 1)), count, structure=structure, rank=rank)

    def hats(
        self, name: str, at: Ints, by: Floats, count: int, *, structure: Floats | None = None, rank: int | None = None
    ) -> None:
        self._at.append(at + self.size)
        self._by.append(by)
        where = slice(self.size, self.size + count)
        matrix = np.eye(count) if structure is None else structure
        self.penalties.append(Penalty(name, where, matrix, count if rank is None else rank))
        self.size += count

    def nothing(self, cells: int) -> None:
        self._at.append(np.zeros((cells, 0), dtype=np.int64))
        self._by.append(np.zeros((cells, 0)))

    @property
    def at(self) -> Ints:
        return np.ascontiguousarray(np.concatenate(self._at, axis=1).astype(np.int64))

    @property
    def by(self) -> Floats:
        return np.ascontiguousarray(np.concatenate(self._by, axis=1))


def _walk(count: int) -> Floats:
    """Return the structure of a first-order random walk: the sum of squared steps."""
    steps = np.diff(np.eye(count), axis=0)
    return np.asarray(steps.T @ steps, dtype=np.float64)


def _hats(value: Floats, count: int) -> tuple[Ints, Floats, int]:
    """Return the two neighbouring knots of each value and their weights (piecewise linear interpolation)."""
    top = float(value.max())
    place = value / top * (count - 1) if top > 0 else np.zeros(len(value))
    left = np.minimum(place.astype(np.int64), max(count - 2, 0))
    right = np.minimum(left + 1, count - 1)
    share = place - left
    return np.stack([left, right], axis=1), np.stack([1.0 - share, share], axis=1), count


def _shapes(max_delay: int) -> list[Floats]:
    """Return the ways in which delays may drift: longer or shorter, wider or narrower; orthonormal."""
    x = np.log1p(np.arange(max_delay + 1.0))
    basis = np.stack([np.ones(len(x)), x, x**2], axis=1)[:, : max_delay + 1]
    q, _ = np.linalg.qr(basis)
    return [q[:, j] * np.sqrt(len(x)) for j in range(1, basis.shape[1])]


def _classes(days: pd.DatetimeIndex, closed: frozenset[date]) -> Ints:
    at = np.asarray(days.day_of_week, dtype=np.int64).copy()
    if closed:
        at[days.isin(pd.DatetimeIndex(sorted(closed)))] = CLASSES - 1
    return at
