"""Turn the manual's formulas into MathML when it is built, so that pages need no script to show them.

A hook of MkDocs. `pymdownx.arithmatex` marks ``$…$`` and ``$$…$$``; every browser draws MathML by itself.
"""

from __future__ import annotations

import html
import re
from typing import Any

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def convert(page: str) -> str:
    """Replace each formula that is marked in a page's HTML by MathML."""
    from latex2mathml.converter import convert as to_mathml

    def mathml(match: re.Match[str]) -> str:
        display = "block" if match["open"] == "[" else "inline"
        return str(to_mathml(html.unescape(match["tex"]).strip(), display=display))

    return _FORMULA.sub(mathml, page)


def on_page_content(content: str, /, **_: Any) -> str:  # MkDocs also passes page, config and files
    """Convert the formulas of one page; MkDocs calls this."""
    return convert(content)
