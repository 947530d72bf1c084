"""What only accounts and monthly reports tell: worked out once, and kept while no row of them changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.decide.relief.dated import Dated
from opsroom.decide.relief.habits import Habits, usual_year
from opsroom.decide.relief.panel import MONTHS, Panel, books_of, month_number, month_numbers, with_reports
from opsroom.decide.relief.rehearsal import MONTHS as REHEARSED
from opsroom.decide.relief.response import season
from opsroom.decide.relief.standing import Span, Standing, Stocks, Told


@dataclass(frozen=True, slots=True)
class Groundwork:
    """What the tables say of companies before activity, loans and the register are looked at.

    Attributes
    ----------
    panel
        The months that later estimates look at: those rehearsed, and those whose activity is known.
    habits
        Habits as far as the tables alone tell.
    standing
        Last accounts and reports of each company, and what is normal for it.
    month
        Month of the day on which it was made, since 1970.
    whole
        First month of which anything is known to the panel before months were left out.
    """

    panel: Panel
    habits: Habits
    standing: Standing
    month: int
    whole: int

    @classmethod
    def of(
        cls,
        accounts: pd.DataFrame | Callable[[], pd.DataFrame],
        firm_months: pd.DataFrame | Callable[[], pd.DataFrame],
        *,
        as_of: dt.date,
        activity_months: pd.DataFrame | None = None,
    ) -> Groundwork:
        """Work out what the tables say as of a day.

        Parameters
        ----------
        accounts, firm_months
            As in `firms_from_tables` and `company_panel`; or what reads them, called one after the other: two years
            of every company, of which one table at a time need be in memory.
        as_of
            The day.
        activity_months
            The months whose activity is known, as in `firms_from_tables`.
        """
        span, month = Span.of(as_of, None), month_number(as_of)
        books = Dated.of(accounts() if callable(accounts) else accounts)
        del accounts
        stocks, panel = Stocks.of(books, span), books_of(books, month - MONTHS + 1)
        del books
        reports = Dated.of(firm_months() if callable(firm_months) else firm_months)
        del firm_months
        told, panel = Told.of(reports, span), with_reports(panel, reports)
        del reports
        return cls(
            panel=_since(panel, _first(activity_months)),
            habits=Habits().of_panel(panel),
            standing=Standing.made(span, stocks, told),
            month=month,
            whole=panel.first,
        )

    def holds(self, as_of: dt.date, activity_months: pd.DataFrame | None = None) -> bool:
        """Say whether the same tables give the same as of another day, for these months of activity."""
        first = _first(activity_months)
        seen = first is None or first >= self.panel.first or self.panel.first == self.whole
        return seen and month_number(as_of) == self.month and self.standing.holds(as_of)


def _first(activity_months: pd.DataFrame | None) -> int | None:
    """Return the first month of activity, since 1970."""
    if activity_months is None or activity_months.empty:
        return None
    return int(month_numbers(activity_months["month"]).min())


def _since(panel: Panel, month: int | None) -> Panel:
    """Return the panel from a month on, and in any case those that a rehearsal needs, with what hangs on the rest."""
    start = max(panel.last - REHEARSED, 0)
    if month is not None:
        start = min(start, max(month - panel.first, 0))

    def cut(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values[:, start:])

    return replace(
        panel,
        first=panel.first + start,
        liquid=cut(panel.liquid),
        fixed=cut(panel.fixed),
        materials=cut(panel.materials),
        sales=cut(panel.sales),
        wages=cut(panel.wages),
        tax=cut(panel.tax),
        paid_in=None,
        usual=usual_year(panel),
        seasons=np.array([season(panel, c) for c in range(start, panel.sales.shape[1])]),
    )
