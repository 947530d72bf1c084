"""What an indicator is held against: quarters before a crisis, calm quarters, and those that say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.quarters import Ints, quarter_numbers

Floats = npt.NDArray[np.float64]

NONE = -1


@dataclass(frozen=True, slots=True)
class Rule:
    """How quarters are labelled.

    Attributes
    ----------
    horizon
        First and last quarter before a crisis's start in which a signal is right.
    after
        Quarters after a crisis's end that are left out: recovery is neither calm nor a warning.
    dating_delay
        Quarters from a crisis's start until it is on record as one.
    """

    horizon: tuple[int, int] = (5, 12)
    after: int = 4
    dating_delay: int = 0

    def __post_init__(self) -> None:
        low, high = self.horizon
        if not 1 <= low <= high:
            raise UsageError("the horizon is not first ≤ last, in quarters from 1.", remedy="Use horizon=(5, 12).")
        if self.after < 0 or self.dating_delay < 0:
            raise UsageError("a number of quarters is negative.", remedy="Give after and dating_delay from 0.")

    @property
    def waiting(self) -> int:
        """Quarters until a quarter's label is known: the horizon, and the delay of dating."""
        return self.horizon[1] + self.dating_delay


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of the rows of a panel.

    Attributes
    ----------
    value
        1 before a crisis, 0 calm, NaN left out: too late, in or after a crisis, or not known yet.
    crisis
        Row of the crisis table that a 1 belongs to; -1 elsewhere.
    lead
        Quarters from the row to that crisis's start; 0 elsewhere.
    known_until
        Number of the last quarter of which anything is known.
    """

    value: Floats
    crisis: Ints
    lead: Ints
    known_until: int

    @property
    def crises(self) -> int:
        """Number of crises before which there are quarters."""
        return len(np.unique(self.crisis[self.crisis != NONE]))


def crisis_spans(crises: pd.DataFrame, *, until: int) -> tuple[Ints, Ints]:
    """Return first and last quarter of each crisis, as numbers.

    Parameters
    ----------
    crises
        ``start`` and, optionally, ``end``: quarters, or whole years. A year begins with its first quarter and ends
        with its last.
    until
        Last quarter of the data: a crisis without an end goes on until then.
    """
    start = _numbers(crises["start"], last=False)
    if np.isnan(start).any():
        raise UsageError("a crisis has no start.", remedy="Give every crisis its first quarter or year.")
    end = _numbers(crises["end"], last=True) if "end" in crises else np.full(len(crises), np.nan)
    end = np.where(np.isnan(end), np.maximum(start, until), end)
    if (end < start).any():
        raise UsageError("a crisis ends before it starts.", remedy="Check the table of crises.")
    return start.astype(np.int64), end.astype(np.int64)


def label(
    country: npt.ArrayLike,
    quarter: Iterable[object] | Ints,
    crises: pd.DataFrame,
    *,
    rule: Rule | None = None,
    known_until: int | None = None,
) -> Labels:
    """Label the quarters of a panel by the crises that followed them.

    Parameters
    ----------
    country, quarter
        One of each a row; quarters as labels or as numbers.
    crises
        ``country``, ``start``, ``end``; countries named as in the panel. Countries without a crisis are calm.
    rule
        Horizon and exclusions.
    known_until
        Number of the last quarter of which anything is known, crises included; the panel's last where not given.

    Returns
    -------
    Labels

    Notes
    -----
    A quarter is 1 if a crisis starts within the horizon after it. It is left out where a crisis starts sooner, goes on
    or has ended less than `Rule.after` quarters ago, also if another crisis follows: what is in one crisis is no
    warning of the next. And it is left out until its label is known: `Rule.waiting` quarters later for a 1 as for a
    0, since ones that came earlier than zeros would make crises look more frequent than they are.
    """
    absent = [c for c in ("country", "start") if c not in crises]
    if absent:
        raise UsageError(f"the crises lack the column(s) {', '.join(absent)}.", remedy="Give country, start, end.")
    rule = rule or Rule()
    names = np.asarray(country, dtype=object)
    numbered = isinstance(quarter, np.ndarray) and quarter.dtype.kind == "i"
    t = quarter.astype(np.int64) if isinstance(quarter, np.ndarray) and numbered else quarter_numbers(quarter)
    if len(names) != len(t):
        raise UsageError("there is not one country a quarter.", remedy="Give both for each row.")
    until = int(known_until if known_until is not None else t.max(initial=0))
    start, end = crisis_spans(crises, until=until)
    dated = start + rule.dating_delay <= until
    value = np.zeros(len(t))
    which = np.full(len(t), NONE, dtype=np.int64)
    out = t + rule.waiting > until
    low, high = rule.horizon
    codes, unique = pd.factorize(names)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(unique) + 1))
    rows = {name: order[bounds[k] : bounds[k + 1]] for k, name in enumerate(unique)}
    for k, name in enumerate(crises["country"]):
        if name not in rows or not dated[k]:
            continue
        at = rows[name]
        lead = start[k] - t[at]
        before = at[(lead >= low) & (lead <= high)]
        # Where two crises are within the horizon, the nearer is the one warned of.
        nearer = before[(which[before] == NONE) | (start[which[before]] > start[k])]
        which[nearer] = k
        value[before] = 1.0
        out[at[(lead < low) & (t[at] <= end[k] + rule.after)]] = True
    value[out] = np.nan
    which[out] = NONE
    return Labels(value, which, np.where(which != NONE, start[which] - t if len(start) else 0, 0), until)


def _numbers(column: pd.Series, *, last: bool) -> Floats:
    """Return quarters or years as quarter numbers, NaN where missing."""
    out = np.full(len(column), np.nan)
    known = column.notna().to_numpy()
    given = column[known]
    if pd.api.types.is_numeric_dtype(given.dtype):
        out[known] = given.to_numpy(dtype=np.float64) * 4 + (3 if last else 0)
    else:
        out[known] = quarter_numbers(pd.Index(given))
    return out
