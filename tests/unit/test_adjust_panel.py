"""Many companies at once: customers followed through meters, normals, cells with intervals, released by the gate."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.base.state import State
from opsroom.measure.adjust import Ground, Rollup, Steps, adjust_panel, follow_customers, readings_file, roll_up
from opsroom.measure.adjust.readings_file import ReadingsFile, new_rows, write_rows
from opsroom.measure.adjust.rollup import sum_weeks
from opsroom.protect.gate import release
from opsroom.protect.ledger import Ledger
from opsroom.protect.rules import Rules

DATES = pd.date_range("2018-01-01", "2020-06-28", name="date")
TRAIN = [("2018-01-01", "2020-02-16")]
SHOCK = np.asarray(DATES >= "2020-03-16")
N = 240


def _use(seed: int = 0, drop: float = 0.2) -> tuple[np.ndarray, pd.Series]:
    """Return use by company and day, and the temperature; every second company falls."""
    rng = np.random.default_rng(seed)
    doy, weekday = DATES.day_of_year.to_numpy(), DATES.day_of_week.to_numpy()
    degrees = 11 - 10 * np.cos(2 * np.pi * (doy - 20) / 365.25) + rng.normal(0, 3, len(DATES))
    base, heat = rng.uniform(0.2, 0.9, (N, 1)), rng.uniform(0, 0.04, (N, 1))
    shape = np.where(weekday >= 5, base, 1) * (1 + heat * np.logaddexp(0, (12 - degrees) / 2))
    fall = 1 - drop * SHOCK[None, :] * (np.arange(N) % 2 == 0)[:, None]
    use = rng.lognormal(10, 1, (N, 1)) * shape * fall * np.exp(rng.normal(0, 0.1, (N, len(DATES))))
    return use, pd.Series(degrees, index=DATES)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.of(DATES, train=TRAIN, country="DE", temperature={"": _use()[1]})


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    codes = np.arange(N)
    return pd.DataFrame(
        {
            "half": np.where(codes % 2 == 0, "even", "odd"),
            "third": [f"t{k % 3}" for k in codes],
            "group": codes // 2 * 2,
        }
    )


@pytest.fixture(scope="module")
def made(ground: Ground, units: pd.DataFrame) -> Rollup:
    readings = np.rint(_use()[0]).astype(np.int64)
    readings[np.random.default_rng(1).random(readings.shape) < 0.02] = -1
    return roll_up(readings, ground, units, dimensions=("half", "third"), group="group", chunk=100)


def test_the_fall_of_each_cell_is_found_and_lies_in_its_interval(made: Rollup) -> None:
    weeks = made.to_frame(["half"]).loc[pd.IndexSlice[:, "2020-W13":], :]
    for half, truth in (("even", -20), ("odd", 0)):
        assert weeks.loc[half]["gap"].mean() == pytest.approx(truth, abs=1)
    cells = made.to_frame(["half", "third"]).reset_index()
    cells = cells[cells["week"] >= "2020-W13"]
    truths = np.where(cells["half"] == "even", -20, 0)
    assert 0.8 <= ((cells["lower"] <= truths) & (truths <= cells["upper"])).mean() <= 0.99
    together = made.to_frame()
    assert (together["upper"] - together["lower"]).loc["2020-W20"] < 6


def test_chunks_and_threads_do_not_matter(ground: Ground) -> None:
    readings = np.rint(_use()[0]).astype(np.int64)
    one, other = adjust_panel(readings, ground), adjust_panel(readings, ground, chunk=37, workers=2)
    at = np.array([0, 36, 37, N - 1])
    np.testing.assert_allclose(one.expected(at), other.expected(at), rtol=2e-3)
    assert one.quantile == pytest.approx(other.quantile, rel=0.02)


def test_sums_are_those_of_the_days_that_are_known(ground: Ground) -> None:
    """Against a plain loop over companies, weeks and days."""
    readings = np.rint(_use()[0][:5]).astype(np.int64)
    readings[0, 10:20] = -1
    readings[3] = -1
    normal = adjust_panel(readings, ground)
    sums = sum_weeks(readings, normal, chunk=2)
    expected = normal.expected(np.arange(5))
    assert not normal.fitted[3]
    for k, week in enumerate(sums.periods):
        year, number = week.split("-W")
        at = np.asarray((DATES.isocalendar()["year"] == int(year)) & (DATES.isocalendar()["week"] == int(number)))
        assert at.sum() == 7
        for row in (0, 1, 2, 4):
            days = [d for d in np.flatnonzero(at) if readings[row, d] >= 0]
            assert sums.observed[row, k] == sum(int(readings[row, d]) for d in days)
            assert sums.expected[row, k] == pytest.approx(sum(float(expected[row, d]) for d in days), abs=1)
    assert (sums.observed[3] == 0).all()
    assert (sums.expected[3] == 0).all()


def test_a_companys_own_interval_covers(made: Rollup) -> None:
    """Odd companies did not fall: of their days after training, nine in ten lie in the interval."""
    readings = np.rint(_use()[0]).astype(np.int64)
    inside = []
    for row in range(1, N, 8):
        frame = made.normal.to_frame(readings, row).loc["2020-03-01":].dropna()
        inside.append(((frame["lower"] <= 0) & (frame["upper"] >= 0)).mean())
    assert 0.84 <= float(np.mean(inside)) <= 0.95


def test_what_comes_after_the_normal_days_does_not_move_the_normal(ground: Ground) -> None:
    readings = np.rint(_use()[0][:40]).astype(np.int64)
    poisoned = readings.copy()
    poisoned[:, ~ground.train] = 7
    clean, other = adjust_panel(readings, ground), adjust_panel(poisoned, ground)
    np.testing.assert_array_equal(clean.coef, other.coef)
    np.testing.assert_array_equal(clean.level, other.level)
    assert clean.quantile == other.quantile


def test_another_meter_that_registers_less_is_no_fall(ground: Ground) -> None:
    """A step of 10 % on a known day is taken out, though it is too small to be looked for."""
    use, _ = _use(drop=0)
    readings = np.rint(use[:30]).astype(np.int64)
    changed = np.flatnonzero(DATES == "2019-10-01")[0]
    readings[:, changed:] = np.rint(readings[:, changed:] * 0.9).astype(np.int64)
    known = Steps(np.arange(30), np.full(30, changed), np.zeros(30))
    normal = adjust_panel(readings, ground, known_steps=known)
    np.testing.assert_allclose(np.median(normal.steps.size), np.log(0.9), atol=0.02)
    after = np.asarray(DATES > "2020-03-01")
    ratio = readings[:, after].sum() / normal.expected(np.arange(30))[:, after].sum()
    assert ratio == pytest.approx(1, abs=0.015)
    before = np.asarray(DATES < "2019-09-01")
    assert readings[:, before].sum() / normal.expected(np.arange(30))[:, before].sum() == pytest.approx(1, abs=0.015)
    blind = adjust_panel(readings, ground)
    assert readings[:, after].sum() / blind.expected(np.arange(30))[:, after].sum() < 0.97


def test_the_gate_judges_the_cells_by_group(made: Rollup, tmp_path) -> None:
    cells = made.cells("industry", since="2020-W10")
    assert {m.kind for m in cells.measures} == {"ratio"}
    state = State.open(tmp_path / "room.db")
    rules = Rules(min_contributors=3, dominance=((2, 85.0),), profile="business")
    out = release(
        cells, rules=rules, as_of=dt.datetime(2020, 7, 1, tzinfo=dt.UTC), day=dt.date(2020, 7, 1), ledger=Ledger(state)
    )
    few = replace(cells, frame=cells.frame.assign(observed__groups=2, expected__groups=2))
    with pytest.raises(Exception, match="OPS-P004"):
        release(
            few,
            rules=rules,
            as_of=dt.datetime(2020, 7, 1, tzinfo=dt.UTC),
            day=dt.date(2020, 7, 2),
            ledger=Ledger(state),
        )
    state.close()
    columns = ["week", "half", "third", "gap", "gap_lower", "gap_upper"]
    shown = pd.DataFrame(out.rows, columns=out.columns)[columns]
    even = shown[(shown["half"] == "even") & (shown["third"] == "_T") & (shown["week"] >= "2020-W13")]
    assert even["gap"].mean() == pytest.approx(-20, abs=1)
    assert (even["gap_lower"] < even["gap"]).all()


def test_too_little_is_refused(ground: Ground) -> None:
    readings = np.full((3, len(DATES)), -1)
    with pytest.raises(FitError, match="OPS-M018"):
        adjust_panel(readings, ground)
    with pytest.raises(UsageError, match="do not fit"):
        adjust_panel(readings[:, 1:], ground)
    with pytest.raises(UsageError, match="out of range"):
        adjust_panel(readings, ground, region=np.array([0, 1, 0]))
    with pytest.raises(FitError, match="OPS-M017"):
        Ground.of(DATES, train=[("2018-01-01", "2018-02-01")])


# -- customers ---------------------------------------------------------------------------------------------------------


def _rows(rows: list[tuple[int, str, int]]) -> pa.Table:
    meter, day, value = zip(*rows, strict=True)
    days = pa.array([dt.date.fromisoformat(d) for d in day], pa.date32())
    return pa.table({"meter_id": pa.array(meter, pa.int64()), "date": days, "wh": pa.array(value, pa.int64())})


LINKS = pd.DataFrame(
    [
        (10, 1, "2020-01-01", "2020-01-03"), (11, 1, "2020-01-04", None), (12, 1, "2020-01-02", "2020-01-02"),
        (20, 2, "2019-01-01", "2020-01-02"), (20, 3, "2020-01-03", None),
    ],
    columns=["meter_id", "customer_id", "valid_from", "valid_to"],
)  # fmt: skip


def test_customers_are_followed_through_their_meters() -> None:
    readings = _rows(
        [
            (10, "2020-01-01", 5), (10, "2020-01-02", 6), (12, "2020-01-02", 100), (10, "2020-01-04", 999),
            (11, "2020-01-04", 7), (20, "2020-01-01", 1), (20, "2020-01-02", 2), (20, "2020-01-03", 3),
            (20, "2019-12-31", 50), (77, "2020-01-01", 88),
        ]
    )  # fmt: skip
    found = follow_customers(readings, LINKS, start="2020-01-01", end="2020-01-05")
    assert found.ids.tolist() == [1, 2, 3]
    assert found.readings.tolist() == [[5, 106, -1, 7, -1], [1, 2, -1, -1, -1], [-1, -1, 3, -1, -1]]
    assert list(zip(found.changes.series.tolist(), found.changes.day.tolist(), strict=True)) == [(0, 1), (0, 3)]
    shuffled = readings.take(pa.array(np.random.default_rng(0).permutation(readings.num_rows)))
    again = follow_customers(iter(shuffled.to_batches(max_chunksize=3)), LINKS, start="2020-01-01", end="2020-01-05")
    np.testing.assert_array_equal(again.readings, found.readings)


@pytest.mark.parametrize("cells", [1, 100, 1 << 20])
def test_readings_in_a_file_are_those_in_memory(tmp_path: Path, cells: int) -> None:
    """Rows in any order, blocks of one customer, of a few, of all; and what is taken out as of an array."""
    draw = np.random.default_rng(5)
    table = pa.table(
        {"meter_id": np.repeat(np.arange(40), 30), "wh": draw.integers(0, 99, 1200),
         "date": pa.array(np.tile(np.datetime64("2020-01-01", "D") + np.arange(30), 40))}
    )  # fmt: skip
    table = table.take(pa.array(draw.permutation(1200)[:1150]))
    links = pd.DataFrame(
        {"meter_id": np.arange(40), "customer_id": np.arange(40) % 31, "valid_from": "2019-01-01", "valid_to": None}
    )
    held = follow_customers(table, links, start="2020-01-03", end="2020-02-03").readings
    made = follow_customers(table, links, start="2020-01-03", end="2020-02-03", folder=tmp_path, cells=cells).readings
    assert isinstance(made, ReadingsFile)
    assert [p.suffix for p in tmp_path.iterdir()] == [".readings"]  # what it was sorted with is gone
    assert (made.shape, made.ndim, made.dtype, len(made)) == (held.shape, 2, held.dtype, 31)
    rows = [slice(None), slice(3, 4), np.array([0, 1, 2, 30, 7, 8]), np.array([], dtype=np.int64), np.array([30])]
    for wanted in rows:
        np.testing.assert_array_equal(made[wanted], held[wanted])
    again = pa.concat_tables([table, table.slice(0, 1)])
    with pytest.raises(UsageError, match="OPS-U022"):
        follow_customers(again, links, start="2020-01-01", end="2020-02-03", folder=tmp_path, cells=cells)
    assert len(list(tmp_path.iterdir())) == 1


def _blocks_of_one(folder: Path) -> Any:
    """Readings and links of which every customer is a block of the spool."""
    table = pa.table(
        {"meter_id": np.repeat(np.arange(200), 5), "wh": np.arange(1000),
         "date": pa.array(np.tile(np.datetime64("2020-01-01", "D") + np.arange(5), 200))}
    )  # fmt: skip
    links = pd.DataFrame(
        {"meter_id": np.arange(200), "customer_id": np.arange(200), "valid_from": "2019-01-01", "valid_to": None}
    )
    return lambda batches: follow_customers(
        batches(table), links, start="2020-01-01", end="2020-01-05", folder=folder, cells=1
    )


def test_few_files_are_open_however_many_blocks_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings_file, "HELD", 300)  # in several goes
    open_files = []

    def counted(table: pa.Table) -> Iterator[pa.RecordBatch]:
        for batch in table.to_batches(max_chunksize=90):
            open_files.append(len(list(Path("/dev/fd").iterdir())))
            yield batch

    before = len(list(Path("/dev/fd").iterdir()))
    made = _blocks_of_one(tmp_path)(counted).readings
    assert made[slice(None)].tolist() == np.arange(1000).reshape(200, 5).tolist()
    assert max(open_files) - before <= readings_file.FILES + 1
    assert len(list(Path("/dev/fd").iterdir())) == before


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from opsroom.measure.adjust.readings_file import Spool, new_rows
folder = Path(sys.argv[2])
spool = Spool(folder, 3)
spool.add(np.zeros(9, np.int64), np.arange(9, dtype=np.int32), np.arange(9))
spool._write()
def blocks():
    yield np.arange(2000).reshape(1000, 2)
    os.kill(os.getpid(), signal.SIGKILL)
new_rows(folder, blocks(), 2)
"""


