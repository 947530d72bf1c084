"""How models would have nowcast on past vintages: one call, true vintages, an explicit target, honest scores."""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, is_dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.base.progress import track
from opsroom.measure.nowcast.benchmark import ar1
from opsroom.measure.nowcast.calendar import vintage_lags
from opsroom.measure.nowcast.dfm.grid import gather, month_number
from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel
from opsroom.measure.nowcast.dfm.parameters import FactorParameters
from opsroom.measure.nowcast.dfm.results import quantiles
from opsroom.measure.nowcast.dfm.scoring import BacktestResult, scored
from opsroom.measure.nowcast.fine.model import FittedFineModel
from opsroom.measure.nowcast.panel import Panel
from opsroom.measure.nowcast.vintage import FineVintage, Vintage, in_order

Release = Literal["first", "second", "latest"]
CHUNK = 15
"""Vintages in a row that are fitted one after the other, each from the parameters of the one before."""
NEAR = 20
"""Days by which the distance to a quarter's end may differ for a past error to count."""
_PLACES = {"first": 0, "second": 1, "latest": -1}
AR1 = "AR(1)"
"""Name of the benchmark that every backtest has."""


class Nowcast(Protocol):
    """What a model of one's own returns."""

    @property
    def mean(self) -> float:
        """The nowcast."""

    @property
    def sd(self) -> float:
        """Standard deviation of its error."""


Model = DynamicFactorModel | Callable[..., Nowcast]


@dataclass(frozen=True, slots=True)
class _Task:
    vintages: tuple[tuple[pd.Timestamp, FineVintage], ...]
    target: str
    name: str
    model: Model
    ahead: int
    tol: float


def backtest(
    vintages: Mapping[Any, Vintage | FineVintage],
    target: str,
    models: Mapping[str, Model],
    *,
    outcomes: Mapping[str, float] | None = None,
    release: Release = "first",
    ahead: int = 0,
    tol: float = 1e-6,
    workers: int = 1,
    cache: Path | None = None,
) -> BacktestResult:
    """Nowcast a quarterly target on every past vintage, re-estimating each time, and score what came of it.

    Answers: had we used this model, how good would it have been, on the data as they stood then?

    Parameters
    ----------
    vintages
        Day → (monthly, quarterly) tables as they stood, transformed; a `FineVintage` where there are weekly or daily
        tables too: a `DynamicFactorModel` then has its factors on weeks or days.
    target
        A quarterly series.
    models
        Name → a `DynamicFactorModel`, or a function of (monthly, quarterly, target, period) that returns something
        with ``mean`` and ``sd``. A function with parameters called ``weekly``, ``daily`` or ``levels`` is given those
        tables by these names; one without them, or one that tells no parameters (compiled), sees months and quarters
        alone. An AR(1) is always run beside them.
    outcomes
        Quarter (``2016-Q3``) → the value that counts; default learnt from the vintages.
    release
        Which value counts where it is learnt: the ``"first"`` published, the ``"second"`` different one, or the one in
        the ``"latest"`` vintage.
    ahead
        Nowcast up to so many quarters after that of the vintage's day.
    tol
        See `DynamicFactorModel.fit`.
    workers
        Processes. The result does not depend on it.
    cache
        A folder: what was computed for the same data, model and version is read from there. A model of one's own is
        kept if it is a frozen dataclass; empty the folder when its code has changed. Functions are computed anew.

    Raises
    ------
    UsageError
        No vintages, a target that a vintage lacks, a release that is not known, or a model that is none, is called like
        the benchmark, or cannot go to other processes.

    Notes
    -----
    Quantiles rest on the model's own earlier errors, and on no outcome that was not in the vintage. A fit that is
    refused is listed in `refused`, not replaced. Each search begins from the parameters of the vintage before, and anew
    where the series are not the same. `BacktestResult.lags` is the publication calendar that the vintages tell.
    """
    if not vintages:
        raise UsageError("there are no vintages.", remedy="Give a mapping of day → (monthly, quarterly).")
    if AR1 in models:
        raise UsageError(f"a model is called {AR1!r}, as the benchmark is.", remedy="Give it another name.")
    _checked(models, release, ahead, workers)
    ordered = in_order(vintages)
    lacking = [day for day, vintage in ordered if target not in vintage.quarterly]
    if lacking:
        raise UsageError(
            f"the vintage of {lacking[0].date()} has no quarterly series {target!r}.",
            remedy="Name a column of the quarterly tables.",
        )
    chunks = [ordered[k : k + CHUNK] for k in range(0, len(ordered), CHUNK)]
    everything: dict[str, Model] = {AR1: autoregression, **models}
    tasks = [_Task(chunk, target, name, model, ahead, tol) for name, model in everything.items() for chunk in chunks]
    done = _all(tasks, workers, None if cache is None else Path(cache))
    rows = [row for found, _ in done for row in found]
    refused = tuple(one for _, lost in done for one in lost)
    learnt = dict(outcomes) if outcomes is not None else learn_outcomes(ordered, target, release)
    known = as_known(ordered, target, release if outcomes is None else "latest")
    frame = _with_quantiles(pd.DataFrame(rows), learnt, known)
    lags = vintage_lags(vintages)
    return BacktestResult(target, release if outcomes is None else "given", frame, refused, known, lags)


