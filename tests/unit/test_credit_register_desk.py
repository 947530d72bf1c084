"""The desks on a credit register: sums and currency through the gate, gaps of what is out."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.room import Room
from opsroom.warn.credit_gap import gap_from_levels

COMPANIES = 60
QUARTERS = pd.period_range("2009Q1", "2020Q3", freq="Q")
SETTINGS = """schema_version = 1
[room]
title = "t"
timezone = "UTC"
[rules]
profile = "business"
min_contributors = 3
[[desks]]
kind = "credit_register"
loans = "loans"
register = "register"
value_added = {dataset = "books", plus = ["sales"], minus = ["materials"]}
currency = {field = "currency", home = "MER", receipts = "books", receipts_field = "fx_receipts"}
[[desks]]
kind = "sector_gaps"
"""


def spec(name: str, period: str, frequency: str, key: list[str], contents: str, fields: str) -> str:
    money = '[[fields]]\nname = "{}"\ntype = "money"\ncurrency = "MER"\nscale = 2\n'
    text = f"""schema_version = 1
name = "{name}"
title = "{name}"
provider = "an office"
licence = "confidential"
legal_basis = "a law"
frequency = "{frequency}"
period = "{period}"
key = {key!r}
confidential = true
unit = "enterprise"
unit_field = "enterprise_id"
group_field = "group_id"
contents = ["{contents}"]
[[fields]]
name = "{period}"
type = "date"
required = true
""".replace("'", '"')
    for field in fields.split():
        kind, _, own = field.partition(":")
        need = 'codes_from = "legal_forms"\nrequired = true\n' if kind.endswith("!") else ""
        kind = kind.rstrip("!")
        text += money.format(own) if kind == "money" else f'[[fields]]\nname = "{own}"\ntype = "{kind}"\n{need}'
    return text


SPECS = [
    spec("register", "valid_from", "event", ["enterprise_id", "valid_from"], "company_register",
         "integer:enterprise_id integer:group_id string:section code!:legal_form"),
    spec("loans", "month", "M", ["loan_id", "month"], "loans",
         "integer:loan_id integer:enterprise_id integer:group_id string:currency money:outstanding"),
    spec("books", "quarter", "Q", ["enterprise_id", "quarter"], "accounts",
         "integer:enterprise_id integer:group_id money:sales money:materials money:fx_receipts"),
]  # fmt: skip


def tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(3)
    ids = np.arange(1, COMPANIES + 1)
    section = np.where(ids <= 30, "C", np.where(ids <= 56, "F", "Z"))
    register = pd.DataFrame(
        {"enterprise_id": ids, "valid_from": dt.date(2005, 1, 1), "group_id": ids, "section": section,
         "legal_form": np.where(ids % 10 == 0, "SOLE", "LTD")}
    )  # fmt: skip
    base = rng.integers(800, 1200, COMPANIES)
    loans, books = [], []
    for k, quarter in enumerate(QUARTERS):
        boom = np.where(section == "F", 1.04 ** max(k - 30, 0), 1.0)
        owed = (base * boom * 1000).astype(np.int64)
        months = [quarter.asfreq("M", "E") - back for back in (1, 0)]  # only the last month of a quarter counts
        for month, factor in zip(months, (7, 1), strict=True):
            loans.append(pd.DataFrame(
                {"loan_id": ids, "month": month.start_time.date(), "enterprise_id": ids, "group_id": ids,
                 "currency": np.where(ids % 3 == 0, "USD", "MER"), "outstanding": owed * factor}
            ))  # fmt: skip
        books.append(pd.DataFrame(
            {"enterprise_id": ids, "quarter": quarter.start_time.date(), "group_id": ids, "sales": base * 900,
             "materials": base * 500, "fx_receipts": np.where(ids % 6 == 0, base * 1000, base * 10)}
        ))  # fmt: skip
    return {"register": register, "loans": pd.concat(loans), "books": pd.concat(books)}


@pytest.fixture(scope="module")
def data() -> dict[str, pd.DataFrame]:
    return tables()


@pytest.fixture(scope="module")
def room(data: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder: Path = tmp_path_factory.mktemp("register") / "room"
    with Room.create(folder, settings=SETTINGS, specs=SPECS, actor="test") as opened:
        for name, table in data.items():
            opened.ingest(name, table, dt.datetime(2020, 6, 1, tzinfo=dt.UTC))
        yield opened


def test_sums_go_through_the_gate_once_a_quarter_and_gaps_are_made_of_what_is_out(
    room: Room, data: dict[str, pd.DataFrame]
) -> None:
    first = {r.name: r for r in room.publish(dt.date(2020, 6, 3))}
    assert set(first) == {"credit.sector", "credit.currency", "credit.sector_gap"}
    sums = first["credit.sector"].to_frame()
    firms = data["register"][data["register"]["legal_form"] != "SOLE"].set_index("enterprise_id")["section"]
    loans = data["loans"][data["loans"]["month"] == dt.date(2020, 3, 1)]
    owed = loans.set_index("enterprise_id")["outstanding"].groupby(firms).sum()
    books = data["books"][data["books"]["quarter"] >= dt.date(2019, 4, 1)]
    books = books[books["quarter"] <= dt.date(2020, 3, 31)]
    earned = (books["sales"] - books["materials"]).groupby(books["enterprise_id"]).sum().groupby(firms).sum()
    newest = sums[sums["quarter"] == "2020-Q1"].set_index("section")
    assert sums["quarter"].max() == "2020-Q1"  # the second quarter is not over
    assert sums["quarter"].min() == "2009-Q4"  # before, no year of earnings is known
    for code in ("C", "F"):
        assert newest.loc[code, "credit"] == owed[code]
        assert newest.loc[code, "value_added"] == earned[code]
        assert newest.loc[code, "ratio"] == pytest.approx(100 * owed[code] / earned[code], abs=0.051)
    gaps = first["credit.sector_gap"].to_frame()
    assert first["credit.sector_gap"].stamp["profile"] == "public"  # a function of what is out
    history = sums[sums["section"] == "F"].set_index("quarter").sort_index()
    history.index = pd.PeriodIndex([q.replace("-", "") for q in history.index], freq="Q")
    wanted = gap_from_levels(history["credit"].astype(float), history["value_added"].astype(float), sum_over=1)
    last = gaps[(gaps["section"] == "F") & (gaps["quarter"] == "2020-Q1")].iloc[0]
    assert last["gap"] == pytest.approx(wanted.gap.iloc[-1], abs=0.06)
    assert last["gap"] > 10

    # a month later nothing is new; after the next quarter that quarter alone
    assert not {"credit.sector", "credit.currency"} & {r.name for r in room.publish(dt.date(2020, 7, 1))}
    later = {r.name: r for r in room.publish(dt.date(2020, 9, 2))}
    assert set(later["credit.sector"].to_frame()["quarter"]) == {"2020-Q2"}
    assert later["credit.sector_gap"].to_frame()["quarter"].max() == "2020-Q2"


def test_foreign_debt_is_held_against_each_companys_own_receipts(room: Room, data: dict[str, pd.DataFrame]) -> None:
    desk = DeskSettings("credit_register", "currency", {
        k: v for k, v in tomllib.loads(SETTINGS)["desks"][0].items() if k not in ("kind", "value_added")
    })  # fmt: skip
    day = dt.date(2020, 6, 2)
    (cells,) = room.run_desk(desk, room.moment(day), day, {}).cells
    firms = data["register"][data["register"]["legal_form"] != "SOLE"]
    loans = data["loans"][data["loans"]["month"] == dt.date(2020, 3, 1)].set_index("enterprise_id")
    books = data["books"][data["books"]["quarter"].between(dt.date(2019, 4, 1), dt.date(2020, 3, 31))]
    receipts = books.groupby("enterprise_id")["fx_receipts"].sum()
    for code in ("C", "F"):
        unhedged = foreign = 0
        for firm in firms.loc[firms["section"] == code, "enterprise_id"]:
            if loans.loc[firm, "currency"] != "MER":
                foreign += loans.loc[firm, "outstanding"]
                unhedged += max(loans.loc[firm, "outstanding"] - receipts[firm], 0)
        row = cells.frame[cells.frame["section"] == code].iloc[0]
        assert (row["m_fx_debt"], row["m_unhedged"]) == (foreign, unhedged)
        assert 0 < unhedged < foreign
    assert cells.frame["period"].unique().tolist() == ["2020-Q1"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value_added": None, "currency": None}, "neither value_added nor currency"),
        ({"by": "section"}, "'by' is no list"),
        ({"value_added": {"dataset": "books", "plus": ["turnover"]}}, "has no field turnover"),
        ({"currency": {"field": "none", "home": "MER", "receipts": "books", "receipts_field": "fx_receipts"},
          "value_added": None}, "has no field 'none'"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(room: Room, wrong: dict[str, object], said: str) -> None:
    options = {k: v for k, v in (tomllib.loads(SETTINGS)["desks"][0] | wrong).items() if k != "kind" and v is not None}
    day = dt.date(2020, 6, 2)
    with pytest.raises(SettingsError, match=said):
        room.run_desk(DeskSettings("credit_register", "c", options), room.moment(day), day, {})
