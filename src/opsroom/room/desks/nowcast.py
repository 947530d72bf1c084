"""Desk `nowcast`: growth of the quarter that is not published yet.

Settings: ``datasets`` (public datasets of series: one code field, the period, one number); ``target`` (code of the
quarterly level; absent: the only quarterly series); ``[[desks.series]]`` tables with ``name``, ``frequency``,
``transform``, ``block``, ``category``, ``title``, ``publication_lag_days`` (absent: seen from the values);
``[[desks.activity]]`` tables for indices of activity: ``desk`` (the name of an activity desk with ``train`` spans),
``series`` (one of its series), ``name``, and as above ``transform`` (absent: ``chg``), ``block``, ``category``,
``title``, ``publication_lag_days``; ``backtest_from`` (first quarter of the real-time rehearsal, such as ``2012-Q1``;
absent: none, and the interval is labelled the model's alone); ``step_days`` (days between two rehearsed vintages,
default 45); ``learn`` (when the model's parameters are learnt again: ``release``, the default, as of the day on which
a quarter of the target is first released; ``month``, as of a month's first day; ``day``, as of each day itself; in
between, each day's data are read with the parameters that are known); ``headline`` (which figure comes first on pages
and in briefings: ``model``, the default, the factor model's; ``pool``, what all models say together; the other one is
shown beside it).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError, SettingsError
from opsroom.base.periods import end_of_day, parse_period
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, earlier_release
from opsroom.room.desks.activity import index_of
from opsroom.room.desks.series_guess import guess_series, guess_target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from opsroom.measure.nowcast import Backtest, Lags, Learnt, NowcastResult, SeriesSpec, Settings
    from opsroom.measure.nowcast.results import Headline


BAND = 30
"""Days of horizon that are scored together."""
MOST_KEPT = 4
"""Days whose model is kept in memory; it is learnt again, to the same end, when it is asked for later."""


class NowcastDesk:
    """Nowcast GDP from the room's own series."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the nowcast, what changed since the last one, and how such nowcasts have done."""
        from opsroom.measure.nowcast import nowcast

        first = headline_of(settings)
        names = [str(name) for name in settings.require("datasets")]
        if not all(view.has(name) for name in names):
            return DeskOutcome(None, note="not all of the nowcast's series are known yet")
        specs = series_specs(settings)
        indices = indices_of(view, settings, {s.name for s in specs})
        inputs = Inputs(view, read_vintages(view, names, [s.name for s in specs]), indices)
        specs = [*(specs or guess_series(inputs.vintages)), *(index.spec for index in indices)]
        target, why = (str(settings.get("target")), "") if settings.get("target") else guess_target(specs)
        if not target:
            return DeskOutcome(None, note=why)
        lags = lags_of(inputs.vintages, specs)
        learn_on = learning(view, settings, inputs.vintages, target)
        rehearsal = self._rehearsal(view, settings, inputs, specs, target, lags, learn_on)
        history = None if rehearsal is None else rehearsal.to_frame()
        models = Models(view, settings, inputs, specs, target, rehearsal)

        def at(day: dt.date, moment: dt.datetime) -> NowcastResult:
            return nowcast(
                inputs.at(day, moment), target=target, as_of=day, specs=specs, history=history,
                lags=lags.by(moment), settings=model_settings(settings),
                start=None if rehearsal is None else rehearsal.begin(day), learnt=models.as_of(day, learn_on(day)),
            )  # fmt: skip

        try:
            result = at(view.day, view.as_of)
        except FitError as error:
            return DeskOutcome(None, note=f"the fit was refused ({error.code})")
        previous = self._previous(view, settings, at)
        view.memory[f"nowcast.last.{settings.name}"] = result
        cells = list(result.cells(previous=previous, headline=first))
        if rehearsal is not None and rehearsal.frame["error"].notna().any():
            cells.append(score_cells(rehearsal, first))
        return DeskOutcome(result, tuple(cells))

    def _previous(
        self, view: View, settings: DeskSettings, at: Callable[[dt.date, dt.datetime], NowcastResult]
    ) -> NowcastResult | None:
        """Return the nowcast of the last publication: kept, or made again with that day's vintage."""
        kept: NowcastResult | None = view.memory.get(f"nowcast.last.{settings.name}")
        if view.ahead:
            return kept  # day after day: what was made last is what will be out
        earlier = earlier_release(view, "nowcast.gdp")
        if earlier is None:
            return None
        if kept is not None and kept.as_of == earlier.day:
            return kept
        try:
            return at(earlier.day, earlier.as_of)
        except FitError:
            return None  # there is no fit whose change could be split into news

    def _rehearsal(
        self,
        view: View,
        settings: DeskSettings,
        inputs: Inputs,
        specs: list[SeriesSpec],
        target: str,
        lags: Lags,
        learn_on: Callable[[dt.date], dt.date],
    ) -> Backtest | None:
        """Rehearse past vintages once a quarter: what the room would have said, day by day, before it began."""
        from opsroom.measure.nowcast import first_growth, rehearse

        start = settings.get("backtest_from")
        if start is None:
            return None
        gdp = inputs.vintages[inputs.vintages["series"] == target]
        outcomes = first_growth(gdp[["period", "known_at", "value"]])
        step = dt.timedelta(days=int(settings.get("step_days", 45)))
        days, day = [], parse_period(str(start), "Q")
        while day < view.day:
            days.append(day)
            day += step
        place = f"nowcast.rehearsal.{settings.name}"

        view.memory[place] = rehearse(
            inputs.at_end_of,
            days,
            target=target,
            specs=specs,
            first_releases=outcomes,
            lags=lambda d: lags.by(end_of_day(d, view.settings.timezone)),
            settings=model_settings(settings),
            earlier=view.memory.get(place),
            learn_on=learn_on,
            models={on: known.model for on, known in kept_models(view, settings).items() if known is not None},
        )
        rehearsed: Backtest = view.memory[place]
        return rehearsed


