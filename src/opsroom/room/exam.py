"""The planner's exam on Meridia: its published input-output table, made into an economy that can sit it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from opsroom.base.codes import SECTION_OF_DIVISION
from opsroom.base.errors import DataError
from opsroom.decide.exam.examining import SEEDS, exam
from opsroom.decide.exam.result import ExamResult
from opsroom.decide.exam.structure import Economy, economy
from opsroom.room.sections import by_section

COMPANIES = 5_000
FINAL = ("P3", "P51", "P6")
"""Final uses in the table: consumption, investment, exports."""
LEFT_OUT = ("T", "U")
"""Households as employers and bodies of other countries: no part in production."""
PRIORITIES = ("A", "D", "E", "Q")
"""Sections whose final use counts as a need: food, power, water, health."""
ELASTICITY = {"A": 0.3, "D": 0.3, "E": 0.2, "K": 0.4, "O": 0.2, "P": 0.3, "Q": 0.2, "I": 0.9, "R": 0.9}
"""Of final use to price by section: needs little, outings much; others `USUAL`. Assumed, not estimated."""
USUAL = 0.5


def exam_economy(table: pd.DataFrame) -> Economy:
    """Return the economy of a published input-output table, by section.

    Parameters
    ----------
    table
        Meridia's dataset ``io_table`` as a frame: supplier and user (divisions, or final uses), amount of a year.

    Raises
    ------
    DataError
        Codes that are no divisions.
    """
    divisions = set(SECTION_OF_DIVISION)
    if not set(table["supplier"]) <= divisions or not set(table["user"]) <= divisions | set(FINAL):
        raise DataError("the table has suppliers or users that are no divisions.", remedy="Give divisions of NACE.")
    wide = by_section(table["supplier"], table["user"], table["amount"], final=FINAL)
    final = wide[list(FINAL)].sum(axis="columns").drop(list(LEFT_OUT), errors="ignore")
    sections = final.index
    flows = wide.loc[sections, list(sections)]
    return economy(
        flows,
        final,
        elasticity=pd.Series({s: ELASTICITY.get(s, USUAL) for s in sections}),
        priority=pd.Series({s: float(s in PRIORITIES) for s in sections}),
    )


def meridia_economy(companies: int = COMPANIES, *, seed: int = 0) -> Economy:
    """Return Meridia as an economy that can sit the exam.

    Parameters
    ----------
    companies, seed
        Size and draw of Meridia; see `opsroom.economy.meridia`.
    """
    from opsroom.economy import meridia

    return exam_economy(meridia(companies, seed=seed).workshop.network.io_table().to_pandas())


def meridia_exam(
    companies: int = COMPANIES,
    *,
    seed: int = 0,
    seeds: int = SEEDS,
    progress: Callable[[int, int], None] | None = None,
) -> ExamResult:
    """Return the exam on Meridia, all of its defaults as in `opsroom.decide.exam.exam`.

    Parameters
    ----------
    companies, seed
        Size and draw of Meridia.
    seeds
        Draws of shocks.
    progress
        Told how many seeds are done, of how many.
    """
    return exam(meridia_economy(companies, seed=seed), seeds=seeds, progress=progress)
