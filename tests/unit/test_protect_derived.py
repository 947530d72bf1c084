"""Derived outputs on numbers worked by hand: what each rule lets out, and what it refuses."""

from __future__ import annotations

import datetime as dt
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError, SettingsError, UsageError
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Derived, Ledger, Limits, Rules
from opsroom.protect.derived import (
    REFUSALS,
    SINGLE,
    Published,
    chart_data,
    check_dual,
    check_regression,
    from_releases,
    growth,
    herfindahl,
    index,
    order_bounds,
    quantiles,
    ratio,
    refuse,
    score_parts,
    share,
    share_bounds,
    top_share,
)
from opsroom.protect.gate import release
from opsroom.protect.ordered import Run
from opsroom.protect.rules import PUBLIC

RULES = Rules()
PERCENT = Rules(p_percent=10.0, dominance=())


def code_of(function, *arguments, **options) -> str:
    with pytest.raises(DisclosureError) as error:
        function(*arguments, **options)
    assert error.value.remedy
    return error.value.code


# -- growth and indices ---------------------------------------------------------------------------

BEFORE = {"a": 100.0, "b": 100.0, "c": 100.0, "d": 100.0}


def test_growth_is_the_rate_of_the_totals():
    out = growth(BEFORE, {"a": 110, "b": 104, "c": 106, "d": 100}, rules=RULES)
    assert (out.kind, out.value, out.unit) == ("growth", 5.0, "per cent")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 100, "b": 100}, {"a": 110, "b": 120}),  # two groups
        ({"a": 900, "b": 50, "c": 50}, {"a": 910, "b": 60, "c": 60}),  # two dominate the level
        (BEFORE, {**BEFORE, "a": 150}),  # one alone changed: the rate tells its change
        (BEFORE, {"a": 190, "b": 110, "c": 101, "d": 101}),  # two dominate the change
        (BEFORE, {"e": 100, "f": 100, "g": 100, "h": 110}),  # nobody is in both periods
        (BEFORE, {**BEFORE, "e": 90}),  # one came in
    ],
)
def test_growth_is_refused_where_few_changed_or_few_stand_behind_a_level(before, after):
    assert code_of(growth, before, after, rules=RULES) == "OPS-P050"


def test_an_index_is_refused_where_two_links_undo_each_other_but_for_one_group():
    up = {"a": 110.0, "b": 110.0, "c": 110.0, "d": 110.0}
    back = {**BEFORE, "a": 111.0}  # against the base only a changed
    growth(BEFORE, up, rules=PERCENT)
    growth(up, {"a": 121, "b": 100, "c": 100, "d": 100}, rules=PERCENT)
    down = {"a": 121.0, "b": 100.0, "c": 100.0, "d": 100.0}
    assert code_of(index, {"t0": BEFORE, "t1": up, "t2": down}, base="t0", rules=PERCENT) == "OPS-P050"
    assert code_of(index, {"t0": BEFORE, "t2": back}, base="t0", rules=PERCENT) == "OPS-P050"


def test_an_index_is_refused_where_its_periods_together_tell_of_one_group():
    """A, B and C change, then A, D and E instead, then B, C, D and E: twice what A changed is what is left."""
    change = {"a": 7, "b": -7, "c": 4, "d": -6, "e": 5, "f": 0}
    periods = {
        f"m{k}": {n: 100 + (c if n in names else 0) for n, c in change.items()}
        for k, names in enumerate(("", "abc", "ade", "bcde"))
    }
    levels = [sum(p.values()) for p in periods.values()]
    assert (levels[1] + levels[2] - levels[3] - levels[0]) / 2 == change["a"]
    for first, second in combinations(periods, 2):
        assert index({k: periods[k] for k in (first, second)}, base=first, rules=Rules()).values
    with pytest.raises(DisclosureError, match="OPS-P050"):
        index(periods, base="m0", rules=Rules())


