"""`propose` on twenty messy real files: a specification that ingests, or a question that leads to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsroom.base.errors import DataError
from opsroom.observe.propose import examine, propose
from opsroom.room.room import Room

pytestmark = pytest.mark.shared_data

CASES: dict[str, tuple[dict[str, str], tuple[str, ...], int, int]] = {
    # file: answers that it needs; key; records accepted, rows refused
    # no period, a BOM, semicolons, a stray apostrophe in the header
    "policy/asean_digital_integration_index_2021.csv": ({"period": "2021"}, ("country", "period"), 16, 0),
    # 120 columns, American dates that could be European, a row of transform codes below the header
    "nowcast/fred_md_vintage_2019-09.csv": ({"date:sasdate": "mdy"}, ("sasdate",), 728, 1),
    # NA for nothing in hundreds of columns
    "nowcast/bm14_M_raw.csv": ({}, ("date",), 357, 0),
    # quarters in the header
    "nowcast/nyfed_staff_nowcast_published_2023_by_quarter.csv": ({}, ("forecast_date", "period"), 97, 0),
    # year, month and day in three columns; a point for nothing
    "nowcast/oi_affinity_national_daily.csv": ({}, ("period",), 1359, 0),
    "policy/oi_womply_state_weekly.csv": ({}, ("statefips", "period"), 5559, 0),
    "nowcast/oi_ui_claims_state_weekly.csv": ({}, ("statefips", "period"), 17646, 0),
    # 2020/2/17
    "nowcast/wei_published_2020-02_2020-07.csv": ({}, ("date",), 22, 0),
    # years written as 1955.0
    "policy/sc_basque_panel.csv": ({}, ("regionname", "year"), 774, 0),
    # day.month.year beside day.month.yr, Chinese names, no key
    "policy/cn_countermeasures_organisations.csv": ({"period": "Date", "key": "name"}, ("name", "date"), 332, 83),
    # March 12, 2021
    "policy/us_fcc_covered_list.csv": (
        {}, ("covered_equipment_or_services", "date_of_inclusion_on_covered_list"), 15, 1,
    ),
    # a year written y6
    "policy/desi2022_raw.csv": ({"period": "2022"}, ("country", "year", "period"), 168, 0),
    # a first column without a name, headers with a bar, names beyond what a field may have
    "planning/pymrio_test/Y.csv": ({"period": "2011"}, ("column_1", "period"), 48, 0),
    "planning/be_io/other_accounts_BE_NACE64.csv": ({"period": "2010"}, ("column_1", "period"), 63, 0),
    "planning/be_io/IO_BE_NACE64.csv": ({"period": "2010"}, ("column_1", "period"), 63, 0),
    # colons and semicolons inside cells
    "hub/sdmx/v3__csv__example-05.csv": ({}, ("dim_3_dimension_3",), 2, 0),
    # several columns of dates: which is the period?
    "risk/psy_golden_US_episodes.csv": ({"period": "Start"}, ("start",), 11, 0),
    # vintages, with forecasts
    "policy/boe_fer_forecasts.parquet": ({"allow_future": "yes"}, ("source", "variable", "date"), 21356, 0),
    # numbers written as text
    "nowcast/eia_monthly_sales_state_sector_2020-04_2022-12.parquet": ({}, ("stateid", "sectorid", "period"), 9897, 0),
    # sentences for column names
    "risk/polish_companies_5year_train70.parquet": ({"period": "2013"}, ("index_level_0", "period"), 4095, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_real_file(name: str, shared_data: Path, tmp_path: Path) -> None:
    answers, key, accepted, refused = CASES[name]
    file = shared_data / name
    examined = examine(file)
    first = propose(examined, {"confidential": "no"})
    # It asks for just what the answers give, one after the other, and says so in words.
    assert (first.spec is None) == bool(answers)
    assert all(q.text and q.id in answers for q in first.open)
    found = propose(examined, {"confidential": "no", **answers})
    if not key:
        assert found.spec is None
        assert [q.id for q in found.open] == ["key"]
        assert "tell the rows apart" in found.open[0].text
        return
    assert found.spec is not None, [q.text for q in found.open]
    assert found.spec.key == key
    assert found.trial is not None
    assert (found.trial.accepted, found.trial.refused) == (accepted, refused)
    with Room.create(tmp_path / "room", specs=[found.to_toml()]) as room:
        report = room.ingest(found.spec.name, file)
    assert report.accepted == found.trial.accepted
    assert report.quarantined == found.trial.refused
    assert report.duplicates == found.trial.repeated


@pytest.mark.parametrize("name", ["policy/uk_payment_practices_aggregates_2020.json", "hub/sdmx/ECB_EXR__ng-ts.xml"])
def test_other_kinds_are_refused_plainly(name: str, shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"it is (JSON|XML)"):
        examine(shared_data / name)
