"""What of a panel of series was known at the end of a day: by vintages where they are kept, else by publication lag."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.base.periods import Frequency, last_day, period_start

Rhythm = Literal["D", "W", "M", "Q"]
Basis = Literal["vintages", "lags", "vintages and lags", "everything given"]


class Reported(Protocol):
    """A series, how often it comes, and how long after its period."""

    @property
    def name(self) -> str:
        """Its code in the panel."""

    @property
    def frequency(self) -> Rhythm:
        """Its frequency where the panel does not tell."""

    @property
    def lag_days(self) -> int:
        """Days from the end of a period to its first release, where the panel does not tell."""


def known(
    panel: pd.DataFrame | Mapping[str, pd.Series], *, of: Sequence[Reported], as_of: dt.date
) -> tuple[pd.DataFrame, Basis]:
    """Return what of a panel was known at the end of a day, and how that was told.

    Parameters
    ----------
    panel
        Long frame with ``series``, ``period`` (a day in the period), ``value`` and, optionally, ``known_at`` (a
        row a vintage) and ``frequency``; or a mapping of code → Series indexed by days or periods.
    of
        Frequency and publication lag of each series; series without an entry are left out.
    as_of
        The day. A row without ``known_at`` is known when its period has ended and the lag has passed.

    Returns
    -------
    tuple
        Frame of ``series, frequency, start, end, value``, one row a period, sorted; and the basis.
    """
    frame = _typed(as_long(panel))
    spec = {one.name: one for one in of}
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


def as_long(panel: pd.DataFrame | Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return a panel as a frame with a row a value, whatever form it came in.

    Raises
    ------
    UsageError
        If ``series``, ``period`` or ``value`` is missing.
    """
    if isinstance(panel, Mapping):
        pieces = []
        for name, series in panel.items():
            index = series.index
            days = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else pd.to_datetime(index)
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
    return frame


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
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
