"""A room on either engine: how it is chosen, what is said where it cannot run, and the same table from both."""

from __future__ import annotations

import datetime as dt
import importlib.util
import shutil

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from opsroom.base import verbs
from opsroom.base.errors import SettingsError
from opsroom.base.settings import RoomSettings, SparkSettings
from opsroom.observe.engines import make_engine
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store
from opsroom.room.room import Room

from .conftest import settings
from .questions import lines
from .test_cluster import SPEC, fill, make_store

TEXT = """schema_version = 1
[room]
title = "Northland"
timezone = "Europe/Vienna"
{engine}
[publish]
cadence = "on_demand"
[rules]
profile = "business"
"""


def parsed(engine: str, spark: str = "") -> RoomSettings:
    return RoomSettings.parse(TEXT.format(engine=engine) + spark)


def test_spark_is_chosen_in_the_settings():
    found = parsed('engine = "spark"', '[spark]\nmaster = "spark://c:7077"\ndriver_memory = "4g"\n'
                   '[spark.settings]\n"spark.sql.shuffle.partitions" = 8\n"spark.speculation" = true')  # fmt: skip
    assert found.engine == "spark"
    assert found.spark == SparkSettings(
        "spark://c:7077", "4g", (("spark.speculation", "true"), ("spark.sql.shuffle.partitions", "8"))
    )
    assert not found.spark.is_connect
    assert "spark" not in found.facts
    assert parsed("").spark == SparkSettings("local[*]", "2g", ())


def test_the_environment_goes_before_the_file(monkeypatch):
    monkeypatch.setenv("OPSROOM_SPARK_MASTER", "sc://gate:15002")
    found = parsed('engine = "spark"', '[spark]\nmaster = "local[2]"')
    assert found.spark.master == "sc://gate:15002"
    assert found.spark.is_connect


@pytest.mark.parametrize(
    ("engine", "spark"),
    [
        ('engine = "ray"', ""),
        ("", "spark = 1"),
        ("", '[spark]\nmaster = "http://c"'),
        ("", '[spark]\nmaster = "local[2"'),
        ("", '[spark]\ndriver_memory = "lots"'),
        ("", "[spark]\ncores = 3"),
        ("", "[spark]\nsettings = 3"),
    ],
)
def test_settings_that_mean_nothing_are_refused(engine, spark):
    text = TEXT.format(engine=engine)
    with pytest.raises(SettingsError):
        RoomSettings.parse(spark + "\n" + text if spark == "spark = 1" else text + spark)


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(SettingsError, match="ray"):
        make_engine("ray")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'opsroom\[spark\]'"):
        make_engine("spark")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "grpc" else object())
    with pytest.raises(SettingsError, match="pyspark\\[connect\\]"):
        make_engine("spark", SparkSettings("sc://gate:15002"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SettingsError, match="openjdk"):
        make_engine("spark")


def test_a_room_whose_engine_is_missing_does_not_open(tmp_path, monkeypatch):
    Room.create(tmp_path / "room", settings=TEXT.format(engine=""), specs=[SPEC.to_toml()]).close()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pyspark"):
        Room.open(tmp_path / "room", engine="spark")
    with Room.open(tmp_path / "room") as room:
        assert room.store.engine.name == "duckdb"


@pytest.mark.long
def test_a_room_on_spark_gives_the_table_of_one_on_duckdb(spark, tmp_path, monkeypatch):
    own = settings("local[1]", 1)
    pairs = "\n".join(f'"{name}" = "{value}"' for name, value in own.settings)
    text = TEXT.format(engine='engine = "spark"')
    text += f'[spark]\nmaster = "{own.master}"\ndriver_memory = "1g"\n[spark.settings]\n{pairs}\n'
    with Room.create(tmp_path / "room", settings=text, specs=[SPEC.to_toml()]) as there:
        assert there.store.engine.name == "spark"
        fill(there.store)
        with Room.open(tmp_path / "room", engine="duckdb") as here:
            for day in range(11, 22):
                moment = dt.date(2020, 3, day)
                found, expected = (verbs.collect(r.table("readings", moment)) for r in (there, here))
                assert found.schema == expected.schema
                assert sorted(lines(found.to_pylist())) == sorted(lines(expected.to_pylist()))
            table = there.table("readings", dt.date(2020, 3, 21))
            assert there.store.provenance(table) == {"readings": there.store.version("readings")}
            assert there.store.provenance(spark.put("own", pa.table({"a": [1]}))) is None
            narrow = there.store.table("readings", period_from=dt.date(2020, 3, 4), period_to=dt.date(2020, 3, 5))
            assert set(verbs.collect(narrow)["day"].to_pylist()) == {dt.date(2020, 3, 4), dt.date(2020, 3, 5)}


HISTORY = st.lists(
    st.tuples(
        st.integers(11, 20), st.booleans(), st.sets(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), min_size=1)
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.long
@examples(max_examples=40)
@given(HISTORY)
def test_any_history_is_read_alike(spark, tmp_path_factory, history):
    path = tmp_path_factory.mktemp("history")
    here = make_store(path, None)
    for number, (known, back, keys) in enumerate(history):
        rows = sorted((unit, dt.date(2020, 3, day)) for unit, day in keys)
        columns = {"unit": [u for u, _ in rows], "day": [d for _, d in rows]}
        if not back:
            columns |= {"region": ["R"] * len(rows), "value": [number * 10 + n for n in range(len(rows))]}
        moment = dt.datetime(2020, 3, known, 12, tzinfo=dt.UTC)
        ingest(here, SPEC, pa.table(columns), known_at=moment, actor="test", reason="drawn", deletions=back)
    there = Store(path, [SPEC], here.state, timezone="Europe/Vienna", engine=spark)
    for day in range(10, 21):
        expected = here.arrow("readings", dt.date(2020, 3, day)).to_pylist()
        found = verbs.collect(there.table("readings", dt.date(2020, 3, day))).to_pylist()
        assert sorted(lines(found)) == sorted(lines(expected))
    here.close()
