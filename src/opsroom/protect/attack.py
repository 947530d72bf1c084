"""`attack`: how closely the public can estimate what published tables withhold.

The attacker is independent of what protects (`opsroom.protect.shield`): it reads codes, hierarchies and published
numbers, builds every additive relation by itself, and asks linear programmes for the least and the largest value of
each withheld cell. True values serve to score the result, and as one table that is possible.

References
----------
Hundepool et al. (2012), Statistical Disclosure Control, section 4.3. Fischetti & Salazar (2001), Solving the cell
suppression problem on tabular data with linear constraints, Management Science 47: the attacker's problems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.base.lazy import callable_as
from opsroom.protect.attack_insiders import InsiderResult as InsiderResult
from opsroom.protect.attack_insiders import attack_insiders as attack_insiders
from opsroom.protect.attack_scene import Published as Published
from opsroom.protect.attack_scene import Scene, read
from opsroom.protect.attack_search import Bounds, Moves, components, contradiction
from opsroom.protect.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AttackResult", "InsiderResult", "Published", "attack", "attack_insiders"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Depth = Literal["exact", "protection"]

_FEW = 1_000
"""Up to so many withheld cells are bounded exactly unless asked otherwise."""

_CLOSE = 1e-6
"""What counts as rounding, relative to the width of a protection interval or the size of a number."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What an attacker finds out. Confidential where it was scored with true values.

    Attributes
    ----------
    bounds
        ``exact``: ``lower`` and ``upper`` are the bounds that the attacker can prove. ``protection``: they are values
        that it must think possible, so the true bounds lie no closer.
    programmes
        Linear programmes solved.
    sensitive
        Number of sensitive cells.
    frame
        See `to_frame`.
    reach
        How far the narrower side of each interval reaches, relative to what is asked for; NaN where nothing is.
    """

    bounds: Depth
    programmes: int
    sensitive: int
    frame: pd.DataFrame = field(repr=False)
    reach: Floats = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a withheld cell (and a sensitive cell that is shown, if there is one).

        Columns: the dimensions (of several vintages or measures these, too), ``lower``, ``upper``, ``exact`` (the
        attacker knows the number; missing where that was not settled) and ``inside_protection`` (its interval does
        not cover the protection interval; missing where true values are not at hand).
        """
        return self.frame.copy()

    @property
    def inside(self) -> int:
        """Number of sensitive cells that the attacker estimates too closely."""
        return int(self.frame["inside_protection"].fillna(False).sum())

    def worst(self, number: int = 10) -> pd.DataFrame:
        """Return the cells that are estimated most closely, relative to their protection or else to their size."""
        lower, upper = (self.frame[c].to_numpy(dtype=np.float64) for c in ("lower", "upper"))
        finite = np.isfinite(lower) & np.isfinite(upper)
        spread = np.full(len(lower), np.inf)
        spread[finite] = (upper - lower)[finite] / np.maximum(np.abs(upper[finite]), 1e-300)
        order = np.lexsort((spread, np.where(np.isnan(self.reach), np.inf, self.reach)))
        return self.frame.iloc[order[:number]].reset_index(drop=True)

    def summary(self) -> str:
        """Return the outcome in two lines."""
        known = int(self.frame["exact"].fillna(False).sum())
        first = f"{len(self.frame)} cells attacked ({self.bounds} bounds, {self.programmes} programmes): "
        if self.frame["inside_protection"].isna().all():
            return f"{first}{known} known exactly.\nNo true values to score by."
        return f"{first}{known} known exactly.\n{self.inside} of {self.sensitive} sensitive inside their protection."


