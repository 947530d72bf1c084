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
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.areas import by_area, content, said_before, vintages

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.warn.exuberance.rounds import Dated, RatioRounds

NEEDS: dict[str, type | tuple[type, ...]] = {"name": str, "price": str, "fundamental": str}
DATING_LEVEL = 0.95
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
    dated: Mapping[str, Dated]


class ExuberanceDesk:
    """Watch house prices, or any price, against their fundamentals."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``exuberance.ratios`` and ``exuberance.episodes`` as public cells."""
        dataset = str(settings.require("dataset"))
        tables = settings.tables("ratios", needs=NEEDS, allows={"title": str})
        if nothing := nothing_known_of(view, dataset):
            return nothing
        every = vintages(view, settings)
        pairs = [(by_area(every, str(t["price"])), by_area(every, str(t["fundamental"]))) for t in tables]
        # A vintage comes once in weeks, a publication every week: what rests on the same vintages is the same.
        kept: dict[str, DeskOutcome] = view.memory.setdefault("exuberance", {})
        key = content(settings, *(one for pair in pairs for one in pair))
        if key not in kept:
            kept.clear()
            kept[key] = _outcome(pairs, tables, view.spec(dataset).frequency, settings, key)
        found = kept[key]
        said = said_before(view, "exuberance.ratios", key)
        return DeskOutcome(found.result, note=said) if said else found


def _outcome(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], tables: Sequence[Mapping[str, Any]], freq: str,
    settings: DeskSettings, key: str,
) -> DeskOutcome:  # fmt: skip
    from opsroom.warn.exuberance import watch_ratios

    lags, level = int(settings.get("lags", 1)), float(settings.get("level", 0.05))
    found = []
    for (price, fundamental), table in zip(pairs, tables, strict=True):
        if not set(price["area"]) & set(fundamental["area"]):
            continue
        rounds = watch_ratios(price, fundamental, freq=freq, lags=lags, level=level, families=len(tables))
        name = str(table["name"])
        found.append(
            Watched(name, str(table.get("title", name.replace("_", " "))), rounds, rounds.dated(level=DATING_LEVEL))
        )
    if not any(len(one.rounds.frame) for one in found):
        return DeskOutcome(tuple(found), note="the ratios are too short to be tested yet")
    return DeskOutcome(tuple(found), (_ratios(found, freq, settings, key), *_episodes(found, freq, settings)))


def _ratios(found: Sequence[Watched], freq: str, settings: DeskSettings, key: str) -> Cells:
    import numpy as np
    import pandas as pd

    area = str(settings.get("area", "region"))
    time = "quarter" if freq == "Q" else "month"
    pieces = []
    for one in found:
        frame = one.rounds.frame.groupby("area", sort=True).tail(int(settings.get("last", 40)))
        scale = one.rounds.latest.apply(lambda column: 100.0 / column.dropna().iloc[:4].mean())
        now: dict[tuple[object, object], tuple[float, float, float, str]] = {}
        for code, dated in one.dated.items():
            values = dated.series.to_numpy()[-len(dated.index) :] * scale[code]
            for place, period in enumerate(dated.index):
                inside = next((e.sign for e in dated.episodes if e.start <= period <= e.end), "")
                now[code, period] = values[place], dated.bsadf[place], dated.critical[place], inside
        keys = list(zip(frame["area"], frame["period"], strict=True))
        kept = np.array([key in now for key in keys], dtype=bool)
        frame, keys = frame[kept], [key for key in keys if key in now]
        codes = {p: format_period(p.start_time.date(), freq) for p in set(frame["period"])}
        piece = pd.DataFrame([now[key] for key in keys], columns=["index", "bsadf", "critical", "episode"])
        piece.insert(0, time, [codes[p] for p in frame["period"]])
        piece.insert(1, "ratio", one.name)
        piece.insert(2, area, frame["area"].to_numpy())
        for name in ("doubt_boom", "doubt_crash", "fall"):
            piece[name] = (100.0 * frame[name]).to_numpy()
        pieces.append(piece.assign(known=frame["known_at"].dt.strftime("%Y-%m-%d").to_numpy()))
    whole = pd.concat(pieces, ignore_index=True).round(
        {"index": 1, "bsadf": 2, "critical": 2, "doubt_boom": 2, "doubt_crash": 2, "fall": 1}
    )
    whole = whole.sort_values([whole.columns[1], area, time], kind="stable", ignore_index=True)
    dimensions = tuple(whole.columns[:3])
    attached = tuple(c for c in whole.columns[3:] if c != "index")
    some = found[0].rounds
    return Cells(
        name="exuberance.ratios",
        dimensions=dimensions,
        measures=(Measure("index", "public", "first year = 100", attached=attached),),
        frame=whole,
        method="exuberance-1",
        facts={
            "title": "Prices against their fundamentals",
            "titles": {one.name: one.title for one in found},
            "as_known": ["doubt_boom", "doubt_crash", "fall"],
            "level": 100.0 * some.level, "rounds_a_year": some.a_year, "lags": some.lags, "draws": some.draws,
            "alarms": _alarms(found, freq), "content": key,
        },
    )  # fmt: skip


def _alarms(found: Sequence[Watched], freq: str) -> list[dict[str, Any]]:
    """Return the alarms of each ratio's last round, with what other lags and critical values say of them."""
    from opsroom.warn.exuberance import gsadf

    standing: list[tuple[float, str, str, Watched, dict[str, Any]]] = []
    for one in found:
        frame = one.rounds.frame
        for row in frame[frame["period"] == frame["period"].max()].to_dict("records"):
            doubt = min(row["doubt_boom"], row["doubt_crash"])
            if doubt <= one.rounds.level and row["area"] in one.dated:
                standing.append((doubt, one.name, str(row["area"]), one, {str(k): v for k, v in row.items()}))
    out = []
    for doubt, name, area, one, row in sorted(standing, key=lambda alarm: alarm[:3])[:MOST_ALARMS]:
        tested = gsadf(
            one.dated[area].series, lags=one.rounds.lags, min_window=one.rounds.plan.least, draws=OTHER_DRAWS,
            levels=(DATING_LEVEL,),
        )  # fmt: skip
        said = tested.sensitivity(lags=OTHER_LAGS, kinds=OTHER_KINDS).to_dict("records")
        others = [
            {"lags": r["lags"], "critical_values": r["critical_values"], "p_last": round(float(r["p_last"]), 4),
             "ongoing": bool(r["ongoing"])}
            for r in said
        ]  # fmt: skip
        out.append(
            {
                "ratio": name, "area": area, "direction": str(row["direction"]),
                "period": format_period(row["period"].start_time.date(), freq),
                "doubt": round(100.0 * doubt, 3), "p_value": float(row["p_value"]), "others": others,
            }
        )  # fmt: skip
    return out


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
        method="exuberance-1",
        facts={"title": "Explosive stretches, dated", "titles": {one.name: one.title for one in found}},
    )  # fmt: skip
    return (cells,)


DESK = ExuberanceDesk()
