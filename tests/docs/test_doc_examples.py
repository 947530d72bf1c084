"""Every example in the manual and the README runs as printed.

A page is one session in an empty folder, with ``examples`` and ``data`` (the real data) beside it:

- a ``python`` block is executed; blocks of a page share one namespace; where it holds ``>>>`` prompts, what
  it prints must be what the page says;
- of a ``console`` block the lines ``$ opsroom …`` are run (``\\`` at a line's end goes on), as are ``$ cp``,
  ``$ mkdir`` and ``$ ls``; lines without a prompt, up to the next prompt, must occur in what the command
  printed, with ``...`` standing for anything; ``serve`` does not end by itself and is only asked whether it
  knows its options; ``make``, ``git`` and ``pip`` act on the reader's machine and are left alone;
- a block of any language with ``title="path"`` is that file, and is written before what follows;
- a page that names ``data/…`` needs the real data and skips with the reason where they are absent.
"""

from __future__ import annotations

import contextlib
import doctest
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.command import Done, call

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.M | re.S
)
LEFT_ALONE = {"make", "git", "pip", "python", "python3", "apt-get", "cd", "source", "xdg-open", "sudo"}
QUICK = {"cp", "mkdir", "ls", "cat", "head"}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced example and the line on which its first line stands."""

    language: str
    body: str
    line: int
    file: str = ""


def blocks(text: str) -> list[Block]:
    """Find the python and console examples of a page, in order."""
    found = []
    for match in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', match["info"])
        if title or match["language"] in ("python", "console"):
            body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
            line = text.count("\n", 0, match.start("body")) + 1
            found.append(Block(match["language"], body, line, title[1] if title else ""))
    return found


def commands(body: str) -> list[tuple[str, str]]:
    """Split a console block into commands and the output that the page shows below each."""
    found: list[list[str]] = []
    going_on = False
    for line in body.splitlines():
        if going_on:
            found[-1][0] += " " + line.strip()
        elif line.startswith("$ "):
            found.append([line[2:].strip(), ""])
        elif found:
            found[-1][1] += line + "\n"
        if found:
            going_on = found[-1][0].endswith("\\") and not found[-1][1]
            if going_on:
                found[-1][0] = found[-1][0][:-1].rstrip()
    return [(command, output.strip("\n")) for command, output in found]


def arguments_of(command: str, folder: Path) -> list[str]:
    """Split a command as a shell would: quotes, comments and file patterns, nothing else."""
    words = shlex.split(command, comments=True)
    found = []
    for word in words:
        matches = sorted(str(p.relative_to(folder)) for p in folder.glob(word)) if "*" in word else []
        found += matches or [word]
    return found


def run_console(block: Block, folder: Path, page: str) -> None:
    """Run the commands of a console block."""
    for command, expected in commands(block.body):
        assert not re.search(r"[|;&`<>]|\$\(", command), f"{page}: the shell syntax of `{command}` is not run"
        words = arguments_of(command, folder)
        if words[0] in LEFT_ALONE:
            continue
        if words[0] == "opsroom":
            if "serve" in words[1:2]:
                words = ["opsroom", "serve", "--help"]
            with contextlib.chdir(folder):
                done = call(*words[1:], NO_COLOR="1", COLUMNS="200")
        else:
            assert words[0] in QUICK, f"{page}: `{command}` is neither opsroom nor a simple command"
            made = subprocess.run(words, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            done = Done(made.returncode, made.stdout, made.stderr)
        where = f"{page}, line {block.line} on: `{command}`"
        assert done.code == 0, f"{where} ended with {done.code}:\n{done.out}\n{done.err}"
        if expected and "serve" not in command.split()[1:2]:
            printed = done.out + done.err
            for line in filter(None, map(str.strip, expected.splitlines())):
                pattern = r"\s+".join(".*".join(map(re.escape, w.split("..."))) for w in line.split())
                assert re.search(pattern, printed), f"{where} does not print {line!r} but:\n{printed}"


def run_python(block: Block, namespace: dict[str, object], page: str) -> None:
    """Execute a python block, or check its prompts."""
    if ">>>" in block.body:
        test = doctest.DocTestParser().get_doctest(block.body, namespace, page, page, block.line - 1)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
        said: list[str] = []
        failed = runner.run(test, out=said.append, clear_globs=False).failed
        namespace.update(test.globs)
        assert not failed, "".join(said)
    else:
        # Empty lines before the code make a traceback name the page's own line.
        exec(compile("\n" * (block.line - 1) + block.body, page, "exec"), namespace)  # noqa: S102 - running the page is the test


def write_file(block: Block, folder: Path) -> None:
    """Write the file that a block with a title shows."""
    file = folder / block.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.body, encoding="utf-8")


def pages() -> list[Path]:
    """Every page that may hold examples."""
    generated = ROOT / "docs" / "reference"
    found = [p for p in sorted((ROOT / "docs").rglob("*.md")) if generated not in p.parents]
    return [ROOT / "README.md", *found, *sorted((ROOT / "examples").rglob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_examples_run(page, tmp_path, monkeypatch, request):
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    runnable = [b for b in found if b.language == "python" or "$ opsroom" in b.body]
    if not runnable:
        return
    if any(re.search(r"(?<![\w/.-])data/\w", block.body) for block in found):
        (tmp_path / "data").symlink_to(request.getfixturevalue("shared_data"))
    if (ROOT / "examples").is_dir():
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    name = page.relative_to(ROOT).as_posix()
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in found:
        if block.file:
            write_file(block, tmp_path)
        elif block.language == "console":
            run_console(block, tmp_path, name)
        else:
            run_python(block, namespace, name)


PAGE = """\
# A page

```python
total = 1 + 1
```

1. step

    ```python
    >>> total
    2
    ```

```console
$ opsroom ingest load data/load.csv \\
    --room here
accepted 3
$ ls
```

```toml title="notes/a.toml"
a = 1
```
"""


def test_blocks_are_found_in_order_and_run(tmp_path):
    first, second, third, file = blocks(PAGE)
    write_file(file, tmp_path)
    assert (tmp_path / "notes" / "a.toml").read_text(encoding="utf-8") == "a = 1\n"
    assert (first.language, first.line, first.body) == ("python", 4, "total = 1 + 1\n")
    assert second.body == ">>> total\n2\n"
    namespace: dict[str, object] = {}
    run_python(first, namespace, "page")
    run_python(second, namespace, "page")
    assert commands(third.body) == [
        ("opsroom ingest load data/load.csv --room here", "accepted 3"),
        ("ls", ""),
    ]


def test_a_wrong_example_fails(tmp_path):
    with pytest.raises(AssertionError, match="Expected"):
        run_python(Block("python", ">>> 1 + 1\n3\n", 1), {}, "page")
    with pytest.raises(ZeroDivisionError):
        run_python(Block("python", "1 / 0\n", 1), {}, "page")
    with pytest.raises(AssertionError, match="does not print"):
        run_console(Block("console", "$ ls .\nnothing-like-this\n", 1), tmp_path, "page")
    with pytest.raises(AssertionError, match="neither"):
        run_console(Block("console", "$ rm -r .\n", 1), tmp_path, "page")
