"""Least angle regression with the lasso's rule: in which order, and at which penalty, series come into a regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opsroom.measure.nowcast.dfm.parameters import Floats

Ints = NDArray[np.int64]
_ZERO = 1e-10


def lars_path(x: Floats, y: Floats, *, ridge: float = 0.0) -> tuple[Floats, Floats]:
    """Return the whole path of the elastic net.

    Parameters
    ----------
    x, y
        Rows x series of mean zero and like size, and the outcome of mean zero.
    ridge
        Weight of the squares, relative to the number of rows.

    Returns
    -------
    penalties, coefficients
        At the knots, from the largest penalty, where all is zero, to none: at each, the coefficients b make
        ``|y - x b|² / 2n + ridge |b|² / 2 + penalty Σ|b|`` smallest, and between two knots they are linear.

    References
    ----------
    Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression, Annals of Statistics 32, 407-499; Zou and
    Hastie (2005), Regularization and variable selection via the elastic net, JRSS B 67, 301-320.
    """
    n, width = x.shape
    gram = x.T @ x / n + ridge * np.eye(width)
    push = x.T @ y / n
    beta = np.zeros(width)
    penalty = float(np.abs(push).max(initial=0.0))
    penalties, betas = [penalty], [beta]
    if penalty <= 0.0:
        return np.array(penalties), np.array(betas)
    top = penalty
    active = [int(np.abs(push).argmax())]
    just_left = -1
    # Each knot lets one series in or out; a path of many more knots than series has met a tie.
    for _ in range(8 * width + 8):
        slope = push - gram @ beta
        sign = np.sign(slope[active])
        try:
            direction = np.linalg.solve(gram[np.ix_(active, active)], sign)
        except np.linalg.LinAlgError:
            break
        fall = gram[:, active] @ direction
        step, event, which = penalty, "end", -1
        for k in range(width):
            if k in active:
                continue
            for side in (1.0, -1.0):
                # Where the slope of k reaches the falling penalty.
                rate = 1.0 - side * fall[k]
                if rate <= _ZERO:
                    continue
                far = (penalty - side * slope[k]) / rate
                if abs(far) <= _ZERO * top:
                    # A tie, at the precision there is; what has just left is at the penalty still.
                    if k == just_left:
                        continue
                    far = 0.0
                if 0.0 <= far < step:
                    step, event, which = far, "in", k
        for place, k in enumerate(active):
            if direction[place] * beta[k] < 0.0:
                far = -beta[k] / direction[place]
                if _ZERO * top < far < step:
                    step, event, which = far, "out", k
        beta = beta.copy()
        beta[active] += step * direction
        penalty -= step
        just_left = -1
        if event == "out":
            beta[which] = 0.0
            active.remove(which)
            just_left = which
        penalties.append(max(penalty, 0.0))
        betas.append(beta)
        if event == "in":
            active.append(which)
        # With as many series in as there are rows, the rest is explained.
        if event == "end" or (ridge == 0.0 and len(active) > min(n - 1, width)):
            break
    return np.array(penalties), np.array(betas)


def lars_order(x: Floats, y: Floats, *, ridge: float = 0.0) -> tuple[Ints, Floats]:
    """Return series in the order in which they first come in, and the penalty at which each does."""
    penalties, betas = lars_path(x, y, ridge=ridge)
    inside = np.abs(betas) > 0.0
    ever = np.flatnonzero(inside.any(axis=0))
    # A series is zero still at the knot at which it comes in.
    knot = np.maximum(inside[:, ever].argmax(axis=0) - 1, 0)
    order = np.argsort(knot, kind="stable")
    return ever[order].astype(np.int64), penalties[knot[order]]
