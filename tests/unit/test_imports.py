"""`import opsroom` and `opsroom --help` are quick because they load nothing heavy; `__all__` is the truth."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import opsroom

HEAVY = {
    "altair",
    "deltalake",
    "duckdb",
    "fastapi",
    "highspy",
    "ibis",
    "jinja2",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "sqlalchemy",
    "starlette",
    "statsmodels",
    "structlog",
    "typst",
    "uvicorn",
    "vl_convert",
    "xlsxwriter",
}

REPORT = "import json, sys; sys.__stderr__.write('\\n' + json.dumps(sorted(sys.modules)))"


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules that it loaded."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_import_loads_nothing_heavy():
    loaded = modules_after("import opsroom")
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["ingest", "--help"], ["serve", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from opsroom.faces.cli.main import run\n"
        f"sys.argv = ['opsroom', *{arguments!r}]\n"
        "try:\n"
        "    code = run()\n"
        "except SystemExit as stop:\n"
        "    code = stop.code\n"
        "assert not code, code"
    )
    assert not modules_after(code) & HEAVY


def test_all_is_the_truth():
    assert opsroom.__all__ == sorted(opsroom.__all__)
    assert dir(opsroom) == opsroom.__all__
    for name in opsroom.__all__:
        assert getattr(opsroom, name) is not None, name
    missing = object()
    assert getattr(opsroom, "no_such_name", missing) is missing
    public = {name for name in vars(opsroom) if not name.startswith("_")}
    # The import system adds sub-packages and what this module itself needs; everything else is in __all__.
    extra = public - set(opsroom.__all__)
    modules = {name for name in extra if f"opsroom.{name}" in sys.modules}
    assert extra - modules <= {"TYPE_CHECKING", "annotations", "import_module"}


PACKAGES = sorted(
    str(path.parent.relative_to(Path(opsroom.__file__).parents[1])).replace("/", ".")
    for path in Path(opsroom.__file__).parent.rglob("__init__.py")
    if "__getattr__" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_offers_is_there(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_name_is_that_of_a_module_beside_it(name):
    """Whoever imports the module first would be given it in place of the name."""
    package = importlib.import_module(name)
    beside = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not beside & set(package.__all__)
