"""The report on a delivery: what it measures, what raises an alarm, and what the score is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError, NotFoundError, SpecError
from opsroom.base.spec_quality import QualitySpec
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import assess as assessing
from opsroom.observe.assess import WEIGHTS, pattern, score
from opsroom.observe.assessments import QualityReport, reports
from opsroom.observe.ingest import Expected, IngestReport, ingest
from opsroom.observe.measuring import Measuring, benford, kolmogorov, psi
from opsroom.observe.store import Store
from opsroom.room.quality import overdue, quality_reports
from opsroom.room.room import Room

SPEC = DatasetSpec(
    name="sales",
    title="Sales of companies",
    frequency="M",
    period="month",
    key=("id", "month"),
    confidential=True,
    unit="enterprise",
    unit_field="id",
    legal_basis="a test",
    provider="Office of tests",
    ignore_extra=True,
    fields=(
        FieldSpec("id", "integer"),
        FieldSpec("month", "date"),
        FieldSpec("sales", "money", currency="EUR", scale=2),
    ),
)
COMPANIES = 60
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [SPEC], state, threads=1, clock=lambda: datetime(2022, 1, 1, tzinfo=UTC))
    yield store
    store.close()
    state.close()


def month(number: int) -> date:
    return date(2020 + number // 12, number % 12 + 1, 1)


def values(number: int) -> np.ndarray:
    """Steady sales of each company, with a little noise."""
    level = np.round(10 ** np.linspace(3, 6, COMPANIES))
    return np.round(level * np.random.default_rng(number).uniform(0.9, 1.1, COMPANIES)).astype(np.int64)


def table(number: int, change: Change | None = None, keep: int = COMPANIES) -> pa.Table:
    sales = values(number)
    sales = sales if change is None else change(sales)
    return pa.table(
        {
            "id": pa.array(np.arange(keep)),
            "month": pa.array([month(number)] * keep, pa.date32()),
            "sales": pa.array(sales[:keep].astype(np.int64)),
        }
    )


def deliver(store: Store, source: object, number: int, *, days: int = 40, **more: object) -> IngestReport:
    known = datetime.combine(month(number) + timedelta(days=days), datetime.min.time(), UTC)
    return ingest(store, store.spec("sales"), source, known_at=known, actor="test", **more)  # type: ignore[arg-type]  # any option


def history(store: Store, months: int = 5) -> IngestReport:
    for number in range(months):
        last = deliver(store, table(number), number)
    return last


def kinds(report: IngestReport) -> list[str]:
    assert report.quality is not None
    return sorted(a.kind for a in report.quality.alarms)


def words(report: IngestReport, kind: str) -> str:
    assert report.quality is not None
    return next(a.words for a in report.quality.alarms if a.kind == kind)


# -- nothing wrong -----------------------------------------------------------------------------


def test_a_sound_delivery_raises_nothing_and_scores_near_100(store: Store) -> None:
    report = history(store)
    assert kinds(report) == []
    quality = report.quality
    assert quality is not None
    assert quality.score is not None
    assert quality.components["completeness"] == quality.components["validity"] == 1.0
    assert quality.components["timeliness"] == 1.0
    assert quality.score > 95
    assert quality.measures["completeness"] == {
        "series_expected": COMPANIES,
        "periods": 1,
        "expected": COMPANIES,
        "present": COMPANIES,
        "missing_from_newest": 0,
    }
    assert QualityReport.from_dict(json.loads(json.dumps(quality.to_dict()))) == quality
    assert reports(store.state, "sales", delivery=5) == [quality]


def test_what_was_said_of_earlier_days_does_not_change(store: Store) -> None:
    history(store)
    until = datetime.combine(month(2) + timedelta(days=40), datetime.min.time(), UTC)
    assert [r.delivery for r in reports(store.state, "sales", until=until)] == [1, 2, 3]


def test_the_same_file_again_makes_no_second_report(store: Store) -> None:
    history(store, 3)
    assert deliver(store, table(2), 2).already_present
    assert len(reports(store.state, "sales")) == 3


# -- alarms ------------------------------------------------------------------------------------


def test_missing_companies(store: Store) -> None:
    history(store)
    report = deliver(store, table(5, keep=COMPANIES - 6), 5)
    assert kinds(report) == ["series_missing"]
    assert words(report, "series_missing").startswith("6 of 60 series")
    assert report.quality is not None
    assert report.quality.components["completeness"] == pytest.approx(54 / 60)


def test_a_month_left_out_counts_against_completeness(store: Store) -> None:
    history(store)
    report = deliver(store, table(6), 6)
    assert report.quality is not None
    assert report.quality.measures["completeness"]["periods"] == 2
    assert report.quality.components["completeness"] == pytest.approx(0.5)


@pytest.mark.parametrize(("factor", "power"), [(1000, 3), (0.001, -3), (100, 2), (0.01, -2), (10, 1), (1_000_000, 6)])
def test_one_company_in_another_unit(store: Store, factor: float, power: int) -> None:
    def slip(sales: np.ndarray) -> np.ndarray:
        sales[50] = round(sales[50] * factor)
        return sales

    history(store)
    report = deliver(store, table(5, slip), 5)
    assert kinds(report) == ["unit_slip"]
    assert words(report, "unit_slip") == f"sales: series shifted: 1 by 10^{power}."
    assert report.quality is not None
    assert report.quality.measures["fields"]["sales"]["outliers"] == 1


def test_a_whole_file_in_another_unit_is_critical(store: Store) -> None:
    history(store)
    report = deliver(store, table(5, lambda sales: sales * 1000), 5)
    assert kinds(report) == ["unit_slip"]
    assert report.quality is not None
    assert report.quality.score is not None
    assert report.quality.score <= 50
    assert report.quality.alarms[0].severity == "critical"


def test_outliers_are_counted_against_the_move_of_all(store: Store) -> None:
    """All halve (a crisis): no outlier. Six alone fall to a fifth: outliers."""
    history(store)

    def fall(sales: np.ndarray) -> np.ndarray:
        sales = sales / 2
        sales[:6] /= 2.5
        return sales

    report = deliver(store, table(5, fall), 5)
    assert kinds(report) == ["outliers"]
    assert words(report, "outliers").startswith("sales: 6 of 60 series")


def test_frozen_values_are_told_once(store: Store) -> None:
    history(store)
    frozen = values(4)
    found = []
    for number in range(5, 11):
        report = deliver(store, table(number, lambda _: frozen), number)
        found.append("values_frozen" in kinds(report))
    # five periods with one value are those of month 4 to 8
    assert found == [False, False, False, True, False, False]


def test_late_by_habit_and_by_promise(store: Store) -> None:
    history(store)
    report = deliver(store, table(5), 5, days=60)
    assert kinds(report) == ["provider_late"]
    assert "habitual" in words(report, "provider_late")
    assert report.quality is not None
    late = report.quality.measures["timeliness"]["late"]
    assert report.quality.components["timeliness"] == pytest.approx(2 ** (-late / 30), abs=1e-6)
    promised = replace(SPEC, quality=QualitySpec(promised_lag_days=5))
    store.add(promised)
    report = deliver(store, table(6), 6)
    assert words(report, "provider_late") == "10 days after the period's end; promised: 5."


def test_schema_added_moved_and_retyped(store: Store) -> None:
    history(store)
    wide = table(5).append_column("colour", pa.array(["x"] * COMPANIES))
    assert words(deliver(store, wide, 5), "schema_changed") == "added: colour."
    text = table(6).set_column(2, "sales", table(6).column(2).cast(pa.string()))
    assert words(deliver(store, text, 6), "schema_changed") == "left out: colour; other type: sales."
    moved = table(7).select(["month", "sales", "id"])
    text_again = moved.set_column(1, "sales", moved.column(1).cast(pa.string()))
    report = deliver(store, text_again, 7)
    assert words(report, "schema_changed") == "the columns stand in another order."
    assert report.quality is not None
    assert report.quality.alarms[0].severity == "note"


def test_a_file_that_always_came(store: Store, tmp_path: Path) -> None:
    for number in range(4):
        files = []
        for half, name in enumerate(("north", "south")):
            if number == 3 and name == "south":
                continue
            files.append(tmp_path / f"{name}-{month(number):%Y-%m}.csv")
            pacsv.write_csv(table(number).slice(half * 30, 30), files[-1])
        report = deliver(store, files, number)
    assert kinds(report) == ["file_vanished", "series_missing"]
    assert words(report, "file_vanished") == "files of this pattern did not come: south-#-#.csv."
    assert pattern("a2020_01b.csv") == "a#_#b.csv"


def test_series_that_go_backwards_and_files_cut_short(store: Store) -> None:
    for number in range(4):
        whole = pa.concat_tables([table(n) for n in range(number + 1)])
        deliver(store, whole, number)
    shorter = pa.concat_tables([table(n) for n in range(2, 5)])
    report = deliver(store, shorter, 4)
    assert kinds(report) == ["series_shortened"]
    assert "first period" in words(report, "series_shortened")
    backwards = pa.concat_tables([table(n) for n in range(2, 4)])
    assert "last period" in words(deliver(store, backwards, 5), "series_shortened")


def test_far_fewer_rows(store: Store) -> None:
    history(store)
    assert "rows_dropped" in kinds(deliver(store, table(5, keep=20), 5))


@pytest.mark.parametrize(("rows", "cut"), [(65_535, True), (65_536, True), (65_537, False), (65_534, False)])
def test_a_spreadsheets_limit(store: Store, tmp_path: Path, rows: int, cut: bool) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("id,month,sales\n" + "".join(f"{n},2020-01,5\n" for n in range(rows)))
    assert ("row_cut" in kinds(deliver(store, file, 0))) is cut


# -- reconciliation ----------------------------------------------------------------------------


def test_control_totals(store: Store) -> None:
    total = int(values(0).sum())
    for wrong in (Expected(rows=COMPANIES + 1), Expected(sums={"sales": total + 1})):
        with pytest.raises(DataError, match="OPS-D050") as caught:
            deliver(store, table(0), 0, expected=wrong)
        assert str(total) not in str(caught.value)
    assert store.deliveries("sales") == []
    report = deliver(store, table(0), 0, expected=Expected(rows=COMPANIES, sums={"sales": total}))
    assert kinds(report) == []


def test_a_sum_is_not_compared_where_rows_were_refused(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("id,month,sales\n1,2020-01,5\n2,2020-01,x\n")
    report = deliver(store, file, 0, expected=Expected(rows=2, sums={"sales": 12}))
    assert kinds(report) == ["control_total", "rows_refused"]


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from(["1", "2", "x", ""]), st.booleans()),
            min_size=1,
            max_size=12,
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_row_is_accounted_for(deliveries: list[list[tuple[int, int, str, bool]]], snapshot: bool) -> None:
    """Whatever comes (repetitions, contradictions, broken lines, corrections), rows add up at every hop."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        state = State.open(Path(folder) / "room.db")
        spec = replace(SPEC, snapshot=snapshot, max_drop=1.0)
        store = Store(folder, [spec], state, threads=1)
        for number, lines in enumerate(deliveries):
            file = Path(folder) / f"f{number}.csv"
            text = [f"{i},2020-{m + 1:02d},{v}" + (",extra" if broken else "") for i, m, v, broken in lines]
            file.write_text("id,month,sales\n" + "\n".join(text) + "\n")
            report = deliver(store, file, 5 + number)
            if report.already_present:
                continue
            assert "rows_not_reconciled" not in kinds(report)
            assert "report_failed" not in kinds(report)
            assert report.quality is not None
            assert report.quality.measures["rows"]["read"] == len(lines)
        store.close()
        state.close()


