"""Sub-indices and indices of restrictions, by the published rules of the Oxford tracker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import DataError, NotFoundError, UsageError

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]

RECENT = 7
"""Last days that are rejected where a better known day is among them."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """An ordinal indicator: its largest value, and whether a flag says if it holds generally."""

    maximum: int
    flagged: bool


INDICATORS: Mapping[str, Indicator] = {
    "C1": Indicator(3, True),
    "C2": Indicator(3, True),
    "C3": Indicator(2, True),
    "C4": Indicator(4, True),
    "C5": Indicator(2, True),
    "C6": Indicator(3, True),
    "C7": Indicator(2, True),
    "C8": Indicator(4, False),
    "E1": Indicator(2, True),
    "E2": Indicator(2, False),
    "H1": Indicator(2, True),
    "H2": Indicator(3, False),
    "H3": Indicator(2, False),
    "H6": Indicator(4, True),
    "H7": Indicator(5, True),
    "H8": Indicator(3, True),
}
"""School and workplace closing (C1, C2), events (C3), gatherings (C4), transport (C5), stay at home (C6),
movement (C7), border (C8), income support (E1), debt relief (E2), information (H1), testing (H2), tracing (H3),
masks (H6), vaccination (H7), protection of the elderly (H8)."""

_CLOSING = tuple(f"C{k}" for k in range(1, 9))


def _edition(health: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {
        "government_response": (*_CLOSING, "E1", "E2", *health),
        "containment_health": (*_CLOSING, *health),
        "stringency": (*_CLOSING, "H1"),
        "economic_support": ("E1", "E2"),
    }


EDITIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "2020-05": _edition(("H1", "H2", "H3")),
    "2020-10": _edition(("H1", "H2", "H3", "H6")),
    "2020-12": _edition(("H1", "H2", "H3", "H6", "H7")),
    "2021-03": _edition(("H1", "H2", "H3", "H6", "H7", "H8")),
}
"""What each index is the mean of, by the month from which the tracker computed it so."""


@dataclass(frozen=True, slots=True)
class RestrictionResult:
    """Indices of restrictions by place and day.

    Attributes
    ----------
    indices
        One column an index, 0 to 100; NaN where too few indicators are known.
    sub_indices
        One column an indicator, 0 to 100; unknown ones are 0, as the tracker counts them.
    known
        How many of each index's indicators are known.
    edition
        Composition used.
    assumed
        Positive values without their flag, taken for targeted.
    """

    indices: pd.DataFrame
    sub_indices: pd.DataFrame
    known: pd.DataFrame
    edition: str
    assumed: int = 0

    def to_frame(self) -> pd.DataFrame:
        """Return the indices."""
        return self.indices.copy()

    def display(self) -> pd.DataFrame:
        """Return the indices for a page: in the last seven days of each place the last good value is held.

        The tracker shows this so that a day half entered does not look like a day of freedom. It is no
        observation: compute with `to_frame`.
        """
        held = self.indices.copy()
        for rows in _places(held.index):
            days = _days(held.index)[rows]
            part = held.iloc[rows]
            last = np.asarray(days > days.max() - pd.Timedelta(days=RECENT))
            held.iloc[rows] = part.where(~last[:, None] | part.notna(), part.ffill())
        return held

    def summary(self) -> str:
        """Return the latest indices of each place, at most five."""
        lines = []
        for rows in _places(self.indices.index)[:5]:
            part = self.indices.iloc[rows].dropna(how="all")
            if part.empty:
                continue
            at = part.index[-1]
            where, day = (f"{at[0]}, ", at[1]) if isinstance(at, tuple) else ("", at)
            values = ", ".join(f"{str(name).replace('_', ' ')} {value:.1f}" for name, value in part.iloc[-1].items())
            lines.append(f"{where}{day:%Y-%m-%d}: {values}")
        more = len(_places(self.indices.index)) - 5
        if more > 0:
            lines.append(f"… and {more} more places.")
        if self.assumed:
            lines.append(f"{self.assumed} values without their flag are taken for targeted.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source, edition and version."""
        return (
            f"Indices after Hale et al. (2021), A global panel database of pandemic policies (OxCGRT), edition "
            f"{self.edition}; opsroom {__version__}."
        )

    def chart(self, place: str | None = None, *, index: str = "stringency") -> alt.Chart:
        """Draw one index of a place over time; with one place, `place` may be left out."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.indices
        if isinstance(frame.index, pd.MultiIndex):
            places = frame.index.get_level_values(0).unique()
            chosen = place if place is not None else str(places[0])
            if chosen not in places or (place is None and len(places) > 1):
                raise NotFoundError(
                    "the result has several places, or none of that name.",
                    remedy="Name one with place=.",
                    code="OPS-N051",
                )
            frame = pd.DataFrame(frame.xs(chosen))
            where = f" in {chosen}"
        else:
            where = ""
        if index not in frame:
            raise NotFoundError(
                f"there is no index {index!r}.", remedy=f"It has {', '.join(map(str, frame.columns))}.", code="OPS-N052"
            )
        label = index.replace("_", " ")
        rows = [
            {"date": f"{day:%Y-%m-%d}", label: float(value)} for day, value in frame[index].items()
        ]  # fmt: skip
        good = frame[index].dropna()
        last = f"{good.iloc[-1]:.0f} of 100 on {good.index[-1]:%Y-%m-%d}" if len(good) else "not known"
        caption = Caption(finding=f"{label.capitalize()}{where}: {last}", unit="0 none … 100 all at their strictest")
        return line_band(rows, x="date", lines={label: label}, caption=caption, domain=(0.0, 100.0))


def sub_index(value: npt.ArrayLike, flag: npt.ArrayLike, *, maximum: int, flagged: bool) -> Floats:
    r"""Return an indicator's score, 0 to 100.

    Parameters
    ----------
    value
        Ordinal values, 0 to `maximum`; NaN where nothing is known.
    flag
        1 where the measure holds generally, 0 where it is targeted; NaN elsewhere. Ignored without `flagged`.
    maximum
        The indicator's largest value.
    flagged
        Whether the indicator has a flag.

    Returns
    -------
    numpy.ndarray

    Notes
    -----
    :math:`I = 100\{v - \tfrac12(F - f)\}/N`, and 0 where v is 0 or not known. A positive value whose
    flag is missing is taken for targeted (f = 0): the tracker, too, counts what it does not know as less.

    References
    ----------
    Hale et al. (2021), A global panel database of pandemic policies, Nature Human Behaviour 5, eq. 2.

    Examples
    --------
    >>> sub_index([2, 2, 0, np.nan], [1, 0, np.nan, np.nan], maximum=4, flagged=True).tolist()
    [50.0, 37.5, 0.0, 0.0]
    """
    v = np.asarray(value, dtype=np.float64)
    f = np.broadcast_to(np.asarray(flag, dtype=np.float64), v.shape)
    step = 0.5 * (1.0 - np.where(np.isnan(f), 0.0, f)) if flagged else 0.0
    score = 100.0 * (v - step) / maximum
    return np.asarray(np.where(v > 0, score, 0.0), dtype=np.float64)


def restriction_index(
    values: pd.DataFrame,
    flags: pd.DataFrame | None = None,
    *,
    edition: str = "2021-03",
    indicators: Mapping[str, Indicator] = INDICATORS,
    indices: Mapping[str, tuple[str, ...]] | None = None,
    reject_recent: bool = False,
) -> RestrictionResult:
    r"""Compute sub-indices and the published indices.

    Answers: how much is restricted, how much is supported, and is the difference to yesterday one of policy or of gaps
    in the table?

    Parameters
    ----------
    values
        One column an indicator (``C1`` …), ordinal values, NaN where not known; indexed by day, or by place and day.
    flags
        Same shape, 1 general, 0 targeted; columns of indicators without a flag may be absent.
    edition
        Key of `EDITIONS`: which indicators an index is the mean of. An edition's indicator that has no column in
        `values` counts as unknown everywhere.
    indicators, indices
        Other indicators, or other compositions, than the tracker's.
    reject_recent
        Reject index values of the last seven days of a place that rest on fewer indicators than another of these
        days: a day half entered. For series that are still being entered.

    Returns
    -------
    RestrictionResult

    Raises
    ------
    UsageError
        An unknown edition or indicator, or flags of another shape.
    DataError
        A value outside its scale, or a flag that is neither 0 nor 1.

    Notes
    -----
    An index is the mean of its k sub-indices, unknown ones counted as 0, and rejected where fewer than
    k - 1 are known (all of them, where k is 2). What fails most often: reading the index as severity. It
    counts rules on paper, equally weighted; neither compliance nor who is hit.

    References
    ----------
    Hale et al. (2021), A global panel database of pandemic policies (Oxford COVID-19 Government Response Tracker),
    Nature Human Behaviour 5, 529-538; index methodology, version 3.

    Examples
    --------
    >>> day = pd.DatetimeIndex(["2020-04-01"])
    >>> values = pd.DataFrame({"E1": [2], "E2": [2]}, index=day)
    >>> flags = pd.DataFrame({"E1": [0]}, index=day)
    >>> restriction_index(values, flags).to_frame()["economic_support"].tolist()
    [87.5]
    """
    if indices is None:
        if edition not in EDITIONS:
            raise UsageError(
                f"there is no edition {edition!r}.", remedy=f"Use one of {', '.join(EDITIONS)}.", code="OPS-U180"
            )
        indices = EDITIONS[edition]
    else:
        edition = "own"
    unknown = [c for c in values.columns if c not in indicators]
    if unknown:
        raise UsageError(
            f"there are no indicators {', '.join(map(str, unknown))}.",
            remedy=f"Columns are {', '.join(indicators)}.",
            code="OPS-U181",
        )
    marks = pd.DataFrame(np.nan, index=values.index, columns=values.columns)
    if flags is not None:
        if not flags.index.equals(values.index):
            raise UsageError("flags and values have different rows.", remedy="Index them alike.", code="OPS-U182")
        for name in flags.columns.intersection(values.columns):
            marks[name] = flags[name].astype(float)
    scores, assumed = {}, 0
    for name, one in indicators.items():
        if name in values:
            v, f = values[name].to_numpy(dtype=np.float64), marks[name].to_numpy(dtype=np.float64)
            _check(name, v, f, one)
            scores[name] = sub_index(v, f, maximum=one.maximum, flagged=one.flagged)
            assumed += int((one.flagged & (v > 0) & np.isnan(f)).sum())
    sub = pd.DataFrame(scores, index=values.index)
    known = pd.DataFrame(
        {name: values.reindex(columns=list(parts)).notna().sum(axis=1) for name, parts in indices.items()}
    )
    table = {}
    for name, parts in indices.items():
        enough = known[name] >= (len(parts) if len(parts) <= 2 else len(parts) - 1)
        total = sub.reindex(columns=list(parts)).fillna(0.0).sum(axis=1)
        table[name] = (total / len(parts)).where(enough)
    made = pd.DataFrame(table, index=values.index)
    if reject_recent:
        for rows in _places(made.index):
            days = _days(made.index)[rows]
            last = rows[np.asarray(days > days.max() - pd.Timedelta(days=RECENT))]
            most = known.iloc[last].max()
            made.iloc[last] = made.iloc[last].where(known.iloc[last] >= most)
    return RestrictionResult(indices=made, sub_indices=sub, known=known, edition=edition, assumed=assumed)


def _check(name: str, value: Floats, flag: Floats, one: Indicator) -> None:
    bad = ~np.isnan(value) & ((value < 0) | (value > one.maximum) | (value != np.rint(value)))
    if bad.any():
        raise DataError(
            f"{name} has values outside its scale, first in row {int(np.flatnonzero(bad)[0]) + 1}.",
            remedy=f"Its values are whole, 0 to {one.maximum}.",
            code="OPS-D130",
        )
    if one.flagged and (~np.isnan(flag) & (flag != 0) & (flag != 1)).any():
        raise DataError(f"the flag of {name} is neither 0 nor 1.", remedy="1 is general, 0 targeted.", code="OPS-D131")


def _places(index: pd.Index) -> list[npt.NDArray[np.intp]]:
    """Return the row numbers of each place, in order of first appearance."""
    if not isinstance(index, pd.MultiIndex):
        return [np.arange(len(index))]
    codes = pd.factorize(index.get_level_values(0))[0]
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def _days(index: pd.Index) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(index.get_level_values(-1))
