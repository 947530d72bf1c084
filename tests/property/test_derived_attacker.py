"""Derived outputs against attackers by brute force: nothing published bounds a contributor too closely.

The attackers here share no code with the rules: they list whole tables, or solve the full linear programme with one
unknown for each contributor.
"""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opsroom.base.errors import DisclosureError
from opsroom.protect.derived import (
    check_regression,
    growth,
    herfindahl,
    index,
    order_bounds,
    quantiles,
    rank_bounds,
    share,
    share_bounds,
    top_share,
)
from opsroom.protect.ordered import Run, quantile_ranks
from opsroom.protect.rules import Rules

BUSINESS = Rules()
PERCENT = Rules(p_percent=10.0, dominance=())
COALITION = Rules(p_percent=10.0, attackers="coalition")
PROFILES = st.sampled_from([BUSINESS, PERCENT, COALITION])


def closeness(rules: Rules) -> float:
    return (rules.interval if rules.p_percent is None else rules.p_percent) / 100


def passed(function, *arguments, **options):
    """What a rule lets out, or None where it refuses."""
    try:
        return function(*arguments, **options)
    except DisclosureError:
        return None


def full_programme(n, sums, target, known=None):
    """The bounds of a rank by the programme with one unknown a contributor; sums: (first, last, low, high)."""
    upper, right = [], []
    for k in range(n - 1):
        row = np.zeros(n)
        row[k], row[k + 1] = -1, 1
        upper.append(row)
        right.append(0.0)
    for first, last, low, high in sums:
        row = np.zeros(n)
        row[first : last + 1] = 1
        upper += [row, -row]
        right += [high, -low]
    limits = [(0, None)] * n
    for rank, value in (known or {}).items():
        limits[rank] = (value, value)
    found = []
    for sign in (1, -1):
        cost = np.zeros(n)
        cost[target] = sign
        answer = linprog(cost, A_ub=np.array(upper), b_ub=np.array(right), bounds=limits, method="highs")
        assert answer.status in (0, 3), answer.message
        found.append(answer.x[target] if answer.status == 0 else -sign * np.inf)
    return tuple(found)


# -- the bounds are exact -----------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_few_unknowns_bound_a_rank_like_one_for_each_contributor(data):
    values = sorted(data.draw(st.lists(st.integers(0, 60), min_size=3, max_size=9)), reverse=True)
    n = len(values)
    cut = sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=4)))
    runs = [(a, b - 1) for a, b in zip(cut[:-1:2], cut[1::2], strict=False)] + [(0, n - 1)]
    target = data.draw(st.integers(0, n - 1))
    insider = data.draw(st.one_of(st.none(), st.integers(0, n - 1).filter(lambda i: i != target)))
    known = {} if insider is None else {insider: float(values[insider])}
    sums = [(a, b, sum(values[a : b + 1]), sum(values[a : b + 1])) for a, b in runs]
    mine = order_bounds(n, [Run(a, b, float(s)) for a, b, s, _ in sums], target, known=known)
    assert mine == pytest.approx(full_programme(n, sums, target, known), abs=1e-4)


def tables(n: int, total: int):
    """All tables of n whole contributions, largest first, with a total."""

    def rest(count, left, most):
        if count == 1:
            if left <= most:
                yield (left,)
            return
        for first in range(min(left, most), -1, -1):
            for others in rest(count - 1, left - first, first):
                yield (first, *others)

    yield from rest(n, total, total)


@pytest.mark.parametrize(("n", "total"), [(2, 12), (3, 15), (4, 16), (5, 14)])
def test_no_table_with_the_same_squares_lies_outside_the_bounds(n, total):
    by_squares: dict[int, list[tuple[int, ...]]] = {}
    for table in tables(n, total):
        by_squares.setdefault(sum(x * x for x in table), []).append(table)
    for squares, found in by_squares.items():
        for rank in range(1, n + 1):
            low, high = rank_bounds(n, squares, rank, total=total)
            assert all(low - 1e-9 <= table[rank - 1] <= high + 1e-9 for table in found)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=8))
