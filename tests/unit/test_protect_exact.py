"""The exact method against trying all patterns, and moves against a solver of its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from opsroom.base.errors import UsageError
from opsroom.protect import Rules, protect_table
from opsroom.protect.attack import attack, attack_insiders
from opsroom.protect.programme import Moves
from opsroom.protect.system import System, relations, spanning
from opsroom.protect.table import ProtectedTable


def micro(seed: int) -> pd.DataFrame:
    """Companies in three rows and three columns."""
    rng = np.random.default_rng(seed)
    n = 22
    return pd.DataFrame(
        {
            "row": [f"r{k}" for k in rng.integers(0, 3, n)],
            "column": [f"c{k}" for k in rng.integers(0, 3, n)],
            "who": rng.integers(0, 14, n),
            "value": np.round(np.exp(rng.normal(3, 1, n))) + 1,
        }
    )


def safe(table: ProtectedTable) -> bool:
    """Say whether neither the public nor a contributor gets inside protection."""
    return attack(table, rules=table.rules, bounds="exact").inside == 0 and attack_insiders(table).successes == 0


def cheapest(table: ProtectedTable) -> float:
    """Return the least value hidden besides of all patterns that are safe, cheapest first."""
    free = np.flatnonzero(~table.sensitive)
    sets = [c for k in range(len(free) + 1) for c in combinations(free.tolist(), k)]
    for chosen in sorted(sets, key=lambda c: float(table.tabulation.value[list(c)].sum())):
        hidden = table.sensitive.copy()
        hidden[list(chosen)] = True
        if safe(replace(table, hidden=hidden)):
            return float(table.tabulation.value[list(chosen)].sum())
    raise AssertionError("hiding all is not enough")


@pytest.mark.parametrize(("seed", "attackers"), [(1, "outsider"), (2, "contributor"), (5, "outsider")])
def test_the_exact_pattern_is_the_cheapest_of_all(seed, attackers):
    rules = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0, attackers=attackers, group="who")

    def table(method: str) -> ProtectedTable:
        return protect_table(
            micro(seed), dimensions=["row", "column"], measure="value", unit="EUR", rules=rules, method=method
        )

    exact, fast = table("exact"), table("fast")
    cost = float(exact.tabulation.value[exact.hidden & ~exact.sensitive].sum())
    assert exact.sensitive.any()
    assert (~exact.sensitive).sum() <= 14
    assert cost == pytest.approx(cheapest(exact))
    assert exact.gap == 0
    assert safe(exact)
    assert cost <= float(fast.tabulation.value[fast.hidden & ~fast.sensitive].sum())
    assert np.isnan(fast.gap)
    assert "Gap" in exact.summary()


def test_a_method_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="method"):
        protect_table(micro(1), dimensions=["row"], measure="value", unit="EUR", rules=Rules(), method="best")


def grid(rng: np.random.Generator) -> System:
    """Return a table of four by five by two with all its margins, each total explained along every axis."""
    shape = (5, 6, 3)
    number = np.arange(int(np.prod(shape))).reshape(shape)
    lines = []
    for axis in range(3):
        for rest in np.ndindex(*np.delete(shape, axis)):
            along = np.moveaxis(number, axis, 0)[(slice(None), *rest)]
            lines.append([(int(along[0]), -1.0), *((int(q), 1.0) for q in along[1:])])
    inner = rng.integers(1, 60, (4, 5, 2)).astype(float)
    value = np.zeros(shape)
    value[1:, 1:, 1:] = inner
    for axis in range(3):
        first = [slice(None)] * 3
        first[axis] = 0
        value[tuple(first)] = value.sum(axis=axis)
    n = number.size
    zero, nobody = np.zeros(n), np.zeros((n, 1), dtype=np.int64)
    none = zero.astype(bool)
    return System(relations(lines, n), value.ravel(), zero, zero, none, zero, zero, none, nobody, np.zeros((n, 1)))


def test_relations_that_follow_from_others_are_left_out():
    system = grid(np.random.default_rng(1))
    kept = spanning(system.equations)
    rank = np.linalg.matrix_rank(system.equations.toarray())
    assert kept.shape[0] == rank < system.equations.shape[0]
    assert np.linalg.matrix_rank(kept.toarray()) == rank
    assert np.abs(system.equations @ system.value).max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_moves_are_the_cheapest_there_are(seed):
    """Against HiGHS by scipy, which is given all relations: the same price, and none where there is none."""
    rng = np.random.default_rng(seed)
    system = grid(rng)
    moves = Moves(system)
    found = 0
    for target in rng.integers(0, system.size, 25).tolist():
        need = float(rng.choice([-1.0, 1.0]) * max(1.0, 0.4 * system.value[target]))
        closed = rng.random(system.size) < rng.choice([0.2, 0.6])
        price = np.exp(rng.normal(0, 2, system.size))
        room = system.value * rng.random(system.size)
        closed[target], room[target] = False, system.value[target]
        move = moves.move(target, need, room=room, price=price, closed=closed)
        far = np.where(room / abs(need) < 1e-6, 0.0, room / abs(need))
        far = np.where(closed, 0.0, far)
        limits = [(0.0, 0.0 if c else None) for c in closed] + [(0.0, r) for r in far]
        ahead, back = (target, system.size + target) if need > 0 else (system.size + target, target)
        limits[ahead], limits[back] = (1.0, 1.0), (0.0, 0.0)
        cost = np.concatenate([price, price * np.maximum(1.0, 1.0 / np.maximum(far, 1e-6))])
        both = np.hstack([system.equations.toarray(), -system.equations.toarray()])
        oracle = linprog(cost, A_eq=both, b_eq=np.zeros(len(both)), bounds=limits)
        assert (move is not None) == (oracle.status == 0)
        if move is None:
            continue
        found += 1
        shift = np.zeros(system.size)
        shift[move[0]] = move[1] / abs(need)
        assert shift[target] == np.sign(need)
        assert not shift[closed].any()
        assert (shift >= -far - 1e-9).all()
        assert np.abs(system.equations @ shift).max() < 1e-8
        paid = float(cost @ np.concatenate([np.maximum(shift, 0), np.maximum(-shift, 0)]))
        assert paid == pytest.approx(oracle.fun, rel=2e-4)
    assert 2 < found < 25
