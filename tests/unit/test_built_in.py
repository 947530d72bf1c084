"""Built-in datasets: a small file of each, from `init` to a release of its desk, or the reason why there is none."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.faces.cli.main import app
from opsroom.room.built_in import DESKS, add_built_in, built_in, built_in_names
from opsroom.room.room import Room

LAW = {"legal_basis": "Statistics Act, section 12"}
COLUMNS = {
    "load": "timestamp, series, mwh, temperature_c",
    "vintages": "series, period, value, released_on",
    "credit": "country_or_sector, quarter, credit, gdp",
    "prices": "series, period, price, fundamental",
    "register": "company_id, enterprise_group_id, legal_form, nace, region, employees, valid_from, valid_to",
    "vat": "company_id, period, sales, purchases, due_on, filed_on",
    "payroll": "company_id, month, employees, wage_bill, filed_on",
    "meters": "meter_id, company_id, valid_from, valid_to, date, kwh",
    "loans": "lender_id, company_id, loan_id, month, outstanding, interest_due, principal_due, paid, days_past_due, "
    "forborne_since, forborne_until",
    "accounts": "company_id, year, turnover, materials, wages, fixed_costs, taxes, cash, credit_line_undrawn, debt",
}


def columns_of(spec: DatasetSpec) -> list[str]:
    return [*(f.source for f in spec.fields), *([spec.known_at_field] if spec.known_at_field else [])]


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_the_columns_are_those_promised(name: str) -> None:
    assert columns_of(built_in(name, **LAW)) == COLUMNS[name].split(", ")


def test_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    app(["dataset", "list", "--built-in", "--json"], result_action="return_value")
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(built_in_names()) == {*COLUMNS, "weather", "invoices", "payments", "objectives"}
    assert listed["load"]["desk"] == "activity"
    public = {name for name, row in listed.items() if row["access"] == "public"}
    assert public == {"load", "vintages", "credit", "prices", "weather", "objectives"}


def test_a_confidential_one_needs_a_legal_basis() -> None:
    with pytest.raises(UsageError, match="legal basis"):
        built_in("vat")


def test_columns_and_currency_are_fitted() -> None:
    spec = built_in("vat", columns={"sales": "Umsatz"}, currency="CHF", **LAW)
    assert (spec.field("sales").column, spec.field("sales").currency) == ("Umsatz", "CHF")
    assert built_in("vintages", columns={"released_on": "published"}).known_at_field == "published"
    assert built_in("prices", frequency="Q").frequency == "Q"
    assert built_in("load", provider="Grid Company", licence="CC BY").provider == "Grid Company"
    with pytest.raises(UsageError, match="colour"):
        built_in("vat", columns={"colour": "x"}, **LAW)
    with pytest.raises(NotFoundError):
        built_in("weathers")


# -- from file to release -------------------------------------------------------------------------


def write(folder: Path, name: str, rows: Iterable[Sequence[object]]) -> Path:
    file = folder / f"{name}.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS.get(name, "region, date, temperature_c").split(", "))
        out.writerows(rows)
    return file


@pytest.fixture
def room(tmp_path: Path) -> Iterable[Room]:
    settings = (
        'schema_version = 1\n[room]\ntitle = "Own"\ncountry = "AT"\ntimezone = "UTC"\n[publish]\n'
        'cadence = "on_demand"\n[rules]\nprofile = "business"\n'
        "[holiday]\nstart = 2021-12-24\nend = 2022-01-06\n[cohort]\nday = 2021-12-20\n"
    )
    with Room.create(tmp_path / "room", settings=settings) as made:
        yield made


def deliver(room: Room, folder: Path, name: str, rows: Iterable[Sequence[object]], known_at: str | None) -> None:
    add_built_in(room, built_in(name, **LAW))
    report = room.ingest(name, write(folder, name, rows), known_at)
    assert report.quarantined == 0, report.reasons
    assert report.accepted


def published(room: Room, day: str) -> dict[str, object]:
    with Room.open(room.path) as again:  # desks were opened since
        found = {release.name: release for release in again.publish(day)}
        return {**found, **{f"note {desk}": note for desk, note in again.notes.items()}}


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def test_load_opens_the_activity_desk(room: Room, tmp_path: Path) -> None:
    dice = random.Random(1)
    rows = []
    for day in days(dt.date(2019, 1, 1), dt.date(2021, 12, 31)):
        cold = 10 - 12 * math.cos(2 * math.pi * day.timetuple().tm_yday / 365)
        for series, size in (("north", 100.0), ("south", 60.0)):
            level = size * (1.0 if day.weekday() < 5 else 0.8) * (1 + 0.01 * max(0, 15 - cold))
            rows.append((f"{day}T00:00:00", series, round(level * (1 + dice.gauss(0, 0.01)), 3), round(cold, 1)))
    deliver(room, tmp_path, "load", rows, "2022-01-01")
    out = published(room, "2022-01-02")
    assert "activity.load" in out, out


def test_vintages_open_the_nowcast(room: Room, tmp_path: Path) -> None:
    dice = random.Random(2)
    factor, level, rows, gdp = 0.0, dict.fromkeys("abcd", 100.0), [], 100.0
    for number in range(15 * 12):
        year, month = 2006 + number // 12, number % 12 + 1
        factor = 0.5 * factor + dice.gauss(0, 0.5)
        released = dt.date(year, month, 28) + dt.timedelta(days=25)
        for name in level:
            level[name] *= 1 + (0.2 + factor + dice.gauss(0, 0.4)) / 100
            rows.append((name, f"{year}-{month:02d}", round(level[name], 4), released))
        gdp *= 1 + (0.15 + factor * 0.7) / 100
        if month % 3 == 0:
            rows.append(
                ("gdp", f"{year}Q{month // 3}", round(gdp, 4), dt.date(year, month, 28) + dt.timedelta(days=45))
            )
    deliver(room, tmp_path, "vintages", rows, None)
    out = published(room, "2021-02-20")
    assert "nowcast.gdp" in out, out


def test_two_quarterly_series_need_a_target(room: Room, tmp_path: Path) -> None:
    rows = [(s, f"{y}Q{q}", 100 + y + q, f"{y + 1}-06-01") for s in ("gdp", "wages") for y in range(2010, 2020)
            for q in (1, 2, 3, 4)]  # fmt: skip
    deliver(room, tmp_path, "vintages", rows, None)
    assert "name the target" in str(published(room, "2021-02-20")["note nowcast"])


def test_credit_opens_the_credit_gap(room: Room, tmp_path: Path) -> None:
    rows = []
    for country, growth in (("AT", 1.01), ("XX", 1.02)):
        for number in range(80):
            year, quarter = 2000 + number // 4, number % 4 + 1
            rows.append((country, f"{year}-Q{quarter}", round(400 * growth**number, 3), round(100 * 1.01**number, 3)))
    deliver(room, tmp_path, "credit", rows, "2020-06-01")
    release = published(room, "2020-06-02")["credit.gap"]
    first = next(r for r in release.rows if r[1] == "AT")  # type: ignore[attr-defined]  # a Release, beside notes
    # credit over the GDP of four quarters: 400 / (100 + 100 / 1.01 + ...) at a constant ratio
    assert first[2] == pytest.approx(100 * 4 / sum(1.01**-n for n in range(4)), abs=0.06)


def test_prices_open_the_ratio(room: Room, tmp_path: Path) -> None:
    rows = [("AT", f"{2019 + n // 12}-{n % 12 + 1:02d}", 200 + n, 100) for n in range(24)]
    deliver(room, tmp_path, "prices", rows, "2021-02-01")
    release = published(room, "2021-02-02")["prices.levels"]
    assert list(release.rows[0][:3]) == ["2019-01", "AT", 2.0]  # type: ignore[attr-defined]  # a Release, beside notes


COMPANIES = [f"FN {n:04d}" for n in range(240)]
NACE = ("10.11", "47", "C", "62.01", "49", "56.10")


def register_rows() -> list[tuple[object, ...]]:
    return [
        (c, f"G {n // 2}", "LTD", NACE[n % len(NACE)], f"R{n % 3}", 3 + n % 40, "2015-01-01", "")
        for n, c in enumerate(COMPANIES)
    ]


def loan_rows(months: int = 48) -> list[tuple[object, ...]]:
    dice = random.Random(3)
    rows = []
    for n, company in enumerate(COMPANIES):
        for number in range(months):
            year, month = 2018 + number // 12, number % 12 + 1
            late = 60 if dice.random() < 0.05 else 0
            since, until = ("2021-05-03", "2021-11-30") if n % 20 == 0 else ("", "")
            rows.append((f"B{n % 3}", company, f"L{n}", f"{year}-{month:02d}", f"{1000 + n}.50", "5.00", "20.00",
                         "25.00" if not late else "0.00", late, since, until))  # fmt: skip
    return rows


def test_loans_open_their_desk(room: Room, tmp_path: Path) -> None:
    deliver(room, tmp_path, "loans", loan_rows(), "2022-01-10")
    assert published(room, "2022-01-11")["note loans"] == "nothing is known yet of register"
    deliver(room, tmp_path, "register", register_rows(), "2022-01-12")
    release = published(room, "2022-01-13")["loans.section"]
    shown = [dict(zip(release.columns, row, strict=True)) for row in release.rows]  # type: ignore[attr-defined]  # a Release, beside notes
    assert {r["section"] for r in shown} >= {"_T", "C", "G"}
    assert any(r["status"] == "published" for r in shown)


def test_forbearance_follows_its_dates(room: Room, tmp_path: Path) -> None:
    from opsroom.room.desk import View
    from opsroom.room.standard import standard_view

    deliver(room, tmp_path, "loans", loan_rows(), "2022-01-10")
    moment = room.moment("2022-01-11")
    view = View(room.store, room.settings, room.releases(), as_of=moment, day=moment.date(), upstream={}, memory={})
    seen, names = standard_view(view, {"loans": "loans"}, {"loans": "loans"})
    frame = seen.frame(names["loans"])
    forborne = frame[frame["forborne"]]
    assert sorted(forborne["month"].dt.strftime("%Y-%m").unique()) == [f"2021-{m:02d}" for m in range(5, 12)]
    assert forborne["enterprise_id"].nunique() == len(COMPANIES) / 20
    assert frame["outstanding"].min() == 100_050
    assert seen.provenance == {"loans": room.store.version("loans")}
    assert not seen.public


def test_accounts_vat_payroll_and_loans_open_relief(room: Room, tmp_path: Path) -> None:
    months = [(y, m) for y in (2020, 2021) for m in range(1, 13)]
    books = [(c, y, 120_000 + 100 * n, 50_000, 30_000, 20_000, 2_000, 9_000 + 40 * n, 3_000, 40_000)
             for n, c in enumerate(COMPANIES) for y in (2019, 2020, 2021)]  # fmt: skip
    deliver(room, tmp_path, "accounts", books, "2022-02-01")
    assert "nothing is known yet of" in str(published(room, "2022-02-02")["note relief"])
    deliver(room, tmp_path, "register", register_rows(), "2022-02-03")
    deliver(room, tmp_path, "loans", loan_rows(), "2022-02-03")
    returns = [(c, f"{y}-{m:02d}", 10_000 + 8 * n, 4_000, f"{y}-{m:02d}-20", "") for n, c in enumerate(COMPANIES)
               for y, m in months]  # fmt: skip
    deliver(room, tmp_path, "vat", returns, "2022-02-03")
    wages = [(c, f"{y}-{m:02d}", 3 + n % 40, 2_500, "") for n, c in enumerate(COMPANIES) for y, m in months]
    deliver(room, tmp_path, "payroll", wages, "2022-02-03")
    out = published(room, "2022-02-04")
    assert "relief.options" in out or "note relief" in out, out
    assert "liquidity.section" in out, out


def test_meters_open_resumption(room: Room, tmp_path: Path) -> None:
    dice = random.Random(4)
    rows, weather = [], []
    span = days(dt.date(2020, 12, 1), dt.date(2022, 1, 25))
    for day in span:
        cold = 10 - 12 * math.cos(2 * math.pi * day.timetuple().tm_yday / 365)
        weather += [(f"R{r}", day, round(cold + dice.gauss(0, 2), 1)) for r in range(3)]
    for n, company in enumerate(COMPANIES):
        back = dt.date(2022, 1, 7) + dt.timedelta(days=n % 15)
        for day in span:
            shut = day.weekday() >= 5 or dt.date(2021, 12, 24) <= day < back
            use = (20.0 if shut else 100.0) * (1 + n % 7) * (1 + dice.gauss(0, 0.05))
            rows.append((f"AT{n:06d}", company, "2015-01-01", "", day, f"{use:.3f}"))
    deliver(room, tmp_path, "meters", rows, "2022-01-26")
    assert published(room, "2022-01-27")["note resumption"] == "nothing is known yet of register, weather"
    deliver(room, tmp_path, "register", register_rows(), "2022-01-28")
    deliver(room, tmp_path, "weather", weather, "2022-01-28")
    assert published(room, "2022-01-29")["note resumption"] == "nothing is known yet of accounts"
    books = [(c, 2020, 120_000 + 100 * n, 0, 0, 0, 0, 0, 0, 0) for n, c in enumerate(COMPANIES)]
    deliver(room, tmp_path, "accounts", books, "2022-01-30")
    release = published(room, "2022-01-31")["resumption.national"]
    shown = [dict(zip(release.columns, row, strict=True)) for row in release.rows]  # type: ignore[attr-defined]  # a Release, beside notes
    country = {(r["date"], r["weight"]): r["capacity"] for r in shown if r["size"] == "_T"}
    assert {weight for _, weight in country} == {"count", "jobs", "sales"}
    # A fifteenth of the companies comes back each day from 7 to 21 January.
    assert country["2022-01-14", "count"] == pytest.approx(100 * 8 / 15, abs=5)
    assert country["2022-01-21", "count"] > 95


def test_kwh_are_kept_in_watt_hours(room: Room, tmp_path: Path) -> None:
    deliver(room, tmp_path, "meters", [("AT1", "FN 1", "", "", "2022-01-01", "1.234")], "2022-01-26")
    assert room.table("meters").to_pyarrow().column("kwh").to_pylist() == [1234]


def test_a_desk_is_opened_once(room: Room) -> None:
    spec = built_in("prices")
    assert add_built_in(room, spec) == DESKS["prices"]["kind"]
    assert add_built_in(room, spec) == ""
    assert (room.path / "room.toml").read_text().count("[[desks]]") == 1
