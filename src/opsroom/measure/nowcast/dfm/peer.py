"""From statsmodels' DynamicFactorMQ to the same model here."""

from __future__ import annotations

from typing import Any

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, FactorParameters


def parameters_of(model: Any, params: Any) -> FactorParameters:
    """Read the parameters of a `DynamicFactorMQ` model; see `from_statsmodels`."""
    if model.obs_cov_diag:
        raise UsageError(
            "the model has noise on every observation (obs_cov_diag=True), which this one has not.",
            remedy="Build it with obs_cov_diag=False, the default.",
        )
    model.update(np.asarray(params, dtype=np.float64))
    states, n, r = model._s, model.k_endog, model.k_factors
    names = tuple(str(name) for name in model._get_endog_names(truncate=False, as_string=False))
    factor_names = tuple(str(name) for name in states.factor_names)
    loads = np.zeros((n, r), dtype=bool)
    loadings = np.zeros((n, r))
    values = np.asarray(params)[model._p["loadings"]]
    done = 0
    for i in range(n):
        here = list(states.endog_factor_iloc[i])
        loads[i, here] = True
        loadings[i, here] = values[done : done + len(here)]
        done += len(here)
    order = int(max(block.factor_order for block in states.factor_blocks))
    transition, innovation = np.zeros((r, r * order)), np.zeros((r, r))
    state_cov = model["state_cov"]
    blocks, begin = [], 0
    for block in states.factor_blocks:
        own = list(range(begin, begin + block.k_factors))
        coefficients = model["transition", block["factors_L1"], block["factors_ar"]]
        for lag in range(block.factor_order):
            columns = [lag * r + f for f in own]
            transition[np.ix_(own, columns)] = coefficients[:, lag * len(own) : (lag + 1) * len(own)]
        innovation[np.ix_(own, own)] = np.linalg.cholesky(state_cov[begin : own[-1] + 1, begin : own[-1] + 1])
        blocks.append(FactorBlock(tuple(own), int(block.factor_order)))
        begin += block.k_factors
    ar1 = bool(model.idiosyncratic_ar1)
    memory = np.asarray(params)[model._p["idiosyncratic_ar1"]] if ar1 else np.zeros(n)
    return FactorParameters(
        names=names,
        monthly=int(model.k_endog_M),
        factor_names=factor_names,
        blocks=tuple(blocks),
        loads=loads,
        loadings=loadings,
        transition=transition,
        innovation=innovation,
        memory=np.asarray(memory, dtype=np.float64),
        variance=np.asarray(np.asarray(params)[model._p["idiosyncratic_var"]], dtype=np.float64),
        center=np.asarray(model._endog_mean, dtype=np.float64),
        scale=np.asarray(model._endog_std, dtype=np.float64),
        ar1=ar1,
    )
