"""Penalised, robust least squares of many series on one shared design."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.floating]

HUBER = 1.345
"""Tuning constant of Huber's loss: 95 % efficient where errors are normal."""

MAD = 1.4826
"""Standard deviation of a normal law over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class BatchFit:
    """Coefficients of many regressions on one design.

    Attributes
    ----------
    coef
        Coefficients, shape (series, terms).
    scale
        Robust standard deviation of the residuals of each series, corrected for the terms used.
    rows
        Number of days that each series contributed.
    """

    coef: Floats
    scale: Floats
    rows: npt.NDArray[np.int64]

    def predict(self, x: Floats) -> Floats:
        """Return fitted values for the rows of `x`, shape (series, rows)."""
        return self.coef @ np.ascontiguousarray(x.T)


def fit_batch(
    y: Floats,
    x: Floats,
    *,
    weights: Floats | None = None,
    penalty: Floats | None = None,
    huber: float | None = HUBER,
    iterations: int = 4,
    chunk: int = 4096,
    todo: npt.NDArray[np.bool_] | None = None,
) -> BatchFit:
    """Regress every row of `y` on the columns of `x`.

    It answers: what is normal for each of these companies (or classes, hours, regions), given the
    same calendar and weather, without one bad day moving the answer?

    Parameters
    ----------
    y
        Series, shape (series, days); NaN where a reading is missing. Its dtype is the working precision.
    x
        Shared design, shape (days, terms); columns of about unit size.
    weights
        Weight of each reading, shape (series, days) or (days,); 0 leaves it out.
    penalty
        Ridge penalty of each term (terms,) or a penalty matrix (terms, terms), in units of days.
    huber
        Tuning constant in residual standard deviations; None for plain least squares.
    iterations
        Re-weighting steps of the robust loss.
    chunk
        Series worked on at a time: memory is about ``3 × chunk × days`` numbers.
    todo
        Which series to fit, (series,); the others are left at zero, for callers that know their fit already.
        Each series that is fitted comes out as it would with all of them. No more series than terms are fitted all
        the same. None: all.

    Returns
    -------
    BatchFit

    Raises
    ------
    UsageError
        If shapes do not fit.
    FitError
        If a system is singular; add a penalty.

    Notes
    -----
    With weights :math:`w_{ut}` the Gram matrix of series :math:`u` is :math:`\\sum_t w_{ut} x_t x_t'`.
    The outer products of the shared design are formed once; where there are more series than terms, the Gram
    matrix of all days is too, and each series only takes away what its missing and outlying days lack. Huber's loss is
    minimised by iterative re-weighting with :math:`w = \\min(1, c s / |r|)`, :math:`s` the residuals'
    median absolute deviation times 1.4826. What fails most often: a series that is zero throughout
    (its scale is zero); callers drop it.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", 1964.
    """
    if y.ndim != 2 or x.ndim != 2 or y.shape[1] != x.shape[0]:
        raise UsageError(
            "series and design do not have the same days.",
            remedy="Give y as (series, days) and x as (days, terms).",
        )
    n, k = y.shape[0], x.shape[1]
    dtype = y.dtype
    x = np.ascontiguousarray(x, dtype=dtype)
    ridge = penalty_matrix(penalty, k)
    if n > k:
        return _fit_many(y, x, weights, ridge, huber, iterations, todo)
    coef = np.zeros((n, k), dtype=dtype)
    scale = np.zeros(n, dtype=dtype)
    rows = np.zeros(n, dtype=np.int64)
    # So few are fitted all at once: products of matrices need not come out to the last bit as those of their parts.
    for start in range(0, n, chunk):
        part = slice(start, min(start + chunk, n))
        block = y[part]
        seen = np.isfinite(block)
        prior = seen.astype(dtype)
        if weights is not None:
            prior = prior * (weights[part] if weights.ndim == 2 else weights[None, :])
        filled = np.where(seen, block, 0).astype(dtype, copy=False)
        steps = 1 if huber is None else iterations
        used = prior > 0
        rows[part] = used.sum(axis=1)
        w = prior
        for step in range(steps):
            coef[part] = _solve(w, filled, x, ridge)
            residual = filled - coef[part] @ x.T
            scale[part] = _robust_scale(residual, used)
            if huber is not None and step < steps - 1:
                cap = huber * np.maximum(scale[part], np.finfo(dtype).tiny)[:, None]
                w = prior * np.minimum(1, cap / np.maximum(np.abs(residual), cap))
        freedom = np.maximum(rows[part] - np.minimum(k, rows[part] // 2), 1)
        scale[part] *= np.sqrt(np.maximum(rows[part], 1) / freedom)
    return BatchFit(coef=coef, scale=scale, rows=rows)


def penalty_matrix(penalty: Floats | None, k: int) -> npt.NDArray[np.float64]:
    """Return the penalty as a matrix, with a floor that keeps empty columns at zero."""
    ridge = np.eye(k) * 1e-6
    if penalty is None:
        return ridge
    if penalty.shape not in {(k,), (k, k)}:
        raise UsageError("the penalty does not fit the terms.", remedy="Give (terms,) or (terms, terms).")
    return ridge + (np.diag(penalty) if penalty.ndim == 1 else penalty)


def _fit_many(
    y: Floats,
    x: Floats,
    weights: Floats | None,
    ridge: npt.NDArray[np.float64],
    huber: float | None,
    iterations: int,
    todo: npt.NDArray[np.bool_] | None,
) -> BatchFit:
    """Fit one series after another in compiled loops; compiling pays where there are many."""
    from opsroom.measure.adjust.batch_kernel import fit_rows

    n, k = y.shape[0], x.shape[1]
    design = x.astype(np.float64)
    upper = np.triu_indices(k)
    every = np.ones(1) if weights is None else np.asarray(weights, dtype=np.float64)
    products = design[:, upper[0]] * design[:, upper[1]]
    every = np.broadcast_to(every, y.shape)
    at = slice(None) if todo is None else np.flatnonzero(todo)
    part = np.ascontiguousarray(y[at])
    found = np.zeros((len(part), k), dtype=y.dtype), np.zeros(len(part)), np.zeros(len(part), dtype=np.int64)
    solved = fit_rows(
        part, np.ascontiguousarray(design.T), products, every[at], ridge,
        huber or 0.0, 1 if huber is None else iterations, *found,
    )  # fmt: skip
    if not solved:
        raise _singular()
    coef, scale, rows = np.zeros((n, k), dtype=y.dtype), np.zeros(n), np.zeros(n, dtype=np.int64)
    coef[at], scale[at], rows[at] = found
    freedom = np.maximum(rows - np.minimum(k, rows // 2), 1)
    scale *= np.sqrt(np.maximum(rows, 1) / freedom)
    return BatchFit(coef=coef, scale=scale.astype(y.dtype), rows=rows)


def _singular() -> FitError:
    return FitError(
        "a regression is singular: the terms of the design cannot be told apart on these days.",
        remedy="Give more days, drop terms or add a penalty.",
        code="OPS-M010",
    )


def _solve(w: Floats, y: Floats, x: Floats, ridge: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Solve the weighted normal equations of each series, in double precision."""
    gram = np.stack([(x * row[:, None]).T @ x for row in w]).astype(np.float64) + ridge
    moment = ((w * y) @ x).astype(np.float64)
    try:
        return np.asarray(np.linalg.solve(gram, moment[:, :, None])[:, :, 0])
    except np.linalg.LinAlgError:
        raise _singular() from None


def _robust_scale(residual: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Return 1.4826 × the median absolute residual of each row, over the days used.

    Unused days stand at infinity, beyond the median of those used.
    """
    size = np.where(used, np.abs(residual), np.inf)
    middle = np.clip((used.sum(axis=1) - 1) // 2, 0, None)
    value = np.empty(len(size), dtype=size.dtype)
    # Rows with as many days share their median's place: one cheap partition each, not one for all places.
    for place in np.unique(middle):
        rows = np.flatnonzero(middle == place)
        value[rows] = np.partition(size[rows], place, axis=1)[:, place]
    return np.asarray(np.where(np.isfinite(value), MAD * value, 0), dtype=residual.dtype)
