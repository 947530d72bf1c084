"""Why use moved within a fortnight: an exact split, against the definition and against what was planted."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import numpy as np
import pytest

from opsroom.base.results import TOTAL
from opsroom.measure.resumption import cells
from opsroom.measure.resumption.movement import CAUSES, Fortnight, movements

from .test_resumption import END, town

LAST = dt.date(2020, 3, 1)


def fortnight(n: int = 40, seed: int = 0, **changed: np.ndarray) -> Fortnight:
    """Draw a fortnight with missing readings and companies that use nothing at all."""
    rng = np.random.default_rng(seed)
    shape = (n, 14)
    ratio = rng.uniform(0, 1.5, shape) * (rng.random(shape) > 0.1)
    ratio[rng.random(shape) < 0.2] = np.nan
    arrays = {
        "ratio": ratio, "weather": rng.uniform(0.5, 2, shape), "kind": rng.uniform(0.2, 1, shape), **changed
    }  # fmt: skip
    return Fortnight(LAST, rng.uniform(1, 1e6, n), **{k: v.astype(np.float32) for k, v in arrays.items()})


def reported(drawn: Fortnight) -> tuple[np.ndarray, np.ndarray]:
    use = np.nan_to_num(drawn.ratio.astype(float)) * drawn.usual[:, None]
    return use[:, :7].sum(axis=1), use[:, 7:].sum(axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_add_up_to_the_change_of_reported_use(seed: int) -> None:
    drawn = fortnight(seed=seed)
    causes, base = drawn.causes()
    before, after = reported(drawn)
    assert np.allclose(causes.sum(axis=1), after - before, rtol=1e-6, atol=1e-6 * before.max())
    assert base == pytest.approx(before.sum())


def test_each_part_is_the_mean_over_the_orders_in_which_the_factors_may_change() -> None:
    drawn = fortnight(n=6, seed=3)
    wanted = np.zeros((6, 3))
    for company in range(6):
        for day in range(7):
            old, new = drawn.ratio[company, day], drawn.ratio[company, day + 7]
            if np.isnan(old) or np.isnan(new):
                continue
            sides = []
            for at, ratio in ((day, old), (day + 7, new)):
                w, k = float(drawn.weather[company, at]), float(drawn.kind[company, at])
                sides.append((w, k, float(ratio) / (w * k)))
            for order in permutations(range(3)):
                now = list(sides[0])
                for factor in order:
                    was = np.prod(now)
                    now[factor] = sides[1][factor]
                    wanted[company, factor] += (np.prod(now) - was) * drawn.usual[company] / 6
    causes, _ = drawn.causes()
    assert np.allclose(causes[:, [0, 1, 3]], wanted, rtol=1e-5, atol=1e-4)


def test_what_alone_moves_has_the_whole_change() -> None:
    n = 10
    steady = np.full((n, 14), 0.7)
    later = np.concatenate([np.ones((n, 7)), np.full((n, 7), 1.3)], axis=1)
    drawn = {
        "weather": fortnight(n, ratio=steady * later, weather=later, kind=np.ones((n, 14))),
        "calendar": fortnight(n, ratio=steady * later, weather=np.ones((n, 14)), kind=later),
        "activity": fortnight(n, ratio=steady * later, weather=np.ones((n, 14)), kind=np.ones((n, 14))),
        "composition": fortnight(
            n, ratio=np.where(later > 1, np.nan, steady), weather=np.ones((n, 14)), kind=np.ones((n, 14))
        ),
    }
    for cause, made in drawn.items():
        causes, base = made.causes()
        shares = causes.sum(axis=0) / base
        change = -1.0 if cause == "composition" else 0.3
        assert shares[CAUSES.index(cause)] == pytest.approx(change, rel=1e-5), cause
        assert np.abs(np.delete(shares, CAUSES.index(cause))).max() < 1e-6, cause


def test_movements_name_only_who_moved() -> None:
    drawn = fortnight(n=5, ratio=np.full((5, 14), np.nan))
    assert movements(drawn, np.arange(5)).empty
    drawn = fortnight(n=5, seed=9)
    found = movements(drawn, np.arange(5) * 10)
    causes, base = drawn.causes()
    assert (found["points"] != 0).all()
    assert found["points"].sum() == pytest.approx(100 * causes.sum() / base)
    assert set(found["group"]) <= set(range(0, 50, 10))


def test_the_release_adds_up_and_reads_a_cold_week_as_weather() -> None:
    place = town()
    plain = place.estimate()
    assert plain.fortnight is not None
    (made,) = cells.movement_cells(plain)
    frame = made.frame.set_index("component")["moved"]
    assert frame[TOTAL] == pytest.approx(frame[list(CAUSES)].fillna(0).sum())
    before, after = reported(plain.fortnight)
    assert frame[TOTAL] == pytest.approx(100 * (after.sum() - before.sum()) / before.sum(), abs=1e-4)
    # The same readings in a week that is said to have been ten degrees colder: more of the use is the weather's.
    weather = place.tables["weather"].copy()
    last = weather["date"] > (np.datetime64(plain.fortnight.last) - np.timedelta64(7, "D"))
    weather.loc[last, "temp_dc"] -= 100
    place.tables["weather"] = weather
    colder = place.estimate(baseline=plain.baseline)
    (made,) = cells.movement_cells(colder)
    moved = made.frame.set_index("component")["moved"]
    assert moved["weather"] > frame["weather"] + 1
    assert moved["activity"] < frame["activity"] - 1
    assert moved[TOTAL] == pytest.approx(frame[TOTAL], abs=1e-6)


def test_a_window_shorter_than_a_fortnight_has_no_answer() -> None:
    assert plain_window(6) is None
    assert plain_window(14) is not None


def plain_window(days: int) -> Fortnight | None:
    place = town(n=200)
    return place.estimate(window_from=END - dt.timedelta(days=days + 3)).fortnight
