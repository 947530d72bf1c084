"""Events read off an indicator: spells beyond a threshold, with the day on which each was known to have begun."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.quarters import quarter_name, quarter_numbers

COLUMNS = ("country", "start", "end", "known_at")


def spells(
    table: pd.DataFrame, *, value: str, threshold: float, direction: Literal["above", "below"] = "above"
) -> pd.DataFrame:
    """Return the spells in which a value is at or beyond a threshold, as a table of crises.

    Answers: when did it happen, where, and when could one know?

    Parameters
    ----------
    table
        ``country``, ``quarter``, `value` and, optionally, ``known_at`` (when the quarter's value was first known).
    value, threshold, direction
        Column; the value from which it is an event; which side is one.

    Returns
    -------
    pandas.DataFrame
        ``country``, ``start``, ``end`` (quarters as codes; no end where the last known quarter is still beyond) and
        ``known_at``, where the table has it: what `track_record` takes for crises. A quarter without a value neither
        begins nor ends a spell.
    """
    absent = [c for c in ("country", "quarter", value) if c not in table]
    if absent:
        raise UsageError(
            f"the table lacks the column(s) {', '.join(absent)}.", remedy="Give country, quarter and the value."
        )
    known = table[table[value].notna()]
    number, country = quarter_numbers(known["quarter"]), known["country"].to_numpy(dtype=object)
    order = np.lexsort((number, pd.factorize(country, sort=True)[0]))
    number, country = number[order], country[order]
    levels = known[value].to_numpy(dtype=np.float64)[order]
    moments = known["known_at"].to_numpy()[order] if "known_at" in known else None
    beyond = levels >= threshold if direction == "above" else levels <= threshold
    rows = []
    begun = -1
    for k, bad in enumerate(beyond):
        last = k + 1 == len(beyond) or country[k + 1] != country[k]
        if bad and begun < 0:
            begun = k
        if begun >= 0 and (not bad or last):
            end = None if bad else quarter_name(int(number[k - 1]))
            moment = pd.NaT if moments is None else moments[begun]
            rows.append((country[k], quarter_name(int(number[begun])), end, moment))
            begun = -1
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found if "known_at" in table else found.drop(columns="known_at")
