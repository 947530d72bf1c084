"""How a provider writes dates and periods: formats such as ``%d.%m.%Y``, ``%Y%m``, ``Q%q %Y`` or ``excel``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
         "november", "december")  # fmt: skip

EXCEL = "excel"
"""Name of the format of spreadsheet serial numbers: days since 30 December 1899 (the 1900 date system)."""

_EPOCH = datetime(1899, 12, 30)
_LAST_SERIAL = 146_098  # 31 December 2299

_TOKENS = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": r"\d{1,2}",
    "d": r"\d{1,2}",
    "q": r"[1-4]",
    "V": r"\d{1,2}",
    "H": r"\d{1,2}",
    "M": r"\d{2}",
    "S": r"\d{2}(?:\.\d+)?",
    "b": rf"{'|'.join((*_FULL, 'sept', *MONTHS))}",
}
_TOKENS["B"] = _TOKENS["b"]


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format, ready to read texts.

    Attributes
    ----------
    text
        The format: ``%Y %y`` year, ``%m`` month, ``%b`` English month name, ``%d`` day, ``%q`` quarter,
        ``%V`` ISO week, ``%H %M %S`` time of day; everything else stands for itself. Or ``"excel"``. Several
        formats are separated by ``|`` and tried in turn.
    """

    text: str
    patterns: tuple[re.Pattern[str] | None, ...]

    def read(self, word: str) -> datetime:
        """Return the first moment of what a text names.

        Raises
        ------
        ValueError
            The text is not of this format.
        """
        word = word.strip()
        for pattern in self.patterns:
            if pattern is None:
                days = int(word.partition(".")[0]) if re.fullmatch(r"\d{1,6}(?:\.0*)?", word, re.ASCII) else 0
                if 1 <= days <= _LAST_SERIAL:
                    return _EPOCH + timedelta(days=days)
            elif found := pattern.fullmatch(word):
                return _moment(found.groupdict())
        raise ValueError("not of this format")


def _moment(part: dict[str, str]) -> datetime:
    year = int(part["Y"]) if "Y" in part else _century(int(part["y"]))
    if "V" in part:
        return datetime.fromisocalendar(year, int(part["V"]), 1)
    if "q" in part:
        month = 3 * int(part["q"]) - 2
    elif (name := part.get("b") or part.get("B")) is not None:
        month = MONTHS.index(name.lower()[:3]) + 1
    else:
        month = int(part.get("m") or 1)
    clock = int(part.get("H") or 0), int(part.get("M") or 0), int(float(part.get("S") or 0))
    return datetime(year, month, int(part.get("d") or 1), *clock)


def _century(year: int) -> int:
    return year + (2000 if year < 70 else 1900)


@lru_cache(maxsize=256)
def date_format(text: str) -> DateFormat:
    """Return a format ready to read.

    Raises
    ------
    ValueError
        The format has no year, an unknown or a repeated part; the message says which.
    """
    return DateFormat(text, tuple(_pattern(one) for one in text.split("|")))


def _pattern(text: str) -> re.Pattern[str] | None:
    if text == EXCEL:
        return None
    pieces = re.split(r"%(.)", text)
    seen: list[str] = []
    pattern = re.escape(pieces[0])
    for number in range(1, len(pieces), 2):
        token, literal = pieces[number], pieces[number + 1]
        if token not in _TOKENS:
            raise ValueError(f"%{token} is not known")
        if token in seen:
            raise ValueError(f"%{token} is given twice")
        seen.append(token)
        body = _TOKENS[token]
        last = number + 2 >= len(pieces)
        beside = (not literal and not last) or (number > 1 and not pieces[number - 1])
        if body == r"\d{1,2}" and beside:
            body = r"\d{2}"  # 20200304: without a mark between them, parts have their full width
        pattern += f"(?P<{token}>{body})" + re.escape(literal)
    if "Y" not in seen and "y" not in seen:
        raise ValueError("it has no year (%Y)")
    if text.count("%") != len(seen):
        raise ValueError("a % stands alone")
    return re.compile(pattern, re.IGNORECASE | re.ASCII)
