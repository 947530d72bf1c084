"""The economy as a table of sectors, and what the room has published of each: shared by the desks that plan on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.codes import SECTION_OF_DIVISION
from opsroom.base.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.settings import DeskSettings
    from opsroom.room.desk import View

NUMBER = (int, float)
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
    amount = frame[value.name].astype(float) / 10.0 ** (value.scale or 0)
    final = {use: kind for kind in ("household", "other") for use in settings.require(kind)}
    supplier = frame["supplier"].map(section)
    user = frame["user"].where(frame["user"].isin(list(final)), frame["user"].map(section))
    wide = amount.groupby([supplier, user]).sum().unstack(fill_value=0.0)
    sections = sorted(set(wide.index) | (set(wide.columns) - set(final)))
    wide = wide.reindex(index=sections, fill_value=0.0)
    z = wide.reindex(columns=sections, fill_value=0.0)
    z.index.name, z.columns.name = "section", "section"
    uses = {
        kind: wide.reindex(columns=[use for use, k in final.items() if k == kind], fill_value=0.0).sum(axis=1)
        for kind in ("household", "other")
    }
    made = z.sum(axis=1) + uses["household"] + uses["other"]
    kept = made.index[made > 0]
    z = z.loc[kept, kept]
    return SectorTable(z, uses["household"][kept].clip(lower=0.0), uses["other"][kept].clip(lower=0.0), year)


def section(code: str) -> str:
    """Return the NACE section of a division; any other code as it is."""
    return SECTION_OF_DIVISION.get(code, code)


def measured(view: View, settings: DeskSettings, key: str) -> tuple[pd.DataFrame, str] | None:
    """Return what a release series says of each section, newest figure first known, and its newest period.

    Only published figures are read, so that what is made of them betrays nothing else.

    Parameters
    ----------
    key
        Setting with ``series``, ``measure``, ``by``; maybe ``where`` (codes that pick rows), ``lower``, ``upper``.

    Returns
    -------
    tuple of pandas.DataFrame and str, or None
        By section: value, lower, upper (per cent), and since when it is not renewed (``day``).
    """
    import pandas as pd

    rows: dict[str, tuple[float, float, float, str]] = {}
    newest = ""
    for release, row in _rows(view, settings, key):
        about, value, low, high, period = row
        rows[about] = (value, low, high, release)
        newest = max(newest, period)
    if not rows:
        return None
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "lower", "upper", "day"])
    return frame.sort_index(), newest


def measured_path(view: View, settings: DeskSettings, key: str) -> pd.DataFrame:
    """Return what a release series says of each section, by the last day of the period it is about, as last published.

    Returns
    -------
    pandas.DataFrame
        Days x sections, per cent; empty where nothing is published.
    """
    import pandas as pd

    found: dict[tuple[dt.date, str], float] = {}
    for _, (about, value, _, _, period) in _rows(view, settings, key):
        found[last_of(period), about] = value
    if not found:
        return pd.DataFrame()
    wide = pd.Series(found).unstack()
    wide.index = pd.to_datetime(wide.index)
    return wide.sort_index()


def last_of(period: str) -> dt.date:
    """Return the last day of a period as releases write it: a day, or a week as 2020-W07."""
    year, _, week = period.partition("-W")
    return dt.date.fromisocalendar(int(year), int(week), 7) if week else dt.date.fromisoformat(period)


def _rows(view: View, settings: DeskSettings, key: str) -> list[tuple[str, tuple[str, float, float, float, str]]]:
    (given,) = settings.tables(key, needs=MEASURED_NEEDS, allows=MEASURED_ALLOWS)
    kept: dict[str, list[tuple[str, tuple[str, float, float, float, str]]]]
    kept = view.memory.setdefault("sectortable.rows", {})
    out: list[tuple[str, tuple[str, float, float, float, str]]] = []
    for release in view.releases.history(str(given["series"])):
        if release.day > view.day:
            continue
        place = f"{release.id} {release.content_hash} {given!r}"
        if place not in kept:
            kept[place] = [(release.day.isoformat(), row) for row in _read(release, given)]
        out += kept[place]
    return out


def _read(release: Any, given: Mapping[str, Any]) -> list[tuple[str, float, float, float, str]]:
    columns = list(release.columns)
    wanted = [str(given["by"]), str(given["measure"])]
    if any(name not in columns for name in wanted):
        return []
    by, at = (columns.index(name) for name in wanted)
    low = columns.index(str(given["lower"])) if given.get("lower") in columns else at
    high = columns.index(str(given["upper"])) if given.get("upper") in columns else at
    where = {columns.index(str(d)): str(c) for d, c in dict(given.get("where", {})).items() if d in columns}
    first = 0  # the first dimension is the period, where there is one
    found = []
    for row in release.rows:
        if row[at] is None or not all(str(row[k]) == code for k, code in where.items()):
            continue
        bounds = [float(row[k]) if row[k] is not None else float(row[at]) for k in (low, high)]
        found.append((str(row[by]), float(row[at]), bounds[0], bounds[1], str(row[first])))
    return found


def fill(values: pd.Series, sections: pd.Index, weights: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return a figure for every section: of those without one, the weighted mean of the others; and which these are."""
    found = values.reindex(sections)
    unseen = [str(s) for s in sections[found.isna()]]
    seen = found.notna()
    mean = float(np.average(found[seen], weights=weights.reindex(sections)[seen])) if seen.any() else float("nan")
    return found.fillna(mean), unseen
