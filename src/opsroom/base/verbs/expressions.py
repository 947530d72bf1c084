"""Expressions: what verbs compute row by row, as small trees of plain data that mean the same on every engine.

`col` and `lit` make them, operators and methods combine them::

    (col("sales") > 0) & col("region").is_in(["R01", "R02"])

Whole numbers are int64, other numbers float64. Null stands for the unknown, as in SQL: what is computed from null
is null, ``null & false`` is false and ``null | true`` is true. A division by zero is null. ``//`` rounds down and
``%`` has the sign of the divisor, as in Python. Texts compare by code point.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opsroom.base.errors import UsageError

Scalar = str | int | float | bool | dt.date | dt.datetime | None
Rounding = Literal["half_even", "half_away"]
Unit = Literal["D", "W", "M", "Q", "A"]

UNITS = ("D", "W", "M", "Q", "A")
"""Calendar periods: day, week from Monday, month, quarter, year."""

OPERATORS = frozenset(
    {"column", "literal", "add", "subtract", "multiply", "divide", "floor_divide", "modulo", "negate", "absolute"}
    | {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "not", "is_null", "is_in"}
    | {"coalesce", "if_else", "round", "truncate", "shift", "index", "starts_with", "prefix", "to_float", "to_text"}
)
MOST_DIGITS = 15
"""A published number has at most so many decimals."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One node of a tree: an operator, its operands and its constants.

    Attributes
    ----------
    op
        One of `OPERATORS`.
    operands
        Expressions it acts on.
    constants
        Its plain values: a column's name, a literal, the codes of a list, a number of digits, a unit.
    """

    op: str
    operands: tuple[Expression, ...] = ()
    constants: tuple[Scalar, ...] = ()

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise UsageError("an expression has an unknown operator.", remedy="Build it with col() and lit().")

    # -- arithmetic ---------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Expression:
        return _node("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return _node("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        return _node("subtract", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return _node("subtract", other, self)

    def __mul__(self, other: Operand) -> Expression:
        return _node("multiply", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return _node("multiply", other, self)

    def __truediv__(self, other: Operand) -> Expression:
        return _node("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return _node("divide", other, self)

    def __floordiv__(self, other: Operand) -> Expression:
        return _node("floor_divide", self, other)

    def __mod__(self, other: Operand) -> Expression:
        return _node("modulo", self, other)

    def __neg__(self) -> Expression:
        return _node("negate", self)

    def __abs__(self) -> Expression:
        return _node("absolute", self)

    # -- comparison and logic -----------------------------------------------------------------

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # builds a tree, as in SQL layers
        return _node("equal", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # builds a tree, too
        return _node("not_equal", self, other)

    __hash__ = None  # type: ignore[assignment]  # equality builds a tree

    def __lt__(self, other: Operand) -> Expression:
        return _node("less", self, other)

    def __le__(self, other: Operand) -> Expression:
        return _node("less_equal", self, other)

    def __gt__(self, other: Operand) -> Expression:
        return _node("greater", self, other)

    def __ge__(self, other: Operand) -> Expression:
        return _node("greater_equal", self, other)

    def __and__(self, other: Operand) -> Expression:
        return _node("and", self, other)

    def __or__(self, other: Operand) -> Expression:
        return _node("or", self, other)

    def __invert__(self) -> Expression:
        return _node("not", self)

    def __bool__(self) -> bool:
        raise UsageError(
            "an expression is neither true nor false before it is computed.",
            remedy="Combine conditions with &, | and ~, and write a range as (low <= x) & (x <= high).",
        )

    def is_null(self) -> Expression:
        """Return whether the value is unknown."""
        return _node("is_null", self)

    def is_in(self, values: Sequence[Scalar]) -> Expression:
        """Return whether the value is one of a list; null for null."""
        if any(v is None for v in values):
            raise UsageError("a list of values holds null.", remedy="Ask for null with is_null().")
        return Expression("is_in", (self,), tuple(map(_checked, values)))

    def between(self, low: Operand, high: Operand) -> Expression:
        """Return whether the value lies between two bounds, both included."""
        return (self >= low) & (self <= high)

    def coalesce(self, *others: Operand) -> Expression:
        """Return the value, or the first of the others that is not null."""
        return _node("coalesce", self, *others)

    # -- numbers ------------------------------------------------------------------------------

    def to_float(self) -> Expression:
        """Return a whole number as float64, rounded to the nearest."""
        return _node("to_float", self)

    def round(self, digits: int, method: Rounding = "half_even") -> Expression:
        """Round to a number of decimals as published figures are: the same on every engine.

        Parameters
        ----------
        digits
            Decimals, 0 to 15.
        method
            What becomes of a figure exactly half way: the even neighbour, or the one away from zero.

        Notes
        -----
        With :math:`y = x 10^d` in float64, the result is the whole number nearest to :math:`y`, ties by `method`,
        over :math:`10^d`. The engines' own ``round`` differ: DuckDB's judges the product, Spark's the decimal
        writing of :math:`x`.
        """
        if not 0 <= digits <= MOST_DIGITS:
            raise UsageError(f"a figure is rounded to 0 to {MOST_DIGITS} decimals.")
        if method not in ("half_even", "half_away"):
            raise UsageError("rounding is half_even or half_away.")
        return Expression("round", (self,), (digits, method))

    # -- dates --------------------------------------------------------------------------------

    def truncate(self, unit: Unit) -> Expression:
        """Return the first day of the period that holds a date."""
        return Expression("truncate", (self,), (_unit(unit),))

    def shift(self, count: int, unit: Unit) -> Expression:
        """Return the date so many periods later; the last day of the month where the day does not exist."""
        return Expression("shift", (self,), (int(count), _unit(unit)))

    def index(self, unit: Unit) -> Expression:
        """Return the number of the period that holds a date, counted from the one with 1 January 1970."""
        return Expression("index", (self,), (_unit(unit),))

    # -- texts --------------------------------------------------------------------------------

    def starts_with(self, prefix: str) -> Expression:
        """Return whether a text begins with a prefix."""
        return Expression("starts_with", (self,), (str(prefix),))

    def prefix(self, length: int) -> Expression:
        """Return the first characters of a text, such as the division of a NACE class."""
        if length < 0:
            raise UsageError("a prefix has no negative length.")
        return Expression("prefix", (self,), (int(length),))

    def to_text(self) -> Expression:
        """Return a whole number, date or text as text; floats have no one text."""
        return _node("to_text", self)

    # -- as plain data ------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the tree as JSON, so that a question can be kept, sent and hashed."""
        return json.dumps(_plain(self), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Expression:
        """Build the tree that `to_json` wrote.

        Raises
        ------
        UsageError
            The text is no such tree.
        """
        try:
            return _built(json.loads(text))
        except (KeyError, TypeError, ValueError, RecursionError):
            raise UsageError("the text is no expression.", remedy="Write it with to_json().") from None

    def columns(self) -> frozenset[str]:
        """Return the names of the columns the tree reads."""
        if self.op == "column":
            return frozenset([str(self.constants[0])])
        return frozenset().union(*(operand.columns() for operand in self.operands))


Operand = Expression | Scalar
"""What stands on either side of an operator; a plain value means `lit` of it."""


def col(name: str) -> Expression:
    """Return the column of that name."""
    return Expression("column", (), (name,))


def lit(value: Scalar) -> Expression:
    """Return a constant: text, number, truth value, date, moment (with its zone) or null."""
    return Expression("literal", (), (_checked(value),))


def if_else(condition: Expression, then: Operand, otherwise: Operand) -> Expression:
    """Return one value where a condition is true, and another where it is false or null."""
    return _node("if_else", condition, then, otherwise)


def safe_divide(numerator: Operand, denominator: Operand) -> Expression:
    """Divide as float64, null where the denominator is zero or null (engines differ: NaN, null or an error)."""
    return _node("divide", numerator, denominator)


def _node(op: str, *operands: object) -> Expression:
    return Expression(op, tuple(o if isinstance(o, Expression) else lit(_checked(o)) for o in operands))


def _checked(value: object) -> Scalar:
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise UsageError("a moment has no zone.", remedy="Give it tzinfo=UTC.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError("a constant is not a finite number.", remedy="Use null for the unknown.")
    if isinstance(value, int) and not -(2**63) < value < 2**63:
        raise UsageError("a whole number does not fit 64 bits.")
    if value is None or isinstance(value, str | int | float | dt.date):
        return value
    raise UsageError(
        f"a constant of type {type(value).__name__} cannot stand in an expression.",
        remedy="Use text, numbers, truth values, dates, moments or None.",
    )


def _unit(unit: str) -> str:
    if unit not in UNITS:
        raise UsageError("a calendar period is one of D, W, M, Q and A.")
    return unit


def _plain(node: Expression) -> dict[str, Any]:
    found: dict[str, Any] = {"op": node.op}
    if node.operands:
        found["of"] = [_plain(operand) for operand in node.operands]
    if node.constants:
        found["with"] = [_written(value) for value in node.constants]
    return found


def _written(value: Scalar) -> Any:  # any JSON value
    if isinstance(value, dt.datetime):
        return {"moment": value.astimezone(dt.UTC).isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    return value


def _built(plain: Mapping[str, Any]) -> Expression:
    return Expression(
        plain["op"],
        tuple(_built(operand) for operand in plain.get("of", ())),
        tuple(_read(value) for value in plain.get("with", ())),
    )


def _read(value: Any) -> Scalar:  # any JSON value
    if isinstance(value, dict):
        if "moment" in value:
            return dt.datetime.fromisoformat(value["moment"])
        return dt.date.fromisoformat(value["date"])
    return _checked(value)
