"""What a seasonal adjustment says: one result for STL and X-13."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2

from opsroom._version import __version__

if TYPE_CHECKING:
    import altair as alt

_SOURCES = {
    "stl": "STL after Cleveland, Cleveland, McRae and Terpenning (1990), calendar effects by regression of remainders "
    "(Speckman 1988)",
    "x13": "X-13ARIMA-SEATS, U.S. Census Bureau: regARIMA with automatic outliers, X-11 filters",
}


@dataclass(frozen=True, slots=True)
class SeasonalResult:
    """A seasonally and calendar adjusted series.

    Attributes
    ----------
    frame
        Indexed by period: ``observed``, ``adjusted``, ``trend``, ``seasonal``, ``calendar``, ``irregular``, ``lower``,
        ``upper``. With transform ``log`` seasonal, calendar and irregular are factors (observed = adjusted ×
        seasonal × calendar), with ``none`` they are added. The bounds are of the adjusted figure once revised:
        see `covers`; NaN where they were not asked for.
    method
        ``stl`` or ``x13``.
    transform
        ``log`` or ``none``, as chosen.
    regressors
        One row a regressor kept: ``coefficient``, ``se``, ``t``, ``group``.
    outliers
        Found (X-13) or given, such as ``LS2020-04``.
    diagnostics
        ``qs_observed``, ``qs_adjusted``: p-values of no seasonality (Maravall's QS); with X-13 also ``model``, ``m7``,
        ``q`` and the other statistics of its summary that were read.
    level
        Probability of the bounds.
    covers
        What the bounds cover, in words.
    """

    frame: pd.DataFrame
    method: str
    transform: str
    regressors: pd.DataFrame
    outliers: tuple[str, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    level: float = 0.9
    covers: str = ""

    @property
    def adjusted(self) -> pd.Series:
        """The adjusted series."""
        return self.frame["adjusted"].copy()

    def to_frame(self) -> pd.DataFrame:
        """Return all components."""
        return self.frame.copy()

    def summary(self) -> str:
        """Return the latest change, what was adjusted for, and whether seasonality is left."""
        known = self.frame["adjusted"].dropna()
        lines = []
        if len(known) > 1:
            change = 100 * (known.iloc[-1] / known.iloc[-2] - 1) if self.transform == "log" else known.diff().iloc[-1]
            unit = " %" if self.transform == "log" else ""
            bounds = self.frame.loc[known.index[-1], ["lower", "upper"]]
            band = (
                f" ({100 * self.level:.0f} % bounds {bounds['lower']:,.4g} to {bounds['upper']:,.4g})"
                if bounds.notna().all()
                else ""
            )
            lines.append(
                f"{known.index[-1]}: adjusted {known.iloc[-1]:,.4g}{band}, {change:+.2f}{unit} on the period before."
            )
        groups = list(dict.fromkeys(self.regressors["group"])) if len(self.regressors) else []
        lines.append(f"{self.method.upper()}, transform {self.transform}; calendar: {', '.join(groups) or 'none'}.")
        if self.outliers:
            lines.append(f"Outliers: {', '.join(self.outliers)}.")
        p = self.diagnostics.get("qs_adjusted")
        if p is not None and p < 0.01:
            lines.append(f"Seasonality is left in the adjusted series (QS, p = {p:.3f}).")
        p = self.diagnostics.get("qs_observed")
        if p is not None and p > 0.05:
            lines.append(f"The series shows no clear seasonality (QS, p = {p:.2f}): an adjustment may add noise.")
        lines.append(self.covers)
        return "\n".join(lines)

    def cite(self) -> str:
        """Return method and version."""
        version = self.diagnostics.get("version")
        return f"{_SOURCES[self.method]}{f', version {version}' if version else ''}; opsroom {__version__}."

    def chart(self) -> alt.Chart:
        """Draw the adjusted series with its bounds, the observed one behind it."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band
        from opsroom.base.periods import format_period

        index = pd.PeriodIndex(self.frame.index)
        freq = "M" if index.freqstr.startswith("M") else "Q"
        rows = []
        for period, (_, row) in zip(index, self.frame.iterrows(), strict=True):
            item: dict[str, Any] = {name: _number(row[name]) for name in ("observed", "adjusted", "lower", "upper")}
            rows.append({"period": format_period(period.start_time.date(), freq)} | item)
        last = self.frame["adjusted"].dropna()
        caption = Caption(
            finding=f"Adjusted for season and calendar: {last.iloc[-1]:,.4g} in {rows[len(rows) - 1]['period']}",
            unit="unit of the series",
        )
        band = ("lower", "upper") if self.frame["lower"].notna().any() else None
        return line_band(
            rows, x="period", lines={"adjusted": "adjusted", "observed": "observed"}, caption=caption, band=band,
            band_label=f"{100 * self.level:.0f} % of revisions",
        )  # fmt: skip


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def qs_test(values: npt.ArrayLike, period: int) -> float:
    r"""Return the p-value of Maravall's QS test of no seasonality.

    Notes
    -----
    On first differences: :math:`n(n+2)\sum_{k=1}^{2}\max(0,\hat\rho_{ks})^2/(n-ks)`, 0 where
    :math:`\hat\rho_s \le 0`, against :math:`\chi^2_2`.

    References
    ----------
    Maravall (2011), Seasonality tests and automatic model identification in TRAMO-SEATS.
    """
    x = np.asarray(values, dtype=np.float64)
    x = np.diff(x[np.isfinite(x)])
    x = x - x.mean()
    n, square = len(x), float(x @ x)
    if n <= 2 * period or square <= 0:
        return float("nan")
    rho = [float(x[k * period :] @ x[: n - k * period]) / square for k in (1, 2)]
    if rho[0] <= 0:
        return 1.0
    statistic = n * (n + 2) * sum(max(0.0, r) ** 2 / (n - (k + 1) * period) for k, r in enumerate(rho))
    return float(chi2.sf(statistic, 2))
