"""`DerivedQuery`: a number derived from cells, asked for by declaration, in a form that can be kept as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsroom.base.derived_statistic import NAME, DerivedStatistic
from opsroom.room.tablequery import Filter, TableQuery, bad, check_day

_KEYS = ("dataset", "statistic", "period", "base", "cell", "of", "as_of")


@dataclass(frozen=True, slots=True)
class DerivedQuery:
    """A number derived from cells, asked for by declaration.

    Attributes
    ----------
    dataset
        Its name.
    statistic
        See `DerivedStatistic`.
    period
        Which period it is about.
    base
        The earlier period, of a rate of growth; else None.
    cell
        Dimension and code for each that is not the total, in the order of names.
    of
        The cell that a share is of: the same; empty for the whole.
    as_of
        Day or moment of knowledge, ISO text; None for the latest.

    Examples
    --------
    >>> from opsroom.room.derivedquery import DerivedQuery
    >>> query = DerivedQuery.of_texts("vat", "growth:sales", period="2020-02", base="2020-01", cell=["region=R1"])
    >>> query == DerivedQuery.from_dict(query.to_dict())
    True
    """

    dataset: str
    statistic: DerivedStatistic
    period: str
    base: str | None = None
    cell: tuple[tuple[str, str], ...] = ()
    of: tuple[tuple[str, str], ...] = ()
    as_of: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not NAME.fullmatch(self.dataset):
            raise bad("a question names a dataset.", "Give the dataset's name.", code="OPS-U165")
        if not isinstance(self.period, str) or not (self.base is None or isinstance(self.base, str)):
            raise bad("a derived number is of one period.", 'Write "period": "2020-01".', code="OPS-U165")
        if (self.base is not None) is not (self.statistic.kind == "growth"):
            raise bad(
                "a rate of growth, and nothing else, has an earlier period.",
                'Write "base": "2019-12".',
                code="OPS-U165",
            )
        if self.of and self.statistic.kind != "share":
            raise bad("only a share is of another cell.", "Leave of out.", code="OPS-U165")
        if self.as_of is not None:
            check_day(self.as_of)

    @classmethod
    def of_texts(
        cls,
        dataset: str,
        statistic: str,
        *,
        period: str,
        base: str | None = None,
        cell: Sequence[str] = (),
        of: Sequence[str] = (),
        as_of: dt.date | str | None = None,
    ) -> DerivedQuery:
        """Make a question from short texts, as on the command line.

        Parameters
        ----------
        dataset
            Its name.
        statistic
            See `DerivedStatistic.parse`.
        period, base
            The period, and the earlier one of a rate of growth.
        cell, of
            ``DIMENSION=CODE`` each.
        as_of
            Day or moment of knowledge.
        """
        return cls(
            dataset,
            DerivedStatistic.parse(statistic),
            period,
            base,
            _codes(dict(_pair(text) for text in cell), len(cell)),
            _codes(dict(_pair(text) for text in of), len(of)),
            as_of.isoformat() if isinstance(as_of, dt.date) else as_of,
        )

    @classmethod
    def from_dict(cls, raw: object) -> DerivedQuery:
        """Read a question from JSON-able data.

        Raises
        ------
        UsageError
            A key is unknown or missing, or a value is none that a question can have; says which rule, never the
            value.
        """
        if not isinstance(raw, Mapping) or set(raw) - set(_KEYS):
            raise bad(f"a question has the keys {', '.join(_KEYS)}.", "Remove what is not of these.", code="OPS-U165")
        if missing := [k for k in ("dataset", "statistic", "period") if not isinstance(raw.get(k), str)]:
            raise bad(f"a question lacks {', '.join(missing)}, or not as a text.", "Add it.", code="OPS-U165")
        cell, of, as_of = raw.get("cell", {}), raw.get("of", {}), raw.get("as_of")
        if not isinstance(cell, Mapping) or not isinstance(of, Mapping) or not isinstance(as_of, str | None):
            raise bad(
                "cell and of give a code for each dimension, as_of is a day.",
                'Write {"region": "R1"} and "2020-03-04".',
                code="OPS-U165",
            )
        statistic = DerivedStatistic.parse(raw["statistic"])
        return cls(
            raw["dataset"], statistic, raw["period"], raw.get("base"),
            _codes(cell, len(cell)), _codes(of, len(of)), as_of,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str | bytes) -> DerivedQuery:
        """Read a question from JSON text; see `from_dict`."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise bad("the question is no JSON.", "Correct it.", code="OPS-U165") from None
        return cls.from_dict(raw)

    def to_dict(self) -> dict[str, Any]:
        """Return the question as JSON-able data."""
        return {
            "dataset": self.dataset,
            "statistic": str(self.statistic),
            "period": self.period,
            **({} if self.base is None else {"base": self.base}),
            "cell": dict(self.cell),
            **({"of": dict(self.of)} if self.of else {}),
            **({} if self.as_of is None else {"as_of": self.as_of}),
        }


Question = TableQuery | DerivedQuery
"""What may be asked of a dataset that nobody may look into."""


def read_question(raw: object) -> Question:
    """Read a question of either kind from JSON-able data: one that names a single statistic is for a derived number."""
    return DerivedQuery.from_dict(raw) if isinstance(raw, Mapping) and "statistic" in raw else TableQuery.from_dict(raw)


def _pair(text: str) -> tuple[str, str]:
    column, sign, code = text.partition("=")
    if not sign:
        raise bad("a cell is given by codes of dimensions.", "Write --cell region=R1.", code="OPS-U165")
    return column.strip(), code.strip()


def _codes(given: Mapping[Any, Any], number: int) -> tuple[tuple[str, str], ...]:
    if len(given) != number or not all(isinstance(k, str) and isinstance(v, str) for k, v in given.items()):
        raise bad("a dimension of a cell is named once, with one code.", "Write --cell region=R1.", code="OPS-U165")
    return tuple(sorted((Filter(k, "eq", (v,)).column, v) for k, v in given.items()))
