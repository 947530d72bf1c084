"""Reports on the quality of deliveries, with their alarms, kept in `room.db`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from opsroom.base.state import METADATA, State

REPORTS = sa.Table(
    "delivery_quality",
    METADATA,
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("delivery", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("known_at", sa.String(40), nullable=False, index=True),
    sa.Column("score", sa.Float, nullable=True),
    sa.Column("report", sa.Text, nullable=False),
)

Severity = Literal["note", "warning", "critical"]

ALARMS: Mapping[str, str] = {
    "rows_not_reconciled": "Rows read, accepted, refused and repeated do not add up.",
    "control_total": "A control total of the provider could not be compared.",
    "row_cut": "A file ends at a spreadsheet's limit of rows.",
    "rows_refused": "More rows went to quarantine than usual.",
    "rows_dropped": "The delivery holds far fewer rows than those before it.",
    "series_missing": "Series that reported before are missing from the newest period.",
    "series_shortened": "Series end earlier, or begin later, than they did.",
    "file_vanished": "A file that always came did not.",
    "schema_changed": "Columns were added, left out, moved, or changed their type.",
    "provider_late": "The delivery came later than promised, or than is the provider's habit.",
    "delivery_overdue": "The next delivery has not come although it is due.",
    "values_frozen": "Many series repeat one value.",
    "unit_slip": "Values are shifted by a power of ten.",
    "outliers": "Many series lie far from their earlier level.",
    "drift": "The distribution of a field is another than before.",
    "erased_unit": "Rows of a unit that was erased by law came again, and were refused.",
    "rule_broken": "A rule on the dataset as a whole does not hold.",
    "report_failed": "The delivery stands, but its quality could not be assessed.",
}
"""Kinds of alarm and what they mean."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something about a delivery that a person should look at.

    Attributes
    ----------
    kind
        One of `ALARMS`.
    severity
        ``note``, ``warning``, or ``critical``: then the score is at most 50.
    words
        What was seen: counts, names of fields, columns and files; never a value.
    """

    kind: str
    severity: Severity
    words: str


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What is known of the quality of one delivery.

    Attributes
    ----------
    dataset, delivery, known_at
        Which delivery, and its knowledge time, UTC.
    score
        0 to 100; None where nothing could be scored.
    components
        What the score is the weighted mean of, each from 0 to 1; those that are not apt are left out.
    measures
        Counts and measures by topic, JSON values.
    alarms
        What should be looked at.
    """

    dataset: str
    delivery: int
    known_at: datetime
    score: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "dataset": self.dataset,
            "delivery": self.delivery,
            "known_at": self.known_at.isoformat(timespec="microseconds"),
            "score": self.score,
            "components": dict(self.components),
            "measures": dict(self.measures),
            "alarms": [{"kind": a.kind, "severity": a.severity, "words": a.words} for a in self.alarms],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> QualityReport:
        """Read what `to_dict` wrote."""
        return cls(
            dataset=raw["dataset"],
            delivery=raw["delivery"],
            known_at=datetime.fromisoformat(raw["known_at"]),
            score=raw["score"],
            components=raw["components"],
            measures=raw["measures"],
            alarms=tuple(Alarm(**alarm) for alarm in raw["alarms"]),
        )

    def summary(self) -> str:
        """Return the report in a few lines."""
        score = "not scored" if self.score is None else f"score {self.score:.0f} of 100"
        lines = [f"{self.dataset}: delivery {self.delivery}: {score}."]
        lines += [f"  {name}: {value:.3f}" for name, value in self.components.items()]
        lines += [f"  {a.severity}: {a.kind}: {a.words}" for a in self.alarms]
        return "\n".join(lines)


def save_report(state: State, report: QualityReport) -> None:
    """Keep a report; one that is there already for the delivery is replaced."""
    here = (REPORTS.c.dataset == report.dataset) & (REPORTS.c.delivery == report.delivery)
    with state.begin() as connection:
        connection.execute(REPORTS.delete().where(here))
        connection.execute(
            REPORTS.insert().values(
                dataset=report.dataset,
                delivery=report.delivery,
                known_at=report.known_at.isoformat(timespec="microseconds"),
                score=report.score,
                report=json.dumps(report.to_dict(), sort_keys=True, allow_nan=False),
            )
        )


def reports(
    state: State,
    dataset: str | None = None,
    *,
    delivery: int | None = None,
    until: datetime | None = None,
    last: int | None = None,
) -> list[QualityReport]:
    """Return reports, oldest delivery first.

    Parameters
    ----------
    state
        The room's database.
    dataset, delivery
        Those of one dataset, of one delivery; all where absent.
    until
        Those of deliveries known by this moment, UTC: what was said as of a day does not change later.
    last
        Only so many, the newest.
    """
    query = sa.select(REPORTS.c.report).order_by(REPORTS.c.dataset, REPORTS.c.delivery.desc())
    if dataset is not None:
        query = query.where(REPORTS.c.dataset == dataset)
    if delivery is not None:
        query = query.where(REPORTS.c.delivery == delivery)
    if until is not None:
        query = query.where(REPORTS.c.known_at <= until.isoformat(timespec="microseconds"))
    if last is not None:
        query = query.limit(last)
    with state.read() as connection:
        found = [QualityReport.from_dict(json.loads(row[0])) for row in connection.execute(query)]
    return sorted(found, key=lambda r: (r.dataset, r.delivery))
