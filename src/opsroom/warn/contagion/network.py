"""The exposure network: nodes with sector, owner and buffer; layers of claims, built from tables that are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.warn.contagion.links import Floats, Links, together
from opsroom.warn.contagion.tables import EdgeReport, checked_edges, checked_nodes

SelfLoops = Literal["refuse", "drop"]


@dataclass(frozen=True, slots=True)
class Network:
    """Who would lose on whom, in layers. Confidential.

    The axis convention holds everywhere: **rows lend**. In ``links().matrix[i, j]`` stands what node i would lose if
    node j paid nothing; distress runs from column to row.

    Attributes
    ----------
    nodes
        One row a node, in the order of all vectors: ``id``, ``sector``, ``kind`` (``bank`` or ``company``), ``group``
        (owner), ``buffer`` (equity that can absorb losses), ``assets`` (total assets), ``weight``.
    layers
        Name → links.
    report
        What building it did to the edge table: duplicates summed, self-loops dropped.
    """

    nodes: pd.DataFrame
    layers: Mapping[str, Links]
    report: EdgeReport

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    @property
    def buffer(self) -> Floats:
        """Equity that can absorb losses, by node."""
        return self.nodes["buffer"].to_numpy(dtype=np.float64)

    @property
    def weight(self) -> Floats:
        """Share of each node in the system, adding to one."""
        weight = self.nodes["weight"].to_numpy(dtype=np.float64)
        share: Floats = weight / weight.sum()
        return share

    @property
    def is_bank(self) -> npt.NDArray[np.bool_]:
        """Which nodes are banks."""
        return np.asarray(self.nodes["kind"] == "bank", dtype=np.bool_)

    def links(self, layers: Sequence[str] | None = None) -> Links:
        """Return the sum of the named layers, of all where none is named.

        Raises
        ------
        NotFoundError
            A layer that the network does not have.
        """
        wanted = list(self.layers) if layers is None else list(layers)
        unknown = [name for name in wanted if name not in self.layers]
        if unknown or not wanted:
            raise NotFoundError(
                f"the network has no layer {', '.join(unknown) or 'of no name'}.",
                remedy=f"It has {', '.join(self.layers)}.",
                code="OPS-N160",
            )
        return together(self.layers[name] for name in wanted)

    def positions(self, ids: Sequence[object]) -> npt.NDArray[np.int64]:
        """Return the places of the named nodes in all vectors.

        Raises
        ------
        NotFoundError
            An id that is no node's; the message says which place in `ids`, not the id.
        """
        found = pd.Index(self.nodes["id"]).get_indexer(pd.Index(list(ids)))
        absent = np.flatnonzero(found < 0)
        if len(absent):
            raise NotFoundError(
                f"{len(absent)} of the named nodes, the first in place {absent[0] + 1}, are not in the network.",
                remedy="Name ids of the table of nodes.",
                code="OPS-N161",
            )
        return np.asarray(found, dtype=np.int64)

    def with_layer(self, name: str, links: Links | sp.csr_array | sp.coo_array) -> Network:
        """Return the network with a layer more, or another in its place: one that was reconstructed, or a matrix.

        Raises
        ------
        UsageError
            Another number of nodes.
        DataError
            A matrix that is none of claims; see `Links.of`.
        """
        links = links if isinstance(links, Links) else Links.of(links)
        if links.size != self.size:
            raise UsageError(
                "the layer has another number of nodes than the network.",
                remedy="Reconstruct it from one margin a node, in the order of the nodes.",
                code="OPS-U201",
            )
        return Network(self.nodes, {**self.layers, name: links}, self.report)


def exposure_network(
    nodes: pd.DataFrame, edges: pd.DataFrame | None = None, *, self_loops: SelfLoops = "refuse"
) -> Network:
    """Build a network of exposures from a table of nodes and a table of claims.

    It answers: who would lose how much on whom, and what could they bear?

    Parameters
    ----------
    nodes
        ``id`` and ``buffer`` (not negative; money); optional ``sector``, ``kind`` (``bank`` or ``company``, the
        default), ``group`` (the owner; the node itself where absent), ``assets`` (total assets, 0 where absent),
        ``weight`` (importance in the system; equal where absent).
    edges
        ``lender``, ``borrower``, ``amount`` (not negative, in the money of the buffers) and optional ``layer``
        (``exposure`` where absent). Several rows of one pair and layer are summed. None for a network whose layers
        are yet to be reconstructed.
    self_loops
        Whether a claim on oneself is an error or is left out: such a claim would make a node's own loss its next
        loss, and amplification without end.

    Returns
    -------
    Network

    Raises
    ------
    DataError
        A column, an id, an amount or a buffer that fails a rule; it names table, row, field and rule, no value.

    Notes
    -----
    A buffer of zero is taken as it is: such a node fails with its first loss, however small. An unknown buffer is
    refused, for zero and unknown are not the same.

    Examples
    --------
    >>> import pandas as pd
    >>> net = exposure_network(
    ...     pd.DataFrame({"id": ["a", "b"], "buffer": [2.0, 1.0]}),
    ...     pd.DataFrame({"lender": ["a", "a"], "borrower": ["b", "b"], "amount": [1.0, 0.5]}),
    ... )
    >>> float(net.links().matrix[0, 1]), net.report.summed
    (1.5, 1)
    """
    if self_loops not in ("refuse", "drop"):
        raise UsageError("self-loops are refused or dropped.", remedy='Say self_loops="drop".', code="OPS-U202")
    table = checked_nodes(nodes)
    if edges is None:
        return Network(table, {}, EdgeReport(0, 0, 0, 0))
    matrices, report = checked_edges(edges, table["id"], drop_loops=self_loops == "drop")
    return Network(table, {name: Links.of(matrix) for name, matrix in matrices.items()}, report)
