"""Turn what a file looks like, and what was answered, into a specification."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from opsroom.base.codes import CODE_LISTS
from opsroom.base.errors import UsageError
from opsroom.base.lawful import PROTECTED_UNITS, refused_word
from opsroom.base.layout import Layout
from opsroom.base.periods import Frequency
from opsroom.base.specs import SYSTEM_COLUMNS, DatasetSpec, FieldSpec, FieldType
from opsroom.observe.casting import read_period
from opsroom.observe.propose.keys import find_key
from opsroom.observe.propose.periods import Period, ask_zone, find_period, is_time, known_column, written_as
from opsroom.observe.propose.profile import Column, Profile
from opsroom.observe.propose.questions import Interview
from opsroom.observe.propose.shapes import CURRENCIES
from opsroom.observe.quality import refuse

CODES = 40
"""Codes of a list that is proposed, at most."""

FIELDS = 1_000
"""Fields of a dataset that is proposed, at most: comparing deliveries takes memory for each."""

UNITS = tuple(unit for unit in PROTECTED_UNITS if unit != "public")
_UNIT_FIELD = re.compile(
    r"(?:company|enterprise|firm|lei|vat|tax|establishment|bank|lender|borrower|entity)_?(?:id|no|nr)?"
)
_GROUP_FIELD = re.compile(r"(?:enterprise_)?group(?:_id)?|parent(?:_id)?|holding(?:_id)?")
_MEASURE = re.compile(r".*[(\[](?P<unit>[^()\[\]]{1,24})[)\]]\s*")
_ENDINGS = {
    "_mwh": "MWh",
    "_kwh": "kWh",
    "_wh": "Wh",
    "_gwh": "GWh",
    "_mw": "MW",
    "_pct": "%",
    "_percent": "%",
    "_usd": "USD",
    "_eur": "EUR",
    "_usd_millions": "USD million",
    "_eur_millions": "EUR million",
    "_c": "°C",
}
_WORD = {
    "ä": "ae",
    "ö": "oe",
    "ü": "ue",
    "ß": "ss",
    "ø": "o",
    "ł": "l",
    "æ": "ae",
    "đ": "d",
    "%": " pct ",
    "€": " eur ",
}


def plain_name(text: str, place: int, taken: Sequence[str]) -> str:
    """Return a column's name as a field may have it: ``[a-z][a-z0-9_]*``, not taken before."""
    word = "".join(_WORD.get(c, c) for c in text.strip().lower())
    word = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
    word = re.sub(r"[^a-z0-9]+", "_", word).strip("_")[:56].strip("_")
    if not word:
        word = f"column_{place + 1}"
    if not word[0].isalpha():
        word = f"c_{word}"
    if word in SYSTEM_COLUMNS:
        word = f"{word}_given"
    name, number = word, 2
    while name in taken:
        name, number = f"{word}_{number}", number + 1
    return name


def draft(
    profile: Profile,
    layout: Layout,
    interview: Interview,
    *,
    name: str,
    lists: Mapping[str, Sequence[str]],
) -> DatasetSpec | None:
    """Return the specification, or None while a question is open that it hangs on.

    Raises
    ------
    SpecError
        What the answers describe may not be observed, or cannot be.
    """
    confidential = interview.ask(
        "confidential",
        "Do the rows describe single companies, banks or sites (confidential), or are they public figures?",
        options=("yes", "no"),
        required=True,
    )
    known = known_column(profile, interview)
    period = find_period(profile, known, interview)
    layout = replace(_numbers(profile, layout, interview), timezone=ask_zone(profile, period, interview))
    if known:
        layout = replace(layout, known_at_format=written_as(profile.columns[known], interview)[0])
    dropped = _dropped(profile, interview, confidential)
    turned = _turned(profile, period) if period is not None else ()
    missing = _missing(profile, interview, turned)
    law = _law(interview, confidential)
    if period is None or not confidential:
        return None
    used = [
        c for c in profile.columns.values()
        if c.name not in {known, *dropped, *turned, *period.parts} and c.filled and c.kind != "other"
    ]  # fmt: skip
    if len(used) > FIELDS:
        words = (
            f"it names {len(used):,} columns, and a dataset takes {FIELDS:,}; deliver a row for each series and period"
        )
        raise refuse("OPS-D009", f"dataset {name!r}", words)
    extra = len(used) + len(turned) + len(period.parts) + bool(known) < len(profile.columns)
    fields, layout, period_field = _fields(used, turned, period, layout, interview, confidential, lists, profile)
    key = find_key(profile, fields, period_field, period, turned, known, interview)
    if fields is None or not key or any(q.open for q in interview.questions):
        return None
    names = [f.name for f in fields]
    return DatasetSpec(
        name=name,
        title=interview.ask("title", "What are the data called?", default=name.replace("_", " ").capitalize()),
        frequency=period.frequency,
        period=period_field,
        key=key,
        confidential=confidential == "yes",
        unit=law["unit"] or "public",
        fields=tuple(fields),
        provider=interview.ask("provider", "Who provides the data?"),
        licence=interview.ask("licence", "Under which licence, or on what terms?"),
        legal_basis=law["legal_basis"],
        source=interview.ask("source", "Source in words, as pages show it:"),
        unit_field=_named("unit_field", names, _UNIT_FIELD, interview, confidential),
        group_field=_named("group_field", names, _GROUP_FIELD, interview, confidential),
        known_at_field=known,
        missing=missing,
        ignore_extra=extra,
        layout=layout,
    )


