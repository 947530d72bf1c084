"""Monitoring: new observations against a boundary that a world without bubbles crosses, anywhere, only so often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.critical import Kind
from opsroom.warn.exuberance.drawing import checked, in_chunks, low_where_absent
from opsroom.warn.exuberance.explosive import KINDS, Lags
from opsroom.warn.exuberance.result import CAVEAT, codes_of
from opsroom.warn.exuberance.sequences import Floats, Plan, plan_for, scaled, sequences, values_of

if TYPE_CHECKING:
    import altair as alt

Method = Literal["bsadf", "cusum"]


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """What monitoring has found so far.

    Attributes
    ----------
    statistic, boundary
        By date of the monitored part; the boundary covers what has been seen.
    alarm
        First date above the boundary, None where there is none.
    direction
        ``boom`` or ``crash``: the level at the alarm against the last of training; empty without an alarm.
    alarms
        All dates above.
    level
        Probability that a series without a bubble stays below all through the horizon.
    training, horizon
        Observations learned from, and over which the level holds.
    """

    statistic: pd.Series
    boundary: pd.Series
    alarm: Any
    direction: str
    alarms: tuple[Any, ...]
    level: float
    training: int
    horizon: int
    method: Method
    kind: str
    plan: Plan
    draws: int

    def to_frame(self) -> pd.DataFrame:
        """Return statistic, boundary and whether it is crossed, one row a date."""
        frame = pd.DataFrame({"statistic": self.statistic, "boundary": self.boundary})
        return frame.assign(above=frame["statistic"] > frame["boundary"])

    def summary(self) -> str:
        """Return whether there is an alarm, and what it is worth."""
        seen = len(self.statistic)
        first = (
            f"No alarm in {seen} of {self.horizon} observations."
            if self.alarm is None
            else f"Alarm at {self.alarm} ({self.direction}); {len(self.alarms)} of {seen} observations are above."
        )
        return (
            f"{first} {self.method.upper()}, {self.training} observations of training; without a bubble an alarm comes "
            f"within {self.horizon} observations with probability {100 * (1 - self.level):.3g} %.\n{CAVEAT}"
        )

    def cite(self) -> str:
        """Return method and version."""
        source = (
            "BSADF after Phillips, Shi and Yu (2015), International Economic Review 56"
            if self.method == "bsadf"
            else "CUSUM after Homm and Breitung (2012), Journal of Financial Econometrics 10"
        )
        return f"{source}; boundary for the whole horizon by simulation ({self.kind}); opsroom {__version__}."

    def chart(self) -> alt.Chart:
        """Draw the statistic against its boundary."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.to_frame().assign(period=codes_of(self.statistic.index))
        frame = frame[np.isfinite(frame["statistic"]) & np.isfinite(frame["boundary"])]
        finding = "No alarm" if self.alarm is None else f"Alarm at {self.alarm} ({self.direction})"
        rows = [{str(k): v for k, v in row.items()} for row in frame.drop(columns="above").to_dict("records")]
        return line_band(
            rows, x="period", lines={"statistic": self.method.upper(), "boundary": "boundary"},
            caption=Caption(finding=finding, unit=CAVEAT),
        )  # fmt: skip


def monitor(
    y: pd.Series | npt.ArrayLike, *, training: int, horizon: int | None = None, method: Method = "bsadf",
    lags: Lags = 0, min_window: int | None = None, critical_values: Kind = "monte_carlo", level: float = 0.95,
    draws: int = 1999, seed: int = 0, most_lags: int = 4, workers: int | None = None,
) -> MonitorResult:  # fmt: skip
    r"""Watch a series as observations come in, with one false alarm in twenty horizons, not in twenty dates.

    Answers: has this ratio begun to run away since we started to watch it?

    Parameters
    ----------
    y
        One value a period, without gaps: the training part and what has come in since.
    training
        Observations from the start in which there was no bubble.
    horizon
        Observations for which the series is to be watched, those still to come included; by default those seen. Fix
        it when watching begins: then the boundary does not move as data come in.
    method
        ``"bsadf"``, or ``"cusum"``: the rise since training in standard deviations; for booms alone.
    lags, min_window, most_lags
        As in `gsadf`; the window by default that of the training part. CUSUM takes steps as uncorrelated.
    critical_values
        ``"monte_carlo"``, or ``"wild_bootstrap"`` or ``"sieve"``: paths from the training part's own residuals, drawn
        with replacement after its end.
    level
        Probability of no alarm over the horizon without a bubble.
    draws, seed, workers
        Of the boundary.

    Returns
    -------
    MonitorResult

    Raises
    ------
    UsageError
        The training part leaves nothing to watch, the horizon is shorter than what has been seen, or another
        argument is out of range.
    FitError
        A gap, or too little training for the window.

    Notes
    -----
    BSADF's boundary is :math:`m_t + c\, s_t`, mean and standard deviation of BSADF at date t on paths without bubbles;
    one c is chosen so that the share `level` of the paths stays below at all dates. CUSUM's is
    :math:`\sqrt{t\,(b + \log(t/n))}` with n observations of training, b chosen likewise. What fails most often:
    volatility that rises after training; no boundary learned from a calm part can know of it.

    References
    ----------
    Phillips, Shi and Yu (2015), International Economic Review 56; Homm and Breitung (2012), Testing for speculative
    bubbles in stock markets, Journal of Financial Econometrics 10, 198-231.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(2)
    >>> ratio = 20.0 + np.cumsum(rng.normal(0.0, 0.2, 110))
    >>> ratio[90:] += 0.3 * 1.25 ** np.arange(20)
    >>> found = monitor(ratio, training=80, horizon=40, draws=199)
    >>> found.alarm is not None and found.alarm >= 90, found.direction
    (True, 'boom')
    """
    values, index = values_of(y)
    n, seen, length = _span(len(values), training, horizon)
    if method not in ("bsadf", "cusum") or critical_values not in KINDS:
        raise UsageError(
            "the method is 'bsadf' or 'cusum', the critical values one of " + ", ".join(KINDS) + ".",
            code="OPS-U347",
            remedy="Leave both out for BSADF and Monte Carlo.",
        )
    draws, _ = checked(draws, (level,))
    plan = plan_for(n, lags, min_window, most_lags)
    tested = scaled(values)
    draw = nulls.monte_carlo(length) if critical_values == "monte_carlo" else _learned(tested[:n], plan, length)
    if method == "bsadf":
        boundary = _bsadf_boundary(draw, plan, n, level, draws, seed=seed, workers=workers)
        statistic = sequences(tested[None], plan).bsadf[0, n - plan.lead :]
    else:
        boundary = _cusum_boundary(draw, n, length, level, draws, seed=seed, workers=workers)
        statistic = _cusum(tested[None], n)[0]
    with np.errstate(invalid="ignore"):
        above = np.flatnonzero(statistic > boundary[:seen])
    dates = index[n:]
    first = int(above[0]) if len(above) else None
    return MonitorResult(
        statistic=pd.Series(statistic, index=dates, name="statistic"),
        boundary=pd.Series(boundary[:seen], index=dates, name="boundary"),
        alarm=None if first is None else dates[first],
        direction="" if first is None else ("boom" if values[n + first] > values[n - 1] else "crash"),
        alarms=tuple(dates[above]), level=float(level), training=n, horizon=length - n, method=method,
        kind=critical_values, plan=plan, draws=draws,
    )  # fmt: skip


