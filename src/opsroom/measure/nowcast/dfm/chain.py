"""Own errors that remember two months and more: which equations a panel has, beyond sums over series.

An innovation is the error less what its last months say of it. Where a cell and the `order` cells before it are known,
the equation is *regular*: it holds factors only, and is summed over series like those of the first order. All others
are *odd*: after a hole, at a series' start, and of quarterly series. For them the errors of months in a hole are
unknowns of their own, and each month's error is a *form*: a constant, less loadings times factors, plus unknowns.
Between its first and its last known cell a series so has one error a month, and nothing beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats, Ints, Mask


@dataclass(frozen=True, slots=True)
class Chain:
    """The equations of own errors of order two and more.

    Attributes
    ----------
    order
        Months that an error remembers.
    lags
        (order + 1, months, monthly series): the values of regular cells, and of those before them; 0 elsewhere.
    hole_at
        Months (lead included) x monthly series: position of the error of a month in a hole, -1 elsewhere.
    series, month, kind
        Per odd equation: series (the quarterly ones after the monthly), newest month (lead included), and -1 for an
        innovation or the row of the series' start.
    form
        Equations x (order + 1): the form of the newest month and of those before it; -1 where there is none.
    start_base, start_size
        Per series: first month of its start, and number of months; size 0 where nothing is known.
    begin, where, times, factor, value
        The forms: form k's unknowns stand at ``where[begin[k]:begin[k + 1]]``, with factor `times`; `factor` says of
        which loading it is the factor, or is -1 for an error; `value` is the constant.
    cell_row, cell_column, cell_times
        Per form: the cell that `value` comes from, and how often; row -1 where there is none.
    """

    order: int
    lags: Floats
    hole_at: Ints
    series: Ints
    month: Ints
    kind: Ints
    form: Ints
    start_base: Ints
    start_size: Ints
    begin: Ints
    where: Ints
    times: Floats
    factor: Ints
    value: Floats
    cell_row: Ints
    cell_column: Ints
    cell_times: Floats

    @property
    def rows(self) -> int:
        """Number of odd equations."""
        return len(self.series)

    @property
    def longest(self) -> int:
        """Number of unknowns that an equation holds at most."""
        return int((self.order + 1) * np.diff(self.begin).max(initial=1))


def holes(known: Mask) -> Mask:
    """Return the unknown cells between a series' first and last known one."""
    begun = np.maximum.accumulate(known, axis=0)
    goes_on = np.maximum.accumulate(known[::-1], axis=0)[::-1]
    return np.asarray(begun & goes_on & ~known)


def regular_cells(known: Mask, order: int) -> Mask:
    """Return the known cells before which `order` cells are known."""
    out = known.copy()
    for lag in range(1, order + 1):
        out[lag:] &= known[:-lag]
        out[:lag] = False
    return out


class _Forms:
    def __init__(self) -> None:
        self.number: dict[tuple[int, int], int] = {}
        self.parts: list[tuple[list[int], list[float], list[int]]] = []
        self.value: list[float] = []
        self.cell: list[tuple[int, int, float]] = []

    def add(
        self, key: tuple[int, int], value: float, cell: tuple[int, int, float]
    ) -> tuple[list[int], list[float], list[int]]:
        self.number[key] = len(self.parts)
        self.parts.append(([], [], []))
        self.value.append(value)
        self.cell.append(cell)
        return self.parts[-1]


def chain_up(
    values: Floats, monthly: int, factors: int, lead: int, order: int, *, regular: Mask, hole_at: Ints,
    factor_at: Ints, own_at: Ints,
) -> Chain:  # fmt: skip
    """Write down the equations; see `Chain`, and `Layout` for the arguments."""
    months, n = values.shape
    known = ~np.isnan(values[:, :monthly])
    filled = np.where(known, values[:, :monthly], 0.0)
    lags = np.zeros((order + 1, months, monthly))
    for lag in range(order + 1):
        lags[lag, lag:] = filled[: months - lag]
    lags *= regular
    forms = _Forms()

    def form(series: int, month: int) -> int:
        key = (series, month)
        if key not in forms.number:
            _write(forms, key, values, monthly, factors, lead, hole_at, factor_at, own_at)
        return forms.number[key]

    base, size = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    rows: list[tuple[int, int, int]] = []
    for i in range(n):
        if i < monthly:
            seen = np.flatnonzero(known[:, i])
            if not len(seen):
                continue
            begun, end = int(seen[0]) + lead, int(seen[-1]) + lead
        else:
            begun, end = 0, months + lead - 1
        base[i], size[i] = begun, min(order, end - begun + 1)
        rows += [(i, begun + k, k) for k in range(int(size[i]))]
        odd = range(begun + order, end + 1)
        if i < monthly:
            odd = [t for t in odd if not regular[t - lead, i]]  # type: ignore[assignment]  # both are integers in order
        rows += [(i, t, -1) for t in odd]
    which = np.full((len(rows), order + 1), -1, dtype=np.int64)
    for e, (i, t, kind) in enumerate(rows):
        for lag in range(order + 1 if kind < 0 else kind + 1):
            which[e, lag] = form(i, t - lag)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    sizes = [len(part[0]) for part in forms.parts]
    cell = np.array(forms.cell, dtype=np.float64).reshape(-1, 3)
    return Chain(
        order, lags, hole_at, table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), which, base, size,
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([w for part in forms.parts for w in part[0]], dtype=np.int64),
        np.array([x for part in forms.parts for x in part[1]], dtype=np.float64),
        np.array([f for part in forms.parts for f in part[2]], dtype=np.int64),
        np.array(forms.value, dtype=np.float64),
        cell[:, 0].astype(np.int64), cell[:, 1].astype(np.int64), cell[:, 2].copy(),
    )  # fmt: skip


def _write(
    forms: _Forms, key: tuple[int, int], values: Floats, monthly: int, factors: int, lead: int, hole_at: Ints,
    factor_at: Ints, own_at: Ints,
) -> None:  # fmt: skip
    """Write down one month's error of one series."""
    series, month = key
    row = month - lead
    if series < monthly:
        if hole_at[month, series] >= 0:
            where, times, factor = forms.add(key, 0.0, (-1, -1, 0.0))
            where.append(int(hole_at[month, series]))
            times.append(1.0)
            factor.append(-1)
            return
        where, times, factor = forms.add(key, float(values[row, series]), (row, series, 1.0))
        for f in range(factors):
            where.append(int(factor_at[month]) + f)
            times.append(1.0)
            factor.append(f)
        return
    q = series - monthly
    if own_at[month, q] >= 0:
        where, times, factor = forms.add(key, 0.0, (-1, -1, 0.0))
        where.append(int(own_at[month, q]))
        times.append(1.0)
        factor.append(-1)
        return
    # The figure stands two months later, and is 1, 2, 3, 2, 1 times the months: this one is what the others leave.
    where, times, factor = forms.add(key, float(values[row + 2, series]) / 3.0, (row + 2, series, 1.0 / 3.0))
    for step in range(-2, 3):
        share = (3.0 - abs(step)) / 3.0
        for f in range(factors):
            where.append(int(factor_at[month + step]) + f)
            times.append(share)
            factor.append(f)
        if step:
            where.append(int(own_at[month + step, q]))
            times.append(-share)
            factor.append(-1)
