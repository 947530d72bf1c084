"""Two machines whose clocks differ write to one dataset: nothing is lost, and every view follows one order.

The order is knowledge time, then delivery number, which the commit gives; ``recorded_at`` is what a clock said and
decides nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base.errors import DataError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import IngestReport, ingest
from opsroom.observe.store import Store

NOON = dt.datetime(2021, 5, 3, 12, tzinfo=dt.UTC)
SKEWS = (-10, 10)

SPEC = DatasetSpec(
    name="readings",
    title="Readings",
    frequency="D",
    period="day",
    key=("id", "day"),
    confidential=False,
    unit="public",
    fields=(FieldSpec("id", "integer"), FieldSpec("day", "date"), FieldSpec("value", "integer")),
)


class Machines:
    """Machines on one room; the true time is told in minutes after noon."""

    def __init__(self, folder: Path, skew: int, stack: ExitStack) -> None:
        self.now = 0
        self.told: list[tuple[dt.datetime, int, dict[int, int]]] = []
        self.stores = {}
        for name, ahead in (("A", 0), ("B", skew)):
            state = State.open(folder / "room.db")
            stack.callback(state.close)
            store = Store(folder, [SPEC], state, threads=1, clock=lambda ahead=ahead: at(self.now + ahead))
            stack.callback(store.close)
            self.stores[name] = store

    def deliver(self, machine: str, values: dict[int, int], known: int | None = None, reason: str = "") -> IngestReport:
        """Deliver id → value; known is a minute after noon, the machine's clock where None."""
        rows = pa.table(
            {"id": list(values), "day": [dt.date(2021, 5, 1)] * len(values), "value": list(values.values())}
        )
        store = self.stores[machine]
        moment = None if known is None else at(known)
        report = ingest(store, SPEC, rows, known_at=moment, actor=machine, reason=reason)
        if not report.already_present:
            self.told.append((moment or store.clock(), report.delivery, values))
        return report

    def check(self) -> None:
        """Both machines see, at every minute, what the definition says."""
        for minute in range(-15, 45):
            expected: dict[int, int] = {}
            for moment, _, values in sorted(self.told, key=lambda told: told[:2]):
                if moment <= at(minute):
                    expected |= values
            for store in self.stores.values():
                rows = store.arrow("readings", at(minute)).to_pylist()
                assert len(rows) == len({r["id"] for r in rows})
                assert {r["id"]: r["value"] for r in rows} == expected, minute
        for store in self.stores.values():
            assert [d.delivery for d in store.deliveries("readings")] == [number for _, number, _ in self.told]


def at(minute: int) -> dt.datetime:
    return NOON + dt.timedelta(minutes=minute)


@pytest.fixture(params=SKEWS)
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, request.param, stack)


def test_whoever_is_behind_is_refused_without_a_reason_and_stored_with_one(machines: Machines) -> None:
    ahead, behind = ("B", "A") if machines.stores["B"].clock() > NOON else ("A", "B")
    machines.deliver(ahead, {1: 10, 2: 20})
    machines.now = 1
    files = machines.stores["A"].files("readings")
    with pytest.raises(DataError) as error:
        machines.deliver(behind, {1: 11, 3: 30})
    assert error.value.code == "OPS-D012"
    assert machines.stores["A"].files("readings") == files  # refused as a whole, and said so: it can come again
    report = machines.deliver(behind, {1: 11, 3: 30}, reason="clocks differ by ten minutes")
    assert (report.delivery, report.accepted) == (2, 2)
    machines.check()
    machines.now = 12  # the slower clock has passed what the faster one said
    machines.deliver(behind, {1: 12})
    machines.check()
    first, second, third = machines.stores["A"].deliveries("readings")
    assert second.recorded_at < first.recorded_at < third.recorded_at


def test_of_one_moment_the_later_commit_holds_whatever_its_clock_said(machines: Machines) -> None:
    machines.deliver("A", {1: 10}, known=-5)
    machines.now = 1
    machines.deliver("B", {1: 11}, known=-5)
    # What the first delivery said is news again, although its record bears the later time where B is behind.
    machines.now = 2
    report = machines.deliver("A", {1: 10}, known=2)
    assert (report.already_present, report.accepted) == (False, 1)
    machines.check()


def test_moments_that_are_stated_make_clocks_indifferent(machines: Machines) -> None:
    for turn in range(6):
        machines.now = turn
        machines.deliver("AB"[turn % 2], {turn // 2: turn, 9: turn}, known=turn)
    machines.check()


def test_a_moment_ahead_is_not_known_until_it_comes(machines: Machines) -> None:
    """A clock that is ahead dates into the future; who asks as of now sees the row when that moment has come."""
    machines.deliver("A", {1: 10}, known=0)
    machines.deliver("A", {1: 11}, known=10)
    assert machines.stores["A"].arrow("readings", at(9)).column("value").to_pylist() == [10]
    assert machines.stores["A"].arrow("readings", at(10)).column("value").to_pylist() == [11]
    machines.check()
