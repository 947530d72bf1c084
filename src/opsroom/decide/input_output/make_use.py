"""From make and use tables to a symmetric one: who makes what, who uses what, and an assumption between them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.input_output.table import InputOutput


def requirements(make: pd.DataFrame, use: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the coefficients of a make-use system under the industry technology.

    Parameters
    ----------
    make
        Industries x products: what each industry makes.
    use
        Products x industries: what each industry uses.

    Returns
    -------
    dict
        ``"B"`` (products x industries: inputs per unit of the industry's output), ``"D"`` (industries x products:
        shares in the product's output), ``"total"`` (industries x products: the industries' output per unit of final
        use of a product, D (I - B D)^-1).

    Raises
    ------
    UsageError
        Labels that differ.

    References
    ----------
    Bureau of Economic Analysis (2009), Concepts and Methods of the U.S. Input-Output Accounts, chapter 12.
    """
    _fits(make, use)
    g, q = make.sum(axis=1), make.sum(axis=0)
    b = use.div(g.where(g != 0, np.inf), axis=1)
    d = make.div(q.where(q != 0, np.inf), axis=1)
    n = len(q)
    inverse = np.linalg.inv(np.eye(n) - b.to_numpy() @ d.to_numpy())
    total = pd.DataFrame(d.to_numpy() @ inverse, index=make.index, columns=make.columns)
    return {"B": b, "D": d, "total": total}


def symmetric(
    make: pd.DataFrame,
    use: pd.DataFrame,
    final: pd.Series | pd.DataFrame,
    *,
    by: Literal["product", "industry"] = "product",
) -> InputOutput:
    """Make a symmetric table.

    Parameters
    ----------
    make, use
        See `requirements`.
    final
        Final use by product (or products x kinds). What is imported must be left out of it and of `use`, or stand
        in it as negative.
    by
        ``"product"``: products x products, each made as the industries that make it work (industry technology);
        ``"industry"``: industries x industries, sales of a product shared by who makes it (fixed product sales).

    Notes
    -----
    The output of the table is what was made; where uses do not add up to it, the difference is a column of final uses
    called ``"statistical difference"``, so that nothing is hidden in the coefficients.
    """
    _fits(make, use)
    wanted = requirements(make, use)
    b, d = wanted["B"].to_numpy(), wanted["D"].to_numpy()
    g, q = make.sum(axis=1).to_numpy(), make.sum(axis=0).to_numpy()
    uses = final.to_frame("final") if isinstance(final, pd.Series) else final
    if not uses.index.equals(make.columns):
        raise UsageError("final use has other products than the make table.", remedy="Give both in the same order.")
    if by == "product":
        z = (b @ d) * q
        y, output, labels = uses.to_numpy(np.float64), q, make.columns
    else:
        z = (d @ b) * g
        y, output, labels = d @ uses.to_numpy(np.float64), g, make.index
    gap = output - z.sum(axis=1) - y.sum(axis=1)
    frame = pd.DataFrame(y, index=labels, columns=uses.columns)
    if np.abs(gap).max(initial=0.0) > 1e-9 * max(1.0, float(np.abs(output).max(initial=0.0))):
        frame["statistical difference"] = gap
    return InputOutput(pd.DataFrame(np.maximum(z, 0.0), index=labels, columns=labels), frame)


def _fits(make: pd.DataFrame, use: pd.DataFrame) -> None:
    if not make.columns.equals(use.index) or not make.index.equals(use.columns):
        raise UsageError(
            "make and use tables have different industries or products.",
            remedy="Give industries x products and products x industries, in the same order.",
        )
