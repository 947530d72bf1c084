"""Drawing in chunks: every chunk has a seed of its own, so that the number of threads changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.warn.exuberance.sequences import processors

Floats = npt.NDArray[np.float64]
CHUNK = 64


def in_chunks(
    one: Callable[[np.random.Generator, int], tuple[Floats, ...]], draws: int, *, seed: int, workers: int | None = None
) -> tuple[Floats, ...]:
    """Return what `one` gives for chunks of draws, put one below the other.

    Parameters
    ----------
    one
        From a generator and a number of draws, arrays with one row a draw.
    draws
        In all.
    seed
        Of the whole.
    workers
        Threads; all processors by default.
    """

    def chunk(number: int) -> tuple[Floats, ...]:
        return one(np.random.default_rng([seed, number]), min(CHUNK, draws - number * CHUNK))

    numbers = range(-(-draws // CHUNK))
    count = min(workers or processors(), len(numbers))
    if count > 1:
        with ThreadPoolExecutor(count) as pool:
            parts = list(pool.map(chunk, numbers))
    else:
        parts = [chunk(number) for number in numbers]
    return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))


def low_where_absent(values: Floats) -> Floats:
    """Return the values, a path without a statistic counting as low."""
    return np.where(np.isnan(values), -np.inf, values)


def quantiles(drawn: Floats, levels: Sequence[float]) -> Floats:
    """Return quantiles over draws, of shape (levels, …); infinities are not averaged."""
    method: Literal["linear", "higher"] = "linear" if np.isfinite(drawn).all() else "higher"
    return np.asarray(np.quantile(drawn, np.asarray(levels, dtype=np.float64), axis=0, method=method))


def checked(draws: int, levels: Sequence[float]) -> tuple[int, tuple[float, ...]]:
    """Check draws and levels; return both, levels rising.

    Raises
    ------
    UsageError
        A level is not a probability, or the draws are too few for it.
    """
    rising = tuple(sorted(float(level) for level in levels))
    if not rising or not all(0.0 < level < 1.0 for level in rising) or len(set(rising)) < len(rising):
        raise UsageError(
            "levels must be different probabilities between 0 and 1.",
            code="OPS-U345",
            remedy="Use levels=(0.90, 0.95, 0.99).",
        )
    whole = isinstance(draws, int | np.integer) and not isinstance(draws, bool)
    if not whole or (draws + 1) * (1.0 - rising[-1]) < 1.0 - 1e-9:
        raise UsageError(
            f"too few draws for a level of {rising[-1]}.",
            code="OPS-U346",
            remedy="Use draws=1999; the level 0.99 needs 99 at least.",
        )
    return int(draws), rising


def p_value(drawn: Floats, value: float) -> float:
    """Return (1 + draws at least as large) / (1 + draws); `drawn` is sorted, NaN gives NaN."""
    if np.isnan(value):
        return float("nan")
    return float(1 + len(drawn) - np.searchsorted(drawn, value, side="left")) / (1 + len(drawn))
