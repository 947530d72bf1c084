"""What an estimate takes from register, links and baseline alone, used again while these stand still."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.resumption.baseline import Baseline
from opsroom.measure.resumption.companies import companies_on
from opsroom.measure.resumption.readings import F32, Chains, Ints, day_numbers, ordinal


@dataclass(frozen=True, slots=True)
class Groundwork:
    """Companies and their metering points, laid out.

    Attributes
    ----------
    register, links, baseline
        What it was made of.
    cohort_day, last
        Day on which the cohort was frozen, and last day for entrants.
    companies
        One row a company of the baseline, see `companies_on`.
    chains, level
        Metering points, and what is usual for each.
    shelf
        Further work on the companies alone, kept by those who did it.
    """

    register: pd.DataFrame
    links: pd.DataFrame
    baseline: Baseline
    cohort_day: dt.date
    last: dt.date
    companies: pd.DataFrame
    chains: Chains
    level: F32
    starts: Ints
    shelf: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, register: pd.DataFrame, links: pd.DataFrame, baseline: Baseline, *, cohort_day: dt.date, last: dt.date
    ) -> Groundwork:
        """Lay companies and metering points out.

        Parameters
        ----------
        register, links, baseline, cohort_day
            As in `estimate.resumption`.
        last
            Last day of observation.
        """
        chains = Chains.of(links, enterprises=baseline.enterprise)
        companies = _matched(companies_on(register, cohort_day=cohort_day, last=last), baseline)
        starts = np.sort(day_numbers(register["valid_from"]))
        return cls(register, links, baseline, cohort_day, last, companies, chains, baseline.levels(chains), starts)

    def holds(
        self, register: pd.DataFrame, links: pd.DataFrame, baseline: Baseline, *, cohort_day: dt.date, last: dt.date
    ) -> bool:
        """Return whether `of` would give the same: the same frames, and no row of the register begun since."""
        same = self.register is register and self.links is links and self.baseline is baseline
        begun = np.searchsorted(self.starts, [ordinal(self.last), ordinal(last)], side="right")
        return bool(same and self.cohort_day == cohort_day and begun[0] == begun[1])


def _matched(companies: pd.DataFrame, baseline: Baseline) -> pd.DataFrame:
    """Return the companies in the baseline's order; those that it does not know are left out.

    Entrants since the fit have no normal of before the holiday; they are counted, not measured.
    """
    known = companies.set_index("enterprise_id").reindex(baseline.enterprise)
    known = known[known["region"].notna()].reset_index()
    return known.astype({"entrant": bool, "group": np.int64, "employees": np.int64, "annual_sales": np.int64})
