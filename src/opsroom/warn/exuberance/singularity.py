"""Log-periodic power laws (LPPLS), by the library ``lppls``: an extra, and a second opinion at most."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.warn.exuberance.sequences import Floats, values_of

_NAMES = ("tc", "m", "w", "a", "b", "c", "c1", "c2", "O", "D")


@dataclass(frozen=True, slots=True)
class LpplsResult:
    """Confidence that a series runs towards a singularity.

    Attributes
    ----------
    confidence
        Indexed by the windows' last dates: ``positive`` and ``negative``, the share of nested windows whose fit keeps
        the library's bounds, upwards or downwards; 0 to 1.
    fits
        One row a fit: the library's parameters, first and last observation.
    """

    confidence: pd.DataFrame
    fits: pd.DataFrame
    version: str

    def to_frame(self) -> pd.DataFrame:
        """Return the confidence indicator."""
        return self.confidence.copy()

    def summary(self) -> str:
        """Return the last indicator and what it is not."""
        last = self.confidence.iloc[-1]
        return (
            f"LPPLS confidence {self.confidence.index[-1]}: upwards {last['positive']:.2f}, downwards "
            f"{last['negative']:.2f}, of {len(self.fits)} fits. It has no known error rate: a second opinion, no alarm."
        )

    def cite(self) -> str:
        """Return method, library and version."""
        return (
            "Log-periodic power law singularity, confidence indicator of Sornette, Demos, Zhang, Cauwels, Filimonov "
            f"and Zhang (2015), Journal of Investment Strategies 4; lppls {self.version}; opsroom {__version__}."
        )


def lppls_confidence(
    price: pd.Series | npt.ArrayLike, *, window: int = 120, smallest: int = 30, outer: int = 5, inner: int = 5,
    searches: int = 25, seed: int = 0,
) -> LpplsResult:  # fmt: skip
    """Fit log-periodic power laws to nested windows and return the library's confidence indicator.

    Answers: does the price rise (or fall) ever faster towards a point in time, swinging ever quicker?

    Parameters
    ----------
    price
        Positive, one value a period, without gaps; time is counted in observations, so give daily prices.
    window, smallest
        Observations of the largest and smallest window to each date.
    outer, inner
        Observations between dates, and between the windows to a date.
    searches
        Random starts of each fit.
    seed
        Of the starts.

    Returns
    -------
    LpplsResult

    Raises
    ------
    UsageError
        The extra is not installed (OPS-U353), or a window is out of range.
    FitError
        The price has a gap, is not positive, or is shorter than a window.

    Notes
    -----
    Slow: one fit takes tens of milliseconds to a second. What fails most often: with seven parameters a fit is nearly
    always found, and the indicator's error rate is unknown.

    References
    ----------
    Filimonov and Sornette (2013), A stable and robust calibration scheme of the log-periodic power law model,
    Physica A 392, 3698-3707.
    """
    if find_spec("lppls") is None:
        raise UsageError(
            "LPPLS is not installed.",
            code="OPS-U353",
            remedy="Install opsroom[lppls], or use gsadf, which has no need.",
        )
    values, index = values_of(price)
    if not 10 <= smallest <= window or min(outer, inner, searches) < 1:
        raise UsageError(
            "windows go from 10 observations up, steps and searches from 1.",
            code="OPS-U353",
            remedy="Use window=120, smallest=30, outer=5, inner=5, searches=25.",
        )
    if not np.all(values > 0.0) or len(values) < window:
        raise FitError(
            f"LPPLS needs {window} positive prices at least.", code="OPS-M343", remedy="Give prices, and more of them."
        )
    from importlib.metadata import version

    kept = random.getstate()  # the library draws from the one generator that all share, already when it is imported
    from lppls.lppls import LPPLS

    observations = np.array([np.arange(len(values), dtype=np.float64), np.log(values)])
    model = LPPLS(observations=observations)
    ends = range(window, len(values) + 1, outer)
    random.seed(seed)
    try:
        nested = [_nested(model, observations[:, end - window : end], smallest, inner, searches) for end in ends]
    finally:
        random.setstate(kept)
    indicators = model.compute_indicators(nested)
    confidence = pd.DataFrame(
        {"positive": indicators["pos_conf"].to_numpy(), "negative": indicators["neg_conf"].to_numpy()},
        index=index[[end - 1 for end in ends]],
    )
    fits = pd.DataFrame([fit for one in nested for fit in one["res"]])
    return LpplsResult(confidence, fits, version("lppls"))


def _nested(model: Any, seen: Floats, smallest: int, inner: int, searches: int) -> dict[str, Any]:
    """Return the fits of all windows to one date, as the library's indicator wants them."""
    fits = []
    for length in range(seen.shape[1], smallest - 1, -inner):
        part = seen[:, -length:]
        found = dict(zip(_NAMES, (float(v) for v in model.fit(searches, obs=part)), strict=True))
        fits.append(found | {"t1": float(part[0, 0]), "t2": float(part[0, -1])})
    return {"t1": float(seen[0, 0]), "t2": float(seen[0, -1]), "p2": float(seen[1, -1]), "res": fits}
