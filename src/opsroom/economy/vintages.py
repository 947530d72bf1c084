"""How official figures become known: late, first from part of the answers, then revised, most at turns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from opsroom.economy.horizon import Floats
from opsroom.economy.randomness import stream


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a series is released and how it is revised.

    Attributes
    ----------
    lag
        Days from the end of the period to the first release.
    rounds
        Further days after the first release at which the figure is revised; the last round is final.
    bias
        Share of the surprise in growth that the first release misses. Answers that come in first are from
        those whom the change has not reached: first figures are too smooth, and err on one side where the
        path turns.
    noise
        Standard deviation of the first release's error, log points.
    decimals
        Of the published figure.
    """

    lag: int
    rounds: tuple[int, ...] = ()
    bias: float = 0.0
    noise: float = 0.0
    decimals: int = 2


MONTHLY: Final = {
    "pmi": Calendar(lag=1, decimals=1),
    "electricity_total": Calendar(lag=6, rounds=(28,), bias=0.02, noise=0.002, decimals=0),
    "card_payments": Calendar(lag=9, rounds=(28,), bias=0.03, noise=0.003),
    "cpi": Calendar(lag=13),
    "unemployment": Calendar(lag=18, rounds=(28, 364), bias=0.10, noise=0.006),
    "retail_sales": Calendar(lag=25, rounds=(28, 56, 364), bias=0.16, noise=0.006),
    "industrial_production": Calendar(lag=33, rounds=(28, 56, 364), bias=0.18, noise=0.005),
    "exports": Calendar(lag=36, rounds=(28, 56, 364), bias=0.10, noise=0.009, decimals=0),
    "imports": Calendar(lag=36, rounds=(28, 56, 364), bias=0.10, noise=0.009, decimals=0),
    "house_price_m": Calendar(lag=40, rounds=(28, 84), bias=0.10, noise=0.003),
}
_REGIONAL: Final = {
    "credit": Calendar(lag=75, rounds=(91,), bias=0.05, noise=0.002, decimals=1),
    "house_price": Calendar(lag=60, rounds=(91,), bias=0.08, noise=0.003),
    "rent": Calendar(lag=60, rounds=(91,), noise=0.001),
    "income": Calendar(lag=90, rounds=(91, 364), bias=0.10, noise=0.003),
}
QUARTERLY: Final = {
    "gdp": Calendar(lag=44, rounds=(28, 63, 364), bias=0.17, noise=0.0012, decimals=3),
    "gdp_nominal": Calendar(lag=44, rounds=(28, 63, 364), bias=0.17, noise=0.0015, decimals=1),
    **_REGIONAL,
}
WEEKLY: Final = Calendar(lag=1, rounds=(7,), bias=0.06, noise=0.006, decimals=1)


def release_day(end: dt.date, days: int) -> dt.date:
    """Return the Tuesday on or after so many days past the end of a period: Meridia publishes on Tuesdays."""
    day = end + dt.timedelta(days=days)
    return day + dt.timedelta(days=(1 - day.weekday()) % 7)


def history(
    seed: int,
    series: str,
    starts: Sequence[dt.date],
    ends: Sequence[dt.date],
    truth: Floats,
    calendar: Calendar,
) -> Iterator[tuple[dt.date, dt.date, float]]:
    """Yield all published figures of a series as (vintage, period, value).

    Parameters
    ----------
    seed, series
        Name the draws of measurement errors.
    starts, ends
        First and last day of each period.
    truth
        True values; what is published in the end.
    calendar
        Lags and revisions.

    Notes
    -----
    In logs, release k of period t is truth - bias * w(k) * (growth(t) - usual growth(t)) + noise * w(k) *
    z(t), with weights w falling from 1 at the first release to 0 at the last round. Usual growth is a slow
    average of past growth, so the error leans against the turn. Rounds that change nothing at the published
    precision are not published.
    """
    z = stream(seed, f"vintages.{series}").standard_normal(len(truth))
    growth = np.diff(np.log(truth), prepend=np.log(truth[0]))
    usual = pd.Series(growth).ewm(halflife=6, adjust=False).mean().shift(1).fillna(growth.mean()).to_numpy()
    error = -calendar.bias * (growth - usual) + calendar.noise * z
    rounds = (0, *calendar.rounds)
    for t, (start, end) in enumerate(zip(starts, ends, strict=True)):
        before: float | None = None
        for k, extra in enumerate(rounds):
            weight = 1.0 if len(rounds) == 1 else (1 - k / (len(rounds) - 1)) ** 1.5
            value = round(float(truth[t] * np.exp(weight * error[t])), calendar.decimals)
            if value != before:
                yield release_day(end, calendar.lag + extra), start, value
            before = value
