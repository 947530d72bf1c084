"""What of a stress of companies may leave the room. Lenders are never named; a loss is judged from both its sides.

A loss has two sides: a lender's loss tells what a borrower owes, a supplier's what a customer buys. So whatever adds up
losses is judged twice, with those who lose and with those who fail as contributors, and each cell carries the worse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.codes import group_of_section
from opsroom.base.errors import InternalError
from opsroom.base.results import TOP, TOTAL, Cells, Measure, Part
from opsroom.warn.contagion.publish import FEWEST_OWNERS
from opsroom.warn.contagion.what_if import CASES, METHOD, SHARES, WhatIfResult

Ids = npt.NDArray[np.generic]
BANDS = (("0-5", 5.0), ("5-20", 20.0), ("20-50", 50.0), ("50-", np.inf))
"""Code of each band of a lender's losses, in per cent of its capital, and its upper end."""
_UNITS = {"failing": "% of companies", "added": "% of companies", "bank": "% of loans", "bank_added": "% of loans",
          "trade": "% of trade credit", "cut": "% of credit"}  # fmt: skip
_CAPITAL = ("loans", "further", "interbank")
"""Measures in per cent of lenders' capital: of another whole, so that a loss may be more than all of it."""
_COUNTS = ("failing", "added")
"""Measures that have no interval of their own: who fails at first is known, who later the middle says."""


def stress_cells(result: WhatIfResult, *, groups: str = "") -> list[Cells]:
    """Return ``contagion.section``, and where lenders report their capital ``contagion.lenders``.

    With `groups` (a level of `opsroom.base.codes.NACE_GROUPS`) also sums of several sections, as a level between
    section and total of the same table: the gate judges them together, so that no section follows from a group and
    the others, in this release or from earlier ones.

    What all lenders lose is the total of the first, and stands nowhere else: a total that is published twice would
    undo what is withheld to protect a section. None of the parts is a sum of others, for the same reason. No cells
    where the companies that fail at first and owe anything have fewer than `FEWEST_OWNERS` owners: what lenders
    lose would tell what these owe.
    """
    standing = result.standing
    group = standing.companies["group"].to_numpy()
    owing = standing.loans["company"].to_numpy()
    if len(np.unique(group[owing[standing.failing[owing]]])) < FEWEST_OWNERS:
        return []
    found = [_sections(result, groups)]
    if result.reported.any():
        found.append(_bands(result))
    return found


def worse_of(one: pd.DataFrame, other: pd.DataFrame, dimensions: Sequence[str], parts: Sequence[str]) -> pd.DataFrame:
    """Return the parts of the same sums with, cell by cell, those contributors that are fewer or dominate more.

    Parameters
    ----------
    one, other
        From `parts_from_units`, of the same cells and parts, by two kinds of contributors. Sums, and the sketches by
        which vintages are compared, are those of `one`.
    dimensions, parts
        Of both.
    """
    keys = [pd.MultiIndex.from_frame(x[list(dimensions)]) for x in (one, other)]
    at = keys[1].get_indexer(keys[0])
    if len(at) != len(other) or (at < 0).any():
        raise InternalError("the two sides of a sum have not the same cells.")
    found = {str(c): one[c].to_numpy() for c in one.columns}
    for part in parts:
        for mark in ("__", "__rest_"):
            few = f"{part}{mark}groups"
            if few not in found:
                continue
            own = [few, *(f"{part}{mark}{kind}{k}" for kind in ("top", "who") for k in range(1, TOP + 1))]
            theirs = {c: other[c].to_numpy()[at] for c in own}
            a, b = (np.minimum(x[few], FEWEST_OWNERS) for x in (found, theirs))
            top = [sum(x[f"{part}{mark}top{k}"] for k in range(1, TOP)) for x in (found, theirs)]
            worse = (b < a) | ((b == a) & (top[1] > top[0]))
            found |= {c: np.where(worse, theirs[c], found[c]) for c in own}
    return pd.DataFrame(found)


def _sections(result: WhatIfResult, groups: str) -> Cells:
    standing = result.standing
    dimensions = ["month", "section"]
    above = _groups(standing.companies["section"], groups)
    group = standing.companies["group"].to_numpy()
    section = standing.companies["section"].array
    month = standing.month.strftime("%Y-%m")
    firms, debts, goods = result.units("middle")
    lender = _apart(standing.loans["lender"].to_numpy(), group)
    pairs = result.pairs("middle")
    sides = (
        ((firms, group),),
        ((debts, group[debts["company"].to_numpy()]), (debts, lender)),
        ((goods, group), (pairs, group[pairs["customer"].to_numpy()])),
    )
    # a unit of nothing in every section, so that all tables have the same cells
    every = np.unique(section.codes, return_index=True)[1]
    frames = []
    for both in sides:
        values = [c for c in both[0][0].columns if c != "company"]
        shares = {part: whole for m, (part, whole) in SHARES.items() if part in values and m not in _CAPITAL}
        made = []
        for units, who in both:
            table = {
                c: np.concatenate([units[c].to_numpy(), np.zeros(len(every), units[c].to_numpy().dtype)])
                for c in values
            }
            table |= {"who": np.concatenate([who, group[every]])}
            frame = pd.DataFrame(table)
            frame["section"] = section.take(np.concatenate([units["company"].to_numpy(), every]))
            frame["month"] = _same(month, len(frame))
            made.append(
                parts_from_units(
                    frame, dimensions=dimensions, group="who", values={v: v for v in values}, shares=shares,
                    totals=["section"], hierarchies={"section": above},
                )
            )  # fmt: skip
        frames.append(worse_of(made[0], made[1], dimensions, values) if len(made) > 1 else made[0])
    rows = [f.set_index(dimensions) for f in frames]
    if any(not r.index.equals(rows[0].index) for r in rows):
        raise InternalError("the three tables of a stress have not the same cells.")
    return _cells(
        result, "contagion.section", dimensions, _with_ends(result, pd.concat(rows, axis=1).reset_index(), above),
        [_measure(m) for m in SHARES if _told(result, m)],
        additive=("section",), hierarchies={"section": above},
    )  # fmt: skip