def _checked(models: Mapping[str, Model], release: str, ahead: int, workers: int) -> None:
    """Refuse what is no model, no release, or cannot go to other processes."""
    if release not in _PLACES:
        raise UsageError(f"release={release!r} is not known.", remedy=f"Use one of {', '.join(_PLACES)}.")
    if ahead < 0:
        raise UsageError("ahead is below 0.", remedy="Use 0 for the running quarter.")
    if not isinstance(models, Mapping):
        raise UsageError("the models have no names.", remedy="Give a mapping of name → model.")
    for name, model in models.items():
        if not isinstance(model, DynamicFactorModel) and not callable(model):
            raise UsageError(f"{name!r} is no model.", remedy="Give a DynamicFactorModel, or a function that nowcasts.")
        if workers > 1:
            try:
                pickle.dumps(model)
            except Exception as error:  # noqa: BLE001  # a model's own class may raise anything
                raise UsageError(
                    f"the model {name!r} cannot go to another process ({type(error).__name__}).",
                    remedy="Define its function at a module's top level, or use workers=1.",
                ) from None


def autoregression(monthly: pd.DataFrame | None, quarterly: pd.DataFrame, target: str, period: pd.Period) -> Nowcast:
    """Forecast by an AR(1) of the vintage's own values; see `benchmark.ar1`."""
    grid = gather(pd.DataFrame(index=pd.PeriodIndex([], freq="M")), quarterly[[target]])
    row = month_number(period, "Q") - grid.first_month
    panel = Panel(grid.first_month, (target,), np.array([True]), grid.through(row).values)
    found = ar1(panel, row)
    return _Plain(found.growth, found.deviation)


@dataclass(frozen=True, slots=True)
class _Plain:
    mean: float
    sd: float


def learn_outcomes(
    ordered: Sequence[tuple[pd.Timestamp, FineVintage]], target: str, release: Release
) -> dict[str, float]:
    """Return each quarter's value by the vintages; what the first vintage holds already has no first release."""
    return list(as_known(ordered, target, release).values())[-1]


def as_known(
    ordered: Sequence[tuple[pd.Timestamp, FineVintage]], target: str, release: Release
) -> dict[str, dict[str, float]]:
    """Return day → quarter → the value that counts, as far as the vintages up to that day tell it."""
    bulk = set(_released(ordered[0][1], target))
    place = _PLACES[release]
    seen: dict[str, list[float]] = {}
    out: dict[str, dict[str, float]] = {}
    for day, vintage in ordered:
        for quarter, value in _released(vintage, target).items():
            values = seen.setdefault(quarter, [])
            if not values or values[-1] != value:
                values.append(value)
        out[str(day.date())] = {
            quarter: values[place]
            for quarter, values in seen.items()
            if release == "latest" or (quarter not in bulk and len(values) > place)
        }
    return out


