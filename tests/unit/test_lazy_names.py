"""Functions that share their module's name are called by either."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("package", "name"), [("opsroom.protect", "attack"), ("opsroom.warn", "credit_gap")])
def test_a_function_is_called_through_the_module_of_its_name(package: str, name: str) -> None:
    # in a process of its own: which of the two the package's attribute is depends on what was imported before
    code = f"""
import importlib
from {package} import {name} as first
function = getattr(importlib.import_module("{package}.{name}"), "{name}")
from {package} import {name} as second
said = []
for one in (first, second, function):
    try:
        one()
    except TypeError as error:
        said.append(str(error))
assert len(said) == 3 and len(set(said)) == 1 and "{name}() missing" in said[0], said
"""
    subprocess.run([sys.executable, "-c", code], check=True)
