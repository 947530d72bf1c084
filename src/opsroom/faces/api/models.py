"""What the API answers, typed."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from opsroom.faces import kpis, words
from opsroom.faces.activity import Comparison
from opsroom.faces.figures.figure import stamp_of
from opsroom.faces.reader import measures_of

Cell = str | int | float | bool | None


class Compared(BaseModel):
    """What two days' pages say of one figure and period."""

    series: str
    title: str
    period: str
    unit: str
    earlier: float | None
    later: float | None
    revision: float | None

    @classmethod
    def of(cls, found: Comparison) -> Compared:
        """Take a comparison over."""
        return cls(
            series=found.series, title=found.title, period=found.period, unit=found.unit, earlier=found.earlier,
            later=found.later, revision=found.revision,
        )  # fmt: skip


class Activity(BaseModel):
    """The activity desk; `against` is the day that it is compared with."""

    as_of: date
    figures: list[str]
    events: list[str]
    against: date | None = None
    compared: list[Compared] = Field(default_factory=list)


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with opsroom's code and remedy."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    remedy: str = ""


class Health(BaseModel):
    """Whether the room answers; `alarm` says what the last verification of its records found wrong."""

    status: str
    version: str
    days: int
    latest: date | None
    alarm: str = ""


class Caller(BaseModel):
    """Who a token stands for."""

    name: str
    role: str
    rights: list[str]
    scope: dict[str, list[str]]


class Head(BaseModel):
    """Number and hash of a chain's last entry."""

    seq: int
    hash: str


class TableFilter(BaseModel):
    """Whole codes of a dimension, or periods, that a table is cut to."""

    model_config = ConfigDict(extra="forbid")
    column: str
    op: Literal["eq", "in", "between"]
    codes: list[str]


class TableQuery(BaseModel):
    """A table asked for; statistics are ``count``, ``sum:FIELD``, ``mean:FIELD``, ``share:FIELD``."""

    model_config = ConfigDict(extra="forbid")
    dataset: str
    dimensions: list[str] = Field(default_factory=list)
    statistics: list[str]
    where: list[TableFilter] = Field(default_factory=list)
    as_of: str | None = None


class DerivedQuery(BaseModel):
    """A number derived from cells; ``ratio:FIELD/FIELD``, ``share:FIELD``, ``growth:FIELD``, or one that the dataset
    declares, such as ``quantile:FIELD=0.5``, ``top_share:FIELD=4``, ``hhi:FIELD`` or ``regression:FIELD~FIELD``.
    """

    model_config = ConfigDict(extra="forbid")
    dataset: str
    statistic: str
    period: str
    base: str | None = None
    cell: dict[str, str] = Field(default_factory=dict)
    of: dict[str, str] = Field(default_factory=dict)
    as_of: str | None = None


class Room(BaseModel):
    """Public settings of the room; further keys pass through."""

    model_config = ConfigDict(extra="allow")
    title: str = "Operations room"
    country: str = ""
    synthetic: bool = False
    disclaimer: str = ""
    regions: list[dict[str, Any]] = Field(default_factory=list)


class Measure(BaseModel):
    """A published measure."""

    name: str
    unit: str
    kind: str
    decimals: int


class Stamp(BaseModel):
    """What identifies a release."""

    id: str
    day: date
    hash: str
    ledger: int | None = None
    profile: str = ""
    cells: int | None = None
    suppressed: int | None = None
    certificate: str | None = None
    """Against whom the release is certified: ``outsider``, ``contributor`` or ``coalition``."""


class Release(Stamp):
    """A release without its rows."""

    name: str
    dimensions: list[str]
    measures: list[Measure]
    method: str
    source: str
    licence: str

    @classmethod
    def of(cls, release: Any) -> Release:
        """Describe a stored release."""
        measures = [Measure(name=m.name, unit=m.unit, kind=m.kind, decimals=m.decimals) for m in measures_of(release)]
        return cls(
            **stamp_of(release),
            name=release.name,
            dimensions=[str(d) for d in release.dimensions],
            measures=measures,
            method=str(release.method),
            source=str(release.source),
            licence=str(release.licence),
        )


class Figure(BaseModel):
    """A figure with its data."""

    name: str
    group: str
    as_of: date
    released: date
    finding: str
    unit: str
    description: str
    source: str
    licence: str
    method: str
    synthetic: bool
    disclaimer: str
    measures: list[Measure]
    columns: list[str]
    rows: list[list[Cell]]
    releases: list[Stamp]


class Kpi(BaseModel):
    """A key figure."""

    id: str
    label: str
    number: float
    lower: float | None
    upper: float | None
    unit: str
    value: str
    interval: str
    about: str
    change: str
    note: str
    figure: str
    history: list[float | None]
    releases: list[str]

    @classmethod
    def of(cls, kpi: kpis.Kpi) -> Kpi:
        """Describe a key figure."""
        return cls(
            **{name: getattr(kpi, name) for name in cls.model_fields if name not in ("history", "releases")},
            history=list(kpi.history),
            releases=list(kpi.releases),
        )


class Sentence(BaseModel):
    """A generated sentence."""

    id: str
    topic: str
    text: str
    values: dict[str, str]
    releases: list[str]

    @classmethod
    def of(cls, sentence: words.Sentence) -> Sentence:
        """Describe a sentence."""
        return cls(
            id=sentence.id,
            topic=sentence.topic,
            text=sentence.text,
            values=sentence.values,
            releases=list(sentence.releases),
        )


class Refusal(BaseModel):
    """What the gate refused: rule and public remedy, never counts."""

    day: str
    name: str
    rule: str
    remedy: str

    @classmethod
    def of(cls, refusal: Any) -> Refusal:
        """Describe a refusal, whatever its type."""
        get = refusal.get if isinstance(refusal, dict) else lambda key, default="": getattr(refusal, key, default)
        return cls(**{key: str(get(key, "") or "") for key in ("day", "name", "rule", "remedy")})


class Overview(BaseModel):
    """The first page."""

    as_of: date
    synthetic: bool
    disclaimer: str
    kpis: list[Kpi]
    story: list[Sentence]
    figures: list[str]


class Data(BaseModel):
    """The data page."""

    as_of: date
    series: list[Release]
    refusals: list[Refusal]


class Method(BaseModel):
    """How a family of figures is made."""

    name: str
    text: str
    series: list[str]
