"""Read and write specification dataclasses as TOML, with checks of keys and types."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any

from opsroom.base.errors import SpecError


def failure(where: str, rule: str, remedy: str, code: str = "OPS-S002") -> SpecError:
    """Return the error of a broken rule of a specification."""
    return SpecError(f"{where}: {rule}", remedy=remedy, code=code)


def build(cls: type, raw: Mapping[str, Any], where: str) -> Any:  # an instance of `cls`
    """Make a dataclass from a TOML table.

    Raises
    ------
    SpecError
        A key is unknown, missing, or its value has the wrong type.
    """
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise failure(where, f"unknown key {key!r}.", f"Did you mean {near[0]!r}?" if near else "Remove it.")
    missing = [
        k for k, f in known.items() if f.default is dataclasses.MISSING and k not in raw and k != "schema_version"
    ]
    if missing:
        raise failure(where, f"missing: {', '.join(missing)}.", "Add them.")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        wanted = str(known[key].type)
        checked = tuple(value) if isinstance(value, list) else value
        if not _fits(checked, wanted):
            raise failure(where, f"{key} has the wrong type; wanted {wanted}.", "Correct it.")
        values[key] = checked
    return cls(**values)


def _fits(value: object, wanted: str) -> bool:
    """Return whether a TOML value has the type that an annotation names."""
    if wanted == "bool":
        return isinstance(value, bool)
    if wanted.startswith("str | int | float | bool"):
        return isinstance(value, str | int | float | bool)
    if isinstance(value, bool):
        return False
    if wanted.startswith("tuple[str"):
        return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    if wanted.startswith(("tuple[FieldSpec", "tuple[RuleSpec")):
        return isinstance(value, tuple)
    if wanted == "Layout" or wanted.endswith("Spec"):
        return type(value).__name__ == wanted
    if wanted.startswith(("int | float", "float")):
        return isinstance(value, int | float)
    if wanted.startswith("int"):
        return isinstance(value, int)
    return isinstance(value, str)


def lines(thing: Any, *, skip: Collection[str] = ()) -> list[str]:  # a dataclass instance
    """Write a dataclass as TOML lines, without what has its default value."""
    found = []
    for item in dataclasses.fields(thing):
        value = getattr(thing, item.name)
        if item.name in skip or (value == item.default and item.name != "schema_version"):
            continue
        if isinstance(value, tuple):
            text = "[" + ", ".join(_quote(v) for v in value) + "]"
        elif isinstance(value, str):
            text = _quote(value)
        else:
            text = repr(value).lower() if isinstance(value, bool) else repr(value)
        found.append(f"{item.name} = {text}")
    return found


def _quote(text: str) -> str:
    # A JSON string without escaped surrogates is a TOML basic string, save for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
