"""What may leave: rules, suppression, the gate, the ledger of releases, the audit log.

Nothing confidential gets out of a room but through `opsroom.protect.gate.release`.
See ``docs/explanation/disclosure.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.protect.audit import AuditLog as AuditLog
    from opsroom.protect.contributions import Derived as Derived
    from opsroom.protect.contributions import Limits as Limits
    from opsroom.protect.ledger import Ledger as Ledger
    from opsroom.protect.reader import Releases as Releases
    from opsroom.protect.release import Release as Release
    from opsroom.protect.rules import Rules as Rules
    from opsroom.protect.table import ProtectedTable as ProtectedTable
    from opsroom.protect.table import protect_table as protect_table

__all__ = ["AuditLog", "Derived", "Ledger", "Limits", "ProtectedTable", "Release", "Releases", "Rules", "protect_table"]

_HOMES = {
    "AuditLog": "opsroom.protect.audit",
    "Derived": "opsroom.protect.contributions",
    "Ledger": "opsroom.protect.ledger",
    "Limits": "opsroom.protect.contributions",
    "Release": "opsroom.protect.release",
    "Releases": "opsroom.protect.reader",
    "ProtectedTable": "opsroom.protect.table",
    "Rules": "opsroom.protect.rules",
    "protect_table": "opsroom.protect.table",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
