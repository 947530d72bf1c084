"""Electronic invoices: both syntaxes, what is refused, and what they tell. All documents are made here."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError
from opsroom.measure.invoices import payment_delay, supplier_network
from opsroom.observe.sources.einvoice import parse_invoice
from opsroom.room.built_in import built_in
from opsroom.room.room import Room

UBL = "urn:oasis:names:specification:ubl:schema:xsd"


def ubl(
    number: str = "R1", *, seller: str = "FN 1", buyer: str | None = "FN 2", credit: bool = False, net: str = "100.00",
    extra: str = "", vat_only: bool = False, issued: str = "2024-03-01", due: str = "2024-03-31",
) -> bytes:  # fmt: skip
    root = "CreditNote" if credit else "Invoice"
    end = "" if credit else f"<cbc:DueDate>{due}</cbc:DueDate><cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>"
    party = ""
    if buyer is not None:
        party = f"<cac:PartyLegalEntity><cbc:CompanyID>{buyer}</cbc:CompanyID></cac:PartyLegalEntity>"
        if vat_only:
            party = (
                "<cac:PartyTaxScheme><cbc:CompanyID>99/1</cbc:CompanyID><cac:TaxScheme><cbc:ID>TAX</cbc:ID>"
                "</cac:TaxScheme></cac:PartyTaxScheme>"
                f"<cac:PartyTaxScheme><cbc:CompanyID>{buyer}</cbc:CompanyID><cac:TaxScheme><cbc:ID>VAT</cbc:ID>"
                "</cac:TaxScheme></cac:PartyTaxScheme>"
            )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<{root} xmlns="{UBL}:{root}-2" xmlns:cac="{UBL}:CommonAggregateComponents-2" xmlns:cbc="{UBL}:CommonBasicComponents-2">
  <cbc:ID>{number}</cbc:ID><cbc:IssueDate>{issued}</cbc:IssueDate>{end}
  <cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>{extra}
  <cac:AccountingSupplierParty><cac:Party><cbc:EndpointID>a@b.example</cbc:EndpointID><cac:PartyLegalEntity>
    <cbc:RegistrationName>Seller</cbc:RegistrationName><cbc:CompanyID>{seller}</cbc:CompanyID>
  </cac:PartyLegalEntity></cac:Party></cac:AccountingSupplierParty>
  <cac:AccountingCustomerParty><cac:Party><cac:PartyName><cbc:Name>A Person</cbc:Name></cac:PartyName>{party}
  </cac:Party></cac:AccountingCustomerParty>
  <cac:TaxTotal><cbc:TaxAmount currencyID="CHF">21.00</cbc:TaxAmount></cac:TaxTotal>
  <cac:TaxTotal><cbc:TaxAmount currencyID="EUR">20.00</cbc:TaxAmount><cac:TaxSubtotal>
    <cbc:TaxAmount currencyID="EUR">7.00</cbc:TaxAmount></cac:TaxSubtotal></cac:TaxTotal>
  <cac:LegalMonetaryTotal><cbc:TaxExclusiveAmount currencyID="EUR">{net}</cbc:TaxExclusiveAmount>
    <cbc:TaxInclusiveAmount currencyID="EUR">120.00</cbc:TaxInclusiveAmount></cac:LegalMonetaryTotal>
  <cac:InvoiceLine><cbc:ID>77</cbc:ID></cac:InvoiceLine>
</{root}>""".encode()