@dataclass(frozen=True, slots=True)
class Index:
    """An index of activity as one of the nowcast's series: the desk that makes it, and which of the desk's series.

    Attributes
    ----------
    desk
        The desk's settings.
    series
        Code of the series.
    spec
        How it enters the nowcast.
    since
        Day on which the last normal day of the desk's spans is over: before, nobody could have made the index.
    """

    desk: DeskSettings
    series: str
    spec: SeriesSpec
    since: dt.date

    def at(self, view: View) -> pd.DataFrame | None:
        """Return the gap as of the view's day, per cent as published; None where it was not known then."""
        import pandas as pd

        if view.day <= self.since or not view.has(str(self.desk.require("dataset"))):
            return None
        result = index_of(view, self.desk)
        known = [str(name) for name in result.fits.index]
        if self.series not in known:
            raise SettingsError(
                f"room.toml: desk {self.desk.name!r} has no series {self.series!r} for a nowcast.",
                remedy=f"Use {', '.join(known)}.",
                code="OPS-C006",
            )
        frame = result.to_frame()
        if frame.index.nlevels > 1:
            frame = frame.loc[[self.series]].droplevel("series")
        gap = frame["gap"].dropna().round(1)
        return pd.DataFrame({"series": self.spec.name, "period": gap.index, "value": gap.to_numpy()})


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the nowcast of any day rests on: vintages of series, and indices of activity made as of the day."""

    view: View
    vintages: pd.DataFrame
    indices: list[Index]

    def at(self, day: dt.date, moment: dt.datetime) -> pd.DataFrame:
        """Return the latest value of each series and period known by a moment of a day."""
        import pandas as pd

        then = self.view if day == self.view.day else self.view.at(day)
        made = [found for index in self.indices if (found := index.at(then)) is not None]
        return pd.concat([panel_at(self.vintages, moment), *made], ignore_index=True)

    def at_end_of(self, day: dt.date) -> pd.DataFrame:
        """Return what was known at the end of a day, as far as it is known by the view's moment."""
        return self.at(day, end_of_day(day, self.view.settings.timezone))


@dataclass(frozen=True, slots=True)
class Models:
    """The model as learnt as of earlier days: by the rehearsal, or here, from the vintage of that day."""

    view: View
    settings: DeskSettings
    inputs: Inputs
    specs: list[SeriesSpec]
    target: str
    rehearsal: Backtest | None

    def as_of(self, day: dt.date, on: dt.date) -> Learnt | None:
        """Return what the nowcast of `day` keeps of an earlier day `on`; None where it learns from its own data."""
        from opsroom.measure.nowcast import Learnt, learn

        if on >= day:
            return None
        if self.rehearsal is not None and on in self.rehearsal.models:
            return Learnt(on, self.rehearsal.models[on])
        kept = kept_models(self.view, self.settings)
        if on not in kept:
            start = None if self.rehearsal is None else self.rehearsal.begin(on)
            try:
                kept[on] = learn(
                    self.inputs.at_end_of(on), target=self.target, as_of=on, specs=self.specs, start=start,
                    settings=model_settings(self.settings),
                )  # fmt: skip
            except FitError:
                kept[on] = None  # that day's data do not allow of a fit: the day's own may
            while len(kept) > MOST_KEPT:
                del kept[next(iter(kept))]
        return kept[on]


