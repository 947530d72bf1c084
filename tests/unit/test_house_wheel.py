"""The wheel holds what a user's machine needs: type marker, templates, static files, specifications."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_wheel_holds_every_file_of_the_package(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed: the wheel cannot be built offline")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "src" / "opsroom"
    wanted = {
        f"opsroom/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".nbi", ".nbc")
    }
    assert wanted - names == set()
    assert "opsroom/py.typed" in names
    assert any(name.endswith("entry_points.txt") for name in names)
    assert any("licenses/LICENSE" in name for name in names)
    assert {Path(name).suffix for name in names} >= {".py", ".toml", ".html", ".css"}
    assert not [name for name in names if name.startswith(("tests/", "bench/", "demo/"))]
