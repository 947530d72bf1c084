"""Microdata as a caller has them: columns of codes, numbers and yes or no, or a refusal that says what is wrong."""

from __future__ import annotations

import numbers as kinds
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def frame_of(micro: Any, columns: Sequence[str]) -> pd.DataFrame:
    """Return the columns of microdata that are needed, as a pandas frame without missing values.

    Parameters
    ----------
    micro
        A pandas frame or an Ibis table.
    columns
        Names of columns.

    Raises
    ------
    UsageError
        If it is neither, a column is absent, there twice or holds missing values, or there is no row.
    """
    import pandas as pd

    wanted = list(dict.fromkeys(columns))
    if odd := [c for c in wanted if not isinstance(c, str)]:
        raise UsageError(
            f"{len(odd)} column(s) of microdata are named by something other than a text.",
            remedy="Name dimensions, measures and weights by the names of columns.",
            code="OPS-U380",
        )
    is_table = type(micro).__module__.partition(".")[0] == "ibis" and hasattr(micro, "to_pandas")
    if not isinstance(micro, pd.DataFrame) and not (is_table and hasattr(micro, "select")):
        raise UsageError("microdata are a pandas frame or an Ibis table.")
    names = list(micro.columns)
    if absent := [c for c in wanted if c not in names]:
        raise UsageError(f"the microdata lack the column(s) {', '.join(absent)}.")
    if twice := [c for c in wanted if names.count(c) > 1]:
        raise UsageError(
            f"the microdata have the column(s) {', '.join(twice)} more than once.",
            remedy="Rename or drop the others.",
            code="OPS-U381",
        )
    found: pd.DataFrame = micro[wanted] if isinstance(micro, pd.DataFrame) else micro.select(*wanted).to_pandas()
    if isinstance(found.columns, pd.MultiIndex):
        raise UsageError("the microdata have column names in several levels.", remedy="Flatten them.", code="OPS-U381")
    if not len(found):
        raise UsageError("there is no row to make a table from.")
    if incomplete := [c for c in wanted if found[c].isna().any()]:
        raise UsageError(
            f"the microdata lack values in the column(s) {', '.join(incomplete)}.",
            remedy="Give these rows a code such as 'unknown', or leave them out.",
        )
    return found


def texts(column: pd.Series) -> pd.Series:
    """Return codes as texts; whole numbers have no point, also where they came as floats."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_float_dtype(column.dtype):
        filled = column.dropna().to_numpy(dtype=np.float64)
        if len(filled) and (np.abs(filled) < 2**53).all() and (filled == np.round(filled)).all():
            column = column.astype("Int64")
    return column.astype(str)


def numbers(column: pd.Series, name: str) -> Floats:
    """Return a column of numbers, none of them missing or infinite.

    Raises
    ------
    UsageError
        If it holds anything else: texts, days, complex numbers.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    types = pd.api.types
    if types.is_object_dtype(column.dtype):
        fit = all(isinstance(v, kinds.Real | Decimal) for v in column)
    else:
        fit = types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)
    if not fit:
        raise UsageError(
            f"column {name!r} is not a number.",
            remedy="Convert it, for instance by pandas.to_numeric.",
            code="OPS-U382",
        )
    try:
        found = column.to_numpy(dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(
            f"column {name!r} holds a number that is none, or too large.", remedy="Use another unit.", code="OPS-U382"
        ) from None
    if not np.isfinite(found).all():
        raise UsageError(f"column {name!r} holds a number that is not finite.")
    return found


def marks(column: pd.Series, name: str) -> Flags:
    """Return a column of yes and no, which may be written 1 and 0.

    Raises
    ------
    UsageError
        If it holds anything else: that a text is not empty is no consent.
    """
    import pandas as pd

    types = pd.api.types
    fit = types.is_bool_dtype(column.dtype) or (
        (types.is_numeric_dtype(column.dtype) and bool(column.isin((0, 1)).all()))
        or (types.is_object_dtype(column.dtype) and all(isinstance(v, bool | np.bool_) for v in column))
    )
    if not fit:
        raise UsageError(
            f"column {name!r} does not say yes or no.", remedy="Make it a column of True and False.", code="OPS-U383"
        )
    return column.to_numpy(dtype=bool)


def members(column: pd.Series, name: str) -> Ints:
    """Return a number for each enterprise group, from 0.

    Raises
    ------
    UsageError
        If the column holds what cannot name a group, such as lists.
    """
    import pandas as pd

    try:
        found = pd.factorize(column)[0]
    except TypeError:
        raise UsageError(
            f"column {name!r} holds what cannot name a group.", remedy="Use numbers or texts.", code="OPS-U384"
        ) from None
    return np.asarray(found, dtype=np.int64)
