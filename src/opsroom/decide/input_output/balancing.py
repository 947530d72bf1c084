"""Balancing a table to margins that are known better than its cells: RAS, and GRAS where cells may be negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.decide.input_output.productive import Floats

_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class Balanced:
    """A balanced table, and what balancing did to it.

    Attributes
    ----------
    table
        The table; in the shape that it came in.
    report
        One row a cell that was changed by more than a thousandth of its row's total: ``row, column, before, after,
        change``, the largest change first.
    rounds
        Passes over rows and columns.
    gap
        Largest distance from a margin, over the largest margin.
    """

    table: pd.DataFrame
    report: pd.DataFrame
    rounds: int
    gap: float

    def summary(self) -> str:
        """Return how much was changed, and where most."""
        lines = [f"Balanced in {self.rounds} rounds; margins met to {self.gap:.1e}; {len(self.report)} cells changed"]
        for row in self.report.head(5).itertuples():
            lines.append(f"  {row.row} → {row.column}: {row.before:,.2f} → {row.after:,.2f}")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Stone (1961), RAS; Junius and Oosterhaven (2003), Economic Systems Research 15:87-96, with the correction "
            f"of Lenzen, Wood and Gallego (2007), 19:461-465; opsroom {__version__}."
        )


def balance(table: pd.DataFrame, rows: ArrayLike, columns: ArrayLike, *, tol: float = 1e-9) -> Balanced:
    """Balance a table to the sums of its rows and columns.

    Parameters
    ----------
    table
        What is known of the cells; they may be negative (GRAS), zeros stay zeros.
    rows, columns
        Sums wanted; they must have the same total.
    tol
        Margins are met when no sum is further off than this, over the largest margin.

    Raises
    ------
    UsageError
        Totals that differ, shapes that do not fit.
    FitError
        The zeros do not allow the margins: the row or column is named.

    Notes
    -----
    Of all tables with these margins and zeros it is the nearest to the given one in information (for positive cells
    the Kullback-Leibler divergence). Signs are kept.
    """
    given = table.to_numpy(np.float64)
    u, v = np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)
    if u.shape != (given.shape[0],) or v.shape != (given.shape[1],):
        raise UsageError("the margins do not fit the table.", remedy="Give a sum for each row and each column.")
    if not all(np.isfinite(one).all() for one in (given, u, v)):
        raise UsageError("table or margins hold values that are not finite.", remedy="Put 0 where nothing is known.")
    size = max(float(np.abs(u).max(initial=0.0)), float(np.abs(v).max(initial=0.0)), 1e-300)
    if abs(u.sum() - v.sum()) > 1e-9 * max(size, abs(float(u.sum()))):
        raise UsageError("rows and columns have different totals.", remedy="Reconcile the margins first.")
    plus, minus = np.maximum(given, 0.0), np.maximum(-given, 0.0)
    r, s, found = np.ones(len(u)), np.ones(len(v)), given
    gap, count = np.inf, 0
    while gap > tol and count < _ROUNDS:
        count += 1
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # Factors without bound are what margins that cannot be met look like.
            r = _factors(plus @ s, minus @ (1.0 / s), u)
            s = _factors(r @ plus, (1.0 / r) @ minus, v)
            found = plus * r[:, None] * s - minus / r[:, None] / s
        gap = float(np.abs(found.sum(axis=1) - u).max(initial=0.0)) / size
        if not np.isfinite(gap):
            break
    if gap > tol or not np.isfinite(found).all():
        off = np.abs(np.nan_to_num(found.sum(axis=1)) - u)
        raise FitError(
            f"the margins cannot be met with these zeros: row {table.index[int(off.argmax())]!r} stays off.",
            remedy="Give small values where a purchase is possible, or correct the margins.",
            code="OPS-M171",
        )
    after = pd.DataFrame(found, index=table.index, columns=table.columns)
    return Balanced(after, _report(table, after), count, gap)


def _factors(p: Floats, n: Floats, target: Floats) -> Floats:
    """Return the positive roots of p r - n / r = target, row by row."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.sqrt(target**2 + 4.0 * p * n)
        # Of the two forms of the root the one that does not cancel.
        found = np.where(target >= 0, (target + root) / (2.0 * p), 2.0 * n / (root - target))
        found = np.where((p == 0) & (n > 0), -n / target, found)
    return np.where((p == 0) & (n == 0), 1.0, found)


def _report(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    change = (after - before).to_numpy()
    share = np.abs(change) / np.maximum(np.abs(after.to_numpy()).sum(axis=1, keepdims=True), 1e-300)
    row, column = np.nonzero(share > 1e-3)
    frame = pd.DataFrame(
        {
            "row": list(before.index.take(row)),
            "column": list(before.columns.take(column)),
            "before": before.to_numpy()[row, column],
            "after": after.to_numpy()[row, column],
            "change": change[row, column],
        }
    )
    order = frame["change"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)
