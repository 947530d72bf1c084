"""Engines: where verbs run. DuckDB in this process, or Spark on this machine or a cluster; the figures are the same."""

from __future__ import annotations

from opsroom.base.errors import SettingsError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines.duck import DuckEngine
from opsroom.observe.engines.protocol import Engine

__all__ = ["DuckEngine", "Engine", "make_engine"]


def make_engine(name: str, spark: SparkSettings | None = None, *, threads: int | None = None) -> Engine:
    """Return an engine by name; nothing is started before it is used.

    Parameters
    ----------
    name
        ``"duckdb"`` or ``"spark"``.
    spark
        Where and how Spark runs.
    threads
        Threads of DuckDB; None for as many as there are cores.

    Raises
    ------
    SettingsError
        No engine of that name, or what it needs is not installed; says what to install.
    """
    if name == "duckdb":
        return DuckEngine(threads=threads)
    if name == "spark":
        from opsroom.observe.engines.spark import SparkEngine

        return SparkEngine(spark or SparkSettings())
    raise SettingsError(
        f"engine {name!r} is not available.", remedy='Use engine = "duckdb" or engine = "spark".', code="OPS-C004"
    )
