"""Intervals that respect what quarters of one economy have in common: whole economies are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.early_warning.measures import Preference, area, paired, usefulness_of, weights_of

Floats = npt.NDArray[np.float64]

_AT_ONCE = 4_000_000
"""Weights held at once: 32 MB."""


class Blocks:
    """Draws of whole economies, with replacement, and what a measure makes of each.

    Parameters
    ----------
    score, label, country
        One of each a quarter; rows that lack score or label are left out, economies without a row are not drawn.
    draws
        How many, at least 20.
    seed
        Of the draws.

    Notes
    -----
    Quarters are sorted by score once; a draw is a weight of each economy, so that no draw sorts again. A draw without
    pre-crisis or without calm quarters gives NaN, and so do all draws of a single economy.
    """

    def __init__(
        self, score: npt.ArrayLike, label: npt.ArrayLike, country: npt.ArrayLike, *, draws: int = 999, seed: int = 0
    ) -> None:
        if draws < 20:
            raise UsageError("an interval needs at least 20 draws.", remedy="Use draws=999.")
        s, y = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
        names = np.asarray(country, dtype=object)
        kept = ~(np.isnan(s) | np.isnan(y))
        s, true = paired(s, y)
        codes, unique = pd.factorize(names[kept])
        n = len(unique)
        rng = np.random.default_rng(seed)
        picks = rng.integers(0, n, (draws, n))
        self.weights = np.stack([np.bincount(row, minlength=n) for row in picks]).astype(np.float64)
        order = np.argsort(-s, kind="stable")
        self.score, self.true, self.codes = s[order], true[order], codes[order]
        self.ends = np.append(np.flatnonzero(np.diff(self.score)), len(s) - 1)
        ones = np.bincount(codes, weights=true, minlength=n)
        zeros = np.bincount(codes, weights=~true, minlength=n)
        self.ones, self.zeros = self.weights @ ones, self.weights @ zeros
        if n < 2:  # each draw of one economy is that economy: an interval without width would look like certainty
            self.ones = np.full(draws, np.nan)

    def rates(self, threshold: float) -> tuple[Floats, Floats]:
        """Return the shares of pre-crisis and of calm quarters with a signal, one a draw."""
        signal = self.score > threshold
        n = self.weights.shape[1]
        hits = np.bincount(self.codes, weights=signal & self.true, minlength=n)
        alarms = np.bincount(self.codes, weights=signal & ~self.true, minlength=n)
        return _over(self.weights @ hits, self.ones), _over(self.weights @ alarms, self.zeros)

    def usefulness(self, threshold: float, *, theta: float, preference: Preference = "alessi-detken") -> Floats:
        """Return relative usefulness at a threshold, one a draw."""
        tpr, fpr = self.rates(threshold)
        frequency = self.ones / (self.ones + self.zeros)
        out = np.full(len(tpr), np.nan)
        for k in np.flatnonzero(~np.isnan(tpr + fpr)):
            weights = weights_of(theta, float(frequency[k]), preference)
            out[k] = float(usefulness_of(tpr[k : k + 1], fpr[k : k + 1], weights)[0]) / min(weights)
        return out

    def auroc(self) -> Floats:
        """Return the area under the ROC, one a draw."""
        return self._on_curves(lambda fpr, tpr: area(fpr, tpr))

    def partial_auroc(self, *, max_fpr: float = 0.5) -> Floats:
        """Return the standardised partial area, one a draw."""
        return self._on_curves(lambda fpr, tpr: area(fpr, tpr, max_fpr=max_fpr, standardised=True))

    def _on_curves(self, measure: Callable[[Floats, Floats], Floats]) -> Floats:
        draws = len(self.weights)
        out = np.full(draws, np.nan)
        step = max(1, _AT_ONCE // len(self.score))
        for first in range(0, draws, step):
            some = slice(first, min(first + step, draws))
            each = self.weights[some][:, self.codes]
            start = np.zeros((len(each), 1))
            hits = np.hstack([start, np.cumsum(each * self.true, axis=1)[:, self.ends]])
            alarms = np.hstack([start, np.cumsum(each * ~self.true, axis=1)[:, self.ends]])
            tpr, fpr = _over(hits, self.ones[some, None]), _over(alarms, self.zeros[some, None])
            good = ~np.isnan(tpr[:, -1] + fpr[:, -1])
            out[np.flatnonzero(good) + first] = measure(fpr[good], tpr[good])
        return out


def interval(draws: Floats, *, level: float = 0.9) -> tuple[float, float]:
    """Return the central interval of draws, those that gave nothing left out.

    Parameters
    ----------
    draws
        One value a draw.
    level
        Share of the draws inside.
    """
    if not 0.0 < level < 1.0:
        raise UsageError("the level of an interval is not between 0 and 1.", remedy="Use level=0.9.")
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def _over(part: Floats, whole: Floats) -> Floats:
    out = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
