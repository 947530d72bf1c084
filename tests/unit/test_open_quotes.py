"""A quote that is opened and never closed is found, with its line, whatever stands around it."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError
from opsroom.observe.sources import quotes

PIECES = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", " "]), max_size=25)


def by_hand(text: str) -> int | None:
    """Return the line of the quote that is not closed, or None: character by character."""
    line, place, begins = 1, 0, True

    def step() -> None:
        nonlocal line, place
        if text[place] == "\n" or (text[place] == "\r" and text[place + 1 : place + 2] != "\n"):
            line += 1
        place += 1

    while place < len(text):
        if begins and text[place] == '"':
            opened = line
            place += 1
            while place < len(text):
                if text[place] != '"':
                    step()
                elif text[place + 1 : place + 2] == '"':
                    place += 2
                else:
                    break
            if place >= len(text):
                return opened
            place += 1
            tail = place
            while place < len(text) and text[place] not in ",\r\n":
                place += 1
            if line > opened and text[tail:place].strip():
                return opened
            begins = False
        else:
            begins = text[place] in ",\r\n"
            step()
    return None


def found(text: str, **ways: int) -> int | None:
    try:
        quotes.check_quotes(io.BytesIO(text.encode()).read, ",", "here", **ways)
    except DataError as error:
        told = re.search(r"OPS-D055.*line (\d+)", str(error))
        return int(told[1]) if told else -1
    return None


@given(pieces=PIECES, size=st.sampled_from([1, 2, 3, 7, 1 << 20]))
@settings(max_examples=300)
def test_it_is_found_as_by_hand(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "PIECE", size)
        assert found(text) == by_hand(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,"2\n3,4\n', 2),
        ('a,b\n1,"2"\n3,"4\n', 3),
        ('a,b\n1,"2\n2"\n3,4\n', None),
        ('a,b\n5" pipe,"2\n3,4\n', 2),
        ('a,b\n1,"AT\n3,"AT\n', 2),
        ('a,b\n1,the "big" one\n', None),
        ('a,b\n1,"the ""big"" one"\n', None),
        ('\ufeff"a","b"\n1,2\n', None),
    ],
)
def test_known_cases(text: str, line: int | None) -> None:
    assert found(text) == line


def test_what_stands_above_the_header_does_not_count() -> None:
    assert found('"Title\n\na,b\n1,2\n', skip_rows=2) is None
    assert found('"Title\n\na,b\n1,"2\n', skip_rows=2) == 4


def test_a_long_text_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotes, "LONGEST", 1_000)
    monkeypatch.setattr(quotes, "PIECE", 100)
    read = io.BytesIO(b'a,b\n1,"2\n' + b"3,4\n" * 100_000)
    with pytest.raises(DataError, match="line 2"):
        quotes.check_quotes(read.read, ",", "here")
    assert read.tell() < 5_000
