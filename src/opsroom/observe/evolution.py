"""Versions of a dataset's specification: what may change, what may not, and where the earlier ones are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from opsroom.base.codes import code_list
from opsroom.base.errors import SpecError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.files import sync_folder

_FIXED = {
    "key": "rows could not be told apart as before",
    "period": "rows would be of other periods",
    "frequency": "rows would be of other periods",
    "known_at_field": "knowledge time would change its meaning",
    "unit": "other units would be protected than those whose rows are stored",
    "schema_version": "it is the form of the file",
}
_SAME = {"measure": "unit", "currency": "currency", "scale": "scale"}


def next_version(
    old: DatasetSpec,
    new: DatasetSpec,
    earlier: Mapping[int, DatasetSpec],
    *,
    code_lists: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[DatasetSpec, tuple[str, ...]]:
    """Check a change of specification.

    Parameters
    ----------
    old, new
        The specification that holds, and the one wanted. Its ``version`` may be left as it was.
    earlier
        The versions before, by number.
    code_lists
        The room's own code lists.

    Returns
    -------
    tuple
        The new specification with its number, and what changes, in words; no words where nothing does.

    Raises
    ------
    SpecError
        The change would alter what stored rows mean, show what is protected, or stored rows would break it.
    """
    where = f"dataset {old.name!r}"
    if new.name != old.name:
        raise _refused(where, "the name of a dataset does not change", "Register it as a dataset of its own.")
    number = old.version + 1
    if new.version not in (1, old.version, number):
        raise _refused(where, f"the next version is {number}", f"Write version = {number}, or leave it out.")
    new = replace(new, version=number)
    if replace(old, version=number) == new:
        return old, ()
    for name, why in _FIXED.items():
        if getattr(old, name) != getattr(new, name):
            raise _refused(where, f"{name} may not change: {why}", "Register a new dataset.")
    if old.confidential and not new.confidential:
        raise _refused(where, "confidential data do not become public", "Publish figures through the gate.")
    for name in ("unit_field", "group_field"):
        if getattr(old, name) and getattr(old, name) != getattr(new, name) and not _renamed(old, new, name):
            raise _refused(where, f"{name} may not change: contributions would be counted anew", "Keep it.")
    words = _field_changes(old, new, earlier, code_lists or {})
    for item in fields(DatasetSpec):
        if item.name not in ("fields", "version") and getattr(old, item.name) != getattr(new, item.name):
            words.append(f"{item.name} changed")
    return new, tuple(words)


def _renamed(old: DatasetSpec, new: DatasetSpec, attribute: str) -> bool:
    name = getattr(new, attribute)
    return bool(name) and getattr(old, attribute) in new.field(name).aliases


def _field_changes(
    old: DatasetSpec,
    new: DatasetSpec,
    earlier: Mapping[int, DatasetSpec],
    lists: Mapping[str, tuple[str, ...]],
) -> list[str]:
    where, words = f"dataset {old.name!r}", []
    before = {f.name: f for f in old.fields}
    kept = set()
    for field in new.fields:
        known = [n for n in (field.name, *field.aliases) if n in before]
        if len(known) > 1:
            raise _refused(where, f"field {field.name!r} cannot stand for two fields", "Correct aliases.")
        for version in (*earlier.values(), old):
            _check_past(where, field, version)
        if not known:
            if field.required and field.default is None:
                raise _refused(
                    where,
                    f"the new field {field.name!r} is required, and stored rows have no value",
                    "Give it a default, or make it optional.",
                )
            words.append(f"field {field.name} added")
            continue
        kept.add(known[0])
        if known[0] != field.name:
            if known[0] in old.key:
                raise _refused(where, f"key field {known[0]!r} may not be renamed", "Keep its name; column maps it.")
            words.append(f"field {known[0]} renamed to {field.name}")
        words += _one_field(where, before[known[0]], field, lists)
    for name in before:
        if name not in kept:
            words.append(f"field {name} retired")
    return words


def _check_past(where: str, field: FieldSpec, version: DatasetSpec) -> None:
    """Refuse a name under which an earlier version stored something else."""
    for past in version.fields:
        if past.name not in (field.name, *field.aliases):
            continue
        same = all(getattr(past, name) == getattr(field, name) for name in _SAME)
        if not (same and (past.type == field.type or (past.type, field.type) == ("code", "string"))):
            raise _refused(
                where,
                f"field {field.name!r} had another type, unit, currency or scale in version {version.version}",
                "Give the new field another name.",
            )


def _one_field(where: str, old: FieldSpec, new: FieldSpec, lists: Mapping[str, tuple[str, ...]]) -> list[str]:
    what = f"field {new.name!r}"
    if new.required and not old.required:
        raise _refused(where, f"{what} becomes required, and stored rows may be empty", "Leave it optional.")
    if old.confidential and not new.confidential:
        raise _refused(where, f"{what} identifies units and stays confidential", "Keep confidential = true.")
    if old.default != new.default:
        raise _refused(where, f"{what}: a default holds for rows stored already", "Keep it as it was.")
    for side, sign in (("min", 1), ("max", -1)):
        a, b = getattr(old, side), getattr(new, side)
        if b is not None and (a is None or sign * b > sign * a):
            raise _refused(where, f"{what}: {side} may only become wider", "Keep or widen the bound.")
    if old.type == "code" and new.type == "code":
        lost = set(_codes(old, lists)) - set(_codes(new, lists))
        if lost:
            raise _refused(
                where, f"{what}: {len(lost)} codes are gone, and stored rows may hold them", "Only add codes."
            )
    names = [f.name for f in fields(FieldSpec) if f.name not in ("name", "aliases")]
    return [f"field {new.name}: {n} changed" for n in names if getattr(old, n) != getattr(new, n)]


def _codes(field: FieldSpec, lists: Mapping[str, tuple[str, ...]]) -> Sequence[str]:
    return field.codes or code_list(field.codes_from, dict(lists))


def _refused(where: str, rule: str, remedy: str) -> SpecError:
    return SpecError(f"{where}: {rule}.", remedy=remedy, code="OPS-S030")


# -- where versions are kept ---------------------------------------------------------------------


def history_folder(datasets: Path, name: str) -> Path:
    """Return the folder of a dataset's versions, beside the specifications that hold."""
    return datasets / ".history" / name


def read_versions(datasets: Path, name: str) -> dict[int, DatasetSpec]:
    """Return the versions of a dataset's specification that are kept, by number."""
    found = {}
    for file in history_folder(datasets, name).glob("*.toml"):
        spec = DatasetSpec.from_toml(file)
        found[spec.version] = spec
    return found


def write_version(datasets: Path, old: DatasetSpec, new: DatasetSpec) -> None:
    """Keep both versions, then let the new one hold: a crash in between leaves the old one in force."""
    folder = history_folder(datasets, new.name)
    folder.mkdir(parents=True, exist_ok=True)
    for spec in (old, new):
        _write(folder / f"{spec.version}.toml", spec.to_toml())
    _write(datasets / f"{new.name}.toml", new.to_toml())


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
