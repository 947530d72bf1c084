"""The optimum by rows generated as scarcities show, with a bound that does not rest on the search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.decide.allocation.master import Floats, Master, infeasible, unclosed
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.input_output.productive import solve

BLOCK = 200
ROUNDS = 60
_KEPT = 0.01
"""Part of a row, at most uses, over the gap allowed, that may be left away: the bound is proved without it."""
VIOLATED = 1e-9
ROW_TOL = 1e-12
ROUNDING = 1e-8
"""No gap below this share is asked for: the solver's own tolerance is a tenth of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """Final uses that can be had, and what no final uses can exceed.

    Attributes
    ----------
    y, x
        Final uses and outputs, within all limits.
    objective, bound
        Worth of `y`, and an upper bound of the worth of any final uses that can be had.
    prices, wages
        Worth of one more unit of capacity by product, of one more hour by skill.
    rows, rounds
        Rows that the programme ended with, and rounds.
    """

    y: Floats
    x: Floats
    objective: float
    bound: float
    prices: Floats
    wages: Floats
    rows: int
    rounds: int

    def better(self, other: Found, rounds: int) -> Found:
        """Return the better final uses of two answers with the tighter bound of the two."""
        kept = self if self.objective >= other.objective else other
        low = self if self.bound <= other.bound else other
        return Found(
            kept.y, kept.x, kept.objective, low.bound, low.prices, low.wages, max(self.rows, other.rows), rounds
        )  # fmt: skip


def search(problem: Problem, *, tol: float, seconds: float, known: dict[int, Floats] | None = None) -> Found:
    """Find the best final uses.

    Parameters
    ----------
    problem
        What is to be used.
    tol, seconds
        Gap allowed as a share of the bound, and time.
    known
        What a unit of each final use takes of a product, by place of the product: filled as it is worked out, and used
        again where the same table is searched once more with other amounts.

    Notes
    -----
    Output follows from final uses, so the unknowns are these alone, and a capacity becomes a row only when a round's
    answer exceeds it. Each round gives two things: final uses moved back within all limits, whose worth is a lower
    bound; and prices, of which weak duality makes an upper bound by one solve, whatever the rows left away. The search
    ends where the two are within `tol`.
    """
    p, taken = problem, {} if known is None else known
    turned = p.turned
    base = p.load(p.output(p.low)) if p.low.any() else None
    if base is not None and max(base[0].max(initial=0.0), base[1].max(initial=0.0)) > 1.0 + VIOLATED:
        raise infeasible()
    # In shares of the most of each use, worth in shares of the largest: amounts of any size are one to the solver.
    size = np.where(p.high > 0, p.high, 1.0)
    most = float((p.worth * size).max(initial=0.0)) or 1.0
    master = Master(p.worth * size / most, p.low / size, p.high / size, seconds=seconds)
    names: list[tuple[str, int]] = []
    rows = []
    for k, hours in enumerate(p.labour):
        rows.append(cut_row(solve(turned, hours, tol=ROW_TOL).x / p.labour_limit[k] * size, most=_KEPT * tol))
        names.append(("labour", k))
    if rows:
        master.add(rows)
    best: Found | None = None
    limited: set[int] = set()
    for round_number in range(1, ROUNDS + 1):
        shares, duals = master.solve()
        y = np.clip(shares * size, p.low, p.high)
        duals = duals * most
        prices, wages = np.zeros(len(p.labels)), np.zeros(len(p.labour_limit))
        for (kind, k), dual in zip(names, duals, strict=True):
            if kind == "labour":
                wages[k] = dual / p.labour_limit[k]
            else:
                prices[k] = dual / p.capacity[k]
        x = p.output(y)
        found = within(p, y, x, prices, wages, master.rows, round_number)
        best = found if best is None else best.better(found, round_number)
        used = p.load(x)[0]
        over = [int(i) for i in np.flatnonzero(used > 1.0 + VIOLATED) if int(i) not in limited]
        if not over or best.bound - best.objective <= tol * max(abs(best.bound), 1e-300):
            break
        over = sorted(over, key=lambda i: -used[i])[:BLOCK]
        fresh = []
        for i in over:
            row = taken.get(i)
            if row is None:
                unit = np.zeros(len(p.labels))
                unit[i] = 1.0
                row = solve(turned, unit, tol=ROW_TOL).x
                if known is not None:
                    known[i] = row
            fresh.append(cut_row(row / p.capacity[i] * size, most=_KEPT * tol))
            names.append(("capacity", i))
            limited.add(i)
        master.add(fresh)
    assert best is not None
    if best.bound - best.objective > max(tol, ROUNDING) * max(abs(best.bound), 1e-300):
        raise unclosed((best.bound - best.objective) / abs(best.bound))
    return best


def cut_row(row: Floats, *, most: float) -> tuple[np.ndarray, Floats]:
    """Return a row without its smallest entries, which together are worth no more than `most` of the limit."""
    order = np.argsort(row)
    away = order[: int(np.searchsorted(np.cumsum(row[order]), most))]
    stays = np.ones(len(row), dtype=bool)
    stays[away] = False
    columns = np.flatnonzero(stays)
    return columns.astype(np.int64), row[columns]


def within(p: Problem, y: Floats, x: Floats, prices: Floats, wages: Floats, rows: int, rounds: int) -> Found:
    """Move final uses back within all limits, and prove a bound from the prices."""
    y, x = moved_back(p, y, x)
    return Found(y, x, float(p.worth @ y), bound(p, prices, wages), prices, wages, rows, rounds)


def moved_back(p: Problem, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Move final uses, and the outputs they take, back within all limits: towards the floors, which are possible."""
    used, hours = p.load(x)
    if max(float(used.max(initial=0.0)), float(hours.max(initial=0.0))) <= 1.0:
        return y, x
    # every load is linear on the way
    x_low = p.output(p.low) if p.low.any() else np.zeros_like(x)
    low_used, low_hours = p.load(x_low)
    whole = np.concatenate([used, hours])
    least = np.concatenate([low_used, low_hours])
    over = whole > 1.0
    gained = np.maximum(whole[over] - least[over], 1e-300)  # floors alone may take all there is
    share = float(np.min((1.0 - least[over]) / gained))
    share = max(0.0, min(1.0, share * (1.0 - 1e-12)))
    return p.low + share * (y - p.low), x_low + share * (x - x_low)


def bound(p: Problem, prices: Floats, wages: Floats) -> float:
    """Return the worth that no final uses can exceed, by weak duality from any prices of 0 or more.

    A final use costs what its making takes of the scarce means at these prices; at most it is worth its surplus over
    that, at its most, and never less than its cost at its least.
    """
    cost = solve(p.turned, prices + wages @ p.labour, tol=1e-11).x
    surplus = p.worth - cost
    gain = np.where(surplus > 0, surplus * p.high, surplus * p.low).sum()
    limited = np.isfinite(p.capacity) & (prices > 0)
    return float(gain + prices[limited] @ p.capacity[limited] + wages @ p.labour_limit)
