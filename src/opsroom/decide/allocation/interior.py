"""A linear programme with thousands of dense rows, by an interior point: maximise ``worth @ z``, ``z @ rows <= limit``.

Each step solves a system of as many unknowns as there are rows, by conjugate gradients. At first that system is nearly
diagonal; later, what makes it hard is the few rows that bind and the few unknowns that move, and these are factorised.
What the solution misses disturbs only how evenly the path is followed, never what is possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from scipy.linalg import blas, lapack

from opsroom.decide.allocation.master import Floats

_STEPS = 300
_CENTRAL = 30.0
"""How far from the ends the path begins, in the mean worth of an unknown: too near to them costs more steps."""
_CORRECTORS = 3
_BACK = 0.995
_NOTHING = 1e-13
"""Part of the mean product of the start below which all is rounding."""
_ROUGH, _EXACT = 0.05, 0.005
"""Part of the mean product of a price and what is left that a system may be solved wrongly by; where rows that ask for
something leave little room, less."""
_PLAIN, _PASSES = 12, 80
"""Passes from which on a part of the system is factorised, and most passes."""
_FELT = 0.5
_WIDE = 1.5
"""Rows whose weight in the system is above that are factorised, over as many unknowns for each."""

_MET = 1e-9
_FAST = {"contract", "reassoc", "nsz"}
_FLUSH = 256


@dataclass(frozen=True, slots=True)
class Inner:
    """A point near the optimum.

    Attributes
    ----------
    z
        Unknowns, possible but for rounding.
    prices
        By row.
    steps, passes
        Steps, and products with the system.
    """

    z: Floats
    prices: Floats
    steps: int
    passes: int


@dataclass(slots=True)
class _Point:
    z: Floats
    room: Floats
    left: Floats
    prices: Floats
    below: Floats
    above: Floats

    def mean(self) -> float:
        """Return the mean product of a price and what is left."""
        total = self.prices @ self.left + self.below @ self.z + self.above @ self.room
        return float(total / (len(self.left) + 2 * len(self.z)))

    def moved(self, d: _Point, primal: float, dual: float) -> _Point:
        """Return the point at the end of a step."""
        return _Point(
            self.z + primal * d.z, self.room + primal * d.room, self.left + primal * d.left,
            self.prices + dual * d.prices, self.below + dual * d.below, self.above + dual * d.above,
        )  # fmt: skip

    def reach(self, d: _Point) -> tuple[float, float]:
        """Return how much of a step keeps amounts, and prices, above 0."""
        primal = min(_most(self.z, d.z), _most(self.room, d.room), _most(self.left, d.left))
        return primal, min(_most(self.prices, d.prices), _most(self.below, d.below), _most(self.above, d.above))


def _most(at: Floats, step: Floats) -> float:
    falls = step < 0.0
    return min(1.0, float(np.min(-at[falls] / step[falls], initial=np.inf)))


def inner(
    worth: Floats, high: Floats, rows: np.ndarray, limit: Floats, *, tol: float, given: float = 0.0,
    whole: float | None = None, met: bool = False,
) -> Inner:  # fmt: skip
    """Maximise ``worth @ z`` subject to ``0 <= z <= high`` and ``z @ rows <= limit``.

    Parameters
    ----------
    worth, high
        By unknown; `high` above 0.
    rows
        Unknowns x rows, in floats of 4 or 8 bytes: with 4, a gap of 1e-5 is about what can be reached.
    limit
        By row: above 0 where a row holds nothing below 0. Others are met to within 1e-9.
    tol
        End at a gap of that share of the bound, or of `whole`.
    given
        Worth of what is not in question, for the gap.
    whole
        What the gap is counted as a share of.
    met
        End only where every row is met to within 1e-9.

    Notes
    -----
    Predictor and corrector steps after Mehrotra (1992), SIAM Journal on Optimization 2, 575-601, from a start that need
    not be possible; further correctors after Gondzio (1996), Computational Optimization and Applications 6, 137-156.
    """
    path = _Path(worth, high, rows, limit, rough=_EXACT if met else _ROUGH)
    point = path.start()
    mean = point.mean()
    for _ in range(_STEPS):
        costs, loads = path.both(point.prices, point.z)
        surplus = worth - costs
        bound = float(limit @ point.prices + np.maximum(surplus, 0.0) @ high) + given
        reached = float(worth @ point.z) / path.over(loads) + given
        ends = bound - reached <= tol * abs(bound if whole is None else whole) and path.asked(loads, every=met)
        if ends or point.mean() <= _NOTHING * mean:
            break
        following = path.step(point, surplus, loads)
        if following is None:
            break
        point = following
    return Inner(np.clip(point.z, 0.0, high), point.prices, path.steps, path.passes)


class _Path:
    """The programme, and the steps along its central path."""

    def __init__(self, worth: Floats, high: Floats, rows: np.ndarray, limit: Floats, *, rough: float) -> None:
        self.rough = rough
        self.worth, self.high, self.rows, self.limit = worth, high, rows, limit
        self.kind = rows.dtype
        self.count = len(limit) + 2 * len(high)
        self.factored = False
        self.passes = self.steps = 0

    def over(self, loads: Floats) -> float:
        """Return by what unknowns have to be divided for all that is scarce to be enough, 1 at least."""
        scarce = self.limit > 0.0
        return max(1.0, float((loads[scarce] / self.limit[scarce]).max(initial=0.0)))

    def asked(self, loads: Floats, *, every: bool) -> bool:
        """Return whether all rows are met; where none asks for something, what is possible is a matter of scale."""
        return not (every or (self.limit <= 0.0).any()) or bool((loads <= self.limit + _MET).all())

    def both(self, prices: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return what each unknown costs at prices, and what unknowns take of each row."""
        none = np.zeros_like(z)
        costs, _, loads = _answer(self.rows, prices.astype(self.kind), none, none, z)
        return costs, loads

    def answer(self, prices: Floats, gain: Floats, free: Floats) -> tuple[Floats, Floats]:
        """Return how unknowns answer to prices, and what that takes of each row."""
        self.passes += 1
        _, z, loads = _answer(self.rows, prices.astype(self.kind), gain, free, np.zeros_like(gain))
        return z, loads

    def start(self) -> _Point:
        """Return a point far from all ends, with prices that are in order."""
        z = 0.5 * self.high
        mean = _CENTRAL * float(np.abs(self.worth) @ self.high) / self.count
        loads = self.both(np.zeros_like(self.limit), z)[1]
        left = np.maximum(np.maximum(self.limit - loads, 0.5 * np.abs(loads)), 1e-6)
        prices = mean / left
        surplus = self.worth - self.both(prices, z)[0]
        below = np.hypot(0.5 * surplus, mean / z) - 0.5 * surplus
        return _Point(z, self.high - z, left, prices, below, below + surplus)

    def step(self, at: _Point, surplus: Floats, loads: Floats) -> _Point | None:
        """Return the point after one step, or None where rounding stops it."""
        self.steps += 1
        system = _System(self, at)
        missing, idle = self.limit - loads - at.left, surplus + at.below - at.above
        mean = at.mean()
        ends = (at.prices * at.left, at.below * at.z, at.above * at.room)
        ahead = system.direction(missing, idle, (-ends[0], -ends[1], -ends[2]), mean)
        primal, dual = at.reach(ahead)
        centred = (at.moved(ahead, primal, dual).mean() / mean) ** 3
        aim, both = centred * mean, primal * dual
        changed = (
            aim - ends[0] - both * ahead.prices * ahead.left,
            aim - ends[1] - both * ahead.below * ahead.z,
            aim - ends[2] - both * ahead.above * ahead.room,
        )
        way = system.direction(missing, idle, changed, mean)
        primal, dual = at.reach(way)
        none, nothing = np.zeros_like(missing), np.zeros_like(idle)
        aim = max(aim, 1e-3 * mean)
        for _ in range(_CORRECTORS):
            tried = at.moved(way, min(1.0, 1.1 * primal + 0.1), min(1.0, 1.1 * dual + 0.1))
            evened = (
                _even(tried.prices * tried.left, aim),
                _even(tried.below * tried.z, aim),
                _even(tried.above * tried.room, aim),
            )
            more = system.direction(none, nothing, evened, mean)
            bent = way.moved(more, 1.0, 1.0)
            longer = at.reach(bent)
            if sum(longer) < primal + dual + 0.02:
                break
            way, (primal, dual) = bent, longer
        if max(primal, dual) < 1e-6:
            return None
        self.factored = self.factored or system.hardest > _PLAIN
        return at.moved(way, min(1.0, _BACK * primal), min(1.0, _BACK * dual))


