"""Thousands of series in one call: p-values, false discovery held over series and nights, what each alarm rests on."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError, UserError
from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.critical import Kind, step_order
from opsroom.warn.exuberance.discovery import Procedure, adjusted, spent
from opsroom.warn.exuberance.drawing import in_chunks, low_where_absent, p_value
from opsroom.warn.exuberance.episodes import best_start
from opsroom.warn.exuberance.explosive import KINDS, Lags, gsadf
from opsroom.warn.exuberance.result import CAVEAT, ExuberanceResult
from opsroom.warn.exuberance.sequences import Floats, Plan, plan_for, processors, scaled, sequences, values_of

About = Literal["now", "sample"]
MOST_DRAWS = 99_999
BOOTSTRAP_DRAWS = 499


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Alarms among many series.

    Attributes
    ----------
    table
        One row a series, most urgent first: ``gsadf``, ``last`` (the last date's BSADF), ``p_value`` (of that, or of
        GSADF: `about`), ``q_value`` (adjusted for the number of series), ``alarm``, ``direction`` (``boom`` or
        ``crash`` since the start of the window with the largest last statistic; alarms only), ``last_date``,
        ``length``, ``refused`` (why a series was not tested; empty otherwise).
    level
        The false discovery rate held on this night.
    lone
        The p-value that a single alarm would need.
    resolution
        The smallest p-value that so many draws can give: where it is above `lone`, several series must be as extreme
        before any is an alarm.
    """

    table: pd.DataFrame
    about: About
    level: float
    lone: float
    resolution: float
    procedure: Procedure
    kind: Kind
    lags: Lags
    draws: int
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    series: dict[Hashable, pd.Series] = field(default_factory=dict, repr=False)

    @property
    def alarms(self) -> list[Hashable]:
        """Names of the series that are alarms, most urgent first."""
        return list(self.table.index[self.table["alarm"]])

    def result(self, name: Hashable, **changes: Any) -> ExuberanceResult:
        """Return the whole test of one series.

        Parameters
        ----------
        name
            Its column.
        **changes
            Arguments of `gsadf` other than those of the scan.
        """
        if name not in self.series:
            raise UsageError(
                f"{name!r} was not tested.", code="OPS-U352", remedy="See the column 'refused' of the table."
            )
        given = {"lags": self.lags, "critical_values": self.kind, "draws": min(self.draws, 1999)} | self.settings
        return gsadf(self.series[name], **(given | changes))

    def sensitivity(self, *, draws: int = 499, most: int = 20, **given: Any) -> pd.DataFrame:
        """Return, for the most urgent alarms, what other lags and critical values say.

        Parameters
        ----------
        draws
            Of each critical value.
        most
            Alarms shown at most.
        **given
            ``lags`` and ``kinds``, as in `ExuberanceResult.sensitivity`.

        Returns
        -------
        pandas.DataFrame
            As there, with the series in front.
        """
        tables = {name: self.result(name).sensitivity(draws=draws, **given) for name in self.alarms[:most]}
        if not tables:
            return pd.DataFrame()
        return pd.concat(tables, names=["series", None]).reset_index(level=0).reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def summary(self) -> str:
        """Return the number of alarms, how false discovery is held, and whether the draws can tell."""
        tested = int((self.table["refused"] == "").sum())
        what = "at its last date" if self.about == "now" else "somewhere in the sample"
        lines = [
            f"{len(self.alarms)} of {tested} series explosive {what}; false discovery rate {self.level:.3g} "
            f"({'Benjamini-Yekutieli' if self.procedure == 'by' else 'Benjamini-Hochberg'}), "
            f"{self.lags} lags, {self.kind}."
        ]
        if len(self.table) > tested:
            lines.append(f"{len(self.table) - tested} series were not tested.")
        if self.resolution > self.lone:
            lines.append(
                f"{self.draws:,} draws cannot tell p below {self.resolution:.2g}; a lone alarm needs {self.lone:.2g}: "
                "draw more, or several series must be as extreme."
            )
        lines.append(CAVEAT)
        return "\n".join(lines)

    def cite(self) -> str:
        """Return method and version."""
        return (
            "BSADF and GSADF after Phillips, Shi and Yu (2015); false discovery rate after Benjamini and "
            f"{'Yekutieli (2001)' if self.procedure == 'by' else 'Hochberg (1995)'}; opsroom {__version__}."
        )


