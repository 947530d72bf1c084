"""A log variance that walks: its most probable path given squares that it scales, found exactly.

With step variances g and squares x of dimension m, the path h is the lowest point of

    sum over squares of  misfit(h, x)  +  sum over steps of (h' - h)² / (2 g)

where the misfit is ``m h / 2 + x exp(-h) / 2`` for normal errors, and for Student errors whose weight has been
maximised out ``m h / 2 + (tail + m) log(tail + x exp(-h)) / 2``. Both are convex, so that the lowest point is one and
Newton's method finds it. Its linear systems have three diagonals; they are solved as a filter and smoother in the
information of each point, which holds for steps as small as one likes, where elimination would cancel.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_TURNS = 200
_STILL = 1e-11
_STRIDE = 3.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def height(path: Any, at: Any, square: Any, size: Any, tail: Any, step: Any) -> float:
    """Return what the path minimises; `step` holds the variances between a point and the one after."""
    total = 0.0
    for k in range(len(at)):
        h = path[at[k]]
        x = square[k] * np.exp(-h)
        if tail[k] > 0.0:
            total += 0.5 * (size[k] * h + (tail[k] + size[k]) * np.log1p(x / tail[k]))
        else:
            total += 0.5 * (size[k] * h + x)
    for k in range(1, len(path)):
        total += 0.5 * (path[k] - path[k - 1]) ** 2 / step[k - 1]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def slopes(path: Any, at: Any, square: Any, size: Any, tail: Any, slope: Any, bend: Any, least: float) -> None:
    """Fill in the misfit's first and second derivative by point, each square's second one at least `least` its size."""
    for k in range(len(path)):
        slope[k], bend[k] = 0.0, 0.0
    for k in range(len(at)):
        x = square[k] * np.exp(-path[at[k]])
        if tail[k] > 0.0:
            share = x / (tail[k] + x)
            slope[at[k]] += 0.5 * (size[k] - (tail[k] + size[k]) * share)
            bend[at[k]] += max(0.5 * (tail[k] + size[k]) * share * (tail[k] / (tail[k] + x)), least * size[k])
        else:
            slope[at[k]] += 0.5 * (size[k] - x)
            bend[at[k]] += max(0.5 * x, least * size[k])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def inform(bend: Any, step: Any, held: Any, info: Any) -> float:
    """Fill in each point's information given itself and those before; return the curvature's log determinant.

    It is that of points and steps together, less what the steps have without data, so that it stays finite as the
    steps vanish. A first point that is held has information without end.
    """
    logdet = 0.0
    for k in range(len(bend)):
        if k == 0:
            info[k] = np.inf if held else bend[k]
            continue
        if np.isinf(info[k - 1]):
            info[k] = bend[k] + 1.0 / step[k - 1]
            logdet += np.log(step[k - 1])
        else:
            info[k] = bend[k] + info[k - 1] / (1.0 + step[k - 1] * info[k - 1])
            logdet += np.log1p(step[k - 1] * info[k - 1])
    last = info[len(bend) - 1]
    if not np.isinf(last):
        logdet += np.log(last)
    return logdet


@numba.njit(cache=True, nogil=True, error_model="numpy")
def mode(path: Any, at: Any, square: Any, size: Any, tail: Any, step: Any, held: Any, info: Any) -> float:
    """Move a path to its most probable place, in place; return the log marginal likelihood of the steps (Laplace).

    Parameters
    ----------
    path
        Where to begin; its first point stays where it is if `held`.
    at, square, size, tail
        Per square: its point, expected square sum, its dimension, and degrees of freedom (0: normal).
    step
        Variance of each step, one less than the points.
    held
        Whether the first point is given; true or false.
    info
        Filled in: information of each point given itself and those before; that of the last point is all there is.
    """
    n = len(path)
    slope, bend, move, right, trial = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    value = height(path, at, square, size, tail, step)
    for _ in range(_TURNS):
        # A point far off has next to no curvature: a part of the expected one keeps the step within reason.
        slopes(path, at, square, size, tail, slope, bend, 1e-3)
        inform(bend, step, held, info)
        # The right side is that of a regression on the path itself, so that the steps need no term of their own.
        for k in range(n):
            own = bend[k] * path[k] - slope[k]
            if k == 0:
                right[k] = own
            elif np.isinf(info[k - 1]):
                right[k] = own + path[0] / step[k - 1]
            else:
                right[k] = own + right[k - 1] / (1.0 + step[k - 1] * info[k - 1])
        for k in range(n - 1, -1, -1):
            if np.isinf(info[k]):
                move[k] = path[k]
            elif k == n - 1:
                move[k] = right[k] / info[k]
            else:
                move[k] = (step[k] * right[k] + move[k + 1]) / (1.0 + step[k] * info[k])
        far = 0.0
        for k in range(n):
            move[k] -= path[k]
            far = max(far, abs(move[k]))
        if not far > _STILL:
            break
        length, lower = min(1.0, _STRIDE / far), False
        while length > 1e-10:
            for k in range(n):
                trial[k] = path[k] + length * move[k]
            there = height(trial, at, square, size, tail, step)
            if there <= value:
                for k in range(n):
                    path[k] = trial[k]
                lower = there < value
                value = there
                break
            length *= 0.5
        if not lower:
            break
    slopes(path, at, square, size, tail, slope, bend, 0.0)
    return -value - 0.5 * inform(bend, step, held, info)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def modes(
    offset: Any, split: Any, point: Any, path: Any, square: Any, size: Any, tail: Any, gap: Any, variance: float,
    held: Any, info: Any,
) -> float:  # fmt: skip
    """Do the same for several paths, one behind the other, whose monthly steps have one variance.

    Points of path s begin at ``offset[s]``, its squares at ``split[s]``; ``point[k]`` is the point of square k, and
    ``gap[k]`` the number of months from the point before (not read for the first point of a path). `held` says of each
    path whether its first point is given.
    """
    total = 0.0
    for s in range(len(offset) - 1):
        a, b, c, d = offset[s], offset[s + 1], split[s], split[s + 1]
        if b > a:
            step, at = np.empty(b - a - 1), np.empty(d - c, dtype=np.int64)
            for k in range(b - a - 1):
                step[k] = variance * gap[a + 1 + k]
            for k in range(d - c):
                at[k] = point[c + k] - a
            total += mode(path[a:b], at, square[c:d], size[c:d], tail[c:d], step, held[s], info[a:b])
    return total
