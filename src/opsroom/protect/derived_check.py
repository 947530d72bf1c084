"""The certificate of derived outputs that are no quotients: witnesses of contributions, verified here.

Of a quantile, a share of the largest or an index of concentration everybody knows the numbers, how many contributors
there are and what they have in all. A *witness* is another list of contributions, largest first, of which all of this
is as true; together they must show everybody's contribution open as wide as the profile asks: the largest upwards, any
other on one side at least, against each whom the profile names. Anyone may propose witnesses
(`opsroom.protect.derived_witness` does); this module recomputes what they would be published as, and shares no code
with the rules or with who looked for them. Of a regression, whose rule is on how it was made, all is computed anew by
other algebra.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.protect.contributions import Derived, Floats, Limits, closeness, least_groups, refusal
from opsroom.protect.derived_asked import FAMILY, Asked
from opsroom.protect.ordered import quantile_ranks
from opsroom.protect.rules import Rules

METHOD = "opsroom-derived-2"

TOLERANCE = 1e-11
"""What counts as rounding of a sum, relative to it; a goal must be cleared by more."""

_ORDER = 1e-6
"""What counts as rounding between neighbours in rank, relative to them."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Whose contribution must be open: its rank, from 0 for the largest, and the ranks of those who must not know it.

    The largest must be open upwards, any other on one side.
    """

    rank: int
    knows: tuple[int, ...] = ()


class Proof:
    """Takes witnesses, and says what they leave open.

    Parameters
    ----------
    asked, derived
        The output with its contributions, and what would be published of it.
    rules
        The profile.
    """

    def __init__(self, asked: Asked, derived: Derived, rules: Rules) -> None:
        self.asked, self.rules = asked, rules
        self.true: Floats = asked.ordered()
        self._said = dict(derived.values)
        self._total = float(self.true.sum())
        self.slack = TOLERANCE * float(np.abs(self.true).sum())
        self.signed = bool((self.true < 0).any())
        self.width: Floats = closeness(rules) * np.abs(self.true)
        self._mark = hashlib.blake2b(key=hashlib.sha256(self.true.tobytes()).digest(), digest_size=32)
        self.open: dict[Goal, None] = dict.fromkeys(_goals(asked, len(self.true), rules))

    def offer(self, witness: Floats) -> bool:
        """Take a witness, and say whether it is one. Goals that it reaches are no longer open."""
        found = np.asarray(witness, dtype=np.float64)
        if not self._is_possible(found):
            return False
        self._mark.update(found.astype("<f8").tobytes())
        moved = found - self.true
        up = moved >= self.width + self.slack
        either = up | (moved <= -self.width - self.slack)
        if not self.signed:  # nobody has less than nothing: who has nothing is not hemmed in by that
            either |= self.true == 0
        same = moved == 0
        falls = bool((np.diff(found) <= _ORDER * np.maximum(np.abs(found[1:]), np.abs(found[:-1]))).all())
        tops = bool(found[0] >= found.max())
        ranked = self.asked.kind != "hhi"  # the order of all is part of what the others tell
        for goal in list(self.open):
            believed = falls if goal.rank or ranked else tops
            reached = either[goal.rank] if goal.rank else up[0]
            if believed and reached and all(same[k] for k in goal.knows):
                del self.open[goal]
        return True

    def _is_possible(self, found: Floats) -> bool:
        if found.shape != self.true.shape or not np.isfinite(found).all():
            return False
        if abs(float(found.sum()) - self._total) > self.slack or (not self.signed and (found < 0).any()):
            return False
        return all(
            self._is_said(name, number, half) for name, number, half in _published(self.asked, found, self.rules)
        )

    def _is_said(self, name: str, number: float, half: float) -> bool:
        """Say whether a number of a witness would be published as it is."""
        said = self._said.get(name)
        return said is not None and abs(number - said) <= half + TOLERANCE * max(abs(said), half)

    def stamp(self) -> dict[str, Any]:
        """Return what a release says of its certificate.

        Raises
        ------
        DisclosureError
            If a goal is still open.
        """
        if self.open:
            raise refusal(FAMILY[self.asked.kind])
        return {
            "method": METHOD,
            "rule": self.asked.kind,
            "checked": "witnesses",
            "attackers": self.rules.attackers,
            "witnesses": f"blake2b:{self._mark.hexdigest()}",
        }


def _goals(asked: Asked, n: int, rules: Rules) -> list[Goal]:
    """Return whose contribution must be open against whom."""
    found = [Goal(rank) for rank in range(n)]
    if rules.attackers == "outsider":
        return found
    market = asked.kind == "hhi"
    found += [Goal(0, (k,)) for k in range(1, n if market else min(n, 2))]
    found += [Goal(1, (0,))] if n > 1 else []
    if rules.attackers == "coalition" and n > 3:
        found += [Goal(0, (1, k)) for k in range(2, n if market else 3)]
    return found


def _published(asked: Asked, values: Floats, rules: Rules) -> list[tuple[str, float, float]]:
    """Return what would be published of contributions: names, numbers before rounding, half a step of rounding."""
    if asked.kind == "quantile":
        half, found = 0.5 * 10.0 ** -(asked.decimals or 0), []
        for q in asked.probabilities:
            first, last = quantile_ranks(len(values), q, rules)
            found.append((f"p{round(q * 100, 6):g}", float(values[first : last + 1].sum()) / (last - first + 1), half))
        return found
    total = float(values.sum())
    if asked.kind == "top_share":
        half = 0.5 * 10.0 ** -(1 if asked.decimals is None else asked.decimals)
        return [(f"c{asked.largest}", 100 * float(values[: asked.largest].sum()) / total, half)]
    return [("hhi", float(values @ values) / total**2 * 10_000, asked.step / 2)]


def recompute(asked: Asked, derived: Derived, rules: Rules) -> dict[str, Any]:
    """Compute a regression anew, by normal equations, with what its rule asks for; return what a release says of it.

    Raises
    ------
    DisclosureError
        If a coefficient is another than the one to be published, or the rule is not met.
    """
    x = np.asarray(asked.design, dtype=np.float64)
    y = np.asarray(asked.values, dtype=np.float64)
    limits = asked.limits or Limits()
    order: dict[Hashable, int] = {}
    group = np.array([order.setdefault(g, len(order)) for g in asked.groups], dtype=np.intp)
    scale = np.sqrt((x * x).sum(axis=0))
    if len(order) < least_groups(rules) or len(order) - x.shape[1] < limits.freedom or (scale == 0).any():
        raise refusal("regression")
    unit = x / scale
    size, axes = np.linalg.eigh(unit.T @ unit)
    if size[0] <= 1e-12 * size[-1]:
        raise refusal("regression")
    root = axes / np.sqrt(size)  # the inverse of the normal equations is root @ root.T
    turned = unit @ root
    shares = np.zeros((len(order), x.shape[1], x.shape[1]))
    np.add.at(shares, group, turned[:, :, None] * turned[:, None, :])
    leverage = np.sort(np.linalg.eigvalsh(shares)[:, -1])[::-1]
    weights = root @ turned.T
    fitted = weights @ y
    left = y - unit @ fitted
    spread = float(((y - y.mean()) ** 2).sum())
    fit = 1.0 - float(left @ left) / spread if spread > 0 else 1.0
    alone = leverage[0] > limits.leverage or leverage[: rules.min_contributors - 1].sum() >= 1
    if alone or fit >= limits.fit or not all(_may(w * y, group, len(order), rules) for w in weights):
        raise refusal("regression")
    names = [n for n in derived.values if n != "r_squared" and not n.endswith("__se")]
    half = 0.5 * 10.0 ** -(4 if asked.decimals is None else asked.decimals)
    for name, value in zip(names, fitted / scale, strict=True):
        if abs(derived.values[name] - value) > half + 1e-6 * max(abs(value), half):
            raise refusal("regression")
    mark = hashlib.blake2b(key=hashlib.sha256(y.tobytes()).digest(), digest_size=32)
    for array in (x, y, group.astype(np.float64)):
        mark.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return {
        "method": METHOD,
        "rule": asked.kind,
        "checked": "recomputed",
        "attackers": rules.attackers,
        "evidence": f"blake2b:{mark.hexdigest()}",
    }


def _may(parts: Floats, group: npt.NDArray[np.intp], groups: int, rules: Rules) -> bool:
    """Say whether a sum of the groups' parts may be published by the primary rules."""
    own = np.zeros(groups)
    np.add.at(own, group, parts)
    size = np.sort(np.abs(own[own != 0]))[::-1]
    tops = np.concatenate([size[:3], np.zeros(3)])[:3]
    found = rules.sensitive(np.array([own.sum()]), np.array([len(size)]), tops[None, :], np.array([size.sum()]))
    return len(size) >= least_groups(rules) and not bool(found[0])