def _even(products: Floats, aim: float) -> Floats:
    """Return what brings products that are far from their aim nearer to it."""
    return np.maximum(np.clip(products, 0.1 * aim, 10.0 * aim) - products, -10.0 * aim)


class _System:
    """The equations of one step, scaled so that a row that does not bind counts 1."""

    def __init__(self, path: _Path, at: _Point) -> None:
        self.path, self.at = path, at
        self.free = 1.0 / (at.below / at.z + at.above / at.room)
        self.scale = np.sqrt(at.prices / at.left)
        kind = path.kind
        weight, felt = _weights(path.rows, self.free.astype(kind), (self.scale**2).astype(kind))
        self.diagonal = 1.0 + self.scale**2 * weight
        self.hardest = 0
        self.some = np.zeros(0, dtype=np.intp)
        if path.factored:
            self._factor(self.diagonal - 1.0, felt)

    def _factor(self, weight: Floats, felt: Floats) -> None:
        some = np.flatnonzero(weight > _FELT)
        if not len(some):
            return
        wide = min(int(_WIDE * len(some)) + 1, len(felt))
        free = np.sort(np.argpartition(felt, len(felt) - wide)[len(felt) - wide :])
        # Of unknowns left away the diagonal stays in; with that the system is within a small factor of this one.
        part = self.path.rows[free][:, some]
        whole = self.scale[some] / np.sqrt(self.diagonal[some])
        part = part * np.sqrt(self.free[free]).astype(part.dtype)[:, None] * whole.astype(part.dtype)
        double = part.dtype == np.float64
        product: Any = blas.dsyrk if double else blas.ssyrk
        square = product(1.0, part.T, lower=1)
        np.fill_diagonal(square, 1.0 + 30.0 * np.finfo(part.dtype).eps * len(some) ** 0.5)
        factor: Any = lapack.dpotrf if double else lapack.spotrf
        self._back: Any = lapack.dpotrs if double else lapack.spotrs
        self._square, info = factor(square, lower=1, overwrite_a=1)
        if info == 0:
            self.some = some

    def _near(self, r: Floats) -> Floats:
        """Return a rough solution."""
        found: Floats = r / self.diagonal
        if len(self.some):
            root = np.sqrt(self.diagonal[self.some])
            part, _ = self._back(self._square, (r[self.some] / root).astype(self._square.dtype), lower=1)
            found[self.some] = part / root
        return found

    def _solve(self, r: Floats, fine: float) -> Floats:
        """Return the solution, to within that length of what is left over."""
        path, nothing = self.path, np.zeros_like(self.free)
        x, left = np.zeros_like(r), r.copy()
        near = self._near(left)
        way, height = near.copy(), float(left @ near)
        end = max(fine, 1e-6 * float(np.linalg.norm(r)))
        for passes in range(1, _PASSES + 1):
            if float(np.linalg.norm(left)) <= end:
                break
            turned = way - self.scale * path.answer(self.scale * way, nothing, self.free)[1]
            share = height / float(way @ turned)
            x += share * way
            left -= share * turned
            near = self._near(left)
            after = float(left @ near)
            way = near + (after / height) * way
            height = after
            self.hardest = max(self.hardest, passes)
        return x

    def direction(self, missing: Floats, idle: Floats, changed: tuple[Floats, Floats, Floats], mean: float) -> _Point:
        """Return the step that makes up for what is missing, and changes products of prices and what is left."""
        left, below, above = changed
        at, path = self.at, self.path
        gain = idle + below / at.z - above / at.room
        fine = path.rough * float(np.sqrt(len(at.left) * mean))
        right = left / at.prices - missing + path.answer(np.zeros_like(missing), gain, self.free)[1]
        prices = self.scale * self._solve(self.scale * right, fine)
        z, taken = path.answer(prices, gain, self.free)
        return _Point(z, -z, missing - taken, prices, (below - at.below * z) / at.z, (above + at.above * z) / at.room)


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _answer(
    rows: np.ndarray, prices: np.ndarray, gain: Floats, free: Floats, held: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return costs, unknowns ``held + free * (gain - costs)``, and what these take of each row: rows are read once."""
    costs, z, loads = np.empty(len(gain)), np.empty(len(gain)), np.zeros(len(prices))
    short, part = np.empty(1, prices.dtype), np.zeros_like(prices)
    for j in range(len(gain)):
        one = rows[j]
        cost = prices[0] * 0
        for i in range(len(prices)):
            cost += one[i] * prices[i]
        costs[j] = cost
        z[j] = held[j] + free[j] * (gain[j] - cost)
        short[0] = z[j]
        amount = short[0]
        for i in range(len(prices)):
            part[i] += one[i] * amount
        if j % _FLUSH == _FLUSH - 1:  # long sums of short numbers lose their last digits
            loads += part
            part[:] = 0
    return costs, z, loads + part


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _weights(rows: np.ndarray, free: np.ndarray, dear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by row what all unknowns weigh in the system, and by unknown what it weighs in all rows."""
    weight, felt = np.zeros_like(dear), np.empty_like(free)
    for j in range(len(free)):
        one = rows[j]
        total, loose = dear[0] * 0, free[j]
        for i in range(len(dear)):
            square = one[i] * one[i]
            total += square * dear[i]
            weight[i] += loose * square
        felt[j] = loose * total
    return weight, felt
