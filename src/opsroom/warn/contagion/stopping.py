"""When rounds that climb to a limit may end: when the error is small, not when the step is."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.base.errors import UsageError

IN_A_ROW = 2
"""Rounds in a row that must say so: a small change may be about to meet a small buffer, and then is a large one."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def note(at: int, step: float, fresh: int, tolerance: float, state: Any) -> bool:
    """Note the largest step of a round and how many nodes it reached first; return whether the end is near enough.

    The steps of a linear iteration decline by a rate r < 1 in the end, so what is still missing is about the last
    step times ``r / (1 - r)``. The larger of the last two rates is taken, and where steps still grow nothing is said
    to be near. `state` holds for each scenario: last step, last rate, rounds in a row that were near, error.
    """
    last, before = state[at, 0], state[at, 1]
    if step == 0.0:
        rate, error = 0.0, 0.0
    else:
        rate = step / last if np.isfinite(last) and last > 0.0 else np.inf
        worst = max(rate, before) if np.isfinite(before) else rate
        error = step * worst / (1.0 - worst) if worst < 1.0 else np.inf
    near = error <= tolerance and fresh == 0
    state[at, 0], state[at, 1], state[at, 3] = step, rate, error
    state[at, 2] = state[at, 2] + 1.0 if near else 0.0
    return bool(near and (state[at, 2] >= IN_A_ROW or step == 0.0))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def begin(width: int) -> Any:
    """Return the state of scenarios of which nothing is known yet."""
    state = np.full((width, 4), np.inf)
    state[:, 2] = 0.0
    return state


def check(tolerance: float, max_rounds: int) -> None:
    """Refuse rounds that could not end.

    Raises
    ------
    UsageError
        A tolerance or number of rounds that is not positive.
    """
    if not (tolerance > 0 and max_rounds >= 1):
        raise UsageError(
            "tolerance and number of rounds must be positive.", remedy="Use the defaults.", code="OPS-U207"
        )
