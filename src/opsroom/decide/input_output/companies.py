"""From companies' purchases to a table of sectors and back, with a report on what does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.input_output.balancing import Balanced, balance
from opsroom.decide.input_output.table import InputOutput


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A sector table made of companies' purchases, brought to the national accounts' margins.

    Attributes
    ----------
    observed
        Sectors x sectors: purchases as the companies report them.
    table
        The table at the known margins.
    coverage
        By sector: ``observed``, ``known`` (sales to other sectors) and ``share`` of them that was observed.
    balanced
        What balancing changed; None where no margins were given.
    """

    observed: pd.DataFrame
    table: InputOutput
    coverage: pd.DataFrame
    balanced: Balanced | None


def sector_table(
    purchases: pd.DataFrame,
    sector: pd.Series,
    final: pd.Series,
    *,
    sales: pd.Series | None = None,
    inputs: pd.Series | None = None,
    prior: float = 0.0,
) -> Reconciled:
    """Make a sector table of companies' purchases.

    Parameters
    ----------
    purchases
        ``supplier, buyer, value``, one row a relation; companies without a sector are refused by name of the column,
        never by their own.
    sector
        Company → sector.
    final
        Final use by sector; its index is the list of sectors.
    sales, inputs
        Known intermediate sales and purchases by sector, from the national accounts; absent: the companies' own.
    prior
        Share of each known sale that is spread over all sectors in proportion, so that a relation that nobody reports
        is possible; 0: what is not reported does not exist.

    Raises
    ------
    UsageError
        A supplier or buyer without a sector, a value below 0.
    """
    sectors = final.index
    sides = {side: purchases[side].map(sector) for side in ("supplier", "buyer")}
    for side, found in sides.items():
        unknown = int(found.isna().sum()) + int((~found.dropna().isin(sectors)).sum())
        if unknown:
            raise UsageError(
                f"{unknown} rows of purchases have a {side} without a known sector.",
                remedy="Complete the register, or leave these rows out and say so.",
            )
    if (purchases["value"] < 0).any():
        raise UsageError("purchases hold values below 0.", remedy="Book returns elsewhere.")
    observed = purchases["value"].groupby([sides["supplier"].to_numpy(), sides["buyer"].to_numpy()]).sum()
    grid = observed.unstack().fillna(0.0).reindex(index=sectors, columns=sectors, fill_value=0.0).astype(np.float64)
    known = grid.sum(axis=1) if sales is None else sales.reindex(sectors).astype(np.float64)
    bought = grid.sum(axis=0) if inputs is None else inputs.reindex(sectors).astype(np.float64)
    done: Balanced | None = None
    whole = grid
    if sales is not None or inputs is not None:
        spread = np.outer(known, bought) / max(float(bought.sum()), 1e-300)
        done = balance((1.0 - prior) * grid + prior * spread, known, bought)
        whole = done.table
    coverage = pd.DataFrame({"observed": grid.sum(axis=1), "known": known})
    coverage["share"] = coverage["observed"] / coverage["known"].where(coverage["known"] > 0)
    return Reconciled(grid, InputOutput(whole, final), coverage, done)


def to_companies(by_sector: pd.Series, size: pd.Series, sector: pd.Series) -> pd.Series:
    """Share a number by sector out among its companies, in proportion to their size.

    Parameters
    ----------
    by_sector
        Sector → number (output lost, output wanted).
    size
        Company → sales, 0 or more.
    sector
        Company → sector.

    Returns
    -------
    pandas.Series
        By company; the companies of a sector add up to its number. A sector without companies is refused where its
        number is not 0.
    """
    where = sector.reindex(size.index)
    total = size.groupby(where.to_numpy()).sum()
    there = total.reindex(by_sector.index).fillna(0.0) > 0
    lost = int(((by_sector != 0) & ~there).sum())
    if lost:
        raise UsageError(f"{lost} sectors have a number but no company with sales.", remedy="Complete the register.")
    share = size / where.map(total).to_numpy()
    return pd.Series(share.fillna(0.0) * where.map(by_sector).fillna(0.0).to_numpy(), index=size.index)
