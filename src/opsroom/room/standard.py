"""Tables in the layout of the built-in datasets, as the desks' methods read them.

A desk asks its view for the tables of its method. `standard_view` gives it a view in which those tables are made
of the built-in ones: `register`, `loans`, `meters`, `accounts`, `vat`, `payroll`, `weather`. Datasets in the
methods' own layout pass through.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsroom.base.codes import NACE_SECTIONS, SECTION_OF_DIVISION
from opsroom.base.errors import DataError
from opsroom.room.desk import View

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from opsroom.base.specs import DatasetSpec
    from opsroom.observe.deliveries import Delivery

PPM = 1_000_000
_TWO = 1 << 31
"""The delivery number of a table made of two is the first's times this, plus the second's."""

SIZES = ((10, "micro"), (50, "small"), (250, "medium"))


@dataclass(frozen=True, slots=True)
class Made:
    """A table made of a built-in one.

    Attributes
    ----------
    source
        The built-in dataset.
    make
        Turns its rows into the method's.
    mark
        A field by which the built-in layout is known.
    turnover
        The dataset of annual accounts whose turnover a register takes; empty for other tables.
    """

    source: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    mark: str = "company_id"
    turnover: str = ""


class StandardView(View):
    """A view in which some tables are made of built-in ones; provenance is that of what is read."""

    def __init__(self, view: View, made: Mapping[str, Made]) -> None:
        self.__dict__.update(view.__dict__)
        self._made = dict(made)

    def has(self, dataset: str) -> bool:
        """Say whether the room knows any rows of the dataset, or of the one that it is made of."""
        return super().has(self._source(dataset))

    def spec(self, dataset: str) -> DatasetSpec:
        """Return the specification of the dataset, or of the one that it is made of."""
        return super().spec(self._source(dataset))

    def last_delivery(self, dataset: str) -> int:
        """Return the number of the last delivery; of a table made of two, one that tells both."""
        made = self._made.get(dataset)
        number = super().last_delivery(self._source(dataset))
        return number if made is None or not made.turnover else number * _TWO + super().last_delivery(made.turnover)

    def deliveries(self, dataset: str) -> list[Delivery]:
        """Return the deliveries that had arrived by the day."""
        return super().deliveries(self._source(dataset))

    def at(self, day: dt.date) -> View:
        """Return the view of an earlier day."""
        return StandardView(super().at(day), self._made)

    def arrow(
        self,
        dataset: str,
        columns: list[str] | None = None,
        *,
        period_from: dt.date | None = None,
        period_to: dt.date | None = None,
    ) -> pa.Table:
        """Return the rows as an Arrow table, made where they are."""
        made = self._made.get(dataset)
        if made is None:
            return super().arrow(dataset, columns, period_from=period_from, period_to=period_to)
        return _arrow(self._make(made, super().arrow(made.source, None, period_from=period_from, period_to=period_to)),
                      columns)  # fmt: skip

    def frame(
        self, dataset: str, columns: list[str] | None = None, *, period_from: dt.date | None = None
    ) -> pd.DataFrame:
        """Return the rows as a frame, made where they are."""
        made = self._made.get(dataset)
        if made is None:
            return super().frame(dataset, columns, period_from=period_from)
        whole = self._make(made, super().arrow(made.source, None, period_from=period_from))
        return whole if columns is None else whole[[c for c in columns if c in whole.columns]]

    def changes(self, dataset: str, columns: list[str], *, after: dt.datetime, delivery: int) -> pa.Table | None:
        """Return the rows that became known since, made where they are."""
        made = self._made.get(dataset)
        base = [f.name for f in self.spec(dataset).fields]
        if made is not None and made.turnover:
            delivery, other = divmod(delivery, _TWO)
            beside = super().changes(made.turnover, ["company_id", "year"], after=after, delivery=other)
            if beside is None or beside.num_rows:
                return None
        if made is None or set(columns) <= set(base):
            return super().changes(self._source(dataset), columns, after=after, delivery=delivery)
        # A tombstone has no values to make anything of, so where there are any, all is read afresh.
        found = super().changes(made.source, base, after=after, delivery=delivery)
        if found is None or (found.num_rows and found.column(made.mark).null_count):
            return None
        return _arrow(self._make(made, found).assign(taken_back=False), [*columns, "taken_back"])

    def fields(self, dataset: str) -> frozenset[str]:
        """Return the names of the columns that a read of the dataset may ask for."""
        made = self._made.get(dataset)
        if made is None:
            return super().fields(dataset)
        return frozenset(self._make(made, super().spec(made.source).arrow_schema().empty_table()).columns)

    def _source(self, dataset: str) -> str:
        return self._made[dataset].source if dataset in self._made else dataset

    def _make(self, made: Made, table: pa.Table) -> pd.DataFrame:
        frame: pd.DataFrame = table.to_pandas(date_as_object=False)
        if made.turnover:
            books = super().arrow(made.turnover, ["company_id", "year", "turnover"]).to_pandas(date_as_object=False)
            last = books.sort_values("year", kind="stable").drop_duplicates("company_id", keep="last")
            frame = frame.assign(turnover=frame["company_id"].map(last.set_index("company_id")["turnover"]))
        return made.make(frame)


def standard_view(view: View, tables: Mapping[str, str], kinds: Mapping[str, str]) -> tuple[View, dict[str, str]]:
    """Return a view for a desk, and the names under which it finds its tables.

    Parameters
    ----------
    view
        The room's view.
    tables
        Table of the method → dataset of the room.
    kinds
        Table of the method → key of `MADE`.

    Returns
    -------
    tuple of View and dict
        The same view, and `tables`, where no dataset is in the built-in layout.
    """
    made: dict[str, Made] = {}
    names = dict(tables)
    for table, dataset in tables.items():
        kind = kinds.get(table, "")
        if kind not in MADE or dataset not in view.datasets():
            continue
        mark, make = MADE[kind]
        if mark in {f.name for f in view.spec(dataset).fields}:
            names[table] = f"{dataset} as {kind}"
            books = tables.get("turnover", "") if kind == "register" else ""
            made[names[table]] = Made(dataset, make, mark, books)
    return (StandardView(view, made) if made else view), names


def missing_tables(view: View, names: Mapping[str, str]) -> str:
    """Say in words which of a desk's tables the room does not know yet; empty where it knows all."""
    absent = [f"{table} ({dataset})" if table != dataset else table
              for table, dataset in names.items() if not view.has(dataset)]  # fmt: skip
    return f"nothing is known yet of {', '.join(absent)}" if absent else ""


