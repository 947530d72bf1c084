"""What the rules for derived outputs share: contributors counted by group, the answer, the refusals.

A refusal of a derived output has one text for its kind, whatever was wrong: which of several rules failed would
tell something of the contributors.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import DisclosureError, SettingsError, UsageError
from opsroom.base.results import TOP
from opsroom.protect.rules import PUBLIC, Rules

Floats = npt.NDArray[np.float64]
Combine = Literal["sum", "mean"]

MARGIN = 1e-6
"""By how much, relative to a value, a bound must clear what the rules ask for: more than solvers err."""

REFUSALS: Mapping[str, tuple[str, str, str]] = {
    "growth": (
        "growth: a level, or what changed between two periods, rests on few contributors or on few that dominate.",
        "Ask for a coarser cell, or for periods that lie further apart; a rate of two released numbers is free.",
        "OPS-P050",
    ),
    "ratio": (
        "share or ratio: a side of it, or what it leaves out, rests on few contributors or on few that dominate.",
        "Ask for a coarser cell, or compute it of released numbers.",
        "OPS-P051",
    ),
    "quantile": (
        "quantile: few contributors stand around it or beyond it, or it would bound one of them closely.",
        "Ask for the median alone, or for a coarser cell.",
        "OPS-P052",
    ),
    "concentration": (
        "concentration: few contributors stand behind it, or it would bound one of the largest closely.",
        "Ask for a coarser cell, more of the largest together, or a coarser step of rounding.",
        "OPS-P053",
    ),
    "regression": (
        "regression: too few degrees of freedom, a fit too close, or a coefficient that rests on few contributors.",
        "Use fewer regressors, broader categories, or more data.",
        "OPS-P054",
    ),
    "chart": (
        "chart or map: what it shows is not a release.",
        "Publish the table first, and draw the release.",
        "OPS-P055",
    ),
    "function": (
        "function of releases: an input is not a number that is published in a release.",
        "Name a release, a cell of it that is published, and one of its measures.",
        "OPS-P056",
    ),
    "dual": (
        "shadow price: its constraint rests on few contributors or on few that dominate.",
        "Ask for the price of a constraint that more companies share, such as a whole region's.",
        "OPS-P057",
    ),
    "scores": (
        "score of a unit: only its aggregate over cells of many contributors may be published.",
        "Aggregate it over industries, regions or size classes, and pass the cells through the gate.",
        "OPS-P058",
    ),
    "unit": (
        "this statistic shows single contributors, and has no form that may be published.",
        "Ask for a quantile, a mean or a count of companies by class.",
        "OPS-P059",
    ),
}
"""Kind of derived output → rule, public remedy, code."""


def refusal(kind: str) -> DisclosureError:
    """Return the refusal of a kind of derived output: always the same words."""
    message, remedy, code = REFUSALS[kind]
    return DisclosureError(message, remedy=remedy, code=code)


@dataclass(frozen=True, slots=True)
class Limits:
    """What derived outputs need beyond the profile of rules; confidential like it.

    Attributes
    ----------
    freedom
        Least residual degrees of freedom of a regression, counted in enterprise groups.
    leverage
        Most leverage of one group in a regression: the largest eigenvalue of its block of the hat matrix.
    fit
        A regression that explains this share of the variance or more is refused: its fitted values are the values.
    """

    freedom: int = 10
    leverage: float = 0.5
    fit: float = 0.999

    def __post_init__(self) -> None:
        if self.freedom < 1 or not 0 < self.leverage < 1 or not 0 < self.fit <= 1:
            raise SettingsError(
                "limits of derived outputs: freedom is at least 1, leverage and fit lie between 0 and 1.",
                remedy="Correct the limits.",
                code="OPS-C010",
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Limits:
        """Read limits from a mapping of names to numbers.

        Raises
        ------
        SettingsError
            If a name is unknown or a value cannot be.
        """
        allowed = {f.name for f in fields(cls)}
        if unknown := sorted(set(settings) - allowed):
            raise SettingsError(
                f"limits of derived outputs have unknown key(s) {', '.join(unknown)}.",
                remedy=f"Use: {', '.join(sorted(allowed))}.",
                code="OPS-C010",
            )
        base = cls()
        try:
            return cls(
                freedom=int(settings.get("freedom", base.freedom)),
                leverage=float(settings.get("leverage", base.leverage)),
                fit=float(settings.get("fit", base.fit)),
            )
        except (TypeError, ValueError):
            raise SettingsError(
                "a limit of derived outputs is not a number.", remedy="Write freedom = 10.", code="OPS-C010"
            ) from None


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived output that passed its rule: what may be published, and nothing else.

    Attributes
    ----------
    kind
        ``growth``, ``index``, ``share``, ``ratio``, ``quantile``, ``top_share``, ``hhi``, ``regression``, ``dual`` or
        ``function``.
    values
        Name → number, rounded as it is published.
    unit
        Unit of the numbers.
    method
        The estimator, in words.
    sources
        Ids of the releases it is a function of; empty where it reads unreleased cells.
    """

    kind: str
    values: Mapping[str, float]
    unit: str
    method: str
    sources: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @property
    def value(self) -> float:
        """The number, where there is one only."""
        if len(self.values) != 1:
            raise UsageError("this derived output has several numbers.", remedy="Read .values.", code="OPS-U150")
        return next(iter(self.values.values()))

    def document(self) -> dict[str, Any]:
        """Return it as what can be written as JSON."""
        return {
            "kind": self.kind,
            "values": dict(self.values),
            "unit": self.unit,
            "method": self.method,
            "sources": list(self.sources),
        }


