"""What is lost by day, section and region before anything travels: for the desk `propagation`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.room.desks.areas import NATION, by_area, vintages
from opsroom.room.desks.publicdata import only_measure
from opsroom.room.desks.sectortable import measured_path

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.decide.propagation import DynamicInputOutput, DynamicPath, Scenario
    from opsroom.room.desk import View

Floats = npt.NDArray[np.float64]
Types = Mapping[str, type | tuple[type, ...]]
SCENARIO: Types = {"name": str, "lift_weeks": int, "file": str}
REGIONS: Types = {"series": str, "region": str, "section": str, "value": str}
FOLDER = "scenarios"
"""Folder of the room that holds scenario files."""
MOST = 0.98
"""Share of a section's labour or demand that can be lost at most."""


@dataclass(frozen=True, slots=True)
class Shock:
    """What is lost by day, section and region, before anything travels.

    Attributes
    ----------
    days
        The days.
    lost
        Days x sections x regions: share of what the section can do there.
    unwanted
        Days x sections: share of households' demand.
    weights
        Sections x regions: each region's share of the section.
    """

    days: pd.DatetimeIndex
    lost: Floats
    unwanted: Floats
    weights: pd.DataFrame

    def losses(self, harder: float = 1.0) -> Floats:
        """Return losses that are larger or smaller by a factor, days x sections x regions."""
        return np.asarray(np.clip(harder * self.lost, 0.0, MOST), dtype=np.float64)

    def run(self, model: DynamicInputOutput, *, harder: float = 1.0, fear: float = 1.0) -> DynamicPath:
        """Return the economy's path; losses may be larger or smaller by a factor each."""
        return model.run(
            len(self.days),
            supply_shock=(self.losses(harder) * self.weights.to_numpy(np.float64)).sum(axis=2),
            demand_shock=np.clip(fear * self.unwanted, 0.0, MOST),
            start=self.days[0].date(),
        )


def stringency(view: View, settings: DeskSettings) -> pd.DataFrame:
    """Return stringency by day since the shock began and region, as a share, as far as known."""
    import pandas as pd

    name = str(settings.require("restrictions"))
    period = view.spec(name).period
    frame = view.frame(name, ["region", period, "stringency"])
    daily = frame.pivot_table(index=period, columns="region", values="stringency").sort_index() / 100.0
    days = pd.date_range(pd.Timestamp(settings.require("start")), max(daily.index[-1], pd.Timestamp(view.day)))
    return daily.reindex(days).ffill().fillna(0.0)


def region_weights(view: View, settings: DeskSettings, sections: pd.Index, there: pd.Index) -> pd.DataFrame:
    """Return sections x regions: each region's share of a section, by public data alone.

    Setting ``regions``, a table: ``dataset`` and ``series`` (a public dataset of series by area: ``income`` has the
    areas of ``income.R01``, ``income.R02`` …; every section is divided alike), or ``dataset``, ``region``, ``section``
    and maybe ``value`` (fields of a public dataset that has output by region and section). Without it there is one
    region, the whole.

    Raises
    ------
    SettingsError
        A dataset that is not public or has no such fields, or regions other than those of the restrictions.
    """
    import pandas as pd

    if settings.get("regions") is None:
        return pd.DataFrame(1.0, index=sections, columns=pd.Index([NATION], name="region"))
    (given,) = settings.tables("regions", needs={"dataset": str}, allows=REGIONS)
    name, where = str(given["dataset"]), f"room.toml: desk {settings.name!r}: regions"
    spec = view.spec(name)
    if spec.confidential:
        raise SettingsError(
            f"{where}: {name!r} is confidential, and what is divided by it would be, too.",
            remedy="Name a public dataset.",
            code="OPS-C042",
        )
    if "series" in given:
        own = DeskSettings(settings.kind, settings.name, {k: given[k] for k in ("dataset", "value") if k in given})
        latest = by_area(vintages(view, own), str(given["series"])).drop_duplicates(["area", "period"], keep="last")
        latest = latest[latest["area"] != NATION].pivot(index="period", columns="area", values="value").dropna()
        values = pd.DataFrame([latest.iloc[-1]] * len(sections), index=sections) if len(latest) else pd.DataFrame()
    else:
        fields = [str(given.get(k, k)) for k in ("section", "region")]
        if not set(fields) <= view.fields(name):
            raise SettingsError(
                f"{where}: {name!r} has no field of that name.", remedy="Give series, or section and region.",
                code="OPS-C042",
            )  # fmt: skip
        value = str(given.get("value") or only_measure(spec, settings))
        frame = view.frame(name, [*fields, spec.period, value])
        frame = frame[frame[spec.period] == frame[spec.period].max()]
        values = frame.pivot_table(index=fields[0], columns=fields[1], values=value, aggfunc="sum").reindex(sections)
        values = values.fillna(0.0).astype(float)
        values[values.sum(axis=1) <= 0.0] = values.sum() / len(sections)  # of a section without any: as all together
    if set(values.columns) != set(there):
        raise SettingsError(
            f"{where}: the regions of {name!r} are not those of the restrictions.",
            remedy="Give both the same codes.",
            code="OPS-C042",
        )
    values = values[sorted(values.columns)].clip(lower=0.0).astype(float)
    values.columns.name = "region"
    return values.div(values.sum(axis=1), axis=0)


