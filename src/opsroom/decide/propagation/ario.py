"""`Ario`: capital is destroyed and rebuilt; who makes less for it, how long, and what it costs beyond the damage."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError, UsageError
from opsroom.decide.propagation.ario_path import ArioPath
from opsroom.decide.propagation.path import Stocks

Floats = npt.NDArray[np.float64]
Given = npt.ArrayLike | pd.Series
CAPITAL = 4.0
"""Capital over a year's value added, where no capital is given (Hallegatte 2008)."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """How companies react to scarcity. The numbers are those usual for the model, and are assumptions.

    Attributes
    ----------
    most
        Capacity at most over what it was, after long scarcity (alpha max).
    extend_days
        Days in which capacity would reach that if nothing at all were delivered, and in which it returns (tau alpha).
    restock_days
        Days in which a gap in stocks is to be closed.
    caution
        Share of the stock aimed at below which a sector makes less (psi).
    rebuild_days
        Days in which what is destroyed would be rebuilt if nothing were scarce.
    orders
        What a sector orders beside what its stocks lack: ``used``, inputs of what it made, as in the papers; or
        ``needed``, inputs for what it would make if it had them.
    served
        Who is served where there is too little: ``inputs``, sectors' orders first, final users and rebuilding alike
        from the rest; or ``alike``, everybody by the same share of what they ask for. With the latter, claims that do
        not shrink (final use, rebuilding) take inputs away until, where every sector needs every other, small
        disasters stop an economy for good: an artefact, not a forecast.
    """

    most: float = 1.25
    extend_days: float = 365.0
    restock_days: float = 60.0
    caution: float = 0.8
    rebuild_days: float = 60.0
    orders: Literal["used", "needed"] = "used"
    served: Literal["inputs", "alike"] = "inputs"

    def __post_init__(self) -> None:
        days = (self.extend_days, self.restock_days, self.rebuild_days)
        if not (self.most >= 1.0 and min(days) >= 1.0 and 0.0 <= self.caution <= 1.0):
            raise UsageError("most is 1 or more; spans are a day or more; caution is within 0 and 1.")
        if self.orders not in ("needed", "used"):
            raise UsageError("orders are for what is 'needed' or for what was 'used'.")
        if self.served not in ("alike", "inputs"):
            raise UsageError("served are all 'alike', or 'inputs' first.")


class Ario:
    """An economy of sectors with stocks of inputs, which rebuilds what a disaster destroyed.

    It answers: what does a disaster cost beyond what it destroyed, who makes less for want of capital and who for want
    of inputs, and does rebuilding crowd out or carry?

    Parameters
    ----------
    Z
        Sectors x sectors: what the column bought of the row, in a period of `table_days`. A frame.
    final
        Final use of each sector's output, in the same period.
    stock_days
        For how many days stocks of each sector's product last at its users, 1 or more: a number, by sector, or a table
        of input by user. What cannot be stored, such as power, has 1.
    capital
        Capital by sector; absent: four times a year's value added.
    essential
        Inputs x users, or by input: whether a user makes less without it; absent: all. What is not essential and
        missing is replaced from outside (`ArioPath.replaced`).
    reaction
        See `Reaction`.
    table_days
        Days that the table is of.

    Raises
    ------
    UsageError, DataError
        Sectors that do not match, missing or negative entries, a sector without output or value added.

    Notes
    -----
    Final use is what it was and is rationed; prices do nothing. The assumption that fails most
    often: that nobody finds another supplier within the horizon.

    References
    ----------
    Hallegatte, S. (2008), An adaptive regional input-output model and its application to the assessment of the economic
    cost of Katrina, Risk Analysis 28, 779-799; Hallegatte, S. (2014), Modeling the role of inventories and
    heterogeneity in the assessment of the economic costs of natural disasters, Risk Analysis 34, 152-167.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.decide.propagation import Ario
    >>> names = ["farms", "builders"]
    >>> model = Ario(
    ...     pd.DataFrame([[0.0, 0.0], [365.0, 0.0]], index=names, columns=names), [1460.0, 730.0], stock_days=30.0
    ... )
    >>> path = model.run(365, damage=[1000.0, 0.0], rebuilt_by=[0.0, 1.0])
    >>> round(float(path.destroyed.iloc[-1].sum()), 1)
    287.8
    """

    def __init__(
        self,
        Z: pd.DataFrame,
        final: Given,
        *,
        stock_days: float | Given | pd.DataFrame,
        capital: Given | None = None,
        essential: pd.DataFrame | pd.Series | None = None,
        reaction: Reaction | None = None,
        table_days: float = 365.0,
    ) -> None:
        if list(Z.index) != list(Z.columns) or Z.index.has_duplicates:
            raise UsageError("rows and columns of Z are not the same sectors, each once.")
        self.labels = Z.index
        self.reaction = reaction or Reaction()
        n = len(self.labels)
        self.z: Floats = self._checked(Z.to_numpy(np.float64), "Z", (n, n)) / table_days
        self.f: Floats = self._vector(final, "final") / table_days
        self.x: Floats = self.z.sum(axis=1) + self.f
        if (self.x <= 0.0).any():
            raise DataError("a sector has no output.", remedy="Leave it out of the table.")
        self.a: Floats = self.z / self.x
        self.added: Floats = self.x - self.z.sum(axis=0)
        if (self.added <= 0.0).any():
            raise DataError("a sector buys more from the others than it makes.")
        held = stock_days
        if isinstance(held, pd.DataFrame):
            held = held.reindex(index=self.labels, columns=self.labels).to_numpy(np.float64)
        elif np.ndim(held) > 0:
            held = self._vector(held, "stock_days")[:, None]
        self.days: Floats = self._checked(np.broadcast_to(np.asarray(held, np.float64), (n, n)), "stock_days", (n, n))
        if (self.days < 1.0).any():
            raise DataError(
                "stocks last less than a day, with which no sector could run.", remedy="Give a day or more."
            )
        self.capital: Floats = CAPITAL * 365.0 * self.added if capital is None else self._vector(capital, "capital")
        if (self.capital <= 0.0).any():
            raise DataError("a sector has no capital.", remedy="Give some, or none for all: a multiple of value added.")
        need = np.ones((n, n), dtype=np.bool_)
        if essential is not None:
            need = self._needed(essential)
        self._binds = need & (self.a > 0.0)

    def run(
        self,
        days: int,
        *,
        damage: Given | None = None,
        rebuilt_by: Given | None = None,
        homes: float = 0.0,
        lost: npt.ArrayLike | pd.Series | pd.DataFrame | None = None,
        first: int = 0,
        start: dt.date | None = None,
        keep_flows: bool = False,
    ) -> ArioPath:
        """Return the economy's path after a disaster.

        Parameters
        ----------
        days
            Number of days.
        damage
            Capital destroyed by sector, in the table's units.
        rebuilt_by
            Shares of what is rebuilt that each sector supplies, together 1; needed where something is destroyed.
        homes
            Destroyed of households, which is rebuilt but makes nothing.
        lost
            Share of capacity that is lost for other reasons (no power, no access): by sector, or days x sectors.
        first
            Day of the disaster, counted from 0.
        start
            Date of the first day.
        keep_flows
            Keep stocks, deliveries and use by pair of sectors and day.
        """
        if days < 1 or first < 0:
            raise UsageError("days is at least 1, the day of the disaster 0 or later.")
        n, r = len(self.labels), self.reaction
        hit = np.zeros(n) if damage is None else self._vector(damage, "damage")
        if (hit > self.capital).any():
            raise UsageError(
                "more is destroyed than there is of a sector's capital.", remedy="Check units, or capital."
            )
        if homes < 0.0 or not np.isfinite(homes):
            raise UsageError("homes is an amount of 0 or more.")
        spread = np.zeros(n) if rebuilt_by is None else self._vector(rebuilt_by, "rebuilt_by")
        if (hit.any() or homes > 0.0) and abs(float(spread.sum()) - 1.0) > 1e-9:
            raise UsageError("rebuilt_by is no set of shares that add to 1.", remedy="Say which sectors rebuild.")
        stopped = self._lost(lost, days)
        stock, orders, over = self.days * self.z, self.z.copy(), np.ones(n)
        # what is destroyed, of each sector and last of households
        ruins = np.zeros(n + 1)
        names = ("output", "demand", "capacity", "intermediate", "final", "rebuilt", "replaced", "extended")
        kept = {name: np.empty((days, n)) for name in names}
        destroyed, short = np.empty((days, n + 1)), np.empty((days, n), np.int8)
        record: list[tuple[Floats, Floats, Floats]] = []
        for t in range(days):
            if t == first:
                ruins = np.append(hit, homes)
            able = over * (1.0 - ruins[:n] / self.capital) * (1.0 - stopped[t]) * self.x
            wanted = spread * (ruins.sum() / r.rebuild_days)
            demand = orders.sum(axis=1) + self.f + wanted
            aimed = np.minimum(able, demand)
            made = aimed * self._part(stock, aimed)
            asked = orders.sum(axis=1)
            if r.served == "alike":
                to_sectors = served = _over(made, demand)
            else:
                to_sectors = np.minimum(_over(made, asked), 1.0)
                served = _over(made - to_sectors * asked, self.f + wanted)
            delivered = orders * to_sectors[:, None]
            use = self.a * made
            used = np.minimum(use, stock)
            stock = stock + delivered - used
            rebuilt = wanted * served
            # every supplier mends each ruin in proportion to what is left of it
            whole = float(ruins.sum())
            left = 1.0 - float(rebuilt.sum()) / whole if whole > 0.0 else 1.0
            ruins = ruins * max(left, 0.0)
            scarce = 1.0 - _over(made, demand)
            row = (made, demand, able, delivered.sum(axis=1), self.f * served, rebuilt, (use - used).sum(axis=1), over)
            for name, values in zip(names, row, strict=True):
                kept[name][t] = values
            destroyed[t] = ruins
            unmet = made < demand * (1.0 - 1e-9)
            short[t] = np.where(~unmet, 0, np.where(made < aimed * (1.0 - 1e-9), 2, 1))
            if keep_flows:
                record.append((stock, delivered, used))
            grows = scarce > 1e-12
            over = over + np.where(grows, (r.most - over) * scarce, 1.0 - over) / r.extend_days
            lacking = self.days * self.a * aimed - stock
            if r.orders == "used":
                orders = self.a * made + np.maximum(lacking, 0.0) / r.restock_days
            else:
                orders = np.maximum(self.a * aimed + lacking / r.restock_days, 0.0)
        index = pd.RangeIndex(days) if start is None else pd.date_range(start, periods=days, freq="D")
        return ArioPath(
            **{name: pd.DataFrame(values, index=index, columns=self.labels) for name, values in kept.items()},
            destroyed=pd.DataFrame(destroyed, index=index, columns=[*self.labels, "homes"]),
            short=pd.DataFrame(short, index=index, columns=self.labels),
            before=pd.DataFrame(
                {"output": self.x, "value_added": self.added, "final": self.f, "capital": self.capital},
                index=self.labels,
            ),
            damage=float(hit.sum()) + homes,
            flows=Stocks(self.days * self.z, *(np.stack(part) for part in zip(*record, strict=True)))
            if record
            else None,
        )

    def _part(self, stock: Floats, aimed: Floats) -> Floats:
        """Return the part of what each sector aims at that stocks of essential inputs allow."""
        use = self.a * aimed
        # cautious: from a share of the stock aimed at downwards; and never more than there is
        asked = np.maximum(self.reaction.caution * self.days, 1.0) * use
        part = np.divide(stock, asked, out=np.ones_like(stock), where=self._binds & (asked > 0.0))
        found: Floats = np.minimum(part.min(axis=0), 1.0)
        return found

    def _lost(self, given: npt.ArrayLike | pd.Series | pd.DataFrame | None, days: int) -> Floats:
        n = len(self.labels)
        if given is None:
            return np.zeros((days, n))
        if isinstance(given, pd.Series):
            given = given.reindex(self.labels)
        elif isinstance(given, pd.DataFrame):
            given = given.reindex(columns=self.labels)
        found = np.asarray(given, dtype=np.float64)
        if found.shape not in ((n,), (days, n)) or not ((found >= 0.0) & (found <= 1.0)).all():
            raise UsageError(f"lost: shares from 0 to 1 of {n} sectors, or {days} days x {n} sectors.")
        return np.array(np.broadcast_to(found, (days, n)))

    def _needed(self, essential: pd.DataFrame | pd.Series) -> npt.NDArray[np.bool_]:
        n = len(self.labels)
        if isinstance(essential, pd.DataFrame):
            given = essential.reindex(index=self.labels, columns=self.labels)
            values = given.to_numpy(np.float64, na_value=np.nan)
        else:
            values = essential.reindex(self.labels).to_numpy(np.float64, na_value=np.nan)[:, None]
        if not np.isin(values, (0.0, 1.0)).all():
            raise UsageError("essential is true or false for each input (and user).")
        return np.broadcast_to(values > 0.0, (n, n))

    def _vector(self, given: Any, name: str) -> Floats:
        values = given.reindex(self.labels) if isinstance(given, pd.Series) else given
        return self._checked(np.asarray(values, dtype=np.float64), name, (len(self.labels),))

    @staticmethod
    def _checked(values: Floats, name: str, shape: tuple[int, ...]) -> Floats:
        if values.shape != shape:
            raise UsageError(f"{name}: one number is wanted for each of {shape[0]} sectors.")
        if not np.isfinite(values).all() or (values < 0.0).any():
            raise DataError(f"{name}: an entry is missing, infinite or below 0.", remedy="Net inventories out before.")
        return np.array(values)


def _over(part: Floats, whole: Floats) -> Floats:
    """Return shares; 1 where nothing is asked for."""
    found: Floats = np.divide(part, whole, out=np.ones_like(part), where=whole > 0.0)
    return found
