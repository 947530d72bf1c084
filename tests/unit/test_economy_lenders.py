"""What Meridia's lenders report agrees with the register of loans, and adds up."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from opsroom.economy.lenders import LEAST, SHARE
from opsroom.economy.world import World, meridia


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(150, seed=3)


def test_reports_follow_the_loans_and_interbank_claims_add_up(world: World) -> None:
    sent = list(world.deliveries(dt.date(2020, 7, 31)))
    known = [(d.known_at.date(), d.source) for d in sent if d.dataset == "lenders"]
    assert [day for day, _ in known] == [dt.date(2020, 1, 6), dt.date(2020, 2, 14), dt.date(2020, 5, 14)]
    reports = pd.concat([t.to_pandas() for _, t in known])  # type: ignore[union-attr]  # tables
    assert reports.groupby("quarter").size().tolist() == [14] * 5
    sums = reports.groupby("quarter")[["interbank_lent", "interbank_borrowed"]].sum()
    assert (sums["interbank_lent"] == sums["interbank_borrowed"]).all()
    history = next(d.source for d in sent if d.dataset == "loans")
    loans = history.read_all() if hasattr(history, "read_all") else history
    rows = loans.to_pandas()
    rows = rows[rows["month"] == dt.date(2019, 9, 1)]
    lent = rows.groupby("lender_id")["outstanding"].sum()
    third = reports[reports["quarter"] == dt.date(2019, 7, 1)].set_index("lender_id")
    share = lent / third["assets"].reindex(lent.index)
    large = third["assets"].reindex(lent.index) > LEAST
    assert ((share[large] >= SHARE[0] - 1e-9) & (share[large] <= SHARE[1] + 1e-9)).all()
    assert (third["capital"] < third["assets"]).all()
    assert np.ptp((third["capital"] / third["assets"]).to_numpy()) > 0.01
