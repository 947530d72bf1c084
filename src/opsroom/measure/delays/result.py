"""What a delay nowcast says: counts as they will be, and which periods are not in yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import NotFoundError
from opsroom.base.results import TOTAL

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]

_SOURCES = {
    "hierarchical": "hierarchical reporting-delay model after Höhle and an der Heiden (2014), McGough et al. (2020), "
    "fitted by penalised quasi-likelihood (Schall 1991; Wood and Fasiolo 2017)",
    "odp": "over-dispersed Poisson chain ladder after Renshaw and Verrall (1998), England and Verrall (2002)",
    "chain-ladder": "chain ladder after Mack (1993)",
}


@dataclass(frozen=True, slots=True)
class DelayResult:
    """A nowcast of counts whose reports are still coming in.

    Attributes
    ----------
    frame
        Indexed by sector (``_T`` is their total) and reference period: ``reported`` (net count known), ``mean``,
        ``sd``, ``median``, ``lower``, ``upper`` of the settled count; ``share``, ``share_lower``, ``share_upper``
        (expected share of the reports that is in, 0 to 1, with its interval); ``age`` (periods of reports
        had); ``complete``: False where reports are still to come. An incomplete period's ``reported`` must
        never be read as a level.
    draws
        Shape (sectors, open periods, draws): the sample of settled counts, joint over sectors and periods.
    open_periods
        The incomplete periods, in order.
    sectors
        In the order of `draws`, the total last.
    method, level, frequency, as_of, max_delay, seed
        As asked for; the count is settled `max_delay` periods after its reference period, by definition.
    facts
        Estimates and counts: dispersion, whether the precisions settled, days of report (Monday to Sunday, 1 on
        average), records known early, net changes after `max_delay`.
    """

    frame: pd.DataFrame
    draws: Floats
    open_periods: pd.PeriodIndex
    sectors: tuple[str, ...]
    method: str
    level: float
    frequency: str
    as_of: date
    max_delay: int
    seed: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The total, or the only sector."""
        return TOTAL if TOTAL in self.sectors else self.sectors[0]

    def to_frame(self) -> pd.DataFrame:
        """Return the frame."""
        return self.frame.copy()

    def quantiles(self, levels: Sequence[float]) -> pd.DataFrame:
        """Return quantiles of the settled count, one column a level; complete periods have one value."""
        table = np.repeat(self.frame["reported"].to_numpy()[:, None], len(levels), axis=1)
        ahead = ~self.frame["complete"].to_numpy()
        table[ahead] = np.quantile(self.draws, levels, axis=2).reshape(len(levels), -1).T
        return pd.DataFrame(table, index=self.frame.index, columns=[float(q) for q in levels])

    def outstanding(self, sector: str | None = None) -> pd.Series:
        """Return what is still to come over all incomplete periods: ``mean``, ``sd``, ``lower``, ``upper``.

        Periods share delays and days, so this interval is not the sum of theirs.
        """
        name = self._sector(sector)
        at = self.sectors.index(name)
        known = self.frame.loc[name].loc[self.open_periods, "reported"].to_numpy()
        coming = (self.draws[at] - known[:, None]).sum(axis=0)
        low, high = np.quantile(coming, [(1 - self.level) / 2, (1 + self.level) / 2])
        return pd.Series({"mean": coming.mean(), "sd": coming.std(), "lower": low, "upper": high})

    def summary(self) -> str:
        """Return the newest period, what is to come, and which periods are incomplete."""
        frame = self.frame.loc[self.main]
        last = frame.iloc[-1]
        level = f"{100 * self.level:.0f} %"
        lines = [
            f"{frame.index[-1]}: {last['reported']:,.0f} reported, {last['mean']:,.0f} expected "
            f"({level} interval {last['lower']:,.0f} to {last['upper']:,.0f}); {100 * last['share']:.0f} % of the "
            f"reports are in ({100 * last['share_lower']:.0f} to {100 * last['share_upper']:.0f} %)."
        ]
        if len(self.open_periods):
            rest = self.outstanding()
            lines.append(
                f"Incomplete: {self.open_periods[0]} to {self.open_periods[-1]}; still to come {rest['mean']:,.0f} "
                f"({rest['lower']:,.0f} to {rest['upper']:,.0f}). Their reported counts are no level."
            )
        lines.append(f"As of {self.as_of:%Y-%m-%d}; settled {self.max_delay} periods after; method {self.method}.")
        if not self.facts.get("settled", True):
            lines.append("The precisions had not settled when estimation stopped: take the intervals with care.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source, version and as-of day."""
        return f"{_SOURCES[self.method]}; opsroom {__version__}; as of {self.as_of:%Y-%m-%d}."

    def chart(self, sector: str | None = None, *, last: int | None = None) -> alt.Chart:
        """Draw the nowcast with its interval over what is reported; incomplete periods are shaded.

        Parameters
        ----------
        sector
            None for the total.
        last
            Periods to show; None: three times `max_delay`.
        """
        from opsroom.base.charts import Caption, Span
        from opsroom.base.charts_lines import line_band
        from opsroom.base.periods import format_period

        name = self._sector(sector)
        frame = self.frame.loc[name].tail(last or 3 * self.max_delay)
        codes = [format_period(p.start_time.date(), self.frequency) for p in frame.index]
        rows = [
            {
                "period": code, "mean": float(row["mean"]), "lower": float(row["lower"]), "upper": float(row["upper"]),
                "reported": float(row["reported"]),
            }
            for code, (_, row) in zip(codes, frame.iterrows(), strict=True)
        ]  # fmt: skip
        spans = []
        ahead = [code for code, done in zip(codes, frame["complete"], strict=True) if not done]
        if ahead:
            spans = [Span(ahead[0], ahead[-1], "incomplete")]
        end = frame.iloc[-1]
        where = "" if name in (TOTAL, self.main) else f"{name}: "
        caption = Caption(
            finding=f"{where}{end['mean']:,.0f} expected in {codes[-1]}, {end['reported']:,.0f} reported so far",
            unit=f"settled count by reference period, {100 * self.level:.0f} % interval",
            as_of=self.as_of.isoformat(),
        )
        return line_band(
            rows, x="period", lines={"mean": "expected", "reported": "reported"}, caption=caption,
            band=("lower", "upper"), spans=spans, band_label=f"{100 * self.level:.0f} % interval",
        )  # fmt: skip

    def _sector(self, sector: str | None) -> str:
        if sector is None:
            return self.main
        if sector not in self.sectors:
            raise NotFoundError(
                "the nowcast has no sector of that name.",
                remedy=f"It has {', '.join(self.sectors)}.",
                code="OPS-N050",
            )
        return sector