def test_an_index_has_100_in_its_base():
    later = {name: value * 1.1 for name, value in BEFORE.items()}
    last = {name: value * 1.21 for name, value in BEFORE.items()}
    out = index({"2019": BEFORE, "2020": later, "2021": last}, base="2020", rules=RULES)
    assert dict(out.values) == {"2019": 90.9, "2020": 100.0, "2021": 110.0}
    with pytest.raises(UsageError, match="base"):
        index({"2019": BEFORE}, base="2018", rules=RULES)


def test_a_level_that_is_not_positive_has_no_rate():
    signed = {"a": 10, "b": -10, "c": 10, "d": -10, "e": 10, "f": -10}
    with pytest.raises(UsageError, match="positive"):
        growth(signed, {k: v * 2 for k, v in signed.items()}, rules=RULES)


# -- shares and ratios ----------------------------------------------------------------------------


def test_a_share_needs_its_rest_as_much_as_its_part():
    whole = dict.fromkeys("abcdef", 100.0)
    assert share(dict.fromkeys("abcdef", 40.0), whole, rules=RULES).value == 40.0
    few_left = {**dict.fromkeys("abcd", 100.0), "e": 50.0, "f": 50.0}
    assert code_of(share, few_left, whole, rules=RULES) == "OPS-P051"
    dominated_rest = {**dict.fromkeys("abcd", 99.0), "e": 10.0, "f": 10.0}
    assert code_of(share, dominated_rest, whole, rules=RULES) == "OPS-P051"
    assert code_of(share, dict.fromkeys("ab", 40.0), whole, rules=RULES) == "OPS-P051"
    with pytest.raises(UsageError, match="exceeds"):
        share(dict.fromkeys("abcdef", 120.0), whole, rules=RULES)


def test_a_ratio_needs_both_totals_and_what_one_leaves_of_the_other():
    sales, jobs = dict.fromkeys("abcd", 300.0), {"a": 1, "b": 2, "c": 3, "d": 4}
    assert ratio(sales, jobs, rules=RULES, unit="EUR per job").value == 120.0
    assert code_of(ratio, sales, {"a": 1, "b": 2}, rules=RULES, unit="EUR per job") == "OPS-P051"
    costs = {"a": 300.0, "b": 300.0, "c": 100.0, "d": 90.0}  # contained: the profits are those of two
    assert code_of(ratio, costs, sales, rules=RULES, unit="") == "OPS-P051"


# -- quantiles and concentration --------------------------------------------------------------------


