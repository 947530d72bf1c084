"""From failing companies to less credit: banks lose on their loans and deleverage, other companies lose their lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import DataError, UsageError
from opsroom.base.results import TOTAL, Cells
from opsroom.warn.contagion.links import Floats, Ints, Links
from opsroom.warn.contagion.network import Network

LOANS = "bank-company"
"""Layer of the loans of banks to companies."""


@dataclass(frozen=True, slots=True)
class CreditResult:
    """What failing companies cost the banks, and what the banks' answer costs the other companies. Confidential.

    Attributes
    ----------
    network
        The network, in whose order the vectors are.
    failed_in
        Round in which a company failed: 0 by the shock, -1 never.
    losses
        Losses of each bank on its loans.
    equity
        What is left of each bank's buffer; 0 for companies.
    wanted
        By how much each bank would have to shrink to be back at its ratio of capital to assets.
    credit, cut
        Credit of each company that has not failed, and how much of it is withdrawn.
    """

    network: Network
    failed_in: Ints
    losses: Floats
    equity: Floats
    wanted: Floats
    credit: Floats
    cut: Floats

    @property
    def supply(self) -> float:
        """Change of credit to companies that have not failed, as a share; zero or below."""
        return -float(self.cut.sum() / self.credit.sum()) if self.credit.sum() > 0 else 0.0

    @property
    def banks_failed(self) -> npt.NDArray[np.bool_]:
        """Banks whose buffer is gone, and was there before."""
        return self.network.is_bank & (self.losses > 0) & (self.equity <= 0)

    def summary(self) -> str:
        """Return the chain in a few lines."""
        banks, first = self.network.is_bank, int((self.failed_in == 0).sum())
        buffer = self.network.buffer[banks].sum()
        share = 100 * self.losses[banks].sum() / buffer if buffer > 0 else 0.0
        return "\n".join(
            [
                f"{first} companies fail by the shock and {int((self.failed_in > 0).sum())} after it.",
                f"Banks lose {share:.2f} % of their buffers; {int(self.banks_failed.sum())} lose all.",
                f"Credit to companies that have not failed changes by {100 * self.supply:.2f} %.",
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a node: confidential."""
        return self.network.nodes[["id", "sector", "kind", "group"]].assign(
            failed_in=self.failed_in, losses=self.losses, equity=self.equity, wanted=self.wanted, credit=self.credit,
            cut=self.cut,
        )  # fmt: skip

    def by_sector(self) -> pd.DataFrame:
        """Return per sector of companies how much of its credit is withdrawn, in per cent: confidential."""
        inside = ~self.network.is_bank
        frame = pd.DataFrame({"sector": self.network.nodes["sector"], "credit": self.credit, "cut": self.cut})[inside]
        sums = frame.groupby("sector", observed=True)[["credit", "cut"]].sum()
        sums.loc[TOTAL] = sums.sum()
        with np.errstate(invalid="ignore"):
            return (100.0 * sums["cut"] / sums["credit"]).rename("cut").reset_index()

    def cells(self, *, scenario: str, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.credit``: credit withdrawn by sector of companies.

        Parameters
        ----------
        scenario
            Public name of the shock.
        as_of
            Day of the network, ISO.

        Raises
        ------
        DisclosureError
            The shock falls on too few owners, or too few owners of banks withdraw credit.
        """
        from opsroom.warn.contagion.publish import credit_cells

        return credit_cells(self, scenario=scenario, as_of=as_of)

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Losses of banks passed on to companies in proportion to their loans, banks returning to their ratio of "
            "capital to assets, after Greenwood, Landier and Thesmar (2015), Journal of Financial Economics 115(3); "
            f"opsroom {__version__}."
        )


def credit_supply(
    network: Network,
    failing: npt.ArrayLike,
    *,
    loss_given_default: float | npt.ArrayLike = 0.45,
    pass_through: float = 1.0,
    liquidity: npt.ArrayLike | None = None,
    trade: str | None = None,
    trade_recovery: float = 0.0,
    loans: str = LOANS,
    losses: str | None = None,
) -> CreditResult:
    """Let companies fail, banks lose on them and deleverage, and companies lose credit; and go round, if asked to.

    It answers: how much credit do healthy companies lose because others have failed?

    Parameters
    ----------
    network
        Rows lend; banks with `buffer` (equity) and `assets`.
    failing
        By node: share of each company that fails, 0 or 1, or a probability. Banks: 0.
    loss_given_default
        Share of a loan that is lost: one for all, or one a node.
    pass_through
        Share of the deleveraging that is done by withdrawing credit from companies.
    liquidity
        By node: what a company can do without. Where given, a company from which more credit is withdrawn fails in
        the next round, and the chain goes on until nobody fails.
    trade
        Layer of trade credit, where failures also run from company to company: a company fails when its losses on
        failed customers reach its buffer.
    trade_recovery
        Share of trade credit that is recovered.
    loans
        Layer of the banks' loans.
    losses
        Layer of what is lost on them if the borrower fails, where that is known loan by loan (collateral, guarantees);
        `loss_given_default` then is 1.

    Returns
    -------
    CreditResult

    Raises
    ------
    UsageError
        Shares outside 0 to 1.
    DataError
        A bank with loans whose total assets are below them, or below its buffer: it has no ratio to return to.

    Notes
    -----
    Bank b with equity E, assets A and ratio k = E / A loses L and is back at k when its assets are ``(E - L)+ / k``, so
    it wants to shrink by ``(A - L) - (E - L)+ / k``, L times (1/k - 1) while it is solvent. `pass_through` of that, at
    most all its loans to companies that have not failed, is withdrawn from these in proportion. More failures only mean
    more losses and fewer to share the cut, so that the rounds come to an end. The assumption that fails most often:
    that no other bank takes over a sound customer; `pass_through` below 1 stands for that.
    """
    lost = 1.0 if losses else loss_given_default
    d, lgd = _shares(network, failing, "failing"), _shares(network, lost, "loss given default")
    banks = network.is_bank
    if not (0 <= pass_through <= 1 and 0 <= trade_recovery <= 1):
        raise UsageError("pass-through and recovery are shares, 0 to 1.", remedy="Mend the call.", code="OPS-U222")
    if np.any(d[banks] > 0):
        raise UsageError("only companies fail first in this chain.", remedy="Use cascade().", code="OPS-U223")
    claims, buffer = network.links([loans]), network.buffer
    at_risk = network.links([losses]) if losses else claims
    assets = _assets(network, claims)
    goods = network.links([trade]) if trade else None
    spare = None if liquidity is None else np.asarray(liquidity, dtype=np.float64)
    if spare is not None and (spare.shape != (network.size,) or not np.all(spare >= 0)):
        raise UsageError("liquidity is one amount of zero or more a node.", remedy="Mend it.", code="OPS-U224")
    failed_in = np.where(d > 0, 0, -1).astype(np.int64)
    done = 0
    while True:
        gone = np.where(banks, at_risk.claims(lgd * d), 0.0)
        equity = np.where(banks, np.maximum(0.0, buffer - gone), 0.0)
        # Where nothing was lost, nothing is wanted: not even the rounding of the difference.
        smaller = np.maximum(0.0, (assets - gone) - np.where(buffer > 0, equity / _ratio(buffer, assets), 0.0))
        wanted = np.where(banks & (gone > 0), smaller, 0.0)
        left = np.where(banks, 1.0, 0.0)
        alive = np.where(banks, 0.0, 1.0 - d)
        lending = np.where(banks, claims.claims(alive), 0.0)
        rate = np.where(lending > 0, np.minimum(1.0, pass_through * wanted / np.where(lending > 0, lending, 1.0)), 0.0)
        credit, cut = alive * claims.debts(left), alive * claims.debts(rate)
        falling = np.zeros(network.size, dtype=np.bool_)
        if spare is not None:
            falling |= cut > spare
        if goods is not None:
            hit = goods.claims(np.where(banks, 0.0, d * (1.0 - trade_recovery)))
            falling |= (hit >= buffer) & (hit > 0)
        falling &= ~banks & (d < 1.0)
        if not falling.any():
            return CreditResult(network, failed_in, gone, equity, wanted, credit, cut)
        done += 1
        failed_in[falling & (failed_in < 0)] = done
        d = np.where(falling, 1.0, d)


def _ratio(buffer: Floats, assets: Floats) -> Floats:
    """Return capital over assets; one where there is neither."""
    some = (buffer > 0) & (assets > 0)
    ratio: Floats = np.where(some, buffer / np.where(some, assets, 1.0), 1.0)
    return ratio


def _assets(network: Network, claims: Links) -> Floats:
    """Return total assets, checked for the banks that lend."""
    assets = network.nodes["assets"].to_numpy(dtype=np.float64)
    lent = claims.lent
    low = network.is_bank & (lent > 0) & ((assets < lent * (1 - 1e-9)) | (assets < network.buffer))
    if low.any():
        raise DataError(
            f"table nodes, row {np.flatnonzero(low)[0] + 1}, field assets: a bank's total assets are below its loans "
            "or its buffer.",
            remedy="Deliver total assets of every bank that lends.",
            code="OPS-D172",
        )
    return assets


def _shares(network: Network, given: npt.ArrayLike, name: str) -> Floats:
    """Return one share a node, checked."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (network.size,)) or not np.all((values >= 0) & (values <= 1)):
        raise UsageError(f"{name} is a share, 0 to 1, one a node.", remedy="Give it in their order.", code="OPS-U225")
    return np.broadcast_to(values, (network.size,)).copy()
