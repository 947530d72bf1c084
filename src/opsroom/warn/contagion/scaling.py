"""Two vectors u, v whose products ``u_i v_j`` off the diagonal have given row and column sums: scaling, then Newton.

Scaling one side after the other is quick where nobody dominates. Where one node is on a side of most claims, it takes
thousands of rounds, and Newton's method on the logarithms takes a dozen: its Hessian is a 2 x 2 block a node plus two
sums over all, so that a step costs O(n), too.
"""

from __future__ import annotations

import numpy as np

from opsroom.warn.contagion.links import Floats

PLAIN = 4
"""Rounds of scaling before Newton's steps are taken in between."""
LONGEST = 4.0
"""Largest change of a logarithm in one step."""


def scale(a: Floats, b: Floats, *, tolerance: float, max_rounds: int) -> tuple[Floats, Floats] | None:
    """Return u and v, or None where the margins are not met.

    Parameters
    ----------
    a, b
        Row and column sums, feasible and not on the edge of what is.
    tolerance
        Largest relative error of a row sum; column sums hold to rounding.
    max_rounds
        Rounds to try.
    """
    u, v = a.copy(), b / a.sum()
    for done in range(max_rounds):
        u = a / without_own(v)
        v = b / without_own(u)
        if np.all(np.abs(u * without_own(v) - a) <= tolerance * a):
            return u, v
        if done >= PLAIN:
            u, v = _newton(u, v, a, b)
    return None


def without_own(x: Floats) -> Floats:
    """Return for each entry the sum of all others, without cancellation where one entry is nearly all."""
    big = int(np.argmax(x))
    rest = x.copy()
    rest[big] = 0.0
    small = rest.sum()
    others: Floats = (small - rest) + x[big]
    others[big] = small
    return others


def _potential(u: Floats, v: Floats, a: Floats, b: Floats) -> float:
    """Return the convex function of the logarithms whose gradient is the error of the margins."""
    some, other = a > 0, b > 0
    total = float((u * without_own(v)).sum())
    return total - float(a[some] @ np.log(u[some])) - float(b[other] @ np.log(v[other]))


def _newton(u: Floats, v: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Take one damped step; where it does not lead downhill, none."""
    dx, dy = _direction(u, v, a, b)
    longest = max(float(np.abs(dx).max()), float(np.abs(dy).max()))
    if not np.isfinite(longest):
        return u, v
    size = min(1.0, LONGEST / longest) if longest > 0 else 1.0
    now = _potential(u, v, a, b)
    for _ in range(20):
        further, there = u * np.exp(size * dx), v * np.exp(size * dy)
        if _potential(further, there, a, b) <= now + 1e-13 * abs(now):
            return further, there
        size /= 2
    return u, v


def _direction(u: Floats, v: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Solve for the step: blocks [[rows, -uv], [-uv, columns]] coupled by the sums v'dy and u'dx."""
    own = u * v
    rows = np.where(a > 0, u * without_own(v), 1.0)
    columns = np.where(b > 0, v * without_own(u), 1.0)
    det = rows * columns - own * own

    def solve(p: Floats, q: Floats) -> tuple[Floats, Floats]:
        return (columns * p + own * q) / det, (own * p + rows * q) / det

    none = np.zeros_like(u)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x0, y0 = solve(a - u * without_own(v), b - v * without_own(u))
        (xa, ya), (xb, yb) = solve(u, none), solve(none, v)
        coupled = np.array([[1.0 + v @ ya, v @ yb], [u @ xa, 1.0 + u @ xb]])
        right = np.array([v @ y0, u @ x0])
        if not (np.isfinite(coupled).all() and np.isfinite(right).all()):
            return np.full_like(u, np.nan), none
        # u and v may be multiplied and divided by one factor: the least-norm solution leaves that alone.
        alpha, beta = np.linalg.lstsq(coupled, right, rcond=1e-10)[0]
        return x0 - alpha * xa - beta * xb, y0 - alpha * ya - beta * yb
