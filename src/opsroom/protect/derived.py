"""Derived outputs: a rule of its own for each kind that reads unreleased cells.

A function of released numbers is releasable as it is (`from_releases`). What reads unreleased cells passes the rule
of its kind, and comes out as `Derived`, or is refused with the same words whatever failed. Anything else is refused.
The rules look at one output, with what an attacker may know besides: number and total of the contributors, who is
largest, a contributor's own value. They do not add up several derived outputs of one cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.protect.concentration import herfindahl, rank_bounds, share_bounds
from opsroom.protect.contributions import (
    REFUSALS,
    Derived,
    Limits,
    by_group,
    least_groups,
    publishable,
    refusal,
    rounded,
)
from opsroom.protect.ordered import order_bounds, quantiles, top_share
from opsroom.protect.regression import check_regression
from opsroom.protect.release import Release, content_of, read_release, seal
from opsroom.protect.rules import Rules
from opsroom.protect.together import betrays

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REFUSALS",
    "SINGLE",
    "Derived",
    "Limits",
    "Published",
    "by_group",
    "chart_data",
    "check_dual",
    "check_regression",
    "from_releases",
    "growth",
    "herfindahl",
    "index",
    "order_bounds",
    "quantiles",
    "rank_bounds",
    "ratio",
    "refuse",
    "score_parts",
    "share",
    "share_bounds",
    "top_share",
]

Contributions = Mapping[Hashable, float]
"""Enterprise group → what it contributes."""

SINGLE = frozenset({"maximum", "minimum", "range", "mode", "distinct", "residuals", "fitted", "leverages", "ranking"})
"""Statistics that show single contributors."""


def refuse(statistic: str) -> NoReturn:
    """Refuse a statistic that has no form that may be published, or that no rule is known for.

    Parameters
    ----------
    statistic
        One of `SINGLE`, or any that is not among the functions of this module.

    Raises
    ------
    DisclosureError
        Always.
    """
    del statistic  # what is not known is refused like what is known to betray
    raise refusal("unit")


def growth(
    before: Contributions, after: Contributions, *, rules: Rules, decimals: int = 1, name: str = "growth"
) -> Derived:
    """Return the growth rate of a cell between two periods, in per cent.

    Parameters
    ----------
    before, after
        Contributions of the groups in the earlier and the later period.
    rules
        The profile.
    decimals
        Decimals published.
    name
        Name of the number.

    Raises
    ------
    DisclosureError
        If either level could not be published, if too few groups are in both periods, or if the table of what changed
        could not be published: whoever knows a level learns the change from the rate.
    UsageError
        If the earlier level is not positive.
    """
    levels = _linked([before, after], rules)
    return Derived(
        "growth", {name: rounded(100 * (levels[1] / levels[0] - 1), decimals)}, "per cent", "change of the total"
    )


def index(periods: Mapping[str, Contributions], *, base: str, rules: Rules, decimals: int = 1) -> Derived:
    """Return an index number for each period, 100 in the base period.

    Parameters
    ----------
    periods
        Period → contributions of the groups.
    base
        The period that is 100.
    rules
        The profile.
    decimals
        Decimals published.

    Raises
    ------
    DisclosureError
        If any level could not be published, or the change between any two periods: an index tells the rate of
        each link and, by multiplying, of all pairs. Nor where three periods or more together tell of few.
    """
    if base not in periods:
        raise UsageError("the base of an index is one of its periods.", remedy="Name one.", code="OPS-U157")
    names = list(periods)
    levels = dict(zip(names, _linked(list(periods.values()), rules), strict=True))
    values = {name: rounded(100 * levels[name] / levels[base], decimals) for name in names}
    return Derived("index", values, f"{base} = 100", "total of all groups, of the period and the base")


def _linked(periods: Sequence[Contributions], rules: Rules) -> list[float]:
    """Return the levels of periods of which each, and each pair's change, may be published."""
    names = list(dict.fromkeys(name for period in periods for name in period))
    table = np.array([[float(period.get(name, 0.0)) for name in names] for period in periods])
    if not np.isfinite(table).all():
        raise UsageError("a contribution is not finite.", remedy="Leave it out.", code="OPS-U151")
    if not all(publishable(row, rules) for row in table):
        raise refusal("growth")
    scale = np.abs(table).max()
    for later in range(1, len(table)):
        for earlier in range(later):
            both = (table[earlier] != 0) & (table[later] != 0)
            change = table[later] - table[earlier]
            change[np.abs(change) <= 1e-9 * scale] = 0.0  # sums of floats differ in their last digits
            if both.sum() < least_groups(rules) or not publishable(change, rules.change_rules()):
                raise refusal("growth")
    parts = [dict(zip(names, row.tolist(), strict=True)) for row in table]
    if any(betrays(parts[:later], parts[later], rules) for later in range(2, len(parts))):
        raise refusal("growth")
    levels = [float(level) for level in table.sum(axis=1)]
    if min(levels) <= 0:
        raise UsageError(
            "a rate of growth needs positive levels.", remedy="Publish the difference instead.", code="OPS-U158"
        )
    return levels


