"""Fixtures of the faces' tests: hand-made releases, a client, a served room and a browser."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """The module that builds releases by hand."""
    return _module("faces_releases", HERE / "fixtures" / "faces_releases.py")


@pytest.fixture(scope="session")
def axe() -> ModuleType:
    """The module that finds axe-core."""
    return _module("faces_axe", HERE / "axe.py")


@pytest.fixture(scope="session")
def meridia_releases(builder: ModuleType) -> Any:
    return builder.meridia()


@pytest.fixture(scope="session")
def public_releases(builder: ModuleType) -> Any:
    return builder.public()


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of drawings for the whole session: each is drawn once."""
    return tmp_path_factory.mktemp("drawings")


@pytest.fixture(scope="session")
def web_client() -> Callable[[Any], Any]:
    """What makes a client of an app. Starlette's wants httpx2 and says so when it finds httpx."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
        from starlette.testclient import TestClient

    return lambda app: TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="session")
def examined() -> Callable[[], Any]:
    """An exam that a room could keep, of drawn scores: nothing is simulated for it."""
    import numpy as np
    import pandas as pd

    from opsroom.decide.exam.market import Market
    from opsroom.decide.exam.planner import Planner
    from opsroom.decide.exam.result import BOUND, MARKET, PLANNER, SHARES, ExamResult
    from opsroom.room.exam_kept import exam_charts

    rng = np.random.default_rng(0)
    rows = []
    for seed in range(5):
        for surprise in (0.0, 1.0):
            case = {"seed": seed, "size": 0.3, "surprise": surprise}
            blank = {"delay": np.nan, "noise": np.nan, "coverage": np.nan}
            for regime in (MARKET, SHARES, BOUND):
                rows.append({**case, **blank, "regime": regime, "own": rng.normal(-0.02, 0.001)})
            for delay in (0.0, 1.0, 4.0):
                for noise in (0.0, 0.1):
                    lead = 0.01 - 0.006 * delay - 0.05 * noise
                    seen = {"delay": delay, "noise": noise, "coverage": 1.0}
                    rows.append({**case, **seen, "regime": PLANNER, "own": rng.normal(lead - 0.02, 0.001)})
    found = ExamResult(pd.DataFrame(rows), 0.95, 20, Market(), Planner())
    kept = {"day": "2020-03-02", "result": found.to_dict(), "charts": exam_charts(found)}
    return lambda: kept


@pytest.fixture(scope="session")
def client(meridia_releases: Any, drawings: Path, web_client: Callable[[Any], Any]) -> Any:
    from opsroom.faces.web import create_app

    return web_client(create_app(meridia_releases, cache=drawings))


@pytest.fixture(scope="session")
def public_client(public_releases: Any, drawings: Path, web_client: Callable[[Any], Any]) -> Any:
    from opsroom.faces.web import create_app

    return web_client(create_app(public_releases, cache=drawings))


def _serve(app: Any) -> Iterator[str]:
    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture(scope="session")
def served(meridia_releases: Any, drawings: Path, examined: Callable[[], Any]) -> Iterator[str]:
    """Address of Meridia's room, served for the browser, with an exam."""
    from opsroom.faces.web import create_app

    yield from _serve(create_app(meridia_releases, cache=drawings, examined=examined))


@pytest.fixture(scope="session")
def served_public(public_releases: Any, drawings: Path) -> Iterator[str]:
    """Address of the public room, served for the browser."""
    from opsroom.faces.web import create_app

    yield from _serve(create_app(public_releases, cache=drawings))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                  "--disable-background-networking", "--disable-component-update"],
        )  # fmt: skip
        yield browser
        browser.close()
