"""Built-in datasets about companies: register, returns and invoices open a desk each, and count by owner."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from opsroom.base.settings import DeskSettings
from opsroom.room.built_in import DESKS, add_built_in, built_in, built_in_names
from opsroom.room.room import Room

LAW = {"legal_basis": "Statistics Act, section 12"}
NACE = ("10.11", "47", "C")
COMPANIES = [f"FN {n:03d}" for n in range(120)]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    settings = (
        'schema_version = 1\n[room]\ntitle = "Own"\ntimezone = "UTC"\n[publish]\ncadence = "on_demand"\n'
        '[rules]\nprofile = "business"\n'
    )
    with Room.create(tmp_path / "room", settings=settings) as made:
        yield made


def deliver(room: Room, name: str, rows: Iterable[Sequence[object]], known_at: str) -> str:
    spec = built_in(name, **LAW)
    kind = add_built_in(room, spec)
    file = room.path.parent / f"{name}.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow([f.source for f in spec.fields])
        out.writerows(rows)
    report = room.ingest(name, file, known_at)
    assert report.quarantined == 0, report.reasons
    return kind


def register(room: Room) -> None:
    rows = [(c, f"G {n // 2}", "LTD", NACE[n % 3], f"R{n % 2}", 5, "2015-01-01", "2021-06-30" if n < 6 else "")
            for n, c in enumerate(COMPANIES)]  # fmt: skip
    assert deliver(room, "register", rows, "2022-01-05") == "companies"


def run(room: Room, kind: str, day: dt.date) -> object:
    with Room.open(room.path) as again:
        (own,) = (d for d in again.settings.desks if d.kind == kind)
        return again.run_desk(DeskSettings(own.kind, own.name, dict(own.options)), again.moment(day), day, {})


def published(room: Room, day: str) -> dict[str, object]:
    with Room.open(room.path) as again:
        found = {release.name: release for release in again.publish(day)}
        return {**found, **{f"note {desk}": note for desk, note in again.notes.items()}}


def test_whose_figures_are_the_institution_s_opens_a_desk() -> None:
    assert set(built_in_names()) - set(DESKS) == {"weather", "payments", "objectives"}, (
        "these are read by other desks alone"
    )


def test_the_register_opens_the_count_of_companies(room: Room) -> None:
    register(room)
    outcome = run(room, "companies", dt.date(2022, 1, 10))
    (cells,) = outcome.cells  # type: ignore[attr-defined]  # a DeskOutcome
    told = cells.frame.set_index(["section", "region"])
    standing = range(6, len(COMPANIES))
    sections = {"10.11": "C", "47": "G", "C": "C"}
    expected = Counter((sections[NACE[n % 3]], f"R{n % 2}") for n in standing)
    for cell, count in expected.items():
        assert told.loc[cell, "n_companies"] == count
    assert told.loc[("_T", "_T"), "n_companies"] == len(standing)
    assert told.loc[("_T", "_T"), "n_companies__groups"] == len({n // 2 for n in standing}), "owners, not companies"
    assert set(told.index.get_level_values("section")) == {"C", "G", "_T"}
    release = published(room, "2022-01-10")["companies.section"]
    assert release.rows[0][0] == "2022-01"  # type: ignore[attr-defined]  # a Release


def returns(months: int = 14) -> list[tuple[object, ...]]:
    dice = random.Random(5)
    rows = []
    for number in range(months):
        year, month = 2021 + number // 12, number % 12 + 1
        end = dt.date(year + month // 12, month % 12 + 1, 1)
        for company in COMPANIES:
            filed = end + dt.timedelta(days=dice.choice((10, 20, 45)))
            rows.append((company, f"{year}-{month:02d}", 1000, 500, end, filed if filed < dt.date(2022, 3, 13) else ""))
    return rows


def test_returns_open_a_desk_that_knows_who_owns_whom(room: Room) -> None:
    assert deliver(room, "vat", returns(), "2022-03-13") == "delays"
    assert "nothing known of register yet" in str(published(room, "2022-03-14")["note vat"])
    register(room)
    outcome = run(room, "delays", dt.date(2022, 3, 15))
    (cells,) = outcome.cells  # type: ignore[attr-defined]  # a DeskOutcome
    told = cells.frame.set_index(["period", "sector"])
    filed = [r for r in returns() if r[5]]
    for month in ("2021-06", "2022-01", "2022-02"):
        inside = [r for r in filed if r[1] == month]
        assert told.loc[(month, "_T"), "n_reported"] == len(inside)
        owners = {COMPANIES.index(str(r[0])) // 2 for r in inside}
        assert told.loc[(month, "_T"), "n_reported__groups"] == len(owners), "two companies of a group are one"
    newest = told.loc[("2022-02", "_T")]
    assert newest["complete"] == "no"
    shown = cells.completed(np.ones(len(cells.frame), dtype=bool))  # as it is once the gate has judged
    expected = shown["expected"][told.index.get_loc(("2022-02", "_T"))]
    assert newest["n_reported"] < expected <= 1.3 * len(COMPANIES)


def test_payroll_returns_open_a_desk_of_their_own_frequency(room: Room) -> None:
    assert add_built_in(room, built_in("payroll", frequency="Q", **LAW)) == "delays"
    with Room.open(room.path) as again:
        (desk,) = again.settings.desks
    assert (desk.name, desk.get("known"), desk.get("frequency")) == ("payroll", "filed_on", "Q")
