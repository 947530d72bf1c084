"""How good signals are: ROC and the area under it, errors of both kinds, usefulness, noise to signal.

A signal is given where the score is *above* the threshold. `label` is 1 before a crisis and 0 in calm; rows in which
score or label is missing are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.float64]
Preference = Literal["alessi-detken", "sarlin"]


def paired(score: npt.ArrayLike, label: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return scores and labels of the rows that have both.

    Raises
    ------
    UsageError
        The two differ in shape, a label is neither 0 nor 1, or a score is infinite.
    FitError
        There are not both pre-crisis and calm quarters.
    """
    s, y = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if s.shape != y.shape or s.ndim != 1:
        raise UsageError("scores and labels differ in shape.", remedy="Give one label a score.")
    kept = ~(np.isnan(s) | np.isnan(y))
    s, y = s[kept], y[kept]
    if not np.isin(y, (0.0, 1.0)).all() or np.isinf(s).any():
        raise UsageError("a label is neither 0 nor 1, or a score is infinite.", remedy="Use labels.label.")
    if not 0 < y.sum() < len(y):
        raise FitError(
            "signals cannot be judged: there are not both quarters before a crisis and calm ones.",
            remedy="Use a longer sample, or more economies.",
        )
    return s, y == 1.0


@dataclass(frozen=True, slots=True)
class Roc:
    """The trade-off between both kinds of error, one point a threshold.

    Attributes
    ----------
    fpr, tpr
        Shares of calm and of pre-crisis quarters with a signal, from (0, 0) to (1, 1).
    threshold
        The signal is given above it; falling, the last minus infinity.
    """

    fpr: Floats
    tpr: Floats
    threshold: Floats

    def to_frame(self) -> pd.DataFrame:
        """Return one row a threshold."""
        return pd.DataFrame({"threshold": self.threshold, "fpr": self.fpr, "tpr": self.tpr})


def roc(score: npt.ArrayLike, label: npt.ArrayLike) -> Roc:
    """Return the receiver operating characteristic.

    Parameters
    ----------
    score, label
        One of each a quarter.
    """
    s, y = paired(score, label)
    values, where = np.unique(s, return_inverse=True)
    ones = np.bincount(where, weights=y, minlength=len(values))[::-1]
    zeros = np.bincount(where, weights=~y, minlength=len(values))[::-1]
    tpr = np.concatenate([[0.0], np.cumsum(ones) / ones.sum()])
    fpr = np.concatenate([[0.0], np.cumsum(zeros) / zeros.sum()])
    return Roc(fpr, tpr, np.concatenate([values[::-1], [-np.inf]]))


