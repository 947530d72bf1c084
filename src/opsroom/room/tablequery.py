"""`TableQuery`: a table asked for by declaration, in a form that can be kept as JSON, and its strict reading."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from opsroom.base.errors import UsageError

Kind = Literal["count", "sum", "mean", "share"]
Operator = Literal["eq", "in", "between"]

KINDS: tuple[str, ...] = get_args(Kind)
OPERATORS: tuple[str, ...] = get_args(Operator)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CODE = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_MOST = 2000
"""Codes that one filter may name."""


def bad(rule: str, remedy: str, code: str = "OPS-U160") -> UsageError:
    """Return the error of a question that cannot be taken as it is; it never repeats what was sent."""
    return UsageError(rule, remedy=remedy, code=code)


@dataclass(frozen=True, slots=True, order=True)
class Statistic:
    """A number asked for.

    Attributes
    ----------
    kind
        ``count`` (of units), ``sum`` of a measure, ``mean`` of a measure (sum over count), or
        ``share``, in per cent of the units: of a condition, or of a code of a dimension.
    field
        The measure, condition or dimension; empty for a count.
    code
        For the share of a code of a dimension.
    """

    kind: Kind
    field: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise bad("there is no such statistic.", f"Use one of {', '.join(KINDS)}.")
        if (self.kind == "count") is bool(self.field) or (self.field and not _NAME.fullmatch(self.field)):
            raise bad("a count has no field, every other statistic one.", 'Write "count", "sum:sales", "share:open".')
        if self.code and (self.kind != "share" or not _CODE.fullmatch(self.code)):
            raise bad("only a share is of a code.", 'Write "share:size=large".')

    @classmethod
    def parse(cls, text: str) -> Statistic:
        """Read ``count``, ``sum:sales``, ``mean:sales``, ``share:exports``, ``share:size=large``."""
        kind, _, rest = text.partition(":")
        name, sign, code = rest.partition("=")
        if sign and not code:
            raise bad("the share of a code names it.", 'Write "share:size=large".')
        for known in get_args(Kind):
            if kind == known:
                return cls(known, name, code)
        raise bad("there is no such statistic.", f"Use one of {', '.join(KINDS)}.")

    def __str__(self) -> str:
        return self.kind + (f":{self.field}" if self.field else "") + (f"={self.code}" if self.code else "")


@dataclass(frozen=True, slots=True, order=True)
class Filter:
    """Whole codes of one dimension, or periods, that a table is cut to.

    Attributes
    ----------
    column
        A declared dimension, or the period.
    op
        ``eq`` (one code), ``in`` (some), ``between`` (first and last, both included, in the declared order).
    codes
        One, some or two codes.
    """

    column: str
    op: Operator
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not _NAME.fullmatch(self.column):
            raise bad("a filter names a column.", 'Write {"column": "region", "op": "eq", "codes": ["R1"]}.')
        if self.op not in OPERATORS:
            raise bad("there is no such operator.", f"Use one of {', '.join(OPERATORS)}.")
        wanted = {"eq": 1, "between": 2}.get(self.op)
        if not self.codes or len(self.codes) > _MOST or (wanted is not None and len(self.codes) != wanted):
            raise bad("eq has one code, between two, in one or more.", "Correct the codes of the filter.")
        if not all(isinstance(c, str) and _CODE.fullmatch(c) for c in self.codes):
            raise bad("codes are texts of 1 to 100 characters.", "Write codes in quotation marks.")

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read ``region=R1``, ``region=R1,R2``, ``month=2020-01..2020-03``."""
        column, sign, rest = text.partition("=")
        if not sign:
            raise bad(
                "a filter is a column with codes.", "Write --where region=R1,R2 or --where month=2020-01..2020-03."
            )
        first, dots, last = rest.partition("..")
        if dots:
            return cls(column.strip(), "between", (first.strip(), last.strip()))
        codes = tuple(code.strip() for code in rest.split(","))
        return cls(column.strip(), "eq" if len(codes) == 1 else "in", codes)

    def to_dict(self) -> dict[str, Any]:
        """Return the filter as JSON-able data."""
        return {"column": self.column, "op": self.op, "codes": list(self.codes)}


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A table asked for by declaration.

    Attributes
    ----------
    dataset
        Its name.
    dimensions
        Columns that break the table down, of those that ``[tables]`` of the specification declares.
    statistics
        See `Statistic`.
    where
        See `Filter`; one of them says which periods.
    as_of
        Day or moment of knowledge, ISO text; None for the latest.

    Examples
    --------
    >>> from opsroom.room.tablequery import TableQuery
    >>> query = TableQuery.of("vat", by=["region"], statistics=["sum:sales"], where=["month=2020-02"])
    >>> query == TableQuery.from_json(query.to_json())
    True
    """

    dataset: str
    dimensions: tuple[str, ...]
    statistics: tuple[Statistic, ...]
    where: tuple[Filter, ...] = ()
    as_of: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not _NAME.fullmatch(self.dataset):
            raise bad("a question names a dataset.", "Give the dataset's name.")
        if not all(isinstance(d, str) and _NAME.fullmatch(d) for d in self.dimensions):
            raise bad("dimensions are names of columns.", "Name declared dimensions.")
        if len(set(self.dimensions)) != len(self.dimensions) or len(set(self.statistics)) != len(self.statistics):
            raise bad("a dimension or statistic is named once.", "Remove the second mention.")
        if not self.statistics:
            raise bad("a question asks for a statistic.", 'Add "count", "sum:…", "mean:…" or "share:…".')
        columns = [f.column for f in self.where]
        if len(set(columns)) != len(columns):
            raise bad("a column has one filter.", "Put the codes into one filter.")
        if self.as_of is not None:
            check_day(self.as_of)

    @classmethod
    def of(
        cls,
        dataset: str,
        *,
        by: Sequence[str] = (),
        statistics: Sequence[str] = ("count",),
        where: Sequence[str] = (),
        as_of: dt.date | str | None = None,
    ) -> TableQuery:
        """Make a question from short texts, as on the command line.

        Parameters
        ----------
        dataset, by
            Dataset and dimensions.
        statistics
            See `Statistic.parse`.
        where
            See `Filter.parse`.
        as_of
            Day or moment of knowledge.
        """
        return cls(
            dataset,
            tuple(by),
            tuple(Statistic.parse(s) for s in statistics),
            tuple(Filter.parse(w) for w in where),
            as_of.isoformat() if isinstance(as_of, dt.date) else as_of,
        )

    @classmethod
    def from_dict(cls, raw: object) -> TableQuery:
        """Read a question from JSON-able data.

        Raises
        ------
        UsageError
            A key is unknown or missing, or a value is none that a question can have; says which rule, never the
            value.
        """
        if not isinstance(raw, Mapping) or set(raw) - {"dataset", "dimensions", "statistics", "where", "as_of"}:
            raise bad(
                "a question has the keys dataset, dimensions, statistics, where and as_of, and no others.",
                "Remove what is not of these.",
            )
        if missing := [k for k in ("dataset", "statistics") if k not in raw]:
            raise bad(f"a question lacks {', '.join(missing)}.", "Add it.")
        filters = raw.get("where", [])
        if not isinstance(filters, list) or not all(
            isinstance(f, Mapping) and set(f) == {"column", "op", "codes"} and isinstance(f["codes"], list)
            for f in filters
        ):
            raise bad(
                "where is a list of filters, each with column, op and codes.",
                'Write [{"column": "region", "op": "in", "codes": ["R1", "R2"]}].',
            )
        as_of = raw.get("as_of")
        if as_of is not None and not isinstance(as_of, str):
            raise bad("as_of is a day.", 'Write "2020-03-04".')
        return cls(
            raw["dataset"],
            _texts(raw.get("dimensions", []), "dimensions"),
            tuple(Statistic.parse(s) for s in _texts(raw["statistics"], "statistics")),
            tuple(Filter(f["column"], f["op"], tuple(f["codes"])) for f in filters),
            as_of,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> TableQuery:
        """Read a question from JSON text; see `from_dict`."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise bad("the question is no JSON.", "Correct it.") from None
        return cls.from_dict(raw)

    def to_dict(self) -> dict[str, Any]:
        """Return the question as JSON-able data."""
        return {
            "dataset": self.dataset,
            "dimensions": list(self.dimensions),
            "statistics": [str(s) for s in self.statistics],
            "where": [f.to_dict() for f in self.where],
            **({} if self.as_of is None else {"as_of": self.as_of}),
        }

    def to_json(self) -> str:
        """Return the question as JSON text; `from_json` reads back an equal one."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise bad(f"{name} is a list of texts.", f'Write "{name}": ["…"].')
    return tuple(value)


def check_day(text: str) -> None:
    """Refuse what is neither a day nor a moment."""
    try:
        if len(text) > 10:
            dt.datetime.fromisoformat(text)
        else:
            dt.date.fromisoformat(text)
    except ValueError:
        raise bad("as_of is neither a day nor a moment.", 'Write "2020-03-04".') from None
