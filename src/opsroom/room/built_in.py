"""Specifications that ship with opsroom: what statistical offices and central banks own, each with its desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from types import MappingProxyType
from typing import Any

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.base.periods import Frequency
from opsroom.base.settings import RoomSettings
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.room.opening import open_desk
from opsroom.room.room import Room

_RESUMPTION = {"kind": "resumption", "meters": "meters", "meter_links": "meters", "register": "register",
               "weather": "weather"}  # fmt: skip

_BY_SECTION = {"by": "section", "register": "register"}

DESKS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "load": {"kind": "activity", "name": "load", "dataset": "load", "value": "mwh", "temperature": "temperature_c"},
        "vintages": {"kind": "nowcast", "datasets": ["vintages"]},
        "credit": {"kind": "credit_gap", "dataset": "credit", "value": "credit", "over": "gdp", "sum_over": 4,
                   "percent": True},
        "prices": {"kind": "levels", "name": "prices", "dataset": "prices", "value": "price", "over": "fundamental",
                   "unit": "price to fundamental", "decimals": 2},
        "meters": _RESUMPTION,
        "loans": {"kind": "loans", "loans": "loans", "register": "register", "accounts": "accounts"},
        "accounts": {"kind": "relief", "register": "register", "accounts": "accounts", "loans": "loans",
                     "sales": "vat", "wages": "payroll"},
        "register": {"kind": "companies", "register": "register"},
        "vat": {"kind": "delays", "name": "vat", "title": "VAT returns", "counts": "VAT returns filed",
                "dataset": "vat", "known": "filed_on", **_BY_SECTION},
        "payroll": {"kind": "delays", "name": "payroll", "title": "Payroll returns", "counts": "payroll returns filed",
                    "dataset": "payroll", "known": "filed_on", **_BY_SECTION},
        "invoices": {"kind": "invoices", "invoices": "invoices", "register": "register", "payments": "payments"},
    }
)  # fmt: skip
"""Dataset → the desk that it opens. Others are read by these: `weather`, `payments`, `objectives`."""


def built_in_names() -> tuple[str, ...]:
    """Return the names of the specifications that ship with opsroom."""
    folder = resources.files("opsroom.room") / "built_in"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def built_in(
    name: str,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    currency: str = "",
    frequency: str = "",
    legal_basis: str = "",
    provider: str = "",
    licence: str = "",
) -> DatasetSpec:
    """Return a specification that ships with opsroom, fitted to an institution.

    Parameters
    ----------
    name
        See `built_in_names`.
    columns
        Field → name of its column in the files, where they differ.
    currency
        ISO 4217 code of the money fields; EUR where absent.
    frequency
        For a dataset of series: ``M``, ``Q``, ``A`` …, where it is not the shipped one.
    legal_basis
        By which the room may hold confidential data; needed for those.
    provider, licence
        Who delivers it, by the name under which agreements are registered, and on what terms.

    Raises
    ------
    NotFoundError
        There is none of that name.
    UsageError
        The legal basis is missing, or a column is mapped to a field that there is not.
    """
    if name not in built_in_names():
        raise NotFoundError(
            f"there is no built-in dataset {name!r}.",
            remedy=f"Use one of {', '.join(built_in_names())}.",
            code="OPS-N007",
        )
    file = resources.files("opsroom.room") / "built_in" / f"{name}.toml"
    spec = DatasetSpec.from_toml(file.read_text(encoding="utf-8"))
    if spec.confidential and not legal_basis.strip():
        raise UsageError(
            f"dataset {name!r} is confidential and needs a legal basis.",
            remedy='Give --legal-basis "Statistics Act, section 12".',
            code="OPS-U045",
        )
    fields = {f.name: f for f in spec.fields}
    known = {*fields, *([spec.known_at_field] if spec.known_at_field else [])}
    unknown = sorted(set(columns) - known)
    if unknown:
        raise UsageError(
            f"dataset {name!r} has no field {', '.join(unknown)}.", remedy=f"Its fields: {', '.join(known)}.",
            code="OPS-U046",
        )  # fmt: skip
    return replace(
        spec,
        fields=tuple(_fitted(f, columns.get(f.name, ""), currency) for f in spec.fields),
        known_at_field=columns.get(spec.known_at_field, spec.known_at_field),
        legal_basis=legal_basis if spec.confidential else "",
        provider=provider or spec.provider,
        licence=licence or spec.licence,
        frequency=str(Frequency(frequency)) if frequency in set(Frequency) else frequency or spec.frequency,
    )


def _fitted(field: FieldSpec, column: str, currency: str) -> FieldSpec:
    if column and column != field.name:
        field = replace(field, column=column)
    if currency and field.type == "money":
        field = replace(field, currency=currency)
    return field


def add_built_in(room: Room, spec: DatasetSpec) -> str:
    """Register a built-in dataset and open its desk, where it has one.

    Returns
    -------
    str
        Kind of the desk opened; empty where there is none, or the room has it already.
    """
    room.add_dataset(spec)
    options = DESKS.get(spec.name)
    if options is None:
        return ""
    options = {**options, **_of_country(options["kind"], room.settings)}
    if options["kind"] == "delays" and spec.frequency in ("Q", "A"):
        options["frequency"] = spec.frequency
    room.guard.require("manage_rules")
    return str(options["kind"]) if open_desk(room.path, options) else ""


def _of_country(kind: str, settings: RoomSettings) -> dict[str, str]:
    """Return what a desk takes from the room: holidays and days are the country's."""
    if kind != "activity":
        return {}
    found = {"clock": settings.timezone}
    if settings.country:
        found["country"] = settings.country
    return found
