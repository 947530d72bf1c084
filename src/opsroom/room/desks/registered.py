"""What the register says of the units that another dataset names: legal form, owner, section. Shared by desks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsroom.room.standard import numbers_of, standard_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from opsroom.room.desk import View


def registered(view: View, register: str, unit: pd.Series[Any], fields: Sequence[str]) -> pd.DataFrame:
    """Return legal form, group and what else is asked for of each unit; missing where the register does not know it.

    Parameters
    ----------
    view
        What the room knew.
    register
        The dataset, in the methods' own layout or the built-in one.
    unit
        Ids of enterprises, as the other dataset has them.
    fields
        Fields of the register besides ``legal_form`` and ``group_id``.
    """
    import pandas as pd

    view, names = standard_view(view, {"register": register}, {"register": "register"})
    wanted = list(dict.fromkeys(["legal_form", "group_id", *fields]))
    there = [field for field in wanted if field != "group_id" or field in view.fields(names["register"])]
    entries = view.frame(names["register"], ["enterprise_id", "valid_from", *there])
    entries = entries[entries["valid_from"] <= pd.Timestamp(view.day)]  # what is announced does not hold yet
    newest = entries.sort_values("valid_from").drop_duplicates("enterprise_id", keep="last").set_index("enterprise_id")
    keys = unit if names["register"] == register else numbers_of(unit)
    return newest.reindex(index=keys, columns=wanted).set_axis(unit.index)


def owners(told: pd.DataFrame, unit: pd.Series[Any]) -> pd.Series[str]:
    """Return who counts as contributor: companies under one control are one, who is not known is one alone."""
    alone = "unit " + unit.astype("str")
    found: pd.Series[str] = ("group " + told["group_id"].astype("str")).where(told["group_id"].notna(), alone)
    return found
