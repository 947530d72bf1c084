"""Scores of delay nowcasts: against settled counts, also in rehearsals on past days."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base import scores
from opsroom.base.errors import FitError, UsageError
from opsroom.base.periods import AsOf
from opsroom.base.results import TOTAL
from opsroom.measure.delays.nowcast import Method, nowcast_delays
from opsroom.measure.delays.result import DelayResult
from opsroom.measure.delays.triangle import reporting_triangle


def score_delays(result: DelayResult, truth: pd.Series) -> pd.DataFrame:
    """Score a nowcast's incomplete periods against settled counts.

    Parameters
    ----------
    result
        The nowcast.
    truth
        Settled counts, indexed by sector and period; pairs that it lacks are not scored.

    Returns
    -------
    pandas.DataFrame
        One row a sector, period and nowcast with a truth: ``age``, ``truth``, ``mean``, ``lower``, ``upper``,
        ``inside``, ``crps``, ``reported_error`` (absolute error of reading the reported count as it stands).
    """
    ahead = result.frame[~result.frame["complete"]]
    known = truth.reindex(ahead.index).to_numpy(dtype=float)
    draws = result.draws.reshape(-1, result.draws.shape[2])
    kept = np.flatnonzero(~np.isnan(known))
    frame = ahead.iloc[kept][["age", "reported", "mean", "lower", "upper"]].copy()
    frame["truth"] = known[kept]
    frame["inside"] = (frame["lower"] <= frame["truth"]) & (frame["truth"] <= frame["upper"])
    frame["crps"] = [scores.crps_sample(draws[[k]], known[[k]]) for k in kept]
    frame["reported_error"] = (frame["reported"] - frame["truth"]).abs()
    return frame


def rehearse_delays(
    records: pd.DataFrame,
    *,
    as_of: Iterable[AsOf],
    methods: Iterable[Method] = ("hierarchical", "odp", "chain-ladder"),
    max_delay: int,
    window: int | None = None,
    level: float = 0.9,
    draws: int = 400,
    **arguments: Any,
) -> pd.DataFrame:
    """Nowcast on past days with what was known then, and score against what was known `max_delay` later.

    Answers: can these intervals be believed, and is the model worth more than the chain ladder?

    Parameters
    ----------
    records
        See `reporting_triangle`.
    as_of
        Past days; those whose settled counts are not known yet give no row.
    methods
        To compare; a method that cannot be fitted on a day gives no row there.
    max_delay, window, level, draws
        See `nowcast_delays`.
    **arguments
        Of `reporting_triangle`.

    Returns
    -------
    pandas.DataFrame
        Rows of `score_delays` with ``method`` and ``as_of``; its `attrs` hold, under ``failed``, what could not
        be fitted.

    Notes
    -----
    The truth of a period is its count `max_delay` periods after, from the triangle as of the last day of the
    table: the same rows, and nothing that came later.
    """
    whole = reporting_triangle(records, max_delay=max_delay, **arguments)
    settled = whole.age >= max_delay
    index = pd.MultiIndex.from_product([whole.sectors, whole.periods[settled]], names=["sector", "period"])
    truth = pd.Series(whole.reported[:, settled].ravel(), index=index)
    if len(whole.sectors) > 1:
        total = truth.groupby(level="period").sum()
        total.index = pd.MultiIndex.from_product([[TOTAL], total.index], names=["sector", "period"])
        truth = pd.concat([truth, total])
    pieces, failed = [], []
    for day in as_of:
        triangle = reporting_triangle(records, max_delay=max_delay, as_of=day, **arguments)
        for method in methods:
            try:
                made = nowcast_delays(triangle, method=method, window=window, level=level, draws=draws)
            except FitError as error:
                failed.append((str(day), method, error.code))
                continue
            scored = score_delays(made, truth)
            pieces.append(scored.reset_index().assign(method=method, as_of=str(day)))
    if not pieces:
        raise UsageError(
            "no rehearsal could be scored.", remedy="Choose earlier days, or a smaller max_delay.", code="OPS-U177"
        )
    frame = pd.concat(pieces, ignore_index=True)
    frame.attrs["failed"] = failed
    return frame
