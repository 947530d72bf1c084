"""The exam itself: what must hold over thirty seeds, and the map and break-even points against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from opsroom.base.errors import UsageError
from opsroom.decide.exam import Economy, ExamResult, Market, Planner, economy, exam
from opsroom.decide.exam.result import AHEAD, BEHIND, BOUND, MARKET, PLANNER, SHARES, UNDECIDED, crossing
from opsroom.room.exam import exam_economy, meridia_economy


def little() -> Economy:
    names = ["food", "power", "goods", "services"]
    flows = pd.DataFrame(
        [[6.0, 0.0, 4.0, 5.0], [4.0, 8.0, 14.0, 9.0], [10.0, 8.0, 40.0, 25.0], [8.0, 6.0, 30.0, 50.0]],
        index=names, columns=names,
    )  # fmt: skip
    return economy(flows, [35.0, 25.0, 110.0, 160.0], elasticity=[0.3, 0.3, 0.6, 0.7], priority=[1, 1, 0, 0])


@pytest.fixture(scope="module")
def thirty() -> ExamResult:
    """Thirty seeds of perfect, immediate data and of none."""
    return exam(
        little(), sizes=[0.4], surprises=[0.0, 1.0], delays=[0], noises=[0.0], coverages=[1.0], seeds=30, weeks=12
    )


def test_with_perfect_immediate_data_the_planner_is_never_behind_prices_seed_by_seed(thirty: ExamResult) -> None:
    perfect = thirty.differences().xs(1.0, level="coverage")
    assert perfect.shape == (2, 30)
    assert perfect.to_numpy().min() > -1e-3  # per cent of final use
    table = thirty.map()
    assert set(table[table["coverage"] == 1.0]["verdict"]) == {AHEAD}


def test_without_data_the_planner_is_no_better_than_equal_shares(thirty: ExamResult) -> None:
    table = thirty.map(SHARES)
    none = table[table["coverage"] == 0.0]
    assert len(none) == 2
    assert (none["lower"] <= 0.0).all()
    assert AHEAD not in set(none["verdict"])


def test_prices_are_ahead_of_equal_shares_and_behind_foresight(thirty: ExamResult) -> None:
    mean = thirty.scores.groupby(["surprise", "regime"])["own"].mean().unstack()
    assert (mean[BOUND] >= mean[MARKET]).all()
    rows = thirty.to_frame()
    prices = rows[rows["regime"] == MARKET]
    assert set(prices["against"]) == {SHARES}
    assert set(prices["verdict"]) == {AHEAD}
    needs = thirty.scores["unmet"]
    assert ((needs >= 0.0) & (needs <= 1.0)).all()


def test_the_same_exam_twice_is_the_same_and_more_seeds_leave_the_first_as_they_were() -> None:
    def short(seeds: int) -> pd.DataFrame:
        found = exam(
            little(), sizes=[0.3], surprises=[0.5], delays=[1], noises=[0.1], coverages=[0.5], seeds=seeds, weeks=8
        )
        return found.scores

    five, six = short(5), short(6)
    pd.testing.assert_frame_equal(five, six[six["seed"] < 5])


def invented(lead: dict[tuple[int, float, float], float], *, spread: float = 1.0, seeds: int = 30) -> ExamResult:
    """A result with given mean leads over prices, per cent of final use, that differ by seed in a known way."""
    rng = np.random.default_rng(0)
    about = {"size": 0.3, "surprise": 1.0}
    rows = []
    z = rng.standard_normal(seeds)
    z = (z - z.mean()) / z.std(ddof=1)
    for seed in range(seeds):
        base = 1.0 + 0.1 * rng.standard_normal()
        for name, value in ((MARKET, base), (SHARES, base - 0.02), (BOUND, base + 0.1)):
            rows.append({"seed": seed, **about, "regime": name, "own": value})
        for (delay, noise, coverage), mean in lead.items():
            own = base + (mean + spread * z[seed]) / 100.0
            rows.append(
                {
                    "seed": seed,
                    **about,
                    "regime": PLANNER,
                    "delay": delay,
                    "noise": noise,
                    "coverage": coverage,
                    "own": own,
                }
            )
    frame = pd.DataFrame(rows)
    for name in ("users", "needs", "unmet"):
        frame[name] = frame["own"]
    return ExamResult(frame, 0.95, 20, Market(), Planner())


def test_the_map_gives_students_interval_of_paired_differences_and_verdicts_by_it() -> None:
    found = invented({(0, 0.0, 1.0): 1.0, (1, 0.0, 1.0): 0.2, (4, 0.0, 1.0): -2.0})
    table = found.map().set_index("delay")
    low, high = student.interval(0.95, 29, loc=1.0, scale=1.0 / math.sqrt(30))
    assert table.loc[0, ["difference", "lower", "upper"]].tolist() == pytest.approx([1.0, low, high])
    assert table["verdict"].to_dict() == {0: AHEAD, 1: UNDECIDED, 4: BEHIND}
    # two points more against equal shares, ten less against foresight
    assert found.map(SHARES)["difference"].tolist() == pytest.approx([3.0, 2.2, 0.0])
    assert found.map(BOUND)["difference"].tolist() == pytest.approx([-9.0, -9.8, -12.0])
    whole = found.to_frame().set_index(["regime", "delay"])
    assert whole.loc[(PLANNER, 4.0), "difference"] == pytest.approx(-2.0)
    assert whole.loc[(MARKET, np.nan), "difference"].item() == pytest.approx(2.0)  # over equal shares


def test_unmet_needs_count_the_other_way_round() -> None:
    found = invented({(0, 0.0, 1.0): 1.0})
    assert found.map(measure="unmet")["difference"].item() == pytest.approx(-1.0)


def test_it_breaks_even_where_a_line_crosses_zero_and_its_interval_is_that_of_the_crossing() -> None:
    # the lead falls by half a point a week: it crosses 0 after 2 weeks; a seed's own crossing is 2 + 2 z
    found = invented({(d, 0.0, 1.0): 1.0 - 0.5 * d for d in (0, 1, 3, 8)}, spread=0.2)
    row = found.break_even().set_index("property").loc["delay"]
    assert row["break_even"] == pytest.approx(2.0)
    half = 1.96 * 0.4 / math.sqrt(30)
    assert row["lower"] == pytest.approx(2.0 - half, abs=0.05)
    assert row["upper"] == pytest.approx(2.0 + half, abs=0.05)
    assert row["worst"] == 8.0


def test_where_there_is_no_crossing_it_lies_beyond_and_where_there_is_no_lead_at_the_start() -> None:
    assert crossing([0, 1, 2], [3.0, 2.0, 1.0]) == math.inf
    assert crossing([1.0, 0.5, 0.0], [3.0, 2.0, 1.0]) == -math.inf
    assert crossing([0, 1], [-1.0, 2.0]) == 0.0
    assert crossing([1.0, 0.6, 0.0], [1.0, 1.0, -2.0]) == pytest.approx(0.4)
    found = invented({(0, 0.0, 1.0): 1.0, (0, 0.2, 1.0): -1.0, (0, 0.0, 0.5): 0.7, (0, 0.0, 0.0): 0.5}, spread=0.1)
    points = found.break_even().set_index("property")
    assert points.loc["noise", "break_even"] == pytest.approx(0.1)
    assert points.loc["coverage", "break_even"] == -math.inf
    assert "delay" not in points.index  # one delay only
    plain = {row["property"]: row for row in found.to_dict()["break_even"]}
    assert plain["coverage"]["break_even"] is None
    assert "below 0 %" in found.summary()


def test_words_follow_the_numbers_in_both_directions() -> None:
    good = invented({(0, 0.0, 1.0): 1.0, (0, 0.0, 0.0): -5.0}, spread=0.1)
    bad = invented({(0, 0.0, 1.0): -1.0, (0, 0.0, 0.0): -5.0}, spread=0.1)
    assert "ahead in 1, behind in 1, undecided in 0" in good.summary()
    assert "it is behind in none of 30 single runs" in good.summary()
    assert "Price adjustment against pro rata, whatever the data: ahead in 1, behind in 0" in good.summary()
    assert "ahead in 0, behind in 2, undecided in 0" in bad.summary()
    assert "it is behind in 30 of 30 single runs" in bad.summary()
    for found in (good, bad):
        assert "better than" not in found.summary()
    title = " ".join(bad.chart().to_dict()["title"]["text"])
    assert title == "Planning is ahead of price adjustment in 0 and behind in 1 of 1 cases, undecided in 0"


def test_what_cannot_be_asked_is_refused() -> None:
    found = invented({(0, 0.0, 1.0): 1.0})
    with pytest.raises(UsageError, match="to compare with"):
        found.map("the weather")
    with pytest.raises(UsageError, match="coverage"):
        found.chart(0.3)
    with pytest.raises(UsageError, match="5 seeds"):
        exam(little(), seeds=4)
    with pytest.raises(UsageError, match="at least one"):
        exam(little(), delays=[])


def test_meridias_published_table_becomes_an_economy_in_equilibrium() -> None:
    table = pd.DataFrame(
        [("01", "10", 30), ("10", "01", 5), ("10", "P3", 90), ("01", "P3", 40), ("01", "P6", 20), ("01", "01", 8),
         ("10", "10", 12), ("10", "P51", 3), ("97", "P3", 1)],
        columns=["supplier", "user", "amount"],
    )  # fmt: skip
    e = exam_economy(table)
    assert list(e.labels) == ["A", "C"]
    assert e.output * 52 == pytest.approx([98.0, 110.0])
    assert e.final * 52 == pytest.approx([60.0, 93.0])
    assert e.priority.tolist() == [True, False]


@pytest.mark.long
def test_on_meridia_the_planner_with_perfect_data_is_never_behind_and_without_data_never_ahead_of_shares() -> None:
    found = exam(meridia_economy(), delays=[0], noises=[0.0], coverages=[1.0])
    assert found.seeds == 30
    perfect = found.differences().xs(1.0, level="coverage").to_numpy()
    assert perfect.shape == (6, 30)
    assert perfect.min() > -1e-3
    none = found.map(SHARES)
    assert AHEAD not in set(none[none["coverage"] == 0.0]["verdict"])
