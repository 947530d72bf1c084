"""Vintages replayed: each round is what a plain look at the vintages of its moment gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.warn.as_known import STILL_ALIVE, rounds


def drawn(seed: int, *, areas: int = 3, quarters: int = 14) -> pd.DataFrame:
    """Draw vintages: areas late by different days, some figures revised, one withdrawn, one area that ends."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(areas):
        end = quarters - 5 if k == areas - 1 and seed % 2 else quarters
        for q in range(end):
            first = pd.Timestamp("2015-01-01") + pd.Timedelta(days=91 * (q + 1) + int(rng.integers(20, 50)))
            for extra in range(1 + int(rng.integers(0, 3))):
                value = float(rng.normal(100, 5))
                rows.append((f"A{k}", pd.Period("2015Q1") + q, first + pd.Timedelta(days=60 * extra), value))
    rows.append(("A0", pd.Period("2015Q3"), pd.Timestamp("2016-12-24"), np.nan))
    return pd.DataFrame(rows, columns=["area", "period", "known_at", "value"]).sample(frac=1, random_state=seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_round_is_what_was_known_at_its_moment(seed: int) -> None:
    tables = [drawn(seed), drawn(seed + 100)]
    found = rounds(tables)
    rows = [sorted(table.itertuples(index=False), key=lambda r: r.known_at) for table in tables]
    done: list[pd.Period] = []
    for moment in sorted({r.known_at for own in rows for r in own}):
        # the last word on each area and period, read off the vintages in order of arrival
        known = [{(r.area, r.period): r.value for r in own if r.known_at <= moment} for own in rows]
        both = [k for k, v in known[0].items() if np.isfinite(v) and np.isfinite(known[1].get(k, np.nan))]
        last = {a: max((p for area, p in both if area == a), default=found.periods[0] - 1) for a in found.areas}
        alive = [p for p in last.values() if (max(last.values()) - p).n <= STILL_ALIVE]
        if min(alive) < found.periods[0] or (done and min(alive) <= done[-1]):
            continue
        done.append(min(alive))
        one = found.rounds[len(done) - 1]
        assert (one.period, one.known_at) == (done[-1], moment)
        columns = pd.period_range(found.periods[0], one.period, freq="Q")
        for values, mine in zip(known, one.tables, strict=True):
            plain = [[values.get((a, p), np.nan) for p in columns] for a in found.areas]
            np.testing.assert_array_equal(mine, np.array(plain))
    assert len(done) == len(found.rounds) >= 8


def test_later_vintages_change_no_earlier_round() -> None:
    table = drawn(3)
    cut = pd.Timestamp("2017-01-01")
    whole, early = rounds([table]).rounds, rounds([table[table["known_at"] <= cut]]).rounds
    assert [r.period for r in early] == [r.period for r in whole if r.known_at <= cut]
    for a, b in zip(early, whole, strict=False):
        np.testing.assert_array_equal(a.tables[0], b.tables[0])


def test_what_comes_at_once_is_one_round_and_months_are_months() -> None:
    table = pd.DataFrame({"area": "A", "period": pd.period_range("2019-01", periods=5, freq="M"), "value": 1.0})
    found = rounds([table.assign(known_at=pd.Timestamp("2020-01-01"))], freq="M")
    assert [(r.period, r.tables[0].shape) for r in found.rounds] == [(pd.Period("2019-05", "M"), (1, 5))]


def test_wrong_tables_are_told() -> None:
    table = drawn(0)
    with pytest.raises(UsageError, match="known_at"):
        rounds([table.drop(columns="known_at")])
    with pytest.raises(UsageError, match="no area"):
        rounds([table, table.assign(area="elsewhere")])
    with pytest.raises(UsageError, match="two values"):
        rounds([pd.concat([table, table])])
