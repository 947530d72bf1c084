"""Public series out of the store: one dataset row layout in, one pandas series out."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from opsroom.base.errors import AccessError, NotFoundError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.specs import DatasetSpec
    from opsroom.observe.store import Store

PANDAS_FREQUENCY = {"D": "D", "W": "W-SUN", "M": "M", "Q": "Q", "A": "Y"}


def read_series(store: Store, key: str, as_of: dt.datetime) -> pd.Series[float]:
    """Read ``dataset``, ``dataset/name`` or ``dataset/name/measure`` as of a day.

    Parameters
    ----------
    store
        The room's store.
    key
        The dataset, the value of its key field other than the period, and the measure, as far as needed.
    as_of
        Knowledge time, UTC.

    Returns
    -------
    pandas.Series
        Float values on a sorted `PeriodIndex`.

    Raises
    ------
    AccessError
        If the dataset is confidential: single series are read from public datasets only.
    NotFoundError
        If there is no such series.
    UsageError
        If the key leaves open which series is meant.
    """
    import pandas as pd

    dataset, *rest = key.split("/")
    spec = store.spec(dataset)
    if spec.confidential:
        raise AccessError(
            f"dataset {dataset!r} is confidential; single series are read from public datasets only.",
            remedy="Use Room.table inside the enclave, or a published release.",
            code="OPS-A002",
        )
    if spec.frequency not in PANDAS_FREQUENCY:
        raise UsageError(f"dataset {dataset!r} holds events, not a series.", code="OPS-U030")
    names = [field for field in spec.key if field != spec.period]
    if len(names) > 1 or len(rest) < len(names):
        raise UsageError(
            f"{key!r} leaves open which series of {dataset!r} is meant.",
            remedy=f"Write {dataset}/{'/'.join(f'<{name}>' for name in names)}.",
            code="OPS-U031",
        )
    measure = _measure(spec, rest[len(names) :], key)
    frame = store.arrow(dataset, as_of, columns=[*names, spec.period, measure]).to_pandas()
    if names:
        frame = frame[frame[names[0]].astype(str) == rest[0]]
    if frame.empty:
        raise NotFoundError(
            f"no series {key!r} is known as of that day.",
            remedy="List datasets with `opsroom dataset list`.",
            code="OPS-N002",
        )
    index = pd.PeriodIndex(pd.to_datetime(frame[spec.period]), freq=PANDAS_FREQUENCY[spec.frequency], name="period")
    return pd.Series(frame[measure].to_numpy(dtype=float), index=index, name=key).sort_index()


def _measure(spec: DatasetSpec, rest: list[str], key: str) -> str:
    measures = [f.name for f in spec.fields if f.type in ("number", "money", "quantity", "integer")]
    measures = [name for name in measures if name not in spec.key]
    if rest:
        if rest[0] not in measures:
            raise NotFoundError(f"{key!r} names no measure of {spec.name!r}.", code="OPS-N002")
        return rest[0]
    if len(measures) != 1:
        raise UsageError(
            f"{key!r} leaves open which measure is meant.",
            remedy=f"Add one of: {', '.join(measures)}.",
            code="OPS-U032",
        )
    return measures[0]
