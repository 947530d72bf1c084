"""The result of shocking each node in turn: importance and vulnerability by node, and by sector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.warn.contagion.links import Floats, Ints
from opsroom.warn.contagion.network import Network
from opsroom.warn.contagion.publish import sector_bars, sector_cells

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class SystemicResult:
    """What each node's default costs the system, and what the others' defaults cost each node. Confidential.

    Attributes
    ----------
    network
        The network, in whose order the vectors are.
    importance
        Share of the system that contagion destroys when the node defaults, its own weight left out; NaN where the
        shock was not run.
    vulnerability
        Share of its buffer that the node loses on average when another one defaults; NaN unless all were run.
    defaults
        Further nodes that lose their whole buffer; -1 where the shock was not run.
    bound
        What the importance does not exceed.
    runs
        Shocks that were run.
    unsettled
        Of these, how many had not settled when the rounds ran out: their importance is too low.
    rounds
        The most rounds that a block took.
    """

    network: Network
    importance: Floats
    vulnerability: Floats
    defaults: Ints
    bound: Floats
    runs: int
    unsettled: int
    rounds: int

    def most(self, number: int = 10) -> pd.DataFrame:
        """Return the nodes of greatest importance, confidential.

        Raises
        ------
        UsageError
            More nodes than the search was asked to be sure of.
        """
        known = self.to_frame().dropna(subset=["importance"]).sort_values("importance", ascending=False, kind="stable")
        sure = known[known["importance"] >= self._unseen]
        if len(sure) < min(number, self.network.size):
            raise UsageError(
                f"the search was for fewer than {number} nodes.", remedy="Ask systemic() for more.", code="OPS-U209"
            )
        return known.head(number).reset_index(drop=True)

    @property
    def _unseen(self) -> float:
        """The most that a shock which was not run could cost."""
        left = np.isnan(self.importance)
        return float(self.bound[left].max()) if left.any() else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return one row a node: confidential."""
        return self.network.nodes[["id", "sector", "kind", "group"]].assign(
            importance=self.importance, vulnerability=self.vulnerability, defaults=self.defaults, bound=self.bound
        )

    def by_sector(self) -> pd.DataFrame:
        """Return, weighted by node, importance and vulnerability by sector: confidential."""
        weight = self.network.weight
        frame = pd.DataFrame(
            {
                "sector": self.network.nodes["sector"],
                "weight": weight,
                "importance": weight * self.importance,
                "vulnerability": weight * self.vulnerability,
            }
        )
        columns = ["weight", "importance", "vulnerability"]
        sums = frame.groupby("sector", observed=True)[columns].sum(min_count=1)
        sums.loc[TOTAL] = sums.sum()
        with np.errstate(invalid="ignore"):
            return sums[columns[1:]].div(sums["weight"], axis=0).reset_index()

    def summary(self) -> str:
        """Return the outcome in a few lines, without a node's name."""
        worst = float(np.nanmax(self.importance))
        lines = [
            f"{self.runs} of {self.network.size} single defaults run: the worst destroys {100 * worst:.2f} % of the "
            "system beyond the node itself."
        ]
        if self.runs == self.network.size:
            lines.append(f"A single default costs a node {100 * self.network.weight @ self.vulnerability:.2f} % of its "
                         "buffer on average.")  # fmt: skip
        if self.unsettled:
            lines.append(f"NOT CONVERGED in {self.unsettled} of them: their importance is too low. Raise max_rounds.")
        return "\n".join(lines)

    def cells(self, *, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.systemic``: the mean over all single defaults, by sector.

        Parameters
        ----------
        as_of
            Day of the network, ISO.

        Raises
        ------
        FitError
            Not all shocks were run, or some had not settled.
        """
        if self.runs < self.network.size or self.unsettled:
            raise FitError(
                "what is published is the mean over all single defaults, and these were not all run to the end.",
                remedy="Call systemic() without top, with more rounds.",
                code="OPS-M162",
            )
        weight = self.network.weight
        parts = (Part("m_hit", "share of the system"), Part("m_caused", "share of the system"), Part("m_weight", "1"))
        measures = (
            Measure("vulnerability", "share", "% of buffers", ("m_hit", "m_weight"), scale=100.0, decimals=2),
            Measure("importance", "ratio", "% of the system", ("m_caused", "m_weight"), scale=100.0, decimals=2),
        )
        data = {
            "m_hit": weight * np.clip(self.vulnerability, 0.0, 1.0),
            "m_caused": weight * self.importance,
            "m_weight": weight,
        }
        return [
            sector_cells(
                self.network, data, name="contagion.systemic", method="systemic-1", scenario="each-alone", as_of=as_of,
                parts=parts, measures=measures, facts={"defaults_run": self.runs},
            )
        ]  # fmt: skip

    def chart(self) -> alt.Chart:
        """Return importance and vulnerability by sector."""
        shares = self.by_sector()
        shares[["importance", "vulnerability"]] *= 100.0
        return sector_bars(
            shares,
            finding="Who matters to the system, and who is hit",
            measures={"importance": "caused by a default there", "vulnerability": "suffered from defaults elsewhere"},
            unit="%",
        )

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Importance and vulnerability by multi-hit DebtRank (Bardoscia, Battiston, Caccioli and Caldarelli 2015, "
            f"PLoS ONE 10(6)), each node's default alone; opsroom {__version__}."
        )
