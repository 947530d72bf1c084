"""What could have been forecast: models and thresholds chosen by the past alone, quarter by quarter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.warn.early_warning.bootstrap import Blocks, interval
from opsroom.warn.early_warning.evaluation import Sample, labelled, lead_times, sample_of
from opsroom.warn.early_warning.labels import NONE, Labels, Rule, label
from opsroom.warn.early_warning.logit import fit_logit
from opsroom.warn.early_warning.measures import Confusion, Preference, auroc, best_threshold, confusion
from opsroom.warn.quarters import quarter_name, quarter_numbers

Floats = npt.NDArray[np.float64]
Model = Literal["indicator", "logit", "penalised"]


@dataclass(frozen=True, slots=True)
class RecursiveResult:
    """Forecasts out of sample, and how good they were.

    Attributes
    ----------
    forecasts
        One row a country-quarter: ``country``, ``quarter``, ``score`` (the indicator, or a probability),
        ``threshold`` (the best of the training sample), ``signal``.
    training
        One row a fit: ``quarter``, ``crises``, ``quarters``, ``positives``, ``threshold`` and ``note``, which says
        why there is no forecast.
    auroc, auroc_interval
        Of the scores against labels known at the end of the data; NaN where there are not both labels.
    counts
        Signals against these labels.
    usefulness
        Relative usefulness of the signals.
    warned, lead_time
        Crises warned of; median quarters from the first signal.
    sample
        What the judgement rests on.
    model, predictors, rule, theta, preference, level
        Settings.
    """

    forecasts: pd.DataFrame
    training: pd.DataFrame
    auroc: float
    auroc_interval: tuple[float, float]
    counts: Confusion
    usefulness: float
    warned: int
    lead_time: float
    sample: Sample
    model: Model
    predictors: tuple[str, ...]
    rule: Rule
    theta: float
    preference: Preference
    level: float

    @property
    def training_crises(self) -> tuple[int, int]:
        """Crises in the first and in the last training sample that gave forecasts."""
        used = self.training.loc[self.training["note"] == "", "crises"]
        return (int(used.iloc[0]), int(used.iloc[-1])) if len(used) else (0, 0)

    def summary(self) -> str:
        """Return how good the forecasts were, and on how many crises they were trained."""
        low, high = self.auroc_interval
        first, last = self.training_crises
        silent = int((self.training["note"] != "").sum())
        return "\n".join(
            [
                f"{self.model} of {', '.join(self.predictors)}, out of sample: AUROC {self.auroc:.3f} "
                f"({100 * self.level:.0f} % interval {low:.2f} to {high:.2f}); trained on {first} to {last} crises"
                + (f", {silent} fits without a forecast." if silent else "."),
                f"Judged by {self.sample}.",
                f"Signals: hits {100 * self.counts.tpr:.0f} %, false alarms {100 * self.counts.fpr:.0f} %, relative "
                f"usefulness {self.usefulness:.3f} at theta {self.theta:g}; warned of {self.warned} of "
                f"{self.sample.crises} crises.",
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the forecasts."""
        return self.forecasts

    def cite(self) -> str:
        """Return sources and version."""
        return (
            "Recursive out-of-sample evaluation after Alessi and Detken (2018), Journal of Financial Stability 35; a "
            f"quarter is learnt from {self.rule.waiting} quarters later; opsroom {__version__}."
        )


