"""`plan`: several ways to make a product, several periods, capital that must be built, stocks, imports, emissions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.decide.allocation.master import infeasible, unclosed

Floats = NDArray[np.float64]
_GAP = 1e-6
_LEFT = 1e-9
"""Share of the worth that may be given up for less activity."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan over periods, what no plan can exceed, and what scarcity is worth in each period.

    Attributes
    ----------
    objective, bound
        Worth of the final uses over all periods, discounted; and an upper bound of any plan's, by weak duality.
    final, stocks, imports
        Products x periods.
    activity, built, capacity
        Techniques x periods: how much each is used, how much capacity is built in a period for the next, and how much
        there is.
    prices
        Products x periods: worth of one more unit of the product in that period, discounted to the first.
    wages, emission_prices
        Skills x periods, emissions x periods: worth of one more hour, of one more unit of leave to emit.
    rents
        Techniques x periods: worth of one more unit of capacity in that period alone.
    residual
        Largest violation of a limit, over an amount of its product or technique that is usual in the plan.
    """

    objective: float
    bound: float
    final: pd.DataFrame
    activity: pd.DataFrame
    built: pd.DataFrame
    capacity: pd.DataFrame
    stocks: pd.DataFrame
    imports: pd.DataFrame
    prices: pd.DataFrame
    wages: pd.DataFrame
    emission_prices: pd.DataFrame
    rents: pd.DataFrame
    residual: float

    @property
    def gap(self) -> float:
        """How far the plan may be from the best, as a share of the bound."""
        return (self.bound - self.objective) / abs(self.bound) if self.bound else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return final use, stock, import and shadow price by product and period."""
        parts = {"final": self.final, "stock": self.stocks, "imported": self.imports, "shadow_price": self.prices}
        return pd.DataFrame({name: table.stack() for name, table in parts.items()})

    def summary(self) -> str:
        """Return the plan in a few lines."""
        dear = self.prices.max(axis=1).sort_values(ascending=False)
        used = int((self.activity > 1e-9 * max(float(self.activity.to_numpy().max()), 1e-300)).any(axis=1).sum())
        return (
            f"Worth {self.objective:,.2f} over {self.final.shape[1]} periods under the values given; no plan is worth "
            f"more than {self.bound:,.2f} (gap {self.gap:.1e}).\n"
            f"  {used} of {len(self.activity)} techniques are used; the dearest product is {dear.index[0]}, at most "
            f"{dear.iloc[0]:,.4f} a unit."
        )

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Kantorovich (1960), Management Science 6:366-422; Koopmans, ed. (1951), Activity Analysis of Production "
            f"and Allocation; solved with HiGHS; opsroom {__version__}."
        )


