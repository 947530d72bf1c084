"""How deep a flow fell, for how long, and how fast it came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from opsroom.base.errors import UsageError

Floats = NDArray[np.float64]
Reason = Literal["", "no-shock", "not-recovered", "interval-open", "no-errors"]
"""Why a measure or one of its bounds is not there; a message id for the faces."""

THRESHOLD = 5.0
STAY = 3
_DRAWS = 400
_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with its interval, or the reason why it has none.

    Attributes
    ----------
    value
        NaN where there is none.
    lower, upper
        Of a 90 % interval; ``inf`` where the end is not known yet.
    censored
        True where the recovery is unfinished: `value` is then a lower bound.
    reason
        Empty, or why something is missing.
    """

    value: float
    lower: float
    upper: float
    censored: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Resilience:
    """What became of one flow in one shock.

    Attributes
    ----------
    depth
        Largest gap in the direction of the shock, per cent, signed.
    duration
        Periods from the first one beyond the threshold until the flow is back within it, and stays.
    half_life
        Periods from the trough until half of the depth is made good, and stays so.
    onset, trough, end
        Positions in the path; -1 where there is none.
    threshold
        Gaps smaller than this, in per cent, were taken as ordinary.
    """

    depth: Measured
    duration: Measured
    half_life: Measured
    onset: int
    trough: int
    end: int
    threshold: float


def resilience(
    gap: Floats,
    *,
    since: int = 0,
    errors: Floats | None = None,
    threshold: float = THRESHOLD,
    stay: int = STAY,
) -> Resilience:
    """Measure depth, duration and recovery half-life of a path.

    Parameters
    ----------
    gap
        Gap to the normal path by period, per cent, without missing values.
    since
        Position of the shock: what lies before is not looked at.
    errors
        Draws x periods: errors of the gap, for the intervals. None: no intervals, and it says so.
    threshold
        Gaps smaller than this, in per cent, are ordinary.
    stay
        How many periods in a row make an onset, and an end.

    Returns
    -------
    Resilience

    Notes
    -----
    The direction is that of the larger of the path's extremes. Onset is the first of `stay` periods in a row beyond
    the threshold, the end the first of `stay` within it (or beyond it the other way); crossings are placed between
    two periods by a straight line. For a gap of ``-d 2^{-t/h}`` the half-life is ``h`` and the duration
    ``h log2(d / threshold)``. A recovery that is unfinished at the end of the path is censored: the periods so far
    are a lower bound.
    """
    gap = np.asarray(gap, dtype=np.float64)
    if gap.ndim != 1 or not np.isfinite(gap).all() or not 0 <= since < len(gap):
        raise UsageError("the path has gaps, or the shock lies outside it.", remedy="Give a path without gaps.")
    if threshold <= 0 or stay < 1:
        raise UsageError("the threshold is not positive, or nothing needs to stay.", remedy="Use threshold > 0.")
    found = _measure(gap, since, threshold, stay)
    if found is None:
        nothing = Measured(float("nan"), float("nan"), float("nan"), False, "no-shock")
        return Resilience(nothing, nothing, nothing, -1, -1, -1, threshold)
    if errors is None:
        bounds = [(float("nan"), float("nan"), True)] * 3
    else:
        bounds = _bounds(gap, errors, found, since, threshold, stay)
    three = []
    values = ((found.depth, False), (found.duration, found.open_end), (found.half, found.open_half))
    for (value, censored), (lower, upper, absent) in zip(values, bounds, strict=True):
        reason: Reason = "no-errors" if absent else "not-recovered" if censored else ""
        if not absent and not censored and np.isinf(upper):
            reason = "interval-open"
        three.append(Measured(value, lower, float("inf") if censored and not absent else upper, censored, reason))
    return Resilience(three[0], three[1], three[2], found.onset, found.trough, found.end, threshold)


@dataclass(frozen=True, slots=True)
class _Found:
    depth: float
    duration: float
    half: float
    open_end: bool
    open_half: bool
    onset: int
    trough: int
    end: int


def _measure(gap: Floats, since: int, threshold: float, stay: int) -> _Found | None:
    path = gap[since:]
    sign = -1.0 if -path.min() >= path.max() else 1.0
    size = sign * path
    onset = _first(size > threshold, 0, stay)
    if onset < 0:
        return None
    end = _first(size <= threshold, onset, stay)
    stop = end if end >= 0 else len(size)
    trough = onset + int(np.argmax(size[onset:stop]))
    depth = float(size[trough])
    half = _first(size <= depth / 2, trough, stay)
    begin = _crossing(size, onset, threshold) if onset else 0.0
    duration = (_crossing(size, end, threshold) if end >= 0 else len(size) - 1.0) - begin
    took = (_crossing(size, half, depth / 2) if half >= 0 else len(size) - 1.0) - trough
    return _Found(
        sign * depth, float(duration), float(took), end < 0, half < 0,
        since + onset, since + trough, since + end if end >= 0 else -1,
    )  # fmt: skip


def _first(true: NDArray[np.bool_], start: int, stay: int) -> int:
    """Return the first position from which `stay` in a row hold, or -1; a run cut by the path's end does not count."""
    run = 0
    for k in range(start, len(true)):
        run = run + 1 if true[k] else 0
        if run == stay:
            return k - stay + 1
    return -1


def _crossing(size: Floats, at: int, level: float) -> float:
    """Return where between ``at - 1`` and ``at`` a straight line passes a level."""
    if at == 0:
        return 0.0
    a, b = float(size[at - 1]), float(size[at])
    return at - 1 + (level - a) / (b - a) if a != b else float(at)


def _bounds(
    gap: Floats, errors: Floats, found: _Found, since: int, threshold: float, stay: int
) -> list[tuple[float, float, bool]]:
    """Return lower, upper, absent for depth, duration, half-life over what the true path may be."""
    draws = [_measure(gap - e, since, threshold, stay) for e in errors]
    told = [d for d in draws if d is not None]
    if len(told) < 0.5 * len(draws):
        return [(float("nan"), float("nan"), True)] * 3
    tail = (1 - _LEVEL) / 2
    # The extreme of a noisy path lies too far out, and that of a draw once more as far: turned about the estimate.
    low, high = np.quantile([d.depth for d in told], [tail, 1 - tail])
    out = [(float(2 * found.depth - high), float(2 * found.depth - low), False)]
    for values, open_ in (
        ([d.duration for d in told], [d.open_end for d in told]),
        ([d.half for d in told], [d.open_half for d in told]),
    ):
        # an unfinished draw may last for ever: it counts at the upper end, and at its length at the lower
        least = np.quantile(values, tail)
        most = np.sort(np.where(open_, np.inf, values))[int(np.ceil((1 - tail) * len(values))) - 1]
        out.append((float(least), float(most), False))
    return out
