"""How good an indicator is at warning of crises: areas, thresholds and lead time, with intervals and their basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.warn.early_warning.bootstrap import Blocks, interval
from opsroom.warn.early_warning.labels import NONE, Labels, Rule, label
from opsroom.warn.early_warning.measures import (
    Preference,
    Roc,
    auroc,
    best_threshold,
    confusion,
    partial_auroc,
    roc,
)
from opsroom.warn.quarters import quarter_name, quarter_numbers

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a judgement rests on.

    Attributes
    ----------
    countries, quarters, positives
        Economies; country-quarters with a label; those before a crisis.
    crises
        Crises with a quarter before them in the sample: how much can be learnt, whatever the number of quarters.
    first, last
        First and last quarter.
    timing
        ``real-time`` or ``quasi-real-time``: whether values are those of their day.
    """

    countries: int
    quarters: int
    positives: int
    crises: int
    first: str
    last: str
    timing: str

    def __str__(self) -> str:
        return (
            f"{self.crises} crises, {self.countries} economies, {self.quarters:,} country-quarters "
            f"({self.positives:,} before a crisis), {self.first} to {self.last}, {self.timing}"
        )


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """How good one indicator is at warning of crises.

    Attributes
    ----------
    indicator
        Its name.
    auroc, partial_auroc
        Areas under the ROC; the second standardised, up to `max_fpr`.
    auroc_interval, partial_auroc_interval
        From draws of whole economies.
    thresholds
        One row a preference theta: ``theta``, ``threshold`` (the best), ``usefulness`` (absolute),
        ``relative_usefulness``, ``tpr``, ``fpr``, ``noise_to_signal``, ``warned`` (crises), ``lead_time`` (median,
        quarters).
    curve
        The ROC.
    sample, rule
        What it rests on, and how quarters were labelled.
    preference, level, max_fpr, draws
        Settings.
    """

    indicator: str
    auroc: float
    auroc_interval: tuple[float, float]
    partial_auroc: float
    partial_auroc_interval: tuple[float, float]
    thresholds: pd.DataFrame
    curve: Roc
    sample: Sample
    rule: Rule
    preference: Preference
    level: float
    max_fpr: float
    draws: int

    def summary(self) -> str:
        """Return the areas with their intervals and basis, and the best threshold of each preference."""
        low, high = self.auroc_interval
        first, second = self.partial_auroc_interval
        lines = [
            f"{self.indicator}: AUROC {self.auroc:.3f} ({100 * self.level:.0f} % interval {low:.2f} to {high:.2f}), "
            f"partial to {100 * self.max_fpr:.0f} % false alarms {self.partial_auroc:.3f} "
            f"({first:.2f} to {second:.2f}).",
            f"Rests on {self.sample}.",
        ]
        for row in self.thresholds.to_dict("records"):
            lines.append(
                f"theta {row['theta']:g}: best above {row['threshold']:.3g}, relative usefulness "
                f"{row['relative_usefulness']:.3f} (in sample), hits {100 * row['tpr']:.0f} %, false alarms "
                f"{100 * row['fpr']:.0f} %, warned of {row['warned']} of {self.sample.crises} crises, "
                f"median lead {row['lead_time']:.0f} quarters."
            )
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return the best threshold of each preference."""
        return self.thresholds

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Early-warning evaluation after Alessi and Detken (2011), European Journal of Political Economy 27, and "
            "Sarlin (2013), Economics Letters 119; partial area after McClish (1989); intervals from "
            f"{self.draws} draws of economies; opsroom {__version__}."
        )

    def chart(self) -> alt.Chart:
        """Return the ROC."""
        import altair as alt

        from opsroom.base.charts import HEIGHT, WIDTH, Caption, colour, finish, plot

        rows = [{"fpr": float(x), "tpr": float(y)} for x, y in zip(self.curve.fpr, self.curve.tpr, strict=True)]
        share = alt.Axis(format="%")
        x, y = alt.X("fpr:Q", title="false alarms in calm", axis=share), alt.Y("tpr:Q", title="hits", axis=share)
        coin = plot([{"fpr": 0.0, "tpr": 0.0}, {"fpr": 1.0, "tpr": 1.0}])
        layers = alt.layer(
            coin.mark_line(color=colour("muted"), strokeDash=[2, 3]).encode(x=x, y=y),
            plot(rows).mark_line(color=colour("main"), strokeWidth=2.2).encode(x=x, y=y, order="tpr:Q"),
        )
        low, high = self.auroc_interval
        caption = Caption(
            finding=f"{self.indicator}: AUROC {self.auroc:.2f} ({low:.2f} to {high:.2f})",
            unit=f"share of quarters with a signal; {self.sample}",
        )
        return finish(layers.properties(width=WIDTH, height=HEIGHT), caption)


def evaluate(
    panel: pd.DataFrame,
    crises: pd.DataFrame,
    *,
    indicator: str,
    rule: Rule | None = None,
    thetas: tuple[float, ...] = (0.5,),
    preference: Preference = "alessi-detken",
    max_fpr: float = 0.5,
    known_until: str | None = None,
    timing: str = "quasi-real-time",
    draws: int = 999,
    level: float = 0.9,
    seed: int = 0,
) -> EvaluationResult:
    """Judge an indicator by the crises that followed it.

    Answers: how often would it have warned, how often falsely, and how sure can one be of that?

    Parameters
    ----------
    panel
        ``country``, ``quarter`` and the indicator, one row a country-quarter.
    crises
        ``country``, ``start``, ``end`` (quarters or years), countries named as in the panel.
    indicator
        Column; high values warn.
    rule
        Horizon and exclusions.
    thetas, preference
        Weights of missed crises for which the best threshold is looked for.
    max_fpr
        Of the partial area.
    known_until
        Last quarter of which crises are known; the panel's last where not given.
    timing
        ``real-time`` only where the panel holds what was known in each quarter.
    draws, level, seed
        Of the intervals.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    FitError
        There are not both quarters before a crisis and calm ones.

    Notes
    -----
    The thresholds are chosen in the sample in which they are judged; see `recursive` for what could have been known.
    Quarters of one crisis are not independent, nor are crises of one year: the interval draws economies, which
    respects the first and not the second.
    """
    chosen = rule or Rule()
    score, found, names, t = labelled(panel, crises, indicator=indicator, rule=chosen, known_until=known_until)
    area, part = auroc(score, found.value), partial_auroc(score, found.value, max_fpr=max_fpr)
    blocks = Blocks(score, found.value, names, draws=draws, seed=seed)
    rows = []
    for theta in thetas:
        best = best_threshold(score, found.value, theta=theta, preference=preference)
        counts = confusion(score, found.value, best.threshold)
        leads = lead_times(score, found, best.threshold)
        rows.append(
            {
                "theta": theta, "threshold": best.threshold, "usefulness": best.absolute,
                "relative_usefulness": best.relative, "tpr": counts.tpr, "fpr": counts.fpr,
                "noise_to_signal": counts.noise_to_signal, "warned": int(leads.notna().sum()),
                "lead_time": float(leads.median()),
            }
        )  # fmt: skip
    return EvaluationResult(
        indicator=indicator,
        auroc=area,
        auroc_interval=interval(blocks.auroc(), level=level),
        partial_auroc=part,
        partial_auroc_interval=interval(blocks.partial_auroc(max_fpr=max_fpr), level=level),
        thresholds=pd.DataFrame(rows),
        curve=roc(score, found.value),
        sample=sample_of(score, found, names, t, timing=timing),
        rule=chosen,
        preference=preference,
        level=level,
        max_fpr=max_fpr,
        draws=draws,
    )


def labelled(
    panel: pd.DataFrame,
    crises: pd.DataFrame,
    *,
    indicator: str,
    rule: Rule,
    known_until: str | int | None = None,
) -> tuple[Floats, Labels, npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Return scores, labels, countries and quarter numbers of a panel.

    Parameters
    ----------
    panel, crises, indicator, rule, known_until
        As in `evaluate`; `known_until` also as a number.
    """
    absent = [c for c in ("country", "quarter", indicator) if c not in panel]
    if absent:
        raise UsageError(f"the panel lacks the column(s) {', '.join(absent)}.", remedy="Give country and quarter.")
    if panel.duplicated(["country", "quarter"]).any():
        raise UsageError("a country has two rows for one quarter.", remedy="Give the rows of one vintage.")
    names = panel["country"].to_numpy(dtype=object)
    t = quarter_numbers(panel["quarter"])
    until = quarter_numbers([known_until])[0] if isinstance(known_until, str) else known_until
    found = label(names, t, crises, rule=rule, known_until=None if until is None else int(until))
    return panel[indicator].to_numpy(dtype=np.float64, na_value=np.nan), found, names, t


