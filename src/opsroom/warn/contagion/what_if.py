"""What if the companies that cannot pay now failed? What lenders and suppliers lose, round by round; less credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from opsroom._version import __version__
from opsroom.base.errors import OpsroomError, UsageError
from opsroom.base.results import TOTAL
from opsroom.warn.contagion.credit import LOANS as BANK
from opsroom.warn.contagion.credit import credit_supply
from opsroom.warn.contagion.density import minimum_density
from opsroom.warn.contagion.distress import debtrank
from opsroom.warn.contagion.failures import cascade
from opsroom.warn.contagion.fitness import fitness_model
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.margins import maximum_entropy
from opsroom.warn.contagion.network import Network, exposure_network
from opsroom.warn.contagion.standing import Standing

if TYPE_CHECKING:
    from opsroom.base.results import Cells

METHOD = "company-contagion-2"
TRADE, LOSSES, INTERBANK = "trade credit", "bank losses", "interbank"
CASES = ("mild", "middle", "severe")
DRAWN = 20
"""Networks between lenders that are drawn by the fitness model."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What no dataset tells: recovery and terms of payment, each from mild over middle to severe.

    The middle of both recoveries is that of the study of payment holidays: two desks of a room tell one story.

    Attributes
    ----------
    collateral, unsecured
        Share of the secured and of the unsecured part of a claim that is recovered.
    payment_days
        Days for which suppliers wait for their money: a year's purchases times these over 365 are owed at any time.
    pass_through
        Share of the lenders' deleveraging that is done by withdrawing credit from companies. They are a quarter to a
        third of assets, and part of the capital is earned anew.
    density
        Share of all pairs of lenders that have a claim, in the networks drawn between them.
    """

    collateral: tuple[float, float, float] = (0.9, 0.7, 0.5)
    unsecured: tuple[float, float, float] = (0.3, 0.1, 0.0)
    payment_days: tuple[float, float, float] = (30.0, 60.0, 90.0)
    pass_through: tuple[float, float, float] = (0.1, 0.2, 0.4)
    density: float = 0.3

    def __post_init__(self) -> None:
        shares = (*self.collateral, *self.unsecured, *self.pass_through, self.density)
        if not all(0 <= x <= 1 for x in shares) or min(self.payment_days) < 0:
            raise UsageError(
                "recoveries, pass-through and density are shares, days are not negative.", remedy="Mend the settings.",
                code="OPS-U228",
            )  # fmt: skip
        falling = all(x[0] >= x[1] >= x[2] for x in (self.collateral, self.unsecured))
        rising = all(x[0] <= x[1] <= x[2] for x in (self.payment_days, self.pass_through))
        if not falling or not rising:
            raise UsageError(
                "assumptions run from mild over middle to severe.",
                remedy="Let recoveries fall, payment days and pass-through rise.",
                code="OPS-U229",
            )


@dataclass(frozen=True, slots=True)
class Case:
    """What happens under one set of assumptions. Confidential.

    Attributes
    ----------
    failed_in
        By company: round in which it failed, 0 at first, later by losses on customers; -1 never.
    loss
        By loan: what its lender loses on it.
    trade_loss
        By pair of supplier and customer: what the supplier loses.
    owed
        By pair: what the customer owes at any time.
    cut
        By loan: what is withdrawn; 0 where the lender's capital is not known.
    distress
        By lender: share of its capital that is gone, by loans alone and with contagion between lenders; NaN where its
        capital is not known. Shape (networks, lenders) for the second.
    """

    failed_in: npt.NDArray[np.int64]
    loss: Floats
    trade_loss: Floats
    owed: Floats
    cut: Floats
    start: Floats
    distress: Floats


@dataclass(frozen=True, slots=True)
class WhatIfResult:
    """What follows if the companies that cannot pay now fail. Confidential; a *what if* without a probability.

    Attributes
    ----------
    standing
        What was known.
    cases
        ``mild``, ``middle``, ``severe``.
    assumptions
        What they rest on.
    """

    standing: Standing
    cases: dict[str, Case]
    assumptions: Assumptions

    @property
    def reported(self) -> npt.NDArray[np.bool_]:
        """Lenders whose capital is known."""
        found: npt.NDArray[np.bool_] = np.isfinite(self.standing.lenders["capital"].to_numpy())
        return found

    def sections(self, case: str = "middle", *, groups: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return per section, and in all, in per cent: what fails, what lenders and suppliers lose, what is withdrawn.

        With `groups` (code → the code above it) also for each group of sections.

        Columns ``section``; ``failing`` and ``added`` (of companies, at first and by losses on customers), ``bank`` and
        ``bank_added`` (of loans), ``trade`` (of trade credit), ``cut`` (of credit to those left);
        and where all lenders report, of the capital behind the section's loans: ``loans`` and ``further`` (on companies
        that fail at first and later), ``interbank`` (passed on between lenders). NaN where there is nothing of which
        it could be a share.
        """
        codes = self.standing.companies["section"].cat.codes.to_numpy()
        names = [str(x) for x in self.standing.companies["section"].cat.categories]
        members = members_of(names, groups or {})
        sums: dict[str, Floats] = {}
        for units in self.units(case):
            own = codes[units["company"].to_numpy()]
            for part in units.columns[1:]:
                found = np.bincount(own, weights=units[part].to_numpy(), minlength=len(names))
                above = [found[at].sum() for at in members.values()]
                sums[part] = np.array([*found, *above, found.sum()], dtype=np.float64)
        shares = {
            name: np.divide(
                100.0 * sums[part], sums[whole], out=np.full(len(sums[whole]), np.nan), where=sums[whole] > 0
            )
            for name, (part, whole) in SHARES.items()
            if part in sums and whole in sums
        }
        return pd.DataFrame({"section": [*names, *members, TOTAL], **shares})

    def units(self, case: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return by company, by loan and by supplier what `sections` adds up, with the row of its ``company``."""
        told = self.cases[case]
        n, loans = len(self.standing.companies), self.standing.loans
        company, supplier = loans["company"].to_numpy(), self.standing.trade["supplier"].to_numpy()
        first, later = told.failed_in == 0, told.failed_in > 0
        every = np.arange(n)
        firms = pd.DataFrame({"company": every, "n_companies": 1, "n_failing": first * 1, "n_added": later * 1})
        owed = loans["outstanding"].to_numpy()
        debts = pd.DataFrame(
            {
                "company": company,
                "m_lent": owed,
                "m_lost": np.where(first[company], told.loss, 0.0),
                "m_added": np.where(later[company], told.loss, 0.0),
                "m_credit": np.where(told.failed_in[company] >= 0, 0.0, owed),
                "m_cut": told.cut,
            }
        )
        if self.reported.all():
            debts = debts.assign(**self._behind(case))
        goods = {"m_trade": told.owed, "m_trade_lost": told.trade_loss}
        sums = {name: np.bincount(supplier, weights=x, minlength=n) for name, x in goods.items()}
        return firms, debts, pd.DataFrame({"company": every, **sums})

    def _behind(self, case: str) -> dict[str, Floats]:
        """Return by loan the capital behind it, and what is passed on between lenders because of it.

        A lender's capital stands behind its loans in proportion; what it loses to other lenders counts where its own
        losses are, or where it has lent if it has none. So both add up over sections to what all lenders have.
        """
        loans, every = self.standing.loans, self.lenders(case)
        lender, owed, loss = loans["lender"].to_numpy(), loans["outstanding"].to_numpy(), self.cases[case].loss
        lent, lost = every["lent"].to_numpy(), (every["lost"] + every["added"]).to_numpy()
        share = owed / lent[lender]
        where = np.where(lost[lender] > 0, loss / np.where(lost > 0, lost, 1.0)[lender], share)
        return {
            "m_capital": every["capital"].to_numpy()[lender] * share,
            "m_interbank": every["interbank"].to_numpy()[lender] * where,
        }

    def pairs(self, case: str) -> pd.DataFrame:
        """Return what suppliers are owed and lose by customer: the row of a supplier's section's ``company``, and the
        ``customer``. Pairs of one section and customer are added up."""
        told, trade = self.cases[case], self.standing.trade
        codes = self.standing.companies["section"].cat.codes.to_numpy().astype(np.int64)
        n = len(codes)
        key, at = np.unique(codes[trade["supplier"].to_numpy()] * n + trade["customer"].to_numpy(), return_inverse=True)
        lead = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
        lead[codes] = np.arange(n)
        sums = {
            name: np.bincount(at, weights=x, minlength=len(key))
            for name, x in (("m_trade", told.owed), ("m_trade_lost", told.trade_loss))
        }
        return pd.DataFrame({"company": lead[key // n], "customer": key % n, **sums})

    def lenders(self, case: str = "middle") -> pd.DataFrame:
        """Return one row a lender: what it lends and loses, its capital, and what contagion takes on top."""
        told, loans = self.cases[case], self.standing.loans
        lender, size = loans["lender"].to_numpy(), len(self.standing.lenders)
        first = told.failed_in[loans["company"].to_numpy()] == 0

        def by(values: Floats) -> Floats:
            sums: Floats = np.bincount(lender, weights=values, minlength=size).astype(np.float64)
            return sums

        capital = self.standing.lenders["capital"].to_numpy()
        return pd.DataFrame(
            {
                "lent": by(loans["outstanding"].to_numpy()),
                "lost": by(np.where(first, told.loss, 0.0)),
                "added": by(np.where(first, 0.0, told.loss)),
                "capital": capital,
                "interbank": capital * (told.distress.mean(axis=0) - told.start),
            }
        )

    def system(self, case: str = "middle") -> dict[str, float]:
        """Return in per cent of lending (``lent``) and of lenders' capital what is lost in all, round by round.

        ``loans`` by the companies that cannot pay, ``further`` by those that they bring down, ``interbank`` between
        lenders (the DebtRank of the two before), ``capital`` in all. NaN where no lender's capital is known.
        """
        every = self.lenders(case)
        known = every[self.reported]
        capital = known["capital"].sum()
        over = {
            name: 100.0 * float(known[part].sum() / capital) if capital > 0 else np.nan
            for name, part in (("loans", "lost"), ("further", "added"), ("interbank", "interbank"))
        }
        lent = 100.0 * float(every["lost"].sum() / every["lent"].sum())
        return {"lent": lent, **over, "capital": sum(over.values())}

    def interval(self) -> dict[str, tuple[float, float]]:
        """Return lower and upper end of what `system` tells, over all assumptions and networks between lenders."""
        found = [self.system(case) for case in CASES]
        ends = {name: (min(f[name] for f in found), max(f[name] for f in found)) for name in found[0]}
        if self.reported.any():
            capital = self.standing.lenders["capital"].to_numpy()[self.reported]
            passed = np.concatenate(
                [
                    (t.distress - t.start)[:, self.reported] @ capital / capital.sum()
                    for t in (self.cases[case] for case in CASES)
                ]
            )
            ends["interbank"] = (100.0 * float(passed.min()), 100.0 * float(passed.max()))
            direct = [f["loans"] + f["further"] for f in found]
            ends["capital"] = (min(direct) + ends["interbank"][0], max(direct) + ends["interbank"][1])
        return ends

    def to_frame(self) -> pd.DataFrame:
        """Return one row a section: confidential."""
        return self.sections()

    def summary(self) -> str:
        """Return the chain in a few lines."""
        told, ends = self.system(), self.interval()
        first, later = (int(x.sum()) for x in (self.standing.failing, self.cases["middle"].failed_in > 0))
        lines = [
            f"{first} of {len(self.standing.companies)} companies cannot pay now; {later} more would fail with them.",
            f"Lenders would lose {told['lent']:.1f} % of what they have lent "
            f"({ends['lent'][0]:.1f} to {ends['lent'][1]:.1f} %).",
        ]
        if self.reported.any():
            lines.append(
                f"That and what follows is {told['capital']:.1f} % of their capital ({ends['capital'][0]:.1f} to "
                f"{ends['capital'][1]:.1f} %), {told['interbank']:.1f} of it passed on between lenders."
            )
        return "\n".join(lines)

    def cells(self, *, groups: str = "") -> list[Cells]:
        """Return what may leave: by section, of the system, and how many lenders lose how much of their capital.

        Parameters
        ----------
        groups
            ``"A3"`` or ``"A10"``: by groups of sections, too, for where most sections are too small to be published.
        """
        from opsroom.warn.contagion.what_if_cells import stress_cells

        return stress_cells(self, groups=groups)

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Threshold cascade on trade credit, lenders returning to their ratio of capital to assets (Greenwood, "
            "Landier and Thesmar 2015), DebtRank between lenders (Bardoscia and others 2015) on networks drawn; "
            f"{METHOD}; opsroom {__version__}."
        )


SHARES = {
    "failing": ("n_failing", "n_companies"),
    "added": ("n_added", "n_companies"),
    "bank": ("m_lost", "m_lent"),
    "bank_added": ("m_added", "m_lent"),
    "trade": ("m_trade_lost", "m_trade"),
    "cut": ("m_cut", "m_credit"),
    "loans": ("m_lost", "m_capital"),
    "further": ("m_added", "m_capital"),
    "interbank": ("m_interbank", "m_capital"),
}
"""Measure by section → the parts of which it is the quotient."""


def members_of(names: Sequence[str], above: Mapping[str, str]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the positions of the codes below each group, whatever the number of levels.

    Parameters
    ----------
    names
        The finest codes.
    above
        Code → the code above it.
    """
    found: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        group = above.get(name)
        while group is not None:
            found.setdefault(group, []).append(k)
            group = above.get(group)
    return {group: np.array(at, dtype=np.int64) for group, at in sorted(found.items())}


def stress(standing: Standing, assumptions: Assumptions | None = None, *, seed: int = 0) -> WhatIfResult:
    """Let the companies that cannot pay now fail, and follow the losses.

    It answers: how much would lenders lose, which sections carry it, how far does it go beyond the first round, and
    how much credit would companies lose that have not failed?

    Parameters
    ----------
    standing
        From `standing_of`.
    assumptions
        Recovery, terms of payment, what lenders do; each from mild to severe.
    seed
        Of the networks drawn between lenders.

    Returns
    -------
    WhatIfResult

    Notes
    -----
    1. Companies that are late or short of cash fail. A supplier loses what is not recovered of what they owe it, and
       fails, too, once that reaches its cash and undrawn credit; and so on (`cascade`). Who is carried by others has
       been given what it needs for a month, and fails once losses reach that.
    2. Of a loan to a company that failed the lender loses ``(1 - g)(1 - s c - (1 - s) u)``: g guaranteed, s secured, c
       and u recovered of the secured and the unsecured part.
    3. Lenders return to their ratio of capital to assets, in part by withdrawing credit (`credit_supply`).
    4. Between lenders only what each has lent and borrowed in all is known: DebtRank runs on the network of maximum
       entropy, on one of few links, and on some drawn by the fitness model; the middle is their mean.

    The interval is from the mildest to the severest assumptions together. The one that fails most often is the first:
    who is short of cash does not have to fail; owners, customers and lenders wait.

    Lenders without a report take part in 1 and 2 alone: their capital is unknown, not zero.
    """
    given = assumptions or Assumptions()
    network = _network(standing)
    between = _between(standing.lenders, given, seed)
    cases = {name: _case(standing, network, between, given, k) for k, name in enumerate(CASES)}
    return WhatIfResult(standing, cases, given)


def _network(standing: Standing) -> Network:
    """Return companies, then lenders, with the loans between them."""
    firms, lenders, loans = standing.companies, standing.lenders, standing.loans
    n, m = len(firms), len(lenders)
    lent = np.bincount(loans["lender"], weights=loans["outstanding"], minlength=m)
    capital, assets = (lenders[name].to_numpy() for name in ("capital", "assets"))
    reported = np.isfinite(capital)
    # Of whom nothing is known nothing is asked: all own money, no ratio to return to.
    capital = np.where(reported, capital, lent)
    assets = np.where(reported, np.maximum(np.nan_to_num(assets), np.maximum(lent, capital)), lent)
    nodes = pd.DataFrame(
        {
            "id": np.arange(n + m),
            "kind": np.repeat(["company", "bank"], [n, m]),
            "buffer": np.concatenate([firms["liquid"].to_numpy(), capital]),
            "assets": np.concatenate([np.zeros(n), assets]),
        }
    )
    return exposure_network(nodes).with_layer(BANK, _loans(standing, loans["outstanding"].to_numpy()))


def _loans(standing: Standing, amount: Floats) -> Links:
    n, m = len(standing.companies), len(standing.lenders)
    pair = (n + standing.loans["lender"].to_numpy(), standing.loans["company"].to_numpy())
    return _links(amount, pair, n + m)


def _links(amount: Floats, pair: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], size: int) -> Links:
    some = amount > 0
    matrix = sp.csr_array((amount[some], (pair[0][some], pair[1][some])), shape=(size, size))
    matrix.sum_duplicates()
    return Links.of(matrix)


