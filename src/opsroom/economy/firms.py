"""What does not change in a company's money: cost shares, cash habits, credit lines; and seasons of sales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from opsroom.economy.horizon import MONTHS_SIMULATED, Floats, Ints, month_date
from opsroom.economy.population import Chunk
from opsroom.economy.randomness import stream
from opsroom.economy.sectors import SECTION_CODES, column

TAX: Final = 0.045
"""Taxes as a share of sales."""

_BUFFER_DAYS: Final = np.array([29, 38, 48, 58])
"""Median cash by size, in days of sales (JPMorgan Chase Institute 2016: 27 days of outflows, small firms)."""

_SEASONS: Final = {
    "A": (0.30, 9),
    "D": (0.15, 1),
    "F": (0.16, 8),
    "G": (0.10, 12),
    "I": (0.28, 7),
    "P": (-0.20, 8),
    "R": (0.20, 7),
}
"""Amplitude and month of the peak of sales; other sections: 0.04, November."""


@dataclass(frozen=True, slots=True)
class Firms:
    """Fixed traits of a chunk's companies, one entry each; money in cents."""

    wage: Floats
    """A month's wage of one employee."""
    materials_ppm: Ints
    fixed: Ints
    exports: Floats
    late_pay: Floats
    growth: Floats
    noise: Floats
    target: Ints
    """Cash that the owners like to keep."""
    limit: Ints
    """Credit line."""
    capital: Floats
    monthly: Floats
    """Normal sales of a month."""

    @classmethod
    def draw(cls, chunk: Chunk) -> Firms:
        """Draw the traits of a chunk."""
        e, n = chunk.enterprises, chunk.count
        rng = stream(chunk.seed, "firms", chunk.number)
        sec = e.section
        usual = column("sales")[sec] * 1e5 * e.employees
        wage = column("wage")[sec] * 1e5 / 12 * (e.sales / usual) ** 0.85
        fixed_share = column("fixed")[sec] * np.exp(rng.normal(-0.03, 0.25, n))
        wage_share = wage * 12 * e.employees / e.sales
        margin = rng.normal(0.105, 0.03, n)
        materials = np.clip(1 - fixed_share - wage_share - TAX - margin, 0.03, 0.9)
        days = np.exp(rng.normal(np.log(_BUFFER_DAYS[e.size]), 0.75, n))
        lines = np.where(rng.random(n) < 0.66, rng.uniform(0.1, 1.3, n), 0.0)
        export_share = column("exports")[sec]
        exporter = rng.random(n) < np.clip(export_share * 1.6 + 0.12 * e.size, 0, 0.95)
        return cls(
            wage=wage,
            materials_ppm=np.rint(materials * 1e6).astype(np.int64),
            fixed=np.rint(fixed_share * e.sales / 12).astype(np.int64),
            exports=np.where(exporter, np.clip(rng.beta(1.2, 2.0, n) * export_share * 4, 0, 0.95), 0.0),
            late_pay=np.clip(column("late_pay")[sec] + rng.normal(0, 0.08, n), 0.0, 0.9),
            growth=rng.normal(0.02, 0.05, n),
            noise=np.array([0.11, 0.08, 0.055, 0.04])[e.size] * np.exp(rng.normal(0, 0.3, n)),
            target=np.rint(np.minimum(days, 400) / 365 * e.sales).astype(np.int64),
            limit=np.rint(lines * e.sales / 24).astype(np.int64),
            capital=column("capital")[sec],
            monthly=e.sales / 12,
        )


def season_table() -> Floats:
    """Return the season of sales, section x month number."""
    months = np.array([month_date(t).month for t in range(MONTHS_SIMULATED)])
    rows = []
    for code in SECTION_CODES:
        amplitude, peak = _SEASONS.get(code, (0.04, 11))
        rows.append(1 + amplitude * np.cos(2 * np.pi * (months - peak) / 12))
    return np.array(rows)
