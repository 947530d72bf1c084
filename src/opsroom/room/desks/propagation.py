"""Desk `propagation`: how a shock travels through sections and regions, day by day, and what stops whom.

Settings: ``table``, ``household``, ``other`` (see `sectortable`); ``measured`` (a table: ``series``, ``measure``,
``by``, maybe ``where``), a release series of what each section does, in per cent of normal, by week or day;
``restrictions`` (dataset: region, date, ``stringency`` from 0 to 100); ``labour_share`` (of value added that is paid
for labour); ``stock_days`` (for how long inputs last: a number, or by section); ``critical`` (sections without whose
product no other can work; all else is important); ``demand`` (section -> share of households' demand that is gone at a
stringency of 100); ``scenarios`` (tables of ``name`` and ``lift_weeks``: restrictions are lifted evenly within so many
weeks from the day on, or stay, with 0; or of ``file``: a scenario file in the room's folder ``scenarios``, see
`opsroom.decide.propagation.read_scenario`); ``start`` (first day of the shock); ``horizon_weeks`` (default 13).

With ``regions`` (a table, see `shockpath.region_weights`) losses and output are told by region, too; then
``measured_regions`` may name a release series of what each region does, as ``measured`` does of sections.

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
from opsroom.room.desks.shockpath import Shock, ahead, hit_by, region_weights, scenarios, shocked, stringency

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.decide.propagation import DynamicInputOutput, DynamicPath, RegionalPath, Scenario

METHOD = "propagation-2"
DRAWS, LEVEL = 20, 0.9
RECENT = 28
"""Days over which it is counted what stopped whom, and from which on daily figures are published."""
TOTAL = "_T"


class PropagationDesk:
    """Follow a shock through the sections."""

    cadences: Mapping[str, Cadence] = {
        "propagation.path": "monthly", "propagation.section": "monthly", "propagation.region": "monthly",
        "propagation.daily": "monthly",
    }  # fmt: skip

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return output by week and scenario, by section (what stops whom), by region, and day by day."""
        import pandas as pd

        from opsroom.decide.propagation import split

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
        weights = region_weights(view, settings, sections, known.columns)
        if settings.get("regions") is None:
            known = known.mean(axis=1).to_frame(weights.columns[0])
        latest = path.ffill()  # what was not published of a week is as it was last published
        filled = pd.DataFrame({day: fill(row, sections, table.output)[0] for day, row in latest.iterrows()}).T
        fear = pd.Series(dict(settings.get("demand", {})), dtype=float).reindex(sections).fillna(0.0)
        actual = pd.Series(np.average(filled, weights=table.output, axis=1), index=filled.index)
        weeks = int(settings.get("horizon_weeks", 13))
        model = _model(table, settings, "half_critical")
        hit = hit_by(view, settings, weights.columns, pd.DatetimeIndex(known.index))
        asked = scenarios(view, settings, sections)
        runs: list[DynamicPath] = []
        parts: list[RegionalPath] = []
        rows: list[pd.DataFrame] = []
        band: _Band | None = None
        for scenario in asked:
            shock = shocked(filled, ahead(known, view.day, weeks, scenario.lift_weeks), fear, weights, hit=hit,
                            scenario=scenario, output=table.output)  # fmt: skip
            runs.append(shock.run(model))
            parts.append(split(runs[-1], weights, shock.losses()))
            band = band or _band(table, settings, shock, view.day)
            rows.append(_weekly(runs[-1], scenario.name, actual, band.total if len(runs) == 1 else None))
        facts = {"year": table.year, "title": "Shock propagation", "draws": DRAWS, "level": LEVEL,
                 "last_measured": filled.index[-1].date().isoformat(), "scenarios": _told(asked)}  # fmt: skip
        if told := [f"{one.name} ({one.source})" for one in asked if one.sha256]:
            facts["scenario_sources"] = "; ".join(told)
        found = [*_cells(pd.concat(rows), _sections(runs[0], view.day, latest.iloc[-1]), facts)]
        by_region = settings.get("regions") is not None
        found.append(_daily(parts[0], view.day, facts, by_region=by_region))
        if by_region and band is not None:
            found.append(_by_region(parts, [one.name for one in asked], band, view.day, facts))
        return DeskOutcome(runs[0], tuple(found))


def _told(asked: list[Scenario]) -> list[dict[str, Any]]:
    """Return by whose word scenarios are, and which file they stood in: a release says what it rests on."""
    return [
        {"name": one.name, "lift_weeks": one.lift_weeks}
        | ({"source": one.source, "shocks": len(one.shocks), "sha256": one.sha256} if one.sha256 else {})
        for one in asked
    ]


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