def test_rows_lost_on_the_way_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect that drops rows between checking and storing does not pass unseen."""
    from opsroom.observe.staging import Stage

    add = Stage.add
    monkeypatch.setattr(Stage, "add", lambda self, batch: add(self, batch.slice(1)))
    report = deliver(store, table(0), 0)
    assert kinds(report) == ["rows_not_reconciled"]
    assert words(report, "rows_not_reconciled") == "checked and compared: 60 rows against 59."


# -- the report and the delivery ---------------------------------------------------------------


def test_the_delivery_stands_where_the_report_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Measuring) -> None:
        raise duckdb.OutOfMemoryException("7777 is a value")

    monkeypatch.setattr(Measuring, "run", broken)
    report = deliver(store, table(0), 0)
    assert report.accepted == COMPANIES
    assert len(store.deliveries("sales")) == 1
    assert kinds(report) == ["report_failed"]
    assert "7777" not in words(report, "report_failed")
    assert [r.alarms for r in reports(store.state)] == [report.quality.alarms if report.quality else ()]


def test_a_report_that_cannot_be_kept_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from opsroom.base.errors import StoreError

    def full(*_: object) -> None:
        raise StoreError("full", code="OPS-F002")

    monkeypatch.setattr(assessing, "save_report", full)
    assert words(deliver(store, table(0), 0), "report_failed") == "the report could not be kept (OPS-F002)."


def test_the_report_can_be_switched_off_but_not_the_counting(store: Store) -> None:
    store.add(replace(SPEC, quality=QualitySpec(report=False)))
    report = history(store, 2)
    assert report.quality is not None
    assert set(report.quality.measures) == {"partial", "rows", "schema", "arrived"}
    assert report.quality.score == 100.0


def test_settings_of_quality_are_read_written_and_checked() -> None:
    text = SPEC.to_toml()
    assert "[quality]" not in text
    spec = DatasetSpec.from_toml(text.replace("\n[[fields]]", '\n[quality]\nfields = ["sales"]\n\n[[fields]]', 1))
    assert spec.quality == QualitySpec(fields=("sales",))
    assert DatasetSpec.from_toml(spec.to_toml()) == spec
    for wrong in ('fields = ["month"]', "drift = 0", "row_drop = 2", "colour = 1"):
        with pytest.raises(SpecError):
            DatasetSpec.from_toml(text.replace("\n[[fields]]", f"\n[quality]\n{wrong}\n\n[[fields]]", 1))


def test_a_sample_of_the_series_stands_for_all_and_says_so(store: Store) -> None:
    store.add(replace(SPEC, quality=QualitySpec(sample_rows=120)))
    report = history(store)
    assert report.quality is not None
    measures = report.quality.measures
    assert measures["rows"]["read"] == COMPANIES
    assert 0.1 < measures["sample"] < 1
    seen = measures["completeness"]["series_expected"]
    assert 0 < seen < COMPANIES
    assert report.quality.components["completeness"] == 1.0
    assert measures["fields"]["sales"]["compared"] == seen


def test_what_is_usual_raises_no_alarm(store: Store) -> None:
    """A third of the companies always comes a month later: told until it is a habit, and again when it grows."""
    found = []
    for number in range(9):
        keep = 40 if number < 8 else 20
        parts = [table(number, keep=keep)]
        if number:
            parts.append(table(number - 1).slice(40))
        found.append([a.severity for a in _alarms(deliver(store, pa.concat_tables(parts), number), "series_missing")])
    assert found == [[], [], ["note"], ["warning"], [], [], [], [], ["warning"]]


def _alarms(report: IngestReport, kind: str) -> list[assessing.Alarm]:
    assert report.quality is not None
    return [a for a in report.quality.alarms if a.kind == kind]


# -- formulas ----------------------------------------------------------------------------------


def test_score_is_the_weighted_mean_of_what_is_apt() -> None:
    assert score({}, critical=False) is None
    assert score({"completeness": 0.5, "timeliness": 1.0}, critical=False) == pytest.approx(100 * (1.5 + 2) / 5)
    assert score({"validity": 1.0}, critical=True) == 50.0
    assert score(dict.fromkeys(WEIGHTS, 1.0), critical=False) == 100.0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30).filter(
        lambda bins: sum(a for a, _ in bins) > 0 and sum(b for _, b in bins) > 0
    )
)
def test_distances_of_distributions(bins: list[tuple[int, int]]) -> None:
    a, b = (np.array(side, dtype=float) for side in zip(*bins, strict=True))
    brute = max(abs(a[: n + 1].sum() / a.sum() - b[: n + 1].sum() / b.sum()) for n in range(len(a)))
    assert kolmogorov(a, b) == pytest.approx(brute)
    assert kolmogorov(a, b) == pytest.approx(kolmogorov(b, a))
    assert psi(a, b) >= 0
    assert psi(b, b) == pytest.approx(0)


def test_psi_of_ten_equal_classes_is_the_textbook_sum() -> None:
    base = np.full(10, 100.0)
    now = np.array([190.0, 10, 100, 100, 100, 100, 100, 100, 100, 100])
    p, q = (now + 0.5) / 1005, (base + 0.5) / 1005
    assert psi(now, base) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))


def test_benford_is_apt_only_over_decades_and_many_values() -> None:
    draw = np.random.default_rng(1)
    wide = np.round(10 ** draw.uniform(2, 6, 20_000))
    level = np.floor(1000 * np.log10(wide) + 1e-6).astype(int)
    found = benford(level, np.ones(len(level)))
    first = np.array([int(str(int(x))[0]) for x in wide])
    law = np.log10(1 + 1 / np.arange(1, 10))
    brute = np.mean(np.abs(np.bincount(first, minlength=10)[1:] / len(wide) - law))
    assert found == pytest.approx(brute, abs=5e-4)
    assert found is not None
    assert found < 0.006
    assert benford(level[:999], np.ones(999)) is None
    narrow = np.floor(1000 * np.log10(draw.uniform(100, 900, 5_000))).astype(int)
    assert benford(narrow, np.ones(5_000)) is None
    invented = np.floor(1000 * np.log10(draw.integers(1, 10, 20_000) * 10.0 ** draw.integers(0, 5, 20_000)) + 1e-6)
    uniform = benford(invented.astype(int), np.ones(20_000))
    assert uniform == pytest.approx(np.mean(np.abs(1 / 9 - law)), abs=0.01)


# -- what is published -------------------------------------------------------------------------

ROOM = """
schema_version = 1

