"""What the composite index is told about each input, and what of the panel was known on a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.base.periods import Frequency, last_day, period_start

Rhythm = Literal["D", "W", "M", "Q"]
Scale = Literal["log", "linear"]
Comparison = Literal["year", "level"]
Basis = Literal["vintages", "lags", "vintages and lags", "everything given"]


@dataclass(frozen=True, slots=True)
class Input:
    """One series behind the index.

    Attributes
    ----------
    name
        Its code in the panel.
    frequency
        ``"D"``, ``"W"``, ``"M"`` or ``"Q"``. Days are averaged to weeks (Monday to Sunday). Rows of the panel may
        have a frequency of their own: a series with a monthly history that has since become weekly is one input.
    scale
        ``"log"`` for what grows (100 times the logarithm is used), ``"linear"`` for balances, rates and gaps.
    compare
        ``"year"``: the change on 52 weeks (12 months, 4 quarters) before, for what has a season or a trend.
        ``"level"``: the value itself, for what is free of both: a gap to normal, a series relative to a base month.
    drifts
        True for what may move away from output for good, such as sales in prices of the day compared by level: it
        then tells of changes, not of the level.
    lag_days
        Days from the end of a period to its first release; used where the panel itself does not tell.
    title
        Name for readers; the code where empty.
    """

    name: str
    frequency: Rhythm = "W"
    scale: Scale = "log"
    compare: Comparison = "year"
    drifts: bool = False
    lag_days: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        if self.frequency not in ("D", "W", "M", "Q"):
            raise UsageError(
                f"input {self.name!r}: frequency {self.frequency!r} is not one of D, W, M, Q.",
                remedy="Give the frequency at which the series is observed.",
            )
        if self.scale not in ("log", "linear") or self.compare not in ("year", "level"):
            raise UsageError(
                f"input {self.name!r}: its scale or its comparison is not one that is offered.",
                remedy="Use scale 'log' or 'linear', compare 'year' or 'level'.",
            )
        if self.lag_days < 0:
            raise UsageError(f"input {self.name!r} is published before its period ends.", remedy="Give a lag ≥ 0.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the index; the defaults are meant to be left alone.

    Attributes
    ----------
    tail
        Degrees of freedom of the inputs' own errors: small means that a lone outlier moves little.
    shock_tail
        Degrees of freedom of the common factor's weekly steps: small means that a shock which all inputs share is
        followed at once and does not rewrite the rest.
    strays
        How far an input's response to a shock may differ from its usual one, as a relative standard deviation. In a
        shock inputs that disagree then share the say, instead of the one with the least noise having it all.
    min_observations
        Inputs with fewer values are left out, and named.
    min_quarters
        Growth rates of the target needed to put the factor on the scale of GDP.
    level
        Nominal coverage of the bands.
    tolerance
        The fit has settled when an iteration moves no week's step by more than this share of a typical one.
    max_iterations
        Iterations after which a fit is refused.
    """

    tail: float = 5.0
    shock_tail: float = 3.0
    strays: float = 0.5
    min_observations: int = 8
    min_quarters: int = 12
    level: float = 0.9
    tolerance: float = 0.02
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if self.tail <= 2 or self.shock_tail <= 2:
            raise UsageError("degrees of freedom of 2 or less have no variance.", remedy="Use a tail above 2.")
        if not 0 < self.level < 1:
            raise UsageError("the coverage is not between 0 and 1.", remedy="Give level=0.9 for 90 %.")


def known(
    panel: pd.DataFrame | Mapping[str, pd.Series], *, inputs: Sequence[Input], as_of: dt.date
) -> tuple[pd.DataFrame, Basis]:
    """Return what of a panel was known at the end of a day, and how that was told.

    Parameters
    ----------
    panel
        Long frame with ``series``, ``period`` (a day in the period), ``value`` and, optionally, ``known_at`` (a
        row a vintage) and ``frequency``; or a mapping of code → Series indexed by days or periods.
    inputs
        Frequencies and publication lags; series without an entry are left out.
    as_of
        The day. A row without ``known_at`` is known when its period has ended and the lag has passed.

    Returns
    -------
    tuple
        Frame of ``series, frequency, start, end, value``, one row a period, sorted; and the basis.
    """
    frame = _long(panel)
    spec = {one.name: one for one in inputs}
    frame = frame[frame["series"].isin(list(spec))]
    if frame.empty:
        empty = frame.assign(start=frame["period"], end=frame["period"])
        return empty[["series", "frequency", "start", "end", "value"]], "everything given"
    frequency = frame["frequency"].where(
        frame["frequency"].isin(["D", "W", "M", "Q"]), frame["series"].map(lambda name: spec[name].frequency)
    )
    frame = frame.assign(frequency=frequency)
    frame["start"] = _days(frame, lambda day, f: period_start(day, f))
    frame["end"] = _days(frame, lambda day, f: last_day(day, f))
    lag = frame["series"].map(lambda name: spec[name].lag_days)
    due = frame["end"] + pd.to_timedelta(lag, unit="D")
    dated = frame["known_at"].notna()
    moment = frame["known_at"].where(dated, due)
    frame = frame.assign(known_at=moment, dated=dated)
    frame = frame[moment.dt.normalize() <= pd.Timestamp(as_of)]
    basis: Basis = "vintages" if dated.all() else "lags" if not dated.any() else "vintages and lags"
    keys = ["series", "start", "end"]
    if frame.duplicated([*keys, "known_at"]).any():
        raise UsageError(
            "the panel has two values for one series, period and moment.", remedy="Give one value a vintage."
        )
    latest = frame.sort_values([*keys, "known_at"], kind="stable").drop_duplicates(keys, keep="last")
    latest = latest.dropna(subset=["value"])  # after the choice: a later vintage may withdraw a value
    return latest[["series", "frequency", "start", "end", "value"]].reset_index(drop=True), basis


def _long(panel: pd.DataFrame | Mapping[str, pd.Series]) -> pd.DataFrame:
    if isinstance(panel, Mapping):
        pieces = []
        for name, series in panel.items():
            index = series.index
            days = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else pd.DatetimeIndex(index)
            pieces.append(pd.DataFrame({"series": name, "period": days, "value": series.to_numpy(float)}))
        frame = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=["series", "period", "value"])
    else:
        frame = panel
    absent = [c for c in ("series", "period", "value") if c not in frame.columns]
    if absent:
        raise UsageError(
            f"the panel lacks the column(s) {', '.join(absent)}.",
            remedy="Give a long frame with series, period and value.",
        )
    nothing = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
    moment = pd.to_datetime(frame["known_at"], utc=True).dt.tz_localize(None) if "known_at" in frame else nothing
    return pd.DataFrame(
        {
            "series": frame["series"].astype(str), "period": pd.to_datetime(frame["period"]).astype("datetime64[us]"),
            "value": frame["value"].astype(float), "known_at": moment.astype("datetime64[us]"),
            "frequency": frame["frequency"].astype(object) if "frequency" in frame else None,
        }
    ).reset_index(drop=True)  # fmt: skip


def _days(frame: pd.DataFrame, rule: Callable[[dt.date, Frequency], dt.date]) -> pd.Series:
    """Return a day of each row's period, worked out once for each pair of day and frequency."""
    pairs = frame[["period", "frequency"]].drop_duplicates()
    found = {
        (day, f): pd.Timestamp(rule(day.date(), Frequency(f))) for day, f in pairs.itertuples(index=False, name=None)
    }
    keys = zip(frame["period"], frame["frequency"], strict=True)
    return pd.Series([found[key] for key in keys], index=frame.index, dtype="datetime64[us]")
