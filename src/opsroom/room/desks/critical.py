"""Desk `critical`: of which sections' companies one failure would cost the economy most, never which company.

Settings: ``links`` (dataset: ``supplier_id``, ``customer_id``, ``year``, ``amount``), ``register``; ``essential``
(sections without whose product no company can work; inputs from others can be done without, in part); ``threshold``
(share of output lost from which a company counts as critical, default 0.01); ``largest`` (how many companies, those
with the most sales and purchases in the network, are let fail one by one; absent: all. They take time as the square of
their number).

Each company's index is confidential and stays here: what goes to the gate are means and shares by section. Sole traders
are part of the network, but no company that is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of

if TYPE_CHECKING:
    import pandas as pd

LINKS = ("supplier_id", "customer_id", "year", "amount")
REGISTER = ("enterprise_id", "valid_from", "group_id", "section", "legal_form")
ESSENTIAL, OTHER = 1.0, 0.5


class CriticalDesk:
    """Let companies fail one by one, and say by section what that would cost."""

    cadences: Mapping[str, Cadence] = {"propagation.esri": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``propagation.esri``: mean loss by one company's failure, and share of critical companies."""
        from opsroom.decide.propagation import esri

        essential, threshold, largest = _asked(settings)
        links, register = str(settings.require("links")), str(settings.require("register"))
        if nothing := nothing_known_of(view, links, register):
            return nothing
        sales, year = _sales(view.frame(links, list(LINKS)))
        companies = _companies(view.frame(register, list(REGISTER)), view)
        sales = sales[sales["supplier"].isin(companies.index) & sales["buyer"].isin(companies.index)]
        if sales.empty:
            return DeskOutcome(None, note="no sales between registered companies")
        size = sales.groupby("supplier")["weight"].sum().add(sales.groupby("buyer")["weight"].sum(), fill_value=0.0)
        counted = size.index[~companies["legal_form"].reindex(size.index).isin(NATURAL_FORMS)]
        ranked = size[counted].sort_values(ascending=False, kind="stable").index[:largest]
        sector = companies.loc[size.index, "section"]
        found = esri(sales, sector, essential=_needs(sector, essential), firms=list(ranked))
        (cells,) = found.cells(companies["group_id"], critical=threshold)
        facts = {**cells.facts, "year": year, "looked_at": "all" if largest is None else "largest"}
        return DeskOutcome(found, (replace(cells, facts=facts),))


def _asked(settings: DeskSettings) -> tuple[list[str], float, int | None]:
    """Return essential sections, the threshold and how many companies are looked at.

    Raises
    ------
    SettingsError
        Naming the setting that makes no sense.
    """
    essential = settings.require("essential")
    threshold, largest = settings.get("threshold", 0.01), settings.get("largest")
    where = f"room.toml: desk {settings.name!r}"
    if not isinstance(essential, list) or not all(isinstance(code, str) for code in essential):
        raise SettingsError(
            f"{where}: 'essential' is no list of sections.", remedy='Write essential = ["D", "E"].', code="OPS-C004"
        )
    if not isinstance(threshold, float) or not 0.0 < threshold < 1.0:
        raise SettingsError(
            f"{where}: 'threshold' is no share between 0 and 1.", remedy="Write threshold = 0.01.", code="OPS-C004"
        )
    if largest is not None and (type(largest) is not int or largest < 1):
        raise SettingsError(f"{where}: 'largest' is no number of companies.", remedy="Leave it out.", code="OPS-C004")
    return list(essential), threshold, largest


def _sales(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return last known year's sales from company to company, and the year."""
    import pandas as pd

    year = pd.DatetimeIndex(pd.to_datetime(frame["year"])).year
    newest = int(year.max())
    mine = frame[np.asarray(year == newest)]
    mine = mine[(mine["amount"] > 0) & (mine["supplier_id"] != mine["customer_id"])]
    named = mine.rename(columns={"supplier_id": "supplier", "customer_id": "buyer", "amount": "weight"})
    return named.groupby(["supplier", "buyer"])["weight"].sum().astype(float).reset_index(), newest


def _companies(frame: pd.DataFrame, view: View) -> pd.DataFrame:
    """Return each company's last entry in the register by the day; one without a group is a group of its own."""
    import pandas as pd

    known = frame[pd.to_datetime(frame["valid_from"]) <= pd.Timestamp(view.day)].sort_values("valid_from")
    known = known.drop_duplicates("enterprise_id", keep="last").dropna(subset=["section"]).set_index("enterprise_id")
    own = pd.Series(known.index.astype(str), index=known.index)
    return known.assign(group_id=known["group_id"].astype(object).where(known["group_id"].notna(), own).astype(str))


def _needs(sector: pd.Series, essential: list[str]) -> pd.DataFrame:
    """Return how much each section needs each other's product."""
    import pandas as pd

    names = sorted(set(sector.astype(str)))
    rows = np.where(np.isin(names, essential), ESSENTIAL, OTHER)
    return pd.DataFrame(np.repeat(rows[:, None], len(names), axis=1), index=names, columns=names)


DESK = CriticalDesk()
