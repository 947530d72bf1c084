"""Many paths under drawn shocks and behaviour: what is known of the fall when its causes are known only roughly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

LEAST = 20
"""Fewer draws than this have no tails to speak of."""


class Path(Protocol):
    """What an ensemble asks of a path: output by day and sector, what it was before, and whose model it is."""

    @property
    def output(self) -> pd.DataFrame:
        """Days x sectors."""
        ...

    @property
    def before(self) -> pd.DataFrame:
        """By sector, with ``output`` of a day before."""
        ...

    def cite(self) -> str:
        """Return the source and the method."""
        ...


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Paths of total output under drawn assumptions.

    Attributes
    ----------
    draws
        Draws x days: output as a share of before.
    level
        Share of draws within the interval.
    source
        Source and method of the paths.
    """

    draws: pd.DataFrame
    level: float
    source: str

    def to_frame(self) -> pd.DataFrame:
        """Return median and interval by day."""
        return self._interval(self.draws).rename_axis(index="day")

    def by_quarter(self) -> pd.DataFrame:
        """Return median and interval of each quarter's mean.

        Raises
        ------
        UsageError
            If the paths have no dates.
        """
        days: pd.Index[Any] = self.draws.columns
        if not isinstance(days, pd.DatetimeIndex):
            raise UsageError("paths without dates have no quarters.", remedy="Give run(…, start=a date).")
        names = [f"{day.year}-Q{day.quarter}" for day in days]
        # the mean first, in each draw: the bounds of a mean are not the mean of the bounds
        return self._interval(self.draws.T.groupby(np.array(names)).mean().T).rename_axis(index="quarter")

    def _interval(self, table: pd.DataFrame) -> pd.DataFrame:
        tail = (1.0 - self.level) / 2.0
        found = table.quantile([0.5, tail, 1.0 - tail]).T
        found.columns = pd.Index(["median", "lower", "upper"])
        return found

    def summary(self) -> str:
        """Return the deepest point in a line."""
        frame = self.to_frame()
        place = int(frame["median"].to_numpy().argmin())
        low, row = frame.index[place], frame.iloc[place]
        shown = low.date().isoformat() if isinstance(low, pd.Timestamp) else str(low)
        return (
            f"Output falls to {100 * row['median']:.1f} % of before on day {shown} ({100 * row['lower']:.1f} to "
            f"{100 * row['upper']:.1f} in {100 * self.level:.0f} % of {len(self.draws)} draws of the assumptions)."
        )

    def cite(self) -> str:
        """Return the method."""
        return f"Ensemble of drawn assumptions: {self.source}"

    def chart(self) -> alt.Chart:
        """Return median and interval over time."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = 100.0 * self.to_frame()
        if not isinstance(frame.index, pd.DatetimeIndex):
            raise UsageError("paths without dates cannot be drawn.", remedy="Give run(…, start=a date).")
        rows = [
            {"day": day.date().isoformat(), "median": mid, "lower": low, "upper": high}
            for day, mid, low, high in zip(frame.index, frame["median"], frame["lower"], frame["upper"], strict=True)
        ]
        caption = Caption(f"Output falls to {frame['median'].min():.0f} % of before", "per cent of before")
        label = f"{100 * self.level:.0f} % of draws"
        return line_band(
            rows, x="day", lines={"median": "median"}, band=("lower", "upper"), band_label=label, caption=caption
        )


def ensemble(
    draw: Callable[[np.random.Generator], Path], *, draws: int = 200, level: float = 0.9, seed: int = 0
) -> Ensemble:
    """Run a model many times under drawn assumptions.

    Parameters
    ----------
    draw
        From random numbers to a path: draws shocks, behaviour, stocks, and runs. What is uncertain, and by how much,
        is the caller's to say; nothing is varied in secret.
    draws
        Number of paths, 20 or more.
    level
        Share of draws within the interval.
    seed
        Each path has random numbers of its own, so that more draws leave the first ones as they were.

    Returns
    -------
    Ensemble

    Notes
    -----
    The interval is that of the assumptions drawn. It knows nothing of what the model leaves out.
    """
    if draws < LEAST or not 0.0 < level < 1.0:
        raise UsageError(f"draws are {LEAST} or more, and the level lies between 0 and 1.")
    found: list[npt.NDArray[np.float64]] = []
    days: pd.Index[Any] | None = None
    source = ""
    for child in np.random.SeedSequence(seed).spawn(draws):
        path = draw(np.random.default_rng(child))
        if days is not None and not path.output.index.equals(days):
            raise UsageError("paths are not of the same days.")
        days, source = path.output.index, path.cite()
        found.append((path.output.sum(axis=1) / path.before["output"].sum()).to_numpy(np.float64))
    return Ensemble(pd.DataFrame(np.stack(found), columns=days), level, source)
