"""Engines for the tests: DuckDB always, Spark where pyspark and Java are there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines import DuckEngine, Engine, make_engine

LOCAL = SparkSettings(
    "local[1]", "1g", (("spark.sql.shuffle.partitions", "1"), ("spark.sql.adaptive.enabled", "false"))
)
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
