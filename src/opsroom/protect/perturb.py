r"""Cell-key perturbation: noise that is the same for the same cell in every table.

Each enterprise group has a *record key*, a keyed hash of its id. The *cell key* is the sum of the record keys of
the groups behind a cell, modulo :math:`2^{64}`: it depends on who contributes and on nothing else. The noise is a
function of the cell key. So the same contributors give the same noise in whatever table, filter or month they are
asked for, and asking again averages nothing out; two cells that differ by one company have unrelated noise.

Tables are not made additive: rows of noisy cells need not add up to their noisy total. Forcing them would take the
consistency between tables away. What this promises and what not is in ``docs/explanation/perturbation.md``.

References
----------
B. Fraser and J. Wooton (2005), A proposed method for confidentialising tabular output to protect against
differencing, UNECE work session on statistical data confidentiality. G. Thompson, S. Broadfoot and D. Elazar (2013),
Methodology for the automatic confidentialisation of statistical outputs from remote servers at the Australian Bureau
of Statistics, UNECE. T. Enderle, S. Giessing and R. Tent (2018), Designing confidentiality on the fly methodology:
three aspects, Privacy in Statistical Databases.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.protect.microdata import numbers, texts
from opsroom.protect.ptable import PTable, make_ptable

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOTAL = "_T"
COUNT = "count"
LEAST_SECRET = 16


@dataclass(frozen=True, slots=True)
class PerturbationProfile:
    r"""How much noise. The values are customary, to be changed, and not to be published with the tables.

    Attributes
    ----------
    deviation, variance, threshold
        Of the noise on counts: at most this far, with this variance, and no count from 1 to the threshold is shown.
    weights
        Of the noise on magnitudes: how much of it the largest, second largest … contribution brings.
    small, large, flex
        A contribution :math:`x` brings noise within :math:`\pm m(x)\, x`, with :math:`m` = `small` up to `flex` (in
        the unit of the measure), falling from there towards `large`: :math:`m(x) = large + (small - large) flex / x`.
    p_percent
        A cell that fails the p% rule gets noise that keeps its second largest contributor :math:`p\%` away from the
        largest.
    """

    deviation: int = 5
    variance: float = 3.0
    threshold: int = 2
    weights: tuple[float, ...] = (1.0, 0.5, 0.2)
    small: float = 0.25
    large: float = 0.05
    flex: float = 0.0
    p_percent: float = 15.0

    def __post_init__(self) -> None:
        falling = all(a >= b for a, b in pairwise(self.weights))
        if not self.weights or self.weights[0] != 1 or not falling or self.weights[-1] < 0:
            raise UsageError(
                "the weights of a perturbation begin with 1 and do not rise.",
                remedy="Write weights = [1, 0.5, 0.2].",
                code="OPS-U133",
            )
        if not 0 < self.large <= self.small or self.flex < 0 or not 0 < self.p_percent < 100:
            raise UsageError(
                "a perturbation needs 0 < large <= small, flex of 0 or more, and p_percent between 0 and 100.",
                remedy="Mend the profile.",
                code="OPS-U133",
            )
        if 2 * self.p_percent / 100 + self.small * sum(self.weights) >= 1:
            raise UsageError(
                "so much noise could turn the sign of a cell.",
                remedy="Lower p_percent, small or the weights: 2 p + small * sum(weights) stays below 1.",
                code="OPS-U134",
            )

    @property
    def ptable(self) -> PTable:
        """The perturbation table of counts."""
        return make_ptable(self.deviation, self.variance, self.threshold)


def perturb_counts(
    frame: pd.DataFrame,
    *,
    by: Sequence[str],
    unit: str,
    profile: PerturbationProfile,
    secret: bytes,
    totals: bool = True,
) -> pd.DataFrame:
    """Count enterprise groups by cell, with noise.

    Parameters
    ----------
    frame
        Microdata: one row or more for each group and cell.
    by
        Columns that make the cells.
    unit
        Column with the enterprise group.
    profile
        How much noise.
    secret
        The room's secret (`opsroom.room.perturbing.room_secret`), 16 bytes or more.
    totals
        Whether totals over each set of dimensions (``"_T"``) are in the table, each with noise of its own.

    Returns
    -------
    pandas.DataFrame
        The columns of `by` and ``count``; cells in order. A cell that nobody is in is absent, which reads as zero.

    Raises
    ------
    UsageError
        A column is missing or holds nulls, or the secret is too short.
    """
    by = [by] if isinstance(by, str) else list(by)
    rows = _contributions(frame, by, unit, None, totals=totals)
    cells = _cells(rows, by, _keys(rows[unit], secret))
    noise = profile.ptable.look_up(cells.counts, _uniform(cells.keys, _tag(secret, "count")))
    return cells.frame.assign(count=cells.counts + noise)


def perturb_magnitudes(
    frame: pd.DataFrame,
    *,
    by: Sequence[str],
    unit: str,
    measure: str,
    profile: PerturbationProfile,
    secret: bytes,
    totals: bool = True,
) -> pd.DataFrame:
    r"""Sum a measure by cell, with noise on the largest contributions.

    Parameters
    ----------
    frame, by, unit, profile, secret, totals
        As for `perturb_counts`.
    measure
        Column to sum. Its name is part of the noise: one measure under two names has two noises, which an attacker
        could average, so that it must not be asked for under another name.

    Returns
    -------
    pandas.DataFrame
        The columns of `by` and the measure; whole numbers where the measure is whole.

    Raises
    ------
    UsageError
        As for `perturb_counts`.

    Notes
    -----
    With contributions :math:`|x_1| \ge |x_2| \ge \dots` of groups, :math:`t_j` uniform on :math:`[-1, 1]` and made of
    the cell key and the record key of :math:`j`, and :math:`w_j` the weights, the noise is
    :math:`\sum_j w_j\, m(|x_j|)\, |x_j|\, t_j`. Where the remainder :math:`r = \sum_{j>2} |x_j|` is below
    :math:`p\,|x_1|` the cell is sensitive and the noise is
    :math:`\pm (p\,|x_1| + r + \sum_j w_j\, m(|x_j|)\, |x_j|\, |t_j|)`: the second largest contributor, who knows most
    of those who would know, takes its own contribution off and is left at least :math:`p\,|x_1|` away from
    :math:`x_1` (of values of one sign). Both have mean zero over the keys. A cell whose contributions are all zero
    stays zero.
    """
    by = [by] if isinstance(by, str) else list(by)
    rows = _contributions(frame, by, unit, measure, totals=totals)
    keys = _keys(rows[unit], secret)
    cells = _cells(rows, by, keys)
    value = rows[measure].to_numpy()
    size = np.abs(value.astype(np.float64))
    noise = _magnitude_noise(size, cells, keys, profile, _tag(secret, measure))
    total: NDArray[np.int64] | NDArray[np.float64]
    if np.issubdtype(value.dtype, np.integer):
        sums = np.zeros(len(cells.keys), dtype=np.int64)
        np.add.at(sums, cells.which, value.astype(np.int64))
        # Away from zero: rounding must not bring a protected cell nearer.
        total = sums + np.where(noise < 0, np.floor(noise), np.ceil(noise)).astype(np.int64)
    else:
        total = np.bincount(cells.which, value, len(cells.keys)) + noise
    return cells.frame.assign(**{measure: total})


def record_keys(groups: Sequence[str], secret: bytes) -> NDArray[np.uint64]:
    """Return the record key of each enterprise group: the first 64 bits of HMAC-SHA-256 of its id.

    Raises
    ------
    UsageError
        If the secret is shorter than 16 bytes.
    """
    if not isinstance(secret, bytes | bytearray) or len(secret) < LEAST_SECRET:
        raise UsageError(
            "the secret of a perturbation has 16 bytes or more.", remedy="Use room_secret().", code="OPS-U135"
        )
    base = hmac.new(secret, b"record key\0", hashlib.sha256)
    found = np.empty(len(groups), dtype=np.uint64)
    for number, group in enumerate(groups):
        state = base.copy()
        state.update(str(group).encode())
        found[number] = int.from_bytes(state.digest()[:8], "big")
    return found


@dataclass(frozen=True, slots=True)
class _Cells:
    frame: pd.DataFrame
    """One row a cell: its codes."""
    which: NDArray[np.intp]
    """For each contribution, the number of its cell."""
    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]


def _contributions(
    frame: pd.DataFrame, by: Sequence[str], unit: str, measure: str | None, *, totals: bool
) -> pd.DataFrame:
    """Return one row for each group and cell, with the group's contribution; totals included."""
    frame = _checked(frame, by, unit, measure)
    parts = []
    for size in range(len(by), -1, -1) if totals else [len(by)]:
        for kept in combinations(by, size):
            groups = frame.groupby([*kept, unit], sort=True, observed=True)
            part = groups.size().reset_index(name="_rows") if measure is None else groups[[measure]].sum().reset_index()
            part[[name for name in by if name not in kept]] = TOTAL
            parts.append(part.astype(dict.fromkeys(kept, "str")))
    return pd.concat(parts, ignore_index=True)


