"""Regression: coefficients that rest on many groups, and nothing for each unit."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.protect.contributions import Derived, Floats, Limits, publishable, refusal, rounded
from opsroom.protect.rules import Rules

_RANK = 1e-9
"""Relative size below which a singular value counts as nothing."""


def check_regression(
    design: Any,
    groups: Sequence[Hashable],
    rules: Rules,
    *,
    response: npt.ArrayLike,
    names: Sequence[str] | None = None,
    limits: Limits | None = None,
    decimals: int = 4,
) -> Derived:
    r"""Fit a linear regression by least squares and return its coefficients, if they may be published.

    Parameters
    ----------
    design
        Regressors, shape (units, regressors), with a column of ones if there is to be an intercept: an array, or a
        pandas frame, whose columns give the names.
    groups
        Enterprise group of each unit.
    rules
        The profile.
    response
        What is explained, shape (units,).
    names
        Names of the regressors.
    limits
        Least degrees of freedom, most leverage, closest fit.
    decimals
        Decimals published.

    Returns
    -------
    Derived
        For each regressor the coefficient, and ``<name>__se``; ``r_squared`` to two decimals. Residuals and fitted
        values are for no one: see `opsroom.protect.derived.refuse`.

    Raises
    ------
    DisclosureError
        If groups less regressors leave too few degrees of freedom; if regressors are collinear; if a group has too
        much leverage, or fewer groups than the profile's number could have all of it (a dummy, an interaction or what
        is left beside dummies that isolates them); if the fit is all but perfect; or if a coefficient, a weighted sum
        of the response, rests on few groups or on few that dominate.
    UsageError
        If shapes do not match or a number is missing.

    Notes
    -----
    With :math:`X = QR` a group's block of the hat matrix is :math:`Q_g Q_g'`; its largest eigenvalue
    :math:`\lambda_g` is 1 exactly if some combination of regressors is zero outside the group: then that combination
    of coefficients is a function of the group alone. For a set of groups the largest eigenvalue is at most the sum of
    theirs. So if the largest :math:`m - 1` of them add up to less than 1, no combination of coefficients rests on
    fewer than m groups. A coefficient is :math:`\sum_i w_i y_i`; the groups' parts of the sum are judged like
    contributions to a cell.

    References
    ----------
    Bond, Brandt & de Wolf (2015), Guidelines for Output Checking.
    """
    x, y, labels = _read(design, response, groups, names)
    bounds = limits or Limits()
    order: dict[Hashable, int] = {}
    group = np.array([order.setdefault(g, len(order)) for g in groups], dtype=np.intp)
    n_groups, width = len(order), x.shape[1]
    if not publishable(np.ones(n_groups), _counting(rules)) or n_groups - width < bounds.freedom:
        raise refusal("regression")
    scale = np.abs(x).max(axis=0)
    if (scale == 0).any():
        raise refusal("regression")
    q, r = np.linalg.qr(x / scale)
    if np.linalg.svd(r, compute_uv=False).min() <= _RANK * np.sqrt(len(x)):
        raise refusal("regression")
    leverage = _leverages(q, group, n_groups)
    most = np.sort(leverage)[::-1]
    if most[0] > bounds.leverage or most[: rules.min_contributors - 1].sum() >= 1 - 1e-6:
        raise refusal("regression")
    inverse = np.linalg.solve(r, q.T)  # the weights of each coefficient, shape (regressors, units)
    coefficients = inverse @ y
    residual = y - (x / scale) @ coefficients
    squares, centred = float(residual @ residual), float(((y - y.mean()) ** 2).sum())
    fit = 1 - squares / centred if centred > 0 else 1.0
    if fit >= bounds.fit or squares <= 1e-12 * float(y @ y):
        raise refusal("regression")
    for weights in inverse:
        if not publishable(np.bincount(group, weights=weights * y, minlength=n_groups), rules):
            raise refusal("regression")
    errors = np.sqrt(squares / (len(y) - width) * (inverse**2).sum(axis=1))
    values: dict[str, float] = {}
    for name, value, error, unit in zip(labels, coefficients, errors, scale, strict=True):
        values[name] = rounded(value / unit, decimals)
        values[f"{name}__se"] = rounded(error / unit, decimals)
    values["r_squared"] = rounded(fit, 2)
    return Derived("regression", values, "of the response per unit of the regressor", "ordinary least squares")


def _read(
    design: Any, response: npt.ArrayLike, groups: Sequence[Hashable], names: Sequence[str] | None
) -> tuple[Floats, Floats, list[str]]:
    x = np.asarray(design, dtype=np.float64)
    y = np.asarray(response, dtype=np.float64)
    fits = x.ndim == 2 and y.ndim == 1 and len(x) == len(y) == len(groups) and x.shape[1] > 0
    if not fits or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError(
            "a regression needs finite regressors, a response and an enterprise group for each unit.",
            remedy="Leave units with missing values out.",
            code="OPS-U156",
        )
    found = list(names) if names is not None else [str(c) for c in getattr(design, "columns", [])]
    labels = found or [f"x{k}" for k in range(x.shape[1])]
    if len(labels) != x.shape[1] or len(set(labels)) != len(labels):
        raise UsageError("regressors need one name each.", remedy="Give names=.", code="OPS-U156")
    return x, y, labels


def _counting(rules: Rules) -> Rules:
    """Return the rules that count contributors only, under the same profile."""
    return Rules(min_contributors=rules.min_contributors, dominance=(), profile=rules.profile)


def _leverages(q: Floats, group: npt.NDArray[np.intp], n_groups: int) -> Floats:
    """Return the largest eigenvalue of each group's block of the hat matrix."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(n_groups))
    blocks = np.split(q[order], starts[1:])
    return np.array([float(np.linalg.norm(block, 2)) ** 2 for block in blocks])
