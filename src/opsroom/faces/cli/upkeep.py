"""Commands that keep the store in order: compaction, recorded erasure, versions of specifications."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, emit_table, say

if TYPE_CHECKING:
    from opsroom.room.upkeep import Erasure

store = App(name="store", help="Merge files, erase by law, list and lift erasures.")

Flag = Annotated[bool, Parameter(negative="")]


def dataset_update(file: Path, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Register the next version of a dataset's specification.

    Parameters
    ----------
    file
        The specification wanted (TOML).
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.base.specs import DatasetSpec

    with open_room(room) as opened:
        spec = DatasetSpec.from_toml(file)
        name, words = spec.name, opened.update_dataset(spec)
        version = opened.store.spec(name).version
    if json:
        emit_json({"dataset": name, "version": version, "changes": list(words)})
        return
    if not words:
        say(f"{name} is registered so already: version {version}.")
        return
    for one in words:
        say(one[0].upper() + one[1:] + ".")
    say(f"{name} is now at version {version}.")


@store.command
def compact(
    dataset: str | None = None, /, *, room: RoomPath = Path(), vacuum: Flag = False, json: Json = False
) -> None:
    """Merge small files in the order of periods; no vintage is lost and no answer changes.

    Parameters
    ----------
    dataset
        Name of the dataset; all of them where absent.
    room
        Folder of the room.
    vacuum
        Also delete the files that only earlier versions were made of; these are then read from the new ones.
    json
        Print one JSON object.
    """
    from opsroom.room.upkeep import compact_datasets

    with open_room(room) as opened:
        done = compact_datasets(opened, dataset, vacuum=vacuum)
    rows = [dataclasses.asdict(one) for one in done]
    if json:
        emit_json(rows)
    else:
        columns = ("dataset", "before", "after", "rows", "deleted")
        emit_table(columns, [tuple(str(row[c]) for c in columns) for row in rows])


@store.command
def erase(
    dataset: str | None = None,
    /,
    *,
    reason: str = "",
    legal_basis: str = "",
    where: list[str] | None = None,
    keys_file: Path | None = None,
    field: str = "",
    recorded_before: dt.date | None = None,
    past_retention: Flag = False,
    room: RoomPath = Path(),
    json: Json = False,
) -> None:
    """Erase all rows of a unit, or all of an age, in every vintage, from files, log and quarantine; a record stays.

    Parameters
    ----------
    dataset
        Name of the dataset; with --past-retention all of them where absent.
    reason
        Why; with --past-retention the retention where absent.
    legal_basis
        By what right; with --past-retention the provider's where absent.
    where
        FIELD=VALUE; may be given several times, with one field.
    keys_file
        File with one value a line, of the field given by --field; spares the shell's history the values.
    field
        Field of the values in the file; the dataset's unit field where absent.
    recorded_before
        Erase what was recorded before this day, in the room's time zone.
    past_retention
        Erase what is held longer than providers.toml allows; nothing where nothing is.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.base.periods import start_of_day
    from opsroom.room.upkeep import erase_old, erase_past_retention, erase_rows

    by_value = bool(where) or keys_file is not None
    if by_value + (recorded_before is not None) + past_retention != 1 or (dataset is None and not past_retention):
        raise UsageError(
            "an erasure names a dataset, and values of one field or an age.",
            remedy="Give --where FIELD=VALUE, --keys-file FILE, --recorded-before DAY or --past-retention.",
            code="OPS-U112",
        )
    if past_retention:
        with open_room(room) as opened:
            _tell_erasures(erase_past_retention(opened, dataset, reason=reason, legal_basis=legal_basis), json=json)
        return
    assert dataset is not None  # asked above
    with open_room(room) as opened:
        if recorded_before is not None:
            moment = start_of_day(recorded_before, opened.zone)
            old = erase_old(opened, dataset, moment, reason=reason, legal_basis=legal_basis)
            _tell_erasures([old], json=json, alone=True)
            return
        pairs = [one.partition("=") for one in where or []]
        names = {name.strip() for name, _, _ in pairs}
        values = [value for _, _, value in pairs]
        if keys_file is not None:
            names.add(field or opened.store.spec(dataset).unit_field)
            values += _lines(keys_file)
        if len(names) != 1 or not values or not all(sign for _, sign, _ in pairs):
            raise UsageError(
                "an erasure names values of one field.",
                remedy="Give --where FIELD=VALUE, or --keys-file FILE with --field.",
                code="OPS-U112",
            )
        done = erase_rows(opened, dataset, names.pop(), values, reason=reason, legal_basis=legal_basis)
    _tell_erasures([done], json=json, alone=True)


def _tell_erasures(done: list[Erasure], *, json: bool, alone: bool = False) -> None:
    rows = [dataclasses.asdict(one) for one in done]
    if json:
        emit_json(rows[0] if alone else rows)
        return
    for one in done:
        say(f"Erasure {one.number}: {one.rows} row(s) of {one.dataset}, {one.quarantined} in quarantine.")
    if not done:
        say("Nothing is held longer than agreed.")


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"{file.name} cannot be read.", remedy="Give a UTF-8 file with one value a line.", code="OPS-U113"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


@store.command
def erasures(*, room: RoomPath = Path(), json: Json = False) -> None:
    """List the recorded erasures.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.upkeep import list_erasures

    with open_room(room) as opened:
        found = [dataclasses.asdict(one) for one in list_erasures(opened)]
    if json:
        emit_json(found)
    else:
        columns = ("number", "dataset", "recorded_at", "rows", "reason", "legal_basis", "lifted_at")
        emit_table(columns, [tuple(str(one[c]) for c in columns) for one in found])


@store.command
def lift(number: int, /, *, reason: str = "", room: RoomPath = Path()) -> None:
    """Allow later deliveries of the keys of an erasure again; who, when and why is in the audit log.

    Parameters
    ----------
    number
        Number of the erasure.
    reason
        Why.
    room
        Folder of the room.
    """
    from opsroom.room.upkeep import lift_erasure

    with open_room(room) as opened:
        lift_erasure(opened, number, reason=reason)
    say(f"Erasure {number} is lifted: later deliveries of its keys are taken.")
