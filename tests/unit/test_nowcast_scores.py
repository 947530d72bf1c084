"""The published scores of nowcasts, counted by hand: each method's own error, each band's own coverage."""

import datetime as dt

import pandas as pd
import pytest

from opsroom.measure.nowcast.replay import COLUMNS, Backtest
from opsroom.room.desks.nowcast import score_cells


def rehearsal() -> Backtest:
    """Four quarters that turned out 0, 1, 2 and 3 %, said at two distances, and one without an outcome yet."""
    rows = []
    for k, (room, pool, bridge) in enumerate([(0.5, 0.0, 1.0), (1.5, 1.0, 2.0), (2.0, 6.0, 3.0), (9.0, 3.0, 4.0)]):
        row = dict.fromkeys(COLUMNS, 0.0) | {
            "day": dt.date(2019, 1, 1), "quarter": f"2019-Q{k + 1}", "horizon_days": 10 if k < 2 else 45,
            "growth": room, "lower90": room - 1.0, "upper90": room + 1.0,
            "pool": pool, "pool_lower90": pool - 2.0, "pool_upper90": pool + 2.0,
            "bridge": bridge, "ar1": -1.0, "first_release": float(k), "error": room - k,
        }  # fmt: skip
        rows.append(row)
    rows.append(rows[-1] | {"quarter": "2020-Q1", "first_release": float("nan"), "error": float("nan")})
    return Backtest(pd.DataFrame(rows, columns=list(COLUMNS)), ())


def test_each_method_is_scored_by_what_it_said():
    frame = score_cells(rehearsal()).frame.set_index(["horizon", "method"])
    assert set(frame.index.get_level_values("horizon")) == {"all", "0 to 29", "30 to 59"}
    everything = frame.loc["all"]
    assert everything["mae"].to_dict() == pytest.approx(
        {"room": (0.5 + 0.5 + 0.0 + 6.0) / 4, "pool": 4.0 / 4, "bridge": 1.0, "ar1": (1 + 2 + 3 + 4) / 4}
    )
    assert set(everything["n"]) == {4}
    assert everything.loc["room", "coverage"] == 75.0
    assert everything.loc["pool", "coverage"] == 75.0
    assert frame.loc[("0 to 29", "room"), "coverage"] == frame.loc[("0 to 29", "pool"), "coverage"] == 100.0
    # The room misses the quarter whose pool holds, the pool the one whose room holds: bands are not mixed up.
    assert frame.loc[("30 to 59", "room"), "mae"] == 3.0
    assert frame.loc[("30 to 59", "pool"), "mae"] == 2.0
    assert pd.isna(everything.loc["bridge", "coverage"])


def test_a_band_is_scored_by_its_own_bounds():
    found = rehearsal()
    wide = found.frame.assign(pool_lower90=-100.0, pool_upper90=100.0)
    frame = score_cells(Backtest(wide, ())).frame.set_index(["horizon", "method"])
    assert frame.loc[("all", "pool"), "coverage"] == 100.0
    assert frame.loc[("all", "room"), "coverage"] == 75.0


def test_the_headline_is_what_the_room_is_scored_by():
    model, pool = (
        score_cells(rehearsal(), first).frame.set_index(["method", "horizon"]) for first in ("model", "pool")
    )
    assert set(pool.index.get_level_values("method")) == {"room", "model", "ar1", "bridge"}
    for one, two in (("room", "pool"), ("model", "room"), ("ar1", "ar1")):
        pd.testing.assert_frame_equal(pool.loc[one], model.loc[two])
