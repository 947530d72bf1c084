"""Credit against output in many areas, each quarter by what was known when it became known; credit's own part alone.

The Basel gap needs ten years before it says anything, and areas rarely have them. What a short history allows is the
change of the ratio over two years (Reigl and Uusküla 2021); here only what credit has brought about of it counts, so
that a region whose output collapses is no credit boom. It is given in per cent of the ratio two years before: regional
output is often known as an index alone, and then no level of the ratio means anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.warn.as_known import rounds
from opsroom.warn.credit_gap.split import Floats, ratio_steps
from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA, one_sided_trend

COLUMNS = ("area", "period", "known_at", "change", "by_credit", "by_output", "gap")


@dataclass(frozen=True, slots=True)
class CreditRounds:
    """How credit has grown away from output, quarter by quarter, by data of the day.

    Attributes
    ----------
    frame
        One row an area and round: ``area``, ``period``, ``known_at``; ``change``: of the ratio over `over` quarters,
        per cent of the ratio then; ``by_credit`` and ``by_output`` add up to it; ``gap``: distance from the one-sided
        trend, per cent of the trend, NaN in the first `BURN_IN` quarters.
    latest
        Ratios as last known, 100 on average in an area's first four quarters: one column an area, one row a quarter.
    over
        Quarters.
    """

    frame: pd.DataFrame
    latest: pd.DataFrame
    over: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row an area and round."""
        return self.frame

    def summary(self) -> str:
        """Return the areas in which credit has pushed the ratio furthest, by the last round."""
        if self.frame.empty:
            return f"No round yet: {self.over + 4} quarters of history are needed."
        last = self.frame["period"].max()
        now = self.frame[self.frame["period"] == last].sort_values("by_credit", ascending=False, kind="stable")
        told = [
            f"{r.area} {r.by_credit:+.1f} % by credit, {r.by_output:+.1f} % by output" for r in now.head(3).itertuples()
        ]
        return f"{last}, ratio of credit to output over {self.over} quarters: {'; '.join(told)}."

    def cite(self) -> str:
        """Return method and version."""
        return (
            "Change of the credit ratio after Reigl and Uusküla (2021), Journal of Financial Economic Policy 13(2), "
            f"divided between credit and output by Shapley values; each quarter by the data of its day; "
            f"opsroom {__version__}."
        )


def watch_credit(
    credit: pd.DataFrame, output: pd.DataFrame, *, over: int = 8, sum_over: int = 4, lamb: float = LAMBDA
) -> CreditRounds:
    """Measure how credit grows away from output, each quarter when it became known.

    Answers: where has credit pushed its ratio to output up, and is it credit or a falling output?

    Parameters
    ----------
    credit, output
        Long tables of vintages: ``area``, ``period`` (quarter), ``known_at``, ``value``; credit a stock, output of the
        quarter, in money or as an index.
    over
        Quarters over which the change is taken.
    sum_over
        Quarters of output that make the denominator.
    lamb
        Of the trend.

    Returns
    -------
    CreditRounds

    Raises
    ------
    UsageError
        A column is missing, or a number of quarters is not positive.

    Notes
    -----
    With r = credit / output, and c, y the running sums of Shapley values of `split.ratio_steps`:
    ``by_credit`` = 100 (c(t) - c(t-n)) / r(t-n), ``by_output`` likewise. Credit that grows as output usually does has
    no part. What fails most often: a lasting slowdown of output counts as credit's push until half of the history is
    slow, since the usual growth is a median.
    """
    if over < 1 or sum_over < 1:
        raise UsageError("quarters are counted from 1.", remedy="Use over=8, sum_over=4.")
    known = rounds([credit, output], freq="Q")
    rows: list[tuple[object, ...]] = []
    for one in known.rounds:
        stock, flow = (np.ascontiguousarray(table) for table in one.tables)
        found = _measured(stock.tobytes(), flow.tobytes(), stock.shape[1], over, sum_over, float(lamb))
        rows += [(known.areas[k], one.period, one.known_at, *rest) for k, *rest in found]
    latest = np.array([_ratio(c, y, sum_over) for c, y in zip(*known.latest, strict=True)])
    latest = 100.0 * latest / np.array([_first_year(r) for r in latest])[:, None]
    return CreditRounds(
        frame=pd.DataFrame(rows, columns=list(COLUMNS)),
        latest=pd.DataFrame(latest.T, index=known.periods, columns=list(known.areas)),
        over=over,
    )


@lru_cache(maxsize=512)
def _measured(
    stock: bytes, flow: bytes, width: int, over: int, sum_over: int, lamb: float
) -> tuple[tuple[int, float, float, float, float], ...]:
    """Return place, change, by credit, by output and gap of each area of a round. Its data never change: kept."""
    out = []
    pairs = (np.frombuffer(table).reshape(-1, width) for table in (stock, flow))
    for k, (c, y) in enumerate(zip(*pairs, strict=True)):
        total = _summed(y, sum_over)
        ratio = 100.0 * c / total
        if width <= over or not np.isfinite(ratio[-1] / ratio[-1 - over]):
            continue
        parts = ratio_steps(c, total)
        moved = 100.0 * (parts[:, -1] - parts[:, -1 - over]) / ratio[-1 - over]
        trend = one_sided_trend(ratio, lamb=lamb) if np.isfinite(ratio).sum() > BURN_IN else None
        gap = float("nan") if trend is None else 100.0 * (ratio[-1] / float(np.asarray(trend)[-1]) - 1.0)
        out.append((k, float(moved.sum()), float(moved[0]), float(moved[1]), gap))
    return tuple(out)


def _summed(y: Floats, sum_over: int) -> Floats:
    out = np.full(len(y), np.nan)
    if len(y) >= sum_over:
        out[sum_over - 1 :] = np.convolve(y, np.ones(sum_over), mode="valid")
    return np.where(out > 0.0, out, np.nan)


def _ratio(c: Floats, y: Floats, sum_over: int) -> Floats:
    return np.asarray(c / _summed(y, sum_over))


def _first_year(ratio: Floats) -> float:
    known = ratio[np.isfinite(ratio)]
    return float(known[:4].mean()) if len(known) else float("nan")