def hit_by(view: View, settings: DeskSettings, regions: pd.Index, days: pd.DatetimeIndex) -> pd.DataFrame | None:
    """Return days x regions: the share that a release series says is lost of each; None where there is none.

    Setting ``measured_regions``, as ``measured`` (see `sectortable.measured_path`). Between measurements straight,
    before the first and after the last as then.
    """
    if settings.get("measured_regions") is None:
        return None
    path = measured_path(view, settings, "measured_regions")
    path = path.reindex(columns=regions).dropna(axis=1, how="all") if len(path) else path
    path = path[path.index >= days[0]] if len(path) else path
    if path.empty or len(path.columns) < len(regions):
        return None  # a region of which nothing is published: restrictions say more of it than the others do
    lost = (1.0 - path.ffill().bfill() / 100.0).clip(0.0, 1.0)
    return lost.reindex(lost.index.union(days)).interpolate("time").bfill().reindex(days)


def scenarios(view: View, settings: DeskSettings, sections: pd.Index) -> list[Scenario]:
    """Return the scenarios that the room names, those in files checked against its regions and the table's sections.

    Raises
    ------
    SettingsError
        A table that is neither name and lift_weeks nor a file, a file outside the room, two of one name, or a file
        that breaks a rule.
    """
    from opsroom.decide.propagation import Scenario, read_scenario

    where = f"room.toml: desk {settings.name!r}: scenarios"
    found: list[Scenario] = []
    regions = [region.code for region in view.settings.regions]
    for number, table in enumerate(settings.tables("scenarios", needs={}, allows=SCENARIO), start=1):
        if set(table) == {"file"}:
            name = str(table["file"])
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.toml", name):
                raise SettingsError(
                    f"{where}, table {number}: the file is not one of the room's folder {FOLDER!r}.",
                    remedy='Put it there and write its name alone, file = "….toml".',
                    code="OPS-C042",
                )
            found.append(read_scenario(view.folder / FOLDER / name, sections=list(sections), regions=regions or None))
        elif set(table) == {"name", "lift_weeks"}:
            found.append(Scenario(str(table["name"]), lift_weeks=int(table["lift_weeks"])))
        else:
            raise SettingsError(
                f"{where}, table {number} has neither name and lift_weeks nor a file.",
                remedy='Write {name = "…", lift_weeks = 0} or {file = "….toml"}.',
                code="OPS-C004",
            )
    if not found or len({one.name for one in found}) < len(found):
        raise SettingsError(
            f"{where}: there is none, or two have one name.", remedy="Give each a name of its own.", code="OPS-C004"
        )
    return found


def shocked(
    measured: pd.DataFrame,
    strength: pd.DataFrame,
    fear: pd.Series,
    weights: pd.DataFrame,
    *,
    hit: pd.DataFrame | None = None,
    scenario: Scenario | None = None,
    output: pd.Series | None = None,
) -> Shock:
    """Return what is lost by day, section and region.

    Between measured days losses are drawn straight, before the first from nothing at the shock's first day; after the
    last they keep, in each region, their proportion to the strength of restrictions there. A scenario's own shocks
    take their share of what is left, from the day after the last measurement on: what was measured holds them already.

    Parameters
    ----------
    measured
        Days x sections: per cent of normal.
    strength
        Days x regions: restrictions, as a share, to the end of the horizon.
    fear
        By section: share of households' demand that is gone at full strength.
    weights
        Sections x regions: each region's share of the section.
    hit
        Days x regions: how hard regions are hit up to the last measurement; `strength` where absent.
    scenario
        What comes beside restrictions.
    output
        By section, as weights of the regions in households' demand; all alike where absent.
    """
    import pandas as pd

    from opsroom.decide.propagation import spread

    loss = (1.0 - measured / 100.0).clip(0.0, 1.0)
    days = pd.DatetimeIndex(strength.index)
    last = loss.index[-1]
    first = days[0]
    if loss.index[0] > first:
        loss = pd.concat([pd.DataFrame(0.0, index=[first], columns=loss.columns), loss])
    lost = loss.reindex(loss.index.union(days)).interpolate("time").reindex(days)
    regions = list(weights.columns)
    strong = strength[regions]
    hardest = strong if hit is None else hit[regions].reindex(days).ffill()
    w = weights.loc[lost.columns].to_numpy(np.float64)
    found = spread(lost.to_numpy(np.float64), w, hardest.to_numpy(np.float64))
    then = strong[days <= last].iloc[-1].to_numpy(np.float64)
    at = len(days[days <= last]) - 1
    after = np.asarray(days > last)
    later = strong[after].to_numpy(np.float64)
    keep = np.divide(later, then, out=np.ones_like(later), where=then > 0.0).clip(max=1.0)
    found[after] = found[at][None] * keep[:, None, :]
    gone = strong.to_numpy(np.float64)[:, None, :] * fear.to_numpy(np.float64)[None, :, None]
    if scenario is not None and scenario.shocks:
        codes = [str(code) for code in lost.columns]
        found[after] = 1.0 - (1.0 - found[after]) * (1.0 - scenario.supply(days[after], codes, regions))
        gone[after] = 1.0 - (1.0 - gone[after]) * (1.0 - scenario.demand(days[after], codes, regions))
    people = np.average(w, axis=0, weights=None if output is None else output.reindex(lost.columns))
    return Shock(days, found, gone @ people, weights.loc[lost.columns])


def ahead(known: pd.DataFrame, day: dt.date, weeks: int, lift: int) -> pd.DataFrame:
    """Return stringency as known until a day, then as the last one, or lifted evenly within so many weeks."""
    import pandas as pd

    past = known[: pd.Timestamp(day)]
    days = pd.date_range(past.index[-1] + pd.Timedelta(days=1), periods=7 * weeks)
    after = np.arange(1, len(days) + 1)
    left = np.ones(len(days)) if lift == 0 else np.clip(1.0 - after / (7.0 * lift), 0.0, 1.0)
    rest = pd.DataFrame(np.outer(left, past.iloc[-1]), index=days, columns=known.columns)
    whole: pd.DataFrame = pd.concat([past, rest])
    return whole