def recursive(
    panel: pd.DataFrame,
    crises: pd.DataFrame,
    *,
    predictors: Sequence[str],
    first: str,
    model: Model = "indicator",
    rule: Rule | None = None,
    every: int = 4,
    least: int = 3,
    penalty: float = 1.0,
    theta: float = 0.5,
    preference: Preference = "alessi-detken",
    timing: str = "quasi-real-time",
    draws: int = 999,
    level: float = 0.9,
    seed: int = 0,
) -> RecursiveResult:
    """Forecast each quarter by what could have been learnt until then, and judge the forecasts.

    Answers: would the model have warned, had it been in use?

    Parameters
    ----------
    panel
        ``country``, ``quarter`` and the predictors, one row a country-quarter. For a real-time answer the values must
        be those of their day, such as from `credit_gap.gaps_as_known`.
    crises
        ``country``, ``start``, ``end``.
    predictors
        Columns; one for ``model="indicator"``.
    first
        First quarter to forecast.
    model
        ``"indicator"``: the predictor itself is the score, only its threshold is learnt. ``"logit"``: maximum
        likelihood. ``"penalised"``: with `penalty`.
    rule
        Horizon and exclusions; `Rule.dating_delay` delays learning.
    every
        Quarters from one fit to the next.
    least
        Crises below which nothing is forecast.
    penalty
        Of the penalised logit, see `fit_logit`.
    theta, preference
        By which thresholds are chosen, and signals judged.
    timing
        Label of the panel.
    draws, level, seed
        Of the interval.

    Returns
    -------
    RecursiveResult

    Notes
    -----
    At the end of quarter T a quarter t is learnt from only if its label is known: t + horizon + dating delay ≤ T.
    With a horizon of 12 quarters a model of 2007 knows nothing that came after 2004. Standardisation, coefficients
    and threshold use these quarters alone.
    """
    chosen = rule or Rule()
    names = tuple(predictors)
    if not names or (model == "indicator" and len(names) != 1) or model not in ("indicator", "logit", "penalised"):
        raise UsageError(
            "the model and its predictors do not go together.",
            remedy="Give one predictor with model=indicator, one or more with logit or penalised.",
        )
    if every < 1 or least < 1:
        raise UsageError("fits are less than a quarter apart, or need no crisis.", remedy="Use every=4, least=3.")
    absent = [c for c in names if c not in panel]
    if absent:
        raise UsageError(f"the panel lacks the column(s) {', '.join(absent)}.", remedy="Name columns of the panel.")
    # Labels as known in the end, to judge by.
    _, found, country, t = labelled(panel, crises, indicator=names[0], rule=chosen)
    x = panel[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    score, threshold = np.full(len(panel), np.nan), np.full(len(panel), np.nan)
    rows = []
    for now in range(int(quarter_numbers([first])[0]), int(t.max()) + 1, every):
        known = label(country, t, crises, rule=chosen, known_until=now)
        learnt = ~np.isnan(known.value) & ~np.isnan(x).any(axis=1)
        note, cut, scores = _learn(x, known, learnt, model=model, least=least, penalty=penalty, names=names,
                                   theta=theta, preference=preference)  # fmt: skip
        told = (t >= now) & (t < now + every)
        score[told], threshold[told] = scores[told], cut
        rows.append(
            {
                "quarter": quarter_name(now), "crises": _crises(known, learnt), "quarters": int(learnt.sum()),
                "positives": int((known.value[learnt] == 1.0).sum()), "threshold": cut, "note": note,
            }
        )  # fmt: skip
    forecasts = panel[["country", "quarter"]].assign(score=score, threshold=threshold, signal=score > threshold)
    margin = score - threshold
    judged = ~(np.isnan(score) | np.isnan(found.value))
    both = 0 < (found.value[judged] == 1.0).sum() < judged.sum()
    counts = confusion(margin, found.value, 0.0) if both else Confusion(0, 0, 0, 0)
    leads = lead_times(np.where(judged, margin, np.nan), found, 0.0)
    blocks = Blocks(score, found.value, country, draws=draws, seed=seed) if both else None
    nothing = float("nan")
    return RecursiveResult(
        forecasts=forecasts[~np.isnan(score)].reset_index(drop=True),
        training=pd.DataFrame(rows),
        auroc=auroc(score, found.value) if both else nothing,
        auroc_interval=interval(blocks.auroc(), level=level) if blocks else (nothing, nothing),
        counts=counts,
        usefulness=counts.usefulness(theta, preference=preference)[1] if both else nothing,
        warned=int(leads.notna().sum()),
        lead_time=float(leads.median()),
        sample=sample_of(score, found, country, t, timing=timing),
        model=model,
        predictors=names,
        rule=chosen,
        theta=theta,
        preference=preference,
        level=level,
    )


def _learn(
    x: Floats, known: Labels, learnt: npt.NDArray[np.bool_], *, model: Model, least: int, penalty: float,
    names: tuple[str, ...], theta: float, preference: Preference,
) -> tuple[str, float, Floats]:  # fmt: skip
    """Return why there is no forecast (or nothing), the threshold, and scores of all rows."""
    nothing = np.full(len(x), np.nan)
    crises = _crises(known, learnt)
    if crises < least:
        return f"{crises} crises are too few to learn from", float("nan"), nothing
    y = known.value[learnt]
    if not (y == 0.0).any():
        return "no calm quarter to learn from", float("nan"), nothing
    scores = x[:, 0].copy()
    if model != "indicator":
        try:
            fit = fit_logit(x[learnt], y, penalty=penalty if model == "penalised" else 0.0, names=names)
        except FitError as error:
            return error.message, float("nan"), nothing
        scores = fit.predict(x)
    return "", best_threshold(scores[learnt], y, theta=theta, preference=preference).threshold, scores


def _crises(known: Labels, rows: npt.NDArray[np.bool_]) -> int:
    own = known.crisis[rows]
    return len(np.unique(own[own != NONE]))
