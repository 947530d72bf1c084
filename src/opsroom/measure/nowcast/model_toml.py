"""A factor model and its series as one TOML file: ``[nowcast]`` and a ``[[series]]`` table for each series."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opsroom.base.errors import SpecError, UsageError
from opsroom.base.spec_toml import build, failure, lines
from opsroom.measure.nowcast.dfm.model import DynamicFactorModel
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.spec import SeriesSpec

_BY_BLOCK = ("factors", "factor_order")


def read_model(source: str | Path) -> tuple[DynamicFactorModel, list[SeriesSpec]]:
    """Read a nowcast's specification from a TOML file (a `Path`) or from TOML text (a `str`).

    Parameters
    ----------
    source
        ``[nowcast]`` with ``factors``, ``factor_order`` (a number, or a table block → number), ``idiosyncratic`` and
        ``robust`` (``"student"``, or a table of `Robust`'s fields); ``[[series]]`` with the fields of `SeriesSpec` and
        ``blocks``, the names of the blocks that the series belongs to: all series name some, or none does.

    Raises
    ------
    SpecError
        Not TOML; an unknown, missing or wrong field: named by file, table and field.

    Examples
    --------
    >>> from opsroom.measure.nowcast import read_model
    >>> model, series = read_model('''
    ... [nowcast]
    ... factor_order = 2
    ...
    ... [[series]]
    ... name = "INDPRO"
    ... ''')
    >>> model.factor_order, series[0].transform
    (2, 'pch')
    """
    where = source.name if isinstance(source, Path) else "specification"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        raw = tomllib.loads(text)
    except OSError as error:
        raise SpecError(f"{where}: cannot be read ({error.strerror}).", remedy="Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{where}: not valid TOML: {error}.", remedy="Correct it there.") from None
    unknown = [key for key in raw if key not in ("nowcast", "series")]
    if unknown:
        raise failure(where, f"unknown table {unknown[0]!r}.", "Use [nowcast] and [[series]].")
    specs, blocks = _series(raw.get("series", []), where)
    return _model(raw.get("nowcast", {}), blocks, f"{where}, [nowcast]"), specs


def _series(tables: object, where: str) -> tuple[list[SeriesSpec], dict[str, tuple[str, ...]] | None]:
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise failure(where, "there are no [[series]] tables.", "Write a [[series]] table for each series.")
    specs: list[SeriesSpec] = []
    blocks: dict[str, tuple[str, ...]] = {}
    for number, table in enumerate(tables, start=1):
        named = table.get("name")
        at = f"{where}, [[series]] {number}" + (f" ({named})" if isinstance(named, str) else "")
        own = dict(table)
        given = own.pop("blocks", [])
        if not isinstance(given, list) or not all(isinstance(b, str) and b for b in given):
            raise failure(at, "blocks is not a list of names.", 'Write blocks = ["Global"].')
        try:
            spec = build(SeriesSpec, own, at)
        except UsageError as error:
            raise failure(at, error.message, error.remedy) from None
        if any(spec.name == other.name for other in specs):
            raise failure(at, "name is that of an earlier series.", "Give every series a name of its own.")
        specs.append(spec)
        if given:
            blocks[spec.name] = tuple(given)
    if not blocks:
        return specs, None
    without = [spec.name for spec in specs if spec.name not in blocks]
    if without:
        raise failure(
            where, f"blocks is missing in [[series]] {', '.join(without)}.", "Name blocks for all series, or for none."
        )
    return specs, blocks


def _model(table: object, blocks: dict[str, tuple[str, ...]] | None, where: str) -> DynamicFactorModel:
    if not isinstance(table, dict):
        raise failure(where, "nowcast is a table.", "Write [nowcast].")
    rest, held = dict(table), {}
    if "blocks" in rest:
        raise failure(where, "blocks stands with the series.", "Write blocks in each [[series]].")
    for name in _BY_BLOCK:
        value = rest.get(name)
        if isinstance(value, dict):
            known = sorted({block for own in (blocks or {}).values() for block in own})
            for block, count in value.items():
                if isinstance(count, bool) or not isinstance(count, int):
                    raise failure(where, f"{name}, block {block!r}, is not a whole number.", "Correct it.")
                if block not in known:
                    raise failure(where, f"{name} names the block {block!r}, which no series has.", "Correct it.")
            held[name] = rest.pop(name)
    if isinstance(rest.get("robust"), dict):
        try:
            held["robust"] = build(Robust, rest.pop("robust"), f"{where[:-1]}.robust]")
        except UsageError as error:
            raise failure(f"{where[:-1]}.robust]", error.message, error.remedy) from None
    try:
        checked: DynamicFactorModel = build(DynamicFactorModel, rest, where)
        return dataclasses.replace(checked, **held, blocks=blocks)
    except UsageError as error:
        raise failure(where, error.message, error.remedy) from None


def write_model(model: DynamicFactorModel, specs: Sequence[SeriesSpec]) -> str:
    """Write a nowcast's specification as TOML; `read_model` reads back equal ones.

    Raises
    ------
    UsageError
        Blocks of a series that has no specification, or a series that the blocks do not hold.
    """
    blocks: Mapping[str, Sequence[str]] = model.blocks or {}
    names = [spec.name for spec in specs]
    odd = set(blocks) ^ set(names) if model.blocks is not None else set()
    if odd:
        raise UsageError(
            f"blocks and series do not name the same: {', '.join(sorted(odd))}.",
            remedy="Give a SeriesSpec and blocks for every series.",
        )
    held = [name for name in _BY_BLOCK if isinstance(getattr(model, name), Mapping)]
    text = ["[nowcast]", *lines(model, skip=("blocks", "robust", *held))]
    if isinstance(model.robust, str):
        text += [f'robust = "{model.robust}"']
    for name in held:
        text += ["", f"[nowcast.{name}]", *(f"{_key(k)} = {v}" for k, v in getattr(model, name).items())]
    if isinstance(model.robust, Robust):
        text += ["", "[nowcast.robust]", *lines(model.robust)]
    for spec in specs:
        text += ["", "[[series]]", *lines(spec)]
        if spec.name in blocks:
            text += [f"blocks = [{', '.join(_key(b) for b in blocks[spec.name])}]"]
    return "\n".join(text) + "\n"


def _key(text: str) -> str:
    """Return a name as a quoted TOML key, or string."""
    quoted: list[Any] = lines(_Named(text))
    return str(quoted[0]).removeprefix("name = ")


@dataclasses.dataclass(frozen=True)
class _Named:
    name: str
