"""What the target's own known quarters say of the path: its level, brought to weeks, with the doubt that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.measure.composite.doubt import Doubt, Reading
from opsroom.measure.composite.grid import Floats
from opsroom.measure.composite.scaling import Scaling

_SIZES = np.concatenate([[0.0], np.geomspace(0.1, 3.0, 14)])
"""Candidates for a size, in units of a usual surprise; the walk is never nothing."""
_TAIL = 5.0
_FADES, _CALM = 0.8, 4.0
"""What a surprise keeps of its weight from one quarter to the next, and the quarters that being as large as said counts
for."""
_QUARTER = 0.25
"""A quarter's share of a year of normal growth."""


@dataclass(frozen=True, slots=True)
class Told:
    """What known output adds to readings of the path: log points, and what is left of their doubt.

    Attributes
    ----------
    shift
        To be added to what the inputs say.
    sd
        Standard deviation of the reading with it, all sources together. `before`: without, the target's own
        departures included.
    own
        Standard deviation of the target's own departures from what inputs can tell, before anything is known of them.
    """

    shift: Floats
    sd: Floats
    before: Floats
    own: Floats


@dataclass(frozen=True, slots=True)
class KnownOutput:
    """Growth of the target in each known quarter on the one before, beside what the inputs say of it.

    Attributes
    ----------
    quarters
        Ordinals of the quarters whose growth is known.
    surprise
        Log growth less what the inputs say of it, log points.
    walk, noise
        Standard deviations: of a week's step of what output does and inputs do not show for good; of what is in one
        quarter's figure and nowhere else.
    unrest
        By how much the last quarters' surprises were larger than said, at least 1: the doubt grows with it.
    """

    quarters: Floats
    surprise: Floats
    walk: float
    noise: float
    unrest: float
    slope: float
    steps: Reading
    _scale: Floats
    _design: Floats
    _walked: Floats
    _weights: Floats
    _inverse: Floats

    @classmethod
    def of(
        cls, growth: Floats, quarters: Floats, steps: Reading, path: Floats, within: Floats, scaling: Scaling
    ) -> KnownOutput:
        """Learn the sizes of walk and noise, by their one-step-ahead errors with heavy tails.

        Parameters
        ----------
        growth, quarters
            100 times the log change on the quarter before, and the quarters' ordinals, ascending.
        steps
            Reading of the path: each of these quarters' mean less the mean of the quarter before.
        path
            The fitted path.
        within
            Covariances of these readings with each other, in the path's units.
        scaling
            The path's scale.
        """
        moved = steps(path)
        design = np.column_stack([np.full(len(moved), _QUARTER), moved])
        surprise = growth - design @ np.array([scaling.normal, scaling.slope])
        walked = _walked(steps(np.eye(len(path))))
        fixed = scaling.slope**2 * within + design @ scaling.covariance @ design.T
        rough = _changes(quarters, quarters)
        usual = max(1.4826 * float(np.median(np.abs(surprise))), 1e-6)
        unit = walked @ walked.T
        week = usual / float(np.sqrt(np.median(np.diag(unit))))
        _, walk, noise = min(
            (_misfit(surprise, fixed + (w * week) ** 2 * unit + (s * usual) ** 2 * rough), w * week, s * usual)
            for w in _SIZES[1:]
            for s in _SIZES
        )
        whole = fixed + walk**2 * unit + noise**2 * rough
        inverse = np.linalg.inv(whole)
        return cls(
            quarters=quarters, surprise=surprise, walk=walk, noise=noise, unrest=_unrest(_ahead(surprise, whole)[0]),
            slope=scaling.slope, steps=steps, _scale=scaling.covariance, _design=design, _walked=walked,
            _weights=inverse @ surprise, _inverse=inverse,
        )  # fmt: skip

    def told(
        self, read: Reading, doubt: Doubt, path: Floats, normal: float, *, ends: tuple[Floats, Floats] | None = None
    ) -> Told:
        """Return what is to be added to a reading of the path, and what is left of its doubt.

        Parameters
        ----------
        read, doubt
            The reading, and how sure it is by the inputs, with its covariance with `steps`.
        path
            The fitted path.
        normal
            Years of normal growth in the reading: 1 for growth on a year, 0 for a gap.
        ends
            Ordinals of quarters, where the reading is of the target's own figures: of one less that of the other.
        """
        moved = read(path)
        design = np.column_stack([np.full(len(moved), normal), moved])
        walked = _walked(read(np.eye(len(path))))
        cross = self.slope**2 * doubt.shared + design @ self._scale @ self._design.T
        cross += self.walk**2 * walked @ self._walked.T
        own = self.walk**2 * (walked**2).sum(axis=1)
        if ends is not None:
            late, early = ends
            cross += self.noise**2 * (_before(late, self.quarters) - _before(early, self.quarters))
            own = own + 2.0 * self.noise**2
        scale = np.einsum("ki,ij,kj->k", design, self._scale, design)
        before = self.slope**2 * (doubt.given + doubt.estimated) + scale + own
        gained = np.einsum("ki,ij,kj->k", cross, self._inverse, cross)
        left = self.unrest**2 * np.maximum(before - gained, 0.0)
        return Told(np.asarray(cross @ self._weights), np.sqrt(left), np.sqrt(before), np.sqrt(own))


def quarter_growth(level: pd.Series) -> pd.Series:
    """Return 100 times the log change on the quarter before, of quarters that have both."""
    log = pd.Series(100.0 * np.log(level.to_numpy(np.float64)), index=level.index)
    return (log - log.shift(1)).dropna()


def ordinals(quarters: Sequence[pd.Period]) -> Floats:
    """Return the quarters' numbers."""
    return np.array([q.ordinal for q in quarters], dtype=np.float64)


def _walked(weights: Floats) -> Floats:
    """Return how readings move with each week's step of a walk, given how they move with each week."""
    return np.asarray(np.cumsum(weights[:, ::-1], axis=1)[:, ::-1])


def _before(one: Floats, quarters: Floats) -> Floats:
    """Return the covariances of quarters' noises with the change of noise from the quarter before to each other one."""
    same = one[:, None] == quarters
    return np.asarray(same.astype(np.float64) - (one[:, None] == quarters - 1.0))


def _changes(late: Floats, other: Floats) -> Floats:
    """Return the covariances of changes of a noise from one quarter to the next."""
    return _before(late, other) - _before(late - 1.0, other)


def _ahead(surprise: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Return one-step-ahead errors in units of their standard deviations, and these."""
    root = np.linalg.cholesky(covariance)
    return np.asarray(np.linalg.solve(root, surprise)), np.diag(root)


def _misfit(surprise: Floats, covariance: Floats) -> float:
    """Return minus the log likelihood of one-step-ahead errors with Student's tails."""
    z, sd = _ahead(surprise, covariance)
    return float(np.log(sd).sum() + 0.5 * (_TAIL + 1.0) * np.log1p(z**2 / _TAIL).sum())


def _unrest(z: Floats) -> float:
    """Return the root mean square of late errors, drawn towards 1."""
    weight = _FADES ** np.arange(len(z))[::-1]
    return max(1.0, float(np.sqrt((_CALM + weight @ z**2) / (_CALM + weight.sum()))))
