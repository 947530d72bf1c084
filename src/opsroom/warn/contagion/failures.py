"""The threshold cascade: a node fails when its losses reach its buffer, and only then do its lenders lose, less what
is recovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.base.results import Cells
from opsroom.warn.contagion.links import Floats, Ints
from opsroom.warn.contagion.network import Network


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """Who has failed, when, and who has lost what. Confidential.

    Attributes
    ----------
    network
        The network, in whose order the vectors are.
    failed_in
        Round in which each node failed: 0 by the shock itself, -1 never.
    losses
        Losses on claims on failed nodes, recovery taken off; they may exceed the buffer.
    """

    network: Network
    failed_in: Ints
    losses: Floats

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Nodes that have failed, those of the shock included."""
        return self.failed_in >= 0

    @property
    def rounds(self) -> int:
        """Rounds until nobody failed any more."""
        return int(self.failed_in.max()) if self.failed.any() else 0

    def summary(self) -> str:
        """Return the outcome in a line."""
        first, all_of_them = int((self.failed_in == 0).sum()), int(self.failed.sum())
        return (
            f"{first} of {self.network.size} nodes fail by the shock, {all_of_them - first} more in {self.rounds} "
            f"round(s) of contagion; they are {100 * self.network.weight[self.failed].sum():.2f} % of the system."
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a node: confidential."""
        return self.network.nodes[["id", "sector", "kind", "group", "buffer"]].assign(
            failed_in=self.failed_in, losses=self.losses
        )

    def cells(self, *, scenario: str, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.cascade``: losses and failures by sector, never by node.

        Parameters
        ----------
        scenario
            Public name of the shock.
        as_of
            Day of the network, ISO.
        """
        from opsroom.warn.contagion.publish import loss_cells

        buffer = self.network.buffer
        gone = np.where(self.failed, 1.0, 0.0)
        share = np.where(buffer > 0, np.minimum(1.0, self.losses / np.where(buffer > 0, buffer, 1.0)), 0.0)
        start = np.where(self.failed_in == 0, 1.0, 0.0)
        return loss_cells(
            self.network, start, np.maximum(gone, share), converged=True, method="cascade-1", scenario=scenario,
            as_of=as_of,
        )  # fmt: skip

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Threshold cascade with recovery after Furfine (2003), Interbank exposures: quantifying the risk of "
            f"contagion, Journal of Money, Credit and Banking 35(1); opsroom {__version__}."
        )


def cascade(
    network: Network,
    shock: Sequence[object],
    *,
    recovery: float | npt.ArrayLike = 0.0,
    layers: Sequence[str] | None = None,
) -> CascadeResult:
    """Let nodes fail, their lenders lose what is not recovered, and fail in turn when their buffer is gone.

    It answers: whom does a failure bring down?

    Parameters
    ----------
    network
        Rows lend.
    shock
        Ids of the nodes that fail first.
    recovery
        Share of a claim that is paid in the end, 0 to 1: one for all, or one for each borrower.
    layers
        Layers through which losses run; all where absent.

    Returns
    -------
    CascadeResult

    Raises
    ------
    UsageError
        A recovery outside 0 to 1.
    NotFoundError
        A shock to a node that the network does not have.

    Notes
    -----
    Node i fails when ``sum over failed j of (1 - R_j) A_ij >= E_i`` and that sum is positive: a buffer of zero does
    not fail by itself. There are at most as many rounds as nodes. The assumption that fails most often: that nothing
    is lost before a default; DebtRank says what is.
    """
    share = np.broadcast_to(np.asarray(recovery, dtype=np.float64), (network.size,))
    if not np.all((share >= 0) & (share <= 1)):
        raise UsageError(
            "recovery is a share of a claim, 0 to 1.", remedy="Give one for all, or one a borrower.", code="OPS-U210"
        )
    links, buffer = network.links(layers), network.buffer
    failed_in = np.full(network.size, -1, dtype=np.int64)
    failed_in[network.positions(list(shock))] = 0
    losses, done = np.zeros(network.size), 0
    while True:
        # Summed anew each round, so that the order of failures does not show in the rounding.
        losses = links.claims(np.where(failed_in >= 0, 1.0 - share, 0.0))
        falling = (failed_in < 0) & (losses >= buffer) & (losses > 0)
        if not falling.any():
            return CascadeResult(network, failed_in, losses)
        done += 1
        failed_in[falling] = done
