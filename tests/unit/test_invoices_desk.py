"""Invoices by section of the sellers: counted as in a plain loop, and published where both sides may be."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opsroom.base.errors import SettingsError, UsageError
from opsroom.base.results import Cells, Measure
from opsroom.measure.trading import BUYERS, Trading, links, reach
from opsroom.protect.judge import judge
from opsroom.protect.rules import Rules
from opsroom.room import Room
from opsroom.room.built_in import add_built_in, built_in

RULES = Rules(min_contributors=3, dominance=((1, 75.0), (2, 85.0)), p_percent=10.0)
LAW = {"legal_basis": "VAT Act, section 11"}
NACE = ("10.11", "47", "28")
SECTION = {"10.11": "C", "47": "G", "28": "C"}
COMPANIES = [f"FN {n:03d}" for n in range(90)]
SETTINGS = (
    'schema_version = 1\n[room]\ntitle = "Own"\ntimezone = "UTC"\n[publish]\ncadence = "on_demand"\n'
    '[rules]\nprofile = "business"\n'
)
INVOICE = ("seller_id", "buyer_id", "invoice_number", "kind", "issued_on", "due_on", "currency", "net", "tax", "gross",
           "paid_on", "document")  # fmt: skip


def group(company: str) -> int:
    return int(company[3:]) // 2


def invoices(until: dt.date = dt.date(2024, 4, 5), count: int = 2500) -> list[dict[str, Any]]:
    """Bills of four months, each paid up to forty days late, as far as known by a day; a few that count nowhere."""
    dice = random.Random(3)
    rows = []
    for n in range(count):
        seller, buyer = dice.sample(COMPANIES, 2)
        issued = dt.date(2023, 12, 1) + dt.timedelta(days=n % 122)
        due = issued + dt.timedelta(days=dice.choice((14, 30, 30, 60)))
        paid = due + dt.timedelta(days=dice.choice((-10, -2, 0, 5, 20, 40)))
        kind, net = ("invoice", dice.randrange(100, 9000)) if n % 50 else ("credit_note", -100)
        rows.append(
            dict(zip(INVOICE, (seller, buyer, f"R{n}", kind, issued, due if n % 40 else None, "EUR", net, 0, net,
                               paid if paid <= until else None, "x"), strict=True))
        )  # fmt: skip
    rows[1]["seller_id"] = "FN 999"  # not in the register: of no section
    rows[2]["buyer_id"] = "XX 1"  # abroad: a buyer like any other
    rows[3] |= {"seller_id": "FN 000", "buyer_id": "FN 001"}  # within a group
    rows[4]["currency"] = "CHF"
    return rows


def deliver(room: Room, name: str, rows: list[dict[str, Any]], known_at: str) -> None:
    file = room.path.parent / f"{name}.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        out = csv.DictWriter(handle, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    report = room.ingest(name, file, known_at)
    assert report.quarantined == 0, report.reasons


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room.create(tmp_path / "room", settings=SETTINGS) as made:
        for name in ("register", "invoices"):
            add_built_in(made, built_in(name, **LAW))
        register = [
            {"company_id": c, "enterprise_group_id": f"G {n // 2}", "legal_form": "SOLE" if n >= 88 else "LTD",
             "nace": NACE[n % 3], "region": "R1", "employees": 5, "valid_from": "2015-01-01", "valid_to": ""}
            for n, c in enumerate(COMPANIES)
        ]  # fmt: skip
        deliver(made, "register", register, "2024-01-01")
    with Room.open(tmp_path / "room") as made:
        yield made


def cells_of(room: Room, day: dt.date) -> dict[str, Cells]:
    (own,) = (d for d in room.settings.desks if d.kind == "invoices")
    return {c.name: c for c in room.run_desk(own, room.moment(day), day, {}).cells}


def counted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bills that count: between companies of two groups, of sellers that the register knows."""
    sole = {COMPANIES[88], COMPANIES[89]}
    return [
        r for r in rows
        if r["kind"] == "invoice" and r["seller_id"] in COMPANIES and not {r["seller_id"], r["buyer_id"]} & sole
        and (r["buyer_id"] not in COMPANIES or group(r["seller_id"]) != group(r["buyer_id"]))
    ]  # fmt: skip


