"""The nowcast's models together: weights earned in real time, a mixture's quantiles, nothing looked at too early."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from opsroom.measure.nowcast.together import MEMBERS, SHRINK, nearest, together

COLUMNS = {
    "nowcast": ("growth", "deviation"),
    "bridge": ("bridge", "bridge_deviation"),
    "ar1": ("ar1", "ar1_deviation"),
}
SAID = {
    "growth": 11.0, "deviation": 6.0, "bridge": 4.0, "bridge_deviation": 1.0, "ar1": -4.0, "ar1_deviation": 2.0,
    "discord": 3.0, "shock": 0.0,
}  # fmt: skip


def history(quarters: int, *, seed: int = 0, horizon: int = 50) -> pd.DataFrame:
    """Past nowcasts: the bridges are right to 0.2 points, the model to 0.6, past GDP alone to 1.5."""
    rng = np.random.default_rng(seed)
    outcome = rng.normal(0.5, 1.0, quarters)
    frame = pd.DataFrame({"quarter": [f"{2010 + k // 4}-Q{k % 4 + 1}" for k in range(quarters)]})
    frame["horizon_days"], frame["first_release"], frame["shock"] = horizon, outcome, False
    frame["discord"] = 0.4
    for member, sd in (("nowcast", 0.6), ("bridge", 0.2), ("ar1", 1.5)):
        mean, deviation = COLUMNS[member]
        frame[mean] = outcome + rng.normal(0.0, sd, quarters)
        frame[deviation] = sd
    return frame.assign(error=frame["growth"] - outcome)


def test_with_no_past_all_weigh_alike_and_the_pool_is_their_mixture():
    found = together(SAID, None, 50)
    assert found.past == 0
    assert list(found.weights.values()) == pytest.approx([1 / 3] * 3)
    assert found.growth == pytest.approx((11.0 + 4.0 - 4.0) / 3)
    draws = np.random.default_rng(1)
    means, sds = (np.array([SAID[COLUMNS[m][k]] for m in MEMBERS]) for k in (0, 1))
    which = draws.integers(0, 3, 400_000)
    sample = draws.normal(means[which], sds[which])
    assert [found.lower90, found.lower68, found.upper68, found.upper90] == pytest.approx(
        np.quantile(sample, [0.05, 0.16, 0.84, 0.95]), abs=0.06
    )


def test_weights_are_the_best_mean_log_score_drawn_towards_equal_ones():
    past = history(40)
    found = together(SAID, past, 50)

    def loss(raw: np.ndarray) -> float:
        w = np.exp(raw) / np.exp(raw).sum()
        z = [norm.pdf(past["first_release"], past[COLUMNS[m][0]], past[COLUMNS[m][1]]) for m in MEMBERS]
        return -float(np.log(w @ np.array(z)).mean())

    raw = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
    best = np.exp(raw) / np.exp(raw).sum()
    expected = (40 * best + SHRINK / 3) / (40 + SHRINK)
    assert found.past == 40
    assert list(found.weights.values()) == pytest.approx(expected, abs=1e-3)
    assert max(found.weights, key=lambda m: found.weights[m]) == "bridge"
    assert found.growth == pytest.approx(sum(found.weights[m] * SAID[COLUMNS[m][0]] for m in MEMBERS))


def test_what_is_not_known_yet_or_was_said_at_another_distance_does_not_count():
    past = history(40)
    hidden = past.assign(error=np.where(past.index >= 30, np.nan, past["error"]))
    wild = hidden.copy()
    wild.loc[30:, ["growth", "bridge", "ar1", "first_release"]] = 1e6
    assert together(SAID, hidden, 50) == together(SAID, wild, 50) == together(SAID, past.iloc[:30], 50)
    assert together(SAID, past, 150) == together(SAID, None, 150)


def test_of_a_quarter_one_nowcast_counts_the_nearest_to_the_horizon():
    past = pd.concat([history(12, horizon=70), history(12, seed=0, horizon=45).assign(growth=9.0, error=9.0)])
    assert set(nearest(past, 50)["horizon_days"]) == {45}
    assert set(nearest(past, 75)["horizon_days"]) == {70}
    assert len(nearest(past, 50)) == 12


def test_a_model_that_claims_to_know_for_certain_breaks_nothing():
    past = history(20).assign(bridge_deviation=0.0)
    found = together({**SAID, "bridge_deviation": 0.0}, past, 50)
    assert np.isfinite([found.growth, found.lower90, found.upper90]).all()
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert found.weights["bridge"] < 0.2, "it never was right to the last digit"


def test_in_a_shock_what_the_models_disagree_on_is_part_of_each_error():
    calm, shock = together(SAID, None, 50), together({**SAID, "shock": 1.0}, None, 50)
    assert shock.growth == pytest.approx(calm.growth)
    assert shock.upper90 - shock.lower90 > calm.upper90 - calm.lower90
    # Past quarters in a shock are judged by densities as wide as they were stated then.
    past = history(1).assign(shock=True, first_release=0.0, growth=5.0, bridge=1.0, ar1=-3.0, discord=2.0, error=5.0)
    sds = [0.6, np.sqrt(0.2**2 + 4.0**2 + 2.0**2), np.sqrt(1.5**2 + 4.0**2)]
    density = norm.pdf(0.0, [5.0, 1.0, -3.0], sds)
    best = MEMBERS[int(np.argmax(density))]
    weights = together(SAID, past, 50).weights
    assert max(weights, key=lambda m: weights[m]) == best == "bridge"
    assert weights["bridge"] == pytest.approx((1.0 + SHRINK / 3) / (1 + SHRINK), abs=1e-6)
