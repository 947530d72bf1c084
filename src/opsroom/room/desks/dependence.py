"""Desk `dependence`: on whose data the room's figures rest, read off the releases that are out. No settings."""

from __future__ import annotations

from collections.abc import Mapping

from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View

DERIVED = ("bottlenecks.providers", "warnings.inbox")
"""Made from releases: they rest on all that is behind these, and count for none."""


class DependenceDesk:
    """Watch dependence on data providers."""

    cadences: Mapping[str, Cadence] = {"bottlenecks.providers": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return how many release series rest on each provider, and how many on it alone."""
        from opsroom.warn.bottlenecks import provider_dependence

        known = set(view.datasets())
        reads = {}
        for name in view.releases.names(view.day):
            release = view.releases.get(name, view.day)
            if release is not None and name not in DERIVED:
                reads[name] = [dataset for dataset in release.provenance if dataset in known]
        if not any(reads.values()):
            return DeskOutcome(None, note="nothing is out that rests on data")
        providers = {d: view.spec(d).provider for used in reads.values() for d in used}
        found = provider_dependence(reads, providers)
        frame = found.frame.round({"share": 1, "weight": 1})
        cells = Cells(
            name="bottlenecks.providers",
            dimensions=("provider",),
            measures=(
                Measure(
                    "share", "public", "% of release series", attached=("figures", "only", "datasets", "weight")
                ),
            ),
            frame=frame[["provider", "share", "figures", "only", "datasets", "weight"]],
            method="provider_dependence-1",
            facts={"title": "On whose data the figures rest", "hhi": round(found.hhi), "series": found.figures},
        )  # fmt: skip
        return DeskOutcome(found, (cells,))


DESK = DependenceDesk()