def indices_of(view: View, settings: DeskSettings, names: set[str]) -> list[Index]:
    """Return the indices of activity of the desk, as its settings describe them; `names` are taken by its series."""
    from opsroom.measure.nowcast.spec import TRANSFORMS, SeriesSpec

    if settings.get("activity") is None:
        return []
    words = dict.fromkeys(("transform", "block", "category", "title"), str)
    given = settings.tables(
        "activity",
        needs={"desk": str, "series": str, "name": str},
        allows={**words, "publication_lag_days": int},
    )
    desks = {desk.name: desk for desk in view.settings.desks if desk.kind == "activity"}
    found: list[Index] = []
    for number, table in enumerate(given, start=1):
        where = f"room.toml: desk {settings.name!r}: activity, table {number}"
        desk = desks.get(table["desk"])
        if desk is None:
            raise SettingsError(
                f"{where} names {table['desk']!r}, which is no activity desk.",
                remedy=f"Use one of: {', '.join(sorted(desks)) or 'none yet; add a desk of kind activity'}.",
                code="OPS-C006",
            )
        if not desk.get("train"):
            raise SettingsError(
                f"{where}: desk {desk.name!r} has no fixed normal spans, so that no past day's index is known.",
                remedy='Add train = [["2015-01-01", "2018-12-31"]] to that desk.',
                code="OPS-C006",
            )
        if table["name"] in names:
            raise SettingsError(
                f"{where}: the name {table['name']!r} is taken.", remedy="Give another name.", code="OPS-C006"
            )
        names = {*names, table["name"]}
        own = {"transform": "chg", **{key: value for key, value in table.items() if key not in ("desk", "series")}}
        if own["transform"] not in TRANSFORMS:
            raise SettingsError(
                f"{where}: the transform {own['transform']!r} is unknown.",
                remedy=f"Use one of: {', '.join(TRANSFORMS)}.",
                code="OPS-C006",
            )
        spec = SeriesSpec(**own, frequency="W" if desk.get("freq") == "W" else "D")
        since = max(dt.date.fromisoformat(str(end)[:10]) for _, end in desk.get("train"))
        found.append(Index(desk, table["series"], spec, since))
    return found


def read_vintages(view: View, datasets: list[str], series: list[str]) -> pd.DataFrame:
    """Return every vintage of some series (of all where none is named) known by the view's day."""
    import pandas as pd

    pieces = []
    for name in datasets:
        spec = view.spec(name)
        (code,) = [field for field in spec.key if field != spec.period]
        value = next(f.name for f in spec.fields if f.type == "number")
        frame = view.vintages(name, [code, spec.period, value])
        frame.columns = ["series", "period", "value", "known_at"]
        pieces.append(frame[frame["series"].isin(series)] if series else frame)
    long = pd.concat(pieces, ignore_index=True)
    long["period"] = pd.to_datetime(long["period"])
    return long.sort_values(["known_at"], kind="stable", ignore_index=True)


def kept_models(view: View, settings: DeskSettings) -> dict[dt.date, Learnt | None]:
    """Return the models that were learnt last, by day as of which; None where the fit was refused."""
    kept: dict[dt.date, Learnt | None] = view.memory.setdefault(f"nowcast.learnt.{settings.name}", {})
    return kept


def learning(view: View, settings: DeskSettings, vintages: pd.DataFrame, target: str) -> Callable[[dt.date], dt.date]:
    """Return the function that says as of which day the parameters of a day's nowcast are learnt."""
    from opsroom.measure.nowcast import learning_days
    from opsroom.measure.nowcast.rhythm import RHYTHMS

    rhythm = settings.get("learn", "release")
    if rhythm not in RHYTHMS:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: learn = {rhythm!r} is no rhythm of learning.",
            remedy=f"Use one of: {', '.join(RHYTHMS)}.",
            code="OPS-C006",
        )
    known = vintages[vintages["series"] == target]
    return learning_days(rhythm, known[["period", "known_at", "value"]], timezone=str(view.settings.timezone))


