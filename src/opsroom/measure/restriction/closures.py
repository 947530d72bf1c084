"""From a list of events (closed, ordered to stay at home, reopened) to a register of measures with their spells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from opsroom.base.errors import UsageError

REGISTER = ("indicator", "value", "flag", "start", "end")


@dataclass(frozen=True, slots=True)
class EventRule:
    """How events tell of one measure.

    Attributes
    ----------
    indicator, value, flag
        What is in force between beginning and end, as in a register of measures; without a flag None.
    starts
        Column that is 1 (or true) for an event that begins the measure.
    ends
        Phrases of which an event's words hold one when it ends the measure, whatever the letters' case.
    unless
        Phrases that take this back: ended in part of the place alone.
    """

    indicator: str
    value: int
    flag: int | None
    starts: str
    ends: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


def register_from_events(
    events: pd.DataFrame,
    rules: Sequence[EventRule],
    *,
    date: str = "date",
    place: str = "region",
    text: str | None = None,
) -> pd.DataFrame:
    """Turn events into measures, ready for `daily_values`.

    Parameters
    ----------
    events
        One row an event: its day, its place, marks of what it begins, words.
    rules
        What begins and ends which measure.
    date, place
        Columns of day and place.
    text
        Column of the words; needed where a rule has ends.

    Returns
    -------
    pandas.DataFrame
        ``indicator``, ``value``, ``flag``, ``start``, ``end`` (last day in force, empty while it is open) and the
        place, one row a spell.

    Raises
    ------
    UsageError
        A column is missing, or there are no rules.

    Notes
    -----
    What ends on a day is no longer in force on it, and may begin anew. A second beginning changes nothing.

    Examples
    --------
    >>> events = pd.DataFrame({"region": "North", "date": ["2020-03-20", "2020-05-04"], "stay": [1, 0],
    ...     "what": ["stay-at-home order", "Stay-at-home order ended"]})
    >>> rule = EventRule("C6", 2, 1, starts="stay", ends=("order ended",))
    >>> made = register_from_events(events, [rule], text="what")
    >>> made[["indicator", "value"]].values.tolist(), f"{made['end'].iloc[0]:%Y-%m-%d}"
    ([['C6', 2]], '2020-05-03')
    """
    wanted = [date, place, *(r.starts for r in rules), *([text] if text else [])]
    absent = sorted({c for c in wanted if c not in events.columns})
    if absent or not rules or (text is None and any(r.ends for r in rules)):
        raise UsageError(
            f"the events lack the column(s) {', '.join(absent)}." if absent else "the events say of no measure.",
            remedy="Name columns of the table, rules for them, and the column of words where a rule has ends.",
            code="OPS-U187",
        )
    day = pd.to_datetime(events[date]).dt.normalize()
    words = events[text].fillna("").astype(str).str.lower() if text else pd.Series("", index=events.index)
    rows: list[tuple[object, ...]] = []
    for rule in rules:
        begins = pd.to_numeric(events[rule.starts], errors="coerce").fillna(0) != 0
        closes = _any(words, rule.ends) & ~_any(words, rule.unless)
        told = pd.DataFrame({"place": events[place].astype(str), "day": day, "begins": begins, "closes": closes})
        told = told[begins | closes].groupby(["place", "day"], sort=True)[["begins", "closes"]].any().reset_index()
        since: dict[str, pd.Timestamp] = {}
        for where, moment, begun, ended in told.itertuples(index=False, name=None):
            if ended and where in since:
                rows.append(
                    (rule.indicator, rule.value, rule.flag, since.pop(where), moment - pd.Timedelta(days=1), where)
                )
            if begun:
                since.setdefault(where, moment)
        rows += [(rule.indicator, rule.value, rule.flag, moment, pd.NaT, where) for where, moment in since.items()]
    made = pd.DataFrame(rows, columns=[*REGISTER, place])
    return made.astype({"flag": float, "start": "datetime64[ns]", "end": "datetime64[ns]"})


def _any(words: pd.Series[str], phrases: Sequence[str]) -> pd.Series[bool]:
    found = pd.Series(False, index=words.index)
    for phrase in phrases:
        found |= words.str.contains(phrase.lower(), regex=False)
    return found
