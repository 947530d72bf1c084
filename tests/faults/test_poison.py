"""As-of is honest: rows known later change no figure of an earlier day by one bit."""

import datetime as dt
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.room import Room

DAY = dt.date(2020, 2, 19)
LATER = dt.datetime(2020, 3, 12, 8, tzinfo=dt.UTC)


def fingerprint(room: Room, day: dt.date) -> dict[str, str]:
    """Every cell of every desk, as bytes."""
    found = {}
    for name, outcome in room.picture(day).desks.items():
        for cells in outcome.cells:
            table = pa.Table.from_pandas(cells.frame.astype(object).map(repr), preserve_index=False)
            digest = hashlib.sha256(repr(table.to_pydict()).encode() + repr(sorted(cells.facts.items())).encode())
            found[f"{name}/{cells.name}"] = digest.hexdigest()
    return found


def poison(table: pa.Table, spec) -> pa.Table:
    """The same keys with other values in every field that may take another one."""
    columns = {}
    for field in spec.fields:
        column = table[field.name]
        if field.name in spec.key or field.name == spec.known_at_field or field.name == spec.period:
            columns[field.name] = column
        elif column.type in (pa.string(), pa.date32()):
            # another row's code or day: one that the field may take
            columns[field.name] = column.take(pa.array((np.arange(len(column)) + 1) % max(len(column), 1)))
        elif pa.types.is_boolean(column.type):
            columns[field.name] = pc.invert(column)
        elif pa.types.is_integer(column.type) and field.name not in ("group_id", "enterprise_id", "lender_id"):
            top = field.max if field.max is not None else 2**40
            columns[field.name] = pc.min_element_wise(pc.add(column, 7), pa.scalar(int(top), pa.int64()))
        elif pa.types.is_floating(column.type):
            columns[field.name] = pc.multiply(column, 1.5)
        else:
            columns[field.name] = column
    return pa.table(columns)


def test_what_is_known_later_changes_nothing_earlier(own_room):
    with Room.open(own_room, actor="test") as room:
        before = fingerprint(room, DAY)
        poisoned = 0
        for name in sorted(room.store.specs):
            spec = room.store.spec(name)
            if spec.known_at_field:
                continue  # its rows bring their own knowledge time: poisoned below
            names = [field.name for field in spec.fields]
            rows = room.store.arrow(name, LATER, columns=names)
            if name == "meters":
                rows = rows.filter(pc.greater_equal(rows["date"], pa.scalar(dt.date(2020, 1, 20))))
            if rows.num_rows:
                poisoned += room.ingest(name, poison(rows, spec), LATER).accepted
        for name in ("macro_q", "macro_m", "load_d"):
            spec = room.store.spec(name)
            names = [f.name for f in spec.fields if f.name != spec.known_at_field]
            rows = poison(room.store.arrow(name, LATER, columns=names), spec_without(spec, names))
            stamp = pa.array([LATER.date()] * rows.num_rows, pa.date32())
            poisoned += room.ingest(name, rows.append_column(spec.known_at_field, stamp), LATER).accepted
        assert poisoned > 10_000

    with Room.open(own_room, actor="test") as room:
        assert before == fingerprint(room, DAY)
        assert len(before) >= 8
        # the poison works: the same figures as of a day after it differ
        after = fingerprint(room, LATER.date())
        unmoved = [name for name in before if after.get(name) == before[name]]
        # first releases are vintages themselves: what came later does not change what was said first
        assert set(unmoved) == {"nowcast/scores.nowcast"}
        assert {"contagion/contagion.section", "loans/loans.section"} <= set(before)


def spec_without(spec, names):
    """A stand-in with the fields named only."""
    from types import SimpleNamespace

    fields = [field for field in spec.fields if field.name in names]
    return SimpleNamespace(fields=fields, key=spec.key, known_at_field=None, period=spec.period)
