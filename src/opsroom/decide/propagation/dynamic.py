"""`DynamicInputOutput`: a shock through an economy's sectors day by day, with stocks, labour and households' memory."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError, UsageError
from opsroom.decide.propagation.path import BINDING, DynamicPath, Stocks

Floats = npt.NDArray[np.float64]
Production = Literal["leontief", "strongly_critical", "half_critical", "weakly_critical", "linear"]
Shock = npt.ArrayLike | pd.Series | pd.DataFrame | None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How companies and households react. The defaults are those of Pichler et al. for the United Kingdom.

    Attributes
    ----------
    restock_days
        In how many days a gap in stocks is to be closed.
    hire, fire
        Share of a gap in labour closed in a day.
    memory
        Persistence of consumption from day to day.
    benefits
        Share of lost labour income that is made good.
    pessimism
        Share of today's fall of income that households expect to last.
    saving
        Share of what is not spent for the demand shock that is saved; the rest is spent on other things.
    """

    restock_days: float = 10.0
    hire: float = 1 / 30
    fire: float = 2 / 30
    memory: float = 1 - (1 - 0.6) / 90
    benefits: float = 0.8
    pessimism: float = 0.5
    saving: float = 1.0

    def __post_init__(self) -> None:
        shares = (self.hire, self.fire, self.memory, self.benefits, self.pessimism, self.saving)
        if self.restock_days < 1.0 or not all(0.0 <= s <= 1.0 for s in shares):
            raise UsageError(
                "restock_days is at least 1; hire, fire, memory, benefits, pessimism, saving are within 0 and 1."
            )


