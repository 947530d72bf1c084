"""Read electronic invoices of EN 16931: UBL 2.1 (Invoice, CreditNote) and CII (CrossIndustryInvoice D16B).

A delivery is an XML file, a folder of them, or a zip. Each is parsed as a stream of events that keeps a dozen
values, so that memory does not grow with attachments. A document type or an entity is refused at once, whatever
it would expand to; nothing outside the file is ever opened.

Invoices whose buyer has no company's id (legal registration or tax number) are bills of private persons: their
content is dropped while reading, and they are counted.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import numpy as np
import pyarrow as pa

from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch

COLUMNS: tuple[str, ...] = (
    "seller_id",
    "buyer_id",
    "invoice_number",
    "kind",
    "issued_on",
    "due_on",
    "currency",
    "net",
    "tax",
    "gross",
    "paid_on",
    "document",
)
"""Columns of the rows, as the built-in dataset `invoices` names them."""

CREDIT_CODES = frozenset({"81", "83", "381", "396", "532"})
"""Codes of UNTDID 1001 that EN 16931 gives to credit notes (BT-3)."""

LARGEST = 64 << 20
"""Bytes of one invoice, attachments included."""

DEEPEST = 64
"""Elements inside one another."""

LONGEST = 200
"""Characters of a value that is kept."""

MEMBERS, UNPACKED, RATIO = 5_000_000, 8 << 30, 200
"""Files in a zip; bytes that it may unpack to, and how many times its own size."""

BATCH = 5_000
"""Invoices of a batch."""

_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
           ValueError)  # fmt: skip
"""What reading a damaged, locked or unusually packed zip may raise."""

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CII = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"


class _NoInvoiceError(Exception):
    """A file is no invoice of EN 16931; the reason in words, without any value."""


@dataclass(slots=True)
class _Values:
    """What one invoice says, by business term."""

    number: str = ""
    code: str = ""
    issued: str = ""
    due: str = ""
    currency: str = ""
    net: str = ""
    gross: str = ""
    taxes: list[tuple[str, str]] = field(default_factory=list)
    legal: dict[str, str] = field(default_factory=dict)
    tax_numbers: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"seller": [], "buyer": []})


# -- the two syntaxes -----------------------------------------------------------------------------

_PARTIES = {"AccountingSupplierParty": "seller", "AccountingCustomerParty": "buyer"}
_TRADERS = {"SellerTradeParty": "seller", "BuyerTradeParty": "buyer"}
_AGREEMENT = ("SupplyChainTradeTransaction", "ApplicableHeaderTradeAgreement")
_SETTLEMENT = ("SupplyChainTradeTransaction", "ApplicableHeaderTradeSettlement")
_SUMS = (*_SETTLEMENT, "SpecifiedTradeSettlementHeaderMonetarySummation")


def _ubl(found: _Values, path: tuple[str, ...], text: str, attributes: dict[str, str]) -> None:
    """Take one value of a UBL document; `path` is below the root."""
    match path:
        case ("ID",):
            found.number = text
        case ("IssueDate",):
            found.issued = text
        case ("DueDate",) | ("PaymentMeans", "PaymentDueDate"):
            found.due = found.due or text
        case ("InvoiceTypeCode",) | ("CreditNoteTypeCode",):
            found.code = text
        case ("DocumentCurrencyCode",):
            found.currency = text
        case ("LegalMonetaryTotal", "TaxExclusiveAmount"):
            found.net = text
        case ("LegalMonetaryTotal", "TaxInclusiveAmount"):
            found.gross = text
        case ("TaxTotal", "TaxAmount"):
            found.taxes.append((attributes.get("currencyID", ""), text))
        case (party, "Party", "PartyLegalEntity", "CompanyID") if party in _PARTIES:
            found.legal[_PARTIES[party]] = text
        case (party, "Party", "PartyTaxScheme", "CompanyID") if party in _PARTIES:
            found.tax_numbers[_PARTIES[party]].append((text, ""))
        case (party, "Party", "PartyTaxScheme", "TaxScheme", "ID") if party in _PARTIES:
            known = found.tax_numbers[_PARTIES[party]]
            if known:
                known[-1] = (known[-1][0], text)
        case _:
            pass


def _cii(found: _Values, path: tuple[str, ...], text: str, attributes: dict[str, str]) -> None:
    """Take one value of a CII document; `path` is below the root."""
    match path:
        case ("ExchangedDocument", "ID"):
            found.number = text
        case ("ExchangedDocument", "TypeCode"):
            found.code = text
        case ("ExchangedDocument", "IssueDateTime", "DateTimeString"):
            found.issued = _day(text, attributes)
        case (*start, "SpecifiedTradePaymentTerms", "DueDateDateTime", "DateTimeString") if tuple(start) == _SETTLEMENT:
            found.due = found.due or _day(text, attributes)
        case (*start, "InvoiceCurrencyCode") if tuple(start) == _SETTLEMENT:
            found.currency = text
        case (*start, "TaxBasisTotalAmount") if tuple(start) == _SUMS:
            found.net = text
        case (*start, "GrandTotalAmount") if tuple(start) == _SUMS:
            found.gross = text
        case (*start, "TaxTotalAmount") if tuple(start) == _SUMS:
            found.taxes.append((attributes.get("currencyID", ""), text))
        case (first, second, party, "SpecifiedLegalOrganization", "ID") if (first, second) == _AGREEMENT:
            if party in _TRADERS:
                found.legal[_TRADERS[party]] = text
        case (first, second, party, "SpecifiedTaxRegistration", "ID") if (first, second) == _AGREEMENT:
            if party in _TRADERS:
                scheme = {"VA": "VAT"}.get(attributes.get("schemeID", ""), attributes.get("schemeID", "") or "other")
                found.tax_numbers[_TRADERS[party]].append((text, scheme))
        case _:
            pass


def _day(text: str, attributes: dict[str, str]) -> str:
    if attributes.get("format", "102") == "102" and len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


# -- parsing --------------------------------------------------------------------------------------


def parse_invoice(handle: BinaryIO, document: str) -> dict[str, str | None] | None:
    """Read one invoice.

    Parameters
    ----------
    handle
        The XML.
    document
        Name of the file, kept with the row.

    Returns
    -------
    dict or None
        Values by `COLUMNS`, amounts as written (credit notes negative); None where the buyer has no company's id.

    Raises
    ------
    ValueError
        It is no invoice of EN 16931; the reason in words, without any value.
    """
    try:
        return _row(_parse(handle), document)
    except _NoInvoiceError as error:
        raise ValueError(str(error)) from None


def _parse(handle: BinaryIO) -> _Values:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    found = _Values()
    path: list[str] = []
    texts: list[list[str]] = []
    attributes: list[dict[str, str]] = []
    take: list[Callable[[_Values, tuple[str, ...], str, dict[str, str]], None]] = []

    def refused(*_: object) -> int:
        raise _NoInvoiceError("it declares a document type or an entity")

    def start(name: str, given: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if not path:
            take.append(_syntax(space, local, found))
        if len(path) >= DEEPEST:
            raise _NoInvoiceError("its elements are nested too deeply")
        path.append(local)
        texts.append([])
        attributes.append(given)

    def text(data: str) -> None:
        piece = texts[-1]
        if len(piece) < 8 and len(data) <= LONGEST:  # attachments are long; what is wanted is short
            piece.append(data)

    def end(_: str) -> None:
        value = "".join(texts.pop()).strip()[:LONGEST]
        if value:
            take[0](found, tuple(path[1:]), value, attributes[-1])
        path.pop()
        attributes.pop()

    parser.StartDoctypeDeclHandler = refused
    parser.EntityDeclHandler = refused
    parser.ExternalEntityRefHandler = refused
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    size = 0
    try:
        while piece := handle.read(1 << 16):
            size += len(piece)
            if size > LARGEST:
                raise _NoInvoiceError("it is too large")
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError):
        raise _NoInvoiceError("it is no well-formed XML") from None
    return found


def _syntax(space: str, local: str, found: _Values) -> Callable[[_Values, tuple[str, ...], str, dict[str, str]], None]:
    if local in ("Invoice", "CreditNote") and space == f"{_UBL}{local}-2":
        found.code = "381" if local == "CreditNote" else ""
        return _ubl
    if local == "CrossIndustryInvoice" and space == _CII:
        return _cii
    raise _NoInvoiceError("it is neither a UBL 2.1 nor a CII invoice")


def _company(found: _Values, party: str) -> str:
    """Return a company's id: its legal registration, else its VAT number, else another tax number."""
    numbers = found.tax_numbers[party]
    vat = next((number for number, scheme in numbers if scheme.upper() in ("VAT", "")), "")
    return found.legal.get(party, "") or vat or next((number for number, _ in numbers), "")


