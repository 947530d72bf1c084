"""How sales come back: drawn paths of the share of lost activity that is still lost.

All options are judged under the same draws (common random numbers), and a section's path depends on the seed
and the section's code only: leaving companies out of a study does not change the luck of the others.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

DAYS_PER_MONTH = 365.25 / 12.0
_SLOWEST = 24.0
_QUICKEST = 0.25


@dataclass(frozen=True, slots=True)
class Recovery:
    """How sales return to normal, and how unsure that is.

    The gap between a company's normal and present sales closes along a drawn path. Defaults are
    illustrative: they are meant to be replaced by `Recovery.fit` on the room's own index of activity.

    Attributes
    ----------
    half_life
        Months in which half of the gap closes (median of the draws).
    spread
        Standard deviation of the logarithm of the half-life between draws, common to the country.
    section_spread
        The same between sections within a draw.
    scar
        Mean share of the gap that never closes within the horizon (uniform between 0 and twice this).
    relapse
        Probability that a draw has a second wave, at a month drawn evenly.
    relapse_size
        Share of what had been recovered that a second wave takes away; it fades with a half-life of one
        month.
    idiosyncratic
        Standard deviation of a company's own lasting deviation, as a share of normal sales.
    """

    half_life: float = 2.5
    spread: float = 0.4
    section_spread: float = 0.2
    scar: float = 0.08
    relapse: float = 0.2
    relapse_size: float = 0.4
    idiosyncratic: float = 0.08

    def __post_init__(self) -> None:
        shares = (self.scar * 2, self.relapse, self.relapse_size)
        if not self.half_life > 0 or any(not 0 <= s <= 1 for s in shares):
            raise UsageError(
                "a recovery needs a positive half-life and shares between 0 and 1.",
                remedy="Give half_life > 0, scar ≤ 0.5, relapse and relapse_size within 0 … 1.",
                code="OPS-U075",
            )
        if min(self.spread, self.section_spread, self.idiosyncratic) < 0:
            raise UsageError("a spread is negative.", remedy="Give spreads ≥ 0.", code="OPS-U075")

    def paths(self, sections: Sequence[str], *, horizon: int, draws: int, seed: int) -> Floats:
        r"""Draw the share of the gap still open, by section, month and draw.

        Parameters
        ----------
        sections
            Section codes.
        horizon
            Months.
        draws
            Number of draws.
        seed
            With the section's code it fixes the section's luck.

        Returns
        -------
        numpy.ndarray
            Shape (sections, horizon, draws); mean of each month is taken at its middle; values in 0 … 1.

        Notes
        -----
        :math:`g_{s,t} = \varphi + (1-\varphi)\,2^{-(t+1/2)/\lambda_s}` with log-normal :math:`\lambda_s`;
        after a relapse in month :math:`t_0`, :math:`g + \rho(1-g)\,2^{-(t-t_0)}`.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
        national = self.spread * rng.standard_normal(draws)
        scar = 2.0 * self.scar * rng.random(draws)
        second = rng.random(draws) < self.relapse
        wave = np.where(second, rng.integers(1, max(horizon, 2), draws), horizon)
        month = np.arange(horizon, dtype=np.float64)[:, None]
        # a wave that has not come yet has weight 0
        hit = np.where(month >= wave, self.relapse_size * 0.5 ** np.maximum(month - wave, 0.0), 0.0)
        result = np.empty((len(sections), horizon, draws))
        for row, section in enumerate(sections):
            stream = np.random.SeedSequence([seed, 1 + zlib.crc32(section.encode())])
            own = self.section_spread * np.random.default_rng(stream).standard_normal(draws)
            life = np.clip(self.half_life * np.exp(national + own), _QUICKEST, _SLOWEST)
            open_share = scar + (1.0 - scar) * 0.5 ** ((month + 0.5) / life)
            result[row] = open_share + hit * (1.0 - open_share)
        return result

    def fit(self, activity: pd.DataFrame, *, weeks: int = 8) -> Recovery:
        r"""Return the recovery with half-life and spread estimated from an index of activity.

        Parameters
        ----------
        activity
            Columns ``date`` and ``capacity`` (share of normal activity, 1 = normal), one row a date; rows
            with a ``section`` other than ``"_T"`` are left out where that column is there.
        weeks
            Only the last so many weeks are used.

        Returns
        -------
        Recovery
            With `half_life` clipped to 0.25 … 24 months and `spread` to 0.15 … 1.

        Raises
        ------
        DataError
            If columns are missing.

        Notes
        -----
        Least squares of :math:`\ln(1-c)` on time; half-life :math:`\ln 2/\kappa`, spread the standard
        error of :math:`\ln\kappa` with residuals that are correlated week by week (effective number of
        observations :math:`n(1-\rho)/(1+\rho)`). With no gap left, or fewer than three dates, nothing is
        estimated and the recovery is returned as it is; where the gap is not closing the slowest is taken.
        """
        import pandas as pd

        if not {"date", "capacity"} <= set(activity.columns):
            raise DataError("an index of activity needs the columns date and capacity.", code="OPS-D070")
        frame = activity
        if "section" in frame.columns and (frame["section"] == "_T").any():
            frame = frame[frame["section"] == "_T"]
        series = frame.groupby(pd.to_datetime(frame["date"]))["capacity"].mean().dropna().sort_index()
        series = series[series.index > series.index.max() - pd.Timedelta(weeks=weeks)] if len(series) else series
        gap = 1.0 - series.to_numpy(dtype=np.float64)
        keep = gap > 0.01
        if keep.sum() < 3:
            return self
        days = (series.index - series.index[0]).days.to_numpy(dtype=np.float64)
        x, y = days[keep] / DAYS_PER_MONTH, np.log(gap[keep])
        slope, error = _slope(x, y)
        if -slope <= math.log(2.0) / _SLOWEST:
            return replace(self, half_life=_SLOWEST, spread=max(self.spread, 0.6))
        life = float(np.clip(math.log(2.0) / -slope, _QUICKEST, _SLOWEST))
        return replace(self, half_life=life, spread=float(np.clip(error / -slope, 0.15, 1.0)))


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Return a least-squares slope and its standard error with correlated residuals."""
    dx = x - x.mean()
    sxx = float(dx @ dx)
    slope = float(dx @ (y - y.mean())) / sxx
    e = y - y.mean() - slope * dx
    n = len(x)
    rho = float(np.clip((e[1:] @ e[:-1]) / max(float(e @ e), 1e-300), 0.0, 0.9))
    dof = max(1.0, n * (1.0 - rho) / (1.0 + rho) - 2.0)
    return slope, math.sqrt(float(e @ e) / dof / sxx)