def _span(length: int, training: int, horizon: int | None) -> tuple[int, int, int]:
    """Return the observations of training, those seen since, and those of training and horizon."""
    whole = isinstance(training, int | np.integer) and not isinstance(training, bool)
    if not whole or not 0 < training < length:
        raise UsageError(
            f"training must be a number of observations below {length}, so that something is left to watch.",
            code="OPS-U349",
            remedy="Give the number of observations before watching begins.",
        )
    seen = length - int(training)
    span = seen if horizon is None else horizon
    if isinstance(span, bool) or not isinstance(span, int | np.integer) or span < seen:
        raise UsageError(
            f"the horizon is shorter than the {seen} observations seen since training.",
            code="OPS-U349",
            remedy="Begin anew with a longer training part, or give a longer horizon.",
        )
    return int(training), seen, int(training) + int(span)


def _learned(training: Floats, plan: Plan, length: int) -> nulls.Draw:
    """Return paths of the training part's steps with signs drawn anew, residuals drawn with replacement after it."""
    order = nulls.bayes_order(training, plan.lags) if plan.bic else plan.lags
    steps = nulls.fit_steps(training, order, drift=False)
    pool = steps.residuals[order:]
    if not np.any(pool != 0.0):
        raise FitError(
            "the training part stands still.", code="OPS-M342", remedy="Train on a stretch in which the series moves."
        )

    def draw(rng: np.random.Generator, count: int) -> Floats:
        later = pool[rng.integers(len(pool), size=(count, length - len(training)))]
        sizes = np.concatenate([np.broadcast_to(steps.residuals, (count, len(steps.residuals))), later], axis=1)
        return steps.rebuild(sizes * nulls.coins(rng, sizes.shape))

    return draw


def _bsadf_boundary(
    draw: nulls.Draw, plan: Plan, n: int, level: float, draws: int, *, seed: int, workers: int | None
) -> Floats:
    def one(rng: np.random.Generator, count: int) -> tuple[Floats]:
        return (low_where_absent(sequences(draw(rng, count), plan).bsadf[:, n - plan.lead :]),)

    (drawn,) = in_chunks(one, draws, seed=seed, workers=workers)
    known = np.isfinite(drawn)
    held = np.where(known, drawn, np.nan)
    mean, spread = np.nanmean(held, axis=0), np.nanstd(held, axis=0)
    height = np.where(known, (drawn - mean) / spread, -np.inf).max(axis=1)
    return np.asarray(mean + float(np.quantile(height, level, method="higher")) * spread)


def _cusum(paths: Floats, n: int) -> Floats:
    """Return the rise since training in standard deviations of its steps, of shape (paths, dates watched)."""
    spread = np.diff(paths[:, :n], axis=1).std(axis=1, ddof=1)
    if not np.all(spread > 0.0):
        raise FitError(
            "the training part does not move, or by the same step throughout.",
            code="OPS-M342",
            remedy="Train on a stretch in which the series moves.",
        )
    return np.asarray((paths[:, n:] - paths[:, n - 1 : n]) / spread[:, None])


def _cusum_boundary(
    draw: nulls.Draw, n: int, length: int, level: float, draws: int, *, seed: int, workers: int | None
) -> Floats:
    t = np.arange(n + 1, length + 1, dtype=np.float64)

    def one(rng: np.random.Generator, count: int) -> tuple[Floats]:
        rise = np.maximum(_cusum(draw(rng, count), n), 0.0)
        return (np.max(rise**2 / t - np.log(t / n), axis=1),)

    (drawn,) = in_chunks(one, draws, seed=seed, workers=workers)
    b = float(np.quantile(drawn, level, method="higher"))
    return np.asarray(np.sqrt(np.maximum(t * (b + np.log(t / n)), 0.0)))
