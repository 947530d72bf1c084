"""One test for many units together: is there exuberance in the panel, and when?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.warn.exuberance.critical import LEVELS, step_order
from opsroom.warn.exuberance.drawing import checked, in_chunks, low_where_absent, p_value, quantiles
from opsroom.warn.exuberance.episodes import runs, shortest
from opsroom.warn.exuberance.explosive import Lags
from opsroom.warn.exuberance.nulls import fit_steps
from opsroom.warn.exuberance.result import CAVEAT, codes_of
from opsroom.warn.exuberance.sequences import Floats, Plan, plan_for, scaled, sequences, values_of

if TYPE_CHECKING:
    import altair as alt

Span = Literal["refuse", "common"]


@dataclass(frozen=True, slots=True)
class PanelResult:
    """Exuberance of a panel.

    Attributes
    ----------
    gsadf
        The largest mean of the units' BSADF.
    bsadf
        That mean, by date.
    units
        Each unit's BSADF, one column a unit.
    critical
        One row a level; column ``gsadf``.
    sequence
        Critical sequence of the mean, one column a level: what the mean of the units' BADF reached up to the date.
    p_value
        Of the panel's GSADF.
    episodes
        ``start``, ``peak``, ``end``, ``duration``, ``sign``, ``rising`` (the share of units higher at the peak than
        before the start), ``strength``, ``ongoing``.
    orders
        The autoregression of each unit's steps with which paths were drawn.
    """

    gsadf: float
    bsadf: pd.Series
    units: pd.DataFrame
    critical: pd.DataFrame
    sequence: pd.DataFrame
    p_value: float
    episodes: pd.DataFrame
    orders: pd.Series
    plan: Plan
    level: float
    draws: int
    cut: int = 0
    """Periods left out, in which not all units are there."""

    @property
    def critical_value(self) -> float:
        """Critical value of GSADF at the dating level."""
        return float(self.critical["gsadf"].to_numpy(dtype=np.float64)[list(self.critical.index).index(self.level)])

    def to_frame(self) -> pd.DataFrame:
        """Return the mean, its critical sequence and the units, one row a date."""
        first = pd.DataFrame({"bsadf": self.bsadf, "critical": self.sequence[self.level]})
        return pd.concat([first, self.units], axis=1)

    def summary(self) -> str:
        """Return verdict and episodes."""
        critical = self.critical_value
        verdict = "Explosive" if self.gsadf > critical else "Not explosive"
        lines = [
            f"{verdict} as a panel of {self.units.shape[1]}: GSADF {self.gsadf:.2f} against {critical:.2f} at "
            f"{100 * self.level:g} % (p = {self.p_value:.4f}); {self.plan.words}, sieve bootstrap of rows, "
            f"{self.draws:,} draws."
        ]
        if self.cut:
            lines.append(f"{self.cut} periods in which not all units are there are left out.")
        for e in self.episodes.to_dict("records"):
            until = "ongoing" if e["ongoing"] else f"to {e['end']}"
            lines.append(
                f"{str(e['sign']).capitalize()} from {e['start']}, peak {e['peak']}, {until}: "
                f"{100 * float(e['rising']):.0f} % of units higher at the peak."
            )
        return "\n".join([*lines, CAVEAT])

    def cite(self) -> str:
        """Return method and version."""
        return (
            "Panel GSADF after Pavlidis, Yusupova, Paya, Peel, Martínez-García, Mack and Grossman (2016), Journal of "
            f"Real Estate Finance and Economics 53; {self.plan.words}; opsroom {__version__}."
        )

    def chart(self) -> alt.Chart:
        """Draw the panel's BSADF against its critical sequence."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.to_frame().assign(period=codes_of(self.bsadf.index))
        frame = frame[frame["bsadf"].notna() & np.isfinite(frame["critical"])]
        rows = [
            {str(k): v for k, v in row.items()} for row in frame[["period", "bsadf", "critical"]].to_dict("records")
        ]
        found = "Explosive" if self.gsadf > self.critical_value else "Not explosive"
        return line_band(
            rows, x="period",
            lines={"bsadf": "mean BSADF", "critical": f"{100 * self.level:g} % critical value"},
            caption=Caption(finding=f"{found} as a panel", unit=f"mean t-value. {CAVEAT}"),
        )  # fmt: skip


