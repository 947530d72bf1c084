"""Scores of what was said, vintage by vintage, beside benchmarks that knew no more.

A forecast is scored as it stood when it was said, and a benchmark only where it was made for the same target
in the same vintage, so that neither gains from hindsight or from easier targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base import scores
from opsroom.base.errors import DataError, FitError
from opsroom.base.results import Cells, Measure

if TYPE_CHECKING:
    import altair as alt

_BOUNDS = ("lower", "upper")


@dataclass(frozen=True, slots=True)
class ForecastScores:
    """Scores by method and group.

    Attributes
    ----------
    table
        The grouping columns, ``method``, then ``n``, ``mae``, ``rmse``, ``bias``, ``coverage``,
        ``interval_score``, ``width``, and ``rmse_ratio`` to the first benchmark on the same targets.
    tests
        Method against benchmark: Diebold-Mariano on squared errors, where there are enough targets.
    errors
        One row a forecast: keys, method, point, outcome, error.
    by
        The grouping columns.
    level
        Nominal level of the intervals.
    """

    table: pd.DataFrame
    tests: pd.DataFrame
    errors: pd.DataFrame
    by: tuple[str, ...]
    level: float

    def to_frame(self) -> pd.DataFrame:
        """Return the scores by group and method."""
        return self.table

    def summary(self) -> str:
        """Return one line a method over all groups."""
        lines = []
        for method, rows in self.errors.groupby("method", sort=False):
            error = rows["error"].to_numpy()
            lines.append(
                f"{method}: {len(rows)} scored, mean absolute error {np.abs(error).mean():.2f}, "
                f"mean error {error.mean():+.2f}."
            )
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the sources of the scores."""
        return "opsroom forecast scores 1; Gneiting and Raftery (2007); Harvey, Leybourne and Newbold (1997)."

    def chart(self) -> alt.Chart:
        """Return the mean absolute error of each method by group."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_bars import option_bars

        rows = [
            {"name": " ".join(str(row[c]) for c in (*self.by, "method")), "mae": row["mae"]}
            for row in self.table.to_dict("records")
        ]
        caption = Caption(finding="Mean absolute error of what was said", unit="unit of the outcome")
        return option_bars(rows, option="name", measures={"mae": ""}, caption=caption, write="{:.2f}".format)

    def cells(self, name: str, *, unit: str = "points", against: str = "final", decimals: int = 2) -> list[Cells]:
        """Return the publishable cells of a ``scores.*`` series; a function of releases alone.

        Parameters
        ----------
        name
            Such as ``"scores.resumption"``.
        unit
            Unit of the outcome.
        against
            ``"truth"`` or ``"final"``: what the outcome is.
        decimals
            Published decimals of the errors.
        """
        frame = self.table.assign(against=against, coverage=100.0 * self.table["coverage"])
        dimensions = (*self.by, "method", "against")
        for column in dimensions:
            frame[column] = frame[column].map(_code)
        measures = (
            Measure("mae", "public", unit, decimals=decimals),
            Measure("rmse", "public", unit, decimals=decimals),
            Measure("bias", "public", unit, decimals=decimals),
            Measure("coverage", "public", "%", decimals=1),
            Measure("rmse_ratio", "public", "ratio", decimals=3),
            Measure("n", "public", "forecasts", decimals=0),
        )
        kept = [*dimensions, *(m.name for m in measures)]
        return [
            Cells(
                name=name,
                dimensions=dimensions,
                measures=measures,
                frame=frame[kept].reset_index(drop=True),
                method="scores-1",
                facts={"level": self.level, "against": against},
            )
        ]


def score_vintages(
    forecasts: pd.DataFrame,
    outcomes: pd.DataFrame,
    benchmarks: pd.DataFrame | None = None,
    *,
    keys: Sequence[str] = ("target",),
    vintage: str = "vintage",
    by: Sequence[str] = (),
    level: float = 0.9,
    horizon: int = 1,
    method: str = "room",
) -> ForecastScores:
    """Score every vintage of a forecast against its outcome, beside benchmarks on the same targets.

    Parameters
    ----------
    forecasts
        Columns `keys`, `vintage`, ``point`` and, where there are any, ``lower`` and ``upper``.
    outcomes
        Columns `keys` and ``outcome``, one row a target.
    benchmarks
        Like `forecasts`, with a column ``method`` that names them; the first named gives `rmse_ratio`.
    keys
        Columns that name a target, such as date and size.
    vintage
        Column that says when a forecast was said.
    by
        Columns of `forecasts` by which scores are grouped, such as ``horizon``; none: all together.
    level
        Nominal level of the intervals.
    horizon
        Steps for the bandwidth of the Diebold-Mariano test; see `scores.diebold_mariano`.
    method
        Name of the forecasts in the result.

    Returns
    -------
    ForecastScores
        Targets without an outcome are left out of every score.

    Raises
    ------
    DataError
        If columns are missing, a target has two outcomes, or a vintage says two things of one target.

    Notes
    -----
    `rmse_ratio` and the test use only targets and vintages that both methods have, so that a benchmark that
    is there more rarely is not compared on easier ground.
    """
    said = [_prepared(forecasts.assign(method=method), keys, vintage, by, "forecasts")]
    if benchmarks is not None and len(benchmarks):
        _need(benchmarks, ("method",), "benchmarks")
        said.append(_prepared(benchmarks, keys, vintage, by, "benchmarks"))
    _need(outcomes, (*keys, "outcome"), "outcomes")
    if outcomes.duplicated(list(keys)).any():
        raise DataError("a target has two outcomes.", remedy="Give one outcome a target.", code="OPS-D090")
    both = pd.concat(said, ignore_index=True).merge(outcomes[[*keys, "outcome"]], on=list(keys), how="inner")
    both = both[both["outcome"].notna() & both["point"].notna()].reset_index(drop=True)
    both["error"] = both["point"] - both["outcome"]
    methods = list(dict.fromkeys(both["method"]))
    rivals = [m for m in methods if m != method]
    pair = [*keys, vintage]
    rows, tests = [], []
    for group, part in _groups(both, by):
        base = part[part["method"] == rivals[0]] if rivals else None
        for name in methods:
            own = part[part["method"] == name]
            if len(own):
                rows.append(dict(zip(by, group, strict=True)) | {"method": name} | _scores(own, base, pair, level))
        for rival in rivals:
            test = _test(part, method, rival, pair, horizon)
            if test is not None:
                tests.append(dict(zip(by, group, strict=True)) | test)
    columns = ["n", "mae", "rmse", "bias", "coverage", "interval_score", "width", "rmse_ratio"]
    table = pd.DataFrame(rows, columns=[*by, "method", *columns])
    tested = pd.DataFrame(tests, columns=[*by, "method", "against", "n", "statistic", "p_value", "better"])
    return ForecastScores(table, tested, both, tuple(by), level)


def _prepared(frame: pd.DataFrame, keys: Sequence[str], vintage: str, by: Sequence[str], what: str) -> pd.DataFrame:
    _need(frame, (*keys, vintage, *by, "point"), what)
    frame = frame.assign(**{c: math.nan for c in _BOUNDS if c not in frame.columns})
    if frame.duplicated([*keys, vintage, "method"]).any():
        raise DataError(
            f"the {what} say two things of one target in one vintage.",
            remedy="Give one row a method, target and vintage.",
            code="OPS-D091",
        )
    return frame[[*dict.fromkeys([*keys, vintage, *by, "method", "point", *_BOUNDS])]]


def _need(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise DataError(f"the {what} lack the column(s) {', '.join(absent)}.", code="OPS-D092")


def _groups(frame: pd.DataFrame, by: Sequence[str]) -> Iterable[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not by:
        return [((), frame)]
    return ((key, part) for key, part in frame.groupby(list(by), sort=True))


def _scores(own: pd.DataFrame, base: pd.DataFrame | None, pair: list[str], level: float) -> dict[str, float | int]:
    lower, upper, outcome = (own[c].to_numpy(dtype=np.float64) for c in ("lower", "upper", "outcome"))
    width = upper - lower
    ratio = math.nan
    if base is not None:
        matched = own[[*pair, "error"]].merge(base[[*pair, "error"]], on=pair, suffixes=("", "_base"))
        rival = scores.rmse(matched["error_base"], np.zeros(len(matched)))
        if rival > 0:
            ratio = scores.rmse(matched["error"], np.zeros(len(matched))) / rival
    return {
        "n": len(own),
        "mae": scores.mae(own["point"], outcome),
        "rmse": scores.rmse(own["point"], outcome),
        "bias": scores.bias(own["point"], outcome),
        "coverage": scores.coverage(lower, upper, outcome),
        "interval_score": scores.interval_score(lower, upper, outcome, level=level),
        "width": float(np.nanmean(width)) if np.isfinite(width).any() else math.nan,
        "rmse_ratio": ratio,
    }


def _test(part: pd.DataFrame, method: str, rival: str, pair: list[str], horizon: int) -> dict[str, Any] | None:
    ours, theirs = (part[part["method"] == m][[*pair, "error"]] for m in (method, rival))
    both = ours.merge(theirs, on=pair, suffixes=("", "_rival")).sort_values(pair)
    try:
        test = scores.diebold_mariano(both["error"] ** 2, both["error_rival"] ** 2, horizon=horizon)
    except FitError:
        return None  # too few targets, or two methods that say the same: there is no test to report
    return {
        "method": method,
        "against": rival,
        "n": test.n,
        "statistic": test.statistic,
        "p_value": test.p_value,
        "better": {"first": method, "second": rival}.get(test.better, "undecided"),
    }


def _code(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return str(value)