def test_both_ends_for_the_largest_are_reached_by_a_table(values):
    x = np.array(values, dtype=float)
    n, total, squares = len(x), x.sum(), (x**2).sum()
    low, high = share_bounds(n, squares, total=total)
    equal = np.array([high, *[(total - high) / (n - 1)] * (n - 1)])
    assert equal.sum() == pytest.approx(total)
    assert (equal**2).sum() == pytest.approx(squares)
    assert equal.max() == pytest.approx(high)
    m = min(int(total // (low * (1 - 1e-9))), n)
    uneven = np.array([low] * m + ([total - m * low] if m < n else []))
    assert uneven.sum() == pytest.approx(total)
    assert (uneven**2).sum() == pytest.approx(squares)
    assert len(uneven) <= n
    assert uneven.max() == pytest.approx(low)
    assert (uneven >= -1e-6 * total).all()


@given(st.lists(st.integers(1, 100), min_size=3, max_size=8), st.data())
def test_the_upper_end_of_any_rank_is_reached_by_a_table(values, data):
    x = np.array(values, dtype=float)
    n, total, squares = len(x), x.sum(), (x**2).sum()
    rank = data.draw(st.integers(1, n))
    _, high = rank_bounds(n, squares, rank, total=total)
    others = (total - rank * high) / (n - rank) if rank < n else 0.0
    table = np.array([high] * rank + [others] * (n - rank))
    if high < total / rank * (1 - 1e-12):  # else the squares are more than so many equal ones could have
        assert (table**2).sum() == pytest.approx(squares)
        assert table.sum() == pytest.approx(total)
        assert others <= high + 1e-9


# -- what is published leaves everybody open ------------------------------------------------------

contributions = st.lists(st.integers(1, 400), min_size=9, max_size=16)


def hemmed(value, low, high, near):
    """Whether both ends are closer to a value than the profile allows."""
    return low > value * (1 - near) and high < value * (1 + near)


@settings(max_examples=7, deadline=None)
@given(contributions, PROFILES, st.sampled_from([(0.5,), (0.25, 0.75), (0.2, 0.5, 0.8)]))
def test_quantiles_bound_nobody_closely(values, rules, asked):
    out = passed(quantiles, values, range(len(values)), asked, rules=rules, unit="jobs", decimals=9)
    assume(out is not None)
    x = np.array(sorted(values, reverse=True), dtype=float)
    n, near = len(x), closeness(rules)
    # The attacker knows the estimator: which ranks the mean is taken of. Find them by their mean.
    k = 4 if rules is COALITION else 3
    sums = [(0, n - 1, x.sum(), x.sum())]
    for q in asked:
        mean = out.values[f"p{100 * q:g}"]
        runs = [(f, size) for size in (k, k + 1) for f in range(n - size + 1)]
        first, size = next(
            (f, size) for f, size in sorted(runs, key=lambda run: abs(run[0] + (run[1] - 1) / 2 - (1 - q) * n + 0.5))
            if x[f : f + size].mean() == pytest.approx(mean, abs=1e-6)
        )  # fmt: skip
        assert first >= 3, "as many groups above"
        assert first + size <= n - 3, "as many groups below"
        sums.append((first, first + size - 1, size * mean - 1e-6, size * mean + 1e-6))
    check_ranks(x, sums, near, rules)


@settings(max_examples=7, deadline=None)
@given(contributions, PROFILES, st.integers(3, 6))
def test_the_share_of_the_largest_bounds_nobody_closely(values, rules, largest):
    out = passed(top_share, values, range(len(values)), largest=largest, rules=rules, decimals=9)
    assume(out is not None)
    x = np.array(sorted(values, reverse=True), dtype=float)
    head = out.value / 100 * x.sum()
    check_ranks(
        x, [(0, len(x) - 1, x.sum(), x.sum()), (0, largest - 1, head - 1e-6, head + 1e-6)], closeness(rules), rules
    )


def test_probabilities_that_may_be_chosen_give_companies_away():
    """Each of these quantiles passes alone; one a month, of companies that stay as they are, tell single ones exactly.

    It is why a dataset declares them, and why of other periods there is the same output or none.
    """
    x = np.array([3, 5, 8, 9, 12, 15, 18, 22, 27, 33, 41, 50, 62, 78, 95, 99], dtype=float)[::-1]
    n, sums = len(x), [(0, len(x) - 1, x.sum(), x.sum())]
    for q in np.arange(0.2, 0.81, 0.02).round(2):
        out = passed(quantiles, x, range(n), [q], rules=BUSINESS, unit="jobs", decimals=6)
        if out is not None:
            first, last = quantile_ranks(n, q, BUSINESS)
            mean = next(iter(out.values.values()))
            sums.append((first, last, *((last - first + 1) * (mean + side) for side in (-1e-6, 1e-6))))
    told = [rank for rank in range(n) if np.ptp(full_programme(n, sums, rank)) < 1e-3]
    assert len(told) >= 3
    for alone in sums[1::12]:
        assert not any(hemmed(x[r], *full_programme(n, [sums[0], alone], r), closeness(BUSINESS)) for r in range(1, n))


def check_ranks(x, sums, near, rules):
    """Every rank against an outsider who knows all ranks; the largest two against each other, and a coalition."""
    n = len(x)
    _, high = full_programme(n, sums, 0)
    assert high >= x[0] * (1 + near) - 1e-4
    for rank in range(1, n):
        assert not hemmed(x[rank], *full_programme(n, sums, rank), near), rank
    assert full_programme(n, sums, 0, {1: x[1]})[1] >= x[0] * (1 + near) - 1e-4
    assert not hemmed(x[1], *full_programme(n, sums, 1, {0: x[0]}), near)
    if rules.attackers == "coalition":
        assert full_programme(n, sums, 0, {1: x[1], 2: x[2]})[1] >= x[0] * (1 + near) - 1e-4


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=4, max_size=20), PROFILES, st.sampled_from([50.0, 100.0, 250.0]))
def test_another_table_has_the_published_index_and_a_larger_largest(values, rules, step):
    out = passed(herfindahl, values, range(len(values)), rules=rules, step=step)
    assume(out is not None)
    x = np.array(sorted(values, reverse=True), dtype=float)
    s = x / x.sum()
    near, n = closeness(rules), len(s)
    most = (out.value + step / 2) / 10_000
    teams = [(), *((i,) for i in range(1, n))]
    if rules.attackers == "coalition":
        teams += [(1, i) for i in range(2, n)]
    for team in teams:
        others = [i for i in range(1, n) if i not in team]
        fake = s.copy()
        fake[0] = s[0] * (1 + near)
        left = s[others].sum() - (fake[0] - s[0])
        assert left >= -1e-12, "the others have enough to give"
        even = np.full(len(others), left / len(others))
        shrunk = s[others] * left / s[others].sum()
        # Between equal others and shrunk ones the squares pass through every value.
        for t in np.linspace(0, 1, 1001):
            fake[others] = even + t * (shrunk - even)
            if (fake**2).sum() >= most - step / 10_000:
                break
        squares = (fake**2).sum()
        assert most - step / 10_000 <= squares + 1e-9, "no table with so large a largest has the index"
        assert squares <= most + 1e-3 * step / 10_000 + 1e-9
        assert fake.sum() == pytest.approx(1)
        assert (fake >= -1e-12).all()