def panel_at(vintages: pd.DataFrame, moment: dt.datetime) -> pd.DataFrame:
    """Return the latest value of each series and period known by a moment."""
    known = vintages[vintages["known_at"] <= moment]
    return known.drop_duplicates(["series", "period"], keep="last")[["series", "period", "value"]]


def lags_of(vintages: pd.DataFrame, specs: list[SeriesSpec]) -> Lags:
    """Return the days from period end to first release of everything in the vintages, to be asked as of any moment."""
    from opsroom.measure.nowcast import Lags

    # In the order of knowledge, what was known first is so as of every moment by which anything was.
    first = vintages.drop_duplicates(["series", "period"], keep="first").copy()
    first["frequency"] = first["series"].map({s.name: s.frequency for s in specs})
    return Lags.of(first[first["frequency"].notna()])


def series_specs(settings: DeskSettings) -> list[SeriesSpec]:
    """Return the series of the desk, as its settings describe them."""
    from opsroom.measure.nowcast import SeriesSpec

    if settings.get("series") is None:
        return []
    words = dict.fromkeys(("frequency", "transform", "block", "category", "title"), str)
    given = settings.tables("series", needs={"name": str}, allows={**words, "publication_lag_days": int})
    return [SeriesSpec(**table) for table in given]


def model_settings(settings: DeskSettings) -> Settings:
    """Return the model's settings: the defaults, and what the desk's ``model`` table says."""
    from opsroom.measure.nowcast import Settings

    return Settings(**settings.get("model", {}))


def headline_of(settings: DeskSettings) -> Headline:
    """Return which figure the desk puts first."""
    from opsroom.measure.nowcast.results import HEADLINES

    said = settings.get("headline", "model")
    for known in HEADLINES:
        if said == known:
            return known
    raise SettingsError(
        f"room.toml: desk {settings.name!r}: headline = {said!r} is no figure of the nowcast.",
        remedy=f"Use one of: {', '.join(HEADLINES)}.",
        code="OPS-C006",
    )


_BANDS = {"growth": ("lower90", "upper90"), "pool": ("pool_lower90", "pool_upper90")}


def _coverage(part: pd.DataFrame, outcome: np.ndarray, lower: str, upper: str) -> float:
    """Return how many outcomes lay inside the 90 % interval, %."""
    inside = (outcome >= part[lower].to_numpy(float)) & (outcome <= part[upper].to_numpy(float))
    return 100.0 * float(inside.mean())


def score_cells(rehearsal: Backtest, headline: Headline = "model") -> Cells:
    """Return ``scores.nowcast``: how real-time nowcasts have done against first releases, by horizon and method.

    Method ``room`` is the headline; the other of the two is ``pool`` or ``model``.
    """
    import pandas as pd

    from opsroom.base.scores import bias, mae, rmse

    known = rehearsal.to_frame().dropna(subset=["error"])
    bands = (known["horizon_days"] // BAND * BAND).astype(int)
    groups = [("all", known), *((f"{low} to {low + BAND - 1}", part) for low, part in known.groupby(bands))]
    rows: list[dict[str, Any]] = []
    two = {"room": "pool", "model": "growth"} if headline == "pool" else {"room": "growth", "pool": "pool"}
    methods = {**two, "ar1": "ar1", "bridge": "bridge"}
    for horizon, part in groups:
        outcome = part["first_release"].to_numpy(float)
        for method, column in methods.items():
            said = part[column].to_numpy(float)
            rows.append(
                {
                    "horizon": horizon,
                    "method": method,
                    "n": len(part),
                    "mae": mae(said, outcome),
                    "rmse": rmse(said, outcome),
                    "bias": bias(said, outcome),
                    "coverage": _coverage(part, outcome, *_BANDS[column]) if column in _BANDS else float("nan"),
                }
            )
    return Cells(
        name="scores.nowcast",
        dimensions=("horizon", "method"),
        measures=(
            Measure("mae", "public", "points", decimals=2),
            Measure("rmse", "public", "points", decimals=2),
            Measure("bias", "public", "points", decimals=2),
            Measure("coverage", "public", "%", decimals=0),
            Measure("n", "public", "nowcasts", decimals=0),
        ),
        frame=pd.DataFrame(rows),
        method="nowcast-1",
        unit_kind="public",
    )


DESK = NowcastDesk()
