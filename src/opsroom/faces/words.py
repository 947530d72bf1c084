"""Message ids to sentences: the catalogue that every face speaks from, and how numbers are written.

Results carry numbers; only here they become words. A message is found by id in a gettext
catalogue where one is installed, else in the English one (`opsroom.faces.words_en`). `template()`
writes the ``.pot`` file for translators.
"""

from __future__ import annotations

import gettext
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Any

from opsroom.base.errors import InternalError
from opsroom.faces.words_en import ENGLISH

NBSP = "\u00a0"
MINUS = "\u2212"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Catalogue:
    """Sentences by message id, in one language.

    Parameters
    ----------
    language
        Language code, such as ``"de"``; English is built in.
    folder
        Folder of gettext catalogues (``<language>/LC_MESSAGES/opsroom.mo``).
    """

    def __init__(self, language: str = "en", folder: Path | None = None) -> None:
        self.language = language
        self._translations = gettext.translation(
            "opsroom", localedir=str(folder) if folder else None, languages=[language], fallback=True
        )

    def template(self, message: str) -> str:
        """Return the template of a message id.

        Raises
        ------
        InternalError
            If there is no such message: a defect, found by the tests.
        """
        if message not in ENGLISH:
            raise InternalError(f"there is no message {message!r} in the catalogue.")
        found = self._translations.gettext(message)
        return ENGLISH[message] if found == message else found

    def has(self, message: str) -> bool:
        """Whether there is a message of that id."""
        return message in ENGLISH

    def say(self, message: str, /, **values: Any) -> str:
        """Return the sentence of a message id with its values filled in.

        Numbers must have been written as text (`number`, `percent` …): the catalogue does not
        choose decimals. A count given as ``n=`` picks ``<id>.one`` for 1 where that message exists.
        """
        if values.get("n") in (1, "1") and f"{message}.one" in ENGLISH:
            message = f"{message}.one"
        return self.template(message).format(**values)


CATALOGUE = Catalogue()


def say(message: str, /, **values: Any) -> str:
    """Return the English sentence of a message id with its values filled in."""
    return CATALOGUE.say(message, **values)


def fields(message: str) -> set[str]:
    """Return the names of the values that a message needs."""
    return {name for _, name, _, _ in Formatter().parse(ENGLISH[message]) if name}


def template() -> str:
    """Return the gettext template (``.pot``) of all messages, for translators."""
    lines = ['msgid ""', 'msgstr ""', '"Content-Type: text/plain; charset=UTF-8\\n"', ""]
    for message, text in sorted(ENGLISH.items()):
        said = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines += [f"#. {said}", f'msgid "{message}"', 'msgstr ""', ""]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One generated sentence, with what it was generated from.

    Attributes
    ----------
    id
        Message id.
    text
        The sentence.
    topic
        Part of the story: ``"work"``, ``"output"``, ``"credit"``, ``"options"``, ``"record"``.
    releases
        Ids of the releases whose numbers it holds.
    values
        The values filled in, as written.
    """

    id: str
    text: str
    topic: str
    releases: tuple[str, ...]
    values: dict[str, str]


# -- numbers ----------------------------------------------------------------------------------


def number(value: float, decimals: int = 0) -> str:
    """Write a number: thousands with commas, a true minus sign, never a negative zero."""
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float, decimals: int = 1) -> str:
    """Write a change with its sign; no sign for zero."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and any(c in "123456789" for c in text) else text


def percent(value: float, decimals: int = 1) -> str:
    """Write a share in per cent."""
    return f"{number(value, decimals)}{NBSP}%"


def interval(lower: float, upper: float, decimals: int = 1) -> str:
    """Write the two bounds of an interval."""
    return f"{number(lower, decimals)} to {number(upper, decimals)}"


def money(value: float, currency: str) -> str:
    """Write an amount of money in words that fit its size; without a currency, the amount alone."""
    return f"{currency}{NBSP}{_sized(value, 'billion', 'million')}".removeprefix(NBSP)


def amount(value: float) -> str:
    """Write an amount in short, to stand beside a bar: ``2.4 bn``, ``198 m``."""
    return _sized(value, "bn", "m")


def _sized(value: float, billion: str, million: str) -> str:
    """Write an amount to two significant figures or more: a minister reads 11 million, not 11.0."""
    for limit, word in ((1e9, billion), (1e6, million)):
        if abs(value) >= limit:
            return f"{number(value / limit, 1 if abs(value) < 9.95 * limit else 0)}{NBSP}{word}"
    return number(value)


def day(value: date | str) -> str:
    """Write a day: ``4 March 2020``."""
    at = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return f"{at.day}{NBSP}{_MONTHS[at.month - 1]}{NBSP}{at.year}"


def days(first: str, last: str) -> str:
    """Write a stretch of days briefly: ``6 to 10 February 2020``, ``28 January to 3 February 2020``."""
    start, end = date.fromisoformat(first[:10]), date.fromisoformat(last[:10])
    if start == end:
        return day(end)
    if start.year != end.year:
        return f"{day(start)} to {day(end)}"
    month = "" if start.month == end.month else f"{NBSP}{_MONTHS[start.month - 1]}"
    return f"{start.day}{month} to {day(end)}"


def upper_first(text: str) -> str:
    """Return a text with its first letter as a capital and the rest as it is."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Return a text with its first letter small and the rest as it is."""
    return text[:1].lower() + text[1:]


def period(code: str) -> str:
    """Write a period code: an hour, a day, ``week 10 of 2020``, ``March 2020``, ``2020 Q1`` or a year."""
    if len(code) == 10 and code[4] == code[7] == "-":
        return day(code)
    if len(code) > 10 and code[10] == "T" and code.endswith("Z"):
        clock = code[11:-1]
        return f"{day(code)}, {clock if ':' in clock else clock + ':00'}{NBSP}UTC"
    if "-W" in code:
        year, week = code.split("-W")
        return f"week {int(week)} of {year}"
    if "Q" in code:
        return code.replace("-Q", f"{NBSP}Q")
    if len(code) == 7 and code[4] == "-" and code[5:].isdigit():
        return f"{_MONTHS[int(code[5:]) - 1]}{NBSP}{code[:4]}"
    return code


def at(code: str) -> str:
    """Write a period with its preposition: ``on 4 March 2020``, ``in March 2020``."""
    return f"on {period(code)}" if len(code) == 10 or code[10:11] == "T" else f"in {period(code)}"


def listing(items: Sequence[str]) -> str:
    """Join words: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def with_unit(value: float, unit: str, decimals: int) -> str:
    """Write a number with the unit of its measure."""
    if unit.startswith("%"):
        tail = unit[1:].strip()
        return percent(value, decimals) + (f" {tail}" if tail else "")
    if unit.isupper() and len(unit) == 3:
        return money(value, unit)
    return f"{number(value, decimals)}{NBSP}{unit}".rstrip()


def label(kind: str, code: str) -> str:
    """Return the words for a code (an option, a measure, a class); the code itself without any."""
    message = f"{kind}.{code}"
    return ENGLISH[message] if message in ENGLISH else code.replace("_", " ")