def _law(interview: Interview, confidential: str) -> dict[str, str]:
    if confidential != "yes":
        return {"unit": "", "legal_basis": ""}
    return {
        "unit": interview.ask("unit", "Whom do the rows describe?", options=UNITS, required=True),
        "legal_basis": interview.ask("legal_basis", "By what legal basis may the room hold them?", required=True),
    }


def _named(what: str, names: list[str], pattern: re.Pattern[str], interview: Interview, confidential: str) -> str:
    if confidential != "yes":
        return ""
    near = next((n for n in names if pattern.fullmatch(n)), "")
    words = {"unit_field": "the unit's id", "group_field": "the id of its enterprise group"}[what]
    said = interview.ask(what, f"Which field holds {words}? (none: not in the file)", options=(*names, "none"),
                         default=near or "none")  # fmt: skip
    return "" if said == "none" else said


def _dropped(profile: Profile, interview: Interview, confidential: str) -> set[str]:
    """Return columns to be left out: those named, and those that name persons, if so answered."""
    said = interview.answers.get("drop", "")
    dropped = {part.strip() for part in said.split(",") if part.strip()}
    interview.ask("drop", "Which columns are left out? (names, separated by commas)")
    for name in profile.columns:
        kind = refused_word(plain_name(name, 0, ())) or refused_word(name.lower())
        if kind is None or confidential != "yes" or name in dropped:
            continue
        answer = interview.ask(
            f"drop:{name}",
            f"Column {name!r} reads as data on {kind}, which a room does not take in. Leave it out?",
            options=("yes",),
            required=True,
        )
        if answer == "yes":
            dropped.add(name)
    return dropped & set(profile.columns)


# -- numbers and marks ----------------------------------------------------------------------------


def _numbers(profile: Profile, layout: Layout, interview: Interview) -> Layout:
    """Settle how the file writes numbers; where both readings fit, it is asked."""
    columns = [c for c in profile.columns.values() if c.kind == "text" and _is_number(c, interview) and not is_time(c)]
    marked = [c for c in columns if c.marked]
    allowed = [c.decimal_marks() for c in marked]
    both = set.intersection({".", ","}, *allowed) if marked else {"."}
    decimal = "."
    if len(both) == 2:
        said = interview.ask(
            "decimal",
            f"Numbers such as those of column {marked[0].name!r} can be read with a decimal point or a decimal comma. "
            "Which is it?",
            options=("point", "comma"),
            required=True,
        )
        decimal = "," if said == "comma" else "."
    elif both == {","}:
        decimal = ","
    elif not both:
        decimal = max(".,", key=lambda mark: sum(c.readings[mark] for c in marked))
    groups = {group for c in columns for group in c.groups.get(decimal, set()) if group != decimal}
    signs = {sign for c in columns for sign in c.symbols}
    return replace(
        layout,
        decimal=decimal,
        thousands=tuple(sorted(groups)),
        symbols=tuple(sorted(signs, key=lambda s: (-len(s), s))),
        parentheses=any(c.parentheses for c in columns),
    )


