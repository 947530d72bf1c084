"""`Scenario`: what may come, written down in a file: who loses how much, where, from when to when, by whose word."""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
SCHEMA_VERSION = 1
HEAD = ("schema_version", "name", "source", "lift_weeks", "shocks")
FIELDS = ("first", "last", "ramp_in_days", "ramp_out_days", "sections", "regions", "supply", "demand", "source")
LONGEST = 3660
"""Days that a shock or a ramp may last: a longer one is a mistyped year."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """One shock of a scenario.

    Attributes
    ----------
    first, last
        First and last day of its full size.
    supply, demand
        Share of what sections can do that is lost, and of households' demand that is gone; one number, or by section.
    sections, regions
        Codes of those that it hits; none: all.
    ramp_in_days, ramp_out_days
        Days over which it builds up before `first`, and goes away after `last`.
    source
        Whose word it is.
    """

    first: dt.date
    last: dt.date
    supply: float | Mapping[str, float] = 0.0
    demand: float | Mapping[str, float] = 0.0
    sections: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    ramp_in_days: int = 0
    ramp_out_days: int = 0
    source: str = ""

    def strength(self, days: pd.DatetimeIndex) -> Floats:
        """Return by day which share of its full size it has."""
        at = days.to_numpy().astype("datetime64[D]").astype(np.int64)
        first, last = (np.datetime64(day, "D").astype(np.int64) for day in (self.first, self.last))
        rising = np.clip(1.0 - (first - at) / (self.ramp_in_days + 1.0), 0.0, 1.0)
        falling = np.clip(1.0 - (at - last) / (self.ramp_out_days + 1.0), 0.0, 1.0)
        return np.asarray(np.minimum(rising, falling), dtype=np.float64)

    def size(self, what: str, sections: Sequence[str], regions: Sequence[str]) -> Floats:
        """Return sections x regions: the full size of ``"supply"`` or ``"demand"``."""
        given: float | Mapping[str, float] = getattr(self, what)
        if isinstance(given, Mapping):
            rows = np.array([given.get(code, 0.0) for code in sections], dtype=np.float64)
        else:
            rows = np.where([not self.sections or code in self.sections for code in sections], float(given), 0.0)
        columns = np.array([not self.regions or code in self.regions for code in regions], dtype=np.float64)
        return rows[:, None] * columns[None, :]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What may come.

    Attributes
    ----------
    name, source
        In words.
    lift_weeks
        Weeks within which the restrictions in force are lifted; 0: they stay.
    shocks
        What comes beside them.
    sha256
        Of the file, in hexadecimal; empty where there is none.
    """

    name: str
    source: str = ""
    lift_weeks: int = 0
    shocks: tuple[Assumed, ...] = ()
    sha256: str = ""

    def supply(self, days: pd.DatetimeIndex, sections: Sequence[str], regions: Sequence[str]) -> Floats:
        """Return days x sections x regions: share of what sections can do that is lost."""
        return self._lost("supply", days, sections, regions)

    def demand(self, days: pd.DatetimeIndex, sections: Sequence[str], regions: Sequence[str]) -> Floats:
        """Return days x sections x regions: share of households' demand that is gone."""
        return self._lost("demand", days, sections, regions)

    def _lost(self, what: str, days: pd.DatetimeIndex, sections: Sequence[str], regions: Sequence[str]) -> Floats:
        """Where shocks overlap, each takes its share of what the others leave."""
        left = np.ones((len(days), len(sections), len(regions)))
        for shock in self.shocks:
            left *= 1.0 - shock.strength(days)[:, None, None] * shock.size(what, sections, regions)[None]
        return 1.0 - left

    def summary(self) -> str:
        """Return the scenario in a few lines."""
        kept = "restrictions stay" if self.lift_weeks == 0 else f"restrictions are lifted in {self.lift_weeks} weeks"
        lines = [f"{self.name}: {kept}; {len(self.shocks)} shock(s)."]
        for shock in self.shocks:
            named = shock.supply if isinstance(shock.supply, Mapping) else shock.demand
            who = ", ".join(shock.sections) or (", ".join(named) if isinstance(named, Mapping) else "all sections")
            where = ", ".join(shock.regions) or "all regions"
            parts = [f"{w} {_in_words(getattr(shock, w))}" for w in ("supply", "demand") if getattr(shock, w)]
            lines.append(f"{shock.first} to {shock.last}: {who} in {where}: {', '.join(parts)}.")
        return "\n".join(lines)


