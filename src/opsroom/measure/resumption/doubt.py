"""How wrong the estimate may be in ways that more companies do not cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.measure.resumption.aggregate import Doubt
from opsroom.measure.resumption.readings import F32, Ints
from opsroom.measure.resumption.states import SILENT, Evidence, States, infer
from opsroom.measure.resumption.threshold import AtWork, at_work

Half = npt.NDArray[np.float16]

SAMPLE = 1500
LEVEL_SHIFT = 0.012
"""A common error of normal levels, such as of a mild winter that the fit does not know."""
CARETAKERS = 0.35
"""Standard deviation of the number of caretakers, relative."""
WORKING_DARK = 0.03
"""Standard deviation of the share at work among dark companies that could work with empty premises."""
SILENCE_SPREAD = 0.08
"""How much of the way to the worst case of silent companies is one standard deviation."""


def doubts(
    facts: Evidence, states: States, law: AtWork, section: Ints, reading: Mapping[str, Any], filled: Ints
) -> Doubt:
    """Return systematic errors of state and capacity, in standard deviations.

    Sources: the closed-day level (all companies' pushed up and down together), the normal level (likewise),
    the number of caretakers, work in the dark, and silence, whose meaning is learnt but not known.

    Notes
    -----
    The first two are found by running a systematic sample of companies again with the level changed, and
    handing each section's mean change to its companies.
    """
    every = max(1, len(facts.q) // SAMPLE)
    part = facts.sample(every)
    own = replace(law, stratum=law.stratum[::every])
    sections = int(section.max()) + 1

    def moved(change: Evidence) -> tuple[F32, F32]:
        new = infer(change, states.rates)
        work = own.working(new.dark, new.faint)
        return _by_section(work, section[::every], sections), _by_section(
            new.degree, section[::every], sections
        )

    pairs = [
        (moved(_closed(part, 1.0)), moved(_closed(part, -1.0))),
        (moved(_level(part, 1.0)), moved(_level(part, -1.0))),
    ]
    state = tuple((up[0] - down[0]) / 2 for up, down in pairs)
    capacity = tuple((up[1] - down[1]) / 2 for up, down in pairs)
    more, less = (
        at_work(states.dark, states.faint, states.near, **reading, factor=float(np.exp(s * CARETAKERS)))
        for s in (1, -1)
    )
    caretakers = (less.working(states.dark, states.faint) - more.working(states.dark, states.faint)) / 2
    prior = np.asarray(reading["prior"], dtype=np.float32)[:, None]
    calm = np.arange(states.dark.shape[1]) < reading["since"]
    unseen = np.where(calm[None, :], 0, states.dark * (WORKING_DARK * prior + 0.005))
    silent = facts.miss == SILENT
    quiet = np.where(silent, SILENCE_SPREAD * np.maximum(states.dark, 1 - states.dark), 0)
    each = tuple(x[filled].astype(np.float16) for x in (caretakers, unseen, quiet))
    return Doubt(section[filled].astype(np.int64), state, capacity, each)


def _closed(part: Evidence, sign: float) -> Evidence:
    """Move all closed-day levels by what they may be wrong together: a sixth of each one's own error."""
    shift = sign * (part.closed_sd[:, None] / 6 + 0.01 * part.closed)
    return replace(part, closed=np.clip(part.closed + shift, 0.003, 0.98).astype(np.float32))


def _level(part: Evidence, sign: float) -> Evidence:
    """Move all normal levels."""
    return replace(part, q=(part.q * np.float32(1 + sign * LEVEL_SHIFT)).astype(np.float32))


def _by_section(value: F32, section: Ints, sections: int) -> F32:
    """Return each section's mean, pulled to the mean of all, (sections, days)."""
    overall = value.mean(axis=0)
    table = np.empty((sections, value.shape[1]), dtype=np.float32)
    for number in range(sections):
        rows = value[section == number]
        table[number] = (rows.sum(axis=0) + 20 * overall) / (len(rows) + 20)
    return table
