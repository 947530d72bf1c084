"""Credit against output by area, quarter by quarter: the split, what a collapse does, what was known when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.warn.credit_gap import gap_from_levels, watch_credit

QUARTERS = pd.period_range("2000Q1", periods=60, freq="Q")
T = np.arange(60)


def long(wide: dict[str, np.ndarray], *, days: int = 75) -> pd.DataFrame:
    known = [p.end_time.normalize() + pd.Timedelta(days=days) for p in QUARTERS]
    return pd.concat(
        pd.DataFrame({"area": a, "period": QUARTERS, "known_at": known, "value": v}) for a, v in wide.items()
    )


@pytest.fixture(scope="module")
def world() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    grown = np.exp(0.01 * T)
    credit = {
        "boom": 100 * grown * np.exp(0.03 * np.clip(T - 40, 0, 10)),
        "slump": 100 * grown,
        "noisy": 100 * grown * np.exp(0.02 * rng.normal(size=60)),
    }
    output = {
        "boom": 50 * grown, "slump": 7 * grown * np.where(T >= 45, 0.7, 1.0),
        "noisy": 3 * grown * np.exp(0.02 * rng.normal(size=60)),
    }  # fmt: skip
    return credit, output


def test_credit_pushes_in_a_boom_and_not_in_a_slump(world: tuple[dict[str, np.ndarray], ...]) -> None:
    frame = watch_credit(long(world[0]), long(world[1])).frame
    at = frame[frame["period"] == pd.Period("2012Q3")].set_index("area")  # T = 50, over from T = 42
    # on a straight path of output the ratio moves by credit alone: exp(0.03 x 8) beyond the usual growth
    assert at.loc["boom", "by_credit"] == pytest.approx(100 * (np.exp(0.24) - 1), rel=1e-9)
    assert at.loc["boom", "by_output"] == pytest.approx(0.0, abs=1e-9)
    assert at.loc["slump", "change"] > 35
    assert at.loc["slump", "by_credit"] == pytest.approx(0.0, abs=1e-9)
    assert at.loc["slump", "by_output"] == pytest.approx(at.loc["slump", "change"])
    assert (frame["by_credit"] + frame["by_output"]).to_numpy() == pytest.approx(frame["change"].to_numpy())


def test_change_and_gap_are_those_of_the_levels_known_then(world: tuple[dict[str, np.ndarray], ...]) -> None:
    credit, output = world
    frame = watch_credit(long(credit), long(output)).frame
    for quarter in ("2011Q2", "2014Q4"):
        end = (pd.Period(quarter) - QUARTERS[0]).n + 1
        row = frame[(frame["period"] == pd.Period(quarter)) & (frame["area"] == "noisy")].iloc[0]
        c, y = (pd.Series(table["noisy"][:end], QUARTERS[:end]) for table in (credit, output))
        ratio = c / y.rolling(4).sum()
        assert row["change"] == pytest.approx(100 * (ratio.iloc[-1] / ratio.iloc[-9] - 1))
        gap = gap_from_levels(c, y)
        assert row["gap"] == pytest.approx(100 * gap.gap.iloc[-1] / gap.trend.iloc[-1])
        assert row["known_at"] == pd.Period(quarter).end_time.normalize() + pd.Timedelta(days=75)


def test_the_unit_of_output_does_not_matter_and_revisions_change_no_round(
    world: tuple[dict[str, np.ndarray], ...],
) -> None:
    credit, output = long(world[0]), long(world[1])
    plain = watch_credit(credit, output)
    index = watch_credit(credit, output.assign(value=output["value"] * 1000))
    numbers = ["change", "by_credit", "by_output", "gap"]
    np.testing.assert_allclose(index.frame[numbers], plain.frame[numbers], rtol=1e-9, atol=1e-9)
    revised = credit.assign(value=2 * credit["value"], known_at=credit["known_at"] + pd.Timedelta(days=3000))
    again = watch_credit(pd.concat([credit, revised]), output)
    early = plain.frame["known_at"] < revised["known_at"].min()
    pd.testing.assert_frame_equal(again.frame[early.to_numpy()], plain.frame[early])
    assert plain.latest["noisy"].dropna().iloc[:4].mean() == pytest.approx(100.0)
    assert "by credit" in plain.summary()


def test_wrong_arguments_are_told(world: tuple[dict[str, np.ndarray], ...]) -> None:
    credit, output = long(world[0]), long(world[1])
    with pytest.raises(UsageError, match="counted from 1"):
        watch_credit(credit, output, over=0)