def _groups(section: pd.Series, level: str) -> dict[str, str]:
    """Return section → group, where more than one of a group's sections have companies: else they are one cell."""
    above = group_of_section(level) if level else {}
    there = [str(c) for c in section.cat.categories[np.unique(section.cat.codes)] if str(c) in above]
    several = Counter(above[c] for c in there)
    return {c: above[c] for c in there if several[above[c]] > 1}


def _same(code: str, rows: int) -> pd.Categorical[str]:
    """Return one code for many rows, as a number: texts cost more than the sums."""
    return pd.Categorical.from_codes(np.zeros(rows, dtype=np.int64), pd.Index([code]))


def _told(result: WhatIfResult, measure: str) -> bool:
    """Whether a measure says anything: no purchases, no trade credit; no capital, no credit withdrawn."""
    if measure in _CAPITAL:
        return bool(result.reported.all()) and (measure != "further" or len(result.standing.trade) > 0)
    if measure == "cut":
        return bool(result.reported.any())
    return measure not in ("added", "bank_added", "trade") or len(result.standing.trade) > 0


def _measure(name: str) -> Measure:
    ends = () if name in _COUNTS else _ends(name)
    if name in _CAPITAL:
        return Measure(name, "ratio", "% of lenders' capital", SHARES[name], scale=100.0, attached=ends)
    return Measure(name, "share", _UNITS[name], SHARES[name], scale=100.0, attached=ends)


def _apart(numbers: npt.NDArray[np.int64], group: Ids) -> Ids:
    """Return numbers of lenders that are no group's."""
    return -1 - numbers if group.dtype.kind in "iu" else np.char.add("lender ", numbers.astype(str))


def _ends(measure: str) -> tuple[str, str]:
    return f"{measure}_lower", f"{measure}_upper"


def _with_ends(result: WhatIfResult, frame: pd.DataFrame, above: Mapping[str, str]) -> pd.DataFrame:
    """Add the ends of the interval by section and group of sections."""
    cases = [result.sections(c, groups=above).set_index("section").reindex(frame["section"]) for c in CASES]
    for measure in SHARES:
        if measure in cases[0]:
            values = np.stack([case[measure].to_numpy(dtype=np.float64) for case in cases])
            for end, pick in zip(_ends(measure), (np.fmin.reduce, np.fmax.reduce), strict=True):
                frame[end] = np.round(pick(values, axis=0), 1)
    if "interbank" in cases[0]:  # in all also over the networks between lenders
        whole = frame["section"] == TOTAL
        for end, value in zip(_ends("interbank"), result.interval()["interbank"], strict=True):
            frame.loc[whole, end] = round(value, 1)
    return frame


def _bands(result: WhatIfResult) -> Cells:
    """Return how many lenders lose how much of their capital."""
    every = result.lenders()[result.reported]
    lost = (every["lost"] + every["added"] + every["interbank"]).to_numpy()
    capital = every["capital"].to_numpy()
    share = np.where(capital > 0, 100.0 * lost / np.where(capital > 0, capital, 1.0), np.where(lost > 0, np.inf, 0.0))
    band = np.searchsorted([end for _, end in BANDS], share, side="right").clip(max=len(BANDS) - 1)
    units = pd.DataFrame(
        {
            "month": result.standing.month.strftime("%Y-%m"), "band": np.array([code for code, _ in BANDS])[band],
            "who": np.arange(len(every)), "n_lenders": 1,
        }
    )  # fmt: skip
    dimensions = ["month", "band"]
    frame = parts_from_units(
        units, dimensions=dimensions, group="who", values={"n_lenders": "n_lenders"}, totals=["band"]
    )
    measures = [Measure("lenders", "count", "lenders", ("n_lenders",), decimals=0)]
    return _cells(result, "contagion.lenders", dimensions, frame, measures, additive=("band",))


def _cells(
    result: WhatIfResult, name: str, dimensions: Sequence[str], frame: pd.DataFrame,
    measures: Sequence[Measure], additive: tuple[str, ...] = (),
    hierarchies: Mapping[str, Mapping[str, str]] | None = None,
) -> Cells:  # fmt: skip
    used = {part for measure in measures for part in measure.parts}
    present = [c for c in frame.columns if c in used]
    given = result.assumptions
    return Cells(
        name=name,
        dimensions=tuple(dimensions),
        additive=additive,
        hierarchies=hierarchies or {},
        frame=frame,
        parts=tuple(Part(c, "companies" if c.startswith("n_") else "minor units") for c in present),
        measures=tuple(measures),
        method=METHOD,
        notes=("what-if-they-failed",),
        facts={
            "month": result.standing.month.strftime("%Y-%m"),
            "recovery": {"collateral": list(given.collateral), "unsecured": list(given.unsecured)},
            "payment_days": list(given.payment_days), "pass_through": list(given.pass_through),
            "everyone_reports": bool(result.reported.all()),
        },
    )  # fmt: skip
