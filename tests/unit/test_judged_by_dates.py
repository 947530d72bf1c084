"""A rule judged by dated events, and by the same indicator elsewhere: a room's own history has few events."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.room.desks.judged import Dates, Place, dated, event_of, track
from opsroom.warn.early_warning import Rule as Labels
from opsroom.warn.early_warning import track_record
from opsroom.warn.watch import Rule

DAY = dt.date(2020, 6, 30)
DESK = DeskSettings("warnings", "warnings", {})
RULE = Rule("gap", raise_at=4.0)
OWN = Place("credit.home", "gap", {"country": "C0"}, 4.0, "above")
JUDGE = {"dataset": "crises", "horizon": [5, 12], "indicator": {"series": "credit.gap", "measure": "gap"}}


class Told:
    """What a view has: releases, and a dataset of events."""

    day = DAY

    def __init__(
        self, panel: pd.DataFrame, crises: pd.DataFrame, *, frequency: str = "A", secret: bool = False
    ) -> None:
        self.memory: dict[str, Any] = {}
        rows = panel.astype(object).to_numpy().tolist()
        self.release = SimpleNamespace(
            columns=["quarter", "country", "gap"], dimensions=["quarter", "country"], rows=rows, facts={}
        )
        self.crises, self.frequency, self.secret = crises, frequency, secret
        self.releases = self

    def get(self, name: str, day: dt.date) -> Any:
        assert day == DAY
        return self.release if name == "credit.gap" else None

    def has(self, dataset: str) -> bool:
        return dataset == "crises"

    def spec(self, dataset: str) -> Any:
        return SimpleNamespace(confidential=self.secret, frequency=self.frequency, title="Crises")

    def fields(self, dataset: str) -> frozenset[str]:
        return frozenset(self.crises.columns)

    def frame(self, dataset: str, columns: list[str]) -> pd.DataFrame:
        return self.crises[columns]


def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    r = np.random.default_rng(3)
    quarters = [f"{y}-Q{q}" for y in range(1990, 2020) for q in range(1, 5)]
    start = {f"C{k}": 2000 + int(r.integers(0, 12)) for k in range(8)}
    rows = [
        (quarter, country, float(r.normal() + 5 * (4 <= 4 * (first - 1990) - t <= 14)))
        for country, first in start.items()
        for t, quarter in enumerate(quarters)
    ]
    panel = pd.DataFrame(rows, columns=["quarter", "country", "gap"])
    crises = pd.DataFrame({"country": list(start), "start": list(start.values())})
    return panel, crises.assign(end=crises["start"] + 2).sort_values("country", ignore_index=True)


def test_the_record_is_that_of_the_indicator_everywhere_by_the_dates() -> None:
    panel, crises = world()
    own, event = event_of(DESK, RULE, OWN, {**JUDGE, "delay": 4})
    found = track(Told(panel, crises), RULE, own, event)  # type: ignore[arg-type]  # all that is read of a view
    wanted = track_record(
        panel, crises, indicator="gap", threshold=4.0, as_of=DAY, rule=Labels((5, 12), dating_delay=4), draws=199
    )
    assert found is not None
    assert (found.hits, found.false_alarms, found.missed) == (wanted.hits, wanted.false_alarms, wanted.missed)
    assert (found.n_crises, found.sample.countries) == (8, 8)  # the room's own area has had one
    assert found.interval == wanted.interval
    assert found.warned_interval[0] > 0.5
    assert found.facts()["warned_interval"] == list(found.warned_interval)
    alone = track(Told(panel, crises), RULE, Place("credit.gap", "gap", {"country": "C0"}, 4.0, "above"), event)  # type: ignore[arg-type]  # as above
    assert alone is not None
    assert alone.n_crises == 1
    assert track(Told(panel, crises), RULE, OWN, event) is None  # type: ignore[arg-type]  # no release of its own


def test_years_quarters_and_days_date_the_same_event() -> None:
    years = pd.DataFrame({"country": ["B", "A"], "start": [2008, 1999], "end": [2010, np.nan]})
    days = years.assign(start=pd.to_datetime(["2008-01-01", "1999-01-01"]), end=pd.to_datetime(["2010-01-01", None]))
    quarters = pd.DataFrame({"country": ["B", "A"], "start": ["2008-Q1", "1999-Q1"], "end": ["2010-Q1", None]})
    panel, _ = world()

    def of(table: pd.DataFrame, frequency: str) -> pd.DataFrame:
        found = dated(Told(panel, table, frequency=frequency), Dates("crises"))  # type: ignore[arg-type]  # as above
        assert found is not None
        return found

    assert of(years, "A")[["country", "start"]].to_numpy().tolist() == [["A", 1999], ["B", 2008]]
    pd.testing.assert_frame_equal(of(days, "A"), of(years, "A"), check_dtype=False)
    for one in (days, quarters):
        found = of(one, "Q").astype(object)
        assert found.where(found.notna(), None).to_numpy().tolist() == [
            ["A", "1999-Q1", None],
            ["B", "2008-Q1", "2010-Q1"],
        ]
    assert list(of(years.drop(columns="end"), "A").columns) == ["country", "start"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"horizon": [1, 4]}, "lacks 'series'"),
        ({"dataset": "crises"}, "lacks 'horizon'"),
        ({**JUDGE, "horizon": [4]}, "first and a last quarter"),
        ({**JUDGE, "raise_at": 1}, "unknown field 'raise_at'"),
        ({**JUDGE, "indicator": {"series": "x"}}, "lacks 'measure'"),
        ({"series": "x", "measure": "y", "raise_at": 1, "horizon": [1, 4], "direction": "up"}, "direction"),
    ],
)
def test_wrong_judges_are_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        event_of(DESK, RULE, OWN, given)


def test_a_confidential_dataset_or_one_without_the_field_judges_nothing() -> None:
    panel, crises = world()
    for told, dates in (
        (Told(panel, crises, secret=True), Dates("crises")),
        (Told(panel, crises), Dates("crises", area="iso")),
    ):
        with pytest.raises(SettingsError, match=r"confidential|no field iso"):
            dated(told, dates)  # type: ignore[arg-type]  # as above
    assert dated(Told(panel, crises), Dates("others")) is None  # type: ignore[arg-type]  # as above
