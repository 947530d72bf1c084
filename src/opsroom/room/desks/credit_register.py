"""Desk `credit_register`: companies' credit against what they earn, and in whose currency they owe it.

Settings: ``loans`` (loan_id, month, enterprise_id, outstanding), ``register``; ``by`` (fields of the register; default
``["section"]``); ``lag_days`` (after a quarter's end until its figures are made; default 60); and one of, or both:

- ``value_added``: a table of ``dataset`` (by enterprise_id and month, quarter or year) and ``plus``, ``minus`` (lists
  of its money fields): what a company earns in a period. A company that earns less than nothing counts as nothing.
- ``currency``: a table of ``field`` (of ``loans``: the currency in which a loan is owed; amounts are in home currency),
  ``home`` (its code), ``receipts`` (a dataset by enterprise_id and period) and ``receipts_field`` (a year of which
  covers debt), maybe ``years`` (how many; default 1).

Each quarter is published once: what was learnt of it later changes the next ones alone, so that no difference between
two vintages of a quarter can be formed. Gaps that leave the room are made of what is out: see the desk `sector_gaps`.
Sole traders are counted nowhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, settings_of
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.results import Cells

SECTOR, CURRENCY = "credit.sector", "credit.currency"
LAG_DAYS = 60
_REGISTER = ("enterprise_id", "valid_from", "group_id", "legal_form")
_VALUE: Mapping[str, type | tuple[type, ...]] = {"minus": list}
_RECEIPTS: Mapping[str, type | tuple[type, ...]] = {"years": (int, float)}


class CreditRegisterDesk:
    """Sum the register of loans."""

    cadences: Mapping[str, Cadence] = {SECTOR: "monthly", CURRENCY: "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return credit, value added and their ratio by quarter, and what is owed in foreign currency uncovered."""
        tables = {name: str(settings.require(name)) for name in ("loans", "register")}
        asked = {key: _one(settings, key) for key in ("value_added", "currency") if settings.get(key) is not None}
        if not asked:
            raise SettingsError(
                f"room.toml: desk {settings.name!r} names neither value_added nor currency.",
                remedy="Add one of the two tables.",
                code="OPS-C004",
            )
        view, names = standard_view(view, tables, {name: name for name in tables})
        if missing := missing_tables(view, names):
            return DeskOutcome(None, note=missing)
        for key, at in (("value_added", "dataset"), ("currency", "receipts")):
            if key in asked and not view.has(str(asked[key][at])):
                return DeskOutcome(None, note=f"nothing known of {asked[key][at]} yet")
        cells: list[Cells] = []
        notes: list[str] = []
        if "value_added" in asked:
            found = _sums(view, settings, names, asked["value_added"])
            cells += [] if isinstance(found, str) else [found]
            notes += [found] if isinstance(found, str) else []
        if "currency" in asked:
            found = _mismatch(view, settings, names, asked["currency"])
            cells += [] if isinstance(found, str) else [found]
            notes += [found] if isinstance(found, str) else []
        return DeskOutcome(None, tuple(cells), note="" if cells else "; ".join(dict.fromkeys(notes)))


def _one(settings: DeskSettings, key: str) -> Mapping[str, Any]:
    needs: dict[str, type | tuple[type, ...]] = (
        {"dataset": str, "plus": list}
        if key == "value_added"
        else {"field": str, "home": str, "receipts": str, "receipts_field": str}
    )
    (found,) = settings.tables(key, needs=needs, allows=_VALUE if key == "value_added" else _RECEIPTS)
    return found


def _by(settings: DeskSettings) -> list[str]:
    by = settings.get("by", ["section"])
    if not isinstance(by, list) or not by or not all(isinstance(one, str) for one in by):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: 'by' is no list of fields.", remedy='Write by = ["section"].',
            code="OPS-C004",
        )  # fmt: skip
    return list(by)