def _missing(profile: Profile, interview: Interview, turned: Sequence[str]) -> tuple[str, ...]:
    """Return the texts that stand for nothing; where one of them may be a code, it is asked."""
    found: dict[str, str] = {}
    wide = bool(turned) and _merged([profile.columns[name] for name in turned]).is_number()
    measured = [
        c.name for c in profile.columns.values()
        if c.kind == "text" and (_is_number(c, interview) or is_time(c) or (wide and c.name in turned))
    ]  # fmt: skip
    for name in measured:
        found.update(dict.fromkeys(profile.columns[name].marks, name))
    kept = []
    for mark in sorted(found):
        texts = [
            c.name for c in profile.columns.values()
            if c.kind == "text" and c.name not in measured and c.texts[mark]
        ]  # fmt: skip
        if texts and mark.isalpha():
            said = interview.ask(
                f"missing:{mark}",
                f"{mark!r} stands for nothing in column {found[mark]!r}, and occurs in column {texts[0]!r}, too. "
                "Does it stand for nothing there as well (else those rows' numbers are refused)?",
                options=("yes", "no"),
                required=True,
            )
            if said != "yes":
                continue
        kept.append(mark)
    return tuple(kept)


# -- fields ---------------------------------------------------------------------------------------


def _turned(profile: Profile, period: Period) -> tuple[str, ...]:
    if not period.header:
        return ()
    found = []
    for name in profile.columns:
        try:
            read_period(name, Frequency(period.frequency), period.written)
        except UsageError:
            continue
        found.append(name)
    return tuple(found)


def _fields(
    used: list[Column],
    turned: tuple[str, ...],
    period: Period,
    layout: Layout,
    interview: Interview,
    confidential: str,
    lists: Mapping[str, Sequence[str]],
    profile: Profile,
) -> tuple[list[FieldSpec], Layout, str]:
    fields: list[FieldSpec] = []
    taken: list[str] = []
    for column in used:
        name = plain_name(column.name, column.place, taken)
        taken.append(name)
        if column.name == period.column:
            kind: FieldType = "datetime" if period.frequency == "H" else "date"
            fields.append(_sourced(FieldSpec(name, kind, date_format=period.written, required=True), column))
        else:
            fields.append(_sourced(_field(name, column, interview, confidential, lists), column))
    period_field = next((f.name for f in fields if f.source == period.column), "")
    if not period_field:
        period_field = plain_name("period", 0, taken)
        taken.append(period_field)
        column_name = period_field if period_field not in profile.columns else f"{period_field} of the file"
        fields.append(
            FieldSpec(
                period_field,
                "date",
                date_format=period.written,
                required=True,
                column="" if column_name == period_field else column_name,
            )
        )
        if period.header:
            value = plain_name("value", 0, taken)
            cells = value if value not in profile.columns else f"{value} of the file"
            merged = _merged([profile.columns[n] for n in turned])
            made = _field(value, merged, interview, confidential, {}, number=True)
            fields.append(replace(made, column="" if cells == value else cells, required=True))
            layout = replace(layout, header_to=column_name, cells_to=cells)
        else:
            layout = replace(layout, period_parts=period.parts, period_value=period.value)
    return fields, layout, period_field


def _merged(columns: list[Column]) -> Column:
    """Describe the cells of a wide table as one column."""
    whole = Column("value", 0, "number" if all(c.kind in ("number", "integer") for c in columns) else "text")
    for column in columns:
        whole.rows += column.rows
        whole.filled += column.filled
        whole.studied += column.studied
        whole.numbers += column.numbers
        whole.whole += column.whole
        whole.marks.update(column.marks)
        whole.symbols.update(column.symbols)
        whole.longest = max(whole.longest, column.longest)
    whole.complete = False
    return whole


def _sourced(field: FieldSpec, column: Column) -> FieldSpec:
    return field if field.name == column.name else replace(field, column=column.name)


