"""Public names of a package that are loaded when they are first asked for: importing the package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        Public name → the module that defines it, absolute or (with a leading dot) inside the package; with
        ``module:name`` where it is called otherwise there, and ``module:`` where the module itself is meant.
    """

    def load(name: str) -> Any:  # a module attribute may be of any type
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, colon, attribute = homes[name].partition(":")
        module = import_module(home, package)
        value = module if colon and not attribute else getattr(module, attribute or name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return load, names


def callable_as(module: str, name: str) -> None:
    """Let a module be called like the function of the same name that it defines.

    A package's attribute of this name is the module as soon as anything has imported it: whoever writes
    ``from opsroom.protect import attack`` gets one or the other, and can call either.

    Parameters
    ----------
    module
        Its ``__name__``.
    name
        The function.
    """

    class Called(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(self, name)(*args, **kwargs)

    sys.modules[module].__class__ = Called