def attack(
    tables: Any, *, rules: Rules, known: pd.DataFrame | None = None, bounds: Depth | None = None
) -> AttackResult:
    """Estimate what tables withhold as closely as can be.

    Parameters
    ----------
    tables
        A `ProtectedTable` or a `Published` table, or a list of them: cells with the same codes (whatever dimensions
        are at their total), measure and unit are one quantity. Or a mapping, name of the vintage → table or list:
        vintages are different quantities, and a table named ``(later, earlier)`` says by how much the one differs
        from the other, cell by cell.
    rules
        The profile whose protection intervals count.
    known
        What the attacker knows besides: a frame with dimension columns (total where one is absent) and ``value``,
        ``at_least`` or ``at_most``; of several vintages or measures also with ``vintage`` and ``measure``. What it
        knows a sensitive cell to be at least is its own part of it: protection ends there.
    bounds
        ``exact``, or ``protection``: stop where the protection interval is reached. Of at most 1,000 withheld cells,
        and where true values are not at hand, exact unless said otherwise.

    Returns
    -------
    AttackResult

    Raises
    ------
    UsageError
        If no table agrees with what is published and known.

    Notes
    -----
    Withheld cells are at least zero, unless the measure has negative numbers. A cell that a table does not list is
    empty. The interval of a quantity x is [min x, max x] over all tables with A x = 0 that agree with what is shown
    and known. It is inside protection if it does not cover [value - width, value + width], cut off at zero or at
    what the attacker itself contributes.
    """
    if not isinstance(rules, Rules) or bounds not in (None, "exact", "protection"):
        raise UsageError(
            "an attack is scored by a profile of rules, with exact bounds or up to protection.",
            remedy="Give rules=opsroom.protect.Rules(…), and bounds='exact' or 'protection' if any.",
            code="OPS-U390",
        )
    scene = read(tables, rules, known)
    withheld = int((~scene.shown).sum())
    if bounds is None:
        bounds = "exact" if withheld <= _FEW or not scene.scored.all() else "protection"
    if bounds == "protection" and not scene.scored.all():
        raise UsageError("protection can be judged only where true values are at hand.", remedy="Use bounds='exact'.")
    work = _Attack(scene)
    if bounds == "exact":
        work.bound()
    else:
        work.settle()
    return work.result(bounds)


