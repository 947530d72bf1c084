"""What a table says of shocks: some sectors held fixed, inoperability, and why output changed between two tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from opsroom.base.errors import UsageError
from opsroom.decide.input_output.productive import Floats, solve
from opsroom.decide.input_output.table import InputOutput


def supply_constrained(table: InputOutput, output: Mapping[Any, float], final_demand: ArrayLike) -> pd.DataFrame:
    """Hold the output of some sectors fixed, and the final use of all others (the mixed model).

    Parameters
    ----------
    table
        The table.
    output
        Sector → output that is possible.
    final_demand
        Final use by product; of the fixed sectors it follows and is not looked at.

    Returns
    -------
    pandas.DataFrame
        ``output`` and ``final`` by product: for the others output is what final use and the fixed sectors' inputs
        take; for the fixed ones final use is what is left, below 0 where the others need more than is made.
    """
    place = [int(np.flatnonzero(np.asarray([label == name for label in table.labels]))[0])
             if name in table.labels else -1 for name in output]  # fmt: skip
    if -1 in place:
        raise UsageError("a sector held fixed is not in the table.", remedy="Use labels of the table.")
    f = np.asarray(final_demand, dtype=np.float64)
    fixed = np.zeros(len(table.labels), dtype=bool)
    fixed[place] = True
    x = np.zeros(len(table.labels))
    x[place] = [float(value) for value in output.values()]
    a = table.coefficients
    free = np.flatnonzero(~fixed)
    pulled = f[free] + a[free][:, np.flatnonzero(fixed)] @ x[fixed]
    x[free] = solve(sparse.csr_array(a[free][:, free]), pulled, tol=1e-11).x
    final = x - a @ x
    final[free] = f[free]
    return pd.DataFrame({"output": x, "final": final, "fixed": fixed}, index=table.labels)


def inoperability(table: InputOutput, hit: ArrayLike) -> pd.Series:
    """Return the share of each sector's output that is lost where final use falls (inoperability, Haimes 2005).

    Parameters
    ----------
    table
        The table.
    hit
        By product: final use lost over output, 0 to 1.
    """
    c = np.asarray(hit, dtype=np.float64)
    if c.shape != table.x.shape or (c < 0).any() or (c > 1).any():
        raise UsageError("the hit is no share of each product's output.", remedy="Give numbers from 0 to 1.")
    lost = solve(table.coefficients, c * table.x, tol=1e-11).x
    return pd.Series(np.divide(lost, table.x, out=np.zeros_like(lost), where=table.x > 0), index=table.labels)


def recovery(
    table: InputOutput,
    initial: ArrayLike,
    *,
    days: ArrayLike,
    remaining: float = 0.01,
    steps: int = 100,
    hit: ArrayLike | None = None,
) -> pd.DataFrame:
    """Return how inoperability fades (dynamic inoperability, Lian and Haimes 2006).

    Parameters
    ----------
    table
        The table.
    initial
        Inoperability on day 0, by product.
    days
        Days in which each sector by itself comes back to `remaining` of its initial inoperability.
    remaining
        Share that counts as recovered.
    steps
        Days followed.
    hit
        Final use lost over output on all days; absent: none.

    Returns
    -------
    pandas.DataFrame
        Days x products.
    """
    q0, t = np.asarray(initial, dtype=np.float64), np.asarray(days, dtype=np.float64)
    if (t <= 0).any() or not 0 < remaining < 1:
        raise UsageError("recovery takes days above 0 and a share below 1.", remedy="Check days and remaining.")
    scale = np.divide(1.0, table.x, out=np.zeros_like(table.x), where=table.x > 0)
    star = sparse.csr_array(sparse.diags_array(scale) @ table.coefficients @ sparse.diags_array(table.x))
    own = star.diagonal()
    speed = np.clip(np.log(1.0 / remaining) / (t * np.maximum(1.0 - own, 1e-9)), 0.0, 1.0)
    c = np.zeros_like(q0) if hit is None else np.asarray(hit, dtype=np.float64)
    path = [q0]
    for _ in range(steps):
        q = path[-1]
        path.append(np.clip(q + speed * (star @ q + c - q), 0.0, 1.0))
    return pd.DataFrame(np.array(path), columns=table.labels)


def decomposition(before: InputOutput, after: InputOutput) -> pd.DataFrame:
    """Split the change of output into technology and final use (structural decomposition, Dietzenbacher and Los 1998).

    Returns
    -------
    pandas.DataFrame
        By product: ``technology``, ``final_use``, ``change``; the first two, means of the two polar forms, add up.
    """
    if not before.labels.equals(after.labels):
        raise UsageError("the two tables have different products.", remedy="Bring both to the same list.")

    def made(table: InputOutput, final: Floats) -> Floats:
        return solve(table.coefficients, final, tol=1e-12).x

    old, new = made(before, before.final), made(after, after.final)
    mixed, other = made(after, before.final), made(before, after.final)
    technology = 0.5 * ((mixed - old) + (new - other))
    final = 0.5 * ((new - mixed) + (other - old))
    return pd.DataFrame({"technology": technology, "final_use": final, "change": new - old}, index=before.labels)