def _checked(frame: pd.DataFrame, by: Sequence[str], unit: str, measure: str | None) -> pd.DataFrame:
    """Return the columns that are needed: codes and groups as texts, so that 7 and 7.0 have one key, and numbers."""
    names = [*by, unit, *([] if measure is None else [measure])]
    columns = list(getattr(frame, "columns", ()))
    once = len(set(names)) == len(names) and all(columns.count(name) == 1 for name in names)
    if not once or not by or frame[names].isna().any(axis=None):
        raise UsageError(
            "a perturbed table needs its dimensions, its unit and its measure in every row, without nulls, and each "
            "column once.",
            remedy="Name columns that are there, and leave rows without a code out.",
            code="OPS-U136",
        )
    found = pd.DataFrame({name: texts(frame[name]) for name in [*by, unit]})
    if any((found[name] == TOTAL).any() for name in by) or (measure or COUNT) in by:
        raise UsageError(
            f"a dimension of a perturbed table holds {TOTAL!r}, or has the name of its numbers.",
            remedy="Give the total another code, or the dimension another name.",
            code="OPS-U391",
        )
    if measure is not None:
        amount = numbers(frame[measure], measure)
        whole = pd.api.types.is_integer_dtype(frame[measure].dtype) or pd.api.types.is_bool_dtype(frame[measure].dtype)
        if whole and np.abs(amount).sum() >= 2.0**62:
            raise UsageError(
                f"column {measure!r} is too large to be added up.", remedy="Use a larger unit.", code="OPS-U391"
            )
        found[measure] = frame[measure].to_numpy(dtype=np.int64) if whole else amount
    return found


