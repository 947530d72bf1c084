"""Fire sales: losses that run through common holdings, because who must sell depresses what others hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import DataError, FitError, UsageError
from opsroom.base.results import Cells
from opsroom.warn.contagion.links import Floats

SOURCES = {
    "leverage targeting": "Greenwood, Landier and Thesmar (2015), Vulnerable banks, Journal of Financial Economics "
    "115(3)",
    "leverage threshold": "Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, "
    "Norges Bank Working Paper 2/2017",
}


@dataclass(frozen=True, slots=True)
class FireSaleResult:
    """What a shock to assets costs each holder, directly and through the sales of others. Confidential.

    Attributes
    ----------
    method
        ``leverage targeting`` or ``leverage threshold``.
    equity
        Equity before the shock.
    direct, indirect
        Loss of each holder by the shock itself, and by falling prices.
    sold
        Market value sold, by holder.
    impact
        Relative fall of each asset's price.
    caused
        Indirect losses of all that each holder's sales bring about; under a threshold shared by what is sold.
    rounds
        Rounds of sales.
    settled
        Whether nobody had to sell any more.
    """

    method: str
    equity: Floats
    direct: Floats
    indirect: Floats
    sold: Floats
    impact: Floats
    caused: Floats
    rounds: int
    settled: bool

    @property
    def aggregate(self) -> float:
        """Indirect losses of all over the equity of all: the aggregate vulnerability."""
        return float(self.indirect.sum() / self.equity.sum())

    @property
    def insolvent(self) -> npt.NDArray[np.bool_]:
        """Holders whose equity is gone."""
        return np.asarray(self.direct + self.indirect >= self.equity)

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        lines = [
            f"{self.method}: the shock costs {100 * self.direct.sum() / self.equity.sum():.2f} % of equity, fire sales "
            f"{100 * self.aggregate:.2f} % more in {self.rounds} round(s); {int(self.insolvent.sum())} of "
            f"{len(self.equity)} holders lose all."
        ]
        if not self.settled:
            lines.append("NOT SETTLED: some would have to go on selling. Raise max_rounds.")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a holder: confidential."""
        return pd.DataFrame(
            {
                "equity": self.equity, "direct": self.direct, "indirect": self.indirect, "sold": self.sold,
                "caused": self.caused,
            }
        )  # fmt: skip

    def cells(self, *, sector: pd.Series, group: pd.Series, scenario: str, as_of: str) -> list[Cells]:
        """Return the publishable cells of ``contagion.fire_sales``: equity lost by sector, never by holder.

        Parameters
        ----------
        sector, group
            Sector and owner of each holder.
        scenario
            Public name of the shock.
        as_of
            Day of the holdings, ISO.

        Raises
        ------
        FitError
            Selling was broken off: the losses are too low.
        """
        from opsroom.warn.contagion.publish import sale_cells

        if not self.settled:
            raise FitError(
                "fire sales that were broken off are not published: their losses are too low.",
                remedy="Raise max_rounds.",
                code="OPS-M165",
            )
        return sale_cells(self, sector, group, scenario=scenario, as_of=as_of)

    def cite(self) -> str:
        """Return source and version."""
        return f"{SOURCES[self.method]}; opsroom {__version__}."


def leverage_targeting(
    holdings: npt.ArrayLike,
    equity: npt.ArrayLike,
    shock: npt.ArrayLike,
    impact: npt.ArrayLike,
    *,
    leverage: npt.ArrayLike | None = None,
) -> FireSaleResult:
    """Let each holder sell, in proportion to what it holds, until its leverage is what it was.

    It answers: what does a fall of some assets cost those who do not hold them?

    Parameters
    ----------
    holdings
        Shape (holders, assets), market value, not negative.
    equity
        By holder, positive.
    shock
        Relative fall of each asset, 0 to 1.
    impact
        Relative fall of each asset's price for one unit of money sold.
    leverage
        Target of debt over equity, by holder; what it is where absent.

    Returns
    -------
    FireSaleResult

    Notes
    -----
    With assets A (diagonal of row sums), portfolio shares M, leverage B and impact L (both diagonal), the shock f
    costs ``A M f``, is answered by sales of ``A B M f``, spread by M, so that prices fall by ``L M' A B M f`` and
    holders lose ``A M L M' A B M f``: one round, as in the paper. Nobody sells more than all it has left,
    and no price falls below zero. The assumption that fails most often: that a holder that gains buys as eagerly,
    and one with room to spare sells at once.
    """
    held, capital = _holdings(holdings, equity)
    fall = _by_asset(shock, held, "shock", most=1.0)
    depth = _by_asset(impact, held, "impact")
    assets = held.sum(axis=1)
    target = (assets - capital) / capital if leverage is None else np.asarray(leverage, dtype=np.float64)
    if target.shape != capital.shape or not np.all(np.isfinite(target) & (target >= 0)):
        raise UsageError(
            "leverage is debt over equity, zero or more, by holder.", remedy="Leave it out.", code="OPS-U213"
        )
    share = held / np.where(assets > 0, assets, 1.0)[:, None]
    direct = held @ fall
    left = assets - direct
    sold = np.minimum(target * direct, left)
    volume = share.T @ sold
    price = np.minimum(1.0, depth * volume)
    indirect = held @ price
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where the price has hit zero, the fall is shared by what was sold.
        a_unit = np.where(volume > 0, price / volume, 0.0)
    caused = sold * (share @ (a_unit * held.sum(axis=0)))
    return FireSaleResult("leverage targeting", capital, direct, indirect, sold, price, caused, 1, settled=True)


