"""The restriction index: exact on the published example, its rules on gaps, registers as known, scenario input."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.errors import DataError, NotFoundError, UsageError
from opsroom.base.results import Charted, Result
from opsroom.measure.restriction import (
    EDITIONS,
    INDICATORS,
    daily_values,
    restricted_shares,
    restriction_index,
    shares_from_register,
    sub_index,
)

DAY = pd.DatetimeIndex(["2020-10-22"], name="date")

# The worked example of the index methodology (version 3.6): value, flag, sub-index as printed.
EXAMPLE = {
    "C1": (2, 1, 66.67), "C2": (np.nan, np.nan, 0.00), "C3": (2, 0, 75.00), "C4": (2, 0, 37.50),
    "C5": (0, np.nan, 0.00), "C6": (1, 0, 16.67), "C7": (1, 1, 50.00), "C8": (3, np.nan, 75.00),
    "E1": (2, 0, 75.00), "E2": (2, np.nan, 100.00), "H1": (2, 0, 75.00), "H2": (3, np.nan, 100.00),
    "H3": (2, np.nan, 100.00), "H6": (2, 0, 37.50), "H7": (2, 1, 40.00), "H8": (2, 1, 66.66),
}  # fmt: skip
PRINTED = {"government_response": 57.18, "containment_health": 52.86, "stringency": 43.98, "economic_support": 87.50}


def frames(example: dict[str, tuple[float, float, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    values = pd.DataFrame({name: [row[0]] for name, row in example.items()}, index=DAY)
    return values, pd.DataFrame({name: [row[1]] for name, row in example.items()}, index=DAY)


def test_published_example_of_sixteen_indicators() -> None:
    result = restriction_index(*frames(EXAMPLE))
    for name, (_, _, printed) in EXAMPLE.items():
        assert result.sub_indices[name].iloc[0] == pytest.approx(printed, abs=0.0070)  # 66.66 is printed for 66.67
    for name, printed in PRINTED.items():
        # 57.1875 is printed as 57.18.
        assert result.indices[name].iloc[0] == pytest.approx(printed, abs=0.0076)
    assert result.assumed == 0


def test_example_of_the_shared_data_exactly(shared_data: Path) -> None:
    """Fourteen indicators (edition 2020-10): every sub-index and index as an exact fraction."""
    from fractions import Fraction

    table = pd.read_csv(shared_data / "policy" / "oxcgrt_example_input.csv").set_index("indicator")
    for name, row in table.iterrows():
        assert (row["max_value"], bool(row["flag"])) == (INDICATORS[name].maximum, INDICATORS[name].flagged)
    values = table[["value"]].T.set_axis(DAY)
    flags = table[["flag_value"]].T.set_axis(DAY)
    result = restriction_index(values, flags, edition="2020-10")
    score = {}
    for name, row in table.iterrows():
        if np.isnan(row["value"]) or row["value"] == 0:
            score[name] = Fraction(0)
            continue
        half = Fraction(int(row["flag"]) - int(np.nan_to_num(row["flag_value"])), 2) if row["flag"] else Fraction(0)
        score[name] = 100 * (Fraction(int(row["value"])) - half) / int(row["max_value"])
        assert result.sub_indices[name].iloc[0] == pytest.approx(float(score[name]), abs=1e-12)
    want = {"government_response": 57.738, "containment_health": 52.778, "stringency": 43.981, "economic_support": 87.5}
    for name, parts in EDITIONS["2020-10"].items():
        exact = sum(score[p] for p in parts) / len(parts)
        assert result.indices[name].iloc[0] == pytest.approx(float(exact), abs=1e-12)
        assert float(exact) == pytest.approx(want[name], abs=5e-4)


def test_scales_are_those_of_the_codebook(shared_data: Path) -> None:
    book = pd.read_csv(shared_data / "policy" / "oxcgrt_codebook.csv")
    ordinal = book[book["Measurement"] == "Ordinal scale"]
    for _, row in ordinal.iterrows():
        codes = [int(code) for code in re.findall(r"(?:^|; )([0-9]) ?-", row["Coding"])]
        assert INDICATORS[row["ID"]].maximum == max(codes)
    flagged = set(book.loc[book["Name"].str.endswith("Flag"), "ID"])
    assert {name for name, one in INDICATORS.items() if one.flagged} - {"H7", "H8"} == flagged


@given(value=st.integers(0, 4), flag=st.sampled_from([0.0, 1.0, np.nan]), flagged=st.booleans())
def test_sub_index_rises_with_value_and_flag(value: int, flag: float, flagged: bool) -> None:
    score = float(sub_index([value], [flag], maximum=4, flagged=flagged)[0])
    assert 0.0 <= score <= 100.0
    if value < 4:
        assert float(sub_index([value + 1], [flag], maximum=4, flagged=flagged)[0]) > score
    if value and flagged:
        assert float(sub_index([value], [1.0], maximum=4, flagged=True)[0]) >= score
    if value == 4 and (flag == 1.0 or not flagged):
        assert score == 100.0


def test_gaps_are_treated_as_in_the_methodologys_table() -> None:
    """Thirteen days, the last today, with so many of fourteen indicators; the printed raw and shown values."""
    known = [12, 13, 11, 14, 11, 11, 11, 14, 14, 13, 13, 7, 5]
    raw = [None, 60, None, 65, None, None, None, 70, 75, None, None, None, None]
    shown = [None, 60, None, 65, None, None, 65, 70, 75, 75, 75, 75, 75]
    days = pd.date_range("2020-10-10", periods=13, name="date")
    names = EDITIONS["2020-10"]["government_response"]
    values = pd.DataFrame(1.0, index=days, columns=list(names))
    for row, count in enumerate(known):
        values.iloc[row, count:] = np.nan
    result = restriction_index(values, edition="2020-10", reject_recent=True)
    index = result.indices["government_response"]
    assert [v is not None for v in raw] == index.notna().tolist()
    display = result.display()["government_response"]
    assert [v is not None for v in shown] == display.notna().tolist()
    assert display.iloc[6] == index.iloc[3]
    assert (display.iloc[9:] == index.iloc[8]).all()
    # Without the rule for recent days only those with two gaps are rejected.
    plain = restriction_index(values, edition="2020-10").indices["government_response"]
    assert plain.notna().tolist() == [c >= 13 for c in known]


def test_economic_support_needs_both_and_unknown_counts_as_nothing() -> None:
    values, flags = frames(EXAMPLE)
    values["E2"] = np.nan
    result = restriction_index(values, flags)
    assert result.indices["economic_support"].isna().all()
    assert result.indices["government_response"].isna().all()  # two of sixteen unknown
    assert result.known["stringency"].iloc[0] == 8
    values, flags = frames(EXAMPLE)
    flags["C1"] = np.nan
    result = restriction_index(values, flags)
    assert result.assumed == 1
    assert result.sub_indices["C1"].iloc[0] == pytest.approx(50.0)


REGISTER = pd.DataFrame(
    {
        "measure": [1, 1, 2, 3, 2],
        "indicator": ["C2", "C2", "C2", "C6", "C2"],
        "value": [2, 2, 3, 2, 3],
        "flag": [1, 1, 0, 1, 0],
        "start": ["2020-03-16", "2020-03-16", "2020-03-20", "2020-03-18", "2020-03-20"],
        "end": [None, "2020-04-10", "2020-03-29", None, "2020-03-22"],
        "region": [None, None, "North", "South", "North"],
        "known_at": pd.to_datetime(["2020-03-15", "2020-04-01", "2020-03-18", "2020-03-18", "2020-03-23"]),
    }
)


def days_of(as_of: str | None, register: pd.DataFrame = REGISTER) -> tuple[pd.DataFrame, pd.DataFrame]:
    return daily_values(
        register, start="2020-03-15", end="2020-04-15", places=["North", "South"], as_of=as_of, key="measure"
    )


def test_register_is_read_as_it_was_known() -> None:
    values, flags = days_of("2020-03-18")
    north = values.loc["North", "C2"]
    assert north["2020-03-15"] == 0
    assert (north["2020-03-16":"2020-03-19"] == 2).all()
    assert (north["2020-03-20":"2020-03-29"] == 3).all()  # announced
    assert north["2020-04-15"] == 2  # no end is known yet
    assert flags.loc[("North", "2020-03-20"), "C2"] == 0
    assert (values.loc["South", "C2"]["2020-03-16":] == 2).all()
    later, _ = days_of("2020-04-02")
    assert (later.loc["North", "C2"]["2020-03-23":"2020-04-10"] == 2).all()  # eased early
    assert later.loc[("North", "2020-04-11"), "C2"] == 0
    assert (later.loc["South", "C6"]["2020-03-18":] == 2).all()
    assert (later.loc["North", "C6"] == 0).all()


def test_nothing_known_later_is_looked_at() -> None:
    poison = REGISTER.copy()
    late = poison["known_at"] > pd.Timestamp("2020-03-19")
    poison.loc[late, ["value", "start", "region"]] = [1, "2020-03-16", "South"]
    for clean, dirty in zip(days_of("2020-03-18"), days_of("2020-03-18", poison), strict=True):
        pd.testing.assert_frame_equal(clean, dirty, check_exact=True)


def test_a_withdrawn_measure_and_days_before_the_register_began() -> None:
    gone = pd.concat([REGISTER, REGISTER.iloc[[3]].assign(known_at=pd.Timestamp("2020-03-20"))])
    gone["dead"] = [False] * 5 + [True]
    values, _ = daily_values(
        gone, start="2020-03-10", end="2020-03-21", key="measure", deleted="dead", complete_from={"C2": "2020-03-12"}
    )
    assert values.loc["North", "C2"].isna().sum() == 2
    assert "C6" not in values.columns or values["C6"].isna().all()
    single, _ = daily_values(
        REGISTER.drop(columns="region"), start="2020-03-15", end="2020-03-21", place=None, key="measure"
    )
    assert isinstance(single.index, pd.DatetimeIndex)
    assert single.loc["2020-03-20", "C2"] == 3


def test_scenario_input_from_indices_and_from_closures() -> None:
    values, flags = days_of(None)
    result = restriction_index(values, flags)
    exposure = pd.DataFrame({"C2": [0.9, 0.3], "C6": [0.6, 0.0]}, index=["I", "J"])
    table = restricted_shares(result, exposure, telework=pd.Series({"J": 0.5}))
    assert list(table.columns) == ["date", "region", "sector", "restricted"]
    assert len(table) == 32 * 2 * 2
    at = table.set_index(["date", "region", "sector"])["restricted"]
    day = pd.Timestamp("2020-03-21")
    assert at[day, "North", "I"] == pytest.approx(0.9 * 2.5 / 3)  # 3, targeted: half a step less
    assert at[day, "North", "J"] == pytest.approx(0.5 * 0.3 * 2.5 / 3)
    assert at[day, "South", "I"] == pytest.approx(max(0.9 * 2 / 3, 0.6 * 2 / 3))
    both = restricted_shares(result, exposure, overlap="independent").set_index(["date", "region", "sector"])
    assert both.loc[(day, "South", "I"), "restricted"] == pytest.approx(1 - (1 - 0.6) * (1 - 0.4))
    closures = pd.DataFrame(
        {
            "sector": ["I", "_T", "I"], "share": [1.0, 0.25, 0.5], "region": ["North", None, None],
            "start": ["2020-03-16", "2020-03-16", "2020-03-18"], "end": ["2020-03-17", None, None],
        }
    )  # fmt: skip
    table = shares_from_register(
        closures, start="2020-03-15", end="2020-03-18", sectors=["C", "I"], places=["North", "South"],
        overlap="independent",
    ).set_index(["date", "region", "sector"])["restricted"]  # fmt: skip
    assert table[pd.Timestamp("2020-03-15")].eq(0).all()
    assert table[pd.Timestamp("2020-03-16"), "North", "I"] == 1.0
    assert table[pd.Timestamp("2020-03-16"), "South", "C"] == 0.25
    assert table[pd.Timestamp("2020-03-18"), "South", "I"] == pytest.approx(1 - 0.75 * 0.5)


def test_a_real_register_of_closures(shared_data: Path) -> None:
    """Policy milestones of US states: wide marks of first days, read as measures."""
    table = pd.read_csv(shared_data / "policy" / "oi_policy_milestones_state.csv")
    pieces = []
    for column, indicator, value in (
        ("schools_first_closed", "C1", 3), ("nonessential_biz_first_closed", "C2", 3),
        ("stayathome_first_start", "C6", 2),
    ):  # fmt: skip
        one = table[table[column] == 1]
        pieces.append(
            pd.DataFrame(
                {
                    "indicator": indicator,
                    "value": value,
                    "flag": 1,
                    "start": one["date"],
                    "end": None,
                    "state": one["statename"],
                }
            )
        )
    register = pd.concat(pieces)
    values, flags = daily_values(register, start="2020-03-01", end="2020-04-30", place="state")
    alabama = values.loc["Alabama"]
    assert alabama.loc["2020-03-18", "C1"] == 0
    assert alabama.loc["2020-03-19", "C1"] == 3
    assert alabama.loc["2020-03-28", "C2"] == 3
    index = restriction_index(values, flags).sub_indices
    assert index.loc["Alabama"].loc["2020-04-03"].tolist() == [100.0, 100.0, pytest.approx(200 / 3)]
    assert len(index.index.get_level_values(0).unique()) >= 50


def test_result_can_do_what_results_do() -> None:
    result = restriction_index(*days_of(None), indices={"closing": ("C2", "C6")})
    assert isinstance(result, Result)
    assert isinstance(result, Charted)
    assert result.edition == "own"
    assert "North, 2020-04-15: closing 0.0" in result.summary()
    assert "Hale" in result.cite()
    chart = result.chart("North", index="closing").to_dict()
    assert "Closing in North" in " ".join(chart["title"]["text"])
    with pytest.raises(NotFoundError):
        result.chart(index="closing")
    with pytest.raises(NotFoundError):
        result.chart("North")
    assert "Stringency: 44 of 100" in " ".join(restriction_index(*frames(EXAMPLE)).chart().to_dict()["title"]["text"])


def test_bad_calls_say_what_to_do() -> None:
    values, flags = frames(EXAMPLE)
    with pytest.raises(UsageError, match="OPS-U180"):
        restriction_index(values, edition="1999")
    with pytest.raises(UsageError, match="OPS-U181"):
        restriction_index(values.rename(columns={"C1": "Z1"}))
    with pytest.raises(UsageError, match="OPS-U182"):
        restriction_index(values, flags.set_axis(DAY + pd.Timedelta(days=1)))
    with pytest.raises(DataError, match="row 1"):
        restriction_index(values.assign(C1=4))
    with pytest.raises(DataError, match="OPS-D131"):
        restriction_index(values, flags.assign(C1=2))
    with pytest.raises(UsageError, match="OPS-U185"):
        daily_values(
            REGISTER.drop(columns="known_at"), start="2020-03-15", end="2020-03-16", as_of=dt.date(2020, 3, 15)
        )
    with pytest.raises(UsageError, match="OPS-U184"):
        daily_values(REGISTER.drop(columns="end"), start="2020-03-15", end="2020-03-16")
    with pytest.raises(DataError, match="OPS-D132"):
        daily_values(REGISTER.assign(indicator="Q1"), start="2020-03-15", end="2020-03-16")
    with pytest.raises(DataError, match="OPS-D133"):
        daily_values(REGISTER.assign(end="2020-01-01"), start="2020-03-15", end="2020-03-16")
    result = restriction_index(values, flags)
    with pytest.raises(UsageError, match="OPS-U183"):
        restricted_shares(result, pd.DataFrame({"C9": [0.1]}, index=["C"]))
    with pytest.raises(UsageError, match="OPS-U186"):
        restricted_shares(result, pd.DataFrame({"C1": [30.0]}, index=["C"]))