def _released(vintage: FineVintage, target: str) -> dict[str, float]:
    table = vintage.quarterly[target].dropna()
    index = table.index if isinstance(table.index, pd.PeriodIndex) else pd.DatetimeIndex(table.index).to_period("Q")
    return {f"{q.year}-Q{q.quarter}": float(v) for q, v in zip(index, table.to_numpy(), strict=True)}


def _all(tasks: Sequence[_Task], workers: int, cache: Path | None) -> list[tuple[list[dict[str, Any]], list[Any]]]:
    if workers <= 1:
        return [_cached(task, cache) for task in track(tasks, "nowcasts on past vintages")]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_cached, task, cache) for task in tasks]
        return [job.result() for job in track(running, "nowcasts on past vintages")]


def _cached(task: _Task, cache: Path | None) -> tuple[list[dict[str, Any]], list[Any]]:
    if cache is None or not _told_by_content(task.model):
        return _run(task)
    kind = type(task.model)
    about = f"{__version__}|{kind.__module__}.{task.model!r}|{task.target}|{task.ahead}|{task.tol}"
    key = hashlib.sha256(about.encode())
    for day, vintage in task.vintages:
        key.update(f"{day}{vintage.levels}".encode())
        for frequency, table in vintage.tables().items():
            key.update(f"{frequency}{list(table.columns)}".encode())
            key.update(pd.util.hash_pandas_object(table, index=True).to_numpy().tobytes())
    path = cache / f"{key.hexdigest()}.pkl"
    if path.is_file():
        try:
            found: tuple[list[dict[str, Any]], list[Any]] = pickle.loads(path.read_bytes())
        except (pickle.UnpicklingError, EOFError, ValueError):
            pass  # cut short when it was written: computed anew
        else:
            return found
    out = _run(task)
    cache.mkdir(parents=True, exist_ok=True)
    # Written aside first, so that a run that is stopped, or another one, never leaves half a file under this name.
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_bytes(pickle.dumps(out))
    aside.replace(path)
    return out


def _told_by_content(model: object) -> bool:
    """Whether a model's text says all that it is: a frozen dataclass, with nothing in it that
    is told by its address alone or cut short."""
    if isinstance(model, type) or not is_dataclass(model):
        return False
    how: Any = getattr(type(model), "__dataclass_params__")  # noqa: B009  # every dataclass has it; no stub does
    return bool(how.frozen and how.repr) and not any(gap in repr(model) for gap in (" at 0x", "..."))


def _run(task: _Task) -> tuple[list[dict[str, Any]], list[Any]]:
    rows: list[dict[str, Any]] = []
    refused: list[Any] = []
    start: FactorParameters | None = None
    begun: object = None
    for day, vintage in task.vintages:
        if vintage.shape() != begun:
            start, begun = None, vintage.shape()  # other series: parameters of the day before are not theirs
        try:
            asked = _asked(task, vintage, start)
            if isinstance(asked, FittedFactorModel | FittedFineModel):
                start = asked.parameters
            for period in _periods(day, vintage.quarterly[task.target], task.ahead):
                if isinstance(asked, FittedFactorModel | FittedFineModel):
                    result: Any = asked.nowcast(task.target, period)
                else:
                    result = asked(period)
                if not np.isfinite([float(result.mean), float(result.sd)]).all():
                    raise FitError(
                        f"the model {task.name!r} gave no finite nowcast.", code="OPS-M113",
                        remedy="Let it raise a FitError where it has none.",
                    )  # fmt: skip
                rows.append(
                    {
                        "day": day,
                        "model": task.name,
                        "period": f"{period.year}-Q{period.quarter}",
                        "days_left": int((period.end_time.normalize() - day).days),
                        "mean": float(result.mean),
                        "sd": float(result.sd),
                        "shock": bool(getattr(result, "shock", False)),
                        "wobble": float(getattr(result, "wobble", 0.0)),
                    }
                )
        except FitError as error:
            refused.append((day, task.name, error.code))
            start = None
    return rows, refused


