"""The programme of `master` with all rows there from the start: an interior point, where scarcities are thousands."""

from __future__ import annotations

import numpy as np

from opsroom.decide.allocation.interior import inner
from opsroom.decide.allocation.master import Floats, Ints

_FIXED = 1e-12
"""Shares that differ by less cannot move."""
_LEAST = 1e-11
"""What is taken to be left where nothing is."""


class Wide:
    """Maximise ``worth @ z`` with ``low <= z <= high`` and rows, each ``row @ z <= limit``: as `Master`, by `inner`."""

    def __init__(self, low: Floats, high: Floats, rows: Floats, limits: Floats, *, tol: float) -> None:
        self._low, self._high, self._tol = low.copy(), high, tol
        self._rows, self._limits = rows, limits
        self._worth = np.zeros_like(low)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._limits)

    def add(self, rows: list[tuple[Ints, Floats]], limits: Floats | None = None) -> None:
        """Add rows given as columns and values, with a limit of 1 or those given."""
        whole = np.zeros((len(self._low), len(rows)))
        for k, (columns, values) in enumerate(rows):
            whole[columns, k] = values
        self._rows = np.hstack([self._rows, whole])
        self._limits = np.append(self._limits, np.ones(len(rows)) if limits is None else limits)

    def count_by(self, worth: Floats) -> None:
        """Maximise something else from now on."""
        self._worth = worth

    def hold(self, column: int, low: float) -> None:
        """Let an unknown be at least that much, and at most 1."""
        self._low[column] = low

    def solve(self) -> tuple[Floats, Floats]:
        """Return unknowns that are nearly the best, and the rows' prices (0 or more)."""
        moves = self._high - self._low > _FIXED
        left = self._limits - self._low @ self._rows
        # a limit that nothing is left of is one of traces; one below 0 asks for something and stays
        limit = np.where(np.abs(left) < _LEAST, _LEAST, left)
        found = inner(
            self._worth[moves], (self._high - self._low)[moves], np.ascontiguousarray(self._rows[moves]), limit,
            tol=self._tol, given=float(self._worth @ self._low), whole=float(self._worth @ self._high), met=True,
        )  # fmt: skip
        z = self._low.copy()
        z[moves] += found.z
        return z, found.prices
