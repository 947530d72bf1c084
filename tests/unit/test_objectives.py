"""The objectives register: in force on a day, owned by somebody, never a default."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from opsroom.base.errors import DataError, UsageError
from opsroom.decide import objectives

DAY = dt.date(2020, 3, 1)


def rows(*given: tuple[str, str, float, str, str, str, str | None]) -> pd.DataFrame:
    columns = ["kind", "product", "value", "owner", "legal_basis", "valid_from", "valid_to"]
    return pd.DataFrame(list(given), columns=columns)


GOOD = (
    ("weight", "_T", 1.0, "Parliament", "Act, s. 2", "2020-01-01", "2020-02-29"),
    ("weight", "_T", 2.0, "Parliament", "Act, s. 2", "2020-03-01", None),
    ("weight", "Q", 3.0, "Ministry of Health", "Act, s. 3", "2020-02-01", None),
    ("floor", "A", 0.8, "Ministry of Food", "Act, s. 4", "2020-01-01", "2020-03-01"),
    ("class", "Q", 1, "Parliament", "Act, s. 5", "2020-01-01", None),
    ("class", "A", 2, "Parliament", "Act, s. 5", "2020-01-01", None),
)
LABELS = pd.Index(["A", "C", "Q"])


def test_what_is_in_force_on_a_day_is_found_and_the_own_entry_goes_before_the_general_one() -> None:
    found = objectives(rows(*GOOD), DAY)
    assert found.weights(LABELS).to_list() == [2.0, 2.0, 3.0]
    assert found.floors(LABELS).to_list() == [0.8, 0.0, 0.0]
    classes = found.classes(LABELS)
    assert classes is not None
    assert classes.to_list() == [2.0, 3.0, 1.0]
    assert objectives(rows(*GOOD), DAY + dt.timedelta(1)).floors(LABELS).sum() == 0.0
    early = objectives(rows(*GOOD), dt.date(2020, 1, 31))
    assert early.weights(LABELS).to_list() == [1.0, 1.0, 1.0]
    owners = found.owners()
    assert set(owners["owner"]) == {"Parliament", "Ministry of Health", "Ministry of Food"}


def test_there_is_no_default_weight() -> None:
    found = objectives(rows(GOOD[2]), DAY)
    with pytest.raises(UsageError, match=r"no weight on 2020-03-01 for 2 product\(s\): A, C") as caught:
        found.weights(LABELS)
    assert caught.value.code == "OPS-U360"
    assert found.classes(LABELS) is None


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("owner", " ", "no owner or no legal basis: row 3"),
        ("legal_basis", None, "no owner or no legal basis: row 3"),
        ("kind", "wish", "an unknown kind: row 3"),
        ("valid_from", None, "no first day: row 3"),
        ("value", -1.0, "a value out of range: row 3"),
    ],
)
def test_rows_that_nobody_owns_or_that_say_nothing_are_refused_by_number(place: str, value: object, said: str) -> None:
    frame = rows(*GOOD).astype(object)
    frame.loc[2, place] = value
    with pytest.raises(DataError, match=said):
        objectives(frame, DAY)


def test_shares_above_one_half_classes_and_two_entries_at_once_are_refused() -> None:
    with pytest.raises(DataError, match="out of range: row 1"):
        objectives(rows(("floor", "A", 1.2, "P", "s", "2020-01-01", None)), DAY)
    with pytest.raises(DataError, match="out of range: row 1"):
        objectives(rows(("class", "A", 1.5, "P", "s", "2020-01-01", None)), DAY)
    twice = rows(GOOD[2], ("weight", "Q", 4.0, "P", "s", "2020-03-01", None))
    with pytest.raises(DataError, match="two entries in force on 2020-03-01 for one thing: row 2"):
        objectives(twice, DAY)
    assert objectives(twice, DAY - dt.timedelta(1)).weights(pd.Index(["Q"]))["Q"] == 3.0
    with pytest.raises(DataError, match="lacks owner"):
        objectives(twice.drop(columns="owner"), DAY)