def test_a_median_is_the_mean_of_the_three_groups_in_the_middle():
    values = [1, 3, 5, 8, 20, 23, 29, 40, 44, 50, 60]
    out = quantiles(values, range(11), rules=RULES, unit="jobs", decimals=2)
    assert dict(out.values) == {"p50": 24.0}
    halves = [v / 2 for v in values for _ in range(2)]  # each group in two units
    again = quantiles(halves, [k // 2 for k in range(22)], rules=RULES, unit="jobs", decimals=2)
    assert again == out


def test_too_few_on_one_side_of_a_quantile_is_too_few():
    values = [1, 3, 5, 8, 20, 23, 29, 40, 44, 50, 60]
    assert code_of(quantiles, values, range(11), (0.9,), rules=RULES, unit="jobs") == "OPS-P052"
    assert code_of(quantiles, values, [0] * 9 + [1, 2], (0.5,), rules=RULES, unit="jobs") == "OPS-P052"
    assert code_of(quantiles, values, range(11), (0.5, 0.55), rules=RULES, unit="jobs") == "OPS-P052"
    for wrong in ((0.0,), (1.0,), (0.5, 0.5), ()):
        with pytest.raises(UsageError):
            quantiles(values, range(11), wrong, rules=RULES, unit="jobs")


def test_quantiles_that_leave_no_room_between_them_are_refused():
    # Means of three by three neighbours hold every rank between them.
    values = [60 + 2 * k for k in range(40)]
    asked = [0.1, 0.175, 0.25, 0.325, 0.4, 0.475, 0.55, 0.625, 0.7, 0.775, 0.85, 0.9]
    assert code_of(quantiles, values, range(40), asked, rules=RULES, unit="jobs") == "OPS-P052"
    assert quantiles(values, range(40), rules=RULES, unit="jobs").value == 99


def test_the_largest_of_a_run_lies_between_its_mean_and_all_of_it():
    assert order_bounds(5, [Run(0, 4, 10.0)], 0) == pytest.approx((2.0, 10.0))
    assert order_bounds(5, [Run(0, 4, 10.0)], 4) == pytest.approx((0.0, 2.0))
    # Two largest hold 6 of 10: the rest, 4 by 3, is at least below the second.
    assert order_bounds(5, [Run(0, 4, 10.0), Run(0, 1, 6.0)], 0) == pytest.approx((3.0, 6 - 4 / 3))
    assert order_bounds(3, [Run(0, 1, 6.0)], 2, signed=True) == pytest.approx((-np.inf, 3.0))


def test_the_share_of_the_largest_needs_more_of_them_than_a_rule_counts():
    # The largest, 90, would find the second, 80, between 70 and itself.
    assert code_of(top_share, [90, 80, 70, 60, 40, 30, 20, 10, 5, 5], range(10), largest=4, rules=RULES) == "OPS-P053"
    values = [100, 80, 60, 40, 30, 25, 20, 15, 10, 5]
    assert top_share(values, range(10), largest=4, rules=RULES).value == 72.7
    assert code_of(top_share, values, range(10), largest=2, rules=RULES) == "OPS-P053"
    assert code_of(top_share, values, range(10), largest=8, rules=RULES) == "OPS-P053"
    three = Rules(dominance=((3, 95.0),))
    assert code_of(top_share, values, range(10), largest=3, rules=three) == "OPS-P053"
    with pytest.raises(UsageError, match="negative"):
        top_share([-1, *values], range(11), largest=4, rules=RULES)


def test_an_index_that_is_all_but_the_square_of_the_largest_is_refused():
    # 50 % and fifty of 1 %: the index, 0.255, puts the largest at 50.0 %.
    values = [50, *[1] * 50]
    assert share_bounds(51, 0.255)[1] == pytest.approx(0.5)
    assert code_of(herfindahl, values, range(51), rules=RULES) == "OPS-P053"


def test_equal_contributors_have_no_index():
    # All shares are told; and rounding is no help against the largest, who knows that it is: the total is enough.
    assert share_bounds(20, 0.05) == pytest.approx((0.05, 0.05))
    for step in (0.001, 100):
        assert code_of(herfindahl, [5] * 20, range(20), rules=RULES, step=step) == "OPS-P053"
    assert herfindahl([5] * 20, range(20), rules=Rules(attackers="outsider"), step=100).value == 500
    assert code_of(herfindahl, [5] * 20, range(20), rules=Rules(attackers="outsider"), step=1) == "OPS-P053"
    assert herfindahl([4, 5, 6, 7, 8] * 4, range(20), rules=RULES, step=1).value == 528


def test_a_contributor_of_three_solves_for_the_other_two():
    # n = 3, an insider of 0.3: sum and squares of two others leave only one pair.
    shares = np.array([0.5, 0.3, 0.2])
    rest, squares = 0.7, float((shares**2).sum()) - 0.09
    assert share_bounds(2, squares, total=rest) == pytest.approx((0.5, 0.5))
    assert code_of(herfindahl, [50, 30, 20], "abc", rules=RULES, step=1) == "OPS-P053"


# -- regression -----------------------------------------------------------------------------------


def sample(units: int = 60, seed: int = 3):
    rng = np.random.default_rng(seed)
    size = rng.normal(10, 2, units)
    dummy = (np.arange(units) % 4 == 0).astype(float)
    x = pd.DataFrame({"one": np.ones(units), "size": size, "export": dummy})
    return x, 40 + 3 * size + 5 * dummy + rng.normal(0, 3, units), list(range(units))


def test_coefficients_and_errors_are_those_of_least_squares():
    x, y, groups = sample()
    out = check_regression(x, groups, RULES, response=y, decimals=8)
    beta, (squares,), *_ = np.linalg.lstsq(x.to_numpy(), y, rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * squares / 57)
    assert [out.values[c] for c in x] == pytest.approx(beta.tolist(), abs=1e-7)
    assert [out.values[f"{c}__se"] for c in x] == pytest.approx(errors.tolist(), abs=1e-7)
    assert out.values["r_squared"] == round(1 - squares / ((y - y.mean()) ** 2).sum(), 2)
    assert set(out.values) == {*x, *(f"{c}__se" for c in x), "r_squared"}, "nothing for each unit"


def test_degrees_of_freedom_are_counted_in_groups():
    x, y, _ = sample()
    assert code_of(check_regression, x, [k % 12 for k in range(60)], RULES, response=y) == "OPS-P054"
    check_regression(x, [k % 14 for k in range(60)], RULES, response=y)
    tight = Limits(freedom=12)
    assert code_of(check_regression, x, [k % 14 for k in range(60)], RULES, response=y, limits=tight) == "OPS-P054"


def test_what_isolates_few_groups_is_refused_also_where_no_single_dummy_does():
    x, y, groups = sample()
    two = np.isin(groups, [1, 2]).astype(float)
    assert code_of(check_regression, x.assign(two=two), groups, RULES, response=y) == "OPS-P054"
    wide, narrow = np.isin(groups, range(1, 11)), np.isin(groups, range(1, 9))  # their difference holds two
    nested = x.assign(wide=wide.astype(float), narrow=narrow.astype(float))
    assert code_of(check_regression, nested, groups, RULES, response=y) == "OPS-P054"
    base = x.assign(a=(np.arange(60) < 30) * 1.0, b=((np.arange(60) >= 30) & (np.arange(60) < 58)) * 1.0)
    assert code_of(check_regression, base, groups, RULES, response=y) == "OPS-P054"
    check_regression(x.assign(wide=wide.astype(float)), groups, RULES, response=y)


def test_leverage_saturation_perfect_fits_and_dominated_coefficients_are_refused():
    x, y, groups = sample()
    far = x.copy()
    far.loc[7, "size"] = 500.0
    assert code_of(check_regression, far, groups, RULES, response=y) == "OPS-P054"
    assert code_of(check_regression, np.eye(60), groups, RULES, response=y) == "OPS-P054"
    assert code_of(check_regression, x.assign(twice=2 * x["size"]), groups, RULES, response=y) == "OPS-P054"
    assert code_of(check_regression, x, groups, RULES, response=x.to_numpy() @ [1.0, 2.0, 3.0]) == "OPS-P054"
    huge = y.copy()
    huge[5] = 1e6
    assert code_of(check_regression, x, groups, RULES, response=huge) == "OPS-P054"
    with pytest.raises(UsageError):
        check_regression(x, groups[:-1], RULES, response=y)


# -- functions of releases, charts, duals, scores, the rest -------------------------------------------


@pytest.fixture
def issued(tmp_path: Path):
    state = State.open(tmp_path / "room.db")
    units = pd.DataFrame(
        [(row, f"{row}{k}", 100 + k) for row, n in (("a", 5), ("b", 6), ("c", 2)) for k in range(n)],
        columns=["row", "group", "value"],
    )
    frame = parts_from_units(units, dimensions=["row"], group="group", values={"value": "value"}, totals=False)
    cells = Cells(
        name="table.sales", dimensions=("row",), frame=frame, parts=(Part("value", "MER"),),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=0),),
    )  # fmt: skip
    at = dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC)
    yield release(cells, rules=RULES, as_of=at, day=at.date(), ledger=Ledger(state))
    state.close()


