"""Clearing: who can pay how much when everybody pays from what everybody else pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import DataError, UsageError
from opsroom.base.results import Cells
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.network import Network
from opsroom.warn.contagion.stopping import Stop, check

Solution = Literal["greatest", "least"]

EDGE = 1e-9
"""Relative distance from solvency within which a node is named as standing on the edge."""
ROUNDING = 1e-11
"""Relative shortfall that counts as rounding, not as insolvency."""


@dataclass(frozen=True, slots=True)
class ClearingResult:
    """Payments that clear a network of debts. Confidential.

    Attributes
    ----------
    network
        The network, in whose order the vectors are.
    due, paid
        What each node owes, inside and outside the network, and what it pays of it.
    means
        What each node has to pay with, before any cost of bankruptcy.
    solution
        ``greatest`` or ``least``.
    on_the_edge
        How many nodes are within rounding of the line between paying in full and not: with costs of bankruptcy the
        payments jump there, and which side they are on is not a matter of these data.
    converged, rounds, error
        Whether the payments have settled, after how many rounds, and how far they miss the equations, relative to
        what is due.
    """

    network: Network
    due: Floats
    paid: Floats
    means: Floats
    solution: Solution
    on_the_edge: int
    converged: bool
    rounds: int
    error: float

    @property
    def defaulted(self) -> npt.NDArray[np.bool_]:
        """Nodes that do not pay in full."""
        return self.means < self.due * (1.0 - ROUNDING)

    @property
    def equity(self) -> Floats:
        """What is left to the owners: never below zero."""
        left: Floats = np.where(self.defaulted, 0.0, np.maximum(0.0, self.means - self.due))
        return left

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        owed = self.due.sum()
        share = 100 * self.paid.sum() / owed if owed > 0 else 100.0
        lines = [
            f"{self.solution} clearing: {share:.2f} % of what is due is paid; {int(self.defaulted.sum())} of "
            f"{self.network.size} nodes default."
        ]
        if self.on_the_edge:
            lines.append(f"{self.on_the_edge} node(s) stand on the edge of default, within rounding.")
        if not self.converged:
            lines.append(f"NOT CONVERGED after {self.rounds} rounds: off by {self.error:.1e} of what is due.")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a node: confidential."""
        return self.network.nodes[["id", "sector", "kind", "group"]].assign(
            due=self.due, paid=self.paid, means=self.means, equity=self.equity, defaulted=self.defaulted
        )

    def cells(self, *, scenario: str, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.clearing``: shortfall and defaults by sector, never by node.

        Parameters
        ----------
        scenario
            Public name of the stress.
        as_of
            Day of the network, ISO.

        Raises
        ------
        FitError
            The payments had not settled.
        DisclosureError
            Too few owners default: what is not paid would tell what one of them owes.
        """
        from opsroom.warn.contagion.publish import clearing_cells

        return clearing_cells(self, scenario=scenario, as_of=as_of)

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Eisenberg and Noe (2001), Systemic risk in financial systems, Management Science 47(2); Rogers and "
            "Veraart (2013), Failure and rescue in an interbank network, Management Science 59(4); "
            f"opsroom {__version__}."
        )


def clearing(
    network: Network,
    outside_assets: npt.ArrayLike,
    *,
    outside_debts: npt.ArrayLike = 0.0,
    keeps_outside: float = 1.0,
    keeps_inside: float = 1.0,
    solution: Solution = "greatest",
    layers: Sequence[str] | None = None,
    tolerance: float = 1e-12,
    max_rounds: int = 100_000,
) -> ClearingResult:
    """Find payments with which everybody pays what is due, or all that is left.

    It answers: who defaults, on how much, when debts are settled against each other?

    Parameters
    ----------
    network
        Rows lend: column sums are what each node owes.
    outside_assets
        What each node has besides its claims, after the stress; not negative.
    outside_debts
        What each node owes outside the network, of the same rank.
    keeps_outside, keeps_inside
        Share of outside assets and of claims that is left in a bankruptcy, the rest being its costs, 0 to 1. Both 1:
        Eisenberg and Noe; below: Rogers and Veraart.
    solution
        ``greatest``: as many pay as can if all trust each other; ``least``: as few as must if nobody pays first.
    layers
        Layers that are due; all where absent.
    tolerance
        How far payments may miss the equations, relative to what is due.
    max_rounds
        Rounds after which the search is given up, which the result then says.

    Returns
    -------
    ClearingResult

    Notes
    -----
    With debts ``d_i``, outside assets ``e_i`` and claims A, the means of i are ``e_i + sum_j A_ij p_j / d_j``. It pays
    d_i where its means suffice, and otherwise ``alpha e_i + beta sum_j A_ij p_j / d_j``. Payments form a lattice: there
    are a greatest and a least solution, and they differ where debts run in closed circles or bankruptcies cost
    something. The greatest is reached by letting all pay and taking back; the least by letting nobody pay and adding.
    With costs the payments jump at the edge of solvency. Coming from below, a node may come arbitrarily near to it and
    never reach it, so that the limit is no solution; a node within rounding is then let pay, and the climb goes on.
    """
    e, outside = _money(network, outside_assets, "assets"), _money(network, outside_debts, "debts")
    if solution not in ("greatest", "least") or not (0 <= keeps_outside <= 1 and 0 <= keeps_inside <= 1):
        raise UsageError(
            "clearing finds the greatest or the least solution, and what is kept in a bankruptcy is a share, 0 to 1.",
            remedy="Mend the call.",
            code="OPS-U211",
        )
    check(tolerance, max_rounds)
    links = network.links(layers)
    due = links.borrowed + outside
    kept = (keeps_outside, keeps_inside)
    # Wider than the tolerance, so that a climb whose limit is the line itself gets across it.
    line = due * (1.0 - ROUNDING)
    paid = due.copy() if solution == "greatest" else np.zeros_like(due)
    rounds, stop = 0, Stop(tolerance)
    while rounds < max_rounds and not stop.settled:
        new = _pay(links, paid, due, e, kept, line)
        new = np.minimum(paid, new) if solution == "greatest" else np.maximum(paid, new)
        step = float(np.max(np.abs(new - paid) / np.where(due > 0, due, 1.0), initial=0.0))
        paid, rounds = new, rounds + 1
        stop.note(step)
    means = e + links.claims(_share(paid, due))
    target = _pay(links, paid, due, e, kept, line)
    error = float(np.max(np.abs(target - paid) / np.where(due > 0, due, 1.0), initial=0.0))
    edge = int(((np.abs(means - due) <= EDGE * due) & (due > 0)).sum()) if min(kept) < 1 else 0
    return ClearingResult(network, due, paid, means, solution, edge, stop.settled, rounds, error)


def _pay(links: Links, paid: Floats, due: Floats, e: Floats, kept: tuple[float, float], line: Floats) -> Floats:
    """Return what each node pays when the others pay `paid`."""
    claims = links.claims(_share(paid, due))
    left = np.minimum(due, kept[0] * e + kept[1] * claims)
    payment: Floats = np.where(e + claims >= line, due, left)
    return payment


def _share(paid: Floats, due: Floats) -> Floats:
    """Return which share of its debts each node pays; all of nothing."""
    share: Floats = np.where(due > 0, paid / np.where(due > 0, due, 1.0), 1.0)
    return share


def _money(network: Network, given: npt.ArrayLike, name: str) -> Floats:
    """Return amounts by node, checked."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (network.size,)):
        raise UsageError(f"outside {name} are one amount a node.", remedy="Give them in its order.", code="OPS-U212")
    values = np.broadcast_to(values, (network.size,)).copy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise DataError(
            f"outside {name}, row {bad[0] + 1}: is not a finite amount of zero or more.",
            remedy="Count a shortfall as an outside debt.",
            code="OPS-D168",
        )
    return values
