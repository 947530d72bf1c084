"""Counts by delay that few contributors make up do not enter what is expected: only sums that satisfy the rule do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.measure.delays import ReportingTriangle, nowcast_delays, reporting_triangle
from opsroom.measure.delays.publish import confidential_delay_cells
from opsroom.measure.delays.split import safe_split
from opsroom.measure.delays.standing import moving_records, standing_records
from opsroom.protect.rules import Rules

RULES = Rules(min_contributors=3, dominance=((2, 85.0),))
MONTHS = 9


def reports(delays: dict[tuple[str, int], list[int]], *, companies: int = 60) -> pd.DataFrame:
    """Return reports of sectors and months: of each the delay of every company's, in order of the companies."""
    rows = [
        (code, month, f"{code}{k % companies}", delay)
        for (code, month), late in delays.items() for k, delay in enumerate(late)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["sector", "month", "group", "delay"])
    begin = pd.period_range("2019-12", periods=20, freq="M").start_time.to_numpy()
    table["period"] = begin[table["month"]]
    table["known_at"] = pd.DatetimeIndex(begin[table["month"] + table["delay"]]) + pd.Timedelta(days=11)
    table["record"], table["value"], table["taken_back"] = np.arange(len(table)), 1.0, False
    table = table[table["month"] + table["delay"] < MONTHS]
    return table.sort_values("known_at", kind="stable", ignore_index=True)


def taken_back(table: pd.DataFrame, rows: Any, months: int) -> pd.DataFrame:
    """Return the reports and, of some, tombstones some months later."""
    gone = table.loc[rows].assign(taken_back=True)
    gone["known_at"] += pd.DateOffset(months=months)
    gone = gone[gone["known_at"] < "2020-08-31"]
    return pd.concat([table, gone]).sort_values("known_at", kind="stable", ignore_index=True)


def triangle_of(table: pd.DataFrame, most: int = 1) -> ReportingTriangle:
    return reporting_triangle(
        table, period="period", key="record", by="sector", value="value", deleted="taken_back", frequency="M",
        since="2019-12-01", max_delay=most, as_of="2020-08-31",
    )  # fmt: skip


def split(table: pd.DataFrame, most: int = 1, rules: Rules = RULES) -> tuple[ReportingTriangle, ReportingTriangle, Any]:
    triangle = triangle_of(table, most)
    every = np.ones(triangle.reported.shape, dtype=bool)
    safe, learn = safe_split(triangle, moving_records(table, triangle), every, rules.sensitive)
    return triangle, safe, learn


def months(late: list[int], *, n: int = 60, delay: int = 1) -> list[list[int]]:
    """Return a sector's months, of which some reports are late: other companies' in each."""
    return [[delay if (k - 7 * m) % n < few else 0 for k in range(n)] for m, few in enumerate(late)]


def world(**sectors: list[list[int]]) -> pd.DataFrame:
    return reports({(code, m): row for code, rows in sectors.items() for m, row in enumerate(rows)})


def test_counts_by_delay_of_several_contributors_stay_as_they_are() -> None:
    triangle, safe, learn = split(world(A=months([5, 0, 7, 9, 4, 3, 6, 8, 0])))
    np.testing.assert_array_equal(safe.added, triangle.added)
    assert learn.all()


def test_a_lone_late_report_is_pooled_with_the_sectors_other_ones() -> None:
    """By hand: of months with 1, 2 and 1 late (60, 30 and 30 in all) four late are known, not whose month's."""
    rows = months([5, 1, 6, 2, 7, 1, 8, 9, 0])
    rows[3], rows[5] = rows[3][:30], rows[5][30:]
    triangle, safe, learn = split(world(A=rows))
    pooled = [1, 3, 5]
    np.testing.assert_allclose(safe.added[0, pooled, 1], [2.0, 1.0, 1.0], rtol=1e-9)
    np.testing.assert_allclose(safe.added[0, pooled, 0], [58.0, 29.0, 29.0], rtol=1e-9)
    others = [k for k in range(9) if k not in pooled]
    np.testing.assert_array_equal(safe.added[0, others], triangle.added[0, others])
    assert learn.all()


