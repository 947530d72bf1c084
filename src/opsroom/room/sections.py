"""An input-output table by section, of one by division: for whatever in the room plans on the economy as a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from opsroom.base.codes import SECTION_OF_DIVISION

if TYPE_CHECKING:
    import pandas as pd


def by_section(supplier: pd.Series, user: pd.Series, amount: pd.Series, *, final: Collection[str]) -> pd.DataFrame:
    """Add a table of divisions up to sections of NACE.

    Parameters
    ----------
    supplier, user, amount
        Who sells to whom, and for how much, one row a flow. Codes that are no divisions stay as they are.
    final
        Users that are final uses.

    Returns
    -------
    pandas.DataFrame
        Sections x sections and final uses, each of which has its column; sorted, 0 where nothing is sold.
    """
    to = user.where(user.isin(list(final)), user.map(section))
    wide = amount.astype(float).groupby([supplier.map(section), to]).sum().unstack(fill_value=0)
    sections = sorted(set(wide.index) | (set(wide.columns) - set(final)))
    return wide.reindex(index=sections, columns=[*sections, *final], fill_value=0.0)


def section(code: str) -> str:
    """Return the section of a division; any other code as it is."""
    return SECTION_OF_DIVISION.get(code, code)
