"""Desk `propagation`: how a shock travels through the sections, week by week, and what stops whom.

Settings: ``table``, ``household``, ``other`` (see `sectortable`); ``measured`` (a table: ``series``, ``measure``,
``by``, maybe ``where``), a release series of what each section does, in per cent of normal, by week or day;
``restrictions`` (dataset: region, date, ``stringency`` from 0 to 100); ``labour_share`` (of value added that is paid
for labour); ``stock_days`` (for how long inputs last: a number, or by section); ``critical`` (sections without whose
product no other can work; all else is important); ``demand`` (section -> share of households' demand that is gone at a
stringency of 100); ``scenarios`` (tables ``name``, ``lift_weeks``: restrictions are lifted evenly within so many weeks
from the day on, or stay, with 0); ``start`` (first day of the shock); ``horizon_weeks`` (default 13).

What a section can do is what was measured of it; beyond the last figure it is lost in proportion to restrictions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.sectortable import SectorTable, fill, measured_path, sector_table

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.decide.propagation import DynamicInputOutput, DynamicPath

DRAWS, LEVEL = 20, 0.9
RECENT = 28
"""Days over which it is counted what stopped whom."""
MOST = 0.98
"""Share of a section's labour or demand that can be lost at most."""


@dataclass(frozen=True, slots=True)
class Shock:
    """What is lost by day and section, before anything travels.

    Attributes
    ----------
    lost
        Days x sections: share of what the section can do.
    unwanted
        Days x sections: share of households' demand.
    """

    lost: pd.DataFrame
    unwanted: pd.DataFrame

    def run(self, model: DynamicInputOutput, *, harder: float = 1.0, fear: float = 1.0) -> DynamicPath:
        """Return the economy's path; losses may be larger or smaller by a factor each."""
        days = self.lost.index
        return model.run(
            len(days),
            supply_shock=np.clip(harder * self.lost.to_numpy(np.float64), 0.0, MOST),
            demand_shock=np.clip(fear * self.unwanted.to_numpy(np.float64), 0.0, MOST),
            start=days[0].date(),
        )


