"""Import dependence: what a branch buys abroad itself, and what its suppliers' suppliers buy abroad for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.float64]
MOST_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class ImportDependence:
    """Imports by branch.

    Attributes
    ----------
    frame
        One row a branch: ``output``, ``imports``; ``direct``: per cent of its inputs that are imported; ``content``:
        imports in a hundred of its output, those of all suppliers before it included; ``hidden``: ``content`` less
        its own imports in a hundred of output.
    rounds, left
        Rounds of suppliers that were added up, and the largest content that the next would have added.
    """

    frame: pd.DataFrame
    rounds: int
    left: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row a branch."""
        return self.frame

    def summary(self) -> str:
        """Return the branches with the largest import content."""
        told = [
            f"{row['branch']} {row['content']:.0f} ({row['hidden']:.0f} by suppliers)"
            for row in self.frame.sort_values("content", ascending=False, kind="stable").head(3).to_dict("records")
        ]
        return f"Imports in a hundred of output: {'; '.join(told)}."

    def cite(self) -> str:
        """Return method and version."""
        return (
            "Import content by backward linkages (Leontief), domestic technology; "
            f"{self.rounds} rounds, {self.left:.1e} left; opsroom {__version__}."
        )


def import_dependence(
    uses: pd.DataFrame, imports: pd.Series, output: pd.Series, *, tolerance: float = 1e-10
) -> ImportDependence:
    """Measure how much of what each branch makes was bought abroad, by itself or by those who supply it.

    Answers: whose output stops when the border does?

    Parameters
    ----------
    uses
        Domestic supplies: one row a supplying branch, one column a using branch, in money.
    imports
        What each branch buys abroad.
    output
        What each branch makes.
    tolerance
        Largest content that may be left out.

    Returns
    -------
    ImportDependence

    Raises
    ------
    UsageError
        Branches differ, or an amount is negative, or an output is not positive.
    FitError
        Inputs cost more than output somewhere along a circle: the content does not settle.

    Notes
    -----
    With a = uses / output and m = imports / output, the content solves v = m + a'v; it is added up round by round of
    suppliers, v = m + a'm + a'a'm + …, and what is left over is returned. It takes domestic supplies of one branch to
    be alike, and says nothing of whether an import could be replaced.
    """
    branches = list(uses.columns)
    if list(uses.index) != branches or set(imports.index) != set(branches) or set(output.index) != set(branches):
        raise UsageError("branches of uses, imports and output differ.", remedy="Give all of them in one order.")
    table = uses.to_numpy(dtype=np.float64)
    bought = imports.reindex(branches).to_numpy(dtype=np.float64)
    made = output.reindex(branches).to_numpy(dtype=np.float64)
    amounts = np.concatenate([table.ravel(), bought])
    if not (np.isfinite(amounts) & (amounts >= 0)).all() or not (np.isfinite(made) & (made > 0)).all():
        raise UsageError("an amount is negative or missing, or an output is not positive.", remedy="Correct them.")
    needs, own = table / made, bought / made
    content, added, rounds = own.copy(), own.copy(), 0
    # What is left is a geometric tail; a branch whose inputs exceed its output may still be bounded along circles.
    while added.max(initial=0.0) > tolerance:
        added = needs.T @ added
        content += added
        rounds += 1
        if rounds == MOST_ROUNDS or not np.isfinite(content).all() or content.max() > 1e6:
            raise FitError(
                "the import content does not settle: inputs cost more than output.",
                code="OPS-M360",
                remedy="Check the table's units, and that output is gross.",
            )
    inputs = table.sum(axis=0) + bought
    frame = pd.DataFrame(
        {
            "branch": branches, "output": made, "imports": bought,
            "direct": 100.0 * np.divide(bought, inputs, out=np.zeros_like(bought), where=inputs > 0),
            "content": 100.0 * content, "hidden": 100.0 * (content - own),
        }
    )  # fmt: skip
    return ImportDependence(frame, rounds, float((needs.T @ added).max(initial=0.0)))
