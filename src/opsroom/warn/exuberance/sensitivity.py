"""What an alarm rests on: the same series under other lags and other critical values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

import pandas as pd

from opsroom.base.errors import FitError, UsageError

if TYPE_CHECKING:
    from opsroom.warn.exuberance.critical import Kind
    from opsroom.warn.exuberance.result import ExuberanceResult

COLUMNS = ("lags", "critical_values", "gsadf", "critical", "p_value", "p_last", "episodes", "ongoing", "alarm")


def sensitivity_of(
    result: ExuberanceResult, *, lags: Sequence[int | Literal["bic"]], kinds: Sequence[str], draws: int
) -> pd.DataFrame:
    """Return one row for each pair of lags and kind; see `ExuberanceResult.sensitivity`."""
    from opsroom.warn.exuberance.explosive import gsadf

    rows = []
    # a test of signs stands beside the tests of the series itself, under its own name
    kinds = (*kinds, "signs") if result.volatility == "signs" else kinds
    for count in lags:
        for kind in kinds:
            signs = kind == "signs"
            try:
                other = gsadf(
                    result.series, lags=count, min_window=result.critical.plan.least,
                    critical_values=cast("Kind", "monte_carlo" if signs else kind), draws=draws, levels=(result.level,),
                    dating_level=result.level, seed=result.critical.seed, min_duration=result.min_duration,
                    periods_per_year=result.periods_per_year, volatility="signs" if signs else "raw",
                )  # fmt: skip
            except (FitError, UsageError) as refusal:
                if refusal.code in ("OPS-M340", "OPS-U341"):  # too many lags for this length or window
                    continue
                raise
            critical = other.critical.at("gsadf", result.level)
            rows.append(
                (
                    str(count), kind, other.gsadf, critical, other.p_value, float(other.p_values["last"]),
                    len(other.episodes), any(e.ongoing for e in other.episodes), other.gsadf > critical,
                )
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
