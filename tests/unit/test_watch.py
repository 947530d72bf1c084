"""Warnings: raised once, standing until cleared, the same whenever they are asked for."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.errors import UsageError
from opsroom.warn.watch import Reading, Rule, acknowledge, follow, watch

MONDAY = dt.date(2020, 1, 6)
ABOUT = (("region", "R01"),)


def weeks(values: list[float], about: tuple[tuple[str, str], ...] = ABOUT) -> list[Reading]:
    return [Reading(MONDAY + dt.timedelta(weeks=k), about, f"2020-W{k + 2:02d}", v) for k, v in enumerate(values)]


def day(week: int) -> dt.date:
    return MONDAY + dt.timedelta(weeks=week)


def test_a_warning_stands_until_its_indicator_has_gone_back_past_the_second_threshold() -> None:
    rule = Rule("gap", raise_at=10.0, clear_at=5.0)
    said = weeks([3, 11, 9, 12, 6, 4.9, 8, 10, 20])
    (first, second) = watch(rule, said, day(8))
    assert (first.since, first.since_period, first.peak, first.state, first.ended) == (
        day(1), "2020-W03", 12, "ended", day(5),
    )  # fmt: skip
    assert (second.since, second.value, second.peak, second.state) == (day(7), 20, 20, "standing")
    assert first.id != second.id
    # As of each day: what was known then, under the same name.
    assert watch(rule, said, day(0)) == []
    (then,) = watch(rule, said, day(1))
    assert (then.state, then.id) == ("new", first.id)
    (then,) = watch(rule, said, day(4))
    assert (then.state, then.value, then.id) == ("standing", 6, first.id)


def test_low_is_bad_where_the_rule_says_so_and_several_readings_in_a_row_may_be_asked_for() -> None:
    rule = Rule("work", raise_at=-5.0, clear_at=-1.0, direction="below", hold=2)
    assert watch(rule, weeks([-6, 0, -6, 0]), day(9)) == []
    (found,) = watch(rule, weeks([-6, 0, -6, -7, -2]), day(9))
    assert (found.since, found.peak, found.value, found.state) == (day(3), -7, -2, "standing")


def test_silence_neither_raises_nor_ends_a_warning() -> None:
    rule = Rule("gap", raise_at=10.0)
    other = (("region", "R02"),)
    said = weeks([12, math.nan, math.nan]) + weeks([1, 1, 1], other)
    (found,) = watch(rule, said, day(2))
    assert (found.state, found.silent, found.last) == ("standing", True, day(0))
    assert not watch(rule, said, day(0))[0].silent


def test_of_several_readings_of_a_day_the_latest_period_counts() -> None:
    rule = Rule("gap", raise_at=10.0)
    said = [Reading(MONDAY, ABOUT, p, v) for p, v in (("2019-Q4", 12.0), ("2019-Q3", 3.0), ("2019-Q2", 11.0))]
    (found,) = watch(rule, said, MONDAY)
    assert (found.period, found.value, found.codes) == ("2019-Q4", 12.0, "R01")


@given(
    st.lists(st.floats(-20, 20) | st.just(math.nan), max_size=30),
    st.sampled_from(["above", "below"]),
    st.floats(0, 8),
    st.integers(1, 3),
    st.integers(0, 31),
)
def test_warnings_are_those_of_a_plain_walk_as_of_any_day(
    values: list[float], direction: str, width: float, hold: int, until: int
) -> None:
    sign = 1.0 if direction == "above" else -1.0
    rule = Rule("x", raise_at=sign * 5.0, clear_at=sign * (5.0 - width), direction=direction, hold=hold)  # type: ignore[arg-type]  # drawn from both
    found = watch(rule, weeks(values), day(until))
    on, spans = False, []
    run = 0
    for k, value in enumerate(values[: until + 1]):
        if math.isnan(value):
            continue
        if not on:
            run = run + 1 if sign * value >= 5.0 else 0
            if run >= hold:
                on = True
                spans.append([k, None, value])
        else:
            spans[-1][2] = max(spans[-1][2], value) if sign > 0 else min(spans[-1][2], value)
            if sign * value < 5.0 - width:
                on, run, spans[-1][1] = False, 0, k
    assert [(w.since, w.ended, w.peak) for w in found] == [
        (day(a), None if b is None else day(b), peak) for a, b, peak in spans
    ]
    assert len({w.id for w in found}) == len(found)


def test_who_has_taken_note_is_shown_from_that_day_on() -> None:
    rule = Rule("gap", raise_at=10.0)
    found = watch(rule, weeks([12, 13]), day(1))
    taken = {found[0].id: ("Rosa Tanner", day(1))}
    assert acknowledge(found, taken, day(1))[0].acknowledged_by == "Rosa Tanner"
    assert acknowledge(found, taken, day(0))[0].acknowledged_by == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "../outside"}, "name that is none"),
        ({"direction": "up"}, "direction"),
        ({"raise_at": math.nan}, "finite"),
        ({"clear_at": 11.0}, "end before"),
        ({"hold": 0}, "hold"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Rule(**{"name": "gap", "raise_at": 10.0, **wrong})  # type: ignore[arg-type]  # wrong on purpose


def test_a_record_counts_what_came_of_warnings_as_of_the_day() -> None:
    rule = Rule("gap", raise_at=10.0)
    other = (("region", "R02"),)
    found = watch(rule, weeks([12, 1, 12, 1, 1, 1, 1, 1, 12]) + weeks([1, 1, 1, 12, 1, 1, 1, 1, 1], other), day(8))
    assert [(w.codes, w.since) for w in found] == [("R01", day(0)), ("R01", day(2)), ("R02", day(3)), ("R01", day(8))]
    events = [(ABOUT, day(3)), ((("region", "R03"),), day(4)), (ABOUT, day(20))]
    record = follow(found, events, within=21, day=day(8))
    # R01's first two were followed after 21 and 7 days, R02's was false, R01's last is open; R03's event was missed.
    assert (record.raised, record.followed, record.false, record.open, record.missed) == (4, 2, 1, 1, 1)
    assert record.lead_days == 14.0
    # An event by the first day on which the indicator was read could not have been warned of.
    missed = max(when for about, when in events if about == (("region", "R03"),))
    late = follow(found, events, within=21, day=day(8), read_from=missed)
    assert (late.raised, late.followed, late.false, late.open, late.missed) == (4, 2, 1, 1, 0)
    before = follow(found, events, within=21, day=day(8), read_from=missed - dt.timedelta(days=1))
    assert before == record
    # As of an earlier day, less is known: the first is still open.
    early = follow(watch(rule, weeks([12, 1]), day(1)), events, within=21, day=day(1))
    assert (early.raised, early.followed, early.false, early.open, early.missed) == (1, 0, 0, 1, 0)
    assert math.isnan(early.lead_days)
    # An event about nothing in particular is one for all.
    national = follow(found, [((), day(4))], within=21, day=day(8))
    assert (national.followed, national.missed) == (2, 0)
