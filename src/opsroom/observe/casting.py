"""Turn a source's column into the type of its field, marking rows that cannot be turned."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.base.date_formats import date_format
from opsroom.base.errors import UsageError
from opsroom.base.layout import PLAIN, Layout
from opsroom.base.periods import Frequency, parse_moment, parse_period, zone
from opsroom.base.specs import FieldSpec
from opsroom.observe.quality import MAX_TEXT

_INT64_MAX = "9223372036854775807"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


class UncastableError(Exception):
    """The column's type has no meaning for the field; the caller names the column."""


@dataclass(frozen=True, slots=True)
class Cast:
    """A column in its field's type.

    Attributes
    ----------
    values
        Null where the source is empty or the row is at fault.
    faults
        Pairs of rule code and mask (true: at fault); only masks with a true value.
    """

    values: pa.Array
    faults: tuple[tuple[str, pa.BooleanArray], ...] = ()


_NUMBERS = ("integer", "money", "quantity", "number")


def cast(
    column: pa.Array,
    field: FieldSpec,
    frequency: Frequency | None,
    missing: tuple[str, ...] = (),
    layout: Layout = PLAIN,
) -> Cast:
    """Cast a source column to the type of its field.

    Parameters
    ----------
    column
        Values as the source has them.
    field
        The specification of the field.
    frequency
        Of the dataset where the field is its period, which is then moved to its first day; else None.
    missing
        Texts that stand for an empty value, beside the empty text.
    layout
        How the file writes numbers.

    Raises
    ------
    UncastableError
        The column's Arrow type cannot hold such a field.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode() if len(column.dictionary) else pa.nulls(len(column), kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        return Cast(pa.nulls(len(column), field.arrow_type()))
    if _is_text(kind):
        column = trim(column.cast(pa.string()), missing)
        if field.type in _NUMBERS and not layout.plain_numbers:
            column = plain_numbers(column, layout)
    match field.type:
        case "string" | "code":
            return _to_text(column)
        case "integer":
            return _to_integer(column, 0)
        case "money" | "quantity":
            return _to_integer(column, (field.scale or 0) if field.given == "major" else 0)
        case "number":
            return _to_number(column)
        case "boolean":
            return _to_boolean(column)
        case "datetime":
            return _to_moment(column, field.date_format, layout.timezone)
        case _:
            return _to_day(column, frequency, field.date_format)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def trim(column: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """Cut white space off texts and null those that stand for an empty value."""
    trimmed = pc.utf8_trim_whitespace(column)
    empty = pc.is_in(trimmed, value_set=pa.array(["", *missing], pa.string()))
    return pc.if_else(empty, pa.scalar(None, pa.string()), trimmed) if pc.any(empty).as_py() else trimmed


def plain_numbers(column: pa.Array, layout: Layout) -> pa.Array:
    """Write numbers with a decimal point and without marks between thousands.

    Texts that are not numbers of the layout stay as they are, and are refused where they are cast. A thousands
    mark is taken for one between groups of three digits only: 1.5 is never read as 15.
    """
    text = pc.replace_substring_regex(column, "[\u2212\u2013]", "-")  # minus sign and dash
    for symbol in layout.symbols:
        text = pc.replace_substring(text, symbol, "")
    text = pc.replace_substring_regex(text, "[\u00a0\u2007\u2009\u202f\t]", " ")
    text = pc.utf8_trim(text, " ")
    if layout.parentheses:
        text = pc.replace_substring_regex(text, r"^\(\s*([^()+-]+?)\s*\)$", r"-\1")
    text = pc.replace_substring_regex(text, r"^([+-])\s+", r"\1")
    mark = re.escape(layout.decimal)
    for thousands in layout.thousands:
        group = re.escape(thousands)
        whole = pc.match_substring_regex(text, rf"^[+-]?\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d*)?$")
        text = pc.if_else(whole, pc.replace_substring(text, thousands, ""), text)
    if layout.decimal == ",":
        written = pc.match_substring_regex(text, r"^[+-]?\d*,?\d*(?:[eE][+-]?\d{1,3})?$")
        # A point that is no thousands mark makes the text something else than a number.
        text = pc.if_else(written, pc.replace_substring(text, ",", "."), pc.replace_substring(text, ".", "·"))
    return text


def _result(values: pa.Array, *faults: tuple[str, pa.BooleanArray | None]) -> Cast:
    """Null the rows at fault and drop empty masks."""
    kept = []
    for code, mask in faults:
        if mask is None:
            continue
        mask = pc.fill_null(mask, False)
        if pc.any(mask).as_py():
            kept.append((code, mask))
            values = pc.if_else(mask, pa.scalar(None, values.type), values)
    return Cast(values, tuple(kept))


def _to_text(column: pa.Array) -> Cast:
    if pa.types.is_integer(column.type):
        return Cast(column.cast(pa.string()))
    if not _is_text(column.type):
        raise UncastableError
    longest = pc.max(pc.utf8_length(column)).as_py()
    if longest is None or longest <= MAX_TEXT:
        return Cast(column)
    return _result(column, ("OPS-D035", pc.greater(pc.utf8_length(column), MAX_TEXT)))


def _to_integer(column: pa.Array, shift: int) -> Cast:
    """Whole numbers; with `shift` > 0 decimals are moved into minor units, exactly."""
    kind = column.type
    if _is_text(kind):
        return _integer_from_text(column, shift)
    if pa.types.is_integer(kind):
        if pa.types.is_uint64(kind):
            large = pc.greater(column, pa.scalar(2**63 - 1, pa.uint64()))
            column = pc.if_else(large, pa.scalar(None, kind), column)
        else:
            large = None
        values = column.cast(pa.int64())
        if not shift:
            return _result(values, ("OPS-D034", large))
        limit = (2**63 - 1) // 10**shift
        far = pc.greater(pc.abs(values), limit)
        return _result(pc.multiply(pc.if_else(far, None, values), 10**shift), ("OPS-D034", _either(large, far)))
    if pa.types.is_floating(kind):
        return _integer_from_float(column.cast(pa.float64()), shift)
    if pa.types.is_decimal(kind):
        return _integer_from_text(column.cast(pa.string()), shift)
    raise UncastableError


def _either(a: pa.Array | None, b: pa.Array) -> pa.Array:
    return b if a is None else pc.or_(pc.fill_null(a, False), pc.fill_null(b, False))


def _integer_from_float(column: pa.Array, shift: int) -> Cast:
    empty = pc.or_kleene(pc.is_null(column), pc.is_nan(column))
    column = pc.if_else(empty, pa.scalar(None, pa.float64()), column)
    scaled = pc.multiply(column, float(10**shift))
    whole = pc.round(scaled)
    # A double holds 15 digits: what differs by less than that from a whole minor unit is meant as one.
    slack = pc.add(pc.multiply(pc.abs(scaled), 4e-16), 1e-9 if shift else 0.0)
    broken = pc.greater(pc.abs(pc.subtract(scaled, whole)), slack)
    far = pc.greater(pc.abs(scaled), 2.0**53)
    infinite = pc.is_inf(column)
    clean = pc.if_else(pc.or_kleene(pc.or_kleene(broken, far), infinite), pa.scalar(None, pa.float64()), whole)
    code = "OPS-D034" if shift else "OPS-D024"
    return _result(clean.cast(pa.int64()), (code, broken), ("OPS-D034", pc.or_kleene(far, infinite)))


def _integer_from_text(column: pa.Array, shift: int) -> Cast:
    pattern = rf"^[+-]?\d+(?:\.\d{{0,{shift}}}0*)?$" if shift else r"^[+-]?\d+(?:\.0*)?$"
    fits = pc.match_substring_regex(column, pattern)
    if shift:
        number = pc.match_substring_regex(column, r"^[+-]?\d+(?:\.\d*)?$")
        broken, fine = pc.invert(number), pc.and_(number, pc.invert(fits))
    else:
        broken, fine = pc.invert(fits), None
    text = pc.if_else(fits, column, pa.scalar(None, pa.string()))
    sign = pc.if_else(pc.starts_with(text, "-"), "-", "")
    text = pc.utf8_ltrim(text, "+-")
    whole = pc.replace_substring_regex(text, r"\..*$", "")
    if shift:
        decimals = pc.replace_substring_regex(text, r"^\d+\.?", "")
        decimals = pc.utf8_slice_codeunits(pc.utf8_rpad(decimals, shift, "0"), 0, shift)
        whole = pc.binary_join_element_wise(whole, decimals, "")
    whole = pc.replace_substring_regex(whole, r"^0+(\d)", r"\1")
    length = pc.utf8_length(whole)
    far = pc.or_(pc.greater(length, 19), pc.and_(pc.equal(length, 19), pc.greater(whole, _INT64_MAX)))
    whole = pc.if_else(far, pa.scalar(None, pa.string()), whole)
    values = pc.binary_join_element_wise(sign, whole, "").cast(pa.int64())
    return _result(values, ("OPS-D024", broken), ("OPS-D034", fine), ("OPS-D034", far))


def _to_number(column: pa.Array) -> Cast:
    kind = column.type
    broken = None
    if _is_text(kind):
        fits = pc.match_substring_regex(column, r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$")
        broken = pc.invert(fits)
        # arrow's own parser takes no leading plus sign
        bare = pc.utf8_ltrim(pc.if_else(fits, column, pa.scalar(None, pa.string())), "+")
        values = bare.cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False)
        nan = pc.is_nan(values)
        if pc.any(nan).as_py():
            values = pc.if_else(nan, pa.scalar(None, pa.float64()), values)
    else:
        raise UncastableError
    # Minus zero and zero are one value: a revision must be a change that a reader can see.
    return _result(pc.add(values, 0.0), ("OPS-D025", broken), ("OPS-D025", pc.is_inf(values)))


def _to_boolean(column: pa.Array) -> Cast:
    if pa.types.is_boolean(column.type):
        return Cast(column)
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not _is_text(column.type):
        raise UncastableError
    word = pc.utf8_lower(column)
    true, false = (pc.is_in(word, value_set=pa.array(w)) for w in (_TRUE, _FALSE))
    values = pc.if_else(pc.is_null(column), pa.scalar(None, pa.bool_()), true)
    broken = pc.and_(pc.is_valid(column), pc.invert(pc.or_(true, false)))
    return _result(values, ("OPS-D027", broken))


def _by_distinct(column: pa.Array, parse: Callable[[str], date | datetime], kind: pa.DataType) -> Cast:
    """Parse each distinct text once: a column of a million days holds a few hundred of them."""
    encoded = column.dictionary_encode()
    parsed: list[date | datetime | None] = []
    for word in encoded.dictionary.to_pylist():
        try:
            parsed.append(parse(word))
        except UsageError:
            parsed.append(None)
    values = pa.array(parsed, kind).take(encoded.indices)
    return _result(values, ("OPS-D026", pc.and_(pc.is_valid(column), pc.is_null(values))))


def _to_day(column: pa.Array, frequency: Frequency | None, written: str = "") -> Cast:
    kind = column.type
    target = frequency or Frequency.DAILY
    if pa.types.is_integer(kind) and (written or target is Frequency.ANNUAL):
        column, kind = column.cast(pa.string()), pa.string()
    if _is_text(kind):
        return _by_distinct(column, lambda word: read_period(word, target, written), pa.date32())
    clock = None
    if pa.types.is_timestamp(kind):
        wall = pc.local_timestamp(column) if kind.tz else column
        day = wall.cast(pa.date32(), safe=False)
        clock = pc.not_equal(day.cast(wall.type), wall)
    elif pa.types.is_date(kind):
        day = column.cast(pa.date32())
    else:
        raise UncastableError
    units = {"W": "week", "M": "month", "Q": "quarter", "A": "year"}
    if target.value in units:
        day = pc.floor_temporal(day, unit=units[target.value], week_starts_monday=True).cast(pa.date32())
        clock = None  # month ends are often stamped 23:59; the period is what counts
    span = pc.min_max(day).as_py()
    odd = None
    if span["min"] is not None and (span["min"].year < 1700 or span["max"].year > 2299):
        year = pc.year(day)
        odd = pc.or_(pc.less(year, 1700), pc.greater(year, 2299))
    return _result(day, ("OPS-D026", clock), ("OPS-D026", odd))


def read_period(word: str, frequency: Frequency, written: str = "") -> date:
    """Read a period as the provider writes it, or in ISO form.

    Raises
    ------
    UsageError
        It is neither.
    """
    if written:
        with contextlib.suppress(ValueError):
            moment = date_format(written).read(word)
            if not any((moment.hour, moment.minute, moment.second)):
                return parse_period(moment.date().isoformat(), frequency)
    return parse_period(word, frequency)


def read_moment(word: str, written: str = "", timezone: str = "") -> datetime:
    """Read a moment as the provider writes it, or in ISO form; one that names no zone is of a zone, UTC where none.

    Raises
    ------
    UsageError
        It is neither, or the zone's clock skips it.
    """
    if written:
        with contextlib.suppress(ValueError):
            return _placed(parse_moment(date_format(written).read(word).isoformat()), timezone)
    moment = parse_moment(word)
    return moment if _NAMES_ZONE.search(word.strip()) else _placed(moment, timezone)


_NAMES_ZONE = re.compile(r"(?:[Zz]|:\d{2}(?:[.,]\d+)?[+-]\d{2}(?::?\d{2}){0,2}|T\d{2}[+-]\d{2}(?::?\d{2})?)$", re.ASCII)


def _placed(shown: datetime, timezone: str) -> datetime:
    """Return the moment, UTC, at which a zone's clock shows what a moment shows; the first where it does so twice."""
    if not timezone:
        return shown
    own = zone(timezone)
    moment = shown.replace(tzinfo=own).astimezone(UTC)
    if moment.astimezone(own).replace(tzinfo=UTC) != shown:
        raise UsageError("the clock skips that moment.", remedy="Write it with its offset.")
    return moment


def _to_moment(column: pa.Array, written: str = "", timezone: str = "") -> Cast:
    kind = pa.timestamp("us", "UTC")
    if _is_text(column.type):
        return _by_distinct(column, lambda word: read_moment(word, written, timezone), kind)
    if not pa.types.is_timestamp(column.type):
        raise UncastableError
    if column.type.tz:
        return Cast(column.cast(kind))
    shown = column.cast(pa.timestamp("us"))
    if not timezone:
        return Cast(shown.cast(kind))
    placed = pc.assume_timezone(shown, timezone, ambiguous="earliest", nonexistent="earliest")
    return _result(placed.cast(kind), ("OPS-D026", pc.not_equal(pc.local_timestamp(placed), shown)))


def first_true(masks: list[tuple[str, str, pa.BooleanArray]], size: int) -> np.ndarray:
    """Return, for each row, whether any of the (field, code, mask) triples is true."""
    bad = np.zeros(size, dtype=bool)
    for _, _, mask in masks:
        bad |= mask.to_numpy(zero_copy_only=False)
    return bad
