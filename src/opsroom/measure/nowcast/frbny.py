"""The New York Fed's public nowcasting panel: a specification in its format, and vintages of levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.spec import Frequency, SeriesSpec, Transform

_SPEC = "frbny_spec_us_example.csv"
_VINTAGES = "frbny_us_vintages_2016-06-29_2016-09-30.parquet"


@dataclass(frozen=True, slots=True)
class Specification:
    """Which series a model has, how they are transformed, and the blocks that they belong to.

    Attributes
    ----------
    blocks
        Series → names of its blocks, in the file's order.
    frequency
        Series → ``"M"`` or ``"Q"``.
    transform
        Series → ``lin``, ``chg``, ``ch1``, ``pch``, ``pc1``, ``pca`` or ``log``.
    category, title
        Series → a word for grouping, and its name for readers, where the file has them.
    """

    blocks: Mapping[str, tuple[str, ...]]
    frequency: Mapping[str, str]
    transform: Mapping[str, str]
    category: Mapping[str, str] = field(default_factory=dict)
    title: Mapping[str, str] = field(default_factory=dict)

    def series(self) -> list[SeriesSpec]:
        """Return the series as the nowcast specifies them; their blocks are the model's."""
        return [
            SeriesSpec(
                name,
                cast(Frequency, frequency),
                cast(Transform, self.transform[name]),
                category=self.category.get(name, ""),
                title=self.title.get(name, ""),
            )
            for name, frequency in self.frequency.items()
        ]


@dataclass(frozen=True, slots=True)
class Vintages:
    """Vintages of a panel, transformed: day → (monthly table, quarterly table), and the series' blocks."""

    panels: Mapping[pd.Timestamp, tuple[pd.DataFrame, pd.DataFrame]]
    blocks: Mapping[str, tuple[str, ...]]


def read_specification(path: Path) -> Specification:
    """Read a specification in the New York Fed's format (``Spec_US_example``) from a CSV file.

    Series whose ``Model`` is 0 are left out; columns ``Block1-Global`` … name the blocks.

    Raises
    ------
    UsageError
        A column is missing.
    """
    table = pd.read_csv(path)
    absent = [c for c in ("Model", "SeriesID", "Frequency", "Transformation") if c not in table]
    if absent:
        raise UsageError(
            f"{path.name} lacks the column(s) {', '.join(absent)}.", remedy="Give a file in the New York Fed's format."
        )
    table = table[table["Model"] == 1].set_index("SeriesID")
    columns = [c for c in table.columns if c.startswith("Block")]
    names = {c: c.split("-", 1)[-1] for c in columns}
    blocks = {str(s): tuple(names[c] for c in columns if row[c] == 1) for s, row in table.iterrows()}
    return Specification(
        blocks,
        {str(s): str(f).upper() for s, f in table["Frequency"].items()},
        {str(s): str(t) for s, t in table["Transformation"].items()},
        *({str(s): str(w) for s, w in table[c].items()} if c in table else {} for c in ("Category", "SeriesName")),
    )


def transformed(levels: pd.Series, transform: str, *, quarterly: bool) -> pd.Series:
    """Return a series transformed as the specification says; changes from one month or quarter to the next."""
    year = 4 if quarterly else 12
    before, year_ago = levels.shift(1), levels.shift(year)
    found = {
        "lin": lambda: levels,
        "chg": lambda: levels - before,
        "ch1": lambda: levels - year_ago,
        "pch": lambda: 100.0 * (levels / before - 1.0),
        "pc1": lambda: 100.0 * (levels / year_ago - 1.0),
        "pca": lambda: 100.0 * ((levels / before) ** year - 1.0),
    }
    if transform not in found:
        raise UsageError(f"transform {transform!r} is not known.", remedy=f"Use one of {', '.join(found)}.")
    return pd.Series(found[transform]())


def panel_of(
    levels: pd.DataFrame, spec: Specification, *, start: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one vintage transformed: a monthly and a quarterly table.

    Parameters
    ----------
    levels
        ``series_id``, ``period`` (a day in the period), ``value``.
    spec
        The specification.
    start
        First month kept.
    """
    tables: dict[str, dict[str, pd.Series]] = {"M": {}, "Q": {}}
    by_name = dict(list(levels.groupby("series_id")))
    for name, frequency in spec.frequency.items():
        own = by_name[name]
        index = pd.PeriodIndex(pd.to_datetime(own["period"]), freq=frequency)
        series = pd.Series(own["value"].to_numpy(), index=index).sort_index()
        series = series.reindex(pd.period_range(index.min(), index.max(), freq=frequency))
        tables[frequency][name] = transformed(series, spec.transform[name], quarterly=frequency == "Q")
    monthly, quarterly = pd.DataFrame(tables["M"]), pd.DataFrame(tables["Q"])
    if start is not None:
        month = pd.Period(start, freq="M")
        monthly, quarterly = monthly[monthly.index >= month], quarterly[quarterly.index >= month.asfreq("Q")]
    return monthly, quarterly


def read_vintages(folder: Path, *, start: str | None = "2000-01") -> Vintages:
    """Read specification and vintages (``series_id``, ``period``, ``value``, ``vintage``) from a folder."""
    spec = read_specification(folder / _SPEC)
    table = pd.read_parquet(folder / _VINTAGES)
    panels = {pd.Timestamp(str(day)): panel_of(own, spec, start=start) for day, own in table.groupby("vintage")}
    return Vintages(panels, spec.blocks)
