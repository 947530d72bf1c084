"""Memory of a family of processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from opsroom.faces.cli.memory import PERIOD, Peak, taken

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").is_file(), reason="the kernel does not tell memory of processes"
)
SIZE = 64 << 20


def test_a_peak_outlasts_what_caused_it():
    with Peak() as peak:
        before = taken()
        block = bytearray(b"x") * SIZE
        for _ in range(100):
            if peak.bytes - before > 0.9 * SIZE:
                break
            time.sleep(PERIOD)
        del block
    assert peak.bytes - taken() > 0.9 * SIZE


def test_children_count():
    order = f"import sys; x = bytearray(b'x') * {SIZE}; print('ready', flush=True); sys.stdin.read()"
    before = taken()
    with subprocess.Popen([sys.executable, "-c", order], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        assert taken() - before > 0.9 * SIZE
        child.stdin.close()
