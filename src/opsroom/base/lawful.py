"""What a room may not observe: natural persons, households, opinions. Checked on every specification.

The refusal is made on the declaration, before any data are read: by the kind of protected unit, by declared
contents, and by words in the names of the dataset and its fields. A declaration can lie; it is then a
recorded lie with a provider, a legal basis and an actor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opsroom.base.errors import SpecError

PROTECTED_UNITS = ("enterprise", "establishment", "enterprise_group", "bank", "public")
"""Closed list of units that a dataset may describe; ``public`` marks published data."""

CONTENTS = (
    "company_register",
    "establishment_register",
    "links_between_units",
    "company_meters",
    "payments",
    "foreign_exchange",
    "investment",
    "orders",
    "accounts",
    "loans",
    "supply_links",
    "prices",
    "weather",
    "calendar",
    "restrictions",
    "flows",
    "input_output",
    "official_statistics",
    "survey_aggregates",
    "programmes",
    "listed_entities",
    "standards",
)
"""Closed list of kinds of content that a specification may declare."""

_REFUSED_UNITS = {
    "person": "natural persons",
    "natural_person": "natural persons",
    "individual": "natural persons",
    "citizen": "natural persons",
    "employee": "natural persons",
    "customer": "natural persons",
    "patient": "natural persons",
    "sole_trader": "natural persons",
    "household": "households",
    "dwelling": "households",
    "family": "households",
    "voter": "opinions",
    "respondent": "opinions",
}

_REFUSED_CONTENTS = {
    "persons": "natural persons",
    "natural_persons": "natural persons",
    "biometrics": "natural persons",
    "faces": "natural persons",
    "location_traces": "natural persons",
    "communications": "natural persons",
    "health_records": "natural persons",
    "household_meters": "households",
    "households": "households",
    "opinions": "opinions",
    "political_views": "opinions",
    "beliefs": "opinions",
    "social_media": "opinions",
    "reputation": "opinions",
}

_PERSON = (
    r"person_?id|(?:employee|worker|staff|student|pupil)_?id|persons?_name|natural_?persons?|national_?id|citizens?|citizen_?id|individuals?|individual_?id|ssn"
    r"|social_security_(?:no|number)|passport\w*|first_?name|last_?name|surname|given_?name|family_?name|maiden_?name"
    r"|date_of_birth|birth_?da(?:te|y)|gender|sex|ethnicity|race|nationality|marital_?status"
    r"|patients?|patient_?id|health_status|diagnosis|biometrics?|fingerprints?|face_?id|face_?image|iris_?scan"
    r"|phone(?:_?number)?|mobile_?number|e_?mail(?:_?address)?|home_?address|imei|imsi|license_?plate"
)
_HOUSEHOLD = (
    r"households?|household_?id|household_?meters?|dwellings?|dwelling_?id|family_?id"
    r"|tenants?|residents?|resident_?id"
)
_OPINION = (
    r"opinions?|political\w*|religio(?:n|us)\w*|beliefs?|ideolog\w+|party_?membership|union_?membership"
    r"|votes?|voting_?intention|sentiment_?of_?persons?|loyalty_?score|social_?credit\w*|trust_?score|sexual_\w+"
)

_NAMES = {
    "natural persons": re.compile(rf"(?:.*_)?(?:{_PERSON})(?:_.*)?"),
    "households": re.compile(rf"(?:.*_)?(?:{_HOUSEHOLD})(?:_.*)?"),
    "opinions": re.compile(rf"(?:.*_)?(?:{_OPINION})(?:_.*)?"),
}

_TITLE = {
    "natural persons": re.compile(r"\b(?:natural persons?|individuals|citizens)\b", re.IGNORECASE),
    "households": re.compile(r"\b(?:households?|dwellings?)\b", re.IGNORECASE),
    "opinions": re.compile(r"\b(?:opinions?|political views?|beliefs?|voting intentions?)\b", re.IGNORECASE),
}

_WHY = {
    "natural persons": "a room observes companies, sectors and regions, never natural persons",
    "households": "a room observes company meters and accounts, never those of households",
    "opinions": "a room observes economic activity, never what people think, believe or say",
}

_REMEDY = {
    "natural persons": "Leave the field out, or deliver totals by company, sector or region.",
    "households": "Have the provider deliver the meters of companies only, or published totals.",
    "opinions": "Leave it out; there is no setting that allows it.",
}


def refused_word(name: str) -> str | None:
    """Return what a dataset or field name stands for when a room may not observe it, else None."""
    for kind, pattern in _NAMES.items():
        if pattern.fullmatch(name):
            return kind
    return None


def check_lawful(
    *,
    name: str,
    title: str,
    unit: str,
    contents: Iterable[str],
    fields: Iterable[str],
    public: bool,
    titles: Sequence[str] = (),
) -> None:
    """Refuse a specification that declares a natural person, a household or an opinion.

    Parameters
    ----------
    name, title
        Of the dataset.
    unit
        Declared protected unit.
    contents
        Declared kinds of content.
    fields
        Field names and the names of the source's columns.
    public
        Whether the dataset is published: totals *about* households or citizens are then lawful (household
        credit, unemployment by sex); data about one of them never are.
    titles
        Titles of the fields: a harmless name does not make an opinion lawful.

    Raises
    ------
    SpecError
        ``OPS-S010`` refused unit or content; ``OPS-S011`` not in the closed list.
    """
    where = f"dataset {name!r}"
    if unit in _REFUSED_UNITS:
        raise _refusal(_REFUSED_UNITS[unit], f"{where}: unit = {unit!r}")
    if unit not in PROTECTED_UNITS:
        raise SpecError(
            f"{where}: unit = {unit!r} is not in the closed list.",
            remedy=f"Use one of {', '.join(PROTECTED_UNITS)}.",
            code="OPS-S011",
        )
    for content in contents:
        if content in _REFUSED_CONTENTS:
            raise _refusal(_REFUSED_CONTENTS[content], f"{where}: contents names {content!r}")
        if content not in CONTENTS:
            raise SpecError(
                f"{where}: contents names {content!r}, which is not in the closed list.",
                remedy=f"Use some of {', '.join(CONTENTS)}.",
                code="OPS-S011",
            )
    if public:
        for word in (name, *fields):
            if refused_word(word) == "natural persons" and re.fullmatch(r".*(?:_id|ssn|passport\w*|name)", word):
                raise _refusal("natural persons", f"{where}: field {word!r}")
        return
    if kind := refused_word(name):
        raise _refusal(kind, f"{where}: its name")
    for kind, pattern in _TITLE.items():
        if pattern.search(title):
            raise _refusal(kind, f"{where}: its title")
        if any(pattern.search(each) for each in titles):
            raise _refusal(kind, f"{where}: the title of a field")
    for field in fields:
        if kind := refused_word(field):
            raise _refusal(kind, f"{where}: field {field!r}")


def _refusal(kind: str, where: str) -> SpecError:
    return SpecError(f"{where} declares {kind}: {_WHY[kind]}.", remedy=_REMEDY[kind], code="OPS-S010")
