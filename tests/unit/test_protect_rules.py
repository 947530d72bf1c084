"""Primary rules on cells worked by hand: who is betrayed by a number alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import SettingsError
from opsroom.protect.rules import BUSINESS, PROFILES, STRICT, Rules

NONE = Rules(min_contributors=1, dominance=())


def judged(rules: Rules, *contributions: int) -> bool:
    """Whether a cell of these group contributions is sensitive."""
    sizes = sorted((abs(c) for c in contributions), reverse=True)
    tops = [*sizes, 0, 0, 0][:3]
    groups = sum(c != 0 for c in contributions)
    flags = rules.sensitive(
        np.array([sum(contributions)]), np.array([groups]), np.array([tops]), np.array([sum(sizes)])
    )
    return bool(flags[0])


@pytest.mark.parametrize(
    ("contributions", "sensitive"),
    [((), False), ((5,), True), ((5, 5), True), ((5, 5, 5), False), ((5, 5, 0), True), ((5, 5, 0, 0, 5), False)],
)
def test_the_least_number_counts_groups_that_contribute(contributions, sensitive):
    assert judged(Rules(min_contributors=3, dominance=()), *contributions) == sensitive


def test_contributors_are_enterprise_groups_not_enterprises():
    units = pd.DataFrame({"row": "a", "group": ["A", "A", "A", "B", "B"], "value": [10, 20, 30, 40, 50]})
    (cell,) = parts_from_units(
        units, dimensions=["row"], group="group", values={"value": "value"}, totals=False
    ).itertuples()
    assert (cell.value, cell.value__groups) == (150, 2)
    assert (cell.value__top1, cell.value__top2, cell.value__top3) == (90, 60, 0)
    alone = units.assign(group=range(5))
    (each,) = parts_from_units(
        alone, dimensions=["row"], group="group", values={"value": "value"}, totals=False
    ).itertuples()
    assert (each.value__groups, each.value__top1) == (5, 50)


def test_a_group_whose_contributions_cancel_contributes_nothing():
    units = pd.DataFrame({"row": "a", "group": ["A", "A", "B"], "value": [10, -10, 7]})
    (cell,) = parts_from_units(
        units, dimensions=["row"], group="group", values={"value": "value"}, totals=False
    ).itertuples()
    assert (cell.value, cell.value__groups, cell.value__top1, cell.value__abs) == (7, 1, 7, 7)


@pytest.mark.parametrize(
    ("rule", "contributions", "sensitive"),
    [
        ((1, 75), (75, 10, 10, 5), False),  # exactly 75 % is not more than 75 %
        ((1, 75), (76, 10, 10, 4), True),
        ((2, 85), (50, 35, 10, 5), False),
        ((2, 85), (50, 36, 10, 4), True),
        ((3, 90), (40, 30, 20, 10), False),
        ((3, 90), (40, 30, 21, 9), True),
        ((2, 85), (-50, 36, 10, -4), True),  # of absolute contributions: the sum is -8
        ((2, 85), (-50, 35, 10, -5), False),
    ],
)
def test_dominance(rule, contributions, sensitive):
    assert judged(Rules(min_contributors=1, dominance=(rule,)), *contributions) == sensitive


@pytest.mark.parametrize(
    ("contributions", "sensitive"),
    [
        ((100, 50, 10), False),  # what is left is exactly 10 % of the largest
        ((100, 50, 9), True),  # the second knows the first within 9
        ((100, 9), True),
        ((100,), True),
        ((-100, 50, 9), True),
        ((-100, 50, -10), False),
        ((100, -100, 4, 5), True),  # a sum of nearly nothing hides nobody
        ((100, -100, 4, 6), False),
    ],
)
def test_p_per_cent(contributions, sensitive):
    assert judged(Rules(min_contributors=1, dominance=(), p_percent=10), *contributions) == sensitive


def test_nobody_is_betrayed_by_an_empty_cell_unless_the_profile_says_so():
    for rules in (NONE, BUSINESS, Rules(p_percent=10)):
        assert not judged(rules)
    assert judged(Rules(zero_cells="suppress"))
    assert judged(STRICT)


def test_without_the_sum_of_absolute_contributions_the_rules_err_towards_suppression():
    rules = Rules(min_contributors=1, dominance=((2, 85),))
    value, groups, tops = np.array([4]), np.array([6]), np.array([[50, 30, 20]])
    assert not rules.sensitive(value, groups, tops, np.array([180]))[0]
    assert not rules.sensitive(value, groups, tops)[0]  # the three largest alone: 80 of 100
    assert rules.sensitive(value, groups, np.array([[60, 30, 10]]))[0]


@pytest.mark.parametrize(("inside", "outside", "refused"), [
    (0, 20, True), (2, 18, True), (3, 17, False), (10, 10, False), (17, 3, False), (18, 2, True), (20, 0, True),
    (0, 0, False),
])  # fmt: skip
def test_a_rate_needs_enough_groups_on_either_side(inside, outside, refused):
    assert bool(Rules().one_sided(np.array([inside]), np.array([outside]))[0]) == refused
    assert bool(Rules(min_share_side=1).one_sided(np.array([2]), np.array([18]))[0]) is False


def test_changes_are_never_judged_without_a_rule_on_magnitudes():
    assert NONE.change_rules().p_percent == 10
    assert BUSINESS.change_rules() is BUSINESS


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_contributors": 0},
        {"min_share_side": 0},
        {"dominance": [[4, 80]]},
        {"dominance": [[0, 80]]},
        {"dominance": [[2, 0]]},
        {"dominance": [[2, 101]]},
        {"dominance": 5},
        {"p_percent": 0},
        {"p_percent": 101},
        {"zero_cells": "hide"},
        {"min_contributors": "three"},
        {"profile": "lenient"},
        {"threshold": 3},
    ],
)
def test_rules_that_cannot_be_are_refused(wrong):
    with pytest.raises(SettingsError) as refused:
        Rules.from_settings(wrong)
    assert refused.value.code == "OPS-C010"
    assert refused.value.remedy


def test_settings_start_from_a_profile():
    assert Rules.from_settings({}) == PROFILES["business"]
    strict = Rules.from_settings({"profile": "strict", "dominance": [[1, 60]]})
    assert (strict.min_contributors, strict.dominance, strict.profile) == (10, ((1, 60.0),), "strict")
