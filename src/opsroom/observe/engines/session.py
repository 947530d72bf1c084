"""Spark sessions: started once a process and master, quiet, bounded, stopped with the last engine that uses them."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from opsroom.base.errors import SettingsError
from opsroom.base.settings import SparkSettings

PORT = 15002
"""Of a Spark Connect server, where none is named."""

WAIT = 10.0
"""Seconds in which it has to answer."""

_RUNNING: dict[SparkSettings, tuple[Any, int]] = {}

QUIET = Path(__file__).with_name("log4j2.properties")
"""Spark logs the text of errors, and with it values of the data: here it logs nothing."""


def require_spark(settings: SparkSettings) -> None:
    """Refuse settings that need what is not installed.

    Raises
    ------
    SettingsError
        Says what to install.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise SettingsError(
            'engine = "spark" needs pyspark, which is not installed.',
            remedy="pip install 'opsroom[spark]'.",
            code="OPS-C030",
        )
    if settings.is_connect:
        if importlib.util.find_spec("grpc") is None:
            raise SettingsError(
                "a Spark Connect server (sc://) needs grpc, which is not installed.",
                remedy="pip install 'pyspark[connect]>=4.0,<4.1'.",
                code="OPS-C031",
            )
        return
    home = os.environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin" / "java").exists()) and shutil.which("java") is None:
        raise SettingsError(
            'engine = "spark" needs Java 17 or later, which is not installed.',
            remedy="As root, apt-get install openjdk-17-jre-headless; or set JAVA_HOME.",
            code="OPS-C032",
        )


def acquire(settings: SparkSettings) -> Any:  # pyspark's session, classic or Connect
    """Return the process's session for these settings, started if need be.

    Raises
    ------
    SettingsError
        Another Spark runs in this process with other settings, or it cannot be started or reached.
    """
    if settings in _RUNNING:
        session, users = _RUNNING[settings]
        _RUNNING[settings] = (session, users + 1)
        return session
    if any(not (other.is_connect and settings.is_connect) for other in _RUNNING):
        raise SettingsError(
            "Spark runs in this process with other settings.",
            remedy="Close the other room first, or use another process.",
            code="OPS-C033",
        )
    session = _connect(settings) if settings.is_connect else _start(settings)
    _RUNNING[settings] = (session, 1)
    return session


def release(settings: SparkSettings) -> None:
    """Give a session back; the last one stops it."""
    session, users = _RUNNING[settings]
    if users > 1:
        _RUNNING[settings] = (session, users - 1)
        return
    del _RUNNING[settings]
    session.stop()
    if not settings.is_connect:
        _end_gateway()
    else:
        _classic_again()


def _end_gateway() -> None:
    """End the Java process too, which pyspark would keep until this process ends."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        process = getattr(gateway, "proc", None)
        if process is not None:
            process.stdin.close()
            process.wait(timeout=30)
        SparkContext._gateway = None
        SparkContext._jvm = None


def _connect(settings: SparkSettings) -> Any:  # a Connect session
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _hush()
    _knock(settings.master)
    session = None
    try:
        session = SparkSession.builder.remote(settings.master).create()
        for key, value in {**_ALWAYS, **settings.conf}.items():
            session.conf.set(key, value)
    except PySparkException:
        if session is not None:
            session.stop()
        _classic_again()
        raise _unreachable() from None
    return session


def _classic_again() -> None:
    """Turn pyspark's switch off once no server is spoken to.

    Its functions would speak to one ever after, and no classic session could start.
    """
    if not _RUNNING:
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)


def _knock(master: str) -> None:
    """Refuse a server that does not answer at once: pyspark would try for ten minutes."""
    address = urlsplit(master)
    proxied = any(os.environ.get(name) for name in ("grpc_proxy", "https_proxy", "http_proxy"))
    directly = next((os.environ[name] for name in ("no_grpc_proxy", "no_proxy") if os.environ.get(name)), "")
    if proxied and not proxy_bypass_environment(address.hostname or "", {"no": directly}):
        return  # the way to it is not ours to know
    try:
        socket.create_connection((address.hostname or "", address.port or PORT), timeout=WAIT).close()
    except (OSError, ValueError):
        raise _unreachable() from None


_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    # Overflow is an error, never a silent wrap: the verbs guard every denominator themselves.
    "spark.sql.ansi.enabled": "true",
}


def _start(settings: SparkSettings) -> Any:  # a classic session
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    conf = {
        **_ALWAYS,
        "spark.driver.memory": settings.driver_memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={QUIET.as_uri()}",
    }
    here = settings.master.startswith("local")
    if here:
        conf["spark.driver.host"] = conf["spark.driver.bindAddress"] = "127.0.0.1"
        conf["spark.executor.extraJavaOptions"] = conf["spark.driver.extraJavaOptions"]
    else:
        conf["spark.log.level"] = "OFF"  # workers elsewhere do not have our file
    _hush()
    builder = SparkSession.builder.master(settings.master).appName("opsroom")
    for key, value in settings.conf.items():
        # Java takes options one after the other: a room's own stand beside ours.
        conf[key] = f"{conf[key]} {value}" if key.endswith("extraJavaOptions") and key in conf else value
    for key, value in conf.items():
        builder = builder.config(key, value)
    try:
        with _environment(here=here):
            return builder.getOrCreate()
    except (PySparkException, Py4JError, OSError):
        raise _unreachable() from None


def _unreachable() -> SettingsError:
    return SettingsError(
        "Spark cannot be started or reached.",
        remedy="Check the master of [spark] in room.toml or OPSROOM_SPARK_MASTER, Java, and the free memory.",
        code="OPS-C034",
    )


def _hush() -> None:
    """Silence pyspark's own logger, which prints errors with the values that caused them."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextlib.contextmanager
def _environment(*, here: bool) -> Iterator[None]:
    """Set what Spark reads from the environment while it starts; what the user has set stays."""
    wanted = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable} if here else {}
    if here:
        # A machine's own name may not resolve: everything stays on the loopback address.
        wanted |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
    new = {k: v for k, v in wanted.items() if k not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for key in new:
            os.environ.pop(key, None)
