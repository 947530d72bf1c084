"""The activity desk: why use moved, what happened by the day, and two days' pages side by side."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pandas as pd
import pytest

from opsroom.faces import activity
from opsroom.faces.reader import Desk
from opsroom.faces.web import create_app
from opsroom.room.desks.events import spells, weekly


def register(days: str, shut: dict[str, list[str]]) -> pd.DataFrame:
    dates = pd.date_range(*days.split("/"))
    rows = [
        {"region": r, "date": d, "stringency": 10 * k, "lockdown": f"{d:%Y-%m-%d}" in shut.get(r, [])}
        for k, r in enumerate(("R01", "R02"), start=1)
        for d in dates
    ]
    return pd.DataFrame(rows)


def test_spells_are_stretches_of_days_with_any_region_shut() -> None:
    frame = register(
        "2020-03-01/2020-03-10",
        {"R01": ["2020-03-02", "2020-03-03"], "R02": ["2020-03-03", "2020-03-04", "2020-03-09", "2020-03-10"]},
    )
    found = spells(frame, last=dt.date(2020, 3, 10)).to_dict("records")
    assert found == [
        {"date": "2020-03-02", "event": "lockdown", "regions": 2.0, "until": "2020-03-04"},
        {"date": "2020-03-09", "event": "lockdown", "regions": 1.0, "until": ""},
    ]
    # On a later day, of which the register says nothing yet, the spell is still on.
    assert spells(frame, last=dt.date(2020, 3, 20)).to_dict("records") == found
    assert spells(register("2020-03-01/2020-03-02", {}), last=dt.date(2020, 3, 2)).empty


def test_strictness_is_of_complete_weeks() -> None:
    frame = register("2020-03-01/2020-03-10", {"R01": ["2020-03-02"]})
    found = weekly(frame).to_dict("records")
    assert found == [{"week": "2020-W10", "stringency": 15.0, "lockdown": pytest.approx(100 / 14, abs=0.05)}]


def test_the_page_says_why_and_what_happened(client: Any) -> None:
    text = html.unescape(client.get("/activity?as_of=2020-03-04").text)
    assert "Electricity use moved by" in text
    assert "Lockdown since 23 January 2020: at most 2 of 12 regions." in text.replace("\xa0", " ")
    assert "By section and size" in text
    answer = client.get("/api/v1/activity?as_of=2020-03-04").json()
    assert "resumption.use" in answer["figures"]
    assert answer["compared"] == []


def test_a_spell_that_is_over_has_its_end(client: Any) -> None:
    (said,) = client.get("/api/v1/activity?as_of=2020-04-22").json()["events"]
    assert said.replace("\xa0", " ") == "Lockdown from 23 January 2020 to 8 April 2020: at most 2 of 12 regions."


def test_no_event_is_told_before_its_day(client: Any) -> None:
    early = client.get("/api/v1/activity?as_of=2020-01-22").json()
    assert early["events"] == []


def test_two_days_are_compared_on_the_periods_that_both_knew(client: Any) -> None:
    answer = client.get("/api/v1/activity?as_of=2020-03-04&against=2020-02-26").json()
    assert answer["against"] == "2020-02-26"
    assert answer["compared"]
    shown = {}
    for day in ("2020-02-26", "2020-03-04"):
        figure = client.get(f"/api/v1/figures/resumption.national?as_of={day}").json()
        at, value = figure["columns"].index("date"), figure["columns"].index("resumed")
        shown[day] = {row[at]: row[value] for row in figure["rows"]}
    for row in answer["compared"]:
        assert row["earlier"] == shown["2020-02-26"][row["period"]]
        assert row["later"] == shown["2020-03-04"][row["period"]]
        assert row["revision"] == pytest.approx(row["later"] - row["earlier"], abs=1e-9)
    # Whichever day is named first, the earlier one comes first.
    other = client.get("/api/v1/activity?as_of=2020-02-26&against=2020-03-04").json()
    assert other["compared"] == answer["compared"]
    page = html.unescape(client.get("/activity?as_of=2020-03-04&against=2020-02-26").text)
    assert "shown on the earlier day" in page
    assert "Activity.load" not in page  # series have their titles here, too
    assert "Choose two different days" in client.get("/activity?as_of=2020-03-04&against=2020-03-04").text


def test_flows_are_named_and_unfinished_spells_say_so(client: Any) -> None:
    gaps = client.get("/api/v1/figures/flows.weekly?as_of=2020-03-04").json()
    assert gaps["finding"].startswith("Passenger trips furthest down:")
    table = client.get("/api/v1/figures/flows.resilience?as_of=2020-03-04").json()
    assert table["rows"][1][:6] == ["Passenger trips", "weeks out of the ordinary", 5.0, 5.0, None, "weeks"]
    assert "not made good yet" in table["rows"][1][6]
    assert "flows.weekly" in client.get("/api/v1/activity?as_of=2020-03-04").json()["figures"]
    # what is better told by a table is one on the page, and not an empty drawing
    page = html.unescape(client.get("/activity?as_of=2020-03-04").text)
    card = page[page.index('id="flows.resilience"') :]
    card = card[: card.index("</section>")]
    assert "weeks out of the ordinary" in card
    assert '<div class="drawing"></div>' not in page


def test_a_wrong_day_to_compare_with_is_told_by_its_name(client: Any) -> None:
    answer = client.get("/activity?as_of=2020-03-04&against=spring")
    assert answer.status_code == 400
    assert "Against is not a day." in answer.text


@pytest.mark.parametrize(
    ("page", "twin"),
    [
        ("/", "overview"),
        ("/activity", "activity"),
        ("/data", "data"),
        ("/decisions", "decisions"),
        ("/methods", "methods"),
    ],
)
def test_a_page_links_to_its_own_twin(client: Any, page: str, twin: str) -> None:
    assert f'href="/api/v1/{twin}?as_of=2020-03-04"' in client.get(f"{page}?as_of=2020-03-04").text


def test_a_room_of_loads_shows_its_gap_and_nothing_that_it_has_not(public_client: Any) -> None:
    answer = public_client.get("/api/v1/activity").json()
    assert answer["figures"] == ["activity.load", "activity.load--levels"]
    assert answer["events"] == []
    page = html.unescape(public_client.get("/activity").text)
    assert public_client.get("/api/v1/figures/activity.load").json()["finding"] in page
    for absent in ("By section and size", "What happened, from the registers", "Electricity is not output"):
        assert absent not in page


def test_an_index_by_week_and_class_tells_its_classes_apart(builder: Any, web_client: Any) -> None:
    weeks = list(pd.date_range("2019-10-07", "2020-02-24", freq="7D").strftime("%G-W%V"))
    rows = [
        [week, code, 100.0 + gap, 100.0, gap, gap - 2.0, gap + 2.0]
        for code, fall, rise in (("business", -55.0, 0.0), ("households", 6.0, 1.0))
        for k, week in enumerate(weeks)
        for gap in [fall if k > 16 else rise]
    ]
    measures = [
        ("observed", "MWh", "public", 1, []),
        ("expected", "MWh", "public", 1, []),
        ("gap", "%", "public", 1, ["gap_lower", "gap_upper"]),
    ]
    day = dt.date(2020, 3, 4)
    made = builder.make("activity.grid", day, ["date", "series"], measures, rows, {"title": "Electricity use"})
    releases = builder.MemoryReleases([made], {"title": "A grid", "regions": [], "sections": {}})
    client = web_client(create_app(releases))
    figure = client.get("/api/v1/figures/activity.grid").json()
    said = figure["finding"].replace("\xa0", " ")
    assert said == "Electricity use (business) was 55.0 % below normal in week 9 of 2020"
    assert len(figure["rows"]) == len(rows)
    drawn = str(activity.figures(Desk(releases, day, {}))[0].draw().to_dict())
    assert all(word in drawn for word in ("'business'", "'households'", "90 % interval, business"))
    levels = client.get("/api/v1/figures/activity.grid--levels").json()
    assert levels["finding"] == f"Electricity use (business): observed against expected, the last {len(weeks)} weeks"
    assert len(levels["rows"]) == len(weeks)
    page = html.unescape(client.get("/").text).replace("\xa0", " ")
    assert "Electricity use (business) stood 55.0 % below what is normal for such a week in week 9 of 2020" in page
    assert "Electricity use (households) stood 6.0 % above" in page
    assert "the four from week 6 of 2020 to week 9 of 2020 lay furthest below normal: −55.0 % on average" in page
