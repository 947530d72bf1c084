"""Cells of a relief study: what of it may be shown, with what the gate must know.

Nationally: the path by month, classes and money. By section, over the whole horizon only: for doing nothing,
who runs out; for each other option, the classes and sums deferred. The number that runs out under an option
is not given by section, because together with that without action it would give the decisive even where
these are withheld.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.cells import Cube, parts_from_panel, parts_from_units
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.decide.relief.result import MONEY
from opsroom.decide.relief.tally import CLASSES

if TYPE_CHECKING:
    from opsroom.decide.relief.result import ReliefResult

WHOLE = "all"
"""Code of the whole horizon in the month dimension."""

_RISK = ("illiquid", "jobs_illiquid")
_LOSSES = tuple(m for m in MONEY if m.startswith("expected_loss"))


def option_cells(
    result: ReliefResult,
    *,
    deadline: dict[str, object] | None = None,
    currency: str = "MER",
    minor: int = 100,
) -> Cells:
    """Return the cells of ``relief.options``.

    Parameters
    ----------
    result
        The study.
    deadline
        Facts on the last date, from `DeadlineResult.fact`.
    currency, minor
        Code of the currency, and how many minor units make one.

    Returns
    -------
    Cells
        Dimensions reference (day of the study), option, month (``"all"``: the whole horizon), section.
    """
    cube = Cube(result.firms, ["section"], "group_id")
    frames = [f for row in range(len(result.basis.options)) for f in (_path(result, row), _whole(result, row, cube))]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.merge(_bounds(result, minor), on=["option", "month", "section"], how="left")
    # a study of another day is another forecast, not a revision of this one
    day = pd.DataFrame({"reference": result.as_of.isoformat()}, index=frame.index)
    frame = pd.concat([day, frame], axis=1)
    # the whole horizon is no sum over months: its code must not be that of a total
    frame["month"] = frame["month"].replace(TOTAL, WHOLE)
    parts = [Part("illiquid", "companies"), Part("jobs_illiquid", "jobs")]
    measures = [
        Measure("illiquid_companies", "count", "companies", ("illiquid",), 0, attached=_pair("illiquid_companies")),
        Measure("jobs_at_risk", "sum", "jobs", ("jobs_illiquid",), 0, attached=_pair("jobs_at_risk")),
    ]
    for kind in CLASSES:
        parts += [Part(f"n_{kind}", "companies"), Part(f"j_{kind}", "jobs")]
        measures += [
            Measure(kind, "count", "companies", (f"n_{kind}",), 0, attached=_pair(kind)),
            Measure(f"jobs_{kind}", "sum", "jobs", (f"j_{kind}",), 0, attached=_pair(f"jobs_{kind}")),
        ]
    for kind in MONEY:
        attached = _pair(kind) if kind in _LOSSES else ()
        parts.append(Part(f"m_{kind}", "minor units"))
        measures.append(Measure(kind, "sum", currency, (f"m_{kind}",), 0, scale=1.0 / minor, attached=attached))
    return Cells(
        name="relief.options",
        dimensions=("reference", "option", "month", "section"),
        additive=("section",),
        measures=tuple(measures),
        parts=tuple(parts),
        frame=frame,
        method="relief-1",
        notes=(
            "illiquid-is-not-failed",
            "jobs-at-risk-are-not-jobs-lost",
            "deferred-is-not-a-cost",
            "never-added-up",
        ),
        facts=facts(result, deadline=deadline),
    )


def facts(result: ReliefResult, *, deadline: dict[str, object] | None = None) -> dict[str, object]:
    """Return the public facts of a study: terms of the options and assumptions, JSON-able."""
    basis = result.basis
    terms = {
        o.name: {
            "covers": o.covers,
            "months": round(o.length, 2),
            "interest_accrues": o.accrues,
            "catch_up_months": o.catch_up,
            "sections": list(o.sections) if o.sections is not None else None,
            "equal_to": o.equal_to,
        }
        for o in basis.options
    }
    stated = [o for o in basis.options[1:] if o.equal_to is None] or list(basis.options[1:])
    return {
        "as_of": basis.as_of.isoformat(),
        "options": terms,
        "months": stated[0].length if stated else 0,
        "interest_accrues": all(o.accrues for o in stated),
        "horizon": basis.horizon,
        "draws": basis.draws,
        "seed": basis.seed,
        "level": basis.level,
        "deadline": deadline,
        "equal_cost": "equal sums deferred, where the terms of an option say to which",
        "expected_loss": "change against doing nothing",
        "assumptions": {
            "fails_if_illiquid": basis.losses.fails_if_illiquid,
            "collateral_recovery": basis.losses.collateral_recovery,
            "unsecured_recovery": basis.losses.unsecured_recovery,
            "half_life_months": round(basis.recovery.half_life, 2),
            "wage_flex": round(basis.habits.wage_flex, 2),
            "tax_flex": round(basis.habits.tax_flex, 2),
            "receipt_lag": round(basis.habits.receipt_lag, 2),
            "cushion": round(basis.habits.cushion, 2),
            "cushion_error": round(basis.habits.cushion_error, 2),
            "half_life_error": round(basis.recovery.spread, 2),
        },
    }


def _pair(name: str) -> tuple[str, str]:
    return (f"{name}_lower", f"{name}_upper")


def _path(result: ReliefResult, row: int) -> pd.DataFrame:
    """Return the national path of an option by month."""
    chance = result.by_firm.illiquid[row].astype(np.float64)
    jobs = result.firms["employees"].to_numpy(dtype=np.float64)[:, None]
    units = result.firms[["group_id"]].assign(section="all")
    at_all = (chance[:, -1] > 0).nonzero()[0]
    if len(at_all) == 0:
        at_all = np.arange(1)  # a row of true zeros, so that the months are there
    panel = parts_from_panel(
        units.iloc[at_all].reset_index(drop=True),
        {"illiquid": chance[at_all], "jobs_illiquid": (chance * jobs)[at_all]},
        periods=result.basis.months,
        period="month",
        dimensions=["section"],
        group="group_id",
        totals=False,
    )
    panel["section"] = TOTAL
    panel.insert(0, "option", result.basis.options[row].name)
    return panel


def _whole(result: ReliefResult, row: int, cube: Cube) -> pd.DataFrame:
    """Return the cells of an option over the whole horizon, nationally and by section."""
    option = result.basis.options[row]
    jobs = result.firms["employees"].to_numpy(dtype=np.float64)
    chance = result.by_firm.illiquid[row][:, -1].astype(np.float64)
    data = {"illiquid": chance, "jobs_illiquid": chance * jobs}
    for k, kind in enumerate(CLASSES):
        share = result.by_firm.classes[row][:, k].astype(np.float64)
        data |= {f"n_{kind}": share, f"j_{kind}": share * jobs}
    data |= {f"m_{kind}": result.by_firm.money[kind][row] for kind in MONEY}
    units = result.firms[["group_id", "section"]].assign(**data)
    names = {name: name for name in data}
    frame = parts_from_units(units, dimensions=["section"], group="group_id", values=names, cube=cube)
    lower = frame["section"] != TOTAL
    hidden = [k for k in data if k not in _RISK] if option.name == "none" else [*_RISK, *(f"m_{k}" for k in _LOSSES)]
    for part in hidden:
        # NaN is "not there": structurally absent, neither shown nor judged
        frame[part] = frame[part].astype(np.float64).mask(lower)
    head = pd.DataFrame({"option": option.name, "month": TOTAL}, index=frame.index)
    return pd.concat([head, frame], axis=1)


def _bounds(result: ReliefResult, minor: int) -> pd.DataFrame:
    """Return the attached interval bounds of every cell, rounded as the measures are."""
    keys = ["option", "month", "section"]
    path = result.path[[*keys, *_pair("illiquid_companies"), *_pair("jobs_at_risk")]]
    names = [n for kind in CLASSES for n in (*_pair(kind), *_pair(f"jobs_{kind}"))]
    classes = result.classes.assign(month=TOTAL)[[*keys, *names]]
    money_names = [n for kind in _LOSSES for n in _pair(kind)]
    money = result.money.assign(month=TOTAL, section=TOTAL)[[*keys, *money_names]]
    money[money_names] /= minor
    table = path.merge(classes, on=keys, how="left").merge(money, on=keys, how="left")
    columns = [c for c in table.columns if c not in keys]
    table[columns] = table[columns].round(0)
    return table
