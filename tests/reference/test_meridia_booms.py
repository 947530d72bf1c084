"""Meridia's booms against truth: warned before the bad one's peak, silent on the benign one and where nothing booms."""

from __future__ import annotations

import pytest
from bench.meridia_boom import RULES, rules_of_meridia, with_booms, without_booms


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_room_warns_of_the_bad_boom_before_its_bust_and_hardly_ever_of_none() -> None:
    """A hundred economies without a boom, thirty with both: some three minutes."""
    rules = rules_of_meridia()
    booms, calm = with_booms(30, rules), without_booms(100, rules)
    for name in RULES:
        found = booms[name]
        warned, bad = map(int, found["bad regions warned before the peak"].split(" of "))
        assert warned >= 0.75 * bad  # 86 to 100 % of 200 were found
        assert found["median years before the peak"] >= 1.5
        assert found["median years before the bust was known"] > found["median years before the peak"]
        called, benign = map(int, found["benign regions warned"].split(" of "))
        assert called <= 0.25 * benign
        # false discovery at 5 % a year would be 43 of 870 years
        assert calm[name]["warnings"] <= 20
    assert calm["economy-years"] > 800


def test_the_bench_asks_the_rules_of_the_room() -> None:
    rules = rules_of_meridia()
    assert set(rules) == set(RULES)
    assert (rules["credit-boom"].raise_at, rules["credit-boom"].direction) == (15, "above")
    assert (rules["exuberance-rents"].raise_at, rules["exuberance-rents"].direction) == (5, "below")
    found = with_booms(1, rules)
    assert {found[name]["bad regions warned before the peak"] for name in RULES} == {"2 of 2"}
    assert {found[name]["benign regions warned"] for name in RULES} == {"0 of 1"}
