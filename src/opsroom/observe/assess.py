"""`assess`: the report on one delivery, made right after its commit.

The delivery stands whatever the report says. Where the report cannot be made, the alarm `report_failed` says so:
nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base.errors import OpsroomError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.assessments import Alarm, QualityReport, reports, save_report
from opsroom.observe.deliveries import Delivery
from opsroom.observe.measuring import Measures, Measuring
from opsroom.observe.punctuality import HABIT, PERIOD_DAYS, Punctuality, frontier, punctuality
from opsroom.observe.watching import ROW_CUTS, Watch

if TYPE_CHECKING:
    from opsroom.observe.store import Store

WEIGHTS = {
    "completeness": 3,
    "validity": 3,
    "timeliness": 2,
    "plausibility": 2,
    "coherence": 1,
    "stability": 1,
    "uniqueness": 1,
}
"""Weights of the components in the score."""

TOLD_AGAIN = 0.5
"""A delivery that tells so much of what is held between its first and last period tells it again."""

WHOLE = 0.8
"""So much, and what it leaves out is a fault, without a habit to compare with."""

CEILING = 50.0
"""Largest score of a delivery with a critical alarm."""


def assess(
    store: Store, spec: DatasetSpec, record: Delivery, before: Sequence[Delivery], watch: Watch
) -> QualityReport:
    """Assess one committed delivery and keep the report.

    Parameters
    ----------
    store, spec
        The store and the dataset.
    record
        The delivery.
    before
        The deliveries recorded before it.
    watch
        What was counted while it passed.

    Returns
    -------
    QualityReport
        With the alarm `report_failed` where it could not be made or kept.
    """
    import duckdb

    try:
        report = _report(store, spec, record, before, watch)
    except (OpsroomError, duckdb.Error, pa.ArrowException, OSError, ArithmeticError, LookupError, ValueError) as error:
        report = _failed(record, f"{type(error).__name__} while measuring.")
    try:
        save_report(store.state, report)
    except OpsroomError as error:
        lost = Alarm("report_failed", "critical", f"the report could not be kept ({error.code}).")
        report = QualityReport(
            report.dataset,
            report.delivery,
            report.known_at,
            report.score,
            report.components,
            report.measures,
            (*report.alarms, lost),
        )
    return report


def _failed(record: Delivery, words: str) -> QualityReport:
    alarm = Alarm("report_failed", "critical", words)
    return QualityReport(record.dataset, record.delivery, record.known_at, alarms=(alarm,))


def _report(
    store: Store, spec: DatasetSpec, record: Delivery, before: Sequence[Delivery], watch: Watch
) -> QualityReport:
    earlier = reports(store.state, spec.name, last=HABIT)
    earlier = [r for r in earlier if r.delivery < record.delivery and not r.measures.get("partial", True)]
    stored = store.delta(spec.name).files()
    held = sum(f.rows for f in stored if f.low["delivery"] == record.delivery)
    kept = 0
    if record.quarantine:
        kept = pq.read_metadata(store.path / "quarantine" / spec.name / record.quarantine).num_rows
    alarms = [*_reconcile(record, watch, held, kept), *_kept_out(watch), *_refused(spec, record, watch, earlier)]
    rows = watch.facts() | {
        "accepted": record.accepted,
        "quarantined": record.quarantined,
        "known_already": record.duplicates,
        "revised": record.revised,
        "deleted": record.deleted,
        "contradictory": record.reasons.get("OPS-D031", 0),
    }
    arrived = [None if p is None else p.isoformat() for p in (watch.period_from, watch.period_to)]
    # What comes with a reason (back-dated, returned from quarantine) is a part, no measure for what is usual.
    measures: dict[str, Any] = {
        "partial": bool(record.reason),
        "rows": rows,
        "schema": [list(column) for column in watch.columns],
        "arrived": arrived,
    }
    if spec.rules:
        measures["rules"] = dict(watch.rules) | watch.broken
        alarms += [
            Alarm("rule_broken", "warning", f"rule {name} does not hold in {places:,} place(s).")
            for name, places in watch.broken.items()
        ]
    if not spec.quality.report or record.deletions:
        return _close(record, measures, {"validity": _share(rows["read"] - rows["quarantined"], rows["read"])}, alarms)
    with store.workbench() as con:
        found = Measuring(con, store.shapes(spec.name), record.delivery, stored, frontier(before, spec.frequency)).run()
    timely = punctuality(spec, record, before, store.zone)
    measures |= _told(found, timely, watch, record)
    if watch.retold is not None:
        measures["retold"] = watch.retold.to_dict()
    alarms += _came(spec, record, watch, earlier, found, timely)
    alarms += _values(spec, found, earlier)
    return _close(record, measures, components(spec, record, watch, found, timely), alarms)


def _close(
    record: Delivery, measures: dict[str, Any], parts: dict[str, float | None], alarms: list[Alarm]
) -> QualityReport:
    known = {name: round(value, 6) for name, value in parts.items() if value is not None}
    return QualityReport(
        record.dataset,
        record.delivery,
        record.known_at,
        score(known, critical=any(a.severity == "critical" for a in alarms)),
        known,
        measures,
        tuple(alarms),
    )


def score(parts: dict[str, float], *, critical: bool) -> float | None:
    """Return the quality score: 100 times the weighted mean of the components that are apt.

    Parameters
    ----------
    parts
        Components by name, each from 0 to 1; see `WEIGHTS`.
    critical
        A critical alarm was raised: the score is 50 at most.
    """
    total = sum(WEIGHTS[name] for name in parts)
    if not total:
        return None
    value = 100 * sum(WEIGHTS[name] * part for name, part in parts.items()) / total
    return round(min(value, CEILING) if critical else value, 2)


def components(
    spec: DatasetSpec, record: Delivery, watch: Watch, found: Measures, timely: Punctuality | None
) -> dict[str, float | None]:
    """Return the components of the score; None where one is not apt."""
    read = watch.rows_read
    fields = found.fields.values()
    compared = [f for f in fields if f.compared]
    drifts = [f.psi for f in fields if f.psi is not None]
    known = record.revised + record.duplicates
    late = None
    if timely is not None and timely.allowed is not None:
        late = 2.0 ** (-timely.late / PERIOD_DAYS[spec.frequency])
    odd = [1.0 if f.whole else min((f.outliers + sum(f.slips.values())) / f.compared, 1.0) for f in compared]
    return {
        "completeness": _share(found.present, found.expected),
        "validity": _share(read - record.quarantined, read),
        "timeliness": late,
        "plausibility": 1.0 - max(odd) if odd else None,
        "coherence": 1.0 - min(_relative(watch) * record.revised / known, 1.0) if known else None,
        "stability": 1.0 - min(max(drifts) / (2 * spec.quality.drift), 1.0) if drifts else None,
        "uniqueness": _share(read - record.reasons.get("OPS-D031", 0), read),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _relative(watch: Watch) -> float:
    """Return the largest mean relative revision of the watched fields, 1 where values came out of nothing."""
    names = {name.removesuffix(".base") for name in watch.revisions if name.endswith(".base")}
    sizes = [(watch.revisions[f"{n}.weight"], watch.revisions[f"{n}.base"]) for n in names]
    return max((w / b if b else float(w > 0) for w, b in sizes), default=0.0)


def _told(found: Measures, timely: Punctuality | None, watch: Watch, record: Delivery) -> dict[str, Any]:
    known = record.revised + record.duplicates
    revisions: dict[str, Any] = {"share_of_known_keys": _share(record.revised, known)}
    for name in found.fields:
        base = watch.revisions.get(f"{name}.base")
        if base is not None:
            revisions[name] = {
                "changed": int(watch.revisions[f"{name}.changed"]),
                "signs": int(watch.revisions[f"{name}.signs"]),
                "relative": _share(watch.revisions[f"{name}.weight"], base),
            }
    return {
        "completeness": {
            "series_expected": found.active,
            "periods": found.periods,
            "expected": found.expected,
            "present": found.present,
            "missing_from_newest": found.missing_last,
        },
        "timeliness": None if timely is None else asdict(timely) | {"late": timely.late},
        "revisions": revisions,
        "fields": {name: asdict(one) for name, one in found.fields.items()},
        "sample": found.sample,
    }


# -- alarms ------------------------------------------------------------------------------------


def _reconcile(record: Delivery, watch: Watch, held: int, kept: int) -> Iterator[Alarm]:
    """Compare the number of rows before and after each hop."""
    hops = (
        ("read and checked", watch.rows_read, watch.good + watch.refused),
        (
            "checked and compared",
            watch.good + watch.tombstones,
            record.accepted + record.duplicates + record.quarantined - watch.refused,
        ),
        ("compared and committed", record.accepted, held),
        ("refused and in quarantine", record.quarantined, kept),
    )
    for hop, one, other in hops:
        if one != other:
            yield Alarm("rows_not_reconciled", "critical", f"{hop}: {one:,} rows against {other:,}.")
    if off := watch.sums_off():
        words = f"sum of {', '.join(off)}: rows were refused, so that it could not be compared."
        yield Alarm("control_total", "warning", words)
    for file, rows in watch.read.items():
        if rows in ROW_CUTS:
            at = f"file {file!r}" if file else "the table"
            yield Alarm("row_cut", "critical", f"{at} ends after {rows:,} rows, a limit of spreadsheets.")


def _kept_out(watch: Watch) -> Iterator[Alarm]:
    """Say that rows were refused because their unit was erased: by which erasure, never whose they are."""
    if not watch.kept_out:
        return
    numbers = sorted(watch.kept_out)
    erased = f"erasure {', '.join(map(str, numbers))}"
    words = (
        f"{sum(watch.kept_out.values()):,} row(s) of units that were erased ({erased}) were refused, and nothing of "
        f"them is kept. To take later ones: opsroom store lift {numbers[0]}."
    )
    yield Alarm("erased_unit", "note", words)


def _refused(spec: DatasetSpec, record: Delivery, watch: Watch, earlier: Sequence[QualityReport]) -> Iterator[Alarm]:
    """Judge how many rows went to quarantine: a column that changed its type or codes refuses them row by row."""
    amiss = record.quarantined - sum(watch.kept_out.values())
    if amiss <= 0 or record.reason:
        return
    habit = _habit([_share(r.measures["rows"]["quarantined"], r.measures["rows"]["read"]) for r in earlier])
    allowed = spec.quality.missing(confidential=spec.confidential) + (habit or 0.0)
    if amiss > allowed * watch.rows_read:
        words = f"{amiss:,} of {watch.rows_read:,} rows were refused; see opsroom quarantine list."
        nothing = amiss == watch.rows_read
        yield Alarm("rows_refused", "critical" if nothing else "note" if habit is None else "warning", words)


def _came(
    spec: DatasetSpec,
    record: Delivery,
    watch: Watch,
    earlier: Sequence[QualityReport],
    found: Measures,
    timely: Punctuality | None,
) -> Iterator[Alarm]:
    """Judge what came, and when."""
    share = spec.quality.missing(confidential=spec.confidential)
    # Public series are few, of different calendars, and each counts: news is what was never so before.
    habit = _habit([_missing(r) for r in earlier], median if spec.confidential else max)
    if found.missing_last > (share + (habit or 0.0)) * found.active:
        words = f"{found.missing_last:,} of {found.active:,} series are missing from the newest period."
        yield Alarm("series_missing", "note" if habit is None else "warning", words)
    if timely is not None and timely.late:
        bound = "promised" if timely.promised else "habitual"
        words = f"{timely.lag} days after the period's end; {bound}: {timely.allowed:.0f}."
        yield Alarm("provider_late", "warning", words)
    yield from _cut(spec, watch, earlier)
    if spec.snapshot and record.deleted > share * max(watch.rows_read, 1):
        words = f"{record.deleted:,} rows of {found.taken_back:,} series were taken back."
        yield Alarm("series_shortened", "warning", words)
    if earlier and not record.reason:
        yield from _against(spec, record, watch, earlier)


def _cut(spec: DatasetSpec, watch: Watch, earlier: Sequence[QualityReport]) -> Iterator[Alarm]:
    """Judge whether a delivery that tells known periods again leaves out what some series had in them."""
    found = watch.retold
    if found is None or found.share < TOLD_AGAIN:
        return
    habit = _habit([_cut_share(r) for r in earlier], median if spec.confidential else max)
    allowed = spec.quality.missing(confidential=spec.confidential) + (habit or 0.0)
    if found.cut <= allowed * found.series:
        return
    places = (("begin later", found.start), ("have holes", found.middle), ("end earlier", found.end),
              ("did not come", found.absent))  # fmt: skip
    told = ", ".join(f"{count:,} {what}" for what, count in places if count)
    words = f"{found.cut:,} of {found.series:,} series lack periods that they had: {told}."
    yield Alarm("series_shortened", "note" if habit is None and found.share < WHOLE else "warning", words)


def _cut_share(report: QualityReport) -> float | None:
    told = report.measures.get("retold") or {}
    again = _share(told.get("told", 0), told.get("held", 0))
    return None if again is None or again < TOLD_AGAIN else _share(told["cut"], told["series"])


def _habit(shares: Sequence[float | None], usual: Callable[[Sequence[float]], float] = median) -> float | None:
    """Return the median (or another measure) of what earlier reports told, None where fewer than two told anything.

    Some datasets always lack part of their series at the newest period, or always hold series that jump: news is
    what goes beyond that.
    """
    known = [x for x in shares if x is not None]
    return usual(known) if len(known) >= 2 else None


def _missing(report: QualityReport) -> float | None:
    told = report.measures.get("completeness", {})
    return _share(told.get("missing_from_newest", 0), told.get("series_expected", 0) if told.get("expected") else 0)


def _jumping(report: QualityReport, name: str) -> float | None:
    told = report.measures.get("fields", {}).get(name, {})
    return _share(told.get("outliers", 0), told.get("compared", 0))


def _against(spec: DatasetSpec, record: Delivery, watch: Watch, earlier: Sequence[QualityReport]) -> Iterator[Alarm]:
    """Compare a delivery's shape with those before it."""
    sizes = [r.measures["rows"]["read"] for r in earlier]
    if len(sizes) >= 3 and watch.rows_read < spec.quality.row_drop * min(sizes):
        words = f"{watch.rows_read:,} rows; the deliveries before it held {min(sizes):,} or more."
        yield Alarm("rows_dropped", "warning", words)
    spans = [r.measures["arrived"] for r in earlier if r.measures["arrived"][0] is not None]
    if spans and watch.period_to is not None and watch.period_from is not None:
        if watch.period_to.isoformat() < spans[-1][1]:
            yield Alarm("series_shortened", "warning", "the last period delivered lies before the one delivered last.")
        yield from _later_start(spec, record, watch, earlier, spans)
    yield from _vanished(record, earlier)
    yield from _schema(watch, earlier[-1])