def cii(number: str = "C1", *, code: str = "380", buyer: str = "FN 3") -> bytes:
    ram, udt = (
        "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
        "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    )
    return f"""<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
 xmlns:ram="{ram}" xmlns:udt="{udt}">
 <rsm:ExchangedDocument><ram:ID>{number}</ram:ID><ram:TypeCode>{code}</ram:TypeCode>
  <ram:IssueDateTime><udt:DateTimeString format="102">20240315</udt:DateTimeString></ram:IssueDateTime>
 </rsm:ExchangedDocument>
 <rsm:SupplyChainTradeTransaction>
  <ram:IncludedSupplyChainTradeLineItem><ram:AssociatedDocumentLineDocument><ram:LineID>1</ram:LineID>
  </ram:AssociatedDocumentLineDocument></ram:IncludedSupplyChainTradeLineItem>
  <ram:ApplicableHeaderTradeAgreement>
   <ram:SellerTradeParty><ram:SpecifiedTaxRegistration><ram:ID schemeID="FC">12/345</ram:ID>
    </ram:SpecifiedTaxRegistration><ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">ATU1</ram:ID>
    </ram:SpecifiedTaxRegistration></ram:SellerTradeParty>
   <ram:BuyerTradeParty><ram:SpecifiedLegalOrganization><ram:ID schemeID="0002">{buyer}</ram:ID>
    </ram:SpecifiedLegalOrganization></ram:BuyerTradeParty>
  </ram:ApplicableHeaderTradeAgreement>
  <ram:ApplicableHeaderTradeSettlement><ram:InvoiceCurrencyCode>EUR</ram:InvoiceCurrencyCode>
   <ram:SpecifiedTradePaymentTerms><ram:DueDateDateTime><udt:DateTimeString format="102">20240415</udt:DateTimeString>
   </ram:DueDateDateTime></ram:SpecifiedTradePaymentTerms>
   <ram:SpecifiedTradeSettlementHeaderMonetarySummation><ram:TaxBasisTotalAmount>50.00</ram:TaxBasisTotalAmount>
    <ram:TaxTotalAmount currencyID="EUR">10.00</ram:TaxTotalAmount><ram:GrandTotalAmount>60.00</ram:GrandTotalAmount>
   </ram:SpecifiedTradeSettlementHeaderMonetarySummation>
  </ram:ApplicableHeaderTradeSettlement>
 </rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>""".encode()


def parsed(content: bytes) -> dict[str, str | None] | None:
    return parse_invoice(io.BytesIO(content), "a.xml")


def test_a_ubl_invoice() -> None:
    assert parsed(ubl()) == {
        "seller_id": "FN 1", "buyer_id": "FN 2", "invoice_number": "R1", "kind": "invoice", "issued_on": "2024-03-01",
        "due_on": "2024-03-31", "currency": "EUR", "net": "100.00", "tax": "20.00", "gross": "120.00", "paid_on": None,
        "document": "a.xml",
    }  # fmt: skip


def test_a_credit_note_is_negative() -> None:
    found = parsed(ubl(credit=True))
    assert found is not None
    assert (found["kind"], found["net"], found["tax"], found["gross"]) == (
        "credit_note",
        "-100.00",
        "-20.00",
        "-120.00",
    )
    again = parsed(ubl(credit=True, net="-100.00"))
    assert again is not None
    assert again["net"] == "100.00"


def test_a_cii_invoice() -> None:
    assert parsed(cii()) == {
        "seller_id": "ATU1", "buyer_id": "FN 3", "invoice_number": "C1", "kind": "invoice", "issued_on": "2024-03-15",
        "due_on": "2024-04-15", "currency": "EUR", "net": "50.00", "tax": "10.00", "gross": "60.00", "paid_on": None,
        "document": "a.xml",
    }  # fmt: skip
    credit = parsed(cii(code="381"))
    assert credit is not None
    assert (credit["kind"], credit["gross"]) == ("credit_note", "-60.00")


def test_a_vat_number_stands_in_for_a_registration() -> None:
    found = parsed(ubl(buyer="ATU9", vat_only=True))
    assert found is not None
    assert found["buyer_id"] == "ATU9"


def test_a_private_person_s_bill_is_dropped() -> None:
    assert parsed(ubl(buyer=None)) is None


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2">&b;</Invoice>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/hostname"><Invoice/>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LAUGHS, "document type"),
        (OUTSIDE, "document type"),
        (LAUGHS.decode().replace('<?xml version="1.0"?>', "").encode("utf-16"), "document type"),
        (b"<a/>", "neither"),
        (b"<Invoice/>", "neither"),
        (ubl()[:-30], "well-formed"),
        (b"<?xml version='1.0' encoding='x-none'?><a/>", "well-formed"),
        (ubl().replace(b"<cbc:ID>R1</cbc:ID>", b""), "missing"),
        (ubl().replace(b"<cac:InvoiceLine>", b"<a>" * 90 + b"</a>" * 90 + b"<cac:InvoiceLine>"), "nested"),
        (b"", "well-formed"),
    ],
)
def test_what_is_no_invoice_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(content)


