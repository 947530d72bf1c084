"""The inbox of warnings: what stands, under which rule, with its record, and the filters."""

from __future__ import annotations

import html
from typing import Any

import pytest


def said(client: Any, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return html.unescape(answer.text).replace("\xa0", " ")


def test_the_page_shows_what_stands_with_rule_record_cost_and_levers(client: Any) -> None:
    text = said(client, "/warnings?as_of=2020-03-04")
    assert "2 warnings stand (2 of which nobody has taken note)." in text
    for words in (
        "A flow far below its normal",
        "Warns at −20 % and less; ends above −10 %.",
        "It stands at −41 % (week 6 of 2020). Raised on 5 February 2020; the worst since is −41 %.",
        "the event came within 150 days after 1 of them, 1 were false alarms",
        "a day of staff time",
        "ask the customs",
        "Hotels and restaurants",  # the section's name, not its code
        "nobody can say whether it still holds",
        "No event is named",
        "Passenger trips furthest down",  # the evidence is drawn
        # the record of the indicator at its threshold, with the number of events that it rests on
        "(figures as first published): warned of 2 of 2 events 1 to 20 quarters ahead; signals in 7 of 8 quarters "
        "before one, and in 3 of 200 calm ones. Outcomes are known to 2015 Q1, 13 areas. The first signal within the "
        "horizon came 19 quarters before (median). It rests on 2 events alone: of such events it may warn of anything "
        "from 22 to 100 % (90 % interval). Usefulness 0.86",
        "The event that it should come before: GDP falls.",
        "Of such warnings 3 to 97 % are followed (90 % interval, as if they were independent",
    ):
        assert words in text, words
    assert 'href="/warnings?as_of=2020-03-04"' in client.get("/?as_of=2020-03-04").text


def test_a_warning_that_has_ended_says_so_and_who_took_note(client: Any) -> None:
    text = said(client, "/warnings?as_of=2020-06-24")
    assert "One warning stands (1 of which nobody has taken note)." in text
    assert "A flow far below its normal</h2>" not in text
    text = said(client, "/warnings?as_of=2020-06-24&state=ended")
    assert "Ended on 15 April 2020. Rosa Tanner took note on 11 March 2020. Customs were asked." in text


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ("", ["flows", "loans"]),
        ("&rule=loans", ["loans"]),
        ("&about=trips", ["flows"]),
        ("&state=new", []),
        ("&state=all&unread=yes", ["flows", "loans"]),
    ],
)
def test_filters_are_the_same_on_the_page_and_in_the_api(client: Any, asked: str, ids: list[str]) -> None:
    found = client.get(f"/api/v1/warnings?as_of=2020-03-04{asked}").json()
    assert [one["rule"] for one in found] == ids
    text = client.get(f"/warnings?as_of=2020-03-04{asked}").text
    for one in ("flows-2020-02-05-aaaaaa", "loans-2020-02-05-bbbbbb"):
        assert (one in text) == (one.split("-")[0] in ids)


def test_unread_are_those_of_which_nobody_took_note(client: Any) -> None:
    found = client.get("/api/v1/warnings?as_of=2020-06-24&state=all&unread=yes").json()
    assert [one["rule"] for one in found] == ["loans"]


def test_before_the_first_inbox_the_page_says_so(client: Any) -> None:
    assert "No inbox had been published by that day" in said(client, "/warnings?as_of=2020-01-22")
    assert client.get("/api/v1/warnings?as_of=2020-01-22").json() == []


def test_a_state_that_there_is_not_is_refused(client: Any) -> None:
    assert client.get("/warnings?state=burning").status_code == 400
    assert client.get("/api/v1/warnings?state=burning").status_code == 400


def test_rules_under_which_nothing_stands_are_shown_with_their_record(client: Any) -> None:
    text = said(client, "/warnings?as_of=2020-03-04")
    quiet = text[text.index("Watched, and quiet") :]
    assert "Credit grows away from incomes" in quiet
    assert "Warns at 15 % and more; ends below 10 %." in quiet
    assert "No event to be judged by yet (figures as revised since): signals in 3 of 200 calm quarters" in quiet
    assert "Watched, and quiet" not in said(client, "/warnings?as_of=2020-03-04&rule=loans")


def test_each_term_beside_a_rule_has_one_description(client: Any) -> None:
    """The list is laid out in two columns: a term with two descriptions would push all behind it out of theirs."""
    text = client.get("/warnings?as_of=2020-03-04").text
    lists = text.split('<dl class="beside-rule">')[1:]
    assert lists
    for one in lists:
        own = one.split("</dl>")[0]
        assert own.count("<dt>") == own.count("<dd>") == own.count("</dt><dd>")


def test_a_record_says_on_how_few_events_it_rests() -> None:
    from opsroom.faces.inbox import _by_chance, _use

    track = {"n_crises": 1, "warned_interval": [0.05, 1.0], "level": 0.9, "usefulness": 0.5, "interval": [None, None]}
    assert _by_chance(track).startswith("It rests on one event alone: of such events it may warn of anything from 5 to")
    assert _by_chance(track | {"n_crises": 34, "warned_interval": [0.62, 0.88]}).startswith(
        "Of such events it warns of 62"
    )
    assert _by_chance({"n_crises": 2}) == ""  # a release of before
    assert "no interval" in _use(track)
    assert _use(track | {"usefulness": None}) == ""


def test_each_warning_carries_levers_cost_and_record_of_its_rule(client: Any) -> None:
    flows, loans = client.get("/api/v1/warnings?as_of=2020-03-04").json()
    assert (flows["track"]["n_crises"], flows["track"]["median_lead_time"]) == (2, 19.0)
    assert flows["track"]["sample"]["timing"] == "real-time"
    assert flows["track"]["warned_interval"] == [0.224, 1.0]
    assert (flows["series"], flows["measure"]) == ("flows.weekly", "gap")  # where its evidence is
    assert flows["levers"] == ["ask the customs"]
    assert flows["false_alarm_cost"] == "a day of staff time"
    assert "track" not in loans
