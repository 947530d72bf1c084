"""DebtRank: how distress short of default runs from borrowers to lenders, and how far a shock is amplified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.base.results import Cells
from opsroom.warn.contagion import kernels
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.network import Network
from opsroom.warn.contagion.stopping import Stop, check

if TYPE_CHECKING:
    import altair as alt

Rule = Literal["multi-hit", "single-hit"]


@dataclass(frozen=True, slots=True)
class DebtRankResult:
    """Where a shock has arrived when it has run its course. Confidential.

    Attributes
    ----------
    network
        The network; `distress` is in the order of its nodes.
    start, distress
        Share of each node's buffer that is gone, 0 to 1: by the shock alone, and in the end.
    written_down
        What each node's claims have lost. It may exceed the buffer: the rest falls on its own creditors outside.
    rule
        ``multi-hit`` or ``single-hit``.
    converged
        False where the rounds ran out before the distress had settled: the numbers are then too low.
    rounds
        Rounds taken.
    error
        How far the distress of any node may still be from its limit, judged by how fast the rounds close in.
    """

    network: Network
    start: Floats
    distress: Floats
    written_down: Floats
    rule: Rule
    converged: bool
    rounds: int
    error: float

    @property
    def original(self) -> float:
        """Share of the system, by weight, that the shock itself destroys."""
        return float(self.network.weight @ self.start)

    @property
    def additional(self) -> float:
        """Share of the system, by weight, that contagion destroys on top: the DebtRank of the shock."""
        return float(self.network.weight @ self.distress) - self.original

    @property
    def defaults(self) -> npt.NDArray[np.bool_]:
        """Nodes whose buffer is gone and was not gone by the shock alone."""
        return (self.distress >= 1.0 - FULL) & ~(self.start >= 1.0 - FULL)

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        lines = [
            f"{self.rule} DebtRank: the shock destroys {100 * self.original:.2f} % of the system, contagion "
            f"{100 * self.additional:.2f} % more; {int(self.defaults.sum())} further nodes lose their whole buffer."
        ]
        if not self.converged:
            lines.append(
                f"NOT CONVERGED after {self.rounds} rounds: a node may still be {self.error:.1e} below its limit. "
                "Claims run in circles that amplify by about one; raise max_rounds."
            )
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a node: confidential."""
        return self.network.nodes[["id", "sector", "kind", "group", "buffer"]].assign(
            start=self.start, distress=self.distress, written_down=self.written_down
        )

    def by_sector(self) -> pd.DataFrame:
        """Return per sector, in per cent of its buffers, what the shock and what contagion destroy: confidential."""
        from opsroom.warn.contagion.publish import by_sector

        return by_sector(self.network, self.start, self.distress)

    def cells(self, *, scenario: str, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.debtrank``: losses by sector, never by node.

        Parameters
        ----------
        scenario
            Public name of the shock, the same for every release of it.
        as_of
            Day of the network, ISO.
        """
        from opsroom.warn.contagion.publish import loss_cells

        return loss_cells(
            self.network, self.start, self.distress, converged=self.converged, method="debtrank-1", scenario=scenario,
            as_of=as_of,
        )  # fmt: skip

    def chart(self) -> alt.Chart:
        """Return losses by sector, of the shock and of contagion."""
        from opsroom.warn.contagion.publish import sector_bars

        return sector_bars(self.by_sector(), finding="What a shock destroys, and what contagion adds")

    def cite(self) -> str:
        """Return source and version."""
        source = {
            "multi-hit": "Bardoscia, Battiston, Caccioli and Caldarelli (2015), DebtRank: a microscopic foundation "
            "for shock propagation, PLoS ONE 10(6)",
            "single-hit": "Battiston, Puliga, Kaushik, Tasca and Caldarelli (2012), DebtRank: too central to fail?, "
            "Scientific Reports 2",
        }[self.rule]
        return f"{source}; opsroom {__version__}."


FULL = 1e-12
"""How close to 1 the distress of a default comes: as much as rounding takes."""

Shock = Mapping[object, float] | Sequence[object] | npt.NDArray[np.float64]


def debtrank(
    network: Network,
    shock: Shock,
    *,
    rule: Rule = "multi-hit",
    layers: Sequence[str] | None = None,
    tolerance: float = 1e-10,
    max_rounds: int = 10_000,
) -> DebtRankResult:
    """Let distress run from borrowers to lenders, before anybody defaults.

    It answers: how much of the system does a shock destroy, through losses on claims alone?

    Parameters
    ----------
    network
        Rows lend.
    shock
        Ids of nodes that default; or id → share of its buffer that is lost, 0 to 1; or such shares in the order of
        the nodes.
    rule
        ``multi-hit``: each further loss is passed on (Bardoscia and others 2015). ``single-hit``: a node passes on
        the distress with which it is first hit, and nothing later (Battiston and others 2012); claims above the
        lender's buffer count as the buffer.
    layers
        Layers through which distress runs; all where absent.
    tolerance
        How far a node's distress may be from its limit.
    max_rounds
        Rounds after which the search is given up, which the result then says.

    Returns
    -------
    DebtRankResult

    Raises
    ------
    UsageError
        A shock that is no share of a buffer, or another rule.
    NotFoundError
        A shock to a node that the network does not have.

    Notes
    -----
    With claims A (rows lend) and buffers E, h the share of the buffer lost and s the shock,

    ``h_i = min(1, s_i + sum_j A_ij h_j / E_i)``.

    The rounds of Bardoscia and others climb to the *least* solution of this equation; as everything is monotone, so
    do rounds that use each new value at once, in fewer steps. A last step below the tolerance does not mean an error
    below it: near an amplification of one the steps get small long before the end. So the rounds end when the step
    times r / (1 - r), r its rate of decline, is below `tolerance`. Where claims run in a circle that amplifies by
    more than one, distress grows until somebody on it has lost everything; close to one that takes very many rounds.
    The assumption that fails most often: that a claim loses value in proportion to the debtor's lost equity (loss
    given default of 1, linear before).

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.warn.contagion import exposure_network
    >>> net = exposure_network(
    ...     pd.DataFrame({"id": ["a", "b", "c"], "buffer": [4.0, 2.0, 1.0]}),
    ...     pd.DataFrame({"lender": ["a", "b"], "borrower": ["b", "c"], "amount": [2.0, 1.0]}),
    ... )
    >>> [float(x) for x in debtrank(net, ["c"]).distress]
    [0.25, 0.5, 1.0]
    """
    if rule not in ("multi-hit", "single-hit"):
        raise UsageError("DebtRank is multi-hit or single-hit.", remedy="Name one of the two.", code="OPS-U203")
    links, start = network.links(layers), shock_vector(network, shock)
    buffer, h = network.buffer, start.copy()
    if rule == "single-hit":
        rounds = _single(links, buffer, start, h)
        return DebtRankResult(network, start, h, links.claims(h), rule, converged=True, rounds=rounds, error=0.0)
    check(tolerance, max_rounds)
    arrays, stop, rounds = links.arrays(), Stop(tolerance), 0
    inverse = np.divide(1.0, buffer, out=np.full(network.size, np.inf), where=buffer > 0)
    while rounds < max_rounds and not stop.settled:
        step, fresh = kernels.sweep(*arrays, inverse, start, h)
        stop.note(step, fresh)
        rounds += 1
    return DebtRankResult(network, start, h, links.claims(h), rule, stop.settled, rounds, stop.error)


def shock_vector(network: Network, shock: Shock) -> Floats:
    """Return a shock as the share of each node's buffer that it takes."""
    if isinstance(shock, np.ndarray) and shock.dtype.kind == "f":
        start = shock.astype(np.float64)
        if start.shape != (network.size,):
            raise UsageError(
                "a shock as a vector has one share a node.", remedy="Give it in their order.", code="OPS-U204"
            )
    elif isinstance(shock, Mapping):
        start = np.zeros(network.size)
        start[network.positions(list(shock))] = [float(x) for x in shock.values()]
    elif isinstance(shock, str):
        raise UsageError("a shock names nodes in a list.", remedy="Write [id].", code="OPS-U205")
    else:
        start = np.zeros(network.size)
        start[network.positions(list(shock))] = 1.0
    if not np.all((start >= 0.0) & (start <= 1.0)):
        raise UsageError(
            "a shock is a share of the buffer, 0 to 1.", remedy="Divide the loss by the buffer.", code="OPS-U206"
        )
    return start


def _single(links: Links, buffer: Floats, start: Floats, h: Floats) -> int:
    """Run the single-hit rule in place; claims are capped at the lender's buffer link by link."""
    # A claim capped at the lender's buffer is no product of two factors any more.
    matrix = sp.csr_array(links.dense()) if links.out.shape[1] else links.matrix
    row = np.repeat(buffer, np.diff(matrix.indptr))
    # With a buffer of zero the cap would hide the claim: there, any distress of a borrower is fatal.
    impact = np.where(row > 0, np.minimum(matrix.data, row) / np.where(row > 0, row, 1.0), np.inf)
    fatal = sp.csr_array((np.isinf(impact).astype(np.float64), matrix.indices, matrix.indptr), shape=matrix.shape)
    capped = sp.csr_array((np.where(np.isinf(impact), 0.0, impact), matrix.indices, matrix.indptr), shape=matrix.shape)
    push, done, rounds = start.copy(), start > 0, 0
    while push.any():
        hit = fatal @ (push > 0).astype(np.float64) > 0
        h[:] = np.where(hit, 1.0, np.minimum(1.0, h + capped @ push))
        push = np.where(done, 0.0, h)
        done |= h > 0
        rounds += 1
    return rounds