@given(st.data())
def test_what_a_published_index_number_tells_of_changes_rests_on_many(data):
    n = data.draw(st.integers(3, 7))
    level = st.lists(st.integers(0, 60), min_size=n, max_size=n)
    periods = {f"t{k}": dict(enumerate(data.draw(level))) for k in range(data.draw(st.integers(2, 4)))}
    out = passed(index, periods, base="t0", rules=PERCENT)
    assume(out is not None)
    for a, b in combinations(periods, 2):
        change = sorted((abs(periods[b][g] - periods[a][g]) for g in range(n)), reverse=True)
        moved = [c for c in change if c]
        assert len(moved) >= 3
        assert sum(moved[2:]) >= 0.1 * moved[0], "the second mover cannot bound the first"
        assert sum(periods[a][g] > 0 and periods[b][g] > 0 for g in range(n)) >= 3
        assert out.values[b] == round(100 * sum(periods[b].values()) / sum(periods["t0"].values()), 1)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=10))
def test_a_published_share_has_enough_on_both_sides(pairs):
    part = {g: a for g, (a, _) in enumerate(pairs)}
    whole = {g: a + b for g, (a, b) in enumerate(pairs)}
    out = passed(share, part, whole, rules=PERCENT)
    assume(out is not None)
    for side in ([a for a, _ in pairs], [b for _, b in pairs], [a + b for a, b in pairs]):
        size = sorted(side, reverse=True)
        assert sum(v > 0 for v in size) >= 3
        assert sum(size[2:]) >= 0.1 * size[0]


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_no_combination_of_coefficients_rests_on_two_groups(data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    units, n_groups = 40, data.draw(st.integers(14, 24))
    groups = rng.permutation(np.arange(units) % n_groups)
    columns = [np.ones(units)]
    for _ in range(data.draw(st.integers(1, 4))):
        members = rng.choice(n_groups, size=data.draw(st.integers(1, n_groups - 1)), replace=False)
        columns.append(np.isin(groups, members).astype(float))
    x = np.column_stack(columns)
    y = 50 + x @ rng.normal(size=x.shape[1]) + rng.normal(size=units)
    out = passed(check_regression, x, groups.tolist(), BUSINESS, response=y, decimals=9)
    isolating = any(
        np.linalg.matrix_rank(x[~np.isin(groups, pair)]) < x.shape[1] for pair in combinations(range(n_groups), 2)
    )
    if isolating:
        assert out is None
    elif out is not None:
        expected = np.linalg.lstsq(x, y, rcond=None)[0]
        assert [out.values[f"x{k}"] for k in range(x.shape[1])] == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.lists(st.integers(0, 30), min_size=2, max_size=6))
