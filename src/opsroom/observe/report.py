"""`IngestReport`: what became of a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from opsroom.observe.assessments import QualityReport
from opsroom.observe.quality import RULES


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of a delivery.

    Attributes
    ----------
    dataset, delivery, version
        The dataset, the delivery's number in it, the Delta version that holds it.
    accepted, quarantined, duplicates
        Rows stored, rows refused, rows that said nothing new.
    already_present
        The same content was committed before: nothing was done.
    reasons
        Rows in quarantine by rule code.
    known_at
        Knowledge time, UTC.
    quality
        The report on its quality with its alarms; None where nothing was done.
    """

    dataset: str
    accepted: int
    quarantined: int
    duplicates: int
    version: int
    delivery: int
    already_present: bool = False
    reasons: Mapping[str, int] = field(default_factory=dict)
    known_at: datetime | None = None
    quality: QualityReport | None = None

    def told_reasons(self) -> list[tuple[str, str, int]]:
        """Return code, title and number of rows of each rule that put rows in quarantine."""
        return [(code, RULES[code].title, count) for code, count in sorted(self.reasons.items())]

    def summary(self) -> str:
        """Return the report in a few lines."""
        if self.already_present:
            return f"{self.dataset}: already present as delivery {self.delivery}; nothing changed."
        lines = [
            f"{self.dataset}: delivery {self.delivery}: {self.accepted:,} rows stored, "
            f"{self.duplicates:,} without news, {self.quarantined:,} in quarantine."
        ]
        lines += [f"  {code} {title}: {count:,}" for code, title, count in self.told_reasons()]
        if self.quality is not None:
            lines += [f"  {a.severity}: {a.kind}: {a.words}" for a in self.quality.alarms]
        return "\n".join(lines)
