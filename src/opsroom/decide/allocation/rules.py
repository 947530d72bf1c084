"""The rules of an allocation, checked: floors, and classes that come first by law, get a share, or are served alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.allocation.master import Floats
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.rationing import class_numbers

KNOWN = ("floor", "classes", "order", "alike", "shares")
BINDING = ("order", "alike", "shares")
"""Rules that make classes bind the optimum; without them a class is only a rule to compare with."""
_SLACK = 1e-9
"""Share of the most that it could use which a class may always lose to later ones: rounding."""


@dataclass(frozen=True, slots=True)
class ClassRules:
    """Classes that bind.

    Attributes
    ----------
    names
        Numbers of the classes, in order of service.
    at
        Place in `names` by product.
    order
        Whether a class is served before the next one.
    give
        Share of the most that it could use which a class may lose to later ones.
    alike
        By class: whether everybody in it gets the same share of what is wanted.
    shares
        By class: least share of the worth of what the class wants that it gets as a whole.
    """

    names: tuple[float, ...]
    at: np.ndarray
    order: bool
    give: float
    alike: np.ndarray
    shares: Floats

    @property
    def strict(self) -> bool:
        """Whether no class loses anything but rounding to a later one."""
        return self.order and self.give <= _SLACK

    def worth(self, p: Problem) -> Floats:
        """Return classes x products: what a unit of a product counts for its class."""
        return np.where(self.at[None, :] == np.arange(len(self.names))[:, None], p.worth[None, :], 0.0)


def split(rules: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """Return the rules given, checked for their names, and whether they let classes bind.

    Raises
    ------
    UsageError
        A rule that is not known, or one on classes where none are given.
    """
    given = {name: rule for name, rule in (rules or {}).items() if rule is not None}
    for name in given:
        if name not in KNOWN:
            raise UsageError(f"the rule {name!r} is not known.", remedy=f"There are: {', '.join(KNOWN)}.")
    binds = any(given.get(name) not in (None, False) for name in BINDING)
    if binds and given.get("classes") is None:
        named = next(name for name in BINDING if given.get(name) not in (None, False))
        raise UsageError(
            f"the rule {named!r} is about classes, and there are none.",
            remedy='Give "classes", too: a number for each product, 1 served first.',
        )
    return given, binds


def class_rules(given: Mapping[str, Any], p: Problem) -> ClassRules:
    """Check the rules on classes of a problem.

    Raises
    ------
    UsageError
        Numbers, shares or names of classes that make no sense; an order of classes of which one is worth nothing.
    """
    numbers = class_numbers(given["classes"], p.labels)
    names, at = np.unique(numbers, return_inverse=True)
    asked = given.get("order", False)
    if not isinstance(asked, bool | np.bool_) and not (isinstance(asked, float) and 0.0 < asked < 0.01):
        raise UsageError(
            "order is neither True nor the share that a class may lose to later ones.",
            remedy="Use True, or a share above 0 and below 0.01, such as 1e-4.",
        )
    order, give = bool(asked), _SLACK if isinstance(asked, bool | np.bool_) else max(asked, _SLACK)
    alike = given.get("alike", False)
    if isinstance(alike, bool):
        same = np.full(len(names), alike)
    else:
        same = np.isin(names, _members(alike, names, "alike"))
    shares = np.zeros(len(names))
    least = given.get("shares")
    if least is not None:
        if not isinstance(least, Mapping | pd.Series):
            raise UsageError("shares are not given by class.", remedy='Give them so: {"shares": {1: 0.9, 2: 0.5}}.')
        _members(least.keys(), names, "shares")
        by_name: dict[Any, Any] = dict(least)
        for name, share in by_name.items():
            if not 0.0 <= float(share) <= 1.0:
                raise UsageError(
                    f"the least share of class {name} is no share of what is wanted.", remedy="Use one from 0 to 1."
                )
            shares[np.flatnonzero(names == float(name))[0]] = float(share)
    found = ClassRules(tuple(float(n) for n in names), at, order, give, same, shares)
    if order:
        idle = found.worth(p) @ p.high <= 0.0
        wanted = np.bincount(at, weights=p.high, minlength=len(names)) > 0.0
        if (idle & wanted).any():
            named = names[np.flatnonzero(idle & wanted)[0]]
            raise UsageError(
                f"class {named:g} is worth nothing, so nothing says when it is served.",
                remedy="Give a value above 0 to something in every class, or leave the order out.",
            )
    return found


def _members(given: Any, names: np.ndarray, rule: str) -> np.ndarray:
    try:
        found = np.array([float(name) for name in given])
    except (TypeError, ValueError):
        found = np.array([np.nan])
    unknown = found[~np.isin(found, names)]
    if len(unknown):
        raise UsageError(
            f"the rule {rule!r} names a class that no product is in.",
            remedy=f"The classes are: {', '.join(f'{n:g}' for n in names)}.",
        )
    return found
