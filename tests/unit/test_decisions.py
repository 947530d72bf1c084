"""Decision records: what may be recorded, that it stays, and how it is scored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from opsroom.base.errors import NotFoundError, StoreError, UsageError
from opsroom.base.state import State
from opsroom.evaluate.decisions import (
    ENTRIES,
    Decision,
    Forecast,
    cells,
    load,
    record,
    score,
    verify,
    withdraw,
)

DAY = dt.date(2020, 3, 4)


def forecast(**given: object) -> Forecast:
    values = {"measure": "relief.options/illiquid_companies", "target_date": dt.date(2020, 6, 4)}
    return Forecast(**(values | {"point": 100.0, "lower": 80.0, "upper": 130.0} | given))  # type: ignore[arg-type]  # keywords under test


def decision(**given: object) -> Decision:
    values = {
        "question": "Shall company loans rest?",
        "option": "holiday_both",
        "considered": ("none", "holiday_both"),
        "decider": "A. Minister",
        "legal_basis": "Emergency Act, section 3",
        "decided_on": DAY,
        "review_date": dt.date(2020, 6, 10),
        "forecast": forecast(),
        "evidence": {"relief.options@2020-03-04": "sha256:aa"},
        "dissent": "The central bank preferred the targeted option.",
    }
    return Decision(**(values | given))  # type: ignore[arg-type]  # ditto


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State.open(tmp_path / "room.db")
    yield found
    found.close()


def test_what_is_recorded_comes_back_whole(state: State) -> None:
    made = record(state, decision())
    assert load(state, DAY) == [made]
    assert made.id.startswith("2020-03-04-holiday_both-")
    assert made.status == "open"
    assert verify(state) == 1


def test_recording_twice_writes_once(state: State) -> None:
    record(state, decision())
    record(state, decision())
    assert verify(state) == 1


def test_as_of_is_honest(state: State) -> None:
    made = record(state, decision())
    record(state, score(made, 90.0, dt.date(2020, 6, 11)))
    assert load(state, DAY - dt.timedelta(days=1)) == []
    assert load(state, DAY)[0].outcome is None
    assert load(state, dt.date(2020, 6, 9))[0].status == "open"
    assert load(state, dt.date(2020, 6, 10))[0].status == "due"
    assert load(state, dt.datetime(2020, 6, 11, 12, tzinfo=dt.UTC))[0].status == "scored"
    assert load(state)[0].outcome == 90.0


def test_scores_by_hand() -> None:
    hit = score(decision(), 90.0, dt.date(2020, 6, 4))
    assert (hit.error, hit.score, hit.inside, hit.interval_score) == (10, 10, True, 50)
    missed = score(decision(), 140.0, dt.date(2020, 6, 4))
    assert (missed.error, missed.inside) == (-40, False)
    assert missed.interval_score == pytest.approx(50 + 20 * 10)
    assert missed.content_hash == decision().content_hash


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"decider": " "}, "OPS-U097"),
        ({"legal_basis": ""}, "OPS-U097"),
        ({"question": ""}, "OPS-U097"),
        ({"review_date": DAY}, "OPS-U098"),
        ({"review_date": None}, "OPS-U098"),
        ({"considered": ("holiday_both",)}, "OPS-U099"),
        ({"considered": ("none",)}, "OPS-U099"),
        ({"outcome": 3.0}, "OPS-U095"),
        ({"id": "2020-03-04-holiday_both-00000000"}, "OPS-U091"),
    ],
)
def test_incomplete_decisions_are_refused(given: dict[str, object], code: str) -> None:
    with pytest.raises(UsageError, match=code):
        decision(**given)


@pytest.mark.parametrize("given", [{"lower": 110.0}, {"point": float("nan")}, {"level": 90.0}])
def test_odd_forecasts_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="OPS-U090"):
        forecast(**given)


def test_doing_nothing_is_a_decision_too(state: State) -> None:
    made = record(state, decision(option="none", forecast=None))
    assert load(state)[0] == made
    with pytest.raises(UsageError, match="OPS-U093"):
        score(made, 1.0, dt.date(2021, 1, 1))


def test_scoring_too_early_twice_or_unrecorded_is_refused(state: State) -> None:
    made = decision()
    with pytest.raises(UsageError, match="OPS-U094"):
        score(made, 90.0, dt.date(2020, 6, 3))
    with pytest.raises(UsageError, match="OPS-U095"):
        score(made, float("nan"), dt.date(2020, 6, 4))
    closed = score(made, 90.0, dt.date(2020, 6, 4))
    with pytest.raises(NotFoundError, match="OPS-N080"):
        record(state, closed)
    record(state, made)
    record(state, closed)
    record(state, closed)
    assert verify(state) == 2
    with pytest.raises(UsageError, match="OPS-U092"):
        record(state, score(made, 91.0, dt.date(2020, 6, 4)))
    with pytest.raises(UsageError, match="OPS-U092"):
        score(closed, 91.0, dt.date(2020, 6, 5))


def test_withdrawal_needs_a_reason_and_stays(state: State) -> None:
    made = record(state, decision())
    with pytest.raises(UsageError, match="OPS-U096"):
        withdraw(made, dt.date(2020, 3, 9), note=" ")
    record(state, withdraw(made, dt.date(2020, 3, 9), note="struck down"))
    assert load(state)[0].status == "withdrawn"
    assert load(state)[0].note == "struck down"
    assert load(state, dt.date(2020, 3, 8))[0].status == "open"
    with pytest.raises(UsageError, match="OPS-U092"):
        score(load(state)[0], 1.0, dt.date(2020, 9, 1))


def test_the_database_refuses_to_change_an_entry(state: State) -> None:
    record(state, decision())
    for statement in (ENTRIES.update().values(day="2020-01-01"), ENTRIES.delete()):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), state.begin() as connection:
            connection.execute(statement)
    assert verify(state) == 1


def test_a_change_made_behind_its_back_is_found(state: State) -> None:
    record(state, decision())
    record(state, decision(decider="B. Minister"))
    with state.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER decisions_no_update")
        connection.execute(sa.text("UPDATE decisions SET body = replace(body, 'A. Minister', 'X. Minister')"))
    with pytest.raises(StoreError, match="OPS-F090"):
        verify(state)
    with pytest.raises(StoreError, match="OPS-F090"):
        load(state)


def test_an_entry_taken_away_is_found(state: State) -> None:
    for name in ("A", "B", "C"):
        record(state, decision(decider=name))
    with state.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER decisions_no_delete")
        connection.execute(sa.text("DELETE FROM decisions WHERE seq = 2"))
    with pytest.raises(StoreError, match="OPS-F090"):
        verify(state)


def test_cells_hold_words_and_numbers_and_no_microdata() -> None:
    made = decision()
    closed = score(replace(made, question="Another?", id=""), 90.0, dt.date(2020, 6, 4), naive=60.0)
    (found,) = cells([made, closed])
    assert found.name == "decisions.log"
    assert found.parts == ()
    assert found.facts == {"decisions": 2, "scored": 1}
    rows = found.frame.set_index("decision_id")
    assert rows.loc[closed.id, "outcome"] == 90
    assert rows.loc[closed.id, "score"] == 10
    assert rows.loc[closed.id, ["inside", "naive", "naive_score"]].tolist() == ["yes", 60, 30]
    assert pd.isna(rows.loc[made.id, "inside"])
    assert rows.loc[made.id, "decider"] == "A. Minister"
    assert cells([]) == []
