"""Rules that a dataset's specification declares: ``[[rules]]``.

A *row rule* (``expression``, ``ranges``) sends rows that break it to quarantine. A *dataset rule* (``unique``,
``references``, ``total``, ``monotone``) looks at what the dataset would hold after the delivery and raises an alarm
or refuses the delivery.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from opsroom.base.expressions import Kind, Node, parse
from opsroom.base.spec_toml import failure

KINDS: dict[str, Kind] = {
    "integer": "number",
    "money": "number",
    "quantity": "number",
    "number": "number",
    "string": "text",
    "code": "text",
    "date": "date",
    "boolean": "boolean",
}
"""Kind of value by type of field; an expression may name no field of another type."""

_WHAT = ("expression", "ranges", "unique", "references", "total", "monotone")


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule; exactly one of `expression`, `ranges`, `unique`, `references`, `total` and `monotone` is given.

    Attributes
    ----------
    name, title
        ``[a-z][a-z0-9_]*``, unique in the dataset; words for people.
    expression
        Condition that every row meets (see `opsroom.base.expressions`); one that is unknown counts as met.
    when
        Condition on the rows to which `expression` or `ranges` applies.
    ranges
        Bounds of `field` by the code in field `by`: ``{A = [0, 10], B = [0, 20]}``; other codes are free.
    unique
        Fields that together occur once.
    references
        ``"dataset.field"`` where each value of `field` occurs, as known at the delivery's moment.
    total
        Code in field `by` whose `field` is the sum of the other codes', within `tolerance`, all else equal.
    monotone
        ``"up"`` or ``"down"``: `field` never falls (rises) from period to period within a series.
    field, by, tolerance
        See above; the tolerance is relative to the total.
    action
        ``"quarantine"`` for row rules; ``"alarm"`` (default) or ``"refuse"`` for dataset rules.
    since
        Knowledge day (ISO) from which the rule holds; earlier deliveries are not judged by it.
    """

    name: str
    title: str = ""
    expression: str = ""
    when: str = ""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unique: tuple[str, ...] = ()
    references: str = ""
    total: str = ""
    monotone: str = ""
    field: str = ""
    by: str = ""
    tolerance: float = 1e-9
    action: str = ""
    since: str = ""

    @property
    def what(self) -> str:
        """Which of the six it is."""
        return next(name for name in _WHAT if getattr(self, name))

    @property
    def on_rows(self) -> bool:
        """Whether it judges rows one by one."""
        return self.what in ("expression", "ranges")

    @property
    def refuses(self) -> bool:
        """Whether a delivery that breaks it is refused."""
        return self.action == "refuse"

    def holds_on(self, day: date) -> bool:
        """Return whether it judges what became known on a day."""
        return not self.since or day >= date.fromisoformat(self.since)

    def check(self, types: Mapping[str, str], key: tuple[str, ...], period: str) -> None:
        """Check the rule against the fields of its dataset.

        Raises
        ------
        SpecError
            It names no field, says nothing or two things, or its expression cannot be read.
        """
        where = f"rule {self.name!r}"
        given = [name for name in _WHAT if getattr(self, name)]
        if len(given) != 1:
            raise failure(where, f"it gives one of {', '.join(_WHAT)}; {len(given)} are given.", "Correct it.")
        if self.action not in (("", "quarantine") if self.on_rows else ("", "alarm", "refuse")):
            raise failure(where, f"action {self.action!r} does not fit {given[0]}.", "Leave it out.")
        needed = {"ranges": ("field", "by"), "references": ("field",), "total": ("field", "by"), "monotone": ("field",)}
        for name in needed.get(given[0], ()):
            if getattr(self, name) not in types:
                raise failure(where, f"{name} names no field.", "Name a field.")
        if given[0] in ("ranges", "total", "monotone") and KINDS.get(types[self.field]) != "number":
            raise failure(where, "field is not numeric.", "Name a numeric field.")
        if unknown := [name for name in self.unique if name not in types]:
            raise failure(where, f"unique names no field: {', '.join(unknown)}.", "Name fields.")
        if given[0] == "references" and self.references.count(".") != 1:
            raise failure(where, "references is written dataset.field.", "Correct it.")
        if given[0] == "total" and self.by not in key:
            raise failure(
                where, "by is part of the key, so that parts and total are rows beside each other.", "Correct it."
            )
        if self.monotone not in ("", "up", "down"):
            raise failure(where, 'monotone is "up" or "down".', "Correct it.")
        if self.tolerance < 0:
            raise failure(where, "tolerance is not negative.", "Correct it.")
        try:
            self.holds_on(date.max)
        except ValueError:
            raise failure(where, "since is a day, 2020-03-04.", "Correct it.") from None
        self.condition(types)
        self.applies(types)

    def condition(self, types: Mapping[str, str]) -> Node | None:
        """Return what each row must meet; None of a dataset rule."""
        if self.expression:
            return parse(self.expression, _kinds(types), f"rule {self.name!r}")
        return None

    def applies(self, types: Mapping[str, str]) -> Node | None:
        """Return the condition on the rows that are judged; None for all."""
        return parse(self.when, _kinds(types), f"rule {self.name!r}, when") if self.when else None

    def lines(self) -> list[str]:
        """Write the rule as TOML lines, without what has its default value."""
        found = []
        for item in fields(self):
            value = getattr(self, item.name)
            if not value or (item.name == "tolerance" and value == 1e-9):
                continue
            if isinstance(value, Mapping):
                pairs = (f"{_text(code)} = [{low!r}, {high!r}]" for code, (low, high) in value.items())
                found.append(f"{item.name} = {{{', '.join(pairs)}}}")
            elif isinstance(value, tuple):
                found.append(f"{item.name} = [{', '.join(_text(v) for v in value)}]")
            else:
                found.append(f"{item.name} = {_text(value) if isinstance(value, str) else repr(value)}")
        return found


