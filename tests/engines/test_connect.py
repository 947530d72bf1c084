"""Spark Connect: a server in a process of its own gives what is drawn, kernels and a room's tables included."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsroom.base import verbs
from opsroom.base.errors import DataError, FitError, SettingsError
from opsroom.base.settings import SparkSettings
from opsroom.observe.engines import Engine

from . import kernels
from .conftest import started
from .drawings import DRAWN
from .questions import arrow, same
from .test_rooms import SPEC, fill, make_store
from .test_units import beyond, some_units

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
PAIRS = (("spark.sql.adaptive.enabled", "false"), ("spark.sql.shuffle.partitions", "1"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start a server; give its address."""
    pytest.importorskip("pyspark")
    pytest.importorskip("grpc")
    own = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(p for p in sys.path if p)]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, str(Path(__file__).with_name("connect_server.py")), port]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | own,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert any(line.strip() == "ready" for line in server.stdout), "the server did not start"
        yield f"sc://127.0.0.1:{port}"
        server.communicate()  # its input ends, and with it the server


@pytest.fixture(scope="module")
def connected(address: str) -> Iterator[Engine]:
    engine = started(SparkSettings(address, "1g", PAIRS))
    yield engine
    engine.close()


def test_a_server_gives_what_is_drawn(connected):
    for one in DRAWN.values():
        tables = {n: connected.put(n, arrow(t)) for n, t in one.tables.items()}
        same(verbs.collect(one.question.by_verbs(tables)), one.expected, ordered=one.ordered)


@pytest.mark.parametrize("order", [["day"], ["value", "-day"]])
def test_kernels_run_on_a_server(duckdb, connected, order):
    ways = {"unit": "unit", "kernel": kernels.trends, "schema": kernels.TRENDS, "order": order}
    found, expected = (verbs.map_units(engine.put("t", some_units()), **ways) for engine in (connected, duckdb))
    assert found.equals(expected)
    assert found.num_rows == 43


def test_what_a_kernel_raises_on_a_server_is_raised_here(connected):
    with pytest.raises(FitError, match="too few rows"):
        verbs.map_units(connected.put("t", some_units()), unit="unit", kernel=kernels.misfit, schema=kernels.TRENDS)


def test_nothing_is_logged_when_a_server_fails(connected, capfd):
    for question in beyond(connected):
        with pytest.raises(DataError, match="64 bits") as caught:
            verbs.collect(question)
        assert "46116860" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_store_is_read_by_a_server_as_by_duckdb(connected, tmp_path):
    here = make_store(tmp_path / "room", None)
    fill(here)
    there = make_store(tmp_path / "room", connected)
    for day in range(11, 22):
        found, expected = (verbs.collect(s.table(SPEC.name, dt.date(2020, 3, day))) for s in (there, here))
        order = [(name, "ascending") for name in expected.column_names]
        assert found.select(expected.column_names).sort_by(order).equals(expected.sort_by(order))


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:1"])
def test_a_server_that_is_not_there_is_an_error_in_words(monkeypatch, proxy):
    pytest.importorskip("pyspark")
    pytest.importorskip("grpc")
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    if proxy:  # for all but this server
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
    engine = started(SparkSettings("sc://127.0.0.1:1/;user_id=x", "1g", PAIRS))
    with pytest.raises(SettingsError) as caught:
        _ = engine.backend
    assert caught.value.code == "OPS-C034"
