"""The row of key figures: each with interval, day, and change since the release before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import country_name, headline_of, series_title, title_of, title_of_one
from opsroom.faces.reader import Desk, by_series, day_of, measures_of, number, one, records
from opsroom.faces.words_public import main_index

MOST = 9
"""So many key figures fit a row of cards; a room with more shows the first."""

MOST_CLASSES = 2
"""Of an index by class of customer, the first have a key figure."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """One key figure, as published.

    Attributes
    ----------
    id, label
        Name and words.
    number, lower, upper, unit, decimals
        The value and its nominal 90 % interval (None where there is none).
    value, interval, about, change
        The same in words; `about` is the period, `change` compares with the release before.
    history
        The value in each release so far, earliest first.
    figure
        Name of the figure that shows more.
    releases
        Ids of the releases used.
    """

    id: str
    label: str
    number: float
    unit: str
    decimals: int
    value: str
    interval: str
    about: str
    change: str
    figure: str
    releases: tuple[str, ...]
    lower: float | None = None
    upper: float | None = None
    history: tuple[float | None, ...] = ()
    note: str = ""


Pick = Callable[[Any], tuple[dict[str, Any] | None, str]]
"""Release → the record with the key figure, and its period."""


def kpis(desk: Desk) -> list[Kpi]:
    """Return the key figures of the day, those whose series the room publishes.

    Parameters
    ----------
    desk
        The releases as of a day.
    """
    found: list[Kpi] = []
    for kpi in _all(desk):
        found.append(kpi)
        if len(found) == MOST:
            break
    return found


def _all(desk: Desk) -> Iterator[Kpi]:
    for weight in ("count", "jobs", "sales"):
        yield from _kpi(
            desk, f"resumed_{weight}", "resumption.national", "resumed", _reference(weight),
            figure="resumption.national" if weight == "count" else "resumption.national--weights",
        )  # fmt: skip
    yield from _kpi(
        desk,
        "capacity",
        "resumption.national",
        "capacity",
        _reference("count"),
        figure="resumption.national--capacity",
    )
    yield from _nowcast(desk)
    yield from _kpi(desk, "liquidity", "liquidity.section", "jobs_under_30_days", _month(size="_T"), census=True)
    yield from _arrears(desk)
    yield from _kpi(desk, "coverage", "resumption.national", "coverage", _reference("count"), census=True)
    for name in desk.names():
        release = desk.get(name)
        if release is None:
            continue
        if name.startswith("activity."):
            known = by_series(release, "gap")
            for code in list(known)[:MOST_CLASSES]:
                where = {"series": code} if code else {}
                yield from _kpi(
                    desk,
                    "activity",
                    name,
                    "gap",
                    _last("date", "gap", **where),
                    label=title_of_one(desk, release, code, several=len(known) > 1),
                    note=w.say("kpi.activity"),
                    signed=True,
                )
        elif name == "credit.gap":
            for code in _largest_gaps(release):
                label = w.say("kpi.credit_gap", country=country_name(code))
                pick = _last("quarter", "gap", country=code)
                yield from _kpi(desk, "credit_gap", name, "gap", pick, label=label, signed=True)
        elif name == "restriction.index":
            pick, label = _last("week", main_index(release), region="_T"), w.say("kpi.restriction")
            yield from _kpi(desk, "restriction", name, main_index(release), pick, label=label)
        elif name == "prices.growth":
            yield from _growth(desk, release)
        elif name.endswith(".levels"):
            main = measures_of(release)[0].name
            time = str(release.dimensions[0])
            if len(release.dimensions) == 1:
                yield from _kpi(desk, "levels", name, main, _last(time, main), label=title_of(desk, release))


def _reference(weight: str) -> Pick:
    def pick(release: Any) -> tuple[dict[str, Any] | None, str]:
        at = str(release.facts.get("reference_date", ""))
        return one(release, date=at, weight=weight, size="_T"), at

    return pick


def _month(**where: str) -> Pick:
    def pick(release: Any) -> tuple[dict[str, Any] | None, str]:
        month = max((str(r["month"]) for r in records(release)), default="")
        return one(release, month=month, section="_T", **where), month

    return pick


def _last(time: str, measure: str, **where: str) -> Pick:
    def pick(release: Any) -> tuple[dict[str, Any] | None, str]:
        rows = [r for r in records(release, **where) if number(r, measure) is not None]
        rows.sort(key=lambda r: str(r[time]))
        return (rows[-1], str(rows[-1][time])) if rows else (None, "")

    return pick


def _growth(desk: Desk, release: Any) -> Iterator[Kpi]:
    """The fastest and the slowest growth among several economies."""
    latest: dict[str, float] = {}
    for row in records(release):
        if (value := number(row, "value")) is not None:
            latest[str(row["series"])] = value
    if len(latest) < 2:
        return
    for id, code in (
        ("growth_high", max(latest, key=latest.__getitem__)),
        ("growth_low", min(latest, key=latest.__getitem__)),
    ):
        label = w.say(f"kpi.{id}", country=country_name(code.upper()))
        yield from _kpi(desk, id, release.name, "value", _last("date", "value", series=code), label=label, signed=True)


def _largest_gaps(release: Any) -> list[str]:
    latest: dict[str, float] = {}
    for row in records(release):
        if (value := number(row, "gap")) is not None:
            latest[str(row.get("country", ""))] = value
    return sorted(latest, key=lambda c: (-latest[c], c))[:3]


def _kpi(
    desk: Desk, id: str, series: str, measure: str, pick: Pick, *, figure: str = "", label: str = "",
    census: bool = False, note: str = "", decimals: int | None = None, signed: bool = False,
) -> Iterator[Kpi]:  # fmt: skip
    past = desk.past(series)
    release = past[-1] if past else None
    info = next((m for m in measures_of(release) if m.name == measure), None) if release is not None else None
    if release is None or info is None:
        return
    row, about = pick(release)
    value = number(row, measure)
    if value is None:
        return
    lower, upper = number(row, f"{measure}_lower"), number(row, f"{measure}_upper")
    history = tuple(number(pick(r)[0], measure) for r in past)
    places = info.decimals if decimals is None else decimals
    plus = "+" if signed and round(value, places) > 0 else ""
    yield Kpi(
        id, label or w.say(f"kpi.{id}"), value, info.unit, places,
        plus + w.with_unit(value, "%" if info.unit.startswith("%") else info.unit, places),
        _said(lower, upper, places, census=census),
        w.say("kpi.about", at=w.at(about)),
        _change(value, history, past, info.unit, places),
        figure or series, (release.id,), lower, upper, history, note,
    )  # fmt: skip


def _said(lower: float | None, upper: float | None, decimals: int, *, census: bool) -> str:
    if lower is not None and upper is not None:
        return w.say("kpi.interval", interval=w.interval(lower, upper, decimals))
    return w.say("kpi.no_interval_census" if census else "kpi.no_interval")


def _change(value: float, history: tuple[float | None, ...], past: list[Any], unit: str, decimals: int) -> str:
    before = history[-2] if len(history) > 1 else None
    if before is None:
        return w.say("kpi.first")
    points = " points" if unit.startswith("%") else ""
    moved = round(round(value, decimals) - round(before, decimals), decimals)
    since = w.day(day_of(past[-2].day))
    if not moved:
        return w.say("kpi.unchanged", day=since)
    return w.say("kpi.change", change=f"{w.signed(moved, decimals)}{points}", day=since)


def _nowcast(desk: Desk) -> Iterator[Kpi]:
    release = desk.get("nowcast.gdp")
    if release is None:
        return
    quarter = str(release.facts.get("target_quarter", ""))

    kind = headline_of(release)

    def pick(past: Any) -> tuple[dict[str, Any] | None, str]:
        return one(past, quarter=quarter, kind=kind), quarter

    following = release.facts.get("next_release") or {}
    note = ""
    if following.get("series") and following.get("date"):
        note = w.say(
            "kpi.next", series=series_title(release, str(following["series"])), date=w.day(str(following["date"]))
        )
    # One decimal, as in the story: the interval is points wide.
    yield from _kpi(desk, "nowcast", "nowcast.gdp", "growth", pick, note=note, decimals=1)


def _arrears(desk: Desk) -> Iterator[Kpi]:
    past = desk.past("loans.section")
    if not past:
        return

    def total(release: Any) -> tuple[float | None, str]:
        row, month = _month()(release)
        late, eased = number(row, "delinquent"), number(row, "forborne")
        # Delinquent and forborne together: arrears must not fall because a payment holiday starts.
        return (None if late is None or eased is None else round(late + eased, 6)), month

    value, month = total(past[-1])
    if value is None:
        return
    history = tuple(total(r)[0] for r in past)
    yield Kpi(
        "arrears", w.say("kpi.arrears"), value, "%", 1, w.percent(value), w.say("kpi.no_interval_census"),
        w.say("kpi.about", at=w.at(month)), _change(value, history, past, "%", 1),
        "loans.section", (past[-1].id,), history=history,
    )  # fmt: skip
