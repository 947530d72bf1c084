"""The project's files keep the house's rules: no machine's paths, no registry's host, nothing too long."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "opsroom"
LONGEST = 600
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".txt",
    ".css",
    ".js",
    ".html",
    ".typ",
    ".json",
    ".cfg",
    ".sh",
    "",
}

# Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = [
    *(rf"(?<![\w.])/{folder}/" for folder in ("work", "root", "home", "Users")),
    r"/tmp/" + r"(build|bash)",
    r"py" + r"pi\.org",
    r"python" + r"hosted\.org",
    r"registry\.npm" + r"js",
    r"deb\.deb" + r"ian\.org",
    r"--(extra-)?index" + r"-url",
    r"--find" + r"-links",
]


def listed() -> list[Path]:
    """Every file that is, or would be, in the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of the project's files")
    return [path for name in names if name and (path := ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]


def test_no_machine_paths_or_registry_hosts():
    pattern = re.compile("|".join(FORBIDDEN))
    found = []
    for path in listed():
        if path.suffix in TEXT and "static" not in path.parts:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}")
    assert not found


def test_no_file_is_big():
    """Real data and built rooms never enter the repository."""
    big = [str(p.relative_to(ROOT)) for p in listed() if p.stat().st_size > 1_500_000]
    assert not big


def test_modules_are_short_and_say_what_they_are():
    faults = []
    for path in python_files("src", "tests", "tools", "bench"):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if text.count("\n") > LONGEST:
            faults.append(f"{name}: longer than {LONGEST} lines")
        if not ast.get_docstring(ast.parse(text)):
            faults.append(f"{name}: no docstring")
    assert not faults


def test_public_functions_and_classes_have_docstrings():
    faults = []
    for path in python_files("src"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            # A signature of an overload has the docstring of the function that it is of.
            if public and any(ast.unparse(one) == "overload" for one in node.decorator_list):
                continue
            if public and not ast.get_docstring(node):
                faults.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not faults


def test_every_exemption_has_its_reason():
    """A silenced checker says why in the same line."""
    bare = re.compile(r"#\s*(type:\s*ignore(\[[^]]*\])?|noqa(:\s*[A-Z0-9, ]+)?)\s*$")
    later = re.compile(r"#.*\b(TO" + r"DO|FIX" + r"ME)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python_files("src", "tests", "tools", "bench")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line) or later.search(line)
    ]
    assert not found


def test_packages_import_nothing_heavy():
    """A package's ``__init__`` imports only opsroom and the standard library at module level."""
    heavy = {
        "altair",
        "duckdb",
        "deltalake",
        "fastapi",
        "ibis",
        "numba",
        "numpy",
        "pandas",
        "pyarrow",
        "scipy",
    }
    heavy |= {
        "sqlalchemy",
        "starlette",
        "statsmodels",
        "structlog",
        "typst",
        "uvicorn",
        "vl_convert",
        "xlsxwriter",
    }
    faults = []
    for path in sorted(SOURCE.rglob("__init__.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            faults += [f"{path.relative_to(ROOT)}: {n}" for n in names if n.split(".")[0] in heavy]
    assert not faults


def test_test_modules_have_names_of_their_own():
    counts = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []


def test_constraints_pin_what_pyproject_asks_for():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", pin) for pin in pins)
    pinned = {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.split(r"[\[<>=!~ ;]", item)[0].lower().replace("_", "-") for item in asked}
    assert names - pinned == set()
    assert "opsroom" not in pinned


def test_make_has_the_fixed_commands():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in (
        "setup",
        "setup-browser",
        "demo",
        "serve",
        "test",
        "test-long",
        "check",
        "bench",
        "clean",
    ):
        assert re.search(rf"^{command}:", text, re.MULTILINE), command
    ci = ROOT / ".ci" / "run"
    assert ci.stat().st_mode & 0o111
    assert "set -euo pipefail" in ci.read_text(encoding="utf-8")


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_leftover_of_a_patch_or_merge_is_kept() -> None:
    """What `patch` and a merge leave behind is no source, and would be shipped in the wheel."""
    assert not [str(p.relative_to(ROOT)) for p in listed() if p.name.endswith((".orig", ".rej", "~"))]


def test_every_figure_names_the_version_of_its_method() -> None:
    """A reader of an old release must be able to tell by which version of a method it was made: cells say a number."""
    bare = []
    for path in sorted((ROOT / "src" / "opsroom").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Cells"):
                continue
            for given in (keyword.value for keyword in call.keywords if keyword.arg == "method"):
                name = given.value if isinstance(given, ast.Constant) else constants.get(getattr(given, "id", ""))
                if isinstance(name, str) and not re.search(r"-\d+$", name):
                    bare.append(f"{path.name}: {name}")
    assert not bare
