"""The `opsroom budget` commands: what differentially private tables of a dataset may cost, and did."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, emit_table, say

budget = App(name="budget", help="Privacy budgets of datasets: open, show.")


@budget.command(name="open")
def budget_open(name: str, /, *, epsilon: str, room: RoomPath = Path(), json: Json = False) -> None:
    """Open the privacy budget of a dataset, once and for all.

    Parameters
    ----------
    name
        Name of the dataset.
    epsilon
        What all differentially private tables of the dataset may cost together.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.perturbing import open_budget

    with open_room(room) as opened:
        account = open_budget(opened, name, epsilon)
    if json:
        emit_json({"dataset": name, "total": str(account.total)})
    else:
        say(f"{name} has a privacy budget of epsilon {account.total}; it cannot be changed.")


@budget.command(name="show")
def budget_show(name: str, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Show what was spent of a dataset's privacy budget, by whom and what for.

    Parameters
    ----------
    name
        Name of the dataset.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        opened.guard.require("query")
        account, entries = opened.budgets.account(name), opened.budgets.spendings(name)
    columns = ("at", "actor", "epsilon", "purpose")
    rows = [(one.at, one.actor, str(one.epsilon), one.purpose) for one in entries]
    if json:
        facts = {"dataset": name, "total": str(account.total), "spent": str(account.spent), "left": str(account.left)}
        emit_json(facts | {"entries": [dict(zip(columns, row, strict=True)) for row in rows]})
        return
    emit_table(columns, rows)
    say(f"Spent {account.spent} of {account.total}; {account.left} is left.")
