"""Memory of a family of processes, each test in a process of its own: a worker's memory moves by itself."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").is_file(), reason="the kernel does not tell memory of processes"
)
SIZE = 64 << 20

OUTLASTS = f"""
import time
from opsroom.faces.cli.memory import PERIOD, Peak, taken
with Peak() as peak:
    before = taken()
    block = bytearray(b"x") * {SIZE}
    for _ in range(100):
        if peak.bytes - before > 0.9 * {SIZE}:
            break
        time.sleep(PERIOD)
    del block
print(peak.bytes - taken())
"""

CHILDREN = f"""
import ctypes
import subprocess, sys
from opsroom.faces.cli.memory import taken
order = "import sys; x = bytearray(b'x') * {SIZE}; print('ready', flush=True); sys.stdin.read()"
before = taken()
with subprocess.Popen([sys.executable, "-c", order], stdin=-1, stdout=-1, text=True) as child:
    assert child.stdout.readline() == "ready\\n"
    print(taken() - before)
    child.stdin.close()
"""


@pytest.mark.parametrize("script", [OUTLASTS, CHILDREN], ids=["a peak outlasts what caused it", "children count"])
def test_memory_is_seen(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0.9 * SIZE


GIVEN_BACK = f"""
from pathlib import Path
from opsroom.base.memory import give_back
def own():
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * 4096
give_back()
blocks = [bytearray(60_000) for _ in range({SIZE} // 60_000)]  # small enough for the C library's own heap
last = bytearray(60_000)  # what lies above the free blocks: the heap does not shrink by itself
del blocks
before = own()
give_back()
print(before - own())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library gives nothing back")
def test_free_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0.8 * SIZE


IDLE = f"""
import opsroom.base.memory as memory
calls = []
plain = memory.give_back
memory.give_back = lambda: (calls.append(1), plain())
def work():
    blocks = [bytearray(60_000) for _ in range({SIZE} // 60_000)]
    return bytearray(60_000)
idle = memory.Idle({SIZE} // 2)
idle._settled = memory._resident()
kept = work()
before = memory._resident()
idle.give_back()
freed = before - memory._resident()
idle.give_back()  # nothing has become idle since
kept = [kept, work()]
idle.give_back()
print(len(calls), freed)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library does not tell what is free")
def test_idle_memory_is_given_back_once_it_is_much() -> None:
    done = subprocess.run([sys.executable, "-c", IDLE], capture_output=True, text=True, check=True)
    calls, freed = map(int, done.stdout.split())
    assert calls == 2
    assert freed > 0.7 * SIZE
