"""`Ario` beside BoARIO 0.7.2 (Juhel, GPL-3, run apart from this project): outputs of four sectors over 120 days.

Peer: `ARIOPsiModel(order_type="noalt", main_inv_dur=30, rebuild_tau=60)`, one region, capital four times value added,
an event of the type "rebuild" at day 1, rebuilt by builders alone, amounts in units so small that its rounding of
damages does not show. Its damage is there for a day before rebuilding is asked for, which here is capacity lost. With
several rebuilding sectors the two differ: there each has a part of a ruin of its own, here all mend it together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.decide.propagation import Ario
from opsroom.decide.propagation.ario import Reaction
from opsroom.decide.propagation.ario_path import ArioPath

NAMES = ["builders", "farms", "mills", "power"]
FLOWS = [[40.0, 20.0, 30.0, 10.0], [5.0, 60.0, 160.0, 0.0], [120.0, 40.0, 90.0, 20.0], [15.0, 25.0, 70.0, 30.0]]
DAMAGE = np.array([0.0, 100.0, 300.0, 50.0])
DAYS = [1, 2, 3, 10, 30, 60, 119]
FIXED = [  # capacity is never extended (alpha_max 1)
    [0.9863013699, 1.0028977871, 1.0292652553, 0.5838033844],
    [0.9863013699, 0.9443652808, 1.0292652553, 0.5521781301],
    [0.9863013699, 0.9356934325, 1.0303008049, 0.5444391399],
    [0.9449031808, 0.9364273873, 1.0375355881, 0.5434394753],
    [0.4447652563, 0.5295175825, 0.8849357604, 0.2973663447],
    [0.1382480921, 0.1595331193, 0.2650794241, 0.0893607158],
    [0.0133334754, 0.01417523, 0.0236005023, 0.0078900771],
]
FIXED_TOTAL = [34.69357351, 38.36134491, 53.29218702, 21.78538419]
EXTENDED = [  # up to 1.25 within a year
    [0.9863013699, 1.0028977871, 1.0292652553, 0.5838033844],
    [0.9868980766, 0.9443652808, 1.0294748976, 0.5521781301],
    [0.9874931318, 0.935764849, 1.0307186273, 0.544502594],
    [0.9444393323, 0.9370081369, 1.0394264848, 0.5438211281],
    [0.4447790026, 0.5294209362, 0.8831136414, 0.2973081584],
    [0.1385353255, 0.1595111916, 0.2646304538, 0.0893512765],
    [0.0134702874, 0.0141802558, 0.023588577, 0.0078942795],
]
EXTENDED_TOTAL = [34.724672, 38.3643587, 53.30508909, 21.7874868]


def path(most: float) -> ArioPath:
    model = Ario(
        pd.DataFrame(FLOWS, NAMES, NAMES), [260.0, 180.0, 300.0, 90.0], stock_days=30.0,
        reaction=Reaction(served="alike", orders="used", most=most),
    )  # fmt: skip
    lost = np.zeros((120, 4))
    lost[1] = DAMAGE / model.capital
    return model.run(120, damage=DAMAGE, rebuilt_by=[1.0, 0.0, 0.0, 0.0], first=2, lost=lost)


def test_outputs_are_the_peers_where_capacity_is_not_extended() -> None:
    output = path(1.0).output
    assert output.loc[DAYS].to_numpy() == pytest.approx(np.array(FIXED), abs=2e-10)
    assert output.sum().to_numpy() == pytest.approx(np.array(FIXED_TOTAL), rel=1e-9)


def test_extended_capacity_follows_the_peer_by_a_day() -> None:
    """There, yesterday's output is set against today's demand; here, today's against today's."""
    output = path(1.25).output
    assert output.loc[DAYS].to_numpy() == pytest.approx(np.array(EXTENDED), rel=7e-4)
    assert output.sum().to_numpy() == pytest.approx(np.array(EXTENDED_TOTAL), rel=2e-4)
    assert output.loc[2:, "builders"].iloc[1] == pytest.approx(EXTENDED[1][0], rel=1e-9)