def test_a_function_of_released_numbers_is_free(issued):
    out = from_releases(
        [Published(issued, {"row": "b"}, "value"), Published(issued, {"row": "a"}, "value")],
        lambda b, a: 100 * b / a, name="b_by_a", unit="per cent",
    )  # fmt: skip
    assert out.value == round(100 * 615 / 510, 1)
    assert out.sources == (issued.id,)
    assert out.document()["sources"] == [issued.id]


@pytest.mark.parametrize(
    ("where", "measure"),
    [({"row": "c"}, "value"), ({"row": "z"}, "value"), ({"row": "a"}, "status"), ({}, "value"), ({"row": "a"}, "jobs")],
)
def test_what_is_withheld_or_not_there_is_no_input(issued, where, measure):
    assert code_of(from_releases, [Published(issued, where, measure)], float, name="x", unit="") == "OPS-P056"


def test_an_altered_release_is_none(issued):
    object.__setattr__(issued, "rows", (("c", 201, "published"), *issued.rows))  # the bytes count, not this
    assert code_of(from_releases, [Published(issued, {"row": "c"}, "value")], float, name="x", unit="") == "OPS-P056"
    object.__setattr__(issued, "json_bytes", issued.json_bytes.replace(b"510", b"511"))
    assert code_of(from_releases, [Published(issued, {"row": "a"}, "value")], float, name="x", unit="") == "OPS-P056"
    assert code_of(chart_data, issued) == "OPS-P055"


