"""Code lists that ship with opsroom: facts of public classifications and the room's own small lists."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from opsroom.base.errors import SpecError

NACE_SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "A": "Agriculture, forestry, fishing",
        "B": "Mining and quarrying",
        "C": "Manufacturing",
        "D": "Electricity and gas",
        "E": "Water and waste",
        "F": "Construction",
        "G": "Trade and repair of vehicles",
        "H": "Transport and storage",
        "I": "Accommodation and food",
        "J": "Information and communication",
        "K": "Finance and insurance",
        "L": "Real estate",
        "M": "Professional and scientific services",
        "N": "Administrative and support services",
        "O": "Public administration and defence",
        "P": "Education",
        "Q": "Health and social work",
        "R": "Arts and recreation",
        "S": "Other services",
        "T": "Households as employers",
        "U": "Extraterritorial bodies",
    }
)
"""Sections of NACE Rev. 2 (Regulation (EC) No 1893/2006), with short titles of our own."""

NACE_GROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "A3": MappingProxyType({"B-F": "Industry and construction (B to F)", "G-U": "Services (G to U)"}),
        "A10": MappingProxyType(
            {
                "B-E": "Industry (B to E)",
                "G-I": "Trade, transport, accommodation (G to I)",
                "M-N": "Business services (M, N)",
                "O-Q": "Public administration, education, health (O to Q)",
                "R-U": "Other services (R to U)",
            }
        ),
    }
)
"""High-level aggregations of NACE Rev. 2 and ISIC Rev. 4: groups of several sections, first and last letter, with
titles of our own. Sections in no group (A; in A10 also F, J, K, L) stand for themselves."""


def group_of_section(level: str) -> dict[str, str]:
    """Return section → group at a level of `NACE_GROUPS`, for sections that have one."""
    return {s: group for group in NACE_GROUPS[level] for s in NACE_SECTIONS if group[0] <= s <= group[-1]}


_DIVISIONS = {
    "A": (1, 2, 3),
    "B": range(5, 10),
    "C": range(10, 34),
    "D": (35,),
    "E": range(36, 40),
    "F": range(41, 44),
    "G": range(45, 48),
    "H": range(49, 54),
    "I": (55, 56),
    "J": range(58, 64),
    "K": range(64, 67),
    "L": (68,),
    "M": range(69, 76),
    "N": range(77, 83),
    "O": (84,),
    "P": (85,),
    "Q": range(86, 89),
    "R": range(90, 94),
    "S": range(94, 97),
    "T": (97, 98),
    "U": (99,),
}

SECTION_OF_DIVISION: Mapping[str, str] = MappingProxyType(
    {f"{number:02d}": section for section, numbers in _DIVISIONS.items() for number in numbers}
)
"""The 88 divisions of NACE Rev. 2, two digits, each with its section."""

SIZE_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "micro": "fewer than 10 employees",
        "small": "10 to 49 employees",
        "medium": "50 to 249 employees",
        "large": "250 employees or more",
    }
)
"""Size classes by employees, after Commission Recommendation 2003/361/EC (its money limits are not used)."""

LEGAL_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "LTD": "private limited company",
        "PLC": "public limited company",
        "COOP": "cooperative",
        "PART": "partnership",
        "STATE": "state enterprise",
        "ASSOC": "association or foundation",
        "BRANCH": "branch of a foreign company",
        "SOLE": "sole trader",
    }
)
"""Legal forms that a company register may hold."""

NATURAL_FORMS = frozenset({"SOLE"})
"""Legal forms under which the enterprise *is* a natural person: stored where a register delivers them, so
that counts can be reconciled, and kept out of every company desk by `opsroom.base.verbs.companies`."""

CODE_LISTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "nace_sections": NACE_SECTIONS,
        "nace_divisions": SECTION_OF_DIVISION,
        "size_classes": SIZE_CLASSES,
        "legal_forms": LEGAL_FORMS,
    }
)


def code_list(name: str, extra: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """Return the codes of a named list.

    Parameters
    ----------
    name
        A list that ships with opsroom (see `CODE_LISTS`) or one of `extra`.
    extra
        The room's own lists, such as ``regions`` from ``room.toml``.

    Raises
    ------
    SpecError
        No list of that name.
    """
    if extra is not None and name in extra:
        return tuple(extra[name])
    if name in CODE_LISTS:
        return tuple(CODE_LISTS[name])
    known = ", ".join(sorted({*CODE_LISTS, *(extra or ())}))
    raise SpecError(
        f"no code list named {name!r}; known: {known}.",
        remedy="Define the list in room.toml or give the codes in the field.",
        code="OPS-S020",
    )
