"""Filings: when they come in, and what a missing one means: not due, late, or a company that files no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FILED, NOT_DUE, LATE, SILENT, GONE, OUTSIDE = range(6)
"""State of a company's record of a month. Only the filed, the silent and the gone say something of the company."""

BACKFILL = 6
"""A day on which so many months come in at once is a backfill, which tells nothing of delays."""

SLIVER = 0.05
"""Share of a month's filings below which a day's are stragglers of that month, not a load of it."""

DUE = 0.5
"""A month is due once half of its filings are usually in."""

LATEST = 0.995
"""However late it is, one filing in two hundred is believed to come later."""

STOPPING = 0.004
"""Share of companies that cease in a month, where the register shows none."""


@dataclass(frozen=True, slots=True)
class DelayLaw:
    """Share of filings that are in by age, learnt from earlier months.

    Attributes
    ----------
    ages
        Days from the end of the month, rising.
    share
        Of the filings that come, which share is in by that age; the last is 1.
    filings
        Filings that it rests on; 0 where it is only the rule that a month is due when it is there.
    """

    ages: Ints
    share: F64
    filings: int

    @classmethod
    def learn(cls, delay: Ints, month: Ints, open_days: Ints) -> DelayLaw:
        """Learn from filings of which delay, month and the days that the month could be watched are known.

        Parameters
        ----------
        delay
            Days from the end of the month to the filing.
        month
            Month of each filing.
        open_days
            Days from the end of that month to the day of knowledge.

        Notes
        -----
        Of a young month only the early filings have been seen. So the law is put together backwards:
        :math:`F(a) = \\prod_{b > a} (1 - n_b / N_b)` with :math:`n_b` filings of delay b and :math:`N_b` of delay b
        or less, both of months watched for b days or more (reverse-time hazards).

        References
        ----------
        J. D. Kalbfleisch, J. F. Lawless, "Inference based on retrospective ascertainment", 1989.
        """
        if not len(delay):
            return cls(np.zeros(1, dtype=np.int64), np.ones(1), 0)
        ages = np.unique(delay)
        stay = np.ones(len(ages))
        for k, age in enumerate(ages):
            watched = open_days >= age
            within = np.count_nonzero(watched & (delay <= age))
            stay[k] = 1 - int(np.count_nonzero(watched & (delay == age))) / max(int(within), 1)
        later = np.append(np.cumprod(stay[::-1])[::-1][1:], 1.0)
        return cls(ages.astype(np.int64), later, len(delay))

    def at(self, age: npt.ArrayLike) -> F64:
        """Return the share that is in at an age."""
        place = np.searchsorted(self.ages, np.asarray(age), side="right") - 1
        return np.asarray(np.where(place >= 0, self.share[np.maximum(place, 0)], 0.0))


def learned(month: Ints, filed: Ints, ends: Ints, as_of: int) -> DelayLaw:
    """Return the delay law of filings, backfills left out.

    Parameters
    ----------
    month, filed
        Month (number) and day on which each filing was first known.
    ends
        Last day of each month.
    as_of
        Day of knowledge.
    """
    if not len(month):
        return DelayLaw.learn(filed, month, filed)
    pairs, count = np.unique(np.column_stack([filed, month]), axis=0, return_counts=True)
    usual = np.bincount(month, minlength=len(ends))
    loads = pairs[count >= SLIVER * usual[pairs[:, 1]]]
    days, months = np.unique(loads[:, 0], return_counts=True)
    use = ~np.isin(filed, days[months >= BACKFILL]) & (filed > ends[month])
    return DelayLaw.learn((filed - ends[month])[use], month[use], as_of - ends[month][use])


def states(filed: Ints, law: DelayLaw, *, ends: Ints, as_of: int, gone: Ints, stopping: float) -> npt.NDArray[np.int8]:
    """Return the state of each company's record of each month.

    Parameters
    ----------
    filed
        Day of first knowledge, -1 for none, (companies, months).
    law
        When filings come.
    ends
        Last day of each month.
    as_of
        Day of knowledge.
    gone
        Day of death by company.
    stopping
        Share of companies that cease in a month.

    Notes
    -----
    A company of which n due months in a row are missing has ceased with probability
    :math:`q / (q + (1 - q) \\prod (1 - F(a_k)))`; above one half it is silent, before it is late. One that has never
    filed is outside the source.
    """
    share = np.minimum(law.at(as_of - ends), LATEST)
    out = np.where(filed >= 0, FILED, np.where(share < DUE, NOT_DUE, LATE)).astype(np.int8)
    excuse = np.ones(len(filed))
    for t in range(filed.shape[1]):
        missing = filed[:, t] < 0
        excuse = np.where(missing, excuse * (1 - share[t]), 1.0)
        ceased = stopping / (stopping + (1 - stopping) * excuse)
        out[missing & (ceased > 0.5), t] = SILENT
    # Silence begins with the first missing month: what is late before it is part of it.
    silent = np.zeros(len(filed), dtype=bool)
    for t in reversed(range(filed.shape[1])):
        silent = (silent & (filed[:, t] < 0)) | (out[:, t] == SILENT)
        out[silent, t] = SILENT
    out[~(filed >= 0).any(axis=1)] = OUTSIDE
    out[(filed < 0) & (gone[:, None] <= ends)] = GONE
    return out
