"""The planner's exam from the shell: what it prints, and the page, picture and tables that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.decide.exam import ExamResult, economy, exam
from opsroom.faces.cli.main import app
from opsroom.room import exam as room_exam


@pytest.fixture(scope="module")
def found() -> ExamResult:
    names = ["farms", "mills", "power"]
    flows = pd.DataFrame([[5.0, 30.0, 0.0], [5.0, 5.0, 2.0], [10.0, 10.0, 5.0]], index=names, columns=names)
    return exam(
        economy(flows, [40.0, 60.0, 30.0]), sizes=[0.3], surprises=[1.0], delays=[0, 4], noises=[0.0],
        coverages=[1.0], seeds=5, weeks=6,
    )  # fmt: skip


@pytest.fixture
def asked(found: ExamResult, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Meridia's exam takes minutes: a small one stands in for it, and what was asked for is noted."""
    calls: list[Any] = []

    def small(companies: int, *, seed: int, seeds: int, progress: Any) -> ExamResult:
        calls.append((companies, seed, seeds))
        progress(seeds, seeds)
        return found

    monkeypatch.setattr(room_exam, "meridia_exam", small)
    return calls


def call(*words: str) -> None:
    app([*words], result_action="return_value")


def test_files_hold_the_map_with_its_intervals_and_the_page_what_was_found(
    found: ExamResult, asked: list[Any], tmp_path: Path, capsys: Any
) -> None:
    call("exam", str(tmp_path / "out"), "--seeds", "7", "--companies", "900", "--seed", "3", "--json")
    assert asked == [(900, 3, 7)]
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((tmp_path / "out" / "exam.json").read_text("utf-8"))
    assert printed == stored
    assert len(stored["map"]) == len(found.map()) == 3
    assert all(row["lower"] <= row["difference"] <= row["upper"] for row in stored["map"])
    table = pd.read_csv(tmp_path / "out" / "exam.csv")
    assert set(table["regime"]) == {"planner", "price adjustment", "pro rata", "foresight"}
    assert (tmp_path / "out" / "exam.svg").read_text("utf-8").startswith("<svg")
    page = (tmp_path / "out" / "exam.html").read_text("utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("<svg") == 1  # one picture for each coverage but none
    for line in found.summary().split("\n"):
        assert line.replace("'", "&#39;") in page
    assert page.count("<tr>") == 2 * (len(found.map()) + 1)
    assert "better than" not in page


def test_without_a_folder_the_map_is_printed_and_nothing_written(
    found: ExamResult, asked: list[Any], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call("exam")
    assert asked == [(5000, 0, 30)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["size", "surprise", "coverage"]
    assert sum(line.startswith("0.3\t") for line in lines) == len(found.map())
    assert not list(tmp_path.iterdir())
