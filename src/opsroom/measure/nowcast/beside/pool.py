"""Pooling: what several models say, weighted by how they have done, with nothing looked at that came later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.beside.edge import Floats
from opsroom.measure.nowcast.beside.mixture import Mixture
from opsroom.measure.nowcast.beside.weights import inverse_square, log_score, together_once, towards_equal
from opsroom.measure.nowcast.dfm.backtest import NEAR
from opsroom.measure.nowcast.dfm.results import LEVELS, quantiles
from opsroom.measure.nowcast.dfm.scoring import BacktestResult, scored, stated_sd

if TYPE_CHECKING:
    import altair as alt

Rule = Literal["bates-granger", "log-score", "equal"]
_SOURCES = {
    "bates-granger": "Weights inverse to past mean squared errors: Bates and Granger (1969), Operational Research "
    "Quarterly 20:451-468",
    "log-score": "Linear pool with the best past log score: Hall and Mitchell (2007), International Journal of "
    "Forecasting 23:1-13; Geweke and Amisano (2011), Journal of Econometrics 164:130-141",
    "equal": "Linear pool with equal weights: Stone (1961), Annals of Mathematical Statistics 32:1339-1342",
}
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class PoolResult:
    """A pool's nowcasts beside its members'.

    Attributes
    ----------
    name, rule
        The pool's name among the models, and how its weights are found.
    weights
        One row a day, quarter and member: ``day, period, days_left, model, weight, past``; `past` is the number of
        quarters whose outcome was known on the day and on whose errors the weights rest.
    result
        The members' nowcasts and the pool's, to be scored together.
    """

    name: str
    rule: Rule
    weights: pd.DataFrame
    result: BacktestResult

    def scores(self, *, benchmark: str = "AR(1)") -> pd.DataFrame:
        """Return one row a model and one for the pool; see `BacktestResult.scores`."""
        return self.result.scores(benchmark=benchmark)

    def to_frame(self) -> pd.DataFrame:
        """Return the pool's nowcasts, one row a day and quarter."""
        frame = self.result.frame
        return frame[frame["model"] == self.name].reset_index(drop=True)

    def summary(self) -> str:
        """Return the weights of the last day, and how the pool has done."""
        last = self.weights[self.weights["day"] == self.weights["day"].max()]
        last = last[last["period"] == last["period"].max()].sort_values("weight", ascending=False)
        said = ", ".join(f"{row.model} {row.weight:.0%}" for row in last.itertuples())
        head = f"Pool ({self.rule}) of {self.result.target}: {said}; from {int(last['past'].max())} past quarters"
        table = self.result.scores(benchmark=str(self.result.frame["model"].iloc[0]))
        if table.empty:
            return head
        table = table[["model", "n", "rmse", "crps", "log_score", "cover68", "cover90"]]
        return f"{head}\n{table.round(3).to_string(index=False)}"

    def cite(self) -> str:
        """Return source and version."""
        return f"{_SOURCES[self.rule]}; opsroom {__version__}."

    def chart(self) -> alt.Chart:
        """Draw each member's weight over time: of the last nowcast of each day."""
        import altair as alt

        from opsroom.base.charts import HEIGHT, SERIES, WIDTH, Caption, colour, finish, legend_columns, plot

        shown = self.weights.sort_values(["day", "period"]).drop_duplicates(["day", "model"], keep="last")
        mean = shown.groupby("model")["weight"].mean().sort_values(ascending=False)
        last = shown[shown["day"] == shown["day"].max()].set_index("model")["weight"]
        top = str(last.idxmax())
        now, usual = 100.0 * float(last.to_numpy().max()), 100.0 * mean.to_dict()[top]
        # A colour each: where there are more models than colours, those that weigh least are one.
        names = [str(name) for name in mean.index]
        named = names if len(names) <= len(SERIES) else names[: len(SERIES) - 1]
        labels = named + (["others"] if len(named) < len(names) else [])
        heap: dict[tuple[str, str], float] = {}
        for row, w in zip(shown.itertuples(), shown["weight"].to_numpy(np.float64), strict=True):
            key = (str(row.day)[:10], str(row.model) if row.model in named else "others")
            heap[key] = heap.get(key, 0.0) + 100.0 * float(w)
        rows = [{"day": day, "model": model, "weight": round(w, 2)} for (day, model), w in heap.items()]
        form = "%Y" if len({day[:4] for day, _ in heap}) > 3 else "%b %Y"
        area = plot(rows).mark_area(interpolate="step-after", stroke=colour("paper"), strokeWidth=0.6).encode(
            x=alt.X(
                "day:T", title=None, scale=alt.Scale(type="utc"),
                axis=alt.Axis(format=form, tickCount=6, labelFlush=True, labelOverlap=True),
            ),
            y=alt.Y("weight:Q", title=None, stack="zero", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color(
                "model:N", sort=labels, scale=alt.Scale(domain=labels, range=list(SERIES[: len(labels)])),
                legend=alt.Legend(columns=legend_columns(labels)),
            ),
        )  # fmt: skip
        area = area.properties(width=WIDTH, height=HEIGHT)
        caption = Caption(
            f"{top} weighs most in the pool for {self.result.target}: {now:.0f} %, {usual:.0f} % on average",
            f"weights in %, {self.rule} rule; on each day from outcomes known by then",
            as_of=str(max(shown["day"]))[:10],
        )  # fmt: skip
        return finish(area, caption)


def pool(
    result: BacktestResult,
    rule: Rule = "log-score",
    *,
    members: Sequence[str] | None = None,
    name: str | None = None,
    shrink: float = 10.0,
    discount: float = 1.0,
    without: Sequence[str] = (),
) -> PoolResult:
    """Pool the models of a backtest, each day with weights that rest on what was known on that day.

    Answers: had we listened to all models, each as far as it had been right, how good would that have been?

    Parameters
    ----------
    result
        Of `backtest`.
    rule
        ``"bates-granger"``: weights inverse to past mean squared errors. ``"log-score"``: those with which the linear
        pool of densities would have had the best mean log score. ``"equal"``.
    members
        Models to be pooled; default all, the benchmark too.
    name
        Of the pool among the models; default ``pool (rule)``.
    shrink
        Past quarters that equal weights count for.
    discount
        What a quarter weighs against the one after it, at most 1.
    without
        Quarters whose errors tell nothing of ordinary times, such as ``("2020-Q2",)``.

    Returns
    -------
    PoolResult
        With `weights`, and the pool beside its members.

    Raises
    ------
    UsageError
        No such member, a name that is taken, or a result that does not tell what was known when.

    Notes
    -----
    A day's weights rest on one nowcast of each past quarter, made at the nearest distance (at most 20 days off; of two
    as near the later), for which all members present have one. An outcome counts from the day on which a vintage has
    it, as it was then known; with no such quarter the weights are equal. Models that say the same to the last digit, on
    the day and in all those quarters, are one model, whose weight they share; so a copy of a model changes nothing.
    Where several weights would have had the same log score, those nearest to equal ones are taken; see
    `weights.log_score`. Members' densities are normal, with the standard deviation that goes with their quantiles.

    The density under ``"log-score"`` and ``"equal"`` is the mixture: its mean, standard deviation and quantiles. Under
    ``"bates-granger"`` it is normal about the pooled mean; its standard deviation is the weighted mean of the members'
    (what it would be if their errors were one and the same), and its quantiles are drawn towards the pool's own past
    errors, as each model's are.
    """
    frame = result.frame
    chosen = list(members) if members is not None else list(dict.fromkeys(frame["model"]))
    absent = [one for one in chosen if one not in set(frame["model"])]
    label = name or f"pool ({rule})"
    if rule not in _SOURCES:
        raise UsageError(f"rule={rule!r} is not known.", remedy=f"Use one of {', '.join(_SOURCES)}.")
    if absent or not chosen:
        raise UsageError(f"there is no model {', '.join(absent)}.", remedy="Name models of the backtest.")
    if label in set(frame["model"]):
        raise UsageError(f"a model is called {label!r} already.", remedy="Give the pool another name.")
    if not result.known:
        raise UsageError("the result does not tell what was known when.", remedy="Give a result of `backtest`.")
    if not 0.0 < discount <= 1.0 or shrink < 0.0:
        raise UsageError("discount or shrink is out of range.", remedy="Use 0 < discount ≤ 1 and shrink ≥ 0.")
    own = frame[frame["model"].isin(chosen)].assign(stated=lambda table: stated_sd(table))
    by_model = {model: _History.of(table) for model, table in own.groupby("model", sort=False)}
    weights: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for (at_day, period), now in own.groupby(["day", "period"], sort=True):
        day = pd.Timestamp(str(at_day))
        left = int(now["days_left"].iloc[0])
        known = {q: v for q, v in result.known[str(day.date())].items() if q not in without}
        here = list(now["model"])
        past = _past([by_model[model] for model in here], day, left, known)
        means, sds = now["mean"].to_numpy(np.float64), now["stated"].to_numpy(np.float64)
        w = _weights(rule, past, np.stack([means, sds]), shrink, discount)
        count = len(past.quarters)
        at = {"day": day, "period": period, "days_left": left}
        weights += [at | {"model": m, "weight": float(v), "past": count} for m, v in zip(here, w, strict=True)]
        mixture = Mixture(w, means, sds)
        shock, outcome = bool(now["shock"].any()), float(now["outcome"].iloc[0])
        row = at | {"model": label, "mean": mixture.mean, "shock": shock, "outcome": outcome}
        row["wobble"] = 0.0  # a mixture says by itself how unsure its width is
        if rule == "bates-granger":
            row |= _normal(mixture, rows, day, left, known, shock=shock)
        else:
            row |= _mixed(mixture, outcome) | {"past": count}
        rows.append(row)
    done = pd.DataFrame(rows)
    done["error"] = done["mean"] - done["outcome"]
    if rule == "bates-granger":
        done = scored(done)
    together = pd.concat([frame, done[list(frame.columns)]], ignore_index=True)
    return PoolResult(label, rule, pd.DataFrame(weights), replace(result, frame=together))


@dataclass(frozen=True, slots=True)
class _History:
    days: Any  # datetime64
    left: Floats
    periods: list[str]
    mean: Floats
    sd: Floats

    @classmethod
    def of(cls, table: pd.DataFrame) -> _History:
        table = table.sort_values("day", kind="stable")
        return cls(
            table["day"].to_numpy(), table["days_left"].to_numpy(np.float64), [str(p) for p in table["period"]],
            table["mean"].to_numpy(np.float64), table["stated"].to_numpy(np.float64),
        )  # fmt: skip

    def nearest(self, day: pd.Timestamp, left: int, known: Any) -> dict[str, int]:
        """Return quarter → row of the nowcast before `day` at the nearest distance, of quarters known.

        Of two as near the later one. The last one within the span would always be one that knew more.
        """
        away = np.abs(self.left - left)
        rows = np.flatnonzero((self.days < np.datetime64(day)) & (away <= NEAR))
        # Days ascend: what is put in last is the nearest, and of two as near the later.
        rows = rows[np.argsort(-away[rows], kind="stable")]
        return {self.periods[k]: int(k) for k in rows if self.periods[k] in known}


@dataclass(frozen=True, slots=True)
class _Past:
    """Quarters in order; quarters x members: errors and log densities."""

    quarters: list[str]
    errors: Floats
    log_density: Floats


def _past(histories: Sequence[_History], day: pd.Timestamp, left: int, known: Any) -> _Past:
    rows = [history.nearest(day, left, known) for history in histories]
    common = sorted(set.intersection(*(set(one) for one in rows)))
    outcome = np.array([known[q] for q in common])
    shape = (len(common), len(histories))
    errors, sds = np.zeros(shape), np.ones(shape)
    for m, (history, at) in enumerate(zip(histories, rows, strict=True)):
        places = [at[q] for q in common]
        errors[:, m] = history.mean[places] - outcome
        sds[:, m] = history.sd[places]
    return _Past(common, errors, -0.5 * (errors / sds) ** 2 - np.log(sds) - 0.5 * _LOG_2PI)


def _weights(rule: Rule, past: _Past, now: Floats, shrink: float, discount: float) -> Floats:
    """Return weights; models that say the same now, and said it in all quarters that count, share those of one."""
    first = np.array(together_once(now, past.errors, past.log_density))
    kinds, kind, alike = np.unique(first, return_inverse=True, return_counts=True)
    count = len(kinds)
    if rule == "equal" or not past.quarters:
        return np.asarray(np.full(count, 1.0 / count)[kind] / alike[kind])
    numbers = np.array([pd.Period(q.replace("-", ""), freq="Q").ordinal for q in past.quarters])
    importance = discount ** (numbers.max() - numbers).astype(np.float64)
    errors, density = past.errors[:, kinds], past.log_density[:, kinds]
    found = inverse_square(errors, importance) if rule == "bates-granger" else log_score(density, importance)
    return np.asarray(towards_equal(found, float(importance.sum()), shrink)[kind] / alike[kind])


def _mixed(mixture: Mixture, outcome: float) -> dict[str, Any]:
    seen = np.isfinite(outcome)
    out = {f"q{100 * level:02.0f}": mixture.quantile(level) for level in LEVELS}
    return out | {
        "sd": mixture.sd,
        "basis": "mixture",
        "crps": mixture.crps(outcome) if seen else np.nan,
        "pit": mixture.below(outcome) if seen else np.nan,
        "log_density": mixture.log_density(outcome) if seen else np.nan,
    }


def _normal(
    mixture: Mixture, rows: Sequence[dict[str, Any]], day: pd.Timestamp, left: int, known: Any, *, shock: bool
) -> dict[str, Any]:
    """A normal density about the pooled mean, its quantiles drawn towards the pool's own errors known by the day."""
    sd = float(mixture.weights @ mixture.sds)
    near = [
        row for row in rows
        if row["day"] < day and row["period"] in known and abs(row["days_left"] - left) <= NEAR
    ]  # fmt: skip
    near.sort(key=lambda row: -abs(row["days_left"] - left))  # the nearest last, and of two as near the later
    past = {
        row["period"]: {"error": row["mean"] - known[row["period"]], "sd": row["sd"], "shock": row["shock"]}
        for row in near
    }
    levels, basis, count = quantiles(mixture.mean, sd, shock=shock, history=pd.DataFrame(list(past.values())))
    named = {f"q{100 * level:02.0f}": value for level, value in levels.items()}
    return named | {"sd": sd, "basis": basis, "past": count}
