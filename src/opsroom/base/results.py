"""What every result can do, and `Cells`: a result's publishable content with what the gate must know.

A result is confidential until it has become a `Release`. `Cells` is the only form in which
a result can be handed to the gate (`opsroom.protect`): a table of additive *parts* (each with the
number of enterprise groups behind it and the largest groups' contributions) and of *measures*
computed from the parts. The gate judges parts; it publishes measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    import altair as alt
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

TOTAL = "_T"
"""Code of the total in every dimension, as in SDMX."""

TOP = 3
"""How many of the largest group contributions a part carries."""

MeasureKind = Literal["count", "sum", "share", "ratio", "public"]


@runtime_checkable
class Result(Protocol):
    """What every result of a method can do. Results are frozen and hold no open handles."""

    def summary(self) -> str:
        """Return the result in a few lines of text."""

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a pandas frame."""

    def cite(self) -> str:
        """Return source paper, method version and data vintages."""


@runtime_checkable
class Charted(Protocol):
    """A result that can be drawn."""

    def chart(self) -> alt.Chart:
        """Return an Altair chart with finding, units, source and as-of date."""


@dataclass(frozen=True, slots=True)
class Part:
    """An additive quantity that stands behind one or more measures.

    In `Cells.frame` a part ``p`` has the columns ``p`` (int64 or float, additive over the
    dimensions), ``p__groups`` (number of enterprise groups with a non-zero contribution) and
    ``p__top1 … p__top3`` (the largest absolute contributions of a group; 0 where there are fewer).
    """

    name: str
    unit: str
    """``"companies"``, ``"jobs"``, ``"EUR cent"``, ``"Wh"`` …"""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the part needs in the frame."""
        return (self.name, f"{self.name}__groups", *(f"{self.name}__top{k}" for k in range(1, TOP + 1)))


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that the gate may publish.

    ``count`` and ``sum`` have one part and show it; ``share`` has two, numerator and denominator,
    of which the first is contained in the second (so that its complement is protected, too);
    ``ratio`` has two that are unrelated; ``public`` has none and is a function of public data
    or of earlier releases alone. `attached` names columns that are published with the measure
    and suppressed with it: interval bounds, flags.
    """

    name: str
    kind: MeasureKind
    unit: str
    parts: tuple[str, ...] = ()
    decimals: int = 1
    scale: float = 1.0
    """Multiplies the value before rounding: 100 for a share in per cent, 0.01 from cents to euros."""
    attached: tuple[str, ...] = ()
    sides: tuple[tuple[str, ...], ...] = ()
    """The same figures by other contributors: a payment is a seller's and a buyer's. One tuple of parts a side, in the
    order of `parts`. The measure is published where the rules hold for every side."""

    def __post_init__(self) -> None:
        wanted = {"count": 1, "sum": 1, "share": 2, "ratio": 2, "public": 0}[self.kind]
        if any(len(parts) != wanted for parts in (self.parts, *self.sides)):
            raise UsageError(
                f"measure {self.name!r} of kind {self.kind!r} needs {wanted} part(s), has {len(self.parts)}.",
                remedy="Name the additive parts behind the measure, of every side as many.",
            )

    @property
    def every_side(self) -> tuple[tuple[str, ...], ...]:
        """Parts by side, those that are shown first; none of a measure without parts."""
        return (self.parts, *self.sides) if self.parts else ()


@dataclass(frozen=True, slots=True)
class Cells:
    """The publishable content of a result.

    Attributes
    ----------
    name
        Name of the release series, such as ``"resumption.section"``; letters, digits, ``_`` and ``.``.
    dimensions
        Names of the dimension columns in `frame`. Values are strings; the total is ``"_T"``.
        A time dimension holds ISO dates or periods (``2020-03-04``, ``2020-W10``, ``2020-03``, ``2020-Q1``).
    additive
        The dimensions over which parts add up to the total ``"_T"`` (a time dimension usually is not one).
    hierarchies
        For an additive dimension: child code → parent code, the total implied. Empty means flat.
    parts, measures
        See `Part` and `Measure`.
    frame
        One row a cell: dimension columns, part columns, attached columns, and for measures of kind
        ``public`` a column of the measure's name and, where the releases that it rests on hide something, a
        boolean one ``<name>__withheld``. A measure may have ``<name>__adjusted``: an estimate
        (in published units) shown instead of the plain function of its parts; it is suppressed with them.
    provenance
        Dataset name → Delta version read. Confidential unless every leaf is public.
    public
        True when every leaf is a registered public dataset or an earlier release. Only `Room` sets it.
    title, unit_kind, method, source, notes
        Message ids and words for the faces: never microdata values.
    completed
        Given which rows of `frame` are shown whole with the numbers that they have now (boolean, one a row), returns
        attached columns in place of those in `frame`. For what rests on several cells at once and must not rest on one
        that is withheld: the gate calls it when it has judged.
    """

    name: str
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...]
    frame: pd.DataFrame
    parts: tuple[Part, ...] = ()
    additive: tuple[str, ...] = ()
    hierarchies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    provenance: Mapping[str, int] = field(default_factory=dict)
    public: bool = False
    unit_kind: str = "enterprise"
    method: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Scalar facts that are public (reference date, last complete day, horizon); JSON-able."""
    completed: Callable[[npt.NDArray[np.bool_]], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        known = {part.name for part in self.parts}
        for measure in self.measures:
            missing = [name for side in measure.every_side for name in side if name not in known]
            if missing:
                raise UsageError(f"measure {measure.name!r} names unknown part(s) {', '.join(missing)}.")
        wanted = [*self.dimensions, *(c for p in self.parts for c in p.columns)]
        wanted += [c for m in self.measures for c in m.attached]
        wanted += [m.name for m in self.measures if m.kind == "public"]
        absent = [c for c in wanted if c not in self.frame.columns]
        if absent:
            raise UsageError(
                f"cells {self.name!r} lack the column(s) {', '.join(absent)}.",
                remedy="Give every dimension, part and attached column.",
            )
        if self.frame.duplicated(list(self.dimensions)).any():
            raise UsageError(f"cells {self.name!r} have two rows for one cell.")
