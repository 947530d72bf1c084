"""Compaction changes no answer: as of any moment, of any version, whatever history came before or comes after."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.test_store_history import EPOCH, LAST, SPEC, Sent, deliveries, table_of

from opsroom.base.state import State
from opsroom.observe import diff
from opsroom.observe.compaction import compact
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

NOW = datetime(2021, 1, 1, tzinfo=UTC)
MOMENTS = [EPOCH + timedelta(hours=h) for h in range(-1, LAST + 1)]


def views(store: Store) -> list[set[tuple[object, ...]]]:
    """Return what the store shows as of each moment."""
    found = []
    for moment in MOMENTS:
        rows = store.arrow("readings", moment).to_pylist()
        shown = {tuple(r.values()) for r in rows}
        assert len(shown) == len(rows)
        found.append(shown)
    return found


def deliver(store: Store, sent: Sent) -> None:
    """Deliver rows, whatever their knowledge time."""
    moment = EPOCH + timedelta(hours=sent.moment)
    ingest(store, SPEC, table_of(sent), known_at=moment, actor="t", reason="h", deletions=sent.deletions)


def check(before: list[Sent], after: list[Sent], vacuum: bool) -> None:
    """Keep two stores, of which one is compacted in between, and compare all that can be asked."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        pair = []
        for folder in (first, second):
            state = State.open(Path(folder) / "room.db")
            pair.append(
                (state, Store(folder, [SPEC], state, threads=1, clock=lambda: datetime(2021, 1, 1, tzinfo=UTC)))
            )
        plain, packed = (store for _, store in pair)
        for sent in before:
            for _, store in pair:
                deliver(store, sent)
        versions = [d.version for d in packed.deliveries("readings")]
        answers = {v: views(packed.pinned({"readings": v})) for v in versions}
        vintages = plain.vintages("readings").num_rows
        done = compact(packed, "readings", vacuum=vacuum)
        assert done.after <= max(done.before, 2)
        assert views(packed) == views(plain)
        assert packed.vintages("readings").num_rows == vintages
        assert {v: views(packed.pinned({"readings": v})) for v in versions} == answers
        assert packed.last_delivery("readings") == plain.last_delivery("readings")
        columns = ["key", "period", "value"]
        for number in range(packed.last_delivery("readings") + 1):
            for moment in MOMENTS:
                asked = {"after": moment, "until": MOMENTS[-1], "delivery": number}
                one, other = (s.changes("readings", columns, **asked) for s in (plain, packed))
                assert (one is None) == (other is None)
                if one is not None and other is not None:  # of one moment and delivery the order is free
                    assert sorted(map(str, one.to_pylist())) == sorted(map(str, other.to_pylist()))
        for sent in after:
            deliver(plain, sent)
            with mock.patch.object(diff, "MANY", 0):  # as of a large delivery, repetitions are set aside first
                deliver(packed, sent)
        assert views(packed) == views(plain)
        compact(packed, "readings", vacuum=True)
        assert views(packed) == views(plain)
        assert not packed.delta("readings").orphans()
        for state, store in pair:
            store.close()
            state.close()


histories = st.lists(deliveries, min_size=1, max_size=5)


@given(histories, st.lists(deliveries, max_size=3), st.booleans())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_compaction_changes_no_answer(before: list[Sent], after: list[Sent], vacuum: bool) -> None:
    check(before, after, vacuum)


@pytest.mark.long
@given(st.lists(deliveries, min_size=3, max_size=9), st.lists(deliveries, max_size=6), st.booleans())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_compaction_changes_no_answer_at_length(before: list[Sent], after: list[Sent], vacuum: bool) -> None:
    check(before, after, vacuum)
