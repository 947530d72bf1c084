"""Desk `flows`: goods, people, capital and data on one base, and how they took a shock.

Settings: ``dataset`` (a public one with one series dimension); ``flows`` (list of ``{name, kind, title}``, kind one
of ``goods``, ``people``, ``capital``, ``data``); ``shock`` (its first day; default the start of the room's
``[holiday]``); ``value`` (default: the dataset's only number); ``calendar`` (a dataset with ``date, kind`` whose
``new_year_holiday`` says when the New Year was; default the lunar New Year of the room's country, where it has one).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError, SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.publicdata import series_frame

if TYPE_CHECKING:
    from opsroom.measure.flows import Flow

NEW_YEAR = "new_year_holiday"


class FlowsDesk:
    """Measure the flows of an economy against their own normal path."""

    cadences: Mapping[str, Cadence] = {
        "flows.weekly": "monthly",  # all its weeks, once a month: normals and bounds are drawn anew for each
        "flows.monthly": "monthly",
        "flows.resilience": "monthly",
    }

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``flows.weekly``, ``flows.monthly`` and ``flows.resilience``, functions of public series."""
        from opsroom.measure.flows import flows

        dataset = str(settings.require("dataset"))
        if nothing := nothing_known_of(view, dataset):
            return nothing
        shock = _shock(view, settings)
        if view.day < shock + dt.timedelta(days=7):
            return DeskOutcome(None, note="the flows are compared with normal from a week after the shock on")
        spec = view.spec(dataset)
        wide = series_frame(view, settings)
        wide.columns = [f"series:{code}" for code in wide.columns]  # a series may be called value, or period
        panel = wide.rename_axis("period").reset_index().melt(id_vars="period", var_name="series").dropna()
        panel["series"] = panel["series"].str.removeprefix("series:")
        panel["known_at"] = view.day  # the view holds what was known on the day, and nothing else
        of = _flows(settings, "W" if spec.frequency == "W" else "D")
        country = str(view.settings.country)
        try:
            result = flows(
                panel, of=of, shock=shock, as_of=view.day, new_year=_new_years(view, settings),
                country=country if len(country) == 2 else None,
            )  # fmt: skip
        except FitError as error:
            return DeskOutcome(None, note=f"no flow could be compared with its normal ({error.code})")
        cells = result.cells(public=view.public, source=spec.source or spec.provider)
        return DeskOutcome(result, tuple(cells))


def _shock(view: View, settings: DeskSettings) -> dt.date:
    found = settings.get("shock", view.settings.facts.get("holiday", {}).get("start"))
    if not isinstance(found, dt.date):
        raise SettingsError(
            f"room.toml: desk {settings.name!r} needs the first day of the shock.",
            remedy="Add shock = 2020-01-24, or a [holiday] table.",
            code="OPS-C008",
        )
    return found


def _flows(settings: DeskSettings, frequency: Any) -> list[Flow]:
    from opsroom.measure.flows import Flow

    return [
        Flow(f["name"], f["kind"], frequency=frequency, title=f.get("title", ""))
        for f in settings.tables("flows", needs={"name": str, "kind": str}, allows={"title": str})
    ]


def _new_years(view: View, settings: DeskSettings) -> dict[int, dt.date] | None:
    """Return when the New Year began, by year, as the room's own calendar has it; None without one."""
    name = settings.get("calendar")
    if name is None or not view.has(str(name)):
        return None
    import pandas as pd

    frame = view.frame(str(name), ["date", "kind"])
    days = pd.DatetimeIndex(frame.loc[frame["kind"].astype(str) == NEW_YEAR, "date"])
    return {int(year): min(days[days.year == year]).date() for year in sorted(set(days.year))}


DESK = FlowsDesk()
