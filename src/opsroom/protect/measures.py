"""Several measures in one table: their cells side by side, and the sums that some of them are of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL
from opsroom.protect.quantities import MAX_IDENTITY
from opsroom.protect.system import spanning
from opsroom.protect.tabulate import Axis, Tabulation

Floats = npt.NDArray[np.float64]
Identity = tuple[str, tuple[str, ...]]
"""A measure, and those it is the sum of."""

MEASURE = "measure"
"""The column that says which measure a cell is of."""

COUNT = "count"
"""What counts of contributors are called beside other measures."""

MOST = 20
"""How many measures one table may have: sums are looked for among all of them."""


def named(measures: Sequence[str | None]) -> tuple[str, ...]:
    """Return what several measures are called in a table.

    Raises
    ------
    UsageError
        If there are none, too many, or one twice.
    """
    names = tuple(COUNT if m is None else m for m in measures)
    if not all(isinstance(m, str) for m in names) or len(set(names)) < len(names) or not 0 < len(names) <= MOST:
        raise UsageError(
            f"measures are 1 to {MOST} names of columns, each once, or None for counts.",
            remedy=f"Correct them; beside others counts are called {COUNT!r}.",
            code="OPS-U386",
        )
    return names


def sums_among(amounts: Mapping[str, Floats]) -> tuple[Identity, ...]:
    """Find measures that are the sum of others in every row, or equal to another.

    Nobody need declare that sales are those at home and abroad: an attacker who knows what is measured uses it.

    Parameters
    ----------
    amounts
        Measure → its value in each row of the microdata, shape (rows,).

    Returns
    -------
    tuple of (measure, those it is the sum of)
        Sums of up to `opsroom.protect.quantities.MAX_IDENTITY` measures; of two that are equal one of the two ways.
    """
    filled = [name for name, amount in amounts.items() if (amount != 0).any()]
    # One row in which much is reported tells most sums apart from what is none.
    probe = int(np.argmax(sum(np.abs(a) / np.abs(a).max() for a in (amounts[f] for f in filled)))) if filled else 0
    found: list[Identity] = []
    for target in filled:
        others = [name for name in filled if name != target]
        for size in range(1, min(MAX_IDENTITY, len(others)) + 1):
            for members in combinations(others, size):
                at = float(amounts[target][probe])
                if abs(sum(float(amounts[m][probe]) for m in members) - at) > 1e-9 * max(abs(at), 1e-300):
                    continue
                if size == 1 and (members[0], (target,)) in found:
                    continue
                total = np.sum([amounts[m] for m in members], axis=0)
                scale = np.sum([np.abs(amounts[m]) for m in members], axis=0)
                if (np.abs(total - amounts[target]) <= 1e-9 * scale).all():
                    found.append((target, members))
    return tuple(found)


def stacked(made: Mapping[str, Tabulation], identities: Sequence[Identity]) -> Tabulation:
    """Put tables of several measures over the same cells side by side.

    Parameters
    ----------
    made
        Measure → its cells, the same for all, in the same order.
    identities
        See `sums_among`.

    Returns
    -------
    Tabulation
        The measure is the first axis; it has no total.
    """
    tables, names = list(made.values()), list(made)
    first, size = tables[0], len(tables[0].value)
    axis = Axis(MEASURE, (TOTAL, *names), np.full(len(names) + 1, -1, dtype=np.int64))
    lines = [sp.block_diag([t.equations for t in tables], format="csr")]
    for target, members in identities:
        blocks = [sp.eye_array(size) * (-1.0 if m == target else 1.0 if m in members else 0.0) for m in names]
        lines.append(sp.csr_array(sp.hstack(blocks)))
    equations = sp.csr_array(sp.vstack(lines))
    equations.eliminate_zeros()
    place = np.vstack([np.column_stack([np.full(size, k + 1), t.place]) for k, t in enumerate(tables)])
    return replace(
        first,
        axes=(axis, *first.axes),
        place=place.astype(np.int64),
        value=np.concatenate([t.value for t in tables]),
        absolute=np.concatenate([t.absolute for t in tables]),
        contributors=np.concatenate([t.contributors for t in tables]),
        tops=np.vstack([t.tops for t in tables]),
        who=np.vstack([t.who for t in tables]),
        flagged=np.concatenate([t.flagged for t in tables], axis=1),
        signed=np.concatenate([t.signed for t in tables]),
        equations=spanning(equations) if identities else equations,
    )