def lead_times(score: Floats, found: Labels, threshold: float) -> pd.Series:
    """Return for each crisis how many quarters before its start the first signal came; NaN where none did.

    Parameters
    ----------
    score
        One a row.
    found
        Labels of the rows: signals count inside the horizon alone.
    threshold
        A signal is given above it.

    Returns
    -------
    pandas.Series
        Indexed by the crisis's row, of crises before which the indicator is known.
    """
    rows = (found.crisis != NONE) & ~np.isnan(score)
    lead = np.where(score[rows] > threshold, found.lead[rows].astype(np.float64), np.nan)
    return pd.Series(lead).groupby(found.crisis[rows]).max()


def sample_of(
    score: Floats, found: Labels, names: npt.NDArray[np.object_], t: npt.NDArray[np.int64], *, timing: str
) -> Sample:
    """Return what a judgement rests on.

    Parameters
    ----------
    score, found, names, t
        As from `labelled`.
    timing
        Of the values.
    """
    kept = ~(np.isnan(score) | np.isnan(found.value))
    own = found.crisis[kept]
    return Sample(
        countries=len(set(names[kept])),
        quarters=int(kept.sum()),
        positives=int((found.value[kept] == 1.0).sum()),
        crises=len(np.unique(own[own != NONE])),
        first=quarter_name(int(t[kept].min())) if kept.any() else "",
        last=quarter_name(int(t[kept].max())) if kept.any() else "",
        timing=timing,
    )