def test_the_desk_counts_as_a_plain_loop_does_for_both_sides(room: Room) -> None:
    rows = invoices()
    deliver(room, "invoices", rows, "2024-04-05")
    found = cells_of(room, dt.date(2024, 4, 5))
    assert set(found) == {"invoices.delay", "invoices.terms", "invoices.suppliers"}
    own = counted(rows)
    for section in ("C", "G", "_T"):
        mine = [r for r in own if section in ("_T", SECTION[NACE[int(r["seller_id"][3:]) % 3]])]
        for month in ("2024-02", "2024-03"):
            due = [r for r in mine if r["due_on"] and f"{r['due_on']:%Y-%m}" == month]
            paid = [r for r in due if r["paid_on"]]
            late = [r for r in due if not r["paid_on"] or r["paid_on"] > r["due_on"]]
            got = found["invoices.delay"].frame.set_index(["month", "section"]).loc[(month, section)]
            for part, wanted in (
                ("n_due", len(due)), ("n_late", len(late)), ("n_open", len(due) - len(paid)),
                ("m_beyond", sum(((r["paid_on"] or dt.date(2024, 4, 5)) - r["due_on"]).days for r in due)),
            ):  # fmt: skip
                assert got[part] == got[part + BUYERS] == wanted, part
            assert got["n_late__groups"] == len({group(r["seller_id"]) for r in late})
            buyers = {r["buyer_id"] if r["buyer_id"] == "XX 1" else group(r["buyer_id"]) for r in late}
            assert got[f"n_late{BUYERS}__groups"] == len(buyers)
            issued = [r for r in mine if f"{r['issued_on']:%Y-%m}" == month]
            got = found["invoices.terms"].frame.set_index(["month", "section"]).loc[(month, section)]
            dated = [r for r in issued if r["due_on"]]
            assert got["n_dated"] == got["n_dated" + BUYERS] == len(dated)
            assert got["m_agreed"] == sum((r["due_on"] - r["issued_on"]).days for r in dated)
            if section == "_T":
                continue
            links_of: dict[str, dict[Any, set[int]]] = defaultdict(lambda: defaultdict(set))
            amount: dict[Any, int] = defaultdict(int)
            for r in mine:
                buyer = r["buyer_id"] if r["buyer_id"] == "XX 1" else group(r["buyer_id"])
                links_of[f"{r['issued_on']:%Y-%m}"][buyer].add(group(r["seller_id"]))
                if f"{r['issued_on']:%Y-%m}" == month and r["currency"] == "EUR":
                    amount[buyer] += 100 * r["net"]
            before = f"2024-{int(month[5:]) - 1:02d}"
            pairs = {(s, b) for b, sellers in links_of[month].items() for s in sellers}
            old = {(s, b) for b, sellers in links_of[before].items() for s in sellers}
            alone = {b for b, sellers in links_of[month].items() if len(sellers) == 1}
            got = found["invoices.suppliers"].frame.set_index(["month", "section"]).loc[(month, section)]
            assert (got["n_links"], got["n_single"], got["n_new"]) == (len(pairs), len(alone), len(pairs - old))
            assert (got["m_net"], got["m_single"]) == (sum(amount.values()), sum(amount[b] for b in alone))


def test_what_is_released_and_what_a_room_without_payments_says(room: Room) -> None:
    deliver(room, "invoices", [r | {"paid_on": None} for r in invoices()], "2024-04-05")
    first = {r.name for r in room.publish("2024-04-05")}
    assert {"invoices.terms", "invoices.suppliers"} <= first
    assert "invoices.delay" not in first
    assert "no payment is known" in room.notes["invoices"]
    add_built_in(room, built_in("payments", **LAW))
    until = dt.date(2024, 5, 3)
    paid = [{k: r[k] for k in ("seller_id", "invoice_number", "paid_on")} for r in invoices(until) if r["paid_on"]]
    deliver(room, "payments", paid, "2024-05-03")
    later = {r.name: r for r in room.publish("2024-05-03")}
    assert "invoices" not in room.notes
    frame = later["invoices.delay"].to_frame().set_index(["month", "section"])
    whole = counted(invoices(until))
    due = [r for r in whole if r["due_on"] and f"{r['due_on']:%Y-%m}" == "2024-02"]
    late = sum(1 for r in due if not r["paid_on"] or r["paid_on"] > r["due_on"])
    assert frame.loc[("2024-02", "_T"), "late"] == pytest.approx(100 * late / len(due), abs=0.05)
    mean = [((r["paid_on"] or until) - r["due_on"]).days for r in due]
    assert frame.loc[("2024-02", "_T"), "delay"] == pytest.approx(sum(mean) / len(mean), abs=0.05)


def test_a_room_whose_invoices_cannot_tell_says_what_is_missing(room: Room) -> None:
    from opsroom.base.settings import DeskSettings

    day = dt.date(2024, 4, 5)
    deliver(room, "invoices", invoices(count=200), "2024-04-05")
    wrong = DeskSettings("invoices", "invoices", {"invoices": "register", "register": "register"})
    with pytest.raises(SettingsError, match="seller_id"):
        room.run_desk(wrong, room.moment(day), day, {})


# -- the rules, for both sides --------------------------------------------------------------------


