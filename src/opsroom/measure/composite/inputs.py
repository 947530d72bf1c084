"""What the composite index is told about each input, and how it is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opsroom.base.errors import UsageError
from opsroom.measure.known import Rhythm

Scale = Literal["log", "linear"]
Comparison = Literal["year", "level"]


@dataclass(frozen=True, slots=True)
class Input:
    """One series behind the index.

    Attributes
    ----------
    name
        Its code in the panel.
    frequency
        ``"D"``, ``"W"``, ``"M"`` or ``"Q"``. Days are averaged to weeks (Monday to Sunday). Rows of the panel may
        have a frequency of their own: a series with a monthly history that has since become weekly is one input.
    scale
        ``"log"`` for what grows (100 times the logarithm is used), ``"linear"`` for balances, rates and gaps.
    compare
        ``"year"``: the change on 52 weeks (12 months, 4 quarters) before, for what has a season or a trend.
        ``"level"``: the value itself, for what is free of both: a gap to normal, a series relative to a base month.
    drifts
        True for what may move away from output for good, such as sales in prices of the day compared by level: it
        then tells of changes, not of the level.
    lag_days
        Days from the end of a period to its first release; used where the panel itself does not tell.
    title
        Name for readers; the code where empty.
    """

    name: str
    frequency: Rhythm = "W"
    scale: Scale = "log"
    compare: Comparison = "year"
    drifts: bool = False
    lag_days: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        if self.frequency not in ("D", "W", "M", "Q"):
            raise UsageError(
                f"input {self.name!r}: frequency {self.frequency!r} is not one of D, W, M, Q.",
                remedy="Give the frequency at which the series is observed.",
            )
        if self.scale not in ("log", "linear") or self.compare not in ("year", "level"):
            raise UsageError(
                f"input {self.name!r}: its scale or its comparison is not one that is offered.",
                remedy="Use scale 'log' or 'linear', compare 'year' or 'level'.",
            )
        if self.lag_days < 0:
            raise UsageError(f"input {self.name!r} is published before its period ends.", remedy="Give a lag ≥ 0.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the index; the defaults are meant to be left alone.

    Attributes
    ----------
    tail
        Degrees of freedom of the inputs' own errors: small means that a lone outlier moves little.
    shock_tail
        Degrees of freedom of the common factor's weekly steps: small means that a shock which all inputs share is
        followed at once and does not rewrite the rest.
    strays
        How far an input's response to a shock may differ from its usual one, as a relative standard deviation. In a
        shock inputs that disagree then share the say, instead of the one with the least noise having it all.
    output
        Whether the target's own known quarters tell of the level that the weeks go on from. False: the index is of the
        inputs alone.
    min_observations
        Inputs with fewer values are left out, and named.
    min_quarters
        Growth rates of the target needed to put the factor on the scale of GDP.
    level
        Nominal coverage of the bands.
    tolerance
        The fit has settled when an iteration moves no week's step by more than this share of a typical one.
    max_iterations
        Iterations after which a fit is refused.
    """

    tail: float = 5.0
    shock_tail: float = 3.0
    strays: float = 0.5
    output: bool = True
    min_observations: int = 8
    min_quarters: int = 12
    level: float = 0.9
    tolerance: float = 0.02
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if self.tail <= 2 or self.shock_tail <= 2:
            raise UsageError("degrees of freedom of 2 or less have no variance.", remedy="Use a tail above 2.")
        if not 0 < self.level < 1:
            raise UsageError("the coverage is not between 0 and 1.", remedy="Give level=0.9 for 90 %.")
