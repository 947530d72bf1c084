"""`Scene`: everything that is out, as an attacker sees it: cells, sums, and what it knows besides.

Relations are built here from codes and hierarchies alone, all of them, also those that follow from others:
the attacker shares nothing with what protects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL
from opsroom.protect.microdata import numbers, texts

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.protect.rules import Rules
    from opsroom.protect.table import ProtectedTable

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_KNOWN = ("value", "at_least", "at_most", "vintage", "measure")
"""Columns of what an attacker knows besides codes."""

_SAME = 1e-9
"""Two numbers of one cell that differ by less, relative to their size, are equal."""


@dataclass(frozen=True, slots=True)
class Published:
    """A table as the public sees it, for instance the rows of a `Release`.

    Attributes
    ----------
    frame
        The dimension columns (total = ``"_T"``) and the value; a cell that is not listed is empty.
    dimensions
        Names of the dimension columns.
    hierarchies
        Dimension → frame with ``code`` and ``parent``, or code → parent; the total is implied.
    value
        Column of the numbers; missing where suppressed, or where a column ``status`` says ``suppressed``.
    measure, unit
        What is measured, and its unit: cells of several tables are one quantity only where these agree.
    """

    frame: pd.DataFrame = field(repr=False)
    dimensions: tuple[str, ...]
    hierarchies: Mapping[str, Any] = field(default_factory=dict, repr=False)
    value: str = "value"
    measure: str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Quantities, their relations, and what the attacker knows of each; arrays of shape (n,) unless said otherwise.

    Attributes
    ----------
    dimensions
        All dimensions of all tables.
    codes
        Codes of each quantity, shape (n, dimensions).
    layers, layer
        (vintage, measure, unit) of the tables, and which of them each quantity belongs to.
    shown
        Quantities that are published.
    start
        Published values; of the others the true ones where they are at hand, to score the attack, or 0.
    scored
        Quantities whose true value is at hand.
    sensitive, width
        What may not be estimated closer than ``width``.
    least, most
        What the attacker knows the quantities to be at least and at most.
    own
        What it knows of each for a fact of its own, a lower bound; ``-inf`` where nothing.
    relations
        Coefficients with ``relations @ quantities = 0``, shape (relations, n).
    """

    dimensions: tuple[str, ...]
    codes: npt.NDArray[np.object_]
    layers: tuple[tuple[str, str | None, str], ...]
    layer: Ints
    shown: Flags
    start: Floats
    scored: Flags
    sensitive: Flags
    width: Floats
    least: Floats
    most: Floats
    own: Floats
    relations: sp.csr_array

    @property
    def unknown(self) -> Flags:
        """Which quantities the attacker does not know exactly from the start."""
        flags: Flags = ~self.shown & ~(self.least == self.most)
        return flags


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One table: codes, shape (cells, dimensions), and the numbers, NaN where nobody is told."""

    vintage: Any
    measure: str | None
    unit: str
    dimensions: tuple[str, ...]
    codes: npt.NDArray[np.object_]
    value: Floats
    hidden: Flags
    sensitive: Flags
    width: Floats
    hierarchies: Mapping[str, Mapping[str, str]]
    signed: bool
    sums: tuple[tuple[tuple[str | None, str], ...], ...] = ()
    """Of one of several measures: the measures, with their units, that it is the sum of, in each way that it is one."""

    @property
    def layer(self) -> tuple[str, str | None, str]:
        return (_name(self.vintage), self.measure, self.unit)


def _name(vintage: Any) -> str:
    return " - ".join(vintage) if isinstance(vintage, tuple) else str(vintage)


def read(tables: Any, rules: Rules, known: pd.DataFrame | None) -> Scene:
    """Lay out tables as quantities with relations; see `opsroom.protect.attack.attack` for what may be given."""
    if isinstance(tables, Mapping):
        given = [(v, t) for v, ts in tables.items() for t in (ts if isinstance(ts, Sequence) else [ts])]
    else:
        given = [("", t) for t in (tables if isinstance(tables, Sequence) else [tables])]
    if not given:
        raise UsageError("there is no table to attack.")
    sheets: list[_Sheet] = []
    for vintage, table in given:
        if isinstance(table, Published):
            sheets.append(_published(vintage, table))
        elif hasattr(table, "tabulation"):
            sheets += _protected(vintage, table, rules)
        else:
            raise UsageError(
                "what is attacked are protected or published tables.",
                remedy="Give what protect_table returns, or opsroom.protect.attack.Published(frame, dimensions).",
                code="OPS-U390",
            )
    dimensions = tuple(dict.fromkeys(d for s in sheets for d in s.dimensions))
    layers = tuple(dict.fromkeys(s.layer for s in sheets))
    places = _Places.over(sheets, dimensions, layers)
    return places.scene(sheets, known)


def _protected(vintage: Any, table: ProtectedTable, rules: Rules) -> list[_Sheet]:
    """Lay out a protected table, a sheet for each of its measures."""
    made = table.tabulation
    sensitive, width = table.sensitive, table.width
    if rules != table.rules:
        sensitive = rules.sensitive(made.value, made.contributors, made.tops, made.absolute)
        width = np.where(sensitive, rules.width(made.value, made.contributors, made.tops, made.absolute), 0.0)
    codes = np.array(made.keys(), dtype=object).reshape(len(made.value), len(table.dimensions))
    if not isinstance(table.measure, tuple):
        return [
            _Sheet(
                vintage, table.measure, str(table.unit), table.dimensions, codes, made.value, table.hidden, sensitive,
                width, table.hierarchies, made.negative or isinstance(vintage, tuple),
            )
        ]  # fmt: skip
    called = made.axes[0].codes[1:]
    real = dict(zip(called, zip(table.measure, table.unit, strict=True), strict=True))
    identities: dict[str, list[tuple[tuple[str | None, str], ...]]] = {}
    for target, members in table.identities:
        identities.setdefault(target, []).append(tuple(real[m] for m in members))
    sheets = []
    for name in called:
        at = np.flatnonzero(codes[:, 0] == name)
        sheets.append(
            _Sheet(
                vintage, *real[name], table.dimensions[1:], codes[at, 1:], made.value[at], table.hidden[at],
                sensitive[at], width[at], table.hierarchies, bool(made.signed[at].any()) or isinstance(vintage, tuple),
                tuple(identities.get(name, ())),
            )
        )  # fmt: skip
    return sheets


def _published(vintage: Any, table: Published) -> _Sheet:
    frame = table.frame
    if absent := [c for c in (*table.dimensions, table.value) if c not in frame.columns]:
        raise UsageError(f"the published table lacks the column(s) {', '.join(absent)}.")
    value = _number(frame[table.value], table.value)
    hidden = np.isnan(value)
    if "status" in frame.columns:
        hidden |= frame["status"].to_numpy() == "suppressed"
    codes = np.column_stack([texts(frame[d]).to_numpy(dtype=object) for d in table.dimensions])
    parents = {d: _parents(h) for d, h in table.hierarchies.items()}
    none = np.zeros(len(frame))
    signed = bool((value[~hidden] < 0).any()) or isinstance(vintage, tuple)
    return _Sheet(
        vintage, table.measure, table.unit, table.dimensions, codes, np.where(hidden, np.nan, value), hidden,
        none.astype(bool), none, parents, signed,
    )  # fmt: skip


def _parents(hierarchy: Any) -> dict[str, str]:
    if isinstance(hierarchy, Mapping):
        return {str(c): str(p) for c, p in hierarchy.items()}
    filled = hierarchy[["code", "parent"]].dropna()
    return dict(zip(texts(filled["code"]), texts(filled["parent"]), strict=True))


def _number(column: pd.Series, name: str) -> Floats:
    """Return a column of numbers, NaN where one is missing."""
    found = np.full(len(column), np.nan)
    there = column.notna().to_numpy(dtype=bool)
    found[there] = numbers(column[there], name)
    return found


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each cell of each table stands among the quantities."""

    dimensions: tuple[str, ...]
    layers: tuple[tuple[str, str | None, str], ...]
    lists: tuple[tuple[str, ...], ...]
    """Codes of each dimension, the total first."""
    keys: Ints
    """Key of each quantity, ascending."""
    at: tuple[Ints, ...]
    """Quantity of each cell of each table."""

    @classmethod
    def over(cls, sheets: Sequence[_Sheet], dimensions: tuple[str, ...], layers: Any) -> _Places:
        lists = []
        for d in dimensions:
            seen = {str(c) for s in sheets if d in s.dimensions for c in np.unique(s.codes[:, s.dimensions.index(d)])}
            lists.append((TOTAL, *sorted(seen - {TOTAL})))
        empty = cls(dimensions, layers, tuple(lists), np.zeros(0, dtype=np.int64), ())
        keys = [empty.key(s.dimensions, s.codes, np.full(len(s.codes), layers.index(s.layer))) for s in sheets]
        for sheet, key in zip(sheets, keys, strict=True):
            if len(np.unique(key)) < len(key):
                raise UsageError(f"a table over {', '.join(sheet.dimensions)} lists a cell twice.")
        quantities = np.unique(np.concatenate(keys))
        at = tuple(np.searchsorted(quantities, key) for key in keys)
        return cls(dimensions, layers, tuple(lists), quantities, at)

    def key(self, names: Sequence[str], codes: npt.NDArray[np.object_], layer: Ints) -> Ints:
        """Return a number for each cell, -1 for codes that no table has."""
        found = layer.astype(np.int64)
        lost = np.zeros(len(codes), dtype=bool)
        room = len(self.layers)
        for name, codelist in zip(self.dimensions, self.lists, strict=True):
            room *= len(codelist)
            if room >= 2**62:
                raise UsageError("the tables have too many codes on too many dimensions to be attacked together.")
            found = found * len(codelist)
            if name in names:
                position = {c: k for k, c in enumerate(codelist)}
                column = np.array([position.get(str(c), -1) for c in codes[:, list(names).index(name)]], dtype=np.int64)
                lost |= column < 0
                found = found + column
        return np.where(lost, -1, found)

    def find(self, key: Ints) -> Ints:
        """Return the quantity of each key, -1 where there is none."""
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[at] == key, at, -1)

    def scene(self, sheets: Sequence[_Sheet], known: pd.DataFrame | None) -> Scene:
        n = len(self.keys)
        shown, scored, sensitive = (np.zeros(n, dtype=bool) for _ in range(3))
        start, width = np.zeros(n), np.zeros(n)
        signed = np.zeros(len(self.layers), dtype=bool)
        for sheet, at in zip(sheets, self.at, strict=True):
            told = ~np.isnan(sheet.value)
            both = (shown | scored)[at] & told
            gap = np.abs(start[at] - sheet.value)[both]
            if (gap > _SAME * np.maximum(np.abs(start[at][both]), 1.0)).any():
                raise UsageError(
                    "tables give different numbers for the same cell.",
                    remedy="Give vintages as a mapping, name → table; other measures another name.",
                )
            start[at[told]] = sheet.value[told]
            shown[at[~sheet.hidden]] = True
            scored[at[told & sheet.hidden]] = True
            sensitive[at[sheet.sensitive]] = True
            width[at] = np.maximum(width[at], np.where(sheet.sensitive, sheet.width, 0.0))
            signed[self.layers.index(sheet.layer)] |= sheet.signed
        scored |= shown
        layer = self.keys // int(np.prod([len(c) for c in self.lists], dtype=np.int64))
        least = np.where(signed[layer], -np.inf, 0.0)
        most, own = np.full(n, np.inf), np.full(n, -np.inf)
        if known is not None:
            self._learn(known, least, most, own)
        codes = np.empty((n, len(self.dimensions)), dtype=object)
        for sheet, at in zip(sheets, self.at, strict=True):
            for k, name in enumerate(self.dimensions):
                codes[at, k] = sheet.codes[:, sheet.dimensions.index(name)] if name in sheet.dimensions else TOTAL
        return Scene(
            self.dimensions, codes, self.layers, layer, shown, start, scored, sensitive, width, least, most, own,
            self._relations(sheets),
        )  # fmt: skip

    def _learn(self, known: pd.DataFrame, least: Floats, most: Floats, own: Floats) -> None:
        """Add what the attacker knows besides, in place."""
        names = [d for d in self.dimensions if d in known.columns]
        if not {"value", "at_least", "at_most"} & set(known.columns):
            raise UsageError("what is known has a column 'value', 'at_least' or 'at_most'.")
        if odd := [str(c) for c in known.columns if c not in {*self.dimensions, *_KNOWN}]:
            raise UsageError(
                f"what is known has the column(s) {', '.join(odd)}, which no table has.",
                remedy="Name the dimensions as the tables do.",
                code="OPS-U390",
            )
        if not {"vintage", "measure"} & set(known.columns) and len(self.layers) > 1:
            raise UsageError("what is known of several vintages or measures has the columns 'vintage' and 'measure'.")
        layer = np.zeros(len(known), dtype=np.int64)
        if "vintage" in known.columns or "measure" in known.columns:
            labels = {(v, m): k for k, (v, m, _) in enumerate(self.layers)}
            vintage = known["vintage"].astype(str) if "vintage" in known.columns else [self.layers[0][0]] * len(known)
            measure = known["measure"] if "measure" in known.columns else [self.layers[0][1]] * len(known)
            layer = np.array([labels.get(pair, -1) for pair in zip(vintage, measure, strict=True)], dtype=np.int64)
        codes = np.array([texts(known[d]).to_numpy(dtype=object) for d in names], dtype=object).T
        at = self.find(self.key(names, codes.reshape(len(known), len(names)), np.maximum(layer, 0)))
        if (at < 0).any() or (layer < 0).any():
            raise UsageError("what is known names a cell that is in none of the tables.")
        for column, into, better in (("at_least", least, np.fmax), ("at_most", most, np.fmin)):
            if column in known.columns:
                better.at(into, at, _number(known[column], column))
        if "at_least" in known.columns:
            np.fmax.at(own, at, _number(known["at_least"], "at_least"))
        if "value" in known.columns:
            value = _number(known["value"], "value")
            there = ~np.isnan(value)
            least[at[there]] = most[at[there]] = value[there]

    def _relations(self, sheets: Sequence[_Sheet]) -> sp.csr_array:
        rows: list[Ints] = []
        columns: list[Ints] = []
        data: list[Floats] = []
        number = 0
        for sheet, at in zip(sheets, self.at, strict=True):
            own = dict(zip(self.keys[at].tolist(), at.tolist(), strict=True))
            stride = 1
            for name, codelist in zip(self.dimensions[::-1], self.lists[::-1], strict=True):
                if name in sheet.dimensions:
                    up = _above(sheet, name, codelist)
                    here = (self.keys[at] // stride) % len(codelist)
                    child = np.flatnonzero(up[here] >= 0)
                    key = self.keys[at][child] + (up[here[child]] - here[child]) * stride
                    parent = np.array([own.get(k, -1) for k in key.tolist()], dtype=np.int64)
                    child, parent = at[child[parent >= 0]], parent[parent >= 0]
                    heads, which = np.unique(parent, return_inverse=True)
                    rows += [number + which, number + np.arange(len(heads))]
                    columns += [child, heads]
                    data += [np.ones(len(child)), -np.ones(len(heads))]
                    number += len(heads)
                stride *= len(codelist)
        for sheet, at in zip(sheets, self.at, strict=True):
            for members in sheet.sums:
                number += self._identity(sheet, at, members, number, (rows, columns, data))
            if isinstance(sheet.vintage, tuple):
                number += self._change(sheet, at, number, (rows, columns, data))
        where = tuple(np.concatenate(part) if part else np.zeros(0, dtype=np.int64) for part in (rows, columns))
        return sp.csr_array((np.concatenate(data) if data else np.zeros(0), where), shape=(number, len(self.keys)))

    def _identity(
        self, sheet: _Sheet, at: Ints, members: Sequence[tuple[str | None, str]], number: int, into: Any
    ) -> int:
        """Add measure = sum of other measures, cell by cell; return how many."""
        whole = int(np.prod([len(c) for c in self.lists], dtype=np.int64))
        lines = number + np.arange(len(at))
        layers = [self.layers.index((_name(sheet.vintage), *member)) for member in members]
        parts = [self.find(self.keys[at] % whole + layer * whole) for layer in layers]
        for column, sign in ((at, -1.0), *((part, 1.0) for part in parts)):
            there = column >= 0
            into[0].append(lines[there])
            into[1].append(column[there])
            into[2].append(np.full(int(there.sum()), sign))
        return len(at)

    def _change(self, sheet: _Sheet, at: Ints, number: int, into: Any) -> int:
        """Add later = earlier + change, cell by cell; return how many."""
        whole = int(np.prod([len(c) for c in self.lists], dtype=np.int64))
        numbers = [number + np.arange(len(at))] * 3
        ends = [-1, -1]
        for k, vintage in enumerate(sheet.vintage):
            label = (str(vintage), sheet.measure, sheet.unit)
            if label not in self.layers:
                raise UsageError(f"a table of changes names the vintage {vintage!r}, which is not given.")
            ends[k] = self.layers.index(label)
        later, earlier = (self.find(self.keys[at] % whole + end * whole) for end in ends)
        for row, column, sign in zip(numbers, (later, earlier, at), (1.0, -1.0, -1.0), strict=True):
            there = column >= 0  # a cell that a vintage does not list is empty in it
            into[0].append(row[there])
            into[1].append(column[there])
            into[2].append(np.full(int(there.sum()), sign))
        return len(at)


def _above(sheet: _Sheet, name: str, codelist: tuple[str, ...]) -> Ints:
    """Return for each code the place of the next code above that the table has, -1 for those it has not itself."""
    used = {str(c) for c in np.unique(sheet.codes[:, sheet.dimensions.index(name)])}
    parents = sheet.hierarchies.get(name, {})
    position = {c: k for k, c in enumerate(codelist)}
    found = np.full(len(codelist), -1, dtype=np.int64)
    for code in used - {TOTAL}:
        above = parents.get(code, TOTAL)
        for _ in range(len(parents) + 1):
            if above in used or above == TOTAL:
                break
            above = parents.get(above, TOTAL)
        found[position[code]] = position[above]
    return found
