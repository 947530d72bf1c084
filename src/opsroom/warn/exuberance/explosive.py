"""`gsadf`: the test of one series, its critical values and its episodes in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.critical import LEVELS, CriticalValues, Kind, bootstrap_values, simulate
from opsroom.warn.exuberance.episodes import periods_a_year, shortest
from opsroom.warn.exuberance.result import ExuberanceResult
from opsroom.warn.exuberance.sequences import plan_for, scaled, sequences, values_of

Lags = int | Literal["bic"]
Volatility = Literal["raw", "signs"]
KINDS = ("monte_carlo", "wild_bootstrap", "sieve")


def gsadf(
    y: pd.Series | npt.ArrayLike, *, lags: Lags = 0, min_window: int | None = None,
    critical_values: Kind = "monte_carlo", draws: int = 1999, levels: Sequence[float] = LEVELS, seed: int = 0,
    most_lags: int = 4, min_duration: int | None = None, dating_level: float = 0.95,
    family_years: float | None = None, periods_per_year: float | None = None, volatility: Volatility = "raw",
    cache: str | Path | None = None, compiled: bool = True, workers: int | None = None,
) -> ExuberanceResult:  # fmt: skip
    r"""Test one series for explosive stretches and date them.

    Answers: has this ratio of a price to what should carry it been running away, since when, and in which direction?

    Parameters
    ----------
    y
        One value a period, without gaps, oldest first. Give a ratio of a price to a fundamental (price to rent, to
        income, to earnings) or its logarithm: a price alone may grow explosively because what it stands for does.
    lags
        Lagged differences in every regression, 0 to 12, or ``"bic"``: chosen in each window, 0 to `most_lags`.
    min_window
        Rows of the smallest window; by default the whole part of (0.01 + 1.8 / √T) T.
    critical_values
        ``"monte_carlo"`` (steps of equal variance), ``"wild_bootstrap"`` (whatever the variance did) or ``"sieve"``
        (independent residuals of an autoregression). All are drawn for the same lags and window as the statistic.
    draws, levels, seed
        Of the critical values.
    most_lags
        The most lags that ``"bic"`` tries.
    min_duration
        Observations that an episode has at least; by default the whole part of log T.
    dating_level
        Level of the critical sequence that dates episodes; one of `levels`.
    family_years
        With ``"wild_bootstrap"``: date by the value that is exceeded *anywhere* in so many years with probability one
        less the level (Phillips and Shi: 2), in place of a value for each date.
    periods_per_year
        For `family_years` and growth rates, where the index does not tell.
    volatility
        ``"signs"``: test the running sum of the signs of the steps, whose null distribution is exact whatever the
        volatility does. It does not see how steep a bubble is.
    cache
        Folder that keeps critical values for the next time.
    compiled
        False takes the pure-NumPy twin for the statistics: slow, an oracle.
    workers
        Threads; all processors by default. The outcome does not depend on it.

    Returns
    -------
    ExuberanceResult

    Raises
    ------
    FitError
        The series has a gap, a value that is not finite, or is too short (OPS-M340, OPS-M341), or no window moves
        (OPS-M342).
    UsageError
        An argument is out of range.

    Notes
    -----
    For all first and last rows :math:`r_1, r_2` of a window, :math:`\Delta y_t = \alpha + \beta y_{t-1} +
    \sum_{j \le k} \psi_j \Delta y_{t-j} + e_t`; the statistic is the t-value of :math:`\beta`, large where
    :math:`\beta > 0`. BADF fixes :math:`r_1` at the first row, :math:`\text{BSADF}(r_2)` is the largest over
    :math:`r_1`; SADF and GSADF are their largest values. **Explosive is neither mispriced nor about to crash**: the
    test says that the series moved as if its own level drove it. What fails most often: lags and critical values. With
    too few lags persistent growth looks explosive; with values for equal variance a turbulent stretch does. See
    `ExuberanceResult.sensitivity`.

    References
    ----------
    Phillips, Shi and Yu (2015), International Economic Review 56, 1043-1078; Phillips, Wu and Yu (2011),
    International Economic Review 52, 201-226; Harvey, Leybourne, Sollis and Taylor (2016), Journal of Empirical
    Finance 38, 548-574; Phillips and Shi (2020), Handbook of Statistics 42, 61-80; Harvey, Leybourne and Zu (2020),
    Journal of Financial Econometrics 18, 134-169.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> ratio = 20.0 + np.cumsum(rng.normal(0.0, 0.2, 120))
    >>> ratio[70:90] += 0.5 * 1.2 ** np.arange(20)
    >>> found = gsadf(ratio, draws=199)
    >>> found.p_value < 0.05, found.episodes[0].sign, found.episodes[0].ongoing
    (True, 'boom', False)
    """
    if critical_values not in KINDS:
        raise UsageError(
            f"there are no critical values of the kind {critical_values!r}.",
            code="OPS-U347",
            remedy=f"Use one of {', '.join(KINDS)}.",
        )
    if volatility not in ("raw", "signs"):
        raise UsageError("volatility is 'raw' or 'signs'.", code="OPS-U347", remedy="Leave it out for 'raw'.")
    values, index = values_of(y)
    plan = plan_for(len(values), lags, min_window, most_lags)
    if dating_level not in levels:
        raise UsageError(
            f"episodes cannot be dated at {dating_level}, which is not one of the levels.",
            code="OPS-U344",
            remedy="Give levels= or dating_level= so that they agree.",
        )
    family = _family(family_years, periods_per_year or periods_a_year(index), critical_values)
    tested = nulls.signed_walk(values) if volatility == "signs" else scaled(values)
    found = sequences(tested[None], plan, compiled=compiled)
    critical: CriticalValues
    if volatility == "signs":
        critical = simulate(
            nulls.wild(tested, 0), plan, length=len(values), kind="signs", draws=draws, levels=levels, seed=seed,
            content=tested, cache=cache, workers=workers,
        )  # fmt: skip
    else:
        critical = bootstrap_values(
            tested, plan, kind=critical_values, draws=draws, levels=levels, seed=seed, family=family, cache=cache,
            workers=workers,
        )  # fmt: skip
    return ExuberanceResult.of(
        pd.Series(values, index=index, name=getattr(y, "name", None)), tested, found, critical,
        level=dating_level, min_duration=shortest(len(values)) if min_duration is None else max(1, min_duration),
        years=periods_per_year or periods_a_year(index), volatility=volatility,
    )  # fmt: skip


def _family(years: float | None, count: float | None, kind: str) -> int:
    """Return the observations over which a critical value holds as one, 0 for each date alone."""
    if years is None:
        return 0
    if kind != "wild_bootstrap":
        raise UsageError(
            "a critical value for years together is drawn by the wild bootstrap.",
            code="OPS-U348",
            remedy="Add critical_values='wild_bootstrap'.",
        )
    if count is None or not years > 0:
        raise UsageError(
            "it is not known how many observations make a year.",
            code="OPS-U348",
            remedy="Give periods_per_year=, such as 4 for quarters.",
        )
    return max(1, round(years * count))
