"""Public datasets as wide frames: a row a period, a column a series. Shared by the desks on public series."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.settings import DeskSettings
    from opsroom.base.specs import DatasetSpec
    from opsroom.room.desk import View


def series_frame(view: View, settings: DeskSettings, *, value: str = "value") -> pd.DataFrame:
    """Read the desk's dataset as of the view's day.

    Parameters
    ----------
    view
        What the room knew.
    settings
        The desk's settings: ``dataset``, ``value`` (a field name) or ``values`` (several, each a series),
        ``over`` (a field by which the value is divided, summed over the last ``sum_over`` periods),
        ``series`` (codes to keep).
    value
        Name of the setting that names the measured field.

    Returns
    -------
    pandas.DataFrame
        Index: timestamps of the periods' first days, sorted; columns: series codes, or the measure's name
        where the dataset holds one series; values float.
    """

    spec = view.spec(str(settings.require("dataset")))
    names = [field for field in spec.key if field != spec.period]
    if len(names) > 1:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: dataset {spec.name!r} has more than one series dimension.",
            code="OPS-C006",
        )
    if settings.get("values"):
        # one column a series, as spreadsheets have it
        fields = [str(field) for field in settings.get("values")]
        frame = view.frame(spec.name, [spec.period, *fields])
        wide = frame.assign(**{spec.period: naive(frame[spec.period])}).set_index(spec.period)
        wide.index.name, wide.columns.name = "date", "series"
        return wide.sort_index().astype(float)
    measure = str(settings.get(value) or only_measure(spec, settings))
    over = settings.get("over")
    frame = view.frame(spec.name, [*names, spec.period, measure, *([str(over)] if over else [])])
    frame[spec.period] = naive(frame[spec.period])

    def spread(field: str) -> pd.DataFrame:
        if not names:
            return frame.set_index(spec.period)[[field]].sort_index().astype(float)
        found = frame.pivot(index=spec.period, columns=names[0], values=field)
        found.columns = [series_name(code) for code in found.columns]
        return found.sort_index().astype(float)

    wide = spread(measure)
    if over:
        wide = _divided(wide, spread(str(over)).set_axis(wide.columns, axis=1), settings)
    keep = settings.get("series")
    if keep:
        missing = [code for code in keep if code not in wide.columns]
        if missing:
            raise SettingsError(
                f"room.toml: desk {settings.name!r}: {spec.name!r} has no series {', '.join(missing)} on that day.",
                code="OPS-C006",
            )
        wide = wide[list(keep)]
    wide.index.name, wide.columns.name = "date", "series"
    return wide.sort_index().astype(float)


def series_name(code: object) -> str:
    """Return a code as a text; days as days."""
    return code.isoformat()[:10] if isinstance(code, date) else str(code)


def _divided(wide: pd.DataFrame, below: pd.DataFrame, settings: DeskSettings) -> pd.DataFrame:
    """Return a ratio: the value over the sum of the last ``sum_over`` periods, in per cent where ``percent``."""
    periods = int(settings.get("sum_over", 1))
    if periods > 1:
        below = below.rolling(periods, min_periods=periods).sum()
    ratio = wide / below.where(below != 0)
    return 100.0 * ratio if settings.get("percent", False) else ratio


def optional_frame(view: View, settings: DeskSettings, name: str) -> pd.DataFrame | None:
    """Return the dataset that a setting names, or None where it names none or nothing of it is known yet."""
    dataset = settings.get(name)
    return view.frame(str(dataset)) if dataset and view.has(str(dataset)) else None


def naive(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return timestamps without a zone; those that have one are given in UTC."""
    import pandas as pd

    stamps = pd.to_datetime(column)
    naive: pd.Series[Any] = stamps if stamps.dt.tz is None else stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    return naive


def only_measure(spec: DatasetSpec, settings: DeskSettings) -> str:
    """Return the dataset's only number, or say that the desk must name one."""
    measures = [f.name for f in spec.fields if f.type in ("number", "quantity", "money", "integer")]
    measures = [name for name in measures if name not in spec.key]
    if len(measures) != 1:
        raise SettingsError(
            f"room.toml: desk {settings.name!r} must say which field of {spec.name!r} it shows.",
            remedy=f"Add value = one of {', '.join(measures)}.",
            code="OPS-C006",
        )
    return measures[0]
