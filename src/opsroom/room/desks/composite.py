"""Desk `composite`: one weekly index of activity from public series of any frequency, on the scale of GDP growth.

Settings: ``target`` (``{dataset, series}``: quarterly GDP, a level); ``inputs`` (list of ``{dataset, series, value,
name, frequency, scale, compare, drifts, lag_days, title}``, of which only ``dataset`` and ``series`` are needed: see
`opsroom.measure.composite.Input`); ``weeks`` shown (default 104).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.publicdata import series_frame

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.measure.composite import Input

OPTIONS = {"scale": str, "compare": str, "drifts": bool, "lag_days": int, "title": str}
NEEDS = {"dataset": str, "series": str}
ALLOWS = {**OPTIONS, "name": str, "frequency": str, "value": str}


class CompositeDesk:
    """Make the weekly index."""

    cadences: Mapping[str, Cadence] = {"composite.index": "weekly", "composite.contributions": "weekly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``composite.index`` and ``composite.contributions``, functions of public series."""
        import pandas as pd

        from opsroom.measure.composite import Input, composite

        wanted = [one for key in ("target", "inputs") for one in settings.tables(key, needs=NEEDS, allows=ALLOWS)]
        pieces, inputs, sources = [], [], []
        for one in wanted:
            dataset = one["dataset"]
            if nothing := nothing_known_of(view, dataset):
                return nothing
            spec = view.spec(dataset)
            sources.append(spec.source or spec.provider)
            inputs.append(_input(Input, one, spec.frequency))
            pieces.append(_long(view, settings, one, inputs[-1].name))
        panel = pd.concat(pieces, ignore_index=True)
        panel["known_at"] = pd.Timestamp(view.day)  # the view holds what was known on the day, and nothing else
        try:
            result = composite(panel, target=inputs[0].name, inputs=inputs, as_of=view.day)
        except FitError as error:
            return DeskOutcome(None, note=f"no index could be made ({error.code})")
        source = "; ".join(dict.fromkeys(sources))
        weeks = int(settings.get("weeks", 104))
        return DeskOutcome(result, tuple(result.cells(weeks=weeks, public=view.public, source=source)))


def _input(kind: type[Input], one: Mapping[str, Any], frequency: str) -> Input:
    given = {name: one[name] for name in OPTIONS if name in one}
    return kind(one.get("name", one["series"]), frequency=one.get("frequency", frequency), **given)


def _long(view: View, settings: DeskSettings, one: Mapping[str, Any], name: str) -> pd.DataFrame:
    """Return one series of a dataset: ``series``, ``period``, ``value``."""
    code = one["series"]
    own = DeskSettings(settings.kind, settings.name, {**one, "series": [code]})
    column = series_frame(view, own)[code].dropna()
    frame: pd.DataFrame = column.rename("value").rename_axis("period").reset_index()
    return frame.assign(series=name)


DESK = CompositeDesk()
