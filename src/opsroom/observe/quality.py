"""The rules that data meet on arrival, and the table of their codes.

A *file* rule refuses a delivery as a whole (`DataError`); a *row* rule sends single rows to quarantine with
file, row, field and code. The table is the manual's: `opsroom doctor` and the pages read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from opsroom.base.errors import DataError


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on arriving data.

    Attributes
    ----------
    code
        Stable code, such as ``"OPS-D022"``.
    level
        ``"file"``: the delivery is refused; ``"row"``: the row goes to quarantine.
    title, remedy
        What is wrong, and what to do, in a few words without any value.
    """

    code: str
    level: Literal["file", "row"]
    title: str
    remedy: str


_FILE = (
    ("OPS-D002", "the file does not exist or cannot be opened", "Check the path and its permissions."),
    ("OPS-D003", "columns are missing", "Deliver them, or correct the specification."),
    ("OPS-D004", "there are columns that no field names", "Add fields, or set ignore_extra = true."),
    ("OPS-D005", "the delivery holds no row", "Ask the provider for the whole file."),
    ("OPS-D006", "the Parquet file is damaged or cut short", "Ask the provider to send it again."),
    ("OPS-D007", "a line is longer than the limit", "Check that the file is CSV with line ends."),
    (
        "OPS-D008",
        "the file is not text in the encoding declared (UTF-8 where none is)",
        "Save it as UTF-8, or state its encoding in [layout].",
    ),
    (
        "OPS-D009",
        "the header cannot be read",
        "Give each column one name, separated by comma or semicolon.",
    ),
    ("OPS-D010", "a column has a type that its field cannot take", "Deliver the type of the specification."),
    ("OPS-D011", "known_at lies in the future", "Give the moment at which the delivery arrived."),
    ("OPS-D012", "known_at is earlier than what the room already knows", "Give a reason for back-dating."),
    ("OPS-D013", "a snapshot would take back too many rows", "Ask for the whole file, or raise max_drop."),
    ("OPS-D014", "known_at is missing", "Give known_at, or name known_at_field in the specification."),
    (
        "OPS-D015",
        "the source is of no known kind",
        "Give CSV, Parquet or XLSX files, or an Arrow or pandas table.",
    ),
    ("OPS-D016", "the workbook is damaged, or no XLSX workbook", "Save it again as XLSX, or as CSV."),
    ("OPS-D017", "the file is too large when unpacked", "Deliver it as CSV or Parquet."),
    ("OPS-D019", "the zip is damaged or locked", "Pack it again, without a password."),
    ("OPS-D018", "the workbook has no such sheet, or several and none is named", "Name it: sheet in [layout]."),
    (
        "OPS-D055",
        "a quote is opened and never closed: the lines behind it would be lost",
        "Close it, or double it where it belongs to the text.",
    ),
    (
        "OPS-D056",
        "not one row could be taken in by what was seen and answered",
        "Mend what is named, or give other answers.",
    ),
    ("OPS-D054", "a rule on the dataset as a whole is broken", "Ask the provider, or correct the rule."),
    (
        "OPS-D050",
        "the delivery differs from the provider's control totals",
        "Ask the provider which is right, and send the file again.",
    ),
)

_ROW = (
    ("OPS-D020", "the line has another number of values than the header", "Correct the line."),
    ("OPS-D021", "the text is not UTF-8", "Save the file as UTF-8."),
    ("OPS-D022", "a key field is empty", "Fill it in."),
    ("OPS-D023", "a required field is empty", "Fill it in."),
    ("OPS-D024", "not a whole number", "Deliver whole numbers in minor units."),
    ("OPS-D025", "not a finite number", "Use digits and a decimal point."),
    ("OPS-D026", "not a date or period", "Write ISO dates or periods."),
    ("OPS-D027", "not true or false", "Write true or false."),
    ("OPS-D028", "outside the declared bounds", "Check the value and its unit."),
    ("OPS-D029", "unknown code", "Check the code list and its version."),
    (
        "OPS-D030",
        "the period lies after the delivery",
        "Check the date; set allow_future if it is known ahead.",
    ),
    ("OPS-D031", "the same key again with other content", "Deliver each key once."),
    ("OPS-D032", "the legal form is missing", "Add it; without it sole traders cannot be kept out."),
    ("OPS-D033", "deletion of a key that was never delivered", "Check the key."),
    ("OPS-D034", "more decimals than the minor unit has, or too large", "Check scale and value."),
    ("OPS-D035", "the text is longer than 4,000 characters", "Shorten it."),
    (
        "OPS-D037",
        "no electronic invoice of EN 16931 (UBL 2.1 or CII)",
        "Deliver the XML of the invoice as it was sent.",
    ),
    ("OPS-D038", "the buyer has no company's id: nothing of the invoice is kept", "None: it is a private person's."),
    ("OPS-D053", "a rule of the dataset is broken; the field names it", "Correct the row, or the rule."),
    ("OPS-D036", "the vintage cannot be read or lies in the future", "Write an ISO date."),
    ("OPS-D040", "the unit was erased; its row is not kept", "Ask the provider to leave it out, or lift the erasure."),
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {code: Rule(code, "file", title, remedy) for code, title, remedy in _FILE}
    | {code: Rule(code, "row", title, remedy) for code, title, remedy in _ROW}
)
"""All rules by code."""

MAX_TEXT = 4_000
"""Longest text of a string field, in characters."""


def refuse(code: str, where: str, detail: str = "") -> DataError:
    """Return the error of a file rule.

    Parameters
    ----------
    code
        Of a rule in `RULES`.
    where
        Dataset, file: never a value.
    detail
        Names of columns or numbers of rows that help; never a value of microdata.
    """
    rule = RULES[code]
    text = f"{where}: {rule.title}{': ' + detail if detail else ''}."
    return DataError(text, remedy=rule.remedy, code=code)
