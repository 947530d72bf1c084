"""The `opsroom dataset` commands: register, list and show what a room takes in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from opsroom.room.proposing import Proposal, Question

dataset = App(name="dataset", help="Propose, register and list the datasets of a room.")


@dataset.command(name="add")
def dataset_add(
    files: list[Path] | None = None,
    /,
    *,
    room: RoomPath = Path(),
    built_in: Annotated[list[str] | None, Parameter(name="--built-in", negative="")] = None,
    column: list[str] | None = None,
    currency: str = "",
    frequency: str = "",
    legal_basis: str = "",
    provider: str = "",
    licence: str = "",
) -> None:
    """Register datasets by their specifications, or built-in ones by name; a built-in one opens its desk.

    Parameters
    ----------
    files
        Specification files (TOML).
    room
        Folder of the room.
    built_in
        Name of a built-in dataset; may be given several times.
    column
        Of a built-in dataset: field=column, where a file names its column otherwise.
    currency
        Of a built-in dataset: ISO 4217 code of its money. Default: EUR.
    frequency
        Of a built-in dataset of series: M, Q, A, where it is not the built-in one.
    legal_basis
        By which the room may hold a confidential built-in dataset.
    provider
        Of a built-in dataset: who delivers it, by the name in providers.toml.
    licence
        Of a built-in dataset: its licence, or on what terms it is held.
    """
    if bool(files) == bool(built_in):
        raise UsageError(
            "name specification files, or built-in datasets.", remedy="Such as --built-in load.", code="OPS-U047"
        )
    with open_room(room) as opened:
        for file in files or []:
            say(f"Registered {opened.add_dataset(file).name}.")
        if built_in:
            from opsroom.room.built_in import add_built_in
            from opsroom.room.built_in import built_in as shipped

            columns = _pairs(column or [], "a column is mapped field=column.")
            specs = [
                shipped(
                    name,
                    columns=columns,
                    currency=currency,
                    frequency=frequency,
                    legal_basis=legal_basis,
                    provider=provider,
                    licence=licence,
                )
                for name in built_in
            ]
            for spec in specs:
                desk = add_built_in(opened, spec)
                say(f"Registered {spec.name}{f', with desk {desk!r}' if desk else ''}.")


@dataset.command(name="list")
def dataset_list(
    *,
    room: RoomPath = Path(),
    built_in: Annotated[bool, Parameter(name="--built-in", negative="")] = False,
    json: Json = False,
) -> None:
    """List the datasets of a room, or those that ship with opsroom.

    Parameters
    ----------
    room
        Folder of the room.
    built_in
        List the built-in datasets.
    json
        Print one JSON object.
    """
    if built_in:
        from opsroom.room.built_in import DESKS, built_in_names
        from opsroom.room.built_in import built_in as shipped

        found = [shipped(name, legal_basis="none yet") for name in built_in_names()]
        rows: list[tuple[str, ...]] = [
            (
                s.name,
                s.title,
                s.frequency,
                "confidential" if s.confidential else "public",
                str(DESKS.get(s.name, {}).get("kind", "")),
                ", ".join([*(f.name for f in s.fields), *([s.known_at_field] if s.known_at_field else [])]),
            )
            for s in found
        ]
        columns: tuple[str, ...] = ("name", "title", "frequency", "access", "desk", "columns")
    else:
        with open_room(room) as opened:
            specs = [opened.store.specs[name] for name in sorted(opened.store.specs)]
        columns = ("name", "title", "frequency", "access", "provider")
        rows = [(s.name, s.title, s.frequency, "confidential" if s.confidential else "public", s.provider)
                for s in specs]  # fmt: skip
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@dataset.command(name="show")
def dataset_show(name: str, /, *, room: RoomPath = Path()) -> None:
    """Print the specification of a dataset.

    Parameters
    ----------
    name
        Name of the dataset.
    room
        Folder of the room.
    """
    with open_room(room) as opened:
        emit(opened.store.spec(name).to_toml())


@dataset.command(name="propose")
def dataset_propose(
    file: Path,
    /,
    *,
    room: Annotated[Path | None, Parameter(name="--room")] = None,
    name: str = "",
    out: Path | None = None,
    answer: list[str] | None = None,
    json: Json = False,
) -> None:
    """Read a file, propose its specification, ask what it does not say, and show problems by row.

    Parameters
    ----------
    file
        A CSV, Parquet or XLSX file.
    room
        Folder of a room in which the dataset is registered, with a desk that charts it where one can.
    name
        Name of the dataset. Default: made of the file's name.
    out
        File to write the specification (TOML) to. Without it and without a room, it is printed.
    answer
        Answer to a question: id=value. May be given several times.
    json
        Print one JSON object; nothing is asked.
    """
    from opsroom.room.proposing import LOOKS, propose_dataset, register_proposal

    answers = _pairs(answer or [], "an answer is written id=value.")
    opened = open_room(room) if room is not None else None
    try:
        examined, proposal = propose_dataset(file, answers, name=name, room=opened)
        while not json and sys.stdin.isatty() and (question := _next(proposal, answers)) is not None:
            answers[question.id] = _ask(question)
            again = file if question.id in LOOKS else examined
            examined, proposal = propose_dataset(again, answers, name=name, room=opened)
        desk = ""
        if proposal.spec is not None:
            if out is not None:
                out.write_text(proposal.to_toml(), encoding="utf-8")
            if opened is not None:
                desk = register_proposal(opened, examined, proposal)
    finally:
        if opened is not None:
            opened.close()
    if json:
        emit_json({**proposal.to_dict(), "desk": desk})
        return
    _tell(proposal)
    if proposal.spec is None:
        raise UsageError(
            f"{len(proposal.open)} question(s) are open.",
            remedy="Answer them with --answer id=value.",
            code="OPS-U044",
        )
    if out is None and room is None:
        emit(proposal.to_toml().rstrip())
    if out is not None:
        say(f"Wrote {out}.")
    if room is not None:
        charted = f", with desk {desk!r}" if desk else "; no desk was opened"
        say(f"Registered {proposal.spec.name} in {room}{charted}.")


def _pairs(given: list[str], rule: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or not name.strip():
            raise UsageError(rule, remedy="Write name=value.", code="OPS-U040")
        found[name.strip()] = value.strip()
    return found


def _next(proposal: Proposal, answers: dict[str, str]) -> Question | None:
    """Return the question to ask next: those without whose answer there is no specification, then the source."""
    if proposal.open:
        return proposal.open[0]
    polite = (q for q in proposal.questions if q.id in ("title", "provider", "licence") and q.id not in answers)
    return next(polite, None)


def _ask(question: Question) -> str:
    """Ask on the terminal until there is an answer; an empty line takes the default, or leaves it open."""
    while True:
        say(f"{question.text}{f' [{question.default}]' if question.default else ''}")
        if question.options:
            say(f"  one of: {', '.join(question.options)}")
        sys.stderr.write(f"{question.id}: ")
        sys.stderr.flush()
        said = sys.stdin.readline()
        if not said:
            raise UsageError("no answer was given.", remedy="Answer with --answer id=value.", code="OPS-U044")
        said = said.strip() or question.default
        if not said and not question.required:
            return ""
        if said and (not question.options or said.lower() in {o.lower() for o in question.options}):
            return said


def _tell(proposal: Proposal) -> None:
    """Tell what was seen, assumed, asked and found wrong."""
    say(f"{proposal.file}: {proposal.columns} columns, {proposal.rows:,} rows.")
    for question in proposal.questions:
        if question.answer and not question.given:
            say(f"  assumed {question.id} = {question.answer}  (change it with --answer {question.id}=…)")
    for question in proposal.open:
        options = f" One of: {', '.join(question.options)}." if question.options else ""
        say(f"  open {question.id}: {question.text}{options}")
    if proposal.trial is None:
        return
    found = proposal.trial
    repeated = f", {found.repeated:,} repeat another" if found.repeated else ""
    say(f"By this specification {found.accepted:,} rows would be accepted, {found.refused:,} refused{repeated}.")
    for problem in found.problems[:20]:
        say(f"  {problem}")