def _kinds(types: Mapping[str, str]) -> dict[str, Kind]:
    return {name: KINDS[kind] for name, kind in types.items() if kind in KINDS}


def _text(word: str) -> str:
    return json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_rules(tables: object, where: str) -> tuple[RuleSpec, ...]:
    """Read the ``[[rules]]`` tables of a specification.

    Raises
    ------
    SpecError
        A key is unknown or has the wrong type, or a name is missing or given twice.
    """
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise failure(where, "rules are written as [[rules]] tables.", "Use [[rules]].")
    found = tuple(_read(table, f"{where}, rule {number}") for number, table in enumerate(tables, 1))
    names = [rule.name for rule in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise failure(where, f"rule names are given once: {', '.join(twice)}.", "Rename one.")
    return found


def _read(table: Mapping[str, Any], where: str) -> RuleSpec:
    known = {item.name for item in fields(RuleSpec)}
    if unknown := sorted(set(table) - known):
        raise failure(where, f"unknown keys: {', '.join(unknown)}.", "Remove them.")
    values = dict(table)
    if isinstance(values.get("since"), date):
        values["since"] = values["since"].isoformat()
    if "unique" in values:
        values["unique"] = _texts(values["unique"], where)
    if "ranges" in values:
        values["ranges"] = _bounds(values["ranges"], where)
    for name, value in values.items():
        wanted: type | tuple[type, ...] = str
        if name == "tolerance":
            wanted = (int, float)
        elif name in ("unique", "ranges"):
            continue
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise failure(where, f"{name} has the wrong type.", "Correct it.")
    name = values.get("name", "")
    if not name.isidentifier() or name != name.lower():
        raise failure(where, "a rule has a name of lower-case letters, digits and _.", "Name it.")
    return RuleSpec(**values)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise failure(where, "unique is a list of fields.", "Correct it.")
    return tuple(value)


def _bounds(value: object, where: str) -> dict[str, tuple[float, float]]:
    pairs = value.items() if isinstance(value, dict) else ()
    found = {}
    for code, span in pairs:
        if not isinstance(span, list) or len(span) != 2 or not all(isinstance(x, int | float) for x in span):
            raise failure(where, "ranges gives two bounds a code: {A = [0, 10]}.", "Correct it.")
        found[code] = (span[0], span[1])
    if not found:
        raise failure(where, "ranges gives two bounds a code: {A = [0, 10]}.", "Correct it.")
    return found
