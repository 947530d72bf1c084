"""Find a quote that is opened and never closed: it would take all lines behind it for one text.

A reader of separated values opens a quoted text only at a field's beginning and closes it at the next quote that is
not doubled. Nearly all lines are simple: their quotes stand in turn at a field's beginning and end, or are doubled.
They are told by arithmetic on arrays; only the others are walked through, field by field.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from opsroom.observe.quality import refuse

PIECE = 1 << 20
"""Bytes looked at together."""

LONGEST = 8 << 20
"""Bytes of a quoted text that no reader takes: what is still open by then counts as never closed."""

QUOTE, RETURN, FEED = ord('"'), ord("\r"), ord("\n")


def check_quotes(read: Callable[[int], bytes], delimiter: str, at: str, *, skip_rows: int = 0) -> None:
    """Refuse a text in which a quote is opened and not closed.

    Parameters
    ----------
    read
        Returns the next bytes, at most as many as asked for; none at the end. An encoding of which ASCII is a part.
    delimiter
        Between fields; one character.
    at
        Words for messages.
    skip_rows
        Lines above the header, which no reader looks into.

    Raises
    ------
    DataError
        ``OPS-D055``: with the line in which the quote is opened.
    """
    walk = _Walk(delimiter.encode(), at, skip_rows)
    rest = b""
    first = True
    while piece := read(PIECE):
        data = rest + (piece.removeprefix(b"\xef\xbb\xbf") if first else piece)
        first = False
        cut = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1
        walk.over(data[:cut])
        rest = data[cut:]
        if len(rest) > LONGEST:
            return  # a line of that length is refused by the reader, with a word of its own
    walk.over(rest)
    walk.end()


class _Walk:
    """Where the walk stands: outside of quotes at a line's beginning, or inside of a quoted text."""

    def __init__(self, delimiter: bytes, at: str, skip: int) -> None:
        self._at, self._skip = at, skip
        self._line = 1  # of the data's first byte
        self._opened = 0  # line of the quote that is open; 0: none is
        self._held = 0
        self._mark = delimiter[0]
        self._plain = re.compile(rb"[^" + re.escape(delimiter) + rb"\r\n]*+")
        self._stops = np.zeros(256, bool)
        self._stops[[self._mark, QUOTE, RETURN, FEED]] = True

    def over(self, data: bytes) -> None:
        """Walk over whole lines, or over the file's last one."""
        place = 0
        while self._skip and place < len(data):
            place = _next_line(data, place)
            self._skip -= 1
        if self._opened:
            self._held += len(data)
            place = self._fields(data, self._closed(data, place, -1))
        elif data.find(b'"', place) < 0:
            place = len(data)
        for start in self._odd_lines(data, place):
            if start >= place:
                place = self._fields(data, start)
        self._line += _lines(data, len(data))
        if self._held > LONGEST:
            self.end()

    def end(self) -> None:
        """Refuse where a quote is still open."""
        if self._opened:
            raise refuse("OPS-D055", self._at, f"line {self._opened}")

    def _odd_lines(self, data: bytes, place: int) -> list[int]:
        """Return where lines begin whose quotes do not stand in turn at a field's beginning and end."""
        text = np.frombuffer(data, np.uint8)[place:]
        quotes = np.flatnonzero(text == QUOTE)
        if not len(quotes):
            return []
        ends = np.flatnonzero((text == FEED) | (text == RETURN))
        line = np.searchsorted(ends, quotes)
        count = np.arange(len(quotes))
        begins = np.r_[True, line[1:] != line[:-1]]
        odd = (count - np.maximum.accumulate(np.where(begins, count, 0))) % 2 == 1
        around = np.r_[FEED, text, FEED].astype(np.uint8)
        simple = self._stops[np.where(odd, around[quotes + 2], around[quotes])]
        last = np.r_[begins[1:], True]
        found = np.unique(line[~simple | (last & ~odd)])
        return [place + (int(ends[number - 1]) + 1 if number else 0) for number in found.tolist()]

    def _fields(self, data: bytes, place: int) -> int:
        """Walk over fields up to the end of a line outside of quotes; return where the next line begins."""
        while place < len(data):
            if data[place] == QUOTE:
                place = self._closed(data, place + 1, place)
                if self._opened:
                    return len(data)
            place = self._end_of_plain(data, place)
            if place < len(data) and data[place] != self._mark:
                return _next_line(data, place)
            place += 1
        return len(data)

    def _end_of_plain(self, data: bytes, place: int) -> int:
        found = self._plain.match(data, place)
        return found.end() if found else place

    def _closed(self, data: bytes, place: int, begin: int) -> int:
        """Return where a quoted text ends, behind its last quote; `begin` is -1 where it began in earlier data."""
        start = place
        while True:
            place = data.find(b'"', place)
            if place < 0:
                self._opened = self._opened or self._line_at(data, begin)
                return len(data)
            if data[place + 1 : place + 2] != b'"':
                break
            place += 2
        line, self._opened, self._held = self._opened, 0, 0
        place += 1
        if data[place : self._end_of_plain(data, place)].strip():
            # Something stands behind the quote: over several lines, it opens another text and closes this by mistake.
            over_lines = begin < 0 or data.find(b"\n", start, place) >= 0 or data.find(b"\r", start, place) >= 0
            if over_lines:
                raise refuse("OPS-D055", self._at, f"line {line or self._line_at(data, begin)}")
        return place

    def _line_at(self, data: bytes, place: int) -> int:
        return self._line + _lines(data, place)


_END = re.compile(rb"\r\n|\n|\r")


def _next_line(data: bytes, place: int) -> int:
    found = _END.search(data, place)
    return found.end() if found else len(data)


def _lines(data: bytes, stop: int) -> int:
    """Return how many lines end before a place."""
    returns = data.count(b"\r", 0, stop)
    return data.count(b"\n", 0, stop) + (returns - data.count(b"\r\n", 0, stop) if returns else 0)
