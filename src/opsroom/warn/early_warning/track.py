"""The track record of an indicator at its threshold: what a warning carries to say how often it was wrong."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.proportions import share_interval
from opsroom.warn.early_warning.bootstrap import Blocks, interval
from opsroom.warn.early_warning.evaluation import Sample, labelled, lead_times, sample_of
from opsroom.warn.early_warning.labels import NONE, Rule
from opsroom.warn.early_warning.measures import Confusion, Preference
from opsroom.warn.quarters import last_quarter, quarter_name


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How an indicator did at one threshold, by outcomes known on a day.

    Attributes
    ----------
    indicator, threshold
        A signal is given above the threshold.
    as_of
        The day: later values, crises and outcomes do not exist.
    hits, missed
        Pre-crisis quarters with and without a signal.
    false_alarms, correct_silence
        Calm quarters with and without one.
    theta, preference
        Weight of missed crises against false alarms; whose usefulness it is.
    usefulness, interval, level
        Relative usefulness (1: no error, 0: as good as no model; below: worse), its interval from draws of whole
        economies, and that interval's level.
    noise_to_signal
        False alarms over hits, as shares; from 1 on it is no better than a coin.
    n_crises, warned
        Crises that it could have warned of, and those of which it did, within the horizon.
    median_lead_time
        Quarters from the first signal to the crisis, of crises warned of.
    sample
        What it rests on, and whether values are those of their day.
    rule
        Horizon and exclusions.
    last_label
        Last quarter whose outcome was known on the day.

    Notes
    -----
    NaN where nothing can be said: without a crisis in the sample there is no hit, and no usefulness.
    """

    indicator: str
    threshold: float
    as_of: dt.date
    hits: int
    false_alarms: int
    missed: int
    correct_silence: int
    theta: float
    preference: Preference
    usefulness: float
    interval: tuple[float, float]
    level: float
    noise_to_signal: float
    n_crises: int
    warned: int
    median_lead_time: float
    sample: Sample
    rule: Rule
    last_label: str

    @property
    def timing(self) -> str:
        """``real-time`` or ``quasi-real-time``."""
        return self.sample.timing

    @property
    def warned_interval(self) -> tuple[float, float]:
        """Interval of the share of crises warned of, at `level`: exact (Clopper and Pearson), however few they are.

        Draws of economies tell nothing of a handful of crises that were all warned of: each draw repeats them. This
        interval does: with two of two, at 90 %, it runs from 22 to 100 %. NaN without a crisis.
        """
        return share_interval(self.warned, self.n_crises, level=self.level)

    @property
    def proven(self) -> bool:
        """Whether the whole interval of the usefulness is above zero."""
        return self.interval[0] > 0.0

    def summary(self) -> str:
        """Return the record in three lines."""
        head = f"{self.indicator} above {self.threshold:g}, as of {self.as_of.isoformat()} ({self.timing}): "
        if not self.n_crises:
            return (
                f"{head}no crisis to be judged by.\n"
                f"False alarms in {self.false_alarms:,} of {self.false_alarms + self.correct_silence:,} calm quarters."
            )
        low, high = self.interval
        lead = "" if math.isnan(self.median_lead_time) else f", median lead {self.median_lead_time:g} quarters"
        noise = "no hit" if math.isnan(self.noise_to_signal) else f"noise to signal {self.noise_to_signal:.2f}"
        first, last = self.rule.horizon
        least, most = (100.0 * share for share in self.warned_interval)
        spread = f"({100 * self.level:.0f} % interval {low:.2f} to {high:.2f})"
        spread = "(no interval: that takes several economies)" if math.isnan(low) else spread
        return "\n".join(
            [
                f"{head}warned of {self.warned} of {self.n_crises} crises {first} to {last} quarters ahead{lead}; "
                f"of such crises {least:.0f} to {most:.0f} % ({100 * self.level:.0f} % interval).",
                f"Hits {self.hits:,} of {self.hits + self.missed:,} quarters before a crisis, false alarms "
                f"{self.false_alarms:,} of {self.false_alarms + self.correct_silence:,} calm ones; {noise}.",
                f"Relative usefulness {self.usefulness:.2f} at theta {self.theta:g} {spread}; "
                f"outcomes known to {self.last_label}, {self.sample.countries} economies.",
            ]
        )

    def facts(self) -> dict[str, Any]:  # plain values of several types
        """Return the record as plain values for JSON; NaN as None."""
        found = asdict(self) | {
            "as_of": self.as_of.isoformat(), "timing": self.timing, "warned_interval": self.warned_interval,
        }  # fmt: skip
        return {key: _plain(value) for key, value in found.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return the record as one row."""
        flat = {key: value for key, value in self.facts().items() if not isinstance(value, dict | list)}
        return pd.DataFrame([flat | {"lower": self.interval[0], "upper": self.interval[1]}])

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Track record after Alessi and Detken (2011), European Journal of Political Economy 27, and Sarlin (2013), "
            f"Economics Letters 119; interval of crises warned of after Clopper and Pearson (1934), Biometrika 26; "
            f"{self.timing}; opsroom {__version__}."
        )


def track_record(
    panel: pd.DataFrame,
    crises: pd.DataFrame,
    *,
    indicator: str,
    threshold: float,
    as_of: dt.date,
    rule: Rule | None = None,
    theta: float = 0.5,
    preference: Preference = "alessi-detken",
    timing: str = "quasi-real-time",
    draws: int = 999,
    level: float = 0.9,
    seed: int = 0,
) -> TrackRecord:
    """Return how an indicator did at its threshold, by what was known on a day.

    Answers: how often was this warning right before, and how often wrong?

    Parameters
    ----------
    panel
        ``country``, ``quarter`` and the indicator; rows of quarters that were not over on the day are left out.
    crises
        ``country``, ``start``, ``end`` and, optionally, ``known_at`` (the day on which the crisis was on record);
        without it `Rule.dating_delay` says when.
    indicator, threshold
        Column, and the value above which a signal is given.
    as_of
        The day.
    rule, theta, preference
        As in `evaluate`.
    timing
        ``real-time`` only where the panel holds what was known in each quarter.
    draws, level, seed
        Of the interval.

    Returns
    -------
    TrackRecord
    """
    chosen = rule or Rule()
    until = last_quarter(as_of)
    if "known_at" in crises:
        moment = pd.to_datetime(crises["known_at"], utc=True).dt.tz_localize(None)
        crises = crises[moment < pd.Timestamp(as_of) + pd.Timedelta(days=1)].reset_index(drop=True)
    score, found, names, t = labelled(panel, crises, indicator=indicator, rule=chosen, known_until=until)
    score = np.where(t <= until, score, np.nan)
    judged = ~(np.isnan(score) | np.isnan(found.value))
    signal, before = score > threshold, found.value == 1.0
    counts = Confusion(
        hits=int((judged & signal & before).sum()),
        false_alarms=int((judged & signal & ~before).sum()),
        missed=int((judged & ~signal & before).sum()),
        correct_silence=int((judged & ~signal & ~before).sum()),
    )
    leads = lead_times(np.where(judged, score, np.nan), found, threshold)
    both = counts.hits + counts.missed > 0 and counts.false_alarms + counts.correct_silence > 0
    spread = (float("nan"), float("nan"))
    if both:
        blocks = Blocks(score, found.value, names, draws=draws, seed=seed)
        spread = interval(blocks.usefulness(threshold, theta=theta, preference=preference), level=level)
    return TrackRecord(
        indicator=indicator,
        threshold=float(threshold),
        as_of=as_of,
        hits=counts.hits,
        false_alarms=counts.false_alarms,
        missed=counts.missed,
        correct_silence=counts.correct_silence,
        theta=theta,
        preference=preference,
        usefulness=counts.usefulness(theta, preference=preference)[1] if both else float("nan"),
        interval=spread,
        level=level,
        noise_to_signal=counts.noise_to_signal,
        n_crises=len(np.unique(found.crisis[judged & (found.crisis != NONE)])),
        warned=int(leads.notna().sum()),
        median_lead_time=float(leads.median()),
        sample=sample_of(score, found, names, t, timing=timing),
        rule=chosen,
        last_label=quarter_name(until - chosen.waiting),
    )


def _plain(value: object) -> Any:  # JSON has several types
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value
