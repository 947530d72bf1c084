"""How wrong the estimate may be in ways that more companies do not cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.measure.resumption.aggregate import Doubt
from opsroom.measure.resumption.readings import F32, Ints
from opsroom.measure.resumption.remote import working_dark
from opsroom.measure.resumption.states import SILENT, Evidence, States, infer

Half = npt.NDArray[np.float16]

SAMPLE = 1500
LEVEL_SHIFT = 0.04
"""A common error of normal levels, such as a mild winter's that the fit does not know."""
TELEWORK_SPREAD = 0.35
"""Standard deviation of the telework prior, relative."""
SILENCE_SPREAD = 0.3
"""How much of the way to the worst case of silent companies is one standard deviation."""


def doubts(
    facts: Evidence, states: States, rho: F32, remote: dict[str, Any], filled: Ints
) -> Doubt:
    """Return systematic errors of state and capacity, in standard deviations.

    Sources: the closed-day level (all companies' pushed up and down together), the normal level (likewise),
    the telework prior, and silence, whose meaning is learnt but not known.

    Notes
    -----
    The first two are found by running a systematic sample of companies again with the level changed, and
    handing each section's mean change to its companies.
    """
    every = max(1, len(facts.q) // SAMPLE)
    part = facts.sample(every)
    section = remote["section"]
    code = np.unique(section, return_inverse=True)[1]
    dark_changes, degree_changes = [], []
    lit = 1 - rho[::every]
    base = infer(part, states.rates)
    for change in (_closed(part, 1.0), _closed(part, -1.0), _level(part, 1.0), _level(part, -1.0)):
        moved = infer(change, states.rates)
        dark_changes.append(_by_section((base.dark - moved.dark) * lit, code[::every], int(code.max()) + 1))
        degree_changes.append(_by_section(moved.degree - base.degree, code[::every], int(code.max()) + 1))
    state = tuple((dark_changes[i] - dark_changes[i + 1]) / 2 for i in (0, 2))
    capacity = tuple((degree_changes[i] - degree_changes[i + 1]) / 2 for i in (0, 2))
    high = working_dark(states.dark, **remote, strength=1 + TELEWORK_SPREAD)
    low = working_dark(states.dark, **remote, strength=1 - TELEWORK_SPREAD)
    telework = (states.dark * (high - low) / 2)[filled].astype(np.float16)
    silent = facts.miss == SILENT
    quiet = np.where(silent, SILENCE_SPREAD * np.maximum(states.dark, 1 - states.dark), 0)
    return Doubt(code[filled].astype(np.int64), state, capacity, (telework, quiet[filled].astype(np.float16)))


def _closed(part: Evidence, sign: float) -> Evidence:
    """Move all closed-day levels by what they may be wrong together: a third of each one's own error."""
    shift = sign * (part.closed_sd / 3 + 0.02 * part.closed)
    return replace(part, closed=np.clip(part.closed + shift, 0.003, 0.98).astype(np.float32))


def _level(part: Evidence, sign: float) -> Evidence:
    """Move all normal levels."""
    return replace(part, q=(part.q * np.float32(1 + sign * LEVEL_SHIFT)).astype(np.float32))


def _by_section(change: F32, sampled: Ints, sections: int) -> F32:
    """Return each section's mean change, pulled to the mean of all, (sections, days)."""
    overall = change.mean(axis=0)
    table = np.empty((sections, change.shape[1]), dtype=np.float32)
    for number in range(len(table)):
        rows = change[sampled == number]
        table[number] = (rows.sum(axis=0) + 20 * overall) / (len(rows) + 20)
    return table
