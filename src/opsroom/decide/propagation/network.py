"""A network of suppliers as the cascade's kernel wants it: who hangs on whom, by how much, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from opsroom.base.errors import DataError, UsageError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Essential = pd.DataFrame | Literal["all", "none"]
"""Which inputs are essential: 1 essential, 0.5 not essential, 0 negligible; row: input, column: who uses it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One direction of the cascade; see `kernel.settle`."""

    starts: Ints
    source: Ints
    share: Floats
    group: Ints
    ahead: Ints
    target: Ints
    replaceable: bool


@dataclass(frozen=True, slots=True)
class Network:
    """Companies, their markets, and what hangs on what, both ways.

    Attributes
    ----------
    firms, sector, sectors
        Companies; code of each one's sector; names of the codes.
    output, market
        Output of each company; the sum by sector.
    down, up
        What hangs on suppliers, and on customers.
    """

    firms: pd.Index[Any]
    sector: Ints
    sectors: pd.Index[Any]
    output: Floats
    market: Floats
    down: Channel
    up: Channel


def network(suppliers: Any, sector: Any, *, essential: Essential, replaceability: bool, output: Any = None) -> Network:
    """Lay out a network of suppliers.

    Parameters
    ----------
    suppliers
        Sales of the row to the column: a frame ``supplier``, ``buyer``, ``weight``, or a square table: a frame with
        names, or a (sparse) matrix in the order of `sector`.
    sector
        Sector of each company: a series by company, or, for a matrix, an array.
    essential
        See `Essential`.
    replaceability
        Whether a market's other suppliers make good what their share allows.
    output
        Output of each company, final users included; sales in the network where absent.

    Raises
    ------
    UsageError, DataError
        Unknown companies, negative or missing sales, sectors that `essential` lacks, unknown codes in it.
    """
    named = sector if isinstance(sector, pd.Series) else pd.Series(np.asarray(sector))
    if named.isna().any() or named.index.has_duplicates:
        raise DataError("a company has no sector, or two.", remedy="Give each company one sector.")
    n = len(named)
    w = _matrix(suppliers, named.index)
    codes, names = pd.factorize(named.to_numpy(), sort=True)
    code = codes.astype(np.int64)
    kinds = _kinds(essential, pd.Index(names))
    sales = np.asarray(w.sum(axis=1), dtype=np.float64).ravel()
    made = sales if output is None else numbers(output, named.index, "output")
    if (made < sales * (1.0 - 1e-9)).any():
        raise DataError("a company sells more in the network than its output.", remedy="Give output with all sales.")
    bought = np.asarray(w.sum(axis=0), dtype=np.float64).ravel()
    i, j, v = w.row.astype(np.int64), w.col.astype(np.int64), w.data
    # downstream: of an essential input counts the share among its own kind, of others that in all purchases
    kind = kinds[code[i], code[j]]
    same = j * len(names) + code[i]
    among = np.bincount(same, weights=v, minlength=0)[same]
    share = np.where(kind == 1.0, v / among, np.where(kind > 0.0, v / bought[j], 0.0))
    group = np.where(kind == 1.0, code[i], -1)
    return Network(
        firms=named.index,
        sector=code,
        sectors=pd.Index(names),
        output=made,
        market=np.bincount(code, weights=made, minlength=len(names)).astype(np.float64),
        down=_channel(j, i, share, group, n, replaceable=replaceability),
        up=_channel(i, j, v / np.maximum(made, sales)[i], np.full(len(i), -1), n, replaceable=False),
    )


def numbers(given: Any, firms: pd.Index[Any], what: str) -> Floats:
    """Return one number of 0 or more a company."""
    found = given.reindex(firms).to_numpy(np.float64) if isinstance(given, pd.Series) else np.asarray(given, np.float64)
    if found.shape != (len(firms),) or not np.isfinite(found).all() or (found < 0.0).any():
        raise UsageError(f"{what}: a number of 0 or more is wanted for each company.")
    return np.asarray(found)


def _channel(on: Ints, source: Ints, share: Floats, group: Ints, n: int, *, replaceable: bool) -> Channel:
    keep = share > 0.0
    on, source, share, group = on[keep], source[keep], share[keep], group[keep]
    order = np.lexsort((source, group, on))
    back = np.lexsort((on, source))
    return Channel(
        starts=_starts(on, n),
        source=source[order],
        share=share[order],
        group=group[order].astype(np.int64),
        ahead=_starts(source, n),
        target=on[back],
        replaceable=replaceable,
    )


def _starts(rows: Ints, n: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n)))).astype(np.int64)


def _matrix(suppliers: Any, firms: pd.Index[Any]) -> Any:
    n = len(firms)
    if isinstance(suppliers, pd.DataFrame) and {"supplier", "buyer", "weight"} <= set(suppliers.columns):
        place = [firms.get_indexer(pd.Index(suppliers[column])) for column in ("supplier", "buyer")]
        if min(int(p.min(initial=0)) for p in place) < 0:
            raise DataError(
                "suppliers name a company that has no sector.", remedy="Give the sector of every supplier and buyer."
            )
        made = sparse.coo_array((suppliers["weight"].to_numpy(np.float64), tuple(place)), shape=(n, n))
    elif isinstance(suppliers, pd.DataFrame):
        if suppliers.index.has_duplicates or not suppliers.index.equals(suppliers.columns):
            raise UsageError("rows and columns of suppliers are not the same companies, each once.")
        if len(suppliers) != n or not set(suppliers.index) <= set(firms):
            raise DataError("suppliers and sectors are not of the same companies.")
        made = sparse.coo_array(suppliers.loc[firms, firms].to_numpy(np.float64))
    else:
        made = sparse.coo_array(suppliers, dtype=np.float64)
    if made.shape != (n, n):
        raise UsageError(f"suppliers are {made.shape[0]} x {made.shape[1]}, companies are {n}.")
    if not np.isfinite(made.data).all() or (made.data < 0.0).any():
        raise DataError("a sale is missing, infinite or below 0.", remedy="Net returns out before.")
    whole = sparse.csr_array(made)
    whole.sum_duplicates()
    whole.eliminate_zeros()
    return whole.tocoo()


def _kinds(essential: Essential, sectors: pd.Index[Any]) -> Floats:
    m = len(sectors)
    if isinstance(essential, str):
        if essential not in ("all", "none"):
            raise UsageError("essential is neither a frame nor 'all' nor 'none'.")
        return np.full((m, m), 1.0 if essential == "all" else 0.5)
    if essential.index.has_duplicates or essential.columns.has_duplicates:
        raise UsageError("the frame of essential inputs names a sector twice.")
    if not set(sectors) <= set(essential.index) & set(essential.columns):
        raise UsageError(
            "the frame of essential inputs lacks a sector that companies have.",
            remedy="Give a row and a column for every sector.",
        )
    kinds = essential.loc[sectors, sectors].to_numpy(np.float64)
    if not np.isin(kinds, (0.0, 0.5, 1.0)).all():
        raise UsageError("essential inputs are told by 1 (essential), 0.5 (not essential) and 0 (negligible).")
    return kinds
