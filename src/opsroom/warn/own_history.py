"""A share against its own history: season, noise, persistence, and how many alarms are false.

The question is whether this month is out of line with what the same series did before, given that it has a
season, that it is an average over few or many companies, that it drifts (so that thirty months of history are
worth fewer), and that twenty series are looked at every month.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MAD = 1.4826
_MOST = 8.0
_WEIGHT = 0.3
_WARM = 4


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
    calendar: Ints,
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
    On the logit scale, season by month-of-year means (from 24 months on), shrunk by the ratio of noise to
    season. What is expected
    is an exponentially weighted level of the months up to `guard_months` + 1 before, because arrears drift;
    what is usual is how far the same forecast missed in the past: scale is the median absolute error of
    these forecasts / 0.6745, never below the sampling error :math:`\{p(1-p)n_e\}^{-1/2}`, and the error of
    the season is added. Forecasts h months
    ahead overlap, so n errors count as n/h; this, and not n, gives the degrees of freedom of the t
    distribution. `z` is the normal quantile of the p-value, hence comparable between long and short
    histories.

    References
    ----------
    Benjamini and Hochberg (1995), Controlling the false discovery rate.
    """
    if share.shape != effective.shape or share.shape[1] != len(calendar):
        raise UsageError("shares, effective numbers and months do not match.", code="OPS-U100")
    series, months = share.shape
    offset = 0.5 / np.maximum(effective, 1.0)
    logit = np.log((share + offset) / (1.0 - share + offset))
    z, p, expected = (np.full((series, months), np.nan) for _ in range(3))
    for t in range(months):
        start, stop = max(0, t - guard_months - history_months), t - guard_months
        if stop - start < least:
            continue
        for s in range(series):
            past = slice(start, stop)
            ahead = guard_months + 1
            found = _judge(logit[s, past], calendar[past], logit[s, t], calendar[t], effective[s, t], least, ahead)
            if found is not None:
                z[s, t], p[s, t], level = found
                expected[s, t] = 1.0 / (1.0 + np.exp(-level))
    alarm = np.column_stack([_discoveries(p[:, t], false_discoveries) for t in range(months)])
    return OwnHistory(z, p, alarm, expected)


def _judge(
    past: Floats, when: Ints, now: float, month: int, effective: float, least: int, ahead: int
) -> tuple[float, float, float] | None:
    """Return z, p and the expected level on the logit scale."""
    kept = np.isfinite(past)
    if kept.sum() < least or not np.isfinite(now):
        return None
    x, calendar = past[kept], when[kept]
    season, unsure = _season(x, calendar)
    rest = x - season[calendar]
    level = np.empty(len(rest))
    level[0] = np.median(rest[:_WARM])
    for k in range(1, len(rest)):
        level[k] = level[k - 1] + _WEIGHT * (rest[k] - level[k - 1])
    # the forecast made `ahead` months before, from its own past alone, once it has warmed up
    missed = rest[_WARM + ahead - 1 :] - level[_WARM - 1 : len(rest) - ahead]
    if len(missed) < ahead:
        return None
    centre = level[-1] + season[month]
    share = 1.0 / (1.0 + np.exp(-centre))
    noise = 1.0 / np.sqrt(max(share * (1.0 - share) * effective, 1e-9))
    scale = max(_MAD * float(np.median(np.abs(missed))), noise, 1e-6)
    freedom = max(3.0, len(missed) / ahead)
    scale = float(np.hypot(scale, unsure[month]))
    p = float(stdtr(freedom, -(now - centre) / scale))
    return float(np.clip(-ndtri(p), -_MOST, _MOST)), p, float(centre)


def _season(x: Floats, calendar: Ints) -> tuple[Floats, Floats]:
    """Return the shrunk effect of each month (1 to 12), logit scale, with its error; 0 under two years."""
    season, error = np.zeros(13), np.zeros(13)
    if len(x) < 24:
        return season, error
    # distance from the mean of the surrounding year, so that drift is not taken for season
    rest = np.array([x[k] - _year_around(x, k) for k in range(len(x))])
    groups = [rest[calendar == m] for m in range(1, 13)]
    means = np.array([g.mean() if len(g) else 0.0 for g in groups])
    within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups if len(g)) / max(len(x) - 12, 1)
    between = max(float(means.var()) - within * 12 / len(x), 1e-9)
    prior = float(np.clip(within / between, 0.1, 10.0))  # pure noise shrinks towards no season at all
    number = np.array([float(len(g)) for g in groups])
    season[1:] = means * number / (number + prior)
    error[1:] = np.sqrt(within / (number + prior))
    return season, error


def _year_around(x: Floats, k: int) -> float:
    """Return the mean of twelve months around one, the ends of the window half; less at the edges."""
    window = x[max(0, k - 6) : k + 7]
    weight = np.ones(len(window))
    if len(window) == 13:
        weight[[0, -1]] = 0.5
    return float(window @ weight / weight.sum())


def _discoveries(p: Floats, rate: float) -> Flags:
    """Return which hypotheses Benjamini and Hochberg's procedure rejects."""
    flagged = np.zeros(len(p), dtype=bool)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    passed = np.flatnonzero(p[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    if len(passed):
        flagged[order[: passed[-1] + 1]] = True
    return flagged