def share(part: Contributions, whole: Contributions, *, rules: Rules, decimals: int = 1) -> Derived:
    """Return the share of a part in a whole that contains it, in per cent.

    Parameters
    ----------
    part, whole
        Contributions of the groups, none negative; no group's part is larger than its whole.
    rules
        The profile.
    decimals
        Decimals published.

    Raises
    ------
    DisclosureError
        If part, whole or the rest could not be published, or too few groups stand on one side.
    UsageError
        If the part is not contained in the whole.
    """
    inner, outer = _paired(part, whole)
    if not all(publishable(side, rules) for side in (inner, outer)):
        raise refusal("ratio")
    if (inner < 0).any() or (inner > outer * (1 + 1e-12)).any():
        raise UsageError("a share's part exceeds its whole for some group.", remedy="Use ratio().", code="OPS-U159")
    rest = np.where(outer - inner <= 1e-12 * outer, 0.0, outer - inner)
    sides = rules.one_sided(np.array([(inner != 0).sum()]), np.array([(rest != 0).sum()]))
    if bool(sides[0]) or not publishable(rest, rules):
        raise refusal("ratio")
    return Derived("share", {"share": rounded(100 * inner.sum() / outer.sum(), decimals)}, "per cent", "part by whole")


def ratio(
    numerator: Contributions, denominator: Contributions, *, rules: Rules, unit: str, decimals: int = 2
) -> Derived:
    """Return the ratio of two totals, such as turnover by job or a mean.

    Parameters
    ----------
    numerator, denominator
        Contributions of the groups.
    rules
        The profile.
    unit, decimals
        Unit of the ratio, and decimals published.

    Raises
    ------
    DisclosureError
        If either could not be published; nor, where one contains the other group by group, what is left between.
    UsageError
        If the denominator is zero.
    """
    upper, lower = _paired(numerator, denominator)
    sides = [upper, lower]
    contained = (upper <= lower).all() or (upper >= lower).all()
    if contained and (upper >= 0).all() and (lower >= 0).all() and (upper != lower).any():
        sides.append(np.abs(lower - upper))
    if not all(publishable(side, rules) for side in sides):
        raise refusal("ratio")
    if lower.sum() == 0:
        raise UsageError("a ratio's denominator is zero.", remedy="Publish the parts.", code="OPS-U158")
    return Derived("ratio", {"ratio": rounded(upper.sum() / lower.sum(), decimals)}, unit, "ratio of totals")


def _paired(first: Contributions, second: Contributions) -> tuple[Any, Any]:
    names = list(dict.fromkeys([*first, *second]))
    table = np.array([[float(side.get(name, 0.0)) for name in names] for side in (first, second)])
    if not np.isfinite(table).all():
        raise UsageError("a contribution is not finite.", remedy="Leave it out.", code="OPS-U151")
    return table[0], table[1]


@dataclass(frozen=True, slots=True)
class Published:
    """A number of a release, by the codes of its cell and the name of its measure."""

    release: Release
    where: Mapping[str, str]
    measure: str


