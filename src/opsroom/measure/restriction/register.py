"""From registers of measures to days: ordinal values by place, and the share of each sector that may not work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import DataError, UsageError
from opsroom.base.periods import AsOf, as_moment
from opsroom.base.results import TOTAL
from opsroom.measure.restriction.index import INDICATORS, Indicator, RestrictionResult

Overlap = Literal["strictest", "independent"]


def daily_values(
    register: pd.DataFrame,
    *,
    start: date | str,
    end: date | str,
    places: Sequence[str] | None = None,
    place: str | None = "region",
    as_of: AsOf = None,
    key: str | None = None,
    known_at: str = "known_at",
    deleted: str | None = None,
    complete_from: Mapping[str, date | str] | None = None,
    indicators: Mapping[str, Indicator] = INDICATORS,
    tz: str = "UTC",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a register of measures into daily ordinal values and flags, ready for `restriction_index`.

    Parameters
    ----------
    register
        One row a vintage of a measure: ``indicator`` (``C1`` …), ``value``, ``flag`` (may be empty), ``start`` and
        ``end`` (first and last day in force; empty while it is open), the place, the moment of knowledge.
    start, end
        First and last day wanted. Days after `as_of` show what was in force or announced then.
    places
        Places wanted; None: those of the register.
    place
        Column of the place; empty or ``_T`` there means everywhere. None: the register has one place, and so has
        the result.
    as_of
        Rows known later do not exist; None: all exist. Without the column of knowledge it must be None.
    key
        Column that identifies a measure; a later row of it (prolonged, eased, withdrawn) replaces the earlier.
    known_at, deleted
        Columns of the moment of knowledge and of the tombstone mark.
    complete_from
        Indicator → first day from which the register is complete. Before it, and for indicators that are not
        named, days without a measure are unknown. None: complete from `start` for every indicator that the
        register has.
    indicators
        Scales.
    tz
        Zone of the as-of day.

    Returns
    -------
    tuple of pandas.DataFrame
        Values and flags, indexed by place and day (by day, without `place`).

    Raises
    ------
    UsageError
        A column is missing, or `as_of` is given for a register without knowledge times.
    DataError
        An unknown indicator, or a measure that ends before it starts.

    Notes
    -----
    Of several measures of one indicator in force at a place the highest value counts, and of those of that value
    the most general.

    Examples
    --------
    >>> register = pd.DataFrame({"indicator": ["C2", "C2"], "value": [2, 3], "flag": [1, 0],
    ...     "start": ["2020-03-16", "2020-03-20"], "end": [None, "2020-03-22"], "region": [None, "North"]})
    >>> values, flags = daily_values(register, start="2020-03-15", end="2020-03-23", places=["North", "South"])
    >>> values.loc["North", "C2"].astype(int).tolist()
    [0, 2, 2, 2, 2, 3, 3, 3, 2]
    """
    rows = _in_force(register, place, as_of, key, known_at, deleted, ("indicator", "value"), tz)
    strange = sorted(set(rows["indicator"]) - set(indicators))
    if strange:
        raise DataError(
            f"the register has unknown indicators: {', '.join(map(str, strange))}.",
            remedy=f"Known are {', '.join(indicators)}.",
            code="OPS-D132",
        )
    days = pd.date_range(str(start), str(end))
    where = _wanted(rows, place, places)
    names = [name for name in indicators if name in set(rows["indicator"]) | set(complete_from or {})]
    since = dict.fromkeys(names, days[0]) if complete_from is None else {n: str(d) for n, d in complete_from.items()}
    index = pd.MultiIndex.from_product([where, days], names=["region" if place is None else place, "date"])
    level = np.full((len(index), len(names)), np.nan)
    mark = level.copy()
    for name in set(names) & set(since):
        quiet = days >= pd.Timestamp(since[name])
        level[:, names.index(name)] = np.where(np.tile(quiet, len(where)), 0.0, np.nan)
    flag = pd.to_numeric(rows["flag"], errors="coerce") if "flag" in rows else pd.Series(np.nan, index=rows.index)
    # Ascending, so that what counts more is written last; an unknown flag counts as targeted.
    worth = rows["value"].to_numpy(dtype=float)
    order = np.lexsort((flag.fillna(0.0).to_numpy(), worth))
    first = np.searchsorted(days.to_numpy(), rows["start"].to_numpy(dtype="datetime64[ns]"))
    last = np.searchsorted(days.to_numpy(), rows["end"].to_numpy(dtype="datetime64[ns]"), side="right")
    column = pd.Index(names).get_indexer(pd.Index(rows["indicator"]))
    everywhere = np.full(len(rows), True) if place is None else (rows["place"] == TOTAL).to_numpy()
    here = pd.Index(where).get_indexer(pd.Index(rows["place"]))
    cube, marks = (x.reshape(len(where), len(days), len(names)) for x in (level, mark))
    general = flag.to_numpy(dtype=float)
    for k in order:
        if everywhere[k] or here[k] >= 0:
            at = (slice(None) if everywhere[k] else here[k], slice(first[k], last[k]), column[k])
            cube[at], marks[at] = worth[k], general[k]
    values, flags = (pd.DataFrame(x, index=index, columns=names) for x in (level, mark))
    return (values.droplevel(0), flags.droplevel(0)) if place is None else (values, flags)


