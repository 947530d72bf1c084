"""Chain ladders against the literature and statsmodels; coverage on synthetic worlds and on Meridia's register."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from tests.delay_worlds import DELAY, day, late_reports, register_of_deaths

from opsroom.base.errors import FitError, UsageError
from opsroom.economy.horizon import day_number
from opsroom.measure.delays import (
    chain_ladder,
    mack_error,
    nowcast_delays,
    odp_error,
    rehearse_delays,
    reporting_triangle,
)
from opsroom.measure.delays.ladder import ladder_draws, odp_draws, odp_fit

TAYLOR_ASHE = [
    [357848, 1124788, 1735330, 2218270, 2745596, 3319994, 3466336, 3606286, 3833515, 3901463],
    [352118, 1236139, 2170033, 3353322, 3799067, 4120063, 4647867, 4914039, 5339085],
    [290507, 1292306, 2218525, 3235179, 3985995, 4132918, 4628910, 4909315],
    [310608, 1418858, 2195047, 3757447, 4029929, 4381982, 4588268],
    [443160, 1136350, 2128333, 2897821, 3402672, 3873311],
    [396132, 1333217, 2180715, 2985752, 3691712],
    [440832, 1288463, 2419861, 3483130],
    [359480, 1421128, 2864498],
    [376686, 1363294],
    [344014],
]
"""Cumulative claims of Taylor and Ashe (1983), as in Mack (1993)."""


def increments() -> np.ndarray:
    cells = np.full((10, 10), np.nan)
    for i, row in enumerate(TAYLOR_ASHE):
        cells[i, : len(row)] = np.diff([0, *row])
    return cells


def test_reserves_and_errors_are_macks() -> None:
    """Mack (1993), table of the example; England and Verrall (2002), tables 1 and 2."""
    fit = chain_ladder(increments())
    published = [0, 94634, 469511, 709638, 984889, 1419459, 2177641, 3920301, 4278972, 4625811]
    assert np.allclose(fit.reserve, published, atol=0.5)
    assert fit.reserve.sum() == pytest.approx(18_680_856, abs=1)
    errors, total = mack_error(increments())
    published = [0, 75535, 121699, 133549, 261406, 411010, 558317, 875328, 971258, 1363155]
    assert np.allclose(errors, published, atol=0.5)
    assert total == pytest.approx(2_447_095, abs=0.5)
    assert odp_fit(increments()).dispersion == pytest.approx(52_601, abs=0.5)
    errors, total = odp_error(increments())
    assert total == pytest.approx(2_945_659, rel=1e-4)
    published = [110100, 216043, 260872, 303550, 375014, 495378, 789961, 1046514, 1980101]
    assert np.allclose(errors[1:], published, rtol=1e-4)


@pytest.mark.parametrize("sparse", [False, True])
def test_over_dispersed_poisson_is_statsmodels_glm(sparse: bool) -> None:
    """Quasi-Poisson with rows and delays: same fitted values, dispersion and error of the whole, to 1e-6."""
    rng = np.random.default_rng(4)
    cells = rng.poisson(40 * np.exp(-0.5 * np.arange(6)), (12, 6)).astype(float)
    cells[np.add.outer(np.arange(12), np.arange(6)) > 11] = np.nan
    if sparse:
        cells[:, 3] = np.where(np.isnan(cells[:, 3]), np.nan, 0.0)  # a delay at which nobody reports
    t, d = np.nonzero(~np.isnan(cells))
    used = (d != 3) | (not sparse)
    x = pd.get_dummies(pd.DataFrame({"t": t, "d": d}).astype("category"), dtype=float).drop(columns="d_0")
    if sparse:
        x = x.drop(columns="d_3")
    model = sm.GLM(cells[t, d][used], x[used].to_numpy(), family=sm.families.Poisson())
    peer = model.fit(scale="X2", tol=1e-12)
    fit = odp_fit(cells)
    assert np.allclose(fit.mean[t, d][used], peer.mu, rtol=1e-6)
    assert fit.dispersion == pytest.approx(peer.scale, rel=1e-6)
    assert np.allclose(fit.mean.sum(axis=1), chain_ladder(cells).ultimate)
    t2, d2 = np.nonzero(np.isnan(cells))
    ahead = [c for c in zip(t2, d2, strict=True) if not (sparse and c[1] == 3)]
    names = list(x.columns)
    z = np.zeros((len(ahead), len(names)))
    for k, (row, delay) in enumerate(ahead):
        z[k, names.index(f"t_{row}")] = 1.0
        if delay:
            z[k, names.index(f"d_{delay}")] = 1.0
    mu = np.exp(z @ peer.params)
    variance = peer.scale * mu.sum() + (mu @ z) @ peer.cov_params() @ (mu @ z)
    assert odp_error(cells)[1] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_draws_have_the_errors_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    fit = chain_ladder(increments())
    ultimate, share = ladder_draws(increments(), 20_000, rng)
    errors, total = mack_error(increments())
    assert ultimate.sum(axis=1).mean() == pytest.approx(fit.ultimate.sum(), rel=0.005)
    assert ultimate.sum(axis=1).std() == pytest.approx(total, rel=0.03)
    assert np.allclose(ultimate.std(axis=0)[1:], errors[1:], rtol=0.03)
    assert np.allclose(share.mean(axis=0), fit.share, atol=0.02)
    coming, share = odp_draws(increments(), 20_000, rng)
    errors, total = odp_error(increments())
    assert coming.sum(axis=(0, 1)).mean() == pytest.approx(fit.reserve.sum(), rel=0.01)
    assert coming.sum(axis=(0, 1)).std() == pytest.approx(total, rel=0.05)
    assert np.allclose(share.mean(axis=0), fit.share, atol=0.02)


def test_a_triangle_that_adds_up_to_less_than_nothing_is_refused() -> None:
    cells = [[5.0, -3.0, 1.0], [4.0, -3.0, np.nan], [6.0, np.nan, np.nan]]
    assert chain_ladder(cells).factors[0] == pytest.approx(3 / 9)
    with pytest.raises(FitError, match="OPS-M142"):
        odp_fit(cells)
    with pytest.raises(UsageError, match="OPS-U174"):
        chain_ladder([[1.0, np.nan, 2.0]])
    with pytest.raises(UsageError, match="OPS-U173"):
        chain_ladder([1.0, 2.0])


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return coverage and mean CRPS by method, of sectors and of the total."""
    group = np.where(frame["sector"] == "_T", "total", "sector")
    return frame.groupby([group, frame["method"]])[["inside", "crps"]].mean()


