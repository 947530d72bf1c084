"""Vintages of public series by area, named ``house_price.R01``; the desks on booms read them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from opsroom._version import __version__
from opsroom.base.errors import SettingsError
from opsroom.room.desk import earlier_release
from opsroom.room.desks.publicdata import only_measure

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.settings import DeskSettings
    from opsroom.room.desk import View

NATION = "_T"


def vintages(view: View, settings: DeskSettings) -> pd.DataFrame:
    """Return every vintage of the desk's dataset known by the day: ``series``, ``period``, ``known_at``, ``value``.

    Raises
    ------
    SettingsError
        The dataset is not a table of series by quarter or month.
    """
    spec = view.spec(str(settings.require("dataset")))
    names = [field for field in spec.key if field != spec.period]
    if len(names) != 1 or spec.frequency not in ("Q", "M"):
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: dataset {spec.name!r} is not a table of series by quarter or month.",
            remedy="Name a dataset whose key is a series' code and the period.",
            code="OPS-C006",
        )
    value = str(settings.get("value") or only_measure(spec, settings))
    frame = view.vintages(spec.name, [names[0], spec.period, value])
    frame = frame.rename(columns={names[0]: "series", spec.period: "period", value: "value"})
    return frame.sort_values(["known_at", "series", "period"], kind="stable", ignore_index=True)


def by_area(frame: pd.DataFrame, name: str, *, nation: str = "") -> pd.DataFrame:
    """Return one indicator's vintages with its areas in place of codes.

    Parameters
    ----------
    frame
        From `vintages`.
    name
        The indicator: ``rent`` has the areas of ``rent.R01``, ``rent.R02`` …
    nation
        Code of the whole economy's series, `NATION` among the areas; by default the indicator's name itself.
    """
    whole = nation or name
    found = frame[frame["series"].str.startswith(f"{name}.") | (frame["series"] == whole)]
    area = found["series"].where(found["series"] != whole, f"{name}.{NATION}").str.removeprefix(f"{name}.")
    return found.assign(area=area)[["area", "period", "known_at", "value"]]


def said_before(view: View, name: str, key: str) -> str:
    """Return why a series is not published again, where its last release rests on the same vintages; empty otherwise.

    Parameters
    ----------
    view
        What is out by the day.
    name
        Of the release series.
    key
        From `content`; a release carries it in its facts, as ``content``.
    """
    before = earlier_release(view, name)
    if before is None or before.facts.get("content") != key:
        return ""
    return f"no new vintage since {before.day.isoformat()}"


def content(*parts: Any) -> str:
    """Return a name for tables and settings: equal content, equal name."""
    import pandas as pd

    found = hashlib.sha256(__version__.encode())
    for part in parts:
        if isinstance(part, pd.DataFrame):
            found.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()