def test_a_chart_shows_a_release_and_nothing_else(issued):
    assert chart_data(issued, "value")["status"].tolist() == ["published", "published", "suppressed"]
    for thing in (issued.to_frame(), {"a": 1}, None, issued.json_bytes):
        assert code_of(chart_data, thing) == "OPS-P055"


def test_a_shadow_price_belongs_to_those_who_use_the_constraint():
    assert check_dual(3.456, dict.fromkeys("abcd", 10.0), rules=RULES, unit="EUR per MWh").value == 3.46
    assert code_of(check_dual, 3.4, {"a": 10.0}, rules=RULES, unit="") == "OPS-P057"
    assert code_of(check_dual, 3.4, {"a": 100.0, "b": 1, "c": 1}, rules=RULES, unit="") == "OPS-P057"


def test_scores_come_out_as_parts_of_cells_of_many():
    units = pd.DataFrame(
        {"firm": range(12), "group": [f"g{k}" for k in range(12)], "region": ["r", "s"] * 6, "score": np.arange(12.0)}
    )
    parts = score_parts(units, dimensions=["region"], group="group", values={"score": "score"}, rules=RULES)
    assert parts.set_index("region")["score"].to_dict() == {"_T": 66.0, "r": 30.0, "s": 36.0}
    for dimension in ("group", "firm"):
        assert code_of(
            score_parts, units, dimensions=[dimension], group="group", values={"score": "score"}, rules=RULES
        ) == "OPS-P058"  # fmt: skip


@pytest.mark.parametrize("statistic", [*sorted(SINGLE), "something new"])
def test_what_shows_single_contributors_or_is_not_known_is_refused(statistic):
    assert code_of(refuse, statistic) == "OPS-P059"


def test_the_profile_for_public_data_opens_nothing():
    values = list(range(1, 40))
    assert code_of(quantiles, values, range(39), rules=PUBLIC, unit="x") == "OPS-P005"
    assert code_of(growth, BEFORE, BEFORE, rules=PUBLIC) == "OPS-P005"
    x, y, groups = sample()
    assert code_of(check_regression, x, groups, PUBLIC, response=y) == "OPS-P005"


def test_every_kind_has_words_and_a_code_of_its_own():
    codes = [code for _, _, code in REFUSALS.values()]
    assert len(set(codes)) == len(codes)
    for message, remedy, _ in REFUSALS.values():
        assert remedy.endswith(".")
        assert not any(ch.isdigit() for ch in message + remedy), "no count, parameter or value"


def test_limits_are_settings_and_an_answer_cannot_be_changed():
    assert Limits.from_settings({"freedom": "12", "leverage": 0.4}) == Limits(freedom=12, leverage=0.4)
    for wrong in ({"dof": 10}, {"freedom": "ten"}, {"leverage": 1.5}):
        with pytest.raises(SettingsError):
            Limits.from_settings(wrong)
    out = Derived("growth", {"growth": 1.0}, "per cent", "")
    with pytest.raises(TypeError):
        out.values["growth"] = 2.0
