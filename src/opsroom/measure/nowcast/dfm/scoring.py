"""What a backtest says: errors, densities, tests, and which models cannot be told from the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom._version import __version__
from opsroom.base import scores as base
from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.dfm.parameters import Floats

if TYPE_CHECKING:
    import altair as alt

_NORMAL_ABS = 0.6745
_BLOCK = 2


def stated_sd(frame: pd.DataFrame) -> Floats:
    """Return the standard deviations that go with the quantiles, which past errors may have widened."""
    return np.asarray((frame["q75"] - frame["q25"]) / (2.0 * _NORMAL_ABS), dtype=np.float64)


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Add each row's continuous ranked probability score, probability integral transform and log density at the
    outcome, NaN without outcome."""
    if frame.empty:
        return frame
    seen = frame["outcome"].notna() & (frame["sd"] > 0)
    crps, pit, density = (np.full(len(frame), np.nan) for _ in range(3))
    means, sds, outcomes = (
        np.asarray(v, dtype=np.float64) for v in (frame["mean"], stated_sd(frame), frame["outcome"])
    )
    pit[seen] = base.pit_gaussian(means[seen], sds[seen], outcomes[seen])
    z = (outcomes[seen] - means[seen]) / sds[seen]
    density[seen] = -0.5 * z**2 - np.log(sds[seen]) - 0.5 * np.log(2.0 * np.pi)
    for k in np.flatnonzero(seen):
        crps[k] = base.crps_gaussian(means[k], sds[k], outcomes[k])
    return frame.assign(crps=crps, pit=pit, log_density=density)


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Past nowcasts of several models beside what came.

    Attributes
    ----------
    target, release
        What was nowcast, and which release counts.
    frame
        One row a day, model and period: ``mean, sd, shock, basis, past``, quantiles ``q05 …``, ``outcome, error, crps,
        pit, log_density``; NaN where there is no outcome yet.
    refused
        (day, model, code) of fits that were refused.
    known
        Day → quarter → the outcome as far as it was known on that day.
    lags
        Series → days from a period's end to its first release, as the vintages tell; see `vintage_lags`.
    """

    target: str
    release: str
    frame: pd.DataFrame
    refused: tuple[tuple[pd.Timestamp, str, str], ...]
    known: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    lags: Mapping[str, int] = field(default_factory=dict)

    def scores(self, *, benchmark: str = "AR(1)") -> pd.DataFrame:
        """Return one row a model: RMSE, MAE, bias, CRPS, mean log density (more is better), coverage of the 68 and
        90 % bands, ratio to a benchmark.

        Only days and periods that all models have are scored. ``dm_p`` is the p-value of Diebold and Mariano's test of
        squared errors against the benchmark: one loss a quarter (the mean over its vintages), so that the many
        nowcasts of one quarter count once; NaN where there are too few quarters. Its bandwidth is the most quarters
        that any scored nowcast looks beyond the last figure known on its day, less one: so far the errors of good
        nowcasts go together.
        """
        known = self._common()
        horizon = self._horizon(known)
        losses = _by_quarter(known)
        rows = []
        for name, own in known.groupby("model", sort=False):
            low, high, y = own["q05"], own["q95"], own["outcome"]
            row: dict[str, Any] = {
                "model": name,
                "n": len(own),
                "quarters": int(own["period"].nunique()),
                "rmse": base.rmse(own["mean"], y),
                "mae": base.mae(own["mean"], y),
                "bias": base.bias(own["mean"], y),
                "crps": float(own["crps"].mean()),
                "log_score": float(own["log_density"].mean()),
                "cover68": base.coverage(own["q16"], own["q84"], y),
                "cover90": base.coverage(low, high, y),
            }
            rows.append(row)
        table = pd.DataFrame(rows)
        if table.empty:
            return table
        by = table.set_index("model")["rmse"]
        if benchmark not in by.index:
            raise UsageError(f"there is no model {benchmark!r}.", remedy=f"Choose one of {', '.join(by.index)}.")
        table["ratio"] = table["rmse"] / float(by[benchmark])
        table["dm_p"] = [_test(losses, str(name), benchmark, horizon) for name in table["model"]]
        return table

    def calibration(self, *, bins: int = 5) -> pd.DataFrame:
        """Return how often outcomes fell into each part of what was said: shares by model, ``1/bins`` each if right.

        Answers: are the densities too wide (little in the outer parts), too narrow (much there), or to one side?

        Parameters
        ----------
        bins
            Parts of equal probability, the lowest first; columns are their upper ends.

        Notes
        -----
        Histogram of the probability integral transform. Of each quarter all nowcasts count together as one, so that
        the many of one quarter do not.
        """
        if bins < 2:
            raise UsageError("fewer than two bins tell nothing.", remedy="Use bins=5 or so.")
        known = self._common().dropna(subset=["pit"])
        ends = [round((k + 1) / bins, 4) for k in range(bins)]
        part = np.minimum((known["pit"].to_numpy(np.float64) * bins).astype(np.int64), bins - 1)
        weight = 1.0 / known.groupby(["model", "period"])["pit"].transform("size").to_numpy(np.float64)
        table = pd.DataFrame({"model": known["model"].to_numpy(), "part": [ends[k] for k in part], "weight": weight})
        shares = table.pivot_table(index="model", columns="part", values="weight", aggfunc="sum", sort=False)
        shares = shares.reindex(columns=ends).fillna(0.0)
        return shares.div(shares.sum(axis=1), axis=0).rename_axis(columns=None).reset_index()

    def confidence_set(self, *, level: float = 0.9, seed: int = 0, draws: int = 2000) -> pd.DataFrame:
        """Return which models cannot be told from the best: ``model, p_value, inside``; see `confidence_set`."""
        known = self._common()
        losses = _by_quarter(known)
        block = max(_BLOCK, self._horizon(known))
        p = confidence_set(losses.to_numpy(np.float64), seed=seed, draws=draws, block=block)
        return pd.DataFrame({"model": losses.columns, "p_value": p, "inside": p >= 1.0 - level})

    def to_frame(self) -> pd.DataFrame:
        """Return the rows; those of one model serve `FittedFactorModel.nowcast` as `history`."""
        return self.frame.copy()

    def summary(self) -> str:
        """Return the scores as text."""
        head = f"{self.target}, {self.release} release; {len(self.refused)} fits refused"
        table = self.scores()
        return head if table.empty else f"{head}\n{table.round(3).to_string(index=False)}"

    def cite(self) -> str:
        """Return method and version."""
        return f"Backtest over true vintages; opsroom {__version__}."

    def chart(self) -> alt.Chart:
        """Draw each model's nowcasts over time, with the outcome of each period."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        scores = self.scores()
        if scores.empty:
            raise UsageError("no nowcast has an outcome yet.", remedy="Give outcomes, or later vintages.")
        table = scores.set_index("model")["rmse"]
        best = str(table.idxmin())
        wide: dict[str, dict[str, Any]] = {}
        for row in self._common().itertuples():
            at = wide.setdefault(str(row.day)[:10], {"day": str(row.day)[:10], "outcome": row.outcome})
            at[str(row.model)] = row.mean
            if row.model == best:
                at |= {"low": row.q05, "high": row.q95}
        lines = {best: best, "outcome": "outcome", **{str(m): str(m) for m in table.index if m != best}}
        caption = Caption(
            f"{best} came nearest to {self.target}: its errors are {table[best]:.2f} points, root mean square",
            f"nowcasts by day, {self.release} release; the band is that of {best}", as_of=max(wide),
        )  # fmt: skip
        rows = [wide[day] for day in sorted(wide)]
        return line_band(rows, x="day", lines=lines, band=("low", "high"), caption=caption)

    def _horizon(self, known: pd.DataFrame) -> int:
        """Return the most quarters from the last figure known on a day to the quarter nowcast."""
        if known.empty:
            return 1
        first = self.frame.groupby("day")["period"].min()  # nothing before it was without a figure
        return int((_ordinals(known["period"]) - _ordinals(known["day"].map(first))).max()) + 1

    def _common(self) -> pd.DataFrame:
        known = self.frame.dropna(subset=["outcome"])
        count = known.groupby(["day", "period"])["model"].transform("count")
        return known[count == known["model"].nunique()]