def panel_gsadf(
    frame: pd.DataFrame, *, lags: Lags = 0, min_window: int | None = None, draws: int = 1999,
    levels: Sequence[float] = LEVELS, seed: int = 0, most_lags: int = 4, min_duration: int | None = None,
    dating_level: float = 0.95, workers: int | None = None, span: Span = "refuse",
) -> PanelResult:  # fmt: skip
    r"""Test a panel of series together.

    Answers: are house prices running away in this group of cities as a whole, and since when?

    Parameters
    ----------
    frame
        One column a unit, one row a period, without gaps; all units over the same periods, unless `span` says that
        those which begin or end at different dates are to be cut.
    lags, min_window, most_lags, levels, min_duration, dating_level, workers
        As in `gsadf`.
    draws, seed
        Of the bootstrap.
    span
        What to do where units begin or end at different dates: ``"refuse"``, or ``"common"``, the periods that all
        units have; how many are cut stands in the result. The mean of Pavlidis and others is over a fixed set of units
        with one window for all, and rows are drawn whole: a unit cannot come in on the way. A hole within a unit is
        refused either way.

    Returns
    -------
    PanelResult

    Raises
    ------
    UsageError
        Not a table of two units or more, or an argument out of range.
    FitError
        A unit has a gap, or the panel is too short.

    Notes
    -----
    The panel's statistic is :math:`N^{-1}\sum_i \text{BSADF}_i(r_2)` and its largest value over time. Paths without
    bubbles: an autoregression of each unit's steps (as many lags as the statistic, or more by BIC) is fitted, its
    residuals are drawn with replacement, *whole rows at once*, so that units that move together still do, and levels
    are built from them. What fails most often: rows are drawn as if volatility had not changed over time.

    References
    ----------
    Pavlidis, Yusupova, Paya, Peel, Martínez-García, Mack and Grossman (2016), Episodes of exuberance in housing
    markets: in search of the smoking gun, Journal of Real Estate Finance and Economics 53, 419-449.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(4)
    >>> ratios = pd.DataFrame(50.0 + np.cumsum(rng.normal(size=(80, 3)), axis=0), columns=["A", "B", "C"])
    >>> ratios.iloc[50:70] += 1.25 ** np.arange(20)[:, None]
    >>> panel_gsadf(ratios, draws=199).p_value < 0.05
    True
    """
    if span not in ("refuse", "common"):
        raise UsageError(
            "a panel of unlike spans is refused or cut.", code="OPS-U342", remedy='Say span="common".'
        )  # fmt: skip
    rows = len(frame) if isinstance(frame, pd.DataFrame) else 0
    if span == "common" and rows:
        frame = _common(frame)
    values, index = _table(frame)
    plan = plan_for(len(values), lags, min_window, most_lags)
    draws, levels = checked(draws, levels)
    if dating_level not in levels:
        raise UsageError(
            f"episodes cannot be dated at {dating_level}, which is not one of the levels.",
            code="OPS-U344",
            remedy="Give levels= or dating_level= so that they agree.",
        )
    paths = np.stack([scaled(column) for column in values.T])
    found = sequences(paths, plan, workers=1)
    panel = found.bsadf.mean(axis=0)
    if np.all(np.isnan(panel)):
        raise FitError(
            "there is no date at which every unit has a statistic.",
            code="OPS-M342",
            remedy="Leave out units that stand still.",
        )
    orders = [step_order(path, plan, "sieve") for path in paths]
    drawn_badf, drawn_bsadf = _draw(paths, orders, plan, draws, seed=seed, workers=workers)
    up_to = np.maximum.accumulate(drawn_badf, axis=1)
    sequence = np.full((len(values), len(levels)), np.nan)
    sequence[plan.lead + plan.least - 1 :] = quantiles(up_to[:, plan.least - 1 :], levels).T
    largest = np.sort(drawn_bsadf.max(axis=1))
    gsadf = float(np.nanmax(panel))
    line = sequence[plan.lead :, levels.index(dating_level)]
    least = shortest(len(values)) if min_duration is None else max(1, min_duration)
    return PanelResult(
        gsadf=gsadf,
        bsadf=pd.Series(_ahead(panel, plan), index=index, name="bsadf"),
        units=pd.DataFrame({n: _ahead(s, plan) for n, s in zip(frame.columns, found.bsadf, strict=True)}, index=index),
        critical=pd.DataFrame({"gsadf": quantiles(largest, levels)}, index=pd.Index(levels, name="level")),
        sequence=pd.DataFrame(sequence, index=index, columns=list(levels)),
        p_value=p_value(largest, gsadf),
        episodes=_episodes(values, index, panel, line, plan, least),
        orders=pd.Series(orders, index=frame.columns, name="order"),
        plan=plan, level=dating_level, draws=draws, cut=rows - len(values),
    )  # fmt: skip