def _newest(view: View, settings: DeskSettings) -> pd.Period:
    """Return the last quarter that is over for long enough."""
    import pandas as pd

    lag = int(settings.get("lag_days", LAG_DAYS))
    return pd.Period(view.day - dt.timedelta(days=lag), freq="Q") - 1


def _out(view: View, name: str, dimension: str) -> set[str]:
    """Return the quarters of a series that are out by the day before the view's."""
    found: set[str] = set()
    for release in view.releases.history(name):
        if release.day < view.day:
            at = list(release.columns).index(dimension)
            found |= {str(row[at]) for row in release.rows}
    return found


def _code(quarter: pd.Period) -> str:
    return f"{quarter.year}-Q{quarter.quarter}"


def _owed(view: View, loans: str, quarters: Sequence[pd.Period], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return loans outstanding at the end of quarters, by loan: ``enterprise_id``, ``quarter``, ``outstanding``."""
    import pandas as pd

    first = quarters[0].asfreq("M", "end").start_time.date()
    frame = view.frame(loans, ["loan_id", "month", "enterprise_id", "outstanding", *columns], period_from=first)
    month = pd.PeriodIndex(pd.to_datetime(frame["month"]), freq="M")
    quarter = month.asfreq("Q")
    last = np.asarray(month == quarter.asfreq("M", "E")) & np.asarray(quarter.isin(list(quarters)))
    return frame[last].assign(quarter=quarter[last])


def _earned(view: View, dataset: str, fields: Mapping[str, int], quarters: Sequence[pd.Period]) -> pd.DataFrame:
    """Return by company and quarter what it earned in the year up to the quarter's end; of fields with their signs."""
    import pandas as pd

    spec = view.spec(dataset)
    if missing := sorted({"enterprise_id", *fields} - view.fields(dataset)):
        raise SettingsError(
            f"room.toml: {dataset!r} has no field {', '.join(missing)}.",
            remedy="Name fields of the dataset, by enterprise_id.",
            code="OPS-C006",
        )
    first = (quarters[0] - 7).start_time.date()
    frame = view.frame(dataset, ["enterprise_id", spec.period, *fields], period_from=first)
    amount = pd.DataFrame({name: sign * frame[name].fillna(0) for name, sign in fields.items()}).sum(axis=1)
    quarter = pd.PeriodIndex(pd.to_datetime(frame[spec.period]), freq="Q")
    if spec.frequency == "A":  # a year's figures hold until the next year is over
        quarter = pd.PeriodIndex(quarter.year.astype(str) + "Q4", freq="Q")
    whole = amount.groupby([frame["enterprise_id"], quarter]).sum()
    pieces = []
    for one in quarters:
        window = [one - k for k in range(4)]
        kept = whole[whole.index.get_level_values(1).isin(window)]
        pieces.append(kept.groupby(level=0).sum().rename("amount").reset_index())
        pieces[-1]["quarter"] = pd.PeriodIndex([one] * len(pieces[-1]), freq="Q")
    found: pd.DataFrame = pd.concat(pieces, ignore_index=True)
    return found


def _registered(view: View, register: str, by: list[str], quarters: Sequence[pd.Period]) -> pd.DataFrame:
    """Return by company and quarter its group and place, as last registered by the quarter's end; no sole traders."""
    import pandas as pd

    entries = view.frame(register, list(dict.fromkeys([*_REGISTER, *by]))).sort_values("valid_from", kind="stable")
    pieces = []
    for one in quarters:
        known = entries[pd.to_datetime(entries["valid_from"]) <= one.end_time]
        known = known.drop_duplicates("enterprise_id", keep="last").dropna(subset=by)
        pieces.append(known[~known["legal_form"].isin(NATURAL_FORMS)].copy())
        pieces[-1]["quarter"] = pd.PeriodIndex([one] * len(pieces[-1]), freq="Q")
    found = pd.concat(pieces, ignore_index=True)
    own = found["enterprise_id"].astype(str)
    group = found["group_id"].astype(object).where(found["group_id"].notna(), own).astype(str)
    return found[["enterprise_id", "quarter", *by]].assign(group_id=group)


def _sums(view: View, settings: DeskSettings, names: Mapping[str, str], given: Mapping[str, Any]) -> Cells | str:
    """Return the sums of the quarters that are not out yet; or why there are none."""
    import pandas as pd

    from opsroom.warn.credit_gap import register_cells

    by, newest = _by(settings), _newest(view, settings)
    out = _out(view, SECTOR, "quarter")
    months = view.frame(names["loans"], ["month"])["month"]
    first = max(pd.Period(pd.to_datetime(months.min()), freq="Q"), _year_of(view, str(given["dataset"])))
    quarters = [q for q in pd.period_range(first, newest, freq="Q") if _code(q) not in out] if first <= newest else []
    if not quarters:
        return "no quarter has been over for long enough that is not out yet"
    signs = {str(f): 1 for f in given["plus"]} | {str(f): -1 for f in given.get("minus", [])}
    owed = _owed(view, names["loans"], quarters).groupby(["enterprise_id", "quarter"])["outstanding"].sum()
    earned = _earned(view, str(given["dataset"]), signs, quarters).set_index(["enterprise_id", "quarter"])["amount"]
    both = pd.concat({"credit": owed, "value_added": earned.clip(lower=0)}, axis=1).fillna(0).round().astype(np.int64)
    units = _registered(view, names["register"], by, quarters).merge(
        both.reset_index(), on=["enterprise_id", "quarter"]
    )
    if units.empty:
        return "no company of the register owes or earns anything"
    return register_cells(units, by=by)


def _year_of(view: View, dataset: str) -> pd.Period:
    """Return the first quarter of which a whole year of a dataset is known."""
    import pandas as pd

    spec = view.spec(dataset)
    start = pd.Period(pd.to_datetime(view.frame(dataset, [spec.period])[spec.period].min()), freq="Q")
    return pd.Period(f"{start.year}Q4", freq="Q") if spec.frequency == "A" else start + 3


def _mismatch(view: View, settings: DeskSettings, names: Mapping[str, str], given: Mapping[str, Any]) -> Cells | str:
    """Return what the newest quarter shows of debt in foreign currency, once; or why there is nothing."""

    from opsroom.warn.credit_gap import currency_mismatch

    by, quarter, field = _by(settings), _newest(view, settings), str(given["field"])
    if field not in view.fields(names["loans"]):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: currency: {names['loans']!r} has no field {field!r}.",
            remedy="Name the field that holds the loans' currency.",
            code="OPS-C006",
        )
    if _code(quarter) in _out(view, CURRENCY, "period"):
        return f"{_code(quarter)} is out"
    owed = _owed(view, names["loans"], [quarter], [field])
    foreign = owed["outstanding"].where(owed[field].astype(str) != str(given["home"]), 0)
    debts = owed.assign(fx_debt=foreign).groupby("enterprise_id")[["outstanding", "fx_debt"]].sum()
    if debts.empty:
        return f"no loan is known at the end of {_code(quarter)}"
    earned = _earned(view, str(given["receipts"]), {str(given["receipts_field"]): 1}, [quarter])
    receipts = earned.set_index("enterprise_id")["amount"].clip(lower=0)
    table = debts.rename(columns={"outstanding": "debt"}).assign(fx_receipts=receipts.reindex(debts.index).fillna(0))
    units = _registered(view, names["register"], by, [quarter]).merge(
        table.round().astype(np.int64).reset_index(), on="enterprise_id"
    )
    if units.empty:
        return "no company of the register owes anything"
    with settings_of(settings):
        found = currency_mismatch(units, by=by, years=float(given.get("years", 1.0)), period=_code(quarter))
    return found.cells()


DESK = CreditRegisterDesk()
