"""Desk `contagion`: what lenders and suppliers would lose if the companies that cannot pay now failed.

Settings: dataset names ``register``, ``loans``, ``accounts``, and, where there are any, ``purchases`` (who buys from
whom in a year) and ``lenders`` (capital, assets, what they lend each other); ``late_days`` (90), ``short_days`` (30);
``collateral``, ``unsecured``, ``payment_days``, ``pass_through`` (each mild, middle, severe), ``density``; ``seed``;
``groups`` (``"A3"`` or ``"A10"``: groups of sections, too, in rooms where most sections are withheld).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import DataError, SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, settings_of
from opsroom.room.desks.unchanged import Mark
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.warn.contagion.what_if import Assumptions

RECENT, LONG = 150, 800
"""Days back within which the newest months of loans and accounts lie; accounts that come once a year lie further."""
CARRIED = (5, 8)
"""Months before the newest accounts between which those of half a year before lie."""


class ContagionDesk:
    """Follow the losses of failing companies."""

    cadences: Mapping[str, Cadence] = {
        "contagion.section": "monthly", "contagion.lenders": "monthly",
    }  # fmt: skip

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return losses by section, of all lenders, and how many lenders lose how much."""
        tables = {n: str(settings.require(n)) for n in ("register", "loans", "accounts")}
        tables |= {n: str(settings.get(n)) for n in ("purchases", "lenders") if settings.get(n)}
        view, names = standard_view(view, tables, {n: n for n in ("register", "loans", "accounts")})
        if missing := missing_tables(view, {n: names[n] for n in ("register", "loans", "accounts")}):
            return DeskOutcome(None, note=missing)
        place = f"contagion.last.{settings.name}"
        month = view.day.replace(day=1)
        kept: tuple[DeskSettings, dt.date, Mark, DeskOutcome] | None = view.memory.get(place)
        # who has ended, and which months are recent, the day itself decides: a result stands for a month at most
        whole = kept is not None and (view.ahead or kept[3].result is not None or bool(kept[3].note))
        if kept is not None and whole and kept[:2] == (settings, month) and kept[2].holds(view):
            return kept[3]
        mark = Mark.of(view, names.values())
        try:
            found = _study(view, settings, names, month)
        except DataError as error:
            found = DeskOutcome(None, note=f"no study could be made ({error.code})")
        # run ahead, a desk hands on its cells alone: what is behind them need not stay in memory
        view.memory[place] = settings, month, mark, replace(found, result=None) if view.ahead else found
        return found


def _study(view: View, settings: DeskSettings, names: Mapping[str, str], month: dt.date) -> DeskOutcome:
    from opsroom.warn.contagion import standing as s
    from opsroom.warn.contagion.what_if import stress
    from opsroom.warn.loan_states import LATE_DAYS

    register = [*s.REGISTER, *(c for c in ("valid_to", "died") if c in view.fields(names["register"]))]
    optional = {
        name: view.frame(names[name], list(columns)) if name in names and view.has(names[name]) else None
        for name, columns in (("purchases", s.PURCHASES), ("lenders", s.LENDERS))
    }
    accounts = _recent(view, names["accounts"], s.ACCOUNTS)
    standing = s.standing_of(
        view.frame(names["register"], register),
        _recent(view, names["loans"], s.LOANS),
        accounts,
        as_of=month,
        earlier=_before(view, names["accounts"], s.ACCOUNTS, accounts),
        purchases=optional["purchases"],
        lenders=optional["lenders"],
        late_days=int(settings.get("late_days", LATE_DAYS)),
        short_days=int(settings.get("short_days", s.SHORT_DAYS)),
    )
    found = stress(standing, _assumptions(settings), seed=int(settings.get("seed", 0)))
    cells = found.cells(groups=_level(settings))
    return DeskOutcome(found, tuple(cells), note="" if cells else "too few companies fail for a figure")


def _recent(view: View, dataset: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the newest months of a table, however far back they lie."""
    found = view.frame(dataset, list(columns), period_from=_first(view, RECENT))
    return view.frame(dataset, list(columns), period_from=_first(view, LONG)) if found.empty else found


def _before(view: View, dataset: str, columns: tuple[str, ...], accounts: pd.DataFrame) -> pd.DataFrame:
    """Return the accounts of half a year before the newest; none where they come once a year."""
    import pandas as pd

    newest = accounts["month"].max()
    first, last = (newest - pd.DateOffset(months=m) for m in CARRIED[::-1])
    rows = view.arrow(dataset, list(columns), period_from=first.date(), period_to=last.date())
    found: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return found


def _first(view: View, days: int) -> dt.date:
    return (view.day - dt.timedelta(days=days)).replace(day=1)


def _level(settings: DeskSettings) -> str:
    """Return at which level sections are also grouped; empty where they are not.

    Raises
    ------
    SettingsError
        There is no such level.
    """
    from opsroom.base.codes import NACE_GROUPS

    level = settings.get("groups", "")
    if level != "" and level not in NACE_GROUPS:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: groups is no level of NACE sections.",
            remedy=f"Write one of {', '.join(NACE_GROUPS)}, or leave it out.",
            code="OPS-C006",
        )
    return str(level)


def _assumptions(settings: DeskSettings) -> Assumptions:
    """Return what the room's settings assume.

    Raises
    ------
    SettingsError
        A range that is none.
    """
    from opsroom.warn.contagion.what_if import Assumptions

    given: dict[str, Any] = {}
    for name in ("collateral", "unsecured", "payment_days", "pass_through"):
        value = settings.get(name)
        if value is not None:
            number = isinstance(value, list) and len(value) == 3 and all(type(x) in (int, float) for x in value)
            if not number:
                raise SettingsError(
                    f"room.toml: desk {settings.name!r}: {name} is not three numbers.",
                    remedy=f"Write {name} = [mild, middle, severe].",
                    code="OPS-C006",
                )
            given[name] = tuple(float(x) for x in value)
    if settings.get("density") is not None:
        given["density"] = float(settings.get("density"))
    with settings_of(settings):
        return Assumptions(**given)


DESK = ContagionDesk()
