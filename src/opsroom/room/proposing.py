"""Propose a dataset for a room from a file, and open a desk on it where one fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.observe.propose import LOOKS, Examined, Proposal, Question, examine, propose
from opsroom.room.opening import open_desk

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec
    from opsroom.room.room import Room

__all__ = ["LOOKS", "Examined", "Proposal", "Question", "chart_desk", "propose_dataset", "register_proposal"]

SERIES = 8
"""Series that a first chart shows, at most: those with most values."""


def propose_dataset(
    source: str | Path | Examined,
    answers: Mapping[str, str],
    *,
    name: str = "",
    room: Room | None = None,
) -> tuple[Examined, Proposal]:
    """Propose a specification for a file, with the code lists and the time zone of a room, where one is given.

    Returns
    -------
    tuple of Examined and Proposal
        What was read, for another try with more answers, and the proposal.
    """
    examined = source if isinstance(source, Examined) else examine(source, answers)
    if room is None:
        return examined, propose(examined, answers, name=name)
    proposal = propose(
        examined,
        answers,
        name=name,
        lists=dict(room.store.code_lists),
        known_at=room.store.clock(),
        timezone=room.settings.timezone,
    )
    return examined, proposal


def register_proposal(room: Room, examined: Examined, proposal: Proposal) -> str:
    """Register a proposal in a room and open a desk that charts it, where one can.

    Returns
    -------
    str
        Name of the desk, or an empty text.
    """
    if proposal.spec is None:
        raise ValueError("a proposal with open questions has no specification")
    spec = room.add_dataset(proposal.spec)
    options = chart_desk(spec, examined)
    if options is None:
        return ""
    room.guard.require("manage_rules")
    if not open_desk(room.path, options):
        return ""
    return str(options.get("name", options["kind"]))


def chart_desk(spec: DatasetSpec, examined: Examined) -> dict[str, Any] | None:
    """Return the settings of a desk `levels` for a public dataset of series; None where it holds none."""
    codes = [name for name in spec.key if name != spec.period]
    values = [f.name for f in spec.fields if f.type in ("number", "integer") and f.name not in spec.key]
    if spec.confidential or spec.frequency == "event" or len(codes) > 1 or not values:
        return None
    options: dict[str, Any] = {"kind": "levels", "name": spec.name, "dataset": spec.name}
    if not codes:
        if len(values) > 1:
            options["values"] = values[:SERIES]
        return options
    unit = spec.field(values[0]).measure
    options |= {"value": values[0], **({"unit": unit} if unit else {})}
    if len(values) > 1:
        words = spec.field(values[0]).title or values[0].replace("_", " ")
        options["title"] = f"{spec.title}, {words.partition('(')[0].strip()}"
    column = examined.profile.columns.get(spec.field(codes[0]).source)
    if column is not None and len(column.texts) > SERIES:
        kind = spec.field(codes[0]).type
        if kind not in ("string", "code", "integer"):
            return None  # too many series, and the file writes their codes otherwise than the store
        often = [text for text, _ in column.texts.most_common(SERIES)]
        options["series"] = sorted(str(int(float(text))) if kind == "integer" else text for text in often)
    return options