def numbers_of(*columns: pd.Series[str]) -> pd.Series[int]:
    """Return whole numbers that stand for texts, the same text the same number in every table.

    Raises
    ------
    DataError
        Two texts fall on one number, which happens once in millions of millions.
    """
    import pandas as pd

    joined = columns[0].astype("str")
    for column in columns[1:]:
        joined = joined + "\x1f" + column.astype("str")
    codes, texts = pd.factorize(joined)
    hashed = (pd.util.hash_array(texts.to_numpy(dtype=object)) >> 1).astype("int64")
    if len(set(hashed.tolist())) != len(hashed):
        raise DataError("two ids fall on one number.", remedy="Deliver ids as numbers.", code="OPS-D110")
    return pd.Series(hashed[codes], index=columns[0].index)


def section_of(nace: pd.Series[str]) -> pd.Series[str]:
    """Return the NACE section of each class, division or section; missing where there is none of that name."""
    text = nace.astype("str").str.strip().str.upper()
    letter = text.str[:1].where(text.str[:1].isin(list(NACE_SECTIONS)))
    digits = text.str.replace(r"^[A-Z]", "", regex=True).str.extract(r"^(\d{2})", expand=False)
    return digits.map(dict(SECTION_OF_DIVISION)).fillna(letter)


def _register(rows: pd.DataFrame) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    employees = rows["employees"]
    sizes = np.select([employees < limit for limit, _ in SIZES], [name for _, name in SIZES], "large")
    company = numbers_of(rows["company_id"])
    group = numbers_of(rows["enterprise_group_id"].fillna(rows["company_id"]))
    made = pd.DataFrame(
        {
            "enterprise_id": company,
            "valid_from": rows["valid_from"],
            "valid_to": rows["valid_to"],
            "group_id": group,
            "legal_form": rows["legal_form"],
            "nace": rows["nace"].astype("str").str[:2],
            "section": section_of(rows["nace"]),
            "region": rows["region"],
            "size_class": sizes,
            "employees": employees,
            "annual_sales": rows["turnover"].fillna(0).astype("int64") if "turnover" in rows else np.int64(0),
            "born": rows.groupby("company_id")["valid_from"].transform("min"),
            "died": pd.NaT,
        }
    )
    return made[made["section"].notna()].reset_index(drop=True)


