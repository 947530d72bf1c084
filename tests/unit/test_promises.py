"""Promises that readers rely on, checked on what a small room has published and on every sentence it can say."""

from __future__ import annotations

import datetime as dt
import functools
import re
from pathlib import Path

import pandas as pd
import pytest
from tests.command import call

from opsroom.base.errors import UsageError
from opsroom.economy import meridia
from opsroom.protect import Releases
from opsroom.room import Room, demo

HOLIDAY_END = dt.date(2020, 2, 2)


def published_path(room: Path) -> pd.Series:
    """The national share at work, all companies by count: the number said last of each day."""
    said: dict[str, float] = {}
    for release in Releases(room).history("resumption.national"):
        frame = release.to_frame("resumed")
        rows = frame[(frame["weight"] == "count") & (frame["size"] == "_T") & frame["resumed"].notna()]
        said |= dict(zip(rows["date"], rows["resumed"], strict=True))
    path = pd.Series(said, dtype=float)
    path.index = pd.DatetimeIndex(path.index)
    return path.sort_index()


def true_path(room: Path) -> pd.Series:
    """The share that really was at work, per cent."""
    truth = pd.read_parquet(room.with_name(room.name + "-truth") / "at_work.parquet")
    sums = truth.assign(date=pd.to_datetime(truth["date"])).groupby("date")[["at_work", "companies"]].sum()
    return 100 * sums["at_work"] / sums["companies"]


def test_no_weekday_pattern_is_left_in_what_was_published(built_room):
    """Most companies rest on Sundays: an index that reads rest as closure would saw-tooth week by week."""
    path = published_path(built_room)
    path = path[path.index > pd.Timestamp(HOLIDAY_END)]
    assert len(path) >= 21
    error = path - true_path(built_room).loc[path.index]
    residual = (error - error.rolling(7, center=True).mean()).dropna()
    means = residual.groupby(residual.index.day_of_week).mean()
    assert len(means) == 7
    # 500 companies: a company is 0.2 points; a Sunday read as closure would be tens of points
    assert means.max() - means.min() <= 2
    steps = path.diff().dropna()
    assert steps.abs().max() <= 10, "no day falls out of its week"


def catalogue() -> dict[str, str]:
    """Every text that faces can say."""
    from opsroom.faces.words_en import ENGLISH
    from opsroom.faces.words_methods import METHODS

    return {**ENGLISH, **METHODS}


def test_no_text_annualises():
    """Quarterly growth stands beside yearly growth: annualised, it could not be told from it."""
    for name, text in catalogue().items():
        rest = re.sub(r"not\s+annuali[sz]ed", "", text, flags=re.IGNORECASE)
        assert not re.search(r"annuali[sz]|annual rate|\bSAAR\b", rest, flags=re.IGNORECASE), name


def test_no_text_calls_deferred_sums_a_cost_or_adds_them_up():
    for name, text in catalogue().items():
        assert not re.search(
            r"total costs?|costs? in total|sum of costs|overall cost|cost of \{deferred\}", text, re.I
        ), name
        if "{deferred}" in text:
            assert re.search(r"\bdefers? \{deferred\}|\{deferred\}[^.]*deferred", text), name
    assert "comes back" in catalogue()["cost.deferred"]


def test_the_options_that_are_out_have_no_sum_of_different_kinds(built_room):
    for release in Releases(built_room).history("relief.options"):
        names = {m["name"] for m in release.measures}
        assert {"deferred"} <= names
        assert not [n for n in names if "total" in n or n in ("cost", "costs")]


@pytest.mark.parametrize("companies", [-50_000, -1, 0, 1, 50, 99, 10_000_001, 10**18])
def test_meridia_of_a_size_that_cannot_be_is_refused_at_once(companies):
    with pytest.raises(UsageError) as refused:
        meridia(companies=companies)
    assert (refused.value.code, refused.value.exit_code) == ("OPS-U042", 2)
    assert refused.value.remedy


@pytest.mark.parametrize("words", [["--companies", "-5"], ["--companies", "1"], ["--companies", "50"],
                                   ["--companies", "999999999999"], ["--companies", "many"],
                                   ["--companies", "1000", "--seed", "-1"]])  # fmt: skip
def test_the_command_refuses_it_and_leaves_an_earlier_demo_alone(tmp_path, words):
    earlier = tmp_path / "meridia"
    earlier.mkdir()
    (earlier / "room.toml").write_text("kept")
    done = call("demo", str(tmp_path), *words)
    assert done.code in (1, 2) if "many" in words else done.code == 2
    assert "Traceback" not in done.err + done.out
    assert (earlier / "room.toml").read_text() == "kept"
    assert not (tmp_path / "us").exists()
    if "many" not in words:
        assert "OPS-U042" in done.err


@pytest.mark.long  # `make demo` makes one on every push
def test_a_demo_room_is_made_in_one_call(tmp_path, monkeypatch):
    """`Room.create(demo=True)`, of the smallest size and for its first week."""
    small = functools.partial(demo.build_meridia, companies=100, until=dt.date(2020, 1, 23))
    monkeypatch.setattr(demo, "build_meridia", small)
    with Room.create(tmp_path / "meridia", demo=True, actor="visitor") as room:
        assert room.actor == "visitor"
        assert room.releases().days() == [dt.date(2020, 1, 22)]
        assert room.table("register").count().execute() >= 100
        assert room.ledger.verify() >= 1
    assert (tmp_path / "meridia-truth" / "at_work.parquet").is_file()
    assert not list((tmp_path / "meridia").rglob("*truth*")), "the truth is never inside"
