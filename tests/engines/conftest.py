"""Engines for the tests: DuckDB always, Spark where pyspark and Java are there."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines import DuckEngine, Engine, make_engine

BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java's options for a process that soon ends: it does not optimise what runs once."""

SMALL = (
    ("spark.driver.extraJavaOptions", BRIEF),
    ("spark.executor.extraJavaOptions", BRIEF),
    ("spark.sql.adaptive.enabled", "false"),
)
"""Small questions, many of them: no planning anew."""

INTERPRETED = (("spark.sql.codegen.factoryMode", "NO_CODEGEN"), ("spark.sql.codegen.wholeStage", "false"))
"""For few rows, compiling a query takes longer than running it."""


def settings(master: str, partitions: int, *more: tuple[str, str]) -> SparkSettings:
    """Return Spark's settings for tests."""
    pairs = (*SMALL, ("spark.sql.shuffle.partitions", str(partitions)), *more)
    return SparkSettings(master, "1g", tuple(sorted(pairs)))


def started(wanted: SparkSettings) -> Engine:
    """Return the engine, or skip the test with the reason why there is none."""
    try:
        return make_engine("spark", wanted)
    except SettingsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Engine]:
    engine = DuckEngine(threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    """Spark as it is used: queries are compiled."""
    yield from running(settings("local[1]", 1))


@pytest.fixture(scope="module")
def quick_spark() -> Iterator[Engine]:
    """Spark for hundreds of questions: queries are interpreted."""
    yield from running(settings("local[1]", 1, *INTERPRETED))


def running(wanted: SparkSettings) -> Iterator[Engine]:
    """Start an engine, and stop it."""
    engine = started(wanted)
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
        if {"spark", "quick_spark"} & set(getattr(item, "fixturenames", ())) or "cluster" in item.name:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
