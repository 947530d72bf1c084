"""Periods and moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.errors import AsOfError, SettingsError, UsageError
from opsroom.base.periods import (
    Frequency,
    add_periods,
    as_moment,
    end_of_day,
    format_period,
    last_day,
    local_day,
    parse_moment,
    parse_period,
    period_start,
    resolve_as_of,
    to_period_index,
)

DAYS = st.dates(date(1900, 1, 1), date(2200, 12, 31))
RHYTHMS = st.sampled_from([f for f in Frequency if f is not Frequency.HOURLY])


@pytest.mark.parametrize(
    ("text", "frequency", "first"),
    [
        ("2020-03-04", "D", date(2020, 3, 4)),
        ("2020-03-04T00:00:00Z", "D", date(2020, 3, 4)),
        ("2020-03-04T00:00:00+01:00", "D", date(2020, 3, 4)),
        (" 2020-03-04 ", "event", date(2020, 3, 4)),
        ("2020-W10", "W", date(2020, 3, 2)),
        ("2020W1", "W", date(2019, 12, 30)),
        ("2020-W53", "W", date(2020, 12, 28)),
        ("2020-03-04", "W", date(2020, 3, 2)),
        ("2020-03", "M", date(2020, 3, 1)),
        ("2020M3", "M", date(2020, 3, 1)),
        ("2020-03-31", "M", date(2020, 3, 1)),
        ("2020-Q1", "Q", date(2020, 1, 1)),
        ("2020Q4", "Q", date(2020, 10, 1)),
        ("2020-12-31", "Q", date(2020, 10, 1)),
        ("2020", "A", date(2020, 1, 1)),
    ],
)
def test_parse(text: str, frequency: str, first: date) -> None:
    assert parse_period(text, frequency) == first


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("2020-02-30", "D"),
        ("2020-3-4", "D"),
        ("2020-03", "D"),
        ("2020-03-04T12:00:00", "D"),
        ("2020-03-04T12:00:00+01:00", "D"),
        ("2020-13", "M"),
        ("2020-Q5", "Q"),
        ("2021-W53", "W"),
        ("2020-00", "M"),
        ("20", "A"),
        ("0001", "A"),
        ("March", "M"),
        ("", "M"),
        ("２０２０", "A"),
    ],
)
def test_parse_refuses_without_repeating_the_text(text: str, frequency: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_period(text, frequency)
    assert not text or f"'{text}'" not in str(caught.value)


@given(DAYS, RHYTHMS)
def test_writing_and_reading_go_round(day: date, frequency: Frequency) -> None:
    first = period_start(day, frequency)
    assert parse_period(format_period(first, frequency), frequency) == first
    assert parse_period(format_period(day, frequency), frequency) == first


@given(DAYS, RHYTHMS, st.integers(-200, 200))
def test_periods_follow_each_other_without_gap(day: date, frequency: Frequency, count: int) -> None:
    first = period_start(day, frequency)
    assert first <= day <= last_day(day, frequency)
    assert add_periods(first, 1, frequency) == last_day(day, frequency) + timedelta(days=1)
    assert add_periods(add_periods(first, count, frequency), -count, frequency) == first


@given(
    DAYS.filter(lambda d: d.year > 1950), st.sampled_from(["Europe/Vienna", "America/New_York", "Asia/Tokyo", "UTC"])
)
def test_days_end_where_the_next_begins(day: date, tz: str) -> None:
    end = end_of_day(day, tz)
    assert local_day(end, tz) == day
    assert local_day(end + timedelta(microseconds=1), tz) == day + timedelta(days=1)


def test_days_of_23_and_25_hours() -> None:
    spring, autumn = date(2020, 3, 29), date(2020, 10, 25)
    for day, hours in ((spring, 23), (autumn, 25)):
        length = end_of_day(day, "Europe/Vienna") - end_of_day(day - timedelta(days=1), "Europe/Vienna")
        assert length == timedelta(hours=hours)


def test_as_of() -> None:
    latest = datetime(2020, 5, 1, tzinfo=UTC)
    assert resolve_as_of(None, tz="UTC", latest=latest) == latest
    assert resolve_as_of("2020-03-04", tz="Europe/Vienna", latest=None) == datetime(
        2020, 3, 4, 22, 59, 59, 999999, tzinfo=UTC
    )
    assert as_moment("2020-03-04T17:00:00+01:00", "UTC") == datetime(2020, 3, 4, 16, tzinfo=UTC)
    with pytest.raises(AsOfError):
        resolve_as_of(None, tz="UTC", latest=None)
    with pytest.raises(UsageError, match="time zone"):
        as_moment(datetime(2020, 1, 1), "UTC")
    with pytest.raises(UsageError, match="neither"):
        as_moment("yesterday afternoon", "UTC")
    with pytest.raises(SettingsError):
        end_of_day(date(2020, 1, 1), "Mars/Olympus")


def test_moments() -> None:
    assert parse_moment("2020-03-04T17:00:00+01:00") == datetime(2020, 3, 4, 16, tzinfo=UTC)
    assert parse_moment("2020-03-04 17:00") == datetime(2020, 3, 4, 17, tzinfo=UTC)
    with pytest.raises(UsageError):
        parse_moment("noon")
    assert format_period(datetime(2020, 3, 4, 17, tzinfo=UTC), "H") == "2020-03-04T17Z"


@pytest.mark.parametrize("frequency", ["D", "W", "M", "Q", "A"])
def test_period_index(frequency: str) -> None:
    first = period_start(date(2020, 3, 4), frequency)
    index = to_period_index([first, add_periods(first, 1, frequency)], frequency)
    assert index[1].ordinal - index[0].ordinal == 1
    assert index[0].start_time.date() == first
