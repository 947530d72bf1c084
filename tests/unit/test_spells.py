"""Events read off an indicator, and the record of a rule by them."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.room.carried import carried, record_in_short
from opsroom.warn.early_warning import Rule, spells, track_record


def table(seed: int, *, holes: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    quarters = [f"{y}-Q{q}" for y in range(2005, 2015) for q in range(1, 5)]
    rows = [(c, q) for c in "CAB" for q in quarters]
    frame = pd.DataFrame(rows, columns=["country", "quarter"])
    frame["fall"] = rng.normal(size=len(frame)).cumsum() % 20
    frame["known_at"] = [pd.Period(q.replace("-", ""), "Q").end_time + pd.Timedelta(days=60) for q in frame["quarter"]]
    if holes:
        frame.loc[rng.random(len(frame)) < 0.1, "fall"] = np.nan
    return frame.sample(frac=1, random_state=seed)


@pytest.mark.parametrize(("seed", "direction"), [(1, "above"), (2, "below"), (3, "above")])
def test_spells_are_those_of_a_plain_walk(seed: int, direction: Any) -> None:
    frame = table(seed)
    found = spells(frame, value="fall", threshold=12.0, direction=direction)
    wanted = []
    for country in "ABC":
        own = frame[(frame["country"] == country) & frame["fall"].notna()].sort_values("quarter")
        bad = [(v >= 12) if direction == "above" else (v <= 12) for v in own["fall"]]
        for state, group in itertools.groupby(range(len(bad)), key=bad.__getitem__):
            run = list(group)
            if state:
                end = own["quarter"].iloc[run[-1]] if run[-1] < len(bad) - 1 else None
                wanted.append((country, own["quarter"].iloc[run[0]], end, own["known_at"].iloc[run[0]]))
    plain = found.astype(object).where(found.notna(), None)
    assert [tuple(r) for r in plain.itertuples(index=False)] == wanted
    assert len(wanted) >= 4


def test_a_spell_is_no_event_before_it_was_known() -> None:
    frame = table(4, holes=False)
    happened = spells(frame, value="fall", threshold=12.0)
    panel = frame[["country", "quarter"]].assign(signal=1.0)
    day = dt.date(2012, 5, 15)
    record = track_record(
        panel, happened, indicator="signal", threshold=0.0, as_of=day, rule=Rule((1, 4), after=0), draws=49
    )
    known = frame[frame["known_at"] < pd.Timestamp("2012-05-16")]
    again = track_record(
        panel, spells(known, value="fall", threshold=12.0), indicator="signal", threshold=0.0, as_of=day,
        rule=Rule((1, 4), after=0), draws=49,
    )  # fmt: skip
    assert (record.hits, record.false_alarms, record.n_crises) == (again.hits, again.false_alarms, again.n_crises)
    assert record.n_crises >= 3
    with pytest.raises(UsageError, match="quarter"):
        spells(frame.drop(columns="quarter"), value="fall", threshold=1.0)


def test_a_warning_carries_what_stands_beside_its_rule() -> None:
    facts = {
        "rules": [{"rule": "a", "levers": ["x"], "track": {"n_crises": 0, "false_alarms": 1, "correct_silence": 3}}]
    }
    one, other = carried(["rule", "value"], [["a", 1], ["b", 2]], facts)
    assert one["levers"] == ["x"]
    assert record_in_short(one) == "no event yet; 25 % false"
    assert other == {"rule": "b", "value": 2}
    assert record_in_short(other) == "-"
    assert (
        record_in_short({"within_days": 9, "raised": 3.0, "followed": 2.0, "false": 1.0})
        == "2 of 3 followed (14 to 98 %), 1 false"
    )
    open_yet = {"within_days": 9, "raised": 3.0, "followed": 0.0, "false": 0.0, "open": 3.0}
    assert record_in_short(open_yet) == "0 of 3 followed, 0 false, 3 undecided"
