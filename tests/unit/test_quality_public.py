"""Alarms on public series: one that is cut, stops or freezes is told among thirty, and by the room's own defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from opsroom.base.spec_quality import QualitySpec
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

SPEC = DatasetSpec(
    name="series", title="Series", frequency="M", period="month", key=("code", "month"), confidential=False,
    unit="public", provider="P", licence="x", source="x",
    fields=(FieldSpec("code", "string"), FieldSpec("month", "date"), FieldSpec("value", "number")),
)  # fmt: skip
SERIES, MONTHS = 30, 18
LEVELS = np.random.default_rng(8).normal(100, 2, (SERIES, MONTHS + 4)).round(3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, State]]:
    state = State.open(tmp_path / "room.db")
    yield tmp_path, state
    state.close()


def alarms(folder: tuple[Path, State], spec: DatasetSpec, change: object, *, whole: bool) -> list[tuple[str, str, str]]:
    """Deliver four months, each with all that went before where `whole`, the last one changed; return its alarms."""
    path, state = folder
    store = Store(path, [spec], state, threads=1, clock=lambda: datetime(2022, 1, 1, tzinfo=UTC))
    found: list[list[tuple[str, str, str]]] = []
    for number in range(4):
        last = MONTHS + number
        first = 0 if whole or not number else last
        rows = [(s, m, float(LEVELS[s, m])) for s in range(SERIES) for m in range(first, last + 1)]
        if number == 3:
            rows = change(rows)  # type: ignore[operator]  # one of the functions below
        table = pa.table(
            {
                "code": [f"S{s}" for s, _, _ in rows],
                "month": pa.array([date(2019 + m // 12, m % 12 + 1, 1) for _, m, _ in rows]),
                "value": [v for *_, v in rows],
            }
        )
        known = datetime(2019 + (last + 1) // 12, (last + 1) % 12 + 1, 10, tzinfo=UTC)
        quality = ingest(store, store.spec("series"), table, known_at=known, actor="test").quality
        assert quality is not None
        found.append([(a.severity, a.kind, a.words) for a in quality.alarms])
    store.close()
    assert found[:3] == [[], [], []]
    return found[3]


def start_cut(rows: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return [r for r in rows if r[0] != 2 or r[1] >= 6]


def stopped(rows: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return [r for r in rows if r[0] != 2 or r[1] != MONTHS + 3]


def frozen(rows: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return [(s, m, 77.0 if s == 2 and m > MONTHS - 4 else v) for s, m, v in rows]


def test_one_series_of_thirty_is_cut(folder: tuple[Path, State]) -> None:
    found = alarms(folder, replace(SPEC, snapshot=True), start_cut, whole=True)
    assert found == [("warning", "series_shortened", "6 rows of 1 series were taken back.")]


def test_one_series_of_thirty_stops(folder: tuple[Path, State]) -> None:
    found = alarms(folder, SPEC, stopped, whole=False)
    assert found == [("warning", "series_missing", "1 of 30 series are missing from the newest period.")]


def test_one_series_of_thirty_freezes(folder: tuple[Path, State]) -> None:
    found = alarms(folder, SPEC, frozen, whole=True)
    assert [(severity, kind) for severity, kind, _ in found] == [("warning", "values_frozen")]


@pytest.mark.parametrize("change", [stopped, frozen])
def test_what_the_specification_says_goes_before(folder: tuple[Path, State], change: object) -> None:
    spec = replace(SPEC, quality=QualitySpec(missing_share=0.05, frozen_share=0.2))
    assert alarms(folder, spec, change, whole=True) == []


def test_of_companies_a_few_are_always_missing() -> None:
    usual = QualitySpec()
    assert (usual.missing(confidential=True), usual.frozen(confidential=True)) == (0.05, 0.2)
    assert (usual.missing(confidential=False), usual.frozen(confidential=False)) == (0.0, 0.0)
    assert QualitySpec(missing_share=0.0, frozen_share=0.0).frozen(confidential=True) == 0.0


@pytest.mark.parametrize(
    ("spoil", "severity"), [(lambda m: True, "critical"), (lambda m: m == MONTHS + 3, "warning"), (lambda m: False, "")]
)
def test_a_column_that_turns_into_text_raises_an_alarm(
    folder: tuple[Path, State], spoil: Callable[[int], bool], severity: str
) -> None:
    """Of the last month alone, too: what was accepted looks whole then, and as it was a month ago."""
    path, state = folder
    store = Store(path, [SPEC], state, threads=1, clock=lambda: datetime(2022, 1, 1, tzinfo=UTC))
    for number in range(4):
        rows = [(s, m, float(LEVELS[s, m])) for s in range(SERIES) for m in range(MONTHS + number + 1)]
        table = pa.table(
            {
                "code": [f"S{s}" for s, _, _ in rows],
                "month": pa.array([date(2019 + m // 12, m % 12 + 1, 1) for _, m, _ in rows]),
                "value": [f"{v} p" if number == 3 and spoil(m) else str(v) for _, m, v in rows],
            }
        )
        known = datetime(2020 + (6 + number) // 12, (6 + number) % 12 + 2, 10, tzinfo=UTC)
        quality = ingest(store, store.spec("series"), table, known_at=known, actor="test").quality
        assert quality is not None
        told = [a.severity for a in quality.alarms if a.kind == "rows_refused"]
        assert told == ([severity] if number == 3 and severity else [])
    if severity == "critical":
        assert quality.score is not None
        assert quality.score <= 50
    store.close()