def _later_start(
    spec: DatasetSpec, record: Delivery, watch: Watch, earlier: Sequence[QualityReport], spans: Sequence[list[str]]
) -> Iterator[Alarm]:
    """Judge a delivery that begins later than those before it, though it tells most of what is known again."""
    now = [str(p.isoformat()) for p in (watch.period_from, watch.period_to) if p is not None]
    starts = {start for start, _ in spans[-3:]}
    again = [2 * r.measures["rows"]["known_already"] > r.measures["rows"]["read"] for r in earlier]
    if len(spans) >= 3 and all(again[-2:]) and len(starts) == 1 and now[0] > min(starts):
        yield Alarm("series_shortened", "warning", "the first period delivered lies later than it always did.")
        return
    if watch.retold is None or watch.retold.share < TOLD_AGAIN or now[0] <= spans[-1][0]:
        return
    if 2 * (record.duplicates + record.revised) <= watch.rows_read:
        return  # what is new is most of it
    moved = [(_day(here) - _day(there)).days for here, there in zip(now, spans[-1], strict=True)]
    # A window of so many periods moves on at both ends alike.
    if moved[0] > max(moved[1], 0) + 1.5 * PERIOD_DAYS[spec.frequency]:
        words = f"the first period delivered lies {moved[0]} days later than in the delivery before."
        yield Alarm("series_shortened", "warning" if any(again[-1:]) else "note", words)


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])