def plan(
    uses: pd.DataFrame,
    makes: pd.Series | pd.DataFrame,
    demand: Any,
    *,
    value: Any,
    capacity: Any,
    labour: pd.DataFrame | None = None,
    labour_limit: Any = None,
    emissions: pd.DataFrame | None = None,
    emission_limit: Any = None,
    building: pd.DataFrame | None = None,
    decay: Any = 0.0,
    keep_capital: float = 1.0,
    stocks: Any = None,
    storage_loss: float = 0.0,
    import_limit: Any = None,
    floor: Any = None,
    periods: int = 1,
    discount: float = 1.0,
    max_demand_ratio: float = 1.0,
    seconds: float = 600.0,
) -> PlanResult:
    """Choose techniques, building, stocks and imports over periods so that final uses are worth most.

    Answers: by which way shall it be made, what shall be built instead of used, and what is a limit worth, when?

    Parameters
    ----------
    uses
        Products x techniques: input per unit of the technique's activity.
    makes
        Product by technique, one unit a unit of activity; or products x techniques, for joint products.
    demand, value, floor
        Wanted, worth of a unit, and least final use by product, or products x periods. `value` has no default.
    capacity
        Most activity by technique in the first period.
    labour, labour_limit
        Skills x techniques: hours a unit; hours there are by skill, or skills x periods.
    emissions, emission_limit
        The same for what a technique emits.
    building, decay, keep_capital
        Products x techniques: input per unit of new capacity, which is there from the next period on; absent: nothing
        can be built. Share of capacity lost from period to period, a number or by technique. Share of the first
        capacity that must be there after the last period: without it a plan would eat its capital up.
    stocks, storage_loss
        Stocks before the first period by product (absent: nothing can be stored), and the share lost in storage.
    import_limit
        Most imports by product, or products x periods; absent: none.
    periods, discount
        Number of periods, and what a period's worth counts against that of the one before.
    max_demand_ratio
        Most of each final use over what is wanted.
    seconds
        Time allowed.

    Raises
    ------
    UsageError
        Labels, shapes or signs that do not fit.
    FitError
        Limits and floors that cannot be met together, or no optimum in the time allowed.

    Notes
    -----
    Written down whole and solved by HiGHS: for some thousand products and techniques, not for a million; one technique
    and one period at any size are `allocate`. The bound is worked out again from the prices. The assumption that fails
    most often: that coefficients, demand and values of later periods are known.

    References
    ----------
    Koopmans, T. C., ed. (1951), Activity Analysis of Production and Allocation, Wiley; Kantorovich (1960), Management
    Science 6, 366-422.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.decide.allocation import plan
    >>> ways = ["old mill", "new mill"]
    >>> uses = pd.DataFrame([[0.0, 0.0], [0.5, 0.2]], index=["flour", "power"], columns=ways)
    >>> found = plan(
    ...     uses.assign(station=[0.0, 0.0]), pd.Series(["flour", "flour", "power"], index=[*ways, "station"]),
    ...     pd.Series({"flour": 100.0, "power": 0.0}), value=1.0, capacity=pd.Series([100.0, 40.0, 30.0],
    ...     index=[*ways, "station"]))
    >>> found.activity[0].round(6).to_dict()
    {'old mill': 44.0, 'new mill': 40.0, 'station': 30.0}
    """
    ways, products = uses.columns, uses.index
    if uses.index.has_duplicates or ways.has_duplicates or periods < 1 or not 0.0 < discount <= 1.0:
        raise UsageError(
            "labels are not unique, or periods or discount make no sense.",
            remedy="Name each product and technique once; periods is 1 or more, discount above 0 up to 1.",
        )
    use = _matrix(uses, products, ways, "uses")
    make = _made(makes, products, ways)
    wanted = _spread(demand, products, periods, "demand")
    least = np.zeros((len(products), periods)) if floor is None else _spread(floor, products, periods, "floor")
    most = max_demand_ratio * wanted
    if (least > most * (1.0 + 1e-12)).any():
        raise UsageError("a floor is above what may be used at most.", remedy="Lower the floor, or raise the demand.")
    worth = _spread(value, products, periods, "value") * discount ** np.arange(periods)
    start = _spread(capacity, ways, 1, "capacity")[:, 0]
    wear = _spread(decay, ways, 1, "decay")[:, 0]
    if (wear > 1.0).any() or not 0.0 <= storage_loss <= 1.0:
        raise UsageError("decay and storage_loss are shares from 0 to 1.")
    build = np.zeros(use.shape) if building is None else _matrix(building, products, ways, "building")
    before = np.zeros(len(products)) if stocks is None else _spread(stocks, products, 1, "stocks")[:, 0]
    bought = np.zeros((len(products), periods))
    if import_limit is not None:
        bought = _spread(import_limit, products, periods, "import_limit", limits=True)
    limited = [
        (table, limit, name)
        for table, limit, name in ((labour, labour_limit, "labour"), (emissions, emission_limit, "emissions"))
        if table is not None
    ]
    of_products, of_ways = _units(use + build, make, np.maximum(most.max(axis=1), before), start)
    programme = _Programme(_Sizes(of_products, of_ways, periods))
    programme.cost("final", worth)
    programme.bounds("final", np.minimum(least, most), most)
    programme.bounds("imported", np.zeros_like(bought), bought)
    programme.bounds("stock", np.zeros_like(bought), np.full_like(bought, np.inf if stocks is not None else 0.0))
    programme.bounds("activity", np.zeros((len(ways), periods)), np.full((len(ways), periods), np.inf))
    able = np.full((len(ways), periods), np.inf if building is not None else 0.0)
    able[:, -1] = np.inf if building is not None and keep_capital > 0.0 else 0.0
    programme.bounds("built", np.zeros_like(able), able)
    programme.bounds("able", np.zeros((len(ways), periods)), np.full((len(ways), periods), np.inf))
    eye_p, eye_w = sparse.eye_array(len(products)), sparse.eye_array(len(ways))
    for t in range(periods):
        # what is used is at most what is made, imported, and left from before
        parts = {
            ("final", t): eye_p, ("activity", t): sparse.csr_array(use - make), ("built", t): sparse.csr_array(build),
            ("imported", t): -eye_p, ("stock", t): eye_p,
        }  # fmt: skip
        if t:
            parts["stock", t - 1] = -(1.0 - storage_loss) * eye_p
        there = (1.0 - storage_loss) * before if t == 0 else np.zeros(len(products))
        programme.rows(("product", t), parts, there, of_products)
        programme.rows(("able", t), {("activity", t): eye_w, ("able", t): -eye_w}, np.zeros(len(ways)), of_ways)
        if t == 0:
            programme.rows(("grows", t), {("able", t): eye_w}, start, of_ways)
        else:
            left = -sparse.diags_array(1.0 - wear)
            parts = {("able", t): eye_w, ("able", t - 1): left, ("built", t - 1): -eye_w}
            programme.rows(("grows", t), parts, np.zeros(len(ways)), of_ways)
        for table, limit, name in limited:
            per = _matrix(table, table.index, ways, name)
            there = _spread(limit, table.index, periods, f"{name} limit")[:, t]
            programme.rows((name, t), {("activity", t): sparse.csr_array(per)}, there, per @ of_ways)
    # what is there after the last period
    keeps = {("able", periods - 1): -sparse.diags_array(1.0 - wear), ("built", periods - 1): -eye_w}
    target = keep_capital if building is not None else 0.0
    programme.rows(("kept", 0), keeps, -np.minimum(target, 1.0) * start, of_ways)
    found = programme.solve(seconds)

    def by(kind: str, rows: pd.Index) -> pd.DataFrame:
        return pd.DataFrame(found.values(kind), index=rows, columns=range(periods))

    def priced(kind: str, rows: pd.Index) -> pd.DataFrame:
        return pd.DataFrame(np.column_stack([found.price(kind, t) for t in range(periods)]), rows, range(periods))

    skills = labour.index if labour is not None else pd.Index([])
    gases = emissions.index if emissions is not None else pd.Index([])
    empty = pd.DataFrame(index=pd.Index([]), columns=range(periods), dtype=float)
    return PlanResult(
        objective=found.objective, bound=found.bound, final=by("final", products), activity=by("activity", ways),
        built=by("built", ways), capacity=by("able", ways), stocks=by("stock", products),
        imports=by("imported", products), prices=priced("product", products),
        wages=priced("labour", skills) if labour is not None else empty,
        emission_prices=priced("emissions", gases) if emissions is not None else empty,
        rents=priced("able", ways), residual=found.residual,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The unknowns of each kind in a period, and in which unit each is counted."""

    products: Floats
    ways: Floats
    periods: int

    @property
    def kinds(self) -> Mapping[str, Floats]:
        """By kind, an amount of each unknown that is neither large nor small."""
        p, w = self.products, self.ways
        return {"final": p, "activity": w, "built": w, "able": w, "stock": p, "imported": p}


def _units(takes: Floats, make: Floats, wanted: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return amounts of each product and of each technique that are neither large nor small.

    They follow the unit in which a product is counted, so that the solver sees the same programme whether it is
    counted in grams or in tons.
    """
    products = np.maximum(wanted, make @ start)
    made = np.divide(products[:, None], make, out=np.zeros_like(make), where=make > 0.0).max(axis=0, initial=0.0)
    ways = np.where(start > 0.0, start, np.where(made > 0.0, made, 1.0))
    through = (np.maximum(takes, make) * ways).max(axis=1, initial=0.0)
    products = np.where(products > 0.0, products, np.where(through > 0.0, through, 1.0))
    return products, ways


class _Programme:
    """Maximise a worth over blocks of unknowns by kind and period, with rows of the form ``row @ z <= limit``."""

    def __init__(self, size: _Sizes) -> None:
        self._at: dict[tuple[str, int], int] = {}
        place = 0
        units = []
        for kind, unit in size.kinds.items():
            for t in range(size.periods):
                self._at[kind, t] = place
                place += len(unit)
                units.append(unit)
        self._units = np.concatenate(units)
        self._size, self._n = size, place
        self._cost = np.zeros(place)
        self._low, self._high = np.zeros(place), np.full(place, np.inf)
        self._rows: list[sparse.csr_array] = []
        self._limits: list[Floats] = []
        self._per: list[Floats] = []
        self._named: dict[tuple[str, int], slice] = {}

    def _where(self, kind: str, t: int) -> slice:
        at = self._at[kind, t]
        return slice(at, at + len(self._size.kinds[kind]))

    def cost(self, kind: str, worth: Floats) -> None:
        for t in range(self._size.periods):
            self._cost[self._where(kind, t)] = worth[:, t]

    def bounds(self, kind: str, low: Floats, high: Floats) -> None:
        for t in range(self._size.periods):
            self._low[self._where(kind, t)], self._high[self._where(kind, t)] = low[:, t], high[:, t]

    def rows(self, name: tuple[str, int], parts: Mapping[tuple[str, int], Any], limit: Floats, unit: Floats) -> None:
        """Add rows, counted in a unit of their own each."""
        blocks = []
        for (kind, t), block in parts.items():
            found = sparse.coo_array(block)
            blocks.append((found.row, found.col + self._at[kind, t], found.data))
        row, column, data = (np.concatenate(part) for part in zip(*blocks, strict=True))
        first = sum(len(one) for one in self._limits)
        self._named[name] = slice(first, first + len(limit))
        self._rows.append(sparse.csr_array(sparse.coo_array((data, (row, column)), shape=(len(limit), self._n))))
        self._limits.append(np.asarray(limit, dtype=np.float64))
        self._per.append(np.where(unit > 0.0, unit, 1.0))

    def solve(self, seconds: float) -> _Solved:
        """Return the best plan, and among plans of that worth one of least activity: nothing is made to be thrown away.

        Raises
        ------
        FitError
            There is none, or none was found in time.
        """
        # amounts of any size are one to the solver, product by product
        per, unit = np.concatenate(self._per), self._units
        matrix = sparse.csr_array(sparse.diags_array(1.0 / per) @ sparse.vstack(self._rows) @ sparse.diags_array(unit))
        limit = np.concatenate(self._limits) / per
        most = float(np.abs(self._cost * unit).max(initial=0.0)) or 1.0
        cost = self._cost * unit / most
        bounds = np.column_stack([self._low, self._high]) / unit[:, None]
        found = _highs(-cost, matrix, limit, bounds, seconds)
        prices = np.maximum(-found.ineqlin.marginals, 0.0)
        bound = _bound(cost, matrix, limit, bounds, prices, found.x)
        kept = float(cost @ found.x)
        effort = np.zeros(self._n)
        for (kind, t), _ in self._at.items():
            effort[self._where(kind, t)] = float(kind in ("activity", "built"))
        rows, limits = (
            sparse.csr_array(sparse.vstack([matrix, -sparse.csr_array(cost[None, :])])),
            np.append(limit, -kept + _LEFT * kept),
        )
        found = _highs(effort, rows, limits, bounds, seconds)
        z = np.clip(found.x, bounds[:, 0], bounds[:, 1])
        residual = float(np.maximum(matrix @ z - limit, 0.0).max(initial=0.0))
        solved = _Solved(self, z * unit, prices * most / per, float(cost @ z) * most, bound * most, residual)
        if solved.bound - solved.objective > _GAP * max(abs(solved.bound), most * 1e-9):
            raise unclosed((solved.bound - solved.objective) / max(abs(solved.bound), 1e-300))
        return solved


def _bound(
    cost: Floats, matrix: sparse.csr_array, limit: Floats, bounds: Floats, prices: Floats, found: Floats
) -> float:
    """Return the worth that no plan can exceed, by weak duality from prices of 0 or more.

    What has no upper bound of its own is bounded by what it could be at most in a plan: ten times the largest amount
    found. Rounding leaves it a surplus of a billionth of the prices, no more.
    """
    surplus = cost - matrix.T @ prices
    low, high = bounds.T
    far = 10.0 * max(float(np.abs(found).max(initial=0.0)), 1.0)
    slack = 1e-9 * float(np.abs(prices).max(initial=0.0) + np.abs(cost).max(initial=0.0))
    surplus = np.where(np.isinf(high) & (surplus <= slack), np.minimum(surplus, 0.0), surplus)
    high = np.where(np.isfinite(high), high, far)
    return float(prices @ limit + np.where(surplus > 0, surplus * high, surplus * low).sum())


def _highs(cost: Floats, rows: sparse.csr_array, limit: Floats, bounds: Floats, seconds: float) -> Any:
    from scipy.optimize import linprog

    options = {"time_limit": seconds, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
    found: Any = linprog(  # type: ignore[call-overload]  # scipy's types know no sparse rows
        cost, A_ub=rows, b_ub=limit, bounds=bounds, method="highs", options=options
    )
    if found.status == 2:
        raise infeasible()
    if found.status != 0:
        raise FitError(
            "no optimum was found in the time allowed.", remedy="Allow more seconds, or plan fewer periods.",
            code="OPS-M181",
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class _Solved:
    programme: _Programme
    z: Floats
    prices: Floats
    objective: float
    bound: float
    residual: float

    def values(self, kind: str) -> Floats:
        p = self.programme
        return np.column_stack([self.z[p._where(kind, t)] for t in range(p._size.periods)])

    def price(self, name: str, t: int) -> Floats:
        found: Floats = self.prices[self.programme._named[name, t]]
        return found


def _matrix(table: pd.DataFrame, rows: pd.Index, columns: pd.Index, name: str) -> Floats:
    found = table.reindex(index=rows, columns=columns)
    values = found.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(values).all() or (values < 0.0).any():
        raise UsageError(
            f"{name} is no table of amounts of 0 or more for every product (or row) and technique.",
            remedy="Give rows and columns by name, each once.",
        )
    return values


def _made(makes: pd.Series | pd.DataFrame, products: pd.Index, ways: pd.Index) -> Floats:
    if isinstance(makes, pd.DataFrame):
        return _matrix(makes, products, ways, "makes")
    at = products.get_indexer(pd.Index(makes.reindex(ways)))
    if (at < 0).any():
        raise UsageError("a technique makes no product of the table.", remedy="Name a product for every technique.")
    made = np.zeros((len(products), len(ways)))
    made[at, np.arange(len(ways))] = 1.0
    return made


def _spread(given: Any, labels: pd.Index, periods: int, name: str, *, limits: bool = False) -> Floats:
    """Return labels x periods of what is given as a number, by label, or by label and period."""
    if given is None:
        raise UsageError(f"{name} is missing.", remedy=f"Give {name}.")
    if isinstance(given, pd.Series | pd.DataFrame):
        given = given.reindex(labels)
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0 or values.shape == (len(labels),):
        values = np.broadcast_to(values[:, None] if values.ndim else values, (len(labels), periods))
    wrong = np.isnan(values) | (values < 0.0) | (np.isinf(values) & (not limits))
    if values.shape != (len(labels), periods) or wrong.any():
        raise UsageError(
            f"{name} is no number of 0 or more for each of {len(labels)} names (and {periods} periods).",
            remedy="Give a number, a series by name, or names x periods.",
        )
    return np.array(values)
