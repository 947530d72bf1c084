"""What a company's failure costs an economy: the economic systemic risk index, and any shock to companies."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import Cells, Measure, Part
from opsroom.decide.propagation.network import Essential, Floats, Ints, Network, network, numbers

if TYPE_CHECKING:
    import altair as alt

BLOCK = 256
"""Shocks that are worked on together: as many rows of companies are in memory."""
MOST_SWEEPS = 10_000
_SOURCE = (
    "Diem, C., Borsos, A., Reisch, T., Kertész, J. and Thurner, S. (2022), Scientific Reports 12, 7719; "
    "(2024), PNAS Nexus 3, pgae064."
)


@dataclass(frozen=True, slots=True)
class EsriResult:
    """What each company's failure would cost. Confidential until released.

    Attributes
    ----------
    companies
        One row a company that was let fail: ``sector``, ``esri`` (share of the economy's weight lost),
        ``downstream`` and ``upstream`` (lost along one way only), ``sweeps``, ``bound`` (by how much `esri` may
        still be understated).
    tol
        Tolerance of each way's loss.
    """

    companies: pd.DataFrame
    tol: float

    def to_frame(self) -> pd.DataFrame:
        """Return companies and the mean index by sector: still confidential."""
        by = self.companies.groupby("sector", observed=True, sort=True)["esri"]
        return pd.DataFrame({"companies": by.size(), "mean": by.mean(), "spread": by.std(ddof=0)}).reset_index()

    def summary(self) -> str:
        """Return the index in a few lines, without any single company's."""
        values = self.companies["esri"].to_numpy(np.float64)
        top = np.sort(values)[::-1][: max(1, len(values) // 100)]
        return (
            f"{len(values)} companies, each let fail: on average {100 * values.mean():.3f} % of output is lost, "
            f"{100 * top.mean():.2f} % by the most critical hundredth ({len(top)} companies).\n"
            f"At most {int(self.companies['sweeps'].max())} sweeps; no index understated by more than "
            f"{float(self.companies['bound'].max()):.1e}."
        )

    def cite(self) -> str:
        """Return the source and the method."""
        return f"opsroom esri 1; {_SOURCE}"

    def chart(self) -> alt.Chart:
        """Return the mean index by sector."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_bars import interval_dots

        table = self.to_frame().sort_values("mean", ascending=False, kind="stable")
        rows = [{"sector": str(s), "mean": 100 * float(m)} for s, m in zip(table["sector"], table["mean"], strict=True)]
        caption = Caption(
            f"Companies of {rows[0]['sector']} are missed most",
            "% of output lost by one company's failure, mean of the sector",
        )
        return interval_dots(rows, category="sector", value="mean", format=".2f", caption=caption)

    def cells(self, groups: pd.Series | None = None, *, critical: float = 0.01) -> list[Cells]:
        """Return the publishable cells of ``propagation.esri``.

        Parameters
        ----------
        groups
            Enterprise group of each company; where absent each company is its own.
        critical
            From which share of output lost a company counts as critical.

        Notes
        -----
        Published are numbers of companies and means. Never a company's own index, the largest, or a quantile.
        """
        group = pd.Series(self.companies.index, index=self.companies.index) if groups is None else groups
        group = group.reindex(self.companies.index)
        if group.isna().any():
            raise UsageError("a company has no enterprise group.", remedy="Name the company itself where it is alone.")
        units = self.companies.assign(
            group=group.astype(str),
            n_critical=self.companies["esri"] >= critical,
            n_companies=1,
        )
        parts = {"risk": "share of output", "n_critical": "companies", "n_companies": "companies"}
        frame = parts_from_units(
            units.rename(columns={"esri": "risk"}),
            dimensions=["sector"],
            group="group",
            values={name: name for name in parts},
            shares={"n_critical": "n_companies"},
        )
        return [
            Cells(
                name="propagation.esri",
                dimensions=("sector",),
                additive=("sector",),
                frame=frame,
                parts=tuple(Part(name, unit) for name, unit in parts.items()),
                measures=(
                    Measure("mean_loss", "ratio", "% of output", ("risk", "n_companies"), decimals=2, scale=100.0),
                    Measure("critical_companies", "share", "%", ("n_critical", "n_companies"), scale=100.0),
                    Measure("companies", "count", "companies", ("n_companies",), decimals=0),
                ),
                method="esri-1",
                facts={"critical": critical, "tolerance": self.tol},
            )
        ]


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """What shocks to companies cost. Confidential until released.

    Attributes
    ----------
    scenarios
        One row a shock: ``direct`` (weight lost by the shock itself), ``loss``, ``downstream``, ``upstream``,
        ``sweeps``, ``bound``.
    sectors
        Shocks x sectors: share of the sector's weight lost; missing where it has none.
    remaining
        Shocks x companies: what each can still make, the smaller of both ways.
    """

    scenarios: pd.DataFrame
    sectors: pd.DataFrame
    remaining: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return the losses by shock."""
        return self.scenarios

    def summary(self) -> str:
        """Return the losses in a few lines."""
        lines = [
            f"{name}: {100 * row['direct']:.2f} % of output hit, {100 * row['loss']:.2f} % lost "
            f"(downstream {100 * row['downstream']:.2f} %, upstream {100 * row['upstream']:.2f} %)."
            for name, row in self.scenarios.head(10).iterrows()
        ]
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the source and the method."""
        return f"opsroom cascade 1; {_SOURCE}"


def esri(
    suppliers: Any,
    sector: Any,
    *,
    essential: Essential,
    replaceability: bool = True,
    weight: npt.ArrayLike | pd.Series | None = None,
    output: npt.ArrayLike | pd.Series | None = None,
    firms: Sequence[Any] | npt.NDArray[Any] | None = None,
    tol: float = 1e-8,
    threads: int = 1,
) -> EsriResult:
    """Return the economic systemic risk index of each company.

    It answers: if this company failed, how much of the economy's output would be lost through those who buy from
    it and those who sell to it?

    Parameters
    ----------
    suppliers
        Sales of the row to the column: a frame ``supplier``, ``buyer``, ``weight``, or a square table: a frame with
        names, or a (sparse) matrix in the order of `sector`.
    sector
        Sector of each company: a series by company, or, for a matrix, an array.
    essential
        Which inputs are essential: a frame, row: input, column: who uses it, 1 essential, 0.5 not essential,
        0 negligible. ``"all"`` or ``"none"`` for all alike. There is no default: the index depends on it.
    replaceability
        Whether other suppliers of a market make good what their share in it allows.
    weight
        Weight of each company in the loss (jobs, value added); output where absent.
    output
        Output of each company, final users included; sales in the network where absent, as in the paper. What goes
        to final users is not lost when business customers fail.
    firms
        Those that are let fail; all where absent.
    tol
        To which each way's loss is known: the stop is a proof, not a small step.
    threads
        How many blocks of companies are worked on at once. The result does not depend on it.

    Returns
    -------
    EsriResult

    Raises
    ------
    FitError
        If a cascade has not settled to the tolerance after 10,000 sweeps.

    Notes
    -----
    Of an essential input a company lacks the share that its suppliers of that sector do not deliver; of the others
    the share in all its purchases. What it can make is bounded by the worst essential input, by the sum of the
    others, and by the orders of its customers. The assumption that fails most often: that nobody finds a new supplier.

    References
    ----------
    Diem et al. (2022), Scientific Reports 12, 7719.
    """
    net = network(suppliers, sector, essential=essential, replaceability=replaceability, output=output)
    place = np.arange(len(net.firms)) if firms is None else net.firms.get_indexer(pd.Index(firms))
    if (place < 0).any():
        raise UsageError("a company that is to fail is not in the network.")
    w = _weights(weight, net)

    def failing(block: Ints) -> Floats:
        one = np.ones(len(block))
        down, up, sweeps, bound = settled(net, np.arange(len(block) + 1), block, one, weight=w, tol=tol)
        kept = (np.minimum(down, up), down, up)
        return np.stack([*(1.0 - x @ w for x in kept), sweeps.astype(np.float64), bound])

    blocks = [place[k : k + BLOCK].astype(np.int64) for k in range(0, len(place), BLOCK)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        found = list(pool.map(failing, blocks))
    table = np.concatenate(found, axis=1) if found else np.empty((5, 0))
    companies = pd.DataFrame(
        {
            "sector": net.sectors[net.sector[place]].astype(str),
            "esri": table[0],
            "downstream": table[1],
            "upstream": table[2],
            "sweeps": table[3].astype(np.int64),
            "bound": table[4],
        },
        index=net.firms[place],
    )
    return EsriResult(companies, tol)


def cascade(
    suppliers: Any,
    sector: Any,
    shocks: pd.DataFrame | npt.ArrayLike,
    *,
    essential: Essential,
    replaceability: bool = True,
    weight: npt.ArrayLike | pd.Series | None = None,
    output: npt.ArrayLike | pd.Series | None = None,
    tol: float = 1e-8,
) -> CascadeResult:
    """Return what shocks to companies cost the economy.

    Parameters
    ----------
    shocks
        Shocks x companies: the share of its output that each loses, 0 to 1. One shock may be a vector.
    suppliers, sector, essential, replaceability, weight, output, tol
        As in `esri`.
    """
    net = network(suppliers, sector, essential=essential, replaceability=replaceability, output=output)
    if isinstance(shocks, pd.DataFrame):
        if shocks.columns.has_duplicates or not set(shocks.columns) <= set(net.firms):
            raise UsageError("shocks name a company twice, or one that is not in the network.")
        names, lost = shocks.index, shocks.reindex(columns=net.firms, fill_value=0.0).to_numpy(np.float64)
    else:
        lost = np.atleast_2d(np.asarray(shocks, dtype=np.float64))
        names = pd.RangeIndex(len(lost))
    if lost.shape[1] != len(net.firms) or not ((lost >= 0.0) & (lost <= 1.0)).all():
        raise UsageError(f"shocks are shares between 0 and 1 for each of {len(net.firms)} companies.")
    w = _weights(weight, net)
    rows, hit = np.nonzero(lost)
    first = np.searchsorted(rows, np.arange(len(lost) + 1)).astype(np.int64)
    down, up, sweeps, bound = settled(net, first, hit.astype(np.int64), lost[rows, hit], weight=w, tol=tol)
    kept = np.minimum(down, up)
    member = np.zeros((len(net.firms), len(net.sectors)))
    member[np.arange(len(net.firms)), net.sector] = w
    scenarios = pd.DataFrame(
        {
            "direct": lost @ w,
            "loss": 1.0 - kept @ w,
            "downstream": 1.0 - down @ w,
            "upstream": 1.0 - up @ w,
            "sweeps": sweeps,
            "bound": bound,
        },
        index=names,
    )
    of = member.sum(axis=0)
    by = np.divide((1.0 - kept) @ member, of, out=np.full((len(lost), len(of)), np.nan), where=of > 0.0)
    return CascadeResult(
        scenarios,
        pd.DataFrame(by, index=names, columns=net.sectors),
        pd.DataFrame(kept, index=names, columns=net.firms),
    )


def settled(
    net: Network, first: Ints, firm: Ints, lost: Floats, *, weight: Floats, tol: float
) -> tuple[Floats, Floats, Ints, Floats]:
    """Return what each company can still make, downstream and upstream, by shock; sweeps and bound."""
    from opsroom.decide.propagation.kernel import settle

    if not 0.0 < tol < 1.0:
        raise UsageError("the tolerance is a number between 0 and 1.")
    count, n = len(first) - 1, len(net.firms)
    kept, sweeps, bound = [], np.zeros(count, np.int64), np.zeros(count)
    for way in (net.down, net.up):
        final, used, rest = np.ones((count, n)), np.zeros(count, np.int64), np.zeros(count)
        settle(
            first, firm, lost, way.starts, way.source, way.share, way.group, way.ahead, way.target, net.sector,
            net.output, net.market, int(way.replaceable), weight, tol, MOST_SWEEPS, final, used, rest,
        )  # fmt: skip
        if not np.isfinite(rest).all():
            raise FitError(
                f"{int((~np.isfinite(rest)).sum())} cascade(s) did not settle to {tol:g} in {MOST_SWEEPS} sweeps.",
                remedy="Allow a larger tolerance, or give sales to final users, which end the chain.",
            )
        kept.append(final)
        sweeps, bound = np.maximum(sweeps, used), bound + rest
    return kept[0], kept[1], sweeps, bound


def _weights(weight: npt.ArrayLike | pd.Series | None, net: Network) -> Floats:
    w = net.output if weight is None else numbers(weight, net.firms, "weight")
    if w.sum() <= 0.0:
        raise UsageError("all weights are 0.", remedy="Give output or jobs as weights.")
    return np.asarray(w / w.sum())