def _vanished(record: Delivery, earlier: Sequence[QualityReport]) -> Iterator[Alarm]:
    known = [{pattern(f) for f in r.measures["rows"]["files"] if f} for r in earlier[-3:]]
    if len(known) < 2 or not record.files:
        return
    gone = set.intersection(*known) - {pattern(f) for f in record.files}
    if gone:
        yield Alarm("file_vanished", "warning", f"files of this pattern did not come: {', '.join(sorted(gone))}.")


def pattern(name: str) -> str:
    """Return a file's name with each run of digits as ``#``: what stays when the date moves on."""
    return re.sub(r"\d+", "#", name)


def _schema(watch: Watch, last: QualityReport) -> Iterator[Alarm]:
    now, before = dict(watch.columns), dict(last.measures["schema"])
    if not now or not before:
        return
    parts = []
    if added := [c for c in now if c not in before]:
        parts.append(f"added: {', '.join(added)}")
    if gone := [c for c in before if c not in now]:
        parts.append(f"left out: {', '.join(gone)}")
    if changed := [c for c, kind in now.items() if before.get(c, kind) != kind]:
        parts.append(f"other type: {', '.join(changed)}")
    if not parts and list(now) != list(before):
        parts.append("the columns stand in another order")
    if parts:
        only_order = parts == ["the columns stand in another order"]
        yield Alarm("schema_changed", "note" if only_order else "warning", "; ".join(parts) + ".")