def restricted_shares(
    result: RestrictionResult,
    exposure: pd.DataFrame,
    *,
    telework: pd.Series | None = None,
    overlap: Overlap = "strictest",
) -> pd.DataFrame:
    r"""Turn sub-indices into scenario input: the share of each sector that may not work, by place and day.

    Parameters
    ----------
    result
        Of `restriction_index`.
    exposure
        Sector (rows) by indicator (columns): share of the sector's activity, 0 to 1, that stops when the
        indicator is at its strictest and general. An assumption of the scenario, to be stated with it.
    telework
        Sector → share of the activity that goes on with empty premises.
    overlap
        ``"strictest"``: measures hit the same activity, the largest counts. ``"independent"``: they hit
        independent parts, :math:`1-\prod(1-x)`.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``region``, ``sector``, ``restricted`` (0 to 1), in this order; without places ``region`` is ``_T``.

    Raises
    ------
    UsageError
        Exposure or telework outside 0 to 1, or an indicator that the result lacks.

    Notes
    -----
    Linear in the sub-index: half the score stops half of what the strictest would. Unknown indicators count as no
    restriction, as in the index.
    """
    _shares(exposure.to_numpy(dtype=float), "exposure")
    lacking = [c for c in exposure.columns if c not in result.sub_indices]
    if lacking:
        raise UsageError(
            f"the result has no sub-index of {', '.join(map(str, lacking))}.",
            remedy="Leave these columns out of the exposure, or give their values to restriction_index.",
            code="OPS-U183",
        )
    score = result.sub_indices[list(exposure.columns)].to_numpy() / 100.0
    hit = score[:, None, :] * exposure.to_numpy(dtype=float)[None, :, :]
    share = hit.max(axis=2) if overlap == "strictest" else 1.0 - np.prod(1.0 - hit, axis=2)
    index = result.sub_indices.index
    region = index.get_level_values(0) if isinstance(index, pd.MultiIndex) else pd.Index([TOTAL] * len(index))
    frame = pd.DataFrame(share, columns=exposure.index.astype(str))
    return _long(frame, pd.DatetimeIndex(index.get_level_values(-1)), region, telework)


def shares_from_register(
    register: pd.DataFrame,
    *,
    start: date | str,
    end: date | str,
    sectors: Sequence[str],
    places: Sequence[str] | None = None,
    place: str | None = "region",
    as_of: AsOf = None,
    key: str | None = None,
    known_at: str = "known_at",
    deleted: str | None = None,
    telework: pd.Series | None = None,
    overlap: Overlap = "strictest",
    tz: str = "UTC",
) -> pd.DataFrame:
    """Turn a register of closures into scenario input: the share of each sector that may not work, by place and day.

    Parameters
    ----------
    register
        As for `daily_values`, with ``sector`` (empty or ``_T``: all) and ``share`` (0 to 1, of the sector's activity
        that the measure stops) in place of indicator, value and flag.
    sectors
        Sectors wanted.
    start, end, places, place, as_of, key, known_at, deleted, tz
        See `daily_values`.
    telework, overlap
        See `restricted_shares`.

    Returns
    -------
    pandas.DataFrame
        See `restricted_shares`.

    Examples
    --------
    >>> register = pd.DataFrame({"sector": ["I", None], "share": [1.0, 0.2], "region": [None, "North"],
    ...     "start": ["2020-03-16", "2020-03-17"], "end": [None, "2020-03-17"]})
    >>> table = shares_from_register(register, start="2020-03-16", end="2020-03-17", sectors=["C", "I"],
    ...     places=["North"])
    >>> table["restricted"].tolist()
    [0.0, 1.0, 0.2, 1.0]
    """
    rows = _in_force(register, place, as_of, key, known_at, deleted, ("sector", "share"), tz)
    _shares(rows["share"].to_numpy(dtype=float), "share")
    days, where = pd.date_range(str(start), str(end)), _wanted(rows, place, places)
    free = np.ones((len(where), len(days), len(sectors)))
    everywhere, every = rows["place"] == TOTAL, rows["sector"].isna() | (rows["sector"] == TOTAL)
    for k in range(len(rows)):
        row = rows.iloc[k]
        first, last = days.searchsorted(row["start"]), days.searchsorted(row["end"], side="right")
        hit_places = [p for p, name in enumerate(where) if everywhere.iloc[k] or row["place"] == name]
        hit_sectors = [s for s, name in enumerate(sectors) if every.iloc[k] or row["sector"] == name]
        at = np.ix_(hit_places, range(first, last), hit_sectors)
        left = 1.0 - float(row["share"])
        free[at] = np.minimum(free[at], left) if overlap == "strictest" else free[at] * left
    frame = pd.DataFrame((1.0 - free).reshape(-1, len(sectors)).round(12), columns=list(sectors))
    region = pd.Index(np.repeat(np.array(where, dtype=object), len(days)))
    return _long(frame, pd.DatetimeIndex(np.tile(days, len(where))), region, telework)