def _ordinals(quarters: pd.Series) -> NDArray[np.int64]:
    """Return quarters written as 2016-Q3 as numbers in a row."""
    return np.array([4 * int(q[:4]) + int(q[-1]) for q in quarters.astype(str)], dtype=np.int64)


def _by_quarter(known: pd.DataFrame) -> pd.DataFrame:
    """Return mean squared errors, quarters x models."""
    table = known.assign(loss=known["error"] ** 2)
    return table.pivot_table(index="period", columns="model", values="loss", aggfunc="mean").sort_index()


def _test(losses: pd.DataFrame, name: str, benchmark: str, horizon: int) -> float:
    if name == benchmark:
        return np.nan
    try:
        return base.diebold_mariano(losses[name], losses[benchmark], horizon=horizon).p_value
    except FitError:
        return np.nan  # too few quarters: said by the missing number


def confidence_set(losses: Floats, *, seed: int, draws: int = 2000, block: int = _BLOCK) -> Floats:
    """Return each model's p-value in the model confidence set: those above 1 - level are in it.

    Parameters
    ----------
    losses
        Targets x models.
    seed, draws, block
        Moving block bootstrap of the targets.

    Notes
    -----
    The largest t statistic of a model's loss against the mean of those left decides whether all are equally good; if
    not, its model leaves. A model's p-value is the largest of the tests up to its leaving.

    References
    ----------
    Hansen, Lunde and Nason (2011), The model confidence set, Econometrica 79, 453-497.
    """
    n, count = losses.shape
    out = np.ones(count)
    if n < 3 or count < 2:
        return out
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, size=(draws, -(-n // block)))
    picks = ((starts[:, :, None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]
    drawn = losses[picks].mean(axis=1)
    mean = losses.mean(axis=0)
    left, largest = list(range(count)), 0.0
    while len(left) > 1:
        gap = mean[left] - mean[left].mean()
        shaken = drawn[:, left] - drawn[:, left].mean(axis=1, keepdims=True) - gap
        spread = np.maximum(np.sqrt((shaken**2).mean(axis=0)), 1e-12)
        statistic, worst = float((gap / spread).max()), int((gap / spread).argmax())
        p = float(((shaken / spread).max(axis=1) >= statistic).mean())
        largest = max(largest, p)
        out[left[worst]] = largest
        left.pop(worst)
    return out
