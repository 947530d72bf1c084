"""Arrears because companies cannot pay, and arrears because nobody collects: a two-component split.

Among the delinquent some companies *look able*: they hold liquidity enough to pay what is overdue. In normal
times a share m of the delinquent looks able (disputes, errors, cash held back); it is known from months with
normal collection. Companies that stop paying only because nobody collects resemble borrowers that perform,
of which a share s looks able now. What is observed is a mixture, and its one unknown can be solved for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.warn.loan_states import month_numbers

Floats = npt.NDArray[np.float64]

NORMAL = 0.97
"""Collection capacity from which on collection counts as normal."""
RULES = (0.0, 0.5, 1.0)
"""Months of fixed costs that must be left after paying the arrears for a company to look able."""
_SHRINK = 15.0
_LEAST_GAP = 0.15
_NEVER = 1 << 20


@dataclass(frozen=True, slots=True)
class Split:
    """Points of the delinquent share that are explained by reduced collection, by section (first: all).

    Attributes
    ----------
    point, lower, upper
        Shares of outstanding, (S + 1,).
    identified
        False where the able share of performing and of ordinarily delinquent companies are too near to
        tell apart: then the bounds are nothing and everything.
    """

    point: Floats
    lower: Floats
    upper: Floats
    identified: bool


def looks_able(months: pd.DataFrame, accounts: pd.DataFrame) -> Floats:
    """Return by rule whether each company-month has liquidity for its arrears, NaN without accounts.

    Parameters
    ----------
    months
        From `loan_states.company_months`.
    accounts
        ``enterprise_id``, ``month``, ``cash``, ``undrawn_credit``, ``fixed_costs``.

    Returns
    -------
    numpy.ndarray
        Shape (rules, rows): 1, 0 or NaN.
    """
    then, here = (month_numbers(t["month"]) for t in (accounts, months))
    first = int(min(x.min(initial=_NEVER) for x in (then, here)))
    span = int(max(x.max(initial=-_NEVER) for x in (then, here))) - first + 1
    firm = accounts["enterprise_id"].to_numpy(dtype=np.int64)
    ids = np.sort(pd.unique(firm))
    asked = months["enterprise_id"].to_numpy(dtype=np.int64)
    at = np.full(len(ids) * span, -1, dtype=np.int64)
    at[np.searchsorted(ids, firm) * span + then - first] = np.arange(len(firm))
    place = np.minimum(np.searchsorted(ids, asked), max(len(ids) - 1, 0))
    row = at[place * span + here - first] if len(ids) else np.full(len(asked), -1, dtype=np.int64)
    row = np.where((row >= 0) & (ids[place] == asked), row, -1) if len(ids) else row

    def of(values: Floats) -> Floats:
        return np.asarray(np.where(row >= 0, values[row], np.nan) if len(values) else np.full(len(row), np.nan))

    stock = of((accounts["cash"] + accounts["undrawn_credit"]).to_numpy(dtype=np.float64))
    fixed = of(accounts["fixed_costs"].to_numpy(dtype=np.float64))
    need = months["arrears"].to_numpy(dtype=np.float64)
    return np.stack([np.where(np.isnan(stock), np.nan, stock >= need + rule * fixed) for rule in RULES])


def usual_able_share(
    months: pd.DataFrame, able: Floats, capacity: pd.Series[float], sections: list[str], before: pd.Timestamp
) -> tuple[Floats, Floats]:
    """Return the share of the delinquent that looks able when collection is normal, and its spread.

    Parameters
    ----------
    months, able
        Company-months and their ability by rule.
    capacity
        Month → collection capacity, 1 = normal; months that it lacks count as normal.
    sections
        Sections, in order.
    before
        Only earlier months are used.

    Returns
    -------
    share : numpy.ndarray
        (rules, S + 1), the first for all sections together; sections are shrunk towards it.
    spread : numpy.ndarray
        (rules,): standard deviation between months of the share for all sections.
    """
    normal = months["month"].map(capacity).fillna(1.0).to_numpy() >= NORMAL
    rows = normal & (months["month"] < before).to_numpy() & months["is_delinquent"].to_numpy() & ~np.isnan(able[0])
    owed = months["delinquent"].to_numpy(dtype=np.float64)[rows]
    where = months["section"].to_numpy()[rows]
    when = months["month"].to_numpy()[rows]
    share = np.full((len(RULES), len(sections) + 1), np.nan)
    spread = np.full(len(RULES), np.nan)
    for k in range(len(RULES)):
        seen = able[k][rows]
        if owed.sum() == 0:
            continue
        share[k, 0] = owed @ seen / owed.sum()
        for column, section in enumerate(sections, start=1):
            own = where == section
            count = float(own.sum())
            raw = owed[own] @ seen[own] / owed[own].sum() if owed[own].sum() > 0 else share[k, 0]
            share[k, column] = (count * raw + _SHRINK * share[k, 0]) / (count + _SHRINK)
        monthly = pd.DataFrame({"m": when, "a": owed * seen, "d": owed}).groupby("m").sum()
        ratio = monthly["a"] / monthly["d"]
        spread[k] = float(ratio.std(ddof=1)) if len(ratio) > 1 else 0.1
    return share, spread


def split(
    now: pd.DataFrame,
    able: Floats,
    usual: Floats,
    spread: Floats,
    sections: list[str],
    *,
    level: float,
    seed: int,
    replicates: int = 100,
) -> Split:
    r"""Solve for the points of delinquency that reduced collection explains in one month.

    Parameters
    ----------
    now
        Company rows of the month.
    able
        Ability by rule, (rules, rows).
    usual, spread
        From `usual_able_share`.
    sections
        Sections, in order.
    level
        Nominal level of the interval.
    seed
        Of the bootstrap.
    replicates
        Poisson bootstrap replicates over companies, per rule.

    Returns
    -------
    Split
        Point by the middle rule; the interval spans sampling, the spread of m between months, and all rules.

    Notes
    -----
    With delinquent share D, of which W looks able: :math:`C = (W - mD)/(s - m)`, clipped to 0 … D, where s is
    the able share of performing borrowers by the same rule. The assumption that fails most often: that who
    stops paying for want of collection resembles who pays.
    """
    known = ~np.isnan(able[0])
    owed = now["outstanding"].to_numpy(dtype=np.float64)
    late = now["delinquent"].to_numpy(dtype=np.float64)
    fine = now["performing"].to_numpy(dtype=np.float64)
    codes = {section: k for k, section in enumerate(sections, start=1)}
    where = np.asarray(now["section"].map(codes).to_numpy(dtype=np.int64), dtype=np.int64)
    rng = np.random.default_rng(seed)
    # a byte holds how often a company is drawn: of hundreds of replicates, eight took more than all loans
    weights = np.ones((1 + replicates, len(now)), dtype=np.int8)
    for row in weights[1:]:
        row[:] = rng.poisson(1.0, len(now))
    outstanding, delinquent = (
        _sums(weights, owed, where, len(sections)),
        _sums(weights, late, where, len(sections)),
    )
    late_known = _sums(weights, late * known, where, len(sections))
    fine_known = _sums(weights, fine * known, where, len(sections))
    point = np.full(len(sections) + 1, np.nan)
    low, high = np.full_like(point, np.inf), np.full_like(point, -np.inf)
    identified = True
    for k in range(len(RULES)):
        seen = np.where(known, able[k], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share_late = _sums(weights, late * seen, where, len(sections)) / late_known
            share_fine = _sums(weights, fine * seen, where, len(sections)) / fine_known
        share_fine = share_fine[:, :1]  # s is common: sections have too few companies
        m = usual[k][None, :] + np.r_[0.0, rng.standard_normal(replicates)][:, None] * spread[k]
        m = np.clip(m, 0.0, 1.0)
        share = delinquent / np.where(outstanding > 0, outstanding, np.nan)
        gap = share_fine - m
        identified = identified and bool((gap[0] > _LEAST_GAP).all())
        found = np.where(late_known > 0, share * (share_late - m) / np.maximum(gap, _LEAST_GAP), 0.0)
        found = np.clip(found, 0.0, share)
        if k == len(RULES) // 2:
            point = found[0]
        bounds = np.full((2, found.shape[1]), np.nan)
        told = ~np.isnan(found[1:]).all(axis=0)  # where nobody can be compared there is nothing to bound
        bounds[:, told] = np.nanquantile(found[1:, told], [(1 - level) / 2, (1 + level) / 2], axis=0)
        low, high = np.minimum(low, bounds[0]), np.maximum(high, bounds[1])
    if not identified:
        share = delinquent[0] / outstanding[0]
        return Split(np.full_like(point, np.nan), np.zeros_like(point), share, identified=False)
    return Split(point, np.minimum(low, point), np.maximum(high, point), identified=True)


def _sums(weights: npt.NDArray[np.int8], values: Floats, where: npt.NDArray[np.int64], sections: int) -> Floats:
    """Return weighted sums by replicate, for all and by section: (replicates, sections + 1)."""
    result = np.zeros((len(weights), sections + 1))
    used = np.flatnonzero(values)
    for code in range(1, sections + 1):
        rows = used[where[used] == code]
        result[:, code] = weights[:, rows].astype(np.float64) @ values[rows]
    result[:, 0] = result[:, 1:].sum(axis=1)
    return result