def trading(pairs: list[tuple[str, int, int, int, int]], month: str = "2024-01") -> Cells:
    """Return the cells of late payment: section, seller, buyer, invoices due, of them late and paid 5 days after."""
    frame = pd.DataFrame(pairs, columns=["section", "seller_group", "buyer_group", "n_due", "n_late"])
    frame = frame.assign(month=month, n_open=frame["n_late"] // 2, m_beyond=5 * frame["n_late"])
    empty = frame.iloc[:0]
    (cells,) = Trading(frame, empty, empty, "EUR").cells()
    return cells


def shown(cells: Cells, past: Any = ()) -> set[tuple[str, str]]:
    verdict = judge(cells, RULES, past, entry=1 + len(past))
    return {(str(cells.frame["section"][row]), measure) for row, measure in verdict.shown}


def many(section: str, sellers: list[int], buyers: list[int]) -> list[tuple[str, int, int, int, int]]:
    pairs = {(sellers[k % len(sellers)], buyers[k % len(buyers)]) for k in range(12 * max(len(sellers), len(buyers)))}
    return [(section, s, b, 4, 1 + (s + b) % 3) for s, b in sorted(pairs) if s != b]


OTHERS = [row for k, section in enumerate("CDFGH") for row in many(section, [*range(9)], [*range(20 + k, 31 + k)])]


@pytest.mark.parametrize(
    ("sellers", "buyers"), [([*range(9)], [40]), ([40], [*range(9)]), ([*range(9)], [40, 41]), ([40, 41], [*range(9)])]
)
def test_a_section_of_one_buyer_is_withheld_as_one_of_one_seller_is(sellers: list[int], buyers: list[int]) -> None:
    found = shown(trading([*OTHERS, *many("I", sellers, buyers)]))
    assert not {m for s, m in found if s == "I"}
    assert {m for s, m in found if s == "_T"} == {"late", "open", "delay"} or len(found) > 3


def test_without_the_buyers_side_it_would_be_told() -> None:
    """The oracle of the test above: what a gate does that looks at sellers alone."""
    cells = trading([*OTHERS, *many("I", [*range(9)], [40])])
    blind = replace(
        cells,
        measures=tuple(replace(m, sides=()) for m in cells.measures),
        parts=tuple(p for p in cells.parts if not p.name.endswith(BUYERS)),
    )
    assert ("I", "late") in shown(blind)


def test_who_dominates_as_a_buyer_withholds_the_cell() -> None:
    rows = [("I", s, 40 if s else 41, 30 if s else 1, 10 if s else 0) for s in range(9)]
    rows += [("I", s, 42 + s, 1, 1) for s in range(9)]
    assert not {m for s, m in shown(trading([*OTHERS, *rows])) if s == "I"}


def test_late_and_open_are_not_told_together_where_one_company_makes_the_difference() -> None:
    """Late less open are the bills that were paid late: here those of one seller, or of one buyer, alone."""
    rows = [(section, s, b, 40, 10) for section, s, b, _, _ in (*OTHERS, *many("I", [*range(9)], [*range(40, 51)]))]
    frame = pd.DataFrame(rows, columns=["section", "seller_group", "buyer_group", "n_due", "n_late"])
    frame = frame.assign(month="2024-01", n_open=frame["n_late"], m_beyond=5 * frame["n_late"])
    empty = frame.iloc[:0]
    for side, who in (("seller_group", 3), ("buyer_group", 44)):
        inside = (frame["section"] == "I") & (frame[side] == who)
        assert inside.any()
        told = frame.assign(n_open=frame["n_open"].where(~inside, 6))
        (cells,) = Trading(told, empty, empty, "EUR").cells()
        assert not {("I", "late"), ("I", "open")} <= shown(cells)
        blind = replace(cells, parts=tuple(p for p in cells.parts if "settled_late" not in p.name))
        assert {("I", "late"), ("I", "open")} <= shown(blind), "the oracle: a gate that is not told"


def test_a_side_has_as_many_parts_and_known_ones() -> None:
    with pytest.raises(UsageError, match="of every side"):
        Measure("late", "share", "%", ("a", "b"), sides=(("c",),))
    cells = trading(OTHERS)
    lost = replace(cells.measures[0], sides=(("n_late", "n_nowhere"),))
    with pytest.raises(UsageError, match="n_nowhere"):
        replace(cells, measures=(lost,))


# -- helpers --------------------------------------------------------------------------------------


def test_new_links_and_reach() -> None:
    pairs = pd.DataFrame(
        [("C", 0, "a", "x", 5), ("C", 1, "a", "x", 7), ("C", 1, "b", "x", 1), ("G", 1, "a", "y", 2),
         ("C", 3, "a", "x", 9)],
        columns=["section", "month", "seller_group", "buyer_group", "m_net"],
    )  # fmt: skip
    found = links(pairs).set_index(["section", "month", "seller_group"])
    assert found["n_new"].to_dict() == {("C", 0, "a"): 1, ("C", 1, "a"): 0, ("C", 1, "b"): 1, ("C", 3, "a"): 1,
                                        ("G", 1, "a"): 1}  # fmt: skip
    assert found["n_single"].to_dict() == {("C", 0, "a"): 1, ("C", 1, "a"): 0, ("C", 1, "b"): 0, ("C", 3, "a"): 1,
                                           ("G", 1, "a"): 1}  # fmt: skip
    assert found["m_single"].sum() == 5 + 9 + 2
    days = pd.DataFrame({"seller_group": [1, 2, 3, 3], "buyer_group": [4, 5, 6, 7],
                         "seen": [dt.date(2024, 1, d) for d in (31, 9, 20, 25)]})  # fmt: skip
    assert reach(days, "seen", 2) == pd.Timestamp("2024-01-25")
    assert reach(days, "seen", 3) == pd.Timestamp("2024-01-09")
    assert reach(days, "seen", 4) is None, "three sellers alone"
