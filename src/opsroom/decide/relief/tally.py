"""Count what the recursion found: by draw (for intervals) and by company (for cells and classes).

Each company that an option covers is, in each draw, exactly one of

decisive   runs out without the option, does not with it
windfall   does not run out either way
futile     runs out either way, and the option did not carry it beyond its own expiry
cliff      was carried through the holiday and runs out after expiry (a company that would not have run out
           at all and does so only because of what it must catch up is counted here, and apart as *harmed*)
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from opsroom.decide.relief.kernel import SHIFT, Months, Shortfalls

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

CLASSES = ("decisive", "windfall", "futile", "cliff")
DECISIVE, WINDFALL, FUTILE, CLIFF = range(4)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts; o options, S sections, T months, d draws, n companies. Option 0 is doing nothing.

    Attributes
    ----------
    illiquid, jobs
        Companies that run out in the month, and their jobs, (o, S, T, d).
    classes, class_jobs
        Companies by class, and their jobs, (o, S, 4, d).
    harmed
        Companies that run out only because of the option, (o, d).
    loss
        Loss on loans by bearer (0 bank, 1 state) in expectation given illiquidity, (2, o, d).
    by_firm
        Draws in which the company runs out in the month, (o, n, T).
    class_by_firm
        Draws in which the company is of the class, (o, n, 4).
    loss_by_firm
        Loss by bearer summed over draws, (2, o, n).
    """

    illiquid: Ints
    jobs: Ints
    classes: Ints
    class_jobs: Ints
    harmed: Ints
    loss: Ints
    by_firm: Counts
    class_by_firm: Counts
    loss_by_firm: Ints


def tally(
    found: Shortfalls,
    *,
    section: Ints,
    sections: int,
    jobs: Ints,
    covered: Flags,
    expiry: Ints,
    owed: Ints,
    loss_shares: tuple[Ints, Ints],
) -> Tally:
    """Count shortfalls by draw and by company.

    Parameters
    ----------
    found
        From `first_shortfall`; option 0 is doing nothing.
    section, sections
        Row of each company's section, and how many there are.
    jobs
        Employees of each company.
    covered
        Which companies have a loan that the option is open to, (o, n).
    expiry
        First month (0-based) wholly after the holiday, (o,).
    owed
        Exposure at the start of each month, (o, n, T).
    loss_shares
        Fixed-point loss per unit owed, of bank and state.

    Returns
    -------
    Tally
        All counts.
    """
    horizon = owed.shape[2]
    arrays = _count(
        found.months, section, sections, jobs, covered, expiry, owed, loss_shares[0], loss_shares[1], horizon
    )
    return Tally(*arrays)


@nb.njit(cache=True)
def classify(without: int, after: int, expiry: int, horizon: int) -> int:
    """Return a company's class in a draw from the months in which it runs out without and with relief."""
    if after >= horizon:
        return WINDFALL if without >= horizon else DECISIVE
    carried = without < expiry or without >= horizon
    return CLIFF if after >= expiry and carried else FUTILE


@nb.njit(cache=True)
def _never(months: Months, horizon: int) -> bool:  # pragma: no cover - compiled
    """Say whether a company runs out in no draw."""
    least = horizon
    for month in months:
        least = min(least, int(month))
    return least >= horizon


@nb.njit(cache=True)
def _count(
    months: Months,
    section: Ints,
    sections: int,
    jobs: Ints,
    covered: Flags,
    expiry: Ints,
    owed: Ints,
    bank: Ints,
    state: Ints,
    horizon: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Counts, Counts, Ints]:  # pragma: no cover - compiled
    options, n, draws = months.shape
    illiquid = np.zeros((options, sections, horizon, draws), dtype=np.int64)
    at_risk = np.zeros((options, sections, horizon, draws), dtype=np.int64)
    classes = np.zeros((options, sections, 4, draws), dtype=np.int64)
    class_jobs = np.zeros((options, sections, 4, draws), dtype=np.int64)
    harmed = np.zeros((options, draws), dtype=np.int64)
    loss = np.zeros((2, options, draws), dtype=np.int64)
    by_firm = np.zeros((options, n, horizon), dtype=np.int32)
    class_by_firm = np.zeros((options, n, 4), dtype=np.int32)
    loss_by_firm = np.zeros((2, options, n), dtype=np.int64)
    never = np.empty(n, dtype=np.bool_)
    for i in range(n):
        never[i] = _never(months[0, i], horizon)
    spared = np.zeros((2, sections), dtype=np.int64)
    for o in range(options):
        spared[:] = 0
        for i in range(n):
            s = section[i]
            if never[i] and _never(months[o, i], horizon):
                if covered[o, i]:  # a windfall in every draw
                    spared[0, s] += 1
                    spared[1, s] += jobs[i]
                    class_by_firm[o, i, WINDFALL] = draws
                continue
            for d in range(draws):
                t = months[o, i, d]
                if t < horizon:
                    illiquid[o, s, t, d] += 1
                    at_risk[o, s, t, d] += jobs[i]
                    by_firm[o, i, t] += 1
                    to_bank = (owed[o, i, t] * bank[i]) >> SHIFT
                    to_state = (owed[o, i, t] * state[i]) >> SHIFT
                    loss[0, o, d] += to_bank
                    loss[1, o, d] += to_state
                    loss_by_firm[0, o, i] += to_bank
                    loss_by_firm[1, o, i] += to_state
                if covered[o, i]:
                    kind = classify(months[0, i, d], t, expiry[o], horizon)
                    classes[o, s, kind, d] += 1
                    class_jobs[o, s, kind, d] += jobs[i]
                    class_by_firm[o, i, kind] += 1
                    if t < horizon and months[0, i, d] >= horizon:
                        harmed[o, d] += 1
        for s in range(sections):
            classes[o, s, WINDFALL] += spared[0, s]
            class_jobs[o, s, WINDFALL] += spared[1, s]
    return illiquid, at_risk, classes, class_jobs, harmed, loss, by_firm, class_by_firm, loss_by_firm