def from_releases(
    inputs: Sequence[Published], function: Callable[..., float], *, name: str, unit: str, decimals: int = 1
) -> Derived:
    """Return a function of released numbers alone; it tells nothing that is not out.

    Parameters
    ----------
    inputs
        The numbers, in the order of the function's arguments.
    function
        Of as many numbers as there are inputs. It must read nothing else.
    name, unit, decimals
        Of the result.

    Raises
    ------
    DisclosureError
        If an input is no published number of an intact release.
    UsageError
        If the result is not finite.
    """
    given = [_published(item) for item in inputs]
    if not given:
        raise refusal("function")
    value = float(function(*given))
    if not math.isfinite(value):
        raise UsageError("the function of releases gives no number.", remedy="Mend it.", code="OPS-U158")
    sources = tuple(dict.fromkeys(item.release.id for item in inputs))
    return Derived("function", {name: rounded(value, decimals)}, unit, "function of released numbers", sources)


def _published(item: Published) -> float:
    release = _intact(item.release, "function")
    measures = {m["name"] for m in release.measures}
    if item.measure not in measures or set(item.where) != set(release.dimensions):
        raise refusal("function")
    at, key = release.columns.index(item.measure), tuple(str(item.where[d]) for d in release.dimensions)
    value = next((row[at] for row in release.rows if tuple(row[: len(key)]) == key), None)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refusal("function")
    return float(value)


def _intact(thing: object, kind: str) -> Release:
    """Return a release read anew from its bytes, if it is one and nothing in it was altered."""
    if type(thing) is not Release:
        raise refusal(kind)
    document = json.loads(thing.json_bytes)
    if document["content_hash"] != content_of(document) or document["stamp"].get("hash") != seal(document):
        raise refusal(kind)
    return read_release(thing.json_bytes)


def chart_data(release: object, measure: str | None = None) -> pd.DataFrame:
    """Return the data behind a chart or map: the rows of a release, and nothing else is accepted.

    Parameters
    ----------
    release
        A `Release`.
    measure
        Where given: only this measure.

    Raises
    ------
    DisclosureError
        If it is anything but an intact release: a frame, cells, a result.
    """
    return _intact(release, "chart").to_frame(measure)


def check_dual(price: float, users: Contributions, *, rules: Rules, unit: str, decimals: int = 2) -> Derived:
    """Return the shadow price of a constraint that many groups share.

    Parameters
    ----------
    price
        The dual value.
    users
        Group → how much of the constraint it takes up. The capacity of one company has one.
    rules
        The profile.
    unit, decimals
        Of the price.

    Raises
    ------
    DisclosureError
        If the constraint rests on few groups or on few that dominate it: its price is then theirs.
    """
    taken, _ = _paired(users, {})
    if not publishable(taken, rules):
        raise refusal("dual")
    if not math.isfinite(price):
        raise UsageError("a shadow price is not finite.", remedy="Solve the programme.", code="OPS-U158")
    return Derived("dual", {"price": rounded(price, decimals)}, unit, "shadow price of a shared constraint")


def score_parts(
    frame: pd.DataFrame,
    *,
    dimensions: Sequence[str],
    group: str,
    values: Mapping[str, str],
    rules: Rules,
    totals: bool | Sequence[str] = True,
) -> pd.DataFrame:
    """Aggregate scores of units, such as their place in a network, to parts that the gate can judge.

    Parameters
    ----------
    frame, dimensions, group, values, totals
        As in `opsroom.base.cells.parts_from_units`.
    rules
        The profile.

    Returns
    -------
    pandas.DataFrame
        Parts for `Cells`: confidential, and like any magnitude to be passed through the gate.

    Raises
    ------
    DisclosureError
        If a dimension tells groups apart, so that no cell of it has contributors enough.
    """
    from opsroom.base.cells import parts_from_units

    least = least_groups(rules)
    for dimension in dimensions:
        if dimension == group or int(frame.groupby(dimension)[group].nunique().max()) < least:
            raise refusal("scores")
    return parts_from_units(frame, dimensions=dimensions, group=group, values=values, totals=totals)