def _keys(groups: pd.Series[str], secret: bytes) -> NDArray[np.uint64]:
    codes, known = pd.factorize(groups)
    return record_keys([str(one) for one in known], secret)[codes]


def _cells(rows: pd.DataFrame, by: Sequence[str], keys: NDArray[np.uint64]) -> _Cells:
    groups = rows.groupby(list(by), sort=True, observed=True)
    which = groups.ngroup().to_numpy().astype(np.intp)
    count = int(which.max()) + 1 if len(which) else 0
    sums = np.zeros(count, dtype=np.uint64)
    np.add.at(sums, which, keys)  # unsigned: the sum wraps around, as it should
    frame = groups.size().reset_index()[list(by)]
    return _Cells(frame, which, sums, np.bincount(which, minlength=count).astype(np.int64))


def _magnitude_noise(
    size: NDArray[np.float64], cells: _Cells, keys: NDArray[np.uint64], profile: PerturbationProfile, tag: np.uint64
) -> NDArray[np.float64]:
    """Return the noise of each cell."""
    count, which = len(cells.keys), cells.which
    # Largest first within a cell; of equal ones the one with the smaller key, so that order of rows says nothing.
    order = np.lexsort((keys, -size, which))
    first = np.searchsorted(which[order], np.arange(count))
    rank = np.arange(len(order)) - first[which[order]]
    top = rank < len(profile.weights)
    here, cell, place = order[top], which[order][top], rank[top]
    x = size[here]
    signed = 2 * _uniform(cells.keys[cell] ^ _mixed(keys[here]), tag) - 1
    reach = np.asarray(profile.weights)[place] * _flex(x, profile) * x
    free = np.bincount(cell, reach * signed, count)
    outward = np.bincount(cell, reach * np.abs(signed), count)

    largest, second = np.zeros(count), np.zeros(count)
    largest[which[order][rank == 0]] = size[order[rank == 0]]
    second[which[order][rank == 1]] = size[order[rank == 1]]
    others = np.where(rank > 1, size[order], 0.0)
    rest = np.bincount(which[order], others, count)
    share = profile.p_percent / 100
    side = np.ones(count)
    leads = place == 0
    side[cell[leads]] = np.where(signed[leads] < 0, -1.0, 1.0)
    sensitive = rest < share * largest
    return np.where(sensitive, side * (share * largest + rest + outward), free)


def _flex(x: NDArray[np.float64], profile: PerturbationProfile) -> NDArray[np.float64]:
    near = np.minimum(1.0, np.divide(profile.flex, x, out=np.ones_like(x), where=x > 0))
    return profile.large + (profile.small - profile.large) * near


def _tag(secret: bytes, purpose: str) -> np.uint64:
    """Return what sets the noise of one measure apart from another's over the same contributors."""
    return np.uint64(int.from_bytes(hmac.new(secret, b"tag\0" + purpose.encode(), hashlib.sha256).digest()[:8], "big"))


def _uniform(keys: NDArray[np.uint64], tag: np.uint64) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key."""
    return (_mixed(keys ^ tag) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits so that each bit of the result depends on all of the key's (Steele, Lea and Flood 2014)."""
    z = keys + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed
