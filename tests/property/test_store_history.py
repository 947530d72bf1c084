"""Whatever history is delivered, the store and a plain-Python interpreter see the same on every day."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import diff
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

EPOCH = datetime(2020, 1, 6, 6, tzinfo=UTC)
LAST = 6

SPEC = DatasetSpec(
    name="readings",
    title="Readings",
    frequency="D",
    period="period",
    key=("key", "period"),
    confidential=False,
    unit="public",
    fields=(
        FieldSpec("key", "string"),
        FieldSpec("period", "date"),
        FieldSpec("value", "number"),
        FieldSpec("flag", "boolean"),
    ),
)

Key = tuple[str, int]
Value = tuple[float | None, bool | None]


@dataclass(frozen=True)
class Sent:
    """One delivery: at which moment, which rows (or keys to take back)."""

    moment: int
    rows: tuple[tuple[Key, Value], ...]
    deletions: bool


class Interpreter:
    """The definition of the store, by brute force."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, int, Key, Value | None]] = []
        self.seen: set[Sent] = set()

    def state(self, moment: int) -> dict[Key, Value | None]:
        latest: dict[Key, Value | None] = {}
        for _, _, key, value in sorted((s for s in self.stored if s[0] <= moment), key=lambda s: (s[0], s[1])):
            latest[key] = value
        return latest

    def deliver(self, number: int, sent: Sent) -> tuple[int, int, int]:
        """Return accepted, quarantined, duplicates."""
        known, ever = self.state(sent.moment), {key for _, _, key, _ in self.stored}
        kept: dict[Key, Value] = {}
        accepted = quarantined = duplicates = 0
        for key, value in sent.rows:
            if key in kept:
                if not sent.deletions and kept[key] != value:
                    quarantined += 1
                else:
                    duplicates += 1
                continue
            kept[key] = value
            if sent.deletions and key not in ever:
                quarantined += 1
            elif known.get(key) == (None if sent.deletions else value):
                duplicates += 1
            else:
                accepted += 1
                self.stored.append((sent.moment, number, key, None if sent.deletions else value))
        return accepted, quarantined, duplicates

    def view(self, moment: int) -> dict[Key, Value]:
        return {key: value for key, value in self.state(moment).items() if value is not None}


keys = st.tuples(st.sampled_from("ab"), st.integers(0, 2))
values = st.tuples(st.sampled_from([None, 0.0, -0.0, 1.5]), st.sampled_from([None, True]))
deliveries = st.builds(
    Sent,
    moment=st.integers(0, LAST),
    rows=st.lists(st.tuples(keys, values), min_size=1, max_size=5).map(tuple),
    deletions=st.sampled_from([False, False, False, True]),
)
histories = st.lists(deliveries, min_size=1, max_size=6)


def table_of(sent: Sent) -> pa.Table:
    """Return a delivery's rows as Arrow."""
    columns = {
        "key": pa.array([key[0] for key, _ in sent.rows], pa.string()),
        "period": pa.array([date(2020, 1, 1) + timedelta(days=key[1]) for key, _ in sent.rows]),
    }
    if not sent.deletions:
        columns["value"] = pa.array([v[0] for _, v in sent.rows], pa.float64())
        columns["flag"] = pa.array([v[1] for _, v in sent.rows], pa.bool_())
    return pa.table(columns)


def check(history: list[Sent], *, many: int = 0) -> None:
    """Deliver a history to both and compare reports and all views.

    Repetitions are set aside from `many` rows on, so that small deliveries are compared as large ones are, too.
    """
    with mock.patch.object(diff, "MANY", many):
        _check(history)


def _check(history: list[Sent]) -> None:
    model = Interpreter()
    with tempfile.TemporaryDirectory() as folder:
        state = State.open(Path(folder) / "room.db")
        store = Store(folder, [SPEC], state, threads=1)
        number = 0
        for sent in history:
            report = ingest(
                store,
                SPEC,
                table_of(sent),
                known_at=EPOCH + timedelta(hours=sent.moment),
                actor="test",
                reason="history",
                deletions=sent.deletions,
            )
            if report.already_present and sent in model.seen:
                continue  # the same delivery for the same moment: a retry, by definition
            model.seen.add(sent)
            if report.already_present:
                before = list(model.stored)
                model.deliver(number + 1, sent)
                assert model.stored == before, "a delivery was skipped although it brought news"
                continue
            number += 1
            expected = model.deliver(number, sent)
            assert (report.accepted, report.quarantined, report.duplicates) == expected
        for moment in range(-1, LAST + 1):
            rows = store.arrow("readings", EPOCH + timedelta(hours=moment)).to_pylist()
            seen = {(r["key"], (r["period"] - date(2020, 1, 1)).days): (r["value"], r["flag"]) for r in rows}
            assert len(seen) == len(rows)
            assert seen == model.view(moment), f"the views differ at moment {moment}"
        days = [date(2020, 1, 1) + timedelta(days=n) for n in range(3)]
        for low, high in ((1, 2), (0, 1), (1, 1)):  # bounds of files settle some conditions: all of them must hold
            rows = store.arrow("readings", EPOCH + timedelta(hours=3), period_from=days[low], period_to=days[high])
            seen = {(r["key"], days.index(r["period"])): (r["value"], r["flag"]) for r in rows.to_pylist()}
            assert seen == {key: value for key, value in model.view(3).items() if low <= key[1] <= high}
        store.close()
        state.close()


AGAIN = (("a", 0), (1.5, None)), (("a", 1), (0.0, True))


@given(histories, st.sampled_from([0, 0, diff.MANY]))
@example([Sent(3, AGAIN, False), Sent(1, AGAIN, False)], 0)  # told again of a time before it was known
@example([Sent(1, AGAIN, False), Sent(3, AGAIN, False), Sent(2, AGAIN, False)], 0)
@example([Sent(1, AGAIN, False), Sent(2, AGAIN[:1], True), Sent(3, AGAIN, False)], 0)  # and after it was taken back
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_store_equals_the_definition(history: list[Sent], many: int) -> None:
    check(history, many=many)


@pytest.mark.long
@given(st.lists(deliveries, min_size=3, max_size=12), st.sampled_from([0, diff.MANY]))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_store_equals_the_definition_at_length(history: list[Sent], many: int) -> None:
    check(history, many=many)
