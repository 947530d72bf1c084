"""The manual says what the code does: errors, names, contents, glossary, change log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools import mathml, pages

import opsroom
from opsroom.base import errors

ROOT = Path(__file__).resolve().parents[2]

NOUNS = """
vintage; as of; known at; recorded at; reference period; release; release day; cell; part; measure;
primary suppression; complementary suppression; enterprise group; enterprise; establishment; meter;
cohort; at work; capacity recovered; uncorrected index; coverage; illiquid; failed; jobs at risk;
decisive; windfall; futile; cliff; deferred; outlay; expected loss; contingent liability; forborne;
delinquent; performing; arrears; nowcast; first release; news; quarantine; delivery; tombstone; room;
desk; picture; face; ledger; head; stamp; steward; provider; gate; truth; resumption; frame; revision;
horizon; interval; decision record; briefing
"""


def glossary() -> set[str]:
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    return {term.lower() for term in re.findall(r"(?:^|\. )\*\*([^*]+)\*\*", text, re.MULTILINE)}


@pytest.mark.parametrize("noun", [" ".join(noun.split()) for noun in NOUNS.split(";")])
def test_glossary_fixes_the_noun(noun):
    assert noun in glossary()


def test_glossary_fixes_each_noun_once():
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    terms = re.findall(r"(?:^|\. )\*\*([^*]+)\*\*", text, re.MULTILINE)
    assert len(terms) == len({term.lower() for term in terms})


def test_every_error_code_is_documented():
    text = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    used = set()
    for path in (ROOT / "src" / "opsroom").rglob("*.py"):
        used |= set(re.findall(r"[\"'](OPS-[A-Z]\d{3})[\"']", path.read_text(encoding="utf-8")))
    assert used
    assert {code for code in used if f"`{code}`" not in text} == set()


def test_a_code_belongs_to_one_class():
    """A reader who sees OPS-D012 knows that it is about data."""
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.OpsroomError)]
    named = {c.__name__: c.default_code[4] for c in kinds if c not in (errors.OpsroomError, errors.UserError)}
    assert {kind: letter for letter, kind in pages.KINDS.items()} == named
    # A face may wrap a foreign error, such as the framework's own 404, in the root of the tree.
    wrong = [r for r in pages.raised() if r.kind not in (pages.KINDS.get(r.code[4]), "OpsroomError")]
    assert wrong == []


def test_exit_codes_tell_the_classes_apart():
    kinds = [c for c in errors.UserError.__subclasses__() if c is not errors.UsageError]
    codes = [c.exit_code for c in kinds]
    assert len(codes) == len(set(codes))
    assert all(code >= 10 for code in codes)


def test_error_text_has_code_message_and_remedy():
    error = errors.DataError("meters.csv, row 3: field wh is not a number.", remedy="Mend it.", code="OPS-D003")
    assert str(error) == "OPS-D003: meters.csv, row 3: field wh is not a number. Mend it."
    assert str(errors.StoreError("disk full.")) == "OPS-F001: disk full."


def test_change_log_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## Unreleased\n" in text


def test_names_page_lists_all():
    text = (ROOT / "docs" / "reference" / "names.md").read_text(encoding="utf-8")
    for name in opsroom.__all__:
        assert name.startswith("_") or f"`opsroom.{name}`" in text


def test_messages_are_read_from_tables_and_through_functions(tmp_path):
    (tmp_path / "rules.py").write_text(
        'TABLE = (("OPS-D041", "columns are missing", "Deliver them."),)\n'
        'def _fail(where: str, rule: str, remedy: str, code: str = "OPS-S041") -> SpecError:\n'
        "    return SpecError(where + rule, remedy=remedy, code=code)\n"
        'raise _fail(place, "no key.", "Add one.")\n'
        'answer(422, "OPS-U041", "UsageError", words, "Mend it.")\n',
        encoding="utf-8",
    )
    assert pages.raised(tmp_path) == [
        pages.Raised("OPS-D041", "DataError", "opsroom.rules", "columns are missing", "Deliver them."),
        pages.Raised("OPS-S041", "SpecError", "opsroom.rules", "{place}: no key.", "Add one."),
        pages.Raised("OPS-U041", "UsageError", "opsroom.rules", "{words}", "Mend it."),
    ]


def test_messages_are_read_from_the_source(tmp_path):
    source = tmp_path / "opsroom"
    source.mkdir()
    (source / "loader.py").write_text(
        'raise DataError(f"{path.name}, row {row}: " "bad.", remedy="Mend " + word, code="OPS-D042")\n',
        encoding="utf-8",
    )
    assert pages.raised(source) == [
        pages.Raised("OPS-D042", "DataError", "opsroom.loader", "{path.name}, row {row}: bad.", "Mend {word}")
    ]


def test_contents_list_every_page_once():
    text = pages.nav(["index.md", "howto/a.md", "reference/errors.md", "reference/base.md", "extra.md"])
    listed = re.findall(r"- (\S+\.md)$", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert listed.index("reference/errors.md") < listed.index("reference/base.md")
    assert {"howto/a.md", "extra.md", "changelog.md"} <= set(listed)


def test_formulas_become_mathml():
    page = '<p><span class="arithmatex">\\(a &lt; b_i\\)</span></p><div class="arithmatex">\\[\nx^2\n\\]</div>'
    found = mathml.convert(page)
    assert found.count("<math") == 2
    assert "&lt;" in found or "&#x0003C;" in found
    assert "arithmatex" not in found
