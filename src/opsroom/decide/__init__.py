"""What can be done, for whom, at whose expense: instruments compared with doing nothing.

One instrument is a folder or file of its own: ``from opsroom.decide.relief import relief, Holiday``; who needs whom:
``from opsroom.decide import InputOutput``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.input_output.table import InputOutput

__all__ = ["InputOutput"]

__getattr__, __dir__ = lazily(__name__, {"InputOutput": ".input_output.table"})
