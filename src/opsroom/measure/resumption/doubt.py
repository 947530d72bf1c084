"""How wrong the estimate may be in ways that more companies do not cure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from opsroom.measure.resumption.aggregate import Doubt
from opsroom.measure.resumption.readings import F32, Ints
from opsroom.measure.resumption.states import SEEN, SILENT, Evidence, States, infer
from opsroom.measure.resumption.threshold import Tally, at_work

SAMPLE = 1500
LEVEL_SHIFT = 0.012
"""A common error of normal levels, such as of a mild winter that the fit does not know."""

CARETAKERS = 0.35
"""Standard deviation of the number of caretakers, relative."""

WORKING_DARK = 0.05
"""Standard deviation of the share at work among dark companies that could work with empty premises."""

SILENCE_SPREAD = 0.08
"""How much of the way to the worst case of silent companies is one standard deviation."""

PRIOR_COMPANIES = 20


def every(companies: int) -> int:
    """Return the distance between the companies of the sample on which doubts are found."""
    return max(1, companies // SAMPLE)


def doubts(
    facts: Evidence,
    states: States,
    tally: Tally,
    *,
    section: Ints,
    prior: npt.NDArray[np.float64],
    since: int,
    filled: Ints,
) -> Doubt:
    """Return systematic errors of state and capacity by section, in standard deviations.

    Sources: the closed-day level (all companies' pushed up and down together), the normal level (likewise),
    the number of caretakers, work in the dark, and silence, whose meaning is learnt but not known.

    Parameters
    ----------
    facts, states
        Evidence and smoothed states of a sample: one company of `every`.
    tally
        Of all companies.
    section, prior
        Of all companies, (companies,).
    since
        First column after the holiday.
    filled
        Row that stands for each company, (companies,).

    Notes
    -----
    All are found on the sample: the first two by running it again with the level changed, and
    handing each section's mean change, pulled to the mean of all, to its companies.
    """
    step = every(len(section))
    own = at_work(tally, since=since)
    own = replace(own, stratum=own.stratum[::step])
    dark, faint = states.dark, states.faint
    sections = int(section.max()) + 1

    def by_section(value: npt.NDArray[np.floating]) -> F32:
        return _by_section(value, section[::step], sections)

    def moved(change: Evidence) -> tuple[F32, F32]:
        new = infer(change, states.rates)
        return by_section(own.working(new.dark, new.faint)), by_section(new.degree)

    pairs = [
        (moved(_closed(facts, 1.0)), moved(_closed(facts, -1.0))),
        (moved(_level(facts, 1.0)), moved(_level(facts, -1.0))),
    ]
    more, less = (
        replace(at_work(tally, since=since, factor=float(np.exp(sign * CARETAKERS))), stratum=own.stratum)
        for sign in (1, -1)
    )
    caretakers = by_section((less.working(dark, faint) - more.working(dark, faint)) / 2)
    share = (WORKING_DARK * prior[::step, None] + 0.005).astype(np.float32)
    calm = np.arange(dark.shape[1]) < since
    unseen = by_section(np.where(calm[None, :], 0, dark * share))
    silent = (facts.miss == SILENT) & (facts.miss == SEEN).any(axis=1)[:, None]
    quiet = by_section(np.where(silent, SILENCE_SPREAD * np.maximum(dark, 1 - dark), 0).astype(np.float32))
    both = (caretakers, unseen, quiet)
    state = tuple((up[0] - down[0]) / 2 for up, down in pairs)
    capacity = tuple((up[1] - down[1]) / 2 for up, down in pairs)
    return Doubt(section[filled].astype(np.int64), (*state, *both), (*capacity, *both))


def _closed(part: Evidence, sign: float) -> Evidence:
    """Move all closed-day levels by what they may be wrong together: a sixth of each one's own error."""
    shift = sign * (part.closed_sd[:, None] / 6 + 0.01 * part.closed)
    return replace(part, closed=np.clip(part.closed + shift, 0.003, 0.98).astype(np.float32))


def _level(part: Evidence, sign: float) -> Evidence:
    """Move all normal levels."""
    return replace(part, q=(part.q * np.float32(1 + sign * LEVEL_SHIFT)).astype(np.float32))


def _by_section(value: npt.NDArray[np.floating], section: Ints, sections: int) -> F32:
    """Return each section's mean, pulled to the mean of all, (sections, days)."""
    overall = value.mean(axis=0)
    table = np.empty((sections, value.shape[1]), dtype=np.float32)
    for number in range(sections):
        rows = value[section == number]
        table[number] = (rows.sum(axis=0) + PRIOR_COMPANIES * overall) / (len(rows) + PRIOR_COMPANIES)
    return table
