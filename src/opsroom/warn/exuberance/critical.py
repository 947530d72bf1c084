"""Critical values and p-values by drawing, in parallel, the same for any number of threads; kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.drawing import checked, in_chunks, low_where_absent, p_value, quantiles
from opsroom.warn.exuberance.sequences import Plan, plan_for, sequences

Floats = npt.NDArray[np.float64]
Kind = Literal["monte_carlo", "wild_bootstrap", "sieve"]
LEVELS = (0.90, 0.95, 0.99)
_EDITION = 1
"""Part of every key: raise it when a change of the method would make kept values wrong."""
_KEPT = 32
_memory: OrderedDict[str, dict[str, Floats]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class CriticalValues:
    """What the statistics are measured against.

    Attributes
    ----------
    table
        One row a level; columns ``adf``, ``sadf``, ``gsadf``.
    badf, bsadf
        Sequences for dating: one row a row of the regression (from `Plan.least` on known), one column a level. BADF's
        is its own; BSADF's is that of the largest BADF up to the date, as Phillips, Shi and Yu define it.
    pointwise
        What BSADF itself exceeds at a date with the level's probability: lower, for the last date's p-value.
    kind
        ``monte_carlo``, ``wild_bootstrap``, ``sieve`` or ``signs``.
    plan
        Lags and smallest window: those of the statistic.
    length, draws, seed
        Of the paths drawn.
    family
        Observations over which the BSADF sequence is exceeded anywhere with the level's probability; 0 where each
        date stands alone.
    """

    table: pd.DataFrame
    badf: pd.DataFrame
    bsadf: pd.DataFrame
    pointwise: pd.DataFrame
    kind: str
    plan: Plan
    length: int
    draws: int
    seed: int
    family: int = 0
    drawn: Mapping[str, Floats] = field(default_factory=dict, repr=False)

    def at(self, statistic: str, level: float) -> float:
        """Return the critical value of ``adf``, ``sadf`` or ``gsadf``.

        Raises
        ------
        UsageError
            The level or the statistic was not asked for.
        """
        if level not in self.table.index or statistic not in self.table.columns:
            raise UsageError(
                f"there is no critical value of {statistic!r} at level {level}.",
                code="OPS-U344",
                remedy=f"Levels: {', '.join(map(str, self.table.index))}; give more by levels=.",
            )
        return float(self.table[statistic].to_numpy(dtype=np.float64)[list(self.table.index).index(level)])

    def p_value(self, statistic: str, value: float) -> float:
        """Return the probability of a statistic at least as large without bubbles: (1 + exceeded) / (1 + draws).

        Parameters
        ----------
        statistic
            ``adf``, ``sadf``, ``gsadf``, or ``last`` for the last date's BSADF.
        value
            NaN gives NaN.
        """
        return p_value(self.drawn[statistic], value)


def monte_carlo_values(
    length: int, *, lags: int | Literal["bic"] = 0, min_window: int | None = None, draws: int = 1999,
    levels: Sequence[float] = LEVELS, seed: int = 0, most_lags: int = 4, cache: str | Path | None = None,
) -> CriticalValues:  # fmt: skip
    """Draw critical values of random walks of any length, without asking anyone.

    Answers: how large do the statistics of a series of this length get when there is no bubble?

    Parameters
    ----------
    length
        Observations, as long as wished; the time taken grows with its square.
    lags, min_window, most_lags
        As in `gsadf`: the critical values are those of the same statistic.
    draws
        Paths.
    levels
        Probabilities, such as 0.95.
    seed
        Fixes the draws.
    cache
        Folder in which they are kept for the next time; by default in memory alone.

    Returns
    -------
    CriticalValues

    Raises
    ------
    UsageError
        A level, the number of draws or the lags are out of range.
    FitError
        The length is too short for the window.

    Notes
    -----
    The Monte Carlo error of a 95 % value from 2,000 draws is about 0.05, of a 99 % one 0.12.

    References
    ----------
    Phillips, Shi and Yu (2015), Testing for multiple bubbles: historical episodes of exuberance and collapse in the
    S&P 500, International Economic Review 56, 1043-1078.

    Examples
    --------
    >>> found = monte_carlo_values(60, draws=199)
    >>> bool(found.at("gsadf", 0.95) > found.at("sadf", 0.95) > found.at("adf", 0.95))
    True
    """
    plan = plan_for(length, lags, min_window, most_lags)
    return simulate(
        nulls.monte_carlo(length), plan, length=length, kind="monte_carlo", draws=draws, levels=levels, seed=seed,
        cache=cache,
    )  # fmt: skip


def bootstrap_values(
    y: Floats, plan: Plan, *, kind: Kind, draws: int, levels: Sequence[float], seed: int, family: int = 0,
    cache: str | Path | None = None, workers: int | None = None,
) -> CriticalValues:  # fmt: skip
    """Draw the critical values that belong to a series and its statistic's lags.

    Parameters
    ----------
    y
        Levels, finite.
    plan
        The statistic's.
    kind
        How paths are drawn; see `opsroom.warn.exuberance.nulls`.
    draws, levels, seed, cache
        As in `monte_carlo_values`.
    family
        With ``wild_bootstrap``: observations over which the BSADF sequence holds as one.
    """
    length = len(y)
    common: dict[str, Any] = {"draws": draws, "levels": levels, "seed": seed, "cache": cache, "workers": workers}
    if kind == "monte_carlo":
        return simulate(nulls.monte_carlo(length), plan, length=length, kind=kind, **common)
    order = step_order(y, plan, kind)
    draw = nulls.wild(y, order) if kind == "wild_bootstrap" else nulls.sieve(y, order)
    found = simulate(draw, plan, length=length, kind=kind, content=y, **common)
    if not family:
        return found
    shorter = min(length, plan.least + plan.lead + family - 1)
    together = simulate(
        nulls.family(y, order, shorter), plan, length=shorter, kind="family", content=y, **common
    )  # fmt: skip
    constant = {level: np.full(len(found.bsadf), together.at("gsadf", level)) for level in found.table.index}
    bsadf = pd.DataFrame(constant, index=found.bsadf.index).where(found.bsadf.notna())
    return replace(found, bsadf=bsadf, family=family)


def step_order(y: Floats, plan: Plan, kind: str) -> int:
    """Return the order of the steps' autoregression: the statistic's lags, chosen where they are chosen.

    The sieve may need more, to leave residuals without memory.
    """
    if kind == "sieve":
        return max(0 if plan.bic else plan.lags, nulls.bayes_order(y, max(plan.lags, min(8, len(y) // 15))))
    return nulls.bayes_order(y, plan.lags) if plan.bic else plan.lags


def simulate(
    draw: nulls.Draw, plan: Plan, *, length: int, kind: str, draws: int, levels: Sequence[float], seed: int,
    content: Floats | None = None, cache: str | Path | None = None, workers: int | None = None,
) -> CriticalValues:  # fmt: skip
    """Draw paths, compute their statistics, and keep what is needed of them.

    Parameters
    ----------
    draw
        Where paths come from.
    content
        The data on which `draw` rests; part of the key under which the outcome is kept.
    workers
        Threads; all processors by default. Draws come in chunks with seeds of their own: their number changes nothing.
    """
    draws, levels = checked(draws, levels)
    what = {
        "edition": _EDITION, "kind": kind, "length": length, "lags": plan.lags, "least": plan.least, "bic": plan.bic,
        "draws": draws, "levels": levels, "seed": int(seed),
        "data": "" if content is None else hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest(),
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    found = _recall(key, cache)
    if found is None:
        found = _draw_all(draw, plan, length - plan.lead, draws, levels, seed, workers)
        _keep(key, found, cache)
    return CriticalValues(
        table=pd.DataFrame(found["table"], index=pd.Index(levels, name="level"), columns=["adf", "sadf", "gsadf"]),
        badf=pd.DataFrame(found["badf"], columns=list(levels)),
        bsadf=pd.DataFrame(found["bsadf"], columns=list(levels)),
        pointwise=pd.DataFrame(found["pointwise"], columns=list(levels)),
        kind=kind, plan=plan, length=length, draws=draws, seed=int(seed),
        drawn={name: found[name] for name in ("adf", "sadf", "gsadf", "last")},
    )  # fmt: skip


def _draw_all(
    draw: nulls.Draw, plan: Plan, rows: int, draws: int, levels: tuple[float, ...], seed: int, workers: int | None
) -> dict[str, Floats]:
    def one(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        found = sequences(draw(rng, count), plan)
        return low_where_absent(found.badf), low_where_absent(found.bsadf)

    badf, bsadf = in_chunks(one, draws, seed=seed, workers=workers)
    up_to = np.maximum.accumulate(badf, axis=1)
    drawn = {"adf": badf[:, -1], "sadf": up_to[:, -1], "gsadf": bsadf.max(axis=1), "last": bsadf[:, -1]}
    drawn = {name: np.sort(values) for name, values in drawn.items()}
    out = {"table": np.column_stack([quantiles(drawn[name], levels) for name in ("adf", "sadf", "gsadf")])}
    for name, values in (("badf", badf), ("bsadf", up_to), ("pointwise", bsadf)):
        out[name] = np.full((rows, len(levels)), np.nan)
        out[name][plan.least - 1 :] = quantiles(values[:, plan.least - 1 :], levels).T
    return out | drawn


def _recall(key: str, cache: str | Path | None) -> dict[str, Floats] | None:
    if key in _memory:
        _memory.move_to_end(key)
        return _memory[key]
    path = Path(cache) / f"{key}.npz" if cache is not None else None
    if path is None or not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            found = {name: np.asarray(kept[name]) for name in kept.files}
    except (OSError, ValueError, BadZipFile):
        return None  # a damaged file is drawn anew and written over
    _remember(key, found)
    return found


def _keep(key: str, found: dict[str, Floats], cache: str | Path | None) -> None:
    _remember(key, found)
    if cache is None:
        return
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        np.savez(file, **found)  # type: ignore[arg-type]  # the stub takes the names for its own option
    Path(name).replace(folder / f"{key}.npz")  # readers see a whole file or none


def _remember(key: str, found: dict[str, Floats]) -> None:
    _memory[key] = found
    while len(_memory) > _KEPT:
        try:
            _memory.popitem(last=False)
        except KeyError:  # another thread was quicker
            break
