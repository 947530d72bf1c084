"""What of a contagion study may leave the room: sums by sector with contributors behind them, never a node's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError, FitError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.warn.contagion.links import Floats
from opsroom.warn.contagion.network import Network

if TYPE_CHECKING:
    import altair as alt

    from opsroom.warn.contagion.credit import CreditResult
    from opsroom.warn.contagion.payments import ClearingResult
    from opsroom.warn.contagion.sales import FireSaleResult

FEWEST_OWNERS = 3
"""Owners on whom a published scenario's shock must fall: what others lose in the default of one is what he owes."""


def by_sector(network: Network, start: Floats, distress: Floats) -> pd.DataFrame:
    """Return, in per cent of each sector's buffers, what the shock and what contagion destroys."""
    frame = pd.DataFrame(
        {
            "sector": network.nodes["sector"],
            "buffer": network.buffer,
            "shock": network.buffer * start,
            "contagion": network.buffer * (distress - start),
        }
    )
    sums = frame.groupby("sector", observed=True)[["buffer", "shock", "contagion"]].sum()
    sums.loc[TOTAL] = sums.sum()
    with np.errstate(invalid="ignore"):
        shares = 100.0 * sums[["shock", "contagion"]].div(sums["buffer"], axis=0)
    return shares.reset_index()


def refuse_few_owners(network: Network, start: Floats) -> None:
    """Raise where a shock falls on so few owners that its losses would tell what they owe.

    Raises
    ------
    DisclosureError
        Fewer than `FEWEST_OWNERS`.
    """
    if network.nodes["group"][start > 0].nunique() < FEWEST_OWNERS:
        raise DisclosureError(
            "a scenario is not published whose shock falls on too few owners: what lenders lose would tell what the "
            "defaulting owner owes them.",
            remedy="Publish a scenario that hits a sector, or the mean over all single shocks.",
            code="OPS-P160",
        )


def sector_cells(
    nodes: Network | pd.DataFrame,
    data: dict[str, Any],
    *,
    name: str,
    method: str,
    scenario: str,
    as_of: str,
    parts: tuple[Part, ...],
    measures: tuple[Measure, ...],
    facts: dict[str, Any],
    only: npt.NDArray[np.bool_] | None = None,
) -> Cells:
    """Return sums of node columns by sector, with the owners behind them."""
    shares = {m.parts[0]: m.parts[1] for m in measures if m.kind == "share"}
    table = nodes.nodes if isinstance(nodes, Network) else nodes
    units = table[["sector", "group"]].assign(day=as_of, scenario=scenario, **data)
    units = units if only is None else units[only]
    frame = parts_from_units(
        units,
        dimensions=["day", "scenario", "sector"],
        group="group",
        values={part.name: part.name for part in parts},
        shares=shares,
        totals=["sector"],
    )
    return Cells(
        name=name,
        dimensions=("day", "scenario", "sector"),
        additive=("sector",),
        frame=frame,
        parts=parts,
        measures=measures,
        method=method,
        notes=("rows-lend", "loss-given-default-in-the-scenario"),
        facts={"as_of": as_of, "scenario": scenario} | facts,
    )


def loss_cells(
    network: Network, start: Floats, distress: Floats, *, converged: bool, method: str, scenario: str, as_of: str
) -> list[Cells]:
    """Return the share of buffers lost, and of nodes without any left, by sector.

    Raises
    ------
    FitError
        The rounds had not settled: such numbers are too low and are not published.
    DisclosureError
        The shock falls on too few owners.
    """
    if not converged:
        raise FitError(
            "a contagion that had not settled is not published: its losses are too low.",
            remedy="Raise max_rounds.",
            code="OPS-M161",
        )
    refuse_few_owners(network, start)
    buffer = network.buffer
    parts = (Part("m_lost", "money"), Part("m_buffer", "money"), Part("n_failed", "nodes"), Part("n_nodes", "nodes"))
    measures = (
        Measure("lost", "share", "% of buffers", ("m_lost", "m_buffer"), scale=100.0),
        Measure("failed", "share", "% of companies", ("n_failed", "n_nodes"), scale=100.0),
    )
    data = {
        "m_lost": buffer * np.minimum(distress, 1.0),
        "m_buffer": buffer,
        "n_failed": distress >= 1.0 - 1e-12,
        "n_nodes": np.ones(network.size, dtype=np.int64),
    }
    name = f"contagion.{method.partition('-')[0]}"  # a series keeps its name when its method has a new version
    return [
        sector_cells(
            network, data, name=name, method=method, scenario=scenario, as_of=as_of, parts=parts, measures=measures,
            facts={},
        )
    ]  # fmt: skip


