"""Where the search begins: principal components of the filled monthly panel, then regressions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters, Floats, Mask

LONGEST = 0.97
"""Spectral radius at most of the factors' first autoregression."""


def begin(
    values: Floats,
    *,
    names: tuple[str, ...],
    monthly: int,
    factor_names: tuple[str, ...],
    blocks: tuple[FactorBlock, ...],
    loads: Mask,
    center: Floats,
    scale: Floats,
    own_order: int,
    persistent: bool = False,
    skip: int = 0,
) -> FactorParameters:
    """Return first parameters from standardised values; see `FactorParameters` for the arguments.

    `persistent` looks for what the series of a month share with those of the month before, not with each other: a
    series that is loud and forgets at once then makes no factor. `skip` passes over the largest components: with
    one factor there may be two that are as good, such as output and employment.
    """
    n, r = loads.shape
    order = max(block.order for block in blocks)
    filled = fill(values[:, :monthly])
    factors = components(filled, loads[:monthly], persistent=persistent, skip=skip)
    p = FactorParameters(
        names, monthly, factor_names, blocks, loads, np.zeros((n, r)), np.zeros((r, r * order)), np.eye(r),
        np.zeros(n), np.ones(n), center, scale, own_order > 0,
        np.zeros((n, own_order - 1)) if own_order > 1 else None,
    )  # fmt: skip
    p = first_autoregression(factors, p)
    loadings, memory, variance = p.loadings.copy(), np.zeros(n), np.ones(n)
    summed = _summed(factors)
    for i in range(n):
        seen = ~np.isnan(values[:, i])
        own = loads[i]
        design = (factors if i < monthly else summed)[seen][:, own]
        loadings[i, own] = np.linalg.lstsq(design, values[seen, i], rcond=None)[0]
        rest = values[seen, i] - design @ loadings[i, own]
        total = max(float(rest @ rest) / len(rest), 0.05)
        if i >= monthly:
            variance[i] = total / 19.0  # the squares of 1, 2, 3, 2, 1 add up to 19
            continue
        if own_order and len(rest) > 2:
            memory[i] = float(np.clip(rest[1:] @ rest[:-1] / (rest @ rest + 1e-12), -0.9, 0.9))
        variance[i] = total * (1.0 - memory[i] ** 2)
    return replace(p, loadings=loadings, memory=memory, variance=variance).unit()


def fill(x: Floats) -> Floats:
    """Fill holes with straight lines, and outside with the nearest value, then pull wild values in."""
    out = x.copy()
    rows = np.arange(len(x))
    for i in range(x.shape[1]):
        seen = ~np.isnan(x[:, i])
        out[:, i] = np.interp(rows, rows[seen], x[seen, i])
    return np.clip(out, -4.0, 4.0)


def components(filled: Floats, loads: Mask, *, persistent: bool, skip: int) -> Floats:
    """Return first guesses: each factor the component of what earlier ones left of the series that load on it."""
    left, pieces = filled.copy(), []
    done = 0
    while done < loads.shape[1]:
        same = [f for f in range(done, loads.shape[1]) if np.array_equal(loads[:, f], loads[:, done])]
        same = same[: next((k for k, f in enumerate(same) if f != done + k), len(same))]
        which = np.flatnonzero(loads[:, done])
        if len(which) < len(same):
            raise FitError("there are more factors than series.", remedy="Use fewer factors.", code="OPS-M110")
        part = left[:, which]
        product = part[1:].T @ part[:-1] if persistent else part.T @ part
        vectors = np.linalg.eigh(product + product.T)[1]
        over = skip if len(which) >= len(same) + skip else 0
        found = part @ vectors[:, ::-1][:, over : over + len(same)]
        found = found / np.maximum(found.std(axis=0), 1e-8)
        found = found * np.where(found.T @ left[:, which].sum(axis=1) < 0, -1.0, 1.0)
        left[:, which] -= found @ np.linalg.lstsq(found, left[:, which], rcond=None)[0]
        pieces.append(found)
        done += len(same)
    return np.hstack(pieces)


def _summed(factors: Floats) -> Floats:
    out = np.zeros_like(factors)
    for lag in range(5):
        out[lag:] += (3 - abs(lag - 2)) * factors[: len(factors) - lag]
    return out


def first_autoregression(factors: Floats, p: FactorParameters, *, longest: float = LONGEST) -> FactorParameters:
    """Return parameters with the autoregression that guessed factors have, at most of a spectral radius."""
    r, order = p.factors, p.order
    transition, innovation = np.zeros((r, r * order)), np.eye(r)
    lagged = np.hstack([factors[order - k : len(factors) - k] for k in range(1, order + 1)])
    for block in p.blocks:
        own = np.array(block.factors)
        at = (np.arange(block.order)[:, None] * r + own).ravel()
        now = factors[order:, own]
        found = np.linalg.lstsq(lagged[:, at], now, rcond=None)[0]
        transition[np.ix_(own, at)] = found.T
        rest = now - lagged[:, at] @ found
        innovation[np.ix_(own, own)] = np.linalg.cholesky(rest.T @ rest / len(rest) + 1e-3 * np.eye(len(own)))
    p = replace(p, transition=transition, innovation=innovation)
    if p.radius > longest:
        # Pull each lag in by a power of its distance: the roots shrink in proportion.
        pull = np.repeat((longest / p.radius) ** np.arange(1, order + 1), r)
        p = replace(p, transition=transition * pull)
    return p
