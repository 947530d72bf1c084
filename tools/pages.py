"""Write the pages that follow from the code: the reference, the error list, the manual's contents.

``python -m tools.pages`` writes them; with ``--check`` it writes nothing and fails where one is stale.
A page for each package lists its public modules, so that a new module is in the manual the day it lands.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "opsroom"
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

PACKAGES = {
    "base": "Errors, dataset specifications, results, charts: what every other package stands on.",
    "protect": "What may leave: rules, suppression, the gate, the ledger, stored releases.",
    "observe": "What came in: the bitemporal store, checks on arrival, quarantine.",
    "measure": "What is going on: work resumption, activity, composite index, flows, nowcast, late reports, season.",
    "warn": "What may go wrong: delinquency, credit booms, exuberance, contagion; the record of such warnings.",
    "decide": "What can be done: relief on company microdata, input-output tables, allocation, how shocks travel.",
    "evaluate": "Were we right: scores of estimates and decisions.",
    "economy": "Meridia, the synthetic economy with known truth.",
    "room": "The room: the one object with state, its desks, its calendar and its publishing.",
    "faces": "Command line, web room, API and briefing: they read stored releases only.",
}

SECTIONS = (
    ("Tutorials", "tutorials"),
    ("How to", "howto"),
    ("Methods", "methods"),
    ("Explanation", "explanation"),
    ("Reference", "reference"),
    ("Decisions", "decisions"),
)
"""Titles and folders of the manual's sections, in reading order."""

NAV_BEGIN = "# nav: written by tools/pages.py"


def title(page: Path) -> str:
    """Return the first heading of a page."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    raise SystemExit(f"{page.relative_to(ROOT)} has no heading.")


def modules(package: str) -> list[str]:
    """List the public modules of a package as dotted names, in order of their path."""
    names = []
    for path in sorted((SOURCE / package).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(("opsroom", *parts)))
    return names


def package_page(package: str) -> str:
    """Return the reference page of a package."""
    lines = [f"# opsroom.{package}", "", PACKAGES[package], ""]
    for name in modules(package):
        lines += [f"::: {name}", "    options:", "      heading_level: 2", ""]
    return "\n".join(lines).rstrip() + "\n"


def python_page(names: list[str]) -> str:
    """Return the page that lists the names importable from `opsroom` itself."""
    lines = ["# Names in `opsroom`", ""]
    lines += ["These can be had from `opsroom` directly; each is loaded at first use.", ""]
    lines += [f"- `opsroom.{name}`" for name in names]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Raised:
    """One error code as the code raises it."""

    code: str
    kind: str
    module: str
    message: str
    remedy: str


KINDS = {
    "U": "UsageError",
    "C": "SettingsError",
    "S": "SpecError",
    "D": "DataError",
    "T": "AsOfError",
    "N": "NotFoundError",
    "A": "AccessError",
    "P": "DisclosureError",
    "L": "LedgerConflictError",
    "M": "FitError",
    "F": "StoreError",
    "I": "InternalError",
}
"""The letter of a code and its class; a test holds it against `opsroom.base.errors`."""


def text_of(node: ast.expr | None) -> str:
    """Return a string expression as words, with the name of each value put in as ``{name}``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            "{" + ast.unparse(part.value) + "}" if isinstance(part, ast.FormattedValue) else text_of(part)
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return "" if node is None else "{" + ast.unparse(node) + "}"


def raised(source: Path = SOURCE) -> list[Raised]:
    """Find every error code with its words, in order of code and module.

    A code is found where an error is built with ``code="OPS-…"``, directly or through a function that returns
    an error, and in tables of ``("OPS-…", message, remedy)``, the code first or last.
    """
    found, loose = [], []
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    shared = {
        node.name: node
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns).endswith("Error")
    }
    for path, tree in trees.items():
        if not any(word in texts[path] for word in ("OPS-", *shared)):
            continue
        parts = path.relative_to(source).with_suffix("").parts
        module = ".".join(("opsroom", *parts)).removesuffix(".__init__")
        nodes = list(ast.walk(tree))
        own = {n.name: n for n in nodes if isinstance(n, ast.FunctionDef) and n.returns is not None}
        helpers = shared | own
        for node in nodes:
            if isinstance(node, ast.Call):
                item = _from_call(node, module, helpers)
                loose += _from_arguments(node, module)
            elif isinstance(node, ast.Tuple):
                item = _from_table(node, module)
            else:
                continue
            found += [item] if item else []
    known = {item.code for item in found}
    return sorted({*found, *(item for item in loose if item.code not in known)}, key=astuple)


def _from_call(node: ast.Call, module: str, helpers: dict[str, ast.FunctionDef]) -> Raised | None:
    func = node.func
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    given = {k.arg: k.value for k in node.keywords if k.arg}
    if name in helpers:
        arguments = helpers[name].args
        names = [a.arg for a in arguments.args]
        defaults = dict(zip(reversed(names), reversed(arguments.defaults), strict=False))
        given = defaults | dict(zip(names, node.args, strict=False)) | given
        name = ast.unparse(helpers[name].returns or ast.Constant(""))
    elif node.args:
        given["message"] = node.args[0]
    code = given.get("code")
    if not (isinstance(code, ast.Constant) and str(code.value).startswith("OPS-") and name.endswith("Error")):
        return None
    words = [text_of(given[key]) for key in ("where", "message", "rule") if key in given]
    return Raised(str(code.value), name, module, ": ".join(words), text_of(given.get("remedy")))


