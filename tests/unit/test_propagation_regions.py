"""Losses spread over regions, output divided among them, and scenarios written in files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from opsroom.base.errors import SettingsError, UsageError
from opsroom.decide.propagation import DynamicInputOutput, RegionalPath, Scenario, read_scenario, split, spread
from opsroom.decide.propagation.path import DynamicPath
from opsroom.decide.propagation.scenario import Assumed

SECTORS = ["farms", "mills", "shops"]
REGIONS = ["N", "S", "W"]
DAYS = 90


def weights_of(rng: np.random.Generator) -> pd.DataFrame:
    found = rng.dirichlet(np.ones(len(REGIONS)), size=len(SECTORS))
    return pd.DataFrame(found, index=SECTORS, columns=REGIONS)


def plain(lost: float, w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Loss of one sector on one day by region, by bisection on the rate."""
    if lost >= w[g > 0].sum():  # who is hit loses all, the rest falls on the others
        rest = (lost - w[g > 0].sum()) / w[g == 0].sum() if (g == 0).any() and w[g == 0].sum() > 0 else 0.0
        return np.where(g > 0, 1.0, rest)
    rate = brentq(lambda k: (w * np.minimum(k * g, 1.0)).sum() - lost, 0.0, 1e9, xtol=1e-14, rtol=1e-14)
    return np.minimum(rate * g, 1.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), zeros=st.integers(0, 3))
def test_losses_are_spread_in_proportion_and_none_is_lost_on_the_way(seed: int, zeros: int) -> None:
    rng = np.random.default_rng(seed)
    lost, w = rng.uniform(0.0, 1.0, (4, 3)), weights_of(rng).to_numpy()
    lost[0, 0], lost[1, 1] = 0.0, 1.0
    g = rng.uniform(0.1, 1.0, (4, 3)) ** 4
    g[:, :zeros] = 0.0
    found = spread(lost, w, g)
    assert ((found >= 0.0) & (found <= 1.0)).all()
    np.testing.assert_allclose((found * w).sum(axis=2), lost, atol=1e-12)
    for day in range(4):
        for sector in range(3):
            np.testing.assert_allclose(found[day, sector], plain(lost[day, sector], w[sector], g[day]), atol=1e-7)


def model() -> DynamicInputOutput:
    z = pd.DataFrame([[10.0, 60.0, 5.0], [2.0, 20.0, 70.0], [8.0, 10.0, 15.0]], index=SECTORS, columns=SECTORS)
    return DynamicInputOutput(
        z, household=[20.0, 40.0, 150.0], other=[5.0, 18.0, 7.0], labour=[30.0, 20.0, 60.0], stock_days=[20, 10, 5],
        production="leontief",
    )  # fmt: skip