def test_who_is_late_and_when_changes_nothing_to_the_bit() -> None:
    """Four companies are late in three months that are pooled; others are, two in another month than theirs."""
    rows = months([5, 1, 6, 2, 7, 1, 8, 9, 0])
    moved = [list(row) for row in rows]
    moved[1], moved[3], moved[5] = [0] * 58 + [1] * 2, [0] * 57 + [1] + [0] * 2, [1] + [0] * 59

    def told(table: pd.DataFrame) -> pd.DataFrame:
        triangle = triangle_of(table)
        cells = confidential_delay_cells(
            triangle, "loans", standing_records(table, triangle), moving_records(table, triangle),
            sensitive=RULES.sensitive, draws=40,
        )  # fmt: skip
        assert cells.completed is not None
        return pd.DataFrame(cells.completed(np.ones(len(cells.frame), dtype=bool)))

    one, other = world(A=rows), world(A=moved)
    pd.testing.assert_frame_equal(told(one), told(other), check_exact=True)
    # It is the pooling that makes it so: learnt from the counts as they are, the numbers do move.
    plain = [nowcast_delays(triangle_of(x), draws=40).frame for x in (one, other)]
    assert not plain[0].equals(plain[1])


def test_sectors_too_small_alone_are_one_and_else_go_with_the_next_larger() -> None:
    on_time = [0] * 8
    small = {code: months([k, *on_time], n=20) for code, k in (("K", 1), ("L", 2))}
    large = {"A": months([5, 0, 7, 9, 4, 3, 6, 8, 0]), "B": months([9, 0, 7, 9, 4, 3, 6, 8, 0], n=90)}
    triangle, safe, learn = split(world(**large, **small))
    assert learn.all()
    np.testing.assert_array_equal(safe.added[:2], triangle.added[:2])
    # three late of 320 reports in months that may hold late ones: each month and sector alike
    np.testing.assert_allclose(safe.added[2:, :-1, 1], 3 / 320 * 20, rtol=1e-9)
    # with one late report less, two do not suffice: the next larger sector's 42 of 480 come in, not the largest's
    triangle, safe, learn = split(world(**large, K=small["K"], L=months([1, *on_time], n=20)))
    np.testing.assert_array_equal(safe.added[1], triangle.added[1])
    np.testing.assert_allclose(safe.added[[0, 2, 3], :-1, 1].sum(), 44.0, rtol=1e-9)
    np.testing.assert_allclose(safe.added[2, 0, 1], 44 / 800 * 20, rtol=1e-9)
    assert learn.all()


def test_of_a_table_with_one_late_report_nothing_is_learnt_and_nothing_expected() -> None:
    table = world(A=months([0, 1, 0, 0, 0, 0, 0, 0, 0]), B=months([0] * 9))
    _, _, learn = split(table)
    assert not learn.any()
    triangle = triangle_of(table)
    cells = confidential_delay_cells(
        triangle, "loans", standing_records(table, triangle), moving_records(table, triangle),
        sensitive=RULES.sensitive, draws=40,
    )  # fmt: skip
    assert cells.completed is not None
    told = cells.completed(np.ones(len(cells.frame), dtype=bool))
    assert np.isnan(told["expected"][(cells.frame["complete"] == "no").to_numpy()]).all()
    # nobody late is many on time, and says something
    _, _, learn = split(world(A=months([0] * 9)))
    assert learn.all()
    # ... unless a room's rules withhold that nobody is
    _, _, learn = split(world(A=months([0] * 9)), rules=Rules(zero_cells="suppress"))
    assert not learn.any()


def test_late_reports_of_few_delays_each_are_one_sum_of_delays() -> None:
    """Two months late and three: two companies each, so that four are known to be late by more than one month."""
    rows = [[0] * 50 + [1] * 5 for _ in range(9)]
    rows[0] = [3] * 1 + [2] * 2 + [0] * 47 + [1] * 5
    rows[1] = [2] * 2 + [0] * 48 + [1] * 5
    triangle, safe, learn = split(world(A=rows), most=3)
    np.testing.assert_allclose(safe.added[0, 0, 2] / safe.added[0, 0, 3], safe.added[0, 1, 2] / safe.added[0, 1, 3])
    np.testing.assert_allclose(safe.added[0, :2, 2:].sum(), 5.0, rtol=1e-9)
    np.testing.assert_allclose(safe.added[0, :2, 1].sum(), 10.0, rtol=1e-9)
    np.testing.assert_array_equal(safe.added[0, 2:6], triangle.added[0, 2:6])
    assert learn.all()


