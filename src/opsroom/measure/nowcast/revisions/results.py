"""What a fitted model of revisions says: which release is efficient, what is news, what the final value will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.grid import month_number
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.dfm.results import LEVELS
from opsroom.measure.nowcast.revisions.fit import Parameters, RevisionReport
from opsroom.measure.nowcast.revisions.news_noise import NewsNoise
from opsroom.measure.nowcast.revisions.system import stationary

if TYPE_CHECKING:
    import altair as alt

_PAPERS = {
    "jacobs-van-norden": "Jacobs and van Norden (2011), Journal of Econometrics 161:101-109",
    "kishor-koenig": "Kishor and Koenig (2012), Journal of Business and Economic Statistics 30:181-190",
}


@dataclass(frozen=True, slots=True)
class RevisionForecast:
    """What will be said of one quarter, release by release, given what has been said.

    Attributes
    ----------
    quarter
        As ``2016-Q3``.
    releases
        Names, in order; the last is the final value.
    means, sds
        Of each release; a published one is itself, with standard deviation 0.
    published
        Release → value, of those that count as published.
    """

    quarter: str
    releases: tuple[str, ...]
    means: Floats
    sds: Floats
    published: Mapping[str, float]

    @property
    def mean(self) -> float:
        """The final value's mean."""
        return float(self.means[-1])

    @property
    def sd(self) -> float:
        """Its standard deviation under the model, parameters taken as known."""
        return float(self.sds[-1])

    @property
    def quantiles(self) -> dict[float, float]:
        """Level → value, of the final value."""
        return {level: self.mean + float(ndtri(level)) * self.sd for level in LEVELS}

    def release(self, name: str) -> tuple[float, float]:
        """Return mean and standard deviation of one release."""
        if name not in self.releases:
            raise UsageError(f"there is no release {name!r}.", remedy=f"Ask for one of {', '.join(self.releases)}.")
        at = self.releases.index(name)
        return float(self.means[at]), float(self.sds[at])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a release: mean, sd, published, and a column a quantile."""
        frame = pd.DataFrame({"quarter": self.quarter, "release": self.releases, "mean": self.means, "sd": self.sds})
        frame["published"] = [name in self.published for name in self.releases]
        for level in LEVELS:
            frame[f"q{100 * level:02.0f}"] = self.means + float(ndtri(level)) * self.sds
        return frame

    def summary(self) -> str:
        """Return a line a release."""
        lines = [f"{self.quarter}, release by release"]
        for name, mean, sd in zip(self.releases, self.means, self.sds, strict=True):
            note = "published" if name in self.published else f"sd {sd:.2f}"
            lines.append(f"  {name:<8} {mean:+.2f} ({note})")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class FittedRevisions:
    """A fitted model of revisions, on its triangle.

    Attributes
    ----------
    kind
        As in `RevisionModel`.
    parameters
        `NewsNoise` or `KishorKoenig`.
    triangle
        The data.
    tests
        See `efficiency`.
    efficient_release
        The first release that, like all after it, is not found inefficient.
    used
        Columns that the likelihood is of: all, or those up to the efficient release.
    later
        Mean square difference of every two columns from the efficient release on; 1 x 1 where that is the last one.
    report
        How the fit went.
    """

    kind: str
    parameters: Parameters
    triangle: pd.DataFrame
    tests: pd.DataFrame
    efficient_release: str
    used: tuple[str, ...]
    later: Floats
    report: RevisionReport

    @property
    def releases(self) -> tuple[str, ...]:
        """The triangle's columns."""
        return tuple(str(name) for name in self.triangle.columns)

    @property
    def news_share(self) -> dict[str, float]:
        """Release → how much of the variance of what still comes is news, from 0 (all noise) to 1 (all news).

        Noise can be taken out of the release today, news cannot. Under Kishor and Koenig it is the variance of the
        coming revision that the model cannot explain by what is known, as a share of all of it.
        """
        early = self.used[:-1]
        if isinstance(self.parameters, NewsNoise):
            return dict(zip(early, (float(v) for v in self.parameters.news_share()), strict=True))
        return self._unexplained() | dict.fromkeys(self.releases[len(early) : -1], 1.0)

    def _unexplained(self) -> dict[str, float]:
        """Return release → variance of the efficient value given all up to the release, over that of the gap."""
        system = self.parameters.system()
        out = {}
        length = 40
        for k, name in enumerate(self.used[:-1]):
            # Covariances do not depend on the values: a long history of zeros, and a quarter known up to release k.
            table = np.zeros((length, len(self.used)))
            table[-1, k + 1 :] = np.nan
            left = float(system.cells(table)[1][-1, -1])
            # The gap's own variance: of the difference of two cells of which nothing is known.
            out[name] = left / _gap(system.transition, system.shock, system.design, system.delay, k)
        return out

    def predict(
        self, quarter: object, *, triangle: pd.DataFrame | None = None, published: Mapping[str, float] | None = None
    ) -> RevisionForecast:
        """Say what a quarter's final value will be, given what is published.

        Parameters
        ----------
        quarter
            ``"2016-Q3"`` or a period; within the triangle or up to four years after it.
        triangle
            What is published on the day; default: the triangle that the model was fitted to.
        published
            Release → value of this quarter, instead of the triangle's.

        Raises
        ------
        UsageError
            A quarter before the triangle or far beyond it, or a release that the model does not have.
        """
        table, row = self._table(quarter, triangle, published)
        known = table[row]
        every = self._cells(table)
        means, variances = every[0][row], every[1][row]
        names = self.releases
        said = {name: float(known[k]) for k, name in enumerate(names) if not np.isnan(known[k])}
        return RevisionForecast(_label(quarter), names, means, np.sqrt(variances), said)

    def _table(
        self, quarter: object, triangle: pd.DataFrame | None, published: Mapping[str, float] | None
    ) -> tuple[Floats, int]:
        """Return the values up to and with a quarter's row, at least, and that row."""
        frame = self.triangle if triangle is None else triangle
        absent = [name for name in self.releases if name not in frame]
        absent += [name for name in published or {} if name not in self.releases]
        if absent:
            raise UsageError(f"there is no release {', '.join(absent)}.", remedy=f"Use {', '.join(self.releases)}.")
        index = pd.PeriodIndex(frame.index)
        row = (month_number(quarter, "Q") - month_number(index.min(), "Q")) // 3
        length = (month_number(index.max(), "Q") - month_number(index.min(), "Q")) // 3 + 1
        if not 0 <= row < length + 16:
            raise UsageError(
                f"{_label(quarter)} lies outside the triangle.",
                remedy=f"Ask for a quarter from {_label(index.min())} to four years after {_label(index.max())}.",
            )
        rows = pd.period_range(index.min(), periods=max(length, row + 1), freq="Q")
        table = frame[list(self.releases)].reindex(rows).to_numpy(np.float64, copy=True)
        if published is not None:
            table[row] = [published.get(name, np.nan) for name in self.releases]
        return table, row

    def _cells(self, table: Floats) -> tuple[Floats, Floats]:
        """Return every cell's mean and variance."""
        count, width = len(self.used), table.shape[1]
        means, variances = self.parameters.system().cells(table[:, :count])
        if count == width:
            return means, variances
        # What comes after the efficient release is news: the newest figure stands, and its variance adds up.
        mean, variance, newest = means[:, -1], variances[:, -1], np.zeros(len(table), dtype=int)
        for column in range(count, width):
            said = ~np.isnan(table[:, column])
            mean = np.where(said, table[:, column], mean)
            newest = np.where(said, column - count + 1, newest)
            variance = np.where(said, 0.0, variance)
            means = np.column_stack([means, mean])
            variances = np.column_stack([variances, variance + self.later[newest, column - count + 1]])
        return means, variances

    def to_frame(self) -> pd.DataFrame:
        """Return one row a quarter: what is published, and the final value's ``mean``, ``sd``, ``q05 … q95``."""
        means, variances = self._cells(self.triangle.to_numpy(np.float64))
        frame = self.triangle.copy()
        frame["mean"], frame["sd"] = means[:, -1], np.sqrt(variances[:, -1])
        for level in LEVELS:
            frame[f"q{100 * level:02.0f}"] = frame["mean"] + float(ndtri(level)) * frame["sd"]
        frame.insert(0, "quarter", [_label(q) for q in self.triangle.index])
        return frame.reset_index(drop=True)

    def summary(self) -> str:
        """Return what was found, and how the fit went."""
        p, r = self.parameters, self.report
        lines = [
            f"Revisions after {_PAPERS[self.kind].split(',')[0]}: {', '.join(self.releases)}",
            f"  {r.quarters} quarters with first and final value, {r.cells} cells; log likelihood {r.loglike:.2f}, "
            f"{r.parameters} parameters, converged in {r.steps} steps",
            f"  efficient release: {self.efficient_release}",
        ]
        lines += [
            f"  of what follows the {name} release, {share:.0%} is news" for name, share in self.news_share.items()
        ]
        lines.append(f"  autoregression {np.round(p.ar, 2).tolist()}, mean {p.mean:.2f}")
        lines.append(self.tests.round(3).to_string(index=False))
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return f"Model of revisions after {_PAPERS[self.kind]}; opsroom {__version__}."

    def chart(self) -> alt.Chart:
        """Draw the final value with its band beside the first release."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.to_frame()
        first, last = self.releases[0], self.releases[-1]
        open_rows = frame[frame[last].isna() & frame[first].notna()]
        rows = frame[["quarter", first, "mean", "q05", "q95"]].astype(object).where(lambda t: t.notna(), None)
        said = "every quarter is final" if open_rows.empty else (
            f"{open_rows.iloc[-1]['quarter']} was first put at {open_rows.iloc[-1][first]:+.1f}; expected in the end: "
            f"{open_rows.iloc[-1]['mean']:+.1f}"
        )  # fmt: skip
        caption = Caption(
            said, "in the triangle's units; band: nine chances in ten, narrow where the final value is known"
        )
        records = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
        lines = {"mean": "final value", first: f"{first} release"}
        return line_band(records, x="quarter", lines=lines, band=("q05", "q95"), caption=caption)


def revise(
    nowcast_mean: float,
    nowcast_sd: float,
    fitted: FittedRevisions,
    quarter: object | None = None,
    *,
    triangle: pd.DataFrame | None = None,
) -> RevisionForecast:
    """Turn a nowcast of the first release into one of every release, so that the target is explicit.

    Answers: if this is what will be said first, what will be said in the end?

    Parameters
    ----------
    nowcast_mean, nowcast_sd
        Of the quarter's first release, in the triangle's units.
    fitted
        A fitted model of revisions.
    quarter
        Default: the first quarter after the last one with a first release.
    triangle
        What is published on the day; default: the triangle that the model was fitted to.

    Returns
    -------
    RevisionForecast
        Its first release is the nowcast.

    Raises
    ------
    UsageError
        A standard deviation below zero, or a quarter whose first release is out: `predict` is for it.

    Notes
    -----
    Under the model a later release given the first, y, is normal with mean a + b y and variance c. With y normal
    (m, s²), it is normal with mean a + b m and variance c + b² s²: the nowcast's density drawn together by b, and
    convolved with the density of the revision.
    """
    if not nowcast_sd >= 0.0:
        raise UsageError("the nowcast's standard deviation is below zero.", remedy="Give sd >= 0.")
    frame = fitted.triangle if triangle is None else triangle
    first = fitted.releases[0]
    if quarter is None:
        quarter = frame[first].dropna().index.max() + 1
    table, row = fitted._table(quarter, triangle, None)
    if not np.isnan(table[row]).all():
        raise UsageError(f"{_label(quarter)} has been released.", remedy="Use predict.")
    pair = []
    for at in (nowcast_mean, nowcast_mean + 1.0):
        table[row, 0] = at
        every = fitted._cells(table)
        pair.append((every[0][row], every[1][row]))
    (means, variances), (above, _) = pair
    slope = above - means
    spread = np.sqrt(variances + (slope * nowcast_sd) ** 2)
    return RevisionForecast(_label(quarter), fitted.releases, means, spread, {})


def _label(quarter: object) -> str:
    number = month_number(quarter, "Q")
    return f"{number // 12}-Q{number % 12 // 3 + 1}"


def _gap(transition: Floats, shock: Floats, design: Floats, delay: tuple[int, ...], release: int) -> float:
    """Return the variance of the last column less a release, of the same quarter."""
    spread = stationary(transition, shock)
    ahead = np.linalg.matrix_power(transition, delay[-1] - delay[release]) @ spread
    own, last = design[release], design[-1]
    return float(own @ spread @ own + last @ spread @ last - 2.0 * last @ ahead @ own)
