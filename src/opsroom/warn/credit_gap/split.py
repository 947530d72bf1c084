"""What drives a gap: every change of the ratio divided between credit and GDP, and alarms that GDP cannot raise."""

from __future__ import annotations

from bisect import insort

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

LOOK_BACK = 20
"""Quarters before a gap crossed its threshold in which its rise is taken to have begun: at their lowest gap."""


def usual_path(gdp: Floats) -> Floats:
    """Return where GDP would be had it grown in every quarter as it usually had until then.

    Parameters
    ----------
    gdp
        Shape (T,), positive; NaN where unknown.

    Returns
    -------
    numpy.ndarray
        Shape (T,): 1 in the first known quarter, NaN where GDP is unknown.

    Notes
    -----
    Usual is the median of the growth rates of earlier quarters, in logarithms: a mean would fall with the very
    collapse that it is to be held against. The first step has nothing before it and is its own.
    """
    out = np.full(len(gdp), np.nan)
    at = np.flatnonzero(~np.isnan(gdp))
    if len(at):
        steps = np.diff(at)
        rates = np.diff(np.log(gdp[at])) / steps
        earlier: list[float] = []
        usual = np.empty(len(rates))
        for k, rate in enumerate(rates.tolist()):
            usual[k] = (earlier[(k - 1) // 2] + earlier[k // 2]) / 2.0 if k else rate
            insort(earlier, rate)
        out[at] = np.exp(np.concatenate([[0.0], np.cumsum(usual * steps)]))
    return out


def ratio_steps(credit: Floats, gdp: Floats) -> Floats:
    """Return what credit and what GDP have added to ``100 credit / gdp`` since its first known quarter.

    Parameters
    ----------
    credit, gdp
        Shape (T,); NaN where unknown.

    Returns
    -------
    numpy.ndarray
        Shape (2, T): credit, GDP; NaN where the ratio is unknown. The first known quarter has 0 in both.

    Notes
    -----
    Shapley values of numerator and denominator, each divided by `usual_path`: what both grow by in common is nobody's
    push. They need no logarithm of credit, so that a sector may have none at all.
    """
    out = np.full((2, len(credit)), np.nan)
    at = np.flatnonzero(~np.isnan(credit / gdp))
    if len(at):
        usual = usual_path(gdp)[at]
        c, weight = credit[at] / usual, 100.0 * usual / gdp[at]
        by_credit = np.diff(c) * (weight[1:] + weight[:-1]) / 2.0
        by_gdp = np.diff(weight) * (c[1:] + c[:-1]) / 2.0
        out[0, at] = np.concatenate([[0.0], np.cumsum(by_credit)])
        out[1, at] = np.concatenate([[0.0], np.cumsum(by_gdp)])
    return out


def changes(gap: pd.Series, credit: pd.Series, gdp: pd.Series, *, quarters: int) -> pd.DataFrame:
    """Return the change of a gap over some quarters, by what brought it about.

    Parameters
    ----------
    gap, credit, gdp
        The gap and its two parts.
    quarters
        Over how many.

    Returns
    -------
    pandas.DataFrame
        ``change``, ``credit``, ``gdp`` (points; the last two add up to the first) and ``driven_by``: the one that
        moved the gap further in the direction in which it went, empty where the change is unknown.
    """
    frame = pd.DataFrame({"change": gap, "credit": credit, "gdp": gdp}).diff(quarters)
    towards = np.sign(frame["change"])
    by_credit = frame["credit"] * towards >= frame["gdp"] * towards
    frame["driven_by"] = np.where(frame["change"].isna(), "", np.where(by_credit, "credit", "gdp"))
    return frame


def alarms(
    gap: pd.Series, credit: pd.Series, gdp: pd.Series, *, threshold: float, look_back: int = LOOK_BACK
) -> pd.DataFrame:
    """Return where a gap above its threshold is an alarm, and where only GDP has lifted it there.

    Parameters
    ----------
    gap, credit, gdp
        The gap and its two parts.
    threshold
        Points.
    look_back
        Quarters before the crossing in which the rise is taken to have begun.

    Returns
    -------
    pandas.DataFrame
        ``gap``; ``since``: label of the quarter at which the spell above the threshold began; ``credit``, ``gdp``:
        what each added since the rise began; ``without_gdp``: the gap less what GDP has added since then, where that
        is positive; ``alarm``: that this is above the threshold, too; ``driven_by``. Outside spells: empty, and no
        alarm.

    Notes
    -----
    The rise begins at the lowest gap of the `look_back` quarters before the spell. The reference stays as long as
    the spell lasts: an economy that stays poorer does not look like a credit boom three years later.
    """
    levels, parts = gap.to_numpy(dtype=np.float64), np.vstack([credit.to_numpy(float), gdp.to_numpy(float)])
    added = np.full((2, len(gap)), np.nan)
    since: list[object] = [None] * len(gap)
    begun = origin = -1
    for t, level in enumerate(levels):
        if np.isnan(level):
            continue  # a hole does not end a spell
        if level <= threshold:
            begun = -1
            continue
        if begun < 0:
            begun = t
            before = levels[max(0, t - look_back) : t + 1]
            origin = max(0, t - look_back) + int(np.nanargmin(before))
        added[:, t] = parts[:, t] - parts[:, origin]
        since[t] = gap.index[begun]
    without = levels - np.maximum(added[1], 0.0)
    spell = ~np.isnan(added[0])
    return pd.DataFrame(
        {
            "gap": levels, "since": pd.Series(since, index=gap.index, dtype=object), "credit": added[0],
            "gdp": added[1], "without_gdp": np.where(spell, without, np.nan), "alarm": spell & (without > threshold),
            "driven_by": np.where(spell, np.where(added[0] >= added[1], "credit", "gdp"), ""),
        },
        index=gap.index,
    )  # fmt: skip