def _in_words(given: float | Mapping[str, float]) -> str:
    if isinstance(given, Mapping):
        return ", ".join(f"{code} -{100 * share:.0f} %" for code, share in given.items())
    return f"-{100 * given:.0f} %"


def read_scenario(
    file: str | Path, *, sections: Collection[str] | None = None, regions: Collection[str] | None = None
) -> Scenario:
    """Read a scenario from a TOML file.

    Parameters
    ----------
    file
        The file.
    sections, regions
        Codes that there are; a shock that names another is refused. Absent: codes are not looked at.

    Raises
    ------
    SettingsError
        Where the file cannot be read (``OPS-C040``) or breaks a rule (``OPS-C041``), with its line, the field, the
        rule and what to do.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from opsroom.decide.propagation import read_scenario
    >>> file = Path(mkdtemp()) / "wave.toml"
    >>> _ = file.write_text('''
    ... schema_version = 1
    ... name = "second wave"
    ... source = "assumption of the task force"
    ... [[shocks]]
    ... first = 2020-06-15
    ... last = 2020-07-12
    ... regions = ["R01"]
    ... supply = {G = 0.3, I = 0.5}
    ... ''')
    >>> print(read_scenario(file, sections=["G", "I"], regions=["R01", "R02"]).summary())
    second wave: restrictions stay; 1 shock(s).
    2020-06-15 to 2020-07-12: G, I in R01: supply G -30 %, I -50 %.
    """
    path = Path(file)
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
        table = tomllib.loads(text)
    except OSError:
        raise SettingsError(
            f"{path.name}: there is no such file, or it cannot be read.",
            remedy="Give the path of a scenario file.",
            code="OPS-C040",
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} is not text in UTF-8.", remedy="Save it as UTF-8.", code="OPS-C040") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}.", remedy="Correct it.", code="OPS-C040") from None
    return _Reader(path.name, text).read(table, sections, regions, hashlib.sha256(raw).hexdigest())


