"""Propose a dataset's specification from a file of which nothing is known.

The file is looked at (kind, encoding, where the table begins), read once (what its columns hold), drafted as a
specification, and read again by the draft, as `ingest` would. What the file does not say is asked, never
guessed: see `Question`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from opsroom.base.specs import DatasetSpec
from opsroom.observe.propose.draft import draft, plain_name
from opsroom.observe.propose.look import Look, look_at
from opsroom.observe.propose.profile import Profile, profile
from opsroom.observe.propose.questions import Interview, Question
from opsroom.observe.propose.trial import Problem, Trial, trial
from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch
from opsroom.observe.readers import open_source

__all__ = ["LOOKS", "Examined", "Problem", "Proposal", "Question", "examine", "propose"]

LOOKS = ("encoding", "delimiter", "sheet", "skip_rows", "notes")
"""Answers that change how the file is read."""

FEW = 5
"""Rows with one filled cell that are taken for remarks unasked."""

SHOWN = 5
"""Rows that are named of each question."""

_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was looked at and read once, ready for drafts.

    Attributes
    ----------
    path, look, profile
        The file, what it looks like, and what its columns hold.
    answers
        What was answered before it was read.
    notes, noted
        How many rows were left out as remarks, and the numbers of the first of them.
    """

    path: Path
    look: Look
    profile: Profile
    answers: tuple[tuple[str, str], ...]
    notes: int = 0
    noted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed specification, or what it needs.

    Attributes
    ----------
    file
        Name of the file.
    spec
        The specification; None while questions are open.
    questions
        All questions, open ones first.
    trial
        What `ingest` would do with the file; None without a specification.
    columns, rows
        Of the file, as far as it was profiled.
    """

    file: str
    spec: DatasetSpec | None
    questions: tuple[Question, ...]
    trial: Trial | None
    columns: int
    rows: int

    @property
    def open(self) -> tuple[Question, ...]:
        """Questions without whose answers there is no specification."""
        return tuple(q for q in self.questions if q.open)

    def to_toml(self) -> str:
        """Return the specification as TOML, with what was assumed as comments; empty without one."""
        if self.spec is None:
            return ""
        assumed = [q for q in self.questions if q.answer and not q.given]
        notes = [f"# assumed: {q.id} = {q.answer}" for q in assumed]
        return "\n".join([*notes, self.spec.to_toml()])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values; no value of the file is in it but names and codes."""
        found = self.trial
        return {
            "file": self.file,
            "ready": self.spec is not None,
            "columns": self.columns,
            "rows": self.rows,
            "questions": [q.to_dict() for q in self.questions],
            "accepted": found.accepted if found else None,
            "refused": found.refused if found else None,
            "repeated": found.repeated if found else None,
            "problems": [
                {"file": p.file, "field": p.field, "code": p.code, "rule": p.rule, "count": p.count,
                 "rows": list(p.rows)}
                for p in (found.problems if found else ())
            ],
            "spec": self.to_toml() or None,
        }  # fmt: skip


def examine(path: str | Path, answers: Mapping[str, str] = MappingProxyType({})) -> Examined:
    """Look at a file and read it once.

    Parameters
    ----------
    path
        A CSV, Parquet or XLSX file.
    answers
        Of these, `LOOKS` matter here.

    Raises
    ------
    DataError
        The file cannot be read at all.
    """
    file = Path(path)
    at = f"file {file.name!r}"
    ways = {name: answers[name] for name in LOOKS if answers.get(name)}
    look = look_at(file, ways, at)
    if look.kind == "parquet":
        reading = open_source(file, where="propose")
    elif look.header_found:
        reading = open_source(file, where="propose", layout=look.layout)
    else:
        raise refuse("OPS-D009", at, "no row names most columns; if one does, answer skip_rows with the rows above it")
    from opsroom.observe.arranging import without_notes

    remarks: list[int] = []
    batches = without_notes(reading.batches) if look.layout.notes else reading.batches
    seen = profile(reading.columns, _watched(batches, remarks))
    if not seen.rows and not seen.broken:
        raise refuse("OPS-D005", at)
    return Examined(file, look, seen, tuple(sorted(ways.items())), len(remarks), tuple(sorted(remarks)[:SHOWN]))


def _watched(batches: Iterator[RawBatch], remarks: list[int]) -> Iterator[RawBatch]:
    for raw in batches:
        remarks.extend(raw.notes)
        yield raw


def propose(
    source: str | Path | Examined,
    answers: Mapping[str, str] = MappingProxyType({}),
    *,
    name: str = "",
    lists: Mapping[str, Sequence[str]] = _NOTHING,
    known_at: datetime | None = None,
    timezone: str = "UTC",
) -> Proposal:
    """Propose a specification for a file.

    Parameters
    ----------
    source
        The file, or what `examine` returned for it.
    answers
        Question's id → answer.
    name
        Name of the dataset; made of the file's where absent.
    lists
        The room's own code lists.
    known_at
        Moment of the delivery, after which no period may lie; absent: none is too late.
    timezone
        Zone in which days end.

    Returns
    -------
    Proposal
        With a specification that `opsroom ingest` takes the file by, or with open questions.

    Raises
    ------
    DataError
        The file cannot be read at all.
    SpecError
        What the answers describe may not be observed.
    UsageError
        An answer is none of the options, or nothing of that name was asked.
    """
    examined = source if isinstance(source, Examined) else examine(source, answers)
    interview = Interview(answers)
    _ask_looks(examined, interview)
    dataset = name or plain_name(examined.path.stem, 0, ())
    spec = draft(examined.profile, examined.look.layout, interview, name=dataset, lists=lists)
    if spec is not None or not any(q.open for q in interview.questions):
        interview.check(more=(*LOOKS, "allow_future"))
    found = None
    if spec is not None:
        moment, zone = known_at or datetime(2299, 12, 31, tzinfo=UTC), ZoneInfo(timezone)
        where = f"dataset {dataset!r}"
        found = trial(examined.path, spec, lists, known_at=moment, tz=zone, where=where)
        ahead = sum(p.count for p in found.problems if p.code == "OPS-D030")
        if ahead:
            said = interview.ask(
                "allow_future",
                f"In {ahead:,} rows the period lies after the day on which they became known. Is that meant "
                "(forecasts, a calendar)?",
                options=("yes", "no"),
                required=True,
            )
            spec = None if not said else replace(spec, allow_future=said == "yes")
            found = trial(examined.path, spec, lists, known_at=moment, tz=zone, where=where) if spec else None
        if found is not None and not found.accepted:
            raise refuse("OPS-D056", f"file {examined.path.name!r}", "; ".join(map(str, found.problems[:3])))
    columns = len(examined.profile.columns)
    return Proposal(examined.path.name, spec, interview.questions, found, columns, examined.profile.rows)


def _ask_looks(examined: Examined, interview: Interview) -> None:
    look = examined.look
    if examined.notes or interview.answers.get("notes"):
        rows = ", ".join(map(str, examined.noted)) + (", …" if examined.notes > len(examined.noted) else "")
        few = examined.notes <= max(FEW, examined.profile.rows // 10)
        interview.ask(
            "notes",
            f"Only one cell is filled in {examined.notes:,} row(s): {rows}. Are they remarks, to be left out?",
            options=("yes", "no"),
            default="yes" if few else "",
            required=True,
        )
    if len(look.sheets) > 1:
        interview.ask("sheet", "Which sheet is meant?", options=look.sheets, required=True)
    if not look.encoding_seen:
        interview.ask("encoding", "The file is not UTF-8. In which encoding is it?", default=look.layout.encoding)
