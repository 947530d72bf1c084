"""Replay: the nowcasts that would have been published on past days, scored against the first releases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.base.progress import track
from opsroom.measure.nowcast.dfm.model import FittedFactorModel
from opsroom.measure.nowcast.dfm.parameters import FactorParameters
from opsroom.measure.nowcast.engine import Learnt, learn, nowcast
from opsroom.measure.nowcast.spec import SeriesSpec, Settings

PanelAsOf = Callable[[dt.date], "pd.DataFrame | Mapping[str, pd.Series]"]
"""Returns the vintage of a day, and nothing later."""

LagsAsOf = Callable[[dt.date], "Mapping[str, int]"]
"""Returns the publication lags learnt by a day, and nothing later."""

COLUMNS = (
    "day",
    "quarter",
    "horizon_days",
    "growth",
    "deviation",
    "lower68",
    "upper68",
    "lower90",
    "upper90",
    "basis",
    "shock",
    "ar1",
    "ar1_deviation",
    "bridge",
    "bridge_deviation",
    "discord",
    "pool",
    "pool_lower90",
    "pool_upper90",
    "first_release",
    "error",
    "ar1_error",
    "bridge_error",
    "pool_error",
)
_ERRORS = {"growth": "error", "ar1": "ar1_error", "bridge": "bridge_error", "pool": "pool_error"}
_SAID = COLUMNS[1 : COLUMNS.index("first_release")]


@dataclass(frozen=True, slots=True)
class Backtest:
    """Past real-time nowcasts beside the first releases.

    Attributes
    ----------
    frame
        One row a day and quarter; see `COLUMNS`. ``error`` is nowcast minus first release, points; NaN
        where there is no first release yet.
    refused
        Days whose fit was refused, with the reason's code.
    models
        Day as of which the parameters were learnt → the model that was: for the nowcasts of later days, and for a
        search on a later day to begin from.
    """

    frame: pd.DataFrame
    refused: tuple[tuple[dt.date, str], ...]
    models: Mapping[dt.date, FittedFactorModel] = field(default_factory=dict)

    def begin(self, day: dt.date) -> FactorParameters | None:
        """Return what was learnt last before a day; None where nothing was.

        A nowcast that begins there is the same whenever it is made, and whatever was asked before.
        """
        return _before(self.models, day)

    def scores(self) -> pd.DataFrame:
        """Return RMSE, mean error, coverage and ratio to the AR(1), overall and by horizon of 30 days."""
        known = self.frame.dropna(subset=["error"])
        band = (known["horizon_days"] // 30 * 30).astype(str)
        groups = [("all", known), *((f"{name}+", g) for name, g in known.groupby(band, sort=False))]
        return pd.DataFrame([_score(name, group) for name, group in groups])

    def ratio(self) -> float:
        """Return the root mean square error over that of the AR(1); below 1 the nowcast is better."""
        return float(self.scores()["ratio"].iloc[0])

    def to_frame(self) -> pd.DataFrame:
        """Return the rows; they serve `nowcast` as `history`."""
        return self.frame.copy()

    def summary(self) -> str:
        """Return the scores as text."""
        return self.scores().round(3).to_string(index=False)

    def cite(self) -> str:
        """Return method and version."""
        return f"Real-time evaluation against first releases; opsroom {__version__}."


def _score(name: str, rows: pd.DataFrame) -> dict[str, object]:
    def rmse(column: str) -> float:
        return float(np.sqrt((rows[column] ** 2).mean()))

    naive = rmse("ar1_error")
    covered = (rows["first_release"] >= rows["lower90"]) & (rows["first_release"] <= rows["upper90"])
    return {
        "horizon": name,
        "n": len(rows),
        "quarters": int(rows["quarter"].nunique()),
        "rmse": rmse("error"),
        "rmse_ar1": naive,
        "rmse_bridge": rmse("bridge_error"),
        "rmse_pool": rmse("pool_error"),
        "ratio": rmse("error") / naive if naive > 0 else np.nan,
        "bias": float(rows["error"].mean()),
        "coverage90": float(covered.mean()),
    }


def rehearse(
    panel_as_of: PanelAsOf,
    days: Iterable[dt.date],
    *,
    target: str,
    specs: Sequence[SeriesSpec],
    first_releases: Mapping[str, float],
    settings: Settings | None = None,
    lags: Mapping[str, int] | LagsAsOf | None = None,
    quarters_ahead: int = 0,
    earlier: Backtest | None = None,
    learn_on: Callable[[dt.date], dt.date] | None = None,
    models: Mapping[dt.date, FittedFactorModel] | None = None,
) -> Backtest:
    """Nowcast as of each past day with that day's vintage, and score against the first releases.

    Parameters
    ----------
    panel_as_of
        The vintage store.
    days
        In ascending order: each interval rests only on errors known by its day.
    target, specs, settings
        As in `nowcast`.
    lags
        As in `nowcast`, or a function that gives those known by a day: a past nowcast then stands on what was
        known on its day alone, and is the same whenever it is run.
    first_releases
        Quarter (``2019-Q4``) → growth in its first release, %; see `first_growth`.
    quarters_ahead
        Keep quarters up to so many after the day's own.
    earlier
        A rehearsal of earlier days with the same series and settings, to be continued: its days are not run
        again, only scored again.
    learn_on
        Day → as of which day its parameters are learnt, with that day's vintage, such as `learning_days` gives;
        absent: each day's own. Where the fit of that day is refused, or has other series, the day's own serves.
    models
        What was learnt already as of days that `learn_on` will name, each begun where `Backtest.begin` of the
        rehearsal until then says: it is not learnt again.

    Raises
    ------
    UsageError
        Days out of order.
    """
    rows: list[dict[str, object]] = []
    refused: list[tuple[dt.date, str]] = []
    learnt: dict[dt.date, FittedFactorModel] = {}
    vain: set[dt.date] = set()
    last: dt.date | None = None
    if earlier is not None and not earlier.frame.empty:
        records = earlier.frame.to_dict("records")
        rows = [_scored({str(k): v for k, v in row.items()}, first_releases) for row in records]
        refused, learnt = list(earlier.refused), dict(earlier.models)
        done = max([*earlier.frame["day"], *(day for day, _ in refused)])
        days = [day for day in days if day > done]
    for day in track(list(days), "nowcasts of past days"):
        if last is not None and day < last:
            raise UsageError("the days of a rehearsal must ascend.", remedy="Sort them.")
        last = day
        on = day if learn_on is None else learn_on(day)
        if on < day and on not in learnt and on not in vain:
            try:
                learnt[on] = (models or {}).get(on) or learn(
                    panel_as_of(on), target=target, as_of=on, specs=specs, settings=settings, start=_before(learnt, on)
                ).model
            except FitError:
                vain.add(on)
        past = pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None
        try:
            result = nowcast(
                panel_as_of(day),
                target=target,
                as_of=day,
                specs=specs,
                history=past,
                lags=lags(day) if callable(lags) else lags,
                settings=settings,
                calendar=False,
                start=_before(learnt, day),
                learnt=Learnt(on, learnt[on]) if on < day and on in learnt else None,
                quarters_ahead=quarters_ahead,
            )
        except FitError as error:
            refused.append((day, error.code))
            continue
        if result.learnt_on == day:
            learnt[day] = result.workings.fitted
        limit = pd.Period(day, freq="Q") + quarters_ahead
        for q in result.quarters:
            if pd.Period(q.quarter.replace("-", ""), freq="Q") <= limit:
                rows.append(_scored(_open(day, q), first_releases))
    return Backtest(pd.DataFrame(rows, columns=list(COLUMNS)), tuple(refused), learnt)


def _before(models: Mapping[dt.date, FittedFactorModel], day: dt.date) -> FactorParameters | None:
    known = [when for when in models if when < day]
    return models[max(known)].parameters if known else None


def _open(day: dt.date, q: object) -> dict[str, object]:
    row = {c: getattr(q, c) for c in _SAID}
    return {"day": day, **row, **dict.fromkeys(COLUMNS[1 + len(_SAID) :], np.nan)}


def _scored(row: dict[str, object], first_releases: Mapping[str, float]) -> dict[str, object]:
    """Add the outcome; `nowcast` itself looks at it only once its vintage contains the quarter."""
    outcome = first_releases.get(str(row["quarter"]), np.nan)
    errors = {column: float(str(row[name])) - outcome for name, column in _ERRORS.items()}
    return {**row, "first_release": outcome, **errors}


def first_growth(vintages: pd.DataFrame) -> dict[str, float]:
    """Return each quarter's growth as first released.

    Parameters
    ----------
    vintages
        Every known value of the target: ``period`` (a day in the quarter), ``known_at``, ``value`` (level).
        The
        growth is that of the vintage in which the quarter first appears.

    Returns
    -------
    dict
        Quarter → % on the quarter before, not annualised. A history that came in bulk counts only with
        its last quarter.
    """
    quarter = pd.DatetimeIndex(pd.to_datetime(vintages["period"])).to_period("Q")
    level = vintages["value"].to_numpy(np.float64)
    vintage = pd.factorize(vintages["known_at"], sort=True)[0]
    order = np.argsort(vintage, kind="stable")
    bounds = np.flatnonzero(np.diff(vintage[order])) + 1
    # Quarters as numbers since 1970.
    number = quarter.asi8
    out: dict[str, float] = {}
    levels: dict[int, float] = {}
    newest: int | None = None
    for group in np.split(order, bounds):
        levels.update(zip(number[group].tolist(), level[group].tolist(), strict=True))
        latest = max(levels)
        if (newest is None or latest > newest) and latest - 1 in levels:
            out[f"{1970 + latest // 4}-Q{latest % 4 + 1}"] = 100.0 * (levels[latest] / levels[latest - 1] - 1.0)
        newest = latest
    return out