def _from_arguments(node: ast.Call, module: str) -> list[Raised]:
    """Read a call that is handed a code and then its words, such as one that writes an API's answer."""
    # Most calls have no text among their arguments: to write out those of all takes seconds.
    if not any(isinstance(argument, ast.Constant | ast.JoinedStr | ast.BinOp) for argument in node.args):
        return []
    words = [text_of(argument) for argument in node.args]
    places = [k for k, word in enumerate(words) if word.startswith("OPS-")]
    if not places:
        return []
    code, rest = words[places[0]], [w for w in words[places[0] + 1 :] if w not in KINDS.values()]
    return [Raised(code, KINDS.get(code[4], ""), module, *[*rest, "", ""][:2])]


def _from_table(node: ast.Tuple, module: str) -> Raised | None:
    words = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
    codes = [word for word in words if word.startswith("OPS-")]
    rest = [word for word in words if not word.startswith("OPS-")]
    if len(words) != len(node.elts) or len(codes) != 1 or not rest:
        return None
    return Raised(codes[0], KINDS.get(codes[0][4], ""), module, rest[0], rest[1] if len(rest) > 1 else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def errors_page() -> str:
    """Return the page of errors: the classes with exit code and HTTP status, then every code raised."""
    from opsroom.base import errors

    lines = [
        "# Errors",
        "",
        "Every error has a code, says where (file, row, field) and which rule, and what to do. It never "
        "holds a value of microdata. On the command line the class decides the exit code, in the API the "
        "HTTP status.",
        "",
        "## Classes",
        "",
        "| class | default code | exit code | HTTP status | meaning |",
        "|---|---|---|---|---|",
    ]
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.OpsroomError)]
    for kind in classes:
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        numbers = f"`{kind.default_code}` | {kind.exit_code} | {kind.http_status}"
        lines.append(f"| `{kind.__name__}` | {numbers} | {_cell(meaning)} |")
    lines += [
        "",
        "## Codes",
        "",
        "`{…}` stands for the name of a file, row number, field, dataset or setting.",
        "",
        "| code | class | message | what to do | raised by |",
        "|---|---|---|---|---|",
    ]
    for item in raised():
        cells = (_cell(item.message), _cell(item.remedy) or "—")
        lines.append(f"| `{item.code}` | `{item.kind}` | {cells[0]} | {cells[1]} | `{item.module}` |")
    return "\n".join(lines) + "\n"


def reference_index() -> str:
    """Return the reference's first page."""
    lines = ["# Reference", "", "From the code's own words: one page a package, in order of the layers.", ""]
    lines += [f"- [opsroom.{name}]({name}.md): {words}" for name, words in PACKAGES.items()]
    lines += [
        "- [Names in `opsroom`](names.md)",
        "- [Errors](errors.md): every code, its remedy, its exit code",
    ]
    return "\n".join(lines) + "\n"


def nav(pages: list[str]) -> str:
    """Return the manual's table of contents as YAML.

    Parameters
    ----------
    pages
        Paths of all pages, relative to ``docs``; those of a section are ordered by path, the
        reference by layer.
    """
    order = {f"reference/{name}.md": k for k, name in enumerate(("index", "names", "errors", *PACKAGES), -99)}
    order["decisions/index.md"] = order["methods/index.md"] = order["howto/install.md"] = -1
    order["tutorials/first-room.md"] = -1
    lines = [
        f"{NAV_BEGIN}; `make docs` renews it.",
        "nav:",
        "  - index.md",
        "  - design.md",
        "  - glossary.md",
    ]
    top = {"index.md", "design.md", "glossary.md", "changelog.md"}
    listed = set(top)
    for heading, folder in SECTIONS:
        mine = sorted((p for p in pages if p.startswith(f"{folder}/")), key=lambda p: (order.get(p, 0), p))
        if mine:
            lines += [f"  - {heading}:", *(f"      - {page}" for page in mine)]
            listed.update(mine)
    lines += [f"  - {page}" for page in sorted(set(pages) - listed)]
    return "\n".join([*lines, "  - changelog.md"]) + "\n"


def generated() -> dict[Path, str]:
    """Return every generated file with its text."""
    names_file = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    names: list[str] = next(
        ast.literal_eval(node.value)
        for node in names_file.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    files = {REFERENCE / f"{package}.md": package_page(package) for package in PACKAGES}
    files[REFERENCE / "names.md"] = python_page([name for name in names if not name.startswith("_")])
    files[REFERENCE / "errors.md"] = errors_page()
    files[REFERENCE / "index.md"] = reference_index()
    existing = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}
    pages = sorted(existing | {p.relative_to(DOCS).as_posix() for p in files})
    config = ROOT / "mkdocs.yml"
    head = config.read_text(encoding="utf-8").split(NAV_BEGIN)[0]
    files[config] = head + nav(pages)
    return files


def stale() -> list[Path]:
    """List the generated files whose text on disk is not what the code says."""
    return [p for p, text in generated().items() if not p.exists() or p.read_text(encoding="utf-8") != text]


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    old = stale()
    if "--check" in arguments:
        for path in old:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale: run `make docs`.\n")
        return 1 if old else 0
    files = generated()
    for path in old:
        path.write_text(files[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
