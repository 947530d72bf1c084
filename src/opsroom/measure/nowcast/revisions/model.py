"""`RevisionModel`: specify, fit, ask what the final value will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.revisions.efficiency import efficiency, efficient_release
from opsroom.measure.nowcast.revisions.fit import kishor_koenig_shape, maximise, news_noise_shape
from opsroom.measure.nowcast.revisions.results import FittedRevisions

Kind = Literal["jacobs-van-norden", "kishor-koenig"]
LEAST = 16
"""Quarters with a first release and the final value that a fit needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionModel:
    """A model of how a quarterly figure is revised from release to release, up to its final value.

    Answers: how far will what is published still move, and in which direction?

    Attributes
    ----------
    kind
        ``"jacobs-van-norden"``: each release is the final value, less the news that it could not know, plus noise.
        ``"kishor-koenig"``: an efficient release is looked for first, and the ones before it move part of the way to
        it; what comes after it is news.
    releases
        The triangle's columns that are used, final value last; default all.
    order
        Lags of the final value's autoregression, in quarters; 0 for none.
    spillovers
        Let news and noise of one quarter reach into the next (Jacobs-van Norden), or each release take up the
        revisions of the quarters before (Kishor-Koenig).
    level
        A release is efficient unless the test rejects at this level.

    Notes
    -----
    Jacobs and van Norden, for release i of quarter t and the final value x, all shocks independent::

        x_t  = m + a_1 (x_{t-1} - m) + … + s e_t + Σ_j n_j v_jt
        y_it = x_t + b_i - Σ_{j≥i} n_j v_jt + z_i w_it

    Their own true value is never seen; here it is the triangle's last column, so that news and noise are told apart by
    covariances alone. Kishor and Koenig, for the vector Y of a vintage's newest quarters, Z of their efficient values::

        Z_t = F Z_{t-1} + (0, …, s e_t)',     Y_t = F Y_{t-1} + G (Z_t - F Y_{t-1}) + w_t

    Both by maximum likelihood, holes anywhere. The assumption that fails most often: that revisions of an
    extraordinary quarter are as large as those of ordinary ones.

    References
    ----------
    Jacobs and van Norden (2011), Modeling data revisions: measurement error and dynamics of "true" values, Journal of
    Econometrics 161, 101-109; Kishor and Koenig (2012), VAR estimation and forecasting when data are subject to
    revision, Journal of Business and Economic Statistics 30, 181-190.
    """

    kind: Kind = "jacobs-van-norden"
    releases: Sequence[str] | None = None
    order: int = 1
    spillovers: bool = False
    level: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in ("jacobs-van-norden", "kishor-koenig"):
            raise UsageError(f"kind={self.kind!r} is not known.", remedy="Use 'jacobs-van-norden' or 'kishor-koenig'.")
        if not 0 <= self.order <= 8:
            raise UsageError(f"order={self.order} is not within 0 to 8.", remedy="Use 1 or 2.")
        if not 0.0 < self.level < 1.0:
            raise UsageError(f"level={self.level} is no probability.", remedy="Use 0.05.")

    def fit(self, triangle: pd.DataFrame) -> FittedRevisions:
        """Fit the model to a release triangle.

        Parameters
        ----------
        triangle
            Quarters x releases, see `release_triangle`; the last column is final, and NaN where it is not known yet.

        Raises
        ------
        UsageError
            A release that the triangle lacks, or an index that is not of quarters.
        FitError
            Too few quarters, or no convergence: refused, with what to do.
        """
        table = self._chosen(triangle)
        tests = efficiency(table)
        names = [str(name) for name in table.columns]
        efficient = efficient_release(tests, names[-1], level=self.level)
        used = names
        if self.kind == "kishor-koenig":
            used = names[: names.index(efficient) + 1]
        later = _apart(table[names[len(used) - 1 :]].to_numpy(np.float64))
        values = table[used].to_numpy(np.float64)
        both = int((table[names[0]].notna() & table[names[-1]].notna()).sum())
        if both < LEAST:
            raise FitError(
                f"{both} quarters have a first release and a final value; {LEAST} are needed.",
                remedy="Give more vintages, or call a value final earlier.",
                code="OPS-M152",
            )
        make = news_noise_shape if self.kind == "jacobs-van-norden" else kishor_koenig_shape
        parameters, report = maximise(values, make(len(used) - 1, self.order, spillovers=self.spillovers))
        return FittedRevisions(self.kind, parameters, table, tests, efficient, tuple(used), later, report)

    def _chosen(self, triangle: pd.DataFrame) -> pd.DataFrame:
        wanted = list(triangle.columns) if self.releases is None else list(self.releases)
        absent = [str(name) for name in wanted if name not in triangle]
        if absent:
            raise UsageError(
                f"the triangle has no release {', '.join(absent)}.",
                remedy=f"Choose among {', '.join(str(c) for c in triangle.columns)}.",
            )
        if len(wanted) < 2:
            raise UsageError("a model of revisions needs two releases.", remedy="Name the first and the last.")
        index = triangle.index
        if not isinstance(index, pd.PeriodIndex) or not str(index.freqstr).startswith("Q"):
            raise UsageError("the triangle's rows are no quarters.", remedy="Build it with release_triangle.")
        if not index.is_unique:
            raise UsageError("a quarter has two rows.", remedy="Build the triangle with release_triangle.")
        full = pd.period_range(index.min(), index.max(), freq=index.freqstr)
        return triangle[wanted].reindex(full).astype(float)


def _apart(columns: Floats) -> Floats:
    """Return the mean square difference of every two columns; where two never meet, that of the first to the last."""
    square = (columns[:, :, None] - columns[:, None, :]) ** 2
    count = (~np.isnan(square)).sum(axis=0)
    mean = np.nansum(square, axis=0) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, mean[:, [-1]]))