def test_removals_are_pooled_alike_or_left_out_with_what_they_took() -> None:
    table = world(A=months([5, 4, 7, 9, 4, 3, 6, 8, 0]))
    day = table["known_at"].dt.strftime("%Y-%m")
    few = table.index[(table["delay"] == 0) & (day == "2019-12")][:2]  # two in the first month
    triangle, safe, _ = split(taken_back(table, few, 1))
    assert triangle.removed[0, 0, 1] == 2
    assert np.nanmax(safe.removed) == 0
    np.testing.assert_allclose(safe.net[0, 0].sum(), 58.0)
    begin = ["2019-12", "2020-01", "2020-02"]
    many = [
        table.index[(table["delay"] == 0) & (day == m) & (table["group"] == f"A{40 + k}")][0]
        for k, m in enumerate(begin)
    ]
    triangle, safe, _ = split(taken_back(table, many, 1))
    assert triangle.removed[0, :3, 1].tolist() == [1, 1, 1]
    np.testing.assert_allclose(safe.removed[0, :3, 1].sum(), 3.0)
    np.testing.assert_allclose(np.nansum(safe.net, axis=2), triangle.reported)


def exchanged(table: pd.DataFrame, stood: Any, learn: Any) -> pd.DataFrame | None:
    """Let a late and an early report of one company and sector, in pooled months, change places; None: no such."""
    code = {"A": 0, "B": 1}
    live = table[~table["record"].isin(table.loc[table["taken_back"], "record"])]
    pairs = live.merge(live, on=["sector", "group"], suffixes=("", "_b"))
    pairs = pairs[(pairs["delay"] == 1) & (pairs["delay_b"] == 0) & (pairs["month"] != pairs["month_b"])]
    pooled = ~stood & learn
    rows = pairs["sector"].map(code).to_numpy(dtype=int)
    pairs = pairs[pooled[rows, pairs["month"]] & pooled[rows, pairs["month_b"]]]
    if pairs.empty:
        return None
    other = table.copy()
    for record, later in ((pairs.iloc[0]["record"], -1), (pairs.iloc[0]["record_b"], 1)):
        other.loc[other["record"] == record, "known_at"] += pd.DateOffset(months=later)
    return other.sort_values("known_at", kind="stable", ignore_index=True)


def test_nothing_finer_than_sums_of_several_contributors_enters() -> None:
    """Two reports of a company that are told by no sum change places in time: not a bit of the split moves."""
    changed = 0
    for seed in range(14):
        rng = np.random.default_rng(seed)
        cells = {
            (code, m): rng.choice(4, int(rng.integers(6, 20)), p=[0.8, 0.12, 0.05, 0.03]).tolist()
            for code, m in itertools.product("AB", range(6))
        }
        rules, most = Rules(min_contributors=2 + seed % 3, dominance=((2, 90.0),)), 1 + seed % 3
        table = reports(cells, companies=7)
        if seed % 2:
            table = taken_back(table, rng.choice(len(table), 5, replace=False), 1)
        triangle, safe, learn = split(table, most, rules)
        # what was told of each period is told still, and nothing is less than nothing
        np.testing.assert_allclose(np.nansum(safe.net, axis=2)[learn], triangle.reported[learn], atol=1e-9)
        assert min(np.nanmin(safe.added), np.nanmin(safe.removed)) >= 0
        stood = np.isclose(safe.added, triangle.added, equal_nan=True).all(axis=2)
        other = exchanged(table, stood, learn)
        if other is None:
            continue
        now, same, _ = split(other, most, rules)
        pooled = ~np.isclose(same.added, now.added, equal_nan=True).all(axis=2)
        if (pooled != ~stood).any() or now.reported.tolist() != triangle.reported.tolist():
            continue  # another world, not the same one told otherwise
        assert not np.array_equal(now.added, triangle.added, equal_nan=True)
        np.testing.assert_array_equal(same.added, safe.added)
        np.testing.assert_array_equal(same.removed, safe.removed)
        changed += 1
    assert changed >= 4


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_expected_still_holds_what_came(seed: int) -> None:
    """Sectors of thirty reports a month, few of them late: much is pooled, and the truth is held."""
    rng = np.random.default_rng(seed)
    cells = {(f"S{k}", m): (rng.random(30) < 0.07).astype(int).tolist() for k in range(12) for m in range(MONTHS)}
    table = reports(cells)
    triangle, safe, learn = split(table)
    assert (safe.added != triangle.added)[~np.isnan(safe.added)].mean() > 0.4
    frame = nowcast_delays(triangle, draws=200, learn=learn, learn_from=safe).frame
    newest = frame.xs(triangle.periods[-1], level="period").drop("_T")
    assert (newest["lower"].le(30) & newest["upper"].ge(30)).mean() >= 0.8
    assert abs(newest["mean"].sum() / 360 - 1) < 0.02
