"""A share against its own history: season, noise, persistence, and how many alarms are false.

The question is whether this month is out of line with what the same series did before, given that it has a
season, that it is an average over few or many companies, that neighbouring months are alike (so that thirty
months of history are worth fewer), and that twenty series are looked at every month.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MAD = 1.4826
_SEASON_PRIOR = 2.0
_MOST = 8.0


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """Scores of a panel of shares against their own histories; S series, M months.

    Attributes
    ----------
    z
        Distance from the history in standard normal units, (S, M); NaN where there is too little history.
    p
        Probability of as high a share if nothing had changed, (S, M).
    alarm
        Whether the month is flagged, (S, M), at the false discovery rate over the series of a month.
    expected
        Expected share, given history and season, (S, M).
    """

    z: Floats
    p: Floats
    alarm: Flags
    expected: Floats

    def alarm_rate(self, months: Flags) -> float:
        """Return the share of judged series-months that were flagged, over the months given."""
        judged = np.isfinite(self.z[:, months])
        return float(self.alarm[:, months][judged].mean()) if judged.any() else float("nan")


def own_history(
    share: Floats,
    effective: Floats,
    calendar: npt.NDArray[np.int64],
    *,
    history_months: int = 36,
    guard_months: int = 2,
    least: int = 12,
    false_discoveries: float = 0.1,
) -> OwnHistory:
    r"""Judge each month of each series by the months before it.

    Parameters
    ----------
    share
        Shares, (S, M), months without gaps; NaN where a series has none.
    effective
        Effective number of companies behind each share, (S, M): :math:`(\sum w)^2/\sum w^2`.
    calendar
        Month of the year of each column, 1 to 12.
    history_months, guard_months
        The history is the `history_months` before the last `guard_months`: a rise that builds up over a
        few months must not become its own benchmark.
    least
        Months of history needed.
    false_discoveries
        Share of the flagged that may be false, over the series of one month (Benjamini and Hochberg).

    Returns
    -------
    OwnHistory
        Nothing in column t depends on later columns.

    Notes
    -----
    On the logit scale, level by the median, season by month-of-year means shrunk by n/(n+2) (from 24 months
    on), scale by the median absolute deviation but never below the sampling error
    :math:`\{p(1-p)n_e\}^{-1/2}`. With lag-one correlation ρ, n months count as
    :math:`n(1-\rho)/(1+\rho)`, which widens the predictive scale and lowers the degrees of freedom of the t
    distribution. `z` is the normal quantile of its p-value, hence comparable between long and short
    histories.

    References
    ----------
    Benjamini and Hochberg (1995). Rousseeuw and Croux (1993), Alternatives to the median absolute deviation.
    """
    if share.shape != effective.shape or share.shape[1] != len(calendar):
        raise UsageError("shares, effective numbers and months do not match.", code="OPS-U100")
    series, months = share.shape
    offset = 0.5 / np.maximum(effective, 1.0)
    logit = np.log((share + offset) / (1.0 - share + offset))
    z, p, expected = (np.full((series, months), np.nan) for _ in range(3))
    for t in range(months):
        stop = t - guard_months
        start = max(0, stop - history_months)
        if stop - start < least:
            continue
        for s in range(series):
            past = slice(start, stop)
            found = _judge(logit[s, past], calendar[past], logit[s, t], calendar[t], effective[s, t], least)
            if found is not None:
                z[s, t], p[s, t], level = found
                expected[s, t] = 1.0 / (1.0 + np.exp(-level))
    alarm = np.column_stack([_discoveries(p[:, t], false_discoveries) for t in range(months)])
    return OwnHistory(z, p, alarm, expected)


def _judge(
    past: Floats, when: npt.NDArray[np.int64], now: float, month: int, effective: float, least: int
) -> tuple[float, float, float] | None:
    """Return z, p and the expected level on the logit scale."""
    kept = np.isfinite(past)
    if kept.sum() < least or not np.isfinite(now):
        return None
    x, calendar = past[kept], when[kept]
    level = float(np.median(x))
    season = np.zeros(13)
    if len(x) >= 24:
        for m in range(1, 13):
            own = x[calendar == m] - level
            season[m] = own.sum() / (len(own) + _SEASON_PRIOR)
    rest = x - level - season[calendar]
    scale = _MAD * float(np.median(np.abs(rest - np.median(rest))))
    centre = level + season[month]
    share = 1.0 / (1.0 + np.exp(-centre))
    scale = max(scale, 1.0 / np.sqrt(max(share * (1.0 - share) * effective, 1e-9)), 1e-6)
    worth = max(3.0, len(x) * _persistence(rest))
    statistic = (now - centre) / (scale * np.sqrt(1.0 + 1.0 / worth))
    p = 1.0 - float(stdtr(worth - 1.0, statistic)) if statistic < 0 else float(stdtr(worth - 1.0, -statistic))
    return float(np.clip(-ndtri(p), -_MOST, _MOST)), p, centre


def _persistence(rest: Floats) -> float:
    """Return (1 - ρ)/(1 + ρ) for the lag-one correlation, clipped to 0 … 0.9."""
    e = rest - rest.mean()
    total = float(e @ e)
    rho = float(np.clip(e[1:] @ e[:-1] / total, 0.0, 0.9)) if total > 0 else 0.0
    return (1.0 - rho) / (1.0 + rho)


def _discoveries(p: Floats, rate: float) -> Flags:
    """Return which hypotheses Benjamini and Hochberg's procedure rejects."""
    flagged = np.zeros(len(p), dtype=bool)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    passed = np.flatnonzero(p[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    if len(passed):
        flagged[order[: passed[-1] + 1]] = True
    return flagged