def shocked(seed: int) -> tuple[DynamicPath, RegionalPath, pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    w = weights_of(rng)
    lost = rng.uniform(0.0, 0.9, (1, 3, 3)) * np.sin(np.linspace(0.0, np.pi, DAYS))[:, None, None]
    path = model().run(DAYS, supply_shock=(lost * w.to_numpy()).sum(axis=2), start=dt.date(2020, 1, 1))
    return path, split(path, w, lost), w, lost


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_regions_add_to_sectors_every_day_and_none_makes_more_than_it_can(seed: int) -> None:
    path, found, w, lost = shocked(seed)
    before = path.before["output"].to_numpy()
    np.testing.assert_allclose(found.output.sum(axis=2), path.output.to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(found.before.sum(axis=1).to_numpy(), before, rtol=1e-12)
    can = w.to_numpy()[None] * (1.0 - lost) * before[None, :, None]
    assert (found.output <= can * (1.0 + 1e-9)).all()
    # all are asked for the same share of what they can do
    used = found.output / can
    np.testing.assert_allclose(used, np.broadcast_to(used[:, :, :1], used.shape), rtol=1e-9)
    uses = path.intermediate + path.consumption + path.other
    np.testing.assert_allclose(found.output.sum(axis=2), uses.to_numpy(), rtol=1e-9)
    total = found.by_region() @ (found.before.sum() / before.sum())
    np.testing.assert_allclose(total, path.output.sum(axis=1) / before.sum(), rtol=1e-12)


def test_a_region_that_is_spared_makes_its_own_share_and_more_of_what_is_left() -> None:
    w = pd.DataFrame(0.5, index=SECTORS, columns=["N", "S"])
    lost = np.zeros((5, 3, 2))
    lost[:, :, 0] = 0.5
    path = model().run(5, supply_shock=0.25 * np.ones((5, 3)))
    found = split(path, w, lost).by_region()
    # the first day stocks last and demand is there: each makes what it can
    assert found.iloc[0].to_dict() == pytest.approx({"N": 0.5, "S": 1.0})
    calm = split(model().run(5), w, np.zeros((5, 3, 2)))
    assert (calm.by_region() - 1.0).abs().max().max() < 1e-12
    frame = calm.to_frame()
    assert len(frame) == 5 * 3 * 2
    assert frame["share"].to_numpy() == pytest.approx(1.0)
    assert "Pichler" in calm.cite()
    assert calm.summary().startswith("Most, on average of 5 days:")


def test_a_path_of_other_losses_is_refused() -> None:
    path, _, w, lost = shocked(1)
    with pytest.raises(UsageError, match="more than its regions can"):
        split(path, w, np.minimum(lost + 0.3, 1.0))
    with pytest.raises(UsageError, match="not of the path's days"):
        split(path, w, lost[:5])
    with pytest.raises(UsageError, match="add to 1"):
        split(path, 2.0 * w, lost)


def test_shocks_build_up_go_away_and_take_their_share_of_what_is_left() -> None:
    one = Assumed(
        dt.date(2020, 3, 3), dt.date(2020, 3, 4), supply=0.5, sections=("G",), ramp_in_days=1, ramp_out_days=3
    )
    other = Assumed(dt.date(2020, 3, 1), dt.date(2020, 3, 31), supply={"G": 0.2, "I": 1.0}, demand=0.1, regions=("S",))
    days = pd.date_range("2020-03-01", periods=9)
    assert one.strength(days).tolist() == [0.0, 0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    found = Scenario("both", shocks=(one, other)).supply(days, ["G", "H", "I"], ["N", "S"])
    assert found[2].tolist() == [[0.5, pytest.approx(1 - 0.5 * 0.8)], [0.0, 0.0], [0.0, 1.0]]
    assert found[8].tolist() == [[0.0, pytest.approx(0.2)], [0.0, 0.0], [0.0, 1.0]]
    wanted = Scenario("both", shocks=(one, other)).demand(days, ["G", "H", "I"], ["N", "S"])
    assert wanted[0].tolist() == [[0.0, pytest.approx(0.1)]] * 3


GOOD = """schema_version = 1
name = "second wave"
source = "the task force"
lift_weeks = 8

[[shocks]]
first = 2020-06-15
last = 2020-07-26
ramp_in_days = 7
regions = ["R01"]
supply = {G = 0.3, I = 0.7}

[[shocks]]
first = 2020-06-22
last = 2020-07-05
sections = ["G"]
supply = 0.15
demand = 0.05
"""


def test_a_scenario_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "wave.toml"
    file.write_text(GOOD, encoding="utf-8")
    found = read_scenario(file, sections=["G", "I"], regions=["R01", "R02"])
    assert (found.name, found.source, found.lift_weeks, len(found.sha256)) == ("second wave", "the task force", 8, 64)
    assert found.shocks == (
        Assumed(dt.date(2020, 6, 15), dt.date(2020, 7, 26), {"G": 0.3, "I": 0.7}, regions=("R01",), ramp_in_days=7),
        Assumed(dt.date(2020, 6, 22), dt.date(2020, 7, 5), 0.15, 0.05, sections=("G",)),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("schema_version = 1\n", "", None, "'schema_version' is not 1"),
        ("schema_version = 1", "schema_version = true", 1, "'schema_version' is not 1"),
        ('name = "second wave"', 'name = ""', 2, "'name' is missing or no text"),
        ('source = "the task force"\n', "", None, "'source' is missing or no text"),
        ("lift_weeks = 8", "lift_weeks = -1", 4, "'lift_weeks' is no number of weeks"),
        ("lift_weeks = 8", "lift_week = 8", 4, "'lift_week' is not known. Did you mean 'lift_weeks'?"),
        ("first = 2020-06-22", 'first = "2020-06-22"', 14, "shock 2, 'first' is missing or no date"),
        ("first = 2020-06-22\n", "", 13, "shock 2, 'first' is missing or no date"),
        ("last = 2020-07-05", "last = 2020-06-05", 15, "shock 2, 'last' is before the first day"),
        ("ramp_in_days = 7", "ramp_in_days = 7.5", 9, "shock 1, 'ramp_in_days' is no number of days"),
        ('regions = ["R01"]', 'regions = ["R10"]', 10, "shock 1, 'regions' names 'R10', which there is not"),
        ('regions = ["R01"]', "regions = []", 10, "shock 1, 'regions' names none"),
        ('regions = ["R01"]', 'regions = "R01"', 10, "shock 1, 'regions' is no list of codes"),
        ('sections = ["G"]', 'sections = ["G", "G"]', 16, "shock 2, 'sections' names a code twice"),
        ("supply = {G = 0.3, I = 0.7}", "supply = {G = 0.3, Z = 0.7}", 11, "shock 1, 'supply' names 'Z'"),
        ("supply = {G = 0.3, I = 0.7}", "supply = {G = 30}", 11, "shock 1, 'supply' is no share between 0 and 1"),
        ("supply = 0.15", "supply = nan", 17, "shock 2, 'supply' is no share between 0 and 1"),
        ("supply = 0.15", "supply = true", 17, "shock 2, 'supply' is no share between 0 and 1"),
        ("supply = 0.15\ndemand = 0.05\n", "", 13, "shock 2, 'supply' is missing, and so is 'demand'"),
        ("supply = 0.15", "supply = {G = 0.15}", 17, "shock 2, 'supply' is by section, while 'sections' is given"),
        ("demand = 0.05", "demnd = 0.05", 18, "shock 2, 'demnd' is not known. Did you mean 'demand'?"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_with_line_field_and_what_to_do(
    tmp_path: Path, old: str, new: str, line: int | None, said: str
) -> None:
    file = tmp_path / "wave.toml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_scenario(file, sections=["G", "I"], regions=["R01", "R02"])
    assert caught.value.code == "OPS-C041"
    told = str(caught.value)
    place = "wave.toml: " if line is None else f"wave.toml, line {line}: "
    assert told.startswith(f"OPS-C041: {place}{said}")
    assert caught.value.remedy


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "wave.toml"
    for text, said in ((b"name = \n", "not valid TOML: .*line 1"), (b"\xff", "not text in UTF-8")):
        file.write_bytes(text)
        with pytest.raises(SettingsError, match=said) as caught:
            read_scenario(file)
        assert caught.value.code == "OPS-C040"
    with pytest.raises(SettingsError, match="no such file"):
        read_scenario(tmp_path / "none.toml")