def _between(lenders: pd.DataFrame, given: Assumptions, seed: int) -> list[Links]:
    """Return networks that have the margins which lenders report: maximum entropy, few links, and some drawn."""
    known = np.isfinite(lenders["capital"].to_numpy())
    lent, borrowed = (np.nan_to_num(lenders[f"interbank_{x}"].to_numpy()[known]) for x in ("lent", "borrowed"))
    if min(lent.sum(), borrowed.sum(), int(known.sum()) - 2) <= 0:
        return []
    # What is owed to, or by, those who do not report is spread over those who do.
    borrowed = borrowed * (lent.sum() / borrowed.sum())
    try:
        found = [maximum_entropy(lent, borrowed), minimum_density(lent, borrowed, seed=seed)]
        pairs = np.count_nonzero(lent) * np.count_nonzero(borrowed) - np.count_nonzero((lent > 0) & (borrowed > 0))
        model = fitness_model(lent, borrowed, links=max(given.density * pairs, 1.0))
        seeds = np.random.default_rng(seed).integers(0, 2**31 - 1, DRAWN)
    except OpsroomError:
        return []  # margins that no network has: contagion between lenders is left out, and `distress` says so
    return found + [model.draw(int(s)) for s in seeds]


def _case(standing: Standing, network: Network, between: list[Links], given: Assumptions, k: int) -> Case:
    """Follow the losses under the k-th of the assumptions."""
    n, m = len(standing.companies), len(standing.lenders)
    loans, trade = standing.loans, standing.trade
    unsecured = given.unsecured[k]
    owed = trade["amount"].to_numpy() * given.payment_days[k] / 365.0
    pair = (trade["supplier"].to_numpy(), trade["customer"].to_numpy())
    goods = network.with_layer(TRADE, _links(owed, pair, n + m))
    failed_in = cascade(goods, np.flatnonzero(standing.failing).tolist(), recovery=unsecured, layers=[TRADE]).failed_in
    failed = failed_in[:n] >= 0
    secured, guaranteed = loans["secured"].to_numpy(), loans["guaranteed"].to_numpy()
    share = (1.0 - guaranteed) * (1.0 - secured * given.collateral[k] - (1.0 - secured) * unsecured)
    at_risk = loans["outstanding"].to_numpy() * share
    company, lender = loans["company"].to_numpy(), loans["lender"].to_numpy()
    supply = credit_supply(
        network.with_layer(LOSSES, _loans(standing, at_risk)), np.concatenate([failed * 1.0, np.zeros(m)]),
        pass_through=given.pass_through[k], losses=LOSSES,
    )  # fmt: skip
    reported = np.isfinite(standing.lenders["capital"].to_numpy())
    left = np.where(failed[company], 0.0, loans["outstanding"].to_numpy())
    lending = np.bincount(lender, weights=left, minlength=m)
    wanted = given.pass_through[k] * supply.wanted[n:]
    rate = np.where(reported & (lending > 0), np.minimum(1.0, wanted / np.where(lending > 0, lending, 1.0)), 0.0)
    start, distress = _passed_on(standing.lenders, reported, supply.losses[n:], between)
    return Case(
        failed_in[:n],
        np.where(failed[company], at_risk, 0.0),
        np.where(failed[pair[1]], owed * (1.0 - unsecured), 0.0),
        owed,
        left * rate[lender],
        start,
        distress,
    )


def _passed_on(
    lenders: pd.DataFrame, reported: npt.NDArray[np.bool_], losses: Floats, between: list[Links]
) -> tuple[Floats, Floats]:
    """Return by lender the share of its capital lost on loans, and with contagion between lenders, by network."""
    start = np.full(len(lenders), np.nan)
    capital = lenders["capital"].to_numpy()[reported]
    some = capital > 0
    lost = losses[reported]
    start[reported] = np.where(some, np.minimum(1.0, lost / np.where(some, capital, 1.0)), (lost > 0) * 1.0)
    if not between:
        return start, start[None, :]
    nodes = exposure_network(pd.DataFrame({"id": np.arange(len(capital)), "buffer": capital}))
    distress = np.full((len(between), len(lenders)), np.nan)
    for k, links in enumerate(between):
        distress[k, reported] = debtrank(nodes.with_layer(INTERBANK, links), start[reported]).distress
    return start, distress