def test_meridias_register_of_ends() -> None:
    """A small Meridia, one day in the shock: the register knows nothing of the last three weeks' ends."""
    records, happened = register_of_deaths(2000, seed=1, weeks=172)
    made = reporting_triangle(
        records, period="died", key=["enterprise_id", "valid_from"], as_of="2020-03-16", frequency="W", max_delay=20
    )
    result = nowcast_delays(made)
    frame = result.to_frame().loc["all"]
    assert (frame["reported"].iloc[-3:] == 0).all()
    assert (frame["mean"].iloc[-3:] > 0.3).all()
    assert (nowcast_delays(made, method="chain-ladder").to_frame()["mean"].iloc[-3:] == 0).all()
    week = [day_number(p.start_time.date()) for p in frame.index]
    truth = np.array([((happened["died"] >= w) & (happened["died"] < w + 7)).sum() for w in week])
    settled = frame["complete"].to_numpy()
    assert np.array_equal(frame["reported"].to_numpy()[settled], truth[settled])
    ahead = frame[~settled]
    inside = (ahead["lower"] <= truth[~settled]) & (truth[~settled] <= ahead["upper"])
    assert inside.mean() >= 0.8


@pytest.mark.long
def test_coverage_and_scores_over_forty_worlds() -> None:
    """Nominal 90 %: sectors down to one event a day overcover, since counts are whole."""
    frame = pd.concat(
        rehearse_delays(
            late_reports(seed), as_of=[day(62), day(75), day(88)], max_delay=DELAY, period="day", key="id",
            by="sector", deleted="dead",
        )
        for seed in range(100, 140)
    )  # fmt: skip
    table = scores(frame)
    assert 0.87 <= table.loc[("total", "hierarchical"), "inside"] <= 0.95
    big = frame[(frame["sector"] == "S4") & (frame["method"] == "hierarchical")]
    assert 0.88 <= big["inside"].mean() <= 0.96
    for group in ("total", "sector"):
        crps = table.loc[group, "crps"]
        assert crps["hierarchical"] < 0.6 * crps["chain-ladder"]
        assert crps["hierarchical"] < 0.6 * crps["odp"]


@pytest.mark.long
def test_coverage_and_scores_on_meridias_register() -> None:
    """21 sections, fourteen days of nowcasting from 2019-03 on, the wave of failures of 2020 included."""
    days = [dt.date(2019, 3, 4) + dt.timedelta(weeks=6 * k) for k in range(14)]
    records, _ = register_of_deaths(20_000, seed=1)
    frame = rehearse_delays(
        records, as_of=days, max_delay=20, period="died", key=["enterprise_id", "valid_from"], by="section",
        frequency="W",
    )  # fmt: skip
    table = scores(frame)
    assert 0.85 <= table.loc[("total", "hierarchical"), "inside"] <= 0.95
    for group in ("total", "sector"):
        crps = table.loc[group, "crps"]
        assert crps["hierarchical"] < 0.6 * crps["chain-ladder"]