@dataclass(frozen=True, slots=True)
class _Band:
    """The interval of output under drawn assumptions, as shares of before: in all by day, and by day and region."""

    total: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame


def _band(table: SectorTable, settings: DeskSettings, shock: Shock, day: dt.date) -> _Band:
    """Draw who can do without what, stocks, losses and fear."""
    import pandas as pd

    from opsroom.decide.propagation import ensemble, split

    names = ("half_critical", "strongly_critical", "weakly_critical", "leontief")
    parts: list[pd.DataFrame] = []

    def draw(rng: np.random.Generator) -> DynamicPath:
        production = names[rng.integers(len(names))]
        model = _model(table, settings, production, float(np.exp(0.3 * rng.standard_normal())))
        harder = float(1.0 + 0.05 * rng.standard_normal())
        path = shock.run(model, harder=harder, fear=float(rng.uniform(0.7, 1.3)))
        parts.append(split(path, shock.weights, shock.losses(harder)).by_region())
        return path

    total = ensemble(draw, draws=DRAWS, level=LEVEL, seed=day.toordinal()).to_frame()
    tail = (1.0 - LEVEL) / 2.0
    lower, upper = np.quantile(np.stack([one.to_numpy() for one in parts]), [tail, 1.0 - tail], axis=0)
    at, regions = parts[0].index, parts[0].columns
    return _Band(total, pd.DataFrame(lower, at, regions), pd.DataFrame(upper, at, regions))


def _by_region(parts: list[RegionalPath], names: list[str], band: _Band, day: dt.date, facts: dict[str, Any]) -> Cells:
    """Return output by region, scenario and week, from a few weeks before the day on."""
    import pandas as pd

    dates = pd.DatetimeIndex(parts[0].index)
    weeks = dates[(dates.day_of_week == 6) & (dates > pd.Timestamp(day) - pd.Timedelta(days=RECENT))]
    rows = []
    for number, (part, name) in enumerate(zip(parts, names, strict=True)):
        wide = {"output": part.by_region(), "lower": band.lower, "upper": band.upper}
        long = pd.DataFrame({key: 100.0 * one.loc[weeks].stack() for key, one in wide.items()})
        long.index.names = ["date", "region"]
        if number > 0:  # the assumptions are drawn for the first scenario
            long[["lower", "upper"]] = np.nan
        rows.append(long.reset_index().assign(scenario=name))
    frame = pd.concat(rows, ignore_index=True)
    frame["date"] = pd.to_datetime(frame["date"]).dt.strftime("%Y-%m-%d")
    numbers = ("output", "lower", "upper")
    return Cells(
        name="propagation.region",
        dimensions=("date", "region", "scenario"),
        measures=tuple(Measure(n, "public", "% of before") for n in numbers),
        frame=frame[["date", "region", "scenario", *numbers]].round(dict.fromkeys(numbers, 1)),
        method=METHOD,
        facts={**facts, "title": "Shock propagation by region"},
    )


def _daily(part: RegionalPath, day: dt.date, facts: dict[str, Any], *, by_region: bool) -> Cells:
    """Return output day by day under the first scenario: of each section, of each region, and of all."""
    import pandas as pd

    recent = part.index > pd.Timestamp(day) - pd.Timedelta(days=RECENT)
    whole = pd.DataFrame({TOTAL: part.output.sum(axis=(1, 2)) / part.before.to_numpy().sum()}, index=part.index)
    tables = [("section", whole.join(part.by_sector())), *([("region", part.by_region())] if by_region else [])]
    rows = []
    for dimension, wide in tables:
        long = (100.0 * wide[recent].rename_axis(index="date")).melt(
            var_name=dimension, value_name="output", ignore_index=False
        )
        other = "region" if dimension == "section" else "section"
        rows.append(long.reset_index().assign(**{other: TOTAL}))
    frame = pd.concat(rows, ignore_index=True).dropna(subset=["output"])
    frame["date"] = pd.to_datetime(frame["date"]).dt.strftime("%Y-%m-%d")
    columns = ["date", "section", "region", "output"]
    return Cells(
        name="propagation.daily",
        dimensions=("date", "section", "region"),
        measures=(Measure("output", "public", "% of before"),),
        frame=frame[columns].round({"output": 1}),
        method=METHOD,
        facts={**facts, "title": "Shock propagation day by day"},
    )


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
            method=METHOD,
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
            method=METHOD,
            facts=facts,
        ),
    ]


DESK = PropagationDesk()
