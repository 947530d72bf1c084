"""Meters, value added tax, payroll and payments combined, with the weight of each shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.aggregate import Z
from opsroom.measure.resumption.monthly_result import MonthlyResult
from opsroom.measure.resumption.precision import Blend, Errors, blend

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

METHOD = "resumption-sources-1"

DISAGREE = 0.05
"""Sources disagree where so little a chance is left that their errors account for it."""

MEASURES = ("resumed", "capacity")


@dataclass(frozen=True, slots=True)
class CombinedResult:
    """Sources combined by cell and month; confidential.

    Attributes
    ----------
    frame
        Index ``*dims, month``; per cent. For ``resumed`` and ``capacity``: the value, ``_sd``, ``_lower``, ``_upper``,
        ``_spread`` (highest source less lowest), ``_agreement`` (chance that sources lie so far apart if their errors
        are as learnt), ``_agree``; and for each source ``<measure>_<source>``, ``weight_<measure>_<source>`` (share of
        1). ``sources``, ``companies``.
    errors
        Learnt standard error of each source at a share of one half, per cent, by month and measure.
    sources
        The results that were combined.
    dims, weight, threshold
        Of what it is.
    """

    frame: pd.DataFrame
    errors: pd.DataFrame
    sources: tuple[MonthlyResult, ...]
    dims: tuple[str, ...]
    weight: str
    threshold: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(s.source for s in self.sources)

    @property
    def as_of(self) -> dt.date:
        """The latest day of knowledge of a source."""
        return max(s.as_of for s in self.sources)

    @property
    def reference_month(self) -> dt.date:
        """The last month that more than half of the sources have."""
        month = self.frame.index.get_level_values("month")
        enough = self.frame["sources"] * 2 > len(self.sources)
        found: dt.date = month[enough.to_numpy()].max().date()
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return the combined index."""
        return self.frame

    def weights(self, measure: str = "resumed") -> pd.DataFrame:
        """Return the weight of each source by cell and month: 1 in sum wherever there is a source."""
        _measured(measure)
        found = self.frame[[f"weight_{measure}_{n}" for n in self.names]]
        return found.set_axis(list(self.names), axis=1)

    def disagreements(self, measure: str = "resumed") -> pd.DataFrame:
        """Return the cells and months in which sources disagree, the furthest apart first."""
        _measured(measure)
        frame = self.frame[~self.frame[f"{measure}_agree"].astype(bool)]
        columns = [f"{measure}_{n}" for n in self.names] + [measure, f"{measure}_spread", f"{measure}_agreement"]
        return frame[columns].sort_values(f"{measure}_spread", ascending=False, kind="stable")

    def summary(self) -> str:
        """Return the state of things in a few lines."""
        rows = self.frame.xs(pd.Timestamp(self.reference_month), level="month") if self.dims else self.frame
        row = rows.iloc[0] if self.dims else self.frame.loc[pd.Timestamp(self.reference_month)]
        where = f" ({', '.join(map(str, np.atleast_1d(rows.index[0])))})" if self.dims else ""
        parts = ", ".join(
            f"{n} {row[f'resumed_{n}']:.1f} (weight {row[f'weight_resumed_{n}']:.2f})"
            for n in self.names if np.isfinite(row[f"resumed_{n}"])
        )  # fmt: skip
        said = "agree" if row["resumed_agree"] else "disagree"
        return (
            f"{row['resumed']:.1f} % of companies at {100 * self.threshold:.0f} % of normal or more in "
            f"{self.reference_month:%Y-%m}{where} (90 % interval {row['resumed_lower']:.1f} to "
            f"{row['resumed_upper']:.1f}); {row['capacity']:.1f} % of normal done\n{parts}\n"
            f"sources {said}: {row['resumed_spread']:.1f} points between highest and lowest"
        )

    def cite(self) -> str:
        """Return the sources of the method."""
        return (
            f"opsroom {METHOD}: least-variance weights; errors from past disagreement (three-cornered hat, Gray and "
            f"Allan, 1974); dispersion after Birge (1932). " + " ".join(s.cite() for s in self.sources)
        )

    def chart(self) -> alt.Chart:
        """Draw the combined share with its band, and each source; of the first cell where there are several."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.frame.loc[self.frame.index[0][:-1]] if self.dims else self.frame
        columns = ["resumed", "resumed_lower", "resumed_upper", *(f"resumed_{n}" for n in self.names)]
        data = frame[columns].astype(object).where(frame[columns].notna(), None).reset_index()
        data["month"] = data["month"].dt.strftime("%Y-%m-%d")
        value = frame["resumed"].loc[pd.Timestamp(self.reference_month)]
        caption = Caption(
            finding=f"{value:.0f} % of companies were back in {self.reference_month:%Y-%m}",
            unit="% of companies active before the shock", as_of=str(self.as_of),
        )  # fmt: skip
        lines = {"resumed": "combined"} | {f"resumed_{n}": n for n in self.names}
        return line_band(
            [{str(k): v for k, v in r.items()} for r in data.to_dict("records")], x="month", lines=lines,
            caption=caption, band=("resumed_lower", "resumed_upper"), domain=(0, 100),
        )  # fmt: skip

    def cells(self) -> list[Cells]:
        """Return the release series ``resumption.sources``: nation by month, source and weight of the source."""
        from opsroom.measure.resumption.months_cells import combined_cells

        return [combined_cells(self)]


def combine(
    sources: Sequence[MonthlyResult],
    *,
    dims: Sequence[str] = (),
    weight: str = "count",
    threshold: float | None = None,
    since: dt.date | None = None,
) -> CombinedResult:
    """Combine what several sources say of work resumption, each with the weight that its error deserves.

    It answers: meters, tax returns, payrolls and payments say different things; what do they say together, how much of
    that is whose word, and do they agree?

    Parameters
    ----------
    sources
        From `meter_months` and `monthly_resumption`, of one cohort. A source may lack months.
    dims
        Cells: among ``region, section, size_class, sme``; none for the nation.
    weight
        ``count``, ``jobs`` or ``sales``.
    threshold
        Share of normal; None: the first source's headline.
    since
        Months before are not learnt from: before a shock all sources say the same and none can be told from another.
        None: the month after the cohort day's.

    Returns
    -------
    CombinedResult

    Raises
    ------
    UsageError
        No source, two of one name, or sources of different cohorts.

    Notes
    -----
    The error of a source in a cell and month has its own variance (see `MonthlyResult.by`: noise, late and missing
    records, common errors) and one learnt from the disagreement of sources in all cells and *earlier* months, scaled
    by :math:`0.1 + 3.6 p (1-p)`; see `precision.Errors`. With covariance :math:`\\Sigma` of both, weights are
    :math:`\\Sigma^{-1} 1` scaled to 1 in sum, none below zero. Sources of one family share errors, so that two copies
    of one record weigh like one. Who lies further from the others than errors account for is not averaged away: the
    band widens by Birge's ratio and the cell is listed in `CombinedResult.disagreements`. What fails most often: all
    sources err alike (an amnesty, a price shock), which no disagreement shows.

    References
    ----------
    J. E. Gray, D. W. Allan, "A method for estimating the frequency stability of an individual oscillator", 1974.
    R. T. Birge, "The calculation of errors by the method of least squares", 1932.
    """
    names = [s.source for s in sources]
    if not sources or len(set(names)) != len(names):
        raise UsageError("combine at least one source, each of its own name.", remedy="Name the sources apart.")
    if len({s.cohort_day for s in sources}) > 1:
        raise UsageError("the sources are of different cohorts.", remedy="Freeze all on one cohort day.")
    level = sources[0].thresholds[0] if threshold is None else threshold
    tables = {s.source: s.by(dims, weight=weight, threshold=level) for s in sources}
    index = tables[names[0]].index
    for table in tables.values():
        index = index.union(table.index)
    months = pd.DatetimeIndex(index.get_level_values("month").unique().sort_values())
    cells = list(dict.fromkeys(k[:-1] if dims else () for k in index))
    full: pd.Index = pd.DatetimeIndex(months, name="month")
    if dims:
        full = pd.MultiIndex.from_tuples([(*c, m) for c in cells for m in months], names=[*dims, "month"])
    shape = (len(cells), len(months))
    aligned = [tables[n].reindex(full) for n in names]
    size = np.nanmax([a["companies"].to_numpy(dtype=np.float64).reshape(shape) for a in aligned], axis=0)
    families = pd.factorize(np.array([s.family for s in sources]))[0].astype(np.int64)
    start = pd.Timestamp(since) if since is not None else _next_month(sources[0].cohort_day)
    columns: dict[str, Any] = {"companies": size.ravel()}
    learnt = {}
    for measure in MEASURES:
        values = np.stack([a[measure].to_numpy(dtype=np.float64).reshape(shape) for a in aligned]) / 100
        own = np.stack([a[f"{measure}_sd"].to_numpy(dtype=np.float64).reshape(shape) for a in aligned]) / 100
        errors = [
            Errors.learn(values[:, :, past], own[:, :, past] ** 2, np.nanmax(size, axis=1), families)
            for past in ((months >= start) & (months < m) for m in months)
        ]
        there = np.isfinite(values).any(axis=1)
        found = blend(values, own**2, errors, families, expected=np.maximum.accumulate(there, axis=1))
        columns |= _columns(measure, names, values, found)
        learnt[measure] = pd.DataFrame(
            [100 * np.sqrt(np.diag(e.covariance)) for e in errors], index=pd.Index(months, name="month"), columns=names
        )
    frame = pd.DataFrame(columns, index=full)
    return CombinedResult(frame, pd.concat(learnt, axis=1), tuple(sources), tuple(dims), weight, level)


def _next_month(day: dt.date) -> pd.Timestamp:
    return pd.Timestamp(day).to_period("M").to_timestamp() + pd.DateOffset(months=1)


def _columns(measure: str, names: Sequence[str], values: np.ndarray[Any, Any], found: Blend) -> Mapping[str, Any]:
    value, sd = 100 * found.value.ravel(), 100 * found.sd.ravel()
    top = 100.0 if measure == "resumed" else np.inf
    out = {
        measure: value, f"{measure}_sd": sd, f"{measure}_lower": np.clip(value - Z * sd, 0, None),
        f"{measure}_upper": np.clip(value + Z * sd, None, top), f"{measure}_spread": 100 * found.spread.ravel(),
        f"{measure}_agreement": found.agreement.ravel(),
        f"{measure}_agree": ~(found.agreement.ravel() < DISAGREE), "sources": found.sources.ravel(),
    }  # fmt: skip
    for place, name in enumerate(names):
        out[f"{measure}_{name}"] = 100 * values[place].ravel()
        out[f"weight_{measure}_{name}"] = found.weights[place].ravel()
    return out


def _measured(measure: str) -> None:
    if measure not in MEASURES:
        raise UsageError(f"there is no measure {measure!r}.", remedy=f"Use one of {', '.join(MEASURES)}.")