def test_an_attachment_takes_no_memory() -> None:
    import tracemalloc

    big = b"<cac:Attachment><cbc:Binary>" + b"QUJD" * 4_000_000 + b"</cbc:Binary></cac:Attachment>"
    content = io.BytesIO(ubl(extra=big.decode()))
    tracemalloc.start()
    found = parse_invoice(content, "a.xml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert peak < 2 << 20


@given(st.binary(max_size=300) | st.integers(0, 3000).map(lambda n: ubl()[:n] + ubl()[n + 7 :]))
@settings(max_examples=80)
def test_anything_is_an_invoice_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        parsed(content)


# -- from files to the store ----------------------------------------------------------------------


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room.create(tmp_path / "room") as made:
        made.add_dataset(built_in("invoices", legal_basis="VAT Act, section 1"))
        yield made


FILES = {
    "1.xml": ubl(),
    "2.xml": ubl("R2", credit=True, net="40.00"),
    "3.xml": cii(),
    "4.xml": ubl("R4", buyer=None),
    "5.xml": LAUGHS,
    "6.xml": ubl("R6", net="1.005"),
}


def check(room: Room, source: Path) -> None:
    report = room.ingest("invoices", source)
    assert (report.accepted, report.quarantined) == (3, 3)
    assert report.reasons == {"OPS-D034": 1, "OPS-D037": 1, "OPS-D038": 1}
    rows = room.table("invoices").to_pyarrow().to_pylist()
    assert {(r["invoice_number"], r["net"], r["document"]) for r in rows} == {
        ("R1", 100_00, "1.xml"), ("R2", -40_00, "2.xml"), ("C1", 50_00, "3.xml"),
    }  # fmt: skip
    held = {r["row"]: r for r in room.store.quarantine("invoices").to_pylist()}
    assert {row: r["code"] for row, r in held.items()} == {4: "OPS-D038", 5: "OPS-D037", 6: "OPS-D034"}
    assert held[4]["record"] == ""
    assert room.ingest("invoices", source).already_present


def test_a_folder(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    check(room, folder)


def test_a_zip(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "bills.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    check(room, file)


def test_a_damaged_zip_is_refused(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "bills.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.xml", ubl())
    content = bytearray(file.read_bytes())
    content[60:90] = bytes(30)
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        room.ingest("invoices", file)
    assert caught.value.code == "OPS-D019"


def test_a_zip_bomb_is_refused(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "bills.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.xml", b" " * (80 << 20))
    with pytest.raises(DataError) as caught:
        room.ingest("invoices", file)
    assert caught.value.code in ("OPS-D017",)


# -- what they tell -------------------------------------------------------------------------------

INVOICES = pd.DataFrame(
    [
        # seller, buyer, number, kind, issued, due, currency, net, gross, paid
        ("A", "B", "1", "invoice", "2024-01-10", "2024-02-09", "EUR", 1000, 1200, "2024-02-19"),
        ("A", "B", "2", "invoice", "2024-01-20", "2024-02-09", "EUR", 500, 600, None),
        ("A", "B", "3", "credit_note", "2024-01-25", None, "EUR", -200, -240, None),
        ("A", "B", "4", "invoice", "2024-02-05", "2024-03-06", "EUR", 100, 120, "2024-02-28"),
        ("A", "C", "5", "invoice", "2024-02-05", "2024-12-31", "EUR", 100, 120, None),
        ("D", "C", "6", "invoice", "2024-02-05", "2024-02-15", "USD", 100, 120, None),
        ("D", "D", "7", "invoice", "2024-02-05", "2024-02-15", "EUR", 100, 120, "2024-02-15"),
    ],
    columns=[
        "seller_id",
        "buyer_id",
        "invoice_number",
        "kind",
        "issued_on",
        "due_on",
        "currency",
        "net",
        "gross",
        "paid_on",
    ],
)
for _name in ("issued_on", "due_on", "paid_on"):
    INVOICES[_name] = pd.to_datetime(INVOICES[_name]).dt.date


@pytest.fixture
def invoices() -> ibis.Table:
    import pyarrow as pa

    table = pa.Table.from_pandas(INVOICES, preserve_index=False)
    return ibis.duckdb.connect().create_table("invoices", table)


def test_the_supplier_network(invoices: ibis.Table) -> None:
    found = supplier_network(invoices).to_pyarrow().to_pylist()
    edges = {(r["seller_id"], r["buyer_id"], str(r["period"])[:10]): (r["net"], r["invoices"]) for r in found}
    assert edges == {
        ("A", "B", "2024-01-01"): (1300, 3),
        ("A", "B", "2024-02-01"): (100, 1),
        ("A", "C", "2024-02-01"): (100, 1),
    }


def test_payment_delay(invoices: ibis.Table) -> None:
    found = payment_delay(invoices, as_of=dt.date(2024, 3, 31)).to_pyarrow().to_pylist()
    by = {r.pop("buyer_id"): r for r in found}
    assert by["B"] == {"invoices": 3, "agreed_days": pytest.approx((30 + 20 + 30) / 3), "paid": 2,
                       "delay_days": pytest.approx((10 - 7) / 2), "overdue": 1, "overdue_gross": 600}  # fmt: skip
    assert by["C"] == {"invoices": 1, "agreed_days": 330.0, "paid": 0, "delay_days": None, "overdue": 0,
                       "overdue_gross": 0}  # fmt: skip


def test_payments_after_the_day_are_not_known(invoices: ibis.Table) -> None:
    found = payment_delay(invoices, as_of=dt.date(2024, 2, 12), by=["seller_id", "buyer_id"]).to_pyarrow().to_pylist()
    (edge,) = [r for r in found if (r["seller_id"], r["buyer_id"]) == ("A", "B")]
    assert (edge["paid"], edge["overdue"], edge["overdue_gross"]) == (0, 2, 1800)


def test_payments_from_a_dataset_of_their_own(invoices: ibis.Table) -> None:
    import pyarrow as pa

    paid = pa.table({"seller_id": ["A", "A"], "invoice_number": ["2", "2"],
                     "paid_on": [dt.date(2024, 2, 9), dt.date(2024, 2, 11)]})  # fmt: skip
    payments = invoices.get_backend().create_table("payments", paid)
    found = payment_delay(invoices, as_of=dt.date(2024, 3, 1), payments=payments).to_pyarrow().to_pylist()
    (edge,) = [r for r in found if r["buyer_id"] == "B"]
    assert (edge["paid"], edge["delay_days"], edge["overdue"]) == (1, 2.0, 1)
