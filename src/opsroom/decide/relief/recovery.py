"""How sales come back: drawn paths of the share of lost activity that is still lost.

All options are judged under the same draws (common random numbers), and a section's path depends on the seed
and the section's code only: leaving companies out of a study does not change the luck of the others.
"""

from __future__ import annotations

import datetime as dt
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
    response_error
        Standard deviation, between draws, of lost sales at a given loss of activity, relative to its mean.
    """

    half_life: float = 2.5
    spread: float = 0.4
    section_spread: float = 0.2
    scar: float = 0.08
    relapse: float = 0.2
    relapse_size: float = 0.4
    idiosyncratic: float = 0.08
    response_error: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.scar * 2, self.relapse, self.relapse_size)
        if not self.half_life > 0 or any(not 0 <= s <= 1 for s in shares):
            raise UsageError(
                "a recovery needs a positive half-life and shares between 0 and 1.",
                remedy="Give half_life > 0, scar ≤ 0.5, relapse and relapse_size within 0 … 1.",
                code="OPS-U075",
            )
        if min(self.spread, self.section_spread, self.idiosyncratic, self.response_error) < 0:
            raise UsageError("a spread is negative.", remedy="Give spreads ≥ 0.", code="OPS-U075")

    def paths(self, sections: Sequence[str], *, horizon: int, draws: int, seed: int, since: float = 0.0) -> Floats:
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
        since
            Months from the day on which activity was measured to the beginning of the first month; negative
            where it was measured later.

        Returns
        -------
        numpy.ndarray
            Shape (sections, horizon, draws); mean of each month is taken at its middle; at least 0, and 1 on the
            day of measurement.

        Notes
        -----
        :math:`g_{s,t} = \varphi + (1-\varphi)\,2^{-(t+1/2)/\lambda_s}` with log-normal :math:`\lambda_s`;
        after a relapse in month :math:`t_0`, :math:`g + \rho(1-g)\,2^{-(t-t_0)}`. In each draw all is
        multiplied by one factor around 1 for what is not known of the response of sales.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
        national = self.spread * rng.standard_normal(draws)
        scar = 2.0 * self.scar * rng.random(draws)
        second = rng.random(draws) < self.relapse
        wave = np.where(second, rng.integers(1, max(horizon, 2), draws), horizon)
        month = np.arange(horizon, dtype=np.float64)[:, None]
        # a wave that has not come yet has weight 0
        hit = np.where(month >= wave, self.relapse_size * 0.5 ** np.maximum(month - wave, 0.0), 0.0)
        lost = 1.0 + self.lost(draws=draws, seed=seed)
        result = np.empty((len(sections), horizon, draws))
        for row, section in enumerate(sections):
            stream = np.random.SeedSequence([seed, 1 + zlib.crc32(section.encode())])
            own = self.section_spread * np.random.default_rng(stream).standard_normal(draws)
            life = np.clip(self.half_life * np.exp(national + own), _QUICKEST, _SLOWEST)
            open_share = scar + (1.0 - scar) * 0.5 ** ((month + 0.5 + since) / life)
            result[row] = lost * (open_share + hit * (1.0 - open_share))
        return result

    def lost(self, *, draws: int, seed: int) -> Floats:
        """Return by draw how far the loss of sales lies from the one expected, as a share of it."""
        luck = np.random.default_rng(np.random.SeedSequence([seed, 0, 1])).standard_normal(draws)
        return np.asarray(np.clip(self.response_error * luck, -1.0, 1.0))

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
            With `half_life` between the assumption and the estimate, which is clipped to 0.25 … 24 months.

        Raises
        ------
        DataError
            If columns are missing.

        Notes
        -----
        Least squares of :math:`\ln(1-c)` on time gives a half-life :math:`\ln 2/\kappa`, with the standard
        error e of :math:`\ln\kappa` from residuals that are correlated week by week (effective number of
        observations :math:`n(1-\rho)/(1+\rho)`). But the speed of some weeks is not that of the months to
        come: recoveries change speed, so that the estimate has the further error `spread`, as large as that
        of the assumption. Both are averaged on the log scale by precision,
        :math:`w = s^2/(2s^2+e^2)` being the weight of the estimate, and the spread is that of the
        average. A gap that does not close counts as one that closes with the longest half-life, and leaves
        the spread as it is. With no gap left, or fewer than three dates, nothing is
        estimated and the recovery is returned as it is.
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
        pace = max(-slope, math.log(2.0) / _SLOWEST)
        life, relative = math.log(2.0) / pace, min(error / pace, 1.0)
        variance = self.spread**2
        weight = variance / (2.0 * variance + relative**2) if variance > 0 else 0.0
        log_life = weight * math.log(max(life, _QUICKEST)) + (1.0 - weight) * math.log(self.half_life)
        spread = math.sqrt(variance * (1.0 - weight)) if pace == -slope else self.spread
        return replace(self, half_life=math.exp(log_life), spread=spread)


def months_between(first: dt.date, last: dt.date) -> float:
    """Return months from one day to another, whole from the first of a month to that of another."""

    def at(day: dt.date) -> float:
        length = ((day.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)).day
        return 12.0 * day.year + day.month + (day.day - 1) / length

    return at(last) - at(first)


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