def test_refusals_of_one_kind_read_the_same_whatever_the_data(one, other):
    texts: dict[str, set[str]] = {}
    for values in (one, other):
        groups = range(len(values))
        cell = dict(enumerate(values))
        for kind, ask in {
            "quantile": lambda v=values, g=groups: quantiles(v, g, rules=BUSINESS, unit="x"),
            "top": lambda v=values, g=groups: top_share(v, g, largest=3, rules=BUSINESS),
            "hhi": lambda v=values, g=groups: herfindahl(v, g, rules=BUSINESS),
            "growth": lambda c=cell: growth(c, {k: v + 1 for k, v in c.items()}, rules=BUSINESS),
            "share": lambda c=cell: share({k: v // 2 for k, v in c.items()}, c, rules=BUSINESS),
            "regression": lambda v=values, g=groups: check_regression(
                np.ones((len(v), 1)), list(g), BUSINESS, response=v
            ),
        }.items():
            try:
                ask()
            except DisclosureError as error:
                texts.setdefault(kind, set()).add(str(error))
    assert texts, "some are refused"
    assert all(len(found) == 1 for found in texts.values())
    assert not any(ch.isdigit() for found in texts.values() for text in found for ch in text.split(":", 1)[1])


def test_every_small_market_that_is_published_leaves_the_largest_open():
    # All markets of five whole contributions up to nine: the attacker lists them and keeps those that fit.
    seen: dict[tuple[int, float], set[tuple[int, ...]]] = {}
    markets = [m[::-1] for m in combinations_with_replacement(range(1, 10), 5)]
    for market in markets:
        out = passed(herfindahl, market, range(5), rules=BUSINESS, step=500.0)
        if out is not None:
            seen.setdefault((sum(market), out.value), set()).add(market)
    assert seen, "some are published"
    for (total, value), published in seen.items():
        for market in published:
            fits = [
                m for m in tables(5, total)
                if m[-1] > 0 and abs(sum((x / total) ** 2 for x in m) * 10_000 - value) <= 250
            ]  # fmt: skip
            assert market in fits
            low, high = rank_bounds(5, (value + 250) / 10_000, 1, total=1.0)
            assert max(m[0] for m in fits) / total <= high + 1e-9
            assert high * total >= market[0] * 1.15
            assert low <= high
