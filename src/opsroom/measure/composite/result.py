"""What the composite index says."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.measure.composite.scaling import Scaling
from opsroom.measure.known import Basis

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

METHOD = "composite-2"
Reading = Literal["growth", "level"]
READINGS: tuple[Reading, ...] = ("growth", "level")


@dataclass(frozen=True, slots=True)
class InputReport:
    """How one input entered.

    Attributes
    ----------
    name, title
        Code and words.
    observations, first, latest
        Values used, the Monday of the first one's middle week and of the last week that it tells of.
    weeks_missing
        Weeks at the end of the index of which it does not tell.
    loading
        Its own spreads per typical weekly step of the factor, positive where it moves with output.
    memory
        What its error keeps from one week to the next.
    outliers
        Values with under a quarter of the usual weight.
    """

    name: str
    title: str
    observations: int
    first: dt.date
    latest: dt.date
    weeks_missing: int
    loading: float
    memory: float
    outliers: int


@dataclass(frozen=True, slots=True)
class CompositeResult:
    """A weekly index in two readings, growth on a year and gap to the normal path, with bands.

    Attributes
    ----------
    frame
        By week (its Monday): ``growth``, ``level`` with ``_lower`` and ``_upper``, per cent; ``base_effect``, true
        where the week a year before was itself far from normal; ``inputs``, how many tell of the week.
    parts_growth, parts_level
        What each input adds, percentage points; see `contributions`.
    doubt
        Standard deviations in log points by source: ``_factor`` (missing and noisy inputs), ``_inputs`` (their
        loadings and means are estimated), ``_scale`` (the regression on GDP), ``_output`` (what GDP does and inputs
        do not show): each as far as GDP's known quarters leave it.
    quarters
        By quarter: growth of GDP on four quarters before that the inputs alone imply; what is ``told`` of it, GDP's
        known quarters included, with an interval for GDP itself; and what was ``known`` of it on the day.
    inputs, left_out
        How each input entered, and which had too few values.
    unconfirmed
        Inputs with outliers in the last eight weeks: the index leaves them aside, the band holds what it would be if
        they were the first of a shock.
    basis
        How it was told what was known on the day.
    """

    frame: pd.DataFrame
    parts_growth: pd.DataFrame
    parts_level: pd.DataFrame
    doubt: pd.DataFrame
    quarters: pd.DataFrame
    inputs: tuple[InputReport, ...]
    left_out: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    target: str
    target_title: str
    as_of: dt.date
    base: tuple[dt.date, dt.date]
    basis: Basis
    scaling: Scaling
    level: float
    iterations: int

    def to_frame(self) -> pd.DataFrame:
        """Return both readings by week: a growth rate never comes without the level beside it."""
        return self.frame.copy()

    def contributions(self, reading: Reading = "growth") -> pd.DataFrame:
        """Return what each input adds to a reading, percentage points by week.

        The columns sum to the reading. The target's own is what its known quarters add to what the inputs say;
        ``growth`` has one more, ``normal``: what growth is without any deviation.
        Log contributions are exact; they are stretched by one factor a week to add up in per cent.
        """
        if reading not in READINGS:
            raise UsageError(f"there is no reading {reading!r}.", remedy="Use 'growth' or 'level'.")
        return (self.parts_growth if reading == "growth" else self.parts_level).copy()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know: ``base-effect``, ``unconfirmed``, ``inputs-missing``, ``revised-data``."""
        found = []
        if bool(self.frame["base_effect"].iloc[-1]):
            found.append("base-effect")
        if self.unconfirmed:
            found.append("unconfirmed")
        if self.left_out or any(one.weeks_missing > 8 for one in self.inputs):
            found.append("inputs-missing")
        if self.basis != "vintages":
            found.append("revised-data")
        return tuple(found)

    def summary(self) -> str:
        """Return the last week in a few lines."""
        row, week = self.frame.iloc[-1], pd.Timestamp(self.frame.index[-1])
        level = f"{100 * self.level:.0f} %"
        lines = [
            f"Week of {week:%Y-%m-%d}, as of {self.as_of.isoformat()}, on the scale of {self.target}:",
            f"  {row['level']:+.1f} % against the normal path ({level} band {row['level_lower']:+.1f} to "
            f"{row['level_upper']:+.1f}; base {self.base[0]} to {self.base[1]})",
            f"  {row['growth']:+.1f} % on a year before ({row['growth_lower']:+.1f} to {row['growth_upper']:+.1f}); "
            f"{int(row['inputs'])} of {len(self.inputs)} inputs tell of this week",
        ]
        if row["base_effect"]:
            lines.append("  Base effect: the same week a year before was in a shock. Read the level, not the growth.")
        if self.unconfirmed:
            lines.append(f"  not confirmed by other inputs, in the band only: {', '.join(self.unconfirmed)}")
        if self.left_out:
            lines.append(f"  left out for want of values: {', '.join(self.left_out)}")
        if self.basis != "vintages":
            lines.append("  Known on the day by publication lags: figures are as revised since.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return sources, method version and vintage."""
        return (
            f"opsroom {__version__}, {METHOD}: one weekly factor with heavy-tailed steps and errors behind inputs of "
            "mixed frequency, after Lewis, Mertens, Stock and Trivedi (2020), Eraslan and Götz (2020) and Bańbura and "
            "Modugno (2014), on the level of known output after Fernández (1981); known as of "
            f"{self.as_of.isoformat()} by {self.basis}."
        )

    def chart(self, reading: Reading = "level") -> alt.Chart:
        """Draw a reading with its band over the last three years; the title states the latest figure."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        if reading not in READINGS:
            raise UsageError(f"there is no reading {reading!r}.", remedy="Use 'growth' or 'level'.")
        against = {"growth": "the year before", "level": "the normal path"}
        frame = self.frame.iloc[-156:].reset_index()
        frame["week"] = frame["week"].dt.strftime("%Y-%m-%d")
        last = frame.iloc[-1]
        caption = Caption(
            finding=f"Activity was {last[reading]:+.1f} % against {against[reading]} in the week of {last['week']}",
            unit=f"% of GDP against {against[reading]}", as_of=self.as_of.isoformat(),
        )  # fmt: skip
        other: Reading = "growth" if reading == "level" else "level"
        fields = ["week", reading, f"{reading}_lower", f"{reading}_upper", other]
        return line_band(
            [{str(k): v for k, v in row.items()} for row in frame[fields].to_dict("records")], x="week",
            lines={reading: f"against {against[reading]}", other: f"against {against[other]}"}, caption=caption,
            band=(f"{reading}_lower", f"{reading}_upper"), rule=0,
        )  # fmt: skip

    def cells(self, *, weeks: int = 104, public: bool = False, source: str = "") -> list[Cells]:
        """Return the release series ``composite.index`` and ``composite.contributions``.

        Parameters
        ----------
        weeks
            How many weeks from the end are published.
        public
            True when every input is a registered public dataset or a release.
        source
            Words shown on pages.
        """
        from opsroom.base.results import Cells, Measure

        bounds = [f"{kind}_{side}" for kind in ("growth", "level") for side in ("lower", "upper")]
        index = self.frame.iloc[-weeks:].reset_index()
        index["week"] = _codes(index["week"])
        index[bounds] = index[bounds].round(1)
        index["base_effect"] = index["base_effect"].map({True: "yes", False: "no"})
        facts: dict[str, Any] = {
            "base": [day.isoformat() for day in self.base], "basis": self.basis, "level": self.level,
            "warnings": list(self.warnings), "left_out": list(self.left_out), "target": self.target,
            "normal": round(self.scaling.normal, 2), "calibration_quarters": self.scaling.quarters,
            "titles": {one.name: one.title for one in self.inputs} | {self.target: self.target_title},
            "weeks_missing": {one.name: one.weeks_missing for one in self.inputs},
        }  # fmt: skip
        measures = (
            Measure("level", "public", "% against the normal path", attached=("level_lower", "level_upper")),
            Measure(
                "growth", "public", "% on 52 weeks before",
                attached=("growth_lower", "growth_upper", "base_effect", "inputs"),
            ),
        )  # fmt: skip
        parts = []
        for reading in READINGS:
            wide = self.contributions(reading).iloc[-weeks:]
            parts.append(
                wide.melt(var_name="input", value_name=reading, ignore_index=False).set_index("input", append=True)
            )
        long = pd.concat(parts, axis=1).reset_index()
        long["week"] = _codes(long["week"])
        long["level"] = long["level"].fillna(0.0)  # the normal growth rate is no part of the gap
        share = tuple(Measure(name, "public", "percentage points", decimals=2) for name in ("growth", "level"))
        common: dict[str, Any] = {
            "public": public, "unit_kind": "public", "method": METHOD, "source": source, "facts": facts,
        }  # fmt: skip
        return [
            Cells("composite.index", ("week",), measures, index, **common),
            Cells("composite.contributions", ("week", "input"), share, long, **common),
        ]


def _codes(days: pd.Series) -> pd.Series:
    calendar = days.dt.isocalendar()
    codes: pd.Series = calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)
    return codes
