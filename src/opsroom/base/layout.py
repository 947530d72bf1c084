"""How a provider lays its file out: the ``[layout]`` table of a dataset's specification.

What is declared here is undone while reading, so that everything behind sees one column a field and one row
a record. What is not declared is not tolerated: a file that changes its shape is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsroom.base.date_formats import date_format
from opsroom.base.errors import SettingsError
from opsroom.base.periods import zone
from opsroom.base.spec_toml import failure

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257",
             "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "cp437", "cp850", "cp852",
             "mac-roman", "shift_jis", "gb18030", "big5", "euc-kr")  # fmt: skip
"""Encodings that a text file may have."""

THOUSANDS = (".", ",", " ", "'", "_")
"""Marks that may stand between groups of three digits; a space stands for no-break and thin spaces, too."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is laid out; the defaults describe a plain table.

    Attributes
    ----------
    encoding, delimiter
        Of a text file; UTF-8 and the mark found in the header where absent.
    sheet
        Of a workbook; needed where it has several.
    skip_rows
        Rows above the header.
    fill_header
        Columns without a name, or with a name given before, are called by their place: ``column_3``.
    notes
        Rows in which only one cell is filled are remarks (a source, a footnote) and are left out.
    decimal, thousands, symbols, parentheses
        How numbers are written: decimal mark; marks between groups of three digits; texts around numbers
        that are dropped (``["%", "€"]``: the number itself stays as it is); whether ``(5)`` means -5.
    period_value
        The period that the whole file describes, where no column says so.
    period_parts
        Columns that make up the period: year, month, day (or year and month).
    header_to, cells_to
        A wide table, with periods (or series) in its header: each cell becomes a row, with its header in the
        column `header_to` and its content in `cells_to`; empty cells make no row. Where `header_to` holds
        the period, the columns whose names read as periods are turned; else all that no field names.
    known_at_format
        How the column `known_at_field` writes its days.
    timezone
        Zone of moments that name none, such as ``Europe/Vienna``; UTC where absent. Of an hour that the clock shows
        twice the first is meant, and one that it skips is refused: who has both writes them with their offset.
    """

    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    skip_rows: int = 0
    fill_header: bool = False
    notes: bool = False
    decimal: str = "."
    thousands: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    parentheses: bool = False
    period_value: str = ""
    period_parts: tuple[str, ...] = ()
    header_to: str = ""
    cells_to: str = ""
    known_at_format: str = ""
    timezone: str = ""

    def __post_init__(self) -> None:
        where = "[layout]"
        if self.encoding and self.encoding not in ENCODINGS:
            raise failure(where, "the encoding is not known.", f"Use one of {', '.join(ENCODINGS)}.")
        if len(self.delimiter) > 1 or self.delimiter in ("\n", "\r", '"'):
            raise failure(where, "a delimiter is one character.", 'Write delimiter = ";".')
        if not isinstance(self.skip_rows, int) or not 0 <= self.skip_rows <= 1000:
            raise failure(where, "skip_rows is a number from 0 to 1000.", "Count the rows above the header.")
        if self.decimal not in (".", ","):
            raise failure(where, 'decimal is "." or ",".', "Correct it.")
        if any(mark not in THOUSANDS or mark == self.decimal for mark in self.thousands):
            raise failure(where, "a thousands mark is one of . , ' _ or a space, and not the decimal mark.", "Correct.")
        if any(not s.strip() or any(c.isdigit() for c in s) or s in "+-.,()" for s in self.symbols):
            raise failure(where, "symbols are texts without digits, such as % or €.", "Correct them.")
        if bool(self.header_to) != bool(self.cells_to) or (self.header_to and self.header_to == self.cells_to):
            raise failure(where, "header_to and cells_to are given together, for two columns.", "Give both.")
        if self.period_value and self.period_parts:
            raise failure(where, "the period is a value or made of columns, not both.", "Leave one out.")
        if self.period_parts and len(self.period_parts) not in (2, 3):
            raise failure(where, "period_parts are year and month, or year, month and day.", "Name two or three.")
        check_format(where, self.known_at_format)
        if self.timezone:
            try:
                zone(self.timezone)
            except (SettingsError, TypeError):
                raise failure(where, "the time zone is not known.", 'Write it like "Europe/Vienna".') from None

    @property
    def plain_numbers(self) -> bool:
        """Whether numbers are written with digits, a sign and a decimal point alone."""
        return self.decimal == "." and not (self.thousands or self.symbols or self.parentheses)


def check_format(where: str, text: str) -> None:
    """Refuse a date format that cannot be read.

    Raises
    ------
    SpecError
        With the reason.
    """
    if not text:
        return
    try:
        date_format(text)
    except ValueError as error:
        raise failure(where, f"the date format {text!r} cannot be used: {error}.", 'Write it like "%d.%m.%Y".') from (
            None
        )


PLAIN = Layout()
"""A plain table: UTF-8, a header in the first row, numbers with a decimal point."""