def scan(
    frame: pd.DataFrame, *, lags: Lags = 1, min_window: int | None = None, critical_values: Kind = "monte_carlo",
    about: About = "now", false_discovery: float = 0.05, procedure: Procedure = "by", night: int | None = None,
    horizon: int | None = None, draws: int | None = None, seed: int = 0, most_lags: int = 4,
    workers: int | None = None,
) -> ScanResult:  # fmt: skip
    """Test very many series and hold the share of false alarms.

    Answers: which of these thousands of ratios are running away tonight, and how many of those are chance?

    Parameters
    ----------
    frame
        One column a series, one row a period. Series may begin late or end early; one with a gap inside is listed as
        refused and the others go on.
    lags, min_window, critical_values, most_lags
        As in `gsadf`, each series with the window of its own length.
    about
        ``"now"``: is it explosive at its last date; ``"sample"``: was it ever.
    false_discovery
        Expected share of false alarms among alarms: of this night, or of all nights where `night` is given.
    procedure
        ``"by"`` whatever the series have in common, ``"bh"`` where their p-values are independent.
    night, horizon
        This night's number from 1, and the number of nights over which `false_discovery` is to hold: the night is given
        its share (`opsroom.warn.exuberance.discovery.spent`).
    draws
        By default 499 for bootstraps and, for Monte Carlo, four times what a lone alarm needs, 1,999 to 99,999.
    seed, workers
        Of the draws. The outcome does not depend on the number of threads.

    Returns
    -------
    ScanResult

    Raises
    ------
    UsageError
        Not a table, or an argument out of range.

    Notes
    -----
    Critical values by Monte Carlo are shared by series of a length, bootstraps are each series' own. What fails most
    often: Monte Carlo values where volatility changes; see `ScanResult.sensitivity` before an alarm is passed on.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(3)
    >>> ratios = pd.DataFrame(50.0 + np.cumsum(rng.normal(size=(90, 20)), axis=0))
    >>> ratios.loc[60:, 7] += 1.2 ** np.arange(30)
    >>> scan(ratios, draws=1999).alarms
    [7]
    """
    if not isinstance(frame, pd.DataFrame) or frame.shape[1] == 0 or not frame.columns.is_unique:
        raise UsageError(
            "a scan takes a table with one column for each series.", code="OPS-U342", remedy="Use gsadf for one series."
        )
    if about not in ("now", "sample") or critical_values not in KINDS:
        raise UsageError(
            "about is 'now' or 'sample', the critical values one of " + ", ".join(KINDS) + ".",
            code="OPS-U347",
            remedy="Leave both out.",
        )
    adjusted([], method=procedure)
    level = spent(false_discovery, night or 1, horizon=horizon if night else 1)
    tested, refused = _gather(frame, lags, min_window, most_lags)
    count = max(1, len(tested))
    lone = level / (count * (float(np.sum(1.0 / np.arange(1, count + 1))) if procedure == "by" else 1.0))
    if draws is None:
        needed = int(np.ceil(1.0 / max(lone, 1e-9)))
        draws = min(MOST_DRAWS, max(1999, 4 * needed)) if critical_values == "monte_carlo" else BOOTSTRAP_DRAWS
    name = "last" if about == "now" else "gsadf"
    rows = _statistics(tested, critical_values, name, draws, seed, workers or processors())
    table = pd.DataFrame(rows).T if rows else pd.DataFrame(columns=["gsadf", "last", "p_value"])
    table = table.reindex(list(frame.columns)).astype(np.float64)
    table["q_value"] = adjusted(table["p_value"].to_numpy(), method=procedure)
    table["alarm"] = table["q_value"] <= level
    table["direction"] = [
        _direction(*tested[name]) if alarm else "" for name, alarm in table["alarm"].items()
    ]  # fmt: skip
    table["last_date"] = [tested[name][1].index[-1] if name in tested else None for name in table.index]
    table["length"] = [len(tested[name][1]) if name in tested else 0 for name in table.index]
    table["refused"] = [refused.get(name, "") for name in table.index]
    table.index.name = "series"
    return ScanResult(
        table=table.sort_values(["alarm", "p_value"], ascending=[False, True], kind="stable"),
        about=about, level=level, lone=lone, resolution=1.0 / (1 + draws), procedure=procedure, kind=critical_values,
        lags=lags, draws=draws, settings={"min_window": min_window, "seed": seed, "most_lags": most_lags},
        series={name: series for name, (_, series) in tested.items()},
    )  # fmt: skip