def clearing_cells(result: ClearingResult, *, scenario: str, as_of: str) -> list[Cells]:
    """Return the share of debts not paid, and of nodes in default, by sector.

    Raises
    ------
    FitError
        The payments had not settled.
    DisclosureError
        Too few owners default.
    """
    if not result.converged:
        raise FitError("payments that had not settled are not published.", remedy="Raise max_rounds.", code="OPS-M163")
    network, defaulted = result.network, result.defaulted
    refuse_few_owners(network, defaulted.astype(np.float64))
    parts = (Part("m_unpaid", "money"), Part("m_due", "money"), Part("n_defaulted", "nodes"), Part("n_nodes", "nodes"))
    measures = (
        Measure("unpaid", "share", "% of debts", ("m_unpaid", "m_due"), scale=100.0),
        Measure("defaulted", "share", "% of companies", ("n_defaulted", "n_nodes"), scale=100.0),
    )
    data = {
        "m_unpaid": np.where(defaulted, np.clip(result.due - result.paid, 0.0, result.due), 0.0),
        "m_due": result.due,
        "n_defaulted": defaulted,
        "n_nodes": np.ones(network.size, dtype=np.int64),
    }
    return [
        sector_cells(
            network, data, name="contagion.clearing", method="clearing-1", scenario=scenario, as_of=as_of, parts=parts,
            measures=measures, facts={"solution": result.solution},
        )
    ]  # fmt: skip


def credit_cells(result: CreditResult, *, scenario: str, as_of: str) -> list[Cells]:
    """Return the share of credit withdrawn, by sector of companies that have not failed.

    Raises
    ------
    DisclosureError
        The shock falls on too few owners, or the banks that withdraw credit have too few: what a sector loses would
        then tell what one of them does.
    """
    network = result.network
    refuse_few_owners(network, (result.failed_in == 0).astype(np.float64))
    refuse_few_owners(network, (network.is_bank & (result.wanted > 0)).astype(np.float64))
    parts = (Part("m_cut", "money"), Part("m_credit", "money"))
    measures = (Measure("cut", "share", "% of credit", ("m_cut", "m_credit"), scale=100.0),)
    data = {"m_cut": np.minimum(result.cut, result.credit), "m_credit": result.credit}
    return [
        sector_cells(
            network, data, name="contagion.credit", method="credit_supply-1", scenario=scenario, as_of=as_of,
            parts=parts, measures=measures, facts={}, only=~network.is_bank,
        )
    ]  # fmt: skip


def sale_cells(
    result: FireSaleResult, sector: pd.Series, group: pd.Series, *, scenario: str, as_of: str
) -> list[Cells]:
    """Return the share of equity lost by a shock to assets, directly and by fire sales, by sector of holders."""
    lost = np.minimum(result.direct + result.indirect, result.equity)
    parts = (Part("m_direct", "money"), Part("m_lost", "money"), Part("m_equity", "money"))
    measures = (
        Measure("direct", "share", "% of equity", ("m_direct", "m_equity"), scale=100.0),
        Measure("lost", "share", "% of equity", ("m_lost", "m_equity"), scale=100.0),
    )
    data = {"m_direct": np.minimum(result.direct, result.equity), "m_lost": lost, "m_equity": result.equity}
    holders = pd.DataFrame({"sector": np.asarray(sector), "group": np.asarray(group)})
    return [
        sector_cells(
            holders, data, name="contagion.fire_sales", method="fire_sales-1", scenario=scenario, as_of=as_of,
            parts=parts, measures=measures, facts={"rule": result.method},
        )
    ]  # fmt: skip


SHOCK = {"shock": "by the shock", "contagion": "by contagion"}


def sector_bars(
    shares: pd.DataFrame, *, finding: str, measures: Mapping[str, str] = SHOCK, unit: str = "% of buffers"
) -> alt.Chart:
    """Draw measures by sector."""
    from opsroom.base.charts import Caption
    from opsroom.base.charts_bars import option_bars

    rows = [
        {str(k): None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        for row in shares.to_dict("records")
    ]
    return option_bars(
        rows,
        option="sector",
        measures=measures,
        caption=Caption(finding=finding, unit=unit),
        write=lambda x: f"{x:.2f}",
    )