def _in_force(
    register: pd.DataFrame, place: str | None, as_of: AsOf, key: str | None, known_at: str, deleted: str | None,
    wanted: tuple[str, ...], tz: str,
) -> pd.DataFrame:  # fmt: skip
    """Return the measures as they were known, one row each, with whole days."""
    columns = [*wanted, "start", "end", *([place] if place else []), *([key] if key else [])]
    columns += [deleted] if deleted else []
    absent = [c for c in columns if c not in register.columns]
    if absent:
        raise UsageError(
            f"the register lacks the column(s) {', '.join(absent)}.", remedy="Name its columns.", code="OPS-U184"
        )
    rows = register
    if known_at in rows.columns:
        known = pd.to_datetime(rows[known_at], utc=True)
        if as_of is not None:
            kept = (known <= as_moment(as_of, tz)).to_numpy()
            rows, known = rows[kept], known[kept]
        rows = rows.iloc[np.argsort(known.to_numpy(), kind="stable")]
    elif as_of is not None:
        raise UsageError(
            "the register does not say when its rows were known.",
            remedy=f"Give a column {known_at!r}, or leave as_of out: the series is then retrospective.",
            code="OPS-U185",
        )
    if key is not None:
        rows = rows[~rows.duplicated(key, keep="last")]
    if deleted is not None:
        rows = rows[~rows[deleted].fillna(False).astype(bool)]
    start, end = pd.to_datetime(rows["start"]).dt.normalize(), pd.to_datetime(rows["end"]).dt.normalize()
    if start.isna().any() or (end < start).any():
        raise DataError(
            "a measure has no first day, or ends before it.", remedy="Correct the register.", code="OPS-D133"
        )
    where = rows[place].fillna(TOTAL).astype(str) if place else pd.Series(TOTAL, index=rows.index)
    open_end = end.fillna(pd.Timestamp.max.normalize() - timedelta(days=1))
    return rows.assign(start=start, end=open_end, place=where).reset_index(drop=True)


def _wanted(rows: pd.DataFrame, place: str | None, places: Sequence[str] | None) -> list[str]:
    if place is None:
        return [TOTAL]
    found = list(places) if places is not None else sorted(set(rows["place"]) - {TOTAL})
    return found or [TOTAL]


def _shares(values: np.ndarray, name: str) -> None:
    if not ((values >= 0) & (values <= 1)).all():
        raise UsageError(f"{name} is not between 0 and 1.", remedy="Give shares, not per cent.", code="OPS-U186")


def _long(frame: pd.DataFrame, days: pd.DatetimeIndex, region: pd.Index, telework: pd.Series | None) -> pd.DataFrame:
    if telework is not None:
        _shares(telework.to_numpy(dtype=float), "telework")
        frame = frame * (1.0 - telework.reindex(frame.columns).fillna(0.0).to_numpy(dtype=float))
    wide = frame.assign(date=days, region=np.asarray(region))
    long = wide.melt(["date", "region"], var_name="sector", value_name="restricted")
    order = np.lexsort((long["sector"], long["region"], long["date"]))
    return long.iloc[order].reset_index(drop=True)
