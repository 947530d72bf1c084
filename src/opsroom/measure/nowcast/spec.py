"""What the nowcast is told about each series, and the few settings of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opsroom.base.errors import UsageError

Frequency = Literal["D", "W", "M", "Q"]
Transform = Literal["lin", "chg", "ch1", "pch", "pc1", "pca", "log"]

TRANSFORMS: tuple[Transform, ...] = ("lin", "chg", "ch1", "pch", "pc1", "pca", "log")
"""Level; change; change on a year; % change; % change on a year; % change at a yearly rate; 100 ln."""

RULES = {"M": "M", "Q": "Q", "W": "W-SUN", "D": "D"}
"""Frequency → pandas' name of its periods; weeks are Monday to Sunday."""


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """How one series enters the nowcast.

    Attributes
    ----------
    name
        The series' code in the panel.
    frequency
        ``"M"`` or ``"Q"``; ``"W"`` and ``"D"`` are averaged to months (a week belongs to the month of
        its Thursday), and a running month counts from the moment when half of it is known.
    transform
        How levels become (nearly) stationary: see `TRANSFORMS`.
    block
        Series of the same block share a factor of their own beside the common one (prices, surveys);
        empty: only the common factor.
    category
        A word under which news may be grouped, such as ``"Labour"``.
    publication_lag_days
        Days from the end of the reference period to the usual first release; used for the calendar
        where the vintages themselves do not tell.
    title
        Name for readers; the code where empty.
    """

    name: str
    frequency: Frequency = "M"
    transform: Transform = "pch"
    block: str = ""
    category: str = ""
    publication_lag_days: int | None = None
    title: str = ""

    def __post_init__(self) -> None:
        if self.frequency not in ("D", "W", "M", "Q"):
            raise UsageError(
                f"series {self.name!r}: frequency {self.frequency!r} is not one of D, W, M, Q.",
                remedy="Give the frequency at which the series is observed.",
            )
        if self.transform not in TRANSFORMS:
            raise UsageError(
                f"series {self.name!r}: transform {self.transform!r} is not one of {', '.join(TRANSFORMS)}.",
                remedy="Use 'pch' for a level that grows, 'lin' for a survey balance.",
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the factor model; the defaults are meant to be left alone.

    Attributes
    ----------
    factors
        Number of common factors; each block of series adds one of its own.
    lags
        Lags of the factors' vector autoregression, in months.
    tail
        Degrees of freedom of the series' own errors: small means that a lone outlier moves little.
    shock_tail
        Degrees of freedom of the factors' innovations: small means that a common shock is followed
        at once and does not rewrite the parameters.
    start
        First year used, or None for all that the panel has.
    tolerance
        The fit has converged when an iteration raises the objective by less than this per observation.
    max_iterations
        Iterations after which a fit is refused.
    min_quarters
        Growth rates of the target needed at least.
    """

    factors: int = 1
    lags: int = 2
    tail: float = 5.0
    shock_tail: float = 3.0
    start: int | None = None
    tolerance: float = 3e-6
    max_iterations: int = 500
    min_quarters: int = 20

    def __post_init__(self) -> None:
        if self.factors < 1 or self.lags < 1:
            raise UsageError("the nowcast needs at least one factor and one lag.", remedy="Use factors >= 1.")
        if self.tail <= 2 or self.shock_tail <= 2:
            raise UsageError("degrees of freedom of 2 or less have no variance.", remedy="Use a tail above 2.")


def find_spec(specs: Sequence[SeriesSpec], name: str) -> SeriesSpec:
    """Return the specification of one series.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    for spec in specs:
        if spec.name == name:
            return spec
    raise UsageError(
        f"there is no specification of the series {name!r}.",
        remedy="Add a SeriesSpec for the target and for every series of the panel that is to be used.",
    )
