"""The publication calendar, against a plain listing of days."""

import datetime as dt

from opsroom.base.settings import PublishSettings
from opsroom.room.calendar import is_due, is_publication_day, last_publication_day, publication_days

WEEKLY = PublishSettings("weekly", 2, dt.date(2020, 1, 22), dt.date(2020, 6, 24))
MONTHLY = PublishSettings("monthly", 2)


def test_weekly_days_of_meridia():
    days = publication_days(dt.date(2020, 1, 1), dt.date(2020, 12, 31), WEEKLY)
    assert len(days) == 23
    assert days[0] == dt.date(2020, 1, 22)
    assert days[-1] == dt.date(2020, 6, 24)
    assert {day.weekday() for day in days} == {2}


def test_monthly_is_the_first_weekday_of_a_month():
    days = publication_days(dt.date(2020, 1, 1), dt.date(2020, 3, 31), MONTHLY)
    assert days == [dt.date(2020, 1, 1), dt.date(2020, 2, 5), dt.date(2020, 3, 4)]


def test_monthly_series_are_due_on_the_first_day_of_a_month_and_of_the_room():
    due = [
        day
        for day in publication_days(dt.date(2020, 1, 1), dt.date(2020, 4, 30), WEEKLY)
        if is_due("monthly", day, WEEKLY)
    ]
    assert due == [dt.date(2020, 1, 22), dt.date(2020, 2, 5), dt.date(2020, 3, 4), dt.date(2020, 4, 1)]
    assert all(is_due("weekly", day, WEEKLY) for day in due)


def test_on_demand_is_any_day():
    settings = PublishSettings()
    assert is_publication_day(dt.date(2021, 7, 3), settings)
    assert last_publication_day(dt.date(2021, 7, 3), settings) == dt.date(2021, 7, 3)


def test_looking_back_stops_at_the_first_day():
    assert last_publication_day(dt.date(2020, 1, 21), WEEKLY) is None
    assert last_publication_day(dt.date(2020, 1, 28), WEEKLY) == dt.date(2020, 1, 22)
    assert last_publication_day(dt.date(2020, 7, 30), WEEKLY) == dt.date(2020, 6, 24)
