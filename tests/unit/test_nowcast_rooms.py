"""The US vintages that ship with statsmodels, and the example rooms: readable, consistent, files fit."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from opsroom.base.errors import NotFoundError
from opsroom.base.settings import RoomSettings
from opsroom.base.specs import DatasetSpec
from opsroom.measure.nowcast import SeriesSpec
from opsroom.room.us_panel import QUARTERLY, VINTAGES, us_room, vintage

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOMS = sorted(p.parent.name for p in EXAMPLES.glob("*/room.toml"))


def test_the_us_room_holds_both_vintages() -> None:
    source = us_room()
    assert [d.known_at.date() for d in source.deliveries] == list(VINTAGES)
    assert [d.table.num_rows for d in source.deliveries] == [8653, 8676]
    (spec,) = (DatasetSpec.from_toml(text) for text in source.specs)
    assert spec.public
    assert spec.snapshot
    for delivery in source.deliveries:
        frame = delivery.table.to_pandas()
        assert frame["series_id"].nunique() == 29
        assert not frame.duplicated(["series_id", "month"]).any()
        quarterly = frame[frame["series_id"].isin(QUARTERLY)]
        assert {d.month for d in quarterly["month"]} == {3, 6, 9, 12}
        assert max(frame["month"]) <= delivery.known_at.date()
    desk = RoomSettings.parse(source.settings).desks[0]
    assert {s["name"] for s in desk.require("series")} == set(frame["series_id"])
    assert desk.require("target") == "GDPC1"
    with pytest.raises(NotFoundError, match="2016-07-01"):
        vintage(dt.date(2016, 7, 1))


@pytest.mark.parametrize("room", ROOMS)
def test_examples_are_consistent(room: str) -> None:
    folder = EXAMPLES / room
    settings = RoomSettings.load(folder / "room.toml")
    specs = {p.stem: DatasetSpec.from_toml(p) for p in sorted((folder / "datasets").glob("*.toml"))}
    assert specs
    assert all(spec.public and spec.licence and spec.source for spec in specs.values())
    for desk in settings.desks:
        for name in desk.get("datasets", [desk.get("dataset")]):
            spec = specs[name]
            fields = {f.name for f in spec.fields}
            assert set(desk.get("values", [])) <= fields
            assert desk.get("value", spec.period) in fields
            assert set(desk.get("temperature", [])) <= fields
        if desk.kind == "nowcast":
            series = [SeriesSpec(**s) for s in desk.require("series")]
            assert desk.require("target") in {s.name for s in series}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for command in ("init", "ingest", "publish", "brief", "serve"):
        assert f"opsroom {command} " in readme
    assert all(name in readme for name in specs)


@pytest.mark.shared_data
@pytest.mark.parametrize("room", ROOMS)
def test_the_real_files_have_the_columns_described(room: str, shared_data: Path) -> None:
    import pandas as pd

    (file,) = [
        path
        for folder in ("nowcast", "risk")
        for path in (shared_data / folder).iterdir()
        if path.suffix in (".csv", ".parquet") and path.name in (EXAMPLES / room / "README.md").read_text("utf-8")
    ]
    columns = set((pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, nrows=2)).columns)
    (path,) = (EXAMPLES / room / "datasets").glob("*.toml")
    spec = DatasetSpec.from_toml(path)
    wanted = {f.source for f in spec.fields} | ({spec.known_at_field} - {""})
    assert wanted <= columns
    if not spec.ignore_extra:
        assert columns == wanted


def test_no_example_names_a_folder_of_the_author() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "/work" not in text
            assert "/tmp" not in text
            if path.suffix == ".toml":
                tomllib.loads(text)
