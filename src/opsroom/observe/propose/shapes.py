"""What texts look like: the shapes of dates, periods, numbers and marks for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from opsroom.base.date_formats import date_format

MARKS = frozenset(
    {"..", ".", "...", "-", "--", "–", "—", ":", "n/a", "N/A", "#N/A", "NA", "na", "n.a.", "N.A.", "NaN", "nan",
     "null", "NULL", "None", "none", "missing", "k.A.", "c", "x", "*", "#DIV/0!", "#REF!", "#VALUE!", "?", "(x)"}
)  # fmt: skip
"""Texts that providers write for nothing, in columns that hold numbers or dates."""

CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "EUR": "EUR", "USD": "USD", "GBP": "GBP", "CHF": "CHF",
              "zł": "PLN", "kr": ""}  # fmt: skip
"""Signs of currencies, and the currency where the sign says it."""

_SIGNS = "|".join(re.escape(sign) for sign in (*sorted(CURRENCIES, key=len, reverse=True), "%", "‰"))
_SPACES = "\u00a0\u2007\u2009\u202f "
_NUMBER = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+\u2212\u2013])?\s*(?P<before>{_SIGNS})?\s*(?P<minus>[-+\u2212\u2013])?"
    rf"(?P<digits>\d[\d.,'_{_SPACES}]*|[.,]\d+)(?P<exponent>[eE][+-]?\d{{1,3}})?"
    rf"\s*(?P<after>{_SIGNS})?\s*(?P<close>\))?"
)


@dataclass(frozen=True, slots=True)
class Number:
    """How a text may be read as a number.

    Attributes
    ----------
    readings
        Decimal mark → mark between thousands, of each reading that it allows.
    sign
        Sign of currency or per cent beside it.
    parentheses
        Whether it stands in parentheses.
    whole
        Whether it is a whole number in every reading (1.0 is one).
    marked
        Whether it holds a point, comma or other mark, so that readings may differ.
    """

    readings: dict[str, str]
    sign: str
    parentheses: bool
    whole: bool
    marked: bool


def read_number(text: str) -> Number | None:
    """Return the readings that a text allows as a number, or None."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    digits = found["digits"].rstrip(_SPACES)
    readings: dict[str, str] = {}
    whole = not found["exponent"]
    for decimal in (".", ","):
        before, mark, after = digits.partition(decimal)
        if mark and not re.fullmatch(r"\d*", after):
            continue
        if re.fullmatch(r"\d*", before):
            readings[decimal] = ""
        else:
            group = re.fullmatch(rf"[1-9]\d{{0,2}}(?:([.,'_{_SPACES}])\d{{3}})(?:\1\d{{3}})*", before)
            if not group or group[1] == decimal:
                continue
            readings[decimal] = " " if group[1] in _SPACES else group[1]
        whole &= not after.strip("0")
    if not readings:
        return None
    sign = found["before"] or found["after"] or ""
    return Number(readings, sign, bool(found["open"]), whole, not digits.isdigit())


def is_number(text: str) -> bool:
    """Whether a text reads as a number in some notation."""
    return read_number(text) is not None


DAY_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d. %b %Y", "%b %d, %Y",
)  # fmt: skip
MOMENT_FORMATS = tuple(
    f"{day}{between}{clock}"
    for day in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
    for between, clock in ((" ", "%H:%M"), (" ", "%H:%M:%S"), ("T", "%H:%M:%S"), ("T", "%H:%M"))
)
PERIOD_FORMATS = {
    "M": ("%Y-%m", "%YM%m", "%Ym%m", "%Y/%m", "%m/%Y", "%m.%Y", "%b %Y", "%b-%Y", "%b-%y", "%b %y", "%Y %b", "%Y%m"),
    "Q": ("%Y-Q%q", "%YQ%q", "%Y Q%q", "%Y.Q%q", "%Y:Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "Q%q.%Y", "%Y:%q",
          "%qQ%Y", "%qQ%y", "Q%q-%y"),
    "W": ("%Y-W%V", "%YW%V", "%Y W%V", "W%V %Y", "W%V/%Y"),
    "A": ("%Y", "%Y.0"),
}  # fmt: skip
"""Formats of periods by frequency, those that leave no doubt first."""

UNDERSTOOD = frozenset({"%Y-%m-%d", "%Y-%m", "%YM%m", "%Y-Q%q", "%YQ%q", "%Y-W%V", "%YW%V", "%Y"})
"""Formats that are read without being declared."""

ISO_MOMENT = "iso"
"""Stands for moments in ISO form with a zone or fractions of seconds, which no format of parts reads."""

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)


def names_zone(word: str) -> bool:
    """Whether a moment in ISO form ends in its zone."""
    return re.search(r"(?:Z|[+-]\d{2}(?::?\d{2})?)$", word[16:], re.ASCII) is not None


def iso_moment(word: str) -> datetime | None:
    """Return a moment in ISO form as its clock shows it, or None."""
    if not _MOMENT.fullmatch(word):
        return None
    try:
        return datetime.fromisoformat(word).replace(tzinfo=None)
    except ValueError:
        return None


TWINS = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y", "%d/%m/%y": "%m/%d/%y"} | {
    f"%d/%m/%Y{rest}": f"%m/%d/%Y{rest}" for rest in (" %H:%M", " %H:%M:%S", "T%H:%M:%S", "T%H:%M")
}
"""Formats with the day first that may be meant with the month first."""


def reader_of(written: str) -> Callable[[str], datetime | None]:
    """Return a function that reads a text in a format, or gives None."""
    reader = date_format(written)

    def read(word: str) -> datetime | None:
        try:
            moment = reader.read(word)
        except ValueError:
            return None
        return moment if 1700 <= moment.year <= 2299 else None

    return read


_READERS = {
    written: (frequency, reader_of(written)) for frequency, formats in PERIOD_FORMATS.items() for written in formats
}
_QUICK = re.compile(r"[\w .:/-]{4,10}", re.ASCII)


def period_shape(text: str) -> tuple[str, str] | None:
    """Return frequency and format of a text that names a month, quarter, week or year, else None."""
    word = text.strip()
    if not _QUICK.fullmatch(word) or not any(c.isdigit() for c in word):
        return None
    for written, (frequency, read) in _READERS.items():
        moment = read(word)
        if moment is not None and 1850 <= moment.year <= 2150:
            return frequency, written
    return None


_DAYS = {written: reader_of(written) for written in DAY_FORMATS}
_QUICK_DAY = re.compile(r"[\w .,/-]{6,12}", re.ASCII)


def day_shape(text: str) -> tuple[str, ...]:
    """Return the formats in which a text names a day, best first; none where it does not."""
    word = text.strip()
    if not _QUICK_DAY.fullmatch(word) or not any(c.isdigit() for c in word):
        return ()
    found = []
    for written, read in _DAYS.items():
        moment = read(word)
        if moment is not None and 1850 <= moment.year <= 2150:
            found.append(written)
    return tuple(found)
