"""Engines for the tests: DuckDB always, Spark where pyspark and Java are there."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines import DuckEngine, Engine, make_engine

SMALL = (("spark.sql.adaptive.enabled", "false"), ("spark.sql.shuffle.partitions", "1"))
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java's options for a process that soon ends: it does not optimise what runs once."""
LOCAL = SparkSettings("local[1]", "1g", SMALL)
"""Small questions, many of them: one partition, and no planning anew."""


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Engine]:
    engine = DuckEngine(threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    try:
        engine = make_engine("spark", LOCAL)
    except SettingsError as error:
        pytest.skip(str(error))
    yield engine
    engine.close()
    collect_sockets()


def collect_sockets() -> None:
    """Collect the sockets that pyspark leaves open, where nobody minds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pyspark leave sockets to the collector: it does so at every result."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()) or "cluster" in item.name:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