def _gather(
    frame: pd.DataFrame, lags: Lags, min_window: int | None, most_lags: int
) -> tuple[dict[Hashable, tuple[Plan, pd.Series]], dict[Hashable, str]]:
    """Return plan and values of each series that can be tested, and why the others cannot."""
    plan_for(10_000, lags, min_window, most_lags)  # arguments that are wrong for every series are an error
    tested: dict[Hashable, tuple[Plan, pd.Series]] = {}
    refused: dict[Hashable, str] = {}
    for name in frame.columns:
        series = frame[name]
        first, last = series.first_valid_index(), series.last_valid_index()
        try:
            if first is None:
                raise FitError("the series is empty.", code="OPS-M341", remedy="Leave it out.")
            cut = series.loc[first:last]
            values_of(cut)
            tested[name] = (plan_for(len(cut), lags, min_window, most_lags), cut)
        except UserError as refusal:
            refused[name] = f"{refusal.code}: {refusal.message}"
    return tested, refused


def _statistics(
    tested: dict[Hashable, tuple[Plan, pd.Series]], kind: Kind, name: str, draws: int, seed: int, workers: int
) -> dict[Hashable, dict[str, float]]:
    """Return GSADF, the last BSADF and the p-value of each series; NaN where no window moves."""
    shared: dict[tuple[int, Plan], dict[str, Floats]] = {}
    if kind == "monte_carlo":
        for plan, series in tested.values():
            length = len(series)
            if (length, plan) not in shared:
                shared[length, plan] = _drawn(nulls.monte_carlo(length), plan, draws, seed, workers)

    def one(item: tuple[Hashable, tuple[Plan, pd.Series]]) -> tuple[Hashable, dict[str, float]]:
        key, (plan, series) = item
        values = scaled(series.to_numpy(dtype=np.float64))
        found = sequences(values[None], plan)
        out = {"gsadf": float(found.gsadf[0]), "last": float(found.bsadf[0, -1])}
        if np.isnan(out[name]):
            return key, out | {"p_value": float("nan")}
        if kind == "monte_carlo":
            drawn = shared[len(series), plan]
        else:
            order = step_order(values, plan, kind)
            draw = nulls.wild(values, order) if kind == "wild_bootstrap" else nulls.sieve(values, order)
            drawn = _drawn(draw, plan, draws, seed, 1)
        return key, out | {"p_value": p_value(drawn[name], out[name])}

    if workers > 1 and len(tested) > 1:
        with ThreadPoolExecutor(workers) as pool:
            return dict(pool.map(one, tested.items()))
    return dict(map(one, tested.items()))


def _drawn(draw: nulls.Draw, plan: Plan, draws: int, seed: int, workers: int) -> dict[str, Floats]:
    def one(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        bsadf = low_where_absent(sequences(draw(rng, count), plan).bsadf)
        return bsadf.max(axis=1), bsadf[:, -1]

    gsadf_, last = in_chunks(one, draws, seed=seed, workers=workers)
    return {"gsadf": np.sort(gsadf_), "last": np.sort(last)}


def _direction(plan: Plan, series: pd.Series) -> str:
    """Return whether the level has risen or fallen since the window with the largest last statistic began."""
    values = series.to_numpy(dtype=np.float64)
    start = best_start(scaled(values), plan, len(values) - 1 - plan.lead)
    return "boom" if values[-1] > values[start + plan.lead - 1] else "crash"