def test_of_a_killed_process_nothing_stays_and_of_a_living_one_all(tmp_path: Path) -> None:
    source = str(Path(readings_file.__file__).parents[4])
    done = subprocess.run([sys.executable, "-c", KILLED, source, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.name.endswith(".readings.part") for p in tmp_path.iterdir()] == [True]  # and of the spool nothing
    finished = write_rows(tmp_path / "whole.readings", [np.ones((1, 2), dtype=np.int64)], 2)
    inner: list[ReadingsFile] = []

    def blocks() -> Iterator[Any]:
        inner.append(new_rows(tmp_path, [np.full((1, 2), 7)], 2))  # another one begins while this one is written
        yield np.full((1, 2), 5)

    outer = new_rows(tmp_path, blocks(), 2)
    assert [f[slice(None)].tolist() for f in (finished, inner[0], outer)] == [[[1, 1]], [[7, 7]], [[5, 5]]]
    assert {p.suffix for p in tmp_path.iterdir()} == {".readings"}
    assert len(list(tmp_path.iterdir())) == 3


def test_readings_cut_short_are_refused(tmp_path: Path) -> None:
    made = write_rows(tmp_path / "all.readings", [np.arange(6).reshape(3, 2)], 2)
    made.path.write_bytes(made.path.read_bytes()[:-1])
    assert made[np.array([0, 1])].tolist() == [[0, 1], [2, 3]]
    with pytest.raises(UsageError, match="shorter"):
        made[np.array([2])]


def test_cells_of_a_file_are_those_of_an_array(ground: Ground, units: pd.DataFrame, tmp_path: Path) -> None:
    readings = np.rint(_use()[0]).astype(np.int64)
    readings[np.random.default_rng(1).random(readings.shape) < 0.02] = -1
    filed = write_rows(tmp_path / "all.readings", [readings[:99], readings[99:]], readings.shape[1])
    one, other = (
        roll_up(given, ground, units, dimensions=("half",), group="group", chunk=64) for given in (readings, filed)
    )
    pd.testing.assert_frame_equal(one.to_frame(["half"]), other.to_frame(["half"]), check_exact=True)


def test_two_readings_of_one_day_and_two_owners_are_refused() -> None:
    with pytest.raises(UsageError, match="OPS-U022"):
        follow_customers(
            _rows([(10, "2020-01-01", 5), (10, "2020-01-01", 5)]), LINKS, start="2020-01-01", end="2020-01-05"
        )
    both = pd.concat([LINKS, LINKS.iloc[[3]].assign(customer_id=9)])
    with pytest.raises(UsageError, match="OPS-U021"):
        follow_customers(_rows([(10, "2020-01-01", 5)]), both, start="2020-01-01", end="2020-01-05")


def test_a_customer_filed_under_another_class_is_no_fall(ground: Ground) -> None:
    """Profiled customers get smart meters month by month: the class by label collapses, the customers do not."""
    use, _ = _use(drop=0)
    readings = np.rint(use[:100]).astype(np.int64)
    moved = np.random.default_rng(3).integers(500, len(DATES), 100)
    on = np.arange(len(DATES))
    days = DATES.to_numpy().astype("datetime64[D]")
    second = on[None, :] >= moved[:, None]
    table = pa.table(
        {
            "meter_id": (np.arange(100)[:, None] * 2 + second).ravel(),
            "date": pa.array(np.broadcast_to(days, second.shape).ravel()),
            "wh": readings.ravel(),
        }
    )
    ids = np.arange(100)
    switch = DATES[moved]
    links = pd.concat(
        [
            pd.DataFrame(
                {
                    "meter_id": ids * 2,
                    "customer_id": ids,
                    "valid_from": DATES[0],
                    "valid_to": switch - pd.Timedelta(days=1),
                }
            ),
            pd.DataFrame({"meter_id": ids * 2 + 1, "customer_id": ids, "valid_from": switch, "valid_to": pd.NaT}),
        ]
    )
    classes = pd.concat(
        [
            pd.DataFrame({"customer_id": ids, "class": "profiled", "valid_from": DATES[0]}),
            pd.DataFrame({"customer_id": ids, "class": "metered", "valid_from": switch}),
        ]
    )
    followed = follow_customers(table, links, start=DATES[0], end=DATES[-1])
    np.testing.assert_array_equal(followed.readings, readings)
    code = followed.codes(classes, "class", on="2018-06-30")
    assert set(code) == {"profiled"}
    assert set(followed.codes(classes, "class", on="2030-01-01")) == {"metered"}
    by_label = np.where(~second, readings, 0).sum(axis=0)
    assert by_label[-30:].mean() < 0.2 * by_label[:400].mean()
    units = pd.DataFrame({"class": code, "group": ids})
    made = roll_up(followed.readings, ground, units, dimensions=("class",), group="group", known_steps=followed.changes)
    gap = made.to_frame(["class"]).loc["profiled"].loc["2020-W10":, "gap"]
    assert gap.abs().max() < 3


@pytest.mark.long
def test_intervals_of_cells_cover_over_seeds(units: pd.DataFrame) -> None:
    """Measured over ten seeds: 90 %."""
    inside = []
    for seed in range(10):
        use, degrees = _use(seed)
        place = Ground.of(DATES, train=TRAIN, country="DE", temperature={"": degrees})
        whole = np.rint(use).astype(np.int64)
        cells = roll_up(whole, place, units, dimensions=("half", "third"), group="group")
        frame = cells.to_frame(["half", "third"]).reset_index()
        frame = frame[frame["week"] >= "2020-W13"]
        truth = np.where(frame["half"] == "even", -20, 0)
        inside.append(((frame["lower"] <= truth) & (truth <= frame["upper"])).mean())
    assert 0.86 <= float(np.mean(inside)) <= 0.94