class DynamicInputOutput:
    """An economy of sectors that hold stocks, order, hire, fire, and ration their customers.

    It answers: how far does output fall, where and when, if some may not work and others are not wanted, and what
    stops whom: labour, inputs, or demand?

    Parameters
    ----------
    Z
        Sectors x sectors: what the column bought of the row, in a period of `table_days`. A frame.
    household, other
        Households' consumption and other final use of each sector's output, in the same period.
    labour
        Labour income by sector in the same period.
    stock_days
        For how many days a sector's stocks of inputs last, 1 or more.
    criticality
        Sectors x sectors: 1 critical, 0.5 important, 0 neither, of the row for the column. Not needed by the
        production functions ``leontief`` and ``linear``.
    production
        ``half_critical``: critical inputs bind, important ones half (the paper's IHS1); ``strongly_critical``:
        critical and important bind; ``weakly_critical``: critical only; ``leontief``: all; ``linear``: any input
        stands in for any other.
    behaviour
        See `Behaviour`.
    table_days
        Days that the table is of.

    Raises
    ------
    UsageError, DataError
        Sectors that do not match, missing or negative entries, a sector without output, unknown criticality.

    Notes
    -----
    The assumption that fails most often: that nobody changes supplier, price or recipe within the horizon.

    References
    ----------
    Pichler, A., Pangallo, M., del Rio-Chanona, R. M., Lafond, F. and Farmer, J. D. (2022), Forecasting the propagation
    of pandemic shocks with a dynamic input-output model, Journal of Economic Dynamics and Control 144, 104527.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.decide.propagation import DynamicInputOutput
    >>> names = ["farms", "mills"]
    >>> model = DynamicInputOutput(
    ...     pd.DataFrame([[0.0, 365.0], [0.0, 0.0]], index=names, columns=names),
    ...     household=[0.0, 730.0], other=[365.0, 0.0], labour=[300.0, 200.0], stock_days=[10, 10],
    ...     production="leontief",
    ... )
    >>> calm = model.run(60)
    >>> float(round(calm.output.loc[59, "mills"], 6))
    2.0
    """

    def __init__(
        self,
        Z: pd.DataFrame,
        household: npt.ArrayLike | pd.Series,
        other: npt.ArrayLike | pd.Series,
        *,
        labour: npt.ArrayLike | pd.Series,
        stock_days: npt.ArrayLike | pd.Series,
        criticality: pd.DataFrame | None = None,
        production: Production = "half_critical",
        behaviour: Behaviour | None = None,
        table_days: float = 365.0,
    ) -> None:
        if list(Z.index) != list(Z.columns) or Z.index.has_duplicates:
            raise UsageError("rows and columns of Z are not the same sectors, each once.")
        if production not in get_args(Production):
            raise UsageError(f"production is one of {', '.join(get_args(Production))}.")
        self.labels = Z.index
        self.production = production
        self.behaviour = behaviour or Behaviour()
        self.z: Floats = _checked(Z.to_numpy(np.float64), "Z") / table_days
        self.c: Floats = self._vector(household, "household") / table_days
        self.f: Floats = self._vector(other, "other") / table_days
        self.labour: Floats = self._vector(labour, "labour") / table_days
        self.days: Floats = self._vector(stock_days, "stock_days")
        if (self.days < 1.0).any():
            raise DataError(
                "stocks last less than a day, with which no sector could run.", remedy="Give a day or more."
            )
        self.x: Floats = self.z.sum(axis=1) + self.c + self.f
        if (self.x <= 0.0).any():
            raise DataError("a sector has no output.", remedy="Leave it out of the table.")
        if self.c.sum() <= 0.0 or (self.labour <= 0.0).any():
            raise DataError("households consume nothing, or a sector pays no labour income.")
        self.a: Floats = self.z / self.x
        if (self.a.sum(axis=0) >= 1.0).any():
            raise DataError("a sector buys more from the others than it makes.")
        self._half, self._full = self._binding(criticality)

    def run(
        self,
        days: int,
        *,
        supply_shock: Shock = None,
        demand_shock: Shock = None,
        other_shock: Shock = None,
        start: dt.date | None = None,
        keep_stocks: bool = False,
    ) -> DynamicPath:
        """Return the economy's path under shocks.

        Parameters
        ----------
        days
            Number of days.
        supply_shock
            Share of labour that may not work: by sector, or days x sectors (see `spell`).
        demand_shock, other_shock
            Share by which households' and other final demand falls (below 0: rises); as above.
        start
            Date of the first day; without it there are no quarters.
        keep_stocks
            Keep stocks, deliveries and use by pair of sectors and day.

        Returns
        -------
        DynamicPath
        """
        if days < 1:
            raise UsageError("days is at least 1.")
        n, b = len(self.labels), self.behaviour
        supply, wish, outside = (
            self._shock(given, days, name, least)
            for given, name, least in (
                (supply_shock, "supply_shock", 0.0),
                (demand_shock, "demand_shock", -np.inf),
                (other_shock, "other_shock", -np.inf),
            )
        )
        target = self.z * self.days
        stock, labour, demand = target.copy(), self.labour.copy(), self.x.copy()
        capacity, limit = self.x.copy(), self._input_limit(stock)[0]
        income, before = self.labour.sum(), self.c.sum()
        taste, mood = self.c / before, 0.0
        kept = {name: np.empty((days, n)) for name in ("output", "demand", "capacity", "inputs", "labour")}
        kept |= {name: np.empty((days, n)) for name in ("intermediate", "consumption", "other")}
        binding, scarce = np.empty((days, n), np.int8), np.full((days, n), -1)
        record: list[tuple[Floats, Floats, Floats]] = []
        for t in range(days):
            gap = self.labour / self.x * (np.minimum(limit, demand) - capacity)
            labour = labour + np.where(gap > 0.0, b.hire, b.fire) * gap
            allowed = (1.0 - supply[t]) * self.labour
            labour = np.clip(labour, 0.0, allowed)
            # households: logarithms of spending over what it was
            earned = (labour.sum() + b.benefits * (income - labour.sum())) / income
            expected = 1.0 - b.pessimism * (1.0 - earned)
            pull = 0.5 * (np.log(max(earned, 1e-12)) + np.log(max(expected, 1e-12)))
            mood = b.memory * mood + (1.0 - b.memory) * pull
            wished = taste * (1.0 - wish[t])
            total = wished.sum()
            spent = before * np.exp(mood) * (1.0 - b.saving * (1.0 - total))
            consumption = spent * wished / total if total > 0.0 else np.zeros(n)
            other = self.f * (1.0 - outside[t])
            orders = np.maximum(self.a * demand + (target - stock) / b.restock_days, 0.0)
            demand = orders.sum(axis=1) + consumption + other
            capacity = self.x * labour / self.labour
            limit, bottleneck = self._input_limit(stock)
            made = np.minimum(np.minimum(capacity, limit), demand)
            served = np.divide(made, demand, out=np.ones(n), where=demand > 0.0)
            delivered = orders * served[:, None]
            after = np.maximum(stock + delivered - self.a * made, 0.0)
            if keep_stocks:
                record.append((after, delivered, stock + delivered - after))
            stock = after
            sold = (delivered.sum(axis=1), consumption * served, other * served)
            row = (made, demand, capacity, limit, labour, *sold)
            for name, values in zip(kept, row, strict=True):
                kept[name][t] = values
            short = np.minimum(capacity, limit) < demand * (1.0 - 1e-9)
            binding[t] = np.where(~short, 0, np.where(capacity <= limit, 1, 2))
            scarce[t] = np.where(binding[t] == BINDING.index("inputs"), bottleneck, -1)
        index = pd.RangeIndex(days) if start is None else pd.date_range(start, periods=days, freq="D")
        frames = {name: pd.DataFrame(values, index=index, columns=self.labels) for name, values in kept.items()}
        return DynamicPath(
            **frames,
            binding=pd.DataFrame(binding, index=index, columns=self.labels),
            scarce=pd.DataFrame(scarce, index=index, columns=self.labels),
            before=pd.DataFrame(
                {"output": self.x, "value_added": self.x * (1.0 - self.a.sum(axis=0)), "labour": self.labour},
                index=self.labels,
            ),
            production=self.production,
            stocks=Stocks(target, *(np.stack(part) for part in zip(*record, strict=True))) if record else None,
        )

    def _input_limit(self, stock: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return what each sector can make of its stocks, and its scarcest binding input (-1: none)."""
        n = len(self.labels)
        if self.production == "linear":
            needed = self.a.sum(axis=0)
            some = needed > 0.0
            return np.divide(stock.sum(axis=0), needed, out=np.full(n, np.inf), where=some), np.full(n, -1)
        lasts = np.divide(stock, self.a, out=np.full((n, n), np.inf), where=self._full | self._half)
        # an important input that is gone halves output, it does not stop it
        bound = np.where(self._half, 0.5 * (lasts + self.x), lasts)
        worst = bound.argmin(axis=0)
        limit = bound[worst, np.arange(n)]
        return limit, np.where(np.isfinite(limit), worst, -1)

    def _binding(self, criticality: pd.DataFrame | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which inputs bind half and which wholly."""
        used = self.a > 0.0
        none = np.zeros_like(used)
        if self.production in ("leontief", "linear"):
            return none, used
        if criticality is None:
            raise UsageError(f"production {self.production!r} needs to know which inputs are critical.")
        if criticality.index.has_duplicates or criticality.columns.has_duplicates:
            raise UsageError("criticality names a sector twice.")
        if not set(self.labels) <= set(criticality.index) & set(criticality.columns):
            raise UsageError("criticality lacks a sector of the table.", remedy="Give a row and a column for each.")
        rating = criticality.loc[self.labels, self.labels].to_numpy(np.float64)
        if not np.isin(rating, (0.0, 0.5, 1.0)).all():
            raise UsageError("criticality is 1 (critical), 0.5 (important) or 0 (neither).")
        critical, important = used & (rating == 1.0), used & (rating == 0.5)
        if self.production == "half_critical":
            return important, critical
        return none, critical | important if self.production == "strongly_critical" else critical

    def _vector(self, given: npt.ArrayLike | pd.Series, name: str) -> Floats:
        values = given.reindex(self.labels) if isinstance(given, pd.Series) else given
        found = np.asarray(values, dtype=np.float64)
        if found.shape != (len(self.labels),):
            raise UsageError(f"{name}: one number is wanted for each of {len(self.labels)} sectors.")
        return _checked(found, name)

    def _shock(self, given: Shock, days: int, name: str, least: float) -> Floats:
        n = len(self.labels)
        if given is None:
            return np.zeros((days, n))
        if isinstance(given, pd.Series):
            given = given.reindex(self.labels)
        elif isinstance(given, pd.DataFrame):
            given = given.reindex(columns=self.labels)
        found = np.asarray(given, dtype=np.float64)
        if found.shape not in ((n,), (days, n)):
            raise UsageError(f"{name}: wanted are {n} sectors, or {days} days x {n} sectors.")
        if not ((found >= least) & (found <= 1.0)).all():
            raise UsageError(f"{name}: shares of at most 1{', not below 0' if least == 0.0 else ''}, none missing.")
        return np.broadcast_to(found, (days, n))


def spell(days: int, shock: npt.ArrayLike, first: int, last: int, *, ramp_in: int = 0, ramp_out: int = 0) -> Floats:
    """Return a shock over time: from day `first` to day `last`, with ramps before and after.

    Parameters
    ----------
    days
        Number of days.
    shock
        By sector, at its full size.
    first, last
        First and last day of the full size, counted from 0.
    ramp_in, ramp_out
        Days over which it builds up before, and is lifted after.

    Returns
    -------
    numpy.ndarray
        Days x sectors. Several spells: the larger of them (`numpy.maximum`).
    """
    if last < first or ramp_in < 0 or ramp_out < 0:
        raise UsageError("a spell ends on or after its first day, with ramps of 0 days or more.")
    day = np.arange(days)
    level = np.minimum(1.0 - (first - day) / (ramp_in + 1.0), 1.0 - (day - last) / (ramp_out + 1.0)).clip(0.0, 1.0)
    return np.asarray(level[:, None] * np.asarray(shock, dtype=np.float64))


def _checked(values: Floats, name: str) -> Floats:
    if not np.isfinite(values).all() or (values < 0.0).any():
        raise DataError(f"{name}: an entry is missing, infinite or below 0.", remedy="Net inventories out before.")
    return values
