"""Find the row that names a table's columns, and refuse one that does not fit the rows below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from opsroom.observe.propose.shapes import day_shape, is_number, period_shape
from opsroom.observe.quality import refuse

SEARCHED = 60
"""Rows among which the header is looked for."""

BELOW = 30
"""Rows below it that it is held against."""

Row = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Header:
    """The row that names the columns: its number, its names (some may be empty), and whether remarks stand below."""

    line: int
    names: tuple[str, ...]
    notes: bool


def filled(cells: Sequence[str]) -> int:
    """Count the cells that hold something."""
    return sum(bool(cell.strip()) for cell in cells)


def width(cells: Sequence[str]) -> int:
    """Return the place, from 1, of the last cell that holds something."""
    return max((place for place, cell in enumerate(cells, 1) if cell.strip()), default=0)


def find_header(rows: list[Row], last: list[Row], *, text: bool, skip_rows: str, at: str) -> Header | None:
    """Return the header, or None where no row reads as one.

    Parameters
    ----------
    rows, last
        The first rows with their numbers, and some of the last.
    text
        Whether lines are cut by a separator, so that empty cells at their end count.
    skip_rows
        Rows above the header, where that was answered.
    at
        Words for messages.

    Raises
    ------
    DataError
        ``OPS-D009``: the header takes two rows, or names another number of columns than the rows below hold.
    """
    usual = Counter(width(cells) for _, cells in rows if filled(cells) > 1).most_common(1)
    wide = usual[0][0] if usual else 1
    place = _given(rows, skip_rows, at) if skip_rows else _search(rows, wide)
    if place is None:
        return None
    line, cells = rows[place]
    below = [c for _, c in rows[place + 1 :] if filled(c)]
    _refuse_two_rows(line, cells, below, at)
    _refuse_other_width(line, cells, below, text=text, at=at)
    names = [cell.strip() for cell in (cells if text else cells[: width(cells)])]
    every = [*below, *(c for _, c in last if filled(c))]
    return Header(line, tuple(names), wide > 1 and any(filled(c) == 1 for c in every))


def _given(rows: list[Row], skip_rows: str, at: str) -> int:
    for place, (line, _) in enumerate(rows):
        if str(line - 1) == skip_rows.strip():
            return place
    raise refuse("OPS-D009", at, "skip_rows leads to no row")


def _search(rows: list[Row], wide: int) -> int | None:
    """Return the place of the first row that names most columns and has filled rows below."""
    used = {n for _, cells in rows for n, cell in enumerate(cells[:wide]) if cell.strip()}
    for place, (_, cells) in enumerate(rows[:SEARCHED]):
        named = filled(cells)
        labels = sum(_is_label(cell) for cell in cells)
        following = [c for _, c in rows[place + 1 : place + BELOW] if filled(c)]
        if (
            named >= max(0.6 * len(used), min(2, wide))
            and labels >= 0.6 * named
            and (not following or max(width(c) for c in following) >= 0.5 * wide)
            and not _reads_as_data(cells, following or [c for _, c in rows[:place] if filled(c)])
        ):
            return place
    return None


def _is_label(cell: str) -> bool:
    return bool(cell.strip()) and (not is_number(cell) or period_shape(cell) is not None)


def _reads_as_data(cells: list[str], following: list[list[str]]) -> bool:
    """Whether a row is of the same kinds as those below: dates above dates, numbers above numbers."""
    alike = told = 0
    for place, cell in enumerate(cells):
        below = [c[place] for c in following if place < len(c) and c[place].strip()]
        if not cell.strip() or not below:
            continue
        dates = sum(_is_date(word) for word in below)
        numbers = sum(is_number(word) for word in below)
        if 2 * max(dates, numbers) <= len(below):
            continue
        told += 1
        alike += _is_date(cell) if dates >= numbers else is_number(cell) and not _is_date(cell)
    return 2 * alike > told


def _is_date(word: str) -> bool:
    return period_shape(word) is not None or bool(day_shape(word))


def _refuse_two_rows(line: int, cells: list[str], below: list[list[str]], at: str) -> None:
    """Refuse a header whose second row fills what the first left empty."""
    if len(below) < 2:
        return
    second, third = below[0], below[1]
    blank = [n for n, cell in enumerate(cells[: max(width(second), width(cells))]) if not cell.strip()]
    filling = any(n < len(second) and second[n].strip() for n in blank)
    words = filled(second) > 1 and all(_is_label(cell) for cell in second if cell.strip())
    figures = any(is_number(cell) and period_shape(cell) is None for cell in third)
    if filling and words and figures and not any(day_shape(cell) for cell in second):
        raise refuse(
            "OPS-D009",
            at,
            f"row {line} and the row below name the columns together; write one row with one name for each column, or, "
            f"if row {line} is none of them, answer skip_rows={line}",
        )


def _refuse_other_width(line: int, cells: list[str], below: list[list[str]], *, text: bool, at: str) -> None:
    """Refuse a header that names another number of columns than most rows below have."""
    named = len(cells) if text else width(cells)
    rows = [c for c in below if filled(c) > 1]
    if not rows:
        return
    (usual, count), *_ = Counter(len(c) if text else width(c) for c in rows).most_common(1)
    amiss = usual != named if text else usual > named
    if not amiss or 2 * count <= len(rows):
        return
    ending = text and usual == named + 1 and all(not c[-1].strip() for c in rows if len(c) == usual)
    why = " (the lines end with a separator, and the header does not)" if ending else ""
    raise refuse("OPS-D009", at, f"row {line} names {named} columns, and most rows below have {usual} values{why}")