def _asked(
    task: _Task, vintage: FineVintage, start: FactorParameters | None
) -> FittedFactorModel | FittedFineModel | Callable[[pd.Period], Nowcast]:
    """Return the model fitted to a vintage, or one's own model with the vintage's tables in place."""
    model, monthly, quarterly = task.model, vintage.monthly, vintage.quarterly
    fine: dict[str, Any] = {"weekly": vintage.weekly, "daily": vintage.daily, "levels": vintage.levels}
    if isinstance(model, DynamicFactorModel):
        # Any of these may be absent, which no overload says.
        tables: Any = {"monthly": monthly, "quarterly": quarterly, **(fine if vintage.fine else {})}
        fitted: FittedFactorModel | FittedFineModel = model.fit(**tables, tol=task.tol, start=start)
        return fitted
    more = {name: given for name, given in fine.items() if name in _named(model)}
    return lambda period: model(monthly, quarterly, task.target, period, **more)


def _named(model: Callable[..., Nowcast]) -> set[str]:
    """Return the parameters that can be given by name; none of a function that does not tell its parameters."""
    try:
        known = inspect.signature(model).parameters
    except (TypeError, ValueError):  # compiled functions, and partial ones of them
        return set()
    return {name for name, one in known.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}


def _periods(day: pd.Timestamp, values: pd.Series, ahead: int) -> list[pd.Period]:
    index = values.dropna().index
    quarters = index if isinstance(index, pd.PeriodIndex) else pd.DatetimeIndex(index).to_period("Q")
    first = quarters.max() + 1
    last = max(pd.Period(day, freq="Q") + ahead, first)
    return list(pd.period_range(first, last, freq="Q"))


def _with_quantiles(
    frame: pd.DataFrame, outcomes: Mapping[str, float], known: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame:
    """Add outcomes, and quantiles that rest on the errors that each day's vintage could know of."""
    if frame.empty:
        return scored(frame)
    frame = frame.sort_values(["model", "day", "period"], kind="stable", ignore_index=True)
    frame["outcome"] = frame["period"].map(outcomes).astype(float)
    frame["error"] = frame["mean"] - frame["outcome"]
    out: list[dict[str, Any]] = []
    for _, own in frame.groupby("model", sort=False):
        days, left = own["day"].to_numpy(), own["days_left"].to_numpy()
        means, sds = own["mean"].to_numpy(np.float64), own["sd"].to_numpy(np.float64)
        shocks, wobbles = own["shock"].to_numpy(bool), own["wobble"].to_numpy(np.float64)
        for k, label in enumerate(own.index):
            # One error a quarter, of the nowcast made at the nearest distance (of two the later): the last one within
            # the span would always be one that knew more. Against what was known of the outcome on this day.
            told = own["period"].map(known[str(pd.Timestamp(days[k]).date())]).astype(float)
            past = own[(days < days[k]) & told.notna().to_numpy() & (np.abs(left - left[k]) <= NEAR)]
            past = past.assign(away=np.abs(past["days_left"] - left[k])).sort_values(
                ["away", "day"], ascending=[True, False], kind="stable"
            )
            past = past.drop_duplicates("period").sort_index()
            past = past.assign(error=past["mean"] - told[past.index])
            levels, basis, count = quantiles(
                float(means[k]), float(sds[k]), shock=bool(shocks[k]), history=past, wobble=float(wobbles[k])
            )
            named = {f"q{100 * level:02.0f}": value for level, value in levels.items()}
            out.append({"at": label, "basis": basis, "past": count} | named)
    return scored(frame.join(pd.DataFrame(out).set_index("at")))
