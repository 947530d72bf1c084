"""What a test for explosive stretches says, with what it would say under other lags and critical values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.charts import is_period
from opsroom.base.periods import format_period
from opsroom.warn.exuberance.critical import CriticalValues
from opsroom.warn.exuberance.episodes import Episode, date_stamps, table_of
from opsroom.warn.exuberance.sequences import Floats, Sequences

if TYPE_CHECKING:
    import altair as alt

CAVEAT = "Explosive behaviour is neither mispricing nor a forecast of a crash."

_KINDS = {
    "monte_carlo": "Monte Carlo critical values",
    "wild_bootstrap": "wild bootstrap",
    "sieve": "sieve bootstrap",
    "signs": "signs of the steps, drawn anew",
}


@dataclass(frozen=True, slots=True)
class ExuberanceResult:
    """Statistics, critical values and episodes of one series.

    Attributes
    ----------
    series
        What was tested.
    adf, sadf, gsadf
        The whole sample's statistic; the largest BADF; the largest BSADF.
    badf, bsadf
        By date, NaN before the first window and where no window to the date moves.
    critical
        `CriticalValues` of the same lags and window.
    p_value
        Of GSADF; those of the others in `p_values`.
    p_values
        ``adf``, ``sadf``, ``gsadf``, and ``last``: that of the last date's BSADF alone.
    episodes
        Dated by BSADF (Phillips, Shi and Yu), oldest first.
    level, min_duration
        With which they were dated.
    """

    series: pd.Series
    adf: float
    sadf: float
    gsadf: float
    badf: pd.Series
    bsadf: pd.Series
    critical: CriticalValues
    p_value: float
    p_values: pd.Series
    episodes: tuple[Episode, ...]
    level: float
    min_duration: int
    periods_per_year: float | None = None
    volatility: str = "raw"
    tested: Floats = field(default_factory=lambda: np.zeros(0), repr=False)

    @classmethod
    def of(
        cls, series: pd.Series, tested: Floats, found: Sequences, critical: CriticalValues, *, level: float,
        min_duration: int, years: float | None, volatility: str,
    ) -> ExuberanceResult:  # fmt: skip
        """Put a result together."""
        lead = np.full(critical.plan.lead, np.nan)
        badf, bsadf = (
            pd.Series(np.concatenate([lead, values[0]]), index=series.index, name=name)
            for name, values in (("badf", found.badf), ("bsadf", found.bsadf))
        )
        adf, sadf, gsadf = float(found.adf[0]), float(found.sadf[0]), float(found.gsadf[0])
        if np.isnan(gsadf):
            from opsroom.base.errors import FitError

            raise FitError(
                "no window of the series has a statistic: it stands still, or follows its rule without error.",
                code="OPS-M342",
                remedy="Give observed values, not interpolated or administered ones.",
            )
        named = {"adf": adf, "sadf": sadf, "gsadf": gsadf, "last": float(found.bsadf[0, -1])}
        p = pd.Series({name: critical.p_value(name, value) for name, value in named.items()}, name="p_value")
        result = cls(
            series=series, adf=adf, sadf=sadf, gsadf=gsadf, badf=badf, bsadf=bsadf, critical=critical,
            p_value=float(p["gsadf"]), p_values=p, episodes=(), level=level, min_duration=min_duration,
            periods_per_year=years, volatility=volatility, tested=tested,
        )  # fmt: skip
        object.__setattr__(result, "episodes", result.date())
        return result

    def date(
        self, *, method: Literal["psy", "pwy"] = "psy", level: float | None = None, min_duration: int | None = None
    ) -> tuple[Episode, ...]:
        """Date episodes anew.

        Parameters
        ----------
        method
            ``psy``: BSADF against its sequence; ``pwy`` (Phillips, Wu and Yu): BADF against BADF's own.
        level, min_duration
            By default those of the result.
        """
        level = self.level if level is None else level
        plan = self.critical.plan
        statistic = self.bsadf if method == "psy" else self.badf
        table = self.critical.bsadf if method == "psy" else self.critical.badf
        self.critical.at("gsadf", level)
        return date_stamps(
            self.series.to_numpy(dtype=np.float64), self.series.index, statistic.to_numpy()[plan.lead :],
            table[level].to_numpy(), plan, min_duration=self.min_duration if min_duration is None else min_duration,
            any_start=method == "psy", walk=self.tested, years=self.periods_per_year,
        )  # fmt: skip

    def sequence(self, level: float | None = None) -> pd.Series:
        """Return BSADF's critical sequence by date."""
        level = self.level if level is None else level
        lead = np.full(self.critical.plan.lead, np.nan)
        return pd.Series(np.concatenate([lead, self.critical.bsadf[level].to_numpy()]), index=self.series.index)

    def sensitivity(
        self, *, lags: Sequence[int | Literal["bic"]] = (0, 1, 4, "bic"),
        kinds: Sequence[str] = ("monte_carlo", "wild_bootstrap", "sieve"), draws: int | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return what other lags and critical values would have said, one row a pair of them.

        Parameters
        ----------
        lags
            Tried in turn; those too many for the length or the window are left out.
        kinds
            Kinds of critical values, each drawn for the lags of its row.
        draws
            By default those of the result.

        Returns
        -------
        pandas.DataFrame
            ``lags``, ``critical_values``, ``gsadf``, ``critical`` (at the result's level), ``p_value``, ``p_last``,
            ``episodes``, ``ongoing``, ``alarm``: GSADF above its critical value. Of a result with
            ``volatility="signs"`` also rows ``signs``; the others are of the series itself.
        """
        from opsroom.warn.exuberance.sensitivity import sensitivity_of

        return sensitivity_of(self, lags=lags, kinds=kinds, draws=draws or self.critical.draws)

    def to_frame(self) -> pd.DataFrame:
        """Return series, BADF, BSADF, the critical sequence and whether an episode runs, one row a date."""
        inside = pd.Series(0, index=self.series.index)
        for episode in self.episodes:
            inside.loc[episode.start : episode.end] = 1 if episode.sign == "boom" else -1
        return pd.DataFrame(
            {
                "value": self.series, "badf": self.badf, "bsadf": self.bsadf, "critical": self.sequence(),
                "episode": inside,
            }
        )  # fmt: skip

    def episode_table(self) -> pd.DataFrame:
        """Return the episodes, one row each."""
        return table_of(self.episodes)

    def summary(self) -> str:
        """Return verdict, critical value, episodes and the caveat in a few lines."""
        critical = self.critical.at("gsadf", self.level)
        verdict = "explosive stretches" if self.gsadf > critical else "no explosive stretch"
        lines = [
            f"{verdict.capitalize()}: GSADF {self.gsadf:.2f} against {critical:.2f} at {100 * self.level:g} % "
            f"(p = {self.p_value:.4f}); {self.critical.plan.words}, {_KINDS[self.critical.kind]}, "
            f"{self.critical.draws:,} draws."
        ]
        if self.episodes and self.gsadf <= critical:
            lines.append(
                "Dates below crossed BSADF's own sequence, which is lower than the value for all dates together: taken "
                "as a whole the series does not tell them from chance."
            )
        for episode in self.episodes:
            until = "ongoing" if episode.ongoing else f"to {episode.end}"
            move = "" if np.isnan(episode.change) else f", {100 * episode.change:+.0f} % to the peak"
            lines.append(
                f"{episode.sign.capitalize()} from {episode.start}, peak {episode.peak}, {until}: "
                f"{episode.duration} observations{move}; root {episode.root:.3f}."
            )
        if not self.episodes:
            lines.append(f"No episode of {self.min_duration} observations or more.")
        lines.append(CAVEAT)
        return "\n".join(lines)

    def cite(self) -> str:
        """Return method and version."""
        return (
            "GSADF after Phillips, Shi and Yu (2015), International Economic Review 56; "
            f"{_KINDS[self.critical.kind]}, {self.critical.plan.words}, smallest window {self.critical.plan.least}; "
            f"opsroom {__version__}."
        )

    def chart(self) -> alt.Chart:
        """Draw BSADF against its critical sequence, episodes shaded."""
        from opsroom.base.charts import Caption, Span
        from opsroom.base.charts_lines import line_band

        codes = codes_of(self.series.index)
        frame = self.to_frame().assign(period=codes)
        at = dict(zip(self.series.index, codes, strict=True))
        shown = frame[frame["bsadf"].notna()]
        rows = [{str(k): _plain(v) for k, v in row.items()} for row in shown.to_dict("records")]
        last = self.episodes[-1] if self.episodes else None
        if last is None or self.gsadf <= self.critical.at("gsadf", self.level):
            finding = "No explosive stretch"
        elif last.ongoing:
            finding = f"Explosive since {at[last.start]} ({last.sign})"
        else:
            finding = f"Last explosive stretch: {at[last.start]} to {at[last.end]} ({last.sign})"
        return line_band(
            rows, x="period", lines={"bsadf": "BSADF", "critical": f"{100 * self.level:g} % critical value"},
            caption=Caption(finding=finding, unit=f"t-value. {CAVEAT}"),
            spans=[Span(at[e.start], at[e.end], e.sign) for e in self.episodes],
        )  # fmt: skip


def codes_of(index: pd.Index) -> list[str]:
    """Return period codes for a chart; positions without dates count days from 1900."""
    if isinstance(index, pd.PeriodIndex):
        freq = index.freqstr[0]
        if freq in "DWMQY":
            return [format_period(period.start_time.date(), freq) for period in index]
        return [str(period.start_time.date()) for period in index]
    if isinstance(index, pd.DatetimeIndex):
        return [str(day.date()) for day in index]
    if len(index) and all(is_period(code) for code in index):
        return [str(code) for code in index]
    return [str((pd.Timestamp(1900, 1, 1) + pd.Timedelta(days=k)).date()) for k in range(len(index))]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
