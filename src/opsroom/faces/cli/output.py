"""Output of the command line: data on stdout, talk on stderr, JSON where it is asked for."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence


def say(text: str) -> None:
    """Write talk to stderr."""
    sys.stderr.write(text + "\n")


def emit(text: str) -> None:
    """Write data to stdout."""
    sys.stdout.write(text + "\n")


def emit_story(text: str) -> None:
    """Write paragraphs to stdout in lines that can be read: as wide as the terminal, 100 characters at most."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    for line in text.split("\n"):
        emit("\n".join(textwrap.wrap(line, width, break_on_hyphens=False, break_long_words=False)))


def emit_json(value: object) -> None:
    """Write one JSON document on one line to stdout."""
    emit(json.dumps(value, ensure_ascii=False, default=str))


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table: aligned on a terminal, tab-separated into a pipe."""
    cells = [[("" if value is None else str(value)) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns), *cells]:
            emit("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold")
    for line in cells:
        table.add_row(*line)
    Console().print(table)
