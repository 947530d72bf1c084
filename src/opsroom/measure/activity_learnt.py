"""What normal spans teach: regressions by trend and penalty, their rehearsals, each made once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.adjust.batch import BatchFit
from opsroom.measure.adjust.breaks import SIZE, Steps, fit_levelled
from opsroom.measure.adjust.feasts import HATS, Moments
from opsroom.measure.adjust.shared import Shared
from opsroom.measure.adjust.terms import FULL, LEAN, DayDesign

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Choice = tuple[str, float]
"""A trend and a penalty."""

Designs = dict[str, tuple[Floats, Floats, slice]]
Kept = MutableMapping[str, "Learnt"]

TRENDS = ("linear", "flat", "local", "none")
FIRST_ORIGIN = 2 * 365
STEP = 91
BLOCKS = 8
MOST_KEPT = 8
"""Normal spans whose teaching is kept: one for each group of series with the same weather and holidays, or more."""


@dataclass(frozen=True, slots=True)
class Days:
    """What is known of each day, or of each week of seven days from its Monday."""

    dates: pd.DatetimeIndex
    days: pd.DatetimeIndex
    calendar: pd.DataFrame
    weather: pd.DataFrame | None
    feasts: dict[str, Moments]
    normal: Mask
    known: Mask
    per: int
    """Days a row: 1, or 7."""

    def daily(self, rows: Mask) -> Mask:
        """Return which days belong to some rows."""
        return np.repeat(rows, self.per)

    def until(self, rows: int) -> Days:
        """Return what is known of the first rows."""
        days = rows * self.per
        return replace(
            self, dates=self.dates[:rows], days=self.days[:days], calendar=self.calendar.iloc[:days],
            weather=None if self.weather is None else self.weather.iloc[:days], normal=self.normal[:rows],
            known=self.known[:rows],
        )  # fmt: skip

    def design(self, train: Mask, trends: Iterable[str]) -> Designs:
        """Return designs learnt on the rows of `train`, for all rows: terms, penalties, where the trend is."""
        learnt = self.daily(train)
        weather = self.weather[learnt] if self.weather is not None else None
        base = DayDesign.learn(
            self.calendar[learnt], weather, trend="none", feasts=self.feasts, detail=FULL if self.per == 1 else LEAN
        )
        x, penalty = base.matrix(self.calendar, self.weather)
        out = {}
        for trend in trends:
            own = replace(base, trend=trend)
            columns, more = own.trend_columns(self.days)
            whole = np.hstack([x[:, :1], columns, x[:, 1:]])
            whole = np.where(np.isfinite(whole), whole, 0.0)
            if self.per > 1:
                whole = whole.reshape(-1, self.per, whole.shape[1]).mean(axis=1)
            # A penalty is in days: a row of a week tells no more of a level than a day does.
            out[trend] = (whole, np.concatenate([penalty[:1], more, penalty[1:]]) / self.per, own.trend_terms)
        return out

    def origins(self) -> list[int]:
        """Return the rows from which forecasts inside the normal spans are rehearsed."""
        at = np.flatnonzero(self.normal)
        step, first = STEP // self.per, FIRST_ORIGIN // self.per
        return list(range(int(at[0]) + first, int(at[-1]) - step + 1, step))


@dataclass(frozen=True, slots=True)
class Fold:
    """A rehearsal: rows on which is learnt, rows that are then forecast, and the first of these where it lies ahead."""

    train: Mask
    test: Mask
    origin: int | None

    def within(self, reach: int) -> Fold:
        """Return the rehearsal of forecasts that reach so many rows ahead; a block left out stays whole."""
        if self.origin is None:
            return self
        return replace(self, test=self.test & (np.arange(len(self.test)) < self.origin + reach))


@dataclass(slots=True)
class Learnt:
    """Regressions on the normal days of some series; each is made when it is first asked for.

    What depends on the day of the figure (how far ahead is rehearsed, what is forecast) is no part of it, so that it
    serves as of any day on which the normal days are known as they were.

    Attributes
    ----------
    y
        Log load, (series, rows), up to the row after the last normal one.
    days
        What is known of these rows.
    folds
        Rehearsals: forecasts from past origins to the last normal row, or of blocks left out where history is short.
    """

    y: Floats
    days: Days
    folds: list[Fold] = field(init=False)
    _designs: dict[int, Designs] = field(init=False, default_factory=dict)
    _errors: dict[tuple[int, Choice], Floats] = field(init=False, default_factory=dict)
    _fits: dict[tuple[int, Choice], tuple[BatchFit, Steps]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        normal, position = self.days.normal, np.arange(len(self.days.dates))
        self.folds = [
            Fold(normal & (position < origin), normal & (position >= origin), origin) for origin in self.days.origins()
        ]
        if not self.folds:
            for block in np.array_split(np.flatnonzero(normal), BLOCKS):
                test = np.isin(position, block)
                self.folds.append(Fold(normal & ~test, test, None))

    @classmethod
    def of(cls, y: Floats, days: Days, kept: Kept | None) -> Learnt:
        """Return what the normal days teach, out of what is kept where they are known as they were then."""
        # A day is also told by the next one, where that is a holiday.
        rows = min(int(np.flatnonzero(days.normal)[-1]) + 2, len(days.dates))
        made = cls(y[:, :rows], days.until(rows))
        if kept is None:
            return made
        key = made.fingerprint()
        found = kept.pop(key, made)
        kept[key] = found  # used last, dropped last
        while len(kept) > MOST_KEPT:
            del kept[next(iter(kept))]
        return found

    def fingerprint(self) -> str:
        """Return a digest of all that the regressions rest on."""
        days, last = self.days, int(np.flatnonzero(self.days.normal)[-1]) + 1
        told = hashlib.sha256(repr((days.per, len(days.dates), days.dates[0], self._feasts())).encode())
        weather = np.empty(0) if days.weather is None else days.weather.iloc[: last * days.per].to_numpy(np.float64)
        names = [] if days.weather is None else [str(c) for c in days.weather.columns]
        told.update(repr([names, *days.calendar.itertuples(index=False, name=None)]).encode())
        for array in (days.normal, self.y[:, days.normal], weather):
            told.update(np.ascontiguousarray(array).tobytes())
        return told.hexdigest()

    def _feasts(self) -> list[tuple[str, list[int]]]:
        """Return the feasts that the normal days feel: those of later years come with later days."""
        low, high = ((day - pd.Timestamp(0)).days for day in (self.days.days[0], self.days.days[-1]))
        found = []
        for name, moments in sorted(self.days.feasts.items()):
            reach = 2 * max(map(abs, HATS[name]))
            found.append((name, [m for m in moments if low - reach <= m <= high + reach]))
        return found

    def errors(self, choices: list[Choice]) -> dict[Choice, Floats]:
        """Return errors on the rows forecast by choice, (series, folds, rows), NaN elsewhere."""
        out = {c: np.full((len(self.y), len(self.folds), self.y.shape[1]), np.nan) for c in choices}
        for number, fold in enumerate(self.folds):
            self._rehearse(number, [c for c in choices if (number, c) not in self._errors])
            for choice in choices:
                out[choice][:, number, fold.test] = self._errors[number, choice]
        return out

    def _rehearse(self, fold: int, choices: list[Choice]) -> None:
        if not choices:
            return
        train, test = self.folds[fold].train, self.folds[fold].test
        if fold not in self._designs:
            self._designs[fold] = self.days.design(train, TRENDS)
        for trend, penalty in choices:
            x, weight, at = self._designs[fold][trend]
            shared = Shared.of(x[train], penalty=penalty * weight)
            fit, _ = fit_levelled(shared, self.y[:, train].copy(), trend=at, size=_least_step(trend))
            self._errors[fold, (trend, penalty)] = self.y[:, test] - fit.predict(x[test])

    def put_away(self) -> None:
        """Let go of what is large and can be made again."""
        self._designs.clear()

    def fits(
        self, wanted: list[tuple[int, Choice]], designs: Designs
    ) -> dict[tuple[int, Choice], tuple[BatchFit, Steps]]:
        """Return the regressions of series (by row) on all normal rows, with the steps in level found.

        Parameters
        ----------
        wanted
            Rows and choices.
        designs
            Learnt on the normal rows, by trend; of these and whatever rows come after.
        """
        rows = np.flatnonzero(self.days.normal)
        shared: dict[Choice, Shared] = {}
        for number, choice in wanted:
            if (number, choice) in self._fits:
                continue
            x, weight, at = designs[choice[0]]
            if choice not in shared:
                shared[choice] = Shared.of(x[rows], penalty=choice[1] * weight)
            own = self.y[number : number + 1, rows].copy()
            least = _least_step(choice[0])
            self._fits[number, choice] = fit_levelled(shared[choice], own, trend=at, size=least, tolerance=1e-4)
        return {key: self._fits[key] for key in wanted}


def _least_step(trend: str) -> float:
    """Return the least step that is looked for: a local trend follows steps of its own."""
    return np.inf if trend == "local" else SIZE
