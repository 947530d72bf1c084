"""Desk `exuberance`: prices that run away from what should carry them, by area, each period by the data of its day.

Settings: ``dataset`` (public series by quarter or month; codes such as ``house_price.R01``, the nation's without an
area); ``ratios``: tables with ``name``, ``price``, ``fundamental`` (indicators) and, where wanted, ``title``; ``lags``
(default 1), ``level`` (false discovery rate over areas, ratios and a year of rounds: 0.05), ``area`` (name of the
dimension: ``region``), ``last`` (periods shown: 40).

What is tested is the ratio, never the price: rents and incomes can grow explosively, and a price that follows them is
no bubble. Each alarm carries what other lags and critical values say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsroom.base.periods import format_period
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.areas import by_area, content, vintages

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.warn.exuberance import ExuberanceResult, RatioRounds

NEEDS: dict[str, type | tuple[type, ...]] = {"name": str, "price": str, "fundamental": str}
DATING_LEVEL = 0.95
DATING_DRAWS = 1999
OTHER_LAGS = (0, 1, 4)
OTHER_KINDS = ("monte_carlo", "wild_bootstrap")
OTHER_DRAWS = 199
MOST_ALARMS = 8
"""Alarms of a round that are tried with other lags and critical values, the least doubtful first."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One ratio: what was said round by round, and the dating of each area's series as known today."""

    name: str
    title: str
    rounds: RatioRounds
    dated: Mapping[str, ExuberanceResult]


class ExuberanceDesk:
    """Watch house prices, or any price, against their fundamentals."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``exuberance.ratios`` and ``exuberance.episodes`` as public cells."""
        dataset = str(settings.require("dataset"))
        tables = settings.tables("ratios", needs=NEEDS, allows={"title": str})
        if not view.has(dataset):
            return DeskOutcome(None, note=f"nothing known of {dataset} yet")
        every = vintages(view, settings)
        pairs = [(by_area(every, str(t["price"])), by_area(every, str(t["fundamental"]))) for t in tables]
        # A vintage comes once in weeks, a publication every week: what rests on the same vintages is the same.
        kept: dict[str, DeskOutcome] = view.memory.setdefault("exuberance", {})
        key = content(settings, *(one for pair in pairs for one in pair))
        if key not in kept:
            kept.clear()
            kept[key] = _outcome(pairs, tables, view.spec(dataset).frequency, settings)
        return kept[key]


def _outcome(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], tables: Sequence[Mapping[str, Any]], freq: str,
    settings: DeskSettings,
) -> DeskOutcome:  # fmt: skip
    from opsroom.warn.exuberance import watch_ratios

    lags, level = int(settings.get("lags", 1)), float(settings.get("level", 0.05))
    found = []
    for (price, fundamental), table in zip(pairs, tables, strict=True):
        if not set(price["area"]) & set(fundamental["area"]):
            continue
        rounds = watch_ratios(price, fundamental, freq=freq, lags=lags, level=level, families=len(tables))
        name = str(table["name"])
        found.append(Watched(name, str(table.get("title", name.replace("_", " "))), rounds, _dated(rounds)))
    if not any(len(one.rounds.frame) for one in found):
        return DeskOutcome(tuple(found), note="the ratios are too short to be tested yet")
    return DeskOutcome(tuple(found), (_ratios(found, freq, settings), *_episodes(found, freq, settings)))


def _dated(rounds: RatioRounds) -> dict[str, ExuberanceResult]:
    """Return the test of each area's ratio as known today, episodes dated."""
    from opsroom.base.errors import FitError
    from opsroom.warn.exuberance import gsadf
    from opsroom.warn.exuberance.rounds import LEAST

    out = {}
    for area in rounds.latest.columns:
        series = rounds.latest[area].loc[: rounds.latest[area].last_valid_index()]
        known = series[series.isna()[::-1].cumsum()[::-1] == 0]  # from the last gap on
        try:
            out[str(area)] = gsadf(
                known, lags=rounds.lags, min_window=LEAST, draws=DATING_DRAWS, levels=(DATING_LEVEL,)
            )
        except FitError:  # too short, or with a gap: it has no row either
            continue
    return out