[room]
title = "Test"
timezone = "UTC"

[publish]
cadence = "on_demand"

[rules]
profile = "business"

[[desks]]
kind = "quality"
"""


def test_of_confidential_data_only_counts_and_times_are_published(tmp_path: Path) -> None:
    """One company slips by a thousand: told inside; in public the number of alarms does not say so."""
    public = replace(SPEC, name="open", confidential=False, unit="public", unit_field="", legal_basis="")
    with Room.create(tmp_path / "room", settings=ROOM, specs=[SPEC.to_toml(), public.to_toml()]) as room:

        def slip(sales: np.ndarray) -> np.ndarray:
            sales[50] *= 1000
            return sales

        for number in range(6):
            day = month(number) + timedelta(days=40)
            for name in ("sales", "open"):
                report = room.ingest(name, table(number, slip if number == 5 else None), day)
        assert kinds(report) == ["unit_slip"]
        told = {}
        for day in (month(4) + timedelta(days=60), month(5) + timedelta(days=50)):
            (release,) = [r for r in room.publish(day) if r.name == "data.quality"]
            told[day] = {row[0]: dict(zip(release.columns, row, strict=True)) for row in release.rows}
        before, after = told.values()
        assert [(before[n]["arrival_score"], before[n]["alarms"]) for n in ("sales", "open")] == [(100, 0), (100, 0)]
        assert [(after[n]["arrival_score"], after[n]["alarms"]) for n in ("sales", "open")] == [(100, 0), (100, 1)]


def test_an_overdue_delivery_is_told_as_of_a_day(tmp_path: Path) -> None:
    with Room.create(tmp_path / "room", settings=ROOM, specs=[SPEC.to_toml()]) as room:
        for number in range(5):
            room.ingest("sales", table(number), month(number) + timedelta(days=40))
        last = month(4) + timedelta(days=40)
        assert overdue(room.store, "sales", room.moment(last + timedelta(days=33))) is None
        late = overdue(room.store, "sales", room.moment(last + timedelta(days=45)))
        assert late is not None
        assert late.kind == "delivery_overdue"
        assert overdue(room.store, "sales", room.moment(month(1) + timedelta(days=300))) is not None
        assert [len(quality_reports(room, "sales", as_of=d)) for d in (month(2) + timedelta(days=41), None)] == [3, 5]
        with pytest.raises(NotFoundError, match="OPS-N030"):
            quality_reports(room, "sales", delivery=9)