def rounded(value: float, decimals: int) -> float:
    """Return a number as it is published."""
    return round(float(value), decimals) + 0.0


def by_group(values: npt.ArrayLike, groups: Sequence[Hashable], *, combine: Combine = "sum") -> dict[Hashable, float]:
    """Return one number for each enterprise group, its units' sum or mean.

    Raises
    ------
    UsageError
        If a value is missing or the two do not match.
    """
    given = np.asarray(values, dtype=np.float64)
    names = list(groups)
    if given.ndim != 1 or len(given) != len(names) or not np.isfinite(given).all():
        raise UsageError(
            "a derived output needs one finite value and one enterprise group for each unit.",
            remedy="Leave units without a value or a group out.",
            code="OPS-U151",
        )
    sums: dict[Hashable, float] = {}
    counts: dict[Hashable, int] = {}
    for name, value in zip(names, given.tolist(), strict=True):
        sums[name] = sums.get(name, 0.0) + value
        counts[name] = counts.get(name, 0) + 1
    return {k: v / counts[k] for k, v in sums.items()} if combine == "mean" else sums


def publishable(contributions: npt.ArrayLike, rules: Rules) -> bool:
    """Say whether the sum of contributions of groups could be published by itself.

    Stricter than a cell of a table: a quantity to which nobody contributes is not.

    Raises
    ------
    DisclosureError
        If the rules are those for public data alone.
    """
    if rules.profile == PUBLIC.profile:
        raise DisclosureError(
            "a derived output reads unreleased cells, and the room's profile of rules is for public data alone.",
            remedy='Set profile = "business" under [rules] in room.toml.',
            code="OPS-P005",
        )
    given = np.asarray(contributions, dtype=np.float64)
    size = -np.sort(-np.abs(given[given != 0]))
    if len(size) < max(rules.min_contributors, 2):
        return False
    tops = np.zeros((1, TOP))
    tops[0, : min(TOP, len(size))] = size[:TOP]
    found = rules.sensitive(np.array([given.sum()]), np.array([len(size)]), tops, np.array([size.sum()]))
    return not bool(found[0])


def closeness(rules: Rules) -> float:
    """Return how close, relative to its value, nobody may come to a contribution: p of the p% rule or the interval."""
    return (rules.p_percent if rules.p_percent is not None else rules.interval) / 100


def least_groups(rules: Rules) -> int:
    """Return how many groups must stand on each side of what divides contributors."""
    return max(rules.min_contributors, rules.min_share_side or 0, 2)
