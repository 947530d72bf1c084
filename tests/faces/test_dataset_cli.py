"""`opsroom dataset propose` and `add --built-in`, as a person, a script and a terminal use them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import call

COMMAND = [sys.executable, "-c", "from opsroom.faces.cli.main import run; run()"]
DAYS = [f"{day}/2/2024" for day in range(1, 7)]
TEXT = "Title\nregion;month;value\n" + "".join(f"{r};{d};{d[0]}.5\n" for r in "AB" for d in DAYS)
TEXT = TEXT.replace("A;4/2/2024;4.5", "A;4/2/2024;oops")


def opsroom(*words: str, code: int = 0) -> tuple[str, str]:
    done = call(*words)
    assert done.code == code, done.err
    return done.out, done.err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "data.csv"
    made.write_text(TEXT)
    return made


def test_open_questions_end_with_a_list_and_an_error(file: Path) -> None:
    out, said = opsroom("dataset", "propose", str(file), code=2)
    assert out == ""
    assert "open confidential:" in said
    assert "open date:month:" in said
    assert "OPS-U044" in said


def test_json_gives_the_questions(file: Path) -> None:
    out, _ = opsroom("dataset", "propose", str(file), "--json")
    found = json.loads(out)
    assert (found["ready"], found["spec"]) == (False, None)
    asked = {q["id"]: q["options"] for q in found["questions"] if q["required"] and not q["answer"]}
    assert asked == {"confidential": ["yes", "no"], "date:month": ["dmy", "mdy"]}


def test_a_script_answers_and_gets_the_specification(file: Path, tmp_path: Path) -> None:
    answers = ["--answer", "confidential=no", "--answer", "date:month=mdy"]
    out, said = opsroom("dataset", "propose", str(file), *answers)
    assert 'date_format = "%m/%d/%Y"' in out
    assert "row 6, field 'value': not a finite number (OPS-D025, 1 row(s))" in said
    assert "oops" not in out + said
    target = tmp_path / "data.toml"
    opsroom("dataset", "propose", str(file), *answers, "--name", "mine", "--out", str(target))
    opsroom("init", str(tmp_path / "room"))
    opsroom("dataset", "add", str(target), "--room", str(tmp_path / "room"))
    report, _ = opsroom("ingest", "mine", str(file), "--room", str(tmp_path / "room"), "--json")
    assert (json.loads(report)["accepted"], json.loads(report)["quarantined"]) == (11, 1)


def test_a_terminal_is_asked(file: Path, tmp_path: Path) -> None:
    keyboard, seen = pty.openpty()
    os.write(keyboard, b"maybe\nno\nmdy\nMy data\nOffice\n\n")
    run = subprocess.run(
        [*COMMAND, "dataset", "propose", str(file)],
        capture_output=True,
        text=True,
        check=False,
        stdin=seen,
        timeout=120,
    )
    os.close(keyboard)
    os.close(seen)
    assert run.returncode == 0, run.stderr
    assert 'title = "My data"' in run.stdout
    assert 'provider = "Office"' in run.stdout
    assert run.stderr.count("(confidential)") == 2  # put again after an answer that is none


@pytest.mark.parametrize("words", [["--answer", "confidential"], ["--answer", "confidential=no", "--answer", "x=1",
                                                               "--answer", "date:month=mdy"]])  # fmt: skip
def test_answers_that_cannot_be_taken(file: Path, words: list[str]) -> None:
    _, said = opsroom("dataset", "propose", str(file), *words, code=2)
    assert "OPS-U04" in said


def test_built_in_datasets_are_added(tmp_path: Path) -> None:
    room = str(tmp_path / "room")
    opsroom("init", room)
    _, said = opsroom("dataset", "add", "--room", room, "--built-in", "load", "--built-in", "prices", "--frequency", "",
                      "--column", "series=area", code=0)  # fmt: skip
    assert "Registered load, with desk 'activity'." in said
    shown, _ = opsroom("dataset", "show", "load", "--room", room)
    assert 'column = "area"' in shown
    _, said = opsroom("dataset", "add", "--room", room, "--built-in", "vat", code=2)
    assert "legal basis" in said
    _, said = opsroom("dataset", "add", "--room", room, code=2)
    assert "OPS-U047" in said
    _, said = opsroom("dataset", "add", "--room", room, "--built-in", "nothing", code=14)
    assert "OPS-N007" in said


def test_publishing_says_which_desk_has_nothing_to_say(tmp_path: Path) -> None:
    room = str(tmp_path / "room")
    opsroom("init", room)
    opsroom("dataset", "add", "--room", room, "--built-in", "loans", "--legal-basis", "Act 1")
    opsroom("dataset", "add", "--room", room, "--built-in", "prices")
    prices = tmp_path / "prices.csv"
    prices.write_text("series,period,price,fundamental\nA,2024-01,2,1\nA,2024-02,3,1\n")
    opsroom("ingest", "prices", str(prices), "--room", room, "--known-at", "2024-03-01")
    out, _ = opsroom("publish", "--room", room, "--json")
    assert json.loads(out)["notes"] == {"loans": "nothing is known yet of loans, register"}
