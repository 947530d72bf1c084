"""A small language of conditions on a row: compared, combined, never executed.

::

    condition := condition "or" condition | condition "and" condition | "not" condition | comparison
    comparison := sum [ ("<=" | "<" | ">=" | ">" | "==" | "!=") sum
                      | ["not"] "in" "[" literal {"," literal} "]" | "is" ["not"] "null" ]
    sum := product {("+" | "-") product};  product := factor {("*" | "/") factor}
    factor := number | 'text' | field | function "(" sum {"," sum} ")" | "-" factor | "(" condition ")"

Functions: ``abs``, ``length`` (of a text), ``year``, ``month`` (of a date), ``coalesce``, ``least``, ``greatest``. A
text beside a date field is a date, ``'2020-03-04'``. A comparison with an empty value is unknown,
and so is a quotient by zero. Products and quotients are computed in floating point.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from opsroom.base.errors import SpecError

Kind = Literal["number", "text", "date", "boolean"]
"""Kind of a value; moments are of none and cannot be compared."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Attributes
    ----------
    op
        ``number``, ``text``, ``date``, ``field``, a function, an operator, ``in``, ``null``, ``not``, ``neg``.
    args
        Parts; of a literal its value, of a field its name, of ``in`` the part and its literals.
    kind
        Kind of its value.
    """

    op: str
    args: tuple[Node | str | int | float | date, ...]
    kind: Kind

    def fields(self) -> set[str]:
        """Return the names of the fields it reads."""
        if self.op == "field":
            return {str(self.args[0])}
        return {name for part in self.args if isinstance(part, Node) for name in part.fields()}


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:_\d+)*(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|'(?P<text>[^']*)'"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>,\[\]]))"
)
_WORDS = {"and", "or", "not", "in", "is", "null"}
_FUNCTIONS: dict[str, tuple[Kind, Kind, int]] = {
    "abs": ("number", "number", 1),
    "length": ("text", "number", 1),
    "year": ("date", "number", 1),
    "month": ("date", "number", 1),
}
_ANY = ("coalesce", "least", "greatest")

DEEPEST = 60
"""Deepest nesting that is read."""


def parse(text: str, kinds: Mapping[str, Kind], where: str) -> Node:
    """Read a condition.

    Parameters
    ----------
    text
        The condition.
    kinds
        Kind of each field that it may read.
    where
        Words for messages.

    Raises
    ------
    SpecError
        It is not of the language above, names no field, or compares what cannot be compared.
    """
    reader = _Reader(text, kinds, where)
    found = reader.either()
    if reader.peek():
        raise reader.wrong(f"{reader.peek()!r} is not expected there")
    return reader.needs(found, "boolean")


class _Reader:
    """A recursive-descent reader: one method a level of precedence."""

    def __init__(self, text: str, kinds: Mapping[str, Kind], where: str) -> None:
        self._kinds, self._where = kinds, where
        self._tokens: list[tuple[str, str]] = []
        self._at = self._depth = 0
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self.wrong(f"it cannot be read from character {place + 1} on")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def wrong(self, rule: str) -> SpecError:
        """Return the error of an expression."""
        return SpecError(
            f"{self._where}: expression: {rule}.",
            remedy="See the manual on rules for what can be written.",
            code="OPS-S020",
        )

    def peek(self) -> str:
        """Return the next word or sign, empty at the end or before a literal text."""
        if self._at >= len(self._tokens):
            return ""
        kind, word = self._tokens[self._at]
        return f"'{word}'" if kind == "text" else word

    def take(self, *words: str) -> str:
        """Take the next word if it is one of these; empty otherwise."""
        word = self.peek()
        if word and word in words:
            self._at += 1
            return word
        return ""

    def expect(self, word: str) -> None:
        """Take a word that must be there."""
        if not self.take(word):
            raise self.wrong(f"{word!r} is missing")

    def needs(self, part: Node, kind: Kind) -> Node:
        """Refuse a part of another kind."""
        if part.kind != kind:
            raise self.wrong(f"a {kind} is needed where a {part.kind} stands")
        return part

    def either(self) -> Node:
        """Read alternatives."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.wrong("it is nested too deeply")
        found = self.both()
        while self.take("or"):
            found = Node("or", (self.needs(found, "boolean"), self.needs(self.both(), "boolean")), "boolean")
        self._depth -= 1
        return found

    def both(self) -> Node:
        """Read what must hold together."""
        found = self.negated()
        while self.take("and"):
            found = Node("and", (self.needs(found, "boolean"), self.needs(self.negated(), "boolean")), "boolean")
        return found

    def negated(self) -> Node:
        """Read a denial."""
        count = 0
        while self.take("not"):
            count += 1
        found = self.comparison()
        for _ in range(count % 2):
            found = Node("not", (self.needs(found, "boolean"),), "boolean")
        return found

    def comparison(self) -> Node:
        """Read a comparison."""
        left = self.sum()
        if sign := self.take("<=", "<", ">=", ">", "==", "!="):
            left, right = self.alike(left, self.sum())
            return Node(sign, (left, right), "boolean")
        if self.take("is"):
            empty = Node("null", (left,), "boolean")
            denied = bool(self.take("not"))
            self.expect("null")
            return Node("not", (empty,), "boolean") if denied else empty
        denied = bool(self.take("not"))
        if self.take("in"):
            self.expect("[")
            literals = [self.literal(left)]
            while self.take(","):
                literals.append(self.literal(left))
            self.expect("]")
            found = Node("in", (left, *literals), "boolean")
            return Node("not", (found,), "boolean") if denied else found
        if denied:
            raise self.wrong("'in' is missing")
        return left

    def literal(self, beside: Node) -> Node:
        """Read a literal of a list."""
        _, found = self.alike(beside, self.factor())
        if found.op not in ("number", "text", "date", "neg"):
            raise self.wrong("a list holds numbers or texts")
        return found

    def alike(self, left: Node, right: Node) -> tuple[Node, Node]:
        """Return two parts of one kind: a text beside a date is a date."""
        if left.kind == "date" and right.op == "text":
            right = self.day(right)
        if right.kind == "date" and left.op == "text":
            left = self.day(left)
        if left.kind != right.kind:
            raise self.wrong(f"a {left.kind} cannot be compared with a {right.kind}")
        return left, right

    def day(self, text: Node) -> Node:
        """Read a text as a date."""
        try:
            return Node("date", (date.fromisoformat(str(text.args[0])),), "date")
        except ValueError:
            raise self.wrong("a date is written '2020-03-04'") from None

    def sum(self) -> Node:
        """Read sums and differences."""
        found = self.product()
        while sign := self.take("+", "-"):
            found = Node(sign, (self.needs(found, "number"), self.needs(self.product(), "number")), "number")
        return found

    def product(self) -> Node:
        """Read products and quotients."""
        found = self.factor()
        while sign := self.take("*", "/"):
            found = Node(sign, (self.needs(found, "number"), self.needs(self.factor(), "number")), "number")
        return found

    def factor(self) -> Node:
        """Read a literal, a field, a function or what stands in parentheses."""
        if self.take("-"):
            return Node("neg", (self.needs(self.factor(), "number"),), "number")
        if self.take("("):
            found = self.either()
            self.expect(")")
            return found
        if self._at >= len(self._tokens):
            raise self.wrong("it ends too early")
        kind, word = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            plain = word.replace("_", "")
            return Node("number", (float(plain) if "." in plain else int(plain),), "number")
        if kind == "text":
            return Node("text", (word,), "text")
        if kind == "name" and word not in _WORDS:
            return self.call(word) if self.take("(") else self.field(word)
        raise self.wrong(f"{word!r} is not expected there")

    def field(self, name: str) -> Node:
        """Read a field."""
        if name not in self._kinds:
            raise self.wrong(f"there is no field {name!r}")
        return Node("field", (name,), self._kinds[name])

    def call(self, name: str) -> Node:
        """Read the arguments of a function."""
        if name not in _FUNCTIONS and name not in _ANY:
            raise self.wrong(f"there is no function {name!r}")
        parts = [self.sum()]
        while self.take(","):
            first, one = self.alike(parts[0], self.sum())
            parts = [first, *parts[1:], one]
        self.expect(")")
        if name in _ANY:
            return Node(name, tuple(parts), parts[0].kind)
        wanted, kind, count = _FUNCTIONS[name]
        if len(parts) != count:
            raise self.wrong(f"{name} takes {count} value")
        return Node(name, (self.needs(parts[0], wanted),), kind)
