"""`Asked`: a derived output that is no quotient, with the contributions behind it. Confidential."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.protect.concentration import herfindahl
from opsroom.protect.contributions import Combine, Derived, Floats, Limits, by_group
from opsroom.protect.ordered import quantile_ranks, quantiles, top_share
from opsroom.protect.regression import check_regression
from opsroom.protect.rules import Rules

Kind = Literal["quantile", "top_share", "hhi", "regression"]

KINDS: tuple[str, ...] = get_args(Kind)

FAMILY = {"quantile": "quantile", "top_share": "concentration", "hhi": "concentration", "regression": "regression"}
"""Kind → under which kind of `opsroom.protect.contributions.REFUSALS` it is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A derived output that is asked for, and what it is derived of.

    Attributes
    ----------
    kind
        ``quantile``, ``top_share``, ``hhi`` or ``regression``.
    values, groups
        A value and the enterprise group of each unit; of a regression the response.
    unit, decimals
        Unit of the value, and decimals published, where the kind leaves a choice.
    probabilities, combine
        Of quantiles.
    largest
        How many, of a share of the largest.
    step
        What a Herfindahl index is rounded to.
    design, names, limits
        Of a regression: see `opsroom.protect.regression.check_regression`.
    """

    kind: Kind
    values: npt.ArrayLike
    groups: Sequence[Hashable]
    unit: str = ""
    decimals: int | None = None
    probabilities: tuple[float, ...] = (0.5,)
    combine: Combine = "sum"
    largest: int = 4
    step: float = 100.0
    design: Any = None  # an array or a frame
    names: tuple[str, ...] | None = None
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.kind == "regression") is (self.design is None):
            raise UsageError(
                "there is no such derived output, or it is a regression without regressors.",
                remedy=f"Use one of {', '.join(KINDS)}.",
                code="OPS-U199",
            )

    def derive(self, rules: Rules) -> Derived:
        """Return the output, if the rule of its kind lets it pass.

        Raises
        ------
        DisclosureError
            If it does not.
        """
        if self.kind == "quantile":
            return quantiles(
                self.values, self.groups, self.probabilities, rules=rules, unit=self.unit,
                decimals=self.decimals or 0, combine=self.combine,
            )  # fmt: skip
        if self.kind == "top_share":
            decimals = 1 if self.decimals is None else self.decimals
            return top_share(self.values, self.groups, largest=self.largest, rules=rules, decimals=decimals)
        if self.kind == "hhi":
            return herfindahl(self.values, self.groups, rules=rules, step=self.step)
        return check_regression(
            self.design, self.groups, rules, response=self.values, names=self.names, limits=self.limits,
            decimals=4 if self.decimals is None else self.decimals,
        )  # fmt: skip

    def behind(self, rules: Rules) -> dict[str, dict[Hashable, float]]:
        """Return the sums that the output rests on, each by what the groups give to it.

        Of a quantile the groups nearest in rank, of a share of the largest these, of an index of concentration all
        squares, of a regression the response.
        """
        combine: Combine = self.combine if self.kind == "quantile" else "sum"
        found = by_group(self.values, self.groups, combine=combine)
        if self.kind == "hhi":
            return {"squares": {group: value * value for group, value in found.items()}}
        if self.kind == "regression":
            return {"response": found}
        ranked = sorted(found.items(), key=lambda item: (-item[1], str(item[0])))
        if self.kind == "top_share":
            return {"largest": dict(ranked[: self.largest])}
        runs = {f"{q:g}": quantile_ranks(len(ranked), q, rules) for q in self.probabilities}
        return {name: dict(ranked[max(first, 0) : last + 1]) for name, (first, last) in runs.items()}

    def ordered(self) -> Floats:
        """Return the groups' contributions, largest first: all of them, or those that count in a market."""
        combine: Combine = self.combine if self.kind == "quantile" else "sum"
        found = np.array(list(by_group(self.values, self.groups, combine=combine).values()), dtype=np.float64)
        ordered: Floats = -np.sort(-found)
        return ordered if self.kind == "quantile" else ordered[ordered > 0]
