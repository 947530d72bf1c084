"""A shock through regions: losses spread over them, and each section's output divided among them day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.propagation.path import DynamicPath

Floats = npt.NDArray[np.float64]
TOTAL = "_T"
_CLOSE = 1e-9


def spread(lost: Floats, weights: Floats, strength: Floats) -> Floats:
    """Spread sectors' losses over regions in proportion to how hard each region is hit.

    Parameters
    ----------
    lost
        Days x sectors: share of what a sector can do that is lost, 0 to 1.
    weights
        Sectors x regions: each region's share of the sector; rows add to 1.
    strength
        Days x regions: how hard each is hit, 0 or more; only proportions within a day count.

    Returns
    -------
    numpy.ndarray
        Days x sectors x regions, 0 to 1. Weighted over regions it is `lost`, exactly: where a region would lose more
        than all, the rest falls on the others. A day on which none is hit is spread evenly.
    """
    days, sectors = lost.shape
    if weights.shape[0] != sectors or strength.shape != (days, weights.shape[1]):
        raise UsageError("losses, weights and strengths are not of the same days, sectors and regions.")
    if not ((lost >= 0.0) & (lost <= 1.0)).all() or (strength < 0.0).any() or not np.isfinite(strength).all():
        raise UsageError("losses are shares of 0 to 1, strengths 0 or more.")
    _checked(weights)
    shape = (days, sectors, weights.shape[1])
    w = np.broadcast_to(weights[None], shape)
    g = np.broadcast_to(strength[:, None, :], shape)
    full = np.zeros(shape, dtype=bool)
    for _ in range(shape[2] + 1):  # each round fills a region at least, or ends
        room = np.where(full, 0.0, w)
        left = np.maximum(lost - np.where(full, w, 0.0).sum(axis=2), 0.0)
        pull = (room * g).sum(axis=2)
        even = pull <= 0.0  # none of those left is hit: what is left falls on all of them alike
        over_which = np.where(even, room.sum(axis=2), pull)
        rate = np.divide(left, over_which, out=np.zeros_like(left), where=(left > 0.0) & (over_which > 0.0))
        share = rate[:, :, None] * np.where(even[:, :, None], 1.0, g)
        over = ~full & (share > 1.0)
        if not over.any():
            break
        full |= over
    return np.asarray(np.where(full, 1.0, np.clip(share, 0.0, 1.0)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class RegionalPath:
    """What sectors make in each region, day by day, in the table's units.

    Attributes
    ----------
    output
        Days x sectors x regions. Over regions it adds to the output of the path that it was made of.
    before
        Sectors x regions, of a day before.
    index
        The days.
    source
        Source and method of the path.
    """

    output: Floats
    before: pd.DataFrame
    index: pd.Index
    source: str

    def by_region(self) -> pd.DataFrame:
        """Return days x regions: output as a share of before; a region without any is not a number."""
        made = pd.DataFrame(self.output.sum(axis=1), index=self.index, columns=self.before.columns)
        return made / self.before.sum().where(lambda x: x > 0.0)

    def by_sector(self) -> pd.DataFrame:
        """Return days x sectors: output as a share of before."""
        made = pd.DataFrame(self.output.sum(axis=2), index=self.index, columns=self.before.index)
        return made / self.before.sum(axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a day, sector and region that there is: ``output``, and ``share`` of before."""
        days, sectors, regions = self.output.shape
        rows = pd.MultiIndex.from_product([self.index, self.before.index, self.before.columns],
                                          names=["day", "sector", "region"])  # fmt: skip
        before = np.broadcast_to(self.before.to_numpy(), (days, sectors, regions)).ravel()
        frame = pd.DataFrame({"output": self.output.ravel()}, index=rows)[before > 0.0]
        return frame.assign(share=frame["output"] / before[before > 0.0])

    def summary(self) -> str:
        """Return the regions that fall most in a line."""
        table = self.by_region().mean().dropna().sort_values(kind="stable")
        worst = ", ".join(f"{name} {100 * value - 100:+.0f} %" for name, value in table.head(3).items())
        return f"Most, on average of {len(self.index)} days: {worst}."

    def cite(self) -> str:
        """Return the source and the method."""
        return f"Divided over regions by what each can do: {self.source}"


def split(path: DynamicPath, weights: pd.DataFrame, lost: Floats) -> RegionalPath:
    """Divide each sector's output over regions.

    It answers: where is made what is still made, if regions are hit differently?

    Parameters
    ----------
    path
        The economy's path, run with the weighted mean of `lost` as its supply shock.
    weights
        Sectors x regions: each region's share of the sector before; rows add to 1.
    lost
        Days x sectors x regions: share of what the sector can do there that is lost.

    Returns
    -------
    RegionalPath

    Raises
    ------
    UsageError
        Shapes that do not fit, or a path on which a sector makes more than its regions can: it was run with other
        losses.

    Notes
    -----
    :math:`x_{sr} = x_s\\, w_{sr}(1-\\varepsilon_{sr}) / \\sum_q w_{sq}(1-\\varepsilon_{sq})`: regions sell into one
    market, so that all are asked for the same share of what they can do, and none makes more than that. The assumption
    that fails most often: that what a sector makes in one region can stand in for what it makes in another.
    """
    share = weights.reindex(path.output.columns).to_numpy(np.float64)
    _checked(share)
    if lost.shape != (len(path.output), *share.shape):
        raise UsageError("losses are not of the path's days and sectors, and of the weights' regions.")
    possible = share[None] * (1.0 - lost)
    whole = possible.sum(axis=2)
    made = path.output.to_numpy(np.float64)
    before = path.before["output"].to_numpy(np.float64)
    if (made > before * whole + _CLOSE * before).any():
        raise UsageError(
            "a sector makes more than its regions can.",
            remedy="Run the path with the weighted mean of these losses as its supply shock.",
        )
    part = np.divide(possible, whole[:, :, None], out=np.broadcast_to(share, lost.shape).copy(),
                     where=whole[:, :, None] > 0.0)  # fmt: skip
    origin = pd.DataFrame(share * before[:, None], index=path.output.columns, columns=weights.columns)
    return RegionalPath(made[:, :, None] * part, origin, path.output.index, path.cite())


def _checked(weights: Floats) -> None:
    if not (weights >= 0.0).all() or not np.allclose(weights.sum(axis=1), 1.0, rtol=0.0, atol=_CLOSE):
        raise UsageError("each sector's weights over regions are 0 or more and add to 1.")
