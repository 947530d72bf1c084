"""The planner's exam from the shell: what it prints, and the page, picture and tables that it writes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.base.errors import DataError, SettingsError
from opsroom.decide.exam import ExamResult, economy, exam
from opsroom.faces.cli.main import app
from opsroom.faces.exam import exam_limits
from opsroom.faces.web import create_app
from opsroom.room import exam as room_exam
from opsroom.room.exam_kept import KEPT, keep_exam, kept_exam


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


@pytest.fixture(scope="module")
def room_of_its_own(meridia_releases: Any, drawings: Path, examined: Callable[[], Any], web_client: Any) -> Any:
    return web_client(create_app(meridia_releases, cache=drawings, examined=examined))


def test_a_room_shows_the_exam_that_it_keeps(room_of_its_own: Any, examined: Callable[[], Any]) -> None:
    text = room_of_its_own.get("/exam").text
    result = examined()["result"]
    assert "5 draws of shocks over 20 weeks" in text
    assert "breaks even at" not in text  # that is a table here
    assert text.count("<tr>") == 2 * (len(result["map"]) + 1) + len(exam_limits(result)["rows"]) + 1
    assert "What holds in it need not hold in any other." in text
    assert "it is not a release" in text
    assert "Every number on this page is a stored release" not in text
    assert "Held on 2\N{NO-BREAK SPACE}March\N{NO-BREAK SPACE}2020." in text
    assert 'href="/exam" aria-current="page"' in text
    assert "<script>" not in text
    assert "<style" not in text
    assert not re.search(r"\sstyle=", text)
    assert len(text.encode()) < 200_000
    twin = room_of_its_own.get("/exam.json").json()
    assert twin == {"day": "2020-03-02", **result}
    assert "http" not in twin["summary"]


def test_a_synthetic_room_without_an_exam_says_how_to_hold_one_and_others_link_to_none(
    client: Any, meridia_releases: Any, drawings: Path, web_client: Callable[[Any], Any], builder: Any
) -> None:
    for path in ("/methods", "/exam"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert 'href="/exam"' in answer.text
    assert "opsroom exam --room FOLDER" in client.get("/exam").text
    assert 'href="/exam.json"' not in client.get("/exam").text
    assert client.get("/exam.json").status_code == 404
    known = [r for name in meridia_releases.names() for r in meridia_releases.history(name)]
    real = builder.MemoryReleases(known, {**meridia_releases.room, "synthetic": False})
    other = web_client(create_app(real, cache=drawings))
    assert 'href="/exam"' not in other.get("/methods").text
    answer = other.get("/exam")
    assert answer.status_code == 404
    assert "keeps no exam" in answer.text


def test_an_exam_that_cannot_be_read_harms_its_own_page_alone(
    meridia_releases: Any, drawings: Path, web_client: Callable[[Any], Any], tmp_path: Path
) -> None:
    (tmp_path / KEPT).write_text('{"day": 3', encoding="utf-8")
    broken = web_client(create_app(meridia_releases, cache=drawings, examined=lambda: kept_exam(tmp_path)))
    for path in ("/", "/methods", "/decisions"):
        answer = broken.get(path)
        assert answer.status_code == 200
        assert 'href="/exam"' in answer.text
    for path in ("/exam", "/exam.json"):
        answer = broken.get(path)
        assert answer.status_code == 422
        assert "OPS-D178" in answer.text
        assert str(tmp_path) not in answer.text


def test_limits_say_what_is_beyond_the_worst_that_was_tried() -> None:
    row = {"size": 0.3, "surprise": 1.0, "worst": 4.0, "lower": 2.25, "upper": None}
    cover = {"size": 0.3, "surprise": 1.0, "property": "coverage", "worst": 0.5}
    found = exam_limits(
        {
            "break_even": [
                {**row, "property": "delay", "break_even": 3.0},
                {**cover, "break_even": None, "lower": None, "upper": None},
            ]
        }
    )
    assert found["titles"] == ["shocks", "unannounced", "delay", "sectors seen"]
    assert found["rows"] == [["30 %", "100 %", "3.0 weeks (2.2 to above 4.0)", "below 50 %"]]


def test_an_exam_is_kept_and_read_again(
    found: ExamResult, asked: list[Any], tmp_path: Path, meridia_releases: Any, web_client: Any
) -> None:
    with pytest.raises(SettingsError, match="not a room"):
        call("exam", "--room", str(tmp_path))
    assert not asked  # refused before the work, not after
    (tmp_path / "room.toml").write_text('title = "A room"\n', encoding="utf-8")
    assert kept_exam(tmp_path) is None
    web = web_client(create_app(meridia_releases, examined=partial(kept_exam, tmp_path)))
    assert "keeps no exam yet" in web.get("/exam").text
    call("exam", "--room", str(tmp_path))
    assert web.get("/exam").status_code == 200
    assert web.get("/exam.json").json()["map"] == json.loads(json.dumps(found.to_dict()["map"]))
    keep_exam(tmp_path, found, day=dt.date(2020, 3, 2))
    kept = kept_exam(tmp_path)
    assert kept is not None
    assert kept["day"] == "2020-03-02"
    assert sorted(p.name for p in tmp_path.iterdir()) == [KEPT, "room.toml"]
    for broken in ("{", "[]", "{}"):
        (tmp_path / KEPT).write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match="cannot be read"):
            kept_exam(tmp_path)