def auroc(score: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Return the area under the ROC: how often a pre-crisis quarter scores higher than a calm one.

    Parameters
    ----------
    score, label
        One of each a quarter.

    Notes
    -----
    The statistic of Mann and Whitney; ties count half. 0.5 is what a coin gives.
    """
    s, y = paired(score, label)
    ones = int(y.sum())
    from scipy.stats import rankdata  # slow to load, and a track record needs no area

    above = float(rankdata(s)[y].sum()) - ones * (ones + 1) / 2.0
    return above / (ones * (len(y) - ones))


def partial_auroc(
    score: npt.ArrayLike,
    label: npt.ArrayLike,
    *,
    max_fpr: float = 0.5,
    standardised: bool = True,
) -> float:
    """Return the area under the ROC up to a rate of false alarms that could be borne.

    Parameters
    ----------
    score, label
        One of each a quarter.
    max_fpr
        Highest share of calm quarters with a signal, above 0, at most 1.
    standardised
        After McClish (1989): 0.5 for a coin, 1 for no error; else the plain area.

    References
    ----------
    McClish (1989), Analyzing a portion of the ROC curve, Medical Decision Making 9.
    """
    if not 0.0 < max_fpr <= 1.0:
        raise UsageError("the highest rate of false alarms is not in (0, 1].", remedy="Use max_fpr=0.5.")
    curve = roc(score, label)
    return float(area(curve.fpr[None], curve.tpr[None], max_fpr=max_fpr, standardised=standardised)[0])


def area(fpr: Floats, tpr: Floats, *, max_fpr: float = 1.0, standardised: bool = False) -> Floats:
    """Return the area under ROCs up to a rate of false alarms, one a row."""
    width = np.diff(np.minimum(fpr, max_fpr), axis=1)
    full = np.diff(fpr, axis=1)
    rise = np.diff(tpr, axis=1)
    # Of the step that crosses max_fpr only the part before it counts: a trapezium with the interpolated height.
    share = np.divide(width, full, out=np.zeros_like(width), where=full > 0)
    plain = np.asarray((width * (tpr[:, :-1] + rise * share / 2.0)).sum(axis=1))
    if not standardised:
        return plain
    least = max_fpr * max_fpr / 2.0
    return np.asarray(0.5 * (1.0 + (plain - least) / (max_fpr - least)))


@dataclass(frozen=True, slots=True)
class Confusion:
    """Quarters by signal and by what followed.

    Attributes
    ----------
    hits, missed
        Pre-crisis quarters with and without a signal.
    false_alarms, correct_silence
        Calm quarters with and without one.
    """

    hits: int
    false_alarms: int
    missed: int
    correct_silence: int

    @property
    def tpr(self) -> float:
        """Share of pre-crisis quarters with a signal."""
        return _over(self.hits, self.hits + self.missed)

    @property
    def fpr(self) -> float:
        """Share of calm quarters with a signal."""
        return _over(self.false_alarms, self.false_alarms + self.correct_silence)

    @property
    def noise_to_signal(self) -> float:
        """False alarms in calm over hits before crises, as shares; below 1 is better than a coin, NaN without hits."""
        return _over(self.fpr, self.tpr)

    def usefulness(self, theta: float = 0.5, *, preference: Preference = "alessi-detken") -> tuple[float, float]:
        """Return what the signals are worth to somebody who fears missed crises by `theta`: absolute, relative.

        Parameters
        ----------
        theta
            Weight of missed crises against false alarms, strictly between 0 and 1.
        preference
            ``"alessi-detken"``: weights of the two error *rates*. ``"sarlin"``: weights of errors, so that the
            frequency of crises counts.

        Notes
        -----
        With :math:`T_1` the share of missed pre-crisis quarters and :math:`T_2` of false alarms, Alessi and Detken
        (2011) have :math:`U_a = \\min(\\theta, 1-\\theta) - \\theta T_1 - (1-\\theta) T_2`. Sarlin (2013) weighs both
        by how frequent they are, :math:`P_1` and :math:`P_2 = 1 - P_1`:
        :math:`U_a = \\min(\\theta P_1, (1-\\theta) P_2) - \\theta P_1 T_1 - (1-\\theta) P_2 T_2`. The first term is the
        loss without a model: always or never to give a signal. Relative usefulness is :math:`U_a` in shares of it.
        """
        if not 0.0 < theta < 1.0:
            raise UsageError("the preference theta is not between 0 and 1.", remedy="Use theta=0.5.")
        ones, zeros = self.hits + self.missed, self.false_alarms + self.correct_silence
        first, second = theta, 1.0 - theta
        if preference == "sarlin":
            first, second = first * _over(ones, ones + zeros), second * _over(zeros, ones + zeros)
        elif preference != "alessi-detken":
            raise UsageError("this preference is unknown.", remedy="Use alessi-detken or sarlin.")
        least = min(first, second)
        absolute = least - first * (1.0 - self.tpr) - second * self.fpr
        return absolute, _over(absolute, least)


def confusion(score: npt.ArrayLike, label: npt.ArrayLike, threshold: float) -> Confusion:
    """Count quarters by signal and by what followed.

    Parameters
    ----------
    score, label
        One of each a quarter.
    threshold
        A signal is given above it.
    """
    s, y = paired(score, label)
    signal = s > threshold
    hits, alarms = int((signal & y).sum()), int((signal & ~y).sum())
    return Confusion(hits, alarms, int(y.sum()) - hits, int((~y).sum()) - alarms)


@dataclass(frozen=True, slots=True)
class Best:
    """The threshold that serves a preference best."""

    threshold: float
    absolute: float
    relative: float


def best_threshold(
    score: npt.ArrayLike, label: npt.ArrayLike, *, theta: float = 0.5, preference: Preference = "alessi-detken"
) -> Best:
    """Return the threshold with the highest usefulness, the highest of them where several are best.

    Parameters
    ----------
    score, label
        One of each a quarter.
    theta, preference
        See `Confusion.usefulness`.

    Notes
    -----
    All observed scores are tried, and minus infinity (always a signal). Chosen in sample, the usefulness at this
    threshold is flattered; `recursive` chooses by the past alone.
    """
    if not 0.0 < theta < 1.0:
        raise UsageError("the preference theta is not between 0 and 1.", remedy="Use theta=0.5.")
    s, y = paired(score, label)
    curve = roc(s, y)
    weights = weights_of(theta, float(y.mean()), preference)
    gain = usefulness_of(curve.tpr, curve.fpr, weights)
    at = int(np.argmax(gain))
    return Best(float(curve.threshold[at]), float(gain[at]), float(gain[at]) / min(weights))


def weights_of(theta: float, frequency: float, preference: Preference) -> tuple[float, float]:
    """Return the weights of the two error rates."""
    if preference == "sarlin":
        return theta * frequency, (1.0 - theta) * (1.0 - frequency)
    if preference != "alessi-detken":
        raise UsageError("this preference is unknown.", remedy="Use alessi-detken or sarlin.")
    return theta, 1.0 - theta


def usefulness_of(tpr: Floats, fpr: Floats, weights: tuple[float, float]) -> Floats:
    """Return absolute usefulness at each pair of rates."""
    first, second = weights
    return np.asarray(min(weights) - first * (1.0 - tpr) - second * fpr)


def _over(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