def _ratios(found: Sequence[Watched], freq: str, settings: DeskSettings) -> Cells:
    import numpy as np
    import pandas as pd

    area = str(settings.get("area", "region"))
    pieces = []
    for one in found:
        frame = one.rounds.frame[["area", "period", "known_at", "doubt_boom", "doubt_crash", "fall"]]
        scale = one.rounds.latest.apply(lambda column: 100.0 / column.dropna().iloc[:4].mean())
        for code, rows in frame.groupby("area", sort=True):
            if code not in one.dated:
                continue
            dated = one.dated[str(code)]
            at = dated.to_frame().loc[rows["period"]]
            pieces.append(
                pd.DataFrame(
                    {
                        "quarter" if freq == "Q" else "month": [format_period(p.start_time.date(), freq)
                                                                for p in rows["period"]],
                        "ratio": one.name,
                        area: code,
                        "index": (at["value"] * scale[code]).to_numpy().round(1),
                        "bsadf": at["bsadf"].to_numpy().round(2),
                        "critical": at["critical"].to_numpy().round(2),
                        "episode": np.where(at["episode"] > 0, "boom", np.where(at["episode"] < 0, "crash", "")),
                        "doubt_boom": (100.0 * rows["doubt_boom"]).to_numpy().round(2),
                        "doubt_crash": (100.0 * rows["doubt_crash"]).to_numpy().round(2),
                        "fall": (100.0 * rows["fall"]).to_numpy().round(1),
                        "known": rows["known_at"].dt.strftime("%Y-%m-%d").to_numpy(),
                    }
                ).iloc[-int(settings.get("last", 40)) :]
            )  # fmt: skip
    whole = pd.concat(pieces, ignore_index=True)
    dimensions = tuple(whole.columns[:3])
    attached = tuple(c for c in whole.columns[3:] if c != "index")
    some = found[0].rounds
    return Cells(
        name="exuberance.ratios",
        dimensions=dimensions,
        measures=(Measure("index", "public", "first year = 100", attached=attached),),
        frame=whole,
        method="exuberance",
        facts={
            "title": "Prices against their fundamentals",
            "titles": {one.name: one.title for one in found},
            "as_known": ["doubt_boom", "doubt_crash", "fall"],
            "level": 100.0 * some.level, "rounds_a_year": some.a_year, "lags": some.lags, "draws": some.draws,
            "alarms": _alarms(found, freq),
        },
    )  # fmt: skip


def _alarms(found: Sequence[Watched], freq: str) -> list[dict[str, Any]]:
    """Return the alarms of each ratio's last round, with what other lags and critical values say of them."""
    out: list[dict[str, Any]] = []
    for one in found:
        frame = one.rounds.frame
        now = frame[frame["period"] == frame["period"].max()]
        doubt = now[["doubt_boom", "doubt_crash"]].min(axis=1)
        for row in now[doubt <= one.rounds.level].assign(doubt=doubt).sort_values("doubt").itertuples():
            said = one.dated[str(row.area)].sensitivity(lags=OTHER_LAGS, kinds=OTHER_KINDS, draws=OTHER_DRAWS)
            out.append(
                {
                    "ratio": one.name, "area": str(row.area), "direction": str(row.direction),
                    "period": format_period(row.period.start_time.date(), freq),
                    "doubt": round(100.0 * float(row.doubt), 3), "p_value": float(row.p_value),
                    "others": [
                        {"lags": r.lags, "critical_values": r.critical_values, "p_last": round(float(r.p_last), 4),
                         "ongoing": bool(r.ongoing)}
                        for r in said.itertuples()
                    ],
                }
            )  # fmt: skip
    return sorted(out, key=lambda alarm: (alarm["doubt"], alarm["ratio"], alarm["area"]))[:MOST_ALARMS]


def _episodes(found: Sequence[Watched], freq: str, settings: DeskSettings) -> tuple[Cells, ...]:
    import pandas as pd

    area = str(settings.get("area", "region"))
    rows = [
        {
            "ratio": one.name, area: code, "start": format_period(e.start.start_time.date(), freq),
            "duration": e.duration, "peak": format_period(e.peak.start_time.date(), freq),
            "end": "" if e.ongoing else format_period(e.end.start_time.date(), freq), "sign": e.sign,
            "strength": round(e.strength, 2), "root": round(e.root, 3), "change": round(100.0 * e.change, 1),
        }
        for one in found
        for code, dated in one.dated.items()
        for e in dated.episodes
    ]  # fmt: skip
    if not rows:
        return ()
    cells = Cells(
        name="exuberance.episodes",
        dimensions=("ratio", area, "start"),
        measures=(
            Measure(
                "duration", "public", "quarters" if freq == "Q" else "months", decimals=0,
                attached=("peak", "end", "sign", "strength", "root", "change"),
            ),
        ),
        frame=pd.DataFrame(rows),
        method="exuberance",
        facts={"title": "Explosive stretches, dated", "titles": {one.name: one.title for one in found}},
    )  # fmt: skip
    return (cells,)


DESK = ExuberanceDesk()
