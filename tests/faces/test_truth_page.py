"""Meridia's figures against its truth, for people: sentences and the page beside the briefings."""

from __future__ import annotations

import re
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from opsroom.faces.brief.truth_page import truth_page, truth_sentences
from opsroom.room.truth_scores import nowcast_scores, with_benchmarks

DAYS = [date(2020, 1, 22) + timedelta(weeks=k) for k in range(4)]


@pytest.fixture
def weekly() -> pd.DataFrame:
    """Four weeks: all companies miss by 1, 1, 1 and 3 points; the uncorrected figure by 20."""
    rows = [
        {
            "day": day, "reference": day - timedelta(days=7), "weight": weight, "size": "_T", "resumed": said,
            "uncorrected": said + 21.0 if weight == "count" else None, "lower": said - 2.0, "upper": said + 2.0,
            "truth": said + miss,
        }
        for weight in ("count", "jobs")
        for day, said, miss in zip(DAYS, (50.0, 40.0, 30.0, 20.0), (1.0, 1.0, 1.0, 3.0), strict=True)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["error"] = frame["resumed"] - frame["truth"]
    frame["naive_error"] = frame["uncorrected"].astype(float) - frame["truth"]
    frame["inside"] = (frame["truth"] >= frame["lower"]) & (frame["truth"] <= frame["upper"])
    return with_benchmarks(frame)


@pytest.fixture
def nowcasts(builder: Any) -> pd.DataFrame:
    measures = [("growth", "%", "public", 2, ["growth_lower", "growth_upper"])]
    made = [
        builder.make("nowcast.gdp", day, ["quarter", "kind"], measures,
                     [["2020-Q1", "nowcast", said, said - 2.0, said + 2.0], ["2020-Q1", "ar1", 0.5, None, None],
                      ["2019-Q3", "official", 0.4, None, None], ["2019-Q4", "official", 0.8, None, None]],
                     {"target_quarter": "2020-Q1"})
        for day, said in zip(DAYS, (0.0, -4.0, -9.0, -10.0), strict=True)
    ]  # fmt: skip
    quarters = pd.DatetimeIndex(["2019-10-01", "2020-01-01"])
    truth: Any = SimpleNamespace(gdp=lambda: pd.Series([100.0, 90.0], index=quarters))
    reader: Any = builder.MemoryReleases(made, {})
    return nowcast_scores(reader, truth)


def test_a_benchmark_repeats_the_release_before(weekly: pd.DataFrame) -> None:
    main = weekly[weekly["weight"] == "count"]
    assert main["repeated"].tolist()[1:] == [50.0, 40.0, 30.0]
    assert main["repeated_error"].tolist()[1:] == [9.0, 9.0, 7.0]
    assert with_benchmarks(pd.DataFrame()).empty


def test_nowcasts_stand_beside_true_growth_and_two_benchmarks(nowcasts: pd.DataFrame) -> None:
    assert nowcasts["truth"].tolist() == [-10.0] * 4
    assert nowcasts["nowcast_error"].tolist() == [10.0, 6.0, 1.0, 0.0]
    assert nowcasts["ar1_error"].tolist() == [10.5] * 4
    assert nowcasts["last"].tolist() == [0.8] * 4
    assert nowcasts["inside"].tolist() == [False, False, True, True]


def test_sentences_hold_the_mean_errors(weekly: pd.DataFrame, nowcasts: pd.DataFrame) -> None:
    only, work, held, nowcast = truth_sentences(weekly, nowcasts)
    assert only.startswith("Only a synthetic economy can be scored like this")
    assert "missed the truth by 1.5 points" in work
    assert "the uncorrected figure missed it by 19.5" in work
    assert "in 3 of 4 weeks" in held
    assert "about 5\u00a0February\u00a02020" in held
    assert "by 4.2 points on average, past GDP alone by 10.5" in nowcast


def test_page_stands_alone_and_shows_every_week(weekly: pd.DataFrame, nowcasts: pd.DataFrame) -> None:
    page = truth_page(weekly, nowcasts, title="Meridia", disclaimer="Meridia does not exist.")
    assert page.count("<svg") == 2
    assert "Meridia does not exist." in page
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bnan\b|None", re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.S))
    for day in DAYS:
        assert page.count(f"<td>{day.day}\u00a0") >= 2


def test_nothing_published_yet_is_no_failure() -> None:
    empty = pd.DataFrame()
    assert len(truth_sentences(empty, empty)) == 1
    assert "<svg" not in truth_page(empty, empty, title="Meridia")