def _loans(rows: pd.DataFrame) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    month = rows["month"]
    last = month + pd.offsets.MonthEnd(0)
    until = rows["forborne_until"].fillna(pd.Timestamp("2299-12-31"))
    forborne = rows["forborne_since"].notna() & (rows["forborne_since"] <= last) & (until >= month)
    outstanding = rows["outstanding"].astype("int64")
    interest = rows["interest_due"].astype("int64")
    yearly = np.where(outstanding > 0, 12e4 * interest / np.maximum(outstanding, 1), 0.0)
    return pd.DataFrame(
        {
            "loan_id": numbers_of(rows["lender_id"], rows["loan_id"]),
            "month": month,
            "enterprise_id": numbers_of(rows["company_id"]),
            "lender_id": numbers_of(rows["lender_id"]),
            "outstanding": outstanding,
            "interest_due": interest,
            "principal_due": rows["principal_due"].astype("int64"),
            "days_past_due": rows["days_past_due"].astype("int64"),
            "forborne": forborne,
            "rate_bp": np.rint(yearly).astype("int64"),
            "secured_ppm": np.int64(0),
            "guarantee_ppm": np.int64(0),
        }
    )


def _readings(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {"meter_id": numbers_of(rows["meter_id"]), "date": rows["date"], "wh": rows["kwh"].astype("int64")}
    )


def _links(rows: pd.DataFrame) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    first = rows.groupby(["meter_id", "company_id"], sort=False)["date"].transform("min")
    spans = pd.DataFrame(
        {
            "meter": rows["meter_id"],
            "company": rows["company_id"],
            "valid_from": rows["valid_from"].fillna(first),
            "valid_to": rows["valid_to"],
        }
    ).drop_duplicates(ignore_index=True)
    company = numbers_of(spans["company"])
    return pd.DataFrame(
        {
            "meter_id": numbers_of(spans["meter"]),
            "establishment_id": company,
            "enterprise_id": company,
            "valid_from": spans["valid_from"],
            "valid_to": spans["valid_to"],
            "share_ppm": np.int64(PPM),
        }
    )


def _accounts(rows: pd.DataFrame) -> pd.DataFrame:
    """Annual accounts as the books at the end of the year; costs and taxes are spread over its months."""
    import numpy as np
    import pandas as pd

    turnover = rows["turnover"].astype("float64")
    share = (rows["materials"].astype("float64") / turnover.where(turnover > 0)).clip(0.0, 1.0).fillna(0.0)
    return pd.DataFrame(
        {
            "enterprise_id": numbers_of(rows["company_id"]),
            "month": rows["year"] + pd.DateOffset(months=11),
            "cash": rows["cash"].astype("int64"),
            "undrawn_credit": rows["credit_line_undrawn"].fillna(0).astype("int64"),
            "fixed_costs": rows["fixed_costs"].astype("int64") // 12,
            "materials_ppm": np.rint(share * PPM).astype("int64"),
            "tax_due": rows["taxes"].fillna(0).astype("int64") // 12,
        }
    )


def _sales(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "enterprise_id": numbers_of(rows["company_id"]),
            "month": rows["period"],
            "sales": rows["sales"].astype("int64"),
        }
    )


def _wages(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "enterprise_id": numbers_of(rows["company_id"]),
            "month": rows["month"],
            "wage_bill": rows["wage_bill"].astype("int64"),
        }
    )


def _weather(rows: pd.DataFrame) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    tenths = np.rint(rows["temperature_c"].astype("float64") * 10).astype("int64")
    return pd.DataFrame({"region": rows["region"], "date": rows["date"], "temp_dc": tenths})


MADE: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "register": ("company_id", _register),
    "loans": ("company_id", _loans),
    "readings": ("kwh", _readings),
    "links": ("kwh", _links),
    "accounts": ("company_id", _accounts),
    "sales": ("company_id", _sales),
    "wages": ("company_id", _wages),
    "weather": ("temperature_c", _weather),
}
"""Kind of table → the field that tells the built-in layout, and how the method's rows are made."""


def _arrow(frame: pd.DataFrame, columns: list[str] | None) -> pa.Table:
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.date32()))
    return table if columns is None else table.select(columns)
