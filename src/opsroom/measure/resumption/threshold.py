"""Between closed and barely open: who is at work among those who use next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.measure.resumption.readings import F32

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOW = 0.15
"""Below this telework prior, faint use at the low point is a caretaker's, not work from home."""

HIGH = 0.3
HIDDEN = 0.15
"""Workers hidden in the dark for each one seen in the faint."""

TAPER = 0.4
"""Faint companies that are barely open for each one a degree above: a range 1.3 times as wide at a third of
the density, which falls towards zero."""

WEEK = 7


@dataclass(frozen=True, slots=True)
class AtWork:
    """Probability of being at work given dark use, and given faint use, (strata, days) and by company."""

    stratum: Ints
    dark: F64
    faint: F64
    caretaker: float
    """Caretakers for each closed company that is dark."""

    def working(self, dark: F32, faint: F32) -> F32:
        """Return each company's probability of being at work."""
        lost = dark * (1 - self.dark.astype(np.float32))[self.stratum]
        lost += faint * (1 - self.faint.astype(np.float32))[self.stratum]
        return 1 - lost


def strata(prior: F64, locked: Ints) -> Ints:
    """Return the strata in which faint use is read: telework prior low, middle, high; lockdown or not."""
    band = np.digitize(prior, [LOW, HIGH])
    return np.asarray(np.unique(band * 2 + locked, return_inverse=True)[1], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Tally:
    """Weekly means of the numbers of dark, faint and next-degree companies, (strata, days) each."""

    stratum: Ints
    low: npt.NDArray[np.bool_]
    """Strata in which hardly anybody can work with empty premises."""
    dark: F64
    faint: F64
    near: F64

    @classmethod
    def of(cls, sums: F64, *, stratum: Ints, prior: F64) -> Tally:
        """Smooth the numbers of companies of each stratum.

        Parameters
        ----------
        sums
            Chances of dark use, of faint use and of the degree above, added up, (3, strata, days).
        stratum
            See `strata`.
        prior
            Share of the section's companies (or jobs) that can work with empty premises.
        """
        low = np.zeros(sums.shape[1], dtype=bool)
        low[np.unique(stratum[prior < LOW])] = True
        if not low.any():
            low[:] = True
        return cls(stratum, low, *(_smooth(x) for x in sums))


def at_work(tally: Tally, *, since: int, factor: float = 1.0) -> AtWork:
    """Learn who is at work among dark and faint companies, from all companies together.

    Parameters
    ----------
    tally
        Numbers of dark and faint companies.
    since
        First column after the holiday.
    factor
        Multiplies the number of caretakers and divides that of the barely open; other values than 1
        give the bounds.

    Notes
    -----
    A closed company's caretaker uses as much as a company that is barely open or works from home. At the
    lowest point, in sections where nobody can work from home, faint use is caretakers': their number
    :math:`k` for each dark company is learnt there. Where work from home is possible, of the faint in a
    stratum :math:`k` times the dark are closed and the rest is at work. Where it is not, only as many of
    the faint are at work as a density of open companies that falls to zero with their degree allows. Since
    faint use shades into none, some of the dark are at work too, in proportion. What fails most often:
    offices that work with nothing on at all.
    """
    d, f, above, low = tally.dark, tally.faint, tally.near, tally.low
    total_dark, total_faint = d[low].sum(axis=0), f[low].sum(axis=0)
    after = slice(min(since, d.shape[1] - 1), None)
    worst = int(np.argmax(total_dark[after])) + after.start
    caretaker = float((total_faint[worst] + 0.5) / (total_dark[worst] + 10))
    barely = np.minimum(TAPER / factor * above, f)
    remote = np.maximum(f - caretaker * factor * d, 0)
    working = np.where(low[:, None], barely, np.maximum(remote, barely))
    p_faint = (working + 0.5) / (f + 1)
    p_dark = np.minimum(HIDDEN * working / np.maximum(d, 1e-6), 0.5)
    calm = np.arange(d.shape[1]) < since
    return AtWork(tally.stratum, np.where(calm, 0, p_dark), np.where(calm, 1, p_faint), caretaker)


def _smooth(x: F64) -> F64:
    """Return centred means over a week, shorter at the ends."""
    kernel = np.ones(WEEK)
    weight = np.convolve(np.ones(x.shape[1]), kernel, mode="same")
    return np.stack([np.convolve(row, kernel, mode="same") / weight for row in x])
