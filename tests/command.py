"""The `opsroom` command, called in the process of the tests.

A process of its own spends one to six seconds on imports, most of them Numba's, SciPy's and Ibis's, before it
does what it was asked. What only a process of its own can show (exit codes as the system sees them, signals,
a terminal, what is imported when) is asked in `test_dataset_cli`, `test_no_leak`, `test_imports`
and `tests/faults`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind: its exit code, and what it printed on either stream."""

    code: int
    out: str
    err: str


def call(*words: str, **environment: str) -> Done:
    """Run `opsroom` with these words; nothing comes on standard input, and no stream is a terminal.

    Parameters
    ----------
    words
        The command's words, without ``opsroom``.
    environment
        Variables that hold while it runs.
    """
    from opsroom.faces.cli.main import run

    # Streams with bytes below them, as a process has: a command may write either.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        Path(os.devnull).open(encoding="utf-8") as nothing,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(sys, "argv", ["opsroom", *words])
        try:
            run(list(words))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))
