"""Checks of the tables of nodes and claims. A message names table, row, field and rule, and never a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from opsroom.base.errors import DataError

KINDS = ("bank", "company")
LAYER = "exposure"
"""Name of the only layer where the table of claims names none."""


@dataclass(frozen=True, slots=True)
class EdgeReport:
    """What building the network did to the rows of the table of claims.

    Attributes
    ----------
    rows
        Rows read.
    summed
        Rows that were added to an earlier one of the same lender, borrower and layer.
    loops
        Rows of a lender that is its own borrower, left out.
    zeros
        Rows of no amount, left out.
    """

    rows: int
    summed: int
    loops: int
    zeros: int


def checked_nodes(nodes: pd.DataFrame) -> pd.DataFrame:
    """Return the table of nodes, complete and in its order.

    Raises
    ------
    DataError
        See the messages.
    """
    _columns("nodes", nodes, ("id", "buffer"))
    if nodes.empty:
        raise DataError("table nodes: there is no row.", remedy="Deliver at least one node.", code="OPS-D160")
    ids = nodes["id"].reset_index(drop=True)
    _refuse("nodes", "id", ids.isna(), "is missing", "Name every node.")
    _refuse("nodes", "id", ids.duplicated(), "stands in an earlier row, too", "Deliver one row a node.")
    n = len(nodes)
    table = pd.DataFrame({"id": ids})
    for name, start in (("sector", "unknown"), ("kind", "company")):
        given = nodes[name].reset_index(drop=True) if name in nodes else pd.Series([start] * n)
        _refuse("nodes", name, given.isna(), "is missing", "Fill it in, or leave the whole column out.")
        table[name] = given.astype("category" if name == "sector" else object)
    _refuse("nodes", "kind", ~table["kind"].isin(KINDS), "is neither bank nor company", "Use one of the two.")
    table["kind"] = table["kind"].astype("category")
    group = nodes["group"].reset_index(drop=True) if "group" in nodes else ids
    _refuse("nodes", "group", group.isna(), "is missing", "Name the owner, or the node itself.")
    table["group"] = group
    for name, absent in (("buffer", 0.0), ("assets", 0.0), ("weight", 1.0)):
        table[name] = _amounts("nodes", name, nodes[name]) if name in nodes else np.full(n, absent)
    if not table["weight"].sum() > 0:
        raise DataError(
            "table nodes, field weight: all are zero.",
            remedy="Weigh the nodes, or leave the column out.",
            code="OPS-D161",
        )
    return table


def checked_edges(
    edges: pd.DataFrame, ids: pd.Series, *, drop_loops: bool
) -> tuple[dict[str, sp.csr_array], EdgeReport]:
    """Return one matrix a layer, rows lend, and what was done to the rows.

    Raises
    ------
    DataError
        See the messages.
    """
    _columns("edges", edges, ("lender", "borrower", "amount"))
    index = pd.Index(ids)
    lender, borrower = (_ends(edges, name, index) for name in ("lender", "borrower"))
    amount = _amounts("edges", "amount", edges["amount"])
    loop = lender == borrower
    if not drop_loops:
        rule = "is a claim of a node on itself"
        _refuse("edges", "borrower", pd.Series(loop), rule, 'Mend it, or say self_loops="drop".')
    kept = ~loop & (amount > 0)
    n = len(ids)
    if "layer" in edges:
        layer = edges["layer"].reset_index(drop=True)
        _refuse("edges", "layer", layer.isna(), "is missing", "Name the layer, or leave the column out.")
        codes, names = pd.factorize(layer, sort=True)
    else:
        codes, names = np.zeros(len(edges), dtype=np.int64), pd.Index([LAYER])
    matrices = {}
    for k, name in enumerate(names):
        inside = kept & (codes == k) if len(names) > 1 else kept
        pair = (lender[inside], borrower[inside])
        matrix = sp.csr_array((amount[inside], pair), shape=(n, n))
        matrix.sum_duplicates()
        matrices[str(name)] = matrix
    links = sum(int(matrix.nnz) for matrix in matrices.values())
    report = EdgeReport(len(edges), int(kept.sum()) - links, int(loop.sum()), int((~loop & (amount == 0)).sum()))
    return matrices, report


def _ends(edges: pd.DataFrame, name: str, index: pd.Index) -> npt.NDArray[np.int32]:
    """Return the nodes at one end of the claims."""
    column = edges[name].reset_index(drop=True)
    _refuse("edges", name, column.isna(), "is missing", "Name both ends of every claim.")
    found = index.get_indexer(pd.Index(column))
    _refuse("edges", name, pd.Series(found < 0), "is not in table nodes", "Deliver its node, or leave the claim out.")
    return found.astype(np.int32)


def _amounts(table: str, name: str, column: pd.Series) -> npt.NDArray[np.float64]:
    """Return a column as amounts that are known, finite and not negative."""
    numbers = pd.to_numeric(column.reset_index(drop=True), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(table, name, pd.Series(~np.isfinite(numbers)), "is not a finite number", "Deliver a number.")
    _refuse(table, name, pd.Series(numbers < 0), "is negative", "Deliver claims and buffers of zero or more.")
    return numbers


def _columns(table: str, frame: pd.DataFrame, wanted: tuple[str, ...]) -> None:
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise DataError(
            f"table {table}: the column(s) {', '.join(absent)} are missing.", remedy="Deliver them.", code="OPS-D162"
        )


def _refuse(table: str, name: str, bad: pd.Series, rule: str, remedy: str) -> None:
    """Raise on the first row that breaks a rule, and say how many do."""
    rows = np.flatnonzero(bad.to_numpy(dtype=np.bool_))
    if len(rows):
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise DataError(
            f"table {table}, row {rows[0] + 1}{more}, field {name}: {rule}.", remedy=remedy, code="OPS-D163"
        )
