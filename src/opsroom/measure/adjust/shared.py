"""Robust regressions of very many series by one factorisation of the design that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.adjust.batch import HUBER, BatchFit, fit_batch, penalty_matrix

Floats = npt.NDArray[np.floating]
F64 = npt.NDArray[np.float64]

ASIDE = 0.25
"""Share of a block's series that have settled at which they are put aside: sooner costs more copies than it saves."""

FEWEST = 0.5
"""Least share of the days that a series must have for the shared factorisation to be worth its steps."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A design and its inverse, good for any number of series on the same days.

    Attributes
    ----------
    x
        Design, (days, terms), in the working precision.
    inverse
        Inverse of the penalised Gram matrix times the turned design, turned: (days, terms). A complete series times
        it gives the coefficients of penalised least squares.
    freedom
        Effective number of terms, the trace of the smoother.
    penalty
        Penalty matrix, (terms, terms).
    """

    x: Floats
    inverse: Floats
    freedom: float
    penalty: F64

    @classmethod
    def of(cls, x: Floats, *, penalty: Floats | None = None, dtype: npt.DTypeLike = np.float64) -> Shared:
        """Factorise a design.

        Parameters
        ----------
        x
            Design, (days, terms); columns of about unit size.
        penalty
            Ridge penalty of each term (terms,) or a penalty matrix (terms, terms), in units of days.
        dtype
            Precision in which series will be fitted.

        Raises
        ------
        UsageError
            If the design holds what is no number.
        FitError
            If the terms cannot be told apart; add a penalty.
        """
        design = np.asarray(x, dtype=np.float64)
        if not np.isfinite(design).all():
            raise UsageError("the design holds what is no number.", remedy="Leave out days whose weather is unknown.")
        ridge = penalty_matrix(penalty, design.shape[1])
        gram = design.T @ design + ridge
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            raise FitError(
                "the terms of the design cannot be told apart on these days.",
                remedy="Give more days, drop terms or add a penalty.",
                code="OPS-M016",
            ) from None
        half = solve_triangular(factor, design.T, lower=True, check_finite=False)
        inverse = solve_triangular(factor, half, lower=True, trans="T", check_finite=False).T
        return cls(
            np.ascontiguousarray(design, dtype=dtype), np.ascontiguousarray(inverse, dtype=dtype),
            float((half**2).sum()), ridge,
        )  # fmt: skip

    def fit(
        self, y: Floats, *, huber: float | None = HUBER, steps: int = 30, tolerance: float = 1e-3, chunk: int = 2048
    ) -> BatchFit:
        """Regress every row of `y` on the design.

        It answers the same as `opsroom.measure.adjust.batch.fit_batch` where its re-weighting has settled, for a
        small part of the work: the design is factorised once, not once a series and step.

        Parameters
        ----------
        y
            Series, (series, days); NaN where a reading is missing.
        huber
            Tuning constant in residual standard deviations; None for plain least squares.
        steps
            Most steps.
        tolerance
            A series stops when none of its fitted values moves by more than this many residual standard deviations.
        chunk
            Series worked on at a time: memory is about ``4 × chunk × days`` numbers.

        Returns
        -------
        BatchFit

        Raises
        ------
        UsageError
            If the days do not fit.

        Notes
        -----
        Modified residuals: with fit :math:`f`, residuals :math:`r = y - f` and Huber's :math:`\\psi`, regress
        :math:`f + \\psi(r)`, and again. A missing day is one whose residual is 0 at the current fit. Each step
        lowers the penalised loss at fixed scale, as one of re-weighting does, since the Hessian is at most the Gram
        matrix used. The error shrinks each step by about the share of days that are missing or beyond
        :math:`c s`: about a fifth where all are there.

        References
        ----------
        P. J. Huber, R. Dutter, "Numerical solution of robust regression problems", 1974.
        """
        if y.ndim != 2 or y.shape[1] != len(self.x):
            raise UsageError("series and design do not have the same days.", remedy="Give y as (series, days).")
        n, k = len(y), self.x.shape[1]
        coef, scale = np.zeros((n, k), dtype=self.x.dtype), np.zeros(n, dtype=self.x.dtype)
        rows = np.zeros(n, dtype=np.int64)
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            coef[part], scale[part], rows[part] = self._block(y[part], huber, steps, tolerance)
        # With most days missing the steps would be many: these few are solved one by one.
        thin = np.flatnonzero(rows < FEWEST * len(self.x))
        for low in range(0, len(thin), chunk):
            at = thin[low : low + chunk]
            own = fit_batch(y[at], self.x, penalty=self.penalty, huber=huber, iterations=30)
            coef[at], scale[at] = own.coef, own.scale
        used = np.minimum(self.freedom, rows / 2)
        thick = rows >= FEWEST * len(self.x)
        scale *= np.where(thick, np.sqrt(np.maximum(rows, 1) / np.maximum(rows - used, 1)), 1)
        return BatchFit(coef=coef, scale=scale.astype(y.dtype, copy=False), rows=rows)

    def _block(
        self, y: Floats, huber: float | None, steps: int, tolerance: float
    ) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """Return coefficients, uncorrected scale and days used of a block of series."""
        from opsroom.measure.adjust.shared_kernel import modify_rows

        values = np.ascontiguousarray(y, dtype=self.x.dtype)
        rows = np.isfinite(values).sum(axis=1)
        centre = np.nansum(values, axis=1) / np.maximum(rows, 1)
        target = np.where(np.isfinite(values), values, centre[:, None])
        scale, coef = np.zeros(len(values), dtype=self.x.dtype), target @ self.inverse
        few = self.x[:: max(len(self.x) // 64, 1)].T
        plain = huber is None and bool((rows == len(self.x)).all())
        # A series stops when it has settled itself, whoever stands beside it; those that have are put aside.
        live, ended = np.arange(len(values)), np.zeros(len(values), dtype=bool)
        spread, at = scale.copy(), coef.copy()
        for _ in range(1 if plain else max(steps, 1)):
            modify_rows(values, at @ self.x.T, np.inf if huber is None else huber, target, spread)
            new = target @ self.inverse
            moved = np.abs((new - at) @ few).max(axis=1, initial=0.0)
            at = new
            coef[live[~ended]], scale[live[~ended]] = at[~ended], spread[~ended]
            ended |= moved <= tolerance * np.maximum(spread, 1e-6)
            if ended.all():
                break
            if ended.mean() >= ASIDE:
                left = ~ended
                live, values, target, spread, at = live[left], values[left], target[left], spread[left], at[left]
                ended = np.zeros(len(live), dtype=bool)
        return coef, scale, rows