class _Reader:
    """Checks a file field by field, and knows in which line a field stands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = text.splitlines()
        self.heads = [k for k, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*shocks\s*\]\]", line)]

    def read(
        self, table: dict[str, Any], sections: Collection[str] | None, regions: Collection[str] | None, digest: str
    ) -> Scenario:
        self.known(table, HEAD)
        if table.get("schema_version") != SCHEMA_VERSION or type(table.get("schema_version")) is not int:
            self.refuse("schema_version", f"is not {SCHEMA_VERSION}", f"Write schema_version = {SCHEMA_VERSION}.")
        for field in ("name", "source"):
            if not isinstance(table.get(field), str) or not table[field].strip():
                self.refuse(field, "is missing or no text", f'Write {field} = "…".')
        lift = table.get("lift_weeks", 0)
        if type(lift) is not int or not 0 <= lift <= LONGEST // 7:
            self.refuse("lift_weeks", "is no number of weeks", "Write 0 where restrictions stay.")
        shocks = table.get("shocks", [])
        if not isinstance(shocks, list) or not all(isinstance(one, dict) for one in shocks):
            self.refuse("shocks", "is no list of tables", "Begin each shock with [[shocks]].")
        read = tuple(self.shock(one, k, sections, regions) for k, one in enumerate(shocks))
        return Scenario(table["name"], table["source"], lift, read, digest)

    def shock(
        self, table: dict[str, Any], number: int, sections: Collection[str] | None, regions: Collection[str] | None
    ) -> Assumed:
        self.known(table, FIELDS, number)
        for field in ("first", "last"):
            if not isinstance(table.get(field), dt.date) or isinstance(table[field], dt.datetime):
                self.refuse(field, "is missing or no date", f"Write {field} = 2020-06-15, without quotes.", number)
        if table["last"] < table["first"] or (table["last"] - table["first"]).days > LONGEST:
            self.refuse("last", "is before the first day, or ten years after it", "Correct one of the two.", number)
        for field in ("ramp_in_days", "ramp_out_days"):
            if type(table.get(field, 0)) is not int or not 0 <= table.get(field, 0) <= LONGEST:
                self.refuse(field, "is no number of days", "Write 0, or leave it out.", number)
        for field, there in (("sections", sections), ("regions", regions)):
            self.codes(field, table.get(field, []), there, number)
            if field in table and not table[field]:
                self.refuse(field, "names none", "Leave it out where all are meant.", number)
        for field in ("supply", "demand"):
            given = table.get(field, 0.0)
            if isinstance(given, dict):
                if "sections" in table:
                    rule = "is by section, while 'sections' is given, too"
                    self.refuse(field, rule, "Leave 'sections' out.", number)
                self.codes(field, list(given), sections, number)
            if not all(_is_share(one) for one in (given.values() if isinstance(given, dict) else [given])):
                self.refuse(field, "is no share between 0 and 1", "Write 0.3 for 30 %.", number)
        if not table.get("supply") and not table.get("demand"):
            self.refuse("supply", "is missing, and so is 'demand'", "Say what is lost.", number)
        if not isinstance(table.get("source", ""), str):
            self.refuse("source", "is no text", 'Write source = "…".', number)
        values: dict[str, Any] = {k: tuple(v) if k in ("sections", "regions") else v for k, v in table.items()}
        return Assumed(**values)

    def codes(self, field: str, given: Any, there: Collection[str] | None, number: int) -> None:
        """Refuse what is no list of codes, a code twice, and a code that there is not."""
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            self.refuse(field, "is no list of codes", f'Write {field} = ["…"].', number)
        if len(set(given)) < len(given):
            self.refuse(field, "names a code twice", "Name it once.", number)
        for code in given:
            if there is not None and code not in there:
                rule = f"names {code!r}, which there is not"
                self.refuse(field, rule, f"Use some of: {', '.join(sorted(there))}.", number)

    def known(self, table: dict[str, Any], fields: tuple[str, ...], number: int | None = None) -> None:
        """Refuse a field that there is not."""
        for field in table:
            if field not in fields:
                near = difflib.get_close_matches(field, fields, n=1)
                remedy = f"Did you mean {near[0]!r}?" if near else f"Use {', '.join(fields)}."
                self.refuse(field, "is not known", remedy, number)

    def refuse(self, field: str, rule: str, remedy: str, number: int | None = None) -> NoReturn:
        """Raise the error of a broken rule."""
        line = self.line_of(field, number)
        place = self.name if line is None else f"{self.name}, line {line}"
        which = "" if number is None else f"shock {number + 1}, "
        raise SettingsError(f"{place}: {which}{field!r} {rule}.", remedy=remedy, code="OPS-C041")

    def line_of(self, field: str, number: int | None) -> int | None:
        """Return the line of a field, or of the shock that lacks it; None where shocks stand in one line."""
        start, end = 0, self.heads[0] if self.heads else len(self.lines)
        if number is not None:
            if number >= len(self.heads):
                return None
            start, end = self.heads[number], [*self.heads, len(self.lines)][number + 1]
        pattern = re.compile(rf"""\s*(\[\w+\.)?["']?{re.escape(field)}["']?\s*[.=\]]""")
        found = next((k for k in range(start, end) if pattern.match(self.lines[k])), None)
        if found is None:
            return start + 1 if number is not None else None
        return found + 1


def _is_share(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0.0 <= given <= 1.0