class _Attack:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        fixed = ~scene.unknown & ~scene.shown
        start = scene.start.copy()
        start[fixed] = scene.least[fixed]
        self.start, self.fixed = start, fixed
        gap = -(scene.relations @ start)
        terms = abs(scene.relations) @ np.abs(start)
        self.rhs: Floats = np.where(np.abs(gap) <= 1e-10 * terms, 0.0, gap)
        settled = abs(scene.relations) @ scene.unknown.astype(np.float64) == 0
        if (np.abs(gap) > _CLOSE * terms)[settled].any():
            raise contradiction()
        self.low: Floats = np.where(scene.unknown, -np.inf, 0.0)
        self.high: Floats = np.where(scene.unknown, np.inf, 0.0)
        signed = np.isneginf(scene.least)
        floor = np.where(signed, -np.inf, 0.0)
        self.above = scene.width
        self.below: Floats = np.clip(np.minimum(scene.width, scene.start - np.maximum(floor, scene.own)), 0.0, None)
        self.programmes = 0
        self.settled = scene.shown | fixed
        """Quantities of which it is settled whether they are known exactly."""

    def bound(self) -> None:
        """Find the true bounds of every quantity."""
        scene = self.scene
        least, most = scene.least - self.start, scene.most - self.start
        for columns in components(scene.relations, scene.unknown):
            programme = self._programme(columns, self._scale(columns))
            lowest, highest = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
            for k, q in enumerate(columns.tolist()):
                for direction, limit in ((-1, least[q]), (1, most[q])):
                    close = _CLOSE * programme.scale
                    if (lowest[k] <= limit + close) if direction < 0 else (highest[k] >= limit - close):
                        found = limit  # some table seen so far goes all the way
                    else:
                        found, table = programme.end(k, direction)
                        if table is not None:
                            np.minimum(lowest, table, out=lowest)
                            np.maximum(highest, table, out=highest)
                    (self.low if direction < 0 else self.high)[q] = found
            self.programmes += programme.programmes
            for q in columns[self._short()[columns]].tolist():  # again, with a finer unit
                self._finely(columns, q)
            self.settled[columns] = True

    def settle(self) -> None:
        """Find for every sensitive quantity whether the ends of its protection interval are possible."""
        scene = self.scene
        self.low[:] = self.high[:] = 0.0
        down = np.maximum(self.start - scene.least, 0.0)
        up = np.maximum(scene.most - self.start, 0.0)
        moves = Moves(scene.relations, scene.unknown)
        targets = np.flatnonzero(scene.sensitive & scene.unknown)
        closed = ~scene.unknown
        for q in targets[np.argsort(-scene.width[targets], kind="stable")].tolist():
            for need in (self.above[q], -self.below[q]):
                if need == 0 or (self.high[q] >= need if need > 0 else self.low[q] <= need):
                    continue
                found = moves.move(q, need, down, up, closed)
                if found is not None:
                    self._seen(*found, down, up)
                    continue
                self._finely(moves.whole(q), q)
        self.programmes += moves.programmes

    def _seen(self, at: Ints, shift: Floats, down: Floats, up: Floats) -> None:
        """Note what a possible table reaches, and how far it can be stretched, both ways."""
        for move in (shift, -shift):
            room = np.where(move < 0, down[at], up[at])
            far = float((room / np.abs(move)).min()) * (1 - 1e-9)
            stretched = move * (far if np.isfinite(far) else 1e6)
            self.low[at] = np.minimum(self.low[at], stretched)
            self.high[at] = np.maximum(self.high[at], stretched)
        self.low[at], self.high[at] = np.minimum(self.low[at], shift), np.maximum(self.high[at], shift)

    def _finely(self, columns: Ints, q: int) -> None:
        unit = float(max(self.above[q], 1e-9 * abs(self.start[q]), 1e-12))
        programme = self._programme(columns, unit)
        k = int(np.searchsorted(columns, q))
        self.low[q], self.high[q] = (programme.end(k, direction)[0] for direction in (-1, 1))
        self.settled[q] = True
        self.programmes += programme.programmes

    def _programme(self, columns: Ints, scale: float) -> Bounds:
        scene = self.scene
        inside = scene.relations[:, columns]
        least, most = scene.least[columns] - self.start[columns], scene.most[columns] - self.start[columns]
        return Bounds(inside, self.rhs, least, most, scale)

    def _scale(self, columns: Ints) -> float:
        size = np.abs(self.start[columns])
        typical = float(np.median(size[size > 0])) if (size > 0).any() else 0.0
        if not self.scene.scored[columns].all():
            touched = np.diff(self.scene.relations[:, columns].indptr) > 0
            typical = float(np.abs(self.rhs[touched]).max(initial=0.0)) * 1e-4
        return typical if typical > 0 else 1.0

    def _short(self) -> Flags:
        """Say which sensitive quantities are estimated too closely."""
        slack = _CLOSE * self.scene.width
        flags: Flags = self.scene.sensitive & ((self.high < self.above - slack) | (self.low > slack - self.below))
        return flags

    def result(self, bounds: Depth) -> AttackResult:
        import pandas as pd

        scene = self.scene
        listed = np.flatnonzero(~scene.shown | scene.sensitive)
        frame = pd.DataFrame(scene.codes[listed], columns=list(scene.dimensions))
        for k, name in enumerate(("vintage", "measure")):
            labels = [layer[k] for layer in scene.layers]
            if len(set(labels)) > 1:
                frame.insert(0, name, np.array(labels, dtype=object)[scene.layer[listed]])
        frame["lower"] = (self.start + self.low)[listed]
        frame["upper"] = (self.start + self.high)[listed]
        spread = (self.high - self.low)[listed]
        tight = spread <= _CLOSE * np.maximum(np.abs(self.start), np.where(scene.width > 0, scene.width, 1.0))[listed]
        exact = pd.array(tight, dtype="boolean")
        exact[tight & ~self.settled[listed]] = pd.NA
        frame["exact"] = exact
        scored = scene.scored[listed]
        inside = pd.array((self._short() | (scene.sensitive & ~scene.unknown))[listed], dtype="boolean")
        inside[~scored] = pd.NA
        frame["inside_protection"] = inside
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(self.above > 0, self.high / self.above, np.nan)
            down = np.where(self.below > 0, -self.low / self.below, np.nan)
        sensitive = int(scene.sensitive.sum())
        return AttackResult(bounds, self.programmes, sensitive, frame, np.fmin(up, down)[listed])


callable_as(__name__, "attack")
