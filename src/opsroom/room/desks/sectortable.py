"""The economy as a table of sectors, and what the room has published of each: shared by the desks that plan on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.charts import is_period
from opsroom.base.errors import SettingsError
from opsroom.base.periods import Frequency, last_day, parse_period
from opsroom.room.sections import by_section

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.settings import DeskSettings
    from opsroom.protect.release import Release
    from opsroom.room.desk import View

MEASURED_NEEDS: Mapping[str, type | tuple[type, ...]] = {"series": str, "measure": str, "by": str}
MEASURED_ALLOWS: Mapping[str, type | tuple[type, ...]] = {"where": dict, "lower": str, "upper": str}


@dataclass(frozen=True, slots=True)
class SectorTable:
    """Who buys what of whom, in units of currency a year.

    Attributes
    ----------
    z
        Sections x sections: what the column bought of the row.
    household, other
        Final uses by section.
    year
        Of the table.
    """

    z: pd.DataFrame
    household: pd.Series
    other: pd.Series
    year: int

    @property
    def output(self) -> pd.Series:
        """Output by section."""
        return self.z.sum(axis=1) + self.household + self.other

    @property
    def coefficients(self) -> pd.DataFrame:
        """Inputs of the row per unit of the column's output."""
        return self.z / self.output


def sector_table(view: View, settings: DeskSettings) -> SectorTable:
    """Read the newest input-output table known, with divisions added up to sections.

    Settings: ``table`` (dataset with ``supplier``, ``user`` and one number), ``household`` and ``other`` (users that
    are final uses).
    """
    name = str(settings.require("table"))
    spec = view.spec(name)
    value = next((f for f in spec.fields if f.type in ("money", "quantity", "number")), None)
    if value is None or not {"supplier", "user"} <= view.fields(name):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: {name!r} is no input-output table.",
            remedy="It needs supplier, user and one number.",
            code="OPS-C006",
        )
    frame = view.frame(name, ["supplier", "user", spec.period, value.name])
    frame = frame[frame[spec.period] == frame[spec.period].max()]
    year = int(frame[spec.period].iloc[0].year)
    amount = frame[value.name] / 10.0 ** (value.scale or 0)
    final = {use: kind for kind in ("household", "other") for use in settings.require(kind)}
    wide = by_section(frame["supplier"], frame["user"], amount, final=list(final))
    sections = wide.index
    z = wide[list(sections)]
    z.index.name, z.columns.name = "section", "section"
    uses = {kind: wide[[use for use, k in final.items() if k == kind]].sum(axis=1) for kind in ("household", "other")}
    made = z.sum(axis=1) + uses["household"] + uses["other"]
    kept = made.index[made > 0]
    z = z.loc[kept, kept]
    return SectorTable(z, uses["household"][kept].clip(lower=0.0), uses["other"][kept].clip(lower=0.0), year)


def measured(view: View, settings: DeskSettings, key: str) -> tuple[pd.DataFrame, str] | None:
    """Return what a release series last said of each section, and the newest period that it spoke of.

    Only published figures are read, so that what is made of them betrays nothing else.

    Parameters
    ----------
    key
        Setting with ``series``, ``measure``, ``by``; maybe ``where`` (codes that pick rows), ``lower``, ``upper``.

    Returns
    -------
    tuple of pandas.DataFrame and str, or None
        By section: value, lower, upper (per cent). None where nothing is published.
    """
    import pandas as pd

    rows = _rows(view, settings, key)
    if not rows:
        return None
    latest = {row.section: (row.value, row.lower, row.upper) for row in rows}
    frame = pd.DataFrame.from_dict(latest, orient="index", columns=["value", "lower", "upper"])
    return frame.sort_index(), max(row.period for row in rows)


def measured_path(view: View, settings: DeskSettings, key: str) -> pd.DataFrame:
    """Return what a release series says of each section, by the last day of the period it is about, as last published.

    Returns
    -------
    pandas.DataFrame
        Days x sections, per cent; empty where nothing is published.
    """
    import pandas as pd

    found = {(last_of(row.period), row.section): row.value for row in _rows(view, settings, key)}
    if not found:
        return pd.DataFrame()
    wide = pd.Series(found).unstack()
    wide.index = pd.to_datetime(wide.index)
    return wide.sort_index()


def last_of(period: str) -> dt.date:
    """Return the last day of a period as releases write it: 2020-02-29, 2020-W07, 2020-02, 2020-Q1 or 2020."""
    kinds = {"-W": Frequency.WEEKLY, "-Q": Frequency.QUARTERLY}
    by_length = {4: Frequency.ANNUAL, 7: Frequency.MONTHLY}
    frequency = next((f for mark, f in kinds.items() if mark in period), by_length.get(len(period), Frequency.DAILY))
    return last_day(parse_period(period, frequency), frequency)


@dataclass(frozen=True, slots=True)
class _Row:
    """What one release says of one section, per cent."""

    section: str
    value: float
    lower: float
    upper: float
    period: str


def _rows(view: View, settings: DeskSettings, key: str) -> list[_Row]:
    """Return what was published by the view's day, oldest release first; each release is read once."""
    (given,) = settings.tables(key, needs=MEASURED_NEEDS, allows=MEASURED_ALLOWS)
    kept: dict[str, list[_Row]] = view.memory.setdefault("sectortable.rows", {})
    out: list[_Row] = []
    for release in view.releases.history(str(given["series"])):
        if release.day > view.day:
            continue
        place = f"{release.id} {release.content_hash} {given!r}"
        if place not in kept:
            kept[place] = _read(release, given)
        out += kept[place]
    return out


def _read(release: Release, given: Mapping[str, Any]) -> list[_Row]:
    columns = list(release.columns)
    wanted = [str(given["by"]), str(given["measure"])]
    time = next((d for d in release.dimensions if release.rows and is_period(release.rows[0][columns.index(d)])), None)
    if time is None or any(name not in columns for name in wanted):
        return []
    by, at = (columns.index(name) for name in wanted)
    low, high = (columns.index(str(given.get(k))) if given.get(k) in columns else at for k in ("lower", "upper"))
    where = {columns.index(str(d)): str(c) for d, c in dict(given.get("where", {})).items() if d in columns}
    found = []
    for row in release.rows:
        if row[at] is None or not all(str(row[k]) == code for k, code in where.items()):
            continue
        lower, upper = (float(row[at] if row[k] is None else row[k]) for k in (low, high))
        found.append(_Row(str(row[by]), float(row[at]), lower, upper, str(row[columns.index(time)])))
    return found


def fill(values: pd.Series, sections: pd.Index, weights: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return a figure for every section: of those without one, the weighted mean of the others; and which these are."""
    found = values.reindex(sections)
    unseen = [str(s) for s in sections[found.isna()]]
    seen = found.notna()
    mean = float(np.average(found[seen], weights=weights.reindex(sections)[seen])) if seen.any() else float("nan")
    return found.fillna(mean), unseen