class PropagationDesk:
    """Follow a shock through the sections."""

    cadences: Mapping[str, Cadence] = {"propagation.path": "monthly", "propagation.section": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``propagation.path`` (output by week and scenario) and ``propagation.section`` (what stops whom)."""
        import pandas as pd

        if nothing := nothing_known_of(view, *(str(settings.require(key)) for key in ("table", "restrictions"))):
            return nothing
        path = measured_path(view, settings, "measured")
        start = pd.Timestamp(settings.require("start"))
        path = path[path.index >= start] if len(path) else path
        if path.empty:
            return DeskOutcome(None, note="nothing published yet of what sections do since the shock began")
        table = sector_table(view, settings)
        sections = table.z.index
        known = stringency(view, settings)
        latest = path.ffill()  # what was not published of a week is as it was last published
        filled = pd.DataFrame({day: fill(row, sections, table.output)[0] for day, row in latest.iterrows()}).T
        fear = pd.Series(dict(settings.get("demand", {})), dtype=float).reindex(sections).fillna(0.0)
        actual = pd.Series(np.average(filled, weights=table.output, axis=1), index=filled.index)
        weeks = int(settings.get("horizon_weeks", 13))
        model = _model(table, settings, "half_critical")
        rows: list[pd.DataFrame] = []
        runs: list[DynamicPath] = []
        for scenario in settings.tables("scenarios", needs={"name": str, "lift_weeks": int}, allows={}):
            shock = shocked(filled, ahead(known, view.day, weeks, int(scenario["lift_weeks"])), fear)
            runs.append(shock.run(model))
            band = _band(table, settings, shock, view.day) if len(runs) == 1 else None
            rows.append(_weekly(runs[-1], str(scenario["name"]), actual, band))
        facts = {"year": table.year, "title": "Shock propagation", "draws": DRAWS, "level": LEVEL,
                 "last_measured": filled.index[-1].date().isoformat()}  # fmt: skip
        cells = _cells(pd.concat(rows), _sections(runs[0], view.day, latest.iloc[-1]), facts)
        return DeskOutcome(runs[0], tuple(cells))


def stringency(view: View, settings: DeskSettings) -> pd.Series:
    """Return the mean stringency of the regions by day since the shock began, as a share, as far as known."""
    import pandas as pd

    name = str(settings.require("restrictions"))
    period = view.spec(name).period
    frame = view.frame(name, ["region", period, "stringency"])
    daily = frame.groupby(period)["stringency"].mean().sort_index() / 100.0
    days = pd.date_range(pd.Timestamp(settings.require("start")), max(daily.index[-1], pd.Timestamp(view.day)))
    return daily.reindex(days).ffill().fillna(0.0)


def shocked(measured: pd.DataFrame, strength: pd.Series, fear: pd.Series) -> Shock:
    """Return what is lost by day and section.

    Between measured days losses are drawn straight, before the first from nothing at the shock's first day; after the
    last they keep their proportion to the strength of restrictions.

    Parameters
    ----------
    measured
        Days x sections: per cent of normal.
    strength
        Restrictions by day, as a share, to the end of the horizon.
    fear
        By section: share of households' demand that is gone at full strength.
    """
    import pandas as pd

    loss = (1.0 - measured / 100.0).clip(0.0, 1.0)
    days = strength.index
    last = loss.index[-1]
    first = days[0]
    if loss.index[0] > first:
        loss = pd.concat([pd.DataFrame(0.0, index=[first], columns=loss.columns), loss])
    lost = loss.reindex(days.union(loss.index)).interpolate("time").reindex(days)
    then = float(strength[strength.index <= last].iloc[-1])
    after = days > last
    if then > 0.0:
        keep = (strength[after] / then).clip(upper=1.0).to_numpy()
        lost.loc[after] = keep[:, None] * loss.iloc[-1].to_numpy()[None, :]
    unwanted = pd.DataFrame(np.outer(strength, fear), index=days, columns=fear.index)
    return Shock(lost, unwanted)


def ahead(known: pd.Series, day: dt.date, weeks: int, lift: int) -> pd.Series:
    """Return stringency as known until a day, then as the last one, or lifted evenly within so many weeks."""
    import pandas as pd

    past = known[: pd.Timestamp(day)]
    days = pd.date_range(past.index[-1] + pd.Timedelta(days=1), periods=7 * weeks)
    after = np.arange(1, len(days) + 1)
    left = np.ones(len(days)) if lift == 0 else np.clip(1.0 - after / (7.0 * lift), 0.0, 1.0)
    whole: pd.Series = pd.concat([past, pd.Series(past.iloc[-1] * left, index=days)])
    return whole


def _model(table: SectorTable, settings: DeskSettings, production: Any, scale: float = 1.0) -> DynamicInputOutput:
    import pandas as pd

    from opsroom.decide.propagation import DynamicInputOutput

    added = table.output - table.z.sum(axis=0)
    sections = table.z.index
    critical = {str(code) for code in settings.require("critical")}
    rows = np.where(sections.isin(sorted(critical)), 1.0, 0.5)
    days = settings.require("stock_days")
    stock = pd.Series(days, dtype=float).reindex(sections) if isinstance(days, Mapping) else float(days)
    return DynamicInputOutput(
        table.z, table.household, table.other,
        labour=float(settings.require("labour_share")) * added,
        stock_days=np.maximum(np.broadcast_to(np.asarray(stock, dtype=float) * scale, len(sections)), 1.0),
        criticality=pd.DataFrame(np.repeat(rows[:, None], len(sections), axis=1), index=sections, columns=sections),
        production=production,
    )  # fmt: skip


def _band(table: SectorTable, settings: DeskSettings, shock: Shock, day: dt.date) -> pd.DataFrame:
    """Return the interval of output under drawn assumptions: who can do without what, stocks, losses and fear."""
    from opsroom.decide.propagation import ensemble

    names = ("half_critical", "strongly_critical", "weakly_critical", "leontief")

    def draw(rng: np.random.Generator) -> DynamicPath:
        production = names[rng.integers(len(names))]
        model = _model(table, settings, production, float(np.exp(0.3 * rng.standard_normal())))
        return shock.run(model, harder=float(1.0 + 0.05 * rng.standard_normal()), fear=float(rng.uniform(0.7, 1.3)))

    return ensemble(draw, draws=DRAWS, level=LEVEL, seed=day.toordinal()).to_frame()


def _weekly(run: DynamicPath, name: str, actual: pd.Series, band: pd.DataFrame | None) -> pd.DataFrame:
    """Return total output on the last day of each week, in per cent of before, with what was measured."""
    import pandas as pd

    share = 100.0 * run.output.sum(axis=1) / run.before["output"].sum()
    dates = pd.DatetimeIndex(share.index)
    days = dates[dates.day_of_week == 6]  # the last day of a week, as measured weeks are dated
    frame = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "scenario": name, "output": share[days].to_numpy()})
    for column in ("lower", "upper"):
        frame[column] = np.nan if band is None else 100.0 * band.loc[days, column].to_numpy()
    frame["measured"] = actual.reindex(days).to_numpy()
    return frame


def _sections(run: DynamicPath, day: dt.date, measured: pd.Series) -> pd.DataFrame:
    """Return by section what it makes on the day and at the end, what stopped it, and what others lacked of it."""
    import pandas as pd

    from opsroom.decide.propagation.path import BINDING

    at = pd.Timestamp(day)
    recent = slice(at - pd.Timedelta(days=RECENT - 1), at)
    share = 100.0 * run.output / run.before["output"]
    binding = run.binding.loc[recent]
    unmet = ((run.demand - run.output) / run.before["output"].sum()).loc[recent].to_numpy()
    scarce = run.scarce.loc[recent].to_numpy()
    lost = np.bincount(scarce[scarce >= 0], weights=unmet[scarce >= 0], minlength=len(run.before)) / len(binding)
    frame = pd.DataFrame({"date": day.isoformat(), "section": share.columns})
    frame["output"] = share.loc[at].to_numpy()
    frame["ahead"] = share.iloc[-1].to_numpy()
    frame["measured"] = measured.reindex(share.columns).to_numpy()
    for name, code in (("own", BINDING.index("labour")), ("inputs", BINDING.index("inputs"))):
        frame[name] = 100.0 * (binding == code).mean().to_numpy()
    frame["lacked"] = 100.0 * lost
    return frame.round({"output": 1, "ahead": 1, "measured": 1, "own": 0, "inputs": 0, "lacked": 2})


def _cells(paths: pd.DataFrame, sections: pd.DataFrame, facts: dict[str, Any]) -> list[Cells]:
    numbers = ("output", "lower", "upper", "measured")
    before = "% of before"
    return [
        Cells(
            name="propagation.path",
            dimensions=("date", "scenario"),
            measures=tuple(Measure(n, "public", before) for n in numbers),
            frame=paths.round(dict.fromkeys(numbers, 1)).reset_index(drop=True),
            method="propagation",
            facts=facts,
        ),
        Cells(
            name="propagation.section",
            dimensions=("date", "section"),
            measures=(
                Measure("output", "public", before),
                Measure("ahead", "public", f"{before}, at the end of the horizon"),
                Measure("measured", "public", "% of normal"),
                Measure("own", "public", "% of the last 28 days on which its own labour stopped it", decimals=0),
                Measure("inputs", "public", "% of the last 28 days on which inputs stopped it", decimals=0),
                Measure("lacked", "public", "output that others lost for want of it, % of all output", decimals=2),
            ),
            frame=sections,
            method="propagation",
            facts=facts,
        ),
    ]


DESK = PropagationDesk()