def _values(spec: DatasetSpec, found: Measures, earlier: Sequence[QualityReport]) -> Iterator[Alarm]:
    """Judge the values of each watched field."""
    rule, standing = spec.quality, spec.quality.frozen(confidential=spec.confidential)
    for name, one in found.fields.items():
        if one.whole:
            yield Alarm("unit_slip", "critical", f"{name}: the whole delivery is shifted by 10^{one.whole}.")
        elif one.slips:
            told = ", ".join(f"{count:,} by {power}" for power, count in one.slips.items())
            yield Alarm("unit_slip", "warning", f"{name}: series shifted: {told}.")
        usual = _habit([_jumping(r, name) for r in earlier]) or 0.0
        if one.compared and one.outliers > max((rule.outlier_share + usual) * one.compared, 1):
            words = f"{name}: {one.outliers:,} of {one.compared:,} series lie far from their earlier level."
            yield Alarm("outliers", "warning", words)
        if one.psi is not None and one.psi > rule.drift:
            yield Alarm("drift", "warning", f"{name}: the distribution changed (PSI above {rule.drift:g}).")
        before = _last_frozen(name, earlier)
        if one.frozen is not None and one.frozen > standing and (before or 0.0) <= one.frozen / 2:
            words = f"{name}: {one.frozen:.0%} of {one.compared:,} series repeat one value"
            told = "." if before is None else f"; before, {before:.0%}."
            # Some fields stand still by nature: without a measure before it, that is worth a look, no more.
            yield Alarm("values_frozen", "note" if before is None else "warning", words + told)


def _last_frozen(name: str, earlier: Sequence[QualityReport]) -> float | None:
    """Return the share of frozen series that the last report with one told."""
    told = [r.measures.get("fields", {}).get(name, {}).get("frozen") for r in earlier]
    return next((x for x in reversed(told) if x is not None), None)