def _row(found: _Values, document: str) -> dict[str, str | None] | None:
    if not (found.number and found.issued and found.currency and found.net):
        raise _NoInvoiceError("number, day, currency or net amount is missing")
    seller, buyer = _company(found, "seller"), _company(found, "buyer")
    if not buyer:
        return None
    if not seller:
        raise _NoInvoiceError("the seller has no id")
    credit = found.code in CREDIT_CODES
    own = [amount for currency, amount in found.taxes if currency in ("", found.currency)]
    return {
        "seller_id": seller,
        "buyer_id": buyer,
        "invoice_number": found.number,
        "kind": "credit_note" if credit else "invoice",
        "issued_on": found.issued,
        "due_on": found.due or None,
        "currency": found.currency,
        "net": _signed(found.net, credit=credit),
        "tax": _signed(own[0], credit=credit) if own else None,
        "gross": _signed(found.gross, credit=credit) if found.gross else None,
        "paid_on": None,
        "document": document,
    }


def _signed(amount: str, *, credit: bool) -> str:
    """Return an amount; of a credit note its opposite, so that sums are right."""
    if not credit:
        return amount
    return amount[1:] if amount.startswith("-") else f"-{amount.removeprefix('+')}"


# -- deliveries -----------------------------------------------------------------------------------


