"""What every test gets: no network but loopback, one thread a worker, real data or the reason why not."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Read when numpy is first imported, by a test module: these lines come before. A worker that starts
# a thread per core fights with its neighbour.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

CHECKOUT = Path(__file__).resolve().parents[1]
AXE = CHECKOUT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
if AXE.is_file():
    os.environ.setdefault("OPSROOM_AXE", str(AXE))

# No deadline: on two shared cores a slow example says nothing about the code.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


class OutsideNetworkError(AssertionError):
    """A test asked a host other than this machine."""


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if inet and not _is_here(address[0]):
            raise OutsideNetworkError(f"a test connects to {address[0]!r}: opsroom asks no outside host.")
        return call(self, address)

    return connect


@pytest.fixture(autouse=True, scope="session")
def _no_outside_network() -> Any:
    """Refuse every connection and every look-up of a name that leaves this machine."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_here(host):
            raise OutsideNetworkError(f"a test looks up {host!r}: opsroom asks no outside host.")
        return look_up(host, *args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
    patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: ``OPSROOM_SHARED_DATA``, or ``shared/data`` beside the checkout."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data is absent: set OPSROOM_SHARED_DATA to it")
    return folder


SMALL = 500
"""Companies in the room that several tests read."""


@pytest.fixture(scope="session")
def built_room(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A published room of Meridia, 22 January to 11 March 2020, built once, with a copy for each worker; read only."""
    import datetime as dt
    import fcntl
    import shutil

    from opsroom.room.demo import build_meridia

    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    built = shared / "built"
    built.mkdir(exist_ok=True)
    with (shared / "built.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "built.done").exists():
            build_meridia(built / "meridia", companies=SMALL, until=dt.date(2020, 3, 11)).room.close()
            (shared / "built.done").touch()
        # Nobody opens what was built: a database that is open elsewhere cannot be copied as it stands.
        shutil.copytree(built, base / "own")
    return base / "own" / "meridia"


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The xdist worker's name, or ``master`` where there is one process."""
    given = getattr(request.config, "workerinput", None)
    return str(given["workerid"]) if given else "master"


@pytest.fixture
def own_room(built_room: Path, tmp_path: Path) -> Path:
    """A copy of the built room that a test may change."""
    import shutil

    copy = tmp_path / "meridia"
    shutil.copytree(built_room, copy)
    return copy