def leverage_threshold(
    holdings: npt.ArrayLike,
    illiquid: npt.ArrayLike,
    equity: npt.ArrayLike,
    loss: npt.ArrayLike,
    depth: npt.ArrayLike,
    *,
    most: float,
    target: float | None = None,
    floor: float = 0.5,
    shortfall: float = 0.5,
    max_rounds: int = 1_000,
) -> FireSaleResult:
    """Let those above a leverage threshold sell down to a target, prices fall, and others follow.

    It answers: how far does selling go on when only those must sell who break a limit?

    Parameters
    ----------
    holdings
        Shape (holders, assets): marketable holdings at market value.
    illiquid
        What cannot be sold, by holder, before the shock.
    equity
        By holder, positive.
    loss
        Loss on illiquid assets, by holder.
    depth
        Market depth by asset, in money: what is sold over it is about the relative fall of the price.
    most, target
        Assets over equity above which a holder sells, and to which it sells down; 0.95 times `most` where absent.
    floor
        Share of its first price below which no price falls, 0 to below 1.
    shortfall
        Share of the round's fall of prices that a seller bears on what it sells, 0 to 1.
    max_rounds
        Rounds after which selling is broken off, which the result then says.

    Returns
    -------
    FireSaleResult

    Notes
    -----
    In each round a holder with assets over equity above ``most`` sells the share ``min(1, (assets - target equity) /
    marketable)`` of everything marketable. Sales q of an asset lower its price by the factor
    ``1 - (1 - floor / S) (1 - exp(-q / delta))`` with S its price over the first and ``delta = (1 - floor) depth``.
    Those who hold lose the fall on what they keep and `shortfall` of it on what they sell; then the next round. A
    holder without equity is insolvent and sells what is marketable. One that has nothing marketable left is illiquid:
    it can sell no more, however high its leverage.
    """
    held, capital = _holdings(holdings, equity)
    n = len(capital)
    stuck, hit = (np.asarray(x, dtype=np.float64) for x in (illiquid, loss))
    if not (stuck.shape == hit.shape == (n,) and np.all((hit >= 0) & (hit <= stuck) & np.isfinite(stuck))):
        raise UsageError(
            "the loss on illiquid assets is one amount a holder, from zero to all of them.",
            remedy="Mend it.",
            code="OPS-U214",
        )
    aim = 0.95 * most if target is None else target
    if not (1.0 <= aim <= most and 0.0 <= floor < 1.0 and 0.0 <= shortfall <= 1.0 and max_rounds >= 1):
        raise UsageError(
            "1 <= target <= most, 0 <= floor < 1 and 0 <= shortfall <= 1 do not hold.",
            remedy="Mend the call.",
            code="OPS-U215",
        )
    delta = (1.0 - floor) * _by_asset(depth, held, "depth")
    if not np.all(delta > 0):
        raise UsageError("market depth must be positive.", remedy="Give it in money.", code="OPS-U216")
    stuck = stuck - hit
    own = np.maximum(0.0, capital - hit)
    value, price = held.copy(), np.ones(held.shape[1])
    sold, indirect, caused = np.zeros(n), np.zeros(n), np.zeros(n)
    for done in range(max_rounds):
        marketable = value.sum(axis=1)
        over = (marketable + stuck > most * own) & (marketable > 0)
        if not over.any():
            return FireSaleResult(
                "leverage threshold", capital, hit, indirect, sold, 1.0 - price, caused, done, settled=True
            )
        share = np.where(over, np.minimum(1.0, (marketable + stuck - aim * own) / np.where(over, marketable, 1.0)), 0.0)
        sales = share[:, None] * value
        volume = sales.sum(axis=0)
        fall = (1.0 - floor / price) * -np.expm1(-volume / delta)
        lost = (1.0 - (1.0 - shortfall) * share) * (value @ fall)
        of_volume = sales / np.where(volume > 0, volume, 1.0)
        kept = value - sales
        caused += of_volume @ (fall * (kept.sum(axis=0) + shortfall * volume))
        sold, indirect = sold + sales.sum(axis=1), indirect + lost
        value, price = kept * (1.0 - fall), price * (1.0 - fall)
        own = np.maximum(0.0, own - lost)
    return FireSaleResult(
        "leverage threshold", capital, hit, indirect, sold, 1.0 - price, caused, max_rounds, settled=False
    )


def _holdings(holdings: npt.ArrayLike, equity: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return holdings and equity, checked."""
    held, capital = np.asarray(holdings, dtype=np.float64), np.asarray(equity, dtype=np.float64)
    if held.ndim != 2 or capital.shape != held.shape[:1]:
        raise DataError(
            "holdings are a table of holders by assets, with one equity a holder.", remedy="Mend it.", code="OPS-D169"
        )
    rows = np.flatnonzero(~(np.isfinite(held) & (held >= 0)).all(axis=1))
    if len(rows):
        raise DataError(
            f"table holdings, row {rows[0] + 1}: a holding is not a finite amount of zero or more.",
            remedy="Mend it.",
            code="OPS-D170",
        )
    rows = np.flatnonzero(~(np.isfinite(capital) & (capital > 0)))
    if len(rows):
        raise DataError(
            f"table holdings, row {rows[0] + 1}, field equity: is not positive, so that leverage has no meaning.",
            remedy="Leave out holders that have failed already.",
            code="OPS-D171",
        )
    return held, capital


def _by_asset(given: npt.ArrayLike, held: Floats, name: str, most: float = np.inf) -> Floats:
    """Return one number an asset, checked."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), held.shape[1:]) or not np.all((values >= 0) & (values <= most)):
        raise UsageError(f"{name} is one number of zero or more an asset.", remedy="Mend it.", code="OPS-U217")
    return np.broadcast_to(values, held.shape[1:]).copy()