def _common(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows from the last unit's beginning to the first one's end."""
    there = frame.notna().to_numpy()
    if not there.any(axis=0).all():
        raise FitError("a unit has no value at all.", code="OPS-M341", remedy="Leave it out.")
    first, last = int(there.argmax(axis=0).max()), int((len(frame) - there[::-1].argmax(axis=0)).min())
    if first >= last:
        raise FitError(
            "there is no period that all units have.", code="OPS-M341", remedy="Leave out the shortest units."
        )  # fmt: skip
    return frame.iloc[first:last]


def _table(frame: pd.DataFrame) -> tuple[Floats, pd.Index]:
    if not isinstance(frame, pd.DataFrame) or frame.shape[1] < 2 or not frame.columns.is_unique:
        raise UsageError(
            "a panel is a table with one column for each of two units or more.",
            code="OPS-U342",
            remedy="Use gsadf for one series.",
        )
    columns = []
    for name in frame.columns:
        try:
            columns.append(values_of(frame[name])[0])
        except FitError as error:
            raise FitError(
                f"unit {name!r}: {error.message}", code="OPS-M341",
                remedy='Say span="common" where it only begins later or ends earlier; else leave the unit out.',
            ) from None  # fmt: skip
    return np.column_stack(columns), frame.index


def _draw(
    paths: Floats, orders: list[int], plan: Plan, draws: int, *, seed: int, workers: int | None
) -> tuple[Floats, Floats]:
    """Return the panel's BADF and BSADF of drawn paths, one row a draw."""
    fits = [fit_steps(path, order, drift=True) for path, order in zip(paths, orders, strict=True)]
    skipped = max(orders)
    pools = [fit.residuals[skipped:] - fit.residuals[skipped:].mean() for fit in fits]

    def one(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        rows: npt.NDArray[np.int64] = rng.integers(len(pools[0]), size=(count, paths.shape[1] - 1))
        badf = bsadf = np.zeros((count, paths.shape[1] - plan.lead))
        for fit, pool in zip(fits, pools, strict=True):  # the same rows for every unit
            found = sequences(fit.rebuild(pool[rows]), plan)
            badf, bsadf = badf + found.badf / len(fits), bsadf + found.bsadf / len(fits)
        return low_where_absent(badf), low_where_absent(bsadf)

    badf, bsadf = in_chunks(one, draws, seed=seed, workers=workers)
    return badf, bsadf


def _ahead(values: Floats, plan: Plan) -> Floats:
    return np.concatenate([np.full(plan.lead, np.nan), values])


def _episodes(values: Floats, index: pd.Index, panel: Floats, line: Floats, plan: Plan, least: int) -> pd.DataFrame:
    rows = []
    with np.errstate(invalid="ignore"):
        above = panel > line
    for first, last in runs(above, least):
        peak = first + int(np.argmax(panel[first : last + 1]))
        rising = float(np.mean(values[peak + plan.lead] > values[first + plan.lead - 1]))
        rows.append(
            {
                "start": index[first + plan.lead], "peak": index[peak + plan.lead], "end": index[last + plan.lead],
                "duration": last - first + 1, "sign": "boom" if rising > 0.5 else "crash", "rising": rising,
                "strength": float(np.max((panel - line)[first : last + 1])), "ongoing": last == len(panel) - 1,
            }
        )  # fmt: skip
    names = ["start", "peak", "end", "duration", "sign", "rising", "strength", "ongoing"]
    return pd.DataFrame(rows, columns=names)