def is_invoices(path: Path) -> bool:
    """Whether a delivery is XML: a file, a folder that holds any, or a zip that holds no workbook but some."""
    if path.is_dir():
        return any(file.suffix.lower() == ".xml" for file in path.iterdir())
    with path.open("rb") as handle:
        head = handle.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.lower() for name in archive.namelist()]
        except _DAMAGE:
            return False
        office = any(name.startswith(("xl/", "[content_types]")) for name in names)
        return not office and any(name.endswith(".xml") for name in names)
    wide = head.startswith((b"\xff\xfe<", b"\xfe\xff\x00<"))
    return path.suffix.lower() == ".xml" and (head.startswith(b"<") or wide)


def read_invoices(path: Path, at: str) -> tuple[str, int, Iterator[RawBatch]]:
    """Open a delivery of invoices.

    Parameters
    ----------
    path
        An XML file, a folder of them, or a zip.
    at
        Words for messages.

    Returns
    -------
    tuple
        SHA-256 of the content, its size in bytes, and the batches. Row numbers are the places of the files in
        the order of their names, from 1; the file's name stands in the column ``document``.

    Raises
    ------
    DataError
        The zip is damaged, or would unpack to too much.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        for name, opened in _documents(path, at):
            with opened() as handle:
                digest.update(name.encode("utf-8", "surrogateescape"))
                while piece := handle.read(1 << 20):
                    size += len(piece)
                    digest.update(piece)
    except _DAMAGE:
        raise refuse("OPS-D019", at) from None
    return digest.hexdigest(), size, _batches(path, at)


def _documents(path: Path, at: str) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    if path.is_dir():
        for file in sorted(f for f in path.iterdir() if f.suffix.lower() == ".xml" and f.is_file()):
            yield file.name, lambda file=file: file.open("rb")  # type: ignore[misc]  # bound now, called at once
        return
    with path.open("rb") as handle:
        packed = handle.read(4) == b"PK\x03\x04"
    if not packed:
        yield path.name, lambda: path.open("rb")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(
                (m for m in archive.infolist() if m.filename.lower().endswith(".xml") and not m.is_dir()),
                key=lambda m: m.filename,
            )
            whole = sum(m.file_size for m in members)
            if len(members) > MEMBERS or whole > UNPACKED or whole > (10 << 20) + RATIO * path.stat().st_size:
                raise refuse("OPS-D017", at)
            for member in members:
                yield member.filename, lambda member=member: archive.open(member)  # type: ignore[misc]  # as above
    except _DAMAGE:
        raise refuse("OPS-D019", at) from None


def _batches(path: Path, at: str) -> Iterator[RawBatch]:
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    broken: list[tuple[int, str, str]] = []
    for number, (name, opened) in enumerate(_documents(path, at), 1):
        try:
            with opened() as handle:
                row = parse_invoice(handle, name)
        except ValueError:
            broken.append((number, "OPS-D037", name))
        else:
            if row is None:
                broken.append((number, "OPS-D038", ""))  # nothing of it is kept, not even the file's name
            else:
                rows.append(row)
                numbers.append(number)
        if len(rows) + len(broken) >= BATCH:
            yield _batch(path.name, rows, numbers, broken)
            rows, numbers, broken = [], [], []
    if rows or broken:
        yield _batch(path.name, rows, numbers, broken)


def _batch(
    file: str, rows: list[dict[str, str | None]], numbers: list[int], broken: list[tuple[int, str, str]]
) -> RawBatch:
    columns = [pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS]
    batch = pa.record_batch(columns, names=list(COLUMNS))
    return RawBatch(file, batch, pa.array(np.array(numbers, np.int64)), tuple(broken))
