"""Learn the factor model's parameters: expectation, conditional maximisation, and a report on whether it
held.

Each step raises one objective: the log likelihood of the data given the weights plus the weights' own log
density. Under that density the best weight of an error of d standard deviations is ``(tail + 1) / (tail +
d²)``,
so the fit is that of Student errors: a lone outlier and a crisis are seen, followed, and not learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.model import (
    Observations,
    Parameters,
    Posterior,
    Rows,
    build_rows,
    observe,
    smooth,
)
from opsroom.measure.nowcast.panel import Floats, Panel
from opsroom.measure.nowcast.spec import Settings
from opsroom.measure.nowcast.start import start
from opsroom.measure.nowcast.steps import MEMORY, VARIANCE_FLOOR, Expectation, Layout, expect, maximise, weight_density

_STRETCH = 1.5
_STRETCH_MOST = 20.0


@dataclass(frozen=True, slots=True)
class FitReport:
    """How a fit went.

    Attributes
    ----------
    converged
        The objective stopped rising, and never fell, within the allowed iterations.
    iterations, objective, gain
        Count; last value; last increase per observation.
    path
        The objective after each iteration.
    radius
        Spectral radius of the factors' autoregression; below 1 when it is stationary.
    observations
        Number of observed cells.
    """

    converged: bool
    iterations: int
    objective: float
    gain: float
    path: tuple[float, ...]
    radius: float
    observations: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model on its panel."""

    parameters: Parameters
    posterior: Posterior
    observations: Observations
    rows: Rows
    report: FitReport


def fit(panel: Panel, settings: Settings) -> Fit:
    """Fit the factor model to one vintage.

    Parameters
    ----------
    panel
        From `build_panel`.
    settings
        Factors, lags, tails, tolerance.

    Returns
    -------
    Fit
        Only ever a converged one.

    Raises
    ------
    FitError
        No convergence, an objective that fell, an unstable autoregression, or numbers that are not finite.

    Notes
    -----
    For month t, factors f, monthly series i and quarterly series q::

        f_t = A_1 f_{t-1} + … + A_p f_{t-p} + u_t,      u_t ~ t(shock_tail)
        x_it = m_i + l_i' f_t + e_it,   e_it = r_i e_{i,t-1} + v_it,   v_it ~ t(tail)
        y_qt = m_q + l_q' (f_t + 2 f_{t-1} + 3 f_{t-2} + 2 f_{t-3} + f_{t-4}) / 3 + e_qt,   e_qt ~ t(tail)

    The assumption that fails most often: that one factor drives all series in the same months.

    References
    ----------
    Bańbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160; Mariano and Murasawa (2003),
    Journal of Applied Econometrics 18, 427-443; Meng and Rubin (1993), Biometrika 80, 267-278 (ECM);
    Lange, Little and Taylor (1989), Journal of the American Statistical Association 84, 881-896.
    """
    p = start(panel, settings)
    seen = observe(panel, p.center, p.scale)
    layout = Layout.of(seen, p)
    found, objective = _evaluate(layout, p, settings)
    path: list[float] = []
    gain, stretch = np.inf, 1.0
    for _ in range(settings.max_iterations):
        step = maximise(layout, found, p, settings, panel.loads)
        bold = _stretched(p, step, stretch) if stretch > 1.0 else step
        found, new = _evaluate(layout, bold, settings)
        if stretch > 1.0 and not new > objective:
            stretch, bold = 1.0, step
            found, new = _evaluate(layout, step, settings)
        else:
            stretch = min(stretch * _STRETCH, _STRETCH_MOST)
        p = bold
        if not np.isfinite(new):
            raise FitError(
                "the nowcast's fit left the finite numbers.",
                code="OPS-M106",
                remedy="Look for a series with a wrong unit or transform.",
            )
        gain = (new - objective) / len(seen.series)
        path.append(new)
        objective = new
        if gain < settings.tolerance:
            break
    radius = spectral_radius(p)
    # The rise is guaranteed by construction; a fall beyond rounding is a defect of the fit, not noise.
    held = bool(-1e-9 < gain < settings.tolerance)
    report = FitReport(held, len(path), objective, float(gain), tuple(path), radius, len(seen.series))
    if not held:
        raise FitError(
            f"the nowcast's fit did not converge in {len(path)} iterations "
            f"(last gain {gain:.1e} per observation, {settings.tolerance:.0e} wanted).",
            code="OPS-M107",
            remedy="Use fewer factors, or allow more iterations.",
        )
    if radius >= 1.0:
        raise FitError(
            f"the factors' autoregression is not stationary (spectral radius {radius:.3f}).",
            code="OPS-M108",
            remedy="Check for a series in levels that should be in changes.",
        )
    rows = build_rows(seen, p)
    return Fit(p, smooth(rows, p), seen, rows, report)


def _evaluate(layout: Layout, p: Parameters, settings: Settings) -> tuple[Expectation, float]:
    found = expect(layout, p)
    return found, found.loglikelihood + weight_density(layout.seen, p, settings)


def _stretched(old: Parameters, new: Parameters, by: float) -> Parameters:
    """Go further in the direction of a step; a caller keeps it only where the objective rises.

    Positive quantities move in logarithms. Reference: Salakhutdinov and Roweis (2003), Adaptive
    overrelaxed bound optimization methods, ICML.
    """

    def line(a: Floats, b: Floats) -> Floats:
        return a + by * (b - a)

    def ratio(a: Floats, b: Floats) -> Floats:
        return np.asarray(a * (b / a) ** by)

    return replace(
        new,
        intercept=line(old.intercept, new.intercept),
        loadings=line(old.loadings, new.loadings),
        memory=np.clip(line(old.memory, new.memory), MEMORY[0], MEMORY[-1]),
        variance=np.maximum(ratio(old.variance, new.variance), VARIANCE_FLOOR),
        transition=line(old.transition, new.transition),
        weights=ratio(old.weights, new.weights),
        calm=ratio(old.calm, new.calm),
    )


def spectral_radius(p: Parameters) -> float:
    """Return the largest modulus among the roots of the factors' autoregression."""
    r, lags = p.factors, p.lags
    companion = np.eye(r * lags, k=-r)
    companion[:r] = p.transition
    return float(np.abs(np.linalg.eigvals(companion)).max())