def _field(
    name: str,
    column: Column,
    interview: Interview,
    confidential: str,
    lists: Mapping[str, Sequence[str]],
    *,
    number: bool = False,
) -> FieldSpec:
    if is_time(column) and not number:
        written, kind = written_as(column, interview)
        if kind == "day":
            return FieldSpec(name, "date", date_format=written)
        if kind == "moment":
            return FieldSpec(name, "datetime", date_format=written)
        if kind != "A" or column.kind == "text":
            return FieldSpec(name, "string")
    if column.kind == "boolean" or (column.complete and {t.lower() for t in column.texts} <= {"true", "false"}
                                    and column.texts):  # fmt: skip
        return FieldSpec(name, "boolean")
    if _is_number(column, interview) and not _leading_zeros(column):
        return _measured(name, column, interview, confidential)
    return _coded(name, column, lists)


def _is_number(column: Column, interview: Interview) -> bool:
    """Whether a column holds numbers: nearly all texts are, or most of them and it was answered so."""
    if column.is_number():
        return True
    if column.kind != "text" or is_time(column) or not column.numbers:
        return False
    if (5 * column.numbers < 4 * column.valued and not _one_word_beside(column)) or _leading_zeros(column):
        return False
    said = interview.ask(
        f"type:{column.name}",
        f"In {column.numbers:,} of {column.valued:,} rows column {column.name!r} reads as a number. Does it hold "
        "numbers (number: the other rows are refused) or codes (text)?",
        options=("number", "text"),
        required=True,
    )
    return said == "number"


def _one_word_beside(column: Column) -> bool:
    """Whether half of a column or more is numbers, and all else one word again and again: a mark for nothing?"""
    words = [text for text in column.texts if not any(sign.isdigit() for sign in text)]
    if not column.complete or len(words) != 1 or 2 * column.numbers < column.valued:
        return False
    return column.texts[words[0]] + column.numbers == column.valued


def _leading_zeros(column: Column) -> bool:
    """Whether digits are a code: 01 and 1 are two divisions, but one number."""
    return column.kind == "text" and any(len(t) > 1 and t[0] == "0" and t.isdigit() for t in column.texts)


def _measured(name: str, column: Column, interview: Interview, confidential: str) -> FieldSpec:
    sign = next(iter(column.symbols), "")
    unit = _unit(column.name, sign)
    title = "" if column.name == name else column.name
    if column.is_whole() and not sign:
        return FieldSpec(name, "integer", title=title)
    if confidential != "yes":
        return FieldSpec(name, "number", title=title, measure=unit)
    guess = f"{CURRENCIES[sign]} 2" if CURRENCIES.get(sign) else ""
    said = interview.ask(
        f"measure:{name}",
        f"Field {name!r} has decimals; microdata are kept as whole minor units. Its unit and number of decimals? "
        "(EUR 2: money in cents; kWh 3: a quantity in thousandths)",
        default=guess,
        required=True,
    )
    if not said:
        return FieldSpec(name, "integer", title=title)  # stands in until it is answered
    word, _, decimals = said.rpartition(" ")
    if not word or not decimals.isdigit():
        word, decimals = said, "0"
    if re.fullmatch(r"[A-Z]{3}", word):
        return FieldSpec(name, "money", title=title, currency=word, scale=int(decimals), given="major")
    return FieldSpec(name, "quantity", title=title, measure=word, scale=int(decimals), given="major")


def _unit(name: str, sign: str) -> str:
    found = _MEASURE.fullmatch(name)
    if found:
        return found["unit"].strip()
    low = name.lower()
    ends = [unit for ending, unit in _ENDINGS.items() if low.endswith(ending)]
    return ends[-1] if ends else CURRENCIES.get(sign) or sign


def _coded(name: str, column: Column, lists: Mapping[str, Sequence[str]]) -> FieldSpec:
    codes = set(column.texts)
    title = "" if column.name == name else column.name
    if column.complete and 1 < len(codes) <= CODES and column.filled >= 10 * len(codes):
        for known, members in {**CODE_LISTS, **lists}.items():
            if len(codes) > 2 and codes <= set(members):
                return FieldSpec(name, "code", title=title, codes_from=known)
        if all(re.fullmatch(r"\S{1,16}", code) for code in codes):
            return FieldSpec(name, "code", title=title, codes=tuple(sorted(codes)))
    return FieldSpec(name, "string", title=title)
