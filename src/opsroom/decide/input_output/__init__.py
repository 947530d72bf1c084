"""Input-output analysis: who needs whom, sparse and iterative, with what is left over printed.

>>> from opsroom.decide.input_output import InputOutput, balance, symmetric
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.input_output.balancing import Balanced, balance
    from opsroom.decide.input_output.companies import Reconciled, sector_table, to_companies
    from opsroom.decide.input_output.make_use import requirements, symmetric
    from opsroom.decide.input_output.shocks import decomposition, inoperability, recovery, supply_constrained
    from opsroom.decide.input_output.table import InputOutput

_HOMES = {
    "Balanced": ".balancing",
    "InputOutput": ".table",
    "Reconciled": ".companies",
    "balance": ".balancing",
    "decomposition": ".shocks",
    "inoperability": ".shocks",
    "recovery": ".shocks",
    "requirements": ".make_use",
    "sector_table": ".companies",
    "supply_constrained": ".shocks",
    "symmetric": ".make_use",
    "to_companies": ".companies",
}

__all__ = [
    "Balanced",
    "InputOutput",
    "Reconciled",
    "balance",
    "decomposition",
    "inoperability",
    "recovery",
    "requirements",
    "sector_table",
    "supply_constrained",
    "symmetric",
    "to_companies",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
